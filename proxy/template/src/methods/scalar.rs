//! Booleans and characters.

use super::{MethodError, Outcome};
use crate::value::{Number, Value};

pub(super) fn call_boolean<'t>(value: bool, name: &str, arguments: &[Value<'t>]) -> Outcome<'t> {
    Ok(Some(match (name, arguments) {
        ("booleanValue", []) => value.into(),
        ("compareTo", [Value::Boolean(other)]) => (value as i32 - *other as i32).into(),
        ("compare", [Value::Boolean(a), Value::Boolean(b)]) => (*a as i32 - *b as i32).into(),
        ("parseBoolean" | "valueOf", [Value::String(text)]) => {
            text.as_str().eq_ignore_ascii_case("true").into()
        }
        ("parseBoolean" | "valueOf", [Value::Null]) => false.into(),
        ("valueOf", [Value::Boolean(other)]) => (*other).into(),
        ("toString", [Value::Boolean(other)]) => (if *other { "true" } else { "false" }).into(),
        ("logicalAnd", [Value::Boolean(a), Value::Boolean(b)]) => (*a && *b).into(),
        ("logicalOr", [Value::Boolean(a), Value::Boolean(b)]) => (*a || *b).into(),
        ("logicalXor", [Value::Boolean(a), Value::Boolean(b)]) => (a != b).into(),
        _ => return Ok(None),
    }))
}

pub(super) fn call_character<'t>(value: char, name: &str, arguments: &[Value<'t>]) -> Outcome<'t> {
    Ok(Some(match (name, arguments) {
        ("charValue", []) => Value::Character(value),
        ("compareTo", [Value::Character(other)]) => (value as i32 - *other as i32).into(),
        ("compare", [Value::Character(a), Value::Character(b)]) => (*a as i32 - *b as i32).into(),
        ("toString" | "valueOf" | "toUpperCase" | "toLowerCase", [Value::Character(other)]) => {
            return Ok(convert(*other, name));
        }
        (name, [argument]) => match of_code_point(argument) {
            Some(other) => return classify(other, name),
            None => return Ok(None),
        },
        _ => return Ok(None),
    }))
}

fn convert<'t>(value: char, name: &str) -> Option<Value<'t>> {
    // Java maps one character to one; `ß` stays.
    let single = |mut mapped: Box<dyn Iterator<Item = char>>| match (mapped.next(), mapped.next()) {
        (Some(only), None) => only,
        _ => value,
    };
    Some(match name {
        "toString" => value.to_string().into(),
        "valueOf" => Value::Character(value),
        "toUpperCase" => Value::Character(single(Box::new(value.to_uppercase()))),
        "toLowerCase" => Value::Character(single(Box::new(value.to_lowercase()))),
        _ => return None,
    })
}

/// The static questions take a `char` or a code point.
fn of_code_point(argument: &Value<'_>) -> Option<char> {
    match argument {
        Value::Character(value) => Some(*value),
        Value::Number(Number::Integer(value)) => {
            u32::try_from(*value).ok().and_then(char::from_u32)
        }
        _ => None,
    }
}

fn classify<'t>(value: char, name: &str) -> Result<Option<Value<'t>>, MethodError> {
    let is = match name {
        "isDigit" => is_digit(value),
        "isLetter" => is_letter(value),
        "isLetterOrDigit" => is_letter(value) || is_digit(value),
        "isAlphabetic" => value.is_alphabetic(),
        "isUpperCase" => value.is_uppercase(),
        "isLowerCase" => value.is_lowercase(),
        "isWhitespace" => is_whitespace(value),
        "isSpaceChar" => value.is_whitespace() && !value.is_control(),
        "getNumericValue" => {
            let digit = value.to_digit(36).and_then(|digit| i32::try_from(digit).ok());
            return Ok(Some(digit.unwrap_or(-1).into()));
        }
        _ => return Ok(None),
    };
    Ok(Some(is.into()))
}

fn is_digit(value: char) -> bool {
    if value.is_ascii() { value.is_ascii_digit() } else { value.is_numeric() }
}

fn is_letter(value: char) -> bool {
    value.is_alphabetic()
}

/// `Character.isWhitespace`: no-break spaces are none, the separators 0x1C to 0x1F are.
pub(super) fn is_whitespace(value: char) -> bool {
    match value {
        '\u{a0}' | '\u{2007}' | '\u{202f}' | '\u{85}' => false,
        '\u{1c}'..='\u{1f}' => true,
        other => other.is_whitespace(),
    }
}
