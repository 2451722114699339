//! Methods of a resource: what a request must look like and who may send it.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_PutMethod.html>

use http::Method as Verb;
use tollgate_model::api::AuthorizerType;
use tollgate_model::compile::{check_declared_parameter, check_unique_names};
use tollgate_model::control_plane::{Authorizer, Method, RequestValidator, RestApi};

use crate::call::{Answer, Call};
use crate::context::Context;
use crate::error::ApiError;
use crate::input::Input;
use crate::names::keys;
use crate::operations::method_parts::{
    INVALID_METHOD, Place, change, check_models, is_true, parse_http_method, patch_declared,
    patch_model, read, resource, shown,
};
use crate::patch::{Op, Patch, allow, patches};
use crate::router::Operation;
use crate::unit::Unit;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "PutMethod",
        method: Verb::PUT,
        uri: "/restapis/{restapi_id}/resources/{resource_id}/methods/{http_method}",
        status: 201,
        run: put,
    },
    Operation {
        name: "GetMethod",
        method: Verb::GET,
        uri: "/restapis/{restapi_id}/resources/{resource_id}/methods/{http_method}",
        status: 200,
        run: get,
    },
    Operation {
        name: "UpdateMethod",
        method: Verb::PATCH,
        uri: "/restapis/{restapi_id}/resources/{resource_id}/methods/{http_method}",
        status: 200,
        run: update,
    },
    Operation {
        name: "DeleteMethod",
        method: Verb::DELETE,
        uri: "/restapis/{restapi_id}/resources/{resource_id}/methods/{http_method}",
        status: 204,
        run: delete,
    },
];

/// JWT is what an import makes of a JWT authorizer.
const AUTHORIZATION_TYPES: [&str; 5] = ["NONE", "AWS_IAM", "CUSTOM", "COGNITO_USER_POOLS", "JWT"];
const REQUEST_LOCATIONS: &[&str] =
    &["method.request.path.", "method.request.querystring.", "method.request.header."];

fn put(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let input = call.input()?;
    let authorization_type = input.required_text("authorizationType")?;
    context.carry_out(|unit| {
        let (api, mut resource) = resource(context, unit, call)?;
        let http_method = parse_http_method(call.part("http_method"))?;
        if resource.resource_methods.contains_key(&http_method) {
            return Err(ApiError::conflict("Method already exists for this resource"));
        }
        check_authorization_type(&authorization_type)?;
        let mut method = Method {
            http_method,
            authorization_type: authorization_type.clone(),
            authorizer_id: input.text("authorizerId")?,
            api_key_required: input.boolean("apiKeyRequired")?.unwrap_or(false),
            request_validator_id: given(&input, "requestValidatorId")?,
            operation_name: given(&input, "operationName")?,
            request_parameters: input.boolean_map("requestParameters")?.unwrap_or_default(),
            request_models: input.sorted_text_map("requestModels")?.unwrap_or_default(),
            method_responses: Default::default(),
            method_integration: None,
            authorization_scopes: input.texts("authorizationScopes")?.unwrap_or_default(),
            transformers: Vec::new(),
        };
        method.request_parameters.keys().try_for_each(|name| check_parameter(name))?;
        check_names(&method)?;
        settle_authorizer(unit, &api, &mut method)?;
        check_models(unit, &api, &method.request_models)?;
        if let Some(id) = &method.request_validator_id {
            check_validator(unit, &api, id)?;
        }
        let answer = shown(&method);
        resource.resource_methods.insert(http_method, method);
        unit.put(keys::resource(&api.id, &resource.id), &resource);
        Ok(Answer::Json(answer))
    })
}

fn get(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    read(context, call, |method| Ok(Answer::Json(shown(method))))
}

fn update(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let patches = patches(call)?;
    change(context, call, |unit, place, method| {
        for patch in &patches {
            apply(unit, place, method, patch)?;
        }
        check_names(method)?;
        if patches.iter().any(|it| ["/authorizationType", "/authorizerId"].contains(&&*it.path)) {
            settle_authorizer(unit, place.api, method)?;
        }
        Ok(Answer::Json(shown(method)))
    })
}

fn delete(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let (api, mut resource) = resource(context, unit, call)?;
        let http_method = parse_http_method(call.part("http_method")).ok();
        let removed = http_method.and_then(|it| resource.resource_methods.remove(&it));
        removed.ok_or_else(|| ApiError::not_found(INVALID_METHOD))?;
        unit.put(keys::resource(&api.id, &resource.id), &resource);
        Ok(Answer::Empty)
    })
}

fn apply(
    unit: &mut Unit,
    place: &Place,
    method: &mut Method,
    patch: &Patch,
) -> Result<(), ApiError> {
    let segments = patch.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments[..] {
        ["requestParameters", name] => {
            return patch_declared(&mut method.request_parameters, patch, name, check_parameter);
        }
        ["requestModels", media_type] => {
            return patch_model(unit, place.api, &mut method.request_models, patch, media_type);
        }
        ["authorizationScopes"] => return patch_scope(&mut method.authorization_scopes, patch),
        [
            "authorizationType" | "authorizerId" | "apiKeyRequired" | "operationName"
            | "requestValidatorId",
        ] => allow(patch, &[Op::Replace])?,
        _ => return Err(patch.invalid_path()),
    }
    let text = patch.value.clone().filter(|text| !text.is_empty());
    match segments[0] {
        "authorizationType" => {
            check_authorization_type(patch.text()?)?;
            method.authorization_type = patch.text()?.to_owned();
        }
        "authorizerId" => method.authorizer_id = text,
        "apiKeyRequired" => method.api_key_required = is_true(patch),
        "operationName" => method.operation_name = text,
        // An empty one takes it away.
        _ => {
            if let Some(id) = &text {
                check_validator(unit, place.api, id)?;
            }
            method.request_validator_id = text;
        }
    }
    Ok(())
}

fn patch_scope(scopes: &mut Vec<String>, patch: &Patch) -> Result<(), ApiError> {
    allow(patch, &[Op::Add, Op::Remove])?;
    let scope = patch.text()?;
    match scopes.iter().position(|known| known == scope) {
        Some(at) if patch.op == Op::Remove => drop(scopes.remove(at)),
        None if patch.op == Op::Add => scopes.push(scope.to_owned()),
        _ => {}
    }
    Ok(())
}

/// A text that says something.
fn given(input: &Input, member: &str) -> Result<Option<String>, ApiError> {
    Ok(input.text(member)?.filter(|text| !text.is_empty()))
}

fn check_parameter(name: &str) -> Result<(), ApiError> {
    check_declared_parameter(name, REQUEST_LOCATIONS).map_err(ApiError::bad_request)
}

fn check_names(method: &Method) -> Result<(), ApiError> {
    check_unique_names(method.request_parameters.keys().map(String::as_str))
        .map_err(ApiError::bad_request)
}

fn check_authorization_type(name: &str) -> Result<(), ApiError> {
    if AUTHORIZATION_TYPES.contains(&name) {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "Invalid AuthorizationType specified. Valid options are {}",
        AUTHORIZATION_TYPES.join(",")
    )))
}

/// A method that has an authorizer needs one of the right kind; another one keeps none.
fn settle_authorizer(unit: &mut Unit, api: &RestApi, method: &mut Method) -> Result<(), ApiError> {
    let kinds: &[AuthorizerType] = match method.authorization_type.as_str() {
        "CUSTOM" => &[AuthorizerType::Token, AuthorizerType::Request],
        "COGNITO_USER_POOLS" => &[AuthorizerType::CognitoUserPools],
        "JWT" => &[AuthorizerType::Jwt],
        _ => {
            method.authorizer_id = None;
            return Ok(());
        }
    };
    let found: Option<Authorizer> = match method.authorizer_id.as_deref() {
        None | Some("") => None,
        Some(id) => unit.get(&keys::authorizer(&api.id, id))?,
    };
    match found {
        Some(authorizer) if kinds.contains(&authorizer.authorizer_type) => Ok(()),
        _ => Err(ApiError::bad_request(
            "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS requires a valid authorizer.",
        )),
    }
}

fn check_validator(unit: &mut Unit, api: &RestApi, id: &str) -> Result<(), ApiError> {
    match unit.get::<RequestValidator>(&keys::request_validator(&api.id, id))? {
        Some(_) => Ok(()),
        None => Err(ApiError::bad_request("Invalid Request Validator identifier specified")),
    }
}

#[cfg(test)]
mod tests;
