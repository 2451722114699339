//! gRPC calls of proxy-wasm filters: over HTTP/2 whatever the upstream's protocol is otherwise.
//!
//! A call is a [`GrpcSender`], which never waits and refuses when too much is unsent, and
//! [`GrpcEvents`], read by a task. Events come in this order: initial metadata, messages, trailing
//! metadata, the end with its status; the end always, and nothing after it. Dropping the events
//! cancels the call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::mpsc;

use super::connection::Upstream;
use super::outgoing::{Body, Messages, drop_own, header_map, path};
use super::{AbortOnDrop, FetchError, Pairs, Upstreams, failed, pairs};
use crate::limits;

/// A call to be opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GrpcRequest {
    /// `package.Service`
    pub service: String,
    pub method: String,
    pub metadata: Pairs,
    /// For the whole call, from connecting to its end; the upstream is told.
    pub timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GrpcEvent {
    InitialMetadata(Pairs),
    Message(Vec<u8>),
    TrailingMetadata(Pairs),
    Closed(GrpcStatus),
}

/// How a call ended. Code 0 is success.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GrpcStatus {
    pub code: u32,
    pub message: String,
}

/// gRPC's codes for what goes wrong on this side.
mod code {
    pub(super) const UNKNOWN: u32 = 2;
    pub(super) const INVALID_ARGUMENT: u32 = 3;
    pub(super) const DEADLINE_EXCEEDED: u32 = 4;
    pub(super) const PERMISSION_DENIED: u32 = 7;
    pub(super) const RESOURCE_EXHAUSTED: u32 = 8;
    pub(super) const UNIMPLEMENTED: u32 = 12;
    pub(super) const INTERNAL: u32 = 13;
    pub(super) const UNAVAILABLE: u32 = 14;
    pub(super) const UNAUTHENTICATED: u32 = 16;
}

/// Events that wait to be read; then the upstream is held back.
const EVENTS: usize = 4;

/// Compression flag and length in front of each message.
const PREFIX: usize = 5;

/// The sending side of a call. Dropping it says that no more messages follow.
pub(crate) struct GrpcSender {
    messages: mpsc::UnboundedSender<Bytes>,
    unsent: Arc<AtomicUsize>,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GrpcSendError {
    /// More than [`limits::GRPC_UNSENT`] bytes would wait.
    Full,
    /// The call has ended.
    Closed,
}

impl GrpcSender {
    /// Sends a message when the upstream can take it. Doesn't wait.
    pub(crate) fn send(&self, message: &[u8]) -> Result<(), GrpcSendError> {
        let size = PREFIX + message.len();
        let add = |unsent: usize| Some(unsent + size).filter(|sum| *sum <= limits::GRPC_UNSENT);
        self.unsent
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
            .map_err(|_| GrpcSendError::Full)?;
        let mut framed = Vec::with_capacity(size);
        framed.push(0);
        framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
        framed.extend_from_slice(message);
        self.messages.send(framed.into()).map_err(|_| GrpcSendError::Closed)
    }
}

/// The receiving side of a call.
pub(crate) struct GrpcEvents {
    events: mpsc::Receiver<GrpcEvent>,
    _task: AbortOnDrop<()>,
}

impl GrpcEvents {
    /// The next event; none after [`GrpcEvent::Closed`]. Dropped while it waits, nothing is lost.
    pub(crate) async fn next(&mut self) -> Option<GrpcEvent> {
        self.events.recv().await
    }
}

impl Upstreams {
    /// Opens a call. Connecting is part of it: that it fails is told by its end.
    ///
    /// # Errors
    /// [`FetchError::UnknownUpstream`], and [`FetchError::InvalidRequest`] for a service, method or
    /// metadata that HTTP can't carry.
    pub(crate) fn grpc_stream(
        &self,
        name: &str,
        request: GrpcRequest,
    ) -> Result<(GrpcSender, GrpcEvents), FetchError> {
        let upstream = self.upstreams.get(name).ok_or(FetchError::UnknownUpstream)?.clone();
        let (messages, receiver) = mpsc::unbounded_channel();
        let unsent = Arc::new(AtomicUsize::new(0));
        let body = Body::Messages(Messages { receiver, unsent: unsent.clone() });
        let outgoing = outgoing(&upstream, &request, body)?;
        let (sender, events) = mpsc::channel(EVENTS);
        let timeout = request.timeout;
        let task = self.background.spawn(async move {
            let call = call(&upstream, outgoing, &sender);
            let status = match tokio::time::timeout(timeout, call).await {
                Ok(Ok(status) | Err(status)) => status,
                Err(_) => {
                    upstream.doubt_http2();
                    end(code::DEADLINE_EXCEEDED, "no answer in time")
                }
            };
            // Nobody there: the call was cancelled.
            let _ = sender.send(GrpcEvent::Closed(status)).await;
        });
        Ok((GrpcSender { messages, unsent }, GrpcEvents { events, _task: AbortOnDrop(task) }))
    }

    /// One message there, one back.
    ///
    /// # Errors
    /// The status of a call that failed, also where [`Self::grpc_stream`] has an error.
    pub(crate) async fn grpc_call(
        &self,
        name: &str,
        request: GrpcRequest,
        message: &[u8],
    ) -> Result<Vec<u8>, GrpcStatus> {
        let (sender, mut events) =
            self.grpc_stream(name, request).map_err(|error| match error {
                FetchError::UnknownUpstream => end(code::UNAVAILABLE, error.to_string()),
                error => end(code::INVALID_ARGUMENT, error.to_string()),
            })?;
        sender
            .send(message)
            .map_err(|_| end(code::RESOURCE_EXHAUSTED, "the message is larger than allowed"))?;
        drop(sender);
        let mut answer = None;
        loop {
            match events.next().await {
                Some(GrpcEvent::Message(message)) if answer.is_none() => answer = Some(message),
                Some(GrpcEvent::Message(_)) => {
                    return Err(end(code::INTERNAL, "the answer has several messages"));
                }
                Some(GrpcEvent::Closed(status)) if status.code != 0 => return Err(status),
                Some(GrpcEvent::Closed(_)) | None => {
                    let missing = || end(code::INTERNAL, "the answer has no message");
                    return answer.ok_or_else(missing);
                }
                Some(GrpcEvent::InitialMetadata(_) | GrpcEvent::TrailingMetadata(_)) => {}
            }
        }
    }
}

fn end(code: u32, message: impl Into<String>) -> GrpcStatus {
    GrpcStatus { code, message: message.into() }
}

/// The end of a call that HTTP can't go on with.
fn broken(error: &FetchError) -> GrpcStatus {
    let code = match error {
        FetchError::TimedOut => code::DEADLINE_EXCEEDED,
        FetchError::TooLarge => code::RESOURCE_EXHAUSTED,
        _ => code::UNAVAILABLE,
    };
    end(code, error.to_string())
}

fn outgoing(
    upstream: &Upstream,
    request: &GrpcRequest,
    body: Body,
) -> Result<Request<Body>, FetchError> {
    let mut headers = header_map(&request.metadata)?;
    drop_own(&mut headers);
    headers.remove("host");
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if let Ok(timeout) = HeaderValue::from_str(&timeout(request.timeout)) {
        headers.insert("grpc-timeout", timeout);
    }
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(upstream.scheme());
    parts.authority = Some(upstream.authority.clone());
    parts.path_and_query = Some(path(&format!("/{}/{}", request.service, request.method))?);
    let mut outgoing = Request::new(body);
    *outgoing.method_mut() = Method::POST;
    *outgoing.headers_mut() = headers;
    *outgoing.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    Ok(outgoing)
}

/// At most eight digits and a unit.
fn timeout(timeout: Duration) -> String {
    match timeout.as_millis() {
        milliseconds @ 0..100_000_000 => format!("{milliseconds}m"),
        milliseconds => format!("{}S", (milliseconds / 1000).min(99_999_999)),
    }
}

/// Runs a call to its end and gives the status.
async fn call(
    upstream: &Upstream,
    request: Request<Body>,
    events: &mpsc::Sender<GrpcEvent>,
) -> Result<GrpcStatus, GrpcStatus> {
    let (mut sender, _) = upstream.http2().await.map_err(|error| broken(&error))?;
    let mut attempt = sender.try_send_request(request).await;
    if let Err(error) = &mut attempt
        && let Some(request) = error.take_message()
    {
        // Nothing of it was sent: the upstream was closing a connection that was kept.
        let (mut sender, _) = upstream.http2().await.map_err(|error| broken(&error))?;
        attempt = sender.try_send_request(request).await;
    }
    let response = attempt.map_err(|error| broken(&failed(error.error())))?;
    receive(response, events).await
}

/// Passes an answer on. Cancelled (nobody reads the events), it is given up.
async fn receive(
    response: Response<Incoming>,
    events: &mpsc::Sender<GrpcEvent>,
) -> Result<GrpcStatus, GrpcStatus> {
    let tell = async |event| {
        events.send(event).await.map_err(|_| end(code::UNKNOWN, "nobody listens to the call"))
    };
    let (head, mut body) = response.into_parts();
    let metadata = |headers: &HeaderMap| pairs(headers).map_err(|error| broken(&error));
    if let Some(status) = status(&head.headers) {
        // The answer has only trailers.
        tell(GrpcEvent::TrailingMetadata(metadata(&head.headers)?)).await?;
        return Ok(status);
    }
    check_head(head.status, &head.headers)?;
    tell(GrpcEvent::InitialMetadata(metadata(&head.headers)?)).await?;
    let mut received = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken(&failed(&error)))?;
        match frame.into_data() {
            Ok(data) => received.extend_from_slice(&data),
            Err(frame) => {
                let Ok(trailers) = frame.into_trailers() else { continue };
                if !received.is_empty() {
                    return Err(end(code::INTERNAL, "the answer ends in the middle of a message"));
                }
                let status = status(&trailers);
                tell(GrpcEvent::TrailingMetadata(metadata(&trailers)?)).await?;
                return status.ok_or_else(|| end(code::UNKNOWN, "the answer has no status"));
            }
        }
        while let Some(message) = split_message(&mut received)? {
            tell(GrpcEvent::Message(message)).await?;
        }
    }
    Err(end(code::UNKNOWN, "the answer has no status"))
}

/// A message that is complete.
fn split_message(received: &mut BytesMut) -> Result<Option<Vec<u8>>, GrpcStatus> {
    let Some(prefix) = received.first_chunk::<PREFIX>() else { return Ok(None) };
    let [compressed, length @ ..] = *prefix;
    let length = u32::from_be_bytes(length) as usize;
    if compressed != 0 {
        // Nothing was said of an encoding that could be used.
        return Err(end(code::INTERNAL, "a message is compressed"));
    }
    if length > limits::GRPC_MESSAGE {
        let problem = format!("a message has {length} bytes; allowed: {}", limits::GRPC_MESSAGE);
        return Err(end(code::RESOURCE_EXHAUSTED, problem));
    }
    if received.len() < PREFIX + length {
        return Ok(None);
    }
    received.advance(PREFIX);
    Ok(Some(received.split_to(length).to_vec()))
}

/// An answer that isn't gRPC's has the code for its HTTP status.
fn check_head(status: http::StatusCode, headers: &HeaderMap) -> Result<(), GrpcStatus> {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if status == http::StatusCode::OK && content_type.starts_with(b"application/grpc") {
        return Ok(());
    }
    let code = match status.as_u16() {
        400 => code::INTERNAL,
        401 => code::UNAUTHENTICATED,
        403 => code::PERMISSION_DENIED,
        404 => code::UNIMPLEMENTED,
        429 | 502 | 503 | 504 => code::UNAVAILABLE,
        _ => code::UNKNOWN,
    };
    Err(end(code, format!("the answer is not gRPC's; its HTTP status is {}", status.as_u16())))
}

fn status(headers: &HeaderMap) -> Option<GrpcStatus> {
    let code = headers.get("grpc-status")?.to_str().ok().and_then(|code| code.parse().ok());
    let message = headers.get("grpc-message").map(HeaderValue::as_bytes).unwrap_or_default();
    let message = percent_encoding::percent_decode(message).decode_utf8_lossy().into_owned();
    Some(GrpcStatus { code: code.unwrap_or(code::UNKNOWN), message })
}
