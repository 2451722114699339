//! Plugins as transformers.

use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tollgate_tests::{
    Api, Dev, Gateway, Http2, Request, Response, Serve, Upstream, get, greedy, http, http_proxy,
    mock, post, request,
};

use super::{
    DevPlugins, Filter, ServePlugins, call, entry, guard, guarded, operation, with_example_config,
};
use crate::support::assert_error;

/// A header-normaliser with this configuration.
fn normaliser(name: &str, configuration: &Value) -> String {
    entry(name, "header-normaliser", &format!("configuration: {configuration}"))
}

/// Renames `X-FROM` of requests and `Y-FROM` of responses.
fn renaming(name: &str, (from, to): (u8, u8), (response_from, response_to): (u8, u8)) -> String {
    let rename = |side: &str, from: u8, to: u8| json!({ "rename": { format!("{side}-{from}"): format!("{side}-{to}") } });
    normaliser(
        name,
        &json!({ "request": rename("x", from, to),
            "response": rename("y", response_from, response_to) }),
    )
}

const SECRETS: &str = r#"{"password": "x", "items": [{"email": "a@example.com", "id": 1}]}"#;
const REDACTED: &str = r#"{"password": "[redacted]", "items": [{"email": "[redacted]", "id": 1}]}"#;

fn json_answer(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn redactor() -> String {
    with_example_config("json-redactor", "config.json")
}

fn in_json(request: Request) -> Request {
    request.header("Content-Type", "application/json")
}

#[test]
fn they_run_for_the_api_then_the_stage_then_the_method_and_back() {
    let upstream = Upstream::scripted(|mut session| {
        while let Some(request) = session.request() {
            session.record(request);
            session.write("HTTP/1.1 200 OK\r\nY-1: back\r\nContent-Length: 0\r\n\r\n");
        }
    });
    // Each takes up what the one before it leaves: any other order leaves something else.
    let plugins = [
        renaming("of-api", (1, 2), (3, 4)),
        renaming("of-stage", (2, 3), (2, 3)),
        renaming("of-method", (3, 4), (1, 2)),
    ];
    let proxied = http_proxy(&upstream.url("/"));
    let api = |more: Value| {
        Api::new()
            .with("x-tollgate-transformers", json!(["of-api"]))
            .method("GET /", operation(proxied.clone(), more))
    };
    let of_method = json!({ "x-tollgate-transformers": ["of-method"] });
    for serve in [
        Serve::new(api(of_method)).attach("transformers: [of-stage]"),
        Serve::new(api(json!({})))
            .attach("transformers: [of-stage], methods: {'GET /': {transformers: [of-method]}}"),
    ] {
        let gateway = serve.plugins(&plugins).start();
        let response = call(&gateway, get("/prod").header("X-1", "there"));
        let received = upstream.requests().pop().expect("a request");
        assert_eq!(received.header("x-4").as_deref(), Some("there"), "{}", received.head);
        assert_eq!(response.header("y-4"), Some("back"), "{response:?}");
    }
}

#[test]
fn what_they_change_is_validated_and_mapped() {
    let upstream = Upstream::echo();
    let mut mapped = http_proxy(&upstream.url("/"));
    mapped["requestParameters"] =
        json!({ "integration.request.header.X-Mapped": "method.request.header.x-tenant" });
    let wanting = operation(
        mapped,
        json!({
            "x-amazon-apigateway-request-validator": "all",
            "parameters": [
                { "in": "header", "name": "x-tenant", "required": true, "schema": { "type": "string" } },
            ],
        }),
    );
    let api = Api::new().method("GET /with", wanting.clone()).method("GET /without", wanting).with(
        "x-amazon-apigateway-request-validators",
        json!({ "all": {
            "validateRequestBody": false, "validateRequestParameters": true } }),
    );
    let gateway = Serve::new(api)
        .attach("methods: {'GET /with': {transformers: [tenant]}}")
        .plugins(&[normaliser(
            "tenant",
            &json!({
            "request": { "rename": { "x-tenant-id": "x-tenant" }, "lowerCase": ["x-tenant"] } }),
        )])
        .start();
    let sent = |path| call(&gateway, get(path).header("X-Tenant-Id", "ACME"));
    let response = sent("/prod/with");
    assert_eq!(response.echoed_header("x-mapped").as_deref(), Some("acme"));
    assert_eq!(response.echoed_header("x-tenant").as_deref(), Some("acme"));
    assert_eq!(response.echoed_header("x-tenant-id"), None);
    assert_error(
        &sent("/prod/without"),
        400,
        "BadRequestException",
        "Missing required request parameters: [x-tenant]",
    );
    assert_eq!(call(&gateway, get("/prod/with")).status, 400);
}

#[test]
fn a_responses_body_is_changed_whoever_makes_it() {
    let upstream = Upstream::answering(json_answer(SECRETS));
    let chunked = Upstream::answering(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
         a\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        &SECRETS[..10],
        SECRETS.len() - 10,
        &SECRETS[10..]
    ));
    let api = Api::new()
        .route("GET /proxy", http_proxy(&upstream.url("/")))
        .route("GET /chunked", http_proxy(&chunked.url("/")))
        .route("GET /mapped", http(&upstream.url("/")))
        .route("GET /mock", mock(200, SECRETS));
    let gateway = Dev::new(api).plugin(redactor()).start();
    let (mut http1, mut http2) = (gateway.connect(), gateway.connect_http2());
    for path in ["/proxy", "/chunked", "/mapped", "/mock"] {
        for (version, response) in [("HTTP/1.1", http1.get(path)), ("HTTP/2", http2.get(path))] {
            assert_eq!(response.summary(), (200, REDACTED.into()), "{path} {version}");
            let length = response.header("Content-Length").map(str::to_owned);
            assert!(
                length.is_none_or(|length| length == REDACTED.len().to_string()),
                "{path} {version}: {response:?}"
            );
        }
    }
    let response = http1.get("/proxy");
    assert_eq!(response.header("Content-Length"), Some(&*REDACTED.len().to_string()));
}

#[test]
fn a_requests_body_is_changed_before_the_backend_sees_it() {
    let upstream = Upstream::echo();
    let mut mapped = http(&upstream.url("/"));
    mapped["requestTemplates"] =
        json!({ "application/json": "{\"number\": $input.json('$.card.number')}" });
    let api = Api::new()
        .route("POST /orders", http_proxy(&upstream.url("/")))
        .route("POST /mapped", mapped);
    let gateway = Dev::new(api).plugin(redactor()).start();
    let body = r#"{"card": {"number": "4111 1111 1111 1111", "name": "Ali"}}"#;
    let expected = r#"{"card": {"number": "[redacted]", "name": "Ali"}}"#;

    let mut client = gateway.connect();
    client.call(in_json(post("/orders", body)).header("Accept-Encoding", "gzip"));
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    client.call(in_json(post("/orders", chunked)).header("Transfer-Encoding", "chunked"));
    gateway.connect_http2().call(in_json(post("/orders", body)));
    let received = upstream.requests();
    assert_eq!(received.len(), 3);
    for request in received {
        assert_eq!(String::from_utf8_lossy(&request.body), expected, "{}", request.head);
        assert_eq!(request.header("Content-Length"), Some(expected.len().to_string()));
        assert_eq!(request.header("Transfer-Encoding"), None);
        assert_eq!(request.header("Accept-Encoding"), None);
    }
    client.call(in_json(post("/mapped", body)));
    assert_eq!(upstream.requests()[3].body, br#"{"number": "[redacted]"}"#);

    let response = client.call(in_json(post("/orders", "{not json")));
    assert_eq!(response.summary(), (400, r#"{"message":"Invalid request body"}"#.into()));
    assert_eq!(upstream.requests().len(), 4);
}

#[test]
fn a_body_beyond_the_plugins_limit_is_413_or_500() {
    let long = format!(r#"{{"password": "{}"}}"#, "x".repeat(2000));
    let upstream = Upstream::answering(json_answer(&long));
    let api = Api::new().route("ANY /", http_proxy(&upstream.url("/")));
    let gateway = Serve::new(api)
        .attach("transformers: [redactor]")
        .plugins(&[entry(
            "redactor",
            "json-redactor",
            "configuration: {request: [a], response: [$..password]}, limits: {body: 1KiB}",
        )])
        .start();
    for body in [long.clone().into_bytes(), vec![b' '; 100 * 1024]] {
        let response = call(&gateway, in_json(post("/prod", body)));
        assert_eq!(response.status, 413, "{response:?}");
    }
    assert!(upstream.requests().is_empty());
    // A short one passes; then the answer is too long.
    let response = call(&gateway, in_json(post("/prod", r#"{"a": 1}"#)));
    assert_eq!(response.status, 500, "{response:?}");
    assert_eq!(upstream.request().body, br#"{"a": "[redacted]"}"#);
}

#[test]
fn a_path_that_a_transformer_sets_is_the_backends() {
    let upstream = Upstream::echo();
    let api = Api::new().route("GET /{proxy+}", http_proxy(&upstream.url("/{proxy}")));
    let gateway = Dev::new(api).plugin(with_example_config("ab-router", "config.json")).start();
    for (cookie, path) in [("control", "/pay"), ("new", "/next/pay")] {
        let request = get("/pay?amount=7").header("Cookie", &format!("ab-checkout={cookie}"));
        let response = gateway.call(request);
        assert_eq!(response.echoed_target(), format!("GET {path}?amount=7"));
        assert_eq!(response.echoed_header("x-bucket").as_deref(), Some(cookie));
        assert_eq!(response.header("Set-Cookie"), None);
    }
    // Who has no bucket is dealt one, and keeps it by the cookie of the answer.
    let response = gateway.get("/pay");
    let bucket = response.echoed_header("x-bucket").expect("a bucket");
    let cookie = response.header("Set-Cookie").expect("a cookie");
    assert!(cookie.starts_with(&format!("ab-checkout={bucket};")), "{cookie}");
}

#[test]
fn gateway_responses_made_after_them_pass_through_them() {
    let (_socket, away) = Upstream::refusing();
    let api = Api::new()
        .method("GET /away", guarded(http_proxy(&format!("http://{away}/"))))
        .method("GET /invalid", operation(mock(200, ""), json!({
            "security": [{ "guard": [] }],
            "x-amazon-apigateway-request-validator": "all",
            "parameters": [{ "in": "query", "name": "q", "required": true, "schema": { "type": "string" } }],
        })))
        .with("components", guard("plugin:keys", &["x-api-key"], 300))
        .with("x-amazon-apigateway-request-validators", json!({ "all": {
            "validateRequestBody": false, "validateRequestParameters": true } }));
    let keys = super::example_file("api-key-authorizer", "keys.csv");
    let gateway = Serve::new(api)
        .attach("transformers: [safe]")
        .plugins(&[
            entry("keys", "api-key-authorizer", &format!("configuration_file: '{keys}'")),
            normaliser(
                "safe",
                &json!({ "response": { "add": { "x-content-type-options": "nosniff" } } }),
            ),
        ])
        .start();
    for (path, key, status, passes) in [
        ("/prod/away", "alices-example-key", 500, true),
        ("/prod/invalid", "alices-example-key", 400, true),
        ("/prod/invalid?q=1", "alices-example-key", 200, true),
        ("/prod/away", "mallorys", 403, false),
        ("/prod/nowhere", "alices-example-key", 403, false),
    ] {
        let response = call(&gateway, get(path).header("x-api-key", key));
        let passed = response.header("x-content-type-options") == Some("nosniff");
        assert_eq!((response.status, passed), (status, passes), "{path} {key}: {response:?}");
    }
}

/// 5 MB that aren't the same anywhere.
fn large() -> Vec<u8> {
    (0..5_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn chunks(body: &[u8]) -> Vec<u8> {
    let mut chunked = Vec::with_capacity(body.len() + 1024);
    for chunk in body.chunks(40_000) {
        chunked.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    chunked
}

#[test]
fn large_bodies_stream_past_a_filter_of_headers() {
    let upstream = Upstream::scripted(|mut session| {
        while let Some(request) = session.request() {
            let (framing, body) = match request.header("Transfer-Encoding") {
                Some(_) => ("Transfer-Encoding: chunked".into(), chunks(&request.body)),
                None => (format!("Content-Length: {}", request.body.len()), request.body.clone()),
            };
            let mut answer =
                format!("HTTP/1.1 200 OK\r\nServer: x\r\n{framing}\r\n\r\n").into_bytes();
            answer.extend_from_slice(&body);
            session.record(request);
            session.write(&answer);
        }
    });
    let gateway = Dev::new(greedy(&upstream.url("")))
        .plugin(with_example_config("header-normaliser", "config.json"))
        .start();
    let body = large();
    let mut client = gateway.connect();
    let answers = [
        client.call(post("/", body.clone())),
        client.call(post("/", chunks(&body)).header("Transfer-Encoding", "chunked")),
        gateway.connect_http2().call(post("/", body.clone())),
    ];
    for (number, response) in answers.iter().enumerate() {
        assert_eq!(response.status, 200);
        assert!(response.body == body, "answer {number} is another: {} bytes", response.body.len());
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(response.header("Server"), None);
    }
    for (number, received) in upstream.requests().iter().enumerate() {
        assert!(received.body == body, "request {number} is another");
        assert_eq!(received.header("x-edge").as_deref(), Some("amsterdam"));
    }
    assert_eq!(answers[0].header("Content-Length"), Some(&*body.len().to_string()));
    assert_eq!(answers[1].header("Transfer-Encoding"), Some("chunked"));
}

#[test]
fn a_response_without_a_body_stays_without_one() {
    let upstream = Upstream::scripted(|mut session| {
        while let Some(request) = session.request() {
            let answer = match request.line() {
                line if line.starts_with("HEAD ") => {
                    format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                        SECRETS.len()
                    )
                }
                line if line.contains("/none") => {
                    "HTTP/1.1 204 No Content\r\nContent-Type: application/json\r\n\r\n".into()
                }
                line if line.contains("/same") => {
                    "HTTP/1.1 304 Not Modified\r\nContent-Type: application/json\r\n\r\n".into()
                }
                _ => json_answer(SECRETS),
            };
            session.write(answer);
        }
    });
    let gateway = Dev::new(greedy(&upstream.url("")))
        .plugin(redactor())
        .plugin(with_example_config("header-normaliser", "config.json"))
        .start();
    let mut client = gateway.connect();
    let mut http2 = gateway.connect_http2();
    for (method, path, status) in
        [("HEAD", "/", 200), ("GET", "/none", 204), ("GET", "/same", 304), ("HEAD", "/", 200)]
    {
        for response in [client.call(request(method, path)), http2.call(request(method, path))] {
            assert_eq!((response.status, response.body.len()), (status, 0), "{method} {path}");
            assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        }
        // The connection is where it should be.
        assert_eq!(client.get("/").text(), REDACTED);
        assert_eq!(http2.get("/").text(), REDACTED);
    }
}

fn unzipped(response: &Response) -> String {
    assert_eq!(response.header("Content-Encoding"), Some("gzip"), "{response:?}");
    let mut text = String::new();
    GzDecoder::new(&response.body[..]).read_to_string(&mut text).expect("the body decodes");
    text
}

/// Mapped and proxied answers of `upstream`, and a MOCK, compressed from 10 bytes on.
fn compressing(upstream: &Upstream) -> Api {
    Api::new()
        .route("GET /mapped", http(&upstream.url("/")))
        .route("GET /proxy", http_proxy(&upstream.url("/")))
        .route("GET /mock", mock(200, SECRETS))
        .with("x-amazon-apigateway-minimum-compression-size", json!(10))
}

#[test]
fn what_they_leave_is_compressed() {
    let upstream = Upstream::answering(json_answer(SECRETS));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("replacing.wasm");
    std::fs::write(&file, Filter::replacing_responses("another body, long enough").wasm()).unwrap();
    let gateway = Dev::new(compressing(&upstream)).plugin(file.display().to_string()).start();
    let mut client = gateway.connect();
    for path in ["/mapped", "/proxy", "/mock"] {
        let response = client.call(get(path).header("Accept-Encoding", "gzip"));
        assert_eq!(unzipped(&response), "another body, long enough", "{path}");
        assert_eq!(client.get(path).text(), "another body, long enough", "{path}");
    }
}

#[test]
fn a_transformer_that_keeps_backends_from_compressing_leaves_it_to_the_gateway() {
    let upstream = Upstream::answering(json_answer(SECRETS));
    let gateway = Dev::new(compressing(&upstream)).plugin(redactor()).start();
    let mut client = gateway.connect();
    for path in ["/mapped", "/proxy", "/mock"] {
        let response = client.call(get(path).header("Accept-Encoding", "gzip"));
        assert_eq!(unzipped(&response), REDACTED, "{path}");
    }
    // The redactor can't read what a backend compresses.
    let asked = upstream.requests();
    assert!(asked.iter().all(|received| received.header("Accept-Encoding").is_none()), "{asked:?}");
}

#[test]
fn trailers_pass_a_filter_of_headers() {
    let upstream = Upstream::scripted(|mut session| {
        while let Some(request) = session.request() {
            session.record(request);
            session.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n");
        }
    });
    let gateway = Dev::new(greedy(&upstream.url("")))
        .plugin(with_example_config("header-normaliser", "config.json"))
        .start();
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Check: 5\r\n\r\n");
    let response = client.response();
    assert_eq!(response.summary(), (200, "abc".into()));
    assert_eq!(response.trailers, [("X-Sum".to_owned(), "3".to_owned())]);

    let mut http2 = gateway.connect_http2();
    let (response, mut body) = http2.open(&request("POST", "/"), false);
    body.send_data(bytes::Bytes::from_static(b"hello"), false).unwrap();
    body.send_trailers([("x-check".parse().unwrap(), "5".parse().unwrap())].into_iter().collect())
        .unwrap();
    let response = Http2::receive(response).unwrap();
    assert_eq!(response.trailers, [("x-sum".to_owned(), "3".to_owned())]);
    for received in upstream.requests() {
        let raw = String::from_utf8(received.raw).unwrap().to_ascii_lowercase();
        assert!(raw.ends_with("\r\n0\r\nx-check: 5\r\n\r\n"), "{raw}");
        assert!(raw.contains("x-edge: amsterdam"), "{raw}");
    }
}

#[test]
fn a_body_that_a_component_streams_is_not_needed_to_answer() {
    // A redactor of requests reads whole bodies; one that has no path for them reads none.
    let upstream = Upstream::echo();
    let gateway = Serve::new(Api::new().route("POST /", http_proxy(&upstream.url("/"))))
        .attach("transformers: [redactor]")
        .plugins(&[entry(
            "redactor",
            "json-redactor",
            "configuration: {response: [$..password]}, limits: {body: 1KiB}",
        )])
        .start();
    let body = "x".repeat(100_000);
    let response = call(&gateway, in_json(post("/prod", body.as_str())));
    assert_eq!(response.status, 200);
    assert_eq!(upstream.request().body, body.as_bytes());
}

#[test]
fn a_gateway_without_plugins_says_so() {
    let gateway = Gateway::dev(Api::new().route("GET /", mock(200, "")));
    assert_eq!(gateway.announced[0]["plugins"], json!([]));
    let gateway = Dev::new(Api::new().route("GET /", mock(200, ""))).plugin(redactor()).start();
    let plugin = &gateway.announced[0]["plugins"][0];
    assert_eq!(plugin["name"], "json-redactor");
    assert!(plugin["kind"].as_str().is_some_and(|kind| kind.contains("transformer")), "{plugin}");
}
