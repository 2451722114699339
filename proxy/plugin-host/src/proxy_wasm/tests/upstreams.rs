//! Calls to upstreams.

use std::collections::BTreeSet;
use std::io::Write;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::guest::{at, count, get, set};
use super::*;
use crate::config::{PluginLimits, UpstreamConfig};
use crate::plugin::Code;
use crate::{ErrorKind, HostConfig, Plugin, PluginHost, PluginSource};

/// A server that gives one answer to all.
pub(super) struct Upstream {
    pub(super) address: String,
    pub(super) requests: Arc<parking_lot::Mutex<Vec<String>>>,
}

/// Without an answer it says nothing at all.
pub(super) async fn answering(answer: &'static str) -> Upstream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let requests = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let seen = requests.clone();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let seen = seen.clone();
            tokio::spawn(async move {
                let mut buffer = vec![0; 65536];
                while let Ok(size @ 1..) = connection.read(&mut buffer).await {
                    seen.lock().push(text(&buffer[..size]));
                    let _ = connection.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    Upstream { address, requests }
}

/// A filter with a host that has upstreams.
pub(super) struct Hosted(Arc<Plugin>);

impl Hosted {
    pub(super) fn filter(&self) -> &Filter {
        match &self.0.code {
            Code::ProxyWasm(filter) => filter,
            _ => panic!("it is a component"),
        }
    }
}

pub(super) fn load_with_upstream(
    bytes: &[u8],
    configuration: &str,
    name: &str,
    address: &str,
) -> Hosted {
    load_that_waits(bytes, configuration, name, address, Duration::from_secs(10))
}

fn load_that_waits(
    bytes: &[u8],
    configuration: &str,
    name: &str,
    address: &str,
    wait: Duration,
) -> Hosted {
    let settings = PluginSettings {
        configuration: configuration.as_bytes().to_vec(),
        limits: PluginLimits { calls: 4, wait, ..PluginLimits::default() },
        ..PluginSettings::default()
    };
    load_hosted(bytes, settings, name, address)
}

/// With one upstream, which it may call.
pub(super) fn load_hosted(
    bytes: &[u8],
    settings: PluginSettings,
    name: &str,
    address: &str,
) -> Hosted {
    let settings = PluginSettings { upstreams: BTreeSet::from([name.to_owned()]), ..settings };
    let upstream =
        UpstreamConfig { address: address.to_owned(), tls: false, protocol: Default::default() };
    let config = HostConfig {
        upstreams: [(name.to_owned(), upstream)].into(),
        workers: 1,
        ..HostConfig::default()
    };
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let source = PluginSource {
        name: "filter".to_owned(),
        file: file.path().to_owned(),
        sha256: None,
        settings,
    };
    Hosted(PluginHost::new(config).unwrap().load(&source).unwrap())
}

fn hosted(guest: &Guest, upstream: &Upstream) -> Hosted {
    let bytes = wat::parse_str(guest.wat()).unwrap();
    load_with_upstream(&bytes, "", "backend", &upstream.address)
}

const ANSWER: &str = "HTTP/1.1 201 Created\r\nx-a: 1\r\nx-a: 2\r\ncontent-length: 4\r\n\r\nbody";
const PAIRS: &[(&str, &str)] = &[
    (":method", "POST"),
    (":path", "/check?x=1"),
    (":authority", "auth.example"),
    ("content-length", "99"),
    ("x-b", "c"),
];

/// Calls the upstream; the status goes to `slot`, the id to the next one.
fn call(
    guest: &mut Guest,
    slot: usize,
    upstream: &str,
    headers: &[(&str, &str)],
    timeout: u32,
) -> String {
    let (upstream, headers, body) = (guest.text(upstream), guest.map(headers), guest.text("hello"));
    set(
        slot,
        &format!(
            "(call $proxy_http_call {upstream} {headers} {body} (i32.const 0) (i32.const 0) (i32.const {timeout}) {})",
            at(slot + 1)
        ),
    )
}

/// Notes what comes, and resumes the request.
fn on_answer(guest: &mut Guest) {
    let (status, name) = (guest.text(":status"), guest.text("x-missing"));
    let body = [
        count(20),
        set(21, "(local.get 0)"),
        set(22, "(local.get 1)"),
        set(23, "(local.get 2)"),
        set(24, "(local.get 3)"),
        set(25, "(local.get 4)"),
        set(
            26,
            &format!(
                "(call $proxy_get_header_map_value (i32.const 6) {status} {} {})",
                at(27),
                at(28)
            ),
        ),
        set(
            29,
            &format!(
                "(call $proxy_get_buffer_bytes (i32.const 4) (i32.const 0) (i32.const 99) {} {})",
                at(30),
                at(31)
            ),
        ),
        set(32, &format!("(call $proxy_get_status {} {} {})", at(33), at(34), at(35))),
        set(36, &format!("(call $proxy_add_header_map_value (i32.const 6) {name} {name})")),
        set(37, &format!("(call $proxy_set_effective_context {})", get(50))),
        "(drop (call $proxy_continue_stream (i32.const 0)))".to_owned(),
    ];
    guest.on("proxy_on_http_call_response", &body.join(" "));
    guest.on("proxy_on_context_create", &set(50, "(local.get 0)"));
}

#[tokio::test]
async fn an_answer_resumes_the_request_that_waits_for_it() {
    let upstream = answering(ANSWER).await;
    let mut guest = Guest::new();
    let call = call(&mut guest, 0, "backend", PAIRS, 5000);
    on_answer(&mut guest);
    guest.on("proxy_on_request_headers", &format!("{call} (i32.const 1)"));
    let hosted = hosted(&guest, &upstream);
    let exchange = exchange(hosted.filter());
    assert!(is_continue(exchange.stream.request_headers(true).await));
    assert_eq!((exchange.slot(0), exchange.slot(20)), (0, 1));
    assert_eq!((exchange.slot(21), exchange.slot(22)), (root_id(), exchange.slot(1)));
    assert_eq!((exchange.slot(24), exchange.slot(25)), (4, 0));
    assert!(exchange.slot(23) >= 4, "the status and three headers");
    assert_eq!((exchange.slot(26), exchange.given(27).as_str()), (0, "201"));
    assert_eq!((exchange.slot(29), exchange.given(30).as_str()), (0, "body"));
    assert_eq!((exchange.slot(36), exchange.slot(37)), (2, 0));
    let request = upstream.requests.lock().join("");
    assert!(request.starts_with("POST /check?x=1 HTTP/1.1\r\n"), "{request}");
    for expected in ["host: auth.example\r\n", "x-b: c\r\n", "content-length: 5\r\n", "\r\nhello"] {
        assert!(request.to_lowercase().contains(expected), "{expected} is not in {request}");
    }
}

#[tokio::test]
async fn a_call_that_fails_or_takes_too_long_has_no_headers() {
    let silent = answering("").await;
    let absent = Upstream { address: "127.0.0.1:1".to_owned(), requests: Arc::default() };
    for (upstream, code) in [(&silent, 4), (&absent, 14)] {
        let mut guest = Guest::new();
        let call = call(&mut guest, 0, "backend", PAIRS, 50);
        on_answer(&mut guest);
        guest.on("proxy_on_request_headers", &format!("{call} (i32.const 1)"));
        let hosted = hosted(&guest, upstream);
        let exchange = exchange(hosted.filter());
        assert!(is_continue(exchange.stream.request_headers(true).await));
        assert_eq!([20, 23, 24, 25].map(|slot| exchange.slot(slot)), [1, 0, 0, 0]);
        assert_eq!((exchange.slot(26), exchange.slot(29), exchange.slot(32)), (1, 1, 0));
        assert_eq!(exchange.slot(33), code);
        assert!(!exchange.given(34).is_empty());
    }
}

#[tokio::test]
async fn calls_that_can_not_be_sent_are_refused() {
    let upstream = answering(ANSWER).await;
    let mut guest = Guest::new();
    let body = [
        call(&mut guest, 0, "other", PAIRS, 50),
        call(&mut guest, 2, "backend", &PAIRS[1..], 50),
        call(&mut guest, 4, "backend", &PAIRS[..1], 50),
        call(&mut guest, 6, "backend", &PAIRS[..2], 50),
    ];
    guest.on("proxy_on_request_headers", &format!("{} (i32.const 0)", body.join(" ")));
    let hosted = hosted(&guest, &upstream);
    let exchange = exchange(hosted.filter());
    assert!(is_continue(exchange.stream.request_headers(true).await));
    assert_eq!([0, 2, 4, 6].map(|slot| exchange.slot(slot)), [2, 2, 2, 2]);
}

#[tokio::test]
async fn calls_under_way_are_bounded_and_given_up_with_their_exchange() {
    let silent = answering("").await;
    let mut guest = Guest::new();
    let calls: Vec<_> = (0..5).map(|at| call(&mut guest, 2 * at, "backend", PAIRS, 0)).collect();
    on_answer(&mut guest);
    guest.on("proxy_on_request_headers", &format!("{} (i32.const 0)", calls.join(" ")));
    let hosted = hosted(&guest, &silent);
    let first = exchange(hosted.filter());
    assert!(is_continue(first.stream.request_headers(true).await));
    assert_eq!([0, 2, 4, 6, 8].map(|slot| first.slot(slot)), [0, 0, 0, 0, 10]);
    first.stream.finish();
    let second = exchange(hosted.filter());
    assert!(is_continue(second.stream.request_headers(true).await));
    assert_eq!([0, 2, 4, 6, 8].map(|slot| second.slot(slot)), [0, 0, 0, 0, 10]);
    assert_eq!(second.slot(20), 0, "nobody is told of calls whose exchange has ended");
}

#[tokio::test]
async fn a_filter_that_never_gets_an_answer_fails_its_exchange_in_time() {
    let silent = answering("").await;
    let mut guest = Guest::new();
    let call = call(&mut guest, 0, "backend", PAIRS, 0);
    guest.on("proxy_on_request_headers", &format!("{call} (i32.const 1)"));
    let bytes = wat::parse_str(guest.wat()).unwrap();
    let wait = Duration::from_millis(30);
    let hosted = load_that_waits(&bytes, "", "backend", &silent.address, wait);
    let exchange = exchange(hosted.filter());
    let error = exchange.stream.request_headers(true).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Wait);
}

#[tokio::test]
async fn the_root_context_calls_too_even_before_it_has_started() {
    let upstream = answering(ANSWER).await;
    let mut guest = Guest::new();
    let call = call(&mut guest, 0, "backend", PAIRS, 5000);
    on_answer(&mut guest);
    guest.on("proxy_on_configure", &format!("{call} (i32.const 1)"));
    let hosted = hosted(&guest, &upstream);
    let exchange = exchange(hosted.filter());
    assert!(is_continue(exchange.stream.request_headers(true).await));
    eventually("the answer comes", || exchange.slot(20) == 1).await;
    assert_eq!((exchange.slot(0), exchange.given(30).as_str()), (0, "body"));
}

#[tokio::test]
async fn a_trap_in_the_answer_s_callback_fails_the_exchange_that_waits() {
    let upstream = answering(ANSWER).await;
    let mut guest = Guest::new();
    let call = call(&mut guest, 0, "backend", PAIRS, 5000);
    guest.on("proxy_on_http_call_response", "unreachable");
    guest.on("proxy_on_request_headers", &format!("{call} (i32.const 1)"));
    let hosted = hosted(&guest, &upstream);
    for _ in 0..3 {
        let error = exchange(hosted.filter()).stream.request_headers(true).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Trap);
    }
}
