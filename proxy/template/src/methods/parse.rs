//! Numbers from strings: `parseInt` and its like.

use super::{MethodError, null_pointer, thrown};
use crate::value::Value;

/// `Integer.parseInt`
pub(super) fn integer(text: &Value<'_>, radix: i32) -> Result<i32, MethodError> {
    let text = string(text)?;
    match digits(text, radix).and_then(|value| i32::try_from(value).ok()) {
        Some(value) => Ok(value),
        None => refused(text),
    }
}

/// `Long.parseLong`
pub(super) fn long(text: &Value<'_>, radix: i32) -> Result<i64, MethodError> {
    let text = string(text)?;
    match digits(text, radix).and_then(|value| i64::try_from(value).ok()) {
        Some(value) => Ok(value),
        None => refused(text),
    }
}

/// `Double.parseDouble`, without hexadecimal numbers.
pub(super) fn double(text: &Value<'_>) -> Result<f64, MethodError> {
    let Some(text) = text.as_str() else { return null_pointer() };
    let trimmed = text.trim_matches(|c| c <= ' ');
    if trimmed.is_empty() {
        return thrown("NumberFormatException", "empty String");
    }
    let number = trimmed.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(trimmed);
    let unsigned = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    match unsigned {
        "NaN" => return Ok(f64::NAN),
        "Infinity" if trimmed.starts_with('-') => return Ok(f64::NEG_INFINITY),
        "Infinity" => return Ok(f64::INFINITY),
        _ => {}
    }
    let decimal = number
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'));
    match number.parse() {
        Ok(value) if decimal => Ok(value),
        _ => refused(text),
    }
}

fn string<'v>(text: &'v Value<'_>) -> Result<&'v str, MethodError> {
    match text.as_str() {
        Some(text) => Ok(text),
        None => thrown("NumberFormatException", "Cannot parse null string"),
    }
}

fn refused<T>(text: &str) -> Result<T, MethodError> {
    let shown: String = text.chars().take(200).collect();
    thrown("NumberFormatException", format_args!("For input string: \"{shown}\""))
}

fn digits(text: &str, radix: i32) -> Option<i128> {
    let radix = u32::try_from(radix).ok().filter(|radix| (2..=36).contains(radix))?;
    let (negative, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, text),
    };
    // The standard library would take a second sign.
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    Some(if negative { -value } else { value })
}
