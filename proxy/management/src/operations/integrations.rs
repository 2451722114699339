//! Integrations: what answers a method's requests.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_PutIntegration.html>

use std::time::Duration;

use http::Method as Verb;
use tollgate_model::api::IntegrationType;
use tollgate_model::compile::{
    DEFAULT_INTEGRATION_TIMEOUT, MINIMUM_INTEGRATION_TIMEOUT, check_request_mapping,
    check_unique_names,
};
use tollgate_model::control_plane::{Integration, Method, TlsConfig};

use crate::call::{Answer, Call};
use crate::context::Context;
use crate::error::ApiError;
use crate::input::Input;
use crate::operations::method_parts::{
    Place, change, check_templates, content_handling, parse_http_method, read, shown,
};
use crate::patch::patches;
use crate::router::Operation;

mod backend;
mod patch;

const URI: &str =
    "/restapis/{restapi_id}/resources/{resource_id}/methods/{http_method}/integration";

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation { name: "PutIntegration", method: Verb::PUT, uri: URI, status: 201, run: put },
    Operation { name: "GetIntegration", method: Verb::GET, uri: URI, status: 200, run: get },
    Operation {
        name: "UpdateIntegration",
        method: Verb::PATCH,
        uri: URI,
        status: 200,
        run: update,
    },
    Operation {
        name: "DeleteIntegration",
        method: Verb::DELETE,
        uri: URI,
        status: 204,
        run: delete,
    },
];

const PASSTHROUGH_BEHAVIORS: [&str; 3] = ["WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER"];
/// In the service model's order.
const CONNECTION_TYPES: &[&str] = &["INTERNET", "VPC_LINK"];
const TRANSFER_MODES: &[&str] = &["BUFFERED", "STREAM"];
/// In the order of AWS's text.
const TYPES: [IntegrationType; 5] = [
    IntegrationType::Http,
    IntegrationType::Mock,
    IntegrationType::AwsProxy,
    IntegrationType::HttpProxy,
    IntegrationType::Aws,
];

/// Replaces what was there, responses and all.
fn put(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let input = call.input()?;
    let requested = requested(context, &input)?;
    change(context, call, |_, place, method| {
        let mut integration = requested.clone();
        if integration.cache_namespace.is_empty() {
            place.resource_id.clone_into(&mut integration.cache_namespace);
        }
        check(place, method, &integration)?;
        let answer = shown(&integration);
        method.method_integration = Some(integration);
        Ok(Answer::Json(answer))
    })
}

fn requested(context: &Context, input: &Input) -> Result<Integration, ApiError> {
    let integration_type = input.one_of("type", &TYPES.map(IntegrationType::as_str))?;
    let integration_type = integration_type.ok_or_else(|| input.missing("type"))?;
    let integration_type =
        TYPES.into_iter().find(|it| it.as_str() == integration_type).unwrap_or(TYPES[0]);
    let given = |member| -> Result<Option<String>, ApiError> {
        Ok(input.text(member)?.filter(|text| !text.is_empty()))
    };
    let connection_type = input.one_of("connectionType", CONNECTION_TYPES)?;
    let timeout = input.integer("timeoutInMillis")?;
    let tls_config = input.structure("tlsConfig")?;
    let tls_config = tls_config.map(|it| it.boolean("insecureSkipVerification")).transpose()?;
    let passthrough_behavior = given("passthroughBehavior")?;
    let integration = Integration {
        integration_type,
        http_method: given("httpMethod")?.as_deref().map(parse_http_method).transpose()?,
        uri: given("uri")?,
        connection_type: connection_type
            .or_else(|| default_connection(integration_type))
            .map(str::to_owned),
        connection_id: given("connectionId")?,
        credentials: given("credentials")?,
        request_parameters: input.text_map("requestParameters")?.unwrap_or_default(),
        request_templates: input.template_map("requestTemplates")?.unwrap_or_default(),
        passthrough_behavior: passthrough_behavior
            .unwrap_or_else(|| PASSTHROUGH_BEHAVIORS[0].to_owned()),
        content_handling: content_handling(input)?,
        timeout_in_millis: match timeout {
            Some(timeout) => checked_timeout(context, timeout)?,
            None => millis(DEFAULT_INTEGRATION_TIMEOUT.min(maximum_timeout(context))),
        },
        cache_namespace: input.text("cacheNamespace")?.unwrap_or_default(),
        cache_key_parameters: input.texts("cacheKeyParameters")?.unwrap_or_default(),
        integration_responses: Default::default(),
        tls_config: tls_config
            .map(|skip| TlsConfig { insecure_skip_verification: skip.unwrap_or(false) }),
        response_transfer_mode: input
            .one_of("responseTransferMode", TRANSFER_MODES)?
            .map(str::to_owned),
        integration_target: given("integrationTarget")?,
    };
    check_passthrough(&integration.passthrough_behavior)?;
    Ok(integration)
}

fn get(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    read(context, call, |method| Ok(Answer::Json(shown(integration(method)?))))
}

fn update(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let patches = patches(call)?;
    change(context, call, |_, place, method| {
        let mut integration = integration(method)?.clone();
        for patch in &patches {
            patch::apply(context, call, place, method, &mut integration, patch)?;
        }
        check_destinations(&integration)?;
        backend::check(&integration)?;
        let answer = shown(&integration);
        method.method_integration = Some(integration);
        Ok(Answer::Json(answer))
    })
}

fn delete(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    change(context, call, |_, _, method| {
        method.method_integration.take().ok_or_else(missing)?;
        Ok(Answer::Empty)
    })
}

/// The integration of a method.
pub(crate) fn integration(method: &Method) -> Result<&Integration, ApiError> {
    method.method_integration.as_ref().ok_or_else(missing)
}

pub(crate) fn integration_mut(method: &mut Method) -> Result<&mut Integration, ApiError> {
    method.method_integration.as_mut().ok_or_else(missing)
}

pub(crate) fn missing() -> ApiError {
    ApiError::not_found("Invalid Integration identifier specified")
}

fn check(place: &Place, method: &Method, integration: &Integration) -> Result<(), ApiError> {
    backend::check_http_method(integration)?;
    backend::check(integration)?;
    check_destinations(integration)?;
    for (destination, expression) in &integration.request_parameters {
        check_request_mapping(destination, expression, &method.request_parameters, place.path)
            .map_err(ApiError::bad_request)?;
    }
    check_templates(&integration.request_templates)?;
    let parameters = &integration.cache_key_parameters;
    parameters.iter().try_for_each(|it| check_cache_key(place, method, integration, it))
}

fn check_destinations(integration: &Integration) -> Result<(), ApiError> {
    check_unique_names(integration.request_parameters.keys().map(String::as_str))
        .map_err(ApiError::bad_request)
}

/// A cache key is a parameter of the method, a variable of its path, or one that the integration
/// maps.
fn check_cache_key(
    place: &Place,
    method: &Method,
    integration: &Integration,
    parameter: &str,
) -> Result<(), ApiError> {
    let in_path = |name: &str| {
        let named = [format!("{{{name}}}"), format!("{{{name}+}}")];
        place.path.split('/').any(|part| named.iter().any(|named| named == part))
    };
    let known = method.request_parameters.contains_key(parameter)
        || integration.request_parameters.contains_key(parameter)
        || parameter.strip_prefix("method.request.path.").is_some_and(in_path);
    if known {
        return Ok(());
    }
    Err(ApiError::bad_request("Invalid cache key parameter specified"))
}

fn check_passthrough(behavior: &str) -> Result<(), ApiError> {
    if PASSTHROUGH_BEHAVIORS.contains(&behavior) {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "Invalid PassthroughBehavior specified. Valid options are {}",
        PASSTHROUGH_BEHAVIORS.join(",")
    )))
}

fn maximum_timeout(context: &Context) -> Duration {
    context.settings.maximum_integration_timeout
}

fn millis(timeout: Duration) -> u32 {
    u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX)
}

fn checked_timeout(context: &Context, timeout: i64) -> Result<u32, ApiError> {
    let (minimum, maximum) =
        (millis(MINIMUM_INTEGRATION_TIMEOUT), millis(maximum_timeout(context)));
    let allowed = u32::try_from(timeout).ok().filter(|it| (minimum..=maximum).contains(it));
    allowed.ok_or_else(|| {
        ApiError::bad_request(format!("Timeout should be between {minimum} ms and {maximum} ms"))
    })
}

/// AWS's answer for HTTP integrations says it.
fn default_connection(integration_type: IntegrationType) -> Option<&'static str> {
    let is_http = matches!(integration_type, IntegrationType::Http | IntegrationType::HttpProxy);
    is_http.then_some(CONNECTION_TYPES[0])
}

#[cfg(test)]
mod tests;
