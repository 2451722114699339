//! A stage of the store, compiled: its deployment, its settings and its canary.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use tollgate_gateway::usage::{MethodThrottle, StageThrottles, Throttle};
use tollgate_gateway::{Canary, PercentTraffic, RouteStage};
use tollgate_management::{Context, keys, name_vpc_links};
use tollgate_model::api::{Api, HttpMethod};
use tollgate_model::compile::{CompiledStage, compile};
use tollgate_model::control_plane::{MethodSetting, Stage, VpcLink};
use tollgate_store::{Key, Snapshot};

use super::serving::StageId;
use super::usage::checked_throttle;

/// What to serve of a stage; none if it is gone.
pub fn route(
    context: &Context,
    snapshot: &dyn Snapshot,
    (api_id, name): &StageId,
) -> anyhow::Result<Option<RouteStage>> {
    let Some(stage) = read::<Stage>(snapshot, &keys::stage(&api_id.0, name))? else {
        return Ok(None);
    };
    let deployed = |deployment: &str, variables| {
        compiled(context, snapshot, &api_id.0, name, deployment, variables)
    };
    let base = deployed(&stage.deployment_id, stage.variables.clone())?;
    let canary = match &stage.canary_settings {
        None => None,
        Some(canary) => {
            let Some(percent_traffic) = PercentTraffic::new(canary.percent_traffic) else {
                bail!("{} % of its traffic are a canary's", canary.percent_traffic);
            };
            let mut variables = stage.variables.clone();
            variables.extend(canary.stage_variable_overrides.clone());
            let compiled = deployed(&canary.deployment_id, variables)?;
            Some(Canary { percent_traffic, compiled })
        }
    };
    let throttles = throttles(&stage, context.settings.account_throttle)?;
    Ok(Some(RouteStage { compiled: base, throttles, canary }))
}

fn compiled(
    context: &Context,
    snapshot: &dyn Snapshot,
    api_id: &str,
    stage: &str,
    deployment: &str,
    variables: BTreeMap<String, String>,
) -> anyhow::Result<CompiledStage> {
    let key = keys::definition(api_id, deployment);
    let Some(mut api) = read::<Api>(snapshot, &key)? else {
        bail!("its deployment {deployment} is not there");
    };
    name_vpc_links(&mut api, |id| read::<VpcLink>(snapshot, &keys::vpc_link(id)))?;
    let settings = context.stage_settings(api_id, stage, deployment, variables);
    Ok(compile(&api, &settings)?.stage)
}

fn read<T: serde::de::DeserializeOwned>(
    snapshot: &dyn Snapshot,
    key: &Key,
) -> anyhow::Result<Option<T>> {
    let record = snapshot.get(key)?;
    let value = record.map(|record| serde_json::from_slice(&record.value)).transpose();
    value.with_context(|| format!("the record {key}"))
}

/// The throttles among a stage's method settings.
fn throttles(stage: &Stage, account: (f64, u32)) -> anyhow::Result<StageThrottles> {
    let mut throttles = StageThrottles::default();
    for (place, setting) in &stage.method_settings {
        let Some(throttle) = throttle(setting, account)? else { continue };
        let Some((path, method)) = place.rsplit_once('/') else { continue };
        if (path, method) == ("*", "*") {
            throttles.default = Some(throttle);
            continue;
        }
        let path = path.replace("~1", "/").replace("~0", "~");
        let path = format!("/{}", path.trim_start_matches('/'));
        match (method, HttpMethod::from_bytes(method.as_bytes())) {
            (_, Some(http_method)) => {
                throttles.methods.push(MethodThrottle { http_method, path, throttle });
            }
            ("*", None) => {
                throttles.methods.extend(HttpMethod::ALL.map(|http_method| MethodThrottle {
                    http_method,
                    path: path.clone(),
                    throttle,
                }))
            }
            _ => {}
        }
    }
    Ok(throttles)
}

/// None where neither rate nor burst is set. One that isn't, or is switched off, is the account's:
/// nothing lets more through.
fn throttle(setting: &MethodSetting, account: (f64, u32)) -> anyhow::Result<Option<Throttle>> {
    let (rate, burst) = (setting.throttling_rate_limit, setting.throttling_burst_limit);
    if (rate, burst) == (None, None) {
        return Ok(None);
    }
    let rate = rate.filter(|rate| *rate != MethodSetting::NO_RATE_LIMIT);
    let burst = burst.filter(|burst| *burst != MethodSetting::NO_BURST_LIMIT);
    let burst = burst.map(u32::try_from).transpose()?;
    checked_throttle(rate.unwrap_or(account.0), burst.unwrap_or(account.1)).map(Some)
}

/// What a stage's settings ask for and don't get, a line each.
pub fn unserved(stage: &Stage) -> Vec<String> {
    let mut unserved = Vec::new();
    let mut note = |is_set: bool, what: &str, instead: &str| {
        if is_set {
            unserved.push(format!("stage {}: {what}: {instead}", stage.stage_name));
        }
    };
    let any = |is: fn(&MethodSetting) -> bool| stage.method_settings.values().any(is);
    let logs = |it: &MethodSetting| it.logging_level.as_deref().is_some_and(|it| it != "OFF");
    note(
        stage.cache_cluster_enabled || any(|it| it.caching_enabled),
        "caching",
        "responses are not cached",
    );
    note(any(logs) || any(|it| it.data_trace_enabled), "logging", "there are no execution logs");
    note(
        stage.access_log_settings.is_some(),
        "accessLogSettings",
        "the gateway writes its own access log for all stages",
    );
    note(stage.tracing_enabled, "tracingEnabled", "nothing is sent to X-Ray");
    note(
        stage.client_certificate_id.is_some(),
        "clientCertificateId",
        "no client certificate is shown to backends",
    );
    note(
        stage.canary_settings.as_ref().is_some_and(|it| it.use_stage_cache),
        "useStageCache",
        "responses are not cached",
    );
    unserved
}
