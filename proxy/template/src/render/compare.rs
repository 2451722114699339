//! `==`, `<` and their relatives.

use std::cmp::Ordering;
use std::rc::Rc;

use super::{Interrupt, Outcome, Renderer};
use crate::syntax::ast::{Binary, Expression};
use crate::value::{ListKind, MapKind, Value, java_equals};

impl<'t> Renderer<'t> {
    pub(super) fn equal(
        &mut self,
        left: &'t Expression,
        right: &'t Expression,
    ) -> Outcome<'t, bool> {
        if let (Some(left), Some(right)) = (self.variables.text(left), self.variables.text(right)) {
            return Ok(left == right);
        }
        let left = self.value(left)?;
        let right = self.value(right)?;
        match (&left, &right) {
            (Value::Null, Value::Null) => Ok(true),
            // API Gateway: null equals the empty string.
            (Value::Null, Value::String(text)) | (Value::String(text), Value::Null) => {
                Ok(text.as_str().is_empty())
            }
            (Value::Null, _) | (_, Value::Null) => Ok(false),
            (Value::String(left), Value::String(right)) => Ok(left == right),
            (Value::Number(left), Value::Number(right)) => {
                Ok(left.compare(right).ok_or_else(not_comparable)?.is_eq())
            }
            (Value::List(left), Value::List(right))
                if left.kind == ListKind::Array || right.kind == ListKind::Array =>
            {
                Ok(Rc::ptr_eq(&left.items, &right.items))
            }
            _ if std::mem::discriminant(&left) == std::mem::discriminant(&right) => {
                Ok(java_equals(&left, &right, &mut self.budget)?)
            }
            (Value::String(text), other) | (other, Value::String(text))
                if first_printed(other).is_some_and(|first| !text.as_str().starts_with(first)) =>
            {
                Ok(false)
            }
            // Of different classes: Velocity compares their texts.
            _ => {
                let left = self.text_of(&left)?;
                Ok(left == self.text_of(&right)?)
            }
        }
    }

    /// `None`: one of them is no number, which makes every comparison false.
    pub(super) fn compare(&mut self, binary: &'t Binary) -> Outcome<'t, Option<Ordering>> {
        let left = self.value(&binary.left)?;
        let right = self.value(&binary.right)?;
        self.location = binary.location;
        match (&left, &right) {
            (Value::Number(left), Value::Number(right)) => {
                Ok(Some(left.compare(right).ok_or_else(not_comparable)?))
            }
            _ => Ok(None),
        }
    }
}

/// What the text of a list or map starts with, whatever it holds.
fn first_printed(value: &Value<'_>) -> Option<char> {
    match value {
        Value::List(_) => Some('['),
        Value::Map(map) if map.kind != MapKind::Context => Some('{'),
        _ => None,
    }
}

fn not_comparable<'t>() -> Interrupt<'t> {
    Interrupt::thrown("infinite or NaN can't be compared with a number this large")
}
