//! An HTTP/2 backend over TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::{Issued, runtime};

/// Answers each request with what it received as text, in the form of HTTP/1.1, and the trailer
/// `x-upstream-trailer`; `/reset` gets half an answer.
pub struct UpstreamHttp2 {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl UpstreamHttp2 {
    pub fn echo(issued: &Issued) -> Self {
        Self::start(issued, usize::MAX)
    }

    /// The same, with a new connection for each request: GOAWAY follows the first.
    pub fn echo_once(issued: &Issued) -> Self {
        Self::start(issued, 1)
    }

    fn start(issued: &Issued, requests_on_a_connection: usize) -> Self {
        let config = issued.server_config(&["h2"]);
        let listener = runtime().block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = connections.clone();
        let accepting = runtime().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                let acceptor = TlsAcceptor::from(config.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                    let mut served = 0;
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        tokio::spawn(echo(request, respond));
                        served += 1;
                        if served == requests_on_a_connection {
                            connection.graceful_shutdown();
                        }
                    }
                });
            }
        });
        Self { address, connections, accepting }
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for UpstreamHttp2 {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A test sees what goes wrong here as an answer that isn't there.
async fn echo(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Option<()> {
    let (parts, mut stream) = request.into_parts();
    let mut text = format!("{} {} HTTP/2\r\n", parts.method, parts.uri.path_and_query()?);
    text.push_str(&format!(":authority: {}\r\n", parts.uri.authority()?));
    write_fields(&parts.headers, &mut text);
    text.push_str("\r\n");
    let mut text = text.into_bytes();
    while let Some(data) = stream.data().await {
        let data = data.ok()?;
        stream.flow_control().release_capacity(data.len()).ok()?;
        text.extend_from_slice(&data);
    }
    if let Some(trailers) = stream.trailers().await.ok()? {
        let mut trailer_text = String::new();
        write_fields(&trailers, &mut trailer_text);
        text.extend_from_slice(trailer_text.as_bytes());
    }
    let response = Response::builder().status(200).header("x-upstream", "http2").body(()).ok()?;
    let mut send = respond.send_response(response, false).ok()?;
    send.send_data(text.into(), false).ok()?;
    if parts.uri.path() == "/reset" {
        // Lets the half be sent first.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        send.send_reset(h2::Reason::INTERNAL_ERROR);
        return None;
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-upstream-trailer", "end".parse().ok()?);
    send.send_trailers(trailers).ok()
}

fn write_fields(fields: &HeaderMap, text: &mut String) {
    for (name, value) in fields {
        text.push_str(&format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes())));
    }
}
