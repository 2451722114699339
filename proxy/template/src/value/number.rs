//! Conversions and comparison of Java's numbers.

use std::cmp::Ordering;

use bigdecimal::BigDecimal;
use num_bigint::{BigInt, Sign};

use super::Number;

/// Decimal digits an integer made of a decimal may get: `1E999999999` has too many to write out.
const MAX_INTEGER_DIGITS: i64 = 10_000;

impl Number {
    /// Whether Velocity calculates with it as an integer.
    pub(crate) fn is_integral(&self) -> bool {
        matches!(self, Self::Integer(_) | Self::Long(_) | Self::BigInteger(_))
    }

    /// Steps of converting it between binary and decimal digits, which grows with their square.
    pub(crate) fn steps_of_conversion(&self) -> u64 {
        let bits = match self {
            Self::Integer(_) | Self::Long(_) | Self::Double(_) => return 0,
            Self::BigInteger(value) => value.bits(),
            Self::BigDecimal(value) => value.as_bigint_and_scale().0.bits(),
        };
        let words = bits / 64;
        words.saturating_mul(words) / 32
    }

    /// Java's `intValue()`.
    pub(crate) fn to_i32(&self) -> i32 {
        match self {
            Self::Integer(value) => *value,
            // Saturates as Java does, NaN becomes 0.
            Self::Double(value) => *value as i32,
            other => other.to_i64() as i32,
        }
    }

    /// Java's `longValue()`.
    pub(crate) fn to_i64(&self) -> i64 {
        match self {
            Self::Integer(value) => i64::from(*value),
            Self::Long(value) => *value,
            Self::BigInteger(value) => low_bits(value),
            Self::Double(value) => *value as i64,
            // More than 64 zeros at the end: the low 64 bits are zero.
            Self::BigDecimal(value) if value.fractional_digit_count() <= -64 => 0,
            Self::BigDecimal(value) => truncated(value).map_or(0, |value| low_bits(&value)),
        }
    }

    /// Java's `doubleValue()`.
    pub(crate) fn to_f64(&self) -> f64 {
        match self {
            Self::Integer(value) => f64::from(*value),
            Self::Long(value) => *value as f64,
            // Beyond the largest double.
            Self::BigInteger(value) if value.bits() > 1024 => match value.sign() {
                Sign::Minus => f64::NEG_INFINITY,
                _ => f64::INFINITY,
            },
            Self::BigInteger(value) => value.to_string().parse().unwrap_or(f64::NAN),
            Self::Double(value) => *value,
            Self::BigDecimal(value) => {
                let (digits, scale) = value.as_bigint_and_exponent();
                format!("{digits}e{}", i128::from(scale).saturating_neg())
                    .parse()
                    .unwrap_or(f64::NAN)
            }
        }
    }

    /// Without its fraction. `None`: NaN, infinite, or a decimal of too many digits.
    pub(crate) fn to_big_integer(&self) -> Option<BigInt> {
        match self {
            Self::Integer(value) => Some(BigInt::from(*value)),
            Self::Long(value) => Some(BigInt::from(*value)),
            Self::BigInteger(value) => Some(value.as_ref().clone()),
            Self::Double(value) => truncated(&exact_decimal(*value)?),
            Self::BigDecimal(value) => truncated(value),
        }
    }

    /// The exact value, as `new BigDecimal(…)`. `None`: NaN or infinite.
    pub(crate) fn to_big_decimal(&self) -> Option<BigDecimal> {
        match self {
            Self::Integer(value) => Some(BigDecimal::new(BigInt::from(*value), 0)),
            Self::Long(value) => Some(BigDecimal::new(BigInt::from(*value), 0)),
            Self::BigInteger(value) => Some(BigDecimal::new(value.as_ref().clone(), 0)),
            Self::Double(value) => exact_decimal(*value),
            Self::BigDecimal(value) => Some(value.as_ref().clone()),
        }
    }

    /// Velocity's comparison across types. NaN is neither less nor greater than any double.
    /// `None`: one is NaN or infinite and the other can't be compared with that (Java throws).
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        let is_big = |number: &Self| matches!(number, Self::BigInteger(_) | Self::BigDecimal(_));
        match (self, other) {
            (Self::BigInteger(a), Self::BigInteger(b)) => Some(a.cmp(b)),
            (a, b) if a.is_integral() && b.is_integral() => {
                if is_big(a) || is_big(b) {
                    Some(a.to_big_integer()?.cmp(&b.to_big_integer()?))
                } else {
                    Some(a.to_i64().cmp(&b.to_i64()))
                }
            }
            (a, b) if is_big(a) || is_big(b) => {
                Some(compare_decimals(&a.to_big_decimal()?, &b.to_big_decimal()?))
            }
            (a, b) => Some(a.to_f64().partial_cmp(&b.to_f64()).unwrap_or(Ordering::Equal)),
        }
    }
}

/// Two's complement, cut to 64 bits.
fn low_bits(value: &BigInt) -> i64 {
    let low = value.iter_u64_digits().next().unwrap_or(0);
    match value.sign() {
        Sign::Minus => low.wrapping_neg() as i64,
        _ => low as i64,
    }
}

/// The decimal without its fraction. `None`: of too many digits.
fn truncated(value: &BigDecimal) -> Option<BigInt> {
    let (digits, scale) = value.as_bigint_and_exponent();
    if scale <= 0 {
        let zeros = scale.checked_neg().filter(|zeros| *zeros <= MAX_INTEGER_DIGITS)?;
        return Some(digits * BigInt::from(10).pow(u32::try_from(zeros).ok()?));
    }
    if decimal_exponent(&digits, scale) < -1 {
        return Some(BigInt::from(0));
    }
    Some(digits / BigInt::from(10).pow(u32::try_from(scale).ok()?))
}

/// The power of ten of the first digit, or one more.
fn decimal_exponent(digits: &BigInt, scale: i64) -> i128 {
    // 30103 / 100000 is a little more than log10(2).
    i128::from(digits.bits()) * 30_103 / 100_000 - i128::from(scale)
}

/// `new BigDecimal(double)`: all digits of the binary fraction.
fn exact_decimal(value: f64) -> Option<BigDecimal> {
    if !value.is_finite() {
        return None;
    }
    let bits = value.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let (mut mantissa, mut exponent) = match (bits >> 52) & 0x7ff {
        0 => (fraction, -1074),
        biased => (fraction | 1 << 52, biased as i64 - 1075),
    };
    if mantissa == 0 {
        return Some(BigDecimal::new(BigInt::from(0), 0));
    }
    let even = i64::from(mantissa.trailing_zeros());
    mantissa >>= even;
    exponent += even;
    let sign = if value < 0.0 { -1 } else { 1 };
    let mantissa = BigInt::from(mantissa) * sign;
    Some(if exponent < 0 {
        let power = BigInt::from(5).pow(exponent.unsigned_abs() as u32);
        BigDecimal::new(mantissa * power, -exponent)
    } else {
        BigDecimal::new(mantissa << exponent.unsigned_abs(), 0)
    })
}

/// Compares without writing out zeros where the magnitudes tell.
pub(crate) fn compare_decimals(a: &BigDecimal, b: &BigDecimal) -> Ordering {
    let (a_digits, a_scale) = a.as_bigint_and_exponent();
    let (b_digits, b_scale) = b.as_bigint_and_exponent();
    let by_sign = sign(&a_digits).cmp(&sign(&b_digits));
    if by_sign.is_ne() || a_digits.sign() == Sign::NoSign {
        return by_sign;
    }
    let difference = decimal_exponent(&a_digits, a_scale) - decimal_exponent(&b_digits, b_scale);
    if difference.abs() > 2 {
        let larger = difference.cmp(&0);
        return if a_digits.sign() == Sign::Minus { larger.reverse() } else { larger };
    }
    let scale = a_scale.max(b_scale);
    let align = |digits: BigInt, own: i64| {
        // No larger than the other's digits: the magnitudes are close.
        let zeros = scale.abs_diff(own);
        digits * BigInt::from(10).pow(u32::try_from(zeros).unwrap_or(0))
    };
    align(a_digits, a_scale).cmp(&align(b_digits, b_scale))
}

fn sign(value: &BigInt) -> i32 {
    match value.sign() {
        Sign::Minus => -1,
        Sign::NoSign => 0,
        Sign::Plus => 1,
    }
}
