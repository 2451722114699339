//! UpdateStage: what a patch operation changes of a stage.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html#UpdateStage-Patch>

use tollgate_model::api::HttpMethod;
use tollgate_model::control_plane::{
    AccessLogSettings, CanarySettings, MethodSetting, RestApi, Stage,
    UnauthorizedCacheControlHeaderStrategy,
};
use tollgate_throttle::Rate;

use super::{
    CACHE_CLUSTER_SIZES, check_deployment, check_variable, check_variables, percent, set_cache,
};
use crate::error::ApiError;
use crate::operations::client_certificates;
use crate::operations::documentation::versions;
use crate::patch::{Op, Patch};
use crate::unit::Unit;

const MAXIMUM_CACHE_TTL: u32 = 3_600;

pub(super) fn apply(
    unit: &mut Unit,
    api: &RestApi,
    stage: &mut Stage,
    patch: &Patch,
) -> Result<(), ApiError> {
    let segments = patch.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match (patch.op, &segments[..]) {
        (Op::Copy, _) => promote(stage, patch),
        (Op::Move | Op::Test, _) => Err(invalid(patch)),
        (_, ["variables", name]) => variable(stage, patch, name),
        (_, ["accessLogSettings", ..]) => access_log(stage, patch, &segments[1..]),
        (Op::Remove, ["canarySettings", name]) if *name != "stageVariableOverrides" => {
            remove_method_setting(stage, patch)
        }
        (_, ["canarySettings", ..]) => canary(unit, api, stage, patch, &segments[1..]),
        (Op::Remove, [_, _, ..]) => remove_method_setting(stage, patch),
        (_, [_, _, _, ..]) => method_setting(stage, patch),
        (Op::Replace, [name]) => replace(unit, api, stage, patch, name),
        (
            Op::Add | Op::Remove,
            ["documentationVersion" | "clientCertificateId" | "description"],
        ) => replace(unit, api, stage, patch, segments[0]),
        _ => Err(invalid(patch)),
    }
}

/// What has one value.
fn replace(
    unit: &mut Unit,
    api: &RestApi,
    stage: &mut Stage,
    patch: &Patch,
    name: &str,
) -> Result<(), ApiError> {
    let text = || patch.optional_text().filter(|text| !text.is_empty());
    match name {
        "deploymentId" => {
            let id = patch.text()?;
            check_deployment(unit, api, id)?;
            id.clone_into(&mut stage.deployment_id);
        }
        "description" => stage.description = text(),
        "cacheClusterEnabled" => set_cache(stage, patch.boolean()?),
        "cacheClusterSize" => {
            stage.cache_cluster_size = Some(patch.one_of(CACHE_CLUSTER_SIZES)?.to_owned());
        }
        "clientCertificateId" => {
            let id = text();
            id.as_deref().map(|id| client_certificates::with_id(unit, id)).transpose()?;
            stage.client_certificate_id = id;
        }
        "documentationVersion" => {
            let version = text();
            version.as_deref().map(|name| versions::named(unit, api, name)).transpose()?;
            stage.documentation_version = version;
        }
        "tracingEnabled" => stage.tracing_enabled = patch.boolean()?,
        _ => return Err(invalid(patch)),
    }
    Ok(())
}

fn variable(stage: &mut Stage, patch: &Patch, name: &str) -> Result<(), ApiError> {
    if patch.op == Op::Remove {
        return match stage.variables.remove(name) {
            Some(_) => Ok(()),
            None => Err(ApiError::not_found("Invalid stage variable name specified")),
        };
    }
    let value = patch.text()?;
    check_variable(name, value)?;
    stage.variables.insert(name.to_owned(), value.to_owned());
    check_variables(&stage.variables)
}

fn access_log(stage: &mut Stage, patch: &Patch, rest: &[&str]) -> Result<(), ApiError> {
    if let ([], Op::Remove) = (rest, patch.op) {
        stage.access_log_settings = None;
        return Ok(());
    }
    let settings = stage.access_log_settings.get_or_insert_with(AccessLogSettings::default);
    let member = match rest {
        ["format"] => &mut settings.format,
        ["destinationArn"] => &mut settings.destination_arn,
        _ => {
            return Err(ApiError::bad_request(
                "Invalid accessLogSettings path. Must be one of : [/accessLogSettings/destinationArn, /accessLogSettings/format]",
            ));
        }
    };
    *member = match patch.op {
        Op::Remove => None,
        _ => match patch.value.as_deref() {
            None | Some("") => {
                return Err(ApiError::bad_request("Access Log value must not be empty"));
            }
            Some(value) => Some(value.to_owned()),
        },
    };
    if settings.format.is_none() && settings.destination_arn.is_none() {
        stage.access_log_settings = None;
    }
    Ok(())
}

fn canary(
    unit: &mut Unit,
    api: &RestApi,
    stage: &mut Stage,
    patch: &Patch,
    rest: &[&str],
) -> Result<(), ApiError> {
    if let (Op::Remove, []) = (patch.op, rest) {
        stage.canary_settings = None;
        return Ok(());
    }
    if let (Op::Add, ["deploymentId" | "percentTraffic" | "useStageCache"]) = (patch.op, rest) {
        return Err(ApiError::bad_request(format!(
            "Invalid add operation with path: {}",
            patch.path
        )));
    }
    let deployment_id = stage.deployment_id.clone();
    let canary = stage.canary_settings.get_or_insert_with(|| CanarySettings {
        percent_traffic: 0.0,
        deployment_id,
        stage_variable_overrides: Default::default(),
        use_stage_cache: false,
    });
    match (patch.op, rest) {
        (Op::Replace, ["percentTraffic"]) => {
            canary.percent_traffic = percent(patch.number("a number from 0.0 to 100.0")?)?;
        }
        (Op::Replace, ["deploymentId"]) => {
            let id = patch.text()?;
            check_deployment(unit, api, id)?;
            id.clone_into(&mut canary.deployment_id);
        }
        (Op::Replace, ["useStageCache"]) => canary.use_stage_cache = patch.boolean()?,
        (Op::Remove, ["stageVariableOverrides"]) => canary.stage_variable_overrides.clear(),
        (_, ["stageVariableOverrides", name]) => {
            let missing = "Invalid stage variable name specified";
            if patch.op != Op::Remove {
                check_variable(name, patch.text()?)?;
            }
            patch.apply_to_map(&mut canary.stage_variable_overrides, missing)?;
            check_variables(&canary.stage_variable_overrides)?;
        }
        _ => return Err(invalid(patch)),
    }
    Ok(())
}

/// Takes the canary's deployment or variables over.
fn promote(stage: &mut Stage, patch: &Patch) -> Result<(), ApiError> {
    const DEPLOYMENT: (&str, &str) = ("/deploymentId", "/canarySettings/deploymentId");
    const VARIABLES: (&str, &str) = ("/variables", "/canarySettings/stageVariableOverrides");
    let from = patch.from.as_deref().unwrap_or_default();
    let copy = (patch.path.as_str(), from);
    if copy != DEPLOYMENT && copy != VARIABLES {
        return Err(ApiError::bad_request(format!(
            "Invalid copy operation with path: {} and from {from}. Valid copy:path are [/deploymentId, /variables] and valid copy:from are [/canarySettings/deploymentId, /canarySettings/stageVariableOverrides]",
            patch.path
        )));
    }
    let Some(canary) = &stage.canary_settings else {
        return Err(ApiError::bad_request("Promotion not available. Canary does not exist."));
    };
    if copy == DEPLOYMENT {
        stage.deployment_id.clone_from(&canary.deployment_id);
    } else {
        let overrides = canary.stage_variable_overrides.clone();
        stage.variables.extend(overrides);
        check_variables(&stage.variables)?;
    }
    Ok(())
}

/// The key of a method's settings, and what of them a patch path names. The key is the path as it
/// was addressed, `~1pets~1{id}/GET`: Terraform reads it back so.
fn method_place(patch: &Patch, after: usize) -> Option<(&str, Vec<&str>)> {
    let path = patch.path.strip_prefix('/')?;
    let ends: Vec<usize> = path.match_indices('/').map(|(at, _)| at).collect();
    let end = match after {
        0 => path.len(),
        after => *ends.get(ends.len().checked_sub(after)?)?,
    };
    let key = &path[..end];
    let rest = path[end..].split('/').skip(1).collect();
    key.contains('/').then_some((key, rest))
}

fn remove_method_setting(stage: &mut Stage, patch: &Patch) -> Result<(), ApiError> {
    let Some((key, _)) = method_place(patch, 0) else { return Err(invalid(patch)) };
    match stage.method_settings.remove(key) {
        Some(_) => Ok(()),
        None => Err(ApiError::bad_request(format!(
            "Cannot remove method setting {key} because there is no method setting for this method "
        ))),
    }
}

fn method_setting(stage: &mut Stage, patch: &Patch) -> Result<(), ApiError> {
    let Some((key, rest)) = method_place(patch, 2) else { return Err(invalid(patch)) };
    if !matches!(patch.op, Op::Replace | Op::Add) || !is_of_a_method(key) {
        return Err(invalid(patch));
    }
    let mut setting = stage.method_settings.get(key).cloned().unwrap_or_default();
    match rest[..] {
        ["metrics", "enabled"] => setting.metrics_enabled = patch.boolean()?,
        ["logging", "dataTrace"] => setting.data_trace_enabled = patch.boolean()?,
        ["logging", "loglevel"] => {
            setting.logging_level = Some(patch.one_of(&["OFF", "ERROR", "INFO"])?.to_owned());
        }
        ["throttling", "burstLimit"] => setting.throttling_burst_limit = Some(burst(patch)?),
        ["throttling", "rateLimit"] => setting.throttling_rate_limit = Some(rate(patch)?),
        ["caching", "ttlInSeconds"] => {
            let allowed = "an integer from 0 to 3600";
            setting.cache_ttl_in_seconds = patch.number(allowed)?;
            if setting.cache_ttl_in_seconds > MAXIMUM_CACHE_TTL {
                return Err(patch.invalid_value(patch.text()?, allowed));
            }
        }
        ["caching", "enabled"] => setting.caching_enabled = patch.boolean()?,
        ["caching", "dataEncrypted"] => setting.cache_data_encrypted = patch.boolean()?,
        ["caching", "requireAuthorizationForCacheControl"] => {
            setting.require_authorization_for_cache_control = patch.boolean()?;
        }
        ["caching", "unauthorizedCacheControlHeaderStrategy"] => {
            use UnauthorizedCacheControlHeaderStrategy as Strategy;
            let strategies = [
                ("FAIL_WITH_403", Strategy::FailWith403),
                ("SUCCEED_WITH_RESPONSE_HEADER", Strategy::SucceedWithResponseHeader),
                ("SUCCEED_WITHOUT_RESPONSE_HEADER", Strategy::SucceedWithoutResponseHeader),
            ];
            let name = patch.one_of(&strategies.map(|(name, _)| name))?;
            if let Some((_, strategy)) = strategies.iter().find(|(known, _)| *known == name) {
                setting.unauthorized_cache_control_header_strategy = *strategy;
            }
        }
        _ => return Err(invalid(patch)),
    }
    stage.method_settings.insert(key.to_owned(), setting);
    Ok(())
}

/// Whether a key of method settings ends with a method, or with `*`.
fn is_of_a_method(key: &str) -> bool {
    let method = key.rsplit('/').next().unwrap_or_default();
    method == "*" || HttpMethod::from_bytes(method.as_bytes()).is_some()
}

fn burst(patch: &Patch) -> Result<i32, ApiError> {
    let allowed = format!("a whole number from 0 to {}, or -1 for none", i32::MAX);
    match patch.number(&allowed)? {
        burst @ (MethodSetting::NO_BURST_LIMIT | 0..) => Ok(burst),
        _ => Err(patch.invalid_value(patch.text()?, &allowed)),
    }
}

/// Requests a second.
fn rate(patch: &Patch) -> Result<f64, ApiError> {
    let allowed = format!("a number from 0 to {}, or -1 for none", Rate::MAX_PER_SECOND);
    let rate = patch.number(&allowed)?;
    if rate == MethodSetting::NO_RATE_LIMIT || (0.0..=Rate::MAX_PER_SECOND).contains(&rate) {
        return Ok(rate);
    }
    Err(patch.invalid_value(patch.text()?, &allowed))
}

/// The paths that AWS's text lists.
fn invalid(patch: &Patch) -> ApiError {
    const OF_METHOD: [&str; 10] = [
        "metrics/enabled",
        "logging/dataTrace",
        "logging/loglevel",
        "throttling/burstLimit",
        "throttling/rateLimit",
        "caching/ttlInSeconds",
        "caching/enabled",
        "caching/dataEncrypted",
        "caching/requireAuthorizationForCacheControl",
        "caching/unauthorizedCacheControlHeaderStrategy",
    ];
    let mut paths: Vec<String> = [
        "/deploymentId",
        "/description",
        "/cacheClusterEnabled",
        "/cacheClusterSize",
        "/clientCertificateId",
        "/accessLogSettings",
        "/accessLogSettings/destinationArn",
        "/accessLogSettings/format",
    ]
    .map(str::to_owned)
    .to_vec();
    for prefix in ["/{resourcePath}/{httpMethod}", "/*/*"] {
        paths.extend(OF_METHOD.iter().map(|setting| format!("{prefix}/{setting}")));
    }
    paths.extend(["/variables/{variable_name}", "/tracingEnabled"].map(str::to_owned));
    ApiError::bad_request(format!(
        "Invalid method setting path: {}. Must be one of: [{}]",
        patch.path,
        paths.join(", ")
    ))
}
