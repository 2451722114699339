//! Filters that are broken, or mean harm.

use super::guest::{CALLBACKS, HOST_CALLS, at, set};
use super::*;
use crate::ErrorKind;
use crate::config::PluginLimits;

fn limited() -> PluginSettings {
    let limits = PluginLimits {
        cpu_time: Duration::from_millis(20),
        memory: 1 << 20,
        wait: Duration::from_millis(200),
        ..PluginLimits::default()
    };
    PluginSettings { limits, ..PluginSettings::default() }
}

/// How an exchange fails whose filter does this with the request's headers.
async fn failure_of(field: &str, body: &str) -> PluginError {
    let mut guest = Guest::new();
    guest.on("proxy_on_request_headers", body).field(field);
    let filter = load(&guest, limited()).unwrap();
    let error = exchange(&filter).stream.request_headers(true).await.unwrap_err();
    assert_eq!(&*error.plugin, "filter");
    error
}

#[tokio::test]
async fn an_endless_loop_is_stopped() {
    let began = Instant::now();
    let error = failure_of("", "(loop $forever (br $forever)) (i32.const 0)").await;
    assert_eq!(error.kind, ErrorKind::CpuTime);
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn endless_recursion_is_stopped() {
    let field = "(func $deeper (param i32) (result i32) (i32.add (i32.const 1) (call $deeper (local.get 0))))";
    let error = failure_of(field, "(call $deeper (i32.const 1))").await;
    assert_eq!(error.kind, ErrorKind::Stack);
}

#[tokio::test]
async fn an_endless_loop_of_host_calls_is_stopped() {
    let error = failure_of(
        "",
        &format!(
            "(loop $forever (drop (call $proxy_get_log_level {})) (br $forever)) (i32.const 0)",
            at(0)
        ),
    )
    .await;
    assert_eq!(error.kind, ErrorKind::CpuTime);
}

#[tokio::test]
async fn memory_has_a_limit_that_the_filter_may_live_with_or_die_of() {
    let grow = "(i32.store (i32.const 0) (memory.grow (i32.const 1000)))";
    let mut guest = Guest::new();
    guest.on("proxy_on_request_headers", &format!("{grow} (i32.const 0)"));
    let lives = exchange(&load(&guest, limited()).unwrap());
    assert!(is_continue(lives.stream.request_headers(true).await));
    assert_eq!(lives.slot(0), u32::MAX);
    let error = failure_of("", &format!("{grow} unreachable")).await;
    assert_eq!(error.kind, ErrorKind::Memory);
}

#[tokio::test]
async fn a_trap_tells_where_it_was() {
    let field = "(func $culprit unreachable)";
    let error = failure_of(field, "(call $culprit) (i32.const 0)").await;
    assert_eq!(error.kind, ErrorKind::Trap);
    assert!(error.backtrace.contains("culprit"), "{}", error.backtrace);
}

#[tokio::test]
async fn an_exit_is_a_trap() {
    let mut guest = Guest::new();
    guest.on("proxy_on_request_headers", "(call $exit (i32.const 0)) (i32.const 0)");
    let wat = guest.wat().replacen(
        "(module",
        "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))",
        1,
    );
    let filter = load_wat(&wat, limited(), Abi::V0_2_1).unwrap();
    let error = exchange(&filter).stream.request_headers(true).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Trap);
}

/// Runs each callback that an exchange has, until one fails.
async fn run_through(exchange: &Exchange) -> Result<Verdict, PluginError> {
    let stream = &exchange.stream;
    stream.request_headers(false).await?;
    stream.request_body(&mut b"abc".to_vec(), true).await?;
    stream.request_trailers().await?;
    exchange.responds(&[(":status", "200")]);
    stream.response_headers(false).await?;
    stream.response_body(&mut b"abc".to_vec(), true).await?;
    stream.response_trailers().await
}

#[tokio::test]
async fn after_a_trap_in_any_callback_the_next_exchange_has_a_new_vm() {
    for (name, parameters, has_result) in CALLBACKS {
        let is_of_start = ["proxy_on_vm_start", "proxy_on_configure"].contains(name);
        if is_of_start || name.contains("grpc") || name.contains("call") || name.contains("queue") {
            continue;
        }
        let is_of_root = *name == "proxy_on_context_create";
        // Only the first VM of all fails, and not when it starts.
        let mut guest = Guest::new();
        let key = guest.text("failed");
        let fails_once = format!(
            "(if (i32.eqz (call $proxy_get_shared_data {key} {} {} {})) (then) (else
               (drop (call $proxy_set_shared_data {key} {key} (i32.const 0)))
               unreachable))",
            at(0),
            at(1),
            at(2),
        );
        let only_streams = match is_of_root {
            true => format!("(if (i32.ne (local.get 1) (i32.const 0)) (then {fails_once}))"),
            false => fails_once,
        };
        let result = match *name {
            "proxy_on_done" => "(i32.const 1)",
            _ if *has_result => "(i32.const 0)",
            _ => "",
        };
        guest.on(name, &format!("{only_streams} {result}"));
        guest.on(
            "proxy_on_configure",
            "(drop (call $proxy_set_tick_period_milliseconds (i32.const 5))) (i32.const 1)",
        );
        let filter = load(&guest, limited()).unwrap();
        let first = exchange(&filter);
        let result = run_through(&first).await;
        let is_at_the_end = ["proxy_on_done", "proxy_on_log", "proxy_on_delete"].contains(name);
        if is_at_the_end {
            assert!(is_continue(result), "{name}");
            first.stream.finish();
        } else if *name == "proxy_on_tick" {
            let cell = first.stream.bound.get().map(|bound| bound.cell.clone()).unwrap();
            eventually("the tick traps", || cell.is_dead()).await;
        } else {
            assert_eq!(result.unwrap_err().kind, ErrorKind::Trap, "{name}");
        }
        let next = exchange(&filter);
        let result = run_through(&next).await;
        assert!(is_continue(result), "{name} {parameters}");
    }
}

#[tokio::test]
async fn other_exchanges_of_a_vm_that_trapped_fail_even_while_they_wait() {
    let mut guest = Guest::new();
    guest.on("proxy_on_request_headers", "(if (local.get 2) (then unreachable)) (i32.const 1)");
    let mut settings = limited();
    settings.limits.wait = Duration::from_secs(20);
    let filter = load(&guest, settings).unwrap();
    let (waiting, trapping) = (exchange(&filter), exchange(&filter));
    let began = Instant::now();
    let (waited, trapped) = tokio::join!(waiting.stream.request_headers(false), async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        trapping.stream.request_headers(true).await
    });
    assert_eq!(trapped.unwrap_err().kind, ErrorKind::Trap);
    let error = waited.unwrap_err();
    assert_eq!(error.message, "its VM was stopped by a failure elsewhere in the plugin");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn wild_pointers_are_answered_and_never_followed() {
    for wild in [-1i64, -8, 0x7fff_ffff, 262_141, 262_144] {
        let mut guest = Guest::new();
        let mut body = String::new();
        for (slot, (name, parameters)) in HOST_CALLS.iter().enumerate() {
            let arguments: String = parameters
                .chars()
                .map(|kind| match kind {
                    'I' => format!("(i64.const {wild}) "),
                    _ => format!("(i32.const {wild}) "),
                })
                .collect();
            body += &set(200 + slot, &format!("(call ${name} {arguments})"));
        }
        // Small numbers first, so that what they name is there and pointers are looked at.
        for (slot, (name, parameters)) in HOST_CALLS.iter().enumerate() {
            let arguments: String = (0..parameters.len())
                .map(|at| match (at, parameters.as_bytes()[at]) {
                    (_, b'I') => "(i64.const 1) ".to_owned(),
                    (0, _) => "(i32.const 0) ".to_owned(),
                    _ => format!("(i32.const {wild}) "),
                })
                .collect();
            body += &set(300 + slot, &format!("(call ${name} {arguments})"));
        }
        guest.on("proxy_on_request_headers", &format!("{body} (i32.const 0)"));
        let mut settings = limited();
        settings.limits.cpu_time = Duration::from_secs(5);
        let exchange = exchange(&load(&guest, settings).unwrap());
        // Some of it is asked for in earnest: a reset, a reply that is none.
        let _ = exchange.stream.request_headers(true).await;
        for (slot, (name, parameters)) in HOST_CALLS.iter().enumerate() {
            let status = exchange.slot(200 + slot);
            if parameters.len() > 1 {
                assert_ne!(status, 0, "{name} {wild}");
            }
            assert!(status <= 12 && exchange.slot(300 + slot) <= 12, "{name} {wild}");
        }
    }
}

#[tokio::test]
async fn an_allocator_that_gives_nonsense_is_answered() {
    for block in ["0", "-1", "-4", "0x7ffffff0", "262142"] {
        let mut guest = Guest::new();
        let name = guest.text("authorization");
        guest.allocator(&format!(
            "(func (export \"malloc\") (param i32) (result i32) (i32.const {block}))"
        ));
        let call =
            format!("(call $proxy_get_header_map_value (i32.const 0) {name} {} {})", at(1), at(2));
        guest.on("proxy_on_request_headers", &format!("{} (i32.const 0)", set(0, &call)));
        let exchange = exchange(&filter(&guest));
        assert!(is_continue(exchange.stream.request_headers(true).await));
        assert_eq!(exchange.slot(0), 6, "{block}");
    }
    let mut guest = Guest::new();
    guest.allocator("");
    let name = guest.text("authorization");
    let call =
        format!("(call $proxy_get_header_map_value (i32.const 0) {name} {} {})", at(1), at(2));
    guest.on("proxy_on_request_headers", &format!("{} (i32.const 0)", set(0, &call)));
    let exchange = exchange(&filter(&guest));
    assert!(is_continue(exchange.stream.request_headers(true).await));
    assert_eq!(exchange.slot(0), 6, "there is none");
}

#[tokio::test]
async fn an_allocator_may_make_host_calls_itself() {
    let mut guest = Guest::new();
    let (outer, inner) = (guest.text("authorization"), guest.text(":path"));
    guest.allocator(&format!(
        "(global $depth (mut i32) (i32.const 0))
         (global $next (mut i32) (i32.const 65536))
         (func (export \"proxy_on_memory_allocate\") (param $size i32) (result i32)
           (local $block i32)
           (drop (memory.grow (i32.const 1)))
           (global.set $depth (i32.add (global.get $depth) (i32.const 1)))
           (if (i32.lt_u (global.get $depth) (i32.const 3)) (then
             (drop (call $proxy_get_header_map_value (i32.const 0) {inner} {} {}))))
           (local.set $block (global.get $next))
           (global.set $next (i32.add (global.get $next) (local.get $size)))
           (local.get $block))",
        at(4),
        at(5)
    ));
    let call =
        format!("(call $proxy_get_header_map_value (i32.const 0) {outer} {} {})", at(1), at(2));
    guest.on("proxy_on_request_headers", &format!("{} (i32.const 0)", set(0, &call)));
    let exchange = exchange(&filter(&guest));
    assert!(is_continue(exchange.stream.request_headers(true).await));
    assert_eq!((exchange.slot(0), exchange.given(1).as_str()), (0, "secret"));
    assert_eq!(exchange.given(4), "/pets?x=1");
}

#[tokio::test]
async fn an_allocator_that_never_ends_its_host_calls_is_stopped() {
    let mut guest = Guest::new();
    let name = guest.text("authorization");
    let call =
        format!("(call $proxy_get_header_map_value (i32.const 0) {name} {} {})", at(1), at(2));
    guest.allocator(&format!(
        "(func (export \"malloc\") (param i32) (result i32) (drop {call}) (i32.const 70000))"
    ));
    guest.on("proxy_on_request_headers", &format!("(drop {call}) (i32.const 0)"));
    let filter = load(&guest, limited()).unwrap();
    let error = exchange(&filter).stream.request_headers(true).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Stack);
}

#[tokio::test]
async fn giant_maps_are_refused() {
    let mut guest = Guest::new();
    let huge_count = guest.text([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    let huge_length = guest.text([1, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 0, 0]);
    let set_pairs = |slot, map: &str| {
        set(slot, &format!("(call $proxy_set_header_map_pairs (i32.const 0) {map})"))
    };
    guest.on(
        "proxy_on_request_headers",
        &format!("{} {} (i32.const 0)", set_pairs(0, &huge_count), set_pairs(1, &huge_length)),
    );
    let exchange = exchange(&filter(&guest));
    assert!(is_continue(exchange.stream.request_headers(true).await));
    assert_eq!((exchange.slot(0), exchange.slot(1)), (2, 2));
    assert_eq!(exchange.http.state.lock().request_headers.len(), 7);
}

#[tokio::test]
async fn a_filter_whose_ticks_trap_does_not_keep_the_host_busy() {
    let mut guest = Guest::new();
    guest.on(
        "proxy_on_configure",
        "(drop (call $proxy_set_tick_period_milliseconds (i32.const 1))) (i32.const 1)",
    );
    guest.on("proxy_on_tick", "unreachable");
    guest.on("proxy_on_request_headers", "(i32.const 0)");
    let filter = load(&guest, limited()).unwrap();
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(2)).await;
        match exchange(&filter).stream.request_headers(true).await {
            Ok(Verdict::Continue) => {}
            Err(error) => assert_eq!(error.kind, ErrorKind::Trap),
            other => panic!("{other:?}"),
        }
    }
}
