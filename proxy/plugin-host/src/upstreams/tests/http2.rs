use std::sync::Arc;

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};

use super::server::{answer_forever, http1, serve_http2, tls};
use super::*;

/// Answers with what it was asked: method, URI and body.
async fn echo(request: Request<h2::RecvStream>, mut respond: SendResponse<Bytes>) {
    let (head, mut body) = request.into_parts();
    let mut text = format!("{} {}\n", head.method, head.uri).into_bytes();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        text.extend_from_slice(&data);
    }
    if let Ok(Some(trailers)) = body.trailers().await {
        text.extend_from_slice(format!("{trailers:?}").as_bytes());
    }
    let response = Response::builder().header("x-a", "1").header("x-a", "2").body(()).unwrap();
    let mut stream = respond.send_response(response, false).unwrap();
    stream.send_data(text.into(), false).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-t", "9".parse().unwrap());
    stream.send_trailers(trailers).unwrap();
}

#[tokio::test]
async fn http2_with_prior_knowledge_shares_one_connection() {
    let server = http1(|stream| serve_http2(stream, echo)).await;
    let upstreams = plain(server.address, UpstreamProtocol::Http2);
    let requests = (0..20).map(|number| {
        let request = UpstreamRequest {
            authority: Some(format!("host-{number}")),
            body: b"body".to_vec(),
            trailers: vec![pair("x-sum", "1")],
            ..request("POST", "/p?q")
        };
        upstreams.send("up", request, LONG)
    });
    let responses = futures_util::future::join_all(requests).await;
    for (number, response) in responses.into_iter().enumerate() {
        let response = response.unwrap();
        let text = String::from_utf8(response.body).unwrap();
        let expected = format!("POST http://host-{number}/p?q\nbody{{\"x-sum\": \"1\"}}");
        assert_eq!(text, expected);
        assert_eq!(response.headers, [pair("x-a", "1"), pair("x-a", "2")]);
        assert_eq!(response.trailers, [pair("x-t", "9")]);
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn an_http2_connection_that_ended_is_made_again() {
    let server = http1(|stream| async move {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        if let Some(Ok((_, mut respond))) = connection.accept().await {
            respond.send_response(Response::new(()), true).unwrap();
            connection.graceful_shutdown();
            while connection.accept().await.is_some() {}
        }
    })
    .await;
    let upstreams = plain(server.address, UpstreamProtocol::Http2);
    for _ in 0..5 {
        let response = upstreams.send("up", request("POST", "/"), LONG).await.unwrap();
        assert_eq!(response.status, 200);
    }
    assert_eq!(server.connections(), 5);
}

#[tokio::test]
async fn an_http2_connection_that_fell_silent_is_not_used_again() {
    // It answers what comes first on each connection, and nothing else.
    let server = http1(|stream| async move {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let mut kept = Vec::new();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            if kept.is_empty() {
                respond.send_response(Response::new(()), true).unwrap();
            }
            kept.push((request, respond));
        }
    })
    .await;
    let upstreams = plain(server.address, UpstreamProtocol::Http2);
    upstreams.send("up", request("GET", "/"), LONG).await.unwrap();
    let timeout = Duration::from_millis(50);
    let error = upstreams.send("up", request("GET", "/"), timeout).await.unwrap_err();
    assert_eq!(error, FetchError::TimedOut);
    upstreams.send("up", request("GET", "/"), LONG).await.unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn tls_takes_what_alpn_agrees_on_and_verifies_the_name() {
    for (protocols, expected) in
        [(&["h2", "http/1.1"][..], "h2"), (&["http/1.1"], "http/1.1"), (&[], "http/1.1")]
    {
        let (ca_file, acceptor) = tls(protocols);
        let acceptor = Arc::new(acceptor);
        let server = http1(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let name = stream.get_ref().1.server_name().unwrap_or_default().to_owned();
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    assert_eq!(name, "localhost");
                    serve_http2(stream, echo).await;
                } else {
                    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhttp/1.1";
                    answer_forever(stream, answer).await;
                }
            }
        })
        .await;
        let address = format!("localhost:{}", server.address.port());
        let known = upstreams(&address, UpstreamProtocol::Http1, Some(ca_file.path()));
        for _ in 0..3 {
            let response = known.send("up", request("GET", "/"), LONG).await.unwrap();
            let text = String::from_utf8(response.body).unwrap();
            let own = format!("GET https://{address}/\n");
            assert_eq!(text, if expected == "h2" { &own } else { expected });
            server::settle().await;
        }
        assert_eq!(server.connections(), 1, "{protocols:?}");
        let other_name = server.address.to_string();
        let wrong = upstreams(&other_name, UpstreamProtocol::Http1, Some(ca_file.path()));
        let error = wrong.send("up", request("GET", "/"), LONG).await.unwrap_err();
        assert!(error.to_string().starts_with("TLS handshake with 127.0.0.1"), "{error}");
        let (other_ca, _) = tls(&[]);
        let wrong = upstreams(&address, UpstreamProtocol::Http1, Some(other_ca.path()));
        let error = wrong.send("up", request("GET", "/"), LONG).await.unwrap_err();
        assert!(error.to_string().starts_with("TLS handshake with localhost"), "{error}");
    }
}
