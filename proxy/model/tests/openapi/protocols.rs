//! HTTP APIs: how they are told from REST APIs, and what only they have.

use tollgate_model::api::{Authorization, Connection, HttpMethod, Protocol};
use tollgate_model::openapi::{ExportFormat, export};

use crate::{api, assert_warns, document, imported, operation, with_integration};

#[test]
fn an_http_api_shows_by_what_only_http_apis_have() {
    let subtype =
        "type: aws_proxy, integrationSubtype: SQS-SendMessage, payloadFormatVersion: '1.0'";
    let jwt = "components: {securitySchemes: {S: {type: oauth2, x-amazon-apigateway-authorizer: \
               {type: jwt, jwtConfiguration: {issuer: 'https://i'}}}}}\n";
    for text in [
        document("paths: {}\nx-amazon-apigateway-importexport-version: '1.0'\n"),
        document("paths: {}\nx-amazon-apigateway-cors: {allowOrigins: ['*']}\n"),
        document("paths: {/$default: {x-amazon-apigateway-any-method: {isDefaultRoute: true}}}\n"),
        with_integration(subtype),
        operation("") + jwt,
    ] {
        assert_eq!(api(&text).protocol, Protocol::Http, "{text}");
    }
    assert_eq!(api(&with_integration("type: mock")).protocol, Protocol::Rest);
}

/// An HTTP API with one of each thing that only HTTP APIs have.
const HTTP_API: &str = "
openapi: 3.0.1
info: {title: Pets, version: '1'}
servers: [{url: https://example.com/v1}]
tags: [{name: team, x-amazon-apigateway-tag-value: pets}]
paths:
  /$default:
    x-amazon-apigateway-any-method:
      isDefaultRoute: true
      responses: {default: {description: all}}
      security: [{jwt: [read]}]
      x-amazon-apigateway-integration: {$ref: '#/components/x-amazon-apigateway-integrations/link'}
  /pets/{id}:
    get:
      security: [{lambda: []}]
      x-amazon-apigateway-integration:
        type: http_proxy
        httpMethod: ANY
        uri: https://backend/{id}
        payloadFormatVersion: '1.0'
        timeoutInMillis: 30000
        requestParameters: {'append:header.a': $request.path.id}
        responseParameters: {'200': {'overwrite:statuscode': '201'}}
components:
  x-amazon-apigateway-integrations:
    link:
      type: http_proxy
      httpMethod: ANY
      uri: arn:aws:elasticloadbalancing:r:a:listener/x
      connectionType: VPC_LINK
      connectionId: abc
      tlsConfig: {serverNameToVerify: pets.internal}
      payloadFormatVersion: '1.0'
  securitySchemes:
    jwt:
      type: oauth2
      x-amazon-apigateway-authorizer:
        type: jwt
        identitySource: $request.header.Authorization
        jwtConfiguration: {issuer: https://i, audience: [a, b]}
    lambda:
      type: apiKey
      name: Authorization
      in: header
      x-amazon-apigateway-authorizer:
        type: request
        identitySource: [$request.header.A, $request.querystring.b]
        authorizerUri: arn:f
        authorizerPayloadFormatVersion: '2.0'
        enableSimpleResponses: true
x-amazon-apigateway-cors: {allowOrigins: ['*']}
";

#[test]
fn the_parts_of_an_http_api_are_read() {
    let api = api(HTTP_API);
    assert_eq!(api.base_path.as_deref(), Some("/v1"));
    assert_eq!(api.tags["team"], "pets");
    assert_eq!(api.resources.keys().collect::<Vec<_>>(), ["/$default", "/pets/{id}"]);
    let default = &api.resources["/$default"].methods[&HttpMethod::Any];
    let scopes = vec!["read".to_owned()];
    assert_eq!(default.authorization, Authorization::Jwt { authorizer: "jwt".to_owned(), scopes });
    let link = default.integration.as_ref().expect("an integration");
    let connection = Connection::VpcLink { id: "abc".to_owned(), integration_target: None };
    assert_eq!(link.connection, connection);
    assert_eq!(link.server_name_to_verify.as_deref(), Some("pets.internal"));
    let pet = api.resources["/pets/{id}"].methods[&HttpMethod::Get].integration.as_ref();
    let pet = pet.expect("an integration");
    assert_eq!(pet.request_parameters["append:header.a"], "$request.path.id");
    assert_eq!(pet.response_parameters["200"]["overwrite:statuscode"], "201");
    assert_eq!(pet.payload_format_version.as_deref(), Some("1.0"));
    let lambda = &api.authorizers["lambda"];
    assert_eq!(lambda.identity_source.as_deref(), Some("$request.header.A,$request.querystring.b"));
    assert_eq!(lambda.enable_simple_responses, Some(true));
    assert_eq!(api.authorizers["jwt"].jwt_audience, ["a", "b"]);
}

#[test]
fn an_http_api_is_the_same_after_export_and_import() {
    let before = api(HTTP_API);
    for format in [ExportFormat::Oas30, ExportFormat::Swagger20] {
        assert_eq!(imported(&export(&before, format).to_string()).api, before, "{format:?}");
    }
}

#[test]
fn to_an_http_api_a_trailing_slash_is_another_route() {
    let http = "x-amazon-apigateway-importexport-version: '1.0'\n";
    let api = api(&(document("paths: {/pets: {}, /pets/: {}}\n") + http));
    assert_eq!(api.resources.keys().collect::<Vec<_>>(), ["/pets", "/pets/"]);
}

#[test]
fn what_http_apis_lack_is_warned_of() {
    let http = "x-amazon-apigateway-importexport-version: '1.0'\n";
    let models = document("paths: {}\ncomponents: {schemas: {Pet: {}}}\n") + http;
    assert_warns(&models, &["models", "HTTP APIs have no models"]);
    let policy = document("paths: {}\nx-amazon-apigateway-policy: {}\n") + http;
    assert_warns(&policy, &["x-amazon-apigateway-policy", "HTTP APIs do not have this"]);
    let body = operation("requestBody: {content: {}}") + http;
    assert_warns(&body, &["GET /pets", "requestBody"]);
}
