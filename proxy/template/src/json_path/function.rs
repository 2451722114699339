//! Functions at a path's end: `$.prices.max()`, `$..price.sum()`, `$.concat($.a, "-", $.b)`.

use super::evaluate::{Evaluation, Stop};
use super::literal::Literal;
use super::parse::{Parser, Place};
use super::{JsonPath, JsonPathError, Root, Token};
use crate::json;
use crate::methods::write_text;
use crate::value::{Key, List, ListKind, Number, Text, Value};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Function {
    name: Name,
    arguments: Box<[Argument]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Minimum,
    Maximum,
    Average,
    StandardDeviation,
    Sum,
    Length,
    Concatenation,
    Keys,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Argument {
    Path(JsonPath),
    Literal(Literal),
}

/// The numbers an aggregation has met.
#[derive(Default)]
struct Numbers {
    count: f64,
    sum: f64,
    squares: f64,
    minimum: f64,
    maximum: f64,
}

impl Parser<'_> {
    /// What follows the `(` of a function, up to and with its `)`.
    pub(super) fn arguments(&mut self) -> Result<Vec<Argument>, JsonPathError> {
        let mut arguments = Vec::new();
        self.skip_space();
        if self.take(")") {
            return Ok(arguments);
        }
        loop {
            self.skip_space();
            arguments.push(match self.peek() {
                Some('$' | '@') => Argument::Path(self.path(Place::Argument)?),
                _ => Argument::Literal(self.literal()?),
            });
            self.skip_space();
            if self.take(")") {
                return Ok(arguments);
            }
            self.expect(",")?;
        }
    }
}

impl Function {
    pub(super) fn new(name: &str, arguments: Vec<Argument>) -> Option<Self> {
        let name = match name {
            "min" => Name::Minimum,
            "max" => Name::Maximum,
            "avg" => Name::Average,
            "stddev" => Name::StandardDeviation,
            "sum" => Name::Sum,
            "length" | "size" => Name::Length,
            "concat" => Name::Concatenation,
            "keys" => Name::Keys,
            _ => return None,
        };
        Some(Self { name, arguments: arguments.into() })
    }

    /// The function over everything a deep scan finds. Jayway's `length()` counts the children
    /// of what is found.
    pub(super) fn over_scan(self, root: Root, mut scan: Vec<Token>) -> Self {
        if self.name == Name::Length {
            scan.pop();
            scan.push(Token::Wildcard);
        }
        let mut arguments = vec![Argument::Path(JsonPath::new(root, scan))];
        arguments.extend(self.arguments);
        Self { name: self.name, arguments: arguments.into() }
    }

    /// What the function makes of a value. Jayway throws where there are no numbers.
    pub(super) fn call<'t>(
        &self,
        value: &Value<'t>,
        evaluation: &mut Evaluation<'_, 't>,
    ) -> Result<Value<'t>, Stop> {
        match self.name {
            Name::Length => self.length(value, evaluation),
            Name::Concatenation => self.concatenation(value, evaluation),
            Name::Keys => keys(value, evaluation),
            aggregation => self.aggregation(aggregation, value, evaluation),
        }
    }

    fn length<'t>(
        &self,
        value: &Value<'t>,
        evaluation: &mut Evaluation<'_, 't>,
    ) -> Result<Value<'t>, Stop> {
        if let Some(Argument::Path(path)) = self.arguments.first()
            && let Ok(Some(Value::List(list))) = evaluation.find(path, value)
        {
            return Ok(integer(list.len()));
        }
        Ok(match value {
            Value::List(list) => integer(list.len()),
            Value::Map(map) => integer(map.len()),
            _ => Value::Null,
        })
    }

    fn concatenation<'t>(
        &self,
        value: &Value<'t>,
        evaluation: &mut Evaluation<'_, 't>,
    ) -> Result<Value<'t>, Stop> {
        let mut text = String::new();
        if let Value::List(list) = value {
            for item in list.items.borrow().iter() {
                if let Value::String(item) = item {
                    text.push_str(item.as_str());
                }
            }
        }
        for argument in &self.arguments {
            match argument {
                Argument::Path(path) => {
                    let found = evaluation.find(path, value)?;
                    push_strings(&found.unwrap_or(Value::Null), &mut text, evaluation)?;
                }
                Argument::Literal(literal) => push_literal(literal, &mut text),
            }
            evaluation.budget.allocate(text.len())?;
        }
        Ok(Value::String(Text::Shared(text.into())))
    }

    fn aggregation<'t>(
        &self,
        name: Name,
        value: &Value<'t>,
        evaluation: &mut Evaluation<'_, 't>,
    ) -> Result<Value<'t>, Stop> {
        let mut numbers = Numbers::default();
        if let Value::List(_) = value {
            numbers.add_value(value, evaluation)?;
        }
        for argument in &self.arguments {
            match argument {
                Argument::Path(path) => {
                    let found = evaluation.find(path, value)?;
                    numbers.add_value(&found.unwrap_or(Value::Null), evaluation)?;
                }
                Argument::Literal(Literal::Number(number)) => {
                    numbers.add(&Value::Number(number.clone()), evaluation)?;
                }
                Argument::Literal(_) => {}
            }
        }
        numbers.result(name).map(|result| Value::Number(Number::Double(result))).ok_or(Stop::Unfit)
    }
}

impl Numbers {
    /// A number, or the numbers of a list.
    fn add_value<'t>(
        &mut self,
        value: &Value<'t>,
        evaluation: &mut Evaluation<'_, 't>,
    ) -> Result<(), Stop> {
        if let Value::List(list) = value {
            for item in list.items.borrow().iter() {
                self.add(item, evaluation)?;
            }
            return Ok(());
        }
        self.add(value, evaluation)
    }

    fn add(&mut self, value: &Value<'_>, evaluation: &mut Evaluation<'_, '_>) -> Result<(), Stop> {
        evaluation.budget.steps(1)?;
        let double = match value {
            Value::Number(Number::Integer(integer)) => f64::from(*integer),
            Value::Number(Number::Double(double)) => *double,
            Value::Number(_) => {
                let mut text = String::new();
                write_text(value, &mut text, evaluation.budget)?;
                text.parse().unwrap_or(f64::NAN)
            }
            _ => return Ok(()),
        };
        self.minimum = if self.count == 0.0 { double } else { self.minimum.min(double) };
        self.maximum = if self.count == 0.0 { double } else { self.maximum.max(double) };
        self.count += 1.0;
        self.sum += double;
        self.squares += double * double;
        Ok(())
    }

    fn result(&self, name: Name) -> Option<f64> {
        let mean = self.sum / self.count;
        (self.count > 0.0).then(|| match name {
            Name::Minimum => self.minimum,
            Name::Maximum => self.maximum,
            Name::Average => mean,
            Name::StandardDeviation => (self.squares / self.count - mean * mean).sqrt(),
            Name::Sum | Name::Length | Name::Concatenation | Name::Keys => self.sum,
        })
    }
}

fn keys<'t>(value: &Value<'t>, evaluation: &mut Evaluation<'_, 't>) -> Result<Value<'t>, Stop> {
    let Value::Map(map) = value else { return Ok(Value::Null) };
    let entries = map.entries.borrow();
    evaluation.budget.allocate(entries.len().saturating_mul(size_of::<Value<'_>>()))?;
    let names = entries.keys().filter_map(|key| match key {
        Key::String(text) => Some(Value::String(text.clone())),
        _ => None,
    });
    Ok(Value::List(List::new(ListKind::Json, names.collect())))
}

fn push_strings(
    value: &Value<'_>,
    text: &mut String,
    evaluation: &mut Evaluation<'_, '_>,
) -> Result<(), Stop> {
    match value {
        Value::String(string) => text.push_str(string.as_str()),
        Value::List(list) => {
            for item in list.items.borrow().iter().filter(|item| !matches!(item, Value::Null)) {
                evaluation.budget.steps(1)?;
                write_text(item, text, evaluation.budget)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn push_literal(literal: &Literal, text: &mut String) {
    match literal {
        Literal::Text(string) => text.push_str(string),
        Literal::List(items) => items.iter().for_each(|item| push_literal(item, text)),
        _ => {}
    }
}

fn integer<'t>(length: usize) -> Value<'t> {
    Value::Number(json::number(&length.to_string()).unwrap_or(Number::Integer(0)))
}
