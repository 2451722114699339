//! Expressions: their values, and as conditions.

use super::arithmetic::calculate;
use super::{Outcome, Renderer, scope};
use crate::syntax::ast::{Accessor, Binary, Expression, Node, Operator, Reference};
use crate::value::{Entries, Hashing, ListKind, MapKind, Value};

impl<'t> Renderer<'t> {
    pub(super) fn value(&mut self, expression: &'t Expression) -> Outcome<'t, Value<'t>> {
        self.budget.steps(1)?;
        match expression {
            Expression::String(text) => Ok(Value::from(&**text)),
            Expression::Number(number) => Ok(number.clone().into()),
            Expression::Boolean(value) => Ok((*value).into()),
            // Velocity only allows words among a macro's arguments, where they are refused.
            Expression::Word(_) => Ok(Value::Null),
            Expression::Reference(reference) => {
                self.nested(|renderer| renderer.reference(reference))
            }
            compound => self.nested(|renderer| renderer.compound(compound)),
        }
    }

    fn compound(&mut self, expression: &'t Expression) -> Outcome<'t, Value<'t>> {
        match expression {
            Expression::Interpolated(block) => self.interpolated(block),
            Expression::List(items) => self.list(items),
            Expression::Map(entries) => self.map(entries),
            Expression::Range(range) => self.range(range),
            Expression::Not(operand) => Ok((!self.condition(operand)?).into()),
            Expression::Binary(binary) => match binary.operator {
                Operator::Add
                | Operator::Subtract
                | Operator::Multiply
                | Operator::Divide
                | Operator::Remainder => self.arithmetic(binary),
                _ => Ok(self.binary_condition(binary)?.into()),
            },
            _ => Ok(Value::Null),
        }
    }

    /// A condition is true for a reference to anything but null and `false`; other values than
    /// references and comparisons are false, whatever they are.
    pub(super) fn condition(&mut self, expression: &'t Expression) -> Outcome<'t, bool> {
        self.budget.steps(1)?;
        match expression {
            Expression::Boolean(value) => Ok(*value),
            Expression::Not(operand) => self.nested(|renderer| Ok(!renderer.condition(operand)?)),
            Expression::Binary(binary) => self.nested(|renderer| renderer.binary_condition(binary)),
            Expression::Reference(reference) => self.reference_condition(reference),
            _ => Ok(false),
        }
    }

    fn reference_condition(&mut self, reference: &'t Reference) -> Outcome<'t, bool> {
        match (self.variables.value(reference.root), &*reference.accessors) {
            (Some(Value::Boolean(value)), []) => return Ok(*value),
            (Some(Value::String(_)), []) => return Ok(true),
            (Some(Value::Scope(scope)), [Accessor::Property(name, _)]) => {
                if let Some(value) = scope::flag(scope, name) {
                    return Ok(value);
                }
            }
            _ => {}
        }
        match self.reference(reference)? {
            Value::Null => Ok(false),
            Value::Boolean(value) => Ok(value),
            // Velocity asks for its text, which runs the block.
            Value::Block(block) => {
                let mut rendered = false;
                self.captured(|renderer| {
                    rendered = renderer.render_block_reference(&block)?;
                    Ok(())
                })?;
                Ok(rendered)
            }
            _ => Ok(true),
        }
    }

    fn binary_condition(&mut self, binary: &'t Binary) -> Outcome<'t, bool> {
        let (left, right) = (&binary.left, &binary.right);
        match binary.operator {
            Operator::Or => Ok(self.condition(left)? || self.condition(right)?),
            Operator::And => Ok(self.condition(left)? && self.condition(right)?),
            Operator::Equal => self.equal(left, right),
            Operator::NotEqual => Ok(!self.equal(left, right)?),
            Operator::Less => Ok(self.compare(binary)?.is_some_and(|order| order.is_lt())),
            Operator::LessOrEqual => Ok(self.compare(binary)?.is_some_and(|order| order.is_le())),
            Operator::Greater => Ok(self.compare(binary)?.is_some_and(|order| order.is_gt())),
            Operator::GreaterOrEqual => {
                Ok(self.compare(binary)?.is_some_and(|order| order.is_ge()))
            }
            // A number is no condition.
            _ => Ok(false),
        }
    }

    /// `+` joins if either side is a string. Anything else that isn't a number makes null.
    fn arithmetic(&mut self, binary: &'t Binary) -> Outcome<'t, Value<'t>> {
        let left = self.value(&binary.left)?;
        let right = self.value(&binary.right)?;
        self.location = binary.location;
        match (&left, &right, binary.operator) {
            (Value::String(_), _, Operator::Add) | (_, Value::String(_), Operator::Add) => {
                let text = self.captured(|renderer| {
                    renderer.write(&left)?;
                    renderer.write(&right)
                })?;
                Ok(text.into())
            }
            (Value::Number(left), Value::Number(right), operator) => {
                let result = calculate(operator, left, right, &mut self.budget)?;
                Ok(result.map_or(Value::Null, Value::Number))
            }
            _ => Ok(Value::Null),
        }
    }

    fn interpolated(&mut self, block: &'t [Node]) -> Outcome<'t, Value<'t>> {
        if let [Node::Reference(reference)] = block
            && !reference.escaped
            && reference.prefix.is_empty()
        {
            let value = self.reference(reference)?;
            return Ok(self.text_of(&value)?.into());
        }
        let text = self.captured(|renderer| renderer.block(block))?;
        Ok(text.into())
    }

    fn list(&mut self, items: &'t [Expression]) -> Outcome<'t, Value<'t>> {
        self.budget.allocate(items.len().saturating_mul(size_of::<Value<'_>>()))?;
        let values: Result<Vec<_>, _> = items.iter().map(|item| self.value(item)).collect();
        Ok(Value::list(ListKind::Java, values?))
    }

    fn map(&mut self, entries: &'t [(Expression, Expression)]) -> Outcome<'t, Value<'t>> {
        self.budget.allocate(entries.len().saturating_mul(2 * size_of::<Value<'_>>()))?;
        let mut map = Entries::with_capacity_and_hasher(entries.len(), Hashing::default());
        for (key, value) in entries {
            let key = self.value(key)?.to_key(&mut self.budget)?;
            let value = self.value(value)?;
            map.insert(key, value);
        }
        Ok(Value::map(MapKind::Java, map))
    }

    fn range(&mut self, range: &'t (Expression, Expression)) -> Outcome<'t, Value<'t>> {
        let Some((first, last)) = self.range_bounds(range)? else { return Ok(Value::Null) };
        let length = usize::try_from(first.abs_diff(last)).unwrap_or(usize::MAX);
        let bytes = length.saturating_add(1).saturating_mul(size_of::<Value<'_>>());
        self.budget.allocate(bytes)?;
        let values = if first >= last {
            (last..=first).rev().map(Value::from).collect()
        } else {
            (first..=last).map(Value::from).collect()
        };
        Ok(Value::list(ListKind::Java, values))
    }

    /// `None`: one of them is no number.
    pub(super) fn range_bounds(
        &mut self,
        range: &'t (Expression, Expression),
    ) -> Outcome<'t, Option<(i32, i32)>> {
        let first = self.value(&range.0)?;
        let last = self.value(&range.1)?;
        Ok(match (first, last) {
            (Value::Number(first), Value::Number(last)) => Some((first.to_i32(), last.to_i32())),
            _ => None,
        })
    }
}
