//! Escapes in JSON strings.

use super::scan::plain_end;

/// The length in bytes of the escape that a text starts with, and whether the writer would write
/// it the same way. `None`: it is none.
pub(super) fn escape_length(text: &[u8]) -> Option<(usize, bool)> {
    match text.get(1)? {
        b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't' => Some((2, true)),
        b'/' => Some((2, false)),
        b'u' if text.get(2..6)?.iter().all(u8::is_ascii_hexdigit) => Some((6, false)),
        _ => None,
    }
}

/// The string that a text with valid escapes stands for.
pub(super) fn unescape(text: &str) -> String {
    let mut string = String::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let end = plain_end(text.as_bytes(), at);
        string.push_str(&text[at..end]);
        at = end;
        while text.as_bytes().get(at) == Some(&b'\\') {
            let (character, length) = escaped(&text.as_bytes()[at..]);
            string.push(character);
            at += length;
        }
        if at == end && at < text.len() {
            break;
        }
    }
    string
}

/// The character of the escape a text starts with, and the escape's length in bytes.
fn escaped(text: &[u8]) -> (char, usize) {
    let character = match text.get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode_escape(text),
        Some(other) => char::from(*other),
        None => return (char::REPLACEMENT_CHARACTER, 1),
    };
    (character, 2)
}

/// `\uXXXX`, or two of them for a surrogate pair. Half a pair becomes U+FFFD.
fn unicode_escape(text: &[u8]) -> (char, usize) {
    let unit = hex4(text);
    if let Some(character) = char::from_u32(unit) {
        return (character, 6);
    }
    if unit < 0xdc00
        && let Some(after) = text.get(6..)
        && after.starts_with(b"\\u")
    {
        let low = hex4(after);
        if (0xdc00..0xe000).contains(&low) {
            let pair = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
            return (char::from_u32(pair).unwrap_or(char::REPLACEMENT_CHARACTER), 12);
        }
    }
    (char::REPLACEMENT_CHARACTER, 6)
}

/// The number of `\uXXXX`.
fn hex4(text: &[u8]) -> u32 {
    let digits = text.get(2..6).unwrap_or_default();
    digits.iter().fold(0, |unit, digit| unit * 16 + char::from(*digit).to_digit(16).unwrap_or(0))
}
