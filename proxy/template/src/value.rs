//! What expressions come to: Java's values, as far as templates can tell.
//!
//! `'t` is the life of one rendering: strings borrow from the template, the payload and the
//! [`crate::TemplateValues`] where they can. Lists and maps are shared and can be changed, as
//! Java's are: `#set($a = $b)` makes two names for one list.
//!
//! The enums within a [`Value`] are as wide as a word: values are moved all the time, and one with
//! a part of a word in it is moved in pieces, which the processor waits for. 10 % of a rendering.

mod cell;
mod number;
mod equality;
mod teardown;

use std::cell::RefCell;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use bigdecimal::BigDecimal;
use indexmap::{Equivalent, IndexMap};
use num_bigint::BigInt;

pub(crate) use self::cell::{ListCell, MapCell};
pub(crate) use self::equality::{java_equals, reaches};
use crate::json;
use crate::limits::{Budget, LimitExceeded};

/// How keys are hashed: in a way that differs between processes, because keys come from clients.
pub(crate) type Hashing = foldhash::fast::RandomState;

/// A map's entries.
pub(crate) type Entries<'t> = IndexMap<Key<'t>, Value<'t>, Hashing>;

#[derive(Clone, Debug)]
pub(crate) enum Value<'t> {
    Null,
    Boolean(bool),
    Number(Number),
    String(Text<'t>),
    /// A Java `char`: `$s.charAt(0)`.
    Character(char),
    List(List<'t>),
    Map(Map<'t>),
    /// An entry of `$map.entrySet()`.
    Entry(Rc<(Value<'t>, Value<'t>)>),
    /// `$input`
    Input,
    /// `$util`
    Util,
    /// `$foreach`
    Scope(Rc<Scope<'t>>),
    /// What `#define` made, and a block macro's `$bodyContent`.
    Block(BlockReference<'t>),
}

/// A Java string. Where Java counts UTF-16 units, so do the methods; a unit of a surrogate pair
/// by itself becomes U+FFFD.
#[derive(Clone, Debug)]
pub(crate) enum Text<'t> {
    Borrowed(&'t str),
    Shared(Rc<str>),
}

/// A Java number.
#[derive(Clone, Debug, PartialEq)]
#[repr(u64)]
pub(crate) enum Number {
    Integer(i32),
    Long(i64),
    BigInteger(Box<BigInt>),
    Double(f64),
    BigDecimal(Box<BigDecimal>),
}

/// A list and how it prints.
#[derive(Clone, Debug)]
pub(crate) struct List<'t> {
    pub(crate) kind: ListKind,
    pub(crate) items: Rc<ListCell<'t>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum ListKind {
    /// A JSON array from `$input` or `$util.parseJson`: prints as JSON, wherever it is.
    Json,
    /// Any other: prints as `[a, b]`.
    Java,
    /// A Java array, from `$s.split`: prints as `[Ljava.lang.String;@…` in Java, as a Java list here.
    Array,
    /// A map's keys or entries. Has no indexes, like the next.
    Set,
    /// A map's values.
    Collection,
}

/// Keys in the order they came. Java's maps take any key; templates use strings and numbers.
#[derive(Clone, Debug)]
pub(crate) struct Map<'t> {
    pub(crate) entries: Rc<MapCell<'t>>,
    /// Where below `$context` this map is, so that what is written to it is kept.
    pub(crate) kind: MapKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum MapKind {
    Java,
    /// `$context` and the maps below it: prints as empty text when nested.
    Context,
}

#[derive(Clone, Debug)]
pub(crate) enum Key<'t> {
    Null,
    Boolean(bool),
    String(Text<'t>),
    Integer(i32),
    Long(i64),
    /// Anything else by its text.
    Other(Rc<str>),
}

/// The state of a running `#foreach`.
#[derive(Debug)]
pub(crate) struct Scope<'t> {
    pub(crate) state: RefCell<ScopeState<'t>>,
}

#[derive(Debug)]
pub(crate) struct ScopeState<'t> {
    /// Starting with 0; -1 before the first.
    pub(crate) index: i32,
    pub(crate) has_next: bool,
    /// What the scope's name meant outside.
    pub(crate) parent: Option<Value<'t>>,
    /// What the template put there: `#set($foreach.total = 1)`.
    pub(crate) entries: Option<Map<'t>>,
    /// Of the directive, for `$foreach.info`.
    pub(crate) location: crate::syntax::ast::Location,
}

#[derive(Clone, Debug)]
pub(crate) struct BlockReference<'t> {
    pub(crate) block: &'t crate::syntax::ast::Block,
    /// How often it may run within itself.
    pub(crate) max_depth: usize,
}

impl<'t> Value<'t> {
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The text of a string; `None` for any other value.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text.as_str()),
            _ => None,
        }
    }

    pub(crate) fn list(kind: ListKind, items: Vec<Self>) -> Self {
        Self::List(List::new(kind, items))
    }

    pub(crate) fn map(kind: MapKind, entries: Entries<'t>) -> Self {
        Self::Map(Map::new(kind, entries))
    }

    /// The value as a map's key. Values that Java compares as objects become their text.
    pub(crate) fn to_key(&self, budget: &mut Budget) -> Result<Key<'t>, LimitExceeded> {
        Ok(match self {
            Self::Null => Key::Null,
            Self::Boolean(value) => Key::Boolean(*value),
            Self::String(text) => Key::String(text.clone()),
            Self::Number(Number::Integer(value)) => Key::Integer(*value),
            Self::Number(Number::Long(value)) => Key::Long(*value),
            other => {
                let mut text = String::new();
                crate::methods::write_text(other, &mut text, budget)?;
                Key::Other(text.into())
            }
        })
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i32> for Value<'_> {
    fn from(value: i32) -> Self {
        Self::Number(Number::Integer(value))
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Number(Number::Long(value))
    }
}

impl From<f64> for Value<'_> {
    fn from(value: f64) -> Self {
        Self::Number(Number::Double(value))
    }
}

impl From<BigInt> for Value<'_> {
    fn from(value: BigInt) -> Self {
        Self::Number(Number::BigInteger(Box::new(value)))
    }
}

impl From<BigDecimal> for Value<'_> {
    fn from(value: BigDecimal) -> Self {
        Self::Number(Number::BigDecimal(Box::new(value)))
    }
}

impl From<Number> for Value<'_> {
    fn from(value: Number) -> Self {
        Self::Number(value)
    }
}

impl<'t> From<Text<'t>> for Value<'t> {
    fn from(text: Text<'t>) -> Self {
        Self::String(text)
    }
}

impl<'t> From<&'t str> for Value<'t> {
    fn from(text: &'t str) -> Self {
        Self::String(Text::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

impl<'t> From<Key<'t>> for Value<'t> {
    fn from(key: Key<'t>) -> Self {
        match key {
            Key::Null => Self::Null,
            Key::Boolean(value) => Self::Boolean(value),
            Key::String(text) => Self::String(text),
            Key::Integer(value) => value.into(),
            Key::Long(value) => value.into(),
            Key::Other(text) => Self::String(Text::Shared(text)),
        }
    }
}

impl Text<'_> {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl<'t> From<&'t str> for Text<'t> {
    fn from(text: &'t str) -> Self {
        Self::Borrowed(text)
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self::Shared(text.into())
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text<'_> {}

impl ListKind {
    /// Made of a map, as it was then: Java gives a view, whose changes change the map.
    pub(crate) fn is_view(self) -> bool {
        matches!(self, Self::Set | Self::Collection)
    }
}

impl<'t> List<'t> {
    pub(crate) fn new(kind: ListKind, items: Vec<Value<'t>>) -> Self {
        Self { kind, items: Rc::new(ListCell::new(items)) }
    }

    /// An array of a JSON text, whose items are made once they are asked for.
    pub(crate) fn of_json(part: json::Part<'t>) -> Self {
        Self { kind: ListKind::Json, items: Rc::new(ListCell::of_json(part)) }
    }

    /// The number of items.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// The item at an index.
    pub(crate) fn get(&self, index: usize) -> Option<Value<'t>> {
        self.items.get(index)
    }
}

impl<'t> Map<'t> {
    pub(crate) fn new(kind: MapKind, entries: Entries<'t>) -> Self {
        Self { kind, entries: Rc::new(MapCell::new(entries)) }
    }

    /// An object of a JSON text, whose entries are made once they are asked for.
    pub(crate) fn of_json(part: json::Part<'t>) -> Self {
        Self { kind: MapKind::Java, entries: Rc::new(MapCell::of_json(part)) }
    }

    /// The entry of a string key.
    pub(crate) fn get(&self, key: &str) -> Option<Value<'t>> {
        self.entries.get(key)
    }

    /// The number of entries.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl PartialEq for Key<'_> {
    /// As Java's keys: an `Integer` is no `Long`, and neither is a string.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Boolean(a), Self::Boolean(b)) => a == b,
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Integer(a), Self::Integer(b)) => a == b,
            (Self::Long(a), Self::Long(b)) => a == b,
            (Self::Other(a), Self::Other(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Key<'_> {}

impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Null => 0u8.hash(state),
            Self::Boolean(value) => value.hash(state),
            // As `str` does, for lookups by `&str`.
            Self::String(text) => text.as_str().hash(state),
            Self::Integer(value) => value.hash(state),
            Self::Long(value) => value.hash(state),
            Self::Other(text) => text.hash(state),
        }
    }
}

impl Equivalent<Key<'_>> for str {
    fn equivalent(&self, key: &Key<'_>) -> bool {
        matches!(key, Key::String(text) if text.as_str() == self)
    }
}
