//! `test-invoke-authorizer`: what an authorizer says of a request that nobody sent
//! (<https://docs.aws.amazon.com/apigateway/latest/api/API_TestInvokeAuthorizer.html>).
//!
//! As on AWS, the policy is read and shown but not evaluated: it is for more methods than one.
//! Decisions of live traffic are neither used nor made.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tollgate_model::api::GatewayResponseType;
use tollgate_model::compile::{CompiledStage, Identity, PathParameters};
use tollgate_plugin_host::ContextValue;

use super::{TestInvocation, TestInvocationError, exchange, request_head, stage_runtime};
use crate::core::Core;
use crate::exchange::{Exchange, ExchangeView};
use crate::execution_log::{endpoint_headers_line, java_map, masked};
use crate::head::RequestHead;
use crate::phases::authorize::{Authorized, Said};
use crate::refusal::Refusal;
use crate::respond;
use crate::snapshot::Plugins;

/// The policy that a plugin's allow without one amounts to.
const ALLOW_ALL: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"execute-api:Invoke","Resource":"*"}]}"#;

/// A request to test an authorizer with.
#[derive(Clone, Debug)]
pub struct AuthorizerInvocation<'a> {
    /// Its name in the definition.
    pub authorizer: &'a str,
    /// A GET request. Its path need not lead to a method: it counts as the root's then.
    pub request: TestInvocation<'a>,
    /// Values of `$context` by name, `identity.sourceIp`, in place of the test's own.
    pub context: BTreeMap<String, String>,
}

/// What the authorizer said, and the execution log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizerInvocationResult {
    /// What the client would have got: 200 if the authorizer allowed anything.
    pub status: u16,
    pub allowed: Option<AllowedInvocation>,
    pub log: String,
    /// From the request's start to the decision.
    pub latency: Duration,
}

/// An allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedInvocation {
    pub principal_id: String,
    /// JSON.
    pub policy: String,
    /// What backends and templates see of it. Values are text, as they are there.
    pub context: BTreeMap<String, String>,
}

/// Asks the authorizer. Dropped while it waits, the question is given up.
pub(crate) async fn test_invoke_authorizer(
    core: &Core,
    stage: CompiledStage,
    plugins: &Plugins,
    invocation: AuthorizerInvocation<'_>,
) -> Result<AuthorizerInvocationResult, TestInvocationError> {
    let maximum = core.limits.maximum_payload;
    if invocation.request.body.len() as u64 > maximum {
        return Err(TestInvocationError::BodyTooLarge(maximum));
    }
    let started = Instant::now();
    let AuthorizerInvocation { authorizer, request, context } = invocation;
    let (mut head, mut exchange) = begin(core, stage, plugins, request, context)?;
    let id = exchange.ids.request_id().to_owned();
    exchange.log(|| format!("Starting authorizer: {authorizer} for request: {id}"));
    let asked = ask(authorizer, &mut head, &mut exchange, request.body).await;
    let (status, allowed) = match asked {
        Ok(allowed) => {
            let principal = masked(&allowed.principal_id);
            exchange.log(|| format!("Using valid authorizer policy for principal: {principal}"));
            exchange.log(|| "Successfully completed authorizer execution".to_owned());
            (200, Some(allowed))
        }
        Err(refusal) => {
            log_refusal(&mut exchange, &refusal);
            (respond::refusal(&head, &mut exchange, refusal).status, None)
        }
    };
    let log = exchange.execution_log.take().unwrap_or_default().to_text(&id);
    Ok(AuthorizerInvocationResult { status, allowed, log, latency: started.elapsed() })
}

fn begin(
    core: &Core,
    compiled: CompiledStage,
    plugins: &Plugins,
    request: TestInvocation<'_>,
    context: BTreeMap<String, String>,
) -> Result<(RequestHead, Exchange), TestInvocationError> {
    let head = request_head("GET", request)?;
    let resource_path = super::resource_path(&head)?;
    let route = super::find(&compiled, &head, &resource_path)
        .or_else(|| super::find(&compiled, &head, "/"))
        .ok_or(TestInvocationError::OtherMethod)?;
    let stage = stage_runtime(core, compiled, plugins);
    Ok((head, exchange(stage, route, resource_path, context)))
}

async fn ask(
    authorizer: &str,
    head: &mut RequestHead,
    exchange: &mut Exchange,
    body: &[u8],
) -> Result<AllowedInvocation, Refusal> {
    let stage = exchange.stage.clone().ok_or(Refusal::NotLocated)?;
    let served = &stage.compiled.authorizers;
    let Some(index) = served.iter().position(|it| it.name == authorizer) else {
        return Err(Refusal::caused(
            GatewayResponseType::AuthorizerConfigurationError,
            "no plugin stands for this authorizer, and functions are not called: give it the URI plugin:NAME",
        ));
    };
    let runtime = &stage.authorizers[index];
    let identity = runtime.identity(head, exchange);
    if !identity.is_empty() {
        let identity = incoming(&served[index].identity, &identity);
        exchange.log(|| format!("Incoming identity: {identity}"));
    }
    if let Some(Err(refusal)) = runtime.at_once(&stage, head, exchange) {
        return Err(refusal);
    }
    let body = runtime.needs_body().then_some(body);
    log_question(&served[index].plugin, head, exchange, body.unwrap_or_default());
    let mut policy = None;
    let said = |said: &Said, exchange: &mut Exchange| {
        policy.clone_from(&said.policy);
        exchange.log(|| format!("Authorizer result body before parsing: {}", output(said)));
    };
    let authorized = runtime.try_out(head, exchange, body, said).await?;
    Ok(AllowedInvocation {
        principal_id: authorized.principal_id.to_string(),
        policy: policy.unwrap_or_else(|| ALLOW_ALL.to_owned()),
        context: properties(&authorized),
    })
}

/// What says who the caller is, masked: a token, or all sources of a REQUEST authorizer.
fn incoming(identity: &Identity, values: &[(String, String)]) -> String {
    match (identity, values) {
        (Identity::Token { .. }, [(_, token)]) => masked(token),
        _ => {
            let values = values.iter().map(|(name, value)| (name.into(), masked(value).into()));
            java_map(values)
        }
    }
}

fn log_question(plugin: &str, head: &RequestHead, exchange: &mut Exchange, body: &[u8]) {
    let view = ExchangeView { exchange, head, path_parameters: &PathParameters::default(), body };
    let headers = java_map(view.visible_headers());
    exchange.log(|| format!("Endpoint request URI: plugin:{plugin}"));
    exchange.log(|| endpoint_headers_line(headers));
    let body = String::from_utf8_lossy(body);
    exchange.log(|| format!("Endpoint request body after transformations: {body}"));
}

/// A plugin's allow as a function would have written it. The API key is masked.
fn output(said: &Said) -> Value {
    let policy = said.policy.as_deref().unwrap_or(ALLOW_ALL);
    let policy = serde_json::from_str(policy).unwrap_or_else(|_| Value::from(policy));
    let context = said.context.iter().map(|(key, value)| {
        let value = match value {
            ContextValue::Text(text) => Value::from(text.as_str()),
            ContextValue::Number(number) => Value::from(*number),
            ContextValue::Boolean(boolean) => Value::from(*boolean),
        };
        (key.clone(), value)
    });
    let mut output = json!({
        "principalId": said.principal_id,
        "policyDocument": policy,
        "context": context.collect::<serde_json::Map<_, _>>(),
    });
    if let Some(key) = &said.usage_identifier_key {
        output["usageIdentifierKey"] = Value::from(masked(key));
    }
    output
}

fn properties(authorized: &Authorized) -> BTreeMap<String, String> {
    let keys = authorized.keys().filter(|key| *key != "principalId");
    let value = |key: &str| Some((key.to_owned(), authorized.property(key)?.to_owned()));
    keys.filter_map(value).collect()
}

fn log_refusal(exchange: &mut Exchange, refusal: &Refusal) {
    use GatewayResponseType as Type;
    let Some(response_type) = refusal.response_type() else {
        let line = match refusal {
            Refusal::Plugin(_) => "The client is not authorized to perform this operation.".into(),
            refusal => refusal.log_message(),
        };
        return exchange.log(|| line.into_owned());
    };
    match response_type {
        Type::Unauthorized => {
            let id = exchange.ids.request_id().to_owned();
            exchange.log(|| format!("Unauthorized request: {id}"));
        }
        Type::AccessDenied => {
            exchange.log(|| "The client is not authorized to perform this operation.".to_owned())
        }
        _ => {
            let cause = refusal.log_message();
            exchange.log(|| format!("Execution failed due to configuration error: {cause}"));
            let stage = exchange.stage.clone();
            let built_in =
                stage.map(|stage| stage.compiled.gateway_responses.built_in(response_type));
            if let Some(error_type) = built_in.and_then(|it| it.error_type) {
                exchange.log(|| error_type.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests;
