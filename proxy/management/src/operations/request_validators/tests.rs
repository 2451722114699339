use serde_json::{Value, json};

use crate::testing::fixture;

const MISSING: &str = "404 NotFoundException: Invalid Request Validator identifier specified";

#[test]
fn a_validator_lives_from_create_to_delete() {
    let fixture = fixture();
    let validators = format!("/restapis/{}/requestvalidators", fixture.api().0);
    let made =
        fixture.call("POST", &validators, json!({ "name": "all", "validateRequestBody": true }));
    assert_eq!(made.status, 201);
    let id = made.body["id"].as_str().unwrap();
    let expected = json!({
        "id": id,
        "name": "all",
        "validateRequestBody": true,
        "validateRequestParameters": false,
    });
    assert_eq!(made.body, expected);
    let uri = format!("{validators}/{id}");
    assert_eq!(fixture.ok("GET", &uri, Value::Null), expected);
    assert_eq!(fixture.ok("GET", &validators, Value::Null), json!({ "item": [expected] }));
    assert_eq!(fixture.call("DELETE", &uri, Value::Null).status, 202);
    assert_eq!(fixture.refused("GET", &uri, Value::Null), MISSING);
    assert_eq!(fixture.refused("DELETE", &uri, Value::Null), MISSING);
}

#[test]
fn patches_are_read_as_recorded() {
    let fixture = fixture();
    let validators = format!("/restapis/{}/requestvalidators", fixture.api().0);
    let made = fixture.ok("POST", &validators, json!({ "name": "all" }));
    let uri = format!("{validators}/{}", made["id"].as_str().unwrap());
    let patch = |patch: Value| json!({ "patchOperations": [patch] });
    let body = "/validateRequestBody";
    for (given, expected) in [
        (json!({ "op": "replace", "path": body, "value": "true" }), true),
        // Without a value.
        (json!({ "op": "replace", "path": body }), false),
        (json!({ "op": "replace", "path": body, "value": "TRUE" }), true),
        (json!({ "op": "replace", "path": body, "value": "yes" }), false),
    ] {
        let changed = fixture.ok("PATCH", &uri, patch(given));
        assert_eq!(changed["validateRequestBody"], expected);
        assert_eq!(changed, fixture.ok("GET", &uri, Value::Null));
    }
    for (given, expected) in [
        (
            json!({ "op": "add", "path": body, "value": "true" }),
            "Invalid patch path  '/validateRequestBody' specified for op 'add'. Please choose supported operations",
        ),
        (
            json!({ "op": "replace", "path": "/invalidPath", "value": "true" }),
            "Invalid patch path  '/invalidPath' specified for op 'replace'. Must be one of: [/name, /validateRequestParameters, /validateRequestBody]",
        ),
        (
            json!({ "op": "replace", "path": "/name", "value": "" }),
            "Request Validator name cannot be blank",
        ),
        (json!({ "op": "replace", "path": "/name" }), "Request Validator name cannot be blank"),
    ] {
        let refused = fixture.refused("PATCH", &uri, patch(given));
        assert_eq!(refused, format!("400 BadRequestException: {expected}"));
    }
}

#[test]
fn a_missing_api_is_told_as_recorded() {
    let fixture = fixture();
    let validators = "/restapis/abcde12345/requestvalidators";
    assert_eq!(
        fixture.refused("POST", validators, json!({ "name": "all" })),
        "400 BadRequestException: Invalid REST API identifier specified"
    );
    assert_eq!(
        fixture.refused("GET", validators, Value::Null),
        "404 NotFoundException: Invalid API identifier specified 123456789012:abcde12345"
    );
    assert_eq!(fixture.refused("GET", &format!("{validators}/abc123"), Value::Null), MISSING);
}

#[test]
fn a_validator_that_a_method_uses_stays() {
    let fixture = fixture();
    let (api, _) = fixture.api();
    let validators = format!("/restapis/{api}/requestvalidators");
    let made = fixture.ok("POST", &validators, json!({ "name": "all" }));
    let uri = format!("{validators}/{}", made["id"].as_str().unwrap());
    let method = json!({ "httpMethod": "GET", "authorizationType": "NONE", "requestValidatorId": made["id"] });
    let resource = json!({ "id": "abc123", "path": "/test", "resourceMethods": { "GET": method } });
    fixture.put(&api, "resources", "abc123", resource);
    assert_eq!(
        fixture.refused("DELETE", &uri, Value::Null),
        "409 ConflictException: Cannot delete request validator 'all', is referenced in method: GET//test"
    );
}
