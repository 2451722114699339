//! Lists, and Java arrays as Velocity wraps them.

use std::cmp::Ordering;

use super::number::compare_doubles;
use super::utf16::{self, int};
use super::{MethodError, Outcome, charge_entry, null_pointer, thrown, void};
use crate::limits::Budget;
use crate::value::{List, ListKind, Map, Number, Value, java_equals};

pub(super) fn call<'t>(
    list: &List<'t>,
    name: &str,
    arguments: &[Value<'t>],
    budget: &mut Budget,
) -> Outcome<'t> {
    if let Some(value) = read(list, name, arguments, budget)? {
        return Ok(Some(value));
    }
    if list.kind.is_view() {
        return change_view(list, name, arguments, budget);
    }
    // An array keeps its length.
    if list.kind == ListKind::Array && name != "set" {
        return match name {
            "add" | "addAll" | "remove" | "clear" => thrown("UnsupportedOperationException", name),
            _ => Ok(None),
        };
    }
    change(list, name, arguments, budget)
}

/// What changes a map's keys, values or entries. Java changes the map; here that is refused.
fn change_view<'t>(
    list: &List<'t>,
    name: &str,
    arguments: &[Value<'t>],
    budget: &mut Budget,
) -> Outcome<'t> {
    let is_empty = list.items.is_empty();
    let changes = match (name, arguments) {
        ("add", [_]) => true,
        ("addAll", [other]) => {
            let Some(added) = collection(other)? else { return Ok(None) };
            !added.is_empty()
        }
        ("clear", []) if is_empty => return Ok(Some(void())),
        ("clear", []) => true,
        ("remove", [item]) => position(list, item, false, budget)?.is_some(),
        ("removeAll" | "retainAll", [other]) => {
            let copy = List::new(ListKind::Java, list.items.borrow().to_vec());
            let changed = keep(&copy, other, name == "retainAll", budget)?;
            let Some(Value::Boolean(changed)) = changed else { return Ok(None) };
            changed
        }
        _ => return Ok(None),
    };
    match changes {
        true => thrown("UnsupportedOperationException", name),
        false => Ok(Some(false.into())),
    }
}

fn read<'t>(
    list: &List<'t>,
    name: &str,
    arguments: &[Value<'t>],
    budget: &mut Budget,
) -> Outcome<'t> {
    let items = || list.items.borrow();
    let indexed = !list.kind.is_view();
    Ok(Some(match (name, arguments) {
        ("size", []) => int(list.len()).into(),
        ("count" | "length", []) if list.kind == ListKind::Json => int(list.len()).into(),
        ("isEmpty", []) => list.items.is_empty().into(),
        ("get", [Value::Number(Number::Integer(index))]) if indexed => {
            match usize::try_from(*index).ok().and_then(|index| list.get(index)) {
                Some(item) => item,
                None => return out_of_bounds(*index, list.len()),
            }
        }
        ("contains", [item]) => position(list, item, false, budget)?.is_some().into(),
        ("indexOf", [item]) if indexed => {
            position(list, item, false, budget)?.map_or(-1, int).into()
        }
        ("lastIndexOf", [item]) if indexed => {
            position(list, item, true, budget)?.map_or(-1, int).into()
        }
        ("containsAll", [other]) => {
            let Some(wanted) = collection(other)? else { return Ok(None) };
            for item in &wanted {
                if position(list, item, false, budget)?.is_none() {
                    return Ok(Some(false.into()));
                }
            }
            true.into()
        }
        ("listIterator", []) if !indexed => return Ok(None),
        ("iterator" | "listIterator" | "toArray", []) => {
            let kind = if name == "toArray" { ListKind::Array } else { ListKind::Java };
            copy(kind, &items(), budget)?
        }
        ("clone", []) if matches!(list.kind, ListKind::Json | ListKind::Java) => {
            copy(list.kind, &items(), budget)?
        }
        ("subList", [Value::Number(Number::Integer(from)), Value::Number(Number::Integer(to))])
            if indexed =>
        {
            sub_list(list, *from, *to, budget)?
        }
        _ => return Ok(None),
    }))
}

fn change<'t>(
    list: &List<'t>,
    name: &str,
    arguments: &[Value<'t>],
    budget: &mut Budget,
) -> Outcome<'t> {
    Ok(Some(match (name, arguments) {
        ("add", [item]) => {
            charge_entry(&Value::List(list.clone()), item, budget)?;
            list.items.borrow_mut().push(item.clone());
            true.into()
        }
        ("add", [Value::Number(Number::Integer(index)), item]) => {
            charge_entry(&Value::List(list.clone()), item, budget)?;
            let place = insertion(list, *index, budget)?;
            list.items.borrow_mut().insert(place, item.clone());
            void()
        }
        ("set", [Value::Number(Number::Integer(index)), item]) => {
            charge_entry(&Value::List(list.clone()), item, budget)?;
            let mut items = list.items.borrow_mut();
            let length = items.len();
            match usize::try_from(*index).ok().and_then(|index| items.get_mut(index)) {
                Some(old) => std::mem::replace(old, item.clone()),
                None => return out_of_bounds(*index, length),
            }
        }
        ("addAll", [other]) => {
            let place = list.items.borrow().len();
            return add_all(list, place, other, budget);
        }
        ("addAll", [Value::Number(Number::Integer(index)), other]) => {
            let place = insertion(list, *index, budget)?;
            return add_all(list, place, other, budget);
        }
        ("remove", [Value::Number(Number::Integer(index))]) => {
            let mut items = list.items.borrow_mut();
            budget.steps(items.len() as u64 / 64)?;
            match usize::try_from(*index).ok().filter(|index| *index < items.len()) {
                Some(index) => items.remove(index),
                None => return out_of_bounds(*index, items.len()),
            }
        }
        ("remove", [item]) => {
            let found = position(list, item, false, budget)?;
            if let Some(index) = found {
                list.items.borrow_mut().remove(index);
            }
            found.is_some().into()
        }
        ("removeAll", [other]) => return keep(list, other, false, budget),
        ("retainAll", [other]) => return keep(list, other, true, budget),
        ("sort", [Value::Null]) => {
            sort(list, budget)?;
            void()
        }
        ("trimToSize", []) | ("ensureCapacity", [Value::Number(Number::Integer(_))]) => void(),
        ("clear", []) => {
            list.items.borrow_mut().clear();
            void()
        }
        _ => return Ok(None),
    }))
}

fn out_of_bounds<T>(index: i32, length: usize) -> Result<T, MethodError> {
    thrown(
        "IndexOutOfBoundsException",
        format_args!("Index {index} out of bounds for length {length}"),
    )
}

/// Where an item equal to this one is.
fn position<'t>(
    list: &List<'t>,
    item: &Value<'t>,
    last: bool,
    budget: &mut Budget,
) -> Result<Option<usize>, MethodError> {
    let items = list.items.borrow();
    let mut equal = |index: usize| match items.get(index) {
        Some(own) => java_equals(item, own, budget),
        None => Ok(false),
    };
    for step in 0..items.len() {
        let index = if last { items.len() - 1 - step } else { step };
        if equal(index)? {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

/// The items of a collection argument. `None`: it is none, and Java has no such method.
pub(super) fn collection<'t>(value: &Value<'t>) -> Result<Option<Vec<Value<'t>>>, MethodError> {
    match value {
        Value::List(list) if list.kind != ListKind::Array => Ok(Some(list.items.borrow().to_vec())),
        Value::Null => null_pointer(),
        _ => Ok(None),
    }
}

/// A new list of these items.
pub(super) fn copy<'t>(
    kind: ListKind,
    items: &[Value<'t>],
    budget: &mut Budget,
) -> Result<Value<'t>, MethodError> {
    budget.allocate(size_of_val(items))?;
    Ok(Value::list(kind, items.to_vec()))
}

/// A copy, where Java gives a view.
fn sub_list<'t>(
    list: &List<'t>,
    from: i32,
    to: i32,
    budget: &mut Budget,
) -> Result<Value<'t>, MethodError> {
    let items = list.items.borrow();
    let Ok(start) = usize::try_from(from) else {
        return thrown("IndexOutOfBoundsException", format_args!("fromIndex = {from}"));
    };
    let end = match usize::try_from(to) {
        Ok(end) if end > items.len() => {
            return thrown("IndexOutOfBoundsException", format_args!("toIndex = {to}"));
        }
        Ok(end) if start <= end => end,
        _ => {
            let message = format!("fromIndex({from}) > toIndex({to})");
            return thrown("IllegalArgumentException", message);
        }
    };
    let kind = if list.kind == ListKind::Json { ListKind::Json } else { ListKind::Java };
    copy(kind, items.get(start..end).unwrap_or(&[]), budget)
}

/// Where to insert; charges for moving what follows.
fn insertion(list: &List<'_>, index: i32, budget: &mut Budget) -> Result<usize, MethodError> {
    let length = list.items.borrow().len();
    budget.steps(length as u64 / 64)?;
    match usize::try_from(index).ok().filter(|index| *index <= length) {
        Some(index) => Ok(index),
        None => {
            let message = format!("Index: {index}, Size: {length}");
            thrown("IndexOutOfBoundsException", message)
        }
    }
}

fn add_all<'t>(
    list: &List<'t>,
    place: usize,
    other: &Value<'t>,
    budget: &mut Budget,
) -> Outcome<'t> {
    let Some(added) = collection(other)? else { return Ok(None) };
    let container = Value::List(list.clone());
    for item in &added {
        charge_entry(&container, item, budget)?;
    }
    let changed = !added.is_empty();
    list.items.borrow_mut().splice(place..place, added);
    Ok(Some(changed.into()))
}

/// Keeps what the other collection has, or has not.
fn keep<'t>(list: &List<'t>, other: &Value<'t>, had: bool, budget: &mut Budget) -> Outcome<'t> {
    let Some(others) = collection(other)? else { return Ok(None) };
    let others = List::new(ListKind::Java, others);
    let items = list.items.borrow().to_vec();
    let before = items.len();
    let mut kept = Vec::new();
    for item in items {
        if position(&others, &item, false, budget)?.is_some() == had {
            kept.push(item);
        }
    }
    let changed = kept.len() != before;
    *list.items.borrow_mut() = kept;
    Ok(Some(changed.into()))
}

/// By the items' natural order, which all must share.
fn sort(list: &List<'_>, budget: &mut Budget) -> Result<(), MethodError> {
    let mut items = list.items.borrow().to_vec();
    budget.steps(items.len() as u64)?;
    let mut refused = false;
    items.sort_by(|a, b| {
        natural_order(a, b).unwrap_or_else(|| {
            refused = true;
            Ordering::Equal
        })
    });
    if refused {
        return thrown("ClassCastException", "the list's items can't be compared");
    }
    *list.items.borrow_mut() = items;
    Ok(())
}

/// `None`: of different classes, or none that has an order.
fn natural_order(a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => {
            Some(utf16::compare(a.as_str(), b.as_str()).cmp(&0))
        }
        (Value::Boolean(a), Value::Boolean(b)) => Some(a.cmp(b)),
        (Value::Character(a), Value::Character(b)) => Some(a.cmp(b)),
        (Value::Number(Number::Double(a)), Value::Number(Number::Double(b))) => {
            Some(compare_doubles(*a, *b).cmp(&0))
        }
        (Value::Number(a), Value::Number(b))
            if std::mem::discriminant(a) == std::mem::discriminant(b) =>
        {
            a.compare(b)
        }
        _ => None,
    }
}

/// A map's values.
pub(super) fn of_values<'t>(map: &Map<'t>, budget: &mut Budget) -> Result<Value<'t>, MethodError> {
    let values: Vec<_> = map.entries.borrow().values().cloned().collect();
    budget.allocate(size_of_val(values.as_slice()))?;
    Ok(Value::list(ListKind::Collection, values))
}
