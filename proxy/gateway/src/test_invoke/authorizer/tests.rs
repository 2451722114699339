//! Authorizers asked about requests that nobody sent, by plugins that were published.

use std::collections::BTreeMap;

use tollgate_model::compile::{StageSettings, compile};
use tollgate_model::openapi::{ImportOptions, import};

use super::*;
use crate::config::GatewayConfig;
use crate::phases::authorize::test_plugin::{Allow, Answer, TestHost};
use crate::{Gateway, Update};

const TOKEN: &str =
    "type: token, authorizerUri: 'plugin:p', identityValidationExpression: 'Bearer .*'";
const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"execute-api:Invoke","Resource":"*"}]}"#;

fn stage(authorizer: &str) -> CompiledStage {
    let text = format!(
        "openapi: 3.0.1
info: {{title: t, version: '1'}}
paths:
  /: &it
    get: {{responses: {{}}, security: [{{who: []}}], x-amazon-apigateway-integration: {{type: mock}}}}
  /pets/{{id}}: *it
components:
  securitySchemes:
    who: {{type: apiKey, in: header, name: Authorization, x-amazon-apigateway-authtype: custom, x-amazon-apigateway-authorizer: {{{authorizer}}}}}
"
    );
    let imported = import(&text, &ImportOptions::default()).expect("a definition");
    let settings = StageSettings {
        stage_variables: BTreeMap::from([("tenant".to_owned(), "blue-tenant".to_owned())]),
        ..StageSettings::default()
    };
    compile(&imported.api, &settings).expect("a stage").stage
}

/// A gateway whose plugin `p` answers so.
struct Test {
    gateway: Gateway,
    _host: TestHost,
}

impl Test {
    fn answering(answer: &Answer) -> Self {
        let gateway = Gateway::bind(GatewayConfig::default());
        let (gateway, host) = (gateway.expect("a gateway"), TestHost::answering(answer));
        let update = Update { plugins: Some(host.plugins.clone()), ..Update::default() };
        gateway.update(update).expect("published");
        Self { gateway, _host: host }
    }

    fn invoke(
        &self,
        authorizer: &str,
        path: &str,
        headers: &[(&str, &str)],
        context: BTreeMap<String, String>,
    ) -> Result<AuthorizerInvocationResult, TestInvocationError> {
        let request = TestInvocation { path_with_query_string: path, headers, body: b"" };
        let invocation = AuthorizerInvocation { authorizer: "who", request, context };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let stage = stage(authorizer);
        runtime.expect("a runtime").block_on(self.gateway.test_invoke_authorizer(stage, invocation))
    }

    fn with_token(&self, token: &str) -> AuthorizerInvocationResult {
        let headers = [("Authorization", token)];
        self.invoke(TOKEN, "/", &headers, BTreeMap::new()).expect("a result")
    }
}

/// The log without times and ids.
fn lines(result: &AuthorizerInvocationResult) -> Vec<String> {
    let (first, rest) = result.log.split_once('\n').expect("lines");
    let id = first.strip_prefix("Execution log for request ").expect("an id");
    let text = |line: &str| line.split_once(" : ").map_or(line, |(_, text)| text).to_owned();
    rest.lines().map(|line| text(line).replace(id, "ID")).collect()
}

#[test]
fn an_allow_is_shown_with_its_policy_and_how_it_came_about() {
    let test = Test::answering(&Answer::Allow(Allow {
        policy: Some(POLICY.to_owned()),
        context: vec![("level", 2.0)],
        usage_identifier_key: Some("a-key-of-the-caller"),
        ..Allow::default()
    }));
    let result = test.with_token("Bearer abcdef");
    assert_eq!(result.status, 200);
    let expected = AllowedInvocation {
        principal_id: "1".to_owned(),
        policy: POLICY.to_owned(),
        context: BTreeMap::from([("level".to_owned(), "2".to_owned())]),
    };
    assert_eq!(result.allowed, Some(expected));
    let log = lines(&result);
    assert_eq!(
        log[..5],
        [
            "Starting authorizer: who for request: ID",
            "Incoming identity: *******abcdef",
            "Endpoint request URI: plugin:p",
            "Endpoint request headers: {Authorization=*******abcdef}",
            "Endpoint request body after transformations: ",
        ]
    );
    let said = log[5].strip_prefix("Authorizer result body before parsing: ").expect("the result");
    let said: Value = serde_json::from_str(said).expect("JSON");
    let policy: Value = serde_json::from_str(POLICY).expect("JSON");
    assert_eq!(
        said,
        json!({
            "principalId": "1",
            "policyDocument": policy,
            "context": { "level": 2.0 },
            "usageIdentifierKey": "*************caller",
        })
    );
    assert_eq!(
        log[6..],
        [
            "Using valid authorizer policy for principal: 1",
            "Successfully completed authorizer execution",
        ]
    );
}

#[test]
fn every_test_asks_the_plugin() {
    let test = Test::answering(&Answer::Allow(Allow::default()));
    let principal = |result: AuthorizerInvocationResult| result.allowed.expect("an allow");
    assert_eq!(principal(test.with_token("Bearer a")).principal_id, "1");
    let second = principal(test.with_token("Bearer a"));
    assert_eq!((second.principal_id.as_str(), second.policy.as_str()), ("2", ALLOW_ALL));
}

#[test]
fn who_says_nothing_or_the_wrong_thing_gets_401_and_the_plugin_is_not_asked() {
    let test = Test::answering(&Answer::Trap);
    let result = test.invoke(TOKEN, "/", &[], BTreeMap::new()).expect("a result");
    assert_eq!((result.status, &result.allowed), (401, &None));
    assert_eq!(
        lines(&result),
        ["Starting authorizer: who for request: ID", "Unauthorized request: ID"]
    );
    let result = test.with_token("Basic abc");
    assert_eq!(result.status, 401);
    assert_eq!(lines(&result)[1..], ["Incoming identity: ***ic abc", "Unauthorized request: ID"]);
}

#[test]
fn a_plugin_that_refuses_or_fails_gives_the_clients_status() {
    let denied = "The client is not authorized to perform this operation.";
    let table: [(Answer, u16, &str); 6] = [
        (Answer::Unauthorized, 401, "Unauthorized request: ID"),
        (Answer::Deny, 403, denied),
        (Answer::Reply(418), 418, denied),
        (Answer::Trap, 500, "AuthorizerFailureException"),
        (
            Answer::Allow(Allow { policy: Some("{".to_owned()), ..Allow::default() }),
            500,
            "AuthorizerConfigurationException",
        ),
        (
            Answer::Allow(Allow { context: vec![("a", f64::NAN)], ..Allow::default() }),
            500,
            "AuthorizerConfigurationException",
        ),
    ];
    for (answer, status, last) in table {
        let result = Test::answering(&answer).with_token("Bearer a");
        let log = lines(&result);
        assert_eq!(
            (result.status, log.last().map(String::as_str)),
            (status, Some(last)),
            "{log:?}"
        );
        assert_eq!(result.allowed, None);
        if status == 500 {
            let cause = &log[log.len() - 2];
            assert!(cause.starts_with("Execution failed due to configuration error: plugin p"));
        }
    }
}

#[test]
fn a_request_authorizer_finds_its_caller_in_path_variables_and_given_context() {
    let test = Test::answering(&Answer::Allow(Allow::default()));
    let authorizer = "type: request, authorizerUri: 'plugin:p', identitySource: 'method.request.querystring.q,stageVariables.tenant,context.identity.sourceIp,context.own'";
    let given = BTreeMap::from([
        ("identity.sourceIp".to_owned(), "203.0.113.77".to_owned()),
        ("own".to_owned(), "x".to_owned()),
    ]);
    let result = test.invoke(authorizer, "/pets/7?q=1", &[], given.clone()).expect("a result");
    assert_eq!(result.status, 200);
    assert_eq!(
        lines(&result)[1],
        "Incoming identity: {method.request.querystring.q=1, stageVariables.tenant=*****tenant, \
         context.identity.sourceIp=******113.77, context.own=x}"
    );
    let status = |path: &str, context| {
        test.invoke(authorizer, path, &[], context).map(|result| result.status)
    };
    assert_eq!(status("/pets/7", given.clone()), Ok(401));
    assert_eq!(status("/pets/7?q=1", BTreeMap::new()), Ok(401));
    // The API has no such path.
    assert_eq!(status("/nowhere?q=1", given.clone()), Ok(200));
    assert_eq!(status("nowhere", given), Err(TestInvocationError::Path));
}

#[test]
fn an_authorizer_that_no_plugin_stands_for_gives_500_and_says_why() {
    let test = Test::answering(&Answer::Deny);
    let function = "type: token, authorizerUri: 'arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:123456789012:function:auth/invocations'";
    for (authorizer, reason) in [
        (function, "no plugin stands for this authorizer"),
        ("type: token, authorizerUri: 'plugin:q'", "the plugin that stands for it is not there"),
    ] {
        let headers = [("Authorization", "Bearer a")];
        let result = test.invoke(authorizer, "/", &headers, BTreeMap::new()).expect("a result");
        let log = lines(&result);
        assert_eq!((result.status, &result.allowed), (500, &None));
        assert_eq!(log.last().map(String::as_str), Some("AuthorizerConfigurationException"));
        assert!(log[log.len() - 2].contains(reason), "{log:?}");
    }
}
