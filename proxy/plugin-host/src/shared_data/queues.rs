//! Shared queues of proxy-wasm: bounded, first in first out, found by VM id and name or by an id
//! that is unique in the host.

use std::collections::{HashMap, VecDeque};
use std::sync::Weak;

use parking_lot::Mutex;

use crate::limits;

/// What an item costs besides its bytes.
const ITEM_OVERHEAD: usize = 32;

/// VMs that listen to one queue; more than a plugin has.
const LISTENERS: usize = 64;

/// Called with a queue's id when it got an item, so that `proxy_on_queue_ready` is called in the
/// root context that registered. It runs in the hostcall of whoever enqueued, with that VM locked,
/// which may be the listener's own: it may only note the id and wake something that does the call.
///
/// The VM holds the strong reference. A queue that several VMs registered tells the latest that is
/// still there, as in Envoy; when that one is dropped, the one before.
pub(crate) type Listener = Weak<dyn Fn(u32) + Send + Sync>;

/// Why there is no queue to register: the VM id has [`limits::QUEUES`] already, or the name is
/// over [`limits::KEY`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RegisterError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EnqueueError {
    NotFound,
    /// The queue would hold more than [`limits::QUEUE`] bytes.
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DequeueError {
    NotFound,
    Empty,
}

/// The queues of a host.
#[derive(Default)]
pub(crate) struct Queues(Mutex<All>);

#[derive(Default)]
struct All {
    queues: HashMap<u32, Queue>,
    names: HashMap<(Box<str>, Box<[u8]>), u32>,
    last_id: u32,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Box<[u8]>>,
    /// Bytes of items, with [`ITEM_OVERHEAD`] for each.
    size: usize,
    listeners: Vec<Listener>,
}

impl Queues {
    /// The queue of that name and VM id, if a plugin registered it.
    pub(crate) fn resolve(&self, vm_id: &str, name: &[u8]) -> Option<u32> {
        self.0.lock().names.get(&(vm_id.into(), name.into())).copied()
    }

    /// Adds an item at the end and tells the listener.
    pub(crate) fn enqueue(&self, id: u32, item: &[u8]) -> Result<(), EnqueueError> {
        let listener = {
            let mut all = self.0.lock();
            let queue = all.queues.get_mut(&id).ok_or(EnqueueError::NotFound)?;
            let size = queue.size + item.len() + ITEM_OVERHEAD;
            if size > limits::QUEUE {
                return Err(EnqueueError::Full);
            }
            queue.size = size;
            queue.items.push_back(item.into());
            queue.listeners.iter().rev().find_map(Weak::upgrade)
        };
        // Outside of the lock: dropping what may be the last reference runs foreign code.
        if let Some(listener) = listener {
            listener(id);
        }
        Ok(())
    }

    /// Takes the first item.
    pub(crate) fn dequeue(&self, id: u32) -> Result<Box<[u8]>, DequeueError> {
        let mut all = self.0.lock();
        let queue = all.queues.get_mut(&id).ok_or(DequeueError::NotFound)?;
        let item = queue.items.pop_front().ok_or(DequeueError::Empty)?;
        queue.size -= item.len() + ITEM_OVERHEAD;
        Ok(item)
    }

    /// `own` are the queues of the one who registers; a queue of the same name that isn't among
    /// them is of an owner that is going away.
    pub(super) fn register(
        &self,
        vm_id: &str,
        name: &[u8],
        listener: Listener,
        own: &mut Vec<u32>,
    ) -> Result<u32, RegisterError> {
        let mut all = self.0.lock();
        let key = (Box::from(vm_id), Box::from(name));
        let known = all.names.get(&key).copied().filter(|id| own.contains(id));
        let id = match known {
            Some(id) => id,
            None if own.len() >= limits::QUEUES || name.len() > limits::KEY => {
                return Err(RegisterError);
            }
            None => {
                let id = all.last_id.checked_add(1).ok_or(RegisterError)?;
                all.last_id = id;
                all.names.insert(key, id);
                own.push(id);
                id
            }
        };
        let listeners = &mut all.queues.entry(id).or_default().listeners;
        listeners.retain(|known| known.strong_count() > 0 && !Weak::ptr_eq(known, &listener));
        if listeners.len() == LISTENERS {
            listeners.remove(0);
        }
        listeners.push(listener);
        Ok(id)
    }

    pub(super) fn remove(&self, ids: &[u32]) {
        if ids.is_empty() {
            return;
        }
        let mut all = self.0.lock();
        all.names.retain(|_, id| !ids.contains(id));
        for id in ids {
            all.queues.remove(id);
        }
    }
}
