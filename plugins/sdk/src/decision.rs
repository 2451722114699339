//! What an authorizer says.

use std::fmt::{Display, Write};

use crate::bindings::authorizer::exports::tollgate::plugin::authorization;
use crate::{HeaderEdit, Reply, host};

pub use authorization::{Allow, ContextValue, Decision};

impl Decision {
    /// The caller may call the method. `principal_id` is `$context.authorizer.principalId`, and
    /// may be empty.
    pub fn allow(principal_id: impl Into<String>) -> Allow {
        Allow {
            principal_id: principal_id.into(),
            policy: None,
            context: Vec::new(),
            usage_identifier_key: None,
            headers: Vec::new(),
            time_to_live: None,
        }
    }

    /// 403, as the API's gateway response `ACCESS_DENIED` has it.
    pub fn deny() -> Self {
        Self::Deny(None)
    }

    /// The response given, instead of a gateway response.
    pub fn deny_with(reply: Reply) -> Self {
        Self::Deny(Some(reply))
    }
}

impl Allow {
    /// `$context.authorizer.{key}`: text, a number or a boolean.
    pub fn context(mut self, key: impl Into<String>, value: impl Into<ContextValue>) -> Self {
        self.context.push((key.into(), value.into()));
        self
    }

    /// What the caller may call. Without one: the method called, and with caching every method
    /// that shares the cached decision.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy.to_string());
        self
    }

    /// The API key for usage plans, where the API's key source is `AUTHORIZER`.
    pub fn usage_identifier_key(mut self, key: impl Into<String>) -> Self {
        self.usage_identifier_key = Some(key.into());
        self
    }

    /// Replaces all values of a request header.
    pub fn set_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push(HeaderEdit::Set((name.into(), value.into())));
        self
    }

    /// Adds a value to a request header.
    pub fn append_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push(HeaderEdit::Append((name.into(), value.into())));
        self
    }

    /// Removes a request header, so that the backend doesn't see it.
    pub fn remove_header(mut self, name: impl Into<String>) -> Self {
        self.headers.push(HeaderEdit::Remove(name.into()));
        self
    }

    /// Seconds the decision may be kept; never longer than the authorizer's own time to live,
    /// which holds where this isn't called. 0: not at all.
    pub fn time_to_live(mut self, seconds: u32) -> Self {
        self.time_to_live = Some(seconds);
        self
    }
}

/// How an authorizer ends early, with `?`: it gives `Result<Allow, Refusal>`.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// 401.
    Unauthorized,
    /// 403.
    Deny,
    /// The response given.
    Reply(Box<Reply>),
}

impl From<Reply> for Refusal {
    fn from(reply: Reply) -> Self {
        Self::Reply(Box::new(reply))
    }
}

impl From<Refusal> for Decision {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unauthorized => Self::Unauthorized,
            Refusal::Deny => Self::deny(),
            Refusal::Reply(reply) => Self::deny_with(*reply),
        }
    }
}

impl From<Allow> for Decision {
    fn from(allow: Allow) -> Self {
        Self::Allow(allow)
    }
}

impl<T: Into<Decision>, E: Into<Decision>> From<Result<T, E>> for Decision {
    fn from(result: Result<T, E>) -> Self {
        result.map_or_else(Into::into, Into::into)
    }
}

impl From<&str> for ContextValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for ContextValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<f64> for ContextValue {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<i32> for ContextValue {
    fn from(number: i32) -> Self {
        Self::Number(f64::from(number))
    }
}

impl From<u32> for ContextValue {
    fn from(number: u32) -> Self {
        Self::Number(f64::from(number))
    }
}

impl From<bool> for ContextValue {
    fn from(boolean: bool) -> Self {
        Self::Boolean(boolean)
    }
}

/// An IAM policy over the methods of this API's stage. [`Display`] gives its JSON.
///
/// A decision is cached for all methods of the API that share its identity sources: a policy
/// says which of them the caller may call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    allowed: Vec<String>,
    denied: Vec<String>,
}

impl Policy {
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the caller call a method (`*` for any) with paths like `/pets/*`; `*` stands for any
    /// characters, also `/`, and `?` for one.
    pub fn allow(mut self, method: &str, path: &str) -> Self {
        self.allowed.push(method_arn(method, path));
        self
    }

    /// Forbids it, whatever else is allowed.
    pub fn deny(mut self, method: &str, path: &str) -> Self {
        self.denied.push(method_arn(method, path));
        self
    }
}

impl Display for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(r#"{"Version":"2012-10-17","Statement":["#)?;
        let effects = [("Allow", &self.allowed), ("Deny", &self.denied)];
        let mut statements = effects.iter().filter(|(_, resources)| !resources.is_empty());
        if let Some((effect, resources)) = statements.next() {
            statement(f, effect, resources)?;
        }
        for (effect, resources) in statements {
            f.write_char(',')?;
            statement(f, effect, resources)?;
        }
        f.write_str("]}")
    }
}

fn statement(
    f: &mut std::fmt::Formatter<'_>,
    effect: &str,
    resources: &[String],
) -> std::fmt::Result {
    write!(f, r#"{{"Effect":"{effect}","Action":"execute-api:Invoke","Resource":["#)?;
    for (index, resource) in resources.iter().enumerate() {
        if index > 0 {
            f.write_char(',')?;
        }
        json_string(f, resource)?;
    }
    f.write_str("]}")
}

fn json_string(f: &mut std::fmt::Formatter<'_>, text: &str) -> std::fmt::Result {
    f.write_char('"')?;
    for character in text.chars() {
        match character {
            '"' | '\\' => write!(f, "\\{character}")?,
            '\0'..='\x1f' => write!(f, "\\u{:04x}", character as u32)?,
            _ => f.write_char(character)?,
        }
    }
    f.write_char('"')
}

/// The ARN of a method of the API and stage that is being called.
fn method_arn(method: &str, path: &str) -> String {
    let called = host::request::method_arn();
    let mut parts = called.split('/');
    let api = parts.next().unwrap_or("*");
    let stage = parts.next().unwrap_or("*");
    format!("{api}/{stage}/{method}/{}", path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Request;
    use crate::testing::{Exchange, Gateway};

    #[test]
    fn a_policy_names_the_methods_of_the_stage_that_is_called() {
        fn authorize(_: &Request) -> Allow {
            Decision::allow("ali").policy(Policy::new().allow("GET", "/pets/*").deny("*", "/a\"b"))
        }
        let Decision::Allow(allow) = Gateway::new().authorize(authorize, &Exchange::get("/pets"))
        else {
            panic!("not allowed");
        };
        let expected = concat!(
            r#"{"Version":"2012-10-17","Statement":["#,
            r#"{"Effect":"Allow","Action":"execute-api:Invoke","Resource":["#,
            r#""arn:aws:execute-api:us-east-1:123456789012:testapi/test/GET/pets/*"]},"#,
            r#"{"Effect":"Deny","Action":"execute-api:Invoke","Resource":["#,
            r#""arn:aws:execute-api:us-east-1:123456789012:testapi/test/*/a\"b"]}]}"#,
        );
        assert_eq!(allow.policy.as_deref(), Some(expected));
    }

    #[test]
    fn a_question_mark_ends_an_authorizer_with_a_decision() {
        fn authorize(request: &Request) -> Result<Allow, Refusal> {
            let token = request.bearer_token().ok_or(Refusal::Unauthorized)?;
            Ok(Decision::allow(token))
        }
        let gateway = Gateway::new();
        let without = gateway.authorize(authorize, &Exchange::get("/"));
        assert_eq!(without, Decision::Unauthorized);
        let with = Exchange::get("/").header("Authorization", "bearer ali");
        assert_eq!(gateway.authorize(authorize, &with), Decision::allow("ali").into());
    }
}
