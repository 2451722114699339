//! `Content-Encoding` of a request and `Accept-Encoding` of its client.

use super::Coding;
use crate::head::{Known, RequestHead};

/// A `Content-Encoding` that isn't decoded here: 415.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request has a content coding other than one of gzip, deflate and identity")]
pub struct UnsupportedCoding;

/// How a request's body is coded; `None` is not at all.
pub fn request_coding(head: &RequestHead) -> Result<Option<Coding>, UnsupportedCoding> {
    let fields = head.fields.iter().filter(|field| field.known == Known::ContentEncoding);
    content_coding(fields.map(|field| head.value(field)))
}

/// The only coding of a list; `identity` is none.
pub(super) fn content_coding<'v>(
    values: impl Iterator<Item = &'v [u8]>,
) -> Result<Option<Coding>, UnsupportedCoding> {
    let mut coding = None;
    for name in items(values) {
        if name.eq_ignore_ascii_case(b"identity") {
            continue;
        }
        // A body coded twice is what bombs are made of, and nothing AWS documents.
        if coding.is_some() {
            return Err(UnsupportedCoding);
        }
        coding = Some(Coding::of(name).ok_or(UnsupportedCoding)?);
    }
    Ok(coding)
}

/// What a client wants a response to be coded with.
pub(super) fn response_coding(head: &RequestHead) -> Option<Coding> {
    let fields = head
        .fields
        .iter()
        .filter(|field| head.name(field).eq_ignore_ascii_case(b"accept-encoding"));
    accepted_coding(fields.map(|field| head.value(field)))
}

/// Chooses by weight (RFC 9110 §12.5.3), gzip before deflate, either before identity.
///
/// As AWS says, the coding with the highest weight has to be one it knows, or the response stays
/// plain, though it may come first along with others (`gzip, deflate, br`). `*` names no coding
/// and chooses none, unless the client refuses `identity`.
pub(super) fn accepted_coding<'v>(values: impl Iterator<Item = &'v [u8]>) -> Option<Coding> {
    let accepted = Accepted::read(values);
    let gzip = accepted.gzip.unwrap_or(0);
    let deflate = accepted.deflate.unwrap_or(0);
    let plain = [accepted.identity, accepted.any, accepted.other].into_iter().flatten().max();
    let refuses_plain = match accepted.identity {
        Some(weight) => weight == 0,
        None => accepted.any == Some(0),
    };
    if gzip.max(deflate) == 0 {
        // `identity;q=0, *`: anything coded will do.
        let any = refuses_plain && accepted.any.is_some_and(|weight| weight > 0);
        return match (accepted.gzip, accepted.deflate) {
            (None, _) if any => Some(Coding::Gzip),
            (_, None) if any => Some(Coding::Deflate),
            _ => None,
        };
    }
    if gzip.max(deflate) < plain.unwrap_or(0) && !refuses_plain {
        return None;
    }
    Some(if gzip >= deflate { Coding::Gzip } else { Coding::Deflate })
}

/// Weights in thousandths.
#[derive(Default)]
struct Accepted {
    gzip: Option<u16>,
    deflate: Option<u16>,
    identity: Option<u16>,
    /// `*`
    any: Option<u16>,
    /// The highest of all other codings.
    other: Option<u16>,
}

impl Accepted {
    fn read<'v>(values: impl Iterator<Item = &'v [u8]>) -> Self {
        let mut accepted = Self::default();
        for item in items(values) {
            let mut parts = item.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default();
            // What has no weight we can read is not taken for wanted.
            let Some(weight) = weight(parts) else { continue };
            let known = match Coding::of(name) {
                Some(Coding::Gzip) => &mut accepted.gzip,
                Some(Coding::Deflate) => &mut accepted.deflate,
                None if name == b"*" => &mut accepted.any,
                None if name.eq_ignore_ascii_case(b"identity") => &mut accepted.identity,
                None => &mut accepted.other,
            };
            *known = (*known).max(Some(weight));
        }
        accepted
    }
}

/// `;q=0.5`; 1 where there is none, `None` where it is malformed.
fn weight<'p>(mut parameters: impl Iterator<Item = &'p [u8]>) -> Option<u16> {
    let Some(parameter) = parameters.next() else { return Some(1000) };
    let digits = match parameter {
        [b'q' | b'Q', b'=', digits @ ..] if parameters.next().is_none() => digits,
        _ => return None,
    };
    let (whole, fraction) = match digits {
        [whole] | [whole, b'.'] => (whole, &[][..]),
        [whole, b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        _ => return None,
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let thousandths = (0..3)
        .fold(0, |sum, at| sum * 10 + u16::from(fraction.get(at).map_or(0, |digit| digit - b'0')));
    match whole {
        b'0' => Some(thousandths),
        b'1' if thousandths == 0 => Some(1000),
        _ => None,
    }
}

/// The items of comma-separated lists.
fn items<'v>(values: impl Iterator<Item = &'v [u8]>) -> impl Iterator<Item = &'v [u8]> {
    values
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|item| !item.is_empty())
}
