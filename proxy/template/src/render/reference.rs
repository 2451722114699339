//! References: read, written to the output, and set.

use super::{Interrupt, Outcome, Renderer, push_within, scope};
use crate::input::Input;
use crate::limits::{LimitExceeded, MAX_OUTPUT_BYTES};
use crate::methods::{self, MethodName};
use crate::parameters;
use crate::syntax::ast::{Accessor, Builtin, Expression, Method, Reference, Set, Symbol};
use crate::util::{self, TextFunction};
use crate::value::{BlockReference, Map, Number, Value, reaches};

impl<'t> Renderer<'t> {
    /// A reference as a statement.
    #[inline]
    pub(super) fn render_reference(&mut self, reference: &'t Reference) -> Outcome<'t, ()> {
        if !reference.escaped && reference.prefix.is_empty() {
            return self.write_reference(reference);
        }
        let value = self.reference(reference)?;
        if reference.escaped {
            return self.render_escaped(reference, value.is_null());
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
        let accessors = &*reference.accessors;
        if let Some(root) = self.variables.value(reference.root) {
            if accessors.is_empty() {
                return Ok(root.clone());
            }
            if let (Value::Map(map), [Accessor::Method(method)]) = (root, accessors)
                && matches!(method.builtin, Some(Builtin::Get))
                && let [key] = &*method.arguments
                && let Some(key) = self.variables.text(key)
            {
                self.budget.steps(2)?;
                return Ok(map.get(key).unwrap_or(Value::Null));
            }
            if let [Accessor::Property(name, _), rest @ ..] = accessors {
                self.budget.steps(1)?;
                let (value, rest) = properties(&mut self.input, root, name, rest);
                return if rest.is_empty() { Ok(value) } else { self.follow(value, rest) };
            }
        }
        let value = self.variable(reference.root)?;
        self.follow(value, accessors)
    }

    /// Writes what a reference leads to. What `$input.json(…)` and `$util.urlEncode(…)` give
    /// goes to the output without being made into a value first.
    pub(super) fn write_reference(&mut self, reference: &'t Reference) -> Outcome<'t, ()> {
        let accessors = &*reference.accessors;
        match self.variables.value(reference.root) {
            Some(Value::String(text)) if accessors.is_empty() => {
                return Ok(push_within(text.as_str(), &mut self.output)?);
            }
            Some(Value::Map(map)) if !accessors.is_empty() => {
                if let Some(text) =
                    map.entries.printed(accessors.iter().map(Accessor::property_name))
                {
                    return Ok(push_within(text, &mut self.output)?);
                }
            }
            _ => {}
        }
        if let [Accessor::Method(method)] = accessors
            && let Some(receiver @ (Value::Input | Value::Util)) =
                self.variables.value(reference.root)
        {
            let is_input = matches!(receiver, Value::Input);
            self.location = reference.location;
            if self.write_builtin(is_input, method)? {
                return Ok(());
            }
        } else if matches!(reference.root, Symbol::CONTEXT | Symbol::STAGE_VARIABLES)
            && self.write_given(reference.root, accessors)?
        {
            return Ok(());
        }
        let value = self.reference(reference)?;
        self.write(&value)
    }

    /// Writes what a method of `$input` or else of `$util` makes. False: nothing was done.
    fn write_builtin(&mut self, is_input: bool, method: &'t Method) -> Outcome<'t, bool> {
        match &method.builtin {
            Some(Builtin::Json(path)) if is_input => {
                self.location = method.location;
                self.budget.steps(1)?;
                self.input.json(path, &mut self.budget, &mut self.output)?;
            }
            Some(Builtin::Path(path)) if is_input => {
                self.location = method.location;
                self.budget.steps(1)?;
                let Some(text) = self.input.printed_path(path, &mut self.budget)? else {
                    return Ok(false);
                };
                push_within(text, &mut self.output)?;
            }
            Some(Builtin::Text(function)) if !is_input => {
                let [argument] = &*method.arguments else { return Ok(false) };
                if let Expression::Reference(entry) = argument
                    && self.write_entry(*function, entry)?
                {
                    return Ok(true);
                }
                let argument = self.value(argument)?;
                self.location = method.location;
                function.write(&argument, &mut self.output, &mut self.budget)?;
            }
            _ => return Ok(false),
        }
        if self.output.len() > MAX_OUTPUT_BYTES {
            return Err(LimitExceeded::OutputBytes.into());
        }
        Ok(true)
    }

    /// Writes what a function makes of `$map.get('key')`, if that is a string that needs no copy.
    /// False: nothing was done.
    fn write_entry(&mut self, function: TextFunction, entry: &'t Reference) -> Outcome<'t, bool> {
        let Some(Value::Map(map)) = self.variables.value(entry.root) else { return Ok(false) };
        let [Accessor::Method(method)] = &*entry.accessors else { return Ok(false) };
        let [key] = &*method.arguments else { return Ok(false) };
        if !matches!(method.builtin, Some(Builtin::Get)) {
            return Ok(false);
        }
        let Some(key) = self.variables.text(key) else { return Ok(false) };
        self.location = entry.location;
        self.budget.steps(3)?;
        let (output, budget) = (&mut self.output, &mut self.budget);
        let written =
            map.entries.with_string(key, |text| function.write_string(text, output, budget));
        match written {
            Some(written) => written?,
            None => return Ok(false),
        }
        match self.output.len() {
            ..=MAX_OUTPUT_BYTES => Ok(true),
            _ => Err(LimitExceeded::OutputBytes.into()),
        }
    }

    /// What accessors lead to. Null ends the way.
    pub(super) fn follow(
        &mut self,
        mut value: Value<'t>,
        mut accessors: &'t [Accessor],
    ) -> Outcome<'t, Value<'t>> {
        while let Some((accessor, rest)) = accessors.split_first() {
            if value.is_null() {
                break;
            }
            accessors = rest;
            self.budget.steps(1)?;
            value = match accessor {
                Accessor::Property(name, _) => {
                    let (found, rest) = properties(&mut self.input, &value, name, accessors);
                    accessors = rest;
                    found
                }
                Accessor::Method(method) => match (&value, &method.builtin) {
                    (Value::Input, Some(Builtin::Parameters)) => {
                        self.location = method.location;
                        self.parameters(&mut accessors)?
                    }
                    _ => self.method(&value, method)?,
                },
                Accessor::Index(index, location) => {
                    let index = self.value(index)?;
                    self.location = *location;
                    self.indexed(&value, index)?
                }
            };
        }
        Ok(value)
    }

    fn method(&mut self, receiver: &Value<'t>, method: &'t Method) -> Outcome<'t, Value<'t>> {
        match (receiver, &method.builtin) {
            (Value::Input, Some(Builtin::Path(path))) => {
                self.location = method.location;
                return Ok(self.input.path(path, &mut self.budget)?);
            }
            (Value::Input, Some(Builtin::Json(_))) | (Value::Util, Some(Builtin::Text(_))) => {
                let text = self.captured(|renderer| {
                    let is_input = matches!(receiver, Value::Input);
                    renderer.write_builtin(is_input, method)?;
                    Ok(())
                })?;
                return Ok(text.into());
            }
            (Value::Input, Some(Builtin::Parameter)) => {
                let [name] = &*method.arguments else { return Ok(Value::Null) };
                if let Expression::String(name) = name {
                    self.location = method.location;
                    self.budget.steps(1)?;
                    return Ok(self.input.parameters().find(name, &mut self.budget)?);
                }
                let name = self.value(name)?;
                self.location = method.location;
                if let Value::String(name) = &name {
                    let parameters = self.input.parameters();
                    return Ok(parameters.find(name.as_str(), &mut self.budget)?);
                }
                return self.call(receiver, method.method_name(), &[name]);
            }
            (Value::Map(map), Some(Builtin::Get)) => {
                let [key] = &*method.arguments else { return Ok(Value::Null) };
                let key = self.value(key)?;
                self.location = method.location;
                if let Value::String(key) = &key {
                    return Ok(map.get(key.as_str()).unwrap_or(Value::Null));
                }
                return self.call(receiver, method.method_name(), &[key]);
            }
            _ => {}
        }
        match &*method.arguments {
            [] => {
                self.location = method.location;
                return self.call(receiver, method.method_name(), &[]);
            }
            [argument] => {
                let argument = self.argument(argument)?;
                self.location = method.location;
                return self.call(receiver, method.method_name(), std::slice::from_ref(&argument));
            }
            [first, second] => {
                let arguments = [self.argument(first)?, self.argument(second)?];
                self.location = method.location;
                return self.call(receiver, method.method_name(), &arguments);
            }
            _ => {}
        }
        let mut arguments = Vec::with_capacity(method.arguments.len());
        for argument in &method.arguments {
            arguments.push(self.argument(argument)?);
        }
        self.location = method.location;
        self.call(receiver, method.method_name(), &arguments)
    }

    /// The value of an argument. Literals, which most are, take no call.
    #[inline]
    fn argument(&mut self, expression: &'t Expression) -> Outcome<'t, Value<'t>> {
        match expression {
            Expression::String(text) => {
                self.budget.steps(1)?;
                Ok(Value::from(&**text))
            }
            other => self.value(other),
        }
    }

    /// `$input.params()` and what follows: a single parameter is asked for without the maps that
    /// hold it being made. Takes the accessors off that it followed.
    fn parameters(&mut self, accessors: &mut &'t [Accessor]) -> Outcome<'t, Value<'t>> {
        let parameters = self.input.parameters();
        let location = match accessors.first() {
            Some(Accessor::Property(key, _)) if !parameters.is_whole() => parameters::location(key),
            _ => None,
        };
        let Some(location) = location else {
            return Ok(Value::Map(parameters.whole(&mut self.budget)?));
        };
        *accessors = &accessors[1..];
        let name = match accessors.first() {
            Some(Accessor::Property(name, _)) => Some(name),
            Some(Accessor::Method(method)) => match (&*method.name, &*method.arguments) {
                ("get", [Expression::String(name)]) => Some(name),
                _ => None,
            },
            _ => None,
        };
        let Some(name) = name else {
            return Ok(Value::Map(parameters.map(location, &mut self.budget)?));
        };
        *accessors = &accessors[1..];
        Ok(parameters.entry(location, name, &mut self.budget)?)
    }

    /// `receiver.name(arguments)`; null if there is no such method.
    fn call(
        &mut self,
        receiver: &Value<'t>,
        name: MethodName<'_>,
        arguments: &[Value<'t>],
    ) -> Outcome<'t, Value<'t>> {
        let result = match receiver {
            Value::Input => self.input.call(name.text, arguments, &mut self.budget)?,
            Value::Util => util::call(name.text, arguments, &mut self.budget)?,
            Value::Scope(scope) => scope::call(scope, name, arguments, &mut self.budget)?,
            Value::Block(_) => None,
            Value::Map(map) => {
                if let ("put", [key, value]) = (name.text, arguments) {
                    self.note_write(map, key, value)?;
                }
                methods::call(receiver, name, arguments, &mut self.budget)?
            }
            other => methods::call(other, name, arguments, &mut self.budget)?,
        };
        match result {
            Some(value) => Ok(value),
            None => Ok(Value::Null),
        }
    }

    /// `receiver[index]` is `receiver.get(index)`.
    fn indexed(&mut self, receiver: &Value<'t>, index: Value<'t>) -> Outcome<'t, Value<'t>> {
        let index = counted_from_the_end(receiver, index)?;
        if let (Value::List(list), Value::Number(Number::Integer(index))) = (receiver, &index)
            && !list.kind.is_view()
            && let Some(item) = usize::try_from(*index).ok().and_then(|index| list.get(index))
        {
            return Ok(item);
        }
        self.call(receiver, "get".into(), &[index])
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
            Accessor::Property(name, location)
            | Accessor::Method(Method { name, location, .. }) => {
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
            Value::List(_) => self.call(receiver, "set".into(), &[index, value]).map(|_| ()),
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
            return Err(Interrupt::thrown("a list or map can't be put into itself"));
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

/// What a property leads to, and the accessors after it. Where the payload's text tells, the
/// properties that follow are taken with it.
fn properties<'t>(
    input: &mut Input<'t>,
    receiver: &Value<'t>,
    name: &str,
    rest: &'t [Accessor],
) -> (Value<'t>, &'t [Accessor]) {
    if let (Value::Map(map), [Accessor::Property(..), ..]) = (receiver, rest) {
        let further = || rest.iter().map_while(Accessor::property_name);
        if let Some(value) = map.entries.read(std::iter::once(name).chain(further())) {
            return (value, rest.get(further().count()..).unwrap_or_default());
        }
    }
    (property(input, receiver, name), rest)
}

fn property<'t>(input: &mut Input<'t>, receiver: &Value<'t>, name: &str) -> Value<'t> {
    match receiver {
        Value::Map(map) => map.get(name).unwrap_or(Value::Null),
        Value::Input => input.property(name),
        Value::Scope(scope) => scope::property(scope, name),
        Value::Util | Value::Block(_) => Value::Null,
        other => methods::property(other, name).unwrap_or(Value::Null),
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
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        Value::Scope(scope) => scope::entries(scope).len(),
        _ => {
            let message = format!("a value without size() has no index {negative}");
            return Err(Interrupt::thrown(message));
        }
    };
    let size = i32::try_from(size).unwrap_or(i32::MAX);
    Ok(size.saturating_add(negative).into())
}
