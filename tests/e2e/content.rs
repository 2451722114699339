//! Text and bytes: binary media types and `contentHandling`, as seen from both sides.

use serde_json::{Value, json};
use tollgate_tests::{
    Api, Gateway, Request, Response, Upstream, get, http, http_proxy, mock, post, request,
};

use crate::support::assert_internal_error;

/// Not UTF-8, and not base64.
const BYTES: &[u8] = b"\xffPNG";
/// What text makes of [`BYTES`].
const REPLACED: &[u8] = "\u{FFFD}PNG".as_bytes();
/// [`BYTES`] in base64.
const ENCODED: &[u8] = b"/1BORw==";
/// [`ENCODED`] in base64.
const TWICE: &[u8] = b"LzFCT1J3PT0=";

const NONE: &str = "none";
const TO_TEXT: &str = "CONVERT_TO_TEXT";
const TO_BINARY: &str = "CONVERT_TO_BINARY";

fn with_handling(mut place: Value, handling: &str) -> Value {
    if handling != NONE {
        place["contentHandling"] = handling.into();
    }
    place
}

/// An API with these binary media types and one route for each way of handling.
fn api(types: &[&str], method: &str, integration: impl Fn(&str) -> Value) -> Api {
    let api = [NONE, TO_TEXT, TO_BINARY].into_iter().fold(Api::new(), |api, handling| {
        api.route(&format!("{method} /{handling}"), integration(handling))
    });
    api.with("x-amazon-apigateway-binary-media-types", json!(types))
}

/// What the backend got of a body, or the status of who refused it.
fn sent(gateway: &Gateway, upstream: &Upstream, sent: Request) -> Result<Vec<u8>, u16> {
    let before = upstream.requests().len();
    let response = gateway.call(sent);
    let received = upstream.requests();
    match received.get(before) {
        Some(received) => Ok(received.body.clone()),
        None => Err(response.status),
    }
}

fn typed(path: &str, content_type: &str, body: &[u8]) -> Request {
    post(&format!("/{path}"), body).header("Content-Type", content_type)
}

#[test]
fn a_request_reaches_an_http_backend_as_text_or_bytes() {
    let upstream = Upstream::echo();
    let start = |types: &[&str]| {
        Gateway::dev(api(types, "POST", |handling| {
            with_handling(http(&upstream.url("/")), handling)
        }))
    };
    let (without, with) = (start(&[]), start(&["image/*"]));
    for (gateway, content_type, handling, of_bytes, of_encoded) in [
        (&without, "image/png", NONE, Ok(REPLACED), ENCODED),
        (&without, "image/png", TO_TEXT, Ok(REPLACED), ENCODED),
        (&without, "image/png", TO_BINARY, Err(500), BYTES),
        (&with, "text/plain", NONE, Ok(REPLACED), ENCODED),
        (&with, "text/plain", TO_TEXT, Ok(REPLACED), ENCODED),
        (&with, "text/plain", TO_BINARY, Err(500), BYTES),
        (&with, "image/png", NONE, Ok(BYTES), ENCODED),
        (&with, "IMAGE/png; x=y", TO_TEXT, Ok(ENCODED), TWICE),
        (&with, "image/png", TO_BINARY, Ok(BYTES), ENCODED),
    ] {
        let received = sent(gateway, &upstream, typed(handling, content_type, BYTES));
        assert_eq!(received.as_deref(), of_bytes.as_ref().copied(), "{content_type} {handling}");
        let received = sent(gateway, &upstream, typed(handling, content_type, ENCODED));
        assert_eq!(received.as_deref(), Ok(of_encoded), "{content_type} {handling}");
    }
}

#[test]
fn a_request_template_sees_a_binary_body_as_base64_or_not_at_all() {
    let upstream = Upstream::echo();
    let gateway = Gateway::dev(api(&["image/*"], "POST", |handling| {
        let mut integration = with_handling(http(&upstream.url("/")), handling);
        integration["requestTemplates"] =
            json!({ "image/png": "<$input.body>", "text/plain": "<$input.body>" });
        integration
    }));
    for (handling, content_type, body, expected) in [
        (TO_TEXT, "image/png", BYTES, Ok(&b"</1BORw==>"[..])),
        (TO_TEXT, "text/plain", b"hi", Ok(b"<hi>")),
        (NONE, "text/plain", b"hi", Ok(b"<hi>")),
        (NONE, "image/png", BYTES, Err(500)),
        (TO_BINARY, "image/png", BYTES, Err(500)),
        (TO_BINARY, "text/plain", ENCODED, Err(500)),
        // No template matches.
        (TO_BINARY, "text/html", ENCODED, Ok(BYTES)),
        (TO_TEXT, "image/gif", BYTES, Ok(ENCODED)),
    ] {
        let received = sent(&gateway, &upstream, typed(handling, content_type, body));
        assert_eq!(received.as_deref(), expected.as_ref().copied(), "{handling} {content_type}");
    }
}

/// A backend that answers `/png` with bytes, `/text` with base64, `/broken` with text that is
/// neither.
fn backend() -> Upstream {
    Upstream::scripted(|mut session| {
        while let Some(received) = session.request() {
            let (content_type, body) = match received.line().split(' ').nth(1) {
                Some("/png") => ("image/png", BYTES),
                Some("/text") => ("text/plain", ENCODED),
                _ => ("text/plain", BYTES),
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            session.write([head.as_bytes(), body].concat());
        }
    })
}

/// Routes `/HANDLING/PAYLOAD` to the backend's `/PAYLOAD`.
fn responding(upstream: &Upstream, types: &[&str], templates: Value) -> Gateway {
    let mut api = Api::new().with("x-amazon-apigateway-binary-media-types", json!(types));
    for handling in [NONE, TO_TEXT, TO_BINARY] {
        for payload in ["png", "text", "broken"] {
            let mut integration = http(&upstream.url(&format!("/{payload}")));
            let response = json!({ "statusCode": "200", "responseTemplates": templates });
            integration["responses"] = json!({ "default": with_handling(response, handling) });
            api = api.route(&format!("GET /{handling}/{payload}"), integration);
        }
    }
    Gateway::dev(api)
}

fn answer(gateway: &Gateway, handling: &str, payload: &str, accept: &str) -> Response {
    gateway.call(get(&format!("/{handling}/{payload}")).header("Accept", accept))
}

#[test]
fn a_response_reaches_the_client_as_text_or_bytes() {
    let upstream = backend();
    let without = responding(&upstream, &[], json!({}));
    let with = responding(&upstream, &["image/*"], json!({}));
    let (text, image) = ("text/plain, image/png", "image/png, text/plain");
    for (gateway, payload, accept, handling, expected) in [
        (&without, "png", image, NONE, Ok(REPLACED)),
        (&without, "png", image, TO_TEXT, Ok(REPLACED)),
        (&without, "text", text, NONE, Ok(ENCODED)),
        (&without, "text", text, TO_BINARY, Ok(BYTES)),
        (&without, "broken", text, TO_BINARY, Err(500)),
        (&with, "text", text, NONE, Ok(ENCODED)),
        (&with, "text", text, TO_TEXT, Ok(ENCODED)),
        (&with, "text", text, TO_BINARY, Ok(BYTES)),
        (&with, "broken", text, NONE, Ok(REPLACED)),
        (&with, "text", image, NONE, Ok(BYTES)),
        (&with, "text", image, TO_BINARY, Ok(BYTES)),
        (&with, "text", image, TO_TEXT, Ok(ENCODED)),
        (&with, "broken", image, NONE, Err(500)),
        (&with, "broken", image, TO_BINARY, Err(500)),
        (&with, "png", text, NONE, Ok(ENCODED)),
        (&with, "png", text, TO_TEXT, Ok(ENCODED)),
        (&with, "png", text, TO_BINARY, Ok(BYTES)),
        (&with, "png", image, NONE, Ok(BYTES)),
        (&with, "png", image, TO_BINARY, Ok(BYTES)),
        (&with, "png", image, TO_TEXT, Ok(ENCODED)),
    ] {
        let response = answer(gateway, handling, payload, accept);
        let what = format!("{payload} {accept} {handling}");
        match expected {
            Ok(body) => {
                assert_eq!((response.status, response.body.as_slice()), (200, body), "{what}");
            }
            Err(status) => assert_eq!(response.status, status, "{what}"),
        }
    }
    assert_internal_error(&answer(&with, TO_BINARY, "broken", image));
}

#[test]
fn a_client_that_names_no_type_asks_for_json() {
    let upstream = backend();
    let with = responding(&upstream, &["image/*"], json!({}));
    assert_eq!(with.get("/none/png").body, ENCODED);
    let json_is_binary = responding(&upstream, &["application/json", "image/png"], json!({}));
    assert_eq!(json_is_binary.get("/none/png").body, BYTES);
}

#[test]
fn a_response_template_writes_text_whatever_the_client_accepts() {
    let upstream = backend();
    let gateway =
        responding(&upstream, &["image/*"], json!({ "application/json": "<$input.body>" }));
    for (payload, accept, handling, expected) in [
        ("png", "image/png", TO_TEXT, Some("</1BORw==>")),
        ("png", "text/plain", TO_TEXT, Some("</1BORw==>")),
        ("png", "text/plain", NONE, Some("</1BORw==>")),
        ("text", "image/png", TO_TEXT, Some("</1BORw==>")),
        ("text", "image/png", NONE, Some("</1BORw==>")),
        ("broken", "text/plain", NONE, Some("<\u{FFFD}PNG>")),
        ("png", "image/png", TO_BINARY, None),
        ("text", "text/plain", TO_BINARY, None),
        ("png", "image/png", NONE, None),
    ] {
        let response = answer(&gateway, handling, payload, accept);
        match expected {
            Some(body) => {
                let what = format!("{payload} {accept} {handling}");
                assert_eq!(response.summary(), (200, body.into()), "{what}");
            }
            None => assert_internal_error(&response),
        }
    }
}

#[test]
fn a_preflight_where_all_types_are_binary_needs_conversion_to_text() {
    let preflight = |path: &str| request("OPTIONS", path).header("Accept", "*/*");
    let gateway =
        Gateway::dev(api(&["*/*"], "OPTIONS", |handling| with_handling(mock(200, "{}"), handling)));
    assert_internal_error(&gateway.call(preflight("/none")));
    assert_internal_error(&gateway.call(preflight("/CONVERT_TO_BINARY")));
    assert_eq!(gateway.call(preflight("/CONVERT_TO_TEXT")).summary(), (200, "{}".into()));
}

#[test]
fn a_proxy_passes_bytes_as_they_are_both_ways() {
    let upstream = backend();
    for types in [&[][..], &["image/*"]] {
        let api = Api::new()
            .with("x-amazon-apigateway-binary-media-types", json!(types))
            .route("GET /png", http_proxy(&upstream.url("/png")));
        let gateway = Gateway::dev(api);
        for accept in ["image/png", "text/plain"] {
            assert_eq!(gateway.call(get("/png").header("Accept", accept)).body, BYTES, "{types:?}");
        }
    }
    let upstream = Upstream::echo();
    let gateway = Gateway::dev(Api::new().route("POST /", http_proxy(&upstream.url("/"))));
    assert_eq!(sent(&gateway, &upstream, typed("", "text/plain", BYTES)).as_deref(), Ok(BYTES));
}

#[test]
fn a_proxy_converts_requests_when_told_to() {
    let upstream = Upstream::echo();
    let gateway = Gateway::dev(api(&["image/*"], "POST", |handling| {
        with_handling(http_proxy(&upstream.url("/")), handling)
    }));
    for (handling, content_type, body, expected) in [
        (TO_TEXT, "image/png", BYTES, Ok(ENCODED)),
        (TO_TEXT, "text/plain", ENCODED, Ok(ENCODED)),
        (TO_BINARY, "text/plain", ENCODED, Ok(BYTES)),
        (TO_BINARY, "text/plain", BYTES, Err(500)),
        (TO_BINARY, "image/png", BYTES, Ok(BYTES)),
        (NONE, "image/png", BYTES, Ok(BYTES)),
    ] {
        let received = sent(&gateway, &upstream, typed(handling, content_type, body));
        assert_eq!(received.as_deref(), expected.as_ref().copied(), "{handling} {content_type}");
    }
}
