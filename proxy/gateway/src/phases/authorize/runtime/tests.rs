use std::sync::Arc;

use super::super::test_plugin::{Allow, Answer, TestHost};
use super::super::test_support::{exchange, head, stage};
use super::*;
use crate::head::Known;

const TOKEN: &str = "type: token, authorizerUri: 'plugin:p'";
const NOT_KEPT: &str = "type: token, authorizerUri: 'plugin:p', authorizerResultTtlInSeconds: 0";

struct Test {
    host: TestHost,
    stage: Arc<StageRuntime>,
}

impl Test {
    fn new(scheme: &str, answer: Answer) -> Self {
        let host = TestHost::answering(&answer);
        let stage = stage("{who: []}", scheme, &host.plugins);
        Self { host, stage }
    }

    fn allowing(scheme: &str, allow: Allow) -> Self {
        Self::new(scheme, Answer::Allow(allow))
    }

    async fn request(
        &self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
    ) -> (RequestHead, Exchange, Result<(), Refusal>) {
        let mut head = head(method, target, fields);
        let mut exchange = exchange(&head, &self.stage);
        let result = match super::super::at_once(&mut head, &mut exchange) {
            Some(result) => result,
            None => super::super::authorize(&mut head, &mut exchange, None).await,
        };
        (head, exchange, result)
    }

    /// The principal of a request with this token.
    async fn principal(&self, token: &str) -> String {
        let fields = [("Authorization", token)];
        let (_, exchange, result) = self.request("GET", "/pets/1", &fields).await;
        result.expect("allowed");
        exchange.authorized.expect("an allow").principal_id.to_string()
    }

    async fn refusal(&self, method: &str, token: &str) -> (Exchange, Refusal) {
        let fields = [("Authorization", token)];
        let (_, exchange, result) = self.request(method, "/pets/1", &fields).await;
        (exchange, result.expect_err("refused"))
    }
}

fn response_type(refusal: &Refusal) -> (GatewayResponseType, Option<&str>) {
    match refusal {
        Refusal::Gateway { response_type, message, .. } => (*response_type, message.as_deref()),
        other => panic!("{other:?}"),
    }
}

fn policy(effect: &str, resource: &str) -> Option<String> {
    Some(format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "{effect}", "Action": "execute-api:Invoke", "Resource": "arn:aws:execute-api:us-east-1:111122223333:a1b2c3d4e5/prod/{resource}"}}}}"#
    ))
}

#[tokio::test]
async fn a_decision_is_kept_for_its_token_and_its_version() {
    let test = Test::allowing(TOKEN, Allow::default());
    assert_eq!(test.principal("a").await, "1");
    assert_eq!(test.principal("a").await, "1");
    assert_eq!(test.principal("b").await, "2");
    assert_eq!(test.principal("a").await, "1");
    test.host.replace(&Answer::Allow(Allow::default()), 'A');
    assert_eq!(test.principal("a").await, "B");
    assert_eq!(test.principal("a").await, "B");
}

#[tokio::test]
async fn decisions_that_are_forgotten_are_asked_for_again() {
    let test = Test::allowing(TOKEN, Allow::default());
    assert_eq!((test.principal("a").await, test.principal("b").await), ("1".into(), "2".into()));
    test.stage.authorizers[0].forget_decisions();
    assert_eq!((test.principal("b").await, test.principal("a").await), ("3".into(), "4".into()));
    assert_eq!(test.principal("a").await, "4");
}

#[tokio::test]
async fn a_decision_lasts_no_longer_than_authorizer_and_plugin_allow() {
    let test = Test::allowing(NOT_KEPT, Allow::default());
    assert_eq!((test.principal("a").await, test.principal("a").await), ("1".into(), "2".into()));
    let test = Test::allowing(TOKEN, Allow { time_to_live: Some(0), ..Allow::default() });
    assert_eq!((test.principal("a").await, test.principal("a").await), ("1".into(), "2".into()));
    let test = Test::allowing(TOKEN, Allow { time_to_live: Some(9_999), ..Allow::default() });
    assert_eq!((test.principal("a").await, test.principal("a").await), ("1".into(), "1".into()));
}

#[tokio::test]
async fn a_kept_decision_is_for_all_methods_that_its_policy_allows() {
    let allow = Allow { policy: policy("Allow", "GET/*"), ..Allow::default() };
    let test = Test::allowing(TOKEN, allow);
    assert_eq!(test.principal("a").await, "1");
    let (exchange, refusal) = test.refusal("PUT", "a").await;
    assert_eq!(response_type(&refusal), (GatewayResponseType::AccessDenied, Some(IMPLICIT_DENY)));
    let authorization = &exchange.authorization;
    assert_eq!(
        (authorization.authorizer_status, authorization.authorize_status, authorization.latency),
        (Some(200), Some(403), Some(Duration::ZERO))
    );
    assert!(exchange.authorized.is_none());

    let deny = Allow { policy: policy("Deny", "*"), ..Allow::default() };
    let (_, refusal) = Test::allowing(TOKEN, deny).refusal("GET", "a").await;
    assert_eq!(response_type(&refusal), (GatewayResponseType::AccessDenied, Some(EXPLICIT_DENY)));
}

#[tokio::test]
async fn the_resource_policy_may_allow_what_the_authorizer_is_silent_about() {
    for (effect, resource, of_api, allowed) in [
        ("Allow", "PUT/*", Evaluation::Allow, true),
        ("Allow", "PUT/*", Evaluation::ImplicitDeny, false),
        ("Deny", "GET/*", Evaluation::Allow, false),
        ("Allow", "GET/*", Evaluation::ImplicitDeny, true),
    ] {
        let allow = Allow { policy: policy(effect, resource), ..Allow::default() };
        let test = Test::allowing(TOKEN, allow);
        let mut head = head("GET", "/pets/1", &[("Authorization", "a")]);
        let mut exchange = exchange(&head, &test.stage);
        exchange.resource_policy = of_api;
        let result = match super::super::at_once(&mut head, &mut exchange) {
            Some(result) => result,
            None => super::super::authorize(&mut head, &mut exchange, None).await,
        };
        assert_eq!(result.is_ok(), allowed, "{effect} {resource} {of_api:?}");
    }
}

#[tokio::test]
async fn a_request_without_identity_is_refused_without_asking() {
    let test = Test::allowing(
        "type: token, authorizerUri: 'plugin:p', identityValidationExpression: '[a-z]'",
        Allow::default(),
    );
    for token in ["", "1", "ab"] {
        let (exchange, refusal) = test.refusal("GET", token).await;
        assert_eq!(response_type(&refusal), (GatewayResponseType::Unauthorized, None), "{token}");
        assert_eq!(exchange.authorization.authorizer_status, None);
    }
    assert_eq!(test.principal("a").await, "1");

    let sources = "type: request, authorizerUri: 'plugin:p', identitySource: \
                   'method.request.header.Authorization,method.request.querystring.q'";
    let test = Test::allowing(sources, Allow::default());
    test.refusal("GET", "a").await;
    let fields = [("Authorization", "a")];
    let (_, exchange, result) = test.request("GET", "/pets/1?q=1", &fields).await;
    result.expect("allowed");
    assert_eq!(&*exchange.authorized.expect("an allow").principal_id, "1");

    // Without caching a REQUEST authorizer is asked all the same.
    let test =
        Test::allowing(&format!("{sources}, authorizerResultTtlInSeconds: 0"), Allow::default());
    assert_eq!(test.principal("a").await, "1");
}

#[tokio::test]
async fn each_other_answer_is_what_aws_makes_of_it() {
    use GatewayResponseType as T;
    let policies = [Some("{".to_owned()), Some("{}".to_owned())];
    let unusable = policies.into_iter().map(|policy| Allow { policy, ..Allow::default() });
    let unusable = unusable.chain([
        Allow { context: vec![("n", f64::NAN)], ..Allow::default() },
        Allow { headers: vec![("x-http-method-override", "DELETE")], ..Allow::default() },
        Allow { headers: vec![("content-length", "7")], ..Allow::default() },
    ]);
    let table = [
        (Answer::Unauthorized, T::Unauthorized, None, 401),
        (Answer::Deny, T::AccessDenied, Some(EXPLICIT_DENY), 403),
        (Answer::Trap, T::AuthorizerFailure, None, 500),
    ];
    let unusable =
        unusable.map(|allow| (Answer::Allow(allow), T::AuthorizerConfigurationError, None, 500));
    for (answer, expected, message, status) in table.into_iter().chain(unusable) {
        let (exchange, refusal) = Test::new(TOKEN, answer).refusal("GET", "a").await;
        assert_eq!(response_type(&refusal), (expected, message));
        assert_eq!(exchange.authorization.authorizer_status, Some(status), "{refusal:?}");
        assert!(exchange.authorization.error.is_some() && exchange.authorized.is_none());
    }
    let (_, refusal) = Test::new(TOKEN, Answer::Reply(418)).refusal("GET", "a").await;
    let Refusal::Plugin(reply) = refusal else { panic!("{refusal:?}") };
    assert_eq!((reply.status, &*reply.body), (418, &b"no"[..]));
}

#[tokio::test]
async fn an_allow_edits_headers_and_fills_the_context_each_time() {
    let test = Test::allowing(
        TOKEN,
        Allow {
            context: vec![("level", 3.0), ("share", 0.5), ("level", 4.0)],
            usage_identifier_key: Some("key-1"),
            headers: vec![("x-user", "u"), ("authorization", "internal")],
            ..Allow::default()
        },
    );
    for _ in 0..2 {
        let fields = [("X-User", "forged"), ("Authorization", "a"), ("x-user", "too")];
        let (head, exchange, result) = test.request("GET", "/pets/1", &fields).await;
        result.expect("allowed");
        let values: Vec<_> = head.fields.iter().map(|field| head.value(field)).collect();
        assert_eq!(values, [&b"u"[..], b"internal"]);
        assert_eq!(head.known(Known::Authorization), Some(&b"internal"[..]));
        let text = |name: &str| {
            let mut value = Vec::new();
            let variable = crate::access_log::ContextVariable::parse(name).expect("a variable");
            let has_value = exchange.write_context(&head, &variable, &mut value);
            has_value.then(|| String::from_utf8(value).expect("text"))
        };
        for (name, expected) in [
            ("authorizer.principalId", Some("1")),
            ("authorizer.level", Some("4")),
            ("authorizer.share", Some("0.5")),
            ("authorizer.other", None),
            ("authorizer.status", Some("200")),
            ("authorizer.latency", Some("0")),
            ("authorizer.error", None),
            ("authorize.status", Some("200")),
            ("authorize.error", None),
            ("authenticate.status", None),
            ("identity.apiKey", Some("key-1")),
        ] {
            if name == "authorizer.latency" {
                assert!(text(name).is_some());
            } else {
                assert_eq!(text(name).as_deref(), expected, "{name}");
            }
        }
        let keys: Vec<_> = exchange.authorized.iter().flat_map(|it| it.keys()).collect();
        assert_eq!(keys, ["principalId", "level", "share"]);
    }
}

#[tokio::test]
async fn without_its_plugin_an_authorizer_lets_nobody_through() {
    let stage = stage("{who: []}", TOKEN, &BTreeMap::new());
    let mut head = head("GET", "/pets/1", &[("Authorization", "a")]);
    let mut exchange = exchange(&head, &stage);
    let refusal = super::super::authorize(&mut head, &mut exchange, None).await;
    let refusal = refusal.expect_err("refused");
    assert_eq!(response_type(&refusal), (GatewayResponseType::AuthorizerConfigurationError, None));
}

#[tokio::test]
async fn an_authorizer_is_not_asked_about_an_arn_that_is_too_long() {
    let test = Test::allowing(TOKEN, Allow::default());
    let fields = [("Authorization", "a")];
    let fixed = "arn:aws:execute-api:us-east-1:111122223333:a1b2c3d4e5/prod/GET/pets/".len();
    let target = |length: usize| format!("/pets/{}", "x".repeat(length - fixed));
    let (_, _, result) = test.request("GET", &target(MAXIMUM_METHOD_ARN), &fields).await;
    result.expect("allowed");
    let (_, exchange, result) = test.request("GET", &target(MAXIMUM_METHOD_ARN + 1), &fields).await;
    let refusal = result.expect_err("refused");
    assert!(matches!(refusal, Refusal::Gateway { status: Some(414), .. }), "{refusal:?}");
    assert_eq!(exchange.authorization.latency, None);
}
