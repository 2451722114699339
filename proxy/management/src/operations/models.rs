//! Models: CreateModel, GetModel, GetModels, UpdateModel, DeleteModel, GetModelTemplate.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_CreateModel.html>

mod flatten;
mod template;

use http::Method;
use serde_json::Value;
use tollgate_model::api::is_json;
use tollgate_model::compile::check_schema;
use tollgate_model::control_plane::{self, Model, RestApi, wire};

use crate::call::{Answer, Call};
use crate::context::Context;
use crate::error::ApiError;
use crate::names::{ID, keys, new_id};
use crate::operations::rest_apis::{api, api_or};
use crate::operations::uses;
use crate::page;
use crate::patch::{Patch, Patchable, patches};
use crate::router::Operation;
use crate::unit::Unit;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "CreateModel",
        method: Method::POST,
        uri: "/restapis/{restapi_id}/models",
        status: 201,
        run: create,
    },
    Operation {
        name: "GetModels",
        method: Method::GET,
        uri: "/restapis/{restapi_id}/models",
        status: 200,
        run: list,
    },
    Operation {
        name: "GetModel",
        method: Method::GET,
        uri: "/restapis/{restapi_id}/models/{model_name}",
        status: 200,
        run: get,
    },
    Operation {
        name: "UpdateModel",
        method: Method::PATCH,
        uri: "/restapis/{restapi_id}/models/{model_name}",
        status: 200,
        run: update,
    },
    Operation {
        name: "DeleteModel",
        method: Method::DELETE,
        uri: "/restapis/{restapi_id}/models/{model_name}",
        status: 202,
        run: delete,
    },
    Operation {
        name: "GetModelTemplate",
        method: Method::GET,
        uri: "/restapis/{restapi_id}/models/{model_name}/default_template",
        status: 200,
        run: template,
    },
];

const PATCHABLE: Patchable =
    Patchable { replace: &["/description", "/schema"], add: &[], remove: &[] };

/// Bytes: <https://docs.aws.amazon.com/apigateway/latest/api/API_CreateModel.html>
const MAXIMUM_SCHEMA: usize = 400 * 1024;

fn create(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let input = call.input()?;
    let name = input.required_text("name")?;
    let content_type = input.required_text("contentType")?;
    let description = input.text("description")?;
    let schema = input.text("schema")?;
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        check_name(&name)?;
        let key = keys::model(&api.id, &name);
        if unit.get::<Model>(&key)?.is_some() {
            return Err(ApiError::conflict("Model name already exists for this REST API"));
        }
        let model = Model {
            id: new_id(ID),
            name: name.clone(),
            description: description.clone(),
            schema: schema.clone(),
            content_type: content_type.clone(),
        };
        check(&model)?;
        unit.put(key, &model);
        Ok(Answer::Json(wire(&model)))
    })
}

fn list(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        let under = keys::of_api(&api.id, "models");
        page::list(call, unit, &under, |_: &Model| true, wire)
    })
}

fn get(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let flat = call.query_bool("flatten")?;
    context.carry_out(|unit| {
        let (api, mut model) = find(context, unit, call)?;
        if flat && let Some(schema) = parsed(&model) {
            model.schema = Some(flatten::flatten(unit, &api.id, &model.name, schema)?.to_string());
        }
        Ok(Answer::Json(wire(&model)))
    })
}

fn update(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let patches = patches(call)?;
    context.carry_out(|unit| {
        let (api, mut model) = find(context, unit, call)?;
        for patch in &patches {
            apply(&mut model, patch)?;
        }
        unit.put(keys::model(&api.id, &model.name), &model);
        Ok(Answer::Json(wire(&model)))
    })
}

fn apply(model: &mut Model, patch: &Patch) -> Result<(), ApiError> {
    PATCHABLE.check(patch)?;
    if patch.path == "/description" {
        model.description = patch.optional_text();
        return Ok(());
    }
    model.schema = patch.optional_text();
    check(model)
}

fn delete(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let (api, model) = find(context, unit, call)?;
        let found = |path: &str, method: &control_plane::Method| user(path, method, &model.name);
        if let Some(user) = uses::of_methods(unit, &api.id, found)? {
            return Err(ApiError::conflict(format!(
                "Cannot delete model '{}', is referenced in {user}",
                model.name
            )));
        }
        unit.delete(keys::model(&api.id, &model.name));
        Ok(Answer::Empty)
    })
}

/// `method request: /test/ANY`
fn user(path: &str, method: &control_plane::Method, model: &str) -> Option<String> {
    let place = || uses::place(path, method);
    if method.request_models.values().any(|name| name == model) {
        return Some(format!("method request: {}", place()));
    }
    let mut responses = method.method_responses.iter();
    let (status, _) =
        responses.find(|(_, response)| response.response_models.values().any(|it| it == model))?;
    Some(format!("method response: {}/{status}", place()))
}

fn template(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let (api, model) = find(context, unit, call)?;
        let schema = match parsed(&model) {
            Some(schema) => flatten::flatten(unit, &api.id, &model.name, schema)?,
            None => Value::Null,
        };
        Ok(Answer::Json(serde_json::json!({ "value": template::of(&schema) })))
    })
}

/// AWS names the model also if it is the API that isn't there.
fn find(context: &Context, unit: &mut Unit, call: &Call) -> Result<(RestApi, Model), ApiError> {
    let name = call.part("model_name");
    let missing = || ApiError::not_found(format!("Invalid model name specified: {name}"));
    let api = api_or(context, unit, call, missing())?;
    let model = unit.get(&keys::model(&api.id, name))?.ok_or_else(missing)?;
    Ok((api, model))
}

/// The schema, if it is JSON.
fn parsed(model: &Model) -> Option<Value> {
    serde_json::from_str(model.schema.as_deref()?).ok()
}

fn check_name(name: &str) -> Result<(), ApiError> {
    if name.is_empty() {
        return Err(ApiError::bad_request("Model name must be non-empty"));
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(ApiError::bad_request(format!("Model name must be alphanumeric: {name}")));
    }
    Ok(())
}

/// A schema of JSON has to be JSON Schema draft 4; of other media types only that it is there.
fn check(model: &Model) -> Result<(), ApiError> {
    let text = model.schema.as_deref().unwrap_or_default();
    if text.trim().is_empty() {
        return Err(empty_schema());
    }
    if text.len() > MAXIMUM_SCHEMA {
        return Err(invalid_schema(&format!(". It has over {MAXIMUM_SCHEMA} bytes")));
    }
    if !is_json(&model.content_type) {
        return Ok(());
    }
    let schema: Value =
        serde_json::from_str(text).map_err(|error| invalid_schema(&format!(". {error}")))?;
    if schema.as_object().is_some_and(serde_json::Map::is_empty) {
        return Err(empty_schema());
    }
    check_schema(schema).map_err(|message| invalid_schema(&format!(". {message}")))
}

fn empty_schema() -> ApiError {
    ApiError::bad_request("Model schema must have at least 1 property or array items defined")
}

/// AWS's text, and ours of what is wrong after it.
fn invalid_schema(detail: &str) -> ApiError {
    ApiError::bad_request(format!(
        "Invalid model specified: Validation Result: warnings : [], errors : [Invalid model schema specified{detail}]"
    ))
}

#[cfg(test)]
mod tests;
