//! What keys have used of a plan's quota: GetUsage, UpdateUsage. The running gateway knows.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_GetUsage.html>

use serde_json::{Value, json};
use tollgate_throttle::{Day, Quota};

use super::{keys_of_plan, plan};
use crate::call::{Answer, Call};
use crate::context::{Context, UsageReport, UsageRequest};
use crate::error::ApiError;
use crate::page;
use crate::patch::{Patchable, patches};

const PATCHABLE: Patchable = Patchable { replace: &["/remaining"], add: &[], remove: &[] };

pub(super) fn get(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let date = |name: &str| match call.query(name) {
        None => Err(call.input()?.missing(name)),
        Some(text) if Day::parse(text).is_some() => Ok(text.to_owned()),
        Some(text) => Err(ApiError::bad_request(format!(
            "Invalid {name} '{text}'. Must be a date as in 2026-01-31"
        ))),
    };
    let mut request = UsageRequest {
        plan: String::new(),
        key: call.query("keyId").map(str::to_owned),
        start_date: date("startDate")?,
        end_date: date("endDate")?,
        position: call.query("position").map(str::to_owned),
        limit: page::limit(call)?,
    };
    let plan = context.carry_out(|unit| plan(unit, call))?;
    request.plan = plan.id;
    let report = context.data_plane.usage(&request)?;
    Ok(Answer::Json(show(&request, report)))
}

pub(super) fn update(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let patches = patches(call)?;
    let (plan, key) = context.carry_out(|unit| {
        let plan = plan(unit, call)?;
        let key = keys_of_plan::key_of(unit, &plan, call)?;
        Ok((plan, key))
    })?;
    let mut remaining = None;
    for patch in &patches {
        PATCHABLE.check(patch)?;
        let allowed = format!("a whole number from 0 to {}", Quota::MAX_LIMIT);
        let number: u64 = patch.number(&allowed)?;
        if number > Quota::MAX_LIMIT {
            return Err(patch.invalid_value(patch.text()?, &allowed));
        }
        remaining = Some(number);
    }
    if plan.quota.is_none() {
        return Err(ApiError::bad_request(format!("Usage Plan {} has no quota", plan.id)));
    }
    if let Some(remaining) = remaining {
        context.data_plane.set_remaining(&plan.id, &key.id, remaining)?;
    }
    let (year, month, day) = Day::of_seconds(context.now().unsigned_abs()).date();
    let today = format!("{year:04}-{month:02}-{day:02}");
    let request = UsageRequest {
        plan: plan.id,
        key: Some(key.id),
        start_date: today.clone(),
        end_date: today,
        position: None,
        limit: 1,
    };
    let report = context.data_plane.usage(&request)?;
    Ok(Answer::Json(show(&request, report)))
}

/// The wire's name of the keys is `values`.
fn show(request: &UsageRequest, report: UsageReport) -> Value {
    let mut usage = json!({
        "usagePlanId": request.plan,
        "startDate": request.start_date,
        "endDate": request.end_date,
        "values": report.items,
    });
    if let Some(position) = report.position {
        usage["position"] = Value::String(position);
    }
    usage
}
