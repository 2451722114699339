use serde_json::{Value, json};

use crate::testing::{Fixture, fixture, patch};

/// An API, its id, and the URI of a GET that is not there yet.
fn place(fixture: &Fixture) -> (String, String) {
    let (api, root) = fixture.api();
    let authorizer = |id: &str, kind: &str| json!({ "id": id, "name": id, "type": kind });
    fixture.put(&api, "authorizers", "token1", authorizer("token1", "TOKEN"));
    fixture.put(&api, "authorizers", "pools1", authorizer("pools1", "COGNITO_USER_POOLS"));
    let validator = json!({
        "id": "valid1", "name": "all",
        "validateRequestBody": true, "validateRequestParameters": true,
    });
    fixture.put(&api, "requestvalidators", "valid1", validator);
    let uri = format!("/restapis/{api}/resources/{root}/methods/GET");
    (api, uri)
}

fn patches(patches: Value) -> Value {
    json!({ "patchOperations": patches })
}

const INVALID_AUTHORIZER: &str = "400 BadRequestException: Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS requires a valid authorizer.";

#[test]
fn a_method_is_put_once_and_shown_as_it_is() {
    let fixture = fixture();
    let (_, uri) = place(&fixture);
    let created = fixture.call("PUT", &uri, json!({ "authorizationType": "NONE" }));
    assert_eq!(created.status, 201);
    let plain =
        json!({ "httpMethod": "GET", "authorizationType": "NONE", "apiKeyRequired": false });
    assert_eq!(created.body, plain);
    assert_eq!(
        fixture.refused("PUT", &uri, json!({ "authorizationType": "NONE" })),
        "409 ConflictException: Method already exists for this resource"
    );
    assert_eq!(fixture.ok("GET", &uri, Value::Null), plain);
    assert_eq!(fixture.call("DELETE", &uri, Value::Null).status, 204);
    let missing = "404 NotFoundException: Invalid Method identifier specified";
    fixture.misses(&["GET", "DELETE", "PATCH"], &uri, missing);
}

#[test]
fn all_members_are_kept() {
    let fixture = fixture();
    let (_, uri) = place(&fixture);
    let whole = json!({
        "httpMethod": "GET",
        "authorizationType": "COGNITO_USER_POOLS",
        "authorizerId": "pools1",
        "apiKeyRequired": true,
        "operationName": "ListPets",
        "requestValidatorId": "valid1",
        "requestParameters": {
            "method.request.header.h": true, "method.request.querystring.q": false,
        },
        "requestModels": { "application/json": "Empty", "$default": "Error" },
        "authorizationScopes": ["pets/read"],
    });
    assert_eq!(fixture.ok("PUT", &uri, whole.clone()), whole);
    assert_eq!(fixture.ok("GET", &uri, Value::Null), whole);
}

#[test]
fn a_method_is_refused_in_awss_words() {
    let fixture = fixture();
    let (_, uri) = place(&fixture);
    let mapping = "400 BadRequestException: Invalid mapping expression specified: Validation Result: warnings : [], errors : ";
    for (input, expected) in [
        (
            json!({}),
            "400 ValidationException: 1 validation error detected: Value null at 'putMethodInput.authorizationType' failed to satisfy constraint: Member must not be null".to_owned(),
        ),
        (
            json!({ "authorizationType": "SOME" }),
            "400 BadRequestException: Invalid AuthorizationType specified. Valid options are NONE,AWS_IAM,CUSTOM,COGNITO_USER_POOLS,JWT".to_owned(),
        ),
        (json!({ "authorizationType": "CUSTOM" }), INVALID_AUTHORIZER.to_owned()),
        (
            json!({ "authorizationType": "CUSTOM", "authorizerId": "" }),
            INVALID_AUTHORIZER.to_owned(),
        ),
        (
            json!({ "authorizationType": "CUSTOM", "authorizerId": "pools1" }),
            INVALID_AUTHORIZER.to_owned(),
        ),
        (
            json!({ "authorizationType": "COGNITO_USER_POOLS", "authorizerId": "token1" }),
            INVALID_AUTHORIZER.to_owned(),
        ),
        (
            json!({ "authorizationType": "NONE", "requestValidatorId": "nobody" }),
            "400 BadRequestException: Invalid Request Validator identifier specified".to_owned(),
        ),
        (
            json!({ "authorizationType": "NONE", "requestModels": { "application/json": "petModel" } }),
            "400 BadRequestException: Invalid model identifier specified: petModel".to_owned(),
        ),
        (
            json!({ "authorizationType": "NONE", "requestParameters": {
                "method.request.querystring.a": true, "method.request.header.a": true,
            } }),
            "400 BadRequestException: Parameter names must be unique across querystring, header and path".to_owned(),
        ),
        (
            json!({ "authorizationType": "NONE", "requestParameters": { "method.request.cookie.a": true } }),
            format!("{mapping}[Invalid mapping expression specified: method.request.cookie.a]"),
        ),
        (
            json!({ "authorizationType": "NONE", "requestParameters": { "method.request.header.a b": true } }),
            format!("{mapping}[Parameter name 'a b' should match the following regular expression: ^[a-zA-Z0-9._$-]+$]"),
        ),
        (
            json!({ "authorizationType": 1 }),
            "400 SerializationException: class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String".to_owned(),
        ),
    ] {
        assert_eq!(fixture.refused("PUT", &uri, input.clone()), expected, "{input}");
    }
    assert_eq!(
        fixture.refused(
            "PUT",
            &uri.replace("GET", "FETCH"),
            json!({ "authorizationType": "NONE" })
        ),
        "400 BadRequestException: Invalid HttpMethod specified. Valid options are GET,PUT,POST,DELETE,PATCH,OPTIONS,HEAD,ANY"
    );
    assert_eq!(fixture.call("GET", &uri, Value::Null).status, 404);
}

#[test]
fn every_path_of_a_method_can_be_patched() {
    let fixture = fixture();
    let (_, uri) = place(&fixture);
    fixture.ok("PUT", &uri, json!({ "authorizationType": "NONE" }));
    let added = fixture.ok("PATCH", &uri, patches(json!([
        { "op": "add", "path": "/requestParameters/method.request.querystring.q", "value": "true" },
        { "op": "add", "path": "/requestModels/application~1json", "value": "Empty" },
        { "op": "replace", "path": "/authorizationType", "value": "COGNITO_USER_POOLS" },
        { "op": "replace", "path": "/authorizerId", "value": "pools1" },
        { "op": "replace", "path": "/apiKeyRequired", "value": "true" },
        { "op": "replace", "path": "/operationName", "value": "ListPets" },
        { "op": "replace", "path": "/requestValidatorId", "value": "valid1" },
        { "op": "add", "path": "/authorizationScopes", "value": "read" },
        { "op": "add", "path": "/authorizationScopes", "value": "write" },
        { "op": "remove", "path": "/authorizationScopes", "value": "read" },
    ])));
    let expected = json!({
        "httpMethod": "GET",
        "authorizationType": "COGNITO_USER_POOLS",
        "authorizerId": "pools1",
        "apiKeyRequired": true,
        "operationName": "ListPets",
        "requestValidatorId": "valid1",
        "requestParameters": { "method.request.querystring.q": true },
        "requestModels": { "application/json": "Empty" },
        "authorizationScopes": ["write"],
    });
    assert_eq!(added, expected);
    let removed = fixture.ok("PATCH", &uri, patches(json!([
        { "op": "replace", "path": "/requestParameters/method.request.querystring.q", "value": "false" },
        { "op": "remove", "path": "/requestModels/application~1json" },
        { "op": "replace", "path": "/authorizationType", "value": "NONE" },
        { "op": "replace", "path": "/apiKeyRequired", "value": "whatever" },
        { "op": "replace", "path": "/requestValidatorId", "value": "" },
        { "op": "remove", "path": "/authorizationScopes", "value": "write" },
    ])));
    assert_eq!(
        removed,
        json!({
            "httpMethod": "GET",
            "authorizationType": "NONE",
            "apiKeyRequired": false,
            "operationName": "ListPets",
            "requestParameters": { "method.request.querystring.q": false },
        })
    );
    assert_eq!(fixture.ok("GET", &uri, Value::Null), removed);
}

#[test]
fn a_patch_is_refused_in_awss_words_and_changes_nothing() {
    let fixture = fixture();
    let (_, uri) = place(&fixture);
    let created = fixture.ok("PUT", &uri, json!({ "authorizationType": "NONE" }));
    let replace_only =
        "400 BadRequestException: Invalid patch operation specified. Must be one of: [replace]";
    for (op, path, value, expected) in [
        ("add", "/authorizationType", "NONE", replace_only),
        ("remove", "/operationName", "", replace_only),
        (
            "replace",
            "/httpMethod",
            "PUT",
            "400 BadRequestException: Invalid patch path /httpMethod",
        ),
        (
            "add",
            "/requestParameters",
            "a",
            "400 BadRequestException: Invalid patch path /requestParameters",
        ),
        (
            "add",
            "/requestModels/application/json",
            "Empty",
            "400 BadRequestException: Invalid patch path /requestModels/application/json",
        ),
        (
            "remove",
            "/requestModels/application~1json",
            "",
            "404 NotFoundException: Content-Type specified was not found",
        ),
        (
            "remove",
            "/requestParameters/method.request.querystring.q",
            "",
            "404 NotFoundException: Invalid parameter name specified",
        ),
        (
            "add",
            "/requestParameters/cookie.a",
            "true",
            "400 BadRequestException: Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression specified: cookie.a]",
        ),
        (
            "add",
            "/requestModels/application~1json",
            "Nobody",
            "400 BadRequestException: Invalid model identifier specified: Nobody",
        ),
        ("replace", "/authorizationType", "CUSTOM", INVALID_AUTHORIZER),
        (
            "replace",
            "/requestValidatorId",
            "nobody",
            "400 BadRequestException: Invalid Request Validator identifier specified",
        ),
        (
            "wrong",
            "/operationName",
            "a",
            "400 ValidationException: 1 validation error detected: Value 'wrong' at 'updateMethodInput.patchOperations.1.member.op' failed to satisfy constraint: Member must satisfy enum value set: [add, remove, move, test, replace, copy]",
        ),
    ] {
        let refused = fixture.refused("PATCH", &uri, patch(op, path, value));
        assert_eq!(refused, expected, "{op} {path}");
    }
    // An authorizer of a method that needs none is ignored.
    let ignored = patches(json!([{ "op": "replace", "path": "/authorizerId", "value": "nobody" }]));
    assert_eq!(fixture.ok("PATCH", &uri, ignored), created);
}

#[test]
fn method_responses_live_with_their_method() {
    let fixture = fixture();
    let (_, uri) = place(&fixture);
    fixture.ok("PUT", &uri, json!({ "authorizationType": "NONE" }));
    let response = format!("{uri}/responses/200");
    let put = json!({
        "responseParameters": { "method.response.header.X-A": true },
        "responseModels": { "application/json": "Empty" },
    });
    let mut expected = put.clone();
    expected["statusCode"] = json!("200");
    let answered = fixture.call("PUT", &response, put.clone());
    assert_eq!((answered.status, &answered.body), (201, &expected));
    assert_eq!(
        fixture.refused("PUT", &response, put),
        "409 ConflictException: Response already exists for this resource"
    );
    assert_eq!(fixture.ok("GET", &response, Value::Null), expected);
    let method = fixture.ok("GET", &uri, Value::Null);
    assert_eq!(method["methodResponses"], json!({ "200": expected }));

    let patched = fixture.call("PATCH", &response, patches(json!([
        { "op": "remove", "path": "/responseParameters/method.response.header.X-A" },
        { "op": "add", "path": "/responseParameters/method.response.header.X-B", "value": "false" },
        { "op": "replace", "path": "/responseModels/application~1json", "value": "Error" },
    ])));
    assert_eq!(patched.status, 201);
    assert_eq!(
        patched.body,
        json!({
            "statusCode": "200",
            "responseParameters": { "method.response.header.X-B": false },
            "responseModels": { "application/json": "Error" },
        })
    );
    assert_eq!(fixture.call("DELETE", &response, Value::Null).status, 204);
    let missing = "404 NotFoundException: Invalid Response status code specified";
    fixture.misses(&["GET", "DELETE", "PATCH"], &response, missing);
}

#[test]
fn a_method_response_is_refused_in_awss_words() {
    let fixture = fixture();
    let (_, uri) = place(&fixture);
    fixture.ok("PUT", &uri, json!({ "authorizationType": "NONE" }));
    let violation = "Value '600' at 'statusCode' failed to satisfy constraint: Member must satisfy regular expression pattern: [1-5]\\d\\d";
    let invalid = format!("{uri}/responses/600");
    let one = format!("400 ValidationException: 1 validation error detected: {violation}");
    assert_eq!(fixture.refused("PUT", &invalid, json!({})), one);
    assert_eq!(fixture.refused("GET", &invalid, Value::Null), one);
    let wrong = patches(json!([{ "op": "wrong", "path": "/a" }]));
    assert_eq!(
        fixture.refused("PATCH", &invalid, wrong),
        format!(
            "400 ValidationException: 2 validation errors detected: Value 'wrong' at 'updateMethodResponseInput.patchOperations.1.member.op' failed to satisfy constraint: Member must satisfy enum value set: [add, remove, move, test, replace, copy]; {violation}"
        )
    );
    let response = format!("{uri}/responses/200");
    for (input, expected) in [
        (
            json!({ "responseParameters": { "header.X": true } }),
            "400 BadRequestException: Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression specified: header.X]",
        ),
        (
            json!({ "responseModels": { "application/json": "Nobody" } }),
            "400 BadRequestException: Invalid model identifier specified: Nobody",
        ),
        (
            json!({ "responseModels": { "123": "Empty" } }),
            "400 BadRequestException: Validation Result: warnings : [], errors : [Invalid content type specified: 123]",
        ),
    ] {
        assert_eq!(fixture.refused("PUT", &response, input), expected);
    }
    fixture.ok("PUT", &response, json!({}));
    for (op, path, expected) in [
        ("add", "/wrong/x", "400 BadRequestException: Invalid patch path /wrong/x"),
        (
            "remove",
            "/responseParameters/method.response.header.X",
            "404 NotFoundException: Invalid parameter name specified",
        ),
        (
            "remove",
            "/responseModels/application~1json",
            "404 NotFoundException: Content-Type specified was not found",
        ),
        (
            "copy",
            "/responseModels/application~1json",
            "400 BadRequestException: Invalid patch operation specified. Must be one of: [add, remove, replace]",
        ),
    ] {
        let patch = patches(json!([{ "op": op, "path": path }]));
        assert_eq!(fixture.refused("PATCH", &response, patch), expected, "{op} {path}");
    }
}
