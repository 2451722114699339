//! Strings and numbers.

use num_bigint::BigInt;

use super::SyntaxError;
use super::ast::{Expression, Location, Node};
use super::expressions::Tall;
use super::parser::Parser;
use crate::value::Number;

/// Digits of an integer: reading them takes time by the square of their number.
const MAX_INTEGER_DIGITS: usize = 1_000;

impl Parser<'_, '_> {
    pub(super) fn integer(&self, index: usize) -> Result<Expression, SyntaxError> {
        let image = self.image(index);
        if image.len() > MAX_INTEGER_DIGITS {
            let message = format!("a number of more than {MAX_INTEGER_DIGITS} digits");
            return Err(self.error_at(index, message));
        }
        let number = if let Ok(number) = image.parse() {
            Number::Integer(number)
        } else if let Ok(number) = image.parse() {
            Number::Long(number)
        } else {
            let number: BigInt = image.parse().map_err(|_| self.not_a_number(index))?;
            Number::BigInteger(Box::new(number))
        };
        Ok(Expression::Number(number))
    }

    pub(super) fn floating_point(&self, index: usize) -> Result<Expression, SyntaxError> {
        let number = self.image(index).parse().map_err(|_| self.not_a_number(index))?;
        Ok(Expression::Number(Number::Double(number)))
    }

    fn not_a_number(&self, index: usize) -> SyntaxError {
        self.error_at(index, format!("`{}` is not a number", self.image(index)))
    }

    pub(super) fn string(&mut self, index: usize) -> Result<Tall, SyntaxError> {
        let image = self.image(index);
        let inner = image.get(1..image.len().saturating_sub(1)).unwrap_or("");
        if image.starts_with('\'') {
            return Ok(Tall::leaf(Expression::String(inner.replace("''", "'").into())));
        }
        let Some(unescaped) = unescape(inner) else {
            return Err(self.error_at(
                index,
                "in this string, `\\u` is not followed by four hexadecimal digits",
            ));
        };
        let text = unescaped.replace("\"\"", "\"");
        if !inner.contains(['$', '#']) {
            return Ok(Tall::leaf(Expression::String(text.into())));
        }
        self.interpolated(index, text)
    }

    /// A string with references or directives is a template of its own.
    fn interpolated(&mut self, index: usize, mut text: String) -> Result<Tall, SyntaxError> {
        // A blank at the end, taken off again, lets `$` and `#` be the last character.
        let blank = !text.contains("##");
        if blank {
            text.push(' ');
        }
        let Location { line, column } = self.location(index);
        let location = Location { line, column: column.saturating_add(1) };
        self.nested(|outer| {
            let mut inner = Parser::at(&text, outer.shared, location);
            inner.nesting = outer.nesting;
            inner.deepest = outer.nesting;
            inner.in_string = true;
            let mut body = inner.whole_text()?;
            let height = inner.deepest - outer.nesting + 1;
            if blank {
                body.drop_last_character();
            }
            let block = body.finish();
            let expression = match &*block {
                [] => Expression::String(Box::default()),
                [Node::Text(text)] => Expression::String(text.clone()),
                _ => Expression::Interpolated(block),
            };
            Ok(Tall { expression, height: outer.check_height(height)? })
        })
    }
}

/// Replaces each `\uXXXX`. `None` if those are not four hexadecimal digits.
fn unescape(text: &str) -> Option<String> {
    let mut pieces = text.split("\\u");
    let mut unescaped = pieces.next().unwrap_or("").to_owned();
    let mut high = None;
    for piece in pieces {
        let (digits, rest) = (piece.get(..4)?, piece.get(4..)?);
        let unit = code_unit(digits)?;
        let pair = high.take().map(|high| [high, unit]);
        match pair.map(|pair| char::decode_utf16(pair).collect::<Result<String, _>>()) {
            Some(Ok(character)) if character.chars().count() == 1 => {
                unescaped.push_str(&character);
            }
            first_was_alone => {
                if first_was_alone.is_some() {
                    unescaped.push(char::REPLACEMENT_CHARACTER);
                }
                match char::from_u32(u32::from(unit)) {
                    Some(character) => unescaped.push(character),
                    None if rest.is_empty() && (0xD800..0xDC00).contains(&unit) => {
                        high = Some(unit);
                    }
                    None => unescaped.push(char::REPLACEMENT_CHARACTER),
                }
            }
        }
        unescaped.push_str(rest);
    }
    if high.is_some() {
        unescaped.push(char::REPLACEMENT_CHARACTER);
    }
    Some(unescaped)
}

/// Java reads the digits as a number, which may have a sign.
fn code_unit(digits: &str) -> Option<u16> {
    let number = i32::from_str_radix(digits, 16).ok()?;
    // Of a negative number, Java takes the lower 16 bits.
    u16::try_from(number & 0xFFFF).ok()
}
