//! An HTTP/2 client that keeps the rules; [`crate::Frames`] is for the others.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

use crate::{DEADLINE, Request, Response, TlsOptions};

/// One connection. Its task runs on [`runtime`].
pub struct Http2 {
    requests: SendRequest<Bytes>,
}

/// What the HTTP/2 clients and upstreams of all tests run on.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime")
    })
}

impl Http2 {
    pub fn connect(address: SocketAddr) -> Self {
        Self::connect_as(address, "localhost")
    }

    pub fn connect_as(address: SocketAddr, name: &str) -> Self {
        let config = TlsOptions::new().alpn(&["h2"]).config();
        let name = ServerName::try_from(name.to_owned()).expect("a server name");
        runtime().block_on(async {
            let connect = async {
                let stream = TcpStream::connect(address).await.expect("the gateway accepts");
                let stream = TlsConnector::from(Arc::clone(&config)).connect(name, stream).await;
                let stream = stream.expect("the TLS handshake succeeds");
                assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
                let (requests, connection) =
                    h2::client::handshake(stream).await.expect("HTTP/2 begins");
                tokio::spawn(connection);
                Self { requests }
            };
            tokio::time::timeout(DEADLINE, connect).await.expect("the gateway answers")
        })
    }

    /// Sends a request with its whole body.
    pub fn send(&mut self, request: &Request) -> ResponseFuture {
        let (response, mut stream) = self.open(request, request.body.is_empty());
        if !request.body.is_empty() {
            stream.send_data(Bytes::from(request.body.clone()), true).expect("the stream is open");
        }
        response
    }

    /// Sends a head, and leaves the body to the test.
    pub fn open(&mut self, request: &Request, end: bool) -> (ResponseFuture, SendStream<Bytes>) {
        let mut head = http::Request::builder()
            .method(request.method.as_str())
            .uri(format!("https://{}{}", request.host, request.target));
        for (name, value) in &request.headers {
            head = head.header(name, value);
        }
        let head = head.body(()).expect("a valid request");
        runtime().block_on(async {
            let ready = tokio::time::timeout(DEADLINE, self.requests.clone().ready()).await;
            let mut requests = ready.expect("a stream is free").expect("the connection is open");
            requests.send_request(head, end).expect("the connection is open")
        })
    }

    pub fn call(&mut self, request: Request) -> Response {
        let response = self.send(&request);
        receive(response)
            .unwrap_or_else(|error| panic!("{error} instead of a response to {request:?}"))
    }

    pub fn try_call(&mut self, request: &Request) -> Result<Response, h2::Error> {
        let response = self.send(request);
        receive(response)
    }

    pub fn get(&mut self, path: &str) -> Response {
        self.call(crate::get(path))
    }

    /// Waits for a whole response.
    pub fn receive(response: ResponseFuture) -> Result<Response, h2::Error> {
        receive(response)
    }

    /// Waits for a response's head.
    pub fn receive_head(response: ResponseFuture) -> Result<http::Response<RecvStream>, h2::Error> {
        wait(response)
    }

    /// Waits for the next piece of a body.
    pub fn receive_data(stream: &mut RecvStream) -> Option<Result<Bytes, h2::Error>> {
        let data = wait(stream.data());
        if let Some(Ok(data)) = &data {
            let _ = stream.flow_control().release_capacity(data.len());
        }
        data
    }
}

fn receive(response: ResponseFuture) -> Result<Response, h2::Error> {
    let (parts, mut stream) = wait(response)?.into_parts();
    let fields = |headers: &http::HeaderMap| {
        let text =
            |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
    };
    let mut body = Vec::new();
    while let Some(data) = Http2::receive_data(&mut stream) {
        body.extend_from_slice(&data?);
    }
    let trailers = wait(stream.trailers())?.map(|trailers| fields(&trailers)).unwrap_or_default();
    Ok(Response { status: parts.status.as_u16(), headers: fields(&parts.headers), body, trailers })
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    runtime().block_on(async {
        tokio::time::timeout(DEADLINE, future).await.expect("the gateway answers")
    })
}
