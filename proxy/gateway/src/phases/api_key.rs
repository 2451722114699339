//! API keys (auth §7): who calls a method that wants one, as far as throttles and quotas are
//! concerned. An API key proves nothing about its sender.
//!
//! The key is the value of `x-api-key`, or what the method's authorizer said (`usageIdentifierKey`)
//! where the API takes it from there. It has to be enabled and in a usage plan that has the stage;
//! without such a key the answer is 403, whatever is wrong with it.

use std::borrow::Cow;

use tollgate_model::api::{ApiKeySource, GatewayResponseType};

use crate::exchange::Exchange;
use crate::execution_log::masked;
use crate::head::RequestHead;
use crate::phases::route::method;
use crate::refusal::Refusal;
use crate::snapshot::StageRuntime;
use crate::usage::{ApiKeyPlace, BadKey};

const HEADER: &[u8] = b"x-api-key";

/// Finds the request's key, and leaves it in [`Exchange::api_key`]. A method that wants none has
/// none, whatever the request brings.
pub fn check(head: &RequestHead, exchange: &mut Exchange) -> Result<(), Refusal> {
    let is_required = exchange.method().is_some_and(|method| method.api_key_required);
    if !is_required && exchange.execution_log.is_none() {
        return Ok(());
    }
    let Some(stage) = exchange.stage.clone() else { return Ok(()) };
    if exchange.execution_log.is_some() {
        log_start(head, exchange, &stage, is_required);
    }
    if !is_required {
        return Ok(());
    }
    let found = match presented(head, exchange, &stage) {
        Some(value) => stage.limits.find_key(value).map_err(BadKey::reason),
        None => Err("the request has no API key"),
    };
    match found {
        Ok(place) => {
            exchange.api_key = Some(place);
            log_success(exchange, &stage, place);
            Ok(())
        }
        Err(reason) => Err(Refusal::caused(GatewayResponseType::InvalidApiKey, reason)),
    }
}

/// The value that stands for the key. Of several headers the first counts.
fn presented<'a>(
    head: &'a RequestHead,
    exchange: &'a Exchange,
    stage: &StageRuntime,
) -> Option<&'a [u8]> {
    match stage.compiled.api_key_source {
        ApiKeySource::Header => {
            let is_key = |name: &[u8]| name.eq_ignore_ascii_case(HEADER);
            let field = head.fields.iter().find(|field| is_key(head.name(field)))?;
            Some(head.value(field))
        }
        ApiKeySource::Authorizer => {
            let authorized = exchange.authorized.as_ref()?;
            Some(authorized.usage_identifier_key.as_ref()?.as_bytes())
        }
    }
}

/// AWS's lines, in its order (observability §2.1).
fn log_start(head: &RequestHead, exchange: &mut Exchange, stage: &StageRuntime, is_required: bool) {
    let key = presented(head, exchange, stage).map(String::from_utf8_lossy);
    let key = masked(&key.unwrap_or(Cow::Borrowed("")));
    let request = exchange.ids.request_id().to_owned();
    let place = place(stage);
    exchange.log(|| {
        format!("Verifying Usage Plan for request: {request}. API Key: {key} API Stage: {place}")
    });
    if !is_required {
        let method = String::from_utf8_lossy(method(head)).into_owned();
        let path = exchange.resource_path.clone();
        exchange.log(|| {
            format!(
                "API Key {key} authorized because method '{method} {path}' does not require API \
                 Key. Request will not contribute to throttle or quota limits"
            )
        });
    }
}

fn log_success(exchange: &mut Exchange, stage: &StageRuntime, key: ApiKeyPlace) {
    exchange.log(|| {
        let key = masked(stage.limits.subscribers().value(key).unwrap_or_default());
        format!("Usage Plan check succeeded for API Key {key} and API Stage {}", place(stage))
    });
}

fn place(stage: &StageRuntime) -> String {
    format!("{}/{}", stage.compiled.api_id, stage.compiled.stage_name)
}
