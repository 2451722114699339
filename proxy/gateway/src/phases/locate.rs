//! Host and path to API and stage.

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
        _ => match host.and_then(|host| without_vpc_endpoint(host, &exchange.client.visibility)) {
            Some(host) => snapshot.hosts.locate(Some(&host), &exchange.path),
            None => snapshot.hosts.locate(host, &exchange.path),
        },
    };
    let located = located.ok_or(Refusal::NotLocated)?;
    let stage = located.stage.choose();
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

/// The default endpoint meant by `{api_id}-{vpc_endpoint_id}.execute-api.…`, a private API's name
/// that resolves without private DNS (rest-api §2).
fn without_vpc_endpoint(host: &str, visibility: &Visibility) -> Option<String> {
    let Visibility::Private { vpc_endpoint_id, .. } = visibility else { return None };
    let (label, domain) = host.split_once('.')?;
    let api_id = label.strip_suffix(vpc_endpoint_id.as_str())?.strip_suffix('-')?;
    Some(format!("{api_id}.{domain}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_host_name_may_carry_the_vpc_endpoint_of_its_listener() {
        let private =
            Visibility::Private { vpc_id: "vpc-1".into(), vpc_endpoint_id: "vpce-1".into() };
        let table = [
            ("abc-vpce-1.execute-api.r.x", Some("abc.execute-api.r.x")),
            ("abc-vpce-2.execute-api.r.x", None),
            ("abc.execute-api.r.x", None),
            ("abcvpce-1.execute-api.r.x", None),
        ];
        for (host, expected) in table {
            assert_eq!(without_vpc_endpoint(host, &private).as_deref(), expected, "{host}");
            assert_eq!(without_vpc_endpoint(host, &Visibility::Public), None);
        }
    }
}
