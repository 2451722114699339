//! Expressions: operators and their operands.

use super::SyntaxError;
use super::ast::{Binary, Expression, Location, Operator};
use super::parser::Parser;
use super::references::{Target, starts_value};
use super::token::Kind;

/// An expression and the nodes from its root to its deepest leaf.
pub(super) struct Tall {
    pub(super) expression: Expression,
    pub(super) height: usize,
}

impl Tall {
    pub(super) fn leaf(expression: Expression) -> Self {
        Self { expression, height: 1 }
    }
}

/// How tightly an operator binds, and the operator.
fn operator(kind: Kind) -> Option<(u8, Operator)> {
    Some(match kind {
        Kind::Or => (1, Operator::Or),
        Kind::And => (2, Operator::And),
        Kind::Equal => (3, Operator::Equal),
        Kind::NotEqual => (3, Operator::NotEqual),
        Kind::Less => (4, Operator::Less),
        Kind::LessOrEqual => (4, Operator::LessOrEqual),
        Kind::Greater => (4, Operator::Greater),
        Kind::GreaterOrEqual => (4, Operator::GreaterOrEqual),
        Kind::Plus => (5, Operator::Add),
        Kind::Minus => (5, Operator::Subtract),
        Kind::Multiply => (6, Operator::Multiply),
        Kind::Divide => (6, Operator::Divide),
        Kind::Remainder => (6, Operator::Remainder),
        _ => return None,
    })
}

impl Parser<'_, '_> {
    pub(super) fn expression(&mut self) -> Result<Tall, SyntaxError> {
        self.operands(1)
    }

    /// Operands joined by operators that bind at least as tightly as `tightness`.
    fn operands(&mut self, tightness: u8) -> Result<Tall, SyntaxError> {
        let mut left = self.unary()?;
        loop {
            let kind = self.peek()?;
            let Some((its_tightness, operator)) = operator(kind) else { return Ok(left) };
            if its_tightness < tightness {
                return Ok(left);
            }
            let index = self.take();
            let location = self.location(index);
            let right = self.operands(its_tightness + 1)?;
            left = if matches!(operator, Operator::Or | Operator::And) {
                let mut operands = vec![left, right];
                while self.skip(kind)? {
                    operands.push(self.operands(its_tightness + 1)?);
                }
                self.balanced(operator, operands, location)?
            } else {
                self.binary(operator, left, right, location)?
            };
        }
    }

    fn binary(
        &mut self,
        operator: Operator,
        left: Tall,
        right: Tall,
        location: Location,
    ) -> Result<Tall, SyntaxError> {
        let height = self.check_height(left.height.max(right.height) + 1)?;
        let (left, right) = (left.expression, right.expression);
        let expression = Expression::Binary(Box::new(Binary { operator, left, right, location }));
        Ok(Tall { expression, height })
    }

    /// `&&` and `||` mean the same however they are grouped: a flat tree takes a long row.
    fn balanced(
        &mut self,
        operator: Operator,
        mut operands: Vec<Tall>,
        location: Location,
    ) -> Result<Tall, SyntaxError> {
        while operands.len() > 1 {
            let mut pairs = Vec::with_capacity(operands.len() / 2 + 1);
            let mut remaining = operands.into_iter();
            while let Some(left) = remaining.next() {
                pairs.push(match remaining.next() {
                    Some(right) => self.binary(operator, left, right, location)?,
                    None => left,
                });
            }
            operands = pairs;
        }
        operands.pop().ok_or_else(|| self.unexpected("a value"))
    }

    fn unary(&mut self) -> Result<Tall, SyntaxError> {
        let mut negations = 0;
        loop {
            let not = match self.peek()? {
                Kind::Not => true,
                Kind::Whitespace => self.peek_at(1)? == Kind::Not,
                _ => false,
            };
            if !not {
                break;
            }
            self.skip(Kind::Whitespace)?;
            self.take();
            negations += 1;
            self.check_height(negations)?;
        }
        let mut operand = self.primary()?;
        for _ in 0..negations {
            operand.height = self.check_height(operand.height + 1)?;
            operand.expression = Expression::Not(Box::new(operand.expression));
        }
        Ok(operand)
    }

    fn primary(&mut self) -> Result<Tall, SyntaxError> {
        self.skip(Kind::Whitespace)?;
        let operand = if self.skip(Kind::ParenthesisOpen)? {
            let inner = self.nested(Self::expression)?;
            self.expect(Kind::ParenthesisClose, "an operator or `)`")?;
            inner
        } else {
            self.value()?
        };
        self.skip(Kind::Whitespace)?;
        Ok(operand)
    }

    /// A value with white space around it.
    pub(super) fn parameter(&mut self) -> Result<Tall, SyntaxError> {
        self.skip(Kind::Whitespace)?;
        let value = self.value()?;
        self.skip(Kind::Whitespace)?;
        Ok(value)
    }

    pub(super) fn value(&mut self) -> Result<Tall, SyntaxError> {
        match self.peek()? {
            Kind::String => {
                let index = self.take();
                self.string(index)
            }
            Kind::Integer => {
                let index = self.take();
                self.integer(index).map(Tall::leaf)
            }
            Kind::FloatingPoint => {
                let index = self.take();
                self.floating_point(index).map(Tall::leaf)
            }
            Kind::True => {
                self.take();
                Ok(Tall::leaf(Expression::Boolean(true)))
            }
            Kind::False => {
                self.take();
                Ok(Tall::leaf(Expression::Boolean(false)))
            }
            Kind::Identifier | Kind::CurlyOpen => self.reference_value(),
            Kind::BracketOpen => self.nested(Self::list_or_range),
            Kind::MapOpen => self.nested(Self::map),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn reference_value(&mut self) -> Result<Tall, SyntaxError> {
        let first = self.position();
        let parsed = self.reference()?;
        let reference = match parsed.target {
            Target::Value(reference) => reference,
            Target::Nothing { .. } => self.nothing(first),
        };
        Ok(Tall { expression: Expression::Reference(reference), height: parsed.height })
    }

    fn list_or_range(&mut self) -> Result<Tall, SyntaxError> {
        self.take();
        if self.skip(Kind::BracketClose)? {
            return Ok(Tall::leaf(Expression::List(Box::default())));
        }
        self.skip(Kind::Whitespace)?;
        let may_be_range = is_range_end(self.peek()?);
        let first = self.parameter()?;
        if may_be_range && self.skip(Kind::DoubleDot)? {
            return self.range(first);
        }
        let mut height = first.height;
        let mut items = vec![first.expression];
        while self.skip(Kind::Comma)? {
            let item = self.parameter()?;
            height = height.max(item.height);
            items.push(item.expression);
        }
        self.expect(Kind::BracketClose, "`,` or `]`")?;
        let expression = Expression::List(items.into_boxed_slice());
        Ok(Tall { expression, height: self.check_height(height + 1)? })
    }

    fn range(&mut self, from: Tall) -> Result<Tall, SyntaxError> {
        self.skip(Kind::Whitespace)?;
        if !is_range_end(self.peek()?) {
            return Err(self.unexpected("an integer or a reference"));
        }
        let to = self.parameter()?;
        self.expect(Kind::BracketClose, "`]`")?;
        let height = self.check_height(from.height.max(to.height) + 1)?;
        let expression = Expression::Range(Box::new((from.expression, to.expression)));
        Ok(Tall { expression, height })
    }

    fn map(&mut self) -> Result<Tall, SyntaxError> {
        self.take();
        let blank = usize::from(self.peek()? == Kind::Whitespace);
        let mut entries = Vec::new();
        let mut height = 0;
        if matches!(self.peek_at(blank)?, Kind::MapClose | Kind::CurlyClose) {
            self.skip(Kind::Whitespace)?;
        } else {
            loop {
                let key = self.parameter()?;
                self.expect(Kind::Colon, "`:`")?;
                let value = self.parameter()?;
                height = height.max(key.height).max(value.height);
                entries.push((key.expression, value.expression));
                if !self.skip(Kind::Comma)? {
                    break;
                }
            }
        }
        // After a reference, `}` is another token than after a literal.
        if !self.skip(Kind::CurlyClose)? {
            self.expect(Kind::MapClose, "`,` or `}`")?;
        }
        let expression = Expression::Map(entries.into_boxed_slice());
        Ok(Tall { expression, height: self.check_height(height + 1)? })
    }

    /// Whether the next tokens are another argument of a directive, perhaps after a comma.
    pub(super) fn argument_follows(&mut self) -> Result<bool, SyntaxError> {
        let blank = usize::from(self.peek()? == Kind::Whitespace);
        let kind = self.peek_at(blank)?;
        Ok(kind == Kind::Comma || kind == Kind::Word || starts_value(kind))
    }
}

fn is_range_end(kind: Kind) -> bool {
    matches!(kind, Kind::Integer | Kind::Identifier | Kind::CurlyOpen)
}
