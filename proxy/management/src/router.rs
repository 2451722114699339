//! From a method and URI to the operation that botocore's service model has there.

use std::collections::BTreeMap;

use http::Method;
use percent_encoding::percent_decode_str;

use crate::call::{Answer, Call};
use crate::context::Context;
use crate::error::{ApiError, ErrorKind};
use crate::http::Request;
use crate::operations;

/// One operation.
pub struct Operation {
    /// As botocore's service model has it: `CreateRestApi`.
    pub name: &'static str,
    pub method: Method,
    /// `/restapis/{restapi_id}`; a query parameter that has to be there follows a `?`.
    pub uri: &'static str,
    /// Of a success.
    pub status: u16,
    pub run: fn(&Context, &Call) -> Result<Answer, ApiError>,
}

/// Every operation there is, by what it is about.
pub const OPERATIONS: &[&[Operation]] = operations::ALL;

/// An answer with its status.
pub(crate) struct Answered {
    pub status: u16,
    pub answer: Answer,
}

/// Finds and carries out what a request asks.
pub(crate) fn answer(context: &Context, request: Request) -> Result<Answered, ApiError> {
    let query = query(request.query.as_deref().unwrap_or_default())?;
    let path = segments(&request.path)?;
    let (operation, parts) = find(&request.method, &path, &query).ok_or_else(|| {
        ApiError::new(ErrorKind::MissingAuthenticationToken, "Missing Authentication Token")
    })?;
    let call = Call {
        path: parts,
        query,
        headers: request.headers,
        body: request.body,
        operation: operation.name,
    };
    let answer = (operation.run)(context, &call)?;
    Ok(Answered { status: operation.status, answer })
}

type Parts = BTreeMap<&'static str, String>;

fn find(
    method: &Method,
    path: &[String],
    query: &[(String, String)],
) -> Option<(&'static Operation, Parts)> {
    let candidates = OPERATIONS.iter().copied().flatten();
    let mut found = None;
    for operation in candidates.filter(|operation| operation.method == *method) {
        let (uri, wanted) = operation.uri.split_once('?').unwrap_or((operation.uri, ""));
        let Some(parts) = matches(uri, path) else { continue };
        if wanted.is_empty() {
            found = found.or(Some((operation, parts)));
        } else if query.iter().any(|(name, value)| format!("{name}={value}") == wanted) {
            return Some((operation, parts));
        }
    }
    found
}

fn matches(uri: &'static str, path: &[String]) -> Option<Parts> {
    let mut parts = Parts::new();
    let mut rest = path.iter();
    for wanted in uri.trim_start_matches('/').split('/') {
        match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            // ARNs have slashes, which not every client encodes.
            Some(name) if name.ends_with('+') => {
                let all: Vec<&str> = rest.by_ref().map(String::as_str).collect();
                if all.is_empty() {
                    return None;
                }
                parts.insert(&name[..name.len() - 1], all.join("/"));
            }
            Some(name) => {
                parts.insert(name, rest.next().filter(|segment| !segment.is_empty())?.clone());
            }
            None if rest.next()? == wanted => {}
            None => return None,
        }
    }
    rest.next().is_none().then_some(parts)
}

/// The decoded segments of a path; a slash at the end is ignored.
fn segments(path: &str) -> Result<Vec<String>, ApiError> {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.strip_suffix('/').unwrap_or(path).split('/').map(decoded).collect()
}

fn query(text: &str) -> Result<Vec<(String, String)>, ApiError> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let pair = pair.replace('+', " ");
        let (name, value) = pair.split_once('=').unwrap_or((&pair, ""));
        Ok((decoded(name)?, decoded(value)?))
    };
    pairs.map(pair).collect()
}

fn decoded(text: &str) -> Result<String, ApiError> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| ApiError::bad_request("The request URI is not percent-encoded UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(method: Method, path: &str, query: &str) -> Option<&'static str> {
        let found = find(&method, &segments(path).unwrap(), &super::query(query).unwrap());
        found.map(|(operation, _)| operation.name)
    }

    #[test]
    fn a_uri_leads_to_its_operation() {
        assert_eq!(name_of(Method::POST, "/restapis", ""), Some("CreateRestApi"));
        assert_eq!(name_of(Method::POST, "/restapis", "mode=import"), Some("ImportRestApi"));
        assert_eq!(name_of(Method::GET, "/restapis/", ""), Some("GetRestApis"));
        assert_eq!(name_of(Method::GET, "/restapis/a/b/c", ""), None);
        assert_eq!(name_of(Method::GET, "/", ""), None);
    }

    #[test]
    fn parts_are_decoded() {
        let arn = "arn:aws:apigateway:us-east-1::/restapis/a";
        let encoded = "/tags/arn%3Aaws%3Aapigateway%3Aus-east-1%3A%3A%2Frestapis%2Fa";
        for path in [encoded, "/tags/arn:aws:apigateway:us-east-1::/restapis/a"] {
            let parts = matches("/tags/{resource_arn+}", &segments(path).unwrap()).unwrap();
            assert_eq!(parts["resource_arn"], arn);
        }
    }

    #[test]
    fn no_two_operations_have_one_uri() {
        let mut seen = std::collections::BTreeSet::new();
        for operation in OPERATIONS.iter().copied().flatten() {
            assert!(seen.insert((operation.method.as_str(), operation.uri)), "{}", operation.uri);
        }
    }

    /// What `tests/clients/coverage.py` compares with botocore's service model.
    #[test]
    fn all_operations_are_those_of_the_service_model() {
        let operations = OPERATIONS.iter().copied().flatten();
        let mut lines: Vec<String> = operations
            .map(|Operation { name, method, uri, status, .. }| {
                format!("{name} {method} {} {status}", uri.replace("+}", "}"))
            })
            .collect();
        lines.sort();
        let model: Vec<&str> = include_str!("../operations.txt").lines().collect();
        assert_eq!(lines, model);
    }
}
