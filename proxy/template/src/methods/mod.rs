//! The methods and properties templates use on strings, lists, maps and numbers, with Java 17's
//! results.
//!
//! Velocity finds a method by the classes of the arguments: an `int` parameter takes an `Integer`
//! and no `Long`, a null takes any parameter that is an object. A method that isn't there makes
//! the reference null; one that throws fails the template.
//!
//! | Receiver | Module |
//! |---|---|
//! | string | [`string`], with [`pattern`] and [`format`] |
//! | list, array | [`list`] |
//! | map, entry | [`map`] |
//! | number | [`number`] |
//! | boolean, character | [`scalar`] |
//! | any, when the arguments don't fit | [`misfit`] |
//!
//! Not served, for safety: `getClass`, `wait`, `notify`, and the hash codes of objects that have
//! no value. A list or map can't be put into itself ([`crate::value::reaches`]): Java allows it,
//! here the circle would never be freed.

mod utf16;
mod digits;
mod text;
mod name;
mod hash;
mod pattern;
mod format;
mod string;
mod list;
mod map;
mod number;
mod parse;
mod scalar;
mod misfit;
#[cfg(test)]
mod tests;

pub(crate) use self::name::{MethodName, StringMethod};
pub(crate) use self::text::write_text;
pub use pattern::{JavaPattern, JavaPatternError};

use crate::limits::{Budget, LimitExceeded};
use crate::value::{ListKind, Number, Text, Value, java_equals, reaches};

/// A method that exists failed: Java threw. The template fails with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MethodError {
    #[error("{0}")]
    #[expect(clippy::box_collection, reason = "outcomes are passed on everywhere and stay small")]
    Thrown(Box<String>),
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
}

/// `None`: no such method.
type Outcome<'t> = Result<Option<Value<'t>>, MethodError>;

impl MethodError {
    pub(crate) fn thrown(message: impl Into<String>) -> Self {
        Self::Thrown(Box::new(message.into()))
    }
}

/// Calls `receiver.name(arguments)`. `None`: Java has no such method for these arguments, which
/// makes the reference null.
pub(crate) fn call<'t>(
    receiver: &Value<'t>,
    name: MethodName<'_>,
    arguments: &[Value<'t>],
    budget: &mut Budget,
) -> Outcome<'t> {
    budget.steps(1)?;
    if let (Value::String(text), Some(method)) = (receiver, name.of_string) {
        return string::call(text, method, arguments, budget);
    }
    let name = name.text;
    let own = match receiver {
        Value::String(_) => Ok(None),
        Value::List(list) => list::call(list, name, arguments, budget),
        Value::Map(map) => map::call(map, name, arguments, budget),
        Value::Entry(entry) => Ok(map::call_entry(entry, name, arguments)),
        Value::Number(number) => number::call(number, name, arguments, budget),
        Value::Boolean(value) => scalar::call_boolean(*value, name, arguments),
        Value::Character(value) => scalar::call_character(*value, name, arguments),
        Value::Null | Value::Input | Value::Util | Value::Scope(_) | Value::Block(_) => {
            return Ok(None);
        }
    };
    match own {
        Ok(None) => call_any(receiver, name, arguments, budget),
        own => own,
    }
}

/// A call of what every object has, or that fits no method.
fn call_any<'t>(
    receiver: &Value<'t>,
    name: &str,
    arguments: &[Value<'t>],
    budget: &mut Budget,
) -> Outcome<'t> {
    match call_object(receiver, name, arguments, budget)? {
        Some(value) => Ok(Some(value)),
        None => misfit::refuse(receiver, name, arguments),
    }
}

/// What every object has.
fn call_object<'t>(
    receiver: &Value<'t>,
    name: &str,
    arguments: &[Value<'t>],
    budget: &mut Budget,
) -> Outcome<'t> {
    Ok(Some(match (name, arguments) {
        ("toString", []) => Value::String(to_text(receiver, budget)?),
        ("equals", [other]) => java_equals(receiver, other, budget)?.into(),
        ("hashCode", []) => hash::hash_code(receiver, budget)?.into(),
        ("hashCode", [other]) if misfit::is_static_hash(receiver, other) => {
            hash::hash_code(other, budget)?.into()
        }
        _ => return Ok(None),
    }))
}

/// `receiver.name`, as Velocity resolves it: a map's entry, or a `getName()` or `isName()`.
pub(crate) fn property<'t>(receiver: &Value<'t>, name: &str) -> Option<Value<'t>> {
    match receiver {
        Value::Map(map) => map.get(name),
        Value::Entry(entry) => match name {
            "key" | "Key" => Some(entry.0.clone()),
            "value" | "Value" => Some(entry.1.clone()),
            _ => None,
        },
        Value::String(text) => match name {
            "empty" | "Empty" => Some(text.as_str().is_empty().into()),
            "blank" | "Blank" => Some(string::is_blank(text.as_str()).into()),
            "bytes" | "Bytes" => Some(string::bytes(text.as_str())),
            _ => None,
        },
        Value::List(list) => match name {
            "empty" | "Empty" if list.kind != ListKind::Array => Some(list.items.is_empty().into()),
            _ => None,
        },
        Value::Number(Number::Double(value)) => match name {
            "naN" | "NaN" => Some(value.is_nan().into()),
            "infinite" | "Infinite" => Some(value.is_infinite().into()),
            _ => None,
        },
        Value::Number(Number::BigInteger(value)) => match name {
            "lowestSetBit" | "LowestSetBit" => {
                Some(value.trailing_zeros().map_or(-1, |bit| bit as i32).into())
            }
            _ => None,
        },
        _ => None,
    }
}

/// What a method without a result leaves as its reference's value, for Velocity.
fn void<'t>() -> Value<'t> {
    Value::String(Text::Borrowed(""))
}

fn thrown<T>(exception: &str, message: impl std::fmt::Display) -> Result<T, MethodError> {
    Err(MethodError::thrown(format!("java.lang.{exception}: {message}")))
}

fn null_pointer<T>() -> Result<T, MethodError> {
    Err(MethodError::thrown("java.lang.NullPointerException".to_owned()))
}

/// `String.valueOf`: a string itself, without a copy.
fn to_text<'t>(value: &Value<'t>, budget: &mut Budget) -> Result<Text<'t>, LimitExceeded> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Null => Ok(Text::Borrowed("null")),
        Value::Boolean(true) => Ok(Text::Borrowed("true")),
        Value::Boolean(false) => Ok(Text::Borrowed("false")),
        other => {
            let mut out = String::new();
            write_text(other, &mut out, budget)?;
            made(out, budget)
        }
    }
}

/// Charges for a string that was made.
fn made<'t>(text: String, budget: &mut Budget) -> Result<Text<'t>, LimitExceeded> {
    budget.allocate(text.len())?;
    Ok(text.into())
}

/// Charges for reading `bytes` bytes.
fn scan(bytes: usize, budget: &mut Budget) -> Result<(), LimitExceeded> {
    match bytes / 1024 {
        0 => Ok(()),
        blocks => budget.steps(blocks as u64),
    }
}

/// Charges for entries added to a list or map, and refuses a circle.
fn charge_entry<'t>(
    container: &Value<'t>,
    item: &Value<'t>,
    budget: &mut Budget,
) -> Result<(), MethodError> {
    budget.allocate(2 * size_of::<Value<'_>>())?;
    let holds_values =
        matches!(item, Value::List(_) | Value::Map(_) | Value::Entry(_) | Value::Scope(_));
    if holds_values && reaches(item, container, budget)? {
        return thrown("IllegalArgumentException", "a list or map can't be put into itself");
    }
    Ok(())
}
