//! Upstreams: where integrations live, the connections to them, and which of several
//! addresses is tried.
//!
//! Connections are made by pingora's `TransportConnector` (TCP, TLS, verification, ALPN) and
//! kept for reuse by the worker that made them ([`pool`]): a worker never waits for another's
//! lock, and an idle connection costs no task.

pub mod balancer;
pub mod pool;
pub mod transaction;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pingora_core::connectors::{ConnectorOptions, TransportConnector};
use pingora_core::protocols::{ALPN, Stream};
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{ErrorType, OrErr};
use tollgate_model::compile::{Scheme, UpstreamConnection, UpstreamTarget};

use balancer::Balancer;

use crate::limits::Limits;

/// How long an answer of the name service is used for new connections. Short enough to follow a
/// changed record, long enough not to ask for each connection.
const RESOLUTION_TIME_TO_LIVE: Duration = Duration::from_secs(10);

/// One place an integration can send requests to.
pub struct Upstream {
    /// Unique in this process: what a worker's pool knows it by.
    pub id: u32,
    target: UpstreamTarget,
    addresses: Addresses,
}

enum Addresses {
    Name(Mutex<Option<Resolved>>),
    VpcLink(Arc<Balancer>),
    /// The definition names a VPC link that is not configured.
    UnknownVpcLink(String),
}

struct Resolved {
    at: Instant,
    addresses: Arc<[SocketAddr]>,
}

/// Why there is no connection to an upstream.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("cannot resolve {host}: {source}")]
    Resolve { host: String, source: io::Error },
    #[error("VPC link {0} is not configured")]
    UnknownVpcLink(String),
    #[error("no connection within the time allowed")]
    TimedOut,
    #[error("TLS handshake failed: {0}")]
    Tls(Box<pingora_core::Error>),
    #[error("connection failed: {0}")]
    Failed(Box<pingora_core::Error>),
}

/// All upstreams of the gateway, shared by successive snapshots so that connections outlive a
/// deployment.
pub struct Upstreams {
    known: Mutex<HashMap<UpstreamTarget, Arc<Upstream>>>,
    vpc_links: HashMap<String, Arc<Balancer>>,
    next_id: AtomicU32,
    ca_file: Option<PathBuf>,
    /// Made at the first connection: reading the system's certificates takes milliseconds.
    connector: OnceLock<TransportConnector>,
    connect_timeout: Duration,
    idle_timeout: Duration,
}

/// The id of upstreams that no pool knows.
const TRANSIENT: u32 = u32::MAX;

impl Upstreams {
    pub fn new(
        vpc_links: HashMap<String, Arc<Balancer>>,
        ca_file: Option<PathBuf>,
        limits: &Limits,
    ) -> Self {
        Self {
            known: Mutex::default(),
            vpc_links,
            next_id: AtomicU32::new(0),
            ca_file,
            connector: OnceLock::new(),
            connect_timeout: limits.connect_timeout,
            idle_timeout: limits.upstream_idle_timeout,
        }
    }

    /// The upstream for a target, the same for equal targets.
    pub fn intern(&self, target: &UpstreamTarget) -> Arc<Upstream> {
        let mut known = self.known.lock();
        if let Some(upstream) = known.get(target) {
            return upstream.clone();
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let upstream = Arc::new(self.create(target, id));
        known.insert(target.clone(), upstream.clone());
        upstream
    }

    /// Forgets upstreams that no snapshot refers to any more.
    pub fn forget_unused(&self) {
        let mut known = self.known.lock();
        known.retain(|_, upstream| Arc::strong_count(upstream) > 1);
        let enough = 2 * known.len();
        known.shrink_to(enough);
    }

    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.known.lock().len()
    }

    /// An upstream for one request, whose authority came from the request itself: it is not
    /// remembered and its connections are not pooled, so that requests can't fill memory.
    pub fn transient(&self, target: &UpstreamTarget) -> Arc<Upstream> {
        Arc::new(self.create(target, TRANSIENT))
    }

    fn create(&self, target: &UpstreamTarget, id: u32) -> Upstream {
        let addresses = match &target.connection {
            UpstreamConnection::Internet => Addresses::Name(Mutex::new(None)),
            UpstreamConnection::VpcLink(id) => match self.vpc_links.get(id) {
                Some(balancer) => Addresses::VpcLink(balancer.clone()),
                None => Addresses::UnknownVpcLink(id.clone()),
            },
        };
        Upstream { id, target: target.clone(), addresses }
    }

    /// Opens a connection. Dropping the future closes what it has opened so far.
    pub async fn connect(&self, upstream: &Upstream) -> Result<Stream, ConnectError> {
        let connect = self.connect_to_any(upstream);
        match tokio::time::timeout(self.connect_timeout, connect).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError::TimedOut),
        }
    }

    async fn connect_to_any(&self, upstream: &Upstream) -> Result<Stream, ConnectError> {
        let candidates = upstream.candidates().await?;
        let mut failure = ConnectError::TimedOut;
        for address in candidates.iter() {
            match self.connect_to(upstream, *address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    upstream.report_failure(*address);
                    failure = error;
                }
            }
        }
        Err(failure)
    }

    async fn connect_to(
        &self,
        upstream: &Upstream,
        address: SocketAddr,
    ) -> Result<Stream, ConnectError> {
        let target = &upstream.target;
        let tls = target.scheme == Scheme::Https;
        let mut peer = HttpPeer::new(address, tls, target.host.clone());
        if tls {
            peer.options.alpn = ALPN::H2H1;
            if target.insecure_skip_verification {
                peer.options.verify_cert = false;
                peer.options.verify_hostname = false;
            }
        }
        // Apart: few exchanges connect, and the state of it is some 8 KB.
        let connected = Box::pin(self.connector().new_stream(&peer)).await;
        connected.map_err(|error| match error.etype() {
            ErrorType::ConnectTimedout => ConnectError::TimedOut,
            ErrorType::TLSHandshakeFailure
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::InvalidCert => ConnectError::Tls(error),
            _ => ConnectError::Failed(error),
        })
    }

    fn connector(&self) -> &TransportConnector {
        self.connector.get_or_init(|| {
            // The pool is ours, so pingora's own stays empty.
            let mut options = ConnectorOptions::new(0);
            options.ca_file = self.ca_file.as_ref().map(|file| file.display().to_string());
            TransportConnector::new(Some(options))
        })
    }
}

impl Upstream {
    /// Made for one request: there is no pool for its connections.
    pub fn is_transient(&self) -> bool {
        self.id == TRANSIENT
    }

    /// The addresses to try, in order: those that are up, the next in turn first.
    async fn candidates(&self) -> Result<Arc<[SocketAddr]>, ConnectError> {
        match &self.addresses {
            Addresses::VpcLink(balancer) => balancer.candidates().await,
            Addresses::UnknownVpcLink(id) => Err(ConnectError::UnknownVpcLink(id.clone())),
            Addresses::Name(resolved) => {
                if let Some(resolved) = &*resolved.lock()
                    && resolved.at.elapsed() < RESOLUTION_TIME_TO_LIVE
                {
                    return Ok(resolved.addresses.clone());
                }
                let addresses = resolve(&self.target.host, self.target.port).await?;
                *resolved.lock() =
                    Some(Resolved { at: Instant::now(), addresses: addresses.clone() });
                Ok(addresses)
            }
        }
    }

    fn report_failure(&self, address: SocketAddr) {
        if let Addresses::VpcLink(balancer) = &self.addresses {
            balancer.report_failure(address);
        }
    }
}

async fn resolve(host: &str, port: u16) -> Result<Arc<[SocketAddr]>, ConnectError> {
    // IPv6 addresses are bracketed in URIs and bare for the resolver.
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let failed = |source| ConnectError::Resolve { host: host.to_owned(), source };
    let addresses: Vec<SocketAddr> =
        tokio::net::lookup_host((bare, port)).await.map_err(failed)?.collect();
    if addresses.is_empty() {
        return Err(failed(io::Error::other("the name has no address")));
    }
    Ok(addresses.into())
}

/// A TCP connection that is opened and closed again, as a health check does.
pub(crate) async fn probe(address: SocketAddr, timeout: Duration) -> pingora_core::Result<()> {
    let connect = tokio::net::TcpStream::connect(address);
    tokio::time::timeout(timeout, connect)
        .await
        .or_err(ErrorType::ConnectTimedout, "health check")?
        .or_err(ErrorType::ConnectError, "health check")?;
    Ok(())
}
