//! A method as an operation.

use serde_json::{Value, json};

use super::security::Schemes;
use super::{
    ExportFormat, Object, TRANSFORMERS, integration, model_pointer, put, put_list, put_object,
};
use crate::api::{Method, MethodResponse};

pub(super) fn write(format: ExportFormat, schemes: &Schemes, method: &Method) -> Object {
    let mut operation = Object::new();
    put(&mut operation, "operationId", method.operation_name.as_ref());
    if format == ExportFormat::Swagger20 {
        let media_types = |types: Vec<&String>| types.into_iter().map(|name| json!(name)).collect();
        put_list(&mut operation, "consumes", media_types(method.request_models.keys().collect()));
        put_list(&mut operation, "produces", media_types(produced(method)));
    }
    put_list(&mut operation, "parameters", parameters(method, format));
    if format == ExportFormat::Oas30 && !method.request_models.is_empty() {
        let content = content(&method.request_models, format);
        operation.insert("requestBody".to_owned(), json!({"content": content, "required": true}));
    }
    let responses: Object = method
        .responses
        .iter()
        .map(|(status, response)| (status.clone(), write_response(status, response, format)))
        .collect();
    operation.insert("responses".to_owned(), Value::Object(responses));
    put_list(&mut operation, "security", schemes.requirement(method));
    let validator = method.request_validator.as_ref();
    put(&mut operation, "x-amazon-apigateway-request-validator", validator);
    let transformers = method.transformers.iter().map(|name| json!(name)).collect();
    put_list(&mut operation, TRANSFORMERS, transformers);
    if let Some(declared) = &method.integration {
        let written = integration::write(declared);
        operation.insert("x-amazon-apigateway-integration".to_owned(), Value::Object(written));
    }
    operation
}

/// The media types of all responses.
fn produced(method: &Method) -> Vec<&String> {
    let mut types: Vec<_> =
        method.responses.values().flat_map(|response| response.models.keys()).collect();
    types.sort();
    types.dedup();
    types
}

fn parameters(method: &Method, format: ExportFormat) -> Vec<Value> {
    let mut parameters = Vec::new();
    for (name, required) in &method.request_parameters {
        let Some((place, name)) =
            name.strip_prefix("method.request.").and_then(|rest| rest.split_once('.'))
        else {
            continue;
        };
        let place = if place == "querystring" { "query" } else { place };
        let mut parameter = Object::from_iter([
            ("name".to_owned(), json!(name)),
            ("in".to_owned(), json!(place)),
            ("required".to_owned(), json!(required)),
        ]);
        put_string_type(&mut parameter, format);
        parameters.push(Value::Object(parameter));
    }
    if format == ExportFormat::Swagger20
        && let Some(model) = method.request_models.values().next()
    {
        let schema = json!({"$ref": model_pointer(model, format)});
        parameters.push(json!({"in": "body", "name": model, "required": true, "schema": schema}));
    }
    parameters
}

fn put_string_type(object: &mut Object, format: ExportFormat) {
    match format {
        ExportFormat::Swagger20 => object.insert("type".to_owned(), json!("string")),
        ExportFormat::Oas30 => object.insert("schema".to_owned(), json!({"type": "string"})),
    };
}

fn write_response(status: &str, response: &MethodResponse, format: ExportFormat) -> Value {
    let mut written =
        Object::from_iter([("description".to_owned(), json!(format!("{status} response")))]);
    let headers = response.parameters.keys().map(|name| {
        let mut header = Object::new();
        put_string_type(&mut header, format);
        let name = name.strip_prefix("method.response.header.").unwrap_or(name);
        (name.to_owned(), Value::Object(header))
    });
    put_object(&mut written, "headers", headers.collect());
    match format {
        ExportFormat::Swagger20 => {
            let model = response.models.values().next();
            let schema = model.map(|model| json!({"$ref": model_pointer(model, format)}));
            put(&mut written, "schema", schema);
        }
        ExportFormat::Oas30 => {
            put_object(&mut written, "content", content(&response.models, format));
        }
    }
    Value::Object(written)
}

fn content<'m>(
    models: impl IntoIterator<Item = (&'m String, &'m String)>,
    format: ExportFormat,
) -> Object {
    let schema = |model: &str| json!({"schema": {"$ref": model_pointer(model, format)}});
    models.into_iter().map(|(media_type, model)| (media_type.clone(), schema(model))).collect()
}
