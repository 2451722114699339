//! Against servers on real sockets: HTTP/1.1 written by hand, HTTP/2 of the crate h2, TLS.

mod grpc;
mod http1;
mod http2;
mod server;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::runtime::Handle;

use super::*;
use crate::config::UpstreamProtocol;

/// Long enough for a busy machine, and for no test to wait it out.
const LONG: Duration = Duration::from_secs(20);

/// Upstreams with one, `up`, whose connections live in this test's runtime.
fn upstreams(address: &str, protocol: UpstreamProtocol, ca_file: Option<&Path>) -> Upstreams {
    let tls = ca_file.is_some();
    let config = UpstreamConfig { address: address.to_owned(), tls, protocol };
    let all = BTreeMap::from([("up".to_owned(), config)]);
    Upstreams::new(all, ca_file, Handle::current()).expect("the address is fine")
}

fn plain(address: SocketAddr, protocol: UpstreamProtocol) -> Upstreams {
    upstreams(&address.to_string(), protocol, None)
}

fn pair(name: &str, value: &str) -> (Vec<u8>, Vec<u8>) {
    (name.as_bytes().to_vec(), value.as_bytes().to_vec())
}

fn request(method: &str, path: &str) -> UpstreamRequest {
    UpstreamRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        ..UpstreamRequest::default()
    }
}

#[tokio::test]
async fn an_address_or_ca_file_that_cannot_be_used_is_refused() {
    for address in ["", "host", "host:", ":80", "host:port", "a@b:80", "http://a:80"] {
        let config = UpstreamConfig {
            address: address.to_owned(),
            tls: false,
            protocol: UpstreamProtocol::Http1,
        };
        let all = BTreeMap::from([("up".to_owned(), config)]);
        let error = Upstreams::new(all, None, Handle::current()).err().expect(address);
        assert!(error.starts_with("upstream up: the address"), "{error}");
    }
    let config = UpstreamConfig {
        address: "[::1]:443".to_owned(),
        tls: true,
        protocol: UpstreamProtocol::Http2,
    };
    let all = BTreeMap::from([("up".to_owned(), config)]);
    assert!(Upstreams::new(all.clone(), None, Handle::current()).is_ok());
    let file = tempfile::NamedTempFile::new().unwrap();
    for file in [Path::new("/nowhere/ca.pem"), file.path()] {
        let error = Upstreams::new(all.clone(), Some(file), Handle::current()).err().unwrap();
        assert!(error.starts_with("CA file"), "{error}");
    }
}

#[tokio::test]
async fn a_request_that_http_cannot_carry_is_refused_before_anything_is_sent() {
    let upstreams = upstreams("192.0.2.1:9", UpstreamProtocol::Http1, None);
    assert!(upstreams.knows("up") && !upstreams.knows("other"));
    let mut wrong = vec![
        request("", "/"),
        request("CONNECT", "/"),
        request("GET X", "/"),
        request("GET", ""),
        request("GET", "x"),
        request("GET", "/a b"),
        request("GET", "/a#b"),
        request("GET", "/\r\nx: y"),
    ];
    for (name, value) in
        [("", "x"), ("a b", "x"), (":path", "/"), ("a", "x\r\nb: y"), ("a", "\0"), ("host", "a b")]
    {
        wrong.push(UpstreamRequest { headers: vec![pair(name, value)], ..request("GET", "/") });
    }
    for authority in ["a b", "user@host", "a\r\n"] {
        let authority = Some(authority.to_owned());
        wrong.push(UpstreamRequest { authority, ..request("GET", "/") });
    }
    let many = vec![pair("a", "b"); limits::HEADER_COUNT + 1];
    wrong.push(UpstreamRequest { headers: many, ..request("GET", "/") });
    let trailers = vec![pair("a", &"b".repeat(limits::HEADERS))];
    wrong.push(UpstreamRequest { trailers, ..request("GET", "/") });
    for request in wrong {
        let shown = format!("{request:?}");
        let error = upstreams.send("up", request, LONG).await.unwrap_err();
        assert!(matches!(error, FetchError::InvalidRequest(_)), "{error} {shown:.200}");
    }
    let error = upstreams.send("other", request("GET", "/"), LONG).await.unwrap_err();
    assert_eq!(error, FetchError::UnknownUpstream);
}

#[test]
fn a_worker_that_ends_takes_no_connection_with_it() {
    let background =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = background.block_on(server::http1(|connection| async move {
        server::answer_forever(connection, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    }));
    let config = UpstreamConfig {
        address: server.address.to_string(),
        tls: false,
        protocol: UpstreamProtocol::Http1,
    };
    let all = BTreeMap::from([("up".to_owned(), config)]);
    let upstreams = Upstreams::new(all, None, background.handle().clone()).unwrap();
    for _ in 0..3 {
        // Without I/O and time of its own.
        let worker = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let response = worker.block_on(upstreams.send("up", request("GET", "/"), LONG)).unwrap();
        assert_eq!(response.body, b"ok");
        background.block_on(server::settle());
    }
    assert_eq!(server.connections(), 1);
}
