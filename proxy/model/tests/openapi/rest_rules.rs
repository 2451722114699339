//! What becomes of paths, parameters, bodies, responses and models.

use tollgate_model::api::Api;
use tollgate_model::openapi::{BasePathMode, ImportOptions, import};

use crate::{api, assert_refused, assert_warns, document, operation};

fn paths_of(api: &Api) -> Vec<&str> {
    api.resources.keys().map(String::as_str).collect()
}

#[test]
fn parents_are_created_before_their_children() {
    let api = api(&document("paths: {'/a/b/{c}': {get: {}}, /a: {}}\n"));
    assert_eq!(paths_of(&api), ["/", "/a", "/a/b", "/a/b/{c}"]);
    assert!(api.resources["/a"].methods.is_empty());
}

#[test]
fn paths_that_api_gateway_refuses_are_refused_in_its_words() {
    let charset = "Resource's path part only allow a-zA-Z0-9._-:,";
    let sibling =
        "A sibling ({a}) of this resource already has a variable path part -- only one is allowed";
    let greedy = "Cannot create a child of a resource with a greedy path variable: {proxy+}";
    for (paths, message) in [
        ("{'/{a}': {}, '/{b}': {}}", sibling),
        ("{'/x/{a}/y': {}, '/x/{b}': {}}", sibling),
        ("{'/{proxy+}/b': {}}", greedy),
        ("{/a b: {}}", charset),
        ("{'/a{b}': {}}", charset),
        ("{'/{a b}': {}}", charset),
        ("{'/{}': {}}", charset),
        ("{/a~b: {}}", charset),
        ("{/a//b: {}}", "Resource's path part must be specified"),
        ("{a: {}}", "it must begin with /"),
        ("{/a: {get: {}}, /a/: {get: {}}}", "GET /a is there already"),
    ] {
        assert_refused(&document(&format!("paths: {paths}\n")), &["line 3", message]);
    }
}

#[test]
fn a_greedy_and_a_plain_variable_may_be_siblings() {
    let api = api(&document("paths: {'/x/{proxy+}': {}, '/x/{child}': {}}\n"));
    assert_eq!(paths_of(&api), ["/", "/x", "/x/{proxy+}", "/x/{child}"]);
}

#[test]
fn the_base_path_is_ignored_prepended_or_split() {
    for (mode, base, expected) in [
        (BasePathMode::Ignore, "/a/b/c", "/e"),
        (BasePathMode::Prepend, "/a/b/c", "/a/b/c/e"),
        (BasePathMode::Split, "/a/b/c", "/b/c/e"),
        (BasePathMode::Split, "/a", "/e"),
        (BasePathMode::Prepend, "/", "/e"),
    ] {
        let swagger = format!("swagger: '2.0'\nbasePath: {base}\npaths: {{/e: {{}}}}\n");
        let server =
            format!("openapi: 3.0.1\nservers: [{{url: 'https://x{base}'}}]\npaths: {{/e: {{}}}}\n");
        let variable = format!(
            "openapi: 3.0.1\nservers: [{{url: 'https://x/{{basePath}}', \
             variables: {{basePath: {{default: {base}}}}}}}]\npaths: {{/e: {{}}}}\n"
        );
        for text in [swagger, server, variable] {
            let options = ImportOptions { base_path: mode, ..ImportOptions::default() };
            let api = import(&text, &options).expect("an API").api;
            assert_eq!(paths_of(&api).last(), Some(&expected), "{mode:?}\n{text}");
        }
    }
}

#[test]
fn parameters_become_request_parameters() {
    let keys = "parameters: [{name: id, in: query, required: true}, {name: X-A, in: header}]";
    let parameters = crate::method(&operation(keys)).request_parameters;
    let expected = [("method.request.header.X-A", false), ("method.request.querystring.id", true)];
    assert_eq!(parameters, expected.map(|(name, required)| (name.to_owned(), required)).into());
}

#[test]
fn an_operations_parameter_overrides_its_paths() {
    let text = "paths: {/pets: {parameters: [{name: a, in: query}, {name: b, in: query}], \
                get: {parameters: [{name: a, in: query, required: true}]}}}\n";
    let parameters = crate::method(&document(text)).request_parameters;
    assert!(parameters["method.request.querystring.a"]);
    assert!(!parameters["method.request.querystring.b"]);
}

#[test]
fn a_path_variable_without_a_parameter_is_required() {
    let api = api(&document("paths: {'/{a}/{rest+}': {get: {}}}\n"));
    let method = api.resources["/{a}/{rest+}"].methods.values().next().expect("a method");
    assert!(method.request_parameters["method.request.path.a"]);
    assert!(method.request_parameters["method.request.path.rest"]);
}

#[test]
fn parameters_api_gateway_does_not_read_are_warned_of_by_name() {
    let cookie = operation("parameters: [{name: s, in: cookie}]");
    assert_warns(&cookie, &["GET /pets", "cookie parameter"]);
    let form = "swagger: '2.0'\npaths: {/p: {get: {parameters: [{name: f, in: formData}]}}}\n";
    assert_warns(form, &["GET /p", "formData parameter"]);
    assert_refused(&operation("parameters: [{name: s, in: nowhere}]"), &["allowed: path, query"]);
}

#[test]
fn references_are_followed_within_the_document_only() {
    let text = document(
        "paths: {/pets: {$ref: '#/components/pathItems/pets'}}\n\
         components:\n  pathItems: {pets: {get: {parameters: [{$ref: '#/components/parameters/p'}], \
         requestBody: {$ref: '#/components/requestBodies/b'}, \
         responses: {200: {$ref: '#/components/responses/r'}}}}}\n  \
         parameters: {p: {name: q, in: query}}\n  \
         requestBodies: {b: {content: {a/b: {schema: {$ref: '#/components/schemas/Pet'}}}}}\n  \
         responses: {r: {headers: {X-A: {}}}}\n  schemas: {Pet: {type: object}}\n",
    );
    let method = crate::method(&text);
    assert!(method.request_parameters.contains_key("method.request.querystring.q"));
    assert_eq!(method.request_models["a/b"], "Pet");
    assert!(method.responses["200"].parameters.contains_key("method.response.header.X-A"));
    let missing = operation("parameters: [{$ref: '#/components/parameters/p'}]");
    assert_refused(&missing, &["parameters.0", "is not in this document"]);
    let elsewhere = operation("parameters: [{$ref: 'other.yaml#/p'}]");
    assert_warns(&elsewhere, &["GET /pets", "external $ref", "other.yaml#/p"]);
    assert_refused(&document("paths: {/pets: {$ref: 'other.yaml'}}\n"), &["other.yaml"]);
}

#[test]
fn the_schema_of_a_2_0_body_counts_for_all_it_consumes() {
    let text = "swagger: '2.0'\nconsumes: [a/b, c/d]\npaths: {/pets: {get: {parameters: \
                [{in: body, name: b, schema: {$ref: '#/definitions/Pet'}}]}}}\n\
                definitions: {Pet: {type: object}}\n";
    let models = crate::method(text).request_models;
    assert_eq!(models.keys().collect::<Vec<_>>(), ["a/b", "c/d"]);
}

#[test]
fn references_between_schemas_become_model_urls() {
    let text = document(
        "paths: {}\ncomponents: {schemas: {Pet: {description: A pet, properties: {next: \
         {$ref: '#/components/schemas/Pet'}}}}}\n",
    );
    let model = &api(&text).models["Pet"];
    assert_eq!(
        model.schema["properties"]["next"]["$ref"],
        "https://apigateway.amazonaws.com/restapis/{id}/models/Pet"
    );
    assert_eq!(model.description.as_deref(), Some("A pet"));
}

#[test]
fn equal_inline_schemas_are_one_model() {
    let body =
        "content: {application/json: {schema: {type: object, properties: {a: {type: string}}}}}";
    let keys = format!("requestBody: {{{body}}}, responses: {{200: {{{body}}}}}");
    let api = api(&operation(&keys));
    let names: Vec<_> = api.models.keys().collect();
    assert_eq!(names.len(), 1);
    assert!(names[0].starts_with("MODEL"), "{names:?}");
    assert_refused(
        &operation("requestBody: {content: {a/b: {schema: {$ref: '#/components/schemas/No'}}}}"),
        &["Invalid model identifier specified: No"],
    );
}

#[test]
fn a_response_without_a_schema_has_the_model_empty() {
    let text = operation("responses: {204: {}, default: {}, 2XX: {}}");
    let method = crate::method(&text);
    assert_eq!(method.responses.keys().collect::<Vec<_>>(), ["204"]);
    assert_eq!(method.responses["204"].models["application/json"], "Empty");
    assert_eq!(api(&text).models["Empty"].schema["title"], "Empty Schema");
    assert_warns(&text, &["response \"default\"", "ignored"]);
}

#[test]
fn schema_words_that_differ_on_aws_are_warned_of() {
    let schema = "{type: object, discriminator: x, properties: {a: {type: array, maxItems: 3}}}";
    let text = document(&format!("paths: {{}}\ncomponents: {{schemas: {{Pet: {schema}}}}}\n"));
    assert_warns(&text, &["components.schemas.Pet", "discriminator"]);
    assert_warns(&text, &["components.schemas.Pet", "maxItems", "API Gateway drops this"]);
}

#[test]
fn keys_of_the_other_openapi_are_warned_of() {
    let three = document("paths: {}\nbasePath: /v1\ndefinitions: {Pet: {}}\n");
    assert_warns(&three, &["basePath", "a key of OpenAPI 2.0"]);
    assert_warns(&three, &["definitions", "a key of OpenAPI 2.0"]);
    let two = "swagger: '2.0'\npaths: {/a: {get: {requestBody: {}}}}\n";
    assert_warns(two, &["GET /a", "requestBody", "a key of OpenAPI 3"]);
}

#[test]
fn a_method_without_an_integration_is_warned_of() {
    assert_warns(&operation(""), &["GET /pets", "No integration defined for method"]);
}
