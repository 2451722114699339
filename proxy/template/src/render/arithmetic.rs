//! `+ - * / %` on Java's numbers, as Velocity's `MathUtils` has them: integers widen when they
//! overflow, an integer of any size with a fraction makes decimals.

use bigdecimal::BigDecimal;
use num_bigint::{BigInt, Sign};

use crate::limits::{Budget, LimitExceeded};
use crate::methods::MethodError;
use crate::syntax::ast::Operator;
use crate::value::Number;

/// Decimal digits in 64 bits.
const DIGITS_PER_WORD: u64 = 19;

/// `Ok(None)`: division by zero. `Thrown`: what Java can't calculate.
pub(super) fn calculate(
    operator: Operator,
    left: &Number,
    right: &Number,
    budget: &mut Budget,
) -> Result<Option<Number>, MethodError> {
    if matches!(operator, Operator::Divide | Operator::Remainder) && is_zero(right) {
        return Ok(None);
    }
    let is_decimal = |number: &Number| matches!(number, Number::BigDecimal(_));
    let is_big = |number: &Number| matches!(number, Number::BigInteger(_));
    let integral = left.is_integral() && right.is_integral();
    let big = is_big(left) || is_big(right);
    Ok(Some(match (integral, big) {
        (true, false) => longs(operator, left, right),
        (true, true) => integers(operator, left, right, budget)?,
        (false, big) if big || is_decimal(left) || is_decimal(right) => {
            decimals(operator, left, right, budget)?
        }
        _ => Number::Double(doubles(operator, left.to_f64(), right.to_f64())),
    }))
}

fn is_zero(number: &Number) -> bool {
    match number {
        Number::Integer(value) => *value == 0,
        Number::Long(value) => *value == 0,
        Number::BigInteger(value) => value.sign() == Sign::NoSign,
        Number::Double(value) => *value == 0.0,
        Number::BigDecimal(value) => value.sign() == Sign::NoSign,
    }
}

fn longs(operator: Operator, left: &Number, right: &Number) -> Number {
    let (a, b) = (left.to_i64(), right.to_i64());
    let result = match operator {
        Operator::Add => a.checked_add(b).ok_or_else(|| BigInt::from(a) + b),
        Operator::Subtract => a.checked_sub(b).ok_or_else(|| BigInt::from(a) - b),
        // Velocity doesn't notice that this one overflows.
        Operator::Multiply if (a, b) == (i64::MIN, -1) => Ok(i64::MIN),
        Operator::Multiply => a.checked_mul(b).ok_or_else(|| BigInt::from(a) * b),
        Operator::Divide => Ok(a.wrapping_div(b)),
        _ => Ok(a.wrapping_rem(b)),
    };
    let is_long = matches!(left, Number::Long(_)) || matches!(right, Number::Long(_));
    match result {
        Err(big) => Number::BigInteger(Box::new(big)),
        Ok(long) if is_long => Number::Long(long),
        Ok(long) => i32::try_from(long).map_or(Number::Long(long), Number::Integer),
    }
}

fn doubles(operator: Operator, a: f64, b: f64) -> f64 {
    match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide => a / b,
        _ => a % b,
    }
}

fn integers(
    operator: Operator,
    left: &Number,
    right: &Number,
    budget: &mut Budget,
) -> Result<Number, MethodError> {
    let integer = |number: &Number| number.to_big_integer().ok_or_else(not_finite);
    let (a, b) = (integer(left)?, integer(right)?);
    spend(budget, operator, words(&a), words(&b))?;
    Ok(Number::BigInteger(Box::new(match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide => a / b,
        _ if b.sign() == Sign::Minus => return Err(thrown("BigInteger: modulus not positive")),
        // Java's `mod`: never negative.
        _ => ((a % &b) + &b) % b,
    })))
}

fn decimals(
    operator: Operator,
    left: &Number,
    right: &Number,
    budget: &mut Budget,
) -> Result<Number, MethodError> {
    let (a, a_scale) = parts(left)?;
    let (b, b_scale) = parts(right)?;
    let (digits, scale) = match operator {
        Operator::Add | Operator::Subtract => {
            let scale = a_scale.max(b_scale);
            let a = shifted(a, scale.saturating_sub(a_scale), budget)?;
            let b = shifted(b, scale.saturating_sub(b_scale), budget)?;
            (if operator == Operator::Add { a + b } else { a - b }, scale)
        }
        Operator::Multiply => {
            spend(budget, operator, words(&a), words(&b))?;
            let scale = a_scale.checked_add(b_scale);
            (a * b, scale.filter(|scale| i32::try_from(*scale).is_ok()).ok_or_else(out_of_scale)?)
        }
        Operator::Divide => {
            let a = shifted(a, b_scale.max(0), budget)?;
            let b = shifted(b, b_scale.checked_neg().ok_or_else(out_of_scale)?.max(0), budget)?;
            spend(budget, operator, words(&a), words(&b))?;
            (divide_half_down(&a, &b), a_scale)
        }
        _ => return Err(thrown("Cannot calculate the modulo of BigDecimals.")),
    };
    Ok(Number::BigDecimal(Box::new(BigDecimal::new(digits, scale))))
}

/// Digits and scale. Velocity makes decimals of a `long` by way of a `double`.
fn parts(number: &Number) -> Result<(BigInt, i64), MethodError> {
    let decimal = match number {
        Number::Long(value) => Number::Double(*value as f64).to_big_decimal(),
        other => other.to_big_decimal(),
    };
    Ok(decimal.ok_or_else(not_finite)?.into_bigint_and_exponent())
}

/// Times ten to the power of `zeros`.
fn shifted(digits: BigInt, zeros: i64, budget: &mut Budget) -> Result<BigInt, MethodError> {
    let zeros = u32::try_from(zeros).map_err(|_| out_of_scale())?;
    let more = u64::from(zeros) / DIGITS_PER_WORD + 1;
    spend(budget, Operator::Multiply, words(&digits) + more, more)?;
    Ok(digits * BigInt::from(10).pow(zeros))
}

fn divide_half_down(a: &BigInt, b: &BigInt) -> BigInt {
    let quotient = a / b;
    let twice_remainder = (a - &quotient * b).magnitude() * 2u32;
    if twice_remainder <= *b.magnitude() {
        quotient
    } else if a.sign() == b.sign() {
        quotient + 1
    } else {
        quotient - 1
    }
}

fn words(value: &BigInt) -> u64 {
    value.bits() / 64 + 1
}

/// A step for each pair of words that are multiplied or divided. It keeps numbers below some
/// fifty thousand digits.
fn spend(budget: &mut Budget, operator: Operator, a: u64, b: u64) -> Result<(), LimitExceeded> {
    let steps = match operator {
        Operator::Add | Operator::Subtract => a.saturating_add(b),
        _ => a.saturating_mul(b),
    };
    budget.steps(steps)
}

fn not_finite() -> MethodError {
    thrown("Infinite or NaN")
}

fn out_of_scale() -> MethodError {
    thrown("a decimal of too many digits")
}

fn thrown(message: &str) -> MethodError {
    MethodError::thrown(message.to_owned())
}
