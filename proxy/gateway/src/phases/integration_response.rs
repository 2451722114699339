//! What comes back from an integration (rest-api §6, §9.2).

use std::borrow::Cow;

use tollgate_model::api::GatewayResponseType;
use tollgate_model::compile::content::{Class, ResponseClass};
use tollgate_model::compile::{
    CompiledResponse, IntegrationResponses, Mapped, ResponseOverride, ResponseValues, content,
};
use tollgate_template::ContextWrites;

use super::mapped::unable_to_transform;
use super::request_body::unconvertible;
use super::route::with_path_parameters;
use crate::exchange::{Exchange, ExchangeView};
use crate::execution_log::java_map;
use crate::head::{Field, Known, RequestHead, ResponseHead};
use crate::refusal::Refusal;
use crate::respond::LocalResponse;
use crate::template_values::TemplateView;

/// A backend's buffered answer. MOCK has no head.
pub struct Backend<'b> {
    pub status: u16,
    pub head: Option<&'b ResponseHead>,
    pub body: &'b [u8],
}

/// Selects the integration response and makes the client's answer (HTTP and MOCK).
pub fn map(
    head: &RequestHead,
    exchange: &mut Exchange,
    responses: &IntegrationResponses,
    backend: &Backend<'_>,
) -> Result<LocalResponse, Refusal> {
    exchange.integration_status = Some(backend.status);
    let status_text = backend.status.to_string();
    let selected = responses.select(&status_text).ok_or_else(|| {
        Refusal::caused(
            GatewayResponseType::ApiConfigurationError,
            format!(
                "No match for output mapping and no default output mapping configured. Endpoint \
                 Response Status Code: {status_text}"
            ),
        )
    })?;
    log_backend(exchange, backend);
    let mut writes = std::mem::take(&mut exchange.context_writes);
    let response = with_path_parameters(head, exchange, |path_parameters| {
        let request = ExchangeView { exchange, head, path_parameters, body: &[] };
        respond(selected, &BackendView { backend, request: &request }, &mut writes)
    });
    exchange.context_writes = writes;
    let mut response = response?;
    apply_overrides(&mut response, &exchange.context_writes)?;
    if response.status < 200 {
        // An interim response can't end an exchange.
        let cause = format!("integration response with status {}", response.status);
        return Err(Refusal::caused(GatewayResponseType::ApiConfigurationError, cause));
    }
    Ok(response)
}

/// `$context.responseOverride`, from the request's or the response's template.
fn apply_overrides(response: &mut LocalResponse, writes: &ContextWrites) -> Result<(), Refusal> {
    for (name, value) in writes.response_headers() {
        let overridden = ResponseOverride::new(name, value).map_err(|error| {
            Refusal::caused(GatewayResponseType::ApiConfigurationError, error.to_string())
        })?;
        if let Some(ResponseOverride { name, value }) = overridden {
            response.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
            response.header(&name, value.as_bytes());
        }
    }
    if let Some(status) = writes.response_status() {
        response.status = status;
    }
    Ok(())
}

pub fn log_backend(exchange: &mut Exchange, backend: &Backend<'_>) {
    let Some(head) = backend.head.filter(|_| exchange.execution_log.is_some()) else { return };
    let latency = exchange.integration_latency.unwrap_or_default().as_millis();
    let status = backend.status;
    exchange
        .log(|| format!("Received response. Status: {status}, Integration latency: {latency} ms"));
    let fields = head.fields.iter().map(|field| {
        let name = String::from_utf8_lossy(head.name(field));
        (name, String::from_utf8_lossy(head.value(field)))
    });
    exchange.log(|| format!("Endpoint response headers: {}", java_map(fields)));
    exchange.log(|| {
        format!(
            "Endpoint response body before transformations: {}",
            String::from_utf8_lossy(backend.body)
        )
    });
}

fn respond(
    selected: &CompiledResponse,
    view: &BackendView<'_, '_>,
    writes: &mut ContextWrites,
) -> Result<LocalResponse, Refusal> {
    let mut response = LocalResponse::new(selected.status);
    for mapping in &selected.parameters {
        let value = mapping.evaluate(view).map_err(|error| {
            Refusal::caused(GatewayResponseType::ApiConfigurationError, error.to_string())
        })?;
        match value {
            Mapped::Skip => {}
            Mapped::One(value) => response.header(&mapping.header, value.as_bytes()),
            Mapped::Many(values) => {
                for value in values {
                    response.header(&mapping.header, value.as_bytes());
                }
            }
        }
    }
    let accept = view.request.head.known(Known::Accept);
    let backend_type = view.backend.head.and_then(|head| head.known(Known::ContentType));
    let class = class(view, backend_type, accept);
    let (body, handling) = (view.backend.body, selected.content_handling);
    match selected.select_template(accept) {
        Some(template) => {
            let payload = content::response_for_template(body, class, handling);
            let payload = payload.map_err(unconvertible)?;
            let values = TemplateView { request: view.request, payload: &payload };
            let rendered = template.template.render(&values, writes);
            response.body =
                rendered.map_err(|error| unable_to_transform("response", &error))?.into_bytes();
            response.default_header("Content-Type", template.media_type.as_bytes());
        }
        None => {
            let payload = content::response_passed(body, class, handling);
            response.body = payload.map_err(unconvertible)?.into_owned();
            response.default_header("Content-Type", backend_type.unwrap_or(b"application/json"));
        }
    }
    Ok(response)
}

/// A MOCK integration declares no type for its payload, which is empty: that is text.
fn class(
    view: &BackendView<'_, '_>,
    content_type: Option<&[u8]>,
    accept: Option<&[u8]>,
) -> ResponseClass {
    let Some(stage) = &view.request.exchange.stage else {
        return ResponseClass { payload: Class::Text, accept: Class::Text };
    };
    let types = &stage.compiled.binary_media_types;
    match view.backend.head {
        Some(_) => types.response_class(content_type, accept),
        None => ResponseClass { payload: Class::Text, accept: types.class(accept) },
    }
}

struct BackendView<'a, 'p> {
    backend: &'a Backend<'a>,
    request: &'a ExchangeView<'a, 'p>,
}

impl BackendView<'_, '_> {
    fn fields_named(&self, name: &str) -> impl DoubleEndedIterator<Item = (&ResponseHead, &Field)> {
        self.backend.head.into_iter().flat_map(move |head| {
            head.fields
                .iter()
                .filter(move |field| head.name(field).eq_ignore_ascii_case(name.as_bytes()))
                .map(move |field| (head, field))
        })
    }
}

impl ResponseValues for BackendView<'_, '_> {
    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        let (head, field) = self.fields_named(name).next_back()?;
        Some(String::from_utf8_lossy(head.value(field)))
    }

    fn each_header(&self, name: &str, f: &mut dyn FnMut(&str)) {
        for (head, field) in self.fields_named(name) {
            f(&String::from_utf8_lossy(head.value(field)));
        }
    }

    fn body(&self) -> &[u8] {
        self.backend.body
    }

    fn context(&self, name: &str) -> Option<Cow<'_, str>> {
        tollgate_model::compile::RequestValues::context(self.request, name)
    }
}

/// What becomes of a backend's header in an HTTP_PROXY response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passing {
    Passes,
    /// The client gets it as `x-amzn-Remapped-NAME`, for the gateway sends its own.
    Remapped,
    Dropped,
}

/// Rest-api §9.2, and the fields of the backend's own connection.
pub fn passing(response: &ResponseHead, field: &Field) -> Passing {
    match field.known {
        Known::Other if response.is_nominated(response.name(field)) => Passing::Dropped,
        Known::Connection
        | Known::ContentLength
        | Known::Date
        | Known::Server
        | Known::XAmznRequestId => Passing::Remapped,
        Known::TransferEncoding | Known::Via | Known::KeepAlive | Known::ProxyConnection => {
            Passing::Dropped
        }
        // As with requests: the body passes encoded, so the client must know.
        Known::ContentEncoding if response.value(field).eq_ignore_ascii_case(b"identity") => {
            Passing::Dropped
        }
        _ => Passing::Passes,
    }
}
