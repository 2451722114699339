//! What a user declares: one API with its resources, methods, integrations and the rest of
//! what API Gateway's management API calls a `RestApi`.
//!
//! These types hold everything an import reads, so that an export can write it again. They
//! hold no runtime state and nothing is parsed further than its own shape: expressions,
//! templates, regular expressions and URIs stay text here and are compiled in
//! [`crate::compile`].

use std::collections::BTreeMap;
use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An API's id: 10 characters of `[a-z0-9]`, unique on a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ApiId(pub String);

impl fmt::Display for ApiId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which of API Gateway's products a definition is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Protocol {
    /// REST API (v1).
    Rest,
    /// HTTP API (v2).
    Http,
}

/// Where clients reach an API from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EndpointType {
    Edge,
    Regional,
    Private,
}

/// Where the API key of a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ApiKeySource {
    Header,
    Authorizer,
}

/// One API as declared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Api {
    pub name: String,
    pub description: Option<String>,
    pub version: Option<String>,
    pub protocol: Protocol,
    /// Regional when the definition does not say.
    pub endpoint_type: EndpointType,
    pub vpc_endpoint_ids: Vec<String>,
    pub disable_execute_api_endpoint: bool,
    pub api_key_source: ApiKeySource,
    pub binary_media_types: Vec<String>,
    /// Bytes, 0 to 10,485,760; `None` is off.
    pub minimum_compression_size: Option<u32>,
    /// The resource policy, as written.
    pub policy: Option<Value>,
    /// The base path of the definition (`basePath`, or the path of the first server).
    pub base_path: Option<String>,
    /// Resources by path (`/`, `/pets/{id}`, `/{proxy+}`), in the definition's order, parents
    /// without methods included.
    pub resources: IndexMap<String, Resource>,
    pub models: IndexMap<String, Model>,
    pub request_validators: IndexMap<String, RequestValidator>,
    pub authorizers: IndexMap<String, Authorizer>,
    pub gateway_responses: BTreeMap<GatewayResponseType, GatewayResponse>,
    /// `x-amazon-apigateway-documentation`, as written.
    pub documentation: Option<Value>,
    pub tags: BTreeMap<String, String>,
    /// HTTP APIs: `x-amazon-apigateway-cors`, as written.
    pub cors: Option<Value>,
    /// `ipAddressType` of the endpoint configuration: `ipv4` or `dualstack`.
    pub ip_address_type: Option<String>,
    /// `x-amazon-apigateway-endpoint-access-mode`: `BASIC` or `STRICT`.
    pub endpoint_access_mode: Option<String>,
    /// `x-amazon-apigateway-security-policy`: `SecurityPolicy_…`.
    pub security_policy: Option<String>,
    /// `x-tollgate-transformers` at the root: names of plugins, in order.
    pub transformers: Vec<String>,
}

/// One resource: a path and its methods.
///
/// `id` is the one the management API gave it, six characters of `[a-z0-9]`; `None` for a resource
/// of a definition file, which gets one of its path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub methods: IndexMap<HttpMethod, Method>,
}

/// A method of a resource. [`HttpMethod::Any`] is `x-amazon-apigateway-any-method`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HttpMethod {
    Delete,
    Get,
    Head,
    Options,
    Patch,
    Post,
    Put,
    Any,
}

impl HttpMethod {
    pub const ALL: [HttpMethod; 8] = [
        Self::Delete,
        Self::Get,
        Self::Head,
        Self::Options,
        Self::Patch,
        Self::Post,
        Self::Put,
        Self::Any,
    ];

    /// The method as API Gateway writes it: `GET`, …, `ANY`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "DELETE",
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Patch => "PATCH",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Any => "ANY",
        }
    }

    /// Reads a method name in upper case; `None` for a method API Gateway does not know.
    pub fn from_bytes(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"GET" => Self::Get,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"PATCH" => Self::Patch,
            b"HEAD" => Self::Head,
            b"OPTIONS" => Self::Options,
            b"ANY" => Self::Any,
            _ => return None,
        })
    }
}

impl fmt::Display for HttpMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a method identifies its caller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Authorization {
    None,
    /// SigV4.
    AwsIam,
    /// Lambda authorizer, by its name among [`Api::authorizers`].
    Custom {
        authorizer: String,
    },
    /// Cognito user pools.
    CognitoUserPools {
        authorizer: String,
        scopes: Vec<String>,
    },
    /// HTTP APIs: JWT authorizer.
    Jwt {
        authorizer: String,
        scopes: Vec<String>,
    },
}

/// One method: what a request must look like, who may send it, and what answers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Method {
    pub operation_name: Option<String>,
    pub authorization: Authorization,
    pub api_key_required: bool,
    /// `method.request.{path|querystring|header}.NAME` → required.
    pub request_parameters: BTreeMap<String, bool>,
    /// Media type → model name.
    pub request_models: BTreeMap<String, String>,
    pub request_validator: Option<String>,
    pub integration: Option<Integration>,
    /// Status code (`200`) → method response.
    pub responses: BTreeMap<String, MethodResponse>,
    /// `x-tollgate-transformers` of the operation: names of plugins, after those of API and stage.
    pub transformers: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MethodResponse {
    /// `method.response.header.NAME` → required.
    pub parameters: BTreeMap<String, bool>,
    /// Media type → model name.
    pub models: BTreeMap<String, String>,
}

/// `Integration.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum IntegrationType {
    Aws,
    AwsProxy,
    Http,
    HttpProxy,
    Mock,
}

impl IntegrationType {
    /// The type as API Gateway writes it: `HTTP_PROXY`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "AWS",
            Self::AwsProxy => "AWS_PROXY",
            Self::Http => "HTTP",
            Self::HttpProxy => "HTTP_PROXY",
            Self::Mock => "MOCK",
        }
    }
}

/// How the gateway reaches the backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Connection {
    Internet,
    /// Through the addresses configured for a VPC link. The id may hold `${stageVariables.x}`.
    VpcLink {
        id: String,
        integration_target: Option<String>,
    },
}

/// What is done with a body that no request template matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PassthroughBehavior {
    #[default]
    WhenNoMatch,
    WhenNoTemplates,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ContentHandling {
    ConvertToText,
    ConvertToBinary,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Integration {
    pub integration_type: IntegrationType,
    pub uri: Option<String>,
    /// The backend's method; `None` or [`HttpMethod::Any`] sends the client's.
    pub http_method: Option<HttpMethod>,
    pub connection: Connection,
    pub credentials: Option<String>,
    pub passthrough_behavior: PassthroughBehavior,
    pub content_handling: Option<ContentHandling>,
    /// Destination (`integration.request.…`, or an HTTP API's `append:…`) → source.
    pub request_parameters: IndexMap<String, String>,
    /// Media type or `$default` → template.
    pub request_templates: IndexMap<String, String>,
    pub responses: Vec<IntegrationResponse>,
    pub cache_key_parameters: Vec<String>,
    pub cache_namespace: Option<String>,
    /// Milliseconds, 50 to 29,000 (more only where the quota is raised); `None` is 29,000.
    pub timeout_in_millis: Option<u32>,
    /// `tlsConfig.insecureSkipVerification`.
    pub insecure_skip_verification: bool,
    /// HTTP APIs: `tlsConfig.serverNameToVerify`.
    pub server_name_to_verify: Option<String>,
    /// `responseTransferMode: STREAM`.
    pub stream_response: bool,
    /// HTTP APIs.
    pub payload_format_version: Option<String>,
    /// HTTP APIs.
    pub integration_subtype: Option<String>,
    /// HTTP APIs: status → mapping keys.
    pub response_parameters: IndexMap<String, IndexMap<String, String>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IntegrationResponse {
    /// `None` is the default response.
    pub selection_pattern: Option<String>,
    /// The status the client gets: 100 to 599.
    pub status_code: u16,
    /// `method.response.header.NAME` → source.
    pub response_parameters: IndexMap<String, String>,
    /// Media type → template.
    pub response_templates: IndexMap<String, String>,
    pub content_handling: Option<ContentHandling>,
}

/// A JSON schema by name; `$ref` to other models as
/// `https://apigateway.amazonaws.com/restapis/{id}/models/{Name}` with the literal `{id}`
/// replaced when the API gets one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    pub content_type: String,
    pub description: Option<String>,
    pub schema: Value,
}

impl Model {
    /// Whether a body of this model's content type is JSON. One of another type is held against no
    /// model.
    pub fn is_json(&self) -> bool {
        is_json(&self.content_type)
    }
}

/// Whether this is a content type of JSON, be it with parameters.
pub fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.ends_with("/json") || media_type.ends_with("+json")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestValidator {
    pub validate_request_body: bool,
    pub validate_request_parameters: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AuthorizerType {
    Token,
    Request,
    CognitoUserPools,
    Jwt,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Authorizer {
    pub authorizer_type: AuthorizerType,
    /// `x-amazon-apigateway-authtype`, as written.
    pub auth_type: Option<String>,
    pub uri: Option<String>,
    pub credentials: Option<String>,
    /// Seconds, 0 to 3,600; `None` is 300.
    pub result_ttl_in_seconds: Option<u32>,
    /// Comma-separated `method.request.…` expressions.
    pub identity_source: Option<String>,
    pub identity_validation_expression: Option<String>,
    pub provider_arns: Vec<String>,
    /// The security scheme's own header name, for export.
    pub header_name: Option<String>,
    pub jwt_issuer: Option<String>,
    pub jwt_audience: Vec<String>,
    /// REST APIs: `jwtConfiguration` with its list of `issuers`, as written. `jwt_issuer` and
    /// `jwt_audience` then hold the first of them.
    pub jwt_configuration: Option<Value>,
    pub payload_format_version: Option<String>,
    pub enable_simple_responses: Option<bool>,
}

/// The kinds of answer the gateway gives by itself (REST APIs).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum GatewayResponseType {
    AccessDenied,
    ApiConfigurationError,
    AuthorizerConfigurationError,
    AuthorizerFailure,
    BadRequestBody,
    BadRequestParameters,
    Default4xx,
    Default5xx,
    ExpiredToken,
    IntegrationFailure,
    IntegrationTimeout,
    InvalidApiKey,
    InvalidSignature,
    MissingAuthenticationToken,
    QuotaExceeded,
    RequestTooLarge,
    ResourceNotFound,
    Throttled,
    Unauthorized,
    UnsupportedMediaType,
    WafFiltered,
}

impl GatewayResponseType {
    /// All types with their names, sorted by name.
    pub const ALL: [(GatewayResponseType, &'static str); 21] = [
        (Self::AccessDenied, "ACCESS_DENIED"),
        (Self::ApiConfigurationError, "API_CONFIGURATION_ERROR"),
        (Self::AuthorizerConfigurationError, "AUTHORIZER_CONFIGURATION_ERROR"),
        (Self::AuthorizerFailure, "AUTHORIZER_FAILURE"),
        (Self::BadRequestBody, "BAD_REQUEST_BODY"),
        (Self::BadRequestParameters, "BAD_REQUEST_PARAMETERS"),
        (Self::Default4xx, "DEFAULT_4XX"),
        (Self::Default5xx, "DEFAULT_5XX"),
        (Self::ExpiredToken, "EXPIRED_TOKEN"),
        (Self::IntegrationFailure, "INTEGRATION_FAILURE"),
        (Self::IntegrationTimeout, "INTEGRATION_TIMEOUT"),
        (Self::InvalidApiKey, "INVALID_API_KEY"),
        (Self::InvalidSignature, "INVALID_SIGNATURE"),
        (Self::MissingAuthenticationToken, "MISSING_AUTHENTICATION_TOKEN"),
        (Self::QuotaExceeded, "QUOTA_EXCEEDED"),
        (Self::RequestTooLarge, "REQUEST_TOO_LARGE"),
        (Self::ResourceNotFound, "RESOURCE_NOT_FOUND"),
        (Self::Throttled, "THROTTLED"),
        (Self::Unauthorized, "UNAUTHORIZED"),
        (Self::UnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE"),
        (Self::WafFiltered, "WAF_FILTERED"),
    ];

    /// The name as API Gateway writes it: `DEFAULT_4XX`.
    pub fn as_str(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

impl From<GatewayResponseType> for &'static str {
    fn from(response_type: GatewayResponseType) -> Self {
        response_type.as_str()
    }
}

impl TryFrom<String> for GatewayResponseType {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|(_, known)| *known == name);
        found
            .map(|(response_type, _)| response_type)
            .ok_or_else(|| format!("{name:?} is no gateway response type"))
    }
}

/// A customised gateway response.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GatewayResponse {
    /// 200 to 599; `None` keeps the type's own.
    pub status_code: Option<u16>,
    /// `gatewayresponse.header.NAME` → source.
    pub response_parameters: IndexMap<String, String>,
    /// Media type → template.
    pub response_templates: IndexMap<String, String>,
}
