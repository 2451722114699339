//! What all connections share.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::time::{Duration, Instant};
use tollgate_model::compile::PathParameters;

use crate::access_log::AccessLog;
use crate::connection_limits::ConnectionLimits;
use crate::deadline::{Deadline, Elapsed};
use crate::exchange::{Exchange, ExchangeView};
use crate::head::RequestHead;
use crate::limits::Limits;
use crate::metrics::{Metrics, ThrottleLevel};
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;
use crate::sources::Sources;
use crate::upstream::Upstreams;
use crate::usage::Registry;

/// While draining, an idle connection may still bring one request for so long: a client that
/// is just sending one must not meet a closed connection.
const IDLE_GRACE: Duration = Duration::from_secs(2);

/// The running gateway, as connections see it.
pub struct Core {
    pub limits: Limits,
    pub snapshot: ArcSwap<Snapshot>,
    pub upstreams: Upstreams,
    pub metrics: Arc<Metrics>,
    pub usage: Arc<Registry>,
    /// `None` is off.
    pub access_log: Option<AccessLog>,
    pub connections: Arc<ConnectionLimits>,
    pub sources: Sources,
    pub drain: Drain,
}

impl Core {
    /// Accounts for an exchange that has ended: metrics and access log of its stage, and what its
    /// transformers do at the end.
    pub fn record(&self, head: &RequestHead, exchange: &mut Exchange) {
        let transformation = exchange.transformation.take();
        self.account(head, exchange);
        if let Some(transforming) = transformation {
            transforming.transformation.finish();
        }
        // A connection that waits for its next request holds nothing that is served no longer.
        exchange.stage = None;
    }

    fn account(&self, head: &RequestHead, exchange: &Exchange) {
        let Some(stage) = &exchange.stage else { return };
        let latency = exchange.started.elapsed();
        stage.metrics.record(exchange.status, latency, exchange.integration_latency);
        if let Some(Refusal::Throttled(throttled)) = &exchange.refusal {
            self.metrics.request_throttled(throttled.level);
            if throttled.level == ThrottleLevel::Account {
                self.usage.account_refused(exchange.started_at, throttled.throttle);
            }
        }
        if let Some(log) = &self.access_log {
            let path_parameters = &PathParameters::default();
            log.line(&ExchangeView { exchange, head, path_parameters, body: &[] });
        }
    }
}

/// Tells connections that the gateway is about to stop.
#[derive(Clone)]
pub struct Drain {
    draining: Arc<AtomicBool>,
    changed: watch::Receiver<()>,
}

/// Starts the drain.
pub struct DrainSwitch {
    draining: Arc<AtomicBool>,
    changed: watch::Sender<()>,
}

impl Drain {
    pub fn new() -> (DrainSwitch, Self) {
        let draining = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = watch::channel(());
        let switch = DrainSwitch { draining: draining.clone(), changed: sender };
        (switch, Self { draining, changed: receiver })
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Resolves when the drain starts, at once if it has. Cancel safe.
    pub async fn started(&mut self) {
        while !self.is_draining() {
            if self.changed.changed().await.is_err() {
                // The switch is gone, so nobody can start a drain.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits for `future` on an idle connection: until the deadline, or for a little while once
    /// the gateway drains.
    pub async fn idle<T>(
        &mut self,
        deadline: &mut Deadline,
        future: impl Future<Output = T>,
    ) -> Result<T, Elapsed> {
        let mut future = pin!(future);
        let mut started = pin!(self.started());
        let mut waiting = true;
        poll_fn(|cx| {
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(value));
            }
            if waiting && started.as_mut().poll(cx).is_ready() {
                waiting = false;
                deadline.set_no_later(Instant::now() + IDLE_GRACE);
            }
            deadline.poll_elapsed(cx).map(|()| Err(Elapsed))
        })
        .await
    }
}

impl DrainSwitch {
    pub fn start(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.changed.send_replace(());
    }
}

#[cfg(test)]
impl Core {
    /// One that serves nothing, with its registry in memory.
    pub fn idle() -> Arc<Self> {
        let limits = Limits::default();
        Arc::new(Self {
            snapshot: ArcSwap::from_pointee(Snapshot::empty()),
            upstreams: Upstreams::new(Default::default(), None, &limits),
            metrics: Metrics::new(),
            usage: Arc::new(Registry::open(None).expect("memory")),
            access_log: None,
            connections: ConnectionLimits::new(limits.connections, limits.connections_per_address),
            sources: Sources::new(Vec::new(), Vec::new()),
            drain: Drain::new().1,
            limits,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phases::authorize::test_support::{exchange, head, stage};

    #[tokio::test(start_paused = true)]
    async fn a_drain_shortens_the_wait_of_an_idle_connection() {
        let (switch, mut drain) = Drain::new();
        let mut deadline = Deadline::after(Duration::from_secs(310));
        let start = Instant::now();
        let (waited, ()) =
            tokio::join!(drain.idle(&mut deadline, std::future::pending::<()>()), async {
                tokio::time::sleep(Duration::from_secs(5)).await;
                switch.start();
            });
        assert_eq!(waited, Err(Elapsed));
        assert_eq!(start.elapsed(), Duration::from_secs(5) + IDLE_GRACE);
    }

    #[test]
    fn an_exchange_that_has_ended_holds_no_stage() {
        let stage = stage("", "type: token, authorizerUri: a", &Default::default());
        let head = head("GET", "/pets/1", &[]);
        let mut exchange = exchange(&head, &stage);
        Core::idle().record(&head, &mut exchange);
        assert_eq!(Arc::strong_count(&stage), 1);
    }
}
