//! Import and export of API definitions, from the outside: text in, [`Api`] or message out.

mod definitions;
mod document;
mod extensions;
mod intrinsics;
mod protocols;
mod records;
mod rest_rules;
mod robustness;
mod speed;

use std::path::PathBuf;

use tollgate_model::api::{Api, HttpMethod, Integration, Method};
use tollgate_model::openapi::{ImportOptions, Imported, import};

/// The definitions written by others, each with its name.
fn definitions() -> Vec<(String, String)> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/definitions");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&directory).expect("tests/definitions is there") {
        let path = entry.expect("an entry of tests/definitions").path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("json" | "yaml")) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.push((name, std::fs::read_to_string(&path).expect("a readable definition")));
        }
    }
    found.sort();
    found
}

/// Those of them that are OpenAPI documents.
fn openapi_definitions() -> Vec<(String, String)> {
    let is_template = |text: &str| {
        text.lines()
            .any(|line| line.starts_with("Resources:") || line.starts_with(" \"Resources\""))
    };
    definitions().into_iter().filter(|(_, text)| !is_template(text)).collect()
}

/// One definition by its file name.
fn definition(name: &str) -> String {
    let found = definitions().into_iter().find(|(file, _)| file == name);
    found.unwrap_or_else(|| panic!("{name} is among the definitions")).1
}

/// An OpenAPI 3.0 document in YAML with the given root keys beside its head.
fn document(rest: &str) -> String {
    format!("openapi: 3.0.1\ninfo: {{title: Pets, version: '1'}}\n{rest}")
}

/// A document with one operation, `GET /pets`, of the given keys (flow style).
fn operation(keys: &str) -> String {
    document(&format!("paths: {{/pets: {{get: {{{keys}}}}}}}\n"))
}

/// A document whose one operation has an integration of the given keys (flow style).
fn with_integration(keys: &str) -> String {
    operation(&format!("x-amazon-apigateway-integration: {{{keys}}}"))
}

fn imported(text: &str) -> Imported {
    import(text, &ImportOptions::default()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn api(text: &str) -> Api {
    imported(text).api
}

fn method(text: &str) -> Method {
    api(text).resources["/pets"].methods[&HttpMethod::Get].clone()
}

fn integration(keys: &str) -> Integration {
    method(&with_integration(keys)).integration.expect("an integration")
}

fn error(text: &str) -> String {
    match import(text, &ImportOptions::default()) {
        Ok(_) => panic!("is imported:\n{text}"),
        Err(error) => error.to_string(),
    }
}

fn warnings(text: &str) -> Vec<String> {
    imported(text).warnings.iter().map(ToString::to_string).collect()
}

/// Asserts that one of the warnings names all of `parts`.
#[track_caller]
fn assert_warns(text: &str, parts: &[&str]) {
    let warnings = warnings(text);
    let found = warnings.iter().any(|warning| parts.iter().all(|part| warning.contains(part)));
    assert!(found, "no warning with {parts:?} among {warnings:#?}");
}

#[track_caller]
fn assert_refused(text: &str, parts: &[&str]) {
    let error = error(text);
    for part in parts {
        assert!(error.contains(part), "no {part:?} in: {error}");
    }
    assert!(!error.contains('\n'), "more than one line: {error}");
}
