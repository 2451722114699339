//! The messages of keywords, word for word those of the validator that API Gateway uses.

use serde_json::Value;

use super::number::compare;
use super::schema::{Keyword, Types};

/// Bytes of one value in a message.
const MAX_SHOWN_BYTES: usize = 1_024;

/// The start of a text, as much as is shown of it.
pub(super) fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_SHOWN_BYTES)]
}

/// Code points, as API Gateway's validator counts.
pub(super) fn characters(text: &str) -> usize {
    text.chars().count()
}

pub(super) fn json(value: &impl serde::Serialize) -> String {
    let mut text = serde_json::to_string(value).unwrap_or_default();
    text.truncate(text.floor_char_boundary(MAX_SHOWN_BYTES));
    text
}

/// What is said of a value for which a keyword does not hold.
pub(super) fn message(keyword: &Keyword, value: &Value) -> String {
    let size = match value {
        Value::Array(items) => items.len(),
        Value::Object(object) => object.len(),
        Value::String(text) => characters(text),
        _ => 0,
    };
    let text = || shortened(value.as_str().unwrap_or_default());
    match keyword {
        Keyword::AdditionalItems(most) => {
            format!("schema only allows {most} elements in array but instance has {size} elements")
        }
        Keyword::MaxItems(most) => format!(
            "array is too long: must have at most {most} elements but instance has {size} elements"
        ),
        Keyword::MinItems(least) => format!(
            "array is too short: must have at least {least} elements but instance has {size} elements"
        ),
        Keyword::UniqueItems => "array must not contain duplicate elements".to_owned(),
        Keyword::MaxLength(most) => {
            format!("string \"{}\" is too long (length: {size}, maximum allowed: {most})", text())
        }
        Keyword::MinLength(least) => format!(
            "string \"{}\" is too short (length: {size}, required minimum: {least})",
            text()
        ),
        Keyword::Pattern { text: pattern, .. } => {
            format!("ECMA 262 regex \"{pattern}\" does not match input string \"{}\"", text())
        }
        Keyword::MaxProperties(most) => format!(
            "object has too many properties (found {size} but schema requires at most {most})"
        ),
        Keyword::MinProperties(least) => format!(
            "object has too few properties (found {size} but schema requires at least {least})"
        ),
        Keyword::Maximum { limit, .. } if is_at(value, limit) => {
            format!("numeric instance is not strictly lower than the required maximum {limit}")
        }
        Keyword::Maximum { limit, .. } => format!(
            "numeric instance is greater than the required maximum (maximum: {limit}, found: {value})"
        ),
        Keyword::Minimum { limit, .. } if is_at(value, limit) => {
            format!("numeric instance is not strictly greater than the required minimum {limit}")
        }
        Keyword::Minimum { limit, .. } => format!(
            "numeric instance is lower than the required minimum (minimum: {limit}, found: {value})"
        ),
        Keyword::MultipleOf(divisor) => {
            format!("remainder of division is not zero ({value} / {divisor})")
        }
        Keyword::Enum(enumeration) => format!(
            "instance value ({}) not found in enum (possible values: {})",
            json(value),
            shortened(&enumeration.text)
        ),
        Keyword::Type(types) => format!(
            "instance type ({}) does not match any allowed primitive type (allowed: {types})",
            Types::name(value)
        ),
        Keyword::Not(_) => "instance matched a schema which it should not have".to_owned(),
        // Said where the members or the schemas that match are known.
        Keyword::AdditionalProperties
        | Keyword::AllOf(_)
        | Keyword::AnyOf(_)
        | Keyword::Dependencies(_)
        | Keyword::OneOf(_)
        | Keyword::Required(_) => String::new(),
    }
}

fn is_at(value: &Value, limit: &serde_json::Number) -> bool {
    matches!(value, Value::Number(number) if compare(number, limit).is_eq())
}
