//! `BigInteger` and `BigDecimal`. Results are bounded: a template can square a number over and
//! over.

use std::cmp::Ordering;

use bigdecimal::{BigDecimal, RoundingMode};
use num_bigint::{BigInt, Sign};

use crate::limits::Budget;
use crate::methods::digits::Digits;
use crate::methods::utf16::int;
use crate::methods::{MethodError, Outcome, made, thrown};
use crate::value::{Number, Value};

/// Largest number made, in bits: some 10,000 decimal digits.
const MAX_BITS: u64 = 33_000;

/// Most digits before or after a decimal's point.
const MAX_SCALE: u64 = 10_000;

/// Charges for work on these numbers, whose product is bounded.
fn charge(values: &[&BigInt], budget: &mut Budget) -> Result<(), MethodError> {
    let bits: u64 = values.iter().map(|value| value.bits()).sum();
    if bits > MAX_BITS {
        return thrown("ArithmeticException", "BigInteger would overflow supported range");
    }
    budget.steps(bits / 512)?;
    Ok(budget.allocate((bits / 8) as usize)?)
}

fn power(value: &BigInt, exponent: i32, budget: &mut Budget) -> Result<BigInt, MethodError> {
    let Ok(exponent) = u32::try_from(exponent) else {
        return thrown("ArithmeticException", "Negative exponent");
    };
    if value.bits().saturating_mul(u64::from(exponent)) > MAX_BITS && value.bits() > 1 {
        return thrown("ArithmeticException", "BigInteger would overflow supported range");
    }
    budget.steps(16)?;
    Ok(value.pow(exponent))
}

fn refuse_zero(divisor: &BigInt) -> Result<(), MethodError> {
    match divisor.sign() {
        Sign::NoSign => thrown("ArithmeticException", "BigInteger divide by zero"),
        _ => Ok(()),
    }
}

pub(super) fn integer<'t>(
    value: &BigInt,
    name: &str,
    arguments: &[Value<'t>],
    budget: &mut Budget,
) -> Outcome<'t> {
    use Number::{BigInteger, Integer};
    use Value::Number as N;
    match arguments {
        [] => Ok(integer_alone(value, name)),
        [N(BigInteger(other))] => {
            charge(&[value, other], budget)?;
            integer_pair(value, other, name)
        }
        [N(Integer(other))] => Ok(Some(match name {
            "pow" => power(value, *other, budget)?.into(),
            "shiftLeft" | "shiftRight" => {
                let left = (name == "shiftLeft") == (*other >= 0);
                shift(value, left, other.unsigned_abs(), budget)?.into()
            }
            "testBit" if *other >= 0 => value.bit(u64::from(other.unsigned_abs())).into(),
            "testBit" => return thrown("ArithmeticException", "Negative bit address"),
            "toString" => {
                charge(&[value], budget)?;
                let radix = u32::try_from(*other).ok().filter(|radix| (2..=36).contains(radix));
                made(value.to_str_radix(radix.unwrap_or(10)), budget)?.into()
            }
            "valueOf" => BigInt::from(*other).into(),
            _ => return Ok(None),
        })),
        [N(Number::Long(other))] if name == "valueOf" => Ok(Some(BigInt::from(*other).into())),
        _ => Ok(None),
    }
}

fn integer_alone<'t>(value: &BigInt, name: &str) -> Option<Value<'t>> {
    Some(match name {
        "abs" => BigInt::from(value.magnitude().clone()).into(),
        "negate" => (-value.clone()).into(),
        "signum" => sign(value).into(),
        "bitLength" => int(bit_length(value)).into(),
        _ => return None,
    })
}

/// Two's complement without the sign bit.
fn bit_length(value: &BigInt) -> usize {
    let bits = match value.sign() {
        Sign::Minus => (value + BigInt::from(1)).bits(),
        _ => value.bits(),
    };
    usize::try_from(bits).unwrap_or(usize::MAX)
}

fn sign(value: &BigInt) -> i32 {
    value.cmp(&BigInt::ZERO) as i32
}

fn integer_pair<'t>(value: &BigInt, other: &BigInt, name: &str) -> Outcome<'t> {
    Ok(Some(match name {
        "add" => (value + other).into(),
        "subtract" => (value - other).into(),
        "multiply" => (value * other).into(),
        "divide" => {
            refuse_zero(other)?;
            (value / other).into()
        }
        "remainder" => {
            refuse_zero(other)?;
            (value % other).into()
        }
        "mod" => {
            if other.sign() != Sign::Plus {
                return thrown("ArithmeticException", "BigInteger: modulus not positive");
            }
            let rest = value % other;
            (if rest.sign() == Sign::Minus { rest + other } else { rest }).into()
        }
        "gcd" => greatest_common_divisor(value, other).into(),
        "max" => value.max(other).clone().into(),
        "min" => value.min(other).clone().into(),
        "and" => (value & other).into(),
        "or" => (value | other).into(),
        "xor" => (value ^ other).into(),
        "compareTo" => (value.cmp(other) as i32).into(),
        _ => return Ok(None),
    }))
}

fn greatest_common_divisor(a: &BigInt, b: &BigInt) -> BigInt {
    let (mut a, mut b) = (a.magnitude().clone(), b.magnitude().clone());
    while b.bits() > 0 {
        let rest = a % &b;
        a = std::mem::replace(&mut b, rest);
    }
    a.into()
}

fn shift(
    value: &BigInt,
    left: bool,
    bits: u32,
    budget: &mut Budget,
) -> Result<BigInt, MethodError> {
    if left && value.bits().saturating_add(u64::from(bits)) > MAX_BITS {
        return thrown("ArithmeticException", "BigInteger would overflow supported range");
    }
    charge(&[value], budget)?;
    Ok(if left { value << bits } else { value >> bits })
}

/// Refuses decimals whose digits, written out, are too many to calculate with.
fn check_decimal(value: &BigDecimal, budget: &mut Budget) -> Result<(), MethodError> {
    if value.fractional_digit_count().unsigned_abs() > MAX_SCALE {
        return thrown("ArithmeticException", "Overflow");
    }
    charge(&[&value.as_bigint_and_exponent().0], budget)
}

pub(super) fn decimal<'t>(
    value: &BigDecimal,
    name: &str,
    arguments: &[Value<'t>],
    budget: &mut Budget,
) -> Outcome<'t> {
    use Number::{BigDecimal as Decimal, Integer};
    use Value::Number as N;
    match arguments {
        [] => decimal_alone(value, name, budget),
        [N(Decimal(other))] => decimal_pair(value, other, name, budget),
        [N(Integer(other))] => decimal_scaled(value, name, *other, budget),
        [N(Integer(scale)), N(Integer(mode))] if name == "setScale" => {
            Ok(Some(rounded(value, *scale, *mode, budget)?.into()))
        }
        [N(Decimal(other)), N(Integer(mode))] if name == "divide" => {
            let scale = int_scale(value.fractional_digit_count());
            Ok(Some(quotient(value, other, scale, *mode, budget)?.into()))
        }
        [N(Decimal(other)), N(Integer(scale)), N(Integer(mode))] if name == "divide" => {
            Ok(Some(quotient(value, other, *scale, *mode, budget)?.into()))
        }
        [N(Number::Double(other))] if name == "valueOf" => {
            let mut text = String::new();
            crate::methods::digits::write_double(*other, &mut text);
            match text.parse::<BigDecimal>() {
                Ok(parsed) => Ok(Some(parsed.into())),
                Err(_) => thrown("NumberFormatException", "Infinite or NaN"),
            }
        }
        [N(Number::Long(other))] if name == "valueOf" => {
            Ok(Some(BigDecimal::new(BigInt::from(*other), 0).into()))
        }
        _ => Ok(None),
    }
}

fn int_scale(scale: i64) -> i32 {
    i32::try_from(scale).unwrap_or(i32::MAX)
}

fn decimal_alone<'t>(value: &BigDecimal, name: &str, budget: &mut Budget) -> Outcome<'t> {
    let (digits, scale) = value.as_bigint_and_exponent();
    Ok(Some(match name {
        "abs" => BigDecimal::new(BigInt::from(digits.magnitude().clone()), scale).into(),
        "negate" => BigDecimal::new(-digits, scale).into(),
        "signum" => sign(&digits).into(),
        "scale" => int_scale(scale).into(),
        "precision" => int(digits.magnitude().to_string().len()).into(),
        "unscaledValue" => digits.into(),
        "toBigInteger" => {
            check_decimal(value, budget)?;
            Number::BigDecimal(Box::new(value.clone())).to_big_integer().unwrap_or_default().into()
        }
        "toPlainString" => {
            check_decimal(value, budget)?;
            let mut text = String::from(if sign(&digits) < 0 { "-" } else { "" });
            let fraction = usize::try_from(scale).unwrap_or(0);
            text.push_str(&Digits::of_decimal(value).plain(fraction));
            made(text, budget)?.into()
        }
        "toEngineeringString" => return Ok(None),
        "stripTrailingZeros" => {
            check_decimal(value, budget)?;
            stripped(digits, scale).into()
        }
        _ => return Ok(None),
    }))
}

fn stripped(mut digits: BigInt, mut scale: i64) -> BigDecimal {
    if digits.sign() == Sign::NoSign {
        return BigDecimal::new(digits, 0);
    }
    let ten = BigInt::from(10);
    loop {
        let shorter = &digits / &ten;
        if &shorter * &ten != digits {
            return BigDecimal::new(digits, scale);
        }
        digits = shorter;
        scale = scale.saturating_sub(1);
    }
}

fn decimal_pair<'t>(
    value: &BigDecimal,
    other: &BigDecimal,
    name: &str,
    budget: &mut Budget,
) -> Outcome<'t> {
    check_decimal(value, budget)?;
    check_decimal(other, budget)?;
    let order = || {
        let (a, b) = (Number::BigDecimal(Box::new(value.clone())), other.clone());
        a.compare(&Number::BigDecimal(Box::new(b))).unwrap_or(Ordering::Equal)
    };
    Ok(Some(match name {
        "add" | "subtract" => {
            let ((a, b), scale) = aligned(value, other);
            BigDecimal::new(if name == "add" { a + b } else { a - b }, scale).into()
        }
        "multiply" => {
            let (a, a_scale) = value.as_bigint_and_exponent();
            let (b, b_scale) = other.as_bigint_and_exponent();
            charge(&[&a, &b], budget)?;
            BigDecimal::new(a * b, a_scale.saturating_add(b_scale)).into()
        }
        "divide" => exact_quotient(value, other)?.into(),
        "divideToIntegralValue" => return Ok(None),
        "remainder" => {
            refuse_zero_decimal(other)?;
            remainder(value, other).into()
        }
        "max" => (if order().is_lt() { other } else { value }).clone().into(),
        "min" => (if order().is_gt() { other } else { value }).clone().into(),
        "compareTo" => (order() as i32).into(),
        _ => return Ok(None),
    }))
}

/// Both with the larger scale. [`check_decimal`] bounds the zeros added.
fn aligned(a: &BigDecimal, b: &BigDecimal) -> ((BigInt, BigInt), i64) {
    let (a, a_scale) = a.as_bigint_and_exponent();
    let (b, b_scale) = b.as_bigint_and_exponent();
    let scale = a_scale.max(b_scale);
    let widen = |digits: BigInt, own: i64| digits * power_of_ten(scale.abs_diff(own));
    ((widen(a, a_scale), widen(b, b_scale)), scale)
}

/// What whole multiples leave, at the scale that Java's steps come to.
fn remainder(a: &BigDecimal, b: &BigDecimal) -> BigDecimal {
    let ((dividend, divisor), widest) = aligned(a, b);
    let (own, divisor_scale) = (a.fractional_digit_count(), b.fractional_digit_count());
    let (quotient, rest) = (&dividend / &divisor, dividend % divisor);
    let preferred = own - divisor_scale;
    let quotient_scale = match quotient.sign() {
        _ if preferred >= 0 => preferred,
        Sign::NoSign => preferred,
        _ => stripped(quotient, 0).fractional_digit_count().max(preferred),
    };
    let scale = own.max(quotient_scale + divisor_scale);
    BigDecimal::new(rest / power_of_ten(widest.abs_diff(scale)), scale)
}

fn power_of_ten(zeros: u64) -> BigInt {
    BigInt::from(10).pow(u32::try_from(zeros).unwrap_or(0))
}

fn refuse_zero_decimal(divisor: &BigDecimal) -> Result<(), MethodError> {
    match divisor.sign() {
        Sign::NoSign => thrown("ArithmeticException", "Division by zero"),
        _ => Ok(()),
    }
}

/// All digits, at the scale Java prefers or the smallest above it.
fn exact_quotient(a: &BigDecimal, b: &BigDecimal) -> Result<BigDecimal, MethodError> {
    refuse_zero_decimal(b)?;
    let (digits, scale) = a.as_bigint_and_exponent();
    let (divisor, divisor_scale) = b.as_bigint_and_exponent();
    let preferred = scale - divisor_scale;
    let common = BigInt::from(greatest_common_divisor(&digits, &divisor).magnitude().clone());
    let (mut digits, mut divisor) = (digits / &common, divisor / &common);
    let mut extra = 0;
    // Only factors of 2 and 5 end; one digit more takes away one of each.
    for (factor, other) in [(2, 5), (5, 2)] {
        while (&divisor % factor) == BigInt::ZERO {
            divisor /= factor;
            digits *= other;
            extra += 1;
        }
    }
    if divisor.magnitude().bits() != 1 {
        return thrown(
            "ArithmeticException",
            "Non-terminating decimal expansion; no exact representable decimal result.",
        );
    }
    let mut scale = preferred + extra;
    let mut quotient = digits * divisor;
    let ten = BigInt::from(10);
    while scale > preferred && (&quotient % &ten) == BigInt::ZERO {
        quotient /= &ten;
        scale -= 1;
    }
    Ok(BigDecimal::new(quotient, scale))
}

fn decimal_scaled<'t>(
    value: &BigDecimal,
    name: &str,
    argument: i32,
    budget: &mut Budget,
) -> Outcome<'t> {
    check_decimal(value, budget)?;
    let (digits, scale) = value.as_bigint_and_exponent();
    let moved = |by: i64| {
        let scale = scale + by;
        let moved = BigDecimal::new(digits.clone(), scale);
        if scale < 0 { moved.with_scale(0) } else { moved }
    };
    Ok(Some(match name {
        "setScale" => rounded(value, argument, UNNECESSARY, budget)?.into(),
        "pow" => {
            let power = power(&digits, argument, budget)?;
            BigDecimal::new(power, scale.saturating_mul(i64::from(argument))).into()
        }
        "movePointLeft" | "movePointRight" if u64::from(argument.unsigned_abs()) <= MAX_SCALE => {
            let by = i64::from(argument);
            if by == 0 {
                value.clone().into()
            } else {
                moved(if name == "movePointLeft" { by } else { -by }).into()
            }
        }
        "valueOf" => BigDecimal::new(BigInt::from(argument), 0).into(),
        _ => return Ok(None),
    }))
}

/// Java's number for the rounding mode that refuses to round.
const UNNECESSARY: i32 = 7;

fn rounding(mode: i32) -> Result<Option<RoundingMode>, MethodError> {
    Ok(Some(match mode {
        0 => RoundingMode::Up,
        1 => RoundingMode::Down,
        2 => RoundingMode::Ceiling,
        3 => RoundingMode::Floor,
        4 => RoundingMode::HalfUp,
        5 => RoundingMode::HalfDown,
        6 => RoundingMode::HalfEven,
        UNNECESSARY => return Ok(None),
        _ => return thrown("IllegalArgumentException", "Invalid rounding mode"),
    }))
}

/// `setScale(scale, mode)`
fn rounded(
    value: &BigDecimal,
    scale: i32,
    mode: i32,
    budget: &mut Budget,
) -> Result<BigDecimal, MethodError> {
    check_decimal(value, budget)?;
    if u64::from(scale.unsigned_abs()) > MAX_SCALE {
        return thrown("ArithmeticException", "Overflow");
    }
    let mode = rounding(mode)?;
    let result = value.with_scale_round(i64::from(scale), mode.unwrap_or(RoundingMode::Down));
    if mode.is_none() && result != *value {
        return thrown("ArithmeticException", "Rounding necessary");
    }
    Ok(result)
}

/// `divide(divisor, scale, mode)`
fn quotient(
    a: &BigDecimal,
    b: &BigDecimal,
    scale: i32,
    mode: i32,
    budget: &mut Budget,
) -> Result<BigDecimal, MethodError> {
    check_decimal(a, budget)?;
    check_decimal(b, budget)?;
    refuse_zero_decimal(b)?;
    if u64::from(scale.unsigned_abs()) > MAX_SCALE {
        return thrown("ArithmeticException", "Overflow");
    }
    let mode = rounding(mode)?;
    let (mut digits, own) = a.as_bigint_and_exponent();
    let (mut divisor, divisor_scale) = b.as_bigint_and_exponent();
    let shift = i64::from(scale) + divisor_scale - own;
    let ten = power_of_ten(shift.unsigned_abs());
    if shift >= 0 {
        digits *= ten;
    } else {
        divisor *= ten;
    }
    let (whole, rest) = (&digits / &divisor, &digits % &divisor);
    if rest.sign() == Sign::NoSign {
        return Ok(BigDecimal::new(whole, i64::from(scale)));
    }
    let Some(mode) = mode else {
        return thrown("ArithmeticException", "Rounding necessary");
    };
    let negative = digits.sign() != divisor.sign();
    let half = (rest.magnitude() * 2u32).cmp(divisor.magnitude());
    let away = match mode {
        RoundingMode::Up => true,
        RoundingMode::Down => false,
        RoundingMode::Ceiling => !negative,
        RoundingMode::Floor => negative,
        RoundingMode::HalfUp => half.is_ge(),
        RoundingMode::HalfDown => half.is_gt(),
        RoundingMode::HalfEven => half.is_gt() || (half.is_eq() && whole.bit(0)),
    };
    let step = BigInt::from(if negative { -1 } else { 1 });
    let whole = if away { whole + step } else { whole };
    Ok(BigDecimal::new(whole, i64::from(scale)))
}
