//! Maps and their entries.

use std::rc::Rc;

use super::list::of_values;
use super::utf16::int;
use super::{MethodError, Outcome, charge_entry, null_pointer, void};
use crate::limits::Budget;
use crate::value::{Key, ListKind, Map, Value, java_equals};

pub(super) fn call<'t>(
    map: &Map<'t>,
    name: &str,
    arguments: &[Value<'t>],
    budget: &mut Budget,
) -> Outcome<'t> {
    Ok(Some(match (name, arguments) {
        ("get", [key]) => find(map, key, budget)?.unwrap_or(Value::Null),
        ("getOrDefault", [key, other]) => find(map, key, budget)?.unwrap_or_else(|| other.clone()),
        ("containsKey", [key]) => find(map, key, budget)?.is_some().into(),
        ("containsValue", [value]) => contains_value(map, value, budget)?.into(),
        ("size", []) => int(map.len()).into(),
        ("isEmpty", []) => map.entries.is_empty().into(),
        ("keySet", []) => {
            let keys: Vec<Value<'t>> =
                map.entries.borrow().keys().cloned().map(Value::from).collect();
            budget.allocate(size_of_val(keys.as_slice()))?;
            Value::list(ListKind::Set, keys)
        }
        ("values", []) => of_values(map, budget)?,
        ("entrySet", []) => entry_set(map, budget)?,
        ("put", [key, value]) => put(map, key, value, budget)?,
        ("putIfAbsent", [key, value]) => match find(map, key, budget)? {
            None | Some(Value::Null) => put(map, key, value, budget)?,
            Some(present) => present,
        },
        ("replace", [key, value]) => match find(map, key, budget)? {
            Some(_) => put(map, key, value, budget)?,
            None => Value::Null,
        },
        ("replace", [key, old, value]) => {
            let found = holds(map, key, old, budget)?;
            if found {
                put(map, key, value, budget)?;
            }
            found.into()
        }
        ("putAll", [Value::Map(other)]) => {
            put_all(map, other, budget)?;
            void()
        }
        ("putAll", [Value::Null]) => return null_pointer(),
        ("remove", [key]) => remove(map, key, budget)?,
        ("remove", [key, value]) => {
            let found = holds(map, key, value, budget)?;
            if found {
                remove(map, key, budget)?;
            }
            found.into()
        }
        ("clear", []) => {
            map.entries.borrow_mut().clear();
            void()
        }
        ("clone", []) => {
            let entries = map.entries.borrow();
            budget.allocate(entries.len() * ENTRY_BYTES)?;
            Value::map(map.kind, entries.clone())
        }
        _ => return Ok(None),
    }))
}

/// What an entry takes, about.
const ENTRY_BYTES: usize = 2 * size_of::<Value<'_>>();

fn find<'t>(
    map: &Map<'t>,
    key: &Value<'t>,
    budget: &mut Budget,
) -> Result<Option<Value<'t>>, MethodError> {
    Ok(match key {
        Value::String(text) => map.get(text.as_str()),
        key => map.entries.borrow().get(&key.to_key(budget)?).cloned(),
    })
}

/// What was there before.
fn put<'t>(
    map: &Map<'t>,
    key: &Value<'t>,
    value: &Value<'t>,
    budget: &mut Budget,
) -> Result<Value<'t>, MethodError> {
    charge_entry(&Value::Map(map.clone()), value, budget)?;
    let key = key.to_key(budget)?;
    let before = map.entries.borrow_mut().insert(key, value.clone());
    Ok(before.unwrap_or(Value::Null))
}

fn put_all<'t>(map: &Map<'t>, other: &Map<'t>, budget: &mut Budget) -> Result<(), MethodError> {
    let container = Value::Map(map.clone());
    let added: Vec<(Key<'t>, Value<'t>)> =
        other.entries.borrow().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    for (_, value) in &added {
        charge_entry(&container, value, budget)?;
    }
    map.entries.borrow_mut().extend(added);
    Ok(())
}

fn remove<'t>(
    map: &Map<'t>,
    key: &Value<'t>,
    budget: &mut Budget,
) -> Result<Value<'t>, MethodError> {
    let key = key.to_key(budget)?;
    let mut entries = map.entries.borrow_mut();
    budget.steps(entries.len() as u64 / 64)?;
    Ok(entries.shift_remove(&key).unwrap_or(Value::Null))
}

/// Whether this key has this value.
fn holds<'t>(
    map: &Map<'t>,
    key: &Value<'t>,
    value: &Value<'t>,
    budget: &mut Budget,
) -> Result<bool, MethodError> {
    match find(map, key, budget)? {
        Some(own) => Ok(java_equals(value, &own, budget)?),
        None => Ok(false),
    }
}

fn contains_value<'t>(
    map: &Map<'t>,
    value: &Value<'t>,
    budget: &mut Budget,
) -> Result<bool, MethodError> {
    for own in map.entries.borrow().values() {
        if java_equals(value, own, budget)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Entries as they are now: `setValue` doesn't change the map.
fn entry_set<'t>(map: &Map<'t>, budget: &mut Budget) -> Result<Value<'t>, MethodError> {
    let entries = map.entries.borrow();
    budget.allocate(entries.len() * 2 * ENTRY_BYTES)?;
    let entries = entries
        .iter()
        .map(|(key, value)| Value::Entry(Rc::new((key.clone().into(), value.clone()))));
    Ok(Value::list(ListKind::Set, entries.collect()))
}

pub(super) fn call_entry<'t>(
    entry: &Rc<(Value<'t>, Value<'t>)>,
    name: &str,
    arguments: &[Value<'t>],
) -> Option<Value<'t>> {
    match (name, arguments) {
        ("getKey", []) => Some(entry.0.clone()),
        ("getValue", []) => Some(entry.1.clone()),
        _ => None,
    }
}
