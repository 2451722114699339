//! What a stage lets through: the levels of throttling, in AWS's order.
//!
//! | Level | Scope | Refusal |
//! |---|---|---|
//! | client address | IPv4 address or IPv6 /64 | THROTTLED |
//! | usage plan, method | API key × method of a stage | THROTTLED |
//! | usage plan | API key × all stages of the plan | THROTTLED |
//! | quota | API key × plan × day, week or month | QUOTA_EXCEEDED |
//! | stage, method | all clients × method | THROTTLED |
//! | account | everything this gateway serves | THROTTLED |
//!
//! The first that refuses answers, and what those before it took is given back: a request that
//! is refused counts nowhere. Only the client's address, which is asked before the request is
//! even routed, counts every request.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::quality::RandomState;
use tollgate_throttle::sketch::Sketch;
use tollgate_throttle::source::{Prefixes, Seed};
use tollgate_throttle::{Day, Quota, SharedBucket, SharedQuota};

use super::dirty::Dirty;
use super::settings::Throttle;
use super::subscribers::{ApiKeyPlace, BadKey, Subscribed, Subscribers};
use crate::metrics::ThrottleLevel;

/// A bucket that all clients share, alone in its cache lines.
#[repr(align(128))]
pub struct Limiter {
    pub throttle: Throttle,
    bucket: SharedBucket,
}

/// What each client address may ask: the twin of the kernel's throttle, for requests.
pub struct ClientLimiter {
    pub throttle: Throttle,
    prefixes: Prefixes,
    buckets: Sketch,
}

/// 1 MiB of buckets: with 6,500 addresses at their limit one in a hundred others is at it with
/// them.
const CLIENT_BUCKETS: u32 = 17;

/// The rules of a plan.
#[derive(Clone, Copy, Debug)]
pub struct PlanRules {
    pub throttle: Option<Throttle>,
    pub quota: Option<Quota>,
}

/// What a plan says of a stage.
pub enum PlanOnStage {
    Absent,
    Present,
    /// By method of the stage: the place of its bucket, and what it holds.
    WithMethods(Box<[Option<(u16, Throttle)>]>),
}

/// The limits of one stage, as a snapshot holds them.
pub struct StageLimits {
    /// Where the buckets' time begins.
    pub(super) epoch: Instant,
    pub(super) clients: Option<Arc<ClientLimiter>>,
    pub(super) account: Option<Arc<Limiter>>,
    /// In the order of the stage's methods; empty if none has any.
    pub(super) methods: Box<[Option<Arc<Limiter>>]>,
    pub(super) subscribers: Arc<Subscribers>,
    /// Of all plans.
    pub(super) plans: Arc<[PlanRules]>,
    /// In the order of `plans`.
    pub(super) on_stage: Box<[PlanOnStage]>,
    pub(super) dirty: Arc<Dirty>,
}

/// A request that asks to be let through.
#[derive(Clone, Copy)]
pub struct Applicant {
    /// The method's place in the stage.
    pub method: usize,
    pub api_key: Option<ApiKeyPlace>,
    pub now: Instant,
    /// Since the Unix epoch.
    pub time: Duration,
}

/// A request that asked too often.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Throttled {
    pub level: ThrottleLevel,
    /// Seconds after which it may be let through, 1 or more; none if it never will.
    pub retry_after: Option<u64>,
    /// What it asked more often than; none for a quota.
    pub throttle: Option<Throttle>,
}

/// The levels that a request with a route meets.
const IN_ORDER: [ThrottleLevel; 5] = [
    ThrottleLevel::UsagePlanMethod,
    ThrottleLevel::UsagePlan,
    ThrottleLevel::Quota,
    ThrottleLevel::StageMethod,
    ThrottleLevel::Account,
];

/// An applicant whose key has been looked up.
struct Asking<'a> {
    method: usize,
    subscribed: Option<Subscribed<'a>>,
    /// Nanoseconds since the buckets' time begins.
    now: u64,
    time: Duration,
}

/// Something that a request takes from.
enum Limit<'a> {
    Bucket(&'a SharedBucket, Throttle),
    Quota(&'a SharedQuota, Quota),
}

impl Limiter {
    pub fn new(throttle: Throttle) -> Self {
        Self { throttle, bucket: SharedBucket::full() }
    }

    #[inline]
    fn limit(&self) -> Limit<'_> {
        Limit::Bucket(&self.bucket, self.throttle)
    }
}

impl ClientLimiter {
    pub fn new(throttle: Throttle) -> Self {
        // Keyed by chance, so that nobody can choose addresses that share buckets with another's.
        let chance = RandomState::default();
        let seed = Seed([chance.hash_one(0), chance.hash_one(1)]);
        let buckets = Sketch::new(CLIENT_BUCKETS, seed);
        Self { throttle, prefixes: Prefixes::default(), buckets }
    }
}

impl StageLimits {
    /// Lets everything through, and knows no keys.
    pub fn none() -> Self {
        Self {
            epoch: Instant::now(),
            clients: None,
            account: None,
            methods: Box::default(),
            subscribers: Arc::default(),
            plans: Arc::default(),
            on_stage: Box::default(),
            dirty: Arc::default(),
        }
    }

    pub fn subscribers(&self) -> &Subscribers {
        &self.subscribers
    }

    /// The API key with this value, if it is good for the stage.
    pub fn find_key(&self, value: &[u8]) -> Result<ApiKeyPlace, BadKey> {
        let is_on_stage = |plan: u16| {
            !matches!(self.on_stage.get(usize::from(plan)), None | Some(PlanOnStage::Absent))
        };
        self.subscribers.find(value, is_on_stage)
    }

    /// Lets a client ask, or refuses it.
    pub fn admit_client(&self, address: IpAddr, now: Instant) -> Result<(), Throttled> {
        let Some(clients) = &self.clients else { return Ok(()) };
        let source = clients.prefixes.source(address);
        let now = self.nanoseconds(now);
        clients.buckets.take(source, clients.throttle.rate(), now).map_err(|empty| Throttled {
            level: ThrottleLevel::ClientIp,
            retry_after: empty.wait.map(Duration::from_nanos).map(in_seconds),
            throttle: Some(clients.throttle),
        })
    }

    /// Lets a request through, or says which level refuses it. Takes no lock, unless it is the
    /// first of its key since the ledger was written: then one that its thread hardly shares.
    pub fn admit(&self, applicant: Applicant) -> Result<(), Throttled> {
        let place = applicant.api_key;
        let asking = Asking {
            method: applicant.method,
            subscribed: place.and_then(|place| self.subscribers.subscribed(place)),
            now: self.nanoseconds(applicant.now),
            time: applicant.time,
        };
        let [of_method, of_plan, of_quota, of_stage, of_account] = IN_ORDER;
        self.take(of_method, &asking)?;
        self.take(of_plan, &asking)?;
        self.take(of_quota, &asking)?;
        self.take(of_stage, &asking)?;
        self.take(of_account, &asking)?;
        if let Some(Subscribed { subscription, place, .. }) = asking.subscribed {
            subscription.count(1, place, &self.dirty);
        }
        Ok(())
    }

    /// Takes from a level's limit, if there is one. Always inlined: what there is to do depends on
    /// the level, which is known when this is compiled.
    #[inline(always)]
    fn take(&self, level: ThrottleLevel, asking: &Asking<'_>) -> Result<(), Throttled> {
        let Some(limit) = self.limit(level, asking) else { return Ok(()) };
        let taken = limit.take(asking.now, asking.time);
        taken.map_err(|wait| self.refuse(level, limit.throttle(), wait, asking))
    }

    #[inline(always)]
    fn limit<'a>(&'a self, level: ThrottleLevel, asking: &Asking<'a>) -> Option<Limit<'a>> {
        match level {
            ThrottleLevel::UsagePlanMethod => self.of_method(asking.method, asking.subscribed?),
            ThrottleLevel::UsagePlan => {
                let Subscribed { plan, subscription, .. } = asking.subscribed?;
                let throttle = self.plans.get(usize::from(plan))?.throttle?;
                Some(Limit::Bucket(&subscription.bucket, throttle))
            }
            ThrottleLevel::Quota => {
                let Subscribed { plan, subscription, .. } = asking.subscribed?;
                let quota = self.plans.get(usize::from(plan))?.quota?;
                Some(Limit::Quota(&subscription.quota, quota))
            }
            ThrottleLevel::StageMethod => {
                self.methods.get(asking.method)?.as_deref().map(Limiter::limit)
            }
            ThrottleLevel::Account => self.account.as_deref().map(Limiter::limit),
            ThrottleLevel::ClientIp | ThrottleLevel::PenaltyBox => None,
        }
    }

    fn of_method<'a>(&'a self, method: usize, subscribed: Subscribed<'a>) -> Option<Limit<'a>> {
        let on_stage = self.on_stage.get(usize::from(subscribed.plan))?;
        let PlanOnStage::WithMethods(methods) = on_stage else { return None };
        let (place, throttle) = (*methods.get(method)?)?;
        Some(Limit::Bucket(subscribed.of_method(place)?, throttle))
    }

    /// Gives back what the levels before this one took.
    #[cold]
    fn refuse(
        &self,
        level: ThrottleLevel,
        throttle: Option<Throttle>,
        wait: Option<Duration>,
        asking: &Asking<'_>,
    ) -> Throttled {
        let today = Day::of_seconds(asking.time.as_secs());
        for before in IN_ORDER.into_iter().take_while(|it| *it != level) {
            if let Some(taken) = self.limit(before, asking) {
                taken.give_back(today);
            }
        }
        Throttled { level, retry_after: wait.map(in_seconds), throttle }
    }

    fn nanoseconds(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.epoch).as_nanos() as u64
    }
}

/// Whole seconds after which the wait is over.
fn in_seconds(wait: Duration) -> u64 {
    (wait.as_nanos().div_ceil(1_000_000_000) as u64).max(1)
}

impl Limit<'_> {
    /// An error is how long there will be none; none for ever. Always inlined, as
    /// [`StageLimits::take`].
    #[inline(always)]
    fn take(&self, now: u64, time: Duration) -> Result<(), Option<Duration>> {
        match self {
            Self::Bucket(bucket, throttle) => bucket
                .take(throttle.rate(), now)
                .map_err(|empty| empty.wait.map(Duration::from_nanos)),
            Self::Quota(left, quota) => {
                let today = Day::of_seconds(time.as_secs());
                left.take(*quota, today).map_err(|exceeded| {
                    let end = Duration::from_secs(exceeded.until.seconds());
                    (quota.limit > 0).then(|| end.saturating_sub(time))
                })
            }
        }
    }

    fn give_back(&self, today: Day) {
        match self {
            Self::Bucket(bucket, throttle) => bucket.give_back(throttle.rate()),
            Self::Quota(left, quota) => left.give_back(*quota, today),
        }
    }

    fn throttle(&self) -> Option<Throttle> {
        match self {
            Self::Bucket(_, throttle) => Some(*throttle),
            Self::Quota(..) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use tollgate_model::api::HttpMethod;
    use tollgate_throttle::Period;

    use super::super::benching::Fixture;
    use super::super::ledger::Subscriber;
    use super::super::{
        ApiKey, ApiKeyId, ApiKeyValue, ApiStage, MethodThrottle, PlanQuota, StageThrottles,
        UsagePlan, UsagePlanId, UsageSettings,
    };
    use super::*;

    /// The burst of each level in order: method of the plan, plan, quota, stage, account.
    fn limits(fixture: &Fixture, bursts: [u32; 5]) -> StageLimits {
        // Never refilled while a test runs.
        let throttles = bursts.map(|burst| Throttle::new(0.001, burst).unwrap());
        let [of_method, of_plan, _, of_stage, account] = throttles;
        let plan = UsagePlanId::of_hash(1);
        let throttle = MethodThrottle {
            http_method: HttpMethod::Get,
            path: "/pets".to_owned(),
            throttle: of_method,
        };
        let quota = Quota { limit: bursts[2].into(), period: Period::Day };
        let plans = vec![UsagePlan {
            id: plan,
            name: String::new(),
            description: None,
            product_code: None,
            throttle: Some(of_plan),
            quota: Some(PlanQuota { quota, offset: 0 }),
            stages: vec![ApiStage {
                api_id: fixture.stage.api_id.clone(),
                stage: fixture.stage.stage_name.clone(),
                methods: vec![throttle],
            }],
        }];
        let keys = (1..=2).map(|number| ApiKey {
            id: ApiKeyId::of_hash(number),
            value: ApiKeyValue::new(&value(number)).unwrap(),
            enabled: true,
            plans: [plan].into_iter().collect(),
        });
        let settings = UsageSettings::new(account, plans, keys.collect()).unwrap();
        let linked = fixture.registry.link(settings).unwrap();
        let throttles = StageThrottles { default: Some(of_stage), methods: Vec::new() };
        fixture.registry.stage(&linked, &fixture.stage, &throttles)
    }

    fn value(key: u64) -> String {
        format!("a-key-with-the-number-{key}")
    }

    fn ask(limits: &StageLimits, key: u64) -> Result<(), ThrottleLevel> {
        let api_key = Some(limits.find_key(value(key).as_bytes()).unwrap());
        let time = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let applicant = Applicant { method: 0, api_key, now: Instant::now(), time };
        limits.admit(applicant).map_err(|throttled| throttled.level)
    }

    #[test]
    fn each_level_refuses_in_its_turn_and_what_was_taken_before_it_is_given_back() {
        use ThrottleLevel as Level;
        let levels = [
            Level::UsagePlanMethod,
            Level::UsagePlan,
            Level::Quota,
            Level::StageMethod,
            Level::Account,
        ];
        for (place, level) in levels.into_iter().enumerate() {
            let mut bursts = [3; 5];
            bursts[place] = 1;
            let fixture = Fixture::new();
            let limits = limits(&fixture, bursts);
            assert_eq!(ask(&limits, 1), Ok(()));
            // More often than any other level has: they are all as they were.
            for _ in 0..10 {
                assert_eq!(ask(&limits, 1), Err(level));
            }
            let (plan, key) = (UsagePlanId::of_hash(1), ApiKeyId::of_hash(1));
            let left = fixture.registry.last_left(Subscriber { plan, key }).unwrap().remaining;
            assert_eq!(left, u64::from(bursts[2]) - 1, "{level:?}");
        }
    }

    #[test]
    fn a_key_that_is_beyond_its_plan_leaves_others_what_they_have() {
        let fixture = Fixture::new();
        let limits = limits(&fixture, [9, 2, 9, 3, 9]);
        let admitted = |key| (0..10).filter(|_| ask(&limits, key).is_ok()).count();
        assert_eq!((admitted(1), admitted(2)), (2, 1));
    }

    #[test]
    fn linking_again_keeps_buckets_whose_throttle_is_the_same() {
        let fixture = Fixture::new();
        let first = limits(&fixture, [1, 9, 9, 2, 9]);
        assert_eq!(ask(&first, 1), Ok(()));
        let again = limits(&fixture, [1, 9, 9, 2, 9]);
        assert_eq!(ask(&again, 1), Err(ThrottleLevel::UsagePlanMethod));
        assert_eq!(ask(&again, 2), Ok(()));
        let changed = limits(&fixture, [2, 9, 9, 3, 9]);
        assert_eq!(ask(&changed, 1), Ok(()));
    }

    #[test]
    fn what_no_snapshot_has_is_forgotten_when_it_is_written() {
        let fixture = Fixture::new();
        let limits = limits(&fixture, [9; 5]);
        assert_eq!(ask(&limits, 1), Ok(()));
        let plan = UsagePlanId::of_hash(1);
        fixture.registry.forget_subscriptions();
        assert_eq!(fixture.registry.keys_of(plan).len(), 2);
        drop(limits);
        fixture.registry.forget_subscriptions();
        // The first has counted something that the ledger doesn't know yet.
        assert_eq!(fixture.registry.keys_of(plan), [ApiKeyId::of_hash(1)]);
        fixture.flush();
        fixture.registry.forget_subscriptions();
        assert!(fixture.registry.keys_of(plan).is_empty());
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_client() {
        let limits = StageLimits {
            clients: Some(Arc::new(ClientLimiter::new(Throttle::new(0.001, 1).unwrap()))),
            ..StageLimits::none()
        };
        let ask = |address: &str| limits.admit_client(address.parse().unwrap(), Instant::now());
        assert!(ask("2001:db8::1").is_ok());
        assert_eq!(ask("2001:db8::2").unwrap_err().level, ThrottleLevel::ClientIp);
        assert!(ask("2001:db8:0:1::1").is_ok());
        assert!(ask("192.0.2.1").is_ok());
        assert!(ask("192.0.2.1").is_err());
        assert!(ask("192.0.2.2").is_ok());
    }
}
