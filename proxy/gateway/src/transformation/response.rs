//! A passed-through response on its way through the transformers, to the compressor.

use std::sync::Arc;

use tollgate_plugin_host::{BodyNeed, Changes, Transformation};

use super::{Side, heads, is_small, response_status, settle};
use crate::compression::{Compressing, ResponseCompression};
use crate::exchange::Exchange;
use crate::head::{Framing, Known, ResponseHead};
use crate::http1::body::{Piece, Trailers};
use crate::proxy::{Sink, SinkError};
use crate::refusal::Refusal;

/// Why a response could not be handed over.
#[derive(Debug)]
pub enum Failed {
    Client(SinkError),
    /// A transformer failed, or has another answer.
    Refused(Refusal),
}

impl From<SinkError> for Failed {
    fn from(error: SinkError) -> Self {
        Self::Client(error)
    }
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A sink in front of the compressor. Without transformers everything passes.
pub struct TransformedResponse<'s, S> {
    sink: Compressing<'s, S>,
    compression: Option<ResponseCompression>,
    body: Body,
    trailers: Option<Trailers>,
    /// The transformers know that the body has ended.
    ended: bool,
    /// The client gets no body, and how long it would be only the body could tell.
    hides_length: bool,
}

/// What becomes of the body.
enum Body {
    Passes,
    /// The status that transformers gave the response has none.
    Dropped,
    /// Each piece goes through the transformers on its way.
    Streamed {
        transformation: Arc<Transformation>,
        piece: Vec<u8>,
    },
    /// It is held back, with the head, until transformers had it whole.
    Held {
        transformation: Arc<Transformation>,
        held: Vec<u8>,
    },
}

impl<'s, S: Sink> TransformedResponse<'s, S> {
    pub fn new(sink: Compressing<'s, S>, compression: Option<ResponseCompression>) -> Self {
        Self {
            sink,
            compression,
            body: Body::Passes,
            trailers: None,
            ended: false,
            hides_length: false,
        }
    }

    /// Takes the head of a response and rewrites it as transformers want it. `exchange` and
    /// `head` have to be the same in all calls.
    pub async fn begin(
        &mut self,
        exchange: &mut Exchange,
        head: &mut ResponseHead,
    ) -> Result<(), Failed> {
        if exchange.transformation.is_some() {
            return self.begin_transformed(exchange, head).await;
        }
        Ok(self.sink.begin(self.compression, exchange, head).await?)
    }

    async fn begin_transformed(
        &mut self,
        exchange: &mut Exchange,
        head: &mut ResponseHead,
    ) -> Result<(), Failed> {
        let Some(transforming) = &exchange.transformation else { return Ok(()) };
        let (transformation, to_head) = (transforming.transformation.clone(), transforming.to_head);
        let http = transformation.http();
        heads::read_response(head, &mut http.state.lock().response_headers);
        let bodiless = to_head || matches!(head.status, 204 | 304);
        let empty = bodiless || head.framing == Framing::None;
        settle(transformation.response_headers(empty).await, Side::Response)?;
        let need = match bodiless {
            true => BodyNeed::None,
            false => transformation.response_body_need(),
        };
        if to_head && transformation.response_body_need() != BodyNeed::None {
            self.hides_length = true;
            head.framing = Framing::None;
        }
        // A body for an empty response is known when the transformers have seen that it is.
        self.body = match need {
            BodyNeed::None => Body::Passes,
            BodyNeed::Streamed if !empty && !is_small(head.framing) => {
                Body::Streamed { transformation, piece: Vec::new() }
            }
            BodyNeed::Streamed | BodyNeed::Whole => {
                self.body = Body::Held { transformation, held: Vec::new() };
                return Ok(());
            }
        };
        if need != BodyNeed::None && matches!(head.framing, Framing::Length(_)) {
            head.framing = Framing::Chunked;
        }
        self.send_head(exchange, head).await
    }

    /// Sends the head as transformers left it.
    async fn send_head(
        &mut self,
        exchange: &mut Exchange,
        head: &mut ResponseHead,
    ) -> Result<(), Failed> {
        if let Some(transforming) = &exchange.transformation {
            let mut state = transforming.transformation.http().state.lock();
            if state.response_headers.changes() == Changes::Any {
                head.status = response_status(&state.response_headers)?;
            }
            heads::write_response(head, &state.response_headers);
            state.response_sent = true;
        }
        if self.hides_length {
            head.fields.retain(|field| field.known != Known::ContentLength);
        }
        exchange.status = head.status;
        if matches!(head.status, 204 | 304) && head.framing != Framing::None {
            head.framing = Framing::None;
            self.body = Body::Dropped;
        }
        Ok(self.sink.begin(self.compression, exchange, head).await?)
    }

    /// Takes a piece.
    pub async fn data(
        &mut self,
        exchange: &Exchange,
        head: &mut ResponseHead,
        piece: Piece<'_>,
    ) -> Result<(), Failed> {
        match &mut self.body {
            Body::Passes => Ok(self.sink.data(exchange, head, piece).await?),
            Body::Dropped => Ok(()),
            Body::Held { held, transformation } => {
                transformation.http().state.lock().response_size += piece.data.len() as u64;
                held.extend_from_slice(piece.data);
                Ok(())
            }
            Body::Streamed { transformation, piece: taken } => {
                transformation.http().state.lock().response_size += piece.data.len() as u64;
                taken.clear();
                taken.extend_from_slice(piece.data);
                Box::pin(self.transform(exchange, head, piece.last)).await
            }
        }
    }

    /// Sends what comes of the piece that was taken.
    async fn transform(
        &mut self,
        exchange: &Exchange,
        head: &mut ResponseHead,
        last: bool,
    ) -> Result<(), Failed> {
        let Body::Streamed { transformation, piece } = &mut self.body else { return Ok(()) };
        settle(transformation.response_body(piece, last).await, Side::Response)?;
        self.ended |= last;
        if piece.is_empty() {
            return Ok(());
        }
        Ok(self.sink.data(exchange, head, Piece { data: piece, last: false }).await?)
    }

    /// Sends what there is, unless the response is still held back.
    pub async fn flush(&mut self) -> Result<(), Failed> {
        match self.body {
            Body::Held { .. } => Ok(()),
            _ => Ok(self.sink.flush().await?),
        }
    }

    /// Ends the response.
    pub async fn finish(
        &mut self,
        exchange: &mut Exchange,
        head: &mut ResponseHead,
        trailers: Option<&Trailers>,
    ) -> Result<(), Failed> {
        let is_over = matches!(self.body, Body::Passes) && trailers.is_none();
        if exchange.transformation.is_some() && !is_over {
            return self.finish_transformed(exchange, head, trailers).await;
        }
        Ok(self.sink.finish(exchange, head, trailers).await?)
    }

    async fn finish_transformed(
        &mut self,
        exchange: &mut Exchange,
        head: &mut ResponseHead,
        trailers: Option<&Trailers>,
    ) -> Result<(), Failed> {
        match &mut self.body {
            Body::Streamed { piece, .. } if !self.ended => {
                piece.clear();
                self.transform(exchange, head, true).await?;
                self.transform_trailers(exchange, trailers).await?;
            }
            Body::Held { transformation, held } => {
                let mut body = std::mem::take(held);
                let transformation = transformation.clone();
                let verdict = transformation.response_body(&mut body, true).await;
                settle(verdict, Side::Response)?;
                self.transform_trailers(exchange, trailers).await?;
                self.body = Body::Passes;
                head.framing = match trailers {
                    Some(_) => Framing::Chunked,
                    None if body.is_empty() && head.framing == Framing::None => Framing::None,
                    None => Framing::Length(body.len() as u64),
                };
                self.send_head(exchange, head).await?;
                if matches!(self.body, Body::Passes) && !body.is_empty() {
                    let last = trailers.is_none();
                    self.sink.data(exchange, head, Piece { data: &body, last }).await?;
                }
            }
            Body::Passes | Body::Streamed { .. } => {
                self.transform_trailers(exchange, trailers).await?;
            }
            Body::Dropped => {}
        }
        let trailers = self.trailers.as_ref().or(trailers);
        Ok(self.sink.finish(exchange, head, trailers).await?)
    }

    async fn transform_trailers(
        &mut self,
        exchange: &Exchange,
        trailers: Option<&Trailers>,
    ) -> Result<(), Failed> {
        let (Some(transforming), Some(trailers)) = (&exchange.transformation, trailers) else {
            return Ok(());
        };
        let http = transforming.transformation.http();
        heads::read_trailers(trailers, &mut http.state.lock().response_trailers);
        let verdict = transforming.transformation.response_trailers().await;
        settle(verdict, Side::Response)?;
        let state = http.state.lock();
        if state.response_trailers.is_modified() {
            self.trailers = Some(heads::write_trailers(&state.response_trailers));
        }
        Ok(())
    }

    /// Body bytes given to the sink, as the client gets them.
    pub fn sent(&self) -> u64 {
        self.sink.sent()
    }
}
