//! Method responses: the statuses a method may answer with, their headers and models.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_PutMethodResponse.html>

use http::Method;
use tollgate_model::compile::check_declared_parameter;
use tollgate_model::control_plane::{MethodResponse, wire};

use crate::call::{Answer, Call};
use crate::context::Context;
use crate::error::ApiError;
use crate::operations::method_parts::{
    INVALID_STATUS_CODE, Place, change, check_models, patch_declared, patch_model,
    patches_of_status, read, status_code,
};
use crate::patch::Patch;
use crate::router::Operation;
use crate::unit::Unit;

const URI: &str =
    "/restapis/{restapi_id}/resources/{resource_id}/methods/{http_method}/responses/{status_code}";

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation { name: "PutMethodResponse", method: Method::PUT, uri: URI, status: 201, run: put },
    Operation { name: "GetMethodResponse", method: Method::GET, uri: URI, status: 200, run: get },
    Operation {
        name: "UpdateMethodResponse",
        method: Method::PATCH,
        uri: URI,
        // As the service model has it.
        status: 201,
        run: update,
    },
    Operation {
        name: "DeleteMethodResponse",
        method: Method::DELETE,
        uri: URI,
        status: 204,
        run: delete,
    },
];

fn put(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let input = call.input()?;
    let status_code = status_code(call)?;
    change(context, call, |unit, place, method| {
        if method.method_responses.contains_key(status_code) {
            return Err(ApiError::conflict("Response already exists for this resource"));
        }
        let response = MethodResponse {
            status_code: status_code.to_owned(),
            response_parameters: input.boolean_map("responseParameters")?.unwrap_or_default(),
            response_models: input.sorted_text_map("responseModels")?.unwrap_or_default(),
        };
        response.response_parameters.keys().try_for_each(|name| check_header(name))?;
        check_models(unit, place.api, &response.response_models)?;
        let answer = wire(&response);
        method.method_responses.insert(status_code.to_owned(), response);
        Ok(Answer::Json(answer))
    })
}

fn get(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let status_code = status_code(call)?;
    read(context, call, |method| {
        let response = method.method_responses.get(status_code);
        Ok(Answer::Json(wire(response.ok_or_else(missing)?)))
    })
}

fn update(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let patches = patches_of_status(call)?;
    change(context, call, |unit, place, method| {
        let response = method.method_responses.get_mut(call.part("status_code"));
        let response = response.ok_or_else(missing)?;
        for patch in &patches {
            apply(unit, place, response, patch)?;
        }
        Ok(Answer::Json(wire(response)))
    })
}

fn delete(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let status_code = status_code(call)?;
    change(context, call, |_, _, method| {
        method.method_responses.remove(status_code).ok_or_else(missing)?;
        Ok(Answer::Empty)
    })
}

fn apply(
    unit: &mut Unit,
    place: &Place,
    response: &mut MethodResponse,
    patch: &Patch,
) -> Result<(), ApiError> {
    let segments = patch.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments[..] {
        ["responseParameters", name] => {
            patch_declared(&mut response.response_parameters, patch, name, check_header)
        }
        ["responseModels", media_type] => {
            patch_model(unit, place.api, &mut response.response_models, patch, media_type)
        }
        _ => Err(patch.invalid_path()),
    }
}

fn check_header(name: &str) -> Result<(), ApiError> {
    check_declared_parameter(name, &["method.response.header."]).map_err(ApiError::bad_request)
}

fn missing() -> ApiError {
    ApiError::not_found(INVALID_STATUS_CODE)
}
