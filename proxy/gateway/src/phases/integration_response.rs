//! What comes back from an integration (rest-api §6, §9.2).

use std::borrow::Cow;

use tollgate_model::api::GatewayResponseType;
use tollgate_model::compile::{CompiledResponse, IntegrationResponses, Mapped, ResponseValues};
use tollgate_template::RenderInput;

use super::route::with_path_parameters;
use crate::exchange::{Exchange, ExchangeView};
use crate::head::{Field, Known, RequestHead, ResponseHead};
use crate::refusal::Refusal;
use crate::respond::LocalResponse;

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
    if selected.status < 200 {
        // An interim response can't end an exchange.
        let cause = format!("integration response with status {}", selected.status);
        return Err(Refusal::caused(GatewayResponseType::ApiConfigurationError, cause));
    }
    with_path_parameters(head, exchange, |path_parameters| {
        let request = ExchangeView { exchange, head, path_parameters, body: &[] };
        respond(selected, &BackendView { backend, request: &request })
    })
}

fn respond(
    selected: &CompiledResponse,
    view: &BackendView<'_, '_>,
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
    match selected.select_template(accept) {
        Some(template) => {
            let input = RenderInput { body: view.backend.body };
            let body = template.template.render(&input).map_err(|error| {
                Refusal::caused(GatewayResponseType::ApiConfigurationError, error.to_string())
            })?;
            response.body = body.into_owned().into_bytes();
            response.default_header("Content-Type", template.media_type.as_bytes());
        }
        None => {
            response.body = view.backend.body.to_vec();
            let backend = view.backend.head.and_then(|head| head.known(Known::ContentType));
            let content_type = backend.unwrap_or(b"application/json");
            response.default_header("Content-Type", content_type);
        }
    }
    Ok(response)
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
