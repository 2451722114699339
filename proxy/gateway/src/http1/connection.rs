//! One HTTP/1.1 client connection.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Duration;
use tollgate_model::compile::{CompiledIntegration, CompiledMethod, HttpIntegration};
use tollgate_plugin_host::Transformation;

use super::body::{BodyDecoder, ReadBuffer};
use super::parse::{self, HeadBounds, HeadError, HeadScanner};
use super::wire::{Http1Sink, Http1Source, ResponseForm, write_local};
use crate::compression::{Coding, Decompressing};
use crate::core::{Core, Drain};
use crate::deadline::Deadline;
use crate::exchange::{Client, Exchange};
use crate::head::{Framing, RequestHead};
use crate::limits::Limits;
use crate::pace::Bounded;
use crate::phases::integration_request::{self, Body};
use crate::phases::request_body::{self, BodyReader};
use crate::phases::{self, Checked, FirstPlugin, transform};
use crate::proxy::{Call, Outcome, Source};
use crate::refusal::Refusal;
use crate::respond::{self, LocalResponse};
use crate::transformation::{self, TransformedRequest};

/// Room for a head; most fit.
const HEAD_READ: usize = 2 * 1024;
/// An unread body up to this size is read away after a refusal, so that the connection stays.
const DISCARD: u64 = 64 * 1024;
/// How long a closing connection still reads, so that the last answer is not lost to a reset.
const LINGER: Duration = Duration::from_millis(500);
/// Heads larger than this don't keep their storage between requests.
const IDLE_CAPACITY: usize = 4 * 1024;

/// Serves requests until either side is done with the connection.
pub async fn serve<S>(core: Arc<Core>, client: Arc<Client>, io: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let wire = Wire {
        deadline: Deadline::after(core.limits.request_head_timeout),
        io,
        buffer: ReadBuffer::default(),
        decoder: BodyDecoder::new(Framing::None),
        out: Vec::new(),
    };
    let mut connection = Connection {
        drain: core.drain.clone(),
        exchange: Exchange::new(client),
        core,
        wire,
        head: RequestHead::default(),
        request: Vec::new(),
        scanner: HeadScanner::default(),
        served: 0,
    };
    connection.run().await;
}

/// What becomes of the connection after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Continue,
    /// After the answer has been read by the client.
    Close,
    /// At once: the response is incomplete and must not look complete.
    Break,
}

enum HeadRead {
    Ready,
    Closed,
    Refused(Refusal),
}

struct Connection<S> {
    core: Arc<Core>,
    drain: Drain,
    wire: Wire<S>,
    scanner: HeadScanner,
    head: RequestHead,
    exchange: Exchange,
    /// What is to be written to the upstream.
    request: Vec<u8>,
    served: u64,
}

/// The client's end of the connection.
struct Wire<S> {
    io: S,
    buffer: ReadBuffer,
    decoder: BodyDecoder,
    /// What is to be written to the client.
    out: Vec<u8>,
    deadline: Deadline,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Wire<S> {
    /// Answers `Expect: 100-continue` of a client that waits before it sends its body.
    async fn invite_body(&mut self, limits: &Limits, head: &mut RequestHead) -> io::Result<()> {
        if !std::mem::take(&mut head.expect_continue) || !self.buffer.is_empty() {
            return Ok(());
        }
        self.out.clear();
        self.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        self.write_out(limits).await
    }

    async fn write_out(&mut self, limits: &Limits) -> io::Result<()> {
        self.deadline.set_after(limits.body_stall_timeout);
        let (io, out) = (&mut self.io, &self.out);
        let write = async {
            io.write_all(out).await?;
            io.flush().await
        };
        let written = self.deadline.within(write).await;
        self.out.clear();
        written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> BodyReader for Wire<S> {
    async fn read(&mut self, limits: &Limits, head: &mut RequestHead) -> Result<Vec<u8>, Refusal> {
        if head.framing == Framing::None {
            return Ok(Vec::new());
        }
        if self.invite_body(limits, head).await.is_err() {
            return Err(Refusal::BodyTooSlow);
        }
        let (io, buffer, decoder) = (&mut self.io, &mut self.buffer, &mut self.decoder);
        let source = Http1Source { io, buffer, decoder };
        request_body::read(limits, head, source, &mut self.deadline).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    async fn run(&mut self) {
        loop {
            let next = match self.read_head().await {
                HeadRead::Ready => self.exchange().await,
                HeadRead::Closed => return,
                HeadRead::Refused(refusal) => {
                    self.head.clear();
                    self.head.keep_alive = false;
                    self.exchange.begin();
                    self.refuse(refusal).await
                }
            };
            match next {
                Next::Continue => self.release_storage(),
                Next::Close => return self.close().await,
                Next::Break => return,
            }
        }
    }

    /// Waits for a request and reads its head. An idle connection ends without an answer, one
    /// that has begun a request with 408.
    async fn read_head(&mut self) -> HeadRead {
        let limits = &self.core.limits;
        if self.wire.buffer.is_empty() {
            let idle = match self.served {
                0 => limits.request_head_timeout,
                _ => limits.connection_idle_timeout,
            };
            self.wire.deadline.set_after(idle);
            let fill = self.wire.buffer.fill(&mut self.wire.io, HEAD_READ);
            match self.drain.idle(&mut self.wire.deadline, fill).await {
                Ok(Ok(count)) if count > 0 => {}
                _ => return HeadRead::Closed,
            }
        }
        self.wire.deadline.set_after(limits.request_head_timeout);
        let maximum = limits.maximum_request_headers + limits.maximum_url + 64;
        loop {
            match self.scanner.find_end(self.wire.buffer.unread()) {
                Ok(Some(length)) if length <= maximum => return self.take_head(length),
                Ok(_) if self.wire.buffer.unread().len() > maximum => {
                    return HeadRead::Refused(Refusal::Head(HeadError::TooLarge));
                }
                Ok(_) => {}
                Err(error) => return HeadRead::Refused(Refusal::Head(error)),
            }
            let fill = self.wire.buffer.fill(&mut self.wire.io, HEAD_READ);
            match self.wire.deadline.within(fill).await {
                Ok(Ok(count)) if count > 0 => {}
                Ok(_) => return HeadRead::Closed,
                Err(_) => return HeadRead::Refused(Refusal::HeadTimeout),
            }
        }
    }

    fn take_head(&mut self, length: usize) -> HeadRead {
        let limits = &self.core.limits;
        self.wire.buffer.take_head(length, &mut self.head.bytes);
        self.scanner.reset();
        self.served += 1;
        let bounds = HeadBounds { url: limits.maximum_url, fields: limits.maximum_header_fields };
        if let Err(error) = parse::request(&mut self.head, length, bounds) {
            return HeadRead::Refused(Refusal::Head(error));
        }
        let request_line =
            self.head.fields.first().map_or(length, |field| field.name.start as usize);
        if length - request_line > limits.maximum_request_headers {
            return HeadRead::Refused(Refusal::Head(HeadError::TooLarge));
        }
        self.wire.decoder = BodyDecoder::new(self.head.framing);
        HeadRead::Ready
    }

    /// Answers one request.
    async fn exchange(&mut self) -> Next {
        self.exchange.begin();
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
        match &method.integration {
            CompiledIntegration::HttpProxy(http) => {
                let whole = body.is_some()
                    || request_body::is_needed(&self.head, &self.exchange, method, http);
                match whole {
                    true => self.buffered_proxy(method, http, body).await,
                    false => self.proxy(http).await,
                }
            }
            _ => match self.mapped(method, body).await {
                Ok(response) => self.respond(response).await,
                Err(refusal) => self.refuse(refusal).await,
            },
        }
    }

    /// Asks the method's plugins. Gives the body if one of them needed it.
    async fn consult(&mut self, first: FirstPlugin) -> Result<Option<Vec<u8>>, Refusal> {
        let Self { core, head, exchange, wire, .. } = self;
        phases::consult(core, first, head, exchange, wire).await
    }

    /// HTTP_PROXY: streams both ways.
    async fn proxy(&mut self, http: &HttpIntegration) -> Next {
        let coding = match request_body::coding(&self.head) {
            Ok(coding) => coding,
            Err(refusal) => return self.refuse(refusal).await,
        };
        let framing = self.head.framing;
        let transformation = transformation::of_request_body(&self.exchange);
        let changes = coding.is_some() || transformation.is_some();
        let here = match framing {
            Framing::None => Some(0),
            Framing::Length(length)
                if !changes && length <= self.wire.buffer.unread().len() as u64 =>
            {
                Some(length as usize)
            }
            _ => None,
        };
        let Some(length) = here else { return self.stream(http, coding, transformation).await };
        self.request.clear();
        let body = Body::Streamed(framing);
        let written = integration_request::proxy_head(
            &self.head,
            &self.exchange,
            http,
            body,
            b"",
            &mut self.request,
        );
        if let Err(refusal) = written {
            return self.refuse(refusal).await;
        }
        let head_length = self.request.len();
        self.request.extend_from_slice(&self.wire.buffer.unread()[..length]);
        self.wire.buffer.consume(length);
        self.wire.decoder = BodyDecoder::new(Framing::None);
        self.send_whole(http, head_length).await
    }

    /// HTTP_PROXY with something that reads or converts the body.
    async fn buffered_proxy(
        &mut self,
        method: &CompiledMethod,
        http: &HttpIntegration,
        body: Option<Vec<u8>>,
    ) -> Next {
        match self.buffered_request(method, http, body).await {
            Ok(head_length) => self.send_whole(http, head_length).await,
            Err(refusal) => self.refuse(refusal).await,
        }
    }

    /// Makes the request; gives the length of its head.
    async fn buffered_request(
        &mut self,
        method: &CompiledMethod,
        http: &HttpIntegration,
        body: Option<Vec<u8>>,
    ) -> Result<usize, Refusal> {
        let body = self.whole_body(body).await?;
        self.request.clear();
        let (exchange, request) = (&mut self.exchange, &mut self.request);
        request_body::proxy_request(&self.head, exchange, (method, http), &body, request)
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

    async fn send_whole(&mut self, http: &HttpIntegration, head_length: usize) -> Next {
        let core = self.core.clone();
        let upstream =
            integration_request::upstream(&core.upstreams, &self.head, &self.exchange, http);
        let (upstream, poolable) = match upstream {
            Ok(found) => found,
            Err(refusal) => return self.refuse(refusal).await,
        };
        let form = self.form();
        let mut sink = Http1Sink {
            io: &mut self.wire.io,
            out: &mut self.wire.out,
            form,
            chunked: false,
            drain: &self.drain,
        };
        let call = Call {
            core: &core,
            upstream: &upstream,
            poolable,
            timeout: http.timeout,
            method: self.request.split(|byte| *byte == b' ').next().unwrap_or_default(),
            compression: phases::response_compression(&self.head, &self.exchange),
        };
        let outcome = call
            .whole(
                &self.request,
                head_length,
                &mut self.exchange,
                &mut sink,
                &mut self.wire.deadline,
            )
            .await;
        let keep_alive = sink.form.keep_alive;
        self.conclude(outcome, keep_alive).await
    }

    async fn stream(
        &mut self,
        http: &HttpIntegration,
        coding: Option<Coding>,
        transformation: Option<Arc<Transformation>>,
    ) -> Next {
        let core = self.core.clone();
        // How long it gets without its coding, or transformed, nobody knows yet.
        let framing = match coding.is_some() || transformation.is_some() {
            true => Framing::Chunked,
            false => self.head.framing,
        };
        let mut request = Vec::new();
        let prepared = integration_request::proxy_head(
            &self.head,
            &self.exchange,
            http,
            Body::Streamed(framing),
            b"",
            &mut request,
        )
        .and_then(|()| {
            integration_request::upstream(&core.upstreams, &self.head, &self.exchange, http)
        });
        let (upstream, poolable) = match prepared {
            Ok(found) => found,
            Err(refusal) => return self.refuse(refusal).await,
        };
        if self.wire.invite_body(&core.limits, &mut self.head).await.is_err() {
            return self.break_off();
        }
        let form = self.form();
        let (read, write) = tokio::io::split(&mut self.wire.io);
        let source = Http1Source {
            io: read,
            buffer: &mut self.wire.buffer,
            decoder: &mut self.wire.decoder,
        };
        let source = Bounded::new(Decompressing::new(source, coding), &core.limits);
        let mut source = TransformedRequest::new(source, transformation);
        let mut sink = Http1Sink {
            io: write,
            out: &mut self.wire.out,
            form,
            chunked: false,
            drain: &self.drain,
        };
        let method = request.split(|byte| *byte == b' ').next().unwrap_or_default().to_vec();
        let call = Call {
            core: &core,
            upstream: &upstream,
            poolable,
            timeout: http.timeout,
            method: &method,
            compression: phases::response_compression(&self.head, &self.exchange),
        };
        let outcome = call
            .streamed(
                request,
                framing,
                &mut self.exchange,
                &mut source,
                &mut sink,
                &mut self.wire.deadline,
            )
            .await;
        let keep_alive = sink.form.keep_alive;
        self.conclude(outcome, keep_alive).await
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

    async fn conclude(&mut self, outcome: Outcome, keep_alive: bool) -> Next {
        match outcome {
            Outcome::Refused(refusal) => self.refuse(refusal).await,
            Outcome::Complete { request_read } => {
                self.core.record(&self.head, &mut self.exchange);
                if keep_alive && request_read { Next::Continue } else { Next::Close }
            }
            Outcome::Aborted(cause) => {
                tracing::debug!(
                    request_id = self.exchange.ids.request_id(), %cause, "response broke off"
                );
                self.break_off()
            }
        }
    }

    async fn refuse(&mut self, refusal: Refusal) -> Next {
        if refusal.closes() {
            self.head.keep_alive = false;
        }
        if let Some(reason) = refusal.metric() {
            self.core.metrics.request_refused(reason);
        }
        self.core.sources.refused(&self.exchange.client, &self.head, &refusal);
        if self.exchange.client.is_penalised() {
            self.head.keep_alive = false;
        }
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
    fn break_off(&mut self) -> Next {
        self.core.record(&self.head, &mut self.exchange);
        Next::Break
    }

    /// Writes a response of our own.
    async fn respond(&mut self, response: LocalResponse) -> Next {
        if !self.wire.decoder.is_done() && !self.can_discard_body() {
            self.head.keep_alive = false;
        }
        let form = self.form();
        self.wire.out.clear();
        write_local(&self.exchange, &response, form, &mut self.wire.out);
        self.exchange.status = response.status;
        if !form.to_head {
            self.exchange.response_length = response.body.len() as u64;
        }
        let written = self.wire.write_out(&self.core.limits).await;
        self.core.record(&self.head, &mut self.exchange);
        if written.is_err() {
            return Next::Break;
        }
        if form.keep_alive && self.discard_body().await { Next::Continue } else { Next::Close }
    }

    fn form(&self) -> ResponseForm {
        ResponseForm {
            version: self.head.version,
            to_head: self.head.method() == b"HEAD",
            keep_alive: self.head.keep_alive && !self.drain.is_draining(),
        }
    }

    /// Whether what is left of the request's body is worth reading away. A client that waits
    /// for `100 Continue` may or may not send it: nobody can tell what comes next.
    fn can_discard_body(&self) -> bool {
        !self.head.expect_continue
            && matches!(self.head.framing, Framing::Length(length) if length <= DISCARD)
    }

    async fn discard_body(&mut self) -> bool {
        let core = self.core.clone();
        self.wire.deadline.set_after(core.limits.body_stall_timeout);
        let (io, buffer, decoder) =
            (&mut self.wire.io, &mut self.wire.buffer, &mut self.wire.decoder);
        let mut source = Http1Source { io, buffer, decoder };
        let discard = async { while let Ok(Some(_)) = source.next().await {} };
        let in_time = self.wire.deadline.within(discard).await.is_ok();
        in_time && self.wire.decoder.is_done()
    }

    /// Ends the connection without losing the last answer: a close with unread input would
    /// send a reset that overtakes it.
    async fn close(&mut self) {
        self.wire.deadline.set_after(LINGER);
        let io = &mut self.wire.io;
        let linger = async {
            if io.shutdown().await.is_ok() {
                let mut scrap = [0; 4096];
                while io.read(&mut scrap).await.is_ok_and(|count| count > 0) {}
            }
        };
        // Whatever happens here, the connection is over.
        let _ = self.wire.deadline.within(linger).await;
    }

    /// Gives back what a large request took, so that idle connections are small.
    fn release_storage(&mut self) {
        self.wire.buffer.shrink();
        for storage in [&mut self.head.bytes, &mut self.wire.out, &mut self.request] {
            if storage.capacity() > IDLE_CAPACITY {
                *storage = Vec::new();
            }
        }
    }
}
