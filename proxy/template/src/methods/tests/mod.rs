//! Calls and the texts of their results, as Java 17 gives them.

mod strings;
mod patterns;
mod formats;
mod collections;
mod numbers;

use super::{MethodError, call, write_text};
use crate::limits::Budget;
use crate::value::Value;

/// The text of a call's result. `no method`; an exception by its text.
fn text_of<'t>(receiver: &Value<'t>, name: &str, arguments: &[Value<'t>]) -> String {
    let mut budget = Budget::default();
    match call(receiver, name.into(), arguments, &mut budget) {
        Ok(None) => "no method".to_owned(),
        Ok(Some(Value::Null)) => "null".to_owned(),
        Ok(Some(value)) => printed(&value),
        Err(MethodError::Thrown(message)) => *message,
        Err(MethodError::Limit(limit)) => limit.to_string(),
    }
}

fn printed(value: &Value<'_>) -> String {
    let mut out = String::new();
    match write_text(value, &mut out, &mut Budget::default()) {
        Ok(()) => out,
        Err(limit) => limit.to_string(),
    }
}

/// Checks calls: receiver, method, arguments, result.
fn check<'t>(table: &[(Value<'t>, &str, &[Value<'t>], &str)]) {
    for (receiver, name, arguments, expected) in table {
        let result = text_of(receiver, name, arguments);
        assert_eq!(result, *expected, "{receiver:?}.{name}({arguments:?})");
    }
}
