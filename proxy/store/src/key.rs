//! Hierarchical keys, as bytes whose order is the order of their segments.
//!
//! Each segment ends with a zero byte, so that a key is a prefix of those under it, and of no
//! others. Within a segment `00` is written as `01 01` and `01` as `01 02`: any text is a segment,
//! and the order stays.

use std::fmt;

const END: u8 = 0;
const ESCAPE: u8 = 1;

/// Where a record is: a list of segments, ordered by segment.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    encoded: Vec<u8>,
}

impl Key {
    /// A key of these segments. Without any it is the root, which all others are under.
    pub fn new(segments: &[&str]) -> Self {
        let mut key = Self { encoded: Vec::new() };
        segments.iter().for_each(|segment| key.push(segment));
        key
    }

    /// The key with one segment more.
    pub fn child(&self, segment: &str) -> Self {
        let mut key = self.clone();
        key.push(segment);
        key
    }

    pub fn segments(&self) -> Vec<String> {
        // Not made of anything but segments: see `decode`.
        decode_segments(&self.encoded).unwrap_or_default()
    }

    /// Whether it is longer than another, and begins with it.
    pub fn is_under(&self, other: &Self) -> bool {
        self.encoded.len() > other.encoded.len() && self.encoded.starts_with(&other.encoded)
    }

    pub(crate) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// Reads what [`Self::encoded`] gave. None if it is nothing of the kind.
    pub(crate) fn decode(encoded: &[u8]) -> Option<Self> {
        decode_segments(encoded).map(|_| Self { encoded: encoded.to_vec() })
    }

    fn push(&mut self, segment: &str) {
        for &byte in segment.as_bytes() {
            match byte {
                END | ESCAPE => self.encoded.extend([ESCAPE, byte + 1]),
                _ => self.encoded.push(byte),
            }
        }
        self.encoded.push(END);
    }
}

/// The first bytes that are neither under a prefix of whole segments nor before it. None if all
/// that follows the root is meant.
pub(crate) fn end_of(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    // It is END, and ESCAPE is the next one.
    *end.last_mut()? += 1;
    Some(end)
}

/// Where the segment that begins at an offset ends.
pub(crate) fn segment_end(encoded: &[u8], from: usize) -> usize {
    let length = encoded[from..].iter().position(|&byte| byte == END);
    length.map_or(encoded.len(), |length| from + length + 1)
}

fn decode_segments(encoded: &[u8]) -> Option<Vec<String>> {
    let mut segments = Vec::new();
    let mut segment = Vec::new();
    let mut bytes = encoded.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            END => segments.push(String::from_utf8(std::mem::take(&mut segment)).ok()?),
            ESCAPE => match bytes.next() {
                Some(&byte @ 1..=2) => segment.push(byte - 1),
                _ => return None,
            },
            _ => segment.push(byte),
        }
    }
    segment.is_empty().then_some(segments)
}

/// The segments joined by `/`. A `/` or `%` within a segment is written as in a URL, so that no
/// two keys read the same.
impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.segments().iter().enumerate() {
            if index > 0 {
                formatter.write_str("/")?;
            }
            formatter.write_str(&segment.replace('%', "%25").replace('/', "%2F"))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_ordered_by_their_segments() {
        let texts = [
            "",
            "\0",
            "\0a",
            "\u{1}",
            "\u{1}\u{1}",
            "\u{2}",
            "a",
            "a\0",
            "a\u{1}",
            "a/",
            "ab",
            "ü",
        ];
        let mut lists: Vec<Vec<&str>> = vec![vec![]];
        for first in texts {
            lists.push(vec![first]);
            lists.extend(texts.map(|second| vec![first, second]));
        }
        for left in &lists {
            for right in &lists {
                let (left_key, right_key) = (Key::new(left), Key::new(right));
                assert_eq!(left_key.cmp(&right_key), left.cmp(right), "{left:?} {right:?}");
                let is_under = left.len() > right.len() && left.starts_with(right);
                assert_eq!(left_key.is_under(&right_key), is_under, "{left:?} {right:?}");
            }
            assert_eq!(Key::new(left).segments(), *left);
        }
    }

    #[test]
    fn what_follows_a_key_and_all_under_it_begins_at_its_end() {
        let key = Key::new(&["a", "b"]);
        let end = end_of(key.encoded()).unwrap();
        assert!(*key.child("\u{10ffff}").child("").encoded() < *end);
        assert!(*Key::new(&["a", "b\0"]).encoded() >= *end);
        assert_eq!(end_of(&[]), None);
    }

    #[test]
    fn no_two_keys_read_the_same() {
        assert_eq!(Key::new(&["a", "b"]).to_string(), "a/b");
        assert_eq!(Key::new(&["a/b", "50%"]).to_string(), "a%2Fb/50%25");
    }

    #[test]
    fn bytes_that_are_no_key_are_not_taken_for_one() {
        for bytes in [&b"a"[..], b"a\x01\0", b"\x01\x03\0", b"\xff\0", b"a\0b"] {
            assert_eq!(Key::decode(bytes), None, "{bytes:?}");
        }
        let key = Key::new(&["a\0", "b"]);
        assert_eq!(Key::decode(key.encoded()), Some(key));
    }
}
