//! References: read, written to the output, and set.

use smallvec::SmallVec;

use super::{Interrupt, Outcome, Renderer, scope};
use crate::methods;
use crate::syntax::ast::{Accessor, Expression, Reference, Set, Symbol};
use crate::util;
use crate::value::{BlockReference, Map, Number, Value, reaches};

impl<'t> Renderer<'t> {
    /// A reference as a statement.
    pub(super) fn render_reference(&mut self, reference: &'t Reference) -> Outcome<'t, ()> {
        let value = self.reference(reference)?;
        if reference.escaped {
            return self.render_escaped(reference, value.is_null());
        }
        if reference.prefix.is_empty() {
            return self.write(&value);
        }
        match &value {
            // Velocity writes the backslashes of a null reference twice.
            Value::Null => self.push(backslashes(&reference.prefix))?,
            Value::Block(block) => {
                self.render_block_reference(block)?;
                return Ok(());
            }
            _ => {}
        }
        self.push(&reference.prefix)?;
        self.write(&value)
    }

    /// `\$x` keeps its backslash if `$x` is null. A macro's parameter shows as the argument.
    fn render_escaped(&mut self, reference: &'t Reference, is_null: bool) -> Outcome<'t, ()> {
        self.push(backslashes(&reference.prefix))?;
        if is_null {
            self.push("\\")?;
        }
        let literal = match reference.literal.strip_prefix('$') {
            Some(name) if reference.accessors.is_empty() && !name.starts_with(['!', '{']) => {
                self.variables.argument_literal(reference.root)
            }
            _ => None,
        };
        Ok(self.push(literal.unwrap_or(&reference.literal))?)
    }

    /// Renders a `#define` block where its reference stands. False: it runs within itself as
    /// often as it may, which makes the reference null.
    pub(super) fn render_block_reference(
        &mut self,
        reference: &BlockReference<'t>,
    ) -> Outcome<'t, bool> {
        let same = |block: &&&_| std::ptr::eq(**block, reference.block);
        if self.running.iter().filter(same).count() >= reference.max_depth {
            return Ok(false);
        }
        self.running.push(reference.block);
        let outcome = self.called(|renderer| renderer.block(reference.block));
        self.running.pop();
        outcome.map(|()| true)
    }

    pub(super) fn reference(&mut self, reference: &'t Reference) -> Outcome<'t, Value<'t>> {
        self.location = reference.location;
        if reference.root == Symbol::CONTEXT || reference.root == Symbol::STAGE_VARIABLES {
            return self.builtin_reference(reference.root, &reference.accessors);
        }
        let value = self.variable(reference.root)?;
        self.follow(value, &reference.accessors)
    }

    /// What accessors lead to. Null ends the way.
    pub(super) fn follow(
        &mut self,
        mut value: Value<'t>,
        accessors: &'t [Accessor],
    ) -> Outcome<'t, Value<'t>> {
        for accessor in accessors {
            if value.is_null() {
                break;
            }
            self.budget.steps(1)?;
            value = match accessor {
                Accessor::Property(name, _) => self.property(&value, name),
                Accessor::Method(name, arguments, location) => {
                    let mut values = SmallVec::<[Value<'t>; 2]>::new();
                    for argument in arguments {
                        values.push(self.value(argument)?);
                    }
                    self.location = *location;
                    self.call(&value, name, &values)?
                }
                Accessor::Index(index, location) => {
                    let index = self.value(index)?;
                    self.location = *location;
                    self.indexed(&value, index)?
                }
            };
        }
        Ok(value)
    }

    fn property(&mut self, receiver: &Value<'t>, name: &str) -> Value<'t> {
        match receiver {
            Value::Input => self.input.property(name),
            Value::Scope(scope) => scope::property(scope, name),
            Value::Util | Value::Block(_) => Value::Null,
            other => methods::property(other, name).unwrap_or(Value::Null),
        }
    }

    /// `receiver.name(arguments)`; null if there is no such method.
    fn call(
        &mut self,
        receiver: &Value<'t>,
        name: &str,
        arguments: &[Value<'t>],
    ) -> Outcome<'t, Value<'t>> {
        let result = match receiver {
            Value::Input => self.input.call(name, arguments, &mut self.budget)?,
            Value::Util => util::call(name, arguments, &mut self.budget)?,
            Value::Scope(scope) => scope::call(scope, name, arguments, &mut self.budget)?,
            Value::Block(_) => None,
            Value::Map(map) => {
                if let ("put", [key, value]) = (name, arguments) {
                    self.note_write(map, key, value)?;
                }
                methods::call(receiver, name, arguments, &mut self.budget)?
            }
            other => methods::call(other, name, arguments, &mut self.budget)?,
        };
        Ok(result.unwrap_or(Value::Null))
    }

    /// `receiver[index]` is `receiver.get(index)`.
    fn indexed(&mut self, receiver: &Value<'t>, index: Value<'t>) -> Outcome<'t, Value<'t>> {
        let index = counted_from_the_end(receiver, index)?;
        if let (Value::List(list), Value::Number(Number::Integer(index))) = (receiver, &index)
            && !list.kind.is_view()
            && let Some(item) = usize::try_from(*index)
                .ok()
                .and_then(|index| list.items.borrow().get(index).cloned())
        {
            return Ok(item);
        }
        self.call(receiver, "get", &[index])
    }

    pub(super) fn set(&mut self, set: &'t Set) -> Outcome<'t, ()> {
        self.location = set.target.location;
        let value = self.value(&set.value)?;
        self.location = set.target.location;
        let Some((last, way)) = set.target.accessors.split_last() else {
            self.set_or_remove(set.target.root, value);
            return Ok(());
        };
        let receiver = match set.target.root {
            Symbol::CONTEXT if self.variables.is_builtin(Symbol::CONTEXT) => {
                self.context_to_write(way)?
            }
            Symbol::CONTEXT | Symbol::STAGE_VARIABLES => {
                self.builtin_reference(set.target.root, way)?
            }
            root => {
                let root = self.variable(root)?;
                self.follow(root, way)?
            }
        };
        if receiver.is_null() {
            return Ok(());
        }
        match last {
            Accessor::Property(name, location) | Accessor::Method(name, _, location) => {
                self.location = *location;
                self.set_property(&receiver, Value::from(&**name), value)
            }
            Accessor::Index(index, location) => {
                let index = self.value(index)?;
                self.location = *location;
                self.set_index(&receiver, index, value)
            }
        }
    }

    /// Only maps have properties that can be set; for anything else nothing happens.
    fn set_property(
        &mut self,
        receiver: &Value<'t>,
        name: Value<'t>,
        value: Value<'t>,
    ) -> Outcome<'t, ()> {
        match receiver {
            Value::Map(map) => self.put(map, &name, value),
            Value::Scope(scope) => {
                self.refuse_circle(&value, receiver)?;
                let entries = scope::entries(scope);
                self.put(&entries, &name, value)
            }
            _ => Ok(()),
        }
    }

    fn set_index(
        &mut self,
        receiver: &Value<'t>,
        index: Value<'t>,
        value: Value<'t>,
    ) -> Outcome<'t, ()> {
        let index = counted_from_the_end(receiver, index)?;
        match receiver {
            Value::Map(_) | Value::Scope(_) => self.set_property(receiver, index, value),
            Value::List(_) => self.call(receiver, "set", &[index, value]).map(|_| ()),
            _ => Ok(()),
        }
    }

    fn put(&mut self, map: &Map<'t>, key: &Value<'t>, value: Value<'t>) -> Outcome<'t, ()> {
        self.note_write(map, key, &value)?;
        self.refuse_circle(&value, &Value::Map(map.clone()))?;
        self.budget.allocate(2 * size_of::<Value<'_>>())?;
        let key = key.to_key(&mut self.budget)?;
        map.entries.borrow_mut().insert(key, value);
        Ok(())
    }

    /// A map within itself would never be freed.
    pub(super) fn refuse_circle(
        &mut self,
        value: &Value<'t>,
        container: &Value<'t>,
    ) -> Outcome<'t, ()> {
        let is_container =
            matches!(value, Value::List(_) | Value::Map(_) | Value::Entry(_) | Value::Scope(_));
        if is_container && reaches(value, container, &mut self.budget)? {
            return Err(Interrupt::Thrown("a list or map can't be put into itself".into()));
        }
        Ok(())
    }

    /// An index or a method's argument that is a text without more ado: part of a path below
    /// `$context` or `$stageVariables`.
    pub(super) fn plain_key(
        &mut self,
        expression: &'t Expression,
    ) -> Outcome<'t, Option<Value<'t>>> {
        Ok(match expression {
            Expression::String(text) => Some(Value::from(&**text)),
            Expression::Reference(reference) if reference.accessors.is_empty() => {
                Some(self.variable(reference.root)?)
            }
            _ => None,
        })
    }
}

/// The backslashes that a prefix starts with.
fn backslashes(prefix: &str) -> &str {
    let rest = prefix.trim_start_matches('\\');
    &prefix[..prefix.len() - rest.len()]
}

/// A negative index counts from the end, in whatever has a size.
fn counted_from_the_end<'t>(receiver: &Value<'t>, index: Value<'t>) -> Outcome<'t, Value<'t>> {
    let Value::Number(Number::Integer(negative @ ..0)) = index else { return Ok(index) };
    let size = match receiver {
        Value::List(list) => list.items.borrow().len(),
        Value::Map(map) => map.entries.borrow().len(),
        Value::Scope(scope) => scope::entries(scope).entries.borrow().len(),
        _ => {
            let message = format!("a value without size() has no index {negative}");
            return Err(Interrupt::Thrown(message.into()));
        }
    };
    let size = i32::try_from(size).unwrap_or(i32::MAX);
    Ok(size.saturating_add(negative).into())
}
