//! Paths into resources: base path, missing parents, and the rules for path segments.

use std::collections::HashMap;

use super::document::{Kind, Node};
use super::reader::{Reader, Target};
use super::security::Schemes;
use super::{BasePathMode, ImportError, operation};
use crate::api::{Api, HttpMethod, Protocol, Resource};

/// Bytes of a resource path. API Gateway's own bound is that of the method's ARN.
pub const MAX_PATH: usize = 1_600;
pub(super) const ANY_METHOD: &str = "x-amazon-apigateway-any-method";
/// The path of an HTTP API's `$default` route.
pub(super) const DEFAULT_ROUTE: &str = "/$default";

/// Keys of a path item that are no methods.
const ITEM_KEYS: [&str; 5] = ["parameters", "$ref", "summary", "description", "servers"];

pub(super) fn read<'d>(
    reader: &mut Reader<'d>,
    schemes: &Schemes,
    api: &mut Api,
) -> Result<(), ImportError> {
    let root = reader.root;
    let prefix = prefix(reader, api.base_path.as_deref());
    let mut siblings = Siblings::default();
    if reader.protocol == Protocol::Rest {
        api.resources.insert("/".to_owned(), Resource::default());
    }
    let Some(paths) = reader.map(root, "paths")? else {
        reader.warn(root, "paths", "there are none; the API has no resources");
        return Ok(());
    };
    for (key, node) in paths {
        if key.starts_with("x-") {
            reader.warn(node, key.as_ref(), "an extension that is not known here; ignored");
            continue;
        }
        let path = resource_path(reader, node, &prefix, key)?;
        add_resources(reader, node, &path, &mut siblings, api)?;
        let item = match reader.follow(node)? {
            Target::Here(item) => item,
            Target::Elsewhere(reference) => {
                let message = format!(
                    "\"{reference}\" lies in another document; only references within this one are allowed"
                );
                return Err(reader.error(node, message));
            }
        };
        path_item(reader, schemes, &path, item, api)?;
    }
    Ok(())
}

/// What stands before every path of the document.
fn prefix(reader: &Reader<'_>, base_path: Option<&str>) -> String {
    let base_path = base_path.unwrap_or_default();
    match reader.options.base_path {
        BasePathMode::Ignore => String::new(),
        BasePathMode::Prepend => base_path.to_owned(),
        BasePathMode::Split => {
            let after_first = base_path.get(1..).and_then(|rest| rest.find('/'));
            after_first.map_or_else(String::new, |at| base_path[at + 1..].to_owned())
        }
    }
}

/// The path of a resource, checked.
fn resource_path(
    reader: &mut Reader<'_>,
    node: &Node<'_>,
    prefix: &str,
    key: &str,
) -> Result<String, ImportError> {
    if key == DEFAULT_ROUTE && reader.protocol == Protocol::Http {
        return Ok(key.to_owned());
    }
    let Some(relative) = key.strip_prefix('/') else {
        return Err(reader.error(node, format!("\"{key}\" is not a path; it must begin with /")));
    };
    let relative = match relative.strip_suffix('/') {
        // To an HTTP API `/pets/` is another route than `/pets`.
        Some(trimmed) if !trimmed.is_empty() && reader.protocol == Protocol::Rest => {
            let message = "resources have none; it is dropped, and requests match with and without";
            reader.warn(node, "trailing slash", message);
            trimmed
        }
        _ => relative,
    };
    let path = match (prefix, relative) {
        ("", "") => "/".to_owned(),
        (prefix, "") => prefix.to_owned(),
        (prefix, relative) => format!("{prefix}/{relative}"),
    };
    if path.len() > MAX_PATH {
        let message = format!("the path has {} bytes; at most {MAX_PATH} are allowed", path.len());
        return Err(reader.error(node, message));
    }
    let mut above: Option<&str> = None;
    let segments = match reader.protocol {
        Protocol::Rest => path.as_str(),
        Protocol::Http => path.strip_suffix('/').unwrap_or(&path),
    };
    for segment in segments.split('/').skip(1).filter(|_| path != "/") {
        if let Some(greedy) = above.filter(|above| above.ends_with("+}")) {
            let message = format!(
                "Cannot create a child of a resource with a greedy path variable: {greedy}"
            );
            return Err(reader.error(node, message));
        }
        check_segment(reader, node, segment)?;
        above = Some(segment);
    }
    Ok(path)
}

/// Checks a path part of a REST API: `pets`, `{id}`, `{proxy+}`.
///
/// # Errors
/// API Gateway's message.
pub fn check_path_part(part: &str) -> Result<(), String> {
    check_part(part, b"")
}

fn check_segment(reader: &Reader<'_>, node: &Node<'_>, segment: &str) -> Result<(), ImportError> {
    let also: &[u8] = match reader.protocol {
        Protocol::Rest => b"",
        // HTTP APIs take what a URL's path may hold.
        Protocol::Http => b"$!'()*@~%;&=",
    };
    check_part(segment, also).map_err(|message| reader.error(node, message))
}

/// `also` may be in it besides what any API allows.
fn check_part(segment: &str, also: &[u8]) -> Result<(), String> {
    if segment.is_empty() {
        return Err("Resource's path part must be specified".to_owned());
    }
    let name = match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(variable) => variable.strip_suffix('+').unwrap_or(variable),
        None => segment,
    };
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || b"_-.,:".contains(&byte) || also.contains(&byte);
    if name.is_empty() || !name.bytes().all(allowed) {
        return Err(format!(
            "Resource's path part only allow a-zA-Z0-9._-:, and curly braces at the beginning and \
             the end and an optional plus sign before the closing brace: {segment}"
        ));
    }
    Ok(())
}

/// The variable children that each parent has: (parent, greedy) → segment.
#[derive(Default)]
struct Siblings(HashMap<(String, bool), String>);

/// Adds a resource and those above it.
fn add_resources(
    reader: &mut Reader<'_>,
    node: &Node<'_>,
    path: &str,
    siblings: &mut Siblings,
    api: &mut Api,
) -> Result<(), ImportError> {
    if reader.protocol == Protocol::Http {
        api.resources.entry(path.to_owned()).or_default();
        return Ok(());
    }
    let ends = path.match_indices('/').map(|(at, _)| at).skip(1).chain([path.len()]);
    let mut parent = "";
    for end in ends.filter(|_| path != "/") {
        let (resource, segment) = (&path[..end], &path[parent.len() + 1..end]);
        if !api.resources.contains_key(resource) {
            reader.charge_bytes(node, 2 * resource.len() + 64)?;
            if segment.starts_with('{') {
                let kind = (parent.to_owned(), segment.ends_with("+}"));
                if let Some(sibling) = siblings.0.insert(kind, segment.to_owned()) {
                    let message = format!(
                        "A sibling ({sibling}) of this resource already has a variable path part \
                         -- only one is allowed"
                    );
                    return Err(reader.error(node, message));
                }
            }
            api.resources.insert(resource.to_owned(), Resource::default());
        }
        parent = resource;
    }
    Ok(())
}

fn path_item<'d>(
    reader: &mut Reader<'d>,
    schemes: &Schemes,
    path: &str,
    item: &'d Node<'d>,
    api: &mut Api,
) -> Result<(), ImportError> {
    if item.is_null() {
        return Ok(());
    }
    for (key, node) in reader.as_map(item)? {
        let Some(method) = http_method(key) else {
            not_a_method(reader, key, node);
            continue;
        };
        if !matches!(node.kind, Kind::Map(_)) {
            let message = format!("is {}; an operation is a map", node.what());
            return Err(reader.error(node, message));
        }
        let read = operation::read(reader, schemes, path, method, item, node, api)?;
        let resource = api.resources.entry(path.to_owned()).or_default();
        if resource.methods.insert(method, read).is_some() {
            let message = format!("{method} {path} is there already");
            return Err(reader.error(node, message));
        }
    }
    Ok(())
}

fn http_method(key: &str) -> Option<HttpMethod> {
    if key == ANY_METHOD {
        return Some(HttpMethod::Any);
    }
    HttpMethod::from_bytes(key.to_ascii_uppercase().as_bytes())
        .filter(|method| *method != HttpMethod::Any)
}

fn not_a_method<'d>(reader: &mut Reader<'d>, key: &str, node: &'d Node<'d>) {
    match key {
        "summary" | "description" => {
            reader.warn(node, key, "documentation only; not kept");
        }
        "servers" => reader.warn(node, key, "servers of a path are not served; ignored"),
        "trace" => reader.warn(node, "trace", "API Gateway has no TRACE methods; ignored"),
        key if ITEM_KEYS.contains(&key) => {}
        key if key.starts_with("x-amazon-apigateway-") => {
            reader.warn(node, key, "not an extension known at this place; ignored");
        }
        key if key.starts_with("x-") => {
            reader.warn(node, key, "an extension for another tool; ignored");
        }
        key => reader.warn(node, key, "not a method API Gateway knows; ignored"),
    }
}
