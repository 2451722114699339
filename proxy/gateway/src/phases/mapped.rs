//! Methods whose request and response are reshaped: HTTP and MOCK integrations (rest-api §3 to
//! §6). The whole body is there before, the whole response after.

use std::borrow::Cow;

use tollgate_model::api::GatewayResponseType;
use tollgate_model::compile::{
    CompiledIntegration, CompiledMethod, HttpIntegration, IntegrationResponses, RequestBody,
    Scheme, Selected, Target,
};
use tollgate_template::Template;

use super::integration_response::{Backend, map};
use super::route::with_path_parameters;
use super::{
    integration_request, request_body, response_compression, transform, unreachable_integration,
    validate,
};
use crate::core::Core;
use crate::deadline::Deadline;
use crate::exchange::{Exchange, ExchangeView};
use crate::execution_log::{endpoint_headers_line, java_map};
use crate::head::{Known, RequestHead};
use crate::proxy::Call;
use crate::refusal::Refusal;
use crate::respond::LocalResponse;
use crate::template_values::TemplateView;

/// AWS's log line for a MOCK template that gives no status.
const NO_STATUS: &str =
    "Unable to parse statusCode. It should be an integer that is defined in the request template.";

/// Answers a request with this body, without its content coding. Dropped while it waits for the backend, the
/// connection to the backend is closed.
pub async fn answer(
    core: &Core,
    head: &RequestHead,
    exchange: &mut Exchange,
    method: &CompiledMethod,
    body: Vec<u8>,
    deadline: &mut Deadline,
) -> Result<LocalResponse, Refusal> {
    validate::body(head, exchange, method, &body)?;
    let response = match &method.integration {
        CompiledIntegration::Http { http, request, responses } => {
            let content = integration_body(head, exchange, method, request, &body)?;
            let call = HttpCall { core, head, http, responses };
            call.run(exchange, &body, &content, deadline).await?
        }
        CompiledIntegration::Mock { request, responses } => {
            let content = integration_body(head, exchange, method, request, &body)?;
            let status = tollgate_template::mock_status(&String::from_utf8_lossy(&content));
            let status = status.ok_or_else(|| configuration_error(NO_STATUS))?;
            map(head, exchange, responses, &Backend { status, head: None, body: &[] })?
        }
        other => return Err(unreachable_integration(other)),
    };
    let mut response = transform::response(exchange, response).await?;
    if let Some(compression) = response_compression(head, exchange) {
        compression.compress(&mut response).await;
    }
    Ok(response)
}

/// What the integration gets as its body.
fn integration_body<'b>(
    head: &RequestHead,
    exchange: &mut Exchange,
    method: &CompiledMethod,
    request: &RequestBody,
    body: &'b [u8],
) -> Result<Cow<'b, [u8]>, Refusal> {
    let template = match request.select(head.known(Known::ContentType)) {
        Selected::Unsupported => {
            return Err(Refusal::of(GatewayResponseType::UnsupportedMediaType));
        }
        Selected::Passthrough => None,
        Selected::Template(template) => Some(template),
    };
    match template {
        None => request_body::passed(head, exchange, method, body),
        Some(template) => {
            let payload = request_body::for_template(head, exchange, method, body)?;
            Ok(Cow::Owned(render_request(template, head, exchange, body, &payload)?.into_bytes()))
        }
    }
}

fn render_request(
    template: &Template,
    head: &RequestHead,
    exchange: &mut Exchange,
    body: &[u8],
    payload: &str,
) -> Result<String, Refusal> {
    let mut writes = std::mem::take(&mut exchange.context_writes);
    let rendered = with_path_parameters(head, exchange, |path_parameters| {
        let request = ExchangeView { exchange, head, path_parameters, body };
        template.render(&TemplateView { request: &request, payload }, &mut writes)
    });
    exchange.context_writes = writes;
    rendered.map_err(|error| unable_to_transform("request", &error))
}

/// The refusal for a template that failed.
pub fn unable_to_transform(what: &str, error: &tollgate_template::RenderError) -> Refusal {
    configuration_error(format!(
        "Execution failed due to configuration error: Unable to transform {what}: {error}"
    ))
}

fn configuration_error(cause: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::caused(GatewayResponseType::ApiConfigurationError, cause)
}

/// One call of an HTTP integration's backend.
struct HttpCall<'a> {
    core: &'a Core,
    head: &'a RequestHead,
    http: &'a HttpIntegration,
    responses: &'a IntegrationResponses,
}

impl HttpCall<'_> {
    /// `client_body` is what mappings read, `content` what is sent.
    async fn run(
        &self,
        exchange: &mut Exchange,
        client_body: &[u8],
        content: &[u8],
        deadline: &mut Deadline,
    ) -> Result<LocalResponse, Refusal> {
        let mut request = Vec::with_capacity(512 + content.len());
        let length = content.len();
        integration_request::mapped_head(
            self.head,
            exchange,
            self.http,
            length,
            client_body,
            &mut request,
        )?;
        let head_length = request.len();
        request.extend_from_slice(content);
        let (upstream, poolable) =
            integration_request::upstream(&self.core.upstreams, self.head, exchange, self.http)?;
        log_request(exchange, self.http, &request[..head_length], content);
        let call = Call {
            core: self.core,
            upstream: &upstream,
            poolable,
            timeout: self.http.timeout,
            method: request.split(|byte| *byte == b' ').next().unwrap_or_default(),
            compression: None,
        };
        let (backend_head, backend_body) =
            call.buffered(&request, head_length, exchange, deadline).await?;
        let backend =
            Backend { status: backend_head.status, head: Some(&backend_head), body: &backend_body };
        let mut response = map(self.head, exchange, self.responses, &backend)?;
        // rest-api §9.2: HTTP integrations answer with the trace id, HTTP_PROXY ones don't.
        if let Some(trace_id) = integration_request::trace_id(&request[..head_length]) {
            response.default_header("X-Amzn-Trace-Id", trace_id);
        }
        Ok(response)
    }
}

/// What is sent to the backend, in the execution log's words.
pub fn log_request(
    exchange: &mut Exchange,
    http: &HttpIntegration,
    request_head: &[u8],
    content: &[u8],
) {
    if exchange.execution_log.is_none() {
        return;
    }
    let head = String::from_utf8_lossy(request_head);
    let mut lines = head.lines();
    let target = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let fields: Vec<_> = lines.filter_map(|line| line.split_once(": ")).collect();
    let host = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = host.map_or("", |(_, host)| *host);
    let uri = format!("{}://{host}{target}", scheme(exchange, http));
    exchange.log(|| format!("Endpoint request URI: {uri}"));
    let map = java_map(fields.into_iter().map(|(name, value)| (name.into(), value.into())));
    exchange.log(|| endpoint_headers_line(map));
    exchange.log(|| {
        format!("Endpoint request body after transformations: {}", String::from_utf8_lossy(content))
    });
    exchange.log(|| format!("Sending request to {uri}"));
}

fn scheme(exchange: &Exchange, http: &HttpIntegration) -> &'static str {
    let scheme = match &http.target {
        Target::Dynamic { scheme, .. } => Some(*scheme),
        Target::Fixed(index) => {
            let stage = exchange.stage.as_ref();
            stage.and_then(|stage| Some(stage.compiled.upstreams.get(*index)?.scheme))
        }
    };
    match scheme {
        Some(Scheme::Https) => "https",
        Some(Scheme::Http) | None => "http",
    }
}
