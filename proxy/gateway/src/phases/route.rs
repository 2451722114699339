//! Path and method to resource and method.

use tollgate_model::api::{GatewayResponseType, Protocol};
use tollgate_model::compile::PathParameters;

use crate::exchange::Exchange;
use crate::head::{Known, RequestHead};
use crate::refusal::Refusal;

/// Finds the method; an unknown path or method is `MISSING_AUTHENTICATION_TOKEN` on AWS.
pub fn route(head: &RequestHead, exchange: &mut Exchange) -> Result<(), Refusal> {
    let stage = exchange.stage.as_ref().ok_or(Refusal::NotLocated)?;
    if stage.compiled.protocol == Protocol::Http {
        // Loading an HTTP API warns that it is not served.
        return Err(Refusal::caused(
            GatewayResponseType::ApiConfigurationError,
            "HTTP APIs are not served",
        ));
    }
    let mut parameters = PathParameters::default();
    let found = stage.compiled.router.find(method(head), &exchange.resource_path, &mut parameters);
    match found {
        Some(found) => {
            exchange.route = Some(found);
            Ok(())
        }
        None => Err(Refusal::of(GatewayResponseType::MissingAuthenticationToken)),
    }
}

/// The method that counts: the client may override its own (rest-api §2).
pub fn method(head: &RequestHead) -> &[u8] {
    head.known(Known::XHttpMethodOverride).unwrap_or_else(|| head.method())
}

/// Runs `f` with the path parameters of the exchange's route. They borrow from the router and
/// the path, so they are found again instead of kept across a wait.
pub fn with_path_parameters<T>(
    head: &RequestHead,
    exchange: &Exchange,
    f: impl FnOnce(&PathParameters<'_>) -> T,
) -> T {
    let mut parameters = PathParameters::default();
    if let (Some(stage), Some(_)) = (&exchange.stage, exchange.route) {
        stage.compiled.router.find(method(head), &exchange.resource_path, &mut parameters);
    }
    f(&parameters)
}
