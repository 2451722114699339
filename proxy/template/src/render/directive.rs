//! `#if`, `#foreach`, `#break` and `#evaluate`.

use std::cell::RefCell;
use std::rc::Rc;

use smallvec::SmallVec;

use super::{Interrupt, Outcome, Renderer, scope};
use crate::syntax;
use crate::syntax::ast::{Expression, Foreach, If, Location, Symbol};
use crate::value::{List, Map, Scope, ScopeState, Value};

/// Velocity's `directive.define.max.depth`.
pub(super) const MAX_DEFINE_DEPTH: usize = 2;

/// What evaluated text takes of [`crate::limits::MAX_WORKING_BYTES`] for a byte: its tree.
const BYTES_OF_TREE: usize = 64;

/// What a loop runs over.
struct Elements<'t> {
    source: Source<'t>,
    length: usize,
    next: usize,
    /// Of the element before, in the text of a list that isn't made.
    place: u32,
}

enum Source<'t> {
    List(List<'t>),
    Map(Map<'t>),
    Range { first: i64, step: i64 },
}

impl<'t> Elements<'t> {
    /// `None`: no value that can be iterated.
    fn of(value: Value<'t>) -> Option<Self> {
        let source = match value {
            Value::List(list) => Source::List(list),
            Value::Map(map) => Source::Map(map),
            Value::Scope(scope) => Source::Map(scope::entries(&scope)),
            _ => return None,
        };
        let length = source.length();
        Some(Self { source, length, next: 0, place: 0 })
    }

    fn has_next(&self) -> bool {
        match &self.source {
            Source::List(list) => self.next != list.len(),
            _ => self.next < self.length,
        }
    }

    /// The next element; `None` at the end. Changing a list or map while a loop runs over it
    /// fails the template, as Java's iterators do.
    fn advance(&mut self) -> Outcome<'t, Option<Value<'t>>> {
        if !self.has_next() {
            return Ok(None);
        }
        if self.source.length() != self.length && !matches!(self.source, Source::Range { .. }) {
            let message = "#foreach's list or map was changed by its body";
            return Err(Interrupt::thrown(message));
        }
        let index = self.next;
        self.next += 1;
        Ok(match &self.source {
            Source::List(list) => list.items.get_next(index, &mut self.place),
            Source::Map(map) => {
                map.entries.borrow().get_index(index).map(|(_, value)| value.clone())
            }
            Source::Range { first, step } => {
                let offset = i64::try_from(index).unwrap_or(i64::MAX).saturating_mul(*step);
                Some((first.saturating_add(offset) as i32).into())
            }
        })
    }
}

impl Source<'_> {
    fn length(&self) -> usize {
        match self {
            Self::List(list) => list.len(),
            Self::Map(map) => map.len(),
            Self::Range { .. } => 0,
        }
    }
}

impl<'t> Renderer<'t> {
    pub(super) fn if_directive(&mut self, directive: &'t If) -> Outcome<'t, ()> {
        for (condition, block) in &directive.branches {
            if self.condition(condition)? {
                return self.block(block);
            }
        }
        match &directive.otherwise {
            Some(block) => self.block(block),
            None => Ok(()),
        }
    }

    pub(super) fn foreach(&mut self, directive: &'t Foreach) -> Outcome<'t, ()> {
        self.location = directive.location;
        let Some(mut elements) = self.elements(&directive.collection)? else { return Ok(()) };
        let names = [directive.element, Symbol::VELOCITY_COUNT, Symbol::VELOCITY_HAS_NEXT];
        let names = if self.program.counts { &names[..] } else { &names[..1] };
        let mut before = SmallVec::<[Value<'t>; 3]>::new();
        for name in names {
            before.push(self.variable(*name)?);
        }
        let scope = self.open_scope(directive.location)?;
        let outcome = self.passes(directive, &mut elements, &scope);
        for (name, value) in names.iter().zip(before) {
            self.set_or_remove(*name, value);
        }
        self.close_scope()?;
        match outcome {
            Err(Interrupt::Break) => Ok(()),
            Err(Interrupt::BreakScope(ended)) if Rc::ptr_eq(&ended, &scope) => Ok(()),
            outcome => outcome,
        }
    }

    /// A range written in the directive isn't made into a list.
    fn elements(&mut self, collection: &'t Expression) -> Outcome<'t, Option<Elements<'t>>> {
        let Expression::Range(range) = collection else {
            let collection = self.value(collection)?;
            return Ok(Elements::of(collection));
        };
        Ok(self.range_bounds(range)?.map(|(first, last)| {
            let (first, last) = (i64::from(first), i64::from(last));
            let length = usize::try_from(first.abs_diff(last)).unwrap_or(usize::MAX);
            let step = if first >= last { -1 } else { 1 };
            let source = Source::Range { first, step };
            Elements { source, length: length.saturating_add(1), next: 0, place: 0 }
        }))
    }

    fn open_scope(&mut self, location: Location) -> Outcome<'t, Rc<Scope<'t>>> {
        let parent = Some(self.variable(Symbol::FOREACH)?).filter(|parent| !parent.is_null());
        let state = ScopeState { index: -1, has_next: false, parent, entries: None, location };
        let scope = Rc::new(Scope { state: RefCell::new(state) });
        self.set_variable(Symbol::FOREACH, Value::Scope(scope.clone()));
        Ok(scope)
    }

    /// Gives `$foreach` back its meaning, unless the template set it to something else.
    fn close_scope(&mut self) -> Outcome<'t, ()> {
        if let Value::Scope(scope) = self.variable(Symbol::FOREACH)? {
            let parent = scope.state.borrow().parent.clone();
            self.set_or_remove(Symbol::FOREACH, parent.unwrap_or(Value::Null));
        }
        Ok(())
    }

    fn passes(
        &mut self,
        directive: &'t Foreach,
        elements: &mut Elements<'t>,
        scope: &Scope<'t>,
    ) -> Outcome<'t, ()> {
        let mut count = 0i32;
        while let Some(element) = elements.advance()? {
            self.location = directive.location;
            self.budget.iteration()?;
            count = count.saturating_add(1);
            let has_next = elements.has_next();
            if self.program.counts {
                self.set_variable(Symbol::VELOCITY_COUNT, count.into());
                self.set_variable(Symbol::VELOCITY_HAS_NEXT, has_next.into());
            }
            let mut state = scope.state.borrow_mut();
            state.index = state.index.saturating_add(1);
            state.has_next = has_next;
            drop(state);
            let is_null = element.is_null();
            self.set_variable(directive.element, element);
            let masks = self.variables.masks();
            if is_null {
                self.variables.mask(directive.element);
            }
            let outcome = self.block(&directive.body);
            self.variables.unmask_to(masks);
            outcome?;
        }
        Ok(())
    }

    pub(super) fn break_directive(
        &mut self,
        location: Location,
        scope: Option<&'t Expression>,
    ) -> Outcome<'t, ()> {
        self.location = location;
        let Some(scope) = scope else { return Err(Interrupt::Break) };
        Err(match self.value(scope)? {
            Value::Scope(scope) => Interrupt::BreakScope(scope),
            _ => Interrupt::thrown("#break names no running loop"),
        })
    }

    /// Renders a text as a template with the variables of this one.
    pub(super) fn evaluate(
        &mut self,
        location: Location,
        expression: &'t Expression,
    ) -> Outcome<'t, ()> {
        self.location = location;
        let value = self.value(expression)?;
        let text = self.text_of(&value)?;
        self.location = location;
        let length = text.as_str().len();
        self.budget.steps(1 + length as u64 / 4)?;
        self.budget.allocate(length.saturating_mul(BYTES_OF_TREE))?;
        let program = syntax::parse(text.as_str())
            .map_err(|error| Interrupt::thrown(format!("in the evaluated text: {error}")))?;
        let program = self.next_evaluated.keep(program, &mut self.variables);
        self.variables.add_macros(program);
        match self.called(|renderer| renderer.block(&program.body)) {
            Err(Interrupt::Stop) => Ok(()),
            Err(interrupt @ (Interrupt::Limit(_) | Interrupt::Thrown(_))) => {
                let error = self.error(interrupt);
                self.location = location;
                Err(Interrupt::thrown(format!("in the evaluated text: {error}")))
            }
            outcome => outcome,
        }
    }
}
