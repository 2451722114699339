//! `$input`: the payload and the parameters of the method request.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use indexmap::IndexMap;

use crate::limits::{Budget, LimitExceeded};
use crate::methods::MethodError;
use crate::value::{Key, Map, MapKind, Text, Value};
use crate::{JsonPath, ParameterLocation, TemplateValues, json};

/// Paths that a thread keeps compiled. Templates name few; paths made from a request's values
/// may be many.
const MAX_KEPT_PATHS: usize = 256;

/// Longest text of a path that is kept, in bytes.
const MAX_KEPT_PATH_BYTES: usize = 512;

thread_local! {
    static PATHS: RefCell<HashMap<Box<str>, Rc<JsonPath>>> = RefCell::default();
}

/// `$input` of one rendering. The payload is parsed when it is first asked for, once.
pub(crate) struct Input<'t> {
    values: &'t dyn TemplateValues,
    payload: Payload<'t>,
    /// `$input.params()`
    parameters: Option<Map<'t>>,
}

enum Payload<'t> {
    Unread,
    Json(Value<'t>),
    NotJson,
}

impl<'t> Input<'t> {
    pub(crate) fn new(values: &'t dyn TemplateValues) -> Self {
        Self { values, payload: Payload::Unread, parameters: None }
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
            _ => return Ok(None),
        };
        match name {
            "json" => self.json(argument.unwrap_or("$"), budget).map(Some),
            "path" => {
                let found = self.path(argument.unwrap_or("$"), budget)?;
                Ok(Some(found.unwrap_or(Value::Null)))
            }
            "params" => Ok(Some(match argument {
                Some(name) => self.parameter(name, budget)?,
                None => Value::Map(self.parameters(budget)?),
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

    fn json(&mut self, path: &str, budget: &mut Budget) -> Result<Value<'t>, MethodError> {
        match self.path(path, budget)? {
            None | Some(Value::Null) => Ok(Value::String(Text::Borrowed("\"\""))),
            Some(value) => {
                let mut text = String::new();
                json::write(&value, &mut text, budget)?;
                budget.allocate(text.len())?;
                Ok(Value::String(Text::Shared(text.into())))
            }
        }
    }

    fn path(&mut self, path: &str, budget: &mut Budget) -> Result<Option<Value<'t>>, MethodError> {
        let compiled = if path == "$" { None } else { Some(compiled(path, budget)?) };
        let Some(payload) = self.payload(budget)? else { return Ok(None) };
        match compiled {
            Some(path) => Ok(path.evaluate(payload, budget)?),
            None => Ok(Some(payload.clone())),
        }
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

    fn parameter(&self, name: &str, budget: &mut Budget) -> Result<Value<'t>, LimitExceeded> {
        const LOCATIONS: [ParameterLocation; 3] =
            [ParameterLocation::Path, ParameterLocation::Querystring, ParameterLocation::Header];
        budget.steps(1)?;
        let values = self.values;
        let found = LOCATIONS.iter().find_map(|location| values.parameter(*location, name));
        Ok(Value::String(match found {
            None => Text::Borrowed(""),
            Some(std::borrow::Cow::Borrowed(value)) => Text::Borrowed(value),
            Some(std::borrow::Cow::Owned(value)) => {
                budget.allocate(value.len())?;
                Text::Shared(value.into())
            }
        }))
    }

    fn parameters(&mut self, budget: &mut Budget) -> Result<Map<'t>, LimitExceeded> {
        if let Some(parameters) = &self.parameters {
            return Ok(parameters.clone());
        }
        let mut entries = IndexMap::with_capacity(3);
        for (name, location) in [
            ("path", ParameterLocation::Path),
            ("querystring", ParameterLocation::Querystring),
            ("header", ParameterLocation::Header),
        ] {
            let parameters = Value::Map(self.parameters_in(location, budget)?);
            entries.insert(Key::String(Text::Borrowed(name)), parameters);
        }
        let parameters = Map::new(MapKind::Java, entries);
        self.parameters = Some(parameters.clone());
        Ok(parameters)
    }

    fn parameters_in(
        &self,
        location: ParameterLocation,
        budget: &mut Budget,
    ) -> Result<Map<'t>, LimitExceeded> {
        let mut entries = IndexMap::new();
        let mut bytes = 0_usize;
        self.values.each_parameter(location, &mut |name, value| {
            bytes = bytes.saturating_add(name.len() + value.len() + 64);
            let name = Key::String(Text::Shared(name.into()));
            entries.insert(name, Value::String(Text::Shared(value.into())));
        });
        budget.allocate(bytes)?;
        Ok(Map::new(MapKind::Java, entries))
    }
}

/// The compiled path, kept for the thread's next renderings.
fn compiled(path: &str, budget: &mut Budget) -> Result<Rc<JsonPath>, MethodError> {
    if let Some(kept) = PATHS.with_borrow(|paths| paths.get(path).cloned()) {
        return Ok(kept);
    }
    budget.steps(10 + path.len() as u64)?;
    let compiled = JsonPath::parse(path).map_err(|error| {
        MethodError::Thrown(format!("Could not compile the JSONPath '{}': {error}", shown(path)))
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
