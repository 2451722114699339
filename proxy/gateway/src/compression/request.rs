//! Bodies of requests.

use std::io;

use tollgate_model::api::GatewayResponseType;

use super::decode::{DecodeError, Decoder};
use super::negotiate::{UnsupportedCoding, request_coding};
use super::{Coding, TURN};
use crate::head::RequestHead;
use crate::http1::body::{BodyError, Piece, Trailers};
use crate::proxy::Source;
use crate::refusal::Refusal;

impl From<UnsupportedCoding> for Refusal {
    fn from(error: UnsupportedCoding) -> Self {
        Self::caused(GatewayResponseType::UnsupportedMediaType, error.to_string())
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        Self::caused(GatewayResponseType::UnsupportedMediaType, error.to_string())
    }
}

/// A streamed body fails with what it fails with: [`is_undecodable`] tells.
impl From<DecodeError> for BodyError {
    fn from(error: DecodeError) -> Self {
        Self::Io(io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

/// Whether a body could be read, but is not what its `Content-Encoding` says: the refusal for
/// it.
pub fn is_undecodable(error: &BodyError) -> Option<DecodeError> {
    let BodyError::Io(error) = error else { return None };
    error.get_ref()?.downcast_ref().copied()
}

/// A whole request body without its content coding. `maximum` bounds the decoded bytes.
pub async fn request_body(
    head: &RequestHead,
    body: Vec<u8>,
    maximum: u64,
) -> Result<Vec<u8>, Refusal> {
    match request_coding(head)? {
        Some(coding) => decode_whole(coding, &body, maximum).await,
        None => Ok(body),
    }
}

/// Dropped at any await, it leaves nothing behind.
pub(super) async fn decode_whole(
    coding: Coding,
    mut input: &[u8],
    maximum: u64,
) -> Result<Vec<u8>, Refusal> {
    let mut decoder = Decoder::new(coding);
    // A step fills what room there is, so the body grows apart from it.
    let mut piece = Vec::new();
    let mut out = Vec::new();
    let mut turn = TURN;
    loop {
        piece.clear();
        let step = decoder.step(input, &mut piece)?;
        out.extend_from_slice(&piece);
        if out.len() as u64 > maximum {
            return Err(Refusal::PayloadTooLarge { maximum });
        }
        input = input.get(step.consumed..).unwrap_or_default();
        if input.is_empty() && !step.more {
            decoder.finish()?;
            return Ok(out);
        }
        if out.len() >= turn {
            turn = out.len().saturating_add(TURN);
            tokio::task::yield_now().await;
        }
    }
}

/// A request body that is decoded while it streams. Who reads it counts decoded bytes against
/// the payload quota: nothing here keeps more than one piece and what one step makes of it.
pub struct Decompressing<S> {
    source: S,
    decoder: Option<Decoder>,
    /// The piece that is being decoded, and how much of it was.
    input: Vec<u8>,
    used: usize,
    out: Vec<u8>,
}

impl<S: Source> Decompressing<S> {
    /// Without a coding the source passes as it is.
    pub fn new(source: S, coding: Option<Coding>) -> Self {
        Self {
            source,
            decoder: coding.map(Decoder::new),
            input: Vec::new(),
            used: 0,
            out: Vec::new(),
        }
    }
}

impl<S: Source> Source for Decompressing<S> {
    async fn next(&mut self) -> Result<Option<Piece<'_>>, BodyError> {
        let Some(decoder) = &mut self.decoder else { return self.source.next().await };
        self.out.clear();
        loop {
            let step =
                decoder.step(self.input.get(self.used..).unwrap_or_default(), &mut self.out)?;
            self.used += step.consumed;
            if !self.out.is_empty() {
                return Ok(Some(Piece { data: &self.out, last: false }));
            }
            let Some(piece) = self.source.next().await? else {
                decoder.finish()?;
                return Ok(None);
            };
            self.used = 0;
            self.input.clear();
            self.input.extend_from_slice(piece.data);
        }
    }

    fn take_trailers(&mut self) -> Option<Box<Trailers>> {
        self.source.take_trailers()
    }
}
