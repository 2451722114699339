//! `$input.json('$')`: a payload as compact JSON, with numbers, strings and key order as sent.

use std::borrow::Cow;

use serde::de::IgnoredAny;

/// What `$input.json` renders for a payload that is `null` or not JSON.
const NOTHING: &str = "\"\"";

/// Takes the insignificant whitespace out of a JSON text. Copies strings and numbers as they
/// are, so that `1.0` and an integer beyond 64 bits arrive unchanged.
pub(crate) fn compact(body: &[u8]) -> Cow<'_, str> {
    let Ok(text) = std::str::from_utf8(body) else { return Cow::Borrowed(NOTHING) };
    if serde_json::from_str::<IgnoredAny>(text).is_err() || text.trim() == "null" {
        return Cow::Borrowed(NOTHING);
    }
    let mut in_string = false;
    let mut escaped = false;
    let mut significant = |byte: u8| {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            return true;
        }
        in_string = byte == b'"';
        !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
    };
    let Some(first) = text.bytes().position(|byte| !significant(byte)) else {
        return Cow::Borrowed(text);
    };
    // The closure saw the prefix and one blank outside a string: it goes on from there.
    let mut compact = String::with_capacity(text.len());
    compact.push_str(&text[..first]);
    let mut kept_from = None;
    for (at, byte) in text.bytes().enumerate().skip(first + 1) {
        match (significant(byte), kept_from) {
            (true, None) => kept_from = Some(at),
            (false, Some(from)) => {
                compact.push_str(&text[from..at]);
                kept_from = None;
            }
            _ => {}
        }
    }
    if let Some(from) = kept_from {
        compact.push_str(&text[from..]);
    }
    Cow::Owned(compact)
}

#[cfg(test)]
mod tests {
    use super::compact;

    #[test]
    fn only_whitespace_outside_strings_is_taken_out() {
        for (body, expected) in [
            (r#"{"a":1}"#, r#"{"a":1}"#),
            (
                "  { \"a b\\\" \" : 12345678901234567890.10 }\r\n",
                r#"{"a b\" ":12345678901234567890.10}"#,
            ),
            (r#"" \\ " "#, r#"" \\ ""#),
            ("{", r#""""#),
            ("", r#""""#),
            (" null ", r#""""#),
        ] {
            assert_eq!(compact(body.as_bytes()), expected, "{body:?}");
        }
    }
}
