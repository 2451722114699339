//! Who the caller is and whether they may call the method.
//!
//! A Lambda authorizer that a plugin stands for is asked through its [`AuthorizerRuntime`], or
//! answers from a decision it gave before. Every other way to authorize isn't served yet, so that
//! its methods fail closed: without the credentials they want, with the answer AWS gives for
//! missing ones; with credentials nobody here can check, as an authorizer that is not configured.

mod authorized;
mod decisions;
mod identity;
mod runtime;
#[cfg(test)]
pub(crate) mod test_plugin;
#[cfg(test)]
pub(crate) mod test_support;

use tollgate_model::api::GatewayResponseType;
use tollgate_model::compile::CompiledAuthorization;

use crate::exchange::Exchange;
use crate::head::{Known, RequestHead};
use crate::refusal::Refusal;

pub use authorized::{Authorization, Authorized, Said};
pub use runtime::AuthorizerRuntime;

/// Whether [`authorize`] wants the request's body.
pub fn needs_body(exchange: &Exchange) -> bool {
    match (&exchange.stage, exchange.method().map(|method| &method.authorization)) {
        (Some(stage), Some(CompiledAuthorization::Plugin(index))) => {
            stage.authorizers[*index].needs_body()
        }
        _ => false,
    }
}

/// Authorizes the request, unless a plugin has to be asked: None. An allow is left in
/// [`Exchange::authorized`], and its edits of headers are made.
pub fn at_once(head: &mut RequestHead, exchange: &mut Exchange) -> Option<Result<(), Refusal>> {
    // Most methods: nothing is cloned for them.
    if exchange.method().is_none_or(|it| it.authorization == CompiledAuthorization::None) {
        return Some(Ok(()));
    }
    let (stage, route) = exchange.stage.clone().zip(exchange.route)?;
    match &stage.method(route.method).authorization {
        CompiledAuthorization::None => Some(Ok(())),
        CompiledAuthorization::Plugin(index) => {
            stage.authorizers[*index].at_once(&stage, head, exchange)
        }
        unserved => Some(Err(refuse_unserved(unserved, head))),
    }
}

/// Asks the plugin, after [`at_once`] knew nothing. Dropped while it waits, the question is given
/// up.
pub async fn authorize(
    head: &mut RequestHead,
    exchange: &mut Exchange,
    body: Option<&[u8]>,
) -> Result<(), Refusal> {
    let Some((stage, route)) = exchange.stage.clone().zip(exchange.route) else { return Ok(()) };
    match &stage.method(route.method).authorization {
        CompiledAuthorization::Plugin(index) => {
            stage.authorizers[*index].authorize(head, exchange, body).await
        }
        CompiledAuthorization::None => Ok(()),
        unserved => Err(refuse_unserved(unserved, head)),
    }
}

fn refuse_unserved(authorization: &CompiledAuthorization, head: &RequestHead) -> Refusal {
    let (has_credentials, missing) = match authorization {
        CompiledAuthorization::Custom { identity_headers, .. }
        | CompiledAuthorization::CognitoUserPools { identity_headers, .. }
        | CompiledAuthorization::Jwt { identity_headers, .. } => (
            identity_headers.iter().all(|name| has_header(head, name)),
            GatewayResponseType::Unauthorized,
        ),
        _ => (
            head.known(Known::Authorization).is_some(),
            GatewayResponseType::MissingAuthenticationToken,
        ),
    };
    if !has_credentials {
        return Refusal::of(missing);
    }
    Refusal::caused(
        GatewayResponseType::AuthorizerConfigurationError,
        "the method's authorization is not served: no caller is let through",
    )
}

fn has_header(head: &RequestHead, name: &str) -> bool {
    head.fields.iter().any(|field| {
        head.name(field).eq_ignore_ascii_case(name.as_bytes()) && !head.value(field).is_empty()
    })
}
