//! An API as an OpenAPI document with every `x-amazon-apigateway-*` extension, in the shape of
//! API Gateway's [export].
//!
//! `import(export(api))` gives the API again. What OpenAPI cannot say: a method without a
//! response model (import gives it `Empty`), and in 2.0 a body with different models, or
//! responses with different media types, in one operation.
//!
//! [export]: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-export-api.html

mod integration;
mod operation;
mod security;

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::models::referred_model;
use super::paths::{ANY_METHOD, DEFAULT_ROUTE};
use super::root::TRANSFORMERS;
use crate::api::{Api, ApiKeySource, EndpointType, GatewayResponse, HttpMethod, Model, Protocol};

/// The versions of OpenAPI an API can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// OpenAPI 2.0.
    Swagger20,
    /// OpenAPI 3.0.1.
    Oas30,
}

type Object = Map<String, Value>;

/// Writes an API as a document.
pub fn export(api: &Api, format: ExportFormat) -> Value {
    let schemes = security::Schemes::of(api);
    let mut root = Object::new();
    match format {
        ExportFormat::Swagger20 => root.insert("swagger".to_owned(), json!("2.0")),
        ExportFormat::Oas30 => root.insert("openapi".to_owned(), json!("3.0.1")),
    };
    root.insert("info".to_owned(), info(api));
    base_path(api, format, &mut root);
    let tags: Vec<_> = api
        .tags
        .iter()
        .map(|(name, value)| json!({"name": name, "x-amazon-apigateway-tag-value": value}))
        .collect();
    put_list(&mut root, "tags", tags);
    root.insert("paths".to_owned(), paths(api, format, &schemes));
    components(api, format, &schemes, &mut root);
    extensions(api, &mut root);
    Value::Object(root)
}

fn info(api: &Api) -> Value {
    let mut info = Object::new();
    info.insert("title".to_owned(), json!(api.name));
    put(&mut info, "description", api.description.as_ref());
    put(&mut info, "version", api.version.as_ref());
    Value::Object(info)
}

fn base_path(api: &Api, format: ExportFormat, root: &mut Object) {
    if format == ExportFormat::Swagger20 {
        put(root, "basePath", api.base_path.as_ref());
    } else if let Some(path) = &api.base_path {
        root.insert("servers".to_owned(), json!([{"url": path}]));
    }
}

fn paths(api: &Api, format: ExportFormat, schemes: &security::Schemes) -> Value {
    // Import makes the resources above a path by itself, those of a REST API.
    let made: HashSet<&str> = match api.protocol {
        Protocol::Rest => {
            let parents = api.resources.keys().filter_map(|path| Some(path.rsplit_once('/')?.0));
            parents.chain(["/"]).collect()
        }
        Protocol::Http => HashSet::new(),
    };
    let mut paths = Object::new();
    for (path, resource) in &api.resources {
        if resource.methods.is_empty() && made.contains(path.as_str()) {
            continue;
        }
        let mut item = Object::new();
        for (method, declared) in &resource.methods {
            let key = match method {
                HttpMethod::Any => ANY_METHOD.to_owned(),
                method => method.as_str().to_ascii_lowercase(),
            };
            let mut operation = operation::write(format, schemes, declared);
            if path == DEFAULT_ROUTE {
                operation.insert("isDefaultRoute".to_owned(), json!(true));
            }
            item.insert(key, Value::Object(operation));
        }
        paths.insert(path.clone(), Value::Object(item));
    }
    Value::Object(paths)
}

fn components(api: &Api, format: ExportFormat, schemes: &security::Schemes, root: &mut Object) {
    let models = api.models.iter();
    let models = models.map(|(name, model)| (name.clone(), schema(model, format))).collect();
    let schemes = schemes.write(api, format);
    match format {
        ExportFormat::Swagger20 => {
            put_object(root, "securityDefinitions", schemes);
            put_object(root, "definitions", models);
        }
        ExportFormat::Oas30 => {
            let mut components = Object::new();
            put_object(&mut components, "schemas", models);
            put_object(&mut components, "securitySchemes", schemes);
            put_object(root, "components", components);
        }
    }
}

fn schema(model: &Model, format: ExportFormat) -> Value {
    let mut schema = model.schema.clone();
    point_into_document(&mut schema, format);
    if let (Value::Object(object), Some(description)) = (&mut schema, &model.description) {
        object.entry("description").or_insert_with(|| json!(description));
    }
    schema
}

/// Where a document of this format has the model.
fn model_pointer(name: &str, format: ExportFormat) -> String {
    match format {
        ExportFormat::Swagger20 => format!("#/definitions/{name}"),
        ExportFormat::Oas30 => format!("#/components/schemas/{name}"),
    }
}

/// Turns model URLs into references within the document.
fn point_into_document(schema: &mut Value, format: ExportFormat) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get_mut("$ref")
                && let Some(name) = referred_model(reference)
            {
                *reference = model_pointer(&name, format);
            }
            for (key, value) in object {
                if !matches!(key.as_str(), "example" | "examples" | "enum" | "default" | "const") {
                    point_into_document(value, format);
                }
            }
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|item| point_into_document(item, format));
        }
        _ => {}
    }
}

/// The extensions at the root.
fn extensions(api: &Api, root: &mut Object) {
    if api.protocol == Protocol::Http {
        root.insert("x-amazon-apigateway-importexport-version".to_owned(), json!("1.0"));
    }
    put(root, "x-amazon-apigateway-cors", api.cors.as_ref());
    if api.api_key_source == ApiKeySource::Authorizer {
        root.insert("x-amazon-apigateway-api-key-source".to_owned(), json!("AUTHORIZER"));
    }
    let types = api.binary_media_types.iter().map(|media_type| json!(media_type)).collect();
    put_list(root, "x-amazon-apigateway-binary-media-types", types);
    let size = api.minimum_compression_size.as_ref();
    put(root, "x-amazon-apigateway-minimum-compression-size", size);
    put(root, "x-amazon-apigateway-policy", api.policy.as_ref());
    put(root, "x-amazon-apigateway-security-policy", api.security_policy.as_ref());
    put(root, "x-amazon-apigateway-endpoint-access-mode", api.endpoint_access_mode.as_ref());
    put_object(root, "x-amazon-apigateway-endpoint-configuration", endpoint(api));
    let validators = api.request_validators.iter().map(|(name, validator)| {
        let validator = json!({
            "validateRequestBody": validator.validate_request_body,
            "validateRequestParameters": validator.validate_request_parameters,
        });
        (name.clone(), validator)
    });
    put_object(root, "x-amazon-apigateway-request-validators", validators.collect());
    let responses = api
        .gateway_responses
        .iter()
        .map(|(kind, response)| (kind.as_str().to_owned(), gateway_response(response)));
    put_object(root, "x-amazon-apigateway-gateway-responses", responses.collect());
    put(root, "x-amazon-apigateway-documentation", api.documentation.as_ref());
    put_list(root, TRANSFORMERS, api.transformers.iter().map(|name| json!(name)).collect());
}

fn endpoint(api: &Api) -> Object {
    let mut endpoint = Object::new();
    let name = match api.endpoint_type {
        EndpointType::Regional => "REGIONAL",
        EndpointType::Edge => "EDGE",
        EndpointType::Private => "PRIVATE",
    };
    if api.endpoint_type != EndpointType::Regional || !api.vpc_endpoint_ids.is_empty() {
        endpoint.insert("types".to_owned(), json!([name]));
    }
    let ids = api.vpc_endpoint_ids.iter().map(|id| json!(id)).collect();
    put_list(&mut endpoint, "vpcEndpointIds", ids);
    if api.disable_execute_api_endpoint {
        endpoint.insert("disableExecuteApiEndpoint".to_owned(), json!(true));
    }
    put(&mut endpoint, "ipAddressType", api.ip_address_type.as_ref());
    endpoint
}

fn gateway_response(response: &GatewayResponse) -> Value {
    let mut written = Object::new();
    put(&mut written, "statusCode", response.status_code.map(|status| status.to_string()));
    put_object(&mut written, "responseParameters", texts(&response.response_parameters));
    put_object(&mut written, "responseTemplates", texts(&response.response_templates));
    Value::Object(written)
}

fn texts<'t>(map: impl IntoIterator<Item = (&'t String, &'t String)>) -> Object {
    map.into_iter().map(|(key, text)| (key.clone(), json!(text))).collect()
}

/// Puts a value that may be absent.
fn put(object: &mut Object, key: &str, value: Option<impl serde::Serialize>) {
    if let Some(value) = value {
        object.insert(key.to_owned(), json!(value));
    }
}

/// Puts a list unless it is empty.
fn put_list(object: &mut Object, key: &str, list: Vec<Value>) {
    if !list.is_empty() {
        object.insert(key.to_owned(), Value::Array(list));
    }
}

/// Puts an object unless it is empty.
fn put_object(object: &mut Object, key: &str, value: Object) {
    if !value.is_empty() {
        object.insert(key.to_owned(), Value::Object(value));
    }
}
