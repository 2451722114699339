//! Any schema, as the model of a method, and any body held to it: refused or passed, in bounded
//! time, never a panic. The first line of the input is the schema, the rest the body.

#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use tollgate_model::api::ApiId;
use tollgate_model::compile::{DEFAULT_INTEGRATION_TIMEOUT, StageSettings, compile};
use tollgate_model::openapi::{ImportOptions, import};

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (schema, body) = input.split_at(end);
    let Ok(schema) = serde_json::from_slice::<serde_json::Value>(schema) else { return };
    let definition = serde_json::json!({
        "openapi": "3.0.1",
        "info": {"title": "t", "version": "1"},
        "x-amazon-apigateway-request-validators": {"body": {"validateRequestBody": true}},
        "x-amazon-apigateway-request-validator": "body",
        "paths": {"/": {"post": {
            "requestBody": {"content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/M"}}
            }},
            "responses": {},
            "x-amazon-apigateway-integration": {"type": "mock"},
        }}},
        "components": {"schemas": {"M": schema}},
    });
    let Ok(imported) = import(&definition.to_string(), &ImportOptions::default()) else { return };
    let settings = StageSettings {
        api_id: ApiId("a1b2c3d4e5".to_owned()),
        stage_name: "prod".to_owned(),
        deployment_id: "abc123".to_owned(),
        account_id: "111122223333".to_owned(),
        region: "us-east-1".to_owned(),
        stage_variables: BTreeMap::new(),
        maximum_integration_timeout: DEFAULT_INTEGRATION_TIMEOUT,
        authorizer_uris: BTreeMap::new(),
        authorizer_of_all: None,
        transformers: Vec::new(),
        method_transformers: BTreeMap::new(),
    };
    let Ok(compiled) = compile(&imported.api, &settings) else { return };
    for method in &compiled.stage.methods {
        if let Some(validator) = &method.validator {
            let _outcome = validator.validate_body(None, body.get(1..).unwrap_or_default());
        }
    }
});
