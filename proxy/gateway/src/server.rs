//! The gateway's life: bind, serve, reload, upgrade, drain.
//!
//! ```text
//!  Gateway::bind ─▶ publish, update, … ─▶ Gateway::run ─┬─ listener: accept, TLS, connections
//!     bind.rs              here              run.rs     ├─ health, metrics, control socket
//!                                                       └─ signals: reload, upgrade, drain
//! ```

mod bind;
mod listener;
mod run;
mod signals;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio_rustls::TlsAcceptor;
use tollgate_model::api::ApiId;
use tollgate_model::compile::CompiledStage;
use tollgate_xdp::{Network, Settings};

use crate::config::ListenerConfig;
use crate::core::{Core, DrainSwitch};
use crate::metrics::ReloadResult;
use crate::publish::{PublishError, Publisher, Routes, Update};
use crate::test_invoke::{
    self, AuthorizerInvocation, AuthorizerInvocationResult, TestInvocation, TestInvocationError,
    TestInvocationResult,
};
use crate::tls::{CertificatePem, Certificates};
use crate::upgrade::{Inherited, Upgrade};
use crate::upstream::balancer::Balancer;
use crate::usage::control::ControlSocket;
use crate::usage::{ApiKeyId, ReportError, UsagePlanId, UsageQuery, UsageReport, Writer};

pub use bind::StartError;

/// A gateway whose sockets are bound. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

struct Inner {
    core: Arc<Core>,
    certificates: Arc<Certificates>,
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
    /// In the order of [`crate::config::GatewayConfig::listeners`].
    pub listeners: Vec<SocketAddr>,
    pub management: SocketAddr,
    /// In the order of [`crate::config::GatewayConfig::companions`].
    pub companions: Vec<SocketAddr>,
}

impl Gateway {
    pub fn bound(&self) -> &Bound {
        &self.inner.bound
    }

    /// The listening sockets of [`crate::config::GatewayConfig::companions`], for whoever
    /// serves them; nothing the second time.
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

    /// Serves custom domain names with these certificates and no others beside those of files, as
    /// [`Certificates::load_domains`] does.
    pub fn load_domain_certificates(&self, certificates: &[CertificatePem]) {
        self.inner.certificates.load_domains(certificates);
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

    /// Asks an authorizer of `stage`, which is compiled for this call and need not be published,
    /// about a request that nobody sent: `test-invoke-authorizer`. The plugins are those of the
    /// last publication. Runs on the caller's tokio runtime.
    pub async fn test_invoke_authorizer(
        &self,
        stage: CompiledStage,
        invocation: AuthorizerInvocation<'_>,
    ) -> Result<AuthorizerInvocationResult, TestInvocationError> {
        let plugins = self.inner.publisher.lock().plugins();
        test_invoke::test_invoke_authorizer(&self.inner.core, stage, &plugins, invocation).await
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
}
