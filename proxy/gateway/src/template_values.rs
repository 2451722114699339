//! What mapping templates read of an exchange (mapping-templates §4, §6, §8.1).

use std::borrow::Cow;

use indexmap::IndexMap;
use smallvec::SmallVec;
use tollgate_model::compile::RequestValues;
use tollgate_model::compile::path::decode;
use tollgate_template::{ContextValue, ParameterLocation, TemplateValues};

use crate::exchange::ExchangeView;

/// The keys of `$context` for a REST API, in the order AWS lists them. `isCanaryRequest` follows
/// on a stage with a canary.
const CONTEXT_KEYS: [&str; 18] = [
    "resourceId",
    "resourcePath",
    "httpMethod",
    "extendedRequestId",
    "requestTime",
    "path",
    "accountId",
    "protocol",
    "requestOverride",
    "stage",
    "domainPrefix",
    "requestTimeEpoch",
    "requestId",
    "identity",
    "domainName",
    "deploymentId",
    "responseOverride",
    "apiId",
];

/// The keys of `$context.identity`.
const IDENTITY_KEYS: [&str; 12] = [
    "cognitoIdentityPoolId",
    "accountId",
    "cognitoIdentityId",
    "caller",
    "sourceIp",
    "principalOrgId",
    "accessKey",
    "cognitoAuthenticationType",
    "cognitoAuthenticationProvider",
    "userArn",
    "userAgent",
    "user",
];

/// An exchange with the payload of the template: the client's body, or the integration's.
pub struct TemplateView<'a, 'p> {
    pub request: &'a ExchangeView<'a, 'p>,
    pub payload: &'a str,
}

impl TemplateValues for TemplateView<'_, '_> {
    fn body(&self) -> &str {
        self.payload
    }

    fn parameter(&self, location: ParameterLocation, name: &str) -> Option<Cow<'_, str>> {
        match location {
            ParameterLocation::Path => self.request.path_parameters.get(name).map(decode),
            ParameterLocation::Querystring => RequestValues::querystring(self.request, name),
            ParameterLocation::Header => RequestValues::header(self.request, name),
        }
    }

    fn each_parameter<'v>(
        &'v self,
        location: ParameterLocation,
        f: &mut dyn FnMut(Cow<'v, str>, Cow<'v, str>),
    ) {
        match location {
            ParameterLocation::Path => {
                for (name, value) in self.request.path_parameters.iter() {
                    f(Cow::Borrowed(name), decode(value));
                }
            }
            ParameterLocation::Querystring => each_last(self.request.query_values(), f),
            ParameterLocation::Header => each_last(self.request.visible_headers(), f),
        }
    }

    fn context(&self, path: &[&str]) -> Option<ContextValue<'_>> {
        match path {
            [] | ["identity"] | ["authorizer"] => Some(ContextValue::Object),
            [name] => self.request.context_text(name).map(ContextValue::Text),
            path => {
                let mut name = SmallVec::<[u8; 64]>::new();
                for (at, part) in path.iter().enumerate() {
                    if at > 0 {
                        name.push(b'.');
                    }
                    name.extend_from_slice(part.as_bytes());
                }
                let name = std::str::from_utf8(&name).ok()?;
                self.request.context_text(name).map(ContextValue::Text)
            }
        }
    }

    fn context_keys(&self, path: &[&str]) -> Vec<Cow<'_, str>> {
        let keys: &[&str] = match path {
            [] => {
                let stage = self.request.exchange.stage.as_ref();
                let canary = stage.and_then(|stage| stage.is_canary_request());
                let canary = canary.map(|_| "isCanaryRequest");
                return CONTEXT_KEYS.into_iter().chain(canary).map(Cow::Borrowed).collect();
            }
            ["identity"] => &IDENTITY_KEYS,
            ["authorizer"] => {
                let authorized = self.request.exchange.authorized.iter();
                return authorized.flat_map(|it| it.keys()).map(Cow::Borrowed).collect();
            }
            _ => &[],
        };
        keys.iter().map(|key| Cow::Borrowed(*key)).collect()
    }

    fn stage_variable(&self, name: &str) -> Option<&str> {
        let stage = self.request.exchange.stage.as_ref()?;
        stage.compiled.stage_variables.get(name).map(String::as_str)
    }

    fn each_stage_variable<'v>(&'v self, f: &mut dyn FnMut(&'v str, &'v str)) {
        let stage = self.request.exchange.stage.as_ref();
        for (name, value) in stage.into_iter().flat_map(|stage| &stage.compiled.stage_variables) {
            f(name, value);
        }
    }
}

/// Each name once, where it first came, with its last value.
fn each_last<'v>(
    pairs: impl Iterator<Item = (Cow<'v, str>, Cow<'v, str>)>,
    f: &mut dyn FnMut(Cow<'v, str>, Cow<'v, str>),
) {
    let last: IndexMap<_, _> = pairs.collect();
    for (name, value) in last {
        f(name, value);
    }
}
