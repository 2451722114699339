//! API keys. None can be issued yet, so a method that requires one refuses, as AWS does for a
//! key that is in no usage plan.

use tollgate_model::api::GatewayResponseType;

use crate::exchange::Exchange;
use crate::refusal::Refusal;

pub fn check(exchange: &Exchange) -> Result<(), Refusal> {
    match exchange.method() {
        Some(method) if method.api_key_required => {
            Err(Refusal::of(GatewayResponseType::InvalidApiKey))
        }
        _ => Ok(()),
    }
}
