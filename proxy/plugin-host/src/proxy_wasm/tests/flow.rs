//! The order of callbacks, pauses, replies and resets.

use super::guest::{at, count, get, set};
use super::*;
use crate::config::PluginLimits;
use crate::{ErrorKind, Reply};

const DEFAULT_WAIT: u64 = 5_000;

fn with_wait(milliseconds: u64) -> PluginSettings {
    let limits =
        PluginLimits { wait: Duration::from_millis(milliseconds), ..PluginLimits::default() };
    PluginSettings { limits, ..PluginSettings::default() }
}

/// Appends a number to the list that begins at slot 101 and whose length is in slot 100.
fn note(number: &str) -> String {
    format!(
        "(i32.store (i32.add (i32.const 404) (i32.shl {} (i32.const 2))) {number}) {}",
        get(100),
        count(100)
    )
}

fn noted(exchange: &Exchange) -> Vec<u32> {
    (0..exchange.slot(100)).map(|at| exchange.slot(101 + at as usize)).collect()
}

fn reply(verdict: Result<Verdict, PluginError>) -> Reply {
    match verdict {
        Ok(Verdict::Reply(reply)) => *reply,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn callbacks_come_in_the_order_of_the_abi_with_their_parameters() {
    let mut guest = Guest::new();
    for (at, (name, parameters, has_result)) in guest::CALLBACKS.iter().enumerate() {
        let mut body = note(&format!("(i32.const {})", 1000 + at));
        for parameter in 0..*parameters {
            body += &note(&format!("(local.get {parameter})"));
        }
        let result = match *name {
            "proxy_on_vm_start" | "proxy_on_configure" | "proxy_on_done" => "(i32.const 1)",
            _ if *has_result => "(i32.const 0)",
            _ => "",
        };
        guest.on(name, &format!("{body} {result}"));
    }
    let settings = PluginSettings { configuration: b"12345".to_vec(), ..PluginSettings::default() };
    let filter = load(&guest, settings).unwrap();
    let other = exchange(&filter);
    assert!(is_continue(other.stream.request_headers(true).await));
    let before = noted(&other);
    let root = root_id();
    let id = |exchange: &Exchange| exchange.stream.bound.get().unwrap().id.0;
    assert_eq!(before[..9], [1000, root, 0, 1001, root, 0, 1002, root, 5]);
    assert_eq!(before[9..], [1000, id(&other), root, 1008, id(&other), 7, 1]);

    let whole = exchange(&filter);
    assert!(is_continue(whole.stream.request_headers(false).await));
    assert!(is_continue(whole.stream.request_body(&mut b"abc".to_vec(), false).await));
    assert!(is_continue(whole.stream.request_body(&mut Vec::new(), true).await));
    whole.http.state.lock().request_trailers.push(b"x-trailer", b"1");
    assert!(is_continue(whole.stream.request_trailers().await));
    whole.responds(&[(":status", "200"), ("x-a", "b")]);
    assert!(is_continue(whole.stream.response_headers(false).await));
    assert!(is_continue(whole.stream.response_body(&mut b"defg".to_vec(), true).await));
    whole.http.state.lock().response_trailers.push(b"x-trailer", b"1");
    assert!(is_continue(whole.stream.response_trailers().await));
    let whole_id = id(&whole);
    whole.stream.finish();
    whole.stream.finish();
    drop(whole);
    assert_eq!(
        noted(&other)[before.len()..],
        [
            [1000, whole_id, root].as_slice(),
            &[1008, whole_id, 7, 0],
            &[1009, whole_id, 3, 0],
            &[1009, whole_id, 0, 1],
            &[1010, whole_id, 1],
            &[1011, whole_id, 2, 0],
            &[1012, whole_id, 4, 1],
            &[1013, whole_id, 1],
            &[1003, whole_id],
            &[1004, whole_id],
            &[1005, whole_id],
        ]
        .concat()
    );
    assert_eq!(other.contexts(), 1);
}

#[tokio::test]
async fn a_context_that_was_never_made_is_never_ended() {
    let mut guest = Guest::new();
    guest.on("proxy_on_done", &format!("{} (i32.const 1)", count(0)));
    let filter = filter(&guest);
    let unseen = exchange(&filter);
    unseen.responds(&[(":status", "403")]);
    assert!(is_continue(unseen.stream.response_headers(true).await));
    unseen.stream.finish();
    let other = exchange(&filter);
    assert!(is_continue(other.stream.request_headers(true).await));
    assert_eq!((other.slot(0), other.contexts()), (0, 1));
}

#[tokio::test]
async fn an_exchange_that_is_dropped_is_ended_too() {
    let mut guest = Guest::new();
    guest.on("proxy_on_delete", &count(0));
    let filter = filter(&guest);
    let dropped = exchange(&filter);
    assert!(is_continue(dropped.stream.request_headers(true).await));
    drop(dropped);
    let other = exchange(&filter);
    assert!(is_continue(other.stream.request_headers(true).await));
    assert_eq!((other.slot(0), other.contexts()), (1, 1));
}

#[tokio::test]
async fn a_context_that_is_not_done_stays_until_it_says_so() {
    let mut guest = Guest::new();
    guest.on("proxy_on_context_create", &set(5, "(local.get 0)"));
    guest.on("proxy_on_done", &format!("{} (i32.const 0)", set(0, "(call $proxy_done)")));
    guest.on("proxy_on_log", &note("(i32.const 1)"));
    guest.on("proxy_on_delete", &note("(i32.const 2)"));
    // The next request finishes the one before it.
    guest.on(
        "proxy_on_request_headers",
        &format!(
            "(if {} (then {} {} {})) {} (i32.const 0)",
            get(6),
            set(1, &format!("(call $proxy_set_effective_context {})", get(6))),
            set(2, "(call $proxy_done)"),
            set(3, "(call $proxy_done)"),
            set(6, &get(5)),
        ),
    );
    let filter = filter(&guest);
    let first = exchange(&filter);
    assert!(is_continue(first.stream.request_headers(true).await));
    first.stream.finish();
    assert_eq!((first.slot(0), first.contexts()), (1, 1), "nothing was pending then");
    assert!(noted(&first).is_empty());
    let second = exchange(&filter);
    assert!(is_continue(second.stream.request_headers(true).await));
    assert_eq!((second.slot(1), second.slot(2), second.slot(3)), (0, 0, 1));
    assert_eq!((noted(&second), second.contexts()), (vec![1, 2], 1));
}

#[tokio::test]
async fn a_context_that_never_says_so_is_ended_in_time() {
    let mut guest = Guest::new();
    guest.on("proxy_on_done", "(i32.const 0)");
    guest.on("proxy_on_delete", &count(0));
    let filter = load(&guest, with_wait(20)).unwrap();
    let first = exchange(&filter);
    assert!(is_continue(first.stream.request_headers(true).await));
    first.stream.finish();
    assert_eq!(first.contexts(), 1);
    eventually("it is deleted", || first.slot(0) == 1).await;
    assert_eq!(first.contexts(), 0);
}

#[tokio::test]
async fn unknown_contexts_can_not_be_effective() {
    let mut guest = Guest::new();
    let set_to = |slot, id: &str| set(slot, &format!("(call $proxy_set_effective_context {id})"));
    let body = [
        set_to(0, "(i32.const 1)"),
        set_to(1, "(local.get 0)"),
        set_to(2, "(i32.const 0)"),
        set_to(3, "(i32.add (local.get 0) (i32.const 1))"),
        set_to(4, "(i32.add (local.get 0) (i32.const 65536))"),
    ];
    guest.on("proxy_on_request_headers", &format!("{} (i32.const 0)", body.join(" ")));
    let exchange = exchange(&filter(&guest));
    assert!(is_continue(exchange.stream.request_headers(true).await));
    assert_eq!([0, 1, 2, 3, 4].map(|slot| exchange.slot(slot)), [0, 0, 2, 2, 2]);
}

/// A filter that pauses with `action` in a callback and lets the next tick after `slot 8` is set
/// do something with it.
fn pauses(callback: &str, on_tick: &str) -> Guest {
    let mut guest = Guest::new();
    guest.on("proxy_on_context_create", &set(9, "(local.get 0)"));
    guest.on(
        "proxy_on_configure",
        "(drop (call $proxy_set_tick_period_milliseconds (i32.const 1))) (i32.const 1)",
    );
    guest.on(callback, &format!("{} (i32.const 1)", set(8, "(i32.const 1)")));
    guest.on(
        "proxy_on_tick",
        &format!(
            "(if {} (then (drop (call $proxy_set_effective_context {})) {on_tick} {}))",
            get(8),
            get(9),
            set(8, "(i32.const 0)")
        ),
    );
    guest
}

const RESUME: &str = "(drop (call $proxy_continue_stream (i32.const 0)))
                      (drop (call $proxy_continue_stream (i32.const 1)))";

#[tokio::test]
async fn a_pause_lasts_until_the_stream_is_continued() {
    for callback in [
        "proxy_on_request_headers",
        "proxy_on_request_body",
        "proxy_on_request_trailers",
        "proxy_on_response_headers",
        "proxy_on_response_body",
        "proxy_on_response_trailers",
    ] {
        let filter = load(&pauses(callback, RESUME), with_wait(DEFAULT_WAIT)).unwrap();
        let exchange = exchange(&filter);
        let stream = &exchange.stream;
        assert!(is_continue(stream.request_headers(false).await), "{callback}");
        let mut piece = b"abc".to_vec();
        assert!(is_continue(stream.request_body(&mut piece, true).await), "{callback}");
        assert_eq!(piece, b"abc", "{callback}");
        assert!(is_continue(stream.request_trailers().await), "{callback}");
        exchange.responds(&[(":status", "200")]);
        assert!(is_continue(stream.response_headers(false).await), "{callback}");
        let mut piece = b"def".to_vec();
        assert!(is_continue(stream.response_body(&mut piece, true).await), "{callback}");
        assert_eq!(piece, b"def", "{callback}");
        assert!(is_continue(stream.response_trailers().await), "{callback}");
        assert_eq!(exchange.slot(8), 0, "{callback}: the tick has resumed it");
    }
}

#[tokio::test]
async fn a_pause_can_end_in_a_reply_or_a_reset() {
    let reply_with_401 =
        "(drop (call $proxy_send_local_response (i32.const 401) (i32.const 0) (i32.const 0)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))";
    let guest = pauses("proxy_on_request_headers", reply_with_401);
    let replied = exchange(&load(&guest, with_wait(DEFAULT_WAIT)).unwrap());
    assert_eq!(reply(replied.stream.request_headers(true).await).status, 401);
    let guest =
        pauses("proxy_on_request_headers", "(drop (call $proxy_close_stream (i32.const 0)))");
    let reset = exchange(&load(&guest, with_wait(DEFAULT_WAIT)).unwrap());
    assert!(matches!(reset.stream.request_headers(true).await, Ok(Verdict::Reset)));
}

#[tokio::test]
async fn a_filter_that_never_resumes_fails_the_exchange_in_time() {
    for callback in ["proxy_on_request_headers", "proxy_on_request_body"] {
        let filter = load(&pauses(callback, ""), with_wait(30)).unwrap();
        let exchange = exchange(&filter);
        let result = exchange.stream.request_headers(false).await;
        let result = match callback {
            "proxy_on_request_headers" => result,
            _ => exchange.stream.request_body(&mut b"abc".to_vec(), true).await,
        };
        let error = result.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Wait);
        assert_eq!(
            error.message,
            "the exchange waited too long for it to resume the exchange; allowed: 30ms in all"
        );
        exchange.stream.finish();
        assert_eq!(exchange.contexts(), 0);
    }
}

#[tokio::test]
async fn continuing_what_is_not_paused_does_nothing_and_within_the_callback_counts() {
    let mut guest = Guest::new();
    let call =
        |slot, stream| set(slot, &format!("(call $proxy_continue_stream (i32.const {stream}))"));
    guest.on(
        "proxy_on_request_headers",
        &format!("{} {} {} {} (i32.const 1)", call(0, 0), call(1, 1), call(2, 2), call(3, 4)),
    );
    let exchange = exchange(&load(&guest, with_wait(DEFAULT_WAIT)).unwrap());
    assert!(is_continue(exchange.stream.request_headers(true).await));
    assert_eq!([0, 1, 2, 3].map(|slot| exchange.slot(slot)), [0, 0, 12, 2]);
}

fn replies(
    guest: &mut Guest,
    status: i32,
    headers: &[(&str, &str)],
    body: &str,
    grpc: i32,
) -> String {
    let (details, body, headers) = (guest.text("by_filter"), guest.text(body), guest.map(headers));
    format!(
        "(call $proxy_send_local_response (i32.const {status}) {details} {body} {headers} (i32.const {grpc}))"
    )
}

#[tokio::test]
async fn a_reply_wins_over_the_action_and_ends_the_request() {
    let mut guest = Guest::new();
    let headers = [
        (":status", "200"),
        ("X-Why", "no token"),
        ("Content-Length", "99"),
        ("transfer-encoding", "chunked"),
        ("Connection", "close"),
        ("x-why", "at all"),
    ];
    let first = replies(&mut guest, 401, &headers, "no", -1);
    let second = replies(&mut guest, 500, &[], "", -1);
    guest.on(
        "proxy_on_request_headers",
        &format!("{} {} (i32.const 0)", set(0, &first), set(1, &second)),
    );
    guest.on("proxy_on_request_body", &format!("{} (i32.const 0)", count(2)));
    guest.on("proxy_on_response_headers", &format!("{} (i32.const 0)", count(3)));
    let exchange = exchange(&filter(&guest));
    let reply = reply(exchange.stream.request_headers(false).await);
    assert_eq!(
        reply,
        Reply {
            status: 401,
            headers: vec![
                ("x-why".into(), b"no token".as_slice().into()),
                ("x-why".into(), b"at all".as_slice().into()),
            ],
            body: b"no".to_vec(),
            grpc_status: None,
            details: "by_filter".to_owned(),
        }
    );
    assert!(is_continue(exchange.stream.request_body(&mut b"x".to_vec(), true).await));
    exchange.responds(&[(":status", "401")]);
    assert!(is_continue(exchange.stream.response_headers(true).await));
    assert_eq!([0, 1, 2, 3].map(|slot| exchange.slot(slot)), [0, 0, 0, 1]);
}

#[tokio::test]
async fn a_reply_replaces_a_response_that_has_not_gone_and_resets_one_that_has() {
    let mut guest = Guest::new();
    let call = replies(&mut guest, 502, &[], "", 7);
    guest.on("proxy_on_response_body", &format!("{} (i32.const 0)", set(0, &call)));
    let filter = filter(&guest);
    for sent in [false, true] {
        let exchange = exchange(&filter);
        assert!(is_continue(exchange.stream.request_headers(true).await));
        exchange.responds(&[(":status", "200")]);
        assert!(is_continue(exchange.stream.response_headers(false).await));
        exchange.http.state.lock().response_sent = sent;
        let verdict = exchange.stream.response_body(&mut b"x".to_vec(), true).await;
        match sent {
            false => assert_eq!(reply(verdict).grpc_status, Some(7)),
            true => assert!(matches!(verdict, Ok(Verdict::Reset)), "{verdict:?}"),
        }
        assert_eq!(exchange.slot(0), 0);
    }
}

#[tokio::test]
async fn a_reply_that_can_not_be_sent_fails_the_exchange_and_not_the_vm() {
    let header: &[(&str, &str)] = &[("x-a", "a\r\nb")];
    let name: &[(&str, &str)] = &[("x a", "b")];
    for (status, headers) in
        [(99, &[][..]), (100, &[]), (600, &[]), (-1, &[]), (200, header), (200, name)]
    {
        let mut guest = Guest::new();
        let call = replies(&mut guest, status, headers, "", -1);
        guest.on("proxy_on_request_headers", &format!("{} (i32.const 0)", set(0, &call)));
        let exchange = exchange(&filter(&guest));
        let error = exchange.stream.request_headers(true).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Output, "{status} {headers:?}");
        assert_eq!(exchange.slot(0), 2);
    }
}

#[tokio::test]
async fn closing_a_stream_resets_the_exchange() {
    for direction in 0..2 {
        let mut guest = Guest::new();
        let call = format!("(call $proxy_close_stream (i32.const {direction}))");
        guest.on("proxy_on_request_headers", &format!("{} (i32.const 0)", set(0, &call)));
        let exchange = exchange(&filter(&guest));
        assert!(matches!(exchange.stream.request_headers(true).await, Ok(Verdict::Reset)));
        assert_eq!(exchange.slot(0), 0);
    }
}

#[tokio::test]
async fn ticks_come_with_the_latest_period_until_it_is_zero() {
    let mut guest = Guest::new();
    let period = |milliseconds: u32| {
        format!("(drop (call $proxy_set_tick_period_milliseconds (i32.const {milliseconds})))")
    };
    guest.on("proxy_on_configure", &format!("{} {} (i32.const 1)", period(3_600_000), period(1)));
    guest.on(
        "proxy_on_tick",
        &format!(
            "{} {} (if (i32.eq {} (i32.const 3)) (then {}))",
            set(1, "(local.get 0)"),
            count(0),
            get(0),
            period(0)
        ),
    );
    let exchange = exchange(&filter(&guest));
    assert!(is_continue(exchange.stream.request_headers(true).await));
    eventually("three ticks come", || exchange.slot(0) == 3).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!((exchange.slot(0), exchange.slot(1)), (3, root_id()));
}

#[tokio::test]
async fn both_sides_may_run_at_the_same_time() {
    let filter = load(&pauses("proxy_on_request_body", RESUME), with_wait(DEFAULT_WAIT)).unwrap();
    let exchange = exchange(&filter);
    assert!(is_continue(exchange.stream.request_headers(false).await));
    exchange.responds(&[(":status", "200")]);
    let mut piece = b"abc".to_vec();
    let (request, response) = tokio::join!(
        exchange.stream.request_body(&mut piece, true),
        exchange.stream.response_headers(true),
    );
    assert!(is_continue(request) && is_continue(response));
    assert_eq!(piece, b"abc");
}

#[tokio::test]
async fn calls_to_what_the_plugin_was_not_given_are_refused() {
    let mut guest = Guest::new();
    let upstream = guest.text("secret-service");
    let headers = guest.map(&[(":method", "GET"), (":path", "/"), (":authority", "")]);
    let call = format!(
        "(call $proxy_http_call {upstream} {headers} (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 100) {})",
        at(1)
    );
    guest.on("proxy_on_request_headers", &format!("{} (i32.const 0)", set(0, &call)));
    let exchange = exchange(&filter(&guest));
    assert!(is_continue(exchange.stream.request_headers(true).await));
    assert_eq!(exchange.slot(0), 2);
}
