//! Follows plain paths in the text of a document, so that no values need be made on the way.

use super::{JsonPath, Token};
use crate::json::{Found, Part};
use crate::limits::{Budget, LimitExceeded};
use crate::value::Value;

/// The text that a list or map was read from, if no template changed it.
pub(super) fn of<'v, 't>(value: &'v Value<'t>) -> Option<&'v Part<'t>> {
    match value {
        Value::Map(map) => map.entries.unchanged(),
        Value::List(list) => list.items.unchanged(),
        _ => None,
    }
}

/// Where a path of names and indices leads.
pub(super) fn find(
    path: &JsonPath,
    part: &Part<'_>,
    budget: &mut Budget,
) -> Result<Found, LimitExceeded> {
    budget.steps(1 + path.tokens.len() as u64)?;
    let mut node = part.root();
    for token in &path.tokens {
        let found = match token {
            Token::Name(name) => part.step_by_name(node, name, budget)?,
            Token::Index(index) => part.step_by_index(node, *index, budget)?,
            _ => Found::Unclear,
        };
        match found {
            Found::At(next) => node = next,
            end => return Ok(end),
        }
    }
    Ok(Found::At(node))
}
