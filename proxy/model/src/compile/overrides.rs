//! `$context.requestOverride`: what a request template puts into the integration request
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-override-request-response-parameters.html>).
//!
//! An override beats a mapping of the same name. Headers follow the same rules as mapped ones.

use std::borrow::Cow;

use smallvec::SmallVec;
use tollgate_template::{ContextWrites, ParameterLocation};

use super::mapping::parse::{HeaderRule, request_header_rule, response_header_name};
use super::mapping::{MappingError, header_text};

type Parameters<'c> = SmallVec<[(&'c str, Cow<'c, str>); 2]>;

/// The overrides of one integration request, in the order the template set them.
#[derive(Debug, Default)]
pub struct RequestOverrides<'c> {
    pub(crate) path: Parameters<'c>,
    pub(crate) querystring: Parameters<'c>,
    /// Names are tokens (RFC 9110 §5.6.2), values hold no control character.
    pub headers: Parameters<'c>,
}

impl<'c> RequestOverrides<'c> {
    /// [`MappingError::ReservedHeader`] for a header API Gateway keeps to itself, or a name that
    /// is no header's.
    pub fn new(context: &'c ContextWrites) -> Result<Self, MappingError> {
        let mut headers = Parameters::new();
        for (name, value) in context.request_overrides(ParameterLocation::Header) {
            match request_header_rule(name) {
                HeaderRule::Pass if is_token(name) => headers.push((name, header_text(value))),
                HeaderRule::Drop => {}
                _ => return Err(MappingError::ReservedHeader(name.into())),
            }
        }
        Ok(Self {
            path: context.request_overrides(ParameterLocation::Path).collect(),
            querystring: context.request_overrides(ParameterLocation::Querystring).collect(),
            headers,
        })
    }

    pub(crate) fn path(&self, name: &str) -> Option<&str> {
        self.path.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value)
    }

    pub(crate) fn replaces_querystring(&self, name: &str) -> bool {
        self.querystring.iter().any(|(known, _)| *known == name)
    }
}

/// A header that a template set in `$context.responseOverride.header`.
#[derive(Debug)]
pub struct ResponseOverride<'c> {
    /// As the client gets it, `x-amzn-Remapped-` included.
    pub name: Cow<'c, str>,
    /// Without control characters.
    pub value: Cow<'c, str>,
}

impl<'c> ResponseOverride<'c> {
    /// `None` for a header that only the gateway sets; an error for a name that is no header's.
    pub fn new(name: &'c str, value: Cow<'c, str>) -> Result<Option<Self>, MappingError> {
        if !is_token(name) {
            return Err(MappingError::ReservedHeader(name.into()));
        }
        let name = response_header_name(name);
        Ok(name.map(|name| Self { name, value: header_text(value) }))
    }
}

fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
