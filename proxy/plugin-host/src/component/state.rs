//! What the host keeps with an instance: the exchange of the running call, and what it used up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use wasmtime::component::ResourceTable;
use wasmtime_wasi::WasiCtx;

use super::pool::Calls;
use super::{PluginShared, wasi};
use crate::clock::{CallClock, Timed};
use crate::limiter::Limiter;
use crate::trap::HostFailure;
use crate::{ErrorKind, Http, limits};

/// The data of a component's store.
pub(super) struct HostState {
    pub shared: Arc<PluginShared>,
    pub limiter: Limiter,
    /// None while no call runs, in particular while the instance starts.
    pub exchange: Option<Arc<Http>>,
    /// What `request.body` gives to the running call.
    pub body: Option<Arc<Vec<u8>>>,
    pub log_lines: LineBudget,
    pub clock: CallClock,
    /// When waiting ends.
    pub wait_until: Instant,
    /// Handles of fetches that the guest holds.
    pub fetches: usize,
    pub resources: ResourceTable,
    /// Only with the grant.
    pub wasi: Option<Box<WasiCtx>>,
}

impl Timed for HostState {
    fn clock(&mut self) -> &mut CallClock {
        &mut self.clock
    }
}

impl HostState {
    pub fn new(shared: &Arc<PluginShared>, calls: Calls) -> Self {
        let context = &shared.context;
        let log_lines = LineBudget::default();
        let now = Instant::now();
        // Direct calls import no WASI.
        let wasi = (context.settings.wasi && calls == Calls::Waiting)
            .then(|| Box::new(wasi::context(&context.name, &log_lines)));
        Self {
            shared: shared.clone(),
            limiter: Limiter::new(context),
            exchange: None,
            body: None,
            log_lines,
            clock: CallClock::start(now, Duration::ZERO),
            wait_until: now,
            fetches: 0,
            resources: ResourceTable::new(),
            wasi,
        }
    }

    /// The running call's exchange.
    ///
    /// # Errors
    /// Start functions have none.
    pub fn exchange(&self) -> wasmtime::Result<&Arc<Http>> {
        self.exchange.as_ref().ok_or_else(|| {
            HostFailure::new(ErrorKind::Trap, "there is no request while an instance starts").into()
        })
    }
}

/// Counts the lines that the running call wants to log. The instance's standard output shares it.
#[derive(Clone, Default)]
pub(super) struct LineBudget(Arc<AtomicUsize>);

impl LineBudget {
    /// Whether another line is kept.
    pub fn take(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) < limits::LOG_LINES
    }

    /// Begins anew; gives the number of lines that were not kept.
    pub fn reset(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed).saturating_sub(limits::LOG_LINES)
    }
}
