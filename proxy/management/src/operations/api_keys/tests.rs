use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use crate::http::{Handler as _, Request};
use crate::testing::{Fixture, fixture, patch};

fn create(fixture: &Fixture, body: Value) -> Value {
    fixture.ok("POST", "/apikeys", body)
}

fn id(value: &Value) -> &str {
    value["id"].as_str().unwrap()
}

/// Imports a file; status and body.
fn import(fixture: &Fixture, query: &str, file: &str) -> (u16, Value) {
    let response = fixture.management.call(Request {
        method: Method::POST,
        path: "/apikeys".to_owned(),
        query: Some(format!("mode=import&{query}")),
        headers: HeaderMap::new(),
        body: Bytes::from(file.to_owned()),
    });
    (response.status, serde_json::from_slice(&response.body).unwrap())
}

#[test]
fn a_key_lives() {
    let fixture = fixture();
    let mut key = create(
        &fixture,
        json!({"name": "first", "description": "d", "enabled": true, "customerId": "c", "tags": {"a": "b"}}),
    );
    let value = key["value"].as_str().unwrap().to_owned();
    assert!(value.len() == 40 && value.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{value}");
    assert_eq!(id(&key).len(), 10);
    assert_eq!(key["stageKeys"], json!([]));

    let uri = format!("/apikeys/{}", id(&key));
    assert_eq!(fixture.ok("GET", &format!("{uri}?includeValue=true"), Value::Null), key);
    key.as_object_mut().unwrap().remove("value");
    assert_eq!(fixture.ok("GET", &uri, Value::Null), key);

    for (path, value) in [("name", "second"), ("description", ""), ("customerId", "e")] {
        key[path] = json!(value);
        let patched = fixture.ok("PATCH", &uri, patch("replace", &format!("/{path}"), value));
        assert_eq!(patched[path], value);
    }
    key["enabled"] = json!(false);
    fixture.ok("PATCH", &uri, patch("replace", "/enabled", "false"));
    key["lastUpdatedDate"] = fixture.ok("GET", &uri, Value::Null)["lastUpdatedDate"].clone();
    assert_eq!(fixture.ok("GET", &uri, Value::Null), key);

    assert_eq!(fixture.call("DELETE", &uri, Value::Null).status, 202);
    let missing = "404 NotFoundException: Invalid API Key identifier specified";
    fixture.misses(&["GET", "DELETE"], &uri, missing);
    // The value is free again.
    create(&fixture, json!({"value": value}));
}

#[test]
fn no_two_keys_have_one_value() {
    let fixture = fixture();
    create(&fixture, json!({"value": "a-value-of-twenty-00"}));
    assert_eq!(
        fixture.refused("POST", "/apikeys", json!({"value": "a-value-of-twenty-00"})),
        "409 ConflictException: API Key already exists"
    );
    let (one, other) = (create(&fixture, json!({})), create(&fixture, json!({})));
    assert_ne!(one["value"], other["value"]);
}

#[test]
fn what_is_no_key_is_refused_in_awss_words() {
    let fixture = fixture();
    let uri = format!("/apikeys/{}", id(&create(&fixture, json!({}))));
    for (method, uri, body, refused) in [
        (
            "POST",
            "/apikeys",
            json!({"value": "a".repeat(19)}),
            "API Key value should be at least 20 characters",
        ),
        (
            "POST",
            "/apikeys",
            json!({"value": "a".repeat(129)}),
            "API Key value exceeds maximum size of 128 characters",
        ),
        (
            "POST",
            "/apikeys",
            json!({"name": "a".repeat(1025)}),
            "Invalid API Key name, can be at most 1024 characters.",
        ),
        (
            "PATCH",
            &uri,
            patch("replace", "/value", "a"),
            "Invalid patch path  '/value' specified for op 'replace'. Must be one of: [/customerId, /description, /enabled, /name]",
        ),
        (
            "PATCH",
            &uri,
            patch("copy", "/name", "a"),
            "Invalid patch path  '/name' specified for op 'copy'. Please choose supported operations",
        ),
    ] {
        let refused = format!("400 BadRequestException: {refused}");
        assert_eq!(fixture.refused(method, uri, body), refused);
    }
    assert_eq!(
        fixture.refused(
            "POST",
            "/apikeys",
            json!({"stageKeys": [{"restApiId": "a", "stageName": "b"}]})
        ),
        "404 NotFoundException: Invalid stage identifier specified"
    );
}

#[test]
fn keys_are_listed_by_name_and_customer() {
    let fixture = fixture();
    for (name, customer) in [("gold-1", "a"), ("gold-2", "b"), ("silver", "b")] {
        create(&fixture, json!({"name": name, "customerId": customer}));
    }
    let names = |query: &str| {
        let list = fixture.ok("GET", &format!("/apikeys?{query}"), Value::Null);
        let items = list["item"].as_array().unwrap();
        let mut names: Vec<_> =
            items.iter().map(|key| key["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names("name=gold"), ["gold-1", "gold-2"]);
    assert_eq!(names("customerId=b"), ["gold-2", "silver"]);
    assert_eq!(names("name=gold&customerId=b"), ["gold-2"]);
    assert_eq!(names("name=bronze"), [""; 0]);
    let with_values = fixture.ok("GET", "/apikeys?includeValues=true", Value::Null);
    let without = fixture.ok("GET", "/apikeys", Value::Null);
    assert!(with_values["item"][0]["value"].is_string());
    assert!(without["item"][0]["value"].is_null());

    let first = fixture.ok("GET", "/apikeys?limit=2", Value::Null);
    let position = first["position"].as_str().unwrap();
    let rest = fixture.ok("GET", &format!("/apikeys?limit=2&position={position}"), Value::Null);
    assert_eq!(
        (first["item"].as_array().unwrap().len(), rest["item"].as_array().unwrap().len()),
        (2, 1)
    );
    assert!(rest["position"].is_null());
}

#[test]
fn a_file_of_keys_is_imported_with_its_plans() {
    let fixture = fixture();
    let plan = fixture.ok("POST", "/usageplans", json!({"name": "gold"}));
    let plan = id(&plan).to_owned();
    let known = create(&fixture, json!({"value": "a-key-that-is-known-0", "name": "old"}));
    let file = format!(
        "name,KEY,description,enabled,usageplanids\n\
         one,a-key-that-is-new-000,\"the first, really\",false,{plan}\n\
         two,a-key-that-is-known-0,,,\"{plan},nope00\"\n\
         one again,a-key-that-is-new-000,the last,,\n\
         short,abc,,,\n"
    );
    let (status, imported) = import(&fixture, "format=csv", &file);
    assert_eq!(status, 201, "{imported}");
    assert_eq!(
        imported["warnings"],
        json!([
            "line 3: Invalid Usage Plan ID specified: nope00",
            "line 5: API Key value should be at least 20 characters"
        ])
    );
    let ids = imported["ids"].as_array().unwrap();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[1], known["id"]);
    let new = fixture.ok("GET", &format!("/apikeys/{}", ids[0].as_str().unwrap()), Value::Null);
    assert_eq!(
        json!([new["name"], new["description"], new["enabled"]]),
        json!(["one again", "the last", true])
    );
    let keys = fixture.ok("GET", &format!("/usageplans/{plan}/keys"), Value::Null);
    assert_eq!(keys["item"].as_array().unwrap().len(), 2);
    // Once more: nothing is there twice.
    let (_, again) = import(&fixture, "format=csv", &file);
    assert_eq!(again, imported);
}

#[test]
fn an_import_that_must_not_warn_writes_nothing() {
    let fixture = fixture();
    let file = "name,key\none,a-key-that-is-new-000\nshort,abc\n";
    let (status, refused) = import(&fixture, "format=csv&failonwarnings=true", file);
    assert_eq!(
        (status, refused["message"].as_str().unwrap()),
        (
            400,
            "Warnings found during import: line 3: API Key value should be at least 20 characters"
        )
    );
    assert_eq!(fixture.ok("GET", "/apikeys", Value::Null), json!({"item": []}));
    for (query, file, message) in [
        (
            "format=csv",
            "",
            "line 1: is empty; allowed: a heading with Name and Key, and a line for each key",
        ),
        (
            "format=xml",
            "a",
            "1 validation error detected: Value 'xml' at 'importApiKeysInput.format' failed to satisfy constraint: Member must satisfy enum value set: [csv]",
        ),
        (
            "",
            "a",
            "1 validation error detected: Value null at 'importApiKeysInput.format' failed to satisfy constraint: Member must not be null",
        ),
    ] {
        let (status, refused) = import(&fixture, query, file);
        assert_eq!((status, refused["message"].as_str().unwrap()), (400, message));
    }
}
