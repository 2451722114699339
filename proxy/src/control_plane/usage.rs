//! API keys and usage plans of the store, as the gateway takes them.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow};
use tollgate_gateway::usage::{
    ApiKey, ApiKeyId, ApiKeyValue, ApiStage, MethodThrottle, PlanQuota, Throttle, UsagePlan,
    UsagePlanId,
};
use tollgate_management::keys;
use tollgate_model::api::{ApiId, HttpMethod};
use tollgate_model::control_plane as stored;
use tollgate_store::{Depth, Snapshot};
use tollgate_throttle::{Period, Quota, Rate};

#[derive(Default)]
pub struct StoreUsage {
    pub plans: Vec<UsagePlan>,
    pub keys: Vec<ApiKey>,
}

/// All of them. One that the gateway can't take is left out, and the log says why.
pub fn read(snapshot: &dyn Snapshot) -> anyhow::Result<StoreUsage> {
    let mut plans = Vec::new();
    let mut plans_of: BTreeMap<String, Vec<UsagePlanId>> = BTreeMap::new();
    for (key, record) in snapshot.list(&keys::usage_plans(), Depth::Children, None, usize::MAX)? {
        let plan: stored::UsagePlan =
            serde_json::from_slice(&record.value).with_context(|| format!("the record {key}"))?;
        match usage_plan(&plan) {
            Ok(usage_plan) => {
                let under = keys::usage_plan_keys(&plan.id);
                for (key, _) in snapshot.list(&under, Depth::Children, None, usize::MAX)? {
                    let Some(api_key) = key.segments().pop() else { continue };
                    plans_of.entry(api_key).or_default().push(usage_plan.id);
                }
                plans.push(usage_plan);
            }
            Err(error) => tracing::error!("usage plan {} is not served: {error:#}", plan.id),
        }
    }
    let mut api_keys = Vec::new();
    for (key, record) in snapshot.list(&keys::api_keys(), Depth::Children, None, usize::MAX)? {
        let api_key: stored::ApiKey =
            serde_json::from_slice(&record.value).with_context(|| format!("the record {key}"))?;
        match gateway_key(&api_key, plans_of.get(&api_key.id)) {
            Ok(api_key) => api_keys.push(api_key),
            Err(error) => tracing::error!("API key {} is not served: {error:#}", api_key.id),
        }
    }
    Ok(StoreUsage { plans, keys: api_keys })
}

fn gateway_key(key: &stored::ApiKey, plans: Option<&Vec<UsagePlanId>>) -> anyhow::Result<ApiKey> {
    Ok(ApiKey {
        id: ApiKeyId::parse(&key.id).ok_or_else(|| anyhow!("its id is none"))?,
        value: ApiKeyValue::new(key.value.as_deref().unwrap_or_default())?,
        enabled: key.enabled,
        plans: plans.into_iter().flatten().copied().collect(),
    })
}

fn usage_plan(plan: &stored::UsagePlan) -> anyhow::Result<UsagePlan> {
    let stages = plan.api_stages.iter().map(|it| {
        let methods = it.throttle.iter().map(|(method, settings)| {
            let (http_method, path) = method_place(method)?;
            Ok(MethodThrottle { http_method, path, throttle: throttle(settings)? })
        });
        Ok(ApiStage {
            api_id: ApiId(it.api_id.clone()),
            stage: it.stage.clone(),
            methods: methods.collect::<anyhow::Result<_>>()?,
        })
    });
    Ok(UsagePlan {
        id: UsagePlanId::parse(&plan.id).ok_or_else(|| anyhow!("its id is none"))?,
        name: plan.name.clone(),
        description: plan.description.clone(),
        product_code: plan.product_code.clone(),
        throttle: plan.throttle.as_ref().map(throttle).transpose()?,
        quota: plan.quota.as_ref().map(|quota| PlanQuota {
            quota: Quota { limit: quota.limit.min(Quota::MAX_LIMIT), period: period(quota.period) },
            offset: quota.offset,
        }),
        stages: stages.collect::<anyhow::Result<_>>()?,
    })
}

/// `/pets/{id}/GET`.
fn method_place(text: &str) -> anyhow::Result<(HttpMethod, String)> {
    let place = || anyhow!("{text:?} is no method; allowed: a path and a method, as in /pets/GET");
    let (path, method) = text.rsplit_once('/').ok_or_else(place)?;
    let http_method = HttpMethod::from_bytes(method.as_bytes()).ok_or_else(place)?;
    Ok((http_method, if path.is_empty() { "/".to_owned() } else { path.to_owned() }))
}

fn throttle(settings: &stored::ThrottleSettings) -> anyhow::Result<Throttle> {
    checked_throttle(settings.rate_limit, settings.burst_limit)
}

/// So many requests a second, and so many at once.
pub fn checked_throttle(per_second: f64, burst: u32) -> anyhow::Result<Throttle> {
    Throttle::new(per_second, burst).map_err(|_| {
        anyhow!("{per_second} requests a second; allowed: 0 to {}", Rate::MAX_PER_SECOND)
    })
}

fn period(period: stored::QuotaPeriod) -> Period {
    match period {
        stored::QuotaPeriod::Day => Period::Day,
        stored::QuotaPeriod::Week => Period::Week,
        stored::QuotaPeriod::Month => Period::Month,
    }
}
