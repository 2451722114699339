//! The API keys of a snapshot, by value.

use std::sync::Arc;

use smallvec::SmallVec;
use tollgate_throttle::SharedBucket;

use super::id::ApiKeyId;
use super::pages::Pages;
use super::settings::ApiKey;
use super::subscription::{Subscription, SubscriptionPlace, Subscriptions};
use super::value_hash::{ValueHash, ValueHasher};

/// Finds an API key by its value.
///
/// Beside a hundred thousand keys little is in the cache, so that what counts is how much memory
/// there is to read, and how often it is waited for one time after the other. A request waits
/// twice: for the entry of its key, which has a hash in the place of the value and says where the
/// subscription is, and for that. The table is open, and probed linearly.
#[derive(Default)]
pub struct Subscribers {
    hasher: ValueHasher,
    entries: Pages<Entry>,
    /// By entry: the key's number.
    numbers: Box<[u32]>,
    /// By number.
    keys: Box<[Named]>,
    several: Vec<Box<[InPlan]>>,
    subscriptions: Arc<Subscriptions>,
}

/// What only logs and mappings ask for.
struct Named {
    /// AWS's own have 40 characters; a longer one is elsewhere.
    value: SmallVec<[u8; 40]>,
    id: ApiKeyId,
}

/// A quarter of a cache line.
#[derive(Clone, Copy)]
struct Entry {
    identity: u64,
    /// A subscription's, or that of a list among `several`.
    place: u32,
    /// More of the identity.
    low: u16,
    /// A plan's, or one of the numbers below.
    plan: u16,
}

/// There is no key.
const FREE: u16 = u16::MAX;
const DISABLED: u16 = u16::MAX - 1;
/// The key is not in one plan, or the plan has throttles for several methods.
const SEVERAL: u16 = u16::MAX - 2;

/// A key in a plan.
pub struct InPlan {
    /// The plan's place among the snapshot's.
    pub plan: u16,
    pub subscription: SubscriptionPlace,
    /// Of the plan's methods that have a throttle of their own, from the second on.
    pub other_methods: Option<Arc<[SharedBucket]>>,
}

/// What a key in a plan has taken.
#[derive(Clone, Copy)]
pub struct Subscribed<'a> {
    /// The plan's place among the snapshot's.
    pub plan: u16,
    pub place: SubscriptionPlace,
    pub subscription: &'a Subscription,
    other_methods: &'a [SharedBucket],
}

/// Where an API key and one of its plans are in a snapshot's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiKeyPlace {
    entry: u32,
    /// Among the key's plans.
    nth: u8,
}

/// Why a key is not good for a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadKey {
    Unknown,
    Disabled,
    /// None of its plans has the stage.
    OfOtherStages,
}

impl BadKey {
    /// For the operator.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Unknown => "the API key is not known",
            Self::Disabled => "the API key is disabled",
            Self::OfOtherStages => "no usage plan of the API key has the stage",
        }
    }
}

impl<'a> Subscribed<'a> {
    /// The bucket of one of the plan's methods that have a throttle of their own.
    #[inline]
    pub fn of_method(self, nth: u16) -> Option<&'a SharedBucket> {
        match usize::from(nth).checked_sub(1) {
            None => Some(&self.subscription.first_method),
            Some(other) => self.other_methods.get(other),
        }
    }
}

impl Subscribers {
    /// `plans` gives the plans of a key.
    pub fn new(
        keys: Vec<ApiKey>,
        subscriptions: Arc<Subscriptions>,
        mut plans: impl FnMut(&ApiKey) -> Vec<InPlan>,
    ) -> Self {
        let hasher = ValueHasher::default();
        // Three quarters are in use: a key is found at the second or third try.
        let room = if keys.is_empty() { 0 } else { keys.len() * 4 / 3 + 1 };
        let mut entries = vec![Entry { identity: 0, place: 0, low: 0, plan: FREE }; room];
        let mut numbers = vec![0; room].into_boxed_slice();
        let mut several = Vec::new();
        for (key, number) in keys.iter().zip(0..) {
            let Some(hash) = hasher.hash(key.value.as_bytes()) else { continue };
            let (plan, place) = match key.enabled {
                false => (DISABLED, 0),
                true => plan_and_place(plans(key), &mut several),
            };
            let mut at = first(hash, room);
            while entries[at].plan != FREE {
                at = next(at, room);
            }
            entries[at] = Entry { identity: hash.identity, place, low: low(hash), plan };
            numbers[at] = number;
        }
        let named = |key: ApiKey| Named { value: key.value.into_bytes(), id: key.id };
        let keys = keys.into_iter().map(named).collect();
        let entries = Pages::of(entries.into_iter());
        let subscribers = Self { hasher, entries, numbers, keys, several, subscriptions };
        subscribers.each(Subscription::hold);
        subscribers
    }

    /// The key with this value, and that one of its plans which the stage is in.
    #[inline]
    pub fn find(
        &self,
        value: &[u8],
        is_on_stage: impl Fn(u16) -> bool,
    ) -> Result<ApiKeyPlace, BadKey> {
        let (at, entry) = self.entry(value).ok_or(BadKey::Unknown)?;
        let nth = match entry.plan {
            DISABLED => return Err(BadKey::Disabled),
            SEVERAL => {
                let plans = self.several.get(entry.place as usize);
                plans.and_then(|plans| plans.iter().position(|it| is_on_stage(it.plan)))
            }
            plan => {
                // It is asked for when the request is let through.
                self.subscriptions.prefetch(SubscriptionPlace(entry.place));
                is_on_stage(plan).then_some(0)
            }
        };
        let nth = nth.ok_or(BadKey::OfOtherStages)?;
        Ok(ApiKeyPlace { entry: at as u32, nth: nth as u8 })
    }

    #[inline]
    fn entry(&self, value: &[u8]) -> Option<(usize, Entry)> {
        let hash = self.hasher.hash(value)?;
        let room = self.entries.len();
        let mut at = first(hash, room);
        // One in four is free.
        loop {
            let entry = *self.entries.get(at)?;
            if entry.plan == FREE {
                return None;
            }
            if entry.identity == hash.identity && entry.low == low(hash) {
                return Some((at, entry));
            }
            at = next(at, room);
        }
    }

    /// What the key at a place has taken. The place has to be one that this table gave.
    #[inline]
    pub fn subscribed(&self, place: ApiKeyPlace) -> Option<Subscribed<'_>> {
        let entry = self.entries.get(place.entry as usize)?;
        let (plan, place, other_methods) = match entry.plan {
            FREE | DISABLED => return None,
            SEVERAL => {
                let plans = self.several.get(entry.place as usize)?;
                let InPlan { plan, subscription, other_methods } = plans.get(place.nth as usize)?;
                (*plan, *subscription, other_methods.as_deref().unwrap_or_default())
            }
            plan => (plan, SubscriptionPlace(entry.place), &[][..]),
        };
        let subscription = self.subscriptions.at(place)?;
        Some(Subscribed { plan, place, subscription, other_methods })
    }

    fn named(&self, place: ApiKeyPlace) -> Option<&Named> {
        self.keys.get(*self.numbers.get(place.entry as usize)? as usize)
    }

    pub fn id(&self, place: ApiKeyPlace) -> Option<ApiKeyId> {
        self.named(place).map(|key| key.id)
    }

    pub fn value(&self, place: ApiKeyPlace) -> Option<&str> {
        std::str::from_utf8(&self.named(place)?.value).ok()
    }

    /// Bytes of the table, and of all subscriptions of the registry.
    pub fn mapped(&self) -> usize {
        self.entries.bytes() + self.subscriptions.bytes()
    }

    fn each(&self, act: impl Fn(&Subscription)) {
        let of_one = self.entries.iter().filter(|entry| entry.plan < SEVERAL);
        let of_one = of_one.map(|entry| SubscriptionPlace(entry.place));
        let of_several = self.several.iter().flatten().map(|it| it.subscription);
        of_one.chain(of_several).filter_map(|place| self.subscriptions.at(place)).for_each(act);
    }
}

impl Drop for Subscribers {
    fn drop(&mut self) {
        self.each(Subscription::release);
    }
}

/// What an entry says of plans.
fn plan_and_place(mut plans: Vec<InPlan>, several: &mut Vec<Box<[InPlan]>>) -> (u16, u32) {
    if let [InPlan { plan, subscription, other_methods: None }] = &*plans {
        return (*plan, subscription.0);
    }
    plans.shrink_to_fit();
    several.push(plans.into_boxed_slice());
    (SEVERAL, several.len() as u32 - 1)
}

/// The entry to begin with. Multiplied, the higher bits of the hash count.
#[inline]
fn first(hash: ValueHash, room: usize) -> usize {
    ((u128::from(hash.place) * room as u128) >> 64) as usize
}

#[inline]
fn next(at: usize, room: usize) -> usize {
    if at + 1 == room { 0 } else { at + 1 }
}

#[inline]
fn low(hash: ValueHash) -> u16 {
    hash.place as u16
}

#[cfg(test)]
mod tests {
    use super::super::settings::ApiKeyValue;
    use super::*;

    fn key(number: u64, enabled: bool) -> ApiKey {
        ApiKey {
            id: ApiKeyId::of_hash(number),
            value: ApiKeyValue::new(&format!("{number:030}")).unwrap(),
            enabled,
            plans: SmallVec::new(),
        }
    }

    #[test]
    fn a_key_is_found_by_its_whole_value_and_the_stage_of_a_plan() {
        let subscriptions = Arc::<Subscriptions>::default();
        (0..5).for_each(|place| subscriptions.reserve(SubscriptionPlace(place)));
        let keys = vec![key(1, true), key(2, false), key(3, true), key(4, true)];
        let subscribers = Subscribers::new(keys, subscriptions, |key| {
            let plans: &[u16] = match key.id.to_string().as_str() {
                "0000000001" => &[7],
                "0000000003" => &[2, 7, 9],
                _ => &[],
            };
            let subscribed = |at: &u16| InPlan {
                plan: *at,
                subscription: SubscriptionPlace(u32::from(*at) / 2),
                other_methods: None,
            };
            plans.iter().map(subscribed).collect()
        });
        let find = |number: u64, on_stage: u16| {
            subscribers.find(format!("{number:030}").as_bytes(), |plan| plan == on_stage).map(
                |place| {
                    let plan = subscribers.subscribed(place).unwrap().plan;
                    (plan, subscribers.id(place).unwrap().to_string())
                },
            )
        };
        assert_eq!(find(1, 7), Ok((7, "0000000001".into())));
        assert_eq!(find(3, 9), Ok((9, "0000000003".into())));
        assert_eq!(find(1, 9), Err(BadKey::OfOtherStages));
        assert_eq!(find(4, 7), Err(BadKey::OfOtherStages));
        assert_eq!(find(2, 7), Err(BadKey::Disabled));
        assert_eq!(find(5, 7), Err(BadKey::Unknown));
        assert_eq!(
            subscribers.find(b"00000000000000000000000000000", |_| true),
            Err(BadKey::Unknown)
        );
        assert_eq!(subscribers.find(b"", |_| true), Err(BadKey::Unknown));
    }

    #[test]
    fn an_entry_is_a_quarter_of_a_cache_line() {
        assert_eq!(size_of::<Entry>(), 16);
    }

    #[test]
    fn a_subscription_is_held_as_long_as_a_key_leads_to_it() {
        let subscriptions = Arc::<Subscriptions>::default();
        let place = SubscriptionPlace(7);
        subscriptions.reserve(place);
        let is_idle = || subscriptions.at(place).unwrap().is_idle();
        let in_plan = |plan| InPlan { plan, subscription: place, other_methods: None };
        for plans in 1..=2 {
            let plans = |_: &ApiKey| (0..plans).map(in_plan).collect();
            let subscribers = Subscribers::new(vec![key(1, true)], subscriptions.clone(), plans);
            assert!(!is_idle());
            drop(subscribers);
            assert!(is_idle());
        }
    }

    #[test]
    fn each_of_many_keys_is_found() {
        for count in [1, 2, 3, 7, 1_000, 50_000] {
            let keys = (0..count).map(|number| key(number, false)).collect();
            let subscribers = Subscribers::new(keys, Arc::default(), |_| Vec::new());
            for number in 0..count {
                let value = format!("{number:030}");
                let (at, entry) = subscribers.entry(value.as_bytes()).unwrap();
                assert_eq!(entry.plan, DISABLED);
                let place = ApiKeyPlace { entry: at as u32, nth: 0 };
                assert_eq!(subscribers.value(place), Some(&*value));
                assert!(subscribers.entry(format!("{:030}", count + number).as_bytes()).is_none());
            }
        }
    }

    #[test]
    fn keys_that_count_up_are_found_after_a_few_tries_too() {
        const COUNT: u64 = 20_000;
        for _ in 0..10 {
            let keys = (0..COUNT).map(|number| key(number * 1_000_003, false)).collect();
            let subscribers = Subscribers::new(keys, Arc::default(), |_| Vec::new());
            let room = subscribers.entries.len();
            let tries = |number: u64| {
                let value = format!("{:030}", number * 1_000_003);
                let (at, _) = subscribers.entry(value.as_bytes()).unwrap();
                let hash = subscribers.hasher.hash(value.as_bytes()).unwrap();
                (at + room - first(hash, room)) % room + 1
            };
            // By chance 2.5 (Knuth, The Art of Computer Programming, 6.4).
            let mean = (0..COUNT).map(tries).sum::<usize>() / COUNT as usize;
            assert!(mean < 4, "{mean}");
        }
    }
}
