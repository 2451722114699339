//! Java's `equals`, and what keeps collections from containing themselves.

use std::rc::Rc;

use super::{List, ListKind, Map, Number, Value};
use crate::limits::{Budget, LimitExceeded, MAX_JSON_NESTING};

/// `a.equals(b)`: `Integer` 1 is not `Long` 1, lists and maps compare by their contents.
pub(crate) fn java_equals<'t>(
    a: &Value<'t>,
    b: &Value<'t>,
    budget: &mut Budget,
) -> Result<bool, LimitExceeded> {
    equal_within(a, b, budget, 0)
}

fn equal_within<'t>(
    a: &Value<'t>,
    b: &Value<'t>,
    budget: &mut Budget,
    depth: usize,
) -> Result<bool, LimitExceeded> {
    if depth > MAX_JSON_NESTING {
        return Err(LimitExceeded::ValueNesting);
    }
    budget.steps(1)?;
    Ok(match (a, b) {
        (Value::Null, Value::Null) => true,
        (Value::Boolean(a), Value::Boolean(b)) => a == b,
        (Value::String(a), Value::String(b)) => a == b,
        (Value::Character(a), Value::Character(b)) => a == b,
        (Value::Number(a), Value::Number(b)) => numbers_equal(a, b),
        (Value::List(a), Value::List(b)) => lists_equal(a, b, budget, depth)?,
        (Value::Map(a), Value::Map(b)) => maps_equal(a, b, budget, depth)?,
        (Value::Entry(a), Value::Entry(b)) => {
            equal_within(&a.0, &b.0, budget, depth + 1)?
                && equal_within(&a.1, &b.1, budget, depth + 1)?
        }
        (Value::Input, Value::Input) | (Value::Util, Value::Util) => true,
        (Value::Scope(a), Value::Scope(b)) => Rc::ptr_eq(a, b),
        (Value::Block(a), Value::Block(b)) => std::ptr::eq(a.block, b.block),
        _ => false,
    })
}

fn numbers_equal(a: &Number, b: &Number) -> bool {
    match (a, b) {
        (Number::Integer(a), Number::Integer(b)) => a == b,
        (Number::Long(a), Number::Long(b)) => a == b,
        (Number::BigInteger(a), Number::BigInteger(b)) => a == b,
        // By bits: NaN is itself, 0.0 is not -0.0.
        (Number::Double(a), Number::Double(b)) => {
            a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
        }
        // 1.0 is not 1.00.
        (Number::BigDecimal(a), Number::BigDecimal(b)) => {
            a.fractional_digit_count() == b.fractional_digit_count()
                && a.as_bigint_and_exponent().0 == b.as_bigint_and_exponent().0
        }
        _ => false,
    }
}

fn lists_equal<'t>(
    a: &List<'t>,
    b: &List<'t>,
    budget: &mut Budget,
    depth: usize,
) -> Result<bool, LimitExceeded> {
    if Rc::ptr_eq(&a.items, &b.items) {
        return Ok(true);
    }
    let kinds = (a.kind, b.kind);
    let (a, b) = (a.items.borrow(), b.items.borrow());
    if a.len() != b.len() {
        return Ok(false);
    }
    match kinds {
        (ListKind::Set, ListKind::Set) => return sets_equal(&a, &b, budget, depth),
        (ListKind::Json | ListKind::Java, ListKind::Json | ListKind::Java) => {}
        // Java compares arrays and a map's values as objects.
        _ => return Ok(false),
    }
    for (a, b) in a.iter().zip(b.iter()) {
        if !equal_within(a, b, budget, depth + 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Of equal length, whatever their order.
fn sets_equal<'t>(
    a: &[Value<'t>],
    b: &[Value<'t>],
    budget: &mut Budget,
    depth: usize,
) -> Result<bool, LimitExceeded> {
    'items: for item in a {
        for other in b {
            if equal_within(item, other, budget, depth + 1)? {
                continue 'items;
            }
        }
        return Ok(false);
    }
    Ok(true)
}

fn maps_equal<'t>(
    a: &Map<'t>,
    b: &Map<'t>,
    budget: &mut Budget,
    depth: usize,
) -> Result<bool, LimitExceeded> {
    if Rc::ptr_eq(&a.entries, &b.entries) {
        return Ok(true);
    }
    let (a, b) = (a.entries.borrow(), b.entries.borrow());
    if a.len() != b.len() {
        return Ok(false);
    }
    for (key, a) in a.iter() {
        match b.get(key) {
            Some(b) if equal_within(a, b, budget, depth + 1)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// Whether `container`, a list or map, is `value` or lies anywhere within it. What is put into a
/// list or map must not reach it: reference counting would never free the circle.
pub(crate) fn reaches<'t>(
    value: &Value<'t>,
    container: &Value<'t>,
    budget: &mut Budget,
) -> Result<bool, LimitExceeded> {
    reaches_within(value, container, budget, 0)
}

fn reaches_within<'t>(
    value: &Value<'t>,
    container: &Value<'t>,
    budget: &mut Budget,
    depth: usize,
) -> Result<bool, LimitExceeded> {
    if depth > MAX_JSON_NESTING {
        return Err(LimitExceeded::ValueNesting);
    }
    match (value, container) {
        (Value::List(a), Value::List(b)) if Rc::ptr_eq(&a.items, &b.items) => return Ok(true),
        (Value::Map(a), Value::Map(b)) if Rc::ptr_eq(&a.entries, &b.entries) => return Ok(true),
        _ => {}
    }
    let mut any = |value: &Value<'t>| match value {
        Value::List(_) | Value::Map(_) | Value::Entry(_) => {
            reaches_within(value, container, budget, depth + 1)
        }
        Value::Scope(_) => Ok(scope_reaches(value, container, budget, depth + 1)?),
        _ => Ok(false),
    };
    match value {
        Value::List(list) => {
            for item in list.items.borrow().iter() {
                if any(item)? {
                    return Ok(true);
                }
            }
            budget.steps(1 + list.items.borrow().len() as u64 / 8)?;
        }
        Value::Map(map) => {
            for item in map.entries.borrow().values() {
                if any(item)? {
                    return Ok(true);
                }
            }
            budget.steps(1 + map.entries.borrow().len() as u64 / 8)?;
        }
        Value::Entry(entry) => return Ok(any(&entry.0)? || any(&entry.1)?),
        Value::Scope(_) => return scope_reaches(value, container, budget, depth),
        _ => {}
    }
    Ok(false)
}

/// A scope holds what its name meant outside, and what the template put there.
fn scope_reaches<'t>(
    scope: &Value<'t>,
    container: &Value<'t>,
    budget: &mut Budget,
    depth: usize,
) -> Result<bool, LimitExceeded> {
    let Value::Scope(scope) = scope else { return Ok(false) };
    let state = scope.state.borrow();
    if let Some(entries) = &state.entries
        && reaches_within(&Value::Map(entries.clone()), container, budget, depth + 1)?
    {
        return Ok(true);
    }
    match &state.parent {
        Some(parent) => reaches_within(parent, container, budget, depth + 1),
        None => Ok(false),
    }
}
