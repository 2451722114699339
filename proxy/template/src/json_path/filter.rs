//! Filters: `[?(@.price > 10 && @.name =~ /a.*/i)]`.
//!
//! ```text
//! condition = conjunction { "||" conjunction }
//! conjunction = term { "&&" term }
//! term = "(" condition ")" | "!" term | operand [ operator operand ]
//! ```

use super::literal::Literal;
use super::parse::{Parser, Place};
use super::pattern::Pattern;
use super::{JsonPath, JsonPathError};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    Any(Vec<Condition>),
    All(Vec<Condition>),
    Not(Box<Condition>),
    Exists { path: JsonPath, wanted: bool },
    Relation(Box<Relation>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Relation {
    pub(super) left: Operand,
    pub(super) operator: Operator,
    pub(super) right: Operand,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    Path(JsonPath),
    Literal(Literal),
    Pattern(Pattern),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    /// `===` and `!==` compare no text with a number.
    SameTypeEqual,
    SameTypeNotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Matches,
    In,
    NotIn,
    Contains,
    ContainsAll,
    SubsetOf,
    AnyOf,
    NoneOf,
    Size,
    Empty,
}

const OPERATORS: [(&str, Operator); 18] = [
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("===", Operator::SameTypeEqual),
    ("!==", Operator::SameTypeNotEqual),
    ("<", Operator::Less),
    ("<=", Operator::LessOrEqual),
    (">", Operator::Greater),
    (">=", Operator::GreaterOrEqual),
    ("=~", Operator::Matches),
    ("in", Operator::In),
    ("nin", Operator::NotIn),
    ("contains", Operator::Contains),
    ("all", Operator::ContainsAll),
    ("subsetof", Operator::SubsetOf),
    ("anyof", Operator::AnyOf),
    ("noneof", Operator::NoneOf),
    ("size", Operator::Size),
    ("empty", Operator::Empty),
];

impl Parser<'_> {
    pub(super) fn condition(&mut self) -> Result<Condition, JsonPathError> {
        self.joined("||", Condition::Any, |parser| {
            parser.joined("&&", Condition::All, Parser::term)
        })
    }

    fn joined(
        &mut self,
        operator: &str,
        join: impl Fn(Vec<Condition>) -> Condition,
        parse: impl Fn(&mut Self) -> Result<Condition, JsonPathError>,
    ) -> Result<Condition, JsonPathError> {
        let first = parse(self)?;
        let mut conditions = vec![first];
        loop {
            self.skip_space();
            if !self.take(operator) {
                break;
            }
            conditions.push(parse(self)?);
        }
        Ok(match <[Condition; 1]>::try_from(conditions) {
            Ok([only]) => only,
            Err(conditions) => join(conditions),
        })
    }

    fn term(&mut self) -> Result<Condition, JsonPathError> {
        self.skip_space();
        if self.take("(") {
            let condition = self.nested(Self::condition)?;
            self.skip_space();
            self.expect(")")?;
            return Ok(condition);
        }
        if !self.take("!") {
            return self.relation(true);
        }
        self.skip_space();
        match self.peek() {
            Some('$' | '@') => self.relation(false),
            _ => Ok(Condition::Not(Box::new(self.nested(Self::term)?))),
        }
    }

    /// `exists` is what a path without an operator must do. A `!` before a path that has one
    /// changes nothing, as in Jayway.
    fn relation(&mut self, exists: bool) -> Result<Condition, JsonPathError> {
        let start = self.at;
        let left = self.operand()?;
        self.skip_space();
        if let Some(operator) = self.operator()? {
            let right = self.operand()?;
            return Ok(Condition::Relation(Box::new(Relation { left, operator, right })));
        }
        match left {
            Operand::Path(path) => Ok(Condition::Exists { path, wanted: exists }),
            _ => {
                self.at = start;
                Err(self.error("a constant needs an operator"))
            }
        }
    }

    fn operator(&mut self) -> Result<Option<Operator>, JsonPathError> {
        let start = self.at;
        let symbol = |c: char| matches!(c, '<' | '>' | '=' | '~' | '!');
        match self.peek() {
            Some(c) if symbol(c) => self.skip_while(symbol),
            Some(c) if c.is_ascii_alphabetic() => self.skip_while(|c| c.is_ascii_alphabetic()),
            _ => return Ok(None),
        }
        let word = self.since(start);
        match OPERATORS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)) {
            Some(&(_, operator)) => Ok(Some(operator)),
            None => {
                self.at = start;
                Err(self.error("an operator is expected"))
            }
        }
    }

    fn operand(&mut self) -> Result<Operand, JsonPathError> {
        self.skip_space();
        match self.peek() {
            Some('$' | '@') => self.nested(|parser| parser.path(Place::Filter)).map(Operand::Path),
            Some('/') => self.pattern().map(Operand::Pattern),
            _ => self.nested(Self::literal).map(Operand::Literal),
        }
    }

    /// `/regex/flags`
    fn pattern(&mut self) -> Result<Pattern, JsonPathError> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.next() {
                Some('/') => break,
                Some('\\') => {
                    self.next();
                }
                Some(_) => {}
                None => {
                    self.at = start;
                    return Err(self.error("the closing '/' is missing"));
                }
            }
        }
        let source = self.since(start + 1);
        let source = source.strip_suffix('/').unwrap_or(source);
        let flags_start = self.at;
        self.skip_while(|c| c.is_ascii_alphabetic());
        let flags = self.since(flags_start);
        Pattern::new(source, flags).map_err(|reason| {
            self.at = start;
            self.error(&reason)
        })
    }

    pub(super) fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while let Some(next) = self.peek().filter(|next| wanted(*next)) {
            self.at += next.len_utf8();
        }
    }
}
