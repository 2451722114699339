//! Answers the gateway writes by itself: gateway responses, MOCK, mapped HTTP integrations.

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use tollgate_model::api::GatewayResponseType;
use tollgate_plugin_host::Reply;

use crate::exchange::{Exchange, ExchangeView};
use crate::head::{Known, RequestHead};
use crate::http1::parse::HeadError;
use crate::phases::route::with_path_parameters;
use crate::refusal::Refusal;
use crate::transformation::heads::is_written_by_the_gateway;

/// What a `grpc-message` can't hold as it is.
const GRPC_MESSAGE: &AsciiSet = &CONTROLS.add(b'%');

/// A whole response, whatever HTTP version carries it. `x-amzn-RequestId`, `x-amz-apigw-id`,
/// `Date` and framing are added where it is written.
#[derive(Debug)]
pub struct LocalResponse {
    pub status: u16,
    pub headers: Vec<(Box<str>, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl LocalResponse {
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    pub fn header(&mut self, name: &str, value: &[u8]) {
        self.headers.push((name.into(), value.to_vec()));
    }

    /// Adds a header unless there is one of that name.
    pub fn default_header(&mut self, name: &str, value: &[u8]) {
        if !self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            self.header(name, value);
        }
    }

    fn json(status: u16, error_type: &str, message: &str) -> Self {
        let mut response = Self::new(status);
        response.body = serde_json::json!({ "message": message }).to_string().into_bytes();
        response.header("Content-Type", b"application/json");
        response.header("x-amzn-ErrorType", error_type.as_bytes());
        response
    }
}

/// The one place that turns a refusal into a response. The refusal is left in the exchange for
/// the log.
pub fn refusal(head: &RequestHead, exchange: &mut Exchange, refusal: Refusal) -> LocalResponse {
    if let Refusal::Gateway { cause: Some(_), .. } | Refusal::NotLocated = &refusal {
        tracing::debug!(
            request_id = exchange.ids.request_id(),
            host = %String::from_utf8_lossy(head.host().unwrap_or_default()),
            path = %exchange.path,
            cause = %refusal.log_message(),
            "request refused"
        );
    }
    exchange.refusal = Some(refusal);
    let exchange = &*exchange;
    match exchange.refusal.as_ref() {
        Some(Refusal::Gateway { response_type, status, .. }) => {
            gateway_response(head, exchange, *response_type, *status)
        }
        Some(refusal @ Refusal::Throttled(throttled)) => {
            let response_type = refusal.response_type().unwrap_or(GatewayResponseType::Throttled);
            let mut response = gateway_response(head, exchange, response_type, None);
            // AWS sends none; RFC 9110, section 10.2.3.
            if let Some(seconds) = throttled.retry_after {
                let mut text = itoa::Buffer::new();
                response.default_header("Retry-After", text.format(seconds).as_bytes());
            }
            response
        }
        Some(Refusal::Plugin(reply)) => of_plugin(head, reply),
        Some(refusal) => before_gateway_responses(refusal),
        None => LocalResponse::new(500),
    }
}

/// A plugin's own answer. A gRPC client reads its status in a header of a response without body.
fn of_plugin(head: &RequestHead, reply: &Reply) -> LocalResponse {
    let mut response = LocalResponse::new(reply.status);
    for (name, value) in &reply.headers {
        if !is_written_by_the_gateway(name.as_bytes()) {
            response.header(name, value);
        }
    }
    let content_type = head.known(Known::ContentType).unwrap_or_default();
    let is_grpc = content_type.starts_with(b"application/grpc");
    let Some(status) = reply.grpc_status.filter(|_| is_grpc) else {
        response.body.clone_from(&reply.body);
        return response;
    };
    response.status = 200;
    response.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
    response.header("content-type", b"application/grpc");
    response.header("grpc-status", itoa::Buffer::new().format(status).as_bytes());
    let message = percent_encode(&reply.body, GRPC_MESSAGE).to_string();
    response.header("grpc-message", message.as_bytes());
    response
}

/// Refusals that no API's gateway responses can change, because no API is known yet or AWS
/// answers before it looks.
fn before_gateway_responses(refusal: &Refusal) -> LocalResponse {
    match refusal {
        Refusal::Head(HeadError::UrlTooLong) => {
            LocalResponse::json(414, "RequestUriTooLongException", "Request URI too long")
        }
        Refusal::Head(HeadError::TooLarge) | Refusal::HeadersTooLarge => {
            let message = "Request Header Fields Too Large";
            LocalResponse::json(431, "RequestHeaderFieldsTooLargeException", message)
        }
        Refusal::HeadTimeout | Refusal::BodyTooSlow => {
            LocalResponse::json(408, "RequestTimeoutException", "Request Timeout")
        }
        // Plain text, not JSON: rest-api §12.
        Refusal::PayloadTooLarge { maximum } => {
            let mut response = LocalResponse::new(413);
            response.body = format!("HTTP content length exceeded {maximum} bytes.").into_bytes();
            response.header("Content-Type", b"text/plain");
            response
        }
        Refusal::NotLocated => LocalResponse::json(403, "ForbiddenException", "Forbidden"),
        Refusal::Head(_) | Refusal::Path(_) | Refusal::Body(_) => {
            LocalResponse::json(400, "BadRequestException", "Bad Request")
        }
        // Answered elsewhere, or not at all.
        Refusal::Gateway { .. } | Refusal::Throttled(_) | Refusal::Plugin(_) | Refusal::Reset => {
            LocalResponse::new(500)
        }
    }
}

fn gateway_response(
    head: &RequestHead,
    exchange: &Exchange,
    response_type: GatewayResponseType,
    status: Option<u16>,
) -> LocalResponse {
    let Some(stage) = &exchange.stage else {
        return LocalResponse::json(403, "ForbiddenException", "Forbidden");
    };
    let responses = &stage.compiled.gateway_responses;
    with_path_parameters(head, exchange, |path_parameters| {
        let view = ExchangeView { exchange, head, path_parameters, body: &[] };
        let mut body = Vec::new();
        let accept = head.known(Known::Accept);
        let rendered = responses.render(response_type, status, accept, &view, &mut body);
        let mut response = LocalResponse::new(rendered.status);
        response.body = body;
        for (name, value) in &rendered.headers {
            response.header(name, value.as_bytes());
        }
        response.default_header("Content-Type", rendered.content_type.as_bytes());
        if let Some(error_type) = responses.built_in(response_type).error_type {
            response.default_header("x-amzn-ErrorType", error_type.as_bytes());
        }
        response
    })
}
