//! Renders a syntax tree, with the results of Velocity 1.7 and API Gateway's departures from it:
//! a null reference is empty text, and null equals `""`.
//!
//! | Module | Renders |
//! |---|---|
//! | [`variables`] | names, macros' arguments among them |
//! | [`reference`] | `$a.b(1)[2]`, `#set` |
//! | [`context`] | `$context` and what templates write there, `$stageVariables` |
//! | [`scope`] | `$foreach` |
//! | [`directive`] | `#foreach`, `#define`, `#evaluate`, `#break` |
//! | [`macros`] | calls of macros |
//! | [`expression`], [`arithmetic`], [`compare`] | expressions |
//! | [`evaluated`] | the programs of `#evaluate` |

mod variables;
mod reference;
mod context;
mod keep;
mod scope;
mod directive;
mod macros;
mod expression;
mod arithmetic;
mod compare;
mod evaluated;

use std::rc::Rc;

use self::context::Context;
use self::evaluated::{EvaluatedPrograms, NextProgram};
use self::variables::Variables;
use crate::input::Input;
use crate::limits::{
    Budget, LimitExceeded, MAX_CALL_NESTING, MAX_OUTPUT_BYTES, MAX_RENDER_NESTING,
};
use crate::methods::{self, MethodError};
use crate::syntax::ast::{Block, Location, Node, Program};
use crate::value::{BlockReference, MapKind, Number, Scope, Text, Value};
use crate::{ContextWrites, RenderError, TemplateValues};

pub(crate) fn render(
    program: &Program,
    values: &dyn TemplateValues,
    context: &mut ContextWrites,
) -> Result<String, RenderError> {
    let evaluated = EvaluatedPrograms::default();
    let (output, writes) = Renderer::new(program, values, context, &evaluated).run()?;
    if let Some(writes) = writes {
        *context = writes;
    }
    Ok(output)
}

/// Why rendering doesn't go on with the next node.
#[derive(Debug)]
enum Interrupt<'t> {
    Limit(LimitExceeded),
    /// Java would have thrown.
    #[expect(clippy::box_collection, reason = "outcomes are passed on everywhere and stay small")]
    Thrown(Box<String>),
    /// `#break`: ends the nearest loop, macro, block or evaluated text.
    Break,
    /// `#break($foreach)`
    BreakScope(Rc<Scope<'t>>),
    /// `#stop`
    Stop,
}

type Outcome<'t, T> = Result<T, Interrupt<'t>>;

struct Renderer<'t> {
    values: &'t dyn TemplateValues,
    program: &'t Program,
    next_evaluated: NextProgram<'t>,
    variables: Variables<'t>,
    context: Context<'t>,
    input: Input<'t>,
    output: String,
    budget: Budget,
    /// Blocks of references that are being rendered.
    running: Vec<&'t Block>,
    /// Macros, blocks and evaluated texts that run.
    calls: u32,
    nesting: u32,
    /// Of the construct that runs, for errors.
    location: Location,
}

impl<'t> Renderer<'t> {
    fn new(
        program: &'t Program,
        values: &'t dyn TemplateValues,
        context: &'t ContextWrites,
        evaluated: &'t EvaluatedPrograms,
    ) -> Self {
        Self {
            values,
            program,
            next_evaluated: evaluated.next(),
            variables: Variables::new(program),
            context: Context::new(context),
            input: Input::new(values),
            output: String::with_capacity(expected_length(program, values)),
            budget: Budget::default(),
            running: Vec::new(),
            calls: 0,
            nesting: 0,
            location: Location { line: 1, column: 1 },
        }
    }

    /// The text, and what is now written to `$context` if anything may have been.
    fn run(mut self) -> Result<(String, Option<ContextWrites>), RenderError> {
        let program = self.program;
        let rendered = match self.block(&program.body) {
            Err(Interrupt::Break | Interrupt::Stop) => Ok(()),
            rendered => rendered,
        };
        match rendered.and_then(|()| self.kept_writes()) {
            Ok(writes) => Ok((self.output, writes)),
            Err(interrupt) => Err(self.error(interrupt)),
        }
    }

    fn error(&self, interrupt: Interrupt<'t>) -> RenderError {
        let Location { line, column } = self.location;
        RenderError { line, column, message: interrupt.to_string() }
    }

    fn block(&mut self, block: &'t [Node]) -> Outcome<'t, ()> {
        self.nested(|renderer| {
            for node in block {
                renderer.budget.steps(1)?;
                match node {
                    Node::Text(text) => renderer.push(text)?,
                    Node::Reference(reference) => renderer.render_reference(reference)?,
                    directive => renderer.directive(directive)?,
                }
            }
            Ok(())
        })
    }

    #[inline(never)]
    fn directive(&mut self, node: &'t Node) -> Outcome<'t, ()> {
        match node {
            Node::Text(text) => Ok(self.push(text)?),
            Node::Reference(reference) => self.render_reference(reference),
            Node::Set(set) => self.set(set),
            Node::If(directive) => self.if_directive(directive),
            Node::Foreach(directive) => self.foreach(directive),
            Node::Break(location, scope) => self.break_directive(*location, scope.as_ref()),
            Node::Stop => Err(Interrupt::Stop),
            Node::Define(name, block) => {
                let block = BlockReference { block, max_depth: directive::MAX_DEFINE_DEPTH };
                self.set_variable(*name, Value::Block(block));
                Ok(())
            }
            Node::MacroCall(call) => self.call_macro(call),
            Node::Evaluate(directive) => self.evaluate(directive.0, &directive.1),
        }
    }

    /// Runs something within another, as deep as the stack allows.
    #[inline]
    fn nested<T>(&mut self, run: impl FnOnce(&mut Self) -> Outcome<'t, T>) -> Outcome<'t, T> {
        if self.nesting == MAX_RENDER_NESTING {
            return Err(LimitExceeded::RenderNesting.into());
        }
        self.nesting += 1;
        let outcome = run(self);
        self.nesting -= 1;
        outcome
    }

    /// Runs a macro, a block or an evaluated text. `#break` ends it.
    fn called(&mut self, run: impl FnOnce(&mut Self) -> Outcome<'t, ()>) -> Outcome<'t, ()> {
        if self.calls == MAX_CALL_NESTING {
            return Err(LimitExceeded::CallNesting.into());
        }
        self.calls += 1;
        let outcome = run(self);
        self.calls -= 1;
        match outcome {
            Err(Interrupt::Break) => Ok(()),
            outcome => outcome,
        }
    }

    fn push(&mut self, text: &str) -> Result<(), LimitExceeded> {
        push_within(text, &mut self.output)
    }

    /// Writes a value as Java's `toString()` has it.
    fn write(&mut self, value: &Value<'t>) -> Outcome<'t, ()> {
        match value {
            Value::Null => Ok(()),
            Value::String(text) => Ok(self.push(text.as_str())?),
            Value::Boolean(value) => Ok(self.push(if *value { "true" } else { "false" })?),
            Value::Number(Number::Integer(value)) => {
                Ok(self.push(itoa::Buffer::new().format(*value))?)
            }
            Value::Block(block) => self.render_block_reference(block).map(|_| ()),
            Value::Scope(scope) => {
                let entries = scope::entries(scope);
                self.write(&Value::Map(entries))
            }
            Value::Map(map) if map.kind == MapKind::Context && !self.context.is_whole(map) => {
                Ok(())
            }
            other => {
                methods::write_text(other, &mut self.output, &mut self.budget)?;
                Ok(self.push("")?)
            }
        }
    }

    /// `toString()` of a value.
    fn text_of(&mut self, value: &Value<'t>) -> Outcome<'t, Text<'t>> {
        match value {
            Value::Null => Ok(Text::Borrowed("")),
            Value::String(text) => Ok(text.clone()),
            other => self.captured(|renderer| renderer.write(other)),
        }
    }

    /// What `run` writes, instead of having it in the output.
    fn captured(
        &mut self,
        run: impl FnOnce(&mut Self) -> Outcome<'t, ()>,
    ) -> Outcome<'t, Text<'t>> {
        let start = self.output.len();
        let outcome = run(self);
        let text = match &outcome {
            Ok(()) => {
                let text = &self.output[start..];
                self.budget.allocate(text.len()).map(|()| Text::Shared(text.into()))
            }
            Err(_) => Ok(Text::Borrowed("")),
        };
        self.output.truncate(start);
        outcome?;
        Ok(text?)
    }
}

fn push_within(text: &str, output: &mut String) -> Result<(), LimitExceeded> {
    if text.len() > MAX_OUTPUT_BYTES.saturating_sub(output.len()) {
        return Err(LimitExceeded::OutputBytes);
    }
    output.push_str(text);
    Ok(())
}

/// What most renderings come to, in bytes.
fn expected_length(program: &Program, values: &dyn TemplateValues) -> usize {
    let payload = if program.writes_payload { values.body().len() } else { 0 };
    program.expected_length + payload + payload / 8
}

impl Interrupt<'_> {
    fn thrown(message: impl Into<String>) -> Self {
        Self::Thrown(Box::new(message.into()))
    }
}

impl From<LimitExceeded> for Interrupt<'_> {
    fn from(limit: LimitExceeded) -> Self {
        Self::Limit(limit)
    }
}

impl From<MethodError> for Interrupt<'_> {
    fn from(error: MethodError) -> Self {
        match error {
            MethodError::Thrown(message) => Self::Thrown(message),
            MethodError::Limit(limit) => Self::Limit(limit),
        }
    }
}

impl std::fmt::Display for Interrupt<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Limit(limit) => limit.fmt(f),
            Self::Thrown(message) => f.write_str(message),
            Self::Break | Self::Stop => f.write_str("the template was ended"),
            Self::BreakScope(_) => f.write_str("#break names a loop that isn't running"),
        }
    }
}

#[cfg(test)]
mod tests;
