//! Authorizers, from OpenAPI text to what a request would meet.

use std::collections::BTreeMap;

use super::super::{Compiled, CompiledAuthorization, DEFAULT_INTEGRATION_TIMEOUT, compile};
use super::*;
use crate::api::ApiId;
use crate::openapi::{ImportOptions, import};

fn settings() -> StageSettings {
    StageSettings {
        api_id: ApiId("a1b2c3d4e5".to_owned()),
        stage_name: "prod".to_owned(),
        deployment_id: "abc123".to_owned(),
        account_id: "111122223333".to_owned(),
        region: "us-east-1".to_owned(),
        stage_variables: BTreeMap::from([("auth".to_owned(), "jwt".to_owned())]),
        maximum_integration_timeout: DEFAULT_INTEGRATION_TIMEOUT,
        authorizer_uris: BTreeMap::new(),
        authorizer_of_all: None,
        transformers: Vec::new(),
        method_transformers: BTreeMap::new(),
    }
}

const FUNCTION: &str =
    "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/f/invocations";

/// Two methods with the authorizer `who`, whose keys are given, and one without.
fn definition(keys: &str, settings: &StageSettings) -> Result<Compiled, CompileError> {
    let text = format!(
        "openapi: 3.0.1
info: {{title: t, version: '1'}}
paths:
  /a:
    get: {{responses: {{}}, security: [{{who: []}}], x-amazon-apigateway-integration: {{type: mock}}}}
    put: {{responses: {{}}, security: [{{who: []}}], x-amazon-apigateway-integration: {{type: mock}}}}
  /open:
    get: {{responses: {{}}, x-amazon-apigateway-integration: {{type: mock}}}}
components:
  securitySchemes:
    who: {{type: apiKey, in: header, name: X-Token, x-amazon-apigateway-authtype: custom, x-amazon-apigateway-authorizer: {{{keys}}}}}
"
    );
    let imported = import(&text, &ImportOptions::default()).expect("a definition");
    assert_eq!(imported.warnings, []);
    compile(&imported.api, settings)
}

fn only(keys: &str) -> CompiledAuthorizer {
    let mut compiled = definition(keys, &settings()).expect("compiles");
    assert_eq!(compiled.warnings, []);
    let methods: Vec<_> =
        compiled.stage.methods.iter().map(|method| method.authorization.clone()).collect();
    let plugin = CompiledAuthorization::Plugin(0);
    assert_eq!(methods, [plugin.clone(), plugin, CompiledAuthorization::None]);
    assert_eq!(compiled.stage.authorizers.len(), 1);
    compiled.stage.authorizers.remove(0)
}

fn sources(keys: &str) -> Vec<IdentitySource> {
    match only(&format!("type: request, authorizerUri: 'plugin:p', {keys}")).identity {
        Identity::Request(sources) => sources,
        token => panic!("{token:?}"),
    }
}

fn warnings(compiled: &Compiled) -> Vec<String> {
    compiled.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn a_token_authorizer_reads_one_header_which_its_pattern_has_to_match() {
    let authorizer = only(
        "type: token, authorizerUri: 'plugin:jwt', identityValidationExpression: 'Bearer \\S+'",
    );
    assert_eq!((&*authorizer.name, &*authorizer.plugin), ("who", "jwt"));
    assert_eq!(authorizer.time_to_live, DEFAULT_TIME_TO_LIVE);
    let Identity::Token { header, validation: Some(validation) } = &authorizer.identity else {
        panic!("{authorizer:?}")
    };
    assert_eq!(&**header, "X-Token");
    assert!(validation.is_match("Bearer abc"));
    assert!(!validation.is_match("Bearer abc def"));

    let authorizer = only(
        "type: token, authorizerUri: 'plugin:${stageVariables.auth}', \
         identitySource: method.request.header.Other, authorizerResultTtlInSeconds: 0",
    );
    assert_eq!((&*authorizer.plugin, authorizer.time_to_live), ("jwt", Duration::ZERO));
    assert!(
        matches!(&authorizer.identity, Identity::Token { header, validation: None } if **header == *"Other")
    );
}

#[test]
fn a_request_authorizer_has_its_sources_in_order() {
    use IdentitySource as S;
    assert_eq!(
        sources(
            "identitySource: 'method.request.querystring.q, method.request.header.H,\
             stageVariables.auth,context.identity.sourceIp'"
        ),
        [
            S::Querystring("q".into()),
            S::Header("H".into()),
            S::StageVariable("auth".into()),
            S::Context("identity.sourceIp".into())
        ]
    );
    assert_eq!(sources("authorizerResultTtlInSeconds: 0"), []);
}

#[test]
fn decisions_that_would_be_everybodys_are_not_kept() {
    let keys = "type: request, authorizerUri: 'plugin:p', authorizerResultTtlInSeconds: 60";
    let compiled = definition(keys, &settings()).expect("compiles");
    assert_eq!(compiled.stage.authorizers[0].time_to_live, Duration::ZERO);
    assert_eq!(
        warnings(&compiled),
        ["authorizerResultTtlInSeconds: without an identity source its decisions are not kept \
          (GET /a)"]
    );
}

#[test]
fn what_can_not_identify_anybody_is_refused() {
    for (keys, message) in [
        ("type: token, authorizerUri: 'plugin:'", "names no plugin"),
        (
            "type: token, authorizerUri: 'plugin:p', identitySource: 'context.stage'",
            "has one header as its identity source",
        ),
        (
            "type: token, authorizerUri: 'plugin:p', \
             identitySource: 'method.request.header.A,method.request.header.B'",
            "has one header as its identity source",
        ),
        (
            "type: request, authorizerUri: 'plugin:p', identitySource: 'method.request.path.id'",
            "Invalid mapping expression parameter specified: method.request.path.id",
        ),
        (
            "type: request, authorizerUri: 'plugin:p', identitySource: 'method.request.header.'",
            "Invalid mapping expression parameter specified: method.request.header.",
        ),
        (
            "type: token, authorizerUri: 'plugin:p', identityValidationExpression: '('",
            "identityValidationExpression can't be used",
        ),
    ] {
        let error = definition(keys, &settings()).expect_err(keys);
        assert_eq!(error.location, "authorizer who");
        assert!(error.message.contains(message), "{keys}: {error}");
    }
}

#[test]
fn a_setting_lets_a_plugin_stand_for_a_function() {
    let keys = format!("type: token, authorizerUri: '{FUNCTION}'");
    let unserved = definition(&keys, &settings()).expect("compiles");
    assert_eq!(
        warnings(&unserved),
        ["Lambda authorizer: not evaluated yet: every request is refused (GET /a, PUT /a)"]
    );
    assert!(unserved.stage.authorizers.is_empty());

    let mut replaced = settings();
    replaced.authorizer_uris.insert("who".to_owned(), "plugin:mine".to_owned());
    let compiled = definition(&keys, &replaced).expect("compiles");
    assert_eq!(warnings(&compiled), [""; 0]);
    assert_eq!(compiled.stage.authorizers[0].plugin, "mine");
    assert_eq!(compiled.stage.methods[0].authorization, CompiledAuthorization::Plugin(0));
}

#[test]
fn a_setting_for_an_authorizer_that_is_not_there_is_refused() {
    let mut settings = settings();
    settings.authorizer_uris.insert("whom".to_owned(), "plugin:mine".to_owned());
    let keys = "type: token, authorizerUri: 'plugin:p'";
    assert_eq!(
        definition(keys, &settings).expect_err("refused").to_string(),
        "authorizer whom: is not in the definition; its authorizers: who"
    );
    settings.authorizer_uris = BTreeMap::from([("who".to_owned(), "plugin:mine".to_owned())]);
    let error = definition("type: cognito_user_pools, providerARNs: [a]", &settings);
    let error = error.expect_err("refused").to_string();
    assert!(error.starts_with("authorizer who: is neither a TOKEN nor a REQUEST"), "{error}");
}

#[test]
fn one_plugin_may_authorize_every_method() {
    let mut settings = settings();
    settings.authorizer_of_all = Some("dev".to_owned());
    let compiled = definition(&format!("type: token, authorizerUri: '{FUNCTION}'"), &settings);
    let compiled = compiled.expect("compiles");
    assert_eq!(warnings(&compiled), [""; 0]);
    for method in &compiled.stage.methods {
        assert_eq!(method.authorization, CompiledAuthorization::Plugin(0));
    }
    let [authorizer] = &compiled.stage.authorizers[..] else { panic!("{compiled:?}") };
    assert_eq!((&*authorizer.name, &*authorizer.plugin), ("", "dev"));
    assert_eq!(authorizer.time_to_live, Duration::ZERO);
    assert!(matches!(&authorizer.identity, Identity::Request(sources) if sources.is_empty()));
}
