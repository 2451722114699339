//! Request validators: which parts of a request a method validates.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_CreateRequestValidator.html>

use http::Method;
use tollgate_model::control_plane::{RequestValidator, RestApi, wire};

use crate::call::{Answer, Call};
use crate::context::Context;
use crate::error::ApiError;
use crate::names::{ID, keys};
use crate::operations::rest_apis::{api, api_or};
use crate::operations::uses;
use crate::page;
use crate::patch::{Patch, Patchable, patches};
use crate::router::Operation;
use crate::unit::Unit;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "CreateRequestValidator",
        method: Method::POST,
        uri: "/restapis/{restapi_id}/requestvalidators",
        status: 201,
        run: create,
    },
    Operation {
        name: "GetRequestValidators",
        method: Method::GET,
        uri: "/restapis/{restapi_id}/requestvalidators",
        status: 200,
        run: list,
    },
    Operation {
        name: "GetRequestValidator",
        method: Method::GET,
        uri: "/restapis/{restapi_id}/requestvalidators/{requestvalidator_id}",
        status: 200,
        run: get,
    },
    Operation {
        name: "UpdateRequestValidator",
        method: Method::PATCH,
        uri: "/restapis/{restapi_id}/requestvalidators/{requestvalidator_id}",
        status: 200,
        run: update,
    },
    Operation {
        name: "DeleteRequestValidator",
        method: Method::DELETE,
        uri: "/restapis/{restapi_id}/requestvalidators/{requestvalidator_id}",
        status: 202,
        run: delete,
    },
];

const PATCHABLE: Patchable = Patchable {
    replace: &["/name", "/validateRequestParameters", "/validateRequestBody"],
    add: &[],
    remove: &[],
};

fn create(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let input = call.input()?;
    let name = input.text("name")?.unwrap_or_default();
    let validate_request_body = input.boolean("validateRequestBody")?.unwrap_or(false);
    let validate_request_parameters = input.boolean("validateRequestParameters")?.unwrap_or(false);
    context.carry_out(|unit| {
        // Recorded: a 400 here, and a 404 for the list.
        let missing = ApiError::bad_request("Invalid REST API identifier specified");
        let api = api_or(context, unit, call, missing)?;
        check_name(&name)?;
        let validator = RequestValidator {
            id: unit.new_id(ID, |id| keys::request_validator(&api.id, id))?,
            name: name.clone(),
            validate_request_body,
            validate_request_parameters,
        };
        unit.put(keys::request_validator(&api.id, &validator.id), &validator);
        Ok(Answer::Json(wire(&validator)))
    })
}

fn list(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        let under = keys::of_api(&api.id, "requestvalidators");
        page::list(call, unit, &under, |_: &RequestValidator| true, wire)
    })
}

fn get(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| Ok(Answer::Json(wire(&find(context, unit, call)?.1))))
}

fn update(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let patches = patches(call)?;
    context.carry_out(|unit| {
        let (api, mut validator) = find(context, unit, call)?;
        for patch in &patches {
            apply(&mut validator, patch)?;
        }
        unit.put(keys::request_validator(&api.id, &validator.id), &validator);
        Ok(Answer::Json(wire(&validator)))
    })
}

fn apply(validator: &mut RequestValidator, patch: &Patch) -> Result<(), ApiError> {
    PATCHABLE.check(patch)?;
    let value = patch.value.as_deref().unwrap_or_default();
    // Recorded: no value is false. AWS reads everything but "true" so.
    let flag = value.eq_ignore_ascii_case("true");
    match patch.path.as_str() {
        "/validateRequestBody" => validator.validate_request_body = flag,
        "/validateRequestParameters" => validator.validate_request_parameters = flag,
        _ => {
            check_name(value)?;
            value.clone_into(&mut validator.name);
        }
    }
    Ok(())
}

fn delete(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let (api, validator) = find(context, unit, call)?;
        let user = uses::of_methods(unit, &api.id, |path, method| {
            let used = method.request_validator_id.as_ref() == Some(&validator.id);
            used.then(|| format!("{}/{path}", method.http_method))
        })?;
        if let Some(user) = user {
            return Err(ApiError::conflict(format!(
                "Cannot delete request validator '{}', is referenced in method: {user}",
                validator.name
            )));
        }
        unit.delete(keys::request_validator(&api.id, &validator.id));
        Ok(Answer::Empty)
    })
}

/// AWS names the validator also if it is the API that isn't there.
fn find(
    context: &Context,
    unit: &mut Unit,
    call: &Call,
) -> Result<(RestApi, RequestValidator), ApiError> {
    let missing = || ApiError::not_found("Invalid Request Validator identifier specified");
    let api = api_or(context, unit, call, missing())?;
    let key = keys::request_validator(&api.id, call.part("requestvalidator_id"));
    let validator = unit.get(&key)?.ok_or_else(missing)?;
    Ok((api, validator))
}

fn check_name(name: &str) -> Result<(), ApiError> {
    if name.trim().is_empty() {
        return Err(ApiError::bad_request("Request Validator name cannot be blank"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
