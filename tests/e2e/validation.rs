//! Request validators: what is refused before the backend sees it.

use serde_json::{Value, json};
use tollgate_tests::{Api, Gateway, Upstream, get, http, http_proxy, post};

use crate::support::assert_error;

/// POST /pets/{id} with a validator for body and parameters; the backend echoes.
fn validated(integration: Value) -> Api {
    Api::new()
        .method(
            "POST /pets/{id}",
            json!({
                "x-amazon-apigateway-request-validator": "all",
                "parameters": [
                    { "in": "path", "name": "id", "required": true, "schema": { "type": "string" } },
                    { "in": "query", "name": "q", "required": true, "schema": { "type": "string" } },
                    { "in": "header", "name": "X-A", "required": true, "schema": { "type": "string" } },
                    { "in": "header", "name": "X-B", "required": false, "schema": { "type": "string" } },
                ],
                "requestBody": { "content": { "application/json": {
                    "schema": { "$ref": "#/components/schemas/Pet" } } } },
                "responses": { "200": { "description": "" } },
                "x-amazon-apigateway-integration": integration,
            }),
        )
        .with("x-amazon-apigateway-request-validators", json!({ "all": {
            "validateRequestBody": true, "validateRequestParameters": true } }))
        .with("components", json!({ "schemas": {
            "Pet": {
                "type": "object",
                "required": ["name", "owner"],
                "properties": {
                    "name": { "type": "string", "minLength": 2 },
                    "owner": { "$ref": "#/components/schemas/Owner" },
                },
            },
            "Owner": { "type": "object", "required": ["age"], "properties": {
                "age": { "type": "integer", "minimum": 0, "exclusiveMinimum": true },
                "pets": { "type": "array", "items": { "$ref": "#/components/schemas/Pet" } },
            } },
        } }))
}

const VALID: &str = r#"{"name": "Rex", "owner": {"age": 7}}"#;

#[test]
fn what_is_valid_passes_unchanged() {
    let upstream = Upstream::echo();
    for integration in [http(&upstream.url("/x")), http_proxy(&upstream.url("/x"))] {
        let gateway = Gateway::dev(validated(integration));
        let sent = post("/pets/7?q=1", VALID).header("X-A", "1");
        assert_eq!(gateway.call(sent).status, 200);
        let received = upstream.requests().pop().expect("a request");
        assert_eq!(received.body, VALID.as_bytes());
    }
}

#[test]
fn missing_and_blank_parameters_are_listed() {
    let upstream = Upstream::echo();
    let gateway = Gateway::dev(validated(http_proxy(&upstream.url("/x"))));
    for (sent, missing) in [
        (post("/pets/7", "not even JSON"), "X-A, q"),
        (post("/pets/7?q=", VALID).header("X-A", "1"), "q"),
        (post("/pets/7?q=1", VALID).header("X-A", " "), "X-A"),
        (post("/pets/7?q=1", VALID).header("x-a", "1"), "X-A"),
    ] {
        let message = format!("Missing required request parameters: [{missing}]");
        assert_error(&gateway.call(sent), 400, "BadRequestException", &message);
    }
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_body_that_is_not_of_the_model_is_refused() {
    let upstream = Upstream::echo();
    let gateway = Gateway::dev(validated(http_proxy(&upstream.url("/x"))));
    let mut client = gateway.into_connection();
    for body in [
        "",
        "{",
        "[]",
        r#"{"name": "Rex"}"#,
        r#"{"name": "R", "owner": {"age": 7}}"#,
        r#"{"name": "Rex", "owner": {"age": 0}}"#,
        r#"{"name": "Rex", "owner": {"age": 1, "pets": [{"name": "Rex"}]}}"#,
    ] {
        let response = client.call(post("/pets/7?q=1", body).header("X-A", "1"));
        assert_error(&response, 400, "BadRequestException", "Invalid request body");
    }
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_gateway_response_says_what_is_wrong() {
    let upstream = Upstream::echo();
    let api = validated(http_proxy(&upstream.url("/x"))).with(
        "x-amazon-apigateway-gateway-responses",
        json!({ "BAD_REQUEST_BODY": { "statusCode": 422, "responseTemplates": { "application/json":
            "{\"message\": $context.error.messageString, \"detail\": \"$context.error.validationErrorString\"}" } } }),
    );
    let gateway = Gateway::dev(api);
    let sent = |body: &str| post("/pets/7?q=1", body).header("X-A", "1");
    let response = gateway.call(sent("{}"));
    assert_eq!(
        response.summary(),
        (
            422,
            r#"{"message": "Invalid request body", "detail": "[object has missing required properties (["name","owner"])]"}"#.into()
        )
    );
    let response = gateway.call(sent(r#"{"name": 1, "owner": {"age": 1}}"#));
    assert!(
        response.text().contains(
            r#"instance type (integer) does not match any allowed primitive type (allowed: ["string"])"#
        ),
        "{}",
        response.text()
    );
}

#[test]
fn an_unvalidated_method_takes_anything() {
    let upstream = Upstream::echo();
    let api = validated(http_proxy(&upstream.url("/x")))
        .route("GET /free", http_proxy(&upstream.url("/y")));
    assert_eq!(Gateway::dev(api).call(get("/free")).status, 200);
}
