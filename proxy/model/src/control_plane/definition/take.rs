//! An imported definition taken apart into records, over what is there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::Value;

use super::{DEFAULT_TIMEOUT, Definition, default_address_type, refer};
use crate::api::{
    self, Api, Authorization, AuthorizerType, Connection, ContentHandling, HttpMethod,
    PassthroughBehavior,
};
use crate::control_plane::{
    Authorizer, DocumentationPart, DocumentationPartLocation, GatewayResponse, Integration,
    IntegrationResponse, Method, MethodResponse, Model, RequestValidator, Resource, RestApi,
    TlsConfig,
};
use crate::openapi::Imported;

/// What becomes of that which an imported definition doesn't mention: `mode` of
/// [PutRestApi](https://docs.aws.amazon.com/apigateway/latest/api/API_PutRestApi.html).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportMode {
    /// It goes. Ids stay: those of resources with the same path, and of models, authorizers and
    /// validators with the same name.
    Overwrite,
    /// It stays.
    Merge,
}

impl Definition {
    /// Takes over what a REST API's definition declares. The API's id and tags, and its endpoint
    /// type unless the definition names one, stay.
    ///
    /// `documentation` is that of the definition, with ids yet to be given; `None` leaves what is
    /// there. `new_id` gives ids by chance: six characters of `[a-z0-9]`.
    ///
    /// Returns what the records can't hold, one line each.
    pub fn take(
        &mut self,
        imported: Imported,
        documentation: Option<Vec<DocumentationPart>>,
        mode: ImportMode,
        new_id: &mut dyn FnMut() -> String,
    ) -> Vec<String> {
        let mut ids = Ids { taken: self.ids(), new_id };
        let Imported { api, declared, .. } = imported;
        settings(&mut self.rest_api, &api, declared, mode);
        let validators = api.request_validators.into_iter().map(|(name, declared)| {
            let api::RequestValidator { validate_request_body, validate_request_parameters } =
                declared;
            let id = String::new();
            RequestValidator { id, name, validate_request_body, validate_request_parameters }
        });
        combine(&mut self.request_validators, validators.collect(), mode, &mut ids);
        let authorizers = api.authorizers.into_iter().map(|(name, it)| authorizer(name, it));
        combine(&mut self.authorizers, authorizers.collect(), mode, &mut ids);
        let api_id = &self.rest_api.id;
        let models = api.models.into_iter().map(|(name, it)| model(name, it, api_id));
        combine(&mut self.models, models.collect(), mode, &mut ids);
        if let Some(parts) = documentation {
            combine(&mut self.documentation_parts, parts, mode, &mut ids);
        }
        self.take_gateway_responses(api.gateway_responses, mode);
        self.take_resources(api.resources, mode, &mut ids)
    }

    /// Everything for another API: a clone's records have the ids of those they were made of,
    /// which are ids within their API.
    pub fn cloned_for(mut self, rest_api: RestApi) -> Self {
        for model in &mut self.models {
            let schema = model.schema.as_deref().and_then(|text| serde_json::from_str(text).ok());
            if let Some(mut schema) = schema {
                refer(&mut schema, &self.rest_api.id, &rest_api.id);
                model.schema = Some(schema_text(&schema));
            }
        }
        Self { rest_api, ..self }
    }

    fn ids(&self) -> HashSet<String> {
        let resources = self.resources.iter().map(|it| &it.id);
        let ids = resources
            .chain(self.models.iter().map(|it| &it.id))
            .chain(self.request_validators.iter().map(|it| &it.id))
            .chain(self.authorizers.iter().map(|it| &it.id))
            .chain(self.documentation_parts.iter().map(|it| &it.id));
        ids.cloned().collect()
    }

    fn take_gateway_responses(
        &mut self,
        declared: BTreeMap<api::GatewayResponseType, api::GatewayResponse>,
        mode: ImportMode,
    ) {
        self.gateway_responses.retain(|known| {
            mode == ImportMode::Merge && !declared.contains_key(&known.response_type)
        });
        let responses = declared.into_iter().map(|(response_type, it)| GatewayResponse {
            response_type,
            status_code: it.status_code.map(|status| status.to_string()),
            response_parameters: it.response_parameters,
            response_templates: it.response_templates,
            default_response: false,
        });
        self.gateway_responses.extend(responses);
    }

    fn take_resources(
        &mut self,
        declared: indexmap::IndexMap<String, api::Resource>,
        mode: ImportMode,
        ids: &mut Ids<'_>,
    ) -> Vec<String> {
        let mut by_path: HashMap<String, Resource> =
            self.resources.drain(..).map(|it| (it.path.clone(), it)).collect();
        // Parents may come after their children: ids first.
        let mut id_of: HashMap<String, String> =
            by_path.iter().map(|(path, it)| (path.clone(), it.id.clone())).collect();
        for path in declared.keys().filter(|path| !by_path.contains_key(*path)) {
            id_of.insert(path.clone(), ids.next());
        }
        if mode == ImportMode::Overwrite {
            by_path.clear();
        }
        let (authorizers, validators) = (&self.authorizers, &self.request_validators);
        let mut converter = Converter {
            authorizers: authorizers.iter().map(|it| (&*it.name, &*it.id)).collect(),
            validators: validators.iter().map(|it| (&*it.name, &*it.id)).collect(),
            remarks: Vec::new(),
        };
        for (path, resource) in declared {
            let (parent_id, path_part) = place(&path, &id_of);
            let taken = by_path.entry(path.clone()).or_insert_with(|| Resource {
                id: id_of[&path].clone(),
                parent_id,
                path_part,
                path,
                resource_methods: BTreeMap::new(),
            });
            for (http_method, method) in resource.methods {
                let method = converter.method(http_method, method, taken);
                taken.resource_methods.insert(http_method, method);
            }
        }
        let remarks = converter.remarks;
        self.resources = by_path.into_values().collect();
        self.resources.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        if let Some(root) = id_of.get("/") {
            self.rest_api.root_resource_id.clone_from(root);
        }
        remarks
    }
}

/// Id of the resource above, and the path's last part. The root has neither.
fn place(path: &str, id_of: &HashMap<String, String>) -> (Option<String>, Option<String>) {
    match path.rsplit_once('/') {
        Some((parent, part)) if path != "/" => {
            let parent = if parent.is_empty() { "/" } else { parent };
            (id_of.get(parent).cloned(), Some(part.to_owned()))
        }
        _ => (None, None),
    }
}

struct Ids<'n> {
    taken: HashSet<String>,
    new_id: &'n mut dyn FnMut() -> String,
}

impl Ids<'_> {
    /// One that nothing of the API has: among 10,000 resources two would meet by chance.
    fn next(&mut self) -> String {
        loop {
            let id = (self.new_id)();
            if self.taken.insert(id.clone()) {
                return id;
            }
        }
    }
}

/// A part of an API that is the same as another one by something else than its id.
trait Part {
    type Key: Ord;
    fn id(&mut self) -> &mut String;
    fn key(&self) -> Self::Key;
}

macro_rules! part_by_name {
    ($($part:ty)*) => {$(
        impl Part for $part {
            type Key = String;

            fn id(&mut self) -> &mut String {
                &mut self.id
            }

            fn key(&self) -> String {
                self.name.clone()
            }
        }
    )*};
}

part_by_name! { Model Authorizer RequestValidator }

impl Part for DocumentationPart {
    type Key = DocumentationPartLocation;

    fn id(&mut self) -> &mut String {
        &mut self.id
    }

    fn key(&self) -> DocumentationPartLocation {
        self.location.clone()
    }
}

/// Puts parts in the places of those that they are.
fn combine<P: Part>(known: &mut Vec<P>, mut parts: Vec<P>, mode: ImportMode, ids: &mut Ids<'_>) {
    let mut by_key = BTreeMap::new();
    for part in known.iter_mut() {
        let id = part.id().clone();
        by_key.entry(part.key()).or_insert(id);
    }
    for part in &mut parts {
        // Two of a definition may not have one id either.
        *part.id() = by_key.remove(&part.key()).unwrap_or_else(|| ids.next());
    }
    match mode {
        ImportMode::Overwrite => known.clear(),
        ImportMode::Merge => {
            let replaced: BTreeSet<String> = parts.iter_mut().map(|it| it.id().clone()).collect();
            known.retain_mut(|part| !replaced.contains(part.id()));
        }
    }
    known.append(&mut parts);
}

/// What the definition says of the API itself.
fn settings(
    rest_api: &mut RestApi,
    api: &Api,
    declared: crate::openapi::Declared,
    mode: ImportMode,
) {
    let overwrite = mode == ImportMode::Overwrite;
    fn set<T: Clone>(place: &mut Option<T>, value: &Option<T>, overwrite: bool) {
        if value.is_some() || overwrite {
            place.clone_from(value);
        }
    }
    if declared.title {
        rest_api.name.clone_from(&api.name);
    }
    set(&mut rest_api.description, &api.description, overwrite);
    set(&mut rest_api.version, &api.version, overwrite);
    set(&mut rest_api.minimum_compression_size, &api.minimum_compression_size, overwrite);
    set(&mut rest_api.policy, &api.policy.as_ref().map(Value::to_string), overwrite);
    set(&mut rest_api.security_policy, &api.security_policy, overwrite);
    set(&mut rest_api.endpoint_access_mode, &api.endpoint_access_mode, overwrite);
    if overwrite || declared.api_key_source {
        rest_api.api_key_source = api.api_key_source;
    }
    if overwrite || declared.disable_execute_api_endpoint {
        rest_api.disable_execute_api_endpoint = api.disable_execute_api_endpoint;
    }
    if overwrite || !api.transformers.is_empty() {
        rest_api.transformers.clone_from(&api.transformers);
    }
    unite(&mut rest_api.binary_media_types, &api.binary_media_types, overwrite);
    let endpoint = &mut rest_api.endpoint_configuration;
    unite(&mut endpoint.vpc_endpoint_ids, &api.vpc_endpoint_ids, overwrite);
    if declared.endpoint_type && endpoint.types != [api.endpoint_type] {
        endpoint.types = vec![api.endpoint_type];
        endpoint.ip_address_type = default_address_type(api.endpoint_type).to_owned();
    }
    if let Some(address_type) = &api.ip_address_type {
        endpoint.ip_address_type.clone_from(address_type);
    }
}

/// Recorded: a merge unites lists, an overwrite replaces them.
fn unite(known: &mut Vec<String>, declared: &[String], overwrite: bool) {
    if overwrite {
        known.clear();
    }
    for text in declared {
        if !known.contains(text) {
            known.push(text.clone());
        }
    }
}

fn model(name: String, model: api::Model, api_id: &str) -> Model {
    let api::Model { content_type, description, mut schema } = model;
    refer(&mut schema, "{id}", api_id);
    Model { id: String::new(), name, description, schema: Some(schema_text(&schema)), content_type }
}

fn schema_text(schema: &Value) -> String {
    serde_json::to_string_pretty(schema).expect("a JSON value is text")
}

fn authorizer(name: String, authorizer: api::Authorizer) -> Authorizer {
    // What API Gateway says of authorizers whose definition doesn't.
    let label = match authorizer.authorizer_type {
        AuthorizerType::Token | AuthorizerType::Request => "custom",
        AuthorizerType::CognitoUserPools => "cognito_user_pools",
        AuthorizerType::Jwt => "jwt",
    };
    Authorizer {
        id: String::new(),
        name,
        authorizer_type: authorizer.authorizer_type,
        provider_arns: authorizer.provider_arns,
        auth_type: Some(authorizer.auth_type.unwrap_or_else(|| label.to_owned())),
        authorizer_uri: authorizer.uri,
        authorizer_credentials: authorizer.credentials,
        identity_source: authorizer.identity_source,
        identity_validation_expression: authorizer.identity_validation_expression,
        authorizer_result_ttl_in_seconds: authorizer.result_ttl_in_seconds,
        jwt_configuration: authorizer.jwt_configuration,
    }
}

/// Methods with names of authorizers and validators into methods with ids.
struct Converter<'d> {
    authorizers: HashMap<&'d str, &'d str>,
    validators: HashMap<&'d str, &'d str>,
    remarks: Vec<String>,
}

impl Converter<'_> {
    fn method(
        &mut self,
        http_method: HttpMethod,
        method: api::Method,
        resource: &Resource,
    ) -> Method {
        let (authorization_type, authorizer, scopes) = match method.authorization {
            Authorization::None => ("NONE", None, Vec::new()),
            Authorization::AwsIam => ("AWS_IAM", None, Vec::new()),
            Authorization::Custom { authorizer } => ("CUSTOM", Some(authorizer), Vec::new()),
            Authorization::CognitoUserPools { authorizer, scopes } => {
                ("COGNITO_USER_POOLS", Some(authorizer), scopes)
            }
            Authorization::Jwt { authorizer, scopes } => ("JWT", Some(authorizer), scopes),
        };
        let id = |ids: &HashMap<&str, &str>, name: Option<String>| {
            name.and_then(|name| ids.get(name.as_str()).map(|id| (*id).to_owned()))
        };
        let responses = method.responses.into_iter().map(|(status_code, it)| {
            let response = MethodResponse {
                status_code: status_code.clone(),
                response_parameters: it.parameters,
                response_models: it.models,
            };
            (status_code, response)
        });
        let integration = method.integration.map(|it| self.integration(it, http_method, resource));
        Method {
            http_method,
            authorization_type: authorization_type.to_owned(),
            authorizer_id: id(&self.authorizers, authorizer),
            api_key_required: method.api_key_required,
            request_validator_id: id(&self.validators, method.request_validator),
            operation_name: method.operation_name,
            request_parameters: method.request_parameters,
            request_models: method.request_models,
            method_responses: responses.collect(),
            method_integration: integration,
            authorization_scopes: scopes,
            transformers: method.transformers,
        }
    }

    fn integration(
        &mut self,
        integration: api::Integration,
        http_method: HttpMethod,
        resource: &Resource,
    ) -> Integration {
        let (connection_type, connection_id, integration_target) = match integration.connection {
            Connection::Internet => (None, None, None),
            Connection::VpcLink { id, integration_target } => {
                (Some("VPC_LINK".to_owned()), Some(id), integration_target)
            }
        };
        let mut responses = indexmap::IndexMap::new();
        for response in integration.responses {
            let response = integration_response(response);
            let status = response.status_code.clone();
            if responses.insert(status.clone(), response).is_some() {
                self.remarks.push(format!(
                    "{http_method} {}: two integration responses have status code {status}; API \
                     Gateway keeps one of each, here the last",
                    resource.path
                ));
            }
        }
        Integration {
            integration_type: integration.integration_type,
            http_method: integration.http_method,
            uri: integration.uri,
            connection_type,
            connection_id,
            credentials: integration.credentials,
            request_parameters: integration.request_parameters,
            request_templates: integration.request_templates,
            passthrough_behavior: passthrough_behavior(integration.passthrough_behavior).to_owned(),
            content_handling: content_handling(integration.content_handling),
            timeout_in_millis: integration.timeout_in_millis.unwrap_or(DEFAULT_TIMEOUT),
            cache_namespace: integration.cache_namespace.unwrap_or_else(|| resource.id.clone()),
            cache_key_parameters: integration.cache_key_parameters,
            integration_responses: responses,
            tls_config: integration
                .insecure_skip_verification
                .then_some(TlsConfig { insecure_skip_verification: true }),
            response_transfer_mode: integration.stream_response.then(|| "STREAM".to_owned()),
            integration_target,
        }
    }
}

fn integration_response(response: api::IntegrationResponse) -> IntegrationResponse {
    IntegrationResponse {
        status_code: response.status_code.to_string(),
        selection_pattern: response.selection_pattern,
        response_parameters: response.response_parameters,
        response_templates: response.response_templates,
        content_handling: content_handling(response.content_handling),
    }
}

fn passthrough_behavior(behavior: PassthroughBehavior) -> &'static str {
    match behavior {
        PassthroughBehavior::WhenNoMatch => "WHEN_NO_MATCH",
        PassthroughBehavior::WhenNoTemplates => "WHEN_NO_TEMPLATES",
        PassthroughBehavior::Never => "NEVER",
    }
}

fn content_handling(handling: Option<ContentHandling>) -> Option<String> {
    let name = match handling? {
        ContentHandling::ConvertToText => "CONVERT_TO_TEXT",
        ContentHandling::ConvertToBinary => "CONVERT_TO_BINARY",
    };
    Some(name.to_owned())
}
