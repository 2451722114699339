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
use crate::limits::Limits;
use crate::pace::Bounded;
use crate::phases::integration_request::{self, Body};
use crate::phases::integration_response::{Passing, passing};
use crate::phases::request_body::{self, BodyReader};
use crate::phases::{self, Checked, FirstPlugin, transform};
use crate::proxy::{Call, Outcome, Sink, SinkError, Source};
use crate::refusal::Refusal;
use crate::respond::{self, LocalResponse};
use crate::transformation::{self, TransformedRequest};
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
    let wire = Wire {
        deadline: Deadline::after(limits.body_stall_timeout),
        source: Http2Source { stream: body, piece: Bytes::new(), trailers: None },
    };
    let mut stream = Stream {
        wire,
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
    wire: Wire,
    sink: Http2Sink,
}

/// What is read from the client.
struct Wire {
    source: Http2Source,
    deadline: Deadline,
}

impl BodyReader for Wire {
    async fn read(&mut self, limits: &Limits, head: &mut RequestHead) -> Result<Vec<u8>, Refusal> {
        request_body::read(limits, head, &mut self.source, &mut self.deadline).await
    }
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
        let checked = match phases::check(&mut self.head, &mut self.exchange) {
            Ok(Checked::Passed) => Ok(None),
            Ok(Checked::Consult(first)) => self.consult(first).await,
            Err(refusal) => Err(refusal),
        };
        let body = match checked {
            Ok(body) => body,
            Err(refusal) => return self.refuse(refusal).await,
        };
        let (Some(stage), Some(route)) = (self.exchange.stage.clone(), self.exchange.route) else {
            return self.refuse(Refusal::NotLocated).await;
        };
        let method = stage.method(route.method);
        let answered = match &method.integration {
            CompiledIntegration::HttpProxy(http) => return self.proxy(method, http, body).await,
            _ => self.mapped(method, body).await,
        };
        match answered {
            Ok(response) => self.respond(response).await,
            Err(refusal) => self.refuse(refusal).await,
        }
    }

    /// Asks the method's plugins. Gives the body if one of them needed it.
    async fn consult(&mut self, first: FirstPlugin) -> Result<Option<Vec<u8>>, Refusal> {
        let Self { core, head, exchange, wire, .. } = self;
        phases::consult(core, first, head, exchange, wire).await
    }

    /// HTTP and MOCK: the request is reshaped, so is the response.
    async fn mapped(
        &mut self,
        method: &CompiledMethod,
        body: Option<Vec<u8>>,
    ) -> Result<LocalResponse, Refusal> {
        let core = self.core.clone();
        let body = self.whole_body(body).await?;
        let (exchange, deadline) = (&mut self.exchange, &mut self.wire.deadline);
        phases::mapped::answer(&core, &self.head, exchange, method, body, deadline).await
    }

    async fn proxy(
        &mut self,
        method: &CompiledMethod,
        http: &HttpIntegration,
        body: Option<Vec<u8>>,
    ) {
        match self.call(method, http, body).await {
            Ok(Outcome::Refused(refusal)) | Err(refusal) => self.refuse(refusal).await,
            Ok(Outcome::Complete { .. }) => self.core.record(&self.head, &mut self.exchange),
            Ok(Outcome::Aborted(cause)) => {
                tracing::debug!(
                    request_id = self.exchange.ids.request_id(), %cause, "response broke off"
                );
                self.break_off();
            }
        }
    }

    async fn call(
        &mut self,
        method: &CompiledMethod,
        http: &HttpIntegration,
        body: Option<Vec<u8>>,
    ) -> Result<Outcome, Refusal> {
        let core = self.core.clone();
        let mut request = Vec::new();
        let whole =
            body.is_some() || request_body::is_needed(&self.head, &self.exchange, method, http);
        if whole {
            let body = self.whole_body(body).await?;
            let exchange = &mut self.exchange;
            let made = (method, http);
            let head_length =
                request_body::proxy_request(&self.head, exchange, made, &body, &mut request)?;
            return self.send_whole(http, &request, head_length).await;
        }
        let coding = request_body::coding(&self.head)?;
        let transformation = transformation::of_request_body(&self.exchange);
        // How long it gets without its coding, or transformed, nobody knows yet.
        let framing = match self.head.framing {
            Framing::None => Framing::None,
            _ if coding.is_some() || transformation.is_some() => Framing::Chunked,
            framing => framing,
        };
        let body = Body::Streamed(framing);
        let (head, exchange) = (&self.head, &self.exchange);
        integration_request::proxy_head(head, exchange, http, body, b"", &mut request)?;
        if framing == Framing::None {
            return self.send_whole(http, &request, request.len()).await;
        }
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
        let source = Decompressing::new(&mut self.wire.source, coding);
        let source = Bounded::new(source, &core.limits);
        let mut source = TransformedRequest::new(source, transformation);
        let (exchange, sink) = (&mut self.exchange, &mut self.sink);
        let deadline = &mut self.wire.deadline;
        Ok(call.streamed(request, framing, exchange, &mut source, sink, deadline).await)
    }

    /// Sends a request that is there as a whole.
    async fn send_whole(
        &mut self,
        http: &HttpIntegration,
        request: &[u8],
        head_length: usize,
    ) -> Result<Outcome, Refusal> {
        let core = self.core.clone();
        let (upstream, poolable) =
            integration_request::upstream(&core.upstreams, &self.head, &self.exchange, http)?;
        let call = Call {
            core: &core,
            upstream: &upstream,
            poolable,
            timeout: http.timeout,
            method: request.split(|byte| *byte == b' ').next().unwrap_or_default(),
            compression: phases::response_compression(&self.head, &self.exchange),
        };
        let (exchange, sink) = (&mut self.exchange, &mut self.sink);
        let deadline = &mut self.wire.deadline;
        Ok(call.whole(request, head_length, exchange, sink, deadline).await)
    }

    /// The whole body as the integration is to see it; `body` if it was read before.
    async fn whole_body(&mut self, body: Option<Vec<u8>>) -> Result<Vec<u8>, Refusal> {
        match body {
            Some(body) => Ok(body),
            None => {
                let body = self.wire.read(&self.core.limits, &mut self.head).await?;
                transform::late_body(&self.exchange, body).await
            }
        }
    }

    async fn refuse(&mut self, refusal: Refusal) {
        if let Some(reason) = refusal.metric() {
            self.core.metrics.request_refused(reason);
        }
        self.core.sources.refused(&self.exchange.client, &self.head, &refusal);
        if self.exchange.transformation.is_none() && !matches!(refusal, Refusal::Reset) {
            let response = respond::refusal(&self.head, &mut self.exchange, refusal);
            return self.respond(response).await;
        }
        let answer = transform::refusal(&self.head, &mut self.exchange, refusal);
        match Box::pin(answer).await {
            Some(response) => self.respond(response).await,
            None => self.break_off(),
        }
    }

    /// Ends an exchange whose client gets no whole response.
    fn break_off(&mut self) {
        self.sink.reset();
        self.core.record(&self.head, &mut self.exchange);
    }

    async fn respond(&mut self, response: LocalResponse) {
        self.exchange.status = response.status;
        if !self.sink.to_head {
            self.exchange.response_length = response.body.len() as u64;
        }
        self.wire.deadline.set_after(self.core.limits.body_stall_timeout);
        let write = self.sink.local(&self.exchange, response);
        if !matches!(self.wire.deadline.within(write).await, Ok(Ok(()))) {
            self.sink.reset();
        }
        self.core.record(&self.head, &mut self.exchange);
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
