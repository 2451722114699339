//! Mapping templates: parsed once when a deployment is made, rendered for each request.
//!
//! API Gateway's templates are Apache Velocity 1.7 with the variables `$input`, `$util`,
//! `$context` and `$stageVariables`
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html>).
//!
//! | Step | Module |
//! |---|---|
//! | text → tokens → syntax tree, once | [`syntax`] |
//! | syntax tree + [`TemplateValues`] → text | [`render`] |
//! | the methods templates call on strings, lists, maps and numbers | [`methods`] |
//! | `$input` and `$util` | [`input`] with [`parameters`], [`util`] |
//! | JSON and JSONPath as Jayway's library has them | [`json`], [`json_path`] |
//!
//! A template never panics, never hangs and never takes memory without bound: [`limits`] names
//! each bound. This crate knows no HTTP and depends on no other part of Tollgate.

mod syntax;
mod value;
mod render;
mod methods;
mod json;
mod json_path;
mod input;
mod parameters;
mod util;
pub mod limits;
mod values;
mod writes;
mod mock;

pub use json_path::{JsonBody, JsonBodyError, JsonPath, JsonPathError};
pub use methods::{JavaPattern, JavaPatternError};
pub use mock::mock_status;
pub use syntax::SyntaxError;
pub use values::{ContextValue, ParameterLocation, TemplateValues};
pub use writes::ContextWrites;

/// Largest template, in bytes: 300 KB
/// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html>).
pub const MAX_TEMPLATE_BYTES: usize = 300 * 1024;

/// A parsed mapping template.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    parsed: Result<syntax::ast::Program, SyntaxError>,
}

/// A template failed while it rendered, or can't be parsed. API Gateway answers 500 and logs
/// `Execution failed due to configuration error: Unable to transform request`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct RenderError {
    /// Starting with 1.
    pub line: u32,
    /// In characters, starting with 1.
    pub column: u32,
    pub message: String,
}

impl Template {
    /// Parses a template. Never fails: as on AWS, a syntax error is only met when the template
    /// runs; [`Template::syntax_error`] tells of it before.
    pub fn parse(text: &str) -> Self {
        Self { parsed: syntax::parse(text) }
    }

    /// Why this template can't render.
    pub fn syntax_error(&self) -> Option<&SyntaxError> {
        self.parsed.as_ref().err()
    }

    /// Renders the template. `context` holds what earlier templates of the exchange wrote to
    /// `$context`, and takes what this one writes; it is left as it was when rendering fails.
    pub fn render(
        &self,
        values: &dyn TemplateValues,
        context: &mut ContextWrites,
    ) -> Result<String, RenderError> {
        match &self.parsed {
            Ok(program) => render::render(program, values, context),
            Err(error) => Err(error.clone().into()),
        }
    }
}

impl From<SyntaxError> for RenderError {
    fn from(error: SyntaxError) -> Self {
        Self { line: error.line, column: error.column, message: error.message }
    }
}
