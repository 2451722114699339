//! What the gateway answers by itself: ids, customised responses, and methods that let nobody in.

use serde_json::{Value, json};
use tollgate_tests::{Api, Gateway, Response, Upstream, get, http_proxy, mock};

use crate::support::{assert_error, assert_ids};

fn api_with(responses: Value) -> Api {
    Api::new()
        .route("GET /pets", mock(200, "pets"))
        .with("x-amazon-apigateway-gateway-responses", responses)
}

#[test]
fn every_answer_has_ids_of_its_own() {
    let mut client = Gateway::dev(api_with(json!({}))).into_connection();
    let answers = [client.get("/pets"), client.get("/dogs"), client.get("/pets")];
    answers.iter().for_each(assert_ids);
    let mut ids: Vec<_> =
        answers.iter().map(|answer| answer.header("x-amzn-RequestId").unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[test]
fn a_gateway_response_may_have_another_status_body_and_headers() {
    let gateway = Gateway::dev(api_with(json!({ "MISSING_AUTHENTICATION_TOKEN": {
        "statusCode": 404,
        "responseParameters": {
            "gatewayresponse.header.Access-Control-Allow-Origin": "'*'",
            "gatewayresponse.header.X-Path": "context.path",
            "gatewayresponse.header.X-Asked": "method.request.querystring.q",
        },
        "responseTemplates": { "application/json": "{\"error\":$context.error.messageString,\"id\":\"$context.requestId\"}" },
    } })));
    let response = gateway.get("/dogs?q=7");
    let id = response.header("x-amzn-RequestId").unwrap();
    assert_eq!(
        response.summary(),
        (404, format!("{{\"error\":\"Missing Authentication Token\",\"id\":\"{id}\"}}"))
    );
    assert_eq!(response.header("Access-Control-Allow-Origin"), Some("*"));
    assert_eq!(response.header("X-Asked"), Some("7"));
    assert_eq!(response.header("X-Path"), Some("/dogs"));
}

#[test]
fn a_default_gateway_response_counts_for_the_types_without_their_own() {
    let gateway = Gateway::dev(api_with(json!({ "DEFAULT_4XX": {
        "responseParameters": { "gatewayresponse.header.X-Default": "'4xx'" },
        "responseTemplates": { "application/json": "{\"m\":$context.error.messageString}" },
    } })));
    let response = gateway.get("/dogs");
    assert_eq!(response.summary(), (403, "{\"m\":\"Missing Authentication Token\"}".into()));
    assert_eq!(response.header("X-Default"), Some("4xx"));
}

#[test]
fn a_failed_integration_is_504_once_its_response_is_customised() {
    let (_socket, address) = Upstream::refusing();
    let api = Api::new().route("GET /", http_proxy(&format!("http://{address}/"))).with(
        "x-amazon-apigateway-gateway-responses",
        json!({ "INTEGRATION_FAILURE": { "responseParameters": { "gatewayresponse.header.X-Failed": "'yes'" } } }),
    );
    let response = Gateway::dev(api).get("/");
    assert_eq!((response.status, response.header("X-Failed")), (504, Some("yes")));
}

#[test]
fn a_client_cannot_write_headers_through_a_gateway_response() {
    let gateway = Gateway::dev(api_with(json!({ "MISSING_AUTHENTICATION_TOKEN": {
        "responseParameters": { "gatewayresponse.header.X-Asked": "method.request.querystring.q" },
    } })));
    let response = gateway.get("/dogs?q=a%0d%0aX-Evil:%201");
    assert_eq!((response.status, response.header("X-Evil")), (403, None));
}

/// GET / behind an authorizer of this definition.
fn guarded(scheme: Value) -> (Gateway, Upstream) {
    let upstream = Upstream::echo();
    let api = Api::new()
        .method("GET /", json!({ "security": [{ "guard": [] }], "x-amazon-apigateway-integration": http_proxy(&upstream.url("/")) }))
        .with("components", json!({ "securitySchemes": { "guard": scheme } }));
    (Gateway::dev(api), upstream)
}

fn lambda_authorizer() -> Value {
    json!({ "type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "custom",
        "x-amazon-apigateway-authorizer": { "type": "token", "authorizerUri":
        "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:auth/invocations" } })
}

fn cognito_authorizer() -> Value {
    json!({ "type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "cognito_user_pools",
        "x-amazon-apigateway-authorizer": { "type": "cognito_user_pools",
        "providerARNs": ["arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_abc"] } })
}

#[test]
fn a_request_without_the_credentials_of_its_authorizer_is_unauthorized() {
    for scheme in [lambda_authorizer(), cognito_authorizer()] {
        let (gateway, upstream) = guarded(scheme);
        assert_error(&gateway.get("/"), 401, "UnauthorizedException", "Unauthorized");
        assert!(upstream.requests().is_empty());
    }
}

#[test]
fn credentials_that_nobody_can_check_let_nobody_in() {
    for scheme in [lambda_authorizer(), cognito_authorizer()] {
        let (gateway, upstream) = guarded(scheme);
        let response = gateway.call(get("/").header("Authorization", "Bearer x"));
        assert!((401..=500).contains(&response.status), "{response:?}");
        assert_eq!(response.header("x-amzn-ErrorType"), Some("AuthorizerConfigurationException"));
        assert!(upstream.requests().is_empty());
    }
}

#[test]
fn a_method_of_signed_callers_lets_no_other_in() {
    let (gateway, upstream) =
        guarded(json!({ "type": "apiKey", "name": "Authorization", "in": "header",
        "x-amazon-apigateway-authtype": "awsSigv4" }));
    crate::support::assert_missing_token(&gateway.get("/"));
    let signed = get("/")
        .header("Authorization", "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=y");
    assert!(gateway.call(signed).status >= 400);
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_method_that_requires_an_api_key_lets_nobody_in() {
    let upstream = Upstream::echo();
    let api = Api::new()
        .method("GET /", json!({ "security": [{ "api_key": [] }], "x-amazon-apigateway-integration": http_proxy(&upstream.url("/")) }))
        .with("components", json!({ "securitySchemes": { "api_key": { "type": "apiKey", "name": "x-api-key", "in": "header" } } }));
    let gateway = Gateway::dev(api);
    crate::support::assert_forbidden(&gateway.get("/"));
    crate::support::assert_forbidden(&gateway.call(get("/").header("x-api-key", "guessed")));
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_resource_policy_lets_in_whom_it_allows() {
    let policy = |denied: &str| {
        let statement = |effect: &str, condition: Value| {
            json!({ "Effect": effect, "Principal": "*", "Action": "execute-api:Invoke",
                "Resource": "execute-api:/*/GET/in", "Condition": condition })
        };
        let denied = json!({ "IpAddress": { "aws:SourceIp": denied } });
        json!({ "Version": "2012-10-17", "Statement": [statement("Allow", json!({})), statement("Deny", denied)] })
    };
    let gateway = |denied: &str| {
        let api = Api::new().route("GET /in", mock(200, "in")).route("GET /out", mock(200, "out"));
        Gateway::dev(api.with("x-amazon-apigateway-policy", policy(denied)))
    };
    let refusal = |response: Response| {
        assert_eq!(
            (response.status, response.header("x-amzn-ErrorType")),
            (403, Some("AccessDeniedException"))
        );
        let body: Value = serde_json::from_slice(&response.body).expect("JSON");
        body["Message"].as_str().expect("a message").to_owned()
    };
    let open = gateway("192.0.2.0/24");
    assert_eq!(open.get("/in").status, 200);
    let silent = refusal(open.get("/out"));
    assert!(silent.starts_with("User: anonymous is not authorized to perform: execute-api:Invoke"));
    assert!(silent.ends_with("/GET/out"), "{silent}");
    let denied = refusal(gateway("127.0.0.0/8").get("/in"));
    assert!(denied.ends_with("/GET/in with an explicit deny"), "{denied}");
}
