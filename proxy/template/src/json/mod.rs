//! JSON text to values and back.
//!
//! Reading is on the path of every request whose template looks into the payload. A text is read
//! once into a `Document`; its lists and maps are made when a template asks for them, and what
//! nobody changed is written from the text.

mod document;
mod escape;
mod node;
mod number;
mod parse;
mod scan;
mod write;

pub(crate) use document::{Found, Part};
pub(crate) use number::number;
pub(crate) use parse::{parse, parse_copy, parse_text};
pub(crate) use write::{write, write_part};

#[cfg(test)]
mod tests;
