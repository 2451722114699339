//! Numbers: `Integer`, `Long`, `Double`, `BigInteger`, `BigDecimal`.

mod big;

use super::text::write_number;
use super::{Outcome, parse};
use crate::limits::Budget;
use crate::value::{Number, Value};

pub(super) fn call<'t>(
    number: &Number,
    name: &str,
    arguments: &[Value<'t>],
    budget: &mut Budget,
) -> Outcome<'t> {
    budget.steps(number.steps_of_conversion())?;
    let shared = shared(number, name, arguments);
    if shared.is_some() {
        return Ok(shared);
    }
    match number {
        Number::Integer(value) => integer(*value, name, arguments),
        Number::Long(value) => long(*value, name, arguments),
        Number::Double(value) => double(*value, name, arguments),
        Number::BigInteger(value) => big::integer(value, name, arguments, budget),
        Number::BigDecimal(value) => big::decimal(value, name, arguments, budget),
    }
}

/// What all have.
fn shared<'t>(number: &Number, name: &str, arguments: &[Value<'t>]) -> Option<Value<'t>> {
    if !arguments.is_empty() {
        return None;
    }
    Some(match name {
        "intValue" => number.to_i32().into(),
        "longValue" => number.to_i64().into(),
        "doubleValue" => number.to_f64().into(),
        "shortValue" => i32::from(number.to_i32() as i16).into(),
        "byteValue" => i32::from(number.to_i32() as i8).into(),
        _ => return None,
    })
}

fn integer<'t>(value: i32, name: &str, arguments: &[Value<'t>]) -> Outcome<'t> {
    use Number::Integer;
    use Value::{Null, Number as N, String as S};
    Ok(Some(match (name, arguments) {
        ("compareTo", [N(Integer(other))]) => (value.cmp(other) as i32).into(),
        ("compare", [N(Integer(a)), N(Integer(b))]) => (a.cmp(b) as i32).into(),
        ("parseInt" | "valueOf" | "decode", [text @ (S(_) | Null)]) => {
            parse::integer(text, 10)?.into()
        }
        ("parseInt" | "valueOf", [text @ (S(_) | Null), N(Integer(radix))]) => {
            parse::integer(text, *radix)?.into()
        }
        ("valueOf", [N(Integer(other))]) => (*other).into(),
        ("toString", [N(Integer(other))]) => other.to_string().into(),
        ("toString", [N(Integer(other)), N(Integer(radix))]) => {
            in_radix(i64::from(*other), *radix).into()
        }
        ("toHexString", [N(Integer(other))]) => format!("{other:x}").into(),
        ("toBinaryString", [N(Integer(other))]) => format!("{other:b}").into(),
        ("toOctalString", [N(Integer(other))]) => format!("{other:o}").into(),
        ("max", [N(Integer(a)), N(Integer(b))]) => (*a.max(b)).into(),
        ("min", [N(Integer(a)), N(Integer(b))]) => (*a.min(b)).into(),
        ("sum", [N(Integer(a)), N(Integer(b))]) => a.wrapping_add(*b).into(),
        ("signum", [N(Integer(other))]) => other.signum().into(),
        ("bitCount", [N(Integer(other))]) => (other.count_ones() as i32).into(),
        ("reverse", [N(Integer(other))]) => other.reverse_bits().into(),
        _ => return Ok(None),
    }))
}

/// A `long` parameter takes an `Integer` too.
fn as_long(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Number(Number::Integer(value)) => Some(i64::from(*value)),
        Value::Number(Number::Long(value)) => Some(*value),
        _ => None,
    }
}

fn long<'t>(value: i64, name: &str, arguments: &[Value<'t>]) -> Outcome<'t> {
    use Value::{Null, Number as N, String as S};
    match (name, arguments) {
        ("compareTo", [N(Number::Long(other))]) => {
            return Ok(Some((value.cmp(other) as i32).into()));
        }
        ("parseLong" | "valueOf" | "decode", [text @ (S(_) | Null)]) => {
            return Ok(Some(parse::long(text, 10)?.into()));
        }
        ("parseLong" | "valueOf", [text @ (S(_) | Null), N(Number::Integer(radix))]) => {
            return Ok(Some(parse::long(text, *radix)?.into()));
        }
        _ => {}
    }
    Ok(match arguments {
        [argument] => as_long(argument).and_then(|other| {
            Some(match name {
                "valueOf" => other.into(),
                "toString" => other.to_string().into(),
                "toHexString" => format!("{other:x}").into(),
                "toBinaryString" => format!("{other:b}").into(),
                "toOctalString" => format!("{other:o}").into(),
                "signum" => (other.signum() as i32).into(),
                "bitCount" => (other.count_ones() as i32).into(),
                _ => return None,
            })
        }),
        [a, b] => as_long(a).zip(as_long(b)).and_then(|(a, b)| {
            Some(match name {
                "compare" => (a.cmp(&b) as i32).into(),
                "max" => a.max(b).into(),
                "min" => a.min(b).into(),
                "sum" => a.wrapping_add(b).into(),
                "toString" => in_radix(a, i32::try_from(b).ok()?).into(),
                _ => return None,
            })
        }),
        _ => None,
    })
}

/// A `double` parameter takes integers too.
fn as_double(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Number(Number::Double(value)) => Some(*value),
        other => as_long(other).map(|value| value as f64),
    }
}

/// `Double.compare`: -0.0 is less than 0.0, NaN is the greatest and itself.
pub(super) fn compare_doubles(a: f64, b: f64) -> i32 {
    match (a.is_nan(), b.is_nan()) {
        (false, false) => a.total_cmp(&b) as i32,
        (a, b) => i32::from(a) - i32::from(b),
    }
}

fn double<'t>(value: f64, name: &str, arguments: &[Value<'t>]) -> Outcome<'t> {
    if let ("parseDouble" | "valueOf", [text @ (Value::String(_) | Value::Null)]) =
        (name, arguments)
    {
        return Ok(Some(parse::double(text)?.into()));
    }
    Ok(match arguments {
        [] => match name {
            "isNaN" => Some(value.is_nan().into()),
            "isInfinite" => Some(value.is_infinite().into()),
            _ => None,
        },
        [Value::Number(Number::Double(other))] if name == "compareTo" => {
            Some(compare_doubles(value, *other).into())
        }
        [argument] => as_double(argument).and_then(|other| {
            Some(match name {
                "isNaN" => other.is_nan().into(),
                "isInfinite" => other.is_infinite().into(),
                "isFinite" => other.is_finite().into(),
                "valueOf" => other.into(),
                "toString" => number_text(&Number::Double(other)).into(),
                _ => return None,
            })
        }),
        [a, b] => as_double(a).zip(as_double(b)).and_then(|(a, b)| {
            let order = compare_doubles(a, b);
            let either_nan = a.is_nan() || b.is_nan();
            Some(match name {
                "compare" => order.into(),
                "max" | "min" if either_nan => f64::NAN.into(),
                "max" => (if order < 0 { b } else { a }).into(),
                "min" => (if order > 0 { b } else { a }).into(),
                "sum" => (a + b).into(),
                _ => return None,
            })
        }),
        _ => None,
    })
}

fn number_text(number: &Number) -> String {
    let mut out = String::new();
    write_number(number, &mut out);
    out
}

/// `toString(value, radix)`; a radix Java hasn't is 10.
fn in_radix(value: i64, radix: i32) -> String {
    let radix = u32::try_from(radix).ok().filter(|radix| (2..=36).contains(radix)).unwrap_or(10);
    num_bigint::BigInt::from(value).to_str_radix(radix)
}
