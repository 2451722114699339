//! Java's `hashCode` of values.

use num_bigint::{BigInt, Sign};

use super::MethodError;
use crate::limits::{Budget, LimitExceeded, MAX_JSON_NESTING};
use crate::value::{Key, ListKind, Number, Value};

/// 0 for objects whose hash code is their address in Java.
pub(super) fn hash_code(value: &Value<'_>, budget: &mut Budget) -> Result<i32, MethodError> {
    Ok(hash_within(value, budget, 0)?)
}

fn hash_within(value: &Value<'_>, budget: &mut Budget, depth: usize) -> Result<i32, LimitExceeded> {
    if depth > MAX_JSON_NESTING {
        return Err(LimitExceeded::ValueNesting);
    }
    budget.steps(1)?;
    Ok(match value {
        Value::Boolean(value) => boolean(*value),
        Value::String(text) => {
            super::scan(text.as_str().len(), budget)?;
            string(text.as_str())
        }
        Value::Character(value) => *value as i32,
        Value::Number(value) => number(value),
        Value::List(list) if list.kind == ListKind::Set => {
            let mut hash = 0i32;
            for item in list.items.borrow().iter() {
                hash = hash.wrapping_add(hash_within(item, budget, depth + 1)?);
            }
            hash
        }
        Value::List(list) => {
            let mut hash = 1i32;
            for item in list.items.borrow().iter() {
                hash = hash.wrapping_mul(31).wrapping_add(hash_within(item, budget, depth + 1)?);
            }
            hash
        }
        Value::Map(map) => {
            let mut hash = 0i32;
            for (key, value) in map.entries.borrow().iter() {
                hash = hash.wrapping_add(key_hash(key) ^ hash_within(value, budget, depth + 1)?);
            }
            hash
        }
        Value::Entry(entry) => {
            hash_within(&entry.0, budget, depth + 1)? ^ hash_within(&entry.1, budget, depth + 1)?
        }
        Value::Null | Value::Input | Value::Util | Value::Scope(_) | Value::Block(_) => 0,
    })
}

pub(super) fn string(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

fn boolean(value: bool) -> i32 {
    if value { 1231 } else { 1237 }
}

fn long(value: i64) -> i32 {
    (value ^ ((value as u64 >> 32) as i64)) as i32
}

fn number(number: &Number) -> i32 {
    match number {
        Number::Integer(value) => *value,
        Number::Long(value) => long(*value),
        Number::BigInteger(value) => big_integer(value),
        Number::Double(value) if value.is_nan() => long(f64::NAN.to_bits() as i64),
        Number::Double(value) => long(value.to_bits() as i64),
        Number::BigDecimal(value) => {
            let (digits, scale) = value.as_bigint_and_exponent();
            big_integer(&digits).wrapping_mul(31).wrapping_add(scale as i32)
        }
    }
}

fn big_integer(value: &BigInt) -> i32 {
    let hash = value
        .magnitude()
        .iter_u32_digits()
        .rev()
        .fold(0i32, |hash, digit| hash.wrapping_mul(31).wrapping_add(digit as i32));
    if value.sign() == Sign::Minus { hash.wrapping_neg() } else { hash }
}

fn key_hash(key: &Key<'_>) -> i32 {
    match key {
        Key::Null => 0,
        Key::Boolean(value) => boolean(*value),
        Key::String(text) => string(text.as_str()),
        Key::Integer(value) => *value,
        Key::Long(value) => long(*value),
        Key::Other(text) => string(text),
    }
}
