//! The client's request before the integration gets it: decompressed, validated, converted
//! between text and bytes (rest-api §1 step 8, §8, §10).

use std::borrow::Cow;

use tollgate_model::api::GatewayResponseType;
use tollgate_model::compile::{CompiledMethod, ContentError, HttpIntegration, content};

use super::integration_request::{self, Body};
use super::validate;
use crate::compression::{self, Coding};
use crate::deadline::Deadline;
use crate::exchange::Exchange;
use crate::head::{Framing, Known, RequestHead};
use crate::limits::Limits;
use crate::pace::Bounded;
use crate::proxy::Source;
use crate::refusal::Refusal;

/// Whether an HTTP_PROXY method has to have the whole body before it calls the backend. All
/// other integrations always have.
pub fn is_needed(
    head: &RequestHead,
    exchange: &Exchange,
    method: &CompiledMethod,
    http: &HttpIntegration,
) -> bool {
    let Some(stage) = exchange.stage.as_ref().map(|stage| &stage.compiled) else { return false };
    http.needs_body()
        || validate::reads_body(head, method)
        || content::proxy_may_convert(&stage.binary_media_types, method.content_handling)
}

/// How the body is coded; a request without a body has no coding. 415 for one that is unknown.
pub fn coding(head: &RequestHead) -> Result<Option<Coding>, Refusal> {
    match head.framing {
        Framing::None | Framing::Length(0) => Ok(None),
        _ => Ok(compression::request_coding(head)?),
    }
}

/// A connection that a request's body can be read from.
pub trait BodyReader: Send {
    /// The whole body without its content coding, within the payload quota. Empty when it was
    /// read already.
    fn read(
        &mut self,
        limits: &Limits,
        head: &mut RequestHead,
    ) -> impl Future<Output = Result<Vec<u8>, Refusal>> + Send;
}

/// Reads a source to its end, for [`BodyReader`].
pub async fn read(
    limits: &Limits,
    head: &RequestHead,
    source: impl Source,
    deadline: &mut Deadline,
) -> Result<Vec<u8>, Refusal> {
    let mut source = Bounded::new(source, limits);
    let mut body = Vec::new();
    loop {
        deadline.set_after(limits.body_stall_timeout);
        let piece = match deadline.within(source.next()).await {
            Ok(piece) => piece?,
            Err(_) => return Err(Refusal::BodyTooSlow),
        };
        match piece {
            Some(piece) => body.extend_from_slice(piece.data),
            None => return decode(limits, head, body).await,
        }
    }
}

/// Takes a whole body out of its content coding.
pub async fn decode(
    limits: &Limits,
    head: &RequestHead,
    body: Vec<u8>,
) -> Result<Vec<u8>, Refusal> {
    match body.is_empty() {
        true => Ok(body),
        false => compression::request_body(head, body, limits.maximum_payload).await,
    }
}

/// Writes the whole request of an HTTP_PROXY method, from a decoded body; gives the length of
/// its head.
pub fn proxy_request(
    head: &RequestHead,
    exchange: &mut Exchange,
    (method, http): (&CompiledMethod, &HttpIntegration),
    body: &[u8],
    out: &mut Vec<u8>,
) -> Result<usize, Refusal> {
    validate::body(head, exchange, method, body)?;
    let content = proxied(head, exchange, method, body)?;
    let whole = Body::Whole(content.len());
    integration_request::proxy_head(head, exchange, http, whole, body, out)?;
    let head_length = out.len();
    out.extend_from_slice(&content);
    Ok(head_length)
}

/// What a template of an HTTP or MOCK integration reads.
pub fn for_template<'b>(
    head: &RequestHead,
    exchange: &Exchange,
    method: &CompiledMethod,
    body: &'b [u8],
) -> Result<Cow<'b, str>, Refusal> {
    let class = class(head, exchange);
    content::request_for_template(body, class, method.content_handling).map_err(unconvertible)
}

/// What an HTTP or MOCK integration gets without a template.
pub fn passed<'b>(
    head: &RequestHead,
    exchange: &Exchange,
    method: &CompiledMethod,
    body: &'b [u8],
) -> Result<Cow<'b, [u8]>, Refusal> {
    let class = class(head, exchange);
    content::request_passed(body, class, method.content_handling).map_err(unconvertible)
}

/// What an HTTP_PROXY integration gets.
pub fn proxied<'b>(
    head: &RequestHead,
    exchange: &Exchange,
    method: &CompiledMethod,
    body: &'b [u8],
) -> Result<Cow<'b, [u8]>, Refusal> {
    match content::proxy_request_conversion(class(head, exchange), method.content_handling) {
        None => Ok(Cow::Borrowed(body)),
        Some(conversion) => conversion.apply(body).map_err(unconvertible),
    }
}

fn class(head: &RequestHead, exchange: &Exchange) -> content::Class {
    let content_type = head.known(Known::ContentType);
    match &exchange.stage {
        Some(stage) => stage.compiled.binary_media_types.class(content_type),
        None => content::Class::Text,
    }
}

pub fn unconvertible(error: ContentError) -> Refusal {
    Refusal::caused(GatewayResponseType::ApiConfigurationError, error.to_string())
}
