//! A thousand methods import fast enough that a reload is not felt.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::imported;

/// A definition of `methods` HTTP methods with parameters, models, templates and responses.
fn large(methods: usize) -> serde_json::Value {
    let operation = |index: usize, method: &str| {
        let model = format!("#/components/schemas/M{}", index % 50);
        serde_json::json!({
            "operationId": format!("{method}Item{index}"),
            "parameters": [
                {"name": "id", "in": "path", "required": true, "schema": {"type": "string"}},
                {"name": "page", "in": "query", "schema": {"type": "string"}},
            ],
            "requestBody": {"content": {"application/json": {"schema": {"$ref": model}}}},
            "responses": {"200": {
                "description": "200 response",
                "headers": {"Access-Control-Allow-Origin": {"schema": {"type": "string"}}},
                "content": {"application/json": {"schema": {"$ref": model}}},
            }},
            "x-amazon-apigateway-integration": {
                "type": "http",
                "httpMethod": method.to_uppercase(),
                "uri": format!("http://backend.internal/items/{index}/{{id}}"),
                "passthroughBehavior": "when_no_match",
                "requestParameters": {"integration.request.path.id": "method.request.path.id"},
                "requestTemplates": {"application/json": "#set($b = $input.json('$'))\n$b"},
                "responses": {
                    "default": {"statusCode": "200"},
                    "4\\d\\d": {"statusCode": "400"},
                },
            },
        })
    };
    let item = |index: usize| {
        let methods = ["get", "put", "post", "delete"];
        methods.iter().map(|method| ((*method).to_owned(), operation(index, method))).collect()
    };
    let paths: serde_json::Map<_, _> =
        (0..methods / 4).map(|index| (format!("/items{index}/{{id}}"), item(index))).collect();
    let schema = serde_json::json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let schemas: serde_json::Map<_, _> =
        (0..50).map(|index| (format!("M{index}"), schema.clone())).collect();
    serde_json::json!({
        "openapi": "3.0.1",
        "info": {"title": "large", "version": "1"},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

/// Block-style YAML, enough for the values above.
fn to_yaml(value: &serde_json::Value, indent: usize, out: &mut String) {
    match value {
        serde_json::Value::Object(object) if !object.is_empty() => {
            for (key, value) in object {
                let _infallible = write!(out, "\n{:indent$}{}:", "", serde_json::json!(key));
                to_yaml(value, indent + 2, out);
            }
        }
        serde_json::Value::Array(items) if !items.is_empty() => {
            for item in items {
                let _infallible = write!(out, "\n{:indent$}-", "");
                to_yaml(item, indent + 2, out);
            }
        }
        scalar => {
            let _infallible = write!(out, " {scalar}");
        }
    }
}

/// The best of a few runs: other work on the machine only adds.
fn best(text: &str) -> Duration {
    let once = || {
        let start = Instant::now();
        let imported = imported(text);
        let taken = start.elapsed();
        assert_eq!(imported.api.resources.len(), 501);
        taken
    };
    (0..10).map(|_| once()).min().unwrap_or_default()
}

#[test]
fn a_thousand_methods_import_in_well_under_a_tenth_of_a_second() {
    let value = large(1_000);
    let json = serde_json::to_string_pretty(&value).expect("JSON");
    let mut yaml = String::new();
    to_yaml(&value, 0, &mut yaml);
    let (json_time, yaml_time) = (best(&json), best(&yaml));
    println!(
        "JSON, {} KB: {json_time:?}; YAML, {} KB: {yaml_time:?}",
        json.len() / 1000,
        yaml.len() / 1000
    );
    // Without optimisation the figures say nothing; the bounds then only catch what is quadratic.
    let slack = if cfg!(debug_assertions) { 20 } else { 1 };
    assert!(json_time < slack * Duration::from_millis(60), "JSON took {json_time:?}");
    assert!(yaml_time < slack * Duration::from_millis(100), "YAML took {yaml_time:?}");
}
