use serde_json::{Value, json};

use crate::testing::{Fixture, fixture, patch};

fn api() -> (Fixture, String) {
    let fixture = fixture();
    let responses = format!("/restapis/{}/gatewayresponses", fixture.api().0);
    (fixture, responses)
}

fn default_templates() -> Value {
    json!({ "application/json": "{\"message\":$context.error.messageString}" })
}

#[test]
fn a_type_that_nobody_customised_has_its_defaults() {
    let (fixture, responses) = api();
    let listed = fixture.ok("GET", &responses, Value::Null);
    let items = listed["item"].as_array().unwrap();
    assert_eq!(items.len(), 21);
    for (response_type, status) in [
        ("ACCESS_DENIED", Some("403")),
        ("DEFAULT_4XX", None),
        ("DEFAULT_5XX", None),
        ("INTEGRATION_FAILURE", Some("504")),
        ("INTEGRATION_TIMEOUT", Some("504")),
        ("REQUEST_TOO_LARGE", Some("413")),
        ("THROTTLED", Some("429")),
        ("UNAUTHORIZED", Some("401")),
    ] {
        let mut expected = json!({
            "responseType": response_type,
            "responseParameters": {},
            "responseTemplates": default_templates(),
            "defaultResponse": true,
        });
        if let Some(status) = status {
            expected["statusCode"] = status.into();
        }
        assert!(items.contains(&expected), "{response_type}");
        let uri = format!("{responses}/{response_type}");
        assert_eq!(fixture.ok("GET", &uri, Value::Null), expected);
    }
}

#[test]
fn what_is_not_given_is_shown_with_the_default_of_its_type() {
    let (fixture, responses) = api();
    let uri = format!("{responses}/MISSING_AUTHENTICATION_TOKEN");
    let parameters = json!({ "gatewayresponse.header.a": "method.request.header.Accept" });
    let templates = json!({ "text/plain": "$context.stage" });
    for (given, status, parameters, templates) in [
        (json!({ "statusCode": "404" }), "404", json!({}), default_templates()),
        (json!({ "responseParameters": parameters }), "403", parameters, default_templates()),
        (json!({ "responseTemplates": templates }), "403", json!({}), templates),
    ] {
        let made = fixture.call("PUT", &uri, given);
        let expected = json!({
            "responseType": "MISSING_AUTHENTICATION_TOKEN",
            "statusCode": status,
            "responseParameters": parameters,
            "responseTemplates": templates,
            "defaultResponse": false,
        });
        assert_eq!((made.status, made.body), (201, expected.clone()));
        assert_eq!(fixture.ok("GET", &uri, Value::Null), expected);
    }
    assert_eq!(fixture.call("DELETE", &uri, Value::Null).status, 202);
    assert_eq!(fixture.ok("GET", &uri, Value::Null)["defaultResponse"], true);
    assert_eq!(
        fixture.refused("DELETE", &uri, Value::Null),
        "404 NotFoundException: Gateway response type not defined on api"
    );
}

#[test]
fn types_show_what_they_fall_back_to() {
    let (fixture, responses) = api();
    let parameters = json!({ "gatewayresponse.header.a": "'b'" });
    let given = json!({ "statusCode": "599", "responseParameters": parameters });
    fixture.ok("PUT", &format!("{responses}/DEFAULT_5XX"), given);
    fixture.ok("PUT", &format!("{responses}/AUTHORIZER_FAILURE"), json!({}));
    let get = |name: &str| fixture.ok("GET", &format!("{responses}/{name}"), Value::Null);
    let inherited = get("INTEGRATION_FAILURE");
    assert_eq!(
        (&inherited["statusCode"], &inherited["defaultResponse"], &inherited["responseParameters"]),
        (&json!("599"), &json!(true), &parameters)
    );
    assert_eq!(get("AUTHORIZER_FAILURE")["statusCode"], "500");
    assert_eq!(get("THROTTLED")["statusCode"], "429");
}

#[test]
fn members_are_patched_one_by_one() {
    let (fixture, responses) = api();
    let uri = format!("{responses}/DEFAULT_4XX");
    let header = "/responseParameters/gatewayresponse.header.a";
    let (json_template, xml) =
        ("/responseTemplates/application~1json", "/responseTemplates/application~1xml");
    for (op, path, value, member, expected) in [
        // Not customised before.
        ("replace", "/statusCode", "444", "statusCode", json!("444")),
        ("add", header, "'1'", "responseParameters", json!({ "gatewayresponse.header.a": "'1'" })),
        (
            "replace",
            header,
            "'2'",
            "responseParameters",
            json!({ "gatewayresponse.header.a": "'2'" }),
        ),
        ("remove", header, "", "responseParameters", json!({})),
        ("replace", json_template, "{}", "responseTemplates", json!({ "application/json": "{}" })),
        (
            "add",
            xml,
            "<a/>",
            "responseTemplates",
            json!({ "application/json": "{}", "application/xml": "<a/>" }),
        ),
        ("remove", json_template, "", "responseTemplates", json!({ "application/xml": "<a/>" })),
    ] {
        let changed = fixture.ok("PATCH", &uri, patch(op, path, value));
        assert_eq!(changed[member], expected, "{op} {path}");
        assert_eq!(changed["defaultResponse"], false);
        assert_eq!(changed, fixture.ok("GET", &uri, Value::Null));
    }
    for (given, expected) in [
        (
            patch("add", "/statusCode", "404"),
            "400 BadRequestException: Invalid patch path /statusCode",
        ),
        (
            patch("remove", "/statusCode", "404"),
            "400 BadRequestException: Invalid patch path /statusCode",
        ),
        (
            patch("replace", "/wrongPath", "x"),
            "400 BadRequestException: Invalid patch path /wrongPath",
        ),
        (
            json!({ "patchOperations": [{ "op": "add", "value": "x" }] }),
            "400 BadRequestException: Invalid patch path null",
        ),
        (
            patch("replace", header, "'3'"),
            "404 NotFoundException: Invalid parameter name specified",
        ),
        (patch("remove", header, ""), "404 NotFoundException: Invalid parameter name specified"),
        (
            patch("remove", json_template, ""),
            "404 NotFoundException: Content-Type specified was not found",
        ),
        (
            patch("replace", header, ""),
            "400 BadRequestException: Invalid null or empty value in responseParameters",
        ),
        (
            json!({ "patchOperations": [{ "op": "replace", "path": xml }] }),
            "400 BadRequestException: Invalid null or empty value in responseTemplates",
        ),
    ] {
        assert_eq!(fixture.refused("PATCH", &uri, given.clone()), expected, "{given}");
    }
}

#[test]
fn wrong_gateway_responses_are_refused() {
    let (fixture, responses) = api();
    let uri = format!("{responses}/THROTTLED");
    for (given, expected) in [
        (
            json!({ "statusCode": "wrong" }),
            r"400 ValidationException: 1 validation error detected: Value 'wrong' at 'putGatewayResponseInput.statusCode' failed to satisfy constraint: Member must satisfy regular expression pattern: [1-5]\d\d",
        ),
        (
            json!({ "statusCode": "100" }),
            "400 BadRequestException: Invalid statusCode specified: 100. Must be 200 to 599",
        ),
        (
            json!({ "responseTemplates": { "123": "x" } }),
            "400 BadRequestException: Validation Result: warnings : [], errors : [Invalid content type specified: 123]",
        ),
        (
            json!({ "responseParameters": { "header.a": "'b'" } }),
            "400 BadRequestException: Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression parameter specified: header.a]",
        ),
        (
            json!({ "responseParameters": { "gatewayresponse.header.a": "b" } }),
            "400 BadRequestException: Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression parameter specified: b]",
        ),
    ] {
        assert_eq!(fixture.refused("PUT", &uri, given), expected);
    }
    let unknown = "400 ValidationException: 1 validation error detected: Value 'FAKE' at 'responseType' failed to satisfy constraint: Member must satisfy enum value set: [REQUEST_TOO_LARGE, RESOURCE_NOT_FOUND, ";
    for method in ["PUT", "GET", "PATCH", "DELETE"] {
        let refused = fixture.refused(method, &format!("{responses}/FAKE"), Value::Null);
        assert!(refused.starts_with(unknown), "{method}: {refused}");
    }
    let no_api = "404 NotFoundException: Invalid API identifier specified 123456789012:abcde12345";
    for (method, uri) in [
        ("GET", "/restapis/abcde12345/gatewayresponses"),
        ("DELETE", "/restapis/abcde12345/gatewayresponses/THROTTLED"),
    ] {
        assert_eq!(fixture.refused(method, uri, Value::Null), no_api);
    }
}

#[test]
fn every_type_has_a_name_in_the_refusal() {
    let mut names = super::TYPE_NAMES;
    names.sort_unstable();
    assert_eq!(names, super::GatewayResponseType::ALL.map(|(_, name)| name));
}
