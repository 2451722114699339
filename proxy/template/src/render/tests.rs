//! Templates and what they render. Where nothing else is said, real Velocity 1.7 renders the same
//! (with `directive.set.null.allowed`), except that it writes null references as they are written.

mod acceptance;
mod language;
mod directives;
mod macros;
mod numbers;
mod context;
mod limits;

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::{
    ContextValue, ContextWrites, ParameterLocation, RenderError, Template, TemplateValues,
};

/// A request, its context and the variables of a `--context` file.
struct Request {
    body: &'static str,
    parameters: Vec<(ParameterLocation, &'static str, &'static str)>,
    context: Value,
    stage_variables: Vec<(&'static str, &'static str)>,
    variables: Value,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            body: "",
            parameters: vec![
                (ParameterLocation::Path, "id", "7"),
                (ParameterLocation::Querystring, "q", "a b"),
                (ParameterLocation::Header, "X-Name", "Ada"),
            ],
            context: json!({
                "requestId": "r-1",
                "stage": "prod",
                "identity": {"sourceIp": "192.0.2.1", "user": "ada"},
                "authorizer": {"principalId": "p", "count": 3, "groups": ["a", "b"]},
            }),
            stage_variables: vec![("host", "example.org"), ("a-b", "c")],
            variables: json!({
                "s": "str",
                "i": 7,
                "bt": true,
                "l": ["x", null, "z"],
                "m": {"a": "1"},
            }),
        }
    }
}

impl TemplateValues for Request {
    fn body(&self) -> &str {
        self.body
    }

    fn parameter(&self, location: ParameterLocation, name: &str) -> Option<Cow<'_, str>> {
        let found =
            self.parameters.iter().find(|(at, other, _)| (*at, *other) == (location, name))?;
        Some(found.2.into())
    }

    fn each_parameter<'v>(
        &'v self,
        location: ParameterLocation,
        f: &mut dyn FnMut(Cow<'v, str>, Cow<'v, str>),
    ) {
        for (_, name, value) in self.parameters.iter().filter(|(at, ..)| *at == location) {
            f((*name).into(), (*value).into());
        }
    }

    fn context(&self, path: &[&str]) -> Option<ContextValue<'_>> {
        let value = path.iter().try_fold(&self.context, |value, key| value.get(key))?;
        Some(match value {
            Value::String(text) => ContextValue::Text(text.into()),
            Value::Object(_) => ContextValue::Object,
            other => ContextValue::Json(other),
        })
    }

    fn context_keys(&self, path: &[&str]) -> Vec<Cow<'_, str>> {
        let value = path.iter().try_fold(&self.context, |value, key| value.get(key));
        let entries = value.and_then(Value::as_object).into_iter().flatten();
        entries.map(|(key, _)| key.into()).collect()
    }

    fn stage_variable(&self, name: &str) -> Option<&str> {
        self.stage_variables.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
    }

    fn each_stage_variable<'v>(&'v self, f: &mut dyn FnMut(&'v str, &'v str)) {
        self.stage_variables.iter().for_each(|(name, value)| f(name, value));
    }

    fn variable(&self, name: &str) -> Option<&Value> {
        self.variables.get(name)
    }
}

impl Request {
    fn render(&self, template: &str) -> Result<String, RenderError> {
        Template::parse(template).render(self, &mut ContextWrites::default())
    }
}

/// Each template renders its text.
#[track_caller]
fn check(cases: &[(&str, &str)]) {
    let request = Request::default();
    for (template, expected) in cases {
        assert_eq!(request.render(template).as_deref(), Ok(*expected), "{template}");
    }
}

/// Each template fails with a message that has this in it.
#[track_caller]
fn check_failures(cases: &[(&str, &str)]) {
    let request = Request::default();
    for (template, expected) in cases {
        let error = request.render(template).expect_err(template).to_string();
        assert!(error.contains(expected), "{template}: {error}");
    }
}
