//! `$input.params()`: the parameters of the method request as maps.

use std::borrow::Cow;

use crate::limits::{Budget, LimitExceeded};
use crate::value::{Entries, Hashing, Key, Map, MapKind, Text, Value};
use crate::{ParameterLocation, TemplateValues};

/// In the order in which `$input.params('name')` looks for a name.
const LOCATIONS: [ParameterLocation; 3] =
    [ParameterLocation::Path, ParameterLocation::Querystring, ParameterLocation::Header];

/// Parameters that a map has room for at first.
const EXPECTED: usize = 8;

/// The parameters of one rendering. Each map is made once, when it is first asked for: a template
/// may change it.
pub(crate) struct Parameters<'t> {
    values: &'t dyn TemplateValues,
    /// In the order of [`LOCATIONS`].
    maps: [Option<Map<'t>>; 3],
    whole: Option<Map<'t>>,
}

impl<'t> Parameters<'t> {
    pub(crate) fn new(values: &'t dyn TemplateValues) -> Self {
        Self { values, maps: [None, None, None], whole: None }
    }

    /// `$input.params('name')`: of the path, else of the query string, else of the header; an
    /// empty text if it is nowhere.
    pub(crate) fn find(&self, name: &str, budget: &mut Budget) -> Result<Value<'t>, LimitExceeded> {
        budget.steps(1)?;
        for location in LOCATIONS {
            match self.values.parameter(location, name) {
                Some(Cow::Borrowed(value)) => return Ok(Value::from(value)),
                Some(Cow::Owned(value)) => return made(value, budget),
                None => {}
            }
        }
        Ok(Value::from(""))
    }

    /// `$input.params().header.name`: null if it isn't there.
    pub(crate) fn entry(
        &self,
        location: ParameterLocation,
        name: &str,
        budget: &mut Budget,
    ) -> Result<Value<'t>, LimitExceeded> {
        budget.steps(2)?;
        if let Some(map) = &self.maps[index(location)] {
            return Ok(map.get(name).unwrap_or(Value::Null));
        }
        match self.values.parameter(location, name) {
            Some(Cow::Borrowed(value)) => Ok(Value::from(value)),
            Some(Cow::Owned(value)) => made(value, budget),
            None => Ok(Value::Null),
        }
    }

    /// `$input.params()`
    pub(crate) fn whole(&mut self, budget: &mut Budget) -> Result<Map<'t>, LimitExceeded> {
        if let Some(whole) = &self.whole {
            return Ok(whole.clone());
        }
        let mut entries = Entries::with_capacity_and_hasher(LOCATIONS.len(), Hashing::default());
        for location in LOCATIONS {
            let key = Key::String(Text::Borrowed(name(location)));
            entries.insert(key, Value::Map(self.map(location, budget)?));
        }
        let whole = Map::new(MapKind::Java, entries);
        self.whole = Some(whole.clone());
        Ok(whole)
    }

    /// Whether a template may have changed which maps `$input.params()` holds.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole.is_some()
    }

    /// `$input.params().header`
    pub(crate) fn map(
        &mut self,
        location: ParameterLocation,
        budget: &mut Budget,
    ) -> Result<Map<'t>, LimitExceeded> {
        let made = &mut self.maps[index(location)];
        if let Some(map) = made {
            return Ok(map.clone());
        }
        let mut entries = Entries::with_capacity_and_hasher(EXPECTED, Hashing::default());
        let mut bytes = 0_usize;
        self.values.each_parameter(location, &mut |name, value| {
            bytes = bytes.saturating_add(name.len() + value.len() + 64);
            entries.insert(Key::String(given(name)), Value::String(given(value)));
        });
        budget.allocate(bytes)?;
        let map = Map::new(MapKind::Java, entries);
        *made = Some(map.clone());
        Ok(map)
    }
}

/// The location that a key of `$input.params()` names.
pub(crate) fn location(key: &str) -> Option<ParameterLocation> {
    LOCATIONS.into_iter().find(|location| name(*location) == key)
}

fn name(location: ParameterLocation) -> &'static str {
    match location {
        ParameterLocation::Path => "path",
        ParameterLocation::Querystring => "querystring",
        ParameterLocation::Header => "header",
    }
}

fn index(location: ParameterLocation) -> usize {
    match location {
        ParameterLocation::Path => 0,
        ParameterLocation::Querystring => 1,
        ParameterLocation::Header => 2,
    }
}

fn made<'t>(value: String, budget: &mut Budget) -> Result<Value<'t>, LimitExceeded> {
    budget.allocate(value.len())?;
    Ok(Value::from(value))
}

#[inline]
fn given(value: Cow<'_, str>) -> Text<'_> {
    match value {
        Cow::Borrowed(value) => Text::Borrowed(value),
        Cow::Owned(value) => Text::from(value),
    }
}
