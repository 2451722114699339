//! Each `x-amazon-apigateway-*` extension: where it goes, and what it refuses.

use serde_json::json;
use tollgate_model::api::{
    ApiKeySource, Authorization, AuthorizerType, Connection, ContentHandling, EndpointType,
    GatewayResponseType, HttpMethod, PassthroughBehavior,
};
use tollgate_model::openapi::{ExportFormat, export};

use crate::{
    api, assert_refused, assert_warns, document, integration, operation, with_integration,
};

fn root(extension: &str) -> String {
    document(&format!("paths: {{}}\nx-amazon-apigateway-{extension}\n"))
}

#[test]
fn extensions_at_the_root_are_taken_over() {
    let source = api(&root("api-key-source: AUTHORIZER"));
    assert_eq!(source.api_key_source, ApiKeySource::Authorizer);
    let types = api(&root("binary-media-types: [image/png, '*/*']"));
    assert_eq!(types.binary_media_types, ["image/png", "*/*"]);
    let size = api(&root("minimum-compression-size: 1024"));
    assert_eq!(size.minimum_compression_size, Some(1024));
    let parts = api(&root("documentation: {version: '1', documentationParts: []}"));
    assert_eq!(parts.documentation, Some(json!({"version": "1", "documentationParts": []})));
    let strict = api(&root("endpoint-access-mode: STRICT"));
    assert_eq!(strict.endpoint_access_mode.as_deref(), Some("STRICT"));
    let tls = api(&root("security-policy: SecurityPolicy_TLS13_1_3_2025_09"));
    assert_eq!(tls.security_policy.as_deref(), Some("SecurityPolicy_TLS13_1_3_2025_09"));
    let validator = api(&root("request-validators: {all: {validateRequestBody: true}}"));
    assert!(validator.request_validators["all"].validate_request_body);
    assert!(!validator.request_validators["all"].validate_request_parameters);
}

#[test]
fn values_out_of_range_at_the_root_are_refused_with_what_is_allowed() {
    for (extension, parts) in [
        ("api-key-source: BODY", ["\"BODY\" is not an API key source", "HEADER, AUTHORIZER"]),
        ("minimum-compression-size: 10485761", ["10485761 is not allowed", "0 to 10485760"]),
        ("binary-media-types: {a: b}", ["is a map", "a list is allowed"]),
        ("request-validators: {'': {}}", ["Request Validator name cannot be blank", ""]),
        ("request-validators: {a: {validateRequestBody: 7}}", ["is a number", "true, false"]),
        ("policy: '{'", ["x-amazon-apigateway-policy", "not a policy in JSON"]),
        ("endpoint-configuration: {types: [EDGE, PRIVATE]}", ["multiple Endpoint Types.", ""]),
        (
            "endpoint-configuration: {types: [LOCAL]}",
            ["Valid options are REGIONAL,EDGE,PRIVATE", ""],
        ),
    ] {
        assert_refused(&root(extension), &parts);
    }
}

#[test]
fn extensions_that_are_not_known_are_warned_of_by_name() {
    assert_warns(&root("foo: 1"), &["x-amazon-apigateway-foo", "not an extension known"]);
    assert_warns(
        &operation("x-amazon-apigateway-bar: 1"),
        &["GET /pets", "x-amazon-apigateway-bar"],
    );
    assert_warns(&with_integration("type: mock, speed: 9"), &["GET /pets", "speed"]);
    let parameter = "parameters: [{name: a, in: query, x-amazon-apigateway-foo: 1}]";
    assert_warns(&operation(parameter), &["GET /pets", "x-amazon-apigateway-foo"]);
    let item = document("paths: {/pets: {x-amazon-apigateway-foo: {}}}\n");
    assert_warns(&item, &["/pets", "x-amazon-apigateway-foo"]);
}

#[test]
fn a_policy_is_an_object_or_its_json() {
    let object = api(&root("policy: {Version: '2012-10-17', Statement: []}"));
    let text = api(&root("policy: '{\"Version\": \"2012-10-17\", \"Statement\": []}'"));
    assert_eq!(object.policy, Some(json!({"Version": "2012-10-17", "Statement": []})));
    assert_eq!(object.policy, text.policy);
}

#[test]
fn the_endpoint_configuration_is_read_at_the_root_and_in_servers() {
    let private = api(&root(
        "endpoint-configuration: {types: [PRIVATE], vpcEndpointIds: [vpce-1], ipAddressType: dualstack}",
    ));
    assert_eq!(private.endpoint_type, EndpointType::Private);
    assert_eq!(private.vpc_endpoint_ids, ["vpce-1"]);
    assert_eq!(private.ip_address_type.as_deref(), Some("dualstack"));
    let server = api(&document(
        "paths: {}\nservers: [{url: /, x-amazon-apigateway-endpoint-configuration: \
         {disableExecuteApiEndpoint: true}}]\n",
    ));
    assert!(server.disable_execute_api_endpoint);
    assert_eq!(server.endpoint_type, EndpointType::Regional);
}

#[test]
fn gateway_responses_are_read_by_type() {
    let api = api(&root(
        "gateway-responses: {DEFAULT_4XX: {statusCode: 418, responseParameters: \
         {gatewayresponse.header.A: \"'b'\"}, responseTemplates: {a/b: x}}, THROTTLED: {}}",
    ));
    let response = &api.gateway_responses[&GatewayResponseType::Default4xx];
    assert_eq!(response.status_code, Some(418));
    assert_eq!(response.response_parameters["gatewayresponse.header.A"], "'b'");
    assert_eq!(response.response_templates["a/b"], "x");
    assert_eq!(api.gateway_responses[&GatewayResponseType::Throttled].status_code, None);
    assert_refused(
        &root("gateway-responses: {TEAPOT: {}}"),
        &["\"TEAPOT\" is not a gateway response type", "ACCESS_DENIED", "WAF_FILTERED"],
    );
}

#[test]
fn a_validator_of_an_operation_overrides_the_documents() {
    let validators = "x-amazon-apigateway-request-validators: {a: {}, b: {}}\n\
                      x-amazon-apigateway-request-validator: a\n";
    let own = operation("x-amazon-apigateway-request-validator: b") + validators;
    assert_eq!(crate::method(&own).request_validator.as_deref(), Some("b"));
    let inherited = operation("") + validators;
    assert_eq!(crate::method(&inherited).request_validator.as_deref(), Some("a"));
    let unknown = operation("x-amazon-apigateway-request-validator: c") + validators;
    assert_refused(&unknown, &["\"c\" is not a request validator", "allowed: a, b"]);
}

#[test]
fn any_method_is_the_method_any() {
    let any = api(&document("paths: {/pets: {x-amazon-apigateway-any-method: {}, get: {}}}\n"));
    let methods: Vec<_> = any.resources["/pets"].methods.keys().copied().collect();
    assert_eq!(methods, [HttpMethod::Any, HttpMethod::Get]);
    assert_warns(&document("paths: {/pets: {trace: {}}}\n"), &["/pets", "trace"]);
}

#[test]
fn an_integration_is_taken_over_whole() {
    let read = integration(
        "type: HTTP, uri: 'https://${stageVariables.host}/a', httpMethod: post, \
         connectionType: vpc_link, connectionId: '${stageVariables.link}', integrationTarget: arn:t, \
         credentials: 'arn:aws:iam::*:user/*', passthroughBehavior: WHEN_NO_TEMPLATES, \
         contentHandling: convert_to_text, cacheKeyParameters: [method.request.path.a], \
         cacheNamespace: n, timeoutInMillis: '500', responseTransferMode: STREAM, \
         tlsConfig: {insecureSkipVerification: true}, requestParameters: {a: b}, \
         requestTemplates: {a/b: t, c/d: {x: 1}}",
    );
    assert_eq!(read.http_method, Some(HttpMethod::Post));
    let link = Connection::VpcLink {
        id: "${stageVariables.link}".to_owned(),
        integration_target: Some("arn:t".to_owned()),
    };
    assert_eq!(read.connection, link);
    assert_eq!(read.credentials.as_deref(), Some("arn:aws:iam::*:user/*"));
    assert_eq!(read.passthrough_behavior, PassthroughBehavior::WhenNoTemplates);
    assert_eq!(read.content_handling, Some(ContentHandling::ConvertToText));
    assert_eq!(read.cache_key_parameters, ["method.request.path.a"]);
    assert_eq!(read.cache_namespace.as_deref(), Some("n"));
    assert_eq!(read.timeout_in_millis, Some(500));
    assert!(read.stream_response && read.insecure_skip_verification);
    assert_eq!(read.request_parameters["a"], "b");
    assert_eq!(read.request_templates["c/d"], "{\"x\":1}");
}

#[test]
fn integration_responses_are_keyed_by_pattern() {
    let read = integration(
        "type: mock, responses: {default: {statusCode: 200}, '4\\d\\d': {statusCode: '400', \
         responseParameters: {method.response.header.A: \"'b'\"}, responseTemplates: {a/b: x}, \
         contentHandling: CONVERT_TO_BINARY}}",
    );
    let [default, bad] = read.responses.as_slice() else { panic!("{:?}", read.responses) };
    assert_eq!((default.selection_pattern.as_deref(), default.status_code), (None, 200));
    assert_eq!((bad.selection_pattern.as_deref(), bad.status_code), (Some("4\\d\\d"), 400));
    assert_eq!(bad.response_parameters["method.response.header.A"], "'b'");
    assert_eq!(bad.content_handling, Some(ContentHandling::ConvertToBinary));
}

#[test]
fn what_an_integration_must_not_hold_is_refused_with_what_is_allowed() {
    for (keys, parts) in [
        ("uri: x", ["has no type", "allowed: http, http_proxy, aws, aws_proxy, mock"]),
        ("type: http", ["has no uri", ""]),
        ("type: http, uri: ftp://x", ["Invalid HTTP endpoint specified for URI", ".uri"]),
        ("type: aws, uri: http://x", ["Invalid ARN specified in the request", ""]),
        ("type: aws, uri: 'arn:aws:x'", ["must contain path or action", ""]),
        ("type: mock, httpMethod: FETCH", ["\"FETCH\" is not an HTTP method", "GET, POST"]),
        ("type: mock, connectionType: VPC_LINK", ["needs a connectionId", ""]),
        ("type: mock, connectionType: WIRE", ["\"WIRE\"", "INTERNET, VPC_LINK"]),
        (
            "type: mock, passthroughBehavior: always",
            ["\"always\"", "when_no_match, when_no_templates, never"],
        ),
        ("type: mock, contentHandling: ZIP", ["\"ZIP\"", "CONVERT_TO_TEXT, CONVERT_TO_BINARY"]),
        ("type: mock, timeoutInMillis: 49", ["49 is not allowed", "50 to 29000 milliseconds"]),
        (
            "type: mock, timeoutInMillis: 300001",
            ["300001 is not allowed", "300000 where the quota"],
        ),
        ("type: mock, responses: {default: {}}", ["has no statusCode", ""]),
        ("type: mock, responses: {default: {statusCode: 999}}", ["'999'", "[1-5]\\d\\d"]),
        ("type: mock, requestParameters: {a: []}", ["is a list", "a string is allowed"]),
    ] {
        assert_refused(&with_integration(keys), &parts);
    }
}

#[test]
fn a_timeout_over_the_quota_is_kept_with_a_warning() {
    let text = with_integration("type: mock, timeoutInMillis: 60000");
    assert_warns(&text, &["timeoutInMillis", "60000 is over 29000"]);
    assert_eq!(integration("type: mock, timeoutInMillis: 60000").timeout_in_millis, Some(60_000));
}

#[test]
fn an_unquoted_boolean_parameter_is_dropped_in_the_words_of_aws() {
    let keys = "type: mock, requestParameters: {integration.request.header.A: true}";
    assert!(integration(keys).request_parameters.is_empty());
    assert_warns(
        &with_integration(keys),
        &["Invalid format for 'requestParameters'. Expected type string for property \
           'integration.request.header.A' of resource '/pets' and method 'GET' but got 'true'"],
    );
}

#[test]
fn a_lambda_proxy_is_always_invoked_with_post() {
    let keys = "type: aws_proxy, httpMethod: GET, uri: 'arn:aws:apigateway:r:lambda:path/f'";
    assert_eq!(integration(keys).http_method, Some(HttpMethod::Post));
    assert_warns(&with_integration(keys), &["httpMethod", "GET is taken as POST"]);
}

/// A document whose `GET /pets` needs the security scheme `S` of the given keys.
fn secured(scheme: &str, scopes: &str) -> String {
    operation(&format!("security: [{{S: [{scopes}]}}]"))
        + &format!("components: {{securitySchemes: {{S: {{{scheme}}}}}}}\n")
}

#[test]
fn authorizers_of_each_type_are_read() {
    let authorizer = |keys: &str, scopes: &str| {
        let scheme = format!(
            "type: apiKey, in: header, name: Auth, x-amazon-apigateway-authtype: label, \
             x-amazon-apigateway-authorizer: {{{keys}}}"
        );
        let text = secured(&scheme, scopes);
        (api(&text).authorizers["S"].clone(), crate::method(&text).authorization)
    };
    let custom = Authorization::Custom { authorizer: "S".to_owned() };

    let (token, used) = authorizer(
        "type: token, authorizerUri: u, authorizerCredentials: c, \
         authorizerResultTtlInSeconds: 0, identityValidationExpression: '.*'",
        "",
    );
    assert_eq!((token.authorizer_type, used), (AuthorizerType::Token, custom.clone()));
    assert_eq!(token.identity_source.as_deref(), Some("method.request.header.Auth"));
    assert_eq!((token.uri.as_deref(), token.credentials.as_deref()), (Some("u"), Some("c")));
    assert_eq!(token.result_ttl_in_seconds, Some(0));
    assert_eq!(token.identity_validation_expression.as_deref(), Some(".*"));
    assert_eq!(token.auth_type.as_deref(), Some("label"));

    let source = "method.request.header.A,context.B";
    let keys = format!("type: REQUEST, authorizerUri: u, identitySource: '{source}'");
    let (request, used) = authorizer(&keys, "");
    assert_eq!((request.authorizer_type, used), (AuthorizerType::Request, custom));
    assert_eq!(request.identity_source.as_deref(), Some(source));

    let (cognito, used) = authorizer("type: cognito_user_pools, providerARNs: [a, b]", "read");
    assert_eq!(cognito.provider_arns, ["a", "b"]);
    let scopes = vec!["read".to_owned()];
    assert_eq!(used, Authorization::CognitoUserPools { authorizer: "S".to_owned(), scopes });

    let (jwt, used) = authorizer(
        "type: jwt, jwtConfiguration: {issuers: [{issuer: 'https://i', audiences: [a]}]}",
        "read",
    );
    assert_eq!(jwt.jwt_issuer.as_deref(), Some("https://i"));
    assert_eq!(jwt.jwt_audience, ["a"]);
    assert!(jwt.jwt_configuration.is_some());
    let scopes = vec!["read".to_owned()];
    assert_eq!(used, Authorization::Jwt { authorizer: "S".to_owned(), scopes });
}

#[test]
fn an_incomplete_authorizer_is_refused() {
    for (keys, part) in [
        ("", "has no type; allowed: token, request, cognito_user_pools, jwt"),
        ("type: magic", "\"magic\" is not an authorizer type"),
        ("type: token", "needs authorizerUri"),
        ("type: cognito_user_pools", "needs providerARNs"),
        ("type: jwt", "needs jwtConfiguration.issuer"),
        ("type: token, authorizerUri: u, authorizerResultTtlInSeconds: 3601", "0 to 3600"),
    ] {
        let scheme = format!("type: apiKey, x-amazon-apigateway-authorizer: {{{keys}}}");
        assert_refused(&secured(&scheme, ""), &["components.securitySchemes.S", part]);
    }
}

#[test]
fn sigv4_is_asked_for_by_scheme_or_by_operation() {
    let scheme =
        "type: apiKey, name: Authorization, in: header, x-amazon-apigateway-authtype: awsSigv4";
    assert_eq!(crate::method(&secured(scheme, "")).authorization, Authorization::AwsIam);
    let own = operation("x-amazon-apigateway-auth: {type: aws_iam}");
    assert_eq!(crate::method(&own).authorization, Authorization::AwsIam);
    let open = operation("x-amazon-apigateway-auth: {type: NONE}");
    assert_eq!(crate::method(&open).authorization, Authorization::None);
    assert_refused(
        &operation("x-amazon-apigateway-auth: {type: CUSTOM}"),
        &["requires a valid authorizer"],
    );
}

#[test]
fn the_scheme_x_api_key_means_an_api_key() {
    let method = crate::method(&secured("type: apiKey, name: X-API-Key, in: header", ""));
    assert!(method.api_key_required);
    assert_eq!(method.authorization, Authorization::None);
}

#[test]
fn security_at_the_root_counts_for_operations_without_their_own() {
    let scheme = "components: {securitySchemes: {S: {type: apiKey, name: x-api-key, in: header}}}\n\
                  security: [{S: []}]\n";
    assert!(crate::method(&(operation("") + scheme)).api_key_required);
    assert!(!crate::method(&(operation("security: []") + scheme)).api_key_required);
}

#[test]
fn a_scheme_nobody_checks_is_warned_of_and_an_unknown_one_refused() {
    assert_warns(&secured("type: http, scheme: basic", ""), &["GET /pets", "nothing checks"]);
    assert_refused(&operation("security: [{No: []}]"), &["\"No\" is not a security scheme"]);
}

#[test]
fn transformers_are_named_at_the_root_and_in_operations() {
    let text = document(
        "paths: {/pets: {get: {x-tollgate-transformers: [redactor, signer]}}}\n\
         x-tollgate-transformers: normaliser\n",
    );
    let source = api(&text);
    assert_eq!(source.transformers, ["normaliser"]);
    assert_eq!(
        source.resources["/pets"].methods[&HttpMethod::Get].transformers,
        ["redactor", "signer"]
    );
    for format in [ExportFormat::Swagger20, ExportFormat::Oas30] {
        let again = api(&export(&source, format).to_string());
        assert_eq!(again.transformers, source.transformers);
        assert_eq!(again.resources, source.resources);
    }
}

#[test]
fn transformers_of_another_type_are_refused_with_their_line() {
    for (written, part) in [("{a: b}", "is a map"), ("[[a]]", "is a list"), ("['']", "is empty")] {
        let at_root = document(&format!("paths: {{}}\nx-tollgate-transformers: {written}\n"));
        assert_refused(&at_root, &["line ", "x-tollgate-transformers", part]);
        let in_operation = operation(&format!("x-tollgate-transformers: {written}"));
        assert_refused(&in_operation, &["line ", "/pets", "x-tollgate-transformers", part]);
    }
}
