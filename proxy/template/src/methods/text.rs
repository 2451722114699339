//! What `toString` makes of values.

use std::rc::Rc;

use super::digits::{write_decimal, write_double};
use crate::limits::{Budget, LimitExceeded, MAX_JSON_NESTING, MAX_OUTPUT_BYTES};
use crate::value::{Key, List, ListKind, Map, MapKind, Number, Value};

/// Appends what Java's `toString` makes of a value, JSON arrays as AWS prints them. Null: nothing.
/// `$context` and the maps below it: nothing, as on AWS.
pub(crate) fn write_text(
    value: &Value<'_>,
    out: &mut String,
    budget: &mut Budget,
) -> Result<(), LimitExceeded> {
    match value {
        Value::Null => Ok(()),
        Value::String(text) => push(text.as_str(), out),
        other => Writer { out, budget, depth: 0 }.value(other),
    }
}

pub(super) fn write_number(number: &Number, out: &mut String) {
    match number {
        Number::Integer(value) => out.push_str(itoa::Buffer::new().format(*value)),
        Number::Long(value) => out.push_str(itoa::Buffer::new().format(*value)),
        Number::BigInteger(value) => out.push_str(&value.to_string()),
        Number::Double(value) => write_double(*value, out),
        Number::BigDecimal(value) => write_decimal(value, out),
    }
}

/// Appends within the bound of a text.
pub(super) fn push(text: &str, out: &mut String) -> Result<(), LimitExceeded> {
    if text.len() > MAX_OUTPUT_BYTES.saturating_sub(out.len()) {
        return Err(LimitExceeded::OutputBytes);
    }
    out.push_str(text);
    Ok(())
}

struct Writer<'w> {
    out: &'w mut String,
    budget: &'w mut Budget,
    depth: usize,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value<'_>) -> Result<(), LimitExceeded> {
        match value {
            Value::Null => push("null", self.out),
            Value::Boolean(true) => push("true", self.out),
            Value::Boolean(false) => push("false", self.out),
            Value::String(text) => push(text.as_str(), self.out),
            Value::Character(value) => push(value.encode_utf8(&mut [0; 4]), self.out),
            Value::Number(number) => {
                self.budget.steps(number.steps_of_conversion())?;
                write_number(number, self.out);
                push("", self.out)
            }
            Value::List(list) if list.kind == ListKind::Json => {
                crate::json::write(value, self.out, self.budget)
            }
            Value::List(list) => self.nested(|writer| writer.list(list)),
            Value::Map(map) if map.kind == MapKind::Context => Ok(()),
            Value::Map(map) => self.nested(|writer| writer.map(map)),
            Value::Entry(entry) => self.nested(|writer| {
                writer.value(&entry.0)?;
                push("=", writer.out)?;
                writer.value(&entry.1)
            }),
            Value::Input | Value::Util | Value::Scope(_) | Value::Block(_) => Ok(()),
        }
    }

    fn nested(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<(), LimitExceeded>,
    ) -> Result<(), LimitExceeded> {
        if self.depth >= MAX_JSON_NESTING {
            return Err(LimitExceeded::ValueNesting);
        }
        self.depth += 1;
        write(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn list(&mut self, list: &List<'_>) -> Result<(), LimitExceeded> {
        let items = list.items.borrow();
        self.budget.steps(1 + items.len() as u64 / 4)?;
        push("[", self.out)?;
        for (position, item) in items.iter().enumerate() {
            if position > 0 {
                push(", ", self.out)?;
            }
            match item {
                Value::List(own) if same(&own.items, &list.items) => {
                    push("(this Collection)", self.out)?;
                }
                item => self.value(item)?,
            }
        }
        push("]", self.out)
    }

    fn map(&mut self, map: &Map<'_>) -> Result<(), LimitExceeded> {
        let entries = map.entries.borrow();
        self.budget.steps(1 + entries.len() as u64 / 4)?;
        push("{", self.out)?;
        for (position, (key, value)) in entries.iter().enumerate() {
            if position > 0 {
                push(", ", self.out)?;
            }
            write_key(key, self.out)?;
            push("=", self.out)?;
            match value {
                Value::Map(own) if same(&own.entries, &map.entries) => {
                    push("(this Map)", self.out)?;
                }
                value => self.value(value)?,
            }
        }
        push("}", self.out)
    }
}

fn same<T>(a: &Rc<T>, b: &Rc<T>) -> bool {
    Rc::ptr_eq(a, b)
}

fn write_key(key: &Key<'_>, out: &mut String) -> Result<(), LimitExceeded> {
    match key {
        Key::Null => push("null", out),
        Key::Boolean(true) => push("true", out),
        Key::Boolean(false) => push("false", out),
        Key::String(text) => push(text.as_str(), out),
        Key::Integer(value) => push(itoa::Buffer::new().format(*value), out),
        Key::Long(value) => push(itoa::Buffer::new().format(*value), out),
        Key::Other(text) => push(text, out),
    }
}
