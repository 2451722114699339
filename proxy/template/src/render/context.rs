//! `$context` and `$stageVariables`.
//!
//! `$context.identity.sourceIp` asks the gateway for that entry alone. Only a template that takes
//! `$context`, or an object within it, as a value has it made into a map. What templates wrote
//! stands before what the gateway gives.

use std::borrow::Cow;
use std::collections::HashSet;
use std::rc::Rc;

use smallvec::SmallVec;

use super::variables::plain;
use super::{Interrupt, Outcome, Renderer, push_within};
use crate::limits::{LimitExceeded, MAX_JSON_NESTING};
use crate::syntax::ast::{Accessor, Symbol};
use crate::value::{Entries, Hashing, Key, Map, MapKind, Text, Value};
use crate::{ContextValue, ContextWrites};

pub(super) const REQUEST_OVERRIDE: &str = "requestOverride";
pub(super) const RESPONSE_OVERRIDE: &str = "responseOverride";
const PARAMETERS: [&str; 3] = ["header", "path", "querystring"];

/// The names that lead to an entry.
type Names<'t> = SmallVec<[&'t str; 4]>;

pub(super) struct Context<'t> {
    /// What earlier templates of the exchange wrote.
    earlier: &'t ContextWrites,
    /// That and what this one writes, once either is asked for.
    written: Option<Written<'t>>,
    /// All of `$context`, once it is asked for.
    whole: Option<Map<'t>>,
}

pub(super) struct Written<'t> {
    pub(super) root: Map<'t>,
    /// The maps of overrides, by their path below `$context`.
    overrides: Vec<(&'static str, Map<'t>)>,
    /// Overrides this template set: AWS allows each once.
    set: HashSet<String>,
}

impl<'t> Context<'t> {
    pub(super) fn new(earlier: &'t ContextWrites) -> Self {
        Self { earlier, written: None, whole: None }
    }

    pub(super) fn is_whole(&self, map: &Map<'t>) -> bool {
        self.whole.as_ref().is_some_and(|whole| same(whole, map))
    }

    pub(super) fn written_root(&self) -> Option<Map<'t>> {
        self.written.as_ref().map(|written| written.root.clone())
    }

    fn is_written(&self, key: &str) -> bool {
        match &self.written {
            Some(written) => written.root.entries.borrow().contains_key(key),
            None => {
                key == REQUEST_OVERRIDE || key == RESPONSE_OVERRIDE || self.earlier.contains(key)
            }
        }
    }

    fn written(&mut self) -> &mut Written<'t> {
        self.written.get_or_insert_with(|| Written::new(self.earlier))
    }
}

impl<'t> Written<'t> {
    fn new(earlier: &'t ContextWrites) -> Self {
        let root = Map::new(MapKind::Context, earlier.values());
        let mut overrides = Vec::new();
        if let Some(request) = child(&root, REQUEST_OVERRIDE) {
            let paths =
                ["requestOverride.header", "requestOverride.path", "requestOverride.querystring"];
            for (key, path) in PARAMETERS.into_iter().zip(paths) {
                overrides.extend(child(&request, key).map(|map| (path, map)));
            }
        }
        if let Some(response) = child(&root, RESPONSE_OVERRIDE) {
            let header = child(&response, "header");
            overrides.extend(header.map(|map| ("responseOverride.header", map)));
            overrides.push((RESPONSE_OVERRIDE, response));
        }
        Self { root, overrides, set: HashSet::new() }
    }
}

/// A map's entry that is a map, made if there is none. `None`: a template put something else.
fn child<'t>(map: &Map<'t>, key: &'static str) -> Option<Map<'t>> {
    let new = || Value::map(MapKind::Context, Entries::default());
    let mut entries = map.entries.borrow_mut();
    match entries.entry(Key::String(key.into())).or_insert_with(new) {
        Value::Map(child) => Some(child.clone()),
        _ => None,
    }
}

fn same(a: &Map<'_>, b: &Map<'_>) -> bool {
    std::ptr::eq(Rc::as_ptr(&a.entries).cast::<()>(), Rc::as_ptr(&b.entries).cast::<()>())
}

impl<'t> Renderer<'t> {
    /// `$context` or `$stageVariables`, unless the template gave the name another meaning.
    pub(super) fn builtin_reference(
        &mut self,
        root: Symbol,
        accessors: &'t [Accessor],
    ) -> Outcome<'t, Value<'t>> {
        if self.variables.is_builtin(root) && !accessors.is_empty() {
            if root == Symbol::CONTEXT {
                return self.context_reference(accessors);
            }
            if let [Accessor::Property(name, _)] = accessors {
                return Ok(self.values.stage_variable(name).map_or(Value::Null, Value::from));
            }
            if let Some(key) = self.path_key(&accessors[0])? {
                let value = self.values.stage_variable(key.as_str());
                return self.follow(value.map_or(Value::Null, Value::from), &accessors[1..]);
            }
        }
        let value = self.variable(root)?;
        self.follow(value, accessors)
    }

    /// Writes an entry that the gateway gives, without making it into a value first. False:
    /// nothing was done.
    pub(super) fn write_given(
        &mut self,
        root: Symbol,
        accessors: &'t [Accessor],
    ) -> Outcome<'t, bool> {
        let mut names = Names::new();
        if accessors.is_empty()
            || !only_properties(accessors, &mut names)
            || !self.variables.is_builtin(root)
        {
            return Ok(false);
        }
        if root == Symbol::STAGE_VARIABLES {
            let [name] = names[..] else { return Ok(false) };
            push_within(self.values.stage_variable(name).unwrap_or_default(), &mut self.output)?;
            return Ok(true);
        }
        if self.context.whole.is_some() || self.context.is_written(names[0]) {
            return Ok(false);
        }
        match self.given_below(&names) {
            None => Ok(true),
            Some((ContextValue::Object, length)) if length < names.len() => Ok(true),
            Some((ContextValue::Text(text), length)) if length == names.len() => {
                push_within(&text, &mut self.output)?;
                Ok(true)
            }
            Some(_) => Ok(false),
        }
    }

    /// What the gateway gives for keys, or else for as many of them as it gives something for:
    /// the others may be properties of that value.
    fn given_below(&self, keys: &[&str]) -> Option<(ContextValue<'t>, usize)> {
        let values = self.values;
        (1..=keys.len()).rev().find_map(|length| Some((values.context(&keys[..length])?, length)))
    }

    fn context_reference(&mut self, accessors: &'t [Accessor]) -> Outcome<'t, Value<'t>> {
        let mut names = Names::new();
        if only_properties(accessors, &mut names)
            && self.context.whole.is_none()
            && !self.context.is_written(names[0])
        {
            return self.context_below(&names, accessors);
        }
        let Some(first) = self.path_key(&accessors[0])? else {
            let whole = self.whole_context()?;
            return self.follow(whole, accessors);
        };
        if self.context.whole.is_some() || self.context.is_written(first.as_str()) {
            let value = self.context_entry(first.as_str())?;
            return self.follow(value, &accessors[1..]);
        }
        let mut path = SmallVec::<[Text<'t>; 4]>::new();
        path.push(first);
        for accessor in &accessors[1..] {
            match self.path_key(accessor)? {
                Some(key) => path.push(key),
                None => break,
            }
        }
        let keys: SmallVec<[&str; 4]> = path.iter().map(Text::as_str).collect();
        self.context_below(&keys, accessors)
    }

    /// What the gateway gives for the keys that accessors begin with.
    fn context_below(
        &mut self,
        keys: &[&str],
        accessors: &'t [Accessor],
    ) -> Outcome<'t, Value<'t>> {
        let Some((value, length)) = self.given_below(keys) else { return Ok(Value::Null) };
        match value {
            ContextValue::Object if length < keys.len() => Ok(Value::Null),
            ContextValue::Object => {
                self.whole_context()?;
                let value = self.context_entry(keys[0])?;
                self.follow(value, &accessors[1..])
            }
            ContextValue::Text(text) => {
                self.follow(Value::String(borrowed(text)), &accessors[length..])
            }
            ContextValue::Json(value) => {
                let value = plain(value, &mut self.budget)?;
                self.follow(value, &accessors[length..])
            }
        }
    }

    /// The key of `.key`, `['key']`, `[$key]` or `.get('key')`.
    fn path_key(&mut self, accessor: &'t Accessor) -> Outcome<'t, Option<Text<'t>>> {
        let key = match accessor {
            Accessor::Property(name, _) => return Ok(Some(Text::Borrowed(name))),
            Accessor::Index(index, _) => self.plain_key(index)?,
            Accessor::Method(method) => match (&*method.name, &*method.arguments) {
                ("get", [key]) => self.plain_key(key)?,
                _ => None,
            },
        };
        Ok(match key {
            Some(Value::String(key)) => Some(key),
            _ => None,
        })
    }

    /// A top-level entry: as written, or of the whole.
    fn context_entry(&mut self, key: &str) -> Outcome<'t, Value<'t>> {
        if self.context.is_written(key)
            && let Some(value) = self.context.written().root.get(key)
        {
            return Ok(value);
        }
        self.whole_context()?;
        let whole = self.context.whole.as_ref();
        if let Some(value) = whole.and_then(|whole| whole.get(key)) {
            return Ok(value);
        }
        // AWS's `$context` has entries that its key set does not name.
        match self.values.context(&[key]) {
            Some(ContextValue::Object) => Ok(self.context_object(&[key])?),
            Some(ContextValue::Text(text)) => Ok(Value::String(borrowed(text))),
            Some(ContextValue::Json(value)) => Ok(plain(value, &mut self.budget)?),
            None => Ok(Value::Null),
        }
    }

    pub(super) fn whole_context(&mut self) -> Outcome<'t, Value<'t>> {
        if let Some(whole) = &self.context.whole {
            return Ok(Value::Map(whole.clone()));
        }
        let given = match self.values.context(&[]) {
            Some(ContextValue::Object) => self.context_object(&[])?,
            Some(ContextValue::Json(value)) => plain(value, &mut self.budget)?,
            _ => Value::Null,
        };
        let mut entries = match given {
            Value::Map(map) => map.entries.take(),
            _ => Entries::default(),
        };
        let written = self.context.written();
        for (key, value) in written.root.entries.borrow().iter() {
            entries.insert(key.clone(), value.clone());
        }
        let whole = Map::new(MapKind::Context, entries);
        self.context.whole = Some(whole.clone());
        Ok(Value::Map(whole))
    }

    /// An object the gateway gives, with all within it.
    fn context_object(&mut self, path: &[&str]) -> Result<Value<'t>, LimitExceeded> {
        if path.len() > MAX_JSON_NESTING {
            return Err(LimitExceeded::ValueNesting);
        }
        let values = self.values;
        let keys = values.context_keys(path);
        self.budget.allocate(keys.len().saturating_mul(2 * size_of::<Value<'_>>()))?;
        let mut entries = Entries::with_capacity_and_hasher(keys.len(), Hashing::default());
        for key in keys {
            self.budget.steps(1)?;
            let path: SmallVec<[&str; 4]> = path.iter().copied().chain([&*key]).collect();
            let value = match values.context(&path) {
                None => Value::Null,
                Some(ContextValue::Text(text)) => Value::String(borrowed(text)),
                Some(ContextValue::Json(value)) => plain(value, &mut self.budget)?,
                Some(ContextValue::Object) => self.context_object(&path)?,
            };
            entries.insert(Key::String(borrowed(key.clone())), value);
        }
        Ok(Value::map(MapKind::Context, entries))
    }

    /// The object below `$context` that something is written to. It counts as written then.
    pub(super) fn context_to_write(&mut self, way: &'t [Accessor]) -> Outcome<'t, Value<'t>> {
        let Some(first) = way.first() else {
            // Written to without the whole being made: `#set($context.mine = …)` is common.
            return match self.context.whole {
                Some(_) => self.whole_context(),
                None => Ok(Value::Map(self.context.written().root.clone())),
            };
        };
        let Some(key) = self.path_key(first)? else {
            let whole = self.whole_context()?;
            return self.follow(whole, way);
        };
        let value = self.context_entry(key.as_str())?;
        if let Value::Map(_) = value
            && !self.context.is_written(key.as_str())
        {
            let root = self.context.written().root.clone();
            root.entries.borrow_mut().insert(Key::String(key), value.clone());
        }
        self.follow(value, &way[1..])
    }

    /// Called before a map is written to: what goes to `$context` itself is kept for the
    /// exchange, and an override is refused its second value.
    pub(super) fn note_write(
        &mut self,
        map: &Map<'t>,
        key: &Value<'t>,
        value: &Value<'t>,
    ) -> Outcome<'t, ()> {
        if map.kind != MapKind::Context {
            return Ok(());
        }
        if self.context.is_whole(map) {
            let root = self.context.written().root.clone();
            self.refuse_circle(value, &Value::Map(map.clone()))?;
            let key = key.to_key(&mut self.budget)?;
            root.entries.borrow_mut().insert(key, value.clone());
            return Ok(());
        }
        let (Some(written), Value::String(key)) = (&mut self.context.written, key) else {
            return Ok(());
        };
        let Some((path, _)) = written.overrides.iter().find(|(_, other)| same(map, other)) else {
            return Ok(());
        };
        if *path == RESPONSE_OVERRIDE && key.as_str() != "status" {
            return Ok(());
        }
        let name = format!("$context.{path}.{}", key.as_str());
        if written.set.contains(&name) {
            let message = format!("{name} is set twice; an override is applied once");
            return Err(Interrupt::thrown(message));
        }
        self.budget.allocate(name.len())?;
        written.set.insert(name);
        Ok(())
    }

    pub(super) fn stage_variables(&mut self) -> Result<Value<'t>, LimitExceeded> {
        let mut entries = Entries::default();
        let mut bytes = 0usize;
        self.values.each_stage_variable(&mut |name, value| {
            bytes = bytes.saturating_add(2 * size_of::<Value<'_>>());
            entries.insert(Key::String(name.into()), Value::from(value));
        });
        self.budget.allocate(bytes)?;
        Ok(Value::map(MapKind::Java, entries))
    }
}

/// Whether all accessors are properties, whose names are added to `names`.
#[inline]
fn only_properties<'t>(accessors: &'t [Accessor], names: &mut Names<'t>) -> bool {
    for accessor in accessors {
        let Some(name) = accessor.property_name() else { return false };
        names.push(name);
    }
    true
}

fn borrowed(text: Cow<'_, str>) -> Text<'_> {
    match text {
        Cow::Borrowed(text) => Text::Borrowed(text),
        Cow::Owned(text) => Text::from(text),
    }
}
