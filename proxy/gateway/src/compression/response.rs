//! Bodies of responses.

use std::io;

use super::encode::Encoder;
use super::negotiate::response_coding;
use super::{Coding, TURN};
use crate::exchange::Exchange;
use crate::head::{Field, Framing, Known, RequestHead, ResponseHead, Span};
use crate::http1::body::{Piece, Trailers};
use crate::proxy::{Sink, SinkError};
use crate::respond::LocalResponse;

/// What a response of this exchange is compressed with, if it is long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseCompression {
    coding: Coding,
    /// In bytes, at least 1: nothing is gained on an empty body.
    minimum: usize,
}

impl ResponseCompression {
    /// `minimum` is the API's `minimumCompressionSize` in bytes; `None` is off.
    pub fn of(minimum: Option<u32>, head: &RequestHead) -> Option<Self> {
        let minimum = usize::try_from(minimum?).unwrap_or(usize::MAX).max(1);
        // What answers HEAD has no body, and its length is that of the plain one.
        if head.method() == b"HEAD" {
            return None;
        }
        Some(Self { coding: response_coding(head)?, minimum })
    }

    /// Compresses a whole response if it is one to be compressed. Dropped at an await, it leaves
    /// the response as it was.
    ///
    /// For responses of integrations only, after their templates; see the module's
    /// documentation.
    pub async fn compress(self, response: &mut LocalResponse) {
        if response.body.len() < self.minimum || !may_compress_local(response) {
            return;
        }
        match self.encode_whole(&response.body).await {
            Ok(body) => {
                response.body = body;
                response.header("Content-Encoding", self.coding.name().as_bytes());
            }
            // Can only be a mistake in the compressor; the plain response is as good.
            Err(error) => tracing::error!(%error, "response not compressed"),
        }
    }

    async fn encode_whole(self, body: &[u8]) -> io::Result<Vec<u8>> {
        let mut encoder = Encoder::new(self.coding);
        let mut out = Vec::with_capacity(body.len() / 4);
        for (turn, piece) in body.chunks(TURN).enumerate() {
            if turn > 0 {
                tokio::task::yield_now().await;
            }
            encoder.write(piece, &mut out)?;
        }
        encoder.finish(&mut out)?;
        Ok(out)
    }
}

fn may_compress_local(response: &LocalResponse) -> bool {
    let fields = response.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()));
    may_compress(response.status, fields)
}

fn may_compress_passed(head: &ResponseHead) -> bool {
    may_compress(head.status, head.fields.iter().map(|field| (head.name(field), head.value(field))))
}

fn may_compress<'f>(status: u16, mut fields: impl Iterator<Item = (&'f [u8], &'f [u8])>) -> bool {
    let forbids = |(name, value): (&[u8], &[u8])| {
        name.eq_ignore_ascii_case(b"content-encoding")
            || name.eq_ignore_ascii_case(b"content-range")
            || name.eq_ignore_ascii_case(b"cache-control") && has_item(value, b"no-transform")
            || name.eq_ignore_ascii_case(b"content-type") && is_event_stream(value)
    };
    !matches!(status, 100..=199 | 204 | 206 | 304) && !fields.any(forbids)
}

fn has_item(list: &[u8], wanted: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(wanted))
}

fn is_event_stream(content_type: &[u8]) -> bool {
    let media_type = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    media_type.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}

/// A sink that compresses a backend's response while it streams.
///
/// A response that does not say its length is held back, head and all, until the minimum is
/// reached or it ends; AWS holds all responses until they end. No more than the minimum and one
/// piece is kept. From then on bytes come out when the compressor has some, and all of them at
/// each flush, so that a backend that pauses does not leave the client waiting.
pub struct Compressing<'s, S> {
    sink: &'s mut S,
    /// Set before the first byte may go to the client.
    begun: &'s mut bool,
    plan: Plan,
    /// Coded bytes on their way to the sink.
    out: Vec<u8>,
    sent: u64,
}

enum Plan {
    Pass,
    /// Holds back a response whose length is unknown.
    Measure {
        compression: ResponseCompression,
        held: Vec<u8>,
    },
    Compress(Encoder),
}

impl<'s, S: Sink> Compressing<'s, S> {
    pub fn new(sink: &'s mut S, begun: &'s mut bool) -> Self {
        Self { sink, begun, plan: Plan::Pass, out: Vec::new(), sent: 0 }
    }

    /// Takes the head of a response and rewrites it if the body will be compressed.
    pub async fn begin(
        &mut self,
        compression: Option<ResponseCompression>,
        exchange: &Exchange,
        head: &mut ResponseHead,
    ) -> Result<(), SinkError> {
        if let Some(compression) = compression
            && may_compress_passed(head)
        {
            let minimum = compression.minimum as u64;
            match head.framing {
                Framing::Length(length) if length >= minimum => {
                    return self.begin_compressed(compression, exchange, head).await;
                }
                Framing::Chunked | Framing::UntilClose => {
                    self.plan = Plan::Measure { compression, held: Vec::new() };
                    return Ok(());
                }
                Framing::Length(_) | Framing::None => {}
            }
        }
        self.begin_sink(exchange, head).await
    }

    /// Takes a piece; `exchange` and `head` are those that were given to [`Self::begin`].
    pub async fn data(
        &mut self,
        exchange: &Exchange,
        head: &mut ResponseHead,
        piece: Piece<'_>,
    ) -> Result<(), SinkError> {
        match &mut self.plan {
            Plan::Pass => self.pass(piece).await,
            Plan::Compress(_) => self.encode(piece.data).await,
            Plan::Measure { compression, held } => {
                held.extend_from_slice(piece.data);
                if held.len() < compression.minimum {
                    return Ok(());
                }
                let (compression, held) = (*compression, std::mem::take(held));
                self.begin_compressed(compression, exchange, head).await?;
                self.encode(&held).await
            }
        }
    }

    /// Sends what there is, unless the response is still held back.
    pub async fn flush(&mut self) -> Result<(), SinkError> {
        match &mut self.plan {
            Plan::Measure { .. } => return Ok(()),
            Plan::Compress(encoder) => encoder.flush(&mut self.out)?,
            Plan::Pass => {}
        }
        self.send_out(false).await?;
        self.sink.flush().await
    }

    /// Ends the response.
    pub async fn finish(
        &mut self,
        exchange: &Exchange,
        head: &ResponseHead,
        trailers: Option<&Trailers>,
    ) -> Result<(), SinkError> {
        match &mut self.plan {
            Plan::Pass => {}
            Plan::Compress(encoder) => {
                encoder.finish(&mut self.out)?;
                self.send_out(trailers.is_none()).await?;
            }
            Plan::Measure { held, .. } => {
                let held = std::mem::take(held);
                self.plan = Plan::Pass;
                self.begin_sink(exchange, head).await?;
                self.pass(Piece { data: &held, last: trailers.is_none() }).await?;
            }
        }
        self.sink.finish(trailers).await
    }

    /// Body bytes given to the sink, as the client gets them.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    async fn begin_sink(
        &mut self,
        exchange: &Exchange,
        head: &ResponseHead,
    ) -> Result<(), SinkError> {
        *self.begun = true;
        self.sink.begin(exchange, head).await
    }

    async fn begin_compressed(
        &mut self,
        compression: ResponseCompression,
        exchange: &Exchange,
        head: &mut ResponseHead,
    ) -> Result<(), SinkError> {
        self.plan = Plan::Compress(Encoder::new(compression.coding));
        add_field(head, Known::ContentEncoding, "Content-Encoding", compression.coding.name());
        // Nobody knows yet how long it gets.
        head.framing = Framing::Chunked;
        self.begin_sink(exchange, head).await
    }

    async fn pass(&mut self, piece: Piece<'_>) -> Result<(), SinkError> {
        self.sent += piece.data.len() as u64;
        self.sink.data(piece).await
    }

    async fn encode(&mut self, data: &[u8]) -> Result<(), SinkError> {
        // What was held back may be long.
        for (turn, piece) in data.chunks(TURN).enumerate() {
            if turn > 0 {
                tokio::task::yield_now().await;
            }
            let Plan::Compress(encoder) = &mut self.plan else { return Ok(()) };
            encoder.write(piece, &mut self.out)?;
            self.send_out(false).await?;
        }
        Ok(())
    }

    async fn send_out(&mut self, last: bool) -> Result<(), SinkError> {
        if self.out.is_empty() {
            return Ok(());
        }
        self.sent += self.out.len() as u64;
        let sent = self.sink.data(Piece { data: &self.out, last }).await;
        self.out.clear();
        sent
    }
}

fn add_field(head: &mut ResponseHead, known: Known, name: &str, value: &str) {
    let mut add = |text: &str| {
        let start = head.bytes.len();
        head.bytes.extend_from_slice(text.as_bytes());
        Span::new(start..head.bytes.len())
    };
    let field = Field { name: add(name), value: add(value), known };
    head.fields.push(field);
}
