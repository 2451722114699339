//! The methods of `java.lang.String`. Indexes count UTF-16 units.

use std::rc::Rc;

use super::name::StringMethod;
use super::text::push;
use super::utf16::{self, int, slice, substring, unit_at};
use super::{
    MethodError, Outcome, call_any, format, list, made, null_pointer, pattern, scalar, scan,
    thrown, to_text,
};
use crate::limits::{Budget, MAX_OUTPUT_BYTES};
use crate::value::{ListKind, Number, Text, Value};

/// Longest string whose `bytes` a template gets, in bytes: each becomes a number of its own.
const MAX_BYTES_PROPERTY: usize = 100_000;

pub(super) fn call<'t>(
    text: &Text<'t>,
    method: StringMethod,
    arguments: &[Value<'t>],
    budget: &mut Budget,
) -> Outcome<'t> {
    match arguments {
        [] => without_arguments(text, method, budget),
        _ => changed(text, method, arguments, budget),
    }
}

fn without_arguments<'t>(
    text: &Text<'t>,
    method: StringMethod,
    budget: &mut Budget,
) -> Outcome<'t> {
    use StringMethod as M;
    let whole = text.as_str();
    scan(whole.len(), budget)?;
    Ok(Some(match method {
        M::Length => int(utf16::length(whole)).into(),
        M::IsEmpty => whole.is_empty().into(),
        M::IsBlank => is_blank(whole).into(),
        M::Trim => return trimmed(text, |c| c <= ' ', true, true, budget),
        M::Strip => return trimmed(text, scalar::is_whitespace, true, true, budget),
        M::StripLeading => return trimmed(text, scalar::is_whitespace, true, false, budget),
        M::StripTrailing => return trimmed(text, scalar::is_whitespace, false, true, budget),
        M::ToLowerCase => return lower_case(text, budget),
        M::ToUpperCase => return upper_case(text, budget),
        M::Intern => text.clone().into(),
        M::GetBytes => {
            budget.allocate(whole.len().saturating_mul(size_of::<Value<'_>>()))?;
            bytes_of(whole)
        }
        M::ToCharArray => {
            budget.allocate(whole.len().saturating_mul(size_of::<Value<'_>>()))?;
            Value::list(ListKind::Array, whole.chars().map(Value::Character).collect())
        }
        _ => return statics(text, method, &[], budget),
    }))
}

fn changed<'t>(
    text: &Text<'t>,
    method: StringMethod,
    arguments: &[Value<'t>],
    budget: &mut Budget,
) -> Outcome<'t> {
    use Number::Integer;
    use StringMethod as M;
    use Value::{Character, Null, Number as N, String as S};
    let whole = text.as_str();
    Ok(Some(match (method, arguments) {
        (M::Substring, [N(Integer(begin))]) => substring(text, *begin, None, budget)?.into(),
        (M::Substring | M::SubSequence, [N(Integer(begin)), N(Integer(end))]) => {
            substring(text, *begin, Some(*end), budget)?.into()
        }
        (M::Concat, [S(other)]) if other.as_str().is_empty() => text.clone().into(),
        (M::Concat, [S(other)]) => {
            budget.allocate(whole.len().saturating_add(other.as_str().len()))?;
            [whole, other.as_str()].concat().into()
        }
        (M::Replace, [Character(from), Character(to)]) => {
            let (mut a, mut b) = ([0; 4], [0; 4]);
            return replaced(text, from.encode_utf8(&mut a), to.encode_utf8(&mut b), budget);
        }
        (M::Replace, [S(from), S(to)]) => {
            return replaced(text, from.as_str(), to.as_str(), budget);
        }
        (M::ReplaceAll, [S(pattern), by @ (S(_) | Null)]) => {
            pattern::replace(text, pattern.as_str(), by.as_str(), true, budget)?.into()
        }
        (M::ReplaceFirst, [S(pattern), S(by)]) => {
            pattern::replace(text, pattern.as_str(), Some(by.as_str()), false, budget)?.into()
        }
        (M::Split, [S(pattern)]) => return pattern::split(text, pattern.as_str(), 0, budget),
        (M::Split, [S(pattern), N(Integer(limit))]) => {
            return pattern::split(text, pattern.as_str(), *limit, budget);
        }
        (M::Repeat, [N(Integer(count))]) => repeated(text, *count, budget)?,
        _ => return questions(text, method, arguments, budget),
    }))
}

fn questions<'t>(
    text: &Text<'t>,
    method: StringMethod,
    arguments: &[Value<'t>],
    budget: &mut Budget,
) -> Outcome<'t> {
    use Number::Integer;
    use StringMethod as M;
    use Value::{Null, Number as N, String as S};
    let whole = text.as_str();
    scan(whole.len(), budget)?;
    Ok(Some(match (method, arguments) {
        (M::Equals, [S(other)]) => (whole == other.as_str()).into(),
        (M::CharAt, [N(Integer(index))]) => Value::Character(char_at(whole, *index)?),
        (M::CodePointAt, [N(Integer(index))]) => code_point_at(whole, *index)?.into(),
        (M::Contains, [S(part)]) => {
            memchr::memmem::find(whole.as_bytes(), part.as_str().as_bytes()).is_some().into()
        }
        (M::StartsWith, [S(part)]) => whole.starts_with(part.as_str()).into(),
        (M::StartsWith, [S(part), N(Integer(from))]) => {
            starts_with(whole, part.as_str(), *from).into()
        }
        // Java looks at the offset first.
        (M::StartsWith, [Null, N(Integer(..0))]) => false.into(),
        (M::EndsWith, [S(part)]) => whole.ends_with(part.as_str()).into(),
        (M::IndexOf, [S(part)]) => index_of(whole, Needle::Text(part.as_str()), 0).into(),
        (M::IndexOf, [S(part), N(Integer(from))]) => {
            index_of(whole, Needle::Text(part.as_str()), *from).into()
        }
        (M::IndexOf, [N(Integer(code))]) => index_of(whole, Needle::of_code(*code), 0).into(),
        (M::IndexOf, [N(Integer(code)), N(Integer(from))]) => {
            index_of(whole, Needle::of_code(*code), *from).into()
        }
        (M::LastIndexOf, [S(part)]) => {
            last_index_of(whole, Needle::Text(part.as_str()), i32::MAX).into()
        }
        (M::LastIndexOf, [S(part), N(Integer(from))]) => {
            last_index_of(whole, Needle::Text(part.as_str()), *from).into()
        }
        (M::LastIndexOf, [N(Integer(code))]) => {
            last_index_of(whole, Needle::of_code(*code), i32::MAX).into()
        }
        (M::LastIndexOf, [N(Integer(code)), N(Integer(from))]) => {
            last_index_of(whole, Needle::of_code(*code), *from).into()
        }
        (M::ContentEquals, [S(other)]) => (whole == other.as_str()).into(),
        (M::EqualsIgnoreCase, [S(other)]) => folded(whole).eq(folded(other.as_str())).into(),
        (M::EqualsIgnoreCase, [Null]) => false.into(),
        (M::CompareTo, [S(other)]) => utf16::compare(whole, other.as_str()).into(),
        (M::CompareToIgnoreCase, [S(other)]) => compare_folded(whole, other.as_str()).into(),
        (M::Matches, [S(pattern)]) => pattern::matches(whole, pattern.as_str(), budget)?.into(),
        (M::RegionMatches, [N(Integer(at)), S(other), N(Integer(from)), N(Integer(length))]) => {
            region_matches(whole, *at, other.as_str(), *from, *length, false).into()
        }
        (
            M::RegionMatches,
            [
                Value::Boolean(ignore),
                N(Integer(at)),
                S(other),
                N(Integer(from)),
                N(Integer(length)),
            ],
        ) => region_matches(whole, *at, other.as_str(), *from, *length, *ignore).into(),
        _ if refuses_null(method, arguments) => return null_pointer(),
        _ => return statics(text, method, arguments, budget),
    }))
}

/// Whether these arguments fit a method that throws because one of its objects is null. A null
/// fits no `int`.
fn refuses_null(method: StringMethod, arguments: &[Value<'_>]) -> bool {
    use Number::Integer;
    use StringMethod as M;
    use Value::{Boolean, Null, Number as N, String as S};
    match (method, arguments) {
        (
            M::Contains
            | M::StartsWith
            | M::EndsWith
            | M::IndexOf
            | M::LastIndexOf
            | M::Concat
            | M::Matches
            | M::Split
            | M::CompareTo
            | M::CompareToIgnoreCase
            | M::ContentEquals,
            [Null],
        ) => true,
        (M::StartsWith | M::IndexOf | M::LastIndexOf | M::Split, [Null, N(Integer(_))]) => true,
        (M::Replace | M::ReplaceAll | M::ReplaceFirst, [Null, Null | S(_)] | [S(_), Null]) => true,
        (M::RegionMatches, [N(Integer(_)), Null, N(Integer(_)), N(Integer(_))]) => true,
        (M::RegionMatches, [Boolean(_), N(Integer(_)), Null, N(Integer(_)), N(Integer(_))]) => true,
        (M::Join, [Null, Value::List(_)]) => true,
        (M::Join, [Null, parts @ ..]) => parts.iter().all(|part| matches!(part, Null | S(_))),
        _ => false,
    }
}

/// Java's static methods, which Velocity calls through any string.
fn statics<'t>(
    text: &Text<'t>,
    method: StringMethod,
    arguments: &[Value<'t>],
    budget: &mut Budget,
) -> Outcome<'t> {
    use StringMethod as M;
    Ok(Some(match (method, arguments) {
        (M::Format, [Value::String(pattern), rest @ ..]) => {
            format::format(pattern.as_str(), rest, budget)?.into()
        }
        (M::Formatted, rest) => format::format(text.as_str(), rest, budget)?.into(),
        (M::CopyValueOf, [Value::Null]) => return null_pointer(),
        (M::ValueOf, [value]) => to_text(value, budget)?.into(),
        (M::Join, [Value::String(between), Value::List(parts)]) if arguments.len() == 2 => {
            let parts = parts.items.borrow();
            joined(between.as_str(), &parts, budget)?
        }
        (M::Join, [Value::String(between), parts @ ..])
            if parts.iter().all(|part| matches!(part, Value::String(_) | Value::Null)) =>
        {
            joined(between.as_str(), parts, budget)?
        }
        _ => return call_any(&Value::String(text.clone()), method.name(), arguments, budget),
    }))
}

pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(scalar::is_whitespace)
}

/// `getBytes()` as numbers from -128 to 127; null for a very long text.
pub(super) fn bytes<'t>(text: &str) -> Value<'t> {
    if text.len() > MAX_BYTES_PROPERTY {
        return Value::Null;
    }
    bytes_of(text)
}

fn bytes_of<'t>(text: &str) -> Value<'t> {
    let signed = |byte: u8| Value::from(i32::from(byte as i8));
    Value::list(ListKind::Array, text.bytes().map(signed).collect())
}

fn trimmed<'t>(
    text: &Text<'t>,
    space: impl Fn(char) -> bool,
    leading: bool,
    trailing: bool,
    budget: &mut Budget,
) -> Outcome<'t> {
    let whole = text.as_str();
    let start = if leading { whole.len() - whole.trim_start_matches(&space).len() } else { 0 };
    let rest = whole.get(start..).unwrap_or("");
    let kept = if trailing { rest.trim_end_matches(&space).len() } else { rest.len() };
    Ok(Some(slice(text, start..start + kept, budget)?.into()))
}

fn lower_case<'t>(text: &Text<'t>, budget: &mut Budget) -> Outcome<'t> {
    let whole = text.as_str();
    if !whole.is_ascii() {
        return Ok(Some(made(whole.to_lowercase(), budget)?.into()));
    }
    match whole.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => changed_copy(whole, str::make_ascii_lowercase, budget),
        false => Ok(Some(text.clone().into())),
    }
}

fn upper_case<'t>(text: &Text<'t>, budget: &mut Budget) -> Outcome<'t> {
    let whole = text.as_str();
    if !whole.is_ascii() {
        return Ok(Some(made(whole.to_uppercase(), budget)?.into()));
    }
    match whole.bytes().any(|byte| byte.is_ascii_lowercase()) {
        true => changed_copy(whole, str::make_ascii_uppercase, budget),
        false => Ok(Some(text.clone().into())),
    }
}

/// A copy that is changed in place: with memory for one text, not for two.
fn changed_copy<'t>(
    whole: &str,
    change: impl FnOnce(&mut str),
    budget: &mut Budget,
) -> Outcome<'t> {
    budget.allocate(whole.len())?;
    let mut copy: Rc<str> = whole.into();
    if let Some(copy) = Rc::get_mut(&mut copy) {
        change(copy);
    }
    Ok(Some(Text::Shared(copy).into()))
}

fn char_at(text: &str, index: i32) -> Result<char, MethodError> {
    match usize::try_from(index).ok().and_then(|index| unit_at(text, index)) {
        Some(c) => Ok(c),
        None => thrown(
            "StringIndexOutOfBoundsException",
            format_args!("String index out of range: {index}"),
        ),
    }
}

fn code_point_at(text: &str, index: i32) -> Result<i32, MethodError> {
    match usize::try_from(index).ok().and_then(|index| utf16::code_point_at(text, index)) {
        Some(c) => Ok(c as i32),
        None => thrown(
            "StringIndexOutOfBoundsException",
            format_args!("index {index}, length {}", utf16::length(text)),
        ),
    }
}

fn starts_with(text: &str, part: &str, from: i32) -> bool {
    let Ok(from) = usize::try_from(from) else { return false };
    if from > utf16::length(text) {
        return false;
    }
    let place = utf16::place(text, from);
    !place.inside && text.get(place.byte..).is_some_and(|rest| rest.starts_with(part))
}

/// What is searched for: a string, or a character by its code.
enum Needle<'n> {
    Text(&'n str),
    Character(char),
    /// A code that no string here can contain.
    Nothing,
}

impl Needle<'_> {
    fn of_code(code: i32) -> Self {
        let character = u32::try_from(code).ok().and_then(char::from_u32);
        character.map_or(Self::Nothing, Self::Character)
    }
}

fn index_of(text: &str, needle: Needle<'_>, from: i32) -> i32 {
    let mut buffer = [0; 4];
    let (needle, is_text): (&str, bool) = match needle {
        Needle::Text(text) => (text, true),
        Needle::Character(c) => (c.encode_utf8(&mut buffer), false),
        Needle::Nothing => return -1,
    };
    let from = usize::try_from(from).unwrap_or(0);
    let place = utf16::place(text, from);
    if is_text && needle.is_empty() {
        return int(from.min(utf16::length(text)));
    }
    let start = place.byte + usize::from(place.inside);
    text.as_bytes()
        .get(start..)
        .and_then(|rest| memchr::memmem::find(rest, needle.as_bytes()))
        .map_or(-1, |at| utf16::index_of_byte(text, start + at))
}

fn last_index_of(text: &str, needle: Needle<'_>, from: i32) -> i32 {
    let mut buffer = [0; 4];
    let needle: &str = match needle {
        Needle::Text(text) => text,
        Needle::Character(c) => c.encode_utf8(&mut buffer),
        Needle::Nothing => return -1,
    };
    let Ok(from) = usize::try_from(from) else { return -1 };
    if needle.is_empty() {
        return int(from.min(utf16::length(text)));
    }
    let end = utf16::place(text, from).byte.saturating_add(needle.len()).min(text.len());
    let found = memchr::memmem::rfind(&text.as_bytes()[..end], needle.as_bytes());
    found.map_or(-1, |at| utf16::index_of_byte(text, at))
}

/// Java compares letters by their upper and then their lower case.
fn folded(text: &str) -> impl Iterator<Item = char> {
    fn single(c: char, mut mapped: impl Iterator<Item = char>) -> char {
        match (mapped.next(), mapped.next()) {
            (Some(only), None) => only,
            _ => c,
        }
    }
    text.chars().map(|c| {
        if c.is_ascii() {
            return c.to_ascii_lowercase();
        }
        let upper = single(c, c.to_uppercase());
        single(upper, upper.to_lowercase())
    })
}

fn compare_folded(a: &str, b: &str) -> i32 {
    let different = folded(a).zip(folded(b)).find(|(a, b)| a != b);
    match different {
        Some((a, b)) => a as i32 - b as i32,
        None => int(utf16::length(a)) - int(utf16::length(b)),
    }
}

fn region_matches(
    text: &str,
    at: i32,
    other: &str,
    from: i32,
    length: i32,
    ignore_case: bool,
) -> bool {
    let inside = |text: &str, at: i32| {
        i64::from(at) + i64::from(length) <= i64::from(int(utf16::length(text)))
    };
    let (Ok(start), Ok(other_start)) = (usize::try_from(at), usize::try_from(from)) else {
        return false;
    };
    if !inside(text, at) || !inside(other, from) {
        return false;
    }
    let length = usize::try_from(length).unwrap_or(0);
    let a: Vec<u16> = text.encode_utf16().skip(start).take(length).collect();
    let b: Vec<u16> = other.encode_utf16().skip(other_start).take(length).collect();
    if !ignore_case {
        return a == b;
    }
    let (a, b) = (String::from_utf16_lossy(&a), String::from_utf16_lossy(&b));
    folded(&a).eq(folded(&b))
}

/// `replace(from, to)`: all of them, none overlapping.
fn replaced<'t>(text: &Text<'t>, from: &str, to: &str, budget: &mut Budget) -> Outcome<'t> {
    let whole = text.as_str();
    scan(whole.len(), budget)?;
    let out = match from.as_bytes() {
        [byte] => copied(whole, memchr::memchr_iter(*byte, whole.as_bytes()), 1, to)?,
        _ => copied(whole, whole.match_indices(from).map(|(at, _)| at), from.len(), to)?,
    };
    Ok(match out {
        Some(out) => Some(made(out, budget)?.into()),
        None => Some(text.clone().into()),
    })
}

/// A text with what is `length` long at each of these places replaced. `None`: there is no place.
fn copied(
    whole: &str,
    places: impl Iterator<Item = usize>,
    length: usize,
    to: &str,
) -> Result<Option<String>, MethodError> {
    let mut places = places.peekable();
    if places.peek().is_none() {
        return Ok(None);
    }
    let mut out = String::with_capacity(whole.len());
    let mut copied = 0;
    for at in places {
        push(whole.get(copied..at).unwrap_or(""), &mut out)?;
        push(to, &mut out)?;
        copied = at + length;
    }
    push(whole.get(copied..).unwrap_or(""), &mut out)?;
    Ok(Some(out))
}

fn repeated<'t>(
    text: &Text<'t>,
    count: i32,
    budget: &mut Budget,
) -> Result<Value<'t>, MethodError> {
    let Ok(count) = usize::try_from(count) else {
        return thrown("IllegalArgumentException", format_args!("count is negative: {count}"));
    };
    let length = text.as_str().len().saturating_mul(count);
    budget.allocate(length)?;
    // An empty string any number of times is no work.
    let count = if length == 0 { 0 } else { count.min(MAX_OUTPUT_BYTES) };
    Ok(text.as_str().repeat(count).into())
}

fn joined<'t>(
    between: &str,
    parts: &[Value<'t>],
    budget: &mut Budget,
) -> Result<Value<'t>, MethodError> {
    let mut out = String::new();
    budget.steps(parts.len() as u64 / 16)?;
    for (position, part) in parts.iter().enumerate() {
        if position > 0 {
            push(between, &mut out)?;
        }
        match part {
            Value::String(text) => push(text.as_str(), &mut out)?,
            Value::Null => push("null", &mut out)?,
            _ => return thrown("ClassCastException", "an element is no java.lang.CharSequence"),
        }
    }
    Ok(made(out, budget)?.into())
}

/// The items of a Java array given for `Object...`.
pub(super) fn spread<'t>(arguments: &[Value<'t>]) -> Option<Vec<Value<'t>>> {
    match arguments {
        [Value::List(array)] if array.kind == ListKind::Array => {
            list::collection(&Value::list(ListKind::Java, array.items.borrow().to_vec()))
                .ok()
                .flatten()
        }
        _ => None,
    }
}
