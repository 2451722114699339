//! One API key in one usage plan: what it has taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwapOption;
use smallvec::SmallVec;
use tollgate_throttle::{SharedBucket, SharedQuota};

use super::dirty::Dirty;
use super::id::{ApiKeyId, UsagePlanId};

/// Buckets and counter of a key in a plan. Belongs to the [`Registry`](super::Registry);
/// snapshots and the list of those that counted hold handles.
///
/// 64 bytes with its reference counts, a cache line: there may be a million of them.
pub struct Subscription {
    pub plan: UsagePlanId,
    pub key: ApiKeyId,
    /// Of [`super::UsagePlan::throttle`].
    pub bucket: SharedBucket,
    pub quota: SharedQuota,
    /// Of the plan's methods that have a throttle of their own; none in most plans. Requests find
    /// them through their snapshot.
    methods: ArcSwapOption<MethodBuckets>,
    /// Requests admitted that the ledger hasn't written yet.
    counted: AtomicU32,
}

/// A bucket for each method throttle of a plan, in the plan's order.
pub struct MethodBuckets {
    /// What the throttles were when the buckets were made.
    pub throttles: u64,
    pub buckets: SmallVec<[SharedBucket; 4]>,
}

impl Subscription {
    pub fn new(plan: UsagePlanId, key: ApiKeyId) -> Self {
        Self {
            plan,
            key,
            bucket: SharedBucket::full(),
            quota: SharedQuota::untouched(),
            methods: ArcSwapOption::empty(),
            counted: AtomicU32::new(0),
        }
    }

    /// Counts an admitted request.
    #[inline]
    pub fn count(self: &Arc<Self>, dirty: &Dirty) {
        if self.counted.fetch_add(1, Ordering::Relaxed) == 0 {
            dirty.push(self);
        }
    }

    /// Gives the count to the ledger, and starts again.
    pub fn take_counted(&self) -> u32 {
        self.counted.swap(0, Ordering::Relaxed)
    }

    /// Takes back what the ledger could not write.
    pub fn keep_counted(self: &Arc<Self>, counted: u32, dirty: &Dirty) {
        if self.counted.fetch_add(counted, Ordering::Relaxed) == 0 {
            dirty.push(self);
        }
    }

    pub fn has_counted(&self) -> bool {
        self.counted.load(Ordering::Relaxed) > 0
    }

    /// The buckets of the plan's method throttles, full unless those that are there were made
    /// for the same throttles.
    pub fn methods(&self, throttles: u64, count: usize) -> Option<Arc<MethodBuckets>> {
        let known = self.methods.load_full();
        if known.as_ref().is_some_and(|it| it.throttles == throttles) {
            return known;
        }
        let made = (count > 0).then(|| {
            let buckets = (0..count).map(|_| SharedBucket::full()).collect();
            Arc::new(MethodBuckets { throttles, buckets })
        });
        self.methods.store(made.clone());
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_subscriptions_fit_in_a_cache_line_each() {
        // Beside the value an `Arc` keeps two counts.
        assert!(size_of::<Subscription>() + 2 * size_of::<usize>() <= 64);
    }
}
