//! The text that replaces a match: `$1`, `${name}` and `\` as `Matcher.appendReplacement` reads
//! them.

use std::iter::Peekable;
use std::str::Chars;

use super::Groups;
use crate::limits::LimitExceeded;
use crate::methods::text::push;
use crate::methods::{MethodError, thrown};

pub(super) struct Replacement(Vec<Part>);

enum Part {
    Text(String),
    Group(usize),
}

impl Replacement {
    pub(super) fn parse(
        text: &str,
        groups: usize,
        names: &[(String, usize)],
    ) -> Result<Self, MethodError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '\\' => match rest.next() {
                    Some(escaped) => literal.push(escaped),
                    None => return illegal("character to be escaped is missing"),
                },
                '$' => {
                    if !literal.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Group(group(&mut rest, groups, names)?));
                }
                c => literal.push(c),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self(parts))
    }

    pub(super) fn append(
        &self,
        text: &str,
        groups: &Groups,
        out: &mut String,
    ) -> Result<(), LimitExceeded> {
        for part in &self.0 {
            match part {
                Part::Text(literal) => push(literal, out)?,
                Part::Group(group) => {
                    if let Some(Some(range)) = groups.get(*group) {
                        push(text.get(range.clone()).unwrap_or(""), out)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// After a `$`.
fn group(
    rest: &mut Peekable<Chars<'_>>,
    groups: usize,
    names: &[(String, usize)],
) -> Result<usize, MethodError> {
    match rest.peek() {
        None => illegal("Illegal group reference: group index is missing"),
        Some('{') => {
            rest.next();
            named(rest, names)
        }
        Some(digit) if digit.is_ascii_digit() => {
            let mut number = 0usize;
            let mut first = true;
            // As many digits as still name a group.
            while let Some(digit) = rest.peek().and_then(|digit| digit.to_digit(10)) {
                let longer = number.saturating_mul(10).saturating_add(digit as usize);
                if !first && longer > groups {
                    break;
                }
                number = longer;
                first = false;
                rest.next();
            }
            if number > groups {
                return thrown("IndexOutOfBoundsException", format_args!("No group {number}"));
            }
            Ok(number)
        }
        Some(_) => illegal("Illegal group reference"),
    }
}

fn named(rest: &mut Peekable<Chars<'_>>, names: &[(String, usize)]) -> Result<usize, MethodError> {
    let mut name = String::new();
    while let Some(c) = rest.next_if(char::is_ascii_alphanumeric) {
        name.push(c);
    }
    if name.is_empty() || rest.next() != Some('}') {
        return illegal("named capturing group is missing trailing '}'");
    }
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        return illegal(&format!("capturing group name {{{name}}} starts with digit character"));
    }
    match names.iter().find(|(own, _)| *own == name) {
        Some((_, number)) => Ok(*number),
        None => illegal(&format!("No group with name {{{name}}}")),
    }
}

fn illegal<T>(message: &str) -> Result<T, MethodError> {
    thrown("IllegalArgumentException", message)
}
