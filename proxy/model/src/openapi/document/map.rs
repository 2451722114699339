//! A map in the document's order, small in memory.
//!
//! A definition is mostly maps of a few keys, which are compared one by one faster than hashed;
//! only a large map carries an index.

use std::borrow::Cow;
use std::collections::HashMap;

use super::Node;

/// Keys up to which a map is searched one by one.
const SMALL: usize = 12;

type Entry<'a> = (Cow<'a, str>, Node<'a>);

#[derive(Clone, Debug, Default)]
pub(in crate::openapi) struct Map<'a> {
    entries: Vec<Entry<'a>>,
    /// Key → position, once there are more than [`SMALL`] entries.
    #[expect(
        clippy::box_collection,
        reason = "8 bytes in each of the many maps without one, not 48"
    )]
    index: Option<Box<HashMap<Cow<'a, str>, usize>>>,
}

impl<'a> Map<'a> {
    pub(in crate::openapi) fn with(key: Cow<'a, str>, node: Node<'a>) -> Self {
        Self { entries: vec![(key, node)], index: None }
    }

    /// Adds a key; gives the node back with the one that is there already, if one is.
    pub(in crate::openapi) fn insert(
        &mut self,
        key: Cow<'a, str>,
        node: Node<'a>,
    ) -> Result<(), (Node<'a>, &mut Entry<'a>)> {
        if let Some(position) = self.position(&key) {
            return Err((node, &mut self.entries[position]));
        }
        if let Some(index) = &mut self.index {
            index.insert(key.clone(), self.entries.len());
        }
        self.entries.push((key, node));
        if self.entries.len() == SMALL + 1 {
            self.build_index();
        }
        Ok(())
    }

    pub(in crate::openapi) fn get(&self, key: &str) -> Option<&Node<'a>> {
        Some(&self.entries[self.position(key)?].1)
    }

    pub(in crate::openapi) fn first(&self) -> Option<&Entry<'a>> {
        self.entries.first()
    }

    pub(in crate::openapi) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(in crate::openapi) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(in crate::openapi) fn keys(&self) -> impl Iterator<Item = &Cow<'a, str>> {
        self.entries.iter().map(|(key, _)| key)
    }

    pub(in crate::openapi) fn values(&self) -> impl Iterator<Item = &Node<'a>> {
        self.entries.iter().map(|(_, node)| node)
    }

    pub(in crate::openapi) fn values_mut(&mut self) -> impl Iterator<Item = &mut Node<'a>> {
        self.entries.iter_mut().map(|(_, node)| node)
    }

    pub(in crate::openapi) fn into_entries(self) -> Vec<Entry<'a>> {
        self.entries
    }

    /// Takes out the last entry.
    pub(in crate::openapi) fn pop(&mut self) -> Option<Entry<'a>> {
        let entry = self.entries.pop();
        self.index = None;
        self.build_index();
        entry
    }

    pub(in crate::openapi) fn remove(&mut self, key: &str) -> Option<Node<'a>> {
        let (_, node) = self.entries.remove(self.position(key)?);
        self.build_index();
        Some(node)
    }

    pub(in crate::openapi) fn retain(&mut self, mut keep: impl FnMut(&str, &mut Node<'a>) -> bool) {
        let before = self.entries.len();
        self.entries.retain_mut(|(key, node)| keep(key, node));
        if self.entries.len() != before {
            self.build_index();
        }
    }

    fn position(&self, key: &str) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(key).copied(),
            None => self.entries.iter().position(|(known, _)| known == key),
        }
    }

    fn build_index(&mut self) {
        let keys = self.entries.iter().map(|(key, _)| key.clone());
        self.index = (self.entries.len() > SMALL)
            .then(|| Box::new(keys.enumerate().map(|(at, key)| (key, at)).collect()));
    }
}

impl<'m, 'a> IntoIterator for &'m Map<'a> {
    type Item = (&'m Cow<'a, str>, &'m Node<'a>);
    type IntoIter = std::iter::Map<
        std::slice::Iter<'m, Entry<'a>>,
        fn(&'m Entry<'a>) -> (&'m Cow<'a, str>, &'m Node<'a>),
    >;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.iter().map(|(key, node)| (key, node))
    }
}
