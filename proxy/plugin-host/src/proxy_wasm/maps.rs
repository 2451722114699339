//! Header maps as proxy-wasm modules write and read them: `u32 n`, then n × (`u32 name length`,
//! `u32 value length`), then n × (name, `\0`, value, `\0`), little-endian. No bytes at all are an
//! empty map too, and what an empty map is written as.
//!
//! As in Envoy, bytes after the last entry are ignored and a `\0` that is not in its place spoils
//! the map. Unlike Envoy, which takes a spoilt map for an empty one (and so removes all headers),
//! that is an error.

use crate::headers::lower_case;
use crate::limits;

/// Why bytes are no map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MapError {
    #[error("the header map ends in the middle of an entry")]
    Truncated,
    #[error("an entry of the header map does not end in \\0")]
    Unterminated,
    #[error(
        "the header map is too large; allowed: {} entries, {} bytes",
        limits::HEADER_COUNT,
        limits::HEADERS
    )]
    TooLarge,
}

/// Appends the pairs' map to `out`, with names in lower case; nothing for no pairs.
pub(crate) fn encode<'h>(
    pairs: impl ExactSizeIterator<Item = (&'h [u8], &'h [u8])>,
    out: &mut Vec<u8>,
) {
    let count = pairs.len();
    if count == 0 {
        return;
    }
    out.extend_from_slice(&(count as u32).to_le_bytes());
    let mut lengths = out.len();
    out.resize(lengths + 8 * count, 0);
    for (name, value) in pairs {
        out[lengths..lengths + 4].copy_from_slice(&(name.len() as u32).to_le_bytes());
        out[lengths + 4..lengths + 8].copy_from_slice(&(value.len() as u32).to_le_bytes());
        lengths += 8;
        let start = out.len();
        out.extend_from_slice(name);
        lower_case(&mut out[start..]);
        out.push(0);
        out.extend_from_slice(value);
        out.push(0);
    }
}

/// Reads a map. Everything is checked here: walking through the pairs can't fail. Names and values
/// are as the module wrote them, in any case and with any bytes.
///
/// # Errors
/// Lengths that reach beyond the bytes, a missing `\0`, more entries than
/// [`limits::HEADER_COUNT`], more bytes of names and values than [`limits::HEADERS`].
pub(crate) fn decode(bytes: &[u8]) -> Result<Pairs<'_>, MapError> {
    let Some((count, rest)) = bytes.split_first_chunk() else {
        return if bytes.is_empty() { Ok(Pairs::default()) } else { Err(MapError::Truncated) };
    };
    let count = u32::from_le_bytes(*count) as usize;
    if count > limits::HEADER_COUNT {
        return Err(MapError::TooLarge);
    }
    let (lengths, data) = rest.split_at_checked(8 * count).ok_or(MapError::Truncated)?;
    let pairs = Pairs { lengths, data };
    let (mut at, mut size) = (0, 0);
    for length in pairs.lengths.chunks_exact(4).map(length) {
        let end = at + length;
        match data.get(end) {
            Some(0) => at = end + 1,
            Some(_) => return Err(MapError::Unterminated),
            None => return Err(MapError::Truncated),
        }
        size += length;
    }
    if size > limits::HEADERS { Err(MapError::TooLarge) } else { Ok(pairs) }
}

/// The pairs of a map that was checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pairs<'a> {
    lengths: &'a [u8],
    data: &'a [u8],
}

fn length(bytes: &[u8]) -> usize {
    bytes.try_into().map_or(0, |bytes| u32::from_le_bytes(bytes) as usize)
}

impl<'a> Pairs<'a> {
    fn take(&mut self) -> Option<&'a [u8]> {
        let (word, lengths) = self.lengths.split_at_checked(4)?;
        let (text, data) = self.data.split_at_checked(length(word))?;
        self.lengths = lengths;
        self.data = data.get(1..)?;
        Some(text)
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.take()?, self.take()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.lengths.len() / 8, Some(self.lengths.len() / 8))
    }
}

impl ExactSizeIterator for Pairs<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    type Pair = (&'static [u8], &'static [u8]);

    fn encoded(pairs: &[Pair]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(pairs.iter().copied(), &mut out);
        out
    }

    #[test]
    fn pairs_are_written_as_the_abi_says_and_read_back() {
        let pairs: &[Pair] = &[(b":path", b"/"), (b"a", b""), (b"a", b"x\0y")];
        let bytes = encoded(pairs);
        assert_eq!(
            bytes,
            b"\x03\0\0\0\x05\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\x03\0\0\0\
              :path\0/\0a\0\0a\0x\0y\0"
        );
        let read = decode(&bytes).unwrap();
        assert_eq!(read.len(), 3);
        assert_eq!(read.collect::<Vec<_>>(), pairs);
    }

    #[test]
    fn names_are_written_in_lower_case() {
        let bytes = encoded(&[(b"X-Request-Id", b"A")]);
        assert_eq!(
            decode(&bytes).unwrap().collect::<Vec<_>>(),
            [(&b"x-request-id"[..], &b"A"[..])]
        );
    }

    #[test]
    fn an_empty_map_is_no_bytes_or_a_zero_word() {
        assert_eq!(encoded(&[]), b"");
        assert_eq!(decode(b"").unwrap().count(), 0);
        assert_eq!(decode(b"\0\0\0\0").unwrap().count(), 0);
    }

    #[test]
    fn bytes_after_the_last_entry_are_ignored() {
        let mut bytes = encoded(&[(b"a", b"b")]);
        bytes.extend_from_slice(b"garbage");
        assert_eq!(decode(&bytes).unwrap().collect::<Vec<_>>(), [(&b"a"[..], &b"b"[..])]);
    }

    #[test]
    fn every_cut_and_every_length_out_of_range_is_an_error() {
        let bytes = encoded(&[(b"name", b"value"), (b"b", b"")]);
        for end in 1..bytes.len() {
            assert_eq!(decode(&bytes[..end]).unwrap_err(), MapError::Truncated, "{end}");
        }
        for at in (4..20).step_by(4) {
            let mut bytes = bytes.clone();
            bytes[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
            assert_eq!(decode(&bytes).unwrap_err(), MapError::Truncated, "{at}");
        }
    }

    #[test]
    fn a_missing_terminator_spoils_the_map() {
        let mut bytes = encoded(&[(b"a", b"b")]);
        let last = bytes.len() - 1;
        bytes[last] = b'x';
        assert_eq!(decode(&bytes).unwrap_err(), MapError::Unterminated);
        bytes[last] = 0;
        bytes[last - 2] = b'x';
        assert_eq!(decode(&bytes).unwrap_err(), MapError::Unterminated);
    }

    #[test]
    fn count_and_size_are_bounded() {
        let many: Vec<Pair> = vec![(b"a", b"b"); limits::HEADER_COUNT + 1];
        assert_eq!(decode(&encoded(&many)).unwrap_err(), MapError::TooLarge);
        assert!(decode(&encoded(&many[1..])).is_ok());
        let value: &'static [u8] = vec![b'x'; limits::HEADERS].leak();
        assert!(decode(&encoded(&[(b"", value)])).is_ok());
        assert_eq!(decode(&encoded(&[(b"a", value)])).unwrap_err(), MapError::TooLarge);
        assert_eq!(decode(&u32::MAX.to_le_bytes()).unwrap_err(), MapError::TooLarge);
    }
}
