//! Host calls that have to do with no list of headers and no body.

use super::guest::{at, count, get, set};
use super::*;
use crate::config::PluginLimits;
use crate::limits;

async fn on_request(guest: &mut Guest, body: &str) -> Exchange {
    on_request_with(guest, body, PluginSettings::default()).await
}

async fn on_request_with(guest: &mut Guest, body: &str, settings: PluginSettings) -> Exchange {
    guest.on("proxy_on_request_headers", &format!("{body} (i32.const 0)"));
    let exchange = exchange(&load(guest, settings).unwrap());
    assert!(is_continue(exchange.stream.request_headers(true).await));
    exchange
}

#[tokio::test]
async fn the_configurations_are_readable_at_all_times() {
    let mut guest = Guest::new();
    let read = |slot: usize, buffer: u32| {
        set(
            slot,
            &format!(
                "(call $proxy_get_buffer_bytes (i32.const {buffer}) (i32.const 0) (i32.const 1000) {} {})",
                at(slot + 1),
                at(slot + 2)
            ),
        )
    };
    guest.on(
        "proxy_on_vm_start",
        &format!("{} {} (i32.const 1)", set(20, "(local.get 1)"), read(0, 6)),
    );
    guest.on(
        "proxy_on_configure",
        &format!("{} {} (i32.const 1)", set(21, "(local.get 1)"), read(3, 7)),
    );
    let settings = PluginSettings {
        configuration: b"plugin's".to_vec(),
        vm_configuration: b"VM's".to_vec(),
        ..PluginSettings::default()
    };
    let exchange = on_request_with(&mut guest, &read(6, 7), settings).await;
    assert_eq!((exchange.slot(20), exchange.slot(21)), (4, 8));
    assert_eq!((exchange.slot(0), exchange.given(1).as_str()), (0, "VM's"));
    assert_eq!((exchange.slot(3), exchange.given(4).as_str()), (0, "plugin's"));
    assert_eq!((exchange.slot(6), exchange.given(7).as_str()), (0, "plugin's"));
}

#[tokio::test]
async fn a_buffer_is_read_in_parts_and_never_beyond_its_end() {
    let mut guest = Guest::new();
    let read = |slot: usize, start: i64, maximum: i64| {
        set(
            slot,
            &format!(
                "(call $proxy_get_buffer_bytes (i32.const 7) (i32.const {start}) (i32.const {maximum}) {} {})",
                at(slot + 1),
                at(slot + 2)
            ),
        )
    };
    let body = [
        read(0, 2, 3),
        read(3, 6, 100),
        read(6, 100, 1),
        read(9, 1, -1),
        set(12, &format!("(call $proxy_get_buffer_status (i32.const 7) {} {})", at(13), at(14))),
        set(15, &format!("(call $proxy_get_buffer_status (i32.const 4) {} {})", at(16), at(17))),
        set(18, &format!("(call $proxy_get_buffer_status (i32.const 9) {} {})", at(16), at(17))),
        set(
            19,
            "(call $proxy_set_buffer_bytes (i32.const 7) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))",
        ),
    ];
    let settings =
        PluginSettings { configuration: b"01234567".to_vec(), ..PluginSettings::default() };
    let exchange = on_request_with(&mut guest, &body.join(" "), settings).await;
    assert_eq!((exchange.slot(0), exchange.given(1).as_str()), (0, "234"));
    assert_eq!((exchange.slot(3), exchange.given(4).as_str()), (0, "67"));
    assert_eq!((exchange.slot(6), exchange.slot(8)), (0, 0));
    assert_eq!(exchange.slot(9), 2);
    assert_eq!((exchange.slot(12), exchange.slot(13), exchange.slot(14)), (0, 8, 0));
    assert_eq!((exchange.slot(15), exchange.slot(18), exchange.slot(19)), (1, 2, 2));
}

#[tokio::test]
async fn shared_data_is_written_with_compare_and_swap() {
    let mut guest = Guest::new();
    let (key, one, two) = (guest.text("key"), guest.text("one"), guest.text("two!"));
    let read = |slot: usize| {
        set(
            slot,
            &format!(
                "(call $proxy_get_shared_data {key} {} {} {})",
                at(slot + 1),
                at(slot + 2),
                at(slot + 3)
            ),
        )
    };
    let write = |slot: usize, value: &str, cas: &str| {
        set(slot, &format!("(call $proxy_set_shared_data {key} {value} {cas})"))
    };
    let body = [
        read(0),
        write(4, &one, "(i32.const 77)"),
        read(5),
        write(9, &two, "(i32.const 123456)"),
        write(10, &two, &get(8)),
        read(11),
        write(15, &one, "(i32.const 0)"),
    ];
    let exchange = on_request(&mut guest, &body.join(" ")).await;
    assert_eq!(exchange.slot(0), 1);
    assert_eq!(exchange.slot(4), 0, "a missing key has no version to compare");
    assert_eq!((exchange.slot(5), exchange.given(6).as_str()), (0, "one"));
    assert_eq!((exchange.slot(9), exchange.slot(10)), (8, 0));
    assert_eq!((exchange.slot(11), exchange.given(12).as_str()), (0, "two!"));
    assert_ne!(exchange.slot(8), 0);
    assert_ne!(exchange.slot(14), exchange.slot(8));
    assert_eq!(exchange.slot(15), 0);
}

#[tokio::test]
async fn shared_data_is_bounded() {
    let mut guest = Guest::new();
    let (key, value) = (guest.text("key"), guest.text(vec![b'x'; 2000]));
    let body = set(0, &format!("(call $proxy_set_shared_data {key} {value} (i32.const 0))"));
    let limits = PluginLimits { shared_data: 1000, ..PluginLimits::default() };
    let settings = PluginSettings { limits, ..PluginSettings::default() };
    let exchange = on_request_with(&mut guest, &body, settings).await;
    assert_eq!(exchange.slot(0), 10);
}

#[tokio::test]
async fn a_queue_gives_its_items_in_order_and_tells_who_registered_it() {
    let mut guest = Guest::new();
    let (name, other, vm_id) = (guest.text("jobs"), guest.text("other"), guest.text("filter"));
    let (one, two) = (guest.text("one"), guest.text("two"));
    guest.on(
        "proxy_on_configure",
        &format!(
            "{} (i32.const 1)",
            set(0, &format!("(call $proxy_register_shared_queue {name} {})", at(1)))
        ),
    );
    let dequeue = |slot: usize| {
        set(
            slot,
            &format!(
                "(call $proxy_dequeue_shared_queue {} {} {})",
                get(1),
                at(slot + 1),
                at(slot + 2)
            ),
        )
    };
    guest.on(
        "proxy_on_queue_ready",
        &format!(
            "{} {} {} (if (i32.eq {told} (i32.const 1)) (then {}))
             (if (i32.eq {told} (i32.const 2)) (then {} {}))",
            set(20, "(local.get 0)"),
            set(21, "(local.get 1)"),
            count(22),
            dequeue(23),
            dequeue(26),
            dequeue(29),
            told = get(22),
        ),
    );
    let body = [
        set(2, &format!("(call $proxy_resolve_shared_queue {vm_id} {name} {})", at(3))),
        set(
            4,
            &format!(
                "(call $proxy_resolve_shared_queue (i32.const 0) (i32.const 0) {name} {})",
                at(5)
            ),
        ),
        set(6, &format!("(call $proxy_resolve_shared_queue {vm_id} {other} {})", at(7))),
        set(8, &format!("(call $proxy_enqueue_shared_queue {} {one})", get(1))),
        set(9, &format!("(call $proxy_enqueue_shared_queue {} {two})", get(1))),
        set(10, &format!("(call $proxy_enqueue_shared_queue (i32.const 999) {two})")),
        set(
            11,
            &format!("(call $proxy_dequeue_shared_queue (i32.const 999) {} {})", at(12), at(13)),
        ),
    ];
    let exchange = on_request(&mut guest, &body.join(" ")).await;
    assert_eq!(
        (exchange.slot(0), exchange.slot(2), exchange.slot(4), exchange.slot(6)),
        (0, 0, 0, 1)
    );
    assert_eq!((exchange.slot(3), exchange.slot(5)), (exchange.slot(1), exchange.slot(1)));
    assert_eq!(
        (exchange.slot(8), exchange.slot(9), exchange.slot(10), exchange.slot(11)),
        (0, 0, 1, 1)
    );
    eventually("both items are told of", || exchange.slot(22) == 2).await;
    assert_eq!((exchange.slot(20), exchange.slot(21)), (root_id(), exchange.slot(1)));
    assert_eq!((exchange.slot(23), exchange.given(24).as_str()), (0, "one"));
    assert_eq!((exchange.slot(26), exchange.given(27).as_str()), (0, "two"));
    assert_eq!(exchange.slot(29), 7);
}

#[tokio::test]
async fn metrics_are_defined_once_and_counted() {
    let mut guest = Guest::new();
    let name = guest.text("hits");
    let define = |slot: usize, kind: u32| {
        set(
            slot,
            &format!("(call $proxy_define_metric (i32.const {kind}) {name} {})", at(slot + 1)),
        )
    };
    let increment = |slot: usize, id: usize, by: i64| {
        set(slot, &format!("(call $proxy_increment_metric {} (i64.const {by}))", get(id)))
    };
    let body = [
        define(0, 0),
        define(2, 0),
        define(4, 1),
        define(6, 2),
        define(8, 3),
        increment(10, 1, 3),
        increment(11, 1, -1),
        increment(12, 5, -2),
        increment(13, 7, 1),
        set(14, &format!("(call $proxy_record_metric {} (i64.const 4))", get(1))),
        set(15, &format!("(call $proxy_record_metric {} (i64.const 9))", get(7))),
        set(16, &format!("(call $proxy_get_metric {} {})", get(1), at(17))),
        set(20, &format!("(call $proxy_get_metric {} {})", get(7), at(21))),
        set(24, &format!("(call $proxy_get_metric (i32.const 0) {})", at(21))),
        set(25, &format!("(call $proxy_get_metric {} {})", get(5), at(26))),
    ];
    let exchange = on_request(&mut guest, &body.join(" ")).await;
    assert_eq!([0, 2, 4, 6, 8].map(|slot| exchange.slot(slot)), [0, 0, 0, 0, 2]);
    assert_eq!(exchange.slot(1), exchange.slot(3));
    assert_eq!([10, 11, 12, 13].map(|slot| exchange.slot(slot)), [0, 2, 0, 2]);
    assert_eq!([14, 15, 16, 20, 24, 25].map(|slot| exchange.slot(slot)), [0, 0, 0, 2, 1, 0]);
    assert_eq!((exchange.slot(17), exchange.slot(18)), (7, 0));
    assert_eq!((exchange.slot(26), exchange.slot(27)), (-2i32 as u32, u32::MAX));
}

#[tokio::test]
async fn properties_are_read_and_set_for_later_ones() {
    let mut guest = Guest::new();
    let (path, missing) = (guest.text("request\0method"), guest.text("node\0id"));
    let (own, value) = (guest.text("my\0value"), guest.text("42"));
    let read = |slot: usize, path: &str| {
        set(slot, &format!("(call $proxy_get_property {path} {} {})", at(slot + 1), at(slot + 2)))
    };
    let write =
        |slot: usize, path: &str| set(slot, &format!("(call $proxy_set_property {path} {value})"));
    let body = [
        read(0, &path),
        read(3, &missing),
        read(6, &own),
        write(9, &own),
        read(10, &own),
        write(13, &path),
    ];
    guest.on("proxy_on_configure", &format!("{} (i32.const 1)", write(14, &own)));
    let exchange = on_request(&mut guest, &body.join(" ")).await;
    assert_eq!((exchange.slot(0), exchange.given(1).as_str()), (0, "GET"));
    assert_eq!((exchange.slot(3), exchange.slot(6), exchange.slot(9)), (1, 1, 0));
    assert_eq!((exchange.slot(10), exchange.given(11).as_str()), (0, "42"));
    assert_eq!((exchange.slot(13), exchange.slot(14)), (2, 2));
}

#[tokio::test]
async fn unknown_foreign_functions_are_not_found() {
    let mut guest = Guest::new();
    let (unknown, known) = (guest.text("sign"), guest.text("clear_route_cache"));
    let call = |slot: usize, name: &str| {
        set(
            slot,
            &format!(
                "(call $proxy_call_foreign_function {name} (i32.const 0) (i32.const 0) {} {})",
                at(slot + 1),
                at(slot + 2)
            ),
        )
    };
    let exchange = on_request(&mut guest, &[call(0, &unknown), call(3, &known)].join(" ")).await;
    assert_eq!((exchange.slot(0), exchange.slot(3), exchange.slot(5)), (1, 0, 0));
}

#[tokio::test]
async fn time_passes_and_log_levels_are_checked() {
    let mut guest = Guest::new();
    let line = guest.text("a line");
    let log = |slot: usize, level: u32| {
        set(slot, &format!("(call $proxy_log (i32.const {level}) {line})"))
    };
    let body = [
        log(0, 0),
        log(1, 5),
        log(2, 6),
        set(3, &format!("(call $proxy_get_log_level {})", at(4))),
        set(5, &format!("(call $proxy_get_current_time_nanoseconds {})", at(6))),
    ];
    let exchange = on_request(&mut guest, &body.join(" ")).await;
    assert_eq!([0, 1, 2, 3, 5].map(|slot| exchange.slot(slot)), [0, 0, 2, 0, 0]);
    assert!(exchange.slot(4) <= 5);
    let nanoseconds = u64::from(exchange.slot(7)) << 32 | u64::from(exchange.slot(6));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    assert!(now - nanoseconds < 60_000_000_000, "{nanoseconds}");
}

#[tokio::test]
async fn a_flood_of_log_lines_is_cut_and_counted() {
    let mut guest = Guest::new();
    let line = guest.text(vec![b'x'; 2 * limits::LOG_LINE]);
    let flood = format!(
        "(loop $more (drop (call $proxy_log (i32.const 4) {line}))
           (br_if $more (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 150))))"
    );
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    on_request(&mut guest, &flood).await;
    let seen = lines.0.lock().clone();
    assert_eq!(seen.len(), limits::LOG_LINES);
    assert!(
        seen.iter().all(|line| line.contains("filter") && line.contains("request-1")),
        "{}",
        seen[0]
    );
    assert!(seen.iter().all(|line| line.len() < limits::LOG_LINE + 200), "{}", seen[0].len());
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Lines(Arc<parking_lot::Mutex<Vec<String>>>);

impl tracing::Subscriber for Lines {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        struct Fields(String);
        impl tracing::field::Visit for Fields {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 += &format!("{field}={value:?} ");
            }
        }
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        if event.metadata().target().starts_with(module_path!().split("::").next().unwrap()) {
            self.0.lock().push(fields.0);
        }
    }
}
