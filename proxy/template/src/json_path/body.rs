//! Paths into a payload, for parameter mappings.

use std::cell::RefCell;

use super::JsonPath;
use crate::json;
use crate::limits::Budget;
use crate::methods::write_text;
use crate::value::{Text, Value};

/// A payload parsed as JSON, to find several paths in. Keeps a copy of the text.
#[derive(Debug)]
pub struct JsonBody {
    root: Value<'static>,
    budget: RefCell<Budget>,
}

/// Why a payload or a path in it gives no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonBodyError {
    #[error("the payload is not JSON")]
    NotJson,
    /// One of [`crate::limits`].
    #[error("the payload, or what is found in it, is too large")]
    TooLarge,
}

impl JsonBody {
    pub fn parse(text: &str) -> Result<Self, JsonBodyError> {
        let mut budget = Budget::default();
        match json::parse_copy(text, &mut budget) {
            Ok(Some(root)) => Ok(Self { root, budget: RefCell::new(budget) }),
            Ok(None) => Err(JsonBodyError::NotJson),
            Err(_) => Err(JsonBodyError::TooLarge),
        }
    }
}

impl JsonPath {
    /// What the path finds as text: strings bare, objects and lists as compact JSON. `None`:
    /// nothing, or null.
    pub fn text_in(&self, body: &JsonBody) -> Result<Option<String>, JsonBodyError> {
        let budget = &mut *body.budget.borrow_mut();
        let found = self.evaluate(&body.root, budget).map_err(|_| JsonBodyError::TooLarge)?;
        let mut text = String::new();
        match found {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(Text::Borrowed(found))) => text.push_str(found),
            Some(value @ (Value::Map(_) | Value::List(_))) => {
                json::write(&value, &mut text, budget).map_err(|_| JsonBodyError::TooLarge)?;
            }
            Some(value) => {
                write_text(&value, &mut text, budget).map_err(|_| JsonBodyError::TooLarge)?;
            }
        }
        Ok(Some(text))
    }
}
