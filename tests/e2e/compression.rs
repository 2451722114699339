//! Payload compression: what clients send and get in gzip and deflate.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::{GzDecoder, ZlibDecoder};
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use serde_json::json;
use tollgate_tests::{
    Api, Gateway, Request, Response, Upstream, curl, get, greedy, http, http_proxy, mock, post,
    request,
};

use crate::support::{assert_error, assert_missing_token};

fn compressing(api: Api, minimum: u32) -> Api {
    api.with("x-amazon-apigateway-minimum-compression-size", json!(minimum))
}

/// Text of this length.
fn text(length: usize) -> String {
    "{\"id\":12345,\"name\":\"a pet\"}\n".chars().cycle().take(length).collect()
}

fn mocking(body: &str, minimum: u32) -> Gateway {
    Gateway::dev(compressing(Api::new().route("ANY /", mock(200, body)), minimum))
}

fn accepting(codings: &str) -> Request {
    get("/").header("Accept-Encoding", codings)
}

/// The body as the client's application sees it.
fn plain(response: &Response) -> Vec<u8> {
    let mut body = Vec::new();
    match response.header("Content-Encoding") {
        Some("gzip") => GzDecoder::new(&response.body[..]).read_to_end(&mut body),
        Some("deflate") => ZlibDecoder::new(&response.body[..]).read_to_end(&mut body),
        other => panic!("Content-Encoding: {other:?}"),
    }
    .expect("the whole body decodes");
    body
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).expect("a Vec takes all");
    encoder.finish().expect("a Vec takes all")
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).expect("a Vec takes all");
    encoder.finish().expect("a Vec takes all")
}

fn bare_deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).expect("a Vec takes all");
    encoder.finish().expect("a Vec takes all")
}

fn coded(coding: &str, body: Vec<u8>) -> Request {
    post("/", body).header("Content-Encoding", coding).header("Content-Type", "text/plain")
}

#[track_caller]
fn assert_unsupported(response: &Response) {
    assert_error(response, 415, "BadRequestException", "Unsupported Media Type");
}

#[test]
fn a_long_response_is_compressed_as_the_client_wants_it() {
    let body = text(1_000);
    let gateway = mocking(&body, 1_000);
    let mut client = gateway.connect();
    for (accept, coding) in [
        ("gzip", Some("gzip")),
        ("deflate", Some("deflate")),
        ("gzip, deflate, br", Some("gzip")),
        ("deflate;q=1, gzip;q=0.5", Some("deflate")),
        ("gzip;q=0, deflate", Some("deflate")),
        ("identity;q=0, *", Some("gzip")),
        ("identity", None),
        ("identity, gzip;q=0.5", None),
        ("br", None),
        ("*", None),
        ("gzip;q=0", None),
        ("gzip;q=x", None),
    ] {
        let response = client.call(accepting(accept));
        assert_eq!(response.status, 200);
        assert_eq!(response.header("Content-Encoding"), coding, "{accept}");
        let length = response.header("Content-Length").and_then(|length| length.parse().ok());
        assert_eq!(length, Some(response.body.len()), "{accept}");
        match coding {
            Some(_) => {
                assert!(response.body.len() < 200, "{accept}");
                assert_eq!(plain(&response), body.as_bytes(), "{accept}");
            }
            None => assert_eq!(response.text(), body, "{accept}"),
        }
        assert_eq!(response.header("Vary"), None);
    }
    assert_eq!(client.get("/").text(), body);
}

#[test]
fn a_response_below_the_minimum_stays_plain() {
    let body = text(999);
    let response = mocking(&body, 1_000).call(accepting("gzip"));
    assert_eq!((response.header("Content-Encoding"), response.text()), (None, body));
}

#[test]
fn without_a_minimum_nothing_is_compressed() {
    let gateway = Gateway::dev(Api::new().route("GET /", mock(200, &text(10_000))));
    let response = gateway.call(accepting("gzip"));
    assert_eq!((response.header("Content-Encoding"), response.body.len()), (None, 10_000));
}

#[test]
fn curl_reads_what_it_asked_to_be_compressed() {
    let body = text(20_000);
    let gateway = mocking(&body, 0);
    let url = format!("http://{}/", gateway.http);
    let read = curl(&["--compressed", &url]);
    assert_eq!((read.code, read.stdout), (0, body));
    let head = curl(&["--compressed", "-D", "-", "-o", "/dev/null", &url]).stdout;
    assert!(head.to_ascii_lowercase().contains("\r\ncontent-encoding: gzip\r\n"), "{head}");
}

#[test]
fn the_answer_to_head_has_no_coding() {
    let gateway = mocking(&text(1_000), 0);
    let response = gateway.call(request("HEAD", "/").header("Accept-Encoding", "gzip"));
    assert_eq!(response.header("Content-Encoding"), None);
    assert_eq!((response.status, response.body.len()), (200, 0));
}

#[test]
fn the_gateways_own_answers_stay_plain() {
    let gateway = mocking("x", 0);
    assert_missing_token(&gateway.call(get("/nowhere").header("Accept-Encoding", "gzip")));
}

#[test]
fn a_mapped_response_is_compressed_after_its_template() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    let mut integration = http(&upstream.url("/"));
    let body = text(5_000);
    integration["responses"]["default"]["responseTemplates"] =
        json!({ "application/json": format!("{body}$input.body") });
    let gateway = Gateway::dev(compressing(Api::new().route("GET /", integration), 5_000));
    let response = gateway.call(accepting("gzip"));
    assert_eq!(plain(&response), format!("{body}hi").into_bytes());
    assert_eq!(gateway.connect_http2().call(accepting("gzip")).body, response.body);
}

/// What a client that wants gzip gets of a proxied response.
fn proxied(minimum: u32, response: &str) -> Response {
    let upstream = Upstream::answering(response);
    let gateway = Gateway::dev(compressing(greedy(&upstream.url("")), minimum));
    let response = gateway.call(accepting("gzip"));
    let over_http2 = gateway.connect_http2().call(accepting("gzip"));
    assert_eq!(over_http2.header("Content-Encoding"), response.header("Content-Encoding"));
    // Coded bytes differ with the pauses of the backend.
    if response.header("Content-Encoding") == Some("gzip") {
        assert_eq!(plain(&over_http2), plain(&response));
    } else {
        assert_eq!(over_http2.body, response.body);
    }
    response
}

#[test]
fn a_proxied_response_is_compressed_while_it_streams() {
    let body = text(100_000);
    let response = proxied(
        1_000,
        &format!("HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
    );
    assert_eq!(plain(&response), body.as_bytes());
    assert_eq!(response.header("Transfer-Encoding"), Some("chunked"));
    assert_eq!((response.header("Content-Length"), response.header("ETag")), (None, Some("\"1\"")));
}

#[test]
fn a_proxied_response_of_unknown_length_is_measured_first() {
    let chunked = |minimum| {
        proxied(
            minimum,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n",
        )
    };
    let response = chunked(11);
    assert_eq!(plain(&response), b"firstsecond");
    let response = chunked(12);
    assert_eq!(
        (response.header("Content-Encoding"), response.text()),
        (None, "firstsecond".into())
    );
}

#[test]
fn a_proxied_response_that_is_short_or_coded_already_passes() {
    for (minimum, fields) in [
        (5, "Content-Length: 4\r\n"),
        (0, "Content-Length: 4\r\nContent-Encoding: br\r\n"),
        (0, "Content-Length: 4\r\nCache-Control: no-transform\r\n"),
        (0, "Content-Length: 4\r\nContent-Type: text/event-stream\r\n"),
    ] {
        let response = proxied(minimum, &format!("HTTP/1.1 200 OK\r\n{fields}\r\nbody"));
        assert_eq!(response.summary(), (200, "body".into()), "{fields}");
        assert_eq!(response.header("Content-Length"), Some("4"), "{fields}");
        assert_ne!(response.header("Content-Encoding"), Some("gzip"), "{fields}");
    }
}

#[test]
fn an_event_stream_is_not_held_back_until_it_is_long() {
    let upstream = Upstream::scripted(|mut session| {
        if session.request().is_some() {
            session.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
            session.wait_for_close();
        }
    });
    let gateway = Gateway::dev(compressing(greedy(&upstream.url("")), 1_000));
    let mut client = gateway.connect();
    client.send(accepting("gzip").bytes());
    client.read_until(b"data: 1\n\n");
}

#[test]
fn what_a_backend_wrote_before_it_pauses_can_be_read() {
    let upstream = Upstream::scripted(|mut session| {
        if session.request().is_some() {
            session.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbefore the pause");
            session.wait_for_close();
        }
    });
    let gateway = Gateway::dev(compressing(greedy(&upstream.url("")), 0));
    let mut client = gateway.connect();
    client.send(accepting("gzip").bytes());
    let head = client.read_until(b"\r\n\r\n");
    assert!(String::from_utf8_lossy(&head).contains("Content-Encoding: gzip"));
    let mut coded = Vec::new();
    let mut readable = Vec::new();
    while readable != b"before the pause" {
        let size = client.read_until(b"\r\n");
        let size = String::from_utf8_lossy(&size[..size.len() - 2]).into_owned();
        let size = usize::from_str_radix(&size, 16).expect("a chunk size");
        coded.extend(client.read_exact(size + 2).expect("a chunk").into_iter().take(size));
        readable = readable_so_far(&coded);
    }
}

/// What of a gzip body that has not ended can be read.
fn readable_so_far(coded: &[u8]) -> Vec<u8> {
    let mut decoder = GzDecoder::new(coded);
    let (mut readable, mut byte) = (Vec::new(), [0]);
    while decoder.read(&mut byte).is_ok_and(|count| count == 1) {
        readable.push(byte[0]);
    }
    readable
}

#[test]
fn a_coded_request_reaches_the_backend_plain() {
    let body = text(30_000).into_bytes();
    for integration in [http, http_proxy] {
        let upstream = Upstream::echo();
        let gateway = Gateway::dev(Api::new().route("POST /", integration(&upstream.url("/"))));
        let requests = [
            coded("gzip", gzip(&body)),
            coded("x-gzip", gzip(&body)),
            coded("GZIP", gzip(&body)),
            coded("deflate", zlib(&body)),
            coded("deflate", bare_deflate(&body)),
            coded("identity", body.clone()),
        ];
        for request in &requests {
            assert_eq!(gateway.call(request.clone()).status, 200, "{:?}", request.headers);
            assert_eq!(gateway.connect_http2().call(request.clone()).status, 200);
        }
        let received = upstream.requests();
        assert_eq!(received.len(), 2 * requests.len());
        for received in received {
            assert!(received.body == body, "{}", received.head);
            assert_eq!(received.header("Content-Encoding"), None);
        }
    }
}

#[test]
fn a_coded_request_streams_to_a_proxied_backend() {
    let body: Vec<u8> = text(3_000_000).into_bytes();
    let upstream = Upstream::echo();
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    let coded_body = gzip(&body);
    let mut client = gateway.connect();
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    for piece in coded_body.chunks(1_000) {
        client.send(format!("{:x}\r\n", piece.len())).send(piece).send("\r\n");
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.response().status, 200);
    assert!(upstream.request().body == body);
}

#[test]
fn a_template_sees_the_decoded_body() {
    let upstream = Upstream::echo();
    let mut integration = http(&upstream.url("/"));
    integration["requestTemplates"] =
        json!({ "text/plain": "$input.body, once $input.params('Content-Encoding')" });
    let gateway = Gateway::dev(Api::new().route("POST /", integration));
    gateway.call(coded("gzip", gzip(b"hello")));
    assert_eq!(upstream.request().body, b"hello, once gzip");
}

#[test]
fn a_body_that_is_not_as_its_header_says_is_unsupported() {
    let sound = gzip(&text(50_000).into_bytes());
    for integration in [http, http_proxy] {
        let upstream = Upstream::echo();
        let gateway = Gateway::dev(Api::new().route("POST /", integration(&upstream.url("/"))));
        for (coding, body) in [
            ("gzip", b"{\"a\":1}".to_vec()),
            ("gzip", zlib(b"x")),
            ("deflate", b"{\"a\":1}".to_vec()),
            ("gzip", sound[..sound.len() - 1].to_vec()),
            ("gzip", [sound.clone(), b"tail".to_vec()].concat()),
            ("br", sound.clone()),
            ("gzip, gzip", gzip(&sound)),
        ] {
            assert_unsupported(&gateway.call(coded(coding, body)));
        }
        // The last of it may be what is wrong: a proxied backend has seen a beginning by then.
        assert!(upstream.requests().is_empty());
    }
}

#[test]
fn a_request_without_a_body_has_nothing_to_decode() {
    let gateway = Gateway::dev(Api::new().route("GET /", mock(200, "fine")));
    let response = gateway.call(get("/").header("Content-Encoding", "gzip"));
    assert_eq!(response.summary(), (200, "fine".into()));
}

#[test]
fn a_bomb_is_too_large() {
    let bomb = gzip(&vec![0; 11 * 1024 * 1024]);
    assert!(bomb.len() < 20_000);
    for integration in [http, http_proxy] {
        let upstream = Upstream::echo();
        let gateway = Gateway::dev(Api::new().route("POST /", integration(&upstream.url("/"))));
        let response = gateway.call(coded("gzip", bomb.clone()));
        assert_eq!(
            response.summary(),
            (413, "HTTP content length exceeded 10485760 bytes.".into())
        );
        assert!(upstream.requests().is_empty());
    }
}
