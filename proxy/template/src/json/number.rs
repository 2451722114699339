//! Numbers with the Java types json-smart gives them.

use std::str::FromStr;

use bigdecimal::BigDecimal;
use num_bigint::BigInt;

use crate::limits::MAX_JSON_NUMBER_CHARACTERS;
use crate::value::Number;

/// json-smart makes a `BigDecimal` of a longer text and a `Double` of any other.
pub(super) const MAX_DOUBLE_CHARACTERS: u32 = 18;

/// Digits of which a double keeps all.
pub(super) const MAX_EXACT_DIGITS: usize = 15;

/// Digits before the point of a double that Java writes without an exponent.
pub(super) const MAX_WHOLE_DIGITS: usize = 7;

/// The number that a JSON text stands for: the smallest of `Integer`, `Long` and `BigInteger`
/// for digits only, `Double` or `BigDecimal` for others. `None`: it is none, longer than
/// [`MAX_JSON_NUMBER_CHARACTERS`], or its exponent is more than Java's `BigDecimal` takes.
pub(crate) fn number(text: &str) -> Option<Number> {
    if text.len() > MAX_JSON_NUMBER_CHARACTERS {
        return None;
    }
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
    if text.len() <= MAX_DOUBLE_CHARACTERS as usize {
        return text.parse().ok().map(Number::Double);
    }
    let number = BigDecimal::from_str(text).ok()?;
    i32::try_from(number.fractional_digit_count()).ok()?;
    Some(Number::BigDecimal(Box::new(number)))
}

/// What Java writes for the double of a JSON number with a fraction, where that is the start of
/// its text: up to 15 digits without an exponent, between 0.001 and 10 million, or zero. `None`:
/// only the conversion can tell.
pub(super) fn java_double(text: &str) -> Option<&str> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (1, digits),
        None => (0, text),
    };
    let point = digits.bytes().position(|byte| byte == b'.')?;
    let (whole, fraction) = (&digits.as_bytes()[..point], &digits.as_bytes()[point + 1..]);
    if whole.len() > MAX_WHOLE_DIGITS
        || whole.len() + fraction.len() > MAX_EXACT_DIGITS
        || !fraction.iter().all(u8::is_ascii_digit)
    {
        return None;
    }
    let zeros = fraction.iter().rev().take_while(|digit| **digit == b'0').count();
    let kept = (fraction.len() - zeros).max(1);
    let leading_zeros = fraction.iter().take_while(|digit| **digit == b'0').count();
    if whole == b"0" && leading_zeros > 2 && leading_zeros < fraction.len() {
        return None;
    }
    text.get(..sign + point + 1 + kept)
}

/// Steps to convert a number of so many characters: the work grows with their square.
pub(super) fn steps(characters: usize) -> u64 {
    let units = (characters / 64) as u64;
    units.saturating_mul(units)
}

#[cfg(test)]
mod tests {
    use super::{java_double, number};
    use crate::limits::Budget;
    use crate::methods::write_text;
    use crate::value::Value;

    #[test]
    fn a_double_whose_text_starts_as_java_writes_it_need_not_be_converted() {
        for (text, expected) in [
            ("1.5", Some("1.5")),
            ("-129.00", Some("-129.0")),
            ("0.00", Some("0.0")),
            ("-0.0", Some("-0.0")),
            ("0.001", Some("0.001")),
            ("0.0010", Some("0.001")),
            ("0.0009", None),
            ("9999999.25", Some("9999999.25")),
            ("10000000.0", None),
            ("1.5e3", None),
            ("1e3", None),
            ("1234567.12345678", Some("1234567.12345678")),
            ("1234567.123456789", None),
        ] {
            assert_eq!(java_double(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_converted_is_what_conversion_gives() {
        let mut random = fastrand::Rng::with_seed(5);
        let mut same = 0;
        for _ in 0..50_000 {
            let sign = if random.bool() { "-" } else { "" };
            let (digits, width) = (random.u32(..9), random.usize(1..12));
            let whole = random.u64(..10u64.pow(digits));
            let digits = random.u32(..=width as u32);
            let fraction = random.u64(..10u64.pow(digits));
            let text = format!("{sign}{whole}.{fraction:0width$}");
            let Some(short) = java_double(&text) else { continue };
            let number = Value::Number(number(&text).expect("a number"));
            let mut written = String::new();
            write_text(&number, &mut written, &mut Budget::default()).expect("short");
            assert_eq!(short, written, "{text}");
            same += 1;
        }
        assert!(same > 10_000, "{same}");
    }
}
