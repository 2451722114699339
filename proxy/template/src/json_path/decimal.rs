//! Exact decimal numbers, as far as filters compare them. Huge exponents cost nothing.

use std::cmp::Ordering;

/// A decimal number: ±0.`digits` × 10^`exponent`. Zero has no digits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    negative: bool,
    /// ASCII digits; the first and the last are not `0`.
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// What Java's `new BigDecimal(text)` takes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
            None => (text, 0),
        };
        let unsigned = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let all = [whole, fraction].concat();
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let significant = all.trim_start_matches('0');
        let leading = all.len() - significant.len();
        let digits = significant.trim_end_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self { negative: false, digits, exponent: 0 });
        }
        let exponent = i64::from(exponent) + whole.len() as i64 - leading as i64;
        Some(Self { negative: mantissa.starts_with('-'), digits, exponent })
    }

    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }

    pub(super) fn compare(&self, other: &Self) -> Ordering {
        let magnitudes =
            || self.exponent.cmp(&other.exponent).then_with(|| self.digits.cmp(&other.digits));
        self.sign().cmp(&other.sign()).then_with(|| match self.sign() {
            0 => Ordering::Equal,
            1 => magnitudes(),
            _ => magnitudes().reverse(),
        })
    }
}

/// What `new BigDecimal(text).toString()` makes of a `Double.toString()`: the exponent is written
/// otherwise.
pub(super) fn big_decimal_text(double: &str) -> String {
    let Some((mantissa, exponent)) = double.split_once('E') else { return double.to_owned() };
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(mantissa) => ("-", mantissa),
        None => ("", mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let Ok(exponent) = exponent.parse::<i32>() else { return double.to_owned() };
    let all = [whole, fraction].concat();
    let digits = match all.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    let scale = fraction.len() as i32 - exponent;
    let adjusted = digits.len() as i32 - 1 - scale;
    if scale < 0 || adjusted < -6 {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let plus = if adjusted > 0 { "+" } else { "" };
        return format!("{sign}{first}{point}{rest}E{plus}{adjusted}");
    }
    let scale = scale as usize;
    match digits.len().checked_sub(scale) {
        Some(_) if scale == 0 => format!("{sign}{digits}"),
        Some(whole) if whole > 0 => format!("{sign}{}.{}", &digits[..whole], &digits[whole..]),
        _ => format!("{sign}0.{digits:0>scale$}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Decimal, big_decimal_text};
    use std::cmp::Ordering;

    #[test]
    fn numbers_compare_by_value() {
        let ascending = [
            "-1e2000000000",
            "-12",
            "-11.999",
            "-1",
            "-0.5",
            "-1E-9",
            "0",
            "1e-2000000000",
            "0.001",
            "0.0010000000000000000001",
            "1",
            "1.5",
            "9",
            "10",
            "99999999999999999999",
            "1e20",
            "1.0000000000000000000000001e20",
            "1e2000000000",
        ];
        for (i, left) in ascending.iter().enumerate() {
            for (j, right) in ascending.iter().enumerate() {
                let (a, b) = (Decimal::parse(left).unwrap(), Decimal::parse(right).unwrap());
                assert_eq!(a.compare(&b), i.cmp(&j), "{left} {right}");
            }
        }
        for (left, right) in [("1", "1.000"), ("-0", "0.0"), ("+5", "05"), ("100", "1E2")] {
            let (a, b) = (Decimal::parse(left).unwrap(), Decimal::parse(right).unwrap());
            assert_eq!(a.compare(&b), Ordering::Equal, "{left} {right}");
        }
        for text in ["", "-", ".", "a", "1e", "1e99999999999", "1 ", "--1", "Infinity", "1.2.3"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn exponents_are_written_as_big_decimal_writes_them() {
        for (double, expected) in [
            ("1.0E10", "1.0E+10"),
            ("1.0E-5", "0.000010"),
            ("1.5E-9", "1.5E-9"),
            ("1.2345678901E10", "12345678901"),
            ("1.23456789012E10", "12345678901.2"),
            ("-2.25E7", "-2.25E+7"),
            ("1.5", "1.5"),
        ] {
            assert_eq!(big_decimal_text(double), expected, "{double}");
        }
    }
}
