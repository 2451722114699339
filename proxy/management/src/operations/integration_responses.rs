//! Integration responses: what of a backend's answer becomes which method response.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_PutIntegrationResponse.html>

use std::collections::BTreeMap;

use http::Method as Verb;
use tollgate_model::compile::check_response_mapping;
use tollgate_model::control_plane::{Integration, IntegrationResponse, Method};

use crate::call::{Answer, Call};
use crate::context::Context;
use crate::error::ApiError;
use crate::operations::integrations::{integration, integration_mut};
use crate::operations::method_parts::{
    INVALID_METHOD, INVALID_STATUS_CODE, change, check_templates, content_handling, patch_mapping,
    patch_template, patched_content_handling, patches_of_status, read, shown, status_code,
};
use crate::patch::{Op, Patch, allow};
use crate::router::Operation;

const URI: &str = "/restapis/{restapi_id}/resources/{resource_id}/methods/{http_method}/integration/responses/{status_code}";

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "PutIntegrationResponse",
        method: Verb::PUT,
        uri: URI,
        status: 201,
        run: put,
    },
    Operation {
        name: "GetIntegrationResponse",
        method: Verb::GET,
        uri: URI,
        status: 200,
        run: get,
    },
    Operation {
        name: "UpdateIntegrationResponse",
        method: Verb::PATCH,
        uri: URI,
        status: 200,
        run: update,
    },
    Operation {
        name: "DeleteIntegrationResponse",
        method: Verb::DELETE,
        uri: URI,
        status: 204,
        run: delete,
    },
];

/// Headers of a method response → required.
type Declared = BTreeMap<String, bool>;

fn put(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let input = call.input()?;
    let status_code = status_code(call)?;
    let response = IntegrationResponse {
        status_code: status_code.to_owned(),
        selection_pattern: input.text("selectionPattern")?,
        response_parameters: input.text_map("responseParameters")?.unwrap_or_default(),
        response_templates: input.template_map("responseTemplates")?.unwrap_or_default(),
        content_handling: content_handling(&input)?,
    };
    change(context, call, |_, _, method| {
        let declared = declared(method, status_code);
        let integration = integration_mut(method)?;
        for (destination, expression) in &response.response_parameters {
            check_response_mapping(destination, expression, declared.as_ref())
                .map_err(ApiError::bad_request)?;
        }
        check_templates(&response.response_templates)?;
        integration.integration_responses.insert(status_code.to_owned(), response.clone());
        Ok(Answer::Json(shown(&response)))
    })
}

fn get(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let status_code = status_code(call)?;
    read(context, call, |method| {
        let response = integration(method)?.integration_responses.get(status_code);
        Ok(Answer::Json(shown(response.ok_or_else(missing)?)))
    })
}

fn update(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let patches = patches_of_status(call)?;
    let status_code = call.part("status_code");
    change(context, call, |_, _, method| {
        let declared = declared(method, status_code);
        let response = response_mut(integration_mut(method)?, status_code)?;
        for patch in &patches {
            apply(call, response, declared.as_ref(), patch)?;
        }
        Ok(Answer::Json(shown(response)))
    })
}

fn delete(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let status_code = status_code(call)?;
    let deleted = change(context, call, |_, _, method| {
        let responses = &mut integration_mut(method)?.integration_responses;
        responses.shift_remove(status_code).ok_or_else(missing)?;
        Ok(Answer::Empty)
    });
    // Recorded: here it is the integration that AWS misses.
    deleted.map_err(|error| match error.message == INVALID_METHOD {
        true => crate::operations::integrations::missing(),
        false => error,
    })
}

fn apply(
    call: &Call,
    response: &mut IntegrationResponse,
    declared: Option<&Declared>,
    patch: &Patch,
) -> Result<(), ApiError> {
    let segments = patch.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments[..] {
        ["responseParameters", destination] => patch_mapping(
            &mut response.response_parameters,
            patch,
            destination,
            |destination, expression| check_response_mapping(destination, expression, declared),
        ),
        ["responseTemplates", media_type] => {
            patch_template(&mut response.response_templates, patch, media_type)
        }
        ["selectionPattern"] => {
            allow(patch, &[Op::Replace])?;
            response.selection_pattern = patch.value.clone();
            Ok(())
        }
        ["contentHandling"] => {
            response.content_handling = patched_content_handling(call, patch)?;
            Ok(())
        }
        _ => Err(patch.invalid_path()),
    }
}

fn declared(method: &Method, status_code: &str) -> Option<Declared> {
    Some(method.method_responses.get(status_code)?.response_parameters.clone())
}

fn response_mut<'i>(
    integration: &'i mut Integration,
    status_code: &str,
) -> Result<&'i mut IntegrationResponse, ApiError> {
    integration.integration_responses.get_mut(status_code).ok_or_else(missing)
}

fn missing() -> ApiError {
    ApiError::not_found(INVALID_STATUS_CODE)
}
