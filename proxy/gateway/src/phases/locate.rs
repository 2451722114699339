//! Host and path to API and stage.

use std::sync::Arc;

use tollgate_model::api::EndpointType;
use tollgate_model::compile::CanonicalPath;
use tollgate_model::compile::hosts::Addressing;

use crate::config::Visibility;
use crate::exchange::{Exchange, without_port};
use crate::head::RequestHead;
use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::snapshot::{Snapshot, StageRuntime};

/// Names the API on a listener whose host names say nothing of it (private APIs).
const API_ID_HEADER: &[u8] = b"x-apigw-api-id";

/// Finds the stage; everything that is not found or may not be seen here answers alike.
pub fn locate(
    snapshot: &Snapshot,
    limits: &Limits,
    head: &RequestHead,
    exchange: &mut Exchange,
) -> Result<(), Refusal> {
    let mut path = std::mem::take(&mut exchange.path);
    let canonical = canonical_path(head, &mut path);
    exchange.path = path;
    canonical?;

    let mut host = [0; 255];
    let host = head.host().and_then(|name| lower_case(without_port(name), &mut host));
    let located = match api_id_header(head) {
        Some(api_id) if exchange.client.visibility != Visibility::Public => {
            snapshot.hosts.locate_api(api_id, &exchange.path)
        }
        _ => snapshot.hosts.locate(host, &exchange.path),
    };
    let located = located.ok_or(Refusal::NotLocated)?;
    let stage: &Arc<StageRuntime> = located.stage;
    if !is_visible(stage, &exchange.client.visibility) {
        return Err(Refusal::NotLocated);
    }
    exchange.resource_path.push_str(located.path);
    if let Addressing::CustomDomain { base_path: Some(base_path), .. } = located.addressing {
        exchange.base_path = Some(base_path.to_owned());
    }
    exchange.stage = Some(stage.clone());
    if stage.compiled.endpoint_type == EndpointType::Private
        && head.bytes.len() > limits.maximum_private_request_headers
    {
        return Err(Refusal::HeadersTooLarge);
    }
    Ok(())
}

/// Writes the canonical path into `path`, whose storage is reused.
fn canonical_path(head: &RequestHead, path: &mut String) -> Result<(), Refusal> {
    let mut built = String::new();
    let canonical = CanonicalPath::parse(head.path(), &mut built).map_err(Refusal::Path)?;
    path.clear();
    path.push_str(canonical.as_str());
    Ok(())
}

fn lower_case<'b>(name: &[u8], buffer: &'b mut [u8; 255]) -> Option<&'b str> {
    let buffer = buffer.get_mut(..name.len())?;
    buffer.copy_from_slice(name);
    buffer.make_ascii_lowercase();
    std::str::from_utf8(buffer).ok()
}

fn api_id_header(head: &RequestHead) -> Option<&str> {
    let field =
        head.fields.iter().find(|field| head.name(field).eq_ignore_ascii_case(API_ID_HEADER))?;
    std::str::from_utf8(head.value(field)).ok()
}

/// A private API is only there on private listeners of its VPC endpoints, and the others only
/// on public ones.
fn is_visible(stage: &StageRuntime, visibility: &Visibility) -> bool {
    let private = stage.compiled.endpoint_type == EndpointType::Private;
    match visibility {
        Visibility::Public => !private,
        Visibility::Private { vpc_endpoint_id, .. } => {
            let allowed = &stage.compiled.vpc_endpoint_ids;
            private && (allowed.is_empty() || allowed.contains(vpc_endpoint_id))
        }
    }
}
