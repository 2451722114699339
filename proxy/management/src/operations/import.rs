//! Definitions in: ImportRestApi, PutRestApi, and what CreateRestApi clones.
//!
//! ```text
//!  document ── openapi::import ──▶ Imported ── Definition::take ──▶ records ── api, compile
//!                                                                                │ refused: nothing is written
//!                                                                                └ accepted: what differs is written
//! ```
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-import-api.html>

use std::collections::BTreeMap;

use http::Method;
use serde::Serialize;
use tollgate_model::api::{ApiKeySource, EndpointType, Protocol};
use tollgate_model::compile::{CompileError, compile};
use tollgate_model::control_plane::{
    Definition, DocumentationPart, DocumentationVersion, EndpointConfiguration, ImportMode, RestApi,
};
use tollgate_model::openapi::{self, BasePathMode, ImportError, ImportOptions, Imported};
use tollgate_store::Key;

use crate::call::{Answer, Call};
use crate::context::Context;
use crate::error::ApiError;
use crate::input::{Input, not_in_enum};
use crate::names::{ID, LONG_ID, keys, new_id};
use crate::operations::{documentation, rest_apis};
use crate::router::Operation;
use crate::unit::Unit;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "ImportRestApi",
        method: Method::POST,
        uri: "/restapis?mode=import",
        status: 201,
        run: import,
    },
    Operation {
        name: "PutRestApi",
        method: Method::PUT,
        uri: "/restapis/{restapi_id}",
        status: 200,
        run: put,
    },
];

fn import(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let request = ImportRequest::read(context, call)?;
    context.carry_out(|unit| {
        let mut api = new_api(context);
        api.tags = Some(request.imported.api.tags.clone()).filter(|tags| !tags.is_empty());
        let root = rest_apis::new_root();
        let empty = Definition::empty(api);
        let start = Definition { resources: vec![root], ..empty.clone() };
        let (definition, warnings) = request.applied(context, start, ImportMode::Overwrite)?;
        write(unit, &empty, &definition);
        Ok(answer(definition.rest_api, warnings))
    })
}

fn put(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let mode = match call.query("mode") {
        None | Some("merge") => ImportMode::Merge,
        Some("overwrite") => ImportMode::Overwrite,
        Some(other) => {
            return Err(not_in_enum("putRestApiInput.mode", other, &["merge", "overwrite"]));
        }
    };
    let request = ImportRequest::read(context, call)?;
    context.carry_out(|unit| {
        let api = rest_apis::api(context, unit, call)?;
        let before = definition(unit, &api)?;
        let (mut after, warnings) = request.applied(context, before.clone(), mode)?;
        // Recorded: as UpdateRestApi answers.
        after.rest_api.tags.get_or_insert_default();
        write(unit, &before, &after);
        Ok(answer(after.rest_api, warnings))
    })
}

fn answer(mut api: RestApi, warnings: Vec<String>) -> Answer {
    api.warnings = warnings;
    Answer::Json(rest_apis::show(&api))
}

/// What an import starts from.
fn new_api(context: &Context) -> RestApi {
    RestApi {
        id: new_id(LONG_ID),
        name: "API".to_owned(),
        description: None,
        created_date: context.now(),
        version: None,
        warnings: Vec::new(),
        binary_media_types: Vec::new(),
        minimum_compression_size: None,
        api_key_source: ApiKeySource::Header,
        endpoint_configuration: EndpointConfiguration {
            types: vec![EndpointType::Edge],
            ip_address_type: "ipv4".to_owned(),
            vpc_endpoint_ids: Vec::new(),
        },
        policy: None,
        tags: None,
        disable_execute_api_endpoint: false,
        root_resource_id: String::new(),
        security_policy: None,
        endpoint_access_mode: None,
        transformers: Vec::new(),
    }
}

/// A document and how it is to be taken.
struct ImportRequest {
    imported: Imported,
    /// `None`: `ignore=documentation`.
    documentation: Option<Vec<DocumentationPart>>,
    /// `endpointConfigurationTypes`.
    endpoint_type: Option<EndpointType>,
    warnings: Vec<String>,
    fail_on_warnings: bool,
}

impl ImportRequest {
    fn read(context: &Context, call: &Call) -> Result<Self, ApiError> {
        let mut warnings = unknown_parameters(call);
        let options = ImportOptions {
            parameters: BTreeMap::new(),
            region: context.settings.region.clone(),
            account_id: context.settings.account_id.clone(),
            partition: tollgate_model::compile::partition(&context.settings.region).to_owned(),
            base_path: base_path(call)?,
        };
        if call.body.is_empty() {
            return Err(ApiError::bad_request("Unable to build importer with provided input."));
        }
        let text = std::str::from_utf8(&call.body)
            .map_err(|error| invalid(&format!("the body is not UTF-8: {error}")))?;
        let imported = openapi::import(text, &options).map_err(|error| refusal(&error))?;
        if imported.api.protocol == Protocol::Http {
            return Err(ApiError::bad_request(format!(
                "{} takes definitions of REST APIs; this is one of an HTTP API",
                call.operation
            )));
        }
        let fail_on_warnings = call.query_bool("failonwarnings")?;
        let counts = |it: &&openapi::Warning| !fail_on_warnings || !it.is_of_no_effect();
        warnings.extend(imported.warnings.iter().filter(counts).map(ToString::to_string));
        let ignored = parameter(call, "ignore").is_some_and(|it| it == "documentation");
        let documentation = (!ignored).then(|| documentation_parts(&imported, &mut warnings));
        let endpoint_type = parameter(call, "endpointConfigurationTypes").map(|name| {
            let found = rest_apis::parse_endpoint_type(name);
            found.ok_or_else(rest_apis::invalid_endpoint_types)
        });
        let endpoint_type = endpoint_type.transpose()?;
        Ok(Self { imported, documentation, endpoint_type, warnings, fail_on_warnings })
    }

    /// The definition with the import taken over, and all there is to warn of.
    fn applied(
        &self,
        context: &Context,
        mut definition: Definition,
        mode: ImportMode,
    ) -> Result<(Definition, Vec<String>), ApiError> {
        let imported = self.imported.clone();
        let mut warnings = self.warnings.clone();
        let documentation = self.documentation.clone();
        warnings.extend(definition.take(imported, documentation, mode, &mut || new_id(ID)));
        if self.fail_on_warnings && !warnings.is_empty() {
            return Err(found("Warnings", &warnings.join("\n\t")));
        }
        let api = &mut definition.rest_api;
        let endpoint = &mut api.endpoint_configuration;
        if let Some(endpoint_type) = self.endpoint_type.filter(|it| endpoint.types != [*it]) {
            endpoint.types = vec![endpoint_type];
            let private = endpoint_type == EndpointType::Private;
            endpoint.ip_address_type = if private { "dualstack" } else { "ipv4" }.to_owned();
        }
        rest_apis::check_endpoint(endpoint)?;
        if let Some(policy) = &api.policy {
            api.policy = Some(rest_apis::checked_policy(context, &api.id, policy)?);
        }
        check(context, &definition)?;
        Ok((definition, warnings))
    }
}

/// Refuses what could not be deployed either.
fn check(context: &Context, definition: &Definition) -> Result<(), ApiError> {
    let frozen = definition.api().map_err(|error| found("Errors", &error.to_string()))?;
    let api_id = &definition.rest_api.id;
    let settings = context.stage_settings(api_id, "test", "", BTreeMap::new());
    compile(&frozen, &settings).map(drop).map_err(|error| {
        let CompileError { location, message } = error;
        found(
            "Errors",
            &match location.split_once(' ') {
                Some((method, path)) => unable_to_put_integration(method, path, &message),
                None => format!("{location}: {message}"),
            },
        )
    })
}

fn parameter<'c>(call: &'c Call, name: &str) -> Option<&'c str> {
    let found = call.query.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// `parameters` of the service model are any parameters of the query string.
fn unknown_parameters(call: &Call) -> Vec<String> {
    const KNOWN: [&str; 5] =
        ["mode", "failonwarnings", "basepath", "ignore", "endpointConfigurationTypes"];
    let is_known = |name: &str, value: &str| match name {
        "ignore" => value == "documentation",
        _ => KNOWN.iter().any(|known| known.eq_ignore_ascii_case(name)),
    };
    let unknown = call.query.iter().filter(|(name, value)| !is_known(name, value));
    unknown.map(|(name, value)| format!("parameter {name}={value}: not known; ignored")).collect()
}

fn base_path(call: &Call) -> Result<BasePathMode, ApiError> {
    match parameter(call, "basepath") {
        None | Some("ignore") => Ok(BasePathMode::Ignore),
        Some("prepend") => Ok(BasePathMode::Prepend),
        Some("split") => Ok(BasePathMode::Split),
        Some(other) => Err(ApiError::bad_request(format!(
            "Invalid basepath mode specified: '{other}'. Must be one of: [ignore, prepend, split]"
        ))),
    }
}

fn documentation_parts(imported: &Imported, warnings: &mut Vec<String>) -> Vec<DocumentationPart> {
    let Some(declared) = &imported.api.documentation else { return Vec::new() };
    let read = documentation::import::read(declared);
    warnings.extend(read.warnings);
    let part =
        |(location, properties)| DocumentationPart { id: String::new(), location, properties };
    read.parts.into_iter().map(part).collect()
}

fn invalid(detail: &str) -> ApiError {
    ApiError::bad_request(format!("Invalid OpenAPI input. {detail}"))
}

/// API Gateway's frame around what was found.
fn found(what: &str, lines: &str) -> ApiError {
    ApiError::bad_request(format!("{what} found during import:\n\t{lines}"))
}

fn unable_to_put_integration(method: &str, path: &str, message: &str) -> String {
    format!("Unable to put integration on '{method}' for resource at path '{path}': {message}")
}

fn refusal(error: &ImportError) -> ApiError {
    let line = error.line().map(|line| format!(" (line {line})")).unwrap_or_default();
    match error.path() {
        "" | "swagger" | "openapi" => invalid(&error.to_string()),
        path => match integration(path) {
            Some((method, resource)) => {
                let message = format!("{}{line}", error.message());
                found("Errors", &unable_to_put_integration(&method, resource, &message))
            }
            None => found("Errors", &format!("{path}: {}{line}", error.message())),
        },
    }
}

/// Method and path of the integration that a place in the document belongs to:
/// `paths./pets.get.x-amazon-apigateway-integration.uri`.
fn integration(place: &str) -> Option<(String, &str)> {
    let rest = place.strip_prefix("paths.")?;
    let (operation, _) = rest.split_once(".x-amazon-apigateway-integration")?;
    let (path, method) = operation.rsplit_once('.')?;
    let any = method == "x-amazon-apigateway-any-method";
    Some((if any { "ANY".to_owned() } else { method.to_ascii_uppercase() }, path))
}

/// All that a deployment of an API freezes.
pub(crate) fn definition(unit: &mut Unit, api: &RestApi) -> Result<Definition, ApiError> {
    Ok(Definition {
        rest_api: api.clone(),
        resources: unit.list(&keys::of_api(&api.id, "resources"))?,
        models: unit.list(&keys::of_api(&api.id, "models"))?,
        request_validators: unit.list(&keys::of_api(&api.id, "requestvalidators"))?,
        authorizers: unit.list(&keys::of_api(&api.id, "authorizers"))?,
        gateway_responses: unit.list(&keys::of_api(&api.id, "gatewayresponses"))?,
        documentation_parts: unit.list(&keys::of_api(&api.id, "documentation-parts"))?,
    })
}

/// Writes what has changed.
fn write(unit: &mut Unit, before: &Definition, after: &Definition) {
    let id = after.rest_api.id.as_str();
    unit.put(keys::rest_api(id), &after.rest_api);
    write_all(unit, &before.resources, &after.resources, |it| keys::resource(id, &it.id));
    write_all(unit, &before.models, &after.models, |it| keys::model(id, &it.name));
    let (known, validators) = (&before.request_validators, &after.request_validators);
    write_all(unit, known, validators, |it| keys::request_validator(id, &it.id));
    write_all(unit, &before.authorizers, &after.authorizers, |it| keys::authorizer(id, &it.id));
    write_all(unit, &before.gateway_responses, &after.gateway_responses, |it| {
        keys::gateway_response(id, it.response_type.as_str())
    });
    write_all(unit, &before.documentation_parts, &after.documentation_parts, |it| {
        keys::documentation_part(id, &it.id)
    });
}

fn write_all<T: Serialize + PartialEq>(
    unit: &mut Unit,
    before: &[T],
    after: &[T],
    key: impl Fn(&T) -> Key,
) {
    let mut known: BTreeMap<Key, &T> = before.iter().map(|it| (key(it), it)).collect();
    for entity in after {
        let key = key(entity);
        if known.remove(&key) != Some(entity) {
            unit.put(key, entity);
        }
    }
    for key in known.into_keys() {
        unit.delete(key);
    }
}

/// Fills a new API with everything of another one but its stages, deployments and tags. What
/// CreateRestApi itself says comes before what the other one has.
pub(crate) fn clone_api(
    context: &Context,
    unit: &mut Unit,
    source: &str,
    input: &Input,
    api: &mut RestApi,
) -> Result<(), ApiError> {
    let from = unit.api(source, &context.settings.account_id)?;
    let given = std::mem::replace(api, from.clone());
    api.id = given.id;
    api.name = given.name;
    api.created_date = given.created_date;
    api.tags = given.tags;
    api.description = given.description.or(api.description.take());
    api.version = given.version.or(api.version.take());
    api.security_policy = given.security_policy.or(api.security_policy.take());
    api.endpoint_access_mode = given.endpoint_access_mode.or(api.endpoint_access_mode.take());
    if input.has("minimumCompressionSize") {
        api.minimum_compression_size = given.minimum_compression_size;
    }
    if input.has("binaryMediaTypes") {
        api.binary_media_types = given.binary_media_types;
    }
    if input.has("apiKeySource") {
        api.api_key_source = given.api_key_source;
    }
    if input.has("disableExecuteApiEndpoint") {
        api.disable_execute_api_endpoint = given.disable_execute_api_endpoint;
    }
    if input.has("endpointConfiguration") {
        api.endpoint_configuration = given.endpoint_configuration;
    }
    // A policy names the API it belongs to.
    let own = |policy: String| policy.replace(&format!(":{source}/"), &format!(":{}/", api.id));
    api.policy = given.policy.or(api.policy.take().map(own));
    let definition = definition(unit, &from)?;
    let clone = definition.cloned_for(api.clone());
    write(unit, &Definition::empty(api.clone()), &clone);
    let versions: Vec<DocumentationVersion> =
        unit.list(&keys::of_api(source, "documentation-versions"))?;
    for version in versions {
        unit.put(keys::documentation_version(&api.id, &version.version), &version);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
