//! Frees nested lists and maps in a loop.
//!
//! A template can nest values as deep as it has steps (`#set($a = [$a])`); dropping them one
//! within the other would overflow the stack.

use std::rc::Rc;

use super::{List, Map, Value};

impl Drop for List<'_> {
    fn drop(&mut self) {
        if Rc::strong_count(&self.items) == 1 {
            let mut pending = Vec::new();
            take_list(self, &mut pending);
            free(pending);
        }
    }
}

impl Drop for Map<'_> {
    fn drop(&mut self) {
        if Rc::strong_count(&self.entries) == 1 {
            let mut pending = Vec::new();
            take_map(self, &mut pending);
            free(pending);
        }
    }
}

fn free(mut pending: Vec<Value<'_>>) {
    while let Some(value) = pending.pop() {
        match value {
            Value::List(list) => take_list(&list, &mut pending),
            Value::Map(map) => take_map(&map, &mut pending),
            Value::Entry(entry) => {
                if let Ok((key, value)) = Rc::try_unwrap(entry) {
                    pending.extend([key, value].into_iter().filter(holds_values));
                }
            }
            Value::Scope(scope) => {
                if let Ok(scope) = Rc::try_unwrap(scope) {
                    let state = scope.state.into_inner();
                    pending.extend(state.parent.filter(holds_values));
                    pending.extend(state.entries.map(Value::Map));
                }
            }
            _ => {}
        }
    }
}

/// Moves what holds further lists and maps out of a list that nothing else holds.
fn take_list<'t>(list: &List<'t>, pending: &mut Vec<Value<'t>>) {
    if Rc::strong_count(&list.items) == 1 {
        list.items.take_made(is_nested, pending);
    }
}

fn take_map<'t>(map: &Map<'t>, pending: &mut Vec<Value<'t>>) {
    if Rc::strong_count(&map.entries) == 1 {
        map.entries.take_made(is_nested, pending);
    }
}

/// Whether dropping a value may drop values within values. Most lists and maps hold none. One
/// that is shared isn't looked into, because all that share it would do so.
fn is_nested(value: &Value<'_>) -> bool {
    match value {
        Value::List(list) => Rc::strong_count(&list.items) > 1 || list.items.any_made(holds_values),
        Value::Map(map) => Rc::strong_count(&map.entries) > 1 || map.entries.any_made(holds_values),
        Value::Entry(_) | Value::Scope(_) => true,
        _ => false,
    }
}

fn holds_values(value: &Value<'_>) -> bool {
    matches!(value, Value::List(_) | Value::Map(_) | Value::Entry(_) | Value::Scope(_))
}
