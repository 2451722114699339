//! JSONPath with the syntax and the answers of Jayway's library
//! (<https://github.com/json-path/JsonPath>), as of its version 2.4 and later.
//!
//! | Step | Module |
//! |---|---|
//! | text → [`JsonPath`] | `parse`, with `filter` for `[?(…)]` and `literal` for its constants |
//! | a path and a value → what it finds | `evaluate`, with `compare` for filters and `function` |
//! | a plain path and a text that nobody changed → the place there | `part` |
//! | a path and a payload, for parameter mappings | `body` |
//!
//! Where Jayway throws because a path does not fit the value (a name of a number, an index of an
//! object), the path finds nothing. Its versions differ for a missing name before the first
//! wildcard: 2.0 finds an empty list, as here, later ones throw.

mod body;
mod compare;
mod decimal;
mod evaluate;
mod filter;
mod function;
mod literal;
mod parse;
mod part;
mod pattern;
#[cfg(test)]
mod tests;

use crate::json::{self, Found};
use crate::limits::{Budget, LimitExceeded};
use crate::value::Value;
use evaluate::{Evaluation, Stop};
use filter::Condition;
use function::Function;

pub use body::{JsonBody, JsonBodyError};

/// A compiled path.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath {
    root: Root,
    tokens: Box<[Token]>,
    /// How many leading tokens find at most one value each.
    definite_tokens: usize,
}

/// A path can't be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} at character {position}")]
pub struct JsonPathError {
    /// In characters, starting with 1.
    pub position: usize,
    pub message: String,
}

/// Constants in a path are never NaN.
impl Eq for JsonPath {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Root {
    /// `$`
    Document,
    /// `@`: the value a filter looks at.
    Item,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(Box<str>),
    /// `['a','b']`: an object of these members at a path's end, else each of them.
    Names(Box<[Box<str>]>),
    /// Counts from the end if negative.
    Index(i32),
    Indices(Box<[i32]>),
    Slice(Slice),
    Wildcard,
    /// `..`; another token always follows.
    Scan,
    Filter(Box<Condition>),
    /// Always the last.
    Function(Function),
}

/// `[from:to]`; at least one is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slice {
    from: Option<i32>,
    to: Option<i32>,
}

impl JsonPath {
    /// Parses a path. One that starts with neither `$` nor `@` gets `$.` in front.
    pub fn parse(path: &str) -> Result<Self, JsonPathError> {
        parse::parse(path)
    }

    /// Whether the path names at most one value: no wildcard, slice, filter, union or deep scan.
    pub fn is_definite(&self) -> bool {
        self.definite_tokens == self.tokens.len()
    }

    /// What the path finds: for an indefinite path a list, even of one value or none. `None`: a
    /// definite path finds nothing, or the path does not fit. The values are the root's own, not
    /// copies.
    pub(crate) fn evaluate<'t>(
        &self,
        root: &Value<'t>,
        budget: &mut Budget,
    ) -> Result<Option<Value<'t>>, LimitExceeded> {
        // Jayway takes no document that is null.
        if root.is_null() {
            return Ok(None);
        }
        match Evaluation::new(root, budget).find(self, root) {
            Ok(found) => Ok(found),
            Err(Stop::Unfit) => Ok(None),
            Err(Stop::Limit(limit)) => Err(limit),
        }
    }

    /// How what the path finds prints, if the payload's text tells: empty for nothing.
    pub(crate) fn printed<'v>(
        &self,
        root: &'v Value<'_>,
        budget: &mut Budget,
    ) -> Result<Option<&'v str>, LimitExceeded> {
        let Some(part) = part::of(root) else { return Ok(None) };
        Ok(match part::find(self, part, budget)? {
            Found::Nothing => Some(""),
            Found::At(node) => part.printed_node(node),
            Found::Unclear => None,
        })
    }

    /// Appends what the path finds as JSON. `false`: that is nothing or null.
    pub(crate) fn write(
        &self,
        root: &Value<'_>,
        out: &mut String,
        budget: &mut Budget,
    ) -> Result<bool, LimitExceeded> {
        if self.is_definite()
            && let Some(part) = part::of(root)
        {
            match part::find(self, part, budget)? {
                Found::Nothing => return Ok(false),
                Found::At(node) if part.is_null(node) => return Ok(false),
                Found::At(node) => {
                    out.reserve(part.text_length(node));
                    json::write_part(part, node, out, budget)?;
                    return Ok(true);
                }
                Found::Unclear => {}
            }
        }
        match self.evaluate(root, budget)? {
            None | Some(Value::Null) => Ok(false),
            Some(value) => {
                json::write(&value, out, budget)?;
                Ok(true)
            }
        }
    }

    fn new(root: Root, tokens: Vec<Token>) -> Self {
        let last = tokens.len().saturating_sub(1);
        let indefinite = tokens.iter().enumerate().position(|(index, token)| match token {
            Token::Name(_) | Token::Index(_) | Token::Function(_) => false,
            Token::Names(_) => index < last,
            _ => true,
        });
        Self {
            root,
            definite_tokens: indefinite.unwrap_or(tokens.len()),
            tokens: tokens.into_boxed_slice(),
        }
    }
}
