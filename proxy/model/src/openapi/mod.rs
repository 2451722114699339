//! Reading and writing API definitions: OpenAPI 2.0, 3.0 and 3.1 with the
//! `x-amazon-apigateway-*` extensions.
//!
//! ```text
//! text ── document ──▶ tree with lines ── intrinsics ──▶ plain tree ── root, paths, … ──▶ Api
//! Api  ── export ────▶ document
//! ```
//!
//! Import does what API Gateway's [import] does, in its words where it refuses. It differs in
//! one way: API Gateway drops much without a word, here whatever is read and not taken over is a
//! [`Warning`] by name. CloudFormation's intrinsic functions, which SAM would have resolved
//! before API Gateway sees a definition, are resolved here; what cannot be becomes a readable
//! placeholder and a warning.
//!
//! Left to others: whether expressions, templates, patterns and schemas mean something
//! ([`crate::compile`]).
//!
//! [import]: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-import-api.html

mod document;
mod intrinsics;
mod reader;
mod root;
mod paths;
mod operation;
mod parameters;
mod responses;
mod integration;
mod security;
mod models;
mod export;

use std::collections::BTreeMap;
use std::fmt;

use crate::api::Api;

pub use export::{ExportFormat, export};
pub use paths::{MAX_PATH, check_path_part};

/// What an import needs besides the definition itself.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportOptions {
    /// Values for names in `Ref`, `Fn::Sub`, `Fn::GetAtt` (as `Name.Attribute`), the conditions
    /// of `Fn::If` (`true` or `false`), and `${NAME}` in plain text.
    pub parameters: BTreeMap<String, String>,
    /// `AWS::Region`.
    pub region: String,
    /// `AWS::AccountId`.
    pub account_id: String,
    /// `AWS::Partition`.
    pub partition: String,
    pub base_path: BasePathMode,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            parameters: BTreeMap::new(),
            region: "us-east-1".to_owned(),
            account_id: "000000000000".to_owned(),
            partition: "aws".to_owned(),
            base_path: BasePathMode::default(),
        }
    }
}

/// What the definition's base path does to its resources: the query parameter `basepath` of
/// [ImportRestApi](https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-import-api-basePath.html).
/// With `/a/b` as base path, `/e` becomes:
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BasePathMode {
    /// `/e`
    #[default]
    Ignore,
    /// `/a/b/e`
    Prepend,
    /// `/b/e`: the first segment is left to a custom domain's base path mapping.
    Split,
}

/// An API and what its definition holds beyond it.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    pub api: Api,
    pub declared: Declared,
    /// In the order of the definition's lines.
    pub warnings: Vec<Warning>,
}

/// Whether the definition itself says what in [`Api`] is there anyway: an import into an API keeps
/// the API's own otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    pub title: bool,
    /// Also by `vpcEndpointIds`, which only private APIs have.
    pub endpoint_type: bool,
    pub disable_execute_api_endpoint: bool,
    pub api_key_source: bool,
}

/// Something that was read and is not, or not wholly, taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// 1-based.
    pub line: Option<usize>,
    /// `GET /pets`, `components.schemas.Pet`, `info`; the first place where there are several.
    pub location: String,
    /// `cookie parameter`, `x-amazon-apigateway-foo`.
    pub construct: String,
    pub message: String,
}

impl Warning {
    /// Whether it is of something that has no effect with API Gateway either and that API Gateway
    /// takes without a word: documentation, and extensions for other tools.
    pub fn is_of_no_effect(&self) -> bool {
        let foreign = self.construct.starts_with("x-")
            && !self.construct.starts_with("x-amazon-apigateway-")
            && !self.construct.starts_with("x-tollgate-");
        foreign || self.message == "documentation only; not kept"
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        // `info.license` need not be followed by `license`.
        let last_key = self.location.rsplit('.').next().unwrap_or_default();
        if !self.location.is_empty() {
            write!(f, "{}: ", self.location)?;
        }
        if last_key != self.construct {
            write!(f, "{}: ", self.construct)?;
        }
        f.write_str(&self.message)
    }
}

/// Why a definition was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{message}", Prefix(.line.map(|line| format!("line {line}")).as_deref()), Prefix(Some(.path.as_str())))]
pub struct ImportError {
    line: Option<usize>,
    path: String,
    message: String,
}

impl ImportError {
    fn new(line: Option<u32>, path: impl Into<String>, message: impl Into<String>) -> Self {
        let line = line.and_then(|line| usize::try_from(line).ok());
        Self { line, path: path.into(), message: message.into() }
    }

    /// The line of the definition, 1-based.
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// Where in the document: `paths./pets.get.x-amazon-apigateway-integration.type`; empty for
    /// the whole of it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong, and what is allowed.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// The text and `: `, or nothing.
struct Prefix<'a>(Option<&'a str>);

impl fmt::Display for Prefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(text) if !text.is_empty() => write!(f, "{text}: "),
            _ => Ok(()),
        }
    }
}

/// `x-amazon-apigateway-documentation` of a document that need not be a whole definition. `text`
/// is JSON or YAML.
///
/// # Errors
///
/// For a text that is neither, or exceeds the bounds of [`import`].
pub fn documentation(text: &str) -> Result<Option<serde_json::Value>, ImportError> {
    let root = document::parse(text)?.root;
    Ok(root.get("x-amazon-apigateway-documentation").map(document::Node::to_value))
}

/// Reads an OpenAPI definition. `text` is JSON or YAML, whatever the file is called.
///
/// # Errors
///
/// For a text that is neither, a document that is not OpenAPI 2.0, 3.0 or 3.1, and whatever API
/// Gateway would refuse to import. The cost is bounded for any text: it may have at most 6 MB,
/// and whatever it unfolds to is limited as well.
pub fn import(text: &str, options: &ImportOptions) -> Result<Imported, ImportError> {
    let document::Document { mut root, remarks } = document::parse(text)?;
    let dialect = root::dialect(&root)?;
    let mut warnings: Vec<Warning> = remarks
        .into_iter()
        .map(|(line, construct, message)| Warning {
            line: usize::try_from(line).ok(),
            location: String::new(),
            construct,
            message,
        })
        .collect();
    warnings.extend(intrinsics::resolve(&mut root, options)?);
    let mut reader = reader::Reader::new(&root, dialect, options);
    let api = root::read(&mut reader)?;
    let declared = root::declared_itself(&root);
    warnings.extend(reader.into_warnings());
    warnings.sort_by_key(|warning| warning.line.unwrap_or(usize::MAX));
    Ok(Imported { api, declared, warnings })
}
