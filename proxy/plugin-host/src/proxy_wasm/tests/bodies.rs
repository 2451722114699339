//! Bodies, in pieces and held.

use super::guest::{at, count, get, set};
use super::*;
use crate::BodyNeed;
use crate::config::PluginLimits;

const READ: &str = "(drop (call $proxy_get_buffer_bytes (i32.const 0) (i32.const 0) (i32.const 100000) (i32.const 40) (i32.const 44)))";

/// A filter that pauses until the end of the body, and notes what it can read there.
fn holds() -> Guest {
    let mut guest = Guest::new();
    guest.on(
        "proxy_on_request_body",
        &format!(
            "{} {} {} {READ} (i32.eqz (local.get 2))",
            count(0),
            set(1, "(local.get 1)"),
            set(2, "(local.get 2)"),
        ),
    );
    guest
}

async fn begun(filter: &Filter) -> Exchange {
    let exchange = exchange(filter);
    assert!(is_continue(exchange.stream.request_headers(false).await));
    exchange
}

/// What comes of a piece.
async fn sent(exchange: &Exchange, piece: &str, last: bool) -> String {
    let mut piece = piece.as_bytes().to_vec();
    assert!(is_continue(exchange.stream.request_body(&mut piece, last).await));
    text(&piece)
}

#[tokio::test]
async fn a_body_is_needed_where_its_callback_is_there() {
    let without = exchange(&filter(&Guest::new()));
    assert!(is_continue(without.stream.request_headers(false).await));
    assert_eq!(without.stream.request_body_need(), BodyNeed::None);
    let with = begun(&filter(&holds())).await;
    assert_eq!(with.stream.request_body_need(), BodyNeed::Streamed);
    assert_eq!(with.stream.response_body_need(), BodyNeed::None);
    let empty = exchange(&filter(&holds()));
    assert!(is_continue(empty.stream.request_headers(true).await));
    assert_eq!(empty.stream.request_body_need(), BodyNeed::None);
}

#[tokio::test]
async fn a_held_body_is_seen_whole_and_goes_on_whole() {
    let exchange = begun(&filter(&holds())).await;
    assert_eq!(sent(&exchange, "one ", false).await, "");
    assert_eq!(sent(&exchange, "two ", false).await, "");
    assert_eq!(
        (exchange.slot(1), exchange.slot(2), exchange.given(10).as_str()),
        (8, 0, "one two ")
    );
    assert_eq!(sent(&exchange, "three", true).await, "one two three");
    assert_eq!((exchange.slot(0), exchange.slot(1), exchange.slot(2)), (3, 13, 1));
}

#[tokio::test]
async fn after_a_continue_only_newer_bytes_are_seen() {
    let mut guest = Guest::new();
    guest.on("proxy_on_request_body", &format!("{} {READ} (i32.const 0)", set(1, "(local.get 1)")));
    let exchange = begun(&filter(&guest)).await;
    assert_eq!(sent(&exchange, "first", false).await, "first");
    assert_eq!(sent(&exchange, "2nd", false).await, "2nd");
    assert_eq!((exchange.slot(1), exchange.given(10).as_str()), (3, "2nd"));
    assert_eq!(sent(&exchange, "", true).await, "");
    assert_eq!(exchange.slot(1), 0);
}

#[tokio::test]
async fn what_the_filter_writes_goes_on() {
    for (start, size, expected) in [
        (0, 0, "NEWbody"),
        (0, 100, "NEW"),
        (0, 4, "NEW"),
        (100, 0, "bodyNEW"),
        (4, 9, "bodyNEW"),
        (1, 2, "bNEWy"),
    ] {
        let mut guest = Guest::new();
        let new = guest.text("NEW");
        let call = format!(
            "(call $proxy_set_buffer_bytes (i32.const 0) (i32.const {start}) (i32.const {size}) {new})"
        );
        guest.on("proxy_on_request_body", &format!("{} (i32.const 0)", set(0, &call)));
        let exchange = begun(&filter(&guest)).await;
        assert_eq!(sent(&exchange, "body", true).await, expected, "{start} {size}");
        assert_eq!(exchange.slot(0), 0);
    }
}

#[tokio::test]
async fn a_body_is_out_of_reach_when_it_has_gone() {
    let mut guest = Guest::new();
    let read = |slot| {
        set(
            slot,
            &format!(
                "(call $proxy_get_buffer_bytes (i32.const 0) (i32.const 0) (i32.const 9) {} {})",
                at(20),
                at(21)
            ),
        )
    };
    let write = "(call $proxy_set_buffer_bytes (i32.const 0) (i32.const 0) (i32.const 9) (i32.const 0) (i32.const 0))";
    guest.on("proxy_on_request_headers", &format!("{} (i32.const 0)", read(0)));
    guest.on("proxy_on_request_body", "(i32.const 0)");
    guest.on("proxy_on_response_headers", &format!("{} {} (i32.const 0)", read(1), set(2, write)));
    let exchange = begun(&filter(&guest)).await;
    sent(&exchange, "body", true).await;
    exchange.responds(&[(":status", "200")]);
    assert!(is_continue(exchange.stream.response_headers(true).await));
    assert_eq!((exchange.slot(0), exchange.slot(1), exchange.slot(2)), (1, 1, 1));
}

#[tokio::test]
async fn a_held_body_is_bounded() {
    let limits = PluginLimits { body: 10, ..PluginLimits::default() };
    let settings = PluginSettings { limits, ..PluginSettings::default() };
    let exchange = begun(&load(&holds(), settings).unwrap()).await;
    assert_eq!(sent(&exchange, "0123456", false).await, "");
    let verdict = exchange.stream.request_body(&mut b"7890".to_vec(), false).await;
    assert!(matches!(verdict, Ok(Verdict::BodyTooLarge)), "{verdict:?}");
}

#[tokio::test]
async fn a_body_that_a_filter_makes_too_large_fails_the_exchange_only() {
    let mut guest = Guest::new();
    let call = "(call $proxy_set_buffer_bytes (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 11))";
    guest.on("proxy_on_request_body", &format!("{} (i32.const 0)", set(0, call)));
    let limits = PluginLimits { body: 10, ..PluginLimits::default() };
    let settings = PluginSettings { limits, ..PluginSettings::default() };
    let exchange = begun(&load(&guest, settings).unwrap()).await;
    let error = exchange.stream.request_body(&mut b"1".to_vec(), true).await.unwrap_err();
    assert_eq!(error.kind, crate::ErrorKind::Output);
    assert_eq!(exchange.slot(0), 2, "its VM is still there");
}

#[tokio::test]
async fn a_body_resumed_between_two_pieces_goes_on_with_the_next_one() {
    let mut guest = Guest::new();
    guest.on(
        "proxy_on_request_body",
        &format!("{} {} (i32.eqz {})", count(0), set(1, "(local.get 1)"), get(2)),
    );
    guest.on("proxy_on_context_create", &set(3, "(local.get 0)"));
    // The second tick is early enough.
    guest.on(
        "proxy_on_configure",
        "(drop (call $proxy_set_tick_period_milliseconds (i32.const 1))) (i32.const 1)",
    );
    guest.on(
        "proxy_on_tick",
        &format!(
            "(if {} (then (drop (call $proxy_set_effective_context {})) (drop (call $proxy_continue_stream (i32.const 0))) {}))",
            get(0), get(3), set(2, "(i32.const 1)")
        ),
    );
    let exchange = begun(&filter(&guest)).await;
    assert_eq!(sent(&exchange, "held ", false).await, "");
    eventually("the tick comes", || exchange.slot(2) == 1).await;
    assert_eq!(sent(&exchange, "new", true).await, "held new");
    assert_eq!(exchange.slot(1), 3, "the filter sees only what is new");
}

#[tokio::test]
async fn responses_have_bodies_too() {
    let mut guest = Guest::new();
    let new = guest.text("NEW");
    guest.on(
        "proxy_on_response_body",
        &format!("(drop (call $proxy_set_buffer_bytes (i32.const 1) (i32.const 0) (local.get 1) {new})) (i32.const 0)"),
    );
    let exchange = exchange(&filter(&guest));
    assert!(is_continue(exchange.stream.request_headers(true).await));
    exchange.responds(&[(":status", "200")]);
    assert!(is_continue(exchange.stream.response_headers(false).await));
    assert_eq!(exchange.stream.response_body_need(), BodyNeed::Streamed);
    let mut piece = b"old".to_vec();
    assert!(is_continue(exchange.stream.response_body(&mut piece, true).await));
    assert_eq!(piece, b"NEW");
}

#[tokio::test]
async fn higress_filters_hold_headers_while_the_body_comes() {
    let mut guest = holds();
    let pair = format!("{} {}", guest.text("x-seen"), guest.text("1"));
    guest.on("proxy_on_request_headers", "(i32.const 1)");
    guest.on(
        "proxy_on_request_trailers",
        &format!(
            "{} (i32.const 0)",
            set(5, &format!("(call $proxy_add_header_map_value (i32.const 0) {pair})"))
        ),
    );
    let filter = load_wat(&guest.wat(), PluginSettings::default(), Abi::V0_2_100).unwrap();
    let first = begun(&filter).await;
    assert_eq!(first.stream.request_body_need(), BodyNeed::Whole);
    assert_eq!(sent(&first, "whole", true).await, "whole");
    assert!(is_continue(first.stream.request_trailers().await));
    assert_eq!(first.slot(5), 0, "the headers can still be changed");
    // Without a body there is nothing to go on with.
    let limits = PluginLimits { wait: Duration::from_millis(20), ..PluginLimits::default() };
    let settings = PluginSettings { limits, ..PluginSettings::default() };
    let filter = load_wat(&guest.wat(), settings, Abi::V0_2_100).unwrap();
    let error = exchange(&filter).stream.request_headers(true).await.unwrap_err();
    assert_eq!(error.kind, crate::ErrorKind::Wait);
}

#[tokio::test]
async fn higress_filters_can_end_the_request_or_drop_its_body() {
    let mut guest = Guest::new();
    guest.on("proxy_on_request_headers", "(i32.const 2)");
    guest.on("proxy_on_request_body", &format!("{} (i32.const 0)", count(0)));
    let filter = load_wat(&guest.wat(), PluginSettings::default(), Abi::V0_2_100).unwrap();
    let ended = exchange(&filter);
    ended.http.state.lock().request_headers.push(b"content-length", b"4");
    assert!(is_continue(ended.stream.request_headers(false).await));
    assert_eq!(ended.stream.request_body_need(), BodyNeed::Streamed);
    assert_eq!(ended.request_header("content-length"), None);
    assert_eq!(sent(&ended, "body", true).await, "");
    assert_eq!(ended.slot(0), 0, "the filter doesn't see it");

    let mut guest = Guest::new();
    guest.on("proxy_on_request_body", "(select (i32.const 0) (i32.const 3) (local.get 2))");
    let filter = load_wat(&guest.wat(), PluginSettings::default(), Abi::V0_2_100).unwrap();
    let dropped = begun(&filter).await;
    assert_eq!(sent(&dropped, "dropped", false).await, "");
    assert_eq!(sent(&dropped, "kept", true).await, "kept");
}
