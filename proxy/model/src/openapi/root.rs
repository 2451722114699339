//! The document as a whole: which OpenAPI it is, which kind of API, and what stands at its root.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde_json::Value;

use super::document::{Kind, Map, Node};
use super::reader::{Dialect, Reader};
use super::security::Schemes;
use super::{Declared, ImportError};
use super::{models, paths, responses};
use crate::api::{Api, ApiKeySource, EndpointType, Protocol, RequestValidator};

/// Bytes of a resource policy (a quota that can be raised, so more is a warning).
const POLICY_QUOTA: usize = 8_192;
/// Bytes; `minimumCompressionSize` may be 0 to this.
const MAX_COMPRESSION_SIZE: u32 = 10_485_760;

/// Keys of the root that are read, here or elsewhere.
const KNOWN: [&str; 33] = [
    "swagger",
    "openapi",
    "info",
    "host",
    "basePath",
    "schemes",
    "consumes",
    "produces",
    "paths",
    "definitions",
    "parameters",
    "responses",
    "securityDefinitions",
    "security",
    "tags",
    "externalDocs",
    "servers",
    "components",
    "jsonSchemaDialect",
    "x-amazon-apigateway-api-key-source",
    "x-amazon-apigateway-binary-media-types",
    "x-amazon-apigateway-cors",
    "x-amazon-apigateway-documentation",
    "x-amazon-apigateway-endpoint-access-mode",
    ENDPOINT,
    "x-amazon-apigateway-gateway-responses",
    "x-amazon-apigateway-importexport-version",
    "x-amazon-apigateway-minimum-compression-size",
    "x-amazon-apigateway-policy",
    "x-amazon-apigateway-request-validator",
    "x-amazon-apigateway-request-validators",
    SECURITY_POLICY,
    TRANSFORMERS,
];
/// Keys of the root that only one version of OpenAPI has. (`securityDefinitions` is read in both.)
const ONLY_SWAGGER: [&str; 8] = [
    "host",
    "basePath",
    "schemes",
    "consumes",
    "produces",
    "definitions",
    "parameters",
    "responses",
];
const ONLY_OPENAPI: [&str; 3] = ["servers", "components", "jsonSchemaDialect"];
const ENDPOINT: &str = "x-amazon-apigateway-endpoint-configuration";
const SECURITY_POLICY: &str = "x-amazon-apigateway-security-policy";
/// Ours, at the root and in operations: plugins that change requests and responses.
pub(super) const TRANSFORMERS: &str = "x-tollgate-transformers";

/// Which OpenAPI a document is, if it is one.
pub(super) fn dialect(root: &Node<'_>) -> Result<Dialect, ImportError> {
    let refuse =
        |line: u32, path: &str, message: String| Err(ImportError::new(Some(line), path, message));
    if root.as_map().is_none() {
        let message = format!("the document is {}; an OpenAPI document is a map", root.what());
        return refuse(root.line, "", message);
    }
    let version = |key| match root.get(key).map(|node| &node.kind) {
        Some(Kind::String(text) | Kind::Number(text)) => text.to_string(),
        _ => String::new(),
    };
    let allowed = "allowed: swagger 2.0, openapi 3.0.x, openapi 3.1.x";
    if let Some(node) = root.get("swagger") {
        return match version("swagger").as_str() {
            "2.0" | "2" => Ok(Dialect::Swagger20),
            other => refuse(node.line, "swagger", format!("\"{other}\" is not known; {allowed}")),
        };
    }
    if let Some(node) = root.get("openapi") {
        let version = version("openapi");
        let known = ["3.0", "3.1"].iter().any(|known| {
            version.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        return match known {
            true => Ok(Dialect::OpenApi3),
            false => refuse(node.line, "openapi", format!("\"{version}\" is not known; {allowed}")),
        };
    }
    for key in ["AWSTemplateFormatVersion", "Resources", "Transform"] {
        if let Some(node) = root.get(key) {
            let message = "is a CloudFormation/SAM template; give the OpenAPI document inside it";
            return refuse(node.line, "", message.to_owned());
        }
    }
    refuse(root.line, "", format!("is not an OpenAPI document: no version; {allowed}"))
}

/// Reads the whole document.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<Api, ImportError> {
    let root = reader.root;
    reader.protocol = protocol(root);
    let top = reader.as_map(root)?;
    reader.warn_unknown_keys(top, &KNOWN);
    reader.warn_other_dialect(root, &ONLY_SWAGGER, &ONLY_OPENAPI);
    if let Some(docs) = root.get("externalDocs") {
        reader.warn(docs, "externalDocs", "documentation only; not kept");
    }
    let mut api = declared(reader)?;
    models::read_declared(reader, &mut api.models)?;
    let schemes = Schemes::read(reader)?;
    paths::read(reader, &schemes, &mut api)?;
    api.authorizers = schemes.into_authorizers();
    Ok(api)
}

/// What the document says itself, of all that has a default.
pub(super) fn declared_itself(root: &Node<'_>) -> Declared {
    let has = |node: &Node<'_>, key: &str| node.get(key).is_some_and(|value| !value.is_null());
    let servers = root.get("servers").map(|node| &node.kind);
    let servers = match servers {
        Some(Kind::Seq(servers)) => servers.as_slice(),
        _ => &[],
    };
    let endpoints = || servers.iter().chain([root]).filter_map(|place| place.get(ENDPOINT));
    Declared {
        title: root.get("info").is_some_and(|info| has(info, "title")),
        endpoint_type: endpoints().any(|it| has(it, "types") || has(it, "vpcEndpointIds")),
        disable_execute_api_endpoint: endpoints().any(|it| has(it, "disableExecuteApiEndpoint")),
        api_key_source: has(root, "x-amazon-apigateway-api-key-source"),
    }
}

/// Everything at the root that does not depend on paths, models and security schemes.
fn declared(reader: &mut Reader<'_>) -> Result<Api, ImportError> {
    let root = reader.root;
    let endpoint = endpoint(reader)?;
    let policy = policy(reader)?;
    let mut api = Api {
        name: String::new(),
        description: None,
        version: None,
        protocol: reader.protocol,
        endpoint_type: endpoint.endpoint_type,
        vpc_endpoint_ids: endpoint.vpc_endpoint_ids,
        disable_execute_api_endpoint: endpoint.disable_execute_api,
        api_key_source: ApiKeySource::Header,
        binary_media_types: reader.texts(root, "x-amazon-apigateway-binary-media-types")?,
        minimum_compression_size: None,
        policy,
        base_path: base_path(reader)?,
        resources: IndexMap::new(),
        models: IndexMap::new(),
        request_validators: validators(reader)?,
        authorizers: IndexMap::new(),
        gateway_responses: responses::gateway_responses(reader)?,
        documentation: as_written(root, "x-amazon-apigateway-documentation"),
        tags: tags(reader)?,
        cors: as_written(root, "x-amazon-apigateway-cors"),
        ip_address_type: endpoint.ip_address_type,
        endpoint_access_mode: reader.text(root, "x-amazon-apigateway-endpoint-access-mode")?,
        security_policy: reader.text(root, SECURITY_POLICY)?,
        transformers: transformers(reader, root)?,
    };
    information(reader, &mut api)?;
    let sources = [("HEADER", ApiKeySource::Header), ("AUTHORIZER", ApiKeySource::Authorizer)];
    let key = "x-amazon-apigateway-api-key-source";
    if let Some(source) = reader.word(root, key, "an API key source", &sources)? {
        api.api_key_source = source;
    }
    let key = "x-amazon-apigateway-minimum-compression-size";
    let size = reader.number(root, key, 0..=MAX_COMPRESSION_SIZE)?;
    api.minimum_compression_size = size.map(|(size, _)| size);
    warn_of_the_other_protocol(reader);
    Ok(api)
}

/// The plugins that the API or an operation names.
pub(super) fn transformers<'d>(
    reader: &Reader<'d>,
    node: &'d Node<'d>,
) -> Result<Vec<String>, ImportError> {
    let names = reader.texts(node, TRANSFORMERS)?;
    if names.iter().any(String::is_empty) {
        let list = node.get(TRANSFORMERS).unwrap_or(node);
        return Err(reader.error(list, "the name of a plugin is empty"));
    }
    Ok(names)
}

fn as_written(node: &Node<'_>, key: &str) -> Option<Value> {
    node.get(key).filter(|node| !node.is_null()).map(Node::to_value)
}

fn information(reader: &mut Reader<'_>, api: &mut Api) -> Result<(), ImportError> {
    const KNOWN: [&str; 7] =
        ["title", "description", "version", "termsOfService", "contact", "license", "summary"];
    let root = reader.root;
    let Some(info) = root.get("info").filter(|info| !info.is_null()) else {
        reader.warn(root, "info", "is missing; the API is called \"API\"");
        api.name = "API".to_owned();
        return Ok(());
    };
    let keys = reader.as_map(info)?;
    reader.warn_unknown_keys(keys, &KNOWN);
    for key in ["termsOfService", "contact", "license", "summary"] {
        if let Some(node) = info.get(key) {
            reader.warn(node, key, "documentation only; not kept");
        }
    }
    api.description = reader.text(info, "description")?;
    api.version = reader.text(info, "version")?;
    api.name = match reader.text(info, "title")? {
        Some(title) => title,
        None => {
            reader.warn(info, "title", "is missing; the API is called \"API\"");
            "API".to_owned()
        }
    };
    Ok(())
}

/// HTTP API or REST API: an HTTP API shows by what only HTTP APIs have.
fn protocol(root: &Node<'_>) -> Protocol {
    let at_root = ["x-amazon-apigateway-importexport-version", "x-amazon-apigateway-cors"];
    if at_root.iter().any(|key| root.get(key).is_some()) {
        return Protocol::Http;
    }
    let values = |node: Option<&'_ Node<'_>>, test: fn(&Node<'_>) -> bool| {
        node.and_then(Node::as_map).is_some_and(|map| map.values().any(test))
    };
    let schemes = root.get("components").and_then(|node| node.get("securitySchemes"));
    let integrations =
        root.get("components").and_then(|node| node.get("x-amazon-apigateway-integrations"));
    let paths = root.get("paths");
    let is_http = paths.is_some_and(|paths| paths.get("/$default").is_some())
        || values(schemes.or(root.get("securityDefinitions")), has_http_authorizer)
        || values(integrations, is_http_integration)
        || values(paths, |item| {
            item.as_map().is_some_and(|item| item.values().any(is_http_operation))
        });
    if is_http { Protocol::Http } else { Protocol::Rest }
}

fn has_http_authorizer(scheme: &Node<'_>) -> bool {
    let Some(authorizer) = scheme.get("x-amazon-apigateway-authorizer") else { return false };
    let configuration = authorizer.get("jwtConfiguration");
    configuration.is_some_and(|jwt| jwt.get("issuer").is_some())
        || authorizer.get("authorizerPayloadFormatVersion").is_some()
}

fn is_http_operation(operation: &Node<'_>) -> bool {
    operation.get("isDefaultRoute").is_some()
        || operation.get("x-amazon-apigateway-integration").is_some_and(is_http_integration)
}

fn is_http_integration(integration: &Node<'_>) -> bool {
    ["payloadFormatVersion", "integrationSubtype"].iter().any(|key| integration.get(key).is_some())
}

/// What one kind of API has and the other does not is kept out with a warning.
fn warn_of_the_other_protocol(reader: &mut Reader<'_>) {
    const REST_ONLY: [&str; 8] = [
        "x-amazon-apigateway-api-key-source",
        "x-amazon-apigateway-binary-media-types",
        "x-amazon-apigateway-documentation",
        "x-amazon-apigateway-gateway-responses",
        "x-amazon-apigateway-minimum-compression-size",
        "x-amazon-apigateway-policy",
        "x-amazon-apigateway-request-validator",
        "x-amazon-apigateway-request-validators",
    ];
    if reader.protocol != Protocol::Http {
        return;
    }
    let root = reader.root;
    for key in REST_ONLY {
        if let Some(node) = root.get(key) {
            reader.warn(node, key, "HTTP APIs do not have this; kept, without effect");
        }
    }
}

struct Endpoint {
    endpoint_type: EndpointType,
    vpc_endpoint_ids: Vec<String>,
    disable_execute_api: bool,
    ip_address_type: Option<String>,
}

/// `x-amazon-apigateway-endpoint-configuration`, at the root or in a server.
fn endpoint(reader: &mut Reader<'_>) -> Result<Endpoint, ImportError> {
    const KNOWN: [&str; 4] =
        ["types", "vpcEndpointIds", "disableExecuteApiEndpoint", "ipAddressType"];
    let root = reader.root;
    let mut endpoint = Endpoint {
        endpoint_type: EndpointType::Regional,
        vpc_endpoint_ids: Vec::new(),
        disable_execute_api: false,
        ip_address_type: None,
    };
    let servers = reader.list(root, "servers")?;
    for server in servers {
        reader.warn_extensions(server, &[ENDPOINT]);
    }
    for node in servers.iter().chain([root]).filter_map(|place| place.get(ENDPOINT)) {
        let map = reader.as_map(node)?;
        reader.warn_unknown_keys(map, &KNOWN);
        endpoint.vpc_endpoint_ids.extend(reader.texts(node, "vpcEndpointIds")?);
        let disabled = reader.flag(node, "disableExecuteApiEndpoint")?;
        endpoint.disable_execute_api |= disabled.unwrap_or(false);
        if let Some(address_type) = reader.text(node, "ipAddressType")? {
            endpoint.ip_address_type = Some(address_type);
        }
        if let Some(endpoint_type) = endpoint_type(reader, node)? {
            endpoint.endpoint_type = endpoint_type;
        } else if !endpoint.vpc_endpoint_ids.is_empty() {
            endpoint.endpoint_type = EndpointType::Private;
        }
    }
    Ok(endpoint)
}

fn endpoint_type<'d>(
    reader: &Reader<'d>,
    node: &'d Node<'d>,
) -> Result<Option<EndpointType>, ImportError> {
    let types = reader.texts(node, "types")?;
    let at = node.get("types").unwrap_or(node);
    match types.as_slice() {
        [] => Ok(None),
        [single] => match single.to_ascii_uppercase().as_str() {
            "REGIONAL" => Ok(Some(EndpointType::Regional)),
            "EDGE" => Ok(Some(EndpointType::Edge)),
            "PRIVATE" => Ok(Some(EndpointType::Private)),
            _ => Err(reader.error(
                at,
                "Invalid EndpointTypes specified. Valid options are REGIONAL,EDGE,PRIVATE",
            )),
        },
        _ => Err(reader.error(at, "Cannot create an api with multiple Endpoint Types.")),
    }
}

/// `x-amazon-apigateway-policy`: an object, or its JSON text.
fn policy(reader: &mut Reader<'_>) -> Result<Option<Value>, ImportError> {
    const KEY: &str = "x-amazon-apigateway-policy";
    let Some(node) = reader.root.get(KEY).filter(|node| !node.is_null()) else { return Ok(None) };
    let policy = match &node.kind {
        Kind::String(text) => serde_json::from_str(text)
            .map_err(|error| reader.error(node, format!("not a policy in JSON: {error}")))?,
        Kind::Map(_) => node.to_value(),
        _ => {
            let message = format!("is {}; a policy object or its JSON is allowed", node.what());
            return Err(reader.error(node, message));
        }
    };
    let length = policy.to_string().len();
    if length > POLICY_QUOTA {
        let message = format!("has {length} bytes; API Gateway's quota is {POLICY_QUOTA}");
        reader.warn(node, KEY, message);
    }
    Ok(Some(policy))
}

fn validators(reader: &mut Reader<'_>) -> Result<IndexMap<String, RequestValidator>, ImportError> {
    const KNOWN: [&str; 2] = ["validateRequestBody", "validateRequestParameters"];
    let map = reader.map(reader.root, "x-amazon-apigateway-request-validators")?;
    let mut validators = IndexMap::new();
    for (name, node) in map.into_iter().flatten() {
        if name.is_empty() {
            return Err(reader.error(node, "Request Validator name cannot be blank"));
        }
        let keys = reader.as_map(node)?;
        reader.warn_unknown_keys(keys, &KNOWN);
        let validator = RequestValidator {
            validate_request_body: reader.flag(node, KNOWN[0])?.unwrap_or(false),
            validate_request_parameters: reader.flag(node, KNOWN[1])?.unwrap_or(false),
        };
        validators.insert(name.to_string(), validator);
    }
    Ok(validators)
}

/// Tags of the API: OpenAPI tags with `x-amazon-apigateway-tag-value`. Those without group
/// operations for documentation.
fn tags(reader: &mut Reader<'_>) -> Result<BTreeMap<String, String>, ImportError> {
    let mut tags = BTreeMap::new();
    for node in reader.list(reader.root, "tags")? {
        reader.warn_extensions(node, &["x-amazon-apigateway-tag-value"]);
        match node.get("x-amazon-apigateway-tag-value") {
            Some(value) => {
                let name = reader.text(node, "name")?.unwrap_or_default();
                tags.insert(name, reader.as_text(value)?.to_owned());
            }
            None => reader.warn(node, "tags", "documentation only; not kept"),
        }
    }
    Ok(tags)
}

/// The path all resources have in common for clients: `basePath`, the first server variable of
/// that name, or the path of the first server's URL.
fn base_path(reader: &Reader<'_>) -> Result<Option<String>, ImportError> {
    let root = reader.root;
    let path = match reader.dialect {
        Dialect::Swagger20 => reader.text(root, "basePath")?,
        Dialect::OpenApi3 => {
            let servers = reader.list(root, "servers")?;
            match servers.iter().find_map(base_path_variable) {
                Some(path) => Some(path),
                None => match servers.first() {
                    Some(server) => reader.text(server, "url")?.map(|url| path_of_url(&url)),
                    None => None,
                },
            }
        }
    };
    let path = path.unwrap_or_default();
    let path = path.trim_matches('/');
    Ok((!path.is_empty()).then(|| format!("/{path}")))
}

fn base_path_variable(server: &Node<'_>) -> Option<String> {
    let variable = server.get("variables")?.get("basePath")?;
    variable.get("default")?.as_str().map(str::to_owned)
}

fn path_of_url(url: &str) -> String {
    let after_scheme = url.split_once("://").map(|(_, rest)| rest);
    let path = match after_scheme {
        Some(rest) => rest.find('/').map_or("", |at| &rest[at..]),
        None => url,
    };
    path.split(['?', '#']).next().unwrap_or_default().to_owned()
}

/// Media types by `consumes` or `produces` (OpenAPI 2.0) of an operation, else of the document.
pub(super) fn media_types<'d>(
    reader: &mut Reader<'d>,
    operation: &'d Node<'d>,
    key: &str,
) -> Result<Vec<String>, ImportError> {
    for node in [operation, reader.root] {
        let types = reader.texts(node, key)?;
        if !types.is_empty() {
            // One list is copied for each response of each operation.
            let bytes = types.iter().map(|media_type| media_type.len() + 24).sum();
            reader.charge_bytes(node, bytes)?;
            return Ok(types);
        }
    }
    Ok(vec!["application/json".to_owned()])
}

/// Whether the document has the key at its root with a map.
pub(super) fn component<'d>(
    reader: &Reader<'d>,
    swagger: &str,
    openapi: &str,
) -> Result<Option<&'d Map<'d>>, ImportError> {
    match reader.dialect {
        Dialect::Swagger20 => reader.map(reader.root, swagger),
        Dialect::OpenApi3 => match reader.root.get("components") {
            Some(components) if !components.is_null() => {
                reader.as_map(components)?;
                reader.map(components, openapi)
            }
            _ => Ok(None),
        },
    }
}
