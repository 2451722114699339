//! What signals do: SIGTERM drains, SIGINT ends, SIGHUP reloads, SIGUSR2 upgrades.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{SignalKind, signal};

use super::Gateway;
use crate::upgrade::{Inherited, Upgrade};

/// How often a drain looks whether all connections are gone.
const DRAIN_POLL: Duration = Duration::from_millis(20);

pub(super) type Started = (Inherited, Box<dyn FnOnce() + Send>);

/// Turns signals into reloads, upgrades and the end.
pub(super) struct Signals {
    pub gateway: Gateway,
    pub upgrade: Arc<Upgrade>,
    pub reload: Arc<dyn Fn() + Send + Sync>,
    pub started: Mutex<Option<Started>>,
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
