//! The text that is signed.

use std::borrow::Cow;

use super::{ALGORITHM, PayloadHash, RequestParts, Scope, TERMINATOR, hex, sha256};

/// The canonical request. `names` are in lower case and order. A presigned request's signature
/// isn't part of what it signs.
pub(super) fn request(
    request: &RequestParts<'_>,
    names: &[String],
    payload: PayloadHash,
    is_presigned: bool,
) -> Vec<u8> {
    let mut text = Vec::with_capacity(512);
    text.extend_from_slice(request.method.as_bytes());
    text.push(b'\n');
    path(request.path, &mut text);
    text.push(b'\n');
    query(request.query, is_presigned, &mut text);
    text.push(b'\n');
    for name in names {
        header(request, name, &mut text);
    }
    text.push(b'\n');
    text.extend_from_slice(names.join(";").as_bytes());
    text.push(b'\n');
    text.extend_from_slice(payload.text().as_bytes());
    text
}

/// `date` is that of `X-Amz-Date`.
pub(super) fn string_to_sign(canonical_request: &[u8], date: &str, scope: Scope<'_>) -> String {
    let day = date.split('T').next().unwrap_or_default();
    let hash = hex(&sha256(canonical_request));
    let Scope { region, service } = scope;
    format!("{ALGORITHM}\n{date}\n{day}/{region}/{service}/{TERMINATOR}\n{hash}")
}

/// Without empty, `.` and `..` segments, each segment encoded once more, as all services but S3
/// want it.
fn path(path: &str, text: &mut Vec<u8>) {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    for segment in &segments {
        text.push(b'/');
        encode(segment.as_bytes(), text);
    }
    if segments.is_empty() || path.ends_with('/') {
        text.push(b'/');
    }
}

/// Names and values decoded and encoded anew, in order.
fn query(query: &str, is_presigned: bool, text: &mut Vec<u8>) {
    let encoded = |part: &str| {
        let mut text = Vec::with_capacity(part.len());
        encode(&decode_bytes(part), &mut text);
        text
    };
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = query_pairs(query)
        .map(|(name, value)| (encoded(name), encoded(value)))
        .filter(|(name, _)| !is_presigned || name != b"X-Amz-Signature")
        .collect();
    pairs.sort_unstable();
    for (at, (name, value)) in pairs.iter().enumerate() {
        if at > 0 {
            text.push(b'&');
        }
        text.extend_from_slice(name);
        text.push(b'=');
        text.extend_from_slice(value);
    }
}

/// `name:value,value\n`, values without space around them and runs of space as one.
fn header(request: &RequestParts<'_>, name: &str, text: &mut Vec<u8>) {
    text.extend_from_slice(name.as_bytes());
    text.push(b':');
    let values = (0..).map_while(|at| request.headers.value(name, at));
    for (at, value) in values.enumerate() {
        if at > 0 {
            text.push(b',');
        }
        let words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        for (at, word) in words.enumerate() {
            if at > 0 {
                text.push(b' ');
            }
            text.extend_from_slice(word);
        }
    }
    text.push(b'\n');
}

/// Names and values of a query, as they were sent.
pub(super) fn query_pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// A name or value of a query.
pub(super) fn decode(text: &str) -> Cow<'_, str> {
    match decode_bytes(text) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
    }
}

/// `+` is a space, as in a form: botocore signs `%20` and sends `+`. `%` without two digits stands
/// for itself.
fn decode_bytes(text: &str) -> Cow<'_, [u8]> {
    let bytes = text.as_bytes();
    if memchr::memchr2(b'%', b'+', bytes).is_none() {
        return bytes.into();
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
        let (byte, length) = match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => ((high * 16 + low) as u8, 3),
            (b'+', ..) => (b' ', 1),
            (byte, ..) => (byte, 1),
        };
        decoded.push(byte);
        at += length;
    }
    decoded.into()
}

fn encode(bytes: &[u8], text: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            text.push(byte);
        } else {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            text.extend_from_slice(&[b'%', DIGITS[high], DIGITS[low]]);
        }
    }
}
