//! UpdateDomainName: what a patch changes.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html#UpdateDomainName-Patch>
//!
//! `/certificateBody`, `/certificatePrivateKey` and `/certificateChain` are ours: AWS's patches
//! exchange a certificate by its name or ARN, which is of no use where it came whole. A new ARN
//! takes the place of a certificate that came so.

use tollgate_model::api::EndpointType;
use tollgate_model::control_plane::DomainName;

use super::certificate::Uploaded;
use super::{
    ROUTING_MODES, SECURITY_POLICIES, UNSERVED, check_access_mode, check_routing_mode,
    check_security_policy, private,
};
use crate::context::Context;
use crate::error::ApiError;
use crate::operations::rest_apis::{endpoint_type_name, parse_endpoint_type};
use crate::patch::{Op, Patch, Patchable};

const PATHS: Patchable = Patchable {
    replace: &[
        "/certificateName",
        "/certificateArn",
        "/certificateBody",
        "/certificatePrivateKey",
        "/certificateChain",
        "/regionalCertificateName",
        "/regionalCertificateArn",
        "/endpointConfiguration/types/*",
        "/endpointConfiguration/ipAddressType",
        "/endpointAccessMode",
        "/routingMode",
        "/securityPolicy",
    ],
    add: &[
        "/certificateName",
        "/certificateArn",
        "/regionalCertificateName",
        "/regionalCertificateArn",
        "/endpointConfiguration/types",
    ],
    remove: &[
        "/certificateName",
        "/certificateArn",
        "/regionalCertificateName",
        "/regionalCertificateArn",
        "/endpointConfiguration/types",
        "/endpointConfiguration/types/*",
    ],
};

pub(super) fn apply(
    context: &Context,
    domain: &mut DomainName,
    patches: &[Patch],
) -> Result<(), ApiError> {
    let mut uploaded = Uploaded::default();
    for patch in patches {
        apply_one(domain, &mut uploaded, patch)?;
    }
    if let Some(certificate) = uploaded.checked(&domain.domain_name)? {
        domain.certificate = Some(certificate);
        domain.certificate_upload_date = Some(context.now());
    }
    Ok(())
}

fn apply_one(
    domain: &mut DomainName,
    uploaded: &mut Uploaded,
    patch: &Patch,
) -> Result<(), ApiError> {
    let segments = patch.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    if let Some((member, reason)) = UNSERVED.iter().find(|(member, _)| *member == segments[0]) {
        return Err(ApiError::unsupported(member, reason));
    }
    PATHS.check(patch)?;
    match segments[..] {
        ["certificateName"] => domain.certificate_name = patch.optional_text(),
        ["certificateArn"] => {
            domain.certificate_arn = patch.optional_text();
            domain.certificate = None;
        }
        ["regionalCertificateName"] => domain.regional_certificate_name = patch.optional_text(),
        ["regionalCertificateArn"] => {
            domain.regional_certificate_arn = patch.optional_text();
            domain.certificate = None;
        }
        ["certificateBody"] => uploaded.body = Some(patch.text()?.to_owned()),
        ["certificatePrivateKey"] => uploaded.private_key = Some(patch.text()?.to_owned()),
        ["certificateChain"] => uploaded.chain = Some(patch.text()?.to_owned()),
        ["endpointConfiguration", "ipAddressType"] => {
            patch
                .one_of(&["ipv4", "dualstack"])?
                .clone_into(&mut domain.endpoint_configuration.ip_address_type);
        }
        ["endpointAccessMode"] => {
            let mode = patch.one_of(&["BASIC", "STRICT"])?;
            check_access_mode(mode)?;
            domain.endpoint_access_mode = Some(mode.to_owned());
        }
        ["routingMode"] => check_routing_mode(patch.one_of(&ROUTING_MODES)?)?,
        ["securityPolicy"] => check_security_policy(patch.one_of(&SECURITY_POLICIES)?)?,
        _ => patch_types(&mut domain.endpoint_configuration.types, &segments, patch)?,
    }
    Ok(())
}

/// `/endpointConfiguration/types/EDGE` is replaced with `REGIONAL`; a second one is added and
/// removed where a domain name moves from one to the other.
fn patch_types(
    types: &mut Vec<EndpointType>,
    segments: &[&str],
    patch: &Patch,
) -> Result<(), ApiError> {
    let named = segments.get(2).copied();
    let parse = |name: &str| match parse_endpoint_type(name) {
        Some(EndpointType::Private) => Err(private()),
        Some(endpoint_type) => Ok(endpoint_type),
        None => Err(ApiError::bad_request(
            "Invalid EndpointTypes specified. Valid options are REGIONAL,EDGE,PRIVATE",
        )),
    };
    match patch.op {
        Op::Remove => {
            let removed = parse(named.map_or_else(|| patch.text(), Ok)?)?;
            types.retain(|known| *known != removed);
            if types.is_empty() {
                return Err(ApiError::bad_request(
                    "REGIONAL Configuration and EDGE Configuration cannot be both DISABLED.",
                ));
            }
        }
        Op::Replace => {
            let old = named.unwrap_or_default();
            // An index stands for the type, too: Terraform sends `/types/0`.
            let at = match old.parse::<usize>() {
                Ok(index) => (index < types.len()).then_some(index),
                Err(_) => types.iter().position(|known| endpoint_type_name(*known) == old),
            };
            let Some(at) = at else { return Err(patch.invalid_path()) };
            let new = parse(patch.text()?)?;
            types[at] = new;
            types.dedup();
        }
        _ => {
            let added = parse(patch.text()?)?;
            if !types.contains(&added) {
                types.push(added);
            }
        }
    }
    Ok(())
}
