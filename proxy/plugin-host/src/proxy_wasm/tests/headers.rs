use super::guest::{at, set};
use super::*;
use crate::config::PluginLimits;
use crate::limits;

/// What `proxy_on_request_headers` with this body leaves.
async fn on_request(guest: &mut Guest, body: &str) -> Exchange {
    guest.on("proxy_on_request_headers", &format!("{body} (i32.const 0)"));
    let exchange = exchange(&filter(guest));
    assert!(is_continue(exchange.stream.request_headers(true).await));
    exchange
}

#[tokio::test]
async fn the_first_value_of_a_header_is_given_whatever_its_case() {
    let mut guest = Guest::new();
    let (name, missing) = (guest.text("ACCEPT"), guest.text("x-missing"));
    let body = format!(
        "{} {}",
        set(
            0,
            &format!("(call $proxy_get_header_map_value (i32.const 0) {name} {} {})", at(2), at(3))
        ),
        set(
            1,
            &format!(
                "(call $proxy_get_header_map_value (i32.const 0) {missing} {} {})",
                at(4),
                at(5)
            )
        ),
    );
    let exchange = on_request(&mut guest, &body).await;
    assert_eq!((exchange.slot(0), exchange.slot(1)), (0, 1));
    assert_eq!(exchange.given(2), "text/html");
}

#[tokio::test]
async fn an_empty_value_is_a_null_pointer() {
    let mut guest = Guest::new();
    let name = guest.text("x-empty");
    let call =
        format!("(call $proxy_get_header_map_value (i32.const 0) {name} {} {})", at(1), at(2));
    let add = format!(
        "(drop (call $proxy_add_header_map_value (i32.const 0) {name} (i32.const 0) (i32.const 0)))"
    );
    let body =
        format!("{add} {} {} {}", set(1, "(i32.const 9)"), set(2, "(i32.const 9)"), set(0, &call));
    let exchange = on_request(&mut guest, &body).await;
    assert_eq!((exchange.slot(0), exchange.slot(1), exchange.slot(2)), (0, 0, 0));
    assert_eq!(exchange.request_header("x-empty").unwrap(), "");
}

#[tokio::test]
async fn all_pairs_are_given_with_repeated_ones_and_pseudo_headers_first() {
    let mut guest = Guest::new();
    let body = format!(
        "{} {}",
        set(0, &format!("(call $proxy_get_header_map_pairs (i32.const 0) {} {})", at(2), at(3))),
        set(1, &format!("(call $proxy_get_header_map_size (i32.const 0) {})", at(4))),
    );
    let exchange = on_request(&mut guest, &body).await;
    assert_eq!((exchange.slot(0), exchange.slot(1)), (0, 0));
    let mut expected = Vec::new();
    let state = exchange.http.state.lock();
    super::super::maps::encode(state.request_headers.iter(), &mut expected);
    let size = state.request_headers.size();
    drop(state);
    assert_eq!(exchange.given(2), text(&expected));
    assert_eq!(exchange.slot(4) as usize, size);
}

#[tokio::test]
async fn headers_are_added_replaced_and_removed() {
    let mut guest = Guest::new();
    let (accept, value, path, new_path) =
        (guest.text("Accept"), guest.text("*/*"), guest.text(":path"), guest.text("/other"));
    let (authorization, missing) = (guest.text("authorization"), guest.text("x-missing"));
    let body = [
        set(0, &format!("(call $proxy_add_header_map_value (i32.const 0) {missing} {value})")),
        set(1, &format!("(call $proxy_add_header_map_value (i32.const 0) {missing} {value})")),
        set(2, &format!("(call $proxy_replace_header_map_value (i32.const 0) {accept} {value})")),
        set(3, &format!("(call $proxy_replace_header_map_value (i32.const 0) {path} {new_path})")),
        set(4, &format!("(call $proxy_remove_header_map_value (i32.const 0) {authorization})")),
        set(5, &format!("(call $proxy_remove_header_map_value (i32.const 0) {authorization})")),
    ];
    let exchange = on_request(&mut guest, &body.join(" ")).await;
    for slot in 0..6 {
        assert_eq!(exchange.slot(slot), 0, "{slot}");
    }
    let state = exchange.http.state.lock();
    let pairs: Vec<_> =
        state.request_headers.iter().map(|(name, value)| (text(name), text(value))).collect();
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(
        pairs,
        [
            (":method", "GET"),
            (":path", "/other"),
            (":authority", "example.com"),
            (":scheme", "https"),
            ("accept", "*/*"),
            ("x-missing", "*/*"),
            ("x-missing", "*/*"),
        ]
    );
}

#[tokio::test]
async fn a_new_map_replaces_all_but_what_a_request_must_have() {
    let mut guest = Guest::new();
    let map = guest.map(&[("X-A", "1"), (":authority", "other"), ("x-a", "2")]);
    let body = set(0, &format!("(call $proxy_set_header_map_pairs (i32.const 0) {map})"));
    let exchange = on_request(&mut guest, &body).await;
    assert_eq!(exchange.slot(0), 0);
    let state = exchange.http.state.lock();
    let pairs: Vec<_> = state.request_headers.iter().collect();
    let expected: [(&[u8], &[u8]); 6] = [
        (b":method", b"GET"),
        (b":path", b"/pets?x=1"),
        (b":authority", b"other"),
        (b":scheme", b"https"),
        (b"x-a", b"1"),
        (b"x-a", b"2"),
    ];
    assert_eq!(pairs, expected);
}

#[tokio::test]
async fn what_can_not_be_sent_is_refused() {
    for (name, value) in [
        ("x-a", "line\r\nend"),
        ("x-a", "nul\0"),
        ("x a", "value"),
        ("", "value"),
        (":path", "no-slash"),
        (":path", "/a b"),
        (":path", "/a HTTP/1.1\r\nx: y"),
        (":method", "G E T"),
        (":authority", "a b"),
        (":status", "200"),
        (":other", "value"),
    ] {
        let mut guest = Guest::new();
        let (operands, map) =
            (format!("{} {}", guest.text(name), guest.text(value)), guest.map(&[(name, value)]));
        let body = [
            set(0, &format!("(call $proxy_add_header_map_value (i32.const 0) {operands})")),
            set(1, &format!("(call $proxy_replace_header_map_value (i32.const 0) {operands})")),
            set(2, &format!("(call $proxy_set_header_map_pairs (i32.const 0) {map})")),
        ];
        let exchange = on_request(&mut guest, &body.join(" ")).await;
        for slot in 0..3 {
            assert_eq!(exchange.slot(slot), 2, "{name:?}: {value:?}");
        }
        assert!(!exchange.http.state.lock().request_headers.is_modified());
    }
}

#[tokio::test]
async fn a_request_keeps_its_path_and_method() {
    let mut guest = Guest::new();
    let (path, method, status) =
        (guest.text(":path"), guest.text(":METHOD"), guest.text(":status"));
    let remove = |name: &str| format!("(call $proxy_remove_header_map_value (i32.const 0) {name})");
    let body = [set(0, &remove(&path)), set(1, &remove(&method)), set(2, &remove(&status))];
    let exchange = on_request(&mut guest, &body.join(" ")).await;
    assert_eq!((exchange.slot(0), exchange.slot(1), exchange.slot(2)), (2, 2, 2));
    assert_eq!(exchange.http.state.lock().request_headers.len(), 7);
}

#[tokio::test]
async fn headers_are_readable_for_the_whole_life_of_the_exchange() {
    let mut guest = Guest::new();
    let name = guest.text("authorization");
    let read = |slot: usize| {
        set(
            slot,
            &format!(
                "(call $proxy_get_header_map_value (i32.const 0) {name} {} {})",
                at(slot + 1),
                at(slot + 2)
            ),
        )
    };
    let status = guest.text(":status");
    let read_status = set(
        9,
        &format!("(call $proxy_get_header_map_value (i32.const 2) {status} {} {})", at(10), at(11)),
    );
    guest.on("proxy_on_response_headers", &format!("{} (i32.const 0)", read(0)));
    guest.on("proxy_on_response_body", &format!("{} (i32.const 0)", read(3)));
    // An exchange that has ended can't be looked at, another one of the same VM can.
    guest.on("proxy_on_log", &format!("{} {read_status}", read(6)));
    let filter = filter(&guest);
    let other = exchange(&filter);
    assert!(is_continue(other.stream.request_headers(true).await));
    let first = exchange(&filter);
    assert!(is_continue(first.stream.request_headers(true).await));
    first.responds(&[(":status", "201")]);
    assert!(is_continue(first.stream.response_headers(false).await));
    first.http.state.lock().response_sent = true;
    assert!(is_continue(first.stream.response_body(&mut b"x".to_vec(), true).await));
    first.stream.finish();
    for slot in [0, 3, 6] {
        assert_eq!((other.slot(slot), other.given(slot + 1).as_str()), (0, "secret"), "{slot}");
    }
    assert_eq!((other.slot(9), other.given(10).as_str()), (0, "201"));
}

#[tokio::test]
async fn a_list_that_is_not_there_is_empty_and_not_an_error() {
    let mut guest = Guest::new();
    let name = guest.text("x");
    let mut body = String::new();
    for map in 1..8 {
        body += &set(
            2 * map,
            &format!("(call $proxy_get_header_map_pairs (i32.const {map}) {} {})", at(30), at(31)),
        );
        body += &set(
            2 * map + 1,
            &format!(
                "(call $proxy_get_header_map_value (i32.const {map}) {name} {} {})",
                at(30),
                at(31)
            ),
        );
    }
    body += &set(
        20,
        &format!("(call $proxy_get_header_map_pairs (i32.const 8) {} {})", at(30), at(31)),
    );
    let exchange = on_request(&mut guest, &body).await;
    for map in 1..8 {
        assert_eq!((exchange.slot(2 * map), exchange.slot(2 * map + 1)), (0, 1), "{map}");
    }
    assert_eq!((exchange.slot(30), exchange.slot(31)), (0, 0));
    assert_eq!(exchange.slot(20), 2);
}

#[tokio::test]
async fn headers_that_have_gone_can_not_be_changed() {
    let mut guest = Guest::new();
    let pair = format!("{} {}", guest.text("x-late"), guest.text("1"));
    let add = |map: u32| format!("(call $proxy_add_header_map_value (i32.const {map}) {pair})");
    guest.on("proxy_on_request_headers", &format!("{} (i32.const 0)", set(0, &add(2))));
    guest.on(
        "proxy_on_response_headers",
        &format!("{} {} (i32.const 0)", set(1, &add(0)), set(2, &add(2))),
    );
    guest.on("proxy_on_response_body", &format!("{} (i32.const 0)", set(3, &add(2))));
    guest.on(
        "proxy_on_response_trailers",
        &format!("{} {} (i32.const 0)", set(4, &add(3)), set(5, &add(1))),
    );
    let exchange = exchange(&filter(&guest));
    assert!(is_continue(exchange.stream.request_headers(true).await));
    exchange.responds(&[(":status", "200")]);
    assert!(is_continue(exchange.stream.response_headers(false).await));
    exchange.http.state.lock().response_sent = true;
    assert!(is_continue(exchange.stream.response_body(&mut b"x".to_vec(), true).await));
    exchange.http.state.lock().response_trailers.push(b"x-trailer", b"1");
    assert!(is_continue(exchange.stream.response_trailers().await));
    let slots: Vec<_> = (0..6).map(|slot| exchange.slot(slot)).collect();
    assert_eq!(slots, [2, 2, 0, 2, 0, 2]);
    let state = exchange.http.state.lock();
    assert_eq!(state.request_headers.get(b"x-late"), None);
    assert_eq!(state.response_headers.get(b"x-late"), Some(&b"1"[..]));
    assert_eq!(state.response_trailers.get(b"x-late"), Some(&b"1"[..]));
}

#[tokio::test]
async fn a_response_s_status_can_be_changed_to_another_status_only() {
    let mut guest = Guest::new();
    let name = guest.text(":status");
    let (teapot, continues, word) = (guest.text("418"), guest.text("100"), guest.text("2xx"));
    let replace = |value: &str| {
        format!("(call $proxy_replace_header_map_value (i32.const 2) {name} {value})")
    };
    let body = [set(0, &replace(&teapot)), set(1, &replace(&continues)), set(2, &replace(&word))];
    guest.on("proxy_on_response_headers", &format!("{} (i32.const 0)", body.join(" ")));
    let exchange = exchange(&filter(&guest));
    assert!(is_continue(exchange.stream.request_headers(true).await));
    exchange.responds(&[(":status", "200")]);
    assert!(is_continue(exchange.stream.response_headers(true).await));
    assert_eq!((exchange.slot(0), exchange.slot(1), exchange.slot(2)), (0, 2, 2));
    assert_eq!(exchange.http.state.lock().response_headers.get(b":status"), Some(&b"418"[..]));
}

#[tokio::test]
async fn the_size_and_number_of_headers_are_bounded() {
    let mut guest = Guest::new();
    let (name, value) = (guest.text("x-a"), guest.text(vec![b'v'; 1000]));
    let repeat = |call: &str, slot: usize| {
        format!(
            "(local.set $n (i32.const 0))
             (loop $more
               (i32.store (i32.const {}) {call})
               (br_if $more (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 2000))))",
            4 * slot
        )
    };
    let empty = guest.text("");
    let body = [
        // Replaced ones don't pile up.
        repeat(&format!("(call $proxy_replace_header_map_value (i32.const 0) {name} {value})"), 0),
        repeat(&format!("(call $proxy_add_header_map_value (i32.const 0) {name} {value})"), 1),
        format!("(drop (call $proxy_remove_header_map_value (i32.const 0) {name}))"),
        repeat(&format!("(call $proxy_add_header_map_value (i32.const 0) {name} {empty})"), 2),
    ];
    guest.on("proxy_on_request_headers", &format!("{} (i32.const 0)", body.join(" ")));
    // Thousands of host calls take a while in a debug build.
    let limits = PluginLimits { cpu_time: Duration::from_secs(20), ..PluginLimits::default() };
    let filter = load(&guest, PluginSettings { limits, ..PluginSettings::default() }).unwrap();
    let exchange = exchange(&filter);
    assert!(is_continue(exchange.stream.request_headers(true).await));
    assert_eq!((exchange.slot(0), exchange.slot(1), exchange.slot(2)), (0, 2, 2));
    assert_eq!(exchange.http.state.lock().request_headers.len(), limits::HEADER_COUNT);
}
