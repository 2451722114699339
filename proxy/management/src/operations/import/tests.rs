use std::time::Instant;

use http::HeaderMap;
use serde_json::{Value, json};

use crate::http::{Handler, Request};
use crate::testing::{Fixture, fixture};

fn pets() -> Value {
    json!({
        "openapi": "3.0.1",
        "info": {"title": "pets", "description": "all of them", "version": "1"},
        "x-amazon-apigateway-binary-media-types": ["image/png"],
        "x-amazon-apigateway-policy": {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/*"},
        ]},
        "x-amazon-apigateway-request-validators": {"body": {"validateRequestBody": true}},
        "x-amazon-apigateway-documentation": {"documentationParts": [
            {"location": {"type": "API"}, "properties": {"description": "pets"}},
        ]},
        "components": {
            "schemas": {"Pet": {"type": "object", "properties": {"mother": {"$ref": "#/components/schemas/Pet"}}}},
            "securitySchemes": {"token": {
                "type": "apiKey", "in": "header", "name": "token",
                "x-amazon-apigateway-authorizer": {
                    "type": "token",
                    "authorizerUri": "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/f/invocations",
                },
            }},
        },
        "paths": {
            "/pets": {"post": {
                "security": [{"token": []}],
                "x-amazon-apigateway-request-validator": "body",
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}},
                "responses": {"200": {"description": "ok"}},
                "x-amazon-apigateway-integration": {"type": "mock", "responses": {"default": {"statusCode": "200"}}},
            }},
            "/pets/{id}": {"get": {"x-amazon-apigateway-integration": {"type": "mock"}}},
        },
    })
}

fn one_method(path: &str) -> Value {
    let operation = json!({"x-amazon-apigateway-integration": {"type": "mock"}});
    json!({"openapi": "3.0.1", "info": {"title": "toys"}, "paths": {path: {"get": operation}}})
}

fn imported(fixture: &Fixture, document: Value) -> String {
    let api = fixture.ok("POST", "/restapis?mode=import", document);
    api["id"].as_str().unwrap().to_owned()
}

/// Sends a body as it is: its status and answer.
fn raw(fixture: &Fixture, uri: &str, body: &[u8]) -> (u16, Value) {
    let (path, query) = uri.split_once('?').unwrap();
    let response = fixture.management.call(Request {
        method: http::Method::POST,
        path: path.to_owned(),
        query: Some(query.to_owned()),
        headers: HeaderMap::new(),
        body: body.to_vec().into(),
    });
    (response.status, serde_json::from_slice(&response.body).unwrap())
}

fn api_of(fixture: &Fixture, id: &str) -> tollgate_model::api::Api {
    let read = |unit: &mut crate::unit::Unit| {
        let api = unit.api(id, "")?;
        super::definition(unit, &api)
    };
    fixture.management.context.carry_out(read).unwrap().api().unwrap()
}

fn paths(fixture: &Fixture, id: &str) -> Vec<String> {
    let api = api_of(fixture, id);
    let methods = |(path, resource): (&String, &tollgate_model::api::Resource)| {
        resource.methods.keys().map(|method| format!("{method} {path}")).collect::<Vec<_>>()
    };
    api.resources.iter().flat_map(methods).collect()
}

#[test]
fn an_import_makes_an_api() {
    let fixture = fixture();
    let answer = fixture.call("POST", "/restapis?mode=import", pets());
    assert_eq!(answer.status, 201);
    let api = answer.body;
    let id = api["id"].as_str().unwrap();
    let policy = api["policy"].as_str().unwrap();
    let resource = format!("arn:aws:execute-api:us-east-1:123456789012:{id}\\/*");
    assert!(policy.contains(&resource), "{policy}");
    let mut shown = api.clone();
    for member in ["id", "rootResourceId", "createdDate", "policy"] {
        assert!(shown.as_object_mut().unwrap().remove(member).is_some(), "{member}");
    }
    assert_eq!(
        shown,
        json!({
            "name": "pets",
            "description": "all of them",
            "version": "1",
            "binaryMediaTypes": ["image/png"],
            "apiKeySource": "HEADER",
            "endpointConfiguration": {"types": ["EDGE"], "ipAddressType": "ipv4"},
            "disableExecuteApiEndpoint": false,
        })
    );
    assert_eq!(paths(&fixture, id), ["POST /pets", "GET /pets/{id}"]);
    let model = fixture.ok("GET", &format!("/restapis/{id}/models/Pet"), Value::Null);
    let reference = format!("restapis/{id}/models/Pet");
    assert!(model["schema"].as_str().unwrap().contains(&reference), "{model}");
    let parts = fixture.ok("GET", &format!("/restapis/{id}/documentation/parts"), Value::Null);
    assert_eq!(parts["item"][0]["properties"], r#"{"description":"pets"}"#);
    let authorizers = fixture.ok("GET", &format!("/restapis/{id}/authorizers"), Value::Null);
    assert_eq!(authorizers["item"][0]["identitySource"], "method.request.header.token");
    fixture.ok("POST", &format!("/restapis/{id}/deployments"), json!({"stageName": "prod"}));
}

#[test]
fn parameters_of_an_import_are_heard() {
    let fixture = fixture();
    let import = |parameters: &str, document: Value| {
        fixture.ok("POST", &format!("/restapis?mode=import&{parameters}"), document)
    };
    let api = import("endpointConfigurationTypes=REGIONAL", pets());
    assert_eq!(api["endpointConfiguration"]["types"], json!(["REGIONAL"]));
    let api = import("endpointConfigurationTypes=PRIVATE", pets());
    assert_eq!(api["endpointConfiguration"]["ipAddressType"], "dualstack");
    let api = import("ignore=documentation&failonwarnings=true", pets());
    let id = api["id"].as_str().unwrap();
    let parts = fixture.ok("GET", &format!("/restapis/{id}/documentation/parts"), Value::Null);
    assert_eq!(parts["item"], json!([]));
    let mut document = one_method("/e");
    document["servers"] = json!([{"url": "https://x/a/b"}]);
    for (mode, path) in [("ignore", "GET /e"), ("prepend", "GET /a/b/e"), ("split", "GET /b/e")] {
        let api = import(&format!("basepath={mode}"), document.clone());
        assert_eq!(paths(&fixture, api["id"].as_str().unwrap()), [path]);
    }
    let api = import("colour=green", pets());
    assert_eq!(api["warnings"], json!(["parameter colour=green: not known; ignored"]));
    for (parameters, text) in [
        (
            "basepath=x",
            "Invalid basepath mode specified: 'x'. Must be one of: [ignore, prepend, split]",
        ),
        (
            "endpointConfigurationTypes=X",
            "Invalid EndpointTypes specified. Valid options are REGIONAL,EDGE,PRIVATE",
        ),
        (
            "colour=green&failonwarnings=true",
            "Warnings found during import:\n\tparameter colour=green: not known; ignored",
        ),
    ] {
        let refused =
            fixture.refused("POST", &format!("/restapis?mode=import&{parameters}"), pets());
        assert_eq!(refused, format!("400 BadRequestException: {text}"));
    }
}

#[test]
fn an_import_that_is_refused_writes_nothing() {
    let fixture = fixture();
    let mut http_api = one_method("/a");
    http_api["x-amazon-apigateway-importexport-version"] = json!("1.0");
    let mut integration = one_method("/a");
    integration["paths"]["/a"]["get"]["x-amazon-apigateway-integration"] =
        json!({"type": "http", "uri": "ftp://x", "httpMethod": "GET"});
    let mut mapping = one_method("/a");
    mapping["paths"]["/a"]["get"]["x-amazon-apigateway-integration"]["requestParameters"] =
        json!({"integration.request.header.a": "nothing"});
    let mut sibling = one_method("/{a}");
    sibling["paths"]["/{b}"] = json!({});
    for (document, text) in [
        (json!({"a": 1}), "Invalid OpenAPI input. line 1: is not an OpenAPI document: no version"),
        (json!({"openapi": "4.0"}), "Invalid OpenAPI input. line 1: openapi: \"4.0\" is not known"),
        (http_api, "ImportRestApi takes definitions of REST APIs; this is one of an HTTP API"),
        (
            integration,
            "Errors found during import:\n\tUnable to put integration on 'GET' for resource at path '/a': Invalid HTTP endpoint specified for URI (line 1)",
        ),
        (
            mapping,
            "Errors found during import:\n\tUnable to put integration on 'GET' for resource at path '/a': Invalid mapping expression specified: ",
        ),
        (
            sibling,
            "Errors found during import:\n\tpaths./{b}: A sibling ({a}) of this resource already has a variable path part",
        ),
    ] {
        let refused = fixture.refused("POST", "/restapis?mode=import", document);
        let expected = format!("400 BadRequestException: {text}");
        assert!(refused.starts_with(&expected), "{refused}\n{expected}");
    }
    assert_eq!(fixture.ok("GET", "/restapis", Value::Null)["item"], json!([]));
}

#[test]
fn garbage_and_what_is_too_deep_or_large_is_refused() {
    let fixture = fixture();
    let deep = |levels: usize| {
        let schema = "{items: ".repeat(levels) + "{}" + &"}".repeat(levels);
        format!("openapi: 3.0.1\npaths: {{}}\ncomponents: {{schemas: {{Deep: {schema}}}}}\n")
    };
    let bodies: [(Vec<u8>, &str); 7] = [
        (Vec::new(), "Unable to build importer with provided input."),
        (b"\xff\xfe{}".to_vec(), "Invalid OpenAPI input. the body is not UTF-8"),
        (b"{\"openapi\": ".to_vec(), "Invalid OpenAPI input. line 1: "),
        (b"a: *b".to_vec(), "Invalid OpenAPI input. "),
        (vec![b' '; 7_000_000], "Invalid OpenAPI input. the definition has 7000000 bytes"),
        (deep(5_000).into_bytes(), "Invalid OpenAPI input. "),
        (
            deep(110).into_bytes(),
            "Errors found during import:\n\tInvalid model specified: Deep (nested over 100",
        ),
    ];
    for (body, text) in bodies {
        let (status, answer) = raw(&fixture, "/restapis?mode=import", &body);
        let message = answer["message"].as_str().unwrap();
        assert!(status == 400 && message.starts_with(text), "{status} {message}\n{text}");
    }
    let yaml = "openapi: 3.0.1\ninfo: {title: a, version: '1'}\npaths: {/a: {get: {x-amazon-apigateway-integration: {type: mock}}}}\n";
    assert_eq!(raw(&fixture, "/restapis?mode=import", yaml.as_bytes()).0, 201);
}

#[test]
fn only_what_matters_fails_on_warnings() {
    let fixture = fixture();
    let mut document = one_method("/a");
    document["paths"]["/a"]["get"]["summary"] = json!("text");
    document["x-other-tool"] = json!(1);
    let api = fixture.ok("POST", "/restapis?mode=import", document.clone());
    assert_eq!(api["warnings"].as_array().unwrap().len(), 2, "{api}");
    fixture.ok("POST", "/restapis?mode=import&failonwarnings=true", document.clone());
    document["paths"]["/a"]["get"]["parameters"] = json!([{"in": "cookie", "name": "a"}]);
    let refused = fixture.refused("POST", "/restapis?mode=import&failonwarnings=true", document);
    assert!(refused.contains("Warnings found during import:\n\t"), "{refused}");
    assert!(refused.contains("cookie parameter") && !refused.contains("summary"), "{refused}");
}

#[test]
fn a_put_merges_or_overwrites() {
    let fixture = fixture();
    let id = imported(&fixture, pets());
    let uri = format!("/restapis/{id}");
    fixture.ok("POST", &format!("{uri}/deployments"), json!({"stageName": "prod"}));
    let before = api_of(&fixture, &id);

    let merged = fixture.ok("PUT", &uri, one_method("/toys"));
    assert_eq!((&merged["name"], &merged["tags"]), (&json!("toys"), &json!({})));
    assert_eq!(merged["description"], "all of them");
    assert_eq!(paths(&fixture, &id), ["POST /pets", "GET /pets/{id}", "GET /toys"]);
    assert_eq!(api_of(&fixture, &id).resources["/pets"], before.resources["/pets"]);

    let replaced = fixture.ok("PUT", &format!("{uri}?mode=overwrite"), one_method("/pets"));
    assert_eq!(replaced["description"], Value::Null);
    assert_eq!((&replaced["policy"], &replaced["binaryMediaTypes"]), (&Value::Null, &Value::Null));
    assert_eq!(paths(&fixture, &id), ["GET /pets"]);
    let after = api_of(&fixture, &id);
    assert_eq!(after.resources["/pets"].id, before.resources["/pets"].id);
    assert!(after.models.is_empty() && after.authorizers.is_empty());
    assert!(after.documentation.is_none());
    assert_eq!(fixture.ok("GET", &format!("{uri}/stages/prod"), Value::Null)["stageName"], "prod");

    fixture.ok("PUT", &format!("{uri}?mode=overwrite"), pets());
    let again = api_of(&fixture, &id);
    assert_eq!(again.models, before.models);
    assert_eq!(again.documentation, before.documentation);
    assert_eq!(again.policy, before.policy);
}

#[test]
fn a_put_is_refused_whole() {
    let fixture = fixture();
    let id = imported(&fixture, one_method("/{a}"));
    let uri = format!("/restapis/{id}");
    let before = api_of(&fixture, &id);
    let refused = fixture.refused("PUT", &uri, one_method("/{b}"));
    assert!(refused.contains("Errors found during import:\n\t"), "{refused}");
    assert!(refused.contains("already has a variable path part"), "{refused}");
    assert_eq!(
        fixture.refused("PUT", &format!("{uri}?mode=x"), pets()),
        "400 ValidationException: 1 validation error detected: Value 'x' at 'putRestApiInput.mode' failed to satisfy constraint: Member must satisfy enum value set: [merge, overwrite]"
    );
    assert_eq!(api_of(&fixture, &id), before);
    assert_eq!(
        fixture.refused("PUT", "/restapis/none", pets()),
        "404 NotFoundException: Invalid API identifier specified 123456789012:none"
    );
}

#[test]
fn a_clone_has_all_but_stages_deployments_and_tags() {
    let fixture = fixture();
    let id = imported(&fixture, pets());
    fixture.ok("POST", &format!("/restapis/{id}/deployments"), json!({"stageName": "prod"}));
    let version = json!({"documentationVersion": "1"});
    fixture.ok("POST", &format!("/restapis/{id}/documentation/versions"), version);
    let body = json!({"name": "clone", "cloneFrom": id, "tags": {"a": "b"}});
    let clone = fixture.ok("POST", "/restapis", body);
    assert_eq!((&clone["name"], &clone["tags"]), (&json!("clone"), &json!({"a": "b"})));
    assert_eq!(clone["binaryMediaTypes"], json!(["image/png"]));
    let clone_id = clone["id"].as_str().unwrap();
    let policy = clone["policy"].as_str().unwrap();
    assert!(policy.contains(&format!(":{clone_id}\\/*")) && !policy.contains(&id), "{policy}");
    let (mut of_clone, source) = (api_of(&fixture, clone_id), api_of(&fixture, &id));
    of_clone.name.clone_from(&source.name);
    of_clone.tags.clear();
    of_clone.policy.clone_from(&source.policy);
    assert_eq!(of_clone, source);
    let schema = fixture.ok("GET", &format!("/restapis/{clone_id}/models/Pet"), Value::Null);
    assert!(schema["schema"].as_str().unwrap().contains(clone_id), "{schema}");
    let versions = format!("/restapis/{clone_id}/documentation/versions/1");
    assert_eq!(fixture.ok("GET", &versions, Value::Null)["version"], "1");
    for list in ["stages", "deployments"] {
        let uri = format!("/restapis/{clone_id}/{list}");
        assert_eq!(fixture.ok("GET", &uri, Value::Null)["item"], json!([]), "{list}");
    }
    // Its root is there to build on.
    let root = clone["rootResourceId"].as_str().unwrap();
    assert!(of_clone.resources["/"].id.as_deref() == Some(root));
}

/// Twice the methods may not take much more than twice the time; the bound is generous.
#[test]
fn ten_thousand_methods_are_imported() {
    let fixture = fixture();
    let document = |count: usize| {
        let operation = json!({"x-amazon-apigateway-integration": {"type": "mock"}});
        let paths: serde_json::Map<String, Value> =
            (0..count).map(|at| (format!("/a{at}"), json!({"get": operation}))).collect();
        json!({"openapi": "3.0.1", "info": {"title": "many"}, "paths": paths})
    };
    let timed = |count: usize| {
        let document = document(count);
        let started = Instant::now();
        let id = imported(&fixture, document);
        assert_eq!(paths(&fixture, &id).len(), count);
        started.elapsed()
    };
    let (few, many) = (timed(1_000), timed(10_000));
    assert!(many < few * 40, "{few:?} for 1,000 methods, {many:?} for 10,000");
}
