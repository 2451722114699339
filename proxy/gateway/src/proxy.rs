//! The integration call: request to the upstream, response to the client, piece by piece.
//!
//! This is the seam between the phases and the wire. It knows neither HTTP version of the
//! client: a [`Source`] gives the request's body and a [`Sink`] takes the response, and
//! [`crate::http1`] and [`crate::http2`] implement both.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use parking_lot::Mutex;
use tollgate_model::api::GatewayResponseType;

use crate::compression::{Compressing, ResponseCompression};
use crate::core::Core;
use crate::deadline::Deadline;
use crate::exchange::Exchange;
use crate::head::{Framing, ResponseHead};
use crate::http1::body::{BodyError, Piece, Trailers};
use crate::metrics::UpstreamConnectionResult;
use crate::pace::{Pace, RateFloor};
use crate::refusal::Refusal;
use crate::transformation::{self, TransformedResponse};
use crate::upstream::transaction::{
    self, Download, Response, Reuse, TransactionError, Transport, Upload, is_idempotent,
};
use crate::upstream::{ConnectError, Upstream};

/// How long an upstream that stopped taking the request may still answer it.
const LATE_RESPONSE: Duration = Duration::from_secs(2);

/// The client's connection failed while the response was written.
#[derive(Debug, thiserror::Error)]
#[error("client connection failed: {0}")]
pub struct SinkError(#[from] pub std::io::Error);

/// A request body. Whoever reads it has to hold it to its bounds: [`crate::pace::Bounded`].
pub trait Source: Send {
    /// The next piece, `None` at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Piece<'_>>, BodyError>> + Send;
    fn take_trailers(&mut self) -> Option<Box<Trailers>>;
}

impl<S: Source> Source for &mut S {
    async fn next(&mut self) -> Result<Option<Piece<'_>>, BodyError> {
        (**self).next().await
    }

    fn take_trailers(&mut self) -> Option<Box<Trailers>> {
        (**self).take_trailers()
    }
}

/// Where a response goes.
pub trait Sink: Send {
    /// Takes the head of a passed-through response.
    fn begin(
        &mut self,
        exchange: &Exchange,
        response: &ResponseHead,
    ) -> impl Future<Output = Result<(), SinkError>> + Send;
    /// Takes a piece; may hold small ones back until [`Sink::flush`].
    fn data(&mut self, piece: Piece<'_>) -> impl Future<Output = Result<(), SinkError>> + Send;
    fn flush(&mut self) -> impl Future<Output = Result<(), SinkError>> + Send;
    /// Ends the response.
    fn finish(
        &mut self,
        trailers: Option<&Trailers>,
    ) -> impl Future<Output = Result<(), SinkError>> + Send;
}

/// How a call ended.
#[derive(Debug)]
pub enum Outcome {
    /// The whole response was handed over. `request_read` says that the request body was read to
    /// its end, so that the client's connection may carry another request.
    Complete { request_read: bool },
    /// Nothing was sent to the client yet.
    Refused(Refusal),
    /// The response broke off: the client must see that it did.
    Aborted(Cow<'static, str>),
}

/// One integration call.
pub struct Call<'a> {
    pub core: &'a Core,
    pub upstream: &'a Arc<Upstream>,
    /// Whether the connection may be kept for other requests.
    pub poolable: bool,
    /// From the call to the response's head.
    pub timeout: Duration,
    /// The method sent upstream: it decides about a response's body and about retrying.
    pub method: &'a [u8],
    /// Of a streamed response.
    pub compression: Option<ResponseCompression>,
}

impl Call<'_> {
    /// Sends a request whose body is already there (`request` is head and body) and streams the
    /// response.
    pub async fn whole(
        &self,
        request: &[u8],
        head_length: usize,
        exchange: &mut Exchange,
        sink: &mut impl Sink,
        deadline: &mut Deadline,
    ) -> Outcome {
        let pace = Pace::within(self.timeout);
        let mut begun = false;
        let result = {
            let transfer = async {
                let started = Instant::now();
                let response = self.respond_to_whole(request, head_length).await?;
                self.deliver(
                    response,
                    &Mutex::new(None),
                    started,
                    exchange,
                    sink,
                    &pace,
                    &mut begun,
                )
                .await
            };
            pace.keep(deadline, pin!(transfer)).await
        };
        match result {
            Ok(Ok(())) => Outcome::Complete { request_read: true },
            Ok(Err(failure)) => failure.outcome(begun, exchange),
            Err(_) => Failure::TimedOut.outcome(begun, exchange),
        }
    }

    /// Sends a request whose whole body is there and reads the whole response, which no client
    /// has seen yet. The payload quota bounds it.
    pub async fn buffered(
        &self,
        request: &[u8],
        head_length: usize,
        exchange: &mut Exchange,
        deadline: &mut Deadline,
    ) -> Result<(ResponseHead, Vec<u8>), Refusal> {
        let pace = Pace::within(self.timeout);
        let result = {
            let transfer = async {
                let started = Instant::now();
                let response = self.respond_to_whole(request, head_length).await?;
                self.collect(response, started, exchange).await
            };
            pace.keep(deadline, pin!(transfer)).await
        };
        match result {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(failure)) => Err(failure.refusal(exchange)),
            Err(_) => Err(Failure::TimedOut.refusal(exchange)),
        }
    }

    /// Streams the request's body up while the response streams down.
    pub async fn streamed(
        &self,
        request_head: Vec<u8>,
        framing: Framing,
        exchange: &mut Exchange,
        source: &mut impl Source,
        sink: &mut impl Sink,
        deadline: &mut Deadline,
    ) -> Outcome {
        let pace = Pace::within(self.timeout);
        let mut begun = false;
        let mut uploaded = false;
        let result = {
            let transfer = async {
                let transport = self.acquire(Reuse::Yes).await?;
                let started = Instant::now();
                let (upload, download) = transaction::split(transport, request_head, framing)?;
                // The finished upload's half of the connection, for whoever keeps it.
                let finished = Mutex::new(None);
                let upload = async {
                    *finished.lock() = Some(self.upload(upload, source, &pace).await?);
                    Ok(())
                };
                let download = async {
                    let response = download.response(self.method == b"HEAD").await?;
                    self.deliver(response, &finished, started, exchange, sink, &pace, &mut begun)
                        .await
                };
                join(upload, download, &pace, &mut uploaded).await
            };
            pace.keep(deadline, pin!(transfer)).await
        };
        match result {
            Ok(Ok(())) => Outcome::Complete { request_read: uploaded },
            Ok(Err(failure)) => failure.outcome(begun, exchange),
            Err(_) if !begun && !uploaded => Failure::RequestTooSlow.outcome(begun, exchange),
            Err(_) => Failure::TimedOut.outcome(begun, exchange),
        }
    }

    async fn acquire(&self, reuse: Reuse) -> Result<Transport, TransactionError> {
        let reuse = if self.poolable { reuse } else { Reuse::Never };
        let acquired = transaction::acquire(&self.core.upstreams, self.upstream, reuse).await;
        self.core.metrics.upstream_connection(match &acquired {
            Ok(Transport::Http1 { reused: false, .. }) => UpstreamConnectionResult::Opened,
            Ok(_) => UpstreamConnectionResult::Reused,
            Err(TransactionError::Connect(ConnectError::TimedOut)) => {
                UpstreamConnectionResult::TimedOut
            }
            Err(TransactionError::Connect(ConnectError::Tls(_))) => {
                UpstreamConnectionResult::TlsFailed
            }
            Err(_) => UpstreamConnectionResult::Failed,
        });
        acquired
    }

    /// Sends and waits for the head; once more on a new connection if a kept one was closed.
    async fn respond_to_whole(
        &self,
        request: &[u8],
        head_length: usize,
    ) -> Result<Response, TransactionError> {
        let first = self.attempt(request, head_length, Reuse::Yes).await;
        match first {
            Err(TransactionError::Stale) if is_idempotent(self.method) => {
                self.attempt(request, head_length, Reuse::Fresh).await
            }
            result => result,
        }
    }

    async fn attempt(
        &self,
        request: &[u8],
        head_length: usize,
        reuse: Reuse,
    ) -> Result<Response, TransactionError> {
        let transport = self.acquire(reuse).await?;
        let download: Download = transaction::send_whole(transport, request, head_length).await?;
        download.response(self.method == b"HEAD").await
    }

    async fn upload(
        &self,
        mut upload: Upload,
        source: &mut impl Source,
        pace: &Pace,
    ) -> Result<Upload, Failure> {
        let stall = self.core.limits.body_stall_timeout;
        pace.allow(stall);
        while let Some(piece) = source.next().await.map_err(Failure::Request)? {
            // An empty one only says that something has come.
            if !piece.data.is_empty() {
                upload.write(piece.data).await?;
            }
            pace.allow(stall);
        }
        let trailers = source.take_trailers();
        upload.finish(trailers.as_deref()).await?;
        pace.allow(self.timeout);
        Ok(upload)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one transfer, each borrowed apart")]
    async fn deliver(
        &self,
        mut response: Response,
        upload: &Mutex<Option<Upload>>,
        started: Instant,
        exchange: &mut Exchange,
        sink: &mut impl Sink,
        pace: &Pace,
        begun: &mut bool,
    ) -> Result<(), Failure> {
        let limits = &self.core.limits;
        exchange.integration_status = Some(response.head.status);
        exchange.integration_latency = Some(started.elapsed());
        exchange.status = response.head.status;
        self.check_length(&response)?;
        // Transformers may take their time: it is not the integration's.
        pace.allow(limits.body_stall_timeout);
        let mut sink = TransformedResponse::new(Compressing::new(sink, begun), self.compression);
        sink.begin(exchange, &mut response.head).await?;
        pace.allow(limits.body_stall_timeout);
        let mut floor = RateFloor::start();
        let mut received = 0;
        loop {
            let piece = match response.body.next().now_or_never() {
                Some(piece) => piece,
                None => {
                    sink.flush().await?;
                    pace.allow(limits.body_stall_timeout);
                    // The client is not to blame for the time the upstream takes.
                    floor = RateFloor::start();
                    response.body.next().await
                }
            };
            let Some(piece) = piece.map_err(Failure::Response)? else { break };
            received += piece.data.len() as u64;
            if received > limits.maximum_payload {
                return Err(Failure::ResponseTooLarge(received));
            }
            if !floor.add(piece.data.len(), limits) {
                return Err(Failure::ClientTooSlow);
            }
            sink.data(exchange, &mut response.head, piece).await?;
            exchange.response_length = sink.sent();
            pace.allow(limits.body_stall_timeout);
        }
        let trailers = response.body.take_trailers();
        sink.finish(exchange, &mut response.head, trailers.as_deref()).await?;
        exchange.response_length = sink.sent();
        if self.poolable {
            response.body.recycle(self.upstream, upload.lock().take(), limits);
        }
        Ok(())
    }

    async fn collect(
        &self,
        mut response: Response,
        started: Instant,
        exchange: &mut Exchange,
    ) -> Result<(ResponseHead, Vec<u8>), Failure> {
        exchange.integration_status = Some(response.head.status);
        self.check_length(&response)?;
        let mut body = Vec::new();
        while let Some(piece) = response.body.next().await.map_err(Failure::Response)? {
            body.extend_from_slice(piece.data);
            if body.len() as u64 > self.core.limits.maximum_payload {
                return Err(Failure::ResponseTooLarge(body.len() as u64));
            }
        }
        exchange.integration_latency = Some(started.elapsed());
        if self.poolable {
            response.body.recycle(self.upstream, None, &self.core.limits);
        }
        Ok((response.head, body))
    }

    fn check_length(&self, response: &Response) -> Result<(), Failure> {
        match response.head.framing {
            Framing::Length(length) if length > self.core.limits.maximum_payload => {
                Err(Failure::ResponseTooLarge(length))
            }
            _ => Ok(()),
        }
    }
}

/// Runs both directions until the response is complete. The upload may end before, after or
/// never: an upstream may answer without reading the whole request.
async fn join(
    upload: impl Future<Output = Result<(), Failure>>,
    download: impl Future<Output = Result<(), Failure>>,
    pace: &Pace,
    uploaded: &mut bool,
) -> Result<(), Failure> {
    let mut upload = pin!(upload);
    let mut download = pin!(download);
    let mut uploading = true;
    std::future::poll_fn(|cx| {
        if uploading && let Poll::Ready(result) = upload.as_mut().poll(cx) {
            uploading = false;
            match result {
                Ok(()) => *uploaded = true,
                // The upstream stopped reading; what it has to say may still be on its way.
                Err(Failure::Upstream(_)) => pace.allow(LATE_RESPONSE),
                Err(failure) => return Poll::Ready(Err(failure)),
            }
        }
        download.as_mut().poll(cx)
    })
    .await
}

/// Why a call failed.
#[derive(Debug)]
enum Failure {
    Upstream(TransactionError),
    /// The upstream's response broke off or was malformed.
    Response(BodyError),
    ResponseTooLarge(u64),
    Request(BodyError),
    RequestTooSlow,
    ClientTooSlow,
    Client(SinkError),
    /// Transformers failed, or want something else.
    Transformers(Refusal),
    TimedOut,
}

impl From<TransactionError> for Failure {
    fn from(error: TransactionError) -> Self {
        Self::Upstream(error)
    }
}

impl From<transformation::Failed> for Failure {
    fn from(failed: transformation::Failed) -> Self {
        match failed {
            transformation::Failed::Client(error) => Self::Client(error),
            transformation::Failed::Refused(refusal) => Self::Transformers(refusal),
        }
    }
}

impl Failure {
    fn outcome(self, begun: bool, exchange: &mut Exchange) -> Outcome {
        if begun {
            let cause = self.cause();
            exchange.integration_error = Some(cause.clone());
            Outcome::Aborted(cause)
        } else {
            Outcome::Refused(self.refusal(exchange))
        }
    }

    fn refusal(self, exchange: &mut Exchange) -> Refusal {
        use GatewayResponseType::{ApiConfigurationError, IntegrationFailure, IntegrationTimeout};
        let response_type = match self {
            Self::Request(error) => return error.into(),
            Self::Transformers(refusal) => return refusal,
            Self::RequestTooSlow => return Refusal::BodyTooSlow,
            Self::TimedOut | Self::Upstream(TransactionError::Connect(ConnectError::TimedOut)) => {
                IntegrationTimeout
            }
            Self::ResponseTooLarge(_) => ApiConfigurationError,
            Self::Upstream(_) | Self::Response(_) | Self::ClientTooSlow | Self::Client(_) => {
                IntegrationFailure
            }
        };
        let cause = self.cause();
        exchange.integration_error = Some(cause.clone());
        Refusal::caused(response_type, cause)
    }

    fn cause(&self) -> Cow<'static, str> {
        match self {
            Self::Upstream(error) => format!(
                "Execution failed due to a network error communicating with endpoint: {error}"
            )
            .into(),
            Self::Response(error) => format!("integration response broke off: {error}").into(),
            Self::ResponseTooLarge(length) => format!(
                "Integration response of length {length} is larger than the allowed maximum"
            )
            .into(),
            Self::Request(error) => error.to_string().into(),
            Self::RequestTooSlow => "request body arrived too slowly".into(),
            Self::ClientTooSlow => "client takes the response too slowly".into(),
            Self::Client(error) => error.to_string().into(),
            Self::Transformers(refusal) => refusal.log_message(),
            Self::TimedOut => "Execution failed due to a timeout error".into(),
        }
    }
}
