//! Authorizers that give an IAM policy, which a cache keeps for other methods.

use serde_json::{Value, json};
use tollgate_tests::{Api, Gateway, Request, Response, Serve, get, mock, request};

use super::{ServePlugins, call, fixture_entry, guard, guarded};

const EXPLICIT: &str = "User is not authorized to access this resource with an explicit deny in \
                        an identity-based policy";
const IMPLICIT: &str = "User is not authorized to access this resource because no identity-based \
                        policy allows the execute-api:Invoke action";

/// Any path, behind an authorizer whose policy is in `x-policy`.
fn api(seconds: u32) -> Api {
    Api::new()
        .method("ANY /", guarded(mock(200, "in")))
        .method("ANY /{proxy+}", guarded(mock(200, "in")))
        .with("components", guard("plugin:iam", &["x-policy"], seconds))
}

fn serving(api: Api) -> Gateway {
    Serve::new(api).plugins(&[fixture_entry("iam", "authorizer", "")]).start()
}

fn with_policy(route: &str, policy: &str) -> Request {
    let (method, path) = route.split_once(' ').expect("a route is METHOD /path");
    request(method, &format!("/prod{path}")).header("x-policy", policy)
}

#[track_caller]
fn assert_denied(response: &Response, message: &str) {
    assert_eq!(response.header("x-amzn-ErrorType"), Some("AccessDeniedException"));
    assert_eq!(response.summary(), (403, json!({ "Message": message }).to_string()));
}

/// What this policy makes of each method: `None` lets it pass.
#[track_caller]
fn assert_policy(gateway: &Gateway, policy: &str, expected: &[(&str, Option<&str>)]) {
    for (route, denied) in expected {
        let response = call(gateway, with_policy(route, policy));
        match denied {
            None => assert_eq!(response.summary(), (200, "in".into()), "{policy}: {route}"),
            Some(message) => assert_denied(&response, message),
        }
    }
}

#[track_caller]
fn assert_calls(gateway: &Gateway, calls: f64, hits: f64) {
    gateway.assert_metric("tollgate_plugin_calls_total{plugin=\"iam\"}", calls);
    gateway
        .assert_metric("tollgate_plugin_decision_cache_total{plugin=\"iam\",result=\"hit\"}", hits);
}

#[test]
fn one_policy_is_kept_and_decides_about_every_method() {
    let gateway = serving(api(300));
    assert_policy(
        &gateway,
        "allow GET /pets; deny * /secret",
        &[
            ("GET /pets", None),
            ("POST /pets", Some(IMPLICIT)),
            ("GET /pets/1", Some(IMPLICIT)),
            ("GET /secret", Some(EXPLICIT)),
            ("DELETE /secret", Some(EXPLICIT)),
            ("GET /pets?x=1", None),
            ("GET /", Some(IMPLICIT)),
        ],
    );
    assert_calls(&gateway, 1.0, 6.0);
}

#[test]
fn that_the_first_method_is_denied_is_kept_too() {
    let gateway = serving(api(300));
    assert_policy(
        &gateway,
        "allow GET /pets",
        &[("POST /pets", Some(IMPLICIT)), ("GET /pets", None), ("POST /pets", Some(IMPLICIT))],
    );
    assert_calls(&gateway, 1.0, 2.0);
}

#[test]
fn wildcards_stand_for_any_characters() {
    let gateway = serving(api(300));
    for (policy, expected) in [
        (
            "allow GET /pets/*",
            &[
                ("GET /pets/1", None),
                ("GET /pets/1/toys/2", None),
                ("GET /pets", Some(IMPLICIT)),
                ("GET /petshop/1", Some(IMPLICIT)),
            ][..],
        ),
        ("allow * /pets/?", &[("PUT /pets/1", None), ("PUT /pets/12", Some(IMPLICIT))]),
        ("allow * *", &[("GET /", None), ("PATCH /a/b/c", None)]),
        // Whatever the order, a deny wins.
        ("deny GET /a/*; allow * *", &[("GET /a/b", Some(EXPLICIT)), ("POST /a/b", None)]),
        ("allow GET /", &[("GET /", None), ("GET /pets", Some(IMPLICIT))]),
    ] {
        assert_policy(&gateway, policy, expected);
    }
}

#[test]
fn without_a_policy_a_kept_decision_allows_every_method() {
    let api = Api::new()
        .method("ANY /{proxy+}", guarded(mock(200, "in")))
        .with("components", guard("plugin:iam", &["x-user"], 300));
    let gateway = serving(api);
    for route in ["GET /pets", "POST /pets", "DELETE /secret"] {
        let (method, path) = route.split_once(' ').unwrap();
        let request = request(method, &format!("/prod{path}")).header("x-user", "ali");
        assert_eq!(call(&gateway, request).summary(), (200, "in".into()));
    }
    assert_calls(&gateway, 1.0, 2.0);
}

#[test]
fn another_policy_is_another_decision_and_a_time_to_live_of_zero_keeps_none() {
    let gateway = serving(api(300));
    assert_policy(&gateway, "allow GET /pets", &[("GET /pets", None)]);
    assert_policy(&gateway, "deny GET /pets", &[("GET /pets", Some(EXPLICIT))]);
    assert_calls(&gateway, 2.0, 0.0);
    let gateway = serving(api(0));
    for _ in 0..3 {
        assert_policy(&gateway, "allow GET /pets", &[("GET /pets", None)]);
    }
    assert_calls(&gateway, 3.0, 0.0);
}

fn statement(effect: &str, resource: &str) -> Value {
    json!({ "Effect": effect, "Principal": "*", "Action": "execute-api:Invoke",
        "Resource": format!("execute-api:/*/GET/{resource}") })
}

#[test]
fn authorizer_and_resource_policy_decide_together() {
    // Table A of AWS's "How API Gateway resource policies affect authorization workflow".
    let policy = json!({ "Version": "2012-10-17",
        "Statement": [statement("Allow", "allowed"), statement("Deny", "denied")] });
    let gateway = serving(api(300).with("x-amazon-apigateway-policy", policy));
    let anonymous = "User: anonymous is not authorized to perform: execute-api:Invoke on \
                     resource: arn:aws:execute-api:us-east-1:********0000:petstore01/prod/GET/denied \
                     with an explicit deny";
    for (policy, expected) in [
        (
            "allow * *",
            [("GET /allowed", None), ("GET /silent", None), ("GET /denied", Some(anonymous))],
        ),
        (
            "allow GET /elsewhere",
            [
                ("GET /allowed", None),
                ("GET /silent", Some(IMPLICIT)),
                ("GET /denied", Some(anonymous)),
            ],
        ),
        (
            "deny * *",
            [
                ("GET /allowed", Some(EXPLICIT)),
                ("GET /silent", Some(EXPLICIT)),
                ("GET /denied", Some(anonymous)),
            ],
        ),
    ] {
        assert_policy(&gateway, policy, &expected);
    }
    // An explicit deny of the resource policy comes before the authorizer.
    assert_calls(&gateway, 3.0, 3.0);
}

/// A policy that allows everything under a condition.
fn on_condition(condition: &Value) -> String {
    json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow",
        "Action": ["execute-api:Invoke"], "Resource": ["arn:aws:execute-api:*:*:*/prod/*"],
        "Condition": condition }] })
    .to_string()
}

#[test]
fn conditions_are_of_the_request_that_is_decided_about() {
    let gateway = serving(api(300));
    for (condition, denied) in [
        (json!({ "IpAddress": { "aws:SourceIp": "127.0.0.0/8" } }), None),
        (json!({ "IpAddress": { "aws:SourceIp": "192.0.2.0/24" } }), Some(IMPLICIT)),
        (json!({ "Bool": { "aws:SecureTransport": "true" } }), Some(IMPLICIT)),
        (json!({ "DateGreaterThan": { "aws:CurrentTime": "2020-01-01T00:00:00Z" } }), None),
    ] {
        assert_policy(&gateway, &on_condition(&condition), &[("GET /pets", denied)]);
    }
    let agents = on_condition(&json!({ "StringLike": { "aws:UserAgent": "good/*" } }));
    // Kept or not, it is the caller's own agent that counts.
    for (agent, status) in [("good/1", 200), ("evil/1", 403), ("good/2", 200)] {
        let request = with_policy("GET /pets", &agents).header("User-Agent", agent);
        assert_eq!(call(&gateway, request).status, status, "{agent}");
    }
}

#[test]
fn a_policy_that_can_not_be_used_lets_nobody_in_and_is_not_kept() {
    let gateway = serving(api(300));
    for (number, policy) in [
        "{",
        "{\"Version\":\"2012-10-17\"}",
        "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Perhaps\",\"Action\":\"*\",\"Resource\":\"*\"}]}",
    ]
    .iter()
    .enumerate()
    {
        for _ in 0..2 {
            let response = call(&gateway, with_policy("GET /pets", policy));
            assert_eq!(response.summary(), (500, r#"{"message":null}"#.into()), "{policy}");
            let error_type = response.header("x-amzn-ErrorType");
            assert_eq!(error_type, Some("AuthorizerConfigurationException"));
        }
        assert_calls(&gateway, 2.0 * (number + 1) as f64, 0.0);
    }
    let response = call(&gateway, get("/prod/pets"));
    assert_eq!(response.status, 401, "{response:?}");
}
