//! gRPC calls of proxy-wasm filters to HTTP/2 upstreams.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::{Buf, Bytes, BytesMut};
use h2::RecvStream;
use h2::server::SendResponse;
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tollgate_tests::{
    Authority, Gateway, Issued, Load, Serve, Upstream, get, greedy, http_proxy, runtime,
};

use super::filter::PAUSE;
use super::{Filter, ServePlugins, call};
use crate::support::assert_error;

/// The service `test.Sessions`. `Who` answers one message with `user-` and that message, `Each`
/// every message alike, `Refuse` says no, `Never` says nothing.
struct Sessions {
    address: SocketAddr,
    calls: Arc<Mutex<Vec<Parts>>>,
    accepting: JoinHandle<()>,
}

impl Sessions {
    fn start() -> Self {
        Self::start_with(None)
    }

    fn start_with(tls: Option<&Issued>) -> Self {
        let acceptor = tls.map(|issued| TlsAcceptor::from(issued.server_config(&["h2"])));
        let listener = runtime().block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let calls = Arc::new(Mutex::new(Vec::new()));
        let shared = calls.clone();
        let accepting = runtime().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, calls) = (acceptor.clone(), shared.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, calls).await,
                        Some(acceptor) => {
                            let Ok(stream) = acceptor.accept(stream).await else { return };
                            serve(stream, calls).await;
                        }
                    }
                });
            }
        });
        Self { address, calls, accepting }
    }

    fn calls(&self) -> Vec<Parts> {
        self.calls.lock().expect("no call panics with it").clone()
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, calls: Arc<Mutex<Vec<Parts>>>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let (parts, body) = request.into_parts();
        calls.lock().expect("no call panics with it").push(parts.clone());
        tokio::spawn(answer(Request::from_parts(parts, body), respond));
    }
}

/// A test sees what goes wrong here as an answer that isn't there.
async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Option<()> {
    let (parts, mut body) = request.into_parts();
    let (_, method) = parts.uri.path().rsplit_once('/')?;
    if method == "Never" {
        std::future::pending::<()>().await;
    }
    let mut response = Response::builder().header("content-type", "application/grpc");
    if let Some(key) = parts.headers.get("x-key") {
        response = response.header("x-key", key);
    }
    let mut stream = respond.send_response(response.body(()).ok()?, false).ok()?;
    let mut trailers = HeaderMap::new();
    if method == "Refuse" {
        trailers.insert("grpc-status", "7".parse().ok()?);
        trailers.insert("grpc-message", "not%20you".parse().ok()?);
        return stream.send_trailers(trailers).ok();
    }
    let mut received = BytesMut::new();
    while let Some(Ok(piece)) = body.data().await {
        body.flow_control().release_capacity(piece.len()).ok()?;
        received.extend_from_slice(&piece);
        while let Some(message) = next_message(&mut received) {
            let answer = [b"user-", &message[..]].concat();
            let size = u32::try_from(answer.len()).ok()?.to_be_bytes();
            let framed = [&[0][..], &size, &answer].concat();
            stream.send_data(framed.into(), false).ok()?;
        }
    }
    trailers.insert("grpc-status", "0".parse().ok()?);
    stream.send_trailers(trailers).ok()
}

/// Takes a message out of its frame: a flag, four bytes of length, the message.
fn next_message(received: &mut BytesMut) -> Option<Bytes> {
    let size = received.get(1..5)?.try_into().map(u32::from_be_bytes).ok()?;
    let end = 5 + usize::try_from(size).ok()?;
    if received.len() < end {
        return None;
    }
    let mut message = received.split_to(end).freeze();
    message.advance(5);
    Some(message)
}

/// Asks the upstream `sessions` whose the client's `X-Token` is, while the request waits, and adds
/// what it is told as `X-User`. No is 400 and the call's status, with its message.
fn asking(method: &str, timeout: u32) -> Filter {
    let mut filter = Filter::new();
    let target = target(&mut filter, method);
    let token = filter.text("x-token");
    let filter = filter.on_request_headers(&format!(
        "(drop (call $proxy_get_header_map_value (i32.const 0) {token} (i32.const 64) (i32.const 68)))
         (if (call $proxy_grpc_call {target} (i32.load (i32.const 64)) (i32.load (i32.const 68))
               (i32.const {timeout}) (i32.const 72))
           (then unreachable))
         (call $remember (local.get $context))
         {PAUSE}"
    ));
    answered(filter, "(drop (call $proxy_continue_stream (i32.const 0)))", "")
}

/// The same with a stream: two messages, and as many answers before it ends.
fn asking_twice() -> Filter {
    let mut filter = Filter::new();
    let target = target(&mut filter, "Each");
    let (one, two) = (filter.text("one"), filter.text("two"));
    let filter = filter.on_request_headers(&format!(
        "(if (call $proxy_grpc_stream {target} (i32.const 72)) (then unreachable))
         (call $remember (local.get $context))
         (if (call $proxy_grpc_send (i32.load (i32.const 72)) {one} (i32.const 0))
           (then unreachable))
         (if (call $proxy_grpc_send (i32.load (i32.const 72)) {two} (i32.const 1))
           (then unreachable))
         {PAUSE}"
    ));
    answered(filter, "", "(drop (call $proxy_continue_stream (i32.const 0)))")
}

/// The operands of an upstream, a service, a method and metadata.
fn target(filter: &mut Filter, method: &str) -> String {
    let (upstream, service) = (filter.text("sessions"), filter.text("test.Sessions"));
    let method = filter.text(method);
    // How many pairs, their sizes, and each with a zero after it.
    let metadata = filter.bytes(b"\x01\0\0\0\x05\0\0\0\x05\0\0\0x-key\0value\0");
    format!("{upstream} {service} {method} {metadata}")
}

/// With callbacks for answers: `then` follows each message, `at_end` a good end.
fn answered(mut filter: Filter, then: &str, at_end: &str) -> Filter {
    let user = filter.text("x-user");
    filter.field(&format!(
        "(func $remember (param $context i32)
           (i32.store offset=8192 (call $slot (i32.load (i32.const 72))) (local.get $context)))
         (func $slot (param $call i32) (result i32)
           (i32.shl (i32.and (local.get $call) (i32.const 1023)) (i32.const 2)))
         (func $return_to (param $call i32)
           (drop (call $proxy_set_effective_context
             (i32.load offset=8192 (call $slot (local.get $call))))))
         (func (export \"proxy_on_grpc_receive\") (param $root i32) (param $call i32) (param $size i32)
           (call $return_to (local.get $call))
           (drop (call $proxy_get_buffer_bytes (i32.const 5) (i32.const 0) (local.get $size)
             (i32.const 64) (i32.const 68)))
           (drop (call $proxy_add_header_map_value (i32.const 0) {user}
             (i32.load (i32.const 64)) (i32.load (i32.const 68))))
           {then})
         (func (export \"proxy_on_grpc_close\") (param $root i32) (param $call i32) (param $status i32)
           (call $return_to (local.get $call))
           (if (i32.eqz (local.get $status)) (then {at_end} (return)))
           (drop (call $proxy_get_status (i32.const 76) (i32.const 64) (i32.const 68)))
           (drop (call $proxy_send_local_response
             (i32.add (i32.const 400) (local.get $status)) (i32.const 0) (i32.const 0)
             (i32.load (i32.const 64)) (i32.load (i32.const 68))
             (i32.const 0) (i32.const 0) (i32.const -1))))"
    ))
}

fn serving(filter: &Filter, backend: &Upstream, upstream: &str, more: &str) -> Gateway {
    Serve::new(greedy(&backend.url("")))
        .file("asking.wasm", filter.wasm())
        .attach("transformers: [asking]")
        .plugins(&[format!("file: asking.wasm, upstreams: [sessions], {more}")])
        .with(&format!("plugin_upstreams:\n  sessions: {{{upstream}}}"))
        .start()
}

fn plain(address: SocketAddr) -> String {
    format!("address: '{address}'")
}

#[test]
fn a_call_is_grpc_over_http2_and_its_answer_reaches_the_backend() {
    for protocol in ["http1", "http2"] {
        let (backend, sessions) = (Upstream::echo(), Sessions::start());
        let upstream = format!("{}, protocol: {protocol}", plain(sessions.address));
        let gateway = serving(&asking("Who", 5000), &backend, &upstream, "");
        let response = call(&gateway, get("/prod/pets").header("X-Token", "ali"));
        assert_eq!(response.echoed_header("x-user").as_deref(), Some("user-ali"));
        let calls = sessions.calls();
        assert_eq!(calls.len(), 1);
        assert_eq!((calls[0].method.as_str(), calls[0].uri.path()), ("POST", "/test.Sessions/Who"));
        let header = |name: &str| calls[0].headers.get(name).and_then(|value| value.to_str().ok());
        assert_eq!(header("content-type"), Some("application/grpc"));
        assert_eq!((header("te"), header("x-key")), (Some("trailers"), Some("value")));
        assert!(header("grpc-timeout").is_some(), "{:?}", calls[0].headers);
        // Nothing of the client's request goes with it.
        assert_eq!(header("x-token"), None);
    }
}

#[test]
fn a_stream_carries_messages_both_ways() {
    let (backend, sessions) = (Upstream::echo(), Sessions::start());
    let gateway = serving(&asking_twice(), &backend, &plain(sessions.address), "");
    for _ in 0..2 {
        assert_eq!(call(&gateway, get("/prod/pets")).status, 200);
    }
    for request in backend.requests() {
        let users: Vec<&str> =
            request.head.split("\r\n").filter(|line| line.starts_with("x-user")).collect();
        assert_eq!(users, ["x-user: user-one", "x-user: user-two"], "{}", request.head);
    }
}

#[test]
fn calls_of_many_requests_each_have_their_own_answer() {
    let (backend, sessions) = (Upstream::echo(), Sessions::start());
    let gateway = serving(&asking("Who", 5000), &backend, &plain(sessions.address), "");
    let loads: Vec<Load> = (0..6)
        .map(|user| {
            let request = get("/prod/pets")
                .host(&gateway.default_host())
                .header("X-Token", &format!("token-{user}"));
            Load::start(gateway.http, 2, &request, move |response| {
                assert_eq!(response.echoed_header("x-user"), Some(format!("user-token-{user}")));
            })
        })
        .collect();
    for load in loads {
        load.more();
        load.finish();
    }
}

#[test]
fn a_call_that_is_refused_ends_with_its_status_and_message() {
    let (backend, sessions) = (Upstream::echo(), Sessions::start());
    let gateway = serving(&asking("Refuse", 5000), &backend, &plain(sessions.address), "");
    let response = call(&gateway, get("/prod/pets").header("X-Token", "mallory"));
    // PERMISSION_DENIED is 7.
    assert_eq!(response.summary(), (407, "not you".into()));
    assert!(backend.requests().is_empty());
}

#[test]
fn a_call_that_is_never_answered_ends_with_its_deadline() {
    let (backend, sessions) = (Upstream::echo(), Sessions::start());
    let gateway = serving(&asking("Never", 100), &backend, &plain(sessions.address), "");
    // DEADLINE_EXCEEDED is 4.
    assert_eq!(call(&gateway, get("/prod/pets").header("X-Token", "ali")).status, 404);
    // Or with the plugin's own.
    let more = "limits: {wait: 100ms}";
    let gateway = serving(&asking("Never", 60_000), &backend, &plain(sessions.address), more);
    let response = call(&gateway, get("/prod/pets").header("X-Token", "ali"));
    assert_error(&response, 504, "InternalServerErrorException", "Endpoint request timed out");
    gateway.assert_metric("tollgate_plugin_errors_total{plugin=\"asking\",kind=\"wait\"}", 1.0);
    assert!(backend.requests().is_empty());
}

#[test]
fn a_service_that_is_away_is_unavailable() {
    let backend = Upstream::echo();
    let (_socket, away) = Upstream::refusing();
    let gateway = serving(&asking("Who", 5000), &backend, &plain(away), "");
    // UNAVAILABLE is 14.
    assert_eq!(call(&gateway, get("/prod/pets").header("X-Token", "ali")).status, 414);
    assert!(backend.requests().is_empty());
}

#[test]
fn a_service_behind_tls_has_to_be_who_it_says() {
    let (authority, backend) = (Authority::new(), Upstream::echo());
    let sessions = Sessions::start_with(Some(&authority.issue(&["localhost"])));
    let start = |authority: &Authority, name: &str| {
        let upstream = format!("address: '{name}:{}', tls: true", sessions.address.port());
        Serve::new(tollgate_tests::Api::new().route("GET /", http_proxy(&backend.url("/"))))
            .file("asking.wasm", asking("Who", 5000).wasm())
            .file("ca.pem", &authority.certificate)
            .attach("transformers: [asking]")
            .plugins(&["file: asking.wasm, upstreams: [sessions]".into()])
            .with(&format!(
                "upstream_ca_file: ca.pem\nplugin_upstreams:\n  sessions: {{{upstream}}}"
            ))
            .start()
    };
    let request = || get("/prod").header("X-Token", "ali");
    let response = call(&start(&authority, "localhost"), request());
    assert_eq!(response.echoed_header("x-user").as_deref(), Some("user-ali"));
    assert_eq!(sessions.calls().len(), 1);
    // Another name, and an authority that nobody trusts.
    assert_eq!(call(&start(&authority, "127.0.0.1"), request()).status, 414);
    assert_eq!(call(&start(&Authority::new(), "localhost"), request()).status, 414);
    assert_eq!(sessions.calls().len(), 1);
}
