//! Compiles methods: who may call them and what answers.
//!
//! | API Gateway | Here |
//! |---|---|
//! | refuses it at import | [`CompileError`] with its text |
//! | takes it and answers 500 | [`CompiledIntegration::Misconfigured`] |
//! | serves it, Tollgate doesn't yet | compiled as far as it goes, and listed as unserved |

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tollgate_template::{MAX_TEMPLATE_BYTES, Template};

use super::authorizer::Authorizers;
use super::body::RequestBody;
use super::mapping::parse::{Parsed, Scope, repeated_name, request_mapping, response_mapping};
use super::mapping::{
    Destination, REPEATED_NAME, RequestMapping, RequestSource, ResponseMapping, ResponseSource,
};
use super::response::{CompiledResponse, IntegrationResponses, PatternCompiler, ResponseTemplate};
use super::stage::{
    CompiledIntegration, CompiledMethod, HttpIntegration, Target, UpstreamConnection,
    UpstreamTarget,
};
use super::transformers::Transformers;
use super::unserved::Unserved;
use super::uri::{Fixed, INVALID_URI, ParsedUri, substitute_stage_variables};
use super::validate::{CompiledModels, CompiledValidator};
use super::{CompileError, StageSettings};
use crate::api::{
    Api, Connection, HttpMethod, Integration, IntegrationResponse, IntegrationType, Method,
    Protocol,
};

/// Default and, unless the quota is raised, largest integration timeout
/// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html>).
pub const DEFAULT_INTEGRATION_TIMEOUT: Duration = Duration::from_millis(29_000);

/// Smallest integration timeout.
pub const MINIMUM_INTEGRATION_TIMEOUT: Duration = Duration::from_millis(50);

const INVALID_ARN: &str = "Invalid ARN specified in the request";

/// Compiles the methods of one stage and collects what they share.
pub(crate) struct MethodCompiler<'a> {
    pub(crate) api: &'a Api,
    pub(crate) settings: &'a StageSettings,
    pub(crate) unserved: Unserved,
    pub(crate) upstreams: Vec<UpstreamTarget>,
    pub(crate) authorizers: Authorizers,
    pub(crate) transformers: Transformers<'a>,
    known_upstreams: HashMap<UpstreamTarget, usize>,
    patterns: PatternCompiler,
    /// Compiled for the first method that has a request validator.
    models: Option<CompiledModels<'a>>,
}

/// One method and where it is.
pub(crate) struct Place<'a> {
    pub(crate) resource: usize,
    pub(crate) path: &'a str,
    pub(crate) http_method: HttpMethod,
    pub(crate) method: &'a Method,
    /// `GET /pets`
    pub(crate) name: String,
}

impl Place<'_> {
    pub(super) fn error(&self, message: impl Into<String>) -> CompileError {
        CompileError { location: self.name.clone(), message: message.into() }
    }
}

impl<'a> MethodCompiler<'a> {
    pub(crate) fn new(api: &'a Api, settings: &'a StageSettings) -> Self {
        Self {
            api,
            settings,
            unserved: Unserved::default(),
            upstreams: Vec::new(),
            authorizers: Authorizers::default(),
            transformers: Transformers::new(api, settings),
            known_upstreams: HashMap::new(),
            patterns: PatternCompiler::default(),
            models: None,
        }
    }

    pub(crate) fn method(&mut self, place: &Place<'a>) -> Result<CompiledMethod, CompileError> {
        let authorization = self.authorization(place)?;
        Ok(CompiledMethod {
            resource: place.resource,
            http_method: place.http_method,
            authorization,
            api_key_required: place.method.api_key_required,
            transformers: self.transformers.of(place)?,
            validator: self.validator(place)?,
            content_handling: place
                .method
                .integration
                .as_ref()
                .and_then(|integration| integration.content_handling),
            integration: self.integration(place)?,
        })
    }

    fn validator(&mut self, place: &Place<'a>) -> Result<Option<CompiledValidator>, CompileError> {
        let Some(name) = &place.method.request_validator else { return Ok(None) };
        let validator = self.api.request_validators.get(name);
        let validator = *validator.ok_or_else(|| {
            place.error(format!("Invalid Request Validator identifier specified: {name}"))
        })?;
        if self.api.protocol == Protocol::Http {
            return Ok(None);
        }
        let models = match self.models.take() {
            Some(models) => models,
            None => CompiledModels::compile(self.api, &mut self.unserved)
                .map_err(|(location, message)| CompileError { location, message })?,
        };
        self.models
            .insert(models)
            .validator(place.method, validator)
            .map_err(|message| place.error(message))
    }

    fn integration(&mut self, place: &Place<'a>) -> Result<CompiledIntegration, CompileError> {
        if self.api.protocol == Protocol::Http {
            return Ok(CompiledIntegration::Misconfigured {
                reason: "HTTP APIs are not served yet".to_owned(),
            });
        }
        let Some(integration) = &place.method.integration else {
            return Ok(self.misconfigured(place, "No integration defined for method"));
        };
        let timeout = self.timeout(place, integration)?;
        let parameters = self.request_parameters(place, integration)?;
        self.note_unserved_settings(place, integration);
        match integration.integration_type {
            IntegrationType::HttpProxy => {
                Ok(match self.http(place, integration, parameters, timeout) {
                    Ok(http) => CompiledIntegration::HttpProxy(http),
                    Err(reason) => self.misconfigured(place, reason),
                })
            }
            IntegrationType::Http => {
                let request = self.request_body(place, integration)?;
                let responses = self.responses(place, integration)?;
                Ok(match self.http(place, integration, parameters, timeout) {
                    Ok(http) => CompiledIntegration::Http { http, request, responses },
                    Err(reason) => self.misconfigured(place, reason),
                })
            }
            IntegrationType::Mock => Ok(CompiledIntegration::Mock {
                request: self.request_body(place, integration)?,
                responses: self.responses(place, integration)?,
            }),
            IntegrationType::Aws => {
                // Not served, but checked and reported like what is.
                self.request_body(place, integration)?;
                self.responses(place, integration)?;
                Ok(self.aws(place, integration, timeout))
            }
            IntegrationType::AwsProxy => Ok(self.aws(place, integration, timeout)),
        }
    }

    fn misconfigured(&mut self, place: &Place<'a>, reason: &str) -> CompiledIntegration {
        self.unserved.add(
            "integration",
            format!("{reason}: every request answers 500"),
            &place.name,
        );
        CompiledIntegration::Misconfigured { reason: reason.to_owned() }
    }

    fn timeout(
        &self,
        place: &Place<'a>,
        integration: &Integration,
    ) -> Result<Duration, CompileError> {
        let maximum = self.settings.maximum_integration_timeout;
        match integration.timeout_in_millis {
            None => Ok(DEFAULT_INTEGRATION_TIMEOUT.min(maximum)),
            Some(millis) => {
                let timeout = Duration::from_millis(millis.into());
                if (MINIMUM_INTEGRATION_TIMEOUT..=maximum).contains(&timeout) {
                    return Ok(timeout);
                }
                Err(place.error(format!(
                    "timeoutInMillis is {millis}: Timeout should be between {} ms and {} ms",
                    MINIMUM_INTEGRATION_TIMEOUT.as_millis(),
                    maximum.as_millis()
                )))
            }
        }
    }

    fn request_parameters(
        &mut self,
        place: &Place<'a>,
        integration: &Integration,
    ) -> Result<Vec<RequestMapping>, CompileError> {
        let scope = Scope {
            request_parameters: &place.method.request_parameters,
            resource_path: place.path,
            stage_variables: &self.settings.stage_variables,
        };
        let destinations = integration.request_parameters.keys().map(String::as_str);
        if let Some(name) = repeated_name(destinations) {
            return Err(place.error(format!("{REPEATED_NAME}: {name}")));
        }
        let mut mappings = Vec::with_capacity(integration.request_parameters.len());
        for (destination, expression) in &integration.request_parameters {
            match request_mapping(destination, expression, &scope)
                .map_err(|message| place.error(message))?
            {
                Parsed::Mapping(mapping) => mappings.push(mapping),
                Parsed::Dropped => {}
            }
        }
        if mappings.iter().any(|mapping| mapping.source == RequestSource::InvalidPath) {
            self.note_json_path(place);
        }
        Ok(mappings)
    }

    fn note_json_path(&mut self, place: &Place<'a>) {
        let message = "a path is invalid: nothing is mapped from it";
        self.unserved.add("JSONPath in parameter mapping", message, &place.name);
    }

    /// Settings that are read and have no effect yet.
    fn note_unserved_settings(&mut self, place: &Place<'a>, integration: &Integration) {
        use IntegrationType::{Http, HttpProxy, Mock};
        let kind = integration.integration_type;
        let place = &*place.name;
        if !integration.cache_key_parameters.is_empty() {
            self.unserved.add("cacheKeyParameters", "responses are not cached yet", place);
        }
        if integration.credentials.is_some() && matches!(kind, Http | HttpProxy | Mock) {
            self.unserved.add("credentials", "not used for this integration type", place);
        }
        if integration.stream_response && kind != HttpProxy {
            self.unserved.add("responseTransferMode STREAM", "served for HTTP_PROXY only", place);
        }
        if let Connection::VpcLink { integration_target: Some(_), .. } = integration.connection {
            let message =
                "the backend is reached through the addresses configured for the VPC link";
            self.unserved.add("integrationTarget", message, place);
        }
    }

    /// The error is why requests answer 500.
    fn http(
        &mut self,
        place: &Place<'a>,
        integration: &Integration,
        mut parameters: Vec<RequestMapping>,
        timeout: Duration,
    ) -> Result<HttpIntegration, &'static str> {
        let variables = &self.settings.stage_variables;
        let uri =
            substitute_stage_variables(integration.uri.as_deref().unwrap_or_default(), variables);
        let mut parsed = ParsedUri::parse(&uri).ok_or(INVALID_URI)?;
        let connection = connection(&integration.connection, variables)?;
        let mapped =
            |name: &str| parameters.iter().find(|mapping| is_path(&mapping.destination, name));
        if !parsed.template.authority_parameters().all(|name| mapped(name).is_some()) {
            return Err(INVALID_URI);
        }
        // A request template may override any path parameter.
        let overridable = integration.integration_type == IntegrationType::Http
            && !integration.request_templates.is_empty();
        for name in parsed.template.parameters() {
            if overridable || mapped(name).is_some() {
                continue;
            }
            let message = format!(
                "nothing is mapped to integration.request.path.{name}: it is sent as it stands"
            );
            self.unserved.add("parameter of the integration URI", message, &place.name);
        }
        parsed.template.fix(|name| match mapped(name).map(|mapping| &mapping.source) {
            _ if overridable => Fixed::Mapped,
            None => Fixed::Unmapped,
            Some(RequestSource::Constant(text)) => Fixed::Constant(text.clone()),
            Some(_) => Fixed::Mapped,
        });
        parameters.retain(|mapping| match &mapping.destination {
            Destination::Path(name) => parsed.template.uses(name),
            _ => true,
        });
        let target = match parsed.authority {
            None => Target::Dynamic { scheme: parsed.scheme, connection },
            Some(authority) => Target::Fixed(self.upstream(UpstreamTarget {
                scheme: parsed.scheme,
                host: authority.host,
                port: authority.port,
                connection,
                insecure_skip_verification: integration.insecure_skip_verification,
            })),
        };
        Ok(HttpIntegration {
            http_method: integration.http_method.filter(|method| *method != HttpMethod::Any),
            target,
            uri: parsed.template,
            host_header: parsed.host_header,
            request_parameters: parameters,
            timeout,
            insecure_skip_verification: integration.insecure_skip_verification,
        })
    }

    fn upstream(&mut self, target: UpstreamTarget) -> usize {
        *self.known_upstreams.entry(target).or_insert_with_key(|target| {
            self.upstreams.push(target.clone());
            self.upstreams.len() - 1
        })
    }

    fn aws(
        &mut self,
        place: &Place<'a>,
        integration: &Integration,
        timeout: Duration,
    ) -> CompiledIntegration {
        let uri = integration.uri.as_deref().unwrap_or_default();
        let uri = substitute_stage_variables(uri, &self.settings.stage_variables).into_owned();
        let proxy = integration.integration_type == IntegrationType::AwsProxy;
        let Some(service) = aws_service(&uri) else {
            return self.misconfigured(place, INVALID_ARN);
        };
        match lambda_function(&uri) {
            Some(function_arn) => {
                let message = "functions can't be reached yet: every request answers 500";
                self.unserved.add("Lambda integration", message, &place.name);
                CompiledIntegration::Lambda {
                    function_arn: function_arn.to_owned(),
                    proxy,
                    timeout,
                }
            }
            None => {
                let construct = format!("AWS service integration ({service})");
                self.unserved.add(
                    construct,
                    "AWS services can't be reached yet: every request answers 500",
                    &place.name,
                );
                CompiledIntegration::AwsService { uri }
            }
        }
    }

    fn request_body(
        &mut self,
        place: &Place<'a>,
        integration: &Integration,
    ) -> Result<RequestBody, CompileError> {
        let mut templates = Vec::with_capacity(integration.request_templates.len());
        for (media_type, text) in &integration.request_templates {
            let name = format!("request template {media_type}");
            templates.push((lower_case(media_type), self.template(place, &name, text)?));
        }
        Ok(RequestBody { templates, passthrough: integration.passthrough_behavior })
    }

    fn template(
        &mut self,
        place: &Place<'a>,
        name: &str,
        text: &str,
    ) -> Result<Template, CompileError> {
        if text.len() > MAX_TEMPLATE_BYTES {
            let message = format!(
                "{name} has {} bytes, at most {MAX_TEMPLATE_BYTES} are allowed",
                text.len()
            );
            return Err(place.error(message));
        }
        let template = Template::parse(text);
        if let Some(error) = template.syntax_error() {
            let message =
                format!("{name} can't be parsed, so that rendering it answers 500: {error}");
            self.unserved.add("mapping template", message, &place.name);
        }
        Ok(template)
    }

    fn responses(
        &mut self,
        place: &Place<'a>,
        integration: &Integration,
    ) -> Result<IntegrationResponses, CompileError> {
        let mut responses = Vec::with_capacity(integration.responses.len());
        for response in &integration.responses {
            let parameters = self.response_parameters(place, response)?;
            let mut templates = Vec::with_capacity(response.response_templates.len());
            for (media_type, text) in &response.response_templates {
                let status = response.status_code;
                let name = format!("response template {media_type} of status {status}");
                let template = self.template(place, &name, text)?;
                templates.push(ResponseTemplate { media_type: lower_case(media_type), template });
            }
            let compiled = CompiledResponse {
                status: response.status_code,
                parameters,
                templates,
                content_handling: response.content_handling,
            };
            responses.push((response.selection_pattern.clone(), compiled));
        }
        let (responses, unserved) = self.patterns.responses(responses);
        for pattern in unserved {
            let message = format!("`{}` matches nothing: {}", pattern.pattern, pattern.reason);
            self.unserved.add("selectionPattern", message, &place.name);
        }
        Ok(responses)
    }

    fn response_parameters(
        &mut self,
        place: &Place<'a>,
        response: &IntegrationResponse,
    ) -> Result<Vec<ResponseMapping>, CompileError> {
        let declared = place.method.responses.get(&response.status_code.to_string());
        let declared: Option<&BTreeMap<String, bool>> =
            declared.map(|response| &response.parameters);
        let mut mappings = Vec::with_capacity(response.response_parameters.len());
        for (destination, expression) in &response.response_parameters {
            let parsed =
                response_mapping(destination, expression, declared, &self.settings.stage_variables);
            match parsed.map_err(|message| place.error(message))? {
                Parsed::Mapping(mapping) => mappings.push(mapping),
                Parsed::Dropped => {}
            }
        }
        if mappings.iter().any(|mapping| mapping.source == ResponseSource::InvalidPath) {
            self.note_json_path(place);
        }
        Ok(mappings)
    }
}

fn is_path(destination: &Destination, name: &str) -> bool {
    matches!(destination, Destination::Path(path) if **path == *name)
}

fn connection(
    declared: &Connection,
    variables: &BTreeMap<String, String>,
) -> Result<UpstreamConnection, &'static str> {
    match declared {
        Connection::Internet => Ok(UpstreamConnection::Internet),
        Connection::VpcLink { id, .. } => {
            let id = substitute_stage_variables(id, variables).into_owned();
            if id.is_empty() {
                Err("the VPC link id is empty")
            } else {
                Ok(UpstreamConnection::VpcLink(id))
            }
        }
    }
}

/// The service of `arn:{partition}:apigateway:{region}:[{sub}.]{service}:{path|action}/…`.
fn aws_service(uri: &str) -> Option<&str> {
    let parts: Vec<&str> = uri.splitn(6, ':').collect();
    match *parts {
        ["arn", _, "apigateway", _, service, action]
            if action.starts_with("path/") || action.starts_with("action/") =>
        {
            Some(service)
        }
        _ => None,
    }
}

/// The function of `arn:…:lambda:path/2015-03-31/functions/{arn}/invocations`.
fn lambda_function(uri: &str) -> Option<&str> {
    let (_, path) = uri.split_once(":lambda:path/")?;
    let (_, function) = path.split_once("/functions/")?;
    function
        .strip_suffix("/invocations")
        .or_else(|| function.strip_suffix("/response-streaming-invocations"))
}

fn lower_case(media_type: &str) -> Box<str> {
    media_type.to_ascii_lowercase().into_boxed_str()
}
