//! The steps of a request, in the order in which it meets them (rest-api §1). Each continues
//! or answers with a [`Refusal`].
//!
//! Phases are plain functions of the request head and the snapshot: no sockets, no waiting.
//! [`admit`] runs those before the integration; [`integration_request`] and
//! [`integration_response`] shape what goes to the backend and comes back.

pub mod locate;
pub mod route;
pub mod resource_policy;
pub mod authorize;
pub mod api_key;
pub mod integration_request;
pub mod integration_response;
pub mod mock;

use tollgate_model::api::GatewayResponseType;
use tollgate_model::compile::{
    CompiledIntegration, HttpIntegration, IntegrationResponses, RequestBody,
};

use crate::core::Core;
use crate::deadline::Deadline;
use crate::exchange::Exchange;
use crate::head::RequestHead;
use crate::limits::Limits;
use crate::proxy::Call;
use crate::refusal::Refusal;
use crate::respond::LocalResponse;
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
    api_key::check(exchange)
}

/// An HTTP integration's call: the request is made from mappings and a template, the response
/// by an integration response.
pub struct MappedCall<'a> {
    pub http: &'a HttpIntegration,
    pub request: &'a RequestBody,
    pub responses: &'a IntegrationResponses,
}

impl MappedCall<'_> {
    pub async fn run(
        &self,
        core: &Core,
        head: &RequestHead,
        exchange: &mut Exchange,
        client_body: &[u8],
        deadline: &mut Deadline,
    ) -> Result<LocalResponse, Refusal> {
        let body = integration_request::mapped_body(head, self.request, client_body)?;
        let mut request = Vec::new();
        integration_request::mapped_head(
            head,
            exchange,
            self.http,
            body.len(),
            client_body,
            &mut request,
        )?;
        let head_length = request.len();
        request.extend_from_slice(&body);
        let (upstream, poolable) =
            integration_request::upstream(&core.upstreams, head, exchange, self.http)?;
        let call = Call {
            core,
            upstream: &upstream,
            poolable,
            timeout: self.http.timeout,
            method: request.split(|byte| *byte == b' ').next().unwrap_or_default(),
        };
        let (backend_head, backend_body) =
            call.buffered(&request, head_length, exchange, deadline).await?;
        let backend = integration_response::Backend {
            status: backend_head.status,
            head: Some(&backend_head),
            body: &backend_body,
        };
        let mut response = integration_response::map(head, exchange, self.responses, &backend)?;
        // rest-api §9.2: HTTP integrations answer with the trace id, HTTP_PROXY ones don't.
        if let Some(trace_id) = integration_request::trace_id(&request[..head_length]) {
            response.default_header("X-Amzn-Trace-Id", trace_id);
        }
        Ok(response)
    }
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
