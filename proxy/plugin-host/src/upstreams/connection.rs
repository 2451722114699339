//! One upstream and its connections.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use http::uri::{Authority, Scheme};
use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::outgoing::{Body, Outgoing};
use super::tls::Tls;
use super::{FetchError, failed};
use crate::config::{UpstreamConfig, UpstreamProtocol};
use crate::limits;

/// Where an upstream is, and the connections to it.
pub(super) struct Upstream {
    /// `host:port` as configured.
    pub(super) authority: Authority,
    host: String,
    port: u16,
    protocol: UpstreamProtocol,
    tls: Option<UpstreamTls>,
    idle: Mutex<Idle>,
    /// Requests share it. Locked while it is being made: those who need it wait for the same one.
    http2: tokio::sync::Mutex<Option<http2::SendRequest<Body>>>,
}

struct UpstreamTls {
    any: TlsConnector,
    http2: TlsConnector,
    name: ServerName<'static>,
}

/// HTTP/1.1 connections that nobody uses, the oldest first.
#[derive(Default)]
struct Idle {
    connections: Vec<(Instant, http1::SendRequest<Body>)>,
    /// A task closes those that get old.
    swept: bool,
}

/// A connection in use.
pub(super) enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Upstream {
    pub(super) fn new(config: &UpstreamConfig, tls: Option<&Tls>) -> Result<Self, String> {
        let address = &config.address;
        let wrong = || format!("the address {address:?} is none; allowed: host:port");
        let authority: Authority = address.parse().map_err(|_| wrong())?;
        let port = authority.port_u16().ok_or_else(wrong)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() || address.contains('@') {
            return Err(wrong());
        }
        let tls = match tls.filter(|_| config.tls) {
            None => None,
            Some(tls) => Some(UpstreamTls {
                any: tls.any.clone(),
                http2: tls.http2.clone(),
                name: ServerName::try_from(host.clone()).map_err(|_| wrong())?,
            }),
        };
        Ok(Self {
            authority,
            host,
            port,
            protocol: config.protocol,
            tls,
            idle: Mutex::default(),
            http2: tokio::sync::Mutex::default(),
        })
    }

    pub(super) fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP }
    }

    /// Sends a request and waits for the response's head. The connection has to be given to
    /// [`Self::keep`] when the body was read; dropped before, it is closed or its stream reset.
    pub(super) async fn request(
        &self,
        request: &Outgoing,
    ) -> Result<(Sender, Response<Incoming>), FetchError> {
        let (mut sender, kept) = self.sender().await?;
        match self.attempt(&mut sender, request).await {
            Ok(response) => return Ok((sender, response)),
            Err(error) => {
                let unsent = error.message().is_some();
                if !kept || !(unsent || request.is_idempotent() && is_broken(error.error())) {
                    return Err(failed(error.error()));
                }
            }
        }
        // The upstream has closed what was kept; the others are as old.
        self.idle.lock().connections.clear();
        drop(sender);
        let (mut sender, _) = self.sender().await?;
        match self.attempt(&mut sender, request).await {
            Ok(response) => Ok((sender, response)),
            Err(error) => Err(failed(error.error())),
        }
    }

    async fn attempt(
        &self,
        sender: &mut Sender,
        request: &Outgoing,
    ) -> Result<Response<Incoming>, TrySendError<Request<Body>>> {
        let scheme = self.scheme();
        match sender {
            Sender::Http1(sender) => {
                sender.try_send_request(request.request(Version::HTTP_11, &scheme)).await
            }
            Sender::Http2(sender) => {
                sender.try_send_request(request.request(Version::HTTP_2, &scheme)).await
            }
        }
    }

    /// A connection for a request, and whether it was used before.
    async fn sender(&self) -> Result<(Sender, bool), FetchError> {
        if self.protocol == UpstreamProtocol::Http2 {
            let (sender, kept) = self.http2().await?;
            return Ok((Sender::Http2(sender), kept));
        }
        if let Some(sender) = self.take_idle() {
            return Ok((Sender::Http1(sender), true));
        }
        let Some(tls) = &self.tls else {
            let sender = handshake_http1(self.connect().await?).await?;
            return Ok((Sender::Http1(sender), false));
        };
        if let Ok(known) = self.http2.try_lock()
            && let Some(sender) = known.as_ref().filter(|sender| !sender.is_closed())
        {
            return Ok((Sender::Http2(sender.clone()), true));
        }
        let stream = self.handshake_tls(&tls.any, &tls.name).await?;
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            let sender = handshake_http2(stream).await?;
            *self.http2.lock().await = Some(sender.clone());
            return Ok((Sender::Http2(sender), false));
        }
        Ok((Sender::Http1(handshake_http1(stream).await?), false))
    }

    /// The HTTP/2 connection, made if need be, and whether it was there before.
    pub(super) async fn http2(&self) -> Result<(http2::SendRequest<Body>, bool), FetchError> {
        let mut known = self.http2.lock().await;
        if let Some(sender) = known.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok((sender.clone(), true));
        }
        let sender = match &self.tls {
            None => handshake_http2(self.connect().await?).await?,
            Some(tls) => handshake_http2(self.handshake_tls(&tls.http2, &tls.name).await?).await?,
        };
        *known = Some(sender.clone());
        Ok((sender, false))
    }

    /// A request was not answered in time: perhaps the upstream has gone without a word, so the
    /// next makes a connection of its own. Those under way go on. No pings find that out, since
    /// gRPC servers close connections for them.
    pub(super) fn doubt_http2(&self) {
        if let Ok(mut known) = self.http2.try_lock() {
            *known = None;
        }
    }

    async fn connect(&self) -> Result<TcpStream, FetchError> {
        let stream = TcpStream::connect((&*self.host, self.port)).await;
        let stream = stream.map_err(|error| self.unreachable(&error))?;
        // Without it a small request waits for the acknowledgement of the one before.
        stream.set_nodelay(true).map_err(|error| self.unreachable(&error))?;
        Ok(stream)
    }

    fn unreachable(&self, error: &io::Error) -> FetchError {
        FetchError::Failed(format!("no connection to {}: {error}", self.authority))
    }

    async fn handshake_tls(
        &self,
        connector: &TlsConnector,
        name: &ServerName<'static>,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, FetchError> {
        let stream = connector.connect(name.clone(), self.connect().await?).await;
        stream.map_err(|error| {
            FetchError::Failed(format!("TLS handshake with {} failed: {error}", self.authority))
        })
    }

    fn take_idle(&self) -> Option<http1::SendRequest<Body>> {
        let mut idle = self.idle.lock();
        idle.drop_old();
        while let Some((_, sender)) = idle.connections.pop() {
            if sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    /// Keeps a connection whose response was read for later requests.
    pub(super) fn keep(self: &Arc<Self>, sender: Sender) {
        let Sender::Http1(mut sender) = sender else { return };
        let upstream = self.clone();
        // The connection's task has yet to see that the response is over, or that it is closed.
        tokio::spawn(async move {
            if sender.ready().await.is_ok() {
                upstream.put_idle(sender);
            }
        });
    }

    fn put_idle(self: &Arc<Self>, sender: http1::SendRequest<Body>) {
        let mut idle = self.idle.lock();
        idle.drop_old();
        if idle.connections.len() == limits::IDLE_CONNECTIONS {
            idle.connections.remove(0);
        }
        idle.connections.push((Instant::now(), sender));
        if idle.swept {
            return;
        }
        idle.swept = true;
        let upstream = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(limits::IDLE / 2).await;
                let Some(upstream) = upstream.upgrade() else { return };
                let mut idle = upstream.idle.lock();
                idle.drop_old();
                if idle.connections.is_empty() {
                    idle.swept = false;
                    return;
                }
            }
        });
    }
}

impl Idle {
    fn drop_old(&mut self) {
        self.connections
            .retain(|(since, sender)| since.elapsed() < limits::IDLE && !sender.is_closed());
    }
}

/// Whether the connection ended before there was a response.
fn is_broken(error: &hyper::Error) -> bool {
    let broken = |error: &io::Error| {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
    };
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if cause.downcast_ref().is_some_and(broken) {
            return true;
        }
        source = cause.source();
    }
    error.is_incomplete_message() || error.is_canceled() || error.is_closed()
}

async fn handshake_http1<S>(stream: S) -> Result<http1::SendRequest<Body>, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(limits::HEADERS)
        .max_headers(limits::HEADER_COUNT)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failed(&error))?;
    // Ends when the sender is dropped, or the upstream closes. Errors reach the request as well.
    tokio::spawn(connection);
    Ok(sender)
}

async fn handshake_http2<S>(stream: S) -> Result<http2::SendRequest<Body>, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .max_header_list_size(limits::HEADERS as u32)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failed(&error))?;
    tokio::spawn(connection);
    Ok(sender)
}
