//! Numbers with the Java types json-smart gives them.

use std::str::FromStr;

use bigdecimal::BigDecimal;
use num_bigint::BigInt;

use crate::value::Number;

/// json-smart makes a `BigDecimal` of a longer text and a `Double` of any other.
const MAX_DOUBLE_CHARACTERS: usize = 18;

/// The number that a JSON text stands for: the smallest of `Integer`, `Long` and `BigInteger`
/// for digits only, `Double` or `BigDecimal` for others. `None`: it is none, or its exponent is
/// more than Java's `BigDecimal` takes.
pub(crate) fn number(text: &str) -> Option<Number> {
    if text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
        fraction(text)
    } else {
        integer(text)
    }
}

fn integer(text: &str) -> Option<Number> {
    match text.parse::<i64>() {
        Ok(long) => Some(match i32::try_from(long) {
            Ok(integer) => Number::Integer(integer),
            Err(_) => Number::Long(long),
        }),
        Err(_) => Some(Number::BigInteger(Box::new(BigInt::from_str(text).ok()?))),
    }
}

fn fraction(text: &str) -> Option<Number> {
    if text.len() <= MAX_DOUBLE_CHARACTERS {
        return text.parse().ok().map(Number::Double);
    }
    let number = BigDecimal::from_str(text).ok()?;
    i32::try_from(number.fractional_digit_count()).ok()?;
    Some(Number::BigDecimal(Box::new(number)))
}

/// Steps to convert a number of so many characters: the work grows with their square.
pub(super) fn steps(characters: usize) -> u64 {
    let units = (characters / 64) as u64;
    units.saturating_mul(units)
}
