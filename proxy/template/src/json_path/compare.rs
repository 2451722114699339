//! Decides filters: what their operators say of two values.

use std::cmp::Ordering;

use super::decimal::{Decimal, big_decimal_text};
use super::evaluate::{Evaluation, Stop};
use super::filter::{Condition, Operand, Operator};
use super::literal::Literal;
use super::pattern::Pattern;
use crate::limits::{Budget, MAX_JSON_NESTING};
use crate::methods::write_text;
use crate::value::{Key, Number, Value};

/// An operand with its value.
enum Operated<'p, 't> {
    /// The path finds nothing.
    Missing,
    Value(Value<'t>),
    Literal(&'p Literal),
    Pattern(&'p Pattern),
}

/// What operators tell apart, for values and literals alike.
#[derive(Clone, Copy)]
enum View<'v> {
    Missing,
    Null,
    Boolean(bool),
    Number(&'v Number),
    Text(&'v str),
    List,
    Map,
    Pattern(&'v Pattern),
}

impl<'t> Evaluation<'_, 't> {
    /// Whether a filter lets an item through. A comparison that makes no sense is false for the
    /// whole filter, even below `!`, because Jayway throws there and takes that for false.
    pub(super) fn accepts(
        &mut self,
        condition: &Condition,
        item: &Value<'t>,
    ) -> Result<bool, Stop> {
        match self.holds(condition, item) {
            Err(Stop::Unfit) => Ok(false),
            holds => holds,
        }
    }

    fn holds(&mut self, condition: &Condition, item: &Value<'t>) -> Result<bool, Stop> {
        self.budget.steps(1)?;
        match condition {
            Condition::Any(conditions) => {
                for condition in conditions {
                    if self.holds(condition, item)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Condition::All(conditions) => {
                for condition in conditions {
                    if !self.holds(condition, item)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Condition::Not(condition) => Ok(!self.holds(condition, item)?),
            Condition::Exists { path, wanted } => Ok(self.exists(path, item)? == *wanted),
            Condition::Relation(relation) => {
                let left = self.operand(&relation.left, item)?;
                let right = self.operand(&relation.right, item)?;
                relate(&left, relation.operator, &right, self.budget)
            }
        }
    }

    fn operand<'p>(
        &mut self,
        operand: &'p Operand,
        item: &Value<'t>,
    ) -> Result<Operated<'p, 't>, Stop> {
        Ok(match operand {
            Operand::Literal(literal) => Operated::Literal(literal),
            Operand::Pattern(pattern) => Operated::Pattern(pattern),
            Operand::Path(path) => match self.find(path, item) {
                Ok(Some(value)) => Operated::Value(value),
                Ok(None) | Err(Stop::Unfit) => Operated::Missing,
                Err(limit) => return Err(limit),
            },
        })
    }
}

impl<'p, 't> Operated<'p, 't> {
    fn view(&self) -> View<'_> {
        match self {
            Self::Missing => View::Missing,
            Self::Pattern(pattern) => View::Pattern(pattern),
            Self::Value(Value::Null) | Self::Literal(Literal::Null) => View::Null,
            Self::Value(Value::Boolean(boolean)) | Self::Literal(Literal::Boolean(boolean)) => {
                View::Boolean(*boolean)
            }
            Self::Value(Value::Number(number)) | Self::Literal(Literal::Number(number)) => {
                View::Number(number)
            }
            Self::Value(Value::String(text)) => View::Text(text.as_str()),
            Self::Literal(Literal::Text(text)) => View::Text(text),
            Self::Value(Value::List(_)) | Self::Literal(Literal::List(_)) => View::List,
            Self::Value(Value::Map(_)) | Self::Literal(Literal::Map(_)) => View::Map,
            Self::Value(_) => View::Missing,
        }
    }

    /// The length of a list or an object.
    fn length(&self) -> usize {
        match self {
            Self::Value(Value::List(list)) => list.len(),
            Self::Value(Value::Map(map)) => map.len(),
            Self::Literal(Literal::List(items)) => items.len(),
            Self::Literal(Literal::Map(members)) => members.len(),
            _ => 0,
        }
    }

    /// The item of a list, or the value of an object's member.
    fn part(&self, index: usize) -> Operated<'p, 't> {
        let value = |value: Option<&Value<'t>>| match value {
            Some(value) => Operated::Value(value.clone()),
            None => Operated::Missing,
        };
        let literal = |literal: Option<&'p Literal>| match literal {
            Some(literal) => Operated::Literal(literal),
            None => Operated::Missing,
        };
        match self {
            Self::Value(Value::List(list)) => value(list.items.borrow().get(index)),
            Self::Value(Value::Map(map)) => {
                value(map.entries.borrow().get_index(index).map(|(_, value)| value))
            }
            Self::Literal(Literal::List(items)) => literal(items.get(index)),
            Self::Literal(Literal::Map(members)) => {
                literal(members.get(index).map(|(_, value)| value))
            }
            _ => Operated::Missing,
        }
    }

    /// Where this object has the name that the other has at `index`.
    fn position_of(&self, other: &Operated<'_, '_>, index: usize) -> Option<usize> {
        match other {
            Operated::Value(Value::Map(map)) => match map.entries.borrow().get_index(index)?.0 {
                Key::String(name) => self.position(name.as_str()),
                _ => None,
            },
            Operated::Literal(Literal::Map(members)) => self.position(&members.get(index)?.0),
            _ => None,
        }
    }

    fn position(&self, name: &str) -> Option<usize> {
        match self {
            Self::Value(Value::Map(map)) => map.entries.borrow().get_index_of(name),
            Self::Literal(Literal::Map(members)) => {
                members.iter().rposition(|(member, _)| **member == *name)
            }
            _ => None,
        }
    }

    /// Whether the test holds for an item of a list. An object has none; what is neither makes
    /// Jayway throw.
    fn any(
        &self,
        budget: &mut Budget,
        test: &mut dyn FnMut(&Operated<'p, 't>, &mut Budget) -> Result<bool, Stop>,
    ) -> Result<bool, Stop> {
        match self.view() {
            View::List => {}
            View::Map => return Ok(false),
            _ => return Err(Stop::Unfit),
        }
        for index in 0..self.length() {
            if test(&self.part(index), budget)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn relate(
    left: &Operated<'_, '_>,
    operator: Operator,
    right: &Operated<'_, '_>,
    budget: &mut Budget,
) -> Result<bool, Stop> {
    let mut ordered = |wanted: fn(Ordering) -> bool| {
        Ok(order(left.view(), right.view(), budget)?.is_some_and(wanted))
    };
    match operator {
        Operator::Less => ordered(Ordering::is_lt),
        Operator::LessOrEqual => ordered(Ordering::is_le),
        Operator::Greater => ordered(Ordering::is_gt),
        Operator::GreaterOrEqual => ordered(Ordering::is_ge),
        Operator::Equal => equal(left, right, budget, 0),
        Operator::NotEqual => Ok(!equal(left, right, budget, 0)?),
        Operator::SameTypeEqual => same_type_equal(left, right, budget),
        Operator::SameTypeNotEqual => Ok(!same_type_equal(left, right, budget)?),
        Operator::Matches => matches_pattern(left, right, budget),
        Operator::In => is_in(left, right, budget),
        Operator::NotIn => Ok(!is_in(left, right, budget)?),
        Operator::Contains => contains(left, right, budget),
        Operator::ContainsAll => subset(right, left, budget),
        Operator::SubsetOf => subset(left, right, budget),
        Operator::AnyOf => left.any(budget, &mut |item, budget| is_in(item, right, budget)),
        Operator::NoneOf => none_of(left, right, budget),
        Operator::Size => Ok(has_size(left, right)),
        Operator::Empty => is_empty(left, right),
    }
}

fn equal(
    left: &Operated<'_, '_>,
    right: &Operated<'_, '_>,
    budget: &mut Budget,
    nesting: usize,
) -> Result<bool, Stop> {
    budget.steps(1)?;
    Ok(match (left.view(), right.view()) {
        (View::Null, View::Null) => true,
        (View::Boolean(left), View::Boolean(right)) => left == right,
        (View::Text(left), View::Text(right)) => left == right,
        (View::Number(left), View::Number(right)) => {
            compare_numbers(left, right, budget)? == Some(Ordering::Equal)
        }
        (View::Text(text), View::Number(number)) => {
            text == big_decimal_text(&number_text(number, budget)?)
        }
        (View::Number(number), View::Text(text)) => {
            budget.steps(text.len() as u64 / 64)?;
            match (Decimal::parse(&number_text(number, budget)?), Decimal::parse(text)) {
                (Some(number), Some(text)) => number.compare(&text).is_eq(),
                _ => false,
            }
        }
        (View::List, View::List) | (View::Map, View::Map) if nesting < MAX_JSON_NESTING => {
            equal_parts(left, right, budget, nesting + 1)?
        }
        _ => false,
    })
}

fn equal_parts(
    left: &Operated<'_, '_>,
    right: &Operated<'_, '_>,
    budget: &mut Budget,
    nesting: usize,
) -> Result<bool, Stop> {
    if left.length() != right.length() {
        return Ok(false);
    }
    for index in 0..left.length() {
        let other = match left.view() {
            View::Map => right.position_of(left, index),
            _ => Some(index),
        };
        let Some(other) = other else { return Ok(false) };
        if !equal(&left.part(index), &right.part(other), budget, nesting)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn same_type_equal(
    left: &Operated<'_, '_>,
    right: &Operated<'_, '_>,
    budget: &mut Budget,
) -> Result<bool, Stop> {
    match (left.view(), right.view()) {
        (View::Text(_), View::Number(_)) | (View::Number(_), View::Text(_)) => Ok(false),
        _ => equal(left, right, budget, 0),
    }
}

/// Numbers and texts have an order, among themselves.
fn order(left: View<'_>, right: View<'_>, budget: &mut Budget) -> Result<Option<Ordering>, Stop> {
    match (left, right) {
        (View::Number(left), View::Number(right)) => compare_numbers(left, right, budget),
        // Java compares UTF-16 units.
        (View::Text(left), View::Text(right)) => {
            Ok(Some(left.encode_utf16().cmp(right.encode_utf16())))
        }
        _ => Ok(None),
    }
}

/// `None` for infinity, which Java's `BigDecimal` does not take.
fn compare_numbers(
    left: &Number,
    right: &Number,
    budget: &mut Budget,
) -> Result<Option<Ordering>, Stop> {
    if let (Some(left), Some(right)) = (small_integer(left), small_integer(right)) {
        return Ok(Some(left.cmp(&right)));
    }
    if let (Some(left), Some(right)) = (exact_double(left), exact_double(right)) {
        return Ok(left.partial_cmp(&right));
    }
    let left = Decimal::parse(&number_text(left, budget)?);
    let right = Decimal::parse(&number_text(right, budget)?);
    Ok(left.zip(right).map(|(left, right)| left.compare(&right)))
}

fn small_integer(number: &Number) -> Option<i64> {
    match number {
        Number::Integer(integer) => Some((*integer).into()),
        Number::Long(long) => Some(*long),
        _ => None,
    }
}

fn exact_double(number: &Number) -> Option<f64> {
    match number {
        Number::Integer(integer) => Some((*integer).into()),
        Number::Double(double) if double.is_finite() => Some(*double),
        _ => None,
    }
}

fn number_text(number: &Number, budget: &mut Budget) -> Result<String, Stop> {
    let mut text = String::new();
    write_text(&Value::Number(number.clone()), &mut text, budget)?;
    Ok(text)
}

fn matches_pattern(
    left: &Operated<'_, '_>,
    right: &Operated<'_, '_>,
    budget: &mut Budget,
) -> Result<bool, Stop> {
    match (left.view(), right.view()) {
        (View::Pattern(_), View::Pattern(_)) => Ok(false),
        (View::Pattern(pattern), _) => matches_any(pattern, right, budget),
        (_, View::Pattern(pattern)) => matches_any(pattern, left, budget),
        _ => Ok(false),
    }
}

/// Whether the pattern matches the operand, or an item if it is a list.
fn matches_any(
    pattern: &Pattern,
    operand: &Operated<'_, '_>,
    budget: &mut Budget,
) -> Result<bool, Stop> {
    match operand.view() {
        View::List => {
            operand.any(budget, &mut |item, budget| matches_text(pattern, item.view(), budget))
        }
        view => matches_text(pattern, view, budget),
    }
}

/// What is neither text, number nor boolean counts as empty text.
fn matches_text(pattern: &Pattern, view: View<'_>, budget: &mut Budget) -> Result<bool, Stop> {
    let text = match view {
        View::Text(text) => text,
        View::Number(number) => &big_decimal_text(&number_text(number, budget)?),
        View::Boolean(true) => "true",
        View::Boolean(false) => "false",
        _ => "",
    };
    budget.steps(1 + text.len() as u64 / 8)?;
    Ok(pattern.matches(text)?)
}

fn is_in(
    item: &Operated<'_, '_>,
    list: &Operated<'_, '_>,
    budget: &mut Budget,
) -> Result<bool, Stop> {
    list.any(budget, &mut |other, budget| equal(item, other, budget, 0))
}

fn contains(
    left: &Operated<'_, '_>,
    right: &Operated<'_, '_>,
    budget: &mut Budget,
) -> Result<bool, Stop> {
    match (left.view(), right.view()) {
        (View::Text(left), View::Text(right)) => {
            budget.steps(left.len() as u64 / 64)?;
            Ok(left.contains(right))
        }
        (View::List, _) => is_in(right, left, budget),
        _ => Ok(false),
    }
}

fn subset(
    part: &Operated<'_, '_>,
    whole: &Operated<'_, '_>,
    budget: &mut Budget,
) -> Result<bool, Stop> {
    match (part.view(), whole.view()) {
        (View::List, View::List) => {
            Ok(!part.any(budget, &mut |item, budget| Ok(!is_in(item, whole, budget)?))?)
        }
        _ => Ok(false),
    }
}

fn none_of(
    left: &Operated<'_, '_>,
    right: &Operated<'_, '_>,
    budget: &mut Budget,
) -> Result<bool, Stop> {
    match (left.view(), right.view()) {
        (View::List, View::List) => {
            Ok(!left.any(budget, &mut |item, budget| is_in(item, right, budget))?)
        }
        _ => Ok(false),
    }
}

/// Objects have no size for Jayway.
fn has_size(left: &Operated<'_, '_>, right: &Operated<'_, '_>) -> bool {
    let View::Number(size) = right.view() else { return false };
    let Some(size) = small_integer(size) else { return false };
    let length = match left.view() {
        View::Text(text) => text.encode_utf16().count(),
        View::List => left.length(),
        _ => return false,
    };
    i64::try_from(length) == Ok(size)
}

fn is_empty(left: &Operated<'_, '_>, right: &Operated<'_, '_>) -> Result<bool, Stop> {
    let empty = match left.view() {
        View::Text(text) => text.is_empty(),
        View::List | View::Map => left.length() == 0,
        _ => return Ok(false),
    };
    match right.view() {
        View::Boolean(wanted) => Ok(empty == wanted),
        _ => Err(Stop::Unfit),
    }
}
