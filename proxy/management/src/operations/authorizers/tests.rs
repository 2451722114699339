use serde_json::{Value, json};

use crate::testing::{Fixture, fixture, patch};

const FUNCTION: &str = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:123456789012:function:auth/invocations";
const POOL: &str = "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_abcdefghi";
const HEADER: &str = "method.request.header.Authorization";

/// A valid authorizer of a type, with other members; a null takes one away.
fn authorizer(type_name: &str, members: Value) -> Value {
    let mut authorizer = match type_name {
        "COGNITO_USER_POOLS" => json!({ "providerARNs": [POOL] }),
        _ => json!({ "authorizerUri": FUNCTION }),
    };
    authorizer["name"] = "auth".into();
    authorizer["type"] = type_name.into();
    authorizer["identitySource"] = HEADER.into();
    authorizer.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    authorizer
}

fn api() -> (Fixture, String, String) {
    let fixture = fixture();
    let (api, _) = fixture.api();
    let authorizers = format!("/restapis/{api}/authorizers");
    (fixture, api, authorizers)
}

#[test]
fn an_authorizer_is_answered_as_it_was_made() {
    let (fixture, _, authorizers) = api();
    let members =
        json!({ "authorizerResultTtlInSeconds": 0, "identityValidationExpression": "Bearer .*" });
    let made = fixture.call("POST", &authorizers, authorizer("TOKEN", members));
    assert_eq!(made.status, 201);
    let id = made.body["id"].as_str().unwrap();
    let expected = json!({
        "id": id,
        "name": "auth",
        "type": "TOKEN",
        // AWS's own.
        "authType": "custom",
        "authorizerUri": FUNCTION,
        "identitySource": HEADER,
        "identityValidationExpression": "Bearer .*",
        "authorizerResultTtlInSeconds": 0,
    });
    assert_eq!(made.body, expected);
    let uri = format!("{authorizers}/{id}");
    assert_eq!(fixture.ok("GET", &uri, Value::Null), expected);
    assert_eq!(fixture.ok("GET", &authorizers, Value::Null), json!({ "item": [expected] }));
    assert_eq!(fixture.call("DELETE", &uri, Value::Null).status, 202);
    let missing = "404 NotFoundException: Invalid Authorizer identifier specified";
    fixture.misses(&["GET", "DELETE"], &uri, missing);
}

#[test]
fn what_each_type_may_be_is_taken() {
    for (type_name, members) in [
        ("TOKEN", json!({ "authorizerUri": "plugin:jwt" })),
        ("TOKEN", json!({ "authorizerUri": "plugin:${stageVariables.plugin}" })),
        ("TOKEN", json!({ "authorizerCredentials": "arn:aws:iam::123456789012:role/auth" })),
        (
            "TOKEN",
            json!({ "authorizerUri": FUNCTION.replace(":auth/", ":${stageVariables.auth}/") }),
        ),
        (
            "REQUEST",
            json!({ "identitySource": "method.request.header.A, method.request.querystring.b,stageVariables.c,context.identity.sourceIp" }),
        ),
        ("REQUEST", json!({ "identitySource": null, "authorizerResultTtlInSeconds": 0 })),
        ("COGNITO_USER_POOLS", json!({ "authorizerResultTtlInSeconds": 3600 })),
    ] {
        let (fixture, _, authorizers) = api();
        let made = fixture.ok("POST", &authorizers, authorizer(type_name, members.clone()));
        for (member, value) in members.as_object().unwrap().iter().filter(|(_, it)| !it.is_null()) {
            assert_eq!(&made[member], value);
        }
    }
}

#[test]
fn what_a_type_may_not_be_is_refused() {
    let (fixture, _, authorizers) = api();
    let invalid_uri = "Invalid Authorizer URI: ";
    for (type_name, members, expected) in [
        ("TOKEN", json!({ "authorizerUri": null }), invalid_uri),
        ("REQUEST", json!({ "authorizerUri": "https://example.com/" }), invalid_uri),
        ("TOKEN", json!({ "authorizerUri": "plugin:" }), invalid_uri),
        (
            "TOKEN",
            json!({ "authorizerUri": "arn:aws:lambda:us-east-1:123456789012:function:auth" }),
            invalid_uri,
        ),
        ("TOKEN", json!({ "authorizerUri": FUNCTION.replace("/invocations", "") }), invalid_uri),
        (
            "TOKEN",
            json!({ "authorizerCredentials": "role/auth" }),
            "Invalid ARN specified in the request",
        ),
        ("TOKEN", json!({ "identitySource": null }), "Identity source must be set: "),
        (
            "TOKEN",
            json!({ "identitySource": "method.request.header.A,method.request.header.B" }),
            "a TOKEN authorizer has one header",
        ),
        (
            "TOKEN",
            json!({ "identitySource": "method.request.querystring.a" }),
            "a TOKEN authorizer has one header",
        ),
        (
            "TOKEN",
            json!({ "identitySource": "Authorization" }),
            "Invalid mapping expression specified: ",
        ),
        (
            "TOKEN",
            json!({ "identityValidationExpression": "(" }),
            "identityValidationExpression can't be used: ",
        ),
        (
            "TOKEN",
            json!({ "authorizerResultTtlInSeconds": 3601 }),
            "Authorizer result TTL must be between 0 and 3600 seconds",
        ),
        (
            "TOKEN",
            json!({ "authorizerResultTtlInSeconds": -1 }),
            "Authorizer result TTL must be between 0 and 3600 seconds",
        ),
        ("TOKEN", json!({ "name": " " }), "Authorizer name cannot be blank"),
        (
            "REQUEST",
            json!({ "identitySource": "" }),
            "Identity source must be set if authorizer caching is enabled (TTL is greater than 0)",
        ),
        (
            "REQUEST",
            json!({ "identitySource": "method.request.path.id" }),
            "Invalid mapping expression specified: ",
        ),
        (
            "COGNITO_USER_POOLS",
            json!({ "providerARNs": [] }),
            "A COGNITO_USER_POOLS authorizer requires at least one provider ARN",
        ),
        ("COGNITO_USER_POOLS", json!({ "providerARNs": [FUNCTION] }), "Invalid provider ARN: "),
        ("COGNITO_USER_POOLS", json!({ "identitySource": null }), "Identity source must be set: "),
    ] {
        let given = authorizer(type_name, members);
        let refused = fixture.refused("POST", &authorizers, given.clone());
        let expected = format!("400 BadRequestException: {expected}");
        assert!(refused.starts_with(&expected), "{given}: {refused}");
    }
    let refused = fixture.refused("POST", &authorizers, authorizer("JWT", json!({})));
    assert_eq!(
        refused,
        "400 ValidationException: 1 validation error detected: Value 'JWT' at 'createAuthorizerInput.type' failed to satisfy constraint: Member must satisfy enum value set: [TOKEN, REQUEST, COGNITO_USER_POOLS]"
    );
    assert_eq!(fixture.ok("GET", &authorizers, Value::Null), json!({ "item": [] }));
}

#[test]
fn two_authorizers_have_two_names() {
    let (fixture, _, authorizers) = api();
    let refusal = "400 BadRequestException: Authorizer name must be unique. Authorizer auth already exists in this RestApi.";
    fixture.ok("POST", &authorizers, authorizer("TOKEN", json!({})));
    assert_eq!(fixture.refused("POST", &authorizers, authorizer("TOKEN", json!({}))), refusal);
    let other = fixture.ok("POST", &authorizers, authorizer("TOKEN", json!({ "name": "other" })));
    let uri = format!("{authorizers}/{}", other["id"].as_str().unwrap());
    assert_eq!(fixture.refused("PATCH", &uri, patch("replace", "/name", "auth")), refusal);
    fixture.ok("PATCH", &uri, patch("replace", "/name", "other"));
}

#[test]
fn members_are_patched_one_by_one() {
    let (fixture, _, authorizers) = api();
    let made = fixture.ok("POST", &authorizers, authorizer("REQUEST", json!({})));
    let uri = format!("{authorizers}/{}", made["id"].as_str().unwrap());
    let role = "arn:aws:iam::123456789012:role/auth";
    for (op, path, value, member, expected) in [
        ("replace", "/name", "new", "name", json!("new")),
        ("replace", "/authType", "oauth2", "authType", json!("oauth2")),
        ("replace", "/authorizerUri", "plugin:a", "authorizerUri", json!("plugin:a")),
        ("replace", "/authorizerCredentials", role, "authorizerCredentials", json!(role)),
        ("replace", "/authorizerCredentials", "", "authorizerCredentials", Value::Null),
        (
            "replace",
            "/authorizerResultTtlInSeconds",
            "120",
            "authorizerResultTtlInSeconds",
            json!(120),
        ),
        (
            "replace",
            "/identityValidationExpression",
            "a.*",
            "identityValidationExpression",
            json!("a.*"),
        ),
        (
            "add",
            "/identitySource",
            "context.a",
            "identitySource",
            json!(format!("{HEADER},context.a")),
        ),
        ("remove", "/identitySource", HEADER, "identitySource", json!("context.a")),
        ("replace", "/identitySource", HEADER, "identitySource", json!(HEADER)),
        ("add", "/providerARNs", POOL, "providerARNs", json!([POOL])),
        ("add", "/providerARNs", POOL, "providerARNs", json!([POOL])),
        ("replace", "/type", "COGNITO_USER_POOLS", "type", json!("COGNITO_USER_POOLS")),
    ] {
        let changed = fixture.ok("PATCH", &uri, patch(op, path, value));
        assert_eq!(changed[member], expected, "{op} {path} {value}");
        assert_eq!(changed, fixture.ok("GET", &uri, Value::Null));
    }
    let refusals = [
        ("replace", "/nowhere", "x", "Invalid patch path /nowhere"),
        ("add", "/name", "x", "Invalid patch path /name"),
        (
            "remove",
            "/providerARNs",
            POOL,
            "A COGNITO_USER_POOLS authorizer requires at least one provider ARN",
        ),
        (
            "replace",
            "/authorizerResultTtlInSeconds",
            "4000",
            "Authorizer result TTL must be between 0 and 3600 seconds",
        ),
    ];
    fixture.refuses_patches(&uri, &refusals);
}

#[test]
fn an_authorizer_that_a_method_uses_stays() {
    let (fixture, api, authorizers) = api();
    let made = fixture.ok("POST", &authorizers, authorizer("TOKEN", json!({})));
    let uri = format!("{authorizers}/{}", made["id"].as_str().unwrap());
    let method =
        json!({ "httpMethod": "GET", "authorizationType": "CUSTOM", "authorizerId": made["id"] });
    let resource = json!({ "id": "abc123", "path": "/test", "resourceMethods": { "GET": method } });
    fixture.put(&api, "resources", "abc123", resource);
    assert_eq!(
        fixture.refused("DELETE", &uri, Value::Null),
        // Recorded so, with both slashes.
        "409 ConflictException: Cannot delete authorizer 'auth', is referenced in method: GET//test"
    );
}
