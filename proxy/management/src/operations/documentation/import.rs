//! ImportDocumentationParts: the parts of a document's `x-amazon-apigateway-documentation`.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_ImportDocumentationParts.html>

use std::collections::BTreeMap;

use serde_json::Value;
use tollgate_model::control_plane::{DocumentationPart, DocumentationPartLocation, RestApi};
use tollgate_model::openapi;

use super::{check_properties, location, one_of, parts};
use crate::call::{Answer, Call};
use crate::context::Context;
use crate::error::ApiError;
use crate::names::{ID, keys};
use crate::operations::rest_apis::api;
use crate::unit::Unit;

const EXTENSION: &str = "x-amazon-apigateway-documentation";

/// What a document says.
pub(crate) struct Imported {
    pub(crate) parts: Vec<(DocumentationPartLocation, String)>,
    pub(crate) warnings: Vec<String>,
}

pub(super) fn import(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let overwrite = one_of(call, "mode", &["merge", "overwrite"])? == Some("overwrite");
    let fail_on_warnings = call.query_bool("failonwarnings")?;
    let text = std::str::from_utf8(&call.body).map_err(|_| invalid("The body is no UTF-8"))?;
    let documentation =
        openapi::documentation(text).map_err(|error| invalid(&error.to_string()))?;
    let documentation = documentation
        .ok_or_else(|| invalid(&format!("The document has no {EXTENSION} at its root")))?;
    let imported = read(&documentation);
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        if fail_on_warnings && !imported.warnings.is_empty() {
            return Err(ApiError::bad_request(format!(
                "Warnings found during import:\n\t{}",
                imported.warnings.join("\n\t")
            )));
        }
        let ids = put(unit, &api, &imported.parts, overwrite)?;
        let mut answer = serde_json::json!({ "ids": ids });
        if !imported.warnings.is_empty() {
            answer["warnings"] = imported.warnings.clone().into();
        }
        Ok(Answer::Json(answer))
    })
}

fn invalid(detail: &str) -> ApiError {
    ApiError::bad_request(format!("Unable to build importer with provided input. {detail}"))
}

/// The parts that can be taken over, the last one of each location, and what is wrong with the
/// others.
pub(crate) fn read(documentation: &Value) -> Imported {
    let mut parts = BTreeMap::new();
    let mut warnings = Vec::new();
    let declared = documentation.get("documentationParts");
    if !declared.is_none_or(Value::is_array) {
        warnings.push(format!("Invalid format for '{EXTENSION}': documentationParts is no list"));
    }
    let declared = declared.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for (index, part) in declared.iter().enumerate() {
        match read_part(part) {
            Ok((location, properties)) => {
                if let Some((earlier, _)) = parts.insert(location, (index, properties)) {
                    warnings.push(format!(
                        "Documentation parts {earlier} and {index} have the same location: the last one counts"
                    ));
                }
            }
            Err(problem) => {
                warnings.push(format!("Documentation part {index} is ignored: {problem}"))
            }
        }
    }
    let mut parts: Vec<_> = parts.into_iter().collect();
    parts.sort_by_key(|(_, (index, _))| *index);
    let parts = parts.into_iter().map(|(location, (_, properties))| (location, properties));
    Imported { parts: parts.collect(), warnings }
}

/// The error says what is wrong.
fn read_part(part: &Value) -> Result<(DocumentationPartLocation, String), String> {
    let declared = part.get("location").filter(|location| location.is_object());
    let declared = declared.ok_or("it has no location")?;
    let location: DocumentationPartLocation =
        serde_json::from_value(declared.clone()).map_err(|error| format!("location: {error}"))?;
    if !location::TYPES.contains(&location.part_type.as_str()) {
        return Err(format!("'{}' is not a type of location", location.part_type));
    }
    let location = location::with_defaults(location);
    location::check(&location)?;
    let properties = match part.get("properties") {
        Some(properties @ Value::Object(_)) => properties.to_string(),
        Some(Value::String(text)) if check_properties(text).is_ok() => text.clone(),
        _ => return Err("its properties are no JSON object".to_owned()),
    };
    Ok((location, properties))
}

/// The ids, in the document's order. Merging keeps the id of a part that was there.
fn put(
    unit: &mut Unit,
    api: &RestApi,
    imported: &[(DocumentationPartLocation, String)],
    overwrite: bool,
) -> Result<Vec<String>, ApiError> {
    let mut known = BTreeMap::new();
    for part in parts(unit, api)? {
        if overwrite {
            unit.delete(keys::documentation_part(&api.id, &part.id));
        } else {
            known.insert(part.location, part.id);
        }
    }
    let mut ids = Vec::with_capacity(imported.len());
    for (location, properties) in imported {
        let id = match known.remove(location) {
            Some(id) => id,
            None => unit.new_id(ID, |id| keys::documentation_part(&api.id, id))?,
        };
        let part = DocumentationPart {
            id: id.clone(),
            location: location.clone(),
            properties: properties.clone(),
        };
        unit.put(keys::documentation_part(&api.id, &id), &part);
        ids.push(id);
    }
    Ok(ids)
}
