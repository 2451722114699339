//! IAM policies evaluated for a request: the API's own (auth §3) and those that authorizers
//! return (auth §4).

use std::time::UNIX_EPOCH;

use tollgate_auth::{ConditionKeys, Evaluation, Policy, Principal, Request};

use super::route::method;
use crate::config::Visibility;
use crate::exchange::Exchange;
use crate::head::{Known, RequestHead};
use crate::method_arn::MethodArn;

/// What the policy says of the method that was routed. Nobody who calls it has credentials of AWS.
pub fn evaluate(policy: &Policy, head: &RequestHead, exchange: &Exchange) -> Evaluation {
    let Some(stage) = &exchange.stage else { return Evaluation::ImplicitDeny };
    let arn = MethodArn::new(&stage.compiled, method(head), &exchange.resource_path);
    arn.with_text(|resource| {
        policy.evaluate(&Request {
            action: "execute-api:Invoke",
            resource,
            principal: Principal::Anonymous,
            time: UNIX_EPOCH + exchange.started_at,
            keys: &Keys { head, exchange },
        })
    })
}

/// The condition keys of a request (auth §3.2). The time is the evaluation's own.
struct Keys<'a> {
    head: &'a RequestHead,
    exchange: &'a Exchange,
}

impl ConditionKeys for Keys<'_> {
    fn each_value(&self, key: &str, f: &mut dyn FnMut(&str)) {
        let client = &self.exchange.client;
        let private = match &client.visibility {
            Visibility::Private { vpc_id, vpc_endpoint_id } => Some((vpc_id, vpc_endpoint_id)),
            Visibility::Public => None,
        };
        match key {
            "aws:sourceip" => f(&client.source_ip),
            "aws:securetransport" => f(if client.tls.is_some() { "true" } else { "false" }),
            "aws:useragent" => {
                let agent = self.head.known(Known::UserAgent);
                agent.into_iter().for_each(|agent| f(&String::from_utf8_lossy(agent)));
            }
            "aws:referer" => {
                let is_referer = |name: &[u8]| name.eq_ignore_ascii_case(b"referer");
                let mut fields = self.head.fields.iter();
                let field = fields.find(|field| is_referer(self.head.name(field)));
                let value = field.map(|field| String::from_utf8_lossy(self.head.value(field)));
                value.into_iter().for_each(|value| f(&value));
            }
            "aws:vpcsourceip" if private.is_some() => f(&client.source_ip),
            "aws:sourcevpc" => private.into_iter().for_each(|(vpc, _)| f(vpc)),
            "aws:sourcevpce" => private.into_iter().for_each(|(_, endpoint)| f(endpoint)),
            _ => {}
        }
    }
}
