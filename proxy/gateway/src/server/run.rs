//! Running: Pingora's `Server` runs the worker threads, each with a runtime of its own and no work
//! stealing between them.

use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{ListenFds, RunArgs, Server, ShutdownWatch};
use pingora_core::services::Service;

use super::Gateway;
use super::listener::DataPlane;
use super::signals::Signals;
use crate::management::Management;
use crate::upstream::balancer::Balancer;
use crate::usage::Registry;
use crate::usage::control::ControlSocket;

impl Gateway {
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
