//! The programs of `#evaluate`: kept until the rendering ends, with the names of the template
//! around them.

use std::cell::OnceCell;

use super::variables::Variables;
use crate::syntax::ast::{Accessor, Block, Expression, Node, Program, Reference, Symbol};

/// A list that grows while what is in it is borrowed.
#[derive(Default)]
pub(super) struct EvaluatedPrograms {
    first: OnceCell<Box<Evaluated>>,
}

struct Evaluated {
    names: Vec<Box<str>>,
    program: OnceCell<Program>,
    next: OnceCell<Box<Evaluated>>,
}

/// Where the next program goes.
#[derive(Clone, Copy)]
pub(super) struct NextProgram<'t> {
    cell: &'t OnceCell<Box<Evaluated>>,
}

impl EvaluatedPrograms {
    pub(super) fn next(&self) -> NextProgram<'_> {
        NextProgram { cell: &self.first }
    }
}

impl<'t> NextProgram<'t> {
    /// Keeps a program, its symbols changed to those of the template around it.
    pub(super) fn keep(
        &mut self,
        mut program: Program,
        variables: &mut Variables<'t>,
    ) -> &'t Program {
        let names = std::mem::take(&mut program.symbols);
        let evaluated = Evaluated { names, program: OnceCell::new(), next: OnceCell::new() };
        let evaluated = self.cell.get_or_init(|| Box::new(evaluated));
        self.cell = &evaluated.next;
        let symbols = evaluated.names.iter().map(|name| variables.symbol(name)).collect();
        Renaming { symbols }.program(&mut program);
        evaluated.program.get_or_init(|| program)
    }
}

/// One after the other: dropped within each other, some thousand would overflow the stack.
impl Drop for EvaluatedPrograms {
    fn drop(&mut self) {
        let mut next = self.first.take();
        while let Some(mut evaluated) = next {
            next = evaluated.next.take();
        }
    }
}

/// The new symbol of each.
struct Renaming {
    symbols: Vec<Symbol>,
}

impl Renaming {
    fn program(&self, program: &mut Program) {
        self.block(&mut program.body);
        for definition in program.macros.values_mut() {
            definition.parameters.iter_mut().for_each(|symbol| self.symbol(symbol));
            self.block(&mut definition.body);
        }
    }

    fn symbol(&self, symbol: &mut Symbol) {
        if let Some(renamed) = self.symbols.get(symbol.0 as usize) {
            *symbol = *renamed;
        }
    }

    fn block(&self, block: &mut Block) {
        block.iter_mut().for_each(|node| self.node(node));
    }

    fn node(&self, node: &mut Node) {
        match node {
            Node::Text(_) | Node::Stop => {}
            Node::Reference(reference) => self.reference(reference),
            Node::Set(set) => {
                self.reference(&mut set.target);
                self.expression(&mut set.value);
            }
            Node::If(directive) => {
                for (condition, block) in &mut directive.branches {
                    self.expression(condition);
                    self.block(block);
                }
                directive.otherwise.iter_mut().for_each(|block| self.block(block));
            }
            Node::Foreach(directive) => {
                self.symbol(&mut directive.element);
                self.expression(&mut directive.collection);
                self.block(&mut directive.body);
            }
            Node::Break(_, scope) => {
                scope.iter_mut().for_each(|scope| self.expression(scope));
            }
            Node::Define(name, block) => {
                self.symbol(name);
                self.block(block);
            }
            Node::MacroCall(call) => {
                call.arguments.iter_mut().for_each(|argument| self.expression(argument));
                call.body.iter_mut().for_each(|block| self.block(block));
            }
            Node::Evaluate(directive) => self.expression(&mut directive.1),
        }
    }

    fn reference(&self, reference: &mut Reference) {
        self.symbol(&mut reference.root);
        for accessor in &mut reference.accessors {
            match accessor {
                Accessor::Property(..) => {}
                Accessor::Method(method) => {
                    method.arguments.iter_mut().for_each(|argument| self.expression(argument));
                }
                Accessor::Index(index, _) => self.expression(index),
            }
        }
    }

    fn expression(&self, expression: &mut Expression) {
        match expression {
            Expression::String(_)
            | Expression::Number(_)
            | Expression::Boolean(_)
            | Expression::Word(_) => {}
            Expression::Interpolated(block) => self.block(block),
            Expression::Reference(reference) => self.reference(reference),
            Expression::List(items) => items.iter_mut().for_each(|item| self.expression(item)),
            Expression::Map(entries) => {
                for (key, value) in entries {
                    self.expression(key);
                    self.expression(value);
                }
            }
            Expression::Range(range) => {
                self.expression(&mut range.0);
                self.expression(&mut range.1);
            }
            Expression::Not(operand) => self.expression(operand),
            Expression::Binary(binary) => {
                self.expression(&mut binary.left);
                self.expression(&mut binary.right);
            }
        }
    }
}
