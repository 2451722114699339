//! Bodies: streamed both ways, framed as HTTP says, within the payload quota.

use std::sync::Mutex;
use std::sync::mpsc::{channel, sync_channel};

use bytes::Bytes;
use tollgate_tests::{
    Broken, DEADLINE, Gateway, Http2, Serve, Upstream, get, greedy, post, request,
};

use crate::support::assert_internal_error;

const QUOTA: usize = 10 * 1024 * 1024;
const TOO_LARGE: &str = "HTTP content length exceeded 10485760 bytes.";

fn answered(response: impl Into<Vec<u8>>) -> (Gateway, Upstream) {
    let upstream = Upstream::answering(response);
    (Gateway::dev(greedy(&upstream.url(""))), upstream)
}

#[test]
fn a_backend_gets_the_first_bytes_before_the_client_has_sent_the_last() {
    for head in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let (seen, first) = channel();
        let upstream = Upstream::scripted(move |mut session| {
            let Some(_) = session.until(b"first") else { return };
            let _ = seen.send(());
            if session.until(b"later").is_some() {
                session
                    .write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
            }
        });
        let gateway = Gateway::dev(greedy(&upstream.url("")));
        let mut client = gateway.connect();
        let chunked = head.contains("chunked");
        client.send(head).send(if chunked { "5\r\nfirst\r\n" } else { "first" });
        first.recv_timeout(DEADLINE).expect("the backend gets what has come");
        client.send(if chunked { "5\r\nlater\r\n0\r\n\r\n" } else { "later" });
        assert_eq!(client.response().summary(), (200, "ok".into()));
    }
}

#[test]
fn a_client_gets_the_first_bytes_before_the_backend_has_sent_the_last() {
    for head in [
        "Content-Length: 10\r\n\r\nfirst",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n",
        "Connection: close\r\n\r\nfirst",
    ] {
        let (go_on, wait) = sync_channel(1);
        let wait = Mutex::new(wait);
        let upstream = Upstream::scripted(move |mut session| {
            let Some(_) = session.request() else { return };
            session.write(format!("HTTP/1.1 200 OK\r\n{head}"));
            let _ = wait.lock().expect("one session").recv_timeout(DEADLINE);
            session.write(if head.contains("chunked") {
                "5\r\nlater\r\n0\r\n\r\n"
            } else {
                "later"
            });
        });
        let gateway = Gateway::dev(greedy(&upstream.url("")));
        let mut client = gateway.connect();
        client.send(get("/").bytes());
        let first = client.read_until(b"first");
        go_on.send(()).expect("the backend waits");
        let rest = client.read_until(b"later");
        assert!(!String::from_utf8_lossy(&[first, rest].concat()).contains("x-amzn-ErrorType"));
    }
}

#[test]
fn over_http_2_bodies_stream_both_ways_at_once() {
    let upstream = Upstream::scripted(|mut session| {
        let Some(_) = session.until(b"first") else { return };
        session.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nanswer\r\n");
        if session.until(b"later").is_some() {
            session.write("4\r\nmore\r\n0\r\n\r\n");
        }
    });
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    let mut client = gateway.connect_http2();
    let (response, mut body) = client.open(&request("POST", "/"), false);
    body.send_data(Bytes::from_static(b"first"), false).unwrap();
    let mut response = Http2::receive_head(response).unwrap().into_body();
    assert_eq!(Http2::receive_data(&mut response).unwrap().unwrap(), "answer");
    body.send_data(Bytes::from_static(b"later"), true).unwrap();
    assert_eq!(Http2::receive_data(&mut response).unwrap().unwrap(), "more");
}

#[test]
fn a_chunked_request_stays_chunked_and_keeps_its_trailers() {
    let upstream = Upstream::echo();
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    let mut client = gateway.connect();
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n");
    client.send(
        "3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\nContent-Length: 7\r\nHost: evil\r\n\r\n",
    );
    assert_eq!(client.response().status, 200);
    let received = upstream.request();
    assert_eq!(
        (received.body.as_slice(), received.header("Transfer-Encoding").as_deref()),
        (&b"abcde"[..], Some("chunked"))
    );
    let raw = String::from_utf8(received.raw).unwrap();
    // Trailers that would change framing or routing stay behind.
    assert!(raw.ends_with("\r\n0\r\nX-Sum: 5\r\n\r\n"), "{raw}");
}

#[test]
fn a_chunked_response_stays_chunked_and_keeps_its_trailers() {
    let (gateway, _upstream) = answered(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 3\r\nContent-Length: 9\r\n\r\n",
    );
    let mut client = gateway.connect();
    let response = client.get("/");
    assert_eq!(
        (response.summary(), response.header("Transfer-Encoding")),
        ((200, "abc".into()), Some("chunked"))
    );
    assert_eq!(response.trailers, [("X-Sum".to_owned(), "3".to_owned())]);
    assert_eq!(client.get("/").text(), "abc");
}

#[test]
fn trailers_pass_between_http_2_and_http_1() {
    let upstream = Upstream::scripted(|mut session| {
        while let Some(request) = session.request() {
            session.record(request);
            session.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n");
        }
    });
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    let mut client = gateway.connect_http2();
    let (response, mut body) = client.open(&request("POST", "/"), false);
    body.send_data(Bytes::from_static(b"hello"), false).unwrap();
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-check", "5".parse().unwrap());
    body.send_trailers(trailers).unwrap();
    let response = Http2::receive(response).unwrap();
    assert_eq!(response.trailers, [("x-sum".to_owned(), "3".to_owned())]);
    let raw = String::from_utf8(upstream.request().raw).unwrap();
    assert!(raw.ends_with("5\r\nhello\r\n0\r\nx-check: 5\r\n\r\n"), "{raw}");
}

#[test]
fn a_response_that_ends_with_the_backends_connection_is_complete() {
    let upstream = Upstream::answering_once("HTTP/1.1 200 OK\r\n\r\nuntil the end");
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    let mut client = gateway.connect();
    assert_eq!(client.get("/").summary(), (200, "until the end".into()));
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn an_http_1_0_client_gets_no_chunks() {
    let (gateway, _upstream) =
        answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    let response = String::from_utf8(client.rest()).unwrap();
    assert!(
        response.starts_with("HTTP/1.0 200 ") && response.ends_with("\r\n\r\nabc"),
        "{response}"
    );
    assert!(!response.contains("chunked"), "{response}");
}

#[test]
fn a_head_response_says_the_length_and_has_no_body() {
    let (gateway, _upstream) = answered("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n");
    let mut client = gateway.connect();
    let response = client.call(request("HEAD", "/"));
    assert_eq!((response.status, response.header("Content-Length")), (200, Some("1234")));
    assert_eq!(client.call(request("HEAD", "/")).status, 200);
}

#[test]
fn statuses_without_a_body_have_none() {
    for status in ["204 No Content", "304 Not Modified"] {
        let (gateway, _upstream) = answered(format!("HTTP/1.1 {status}\r\nETag: \"x\"\r\n\r\n"));
        let mut client = gateway.connect();
        for _ in 0..2 {
            let response = client.get("/");
            assert_eq!(response.header("Content-Length"), None);
            assert_eq!(response.header("ETag"), Some("\"x\""));
        }
    }
}

#[test]
fn interim_responses_of_the_backend_are_read_over() {
    let (gateway, _upstream) = answered(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    assert_eq!(gateway.get("/").summary(), (200, "ok".into()));
}

#[test]
fn a_client_that_waits_is_told_to_continue() {
    let upstream = Upstream::echo();
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    client.read_until(b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello");
    assert_eq!(client.response().status, 200);
    let received = upstream.request();
    assert_eq!((received.body.as_slice(), received.header("Expect")), (&b"hello"[..], None));
}

#[test]
fn a_client_whose_body_is_refused_is_not_told_to_continue() {
    let upstream = Upstream::echo();
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    let refused = gateway.refusal(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10485761\r\nExpect: 100-continue\r\n\r\n",
    );
    assert_eq!(refused.summary(), (413, TOO_LARGE.into()));
    assert!(upstream.requests().is_empty());
}

#[test]
fn an_answer_that_comes_before_the_end_of_the_upload_reaches_the_client() {
    let upstream = Upstream::scripted(|mut session| {
        if session.head().is_some() {
            session.write(
                "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno",
            );
        }
    });
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    let mut client = gateway.connect();
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {QUOTA}\r\n\r\n"));
    client.send(vec![b'x'; 1000]);
    assert_eq!(client.response().summary(), (401, "no".into()));
    // Nobody can tell whether the rest of the body still comes.
    client.assert_closed();
}

#[test]
fn an_early_answer_reaches_a_client_that_only_reads_after_its_upload() {
    let upstream = Upstream::scripted(|mut session| {
        if session.head().is_some() {
            session.write(
                "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno",
            );
        }
    });
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    let mut client = gateway.connect();
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {QUOTA}\r\n\r\n"));
    let _ = client.try_send(vec![b'x'; QUOTA]);
    assert_eq!(client.response().summary(), (401, "no".into()));
}

#[test]
fn ten_megabytes_go_up() {
    for http2 in [false, true] {
        let upstream = Upstream::scripted(|mut session| {
            while let Some(request) = session.request() {
                let length = request.body.len().to_string();
                assert!(
                    request.body.iter().enumerate().all(|(at, byte)| *byte == (at % 251) as u8)
                );
                session.write(format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{length}",
                    length.len()
                ));
            }
        });
        let gateway = Gateway::dev(greedy(&upstream.url("")));
        let body: Vec<u8> = (0..QUOTA).map(|at| (at % 251) as u8).collect();
        let request = post("/", body).header("Content-Length", &QUOTA.to_string());
        let response = if http2 {
            gateway.connect_http2().call(request)
        } else {
            let mut client = gateway.connect();
            client
                .send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {QUOTA}\r\n\r\n"))
                .send(request.body);
            client.response()
        };
        assert_eq!(response.summary(), (200, QUOTA.to_string()));
    }
}

#[test]
fn ten_megabytes_come_down() {
    let body: Vec<u8> = (0..QUOTA).map(|at| (at % 251) as u8).collect();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {QUOTA}\r\n\r\n");
    let (gateway, _upstream) = answered([head.as_bytes(), &body].concat());
    let responses =
        [gateway.get("/"), gateway.connect_tls().get("/"), gateway.connect_http2().get("/")];
    for response in responses {
        assert!(response.status == 200 && response.body == body, "{} bytes", response.body.len());
    }
}

#[test]
fn a_request_body_beyond_the_quota_is_refused() {
    let upstream = Upstream::echo();
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", QUOTA + 1);
    let response = gateway.refusal(head);
    assert_eq!(response.summary(), (413, TOO_LARGE.into()));
    assert_eq!(response.header("x-amzn-ErrorType"), None);
    let mut client = gateway.connect_http2();
    let head = request("POST", "/").header("Content-Length", &(QUOTA + 1).to_string());
    let (response, _body) = client.open(&head, false);
    assert_eq!(Http2::receive(response).unwrap().summary(), (413, TOO_LARGE.into()));
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_request_body_that_does_not_say_its_length_is_refused_once_it_is_too_long() {
    let upstream = Upstream::echo();
    let gateway = Serve::new(greedy(&upstream.url(""))).limits("maximum_payload: 1000").start();
    let mut client = gateway.connect();
    let host = gateway.default_host();
    client.send(format!(
        "POST /prod/ HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n"
    ));
    let chunk = format!("1f4\r\n{}\r\n", "x".repeat(500));
    client.send(&chunk).send(&chunk).send(&chunk);
    assert_eq!(
        client.response().summary(),
        (413, "HTTP content length exceeded 1000 bytes.".into())
    );
    client.assert_closed();
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_response_beyond_the_quota_is_an_error() {
    let upstream = Upstream::answering(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n{}",
        "x".repeat(1001)
    ));
    let gateway = Serve::new(greedy(&upstream.url(""))).limits("maximum_payload: 1000").start();
    assert_internal_error(&gateway.call(get("/prod/").host(&gateway.default_host())));
}

#[test]
fn a_response_that_turns_out_to_be_beyond_the_quota_breaks_off() {
    let chunk = format!("1f4\r\n{}\r\n", "x".repeat(500));
    let upstream = Upstream::answering(format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        chunk.repeat(3)
    ));
    let gateway = Serve::new(greedy(&upstream.url(""))).limits("maximum_payload: 1000").start();
    let mut client = gateway.connect();
    client.send(get("/prod/").host(&gateway.default_host()).bytes());
    assert!(matches!(client.try_response(), Err(Broken::Ended(_))));
}
