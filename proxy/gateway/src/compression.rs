//! Payload compression (rest-api §8,
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-gzip-compression-decompression.html>).
//!
//! ```text
//!  client ── Content-Encoding ──▶ [decode] ─ Decompressing │ request_body ──▶ integration
//!  client ◀─ Accept-Encoding ─── [encode] ─ Compressing │ ResponseCompression ◀── integration
//!                    [negotiate] reads both headers
//! ```
//!
//! Requests: AWS decodes `gzip` and `deflate` for every API, whether `minimumCompressionSize` is
//! set or not, before it validates and before a template sees the body. A coding it does not
//! know, several codings, and a body that is not what its header says get 415
//! (`UNSUPPORTED_MEDIA_TYPE`). The payload quota counts decoded bytes too: a body that unfolds
//! beyond it gets 413 as soon as it does, before the rest is unfolded.
//!
//! Responses: compressed if the API has a `minimumCompressionSize`, the client names a coding we
//! know as the one it wants most, the integration response has no `Content-Encoding`, and the
//! payload is at least that long after its template. AWS says so of integration responses only:
//! gateway responses go out plain. Left plain as well: answers to HEAD, 204, 206 and 304 and
//! whatever has a `Content-Range` (their bytes are of another representation), `Cache-Control:
//! no-transform` (RFC 9111 §5.2.2.6), and event streams, which must not wait for a compressor.
//! As on AWS there is no `Vary`, and an `ETag` stays as it is.

mod negotiate;
mod decode;
mod encode;
mod request;
mod response;
#[cfg(test)]
mod tests;

pub use negotiate::request_coding;
pub use request::{Decompressing, is_undecodable, request_body};
pub use response::{Compressing, ResponseCompression};

/// A content coding (RFC 9110 §8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// `gzip`, `x-gzip`
    Gzip,
    /// `deflate`: the zlib format. Bare deflate is read too, for some clients send it.
    Deflate,
}

impl Coding {
    /// As `Content-Encoding` names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    fn of(name: &[u8]) -> Option<Self> {
        if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") {
            Some(Self::Gzip)
        } else if name.eq_ignore_ascii_case(b"deflate") {
            Some(Self::Deflate)
        } else {
            None
        }
    }
}

/// How many bytes of a whole body are coded at once. A body of 10 MB takes a worker tens of
/// milliseconds: other requests get their turn in between.
const TURN: usize = 256 * 1024;
