//! One canonical form of a request's path, which routing, policies and plugins all see.
//!
//! Two components that read the same bytes differently are how access checks are walked
//! around (`/public/..%2fadmin`, `/admin;x`, `/%61dmin`). So a path is refused or rewritten
//! once, before anything looks at it:
//!
//! | Arrives as | Becomes |
//! |---|---|
//! | bytes outside visible ASCII, `#`, `?`, `%` without two hexadecimal digits | 400 |
//! | encoded control characters (NUL included), encoded bytes that are not UTF-8 | 400 |
//! | `.` and `..` segments, plain or encoded, also between `%2F`, `%5C` or before `;` | 400 |
//! | encoded unreserved characters: `%41`, `%7e` | `A`, `~` |
//! | other encoded characters: `%2f`, `%5c`, `%3b`, `%c3%a9` | `%2F`, `%5C`, `%3B`, `%C3%A9` |
//! | characters no path may hold plainly: `\`, `{`, `"` | `%5C`, `%7B`, `%22` |
//! | `;` | itself: data, not a separator |
//! | duplicate slashes | themselves |
//!
//! Values taken from a path are percent-decoded for mappings, events and logs ([`decode`]) and
//! keep the client's encoding where they go into a backend's URL ([`place_captured`]), with `;`
//! encoded so that no backend reads it as the start of a path parameter.

use std::borrow::Cow;

/// A path in canonical form. Begins with `/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanonicalPath<'a>(&'a str);

/// Why a path is refused: the answer is 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("the path does not begin with a slash")]
    NoLeadingSlash,
    #[error("the path holds a byte that no URL may hold there")]
    InvalidByte,
    #[error("the path holds a percent sign that two hexadecimal digits don't follow")]
    InvalidEncoding,
    #[error("the path holds an encoded control character")]
    ControlCharacter,
    #[error("the path is not UTF-8 once decoded")]
    NotUtf8,
    #[error("the path holds a `.` or `..` segment")]
    DotSegment,
}

impl<'a> CanonicalPath<'a> {
    /// `raw` is the path of the request target, without its query. Borrows it if it is
    /// canonical already (nearly all are), else builds the canonical form in `buffer`.
    pub fn parse(raw: &'a [u8], buffer: &'a mut String) -> Result<Self, PathError> {
        if raw.first() != Some(&b'/') {
            return Err(PathError::NoLeadingSlash);
        }
        let Some(plain) = plain_text(raw) else { return Self::rewrite(raw, buffer) };
        // The first byte is a slash, so a dot has one before it to look at.
        if memchr::memchr_iter(b'.', raw).any(|dot| raw[dot - 1] == b'/') {
            refuse_dot_segments(plain)?;
        }
        Ok(Self(plain))
    }

    pub fn as_str(self) -> &'a str {
        self.0
    }

    fn rewrite(raw: &[u8], buffer: &'a mut String) -> Result<Self, PathError> {
        buffer.clear();
        buffer.reserve(raw.len());
        let mut rest = raw;
        let mut has_non_ascii = false;
        while let [byte, after @ ..] = rest {
            rest = after;
            match byte {
                b'%' => {
                    let [high, low, after @ ..] = rest else {
                        return Err(PathError::InvalidEncoding);
                    };
                    rest = after;
                    let decoded = hex(*high)? << 4 | hex(*low)?;
                    has_non_ascii |= !decoded.is_ascii();
                    push_decoded(decoded, buffer)?;
                }
                b'#' | b'?' | ..=b' ' | 0x7f.. => return Err(PathError::InvalidByte),
                byte if is(*byte, PATH) => buffer.push(char::from(*byte)),
                byte => push_encoded(*byte, buffer),
            }
        }
        if has_non_ascii {
            refuse_bad_text(buffer)?;
        }
        refuse_dot_segments(buffer)?;
        Ok(Self(buffer))
    }
}

/// Percent-decodes a piece of a canonical path: a segment, or what `{proxy+}` took.
pub fn decode(canonical: &str) -> Cow<'_, str> {
    match memchr::memchr(b'%', canonical.as_bytes()) {
        None => Cow::Borrowed(canonical),
        Some(_) => percent_encoding::percent_decode_str(canonical).decode_utf8_lossy(),
    }
}

/// Puts a piece of a canonical path into the path of a backend's URL, encoded as the client
/// encoded it.
pub fn place_captured(canonical: &str, out: &mut Vec<u8>) {
    let mut pieces = canonical.as_bytes().split(|byte| *byte == b';');
    out.extend_from_slice(pieces.next().unwrap_or_default());
    for piece in pieces {
        out.extend_from_slice(b"%3B");
        out.extend_from_slice(piece);
    }
}

/// Encodes text as one path segment: a `/` in it becomes `%2F`. `+` is encoded as well, since
/// some backends read it as a space.
pub fn encode_segment(text: &str, out: &mut Vec<u8>) {
    encode(text, SEGMENT, out);
}

/// Encodes text as path segments that its slashes separate.
pub fn encode_segments(text: &str, out: &mut Vec<u8>) {
    encode(text, SEGMENTS, out);
}

/// Encodes text as a name or value of a query string.
pub fn encode_query(text: &str, out: &mut Vec<u8>) {
    encode(text, UNRESERVED, out);
}

/// Refuses a path that some component would read as leaving its place. `canonical` has its
/// unreserved characters decoded and its escapes in upper case.
pub(crate) fn refuse_dot_segments(canonical: &str) -> Result<(), PathError> {
    // A backend may decode `%2F` and `%5C` before it resolves dots, or cut a segment at `;`.
    let slices =
        canonical.split('/').flat_map(|part| part.split("%2F")).flat_map(|part| part.split("%5C"));
    for segment in slices {
        if segment.starts_with('.') {
            let name = segment.split(';').next().unwrap_or_default();
            let name = name.split("%3B").next().unwrap_or_default();
            if matches!(name, "." | "..") {
                return Err(PathError::DotSegment);
            }
        }
    }
    Ok(())
}

/// The path as text if nothing in it needs to be rewritten.
fn plain_text(raw: &[u8]) -> Option<&str> {
    raw.iter().all(|byte| is(*byte, PATH)).then(|| std::str::from_utf8(raw).ok())?
}

fn push_decoded(byte: u8, buffer: &mut String) -> Result<(), PathError> {
    match byte {
        ..b' ' | 0x7f => return Err(PathError::ControlCharacter),
        byte if is(byte, UNRESERVED) => buffer.push(char::from(byte)),
        byte => push_encoded(byte, buffer),
    }
    Ok(())
}

fn push_encoded(byte: u8, buffer: &mut String) {
    buffer.push_str(percent_encoding::percent_encode_byte(byte));
}

fn refuse_bad_text(canonical: &str) -> Result<(), PathError> {
    let decoded = percent_encoding::percent_decode_str(canonical);
    let text = decoded.decode_utf8().map_err(|_| PathError::NotUtf8)?;
    // U+0080 to U+009F are control characters too.
    if text.chars().any(char::is_control) { Err(PathError::ControlCharacter) } else { Ok(()) }
}

fn hex(digit: u8) -> Result<u8, PathError> {
    char::from(digit).to_digit(16).map(|value| value as u8).ok_or(PathError::InvalidEncoding)
}

fn encode(text: &str, plain: u8, out: &mut Vec<u8>) {
    out.reserve(text.len());
    for byte in text.bytes() {
        if is(byte, plain) {
            out.push(byte);
        } else {
            out.extend_from_slice(percent_encoding::percent_encode_byte(byte).as_bytes());
        }
    }
}

/// RFC 3986 §2.3.
const UNRESERVED: u8 = 1;
/// What a canonical path holds plainly: RFC 3986's `pchar` (§3.3) and `/`.
const PATH: u8 = 2;
/// What [`encode_segment`] leaves.
const SEGMENT: u8 = 4;
/// What [`encode_segments`] leaves.
const SEGMENTS: u8 = 8;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        let b = byte as u8;
        classes[byte] = if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~') {
            UNRESERVED | PATH | SEGMENT | SEGMENTS
        } else if matches!(
            b,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b',' | b'=' | b':' | b'@'
        ) {
            PATH | SEGMENT | SEGMENTS
        } else if b == b'/' {
            PATH | SEGMENTS
        } else if matches!(b, b'+' | b';') {
            PATH
        } else {
            0
        };
        byte += 1;
    }
    classes
};

fn is(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(raw: &str) -> Result<String, PathError> {
        let mut buffer = String::from("left over from before");
        CanonicalPath::parse(raw.as_bytes(), &mut buffer).map(|path| path.as_str().to_owned())
    }

    #[test]
    fn there_is_one_form_for_each_path() {
        for (raw, expected) in [
            ("/", "/"),
            ("/pets/7", "/pets/7"),
            ("/%41%7e%2d%5F%30", "/A~-_0"),
            ("/a%2fb%5c%3b%25", "/a%2Fb%5C%3B%25"),
            ("/a\\b{c}|\"<>^`[]", "/a%5Cb%7Bc%7D%7C%22%3C%3E%5E%60%5B%5D"),
            ("/a;v=1/b:c@d!$&'()*+,=", "/a;v=1/b:c@d!$&'()*+,="),
            ("/caf%c3%a9%20au", "/caf%C3%A9%20au"),
            ("//a//b///", "//a//b///"),
            ("/.well-known/...", "/.well-known/..."),
            ("/a..b/..c/d..", "/a..b/..c/d.."),
            ("/%252e%252e", "/%252e%252e"),
        ] {
            assert_eq!(canonical(raw).as_deref(), Ok(expected), "{raw}");
            assert_eq!(canonical(expected).as_deref(), Ok(expected), "again: {raw}");
        }
    }

    #[test]
    fn ambiguous_paths_are_refused() {
        for (raw, expected) in [
            ("", PathError::NoLeadingSlash),
            ("*", PathError::NoLeadingSlash),
            ("http://host/", PathError::NoLeadingSlash),
            ("/a b", PathError::InvalidByte),
            ("/a\tb", PathError::InvalidByte),
            ("/a\0b", PathError::InvalidByte),
            ("/a\u{7f}", PathError::InvalidByte),
            ("/café", PathError::InvalidByte),
            ("/a#b", PathError::InvalidByte),
            ("/a?b", PathError::InvalidByte),
            ("/%", PathError::InvalidEncoding),
            ("/%4", PathError::InvalidEncoding),
            ("/%4g", PathError::InvalidEncoding),
            ("/%+1", PathError::InvalidEncoding),
            ("/a%00b", PathError::ControlCharacter),
            ("/a%0d%0ab", PathError::ControlCharacter),
            ("/a%7F", PathError::ControlCharacter),
            ("/a%C2%85", PathError::ControlCharacter),
            ("/%ff", PathError::NotUtf8),
            ("/%C3/%A9", PathError::NotUtf8),
            ("/%c0%af", PathError::NotUtf8),
            ("/.", PathError::DotSegment),
            ("/..", PathError::DotSegment),
            ("/a/../b", PathError::DotSegment),
            ("/a/./b", PathError::DotSegment),
            ("/a/%2e%2E/b", PathError::DotSegment),
            ("/a/.%2e", PathError::DotSegment),
            ("/a%2f..%2Fb", PathError::DotSegment),
            ("/a/..%2fb", PathError::DotSegment),
            ("/a\\..\\b", PathError::DotSegment),
            ("/a%5c..", PathError::DotSegment),
            ("/a/..;/b", PathError::DotSegment),
            ("/a/..;x=1/b", PathError::DotSegment),
            ("/a/..%3b/b", PathError::DotSegment),
        ] {
            assert_eq!(canonical(raw), Err(expected), "{raw:?}");
        }
    }

    #[test]
    fn a_canonical_path_is_borrowed() {
        let raw = b"/pets/7;v=1/.hidden";
        let mut buffer = String::new();
        let path = CanonicalPath::parse(raw, &mut buffer).expect("canonical");
        assert_eq!(path.as_str().as_ptr(), raw.as_ptr());
    }

    #[test]
    fn values_go_into_backend_urls_encoded() {
        let place = |place: fn(&str, &mut Vec<u8>), text: &str| {
            let mut out = Vec::new();
            place(text, &mut out);
            String::from_utf8(out).expect("ASCII")
        };
        assert_eq!(place(place_captured, "a%2Fb;c=%2B+d//e"), "a%2Fb%3Bc=%2B+d//e");
        assert_eq!(place(encode_segment, "a/b;c=d+e ?é"), "a%2Fb%3Bc=d%2Be%20%3F%C3%A9");
        assert_eq!(place(encode_segments, "a/b;c\\"), "a/b%3Bc%5C");
        assert_eq!(place(encode_query, "a/b&c=d+e"), "a%2Fb%26c%3Dd%2Be");
        assert_eq!(decode("a%2Fb+%C3%A9"), "a/b+é");
        assert!(matches!(decode("plain"), Cow::Borrowed("plain")));
    }
}
