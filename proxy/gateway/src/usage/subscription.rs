//! One API key in one usage plan: what it has taken.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tollgate_throttle::{Left, SharedBucket, SharedQuota};

use super::dirty::Dirty;
use super::pages::{Pages, prefetch};

/// Buckets and counter of a key in a plan.
///
/// Half a cache line: there may be a million of them, and each request touches one.
#[repr(align(32))]
pub struct Subscription {
    /// Of [`super::UsagePlan::throttle`].
    pub bucket: SharedBucket,
    pub quota: SharedQuota,
    /// Of the plan's first method that has a throttle of its own. Those of others, which few plans
    /// have, are elsewhere: see [`super::subscribers::InPlan`].
    pub first_method: SharedBucket,
    /// Requests admitted that the ledger hasn't written yet.
    counted: AtomicU32,
    /// Tables of keys that lead here.
    holders: AtomicU32,
}

/// Where a subscription is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubscriptionPlace(pub u32);

/// The subscriptions of a registry, by place.
///
/// They never move, so that requests find theirs without a lock while others are added. Which
/// places are in use, and for whom, the registry knows; who has a place that is in use no longer
/// finds the numbers of somebody else there, so that tables of keys [hold](Subscription::hold)
/// those that they lead to. The memory is that of the most subscriptions there ever were.
#[derive(Default)]
pub struct Subscriptions([OnceLock<Pages<Subscription>>; CHUNKS]);

/// The first chunk has so many places, each other one as many as all before it.
const FIRST_CHUNK: u32 = 2048;
/// Enough for every place that there is.
const CHUNKS: usize = (u32::BITS - FIRST_CHUNK.ilog2()) as usize + 1;

impl Subscription {
    fn new() -> Self {
        Self {
            bucket: SharedBucket::full(),
            quota: SharedQuota::untouched(),
            first_method: SharedBucket::full(),
            counted: AtomicU32::new(0),
            holders: AtomicU32::new(0),
        }
    }

    /// As a new one.
    pub fn reset(&self, left: Left) {
        self.bucket.fill();
        self.first_method.fill();
        self.quota.set(left);
    }

    /// Counts admitted requests.
    #[inline]
    pub fn count(&self, requests: u32, place: SubscriptionPlace, dirty: &Dirty) {
        if self.counted.fetch_add(requests, Ordering::Relaxed) == 0 && requests > 0 {
            dirty.push(place);
        }
    }

    /// Gives the count to the ledger, and starts again.
    pub fn take_counted(&self) -> u32 {
        self.counted.swap(0, Ordering::Relaxed)
    }

    /// Keeps the place from being given to somebody else, until [`Self::release`].
    pub fn hold(&self) {
        self.holders.fetch_add(1, Ordering::Relaxed);
    }

    /// What was read and written before is over when the place is somebody else's.
    pub fn release(&self) {
        self.holders.fetch_sub(1, Ordering::Release);
    }

    /// Whether nobody leads here, and the ledger knows everything.
    pub fn is_idle(&self) -> bool {
        self.holders.load(Ordering::Acquire) == 0 && self.counted.load(Ordering::Relaxed) == 0
    }
}

impl Subscriptions {
    /// The subscription at a place; none where [`Self::reserve`] hasn't been.
    #[inline]
    pub fn at(&self, place: SubscriptionPlace) -> Option<&Subscription> {
        let (chunk, within) = split(place);
        self.0.get(chunk)?.get()?.get(within)
    }

    /// Begins to fetch what is at a place.
    #[inline]
    pub fn prefetch(&self, place: SubscriptionPlace) {
        if let Some(subscription) = self.at(place) {
            prefetch(subscription);
        }
    }

    /// Makes a place usable.
    pub fn reserve(&self, place: SubscriptionPlace) {
        let (chunk, _) = split(place);
        let length = FIRST_CHUNK << chunk.saturating_sub(1);
        let made = || Pages::of((0..length as usize).map(|_| Subscription::new()));
        self.0[chunk].get_or_init(made);
    }

    /// Bytes of all places.
    pub fn bytes(&self) -> usize {
        self.0.iter().filter_map(OnceLock::get).map(Pages::bytes).sum()
    }
}

/// The chunk of a place, and the place within it.
#[inline]
fn split(SubscriptionPlace(place): SubscriptionPlace) -> (usize, usize) {
    match (place / FIRST_CHUNK).checked_ilog2() {
        None => (0, place as usize),
        Some(doubled) => (doubled as usize + 1, (place - (FIRST_CHUNK << doubled)) as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_subscriptions_fit_in_a_cache_line() {
        assert_eq!(size_of::<Subscription>(), 32);
    }

    #[test]
    fn each_place_is_its_own() {
        let mut next = (0, 0);
        for place in 0..20 * FIRST_CHUNK {
            let found = split(SubscriptionPlace(place));
            if found != next {
                next = (next.0 + 1, 0);
            }
            assert_eq!(found, next, "{place}");
            next.1 += 1;
        }
        assert_eq!(split(SubscriptionPlace(u32::MAX)), (CHUNKS - 1, (1 << 31) - 1));
    }

    #[test]
    fn a_place_is_there_once_it_is_reserved() {
        let subscriptions = Subscriptions::default();
        let place = SubscriptionPlace(FIRST_CHUNK);
        assert!(subscriptions.at(place).is_none());
        subscriptions.reserve(place);
        subscriptions.reserve(SubscriptionPlace(FIRST_CHUNK + 1));
        assert!(subscriptions.at(place).is_some_and(Subscription::is_idle));
        assert!(subscriptions.at(SubscriptionPlace(0)).is_none());
    }
}
