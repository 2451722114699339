//! One exchange on an HTTP/2 stream.

use std::sync::Arc;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tollgate_model::compile::{CompiledIntegration, CompiledMethod, HttpIntegration};

use super::convert;
use crate::compression::Decompressing;
use crate::core::Core;
use crate::deadline::Deadline;
use crate::exchange::{Client, Exchange};
use crate::head::{Framing, Known, RequestHead, ResponseHead};
use crate::http1::body::{BodyError, Piece, Trailers};
use crate::identifiers::http_date;
use crate::pace::RateFloor;
use crate::phases::integration_request::{self, Body};
use crate::phases::integration_response::{Passing, passing};
use crate::phases::{self, request_body};
use crate::proxy::{Call, Outcome, Sink, SinkError, Source};
use crate::refusal::Refusal;
use crate::respond::{self, LocalResponse};
use crate::upstream::transaction::{http2_error, send_http2_data};

/// Serves one request.
pub async fn serve(
    core: Arc<Core>,
    client: Arc<Client>,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
) {
    let (parts, body) = request.into_parts();
    let limits = &core.limits;
    let mut exchange = Exchange::new(client);
    exchange.begin();
    let read = convert::request_head(
        &parts,
        body.is_end_stream(),
        limits.maximum_url,
        limits.maximum_header_fields,
    );
    let (head, refused) = match read {
        Ok(head) => (head, None),
        Err(error) => (RequestHead::default(), Some(Refusal::Head(error))),
    };
    let mut stream = Stream {
        deadline: Deadline::after(limits.body_stall_timeout),
        source: Http2Source { stream: body, piece: Bytes::new(), trailers: None },
        sink: Http2Sink { to_head: head.method() == b"HEAD", respond, stream: None },
        core,
        head,
        exchange,
    };
    match refused {
        Some(refusal) => stream.refuse(refusal).await,
        None => stream.exchange().await,
    }
}

struct Stream {
    core: Arc<Core>,
    head: RequestHead,
    exchange: Exchange,
    source: Http2Source,
    sink: Http2Sink,
    deadline: Deadline,
}

impl Stream {
    async fn exchange(&mut self) {
        if let Framing::Length(length) = self.head.framing
            && length > self.core.limits.maximum_payload
        {
            let maximum = self.core.limits.maximum_payload;
            return self.refuse(Refusal::PayloadTooLarge { maximum }).await;
        }
        let admitted = {
            let snapshot = self.core.snapshot.load();
            phases::admit(&snapshot, &self.core.limits, &self.head, &mut self.exchange)
        };
        if let Err(refusal) = admitted {
            return self.refuse(refusal).await;
        }
        let (Some(stage), Some(route)) = (self.exchange.stage.clone(), self.exchange.route) else {
            return self.refuse(Refusal::NotLocated).await;
        };
        let answered = match &stage.method(route.method).integration {
            CompiledIntegration::HttpProxy(http) => {
                return self.proxy(stage.method(route.method), http).await;
            }
            _ => self.mapped(stage.method(route.method)).await,
        };
        match answered {
            Ok(response) => self.respond(response).await,
            Err(refusal) => self.refuse(refusal).await,
        }
    }

    /// HTTP and MOCK: the request is reshaped, so is the response.
    async fn mapped(&mut self, method: &CompiledMethod) -> Result<LocalResponse, Refusal> {
        let core = self.core.clone();
        let body = self.read_body().await?;
        let (exchange, deadline) = (&mut self.exchange, &mut self.deadline);
        phases::mapped::answer(&core, &self.head, exchange, method, body, deadline).await
    }

    async fn proxy(&mut self, method: &CompiledMethod, http: &HttpIntegration) {
        match self.call(method, http).await {
            Ok(Outcome::Refused(refusal)) | Err(refusal) => self.refuse(refusal).await,
            Ok(Outcome::Complete { .. }) => self.core.record(&self.head, &self.exchange),
            Ok(Outcome::Aborted(cause)) => {
                tracing::debug!(
                    request_id = self.exchange.ids.request_id(), %cause, "response broke off"
                );
                self.sink.reset();
                self.core.record(&self.head, &self.exchange);
            }
        }
    }

    async fn call(
        &mut self,
        method: &CompiledMethod,
        http: &HttpIntegration,
    ) -> Result<Outcome, Refusal> {
        let core = self.core.clone();
        let coding = request_body::coding(&self.head)?;
        // How long it gets without its coding nobody knows yet.
        let framing = match self.head.framing {
            Framing::None => Framing::None,
            framing => coding.map_or(framing, |_| Framing::Chunked),
        };
        let mut request = Vec::new();
        let whole = request_body::is_needed(&self.head, &self.exchange, method, http);
        let head_length = if whole {
            let body = self.read_body().await?;
            let exchange = &mut self.exchange;
            let made = (method, http);
            request_body::proxy_request(
                &core.limits,
                &self.head,
                exchange,
                made,
                body,
                &mut request,
            )
            .await?
        } else {
            let body = Body::Streamed(framing);
            let (head, exchange) = (&self.head, &self.exchange);
            integration_request::proxy_head(head, exchange, http, body, b"", &mut request)?;
            request.len()
        };
        let (upstream, poolable) =
            integration_request::upstream(&core.upstreams, &self.head, &self.exchange, http)?;
        let method = request.split(|byte| *byte == b' ').next().unwrap_or_default().to_vec();
        let call = Call {
            core: &core,
            upstream: &upstream,
            poolable,
            timeout: http.timeout,
            method: &method,
            compression: phases::response_compression(&self.head, &self.exchange),
        };
        let (exchange, sink, deadline) = (&mut self.exchange, &mut self.sink, &mut self.deadline);
        if !whole && framing != Framing::None {
            let mut source = Decompressing::new(&mut self.source, coding);
            let source = &mut source;
            return Ok(call.streamed(request, framing, exchange, source, sink, deadline).await);
        }
        Ok(call.whole(&request, head_length, exchange, sink, deadline).await)
    }

    async fn read_body(&mut self) -> Result<Vec<u8>, Refusal> {
        let limits = &self.core.limits;
        let mut body = Vec::new();
        let mut floor = RateFloor::start();
        loop {
            self.deadline.set_after(limits.body_stall_timeout);
            let piece = match self.deadline.within(self.source.next()).await {
                Ok(piece) => piece.map_err(Refusal::Body)?,
                Err(_) => return Err(Refusal::BodyTooSlow),
            };
            let Some(piece) = piece else { return Ok(body) };
            body.extend_from_slice(piece.data);
            if body.len() as u64 > limits.maximum_payload {
                return Err(Refusal::PayloadTooLarge { maximum: limits.maximum_payload });
            }
            if !floor.add(piece.data.len(), limits) {
                return Err(Refusal::BodyTooSlow);
            }
        }
    }

    async fn refuse(&mut self, refusal: Refusal) {
        if let Some(reason) = refusal.metric() {
            self.core.metrics.request_refused(reason);
        }
        let response = respond::refusal(&self.head, &mut self.exchange, refusal);
        self.respond(response).await;
    }

    async fn respond(&mut self, response: LocalResponse) {
        self.exchange.status = response.status;
        if !self.sink.to_head {
            self.exchange.response_length = response.body.len() as u64;
        }
        self.deadline.set_after(self.core.limits.body_stall_timeout);
        let write = self.sink.local(&self.exchange, response);
        if !matches!(self.deadline.within(write).await, Ok(Ok(()))) {
            self.sink.reset();
        }
        self.core.record(&self.head, &self.exchange);
    }
}

struct Http2Source {
    stream: RecvStream,
    piece: Bytes,
    trailers: Option<Box<Trailers>>,
}

impl Source for Http2Source {
    async fn next(&mut self) -> Result<Option<Piece<'_>>, BodyError> {
        // The window opens again only for what has been used: the client can't get ahead of
        // the upstream by more than a window.
        let _ = self.stream.flow_control().release_capacity(self.piece.len());
        self.piece = Bytes::new();
        match self.stream.data().await {
            Some(data) => {
                self.piece = data.map_err(http2_error)?;
                Ok(Some(Piece { data: &self.piece, last: self.stream.is_end_stream() }))
            }
            None => {
                let trailers = self.stream.trailers().await.map_err(http2_error)?;
                self.trailers = trailers.map(|map| Box::new(convert::from_trailers(&map)));
                Ok(None)
            }
        }
    }

    fn take_trailers(&mut self) -> Option<Box<Trailers>> {
        self.trailers.take()
    }
}

struct Http2Sink {
    respond: SendResponse<Bytes>,
    /// The open body, once the head was sent.
    stream: Option<SendStream<Bytes>>,
    to_head: bool,
}

impl Sink for Http2Sink {
    async fn begin(
        &mut self,
        exchange: &Exchange,
        response: &ResponseHead,
    ) -> Result<(), SinkError> {
        let mut headers = HeaderMap::with_capacity(response.fields.len() + 4);
        for field in &response.fields {
            let (name, value) = (response.name(field), response.value(field));
            match passing(response, field) {
                _ if convert::is_of_connection(field.known) => {}
                Passing::Passes => append(&mut headers, name, value),
                Passing::Remapped => {
                    append(&mut headers, &[b"x-amzn-remapped-", name].concat(), value);
                }
                Passing::Dropped => {}
            }
        }
        if let Framing::Length(length) = response.framing {
            append(&mut headers, b"content-length", itoa::Buffer::new().format(length).as_bytes());
        } else if self.to_head
            && let Some(length) = response.known(Known::ContentLength)
        {
            append(&mut headers, b"content-length", length);
        }
        let end = self.to_head || response.framing == Framing::None;
        self.send_head(exchange, response.status, headers, end)
    }

    async fn data(&mut self, piece: Piece<'_>) -> Result<(), SinkError> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        send_http2_data(stream, Bytes::copy_from_slice(piece.data), piece.last)
            .await
            .map_err(failed)?;
        if piece.last {
            self.stream = None;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    async fn finish(&mut self, trailers: Option<&Trailers>) -> Result<(), SinkError> {
        let Some(mut stream) = self.stream.take() else { return Ok(()) };
        match trailers {
            Some(trailers) => stream.send_trailers(convert::trailers(trailers)),
            None => stream.send_data(Bytes::new(), true),
        }
        .map_err(failed)
    }
}

impl Http2Sink {
    async fn local(
        &mut self,
        exchange: &Exchange,
        response: LocalResponse,
    ) -> Result<(), SinkError> {
        let mut headers = HeaderMap::with_capacity(response.headers.len() + 4);
        for (name, value) in &response.headers {
            append(&mut headers, name.as_bytes(), value);
        }
        let bodiless = matches!(response.status, 204 | 304);
        if !bodiless {
            let length = response.body.len();
            append(&mut headers, b"content-length", itoa::Buffer::new().format(length).as_bytes());
        }
        let end = bodiless || self.to_head || response.body.is_empty();
        self.send_head(exchange, response.status, headers, end)?;
        self.data(Piece { data: &response.body, last: true }).await
    }

    fn send_head(
        &mut self,
        exchange: &Exchange,
        status: u16,
        mut headers: HeaderMap,
        end: bool,
    ) -> Result<(), SinkError> {
        append(&mut headers, b"date", &http_date(exchange.started_at.as_secs()));
        append(&mut headers, b"x-amzn-requestid", &exchange.ids.request_id);
        append(&mut headers, b"x-amz-apigw-id", &exchange.ids.extended_request_id);
        let mut response = Response::new(());
        *response.status_mut() =
            http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        *response.headers_mut() = headers;
        let stream = self.respond.send_response(response, end).map_err(failed)?;
        self.stream = (!end).then_some(stream);
        Ok(())
    }

    /// The client must see that the response is not whole.
    fn reset(&mut self) {
        match &mut self.stream {
            Some(stream) => stream.send_reset(Reason::INTERNAL_ERROR),
            None => self.respond.send_reset(Reason::INTERNAL_ERROR),
        }
    }
}

fn failed(error: h2::Error) -> SinkError {
    SinkError(std::io::Error::other(error))
}

/// Adds a field; one that HTTP/2 can't carry is left out.
fn append(headers: &mut HeaderMap, name: &[u8], value: &[u8]) {
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
        headers.append(name, value);
    }
}
