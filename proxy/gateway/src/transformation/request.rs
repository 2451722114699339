//! A streamed request body on its way through the transformers.

use std::sync::Arc;

use tollgate_plugin_host::{Http, Transformation, Verdict};

use super::{Side, heads, settle};
use crate::http1::body::{BodyError, Piece, Trailers};
use crate::proxy::Source;
use crate::refusal::Refusal;

/// A source whose pieces go through the transformers. Those that give nothing for a piece still
/// show that the client sends: an empty piece comes out.
pub struct TransformedRequest<S> {
    source: S,
    transformation: Option<Arc<Transformation>>,
    piece: Vec<u8>,
    trailers: Option<Box<Trailers>>,
    ended: bool,
}

impl<S: Source> TransformedRequest<S> {
    /// Without a transformation the source passes as it is.
    pub fn new(source: S, transformation: Option<Arc<Transformation>>) -> Self {
        Self { source, transformation, piece: Vec::new(), trailers: None, ended: false }
    }

    /// Takes the next piece and leaves what comes of it in `self.piece`.
    async fn transform(&mut self, transformation: &Transformation) -> Result<(), BodyError> {
        self.piece.clear();
        self.ended = match self.source.next().await? {
            Some(piece) => {
                self.piece.extend_from_slice(piece.data);
                piece.last
            }
            None => true,
        };
        transformation.http().state.lock().request_size += self.piece.len() as u64;
        let verdict = transformation.request_body(&mut self.piece, self.ended).await;
        settle(verdict, Side::Request).map_err(refused)?;
        if self.ended
            && let Some(trailers) = self.source.take_trailers()
        {
            self.trailers = Some(request_trailers(transformation, trailers).await?);
        }
        Ok(())
    }
}

async fn request_trailers(
    transformation: &Transformation,
    trailers: Box<Trailers>,
) -> Result<Box<Trailers>, BodyError> {
    let http: &Http = transformation.http();
    heads::read_trailers(&trailers, &mut http.state.lock().request_trailers);
    let verdict: Result<Verdict, _> = transformation.request_trailers().await;
    settle(verdict, Side::Request).map_err(refused)?;
    let state = http.state.lock();
    Ok(match state.request_trailers.is_modified() {
        true => Box::new(heads::write_trailers(&state.request_trailers)),
        false => trailers,
    })
}

fn refused(refusal: Refusal) -> BodyError {
    BodyError::Refused(Box::new(refusal))
}

impl<S: Source> Source for TransformedRequest<S> {
    async fn next(&mut self) -> Result<Option<Piece<'_>>, BodyError> {
        let Some(transformation) = self.transformation.clone() else {
            return self.source.next().await;
        };
        if self.ended {
            return Ok(None);
        }
        // Apart, so that bodies without transformers don't carry its state.
        Box::pin(self.transform(&transformation)).await?;
        Ok(Some(Piece { data: &self.piece, last: false }))
    }

    fn take_trailers(&mut self) -> Option<Box<Trailers>> {
        match self.transformation {
            Some(_) => self.trailers.take(),
            None => self.source.take_trailers(),
        }
    }
}
