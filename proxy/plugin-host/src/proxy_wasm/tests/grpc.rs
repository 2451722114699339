//! gRPC calls.

use bytes::Bytes;
use http::{HeaderMap, Response};
use tokio::net::TcpListener;

use super::guest::{at, count, get, set};
use super::upstreams::{Hosted, load_with_upstream};
use super::*;

/// A server that sends back what it gets for the method `Echo`, and says no to all others.
async fn echoing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(serve(connection));
        }
    });
    address
}

async fn serve(connection: tokio::net::TcpStream) {
    let mut connection = h2::server::handshake(connection).await.unwrap();
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(answer(request, respond));
    }
}

async fn answer(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
) {
    let is_echo = request.uri().path() == "/test.Service/Echo";
    let key = request.headers().get("x-key").cloned();
    let mut response = Response::builder().header("content-type", "application/grpc");
    if let Some(key) = key {
        response = response.header("x-key", key);
    }
    let mut stream = respond.send_response(response.body(()).unwrap(), false).unwrap();
    let mut trailers = HeaderMap::new();
    if is_echo {
        let mut body = request.into_body();
        while let Some(Ok(data)) = body.data().await {
            let _ = body.flow_control().release_capacity(data.len());
            stream.send_data(data, false).unwrap();
        }
        trailers.insert("grpc-status", "0".parse().unwrap());
        trailers.insert("x-end", "yes".parse().unwrap());
    } else {
        trailers.insert("grpc-status", "5".parse().unwrap());
        trailers.insert("grpc-message", "gone".parse().unwrap());
    }
    stream.send_trailers(trailers).unwrap();
}

/// Notes what comes to the gRPC callbacks, and resumes the request at the end.
fn notes(guest: &mut Guest) {
    let (key, end) = (guest.text("x-key"), guest.text("x-end"));
    let value = |slot: usize, map: u32, name: &str| {
        set(
            slot,
            &format!(
                "(call $proxy_get_header_map_value (i32.const {map}) {name} {} {})",
                at(slot + 1),
                at(slot + 2)
            ),
        )
    };
    let resume = format!(
        "(drop (call $proxy_set_effective_context {})) (drop (call $proxy_continue_stream (i32.const 0)))",
        get(50)
    );
    guest.on("proxy_on_context_create", &set(50, "(local.get 0)"));
    guest.on(
        "proxy_on_grpc_receive_initial_metadata",
        &format!("{} {} {}", count(20), set(21, "(local.get 1)"), value(22, 4, &key)),
    );
    guest.on(
        "proxy_on_grpc_receive",
        &format!(
            "{} {} {} {} (if {} (then {resume}))",
            count(26),
            set(27, "(local.get 1)"),
            set(28, "(local.get 2)"),
            set(29, &format!("(call $proxy_get_buffer_bytes (i32.const 5) (i32.const 0) (i32.const 99) {} {})", at(30), at(31))),
            get(48),
        ),
    );
    guest.on(
        "proxy_on_grpc_receive_trailing_metadata",
        &format!("{} {}", count(32), value(33, 5, &end)),
    );
    guest.on(
        "proxy_on_grpc_close",
        &format!(
            "{} {} {} {} {resume}",
            count(36),
            set(37, "(local.get 0)"),
            set(38, "(local.get 2)"),
            set(39, &format!("(call $proxy_get_status {} {} {})", at(40), at(41), at(42))),
        ),
    );
}

/// The operands of an upstream, a service, a method and metadata.
fn target(guest: &mut Guest, upstream: impl AsRef<[u8]>, method: &str) -> String {
    let (upstream, service) = (guest.text(upstream), guest.text("test.Service"));
    let (method, metadata) = (guest.text(method), guest.map(&[("x-key", "value")]));
    format!("{upstream} {service} {method} {metadata}")
}

fn unary(guest: &mut Guest, slot: usize, upstream: impl AsRef<[u8]>, method: &str) -> String {
    let (target, message) = (target(guest, upstream, method), guest.text("hello"));
    set(
        slot,
        &format!("(call $proxy_grpc_call {target} {message} (i32.const 5000) {})", at(slot + 1)),
    )
}

async fn hosted(guest: &Guest) -> Hosted {
    let bytes = wat::parse_str(guest.wat()).unwrap();
    load_with_upstream(&bytes, "", "backend", &echoing().await)
}

#[tokio::test]
async fn the_answer_of_a_call_is_one_message() {
    // An upstream's name, and what Envoy calls a GrpcService.
    for upstream in [&b"backend"[..], b"\x0a\x09\x0a\x07backend"] {
        let mut guest = Guest::new();
        let call = unary(&mut guest, 0, upstream, "Echo");
        notes(&mut guest);
        guest.on(
            "proxy_on_request_headers",
            &format!("{} {call} (i32.const 1)", set(48, "(i32.const 1)")),
        );
        let hosted = hosted(&guest).await;
        let exchange = exchange(hosted.filter());
        assert!(is_continue(exchange.stream.request_headers(true).await));
        assert_eq!((exchange.slot(0), exchange.slot(26), exchange.slot(28)), (0, 1, 5));
        assert_eq!(exchange.slot(27), exchange.slot(1));
        assert_eq!((exchange.slot(29), exchange.given(30).as_str()), (0, "hello"));
        assert_eq!(exchange.slot(36), 0, "it does not end in another callback");
    }
}

#[tokio::test]
async fn a_call_that_fails_ends_with_its_status() {
    let mut guest = Guest::new();
    let call = unary(&mut guest, 0, "backend", "Other");
    notes(&mut guest);
    guest.on("proxy_on_request_headers", &format!("{call} (i32.const 1)"));
    let hosted = hosted(&guest).await;
    let exchange = exchange(hosted.filter());
    assert!(is_continue(exchange.stream.request_headers(true).await));
    assert_eq!((exchange.slot(26), exchange.slot(36), exchange.slot(37)), (0, 1, root_id()));
    assert_eq!((exchange.slot(38), exchange.slot(39), exchange.slot(40)), (5, 0, 5));
    assert_eq!(exchange.given(41), "gone");
}

#[tokio::test]
async fn a_stream_has_metadata_messages_and_an_end() {
    let mut guest = Guest::new();
    let (target, one, two) =
        (target(&mut guest, "backend", "Echo"), guest.text("one"), guest.text("three"));
    notes(&mut guest);
    let body = [
        set(0, &format!("(call $proxy_grpc_stream {target} {})", at(1))),
        set(2, &format!("(call $proxy_grpc_send {} {one} (i32.const 0))", get(1))),
        set(3, &format!("(call $proxy_grpc_send {} {two} (i32.const 1))", get(1))),
        set(4, &format!("(call $proxy_grpc_send {} {two} (i32.const 0))", get(1))),
        set(5, &format!("(call $proxy_grpc_send (i32.const 99) {two} (i32.const 0))")),
        set(6, &format!("(call $proxy_grpc_close {})", get(1))),
        set(7, "(call $proxy_grpc_close (i32.const 99))"),
    ];
    guest.on("proxy_on_request_headers", &format!("{} (i32.const 1)", body.join(" ")));
    let hosted = hosted(&guest).await;
    let exchange = exchange(hosted.filter());
    assert!(is_continue(exchange.stream.request_headers(true).await));
    assert_eq!([0, 2, 3, 4, 5, 6, 7].map(|slot| exchange.slot(slot)), [0, 0, 0, 2, 1, 0, 1]);
    assert_eq!((exchange.slot(20), exchange.slot(21)), (1, exchange.slot(1)));
    assert_eq!((exchange.slot(22), exchange.given(23).as_str()), (0, "value"));
    assert_eq!((exchange.slot(26), exchange.given(30).as_str()), (2, "three"));
    assert_eq!((exchange.slot(32), exchange.slot(33), exchange.given(34).as_str()), (1, 0, "yes"));
    assert_eq!((exchange.slot(36), exchange.slot(38)), (1, 0));
}

#[tokio::test]
async fn a_call_can_be_cancelled_and_then_nothing_comes() {
    let mut guest = Guest::new();
    let call = unary(&mut guest, 0, "backend", "Echo");
    let target = target(&mut guest, "backend", "Echo");
    notes(&mut guest);
    let body = [
        call,
        set(2, &format!("(call $proxy_grpc_stream {target} {})", at(3))),
        set(4, &format!("(call $proxy_grpc_cancel {})", get(1))),
        set(5, &format!("(call $proxy_grpc_cancel {})", get(1))),
        set(6, &format!("(call $proxy_grpc_cancel {})", get(3))),
        set(
            7,
            &format!(
                "(call $proxy_grpc_send {} (i32.const 0) (i32.const 0) (i32.const 1))",
                get(3)
            ),
        ),
    ];
    guest.on("proxy_on_request_headers", &format!("{} (i32.const 0)", body.join(" ")));
    let hosted = hosted(&guest).await;
    let exchange = exchange(hosted.filter());
    assert!(is_continue(exchange.stream.request_headers(true).await));
    assert_eq!([0, 2, 4, 5, 6, 7].map(|slot| exchange.slot(slot)), [0, 0, 0, 1, 0, 1]);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!([20, 26, 32, 36].map(|slot| exchange.slot(slot)), [0; 4]);
}

#[tokio::test]
async fn upstreams_that_were_not_given_are_a_parse_failure_as_in_envoy() {
    let mut guest = Guest::new();
    let call = unary(&mut guest, 0, "other", "Echo");
    let target = target(&mut guest, "other", "Echo");
    let stream = set(2, &format!("(call $proxy_grpc_stream {target} {})", at(3)));
    guest.on("proxy_on_request_headers", &format!("{call} {stream} (i32.const 0)"));
    let hosted = hosted(&guest).await;
    let exchange = exchange(hosted.filter());
    assert!(is_continue(exchange.stream.request_headers(true).await));
    assert_eq!((exchange.slot(0), exchange.slot(2)), (4, 4));
}

#[tokio::test]
async fn a_trap_in_a_callback_of_grpc_or_of_a_queue_fails_the_exchange_that_waits() {
    for (callback, method) in [
        ("proxy_on_grpc_receive_initial_metadata", "Echo"),
        ("proxy_on_grpc_receive", "Echo"),
        ("proxy_on_grpc_receive_trailing_metadata", "Other"),
        ("proxy_on_grpc_close", "Other"),
        ("proxy_on_queue_ready", ""),
    ] {
        let mut guest = Guest::new();
        let (target, message) = (target(&mut guest, "backend", method), guest.text("hello"));
        let body = [
            format!("(drop (call $proxy_register_shared_queue {message} {}))", at(2)),
            format!("(if (i32.const {}) (then", i32::from(method.is_empty())),
            format!("  (drop (call $proxy_enqueue_shared_queue {} {message})))", get(2)),
            format!("(else (drop (call $proxy_grpc_stream {target} {}))", at(1)),
            format!("  (drop (call $proxy_grpc_send {} {message} (i32.const 1)))))", get(1)),
        ];
        guest.on(callback, "unreachable");
        guest.on("proxy_on_request_headers", &format!("{} (i32.const 1)", body.join(" ")));
        let hosted = hosted(&guest).await;
        for _ in 0..2 {
            let error = exchange(hosted.filter()).stream.request_headers(true).await.unwrap_err();
            assert_eq!(error.kind, crate::ErrorKind::Trap, "{callback}");
        }
    }
}
