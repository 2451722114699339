//! Clients behind trusted proxies that are in the penalty box: the kernel sees only the proxy's
//! packets, so each of their requests has to be looked up.
//!
//! Reading the kernel's map for each would be a system call under a lock. Here is one load that
//! says whether it can be worth that.

use std::sync::atomic::{AtomicU64, Ordering};

use tollgate_throttle::source::{Seed, Source};

/// 32 KiB.
const PLACES: usize = 1 << 12;

/// When the last penalty ends of the sources that share a place.
pub(crate) struct ForwardedPenalties {
    places: Box<[AtomicU64]>,
    seed: Seed,
}

impl ForwardedPenalties {
    pub(crate) fn new(seed: Seed) -> Self {
        Self { places: (0..PLACES).map(|_| AtomicU64::new(0)).collect(), seed }
    }

    pub(crate) fn note(&self, source: Source, until: u64) {
        self.place(source).fetch_max(until, Ordering::Relaxed);
    }

    /// False: the source has no penalty. True: it may have one.
    pub(crate) fn may_have(&self, source: Source, now: u64) -> bool {
        self.place(source).load(Ordering::Relaxed) > now
    }

    fn place(&self, source: Source) -> &AtomicU64 {
        &self.places[source.hash(self.seed) as usize % PLACES]
    }
}
