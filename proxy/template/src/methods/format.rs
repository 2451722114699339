//! `String.format`: the conversions `b c d e f g h n o s x %` with their flags. Dates and
//! hexadecimal floating point are not supported and fail.

mod specifier;

use bigdecimal::BigDecimal;
use num_bigint::{BigInt, Sign};

use self::specifier::{Argument, Specifier, parse};
use super::digits::Digits;
use super::string::spread;
use super::text::push;
use super::{MethodError, hash, to_text};
use crate::limits::{Budget, LimitExceeded, MAX_OUTPUT_BYTES};
use crate::value::{Number, Text, Value};

pub(super) fn format<'t>(
    pattern: &str,
    arguments: &[Value<'t>],
    budget: &mut Budget,
) -> Result<Text<'t>, MethodError> {
    let array = spread(arguments);
    let arguments = array.as_deref().unwrap_or(arguments);
    // A null for `Object...` is no array: each specifier prints null.
    let none = matches!(arguments, [Value::Null]);
    let mut out = String::new();
    let (mut ordinary, mut last) = (0usize, None);
    let mut rest = pattern;
    while let Some(at) = rest.find('%') {
        push(rest.get(..at).unwrap_or(""), &mut out)?;
        budget.steps(1)?;
        let (specifier, after) = parse(rest.get(at + 1..).unwrap_or(""))?;
        rest = after;
        let index = match specifier.argument {
            _ if matches!(specifier.conversion, '%' | 'n') => None,
            Argument::Next => {
                ordinary += 1;
                Some(ordinary - 1)
            }
            Argument::Same => Some(last.ok_or_else(|| missing(&specifier))?),
            Argument::At(number) => Some(number.checked_sub(1).ok_or_else(|| missing(&specifier))?),
        };
        let value = match index {
            None => &Value::Null,
            Some(_) if none => &Value::Null,
            Some(index) => arguments.get(index).ok_or_else(|| missing(&specifier))?,
        };
        last = index.or(last);
        let text = convert(&specifier, value, budget)?;
        let text = if specifier.upper { text.to_uppercase() } else { text };
        pad(&specifier, &text, &mut out)?;
    }
    push(rest, &mut out)?;
    Ok(super::made(out, budget)?)
}

fn raise<T>(exception: &str, message: impl std::fmt::Display) -> Result<T, MethodError> {
    Err(MethodError::thrown(format!("java.util.{exception}: {message}")))
}

fn missing(specifier: &Specifier<'_>) -> MethodError {
    MethodError::thrown(format!(
        "java.util.MissingFormatArgumentException: Format specifier '%{}'",
        specifier.written
    ))
}

fn pad(specifier: &Specifier<'_>, text: &str, out: &mut String) -> Result<(), LimitExceeded> {
    let missing = specifier.width.unwrap_or(0).saturating_sub(text.chars().count());
    if missing > MAX_OUTPUT_BYTES {
        return Err(LimitExceeded::OutputBytes);
    }
    let spaces = " ".repeat(missing);
    if specifier.has('-') {
        push(text, out)?;
        push(&spaces, out)
    } else {
        push(&spaces, out)?;
        push(text, out)
    }
}

fn convert(
    specifier: &Specifier<'_>,
    value: &Value<'_>,
    budget: &mut Budget,
) -> Result<String, MethodError> {
    let cut = |text: &str| match specifier.precision {
        Some(precision) => text.chars().take(precision).collect(),
        None => text.to_owned(),
    };
    match (specifier.conversion, value) {
        ('n', _) => Ok("\n".to_owned()),
        ('%', _) => Ok("%".to_owned()),
        ('b', Value::Null | Value::Boolean(false)) => Ok(cut("false")),
        ('b', _) => Ok(cut("true")),
        ('s' | 'h', Value::Null) => Ok(cut("null")),
        ('s', value) => Ok(cut(to_text(value, budget)?.as_str())),
        ('h', value) => Ok(cut(&format!("{:x}", hash::hash_code(value, budget)?))),
        (_, Value::Null) => Ok("null".to_owned()),
        ('c', Value::Character(value)) => Ok(value.to_string()),
        ('c', Value::Number(Number::Integer(code))) => {
            match u32::try_from(*code).ok().and_then(char::from_u32) {
                Some(value) => Ok(value.to_string()),
                None => raise("IllegalFormatCodePointException", format_args!("{code:#x}")),
            }
        }
        ('d', Value::Number(number)) if number.is_integral() => {
            let value = number.to_big_integer().unwrap_or_default();
            signed(specifier, value.sign() == Sign::Minus, "", value.magnitude().to_string())
        }
        ('x' | 'o', Value::Number(number)) if number.is_integral() => radix(specifier, number),
        ('e' | 'f' | 'g', Value::Number(Number::Double(value))) => double(specifier, *value),
        ('e' | 'f' | 'g', Value::Number(Number::BigDecimal(value))) => decimal(specifier, value),
        (conversion, value) => raise(
            "IllegalFormatConversionException",
            format_args!("{conversion} != {}", class(value)),
        ),
    }
}

fn class(value: &Value<'_>) -> &'static str {
    match value {
        Value::Boolean(_) => "java.lang.Boolean",
        Value::Number(Number::Integer(_)) => "java.lang.Integer",
        Value::Number(Number::Long(_)) => "java.lang.Long",
        Value::Number(Number::Double(_)) => "java.lang.Double",
        Value::Number(Number::BigInteger(_)) => "java.math.BigInteger",
        Value::Number(Number::BigDecimal(_)) => "java.math.BigDecimal",
        Value::String(_) => "java.lang.String",
        Value::Character(_) => "java.lang.Character",
        Value::List(_) => "java.util.ArrayList",
        Value::Map(_) => "java.util.LinkedHashMap",
        _ => "java.lang.Object",
    }
}

/// Adds the sign, the prefix of a radix, separators of thousands and leading zeros to a number's magnitude.
fn signed(
    specifier: &Specifier<'_>,
    negative: bool,
    prefix: &str,
    magnitude: String,
) -> Result<String, MethodError> {
    let magnitude = if specifier.has(',') { grouped(&magnitude) } else { magnitude };
    let (before, after) = match negative {
        true if specifier.has('(') => ("(", ")"),
        true => ("-", ""),
        false if specifier.has('+') => ("+", ""),
        false if specifier.has(' ') => (" ", ""),
        false => ("", ""),
    };
    let written = before.len() + prefix.len() + magnitude.len() + after.len();
    let zeros = match specifier.width {
        Some(width) if specifier.has('0') => width.saturating_sub(written),
        _ => 0,
    };
    if zeros > MAX_OUTPUT_BYTES {
        return Err(LimitExceeded::OutputBytes.into());
    }
    Ok([before, prefix, &"0".repeat(zeros), &magnitude, after].concat())
}

fn grouped(magnitude: &str) -> String {
    let (whole, fraction) = match magnitude.find(['.', 'e']) {
        Some(point) => magnitude.split_at(point),
        None => (magnitude, ""),
    };
    let mut out = String::with_capacity(magnitude.len() + whole.len() / 3);
    for (position, digit) in whole.chars().enumerate() {
        if position > 0 && (whole.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out + fraction
}

fn radix(specifier: &Specifier<'_>, number: &Number) -> Result<String, MethodError> {
    let hexadecimal = specifier.conversion == 'x';
    let prefix = match (specifier.has('#'), hexadecimal) {
        (true, true) => "0x",
        (true, false) => "0",
        (false, _) => "",
    };
    let is_big = matches!(number, Number::BigInteger(_));
    if !is_big && let Some(flag) = ['+', ' ', '('].into_iter().find(|flag| specifier.has(*flag)) {
        return raise(
            "FormatFlagsConversionMismatchException",
            format_args!("Conversion = {}, Flags = {flag}", specifier.conversion),
        );
    }
    let (negative, digits) = match number {
        Number::Integer(value) if hexadecimal => (false, format!("{value:x}")),
        Number::Integer(value) => (false, format!("{value:o}")),
        Number::BigInteger(value) => {
            let digits = value.magnitude().to_str_radix(if hexadecimal { 16 } else { 8 });
            (value.sign() == Sign::Minus, digits)
        }
        other if hexadecimal => (false, format!("{:x}", other.to_i64())),
        other => (false, format!("{:o}", other.to_i64())),
    };
    signed(specifier, negative, prefix, digits)
}

fn double(specifier: &Specifier<'_>, value: f64) -> Result<String, MethodError> {
    if value.is_finite() {
        return floating(specifier, value.is_sign_negative(), Digits::of_double(value));
    }
    let (before, after) = match value {
        value if value.is_nan() => return Ok("NaN".to_owned()),
        value if value < 0.0 && specifier.has('(') => ("(", ")"),
        value if value < 0.0 => ("-", ""),
        _ if specifier.has('+') => ("+", ""),
        _ if specifier.has(' ') => (" ", ""),
        _ => ("", ""),
    };
    Ok([before, "Infinity", after].concat())
}

fn decimal(specifier: &Specifier<'_>, value: &BigDecimal) -> Result<String, MethodError> {
    let negative = value.sign() == Sign::Minus;
    let mut digits = Digits::of_decimal(value);
    if value.as_bigint_and_exponent().0 == BigInt::ZERO {
        digits.point = 1;
    }
    floating(specifier, negative, digits)
}

fn floating(
    specifier: &Specifier<'_>,
    negative: bool,
    mut digits: Digits,
) -> Result<String, MethodError> {
    let precision = specifier.precision.unwrap_or(6);
    if precision > MAX_OUTPUT_BYTES || digits.point > MAX_OUTPUT_BYTES as i64 {
        return Err(LimitExceeded::OutputBytes.into());
    }
    let mut text = match specifier.conversion {
        'e' => scientific(&mut digits, precision),
        'g' => general(&mut digits, precision.max(1)),
        _ => plain(&mut digits, precision),
    };
    if specifier.has('#') && !text.contains('.') {
        let end = text.find('e').unwrap_or(text.len());
        text.insert(end, '.');
    }
    signed(specifier, negative, "", text)
}

fn plain(digits: &mut Digits, precision: usize) -> String {
    digits.round_to(digits.point.saturating_add(precision as i64));
    digits.plain(precision)
}

fn scientific(digits: &mut Digits, precision: usize) -> String {
    digits.round_to(precision as i64 + 1);
    let exponent = if digits.is_zero() { 0 } else { digits.point - 1 };
    let (first, rest) = digits.digits.split_at(1);
    let point = if precision > 0 { "." } else { "" };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{first}{point}{rest:0<precision$}e{sign}{:02}", exponent.unsigned_abs())
}

/// Plain from 0.0001 to 10 to the precision, otherwise scientific.
fn general(digits: &mut Digits, precision: usize) -> String {
    if digits.is_zero() {
        return plain(digits, precision - 1);
    }
    digits.round_to(precision as i64);
    if digits.point > -4 && digits.point <= precision as i64 {
        let fraction = usize::try_from(precision as i64 - digits.point).unwrap_or(0);
        plain(digits, fraction)
    } else {
        scientific(digits, precision - 1)
    }
}
