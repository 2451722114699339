//! Filters made with SDKs of others (`tests/fixtures`).

use super::upstreams::{answering, load_with_upstream};
use super::*;
use crate::BodyNeed;

const RUST: &[u8] = include_bytes!("../../../tests/fixtures/rust-filter.wasm");
const ASSEMBLYSCRIPT: &[u8] = include_bytes!("../../../tests/fixtures/assemblyscript-filter.wasm");

fn loaded(bytes: &[u8], configuration: &str, root_id: &str) -> Result<Filter, PluginError> {
    let settings = PluginSettings {
        configuration: configuration.as_bytes().to_vec(),
        root_id: root_id.to_owned(),
        ..PluginSettings::default()
    };
    load_wasm(PluginContext::for_test("filter", settings), bytes, Abi::V0_2_1)
}

#[tokio::test]
async fn a_rust_filter_checks_changes_and_counts() {
    let filter = loaded(RUST, "token", "").unwrap();
    let data = filter.0.code.plugin.shared_data.clone();
    for _ in 0..3 {
        let exchange = exchange(&filter);
        exchange.http.state.lock().request_headers.push(b"x-token", b"token");
        assert!(is_continue(exchange.stream.request_headers(true).await));
        assert_eq!(exchange.request_header("x-path").unwrap(), "/pets?x=1");
        assert_eq!(exchange.request_header("x-token"), None);
        exchange.responds(&[(":status", "200"), ("content-length", "12")]);
        assert!(is_continue(exchange.stream.response_headers(false).await));
        assert_eq!(exchange.stream.response_body_need(), BodyNeed::Streamed);
        {
            let state = exchange.http.state.lock();
            assert_eq!(state.response_headers.get(b"x-filter"), Some(&b"rust"[..]));
            assert_eq!(state.response_headers.get(b"content-length"), None);
        }
        let mut piece = b"my sec".to_vec();
        assert!(is_continue(exchange.stream.response_body(&mut piece, false).await));
        assert_eq!(piece, b"");
        piece = b"ret!!!".to_vec();
        assert!(is_continue(exchange.stream.response_body(&mut piece, true).await));
        assert_eq!(piece, b"my ******!!!");
        exchange.stream.finish();
    }
    eventually("all jobs are taken from the queue", || {
        data.get(b"jobs").is_some_and(|entry| &*entry.value == b"job,job,job")
    })
    .await;
    eventually("ticks come", || data.get(b"ticks").is_some()).await;
}

#[tokio::test]
async fn a_rust_filter_replies() {
    let filter = loaded(RUST, "token", "").unwrap();
    let exchange = exchange(&filter);
    exchange.http.state.lock().request_headers.push(b"x-token", b"other");
    let Ok(Verdict::Reply(reply)) = exchange.stream.request_headers(true).await else {
        panic!("it lets everybody in");
    };
    assert_eq!((reply.status, reply.body.as_slice()), (401, &b"bad"[..]));
    assert_eq!(reply.headers, [("www-authenticate".into(), b"token".as_slice().into())]);
}

#[tokio::test]
async fn a_rust_filter_can_refuse_its_configuration() {
    assert!(loaded(RUST, "", "").is_err());
}

#[tokio::test]
async fn a_rust_filter_asks_an_upstream_while_the_request_waits() {
    let upstream = answering("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nali").await;
    let filter = load_with_upstream(RUST, "token", "auth", &upstream.address);
    let allowed = exchange(filter.filter());
    assert!(is_continue(allowed.stream.request_headers(true).await));
    assert_eq!(allowed.request_header("x-user").unwrap(), "ali");
    let request = upstream.requests.lock().join("");
    assert!(request.starts_with("GET /check HTTP/1.1\r\n"), "{request}");
    assert!(!request.contains("content-length: 5"), "{request}");

    let upstream = answering("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await;
    let filter = load_with_upstream(RUST, "token", "auth", &upstream.address);
    let verdict = exchange(filter.filter()).stream.request_headers(true).await;
    assert!(matches!(verdict, Ok(Verdict::Reply(reply)) if reply.status == 403));

    let filter = load_with_upstream(RUST, "token", "auth", "127.0.0.1:1");
    let verdict = exchange(filter.filter()).stream.request_headers(true).await;
    assert!(matches!(verdict, Ok(Verdict::Reply(reply)) if reply.status == 503));
}

#[tokio::test]
async fn an_assemblyscript_filter_registers_in_its_start_section() {
    let filter = loaded(ASSEMBLYSCRIPT, "there", "add_header").unwrap();
    let exchange = exchange(&filter);
    assert!(is_continue(exchange.stream.request_headers(true).await));
    assert_eq!(exchange.request_header("x-assembly").unwrap(), "GET");
    exchange.responds(&[(":status", "200")]);
    assert!(is_continue(exchange.stream.response_headers(true).await));
    let state = exchange.http.state.lock();
    assert_eq!(state.response_headers.get(b"hello"), Some(&b"there"[..]));
}
