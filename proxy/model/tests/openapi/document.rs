//! JSON and YAML as texts: what is read, and where an error is.

use crate::{api, assert_refused, assert_warns, document, operation};

#[test]
fn json_and_yaml_give_the_same_api_whatever_the_file_is_called() {
    let json = r#"{"swagger": "2.0", "info": {"title": "Pets", "version": "1.10"}, "paths": {}}"#;
    let yaml = "swagger: '2.0'\ninfo:\n  title: Pets\n  version: 1.10\npaths: {}\n";
    assert_eq!(api(json), api(yaml));
    assert_eq!(api(yaml).version.as_deref(), Some("1.10"));
}

#[test]
fn a_yaml_document_may_open_with_a_brace_and_a_byte_order_mark() {
    let text = "\u{feff}{swagger: '2.0', info: {title: Pets}, paths: {}}";
    assert_eq!(api(text).name, "Pets");
}

#[test]
fn json_escapes_are_read() {
    let text =
        r#"{"openapi": "3.0.0", "info": {"title": "\u00e9\ud83d\ude00\n\"\/"}, "paths": {}}"#;
    assert_eq!(api(text).name, "é😀\n\"/");
}

#[test]
fn errors_in_json_name_their_line() {
    for (text, message) in [
        ("{\n\"a\": 1,\n}", "line 3: a key in double quotes is expected"),
        ("{\n\"a\" 1}", "line 2: `:` is expected after the key \"a\""),
        ("{\"a\": 1\n\"b\": 2}", "line 2: `,` or `}` is expected"),
        ("{\"a\": [1 2]}", "line 1: `,` or `]` is expected"),
        ("{\"a\": 01}", "line 1: not a JSON number"),
        ("{\"a\": \"x}", "line 1: a string without its closing quote"),
        ("{\"a\": \"\\ud800\"}", "line 1: half of a surrogate pair"),
        ("{\"a\": tru}", "line 1: a JSON value is expected"),
    ] {
        // As YAML some of these would load, and be refused for what they hold.
        let error = crate::error(text);
        assert!(error == message || error.contains("no version"), "{text}: {error}");
    }
}

#[test]
fn errors_in_yaml_name_their_line() {
    assert_refused("openapi: 3.0.1\npaths:\n\t/a: {}\n", &["line 3", "not readable as YAML"]);
}

#[test]
fn a_key_twice_is_an_error_in_both() {
    let message = "the key \"get\" is already there, at line";
    assert_refused(&document("paths:\n  /a:\n    get: {}\n    get: {}\n"), &["line 6", message]);
    let json = "{\"openapi\": \"3.0.1\",\n\"paths\": {\"/a\": {\"get\": {},\n\"get\": {}}}}";
    assert_refused(json, &["line 3", "already there, at line 2"]);
}

#[test]
fn a_key_twice_is_a_warning_when_one_of_the_two_is_empty() {
    let text = "paths:\npaths: {/a: {}}\n";
    assert!(api(&document(text)).resources.contains_key("/a"));
    assert_warns(&document(text), &["line 4", "duplicate key \"paths\"", "line 3"]);
}

#[test]
fn anchors_and_merge_keys_are_unfolded() {
    let text = "x-base: &base {type: http, uri: 'http://a', httpMethod: GET}\n\
                paths: {/pets: {get: {x-amazon-apigateway-integration: {<<: *base, httpMethod: PUT}}}}\n";
    let integration = crate::method(&document(text)).integration.expect("an integration");
    assert_eq!(integration.uri.as_deref(), Some("http://a"));
    assert_eq!(integration.http_method.map(|method| method.as_str()), Some("PUT"));
}

#[test]
fn status_codes_need_no_quotes_as_keys() {
    let method = crate::method(&operation("responses: {200: {description: fine}}"));
    assert!(method.responses.contains_key("200"));
}

#[test]
fn what_is_not_openapi_is_refused_by_name() {
    for (text, parts) in [
        ("", ["the document is empty", ""]),
        ("- a\n", ["the document is a list", "a map"]),
        ("a: b\n", ["no version", "allowed: swagger 2.0, openapi 3.0.x, openapi 3.1.x"]),
        ("openapi: 4.0.0\n", ["line 1: openapi: \"4.0.0\" is not known", "allowed: swagger 2.0"]),
        ("swagger: 1.2\n", ["swagger: \"1.2\" is not known", "openapi 3.1.x"]),
        ("Resources: {}\n", ["is a CloudFormation/SAM template", "the OpenAPI document inside"]),
        ("openapi: 3.0.1\n---\nb: c\n", ["line 2", "second document"]),
    ] {
        assert_refused(text, &parts);
    }
}

#[test]
fn an_error_names_line_path_and_what_is_allowed() {
    let text = document(
        "paths:\n  /pets:\n    get:\n      x-amazon-apigateway-integration:\n        type: htp\n",
    );
    assert_eq!(
        crate::error(&text),
        "line 7: paths./pets.get.x-amazon-apigateway-integration.type: \"htp\" is not an \
         integration type; allowed: http, http_proxy, aws, aws_proxy, mock"
    );
}

#[test]
fn equal_warnings_are_one_with_a_count() {
    let text =
        document("paths: {/a: {get: {summary: x}, put: {summary: y}, post: {summary: z}}}\n");
    assert_warns(&text, &["line 3: GET /a and 2 more places: summary: documentation only"]);
}
