//! What a request must look like: parameters and body.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::document::Node;
use super::models;
use super::reader::{Dialect, Reader, Target};
use super::{ImportError, root};
use crate::api::{Method, Model, Protocol};

/// Keys of a parameter that say something beyond its place and name; API Gateway drops them.
const UNUSED_KEYS: [&str; 6] =
    ["content", "style", "explode", "allowReserved", "collectionFormat", "x-example"];

/// Reads the parameters of an operation, and of its path where the operation has no other of the
/// same name and place.
pub(super) fn read<'d>(
    reader: &mut Reader<'d>,
    path: &str,
    item: &'d Node<'d>,
    operation: &'d Node<'d>,
    models: &mut IndexMap<String, Model>,
    method: &mut Method,
) -> Result<(), ImportError> {
    for holder in [item, operation] {
        let parameters = reader.list(holder, "parameters")?;
        if std::ptr::eq(holder, item)
            && let Some(shared) = item.get("parameters")
        {
            reader.charge(shared, 1)?;
        }
        for node in parameters {
            match reader.follow(node)? {
                Target::Here(parameter) => {
                    one(reader, parameter, operation, models, method)?;
                }
                Target::Elsewhere(reference) => {
                    let message = format!("\"{reference}\" lies elsewhere and is not fetched");
                    reader.warn(node, "external $ref", message);
                }
            }
        }
    }
    if reader.dialect == Dialect::OpenApi3 {
        request_body(reader, operation, models, &mut method.request_models)?;
    }
    if reader.protocol == Protocol::Rest {
        for variable in path_variables(path) {
            let name = format!("method.request.path.{variable}");
            method.request_parameters.entry(name).or_insert(true);
        }
    }
    Ok(())
}

/// The names of the variables in a path.
fn path_variables(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| {
        let variable = segment.strip_prefix('{')?.strip_suffix('}')?;
        Some(variable.strip_suffix('+').unwrap_or(variable))
    })
}

fn one<'d>(
    reader: &mut Reader<'d>,
    parameter: &'d Node<'d>,
    operation: &'d Node<'d>,
    models: &mut IndexMap<String, Model>,
    method: &mut Method,
) -> Result<(), ImportError> {
    const ALLOWED: &str = "allowed: path, query, header, body, formData, cookie";
    reader.as_map(parameter)?;
    reader.warn_extensions(parameter, &[]);
    let place = reader.text(parameter, "in")?.unwrap_or_default();
    let place = match place.as_str() {
        "path" => "path",
        "query" => "querystring",
        "header" => "header",
        "body" if reader.dialect == Dialect::Swagger20 => {
            return body_parameter(reader, parameter, operation, models, method);
        }
        other @ ("cookie" | "formData" | "body") => {
            let message = "API Gateway does not read parameters at this place; ignored";
            reader.warn(parameter, format!("{other} parameter"), message);
            return Ok(());
        }
        other => {
            let message = format!("\"{other}\" is not a place for parameters; {ALLOWED}");
            return Err(reader.error(parameter, message));
        }
    };
    let Some(name) = reader.text(parameter, "name")? else {
        return Err(reader.error(parameter, "has no name"));
    };
    let usable = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '$' | '-');
    if !name.chars().all(usable) {
        let message = format!("\"{name}\": API Gateway takes only letters, digits and . _ $ -");
        reader.warn(parameter, "parameter name", message);
    }
    for key in UNUSED_KEYS {
        if let Some(node) = parameter.get(key) {
            reader.warn(node, key, "API Gateway does not look at this part of a parameter");
        }
    }
    let required = reader.flag(parameter, "required")?.unwrap_or(place == "path");
    method.request_parameters.insert(format!("method.request.{place}.{name}"), required);
    Ok(())
}

/// OpenAPI 2.0: one schema for all media types the operation consumes.
fn body_parameter<'d>(
    reader: &mut Reader<'d>,
    parameter: &'d Node<'d>,
    operation: &'d Node<'d>,
    models: &mut IndexMap<String, Model>,
    method: &mut Method,
) -> Result<(), ImportError> {
    let Some(schema) = parameter.get("schema").filter(|_| reader.protocol == Protocol::Rest) else {
        return Ok(());
    };
    if let Some(model) = models::model_name(reader, schema, models)? {
        for media_type in root::media_types(reader, operation, "consumes")? {
            method.request_models.insert(media_type, model.clone());
        }
    }
    Ok(())
}

/// OpenAPI 3: a schema for each media type.
fn request_body<'d>(
    reader: &mut Reader<'d>,
    operation: &'d Node<'d>,
    models: &mut IndexMap<String, Model>,
    request_models: &mut BTreeMap<String, String>,
) -> Result<(), ImportError> {
    let Some(node) = operation.get("requestBody").filter(|node| !node.is_null()) else {
        return Ok(());
    };
    if reader.protocol == Protocol::Http {
        reader.warn(node, "requestBody", "HTTP APIs do not look at bodies; not kept");
        return Ok(());
    }
    let body = match reader.follow(node)? {
        Target::Here(body) => body,
        Target::Elsewhere(reference) => {
            let message = format!("\"{reference}\" lies elsewhere and is not fetched");
            reader.warn(node, "external $ref", message);
            return Ok(());
        }
    };
    reader.as_map(body)?;
    reader.warn_extensions(body, &[]);
    for (media_type, content) in reader.map(body, "content")?.into_iter().flatten() {
        let Some(schema) = content.get("schema") else { continue };
        if let Some(model) = models::model_name(reader, schema, models)? {
            request_models.insert(media_type.to_string(), model);
        }
    }
    Ok(())
}
