//! The accept loops, and what becomes of a connection.
//!
//! They are ours and not Pingora's, because the chosen ports, the limits on connections and the
//! handshake's deadline are needed before a connection has a session.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_core::services::Service;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::bind::local;
use crate::config::ListenerConfig;
use crate::connection_limits::{ConnectionPermit, Refused};
use crate::core::Core;
use crate::exchange::{Client, TlsDetails};
use crate::metrics::{ConnectionRefusal, HandshakeResult, ListenerProtocol};
use crate::{http1, http2};

/// Accepts and serves client connections.
pub(super) struct DataPlane {
    pub core: Arc<Core>,
    pub acceptor: TlsAcceptor,
    pub listeners: Option<Vec<(ListenerConfig, TcpListener)>>,
}

#[async_trait]
impl Service for DataPlane {
    async fn start_service(&mut self, _: Option<ListenFds>, _: ShutdownWatch, _: usize) {
        let mut accepting = Vec::new();
        for (config, socket) in self.listeners.take().unwrap_or_default() {
            let listener = Listener {
                port: local(config.address, &socket).port(),
                core: self.core.clone(),
                acceptor: config.tls.then(|| self.acceptor.clone()),
                config,
            };
            let listener = Arc::new(listener);
            accepting.push(pingora_runtime::current_handle().spawn(listener.accept(socket)));
        }
        for task in accepting {
            let _ = task.await;
        }
    }

    fn name(&self) -> &str {
        "tollgate"
    }
}

struct Listener {
    core: Arc<Core>,
    config: ListenerConfig,
    port: u16,
    acceptor: Option<TlsAcceptor>,
}

impl Listener {
    async fn accept(self: Arc<Self>, socket: TcpListener) {
        let socket = match tokio::net::TcpListener::from_std(socket) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::error!(address = %self.config.address, %error, "cannot listen");
                return;
            }
        };
        let mut drain = self.core.drain.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                accepted = socket.accept() => accepted,
                // Checked second: what waits in the queue is served before the socket closes.
                () = drain.started() => return,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(error) => {
                    // Out of file descriptors or memory: accepting again at once would spin.
                    tracing::warn!(address = %self.config.address, %error, "accept failed");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn admit(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        if !self.core.sources.admit(peer.ip()) {
            return self.core.metrics.connection_refused(ConnectionRefusal::Source);
        }
        let permit = match self.core.connections.admit(peer.ip()) {
            Ok(permit) => permit,
            Err(refused) => {
                self.core.metrics.connection_refused(match refused {
                    Refused::Total => ConnectionRefusal::Total,
                    Refused::Address => ConnectionRefusal::Address,
                });
                return;
            }
        };
        let _ = stream.set_nodelay(true);
        // The socket has to change reactors, from that of the accepting worker to that of the
        // one which serves it. Else each event would wake another thread, and a worker could not
        // know what its own idle upstream connections have received.
        let stream = match stream.into_std() {
            Ok(stream) => stream,
            Err(error) => return tracing::warn!(%error, "cannot serve a connection"),
        };
        let listener = self.clone();
        pingora_runtime::current_handle().spawn(async move {
            match TcpStream::from_std(stream) {
                Ok(stream) => listener.serve(stream, peer, permit).await,
                Err(error) => tracing::warn!(%error, "cannot serve a connection"),
            }
        });
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, permit: ConnectionPermit) {
        let metrics = &self.core.metrics;
        match &self.acceptor {
            None => {
                let _open = metrics.connection_opened(ListenerProtocol::Http);
                let client = self.client(peer, &stream, None);
                http1::serve(self.core.clone(), client, stream).await;
            }
            Some(acceptor) => {
                let Some(stream) = self.handshake(acceptor, stream, peer).await else { return };
                let _open = metrics.connection_opened(ListenerProtocol::Https);
                let session = stream.get_ref().1;
                let http2 = session.alpn_protocol() == Some(b"h2");
                let client = self.client(peer, stream.get_ref().0, Some(tls_details(session)));
                if http2 {
                    http2::serve(self.core.clone(), client, stream).await;
                } else {
                    http1::serve(self.core.clone(), client, stream).await;
                }
            }
        }
        drop(permit);
    }

    async fn handshake(
        &self,
        acceptor: &TlsAcceptor,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
        let limit = self.core.limits.tls_handshake_timeout;
        let metrics = &self.core.metrics;
        match tokio::time::timeout(limit, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                let resumed =
                    stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
                metrics.tls_handshake(match resumed {
                    true => HandshakeResult::Resumed,
                    false => HandshakeResult::Full,
                });
                Some(stream)
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "TLS handshake failed");
                metrics.tls_handshake(HandshakeResult::Failed);
                self.core.sources.handshake_failed(peer.ip());
                None
            }
            Err(_) => {
                metrics.tls_handshake(HandshakeResult::TimedOut);
                self.core.sources.handshake_failed(peer.ip());
                None
            }
        }
    }

    fn client(&self, peer: SocketAddr, stream: &TcpStream, tls: Option<TlsDetails>) -> Arc<Client> {
        Arc::new(Client {
            source_ip: peer.ip().to_canonical().to_string(),
            addresses: stream.local_addr().ok().map(|local| (peer, local)),
            listener_port: self.port,
            visibility: self.config.visibility.clone(),
            tls,
            forwarding: self.core.sources.forwarding(peer.ip()),
            penalised: AtomicBool::new(false),
            given_context: BTreeMap::new(),
        })
    }
}

fn tls_details(session: &rustls::ServerConnection) -> TlsDetails {
    TlsDetails {
        version: match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        },
        cipher_suite: session
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str())
            .unwrap_or("unknown"),
        server_name: session.server_name().map(Into::into),
    }
}
