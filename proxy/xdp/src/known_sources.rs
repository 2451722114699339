//! Sources that were made known to the kernel not long ago.
//!
//! Each connection says that its source is real, and telling the kernel takes a system call. So
//! it is told once in some seconds; between, a source is found here with one load.

use std::sync::atomic::{AtomicU64, Ordering};

use tollgate_throttle::source::{Seed, Source};

const PLACES: usize = 1 << 14;
/// Eight seconds, as a shift of nanoseconds.
const PERIOD_BITS: u32 = 33;

/// A table in which sources overwrite each other: one that is overwritten is told again.
pub(crate) struct KnownSources {
    places: Box<[AtomicU64]>,
    seed: Seed,
}

impl KnownSources {
    pub(crate) fn new(seed: Seed) -> Self {
        Self { places: (0..PLACES).map(|_| AtomicU64::new(0)).collect(), seed }
    }

    /// Whether the kernel must be told of a source; from now on it need not.
    pub(crate) fn is_news(&self, source: Source, now: u64) -> bool {
        let hash = source.hash(self.seed);
        let told = hash.wrapping_add(now >> PERIOD_BITS) | 1;
        let place = &self.places[(hash >> 32) as usize % PLACES];
        if place.load(Ordering::Relaxed) == told {
            return false;
        }
        place.store(told, Ordering::Relaxed);
        true
    }
}
