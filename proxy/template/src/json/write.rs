//! The writer.

use super::document::{Copied, Part, Written};
use super::number;
use super::scan::plain_end;
use crate::limits::{Budget, LimitExceeded, MAX_JSON_NESTING, MAX_OUTPUT_BYTES};
use crate::methods::write_text;
use crate::value::{Key, List, Map, Number, Value};

/// Appends a value as compact JSON: `/`, HTML and non-ASCII as they are, numbers as Java writes
/// them, what JSON has no word for as `null`.
pub(crate) fn write(
    value: &Value<'_>,
    out: &mut String,
    budget: &mut Budget,
) -> Result<(), LimitExceeded> {
    write_value(value, out, budget, 0)
}

fn write_value(
    value: &Value<'_>,
    out: &mut String,
    budget: &mut Budget,
    nesting: usize,
) -> Result<(), LimitExceeded> {
    budget.steps(1)?;
    if out.len() > MAX_OUTPUT_BYTES {
        return Err(LimitExceeded::OutputBytes);
    }
    match value {
        Value::String(text) => write_string(text.as_str(), out),
        Value::Number(Number::Integer(integer)) => push_integer(*integer, out),
        Value::Number(Number::Long(long)) => push_integer(*long, out),
        Value::Number(Number::Double(double)) if !double.is_finite() => out.push_str("null"),
        Value::Number(_) | Value::Boolean(_) => write_text(value, out, budget)?,
        Value::Map(map) => write_map(map, out, budget, nesting)?,
        Value::List(list) => write_list(list, out, budget, nesting)?,
        Value::Character(character) => write_string(character.encode_utf8(&mut [0; 4]), out),
        Value::Entry(_) => {
            let mut text = String::new();
            write_text(value, &mut text, budget)?;
            write_string(&text, out);
        }
        Value::Null | Value::Input | Value::Util | Value::Scope(_) | Value::Block(_) => {
            out.push_str("null");
        }
    }
    Ok(())
}

fn write_map(
    map: &Map<'_>,
    out: &mut String,
    budget: &mut Budget,
    nesting: usize,
) -> Result<(), LimitExceeded> {
    if let Some(part) = map.entries.unchanged() {
        return write_part(part, part.root(), out, budget);
    }
    check_nesting(nesting)?;
    out.push('{');
    for (index, (key, value)) in map.entries.borrow().iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_key(key, out);
        out.push(':');
        write_value(value, out, budget, nesting + 1)?;
    }
    out.push('}');
    Ok(())
}

fn write_list(
    list: &List<'_>,
    out: &mut String,
    budget: &mut Budget,
    nesting: usize,
) -> Result<(), LimitExceeded> {
    if let Some(part) = list.items.unchanged() {
        return write_part(part, part.root(), out, budget);
    }
    check_nesting(nesting)?;
    out.push('[');
    for (index, item) in list.items.borrow().iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_value(item, out, budget, nesting + 1)?;
    }
    out.push(']');
    Ok(())
}

/// Appends a node of a document, as the value made of it would be written.
pub(crate) fn write_part(
    part: &Part<'_>,
    node: u32,
    out: &mut String,
    budget: &mut Budget,
) -> Result<(), LimitExceeded> {
    budget.steps(1)?;
    if out.len() > MAX_OUTPUT_BYTES {
        return Err(LimitExceeded::OutputBytes);
    }
    match part.written(node) {
        Written::Verbatim(text) => write_verbatim(text, out, budget)?,
        Written::String(text) => write_string(&text, out),
        Written::Number(text) => write_number(text, out, budget)?,
        Written::Blemished(copied) => write_copied(&copied, out, budget)?,
        Written::Object => {
            out.push('{');
            let mut comma = "";
            part.each_member(node, |key, value| {
                out.push_str(comma);
                comma = ",";
                match key {
                    Written::String(key) => write_string(&key, out),
                    Written::Verbatim(key) | Written::Number(key) => out.push_str(key),
                    Written::Blemished(_) | Written::Array | Written::Object => {}
                }
                out.push(':');
                write_part(part, value, out, budget)
            })?;
            out.push('}');
        }
        Written::Array => {
            out.push('[');
            for (index, item) in part.items_of(node).enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_part(part, item, out, budget)?;
            }
            out.push(']');
        }
    }
    Ok(())
}

fn write_verbatim(text: &str, out: &mut String, budget: &mut Budget) -> Result<(), LimitExceeded> {
    budget.steps(text.len() as u64 / 64)?;
    if text.len() > MAX_OUTPUT_BYTES.saturating_sub(out.len()) {
        return Err(LimitExceeded::OutputBytes);
    }
    out.push_str(text);
    Ok(())
}

fn write_copied(
    copied: &Copied<'_>,
    out: &mut String,
    budget: &mut Budget,
) -> Result<(), LimitExceeded> {
    budget.steps(copied.length() as u64 / 32)?;
    copied.each(|piece, blemish| {
        if piece.len() > MAX_OUTPUT_BYTES.saturating_sub(out.len()) {
            return Err(LimitExceeded::OutputBytes);
        }
        out.push_str(piece);
        match blemish {
            Some(Written::String(text)) => write_string(&text, out),
            Some(Written::Number(text)) => write_number(text, out, budget)?,
            _ => {}
        }
        Ok(())
    })
}

/// A number whose text is not the one that Java writes.
fn write_number(text: &str, out: &mut String, budget: &mut Budget) -> Result<(), LimitExceeded> {
    if let Some(text) = number::java_double(text) {
        out.push_str(text);
        return Ok(());
    }
    budget.steps(number::steps(text.len()))?;
    match number::number(text) {
        Some(number) => write_value(&Value::Number(number), out, budget, 0),
        None => Ok(()),
    }
}

/// Text that is read can't nest deeper, but a template can put a list into itself.
fn check_nesting(nesting: usize) -> Result<(), LimitExceeded> {
    if nesting < MAX_JSON_NESTING { Ok(()) } else { Err(LimitExceeded::JsonNesting) }
}

fn write_key(key: &Key<'_>, out: &mut String) {
    match key {
        Key::String(text) => write_string(text.as_str(), out),
        Key::Other(text) => write_string(text, out),
        Key::Null => out.push_str("\"null\""),
        Key::Boolean(true) => out.push_str("\"true\""),
        Key::Boolean(false) => out.push_str("\"false\""),
        Key::Integer(integer) => push_quoted_integer(*integer, out),
        Key::Long(long) => push_quoted_integer(*long, out),
    }
}

fn push_quoted_integer(integer: impl itoa::Integer, out: &mut String) {
    out.push('"');
    push_integer(integer, out);
    out.push('"');
}

fn push_integer(integer: impl itoa::Integer, out: &mut String) {
    out.push_str(itoa::Buffer::new().format(integer));
}

fn write_string(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.push('"');
    let mut start = 0;
    loop {
        let end = plain_end(text.as_bytes(), start);
        out.push_str(&text[start..end]);
        let Some(&special) = text.as_bytes().get(end) else { break };
        match special {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x8 => out.push_str("\\b"),
            0xc => out.push_str("\\f"),
            control => {
                out.push_str("\\u00");
                out.push(HEX[usize::from(control >> 4)].into());
                out.push(HEX[usize::from(control & 0xf)].into());
            }
        }
        start = end + 1;
    }
    out.push('"');
}
