//! Locations: the entities that documentation parts are of.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_DocumentationPartLocation.html>

use std::collections::BTreeSet;

use tollgate_model::api::HttpMethod;
use tollgate_model::control_plane::DocumentationPartLocation;

use crate::error::ApiError;
use crate::input::Input;

/// In the order of AWS's text.
pub(super) const TYPES: [&str; 12] = [
    "RESPONSE_BODY",
    "RESPONSE",
    "METHOD",
    "MODEL",
    "AUTHORIZER",
    "RESPONSE_HEADER",
    "RESOURCE",
    "PATH_PARAMETER",
    "REQUEST_BODY",
    "QUERY_PARAMETER",
    "API",
    "REQUEST_HEADER",
];

/// Any method or status code.
const ANY: &str = "*";
/// As the service model has it.
const STATUS_CODE: &str = r"^([1-5]\d\d|\*|\s*)$";

/// Which fields a type of entity has.
struct Fields {
    path: bool,
    method: bool,
    status_code: bool,
    name: Name,
}

#[derive(PartialEq)]
enum Name {
    None,
    /// The service model says required; the developer guide's own example has none.
    Optional,
    Required,
}

fn fields(part_type: &str) -> Fields {
    let (path, method, status_code, name) = match part_type {
        "AUTHORIZER" | "MODEL" => (false, false, false, Name::Required),
        "RESOURCE" => (true, false, false, Name::None),
        "METHOD" => (true, true, false, Name::None),
        "PATH_PARAMETER" | "QUERY_PARAMETER" | "REQUEST_HEADER" => {
            (true, true, false, Name::Required)
        }
        "REQUEST_BODY" => (true, true, false, Name::Optional),
        "RESPONSE" | "RESPONSE_BODY" => (true, true, true, Name::None),
        "RESPONSE_HEADER" => (true, true, true, Name::Required),
        _ => (false, false, false, Name::None),
    };
    Fields { path, method, status_code, name }
}

/// A `location` of an input. Fields that its type has and that aren't given are the root resource,
/// any method and any status code.
pub(super) fn read(input: &Input) -> Result<DocumentationPartLocation, ApiError> {
    let Some(part_type) = input.one_of("type", &TYPES)? else { return Err(input.missing("type")) };
    let status_code = input.text("statusCode")?;
    if let Some(text) = status_code.as_deref().filter(|text| !is_status_code(text)) {
        return Err(ApiError::validation(&[format!(
            "Value '{text}' at 'createDocumentationPartInput.location.statusCode' failed to satisfy constraint: Member must satisfy regular expression pattern: {STATUS_CODE}"
        )]));
    }
    Ok(with_defaults(DocumentationPartLocation {
        part_type: part_type.to_owned(),
        path: input.text("path")?,
        method: input.text("method")?,
        status_code,
        name: input.text("name")?,
    }))
}

pub(super) fn with_defaults(location: DocumentationPartLocation) -> DocumentationPartLocation {
    let fields = fields(&location.part_type);
    let given = |field: Option<String>| field.filter(|text| !text.trim().is_empty());
    let or = |field, default: &str, has: bool| given(field).or(has.then(|| default.to_owned()));
    DocumentationPartLocation {
        path: or(location.path, "/", fields.path),
        method: or(location.method, ANY, fields.method),
        status_code: or(location.status_code, ANY, fields.status_code),
        name: given(location.name),
        part_type: location.part_type,
    }
}

/// The error says which field is wrong.
pub(super) fn check(location: &DocumentationPartLocation) -> Result<(), String> {
    let part_type = &location.part_type;
    let fields = fields(part_type);
    for (field, value, allowed) in [
        ("path", &location.path, fields.path),
        ("method", &location.method, fields.method),
        ("statusCode", &location.status_code, fields.status_code),
        ("name", &location.name, fields.name != Name::None),
    ] {
        if value.is_some() && !allowed {
            return Err(format!(
                "Invalid location: '{field}' is not a valid field of type '{part_type}'"
            ));
        }
    }
    if fields.name == Name::Required && location.name.is_none() {
        return Err(format!("Invalid location: 'name' is required for type '{part_type}'"));
    }
    check_values(location)
}

fn check_values(location: &DocumentationPartLocation) -> Result<(), String> {
    let is = |field: &Option<String>, valid: fn(&str) -> bool| field.as_deref().is_none_or(valid);
    if !is(&location.path, |path| path.starts_with('/')) {
        return Err("Invalid location: 'path' must begin with '/'".to_owned());
    }
    if !is(&location.method, is_method) {
        let methods = HttpMethod::ALL.map(HttpMethod::as_str).join(", ");
        return Err(format!("Invalid location: 'method' must be one of: [{methods}, {ANY}]"));
    }
    if !is(&location.status_code, is_status_code) {
        return Err(format!("Invalid location: 'statusCode' must match {STATUS_CODE}"));
    }
    Ok(())
}

fn is_method(text: &str) -> bool {
    text == ANY || HttpMethod::from_bytes(text.as_bytes()).is_some()
}

/// [`STATUS_CODE`]
fn is_status_code(text: &str) -> bool {
    let is_code = matches!(text.as_bytes(), [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9']);
    is_code || text == ANY || text.trim().is_empty()
}

/// `type 'METHOD', path '/pets', method 'GET'`
pub(super) fn described(location: &DocumentationPartLocation) -> String {
    let mut text = format!("type '{}'", location.part_type);
    for (field, value) in [
        ("path", &location.path),
        ("method", &location.method),
        ("statusCode", &location.status_code),
        ("name", &location.name),
    ] {
        if let Some(value) = value {
            text.push_str(&format!(", {field} '{value}'"));
        }
    }
    text
}

/// Whether there is a part of an entity, or a more general one that it inherits from.
pub(super) fn is_documented(
    parts: &BTreeSet<DocumentationPartLocation>,
    entity: &DocumentationPartLocation,
) -> bool {
    if parts.contains(entity) {
        return true;
    }
    let inherits = matches!(
        entity.part_type.as_str(),
        "PATH_PARAMETER"
            | "QUERY_PARAMETER"
            | "REQUEST_HEADER"
            | "RESPONSE"
            | "RESPONSE_HEADER"
            | "RESPONSE_BODY"
    );
    let (Some(path), Some(method)) = (&entity.path, &entity.method) else { return false };
    let any = || entity.status_code.as_ref().map(|_| ANY.to_owned());
    let more_general = |path: &str, method: &str, status_code| DocumentationPartLocation {
        path: Some(path.to_owned()),
        method: Some(method.to_owned()),
        status_code,
        ..entity.clone()
    };
    inherits
        && with_parents(path).any(|path| {
            [method, ANY].iter().any(|method| {
                [entity.status_code.clone(), any()]
                    .into_iter()
                    .any(|status_code| parts.contains(&more_general(path, method, status_code)))
            })
        })
}

/// `/pets/{id}`, `/pets` and `/`.
fn with_parents(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| parent(path))
}

fn parent(path: &str) -> Option<&str> {
    match path.rfind('/')? {
        0 if path.len() == 1 => None,
        0 => Some("/"),
        slash => path.get(..slash),
    }
}
