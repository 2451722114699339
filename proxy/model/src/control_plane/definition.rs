//! Between what the management API keeps and what a deployment freezes: [`Definition::api`] one
//! way, [`Definition::take`] the other.

mod take;

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::{
    Authorizer, DocumentationPart, GatewayResponse, Integration, IntegrationResponse, Method,
    Model, RequestValidator, Resource, RestApi,
};
use crate::api::{
    self, Api, Authorization, Connection, ContentHandling, EndpointType, PassthroughBehavior,
    Protocol,
};

pub use take::ImportMode;

/// All parts of an API.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    pub rest_api: RestApi,
    pub resources: Vec<Resource>,
    pub models: Vec<Model>,
    pub request_validators: Vec<RequestValidator>,
    pub authorizers: Vec<Authorizer>,
    pub gateway_responses: Vec<GatewayResponse>,
    pub documentation_parts: Vec<DocumentationPart>,
}

/// Why an API can't be deployed: what API Gateway refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FreezeError {
    pub message: String,
}

/// Milliseconds: what an integration has that says nothing.
const DEFAULT_TIMEOUT: u32 = 29_000;
/// Levels a schema or a documentation may be nested. A frozen definition, in which it stands some
/// levels down, is read by a parser that stops at 128.
const MAXIMUM_DEPTH: usize = 100;
/// What stands before a model's name in a reference, with the literal `{id}` or an API's id.
const MODELS: &str = "https://apigateway.amazonaws.com/restapis/";

impl Definition {
    /// An API without any parts.
    pub fn empty(rest_api: RestApi) -> Self {
        Self {
            rest_api,
            resources: Vec::new(),
            models: Vec::new(),
            request_validators: Vec::new(),
            authorizers: Vec::new(),
            gateway_responses: Vec::new(),
            documentation_parts: Vec::new(),
        }
    }

    /// The API as it is now, in the form that an import of its definition would have. Resources
    /// are sorted by path, so those above come first.
    ///
    /// # Errors
    /// Something refers to a part that isn't there, or is no value of its kind.
    pub fn api(&self) -> Result<Api, FreezeError> {
        let rest_api = &self.rest_api;
        let names = Names::of(self);
        let mut resources: Vec<&Resource> = self.resources.iter().collect();
        resources.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let resources =
            resources.into_iter().map(|it| Ok((it.path.clone(), resource(it, &names)?)));
        let models = self.models.iter().map(|it| Ok((it.name.clone(), model(it, &rest_api.id)?)));
        let validators = self.request_validators.iter().map(|validator| {
            let declared = api::RequestValidator {
                validate_request_body: validator.validate_request_body,
                validate_request_parameters: validator.validate_request_parameters,
            };
            (names.validators[validator.id.as_str()].clone(), declared)
        });
        let authorizers = self.authorizers.iter();
        let authorizers =
            authorizers.map(|it| (names.authorizers[it.id.as_str()].clone(), authorizer(it)));
        let responses = self.gateway_responses.iter().filter(|it| !it.default_response);
        let responses = responses.map(|it| Ok((it.response_type, gateway_response(it)?)));
        let endpoint = &rest_api.endpoint_configuration;
        let endpoint_type = endpoint.types.first().copied().unwrap_or(EndpointType::Edge);
        let address_type = &endpoint.ip_address_type;
        Ok(Api {
            name: rest_api.name.clone(),
            description: rest_api.description.clone(),
            version: rest_api.version.clone(),
            protocol: Protocol::Rest,
            endpoint_type,
            vpc_endpoint_ids: endpoint.vpc_endpoint_ids.clone(),
            disable_execute_api_endpoint: rest_api.disable_execute_api_endpoint,
            api_key_source: rest_api.api_key_source,
            binary_media_types: rest_api.binary_media_types.clone(),
            minimum_compression_size: rest_api.minimum_compression_size,
            policy: policy(rest_api)?,
            base_path: None,
            resources: resources.collect::<Result<_, FreezeError>>()?,
            models: models.collect::<Result<_, FreezeError>>()?,
            request_validators: validators.collect(),
            authorizers: authorizers.collect(),
            gateway_responses: responses.collect::<Result<_, FreezeError>>()?,
            documentation: documentation(&self.documentation_parts),
            tags: rest_api.tags.clone().unwrap_or_default(),
            cors: None,
            ip_address_type: (address_type != default_address_type(endpoint_type))
                .then(|| address_type.clone()),
            endpoint_access_mode: rest_api.endpoint_access_mode.clone(),
            security_policy: rest_api.security_policy.clone(),
            transformers: rest_api.transformers.clone(),
        })
    }
}

/// `ipAddressType` of an API that says nothing: private ones have both kinds of address.
pub(super) fn default_address_type(endpoint_type: EndpointType) -> &'static str {
    match endpoint_type {
        EndpointType::Private => "dualstack",
        EndpointType::Edge | EndpointType::Regional => "ipv4",
    }
}

/// The names under which methods' authorizers and validators stand in a definition, by id.
struct Names<'d> {
    authorizers: HashMap<&'d str, String>,
    validators: HashMap<&'d str, String>,
}

impl<'d> Names<'d> {
    fn of(definition: &'d Definition) -> Self {
        let authorizers = definition.authorizers.iter().map(|it| (&*it.id, &*it.name));
        let validators = definition.request_validators.iter().map(|it| (&*it.id, &*it.name));
        Self { authorizers: unique(authorizers), validators: unique(validators) }
    }
}

/// Names that differ: no two validators have one id, but maybe one name.
fn unique<'d>(named: impl Iterator<Item = (&'d str, &'d str)>) -> HashMap<&'d str, String> {
    let mut taken = HashSet::new();
    let name = |(id, name): (&'d str, &str)| {
        let mut unique = name.to_owned();
        while !taken.insert(unique.clone()) {
            unique = format!("{unique}-{id}");
        }
        (id, unique)
    };
    named.map(name).collect()
}

fn policy(rest_api: &RestApi) -> Result<Option<Value>, FreezeError> {
    let policy = rest_api.policy.as_deref().map(serde_json::from_str).transpose();
    policy.map_err(|error| refused(format!("Invalid policy document. ({error})")))
}

fn resource(resource: &Resource, names: &Names<'_>) -> Result<api::Resource, FreezeError> {
    let methods = resource.resource_methods.iter().map(|(http_method, declared)| {
        let method = method(declared, &resource.id, names).map_err(|error| {
            refused(format!("{} ({http_method} {})", error.message, resource.path))
        })?;
        Ok((*http_method, method))
    });
    Ok(api::Resource {
        id: Some(resource.id.clone()),
        methods: methods.collect::<Result<_, FreezeError>>()?,
    })
}

fn method(
    method: &Method,
    resource_id: &str,
    names: &Names<'_>,
) -> Result<api::Method, FreezeError> {
    let validator = method.request_validator_id.as_deref().map(|id| {
        let name = names.validators.get(id).cloned();
        name.ok_or_else(|| refused("Invalid Request Validator identifier specified"))
    });
    let responses = method.method_responses.iter().map(|(status, response)| {
        let response = api::MethodResponse {
            parameters: response.response_parameters.clone(),
            models: response.response_models.clone(),
        };
        (status.clone(), response)
    });
    let integration = method.method_integration.as_ref();
    Ok(api::Method {
        operation_name: method.operation_name.clone(),
        authorization: authorization(method, names)?,
        api_key_required: method.api_key_required,
        request_parameters: method.request_parameters.clone(),
        request_models: method.request_models.clone(),
        request_validator: validator.transpose()?,
        integration: integration.map(|it| self::integration(it, resource_id)).transpose()?,
        responses: responses.collect(),
        transformers: method.transformers.clone(),
    })
}

fn authorization(method: &Method, names: &Names<'_>) -> Result<Authorization, FreezeError> {
    let named = || {
        let found = method.authorizer_id.as_deref().and_then(|id| names.authorizers.get(id));
        found.cloned().ok_or_else(|| {
            refused(
                "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or \
                 COGNITO_USER_POOLS requires a valid authorizer.",
            )
        })
    };
    let scopes = || method.authorization_scopes.clone();
    Ok(match method.authorization_type.as_str() {
        "NONE" => Authorization::None,
        "AWS_IAM" => Authorization::AwsIam,
        "CUSTOM" => Authorization::Custom { authorizer: named()? },
        "COGNITO_USER_POOLS" => {
            Authorization::CognitoUserPools { authorizer: named()?, scopes: scopes() }
        }
        "JWT" => Authorization::Jwt { authorizer: named()?, scopes: scopes() },
        other => return Err(refused(format!("Invalid authorization type specified: {other}"))),
    })
}

fn integration(
    integration: &Integration,
    resource_id: &str,
) -> Result<api::Integration, FreezeError> {
    let responses = integration.integration_responses.values().map(integration_response);
    let namespace = &integration.cache_namespace;
    Ok(api::Integration {
        integration_type: integration.integration_type,
        uri: integration.uri.clone(),
        http_method: integration.http_method,
        connection: connection(integration)?,
        credentials: integration.credentials.clone(),
        passthrough_behavior: match integration.passthrough_behavior.as_str() {
            "WHEN_NO_MATCH" => PassthroughBehavior::WhenNoMatch,
            "WHEN_NO_TEMPLATES" => PassthroughBehavior::WhenNoTemplates,
            "NEVER" => PassthroughBehavior::Never,
            other => {
                return Err(refused(format!("Invalid passthrough behavior specified: {other}")));
            }
        },
        content_handling: content_handling(integration.content_handling.as_deref())?,
        request_parameters: integration.request_parameters.clone(),
        request_templates: integration.request_templates.clone(),
        responses: responses.collect::<Result<_, FreezeError>>()?,
        cache_key_parameters: integration.cache_key_parameters.clone(),
        cache_namespace: (namespace != resource_id).then(|| namespace.clone()),
        // The longest there may be can be configured lower, and bounds those that say nothing.
        timeout_in_millis: Some(integration.timeout_in_millis)
            .filter(|millis| *millis != DEFAULT_TIMEOUT),
        insecure_skip_verification: integration
            .tls_config
            .is_some_and(|tls| tls.insecure_skip_verification),
        server_name_to_verify: None,
        stream_response: integration.response_transfer_mode.as_deref() == Some("STREAM"),
        payload_format_version: None,
        integration_subtype: None,
        response_parameters: IndexMap::new(),
    })
}

fn connection(integration: &Integration) -> Result<Connection, FreezeError> {
    match integration.connection_type.as_deref() {
        None | Some("INTERNET") => Ok(Connection::Internet),
        Some("VPC_LINK") => match &integration.connection_id {
            Some(id) => Ok(Connection::VpcLink {
                id: id.clone(),
                integration_target: integration.integration_target.clone(),
            }),
            None => Err(refused("connectionType VPC_LINK needs a connectionId")),
        },
        Some(other) => Err(refused(format!("Invalid connection type specified: {other}"))),
    }
}

fn integration_response(
    response: &IntegrationResponse,
) -> Result<api::IntegrationResponse, FreezeError> {
    Ok(api::IntegrationResponse {
        selection_pattern: response.selection_pattern.clone().filter(|text| !text.is_empty()),
        status_code: status_code(&response.status_code)?,
        response_parameters: response.response_parameters.clone(),
        response_templates: response.response_templates.clone(),
        content_handling: content_handling(response.content_handling.as_deref())?,
    })
}

fn status_code(text: &str) -> Result<u16, FreezeError> {
    let digits = matches!(text.as_bytes(), [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9']);
    text.parse().ok().filter(|_| digits).ok_or_else(|| {
        refused(format!(
            "1 validation error detected: Value '{text}' at 'statusCode' failed to satisfy \
             constraint: Member must satisfy regular expression pattern: [1-5]\\d\\d"
        ))
    })
}

fn content_handling(text: Option<&str>) -> Result<Option<ContentHandling>, FreezeError> {
    Ok(Some(match text {
        None => return Ok(None),
        Some("CONVERT_TO_TEXT") => ContentHandling::ConvertToText,
        Some("CONVERT_TO_BINARY") => ContentHandling::ConvertToBinary,
        Some(other) => {
            return Err(refused(format!("Invalid content handling specified: {other}")));
        }
    }))
}

fn model(model: &Model, api_id: &str) -> Result<api::Model, FreezeError> {
    let invalid =
        |reason: String| refused(format!("Invalid model specified: {} ({reason})", model.name));
    let mut schema = match model.schema.as_deref() {
        None | Some("") => json!({}),
        // An XML schema, for instance: only bodies of JSON are held against models.
        Some(_) if !api::is_json(&model.content_type) => json!({}),
        Some(text) => serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?,
    };
    if is_deeper(&schema, MAXIMUM_DEPTH) {
        return Err(invalid(format!("nested over {MAXIMUM_DEPTH} levels deep")));
    }
    refer(&mut schema, api_id, "{id}");
    Ok(api::Model {
        content_type: model.content_type.clone(),
        description: model.description.clone(),
        schema,
    })
}

/// Turns references to models of one API into references to another one's.
fn refer(schema: &mut Value, from: &str, to: &str) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get_mut("$ref") {
                let rest = reference.strip_prefix(MODELS).and_then(|it| it.strip_prefix(from));
                if let Some(rest) = rest.filter(|rest| rest.starts_with("/models/")) {
                    *reference = format!("{MODELS}{to}{rest}");
                }
            }
            for (key, value) in object {
                // Data, not schemas.
                if !matches!(key.as_str(), "example" | "examples" | "enum" | "default" | "const") {
                    refer(value, from, to);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| refer(item, from, to)),
        _ => {}
    }
}

fn is_deeper(value: &Value, levels: usize) -> bool {
    let Some(below) = levels.checked_sub(1) else { return true };
    match value {
        Value::Object(members) => members.values().any(|member| is_deeper(member, below)),
        Value::Array(items) => items.iter().any(|item| is_deeper(item, below)),
        _ => false,
    }
}

fn authorizer(authorizer: &Authorizer) -> api::Authorizer {
    let jwt = authorizer.jwt_configuration.as_ref();
    // As an import of the same configuration has it.
    let issuer = jwt.and_then(|jwt| jwt.get("issuers")?.get(0));
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let audiences = issuer.and_then(|issuer| issuer.get("audiences")?.as_array());
    api::Authorizer {
        authorizer_type: authorizer.authorizer_type,
        auth_type: authorizer.auth_type.clone(),
        uri: authorizer.authorizer_uri.clone(),
        credentials: authorizer.authorizer_credentials.clone(),
        result_ttl_in_seconds: authorizer.authorizer_result_ttl_in_seconds,
        identity_source: authorizer.identity_source.clone(),
        identity_validation_expression: authorizer.identity_validation_expression.clone(),
        provider_arns: authorizer.provider_arns.clone(),
        header_name: header_name(authorizer),
        jwt_issuer: issuer.and_then(|issuer| text(issuer.get("issuer")?)),
        jwt_audience: audiences.into_iter().flatten().filter_map(text).collect(),
        jwt_configuration: jwt.cloned(),
        payload_format_version: None,
        enable_simple_responses: None,
    }
}

/// The header that an export names in the security scheme: API Gateway does for authorizers that
/// look at one.
fn header_name(authorizer: &Authorizer) -> Option<String> {
    use api::AuthorizerType::{CognitoUserPools, Token};
    let one = matches!(authorizer.authorizer_type, Token | CognitoUserPools);
    let source = authorizer.identity_source.as_deref().filter(|_| one)?;
    let name = source.strip_prefix("method.request.header.")?;
    (!name.contains(',')).then(|| name.to_owned())
}

fn gateway_response(response: &GatewayResponse) -> Result<api::GatewayResponse, FreezeError> {
    Ok(api::GatewayResponse {
        status_code: response.status_code.as_deref().map(status_code).transpose()?,
        response_parameters: response.response_parameters.clone(),
        response_templates: response.response_templates.clone(),
    })
}

/// `x-amazon-apigateway-documentation`; what it calls `version` belongs to a documentation version.
fn documentation(parts: &[DocumentationPart]) -> Option<Value> {
    let mut sorted: Vec<_> = parts.iter().collect();
    sorted.sort_by(|a, b| a.location.cmp(&b.location));
    let part = |part: &DocumentationPart| {
        let location = super::wire(&part.location);
        let properties = serde_json::from_str(&part.properties).ok();
        let properties = properties
            .filter(|properties| !is_deeper(properties, MAXIMUM_DEPTH))
            .unwrap_or_else(|| json!(part.properties));
        json!({ "location": location, "properties": properties })
    };
    let parts: Vec<_> = sorted.into_iter().map(part).collect();
    let holder = Map::from_iter([("documentationParts".to_owned(), Value::Array(parts.clone()))]);
    (!parts.is_empty()).then_some(Value::Object(holder))
}

fn refused(message: impl Into<String>) -> FreezeError {
    FreezeError { message: message.into() }
}
