//! UpdateUsagePlan: what a patch changes.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html#UpdateUsagePlan-Patch>

use std::collections::BTreeMap;

use serde::Deserialize;
use tollgate_model::control_plane::{ApiStage, QuotaPeriod, ThrottleSettings, UsagePlan};

use super::{
    PERIODS, check_method_throttles, check_name, check_stage, checked_burst, checked_method,
    checked_quota, checked_rate, invalid_api_stage, stage_twice,
};
use crate::context::Context;
use crate::error::ApiError;
use crate::patch::{Op, Patch, Patchable};
use crate::unit::Unit;

/// As AWS lists them (recorded for `remove`).
const PATHS: Patchable = Patchable {
    replace: &[
        "/name",
        "/description",
        "/productCode",
        "/quota/limit",
        "/quota/offset",
        "/quota/period",
        "/throttle/rateLimit",
        "/throttle/burstLimit",
        "/apiStages/<apidId:stageName>/throttle/<resourcePath>/<httpMethod>/rateLimit",
        "/apiStages/<apidId:stageName>/throttle/<resourcePath>/<httpMethod>/burstLimit",
    ],
    add: &[
        "/apiStages",
        "/productCode",
        "/quota/limit",
        "/quota/offset",
        "/quota/period",
        "/throttle/rateLimit",
        "/throttle/burstLimit",
        "/apiStages/<apidId:stageName>/throttle/<resourcePath>/<httpMethod>",
        "/apiStages/<apidId:stageName>/throttle",
    ],
    remove: &[
        "/apiStages",
        "/quota",
        "/throttle",
        "/productCode",
        "/apiStages/<apidId:stageName>/throttle/<resourcePath>/<httpMethod>",
        "/apiStages/<apidId:stageName>/throttle",
    ],
};

/// A plan on its way: a quota's limit and its period may come in two patches.
struct Draft<'c> {
    context: &'c Context,
    plan: UsagePlan,
    quota: Option<QuotaDraft>,
}

#[derive(Default)]
struct QuotaDraft {
    limit: Option<i64>,
    offset: i64,
    period: Option<&'static str>,
}

/// A throttle as the text of a value.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GivenThrottle {
    rate_limit: Option<f64>,
    burst_limit: Option<i64>,
}

pub(super) fn apply(
    context: &Context,
    unit: &mut Unit,
    plan: UsagePlan,
    patches: &[Patch],
) -> Result<UsagePlan, ApiError> {
    let mut draft = Draft::of(context, plan);
    for patch in patches {
        draft.apply(unit, patch)?;
    }
    draft.finish()
}

impl<'c> Draft<'c> {
    fn of(context: &'c Context, plan: UsagePlan) -> Self {
        let quota = plan.quota.map(|quota| QuotaDraft {
            limit: i64::try_from(quota.limit).ok(),
            offset: i64::try_from(quota.offset).unwrap_or(i64::MAX),
            period: Some(match quota.period {
                QuotaPeriod::Day => "DAY",
                QuotaPeriod::Week => "WEEK",
                QuotaPeriod::Month => "MONTH",
            }),
        });
        Self { context, plan, quota }
    }

    fn finish(mut self) -> Result<UsagePlan, ApiError> {
        self.plan.quota = match self.quota {
            None => None,
            Some(QuotaDraft { limit: Some(limit), offset, period: Some(period) }) => {
                Some(checked_quota(limit, offset, period)?)
            }
            Some(_) => {
                return Err(ApiError::bad_request("A quota must have a limit and a period"));
            }
        };
        Ok(self.plan)
    }

    fn apply(&mut self, unit: &mut Unit, patch: &Patch) -> Result<(), ApiError> {
        let segments = patch.segments();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (patch.op, &segments[..]) {
            (Op::Replace, ["name"]) => {
                check_name(patch.text()?)?;
                patch.text()?.clone_into(&mut self.plan.name);
            }
            (Op::Replace, ["description"]) => self.plan.description = patch.optional_text(),
            (Op::Add | Op::Replace | Op::Remove, ["productCode"]) => {
                self.plan.product_code = patch.optional_text();
            }
            (Op::Remove, ["quota"]) => self.quota = None,
            (Op::Add | Op::Replace, ["quota", member]) => self.set_quota(member, patch)?,
            (Op::Remove, ["throttle"]) => self.plan.throttle = None,
            (Op::Add | Op::Replace, ["throttle", member]) => {
                let mut throttle = self.plan.throttle.unwrap_or_else(|| self.inherited());
                set_throttle(&mut throttle, member, patch)?;
                self.plan.throttle = Some(throttle);
            }
            (Op::Add, ["apiStages"]) => self.add_stage(unit, patch)?,
            (Op::Remove, ["apiStages"]) => {
                let at = self.position(patch.value.as_deref().unwrap_or_default())?;
                self.plan.api_stages.remove(at);
            }
            (_, ["apiStages", stage, "throttle", method @ ..]) => {
                let at = self.position(stage)?;
                self.set_method_throttle(at, method, patch)?;
            }
            _ => return Err(refused(patch)),
        }
        Ok(())
    }

    /// What a throttle has that is said in part only.
    fn inherited(&self) -> ThrottleSettings {
        let (rate_limit, burst_limit) = self.context.settings.account_throttle;
        ThrottleSettings { burst_limit, rate_limit }
    }

    fn set_quota(&mut self, member: &str, patch: &Patch) -> Result<(), ApiError> {
        let quota = self.quota.get_or_insert_default();
        match member {
            "limit" => quota.limit = Some(patch.number("a whole number")?),
            "offset" => quota.offset = patch.number("a whole number")?,
            "period" => quota.period = Some(patch.one_of(&PERIODS)?),
            _ => return Err(refused(patch)),
        }
        Ok(())
    }

    fn add_stage(&mut self, unit: &mut Unit, patch: &Patch) -> Result<(), ApiError> {
        let (api_id, stage) = split(patch.value.as_deref().unwrap_or_default())?;
        let stage = ApiStage {
            api_id: api_id.to_owned(),
            stage: stage.to_owned(),
            throttle: BTreeMap::new(),
        };
        if super::has_stage(&self.plan, &stage) {
            return Err(stage_twice(&stage));
        }
        check_stage(unit, &self.plan, &stage)?;
        self.plan.api_stages.push(stage);
        Ok(())
    }

    /// The place of `{api id}:{stage}`.
    fn position(&self, text: &str) -> Result<usize, ApiError> {
        let (api_id, name) = split(text)?;
        let mut stages = self.plan.api_stages.iter();
        stages.position(|it| it.api_id == api_id && it.stage == name).ok_or_else(|| {
            ApiError::not_found(format!(
                "Invalid API Stage {{api: {api_id}, stage: {name}}} specified for usageplan {}",
                self.plan.id
            ))
        })
    }

    /// `…/throttle`, `…/throttle/{path}/{METHOD}` and that with `/rateLimit` or `/burstLimit`. The
    /// path's slashes may be escaped or not: AWS's documentation has the one, Terraform the other.
    fn set_method_throttle(
        &mut self,
        at: usize,
        method: &[&str],
        patch: &Patch,
    ) -> Result<(), ApiError> {
        let inherited = self.inherited();
        let throttles = &mut self.plan.api_stages[at].throttle;
        match (patch.op, method) {
            (Op::Remove, []) => throttles.clear(),
            (Op::Add | Op::Replace, []) => {
                let given: BTreeMap<String, GivenThrottle> = given(patch)?;
                let given = given.iter().map(|(method, throttle)| {
                    Ok((checked_method(method)?, throttle.settings(inherited)?))
                });
                *throttles = given.collect::<Result<_, ApiError>>()?;
            }
            (Op::Add | Op::Replace, [method @ .., member @ ("rateLimit" | "burstLimit")]) => {
                let throttle = throttles.entry(named(method)?).or_insert(inherited);
                set_throttle(throttle, member, patch)?;
            }
            (Op::Add | Op::Replace, method) => {
                let throttle = given::<GivenThrottle>(patch)?.settings(inherited)?;
                throttles.insert(named(method)?, throttle);
            }
            (Op::Remove, method) => {
                if throttles.remove(&named(method)?).is_none() {
                    return Err(ApiError::not_found(format!(
                        "The API Stage has no throttle for this method: {}",
                        patch.path
                    )));
                }
            }
            _ => return Err(refused(patch)),
        }
        check_method_throttles(&self.plan.api_stages[at])
    }
}

impl GivenThrottle {
    fn settings(&self, inherited: ThrottleSettings) -> Result<ThrottleSettings, ApiError> {
        let rate = self.rate_limit.map(checked_rate).transpose()?;
        let burst = self.burst_limit.map(checked_burst).transpose()?;
        Ok(ThrottleSettings {
            rate_limit: rate.unwrap_or(inherited.rate_limit),
            burst_limit: burst.unwrap_or(inherited.burst_limit),
        })
    }
}

/// A value that is JSON.
fn given<T: serde::de::DeserializeOwned>(patch: &Patch) -> Result<T, ApiError> {
    let text = patch.text()?;
    serde_json::from_str(text)
        .map_err(|_| patch.invalid_value(text, "JSON text with rateLimit and burstLimit"))
}

/// `/pets/{id}/GET` of a path's segments.
fn named(segments: &[&str]) -> Result<String, ApiError> {
    let joined = segments.join("/");
    checked_method(&match joined.starts_with('/') {
        true => joined,
        false => format!("/{joined}"),
    })
}

fn set_throttle(
    throttle: &mut ThrottleSettings,
    member: &str,
    patch: &Patch,
) -> Result<(), ApiError> {
    match member {
        "rateLimit" => throttle.rate_limit = checked_rate(patch.number("a number")?)?,
        "burstLimit" => throttle.burst_limit = checked_burst(patch.number("a whole number")?)?,
        _ => return Err(refused(patch)),
    }
    Ok(())
}

fn split(text: &str) -> Result<(&str, &str), ApiError> {
    let parts = text.split_once(':').filter(|(api, stage)| !api.is_empty() && !stage.is_empty());
    parts.ok_or_else(invalid_api_stage)
}

fn refused(patch: &Patch) -> ApiError {
    PATHS.check(patch).err().unwrap_or_else(|| patch.invalid_path())
}
