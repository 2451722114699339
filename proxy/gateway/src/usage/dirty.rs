//! The subscriptions that have counted something since the ledger last asked.

use std::sync::Arc;

use parking_lot::Mutex;

use super::Subscription;
use crate::identifiers::thread_number;

/// More threads than this share a list.
const SHARDS: usize = 16;

/// A list for each thread, so that workers don't meet. A subscription enters when it counts its
/// first request since the last time, so the lists have no more entries than there are
/// subscriptions.
#[derive(Default)]
pub struct Dirty([Mutex<Vec<Arc<Subscription>>>; SHARDS]);

impl Dirty {
    pub fn push(&self, subscription: &Arc<Subscription>) {
        self.0[thread_number() % SHARDS].lock().push(subscription.clone());
    }

    pub fn take(&self) -> Vec<Arc<Subscription>> {
        self.0.iter().flat_map(|shard| std::mem::take(&mut *shard.lock())).collect()
    }
}
