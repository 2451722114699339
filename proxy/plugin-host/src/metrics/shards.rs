//! Counters that each thread adds to in memory of its own.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// More threads than this share shards, and lose nothing but speed.
const SHARDS: usize = 16;

/// A `T` for each thread, made when the thread first asks for it.
#[derive(Default)]
pub(super) struct Sharded<T> {
    shards: [OnceLock<Box<Aligned<T>>>; SHARDS],
}

impl<T: Default> Sharded<T> {
    /// The calling thread's.
    pub(super) fn own(&self) -> &T {
        &self.shards[own_shard()].get_or_init(Box::default).0
    }

    /// Those that exist.
    pub(super) fn all(&self) -> impl Iterator<Item = &T> + Clone {
        self.shards.iter().filter_map(|shard| shard.get()).map(|shard| &shard.0)
    }
}

fn own_shard() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static OWN: Cell<Option<usize>> = const { Cell::new(None) });
    OWN.get().unwrap_or_else(|| {
        let own = THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS;
        OWN.set(Some(own));
        own
    })
}

/// Two cache lines, which x86 fetches together.
#[derive(Default)]
#[repr(align(128))]
struct Aligned<T>(T);

/// A fixed number of counters.
pub(super) struct Cells<const N: usize>([AtomicU64; N]);

impl<const N: usize> Default for Cells<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl<const N: usize> Cells<N> {
    pub(super) fn add(&self, place: usize, amount: u64) {
        self.0[place].fetch_add(amount, Ordering::Relaxed);
    }

    /// Adds the counters of all, place by place, wrapping.
    pub(super) fn sum<'a>(all: impl Iterator<Item = &'a Self>) -> [u64; N] {
        let mut sum = [0_u64; N];
        for cells in all {
            for (sum, cell) in sum.iter_mut().zip(&cells.0) {
                *sum = sum.wrapping_add(cell.load(Ordering::Relaxed));
            }
        }
        sum
    }
}

/// Adds one counter of all, wrapping.
pub(super) fn sum<'a>(all: impl Iterator<Item = &'a AtomicU64>) -> u64 {
    all.fold(0, |sum, cell| sum.wrapping_add(cell.load(Ordering::Relaxed)))
}
