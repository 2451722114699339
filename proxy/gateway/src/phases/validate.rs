//! The request validator (rest-api §1 step 8, §10): first the parameters, when the head is there,
//! then the body, when that is.

use tollgate_model::api::GatewayResponseType;
use tollgate_model::compile::{CompiledMethod, ValidationFailure};

use super::route::with_path_parameters;
use crate::exchange::{Exchange, ExchangeView};
use crate::head::{Known, RequestHead};
use crate::refusal::Refusal;

/// Whether the body has to be there before the integration is called.
pub fn reads_body(head: &RequestHead, method: &CompiledMethod) -> bool {
    let content_type = head.known(Known::ContentType);
    method.validator.as_ref().is_some_and(|validator| validator.needs_body_of(content_type))
}

pub fn parameters(head: &RequestHead, exchange: &mut Exchange) -> Result<(), Refusal> {
    let Some(validator) = exchange.method().and_then(|method| method.validator.as_ref()) else {
        return Ok(());
    };
    let valid = with_path_parameters(head, exchange, |path_parameters| {
        validator.validate_parameters(&ExchangeView { exchange, head, path_parameters, body: &[] })
    });
    valid.map_err(|failure| refuse(exchange, failure))
}

/// `body` is what the client meant to send, without its content coding.
pub fn body(
    head: &RequestHead,
    exchange: &mut Exchange,
    method: &CompiledMethod,
    body: &[u8],
) -> Result<(), Refusal> {
    let Some(validator) = &method.validator else { return Ok(()) };
    let valid = validator.validate_body(head.known(Known::ContentType), body);
    valid.map_err(|failure| refuse(exchange, failure))
}

fn refuse(exchange: &mut Exchange, failure: ValidationFailure) -> Refusal {
    let cause = failure.to_string();
    match failure {
        ValidationFailure::Parameters { message } => {
            exchange.validation_error = Some(message.clone());
            Refusal::saying(GatewayResponseType::BadRequestParameters, message)
        }
        ValidationFailure::Body { detail, .. } => {
            exchange.validation_error = Some(detail);
            Refusal::caused(GatewayResponseType::BadRequestBody, cause)
        }
        ValidationFailure::Unexpected { .. } => {
            Refusal::caused(GatewayResponseType::ApiConfigurationError, cause)
        }
    }
}
