//! One exchange: from a head to its response.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE;
use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderValue, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::authentication::{Authentication, Denied};
use super::exchange::{Handler, Request, Response};
use super::pool::Pool;
use super::{Bounds, MAXIMUM_BODY, browser};

/// Bytes of a refused body that are read before it is answered: while a client sends, it doesn't
/// read, and a connection that is closed on it takes the answer along.
const DISCARDED: usize = 16 * 1024 * 1024;

/// What all connections of a listener share.
pub(super) struct Service {
    handler: Arc<dyn Handler>,
    authentication: Arc<Authentication>,
    pool: Pool,
    bounds: Bounds,
    /// A permit for each byte of a body that is in memory.
    bodies: Arc<Semaphore>,
}

/// Why a request is answered without its operation.
enum Refusal {
    /// A browser's, for another site.
    CrossSite(String),
    Denied(Denied),
    BodyTooLarge,
    SlowBody,
    /// The client went away in the middle, or broke the protocol.
    BrokenBody,
    Busy,
    TooLate,
    Panicked,
}

impl Service {
    pub(super) fn new(
        handler: Arc<dyn Handler>,
        authentication: Authentication,
        pool: Pool,
        bounds: Bounds,
    ) -> Self {
        let authentication = Arc::new(authentication);
        let bodies = Arc::new(Semaphore::new(bounds.bodies));
        Self { handler, authentication, pool, bounds, bodies }
    }

    pub(super) fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Answers a request, within the time a request may take and the time a refused body may
    /// take to be discarded.
    pub(super) async fn answer(
        &self,
        request: hyper::Request<Incoming>,
        source: SocketAddr,
    ) -> hyper::Response<Full<Bytes>> {
        let started = Instant::now();
        let (mut head, mut body) = request.into_parts();
        add_host(&mut head);
        let version = head.version;
        let (method, path) = (head.method.clone(), head.uri.path().to_owned());
        let outcome = self.carry_out(head, &mut body, started, source).await;
        let is_read = match &outcome {
            Ok(_) => true,
            Err(Refusal::SlowBody | Refusal::BrokenBody) => false,
            Err(_) => self.discard(body).await,
        };
        let response = outcome.unwrap_or_else(Refusal::response);
        let response = finish(response, !is_read && version < Version::HTTP_2);
        tracing::debug!(
            %source, %method, path,
            status = response.status().as_u16(),
            duration_ms = started.elapsed().as_millis() as u64,
            "management API request"
        );
        response
    }

    async fn carry_out(
        &self,
        head: Parts,
        body: &mut Incoming,
        started: Instant,
        source: SocketAddr,
    ) -> Result<Response, Refusal> {
        let deadline = started + self.bounds.request_timeout;
        match &*self.authentication {
            Authentication::AnyKey => {
                browser::refusal(&head.headers).map_or(Ok(()), |text| Err(Refusal::CrossSite(text)))
            }
            Authentication::Keys(keys) => keys
                .check_head(&head, SystemTime::now())
                .map_err(|denied| denied_to(denied, source)),
        }?;
        let reserved = self.reserve(body, deadline).await?;
        let body = self.read(body, deadline).await?;
        let (handler, authentication) = (self.handler.clone(), self.authentication.clone());
        let operation = move || {
            // Also if the client is answered before.
            let _until_the_end = reserved;
            if let Authentication::Keys(keys) = &*authentication
                && let Err(denied) = keys.check(&head, &body, SystemTime::now())
            {
                return denied_to(denied, source).response();
            }
            handler.call(Request {
                path: head.uri.path().to_owned(),
                query: head.uri.query().map(str::to_owned),
                method: head.method,
                headers: head.headers,
                body,
            })
        };
        let outcome = self.pool.run(operation).map_err(|_| Refusal::Busy)?;
        let outcome = timeout_at(deadline, outcome).await.map_err(|_| Refusal::TooLate)?;
        // A pool that ends has run what it was given.
        outcome.map_err(|_| Refusal::Panicked)?.map_err(|_| Refusal::Panicked)
    }

    /// Waits until there is room for the body.
    async fn reserve(
        &self,
        body: &Incoming,
        deadline: Instant,
    ) -> Result<OwnedSemaphorePermit, Refusal> {
        // What is larger than it may be isn't kept beyond that.
        let maximum = self.bounds.body as u64;
        let length = body.size_hint().upper().map_or(maximum, |upper| upper.min(maximum));
        let permit = self.bodies.clone().acquire_many_owned(length as u32);
        timeout_at(deadline, permit).await.map_err(|_| Refusal::Busy)?.map_err(|_| Refusal::Busy)
    }

    async fn read(&self, body: &mut Incoming, deadline: Instant) -> Result<Bytes, Refusal> {
        let mut whole = BytesMut::new();
        loop {
            let deadline = deadline.min(Instant::now() + self.bounds.body_pause);
            let frame = timeout_at(deadline, body.frame()).await.map_err(|_| Refusal::SlowBody)?;
            let Some(frame) = frame else { return Ok(whole.freeze()) };
            // Trailers say nothing to us.
            let Ok(bytes) = frame.map_err(|_| Refusal::BrokenBody)?.into_data() else { continue };
            if whole.len() + bytes.len() > self.bounds.body {
                return Err(Refusal::BodyTooLarge);
            }
            whole.extend_from_slice(&bytes);
        }
    }

    /// Reads what is left of a body that nobody wants, within bounds: whether that was all.
    async fn discard(&self, mut body: Incoming) -> bool {
        let read = async {
            let mut length = 0;
            while let Some(frame) = body.frame().await {
                length += frame.as_ref().map_or(0, |frame| frame.data_ref().map_or(0, Bytes::len));
                if frame.is_err() || length > DISCARDED {
                    return false;
                }
            }
            true
        };
        timeout(self.bounds.body_pause, read).await.unwrap_or(false)
    }
}

impl Refusal {
    fn response(self) -> Response {
        const UNAVAILABLE: &str = "ServiceUnavailableException";
        match self {
            Self::CrossSite(text) => Response::error(403, "AccessDeniedException", &text),
            Self::Denied(Denied { error, .. }) => {
                Response::error(403, error.error_type(), &error.to_string())
            }
            Self::BodyTooLarge => Response::error(
                413,
                "RequestEntityTooLargeException",
                &format!("The request's body is larger than {MAXIMUM_BODY} bytes."),
            ),
            Self::SlowBody => Response::error(
                408,
                "RequestTimeoutException",
                "The request's body did not come in within its time.",
            ),
            Self::BrokenBody => {
                Response::error(400, "BadRequestException", "The request's body broke off.")
            }
            Self::Busy => {
                let text = "The management API has more requests than it can carry out now.";
                let mut response = Response::error(503, UNAVAILABLE, text);
                response.headers.push((RETRY_AFTER, HeaderValue::from_static("1")));
                response
            }
            Self::TooLate => Response::error(
                503,
                UNAVAILABLE,
                "The request took longer than a minute; whether it was carried out is unknown.",
            ),
            Self::Panicked => Response::error(
                500,
                "InternalFailure",
                "The request failed inside the management API; the log says why.",
            ),
        }
    }
}

/// Logs who was denied, never what was sent as a secret or a signature.
fn denied_to(denied: Denied, source: SocketAddr) -> Refusal {
    tracing::warn!(
        %source,
        access_key_id = denied.access_key_id,
        reason = denied.error.reason(),
        "management API: request denied"
    );
    Refusal::Denied(denied)
}

/// HTTP/2 has the host in `:authority`; clients sign it as `host`.
fn add_host(head: &mut Parts) {
    if !head.headers.contains_key(HOST)
        && let Some(authority) = head.uri.authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        head.headers.insert(HOST, host);
    }
}

/// Adds what every response has.
fn finish(response: Response, close: bool) -> hyper::Response<Full<Bytes>> {
    let Response { status, headers, body } = response;
    let is_empty = body.is_empty();
    let mut response = hyper::Response::new(Full::new(body));
    // A status that is none is a handler's mistake.
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let fields = response.headers_mut();
    fields.extend(headers);
    if is_empty {
        fields.remove(CONTENT_TYPE);
    } else {
        fields.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    }
    for (name, value) in [("x-amzn-requestid", request_id()), ("x-amz-apigw-id", extended_id())] {
        if let Ok(value) = HeaderValue::try_from(value) {
            fields.insert(name, value);
        }
    }
    if close {
        fields.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    // Hyper knows the length, and adds the date.
    fields.remove(CONTENT_LENGTH);
    response
}

/// A version 4 UUID.
fn request_id() -> String {
    let bits = fastrand::u128(..) & !(0xf << 76) & !(0b11 << 62) | (4 << 76) | (0b10 << 62);
    let digits = format!("{bits:032x}");
    let (a, b, c, d, e) =
        (&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]);
    format!("{a}-{b}-{c}-{d}-{e}")
}

/// 88 random bits, as on AWS in 16 characters.
fn extended_id() -> String {
    BASE64_URL_SAFE.encode(std::array::from_fn::<u8, 11, _>(|_| fastrand::u8(..)))
}
