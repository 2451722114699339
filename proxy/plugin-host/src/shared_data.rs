//! Key-value data and queues that instances share, on this node, in memory.
//!
//! [`SharedStores`] is the host's: it gives each namespace (a component's name, a proxy-wasm VM
//! id) its [`SharedData`], which goes on from version to version of a plugin and ends with the
//! last that uses it. Queues are found from other VM ids as well, so [`Queues`] is one for all; a
//! [`SharedData`] knows it, and takes its own queues with it when it ends.
//!
//! ```text
//!  SharedStores ── of(Namespace) ──▶ SharedData ── get, write, delete, register_queue
//!                                        └ queues() ──▶ Queues ── resolve, enqueue, dequeue
//!                                                          └ calls the queue's Listener
//! ```

mod queues;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

pub(crate) use queues::{DequeueError, EnqueueError, Listener, Queues, RegisterError};

use crate::limits;

/// Parts with locks of their own. Two workers rarely want the same, and a lock is held for the
/// time of a look-up.
const SHARDS: usize = 16;

/// What an entry costs besides its key and value, in bytes.
pub(crate) const ENTRY_OVERHEAD: usize = 64;

/// Whose data it is: components and VM ids of the same name share nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Namespace {
    /// A component's, by its name.
    Component(Arc<str>),
    /// Of all proxy-wasm plugins with this VM id.
    VmId(Arc<str>),
}

/// All namespaces of a host.
#[derive(Default)]
pub(crate) struct SharedStores {
    stores: Mutex<HashMap<Namespace, Weak<SharedData>>>,
    queues: Arc<Queues>,
}

impl SharedStores {
    /// The namespace's data, which from now on may hold `limit` bytes. More than that is not
    /// thrown away, but nothing can be added before there is room.
    pub(crate) fn of(&self, namespace: Namespace, limit: usize) -> Arc<SharedData> {
        let mut stores = self.stores.lock();
        if let Some(known) = stores.get(&namespace).and_then(Weak::upgrade) {
            known.limit.store(limit, Ordering::Relaxed);
            return known;
        }
        stores.retain(|_, data| data.strong_count() > 0);
        let data = SharedData::new(namespace.clone(), limit, self.queues.clone());
        stores.insert(namespace, Arc::downgrade(&data));
        data
    }
}

/// One namespace's data.
pub(crate) struct SharedData {
    namespace: Namespace,
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    /// Bytes of keys and values, with [`ENTRY_OVERHEAD`] for each entry.
    used: AtomicUsize,
    limit: AtomicUsize,
    last_version: AtomicU64,
    queues: Arc<Queues>,
    /// Ids of the queues that were registered here.
    own_queues: Mutex<Vec<u32>>,
}

#[derive(Default)]
struct Shard {
    entries: HashMap<Box<[u8]>, Stored>,
    /// No entry expires before.
    earliest: Option<Instant>,
    /// Since expired entries were last looked for.
    writes: usize,
    /// What was left then.
    survivors: usize,
}

struct Stored {
    value: Arc<[u8]>,
    version: u64,
    expires: Option<Instant>,
}

impl Stored {
    fn is_expired(&self) -> bool {
        self.expires.is_some_and(|expires| expires <= Instant::now())
    }
}

/// What is stored under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub value: Arc<[u8]>,
    /// Another after each write. Its low 32 bits, which are what proxy-wasm compares, are never 0.
    pub version: u64,
}

impl Entry {
    /// The version as proxy-wasm knows it.
    pub(crate) fn cas(&self) -> u32 {
        self.version as u32
    }
}

/// When a write may take place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Always,
    /// Components: the entry has this version; 0 is no entry.
    Version(u64),
    /// proxy-wasm: [`Entry::cas`] is this. 0, or no entry, is always.
    Cas(u32),
}

/// Why nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteError {
    /// No room, or a key over [`limits::KEY`].
    Full,
    /// The entry's version; 0 for none.
    Conflict(u64),
}

impl SharedData {
    fn new(namespace: Namespace, limit: usize, queues: Arc<Queues>) -> Arc<Self> {
        Arc::new(Self {
            namespace,
            shards: Default::default(),
            hasher: RandomState::new(),
            used: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            last_version: AtomicU64::new(0),
            queues,
            own_queues: Mutex::default(),
        })
    }

    /// The queues of all VM ids.
    pub(crate) fn queues(&self) -> &Queues {
        &self.queues
    }

    /// The id of this namespace's queue of that name, which is made if need be. `listener` is
    /// told of new items; see [`Listener`].
    pub(crate) fn register_queue(
        &self,
        name: &[u8],
        listener: Listener,
    ) -> Result<u32, RegisterError> {
        let mut own = self.own_queues.lock();
        let (Namespace::Component(vm_id) | Namespace::VmId(vm_id)) = &self.namespace;
        self.queues.register(vm_id, name, listener, &mut own)
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<Entry> {
        let shard = self.shard(key).lock();
        let stored = shard.entries.get(key).filter(|stored| !stored.is_expired())?;
        Some(Entry { value: stored.value.clone(), version: stored.version })
    }

    /// Writes, for `time_to_live` or until it is deleted. Gives the new version.
    pub(crate) fn write(
        &self,
        key: &[u8],
        value: &[u8],
        time_to_live: Option<Duration>,
        condition: Condition,
    ) -> Result<u64, WriteError> {
        match self.try_write(key, value, time_to_live, condition) {
            // Expired entries of other keys may be what fills it.
            Err(WriteError::Full) if self.sweep() => {
                self.try_write(key, value, time_to_live, condition)
            }
            outcome => outcome,
        }
    }

    fn try_write(
        &self,
        key: &[u8],
        value: &[u8],
        time_to_live: Option<Duration>,
        condition: Condition,
    ) -> Result<u64, WriteError> {
        if key.len() > limits::KEY {
            return Err(WriteError::Full);
        }
        // A time to live that no clock reaches is none.
        let expires = time_to_live.and_then(|time| Instant::now().checked_add(time));
        let mut shard = self.shard(key).lock();
        self.sweep_in_passing(&mut shard);
        let old = shard.entries.get(key);
        let current = old.filter(|stored| !stored.is_expired()).map_or(0, |old| old.version);
        let agrees = match condition {
            Condition::Always | Condition::Cas(0) => true,
            Condition::Version(version) => version == current,
            Condition::Cas(cas) => current == 0 || cas == current as u32,
        };
        if !agrees {
            return Err(WriteError::Conflict(current));
        }
        self.account(old.map_or(0, |old| size(key, &old.value)), size(key, value))?;
        if let Some(expires) = expires {
            shard.earliest = Some(shard.earliest.map_or(expires, |known| known.min(expires)));
        }
        let version = self.next_version();
        let stored = Stored { value: value.into(), version, expires };
        match shard.entries.get_mut(key) {
            Some(place) => *place = stored,
            None => drop(shard.entries.insert(key.into(), stored)),
        }
        Ok(version)
    }

    /// Whether there was one.
    pub(crate) fn delete(&self, key: &[u8]) -> bool {
        let mut shard = self.shard(key).lock();
        let Some(removed) = shard.entries.remove(key) else { return false };
        self.used.fetch_sub(size(key, &removed.value), Ordering::Relaxed);
        !removed.is_expired()
    }

    fn shard(&self, key: &[u8]) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(key) as usize % SHARDS]
    }

    fn next_version(&self) -> u64 {
        loop {
            let version = self.last_version.fetch_add(1, Ordering::Relaxed) + 1;
            if version as u32 != 0 {
                return version;
            }
        }
    }

    /// An entry of `old` bytes is going to have `new` bytes.
    fn account(&self, old: usize, new: usize) -> Result<(), WriteError> {
        let limit = self.limit.load(Ordering::Relaxed);
        let with_new = |used: usize| {
            let sum = used - old + new;
            // One that shrinks may stay even if the limit was lowered.
            (sum <= limit || new <= old).then_some(sum)
        };
        let accounted = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, with_new);
        accounted.map(drop).map_err(|_| WriteError::Full)
    }

    /// Looks for expired entries once in as many writes as the last look left entries: a constant
    /// cost a write, and no more garbage than about as many entries as are live.
    fn sweep_in_passing(&self, shard: &mut Shard) {
        shard.writes += 1;
        if shard.writes > shard.survivors.max(16) {
            self.sweep_shard(shard);
        }
    }

    /// Whether there was anything to remove.
    fn sweep_shard(&self, shard: &mut Shard) -> bool {
        shard.writes = 0;
        shard.survivors = shard.entries.len();
        let now = Instant::now();
        if shard.earliest.is_none_or(|earliest| earliest > now) {
            return false;
        }
        let mut freed = 0;
        shard.earliest = None;
        let earliest = &mut shard.earliest;
        shard.entries.retain(|key, stored| {
            let Some(expires) = stored.expires else { return true };
            if expires > now {
                *earliest = Some(earliest.map_or(expires, |earliest| earliest.min(expires)));
                return true;
            }
            freed += size(key, &stored.value);
            false
        });
        shard.survivors = shard.entries.len();
        self.used.fetch_sub(freed, Ordering::Relaxed);
        freed > 0
    }

    /// Removes all expired entries; whether there were any.
    fn sweep(&self) -> bool {
        // All of them: not up to the first.
        let swept = self.shards.iter().filter(|shard| self.sweep_shard(&mut shard.lock()));
        swept.count() > 0
    }
}

impl Drop for SharedData {
    fn drop(&mut self) {
        self.queues.remove(self.own_queues.get_mut());
    }
}

fn size(key: &[u8], value: &[u8]) -> usize {
    key.len() + value.len() + ENTRY_OVERHEAD
}
