//! `Condition`: operators, their set forms and `…IfExists`.

use std::net::IpAddr;

use crate::date;
use crate::network::Network;
use crate::pattern::{Case, Syntax, Text};
use crate::policy::{Effect, Request, any_matches};

/// One key of one operator: holds for any of its values.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    /// In lower case.
    key: Box<str>,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    /// `Null`: whether the key is absent.
    Absent(bool),
    Compare {
        form: Form,
        if_exists: bool,
        negated: bool,
        operand: Operand,
    },
}

/// What a key with several values means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Made for keys with one value.
    Single,
    ForAnyValue,
    ForAllValues,
}

#[derive(Clone, Debug)]
enum Operand {
    Texts(Box<[Text]>),
    Arns(Box<[Arn]>),
    Numbers(Relation, Box<[f64]>),
    /// Milliseconds since 1970.
    Dates(Relation, Box<[i64]>),
    Bools(Box<[bool]>),
    Networks(Box<[Network]>),
}

#[derive(Clone, Copy, Debug)]
enum Relation {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The six parts of an ARN, compared each by itself, or any ARN.
#[derive(Clone, Debug)]
enum Arn {
    Any,
    Parts(Box<[Text; 6]>),
}

/// What an operator's name says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operator {
    form: Form,
    if_exists: bool,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Null,
    Compare { negated: bool, comparison: Comparison },
}

#[derive(Clone, Copy, Debug)]
enum Comparison {
    Text { wildcards: bool, case: Case },
    Arn,
    Number(Relation),
    Date(Relation),
    Bool,
    Address,
}

impl Operator {
    /// None: there is no operator of that name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (form, name) = if let Some(name) = name.strip_prefix("ForAnyValue:") {
            (Form::ForAnyValue, name)
        } else if let Some(name) = name.strip_prefix("ForAllValues:") {
            (Form::ForAllValues, name)
        } else {
            (Form::Single, name)
        };
        if name == "Null" {
            // Whether a key is there has nothing to do with its values.
            let plain = form == Form::Single;
            return plain.then_some(Self { form, if_exists: false, kind: Kind::Null });
        }
        let (name, if_exists) = match name.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let (negated, comparison) = comparison(name)?;
        Some(Self { form, if_exists, kind: Kind::Compare { negated, comparison } })
    }

    /// The condition on `key`. `variables` as the policy's version has it.
    ///
    /// # Errors
    /// A value that the operator can't compare with: its index, and what is allowed.
    pub(crate) fn condition(
        self,
        key: &str,
        values: &[String],
        variables: bool,
    ) -> Result<Condition, (usize, &'static str)> {
        let test = match self.kind {
            Kind::Null => {
                let absent = each(values, boolean)?;
                match *absent {
                    [absent] => Test::Absent(absent),
                    _ => return Err((0, "must be one value, true or false")),
                }
            }
            Kind::Compare { negated, comparison } => Test::Compare {
                form: self.form,
                if_exists: self.if_exists,
                negated,
                operand: comparison.operand(values, variables)?,
            },
        };
        Ok(Condition { key: key.to_ascii_lowercase().into(), test })
    }
}

/// Whether it is negated, and what it compares.
fn comparison(name: &str) -> Option<(bool, Comparison)> {
    let text = |wildcards, case| Comparison::Text { wildcards, case };
    Some(match name {
        "StringEquals" => (false, text(false, Case::Sensitive)),
        "StringNotEquals" => (true, text(false, Case::Sensitive)),
        "StringEqualsIgnoreCase" => (false, text(false, Case::Insensitive)),
        "StringNotEqualsIgnoreCase" => (true, text(false, Case::Insensitive)),
        "StringLike" => (false, text(true, Case::Sensitive)),
        "StringNotLike" => (true, text(true, Case::Sensitive)),
        "ArnEquals" | "ArnLike" => (false, Comparison::Arn),
        "ArnNotEquals" | "ArnNotLike" => (true, Comparison::Arn),
        "Bool" => (false, Comparison::Bool),
        "IpAddress" => (false, Comparison::Address),
        "NotIpAddress" => (true, Comparison::Address),
        _ => {
            let (relation, comparison): (_, fn(Relation) -> Comparison) =
                if let Some(relation) = name.strip_prefix("Numeric") {
                    (relation, Comparison::Number)
                } else {
                    (name.strip_prefix("Date")?, Comparison::Date)
                };
            let (negated, relation) = match relation {
                "Equals" => (false, Relation::Equal),
                "NotEquals" => (true, Relation::Equal),
                "LessThan" => (false, Relation::Less),
                "LessThanEquals" => (false, Relation::LessOrEqual),
                "GreaterThan" => (false, Relation::Greater),
                "GreaterThanEquals" => (false, Relation::GreaterOrEqual),
                _ => return None,
            };
            (negated, comparison(relation))
        }
    })
}

fn each<T>(
    values: &[String],
    parse: impl Fn(&str) -> Result<T, &'static str>,
) -> Result<Box<[T]>, (usize, &'static str)> {
    let parse = |(at, value): (usize, &String)| parse(value).map_err(|problem| (at, problem));
    values.iter().enumerate().map(parse).collect()
}

fn boolean(value: &str) -> Result<bool, &'static str> {
    parse_bool(value).ok_or("must be true or false")
}

fn parse_bool(value: &str) -> Option<bool> {
    if value.eq_ignore_ascii_case("true") {
        Some(true)
    } else {
        value.eq_ignore_ascii_case("false").then_some(false)
    }
}

/// A decimal number; `inf` and `NaN` are none.
fn number(value: &str) -> Option<f64> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    value.parse().ok().filter(|number: &f64| digits && number.is_finite())
}

impl Comparison {
    fn operand(self, values: &[String], variables: bool) -> Result<Operand, (usize, &'static str)> {
        Ok(match self {
            Self::Text { wildcards, case } => {
                let syntax = Syntax { wildcards, variables };
                Operand::Texts(each(values, |value| Text::parse(value, syntax, case))?)
            }
            Self::Arn => Operand::Arns(each(values, |value| Arn::parse(value, variables))?),
            Self::Number(relation) => Operand::Numbers(
                relation,
                each(values, |value| number(value).ok_or("must be a number"))?,
            ),
            Self::Date(relation) => Operand::Dates(
                relation,
                each(values, |value| {
                    date::parse(value).ok_or("must be an ISO 8601 time or seconds since 1970")
                })?,
            ),
            Self::Bool => Operand::Bools(each(values, boolean)?),
            Self::Address => Operand::Networks(each(values, |value| {
                Network::parse(value).ok_or("must be an IP address or a range like 192.0.2.0/24")
            })?),
        })
    }
}

impl Arn {
    fn parse(text: &str, variables: bool) -> Result<Self, &'static str> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let syntax = Syntax { wildcards: true, variables };
        // Colons of a variable are none of the ARN's.
        let mut parts = Vec::with_capacity(6);
        let (mut from, mut in_variable) = (0, false);
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                b'{' if at > 0 && text.as_bytes()[at - 1] == b'$' => in_variable = variables,
                b'}' => in_variable = false,
                b':' if !in_variable && parts.len() < 5 => {
                    parts.push(Text::parse(&text[from..at], syntax, Case::Sensitive)?);
                    from = at + 1;
                }
                _ => {}
            }
        }
        parts.push(Text::parse(&text[from..], syntax, Case::Sensitive)?);
        let parts = parts.try_into().map_err(|_| "must be an ARN of six parts, or *")?;
        Ok(Self::Parts(Box::new(parts)))
    }

    fn matches(&self, value: &str, request: &Request<'_>) -> Option<bool> {
        let Self::Parts(patterns) = self else { return Some(true) };
        let mut parts = value.splitn(6, ':');
        for pattern in patterns.iter() {
            let Some(part) = parts.next() else { return Some(false) };
            if !pattern.matches(part, request)? {
                return Some(false);
            }
        }
        Some(true)
    }
}

impl Condition {
    /// `effect` is the statement's: what can't be known doesn't hold where it would allow.
    pub(crate) fn holds(&self, request: &Request<'_>, effect: Effect) -> bool {
        let (mut present, mut any, mut all) = (false, false, true);
        match &self.test {
            Test::Absent(absent) => {
                request.each_value(&self.key, &mut |_| present = true);
                present != *absent
            }
            Test::Compare { form, if_exists, negated, operand } => {
                request.each_value(&self.key, &mut |value| {
                    present = true;
                    let satisfied = match operand.matches(value, request) {
                        Some(matches) => matches != *negated,
                        None => *negated && effect == Effect::Deny,
                    };
                    any |= satisfied;
                    all &= satisfied;
                });
                match form {
                    Form::Single if !present => *if_exists || *negated,
                    Form::Single if *negated => all,
                    Form::Single => any,
                    Form::ForAnyValue if !present => *if_exists,
                    Form::ForAnyValue => any,
                    Form::ForAllValues => all,
                }
            }
        }
    }
}

impl Operand {
    /// Whether the value is what one of the policy's values asks for. A value that is none of the
    /// kind is not.
    fn matches(&self, value: &str, request: &Request<'_>) -> Option<bool> {
        Some(match self {
            Self::Texts(texts) => return any_matches(texts, value, request),
            Self::Arns(arns) => {
                let mut known = true;
                for arn in arns {
                    match arn.matches(value, request) {
                        Some(true) => return Some(true),
                        Some(false) => {}
                        None => known = false,
                    }
                }
                return known.then_some(false);
            }
            Self::Numbers(relation, numbers) => number(value)
                .is_some_and(|value| numbers.iter().any(|number| relation.holds(&value, number))),
            Self::Dates(relation, dates) => date::parse(value)
                .is_some_and(|value| dates.iter().any(|date| relation.holds(&value, date))),
            Self::Bools(bools) => parse_bool(value).is_some_and(|value| bools.contains(&value)),
            Self::Networks(networks) => value
                .parse::<IpAddr>()
                .is_ok_and(|address| networks.iter().any(|network| network.contains(address))),
        })
    }
}

impl Relation {
    fn holds<T: PartialOrd>(self, value: &T, other: &T) -> bool {
        match self {
            Self::Equal => value == other,
            Self::Less => value < other,
            Self::LessOrEqual => value <= other,
            Self::Greater => value > other,
            Self::GreaterOrEqual => value >= other,
        }
    }
}
