//! `$util`.
//!
//! The functions take any value by its text; null is empty unless a function says otherwise.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

use crate::json;
use crate::limits::{Budget, LimitExceeded};
use crate::methods::{MethodError, write_text};
use crate::value::{Text, Value};

/// Takes what Java's `Base64.getDecoder()` takes: the padding may be missing.
const BASE64_DECODER: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Calls a function of `$util`. `None`: there is no such function.
pub(crate) fn call<'t>(
    name: &str,
    arguments: &[Value<'t>],
    budget: &mut Budget,
) -> Result<Option<Value<'t>>, MethodError> {
    let [argument] = arguments else { return Ok(None) };
    if name == "parseJson" {
        return parse_json(argument, budget).map(Some);
    }
    let function: fn(&Value<'_>, &str) -> Result<String, MethodError> = match name {
        "escapeJavaScript" => |value, text| Ok(escape_java_script(value, text)),
        "urlEncode" => |_, text| Ok(url_encode(text)),
        "urlDecode" => |_, text| url_decode(text),
        "base64Encode" => |_, text| Ok(STANDARD.encode(text)),
        "base64Decode" => |_, text| base64_decode(text),
        _ => return Ok(None),
    };
    let text = text_of(argument, budget)?;
    // The longest result has six characters for one: `\u00ff`.
    budget.steps(1 + text.len() as u64 / 16)?;
    budget.allocate(text.len())?;
    let result = function(argument, &text)?;
    budget.allocate(result.len())?;
    Ok(Some(Value::String(Text::Shared(result.into()))))
}

fn text_of<'v>(value: &'v Value<'_>, budget: &mut Budget) -> Result<Cow<'v, str>, LimitExceeded> {
    if let Value::String(text) = value {
        return Ok(Cow::Borrowed(text.as_str()));
    }
    let mut text = String::new();
    write_text(value, &mut text, budget)?;
    Ok(Cow::Owned(text))
}

fn parse_json<'t>(value: &Value<'t>, budget: &mut Budget) -> Result<Value<'t>, MethodError> {
    let parsed = match value {
        Value::String(Text::Borrowed(text)) => json::parse(text, budget)?,
        value => json::parse_copy(&text_of(value, budget)?, budget)?,
    };
    parsed.ok_or_else(|| MethodError::Thrown("$util.parseJson: the text is not JSON".to_owned()))
}

/// `escapeJavaScript` of Apache Commons Lang 2. API Gateway gives `null` for null and `{}` for a
/// blank string.
fn escape_java_script(value: &Value<'_>, text: &str) -> String {
    match value {
        Value::Null => return "null".to_owned(),
        Value::String(_) if text.trim().is_empty() => return "{}".to_owned(),
        _ => {}
    }
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let mut start = 0;
    while let Some(length) = text[start..].find(|c: char| !is_plain(c)) {
        let end = start + length;
        out.push_str(&text[start..end]);
        let Some(special) = text[end..].chars().next() else { break };
        escape(special, &mut out);
        start = end + special.len_utf8();
    }
    out.push_str(&text[start..]);
    out
}

fn is_plain(c: char) -> bool {
    matches!(c, ' '..='\x7f') && !matches!(c, '\'' | '"' | '\\' | '/')
}

fn escape(special: char, out: &mut String) {
    let letter = match special {
        '\u{8}' => 'b',
        '\u{c}' => 'f',
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        '\'' | '"' | '\\' | '/' => special,
        _ => {
            for unit in special.encode_utf16(&mut [0; 2]) {
                push_unicode_escape(*unit, out);
            }
            return;
        }
    };
    out.push('\\');
    out.push(letter);
}

fn push_unicode_escape(unit: u16, out: &mut String) {
    out.push_str("\\u");
    for shift in [12, 8, 4, 0] {
        out.push(upper_hex((unit >> shift) as u8));
    }
}

/// The hexadecimal digit of the lower four bits.
fn upper_hex(bits: u8) -> char {
    char::from(b"0123456789ABCDEF"[usize::from(bits & 0xf)])
}

/// Java's `URLEncoder`: a space is `+`, and of the marks only `-`, `_`, `.` and `*` stay.
fn url_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => {
                out.push(byte.into());
            }
            b' ' => out.push('+'),
            _ => {
                out.push('%');
                out.push(upper_hex(byte >> 4));
                out.push(upper_hex(byte));
            }
        }
    }
    out
}

/// Java's `URLDecoder`, which throws for a `%` without two digits.
fn url_decode(text: &str) -> Result<String, MethodError> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => percent_escape(bytes.next(), bytes.next())?,
            _ => byte,
        });
    }
    Ok(match String::from_utf8(out) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

fn percent_escape(high: Option<u8>, low: Option<u8>) -> Result<u8, MethodError> {
    let thrown = |message: &str| MethodError::Thrown(format!("URLDecoder: {message}"));
    let (Some(high), Some(low)) = (high, low) else {
        return Err(thrown("Incomplete trailing escape (%) pattern"));
    };
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let high = match high {
        // Java parses the two characters as a number, which may have a sign.
        b'+' => Some(0),
        high => digit(high),
    };
    match (high, digit(low)) {
        (Some(high), Some(low)) => Ok(high << 4 | low),
        _ => Err(thrown("Illegal hex characters in escape (%) pattern")),
    }
}

fn base64_decode(text: &str) -> Result<String, MethodError> {
    let thrown = |error| MethodError::Thrown(format!("$util.base64Decode: {error}"));
    let bytes = BASE64_DECODER.decode(text).map_err(thrown)?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

#[cfg(test)]
mod tests;
