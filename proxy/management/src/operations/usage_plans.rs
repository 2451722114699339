//! Usage plans: CreateUsagePlan, GetUsagePlan, GetUsagePlans, UpdateUsagePlan, DeleteUsagePlan;
//! their keys and their usage.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_CreateUsagePlan.html>
//!
//! What is served takes a key in one plan for each stage only. So who adds a key to a plan reads
//! the other plans of that key, and touches the plan; who adds a stage to a plan reads all plans
//! and, of those that have the stage, the keys. Each of the two then meets the other's change.

mod keys_of_plan;
mod patch;
mod usage;

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use tollgate_model::control_plane::{
    ApiStage, QuotaPeriod, QuotaSettings, RestApi, Stage, ThrottleSettings, UsagePlan,
    UsagePlanKey, wire,
};
use tollgate_throttle::{Quota, Rate};

pub(super) use self::keys_of_plan::{add_key, remove_key};
use crate::call::{Answer, Call};
use crate::context::Context;
use crate::error::{ApiError, ErrorKind};
use crate::input::Input;
use crate::names::{ID, keys};
use crate::operations::tags;
use crate::page;
use crate::patch::patches;
use crate::router::Operation;
use crate::unit::Unit;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "CreateUsagePlan",
        method: Method::POST,
        uri: "/usageplans",
        status: 201,
        run: create,
    },
    Operation {
        name: "GetUsagePlans",
        method: Method::GET,
        uri: "/usageplans",
        status: 200,
        run: list,
    },
    Operation {
        name: "GetUsagePlan",
        method: Method::GET,
        uri: "/usageplans/{usageplanId}",
        status: 200,
        run: get,
    },
    Operation {
        name: "UpdateUsagePlan",
        method: Method::PATCH,
        uri: "/usageplans/{usageplanId}",
        status: 200,
        run: update,
    },
    Operation {
        name: "DeleteUsagePlan",
        method: Method::DELETE,
        uri: "/usageplans/{usageplanId}",
        status: 202,
        run: delete,
    },
    Operation {
        name: "CreateUsagePlanKey",
        method: Method::POST,
        uri: "/usageplans/{usageplanId}/keys",
        status: 201,
        run: keys_of_plan::create,
    },
    Operation {
        name: "GetUsagePlanKeys",
        method: Method::GET,
        uri: "/usageplans/{usageplanId}/keys",
        status: 200,
        run: keys_of_plan::list,
    },
    Operation {
        name: "GetUsagePlanKey",
        method: Method::GET,
        uri: "/usageplans/{usageplanId}/keys/{keyId}",
        status: 200,
        run: keys_of_plan::get,
    },
    Operation {
        name: "DeleteUsagePlanKey",
        method: Method::DELETE,
        uri: "/usageplans/{usageplanId}/keys/{keyId}",
        status: 202,
        run: keys_of_plan::delete,
    },
    Operation {
        name: "GetUsage",
        method: Method::GET,
        uri: "/usageplans/{usageplanId}/usage",
        status: 200,
        run: usage::get,
    },
    Operation {
        name: "UpdateUsage",
        method: Method::PATCH,
        uri: "/usageplans/{usageplanId}/keys/{keyId}/usage",
        status: 200,
        run: usage::update,
    },
];

/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html>
const MAXIMUM_PLANS: usize = 300;
/// Methods with a throttle of their own, for each stage of a plan (as above).
const MAXIMUM_METHOD_THROTTLES: usize = 20;

fn create(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let input = call.input()?;
    let name = input.required_text("name")?;
    check_name(&name)?;
    let throttle = input.structure("throttle")?;
    let requested = UsagePlan {
        id: String::new(),
        name,
        description: input.text("description")?,
        api_stages: api_stages(context, &input)?,
        throttle: throttle.map(|throttle| throttle_of(context, &throttle)).transpose()?,
        quota: input.structure("quota")?.map(|quota| quota_of(&quota)).transpose()?,
        product_code: None,
        tags: tags::given(&input)?,
    };
    context.carry_out(|unit| {
        let mut plan = requested.clone();
        plan.id = unit.new_id(ID, keys::usage_plan)?;
        for stage in &plan.api_stages {
            check_stage(unit, &plan, stage)?;
        }
        let plans: usize = unit.get(&keys::usage_plans())?.unwrap_or(0);
        if plans >= MAXIMUM_PLANS {
            return Err(ApiError::new(
                ErrorKind::LimitExceeded,
                format!("There are {plans} usage plans; allowed: up to {MAXIMUM_PLANS}"),
            ));
        }
        unit.put(keys::usage_plans(), &(plans + 1));
        unit.put(keys::usage_plan(&plan.id), &plan);
        Ok(Answer::Json(wire(&plan)))
    })
}

fn list(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        page::pick(call, unit, &keys::usage_plans(), |unit, plan: &UsagePlan| {
            let wanted = match call.query("keyId") {
                Some(key) => has_key(unit, &plan.id, key)?,
                None => true,
            };
            Ok(wanted.then(|| wire(plan)))
        })
    })
}

fn get(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| Ok(Answer::Json(wire(&plan(unit, call)?))))
}

fn update(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let patches = patches(call)?;
    context.carry_out(|unit| {
        let before = plan(unit, call)?;
        let after = patch::apply(context, unit, before.clone(), &patches)?;
        let had = |stage: &&ApiStage| !before.api_stages.iter().any(|it| is_same(it, stage));
        let added: Vec<&ApiStage> = after.api_stages.iter().filter(had).collect();
        check_keys(unit, &after, &added)?;
        unit.put(keys::usage_plan(&after.id), &after);
        Ok(Answer::Json(wire(&after)))
    })
}

fn delete(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let plan = plan(unit, call)?;
        if let Some(ApiStage { api_id, stage, .. }) = plan.api_stages.first() {
            return Err(ApiError::bad_request(format!(
                "Cannot delete Usage Plan {} because there are API Stages associated with it, including {api_id}:{stage}",
                plan.id
            )));
        }
        let plans: usize = unit.get(&keys::usage_plans())?.unwrap_or(0);
        unit.put(keys::usage_plans(), &plans.saturating_sub(1));
        unit.delete_with_descendants(keys::usage_plan(&plan.id));
        Ok(Answer::Empty)
    })
}

/// The plan of a call.
fn plan(unit: &mut Unit, call: &Call) -> Result<UsagePlan, ApiError> {
    existing(unit, call.part("usageplanId"))
}

pub(super) fn existing(unit: &mut Unit, id: &str) -> Result<UsagePlan, ApiError> {
    let found = unit.get(&keys::usage_plan(id))?;
    found.ok_or_else(|| ApiError::not_found("Invalid Usage Plan ID specified"))
}

/// All plans, each of them read: a change of one is a conflict.
fn all(unit: &mut Unit) -> Result<Vec<UsagePlan>, ApiError> {
    let listed: Vec<UsagePlan> = unit.list(&keys::usage_plans())?;
    let read = listed.iter().map(|plan| unit.get(&keys::usage_plan(&plan.id)));
    Ok(read.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// The plans that a key is in.
pub(super) fn of_key(unit: &mut Unit, key: &str) -> Result<Vec<UsagePlan>, ApiError> {
    let listed: Vec<UsagePlan> = unit.list(&keys::usage_plans())?;
    of_key_among(unit, &listed, key)
}

/// The same for who asks about many keys: `listed` are all plans.
pub(super) fn of_key_among(
    unit: &mut Unit,
    listed: &[UsagePlan],
    key: &str,
) -> Result<Vec<UsagePlan>, ApiError> {
    let mut found = Vec::new();
    for plan in listed {
        if has_key(unit, &plan.id, key)? {
            found.extend(unit.get::<UsagePlan>(&keys::usage_plan(&plan.id))?);
        }
    }
    Ok(found)
}

fn has_key(unit: &mut Unit, plan: &str, key: &str) -> Result<bool, ApiError> {
    Ok(unit.get::<UsagePlanKey>(&keys::usage_plan_key(plan, key))?.is_some())
}

/// Refuses stages that are new in a plan if one of its keys has them by another plan.
fn check_keys(unit: &mut Unit, plan: &UsagePlan, added: &[&ApiStage]) -> Result<(), ApiError> {
    if added.is_empty() {
        return Ok(());
    }
    let mut own: Option<BTreeSet<String>> = None;
    for other in all(unit)?.iter().filter(|other| other.id != plan.id) {
        let Some(stage) = added.iter().find(|stage| has_stage(other, stage)) else { continue };
        if own.is_none() {
            own = Some(ids_of_keys(unit, &plan.id)?);
        }
        let of_other = ids_of_keys(unit, &other.id)?;
        let shared = own.iter().flatten().find(|key| of_other.contains(*key));
        if let Some(key) = shared {
            return Err(one_plan_for_each_stage(key, other, stage));
        }
    }
    Ok(())
}

fn ids_of_keys(unit: &mut Unit, plan: &str) -> Result<BTreeSet<String>, ApiError> {
    let listed: Vec<UsagePlanKey> = unit.list(&keys::usage_plan_keys(plan))?;
    Ok(listed.into_iter().map(|key| key.id).collect())
}

/// AWS's rule (<https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html>);
/// the text is ours.
fn one_plan_for_each_stage(key: &str, other: &UsagePlan, stage: &ApiStage) -> ApiError {
    ApiError::conflict(format!(
        "API Key {key} has API Stage {}:{} by Usage Plan {} already; allowed: one plan for each stage",
        stage.api_id, stage.stage, other.id
    ))
}

fn has_stage(plan: &UsagePlan, stage: &ApiStage) -> bool {
    plan.api_stages.iter().any(|it| is_same(it, stage))
}

fn is_same(one: &ApiStage, other: &ApiStage) -> bool {
    one.api_id == other.api_id && one.stage == other.stage
}

/// Refuses a stage that isn't there.
fn check_stage(unit: &mut Unit, plan: &UsagePlan, stage: &ApiStage) -> Result<(), ApiError> {
    let ApiStage { api_id, stage, .. } = stage;
    match unit.get::<Stage>(&keys::stage(api_id, stage))? {
        Some(_) => {
            // Who deletes the stage meanwhile has looked for plans too early.
            unit.touch(keys::rest_api(api_id));
            Ok(())
        }
        None => Err(ApiError::not_found(format!(
            "Invalid API Stage {{api: {api_id}, stage: {stage}}} specified for usageplan {}",
            plan.id
        ))),
    }
}

/// Takes an API that is deleted, or one stage of it, out of all plans, as AWS does.
pub(super) fn forget_stages(
    unit: &mut Unit,
    api: &RestApi,
    stage: Option<&str>,
) -> Result<(), ApiError> {
    let is_gone = |it: &ApiStage| it.api_id == api.id && stage.is_none_or(|name| it.stage == name);
    for listed in unit.list::<UsagePlan>(&keys::usage_plans())? {
        if !listed.api_stages.iter().any(is_gone) {
            continue;
        }
        let mut plan = existing(unit, &listed.id)?;
        plan.api_stages.retain(|it| !is_gone(it));
        unit.put(keys::usage_plan(&plan.id), &plan);
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), ApiError> {
    match name.trim() {
        "" => Err(ApiError::bad_request("Usage Plan name cannot be blank")),
        _ => Ok(()),
    }
}

fn invalid_api_stage() -> ApiError {
    ApiError::bad_request("Invalid API Stage specified")
}

fn api_stages(context: &Context, input: &Input) -> Result<Vec<ApiStage>, ApiError> {
    let mut stages: Vec<ApiStage> = Vec::new();
    for given in input.structures("apiStages")?.unwrap_or_default() {
        let text = |member| given.text(member).map(|text| text.filter(|text| !text.is_empty()));
        let (Some(api_id), Some(stage)) = (text("apiId")?, text("stage")?) else {
            return Err(invalid_api_stage());
        };
        let mut throttle = BTreeMap::new();
        for (method, given) in given.structure_map("throttle")?.unwrap_or_default() {
            throttle.insert(checked_method(&method)?, throttle_of(context, &given)?);
        }
        let stage = ApiStage { api_id, stage, throttle };
        check_method_throttles(&stage)?;
        if stages.iter().any(|known| is_same(known, &stage)) {
            return Err(stage_twice(&stage));
        }
        stages.push(stage);
    }
    Ok(stages)
}

fn stage_twice(stage: &ApiStage) -> ApiError {
    ApiError::conflict(format!(
        "API Stage {{api: {}, stage: {}}} is in the usage plan already",
        stage.api_id, stage.stage
    ))
}

fn check_method_throttles(stage: &ApiStage) -> Result<(), ApiError> {
    if stage.throttle.len() <= MAXIMUM_METHOD_THROTTLES {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorKind::LimitExceeded,
        format!(
            "API Stage {}:{} has throttles for {} methods; allowed: up to {MAXIMUM_METHOD_THROTTLES}",
            stage.api_id,
            stage.stage,
            stage.throttle.len()
        ),
    ))
}

/// `/pets/{id}/GET`; of the root `/GET`, or `//GET`.
fn checked_method(text: &str) -> Result<String, ApiError> {
    const METHODS: [&str; 8] = ["ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];
    match text.rsplit_once('/') {
        Some((path, method))
            if (path.is_empty() || path.starts_with('/')) && METHODS.contains(&method) =>
        {
            Ok(text.to_owned())
        }
        _ => Err(ApiError::bad_request(format!(
            "Invalid method '{text}' specified for throttle. Must be a resource's path and a method, as in /pets/GET"
        ))),
    }
}

/// What it leaves out is as the account has it.
fn throttle_of(context: &Context, input: &Input) -> Result<ThrottleSettings, ApiError> {
    let (rate_limit, burst_limit) = context.settings.account_throttle;
    let mut throttle = ThrottleSettings { burst_limit, rate_limit };
    if let Some(rate) = input.double("rateLimit")? {
        throttle.rate_limit = checked_rate(rate)?;
    }
    if let Some(burst) = input.integer("burstLimit")? {
        throttle.burst_limit = checked_burst(burst)?;
    }
    Ok(throttle)
}

fn checked_rate(rate: f64) -> Result<f64, ApiError> {
    if (0.0..=Rate::MAX_PER_SECOND).contains(&rate) {
        return Ok(rate);
    }
    Err(ApiError::bad_request(format!(
        "Invalid rateLimit {rate}. Must be a number from 0 to {}",
        Rate::MAX_PER_SECOND
    )))
}

/// The service model's Integer has 32 bits.
fn checked_burst(burst: i64) -> Result<u32, ApiError> {
    let allowed = i32::try_from(burst).ok().and_then(|burst| u32::try_from(burst).ok());
    allowed.ok_or_else(|| {
        ApiError::bad_request(format!(
            "Invalid burstLimit {burst}. Must be a whole number from 0 to {}",
            i32::MAX
        ))
    })
}

fn quota_of(input: &Input) -> Result<QuotaSettings, ApiError> {
    let Some(limit) = input.integer("limit")? else { return Err(input.missing("limit")) };
    let Some(period) = input.one_of("period", &PERIODS)? else {
        return Err(input.missing("period"));
    };
    let offset = input.integer("offset")?.unwrap_or(0);
    checked_quota(limit, offset, period)
}

const PERIODS: [&str; 3] = ["DAY", "WEEK", "MONTH"];

/// The offset counts requests, as the service model says.
fn checked_quota(limit: i64, offset: i64, period: &str) -> Result<QuotaSettings, ApiError> {
    let requests = |name, number: i64, most: u64| {
        let allowed = u64::try_from(number).ok().filter(|number| *number <= most);
        allowed.ok_or_else(|| {
            ApiError::bad_request(format!(
                "Invalid quota {name} {number}. Must be a whole number from 0 to {most}"
            ))
        })
    };
    let limit = requests("limit", limit, Quota::MAX_LIMIT)?;
    Ok(QuotaSettings {
        limit,
        offset: requests("offset", offset, limit)?,
        period: match period {
            "DAY" => QuotaPeriod::Day,
            "WEEK" => QuotaPeriod::Week,
            _ => QuotaPeriod::Month,
        },
    })
}

#[cfg(test)]
mod tests;
