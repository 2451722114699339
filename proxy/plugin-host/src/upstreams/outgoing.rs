//! Requests as they go out: checked, with framing of their own.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONNECTION, HOST, TE, TRAILER};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use hyper::body::{Frame, SizeHint};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{FetchError, UpstreamRequest, shared};
use crate::limits;

/// A request that was checked, to be sent perhaps more than once.
pub(super) struct Outgoing {
    method: Method,
    path: PathAndQuery,
    authority: Authority,
    /// Without `host`.
    headers: HeaderMap,
    body: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

/// Headers that are for one connection, or that say how the body is framed.
const OWN: [&str; 8] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Outgoing {
    pub(super) fn new(request: UpstreamRequest, own: &Authority) -> Result<Self, FetchError> {
        let method = Method::from_bytes(request.method.as_bytes())
            .ok()
            .filter(|method| *method != Method::CONNECT)
            .ok_or_else(|| invalid(format!("the method {:?} can't be sent", request.method)))?;
        let path = path(&request.path)?;
        let mut headers = header_map(&request.headers)?;
        let host = headers.remove(HOST);
        drop_own(&mut headers);
        let authority = match (&request.authority, &host) {
            (Some(authority), _) if !authority.is_empty() => parse_authority(authority.as_bytes())?,
            (_, Some(host)) if !host.is_empty() => parse_authority(host.as_bytes())?,
            _ => own.clone(),
        };
        let trailers = header_map(&request.trailers)?;
        let trailers = (!trailers.is_empty()).then_some(trailers);
        Ok(Self { method, path, authority, headers, body: shared(request.body), trailers })
    }

    /// Whether it may be sent again when it is not known if it arrived (RFC 9110 §9.2.2).
    pub(super) fn is_idempotent(&self) -> bool {
        self.method.is_idempotent()
    }

    /// For one attempt. HTTP/2 has the authority in the target, HTTP/1.1 in a header.
    pub(super) fn request(&self, version: Version, scheme: &Scheme) -> Request<Body> {
        let body = Body::Whole { data: self.body.clone(), trailers: self.trailers.clone() };
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = self.headers.clone();
        let mut parts = http::uri::Parts::default();
        parts.path_and_query = Some(self.path.clone());
        if version == Version::HTTP_2 {
            parts.scheme = Some(scheme.clone());
            parts.authority = Some(self.authority.clone());
        } else {
            if let Ok(host) = HeaderValue::from_str(self.authority.as_str()) {
                request.headers_mut().insert(HOST, host);
            }
            if let Some(names) = self.trailers.as_ref().and_then(trailer_names) {
                request.headers_mut().insert(TRAILER, names);
            }
        }
        // The parts fit each other, so there is always a URI.
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
        request
    }
}

fn invalid(problem: impl Into<String>) -> FetchError {
    FetchError::InvalidRequest(problem.into())
}

pub(super) fn path(text: &str) -> Result<PathAndQuery, FetchError> {
    let refuse = || invalid(format!("the path {text:?} can't be sent; it must begin with /"));
    if !text.starts_with('/') || text.contains('#') {
        return Err(refuse());
    }
    PathAndQuery::try_from(text).map_err(|_| refuse())
}

fn parse_authority(text: &[u8]) -> Result<Authority, FetchError> {
    Authority::try_from(text).ok().filter(|authority| !authority.as_str().contains('@')).ok_or_else(
        || invalid(format!("the authority {:?} can't be sent", String::from_utf8_lossy(text))),
    )
}

/// # Errors
/// A name or value that HTTP doesn't have; more than [`limits::HEADER_COUNT`] or
/// [`limits::HEADERS`].
pub(super) fn header_map(pairs: &[(Vec<u8>, Vec<u8>)]) -> Result<HeaderMap, FetchError> {
    let size: usize = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
    if pairs.len() > limits::HEADER_COUNT || size > limits::HEADERS {
        return Err(invalid(format!(
            "the headers are {} of {size} bytes; allowed: {} of {}",
            pairs.len(),
            limits::HEADER_COUNT,
            limits::HEADERS
        )));
    }
    let mut headers = HeaderMap::with_capacity(pairs.len());
    for (name, value) in pairs {
        let text = String::from_utf8_lossy(name);
        let name = HeaderName::from_bytes(name)
            .map_err(|_| invalid(format!("the header name {text:?} can't be sent")))?;
        let value = HeaderValue::from_bytes(value)
            .map_err(|_| invalid(format!("the value of header {text:?} can't be sent")))?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// Drops what only this hop may say, with what `connection` names.
pub(super) fn drop_own(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in OWN {
        headers.remove(name);
    }
    // All that HTTP/2 knows; other codings of the transfer can't be read here.
    if headers.get(TE).is_some_and(|value| value != "trailers") {
        headers.remove(TE);
    }
}

fn trailer_names(trailers: &HeaderMap) -> Option<HeaderValue> {
    let names: Vec<&str> = trailers.keys().map(HeaderName::as_str).collect();
    HeaderValue::from_str(&names.join(", ")).ok()
}

/// What is sent after the head.
pub(super) enum Body {
    Whole { data: Option<Bytes>, trailers: Option<HeaderMap> },
    Messages(Messages),
}

/// Messages of a gRPC call as they are given.
pub(super) struct Messages {
    pub(super) receiver: UnboundedReceiver<Bytes>,
    /// Bytes that wait.
    pub(super) unsent: Arc<AtomicUsize>,
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(match self.get_mut() {
            Self::Whole { data, trailers } => {
                let trailers = || trailers.take().map(|trailers| Ok(Frame::trailers(trailers)));
                data.take().map(|data| Ok(Frame::data(data))).or_else(trailers)
            }
            Self::Messages(messages) => {
                let message = ready!(messages.receiver.poll_recv(context));
                message.map(|message| {
                    messages.unsent.fetch_sub(message.len(), Ordering::Relaxed);
                    Ok(Frame::data(message))
                })
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole { data, trailers } => data.is_none() && trailers.is_none(),
            Self::Messages(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            // With trailers HTTP/1.1 has to send chunks.
            Self::Whole { data, trailers: None } => {
                SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64))
            }
            _ => SizeHint::default(),
        }
    }
}
