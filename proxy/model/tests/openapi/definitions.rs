//! The definitions that others wrote load whole, and survive being written and read again.

use tollgate_model::api::{
    Api, Authorization, AuthorizerType, Connection, GatewayResponseType, HttpMethod,
    IntegrationType, Protocol,
};
use tollgate_model::openapi::{ExportFormat, export};

use crate::{api, definition, definitions, error, imported, openapi_definitions};

/// What is in each OpenAPI file: protocol, methods, integrations by type, models, validators,
/// authorizers, gateway responses.
fn contents(api: &Api) -> String {
    let methods: Vec<_> = api.resources.values().flat_map(|r| r.methods.values()).collect();
    let integrations: Vec<_> = methods.iter().filter_map(|m| m.integration.as_ref()).collect();
    let mut types: Vec<_> = integrations.iter().map(|i| i.integration_type.as_str()).collect();
    types.sort_unstable();
    let mut counted: Vec<(&str, usize)> = Vec::new();
    for name in types {
        match counted.last_mut() {
            Some((last, count)) if *last == name => *count += 1,
            _ => counted.push((name, 1)),
        }
    }
    let counted: Vec<_> = counted.iter().map(|(name, count)| format!("{name} {count}")).collect();
    format!(
        "{:?}, {} methods ({}), {} models, {} validators, {} authorizers, {} gateway responses",
        api.protocol,
        methods.len(),
        counted.join(", "),
        api.models.len(),
        api.request_validators.len(),
        api.authorizers.len(),
        api.gateway_responses.len(),
    )
}

#[test]
fn every_openapi_definition_loads_with_all_that_is_in_it() {
    let expected = [
        (
            "any-passthrough.yaml",
            "Rest, 2 methods (AWS 1, MOCK 1), 1 models, 0 validators, 0 authorizers, 0 gateway responses",
        ),
        (
            "dynamodb-crud.yaml",
            "Rest, 5 methods (AWS 5), 2 models, 1 validators, 0 authorizers, 1 gateway responses",
        ),
        (
            "gateway-responses.yaml",
            "Rest, 4 methods (AWS_PROXY 4), 20 models, 1 validators, 0 authorizers, 21 gateway responses",
        ),
        (
            "greedy-binary-keys.json",
            "Rest, 2 methods (AWS_PROXY 1, MOCK 1), 1 models, 0 validators, 1 authorizers, 4 gateway responses",
        ),
        (
            "http-api-cors-sqs.yaml",
            "Http, 2 methods (AWS_PROXY 2), 0 models, 0 validators, 0 authorizers, 0 gateway responses",
        ),
        (
            "http-api-jwt.json",
            "Http, 2 methods (AWS_PROXY 2), 0 models, 0 validators, 1 authorizers, 0 gateway responses",
        ),
        (
            "lambda-petstore.yaml",
            "Rest, 9 methods (AWS 5, MOCK 4), 9 models, 0 validators, 0 authorizers, 0 gateway responses",
        ),
        (
            "lpa-store-31.yaml",
            "Rest, 7 methods (AWS_PROXY 6, MOCK 1), 13 models, 0 validators, 0 authorizers, 0 gateway responses",
        ),
        (
            "petstore-http.json",
            "Rest, 6 methods (HTTP 3, MOCK 3), 6 models, 0 validators, 0 authorizers, 0 gateway responses",
        ),
        (
            "private-nlb.yaml",
            "Rest, 16 methods (HTTP_PROXY 15, MOCK 1), 4 models, 2 validators, 1 authorizers, 3 gateway responses",
        ),
        (
            "step-functions-vtl.yaml",
            "Rest, 5 methods (AWS 3, AWS_PROXY 2), 9 models, 2 validators, 0 authorizers, 0 gateway responses",
        ),
        (
            "step-functions-xml.yaml",
            "Rest, 1 methods (AWS 1), 1 models, 0 validators, 0 authorizers, 0 gateway responses",
        ),
        (
            "url-shortener.yaml",
            "Rest, 7 methods (AWS 5, MOCK 2), 3 models, 3 validators, 1 authorizers, 0 gateway responses",
        ),
    ];
    let found: Vec<_> = openapi_definitions()
        .into_iter()
        .map(|(name, text)| (name, contents(&api(&text))))
        .collect();
    let found: Vec<_> = found.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert_eq!(found, expected);
}

#[test]
fn templates_are_refused_by_name() {
    let mut refused = Vec::new();
    for (name, text) in definitions() {
        if name.starts_with("sam-") || name.starts_with("cfn-") || name.starts_with("websocket-") {
            let error = error(&text);
            let advice = "is a CloudFormation/SAM template; give the OpenAPI document inside it";
            assert!(error.ends_with(advice), "{name}: {error}");
            refused.push(name);
        }
    }
    assert_eq!(refused.len(), 7, "{refused:?}");
}

/// What a 2.0 document cannot say, by file: nothing else may differ.
const NOT_SAID_IN_SWAGGER: [(&str, &str); 0] = [];

#[test]
fn every_definition_is_the_same_after_export_and_import_as_openapi_3() {
    for (name, text) in openapi_definitions() {
        assert_round_trip(&name, &text, ExportFormat::Oas30);
    }
}

#[test]
fn every_definition_is_the_same_after_export_and_import_as_openapi_2() {
    for (name, text) in openapi_definitions() {
        if NOT_SAID_IN_SWAGGER.iter().all(|(file, _)| *file != name) {
            assert_round_trip(&name, &text, ExportFormat::Swagger20);
        }
    }
}

/// Compares part by part first, so that a difference is readable.
fn assert_round_trip(name: &str, text: &str, format: ExportFormat) {
    let before = api(text);
    let written = export(&before, format).to_string();
    let after = imported(&written);
    assert_eq!(after.api.models, before.models, "{name}: models");
    assert_eq!(after.api.authorizers, before.authorizers, "{name}: authorizers");
    assert_eq!(after.api.request_validators, before.request_validators, "{name}: validators");
    assert_eq!(after.api.gateway_responses, before.gateway_responses, "{name}: responses");
    for (path, resource) in &before.resources {
        for (method, declared) in &resource.methods {
            assert_eq!(
                after.api.resources[path].methods[method], *declared,
                "{name}: {method} {path} in {format:?}"
            );
        }
    }
    assert_eq!(after.api, before, "{name}: the API as {format:?}");
}

#[test]
fn an_export_reads_without_warnings_but_those_of_its_content() {
    for (name, text) in openapi_definitions() {
        let before = api(&text);
        for format in [ExportFormat::Oas30, ExportFormat::Swagger20] {
            let warnings = imported(&export(&before, format).to_string()).warnings;
            let own = ["$ref", "${", "nullable", "documentation", "integration"];
            let other = warnings
                .iter()
                .find(|warning| !own.iter().any(|construct| warning.construct.contains(construct)));
            assert_eq!(other, None, "{name} as {format:?}");
        }
    }
}

#[test]
fn the_petstore_has_its_mappings_and_its_html_page() {
    let api = api(&definition("petstore-http.json"));
    let list = &api.resources["/pets"].methods[&HttpMethod::Get];
    assert!(!list.request_parameters["method.request.querystring.page"]);
    let integration = list.integration.as_ref().expect("an integration");
    assert_eq!(integration.integration_type, IntegrationType::Http);
    assert_eq!(
        integration.request_parameters["integration.request.querystring.page"],
        "method.request.querystring.page"
    );
    let root = &api.resources["/"].methods[&HttpMethod::Get];
    let page = &root.integration.as_ref().expect("an integration").responses[0];
    assert!(page.response_templates["text/html"].starts_with("<html>"));
    assert_eq!(root.responses["200"].models["text/html"], "Empty");
    assert_eq!(
        api.models["Pets"].schema["items"]["$ref"],
        "https://apigateway.amazonaws.com/restapis/{id}/models/Pet"
    );
}

#[test]
fn a_key_and_an_authorizer_together_are_both_kept() {
    let api = api(&definition("greedy-binary-keys.json"));
    let method = &api.resources["/just_do_it"].methods[&HttpMethod::Get];
    assert!(method.api_key_required);
    assert_eq!(method.authorization, Authorization::Custom { authorizer: "Auth0".to_owned() });
    let authorizer = &api.authorizers["Auth0"];
    assert_eq!(authorizer.authorizer_type, AuthorizerType::Token);
    assert_eq!(authorizer.identity_source.as_deref(), Some("method.request.header.Authorization"));
    let proxy = &api.resources["/{proxy+}"].methods[&HttpMethod::Options];
    assert!(proxy.request_parameters["method.request.path.proxy"]);
    assert_eq!(api.gateway_responses[&GatewayResponseType::ExpiredToken].status_code, Some(403));
}

#[test]
fn the_private_api_goes_through_its_vpc_link() {
    let api = api(&definition("private-nlb.yaml"));
    assert_eq!(api.base_path.as_deref(), Some("/Prod"));
    let method = &api.resources["/locations/{locationID}"].methods[&HttpMethod::Delete];
    let integration = method.integration.as_ref().expect("an integration");
    let link =
        Connection::VpcLink { id: "LocationsServiceVPCLink".to_owned(), integration_target: None };
    assert_eq!(integration.connection, link);
    let uri = "http://LocationsServiceLoadBalancer.DNSName/locations/{locationID}";
    assert_eq!(integration.uri.as_deref(), Some(uri));
}

#[test]
fn the_http_apis_are_told_from_rest_apis() {
    let jwt = api(&definition("http-api-jwt.json"));
    assert_eq!(jwt.protocol, Protocol::Http);
    let route = &jwt.resources["/users"].methods[&HttpMethod::Post];
    let wanted = Authorization::Jwt {
        authorizer: "UserAdminAuthoriser".to_owned(),
        scopes: vec!["email".to_owned()],
    };
    assert_eq!(route.authorization, wanted);
    let queue = api(&definition("http-api-cors-sqs.yaml"));
    assert_eq!(queue.cors.as_ref().map(|cors| cors["allowMethods"][0].clone()), Some("*".into()));
    let route = &queue.resources["/submit-job-request"].methods[&HttpMethod::Post];
    let integration = route.integration.as_ref().expect("an integration");
    assert_eq!(integration.integration_subtype.as_deref(), Some("SQS-SendMessage"));
}
