//! Whose the places of subscriptions are.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use tollgate_throttle::SharedBucket;

use super::ledger::{Subscriber, UNTOUCHED};
use super::subscription::{Subscription, SubscriptionPlace, Subscriptions};

/// Finds subscriptions by plan and key.
pub struct Owners {
    hasher: RandomState,
    by_owner: HashTable<SubscriptionPlace>,
    /// By place. Those of free places are of the past.
    owners: Vec<Subscriber>,
    free: Vec<SubscriptionPlace>,
    /// Of those who are in a plan with throttles for methods.
    methods: HashMap<SubscriptionPlace, MethodBuckets>,
    subscriptions: Arc<Subscriptions>,
}

/// The buckets of a plan's methods that have a throttle, in the plan's order. The first is in the
/// [`Subscription`].
struct MethodBuckets {
    /// What the throttles were when the buckets were made.
    throttles: u64,
    others: Option<Arc<[SharedBucket]>>,
}

impl Owners {
    pub fn new(subscriptions: Arc<Subscriptions>) -> Self {
        Self {
            hasher: RandomState::default(),
            by_owner: HashTable::new(),
            owners: Vec::new(),
            free: Vec::new(),
            methods: HashMap::new(),
            subscriptions,
        }
    }

    pub fn find(&self, owner: Subscriber) -> Option<SubscriptionPlace> {
        let is_it = |it: &SubscriptionPlace| self.owners[it.0 as usize] == owner;
        self.by_owner.find(self.hash(owner), is_it).copied()
    }

    pub fn subscription(&self, owner: Subscriber) -> Option<&Subscription> {
        self.subscriptions.at(self.find(owner)?)
    }

    /// Whose a place in use is.
    pub fn owner(&self, place: SubscriptionPlace) -> Option<Subscriber> {
        self.owners.get(place.0 as usize).copied()
    }

    /// Everybody who has a subscription.
    pub fn iter(&self) -> impl Iterator<Item = Subscriber> {
        self.by_owner.iter().map(|it| self.owners[it.0 as usize])
    }

    /// Makes room for so many in all, so that they take no more memory than they need.
    pub fn expect(&mut self, count: usize) {
        self.owners.reserve_exact(count.saturating_sub(self.owners.len()));
    }

    /// Gives a subscription, as new, to one who has none.
    pub fn add(&mut self, owner: Subscriber) -> SubscriptionPlace {
        let place = self.free.pop().unwrap_or_else(|| {
            let place = u32::try_from(self.owners.len()).expect("fewer than four billion");
            self.owners.push(owner);
            self.subscriptions.reserve(SubscriptionPlace(place));
            SubscriptionPlace(place)
        });
        self.owners[place.0 as usize] = owner;
        if let Some(subscription) = self.subscriptions.at(place) {
            subscription.reset(UNTOUCHED);
        }
        let hash = self.hash(owner);
        let Self { by_owner, owners, hasher, .. } = self;
        by_owner.insert_unique(hash, place, |it| hasher.hash_one(owners[it.0 as usize]));
        place
    }

    /// The buckets of the plan's method throttles from the second on. All are full, the first too,
    /// unless those that are there were made for the same throttles.
    pub fn methods(
        &mut self,
        place: SubscriptionPlace,
        throttles: u64,
        count: usize,
    ) -> Option<Arc<[SharedBucket]>> {
        if count == 0 {
            self.methods.remove(&place);
            return None;
        }
        if let Some(known) = self.methods.get(&place).filter(|it| it.throttles == throttles) {
            return known.others.clone();
        }
        if let Some(subscription) = self.subscriptions.at(place) {
            subscription.first_method.fill();
        }
        let others = (count > 1).then(|| (1..count).map(|_| SharedBucket::full()).collect());
        self.methods.insert(place, MethodBuckets { throttles, others: others.clone() });
        others
    }

    /// Takes back what no table of keys leads to and the ledger knows all about. What is counted
    /// must not be on its way to the ledger meanwhile.
    pub fn forget_idle(&mut self) {
        let Self { by_owner, owners, hasher, free, methods, subscriptions } = self;
        by_owner.retain(|place| {
            let is_idle = subscriptions.at(*place).is_none_or(Subscription::is_idle);
            if is_idle {
                methods.remove(place);
                free.push(*place);
            }
            !is_idle
        });
        by_owner.shrink_to_fit(|it| hasher.hash_one(owners[it.0 as usize]));
    }

    fn hash(&self, owner: Subscriber) -> u64 {
        self.hasher.hash_one(owner)
    }
}

#[cfg(test)]
mod tests {
    use tollgate_throttle::Rate;

    use super::super::id::{ApiKeyId, UsagePlanId};
    use super::*;

    fn subscriber(key: u64) -> Subscriber {
        Subscriber { plan: UsagePlanId::of_hash(1), key: ApiKeyId::of_hash(key) }
    }

    #[test]
    fn a_place_that_nobody_holds_is_given_to_another_as_new() {
        let mut owners = Owners::new(Arc::default());
        let rate = Rate::new(0.001, 1).unwrap();
        let take = |owners: &Owners, key| {
            owners.subscription(subscriber(key)).unwrap().bucket.take(rate, 1).is_ok()
        };
        let place = owners.add(subscriber(1));
        assert!(take(&owners, 1) && !take(&owners, 1));
        owners.subscription(subscriber(1)).unwrap().hold();
        owners.forget_idle();
        assert_eq!(owners.find(subscriber(1)), Some(place));
        owners.subscription(subscriber(1)).unwrap().release();
        owners.forget_idle();
        assert_eq!(owners.find(subscriber(1)), None);
        assert_eq!(owners.add(subscriber(2)), place);
        assert_eq!(owners.find(subscriber(1)), None);
        assert!(take(&owners, 2));
    }

    #[test]
    fn method_buckets_are_full_again_when_throttles_change() {
        let mut owners = Owners::new(Arc::default());
        let rate = Rate::new(0.001, 1).unwrap();
        let place = owners.add(subscriber(1));
        // Those of a plan with three throttles.
        let mut take = |throttles| {
            let others = owners.methods(place, throttles, 3).unwrap();
            let first = &owners.subscription(subscriber(1)).unwrap().first_method;
            assert_eq!(others.len(), 2);
            [first, &others[0], &others[1]].map(|bucket| bucket.take(rate, 1).is_ok())
        };
        assert_eq!(take(7), [true; 3]);
        assert_eq!(take(7), [false; 3]);
        assert_eq!(take(8), [true; 3]);
        assert!(owners.methods(place, 9, 1).is_none());
    }
}
