//! A VM with its lock, and what becomes of it when it fails.
//!
//! Callbacks are synchronous and bounded, so that the lock is held for the time of one callback
//! and never across a wait. Whoever has an event takes it: the task of an exchange, a tick, the
//! answer of a call.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::AbortHandle;

use super::slots::Slots;
use super::state::ContextId;
use super::vm::{Code, Vm};
use crate::plugin::PluginContext;
use crate::trap::report;
use crate::{ErrorKind, PluginError};

pub(super) struct VmCell {
    plugin: Arc<PluginContext>,
    life: Mutex<Life>,
    /// Set once, after the VM has failed.
    is_dead: AtomicBool,
    /// Taken by callbacks that belong to no exchange's task, so that only one thread at a time
    /// waits for the lock with them.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Where it is replaced when it has failed; nowhere if it serves one exchange.
    slots: Weak<Slots>,
    /// One of the plugin's instances, if it serves one exchange.
    _permit: Option<OwnedSemaphorePermit>,
}

enum Life {
    Starting,
    Running(Box<Inhabited>),
    Dead,
}

struct Inhabited {
    vm: Vm,
    ticks: Option<Task>,
}

/// A task that ends with what it works for.
pub(super) struct Task(pub(super) AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl VmCell {
    /// Starts a VM for many exchanges.
    pub(super) fn start(code: &Code, slots: Weak<Slots>) -> Result<Arc<Self>, PluginError> {
        Self::start_with(code, slots, None)
    }

    /// Starts a VM for one exchange.
    pub(super) fn start_for_one(
        code: &Code,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<Arc<Self>, PluginError> {
        Self::start_with(code, Weak::new(), permit)
    }

    fn start_with(
        code: &Code,
        slots: Weak<Slots>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<Arc<Self>, PluginError> {
        let cell = Arc::new(Self {
            plugin: code.plugin.clone(),
            life: Mutex::new(Life::Starting),
            is_dead: AtomicBool::new(false),
            turn: Arc::default(),
            slots,
            _permit: permit,
        });
        // Calls that it makes while it starts are answered when it has.
        let mut life = cell.life.lock();
        let vm = Vm::start(code, Arc::downgrade(&cell))?;
        *life = Life::Running(Box::new(Inhabited { vm, ticks: None }));
        drop(life);
        cell.run(|_| Ok(()))?;
        Ok(cell)
    }

    pub(super) fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Acquire)
    }

    /// Whether another thread is in it now.
    pub(super) fn is_busy(&self) -> bool {
        self.life.is_locked()
    }

    /// Does something in the VM. An error ends the VM, and was reported.
    pub(super) fn run<T>(
        self: &Arc<Self>,
        f: impl FnOnce(&mut Vm) -> Result<T, PluginError>,
    ) -> Result<T, PluginError> {
        self.run_locked(self.life.lock(), f)
    }

    /// The same if nobody else is in it; otherwise gives `f` back.
    pub(super) fn try_run<T, F>(self: &Arc<Self>, f: F) -> Result<Result<T, PluginError>, F>
    where
        F: FnOnce(&mut Vm) -> Result<T, PluginError>,
    {
        match self.life.try_lock() {
            Some(life) => Ok(self.run_locked(life, f)),
            None => Err(f),
        }
    }

    fn run_locked<T>(
        self: &Arc<Self>,
        mut life: MutexGuard<'_, Life>,
        f: impl FnOnce(&mut Vm) -> Result<T, PluginError>,
    ) -> Result<T, PluginError> {
        let Life::Running(running) = &mut *life else { return Err(self.gone()) };
        let result = f(&mut running.vm).and_then(|value| {
            running.vm.finish_done()?;
            Ok(value)
        });
        running.vm.leave();
        let later = &mut running.vm.state().later;
        if let Some(period) = later.tick.take() {
            running.ticks = self.tick(period);
        }
        let mut wakers = mem::take(&mut later.wakers);
        let ended = match &result {
            Ok(_) => None,
            Err(error) => {
                report(&self.plugin, error);
                self.is_dead.store(true, Ordering::Release);
                running.vm.state().streams.iter_mut().for_each(|it| it.wake_all(&mut wakers));
                Some(mem::replace(&mut *life, Life::Dead))
            }
        };
        drop(life);
        for waker in wakers {
            waker.wake();
        }
        if ended.is_some() {
            self.replace();
        }
        result
    }

    /// The failure of another exchange, or of a tick, ended the VM.
    fn gone(&self) -> PluginError {
        let message = "its VM was stopped by a failure elsewhere in the plugin";
        PluginError::new(&self.plugin.name, ErrorKind::Trap, message)
    }

    /// Has a new VM started, so that the next request finds one.
    fn replace(&self) {
        if let Some(slots) = self.slots.upgrade() {
            self.plugin.background.spawn_blocking(move || slots.revive());
        }
    }

    /// Does something on a thread where it may take its time.
    pub(super) async fn run_apart(
        self: Arc<Self>,
        f: impl FnOnce(&mut Vm) -> Result<(), PluginError> + Send + 'static,
    ) {
        let turn = self.turn.clone().lock_owned().await;
        let task = self.plugin.background.clone().spawn_blocking(move || {
            // What failed was reported.
            let _ = self.run(f);
            drop(turn);
        });
        let _ = task.await;
    }

    /// Has the ticks come with this period.
    fn tick(self: &Arc<Self>, period: Duration) -> Option<Task> {
        if period.is_zero() {
            return None;
        }
        let cell = Arc::downgrade(self);
        let task = self.plugin.background.spawn(async move {
            loop {
                tokio::time::sleep(period).await;
                let Some(cell) = cell.upgrade().filter(|cell| !cell.is_dead()) else { return };
                cell.run_apart(Vm::tick).await;
            }
        });
        Some(Task(task.abort_handle()))
    }

    /// The host is finished with a context. Its callbacks run here, or on another thread if
    /// somebody else is in the VM now.
    pub(super) fn end(self: &Arc<Self>, id: ContextId) {
        match self.try_run(move |vm| Ok((vm.end(id)?, vm.is_pending(id)).1)) {
            Ok(Ok(true)) => self.end_in_time(id),
            Ok(_) => {}
            Err(_) => {
                let cell = self.clone();
                self.plugin.background.spawn(async move {
                    cell.clone().run_apart(move |vm| vm.end(id)).await;
                    cell.end_in_time(id);
                });
            }
        }
    }

    /// Ends a context whose `proxy_done` doesn't come within the time an exchange may wait.
    fn end_in_time(self: &Arc<Self>, id: ContextId) {
        let (cell, wait) = (self.clone(), self.plugin.settings.limits.wait);
        self.plugin.background.spawn(async move {
            tokio::time::sleep(wait).await;
            cell.run_apart(move |vm| vm.end_now(id)).await;
        });
    }
}
