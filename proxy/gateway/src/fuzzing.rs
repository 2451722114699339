//! Entry points for the fuzz targets in `fuzz/`: they take any bytes and must not panic.

use crate::head::{Framing, RequestHead, ResponseHead};
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
