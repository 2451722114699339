//! The API's resource policy (auth §3).
//!
//! | Method's authorization | The policy's explicit deny | its silence |
//! |---|---|---|
//! | none | refuses | refuses |
//! | Lambda authorizer | refuses, before it is asked | the authorizer's policy has to allow |
//! | any other | refuses | refused by [`super::authorize`], which serves none of them |

use tollgate_auth::Evaluation;
use tollgate_model::api::GatewayResponseType;
use tollgate_model::compile::{CompiledAuthorization, CompiledPolicy};

use super::policy;
use super::route::method;
use crate::exchange::Exchange;
use crate::head::RequestHead;
use crate::method_arn::MethodArn;
use crate::refusal::Refusal;

/// Evaluates the policy; what it says is left in [`Exchange::resource_policy`].
pub fn check(head: &RequestHead, exchange: &mut Exchange) -> Result<(), Refusal> {
    let Some(stage) = &exchange.stage else { return Ok(()) };
    exchange.resource_policy = match &stage.compiled.resource_policy {
        // A private API without a policy denies all on AWS. Here the listener already says
        // which VPC endpoint it stands for, and a definition without a policy is common.
        CompiledPolicy::Absent => return Ok(()),
        CompiledPolicy::AllowAll => Evaluation::Allow,
        CompiledPolicy::Evaluated(policy) => policy::evaluate(policy, head, exchange),
    };
    let is_open =
        exchange.method().is_none_or(|method| method.authorization == CompiledAuthorization::None);
    match exchange.resource_policy {
        Evaluation::ExplicitDeny => Err(refuse(head, exchange, " with an explicit deny")),
        Evaluation::ImplicitDeny if is_open => Err(refuse(head, exchange, "")),
        Evaluation::ImplicitDeny | Evaluation::Allow => Ok(()),
    }
}

fn refuse(head: &RequestHead, exchange: &Exchange, how: &str) -> Refusal {
    let arn = exchange.stage.as_ref().map(|stage| {
        MethodArn::hiding_account(&stage.compiled, method(head), &exchange.resource_path)
            .to_string()
    });
    Refusal::saying(
        GatewayResponseType::AccessDenied,
        format!(
            "User: anonymous is not authorized to perform: execute-api:Invoke on resource: {}{how}",
            arn.unwrap_or_default()
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::config::Visibility;
    use crate::phases::authorize::test_support::{exchange, head, stage_with};

    const AUTHORIZER: &str = "type: token, authorizerUri: 'plugin:p'";

    /// Checks `GET /pets/1` with these statements.
    fn check_with(
        statements: &str,
        security: &str,
        visibility: Visibility,
    ) -> (Exchange, Result<(), Refusal>) {
        let policy = format!(
            "x-amazon-apigateway-policy: {{Version: '2012-10-17', Statement: [{statements}]}}\n"
        );
        let stage = stage_with(&policy, security, AUTHORIZER, &BTreeMap::new());
        let head = head("GET", "/pets/1", &[("User-Agent", "curl/8"), ("Referer", "https://a/")]);
        let mut exchange = exchange(&head, &stage);
        Arc::get_mut(&mut exchange.client).expect("one client").visibility = visibility;
        let checked = check(&head, &mut exchange);
        (exchange, checked)
    }

    fn statement(effect: &str, resource: &str, condition: &str) -> String {
        format!(
            "{{Effect: {effect}, Principal: '*', Action: 'execute-api:Invoke', \
             Resource: 'execute-api:/{resource}', Condition: {{{condition}}}}}"
        )
    }

    fn message(checked: Result<(), Refusal>) -> Option<String> {
        match checked {
            Ok(()) => None,
            Err(Refusal::Gateway { response_type, message, .. }) => {
                assert_eq!(response_type, GatewayResponseType::AccessDenied);
                message.map(Into::into)
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    const DENIED: &str = "User: anonymous is not authorized to perform: execute-api:Invoke on \
                          resource: arn:aws:execute-api:us-east-1:********3333:a1b2c3d4e5/prod/GET/pets/1";

    #[test]
    fn without_an_authorizer_the_policy_has_to_allow() {
        let explicit = format!("{DENIED} with an explicit deny");
        let allow = statement("Allow", "prod/*", "");
        for (statements, expected) in [
            (allow.clone(), None),
            (statement("Allow", "prod/PUT/*", ""), Some(DENIED)),
            (format!("{allow}, {}", statement("Deny", "*/GET/pets/?", "")), Some(&*explicit)),
        ] {
            let (_, checked) = check_with(&statements, "{}", Visibility::Public);
            assert_eq!(message(checked).as_deref(), expected, "{statements}");
        }
    }

    #[test]
    fn with_an_authorizer_only_an_explicit_deny_refuses_before_it_is_asked() {
        for (effect, resource, evaluation) in [
            ("Allow", "prod/GET/*", Evaluation::Allow),
            ("Allow", "*", Evaluation::Allow),
            ("Allow", "prod/PUT/*", Evaluation::ImplicitDeny),
            ("Deny", "prod/GET/*", Evaluation::ExplicitDeny),
        ] {
            let statements = statement(effect, resource, "");
            let (exchange, checked) = check_with(&statements, "{who: []}", Visibility::Public);
            assert_eq!(exchange.resource_policy, evaluation, "{statements}");
            assert_eq!(checked.is_err(), evaluation == Evaluation::ExplicitDeny, "{statements}");
        }
    }

    #[test]
    fn conditions_read_the_request() {
        for (condition, expected) in [
            ("IpAddress: {'aws:SourceIp': 192.0.2.0/24}", true),
            ("IpAddress: {'aws:SourceIp': 198.51.100.0/24}", false),
            ("Bool: {'aws:SecureTransport': 'true'}", true),
            ("StringLike: {'aws:UserAgent': 'curl/*'}", true),
            ("StringEquals: {'aws:Referer': 'https://a/'}", true),
            ("DateGreaterThan: {'aws:CurrentTime': '2020-01-01T00:00:00Z'}", true),
            ("DateLessThan: {'aws:CurrentTime': '2020-01-01T00:00:00Z'}", false),
            ("Null: {'aws:SourceVpc': 'true', 'aws:SourceVpce': 'true'}", true),
            ("StringEquals: {'aws:SourceVpce': 'vpce-1'}", false),
        ] {
            let statements = statement("Allow", "*", condition);
            let (_, checked) = check_with(&statements, "{}", Visibility::Public);
            assert_eq!(checked.is_ok(), expected, "{condition}");
        }
    }

    #[test]
    fn a_private_listener_is_its_vpc_endpoint() {
        for (condition, expected) in [
            ("StringEquals: {'aws:SourceVpce': 'vpce-1'}", true),
            ("StringEquals: {'aws:SourceVpce': 'vpce-2'}", false),
            ("StringEquals: {'aws:SourceVpc': 'vpc-1'}", true),
            ("IpAddress: {'aws:VpcSourceIp': 192.0.2.1}", true),
        ] {
            let private =
                Visibility::Private { vpc_id: "vpc-1".into(), vpc_endpoint_id: "vpce-1".into() };
            let (_, checked) = check_with(&statement("Allow", "*", condition), "{}", private);
            assert_eq!(checked.is_ok(), expected, "{condition}");
        }
    }
}
