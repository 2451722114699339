//! One operation of a path: a method with its integration.

use std::collections::BTreeMap;

use super::document::Node;
use super::reader::Reader;
use super::root::{TRANSFORMERS, transformers};
use super::security::Schemes;
use super::{ImportError, integration, parameters, responses};
use crate::api::{Api, HttpMethod, Method, Protocol};

const INTEGRATION: &str = "x-amazon-apigateway-integration";
const VALIDATOR: &str = "x-amazon-apigateway-request-validator";

/// Keys that are read.
const KNOWN: [&str; 18] = [
    "operationId",
    "parameters",
    "requestBody",
    "responses",
    "security",
    "consumes",
    "produces",
    "tags",
    "summary",
    "description",
    "externalDocs",
    "deprecated",
    "isDefaultRoute",
    INTEGRATION,
    VALIDATOR,
    "x-amazon-apigateway-auth",
    "schemes",
    TRANSFORMERS,
];
/// Keys that only documentation tools read.
const DOCUMENTATION: [&str; 5] = ["tags", "summary", "description", "externalDocs", "deprecated"];

/// Reads the operation at `node` of the path item `item`.
pub(super) fn read<'d>(
    reader: &mut Reader<'d>,
    schemes: &Schemes,
    path: &str,
    http_method: HttpMethod,
    item: &'d Node<'d>,
    node: &'d Node<'d>,
    api: &mut Api,
) -> Result<Method, ImportError> {
    let keys = reader.as_map(node)?;
    reader.warn_unknown_keys(keys, &KNOWN);
    reader.warn_other_dialect(node, &["consumes", "produces", "schemes"], &["requestBody"]);
    for key in DOCUMENTATION {
        if let Some(text) = node.get(key) {
            reader.warn(text, key, "documentation only; not kept");
        }
    }
    let requirement = schemes.requirement(reader, node)?;
    let mut method = Method {
        operation_name: reader.text(node, "operationId")?,
        authorization: requirement.authorization,
        api_key_required: requirement.api_key_required,
        request_parameters: BTreeMap::new(),
        request_models: BTreeMap::new(),
        request_validator: validator(reader, node, api)?,
        integration: None,
        responses: responses::method_responses(reader, node, &mut api.models)?,
        transformers: transformers(reader, node)?,
    };
    if method.api_key_required && reader.protocol == Protocol::Http {
        reader.warn(node, "API key", "HTTP APIs do not check API keys");
    }
    parameters::read(reader, path, item, node, &mut api.models, &mut method)?;
    method.integration = match node.get(INTEGRATION).filter(|node| !node.is_null()) {
        Some(integration) => Some(integration::read(reader, path, http_method, integration)?),
        None => {
            reader.warn(node, INTEGRATION, "is missing: No integration defined for method");
            None
        }
    };
    Ok(method)
}

/// The request validator by name: the operation's, or else the document's.
fn validator<'d>(
    reader: &mut Reader<'d>,
    operation: &'d Node<'d>,
    api: &Api,
) -> Result<Option<String>, ImportError> {
    let holder = match operation.get(VALIDATOR) {
        Some(_) => operation,
        None => reader.root,
    };
    let Some(name) = reader.text(holder, VALIDATOR)? else { return Ok(None) };
    let node = holder.get(VALIDATOR).unwrap_or(holder);
    if !api.request_validators.contains_key(&name) {
        let names: Vec<_> = api.request_validators.keys().map(String::as_str).collect();
        let message = format!(
            "\"{name}\" is not a request validator of this document; allowed: {}",
            names.join(", ")
        );
        return Err(reader.error(node, message));
    }
    reader.charge_bytes(node, name.len())?;
    Ok(Some(name))
}
