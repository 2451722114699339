//! `#name(…)`: directives and calls of macros.

use super::SyntaxError;
use super::ast::{Block, Expression, Foreach, Macro, MacroCall, Node, Symbol};
use super::expressions::Tall;
use super::parser::{Body, Parser};
use super::token::Kind;

/// An argument of a directive.
struct Argument {
    expression: Expression,
    /// Its first token and its last.
    first: usize,
    last: usize,
}

/// `#name` and its arguments.
struct Head<'s> {
    name: &'s str,
    /// The index of `#name`.
    index: usize,
    arguments: Vec<Argument>,
}

impl<'s> Parser<'s, '_> {
    pub(super) fn directive(&mut self, body: &mut Body) -> Result<(), SyntaxError> {
        let index = self.take();
        let image = self.image(index);
        let name = match self.kind(index) {
            Kind::BracketedWord => image.get(2..image.len() - 1),
            _ => image.get(1..),
        };
        let name = name.unwrap_or("");
        if matches!(name, "include" | "parse") {
            let message = format!("#{name} is not available in mapping templates");
            return Err(self.error_at(index, message));
        }
        self.lexer.enter_directive();
        if self.lexer.parenthesis_follows() {
            let arguments = self.arguments(name, index)?;
            return self.called(Head { name, index, arguments }, body);
        }
        self.lexer.pop();
        self.bare(name, index, body)
    }

    /// `#name` without parentheses.
    fn bare(&mut self, name: &'s str, index: usize, body: &mut Body) -> Result<(), SyntaxError> {
        match name {
            "break" => body.node(Node::Break(self.location(index), None)),
            "stop" => body.node(Node::Stop),
            "foreach" | "macro" | "define" | "literal" | "evaluate" => {
                return Err(self.error_at(index, format!("`#{name}` needs arguments: `(`")));
            }
            _ if name.starts_with('@') => {
                body.text("#");
                body.text(name);
            }
            _ => body.node(self.call(Head { name, index, arguments: Vec::new() }, None)),
        }
        Ok(())
    }

    fn arguments(&mut self, name: &str, index: usize) -> Result<Vec<Argument>, SyntaxError> {
        self.skip(Kind::Whitespace)?;
        self.expect(Kind::ParenthesisOpen, "`(`")?;
        let mut arguments = Vec::new();
        while self.argument_follows()? {
            self.skip(Kind::Whitespace)?;
            if self.skip(Kind::Comma)? {
                self.skip(Kind::Whitespace)?;
            }
            self.check_word(name, index, arguments.len())?;
            let first = self.position();
            let expression = self.nested(Self::argument)?.expression;
            arguments.push(Argument { expression, first, last: self.position() - 1 });
        }
        self.skip(Kind::Whitespace)?;
        self.expect(Kind::ParenthesisClose, "an argument or `)`")?;
        Ok(arguments)
    }

    fn argument(&mut self) -> Result<Tall, SyntaxError> {
        if self.peek()? == Kind::Word {
            let index = self.take();
            return Ok(Tall::leaf(Expression::Word(self.image(index).into())));
        }
        self.value()
    }

    /// Bare words are the name after `#macro(`, the `in` of `#foreach`, and what a macro that
    /// is not known yet is called with.
    fn check_word(&mut self, name: &str, index: usize, count: usize) -> Result<(), SyntaxError> {
        let word = self.peek()? == Kind::Word;
        let allowed = match (name, count) {
            ("macro", 0) if !word => {
                return Err(self.unexpected("the macro's name, without quotes,"));
            }
            ("macro", 0) | ("foreach", 1) => true,
            ("macro" | "foreach" | "literal" | "evaluate" | "break" | "define" | "stop", _) => {
                false
            }
            _ => !(self.in_string && self.shared.macros.contains_key(name)),
        };
        if word && !allowed {
            let called = self.image(index).trim();
            let wanted = format!("a value as an argument of `{called}`");
            return Err(self.unexpected(&wanted));
        }
        Ok(())
    }

    /// `#name(…)`, up to its `#end` if it has one.
    fn called(&mut self, head: Head<'s>, body: &mut Body) -> Result<(), SyntaxError> {
        match head.name {
            "foreach" => {
                let node = self.foreach(head)?;
                body.node(node);
            }
            "define" => {
                let node = self.define(head)?;
                body.node(node);
            }
            "macro" => self.define_macro(head)?,
            "literal" => {
                let text = self.literal_block(&head)?;
                body.text(&text);
            }
            "evaluate" => body.node(self.evaluate(head)?),
            "break" => {
                let location = self.location(head.index);
                body.node(Node::Break(location, self.at_most_one(head)?));
            }
            "stop" => {
                self.at_most_one(head)?;
                body.node(Node::Stop);
            }
            name if name.starts_with('@') => {
                let block = self.closed_block(&head)?;
                body.node(self.call(head, Some(block)));
            }
            _ => body.node(self.call(head, None)),
        }
        Ok(())
    }

    fn closed_block(&mut self, head: &Head<'_>) -> Result<Block, SyntaxError> {
        let block = self.block(head.index)?;
        self.end()?;
        Ok(block)
    }

    fn call(&mut self, head: Head<'_>, body: Option<Block>) -> Node {
        let literals = head.arguments.iter();
        let argument_literals =
            literals.map(|argument| self.literal(argument.first, argument.last)).collect();
        let name = if body.is_some() { head.name.get(1..).unwrap_or("") } else { head.name };
        Node::MacroCall(Box::new(MacroCall {
            name: name.into(),
            argument_literals,
            arguments: head.arguments.into_iter().map(|argument| argument.expression).collect(),
            body,
            literal: self.images(head.index, self.position() - 1),
            location: self.location(head.index),
        }))
    }

    fn foreach(&mut self, head: Head<'_>) -> Result<Node, SyntaxError> {
        let location = self.location(head.index);
        let block = self.closed_block(&head)?;
        let mut arguments = head.arguments.into_iter();
        let (Some(element), Some(_), Some(collection)) =
            (arguments.next(), arguments.next(), arguments.next())
        else {
            let message = "`#foreach` needs a reference, `in` and a collection";
            return Err(self.error_at(head.index, message));
        };
        let element = match element.expression {
            Expression::Reference(reference) => reference.root,
            _ => self.name_after_sigil(element.first),
        };
        let body = match arguments.next().map(|argument| argument.expression) {
            None => block,
            // Velocity takes what follows the collection for the block.
            Some(Expression::Reference(reference)) => Box::new([Node::Reference(reference)]),
            Some(_) => Box::default(),
        };
        let collection = collection.expression;
        Ok(Node::Foreach(Box::new(Foreach { element, collection, body, location })))
    }

    /// A token's image without its first character, whatever that is.
    fn name_after_sigil(&mut self, index: usize) -> Symbol {
        let mut name = self.image(index).chars();
        name.next();
        self.shared.symbol(name.as_str())
    }

    fn define(&mut self, head: Head<'_>) -> Result<Node, SyntaxError> {
        let block = self.closed_block(&head)?;
        let [name] = &*head.arguments else {
            return Err(self.error_at(head.index, "`#define` needs one argument, a reference"));
        };
        Ok(Node::Define(self.name_after_sigil(name.first), block))
    }

    fn define_macro(&mut self, head: Head<'s>) -> Result<(), SyntaxError> {
        let body = self.closed_block(&head)?;
        let Some((name, parameters)) = head.arguments.split_first() else {
            return Err(self.error_at(head.index, "`#macro` needs a name"));
        };
        let parameters = parameters.iter().map(|parameter| {
            let image = self.image(parameter.first);
            self.shared.symbol(image.strip_prefix('$').unwrap_or(image))
        });
        let parameters = parameters.collect();
        let name = self.image(name.first);
        self.macro_names.insert(name);
        self.shared.define(name, Macro { parameters, body });
        Ok(())
    }

    /// `#literal()…#end` has its block as text, or its first argument if it has one.
    fn literal_block(&mut self, head: &Head<'_>) -> Result<Box<str>, SyntaxError> {
        let first = self.position();
        self.closed_block(head)?;
        if let Some(argument) = head.arguments.first() {
            return Ok(self.literal(argument.first, argument.last));
        }
        let end = self.position() - 1;
        if end == first {
            // Velocity fails on it.
            return Err(self.error_at(head.index, "`#literal` needs text before its `#end`"));
        }
        Ok(self.literal(first, end - 1))
    }

    fn evaluate(&mut self, head: Head<'_>) -> Result<Node, SyntaxError> {
        let location = self.location(head.index);
        let index = head.index;
        let count = head.arguments.len();
        let argument = head.arguments.into_iter().next().map(|argument| argument.expression);
        match argument {
            Some(
                argument @ (Expression::String(_)
                | Expression::Interpolated(_)
                | Expression::Reference(_)),
            ) if count == 1 => {
                // What its text asks for isn't known yet.
                self.shared.counts = true;
                Ok(Node::Evaluate(Box::new((location, argument))))
            }
            _ => {
                Err(self.error_at(index, "`#evaluate` needs one argument, a string or a reference"))
            }
        }
    }

    fn at_most_one(&self, head: Head<'_>) -> Result<Option<Expression>, SyntaxError> {
        if head.arguments.len() > 1 {
            let message = format!("`#{}` takes one argument at most", head.name);
            return Err(self.error_at(head.index, message));
        }
        Ok(head.arguments.into_iter().next().map(|argument| argument.expression))
    }
}
