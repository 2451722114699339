//! What a list or map holds: values, or a part of a JSON text until its values are asked for.
//!
//! A child that was handed out before is the same child after its siblings are made, so that a
//! change of it is seen by every name it has.

use std::cell::{OnceCell, Ref, RefCell, RefMut};
use std::rc::Rc;

use super::{Entries, Map, Value};
use crate::json::Part;

/// Items of an array that are looked for without making all.
const MAX_SEARCHED_ITEMS: usize = 32;

/// The items of a list.
#[derive(Debug)]
pub(crate) struct ListCell<'t> {
    unmade: Option<Unmade<'t>>,
    made: OnceCell<RefCell<Vec<Value<'t>>>>,
}

/// The entries of a map.
#[derive(Debug)]
pub(crate) struct MapCell<'t> {
    unmade: Option<Unmade<'t>>,
    /// In a place of its own: most maps of a text are never made.
    made: OnceCell<Box<RefCell<Entries<'t>>>>,
}

/// An array or object of a JSON text.
#[derive(Debug)]
struct Unmade<'t> {
    part: Part<'t>,
    /// Those made by themselves that are shared or take memory, by their nodes.
    children: RefCell<Vec<(u32, Value<'t>)>>,
}

impl<'t> Unmade<'t> {
    fn new(part: Part<'t>) -> Self {
        Self { part, children: RefCell::default() }
    }

    fn child(&self, node: u32) -> Value<'t> {
        if let Some(value) = self.part.free_value(node) {
            return value;
        }
        let mut children = self.children.borrow_mut();
        if let Some((_, value)) = children.iter().find(|child| child.0 == node) {
            return value.clone();
        }
        if let Some(map) = self.child_reused(node, &mut children) {
            return Value::Map(map);
        }
        let value = self.part.value(node);
        children.push((node, value.clone()));
        value
    }

    /// An object in place of an earlier one that nobody has kept or looked into more than the
    /// text tells: another of that one's node would be the same. A loop's body that keeps none of
    /// its elements needs two in turns.
    fn child_reused(&self, node: u32, children: &mut [(u32, Value<'t>)]) -> Option<Map<'t>> {
        if !self.part.is_object(node) {
            return None;
        }
        for (its_node, value) in children.iter_mut().rev().take(2) {
            if let Value::Map(map) = value
                && let Some(part) = Rc::get_mut(&mut map.entries).and_then(MapCell::untouched)
            {
                part.move_to(node);
                *its_node = node;
                return Some(map.clone());
            }
        }
        None
    }

    /// Gives each child, those made before as they are.
    fn make(&self) -> impl FnMut(u32) -> Value<'t> {
        let children = self.children.take();
        move |node| match children.iter().find(|child| child.0 == node) {
            Some((_, value)) => value.clone(),
            None => self.part.value(node),
        }
    }
}

impl<'t> ListCell<'t> {
    pub(super) fn new(items: Vec<Value<'t>>) -> Self {
        Self { unmade: None, made: OnceCell::from(RefCell::new(items)) }
    }

    pub(super) fn of_json(part: Part<'t>) -> Self {
        Self { unmade: Some(Unmade::new(part)), made: OnceCell::new() }
    }

    pub(crate) fn borrow(&self) -> Ref<'_, Vec<Value<'t>>> {
        self.made().borrow()
    }

    pub(crate) fn borrow_mut(&self) -> RefMut<'_, Vec<Value<'t>>> {
        if let Some(unmade) = &self.unmade {
            unmade.part.note_change();
        }
        self.made().borrow_mut()
    }

    fn made(&self) -> &RefCell<Vec<Value<'t>>> {
        self.made.get_or_init(|| match &self.unmade {
            Some(unmade) => RefCell::new(unmade.part.make_items(unmade.make())),
            None => RefCell::default(),
        })
    }

    /// The part of a JSON text that is just what this list holds.
    pub(crate) fn unchanged(&self) -> Option<&Part<'t>> {
        self.unmade.as_ref().map(|unmade| &unmade.part).filter(|part| part.is_unchanged())
    }

    pub(crate) fn len(&self) -> usize {
        match (self.made.get(), &self.unmade) {
            (None, Some(unmade)) => unmade.part.count(),
            _ => self.borrow().len(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn get(&self, index: usize) -> Option<Value<'t>> {
        match (self.made.get(), &self.unmade) {
            (None, Some(unmade)) if index < MAX_SEARCHED_ITEMS => {
                unmade.part.item(index).map(|node| unmade.child(node))
            }
            _ => self.borrow().get(index).cloned(),
        }
    }

    /// Like [`Self::get`] for one index after the other, from 0. `place` is kept between calls.
    pub(crate) fn get_next(&self, index: usize, place: &mut u32) -> Option<Value<'t>> {
        match (self.made.get(), &self.unmade) {
            (None, Some(unmade)) if index < MAX_SEARCHED_ITEMS.min(unmade.part.count()) => {
                *place = match index {
                    0 => unmade.part.root() + 1,
                    _ => unmade.part.item_after(*place),
                };
                Some(unmade.child(*place))
            }
            _ => self.get(index),
        }
    }

    /// Whether any of what was made is so; not while it is borrowed.
    pub(super) fn any_made(&self, wanted: fn(&Value<'t>) -> bool) -> bool {
        let items = self.made.get().and_then(|made| made.try_borrow().ok());
        items.is_some_and(|items| items.iter().any(wanted)) || any_child(&self.unmade, wanted)
    }

    /// Takes what was made and is so; nothing while it is borrowed.
    pub(super) fn take_made(&self, wanted: fn(&Value<'t>) -> bool, taken: &mut Vec<Value<'t>>) {
        if let Some(made) = self.made.get()
            && let Ok(mut items) = made.try_borrow_mut()
            && items.iter().any(wanted)
        {
            taken.extend(items.drain(..).filter(wanted));
        }
        take_children(&self.unmade, wanted, taken);
    }
}

impl<'t> MapCell<'t> {
    pub(super) fn new(entries: Entries<'t>) -> Self {
        Self { unmade: None, made: OnceCell::from(Box::new(RefCell::new(entries))) }
    }

    pub(super) fn of_json(part: Part<'t>) -> Self {
        Self { unmade: Some(Unmade::new(part)), made: OnceCell::new() }
    }

    pub(crate) fn borrow(&self) -> Ref<'_, Entries<'t>> {
        self.made().borrow()
    }

    pub(crate) fn borrow_mut(&self) -> RefMut<'_, Entries<'t>> {
        if let Some(unmade) = &self.unmade {
            unmade.part.note_change();
        }
        self.made().borrow_mut()
    }

    pub(crate) fn take(&self) -> Entries<'t> {
        std::mem::take(&mut self.borrow_mut())
    }

    fn made(&self) -> &RefCell<Entries<'t>> {
        self.made.get_or_init(|| match &self.unmade {
            Some(unmade) => Box::new(RefCell::new(unmade.part.make_entries(unmade.make()))),
            None => Box::default(),
        })
    }

    /// The part of a JSON text that is just what this map holds.
    pub(crate) fn unchanged(&self) -> Option<&Part<'t>> {
        self.unmade.as_ref().map(|unmade| &unmade.part).filter(|part| part.is_unchanged())
    }

    pub(crate) fn len(&self) -> usize {
        match (self.made.get(), &self.unmade) {
            (None, Some(unmade)) if unmade.part.is_plain() => unmade.part.count(),
            _ => self.borrow().len(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn get(&self, key: &str) -> Option<Value<'t>> {
        match self.searched() {
            Some(unmade) => unmade.part.member(key).map(|node| unmade.child(node)),
            None => self.borrow().get(key).cloned(),
        }
    }

    /// Gives a string that was made; `None` if there is none of this key.
    #[inline]
    pub(crate) fn with_string<R>(&self, key: &str, give: impl FnOnce(&str) -> R) -> Option<R> {
        let entries = self.made.get()?.borrow();
        entries.get(key).and_then(Value::as_str).map(give)
    }

    /// What names lead to, one below the other, if the text tells that without a map being made.
    pub(crate) fn read<'n>(&self, names: impl Iterator<Item = &'n str>) -> Option<Value<'t>> {
        self.unchanged()?.read(names)
    }

    /// How what names lead to prints, if the text tells that without a value being made.
    #[inline]
    pub(crate) fn printed<'n>(&self, names: impl Iterator<Item = Option<&'n str>>) -> Option<&str> {
        self.unchanged()?.printed(names)
    }

    pub(crate) fn contains_key(&self, key: &str) -> bool {
        match self.searched() {
            Some(unmade) => unmade.part.member(key).is_some(),
            None => self.borrow().contains_key(key),
        }
    }

    /// The part of a JSON text of which nothing was made yet.
    fn untouched(&mut self) -> Option<&mut Part<'t>> {
        let unmade = self.unmade.as_mut()?;
        let is_untouched = self.made.get().is_none() && unmade.children.get_mut().is_empty();
        is_untouched.then_some(&mut unmade.part)
    }

    /// The part of a JSON text to look into, if nothing was made yet and it is small.
    fn searched(&self) -> Option<&Unmade<'t>> {
        match (self.made.get(), &self.unmade) {
            (None, Some(unmade)) if unmade.part.is_searched() => Some(unmade),
            _ => None,
        }
    }

    /// Whether any of what was made is so; not while it is borrowed.
    pub(super) fn any_made(&self, wanted: fn(&Value<'t>) -> bool) -> bool {
        let entries = self.made.get().and_then(|made| made.try_borrow().ok());
        entries.is_some_and(|entries| entries.values().any(wanted))
            || any_child(&self.unmade, wanted)
    }

    /// Takes what was made and is so; nothing while it is borrowed.
    pub(super) fn take_made(&self, wanted: fn(&Value<'t>) -> bool, taken: &mut Vec<Value<'t>>) {
        if let Some(made) = self.made.get()
            && let Ok(mut entries) = made.try_borrow_mut()
            && entries.values().any(wanted)
        {
            taken.extend(entries.drain(..).map(|(_, value)| value).filter(wanted));
        }
        take_children(&self.unmade, wanted, taken);
    }
}

fn any_child<'t>(unmade: &Option<Unmade<'t>>, wanted: fn(&Value<'t>) -> bool) -> bool {
    let children = unmade.as_ref().and_then(|unmade| unmade.children.try_borrow().ok());
    children.is_some_and(|children| children.iter().any(|(_, value)| wanted(value)))
}

fn take_children<'t>(
    unmade: &Option<Unmade<'t>>,
    wanted: fn(&Value<'t>) -> bool,
    taken: &mut Vec<Value<'t>>,
) {
    if let Some(unmade) = unmade
        && let Ok(mut children) = unmade.children.try_borrow_mut()
        && children.iter().any(|(_, value)| wanted(value))
    {
        taken.extend(children.drain(..).map(|(_, value)| value).filter(wanted));
    }
}
