//! From a template's text to its syntax tree.
//!
//! What is text, what a reference and what a directive is decided exactly as Apache Velocity 1.7
//! does (<https://velocity.apache.org/engine/1.7/user-guide.html>), including what its guide does
//! not tell: which white space a directive takes with it, what becomes of a `$` that begins
//! nothing, where a backslash is an escape.
//!
//! | Step | Module |
//! |---|---|
//! | what each kind of token looks like | [`scan`] |
//! | text → tokens | [`matching`], [`lexer`] |
//! | tokens → tree | [`parser`], [`directives`], [`expressions`], [`references`], [`literals`] |

pub(crate) mod ast;
mod token;
mod scan;
mod matching;
mod lone;
mod place;
mod lexer;
mod parser;
mod directives;
mod expressions;
mod references;
mod literals;
mod shared;
#[cfg(test)]
mod tests;

/// A template's text can't be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct SyntaxError {
    /// Starting with 1.
    pub line: u32,
    /// In characters, starting with 1.
    pub column: u32,
    /// What was met and what is allowed there.
    pub message: String,
}

pub(crate) fn parse(text: &str) -> Result<ast::Program, SyntaxError> {
    let mut shared = shared::Shared::default();
    let body = parser::Parser::new(text, &mut shared).template()?;
    Ok(shared.into_program(body))
}
