//! Responses: those a method declares, and those the gateway gives by itself.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::document::Node;
use super::models::{self, EMPTY};
use super::reader::{Dialect, Reader, Target};
use super::{ImportError, root};
use crate::api::{GatewayResponse, GatewayResponseType, MethodResponse, Model, Protocol};

/// Reads `responses` of an operation.
pub(super) fn method_responses<'d>(
    reader: &mut Reader<'d>,
    operation: &'d Node<'d>,
    models: &mut IndexMap<String, Model>,
) -> Result<BTreeMap<String, MethodResponse>, ImportError> {
    let mut responses = BTreeMap::new();
    for (code, node) in reader.map(operation, "responses")?.into_iter().flatten() {
        if code.starts_with("x-") {
            reader.warn(node, code.as_ref(), "an extension for another tool; ignored");
            continue;
        }
        if !is_status(code) {
            // HTTP APIs keep no method responses, and exports of AWS's have only this one.
            if reader.protocol == Protocol::Rest {
                let message = "a method response has a status code of three digits; ignored";
                reader.warn(node, format!("response \"{code}\""), message);
            }
            continue;
        }
        match reader.follow(node)? {
            Target::Here(response) => {
                let response = method_response(reader, operation, response, models)?;
                responses.insert(code.to_string(), response);
            }
            Target::Elsewhere(reference) => {
                let message = format!("\"{reference}\" lies elsewhere and is not fetched");
                reader.warn(node, "external $ref", message);
            }
        }
    }
    Ok(responses)
}

fn is_status(code: &str) -> bool {
    matches!(code.as_bytes(), [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9'])
}

fn method_response<'d>(
    reader: &mut Reader<'d>,
    operation: &'d Node<'d>,
    response: &'d Node<'d>,
    models: &mut IndexMap<String, Model>,
) -> Result<MethodResponse, ImportError> {
    let mut read = MethodResponse::default();
    if !response.is_null() {
        reader.as_map(response)?;
        reader.warn_extensions(response, &[]);
    }
    for (name, _) in reader.map(response, "headers")?.into_iter().flatten() {
        read.parameters.insert(format!("method.response.header.{name}"), false);
    }
    if let Some(links) = response.get("links") {
        reader.warn(links, "links", "documentation only; not kept");
    }
    if reader.protocol == Protocol::Http {
        return Ok(read);
    }
    let schemas = match reader.dialect {
        Dialect::Swagger20 => {
            let schema = response.get("schema");
            let types = root::media_types(reader, operation, "produces")?;
            types.into_iter().map(|media_type| (media_type, schema)).collect()
        }
        Dialect::OpenApi3 => content_schemas(reader, response)?,
    };
    for (media_type, schema) in schemas {
        let model = match schema {
            Some(schema) => models::model_name(reader, schema, models)?,
            None => None,
        };
        let model = model.unwrap_or_else(|| {
            models::add_empty(models);
            EMPTY.to_owned()
        });
        read.models.insert(media_type, model);
    }
    Ok(read)
}

/// The schema of each media type; a response without any is JSON without a schema.
fn content_schemas<'d>(
    reader: &Reader<'d>,
    response: &'d Node<'d>,
) -> Result<Vec<(String, Option<&'d Node<'d>>)>, ImportError> {
    Ok(match reader.map(response, "content")? {
        Some(content) if !content.is_empty() => content
            .into_iter()
            .map(|(media_type, node)| (media_type.to_string(), node.get("schema")))
            .collect(),
        _ => vec![("application/json".to_owned(), None)],
    })
}

/// Reads `x-amazon-apigateway-gateway-responses`.
pub(super) fn gateway_responses(
    reader: &mut Reader<'_>,
) -> Result<BTreeMap<GatewayResponseType, GatewayResponse>, ImportError> {
    const KNOWN: [&str; 3] = ["statusCode", "responseParameters", "responseTemplates"];
    let mut responses = BTreeMap::new();
    let map = reader.map(reader.root, "x-amazon-apigateway-gateway-responses")?;
    for (name, node) in map.into_iter().flatten() {
        let found = GatewayResponseType::ALL.iter().find(|(_, known)| known == name);
        let Some((response_type, _)) = found else {
            let names: Vec<_> = GatewayResponseType::ALL.iter().map(|(_, name)| *name).collect();
            let message =
                format!("\"{name}\" is not a gateway response type; allowed: {}", names.join(", "));
            return Err(reader.error(node, message));
        };
        if !node.is_null() {
            let keys = reader.as_map(node)?;
            reader.warn_unknown_keys(keys, &KNOWN);
        }
        let response = GatewayResponse {
            status_code: status_code(reader, node)?,
            response_parameters: reader.text_map(node, KNOWN[1])?,
            response_templates: reader.text_map(node, KNOWN[2])?,
        };
        responses.insert(*response_type, response);
    }
    Ok(responses)
}

/// `statusCode` as text or number.
pub(super) fn status_code<'d>(
    reader: &Reader<'d>,
    node: &'d Node<'d>,
) -> Result<Option<u16>, ImportError> {
    let Some(value) = node.get("statusCode").filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let text = reader.as_text(value)?;
    match text.parse() {
        Ok(status) if is_status(text) => Ok(Some(status)),
        _ => Err(reader.error(
            value,
            format!(
                "Value '{text}' at 'statusCode' failed to satisfy constraint: Member must satisfy \
                 regular expression pattern: [1-5]\\d\\d"
            ),
        )),
    }
}
