//! Whole definitions, from OpenAPI text to what a request would meet.

use std::time::Duration;

use super::*;
use crate::api::HttpMethod;
use crate::openapi::{ImportOptions, import};

fn settings() -> StageSettings {
    StageSettings {
        api_id: ApiId("a1b2c3d4e5".to_owned()),
        stage_name: "prod".to_owned(),
        deployment_id: "abc123".to_owned(),
        account_id: "111122223333".to_owned(),
        region: "us-east-1".to_owned(),
        stage_variables: BTreeMap::from([
            ("host".to_owned(), "backend:81".to_owned()),
            ("link".to_owned(), "l1".to_owned()),
        ]),
        maximum_integration_timeout: DEFAULT_INTEGRATION_TIMEOUT,
        authorizer_uris: BTreeMap::new(),
        authorizer_of_all: None,
        transformers: Vec::new(),
        method_transformers: BTreeMap::new(),
    }
}

fn try_definition(text: &str) -> Result<Compiled, CompileError> {
    let imported = import(text, &ImportOptions::default()).expect("a definition");
    compile(&imported.api, &settings())
}

/// `paths` and what follows, after the head every definition has.
fn definition(paths: &str) -> Compiled {
    try_definition(&format!("openapi: 3.0.1\ninfo: {{title: t, version: '1'}}\n{paths}"))
        .expect("compiles")
}

/// An operation whose integration is given, as `METHOD path` or one line of error.
fn try_integration(operation: &str, integration: &str) -> Result<Compiled, CompileError> {
    let (method, path) = operation.split_once(' ').expect("method path");
    try_definition(&format!(
        "openapi: 3.0.1
info: {{title: t, version: '1'}}
paths:
  {path}:
    {method}:
      parameters:
        - {{name: q, in: query, schema: {{type: string}}}}
      responses:
        '200': {{description: ok, headers: {{X-A: {{schema: {{type: string}}}}}}}}
      x-amazon-apigateway-integration: {integration}
"
    ))
}

fn integration(operation: &str, integration: &str) -> Compiled {
    try_integration(operation, integration).expect("compiles")
}

fn only_method(compiled: &Compiled) -> &CompiledMethod {
    assert_eq!(compiled.stage.methods.len(), 1);
    &compiled.stage.methods[0]
}

fn warnings(compiled: &Compiled) -> Vec<String> {
    compiled.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn a_stage_is_found_method_by_method() {
    let compiled = definition(
        "paths:
  /pets:
    get: {responses: {}, x-amazon-apigateway-integration: {type: http_proxy, httpMethod: GET, uri: 'http://${stageVariables.host}/pets'}}
    x-amazon-apigateway-any-method: {responses: {}, x-amazon-apigateway-integration: {type: http_proxy, httpMethod: ANY, uri: 'http://${stageVariables.host}/all'}}
  /pets/{id}:
    get: {responses: {}, x-amazon-apigateway-integration: {type: http_proxy, httpMethod: POST, uri: 'http://other/{id}', requestParameters: {integration.request.path.id: method.request.path.id}}}
",
    );
    let stage = &compiled.stage;
    assert_eq!(warnings(&compiled), [""; 0]);
    let mut params = PathParameters::default();
    let found = stage.router.find(b"GET", "/pets/7", &mut params).expect("found");
    let (resource, method) = (&stage.resources[found.resource], &stage.methods[found.method]);
    assert_eq!((resource.path.as_str(), method.http_method), ("/pets/{id}", HttpMethod::Get));
    assert_eq!(params.get("id"), Some("7"));
    assert_eq!(method.resource, found.resource);
    let found = stage.router.find(b"PUT", "/pets", &mut params).expect("found");
    assert_eq!(stage.methods[found.method].http_method, HttpMethod::Any);
    let targets: Vec<_> =
        stage.upstreams.iter().map(|upstream| (upstream.host.as_str(), upstream.port)).collect();
    assert_eq!(targets, [("backend", 81), ("other", 80)]);
}

#[test]
fn resource_ids_are_six_characters_and_stay_the_same() {
    let paths = "paths:\n  /a: {}\n  /b/{c}: {}\n";
    let ids = |compiled: &Compiled| -> Vec<String> {
        compiled.stage.resources.iter().map(|resource| resource.id.clone()).collect()
    };
    let first = ids(&definition(paths));
    assert_eq!(first, ids(&definition(paths)));
    assert!(
        first.iter().all(|id| id.len() == 6
            && id.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())),
        "{first:?}"
    );
    let distinct: std::collections::HashSet<_> = first.iter().collect();
    assert_eq!(distinct.len(), first.len());
    assert!(
        definition("paths:\n  /a: {}\n")
            .stage
            .resources
            .iter()
            .all(|resource| first.contains(&resource.id))
    );
}

#[test]
fn an_http_integration_keeps_what_a_request_needs() {
    let compiled = integration(
        "get /a/{x}",
        "{type: http_proxy, httpMethod: ANY, uri: 'https://h:8443/{x}/{v}?k=1', timeoutInMillis: 50, connectionType: VPC_LINK, connectionId: '${stageVariables.link}', tlsConfig: {insecureSkipVerification: true},
         requestParameters: {integration.request.path.x: method.request.path.x, integration.request.path.v: stageVariables.host, integration.request.path.unused: \"'u'\", integration.request.header.H: method.request.querystring.q}}",
    );
    let CompiledIntegration::HttpProxy(http) = &only_method(&compiled).integration else {
        panic!("HTTP_PROXY")
    };
    assert_eq!(
        (http.http_method, http.timeout, &*http.host_header),
        (None, Duration::from_millis(50), "h:8443")
    );
    let Target::Fixed(target) = http.target else { panic!("fixed") };
    assert_eq!(
        compiled.stage.upstreams[target],
        UpstreamTarget {
            scheme: Scheme::Https,
            host: "h".to_owned(),
            port: 8443,
            connection: UpstreamConnection::VpcLink("l1".to_owned()),
            insecure_skip_verification: true,
        }
    );
    let destinations: Vec<_> =
        http.request_parameters.iter().map(|mapping| &mapping.destination).collect();
    assert_eq!(destinations, [&Destination::Path("x".into()), &Destination::Header("H".into())]);
    let mut out = Vec::new();
    http.uri.render(|_| Ok(Some(UriValue::Captured("7"))), &mut out).expect("renders");
    assert_eq!(String::from_utf8_lossy(&out), "/7/backend:81?k=1");
}

#[test]
fn what_aws_answers_with_500_compiles_and_is_reported() {
    for (integration, reason) in [
        (
            "{type: http_proxy, httpMethod: GET, uri: 'http://${stageVariables.none}/x'}",
            "Invalid HTTP endpoint specified for URI",
        ),
        (
            "{type: http_proxy, httpMethod: GET, uri: 'http://{x}.example.com'}",
            "Invalid HTTP endpoint specified for URI",
        ),
        (
            "{type: aws_proxy, httpMethod: POST, uri: '${stageVariables.none}'}",
            "Invalid ARN specified in the request",
        ),
        (
            "{type: http, httpMethod: GET, uri: 'http://h', connectionType: VPC_LINK, connectionId: '${stageVariables.none}'}",
            "the VPC link id is empty",
        ),
    ] {
        let compiled = self::integration("get /a", integration);
        match &only_method(&compiled).integration {
            CompiledIntegration::Misconfigured { reason: found } => assert_eq!(found, reason),
            other => panic!("{integration}: {other:?}"),
        }
        assert_eq!(
            warnings(&compiled),
            [format!("integration: {reason}: every request answers 500 (GET /a)")]
        );
    }
    let compiled = definition("paths:\n  /a:\n    get: {responses: {}}\n");
    assert!(matches!(
        &only_method(&compiled).integration,
        CompiledIntegration::Misconfigured { .. }
    ));
}

#[test]
fn what_aws_refuses_at_import_is_one_line_with_place_and_text() {
    for (integration, message) in [
        (
            "{type: http_proxy, httpMethod: GET, uri: 'http://h', requestParameters: {integration.request.header.a: method.request.header.b}}",
            "GET /a: Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression parameter specified: method.request.header.b]",
        ),
        (
            "{type: http_proxy, httpMethod: GET, uri: 'http://h', requestParameters: {integration.request.header.a: \"'1'\", integration.request.querystring.a: \"'2'\"}}",
            "GET /a: Parameter names must be unique across querystring, header and path: a",
        ),
        (
            "{type: aws_proxy, httpMethod: POST, uri: 'arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/f/invocations', requestParameters: {integration.request.header.a: method.request.querystring.z}}",
            "GET /a: Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression parameter specified: method.request.querystring.z]",
        ),
        (
            "{type: mock, responses: {default: {statusCode: '200', responseParameters: {method.response.header.X-B: \"'1'\"}}}}",
            "GET /a: Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression parameter specified: method.response.header.X-B]",
        ),
    ] {
        assert_eq!(
            try_integration("get /a", integration).expect_err(integration).to_string(),
            message
        );
    }
}

#[test]
fn timeouts_are_between_50_ms_and_the_maximum() {
    let timeout = |millis: Option<u32>, maximum: u64| {
        let imported = import(
            "openapi: 3.0.1\ninfo: {title: t, version: '1'}\npaths: {/a: {get: {responses: {}, x-amazon-apigateway-integration: {type: http_proxy, httpMethod: GET, uri: 'http://h'}}}}",
            &ImportOptions::default(),
        );
        let mut api = imported.expect("a definition").api;
        let method = api
            .resources
            .get_mut("/a")
            .and_then(|resource| resource.methods.get_mut(&HttpMethod::Get));
        method
            .and_then(|method| method.integration.as_mut())
            .expect("integration")
            .timeout_in_millis = millis;
        let settings = StageSettings {
            maximum_integration_timeout: Duration::from_millis(maximum),
            ..settings()
        };
        let compiled = compile(&api, &settings).map_err(|error| error.to_string())?;
        match &only_method(&compiled).integration {
            CompiledIntegration::HttpProxy(http) => Ok(http.timeout.as_millis()),
            other => Err(format!("{other:?}")),
        }
    };
    assert_eq!(timeout(None, 29_000), Ok(29_000));
    assert_eq!(timeout(None, 300_000), Ok(29_000));
    assert_eq!(timeout(None, 10_000), Ok(10_000));
    assert_eq!(timeout(Some(50), 29_000), Ok(50));
    assert_eq!(timeout(Some(120_000), 300_000), Ok(120_000));
    for (millis, maximum) in [(49, 29_000), (29_001, 29_000), (0, 29_000)] {
        let message = format!(
            "GET /a: timeoutInMillis is {millis}: Timeout should be between 50 ms and {maximum} ms"
        );
        assert_eq!(timeout(Some(millis), maximum), Err(message));
    }
}

#[test]
fn a_mock_answers_preflights() {
    let compiled = integration(
        "options /a",
        "{type: mock, requestTemplates: {application/json: '{\"statusCode\": 200}'}, responses: {default: {statusCode: '200', responseParameters: {method.response.header.X-A: \"'*'\"}}}}",
    );
    let CompiledIntegration::Mock { request, responses } = &only_method(&compiled).integration
    else {
        panic!("MOCK")
    };
    assert!(matches!(request.select(None), Selected::Template(_)));
    let response = responses.select("200").expect("response");
    assert_eq!((response.status, &*response.parameters[0].header), (200, "X-A"));
    assert_eq!(warnings(&compiled), [""; 0]);
}

#[test]
fn each_unserved_construct_is_named_with_its_place() {
    for (integration, expected) in [
        (
            "{type: aws_proxy, httpMethod: POST, uri: 'arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:1:function:f/invocations'}",
            "Lambda integration: functions can't be reached yet: every request answers 500 (GET /a)",
        ),
        (
            "{type: aws, httpMethod: POST, uri: 'arn:aws:apigateway:us-east-1:sqs:action/SendMessage'}",
            "AWS service integration (sqs): AWS services can't be reached yet: every request answers 500 (GET /a)",
        ),
        (
            "{type: mock, requestTemplates: {application/json: '#if(1)x'}}",
            "mapping template: request template application/json can't be parsed, so that rendering it answers 500: line 1, column 1: `#if` is not closed by `#end` (GET /a)",
        ),
        (
            "{type: mock, responses: {'(a': {statusCode: '200'}}}",
            "selectionPattern: `(a` matches nothing: Unclosed group (GET /a)",
        ),
        (
            "{type: http_proxy, httpMethod: GET, uri: 'http://h', cacheKeyParameters: [method.request.querystring.q]}",
            "cacheKeyParameters: responses are not cached yet (GET /a)",
        ),
        (
            "{type: http_proxy, httpMethod: GET, uri: 'http://h', credentials: 'arn:aws:iam::1:role/r'}",
            "credentials: not used for this integration type (GET /a)",
        ),
        (
            "{type: http_proxy, httpMethod: GET, uri: 'http://h/{x}'}",
            "parameter of the integration URI: nothing is mapped to integration.request.path.x: it is sent as it stands (GET /a)",
        ),
        (
            "{type: http_proxy, httpMethod: POST, uri: 'http://h', requestParameters: {integration.request.header.x: 'method.request.body.a[*'}}",
            "JSONPath in parameter mapping: a path is invalid: nothing is mapped from it (GET /a)",
        ),
    ] {
        assert_eq!(
            warnings(&self::integration("get /a", integration)),
            [expected],
            "{integration}"
        );
    }
}

#[test]
fn unserved_parts_of_the_api_are_named_too() {
    let compiled = definition(
        "paths: {}
x-amazon-apigateway-security-policy: TLS_1_2
x-amazon-apigateway-policy: {Version: '2012-10-17', Statement: [{Effect: Deny, Principal: '*', Action: 'execute-api:Invoke', Resource: '*'}]}
",
    );
    let constructs: Vec<&str> =
        compiled.warnings.iter().map(|warning| warning.construct.as_str()).collect();
    assert_eq!(constructs, ["x-amazon-apigateway-security-policy"]);
    assert!(compiled.warnings.iter().all(|warning| warning.places == ["API"]));
    assert!(matches!(&compiled.stage.resource_policy, CompiledPolicy::Evaluated(_)));
}

#[test]
fn methods_that_need_a_caller_keep_saying_so() {
    let compiled = definition(
        "paths:
  /token: {get: {responses: {}, security: [{a: []}], x-amazon-apigateway-integration: {type: mock}}}
  /pool: {get: {responses: {}, security: [{c: [s1]}], x-amazon-apigateway-integration: {type: mock}}}
  /iam: {get: {responses: {}, x-amazon-apigateway-auth: {type: AWS_IAM}, x-amazon-apigateway-integration: {type: mock}}}
  /key: {get: {responses: {}, security: [{k: []}], x-amazon-apigateway-integration: {type: mock}}}
components:
  securitySchemes:
    a: {type: apiKey, in: header, name: X-Token, x-amazon-apigateway-authtype: custom, x-amazon-apigateway-authorizer: {type: token, authorizerUri: 'arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/f/invocations'}}
    c: {type: apiKey, in: header, name: Authorization, x-amazon-apigateway-authtype: cognito_user_pools, x-amazon-apigateway-authorizer: {type: cognito_user_pools, providerARNs: ['arn:aws:cognito-idp:us-east-1:1:userpool/p']}}
    k: {type: apiKey, in: header, name: x-api-key}
",
    );
    let methods = &compiled.stage.methods;
    assert!(
        matches!(&methods[0].authorization, CompiledAuthorization::Custom { identity_headers, .. } if identity_headers == &["X-Token"])
    );
    assert!(
        matches!(&methods[1].authorization, CompiledAuthorization::CognitoUserPools { scopes, .. } if scopes == &["s1"])
    );
    assert_eq!(methods[2].authorization, CompiledAuthorization::AwsIam);
    assert_eq!(
        (&methods[3].authorization, methods[3].api_key_required),
        (&CompiledAuthorization::None, true)
    );
    assert_eq!(
        warnings(&compiled),
        [
            "Lambda authorizer: not evaluated yet: every request is refused (GET /token)",
            "Cognito user pool authorizer: not evaluated yet: every request is refused (GET /pool)",
            "AWS_IAM authorization: not evaluated yet: every request is refused (GET /iam)",
        ]
    );
}

#[test]
fn a_thousand_methods_share_backends_and_warnings() {
    let paths: String = (0..1_000)
        .map(|n| format!("  /r{n}: {{get: {{responses: {{}}, x-amazon-apigateway-integration: {{type: http, httpMethod: GET, uri: 'http://h/{n}', cacheKeyParameters: [a], responses: {{'4\\d{{2}}': {{statusCode: '400'}}, default: {{statusCode: '200'}}}}}}}}}}\n"))
        .collect();
    let compiled = definition(&format!("paths:\n{paths}"));
    assert_eq!(
        (compiled.stage.methods.len(), compiled.stage.upstreams.len(), compiled.warnings.len()),
        (1_000, 1, 1)
    );
    assert_eq!(compiled.warnings[0].places.len(), 1_000);
}

const TWO_METHODS: &str = "openapi: 3.0.1
info: {title: t, version: '1'}
x-tollgate-transformers: [of-api]
paths:
  /a:
    get: {responses: {}, x-tollgate-transformers: [of-method]}
    post: {responses: {}}
    put: {responses: {}}
";

fn transformers(method_transformers: &[(&str, &str)]) -> Result<Compiled, CompileError> {
    let imported = import(TWO_METHODS, &ImportOptions::default()).expect("a definition");
    let attached = method_transformers.iter();
    let settings = StageSettings {
        transformers: vec!["of-stage".to_owned()],
        method_transformers: attached
            .map(|(method, name)| ((*method).to_owned(), vec![(*name).to_owned()]))
            .collect(),
        ..settings()
    };
    compile(&imported.api, &settings)
}

#[test]
fn transformers_come_in_the_order_of_api_stage_and_method() {
    let compiled = transformers(&[("GET /a", "attached")]).expect("compiles");
    let methods = &compiled.stage.methods;
    assert_eq!(*methods[0].transformers, ["of-api", "of-stage", "of-method", "attached"]);
    assert_eq!(*methods[1].transformers, ["of-api", "of-stage"]);
    assert!(std::sync::Arc::ptr_eq(&methods[1].transformers, &methods[2].transformers));
}

#[test]
fn transformers_for_a_method_that_is_not_there_are_refused() {
    let error = transformers(&[("GET /a", "x"), ("GET /b", "x"), ("get /a", "x")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "transformers: the API has no such method: GET /b, get /a; written as in GET /pets/{id}"
    );
}
