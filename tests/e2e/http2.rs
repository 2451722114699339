//! HTTP/2 clients, honest and not.

use tollgate_tests::{
    Api, Frame, Frames, Gateway, Http2, Issued, Serve, Upstream, eventually, get, greedy, mock,
    post, request, request_block,
};

/// RFC 9113 §7.
const ENHANCE_YOUR_CALM: u32 = 0xb;

fn api() -> Api {
    Api::new().route("ANY /", mock(200, "ok"))
}

fn frames(gateway: &Gateway) -> Frames {
    Frames::connect(gateway.https)
}

fn request_frame(stream: u32, flags: u8) -> Frame {
    Frame::new(Frame::HEADERS, flags | Frame::END_HEADERS, stream, request_block("GET", "/"))
}

/// Floods a gateway, and asserts that it ends the connection, says why, counts it, and goes on
/// with others.
#[track_caller]
fn assert_flood_ends(frame: impl Fn(u32) -> Vec<Frame>) {
    let gateway = Gateway::dev(api());
    let mut connection = frames(&gateway);
    // The budget is 1,000; more than that many a minute are refilled only in a minute.
    let code =
        connection.flood(400, |round| (0..10).flat_map(|n| frame(round as u32 * 10 + n)).collect());
    assert!(code.is_none_or(|code| code == ENHANCE_YOUR_CALM), "GOAWAY {code:?}");
    eventually("it is counted", || {
        (gateway.metric("tollgate_requests_refused_total{reason=\"frame_budget\"}") == 1.0)
            .then_some(())
    });
    assert_eq!(gateway.connect_http2().get("/").text(), "ok");
}

#[test]
fn a_ping_flood_ends_the_connection() {
    assert_flood_ends(|_| vec![Frame::new(Frame::PING, 0, 0, [0; 8])]);
}

#[test]
fn a_settings_flood_ends_the_connection() {
    assert_flood_ends(|_| vec![Frame::new(Frame::SETTINGS, 0, 0, [])]);
}

#[test]
fn a_flood_of_empty_data_ends_the_connection() {
    let gateway = Gateway::dev(api());
    let mut connection = frames(&gateway);
    connection.send(&[request_frame(1, 0)]).unwrap();
    // The HTTP/2 implementation has a limit of its own on these, below the budget.
    let code = connection.flood(4000, |_| vec![Frame::new(Frame::DATA, 0, 1, [])]);
    assert!(code.is_none_or(|code| code == ENHANCE_YOUR_CALM), "GOAWAY {code:?}");
    assert_eq!(gateway.connect_http2().get("/").text(), "ok");
}

#[test]
fn a_flood_of_priorities_ends_the_connection() {
    assert_flood_ends(|_| vec![Frame::new(Frame::PRIORITY, 0, 1, [0, 0, 0, 0, 1])]);
}

#[test]
fn a_flood_of_window_updates_ends_the_connection() {
    assert_flood_ends(|_| vec![Frame::new(Frame::WINDOW_UPDATE, 0, 0, [0, 0, 0, 1])]);
}

#[test]
fn a_rapid_reset_ends_the_connection() {
    let upstream = Upstream::scripted(|mut session| session.wait_for_close());
    let gateway = Gateway::dev(greedy(&upstream.url("")).route("GET /", mock(200, "ok")));
    let mut connection = frames(&gateway);
    let flags = Frame::END_HEADERS | Frame::END_STREAM;
    connection.flood(2000, |round| {
        let stream = round as u32 * 2 + 1;
        vec![
            Frame::new(Frame::HEADERS, flags, stream, request_block("GET", "/held")),
            Frame::new(Frame::RST_STREAM, 0, stream, [0, 0, 0, 8]),
        ]
    });
    assert_eq!(gateway.connect_http2().get("/").text(), "ok");
}

#[test]
fn an_endless_header_block_ends_the_connection() {
    let gateway = Gateway::dev(api());
    let mut connection = frames(&gateway);
    let first = Frame::new(Frame::HEADERS, Frame::END_STREAM, 1, request_block("GET", "/"));
    connection.send(&[first]).unwrap();
    // A literal header, over and over: name `x`, value of 100 bytes.
    let field = [&[0x00, 1, b'x', 100][..], &[b'y'; 100]].concat();
    connection.flood(10_000, |_| vec![Frame::new(Frame::CONTINUATION, 0, 1, field.repeat(50))]);
    assert_eq!(gateway.connect_http2().get("/").text(), "ok");
}

#[test]
fn an_endless_run_of_empty_continuations_ends_the_connection() {
    let gateway = Gateway::dev(api());
    let mut connection = frames(&gateway);
    let first = Frame::new(Frame::HEADERS, Frame::END_STREAM, 1, request_block("GET", "/"));
    connection.send(&[first]).unwrap();
    connection.flood(10_000, |_| vec![Frame::new(Frame::CONTINUATION, 0, 1, [])]);
    assert_eq!(gateway.connect_http2().get("/").text(), "ok");
}

#[test]
fn a_polite_client_is_never_cut_off() {
    let gateway = Serve::new(api())
        .tls(&Issued::of(&["localhost"]))
        .with("domain_names: [{name: localhost, base_path_mappings: [{api_id: petstore01, stage: prod}]}]")
        .limits("http2_control_frame_budget: 20")
        .start();
    let mut connection = frames(&gateway);
    for round in 0..500 {
        let stream = round * 2 + 1;
        let ping = Frame::new(Frame::PING, 0, 0, [7; 8]);
        let window = Frame::new(Frame::WINDOW_UPDATE, 0, 0, [0, 0, 0, 1]);
        connection.send(&[ping, request_frame(stream, Frame::END_STREAM), window]).unwrap();
        let head = connection.receive_until(Frame::HEADERS);
        assert_eq!(head.stream, stream);
        let body = connection.receive_until(Frame::DATA);
        assert_eq!(
            (body.payload.as_slice(), body.flags & Frame::END_STREAM),
            (&b"ok"[..], Frame::END_STREAM)
        );
    }
}

#[test]
fn many_requests_at_once_are_all_answered() {
    let upstream = Upstream::echo();
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    let mut client = gateway.connect_http2();
    for _ in 0..5 {
        let responses: Vec<_> =
            (0..100).map(|n| client.send(&post(&format!("/{n}"), "body"))).collect();
        for (n, response) in responses.into_iter().enumerate() {
            assert_eq!(Http2::receive(response).unwrap().echoed_target(), format!("POST /{n}"));
        }
    }
}

#[test]
fn streams_beyond_the_limit_are_refused() {
    let upstream = Upstream::scripted(|mut session| session.wait_for_close());
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    let mut connection = frames(&gateway);
    let settings = connection.receive_until(Frame::SETTINGS);
    let streams = settings
        .payload
        .chunks(6)
        .find(|setting| setting[..2] == [0, 3])
        .expect("a limit on streams");
    assert_eq!(u32::from_be_bytes(streams[2..].try_into().unwrap()), 128);
    let requests: Vec<Frame> =
        (0..129).map(|n| request_frame(n * 2 + 1, Frame::END_STREAM)).collect();
    connection.send(&requests).unwrap();
    let reset = connection.receive_until(Frame::RST_STREAM);
    // REFUSED_STREAM
    assert_eq!((reset.stream, reset.payload), (257, vec![0, 0, 0, 7]));
}

#[test]
fn a_malformed_frame_ends_the_connection() {
    let gateway = Gateway::dev(api());
    for frame in [
        Frame::new(Frame::SETTINGS, 0, 1, []),
        Frame::new(Frame::PING, 0, 0, [0; 7]),
        Frame::new(Frame::DATA, 0, 0, [1]),
        Frame::new(Frame::HEADERS, Frame::END_HEADERS, 2, request_block("GET", "/")),
        Frame::new(Frame::HEADERS, Frame::END_HEADERS, 1, [0xff; 20]),
        Frame::new(Frame::CONTINUATION, Frame::END_HEADERS, 1, []),
        Frame::new(Frame::WINDOW_UPDATE, 0, 0, [0; 4]),
    ] {
        let mut connection = frames(&gateway);
        let _ = connection.send(std::slice::from_ref(&frame));
        let code = connection.end();
        assert_ne!(code, Some(0), "{frame:?}");
    }
}

#[test]
fn a_path_is_as_strict_as_in_http_1() {
    let upstream = Upstream::echo();
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    let mut client = gateway.connect_http2();
    for path in ["/a/../b", "/%2e%2e/a", "/a%00b", "/%zz", "/%ff"] {
        assert_eq!(client.get(path).status, 400, "{path}");
    }
    assert_eq!(client.get("/a%2fb;c").echoed_target(), "GET /a%2Fb%3Bc");
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn the_host_is_the_authority() {
    let gateway = Gateway::dev(api());
    let host = gateway.default_host();
    let mut client = gateway.connect_http2();
    assert_eq!(client.call(get("/dev").host(&host)).status, 200);
    assert_eq!(client.call(get("/dev").host(&host).header("Host", "other.example")).status, 400);
    assert_eq!(client.call(get("/nostage").host(&host)).status, 403);
}

#[test]
fn headers_of_a_connection_have_no_place() {
    let upstream = Upstream::echo();
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    for (name, value) in [
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "x"),
        ("te", "gzip"),
        ("keep-alive", "1"),
    ] {
        let mut connection = frames(&gateway);
        let mut block = request_block("GET", "/");
        block.extend([0x00, name.len() as u8]);
        block.extend(name.bytes());
        block.push(value.len() as u8);
        block.extend(value.bytes());
        connection
            .send(&[Frame::new(Frame::HEADERS, Frame::END_HEADERS | Frame::END_STREAM, 1, block)])
            .unwrap();
        // Reset or answered 400, but not passed on.
        loop {
            let frame = connection.receive().expect("an answer");
            if frame.kind == Frame::RST_STREAM || frame.kind == Frame::HEADERS {
                break;
            }
        }
    }
    assert!(upstream.requests().is_empty());
}

#[test]
fn headers_beyond_the_quota_do_not_pass() {
    let upstream = Upstream::echo();
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    let mut client = gateway.connect_http2();
    let result = client.try_call(&get("/").header("x-padding", &"x".repeat(21_000)));
    assert!(
        result.as_ref().is_ok_and(|response| response.status == 431) || result.is_err(),
        "{result:?}"
    );
    assert_eq!(client.get("/").status, 200);
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_body_that_is_not_as_long_as_it_says_never_looks_complete() {
    let upstream = Upstream::echo();
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    for (length, body) in [("10", "abc"), ("1", "abc")] {
        let mut client = gateway.connect_http2();
        let (response, mut stream) =
            client.open(&request("POST", "/").header("content-length", length), false);
        let _ = stream.send_data(bytes::Bytes::from_static(body.as_bytes()), true);
        let result = Http2::receive(response);
        assert!(
            result.as_ref().is_ok_and(|response| response.status == 400) || result.is_err(),
            "{result:?}"
        );
    }
    assert!(upstream.requests().is_empty());
}
