//! Clients that take their time, with the limits set short.

use std::sync::mpsc::channel;
use std::time::Duration;

use tollgate_tests::{
    Api, Broken, DEADLINE, Gateway, Http2, Issued, Serve, Upstream, eventually, get, greedy, mock,
};

use crate::support::assert_error;

/// A gateway with these limits that serves a greedy API at every path of `localhost`.
fn limited(upstream: &Upstream, limits: &str) -> Gateway {
    Serve::new(greedy(&upstream.url("")))
        .tls(&Issued::of(&["localhost"]))
        .with("domain_names: [{name: localhost, base_path_mappings: [{api_id: petstore01, stage: prod}]}]")
        .limits(limits)
        .start()
}

/// One that needs no backend.
fn limited_mock(limits: &str) -> Gateway {
    Serve::new(Api::new().route("ANY /", mock(200, "ok")))
        .tls(&Issued::of(&["localhost"]))
        .with("domain_names: [{name: localhost, base_path_mappings: [{api_id: petstore01, stage: prod}]}]")
        .limits(limits)
        .start()
}

#[test]
fn a_head_that_drips_in_is_refused_in_time() {
    let gateway = limited_mock("request_head_timeout: 500ms");
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n");
    // Each byte is progress, and still the whole head is late.
    while client.try_send("X").is_ok() {
        std::thread::sleep(Duration::from_millis(50));
        if gateway.metric("tollgate_requests_refused_total{reason=\"head_timeout\"}") > 0.0 {
            break;
        }
    }
    assert_error(&client.response(), 408, "RequestTimeoutException", "Request Timeout");
    client.assert_closed();
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let gateway = limited_mock("request_head_timeout: 500ms");
    gateway.connect().assert_closed();
    gateway.connect_tls().assert_closed();
    assert!(gateway.connect_http2().try_call(&get("/")).is_ok());
}

#[test]
fn an_idle_connection_is_closed() {
    let gateway = limited_mock("connection_idle_timeout: 1s");
    for mut client in [gateway.connect(), gateway.connect_tls()] {
        assert_eq!(client.get("/").status, 200);
        client.assert_closed();
    }
    let mut client = gateway.connect_http2();
    assert_eq!(client.get("/").status, 200);
    eventually("the connection is gone", || {
        (gateway.metric("tollgate_connections{protocol=\"https\"}") == 0.0).then_some(())
    });
}

#[test]
fn a_tls_handshake_that_does_not_go_on_is_given_up() {
    let gateway = limited_mock("tls_handshake_timeout: 500ms");
    let mut client = tollgate_tests::Http1::connect(gateway.https);
    client.send([22, 3, 1]);
    client.assert_closed();
    eventually("it is counted", || {
        (gateway.metric("tollgate_tls_handshakes_total{result=\"timed_out\"}") == 1.0).then_some(())
    });
}

#[test]
fn a_body_that_stands_still_is_refused() {
    let upstream = Upstream::scripted(|mut session| session.wait_for_close());
    let gateway = limited(&upstream, "body_stall_timeout: 500ms");
    for framing in
        ["Content-Length: 10\r\n\r\nfirst", "Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"]
    {
        let mut client = gateway.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: localhost\r\n{framing}"));
        assert_error(&client.response(), 408, "RequestTimeoutException", "Request Timeout");
        client.assert_closed();
    }
}

#[test]
fn a_body_that_stands_still_is_refused_where_it_is_collected_too() {
    let gateway = limited_mock("body_stall_timeout: 500ms");
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nfirst");
    assert_eq!(client.response().status, 408);
    client.assert_closed();
}

#[test]
fn an_http_2_body_that_stands_still_ends_its_stream_only() {
    let upstream = Upstream::scripted(|mut session| {
        while let Some(head) = session.head() {
            if head.starts_with("POST") {
                return session.wait_for_close();
            }
            session.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let gateway = limited(&upstream, "body_stall_timeout: 500ms");
    let mut client = gateway.connect_http2();
    let (response, _body) = client.open(&tollgate_tests::request("POST", "/"), false);
    assert_eq!(Http2::receive(response).unwrap().status, 408);
    assert_eq!(client.get("/").text(), "ok");
}

#[test]
fn a_body_that_creeps_is_refused() {
    let upstream = Upstream::scripted(|mut session| session.wait_for_close());
    let gateway = limited(&upstream, "body_stall_timeout: 1s, minimum_body_rate: 1MiB");
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n");
    while client.try_send("x").is_ok() {
        std::thread::sleep(Duration::from_millis(50));
        if gateway.metric("tollgate_requests_refused_total{reason=\"body_stalled\"}") > 0.0 {
            break;
        }
    }
    assert_eq!(client.response().status, 408);
    client.assert_closed();
}

#[test]
fn a_slow_backend_is_no_slow_client() {
    let upstream = Upstream::scripted(|mut session| {
        let Some(_) = session.request() else { return };
        session.write("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n");
        for _ in 0..20 {
            std::thread::sleep(Duration::from_millis(100));
            session.write("x");
        }
    });
    let gateway = limited(&upstream, "body_stall_timeout: 1s, minimum_body_rate: 1MiB");
    assert_eq!(gateway.get("/").body.len(), 20);
}

#[test]
fn a_client_that_does_not_read_its_response_is_cut_off() {
    let body = vec![b'x'; 10 * 1024 * 1024];
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let upstream = Upstream::answering([head.into_bytes(), body].concat());
    let gateway = limited(&upstream, "body_stall_timeout: 500ms");
    let mut client = gateway.connect();
    client.send(get("/").bytes());
    eventually("the backend is asked", || (!upstream.requests().is_empty()).then_some(()));
    eventually("the connection is gone", || {
        (gateway.metric("tollgate_connections{protocol=\"http\"}") == 0.0).then_some(())
    });
    assert!(matches!(client.try_response(), Err(Broken::Ended(_))));
}

#[test]
fn an_http_2_client_that_opens_no_window_loses_its_stream_only() {
    let body = "x".repeat(1_000_000);
    let upstream = Upstream::answering(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let gateway = limited(&upstream, "body_stall_timeout: 500ms");
    let mut client = gateway.connect_http2();
    let response = client.send(&get("/"));
    let mut stream = Http2::receive_head(response).unwrap().into_body();
    gateway.access_log(1);
    let end = std::iter::from_fn(|| Http2::receive_data(&mut stream)).find(Result::is_err);
    assert!(end.is_some(), "the response looks complete");
    assert_eq!(client.get("/").body.len(), body.len());
}

#[test]
fn a_client_that_leaves_takes_its_request_along() {
    let (gone, wait) = channel();
    let upstream = Upstream::scripted(move |mut session| {
        if session.head().is_some() {
            session.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            while session.try_write("5\r\nhello\r\n") {
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = gone.send(());
        }
    });
    let gateway = limited(&upstream, "");
    let mut client = gateway.connect();
    client.send(get("/").bytes());
    client.read_until(b"hello");
    drop(client);
    wait.recv_timeout(DEADLINE).expect("the backend learns of it");
    eventually("the connection is gone", || {
        (gateway.metric("tollgate_connections{protocol=\"http\"}") == 0.0).then_some(())
    });
}

#[test]
fn one_address_has_a_limited_number_of_connections() {
    let gateway = limited_mock("connections_per_address: 2");
    let (mut first, mut second) = (gateway.connect(), gateway.connect());
    assert_eq!([first.get("/").status, second.get("/").status], [200, 200]);
    gateway.connect().assert_closed();
    gateway.assert_metric("tollgate_connections_refused_total{reason=\"address\"}", 1.0);
    drop(first);
    eventually("there is room again", || {
        let mut client = gateway.connect();
        client.try_send(get("/").bytes()).ok()?;
        client.try_response().ok().filter(|response| response.status == 200)
    });
    assert_eq!(second.get("/").status, 200);
}

#[test]
fn all_clients_together_have_a_limited_number_of_connections() {
    let gateway = limited_mock("connections: 2");
    let mut clients = [gateway.connect(), gateway.connect()];
    assert!(clients.iter_mut().all(|client| client.get("/").status == 200));
    gateway.connect().assert_closed();
    gateway.assert_metric("tollgate_connections_refused_total{reason=\"total\"}", 1.0);
}
