//! Numbers and JSON values as schemas compare them: by what they mean, so that `1` is `1.0`.

use std::cmp::Ordering;
use std::hash::{BuildHasher, Hash, Hasher};

use serde_json::{Number, Value};

/// From here on a whole number in a body is read as a floating-point one.
const BEYOND_INTEGERS: f64 = 18_446_744_073_709_551_616.0;

/// Whether the number is written without fraction and exponent. `1.0` is none, as in API
/// Gateway; beyond 64 bits the two can't be told apart, and are taken for integers.
pub(super) fn is_integer(number: &Number) -> bool {
    match number.as_f64() {
        _ if number.is_i64() || number.is_u64() => true,
        Some(float) => float.abs() >= BEYOND_INTEGERS,
        None => false,
    }
}

fn whole(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

fn float(number: &Number) -> f64 {
    number.as_f64().unwrap_or(f64::MAX)
}

pub(super) fn compare(left: &Number, right: &Number) -> Ordering {
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        (Some(left), None) => compare_mixed(left, float(right)),
        (None, Some(right)) => compare_mixed(right, float(left)).reverse(),
        (None, None) => float(left).partial_cmp(&float(right)).unwrap_or(Ordering::Equal),
    }
}

/// Exact: no 64-bit number is rounded.
fn compare_mixed(whole: i128, float: f64) -> Ordering {
    // Saturates, far beyond any 64-bit number.
    let floor = float.floor() as i128;
    whole.cmp(&floor).then(if float > float.floor() { Ordering::Less } else { Ordering::Equal })
}

/// Whether `number` is a multiple of `divisor`, in decimal arithmetic.
pub(super) fn is_multiple(number: &Number, divisor: &Number) -> bool {
    let (number, divisor) = (Decimal::new(number), Decimal::new(divisor));
    if number.digits == 0 {
        return true;
    }
    if divisor.digits == 0 {
        return false;
    }
    match number.exponent.checked_sub(divisor.exponent) {
        None => false,
        // 64 bits times 64 bits never overflow.
        Some(exponent @ 0..) => {
            let power = power_modulo(exponent.unsigned_abs(), divisor.digits);
            (number.digits % divisor.digits * power).is_multiple_of(divisor.digits)
        }
        Some(exponent) => 10_u128
            .checked_pow(exponent.unsigned_abs())
            .and_then(|power| power.checked_mul(divisor.digits))
            .is_some_and(|divisor| number.digits.is_multiple_of(divisor)),
    }
}

/// 10 to `exponent`, modulo `modulus`, which is below 2^64.
fn power_modulo(mut exponent: u32, modulus: u128) -> u128 {
    let (mut result, mut base) = (1 % modulus, 10 % modulus);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result * base % modulus;
        }
        base = base * base % modulus;
        exponent >>= 1;
    }
    result
}

/// `digits` times ten to `exponent`, without its sign.
struct Decimal {
    /// Below 2^64.
    digits: u128,
    exponent: i32,
}

impl Decimal {
    fn new(number: &Number) -> Self {
        if let Some(whole) = whole(number) {
            return Self { digits: whole.unsigned_abs(), exponent: 0 };
        }
        // The shortest text that is this number: at most 17 digits.
        let text = number.to_string();
        let (text, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
        let mut exponent: i32 = exponent.parse().unwrap_or(0);
        let mut digits: u128 = 0;
        let mut after_point = false;
        // Trailing zeros of `100000000000000000000.0` say nothing and could overflow.
        let significant = if text.contains('.') { text.trim_end_matches('0') } else { text };
        for byte in significant.bytes() {
            match byte {
                b'.' => after_point = true,
                b'0'..=b'9' => {
                    if digits >= u128::from(u64::MAX) / 10 {
                        exponent += i32::from(!after_point);
                        continue;
                    }
                    digits = digits * 10 + u128::from(byte - b'0');
                    exponent -= i32::from(after_point);
                }
                _ => {}
            }
        }
        Self { digits, exponent }
    }
}

/// Whether two values are the same to `enum` and `uniqueItems`.
pub(super) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => compare(left, right) == Ordering::Equal,
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(l, r)| equal(l, r))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, l)| right.get(key).is_some_and(|r| equal(l, r)))
        }
        _ => left == right,
    }
}

/// A hash that is the same for values that are [`equal`].
pub(super) fn hash(value: &Value, random: &impl BuildHasher) -> u64 {
    let mut hasher = random.build_hasher();
    match value {
        Value::Null => 0_u8.hash(&mut hasher),
        Value::Bool(flag) => flag.hash(&mut hasher),
        Value::Number(number) => {
            2_u8.hash(&mut hasher);
            let float = float(number);
            match whole(number) {
                Some(whole) => whole.hash(&mut hasher),
                None if float == float.trunc() => (float as i128).hash(&mut hasher),
                None => float.to_bits().hash(&mut hasher),
            }
        }
        Value::String(text) => text.hash(&mut hasher),
        Value::Array(items) => {
            3_u8.hash(&mut hasher);
            items.iter().for_each(|item| hash(item, random).hash(&mut hasher));
        }
        Value::Object(members) => {
            4_u8.hash(&mut hasher);
            // In any order.
            let member = |(key, value): (&String, &Value)| {
                random.hash_one(key).rotate_left(7) ^ hash(value, random)
            };
            members.iter().map(member).fold(0, u64::wrapping_add).hash(&mut hasher);
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::hash::RandomState;

    use serde_json::{Value, json};

    use super::{Number, compare, equal, hash, is_integer, is_multiple};

    fn number(text: &str) -> Number {
        serde_json::from_str(text).expect("a number")
    }

    #[test]
    fn numbers_compare_by_value() {
        let ascending = [
            "-1e300",
            "-9223372036854775808",
            "-1.5",
            "-1",
            "-0.5",
            "0",
            "1e-300",
            "0.1",
            "1",
            "1.5",
            "2",
            "9007199254740993",
            "9007199254740994.0",
            "18446744073709551615",
            "18446744073709551616",
            "1e300",
        ];
        for (l, left) in ascending.iter().enumerate() {
            for (r, right) in ascending.iter().enumerate() {
                assert_eq!(compare(&number(left), &number(right)), l.cmp(&r), "{left} {right}");
            }
        }
    }

    #[test]
    fn integers_are_written_without_fraction() {
        for (text, expected) in [
            ("1", true),
            ("-1", true),
            ("0", true),
            ("1.0", false),
            ("1e2", false),
            ("1.5", false),
            ("18446744073709551615", true),
            ("123456789012345678901234567890", true),
        ] {
            assert_eq!(is_integer(&number(text)), expected, "{text}");
        }
    }

    #[test]
    fn multiples_are_decimal() {
        for (text, divisor, expected) in [
            ("10", "5", true),
            ("11", "5", false),
            ("-10", "5", true),
            ("0", "0.3", true),
            ("0.3", "0.1", true),
            ("4.35", "0.01", true),
            ("4.355", "0.01", false),
            ("0.0075", "0.0001", true),
            ("0.00751", "0.0001", false),
            ("7.5", "5", false),
            ("1e20", "10", true),
            ("1e300", "3", false),
            ("3e300", "3", true),
            ("1e-300", "3", false),
            ("1", "1e-300", true),
            ("1", "0", false),
            ("100000000000000000000.0", "7", false),
            ("700000000000000000000.0", "7", true),
            ("18446744073709551615", "18446744073709551615", true),
        ] {
            assert_eq!(is_multiple(&number(text), &number(divisor)), expected, "{text} {divisor}");
        }
    }

    #[test]
    fn equal_values_hash_alike() {
        let random = RandomState::new();
        let values = [
            json!(1),
            json!(1.0),
            json!({"a": 1, "b": [1.5, -0.0]}),
            serde_json::from_str::<Value>("{\"b\": [1.5, 0], \"a\": 1.0}").expect("JSON"),
            json!(1e300),
            json!("1"),
            json!(null),
            json!([]),
            json!({}),
        ];
        for left in &values {
            for right in &values {
                if equal(left, right) {
                    assert_eq!(hash(left, &random), hash(right, &random), "{left} {right}");
                }
            }
        }
        assert!(equal(&values[0], &values[1]) && equal(&values[2], &values[3]));
        assert!(!equal(&values[0], &values[5]));
    }
}
