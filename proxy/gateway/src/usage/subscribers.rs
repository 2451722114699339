//! The API keys of a snapshot, by value.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use smallvec::SmallVec;

use super::id::ApiKeyId;
use super::settings::ApiKey;
use super::subscription::{MethodBuckets, Subscription};

/// Finds an API key by its value.
///
/// Beside a hundred thousand keys nothing is in the cache, so that what counts is how often memory
/// is waited for, one time after the other. The table leads to the value, which is compared, and
/// to the subscription: the processor fetches both at once, and the two waits are all there is.
#[derive(Default)]
pub struct Subscribers {
    /// Keyed by chance, so that nobody can choose values that collide.
    hasher: RandomState,
    by_value: HashTable<Subscriber>,
    /// AWS's own have 40 characters; a longer one is elsewhere.
    values: Box<[SmallVec<[u8; 40]>]>,
}

struct Subscriber {
    /// The place of its value.
    value: u32,
    subscriptions: Subscriptions,
}

/// A key's plan.
pub struct Subscribed {
    /// The plan's place among the snapshot's.
    pub plan: u16,
    pub subscription: Arc<Subscription>,
    /// None if the plan has no throttles of methods.
    pub methods: Option<Arc<MethodBuckets>>,
}

/// The plans of a key.
enum Subscriptions {
    Disabled,
    One(Subscribed),
    #[expect(
        clippy::box_collection,
        reason = "few keys have several plans, and each would take a word more"
    )]
    Several(Box<Vec<Subscribed>>),
}

/// Where an API key and one of its plans are in a snapshot's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiKeyPlace {
    bucket: u32,
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

impl Subscribers {
    /// `subscriptions` gives the plans of a key.
    pub fn new(
        keys: Vec<ApiKey>,
        mut subscriptions: impl FnMut(&ApiKey) -> Vec<Subscribed>,
    ) -> Self {
        let hasher = RandomState::default();
        let hash = |value: &[u8]| hasher.hash_one(value);
        let subscriptions: Vec<_> = keys
            .iter()
            .map(|key| match key.enabled {
                true => Subscriptions::new(subscriptions(key)),
                false => Subscriptions::Disabled,
            })
            .collect();
        let values: Box<[_]> = keys.into_iter().map(|key| key.value.into_bytes()).collect();
        let mut by_value = HashTable::with_capacity(values.len());
        for (number, subscriptions) in subscriptions.into_iter().enumerate() {
            let subscriber = Subscriber { value: number as u32, subscriptions };
            let rehash = |other: &Subscriber| hash(&values[other.value as usize]);
            by_value.insert_unique(hash(&values[number]), subscriber, rehash);
        }
        Self { hasher, by_value, values }
    }

    /// The key with this value, and that one of its plans which the stage is in.
    #[inline]
    pub fn find(
        &self,
        value: &[u8],
        is_on_stage: impl Fn(u16) -> bool,
    ) -> Result<ApiKeyPlace, BadKey> {
        let hash = self.hasher.hash_one(value);
        let is_value = |it: &Subscriber| *self.values[it.value as usize] == *value;
        let bucket = self.by_value.find_bucket_index(hash, is_value).ok_or(BadKey::Unknown)?;
        let subscriber = self.by_value.get_bucket(bucket).ok_or(BadKey::Unknown)?;
        let plans = match &subscriber.subscriptions {
            Subscriptions::Disabled => return Err(BadKey::Disabled),
            Subscriptions::One(plan) => std::slice::from_ref(plan),
            Subscriptions::Several(plans) => plans,
        };
        let found = plans.iter().zip(0..).find(|(it, _)| is_on_stage(it.plan));
        let (_, nth) = found.ok_or(BadKey::OfOtherStages)?;
        Ok(ApiKeyPlace { bucket: bucket as u32, nth })
    }

    /// What the key at a place has taken. The place has to be one that this table gave.
    #[inline]
    pub fn subscribed(&self, place: ApiKeyPlace) -> Option<&Subscribed> {
        match &self.subscriber(place)?.subscriptions {
            Subscriptions::Disabled => None,
            Subscriptions::One(plan) => Some(plan),
            Subscriptions::Several(plans) => plans.get(usize::from(place.nth)),
        }
    }

    fn subscriber(&self, place: ApiKeyPlace) -> Option<&Subscriber> {
        self.by_value.get_bucket(place.bucket as usize)
    }

    pub fn id(&self, place: ApiKeyPlace) -> Option<ApiKeyId> {
        self.subscribed(place).map(|it| it.subscription.key)
    }

    pub fn value(&self, place: ApiKeyPlace) -> Option<&str> {
        std::str::from_utf8(self.values.get(self.subscriber(place)?.value as usize)?).ok()
    }
}

impl Subscriptions {
    fn new(mut plans: Vec<Subscribed>) -> Self {
        match plans.len() {
            1 => plans.pop().map_or(Self::Disabled, Self::One),
            _ => {
                plans.shrink_to_fit();
                Self::Several(Box::new(plans))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::id::UsagePlanId;
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
        let plan = UsagePlanId::of_hash(1);
        let keys = vec![key(1, true), key(2, false), key(3, true), key(4, true)];
        let subscribers = Subscribers::new(keys, |key| {
            let plans: &[u16] = match key.id.to_string().as_str() {
                "0000000001" => &[7],
                "0000000003" => &[2, 7, 9],
                _ => &[],
            };
            let subscribed = |at: &u16| Subscribed {
                plan: *at,
                subscription: Arc::new(Subscription::new(plan, key.id)),
                methods: None,
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
}
