use serde_json::{Value, json};

use crate::testing::{Fixture, fixture, patch, replace};

const FUNCTION: &str = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:123456789012:function:${stageVariables.f}/invocations";
const NOT_FOUND: &str = "404 NotFoundException: Invalid Integration identifier specified";

/// The URI of a GET's integration, which is not there yet, and the resource's id.
fn place(fixture: &Fixture) -> (String, String) {
    let (api, root) = fixture.api();
    let uri = format!("/restapis/{api}/resources/{root}");
    let resource = fixture.ok("POST", &uri, json!({ "pathPart": "{id}" }));
    let id = resource["id"].as_str().unwrap();
    let method = format!("/restapis/{api}/resources/{id}/methods/GET");
    let parameters = json!({ "method.request.querystring.q": false });
    let input = json!({ "authorizationType": "NONE", "requestParameters": parameters });
    fixture.ok("PUT", &method, input);
    fixture.ok(
        "PUT",
        &format!("{method}/responses/200"),
        json!({ "responseParameters": { "method.response.header.X-A": false } }),
    );
    (format!("{method}/integration"), id.to_owned())
}

fn patches(patches: Value) -> Value {
    json!({ "patchOperations": patches })
}

#[test]
fn a_mock_has_awss_defaults() {
    let fixture = fixture();
    let (uri, resource) = place(&fixture);
    assert_eq!(fixture.refused("GET", &uri, Value::Null), NOT_FOUND);
    let answered = fixture.call("PUT", &uri, json!({ "type": "MOCK" }));
    assert_eq!(answered.status, 201);
    let expected = json!({
        "type": "MOCK",
        "passthroughBehavior": "WHEN_NO_MATCH",
        "timeoutInMillis": 29000,
        "cacheNamespace": resource,
        "cacheKeyParameters": [],
    });
    assert_eq!(answered.body, expected);
    assert_eq!(fixture.ok("GET", &uri, Value::Null), expected);
    assert_eq!(fixture.call("DELETE", &uri, Value::Null).status, 204);
    assert_eq!(fixture.refused("DELETE", &uri, Value::Null), NOT_FOUND);
    assert_eq!(fixture.refused("PATCH", &uri, Value::Null), NOT_FOUND);
}

#[test]
fn all_members_are_kept_and_a_second_put_replaces_them() {
    let fixture = fixture();
    let (uri, resource) = place(&fixture);
    let whole = json!({
        "type": "HTTP_PROXY",
        "httpMethod": "POST",
        "uri": "https://${stageVariables.host}:${stageVariables.port}/pets/{id}?a=b",
        "connectionType": "VPC_LINK",
        "connectionId": "${stageVariables.link}",
        "credentials": "arn:aws:iam::*:user/*",
        "requestParameters": {
            "integration.request.path.id": "method.request.path.id",
            "integration.request.querystring.q": "method.request.querystring.q",
            "integration.request.header.X-A": "'a'",
        },
        "requestTemplates": { "application/json": "{}", "$default": null },
        "passthroughBehavior": "NEVER",
        "contentHandling": "CONVERT_TO_TEXT",
        "timeoutInMillis": 50,
        "cacheNamespace": "pets",
        "cacheKeyParameters": ["method.request.path.id", "method.request.querystring.q"],
        "tlsConfig": { "insecureSkipVerification": true },
        "responseTransferMode": "STREAM",
        "integrationTarget": "arn:aws:elasticloadbalancing:us-east-1:1:listener/a",
    });
    assert_eq!(fixture.ok("PUT", &uri, whole.clone()), whole);
    assert_eq!(fixture.ok("GET", &uri, Value::Null), whole);
    fixture.ok("PUT", &format!("{uri}/responses/200"), json!({}));
    let plain = json!({ "type": "HTTP", "httpMethod": "GET", "uri": "http://localhost:8081" });
    assert_eq!(
        fixture.ok("PUT", &uri, plain),
        json!({
            "type": "HTTP",
            "httpMethod": "GET",
            "uri": "http://localhost:8081",
            "connectionType": "INTERNET",
            "passthroughBehavior": "WHEN_NO_MATCH",
            "timeoutInMillis": 29000,
            "cacheNamespace": resource,
            "cacheKeyParameters": [],
        })
    );
}

#[test]
fn an_integration_is_refused_in_awss_words() {
    let fixture = fixture();
    let (uri, _) = place(&fixture);
    let mapping = "400 BadRequestException: Invalid mapping expression specified: Validation Result: warnings : [], errors : ";
    let http = |members: Value| {
        let mut input = json!({ "type": "HTTP", "httpMethod": "GET", "uri": "http://a.b/" });
        for (name, value) in members.as_object().unwrap() {
            input[name] = value.clone();
        }
        input
    };
    let aws = |kind: &str, uri: &str| json!({ "type": kind, "httpMethod": "POST", "uri": uri });
    let bad = |text: &str| format!("400 BadRequestException: {text}");
    let not_http = bad("Invalid HTTP endpoint specified for URI");
    let invalid_arn = bad("Invalid ARN specified in the request");
    let timeout = bad("Timeout should be between 50 ms and 29000 ms");
    for (input, expected) in [
        (
            json!({ "type": "HTTPS_PROXY" }),
            "400 ValidationException: 1 validation error detected: Value 'HTTPS_PROXY' at 'putIntegrationInput.type' failed to satisfy constraint: Member must satisfy enum value set: [HTTP, MOCK, AWS_PROXY, HTTP_PROXY, AWS]".to_owned(),
        ),
        (
            json!({ "type": "HTTP", "uri": "http://a.b/" }),
            bad("Enumeration value for HttpMethod must be non-empty"),
        ),
        (
            json!({ "type": "AWS_PROXY", "uri": FUNCTION }),
            bad("Enumeration value for HttpMethod must be non-empty"),
        ),
        (
            http(json!({ "httpMethod": "FETCH" })),
            bad("Invalid HttpMethod specified. Valid options are GET,PUT,POST,DELETE,PATCH,OPTIONS,HEAD,ANY"),
        ),
        (http(json!({ "uri": "a.b" })), not_http.clone()),
        (http(json!({ "uri": "ftp://a.b" })), not_http.clone()),
        (http(json!({ "uri": null })), not_http.clone()),
        (http(json!({ "uri": "http://a.b/{c" })), not_http.clone()),
        (aws("AWS", "http://a.b/"), invalid_arn.clone()),
        (aws("AWS_PROXY", "invalid"), invalid_arn.clone()),
        (
            aws("AWS_PROXY", "arn:aws:iam::0000000000:role/service-role/asdf"),
            bad("AWS ARN for integration must contain path or action"),
        ),
        (
            aws("AWS_PROXY", "arn:aws:apigateway:us-east-1:s3:path/b/k"),
            bad("Integrations of type 'AWS_PROXY' currently only supports Lambda function and Firehose stream invocations."),
        ),
        (
            aws("AWS", "arn:aws:apigateway:us-east-1:s3:path/b/k"),
            bad("Role ARN must be specified for AWS integrations"),
        ),
        (http(json!({ "credentials": "me" })), invalid_arn),
        (http(json!({ "timeoutInMillis": 49 })), timeout.clone()),
        (http(json!({ "timeoutInMillis": 29001 })), timeout),
        (
            http(json!({ "connectionType": "VPC_LINK" })),
            bad("connectionType VPC_LINK needs a connectionId"),
        ),
        (
            http(json!({ "passthroughBehavior": "SOMETIMES" })),
            bad("Invalid PassthroughBehavior specified. Valid options are WHEN_NO_MATCH,WHEN_NO_TEMPLATES,NEVER"),
        ),
        (
            http(json!({ "requestParameters": { "integration.request.header.x": "true" } })),
            format!("{mapping}[Invalid mapping expression specified: true]"),
        ),
        (
            http(json!({ "requestParameters": { "integration.request.header.x": "method.request.header.x" } })),
            format!("{mapping}[Invalid mapping expression parameter specified: method.request.header.x]"),
        ),
        (
            http(json!({ "requestParameters": { "header.x": "'x'" } })),
            format!("{mapping}[Invalid mapping expression parameter specified: header.x]"),
        ),
        (
            http(json!({ "requestParameters": {
                "integration.request.header.x": "'x'", "integration.request.path.x": "'x'",
            } })),
            bad("Parameter names must be unique across querystring, header and path"),
        ),
        (
            http(json!({ "requestTemplates": { "123": "{}" } })),
            bad("Validation Result: warnings : [], errors : [Invalid content type specified: 123]"),
        ),
        (
            http(json!({ "cacheKeyParameters": ["method.request.header.x"] })),
            bad("Invalid cache key parameter specified"),
        ),
        (
            http(json!({ "responseTransferMode": "STREAM" })),
            bad("responseTransferMode STREAM needs an integration of type HTTP_PROXY or AWS_PROXY"),
        ),
    ] {
        assert_eq!(fixture.refused("PUT", &uri, input.clone()), expected, "{input}");
    }
    assert_eq!(fixture.refused("GET", &uri, Value::Null), NOT_FOUND);
    let large =
        json!({ "type": "MOCK", "requestTemplates": { "a/b": "x".repeat(300 * 1024 + 1) } });
    assert_eq!(fixture.call("PUT", &uri, large).status, 400);
}

#[test]
fn what_aws_accepts_is_accepted() {
    let fixture = fixture();
    let (uri, _) = place(&fixture);
    let s3 = "arn:aws:apigateway:us-east-1:s3:path/b/k";
    let role = "arn:aws:iam::123456789012:role/r";
    for input in [
        json!({ "type": "AWS_PROXY", "httpMethod": "POST", "uri": FUNCTION }),
        // It fails when it is called.
        json!({ "type": "AWS_PROXY", "httpMethod": "GET", "uri": FUNCTION }),
        json!({ "type": "AWS", "httpMethod": "POST", "uri": FUNCTION }),
        json!({ "type": "AWS", "httpMethod": "PUT", "uri": s3, "credentials": role }),
        json!({ "type": "HTTP_PROXY", "httpMethod": "ANY", "uri": "http://a.b/{proxy}" }),
    ] {
        fixture.ok("PUT", &uri, input);
    }
}

#[test]
fn every_path_of_an_integration_can_be_patched() {
    let fixture = fixture();
    let (uri, _) = place(&fixture);
    let http = json!({
        "type": "HTTP_PROXY", "httpMethod": "GET", "uri": "http://a.b/",
        "requestTemplates": { "text/plain": "a" },
        "requestParameters": { "integration.request.header.a": "'a'" },
        "cacheKeyParameters": ["method.request.path.id"],
    });
    fixture.ok("PUT", &uri, http);
    let patched = fixture.ok("PATCH", &uri, patches(json!([
        { "op": "replace", "path": "/cacheNamespace", "value": "n" },
        { "op": "replace", "path": "/connectionType", "value": "VPC_LINK" },
        { "op": "replace", "path": "/connectionId", "value": "link12" },
        { "op": "replace", "path": "/contentHandling", "value": "CONVERT_TO_BINARY" },
        { "op": "replace", "path": "/httpMethod", "value": "PUT" },
        { "op": "replace", "path": "/integrationTarget", "value": "t" },
        { "op": "replace", "path": "/passthroughBehavior", "value": "NEVER" },
        { "op": "replace", "path": "/responseTransferMode", "value": "STREAM" },
        { "op": "replace", "path": "/timeoutInMillis", "value": "1000" },
        { "op": "replace", "path": "/tlsConfig/insecureSkipVerification", "value": "true" },
        { "op": "replace", "path": "/uri", "value": "https://c.d/{id}" },
        { "op": "add", "path": "/requestTemplates/application~1json", "value": "{}" },
        { "op": "replace", "path": "/requestTemplates/application~1json", "value": "[]" },
        { "op": "remove", "path": "/requestTemplates/text~1plain" },
        { "op": "add", "path": "/requestParameters/integration.request.path.id", "value": "method.request.path.id" },
        { "op": "remove", "path": "/requestParameters/integration.request.header.a" },
        { "op": "add", "path": "/cacheKeyParameters/method.request.querystring.q" },
        { "op": "remove", "path": "/cacheKeyParameters/method.request.path.id" },
    ])));
    let expected = json!({
        "type": "HTTP_PROXY",
        "httpMethod": "PUT",
        "uri": "https://c.d/{id}",
        "connectionType": "VPC_LINK",
        "connectionId": "link12",
        "requestParameters": { "integration.request.path.id": "method.request.path.id" },
        "requestTemplates": { "application/json": "[]" },
        "passthroughBehavior": "NEVER",
        "contentHandling": "CONVERT_TO_BINARY",
        "timeoutInMillis": 1000,
        "cacheNamespace": "n",
        "cacheKeyParameters": ["method.request.querystring.q"],
        "tlsConfig": { "insecureSkipVerification": true },
        "responseTransferMode": "STREAM",
        "integrationTarget": "t",
    });
    assert_eq!(patched, expected);
    let cleared = fixture.ok(
        "PATCH",
        &uri,
        patches(json!([
            { "op": "replace", "path": "/contentHandling", "value": "" },
        ])),
    );
    assert_eq!(cleared.get("contentHandling"), None);
}

#[test]
fn a_patch_is_refused_in_awss_words_and_changes_nothing() {
    let fixture = fixture();
    let (uri, _) = place(&fixture);
    let http = json!({ "type": "HTTP", "httpMethod": "GET", "uri": "http://a.b/" });
    let created = fixture.ok("PUT", &uri, http);
    let bad = |text: &str| format!("400 BadRequestException: {text}");
    for (op, path, value, expected) in [
        ("replace", "/type", "MOCK", bad("Invalid patch path /type")),
        (
            "add",
            "/requestTemplates/application/json",
            "a",
            bad("Invalid patch path /requestTemplates/application/json"),
        ),
        (
            "add",
            "/uri",
            "http://c.d/",
            bad("Invalid patch operation specified. Must be one of: [replace]"),
        ),
        ("replace", "/uri", "c.d", bad("Invalid HTTP endpoint specified for URI")),
        ("replace", "/httpMethod", "", bad("Enumeration value for HttpMethod must be non-empty")),
        (
            "replace",
            "/timeoutInMillis",
            "30000",
            bad("Timeout should be between 50 ms and 29000 ms"),
        ),
        (
            "remove",
            "/requestTemplates/a~1b",
            "",
            "404 NotFoundException: Content-Type specified was not found".to_owned(),
        ),
        (
            "remove",
            "/requestParameters/integration.request.path.id",
            "",
            "404 NotFoundException: Invalid parameter name specified".to_owned(),
        ),
        (
            "add",
            "/requestParameters/integration.request.header.x",
            "method.request.header.x",
            bad(
                "Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression parameter specified: method.request.header.x]",
            ),
        ),
        (
            "add",
            "/cacheKeyParameters/method.request.header.x",
            "",
            bad("Invalid cache key parameter specified"),
        ),
    ] {
        let refused = fixture.refused("PATCH", &uri, patch(op, path, value));
        assert_eq!(refused, expected, "{op} {path}");
    }
    assert_eq!(fixture.ok("GET", &uri, Value::Null), created);
    fixture.ok("PUT", &uri, json!({ "type": "MOCK" }));
    let refused = fixture.refused("PATCH", &uri, replace("/uri", "http://a.b/"));
    assert_eq!(refused, bad("Invalid patch path /uri"));
}

#[test]
fn integration_responses_live_with_their_integration() {
    let fixture = fixture();
    let (uri, _) = place(&fixture);
    let response = format!("{uri}/responses/200");
    for method in ["PUT", "GET", "PATCH", "DELETE"] {
        assert_eq!(fixture.refused(method, &response, json!({})), NOT_FOUND, "{method}");
    }
    fixture.ok("PUT", &uri, json!({ "type": "MOCK" }));
    let put = json!({
        "selectionPattern": "",
        "responseParameters": { "method.response.header.X-A": "'a'" },
        "responseTemplates": { "application/json": "{}", "text/plain": null },
        "contentHandling": "CONVERT_TO_TEXT",
    });
    let mut expected = put.clone();
    expected["statusCode"] = json!("200");
    let answered = fixture.call("PUT", &response, put);
    assert_eq!((answered.status, &answered.body), (201, &expected));
    assert_eq!(fixture.ok("GET", &response, Value::Null), expected);
    let integration = fixture.ok("GET", &uri, Value::Null);
    assert_eq!(integration["integrationResponses"], json!({ "200": expected }));

    let patched = fixture.ok("PATCH", &response, patches(json!([
        { "op": "replace", "path": "/selectionPattern", "value": "2\\d\\d" },
        { "op": "replace", "path": "/contentHandling", "value": "" },
        { "op": "replace", "path": "/responseParameters/method.response.header.X-A", "value": "integration.response.body.a" },
        { "op": "add", "path": "/responseTemplates/a~1b", "value": "x" },
        { "op": "remove", "path": "/responseTemplates/application~1json" },
    ])));
    assert_eq!(
        patched,
        json!({
            "statusCode": "200",
            "selectionPattern": "2\\d\\d",
            "responseParameters": { "method.response.header.X-A": "integration.response.body.a" },
            "responseTemplates": { "text/plain": null, "a/b": "x" },
        })
    );
    // A second one replaces it.
    let again = fixture.ok("PUT", &response, json!({}));
    assert_eq!(again, json!({ "statusCode": "200" }));
    assert_eq!(fixture.call("DELETE", &response, Value::Null).status, 204);
    let missing = "404 NotFoundException: Invalid Response status code specified";
    fixture.misses(&["GET", "DELETE", "PATCH"], &response, missing);
}

#[test]
fn an_integration_response_is_refused_in_awss_words() {
    let fixture = fixture();
    let (uri, _) = place(&fixture);
    fixture.ok("PUT", &uri, json!({ "type": "MOCK" }));
    let response = format!("{uri}/responses/200");
    let mapping = "400 BadRequestException: Invalid mapping expression specified: Validation Result: warnings : [], errors : ";
    for (input, expected) in [
        (
            json!({ "responseParameters": { "method.response.header.X-B": "'b'" } }),
            format!("{mapping}[Invalid mapping expression parameter specified: method.response.header.X-B]"),
        ),
        (
            json!({ "responseParameters": { "method.response.header.X-A": "true" } }),
            format!("{mapping}[Invalid mapping expression specified: true]"),
        ),
        (
            json!({ "responseTemplates": { "123": "{}" } }),
            "400 BadRequestException: Validation Result: warnings : [], errors : [Invalid content type specified: 123]".to_owned(),
        ),
        (
            json!({ "responseTemplates": { "application/json": 1 } }),
            "400 SerializationException: class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String".to_owned(),
        ),
    ] {
        assert_eq!(fixture.refused("PUT", &response, input.clone()), expected, "{input}");
    }
    // Recorded for DeleteIntegrationResponse alone.
    let of_put = response.replace("GET", "PUT");
    assert_eq!(fixture.refused("DELETE", &of_put, Value::Null), NOT_FOUND);
    assert_eq!(
        fixture.refused("GET", &of_put, Value::Null),
        "404 NotFoundException: Invalid Method identifier specified"
    );
    assert_eq!(
        fixture.refused("GET", &response.replace("200", "wrong"), Value::Null),
        "400 ValidationException: 1 validation error detected: Value 'wrong' at 'statusCode' failed to satisfy constraint: Member must satisfy regular expression pattern: [1-5]\\d\\d"
    );
}
