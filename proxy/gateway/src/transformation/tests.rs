//! Requests and responses with real plugins: proxy-wasm filters in WebAssembly's text form.

use std::io::Write;

use tokio::runtime;
use tollgate_model::api::ApiId;
use tollgate_model::compile::{CompiledIntegration, CompiledStage, StageSettings, compile};
use tollgate_model::openapi::{ImportOptions, import};
use tollgate_plugin_host::{HostConfig, PluginHost, PluginSlot, PluginSource};

use super::*;
use crate::compression::Compressing;
use crate::config::Visibility;
use crate::exchange::Client;
use crate::head::{Field, Framing, Known, ResponseHead, Span, append};
use crate::http1::body::{BodyError, Piece, Trailers};
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::phases::integration_request::{self, Body};
use crate::phases::request_body::BodyReader;
use crate::phases::{self, transform};
use crate::proxy::{Sink, SinkError, Source};
use crate::respond::LocalResponse;
use crate::snapshot::{Release, StageRuntime};

/// Adds `x-plugin: p` to both heads, and `!` to the end of both bodies.
const MARKER: &str = r#"
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $add (i32.const 0) (i32.const 0) (i32.const 8) (i32.const 8) (i32.const 1)))
        (i32.const 0))
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
        (drop (call $add (i32.const 2) (i32.const 0) (i32.const 8) (i32.const 8) (i32.const 1)))
        (i32.const 0))
    (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
        (if (local.get 2) (then (drop
            (call $write (i32.const 0) (local.get 1) (i32.const 0) (i32.const 9) (i32.const 1)))))
        (i32.const 0))
    (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32)
        (if (local.get 2) (then (drop
            (call $write (i32.const 1) (local.get 1) (i32.const 0) (i32.const 9) (i32.const 1)))))
        (i32.const 0))"#;

/// Sends requests to `/other?b=2` at `a.test` with POST.
const ROUTER: &str = r#"
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $set (i32.const 0) (i32.const 16) (i32.const 5) (i32.const 21) (i32.const 10)))
        (drop (call $set (i32.const 0) (i32.const 32) (i32.const 10) (i32.const 42) (i32.const 6)))
        (drop (call $set (i32.const 0) (i32.const 48) (i32.const 7) (i32.const 55) (i32.const 4)))
        (i32.const 0))"#;

/// Answers each request with 403.
const GUARD: &str = r#"
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $reply (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 8) (i32.const 1)
            (i32.const 0) (i32.const 0) (i32.const -1)))
        (i32.const 1))"#;

const BROKEN: &str = r#"
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (unreachable))"#;

/// Makes every response a 204.
const EMPTIER: &str = r#"
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
        (drop (call $set (i32.const 2) (i32.const 64) (i32.const 7) (i32.const 71) (i32.const 3)))
        (i32.const 0))"#;

fn plugin(name: &str, callbacks: &str) -> PluginSlot {
    let text = format!(
        r#"(module
    (import "env" "proxy_add_header_map_value"
        (func $add (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_replace_header_map_value"
        (func $set (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_buffer_bytes"
        (func $write (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_send_local_response"
        (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "x-pluginp!")
    (data (i32.const 16) ":path/other?b=2")
    (data (i32.const 32) ":authoritya.test")
    (data (i32.const 48) ":methodPOST")
    (data (i32.const 64) ":status204")
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32) (i32.const 4096))
    (func (export "proxy_on_context_create") (param i32 i32))
    {callbacks})"#
    );
    let mut file = tempfile::Builder::new().suffix(".wasm").tempfile().expect("a file");
    file.write_all(&wat::parse_str(text).expect("a module")).expect("a file");
    let host = PluginHost::new(HostConfig { workers: 1, ..HostConfig::default() }).expect("a host");
    let source = PluginSource {
        name: name.to_owned(),
        file: file.path().to_owned(),
        sha256: None,
        settings: Default::default(),
    };
    PluginSlot::new(host.load(&source).expect("a plugin"))
}

fn stage(transformers: &[&str]) -> CompiledStage {
    const DEFINITION: &str = "openapi: 3.0.1
info: {title: t, version: '1'}
paths:
  /a:
    x-amazon-apigateway-any-method:
      responses: {}
      x-amazon-apigateway-integration: {type: http_proxy, httpMethod: ANY, uri: 'http://backend/x'}
";
    let imported = import(DEFINITION, &ImportOptions::default()).expect("a definition");
    let settings = StageSettings {
        api_id: ApiId("a1b2c3d4e5".to_owned()),
        stage_name: "prod".to_owned(),
        deployment_id: "abc123".to_owned(),
        account_id: "111122223333".to_owned(),
        transformers: transformers.iter().map(|name| (*name).to_owned()).collect(),
        ..StageSettings::default()
    };
    compile(&imported.api, &settings).expect("a stage").stage
}

/// A request to `/prod/a`, routed, with the plugins `names` of those in `loaded`.
fn routed(names: &[&str], loaded: &[(&str, &str)]) -> (RequestHead, Exchange) {
    let plugins = loaded.iter();
    let plugins =
        plugins.map(|(name, callbacks)| ((*name).to_owned(), plugin(name, callbacks))).collect();
    let runtime =
        StageRuntime::new(stage(names), Release::Sole, &Metrics::new(), Vec::new(), &plugins);
    let mut exchange = Exchange::new(Arc::new(Client {
        source_ip: "127.0.0.1".into(),
        addresses: None,
        listener_port: 80,
        visibility: Visibility::Public,
        tls: None,
        forwarding: None,
        penalised: Default::default(),
        given_context: Default::default(),
    }));
    exchange.begin();
    exchange.path = "/prod/a".to_owned();
    exchange.resource_path = "/a".to_owned();
    exchange.stage = Some(Arc::new(runtime));
    let mut head = RequestHead::default();
    head.method = append(&mut head.bytes, b"GET");
    head.target = append(&mut head.bytes, b"/prod/a?a=1");
    head.host = Some(append(&mut head.bytes, b"api.test"));
    phases::route::route(&head, &mut exchange).expect("a method");
    (head, exchange)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

/// A client that sends this body.
struct Sends(&'static [u8]);

impl BodyReader for Sends {
    async fn read(&mut self, _: &Limits, _: &mut RequestHead) -> Result<Vec<u8>, Refusal> {
        Ok(std::mem::take(&mut self.0).to_vec())
    }
}

fn transform(
    head: &mut RequestHead,
    exchange: &mut Exchange,
    body: &'static [u8],
) -> Result<Option<Vec<u8>>, Refusal> {
    let limits = Limits::default();
    block_on(transform::request(&limits, head, exchange, None, &mut Sends(body)))
}

fn to_backend(head: &RequestHead, exchange: &Exchange, body: Body) -> String {
    let stage = exchange.stage.clone().expect("a stage");
    let CompiledIntegration::HttpProxy(http) = &stage.method(0).integration else {
        panic!("HTTP_PROXY")
    };
    let mut out = Vec::new();
    integration_request::proxy_head(head, exchange, http, body, b"", &mut out).expect("a request");
    String::from_utf8(out).expect("text")
}

fn headers(pairs: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in pairs {
        headers.append(name.as_bytes(), value.as_bytes());
    }
    headers
}

#[test]
fn what_transformers_add_goes_to_the_backend_and_is_found_by_mappings() {
    let (mut head, mut exchange) = routed(&["p"], &[("p", MARKER)]);
    assert_eq!(transform(&mut head, &mut exchange, b"").expect("passes"), None);
    let request = to_backend(&head, &exchange, Body::Streamed(Framing::None));
    assert!(
        request.starts_with("GET /x?a=1 HTTP/1.1\r\nHost: backend\r\nx-plugin: p\r\n"),
        "{request}"
    );
    assert!(head.fields.iter().any(|field| head.is_named(field, b"X-Plugin")));
}

#[test]
fn transformers_choose_method_path_authority_and_query_of_the_request_to_the_backend() {
    let (mut head, mut exchange) = routed(&["router"], &[("router", ROUTER)]);
    assert_eq!(transform(&mut head, &mut exchange, b"").expect("passes"), None);
    let request = to_backend(&head, &exchange, Body::Streamed(Framing::None));
    assert!(request.starts_with("POST /other?b=2 HTTP/1.1\r\nHost: a.test\r\n"), "{request}");
    assert_eq!((head.method(), head.query()), (b"GET".as_slice(), Some(b"b=2".as_slice())));
}

#[test]
fn a_pseudo_header_that_is_as_it_was_changes_nothing() {
    let (mut head, exchange) = routed(&[], &[]);
    let same = [(":method", "GET"), (":path", "/prod/a?a=1"), (":authority", "api.test")];
    for pairs in [same.as_slice(), &[]] {
        let backend = BackendRequest::read(&headers(pairs), &mut head, &exchange).expect("usable");
        assert_eq!(backend, BackendRequest::default());
        assert_eq!(head.query(), Some(b"a=1".as_slice()));
    }
    let query = headers(&[(":path", "/prod/a")]);
    assert_eq!(BackendRequest::read(&query, &mut head, &exchange).unwrap().path, None);
    assert_eq!((head.path(), head.query()), (b"/prod/a".as_slice(), None));
}

#[test]
fn pseudo_headers_that_would_be_another_request_are_refused() {
    let table = [
        (":path", "/a b"),
        (":path", "a"),
        (":path", ""),
        (":path", "/a\r\nx: y"),
        (":path", "/a#b"),
        (":path", "/a?b c"),
        (":path", "/\u{e9}"),
        (":method", ""),
        (":method", "GET /"),
        (":authority", "a b"),
        (":authority", "a/b"),
    ];
    let (mut head, exchange) = routed(&[], &[]);
    for (name, value) in table {
        let backend = BackendRequest::read(&headers(&[(name, value)]), &mut head, &exchange);
        assert!(backend.is_err(), "{name}: {value:?}");
    }
}

#[test]
fn a_plugin_that_is_not_loaded_lets_nothing_through() {
    let (mut head, mut exchange) = routed(&["p", "absent"], &[("p", MARKER)]);
    assert!(transform::is_needed(&exchange));
    let refusal = transform(&mut head, &mut exchange, b"").unwrap_err();
    assert_eq!(refusal.log_message(), "the plugin absent is not loaded");
    let answer = block_on(transform::refusal(&head, &mut exchange, refusal)).expect("an answer");
    assert_eq!(answer.status, 500);
    let (_, exchange) = routed(&[], &[]);
    assert!(!transform::is_needed(&exchange));
}

#[test]
fn an_answer_goes_back_through_the_transformers_before_the_one_that_gave_it() {
    let loaded = [("p", MARKER), ("guard", GUARD)];
    for (names, marked) in [(["p", "guard"], true), (["guard", "p"], false)] {
        let (mut head, mut exchange) = routed(&names, &loaded);
        let refusal = transform(&mut head, &mut exchange, b"").unwrap_err();
        let answer = block_on(transform::refusal(&head, &mut exchange, refusal)).expect("answer");
        assert_eq!(answer.status, 403);
        assert_eq!(answer.body, if marked { b"p!".as_slice() } else { b"p" });
        assert_eq!(answer.headers.iter().any(|(name, _)| &**name == "x-plugin"), marked);
    }
}

#[test]
fn a_failed_transformer_is_an_error_that_those_before_it_see() {
    let (mut head, mut exchange) = routed(&["p", "b"], &[("p", MARKER), ("b", BROKEN)]);
    let refusal = transform(&mut head, &mut exchange, b"").unwrap_err();
    assert!(refusal.log_message().starts_with("plugin b: "), "{}", refusal.log_message());
    let answer = block_on(transform::refusal(&head, &mut exchange, refusal)).expect("an answer");
    assert_eq!(answer.status, 500);
    assert!(answer.headers.iter().any(|(name, _)| &**name == "x-plugin"));
    assert!(answer.body.ends_with(b"!"));
}

#[test]
fn the_gateways_own_answers_are_transformed() {
    let (mut head, mut exchange) = routed(&["p"], &[("p", MARKER)]);
    transform(&mut head, &mut exchange, b"").expect("passes");
    let mut response = LocalResponse::new(200);
    response.body = b"mock".to_vec();
    let response = block_on(transform::response(&exchange, response)).expect("a response");
    assert_eq!(response.body, b"mock!");
    let again = block_on(transform::response(&exchange, response)).expect("a response");
    assert_eq!(again.body, b"mock!", "each plugin sees one response");
}

#[test]
fn a_small_body_goes_through_before_the_head_is_sent() {
    let (mut head, mut exchange) = routed(&["p"], &[("p", MARKER)]);
    head.framing = Framing::Length(2);
    let body = transform(&mut head, &mut exchange, b"ab").expect("passes");
    assert_eq!(body, Some(b"ab!".to_vec()));
    assert!(of_request_body(&exchange).is_none());
}

/// A body in pieces, perhaps with one trailer.
struct Pieces {
    pieces: Vec<&'static [u8]>,
    trailer: Option<&'static str>,
    knows_last: bool,
}

impl Source for Pieces {
    async fn next(&mut self) -> Result<Option<Piece<'_>>, BodyError> {
        if self.pieces.is_empty() {
            return Ok(None);
        }
        let data = self.pieces.remove(0);
        Ok(Some(Piece { data, last: self.knows_last && self.pieces.is_empty() }))
    }

    fn take_trailers(&mut self) -> Option<Box<Trailers>> {
        self.trailer.take().map(|name| {
            let mut trailers = Trailers::default();
            let name = append(&mut trailers.bytes, name.as_bytes());
            let field = Field { name, value: Span::default(), known: Known::Other };
            trailers.fields.push(field);
            Box::new(trailers)
        })
    }
}

#[test]
fn a_streamed_request_body_goes_through_piece_by_piece() {
    for knows_last in [true, false] {
        let (mut head, mut exchange) = routed(&["p"], &[("p", MARKER)]);
        head.framing = Framing::Chunked;
        assert_eq!(transform(&mut head, &mut exchange, b"").expect("passes"), None);
        let transformation = of_request_body(&exchange);
        assert!(transformation.is_some());
        let pieces = vec![b"ab".as_slice(), b"cd"];
        let trailer = (!knows_last).then_some("x-trailer");
        let pieces = Pieces { pieces, trailer, knows_last };
        let mut source = TransformedRequest::new(pieces, transformation);
        let body = block_on(async {
            let mut body = Vec::new();
            while let Some(piece) = source.next().await.expect("a piece") {
                body.push(String::from_utf8_lossy(piece.data).into_owned());
            }
            body
        });
        let expected: &[&str] = if knows_last { &["ab", "cd!"] } else { &["ab", "cd", "!"] };
        assert_eq!(body, expected);
        assert_eq!(source.take_trailers().is_some(), !knows_last);
        let late = block_on(transform::late_body(&exchange, b"x".to_vec()));
        assert!(late.is_ok());
    }
}

/// Keeps what it gets.
#[derive(Default)]
struct Kept {
    head: String,
    body: Vec<u8>,
    ended: bool,
}

impl Sink for Kept {
    async fn begin(&mut self, _: &Exchange, head: &ResponseHead) -> Result<(), SinkError> {
        let fields = head.fields.iter().map(|field| {
            let text = [head.name(field), head.value(field)].map(String::from_utf8_lossy);
            text.join("=")
        });
        let fields = fields.collect::<Vec<_>>().join(" ");
        self.head = format!("{} {:?} {fields}", head.status, head.framing);
        Ok(())
    }

    async fn data(&mut self, piece: Piece<'_>) -> Result<(), SinkError> {
        assert!(!self.head.is_empty(), "the head comes first");
        self.body.extend_from_slice(piece.data);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    async fn finish(&mut self, _: Option<&Trailers>) -> Result<(), SinkError> {
        self.ended = true;
        Ok(())
    }
}

/// What the client gets of a backend's response in pieces.
fn deliver(
    exchange: &mut Exchange,
    mut head: ResponseHead,
    pieces: &[&[u8]],
) -> Result<Kept, Failed> {
    let (mut kept, mut begun) = (Kept::default(), false);
    block_on(async {
        let mut sink = TransformedResponse::new(Compressing::new(&mut kept, &mut begun), None);
        sink.begin(exchange, &mut head).await?;
        for data in pieces {
            sink.data(exchange, &mut head, Piece { data, last: false }).await?;
            sink.flush().await?;
        }
        sink.finish(exchange, &mut head, None).await
    })?;
    Ok(kept)
}

fn backend(framing: Framing) -> ResponseHead {
    let mut head = ResponseHead { status: 200, framing, ..ResponseHead::default() };
    for (name, value) in [("Content-Type", "text/plain"), ("Content-Length", "4")] {
        let field = Field {
            name: append(&mut head.bytes, name.as_bytes()),
            value: append(&mut head.bytes, value.as_bytes()),
            known: Known::of(name.as_bytes()),
        };
        head.fields.push(field);
    }
    head
}

#[test]
fn a_response_that_passes_is_transformed_on_its_way() {
    let (mut head, mut exchange) = routed(&["p"], &[("p", MARKER)]);
    transform(&mut head, &mut exchange, b"").expect("passes");
    let kept = deliver(&mut exchange, backend(Framing::Chunked), &[b"ab", b"cd"]).expect("sent");
    assert_eq!(kept.head, "200 Chunked Content-Type=text/plain Content-Length=4 x-plugin=p");
    assert_eq!((kept.body.as_slice(), kept.ended), (b"abcd!".as_slice(), true));
}

#[test]
fn a_response_has_its_own_length_if_it_is_small_and_is_chunked_else() {
    for (length, framing) in [(4, "Length(5)"), (1_000_000, "Chunked")] {
        let (mut head, mut exchange) = routed(&["p"], &[("p", MARKER)]);
        transform(&mut head, &mut exchange, b"").expect("passes");
        let framed = backend(Framing::Length(length));
        let kept = deliver(&mut exchange, framed, &[b"ab", b"cd"]).expect("sent");
        assert!(kept.head.starts_with(&format!("200 {framing} ")), "{}", kept.head);
        assert_eq!(kept.body, b"abcd!");
    }
}

#[test]
fn an_empty_response_stays_empty_and_one_to_head_has_no_length() {
    let (mut head, mut exchange) = routed(&["p"], &[("p", MARKER)]);
    transform(&mut head, &mut exchange, b"").expect("passes");
    let kept = deliver(&mut exchange, backend(Framing::None), &[]).expect("sent");
    assert!(kept.head.starts_with("200 None "), "{}", kept.head);
    assert!(kept.body.is_empty());

    let (mut head, mut exchange) = routed(&["p"], &[("p", MARKER)]);
    head.method = append(&mut head.bytes, b"HEAD");
    transform(&mut head, &mut exchange, b"").expect("passes");
    let kept = deliver(&mut exchange, backend(Framing::None), &[]).expect("sent");
    assert_eq!(kept.head, "200 None Content-Type=text/plain Content-Length=4 x-plugin=p");
}

#[test]
fn a_status_without_body_drops_the_body() {
    let (mut head, mut exchange) = routed(&["e"], &[("e", EMPTIER)]);
    transform(&mut head, &mut exchange, b"").expect("passes");
    let kept = deliver(&mut exchange, backend(Framing::Length(4)), &[b"abcd"]).expect("sent");
    assert!(kept.head.starts_with("204 None "), "{}", kept.head);
    assert!(kept.body.is_empty() && kept.ended);
    assert_eq!(exchange.status, 204);
}
