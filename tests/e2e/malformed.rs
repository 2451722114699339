//! Requests that two servers could read in two ways, sent as exact bytes. None may pass.

use tollgate_tests::{Connected, Dev, Gateway, Http1, Upstream, get, greedy, post};

use crate::support::{assert_error, assert_ids};

/// Asserts that each of these is answered 400, that the connection is closed, and that the
/// backend never hears of it.
#[track_caller]
fn assert_refused<R: AsRef<[u8]>>(requests: impl IntoIterator<Item = R>) {
    let upstream = Upstream::echo();
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    for request in requests {
        let request = request.as_ref();
        let shown = request.escape_ascii();
        let mut client = gateway.connect();
        let _ = client.try_send(request);
        let response = client.response();
        assert_eq!(
            (response.status, response.header("Connection")),
            (400, Some("close")),
            "{shown}"
        );
        assert_error(&response, 400, "BadRequestException", "Bad Request");
        client.assert_closed();
    }
    assert!(upstream.requests().is_empty(), "{:?}", upstream.requests());
}

/// Asserts that each of these request lines (with a good head after it) is refused.
#[track_caller]
fn assert_lines_refused(lines: &[&str]) {
    assert_refused(lines.iter().map(|line| format!("{line}\r\nHost: a\r\n\r\n")));
}

/// Asserts that each of these header lines (in a good head) is refused.
#[track_caller]
fn assert_fields_refused(fields: &[&str]) {
    assert_refused(
        fields
            .iter()
            .map(|field| format!("POST / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\nabcde0\r\n\r\n")),
    );
}

/// A connection to a greedy API.
fn client(upstream: &Upstream) -> Connected {
    Gateway::dev(greedy(&upstream.url(""))).into_connection()
}

#[test]
fn a_content_length_is_one_decimal_number() {
    assert_fields_refused(&[
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length: 5.0",
        "Content-Length:",
        "Content-Length: ",
        "Content-Length: \u{665}",
        "Content-Length: 18446744073709551621",
    ]);
}

#[test]
fn a_body_has_one_framing() {
    assert_fields_refused(&[
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
    ]);
}

#[test]
fn a_transfer_encoding_is_chunked_and_nothing_else() {
    assert_fields_refused(&[
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding:",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding:\u{b}chunked",
        "Transfer-Encoding : chunked",
        " Transfer-Encoding: chunked",
        "Transfer-Encoding\t: chunked",
    ]);
    assert_refused(["POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"]);
}

#[test]
fn a_request_line_has_two_spaces_and_no_other() {
    assert_lines_refused(&[
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET /a b HTTP/1.1",
        " GET / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET\t/\tHTTP/1.1",
        "GET /\u{b}x HTTP/1.1",
        "GET /",
        "GET",
        "GET / HTTP/1.1 HTTP/1.1",
    ]);
}

#[test]
fn a_request_line_names_a_method_a_path_and_http_1() {
    assert_lines_refused(&[
        "G@T / HTTP/1.1",
        "GET / HTTP/0.9",
        "GET / HTTP/1.2",
        "GET / HTTP/2.0",
        "GET / http/1.1",
        "GET / HTTP/1.1x",
        "GET x HTTP/1.1",
        "GET /a#b HTTP/1.1",
        "GET /\u{e9} HTTP/1.1",
        "CONNECT a:443 HTTP/1.1",
        "OPTIONS * HTTP/1.1",
    ]);
}

#[test]
fn the_preface_of_http_2_has_no_place_on_http_1() {
    assert_refused(["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]);
}

#[test]
fn lines_end_in_crlf() {
    assert_refused([
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\nContent-Length: 5\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\rContent-Length: 5\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ]);
}

#[test]
fn a_field_is_a_token_a_colon_and_clean_text_on_one_line() {
    assert_fields_refused(&[
        "X-A: b\r\n folded",
        "X-A: b\r\n\tfolded",
        "X A: b",
        "X-A : b",
        "X-A\t: b",
        ": b",
        "X-A",
        "X(A): b",
        "X-A: b\u{0}c",
        "X-A: b\u{1}c",
        "X-A: b\u{7f}c",
        "\u{e9}: b",
    ]);
}

#[test]
fn there_is_exactly_one_host() {
    assert_refused([
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
    ]);
}

#[test]
fn an_absolute_target_names_the_same_host() {
    assert_refused([
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n",
        "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n",
    ]);
    let upstream = Upstream::echo();
    let mut client = client(&upstream);
    client.send("GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().echoed_target(), "GET /b?c");
}

#[test]
fn an_expectation_that_nobody_knows_is_refused() {
    assert_fields_refused(&["Expect: 200-ok", "Expect: 100-continue, x"]);
}

/// Asserts that the path is answered 400 and never reaches the backend.
#[track_caller]
fn assert_paths_refused(paths: &[&str]) {
    let upstream = Upstream::echo();
    let mut client = client(&upstream);
    for path in paths {
        let response = client.get(path);
        assert_eq!(response.status, 400, "{path} gave {response:?}");
        assert_ids(&response);
    }
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_path_has_no_dot_segments() {
    assert_paths_refused(&[
        "/..",
        "/.",
        "/a/../b",
        "/a/..",
        "/a/./b",
        "/%2e%2e/a",
        "/a/%2E%2e",
        "/a/.%2e/b",
        "/a%2f..%2fb",
        "/a/..%2fb",
        "/a%5c..%5cb",
        "/a/..;/b",
        "/a/..;x=1/b",
        "/a/..%3b/b",
        "/..%5c",
        "/\\..\\a",
    ]);
}

#[test]
fn a_path_is_validly_encoded_text_without_control_characters() {
    assert_paths_refused(&[
        "/%",
        "/%4",
        "/%zz",
        "/a%00b",
        "/a%0d%0aX:%201",
        "/%7f",
        "/%ff",
        "/%c0%af",
        "/%c2%85",
        "/%u0041",
    ]);
}

#[test]
fn an_encoded_slash_never_splits_a_path() {
    let upstream = Upstream::echo();
    let mut client = client(&upstream);
    for (sent, received) in [
        ("/a%2fb", "/a%2Fb"),
        ("/a%2Fb", "/a%2Fb"),
        ("/a%5cb", "/a%5Cb"),
        ("/a;b=c", "/a%3Bb=c"),
        ("/a%3bb", "/a%3Bb"),
        ("/a%252e%252e", "/a%252e%252e"),
        ("/%61", "/a"),
    ] {
        assert_eq!(client.get(sent).echoed_target(), format!("GET {received}"), "{sent}");
    }
}

#[test]
fn a_second_request_hidden_in_a_body_is_a_body() {
    let upstream = Upstream::echo();
    let mut client = client(&upstream);
    let hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(format!(
        "POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{hidden}",
        hidden.len()
    ));
    assert_eq!(client.response().status, 200);
    client.send(format!(
        "POST /two HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{hidden}\r\n0\r\n\r\n",
        hidden.len()
    ));
    assert_eq!(client.response().status, 200);
    client.get("/three");
    let lines: Vec<_> =
        upstream.requests().iter().map(|request| request.line().to_owned()).collect();
    assert_eq!(lines, ["POST /one HTTP/1.1", "POST /two HTTP/1.1", "GET /three HTTP/1.1"]);
}

#[test]
fn the_body_of_a_refused_request_is_not_the_next_request() {
    let api = tollgate_tests::Api::new().route("GET /pets", tollgate_tests::mock(200, "pets"));
    let gateway = Gateway::dev(api);
    let hidden = "GET /pets HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut client = gateway.connect();
    client.send(post("/nowhere", hidden).bytes()).send(get("/nowhere").bytes());
    assert_eq!([client.response().status, client.response().status], [403, 403]);
    for head in [
        format!(
            "POST /nowhere HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{hidden}\r\n0\r\n\r\n",
            hidden.len()
        ),
        format!("POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n{hidden}"),
        format!(
            "POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n{hidden}"
        ),
    ] {
        let response = gateway.refusal(head);
        assert_eq!((response.status, response.header("Connection")), (403, Some("close")));
    }
}

#[test]
fn what_follows_a_refused_request_is_never_served() {
    let upstream = Upstream::echo();
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    for head in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11000000\r\n\r\n",
    ] {
        let response = gateway.refusal(format!("{head}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(matches!(response.status, 400 | 413), "{response:?}");
    }
    assert!(upstream.requests().iter().all(|request| !request.line().contains("smuggled")));
}

#[test]
fn malformed_chunks_end_the_request_and_the_connection() {
    for body in [
        "zz\r\nabc\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "-3\r\nabc\r\n",
        "0x3\r\nabc\r\n",
        "3 \r\nabc\r\n",
        "3\nabc\n0\n\n",
        "fffffffffffffffff\r\n",
        "3\r\nabc\r\n0\r\nbad trailer\r\n\r\n",
    ] {
        let upstream = Upstream::echo();
        let gateway = Gateway::dev(greedy(&upstream.url("")));
        let response = gateway.refusal(format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
        ));
        assert_eq!(response.status, 400, "{body:?}");
        assert!(upstream.requests().is_empty(), "{body:?}");
    }
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let upstream = Upstream::echo();
    let mut client = client(&upstream);
    let requests: String = (0..20)
        .map(|n| format!("POST /{n} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"))
        .collect();
    client.send(requests);
    for n in 0..20 {
        assert_eq!(client.response().echoed_target(), format!("POST /{n}"));
    }
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let upstream = Upstream::echo();
    let mut client = client(&upstream);
    for byte in
        b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    {
        client.send([*byte]);
    }
    assert_eq!(client.response().echoed_target(), "POST /x");
    assert_eq!(upstream.request().body, b"abc");
}

#[test]
fn headers_beyond_the_quota_are_refused() {
    let upstream = Upstream::echo();
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    // "GET…" doesn't count, all the rest does: names, values and line ends.
    let padded = |total: usize| {
        let fixed = "Host: a\r\nX-Padding: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: a\r\nX-Padding: {}\r\n\r\n", "x".repeat(total - fixed))
    };
    let response = gateway.refusal(padded(20_483));
    assert_error(
        &response,
        431,
        "RequestHeaderFieldsTooLargeException",
        "Request Header Fields Too Large",
    );
    let mut client = gateway.connect();
    assert_eq!(client.send(padded(20_480)).response().status, 200);
    let endless = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Padding: {}", "x".repeat(100_000));
    assert_eq!(gateway.refusal(endless).status, 431);
    let fields = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(200));
    assert_eq!(gateway.refusal(fields).status, 431);
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_url_beyond_the_quota_is_refused() {
    let upstream = Upstream::echo();
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    let url = |length: usize| format!("/{}", "a".repeat(length - 1));
    assert_eq!(gateway.get(&url(10_240)).status, 200);
    let response = gateway.refusal(get(&url(10_241)).bytes());
    assert_error(&response, 414, "RequestUriTooLongException", "Request URI too long");
    assert_eq!(gateway.connect_http2().get(&url(10_241)).status, 414);
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn an_http_1_0_client_is_served_and_its_connection_closed() {
    let upstream = Upstream::echo();
    let gateway = Dev::new(greedy(&upstream.url(""))).start();
    let mut client: Http1 = gateway.connect();
    client.send("GET /old HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().echoed_target(), "GET /old");
    client.assert_closed();
    let mut client = gateway.connect();
    client.send("GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(client.response().header("Connection"), Some("keep-alive"));
}

#[test]
fn a_client_that_asks_for_it_gets_its_connection_closed() {
    let upstream = Upstream::echo();
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    let mut client = gateway.connect();
    let response = client.call(get("/").header("Connection", "close"));
    assert_eq!(response.header("Connection"), Some("close"));
    client.assert_closed();
}
