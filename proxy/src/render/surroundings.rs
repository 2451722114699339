//! The context file of `tollgate render`: what a template reads besides the payload.
//!
//! ```json
//! {
//!   "params": {"path": {"id": "7"}, "querystring": {"q": ["a", "b"]}, "header": {"Accept": "*/*"}},
//!   "context": {"stage": "prod", "identity": {"sourceIp": "192.0.2.1"}},
//!   "stageVariables": {"backend": "a.example"},
//!   "variables": {"name": "what $name is"}
//! }
//! ```

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};
use tollgate_template::{ContextValue, ParameterLocation, TemplateValues};

const KEYS: [&str; 4] = ["params", "context", "stageVariables", "variables"];
const LOCATIONS: [&str; 3] = ["path", "querystring", "header"];

/// Names that already mean something in every template.
const TAKEN_VARIABLES: [&str; 4] = ["input", "util", "context", "stageVariables"];

/// A context file that has been checked.
#[derive(Debug, Default, PartialEq)]
pub struct Surroundings {
    path: Texts,
    querystring: Texts,
    header: Texts,
    context: Map<String, Value>,
    stage_variables: Texts,
    variables: Map<String, Value>,
}

/// What is wrong with a context file. Prints so that it can follow the file's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The text is not JSON. Line and column start with 1.
    Syntax { line: usize, column: usize, message: String },
    /// `key` is `params.header.Accept`; empty for the whole file.
    Content { key: String, message: String },
}

/// Names and values in the file's order.
#[derive(Debug, Default, PartialEq)]
struct Texts(Vec<(String, String)>);

/// The values of one rendering.
pub struct WithPayload<'s> {
    surroundings: &'s Surroundings,
    payload: &'s str,
}

impl Surroundings {
    pub fn read(json: &[u8]) -> Result<Self, Problem> {
        let file = serde_json::from_slice(json).map_err(|error| Problem::syntax(&error, json))?;
        let mut file = object(file, "")?;
        only(&file, &KEYS, "")?;
        let mut take = |key: &str| file.remove(key).map(|value| object(value, key)).transpose();
        let mut params = take("params")?.unwrap_or_default();
        only(&params, &LOCATIONS, "params")?;
        let mut parameters = |location| {
            let key = format!("params.{location}");
            params
                .remove(location)
                .map_or_else(|| Ok(Texts::default()), |it| texts(it, &key, last_text))
        };
        let [path, querystring, header] = LOCATIONS;
        let variables = take("variables")?.unwrap_or_default();
        if let Some(name) = variables.keys().find(|name| TAKEN_VARIABLES.contains(&name.as_str())) {
            let message = format!("${name} has its own meaning; allowed: any other name");
            return Err(Problem::content(join("variables", name), message));
        }
        let stage_variables = take("stageVariables")?.unwrap_or_default();
        Ok(Self {
            path: parameters(path)?,
            querystring: parameters(querystring)?,
            header: parameters(header)?,
            context: take("context")?.unwrap_or_default(),
            stage_variables: texts(stage_variables.into(), "stageVariables", text)?,
            variables,
        })
    }

    pub fn with_payload<'s>(&'s self, payload: &'s str) -> WithPayload<'s> {
        WithPayload { surroundings: self, payload }
    }

    /// `Some(None)`: `$context` itself.
    fn context_value(&self, path: &[&str]) -> Option<Option<&Value>> {
        let Some((first, rest)) = path.split_first() else { return Some(None) };
        let mut value = self.context.get(*first)?;
        for key in rest {
            value = value.as_object()?.get(*key)?;
        }
        Some(Some(value))
    }

    fn parameters(&self, location: ParameterLocation) -> &Texts {
        match location {
            ParameterLocation::Path => &self.path,
            ParameterLocation::Querystring => &self.querystring,
            ParameterLocation::Header => &self.header,
        }
    }
}

impl TemplateValues for WithPayload<'_> {
    fn body(&self) -> &str {
        self.payload
    }

    fn parameter(&self, location: ParameterLocation, name: &str) -> Option<Cow<'_, str>> {
        self.surroundings.parameters(location).get(name).map(Cow::Borrowed)
    }

    fn each_parameter<'v>(
        &'v self,
        location: ParameterLocation,
        f: &mut dyn FnMut(Cow<'v, str>, Cow<'v, str>),
    ) {
        let each = &mut |name, value| f(Cow::Borrowed(name), Cow::Borrowed(value));
        self.surroundings.parameters(location).each(each);
    }

    fn context(&self, path: &[&str]) -> Option<ContextValue<'_>> {
        let Some(value) = self.surroundings.context_value(path)? else {
            return Some(ContextValue::Object);
        };
        match value {
            Value::Null => None,
            Value::String(text) => Some(ContextValue::Text(text.into())),
            // As the gateway gives `$context.identity`, so that it prints and iterates alike.
            Value::Object(_) => Some(ContextValue::Object),
            other => Some(ContextValue::Json(other)),
        }
    }

    fn context_keys(&self, path: &[&str]) -> Vec<Cow<'_, str>> {
        let object = match self.surroundings.context_value(path) {
            Some(None) => Some(&self.surroundings.context),
            Some(Some(Value::Object(object))) => Some(object),
            _ => None,
        };
        object.into_iter().flatten().map(|(key, _)| Cow::Borrowed(key.as_str())).collect()
    }

    fn stage_variable(&self, name: &str) -> Option<&str> {
        self.surroundings.stage_variables.get(name)
    }

    fn each_stage_variable<'v>(&'v self, f: &mut dyn FnMut(&'v str, &'v str)) {
        self.surroundings.stage_variables.each(f);
    }

    fn variable(&self, name: &str) -> Option<&Value> {
        self.surroundings.variables.get(name)
    }
}

impl Texts {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn each<'v>(&'v self, f: &mut dyn FnMut(&'v str, &'v str)) {
        for (name, value) in &self.0 {
            f(name, value);
        }
    }
}

impl Problem {
    fn content(key: String, message: String) -> Self {
        Self::Content { key, message }
    }

    fn syntax(error: &serde_json::Error, json: &[u8]) -> Self {
        let line = error.line().max(1);
        let text = json.split(|byte| *byte == b'\n').nth(line - 1).unwrap_or_default();
        let before = &text[..error.column().min(text.len())];
        let message = error.to_string();
        // The place is told before the message.
        let message = message.rsplit_once(" at line ").map_or(&*message, |(message, _)| message);
        Self::Syntax {
            line,
            column: String::from_utf8_lossy(before).chars().count().max(1),
            message: message.to_owned(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { line, column, message } => {
                write!(f, ":{line}:{column}: not valid JSON: {message}; allowed: ")?;
                write!(f, "one object with {}", KEYS.join(", "))
            }
            Self::Content { key, message } if key.is_empty() => write!(f, ": {message}"),
            Self::Content { key, message } => write!(f, ": {key}: {message}"),
        }
    }
}

fn object(value: Value, key: &str) -> Result<Map<String, Value>, Problem> {
    match value {
        Value::Object(object) => Ok(object),
        other => {
            let message = format!("{} cannot stand here; allowed: an object", kind(&other));
            Err(Problem::content(key.to_owned(), message))
        }
    }
}

fn only(object: &Map<String, Value>, allowed: &[&str], at: &str) -> Result<(), Problem> {
    match object.keys().find(|key| !allowed.contains(&key.as_str())) {
        Some(key) => {
            let message = format!("unknown key; allowed: {}", allowed.join(", "));
            Err(Problem::content(join(at, key), message))
        }
        None => Ok(()),
    }
}

fn texts(
    value: Value,
    key: &str,
    one: impl Fn(Value) -> Result<String, String>,
) -> Result<Texts, Problem> {
    let entries = object(value, key)?.into_iter().map(|(name, value)| match one(value) {
        Ok(text) => Ok((name, text)),
        Err(message) => Err(Problem::content(join(key, &name), message)),
    });
    entries.collect::<Result<_, _>>().map(Texts)
}

fn text(value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(format!("{} cannot stand here; allowed: a string", kind(&other))),
    }
}

/// A parameter's text: of a list, which stands for a repeated parameter, the last as on AWS.
fn last_text(value: Value) -> Result<String, String> {
    let allowed = "allowed: a string, or a list of strings for a repeated parameter";
    let values = match value {
        Value::Array(values) => values,
        other => vec![other],
    };
    let mut last = Err(format!("an empty list cannot stand here; {allowed}"));
    for value in values {
        let refused = format!("{} cannot stand here; {allowed}", kind(&value));
        last = Ok(text(value).map_err(|_| refused)?);
    }
    last
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = r#"{
        "params": {
            "path": {"id": "7"},
            "querystring": {"tag": ["a", "b"], "empty": ""},
            "header": {"X-A": "1", "x-a": "2"}
        },
        "context": {"stage": "prod", "identity": {"sourceIp": "192.0.2.1"}, "n": 5, "none": null},
        "stageVariables": {"backend": "a.example"},
        "variables": {"list": [1, 2]}
    }"#;

    #[test]
    fn every_part_of_the_file_reaches_the_template() {
        let surroundings = Surroundings::read(FULL.as_bytes()).unwrap();
        let values = surroundings.with_payload("body");
        assert_eq!(values.body(), "body");
        for (location, name, expected) in [
            (ParameterLocation::Path, "id", Some("7")),
            (ParameterLocation::Path, "ID", None),
            (ParameterLocation::Querystring, "tag", Some("b")),
            (ParameterLocation::Querystring, "empty", Some("")),
            (ParameterLocation::Querystring, "id", None),
            (ParameterLocation::Header, "X-A", Some("1")),
            (ParameterLocation::Header, "x-a", Some("2")),
        ] {
            assert_eq!(values.parameter(location, name).as_deref(), expected, "{name}");
        }
        let mut seen = Vec::new();
        values.each_parameter(ParameterLocation::Header, &mut |name, value| {
            seen.push(format!("{name}={value}"));
        });
        values.each_stage_variable(&mut |name, value| seen.push(format!("{name}={value}")));
        assert_eq!(seen, ["X-A=1", "x-a=2", "backend=a.example"]);
        assert_eq!(values.stage_variable("backend"), Some("a.example"));
        assert_eq!(values.stage_variable("none"), None);
        assert_eq!(values.variable("list"), Some(&serde_json::json!([1, 2])));
        assert_eq!(values.variable("stage"), None);
    }

    #[test]
    fn context_is_asked_for_by_path() {
        let surroundings = Surroundings::read(FULL.as_bytes()).unwrap();
        let values = surroundings.with_payload("");
        for (path, expected) in [
            (&[][..], "object stage identity n none"),
            (&["stage"], "prod"),
            (&["stage", "length"], "nothing"),
            (&["identity"], "object sourceIp"),
            (&["identity", "sourceIp"], "192.0.2.1"),
            (&["identity", "user"], "nothing"),
            (&["n"], "json 5"),
            (&["none"], "nothing"),
            (&["unknown", "deeper"], "nothing"),
        ] {
            let seen = match values.context(path) {
                Some(ContextValue::Text(text)) => text.into_owned(),
                Some(ContextValue::Json(json)) => format!("json {json}"),
                Some(ContextValue::Object) => {
                    format!("object {}", values.context_keys(path).join(" "))
                }
                None => "nothing".to_owned(),
            };
            assert_eq!(seen, expected, "{path:?}");
        }
    }

    #[test]
    fn an_empty_object_is_a_file_too() {
        assert_eq!(Surroundings::read(b"{}"), Ok(Surroundings::default()));
    }

    #[test]
    fn what_cannot_be_meant_is_named_with_what_is_allowed() {
        let keys = "allowed: one object with params, context, stageVariables, variables";
        for (json, expected) in [
            ("", format!(":1:1: not valid JSON: EOF while parsing a value; {keys}")),
            ("{\n \"ä\": x}", format!(":2:7: not valid JSON: expected value; {keys}")),
            ("{} {}", format!(":1:4: not valid JSON: trailing characters; {keys}")),
            ("[]", ": a list cannot stand here; allowed: an object".into()),
            (
                r#"{"parms": {}}"#,
                ": parms: unknown key; allowed: params, context, stageVariables, variables".into(),
            ),
            (
                r#"{"params": {"headers": {}}}"#,
                ": params.headers: unknown key; allowed: path, querystring, header".into(),
            ),
            (
                r#"{"params": {"header": []}}"#,
                ": params.header: a list cannot stand here; allowed: an object".into(),
            ),
            (
                r#"{"params": {"path": {"id": 7}}}"#,
                ": params.path.id: a number cannot stand here; allowed: a string, or a list of strings for a repeated parameter".into(),
            ),
            (
                r#"{"params": {"querystring": {"q": ["a", null]}}}"#,
                ": params.querystring.q: null cannot stand here; allowed: a string, or a list of strings for a repeated parameter".into(),
            ),
            (
                r#"{"params": {"querystring": {"q": []}}}"#,
                ": params.querystring.q: an empty list cannot stand here; allowed: a string, or a list of strings for a repeated parameter".into(),
            ),
            (
                r#"{"context": "x"}"#,
                ": context: a string cannot stand here; allowed: an object".into(),
            ),
            (
                r#"{"stageVariables": {"a": true}}"#,
                ": stageVariables.a: a boolean cannot stand here; allowed: a string".into(),
            ),
            (
                r#"{"variables": {"a": 1, "util": {}}}"#,
                ": variables.util: $util has its own meaning; allowed: any other name".into(),
            ),
        ] {
            let problem = Surroundings::read(json.as_bytes()).unwrap_err();
            assert_eq!(problem.to_string(), expected, "{json}");
        }
        let problem = Surroundings::read(b"{\"a\": \"\xff\"}").unwrap_err().to_string();
        assert!(problem.starts_with(":1:") && problem.contains("not valid JSON"), "{problem}");
    }
}
