//! Gateway responses: PutGatewayResponse, GetGatewayResponse, GetGatewayResponses,
//! UpdateGatewayResponse, DeleteGatewayResponse.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_PutGatewayResponse.html>. Kept is what
//! was customised; an answer fills the rest in. Recorded of AWS: a type that isn't customised shows
//! what is customised of `DEFAULT_4XX` or `DEFAULT_5XX`; one that is shows its own defaults.

use http::Method;
use indexmap::IndexMap;
use tollgate_model::api::{self, GatewayResponseType};
use tollgate_model::compile::{BuiltIn, GatewayResponses};
use tollgate_model::control_plane::{GatewayResponse, wire};

use crate::call::{Answer, Call};
use crate::context::Context;
use crate::error::ApiError;
use crate::input::not_in_enum;
use crate::names::keys;
use crate::operations::rest_apis::api;
use crate::patch::{Op, Patch, patches};
use crate::router::Operation;
use crate::unit::Unit;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "PutGatewayResponse",
        method: Method::PUT,
        uri: "/restapis/{restapi_id}/gatewayresponses/{response_type}",
        status: 201,
        run: put,
    },
    Operation {
        name: "GetGatewayResponses",
        method: Method::GET,
        uri: "/restapis/{restapi_id}/gatewayresponses",
        status: 200,
        run: list,
    },
    Operation {
        name: "GetGatewayResponse",
        method: Method::GET,
        uri: "/restapis/{restapi_id}/gatewayresponses/{response_type}",
        status: 200,
        run: get,
    },
    Operation {
        name: "UpdateGatewayResponse",
        method: Method::PATCH,
        uri: "/restapis/{restapi_id}/gatewayresponses/{response_type}",
        status: 200,
        run: update,
    },
    Operation {
        name: "DeleteGatewayResponse",
        method: Method::DELETE,
        uri: "/restapis/{restapi_id}/gatewayresponses/{response_type}",
        status: 202,
        run: delete,
    },
];

/// In the order of AWS's text.
const TYPE_NAMES: [&str; 21] = [
    "REQUEST_TOO_LARGE",
    "RESOURCE_NOT_FOUND",
    "AUTHORIZER_CONFIGURATION_ERROR",
    "MISSING_AUTHENTICATION_TOKEN",
    "BAD_REQUEST_BODY",
    "INVALID_SIGNATURE",
    "INVALID_API_KEY",
    "BAD_REQUEST_PARAMETERS",
    "AUTHORIZER_FAILURE",
    "UNAUTHORIZED",
    "INTEGRATION_TIMEOUT",
    "ACCESS_DENIED",
    "DEFAULT_4XX",
    "DEFAULT_5XX",
    "WAF_FILTERED",
    "QUOTA_EXCEEDED",
    "THROTTLED",
    "API_CONFIGURATION_ERROR",
    "UNSUPPORTED_MEDIA_TYPE",
    "INTEGRATION_FAILURE",
    "EXPIRED_TOKEN",
];

const DEFAULT_TEMPLATE: (&str, &str) =
    ("application/json", "{\"message\":$context.error.messageString}");

/// The service model's `[1-5]\d\d`, without those that end no request.
const STATUS_CODES: std::ops::RangeInclusive<u16> = 200..=599;

fn put(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let response_type = response_type(call)?;
    let input = call.input()?;
    let status_code = input.text("statusCode")?;
    status_code.as_deref().map_or(Ok(()), check_pattern)?;
    let response = GatewayResponse {
        response_type,
        status_code,
        response_parameters: input.text_map("responseParameters")?.unwrap_or_default(),
        response_templates: input.text_map("responseTemplates")?.unwrap_or_default(),
        default_response: false,
    };
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        check(&response)?;
        unit.put(keys::gateway_response(&api.id, response_type.as_str()), &response);
        Ok(Answer::Json(wire(&shown(response.clone()))))
    })
}

fn list(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        let mut items = Vec::with_capacity(GatewayResponseType::ALL.len());
        for (response_type, _) in GatewayResponseType::ALL {
            items.push(wire(&current(unit, &api.id, response_type)?));
        }
        // Not paged.
        Ok(Answer::Json(serde_json::json!({ "item": items })))
    })
}

fn get(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let response_type = response_type(call)?;
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        Ok(Answer::Json(wire(&current(unit, &api.id, response_type)?)))
    })
}

/// Customises a type that isn't yet.
fn update(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let response_type = response_type(call)?;
    let patches = patches(call)?;
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        let known = customised(unit, &api.id, response_type)?;
        let mut response = known.unwrap_or_else(|| uncustomised(response_type));
        for patch in &patches {
            apply(&mut response, patch)?;
        }
        check(&response)?;
        unit.put(keys::gateway_response(&api.id, response_type.as_str()), &response);
        Ok(Answer::Json(wire(&shown(response))))
    })
}

fn apply(response: &mut GatewayResponse, patch: &Patch) -> Result<(), ApiError> {
    const PARAMETERS: (&str, &str) = ("responseParameters", "Invalid parameter name specified");
    const TEMPLATES: (&str, &str) = ("responseTemplates", "Content-Type specified was not found");
    let segments = patch.segments();
    match (patch.op, segments.as_slice()) {
        (Op::Replace, [member]) if member == "statusCode" => {
            response.status_code = Some(patch.text()?.to_owned());
            Ok(())
        }
        (Op::Add | Op::Replace | Op::Remove, [member, name]) if member == PARAMETERS.0 => {
            let parameters = &mut response.response_parameters;
            if patch.op == Op::Replace && !parameters.contains_key(name) {
                // Recorded; without a value that is what AWS tells first.
                non_empty(patch, PARAMETERS.0)?;
                return Err(ApiError::not_found(PARAMETERS.1));
            }
            change(parameters, patch, PARAMETERS)
        }
        (Op::Add | Op::Replace | Op::Remove, [member, _]) if member == TEMPLATES.0 => {
            if patch.op == Op::Remove && response.response_templates.is_empty() {
                let (media_type, template) = DEFAULT_TEMPLATE;
                response.response_templates.insert(media_type.to_owned(), template.to_owned());
            }
            change(&mut response.response_templates, patch, TEMPLATES)
        }
        _ => Err(patch.invalid_path()),
    }
}

fn change(
    map: &mut IndexMap<String, String>,
    patch: &Patch,
    (member, missing): (&str, &str),
) -> Result<(), ApiError> {
    if patch.op != Op::Remove {
        non_empty(patch, member)?;
    }
    patch.apply_to_map(map, missing)
}

fn non_empty(patch: &Patch, member: &str) -> Result<(), ApiError> {
    match patch.value.as_deref() {
        None | Some("") => {
            Err(ApiError::bad_request(format!("Invalid null or empty value in {member}")))
        }
        Some(_) => Ok(()),
    }
}

fn delete(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let response_type = response_type(call)?;
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        if customised(unit, &api.id, response_type)?.is_none() {
            return Err(ApiError::not_found("Gateway response type not defined on api"));
        }
        unit.delete(keys::gateway_response(&api.id, response_type.as_str()));
        Ok(Answer::Empty)
    })
}

fn response_type(call: &Call) -> Result<GatewayResponseType, ApiError> {
    let name = call.part("response_type");
    let found = GatewayResponseType::try_from(name.to_owned());
    found.map_err(|_| not_in_enum("responseType", name, &TYPE_NAMES))
}

fn customised(
    unit: &mut Unit,
    api_id: &str,
    response_type: GatewayResponseType,
) -> Result<Option<GatewayResponse>, ApiError> {
    unit.get(&keys::gateway_response(api_id, response_type.as_str()))
}

/// A type as it is now, customised or not.
fn current(
    unit: &mut Unit,
    api_id: &str,
    response_type: GatewayResponseType,
) -> Result<GatewayResponse, ApiError> {
    if let Some(response) = customised(unit, api_id, response_type)? {
        return Ok(shown(response));
    }
    let fallback = match BuiltIn::of(response_type).status {
        ..500 => GatewayResponseType::Default4xx,
        500.. => GatewayResponseType::Default5xx,
    };
    let inherited = customised(unit, api_id, fallback)?;
    let response = inherited.unwrap_or_else(|| uncustomised(response_type));
    Ok(shown(GatewayResponse { response_type, default_response: true, ..response }))
}

fn uncustomised(response_type: GatewayResponseType) -> GatewayResponse {
    GatewayResponse {
        response_type,
        status_code: None,
        response_parameters: IndexMap::new(),
        response_templates: IndexMap::new(),
        default_response: false,
    }
}

/// With AWS's defaults where nothing is customised.
fn shown(mut response: GatewayResponse) -> GatewayResponse {
    if response.response_templates.is_empty() {
        let (media_type, template) = DEFAULT_TEMPLATE;
        response.response_templates.insert(media_type.to_owned(), template.to_owned());
    }
    let status_code = response.status_code.take();
    response.status_code = status_code.or_else(|| default_status(response.response_type));
    response
}

/// The `DEFAULT_…` types have none.
fn default_status(response_type: GatewayResponseType) -> Option<String> {
    let status = match response_type {
        GatewayResponseType::Default4xx | GatewayResponseType::Default5xx => return None,
        // What it is once it is customised; AWS shows it before, too.
        GatewayResponseType::IntegrationFailure => 504,
        other => BuiltIn::of(other).status,
    };
    Some(status.to_string())
}

fn check(response: &GatewayResponse) -> Result<(), ApiError> {
    let status_code = response.status_code.as_deref().map(status_code).transpose()?;
    for media_type in response.response_templates.keys() {
        if !media_type.contains('/') {
            return Err(ApiError::bad_request(format!(
                "Validation Result: warnings : [], errors : [Invalid content type specified: {media_type}]"
            )));
        }
    }
    let declared = api::GatewayResponse {
        status_code,
        response_parameters: response.response_parameters.clone(),
        response_templates: response.response_templates.clone(),
    };
    GatewayResponses::check(&declared).map_err(ApiError::bad_request)
}

fn check_pattern(status_code: &str) -> Result<(), ApiError> {
    match status_code.as_bytes() {
        [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9'] => Ok(()),
        _ => Err(ApiError::validation(&[format!(
            "Value '{status_code}' at 'putGatewayResponseInput.statusCode' failed to satisfy constraint: Member must satisfy regular expression pattern: [1-5]\\d\\d"
        )])),
    }
}

fn status_code(text: &str) -> Result<u16, ApiError> {
    let found = text.parse().ok().filter(|status| STATUS_CODES.contains(status));
    found.ok_or_else(|| {
        ApiError::bad_request(format!(
            "Invalid statusCode specified: {text}. Must be {} to {}",
            STATUS_CODES.start(),
            STATUS_CODES.end()
        ))
    })
}

#[cfg(test)]
mod tests;
