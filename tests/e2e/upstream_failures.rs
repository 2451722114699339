//! Backends that fail, and what the client is told.

use serde_json::json;
use tollgate_tests::{
    Api, Authority, Broken, Gateway, Issued, Response, Serve, Upstream, UpstreamHttp2, get, greedy,
    http_proxy, post,
};

use crate::support::{assert_error, assert_internal_error};

/// The answer to GET / where each connection gets these bytes once and is closed.
fn answered(bytes: &str) -> Response {
    let upstream = Upstream::answering_once(bytes);
    Gateway::dev(greedy(&upstream.url(""))).get("/")
}

fn timeout(url: &str, milliseconds: u64) -> Api {
    let mut integration = http_proxy(url);
    integration["timeoutInMillis"] = json!(milliseconds);
    Api::new().route("ANY /", integration)
}

#[test]
fn a_backend_that_refuses_connections_is_an_internal_error() {
    let (_socket, address) = Upstream::refusing();
    let response = Gateway::dev(greedy(&format!("http://{address}"))).get("/");
    assert_internal_error(&response);
}

#[test]
fn a_backend_whose_name_does_not_resolve_is_an_internal_error() {
    assert_internal_error(&Gateway::dev(greedy("http://nowhere.invalid")).get("/"));
}

#[test]
fn the_connection_to_the_client_survives_a_failed_backend() {
    let (_socket, address) = Upstream::refusing();
    let mut client = Gateway::dev(greedy(&format!("http://{address}"))).into_connection();
    for _ in 0..3 {
        assert_internal_error(&client.get("/"));
    }
    assert_internal_error(&client.call(post("/", "body")));
    assert_internal_error(&client.get("/"));
}

#[test]
fn a_backend_that_does_not_answer_in_time_is_a_timeout() {
    let upstream = Upstream::scripted(|mut session| session.wait_for_close());
    let gateway = Gateway::dev(timeout(&upstream.url("/"), 100));
    let response = gateway.get("/");
    assert_error(&response, 504, "InternalServerErrorException", "Endpoint request timed out");
    assert_eq!(gateway.connect_http2().get("/").status, 504);
    assert_eq!(gateway.call(post("/", "body")).status, 504);
}

#[test]
fn a_backend_that_leaves_before_its_head_is_an_internal_error() {
    assert_internal_error(&answered(""));
    assert_internal_error(&answered("HTTP/1.1 200 OK\r\nContent-"));
}

#[test]
fn a_response_that_cannot_be_read_in_one_way_is_an_internal_error() {
    for response in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    ] {
        assert_internal_error(&answered(response));
    }
}

#[test]
fn a_response_that_breaks_off_never_looks_complete() {
    for response in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n",
    ] {
        let upstream = Upstream::answering_once(response);
        let gateway = Gateway::dev(greedy(&upstream.url("")));
        for mut client in [gateway.connect(), gateway.connect_tls()] {
            client.send(get("/").bytes());
            let broken = client.try_response();
            assert!(matches!(broken, Err(Broken::Ended(_))), "{response:?} gave {broken:?}");
        }
        assert!(gateway.connect_http2().try_call(&get("/")).is_err(), "{response:?}");
    }
}

#[test]
fn a_backend_that_falls_silent_in_its_body_breaks_off() {
    let upstream = Upstream::scripted(|mut session| {
        if session.request().is_some() {
            session.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
            session.wait_for_close();
        }
    });
    let gateway = Serve::new(greedy(&upstream.url(""))).limits("body_stall_timeout: 500ms").start();
    let mut client = gateway.connect();
    client.send(get("/prod/").host(&gateway.default_host()).bytes());
    assert!(matches!(client.try_response(), Err(Broken::Ended(_))));
}

#[test]
fn other_streams_survive_a_response_that_breaks_off() {
    let upstream = Upstream::answering_once("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    let api = Api::new()
        .route("GET /broken", http_proxy(&upstream.url("/")))
        .route("GET /mock", tollgate_tests::mock(200, "ok"));
    let gateway = Gateway::dev(api);
    let mut client = gateway.connect_http2();
    assert!(client.try_call(&get("/broken")).is_err());
    assert_eq!(client.get("/mock").text(), "ok");
}

#[test]
fn a_backend_over_tls_is_verified() {
    let trusted = Authority::new();
    let upstream = Upstream::echo_tls(&trusted.issue(&["localhost"]));
    let stranger = Upstream::echo_tls(&Issued::of(&["localhost"]));
    let misnamed = Upstream::echo_tls(&trusted.issue(&["elsewhere.example"]));
    let api = Api::new()
        .route("GET /trusted", http_proxy(&upstream.url("/x")))
        .route("GET /stranger", http_proxy(&stranger.url("/x")))
        .route("GET /misnamed", http_proxy(&misnamed.url("/x")));
    let gateway = Serve::new(api)
        .file("ca.pem", &trusted.certificate)
        .with("upstream_ca_file: ca.pem")
        .start();
    let call =
        |path: &str| gateway.call(get(&format!("/prod{path}")).host(&gateway.default_host()));
    assert_eq!(call("/trusted").echoed_target(), "GET /x");
    assert_internal_error(&call("/stranger"));
    assert_internal_error(&call("/misnamed"));
    assert!(stranger.requests().is_empty() && misnamed.requests().is_empty());
}

#[test]
fn a_definition_may_do_without_verification() {
    let stranger = Upstream::echo_tls(&Issued::of(&["elsewhere.example"]));
    let mut integration = http_proxy(&stranger.url("/x"));
    integration["tlsConfig"] = json!({ "insecureSkipVerification": true });
    assert_eq!(
        Gateway::dev(Api::new().route("GET /", integration)).get("/").echoed_target(),
        "GET /x"
    );
}

fn http2_backend() -> (Gateway, UpstreamHttp2) {
    let authority = Authority::new();
    let upstream = UpstreamHttp2::echo(&authority.issue(&["localhost"]));
    let gateway = Serve::new(greedy(&upstream.url("")))
        .file("ca.pem", &authority.certificate)
        .with("upstream_ca_file: ca.pem")
        .tls(&Issued::of(&["localhost"]))
        .with("domain_names: [{name: localhost, base_path_mappings: [{api_id: petstore01, stage: prod}]}]")
        .start();
    (gateway, upstream)
}

#[test]
fn a_backend_may_speak_http_2() {
    let (gateway, upstream) = http2_backend();
    let response = gateway.call(
        post("/a?b=c", "hello")
            .header("X-Custom", "1")
            .header("Connection", "X-Gone")
            .header("X-Gone", "1"),
    );
    let text = response.text();
    assert!(
        text.starts_with("POST /a?b=c HTTP/2\r\n") && text.ends_with("\r\n\r\nhello"),
        "{text}"
    );
    let header =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    assert_eq!(header(":authority: "), Some(format!("localhost:{}", upstream.address.port())));
    assert_eq!(header("x-custom: ").as_deref(), Some("1"));
    assert_eq!(header("x-forwarded-for: ").as_deref(), Some("127.0.0.1"));
    assert_eq!(
        [
            header("connection: "),
            header("host: "),
            header("x-gone: "),
            header("transfer-encoding: ")
        ],
        [None, None, None, None]
    );
    assert_eq!(response.header("x-upstream"), Some("http2"));
    assert_eq!(response.trailers, [("x-upstream-trailer".to_owned(), "end".to_owned())]);
}

#[test]
fn a_connection_to_an_http_2_backend_is_kept() {
    let (gateway, upstream) = http2_backend();
    let mut client = gateway.connect();
    for _ in 0..5 {
        assert_eq!(client.get("/").status, 200);
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn an_http_2_backend_that_resets_its_stream_breaks_off() {
    let (gateway, upstream) = http2_backend();
    let mut client = gateway.connect();
    client.send(get("/reset").bytes());
    assert!(matches!(client.try_response(), Err(Broken::Ended(_))));
    assert!(gateway.connect_http2().try_call(&get("/reset")).is_err());
    assert_eq!(gateway.get("/").status, 200);
    assert!(upstream.connections() <= 2);
}

#[test]
fn http_2_may_be_spoken_from_end_to_end() {
    let (gateway, _upstream) = http2_backend();
    let mut client = gateway.connect_http2();
    let large = "x".repeat(1_000_000);
    let response = client.call(post("/", large.clone()));
    assert!(response.status == 200 && response.text().ends_with(&large));
    assert_eq!(response.trailers.len(), 1);
}

#[test]
fn a_connection_that_an_http_2_backend_closed_costs_no_request() {
    let authority = Authority::new();
    let upstream = UpstreamHttp2::echo_once(&authority.issue(&["localhost"]));
    let gateway = Serve::new(greedy(&upstream.url("")))
        .file("ca.pem", &authority.certificate)
        .with("upstream_ca_file: ca.pem")
        .start();
    let mut client = gateway.connect();
    for _ in 0..20 {
        let response = client.call(get("/prod/").host(&gateway.default_host()));
        assert_eq!(response.status, 200, "{response:?}");
    }
}

#[test]
fn what_a_backend_sends_beyond_its_response_is_nobodys_response() {
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let poison = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let upstream = Upstream::answering(format!("{response}{poison}"));
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    let mut client = gateway.connect();
    for _ in 0..10 {
        assert_eq!(client.get("/").text(), "ok");
        assert_eq!(client.call(post("/", "body")).text(), "ok");
    }
}

#[test]
fn what_a_backend_says_on_an_idle_connection_is_nobodys_response() {
    let (said, wait) = std::sync::mpsc::channel();
    let upstream = Upstream::scripted(move |mut session| {
        if session.request().is_some() {
            session.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            // By now the client may have its answer, or not: either way this is too late.
            session.write("HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\n\r\nevil");
            session.wait_until_delivered();
            let _ = said.send(());
        }
    });
    let mut client = Gateway::dev(greedy(&upstream.url(""))).into_connection();
    for _ in 0..100 {
        assert_eq!(client.get("/").summary(), (200, "ok".into()));
        wait.recv_timeout(tollgate_tests::DEADLINE).expect("the backend has said it");
    }
}

#[test]
fn a_response_with_too_many_headers_is_an_internal_error() {
    let padding = format!("X-Padding: {}\r\n", "x".repeat(1000)).repeat(70);
    assert_internal_error(&answered(&format!("HTTP/1.1 200 OK\r\n{padding}\r\n")));
}
