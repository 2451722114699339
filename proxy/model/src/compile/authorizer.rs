//! How methods identify their callers, and the authorizers that plugins stand for (auth §4).
//!
//! A Lambda authorizer whose URI is `plugin:NAME` is served by the plugin of that name. Every
//! other way to authorize is read and not served yet: [`CompiledAuthorization`] keeps what is
//! needed to answer as AWS does when the credentials are missing, and refuses otherwise.

use std::collections::HashMap;
use std::time::Duration;

use tollgate_template::JavaPattern;

use super::mapping::parse::invalid_parameter;
use super::methods::{MethodCompiler, Place};
use super::stage::CompiledAuthorization;
use super::uri::substitute_stage_variables;
use super::{CompileError, StageSettings};
use crate::api::{Api, Authorization, Authorizer, AuthorizerType, Protocol};

/// How long a decision is kept unless the authorizer says
/// (<https://docs.aws.amazon.com/apigateway/latest/api/API_CreateAuthorizer.html>).
pub const DEFAULT_TIME_TO_LIVE: Duration = Duration::from_secs(300);

/// What the URI of an authorizer begins with that a plugin stands for.
pub const PLUGIN_URI: &str = "plugin:";

/// Where a token is unless the definition says.
const DEFAULT_IDENTITY_HEADER: &str = "Authorization";

/// The name of [`StageSettings::authorizer_of_all`] among the authorizers: no definition's.
const OF_ALL: &str = "";

/// A Lambda authorizer that a plugin stands for.
#[derive(Debug)]
pub struct CompiledAuthorizer {
    /// Its name in the definition; empty for [`StageSettings::authorizer_of_all`].
    pub name: String,
    pub plugin: String,
    pub identity: Identity,
    /// How long a decision is kept, at most an hour; zero asks the plugin for each request.
    pub time_to_live: Duration,
}

/// What of a request says who the caller is.
#[derive(Debug)]
pub enum Identity {
    /// A TOKEN authorizer: one header, which is never asked about when it is missing, empty or
    /// doesn't match as a whole.
    Token { header: Box<str>, validation: Option<JavaPattern> },
    /// A REQUEST authorizer.
    Request(Vec<IdentitySource>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentitySource {
    /// In any case.
    Header(Box<str>),
    Querystring(Box<str>),
    StageVariable(Box<str>),
    /// By its name without `context.`.
    Context(Box<str>),
}

/// The authorizers that the methods of a stage use.
#[derive(Default)]
pub(crate) struct Authorizers {
    pub(crate) compiled: Vec<CompiledAuthorizer>,
    known: HashMap<String, usize>,
}

impl Authorizers {
    fn add(&mut self, authorizer: CompiledAuthorizer) -> CompiledAuthorization {
        self.known.insert(authorizer.name.clone(), self.compiled.len());
        self.compiled.push(authorizer);
        CompiledAuthorization::Plugin(self.compiled.len() - 1)
    }
}

/// Refuses settings for authorizers that the definition doesn't have.
pub(super) fn check_settings(api: &Api, settings: &StageSettings) -> Result<(), CompileError> {
    for name in settings.authorizer_uris.keys() {
        let problem = match api.authorizers.get(name) {
            Some(Authorizer {
                authorizer_type: AuthorizerType::Token | AuthorizerType::Request,
                ..
            }) => continue,
            Some(_) => "is neither a TOKEN nor a REQUEST authorizer, so that it has no URI that \
                        another could replace"
                .to_owned(),
            None => {
                let names: Vec<_> = api.authorizers.keys().map(String::as_str).collect();
                format!("is not in the definition; its authorizers: {}", names.join(", "))
            }
        };
        let location = format!("authorizer {name}");
        return Err(CompileError { location, message: problem });
    }
    Ok(())
}

impl<'a> MethodCompiler<'a> {
    pub(super) fn authorization(
        &mut self,
        place: &Place<'a>,
    ) -> Result<CompiledAuthorization, CompileError> {
        let is_rest = self.api.protocol == Protocol::Rest;
        if let Some(plugin) = self.settings.authorizer_of_all.as_ref().filter(|_| is_rest) {
            return Ok(self.of_all(plugin));
        }
        let (compiled, construct) = match &place.method.authorization {
            Authorization::None => return Ok(CompiledAuthorization::None),
            Authorization::AwsIam => (CompiledAuthorization::AwsIam, "AWS_IAM authorization"),
            Authorization::Custom { authorizer: name } => {
                let definition = self.declared(place, name)?;
                if let Some(plugin) = self.plugin(name, definition).filter(|_| is_rest) {
                    return self.served(place, name, definition, &plugin);
                }
                let compiled = CompiledAuthorization::Custom {
                    authorizer: name.clone(),
                    authorizer_type: definition.authorizer_type,
                    identity_headers: identity_headers(definition),
                };
                (compiled, "Lambda authorizer")
            }
            Authorization::CognitoUserPools { authorizer, scopes } => {
                let compiled = CompiledAuthorization::CognitoUserPools {
                    authorizer: authorizer.clone(),
                    identity_headers: identity_headers(self.declared(place, authorizer)?),
                    scopes: scopes.clone(),
                };
                (compiled, "Cognito user pool authorizer")
            }
            Authorization::Jwt { authorizer, scopes } => {
                let compiled = CompiledAuthorization::Jwt {
                    authorizer: authorizer.clone(),
                    identity_headers: identity_headers(self.declared(place, authorizer)?),
                    scopes: scopes.clone(),
                };
                (compiled, "JWT authorizer")
            }
        };
        self.unserved.add(construct, "not evaluated yet: every request is refused", &place.name);
        Ok(compiled)
    }

    fn declared(&self, place: &Place<'a>, name: &str) -> Result<&'a Authorizer, CompileError> {
        self.api.authorizers.get(name).ok_or_else(|| {
            place.error(format!(
                "Invalid authorizer ID specified ({name}). Setting the authorization type to CUSTOM or COGNITO_USER_POOLS requires a valid authorizer."
            ))
        })
    }

    fn of_all(&mut self, plugin: &str) -> CompiledAuthorization {
        if let Some(index) = self.authorizers.known.get(OF_ALL) {
            return CompiledAuthorization::Plugin(*index);
        }
        self.authorizers.add(CompiledAuthorizer {
            name: OF_ALL.to_owned(),
            plugin: plugin.to_owned(),
            identity: Identity::Request(Vec::new()),
            time_to_live: Duration::ZERO,
        })
    }

    /// The plugin that stands for an authorizer, by the URI that counts.
    fn plugin(&self, name: &str, definition: &Authorizer) -> Option<String> {
        let uri = self.settings.authorizer_uris.get(name).or(definition.uri.as_ref())?;
        let uri = substitute_stage_variables(uri, &self.settings.stage_variables);
        uri.strip_prefix(PLUGIN_URI).map(str::to_owned)
    }

    fn served(
        &mut self,
        place: &Place<'a>,
        name: &str,
        definition: &Authorizer,
        plugin: &str,
    ) -> Result<CompiledAuthorization, CompileError> {
        if let Some(index) = self.authorizers.known.get(name) {
            return Ok(CompiledAuthorization::Plugin(*index));
        }
        let refuse = |message| CompileError { location: format!("authorizer {name}"), message };
        if plugin.is_empty() {
            return Err(refuse(format!("its URI {PLUGIN_URI} names no plugin")));
        }
        let identity = Identity::compile(
            definition.authorizer_type,
            definition.identity_source.as_deref(),
            definition.identity_validation_expression.as_deref(),
        )
        .map_err(refuse)?;
        let seconds = definition.result_ttl_in_seconds.map(|seconds| seconds.into());
        let mut time_to_live = seconds.map_or(DEFAULT_TIME_TO_LIVE, Duration::from_secs);
        if matches!(&identity, Identity::Request(sources) if sources.is_empty())
            && !time_to_live.is_zero()
        {
            // One decision would be everybody's.
            time_to_live = Duration::ZERO;
            let message = "without an identity source its decisions are not kept";
            self.unserved.add("authorizerResultTtlInSeconds", message, &place.name);
        }
        Ok(self.authorizers.add(CompiledAuthorizer {
            name: name.to_owned(),
            plugin: plugin.to_owned(),
            identity,
            time_to_live,
        }))
    }
}

impl Identity {
    /// What an authorizer of this type finds its caller by; a Cognito one does it as TOKEN does.
    ///
    /// # Errors
    /// API Gateway's text where it has one.
    pub fn compile(
        authorizer_type: AuthorizerType,
        identity_source: Option<&str>,
        validation_expression: Option<&str>,
    ) -> Result<Self, String> {
        let declared = identity_source.unwrap_or_default();
        let sources = declared.split(',').map(str::trim).filter(|source| !source.is_empty());
        let mut sources = sources
            .map(|text| source(text).ok_or_else(|| invalid_parameter(text)))
            .collect::<Result<Vec<_>, _>>()?;
        if authorizer_type == AuthorizerType::Request {
            return Ok(Identity::Request(sources));
        }
        let header = match (sources.pop(), sources.is_empty()) {
            (Some(IdentitySource::Header(header)), true) => header,
            (None, _) => DEFAULT_IDENTITY_HEADER.into(),
            _ => return Err("a TOKEN authorizer has one header as its identity source".to_owned()),
        };
        let validation = validation_expression.filter(|expression| !expression.is_empty());
        let validation = validation.map(JavaPattern::compile).transpose();
        let validation = validation
            .map_err(|problem| format!("identityValidationExpression can't be used: {problem}"))?;
        Ok(Identity::Token { header, validation })
    }
}

fn source(text: &str) -> Option<IdentitySource> {
    let (source, name): (fn(_) -> _, _) =
        if let Some(parameter) = text.strip_prefix("method.request.") {
            match parameter.split_once('.')? {
                ("header", name) => (IdentitySource::Header, name),
                ("querystring", name) => (IdentitySource::Querystring, name),
                _ => return None,
            }
        } else {
            match text.split_once('.')? {
                ("stageVariables", name) => (IdentitySource::StageVariable, name),
                ("context", name) => (IdentitySource::Context, name),
                _ => return None,
            }
        };
    (!name.is_empty()).then(|| source(name.into()))
}

/// The header names among an authorizer's identity sources.
fn identity_headers(authorizer: &Authorizer) -> Vec<String> {
    let sources = authorizer.identity_source.as_deref().unwrap_or_default();
    let header = |source: &str| {
        let name = source
            .strip_prefix("method.request.header.")
            .or_else(|| source.strip_prefix("$request.header."))?;
        Some(name.to_owned())
    };
    let headers: Vec<String> = sources.split(',').map(str::trim).filter_map(header).collect();
    // A REQUEST authorizer may look at other things than headers; the others read a token.
    if !headers.is_empty()
        || (authorizer.authorizer_type == AuthorizerType::Request && !sources.is_empty())
    {
        return headers;
    }
    vec![authorizer.header_name.clone().unwrap_or_else(|| DEFAULT_IDENTITY_HEADER.to_owned())]
}

#[cfg(test)]
mod tests;
