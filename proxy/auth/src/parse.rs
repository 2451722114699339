//! From a policy's JSON to a [`Policy`]. What AWS refuses as malformed is refused here, with the
//! place and what is allowed there.

use serde_json::{Map, Value};

use crate::condition::{Condition, Operator};
use crate::pattern::{Case, Syntax, Text};
use crate::policy::{Effect, Policy, Scope, Statement};
use crate::principal::{Listed, Principals};
use crate::{AUTHORIZER_POLICY, AUTHORIZER_RESOURCE, RESOURCE_POLICY, VALUE};

/// Where a policy comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind<'a> {
    /// From an authorizer. Its statements need no `Principal`: they speak of the caller.
    Authorizer,
    /// An API's resource policy: each statement says whom it is about.
    Resource {
        /// `arn:{partition}:execute-api:{region}:{account}:{api}`, which a resource's short form
        /// `execute-api:/{stage}/{METHOD}/{path}` stands behind.
        api_arn: &'a str,
    },
}

/// A policy is malformed: where, and what is allowed there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct PolicyError {
    /// `Statement[1].Condition.IpAddress.aws:SourceIp`; `policy` for the whole.
    pub place: String,
    pub problem: String,
}

type Parsed<T> = Result<T, PolicyError>;

impl Policy {
    /// # Errors
    /// Text that is no JSON, or longer than [`RESOURCE_POLICY`] or [`AUTHORIZER_POLICY`], and
    /// whatever IAM's grammar doesn't have: unknown elements, operators and effects, values of
    /// the wrong kind, a missing `Action` or `Resource`.
    pub fn parse(text: &str, kind: PolicyKind<'_>) -> Result<Self, PolicyError> {
        check_size(text.len(), kind)?;
        let value = serde_json::from_str(text)
            .map_err(|error| wrong("policy", format!("is not JSON: {error}")))?;
        policy(&value, kind)
    }

    /// The same from a document that was read already. A string is a policy's text.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn from_value(value: &Value, kind: PolicyKind<'_>) -> Result<Self, PolicyError> {
        if let Value::String(text) = value {
            return Self::parse(text, kind);
        }
        check_size(value.to_string().len(), kind)?;
        policy(value, kind)
    }
}

fn wrong(place: impl Into<String>, problem: impl Into<String>) -> PolicyError {
    PolicyError { place: place.into(), problem: problem.into() }
}

fn check_size(size: usize, kind: PolicyKind<'_>) -> Parsed<()> {
    let maximum = match kind {
        PolicyKind::Authorizer => AUTHORIZER_POLICY,
        PolicyKind::Resource { .. } => RESOURCE_POLICY,
    };
    if size <= maximum {
        return Ok(());
    }
    Err(wrong("policy", format!("is {size} bytes; allowed: up to {maximum}")))
}

fn policy(value: &Value, kind: PolicyKind<'_>) -> Parsed<Policy> {
    let members = object(value, "policy")?;
    known_only(members, "", &["Version", "Id", "Statement"])?;
    let variables = match members.get("Version").map(Value::as_str) {
        None | Some(Some("2008-10-17")) => false,
        Some(Some("2012-10-17")) => true,
        Some(_) => return Err(wrong("Version", "must be \"2012-10-17\" or \"2008-10-17\"")),
    };
    text_or_none(members, "Id", "Id")?;
    let reader = |place| Reader { place, kind, variables };
    let statements = match members.get("Statement") {
        None => return Err(wrong("policy", "has no Statement")),
        Some(Value::Array(all)) if all.is_empty() => {
            return Err(wrong("Statement", "must have at least one statement"));
        }
        Some(Value::Array(all)) => all
            .iter()
            .enumerate()
            .map(|(at, statement)| reader(format!("Statement[{at}]")).statement(statement))
            .collect::<Parsed<_>>()?,
        Some(statement) => [reader("Statement".to_owned()).statement(statement)?].into(),
    };
    Ok(Policy { statements })
}

fn object<'v>(value: &'v Value, place: &str) -> Parsed<&'v Map<String, Value>> {
    value.as_object().ok_or_else(|| wrong(place, "must be an object"))
}

fn known_only(members: &Map<String, Value>, place: &str, known: &[&str]) -> Parsed<()> {
    let Some(name) = members.keys().find(|name| !known.contains(&&***name)) else {
        return Ok(());
    };
    let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
    Err(wrong(place, format!("is not known; allowed: {}", known.join(", "))))
}

fn text_or_none(members: &Map<String, Value>, name: &str, place: &str) -> Parsed<()> {
    match members.get(name) {
        None | Some(Value::String(_)) => Ok(()),
        Some(_) => Err(wrong(place, "must be a string")),
    }
}

/// Reads one statement.
struct Reader<'a> {
    place: String,
    kind: PolicyKind<'a>,
    /// Whether `${…}` is a variable.
    variables: bool,
}

impl Reader<'_> {
    fn wrong(&self, element: &str, problem: impl Into<String>) -> PolicyError {
        wrong(format!("{}.{element}", self.place), problem)
    }

    fn statement(&self, value: &Value) -> Parsed<Statement> {
        let members = object(value, &self.place)?;
        let known = [
            "Sid",
            "Effect",
            "Principal",
            "NotPrincipal",
            "Action",
            "NotAction",
            "Resource",
            "NotResource",
            "Condition",
        ];
        known_only(members, &self.place, &known)?;
        text_or_none(members, "Sid", &format!("{}.Sid", self.place))?;
        let effect = match members.get("Effect").and_then(Value::as_str) {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            _ => return Err(self.wrong("Effect", "must be \"Allow\" or \"Deny\"")),
        };
        Ok(Statement {
            effect,
            principal: self.principal(members)?,
            action: self.scope(members, ["Action", "NotAction"], |text| self.action(text))?,
            resource: self
                .scope(members, ["Resource", "NotResource"], |text| self.resource(text))?,
            conditions: self.conditions(members.get("Condition"))?,
        })
    }

    /// Which of the two elements there is; both is one too many.
    fn element<'v>(
        &self,
        members: &'v Map<String, Value>,
        [name, negated]: [&'static str; 2],
    ) -> Parsed<Option<Scope<&'v Value>>> {
        match (members.get(name), members.get(negated)) {
            (Some(value), None) => Ok(Some(Scope::Only(value))),
            (None, Some(value)) => Ok(Some(Scope::AllBut(value))),
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(self.wrong(negated, format!("can't stand beside {name}"))),
        }
    }

    fn scope(
        &self,
        members: &Map<String, Value>,
        names: [&'static str; 2],
        parse: impl Fn(&str) -> Result<Text, String>,
    ) -> Parsed<Scope<Box<[Text]>>> {
        let texts = |name: &str, value: &Value| -> Parsed<Box<[Text]>> {
            let texts = self.texts(name, value)?;
            let parse = |text: &String| {
                parse(text).map_err(|problem| self.wrong(name, format!("{text:?} {problem}")))
            };
            texts.iter().map(parse).collect()
        };
        match self.element(members, names)? {
            Some(Scope::Only(value)) => Ok(Scope::Only(texts(names[0], value)?)),
            Some(Scope::AllBut(value)) => Ok(Scope::AllBut(texts(names[1], value)?)),
            None => Err(wrong(&*self.place, format!("has neither {} nor {}", names[0], names[1]))),
        }
    }

    /// A string, or a list of some.
    fn texts(&self, name: &str, value: &Value) -> Parsed<Vec<String>> {
        let text = |value: &Value| match value {
            Value::String(text) => self.bounded(name, text.clone()),
            _ => Err(self.wrong(name, "must be a string or a list of strings")),
        };
        match value {
            Value::Array(values) if values.is_empty() => Err(self.wrong(name, "must not be empty")),
            Value::Array(values) => values.iter().map(text).collect(),
            value => Ok(vec![text(value)?]),
        }
    }

    fn bounded(&self, name: &str, text: String) -> Parsed<String> {
        if text.len() > VALUE {
            let length = text.len();
            return Err(
                self.wrong(name, format!("has a value of {length} bytes; allowed: {VALUE}"))
            );
        }
        Ok(text)
    }

    fn action(&self, text: &str) -> Result<Text, String> {
        let has_service = text.split_once(':').is_some_and(|(service, action)| {
            let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            !service.is_empty() && !action.is_empty() && service.bytes().all(letter)
        });
        if !has_service && text != "*" {
            return Err("must be * or begin with a service, like execute-api:Invoke".to_owned());
        }
        let syntax = Syntax { wildcards: true, variables: false };
        Ok(Text::parse(text, syntax, Case::Insensitive)?)
    }

    fn resource(&self, text: &str) -> Result<Text, String> {
        let syntax = Syntax { wildcards: true, variables: self.variables };
        let parse = |text: &str| Ok(Text::parse(text, syntax, Case::Sensitive)?);
        match self.kind {
            PolicyKind::Authorizer if text.chars().count() > AUTHORIZER_RESOURCE => {
                Err(format!("is too long; allowed: {AUTHORIZER_RESOURCE} characters"))
            }
            PolicyKind::Resource { api_arn } if text.starts_with("execute-api:/") => {
                parse(&format!("{api_arn}{}", &text["execute-api:".len()..]))
            }
            _ if text == "*" || text.starts_with("arn:") => parse(text),
            PolicyKind::Authorizer => Err("must be * or an ARN".to_owned()),
            PolicyKind::Resource { .. } => {
                Err("must be *, an ARN, or execute-api:/stage/METHOD/path".to_owned())
            }
        }
    }

    fn principal(&self, members: &Map<String, Value>) -> Parsed<Option<Scope<Principals>>> {
        match self.element(members, ["Principal", "NotPrincipal"])? {
            Some(Scope::Only(value)) => Ok(Some(Scope::Only(self.principals("Principal", value)?))),
            Some(Scope::AllBut(value)) => {
                Ok(Some(Scope::AllBut(self.principals("NotPrincipal", value)?)))
            }
            None if matches!(self.kind, PolicyKind::Resource { .. }) => {
                Err(wrong(&*self.place, "has neither Principal nor NotPrincipal"))
            }
            None => Ok(None),
        }
    }

    fn principals(&self, name: &str, value: &Value) -> Parsed<Principals> {
        if value == "*" {
            return Ok(Principals::Everyone);
        }
        let members = value
            .as_object()
            .filter(|members| !members.is_empty())
            .ok_or_else(|| self.wrong(name, "must be \"*\" or an object like {\"AWS\": \"*\"}"))?;
        let mut listed = Vec::new();
        for (kind, value) in members {
            let place = format!("{name}.{kind}");
            for text in self.texts(&place, value)? {
                listed.push(match &**kind {
                    "AWS" => Listed::aws(&text).ok_or_else(|| {
                        let allowed = "must be *, an account id, or the ARN of a user or role";
                        self.wrong(&place, format!("{text:?} {allowed}"))
                    })?,
                    "Service" => Listed::Service(text.into()),
                    "Federated" | "CanonicalUser" => Listed::Other,
                    _ => {
                        let known = "is not known; allowed: AWS, Service, Federated, CanonicalUser";
                        return Err(self.wrong(&place, known));
                    }
                });
            }
        }
        Ok(Principals::Listed(listed.into()))
    }

    fn conditions(&self, value: Option<&Value>) -> Parsed<Box<[Condition]>> {
        let Some(value) = value else { return Ok(Box::default()) };
        let mut conditions = Vec::new();
        for (name, keys) in object(value, &format!("{}.Condition", self.place))? {
            let place = format!("Condition.{name}");
            let operator = Operator::parse(name)
                .ok_or_else(|| self.wrong(&place, "is no condition operator"))?;
            let keys = object(keys, &format!("{}.{place}", self.place))?;
            for (key, values) in keys {
                let place = format!("{place}.{key}");
                if key.is_empty() {
                    return Err(self.wrong(&place, "must be a condition key"));
                }
                let values = self.condition_values(&place, values)?;
                let condition = operator.condition(key, &values, self.variables);
                conditions.push(condition.map_err(|(at, problem)| {
                    self.wrong(&place, format!("{:?} {problem}", values[at]))
                })?);
            }
        }
        Ok(conditions.into())
    }

    /// Strings, or numbers and booleans as JSON has them; one or a list.
    fn condition_values(&self, place: &str, value: &Value) -> Parsed<Vec<String>> {
        let text = |value: &Value| match value {
            Value::String(text) => self.bounded(place, text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            Value::Bool(bool) => Ok(bool.to_string()),
            _ => Err(self.wrong(place, "must be a string, a number, a boolean or a list of them")),
        };
        match value {
            Value::Array(values) if values.is_empty() => {
                Err(self.wrong(place, "must not be empty"))
            }
            Value::Array(values) => values.iter().map(text).collect(),
            value => Ok(vec![text(value)?]),
        }
    }
}
