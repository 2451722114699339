//! Authorizers that read the request's body.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tollgate_tests::{Api, Gateway, Request, Serve, Upstream, get, http, http_proxy, mock, post};

use super::{ServePlugins, call, entry, fixture_entry, guard, guarded};
use crate::support::assert_error;

fn serving(upstream: &Upstream, more: &str) -> Gateway {
    let api = Api::new()
        .method("ANY /orders", guarded(http_proxy(&upstream.url("/"))))
        .method("POST /mapped", guarded(http(&upstream.url("/"))))
        .method("POST /size", guarded(mock(200, "$context.authorizer.size")))
        .with("components", guard("plugin:reader", &["x-do"], 0));
    Serve::new(api)
        .tls(&tollgate_tests::Issued::of(&["localhost"]))
        .plugins(&[fixture_entry("reader", "authorizer", more)])
        .start()
}

/// The authorizer lets in bodies with `open sesame` in them.
fn by_body(request: Request) -> Request {
    request.header("x-do", "body").header("Content-Type", "application/json")
}

const OPEN: &str = "open sesame, and one thing more";

fn chunked(body: &str) -> Request {
    let (first, second) = body.split_at(7);
    let body =
        format!("{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n", first.len(), second.len());
    post("/prod/orders", body).header("Transfer-Encoding", "chunked")
}

#[test]
fn the_body_decides_and_still_reaches_the_backend() {
    let upstream = Upstream::echo();
    let gateway = serving(&upstream, "body: true");
    let host = gateway.default_host();
    let mut http2 = gateway.connect_http2();
    for isolation in 1..=2 {
        let open = [
            call(&gateway, by_body(post("/prod/orders", OPEN))),
            call(&gateway, by_body(chunked(OPEN))),
            call(&gateway, by_body(post("/prod/mapped", OPEN))),
            http2.call(by_body(post("/prod/orders", OPEN)).host(&host)),
        ];
        for response in open {
            assert_eq!(response.status, 200, "{response:?}");
        }
        let received = upstream.requests();
        assert_eq!(received.len(), 4 * isolation);
        for request in received {
            assert_eq!(String::from_utf8_lossy(&request.body), OPEN, "{}", request.head);
        }
        let closed = "open the door, please: nobody said sesame";
        for response in [
            call(&gateway, by_body(post("/prod/orders", closed))),
            call(&gateway, by_body(chunked(closed))),
            http2.call(by_body(post("/prod/orders", closed)).host(&host)),
            // Nothing is a body too.
            call(&gateway, by_body(get("/prod/orders"))),
        ] {
            assert_eq!(response.status, 403, "{response:?}");
        }
        assert_eq!(upstream.requests().len(), 4 * isolation);
    }
}

#[test]
fn a_connection_goes_on_after_a_body_that_was_refused() {
    let upstream = Upstream::echo();
    let gateway = serving(&upstream, "body: true");
    let mut client = gateway.connect();
    let host = gateway.default_host();
    for _ in 0..3 {
        let refused = client.call(by_body(post("/prod/orders", "closed")).host(&host));
        assert_eq!((refused.status, refused.header("Connection")), (403, Some("keep-alive")));
        let passed = client.call(by_body(post("/prod/orders", OPEN)).host(&host));
        assert_eq!(passed.status, 200);
    }
    assert_eq!(upstream.requests().len(), 3);
}

#[test]
fn a_body_is_read_without_its_content_coding() {
    let upstream = Upstream::echo();
    let gateway = serving(&upstream, "body: true");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(OPEN.as_bytes()).unwrap();
    let zipped = encoder.finish().unwrap();
    let request = by_body(post("/prod/size", zipped)).header("Content-Encoding", "gzip");
    assert_eq!(call(&gateway, request).summary(), (200, OPEN.len().to_string()));
}

#[test]
fn a_large_body_is_given_whole() {
    let upstream = Upstream::echo();
    let gateway = serving(&upstream, "body: true, limits: {cpu_time: 10s}");
    let body = format!("{OPEN}{}", "x".repeat(5 << 20));
    let response = call(&gateway, by_body(post("/prod/size", body.as_str())));
    assert_eq!(response.summary(), (200, body.len().to_string()));
    let response = call(&gateway, by_body(post("/prod/orders", body.as_str())));
    assert_eq!(response.status, 200);
    assert!(upstream.request().body == body.as_bytes());
}

#[test]
fn a_body_beyond_the_quota_is_413_before_anyone_is_asked() {
    let upstream = Upstream::echo();
    let gateway = serving(&upstream, "body: true");
    let body = format!("{OPEN}{}", "x".repeat(10 << 20));
    let request = by_body(post("/prod/orders", body)).host(&gateway.default_host());
    let response = gateway.refusal(request.bytes());
    assert_eq!(response.status, 413, "{response:?}");
    assert!(upstream.requests().is_empty());
    gateway.assert_metric("tollgate_plugin_calls_total{plugin=\"reader\"}", 0.0);
}

#[test]
fn a_body_beyond_the_plugins_limit_is_413() {
    let upstream = Upstream::echo();
    let gateway = serving(&upstream, "body: true, limits: {body: 1KiB}");
    let body = format!("{OPEN}{}", "x".repeat(1024));
    let response = call(&gateway, by_body(post("/prod/orders", body)));
    assert_eq!(response.status, 413, "{response:?}");
    assert!(upstream.requests().is_empty());
    assert_eq!(call(&gateway, by_body(post("/prod/orders", OPEN))).status, 200);
}

#[test]
fn nobody_without_identity_is_asked_for_a_body() {
    let api = Api::new()
        .method("POST /orders", guarded(mock(200, "in")))
        .with("components", guard("plugin:reader", &["x-do"], 300));
    let reader = fixture_entry("reader", "authorizer", "body: true");
    let gateway = Serve::new(api).plugins(&[reader]).start();
    let mut client = gateway.connect();
    let host = gateway.default_host();
    client.send(format!(
        "POST /prod/orders HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9\r\n\
         Expect: 100-continue\r\n\r\n"
    ));
    assert_eq!(client.response().status, 401);
}

#[test]
fn a_client_that_waits_to_be_asked_for_its_body_is_asked() {
    let upstream = Upstream::echo();
    let gateway = serving(&upstream, "body: true");
    let mut client = gateway.connect();
    let host = gateway.default_host();
    for (body, status) in [(OPEN, 200), ("closed", 403), (OPEN, 200)] {
        client.send(format!(
            "POST /prod/orders HTTP/1.1\r\nHost: {host}\r\nx-do: body\r\n\
             Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
            body.len()
        ));
        assert_eq!(client.read_until(b"\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n");
        client.send(body);
        assert_eq!(client.response().status, status);
    }
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn a_transformer_after_it_gets_the_body_too() {
    let upstream = Upstream::echo();
    let api = Api::new()
        .method("POST /orders", guarded(http_proxy(&upstream.url("/"))))
        .with("components", guard("plugin:reader", &["x-do"], 0));
    let gateway = Serve::new(api)
        .attach("transformers: [redactor]")
        .plugins(&[
            fixture_entry("reader", "authorizer", "body: true"),
            entry("redactor", "json-redactor", "configuration: {request: [$..password]}"),
        ])
        .start();
    let body = |word: &str| format!(r#"{{"word": "{word}", "password": "x"}}"#);
    let response = call(&gateway, by_body(post("/prod/orders", body("open sesame"))));
    assert_eq!(response.status, 200, "{response:?}");
    let expected = r#"{"word": "open sesame", "password": "[redacted]"}"#;
    assert_eq!(String::from_utf8_lossy(&upstream.request().body), expected);
    assert_eq!(call(&gateway, by_body(post("/prod/orders", body("close")))).status, 403);
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn who_does_not_ask_for_bodies_gets_none() {
    let upstream = Upstream::echo();
    let gateway = serving(&upstream, "");
    let response = call(&gateway, by_body(post("/prod/orders", OPEN)));
    assert_error(&response, 401, "UnauthorizedException", "Unauthorized");
    // Let in for another reason, the request goes on with its body.
    let request = post("/prod/orders", OPEN).header("x-do", "nothing");
    assert_eq!(call(&gateway, request).status, 200);
    assert_eq!(upstream.request().body, OPEN.as_bytes());
}
