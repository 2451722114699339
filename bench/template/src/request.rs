//! The request that the templates read.

use std::borrow::Cow;

use anyhow::{Context, Result};
use serde_json::Value;
use tollgate_template::{ContextValue, ParameterLocation, TemplateValues};

/// Like the gateway's, it finds a few names by looking at each, without hashing them.
pub struct Request {
    body: String,
    path: Object,
    querystring: Object,
    header: Object,
    context: Object,
    stage_variables: Object,
}

type Object = Vec<(String, Entry)>;

enum Entry {
    Text(String),
    Object(Object),
}

impl Request {
    /// `rest` has `parameters`, `context` and `stageVariables`, of objects and strings.
    pub fn new(rest: &str, body: String) -> Result<Self> {
        let rest: Value = serde_json::from_str(rest)?;
        let read = |pointer| object(rest.pointer(pointer).context(pointer)?);
        Ok(Self {
            body,
            path: read("/parameters/path")?,
            querystring: read("/parameters/querystring")?,
            header: read("/parameters/header")?,
            context: read("/context")?,
            stage_variables: read("/stageVariables")?,
        })
    }

    fn parameters(&self, location: ParameterLocation) -> &Object {
        match location {
            ParameterLocation::Path => &self.path,
            ParameterLocation::Querystring => &self.querystring,
            ParameterLocation::Header => &self.header,
        }
    }
}

impl TemplateValues for Request {
    fn body(&self) -> &str {
        &self.body
    }

    fn parameter(&self, location: ParameterLocation, name: &str) -> Option<Cow<'_, str>> {
        text(self.parameters(location), name).map(Cow::Borrowed)
    }

    fn each_parameter<'v>(
        &'v self,
        location: ParameterLocation,
        f: &mut dyn FnMut(Cow<'v, str>, Cow<'v, str>),
    ) {
        each(self.parameters(location), &mut |name, value| f(name.into(), value.into()));
    }

    fn context(&self, path: &[&str]) -> Option<ContextValue<'_>> {
        let Some((last, parents)) = path.split_last() else { return Some(ContextValue::Object) };
        Some(match find(below(&self.context, parents)?, last)? {
            Entry::Text(text) => ContextValue::Text(Cow::Borrowed(text)),
            Entry::Object(_) => ContextValue::Object,
        })
    }

    fn context_keys(&self, path: &[&str]) -> Vec<Cow<'_, str>> {
        let entries = below(&self.context, path).into_iter().flatten();
        entries.map(|(key, _)| key.into()).collect()
    }

    fn stage_variable(&self, name: &str) -> Option<&str> {
        text(&self.stage_variables, name)
    }

    fn each_stage_variable<'v>(&'v self, f: &mut dyn FnMut(&'v str, &'v str)) {
        each(&self.stage_variables, f);
    }
}

fn object(value: &Value) -> Result<Object> {
    let entries = value.as_object().context("no object")?.iter().map(|(name, value)| {
        let entry = match value {
            Value::String(text) => Entry::Text(text.clone()),
            other => Entry::Object(object(other)?),
        };
        Ok((name.clone(), entry))
    });
    entries.collect()
}

fn find<'v>(object: &'v Object, name: &str) -> Option<&'v Entry> {
    object.iter().find(|(other, _)| other == name).map(|(_, entry)| entry)
}

fn below<'v>(object: &'v Object, path: &[&str]) -> Option<&'v Object> {
    path.iter().try_fold(object, |object, name| match find(object, name)? {
        Entry::Text(_) => None,
        Entry::Object(object) => Some(object),
    })
}

fn text<'v>(object: &'v Object, name: &str) -> Option<&'v str> {
    match find(object, name)? {
        Entry::Text(text) => Some(text),
        Entry::Object(_) => None,
    }
}

fn each<'v>(object: &'v Object, f: &mut dyn FnMut(&'v str, &'v str)) {
    for (name, entry) in object {
        if let Entry::Text(text) = entry {
            f(name, text);
        }
    }
}
