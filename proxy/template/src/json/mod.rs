//! JSON text to values and back.
//!
//! Reading is on the path of every request whose template looks into the payload: strings and
//! keys without escapes borrow from the text.

mod number;
mod parse;
mod scan;
mod write;

pub(crate) use number::number;
pub(crate) use parse::{parse, parse_copy};
pub(crate) use write::write;

#[cfg(test)]
mod tests;
