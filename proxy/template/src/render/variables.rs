//! Variables by symbol, and the frames of macros in front of them.
//!
//! A macro's arguments are expressions, evaluated in the caller's frame each time they are used.
//! What a macro sets, it sets for its callers and the template too; in its own frame that stands
//! before the argument of the same name.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::{Outcome, Renderer};
use crate::limits::{Budget, LimitExceeded, MAX_JSON_NESTING};
use crate::syntax::ast::{Expression, Macro, Program, Symbol};
use crate::value::{Key, List, ListKind, Map, MapKind, Number, Value};

pub(super) struct Variables<'t> {
    program: &'t Program,
    /// By symbol. `None`: never asked for.
    global: Vec<Option<Value<'t>>>,
    /// Names that only evaluated texts have; their symbols follow the program's.
    further_names: Vec<&'t str>,
    /// All names, filled when the first text is evaluated.
    symbols: HashMap<&'t str, Symbol>,
    /// Defined by evaluated texts.
    further_macros: HashMap<&'t str, &'t Macro>,
    frames: Vec<Frame<'t>>,
    current: FrameIndex,
    /// Elements of loops that are null at the moment: setting them has no effect.
    masked: Vec<Symbol>,
}

/// 0 is the template itself, n the frame at n-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameIndex(usize);

#[derive(Debug)]
pub(super) struct Frame<'t> {
    caller: FrameIndex,
    bindings: HashMap<Symbol, Binding<'t>, BuildHasherDefault<SymbolHasher>>,
}

#[derive(Debug, Default)]
struct Binding<'t> {
    set: Option<Value<'t>>,
    argument: Option<Argument<'t>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Argument<'t> {
    pub(super) expression: &'t Expression,
    /// As the call has it.
    pub(super) literal: &'t str,
}

/// Spreads the few small numbers that symbols are.
#[derive(Default)]
pub(super) struct SymbolHasher(u64);

impl Hasher for SymbolHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.0 = (self.0 ^ u64::from(value)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl<'t> Variables<'t> {
    pub(super) fn new(program: &'t Program) -> Self {
        let mut global = Vec::new();
        global.resize_with(program.symbols.len(), || None);
        for (symbol, value) in [(Symbol::INPUT, Value::Input), (Symbol::UTIL, Value::Util)] {
            if let Some(variable) = global.get_mut(symbol.0 as usize) {
                *variable = Some(value);
            }
        }
        Self {
            program,
            global,
            further_names: Vec::new(),
            symbols: HashMap::new(),
            further_macros: HashMap::new(),
            frames: Vec::new(),
            current: FrameIndex(0),
            masked: Vec::new(),
        }
    }

    fn name(&self, symbol: Symbol) -> &'t str {
        let index = symbol.0 as usize;
        match self.program.symbols.get(index) {
            Some(name) => name,
            None => {
                let further = index - self.program.symbols.len();
                self.further_names.get(further).copied().unwrap_or_default()
            }
        }
    }

    /// The symbol of a name, a new one for a name that the template doesn't have.
    pub(super) fn symbol(&mut self, name: &'t str) -> Symbol {
        if self.symbols.is_empty() {
            let names = self.program.symbols.iter().map(|name| &**name);
            self.symbols = names.zip(0..).map(|(name, index)| (name, Symbol(index))).collect();
        }
        if let Some(symbol) = self.symbols.get(name) {
            return *symbol;
        }
        let symbol = Symbol(u32::try_from(self.global.len()).unwrap_or(u32::MAX));
        self.global.push(None);
        self.further_names.push(name);
        self.symbols.insert(name, symbol);
        symbol
    }

    pub(super) fn find_macro(&self, name: &str) -> Option<&'t Macro> {
        self.program.macros.get(name).or_else(|| self.further_macros.get(name).copied())
    }

    /// Adds the macros of an evaluated text. The first definition of a name stays.
    pub(super) fn add_macros(&mut self, program: &'t Program) {
        for (name, definition) in &program.macros {
            self.further_macros.entry(name).or_insert(definition);
        }
    }

    pub(super) fn current(&self) -> FrameIndex {
        self.current
    }

    pub(super) fn push_frame(&mut self, frame: Frame<'t>) {
        self.frames.push(frame);
        self.current = FrameIndex(self.frames.len());
    }

    pub(super) fn pop_frame(&mut self) {
        if let Some(frame) = self.frames.pop() {
            self.current = frame.caller;
        }
    }

    fn frame(&self, index: FrameIndex) -> Option<&Frame<'t>> {
        self.frames.get(index.0.checked_sub(1)?)
    }

    fn frame_mut(&mut self, index: FrameIndex) -> Option<&mut Frame<'t>> {
        self.frames.get_mut(index.0.checked_sub(1)?)
    }

    /// Whether the name still means what API Gateway gave it.
    pub(super) fn is_builtin(&self, symbol: Symbol) -> bool {
        let mut index = self.current;
        while let Some(frame) = self.frame(index) {
            if frame.bindings.contains_key(&symbol) {
                return false;
            }
            index = frame.caller;
        }
        matches!(self.global.get(symbol.0 as usize), Some(None)) && !self.masked.contains(&symbol)
    }

    /// The value of a name that nothing stands before: no macro runs, no loop's element is null.
    #[inline]
    pub(super) fn value(&self, symbol: Symbol) -> Option<&Value<'t>> {
        if !self.masked.is_empty() || self.current != FrameIndex(0) {
            return None;
        }
        self.global.get(symbol.0 as usize)?.as_ref()
    }

    /// The text of a string, or of a name that stands for one.
    pub(super) fn text<'v>(&'v self, expression: &'v Expression) -> Option<&'v str> {
        match expression {
            Expression::String(text) => Some(text),
            Expression::Reference(name) if name.accessors.is_empty() => {
                self.value(name.root)?.as_str()
            }
            _ => None,
        }
    }

    fn set(&mut self, symbol: Symbol, value: Value<'t>) {
        let mut index = self.current;
        while let Some(frame) = self.frame_mut(index) {
            frame.bindings.entry(symbol).or_default().set = Some(value.clone());
            index = frame.caller;
        }
        if let Some(variable) = self.global.get_mut(symbol.0 as usize) {
            *variable = Some(value);
        }
    }

    fn remove(&mut self, symbol: Symbol) {
        self.masked.retain(|masked| *masked != symbol);
        let mut index = self.current;
        while let Some(frame) = self.frame_mut(index) {
            frame.bindings.remove(&symbol);
            index = frame.caller;
        }
        if let Some(variable) = self.global.get_mut(symbol.0 as usize) {
            *variable = Some(Value::Null);
        }
    }

    pub(super) fn mask(&mut self, symbol: Symbol) {
        self.masked.push(symbol);
    }

    pub(super) fn masks(&self) -> usize {
        self.masked.len()
    }

    pub(super) fn unmask_to(&mut self, count: usize) {
        self.masked.truncate(count);
    }

    /// The call's text of the argument that a macro's parameter stands for.
    pub(super) fn argument_literal(&self, symbol: Symbol) -> Option<&'t str> {
        let mut index = self.current;
        while let Some(frame) = self.frame(index) {
            if let Some(Binding { argument: Some(argument), .. }) = frame.bindings.get(&symbol) {
                return Some(argument.literal);
            }
            index = frame.caller;
        }
        None
    }
}

impl<'t> Frame<'t> {
    pub(super) fn new(caller: FrameIndex) -> Self {
        Self { caller, bindings: HashMap::default() }
    }

    pub(super) fn bind_value(&mut self, symbol: Symbol, value: Value<'t>) {
        self.bindings.entry(symbol).or_default().set = Some(value);
    }

    pub(super) fn bind_argument(&mut self, symbol: Symbol, argument: Argument<'t>) {
        self.bindings.entry(symbol).or_default().argument = Some(argument);
    }
}

impl<'t> Renderer<'t> {
    pub(super) fn variable(&mut self, symbol: Symbol) -> Outcome<'t, Value<'t>> {
        if self.variables.masked.contains(&symbol) {
            return Ok(Value::Null);
        }
        let mut symbol = symbol;
        let mut index = self.variables.current;
        while let Some(frame) = self.variables.frame(index) {
            let caller = frame.caller;
            match frame.bindings.get(&symbol) {
                Some(Binding { set: Some(value), .. }) if !value.is_null() => {
                    return Ok(value.clone());
                }
                Some(Binding { argument: Some(argument), .. }) => match argument.expression {
                    Expression::Reference(reference) if reference.accessors.is_empty() => {
                        symbol = reference.root;
                    }
                    expression => return self.value_in(caller, expression),
                },
                _ => {}
            }
            index = caller;
        }
        self.global_variable(symbol)
    }

    fn value_in(
        &mut self,
        frame: FrameIndex,
        expression: &'t Expression,
    ) -> Outcome<'t, Value<'t>> {
        let current = std::mem::replace(&mut self.variables.current, frame);
        let value = self.nested(|renderer| renderer.value(expression));
        self.variables.current = current;
        value
    }

    fn global_variable(&mut self, symbol: Symbol) -> Outcome<'t, Value<'t>> {
        let index = symbol.0 as usize;
        match self.variables.global.get(index) {
            Some(Some(value)) => return Ok(value.clone()),
            Some(None) => {}
            None => return Ok(Value::Null),
        }
        let value = match symbol {
            // Stays built in: the quick way to a single entry remains.
            Symbol::CONTEXT => return self.whole_context(),
            Symbol::STAGE_VARIABLES => self.stage_variables()?,
            _ => match self.values.variable(self.variables.name(symbol)) {
                Some(value) => plain(value, &mut self.budget)?,
                None => Value::Null,
            },
        };
        self.variables.global[index] = Some(value.clone());
        Ok(value)
    }

    pub(super) fn set_variable(&mut self, symbol: Symbol, value: Value<'t>) {
        self.variables.set(symbol, value);
    }

    /// As Velocity does for a null, which no variable can hold.
    pub(super) fn remove_variable(&mut self, symbol: Symbol) {
        self.variables.remove(symbol);
    }

    pub(super) fn set_or_remove(&mut self, symbol: Symbol, value: Value<'t>) {
        if value.is_null() {
            self.remove_variable(symbol);
        } else {
            self.set_variable(symbol, value);
        }
    }
}

/// JSON as plain Java objects: lists print as `[a, b]`, maps as `{k=v}`.
pub(super) fn plain<'t>(
    value: &'t serde_json::Value,
    budget: &mut Budget,
) -> Result<Value<'t>, LimitExceeded> {
    plain_within(value, budget, 0)
}

fn plain_within<'t>(
    value: &'t serde_json::Value,
    budget: &mut Budget,
    depth: usize,
) -> Result<Value<'t>, LimitExceeded> {
    if depth > MAX_JSON_NESTING {
        return Err(LimitExceeded::ValueNesting);
    }
    budget.steps(1)?;
    Ok(match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Boolean(*value),
        serde_json::Value::Number(value) => plain_number(value).into(),
        serde_json::Value::String(text) => text.as_str().into(),
        serde_json::Value::Array(values) => {
            budget.allocate(values.len().saturating_mul(size_of::<Value<'_>>()))?;
            let items: Result<_, _> =
                values.iter().map(|value| plain_within(value, budget, depth + 1)).collect();
            Value::List(List::new(ListKind::Java, items?))
        }
        serde_json::Value::Object(values) => {
            budget.allocate(values.len().saturating_mul(2 * size_of::<Value<'_>>()))?;
            let entries: Result<_, LimitExceeded> = values
                .iter()
                .map(|(key, value)| {
                    let value = plain_within(value, budget, depth + 1)?;
                    Ok((Key::String(key.as_str().into()), value))
                })
                .collect();
            Value::Map(Map::new(MapKind::Java, entries?))
        }
    })
}

fn plain_number(value: &serde_json::Number) -> Number {
    match (value.as_i64(), value.as_u64()) {
        (Some(value), _) => match i32::try_from(value) {
            Ok(value) => Number::Integer(value),
            Err(_) => Number::Long(value),
        },
        (None, Some(value)) => Number::BigInteger(Box::new(value.into())),
        (None, None) => Number::Double(value.as_f64().unwrap_or(f64::NAN)),
    }
}
