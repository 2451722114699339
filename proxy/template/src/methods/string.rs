//! The methods of `java.lang.String`. Indexes count UTF-16 units.

use super::text::push;
use super::utf16::{self, int, slice, substring, unit_at};
use super::{
    MethodError, Outcome, format, list, made, null_pointer, pattern, scalar, scan, thrown, to_text,
};
use crate::limits::{Budget, MAX_OUTPUT_BYTES};
use crate::value::{ListKind, Number, Text, Value};

/// Longest string whose `bytes` a template gets, in bytes: each becomes a number of its own.
const MAX_BYTES_PROPERTY: usize = 100_000;

pub(super) fn call<'t>(
    text: &Text<'t>,
    name: &str,
    arguments: &[Value<'t>],
    budget: &mut Budget,
) -> Outcome<'t> {
    let value = match arguments {
        [] => without_arguments(text, name, budget),
        _ => match changed(text, name, arguments, budget) {
            Ok(None) => questions(text, name, arguments, budget),
            value => value,
        },
    };
    match value {
        Ok(None) if refuses_null(name, arguments) => null_pointer(),
        Ok(None) => statics(text, name, arguments, budget),
        value => value,
    }
}

/// Whether these arguments fit a method that throws because one of its objects is null. A null
/// fits no `int`.
fn refuses_null(name: &str, arguments: &[Value<'_>]) -> bool {
    use Number::Integer;
    use Value::{Boolean, Null, Number as N, String as S};
    match (name, arguments) {
        (
            "contains"
            | "startsWith"
            | "endsWith"
            | "indexOf"
            | "lastIndexOf"
            | "concat"
            | "matches"
            | "split"
            | "compareTo"
            | "compareToIgnoreCase"
            | "contentEquals",
            [Null],
        ) => true,
        ("startsWith" | "indexOf" | "lastIndexOf" | "split", [Null, N(Integer(_))]) => true,
        ("replace" | "replaceAll" | "replaceFirst", [Null, Null | S(_)] | [S(_), Null]) => true,
        ("regionMatches", [N(Integer(_)), Null, N(Integer(_)), N(Integer(_))]) => true,
        ("regionMatches", [Boolean(_), N(Integer(_)), Null, N(Integer(_)), N(Integer(_))]) => true,
        ("join", [Null, Value::List(_)]) => true,
        ("join", [Null, parts @ ..]) => parts.iter().all(|part| matches!(part, Null | S(_))),
        _ => false,
    }
}

fn without_arguments<'t>(text: &Text<'t>, name: &str, budget: &mut Budget) -> Outcome<'t> {
    let whole = text.as_str();
    scan(whole.len(), budget)?;
    Ok(Some(match name {
        "length" => int(utf16::length(whole)).into(),
        "isEmpty" => whole.is_empty().into(),
        "isBlank" => is_blank(whole).into(),
        "trim" => trimmed(text, |c| c <= ' ', true, true, budget)?,
        "strip" => trimmed(text, scalar::is_whitespace, true, true, budget)?,
        "stripLeading" => trimmed(text, scalar::is_whitespace, true, false, budget)?,
        "stripTrailing" => trimmed(text, scalar::is_whitespace, false, true, budget)?,
        "toLowerCase" if !whole.bytes().any(|b| !b.is_ascii() || b.is_ascii_uppercase()) => {
            text.clone().into()
        }
        "toLowerCase" if whole.is_ascii() => made(whole.to_ascii_lowercase(), budget)?.into(),
        "toLowerCase" => made(whole.to_lowercase(), budget)?.into(),
        "toUpperCase" if !whole.bytes().any(|b| !b.is_ascii() || b.is_ascii_lowercase()) => {
            text.clone().into()
        }
        "toUpperCase" if whole.is_ascii() => made(whole.to_ascii_uppercase(), budget)?.into(),
        "toUpperCase" => made(whole.to_uppercase(), budget)?.into(),
        "intern" => text.clone().into(),
        "getBytes" => {
            budget.allocate(whole.len().saturating_mul(size_of::<Value<'_>>()))?;
            bytes_of(whole)
        }
        "toCharArray" => {
            budget.allocate(whole.len().saturating_mul(size_of::<Value<'_>>()))?;
            Value::list(ListKind::Array, whole.chars().map(Value::Character).collect())
        }
        _ => return Ok(None),
    }))
}

fn questions<'t>(
    text: &Text<'t>,
    name: &str,
    arguments: &[Value<'t>],
    budget: &mut Budget,
) -> Outcome<'t> {
    use Number::Integer;
    use Value::{Null, Number as N, String as S};
    let whole = text.as_str();
    scan(whole.len(), budget)?;
    Ok(Some(match (name, arguments) {
        ("equals", [S(other)]) => (whole == other.as_str()).into(),
        ("charAt", [N(Integer(index))]) => Value::Character(char_at(whole, *index)?),
        ("codePointAt", [N(Integer(index))]) => code_point_at(whole, *index)?.into(),
        ("contains", [S(part)]) => {
            memchr::memmem::find(whole.as_bytes(), part.as_str().as_bytes()).is_some().into()
        }
        ("startsWith", [S(part)]) => whole.starts_with(part.as_str()).into(),
        ("startsWith", [S(part), N(Integer(from))]) => {
            starts_with(whole, part.as_str(), *from).into()
        }
        // Java looks at the offset first.
        ("startsWith", [Null, N(Integer(..0))]) => false.into(),
        ("endsWith", [S(part)]) => whole.ends_with(part.as_str()).into(),
        ("indexOf", [part]) => return Ok(index_of(whole, part, 0)),
        ("indexOf", [part, N(Integer(from))]) => return Ok(index_of(whole, part, *from)),
        ("lastIndexOf", [part]) => return Ok(last_index_of(whole, part, i32::MAX)),
        ("lastIndexOf", [part, N(Integer(from))]) => return Ok(last_index_of(whole, part, *from)),
        ("contentEquals", [S(other)]) => (whole == other.as_str()).into(),
        ("equalsIgnoreCase", [S(other)]) => folded(whole).eq(folded(other.as_str())).into(),
        ("equalsIgnoreCase", [Null]) => false.into(),
        ("compareTo", [S(other)]) => utf16::compare(whole, other.as_str()).into(),
        ("compareToIgnoreCase", [S(other)]) => compare_folded(whole, other.as_str()).into(),
        ("matches", [S(pattern)]) => pattern::matches(whole, pattern.as_str(), budget)?.into(),
        ("regionMatches", [N(Integer(at)), S(other), N(Integer(from)), N(Integer(length))]) => {
            region_matches(whole, *at, other.as_str(), *from, *length, false).into()
        }
        (
            "regionMatches",
            [
                Value::Boolean(ignore),
                N(Integer(at)),
                S(other),
                N(Integer(from)),
                N(Integer(length)),
            ],
        ) => region_matches(whole, *at, other.as_str(), *from, *length, *ignore).into(),
        _ => return Ok(None),
    }))
}

fn changed<'t>(
    text: &Text<'t>,
    name: &str,
    arguments: &[Value<'t>],
    budget: &mut Budget,
) -> Outcome<'t> {
    use Number::Integer;
    use Value::{Character, Null, Number as N, String as S};
    let whole = text.as_str();
    Ok(Some(match (name, arguments) {
        ("substring", [N(Integer(begin))]) => substring(text, *begin, None, budget)?.into(),
        ("substring" | "subSequence", [N(Integer(begin)), N(Integer(end))]) => {
            substring(text, *begin, Some(*end), budget)?.into()
        }
        ("concat", [S(other)]) if other.as_str().is_empty() => text.clone().into(),
        ("concat", [S(other)]) => {
            budget.allocate(whole.len().saturating_add(other.as_str().len()))?;
            [whole, other.as_str()].concat().into()
        }
        ("replace", [Character(from), Character(to)]) => {
            let (mut a, mut b) = ([0; 4], [0; 4]);
            replaced(text, from.encode_utf8(&mut a), to.encode_utf8(&mut b), budget)?
        }
        ("replace", [S(from), S(to)]) => replaced(text, from.as_str(), to.as_str(), budget)?,
        ("replaceAll", [S(pattern), by @ (S(_) | Null)]) => {
            pattern::replace(text, pattern.as_str(), by.as_str(), true, budget)?.into()
        }
        ("replaceFirst", [S(pattern), S(by)]) => {
            pattern::replace(text, pattern.as_str(), Some(by.as_str()), false, budget)?.into()
        }
        ("split", [S(pattern)]) => return pattern::split(text, pattern.as_str(), 0, budget),
        ("split", [S(pattern), N(Integer(limit))]) => {
            return pattern::split(text, pattern.as_str(), *limit, budget);
        }
        ("repeat", [N(Integer(count))]) => repeated(text, *count, budget)?,
        _ => return Ok(None),
    }))
}

/// Java's static methods, which Velocity calls through any string.
fn statics<'t>(
    text: &Text<'t>,
    name: &str,
    arguments: &[Value<'t>],
    budget: &mut Budget,
) -> Outcome<'t> {
    Ok(Some(match (name, arguments) {
        ("format", [Value::String(pattern), rest @ ..]) => {
            format::format(pattern.as_str(), rest, budget)?.into()
        }
        ("formatted", rest) => format::format(text.as_str(), rest, budget)?.into(),
        ("copyValueOf", [Value::Null]) => return null_pointer(),
        ("valueOf", [value]) => to_text(value, budget)?.into(),
        ("join", [Value::String(between), Value::List(parts)]) if arguments.len() == 2 => {
            let parts = parts.items.borrow();
            joined(between.as_str(), &parts, budget)?
        }
        ("join", [Value::String(between), parts @ ..])
            if parts.iter().all(|part| matches!(part, Value::String(_) | Value::Null)) =>
        {
            joined(between.as_str(), parts, budget)?
        }
        _ => return Ok(None),
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
) -> Result<Value<'t>, MethodError> {
    let whole = text.as_str();
    let start = if leading { whole.len() - whole.trim_start_matches(&space).len() } else { 0 };
    let rest = whole.get(start..).unwrap_or("");
    let kept = if trailing { rest.trim_end_matches(&space).len() } else { rest.len() };
    Ok(slice(text, start..start + kept, budget)?.into())
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

fn needle<'n>(part: &'n Value<'_>) -> Option<Needle<'n>> {
    match part {
        Value::String(text) => Some(Needle::Text(text.as_str())),
        Value::Number(Number::Integer(code)) => Some(
            u32::try_from(*code)
                .ok()
                .and_then(char::from_u32)
                .map_or(Needle::Nothing, Needle::Character),
        ),
        _ => None,
    }
}

fn index_of<'t>(text: &str, part: &Value<'t>, from: i32) -> Option<Value<'t>> {
    let mut buffer = [0; 4];
    let (needle, is_text): (&str, bool) = match needle(part)? {
        Needle::Text(text) => (text, true),
        Needle::Character(c) => (c.encode_utf8(&mut buffer), false),
        Needle::Nothing => return Some((-1).into()),
    };
    let from = usize::try_from(from).unwrap_or(0);
    let place = utf16::place(text, from);
    if is_text && needle.is_empty() {
        return Some(int(from.min(utf16::length(text))).into());
    }
    let start = place.byte + usize::from(place.inside);
    let found = text
        .as_bytes()
        .get(start..)
        .and_then(|rest| memchr::memmem::find(rest, needle.as_bytes()))
        .map_or(-1, |at| utf16::index_of_byte(text, start + at));
    Some(found.into())
}

fn last_index_of<'t>(text: &str, part: &Value<'t>, from: i32) -> Option<Value<'t>> {
    let mut buffer = [0; 4];
    let needle: &str = match needle(part)? {
        Needle::Text(text) => text,
        Needle::Character(c) => c.encode_utf8(&mut buffer),
        Needle::Nothing => return Some((-1).into()),
    };
    let Ok(from) = usize::try_from(from) else { return Some((-1).into()) };
    if needle.is_empty() {
        return Some(int(from.min(utf16::length(text))).into());
    }
    let end = utf16::place(text, from).byte.saturating_add(needle.len()).min(text.len());
    let found = memchr::memmem::rfind(&text.as_bytes()[..end], needle.as_bytes());
    Some(found.map_or(-1, |at| utf16::index_of_byte(text, at)).into())
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
fn replaced<'t>(
    text: &Text<'t>,
    from: &str,
    to: &str,
    budget: &mut Budget,
) -> Result<Value<'t>, MethodError> {
    let whole = text.as_str();
    scan(whole.len(), budget)?;
    let out = match from.as_bytes() {
        [byte] => copied(whole, memchr::memchr_iter(*byte, whole.as_bytes()), 1, to)?,
        _ => copied(whole, whole.match_indices(from).map(|(at, _)| at), from.len(), to)?,
    };
    Ok(match out {
        Some(out) => made(out, budget)?.into(),
        None => text.clone().into(),
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
