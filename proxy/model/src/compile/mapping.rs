//! Parameter mapping: `integration.request.header.X` ← `method.request.querystring.y`.
//!
//! API Gateway documents the expressions at
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-parameter-mapping-sources.html>.
//! `parse` turns them into mappings when a definition is compiled, with API Gateway's checks
//! and messages; a mapping then evaluates against the request ([`RequestValues`]) or the
//! backend's response ([`ResponseValues`]), which the gateway implements.
//!
//! - A source that is missing or empty sends nothing ([`Mapped::Skip`]).
//! - A body is only parsed if its first byte is one of `{ [ " '`; any other body is `{}`.
//! - Control characters in a value for a header become spaces: `%0D%0A` in a query string must
//!   not end a header line. What API Gateway does there is not recorded.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;

use smallvec::SmallVec;
use tollgate_template::{JsonBody, JsonPath};

pub(crate) mod parse;

/// What mappings read from the client's request. The gateway implements it; every method is
/// called on the request's own task, any number of times.
pub trait RequestValues {
    /// The path parameter as in the canonical path, percent-encoded.
    fn captured_path_parameter(&self, name: &str) -> Option<&str>;
    /// The percent-decoded path parameter.
    fn path_parameter(&self, name: &str) -> Option<Cow<'_, str>> {
        self.captured_path_parameter(name).map(super::path::decode)
    }
    /// The last value, percent-decoded.
    fn querystring(&self, name: &str) -> Option<Cow<'_, str>>;
    /// Each value in order, percent-decoded.
    fn each_querystring(&self, name: &str, f: &mut dyn FnMut(&str));
    /// The last value of the header spelled exactly so by the client.
    fn header(&self, name: &str) -> Option<Cow<'_, str>>;
    /// Each value in order of the header spelled exactly so by the client.
    fn each_header(&self, name: &str, f: &mut dyn FnMut(&str));
    fn body(&self) -> &[u8];
    /// `context.NAME`, by its name without `context.`.
    fn context(&self, name: &str) -> Option<Cow<'_, str>>;
    /// Where the parsed body is kept between mappings; `None` parses it for each.
    fn body_json(&self) -> Option<&BodyJson> {
        None
    }
}

/// What mappings read from the backend's response. The gateway implements it.
pub trait ResponseValues {
    /// The last value; names compare without case.
    fn header(&self, name: &str) -> Option<Cow<'_, str>>;
    /// Each value in order; names compare without case.
    fn each_header(&self, name: &str, f: &mut dyn FnMut(&str));
    fn body(&self) -> &[u8];
    /// `context.NAME`, by its name without `context.`.
    fn context(&self, name: &str) -> Option<Cow<'_, str>>;
    /// Where the parsed body is kept between mappings; `None` parses it for each.
    fn body_json(&self) -> Option<&BodyJson> {
        None
    }
}

/// A body parsed at most once. One for each body: the first body it sees is the one it keeps.
#[derive(Debug, Default)]
pub struct BodyJson(OnceCell<Result<JsonBody, InvalidJson>>);

#[derive(Clone, Copy, Debug)]
struct InvalidJson;

/// Where a mapping's value goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    Path(Box<str>),
    Querystring(Box<str>),
    Header(Box<str>),
}

/// A mapping to a parameter of the integration request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestMapping {
    pub destination: Destination,
    pub source: RequestSource,
    /// The destination is a header API Gateway keeps to itself: a value for it is a 500.
    pub(crate) reserved: bool,
}

/// Where a request mapping's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestSource {
    PathParameter(Box<str>),
    Querystring(Box<str>),
    Header(Box<str>),
    MultiValueQuerystring(Box<str>),
    MultiValueHeader(Box<str>),
    Body,
    BodyPath(JsonPath),
    Context(Box<str>),
    /// A literal or a stage variable.
    Constant(Box<str>),
    /// A JSONPath that can't be parsed: always missing.
    InvalidPath,
}

/// A mapping to a header of the client's response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseMapping {
    /// The name the client gets, `x-amzn-Remapped-` included.
    pub header: Box<str>,
    pub source: ResponseSource,
}

/// Where a response mapping's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseSource {
    Header(Box<str>),
    MultiValueHeader(Box<str>),
    Body,
    BodyPath(JsonPath),
    Context(Box<str>),
    /// A literal or a stage variable.
    Constant(Box<str>),
    /// A JSONPath that can't be parsed: always missing.
    InvalidPath,
}

/// What a mapping came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mapped<'v> {
    /// The source is missing or empty: nothing is sent.
    Skip,
    One(Cow<'v, str>),
    /// The values of a repeated query-string key, in order; never empty.
    Many(SmallVec<[String; 2]>),
}

/// Why a mapping can't be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// 400 with this message for a request, 500 for a response.
    #[error("Invalid JSON in request body")]
    InvalidJson,
    /// 500: API Gateway keeps this header to itself.
    #[error("Invalid parameter mapping: the header {0} can't be set")]
    ReservedHeader(Box<str>),
    /// 400: the value would change where the backend's URL leads.
    #[error("Invalid value for a parameter of the integration URI")]
    UnsafeUriValue,
}

impl RequestMapping {
    /// The value to send. Borrows from the mapping and the request where it can.
    pub fn evaluate<'v>(
        &'v self,
        values: &'v dyn RequestValues,
    ) -> Result<Mapped<'v>, MappingError> {
        let mapped = match &self.source {
            RequestSource::PathParameter(name) => one(values.path_parameter(name)),
            RequestSource::Querystring(name) => one(values.querystring(name)),
            RequestSource::Header(name) => one(values.header(name)),
            RequestSource::MultiValueQuerystring(name) => {
                many(|f| values.each_querystring(name, f))
            }
            RequestSource::MultiValueHeader(name) => joined(|f| values.each_header(name, f)),
            RequestSource::Body => one(Some(String::from_utf8_lossy(values.body()))),
            RequestSource::BodyPath(path) => from_body(path, values.body(), values.body_json())?,
            RequestSource::Context(name) => one(values.context(name)),
            RequestSource::Constant(text) => one(Some(Cow::Borrowed(&**text))),
            RequestSource::InvalidPath => Mapped::Skip,
        };
        match (&self.destination, mapped) {
            (_, Mapped::Skip) => Ok(Mapped::Skip),
            (Destination::Header(name), _) if self.reserved => {
                Err(MappingError::ReservedHeader(name.clone()))
            }
            (Destination::Header(_), mapped) => Ok(mapped.for_header()),
            (_, mapped) => Ok(mapped),
        }
    }
}

impl ResponseMapping {
    /// The header's value. [`MappingError::InvalidJson`] is a 500 here.
    pub fn evaluate<'v>(
        &'v self,
        values: &'v dyn ResponseValues,
    ) -> Result<Mapped<'v>, MappingError> {
        let mapped = match &self.source {
            ResponseSource::Header(name) => one(values.header(name)),
            ResponseSource::MultiValueHeader(name) => joined(|f| values.each_header(name, f)),
            ResponseSource::Body => one(Some(String::from_utf8_lossy(values.body()))),
            ResponseSource::BodyPath(path) => from_body(path, values.body(), values.body_json())?,
            ResponseSource::Context(name) => one(values.context(name)),
            ResponseSource::Constant(text) => one(Some(Cow::Borrowed(&**text))),
            ResponseSource::InvalidPath => Mapped::Skip,
        };
        Ok(mapped.for_header())
    }
}

impl Mapped<'_> {
    /// As the value of one header line.
    fn for_header(self) -> Self {
        match self {
            Self::Skip => Self::Skip,
            Self::One(text) => Self::One(header_text(text)),
            Self::Many(values) => Self::One(header_text(Cow::Owned(values.join(",")))),
        }
    }
}

impl BodyJson {
    fn parsed(&self, body: &[u8]) -> Result<&JsonBody, MappingError> {
        self.0
            .get_or_init(|| parse_body(body))
            .as_ref()
            .map_err(|InvalidJson| MappingError::InvalidJson)
    }
}

/// `Parameter names must be unique…`
pub(crate) const REPEATED_NAME: &str =
    "Parameter names must be unique across querystring, header and path";

/// Checks `integration.request.{path|querystring|header}.NAME` ← `expression` as compiling does.
/// `request_parameters` are those of the method.
///
/// # Errors
/// API Gateway's message.
pub fn check_request_mapping(
    destination: &str,
    expression: &str,
    request_parameters: &BTreeMap<String, bool>,
    resource_path: &str,
) -> Result<(), String> {
    let stage_variables = &BTreeMap::new();
    let scope = parse::Scope { request_parameters, resource_path, stage_variables };
    parse::request_mapping(destination, expression, &scope).map(drop)
}

/// Checks `method.response.header.NAME` ← `expression` as compiling does. `declared` are the
/// parameters of the method response.
///
/// # Errors
/// API Gateway's message.
pub fn check_response_mapping(
    destination: &str,
    expression: &str,
    declared: Option<&BTreeMap<String, bool>>,
) -> Result<(), String> {
    parse::response_mapping(destination, expression, declared, &BTreeMap::new()).map(drop)
}

/// Checks a parameter that a method declares: `method.request.{path|querystring|header}.NAME`, or
/// `method.response.header.NAME`; `locations` are those before the name.
///
/// # Errors
/// API Gateway's message.
pub fn check_declared_parameter(parameter: &str, locations: &[&str]) -> Result<(), String> {
    match locations.iter().find_map(|location| parameter.strip_prefix(location)) {
        Some(name) => parse::check_name(name),
        None => Err(parse::invalid_expression(parameter)),
    }
}

/// Checks that no name stands in two locations of a request.
///
/// # Errors
/// API Gateway's message.
pub fn check_unique_names<'p>(
    parameters: impl IntoIterator<Item = &'p str>,
) -> Result<(), &'static str> {
    parse::repeated_name(parameters).map_or(Ok(()), |_| Err(REPEATED_NAME))
}

/// A header's value without control characters, which become spaces.
pub(crate) fn header_text(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        Cow::Owned(text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
    } else {
        text
    }
}

fn one(value: Option<Cow<'_, str>>) -> Mapped<'_> {
    match value {
        Some(text) if !text.is_empty() => Mapped::One(text),
        _ => Mapped::Skip,
    }
}

fn many<'v>(each: impl FnOnce(&mut dyn FnMut(&str))) -> Mapped<'v> {
    let mut values = SmallVec::<[String; 2]>::new();
    each(&mut |value| values.push(value.to_owned()));
    if values.iter().all(String::is_empty) { Mapped::Skip } else { Mapped::Many(values) }
}

fn joined<'v>(each: impl FnOnce(&mut dyn FnMut(&str))) -> Mapped<'v> {
    let mut text = String::new();
    let mut first = true;
    each(&mut |value| {
        if !std::mem::take(&mut first) {
            text.push(',');
        }
        text.push_str(value);
    });
    one(Some(Cow::Owned(text)))
}

fn from_body<'v>(
    path: &JsonPath,
    body: &[u8],
    kept: Option<&BodyJson>,
) -> Result<Mapped<'v>, MappingError> {
    let own = BodyJson::default();
    let parsed = kept.unwrap_or(&own).parsed(body)?;
    // What is found is too large only if the path multiplies a payload of megabytes.
    let text = path.text_in(parsed).map_err(|_| MappingError::InvalidJson)?;
    Ok(one(text.map(Cow::Owned)))
}

fn parse_body(body: &[u8]) -> Result<JsonBody, InvalidJson> {
    let text = match body.first() {
        Some(b'{' | b'[' | b'"' | b'\'') => std::str::from_utf8(body).map_err(|_| InvalidJson)?,
        _ => "{}",
    };
    JsonBody::parse(text).map_err(|_| InvalidJson)
}

#[cfg(test)]
mod tests;
