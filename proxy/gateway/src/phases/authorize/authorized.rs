//! What an authorizer allowed, as an exchange keeps it and a cache shares it.

use std::borrow::Cow;
use std::time::Duration;

use tollgate_auth::{Policy, PolicyError, PolicyKind};
use tollgate_plugin_host::{ContextValue, HeaderEdit};

use crate::head::Known;

/// An authorizer's allow.
#[derive(Debug)]
pub struct Authorized {
    /// May be empty.
    pub principal_id: Box<str>,
    /// Each key once, in the authorizer's order. Values are text, as they are on AWS.
    properties: Vec<(Box<str>, Box<str>)>,
    /// The API key, where the API takes it from the authorizer.
    pub usage_identifier_key: Option<Box<str>>,
    /// Edits of the request's headers.
    pub headers: Vec<HeaderEdit>,
    /// None allows every method.
    pub policy: Option<Policy>,
    /// Bytes that the policy takes in memory, about.
    policy_size: usize,
}

/// What a plugin said, as it said it.
pub struct Said {
    pub principal_id: String,
    pub policy: Option<String>,
    pub context: Vec<(String, ContextValue)>,
    pub usage_identifier_key: Option<String>,
    pub headers: Vec<HeaderEdit>,
}

/// How authorizing went, for the access log.
#[derive(Debug, Default)]
pub struct Authorization {
    /// What the authorizer's decision amounts to: 200, 401, 403, 500; none without one.
    pub authorizer_status: Option<u16>,
    /// How long the authorizer took; zero for a decision kept from before.
    pub latency: Option<Duration>,
    pub error: Option<Cow<'static, str>>,
    /// What its policy made of this method: 200 or 403.
    pub authorize_status: Option<u16>,
}

/// An allow that can't be used, which is its author's fault.
#[derive(Debug, thiserror::Error)]
pub enum UnusableAllow {
    #[error("its policy can't be used: {0}")]
    Policy(PolicyError),
    #[error("the value of {0:?} in its context is no number that JSON has")]
    Number(String),
    #[error("it edits the header {0:?}, which is the gateway's own")]
    Header(String),
}

impl Authorized {
    pub fn new(said: Said) -> Result<Self, UnusableAllow> {
        let Said { principal_id, policy, context, usage_identifier_key, headers } = said;
        let mut properties: Vec<(Box<str>, Box<str>)> = Vec::with_capacity(context.len());
        for (key, value) in context {
            let Some(value) = text(value) else { return Err(UnusableAllow::Number(key)) };
            // As in a JSON object, the last of two values of one key counts.
            match properties.iter_mut().find(|(known, _)| **known == *key) {
                Some((_, known)) => *known = value,
                None => properties.push((key.into(), value)),
            }
        }
        if let Some(name) = headers.iter().map(name).find(|name| !is_editable(name)) {
            return Err(UnusableAllow::Header(name.to_owned()));
        }
        // Parsed, a policy is about twice its text.
        let policy_size = policy.as_ref().map_or(0, |text| 2 * text.len());
        let policy = policy.map(|text| Policy::parse(&text, PolicyKind::Authorizer)).transpose();
        Ok(Self {
            policy: policy.map_err(UnusableAllow::Policy)?,
            policy_size,
            principal_id: principal_id.into(),
            properties,
            usage_identifier_key: usage_identifier_key.map(Into::into),
            headers,
        })
    }

    /// `$context.authorizer.{key}`.
    pub fn property(&self, key: &str) -> Option<&str> {
        if key == PRINCIPAL_ID {
            return Some(&self.principal_id);
        }
        let found = self.properties.iter().find(|(known, _)| **known == *key);
        found.map(|(_, value)| &**value)
    }

    /// The keys of `$context.authorizer`.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let keys = self.properties.iter().map(|(key, _)| &**key);
        std::iter::once(PRINCIPAL_ID).chain(keys.filter(|key| *key != PRINCIPAL_ID))
    }

    /// Bytes that it takes in memory, about.
    pub fn size(&self) -> usize {
        let properties = self.properties.iter().map(|(key, value)| key.len() + value.len() + 32);
        let edits = self.headers.iter().map(|edit| match edit {
            HeaderEdit::Set(name, value) | HeaderEdit::Append(name, value) => {
                name.len() + value.len() + 40
            }
            HeaderEdit::Remove(name) => name.len() + 40,
        });
        self.principal_id.len()
            + self.usage_identifier_key.as_ref().map_or(0, |key| key.len())
            + properties.sum::<usize>()
            + edits.sum::<usize>()
            + self.policy_size
    }
}

const PRINCIPAL_ID: &str = "principalId";

/// A value as text: numbers as JSON writes them. `None` for one that no JSON has.
fn text(value: ContextValue) -> Option<Box<str>> {
    match value {
        ContextValue::Text(text) => Some(text.into()),
        ContextValue::Boolean(boolean) => Some(boolean.to_string().into()),
        ContextValue::Number(number) if number.is_finite() => Some(number.to_string().into()),
        ContextValue::Number(_) => None,
    }
}

fn name(edit: &HeaderEdit) -> &str {
    match edit {
        HeaderEdit::Set(name, _) | HeaderEdit::Append(name, _) | HeaderEdit::Remove(name) => name,
    }
}

/// Neither what frames the message nor what it was routed by: another method than the one that
/// was authorized must not be called.
fn is_editable(name: &str) -> bool {
    let known = Known::of(name.as_bytes());
    !name.starts_with(':') && !known.is_of_the_gateway() && known != Known::XHttpMethodOverride
}
