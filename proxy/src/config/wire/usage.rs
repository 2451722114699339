//! The parts of the configuration file about throttles, usage plans and API keys.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Count, Flag, Located, Maybe, Number, Text};

/// The account that all APIs here belong to.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// What all APIs of this gateway together let through. Default: 10000 a second, with a burst
    /// of 5000, as on AWS.
    #[serde(default)]
    pub throttle: Option<Throttle>,
    /// What each client address (an IPv4 address or an IPv6 /64) may ask of all APIs together,
    /// whatever the answers are. Default: no such throttle.
    #[serde(default)]
    pub client_throttle: Option<Throttle>,
}

/// A token bucket. What is beyond it gets 429.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// Requests a second, 0 (none at all) to 10000000. Default: that of the throttle around it:
    /// stage for a method, plan for a method of it, else account.
    #[serde(default)]
    pub rate: Maybe<Number>,
    /// Requests at once, 0 (none at all) to 4294967295. Default: as for the rate.
    #[serde(default)]
    pub burst: Maybe<Count>,
}

/// A usage plan: what each of its API keys may do.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["id"]))]
pub struct UsagePlan {
    /// 6 characters of a-z and 0-9: what API keys, reports and the ledger call it. Under another
    /// id it is another plan, and what was used of the old one does not count.
    #[serde(default)]
    pub id: Maybe<Text>,
    /// A name for people. Default: the id.
    #[serde(default)]
    pub name: Maybe<Text>,
    /// A description. Only for the reader.
    #[serde(default)]
    pub description: Maybe<Text>,
    /// The product in AWS Marketplace. Only for the reader.
    #[serde(default)]
    pub product_code: Maybe<Text>,
    /// What each key may do on all stages of the plan together. Default: no throttle.
    #[serde(default)]
    pub throttle: Option<Throttle>,
    /// How many requests each key may make in a period. Default: no quota.
    #[serde(default)]
    pub quota: Option<Located<Quota>>,
    /// The stages that the keys are good for.
    #[serde(default)]
    pub api_stages: Vec<Located<ApiStage>>,
}

/// A number of requests in each period.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["limit", "period"]))]
pub struct Quota {
    /// Requests in a period, 0 to 1000000000000.
    #[serde(default)]
    pub limit: Maybe<Count>,
    /// day, week (from Monday) or month; each begins at midnight UTC.
    #[serde(default)]
    pub period: Maybe<Period>,
    /// Requests that count as used when a key's first period begins, 0 to the limit. Default 0.
    #[serde(default)]
    #[schemars(extend("default" = 0))]
    pub offset: Maybe<Count>,
}

/// How long a quota lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    Day,
    Week,
    Month,
}

/// A stage of a usage plan.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["api_id", "stage"]))]
pub struct ApiStage {
    /// The `api_id` of an entry in `apis`.
    #[serde(default)]
    pub api_id: Maybe<Text>,
    /// Its stage.
    #[serde(default)]
    pub stage: Maybe<Text>,
    /// Methods, as in `GET /pets/{id}`, with a throttle for each key besides the plan's; up to 20.
    #[serde(default)]
    pub methods: BTreeMap<String, Located<PlanMethod>>,
}

/// A method of a stage in a usage plan.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["throttle"]))]
pub struct PlanMethod {
    /// What each key may do on this method.
    #[serde(default)]
    pub throttle: Option<Throttle>,
}

/// An API key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["value"]))]
pub struct ApiKey {
    /// 10 characters of a-z and 0-9: what reports and logs call it. Default: made from the value.
    #[serde(default)]
    pub id: Maybe<Text>,
    /// A name for people, up to 1024 characters.
    #[serde(default)]
    pub name: Maybe<Text>,
    /// What clients send in x-api-key: 20 to 128 characters of printable ASCII.
    #[serde(default)]
    pub value: Maybe<Text>,
    /// Whether it can be used. Default true.
    #[serde(default)]
    #[schemars(extend("default" = true))]
    pub enabled: Maybe<Flag>,
    /// The ids of its usage plans, up to 10, of which only one may have a given stage.
    #[serde(default)]
    pub usage_plans: Vec<Text>,
}
