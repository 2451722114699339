//! The buckets and counters of everything that is limited, for as long as something limits it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tollgate_model::api::{ApiId, HttpMethod};
use tollgate_model::compile::CompiledStage;
use tollgate_throttle::{Day, Left, Quota};

use super::dirty::Dirty;
use super::id::{ApiKeyId, UsagePlanId};
use super::ledger::{Counted, Ledger, LedgerError, Subscriber};
use super::limits::{ClientLimiter, Limiter, PlanOnStage, PlanRules, StageLimits};
use super::owners::Owners;
use super::settings::{
    ApiKey, ApiStage, MethodThrottle, Parts, PlanQuota, StageThrottles, Throttle, UsagePlan,
    UsageSettings,
};
use super::subscribers::{InPlan, Subscribers};
use super::subscription::{Subscription, SubscriptionPlace, Subscriptions};

/// Subscriptions in one transaction.
const TRANSACTION: usize = 10_000;

/// Outlives snapshots. Locks are taken when settings are published, a report is asked for or the
/// ledger is written; never by requests.
pub struct Registry {
    epoch: Instant,
    subscriptions: Arc<Subscriptions>,
    known: Mutex<Known>,
    dirty: Arc<Dirty>,
    ledger: Ledger,
    /// Taken by who writes. The day on which old days were forgotten last.
    writing: Mutex<Option<Day>>,
    /// The minute, since the Unix epoch, in which the log last said that the account's throttle
    /// refuses requests.
    said_in: AtomicU64,
}

struct Known {
    owners: Owners,
    plans: HashMap<UsagePlanId, Option<PlanQuota>>,
    /// By API and stage, so that a stage that goes is all that is looked at.
    stages: HashMap<(ApiId, String), MethodLimiters>,
    account: Option<Arc<Limiter>>,
    clients: Option<Arc<ClientLimiter>>,
}

/// The buckets of a stage's methods that have a throttle.
type MethodLimiters = HashMap<(HttpMethod, String), Arc<Limiter>>;

/// Settings with their buckets and counters: what the stages of a snapshot share.
pub struct Linked {
    account: Arc<Limiter>,
    clients: Option<Arc<ClientLimiter>>,
    declared: Vec<UsagePlan>,
    rules: Arc<[PlanRules]>,
    subscribers: Arc<Subscribers>,
}

impl Linked {
    /// How many hold the keys; the one that this is, too.
    pub fn holders(&self) -> usize {
        Arc::strong_count(&self.subscribers)
    }
}

impl Registry {
    /// Reads what was used before from a directory; without one it is forgotten at the end.
    pub fn open(directory: Option<&Path>) -> Result<Self, LedgerError> {
        let subscriptions = Arc::<Subscriptions>::default();
        Ok(Self {
            epoch: Instant::now(),
            known: Mutex::new(Known::new(subscriptions.clone())),
            subscriptions,
            dirty: Arc::default(),
            ledger: Ledger::open(directory)?,
            writing: Mutex::default(),
            said_in: AtomicU64::new(0),
        })
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Says in the log, once a minute at most, that the account's throttle has refused a request:
    /// it is on without anyone having asked for it.
    pub fn account_refused(&self, time: Duration, throttle: Option<Throttle>) {
        let minute = time.as_secs() / 60;
        if self.said_in.load(Ordering::Relaxed) == minute
            || self.said_in.swap(minute, Ordering::Relaxed) == minute
        {
            return;
        }
        if let Some(throttle) = throttle {
            tracing::warn!(
                rate = throttle.per_second(),
                burst = throttle.burst(),
                "the account's throttle refuses requests; account.throttle in the configuration \
                 raises it"
            );
        }
    }

    /// Finds or makes the buckets and counters of settings.
    pub fn link(&self, settings: UsageSettings) -> Result<Linked, LedgerError> {
        let Parts { account, clients, plans: declared, keys } = settings.into_parts();
        // Nobody else writes meanwhile, and what is counted but not written would be missing
        // where a quota is looked up.
        let mut pruned = self.writing.lock();
        self.write_counted(&mut pruned)?;
        let mut known = self.known.lock();
        let subscribers = known.subscribe(&self.ledger, &self.subscriptions, &declared, keys)?;
        known.plans = declared.iter().map(|plan| (plan.id, plan.quota)).collect();
        let rules = declared.iter().map(|plan| PlanRules {
            throttle: plan.throttle,
            quota: plan.quota.map(|it| it.quota),
        });
        Ok(Linked {
            account: known.account(account),
            clients: known.clients(clients),
            rules: rules.collect(),
            declared,
            subscribers: Arc::new(subscribers),
        })
    }

    /// The limits of a stage.
    pub fn stage(
        &self,
        linked: &Linked,
        compiled: &CompiledStage,
        throttles: &StageThrottles,
    ) -> StageLimits {
        StageLimits {
            epoch: self.epoch,
            clients: linked.clients.clone(),
            account: Some(linked.account.clone()),
            methods: self.known.lock().methods(compiled, throttles),
            subscribers: linked.subscribers.clone(),
            plans: linked.rules.clone(),
            on_stage: linked.declared.iter().map(|plan| plan_on_stage(plan, compiled)).collect(),
            dirty: self.dirty.clone(),
        }
    }

    /// Drops the buckets of a stage's methods that no snapshot has any more.
    pub fn forget_methods(&self, api_id: ApiId, stage: String) {
        let stages = &mut self.known.lock().stages;
        if let Entry::Occupied(mut limiters) = stages.entry((api_id, stage)) {
            limiters.get_mut().retain(|_, limiter| Arc::strong_count(limiter) > 1);
            if limiters.get().is_empty() {
                limiters.remove();
            }
        }
        stages.shrink_to(2 * stages.len());
    }

    /// Stages that have throttled methods.
    #[cfg(test)]
    pub fn throttled_stages(&self) -> usize {
        self.known.lock().stages.len()
    }

    /// Drops the counters of keys that no snapshot has any more.
    pub fn forget_subscriptions(&self) {
        // What is being written is not forgotten meanwhile.
        let _writing = self.writing.lock();
        self.known.lock().owners.forget_idle();
    }

    /// Writes what was counted since the last time. What can't be written stays counted.
    pub fn flush(&self) -> Result<(), LedgerError> {
        self.write_counted(&mut self.writing.lock())
    }

    fn write_counted(&self, pruned: &mut Option<Day>) -> Result<(), LedgerError> {
        let today = today();
        // Each is tried: what one transaction can't write stays in the list.
        let mut written = Ok(());
        for places in self.dirty.take().chunks(TRANSACTION) {
            written = written.and(self.write(places, today));
        }
        written?;
        if *pruned != Some(today) && self.ledger.prune(today, TRANSACTION)? < TRANSACTION {
            self.forget_quotas(today)?;
            *pruned = Some(today);
        }
        Ok(())
    }

    fn write(&self, places: &[SubscriptionPlace], today: Day) -> Result<(), LedgerError> {
        let counted: Vec<(SubscriptionPlace, &Subscription, Counted)> = {
            let known = self.known.lock();
            places.iter().filter_map(|place| self.counted(&known, *place)).collect()
        };
        let requests: Vec<Counted> = counted.iter().map(|(.., counted)| *counted).collect();
        match self.ledger.add(&requests, today) {
            Ok(written) => {
                for ((_, subscription, counted), left) in counted.iter().zip(written) {
                    if let (Some(quota), Some(left)) = (counted.quota, left) {
                        follow(subscription, quota, left, today);
                    }
                }
                Ok(())
            }
            Err(error) => {
                for (place, subscription, counted) in &counted {
                    let requests = u32::try_from(counted.requests).unwrap_or(u32::MAX);
                    subscription.count(requests, *place, &self.dirty);
                }
                Err(error)
            }
        }
    }

    /// Takes what a subscription has counted.
    fn counted(
        &self,
        known: &Known,
        place: SubscriptionPlace,
    ) -> Option<(SubscriptionPlace, &Subscription, Counted)> {
        let subscriber = known.owners.owner(place)?;
        let subscription = self.subscriptions.at(place)?;
        let quota = known.plans.get(&subscriber.plan).copied().flatten().map(|it| it.quota);
        let requests = subscription.take_counted().into();
        Some((place, subscription, Counted { subscriber, requests, quota }))
    }

    fn forget_quotas(&self, today: Day) -> Result<(), LedgerError> {
        let is_known = |it: Subscriber| self.known.lock().owners.find(it).is_some();
        self.ledger.forget_quotas(today, is_known)
    }

    /// Says what is left of a key's quota in the period that it is in. Gives false if the key is
    /// not in the plan.
    pub fn set_remaining(
        &self,
        subscriber: Subscriber,
        quota: Quota,
        remaining: u64,
    ) -> Result<bool, LedgerError> {
        let mut pruned = self.writing.lock();
        self.write_counted(&mut pruned)?;
        let place = self.known.lock().owners.find(subscriber);
        let Some(subscription) = place.and_then(|place| self.subscriptions.at(place)) else {
            return Ok(false);
        };
        let before = quota.left(subscription.quota.last(), today());
        let left = Left { remaining, ..before };
        self.ledger.set(subscriber, quota, left)?;
        subscription.quota.set(left);
        Ok(true)
    }

    /// The quota of a plan that is there.
    pub fn plan(&self, plan: UsagePlanId) -> Option<Option<PlanQuota>> {
        self.known.lock().plans.get(&plan).copied()
    }

    /// What was left of a key's quota after its last change; none if it is not in the plan.
    pub fn last_left(&self, subscriber: Subscriber) -> Option<Left> {
        let known = self.known.lock();
        Some(known.owners.subscription(subscriber)?.quota.last())
    }

    /// The keys of a plan, in order.
    pub fn keys_of(&self, plan: UsagePlanId) -> Vec<ApiKeyId> {
        let known = self.known.lock();
        let of_plan = known.owners.iter().filter(|it| it.plan == plan);
        let mut keys: Vec<ApiKeyId> = of_plan.map(|it| it.key).collect();
        keys.sort_unstable();
        keys
    }
}

impl Known {
    fn new(subscriptions: Arc<Subscriptions>) -> Self {
        Self {
            owners: Owners::new(subscriptions),
            plans: HashMap::new(),
            stages: HashMap::new(),
            account: None,
            clients: None,
        }
    }

    /// The keys with their subscriptions: those that are there already, and new ones with what
    /// the ledger says.
    fn subscribe(
        &mut self,
        ledger: &Ledger,
        subscriptions: &Arc<Subscriptions>,
        plans: &[UsagePlan],
        keys: Vec<ApiKey>,
    ) -> Result<Subscribers, LedgerError> {
        let by_id: HashMap<UsagePlanId, (u16, &UsagePlan)> =
            plans.iter().zip(0..).map(|(plan, place)| (plan.id, (place, plan))).collect();
        let method_throttles: Vec<(u64, usize)> = plans.iter().map(method_throttles).collect();
        self.owners.expect(keys.iter().map(|key| key.plans.len()).sum());
        let mut to_resume = Vec::new();
        for (key, id) in keys.iter().flat_map(|key| key.plans.iter().map(move |id| (key.id, id))) {
            let Some((_, plan)) = by_id.get(id) else { continue };
            let subscriber = Subscriber { plan: plan.id, key };
            let known = self.owners.find(subscriber);
            let place = known.unwrap_or_else(|| self.owners.add(subscriber));
            let known_quota = self.plans.get(&plan.id).copied().flatten();
            if let Some(quota) = plan.quota
                && (known.is_none() || known_quota.map(|it| it.quota) != Some(quota.quota))
            {
                to_resume.push((place, (subscriber, quota)));
            }
        }
        resume(ledger, subscriptions, to_resume)?;
        Ok(Subscribers::new(keys, subscriptions.clone(), |key| {
            let plans = key.plans.iter().filter_map(|id| {
                let (plan, _) = *by_id.get(id)?;
                let subscription = self.owners.find(Subscriber { plan: *id, key: key.id })?;
                let (throttles, count) = method_throttles[usize::from(plan)];
                let other_methods = self.owners.methods(subscription, throttles, count);
                Some(InPlan { plan, subscription, other_methods })
            });
            plans.collect()
        }))
    }

    fn account(&mut self, throttle: Throttle) -> Arc<Limiter> {
        match &self.account {
            Some(limiter) if limiter.throttle == throttle => limiter.clone(),
            _ => self.account.insert(Arc::new(Limiter::new(throttle))).clone(),
        }
    }

    fn clients(&mut self, throttle: Option<Throttle>) -> Option<Arc<ClientLimiter>> {
        if self.clients.as_ref().map(|limiter| limiter.throttle) != throttle {
            self.clients = throttle.map(|throttle| Arc::new(ClientLimiter::new(throttle)));
        }
        self.clients.clone()
    }

    /// The buckets of a stage's methods, full ones where a throttle has changed. Empty if nothing
    /// is throttled.
    fn methods(
        &mut self,
        stage: &CompiledStage,
        throttles: &StageThrottles,
    ) -> Box<[Option<Arc<Limiter>>]> {
        if *throttles == StageThrottles::default() {
            return Box::default();
        }
        let key = (stage.api_id.clone(), stage.stage_name.clone());
        let limiters = self.stages.entry(key).or_default();
        let methods = stage.methods.iter().map(|method| {
            let path = &stage.resources[method.resource].path;
            let own = throttles.methods.iter().find(|it| it.is_of(method.http_method, path));
            let throttle = own.map(|it| it.throttle).or(throttles.default)?;
            let limiter = limiters
                .entry((method.http_method, path.clone()))
                .or_insert_with(|| Arc::new(Limiter::new(throttle)));
            if limiter.throttle != throttle {
                *limiter = Arc::new(Limiter::new(throttle));
            }
            Some(limiter.clone())
        });
        methods.collect()
    }
}

fn resume(
    ledger: &Ledger,
    subscriptions: &Subscriptions,
    to_resume: Vec<(SubscriptionPlace, (Subscriber, PlanQuota))>,
) -> Result<(), LedgerError> {
    if to_resume.is_empty() {
        return Ok(());
    }
    let (places, subscribers): (Vec<_>, Vec<_>) = to_resume.into_iter().unzip();
    let left = ledger.resume(&subscribers, today())?;
    for (place, left) in places.into_iter().zip(left) {
        if let Some(subscription) = subscriptions.at(place) {
            subscription.quota.set(left);
        }
    }
    Ok(())
}

/// Another process may have counted too: what is left is never more than the ledger says.
fn follow(subscription: &Subscription, quota: Quota, written: Left, today: Day) {
    let mine = quota.left(subscription.quota.last(), today);
    if mine.first_day == written.first_day && mine.remaining > written.remaining {
        let others = mine.remaining - written.remaining;
        subscription.quota.subtract(quota, today, others);
    }
}

fn plan_on_stage(plan: &UsagePlan, compiled: &CompiledStage) -> PlanOnStage {
    let is_it = |it: &ApiStage| it.api_id == compiled.api_id && it.stage == compiled.stage_name;
    let Some(at) = plan.stages.iter().position(is_it) else { return PlanOnStage::Absent };
    if plan.stages[at].methods.is_empty() {
        return PlanOnStage::Present;
    }
    let before: usize = plan.stages[..at].iter().map(|stage| stage.methods.len()).sum();
    let throttles = &plan.stages[at].methods;
    let methods = compiled.methods.iter().map(|method| {
        let path = &compiled.resources[method.resource].path;
        let place = throttles.iter().position(|it| it.is_of(method.http_method, path))?;
        Some(((before + place) as u16, throttles[place].throttle))
    });
    PlanOnStage::WithMethods(methods.collect())
}

/// What tells the method throttles of a plan from others, and how many there are.
fn method_throttles(plan: &UsagePlan) -> (u64, usize) {
    let mut hasher = std::hash::DefaultHasher::new();
    let mut count = 0;
    for stage in &plan.stages {
        for method in &stage.methods {
            (&stage.api_id.0, &stage.stage, method.http_method.as_str(), &method.path)
                .hash(&mut hasher);
            (method.throttle.per_second().to_bits(), method.throttle.burst()).hash(&mut hasher);
            count += 1;
        }
    }
    (hasher.finish(), count)
}

impl MethodThrottle {
    fn is_of(&self, http_method: HttpMethod, path: &str) -> bool {
        self.http_method == http_method && self.path == path
    }
}

/// The day it is.
pub(super) fn today() -> Day {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Day::of_seconds(time.as_secs())
}
