//! Finds what a path names in a value.

use super::filter::Condition;
use super::{JsonPath, Root, Slice, Token, part};
use crate::json::Found;
use crate::limits::{Budget, LimitExceeded, MAX_JSON_NESTING};
use crate::value::{List, ListKind, Map, MapKind, Value};

/// Calls of `step` and `walk` within each other. A document that was read and the longest path
/// stay below it; a value that a template put into itself does not.
const MAX_DEPTH: usize = MAX_JSON_NESTING + 512;

/// One evaluation, with those of its filters.
pub(super) struct Evaluation<'e, 't> {
    document: &'e Value<'t>,
    pub(super) budget: &'e mut Budget,
    depth: usize,
}

/// Why an evaluation ended early.
pub(super) enum Stop {
    /// The path does not fit the value: Jayway throws.
    Unfit,
    Limit(LimitExceeded),
}

impl From<LimitExceeded> for Stop {
    fn from(limit: LimitExceeded) -> Self {
        Self::Limit(limit)
    }
}

/// A path on its way.
struct Search<'p, 't> {
    path: &'p JsonPath,
    /// Whether a missing name ends it, as when a filter asks if a path exists.
    strict: bool,
    found: Vec<Value<'t>>,
}

impl<'e, 't> Evaluation<'e, 't> {
    pub(super) fn new(document: &'e Value<'t>, budget: &'e mut Budget) -> Self {
        Self { document, budget, depth: 0 }
    }

    /// `None`: a definite path finds nothing. Its values for an indefinite one.
    pub(super) fn find(
        &mut self,
        path: &JsonPath,
        item: &Value<'t>,
    ) -> Result<Option<Value<'t>>, Stop> {
        let start = match path.root {
            Root::Document => self.document,
            Root::Item => item,
        };
        if path.is_definite() {
            return self.find_one(path, start);
        }
        let found = self.search(path, start, false)?;
        Ok(Some(Value::List(List::new(ListKind::Json, found))))
    }

    /// Whether a filter's path leads somewhere. Jayway starts at the item even for `$`.
    pub(super) fn exists(&mut self, path: &JsonPath, item: &Value<'t>) -> Result<bool, Stop> {
        let found = if path.is_definite() {
            self.find_one(path, item).map(|found| found.is_some())
        } else {
            self.search(path, item, true).map(|_| true)
        };
        match found {
            Err(Stop::Unfit) => Ok(false),
            found => found,
        }
    }

    fn find_one(&mut self, path: &JsonPath, start: &Value<'t>) -> Result<Option<Value<'t>>, Stop> {
        if let Some(part) = part::of(start) {
            match part::find(path, part, self.budget)? {
                Found::Nothing => return Ok(None),
                // Lists and maps are found by their parents, which know those made before.
                Found::At(node) => {
                    if let Some(value) = part.scalar(node, self.budget)? {
                        return Ok(Some(value));
                    }
                }
                Found::Unclear => {}
            }
        }
        self.budget.steps(1 + path.tokens.len() as u64)?;
        let mut value = start.clone();
        for token in &path.tokens {
            let next = match (token, &value) {
                (Token::Name(name), Value::Map(map)) => member(map, name),
                (Token::Index(index), Value::List(list)) => item_at(list, *index),
                (Token::Names(names), Value::Map(map)) => Some(self.members(map, names)?),
                (Token::Function(function), value) => Some(function.call(value, self)?),
                _ => None,
            };
            match next {
                Some(next) => value = next,
                None => return Ok(None),
            }
        }
        Ok(Some(value))
    }

    fn search(
        &mut self,
        path: &JsonPath,
        start: &Value<'t>,
        strict: bool,
    ) -> Result<Vec<Value<'t>>, Stop> {
        let mut search = Search { path, strict, found: Vec::new() };
        self.step(&mut search, 0, start)?;
        Ok(search.found)
    }

    /// Takes the path's tokens from `index` on.
    fn step(
        &mut self,
        search: &mut Search<'_, 't>,
        index: usize,
        value: &Value<'t>,
    ) -> Result<(), Stop> {
        let Some(token) = search.path.tokens.get(index) else {
            self.budget.steps(1)?;
            self.budget.allocate(size_of::<Value<'_>>())?;
            search.found.push(value.clone());
            return Ok(());
        };
        self.enter()?;
        match (token, value) {
            (Token::Name(name), Value::Map(map)) => self.name(search, index, map, name)?,
            (Token::Names(names), Value::Map(map)) => self.names(search, index, map, names)?,
            (Token::Index(at), Value::List(list)) => {
                self.each(search, index, list, [i64::from(*at)])?;
            }
            (Token::Indices(indices), Value::List(list)) => {
                self.each(search, index, list, indices.iter().map(|at| i64::from(*at)))?;
            }
            (Token::Slice(slice), Value::List(list)) => {
                let range = slice.range(list.len());
                self.each(search, index, list, range)?;
            }
            (Token::Wildcard, _) => self.children(search, index + 1, value)?,
            (Token::Scan, _) => self.walk(search, index + 1, value)?,
            (Token::Filter(condition), _) => self.filter(search, index, condition, value)?,
            (Token::Function(function), _) => {
                let result = function.call(value, self)?;
                self.step(search, index + 1, &result)?;
            }
            _ if index <= search.path.definite_tokens => return Err(Stop::Unfit),
            _ => {}
        }
        self.depth -= 1;
        Ok(())
    }

    fn name(
        &mut self,
        search: &mut Search<'_, 't>,
        index: usize,
        map: &Map<'t>,
        name: &str,
    ) -> Result<(), Stop> {
        match member(map, name) {
            Some(value) => self.step(search, index + 1, &value),
            None if search.strict => Err(Stop::Unfit),
            None => Ok(()),
        }
    }

    fn names(
        &mut self,
        search: &mut Search<'_, 't>,
        index: usize,
        map: &Map<'t>,
        names: &[Box<str>],
    ) -> Result<(), Stop> {
        let last = index + 1 == search.path.tokens.len();
        if !last {
            return names.iter().try_for_each(|name| self.name(search, index, map, name));
        }
        if search.strict && !has_members(map, names) {
            return Err(Stop::Unfit);
        }
        let merged = self.members(map, names)?;
        self.step(search, index + 1, &merged)
    }

    fn each(
        &mut self,
        search: &mut Search<'_, 't>,
        index: usize,
        list: &List<'t>,
        indices: impl IntoIterator<Item = i64>,
    ) -> Result<(), Stop> {
        for at in indices {
            let item = i32::try_from(at).ok().and_then(|at| item_at(list, at));
            if let Some(item) = item {
                self.step(search, index + 1, &item)?;
            }
        }
        Ok(())
    }

    /// Continues at `index` with each child of a value.
    fn children(
        &mut self,
        search: &mut Search<'_, 't>,
        index: usize,
        value: &Value<'t>,
    ) -> Result<(), Stop> {
        match value {
            Value::Map(map) => {
                map.entries.borrow().values().try_for_each(|child| self.step(search, index, child))
            }
            Value::List(list) => {
                list.items.borrow().iter().try_for_each(|child| self.step(search, index, child))
            }
            _ => Ok(()),
        }
    }

    /// A deep scan: tries the token at `index` on a value and on all below it. On a list, a token
    /// that is not the last stands for every item, whatever it says: `$..[0].a` finds the `a` of
    /// each item in Jayway.
    fn walk(
        &mut self,
        search: &mut Search<'_, 't>,
        index: usize,
        value: &Value<'t>,
    ) -> Result<(), Stop> {
        if !matches!(value, Value::Map(_) | Value::List(_)) {
            return Ok(());
        }
        self.enter()?;
        let last = index + 1 == search.path.tokens.len();
        if self.scan_stops(search, index, value)? {
            match value {
                Value::List(_) if !last => self.children(search, index + 1, value)?,
                _ => self.step(search, index, value)?,
            }
        }
        match value {
            Value::Map(map) => {
                map.entries.borrow().values().try_for_each(|v| self.walk(search, index, v))?;
            }
            Value::List(list) => {
                list.items.borrow().iter().try_for_each(|v| self.walk(search, index, v))?;
            }
            _ => {}
        }
        self.depth -= 1;
        Ok(())
    }

    /// Whether a deep scan tries its token on this value.
    fn scan_stops(
        &mut self,
        search: &Search<'_, 't>,
        index: usize,
        value: &Value<'t>,
    ) -> Result<bool, Stop> {
        let last = index + 1 == search.path.tokens.len();
        Ok(match (search.path.tokens.get(index), value) {
            (Some(Token::Name(name)), Value::Map(map)) => {
                search.strict || member(map, name).is_some()
            }
            (Some(Token::Names(names)), Value::Map(map)) => {
                search.strict || !last || has_members(map, names)
            }
            (Some(Token::Index(_) | Token::Indices(_) | Token::Slice(_)), Value::List(_)) => true,
            (Some(Token::Wildcard), _) => true,
            (Some(Token::Filter(condition)), _) => self.accepts(condition, value)?,
            _ => false,
        })
    }

    /// An object is the filter's item itself, a list gives its items.
    fn filter(
        &mut self,
        search: &mut Search<'_, 't>,
        index: usize,
        condition: &Condition,
        value: &Value<'t>,
    ) -> Result<(), Stop> {
        let mut step_if_accepted = |item: &Value<'t>| match self.accepts(condition, item)? {
            true => self.step(search, index + 1, item),
            false => Ok(()),
        };
        match value {
            Value::Map(_) => step_if_accepted(value)?,
            Value::List(list) => list.items.borrow().iter().try_for_each(step_if_accepted)?,
            _ if index <= search.path.definite_tokens => return Err(Stop::Unfit),
            _ => {}
        }
        Ok(())
    }

    /// The members of these names, as an object of its own.
    fn members(&mut self, map: &Map<'t>, names: &[Box<str>]) -> Result<Value<'t>, LimitExceeded> {
        let entries = map.entries.borrow();
        self.budget.allocate(names.len().saturating_mul(size_of::<Value<'_>>() * 2))?;
        let found = names.iter().filter_map(|name| entries.get_key_value(&**name));
        let merged = found.map(|(key, value)| (key.clone(), value.clone())).collect();
        Ok(Value::Map(Map::new(MapKind::Java, merged)))
    }

    fn enter(&mut self) -> Result<(), LimitExceeded> {
        self.budget.steps(1)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(LimitExceeded::JsonNesting) } else { Ok(()) }
    }
}

impl Slice {
    /// The indices, some below 0 where Jayway counts them from the end: only a slice with one
    /// end turns that end into an index.
    fn range(self, length: usize) -> std::ops::Range<i64> {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        let from_end = |index: i32| match i64::from(index) {
            index if index < 0 => index + length,
            index => index,
        };
        match (self.from, self.to) {
            (Some(from), None) => from_end(from).max(0)..length,
            (None, Some(to)) => 0..from_end(to).min(length),
            (from, to) => {
                let from = i64::from(from.unwrap_or(0)).max(-length);
                from..to.map_or(length, i64::from).min(length)
            }
        }
    }
}

fn member<'t>(map: &Map<'t>, name: &str) -> Option<Value<'t>> {
    map.get(name)
}

fn has_members(map: &Map<'_>, names: &[Box<str>]) -> bool {
    names.iter().all(|name| map.entries.contains_key(name))
}

fn item_at<'t>(list: &List<'t>, index: i32) -> Option<Value<'t>> {
    let index = match usize::try_from(index) {
        Ok(index) => index,
        Err(_) => list.len().checked_sub(index.unsigned_abs() as usize)?,
    };
    list.get(index)
}
