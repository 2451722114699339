//! What every part of the import uses: typed access to the tree, local references, errors and
//! warnings with their place.
//!
//! Nodes do not know their place in the document. It is looked up by identity when an error or
//! the warnings are put into words, so reading costs nothing for it.

use std::collections::HashMap;

use indexmap::IndexMap;
use percent_encoding::percent_decode_str;

use super::document::{Kind, MAX_TEXT, Map, Node};
use super::{ImportError, ImportOptions, Warning};
use crate::api::Protocol;

/// References that may lead to references.
const MAX_REFERENCES: usize = 16;

/// Which OpenAPI a document is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Swagger, 2.0.
    Swagger20,
    /// 3.0 or 3.1.
    OpenApi3,
}

pub(super) struct Reader<'d> {
    pub(super) root: &'d Node<'d>,
    pub(super) dialect: Dialect,
    pub(super) options: &'d ImportOptions,
    pub(super) protocol: Protocol,
    /// By construct and message; equal ones are one warning with a count.
    notes: IndexMap<(String, String), Note>,
    /// Bytes that references and inherited values may still copy.
    budget: usize,
}

struct Note {
    node: usize,
    line: u32,
    more: usize,
}

/// Where a `$ref` leads.
pub(super) enum Target<'d> {
    Here(&'d Node<'d>),
    /// Into another document, which is not fetched.
    Elsewhere(&'d str),
}

impl<'d> Reader<'d> {
    pub(super) fn new(root: &'d Node<'d>, dialect: Dialect, options: &'d ImportOptions) -> Self {
        Self {
            root,
            dialect,
            options,
            protocol: Protocol::Rest,
            notes: IndexMap::new(),
            budget: MAX_TEXT,
        }
    }

    // --- warnings and errors ---

    /// Notes that something at `node` is not, or not wholly, taken over.
    pub(super) fn warn(
        &mut self,
        node: &Node<'_>,
        construct: impl Into<String>,
        message: impl Into<String>,
    ) {
        let note = Note { node: identity(node), line: node.line, more: 0 };
        self.notes
            .entry((construct.into(), message.into()))
            .and_modify(|note| note.more += 1)
            .or_insert(note);
    }

    /// Warns of each key of `map` that is not in `known`.
    pub(super) fn warn_unknown_keys(&mut self, map: &'d Map<'d>, known: &[&str]) {
        for (key, node) in map {
            if known.contains(&key.as_ref()) {
                continue;
            }
            let message = if key.starts_with("x-amazon-apigateway-") {
                "not an extension known at this place; ignored"
            } else if key.starts_with("x-") {
                "an extension for another tool; ignored"
            } else {
                "not known at this place; ignored"
            };
            self.warn(node, key.as_ref(), message);
        }
    }

    /// Warns of API Gateway's extensions in a value where it has none but `known`.
    pub(super) fn warn_extensions(&mut self, node: &'d Node<'d>, known: &[&str]) {
        for (key, node) in node.as_map().into_iter().flatten() {
            if key.starts_with("x-amazon-apigateway-") && !known.contains(&key.as_ref()) {
                self.warn(node, key.as_ref(), "not an extension known at this place; ignored");
            }
        }
    }

    /// Warns of keys that the other version of OpenAPI has at this place.
    pub(super) fn warn_other_dialect(
        &mut self,
        node: &'d Node<'d>,
        only_swagger: &[&str],
        only_openapi: &[&str],
    ) {
        let (keys, message) = match self.dialect {
            Dialect::Swagger20 => (only_openapi, "a key of OpenAPI 3, in a 2.0 document; ignored"),
            Dialect::OpenApi3 => (only_swagger, "a key of OpenAPI 2.0, in a 3.x document; ignored"),
        };
        for key in keys {
            if let Some(node) = node.get(key) {
                self.warn(node, *key, message);
            }
        }
    }

    pub(super) fn error(&self, node: &Node<'_>, message: impl Into<String>) -> ImportError {
        let path = path_of(self.root, identity(node)).unwrap_or_default();
        ImportError::new(Some(node.line), path.join("."), message)
    }

    pub(super) fn into_warnings(self) -> Vec<Warning> {
        let mut wanted: HashMap<usize, String> =
            self.notes.values().map(|note| (note.node, String::new())).collect();
        let mut left = wanted.len();
        locate_all(self.root, &mut Vec::new(), &mut wanted, &mut left);
        let warning = |((construct, message), note): ((String, String), Note)| {
            let mut location = wanted.get(&note.node).cloned().unwrap_or_default();
            match note.more {
                0 => {}
                1 => location.push_str(" and 1 more place"),
                more => location.push_str(&format!(" and {more} more places")),
            }
            Warning { line: usize::try_from(note.line).ok(), location, construct, message }
        };
        self.notes.into_iter().map(warning).collect()
    }

    // --- references ---

    /// Follows `$ref`, if the node is one.
    pub(super) fn follow(&mut self, node: &'d Node<'d>) -> Result<Target<'d>, ImportError> {
        let mut target = node;
        for _ in 0..MAX_REFERENCES {
            let Some(reference) = target.get("$ref").and_then(Node::as_str) else {
                if !std::ptr::eq(target, node) {
                    self.charge(target, 1)?;
                }
                return Ok(Target::Here(target));
            };
            let Some(pointer) = reference.strip_prefix('#') else {
                return Ok(Target::Elsewhere(reference));
            };
            target = self.lookup(pointer).ok_or_else(|| {
                self.error(node, format!("\"{reference}\" is not in this document"))
            })?;
        }
        Err(self.error(node, "references lead to references without end"))
    }

    /// What a JSON pointer names.
    pub(super) fn lookup(&self, pointer: &str) -> Option<&'d Node<'d>> {
        let mut node = self.root;
        for part in pointer.strip_prefix('/')?.split('/') {
            let part = percent_decode_str(part).decode_utf8().ok()?;
            let part = part.replace("~1", "/").replace("~0", "~");
            node = match &node.kind {
                Kind::Map(map) => map.get(part.as_str())?,
                Kind::Seq(items) => items.get(part.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(node)
    }

    /// Accounts for `times` copies of a value; one large value referred to from everywhere
    /// would otherwise fill the memory.
    pub(super) fn charge(&mut self, node: &Node<'_>, times: usize) -> Result<(), ImportError> {
        let bytes = node.weight(self.budget).saturating_mul(times);
        self.charge_bytes(node, bytes)
    }

    pub(super) fn charge_bytes(
        &mut self,
        node: &Node<'_>,
        bytes: usize,
    ) -> Result<(), ImportError> {
        self.budget = self.budget.checked_sub(bytes).ok_or_else(|| {
            self.error(node, format!("references unfold to over {MAX_TEXT} bytes"))
        })?;
        Ok(())
    }

    // --- typed access ---

    /// The map under `key`; an absent or empty one is `None`.
    pub(super) fn map(
        &self,
        node: &'d Node<'d>,
        key: &str,
    ) -> Result<Option<&'d Map<'d>>, ImportError> {
        match node.get(key) {
            None => Ok(None),
            Some(node) if node.is_null() => Ok(None),
            Some(node) => self.as_map(node).map(Some),
        }
    }

    pub(super) fn as_map(&self, node: &'d Node<'d>) -> Result<&'d Map<'d>, ImportError> {
        node.as_map()
            .ok_or_else(|| self.error(node, format!("is {}; a map is allowed", node.what())))
    }

    /// The items under `key`; none for an absent or empty list.
    pub(super) fn list(
        &self,
        node: &'d Node<'d>,
        key: &str,
    ) -> Result<&'d [Node<'d>], ImportError> {
        match node.get(key) {
            None => Ok(&[]),
            Some(Node { kind: Kind::Null, .. }) => Ok(&[]),
            Some(Node { kind: Kind::Seq(items), .. }) => Ok(items),
            Some(node) => Err(self.error(node, format!("is {}; a list is allowed", node.what()))),
        }
    }

    /// The text under `key`; an absent or empty (`""`) one is `None`.
    pub(super) fn text(
        &self,
        node: &'d Node<'d>,
        key: &str,
    ) -> Result<Option<String>, ImportError> {
        match node.get(key) {
            None => Ok(None),
            Some(node) if node.is_null() => Ok(None),
            Some(node) => Ok(Some(self.as_text(node)?.to_owned()).filter(|text| !text.is_empty())),
        }
    }

    /// The text of a string, number or boolean, as written.
    pub(super) fn as_text(&self, node: &'d Node<'d>) -> Result<&'d str, ImportError> {
        match &node.kind {
            Kind::String(text) | Kind::Number(text) => Ok(text),
            Kind::Bool(true) => Ok("true"),
            Kind::Bool(false) => Ok("false"),
            _ => Err(self.error(node, format!("is {}; a string is allowed", node.what()))),
        }
    }

    /// A list of strings; a single string counts as a list of one.
    pub(super) fn texts(&self, node: &'d Node<'d>, key: &str) -> Result<Vec<String>, ImportError> {
        match node.get(key) {
            Some(single @ Node { kind: Kind::String(_), .. }) => {
                Ok(vec![self.as_text(single)?.to_owned()])
            }
            _ => {
                let items = self.list(node, key)?;
                items.iter().map(|item| self.as_text(item).map(str::to_owned)).collect()
            }
        }
    }

    /// The boolean under `key`, also as the text `true` or `false`.
    pub(super) fn flag(&self, node: &'d Node<'d>, key: &str) -> Result<Option<bool>, ImportError> {
        let Some(value) = node.get(key).filter(|value| !value.is_null()) else { return Ok(None) };
        match &value.kind {
            Kind::Bool(flag) => Ok(Some(*flag)),
            Kind::String(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Kind::String(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            _ => Err(self.error(value, format!("is {}; allowed: true, false", value.what()))),
        }
    }

    /// The whole number under `key`, also as text, and the node it stands in.
    pub(super) fn number(
        &self,
        node: &'d Node<'d>,
        key: &str,
        allowed: std::ops::RangeInclusive<u32>,
    ) -> Result<Option<(u32, &'d Node<'d>)>, ImportError> {
        let Some(value) = node.get(key).filter(|value| !value.is_null()) else { return Ok(None) };
        let text = self.as_text(value)?;
        match text.parse::<u32>() {
            Ok(number) if allowed.contains(&number) => Ok(Some((number, value))),
            _ => {
                let (from, to) = (allowed.start(), allowed.end());
                let message = format!("{text} is not allowed; allowed: {from} to {to}");
                Err(self.error(value, message))
            }
        }
    }

    /// The word under `key` among `allowed`, whatever its case.
    pub(super) fn word<T: Copy>(
        &self,
        node: &'d Node<'d>,
        key: &str,
        what: &str,
        allowed: &[(&str, T)],
    ) -> Result<Option<T>, ImportError> {
        let Some(value) = node.get(key).filter(|value| !value.is_null()) else { return Ok(None) };
        let text = self.as_text(value)?;
        let found = allowed.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        found.map(|(_, meaning)| Some(*meaning)).ok_or_else(|| {
            let words: Vec<_> = allowed.iter().map(|(word, _)| *word).collect();
            let message = format!("\"{text}\" is not {what}; allowed: {}", words.join(", "));
            self.error(value, message)
        })
    }

    /// A map of strings in order, as `requestTemplates` is.
    pub(super) fn text_map(
        &self,
        node: &'d Node<'d>,
        key: &str,
    ) -> Result<IndexMap<String, String>, ImportError> {
        let Some(map) = self.map(node, key)? else { return Ok(IndexMap::new()) };
        map.into_iter()
            .map(|(key, value)| Ok((key.to_string(), self.as_text(value)?.to_owned())))
            .collect()
    }
}

fn identity(node: &Node<'_>) -> usize {
    std::ptr::from_ref(node).addr()
}

/// The keys that lead to a node.
fn path_of(node: &Node<'_>, wanted: usize) -> Option<Vec<String>> {
    if identity(node) == wanted {
        return Some(Vec::new());
    }
    let (key, mut path) = match &node.kind {
        Kind::Map(map) => map
            .into_iter()
            .find_map(|(key, child)| Some((key.to_string(), path_of(child, wanted)?)))?,
        Kind::Seq(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, child)| Some((index.to_string(), path_of(child, wanted)?)))?,
        _ => return None,
    };
    path.insert(0, key);
    Some(path)
}

/// Fills in the location of each wanted node, until `left` says that all are found.
fn locate_all<'n>(
    node: &'n Node<'_>,
    path: &mut Vec<&'n str>,
    wanted: &mut HashMap<usize, String>,
    left: &mut usize,
) {
    if *left == 0 {
        return;
    }
    if let Some(location) = wanted.get_mut(&identity(node)) {
        *location = location_text(path);
        *left -= 1;
    }
    match &node.kind {
        Kind::Map(map) => {
            for (key, child) in map {
                path.push(key);
                locate_all(child, path, wanted, left);
                path.pop();
            }
        }
        Kind::Seq(items) => items.iter().for_each(|item| locate_all(item, path, wanted, left)),
        _ => {}
    }
}

/// A path in the document in the words of its user: `GET /pets`, `components.schemas.Pet`.
pub(super) fn location_text(path: &[&str]) -> String {
    match path {
        ["paths", path] => (*path).to_owned(),
        ["paths", path, "x-amazon-apigateway-any-method", ..] => format!("ANY {path}"),
        ["paths", path, "parameters" | "servers" | "$ref" | "summary" | "description", ..] => {
            (*path).to_owned()
        }
        ["paths", path, method, ..] if method.starts_with("x-") => (*path).to_owned(),
        ["paths", path, method, ..] => format!("{} {path}", method.to_ascii_uppercase()),
        ["components", group, name, ..] => format!("components.{group}.{name}"),
        [group, name, ..] => format!("{group}.{name}"),
        [single] => (*single).to_owned(),
        [] => "the document".to_owned(),
    }
}
