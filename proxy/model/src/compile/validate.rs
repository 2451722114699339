//! Request validators: are the required parameters there, and is the body as its model says
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-method-request-validation.html>)?
//!
//! ```text
//!  models ──[build: keywords, references, pattern]──▶ schemas, one list for the deployment
//!                                                        │
//!  request ──▶ CompiledValidator ──[check: format, number]
//!                                        └▶ 400 with API Gateway's message, or 500
//! ```
//!
//! Schemas are read as API Gateway reads them: JSON Schema draft 4, with the messages of the
//! `json-schema-validator` library for Java. [`ValidationFailure::Body`] holds them for
//! `$context.error.validationErrorString`.
//!
//! A body costs a bounded number of steps whatever the schema: schemas that lead to
//! themselves, and schemas that multiply, end with a refusal.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::body::{DEFAULT_MEDIA_TYPE, media_type};
use super::mapping::RequestValues;
use super::unserved::Unserved;
use crate::api::{Api, Method, Model, RequestValidator};

mod build;
mod check;
mod format;
mod message;
mod number;
mod pattern;
mod schema;

use build::{Builder, Malformed};
use check::Refusal;
use schema::{SchemaId, Schemas};

/// The key of the model for all other media types.
const ANY_MEDIA_TYPE: &str = "$default";

/// API Gateway's text for a body that is no JSON.
const NOT_JSON: &str = "[Unknown error parsing request body]";

/// What a method's request is held to, of what its validator looks at.
#[derive(Debug)]
pub struct CompiledValidator {
    /// Sorted as declared: `method.request.header.…`, `.path.…`, `.querystring.…`.
    parameters: Box<[RequiredParameter]>,
    /// Media type → schema.
    models: Box<[(Box<str>, SchemaId)]>,
    /// Shared by all methods of the deployment.
    schemas: Arc<Schemas>,
}

#[derive(Debug)]
enum RequiredParameter {
    Header(Box<str>),
    Path(Box<str>),
    Querystring(Box<str>),
}

/// Why a request is not passed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValidationFailure {
    /// 400, `BAD_REQUEST_PARAMETERS`.
    #[error("{message}")]
    Parameters {
        /// `Missing required request parameters: [x-header, issuer, qs1]`
        message: String,
    },
    /// 400, `BAD_REQUEST_BODY`. The client is told [`ValidationFailure::INVALID_BODY`].
    #[error("Request body does not match model schema for content type {media_type}: {detail}")]
    Body {
        /// The key of the model.
        media_type: String,
        /// `$context.error.validationErrorString`: in brackets, at most about 8 KB.
        detail: String,
    },
    /// 500, `API_CONFIGURATION_ERROR`: the model itself is broken, which the deployment's
    /// warnings tell.
    #[error("Request body validation failed due to an unexpected error: {reason}")]
    Unexpected {
        /// For the log only.
        reason: String,
    },
}

impl ValidationFailure {
    /// What the client is told of a [`ValidationFailure::Body`].
    pub const INVALID_BODY: &str = "Invalid request body";
}

impl CompiledValidator {
    /// Whether any body is looked at, so that the request has to be read before it is passed
    /// on.
    pub fn needs_body(&self) -> bool {
        !self.models.is_empty()
    }

    /// Whether a body of this content type is looked at.
    pub fn needs_body_of(&self, content_type: Option<&[u8]>) -> bool {
        self.model(content_type).is_some()
    }

    /// Parameters first, then the body. `content_type` is the request's header, if it has one.
    pub fn validate(
        &self,
        values: &dyn RequestValues,
        content_type: Option<&[u8]>,
        body: &[u8],
    ) -> Result<(), ValidationFailure> {
        self.validate_parameters(values)?;
        self.validate_body(content_type, body)
    }

    /// A required parameter that is blank counts as missing. Names of headers have to be
    /// spelled as the definition does.
    pub fn validate_parameters(&self, values: &dyn RequestValues) -> Result<(), ValidationFailure> {
        let missing = |parameter: &&RequiredParameter| !parameter.is_present(values);
        let mut missing = self.parameters.iter().filter(missing).map(RequiredParameter::name);
        let Some(first) = missing.next() else { return Ok(()) };
        let mut message = format!("Missing required request parameters: [{first}");
        for name in missing {
            message.push_str(", ");
            message.push_str(name);
        }
        message.push(']');
        Err(ValidationFailure::Parameters { message })
    }

    /// An empty body is `{}`. One that no model is for passes.
    pub fn validate_body(
        &self,
        content_type: Option<&[u8]>,
        body: &[u8],
    ) -> Result<(), ValidationFailure> {
        let Some((key, schema)) = self.model(content_type) else { return Ok(()) };
        let invalid =
            |detail: String| ValidationFailure::Body { media_type: key.to_string(), detail };
        let value = parse(body).ok_or_else(|| invalid(NOT_JSON.to_owned()))?;
        check::check(&self.schemas, *schema, &value, body.len()).map_err(|refusal| match refusal {
            Refusal::Invalid(detail) => invalid(detail),
            Refusal::Broken(reason) => ValidationFailure::Unexpected { reason },
        })
    }

    fn model(&self, content_type: Option<&[u8]>) -> Option<&(Box<str>, SchemaId)> {
        let of = |wanted: &[u8]| {
            self.models.iter().find(|(key, _)| key.as_bytes().eq_ignore_ascii_case(wanted))
        };
        content_type
            .and_then(|content_type| of(media_type(content_type)))
            .or_else(|| of(DEFAULT_MEDIA_TYPE.as_bytes()))
            .or_else(|| of(ANY_MEDIA_TYPE.as_bytes()))
    }
}

/// Nesting beyond 128 is no JSON. Bytes that are no UTF-8 are U+FFFD, as in any text payload.
fn parse(body: &[u8]) -> Option<Value> {
    if body.is_empty() {
        return Some(Value::Object(Map::new()));
    }
    match String::from_utf8_lossy(body) {
        Cow::Borrowed(text) => serde_json::from_str(text).ok(),
        Cow::Owned(text) => serde_json::from_str(&text).ok(),
    }
}

impl RequiredParameter {
    /// `method.request.header.X-A`
    fn parse(declared: &str) -> Option<Self> {
        let (location, name) = declared.strip_prefix("method.request.")?.split_once('.')?;
        match location {
            "header" => Some(Self::Header(name.into())),
            "path" => Some(Self::Path(name.into())),
            "querystring" => Some(Self::Querystring(name.into())),
            _ => None,
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Header(name) | Self::Path(name) | Self::Querystring(name) => name,
        }
    }

    fn is_present(&self, values: &dyn RequestValues) -> bool {
        let value = match self {
            Self::Header(name) => values.header(name),
            Self::Path(name) => values.path_parameter(name),
            Self::Querystring(name) => values.querystring(name),
        };
        value.is_some_and(|value| !value.trim().is_empty())
    }
}

/// Whether API Gateway would take a schema as a model: what it refers to need not be there.
///
/// # Errors
/// What is wrong.
pub fn check_schema(schema: Value) -> Result<(), String> {
    const NAME: &str = "";
    let model = Model { content_type: String::new(), description: None, schema };
    let models = IndexMap::from([(NAME.to_owned(), model)]);
    let mut unserved = Unserved::default();
    let mut builder = Builder::new(&models, &mut unserved);
    builder.model(NAME);
    builder.build().map(drop).map_err(|malformed| malformed.message)
}

/// The models of one deployment that its validators hold bodies against.
pub(crate) struct CompiledModels<'a> {
    schemas: Arc<Schemas>,
    /// `None`: no bodies are held against it.
    ids: HashMap<&'a str, Option<SchemaId>>,
}

impl<'a> CompiledModels<'a> {
    /// What of the models has no effect or is broken goes to `unserved`. The error is a model
    /// that API Gateway refuses, by its name and with what is wrong.
    pub(crate) fn compile(api: &'a Api, unserved: &mut Unserved) -> Result<Self, (String, String)> {
        let mut builder = Builder::new(&api.models, unserved);
        let mut ids = HashMap::new();
        let methods = api.resources.values().flat_map(|resource| resource.methods.values());
        for method in methods {
            let validator =
                method.request_validator.as_ref().and_then(|name| api.request_validators.get(name));
            if !validator.is_some_and(|validator| validator.validate_request_body) {
                continue;
            }
            for name in method.request_models.values() {
                if api.models.get(name).is_some_and(|model| !model.is_json()) {
                    ids.insert(name.as_str(), None);
                } else if let Some(id) = builder.model(name) {
                    ids.insert(name.as_str(), Some(id));
                }
            }
        }
        let schemas = builder.build().map_err(|Malformed { model, message }| {
            (format!("model {model}"), format!("Invalid model schema specified: {message}"))
        })?;
        Ok(Self { schemas: Arc::new(schemas), ids })
    }

    /// What `validator` looks at in requests of `method`; `None` if that is nothing. The error
    /// is API Gateway's.
    pub(crate) fn validator(
        &self,
        method: &Method,
        validator: RequestValidator,
    ) -> Result<Option<CompiledValidator>, String> {
        let mut parameters = Vec::new();
        if validator.validate_request_parameters {
            let required = method.request_parameters.iter().filter(|(_, required)| **required);
            parameters.extend(required.filter_map(|(name, _)| RequiredParameter::parse(name)));
        }
        let mut models = Vec::new();
        if validator.validate_request_body {
            for (media_type, name) in &method.request_models {
                let id = self.ids.get(name.as_str());
                let id = id.ok_or_else(|| format!("Invalid model identifier specified: {name}"))?;
                let media_type = media_type.to_ascii_lowercase().into_boxed_str();
                models.extend(id.map(|id| (media_type, id)));
            }
        }
        if parameters.is_empty() && models.is_empty() {
            return Ok(None);
        }
        Ok(Some(CompiledValidator {
            parameters: parameters.into(),
            models: models.into(),
            schemas: Arc::clone(&self.schemas),
        }))
    }
}

#[cfg(test)]
mod tests;
