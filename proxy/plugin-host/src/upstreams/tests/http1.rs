use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::server::{answer_forever, http1, read_request, settle};
use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// What a request looks like on the wire.
async fn wire(request: UpstreamRequest) -> (String, SocketAddr) {
    let seen = Arc::new(Mutex::new(String::new()));
    let note = seen.clone();
    let server = http1(move |mut stream| {
        let note = note.clone();
        async move {
            *note.lock() = read_request(&mut stream).await;
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
    })
    .await;
    let upstreams = plain(server.address, UpstreamProtocol::Http1);
    upstreams.send("up", request, LONG).await.unwrap();
    let seen = seen.lock().clone();
    (seen, server.address)
}

#[tokio::test]
async fn framing_and_connection_headers_are_computed_and_not_passed_on() {
    let headers = [
        ("Content-Length", "999"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close, X-Hop"),
        ("X-Hop", "1"),
        ("Keep-Alive", "1"),
        ("TE", "gzip"),
        ("Upgrade", "h2c"),
        ("Expect", "100-continue"),
        ("X-Kept", "1"),
        ("x-kept", "2"),
    ];
    let headers = headers.iter().map(|(name, value)| pair(name, value)).collect();
    let sent = UpstreamRequest { headers, body: b"hello".to_vec(), ..request("POST", "/a?b=c") };
    let (seen, address) = wire(sent).await;
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<&str> = head.lines().collect();
    assert_eq!(lines.remove(0), "POST /a?b=c HTTP/1.1");
    lines.sort();
    let host = format!("host: {address}");
    assert_eq!(lines, ["content-length: 5", &host, "x-kept: 1", "x-kept: 2"]);
    assert_eq!(body, "hello");
}

#[tokio::test]
async fn the_host_is_the_authority_or_the_header_or_the_upstream() {
    let with = |authority: Option<&str>, host: Option<&str>| UpstreamRequest {
        authority: authority.map(str::to_owned),
        headers: host.map(|host| pair("Host", host)).into_iter().collect(),
        ..request("GET", "/")
    };
    for (authority, host, expected) in [
        (Some("a.example:81"), Some("b.example"), "a.example:81"),
        (Some(""), Some("b.example"), "b.example"),
        (None, Some("b.example"), "b.example"),
    ] {
        let (seen, _) = wire(with(authority, host)).await;
        assert_eq!(seen.matches("host: ").count(), 1, "{seen}");
        assert!(seen.contains(&format!("host: {expected}\r\n")), "{seen}");
    }
}

#[tokio::test]
async fn trailers_go_out_after_chunks() {
    let sent = UpstreamRequest {
        body: b"hello".to_vec(),
        trailers: vec![pair("x-sum", "1")],
        ..request("POST", "/")
    };
    let (seen, _) = wire(sent).await;
    assert!(seen.contains("trailer: x-sum\r\n"), "{seen}");
    assert!(seen.ends_with("5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n"), "{seen}");
}

#[tokio::test]
async fn a_response_keeps_repeated_headers_apart_and_its_trailers() {
    let server = http1(|stream| {
        answer_forever(
            stream,
            "HTTP/1.1 404 Not Found\r\nSet-Cookie: a\r\nset-cookie: b\r\n\
             transfer-encoding: chunked\r\ntrailer: x-t\r\n\r\n\
             3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 9\r\n\r\n",
        )
    })
    .await;
    let upstreams = plain(server.address, UpstreamProtocol::Http1);
    let response = upstreams.send("up", request("GET", "/"), LONG).await.unwrap();
    assert_eq!(response.status, 404);
    let cookies: Vec<_> =
        response.headers.iter().filter(|(name, _)| name == b"set-cookie").collect();
    assert_eq!(cookies, [&pair("set-cookie", "a"), &pair("set-cookie", "b")]);
    assert_eq!(response.body, b"abcde");
    assert_eq!(response.trailers, [pair("x-t", "9")]);
}

#[tokio::test]
async fn a_connection_is_used_again_and_several_are_made_for_requests_at_the_same_time() {
    let server = http1(|stream| answer_forever(stream, OK)).await;
    let upstreams = plain(server.address, UpstreamProtocol::Http1);
    for _ in 0..5 {
        upstreams.send("up", request("GET", "/"), LONG).await.unwrap();
        settle().await;
    }
    assert_eq!(server.connections(), 1);
    let all = (0..10).map(|_| upstreams.send("up", request("GET", "/"), LONG));
    let all = futures_util::future::join_all(all).await;
    assert!(all.into_iter().all(|response| response.unwrap().body == b"ok"));
    assert!(server.connections() > 1);
}

/// Answers the first request on a connection and closes it at the next, having read it.
async fn closing_at_the_second(served: Arc<AtomicUsize>) -> server::Server {
    http1(move |mut stream| {
        let served = served.clone();
        async move {
            read_request(&mut stream).await;
            served.fetch_add(1, Ordering::Relaxed);
            stream.write_all(OK.as_bytes()).await.unwrap();
            read_request(&mut stream).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_kept_connection_that_turns_out_closed_costs_an_idempotent_request_nothing() {
    let served = Arc::new(AtomicUsize::new(0));
    let server = closing_at_the_second(served.clone()).await;
    let upstreams = plain(server.address, UpstreamProtocol::Http1);
    for _ in 0..4 {
        upstreams.send("up", request("PUT", "/"), LONG).await.unwrap();
        settle().await;
    }
    assert_eq!((served.load(Ordering::Relaxed), server.connections()), (4, 4));
    let error = upstreams.send("up", request("POST", "/"), LONG).await.unwrap_err();
    assert!(matches!(error, FetchError::Failed(_)), "{error}");
    assert_eq!(served.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_fresh_connection_that_closes_is_no_reason_to_send_again() {
    let server = http1(|mut stream| async move {
        read_request(&mut stream).await;
    })
    .await;
    let upstreams = plain(server.address, UpstreamProtocol::Http1);
    let error = upstreams.send("up", request("GET", "/"), LONG).await.unwrap_err();
    assert!(matches!(error, FetchError::Failed(_)), "{error}");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_a_failure_with_its_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let upstreams = plain(address, UpstreamProtocol::Http1);
    let error = upstreams.send("up", request("GET", "/"), LONG).await.unwrap_err();
    let FetchError::Failed(text) = error else { panic!("{error}") };
    assert!(text.starts_with(&format!("no connection to {address}")), "{text}");
}

#[tokio::test]
async fn an_upstream_that_hangs_or_trickles_is_left_in_time() {
    let silent = http1(|mut stream| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let trickling = http1(|mut stream| async move {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n";
        stream.write_all(head).await.unwrap();
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    // A listener that never accepts, but whose backlog connects, is the first case again; TLS to
    // a server that says nothing hangs in the handshake.
    let (ca_file, _) = server::tls(&[]);
    let silent_tls = format!("localhost:{}", silent.address.port());
    for upstreams in [
        plain(silent.address, UpstreamProtocol::Http1),
        plain(trickling.address, UpstreamProtocol::Http1),
        plain(silent.address, UpstreamProtocol::Http2),
        upstreams(&silent_tls, UpstreamProtocol::Http1, Some(ca_file.path())),
    ] {
        let start = Instant::now();
        let timeout = Duration::from_millis(50);
        let error = upstreams.send("up", request("GET", "/"), timeout).await.unwrap_err();
        assert_eq!(error, FetchError::TimedOut);
        assert!(start.elapsed() < LONG / 2);
    }
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_is_given_up() {
    let closed = Arc::new(AtomicBool::new(false));
    let note = closed.clone();
    let server = http1(move |mut stream| {
        let note = note.clone();
        async move {
            let _ = stream.read_to_end(&mut Vec::new()).await;
            note.store(true, Ordering::Relaxed);
        }
    })
    .await;
    let upstreams = plain(server.address, UpstreamProtocol::Http1);
    let sending = upstreams.send("up", request("GET", "/"), LONG);
    assert!(tokio::time::timeout(Duration::from_millis(50), sending).await.is_err());
    let start = Instant::now();
    while !closed.load(Ordering::Relaxed) {
        assert!(start.elapsed() < LONG);
        settle().await;
    }
}

#[tokio::test]
async fn responses_are_bounded_in_head_and_body() {
    let large_body = http1(|mut stream| async move {
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head).await.unwrap();
        let chunk = [&b"10000\r\n"[..], &[b'x'; 0x10000], b"\r\n"].concat();
        while stream.write_all(&chunk).await.is_ok() {}
    })
    .await;
    let large_head = http1(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
        while stream.write_all(b"x-large: 0123456789abcdef\r\n").await.is_ok() {}
    })
    .await;
    for server in [large_body, large_head] {
        let upstreams = plain(server.address, UpstreamProtocol::Http1);
        let error = upstreams.send("up", request("GET", "/"), LONG).await.unwrap_err();
        assert_eq!(error, FetchError::TooLarge);
    }
}

#[tokio::test]
async fn what_is_not_http_is_a_failure() {
    let server = http1(|stream| answer_forever(stream, "+OK ready\r\n\r\n")).await;
    let upstreams = plain(server.address, UpstreamProtocol::Http1);
    let error = upstreams.send("up", request("GET", "/"), LONG).await.unwrap_err();
    assert!(matches!(error, FetchError::Failed(_)), "{error}");
}
