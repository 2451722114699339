//! What templates of one exchange wrote to `$context`: the overrides, and keys of their own.

use std::borrow::Cow;

use indexmap::IndexMap;

use crate::ParameterLocation;
use crate::limits::Budget;
use crate::methods;
use crate::value::{Entries, Key, ListKind, MapKind, Number, Value};

/// The part of `$context` that templates wrote. What a request template writes, the response
/// template of the same exchange reads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContextWrites {
    /// `requestOverride`, `responseOverride` and keys of the templates' own.
    pub(crate) written: IndexMap<String, Kept>,
}

/// A [`Value`] between two renderings: as it was, but shared with nothing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kept {
    Null,
    Boolean(bool),
    Number(Number),
    Text(String),
    List(ListKind, Vec<Kept>),
    Map(MapKind, IndexMap<String, Kept>),
}

impl ContextWrites {
    /// `$context.requestOverride.{path|querystring|header}.NAME`, in the order set. A list joins
    /// with `,`.
    pub fn request_overrides(
        &self,
        location: ParameterLocation,
    ) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let key = match location {
            ParameterLocation::Path => "path",
            ParameterLocation::Querystring => "querystring",
            ParameterLocation::Header => "header",
        };
        self.entries("requestOverride", key)
    }

    /// `$context.responseOverride.header.NAME`, in the order set. A list joins with `,`.
    pub fn response_headers(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        self.entries("responseOverride", "header")
    }

    /// `$context.responseOverride.status`: an integer from 100 to 599, as a number or in digits;
    /// anything else is as if it were not set.
    pub fn response_status(&self) -> Option<u16> {
        let status = match self.written.get("responseOverride")?.entry("status")? {
            Kept::Number(number) if number.is_integral() => u16::try_from(number.to_i64()).ok(),
            Kept::Text(text) => text.parse().ok(),
            _ => None,
        }?;
        (100..=599).contains(&status).then_some(status)
    }

    fn entries(&self, side: &str, key: &str) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let parameters = match self.written.get(side).and_then(|side| side.entry(key)) {
            Some(Kept::Map(_, parameters)) => Some(parameters),
            _ => None,
        };
        parameters
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.as_str(), value.text()?)))
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.written.contains_key(key)
    }

    pub(crate) fn values(&self) -> Entries<'_> {
        values(&self.written)
    }
}

impl Kept {
    fn entry(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(_, entries) => entries.get(key),
            _ => None,
        }
    }

    /// As an override's value; `None` for null, which overrides nothing.
    fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Null => None,
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::List(_, items) => {
                let texts: Vec<_> = items.iter().filter_map(Self::text).collect();
                Some(Cow::Owned(texts.join(",")))
            }
            other => {
                let mut text = String::new();
                methods::write_text(&other.value(), &mut text, &mut Budget::default()).ok()?;
                Some(Cow::Owned(text))
            }
        }
    }

    fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Boolean(value) => Value::Boolean(*value),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::from(text.as_str()),
            Self::List(kind, items) => Value::list(*kind, items.iter().map(Self::value).collect()),
            Self::Map(kind, entries) => Value::map(*kind, values(entries)),
        }
    }
}

fn values(entries: &IndexMap<String, Kept>) -> Entries<'_> {
    entries.iter().map(|(key, value)| (Key::String(key.as_str().into()), value.value())).collect()
}
