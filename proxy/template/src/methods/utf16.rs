//! Strings by Java's indexes, which count UTF-16 units. All-ASCII strings, nearly all there are,
//! take the short way.

use std::ops::Range;

use super::{MethodError, made, scan, thrown};
use crate::limits::{Budget, LimitExceeded};
use crate::value::Text;

/// Stands for a unit of a surrogate pair by itself.
const HALF: char = char::REPLACEMENT_CHARACTER;

/// `length()`
pub(super) fn length(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().map(char::len_utf16).sum() }
}

/// Java's `int` of a length or index.
pub(super) fn int(value: usize) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// The unit at an index: half of a pair is U+FFFD.
pub(super) fn unit_at(text: &str, index: usize) -> Option<char> {
    if text.is_ascii() {
        return text.as_bytes().get(index).map(|byte| char::from(*byte));
    }
    let place = place(text, index);
    let c = text[place.byte..].chars().next()?;
    Some(if c.len_utf16() == 2 { HALF } else { c })
}

/// The code point that starts at an index; of a pair's second half: U+FFFD.
pub(super) fn code_point_at(text: &str, index: usize) -> Option<char> {
    let place = place(text, index);
    let c = text[place.byte..].chars().next()?;
    Some(if place.inside { HALF } else { c })
}

/// Where an index lies in a string.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Of the character at the index, or the string's end.
    pub(super) byte: usize,
    /// The index is a surrogate pair's second half.
    pub(super) inside: bool,
}

pub(super) fn place(text: &str, index: usize) -> Place {
    if text.is_ascii() {
        return Place { byte: index.min(text.len()), inside: false };
    }
    let mut units = 0;
    for (byte, c) in text.char_indices() {
        if units == index {
            return Place { byte, inside: false };
        }
        units += c.len_utf16();
        if units > index {
            return Place { byte, inside: true };
        }
    }
    Place { byte: text.len(), inside: false }
}

/// Java's index of a byte position at a character's start.
pub(super) fn index_of_byte(text: &str, byte: usize) -> i32 {
    int(length(text.get(..byte).unwrap_or(text)))
}

/// `substring(begin, end)`
pub(super) fn substring<'t>(
    text: &Text<'t>,
    begin: i32,
    end: Option<i32>,
    budget: &mut Budget,
) -> Result<Text<'t>, MethodError> {
    let whole = text.as_str();
    scan(whole.len(), budget)?;
    let length = length(whole);
    let last = end.unwrap_or(int(length));
    let (Ok(from), Ok(to)) = (usize::try_from(begin), usize::try_from(last)) else {
        return out_of_range(begin, last, length);
    };
    if from > to || to > length {
        return out_of_range(begin, last, length);
    }
    if from == to {
        return Ok(Text::Borrowed(""));
    }
    let (from, to) = (place(whole, from), place(whole, to));
    if !from.inside && !to.inside {
        return Ok(slice(text, from.byte..to.byte, budget)?);
    }
    let mut out = String::new();
    let mut start = from.byte;
    if from.inside {
        out.push(HALF);
        start += whole[start..].chars().next().map_or(0, char::len_utf8);
    }
    out.push_str(whole.get(start..to.byte).unwrap_or(""));
    if to.inside {
        out.push(HALF);
    }
    Ok(made(out, budget)?)
}

fn out_of_range<T>(begin: i32, end: i32, length: usize) -> Result<T, MethodError> {
    thrown(
        "StringIndexOutOfBoundsException",
        format_args!("begin {begin}, end {end}, length {length}"),
    )
}

/// Part of a text: without a copy where the text is borrowed.
pub(super) fn slice<'t>(
    text: &Text<'t>,
    range: Range<usize>,
    budget: &mut Budget,
) -> Result<Text<'t>, LimitExceeded> {
    match text {
        Text::Borrowed(whole) => Ok(Text::Borrowed(whole.get(range).unwrap_or(""))),
        Text::Shared(whole) if range == (0..whole.len()) => Ok(text.clone()),
        Text::Shared(whole) => {
            let part = whole.get(range).unwrap_or("");
            budget.allocate(part.len())?;
            Ok(Text::Shared(part.into()))
        }
    }
}

/// `compareTo`: the difference of the first units that differ, or of the lengths.
pub(super) fn compare(a: &str, b: &str) -> i32 {
    let mut others = b.encode_utf16();
    let mut units = a.encode_utf16();
    loop {
        match (units.next(), others.next()) {
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) => return i32::from(a) - i32::from(b),
            (None, None) => return 0,
            (Some(_), None) => return int(1 + units.count()),
            (None, Some(_)) => return -int(1 + others.count()),
        }
    }
}
