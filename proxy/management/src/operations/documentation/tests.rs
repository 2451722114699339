use serde_json::{Value, json};

use crate::testing::{Fixture, fixture, replace};

const PROPERTIES: &str = "{\"description\":\"a\"}";

/// An API and the URI of its documentation.
fn api() -> (Fixture, String, String) {
    let fixture = fixture();
    let (api, _) = fixture.api();
    let documentation = format!("/restapis/{api}/documentation");
    (fixture, api, documentation)
}

fn part(location: Value) -> Value {
    json!({ "location": location, "properties": PROPERTIES })
}

fn locations(listed: &Value) -> Vec<Value> {
    listed["item"].as_array().unwrap().iter().map(|part| part["location"].clone()).collect()
}

#[test]
fn a_part_lives_from_create_to_delete() {
    let (fixture, _, documentation) = api();
    let parts = format!("{documentation}/parts");
    let made = fixture.call("POST", &parts, part(json!({ "type": "API" })));
    assert_eq!(made.status, 201);
    let id = made.body["id"].as_str().unwrap();
    let expected = json!({ "id": id, "location": { "type": "API" }, "properties": PROPERTIES });
    assert_eq!(made.body, expected);
    let uri = format!("{parts}/{id}");
    assert_eq!(fixture.ok("GET", &uri, Value::Null), expected);
    let changed = fixture.ok("PATCH", &uri, replace("/properties", "{}"));
    assert_eq!(changed["properties"], "{}");
    let refusals = [
        (
            "add",
            "/properties",
            "{}",
            "Invalid patch path  '/properties' specified for op 'add'. Please choose supported operations",
        ),
        (
            "replace",
            "/invalidPath",
            "{}",
            "Invalid patch path  '/invalidPath' specified for op 'replace'. Must be one of: [/properties]",
        ),
        ("replace", "/properties", "[]", "Documentation part properties must be a JSON object"),
    ];
    fixture.refuses_patches(&uri, &refusals);
    assert_eq!(fixture.call("DELETE", &uri, Value::Null).status, 202);
    let missing = "404 NotFoundException: Invalid Documentation part identifier specified";
    fixture.misses(&["GET", "DELETE"], &uri, missing);
    // Recorded: each tells another way that there is no API.
    let elsewhere = "/restapis/abcde12345/documentation/parts/abc123";
    assert_eq!(fixture.refused("GET", elsewhere, Value::Null), missing);
    assert_eq!(
        fixture.refused("DELETE", elsewhere, Value::Null),
        "404 NotFoundException: Invalid API identifier specified 123456789012:abcde12345"
    );
}

#[test]
fn locations_have_the_fields_of_their_type() {
    let (fixture, _, documentation) = api();
    let parts = format!("{documentation}/parts");
    for (given, expected) in [
        (json!({ "type": "RESOURCE" }), json!({ "type": "RESOURCE", "path": "/" })),
        (
            json!({ "type": "METHOD", "path": "/a" }),
            json!({ "type": "METHOD", "path": "/a", "method": "*" }),
        ),
        (json!({ "type": "MODEL", "name": "Pet" }), json!({ "type": "MODEL", "name": "Pet" })),
        (
            json!({ "type": "RESPONSE_HEADER", "name": "X-A", "method": "GET" }),
            json!({ "type": "RESPONSE_HEADER", "name": "X-A", "method": "GET", "path": "/", "statusCode": "*" }),
        ),
        (
            json!({ "type": "REQUEST_BODY", "path": "/a", "method": "POST" }),
            json!({ "type": "REQUEST_BODY", "path": "/a", "method": "POST" }),
        ),
    ] {
        let made = fixture.ok("POST", &parts, part(given));
        assert_eq!(made["location"], expected);
    }
    let invalid = "400 BadRequestException: Invalid location: ";
    for (given, expected) in [
        (json!({ "type": "API", "path": "/" }), format!("{invalid}'path' is not a valid field of type 'API'")),
        (json!({ "type": "MODEL" }), format!("{invalid}'name' is required for type 'MODEL'")),
        (json!({ "type": "RESOURCE", "method": "GET" }), format!("{invalid}'method' is not a valid field of type 'RESOURCE'")),
        (json!({ "type": "METHOD", "path": "pets" }), format!("{invalid}'path' must begin with '/'")),
        (json!({ "type": "METHOD", "method": "get" }), format!("{invalid}'method' must be one of: [DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, ANY, *]")),
        (json!({ "type": "RESPONSE", "statusCode": "700" }), r"400 ValidationException: 1 validation error detected: Value '700' at 'createDocumentationPartInput.location.statusCode' failed to satisfy constraint: Member must satisfy regular expression pattern: ^([1-5]\d\d|\*|\s*)$".to_owned()),
        (json!({ "type": "INVALID" }), "400 ValidationException: 1 validation error detected: Value 'INVALID' at 'createDocumentationPartInput.location.type' failed to satisfy constraint: Member must satisfy enum value set: [RESPONSE_BODY, RESPONSE, METHOD, MODEL, AUTHORIZER, RESPONSE_HEADER, RESOURCE, PATH_PARAMETER, REQUEST_BODY, QUERY_PARAMETER, API, REQUEST_HEADER]".to_owned()),
        (json!({ "type": "METHOD", "path": "/a", "method": "*" }), "409 ConflictException: Documentation part already exists for the specified location: type 'METHOD', path '/a', method '*'.".to_owned()),
    ] {
        assert_eq!(fixture.refused("POST", &parts, part(given)), expected);
    }
    let no_object = json!({ "location": { "type": "API" }, "properties": "text" });
    let refused = fixture.refused("POST", &parts, no_object);
    assert!(refused.starts_with(
        "400 BadRequestException: Documentation part properties must be a JSON object: "
    ));
}

#[test]
fn parts_are_listed_by_type_name_and_path() {
    let (fixture, _, documentation) = api();
    let parts = format!("{documentation}/parts");
    let resource = |path: &str| json!({ "type": "RESOURCE", "path": path });
    let models = ["Cat", "Dog"].map(|name| json!({ "type": "MODEL", "name": name }));
    for location in models.iter().chain(&[resource("/a"), resource("/b")]) {
        fixture.ok("POST", &parts, part(location.clone()));
    }
    for (query, expected) in [
        ("type=RESOURCE&path=/b", vec![resource("/b")]),
        ("name=Dog", vec![models[1].clone()]),
        ("type=API", vec![]),
        ("locationStatus=DOCUMENTED&path=/a", vec![resource("/a")]),
    ] {
        let listed = fixture.ok("GET", &format!("{parts}?{query}"), Value::Null);
        assert_eq!(locations(&listed), expected, "{query}");
    }
    let first = fixture.ok("GET", &format!("{parts}?type=MODEL&limit=1"), Value::Null);
    let position = first["position"].as_str().unwrap();
    let second =
        fixture.ok("GET", &format!("{parts}?type=MODEL&limit=1&position={position}"), Value::Null);
    assert_eq!(second["item"].as_array().unwrap().len(), 1);
    assert!(second.get("position").is_none());
    assert_ne!(first["item"], second["item"]);
    for query in ["type=PET", "locationStatus=LOST"] {
        let refused = fixture.refused("GET", &format!("{parts}?{query}"), Value::Null);
        assert!(refused.starts_with("400 ValidationException: "), "{refused}");
    }
}

#[test]
fn entities_without_a_part_are_undocumented() {
    let (fixture, api, documentation) = api();
    let parts = format!("{documentation}/parts");
    let responses = json!({ "200": {
        "statusCode": "200",
        "responseParameters": { "method.response.header.X-A": true },
    } });
    let method = json!({
        "httpMethod": "GET",
        "authorizationType": "NONE",
        "requestParameters": { "method.request.querystring.page": false },
        "methodResponses": responses,
    });
    let resource = json!({ "id": "abc123", "path": "/pets", "resourceMethods": { "GET": method } });
    fixture.put(&api, "resources", "abc123", resource);
    let of_pets = format!("{parts}?locationStatus=UNDOCUMENTED&path=/pets");
    let method = |part_type: &str| json!({ "type": part_type, "path": "/pets", "method": "GET" });
    let mut parameter = method("QUERY_PARAMETER");
    parameter["name"] = "page".into();
    let mut response = method("RESPONSE");
    response["statusCode"] = "200".into();
    let mut header = response.clone();
    header["type"] = "RESPONSE_HEADER".into();
    header["name"] = "X-A".into();
    let resource = json!({ "type": "RESOURCE", "path": "/pets" });
    assert_eq!(
        locations(&fixture.ok("GET", &of_pets, Value::Null)),
        [resource.clone(), method("METHOD"), parameter.clone(), response, header.clone()]
    );
    // Responses inherit from more general ones; resources and methods don't.
    for documented in [
        json!({ "type": "RESPONSE" }),
        json!({ "type": "QUERY_PARAMETER", "name": "other" }),
        json!({ "type": "METHOD" }),
        json!({ "type": "RESPONSE_HEADER", "name": "X-A", "path": "/pet" }),
    ] {
        fixture.ok("POST", &parts, part(documented));
    }
    assert_eq!(
        locations(&fixture.ok("GET", &of_pets, Value::Null)),
        [resource, method("METHOD"), parameter, header]
    );
    let all = fixture.ok("GET", &format!("{parts}?locationStatus=UNDOCUMENTED"), Value::Null);
    assert!(locations(&all).contains(&json!({ "type": "API" })));
    assert!(locations(&all).contains(&json!({ "type": "MODEL", "name": "Empty" })));
}

#[test]
fn a_document_brings_its_parts() {
    let (fixture, _, documentation) = api();
    let parts = format!("{documentation}/parts");
    let made = fixture.ok("POST", &parts, part(json!({ "type": "API" })));
    fixture.ok("POST", &parts, part(json!({ "type": "MODEL", "name": "Pet" })));
    let document = |parts: Value| {
        json!({
            "swagger": "2.0",
            "x-amazon-apigateway-documentation": { "version": "1", "documentationParts": parts },
        })
    };
    let given = document(json!([
        { "location": { "type": "METHOD", "path": "/" }, "properties": { "summary": "b" } },
        { "location": { "type": "API" }, "properties": { "description": "c" } },
    ]));
    let merged = fixture.ok("PUT", &format!("{parts}?mode=merge"), given.clone());
    let ids = merged["ids"].as_array().unwrap();
    assert_eq!((ids.len(), &ids[1]), (2, &made["id"]));
    assert!(merged.get("warnings").is_none());
    let api_part = fixture.ok("GET", &format!("{parts}/{}", ids[1].as_str().unwrap()), Value::Null);
    assert_eq!(api_part["properties"], "{\"description\":\"c\"}");
    assert_eq!(locations(&fixture.ok("GET", &parts, Value::Null)).len(), 3);
    fixture.ok("PUT", &format!("{parts}?mode=overwrite"), given);
    assert_eq!(locations(&fixture.ok("GET", &parts, Value::Null)).len(), 2);

    let wrong = document(json!([
        { "location": { "type": "PET" }, "properties": {} },
        { "location": { "type": "MODEL", "name": "Cat" }, "properties": {} },
        { "location": { "type": "MODEL", "name": "Cat" }, "properties": { "title": "d" } },
        { "location": { "type": "MODEL" }, "properties": {} },
        { "location": { "type": "API" }, "properties": 1 },
        { "properties": {} },
    ]));
    let refused = fixture.refused(
        "PUT",
        &format!("{parts}?mode=overwrite&failonwarnings=true"),
        wrong.clone(),
    );
    assert!(refused.starts_with("400 BadRequestException: Warnings found during import:\n\tDocumentation part 0 is ignored: 'PET' is not a type of location\n\t"), "{refused}");
    assert_eq!(locations(&fixture.ok("GET", &parts, Value::Null)).len(), 2);
    let imported = fixture.ok("PUT", &parts, wrong);
    assert_eq!(imported["ids"].as_array().unwrap().len(), 1);
    assert_eq!(imported["warnings"].as_array().unwrap().len(), 5);
    for (given, expected) in [
        (Value::Null, "Unable to build importer with provided input. "),
        (
            json!({ "swagger": "2.0" }),
            "Unable to build importer with provided input. The document has no x-amazon-apigateway-documentation at its root",
        ),
    ] {
        let refused = fixture.refused("PUT", &parts, given);
        assert!(refused.starts_with(&format!("400 BadRequestException: {expected}")), "{refused}");
    }
}

#[test]
fn a_version_lives_from_create_to_delete() {
    let (fixture, api, documentation) = api();
    let versions = format!("{documentation}/versions");
    let stage = json!({
        "deploymentId": "abc123",
        "stageName": "prod",
        "cacheClusterEnabled": false,
        "cacheClusterStatus": "NOT_AVAILABLE",
        "methodSettings": {},
        "variables": {},
        "tracingEnabled": false,
        "createdDate": 1,
        "lastUpdatedDate": 1,
    });
    fixture.put(&api, "stages", "prod", stage);
    let shown = || {
        let stage = fixture.ok("GET", &format!("/restapis/{api}/stages/prod"), Value::Null);
        stage.get("documentationVersion").cloned()
    };
    let given =
        json!({ "documentationVersion": "1.0", "description": "first", "stageName": "lost" });
    assert_eq!(
        fixture.refused("POST", &versions, given.clone()),
        "404 NotFoundException: Invalid stage identifier specified"
    );
    let mut given = given;
    given["stageName"] = "prod".into();
    let made = fixture.call("POST", &versions, given.clone());
    assert_eq!(made.status, 201);
    assert!(made.body["createdDate"].is_i64());
    assert_eq!(
        (&made.body["version"], &made.body["description"]),
        (&json!("1.0"), &json!("first"))
    );
    assert_eq!(shown(), Some(json!("1.0")));
    assert_eq!(
        fixture.refused("POST", &versions, given),
        "409 ConflictException: Documentation version '1.0' already exists for this REST API"
    );
    let uri = format!("{versions}/1.0");
    let patch =
        json!({ "patchOperations": [{ "op": "replace", "path": "/description", "value": "new" }] });
    assert_eq!(fixture.ok("PATCH", &uri, patch)["description"], "new");
    let listed = fixture.ok("GET", &versions, Value::Null);
    assert_eq!(listed, json!({ "item": [fixture.ok("GET", &uri, Value::Null)] }));
    assert_eq!(fixture.call("DELETE", &uri, Value::Null).status, 202);
    assert_eq!(shown(), None);
    assert_eq!(
        fixture.refused("GET", &uri, Value::Null),
        "404 NotFoundException: Invalid Documentation version identifier specified"
    );
}
