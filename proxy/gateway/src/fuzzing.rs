//! Entry points for the fuzz targets in `fuzz/`: they take any bytes and must not panic.

use crate::compression;
use crate::head::{Field, Framing, Known, RequestHead, ResponseHead, Span};
use crate::http1::body::{BodyDecoder, ReadBuffer};
use crate::http1::parse::{self, HeadBounds, HeadScanner};

/// Reads a request head; what is accepted keeps the promises later phases rely on.
pub fn request_head(bytes: &[u8]) {
    let Ok(Some(length)) = HeadScanner::default().find_end(bytes) else { return };
    let mut head = RequestHead { bytes: bytes[..length].to_vec(), ..RequestHead::default() };
    let bounds = HeadBounds { url: 10_240, fields: 200 };
    if parse::request(&mut head, length, bounds).is_err() {
        return;
    }
    assert!(head.path().starts_with(b"/"), "a path begins with a slash");
    assert!(head.method().iter().all(|byte| parse::is_token(*byte)), "a method is a token");
    for field in &head.fields {
        assert!(head.name(field).iter().all(|byte| parse::is_token(*byte)), "a name is a token");
        assert!(
            head.value(field).iter().all(|byte| parse::is_field_value(*byte)),
            "a value can't end its line"
        );
    }
}

/// Reads a response head of an upstream.
pub fn response_head(bytes: &[u8]) {
    let Ok(Some(length)) = HeadScanner::default().find_end(bytes) else { return };
    let mut head = ResponseHead { bytes: bytes[..length].to_vec(), ..ResponseHead::default() };
    let _ = parse::response(&mut head, length, 200, bytes.len().is_multiple_of(2));
}

/// Decodes a chunked body.
pub fn chunked_body(mut bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let Ok(runtime) = runtime else { return };
    let total = bytes.len();
    runtime.block_on(async {
        let mut decoder = BodyDecoder::new(Framing::Chunked);
        let mut buffer = ReadBuffer::default();
        let mut decoded = 0;
        while let Ok(Some(piece)) = decoder.next(&mut bytes, &mut buffer).await {
            decoded += piece.data.len();
        }
        assert!(decoded <= total, "no byte is made up");
    });
}

/// Decodes a compressed request body, whose coding the first byte chooses.
pub fn content_coding(bytes: &[u8]) {
    const MAXIMUM: u64 = 1024 * 1024;
    let Some((first, body)) = bytes.split_first() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let Ok(runtime) = runtime else { return };
    let value: &[u8] = if first.is_multiple_of(2) { b"gzip" } else { b"deflate" };
    let mut head = RequestHead { bytes: value.to_vec(), ..RequestHead::default() };
    let value = Span::new(0..value.len());
    head.fields.push(Field { name: value, value, known: Known::ContentEncoding });
    let decoded = runtime.block_on(compression::request_body(&head, body.to_vec(), MAXIMUM));
    assert!(decoded.map_or(0, |body| body.len()) as u64 <= MAXIMUM, "the quota bounds a body");
}
