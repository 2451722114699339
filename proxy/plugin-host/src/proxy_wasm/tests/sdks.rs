//! Filters made with SDKs of others (`tests/fixtures`), and modules that take of the host what the
//! run-time systems of other SDKs take.

use std::io::Read as _;

use super::guest::{at, set};
use super::upstreams::{Hosted, answering, load_hosted, load_with_upstream};
use super::*;
use crate::config::PluginLimits;
use crate::{BodyNeed, ErrorKind};

const RUST: &[u8] = include_bytes!("../../../tests/fixtures/rust-filter.wasm");
const ASSEMBLYSCRIPT: &[u8] = include_bytes!("../../../tests/fixtures/assemblyscript-filter.wasm");
const EMSCRIPTEN: &[u8] = include_bytes!("../../../tests/fixtures/emscripten-filter.wasm");
const GO: &[u8] = include_bytes!("../../../tests/fixtures/go-filter.wasm.gz");

/// In one VM: what these filters count, each VM counts for itself.
fn loaded(bytes: &[u8], configuration: &str, root_id: &str) -> Result<Filter, PluginError> {
    let settings = PluginSettings {
        configuration: configuration.as_bytes().to_vec(),
        root_id: root_id.to_owned(),
        limits: PluginLimits { instances: 1, ..PluginLimits::default() },
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

fn go() -> Filter {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(GO).read_to_end(&mut bytes).unwrap();
    loaded(&bytes, "token", "").unwrap()
}

#[tokio::test]
async fn a_go_filter_runs_goroutines_and_frees_what_requests_leave() {
    let filter = go();
    let metrics = filter.0.code.plugin.metrics.clone();
    let mut memory = Vec::new();
    for request in 0..600 {
        let exchange = exchange(&filter);
        let is_known = request % 3 != 0;
        let token: &[u8] = if is_known { b"token" } else { b"other" };
        exchange.http.state.lock().request_headers.push(b"x-token", token);
        match exchange.stream.request_headers(true).await {
            Ok(Verdict::Continue) if is_known => {
                assert_eq!(exchange.request_header("x-size").unwrap(), "100000");
                exchange.responds(&[(":status", "200")]);
                assert!(is_continue(exchange.stream.response_headers(true).await));
                let state = exchange.http.state.lock();
                assert_eq!(state.response_headers.get(b"x-filter"), Some(&b"go"[..]));
            }
            Ok(Verdict::Reply(reply)) if !is_known => {
                assert_eq!((reply.status, &*reply.body), (403, &b"no\n"[..]));
            }
            other => panic!("{other:?}"),
        }
        exchange.stream.finish();
        memory.push(metrics.memory());
    }
    // Each leaves 100 KB behind: 40 MB more from here on, had nobody collected it.
    assert!(memory[599] - memory[199] < 4 << 20, "{} to {}", memory[199], memory[599]);
    assert!(ErrorKind::ALL.iter().all(|kind| metrics.errors(*kind) == 0));
}

fn strict(upstream: &str) -> Hosted {
    let settings = PluginSettings {
        configuration: b"token".to_vec(),
        root_id: "strict".to_owned(),
        ..PluginSettings::default()
    };
    load_hosted(EMSCRIPTEN, settings, "auth", upstream)
}

#[tokio::test]
async fn a_filter_that_aborts_at_contexts_and_calls_it_does_not_know_never_does() {
    let upstream = answering("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nali").await;
    let hosted = strict(&upstream.address);
    let plugin = hosted.filter().0.code.plugin.clone();
    for _ in 0..3 {
        let exchange = exchange(hosted.filter());
        assert!(is_continue(exchange.stream.request_headers(false).await));
        assert_eq!(exchange.request_header("x-user").unwrap(), "ali 200 token");
        let mut body = b"body".to_vec();
        assert!(is_continue(exchange.stream.request_body(&mut body, true).await));
        assert_eq!(body, b"<body>");
        exchange.responds(&[(":status", "200")]);
        assert!(is_continue(exchange.stream.response_headers(true).await));
        let filter = exchange.http.state.lock().response_headers.get(b"x-filter").map(text);
        assert_eq!(filter.as_deref(), Some("c++"));
        exchange.stream.finish();
    }
    let data = plugin.shared_data.clone();
    eventually("the queue is told", || {
        data.get(b"job").is_some_and(|entry| &*entry.value == b"/pets?x=1")
    })
    .await;
    eventually("ticks come", || data.get(b"ticks").is_some()).await;
    assert_eq!(plugin.metrics.errors(ErrorKind::Trap), 0);
}

#[tokio::test]
async fn a_filter_hears_nothing_of_calls_whose_exchange_has_ended() {
    let upstream = answering("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nali").await;
    let hosted = strict(&upstream.address);
    let plugin = hosted.filter().0.code.plugin.clone();
    for _ in 0..20 {
        let exchange = exchange(hosted.filter());
        let begun = tokio::time::timeout(Duration::ZERO, exchange.stream.request_headers(true));
        let _ = begun.await;
        exchange.stream.finish();
    }
    let ticks = || plugin.shared_data.get(b"ticks").map(|entry| entry.value.to_vec());
    for _ in 0..20 {
        let before = ticks();
        eventually("it still runs", || ticks() != before).await;
    }
    assert_eq!(plugin.metrics.errors(ErrorKind::Trap), 0);
}

#[tokio::test]
async fn memory_comes_from_the_sdk_not_from_a_c_library_beside_it() {
    // As TinyGo has it: what its `malloc` gave is never freed.
    let mut guest = Guest::new();
    guest.allocator(
        "(func (export \"malloc\") (param i32) (result i32) unreachable)
         (func (export \"proxy_on_memory_allocate\") (param i32) (result i32) (i32.const 65536))",
    );
    let path = guest.text(":path");
    let call =
        format!("(call $proxy_get_header_map_value (i32.const 0) {path} {} {})", at(1), at(2));
    guest.on("proxy_on_request_headers", &format!("{} (i32.const 0)", set(0, &call)));
    let exchange = exchange(&filter(&guest));
    assert!(is_continue(exchange.stream.request_headers(true).await));
    assert_eq!((exchange.slot(0), exchange.given(1).as_str()), (0, "/pets?x=1"));
}

#[tokio::test]
async fn what_only_higress_has_is_there_and_is_unimplemented() {
    let mut calls = String::new();
    let mut imports = String::new();
    let host_calls = [
        ("proxy_redis_init", 7),
        ("proxy_redis_call", 5),
        ("proxy_inject_encoded_data_to_filter_chain", 3),
        ("proxy_get_upstream_hosts", 2),
        ("proxy_set_upstream_override_host", 2),
    ];
    for (slot, (name, parameters)) in host_calls.iter().enumerate() {
        let (types, zeros) = ("i32 ".repeat(*parameters), "(i32.const 0) ".repeat(*parameters));
        imports +=
            &format!("(import \"env\" \"{name}\" (func ${name} (param {types}) (result i32)))\n");
        calls += &set(slot, &format!("(call ${name} {zeros})"));
    }
    let wat = format!(
        "(module {imports} (memory (export \"memory\") 1)
           (func (export \"proxy_on_request_headers\") (param i32 i32 i32) (result i32)
             {calls} (i32.const 0)))"
    );
    let filter = load_wat(&wat, PluginSettings::default(), Abi::V0_2_100).unwrap();
    let exchange = exchange(&filter);
    assert!(is_continue(exchange.stream.request_headers(true).await));
    for (slot, (name, _)) in host_calls.iter().enumerate() {
        assert_eq!(exchange.slot(slot), 12, "{name}");
    }
}
