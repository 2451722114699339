//! An authorizer that a plugin stands for, asked about requests (auth §4).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tollgate_auth::Evaluation;
use tollgate_model::api::GatewayResponseType;
use tollgate_model::compile::{CompiledAuthorizer, Identity};
use tollgate_plugin_host::{
    AuthorizerCall, AuthorizerDecision, ErrorKind, HeaderEdit, Plugin, PluginError, PluginSlot,
};

use super::authorized::{Authorized, Said};
use super::decisions::Decisions;
use super::identity::Sources;
use crate::exchange::Exchange;
use crate::head::RequestHead;
use crate::method_arn::{MAXIMUM_METHOD_ARN, MethodArn};
use crate::phases::policy;
use crate::phases::route::method;
use crate::refusal::Refusal;
use crate::request_info;
use crate::snapshot::StageRuntime;

/// AWS's texts (rest-api §12).
const EXPLICIT_DENY: &str = "User is not authorized to access this resource with an explicit deny in an identity-based \
     policy";
const IMPLICIT_DENY: &str = "User is not authorized to access this resource because no identity-based policy allows the \
     execute-api:Invoke action";

/// One authorizer of one stage.
pub struct AuthorizerRuntime {
    /// None: there is no plugin of the name, so that nobody is let through.
    plugin: Option<PluginSlot>,
    sources: Sources,
    /// Whether a request without identity is refused without asking.
    requires_identity: bool,
    /// None with a time to live of zero.
    decisions: Option<Decisions>,
}

impl AuthorizerRuntime {
    pub fn new(authorizer: &CompiledAuthorizer, plugins: &BTreeMap<String, PluginSlot>) -> Self {
        let keeps_decisions = !authorizer.time_to_live.is_zero();
        Self {
            plugin: plugins.get(&authorizer.plugin).cloned(),
            sources: Sources::new(&authorizer.identity),
            requires_identity: keeps_decisions
                || matches!(authorizer.identity, Identity::Token { .. }),
            decisions: keeps_decisions.then(|| Decisions::new(authorizer.time_to_live)),
        }
    }

    /// Asks the plugin about the next request of every caller. What the plugin is being asked
    /// just now is kept.
    pub fn forget_decisions(&self) {
        if let Some(decisions) = &self.decisions {
            decisions.forget();
        }
    }

    /// Whether the plugin wants the request's body.
    pub fn needs_body(&self) -> bool {
        self.plugin.as_ref().is_some_and(|plugin| plugin.current().settings().body)
    }

    fn plugin(&self, exchange: &mut Exchange) -> Result<Arc<Plugin>, Refusal> {
        self.plugin.as_ref().map(PluginSlot::current).ok_or_else(|| missing(exchange))
    }

    /// Authorizes by a decision that was kept, or refuses what the plugin is not asked about.
    /// None: the plugin has to be asked.
    pub fn at_once(
        &self,
        stage: &StageRuntime,
        head: &mut RequestHead,
        exchange: &mut Exchange,
    ) -> Option<Result<(), Refusal>> {
        let Some(plugin) = self.plugin.as_ref().map(PluginSlot::peek) else {
            return Some(Err(missing(exchange)));
        };
        if MethodArn::is_too_long(&stage.compiled, method(head), &exchange.resource_path) {
            return Some(Err(arn_too_long()));
        }
        let kept = match self.requires_identity {
            true => {
                let Some(key) = self.sources.key(head, exchange) else {
                    return Some(Err(Refusal::of(GatewayResponseType::Unauthorized)));
                };
                let decisions = self.decisions.as_ref();
                decisions.and_then(|decisions| decisions.find(&key, &plugin, exchange.started))
            }
            false => None,
        };
        if let Some(authorized) = kept {
            plugin.count_decision_cache(true);
            exchange.authorization.latency = Some(Duration::ZERO);
            return Some(settle(authorized, head, exchange));
        }
        let is_valid = self.sources.is_valid(head);
        (!is_valid).then(|| Err(Refusal::of(GatewayResponseType::Unauthorized)))
    }

    /// Asks the plugin, after [`Self::at_once`] knew nothing.
    pub async fn authorize(
        &self,
        head: &mut RequestHead,
        exchange: &mut Exchange,
        body: Option<&[u8]>,
    ) -> Result<(), Refusal> {
        let plugin = self.plugin(exchange)?;
        check_size(&plugin, body)?;
        let cache = self
            .decisions
            .as_ref()
            .and_then(|decisions| Some((decisions, self.sources.key(head, exchange)?)));
        if cache.is_some() {
            plugin.count_decision_cache(false);
        }
        let (said, time_to_live) = ask(&plugin, head, exchange, body).await?;
        let authorized = Arc::new(understand(&plugin, said, exchange)?);
        if let Some((decisions, key)) = cache {
            decisions.keep(&key, &plugin, &authorized, time_to_live, Instant::now());
        }
        settle(authorized, head, exchange)
    }

    /// Asks the plugin about a request that nobody sent and [`Self::at_once`] did not refuse.
    /// Nothing is kept, and the request stays as it is. `said` sees the allow before it is read.
    pub async fn try_out(
        &self,
        head: &RequestHead,
        exchange: &mut Exchange,
        body: Option<&[u8]>,
        said: impl FnOnce(&Said, &mut Exchange),
    ) -> Result<Authorized, Refusal> {
        let plugin = self.plugin(exchange)?;
        check_size(&plugin, body)?;
        let (allow, _) = ask(&plugin, head, exchange, body).await?;
        said(&allow, exchange);
        understand(&plugin, allow, exchange)
    }

    /// The identity sources that have a value, each with it.
    pub fn identity(&self, head: &RequestHead, exchange: &Exchange) -> Vec<(String, String)> {
        self.sources.values(head, exchange)
    }
}

fn missing(exchange: &mut Exchange) -> Refusal {
    misconfigured(exchange, "the plugin that stands for it is not there")
}

/// What an allow means for the request.
fn settle(
    authorized: Arc<Authorized>,
    head: &mut RequestHead,
    exchange: &mut Exchange,
) -> Result<(), Refusal> {
    exchange.authorization.authorizer_status = Some(200);
    let evaluation = match &authorized.policy {
        Some(policy) => policy::evaluate(policy, head, exchange),
        None => Evaluation::Allow,
    };
    // Table A of auth §3.1: both are of one account.
    let denied = match evaluation.or(exchange.resource_policy) {
        Evaluation::Allow => None,
        Evaluation::ExplicitDeny => Some(EXPLICIT_DENY),
        Evaluation::ImplicitDeny => Some(IMPLICIT_DENY),
    };
    exchange.authorization.authorize_status = Some(denied.map_or(200, |_| 403));
    if let Some(message) = denied {
        return Err(access_denied(message));
    }
    for edit in &authorized.headers {
        apply(edit, head);
    }
    exchange.authorized = Some(authorized);
    Ok(())
}

fn apply(edit: &HeaderEdit, head: &mut RequestHead) {
    match edit {
        HeaderEdit::Set(name, value) => head.set_field(name.as_bytes(), value.as_bytes()),
        HeaderEdit::Append(name, value) => head.append_field(name.as_bytes(), value.as_bytes()),
        HeaderEdit::Remove(name) => head.remove_field(name.as_bytes()),
    }
}

fn check_size(plugin: &Plugin, body: Option<&[u8]>) -> Result<(), Refusal> {
    match body.is_some_and(|body| body.len() > plugin.settings().limits.body) {
        true => Err(Refusal::body_too_large_for("the authorizer")),
        false => Ok(()),
    }
}

/// Asks the plugin. Gives what it allows, and for how long.
async fn ask(
    plugin: &Arc<Plugin>,
    head: &RequestHead,
    exchange: &mut Exchange,
    body: Option<&[u8]>,
) -> Result<(Said, Option<Duration>), Refusal> {
    let http = request_info::http(head, exchange);
    let started = Instant::now();
    let decision = plugin.authorize(AuthorizerCall { http, body: body.map(<[u8]>::to_vec) }).await;
    exchange.authorization.latency = Some(started.elapsed());
    match decision {
        Err(error) => Err(failed(exchange, &error)),
        Ok(AuthorizerDecision::Unauthorized) => {
            refused(exchange, 401, "Unauthorized");
            Err(Refusal::of(GatewayResponseType::Unauthorized))
        }
        Ok(AuthorizerDecision::Deny(reply)) => {
            refused(exchange, 403, "the authorizer denied the request");
            Err(match reply {
                Some(reply) => Refusal::Plugin(Box::new(reply)),
                None => access_denied(EXPLICIT_DENY),
            })
        }
        Ok(AuthorizerDecision::Allow {
            principal_id,
            policy,
            context,
            usage_identifier_key,
            headers,
            time_to_live,
        }) => {
            let said = Said { principal_id, policy, context, usage_identifier_key, headers };
            Ok((said, time_to_live))
        }
    }
}

fn understand(plugin: &Plugin, said: Said, exchange: &mut Exchange) -> Result<Authorized, Refusal> {
    Authorized::new(said)
        .map_err(|problem| misconfigured(exchange, format!("plugin {}: {problem}", plugin.name())))
}

fn access_denied(message: &'static str) -> Refusal {
    Refusal::saying(GatewayResponseType::AccessDenied, message)
}

fn refused(exchange: &mut Exchange, status: u16, error: impl Into<Cow<'static, str>>) {
    exchange.authorization.authorizer_status = Some(status);
    exchange.authorization.error = Some(error.into());
}

/// Its output can't be used: the author's fault, as on AWS.
fn misconfigured(exchange: &mut Exchange, problem: impl Into<Cow<'static, str>>) -> Refusal {
    let problem = problem.into();
    refused(exchange, 500, problem.clone());
    tracing::debug!(request_id = exchange.ids.request_id(), %problem, "authorizer unusable");
    Refusal::caused(GatewayResponseType::AuthorizerConfigurationError, problem)
}

fn failed(exchange: &mut Exchange, error: &PluginError) -> Refusal {
    if error.kind == ErrorKind::Output {
        return misconfigured(exchange, error.to_string());
    }
    refused(exchange, 500, error.to_string());
    Refusal::caused(GatewayResponseType::AuthorizerFailure, error.to_string())
}

fn arn_too_long() -> Refusal {
    Refusal::Gateway {
        response_type: GatewayResponseType::Default4xx,
        status: Some(414),
        message: Some("Request URI too long".into()),
        cause: Some(format!("the method's ARN is longer than {MAXIMUM_METHOD_ARN} bytes").into()),
    }
}

#[cfg(test)]
mod tests;
