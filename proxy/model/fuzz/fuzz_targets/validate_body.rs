//! Any schema, as the model of a method, and any body held to it: refused or passed, in bounded
//! time, never a panic. The first line of the input is the schema, the rest the body.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_model::compile::{StageSettings, compile};
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
    let Ok(compiled) = compile(&imported.api, &StageSettings::default()) else { return };
    for method in &compiled.stage.methods {
        if let Some(validator) = &method.validator {
            let _outcome = validator.validate_body(None, body.get(1..).unwrap_or_default());
        }
    }
});
