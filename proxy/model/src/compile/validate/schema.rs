//! The compiled form of all models that a deployment validates bodies against.
//!
//! Schemas are nodes of one list and name each other by index, so that a schema is compiled
//! once however often it is referred to, and may refer to itself.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Number, Value};

use super::format::Format;
use super::pattern::Pattern;

/// Index into [`Schemas::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SchemaId(pub(super) usize);

#[derive(Debug, Default)]
pub(super) struct Schemas {
    pub(super) nodes: Vec<Node>,
}

#[derive(Debug, Default)]
pub(super) struct Node {
    /// Why nothing can be validated against this schema: 500.
    pub(super) broken: Option<Box<str>>,
    /// In the order of their names, in which API Gateway's validator looks at them.
    pub(super) keywords: Vec<Keyword>,
    pub(super) format: Option<Format>,
    pub(super) members: Option<Box<Members>>,
    pub(super) items: Items,
}

/// A keyword that can fail by itself.
#[derive(Debug)]
pub(super) enum Keyword {
    /// No items after so many.
    AdditionalItems(usize),
    /// No members but those of [`Node::members`].
    AdditionalProperties,
    AllOf(Vec<SchemaId>),
    AnyOf(Vec<SchemaId>),
    Dependencies(Dependencies),
    Enum(Enumeration),
    MaxItems(usize),
    MaxLength(usize),
    MaxProperties(usize),
    Maximum {
        limit: Number,
        exclusive: bool,
    },
    MinItems(usize),
    MinLength(usize),
    MinProperties(usize),
    Minimum {
        limit: Number,
        exclusive: bool,
    },
    MultipleOf(Number),
    Not(SchemaId),
    OneOf(Vec<SchemaId>),
    Pattern {
        text: Box<str>,
        pattern: Arc<Pattern>,
    },
    /// Sorted.
    Required(Vec<Box<str>>),
    Type(Types),
    UniqueItems,
}

/// Schemas are sorted by the property that depends; what a property depends on is sorted.
#[derive(Debug, Default)]
pub(super) struct Dependencies {
    pub(super) properties: Vec<(Box<str>, Vec<Box<str>>)>,
    pub(super) schemas: Vec<(Box<str>, SchemaId)>,
}

#[derive(Debug)]
pub(super) struct Enumeration {
    /// The strings among the values.
    pub(super) strings: HashSet<Box<str>>,
    pub(super) others: Vec<Value>,
    /// All of them as JSON, for messages.
    pub(super) text: Box<str>,
}

/// Schemas for the members of an object.
#[derive(Debug, Default)]
pub(super) struct Members {
    pub(super) named: HashMap<Box<str>, SchemaId>,
    pub(super) patterns: Vec<(Arc<Pattern>, SchemaId)>,
    /// For members that are neither.
    pub(super) additional: Option<SchemaId>,
    /// There may be none that are neither.
    pub(super) closed: bool,
    /// Why a pattern of a name can't be held against anything.
    pub(super) broken: Option<Box<str>>,
}

/// Schemas for the items of an array.
#[derive(Debug, Default)]
pub(super) enum Items {
    #[default]
    Any,
    All(SchemaId),
    Each {
        first: Vec<SchemaId>,
        additional: Option<SchemaId>,
    },
}

/// A set of primitive types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Types(u8);

impl Types {
    /// As API Gateway's validator orders them.
    const NAMES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];

    /// Adds a type by name, and integers with numbers. `false` for no type of draft 4.
    pub(super) fn add(&mut self, name: &str) -> bool {
        let Some(at) = Self::NAMES.iter().position(|known| *known == name) else { return false };
        self.0 |= 1 << at;
        if name == "number" {
            self.0 |= 1 << 2;
        }
        true
    }

    pub(super) fn allows(self, value: &Value) -> bool {
        self.0 & (1 << Self::position(value)) != 0
    }

    /// The type of a value.
    pub(super) fn name(value: &Value) -> &'static str {
        Self::NAMES[Self::position(value)]
    }

    fn position(value: &Value) -> usize {
        match value {
            Value::Array(_) => 0,
            Value::Bool(_) => 1,
            Value::Number(number) if super::number::is_integer(number) => 2,
            Value::Null => 3,
            Value::Number(_) => 4,
            Value::Object(_) => 5,
            Value::String(_) => 6,
        }
    }
}

impl std::fmt::Display for Types {
    /// `["integer","number"]`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = Self::NAMES.iter().enumerate().filter(|(at, _)| self.0 & (1 << at) != 0);
        for (n, (_, name)) in names.enumerate() {
            write!(f, "{}\"{name}\"", if n == 0 { "[" } else { "," })?;
        }
        f.write_str("]")
    }
}
