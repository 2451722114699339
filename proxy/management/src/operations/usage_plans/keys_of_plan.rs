//! Keys in a plan: CreateUsagePlanKey, GetUsagePlanKey, GetUsagePlanKeys, DeleteUsagePlanKey.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_CreateUsagePlanKey.html>

use serde_json::Value;
use tollgate_model::control_plane::{ApiKey, UsagePlan, UsagePlanKey, wire};

use super::{has_stage, of_key, one_plan_for_each_stage, plan};
use crate::call::{Answer, Call};
use crate::context::Context;
use crate::error::{ApiError, ErrorKind};
use crate::names::keys;
use crate::operations::api_keys;
use crate::page;
use crate::unit::Unit;

/// The one type of key there is.
const API_KEY: &str = "API_KEY";
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html>
const MAXIMUM_PLANS_OF_KEY: usize = 10;

pub(super) fn create(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let input = call.input()?;
    let key_id = input.required_text("keyId")?;
    let key_type = input.required_text("keyType")?;
    if key_type != API_KEY {
        return Err(ApiError::bad_request(format!(
            "Invalid keyType '{key_type}' specified. Must be {API_KEY}"
        )));
    }
    context.carry_out(|unit| {
        let plan = plan(unit, call)?;
        let key = api_keys::existing(unit, &key_id)?;
        let mut plans = of_key(unit, &key.id)?;
        add_key(unit, plan, &key.id, &mut plans)?;
        Ok(Answer::Json(show(&key)))
    })
}

/// Adds a key to a plan, beside those it is in already.
pub(in crate::operations) fn add_key(
    unit: &mut Unit,
    plan: UsagePlan,
    key: &str,
    plans: &mut Vec<UsagePlan>,
) -> Result<(), ApiError> {
    if plans.iter().any(|known| known.id == plan.id) {
        return Err(ApiError::conflict(format!(
            "API Key {key} is in Usage Plan {} already",
            plan.id
        )));
    }
    if plans.len() >= MAXIMUM_PLANS_OF_KEY {
        return Err(ApiError::new(
            ErrorKind::LimitExceeded,
            format!(
                "API Key {key} is in {} usage plans; allowed: up to {MAXIMUM_PLANS_OF_KEY}",
                plans.len()
            ),
        ));
    }
    for other in &*plans {
        if let Some(stage) = plan.api_stages.iter().find(|stage| has_stage(other, stage)) {
            return Err(one_plan_for_each_stage(key, other, stage));
        }
    }
    let entry =
        UsagePlanKey { id: key.to_owned(), key_type: API_KEY.to_owned(), value: None, name: None };
    unit.put(keys::usage_plan_key(&plan.id, key), &entry);
    unit.touch(keys::usage_plan(&plan.id));
    plans.push(plan);
    Ok(())
}

pub(in crate::operations) fn remove_key(unit: &mut Unit, plan: &UsagePlan, key: &str) {
    unit.delete(keys::usage_plan_key(&plan.id, key));
    unit.touch(keys::usage_plan(&plan.id));
}

pub(super) fn list(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let name = call.query("name").unwrap_or_default();
    context.carry_out(|unit| {
        let plan = plan(unit, call)?;
        page::pick(call, unit, &keys::usage_plan_keys(&plan.id), |unit, entry: &UsagePlanKey| {
            let key: Option<ApiKey> = unit.get(&keys::api_key(&entry.id))?;
            let named = |key: &ApiKey| key.name.as_deref().unwrap_or_default().starts_with(name);
            Ok(key.filter(named).as_ref().map(show))
        })
    })
}

pub(super) fn get(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let plan = plan(unit, call)?;
        Ok(Answer::Json(show(&key_of(unit, &plan, call)?)))
    })
}

pub(super) fn delete(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let plan = plan(unit, call)?;
        let key = key_of(unit, &plan, call)?;
        remove_key(unit, &plan, &key.id);
        Ok(Answer::Empty)
    })
}

/// The key of a call, which is in the plan.
pub(super) fn key_of(unit: &mut Unit, plan: &UsagePlan, call: &Call) -> Result<ApiKey, ApiError> {
    let key = api_keys::existing(unit, call.part("keyId"))?;
    if super::has_key(unit, &plan.id, &key.id)? {
        return Ok(key);
    }
    Err(ApiError::not_found("Invalid Usage Plan Key identifier specified"))
}

fn show(key: &ApiKey) -> Value {
    wire(&UsagePlanKey {
        id: key.id.clone(),
        key_type: API_KEY.to_owned(),
        value: key.value.clone(),
        name: key.name.clone(),
    })
}
