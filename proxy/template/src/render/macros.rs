//! Calls of macros.

use super::variables::{Argument, Frame};
use super::{Interrupt, Outcome, Renderer};
use crate::limits::MAX_CALL_NESTING;
use crate::syntax::ast::{Expression, Macro, MacroCall};
use crate::value::{BlockReference, Value};

impl<'t> Renderer<'t> {
    /// A call that names no macro is text.
    pub(super) fn call_macro(&mut self, call: &'t MacroCall) -> Outcome<'t, ()> {
        self.location = call.location;
        let Some(definition) = self.variables.find_macro(&call.name) else {
            return Ok(self.push(&call.literal)?);
        };
        let frame = self.frame(call, definition)?;
        self.called(|renderer| {
            renderer.variables.push_frame(frame);
            let outcome = renderer.block(&definition.body);
            renderer.variables.pop_frame();
            outcome
        })
    }

    /// Further arguments are ignored; parameters without one mean what they mean to the caller.
    fn frame(&mut self, call: &'t MacroCall, definition: &'t Macro) -> Outcome<'t, Frame<'t>> {
        let word = |argument: &&Expression| matches!(argument, Expression::Word(_));
        if let Some(Expression::Word(word)) = call.arguments.iter().find(word) {
            let message = format!("#{} can't take {word} as an argument", call.name);
            return Err(Interrupt::thrown(message));
        }
        let mut frame = Frame::new(self.variables.current());
        let literals = call.argument_literals.iter().map(|literal| &**literal);
        let arguments = call.arguments.iter().zip(literals.chain(std::iter::repeat("")));
        for (parameter, (expression, literal)) in definition.parameters.iter().zip(arguments) {
            self.budget.steps(1)?;
            match expression {
                Expression::Number(_)
                | Expression::Boolean(_)
                | Expression::Not(_)
                | Expression::Binary(_) => {
                    let value = self.value(expression)?;
                    frame.bind_value(*parameter, value);
                }
                _ => frame.bind_argument(*parameter, Argument { expression, literal }),
            }
        }
        if let Some(block) = &call.body {
            let body = BlockReference { block, max_depth: MAX_CALL_NESTING as usize };
            let name = self.variables.symbol("bodyContent");
            frame.bind_value(name, Value::Block(body));
        }
        Ok(frame)
    }
}
