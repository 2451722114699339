//! Stages: where a deployment is served, its settings and its canary.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_CreateStage.html>

mod patch;

use std::collections::BTreeMap;

use http::Method;
use tollgate_model::api::Api;
use tollgate_model::control_plane::{
    CacheClusterStatus, CanarySettings, Deployment, RestApi, Stage, wire,
};

use crate::call::{Answer, Call};
use crate::context::Context;
use crate::error::ApiError;
use crate::input::Input;
use crate::names::keys;
use crate::operations::documentation::versions;
use crate::operations::rest_apis::api;
use crate::operations::{base_path_mappings, deployments, tags, usage_plans};
use crate::patch::patches;
use crate::router::Operation;
use crate::unit::Unit;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "CreateStage",
        method: Method::POST,
        uri: "/restapis/{restapi_id}/stages",
        status: 201,
        run: create,
    },
    Operation {
        name: "GetStages",
        method: Method::GET,
        uri: "/restapis/{restapi_id}/stages",
        status: 200,
        run: list,
    },
    Operation {
        name: "GetStage",
        method: Method::GET,
        uri: "/restapis/{restapi_id}/stages/{stage_name}",
        status: 200,
        run: get,
    },
    Operation {
        name: "UpdateStage",
        method: Method::PATCH,
        uri: "/restapis/{restapi_id}/stages/{stage_name}",
        status: 200,
        run: update,
    },
    Operation {
        name: "DeleteStage",
        method: Method::DELETE,
        uri: "/restapis/{restapi_id}/stages/{stage_name}",
        status: 202,
        run: delete,
    },
    Operation {
        name: "FlushStageCache",
        method: Method::DELETE,
        uri: "/restapis/{restapi_id}/stages/{stage_name}/cache/data",
        status: 202,
        run: flush_cache,
    },
    Operation {
        name: "FlushStageAuthorizersCache",
        method: Method::DELETE,
        uri: "/restapis/{restapi_id}/stages/{stage_name}/cache/authorizers",
        status: 202,
        run: flush_authorizers,
    },
];

/// GB of a cache cluster.
pub(crate) const CACHE_CLUSTER_SIZES: &[&str] =
    &["0.5", "1.6", "6.1", "13.5", "28.4", "58.2", "118", "237"];

/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html>
const MAXIMUM_VARIABLES: usize = 100;
const MAXIMUM_VARIABLE_NAME: usize = 64;
const MAXIMUM_VARIABLE_VALUE: usize = 512;
const MAXIMUM_NAME: usize = 128;

fn create(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let input = call.input()?;
    let name = input.required_text("stageName")?;
    check_name(&name)?;
    let deployment_id = input.required_text("deploymentId")?;
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        let key = keys::stage(&api.id, &name);
        check_deployment(unit, &api, &deployment_id)?;
        if unit.get::<Stage>(&key)?.is_some() {
            return Err(ApiError::conflict("Stage already exists"));
        }
        let mut stage = new_stage(context, name.clone(), deployment_id.clone());
        stage.description = input.text("description")?;
        stage.documentation_version = input.text("documentationVersion")?;
        if let Some(version) = &stage.documentation_version {
            versions::named(unit, &api, version)?;
        }
        stage.tags = tags::given(&input)?;
        settings_of(&mut stage, &input)?;
        if let Some(canary) = input.structure("canarySettings")? {
            stage.canary_settings = Some(canary_of(unit, &api, &stage, &canary)?);
        }
        let warnings = check(context, unit, &api, &stage)?;
        unit.put(key, &stage);
        Ok(Answer::WithWarnings(show(&stage), warnings))
    })
}

fn list(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        let stages: Vec<Stage> = unit.list(&keys::of_api(&api.id, "stages"))?;
        let wanted = call.query("deploymentId");
        let wanted = |stage: &&Stage| wanted.is_none_or(|id| stage.deployment_id == id);
        let shown: Vec<_> = stages.iter().filter(wanted).map(show).collect();
        // Not paged.
        Ok(Answer::Json(serde_json::json!({ "item": shown })))
    })
}

fn get(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        Ok(Answer::Json(show(&stage(unit, &api, call)?)))
    })
}

fn update(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let patches = patches(call)?;
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        let mut stage = stage(unit, &api, call)?;
        let before = stage.clone();
        for patch in &patches {
            patch::apply(unit, &api, &mut stage, patch)?;
        }
        stage.last_updated_date = context.now();
        let is_served_as_before = before.deployment_id == stage.deployment_id
            && before.variables == stage.variables
            && before.canary_settings == stage.canary_settings;
        let mut warnings = match is_served_as_before {
            true => context.data_plane.unserved_settings(&stage),
            false => check(context, unit, &api, &stage)?,
        };
        // What was so before this call has been said.
        let said = context.data_plane.unserved_settings(&before);
        warnings.retain(|warning| !said.contains(warning));
        unit.put(keys::stage(&api.id, &stage.stage_name), &stage);
        Ok(Answer::WithWarnings(show(&stage), warnings))
    })
}

fn delete(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        let stage = stage(unit, &api, call)?;
        base_path_mappings::check_unmapped(unit, &api, Some(&stage.stage_name))?;
        usage_plans::forget_stages(unit, &api, Some(&stage.stage_name))?;
        unit.delete(keys::stage(&api.id, &stage.stage_name));
        Ok(Answer::Empty)
    })
}

fn flush_cache(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        // Nothing is cached yet, so nothing is left to flush.
        stage(unit, &api, call).map(|_| Answer::Empty)
    })
}

fn flush_authorizers(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        let stage = stage(unit, &api, call)?;
        context.data_plane.flush_authorizer_cache(&api.id, &stage.stage_name);
        Ok(Answer::Empty)
    })
}

/// Whether the stage can be served as it is now, and its canary: variables are part of URIs. Gives
/// what does nothing, a line each.
pub(crate) fn check(
    context: &Context,
    unit: &mut Unit,
    api: &RestApi,
    stage: &Stage,
) -> Result<Vec<String>, ApiError> {
    let mut warnings = context.data_plane.unserved_settings(stage);
    let mut releases = vec![(&stage.deployment_id, stage.variables.clone())];
    if let Some(canary) = &stage.canary_settings {
        let mut variables = stage.variables.clone();
        variables.extend(canary.stage_variable_overrides.clone());
        releases.push((&canary.deployment_id, variables));
    }
    for (deployment_id, variables) in releases {
        let frozen = unit.get::<Api>(&keys::definition(&api.id, deployment_id))?;
        let frozen = frozen.ok_or_else(|| ApiError::bad_request("Deployment id does not exist"))?;
        let settings = context.stage_settings(&api.id, &stage.stage_name, deployment_id, variables);
        for warning in deployments::compiles(context, unit, &frozen, &settings)? {
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
    }
    Ok(warnings)
}

pub(crate) fn stage(unit: &mut Unit, api: &RestApi, call: &Call) -> Result<Stage, ApiError> {
    let found = unit.get(&keys::stage(&api.id, call.part("stage_name")))?;
    found.ok_or_else(|| ApiError::not_found("Invalid stage identifier specified"))
}

fn show(stage: &Stage) -> serde_json::Value {
    let shown = stage.method_settings.iter().map(|(key, it)| (key.clone(), it.shown()));
    wire(&Stage { method_settings: shown.collect(), ..stage.clone() })
}

/// A stage without settings.
pub(crate) fn new_stage(context: &Context, stage_name: String, deployment_id: String) -> Stage {
    let now = context.now();
    Stage {
        deployment_id,
        client_certificate_id: None,
        stage_name,
        description: None,
        cache_cluster_enabled: false,
        cache_cluster_size: None,
        cache_cluster_status: CacheClusterStatus::NotAvailable,
        method_settings: BTreeMap::new(),
        variables: BTreeMap::new(),
        documentation_version: None,
        access_log_settings: None,
        canary_settings: None,
        tracing_enabled: false,
        tags: None,
        created_date: now,
        last_updated_date: now,
    }
}

/// What CreateStage and CreateDeployment may both say of a stage.
pub(crate) fn settings_of(stage: &mut Stage, input: &Input) -> Result<(), ApiError> {
    if let Some(size) = input.one_of("cacheClusterSize", CACHE_CLUSTER_SIZES)? {
        stage.cache_cluster_size = Some(size.to_owned());
    }
    if let Some(enabled) = input.boolean("cacheClusterEnabled")? {
        set_cache(stage, enabled);
    }
    if let Some(variables) = input.sorted_text_map("variables")? {
        stage.variables = variables;
        check_variables(&stage.variables)?;
    }
    if let Some(enabled) = input.boolean("tracingEnabled")? {
        stage.tracing_enabled = enabled;
    }
    Ok(())
}

/// Gives a stage its cache cluster, of AWS's smallest size unless it has one, or takes it away.
fn set_cache(stage: &mut Stage, enabled: bool) {
    stage.cache_cluster_enabled = enabled;
    if enabled {
        stage.cache_cluster_size.get_or_insert_with(|| CACHE_CLUSTER_SIZES[0].to_owned());
        stage.cache_cluster_status = CacheClusterStatus::Available;
    } else {
        stage.cache_cluster_size = None;
        stage.cache_cluster_status = CacheClusterStatus::NotAvailable;
    }
}

fn canary_of(
    unit: &mut Unit,
    api: &RestApi,
    stage: &Stage,
    input: &Input,
) -> Result<CanarySettings, ApiError> {
    let deployment_id = match input.text("deploymentId")? {
        Some(id) => {
            check_deployment(unit, api, &id)?;
            id
        }
        None => stage.deployment_id.clone(),
    };
    let overrides = input.sorted_text_map("stageVariableOverrides")?.unwrap_or_default();
    check_variables(&overrides)?;
    Ok(CanarySettings {
        percent_traffic: percent(input.double("percentTraffic")?.unwrap_or(0.0))?,
        deployment_id,
        stage_variable_overrides: overrides,
        use_stage_cache: input.boolean("useStageCache")?.unwrap_or(false),
    })
}

fn check_deployment(unit: &mut Unit, api: &RestApi, id: &str) -> Result<(), ApiError> {
    match unit.get::<Deployment>(&keys::deployment(&api.id, id))? {
        Some(_) => Ok(()),
        None => Err(ApiError::bad_request("Deployment id does not exist")),
    }
}

/// A share of the requests, 0.0 to 100.0.
pub(crate) fn percent(percent: f64) -> Result<f64, ApiError> {
    if (0.0..=100.0).contains(&percent) {
        return Ok(percent);
    }
    Err(ApiError::bad_request("percentTraffic must be between 0.0 and 100.0"))
}

pub(crate) fn check_name(name: &str) -> Result<(), ApiError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if name.is_empty() || name.len() > MAXIMUM_NAME || !name.bytes().all(allowed) {
        return Err(ApiError::bad_request("Stage name only allows a-zA-Z0-9_-"));
    }
    Ok(())
}

pub(crate) fn check_variables(variables: &BTreeMap<String, String>) -> Result<(), ApiError> {
    if variables.len() > MAXIMUM_VARIABLES {
        return Err(ApiError::bad_request(format!(
            "Stage variables are limited to {MAXIMUM_VARIABLES}"
        )));
    }
    variables.iter().try_for_each(|(name, value)| check_variable(name, value))
}

fn check_variable(name: &str, value: &str) -> Result<(), ApiError> {
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || name.len() > MAXIMUM_VARIABLE_NAME || !name.bytes().all(in_name) {
        return Err(ApiError::bad_request(format!(
            "Stage variable name '{name}' is invalid. It must have 1 to {MAXIMUM_VARIABLE_NAME} characters of [A-Za-z0-9_]"
        )));
    }
    let in_value = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#&=,".contains(&byte);
    if value.len() > MAXIMUM_VARIABLE_VALUE || !value.bytes().all(in_value) {
        return Err(ApiError::bad_request(format!(
            "Stage variable value for '{name}' is invalid. Please use values with alphanumeric characters and the symbols ' ', -', '.', '_', ':', '/', '?', '&', '=', and ','."
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
