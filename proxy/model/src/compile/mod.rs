//! From what a user declared ([`crate::api`]) to the immutable form the data plane serves.
//!
//! ```text
//!  host, path ──[hosts]──▶ stage ──[path, router]──▶ method ──[validate]──▶ integration
//!                                                     │  [mapping, uri, body]  to the backend
//!                                                     │  [response, mapping]   from the backend
//!                                                     └  [gateway_response]    when we say no
//! ```
//!
//! [`compile`] runs when a deployment is made or a definition is loaded: it parses every
//! expression, template, pattern and URI, and refuses what API Gateway refuses at import with
//! API Gateway's message ([`CompileError`]). What API Gateway accepts and answers with 500 at
//! run time compiles to something that answers 500. What is read but not served yet is listed
//! by name and place ([`Compiled::warnings`]).
//!
//! Evaluating the compiled form takes no lock, parses no configuration and allocates only for
//! text that has to be built. The request and the response come in through small traits
//! ([`RequestValues`], [`ResponseValues`], [`GatewayResponseValues`]) that the gateway
//! implements. No sockets and no clock here.

pub mod stage;
pub mod hosts;
pub mod path;
pub mod router;
pub mod validate;
pub mod mapping;
pub mod overrides;
pub mod uri;
pub mod body;
pub mod content;
pub mod response;
pub mod gateway_response;
pub mod methods;
pub mod authorizer;
pub mod unserved;
mod transformers;
mod policy;
mod hash;

use std::collections::BTreeMap;
use std::time::Duration;

pub use authorizer::{CompiledAuthorizer, Identity, IdentitySource};
pub use body::{RequestBody, Selected};
pub use content::{BinaryMediaTypes, ContentError};
pub use gateway_response::{BuiltIn, GatewayResponseValues, GatewayResponses, Rendered};
pub use mapping::{
    BodyJson, Destination, Mapped, MappingError, RequestMapping, RequestSource, RequestValues,
    ResponseMapping, ResponseSource, ResponseValues, check_declared_parameter,
    check_request_mapping, check_response_mapping, check_unique_names,
};
pub use methods::{DEFAULT_INTEGRATION_TIMEOUT, MINIMUM_INTEGRATION_TIMEOUT};
pub use overrides::{RequestOverrides, ResponseOverride};
pub use path::{CanonicalPath, PathError};
pub use policy::partition;
pub use response::{CompiledResponse, IntegrationResponses, ResponseTemplate};
pub use router::{Found, PathParameters, Router};
pub use stage::{
    CompiledAuthorization, CompiledIntegration, CompiledMethod, CompiledPolicy, CompiledResource,
    CompiledStage, HttpIntegration, Scheme, Target, UpstreamConnection, UpstreamTarget,
};
pub use tollgate_template::MAX_TEMPLATE_BYTES;
pub use unserved::UnservedConstruct;
pub use uri::{UriTemplate, UriValue, check_http_uri};
pub use validate::{CompiledValidator, ValidationFailure, check_schema};

use methods::{MethodCompiler, Place};
use unserved::Unserved;

use crate::api::{Api, ApiId, EndpointType, Protocol, Resource};

/// What a stage adds to an API's definition.
#[derive(Clone, Debug)]
pub struct StageSettings {
    pub api_id: ApiId,
    pub stage_name: String,
    pub deployment_id: String,
    pub account_id: String,
    pub region: String,
    pub stage_variables: BTreeMap<String, String>,
    /// Largest `timeoutInMillis`, and the default of integrations that set none if it is below
    /// 29 s. AWS: 29 s, more only with a raised quota.
    pub maximum_integration_timeout: Duration,
    /// By the name of a TOKEN or REQUEST authorizer in the definition: the URI that replaces its
    /// own. `plugin:NAME` lets the plugin NAME stand for it.
    pub authorizer_uris: BTreeMap<String, String>,
    /// The plugin that authorizes every method, whatever the definition says.
    pub authorizer_of_all: Option<String>,
    /// Plugins that change requests and responses of all methods, after those the API names.
    pub transformers: Vec<String>,
    /// By method, as in `GET /pets/{id}`: more of them, after those its operation names.
    pub method_transformers: BTreeMap<String, Vec<String>>,
}

/// Of no API yet: in the account and region that `tollgate dev` has unless it is told, with AWS's
/// timeout, and without variables and plugins.
impl Default for StageSettings {
    fn default() -> Self {
        Self {
            api_id: ApiId(String::new()),
            stage_name: String::new(),
            deployment_id: String::new(),
            account_id: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            stage_variables: BTreeMap::new(),
            maximum_integration_timeout: DEFAULT_INTEGRATION_TIMEOUT,
            authorizer_uris: BTreeMap::new(),
            authorizer_of_all: None,
            transformers: Vec::new(),
            method_transformers: BTreeMap::new(),
        }
    }
}

/// A stage that can be served, and what of its definition is not.
#[derive(Debug)]
pub struct Compiled {
    pub stage: CompiledStage,
    pub warnings: Vec<UnservedConstruct>,
}

/// Why a definition can't be served: what API Gateway refuses at import.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{location}: {message}")]
pub struct CompileError {
    /// `GET /pets`, `/pets/{id}`, `API`.
    pub location: String,
    /// What is wrong and what is allowed; API Gateway's own text where it has one.
    pub message: String,
}

/// Compiles one stage of an API.
pub fn compile(api: &Api, settings: &StageSettings) -> Result<Compiled, CompileError> {
    authorizer::check_settings(api, settings)?;
    let mut compiler = MethodCompiler::new(api, settings);
    let resource_policy = policy::compile(api.policy.as_ref(), settings)?;
    note_unserved_api(api, &mut compiler.unserved);
    let gateway_responses =
        GatewayResponses::compile(&api.gateway_responses, &settings.stage_variables).map_err(
            |(response_type, message)| CompileError {
                location: response_type.as_str().to_owned(),
                message,
            },
        )?;
    let mut methods = Vec::new();
    let mut routes = Vec::with_capacity(api.resources.len());
    for (resource, (path, definition)) in api.resources.iter().enumerate() {
        let first = methods.len();
        for (http_method, method) in &definition.methods {
            let name = format!("{http_method} {path}");
            let place = Place { resource, path, http_method: *http_method, method, name };
            methods.push(compiler.method(&place)?);
        }
        routes.push((path.as_str(), definition.methods.keys().copied().zip(first..)));
    }
    compiler.transformers.check_all_used()?;
    let stage = CompiledStage {
        api_id: settings.api_id.clone(),
        api_name: api.name.clone(),
        stage_name: settings.stage_name.clone(),
        deployment_id: settings.deployment_id.clone(),
        account_id: settings.account_id.clone(),
        region: settings.region.clone(),
        stage_variables: settings.stage_variables.clone(),
        protocol: api.protocol,
        endpoint_type: api.endpoint_type,
        vpc_endpoint_ids: api.vpc_endpoint_ids.clone(),
        disable_execute_api_endpoint: api.disable_execute_api_endpoint,
        api_key_source: api.api_key_source,
        binary_media_types: BinaryMediaTypes::compile(&api.binary_media_types),
        minimum_compression_size: api.minimum_compression_size,
        resource_policy,
        resources: resources(api),
        methods,
        router: router(api, routes)?,
        gateway_responses,
        authorizers: compiler.authorizers.compiled,
        upstreams: compiler.upstreams,
    };
    Ok(Compiled { stage, warnings: compiler.unserved.into_constructs() })
}

/// What of the API itself is read and not served.
fn note_unserved_api(api: &Api, unserved: &mut Unserved) {
    const PLACE: &str = "API";
    if api.protocol == Protocol::Http {
        unserved.add("HTTP API", "HTTP APIs are not served yet: every request answers 500", PLACE);
    }
    if api.endpoint_type == EndpointType::Edge {
        unserved.add("EDGE endpoint", "served like REGIONAL by the node itself", PLACE);
    }
    if api.security_policy.is_some() {
        unserved.add(
            "x-amazon-apigateway-security-policy",
            "the listener's own TLS settings apply",
            PLACE,
        );
    }
    if api.endpoint_access_mode.as_deref().is_some_and(|mode| mode != "BASIC") {
        unserved.add("x-amazon-apigateway-endpoint-access-mode", "not enforced yet", PLACE);
    }
    if api.cors.is_some() {
        unserved.add("x-amazon-apigateway-cors", "not served yet", PLACE);
    }
}

fn router<M>(api: &Api, routes: Vec<(&str, M)>) -> Result<Router, CompileError>
where
    M: IntoIterator<Item = (crate::api::HttpMethod, usize)>,
{
    match (Router::build(routes), api.protocol) {
        (Ok(router), _) => Ok(router),
        // The rules are those of REST APIs, and HTTP APIs answer 500 for everything today.
        (Err(_), Protocol::Http) => Ok(Router::default()),
        (Err(error), Protocol::Rest) => {
            let path = api.resources.get_index(error.resource).map_or("API", |(path, _)| path);
            Err(CompileError { location: path.to_owned(), message: error.message })
        }
    }
}

/// Ids as API Gateway's: six characters of `[a-z0-9]`. One of the path where the resource has none.
fn resources(api: &Api) -> Vec<CompiledResource> {
    let given = api.resources.values().filter_map(|resource| resource.id.clone());
    let mut taken: std::collections::HashSet<String> = given.collect();
    let mut id = |path: &String| {
        let mut ids = (0..=u8::MAX).map(|salt| resource_id(hash::stable(path, salt)));
        // 36^6 ids for at most a few thousand resources: a second try is rare already.
        ids.find(|id| taken.insert(id.clone())).unwrap_or_default()
    };
    let known =
        |(path, resource): (&String, &Resource)| resource.id.clone().unwrap_or_else(|| id(path));
    let ids: Vec<String> = api.resources.iter().map(known).collect();
    let resource = |(id, path): (String, &String)| CompiledResource { id, path: path.clone() };
    ids.into_iter().zip(api.resources.keys()).map(resource).collect()
}

fn resource_id(mut hash: u64) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut digit = || {
        let digit = DIGITS[(hash % 36) as usize];
        hash /= 36;
        char::from(digit)
    };
    (0..6).map(|_| digit()).collect()
}

#[cfg(test)]
mod tests;
