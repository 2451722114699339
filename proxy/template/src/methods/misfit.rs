//! Calls whose arguments fit no method, where Java throws all the same.
//!
//! Velocity takes a method without parameters for any number of arguments, and finds the
//! `compareTo(Object)` that Java's compiler adds to each `compareTo`.

use super::{Outcome, null_pointer, thrown};
use crate::value::{ListKind, Number, Value};

/// `None`: there is no such method.
pub(super) fn refuse<'t>(receiver: &Value<'t>, name: &str, arguments: &[Value<'t>]) -> Outcome<'t> {
    match (name, arguments) {
        (_, []) => Ok(None),
        ("compareTo", [argument]) if is_comparable(receiver) => match argument {
            Value::Null => null_pointer(),
            _ => thrown("ClassCastException", "the argument is of another class"),
        },
        _ if has_no_parameters(receiver, name) => {
            thrown("IllegalArgumentException", "wrong number of arguments")
        }
        _ => Ok(None),
    }
}

/// `Integer.hashCode(int)` and its like.
pub(super) fn is_static_hash(receiver: &Value<'_>, argument: &Value<'_>) -> bool {
    match (receiver, argument) {
        (Value::Number(own), Value::Number(other)) => {
            std::mem::discriminant(own) == std::mem::discriminant(other)
                && !matches!(own, Number::BigInteger(_) | Number::BigDecimal(_))
        }
        (Value::Boolean(_), Value::Boolean(_)) => true,
        (Value::Character(_), Value::Character(_)) => true,
        _ => false,
    }
}

fn is_comparable(receiver: &Value<'_>) -> bool {
    matches!(
        receiver,
        Value::String(_) | Value::Boolean(_) | Value::Character(_) | Value::Number(_)
    )
}

fn has_no_parameters(receiver: &Value<'_>, name: &str) -> bool {
    if matches!(name, "toString" | "hashCode") {
        return true;
    }
    match receiver {
        Value::String(_) => matches!(
            name,
            "length"
                | "isEmpty"
                | "isBlank"
                | "trim"
                | "strip"
                | "stripLeading"
                | "stripTrailing"
                | "stripIndent"
                | "translateEscapes"
                | "toLowerCase"
                | "toUpperCase"
                | "toCharArray"
                | "getBytes"
                | "intern"
                | "chars"
                | "codePoints"
                | "lines"
        ),
        Value::List(list) => of_collection(list.kind, name),
        Value::Map(_) => matches!(
            name,
            "size" | "isEmpty" | "clear" | "clone" | "keySet" | "values" | "entrySet"
        ),
        Value::Entry(_) => matches!(name, "getKey" | "getValue"),
        Value::Boolean(_) => name == "booleanValue",
        Value::Character(_) => name == "charValue",
        Value::Number(number) => of_number(number, name),
        Value::Null | Value::Input | Value::Util | Value::Scope(_) | Value::Block(_) => false,
    }
}

fn of_collection(kind: ListKind, name: &str) -> bool {
    match name {
        "size" | "isEmpty" | "clear" | "iterator" | "toArray" | "stream" | "parallelStream"
        | "spliterator" => true,
        "listIterator" => !kind.is_view(),
        "clone" | "trimToSize" => matches!(kind, ListKind::Json | ListKind::Java),
        _ => false,
    }
}

fn of_number(number: &Number, name: &str) -> bool {
    match name {
        "intValue" | "longValue" | "doubleValue" | "floatValue" | "shortValue" | "byteValue" => {
            return true;
        }
        _ => {}
    }
    match number {
        Number::Integer(_) | Number::Long(_) => false,
        Number::Double(_) => matches!(name, "isNaN" | "isInfinite"),
        Number::BigInteger(_) => matches!(
            name,
            "abs"
                | "negate"
                | "signum"
                | "not"
                | "sqrt"
                | "bitCount"
                | "bitLength"
                | "getLowestSetBit"
                | "toByteArray"
                | "nextProbablePrime"
                | "intValueExact"
                | "longValueExact"
        ),
        Number::BigDecimal(_) => matches!(
            name,
            "scale"
                | "precision"
                | "signum"
                | "unscaledValue"
                | "toBigInteger"
                | "toPlainString"
                | "toEngineeringString"
                | "stripTrailingZeros"
                | "ulp"
                | "toBigIntegerExact"
                | "intValueExact"
                | "longValueExact"
        ),
    }
}
