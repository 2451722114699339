//! The steps of a request, in the order in which it meets them (rest-api §1). Each continues
//! or answers with a [`Refusal`].
//!
//! [`admit`] runs those that need no body: plain functions of the request head and the snapshot,
//! no sockets, no waiting. [`request_body`] takes the body; [`integration_request`] and
//! [`integration_response`] shape what goes to the backend and comes back, and [`mapped`] calls
//! it for the integrations that reshape both.

pub mod locate;
pub mod route;
pub mod resource_policy;
pub mod authorize;
pub mod api_key;
pub mod validate;
pub mod request_body;
pub mod mapped;
pub mod integration_request;
pub mod integration_response;

use tollgate_model::api::GatewayResponseType;
use tollgate_model::compile::CompiledIntegration;

use crate::compression::ResponseCompression;
use crate::exchange::Exchange;
use crate::head::RequestHead;
use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;

/// Takes a request from its head to its method's integration, or refuses it.
pub fn admit(
    snapshot: &Snapshot,
    limits: &Limits,
    head: &RequestHead,
    exchange: &mut Exchange,
) -> Result<(), Refusal> {
    locate::locate(snapshot, limits, head, exchange)?;
    route::route(head, exchange)?;
    resource_policy::check(head, exchange)?;
    authorize::authorize(head, exchange)?;
    api_key::check(exchange)?;
    validate::parameters(head, exchange)
}

/// What the responses of this exchange's integration are compressed with.
pub fn response_compression(
    head: &RequestHead,
    exchange: &Exchange,
) -> Option<ResponseCompression> {
    let stage = exchange.stage.as_ref()?;
    ResponseCompression::of(stage.compiled.minimum_compression_size, head)
}

/// The answer of integrations that nothing here can call: 500, as AWS answers for a function
/// that can't be reached or a broken configuration.
pub fn unreachable_integration(integration: &CompiledIntegration) -> Refusal {
    let cause = match integration {
        CompiledIntegration::Lambda { function_arn, .. } => format!(
            "Execution failed due to configuration error: Invalid permissions on Lambda function \
             {function_arn}"
        ),
        CompiledIntegration::AwsService { uri } => {
            format!("AWS service integrations are not served: {uri}")
        }
        CompiledIntegration::Misconfigured { reason } => reason.clone(),
        CompiledIntegration::HttpProxy(_)
        | CompiledIntegration::Http { .. }
        | CompiledIntegration::Mock { .. } => "the integration can be called".to_owned(),
    };
    Refusal::caused(GatewayResponseType::ApiConfigurationError, cause)
}
