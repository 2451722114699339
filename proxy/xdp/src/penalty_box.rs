//! Who is in the penalty box, where the kernel doesn't keep it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tollgate_throttle::penalty::{Penalty, Terms};
use tollgate_throttle::source::{Seed, Source};

const SHARDS: usize = 64;
/// 65,536 in all.
const SOURCES_IN_A_SHARD: usize = 1024;

/// A bounded table of penalties. As long as nobody has one, looking takes one load; else the lock
/// of one of 64 shards.
pub(crate) struct PenaltyBox {
    shards: [Mutex<HashMap<Source, Penalty>>; SHARDS],
    remembered: AtomicUsize,
    seed: Seed,
}

impl PenaltyBox {
    pub(crate) fn new(seed: Seed) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            remembered: AtomicUsize::new(0),
            seed,
        }
    }

    pub(crate) fn penalty(&self, source: Source) -> Option<Penalty> {
        if self.remembered.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.shard(source).lock().get(&source).copied()
    }

    /// Puts a source into the box, if it isn't in.
    pub(crate) fn penalise(&self, source: Source, now: u64, terms: Terms) -> Option<Penalty> {
        let mut shard = self.shard(source).lock();
        if shard.len() >= SOURCES_IN_A_SHARD && !shard.contains_key(&source) {
            self.make_room(&mut shard, now);
        }
        match shard.entry(source) {
            Entry::Occupied(mut known) => {
                let next = known.get().next(now, terms)?;
                known.insert(next);
                Some(next)
            }
            Entry::Vacant(place) => {
                let first = Penalty::default().next(now, terms)?;
                place.insert(first);
                self.remembered.fetch_add(1, Ordering::Relaxed);
                Some(first)
            }
        }
    }

    /// Lets a source out and forgets what it did.
    pub(crate) fn release(&self, source: Source) -> bool {
        let released = self.shard(source).lock().remove(&source).is_some();
        self.remembered.fetch_sub(usize::from(released), Ordering::Relaxed);
        released
    }

    /// Forgets what time has forgiven; if there is nothing, the penalty that ends first.
    fn make_room(&self, shard: &mut HashMap<Source, Penalty>, now: u64) {
        let before = shard.len();
        shard.retain(|_, penalty| !penalty.is_forgotten(now));
        if shard.len() == before {
            let first = shard.iter().min_by_key(|(_, penalty)| penalty.until);
            if let Some(source) = first.map(|(source, _)| *source) {
                shard.remove(&source);
            }
        }
        self.remembered.fetch_sub(before - shard.len(), Ordering::Relaxed);
    }

    fn shard(&self, source: Source) -> &Mutex<HashMap<Source, Penalty>> {
        &self.shards[source.hash(self.seed) as usize % SHARDS]
    }
}
