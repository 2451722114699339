use serde_json::{Value, json};

use crate::testing::{Fixture, fixture, replace};

const PET: &str = r#"{"title":"Pet","type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"}}}"#;

fn model(name: &str, schema: &str) -> Value {
    json!({ "name": name, "contentType": "application/json", "schema": schema })
}

/// An API with the model `Pet`, and the URI of its models.
fn with_pet() -> (Fixture, String) {
    let fixture = fixture();
    let models = format!("/restapis/{}/models", fixture.api().0);
    fixture.ok("POST", &models, model("Pet", PET));
    (fixture, models)
}

#[test]
fn a_model_is_answered_as_it_was_made() {
    let fixture = fixture();
    let models = format!("/restapis/{}/models", fixture.api().0);
    let made = fixture.call("POST", &models, model("Pet", PET));
    assert_eq!(made.status, 201);
    let mut members: Vec<_> = made.body.as_object().unwrap().keys().collect();
    members.sort();
    assert_eq!(members, ["contentType", "id", "name", "schema"]);
    assert_eq!(made.body["schema"], PET);
    assert_eq!(fixture.ok("GET", &format!("{models}/Pet"), Value::Null), made.body);
    let listed = fixture.ok("GET", &models, Value::Null);
    let names: Vec<_> = listed["item"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["Empty", "Error", "Pet"]);
}

#[test]
fn a_wrong_model_is_refused_in_aws_words() {
    let (fixture, models) = with_pet();
    let at_least_one = "400 BadRequestException: Model schema must have at least 1 property or array items defined";
    let invalid = "400 BadRequestException: Invalid model specified: Validation Result: warnings : [], errors : [Invalid model schema specified. ";
    for (given, expected) in [
        (model("Pet", PET), "409 ConflictException: Model name already exists for this REST API"),
        (model("", PET), "400 BadRequestException: Model name must be non-empty"),
        (model("my_pet", PET), "400 BadRequestException: Model name must be alphanumeric: my_pet"),
        (model("Bare", ""), at_least_one),
        (model("Bare", "{}"), at_least_one),
        (json!({ "name": "Bare", "contentType": "application/xml" }), at_least_one),
        (model("Broken", "{\"type\":"), invalid),
        (model("Broken", "[]"), invalid),
        (model("Broken", r#"{"type":"pet"}"#), invalid),
        (model("Broken", r#"{"properties":{"a":{"maxLength":"35"}}}"#), invalid),
        (
            json!({ "name": "Bare" }),
            "400 ValidationException: 1 validation error detected: Value null at 'createModelInput.contentType' failed to satisfy constraint: Member must not be null",
        ),
    ] {
        let refused = fixture.refused("POST", &models, given.clone());
        assert!(refused.starts_with(expected), "{given}: {refused}");
    }
    let huge = format!(r#"{{"description":"{}"}}"#, "x".repeat(400 * 1024));
    assert!(fixture.refused("POST", &models, model("Huge", &huge)).starts_with(invalid));
    // Only JSON has a schema that is JSON.
    let text = json!({ "name": "Xml", "contentType": "application/xml", "schema": "<pet/>" });
    fixture.ok("POST", &models, text);
}

#[test]
fn a_missing_api_is_named_only_where_aws_does() {
    let fixture = fixture();
    let no_api = "404 NotFoundException: Invalid API identifier specified 123456789012:abcde12345";
    let no_model = "404 NotFoundException: Invalid model name specified: Pet";
    let models = "/restapis/abcde12345/models";
    assert_eq!(fixture.refused("POST", models, model("Pet", PET)), no_api);
    assert_eq!(fixture.refused("GET", models, Value::Null), no_api);
    for (method, uri) in [
        ("GET", "/restapis/abcde12345/models/Pet"),
        ("DELETE", "/restapis/abcde12345/models/Pet"),
        ("GET", "/restapis/abcde12345/models/Pet/default_template"),
    ] {
        assert_eq!(fixture.refused(method, uri, Value::Null), no_model, "{method} {uri}");
    }
}

#[test]
fn description_and_schema_are_patched_and_nothing_else() {
    let (fixture, models) = with_pet();
    let pet = format!("{models}/Pet");
    let changed = fixture.ok("PATCH", &pet, replace("/description", "a pet"));
    assert_eq!((&changed["description"], &changed["schema"]), (&json!("a pet"), &json!(PET)));
    let array = r#"{"type":"array","items":{"type":"string"}}"#;
    let changed = fixture.ok("PATCH", &pet, replace("/schema", array));
    assert_eq!(changed["schema"], array);
    let refusals = [
        (
            "replace",
            "/name",
            "x",
            "Invalid patch path  '/name' specified for op 'replace'. Must be one of: [/description, /schema]",
        ),
        (
            "add",
            "/wrong-path",
            "x",
            "Invalid patch path  '/wrong-path' specified for op 'add'. Please choose supported operations",
        ),
        (
            "replace",
            "/schema",
            "",
            "Model schema must have at least 1 property or array items defined",
        ),
    ];
    fixture.refuses_patches(&pet, &refusals);
    assert_eq!(fixture.ok("GET", &pet, Value::Null)["schema"], array);
}

#[test]
fn a_model_that_a_method_uses_stays() {
    let (fixture, models) = with_pet();
    let api = models.split('/').nth(2).unwrap();
    let method = |members: Value| {
        let mut method =
            json!({ "httpMethod": "ANY", "authorizationType": "NONE", "apiKeyRequired": false });
        method.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let resource =
            json!({ "id": "abc123", "path": "/test", "resourceMethods": { "ANY": method } });
        fixture.put(api, "resources", "abc123", resource);
    };
    let pet = format!("{models}/Pet");
    let responses =
        json!({ "200": { "statusCode": "200", "responseModels": { "application/json": "Pet" } } });
    for (members, place) in [
        (json!({ "requestModels": { "application/json": "Pet" } }), "method request: /test/ANY"),
        (json!({ "methodResponses": responses }), "method response: /test/ANY/200"),
    ] {
        method(members);
        assert_eq!(
            fixture.refused("DELETE", &pet, Value::Null),
            format!("409 ConflictException: Cannot delete model 'Pet', is referenced in {place}")
        );
    }
    method(json!({}));
    assert_eq!(fixture.call("DELETE", &pet, Value::Null).status, 202);
    assert_eq!(fixture.call("GET", &pet, Value::Null).status, 404);
}

#[test]
fn a_flattened_schema_holds_the_models_it_refers_to() {
    let (fixture, models) = with_pet();
    let api = models.split('/').nth(2).unwrap();
    let reference =
        |name: &str| format!("https://apigateway.amazonaws.com/restapis/{api}/models/{name}");
    let pets = json!({ "type": "array", "items": { "$ref": reference("Pet") } });
    fixture.ok("POST", &models, model("Pets", &pets.to_string()));
    let tree = json!({ "properties": {
        "pets": { "$ref": reference("Pets") },
        "more": { "$ref": reference("Tree") },
        "lost": { "$ref": reference("Nowhere") },
    } });
    fixture.ok("POST", &models, model("Tree", &tree.to_string()));
    let schema = |uri: &str| {
        let model = fixture.ok("GET", &format!("{models}/{uri}"), Value::Null);
        serde_json::from_str::<Value>(model["schema"].as_str().unwrap()).unwrap()
    };
    assert_eq!(schema("Pets"), pets);
    assert_eq!(schema("Pets?flatten=false"), pets);
    let pet: Value = serde_json::from_str(PET).unwrap();
    let flat_pets = json!({ "type": "array", "items": pet });
    assert_eq!(schema("Pets?flatten=true"), flat_pets);
    let flat_tree = json!({ "properties": {
        "pets": flat_pets,
        "more": { "$ref": reference("Tree") },
        "lost": { "$ref": reference("Nowhere") },
    } });
    assert_eq!(schema("Tree?flatten=true"), flat_tree);
}

#[test]
fn models_that_multiply_are_not_flattened_without_end() {
    let (fixture, models) = with_pet();
    let refer = |name: &str| json!({ "$ref": format!("https://apigateway.amazonaws.com/restapis/a/models/{name}") });
    for level in 0..30 {
        let inner = refer(&format!("Level{}", level + 1));
        let schema = json!({ "properties": { "a": inner, "b": inner } });
        fixture.ok("POST", &models, model(&format!("Level{level}"), &schema.to_string()));
    }
    fixture.ok("POST", &models, model("Level30", PET));
    let refused = fixture.refused("GET", &format!("{models}/Level0?flatten=true"), Value::Null);
    assert_eq!(
        refused,
        "400 BadRequestException: The flattened schema would have over 4194304 bytes"
    );
    for level in 0..200 {
        let schema = json!({ "properties": { "a": refer(&format!("Deep{}", level + 1)) } });
        fixture.ok("POST", &models, model(&format!("Deep{level}"), &schema.to_string()));
    }
    let refused = fixture.refused("GET", &format!("{models}/Deep0?flatten=true"), Value::Null);
    assert_eq!(refused, "400 BadRequestException: The flattened schema would have over 128 levels");
}

#[test]
fn a_template_is_the_shape_of_its_model() {
    let (fixture, models) = with_pet();
    let calculator = r#"{"type":"object","properties":{"a":{"type":"number"},"b":{"type":"number"},"op":{"type":"string"},"c":{"type":"number"}}}"#;
    let nested = r#"{"allOf":[{"properties":{"tags":{"type":"array","items":{"properties":{"on":{"type":["null","boolean"]}}}}}},{"properties":{"n":{"type":"integer"}}}]}"#;
    for (name, schema) in [("Calculator", calculator), ("Nested", nested)] {
        fixture.ok("POST", &models, model(name, schema));
    }
    for (name, expected) in [
        // As AWS's documentation shows it.
        (
            "Calculator",
            "#set($inputRoot = $input.path('$'))\n{\n  \"a\" : 3.1415,\n  \"b\" : 3.1415,\n  \"op\" : \"foo\",\n  \"c\" : 3.1415\n}",
        ),
        ("Empty", "#set($inputRoot = $input.path('$'))\n{ }"),
        (
            "Nested",
            "#set($inputRoot = $input.path('$'))\n{\n  \"tags\" : [\n##TODO: Update this foreach loop to reference array from input json\n#foreach($elem in $inputRoot.TODO)\n   {\n    \"on\" : true\n  } \n#if($foreach.hasNext),#end\n#end\n  ],\n  \"n\" : 42\n}",
        ),
    ] {
        let uri = format!("{models}/{name}/default_template");
        assert_eq!(fixture.ok("GET", &uri, Value::Null), json!({ "value": expected }), "{name}");
    }
}

#[test]
fn a_name_that_the_store_cannot_keep_is_the_clients_mistake() {
    let fixture = fixture();
    let models = format!("/restapis/{}/models", fixture.api().0);
    assert_eq!(
        fixture.refused("POST", &models, model(&"P".repeat(5_000), PET)),
        "400 BadRequestException: This is more than can be kept: a key has 5028 bytes; allowed: up to 4096"
    );
}
