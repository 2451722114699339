//! Any text is a template that renders or says why not, and any rendering gives a MOCK status or
//! none. A second rendering reads what the first wrote to `$context`.

#![no_main]

use std::borrow::Cow;

use libfuzzer_sys::fuzz_target;
use tollgate_template::{
    ContextValue, ContextWrites, ParameterLocation, Template, TemplateValues, mock_status,
};

struct Request<'f> {
    body: &'f str,
    header: &'f str,
    query: &'f str,
    context: &'f str,
    stage_variable: &'f str,
}

impl Request<'_> {
    fn named(&self, location: ParameterLocation) -> Option<(&str, &str)> {
        match location {
            ParameterLocation::Path => None,
            ParameterLocation::Querystring => Some(("q", self.query)),
            ParameterLocation::Header => Some(("h", self.header)),
        }
    }
}

impl TemplateValues for Request<'_> {
    fn body(&self) -> &str {
        self.body
    }

    fn parameter(&self, location: ParameterLocation, name: &str) -> Option<Cow<'_, str>> {
        let (_, value) = self.named(location).filter(|(other, _)| *other == name)?;
        Some(value.into())
    }

    fn each_parameter<'v>(
        &'v self,
        location: ParameterLocation,
        f: &mut dyn FnMut(Cow<'v, str>, Cow<'v, str>),
    ) {
        if let Some((name, value)) = self.named(location) {
            f(name.into(), value.into());
        }
    }

    fn context(&self, path: &[&str]) -> Option<ContextValue<'_>> {
        match path {
            [] | ["identity"] => Some(ContextValue::Object),
            ["stage"] | ["identity", "user"] => Some(ContextValue::Text(self.context.into())),
            _ => None,
        }
    }

    fn context_keys(&self, path: &[&str]) -> Vec<Cow<'_, str>> {
        match path {
            [] => vec!["stage".into(), "identity".into()],
            ["identity"] => vec!["user".into()],
            _ => Vec::new(),
        }
    }

    fn stage_variable(&self, name: &str) -> Option<&str> {
        (name == "v").then_some(self.stage_variable)
    }

    fn each_stage_variable<'v>(&'v self, f: &mut dyn FnMut(&'v str, &'v str)) {
        f("v", self.stage_variable);
    }
}

fuzz_target!(|input: (&str, [&str; 5])| {
    let (text, [body, header, query, context, stage_variable]) = input;
    let request = Request { body, header, query, context, stage_variable };
    let template = Template::parse(text);
    let mut writes = ContextWrites::default();
    if let Ok(rendered) = template.render(&request, &mut writes) {
        let _ = mock_status(&rendered);
        let _ = writes.response_status();
        let _ = writes.response_headers().count();
        let _ = template.render(&request, &mut writes);
    }
});
