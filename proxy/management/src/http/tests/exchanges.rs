//! Requests and their responses.

use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue};
use tokio_rustls::TlsAcceptor;

use super::server::{Listening, echo, gives_way};
use crate::http::{Authentication, Bounds, Request, Response};

const GET: &str = "GET /restapis HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn an_answer_has_the_headers_of_aws() {
    let server = Listening::start(echo);
    let mut client = server.connect();
    let mut reply = || {
        client.write(GET.as_bytes());
        client.read().unwrap()
    };
    let (first, second) = (reply(), reply());
    assert_eq!(first.status(), 200);
    assert_eq!(first.header("content-type"), Some("application/json"));
    assert!(first.header("date").unwrap().ends_with(" GMT"));
    let id = |name: &str| (first.header(name).unwrap(), second.header(name).unwrap());
    let (request_id, another) = id("x-amzn-RequestId");
    assert_ne!(request_id, another);
    for id in [request_id, another] {
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
        let parts: Vec<usize> = id.split('-').filter(|part| digits(part)).map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
        assert_eq!(id.as_bytes()[14], b'4', "{id}");
        assert!(b"89ab".contains(&id.as_bytes()[19]), "{id}");
    }
    let (extended, another) = id("x-amz-apigw-id");
    assert_ne!(extended, another);
    assert_eq!(extended.len(), 16);
}

#[test]
fn a_handler_gets_the_request_as_it_was_sent_and_its_answer_goes_out() {
    let server = Listening::start(|request: Request| match request.path.as_str() {
        "/empty" => Response { status: 204, headers: Vec::new(), body: Bytes::new() },
        "/yaml" => Response {
            status: 201,
            headers: vec![
                (CONTENT_TYPE, HeaderValue::from_static("application/yaml")),
                (HeaderName::from_static("x-a"), HeaderValue::from_static("1")),
            ],
            body: Bytes::from_static(b"a: b"),
        },
        _ => echo(request),
    });
    let reply = server.send(
        "PUT /restapis/a%2Fb//%C3%A9?a=1+1&b=%2B HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\
         Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    );
    assert_eq!(reply.text(), "PUT /restapis/a%2Fb//%C3%A9 a=1+1&b=%2B 127.0.0.1:80 3");
    assert_eq!(reply.header("connection"), None);
    let reply = server.send("GET /empty HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!((reply.status(), reply.header("content-type")), (204, None));
    let reply = server.send("GET /yaml HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!((reply.status(), &reply.body[..]), (201, &b"a: b"[..]));
    assert_eq!(reply.header("content-type"), Some("application/yaml"));
    assert_eq!(reply.header("x-a"), Some("1"));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Listening::start(echo);
    let mut client = server.connect();
    let request = |path: usize| format!("GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.write((0..20).map(request).collect::<String>().as_bytes());
    for path in 0..20 {
        assert_eq!(client.read().unwrap().text(), format!("GET /{path}  localhost 0"));
    }
}

#[test]
fn http2_works_without_tls() {
    let server = Listening::start(echo);
    let address = server.address;
    let url = format!("http://{address}/a?b=c");
    let format = "\n%{http_version} %{content_type}";
    let printed = server.curl(&["--http2-prior-knowledge", "-w", format, "--data", "xyz", &url]);
    assert_eq!(printed, format!("\"POST /a b=c {address} 3\"\n2 application/json"));
}

#[test]
fn tls_carries_both_protocols() {
    let names = ["localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let tls = TlsAcceptor::from(std::sync::Arc::new(config));
    let (any, bounds) = (Authentication::AnyKey, Bounds::default());
    let server = Listening::with(echo, any, bounds, Some(tls));
    let url = format!("https://localhost:{}/a", server.address.port());
    for (protocol, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let printed = server.curl(&["-k", protocol, "-w", " %{http_version}", &url]);
        assert!(printed.ends_with(&format!(" 0\" {version}")), "{printed}");
    }
    let mut plain = server.connect();
    plain.write(GET.as_bytes());
    assert!(plain.read().is_none_or(|reply| reply.status() != 200));
}

#[test]
fn an_operation_that_panics_is_answered_and_others_go_on() {
    let server = Listening::start(|request: Request| match request.path.as_str() {
        "/panic" => panic!("as it was told"),
        _ => echo(request),
    });
    let mut client = server.connect();
    // More often than there are threads.
    for _ in 0..10 {
        client.write(b"GET /panic HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let reply = client.read().unwrap();
        let (status, kind, text) = reply.error();
        assert_eq!((status, kind), (500, "InternalFailure"));
        assert_eq!(text, "The request failed inside the management API; the log says why.");
    }
    client.write(GET.as_bytes());
    assert_eq!(client.read().unwrap().status(), 200);
}

#[test]
fn operations_run_on_threads_that_give_way() {
    let server = Listening::start(move |_: Request| Response {
        status: 200,
        headers: Vec::new(),
        body: gives_way().to_string().into(),
    });
    assert_eq!(server.send(GET).body, "true");
    assert!(!gives_way());
}

#[test]
fn stopping_ends_what_is_under_way_and_takes_nothing_new() {
    let (entered, has_entered) = mpsc::channel();
    let (leave, may_leave) = mpsc::channel::<()>();
    let may_leave = parking_lot::Mutex::new(may_leave);
    let mut server = Listening::start(move |request: Request| {
        entered.send(()).unwrap();
        may_leave.lock().recv().unwrap();
        echo(request)
    });
    let mut idle = server.connect();
    let mut busy = server.connect();
    busy.write(GET.as_bytes());
    has_entered.recv_timeout(Duration::from_secs(30)).unwrap();
    server.stop();
    assert!(idle.is_closed());
    assert!(std::net::TcpStream::connect(server.address).is_err());
    leave.send(()).unwrap();
    assert_eq!(busy.read().unwrap().status(), 200);
    assert!(busy.is_closed());
    server.join();
}

#[test]
fn a_client_that_is_just_sending_when_the_listener_stops_is_answered() {
    let mut server = Listening::start(echo);
    let mut new = server.connect();
    let mut kept = server.connect();
    kept.write(GET.as_bytes());
    assert_eq!(kept.read().unwrap().status(), 200);
    server.stop();
    // Not accepted any more: it has heard of the end.
    while std::net::TcpStream::connect(server.address).is_ok() {
        std::thread::yield_now();
    }
    for client in [&mut new, &mut kept] {
        client.write(GET.as_bytes());
        assert_eq!(client.read().unwrap().status(), 200);
        assert!(client.is_closed());
    }
    server.join();
}
