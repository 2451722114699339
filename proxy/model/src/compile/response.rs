//! Which integration response answers, and how
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-integration-settings-integration-response.html>).

use std::collections::HashMap;

use tollgate_template::{JavaPattern, Template};

use super::body::{DEFAULT_MEDIA_TYPE, media_type};
use super::mapping::ResponseMapping;
use crate::api::ContentHandling;

/// The integration responses of a method, in the definition's order.
#[derive(Clone, Debug)]
pub struct IntegrationResponses {
    responses: Vec<(Pattern, CompiledResponse)>,
}

#[derive(Clone, Debug)]
enum Pattern {
    Default,
    /// No character of it is special: nearly all are status codes.
    Exact(Box<str>),
    Java(JavaPattern),
    /// Not served: matches nothing.
    Never,
}

/// What the client gets.
#[derive(Clone, Debug, PartialEq)]
pub struct CompiledResponse {
    pub status: u16,
    pub parameters: Vec<ResponseMapping>,
    pub templates: Vec<ResponseTemplate>,
    pub content_handling: Option<ContentHandling>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ResponseTemplate {
    /// Lower case, without parameters.
    pub media_type: Box<str>,
    pub template: Template,
}

impl IntegrationResponses {
    /// `text` is the backend's (or MOCK's) status in digits. `None` answers 500 and logs `No
    /// match for output mapping and no default output mapping configured`.
    pub fn select(&self, text: &str) -> Option<&CompiledResponse> {
        let matching = self.responses.iter().find(|(pattern, _)| pattern.matches(text));
        let default =
            || self.responses.iter().find(|(pattern, _)| matches!(pattern, Pattern::Default));
        matching.or_else(default).map(|(_, response)| response)
    }
}

impl Pattern {
    /// The whole text has to match, as with Java's `matches`.
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Default | Self::Never => false,
            Self::Exact(exact) => **exact == *text,
            Self::Java(pattern) => pattern.is_match(text),
        }
    }
}

impl CompiledResponse {
    /// The template for the first media type of the client's `Accept` header, else the JSON
    /// template, else the first. `None`: the integration's body passes unchanged.
    pub fn select_template(&self, accept: Option<&[u8]>) -> Option<&ResponseTemplate> {
        let of = |wanted: &[u8]| {
            self.templates
                .iter()
                .find(|template| template.media_type.as_bytes().eq_ignore_ascii_case(wanted))
        };
        accept
            .and_then(|accept| of(media_type(accept)))
            .or_else(|| of(DEFAULT_MEDIA_TYPE.as_bytes()))
            .or_else(|| self.templates.first())
    }
}

/// Compiles the patterns of one stage; the same text is compiled once.
#[derive(Default)]
pub(crate) struct PatternCompiler {
    known: HashMap<String, Result<JavaPattern, String>>,
}

/// A pattern that is not served, which therefore matches nothing.
pub(crate) struct UnservedPattern {
    pub(crate) pattern: String,
    /// What of it the gateway can't do.
    pub(crate) reason: String,
}

impl PatternCompiler {
    /// Responses with their selection patterns; an empty or absent one is the default.
    pub(crate) fn responses(
        &mut self,
        responses: impl IntoIterator<Item = (Option<String>, CompiledResponse)>,
    ) -> (IntegrationResponses, Vec<UnservedPattern>) {
        let mut unserved = Vec::new();
        let mut compiled = Vec::new();
        for (pattern, response) in responses {
            let pattern = match pattern {
                Some(text) if !text.is_empty() => self.pattern(&text).unwrap_or_else(|reason| {
                    unserved.push(UnservedPattern { pattern: text, reason });
                    Pattern::Never
                }),
                _ => Pattern::Default,
            };
            compiled.push((pattern, response));
        }
        (IntegrationResponses { responses: compiled }, unserved)
    }

    fn pattern(&mut self, text: &str) -> Result<Pattern, String> {
        if regex_syntax_free(text) {
            return Ok(Pattern::Exact(text.into()));
        }
        let known = match self.known.get(text) {
            Some(known) => known.clone(),
            None => {
                let compiled = JavaPattern::compile(text).map_err(|error| error.to_string());
                self.known.insert(text.to_owned(), compiled.clone());
                compiled
            }
        };
        known.map(Pattern::Java)
    }
}

fn regex_syntax_free(text: &str) -> bool {
    text.bytes().all(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'_' | b'-' | b':' | b',')
    })
}

#[cfg(test)]
mod tests;
