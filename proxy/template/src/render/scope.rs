//! `$foreach`: where a loop is, and what the template puts there.

use std::rc::Rc;

use crate::limits::Budget;
use crate::methods::{self, MethodError, MethodName};
use crate::value::{Entries, Key, Map, MapKind, Scope, Value};

/// The template's own entries, as a map that can be written to.
pub(super) fn entries<'t>(scope: &Scope<'t>) -> Map<'t> {
    let new = || Map::new(MapKind::Java, Entries::default());
    scope.state.borrow_mut().entries.get_or_insert_with(new).clone()
}

/// A property that says yes or no.
pub(super) fn flag(scope: &Scope<'_>, name: &str) -> Option<bool> {
    let state = scope.state.borrow();
    match name {
        "hasNext" => Some(state.has_next),
        "first" => Some(state.index < 1),
        "last" => Some(!state.has_next),
        _ => None,
    }
}

pub(super) fn property<'t>(scope: &Rc<Scope<'t>>, name: &str) -> Value<'t> {
    if let Some(value) = flag(scope, name) {
        return value.into();
    }
    let state = scope.state.borrow();
    match name {
        "index" => state.index.into(),
        "count" => state.index.saturating_add(1).into(),
        "parent" => match &state.parent {
            Some(parent @ Value::Scope(_)) => parent.clone(),
            _ => Value::Null,
        },
        "topmost" => Value::Scope(outermost(scope)),
        "replaced" => match &outermost(scope).state.borrow().parent {
            Some(replaced) => replaced.clone(),
            None => Value::Null,
        },
        "info" => info(scope),
        _ => entry(scope, name),
    }
}

/// The template's own entry, of this loop or the nearest around it that has one.
fn entry<'t>(scope: &Rc<Scope<'t>>, name: &str) -> Value<'t> {
    let mut scope = scope.clone();
    loop {
        let found = scope.state.borrow().entries.as_ref().and_then(|entries| entries.get(name));
        if let Some(value) = found {
            return value;
        }
        match parent(&scope) {
            Some(parent) => scope = parent,
            None => return Value::Null,
        }
    }
}

fn parent<'t>(scope: &Scope<'t>) -> Option<Rc<Scope<'t>>> {
    match &scope.state.borrow().parent {
        Some(Value::Scope(parent)) => Some(parent.clone()),
        _ => None,
    }
}

fn outermost<'t>(scope: &Rc<Scope<'t>>) -> Rc<Scope<'t>> {
    let mut scope = scope.clone();
    while let Some(parent) = parent(&scope) {
        scope = parent;
    }
    scope
}

/// What `$foreach.info` tells of the directive.
fn info<'t>(scope: &Rc<Scope<'t>>) -> Value<'t> {
    let mut depth = 1i32;
    let mut outer = parent(scope);
    while let Some(scope) = outer {
        depth = depth.saturating_add(1);
        outer = parent(&scope);
    }
    let location = scope.state.borrow().location;
    let number = |number: u32| Value::from(i32::try_from(number).unwrap_or(i32::MAX));
    let entries = [
        ("name", Value::from("foreach")),
        ("type", Value::from("block")),
        ("depth", depth.into()),
        ("line", number(location.line)),
        ("column", number(location.column)),
    ];
    let entries = entries.map(|(key, value)| (Key::String(key.into()), value));
    Value::map(MapKind::Java, Entries::from_iter(entries))
}

/// `stop()` isn't public in Velocity: `$foreach.stop()` is null and stops nothing.
pub(super) fn call<'t>(
    scope: &Rc<Scope<'t>>,
    name: MethodName<'_>,
    arguments: &[Value<'t>],
    budget: &mut Budget,
) -> Result<Option<Value<'t>>, MethodError> {
    let getter = match (name.text, arguments) {
        ("getIndex", []) => "index",
        ("getCount", []) => "count",
        ("hasNext" | "getHasNext", []) => "hasNext",
        ("isFirst" | "getFirst", []) => "first",
        ("isLast" | "getLast", []) => "last",
        ("getParent", []) => "parent",
        ("getTopmost", []) => "topmost",
        ("getReplaced", []) => "replaced",
        ("getInfo", []) => "info",
        ("get", [Value::String(key)]) => return Ok(Some(entry(scope, key.as_str()))),
        ("put", [_, value])
            if crate::value::reaches(value, &Value::Scope(scope.clone()), budget)? =>
        {
            return Err(MethodError::thrown("$foreach can't be put into itself".to_owned()));
        }
        _ => return methods::call(&Value::Map(entries(scope)), name, arguments, budget),
    };
    Ok(Some(property(scope, getter)))
}
