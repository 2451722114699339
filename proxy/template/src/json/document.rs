//! A JSON text that was read, but not made into values: a flat list of its parts, in the order of
//! the text. Values are made of the parts that a template asks for.

use std::borrow::Cow;
use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;

use indexmap::IndexMap;

use super::escape::unescape;
use super::node::{Kind, Node, Span};
use super::number;
use crate::limits::{Budget, LimitExceeded};
use crate::value::{Entries, Key, List, Map, Number, Text, Value};

/// Members an object may have to be searched one by one.
const MAX_SEARCHED_MEMBERS: u32 = 32;

/// Nodes there is room for at first, and room that is kept.
const MAX_FIRST_NODES: usize = 4096;

/// Blemishes that room is kept for.
const MAX_KEPT_BLEMISHES: usize = 4096;

thread_local! {
    /// The empty nodes and blemishes of the thread's next document.
    static SPARE: Cell<(Vec<Node>, Vec<Span>)> = const { Cell::new((Vec::new(), Vec::new())) };
}

/// A text and its nodes.
#[derive(Debug)]
pub(crate) struct Document<'t> {
    text: Text<'t>,
    nodes: Vec<Node>,
    /// Where the text is not what the writer would write, in its order: spaces, and strings and
    /// numbers written in another way.
    blemishes: Vec<Span>,
    /// From the first to the last node whose list or map a template may have changed.
    changed: Cell<Option<(u32, u32)>>,
}

/// An array or object of a document.
#[derive(Clone, Debug)]
pub(crate) struct Part<'t> {
    document: Rc<Document<'t>>,
    node: u32,
}

/// Where a step from a part leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    At(u32),
    Nothing,
    /// Only the values can tell.
    Unclear,
}

impl<'t> Document<'t> {
    /// Room for the nodes and blemishes of a text of so many bytes.
    pub(super) fn room(length: usize) -> (Vec<Node>, Vec<Span>) {
        let (mut nodes, blemishes) = SPARE.try_with(Cell::take).unwrap_or_default();
        nodes.reserve((length / 6 + 8).min(MAX_FIRST_NODES));
        (nodes, blemishes)
    }

    /// The value of a text's nodes, of which there is at least one.
    pub(super) fn into_value(text: Text<'t>, nodes: Vec<Node>, blemishes: Vec<Span>) -> Value<'t> {
        Rc::new(Self { text, nodes, blemishes, changed: Cell::new(None) }).value(0)
    }

    fn node(&self, index: u32) -> &Node {
        &self.nodes[index as usize]
    }

    fn raw(&self, range: Range<u32>) -> &str {
        &self.text.as_str()[range.start as usize..range.end as usize]
    }

    fn content(&self, node: &Node) -> &str {
        self.raw(node.start..node.end)
    }

    /// The text of a string or key.
    fn string(&self, node: &Node) -> Cow<'_, str> {
        let content = self.content(node);
        if node.is_plain() { Cow::Borrowed(content) } else { Cow::Owned(unescape(content)) }
    }

    fn shared_string(&self, node: &Node) -> Text<'t> {
        match &self.text {
            Text::Borrowed(text) if node.is_plain() => {
                Text::Borrowed(&text[node.start as usize..node.end as usize])
            }
            _ => Text::Shared(self.string(node).into()),
        }
    }

    /// The value of a node, if that takes no memory.
    fn free_value(&self, index: u32) -> Option<Value<'t>> {
        let node = self.node(index);
        Some(match node.kind() {
            Kind::Null => Value::Null,
            Kind::False => Value::Boolean(false),
            Kind::True => Value::Boolean(true),
            Kind::Number if node.length() <= number::MAX_DOUBLE_CHARACTERS => self.number(node),
            Kind::String if node.is_plain() && matches!(self.text, Text::Borrowed(_)) => {
                Value::String(self.shared_string(node))
            }
            _ => return None,
        })
    }

    fn value(self: &Rc<Self>, index: u32) -> Value<'t> {
        let part = || Part { document: Rc::clone(self), node: index };
        let node = self.node(index);
        match node.kind() {
            Kind::Null => Value::Null,
            Kind::False => Value::Boolean(false),
            Kind::True => Value::Boolean(true),
            Kind::Number => self.number(node),
            Kind::String => Value::String(self.shared_string(node)),
            Kind::Array => Value::List(List::of_json(part())),
            Kind::Object => Value::Map(Map::of_json(part())),
        }
    }

    /// That the number is one was seen when it was read.
    fn number(&self, node: &Node) -> Value<'t> {
        let number = number::number(self.content(node));
        Value::Number(number.unwrap_or(Number::Integer(0)))
    }

    /// The first node of each item.
    fn items(&self, array: u32) -> impl Iterator<Item = u32> {
        let node = self.node(array);
        let mut next = array + 1;
        (0..node.count()).map(move |_| {
            let item = next;
            next = self.node(item).next;
            item
        })
    }

    /// The nodes of each key and value, as they stand in the text.
    fn members(&self, object: u32) -> impl Iterator<Item = (u32, u32)> {
        let node = self.node(object);
        let mut next = object + 1;
        (0..node.count()).map(move |_| {
            let key = next;
            next = self.node(key + 1).next;
            (key, key + 1)
        })
    }

    /// Like [`Self::members`], but a repeated key keeps its first place and takes the last value.
    fn distinct_members(&self, object: u32) -> IndexMap<Cow<'_, str>, u32, crate::value::Hashing> {
        self.members(object).map(|(key, value)| (self.string(self.node(key)), value)).collect()
    }

    /// The value of a member of a plain object.
    #[inline]
    fn member(&self, object: u32, name: &str) -> Option<u32> {
        let (bytes, name) = (self.text.as_str().as_bytes(), name.as_bytes());
        let end = self.node(object).next;
        let mut at = object + 1;
        while at < end {
            let [key, value] = self.nodes.get(at as usize..)?.first_chunk()?;
            if key.length() as usize == name.len()
                && bytes.get(key.start as usize..)?.starts_with(name)
            {
                return Some(at + 1);
            }
            at = value.next;
        }
        None
    }
}

impl Drop for Document<'_> {
    fn drop(&mut self) {
        let mut nodes = std::mem::take(&mut self.nodes);
        let mut blemishes = std::mem::take(&mut self.blemishes);
        if nodes.capacity() <= MAX_FIRST_NODES && blemishes.capacity() <= MAX_KEPT_BLEMISHES {
            nodes.clear();
            blemishes.clear();
            // Where the thread ends, there is no next document.
            let _ = SPARE.try_with(|spare| spare.set((nodes, blemishes)));
        }
    }
}

impl<'t> Part<'t> {
    /// The items of an array, or the members as the text has them.
    pub(crate) fn count(&self) -> usize {
        self.document.node(self.node).count() as usize
    }

    /// Whether [`Self::count`] counts what the made list or map has.
    pub(crate) fn is_plain(&self) -> bool {
        self.document.node(self.node).is_plain()
    }

    /// Whether looking for one child costs less than making all.
    pub(crate) fn is_searched(&self) -> bool {
        let node = self.document.node(self.node);
        node.is_plain() && node.count() <= MAX_SEARCHED_MEMBERS
    }

    /// Whether no template changed it, or anything within.
    pub(crate) fn is_unchanged(&self) -> bool {
        let Some((first, last)) = self.document.changed.get() else { return true };
        last < self.node || first >= self.document.node(self.node).next
    }

    /// A template may change this list or map from now on.
    pub(crate) fn note_change(&self) {
        let (first, last) = self.document.changed.get().unwrap_or((self.node, self.node));
        self.document.changed.set(Some((first.min(self.node), last.max(self.node))));
    }

    /// The node of a member of a plain object.
    pub(crate) fn member(&self, name: &str) -> Option<u32> {
        self.document.member(self.node, name)
    }

    /// The node of an array's item.
    pub(crate) fn item(&self, index: usize) -> Option<u32> {
        self.document.items(self.node).nth(index)
    }

    /// The value of a node, if it takes no memory to make it.
    pub(crate) fn free_value(&self, node: u32) -> Option<Value<'t>> {
        self.document.free_value(node)
    }

    /// What names lead to, one below the other: null where there is nothing. `None`: what they
    /// lead through is no object that is searched, or what they lead to takes memory to make.
    pub(crate) fn read<'n>(&self, names: impl Iterator<Item = &'n str>) -> Option<Value<'t>> {
        let mut at = self.node;
        for name in names {
            let node = self.document.node(at);
            if !node.is_plain_object(MAX_SEARCHED_MEMBERS) {
                return None;
            }
            match self.document.member(at, name) {
                Some(member) if self.is_null(member) => return Some(Value::Null),
                Some(member) => at = member,
                None => return Some(Value::Null),
            }
        }
        self.document.free_value(at)
    }

    /// How what names lead to prints, if that is what the text has. `None`: one of the names is
    /// none, they lead through what isn't searched, or to what prints in another way.
    #[inline]
    pub(crate) fn printed<'n>(&self, names: impl Iterator<Item = Option<&'n str>>) -> Option<&str> {
        let mut at = self.node;
        let mut found = true;
        for name in names {
            let name = name?;
            let node = self.document.node(at);
            match node.kind() {
                _ if !found => {}
                Kind::Null => found = false,
                Kind::Object if node.is_plain_object(MAX_SEARCHED_MEMBERS) => {
                    match self.document.member(at, name) {
                        Some(member) => at = member,
                        None => found = false,
                    }
                }
                _ => return None,
            }
        }
        if found { self.printed_node(at) } else { Some("") }
    }

    /// How a node prints, if that is what the text has.
    #[inline]
    pub(crate) fn printed_node(&self, node: u32) -> Option<&str> {
        let node = self.document.node(node);
        match node.kind() {
            Kind::Null => Some(""),
            Kind::False | Kind::True => Some(self.document.content(node)),
            Kind::String if node.is_plain() => Some(self.document.content(node)),
            Kind::Number if node.is_verbatim() => Some(self.document.content(node)),
            _ => None,
        }
    }

    /// The node of the item after an array's item.
    #[inline]
    pub(crate) fn item_after(&self, item: u32) -> u32 {
        self.document.node(item).next
    }

    pub(crate) fn value(&self, node: u32) -> Value<'t> {
        self.document.value(node)
    }

    /// All items of an array.
    pub(crate) fn make_items(&self, mut make: impl FnMut(u32) -> Value<'t>) -> Vec<Value<'t>> {
        let mut items = Vec::with_capacity(self.count());
        items.extend(self.document.items(self.node).map(&mut make));
        items
    }

    /// All members of an object. A repeated key keeps its first place and takes the last value,
    /// as in Java.
    pub(crate) fn make_entries(&self, mut make: impl FnMut(u32) -> Value<'t>) -> Entries<'t> {
        let mut entries = Entries::with_capacity_and_hasher(self.count(), Default::default());
        entries.extend(self.document.members(self.node).map(|(key, value)| {
            let key = Key::String(self.document.shared_string(self.document.node(key)));
            (key, make(value))
        }));
        entries
    }

    pub(crate) fn is_object(&self, node: u32) -> bool {
        self.document.node(node).kind() == Kind::Object
    }

    /// Makes this a part of another node.
    pub(crate) fn move_to(&mut self, node: u32) {
        self.node = node;
    }

    pub(crate) fn root(&self) -> u32 {
        self.node
    }

    /// A step from a node of this part by a name.
    pub(crate) fn step_by_name(
        &self,
        from: u32,
        name: &str,
        budget: &mut Budget,
    ) -> Result<Found, LimitExceeded> {
        let node = self.document.node(from);
        if node.kind() != Kind::Object {
            return Ok(Found::Nothing);
        }
        if !node.is_plain() {
            return Ok(Found::Unclear);
        }
        budget.steps(u64::from(node.count() / 16))?;
        Ok(self.document.member(from, name).into())
    }

    /// A step from a node of this part by an index, which counts from the end if negative.
    pub(crate) fn step_by_index(
        &self,
        from: u32,
        index: i32,
        budget: &mut Budget,
    ) -> Result<Found, LimitExceeded> {
        let node = self.document.node(from);
        if node.kind() != Kind::Array {
            return Ok(Found::Nothing);
        }
        let index = match u32::try_from(index) {
            Ok(index) => Some(index),
            Err(_) => node.count().checked_sub(index.unsigned_abs()),
        };
        let Some(index) = index.filter(|index| *index < node.count()) else {
            return Ok(Found::Nothing);
        };
        budget.steps(u64::from(index / 16))?;
        Ok(self.document.items(from).nth(index as usize).into())
    }

    /// The value of a node that is no array or object.
    pub(crate) fn scalar(
        &self,
        node: u32,
        budget: &mut Budget,
    ) -> Result<Option<Value<'t>>, LimitExceeded> {
        if let Some(value) = self.free_value(node) {
            return Ok(Some(value));
        }
        let found = self.document.node(node);
        if matches!(found.kind(), Kind::Array | Kind::Object) {
            return Ok(None);
        }
        let characters = (found.end - found.start) as usize;
        budget.allocate(characters)?;
        if found.kind() == Kind::Number {
            budget.steps(number::steps(characters))?;
        }
        Ok(Some(self.document.value(node)))
    }

    /// In bytes; what the writer makes of it is seldom longer.
    pub(crate) fn text_length(&self, node: u32) -> usize {
        let node = self.document.node(node);
        (node.end - node.start) as usize + 2
    }

    pub(crate) fn is_null(&self, node: u32) -> bool {
        self.document.node(node).kind() == Kind::Null
    }
}

impl From<Option<u32>> for Found {
    fn from(node: Option<u32>) -> Self {
        node.map_or(Self::Nothing, Self::At)
    }
}

/// A node as the writer sees it.
pub(super) enum Written<'d> {
    /// Copied as it stands in the text.
    Verbatim(&'d str),
    /// Copied as it stands in the text, except for these places.
    Blemished(Copied<'d>),
    String(Cow<'d, str>),
    /// The text of a number.
    Number(&'d str),
    Array,
    Object,
}

/// A part of a text with the blemishes in it.
pub(super) struct Copied<'d> {
    text: &'d str,
    span: Span,
    blemishes: &'d [Span],
}

impl<'d> Copied<'d> {
    /// In bytes.
    pub(super) fn length(&self) -> usize {
        (self.span.end - self.span.start) as usize
    }

    /// Calls with each piece to copy, and with the blemish after it.
    pub(super) fn each<E>(
        &self,
        mut each: impl FnMut(&'d str, Option<Written<'d>>) -> Result<(), E>,
    ) -> Result<(), E> {
        let piece = |start: u32, end: u32| &self.text[start as usize..end as usize];
        let mut at = self.span.start;
        for blemish in self.blemishes {
            let written = match self.text.as_bytes().get(blemish.start as usize) {
                Some(b'"') => {
                    let content = piece(blemish.start + 1, blemish.end - 1);
                    Some(Written::String(Cow::Owned(unescape(content))))
                }
                Some(b'-' | b'0'..=b'9') => {
                    Some(Written::Number(piece(blemish.start, blemish.end)))
                }
                _ => None,
            };
            each(piece(at, blemish.start), written)?;
            at = blemish.end;
        }
        each(piece(at, self.span.end), None)
    }
}

impl Part<'_> {
    pub(super) fn written(&self, index: u32) -> Written<'_> {
        let node = self.document.node(index);
        if node.is_verbatim() {
            return Written::Verbatim(match node.kind() {
                Kind::String => self.document.raw(node.start - 1..node.end + 1),
                Kind::Array | Kind::Object => return self.copied(node),
                _ => self.document.content(node),
            });
        }
        match node.kind() {
            Kind::Null | Kind::False | Kind::True => Written::Verbatim(self.document.content(node)),
            Kind::Number => Written::Number(self.document.content(node)),
            Kind::String => Written::String(self.document.string(node)),
            Kind::Array => Written::Array,
            Kind::Object => Written::Object,
        }
    }

    fn copied(&self, node: &Node) -> Written<'_> {
        let blemishes = self.document.blemishes.as_slice();
        let first = blemishes.partition_point(|blemish| blemish.start < node.start);
        let count = blemishes[first..].partition_point(|blemish| blemish.start < node.end);
        if count == 0 {
            return Written::Verbatim(self.document.content(node));
        }
        Written::Blemished(Copied {
            text: self.document.text.as_str(),
            span: Span { start: node.start, end: node.end },
            blemishes: &blemishes[first..first + count],
        })
    }

    pub(super) fn items_of(&self, array: u32) -> impl Iterator<Item = u32> {
        self.document.items(array)
    }

    /// Calls with the key and the value's node of each member. Keys without escapes come as they
    /// stand in the text, with their quotes.
    pub(super) fn each_member<E>(
        &self,
        object: u32,
        mut each: impl FnMut(Written<'_>, u32) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.document.node(object).is_plain() {
            return self
                .document
                .members(object)
                .try_for_each(|(key, value)| each(self.written(key), value));
        }
        self.document
            .distinct_members(object)
            .into_iter()
            .try_for_each(|(key, value)| each(Written::String(key), value))
    }
}
