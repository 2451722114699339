//! The compiled form of a stage: what a request meets after it was located.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tollgate_auth::Policy;

use super::authorizer::CompiledAuthorizer;
use super::body::RequestBody;
use super::content::BinaryMediaTypes;
use super::gateway_response::GatewayResponses;
use super::mapping::{RequestMapping, RequestSource};
use super::response::IntegrationResponses;
use super::router::Router;
use super::uri::UriTemplate;
use super::validate::CompiledValidator;
use crate::api::{
    ApiId, ApiKeySource, AuthorizerType, ContentHandling, EndpointType, HttpMethod, Protocol,
};

/// Everything the data plane needs to serve one stage of one API.
#[derive(Debug)]
pub struct CompiledStage {
    pub api_id: ApiId,
    pub api_name: String,
    pub stage_name: String,
    pub deployment_id: String,
    pub account_id: String,
    pub region: String,
    pub stage_variables: BTreeMap<String, String>,
    pub protocol: Protocol,
    pub endpoint_type: EndpointType,
    pub vpc_endpoint_ids: Vec<String>,
    pub disable_execute_api_endpoint: bool,
    pub api_key_source: ApiKeySource,
    pub binary_media_types: BinaryMediaTypes,
    /// Bytes from which responses are compressed; `None`: never, and requests aren't decompressed.
    pub minimum_compression_size: Option<u32>,
    pub resource_policy: CompiledPolicy,
    pub resources: Vec<CompiledResource>,
    pub methods: Vec<CompiledMethod>,
    /// Finds an index into `resources` and one into `methods`.
    pub router: Router,
    pub gateway_responses: GatewayResponses,
    /// The authorizers that methods use: [`CompiledAuthorization::Plugin`] points here.
    pub authorizers: Vec<CompiledAuthorizer>,
    /// The distinct backends of the stage, for connection pools; [`Target::Fixed`] points here.
    pub upstreams: Vec<UpstreamTarget>,
}

/// The API's resource policy.
#[derive(Clone, Debug)]
pub enum CompiledPolicy {
    /// None declared: everything is allowed, except on a private API, where it denies all.
    Absent,
    /// Its only statements allow everyone everything.
    AllowAll,
    /// Asked for each request.
    Evaluated(Policy),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompiledResource {
    /// Six characters of `[a-z0-9]`, the same for the same path in every deployment.
    pub id: String,
    /// The path template: `/pets/{id}`.
    pub path: String,
}

#[derive(Debug)]
pub struct CompiledMethod {
    /// Index into [`CompiledStage::resources`].
    pub resource: usize,
    /// As configured: [`HttpMethod::Any`] for an ANY method.
    pub http_method: HttpMethod,
    pub authorization: CompiledAuthorization,
    pub api_key_required: bool,
    /// Names of the plugins that change the request and its response: those of the API, then the
    /// stage's, then the method's own. Methods with the same ones share the list.
    pub transformers: Arc<[String]>,
    /// What the request is held to before anything is sent to the integration.
    pub validator: Option<CompiledValidator>,
    /// What becomes of the request's body before the integration gets it.
    pub content_handling: Option<ContentHandling>,
    pub integration: CompiledIntegration,
}

/// How a method identifies its caller. Those that are neither `None` nor `Plugin` are for a later
/// day: fail closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompiledAuthorization {
    None,
    AwsIam,
    /// A Lambda authorizer that a plugin stands for: index into [`CompiledStage::authorizers`].
    Plugin(usize),
    /// Any other Lambda authorizer.
    Custom {
        authorizer: String,
        authorizer_type: AuthorizerType,
        /// The header names among its identity sources.
        identity_headers: Vec<String>,
    },
    CognitoUserPools {
        authorizer: String,
        identity_headers: Vec<String>,
        scopes: Vec<String>,
    },
    Jwt {
        authorizer: String,
        identity_headers: Vec<String>,
        scopes: Vec<String>,
    },
}

#[derive(Debug)]
pub enum CompiledIntegration {
    /// Streamed: everything is passed on, parameter mapping is applied.
    HttpProxy(HttpIntegration),
    /// Buffered: nothing is passed on unless mapped.
    Http {
        http: HttpIntegration,
        request: RequestBody,
        responses: IntegrationResponses,
    },
    Mock {
        request: RequestBody,
        responses: IntegrationResponses,
    },
    /// Answers as AWS does for a function that can't be reached: 500, with
    /// `Invalid permissions on Lambda function` in the execution log.
    Lambda {
        function_arn: String,
        /// `AWS_PROXY`, not `AWS`.
        proxy: bool,
        timeout: Duration,
    },
    /// Another AWS service, by the URI as declared: 500.
    AwsService {
        uri: String,
    },
    /// 500, and the reason in the execution log.
    Misconfigured {
        reason: String,
    },
}

/// Where and how an HTTP(S) backend is called.
#[derive(Debug)]
pub struct HttpIntegration {
    /// `None` sends the client's method.
    pub http_method: Option<HttpMethod>,
    pub target: Target,
    pub uri: UriTemplate,
    /// `Host` as the URI has it, with the port if it isn't the scheme's own; empty for a
    /// [`Target::Dynamic`].
    pub host_header: String,
    /// Mappings to headers and query-string parameters, and to the names the URI uses.
    pub request_parameters: Vec<RequestMapping>,
    pub timeout: Duration,
    /// Skip the check of the backend certificate's CA and host name.
    pub insecure_skip_verification: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Index into [`CompiledStage::upstreams`].
    Fixed(usize),
    /// The URI's authority holds a path parameter: [`HttpIntegration::render_authority`].
    Dynamic { scheme: Scheme, connection: UpstreamConnection },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A backend, the same for all methods that reach it the same way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamTarget {
    pub scheme: Scheme,
    /// A name, an IPv4 address, or an IPv6 address without brackets; lower case.
    pub host: String,
    pub port: u16,
    pub connection: UpstreamConnection,
    pub insecure_skip_verification: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamConnection {
    Internet,
    /// Through the addresses configured for this VPC link. The target's host still goes into
    /// `Host` and the TLS server name.
    VpcLink(String),
}

impl HttpIntegration {
    /// Whether a mapping reads the request's body, so that it can't be streamed.
    pub fn needs_body(&self) -> bool {
        self.request_parameters.iter().any(|mapping| {
            matches!(mapping.source, RequestSource::Body | RequestSource::BodyPath(_))
        })
    }
}
