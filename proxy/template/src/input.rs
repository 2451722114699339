//! `$input`: the payload and the parameters of the method request.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::limits::{Budget, LimitExceeded};
use crate::methods::MethodError;
use crate::parameters::Parameters;
use crate::value::{Hashing, Text, Value};
use crate::{JsonPath, TemplateValues, json};

/// Paths that a thread keeps compiled. Templates name few; paths made from a request's values
/// may be many.
const MAX_KEPT_PATHS: usize = 256;

/// Longest text of a path that is kept, in bytes.
const MAX_KEPT_PATH_BYTES: usize = 512;

thread_local! {
    static PATHS: RefCell<HashMap<Box<str>, Rc<JsonPath>, Hashing>> = RefCell::default();
}

/// `$input` of one rendering. The payload is parsed when it is first asked for, once.
pub(crate) struct Input<'t> {
    values: &'t dyn TemplateValues,
    payload: Payload<'t>,
    parameters: Parameters<'t>,
}

enum Payload<'t> {
    Unread,
    Json(Value<'t>),
    NotJson,
}

impl<'t> Input<'t> {
    pub(crate) fn new(values: &'t dyn TemplateValues) -> Self {
        Self { values, payload: Payload::Unread, parameters: Parameters::new(values) }
    }

    /// `$input.body`; null for any other name.
    pub(crate) fn property(&mut self, name: &str) -> Value<'t> {
        match name {
            "body" => Value::String(Text::Borrowed(self.body())),
            _ => Value::Null,
        }
    }

    /// `json`, `path`, `params`. `None`: no such method.
    pub(crate) fn call(
        &mut self,
        name: &str,
        arguments: &[Value<'t>],
        budget: &mut Budget,
    ) -> Result<Option<Value<'t>>, MethodError> {
        let argument = match arguments {
            [] => None,
            [Value::String(text)] => Some(text.as_str()),
            // A null takes the place of a string in Java.
            [Value::Null] => Some(""),
            _ if matches!(name, "json" | "path" | "params") => {
                return Err(MethodError::thrown(format!("$input.{name} takes one string")));
            }
            _ => return Ok(None),
        };
        match name {
            "json" => {
                let path = compiled(argument.unwrap_or("$"), budget)?;
                let mut text = String::new();
                self.json(&path, budget, &mut text)?;
                budget.allocate(text.len())?;
                Ok(Some(Value::String(Text::Shared(text.into()))))
            }
            "path" => {
                let path = compiled(argument.unwrap_or("$"), budget)?;
                Ok(Some(self.path(&path, budget)?))
            }
            "params" => Ok(Some(match argument {
                Some(name) => self.parameters.find(name, budget)?,
                None => Value::Map(self.parameters.whole(budget)?),
            })),
            _ => Ok(None),
        }
    }

    /// A payload that is empty is `{}`.
    fn body(&self) -> &'t str {
        match self.values.body() {
            "" => "{}",
            body => body,
        }
    }

    /// `$input.path('…')`: what the path finds; null if that is nothing.
    pub(crate) fn path(
        &mut self,
        path: &JsonPath,
        budget: &mut Budget,
    ) -> Result<Value<'t>, LimitExceeded> {
        let Some(payload) = self.payload(budget)? else { return Ok(Value::Null) };
        Ok(path.evaluate(payload, budget)?.unwrap_or(Value::Null))
    }

    /// How `$input.path('…')` prints, if the payload's text tells.
    pub(crate) fn printed_path(
        &mut self,
        path: &JsonPath,
        budget: &mut Budget,
    ) -> Result<Option<&str>, LimitExceeded> {
        match self.payload(budget)? {
            Some(payload) => path.printed(payload, budget),
            None => Ok(Some("")),
        }
    }

    /// `$input.json('…')`: appends what the path finds as JSON; `""` if that is nothing.
    pub(crate) fn json(
        &mut self,
        path: &JsonPath,
        budget: &mut Budget,
        out: &mut String,
    ) -> Result<(), LimitExceeded> {
        let found = match self.payload(budget)? {
            Some(payload) => path.write(payload, out, budget)?,
            None => false,
        };
        if !found {
            out.push_str("\"\"");
        }
        Ok(())
    }

    /// The payload as JSON. `None`: it is none.
    fn payload(&mut self, budget: &mut Budget) -> Result<Option<&Value<'t>>, LimitExceeded> {
        if let Payload::Unread = self.payload {
            self.payload = match json::parse(self.body(), budget)? {
                Some(value) => Payload::Json(value),
                None => Payload::NotJson,
            };
        }
        Ok(match &self.payload {
            Payload::Json(value) => Some(value),
            Payload::Unread | Payload::NotJson => None,
        })
    }

    /// `$input.params()`
    pub(crate) fn parameters(&mut self) -> &mut Parameters<'t> {
        &mut self.parameters
    }
}

/// The compiled path, kept for the thread's next renderings.
fn compiled(path: &str, budget: &mut Budget) -> Result<Rc<JsonPath>, MethodError> {
    if let Some(kept) = PATHS.with_borrow(|paths| paths.get(path).cloned()) {
        return Ok(kept);
    }
    budget.steps(10 + path.len() as u64)?;
    let compiled = JsonPath::parse(path).map_err(|error| {
        MethodError::thrown(format!("Could not compile the JSONPath '{}': {error}", shown(path)))
    })?;
    let compiled = Rc::new(compiled);
    if path.len() <= MAX_KEPT_PATH_BYTES {
        PATHS.with_borrow_mut(|paths| {
            if paths.len() >= MAX_KEPT_PATHS {
                paths.clear();
            }
            paths.insert(path.into(), Rc::clone(&compiled));
        });
    }
    Ok(compiled)
}

/// The start of a path, for messages.
fn shown(path: &str) -> &str {
    path.char_indices().nth(200).map_or(path, |(end, _)| &path[..end])
}

#[cfg(test)]
mod tests;
