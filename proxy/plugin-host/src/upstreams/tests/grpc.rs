use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};

use super::super::grpc::{GrpcEvent, GrpcRequest, GrpcSendError, GrpcStatus};
use super::server::{answer_forever, http1, serve_http2, settle, tls};
use super::*;

fn call(method: &str) -> GrpcRequest {
    GrpcRequest {
        service: "test.Echo".to_owned(),
        method: method.to_owned(),
        metadata: vec![pair("x-key", "value"), pair("connection", "close")],
        timeout: LONG,
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat()
}

fn trailers(code: &str, message: &str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", code.parse().unwrap());
    trailers.insert("grpc-message", message.parse().unwrap());
    trailers
}

/// What the last part of the path asks for.
async fn serve(request: Request<h2::RecvStream>, mut respond: SendResponse<Bytes>) {
    let (head, mut body) = request.into_parts();
    assert_eq!(head.headers["content-type"], "application/grpc");
    assert_eq!(head.headers["te"], "trailers");
    assert_eq!(head.headers["x-key"], "value");
    assert!(head.headers.get("connection").is_none());
    assert!(head.headers["grpc-timeout"].to_str().unwrap().ends_with('m'));
    let ok = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    match head.uri.path() {
        "/test.Echo/Echo" => {
            let mut stream = respond.send_response(ok, false).unwrap();
            while let Some(Ok(data)) = body.data().await {
                let _ = body.flow_control().release_capacity(data.len());
                // In two pieces: messages are not frames.
                let (first, second) = data.split_at(data.len() / 2);
                stream.send_data(first.to_vec().into(), false).unwrap();
                stream.send_data(second.to_vec().into(), false).unwrap();
            }
            stream.send_trailers(trailers("0", "")).unwrap();
        }
        "/test.Echo/Two" => {
            let mut stream = respond.send_response(ok, false).unwrap();
            let both = [framed(b"1"), framed(b"")].concat();
            stream.send_data(both.into(), false).unwrap();
            stream.send_trailers(trailers("5", "not%20there")).unwrap();
        }
        "/test.Echo/OnlyTrailers" => {
            let mut response = Response::new(());
            *response.headers_mut() = trailers("7", "no");
            respond.send_response(response, true).unwrap();
        }
        "/test.Echo/Compressed" => {
            let mut stream = respond.send_response(ok, false).unwrap();
            stream.send_data(vec![1, 0, 0, 0, 0].into(), true).unwrap();
        }
        "/test.Echo/Large" => {
            let mut stream = respond.send_response(ok, false).unwrap();
            stream.send_data(vec![0, 0xff, 0xff, 0xff, 0xff].into(), true).unwrap();
        }
        "/test.Echo/Cut" => {
            let mut stream = respond.send_response(ok, false).unwrap();
            stream.send_data(vec![0, 0, 0, 0, 9, 1].into(), false).unwrap();
            stream.send_trailers(trailers("0", "")).unwrap();
        }
        "/test.Echo/NoStatus" => {
            let mut stream = respond.send_response(ok, false).unwrap();
            stream.send_data(framed(b"x").into(), true).unwrap();
        }
        "/test.Echo/Html" => {
            let response = Response::builder().status(503).body(()).unwrap();
            respond.send_response(response, true).unwrap();
        }
        _ => {
            let _stream = respond.send_response(ok, false).unwrap();
            std::future::pending::<()>().await;
        }
    }
}

async fn all_events(upstreams: &Upstreams, request: GrpcRequest) -> Vec<GrpcEvent> {
    let (sender, mut events) = upstreams.grpc_stream("up", request).unwrap();
    drop(sender);
    let mut all = Vec::new();
    while let Some(event) = events.next().await {
        all.push(event);
    }
    all
}

fn status(code: u32, message: &str) -> GrpcStatus {
    GrpcStatus { code, message: message.to_owned() }
}

#[tokio::test]
async fn a_unary_call_gives_the_message_or_the_status() {
    let server = http1(|stream| serve_http2(stream, serve)).await;
    let upstreams = plain(server.address, UpstreamProtocol::Http1);
    for message in [&b"hello"[..], b"", &[7; 200_000]] {
        assert_eq!(upstreams.grpc_call("up", call("Echo"), message).await.unwrap(), message);
    }
    let denied = upstreams.grpc_call("up", call("OnlyTrailers"), b"").await.unwrap_err();
    assert_eq!(denied, status(7, "no"));
    let unknown = upstreams.grpc_call("other", call("Echo"), b"").await.unwrap_err();
    assert_eq!(unknown, status(14, "no upstream of this name"));
    let wrong = upstreams.grpc_call("up", call("a b"), b"").await.unwrap_err();
    assert_eq!(wrong.code, 3);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_stream_sends_and_receives_message_by_message() {
    let server = http1(|stream| serve_http2(stream, serve)).await;
    let upstreams = plain(server.address, UpstreamProtocol::Http2);
    let (sender, mut events) = upstreams.grpc_stream("up", call("Echo")).unwrap();
    sender.send(b"one").unwrap();
    let initial = events.next().await.unwrap();
    assert_eq!(initial, GrpcEvent::InitialMetadata(vec![pair("content-type", "application/grpc")]));
    assert_eq!(events.next().await, Some(GrpcEvent::Message(b"one".to_vec())));
    sender.send(b"two").unwrap();
    assert_eq!(events.next().await, Some(GrpcEvent::Message(b"two".to_vec())));
    drop(sender);
    let trailing = vec![pair("grpc-status", "0"), pair("grpc-message", "")];
    assert_eq!(events.next().await, Some(GrpcEvent::TrailingMetadata(trailing)));
    assert_eq!(events.next().await, Some(GrpcEvent::Closed(status(0, ""))));
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn each_way_to_end_has_its_status_and_comes_once() {
    let server = http1(|stream| serve_http2(stream, serve)).await;
    let upstreams = plain(server.address, UpstreamProtocol::Http1);
    for (method, code, message) in [
        ("Two", 5, "not there"),
        ("OnlyTrailers", 7, "no"),
        ("Compressed", 13, "a message is compressed"),
        ("Large", 8, "a message has 4294967295 bytes; allowed: 4194304"),
        ("Cut", 13, "the answer ends in the middle of a message"),
        ("NoStatus", 2, "the answer has no status"),
        ("Html", 14, "the answer is not gRPC's; its HTTP status is 503"),
    ] {
        let events = all_events(&upstreams, call(method)).await;
        let closed = |event: &&GrpcEvent| matches!(event, GrpcEvent::Closed(_));
        assert_eq!(events.iter().filter(closed).count(), 1, "{method}");
        assert_eq!(events.last(), Some(&GrpcEvent::Closed(status(code, message))), "{method}");
    }
    let events = all_events(&upstreams, call("Two")).await;
    assert_eq!(events[1..3], [GrpcEvent::Message(b"1".to_vec()), GrpcEvent::Message(Vec::new())]);
}

#[tokio::test]
async fn a_call_is_bounded_in_time_and_an_upstream_without_grpc_is_unavailable() {
    let server = http1(|stream| serve_http2(stream, serve)).await;
    let upstreams = plain(server.address, UpstreamProtocol::Http1);
    let timeout = Duration::from_millis(100);
    let events = all_events(&upstreams, GrpcRequest { timeout, ..call("Hang") }).await;
    assert_eq!(events.last(), Some(&GrpcEvent::Closed(status(4, "no answer in time"))));
    let server = http1(|stream| answer_forever(stream, "HTTP/1.1 400 Bad\r\n\r\n")).await;
    let upstreams = plain(server.address, UpstreamProtocol::Http1);
    let error = upstreams.grpc_call("up", call("Echo"), b"").await.unwrap_err();
    assert_eq!(error.code, 14, "{error:?}");
}

#[tokio::test]
async fn messages_that_cannot_be_sent_are_bounded_and_dropping_the_events_cancels() {
    let cancelled = Arc::new(AtomicBool::new(false));
    let note = cancelled.clone();
    // It grants no window beyond the first.
    let server = http1(move |stream| {
        let note = note.clone();
        serve_http2(stream, move |request, mut respond| {
            let note = note.clone();
            async move {
                let _unread = request;
                let _ = std::future::poll_fn(|context| respond.poll_reset(context)).await;
                note.store(true, Ordering::Relaxed);
            }
        })
    })
    .await;
    let upstreams = plain(server.address, UpstreamProtocol::Http1);
    let (sender, events) = upstreams.grpc_stream("up", call("Hold")).unwrap();
    let message = vec![0; limits::GRPC_UNSENT / 4];
    let mut sent = 0;
    while sender.send(&message).is_ok() {
        sent += 1;
        settle().await;
        assert!(sent < 20);
    }
    assert_eq!(sender.send(&message), Err(GrpcSendError::Full));
    drop(events);
    let start = Instant::now();
    while !cancelled.load(Ordering::Relaxed) {
        assert!(start.elapsed() < LONG);
        settle().await;
    }
    assert_eq!(sender.send(b""), Err(GrpcSendError::Closed));
}

#[tokio::test]
async fn grpc_over_tls_asks_for_http2() {
    let (ca_file, acceptor) = tls(&["h2", "http/1.1"]);
    let acceptor = Arc::new(acceptor);
    let server = http1(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let stream = acceptor.accept(stream).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            serve_http2(stream, serve).await;
        }
    })
    .await;
    let address = format!("localhost:{}", server.address.port());
    let upstreams = upstreams(&address, UpstreamProtocol::Http1, Some(ca_file.path()));
    assert_eq!(upstreams.grpc_call("up", call("Echo"), b"x").await.unwrap(), b"x");
}
