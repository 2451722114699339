//! The VMs that a filter's exchanges share.
//!
//! There is one to begin with. A worker that finds it busy when an exchange begins has another
//! one made, in the background, and uses that from then on; so an idle filter costs one VM, and a
//! busy one has no worker wait for another. A VM that failed is replaced before the next exchange
//! gets it.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

use super::cell::VmCell;
use super::state::ROOT;
use super::vm::Code;
use crate::PluginError;
use crate::trap::report;

pub(super) struct Slots {
    code: Arc<Code>,
    /// A worker's place is its number modulo their count.
    slots: Box<[Slot]>,
    own: Weak<Self>,
}

#[derive(Default)]
struct Slot {
    cell: ArcSwapOption<VmCell>,
    /// Locked while a VM is made for it; the last that could not be started.
    failed: Mutex<Option<Failed>>,
    is_wanted: AtomicBool,
}

struct Failed {
    at: Instant,
    error: PluginError,
}

/// How long it is not tried again to start a VM that could not be started.
const RETRY: Duration = Duration::from_secs(1);

impl Slots {
    /// Starts the first VM. There are at most `count`.
    pub(super) fn new(code: Arc<Code>, count: usize) -> Result<Arc<Self>, PluginError> {
        let slots = Arc::new_cyclic(|own| Self {
            code,
            slots: std::iter::repeat_with(Slot::default).take(count.max(1)).collect(),
            own: own.clone(),
        });
        // Its failure is the loader's to tell.
        slots.slots[0].cell.store(Some(VmCell::start(&slots.code, slots.own.clone())?));
        Ok(slots)
    }

    /// The VM for an exchange that begins on this thread.
    pub(super) fn pick(&self) -> Result<Arc<VmCell>, PluginError> {
        let place = worker() % self.slots.len();
        if let Some(cell) = self.slots[place].cell.load_full() {
            return if cell.is_dead() { self.start(&self.slots[place]) } else { Ok(cell) };
        }
        let first = &self.slots[0];
        let cell = match first.cell.load_full() {
            Some(cell) if !cell.is_dead() => cell,
            _ => self.start(first)?,
        };
        if cell.is_busy() {
            self.want(place);
        }
        Ok(cell)
    }

    /// Has a VM made for a worker that waits for one.
    fn want(&self, place: usize) {
        let Some(slots) = self.own.upgrade() else { return };
        if self.slots[place].is_wanted.swap(true, Ordering::Relaxed) {
            return;
        }
        let background = &self.code.plugin.background;
        background.spawn_blocking(move || {
            // Without it the worker goes on with the first; what failed was reported.
            let _ = slots.start(&slots.slots[place]);
        });
    }

    /// Replaces what failed.
    pub(super) fn revive(&self) {
        for slot in &self.slots {
            if slot.cell.load().as_ref().is_some_and(|cell| cell.is_dead()) {
                let _ = self.start(slot);
            }
        }
    }

    /// Starts a VM, unless somebody else just did or just could not.
    fn start(&self, slot: &Slot) -> Result<Arc<VmCell>, PluginError> {
        let mut failed = slot.failed.lock();
        if let Some(cell) = slot.cell.load_full().filter(|cell| !cell.is_dead()) {
            return Ok(cell);
        }
        if let Some(Failed { at, error }) = &*failed
            && at.elapsed() < RETRY
        {
            return Err(PluginError::new(&error.plugin, error.kind, error.message.clone()));
        }
        match VmCell::start(&self.code, self.own.clone()) {
            Ok(cell) => {
                *failed = None;
                slot.cell.store(Some(cell.clone()));
                Ok(cell)
            }
            Err(error) => {
                report(&self.code.plugin, &error);
                let copy = PluginError::new(&error.plugin, error.kind, error.message.clone());
                *failed = Some(Failed { at: Instant::now(), error: copy });
                Err(error)
            }
        }
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        for slot in &self.slots {
            if let Some(cell) = slot.cell.swap(None) {
                cell.end(ROOT);
            }
        }
    }
}

/// A number for this thread: 0 for the first that asks.
fn worker() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
    }
    NUMBER.get().unwrap_or_else(|| {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        NUMBER.set(Some(number));
        number
    })
}
