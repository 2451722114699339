//! One call of an operation, and its answer.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

use crate::error::ApiError;
use crate::input::Input;

/// What a client asks, its URI taken apart.
#[derive(Debug)]
pub struct Call {
    /// By the name in the operation's URI: `restapi_id`.
    pub(crate) path: BTreeMap<&'static str, String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The operation's name: `CreateRestApi`.
    pub(crate) operation: &'static str,
}

/// What an operation answers, beside its status.
#[derive(Debug, PartialEq)]
pub enum Answer {
    Empty,
    Json(Value),
    /// GetExport.
    Document {
        content_type: &'static str,
        file_name: String,
        bytes: Vec<u8>,
    },
    /// The answer, and what was accepted and will fail or do nothing when it is served.
    WithWarnings(Value, Vec<String>),
}

impl Call {
    /// A part of the URI.
    ///
    /// # Panics
    /// The operation's URI has no such part.
    pub fn part(&self, name: &str) -> &str {
        self.path.get(name).unwrap_or_else(|| panic!("{} has no {{{name}}}", self.operation))
    }

    /// A parameter of the query string.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All values of a parameter: `embed=a&embed=b`.
    pub fn queries<'c>(&'c self, name: &'c str) -> impl Iterator<Item = &'c str> {
        self.query.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// `true` or `false`; absent is `false`.
    pub fn query_bool(&self, name: &str) -> Result<bool, ApiError> {
        match self.query(name) {
            None => Ok(false),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(text) => Err(ApiError::bad_request(format!(
                "Invalid value for '{name}': '{text}'. Must be 'true' or 'false'"
            ))),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as a JSON object; no body is an empty one.
    pub fn input(&self) -> Result<Input, ApiError> {
        Input::parse(self.operation, &self.body)
    }
}
