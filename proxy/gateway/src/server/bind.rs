//! Binding: every socket and file that the gateway needs is opened, or taken over from the process
//! that this one replaces.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio_rustls::TlsAcceptor;
use tollgate_xdp::Listener as Listened;

use super::{Bound, Gateway, Inner, Parts};
use crate::access_log::{AccessLog, AccessLogFormat, FormatError};
use crate::config::{AccessLogDestination, GatewayConfig, ListenerConfig};
use crate::connection_limits::ConnectionLimits;
use crate::core::{Core, Drain};
use crate::metrics::Metrics;
use crate::publish::Publisher;
use crate::snapshot::Snapshot;
use crate::sources::Sources;
use crate::tls;
use crate::upgrade::{Inherited, Upgrade};
use crate::upstream::Upstreams;
use crate::upstream::balancer::Balancer;
use crate::usage::control::ControlSocket;
use crate::usage::{LedgerError, Registry, Writer};

/// Connections the kernel keeps for us before we accept them.
const BACKLOG: i32 = 4096;

/// Why the gateway can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("access log format: {0}")]
    AccessLogFormat(#[from] FormatError),
    #[error("cannot open access log {destination}: {source}")]
    AccessLog { destination: String, source: io::Error },
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("cannot start the thread that writes usage: {0}")]
    UsageWriter(io::Error),
    #[error("cannot start the thread that frees what is served no longer: {0}")]
    Reaper(io::Error),
    #[error("cannot listen on the control socket {path}: {source}")]
    ControlSocket { path: String, source: io::Error },
    #[error("cannot find the program's own path: {0}")]
    Program(io::Error),
}

impl Gateway {
    /// Binds all sockets, or takes them over from the process this one replaces. Nothing is
    /// accepted before [`Gateway::run`].
    pub fn bind(config: GatewayConfig) -> Result<Self, StartError> {
        let mut inherited = Inherited::from_environment();
        let mut listeners = Vec::new();
        for listener in config.listeners {
            let socket = listen(&mut inherited, listener.address)?;
            listeners.push((listener, socket));
        }
        let management = listen(&mut inherited, config.management)?;
        let mut companions = Vec::new();
        for address in config.companions {
            companions.push((address, listen(&mut inherited, address)?));
        }
        let bound = Bound {
            companions: companions
                .iter()
                .map(|(address, socket)| local(*address, socket))
                .collect(),
            listeners: listeners
                .iter()
                .map(|(config, socket)| local(config.address, socket))
                .collect(),
            management: local(config.management, &management),
        };
        let throttled = listeners.iter().map(throttled).collect();
        let sockets = listeners.iter().map(|(config, socket)| (config.address, socket));
        let sockets = sockets.chain([(config.management, &management)]);
        let sockets = sockets.chain(companions.iter().map(|(address, socket)| (*address, socket)));
        let sockets = sockets.map(|(address, socket)| Ok((address, socket.try_clone()?)));
        let upgrade = sockets.collect::<io::Result<_>>().and_then(Upgrade::new);

        let metrics = Metrics::new();
        for collector in config.collectors {
            metrics.register(collector);
        }
        let balancers: HashMap<String, Arc<Balancer>> = config
            .vpc_links
            .iter()
            .map(|(id, link)| (id.clone(), Balancer::new(id.clone(), link)))
            .collect();
        let (switch, drain) = Drain::new();
        let access_log = access_log(&config.access_log, &config.access_log_format)?;
        if let Some(log) = &access_log {
            metrics.report_dropped_lines(log.dropped_counter());
        }
        let usage = Arc::new(Registry::open(config.data_directory.as_deref())?);
        let usage_writer = Writer::start(usage.clone()).map_err(StartError::UsageWriter)?;
        let control = config.control_socket.as_deref().map(control_socket).transpose()?;
        let limits = config.limits;
        let parts = Parts {
            listeners,
            management,
            acceptor: TlsAcceptor::from(Arc::new(tls::server_config(config.certificates.clone()))),
            balancers: balancers.values().cloned().collect(),
            workers: config.workers.max(1),
            upgrade: upgrade.map_err(StartError::Program)?,
            inherited,
            control,
        };
        let core = Core {
            snapshot: ArcSwap::from_pointee(Snapshot::empty()),
            upstreams: Upstreams::new(balancers, config.upstream_ca_file, &limits),
            metrics,
            usage,
            access_log,
            connections: ConnectionLimits::new(limits.connections, limits.connections_per_address),
            sources: Sources::new(throttled, config.trusted_proxies),
            drain,
            limits,
        };
        let core = Arc::new(core);
        let inner = Inner {
            publisher: Mutex::new(Publisher::new(core.clone())?),
            companions: Mutex::new(companions.into_iter().map(|(_, socket)| socket).collect()),
            core,
            certificates: config.certificates,
            bound,
            published: Arc::default(),
            running: Arc::default(),
            switch,
            usage_writer,
            parts: Mutex::new(Some(parts)),
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

fn listen(inherited: &mut Inherited, address: SocketAddr) -> Result<TcpListener, StartError> {
    let mut bind = || -> io::Result<TcpListener> {
        if let Some(socket) = inherited.take(address) {
            socket.set_nonblocking(true)?;
            return Ok(socket);
        }
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    bind().map_err(|source| StartError::Listen { address, source })
}

fn control_socket(path: &std::path::Path) -> Result<ControlSocket, StartError> {
    ControlSocket::bind(path)
        .map_err(|source| StartError::ControlSocket { path: path.display().to_string(), source })
}

/// A listener as the source throttle knows it.
fn throttled((config, socket): &(ListenerConfig, TcpListener)) -> Listened {
    Listened {
        address: local(config.address, socket),
        is_ipv6_only: socket2::SockRef::from(socket).only_v6().unwrap_or(false),
    }
}

pub(super) fn local(configured: SocketAddr, socket: &TcpListener) -> SocketAddr {
    socket.local_addr().unwrap_or(configured)
}

fn access_log(
    destination: &AccessLogDestination,
    format: &str,
) -> Result<Option<AccessLog>, StartError> {
    let format = AccessLogFormat::parse(format)?;
    let name = match destination {
        AccessLogDestination::Off => return Ok(None),
        AccessLogDestination::Stdout => "-".to_owned(),
        AccessLogDestination::File(path) => path.display().to_string(),
    };
    AccessLog::open(destination, format)
        .map(Some)
        .map_err(|source| StartError::AccessLog { destination: name, source })
}
