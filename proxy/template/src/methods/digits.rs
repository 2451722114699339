//! Java's texts of floating-point numbers and decimals.

use std::fmt::Write;

use bigdecimal::BigDecimal;

/// The shortest decimal digits that read back as a number's magnitude: `0.d₁d₂… × 10^point`.
pub(super) struct Digits {
    pub(super) digits: String,
    pub(super) point: i64,
}

impl Digits {
    /// Of a finite number, without its sign. Zero is the digit `0` with the point behind it.
    pub(super) fn of_double(value: f64) -> Self {
        let mut text = format!("{:e}", value.abs());
        // Java takes two digits where they come closer: 4.9E-324, not 5E-324.
        if text.as_bytes().get(1) == Some(&b'e') {
            text = format!("{:.1e}", value.abs());
        }
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let digits = mantissa.replace('.', "");
        let digits = digits.strip_suffix('0').filter(|rest| !rest.is_empty()).unwrap_or(&digits);
        Self { digits: digits.to_owned(), point: exponent.parse::<i64>().unwrap_or(0) + 1 }
    }

    pub(super) fn of_decimal(value: &BigDecimal) -> Self {
        let (digits, scale) = value.as_bigint_and_exponent();
        let digits = digits.magnitude().to_string();
        let point = (digits.len() as i64).saturating_sub(scale);
        Self { digits, point }
    }

    pub(super) fn is_zero(&self) -> bool {
        self.digits.bytes().all(|digit| digit == b'0')
    }

    /// Keeps `count` digits, rounding half up. A carry moves the point.
    pub(super) fn round_to(&mut self, count: i64) {
        let Ok(keep) = usize::try_from(count) else {
            self.digits.clear();
            self.digits.push('0');
            self.point = 1;
            return;
        };
        if keep >= self.digits.len() {
            return;
        }
        let up = self.digits.as_bytes()[keep] >= b'5';
        let mut kept = self.digits.as_bytes()[..keep].to_vec();
        let mut carry = up;
        for digit in kept.iter_mut().rev().take_while(|_| up) {
            if !carry {
                break;
            }
            carry = *digit == b'9';
            *digit = if carry { b'0' } else { *digit + 1 };
        }
        if carry {
            kept.insert(0, b'1');
            self.point += 1;
        }
        if kept.is_empty() {
            kept.push(b'0');
            self.point = 1;
        }
        self.digits = kept.into_iter().map(char::from).collect();
    }

    /// With the given count of fraction digits. The caller bounds `point` and `fraction`.
    pub(super) fn plain(&self, fraction: usize) -> String {
        let mut out = String::new();
        let digit = |place: i64| {
            usize::try_from(place)
                .ok()
                .and_then(|place| self.digits.as_bytes().get(place))
                .map_or('0', |digit| char::from(*digit))
        };
        if self.point <= 0 || self.is_zero() {
            out.push('0');
        } else {
            out.extend((0..self.point).map(digit));
        }
        if fraction > 0 {
            let start = if self.is_zero() { 0 } else { self.point };
            out.push('.');
            out.extend(
                (start..start + fraction as i64)
                    .map(|place| if self.is_zero() { '0' } else { digit(place) }),
            );
        }
        out
    }
}

/// `Double.toString`
pub(super) fn write_double(value: f64, out: &mut String) {
    if value.is_nan() {
        return out.push_str("NaN");
    }
    if value.is_sign_negative() {
        out.push('-');
    }
    if value.is_infinite() {
        return out.push_str("Infinity");
    }
    if value == 0.0 {
        return out.push_str("0.0");
    }
    let digits = Digits::of_double(value);
    let text = digits.digits.as_str();
    match digits.point {
        // 0.001 to 10 million stand without an exponent.
        point @ -2..=0 => {
            out.push_str("0.");
            out.extend((point..0).map(|_| '0'));
            out.push_str(text);
        }
        point @ 1..=7 => {
            let whole = point.unsigned_abs() as usize;
            let (before, after) = text.split_at(whole.min(text.len()));
            out.push_str(before);
            out.extend((before.len()..whole).map(|_| '0'));
            out.push('.');
            out.push_str(if after.is_empty() { "0" } else { after });
        }
        point => {
            let (first, rest) = text.split_at(1);
            let rest = if rest.is_empty() { "0" } else { rest };
            let _ = write!(out, "{first}.{rest}E{}", point - 1);
        }
    }
}

/// `BigDecimal.toString`
pub(super) fn write_decimal(value: &BigDecimal, out: &mut String) {
    let (unscaled, scale) = value.as_bigint_and_exponent();
    if unscaled.sign() == num_bigint::Sign::Minus {
        out.push('-');
    }
    let digits = unscaled.magnitude().to_string();
    let exponent = i128::from(digits.len() as u64) - 1 - i128::from(scale);
    match usize::try_from(scale) {
        Ok(0) => out.push_str(&digits),
        Ok(scale) if exponent >= -6 => match digits.len().checked_sub(scale) {
            Some(whole) if whole > 0 => {
                let (before, after) = digits.split_at(whole);
                let _ = write!(out, "{before}.{after}");
            }
            _ => {
                let _ = write!(out, "0.{digits:0>scale$}");
            }
        },
        _ => {
            let (first, rest) = digits.split_at(1);
            let dot = if rest.is_empty() { "" } else { "." };
            let _ = write!(out, "{first}{dot}{rest}");
            if exponent != 0 {
                let _ = write!(out, "E{exponent:+}");
            }
        }
    }
}
