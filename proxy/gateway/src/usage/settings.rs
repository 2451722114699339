//! What is declared: throttles, usage plans and API keys, with no invalid values.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;

use smallvec::SmallVec;
use tollgate_model::api::{ApiId, HttpMethod};
use tollgate_throttle::{InvalidRate, Quota, Rate};

use super::id::{ApiKeyId, UsagePlanId};
use crate::execution_log::masked;

/// Usage plans of an account
/// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html>).
pub const MAX_PLANS: usize = 300;
/// Usage plans that one key is in (as above).
pub const MAX_PLANS_OF_KEY: usize = 10;
/// Methods with a throttle of their own, for each stage of a plan (as above).
pub const MAX_METHOD_THROTTLES: usize = 20;
/// API keys. AWS allows 10,000; this bound is ours, and memory's: some 200 bytes a key.
pub const MAX_KEYS: usize = 10_000_000;
/// Characters of an API key's value
/// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/api-key-file-format.html>).
pub const KEY_VALUE_LENGTH: std::ops::RangeInclusive<usize> = 20..=128;

/// So many requests a second, and so many at once.
#[derive(Clone, Copy, PartialEq)]
pub struct Throttle {
    per_second: f64,
    burst: u32,
    rate: Rate,
}

/// A usage plan.
#[derive(Clone, Debug, PartialEq)]
pub struct UsagePlan {
    pub id: UsagePlanId,
    /// Name, description and product code are kept for their reader.
    pub name: String,
    pub description: Option<String>,
    /// In AWS Marketplace.
    pub product_code: Option<String>,
    /// What each key may do on all stages of the plan together.
    pub throttle: Option<Throttle>,
    pub quota: Option<PlanQuota>,
    pub stages: Vec<ApiStage>,
}

/// A plan's quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanQuota {
    pub quota: Quota,
    /// Requests that count as used when a key's first period begins, up to the limit.
    pub offset: u64,
}

/// A stage that the keys of a plan may call.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiStage {
    pub api_id: ApiId,
    pub stage: String,
    /// What each key may do on these methods, in addition to the plan's own throttle.
    pub methods: Vec<MethodThrottle>,
}

/// A throttle of one method.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodThrottle {
    /// As configured: ANY for an ANY method.
    pub http_method: HttpMethod,
    /// The resource's path: `/pets/{id}`.
    pub path: String,
    pub throttle: Throttle,
}

/// What all clients together may do on the methods of a stage: AWS's method settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StageThrottles {
    /// `*/*`: each method without its own has one such bucket.
    pub default: Option<Throttle>,
    pub methods: Vec<MethodThrottle>,
}

/// An API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub value: ApiKeyValue,
    pub enabled: bool,
    pub plans: SmallVec<[UsagePlanId; 2]>,
}

/// What a client sends: 20 to 128 printable characters of ASCII. Does not print itself whole.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiKeyValue(SmallVec<[u8; 40]>);

/// A text that is no API key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidApiKey {
    #[error("API Key value should be at least 20 characters")]
    Short,
    #[error("API Key value exceeds maximum size of 128 characters")]
    Long,
    #[error(
        "API Key value has a character that a header can't carry; allowed: printable ASCII without spaces"
    )]
    Character,
}

/// Plans and keys that fit together, and the account's own throttle.
#[derive(Clone, Debug)]
pub struct UsageSettings(Parts);

/// What settings consist of.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    pub account: Throttle,
    /// What each client address may ask; none is no limit.
    pub clients: Option<Throttle>,
    pub plans: Vec<UsagePlan>,
    pub keys: Vec<ApiKey>,
}

/// Plans and keys that don't.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUsage {
    #[error("{0} usage plans; allowed: up to {MAX_PLANS}")]
    Plans(usize),
    #[error("usage plan {0} is there twice")]
    PlanTwice(UsagePlanId),
    #[error("usage plan {plan} has stage {stage} of API {api_id} twice")]
    StageTwice { plan: UsagePlanId, api_id: ApiId, stage: String },
    #[error(
        "usage plan {plan} has throttles for {count} methods of stage {stage} of API {api_id}; allowed: up to {MAX_METHOD_THROTTLES}"
    )]
    MethodThrottles { plan: UsagePlanId, api_id: ApiId, stage: String, count: usize },
    #[error(
        "usage plan {plan} has an offset of {offset} requests, but a limit of {limit}; allowed: up to the limit"
    )]
    Offset { plan: UsagePlanId, offset: u64, limit: u64 },
    #[error("{0} API keys; allowed: up to {MAX_KEYS}")]
    Keys(usize),
    #[error("API key {0} is there twice; give one of the two another id")]
    KeyTwice(ApiKeyId),
    #[error("API keys {0} and {1} have the same value")]
    ValueTwice(ApiKeyId, ApiKeyId),
    #[error("API key {key} is in {count} usage plans; allowed: up to {MAX_PLANS_OF_KEY}")]
    PlansOfKey { key: ApiKeyId, count: usize },
    #[error("API key {key} is in usage plan {plan}, which is not there")]
    UnknownPlan { key: ApiKeyId, plan: UsagePlanId },
    #[error("API key {key} is in usage plan {plan} twice")]
    PlanOfKeyTwice { key: ApiKeyId, plan: UsagePlanId },
    #[error(
        "API key {key} is in usage plans {one} and {other}, which both have stage {stage} of API {api_id}; allowed: one plan for each stage"
    )]
    StageOfKeyTwice {
        key: ApiKeyId,
        one: UsagePlanId,
        other: UsagePlanId,
        api_id: ApiId,
        stage: String,
    },
}

impl Throttle {
    /// Requests a second of an account in a region, of all APIs together, and the burst (as in
    /// [`MAX_PLANS`]).
    pub const ACCOUNT_PER_SECOND: f64 = 10_000.0;
    pub const ACCOUNT_BURST: u32 = 5_000;

    /// `per_second` requests each second, from 0 to [`Rate::MAX_PER_SECOND`], and `burst` at
    /// once. With 0 for one of them nothing is let through.
    ///
    /// # Errors
    /// `per_second` is out of its range.
    pub fn new(per_second: f64, burst: u32) -> Result<Self, InvalidRate> {
        Ok(Self { per_second, burst, rate: Rate::new(per_second, burst)? })
    }

    /// AWS's default for an account and region.
    pub fn of_account() -> Self {
        let (per_second, burst) = (Self::ACCOUNT_PER_SECOND, Self::ACCOUNT_BURST);
        Self::new(per_second, burst).expect("ten thousand a second is in the range")
    }

    pub fn per_second(&self) -> f64 {
        self.per_second
    }

    pub fn burst(&self) -> u32 {
        self.burst
    }

    pub(crate) fn rate(&self) -> Rate {
        self.rate
    }
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s, burst {}", self.per_second, self.burst)
    }
}

impl ApiKeyValue {
    pub fn new(text: &str) -> Result<Self, InvalidApiKey> {
        if text.len() < *KEY_VALUE_LENGTH.start() {
            return Err(InvalidApiKey::Short);
        }
        if text.len() > *KEY_VALUE_LENGTH.end() {
            return Err(InvalidApiKey::Long);
        }
        match text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Self(SmallVec::from_slice(text.as_bytes()))),
            false => Err(InvalidApiKey::Character),
        }
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(super) fn into_bytes(self) -> SmallVec<[u8; 40]> {
        self.0
    }
}

impl fmt::Debug for ApiKeyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&masked(self.text()))
    }
}

impl Default for UsageSettings {
    fn default() -> Self {
        let account = Throttle::of_account();
        Self(Parts { account, clients: None, plans: Vec::new(), keys: Vec::new() })
    }
}

impl UsageSettings {
    /// # Errors
    /// Plans and keys don't fit together.
    pub fn new(
        account: Throttle,
        plans: Vec<UsagePlan>,
        keys: Vec<ApiKey>,
    ) -> Result<Self, InvalidUsage> {
        if plans.len() > MAX_PLANS {
            return Err(InvalidUsage::Plans(plans.len()));
        }
        if keys.len() > MAX_KEYS {
            return Err(InvalidUsage::Keys(keys.len()));
        }
        let mut by_id = BTreeMap::new();
        for plan in &plans {
            check_plan(plan)?;
            if by_id.insert(plan.id, plan).is_some() {
                return Err(InvalidUsage::PlanTwice(plan.id));
            }
        }
        check_keys(&keys)?;
        for key in &keys {
            check_plans_of(key, &by_id)?;
        }
        Ok(Self(Parts { account, clients: None, plans, keys }))
    }

    /// Holds each client address, an IPv4 address or an IPv6 /64, to a throttle.
    pub fn with_clients(mut self, throttle: Option<Throttle>) -> Self {
        self.0.clients = throttle;
        self
    }

    /// These, and those of more plans and keys that have no id and no value of these. Also says
    /// which are left out, and why.
    ///
    /// # Errors
    /// They don't fit together.
    pub fn with_more(
        self,
        mut plans: Vec<UsagePlan>,
        mut keys: Vec<ApiKey>,
    ) -> Result<(Self, Vec<InvalidUsage>), InvalidUsage> {
        let Parts { account, clients, plans: own_plans, keys: own_keys } = self.0;
        let mut left_out = leave_out_plans(&own_plans, &mut plans, &mut keys);
        left_out.extend(leave_out_keys(&own_keys, &mut keys));
        let plans = [own_plans, plans].concat();
        let keys = own_keys.into_iter().chain(keys).collect();
        Ok((Self::new(account, plans, keys)?.with_clients(clients), left_out))
    }

    /// Whether a plan has the stage, so that a key may be good for it.
    pub fn has_stage(&self, api_id: &ApiId, stage: &str) -> bool {
        self.0.plans.iter().any(|plan| plan.has_stage(api_id, stage))
    }

    pub(super) fn into_parts(self) -> Parts {
        self.0
    }
}

impl UsagePlan {
    pub fn has_stage(&self, api_id: &ApiId, stage: &str) -> bool {
        self.stages.iter().any(|it| it.api_id == *api_id && it.stage == stage)
    }
}

/// Leaves out plans whose id is taken. Keys of such a plan aren't in the other one.
fn leave_out_plans(
    own: &[UsagePlan],
    plans: &mut Vec<UsagePlan>,
    keys: &mut [ApiKey],
) -> Vec<InvalidUsage> {
    let taken: BTreeSet<UsagePlanId> = own.iter().map(|plan| plan.id).collect();
    for key in keys {
        key.plans.retain(|plan| !taken.contains(plan));
    }
    let left_out = plans.extract_if(.., |plan| taken.contains(&plan.id));
    left_out.map(|plan| InvalidUsage::PlanTwice(plan.id)).collect()
}

/// Leaves out keys whose id or value is taken.
fn leave_out_keys(own: &[ApiKey], keys: &mut Vec<ApiKey>) -> Vec<InvalidUsage> {
    let ids: HashSet<ApiKeyId> = own.iter().map(|key| key.id).collect();
    let values: HashMap<&ApiKeyValue, ApiKeyId> =
        own.iter().map(|key| (&key.value, key.id)).collect();
    let mut left_out = Vec::new();
    keys.retain(|key| {
        let problem = match values.get(&key.value) {
            _ if ids.contains(&key.id) => InvalidUsage::KeyTwice(key.id),
            Some(other) => InvalidUsage::ValueTwice(*other, key.id),
            None => return true,
        };
        left_out.push(problem);
        false
    });
    left_out
}

fn check_plan(plan: &UsagePlan) -> Result<(), InvalidUsage> {
    let mut seen = BTreeSet::new();
    for stage in &plan.stages {
        let (api_id, name) = (stage.api_id.clone(), stage.stage.clone());
        if !seen.insert((&stage.api_id, &stage.stage)) {
            return Err(InvalidUsage::StageTwice { plan: plan.id, api_id, stage: name });
        }
        let count = stage.methods.len();
        if count > MAX_METHOD_THROTTLES {
            return Err(InvalidUsage::MethodThrottles {
                plan: plan.id,
                api_id,
                stage: name,
                count,
            });
        }
    }
    match plan.quota {
        Some(PlanQuota { quota: Quota { limit, .. }, offset }) if offset > limit => {
            Err(InvalidUsage::Offset { plan: plan.id, offset, limit })
        }
        _ => Ok(()),
    }
}

fn check_keys(keys: &[ApiKey]) -> Result<(), InvalidUsage> {
    let mut ids = HashSet::with_capacity(keys.len());
    for key in keys {
        if !ids.insert(key.id) {
            return Err(InvalidUsage::KeyTwice(key.id));
        }
    }
    let mut values = HashMap::with_capacity(keys.len());
    for key in keys {
        if let Some(other) = values.insert(key.value.as_bytes(), key.id) {
            return Err(InvalidUsage::ValueTwice(other, key.id));
        }
    }
    Ok(())
}

/// AWS: a key is in one plan for each stage of an API.
fn check_plans_of(
    key: &ApiKey,
    plans: &BTreeMap<UsagePlanId, &UsagePlan>,
) -> Result<(), InvalidUsage> {
    if key.plans.len() > MAX_PLANS_OF_KEY {
        return Err(InvalidUsage::PlansOfKey { key: key.id, count: key.plans.len() });
    }
    let mut found: SmallVec<[&UsagePlan; MAX_PLANS_OF_KEY]> = SmallVec::new();
    for id in &key.plans {
        let plan = plans.get(id).ok_or(InvalidUsage::UnknownPlan { key: key.id, plan: *id })?;
        if found.iter().any(|other| other.id == *id) {
            return Err(InvalidUsage::PlanOfKeyTwice { key: key.id, plan: *id });
        }
        for other in &found {
            let shared = |stage: &&ApiStage| other.has_stage(&stage.api_id, &stage.stage);
            if let Some(stage) = plan.stages.iter().find(shared) {
                return Err(InvalidUsage::StageOfKeyTwice {
                    key: key.id,
                    one: other.id,
                    other: *id,
                    api_id: stage.api_id.clone(),
                    stage: stage.stage.clone(),
                });
            }
        }
        found.push(plan);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tollgate_throttle::Period;

    use super::*;

    fn plan(id: &str, stages: &[&str]) -> UsagePlan {
        let stage = |stage: &&str| ApiStage {
            api_id: ApiId("petstore01".into()),
            stage: (*stage).to_owned(),
            methods: Vec::new(),
        };
        UsagePlan {
            id: UsagePlanId::parse(id).unwrap(),
            name: id.to_owned(),
            description: None,
            product_code: None,
            throttle: None,
            quota: None,
            stages: stages.iter().map(stage).collect(),
        }
    }

    fn key(number: u64, plans: &[&str]) -> ApiKey {
        ApiKey {
            id: ApiKeyId::of_hash(number),
            value: ApiKeyValue::new(&format!("value-of-the-key-{number:03}")).unwrap(),
            enabled: true,
            plans: plans.iter().map(|id| UsagePlanId::parse(id).unwrap()).collect(),
        }
    }

    fn refused(plans: Vec<UsagePlan>, keys: Vec<ApiKey>) -> String {
        let settings = UsageSettings::new(Throttle::of_account(), plans, keys);
        settings.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_key_may_be_in_several_plans_but_in_one_for_each_stage() {
        let plans = || {
            vec![
                plan("gold00", &["prod"]),
                plan("silver", &["test"]),
                plan("bronze", &["a", "prod"]),
            ]
        };
        assert_eq!(refused(plans(), vec![key(1, &["gold00", "silver"])]), "");
        assert_eq!(
            refused(plans(), vec![key(1, &["silver", "gold00", "bronze"])]),
            "API key 0000000001 is in usage plans gold00 and bronze, which both have stage prod \
             of API petstore01; allowed: one plan for each stage"
        );
        assert_eq!(
            refused(plans(), vec![key(1, &["silver", "silver"])]),
            "API key 0000000001 is in usage plan silver twice"
        );
        assert_eq!(
            refused(plans(), vec![key(1, &["copper"])]),
            "API key 0000000001 is in usage plan copper, which is not there"
        );
    }

    #[test]
    fn ids_and_values_are_there_once() {
        assert_eq!(
            refused(vec![plan("gold00", &[]), plan("gold00", &[])], vec![]),
            "usage plan gold00 is there twice"
        );
        assert_eq!(
            refused(vec![], vec![key(1, &[]), ApiKey { id: ApiKeyId::of_hash(2), ..key(1, &[]) }]),
            "API keys 0000000001 and 0000000002 have the same value"
        );
        assert_eq!(
            refused(vec![], vec![key(1, &[]), ApiKey { id: ApiKeyId::of_hash(1), ..key(2, &[]) }]),
            "API key 0000000001 is there twice; give one of the two another id"
        );
    }

    #[test]
    fn an_offset_is_no_larger_than_its_limit() {
        let quota = Quota { limit: 5, period: Period::Day };
        let with =
            |offset| UsagePlan { quota: Some(PlanQuota { quota, offset }), ..plan("gold00", &[]) };
        assert_eq!(refused(vec![with(5)], vec![]), "");
        assert_eq!(
            refused(vec![with(6)], vec![]),
            "usage plan gold00 has an offset of 6 requests, but a limit of 5; allowed: up to the limit"
        );
    }

    #[test]
    fn a_value_has_awss_length_and_does_not_print_itself() {
        assert_eq!(ApiKeyValue::new(&"a".repeat(19)), Err(InvalidApiKey::Short));
        assert_eq!(ApiKeyValue::new(&"a".repeat(129)), Err(InvalidApiKey::Long));
        assert_eq!(ApiKeyValue::new(&" ".repeat(20)), Err(InvalidApiKey::Character));
        assert_eq!(format!("{:?}", key(7, &[]).value), "**************ey-007");
    }
}
