//! The gateway's life: bind, serve, reload, upgrade, drain.
//!
//! Pingora's `Server` runs the worker threads, each with a runtime of its own and no work
//! stealing between them. The accept loops are ours, because the chosen ports, the limits on
//! connections and the handshake's deadline are needed before a connection has a session.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use parking_lot::Mutex;
use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{
    ListenFds, RunArgs, Server, ShutdownSignal, ShutdownSignalWatch, ShutdownWatch,
};
use pingora_core::services::Service;
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;

use tollgate_model::api::ApiId;
use tollgate_model::compile::CompiledStage;
use tollgate_xdp::{Listener as Listened, Network, Settings};

use crate::access_log::{AccessLog, AccessLogFormat, FormatError};
use crate::config::{AccessLogDestination, GatewayConfig, ListenerConfig};
use crate::connection_limits::{ConnectionLimits, ConnectionPermit, Refused};
use crate::core::{Core, Drain, DrainSwitch};
use crate::exchange::{Client, TlsDetails};
use crate::management::Management;
use crate::metrics::{ConnectionRefusal, HandshakeResult, ListenerProtocol, Metrics, ReloadResult};
use crate::publish::{PublishError, Publisher, Routes, Update};
use crate::snapshot::Snapshot;
use crate::sources::Sources;
use crate::test_invoke::{self, TestInvocation, TestInvocationError, TestInvocationResult};
use crate::upgrade::{Inherited, Upgrade};
use crate::upstream::Upstreams;
use crate::upstream::balancer::Balancer;
use crate::usage::control::ControlSocket;
use crate::usage::{
    ApiKeyId, LedgerError, Registry, ReportError, UsagePlanId, UsageQuery, UsageReport, Writer,
};
use crate::{http1, http2, tls};

/// Connections the kernel keeps for us before we accept them.
const BACKLOG: i32 = 4096;
/// How often a drain looks whether all connections are gone.
const DRAIN_POLL: Duration = Duration::from_millis(20);

/// A gateway whose sockets are bound. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

struct Inner {
    core: Arc<Core>,
    bound: Bound,
    published: Arc<AtomicBool>,
    /// Signals are handled: before, one would end the process.
    running: Arc<AtomicBool>,
    switch: DrainSwitch,
    usage_writer: Writer,
    publisher: Mutex<Publisher>,
    /// Taken by [`Gateway::take_companions`].
    companions: Mutex<Vec<TcpListener>>,
    /// Taken by [`Gateway::run`].
    parts: Mutex<Option<Parts>>,
}

struct Parts {
    listeners: Vec<(ListenerConfig, TcpListener)>,
    management: TcpListener,
    acceptor: TlsAcceptor,
    balancers: Vec<Arc<Balancer>>,
    workers: usize,
    upgrade: Upgrade,
    inherited: Inherited,
    control: Option<ControlSocket>,
}

/// The addresses in use.
#[derive(Clone, Debug)]
pub struct Bound {
    /// In the order of [`GatewayConfig::listeners`].
    pub listeners: Vec<SocketAddr>,
    pub management: SocketAddr,
    /// In the order of [`GatewayConfig::companions`].
    pub companions: Vec<SocketAddr>,
}

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
            acceptor: TlsAcceptor::from(Arc::new(tls::server_config(config.certificates))),
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
            bound,
            published: Arc::default(),
            running: Arc::default(),
            switch,
            usage_writer,
            parts: Mutex::new(Some(parts)),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub fn bound(&self) -> &Bound {
        &self.inner.bound
    }

    /// The listening sockets of [`GatewayConfig::companions`], for whoever serves them; nothing the
    /// second time.
    pub fn take_companions(&self) -> Vec<TcpListener> {
        std::mem::take(&mut self.inner.companions.lock())
    }

    /// Resolves when the gateway begins to drain.
    pub fn draining(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut drain = self.inner.core.drain.clone();
        async move { drain.started().await }
    }

    /// Serves `routes` and nothing else from now on. Requests under way keep what they started
    /// with. On an error everything stays as it was. Takes as long as there are stages and keys;
    /// waits for another publication to end.
    pub fn publish(&self, routes: Routes) -> Result<(), PublishError> {
        self.published(self.inner.publisher.lock().publish(routes))
    }

    /// Changes what is served, as [`Self::publish`] does, in the time that the stages it names
    /// take.
    pub fn update(&self, update: Update) -> Result<(), PublishError> {
        self.published(self.inner.publisher.lock().update(update))
    }

    fn published(&self, result: Result<(), PublishError>) -> Result<(), PublishError> {
        self.inner.core.metrics.reload(match &result {
            Ok(()) => ReloadResult::Applied,
            Err(_) => ReloadResult::Rejected,
        });
        result?;
        self.inner.published.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Has the authorizers of a stage decide again about every caller: FlushStageAuthorizersCache.
    /// A stage that isn't served has nothing to forget.
    pub fn invalidate_authorizer_cache(&self, api_id: &ApiId, stage: &str) {
        self.inner.publisher.lock().forget_decisions(api_id, stage);
    }

    /// What the keys of a usage plan have used: GetUsage. Reads and writes a file.
    pub fn usage(&self, query: UsageQuery) -> Result<UsageReport, ReportError> {
        self.inner.core.usage.usage(query)
    }

    /// Lets a key make `remaining` more requests until the period of its plan's quota ends:
    /// UpdateUsage. Gives what it has used today. Writes a file.
    pub fn grant_usage(
        &self,
        plan: UsagePlanId,
        key: ApiKeyId,
        remaining: u64,
    ) -> Result<UsageReport, ReportError> {
        self.inner.core.usage.grant(plan, key, remaining)
    }

    /// Throttles sources from now on, in the kernel if that can be. To be called once, before
    /// [`Gateway::run`], and as the last thing that can fail: what another process throttles is
    /// taken over. `settings.listeners` are the gateway's own. [`Gateway::run`] removes it.
    pub fn throttle_sources(&self, settings: Settings) -> Result<(), tollgate_xdp::StartError> {
        self.inner.core.sources.start(settings, &self.inner.core.metrics)
    }

    /// Where sources are throttled; none if they aren't.
    pub fn source_throttle(&self) -> Option<tollgate_xdp::Status> {
        self.inner.core.sources.status()
    }

    /// Other limits and lists for [`Gateway::throttle_sources`], which must have been called.
    pub fn reconfigure_source_throttle(&self, settings: Settings) {
        self.inner.core.sources.reconfigure(settings);
    }

    /// Believes the `X-Forwarded-For` of other proxies, from the next connection on.
    pub fn trust_proxies(&self, proxies: Vec<Network>) {
        self.inner.core.sources.trust(proxies);
    }

    /// Tests the method with index `method` of `stage`, which is compiled for this call and need
    /// not be published: `test-invoke-method`. Runs on the caller's tokio runtime.
    pub async fn test_invoke(
        &self,
        stage: CompiledStage,
        method: usize,
        invocation: TestInvocation<'_>,
    ) -> Result<TestInvocationResult, TestInvocationError> {
        test_invoke::test_invoke(&self.inner.core, stage, method, invocation).await
    }

    /// Counts a reload that failed before it came to [`Gateway::publish`].
    pub fn reload_rejected(&self) {
        self.inner.core.metrics.reload(ReloadResult::Rejected);
    }

    /// Opens the access log's file again, as log rotation wants it.
    pub fn reopen_access_log(&self) {
        if let Some(log) = &self.inner.core.access_log {
            log.reopen();
        }
    }

    /// Serves until told to stop: SIGTERM drains, SIGINT stops at once, SIGHUP calls `reload`
    /// and opens the access log again, SIGUSR2 upgrades the binary. `started` is called once
    /// connections are accepted.
    ///
    /// # Panics
    ///
    /// If called twice on the same gateway.
    pub fn run(
        &self,
        started: impl FnOnce() + Send + 'static,
        reload: impl Fn() + Send + Sync + 'static,
    ) -> ExitCode {
        let parts = self.inner.parts.lock().take().expect("a gateway runs once");
        raise_file_limit(self.inner.core.limits.connections);
        let configuration = ServerConf {
            threads: parts.workers,
            work_stealing: false,
            grace_period_seconds: Some(0),
            graceful_shutdown_timeout_seconds: Some(1),
            ..ServerConf::default()
        };
        let mut server = Server::new_with_opt_and_conf(None, configuration);
        let core = self.inner.core.clone();
        server.add_service(DataPlane {
            core: core.clone(),
            acceptor: parts.acceptor,
            listeners: Some(parts.listeners),
        });
        let management = Management {
            core: core.clone(),
            published: self.inner.published.clone(),
            running: self.inner.running.clone(),
        };
        server.add_service(ManagementService {
            management: Arc::new(management),
            listener: Some(parts.management),
            balancers: parts.balancers,
            control: parts.control.map(|socket| (socket, core.usage.clone())),
        });
        let signals = Signals {
            gateway: self.clone(),
            upgrade: Arc::new(parts.upgrade),
            reload: Arc::new(reload),
            started: Mutex::new(Some((parts.inherited, Box::new(started)))),
        };
        server.run(RunArgs { shutdown_signal: Box::new(signals) });
        core.sources.stop();
        self.inner.usage_writer.stop();
        if let Some(log) = &core.access_log {
            log.close();
        }
        ExitCode::SUCCESS
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

/// Lifts the soft limit on open files to the hard one. Shells and service managers set the soft
/// one to 1,024 for programs that use `select`; here each connection needs up to two.
fn raise_file_limit(connections: u32) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a local that lives through the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: as above; the kernel only reads.
    let raised = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } == 0;
    if !raised || limit.rlim_max < u64::from(connections) * 2 {
        tracing::info!(
            open_files = limit.rlim_max,
            connections,
            "the limit on open files is below two for each connection allowed"
        );
    }
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

fn local(configured: SocketAddr, socket: &TcpListener) -> SocketAddr {
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

/// Accepts and serves client connections.
struct DataPlane {
    core: Arc<Core>,
    acceptor: TlsAcceptor,
    listeners: Option<Vec<(ListenerConfig, TcpListener)>>,
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

/// Health checks, metrics and the watch over VPC links' targets, on a thread of their own.
struct ManagementService {
    management: Arc<Management>,
    listener: Option<TcpListener>,
    balancers: Vec<Arc<Balancer>>,
    control: Option<(ControlSocket, Arc<Registry>)>,
}

#[async_trait]
impl Service for ManagementService {
    async fn start_service(&mut self, _: Option<ListenFds>, _: ShutdownWatch, _: usize) {
        for balancer in self.balancers.drain(..) {
            tokio::spawn(balancer.run());
        }
        if let Some((socket, usage)) = self.control.take() {
            tracing::info!(path = %socket.path().display(), "control socket");
            tokio::spawn(socket.serve(usage));
        }
        let Some(listener) = self.listener.take() else { return };
        match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => self.management.clone().serve(listener).await,
            Err(error) => tracing::error!(%error, "cannot serve the management address"),
        }
    }

    fn name(&self) -> &str {
        "management"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}

type Started = (Inherited, Box<dyn FnOnce() + Send>);

/// Turns signals into reloads, upgrades and the end.
struct Signals {
    gateway: Gateway,
    upgrade: Arc<Upgrade>,
    reload: Arc<dyn Fn() + Send + Sync>,
    started: Mutex<Option<Started>>,
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        if let Err(error) = self.watch().await {
            tracing::error!(%error, "cannot watch signals");
        }
        ShutdownSignal::FastShutdown
    }
}

impl Signals {
    /// Returns when the process is to end.
    async fn watch(&self) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let mut upgrade = signal(SignalKind::user_defined2())?;
        // Only now: a signal before would have ended the process.
        self.gateway.inner.running.store(true, Ordering::Relaxed);
        if let Some((mut inherited, started)) = self.started.lock().take() {
            inherited.ready();
            started();
        }
        loop {
            tokio::select! {
                _ = terminate.recv() => {
                    tokio::select! {
                        () = self.drain() => {}
                        _ = interrupt.recv() => {}
                    }
                    return Ok(());
                }
                _ = interrupt.recv() => return Ok(()),
                _ = hangup.recv() => {
                    self.gateway.reopen_access_log();
                    let reload = self.reload.clone();
                    let _ = tokio::task::spawn_blocking(move || reload()).await;
                }
                _ = upgrade.recv() => {
                    if self.upgrade().await {
                        self.drain().await;
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn upgrade(&self) -> bool {
        tracing::info!("upgrade: starting the new process");
        let upgrade = self.upgrade.clone();
        match tokio::task::spawn_blocking(move || upgrade.run()).await {
            Ok(Ok(process)) => {
                tracing::info!(process, "upgrade: the new process serves, this one drains");
                true
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "upgrade failed, this process goes on");
                false
            }
            Err(error) => {
                tracing::error!(%error, "upgrade failed, this process goes on");
                false
            }
        }
    }

    /// Stops accepting and waits for connections to finish what they have begun.
    async fn drain(&self) {
        let core = &self.gateway.inner.core;
        tracing::info!(connections = core.connections.open(), "draining");
        self.gateway.inner.switch.start();
        self.upgrade.release();
        let deadline = tokio::time::Instant::now() + core.limits.drain_timeout;
        // The accept loops empty their queues first.
        tokio::time::sleep(DRAIN_POLL).await;
        while core.connections.open() > 0 {
            if tokio::time::Instant::now() >= deadline {
                tracing::warn!(connections = core.connections.open(), "drain timed out");
                return;
            }
            tokio::time::sleep(DRAIN_POLL).await;
        }
    }
}
