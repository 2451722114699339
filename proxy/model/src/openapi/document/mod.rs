//! A JSON or YAML text as one tree whose nodes know their line.
//!
//! Both readers build the same [`Node`]s, so nothing above cares which of the two a definition
//! was written in. They refuse what would cost without bound: a text over [`MAX_BYTES`], nesting
//! over [`MAX_DEPTH`], aliases that unfold into more than [`MAX_NODES`] or [`MAX_TEXT`].
//! Duplicate keys are errors, because either reading of them would drop something.

mod json;
mod map;
mod yaml;

use std::borrow::Cow;

use serde_json::Value;

use super::ImportError;

/// Bytes of a definition file: API Gateway's quota for an import.
pub(super) const MAX_BYTES: usize = 6 * 1024 * 1024;
/// Levels of nesting; real definitions stay under 40.
pub(super) const MAX_DEPTH: usize = 128;
/// Values in a document after aliases are unfolded. Six megabytes of ordinary definition hold
/// about 300,000.
pub(super) const MAX_NODES: usize = 1_000_000;
/// Bytes of text in a document after aliases and intrinsic functions are unfolded.
pub(super) const MAX_TEXT: usize = 4 * MAX_BYTES;

pub(super) use map::Map;

/// One value of the document.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    pub(super) kind: Kind<'a>,
    /// 1-based; for a value in a map, the line of its key.
    pub(super) line: u32,
    /// Whether a placeholder stands for something that could not be resolved.
    pub(super) unresolved: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Kind<'a> {
    Null,
    Bool(bool),
    /// As written, so that `version: 1.10` stays `1.10`.
    Number(Cow<'a, str>),
    String(Cow<'a, str>),
    Seq(Vec<Node<'a>>),
    Map(Map<'a>),
}

/// A document and what its reader wants the user to know: (line, construct, message).
pub(super) struct Document<'a> {
    pub(super) root: Node<'a>,
    pub(super) remarks: Vec<(u32, String, String)>,
}

/// Reads `text`, which may be JSON or YAML.
pub(super) fn parse(text: &str) -> Result<Document<'_>, ImportError> {
    if text.len() > MAX_BYTES {
        return Err(ImportError::new(
            None,
            "",
            format!("the definition has {} bytes; at most {MAX_BYTES} are allowed", text.len()),
        ));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !text.trim_start().starts_with('{') {
        return yaml::parse(text);
    }
    // A YAML document may open with a brace as well, so JSON's complaint counts only when YAML
    // has one too.
    json::parse(text)
        .map(|root| Document { root, remarks: Vec::new() })
        .or_else(|json_error| yaml::parse(text).map_err(|_| json_error))
}

impl<'a> Node<'a> {
    pub(super) fn new(kind: Kind<'a>, line: u32) -> Self {
        Self { kind, line, unresolved: false }
    }

    pub(super) fn as_map(&self) -> Option<&Map<'a>> {
        match &self.kind {
            Kind::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The text of a string (not of a number).
    pub(super) fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value under `key`, `None` for anything that is not a map.
    pub(super) fn get(&self, key: &str) -> Option<&Node<'a>> {
        self.as_map()?.get(key)
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }

    /// What the value is, for messages: `a map`.
    pub(super) fn what(&self) -> &'static str {
        match self.kind {
            Kind::Null => "empty",
            Kind::Bool(_) => "a boolean",
            Kind::Number(_) => "a number",
            Kind::String(_) => "a string",
            Kind::Seq(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }

    /// The value as JSON. A number JSON cannot hold (`.inf`) becomes its text.
    pub(super) fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Number(text) => number(text).unwrap_or_else(|| Value::String(text.to_string())),
            Kind::String(text) => Value::String(text.to_string()),
            Kind::Seq(items) => Value::Array(items.iter().map(Node::to_value).collect()),
            Kind::Map(map) => Value::Object(
                map.into_iter().map(|(key, node)| (key.to_string(), node.to_value())).collect(),
            ),
        }
    }

    /// About how much memory a copy of this value takes, in bytes, counted up to `limit`.
    pub(super) fn weight(&self, limit: usize) -> usize {
        const NODE: usize = 32;
        let mut total = NODE;
        match &self.kind {
            Kind::Null | Kind::Bool(_) => {}
            Kind::Number(text) | Kind::String(text) => total += text.len(),
            Kind::Seq(items) => {
                for item in items {
                    total += item.weight(limit.saturating_sub(total));
                    if total > limit {
                        break;
                    }
                }
            }
            Kind::Map(map) => {
                for (key, node) in map {
                    total += key.len() + node.weight(limit.saturating_sub(total));
                    if total > limit {
                        break;
                    }
                }
            }
        }
        total
    }
}

/// A YAML or JSON number as a JSON number.
fn number(text: &str) -> Option<Value> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    if let Some(hex) = digits.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok().map(Value::from);
    }
    if let Some(octal) = digits.strip_prefix("0o") {
        return u64::from_str_radix(octal, 8).ok().map(Value::from);
    }
    if let Ok(integer) = digits.parse::<i64>() {
        return Some(Value::from(integer));
    }
    if let Ok(integer) = digits.parse::<u64>() {
        return Some(Value::from(integer));
    }
    let float: f64 = digits.parse().ok()?;
    serde_json::Number::from_f64(float).map(Value::Number)
}
