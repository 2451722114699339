//! MOCK integrations (rest-api §3.1): the request template says the status, an integration
//! response the rest.

use tollgate_model::api::GatewayResponseType;
use tollgate_model::compile::{IntegrationResponses, RequestBody, Selected};
use tollgate_template::{RenderInput, mock_status};

use super::integration_response::{Backend, map};
use crate::exchange::Exchange;
use crate::head::{Known, RequestHead};
use crate::refusal::Refusal;
use crate::respond::LocalResponse;

/// AWS's log line for a template that gives no status.
const NO_STATUS: &str =
    "Unable to parse statusCode. It should be an integer that is defined in the request template.";

pub fn answer(
    head: &RequestHead,
    exchange: &mut Exchange,
    request: &RequestBody,
    responses: &IntegrationResponses,
    body: &[u8],
) -> Result<LocalResponse, Refusal> {
    let status = match request.select(head.known(Known::ContentType)) {
        Selected::Unsupported => {
            return Err(Refusal::of(GatewayResponseType::UnsupportedMediaType));
        }
        Selected::Passthrough => mock_status(&String::from_utf8_lossy(body)),
        Selected::Template(template) => {
            let rendered = template.render(&RenderInput { body }).map_err(|error| {
                Refusal::caused(GatewayResponseType::ApiConfigurationError, error.to_string())
            })?;
            mock_status(&rendered)
        }
    };
    let status = status
        .ok_or_else(|| Refusal::caused(GatewayResponseType::ApiConfigurationError, NO_STATUS))?;
    map(head, exchange, responses, &Backend { status, head: None, body: &[] })
}
