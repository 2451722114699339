//! Models: JSON schemas with names.
//!
//! A reference between schemas becomes the URL form that API Gateway keeps,
//! `https://apigateway.amazonaws.com/restapis/{id}/models/Name`, with the literal `{id}`. A
//! schema written where it is used gets a name made from its content, so the same schema is one
//! model however often it appears.

use indexmap::IndexMap;
use serde_json::Value;

use super::ImportError;
use super::document::Node;
use super::reader::{Dialect, Reader};
use super::root;
use crate::api::{Model, Protocol};

/// What stands before a model's name in a reference.
pub(super) const MODEL_URL: &str = "https://apigateway.amazonaws.com/restapis/{id}/models/";
/// The model that stands for "anything"; API Gateway knows it without a definition.
pub(super) const EMPTY: &str = "Empty";
/// Bytes of all models of an API together.
const MODELS_QUOTA: usize = 400 * 1024;

/// Reads `definitions` or `components.schemas`.
pub(super) fn read_declared(
    reader: &mut Reader<'_>,
    models: &mut IndexMap<String, Model>,
) -> Result<(), ImportError> {
    let Some(schemas) = root::component(reader, "definitions", "schemas")? else { return Ok(()) };
    if reader.protocol == Protocol::Http {
        if let Some((_, first)) = schemas.first() {
            reader.warn(first, "models", "HTTP APIs have no models; schemas are not kept");
        }
        return Ok(());
    }
    for (name, node) in schemas {
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            let message = format!("\"{name}\": API Gateway takes only letters and digits; kept");
            reader.warn(node, "model name", message);
        }
        if node.as_map().is_none() {
            // 3.1 knows `true` and `false` as schemas; draft 4, which models are, does not.
            let message = format!("is {}; a schema is a map", node.what());
            return Err(reader.error(node, message));
        }
        let model = model(reader, node)?;
        models.insert(name.to_string(), model);
    }
    let bytes: usize = schemas.values().map(|node| node.weight(MODELS_QUOTA)).sum();
    if bytes > 2 * MODELS_QUOTA
        && let Some((_, first)) = schemas.first()
    {
        let message = format!("over {MODELS_QUOTA} bytes together, API Gateway's quota; kept");
        reader.warn(first, "models", message);
    }
    Ok(())
}

fn model<'d>(reader: &mut Reader<'d>, node: &'d Node<'d>) -> Result<Model, ImportError> {
    let mut schema = node.to_value();
    rewrite_references(reader, node, &mut schema);
    warn_of_keywords(reader, node, &schema);
    let description = match schema.get("description") {
        Some(Value::String(text)) => Some(text.clone()),
        _ => None,
    };
    Ok(Model { content_type: "application/json".to_owned(), description, schema })
}

/// The name of the model for a schema in a request or response: the one it refers to, or one
/// made for it. `None` when the reference leads out of the document.
pub(super) fn model_name<'d>(
    reader: &mut Reader<'d>,
    schema: &'d Node<'d>,
    models: &mut IndexMap<String, Model>,
) -> Result<Option<String>, ImportError> {
    let Some(reference) = schema.get("$ref").and_then(Node::as_str) else {
        return inline(reader, schema, models).map(Some);
    };
    let Some(name) = known_model(reader, reference) else {
        if reference.starts_with('#') {
            let place = schemas_pointer(reader.dialect);
            let message =
                format!("\"{reference}\" is not a model; allowed: references to {place}…");
            return Err(reader.error(schema, message));
        }
        let message = format!("\"{reference}\" lies elsewhere and is not fetched; no model");
        reader.warn(schema, "external $ref", message);
        return Ok(None);
    };
    if name == EMPTY {
        add_empty(models);
    } else if !models.contains_key(&name) {
        let message = format!("Invalid model identifier specified: {name}");
        return Err(reader.error(schema, message));
    }
    Ok(Some(name))
}

/// Adds the model `Empty`, unless the definition has one of its own.
pub(super) fn add_empty(models: &mut IndexMap<String, Model>) {
    models.entry(EMPTY.to_owned()).or_insert_with(|| Model {
        content_type: "application/json".to_owned(),
        description: None,
        schema: serde_json::json!({
            "$schema": "http://json-schema.org/draft-04/schema#",
            "title": "Empty Schema",
            "type": "object",
        }),
    });
}

fn inline<'d>(
    reader: &mut Reader<'d>,
    schema: &'d Node<'d>,
    models: &mut IndexMap<String, Model>,
) -> Result<String, ImportError> {
    if schema.as_map().is_none() {
        let message = format!("is {}; a schema is a map", schema.what());
        return Err(reader.error(schema, message));
    }
    let model = model(reader, schema)?;
    let mut hash = fnv1a(model.schema.to_string().as_bytes());
    loop {
        let name = format!("MODEL{:06x}", hash & 0xff_ffff);
        match models.get(&name) {
            Some(existing) if existing.schema == model.schema => return Ok(name),
            Some(_) => hash = hash.wrapping_add(1),
            None => {
                models.insert(name.clone(), model);
                return Ok(name);
            }
        }
    }
}

/// A hash that stays the same from release to release, as names must.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Where the schemas of a document are.
fn schemas_pointer(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Swagger20 => "#/definitions/",
        Dialect::OpenApi3 => "#/components/schemas/",
    }
}

/// The model that a reference names, in the document's form or in API Gateway's.
pub(super) fn referred_model(reference: &str) -> Option<String> {
    let name = reference
        .strip_prefix("#/definitions/")
        .or_else(|| reference.strip_prefix("#/components/schemas/"))
        .or_else(|| reference.strip_prefix(MODEL_URL))
        .or_else(|| {
            let (_, rest) = reference
                .strip_prefix("https://apigateway.amazonaws.com/restapis/")?
                .split_once("/models/")?;
            Some(rest)
        })?;
    (!name.is_empty() && !name.contains(['/', '#'])).then(|| name.to_owned())
}

/// As [`referred_model`], and the bare name of a model, which old definitions have.
fn known_model(reader: &Reader<'_>, reference: &str) -> Option<String> {
    referred_model(reference).or_else(|| {
        let is_bare = !reference.contains(['/', '#', ':', '.']);
        (is_bare && !missing(reader, reference)).then(|| reference.to_owned())
    })
}

/// Turns references to other schemas of the document into the form models have.
fn rewrite_references(reader: &mut Reader<'_>, node: &Node<'_>, schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get_mut("$ref") {
                if let Some(name) = known_model(reader, reference) {
                    if missing(reader, &name) {
                        let message = format!("\"{reference}\" is not in this document");
                        reader.warn(node, "$ref", message);
                    }
                    *reference = format!("{MODEL_URL}{name}");
                } else {
                    let message = format!("\"{reference}\" is not a model of this API; kept");
                    reader.warn(node, "external $ref", message);
                }
            }
            for (key, value) in object {
                // Data, not schemas.
                if !matches!(key.as_str(), "example" | "examples" | "enum" | "default" | "const") {
                    rewrite_references(reader, node, value);
                }
            }
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|item| rewrite_references(reader, node, item));
        }
        _ => {}
    }
}

fn missing(reader: &Reader<'_>, name: &str) -> bool {
    let pointer = format!("{}{name}", &schemas_pointer(reader.dialect)[1..]);
    name != EMPTY && reader.lookup(&pointer).is_none()
}

/// Schema keywords that API Gateway treats otherwise than the words say.
fn warn_of_keywords(reader: &mut Reader<'_>, node: &Node<'_>, schema: &Value) {
    let Value::Object(object) = schema else { return };
    for key in ["discriminator", "readOnly", "writeOnly", "xml", "nullable"] {
        if object.contains_key(key) {
            reader.warn(
                node,
                key,
                "not a keyword of models (JSON Schema draft 4); kept as written",
            );
        }
    }
    for key in ["minItems", "maxItems"] {
        if object.contains_key(key) {
            let message = "API Gateway drops this at import; kept, and requests are held to it";
            reader.warn(node, key, message);
        }
    }
    for (key, value) in object {
        match (key.as_str(), value) {
            ("properties" | "patternProperties" | "definitions", Value::Object(schemas)) => {
                schemas.values().for_each(|schema| warn_of_keywords(reader, node, schema));
            }
            ("items" | "additionalProperties" | "not", schema) => {
                warn_of_keywords(reader, node, schema);
            }
            ("allOf" | "anyOf" | "oneOf", Value::Array(schemas)) => {
                schemas.iter().for_each(|schema| warn_of_keywords(reader, node, schema));
            }
            _ => {}
        }
    }
}
