//! Instances of one version of a plugin.
//!
//! Shared isolation keeps instances on a stack: a call takes the one that was used last, whose
//! memory is in the caches, and puts it back. Per-request isolation makes a fresh one for each
//! exchange. In both, [`PluginLimits::instances`](crate::config::PluginLimits::instances) bounds
//! how many there are, and waiting for one is bounded by `wait`.
//!
//! An instance is not used again after a trap, when its call was given up, when it still holds a
//! fetch, or when its memory has grown by more than [`limits::KEPT_GROWTH`]: linear memory never
//! shrinks, and one large body shouldn't take memory forever. Of the idle ones, those that nobody
//! needed for [`limits::IDLE`] are dropped, all but one.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use wasmtime::component::{
    self, ComponentExportIndex, ComponentNamedList, InstancePre, Lift, Lower, TypedFunc,
};
use wasmtime::{Error, Store, Trap};

use super::PluginShared;
use super::state::HostState;
use crate::clock::{self, CallClock};
use crate::config::Isolation;
use crate::trap::{self, HostFailure};
use crate::{ErrorKind, Http, PluginError, limits};

/// The functions of the interface that a world exports.
pub(super) trait Exports: Send + Sync + Sized + 'static {
    const INTERFACE: &str;
    const FUNCTIONS: &[&str];

    /// Finds them in an instance; `at` is in the order of [`Self::FUNCTIONS`].
    fn find(
        instance: &component::Instance,
        store: &mut Store<HostState>,
        at: &[ComponentExportIndex],
    ) -> wasmtime::Result<Self>;
}

/// Whether calls may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calls {
    /// On the caller's own stack.
    Direct,
    /// On a fiber: it imports `fetch` or WASI.
    Waiting,
}

pub(super) struct Pool<E> {
    pub shared: Arc<PluginShared>,
    pre: InstancePre<HostState>,
    exports: Vec<ComponentExportIndex>,
    calls: Calls,
    /// What starting another instance may take.
    start_cpu_time: Duration,
    permits: Semaphore,
    idle: Mutex<Idle<E>>,
}

struct Idle<E> {
    /// The one used last on top.
    instances: Vec<Instance<E>>,
    /// How few there were since the last look: nobody needed those.
    fewest: usize,
    /// Whether [`Pool::watch`] is there for them.
    is_watched: bool,
}

struct Instance<E> {
    store: Store<HostState>,
    exports: E,
    /// Bytes, when it had started.
    memory: usize,
}

impl<E: Exports> Pool<E> {
    /// Starts the first instance, so that a component that can't start is refused.
    pub fn new(
        shared: Arc<PluginShared>,
        pre: InstancePre<HostState>,
        calls: Calls,
    ) -> Result<Arc<Self>, PluginError> {
        let name = &shared.context.name;
        let interface = pre.component().get_export_index(None, E::INTERFACE);
        let missing =
            |what: &str| PluginError::new(name, ErrorKind::Start, format!("doesn't export {what}"));
        let interface = interface.ok_or_else(|| missing(E::INTERFACE))?;
        let export = |function: &&str| {
            let index = pre.component().get_export_index(Some(&interface), function);
            index.ok_or_else(|| missing(&format!("{} of {}", function, E::INTERFACE)))
        };
        let exports = E::FUNCTIONS.iter().map(export).collect::<Result<_, _>>()?;
        let permits = Semaphore::new(shared.context.settings.limits.instances);
        let idle = Idle { instances: Vec::new(), fewest: 0, is_watched: false };
        let mut pool = Self {
            shared,
            pre,
            exports,
            calls,
            start_cpu_time: limits::START_CPU_TIME,
            permits,
            idle: Mutex::new(idle),
        };
        let begin = Instant::now();
        let first = pool.start()?;
        // Later starts are on the path of a request. They get what the first one needed, with
        // room for a busy machine, but a plugin can't save its looping for then.
        let settings = &pool.shared.context.settings;
        let generous = settings.limits.cpu_time + 4 * begin.elapsed();
        pool.start_cpu_time = generous.min(limits::START_CPU_TIME);
        if settings.isolation == Isolation::Shared {
            pool.idle.get_mut().instances.push(first);
        }
        Ok(Arc::new(pool))
    }

    fn start(&self) -> Result<Instance<E>, PluginError> {
        let mut store = Store::new(self.pre.engine(), HostState::new(&self.shared, self.calls));
        store.limiter(|state| &mut state.limiter);
        clock::stop_when_used_up(&mut store);
        let clock = CallClock::start(Instant::now(), self.start_cpu_time);
        self.shared.context.engine.begin(&mut store);
        store.data_mut().clock = clock;
        store.set_hostcall_fuel(self.shared.most_bytes_out);
        store.set_max_component_handles(limits::HANDLES);
        match self.instantiate(&mut store) {
            Ok(exports) => {
                let memory = store.data().limiter.memory();
                Ok(Instance { store, exports, memory })
            }
            Err(error) => {
                let mut error = self.failure(&error, &store);
                error.message = format!("can't start: {}", error.message);
                error.kind = ErrorKind::Start;
                Err(error)
            }
        }
    }

    fn instantiate(&self, store: &mut Store<HostState>) -> wasmtime::Result<E> {
        let instance = match self.calls {
            Calls::Direct => self.pre.instantiate(&mut *store)?,
            // It can't wait for anything yet, so that it's ready when it was polled once.
            Calls::Waiting => {
                self.pre.instantiate_async(&mut *store).now_or_never().unwrap_or_else(|| {
                    Err(HostFailure::new(ErrorKind::Start, "it waits while it starts").into())
                })?
            }
        };
        E::find(&instance, store, &self.exports)
    }

    /// What it means that a call or a start ended with `error`.
    fn failure(&self, error: &Error, store: &Store<HostState>) -> PluginError {
        let mut failure = trap::classify(&self.shared.context, error, &store.data().limiter);
        let from_code =
            error.is::<Trap>() || error.is::<HostFailure>() || error.is::<wasmtime_wasi::I32Exit>();
        // Neither the code nor a host function gave up: wasmtime couldn't read what it handed out.
        if failure.kind == ErrorKind::Trap && !from_code {
            failure.kind = ErrorKind::Output;
            failure.message = format!("gave what can't be read: {}", failure.message);
        }
        failure
    }

    /// An instance for one call or, in per-request isolation, for one exchange. Dropped while it
    /// waits, nothing is taken.
    pub async fn lease(self: &Arc<Self>) -> Result<Lease<E>, PluginError> {
        if let Ok(permit) = self.permits.try_acquire() {
            permit.forget();
        } else {
            // Apart, as is what else waits: the futures of most calls are smaller without its state.
            Box::pin(self.wait_for_permit()).await?;
        }
        // From here on the lease's drop gives the permit back.
        let mut lease = Lease { pool: self.clone(), instance: None };
        let idle = self.idle.lock().pop();
        lease.instance = Some(match idle {
            Some(instance) => instance,
            None => self.start()?,
        });
        Ok(lease)
    }

    async fn wait_for_permit(&self) -> Result<(), PluginError> {
        let limits = &self.shared.context.settings.limits;
        if let Ok(Ok(permit)) = timeout(limits.wait, self.permits.acquire()).await {
            permit.forget();
            return Ok(());
        }
        let message = format!(
            "none of its {} instances was free within {} ms",
            limits.instances,
            limits.wait.as_millis()
        );
        Err(PluginError::new(&self.shared.context.name, ErrorKind::Wait, message))
    }

    fn give_back(self: &Arc<Self>, instance: Instance<E>) {
        let is_shared = self.shared.context.settings.isolation == Isolation::Shared;
        if !is_shared || !instance.is_reusable() {
            return;
        }
        let mut idle = self.idle.lock();
        idle.instances.push(instance);
        if idle.instances.len() > 1 && !idle.is_watched {
            idle.is_watched = true;
            self.shared.context.background.spawn(Self::watch(Arc::downgrade(self)));
        }
    }

    /// Looks at the idle instances from time to time, until one is left or the pool is gone.
    async fn watch(pool: Weak<Self>) {
        loop {
            tokio::time::sleep(limits::IDLE).await;
            match pool.upgrade() {
                Some(pool) if pool.drop_unneeded() => {}
                _ => return,
            }
        }
    }

    /// Drops the idle instances that were not taken since this was last called, but for one.
    /// Whether it has to be called again.
    pub(super) fn drop_unneeded(&self) -> bool {
        let mut idle = self.idle.lock();
        let unneeded = idle.take_unneeded();
        idle.is_watched = idle.instances.len() > 1;
        let goes_on = idle.is_watched;
        // They are dropped without the lock.
        drop(idle);
        drop(unneeded);
        goes_on
    }

    #[cfg(test)]
    pub(super) fn idle_count(&self) -> usize {
        self.idle.lock().instances.len()
    }
}

impl<E> Idle<E> {
    fn pop(&mut self) -> Option<Instance<E>> {
        let instance = self.instances.pop();
        self.fewest = self.fewest.min(self.instances.len());
        instance
    }

    /// Those at the bottom.
    fn take_unneeded(&mut self) -> Vec<Instance<E>> {
        let count = self.fewest.min(self.instances.len().saturating_sub(1));
        let unneeded = self.instances.drain(..count).collect();
        self.fewest = self.instances.len();
        unneeded
    }
}

impl<E> Instance<E> {
    fn is_reusable(&self) -> bool {
        let state = self.store.data();
        state.fetches == 0 && state.limiter.memory() - self.memory <= limits::KEPT_GROWTH
    }
}

/// An instance that is in use.
pub(super) struct Lease<E: Exports> {
    pool: Arc<Pool<E>>,
    /// None once a call has failed or was given up.
    instance: Option<Instance<E>>,
}

impl<E: Exports> Drop for Lease<E> {
    fn drop(&mut self) {
        if let Some(instance) = self.instance.take() {
            self.pool.give_back(instance);
        }
        self.pool.permits.add_permits(1);
    }
}

const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

impl<E: Exports> Lease<E> {
    /// Calls one of the exports. After an error, or when the future is dropped before it is
    /// ready, the instance is gone.
    pub async fn call<P, R>(
        &mut self,
        function: impl FnOnce(&E) -> TypedFunc<P, R>,
        http: &Arc<Http>,
        body: Option<Arc<Vec<u8>>>,
        parameters: P,
    ) -> Result<R, PluginError>
    where
        P: ComponentNamedList + Lower + Send + 'static,
        R: ComponentNamedList + Lift + Send + 'static,
    {
        let context = &self.pool.shared.context;
        let gone = || PluginError::new(&context.name, ErrorKind::Trap, "its instance is gone");
        let mut instance = self.instance.take().ok_or_else(gone)?;
        let started = Instant::now();
        let function = function(&instance.exports);
        let result = {
            let settings = &context.settings.limits;
            let store = &mut instance.store;
            let state = store.data_mut();
            state.exchange = Some(http.clone());
            state.body = body;
            state.limiter.begin_call();
            state.clock = CallClock::start(started, settings.cpu_time);
            // No clock has room for the longest durations that a configuration can have.
            state.wait_until = started + settings.wait.min(LONGEST_WAIT);
            context.engine.begin(store);
            match self.pool.calls {
                Calls::Direct => function.call(&mut *store, parameters),
                // A fetch ends with `wait`; only WASI can take longer.
                Calls::Waiting => {
                    let call = function.call_async(&mut *store, parameters);
                    let most = settings.wait.saturating_add(settings.cpu_time);
                    match Box::pin(timeout(most, call)).await {
                        Ok(result) => result,
                        Err(_) => Err(HostFailure::new(ErrorKind::Wait, "waited too long").into()),
                    }
                }
            }
        };
        context.metrics.call(started.elapsed());
        context.metrics.fuel(context.engine.used_fuel(&instance.store));
        let state = instance.store.data_mut();
        state.exchange = None;
        state.body = None;
        let cut = state.log_lines.reset();
        if cut > 0 {
            context.metrics.log_lines_dropped(cut as u64);
        }
        match result {
            Ok(result) => {
                self.instance = Some(instance);
                Ok(result)
            }
            Err(error) => Err(self.pool.failure(&error, &instance.store)),
        }
    }
}
