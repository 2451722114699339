//! `$util`.
//!
//! The functions take any value by its text; null is empty unless a function says otherwise.

mod encode;

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
    let Some(function) = TextFunction::named(name) else { return Ok(None) };
    let mut result = String::new();
    function.write(argument, &mut result, budget)?;
    budget.allocate(result.len())?;
    Ok(Some(Value::String(Text::Shared(result.into()))))
}

/// A function from text to text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextFunction {
    EscapeJavaScript,
    UrlEncode,
    UrlDecode,
    Base64Encode,
    Base64Decode,
}

impl TextFunction {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "escapeJavaScript" => Self::EscapeJavaScript,
            "urlEncode" => Self::UrlEncode,
            "urlDecode" => Self::UrlDecode,
            "base64Encode" => Self::Base64Encode,
            "base64Decode" => Self::Base64Decode,
            _ => return None,
        })
    }

    /// Appends what the function makes of a value.
    pub(crate) fn write(
        self,
        argument: &Value<'_>,
        out: &mut String,
        budget: &mut Budget,
    ) -> Result<(), MethodError> {
        match argument {
            // API Gateway's.
            Value::Null if self == Self::EscapeJavaScript => {
                budget.steps(1)?;
                out.push_str("null");
                Ok(())
            }
            Value::String(text) => self.write_string(text.as_str(), out, budget),
            other => self.write_encoded(&text_of(other, budget)?, out, budget),
        }
    }

    /// Appends what the function makes of a string.
    pub(crate) fn write_string(
        self,
        text: &str,
        out: &mut String,
        budget: &mut Budget,
    ) -> Result<(), MethodError> {
        // API Gateway's: `{}` for a blank string.
        if self == Self::EscapeJavaScript && text.trim().is_empty() {
            budget.steps(1 + text.len() as u64 / 16)?;
            out.push_str("{}");
            return Ok(());
        }
        self.write_encoded(text, out, budget)
    }

    fn write_encoded(
        self,
        text: &str,
        out: &mut String,
        budget: &mut Budget,
    ) -> Result<(), MethodError> {
        // The longest result has six characters for one: `\u00ff`.
        budget.steps(1 + text.len() as u64 / 16)?;
        budget.allocate(text.len())?;
        match self {
            Self::EscapeJavaScript => encode::escape_java_script(text, out),
            Self::UrlEncode => encode::url_encode(text, out),
            Self::UrlDecode => out.push_str(&url_decode(text)?),
            Self::Base64Encode => STANDARD.encode_string(text, out),
            Self::Base64Decode => out.push_str(&base64_decode(text)?),
        }
        Ok(())
    }
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
        Value::String(text) => json::parse_text(text.clone(), budget)?,
        value => json::parse_copy(&text_of(value, budget)?, budget)?,
    };
    parsed.ok_or_else(|| MethodError::thrown("$util.parseJson: the text is not JSON".to_owned()))
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
    let thrown = |message: &str| MethodError::thrown(format!("URLDecoder: {message}"));
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
    let thrown = |error| MethodError::thrown(format!("$util.base64Decode: {error}"));
    let bytes = BASE64_DECODER.decode(text).map_err(thrown)?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

#[cfg(test)]
mod tests;
