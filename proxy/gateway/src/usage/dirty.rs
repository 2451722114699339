//! The subscriptions that have counted something since the ledger last asked.

use parking_lot::Mutex;

use super::subscription::SubscriptionPlace;
use crate::identifiers::thread_number;

/// More threads than this share a list.
const SHARDS: usize = 16;

/// A list for each thread, so that workers don't meet. A subscription enters when it counts its
/// first request since the last time, so the lists have no more entries than there are
/// subscriptions.
#[derive(Default)]
pub struct Dirty([Mutex<Vec<SubscriptionPlace>>; SHARDS]);

impl Dirty {
    pub fn push(&self, subscription: SubscriptionPlace) {
        self.0[thread_number() % SHARDS].lock().push(subscription);
    }

    pub fn take(&self) -> Vec<SubscriptionPlace> {
        self.0.iter().flat_map(|shard| std::mem::take(&mut *shard.lock())).collect()
    }
}
