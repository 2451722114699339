//! Where an integration's requests go: what AWS refuses when it is told.

use tollgate_model::api::IntegrationType;
use tollgate_model::compile::check_http_uri;
use tollgate_model::control_plane::Integration;

use crate::error::ApiError;

const INVALID_ARN: &str = "Invalid ARN specified in the request";

pub(super) fn check(integration: &Integration) -> Result<(), ApiError> {
    use IntegrationType::{Aws, AwsProxy, Http, HttpProxy, Mock};
    let kind = integration.integration_type;
    let uri = integration.uri.as_deref().unwrap_or_default();
    match kind {
        Mock => {}
        Http | HttpProxy => check_http_uri(uri).or_else(refused)?,
        Aws | AwsProxy => check_service(integration, uri)?,
    }
    if let Some(credentials) = &integration.credentials
        && arn(credentials).is_none()
    {
        return refused(INVALID_ARN);
    }
    let is_vpc_link = integration.connection_type.as_deref() == Some("VPC_LINK");
    if is_vpc_link && integration.connection_id.is_none() {
        return refused("connectionType VPC_LINK needs a connectionId");
    }
    let streams = integration.response_transfer_mode.as_deref() == Some("STREAM");
    if streams && !matches!(kind, HttpProxy | AwsProxy) {
        return refused(
            "responseTransferMode STREAM needs an integration of type HTTP_PROXY or AWS_PROXY",
        );
    }
    Ok(())
}

/// An import may leave it out: then the client's method is sent.
pub(super) fn check_http_method(integration: &Integration) -> Result<(), ApiError> {
    match (integration.integration_type, integration.http_method) {
        (IntegrationType::Mock, _) | (_, Some(_)) => Ok(()),
        _ => refused("Enumeration value for HttpMethod must be non-empty"),
    }
}

/// `arn:{partition}:apigateway:{region}:[{subdomain}.]{service}:{path|action}/…`
fn check_service(integration: &Integration, uri: &str) -> Result<(), ApiError> {
    let Some([_, _, _, _, service, action]) = arn(uri) else { return refused(INVALID_ARN) };
    if !action.starts_with("path/") && !action.starts_with("action/") {
        return refused("AWS ARN for integration must contain path or action");
    }
    let is_function = service == "lambda" && is_function(action);
    match integration.integration_type {
        IntegrationType::AwsProxy if !is_function && service != "firehose" => refused(
            "Integrations of type 'AWS_PROXY' currently only supports Lambda function and Firehose stream invocations.",
        ),
        // A function's own policy may let the API in; other services have none.
        IntegrationType::Aws if service != "lambda" && integration.credentials.is_none() => {
            refused("Role ARN must be specified for AWS integrations")
        }
        _ => Ok(()),
    }
}

/// `path/2015-03-31/functions/{arn}/invocations`, or 2021-11-15 for streams.
fn is_function(action: &str) -> bool {
    let mut parts = action.splitn(4, '/');
    parts.next() == Some("path") && parts.next().is_some() && parts.next() == Some("functions")
}

fn arn(text: &str) -> Option<[&str; 6]> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    <[&str; 6]>::try_from(parts).ok().filter(|parts| parts[0] == "arn" && !parts[5].is_empty())
}

fn refused(message: &str) -> Result<(), ApiError> {
    Err(ApiError::bad_request(message))
}
