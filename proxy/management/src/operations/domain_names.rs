//! Custom domain names: CreateDomainName, GetDomainName, GetDomainNames, UpdateDomainName,
//! DeleteDomainName.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_CreateDomainName.html>
//!
//! A certificate comes whole, as PEM, and is served from then on. One that is named by its ARN is
//! in AWS's Certificate Manager, where it can't be fetched from: the name is then served with the
//! certificate that the configuration has for it, and the answer says so in a warning.

mod certificate;
mod patch;

use http::Method;
use serde_json::Value;
use tollgate_model::api::EndpointType;
use tollgate_model::control_plane::{DomainName, DomainNameStatus, RoutingMode, wire};

use crate::call::{Answer, Call};
use crate::context::Context;
use crate::error::ApiError;
use crate::input::Input;
use crate::names::{LONG_ID, keys, new_id};
use crate::operations::rest_apis::{SECURITY_POLICIES, endpoint_configuration, endpoint_type_name};
use crate::operations::tags;
use crate::page;
use crate::patch::patches;
use crate::router::Operation;
use crate::unit::Unit;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "CreateDomainName",
        method: Method::POST,
        uri: "/domainnames",
        status: 201,
        run: create,
    },
    Operation {
        name: "GetDomainNames",
        method: Method::GET,
        uri: "/domainnames",
        status: 200,
        run: list,
    },
    Operation {
        name: "GetDomainName",
        method: Method::GET,
        uri: "/domainnames/{domain_name}",
        status: 200,
        run: get,
    },
    Operation {
        name: "UpdateDomainName",
        method: Method::PATCH,
        uri: "/domainnames/{domain_name}",
        status: 200,
        run: update,
    },
    Operation {
        name: "DeleteDomainName",
        method: Method::DELETE,
        uri: "/domainnames/{domain_name}",
        status: 202,
        run: delete,
    },
];

/// In the service model's order.
const ROUTING_MODES: [&str; 3] =
    ["BASE_PATH_MAPPING_ONLY", "ROUTING_RULE_ONLY", "ROUTING_RULE_THEN_BASE_PATH_MAPPING"];
/// The policy that is served: TLS 1.2 and 1.3.
const TLS_1_2: &str = "TLS_1_2";

fn create(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let input = call.input()?;
    let requested = requested(context, &input)?;
    context.carry_out(|unit| {
        let key = keys::domain_name(&requested.domain_name);
        if unit.get::<DomainName>(&key)?.is_some() {
            return Err(ApiError::bad_request("The domain name you provided already exists."));
        }
        unit.put(key, &requested);
        Ok(answer(&requested))
    })
}

/// What CreateDomainName says.
fn requested(context: &Context, input: &Input) -> Result<DomainName, ApiError> {
    let domain_name = checked_name(context, &input.required_text("domainName")?)?;
    refuse_unserved(input)?;
    let endpoint_configuration = endpoint_configuration(input)?;
    if let Some(policy) = input.one_of("securityPolicy", &SECURITY_POLICIES)? {
        check_security_policy(policy)?;
    }
    let mode = input.one_of("endpointAccessMode", &["BASIC", "STRICT"])?;
    mode.map_or(Ok(()), check_access_mode)?;
    let mode_of_routing = input.one_of("routingMode", &ROUTING_MODES)?;
    mode_of_routing.map_or(Ok(()), check_routing_mode)?;
    let mut domain = DomainName {
        domain_name,
        domain_name_id: None,
        // AWS has it for private domain names.
        domain_name_arn: None,
        certificate_name: input.text("certificateName")?,
        certificate_arn: input.text("certificateArn")?,
        certificate_upload_date: None,
        regional_domain_name: None,
        regional_hosted_zone_id: None,
        regional_certificate_name: input.text("regionalCertificateName")?,
        regional_certificate_arn: input.text("regionalCertificateArn")?,
        distribution_domain_name: None,
        distribution_hosted_zone_id: None,
        endpoint_configuration,
        domain_name_status: DomainNameStatus::Available,
        domain_name_status_message: None,
        security_policy: TLS_1_2.to_owned(),
        endpoint_access_mode: mode.map(str::to_owned),
        tags: tags::given(input)?,
        mutual_tls_authentication: None,
        ownership_verification_certificate_arn: None,
        management_policy: None,
        policy: None,
        routing_mode: RoutingMode::BasePathMappingOnly,
        certificate: None,
    };
    let uploaded = certificate::Uploaded {
        body: input.text("certificateBody")?,
        private_key: input.text("certificatePrivateKey")?,
        chain: input.text("certificateChain")?,
    };
    domain.certificate = uploaded.checked(&domain.domain_name)?;
    complete(context, &mut domain)?;
    Ok(domain)
}

/// What a domain name may have at AWS and nothing here would do.
fn refuse_unserved(input: &Input) -> Result<(), ApiError> {
    for (member, reason) in UNSERVED {
        if input.has(member) {
            return Err(ApiError::unsupported(member, reason));
        }
    }
    let types = match input.structure("endpointConfiguration")? {
        Some(configuration) => configuration.texts("types")?.unwrap_or_default(),
        None => Vec::new(),
    };
    match types.iter().any(|it| it == "PRIVATE") {
        true => Err(private()),
        false => Ok(()),
    }
}

const UNSERVED: [(&str, &str); 4] = [
    (
        "mutualTlsAuthentication",
        "domain names ask clients for no certificates. Leave it out, or check client certificates before Tollgate",
    ),
    (
        "ownershipVerificationCertificateArn",
        "it belongs to mutual TLS, which domain names don't have",
    ),
    ("policy", "it belongs to private domain names. Give the API a resource policy"),
    ("managementPolicy", "it belongs to private domain names"),
];

fn private() -> ApiError {
    ApiError::unsupported(
        "Endpoint type PRIVATE of a domain name",
        "domain names are REGIONAL or EDGE",
    )
}

fn check_security_policy(policy: &str) -> Result<(), ApiError> {
    match policy {
        TLS_1_2 => Ok(()),
        _ => Err(ApiError::unsupported(
            &format!("securityPolicy {policy}"),
            "every listener speaks TLS 1.2 and 1.3, which is TLS_1_2",
        )),
    }
}

fn check_access_mode(mode: &str) -> Result<(), ApiError> {
    match mode {
        "BASIC" => Ok(()),
        _ => Err(ApiError::unsupported(
            &format!("endpointAccessMode {mode}"),
            "clients are not held to the endpoint they came by; use BASIC",
        )),
    }
}

fn check_routing_mode(mode: &str) -> Result<(), ApiError> {
    match mode {
        "BASE_PATH_MAPPING_ONLY" => Ok(()),
        _ => Err(ApiError::unsupported(
            &format!("routingMode {mode}"),
            "it has no routing rules; use BASE_PATH_MAPPING_ONLY",
        )),
    }
}

/// What follows from the endpoint types: a certificate has to be there, and the names that the
/// domain name's DNS record points to.
fn complete(context: &Context, domain: &mut DomainName) -> Result<(), ApiError> {
    let types = &domain.endpoint_configuration.types;
    let has = |endpoint_type| types.contains(&endpoint_type);
    let (regional, edge) = (has(EndpointType::Regional), has(EndpointType::Edge));
    for endpoint_type in types {
        let arn = match endpoint_type {
            EndpointType::Edge => &domain.certificate_arn,
            EndpointType::Regional => &domain.regional_certificate_arn,
            EndpointType::Private => return Err(private()),
        };
        if arn.as_ref().is_none_or(String::is_empty) && domain.certificate.is_none() {
            return Err(ApiError::bad_request(format!(
                "A certificate was not provided for the endpoint type {}.",
                endpoint_type_name(*endpoint_type)
            )));
        }
    }
    // Nothing is behind these names but this gateway: both are like the default endpoints', so
    // that one DNS entry, `*.execute-api.…`, has them all.
    let region = &context.settings.region;
    let suffix = &context.settings.host_suffix;
    let target = || format!("d-{}.execute-api.{region}.{suffix}", new_id(LONG_ID));
    domain.regional_domain_name =
        regional.then(|| domain.regional_domain_name.take().unwrap_or_else(target));
    domain.regional_hosted_zone_id = hosted_zone(region).filter(|_| regional).map(str::to_owned);
    domain.distribution_domain_name =
        edge.then(|| domain.distribution_domain_name.take().unwrap_or_else(target));
    domain.distribution_hosted_zone_id = edge.then(|| DISTRIBUTION_ZONE.to_owned());
    let uploaded = edge || domain.certificate.is_some();
    domain.certificate_upload_date =
        uploaded.then(|| domain.certificate_upload_date.unwrap_or_else(|| context.now()));
    Ok(())
}

/// Of all distributions (<https://docs.aws.amazon.com/apigateway/latest/api/API_DomainName.html>).
const DISTRIBUTION_ZONE: &str = "Z2FDTNDATAQYW2";

/// Route 53's zone of a region's endpoints (<https://docs.aws.amazon.com/general/latest/gr/apigateway.html>).
fn hosted_zone(region: &str) -> Option<&'static str> {
    Some(match region {
        "us-east-1" => "Z1UJRXOUMOOFQ8",
        "us-east-2" => "ZOJJZC49E0EPZ",
        "us-west-1" => "Z2MUQ32089INYE",
        "us-west-2" => "Z2OJLYMUO9EFXC",
        "af-south-1" => "Z2DHW2332DAMTN",
        "ap-east-1" => "Z3FD1VL90ND7K5",
        "ap-south-1" => "Z3VO1THU9YC4UR",
        "ap-northeast-1" => "Z1YSHQZHG15GKL",
        "ap-northeast-2" => "Z20JF4UZKIW1U8",
        "ap-northeast-3" => "Z2YQB5RD63NC85",
        "ap-southeast-1" => "ZL327KTPIQFUL",
        "ap-southeast-2" => "Z2RPCDW04V8134",
        "ca-central-1" => "Z19DQILCV0OWEC",
        "eu-central-1" => "Z1U9ULNL0V5AJ3",
        "eu-north-1" => "Z3UWIKFBOOGXPP",
        "eu-south-1" => "Z3BT4WSQ9TDYZV",
        "eu-south-2" => "Z02499852UI5HEQ5JVWX3",
        "eu-west-1" => "ZLY8HYME6SFDD",
        "eu-west-2" => "ZJ5UAJN8Y3Z2Q",
        "eu-west-3" => "Z3KY65QIEKYHQQ",
        "me-central-1" => "Z08780021BKYYY8U0YHTV",
        "me-south-1" => "Z20ZBPC0SS8806",
        "sa-east-1" => "ZCMLWB8V5SYIT",
        "us-gov-east-1" => "Z3SE9ATJYCRCZJ",
        "us-gov-west-1" => "Z1K6XKP9SAGWDV",
        _ => return None,
    })
}

/// In lower case: `api.example.com`, or `*.example.com` for every name one level below.
fn checked_name(context: &Context, text: &str) -> Result<String, ApiError> {
    let name = text.to_ascii_lowercase();
    let plain = name.strip_prefix("*.").unwrap_or(&name);
    let is_label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if plain.len() > 253 || !plain.contains('.') || !plain.split('.').all(is_label) {
        return Err(ApiError::bad_request(format!(
            "Invalid domain name '{text}'. Must be a name such as api.example.com or *.example.com"
        )));
    }
    let own = format!("execute-api.{}.{}", context.settings.region, context.settings.host_suffix);
    if plain == own || plain.ends_with(&format!(".{own}")) {
        return Err(ApiError::bad_request(format!(
            "Invalid domain name '{text}'. The names under {own} are the default endpoints of APIs"
        )));
    }
    Ok(name)
}

fn list(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    if call.query("resourceOwner").is_some_and(|owner| owner != "SELF") {
        return Err(ApiError::unsupported("resourceOwner OTHER_ACCOUNTS", "there is one account"));
    }
    context.carry_out(|unit| {
        page::list(call, unit, &keys::domain_names(), |_: &DomainName| true, wire)
    })
}

fn get(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| Ok(Answer::Json(wire(&domain(unit, call)?))))
}

fn update(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let patches = patches(call)?;
    context.carry_out(|unit| {
        let mut domain = domain(unit, call)?;
        patch::apply(context, &mut domain, &patches)?;
        complete(context, &mut domain)?;
        unit.put(keys::domain_name(&domain.domain_name), &domain);
        Ok(answer(&domain))
    })
}

/// Its mappings go with it.
fn delete(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let domain = domain(unit, call)?;
        unit.delete_with_descendants(keys::domain_name(&domain.domain_name));
        Ok(Answer::Empty)
    })
}

/// The domain name of a call.
pub(super) fn domain(unit: &mut Unit, call: &Call) -> Result<DomainName, ApiError> {
    if call.query("domainNameId").is_some() {
        return Err(ApiError::unsupported(
            "domainNameId",
            "it tells private domain names apart, which there are none of",
        ));
    }
    let name = call.part("domain_name").to_ascii_lowercase();
    let found = unit.get(&keys::domain_name(&name))?;
    found.ok_or_else(|| ApiError::not_found("Invalid domain name identifier specified"))
}

fn answer(domain: &DomainName) -> Answer {
    let shown: Value = wire(domain);
    if domain.certificate.is_some() {
        return Answer::Json(shown);
    }
    let warning = format!(
        "The certificate is not fetched by its ARN: {} is served with the certificate that Tollgate's configuration (certificates) has for it",
        domain.domain_name
    );
    Answer::WithWarnings(shown, vec![warning])
}

#[cfg(test)]
mod tests;
