//! UpdateIntegration: what a patch operation changes of an integration.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html#UpdateIntegration-Patch>

use tollgate_model::api::IntegrationType;
use tollgate_model::compile::check_request_mapping;
use tollgate_model::control_plane::{Integration, Method, TlsConfig};

use super::{
    CONNECTION_TYPES, TRANSFER_MODES, backend, check_cache_key, check_passthrough, checked_timeout,
};
use crate::call::Call;
use crate::context::Context;
use crate::error::ApiError;
use crate::operations::method_parts::{
    INVALID_PARAMETER, Place, is_true, parse_http_method, patch_mapping, patch_template,
    patched_content_handling,
};
use crate::patch::{Op, Patch, allow};

pub(super) fn apply(
    context: &Context,
    call: &Call,
    place: &Place,
    method: &Method,
    integration: &mut Integration,
    patch: &Patch,
) -> Result<(), ApiError> {
    let segments = patch.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments[..] {
        ["requestParameters", destination] => patch_mapping(
            &mut integration.request_parameters,
            patch,
            destination,
            |destination, expression| {
                let declared = &method.request_parameters;
                check_request_mapping(destination, expression, declared, place.path)
            },
        ),
        ["requestTemplates", media_type] => {
            patch_template(&mut integration.request_templates, patch, media_type)
        }
        ["cacheKeyParameters", parameter] => {
            cache_key(place, method, integration, patch, parameter)
        }
        ["contentHandling"] => {
            integration.content_handling = patched_content_handling(call, patch)?;
            Ok(())
        }
        ["tlsConfig", "insecureSkipVerification"] => {
            allow(patch, &[Op::Replace])?;
            let tls_config = integration.tls_config.get_or_insert_with(TlsConfig::default);
            tls_config.insecure_skip_verification = is_true(patch);
            Ok(())
        }
        ["uri"] if integration.integration_type == IntegrationType::Mock => {
            Err(patch.invalid_path())
        }
        [member] => replace(context, integration, patch, member),
        _ => Err(patch.invalid_path()),
    }
}

/// What has one value.
fn replace(
    context: &Context,
    integration: &mut Integration,
    patch: &Patch,
    member: &str,
) -> Result<(), ApiError> {
    const MEMBERS: [&str; 10] = [
        "cacheNamespace",
        "connectionId",
        "connectionType",
        "credentials",
        "httpMethod",
        "integrationTarget",
        "passthroughBehavior",
        "responseTransferMode",
        "timeoutInMillis",
        "uri",
    ];
    if !MEMBERS.contains(&member) {
        return Err(patch.invalid_path());
    }
    allow(patch, &[Op::Replace])?;
    let text = || patch.value.clone().filter(|text| !text.is_empty());
    match member {
        "cacheNamespace" => patch.text()?.clone_into(&mut integration.cache_namespace),
        "connectionId" => integration.connection_id = text(),
        "connectionType" => {
            integration.connection_type = Some(patch.one_of(CONNECTION_TYPES)?.to_owned());
        }
        "credentials" => integration.credentials = text(),
        "httpMethod" => {
            integration.http_method = text().as_deref().map(parse_http_method).transpose()?;
            backend::check_http_method(integration)?;
        }
        "integrationTarget" => integration.integration_target = text(),
        "passthroughBehavior" => {
            check_passthrough(patch.text()?)?;
            patch.text()?.clone_into(&mut integration.passthrough_behavior);
        }
        "responseTransferMode" => {
            integration.response_transfer_mode = Some(patch.one_of(TRANSFER_MODES)?.to_owned());
        }
        "timeoutInMillis" => {
            let millis = patch.number("a number of milliseconds")?;
            integration.timeout_in_millis = checked_timeout(context, millis)?;
        }
        _ => integration.uri = text(),
    }
    Ok(())
}

fn cache_key(
    place: &Place,
    method: &Method,
    integration: &mut Integration,
    patch: &Patch,
    parameter: &str,
) -> Result<(), ApiError> {
    allow(patch, &[Op::Add, Op::Remove, Op::Replace])?;
    let at = integration.cache_key_parameters.iter().position(|known| known == parameter);
    match (patch.op, at) {
        (Op::Remove, Some(at)) => drop(integration.cache_key_parameters.remove(at)),
        (Op::Remove, None) => return Err(ApiError::not_found(INVALID_PARAMETER)),
        (_, Some(_)) => {}
        (_, None) => {
            check_cache_key(place, method, integration, parameter)?;
            integration.cache_key_parameters.push(parameter.to_owned());
        }
    }
    Ok(())
}
