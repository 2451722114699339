use http::HeaderMap;
use serde_json::{Value, json};
use tollgate_model::api::Api;
use tollgate_model::openapi::{ImportOptions, import};

use super::iso_8601;
use crate::http::{Handler, Request};
use crate::testing::{Fixture, fixture};

/// Texts that are hard to write in YAML.
const TRICKY: [&str; 20] = [
    "",
    " ",
    "true",
    "null",
    "~",
    "1.0",
    "0x1F",
    "2026-11-23",
    "yes: no",
    "# none",
    "- item",
    "'single' \"double\"",
    "two\nlines",
    "two\nlines\n",
    "  indented\n less\n",
    "\n\nblank lines\n\n\n",
    "tab\there\r\n",
    "trailing \n  spaces  ",
    "#set($a = $input.path('$'))\n{\n  \"a\": \"$a\",\n}\n",
    "a very long line of words that goes on and on, beyond what anyone would call a line, so that it is folded if folding is on",
];

fn document() -> Value {
    let templates: serde_json::Map<String, Value> = TRICKY
        .iter()
        .enumerate()
        .map(|(index, text)| (format!("text/x{index}"), json!(text)))
        .collect();
    json!({
        "openapi": "3.0.1",
        "info": {"title": "pets"},
        "x-amazon-apigateway-documentation": {"documentationParts": [
            {"location": {"type": "API"}, "properties": {"description": "pets"}},
        ]},
        "components": {"securitySchemes": {"token": {
            "type": "apiKey", "in": "header", "name": "token",
            "x-amazon-apigateway-authtype": "custom",
            "x-amazon-apigateway-authorizer": {
                "type": "token",
                "authorizerUri": "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/f/invocations",
            },
        }}},
        "paths": {"/pets": {
            "get": {
                "security": [{"token": []}],
                "x-amazon-apigateway-integration": {"type": "mock", "requestTemplates": templates},
            },
            "x-amazon-apigateway-any-method": {"x-amazon-apigateway-integration": {"type": "mock"}},
        }},
    })
}

/// The id of a deployed API, stage `prod`.
fn deployed(fixture: &Fixture) -> String {
    let api = fixture.ok("POST", "/restapis?mode=import", document());
    let id = api["id"].as_str().unwrap().to_owned();
    fixture.ok("POST", &format!("/restapis/{id}/deployments"), json!({"stageName": "prod"}));
    id
}

/// Status, headers and text of an export.
fn export(fixture: &Fixture, id: &str, what: &str, accept: &str) -> (u16, Vec<String>, String) {
    let (export_type, query) = what.split_once('?').unwrap_or((what, ""));
    let response = fixture.management.call(Request {
        method: http::Method::GET,
        path: format!("/restapis/{id}/stages/prod/exports/{export_type}"),
        query: Some(query.to_owned()),
        headers: HeaderMap::from_iter([(http::header::ACCEPT, accept.parse().unwrap())]),
        body: Vec::new().into(),
    });
    let headers = response.headers.iter();
    let headers = headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
    (response.status, headers.collect(), String::from_utf8(response.body.to_vec()).unwrap())
}

fn document_of(fixture: &Fixture, id: &str, what: &str) -> Value {
    let (status, _, text) = export(fixture, id, what, "application/json");
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

fn api(text: &str) -> Api {
    let mut api = import(text, &ImportOptions::default()).unwrap().api;
    api.base_path = None;
    api
}

#[test]
fn an_export_says_where_the_stage_is() {
    let fixture = fixture();
    let id = deployed(&fixture);
    let host = format!("{id}.execute-api.us-east-1.localhost");
    let oas30 = document_of(&fixture, &id, "oas30");
    let keys: Vec<_> = oas30.as_object().unwrap().keys().take(4).collect();
    assert_eq!(keys, ["openapi", "info", "servers", "paths"]);
    let server = json!({
        "url": format!("https://{host}/{{basePath}}"),
        "variables": {"basePath": {"default": "/prod"}},
    });
    assert_eq!(oas30["servers"], json!([server]));
    let version = oas30["info"]["version"].as_str().unwrap();
    assert!(version.len() == 20 && version.ends_with('Z'), "{version}");
    let swagger = document_of(&fixture, &id, "swagger");
    let where_it_is = (&swagger["host"], &swagger["basePath"], &swagger["schemes"]);
    assert_eq!(where_it_is, (&json!(host), &json!("/prod"), &json!(["https"])));
}

#[test]
fn an_export_has_the_extensions_that_were_asked_for() {
    let fixture = fixture();
    let id = deployed(&fixture);
    let text = |what: &str| document_of(&fixture, &id, what).to_string();
    let has = |what: &str, extension: &str| {
        text(what).contains(&format!("\"x-amazon-apigateway-{extension}\""))
    };
    for (what, integration, authorizer) in [
        ("oas30", false, false),
        ("oas30?extensions=postman", false, false),
        ("oas30?extensions=authorizers", false, true),
        ("oas30?extensions=integrations", true, true),
        ("oas30?extensions=apigateway", true, true),
        ("swagger?extensions=authorizers%2Cintegrations", true, true),
        ("swagger?extensions=authorizers&extensions=integrations", true, true),
    ] {
        assert_eq!(has(what, "integration"), integration, "{what}");
        assert_eq!(has(what, "authorizer"), authorizer, "{what}");
        // An ANY method is in every document.
        assert!(has(what, "any-method"), "{what}");
    }
}

#[test]
fn an_export_is_imported_as_what_was_deployed() {
    let fixture = fixture();
    let id = deployed(&fixture);
    // The deployment is exported, not what the API has become.
    let other = json!({"openapi": "3.0.1", "info": {"title": "other"}, "paths": {}});
    fixture.ok("PUT", &format!("/restapis/{id}?mode=overwrite"), other);
    let before = api(&document().to_string());
    for (what, accept) in [
        ("oas30?extensions=apigateway", "application/json"),
        ("oas30?extensions=apigateway", "application/yaml"),
        ("swagger?extensions=apigateway", "application/json"),
        ("swagger?extensions=apigateway", "application/yaml"),
    ] {
        let (_, _, text) = export(&fixture, &id, what, accept);
        let after = api(&text);
        assert_eq!(after.resources, before.resources, "{what} {accept}:\n{text}");
        assert_eq!(after.authorizers, before.authorizers, "{what} {accept}");
        assert_eq!(after.name, before.name, "{what} {accept}");
    }
}

#[test]
fn a_stage_with_a_documentation_version_exports_documentation() {
    let fixture = fixture();
    let id = deployed(&fixture);
    let extension = "x-amazon-apigateway-documentation";
    let what = "oas30?extensions=apigateway";
    assert_eq!(document_of(&fixture, &id, what)[extension], Value::Null);
    let version = json!({"documentationVersion": "7", "stageName": "prod"});
    fixture.ok("POST", &format!("/restapis/{id}/documentation/versions"), version);
    let documentation = &document_of(&fixture, &id, what)[extension];
    assert_eq!(documentation["version"], "7");
    assert_eq!(documentation["documentationParts"][0]["properties"]["description"], "pets");
}

#[test]
fn an_export_is_a_file_of_its_type() {
    let fixture = fixture();
    let id = deployed(&fixture);
    for (accept, content_type, extension) in [
        ("application/json", "application/json", "json"),
        ("*/*", "application/json", "json"),
        ("application/yaml", "application/yaml", "yaml"),
        ("text/html, application/yaml;q=0.5", "application/yaml", "yaml"),
    ] {
        let (status, headers, text) = export(&fixture, &id, "oas30", accept);
        assert_eq!(status, 200, "{text}");
        assert_eq!(headers[0], format!("content-type: {content_type}"));
        let named =
            headers[1].starts_with("content-disposition: attachment; filename=\"prod-oas30-2");
        assert!(named && headers[1].ends_with(&format!(".{extension}\"")), "{headers:?}");
    }
}

#[test]
fn what_cannot_be_exported_is_refused() {
    let fixture = fixture();
    let id = deployed(&fixture);
    for (what, accept, text) in [
        ("raml", "*/*", "Invalid export type specified: 'raml'. Must be one of: [oas30, swagger]"),
        (
            "oas30",
            "text/html",
            "Invalid Accept header specified: 'text/html'. Must be one of: [application/json, application/yaml]",
        ),
        (
            "oas30?extensions=x",
            "*/*",
            "Invalid extensions specified: 'x'. Must be of: [integrations, apigateway, authorizers, postman]",
        ),
    ] {
        let (status, _, body) = export(&fixture, &id, what, accept);
        assert_eq!((status, body), (400, json!({ "message": text }).to_string()));
    }
    let uri = format!("/restapis/{id}/stages/none/exports/oas30");
    assert_eq!(
        fixture.refused("GET", &uri, Value::Null),
        "404 NotFoundException: Invalid stage identifier specified"
    );
}

#[test]
fn days_are_counted_as_the_calendar_has_them() {
    for (seconds, text) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_399, "2000-02-28T23:59:59Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (1_709_251_199, "2024-02-29T23:59:59Z"),
        (1_795_414_871, "2026-11-23T06:21:11Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
    ] {
        assert_eq!(iso_8601(seconds), text);
    }
}

/// Definitions that others wrote, whatever they hold: what is written in YAML reads as what is
/// written in JSON.
#[test]
fn yaml_says_the_same_as_json() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/definitions");
    let fixture = fixture();
    let mut compared = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let response = fixture.management.call(Request {
            method: http::Method::POST,
            path: "/restapis".to_owned(),
            query: Some("mode=import".to_owned()),
            headers: HeaderMap::new(),
            body: text.into(),
        });
        if response.status != 201 {
            continue;
        }
        let answer: Value = serde_json::from_slice(&response.body).unwrap();
        let id = answer["id"].as_str().unwrap();
        fixture.ok("POST", &format!("/restapis/{id}/deployments"), json!({"stageName": "prod"}));
        for what in ["oas30?extensions=apigateway", "swagger", "oas30"] {
            let (_, _, yaml) = export(&fixture, id, what, "application/yaml");
            let (_, _, json) = export(&fixture, id, what, "application/json");
            assert_eq!(api(&yaml), api(&json), "{answer} {what}");
        }
        compared += 1;
    }
    assert!(compared >= 10, "{compared}");
}
