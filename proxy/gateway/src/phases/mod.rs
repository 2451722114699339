//! The steps of a request, in the order in which it meets them (rest-api §1). Each continues
//! or answers with a [`Refusal`].
//!
//! [`admit`] and [`check`] run those that need no body: plain functions of the request head and
//! the snapshot, no sockets, no waiting. [`consult`] goes on where plugins have to be asked, which
//! may take a wait. [`request_body`] takes the body; [`integration_request`] and
//! [`integration_response`] shape what goes to the backend and comes back, and [`mapped`] calls
//! it for the integrations that reshape both.

pub mod locate;
pub mod route;
pub mod policy;
pub mod resource_policy;
pub mod authorize;
pub mod api_key;
pub mod throttle;
pub mod transform;
pub mod validate;
pub mod request_body;
pub mod mapped;
pub mod integration_request;
pub mod integration_response;

use tollgate_model::api::GatewayResponseType;
use tollgate_model::compile::CompiledIntegration;

use crate::compression::ResponseCompression;
use crate::core::Core;
use crate::exchange::Exchange;
use crate::head::{Framing, RequestHead};
use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;
use request_body::BodyReader;

/// Finds out which method a request is for, and whether the API lets it in at all.
pub fn admit(
    snapshot: &Snapshot,
    limits: &Limits,
    head: &RequestHead,
    exchange: &mut Exchange,
) -> Result<(), Refusal> {
    locate::locate(snapshot, limits, head, exchange)?;
    throttle::check_client(head, exchange)?;
    route::route(head, exchange)?;
    resource_policy::check(head, exchange)
}

/// How far [`check`] came.
pub enum Checked {
    /// The request may go on to its integration.
    Passed,
    /// Plugins have to be asked: [`consult`].
    Consult(FirstPlugin),
}

/// Which plugin is to be asked first.
pub enum FirstPlugin {
    Authorizer,
    Transformer,
}

/// What a request is held to before its integration, up to the first plugin that has to be asked.
pub fn check(head: &mut RequestHead, exchange: &mut Exchange) -> Result<Checked, Refusal> {
    match authorize::at_once(head, exchange) {
        None => return Ok(Checked::Consult(FirstPlugin::Authorizer)),
        Some(result) => result?,
    }
    api_key::check(head, exchange)?;
    throttle::check(exchange)?;
    if transform::is_needed(exchange) {
        return Ok(Checked::Consult(FirstPlugin::Transformer));
    }
    validate::parameters(head, exchange)?;
    Ok(Checked::Passed)
}

/// Goes on where [`check`] stopped. Gives the body, without its content coding, if a plugin needed
/// it whole. Dropped while it waits, the plugins' work is given up.
pub async fn consult(
    core: &Core,
    first: FirstPlugin,
    head: &mut RequestHead,
    exchange: &mut Exchange,
    reader: &mut impl BodyReader,
) -> Result<Option<Vec<u8>>, Refusal> {
    let mut body = None;
    if let FirstPlugin::Authorizer = first {
        if authorize::needs_body(exchange) {
            body = Some(reader.read(&core.limits, head).await?);
        }
        authorize::authorize(head, exchange, body.as_deref()).await?;
        api_key::check(head, exchange)?;
        throttle::check_late(exchange)?;
    }
    if transform::is_needed(exchange) {
        body = transform::request(&core.limits, head, exchange, body, reader).await?;
    }
    validate::parameters(head, exchange)?;
    // Where there was no body and none was made, there is none.
    Ok(body.filter(|body| !body.is_empty() || head.framing != Framing::None))
}

/// What the responses of this exchange's integration are compressed with.
pub fn response_compression(
    head: &RequestHead,
    exchange: &Exchange,
) -> Option<ResponseCompression> {
    if let Some(transforming) = &exchange.transformation {
        return transforming.compression;
    }
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
