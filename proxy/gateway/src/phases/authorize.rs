//! Who the caller is and whether they may call the method.
//!
//! No authorizer can be asked yet, so every method that names one fails closed: without the
//! credentials it wants, with the answer AWS gives for missing ones; with credentials nobody
//! here can check, as an authorizer that is not configured.

use tollgate_model::api::GatewayResponseType;
use tollgate_model::compile::CompiledAuthorization;

use crate::exchange::Exchange;
use crate::head::{Known, RequestHead};
use crate::refusal::Refusal;

pub fn authorize(head: &RequestHead, exchange: &Exchange) -> Result<(), Refusal> {
    let Some(method) = exchange.method() else { return Ok(()) };
    let (has_credentials, missing) = match &method.authorization {
        CompiledAuthorization::None => return Ok(()),
        CompiledAuthorization::AwsIam => (
            head.known(Known::Authorization).is_some(),
            GatewayResponseType::MissingAuthenticationToken,
        ),
        CompiledAuthorization::Custom { identity_headers, .. }
        | CompiledAuthorization::CognitoUserPools { identity_headers, .. }
        | CompiledAuthorization::Jwt { identity_headers, .. } => (
            identity_headers.iter().all(|name| has_header(head, name)),
            GatewayResponseType::Unauthorized,
        ),
    };
    if !has_credentials {
        return Err(Refusal::of(missing));
    }
    Err(Refusal::caused(
        GatewayResponseType::AuthorizerConfigurationError,
        "the method's authorization is not served: no caller is let through",
    ))
}

fn has_header(head: &RequestHead, name: &str) -> bool {
    head.fields.iter().any(|field| {
        head.name(field).eq_ignore_ascii_case(name.as_bytes()) && !head.value(field).is_empty()
    })
}
