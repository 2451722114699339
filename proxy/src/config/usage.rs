//! What the configuration file says about throttles, usage plans and API keys, checked. Whether
//! plans and keys fit together is looked at when the keys' file has been read
//! ([`crate::api_keys`]).

use std::collections::BTreeMap;

use tollgate_gateway::usage::{
    ApiKey, ApiKeyId, ApiKeyValue, ApiStage, MethodThrottle, PlanQuota, StageThrottles, Throttle,
    UsagePlan, UsagePlanId,
};
use tollgate_model::api::{ApiId, HttpMethod};
use tollgate_throttle::{Period, Quota, Rate};

use super::checked::{ApiConfig, Checker};
use super::wire::usage as wire;
use super::wire::{Located, Scalar};
use super::{ConfigError, values};
use crate::definitions::stable_hash;

/// The throttle of the account.
pub fn account(wire: Option<&wire::Account>, at: &Checker<'_>) -> Result<Throttle, ConfigError> {
    let default = Throttle::of_account();
    match wire.and_then(|wire| wire.throttle.as_ref()) {
        Some(wire) => throttle(wire, default, "account.throttle", at),
        None => Ok(default),
    }
}

/// The throttle of each client address.
pub fn clients(
    wire: Option<&wire::Account>,
    account: Throttle,
    at: &Checker<'_>,
) -> Result<Option<Throttle>, ConfigError> {
    let wire = wire.and_then(|wire| wire.client_throttle.as_ref());
    wire.map(|wire| throttle(wire, account, "account.client_throttle", at)).transpose()
}

/// The method settings of a stage.
pub fn stage_throttles(
    default: Option<&wire::Throttle>,
    methods: &BTreeMap<String, Located<super::wire::plugins::Method>>,
    account: Throttle,
    key: &impl Fn(&str) -> String,
    at: &Checker<'_>,
) -> Result<StageThrottles, ConfigError> {
    let default = default.map(|wire| throttle(wire, account, &key("throttle"), at)).transpose()?;
    let mut throttles = StageThrottles { default, methods: Vec::new() };
    for (name, method) in methods {
        let Some(wire) = &method.throttle else { continue };
        let key = key(&format!("methods.{name}"));
        let (http_method, path) = named(name, method.line(), &key, at)?;
        let inherited = default.unwrap_or(account);
        let throttle = throttle(wire, inherited, &format!("{key}.throttle"), at)?;
        throttles.methods.push(MethodThrottle { http_method, path, throttle });
    }
    Ok(throttles)
}

/// Checks `usage_plans` against `apis`.
pub fn plans(
    wire: &[Located<wire::UsagePlan>],
    apis: &[ApiConfig],
    account: Throttle,
    at: &Checker<'_>,
) -> Result<Vec<UsagePlan>, ConfigError> {
    let mut plans: Vec<UsagePlan> = Vec::with_capacity(wire.len());
    for (index, plan) in wire.iter().enumerate() {
        let key = |name: &str| format!("usage_plans[{index}].{name}");
        let id = at.present(&plan.id, plan.line(), &key("id"))?;
        let line = id.line();
        let id = at.required(id, &key("id"), plan_id)?;
        if plans.iter().any(|other| other.id == id) {
            let problem = format!("{id} is the id of another plan already");
            return Err(at.refuse(Some(line), &key("id"), problem));
        }
        let own = plan
            .throttle
            .as_ref()
            .map(|wire| throttle(wire, account, &key("throttle"), at))
            .transpose()?;
        let quota = plan.quota.as_ref().map(|wire| quota(wire, &key("quota"), at)).transpose()?;
        let mut stages = Vec::with_capacity(plan.api_stages.len());
        for (number, stage) in plan.api_stages.iter().enumerate() {
            let key = key(&format!("api_stages[{number}]"));
            stages.push(api_stage(stage, id, apis, own.unwrap_or(account), &key, at)?);
        }
        let text = |maybe: &super::wire::Maybe<super::wire::Text>| {
            maybe.given().map(|text| text.text().to_owned())
        };
        plans.push(UsagePlan {
            id,
            name: text(&plan.name).unwrap_or_else(|| id.to_string()),
            description: text(&plan.description),
            product_code: text(&plan.product_code),
            throttle: own,
            quota,
            stages,
        });
    }
    Ok(plans)
}

fn api_stage(
    wire: &Located<wire::ApiStage>,
    plan: UsagePlanId,
    apis: &[ApiConfig],
    inherited: Throttle,
    key: &str,
    at: &Checker<'_>,
) -> Result<ApiStage, ConfigError> {
    let api_key = format!("{key}.api_id");
    let api_id = at.present(&wire.api_id, wire.line(), &api_key)?;
    let api_id = at.required(api_id, &api_key, values::api_id).map(ApiId)?;
    let stage_key = format!("{key}.stage");
    let stage = at.present(&wire.stage, wire.line(), &stage_key)?;
    let stage = at.required(stage, &stage_key, values::stage_name)?;
    if !apis.iter().any(|api| api.api_id == api_id && api.stage == stage) {
        // AWS's words.
        let problem = format!(
            "Invalid API Stage {{api: {api_id}, stage: {stage}}} specified for usageplan {plan}"
        );
        return Err(at.refuse(Some(wire.line()), key, problem));
    }
    let mut methods = Vec::with_capacity(wire.methods.len());
    for (name, method) in &wire.methods {
        let key = format!("{key}.methods.{name}");
        let (http_method, path) = named(name, method.line(), &key, at)?;
        let key = format!("{key}.throttle");
        let Some(wire) = &method.throttle else {
            return Err(at.refuse(Some(method.line()), &key, "is missing".to_owned()));
        };
        let throttle = throttle(wire, inherited, &key, at)?;
        methods.push(MethodThrottle { http_method, path, throttle });
    }
    Ok(ApiStage { api_id, stage, methods })
}

fn quota(
    wire: &Located<wire::Quota>,
    key: &str,
    at: &Checker<'_>,
) -> Result<PlanQuota, ConfigError> {
    let limit_key = format!("{key}.limit");
    let limit = at.present(&wire.limit, wire.line(), &limit_key)?;
    let limit = at.required(limit, &limit_key, |text| values::count(text, 0..=Quota::MAX_LIMIT))?;
    let period = match at.present(&wire.period, wire.line(), &format!("{key}.period"))? {
        wire::Period::Day => Period::Day,
        wire::Period::Week => Period::Week,
        wire::Period::Month => Period::Month,
    };
    let offset =
        at.optional(&wire.offset, &format!("{key}.offset"), |text| values::count(text, 0..=limit))?;
    Ok(PlanQuota { quota: Quota { limit, period }, offset: offset.unwrap_or(0) })
}

/// What a key leaves out it has from `inherited`.
fn throttle(
    wire: &wire::Throttle,
    inherited: Throttle,
    key: &str,
    at: &Checker<'_>,
) -> Result<Throttle, ConfigError> {
    let rate = at.optional(&wire.rate, &format!("{key}.rate"), rate)?;
    let burst = at.optional(&wire.burst, &format!("{key}.burst"), burst)?;
    let made =
        Throttle::new(rate.unwrap_or(inherited.per_second()), burst.unwrap_or(inherited.burst()));
    Ok(made.expect("both rates are in the range"))
}

/// Requests a second.
pub fn rate(text: &str) -> Result<f64, String> {
    let range = 0.0..=Rate::MAX_PER_SECOND;
    text.parse().ok().filter(|rate| range.contains(rate)).ok_or_else(|| {
        format!("{text:?} is not a rate; allowed: a number from 0 to {}", Rate::MAX_PER_SECOND)
    })
}

/// Requests at once.
pub fn burst(text: &str) -> Result<u32, String> {
    values::count(text, 0..=u32::MAX.into()).map(|burst| burst as u32)
}

/// Checks `api_keys`.
pub fn api_keys(
    wire: &[Located<wire::ApiKey>],
    at: &Checker<'_>,
) -> Result<Vec<ApiKey>, ConfigError> {
    let mut keys = Vec::with_capacity(wire.len());
    for (index, wire) in wire.iter().enumerate() {
        let key = |name: &str| format!("api_keys[{index}].{name}");
        let value = at.present(&wire.value, wire.line(), &key("value"))?;
        let value = at.required(value, &key("value"), key_value)?;
        at.optional(&wire.name, &key("name"), key_name)?;
        let mut plans = Vec::with_capacity(wire.usage_plans.len());
        for (number, plan) in wire.usage_plans.iter().enumerate() {
            plans.push(at.required(plan, &key(&format!("usage_plans[{number}]")), plan_id)?);
        }
        keys.push(ApiKey {
            id: at
                .optional(&wire.id, &key("id"), key_id)?
                .unwrap_or_else(|| generated_key_id(&value)),
            value,
            enabled: at.optional(&wire.enabled, &key("enabled"), values::boolean)?.unwrap_or(true),
            plans: plans.into(),
        });
    }
    Ok(keys)
}

/// The id of a key that has none: the same for the same value, wherever it stands.
pub fn generated_key_id(value: &ApiKeyValue) -> ApiKeyId {
    ApiKeyId::of_hash(stable_hash(value.as_bytes()))
}

/// A key's value. The message does not repeat it.
pub fn key_value(text: &str) -> Result<ApiKeyValue, String> {
    ApiKeyValue::new(text).map_err(|error| error.to_string())
}

/// A key's name. AWS: up to 1,024 characters.
pub fn key_name(text: &str) -> Result<(), String> {
    match text.chars().count() {
        0..=1024 => Ok(()),
        _ => Err("Invalid API Key name, can be at most 1024 characters.".to_owned()),
    }
}

pub fn plan_id(text: &str) -> Result<UsagePlanId, String> {
    UsagePlanId::parse(text).ok_or_else(|| {
        format!("{text:?} is not the id of a usage plan; allowed: 6 characters of a-z and 0-9")
    })
}

pub fn key_id(text: &str) -> Result<ApiKeyId, String> {
    ApiKeyId::parse(text).ok_or_else(|| {
        format!("{text:?} is not the id of an API key; allowed: 10 characters of a-z and 0-9")
    })
}

fn named(
    name: &str,
    line: u64,
    key: &str,
    at: &Checker<'_>,
) -> Result<(HttpMethod, String), ConfigError> {
    method(name).map_err(|problem| at.refuse(Some(line), key, problem))
}

/// `GET /pets/{id}`.
fn method(text: &str) -> Result<(HttpMethod, String), String> {
    let parts = text.split_once(' ');
    let found = parts.and_then(|(method, path)| {
        let method = HttpMethod::ALL.into_iter().find(|known| known.as_str() == method)?;
        path.starts_with('/').then(|| (method, path.to_owned()))
    });
    found.ok_or_else(|| format!("{text:?} is no method; written as in GET /pets/{{id}}"))
}
