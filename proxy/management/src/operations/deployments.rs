//! Deployments: an API's definition as it was at one moment.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_CreateDeployment.html>

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::Method;
use tollgate_model::api::{Api, Authorization, Connection};
use tollgate_model::compile::{StageSettings, compile};
use tollgate_model::control_plane::{
    CanarySettings, Deployment, MethodSnapshot, RestApi, Stage, VpcLink, wire,
};

use crate::call::{Answer, Call};
use crate::context::Context;
use crate::error::ApiError;
use crate::input::Input;
use crate::names::{ID, keys};
use crate::operations::rest_apis::api;
use crate::operations::{import, stages};
use crate::page;
use crate::patch::{Patchable, patches};
use crate::router::Operation;
use crate::unit::Unit;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "CreateDeployment",
        method: Method::POST,
        uri: "/restapis/{restapi_id}/deployments",
        status: 201,
        run: create,
    },
    Operation {
        name: "GetDeployments",
        method: Method::GET,
        uri: "/restapis/{restapi_id}/deployments",
        status: 200,
        run: list,
    },
    Operation {
        name: "GetDeployment",
        method: Method::GET,
        uri: "/restapis/{restapi_id}/deployments/{deployment_id}",
        status: 200,
        run: get,
    },
    Operation {
        name: "UpdateDeployment",
        method: Method::PATCH,
        uri: "/restapis/{restapi_id}/deployments/{deployment_id}",
        status: 200,
        run: update,
    },
    Operation {
        name: "DeleteDeployment",
        method: Method::DELETE,
        uri: "/restapis/{restapi_id}/deployments/{deployment_id}",
        status: 202,
        run: delete,
    },
];

const PATCHABLE: Patchable = Patchable { replace: &["/description"], add: &[], remove: &[] };

fn create(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let input = call.input()?;
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        let frozen = import::definition(unit, &api)?
            .api()
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        let deployment = Deployment {
            id: unit.new_id(ID, |id| keys::deployment(&api.id, id))?,
            description: input.text("description")?,
            created_date: context.now(),
            api_summary: None,
        };
        let stage_name = input.text("stageName")?.filter(|name| !name.is_empty());
        let variables = variables(unit, &api, stage_name.as_deref(), &input)?;
        // Without a stage it is looked at as if for one, so that errors show here and not later.
        let name = stage_name.as_deref().unwrap_or("test");
        let settings = context.stage_settings(&api.id, name, &deployment.id, variables);
        let mut warnings = check(context, unit, &frozen, &settings)?;
        unit.put(keys::deployment(&api.id, &deployment.id), &deployment);
        unit.put_exactly(keys::definition(&api.id, &deployment.id), &frozen);
        if let Some(stage) = switch(context, unit, &api, &deployment, stage_name, &input)? {
            warnings.extend(context.data_plane.unserved_settings(&stage));
        }
        Ok(Answer::WithWarnings(wire(&deployment), warnings))
    })
}

/// The stage variables that the new deployment will see.
fn variables(
    unit: &mut Unit,
    api: &RestApi,
    stage_name: Option<&str>,
    input: &Input,
) -> Result<BTreeMap<String, String>, ApiError> {
    let stage = match stage_name {
        Some(name) => unit.get::<Stage>(&keys::stage(&api.id, name))?,
        None => None,
    };
    let of_stage = stage.map(|stage| stage.variables).unwrap_or_default();
    let Some(canary) = input.structure("canarySettings")? else {
        return Ok(input.sorted_text_map("variables")?.unwrap_or(of_stage));
    };
    let overrides = canary.sorted_text_map("stageVariableOverrides")?.unwrap_or_default();
    Ok(of_stage.into_iter().chain(overrides).collect())
}

/// What AWS refuses to deploy, and what is accepted and won't work.
fn check(
    context: &Context,
    unit: &mut Unit,
    frozen: &Api,
    settings: &StageSettings,
) -> Result<Vec<String>, ApiError> {
    if frozen.resources.values().all(|resource| resource.methods.is_empty()) {
        return Err(ApiError::bad_request("The REST API doesn't contain any methods"));
    }
    let mut methods = frozen.resources.values().flat_map(|resource| resource.methods.values());
    if methods.any(|method| method.integration.is_none()) {
        return Err(ApiError::bad_request("No integration defined for method"));
    }
    compiles(context, unit, frozen, settings)
}

/// Compiles what a stage would serve. Gives what of it won't work, a line each with its place.
pub(crate) fn compiles(
    context: &Context,
    unit: &mut Unit,
    api: &Api,
    settings: &StageSettings,
) -> Result<Vec<String>, ApiError> {
    let mut served = Cow::Borrowed(api);
    if uses_vpc_links(api) {
        name_vpc_links(served.to_mut(), |id| unit.get(&keys::vpc_link(id)))?;
    }
    let compiled = compile(&served, settings)?;
    let unserved = compiled.warnings.iter();
    let unserved =
        unserved.map(|it| format!("{}: {}: {}", it.places.join(", "), it.construct, it.message));
    let mut warnings: Vec<String> = unserved.collect();
    warnings.extend(context.data_plane.unserved(&compiled.stage));
    Ok(warnings)
}

fn uses_vpc_links(api: &Api) -> bool {
    let mut methods = api.resources.values().flat_map(|resource| resource.methods.values());
    methods.any(|method| {
        let connection = method.integration.as_ref().map(|integration| &integration.connection);
        matches!(connection, Some(Connection::VpcLink { .. }))
    })
}

/// Integrations name VPC links of the management API by their ids; the configuration, which has
/// their addresses, by their names.
pub fn name_vpc_links<E>(
    api: &mut Api,
    mut find: impl FnMut(&str) -> Result<Option<VpcLink>, E>,
) -> Result<(), E> {
    let methods = api.resources.values_mut().flat_map(|resource| resource.methods.values_mut());
    for integration in methods.filter_map(|method| method.integration.as_mut()) {
        if let Connection::VpcLink { id, .. } = &mut integration.connection
            && let Some(link) = find(id)?
        {
            *id = link.name;
        }
    }
    Ok(())
}

/// Points a stage, which is made if there is none, or its canary, at a new deployment.
fn switch(
    context: &Context,
    unit: &mut Unit,
    api: &RestApi,
    deployment: &Deployment,
    stage_name: Option<String>,
    input: &Input,
) -> Result<Option<Stage>, ApiError> {
    const INVALID: &str = "Invalid deployment content specified.";
    let canary = input.structure("canarySettings")?;
    let Some(name) = stage_name else {
        return match canary {
            Some(_) => Err(ApiError::bad_request(format!(
                "{INVALID}Non null and non empty stageName must be provided for canary deployment. Provided value is null"
            ))),
            None => Ok(None),
        };
    };
    stages::check_name(&name)?;
    let key = keys::stage(&api.id, &name);
    let known: Option<Stage> = unit.get(&key)?;
    let mut stage = match (known, &canary) {
        (None, Some(_)) => {
            return Err(ApiError::bad_request(format!(
                "{INVALID}Stage {name} must already be created before making a canary release deployment"
            )));
        }
        (Some(stage), _) => stage,
        (None, None) => {
            let mut stage = stages::new_stage(context, name, deployment.id.clone());
            stage.description = input.text("stageDescription")?;
            stage
        }
    };
    stage.last_updated_date = context.now();
    match canary {
        Some(canary) => {
            let overrides = canary.sorted_text_map("stageVariableOverrides")?.unwrap_or_default();
            stages::check_variables(&overrides)?;
            stage.canary_settings = Some(CanarySettings {
                percent_traffic: stages::percent(canary.double("percentTraffic")?.unwrap_or(0.0))?,
                deployment_id: deployment.id.clone(),
                stage_variable_overrides: overrides,
                use_stage_cache: canary.boolean("useStageCache")?.unwrap_or(false),
            });
        }
        None if stage.canary_settings.is_some() => {
            return Err(ApiError::bad_request(format!(
                "{INVALID}Stage {} has a canary: give canarySettings, or promote or remove the canary first",
                stage.stage_name
            )));
        }
        None => {
            stage.deployment_id.clone_from(&deployment.id);
            stages::settings_of(&mut stage, input)?;
        }
    }
    unit.put(key, &stage);
    Ok(Some(stage))
}

fn list(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        let under = keys::of_api(&api.id, "deployments");
        page::list(call, unit, &under, |_: &Deployment| true, wire)
    })
}

fn get(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        let mut deployment = deployment(unit, &api, call)?;
        let embed: Vec<&str> = call.queries("embed").flat_map(|it| it.split(',')).collect();
        if embed.contains(&"apisummary") {
            let frozen: Option<Api> = unit.get(&keys::definition(&api.id, &deployment.id))?;
            deployment.api_summary = frozen.as_ref().map(summary);
        }
        Ok(Answer::Json(wire(&deployment)))
    })
}

fn update(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let patches = patches(call)?;
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        let mut deployment = deployment(unit, &api, call)?;
        for patch in &patches {
            PATCHABLE.check(patch)?;
            deployment.description = Some(patch.text()?.to_owned());
        }
        unit.put(keys::deployment(&api.id, &deployment.id), &deployment);
        Ok(Answer::Json(wire(&deployment)))
    })
}

fn delete(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        let deployment = deployment(unit, &api, call)?;
        let stages: Vec<Stage> = unit.list(&keys::of_api(&api.id, "stages"))?;
        let used = |stage: &Stage| {
            let canary = stage.canary_settings.as_ref();
            stage.deployment_id == deployment.id
                || canary.is_some_and(|canary| canary.deployment_id == deployment.id)
        };
        if stages.iter().any(used) {
            return Err(ApiError::bad_request(
                "Active stages pointing to this deployment must be moved or deleted",
            ));
        }
        unit.delete(keys::deployment(&api.id, &deployment.id));
        unit.delete(keys::definition(&api.id, &deployment.id));
        Ok(Answer::Empty)
    })
}

fn deployment(unit: &mut Unit, api: &RestApi, call: &Call) -> Result<Deployment, ApiError> {
    let found = unit.get(&keys::deployment(&api.id, call.part("deployment_id")))?;
    found.ok_or_else(|| ApiError::not_found("Invalid Deployment identifier specified"))
}

fn summary(api: &Api) -> BTreeMap<String, BTreeMap<String, MethodSnapshot>> {
    let mut summary = BTreeMap::new();
    for (path, resource) in &api.resources {
        let methods = resource.methods.iter().map(|(http_method, method)| {
            let snapshot = MethodSnapshot {
                authorization_type: authorization_type(&method.authorization).to_owned(),
                api_key_required: method.api_key_required,
            };
            (http_method.to_string(), snapshot)
        });
        let methods: BTreeMap<_, _> = methods.collect();
        if !methods.is_empty() {
            summary.insert(path.clone(), methods);
        }
    }
    summary
}

fn authorization_type(authorization: &Authorization) -> &'static str {
    match authorization {
        Authorization::None => "NONE",
        Authorization::AwsIam => "AWS_IAM",
        Authorization::Custom { .. } => "CUSTOM",
        Authorization::CognitoUserPools { .. } => "COGNITO_USER_POOLS",
        Authorization::Jwt { .. } => "JWT",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::names::keys;
    use crate::testing::fixture;

    #[test]
    fn a_schemas_nulls_are_frozen_with_it() {
        let fixture = fixture();
        let (api, root) = fixture.api();
        let schema = json!({"type": "object", "properties": {"a": {"default": null}}});
        let model = json!({
            "name": "Pet", "contentType": "application/json", "schema": schema.to_string(),
        });
        fixture.ok("POST", &format!("/restapis/{api}/models"), model);
        let method = format!("/restapis/{api}/resources/{root}/methods/GET");
        fixture.ok("PUT", &method, json!({"authorizationType": "NONE"}));
        fixture.ok("PUT", &format!("{method}/integration"), json!({"type": "MOCK"}));
        let deployment = fixture.ok("POST", &format!("/restapis/{api}/deployments"), json!({}));
        let key = keys::definition(&api, deployment["id"].as_str().unwrap());
        let context = &fixture.management.context;
        let frozen = context.carry_out(|unit| unit.get::<Value>(&key)).unwrap().unwrap();
        assert_eq!(frozen["models"]["Pet"]["schema"], schema);
    }

    #[test]
    fn a_tag_may_begin_as_our_own_members_do() {
        let fixture = fixture();
        let tags = json!({"x-tollgate-owner": "pets"});
        let api = fixture.ok("POST", "/restapis", json!({"name": "pets", "tags": tags}));
        assert_eq!(api["tags"], tags);
    }
}
