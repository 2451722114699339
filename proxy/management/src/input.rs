//! The members of an operation's JSON body, with AWS's texts for those that are not what the
//! service model says.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde_json::{Map, Number, Value};

use crate::error::{ApiError, ErrorKind};

/// A JSON object whose members are asked for by name and type. Members nobody asks for are
/// ignored, as API Gateway does.
#[derive(Debug)]
pub struct Input {
    /// `createRestApiInput`, or with the path to a structure in it.
    name: String,
    members: Map<String, Value>,
}

impl Input {
    pub(crate) fn parse(operation: &str, body: &[u8]) -> Result<Self, ApiError> {
        let name = input_name(operation);
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self { name, members: Map::new() });
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Ok(Self { name, members }),
            Ok(_) => Err(serialization("Start of structure or map found where not expected.")),
            Err(error) => Err(serialization(&format!("The request body is no JSON: {error}"))),
        }
    }

    /// How AWS's texts name a member: `createStageInput.stageName`.
    pub(crate) fn place(&self, member: &str) -> String {
        format!("{}.{member}", self.name)
    }

    pub fn has(&self, member: &str) -> bool {
        self.get(member).is_some()
    }

    fn get(&self, member: &str) -> Option<&Value> {
        self.members.get(member).filter(|value| !value.is_null())
    }

    pub fn text(&self, member: &str) -> Result<Option<String>, ApiError> {
        self.get(member).map(text).transpose()
    }

    /// A text that has to be there.
    pub fn required_text(&self, member: &str) -> Result<String, ApiError> {
        match self.text(member)? {
            Some(text) => Ok(text),
            None => Err(self.missing(member)),
        }
    }

    pub fn missing(&self, member: &str) -> ApiError {
        ApiError::validation(&[format!(
            "Value null at '{}.{member}' failed to satisfy constraint: Member must not be null",
            self.name
        )])
    }

    pub fn boolean(&self, member: &str) -> Result<Option<bool>, ApiError> {
        self.get(member).map(boolean).transpose()
    }

    pub fn integer(&self, member: &str) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.get(member) else { return Ok(None) };
        let found = value.as_i64().or_else(|| {
            // 5.0 is an integer for AWS's parser.
            value.as_f64().filter(|it| it.fract() == 0.0 && it.abs() < 9e15).map(|it| it as i64)
        });
        match (found, value) {
            (Some(number), _) => Ok(Some(number)),
            (None, Value::String(text)) => {
                text.parse().map(Some).map_err(|_| unconvertible(value, "an Integer"))
            }
            (None, _) => Err(unconvertible(value, "an Integer")),
        }
    }

    pub fn double(&self, member: &str) -> Result<Option<f64>, ApiError> {
        let Some(value) = self.get(member) else { return Ok(None) };
        let found = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        match found.filter(|number| number.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(unconvertible(value, "a Double")),
        }
    }

    /// One of the values of an enumeration, in the service model's order.
    pub fn one_of(
        &self,
        member: &str,
        allowed: &[&'static str],
    ) -> Result<Option<&'static str>, ApiError> {
        let Some(text) = self.text(member)? else { return Ok(None) };
        match allowed.iter().find(|known| **known == text) {
            Some(known) => Ok(Some(known)),
            None => Err(not_in_enum(&format!("{}.{member}", self.name), &text, allowed)),
        }
    }

    pub fn texts(&self, member: &str) -> Result<Option<Vec<String>>, ApiError> {
        let Some(value) = self.get(member) else { return Ok(None) };
        let Value::Array(items) = value else { return Err(not_a_list()) };
        items.iter().map(text).collect::<Result<_, _>>().map(Some)
    }

    /// A map of texts, in the order given.
    pub fn text_map(&self, member: &str) -> Result<Option<IndexMap<String, String>>, ApiError> {
        self.map(member, text)
    }

    /// A map of templates by media type, in the order given; null is an empty one.
    pub fn template_map(&self, member: &str) -> Result<Option<IndexMap<String, String>>, ApiError> {
        let Some(value) = self.get(member) else { return Ok(None) };
        let Value::Object(members) = value else { return Err(not_a_structure()) };
        let template = |(name, value): (&String, &Value)| match value {
            Value::Null => Ok((name.clone(), String::new())),
            value => Ok((name.clone(), text(value)?)),
        };
        members.iter().map(template).collect::<Result<_, _>>().map(Some)
    }

    /// The same by name.
    pub fn sorted_text_map(
        &self,
        member: &str,
    ) -> Result<Option<BTreeMap<String, String>>, ApiError> {
        Ok(self.map(member, text)?.map(|map| map.into_iter().collect()))
    }

    pub fn boolean_map(&self, member: &str) -> Result<Option<BTreeMap<String, bool>>, ApiError> {
        Ok(self.map(member, boolean)?.map(|map| map.into_iter().collect()))
    }

    /// A map of lists of texts.
    pub fn text_lists(
        &self,
        member: &str,
    ) -> Result<Option<IndexMap<String, Vec<String>>>, ApiError> {
        self.map(member, |value| match value {
            Value::Array(items) => items.iter().map(text).collect(),
            _ => Err(not_a_list()),
        })
    }

    fn map<T>(
        &self,
        member: &str,
        read: impl Fn(&Value) -> Result<T, ApiError>,
    ) -> Result<Option<IndexMap<String, T>>, ApiError> {
        let Some(value) = self.get(member) else { return Ok(None) };
        let Value::Object(members) = value else { return Err(not_a_structure()) };
        let members = members.iter().filter(|(_, value)| !value.is_null());
        let read = members.map(|(name, value)| Ok((name.clone(), read(value)?)));
        read.collect::<Result<_, _>>().map(Some)
    }

    pub fn structure(&self, member: &str) -> Result<Option<Input>, ApiError> {
        let Some(value) = self.get(member) else { return Ok(None) };
        let Value::Object(members) = value else { return Err(not_a_structure()) };
        Ok(Some(Self { name: format!("{}.{member}", self.name), members: members.clone() }))
    }

    pub fn structures(&self, member: &str) -> Result<Option<Vec<Input>>, ApiError> {
        let Some(value) = self.get(member) else { return Ok(None) };
        let Value::Array(items) = value else { return Err(not_a_list()) };
        let structure = |(index, item): (usize, &Value)| match item {
            Value::Object(members) => Ok(Self {
                name: format!("{}.{member}.{}.member", self.name, index + 1),
                members: members.clone(),
            }),
            _ => Err(not_a_structure()),
        };
        items.iter().enumerate().map(structure).collect::<Result<_, _>>().map(Some)
    }

    /// A map of structures: `throttle: {"/pets/GET": {…}}`.
    pub fn structure_map(&self, member: &str) -> Result<Option<IndexMap<String, Input>>, ApiError> {
        let Some(value) = self.get(member) else { return Ok(None) };
        let Value::Object(members) = value else { return Err(not_a_structure()) };
        let structure = |(name, value): (&String, &Value)| match value {
            Value::Object(members) => {
                let input = Self {
                    name: format!("{}.{member}.{name}.member", self.name),
                    members: members.clone(),
                };
                Ok((name.clone(), input))
            }
            _ => Err(not_a_structure()),
        };
        members.iter().map(structure).collect::<Result<_, _>>().map(Some)
    }
}

/// `Value 'x' at 'putIntegrationInput.type' failed to satisfy constraint: …`
pub(crate) fn not_in_enum(place: &str, value: &str, allowed: &[&str]) -> ApiError {
    ApiError::validation(&[enum_violation(place, value, allowed)])
}

pub(crate) fn enum_violation(place: &str, value: &str, allowed: &[&str]) -> String {
    format!(
        "Value '{value}' at '{place}' failed to satisfy constraint: Member must satisfy enum value set: [{}]",
        allowed.join(", ")
    )
}

/// `CreateRestApi` → `createRestApiInput`.
pub(crate) fn input_name(operation: &str) -> String {
    let mut name = operation.to_owned();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    name + "Input"
}

fn text(value: &Value) -> Result<String, ApiError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        _ => Err(unconvertible(value, "an String")),
    }
}

fn boolean(value: &Value) -> Result<bool, ApiError> {
    match value {
        Value::Bool(value) => Ok(*value),
        Value::String(text) if text == "true" => Ok(true),
        Value::String(text) if text == "false" => Ok(false),
        _ => Err(unconvertible(value, "a Boolean")),
    }
}

/// AWS's text names the Java class of what was found.
fn unconvertible(value: &Value, wanted: &str) -> ApiError {
    let class = match value {
        Value::Bool(_) => "class java.lang.Boolean",
        Value::Number(Number { .. }) => {
            "class com.amazon.coral.value.json.numbers.TruncatingBigNumber"
        }
        Value::String(_) => "class java.lang.String",
        Value::Array(_) => "class java.util.ArrayList",
        Value::Object(_) => "class java.util.LinkedHashMap",
        Value::Null => "null",
    };
    serialization(&format!("{class} can not be converted to {wanted}"))
}

fn not_a_list() -> ApiError {
    serialization("Unexpected field type: a list was expected")
}

fn not_a_structure() -> ApiError {
    serialization("Unexpected field type: a structure or map was expected")
}

fn serialization(message: &str) -> ApiError {
    ApiError::new(ErrorKind::Serialization, message)
}
