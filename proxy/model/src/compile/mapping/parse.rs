//! From mapping expressions to mappings, with the checks API Gateway makes at import.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use tollgate_template::JsonPath;

use super::{Destination, RequestMapping, RequestSource, ResponseMapping, ResponseSource};

/// What the expressions of a method may refer to.
pub(crate) struct Scope<'a> {
    /// `method.request.{location}.NAME` → required.
    pub(crate) request_parameters: &'a BTreeMap<String, bool>,
    /// The resource's path, whose variables are declared by being in it.
    pub(crate) resource_path: &'a str,
    pub(crate) stage_variables: &'a BTreeMap<String, String>,
}

/// A mapping, or what becomes of one that is not applied.
pub(crate) enum Parsed<M> {
    Mapping(M),
    /// API Gateway drops it silently.
    Dropped,
}

/// `integration.request.{path|querystring|header}.NAME` ← `expression`. The error is API
/// Gateway's message.
pub(crate) fn request_mapping(
    destination: &str,
    expression: &str,
    scope: &Scope<'_>,
) -> Result<Parsed<RequestMapping>, String> {
    let destination = self::destination(destination)?;
    let source = request_source(expression, scope)?;
    let rule = match &destination {
        Destination::Header(name) => request_header_rule(name),
        _ => HeaderRule::Pass,
    };
    Ok(match rule {
        HeaderRule::Drop => Parsed::Dropped,
        rule => Parsed::Mapping(RequestMapping {
            destination,
            source,
            reserved: rule == HeaderRule::Reserved,
        }),
    })
}

/// `method.response.header.NAME` ← `expression`. `declared` are the parameters of the method
/// response.
pub(crate) fn response_mapping(
    destination: &str,
    expression: &str,
    declared: Option<&BTreeMap<String, bool>>,
    stage_variables: &BTreeMap<String, String>,
) -> Result<Parsed<ResponseMapping>, String> {
    let name = destination
        .strip_prefix("method.response.header.")
        .ok_or_else(|| invalid_parameter(destination))?;
    check_name(name)?;
    if !declared.is_some_and(|declared| declared.contains_key(destination)) {
        return Err(invalid_parameter(destination));
    }
    let source = response_source(expression, stage_variables)?;
    let Some(header) = response_header_name(name) else { return Ok(Parsed::Dropped) };
    Ok(Parsed::Mapping(ResponseMapping { header: header.into(), source }))
}

/// The name under which the client gets a header that a mapping or an override sets; `None`: not
/// at all.
pub(crate) fn response_header_name(name: &str) -> Option<Cow<'_, str>> {
    if name.eq_ignore_ascii_case("transfer-encoding") {
        return None;
    }
    let remapped =
        REMAPPED_RESPONSE_HEADERS.iter().any(|remapped| name.eq_ignore_ascii_case(remapped));
    Some(match remapped {
        true => Cow::Owned(format!("x-amzn-Remapped-{name}")),
        false => Cow::Borrowed(name),
    })
}

/// Headers that mapped values of HTTP integrations only set with `x-amzn-Remapped-` before
/// their name (`rest-api.md` §9.2).
const REMAPPED_RESPONSE_HEADERS: [&str; 14] = [
    "Authorization",
    "Connection",
    "Content-Length",
    "Content-MD5",
    "Date",
    "Expect",
    "Host",
    "Max-Forwards",
    "Proxy-Authenticate",
    "Server",
    "Trailer",
    "Upgrade",
    "User-Agent",
    "WWW-Authenticate",
];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderRule {
    Pass,
    Drop,
    Reserved,
}

/// Mapping to a header of an HTTP integration's request (`rest-api.md` §9.1).
pub(crate) fn request_header_rule(name: &str) -> HeaderRule {
    let among = |names: &[&str]| names.iter().any(|known| name.eq_ignore_ascii_case(known));
    if among(&[
        "Content-Length",
        "Transfer-Encoding",
        "X-Amzn-Trace-Id",
        "X-Amzn-Apigateway-Api-Id",
    ]) {
        HeaderRule::Reserved
    } else if among(&["Expect", "Proxy-Authenticate", "TE", "Via"]) {
        HeaderRule::Drop
    } else {
        HeaderRule::Pass
    }
}

fn destination(text: &str) -> Result<Destination, String> {
    let parameter =
        text.strip_prefix("integration.request.").ok_or_else(|| invalid_parameter(text))?;
    let (location, name) = parameter.split_once('.').ok_or_else(|| invalid_parameter(text))?;
    let destination = match location {
        "path" => Destination::Path,
        "querystring" => Destination::Querystring,
        "header" => Destination::Header,
        _ => return Err(invalid_parameter(text)),
    };
    check_name(name)?;
    Ok(destination(name.into()))
}

fn request_source(expression: &str, scope: &Scope<'_>) -> Result<RequestSource, String> {
    if let Some(constant) = constant(expression, scope.stage_variables) {
        return Ok(RequestSource::Constant(constant));
    }
    if let Some(name) = expression.strip_prefix("context.") {
        return Ok(RequestSource::Context(name.into()));
    }
    let parameter =
        expression.strip_prefix("method.request.").ok_or_else(|| invalid_expression(expression))?;
    if let Some(path) = body_path(parameter) {
        return Ok(match path {
            BodyPath::Whole => RequestSource::Body,
            BodyPath::Value(path) => RequestSource::BodyPath(path),
            BodyPath::Invalid => RequestSource::InvalidPath,
        });
    }
    let (location, name) =
        parameter.split_once('.').ok_or_else(|| invalid_parameter(expression))?;
    let source = match location {
        "path" => RequestSource::PathParameter,
        "querystring" => RequestSource::Querystring,
        "header" => RequestSource::Header,
        "multivaluequerystring" => RequestSource::MultiValueQuerystring,
        "multivalueheader" => RequestSource::MultiValueHeader,
        _ => return Err(invalid_parameter(expression)),
    };
    if !scope.declares(expression, location.trim_start_matches("multivalue"), name) {
        return Err(invalid_parameter(expression));
    }
    Ok(source(name.into()))
}

impl Scope<'_> {
    fn declares(&self, expression: &str, location: &str, name: &str) -> bool {
        let in_path = |segment: &str| {
            let inner = segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}'));
            inner.is_some_and(|inner| inner.strip_suffix('+').unwrap_or(inner) == name)
        };
        self.request_parameters.contains_key(expression)
            || self.request_parameters.contains_key(&format!("method.request.{location}.{name}"))
            || (location == "path" && self.resource_path.split('/').any(in_path))
    }
}

fn response_source(
    expression: &str,
    stage_variables: &BTreeMap<String, String>,
) -> Result<ResponseSource, String> {
    if let Some(constant) = constant(expression, stage_variables) {
        return Ok(ResponseSource::Constant(constant));
    }
    if let Some(name) = expression.strip_prefix("context.") {
        return Ok(ResponseSource::Context(name.into()));
    }
    let parameter = expression
        .strip_prefix("integration.response.")
        .ok_or_else(|| invalid_expression(expression))?;
    match (body_path(parameter), parameter.split_once('.')) {
        (Some(BodyPath::Whole), _) => Ok(ResponseSource::Body),
        (Some(BodyPath::Value(path)), _) => Ok(ResponseSource::BodyPath(path)),
        (Some(BodyPath::Invalid), _) => Ok(ResponseSource::InvalidPath),
        (None, Some(("header", name))) => Ok(ResponseSource::Header(name.into())),
        (None, Some(("multivalueheader", name))) => {
            Ok(ResponseSource::MultiValueHeader(name.into()))
        }
        _ => Err(invalid_parameter(expression)),
    }
}

/// `'literal'` and `stageVariables.NAME`. A variable the stage does not have is empty, which
/// sends nothing.
pub(crate) fn constant(
    expression: &str,
    stage_variables: &BTreeMap<String, String>,
) -> Option<Box<str>> {
    if let Some(name) = expression.strip_prefix("stageVariables.") {
        return Some(stage_variables.get(name).map_or("", String::as_str).into());
    }
    let literal = expression.strip_prefix('\'')?.strip_suffix('\'')?;
    Some(literal.into())
}

enum BodyPath {
    Whole,
    Value(JsonPath),
    Invalid,
}

/// `body` and `body.JSONPATH`.
fn body_path(parameter: &str) -> Option<BodyPath> {
    let rest = parameter.strip_prefix("body")?;
    if rest.is_empty() {
        return Some(BodyPath::Whole);
    }
    let path = if rest.starts_with('[') { rest } else { rest.strip_prefix('.')? };
    Some(JsonPath::parse(path).map_or(BodyPath::Invalid, BodyPath::Value))
}

/// The NAME that stands in two locations of `…request.{location}.NAME`, if any does.
pub(crate) fn repeated_name<'p>(parameters: impl IntoIterator<Item = &'p str>) -> Option<&'p str> {
    let mut known = HashMap::new();
    parameters.into_iter().find_map(|parameter| {
        let (_, rest) = parameter.split_once(".request.")?;
        let (location, name) = rest.split_once('.')?;
        known.insert(name, location).is_some_and(|other| other != location).then_some(name)
    })
}

/// `^[a-zA-Z0-9._$-]+$`
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$' | b'-');
    if !name.is_empty() && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(format!(
        "Invalid mapping expression specified: Validation Result: warnings : [], errors : [Parameter name '{name}' should match the following regular expression: ^[a-zA-Z0-9._$-]+$]"
    ))
}

/// What is no expression at all.
pub(crate) fn invalid_expression(expression: &str) -> String {
    format!(
        "Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression specified: {expression}]"
    )
}

/// An expression of something that isn't there.
pub(crate) fn invalid_parameter(expression: &str) -> String {
    format!(
        "Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression parameter specified: {expression}]"
    )
}
