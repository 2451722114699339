//! Transformers on the exchanges of the gateway: plugins that change requests and responses.
//!
//! ```text
//!  client ─▶ [phases::transform] head, whole bodies ─▶ validation, mapping ─▶ backend
//!            [request]  a body that streams ─────────────────────────────────▶ backend
//!  client ◀─ compression ◀─ [response] ◀──────────────────────────────────── backend
//!                           [phases::transform] the gateway's own answers
//!                  [heads]  both ways between our heads and those plugins see
//! ```
//!
//! The chain itself, its order and what becomes of a plugin that fails, is
//! [`tollgate_plugin_host::Transformation`]. Framing is the gateway's: a body that transformers
//! may change gets its own length when it is there as a whole, and is chunked else.

pub mod heads;
mod request;
mod response;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tollgate_model::api::GatewayResponseType;
use tollgate_plugin_host::{Changes, ErrorKind, Headers, PluginError, Transformation, Verdict};

use crate::compression::ResponseCompression;
use crate::exchange::Exchange;
use crate::head::{Framing, RequestHead};
use crate::http1::parse::{is_host, is_token};
use crate::phases::route;
use crate::refusal::Refusal;

pub use request::TransformedRequest;
pub use response::{Failed, TransformedResponse};

/// A body of up to this many bytes is held until transformers that would take it in pieces have
/// had it whole, so that it goes on with its length. Most have arrived with their head.
const SMALL_BODY: u64 = 16 * 1024;

/// Whether a message says that its body is small enough to be held.
pub fn is_small(framing: Framing) -> bool {
    matches!(framing, Framing::Length(length) if length <= SMALL_BODY)
}

/// An exchange under way with its transformers.
pub struct Transforming {
    pub transformation: Arc<Transformation>,
    /// The request's body has yet to go through them.
    pub request_body: bool,
    /// The client sent HEAD: it gets no body.
    pub to_head: bool,
    pub backend: BackendRequest,
    /// What the client takes, whatever becomes of its `Accept-Encoding` on the way to the backend.
    pub compression: Option<ResponseCompression>,
}

/// What transformers want otherwise in the request to the backend.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct BackendRequest {
    pub method: Option<Box<[u8]>>,
    /// Without the query, which mappings see in the request's head.
    pub path: Option<Box<[u8]>>,
    pub authority: Option<Box<[u8]>>,
}

impl BackendRequest {
    /// Reads the pseudo-headers. A query that was changed is put in `head`, for mappings.
    fn read(
        headers: &Headers,
        head: &mut RequestHead,
        exchange: &Exchange,
    ) -> Result<Self, Refusal> {
        let mut backend = Self::default();
        let method = route::method(head);
        if let Some(changed) = headers.get(b":method").filter(|changed| *changed != method) {
            if changed.is_empty() || !changed.iter().all(|byte| is_token(*byte)) {
                return Err(unusable(":method"));
            }
            backend.method = Some(changed.into());
        }
        let authority = head.host().unwrap_or_default();
        if let Some(changed) = headers.get(b":authority").filter(|changed| *changed != authority) {
            if !is_host(changed) {
                return Err(unusable(":authority"));
            }
            backend.authority = Some(changed.into());
        }
        let Some(target) = headers.get(b":path") else { return Ok(backend) };
        let (path, query) = match memchr::memchr(b'?', target) {
            Some(at) => (&target[..at], Some(&target[at + 1..])),
            None => (target, None),
        };
        // The request line's grammar: anything else would be another request.
        if path.first() != Some(&b'/')
            || !target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#')
        {
            return Err(unusable(":path"));
        }
        if path != exchange.path.as_bytes() {
            backend.path = Some(path.into());
        }
        if query != head.query() {
            let target = match query {
                None => head.path().to_vec(),
                Some(query) => [head.path(), b"?", query].concat(),
            };
            head.target = head.write(&target);
        }
        Ok(backend)
    }
}

/// The transformers that a streamed request body has yet to go through.
pub fn of_request_body(exchange: &Exchange) -> Option<Arc<Transformation>> {
    let transforming = exchange.transformation.as_ref().filter(|it| it.request_body)?;
    Some(transforming.transformation.clone())
}

/// Puts what plugins left of the request's headers where later phases look.
pub fn write_request_back(head: &mut RequestHead, exchange: &mut Exchange) -> Result<(), Refusal> {
    let Some(transforming) = &exchange.transformation else { return Ok(()) };
    let transformation = transforming.transformation.clone();
    let mut state = transformation.http().state.lock();
    state.request_sent = true;
    let backend = match state.request_headers.changes() {
        Changes::None | Changes::Added(_) | Changes::Fields => BackendRequest::default(),
        Changes::Any => BackendRequest::read(&state.request_headers, head, exchange)?,
    };
    heads::write_request(head, &state.request_headers);
    drop(state);
    if let Some(transforming) = &mut exchange.transformation {
        transforming.backend = backend;
    }
    Ok(())
}

/// Which way a plugin was called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Request,
    Response,
}

/// What the transformers' verdict is to the exchange.
pub fn settle(verdict: Result<Verdict, PluginError>, side: Side) -> Result<(), Refusal> {
    use GatewayResponseType::{ApiConfigurationError, IntegrationTimeout};
    match verdict {
        Ok(Verdict::Continue) => Ok(()),
        Ok(Verdict::Reply(reply)) => Err(Refusal::Plugin(reply)),
        Ok(Verdict::Reset) => Err(Refusal::Reset),
        Ok(Verdict::BodyTooLarge) if side == Side::Request => {
            Err(Refusal::body_too_large_for("a transformer"))
        }
        Ok(Verdict::BodyTooLarge) => Err(Refusal::caused(
            ApiConfigurationError,
            "the response's body is larger than a transformer takes",
        )),
        Err(error) if error.kind == ErrorKind::Wait => {
            Err(Refusal::caused(IntegrationTimeout, error.to_string()))
        }
        Err(error) => Err(Refusal::caused(ApiConfigurationError, error.to_string())),
    }
}

/// The status that transformers gave a response.
pub fn response_status(headers: &Headers) -> Result<u16, Refusal> {
    heads::status(headers).ok_or_else(|| unusable(":status"))
}

fn unusable(header: &str) -> Refusal {
    let cause = format!("a transformer left a {header} that can't be sent");
    Refusal::caused(GatewayResponseType::ApiConfigurationError, cause)
}
