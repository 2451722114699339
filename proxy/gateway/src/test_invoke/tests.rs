//! Test invocations of methods that no listener serves.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use tollgate_model::compile::{StageSettings, compile};
use tollgate_model::openapi::{ImportOptions, import};

use super::*;
use crate::Gateway;
use crate::config::GatewayConfig;

fn stage(definition: &str) -> CompiledStage {
    let imported = import(definition, &ImportOptions::default()).expect("a definition");
    let settings = StageSettings {
        stage_variables: BTreeMap::from([("who".to_owned(), "tester".to_owned())]),
        ..StageSettings::default()
    };
    compile(&imported.api, &settings).expect("a stage").stage
}

fn gateway() -> Gateway {
    Gateway::bind(GatewayConfig::default()).expect("a gateway")
}

fn invoke(
    definition: &str,
    invocation: TestInvocation<'_>,
) -> Result<TestInvocationResult, TestInvocationError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(gateway().test_invoke(stage(definition), 0, invocation))
}

/// The log without times and ids.
fn lines(result: &TestInvocationResult) -> Vec<String> {
    let text = |line: &str| line.split_once(" : ").map_or(line, |(_, text)| text).to_owned();
    result.log.lines().skip(1).map(text).collect()
}

const MOCK: &str = r#"
openapi: 3.0.1
info: {title: t, version: '1'}
paths:
  /pets/{id}:
    post:
      parameters: [{in: query, name: q, required: true, schema: {type: string}}]
      responses: {'200': {description: ''}}
      x-amazon-apigateway-request-validator: all
      x-amazon-apigateway-integration:
        type: mock
        requestTemplates: {application/json: '{"statusCode": 200}'}
        responses:
          default:
            statusCode: '200'
            responseTemplates:
              application/json: "$input.params('id') $stageVariables.who $context.identity.sourceIp"
x-amazon-apigateway-request-validators:
  all: {validateRequestBody: false, validateRequestParameters: true}
"#;

#[test]
fn a_method_answers_and_logs_what_happened() {
    let invocation = TestInvocation {
        path_with_query_string: "/pets/7?q=1",
        headers: &[("Authorization", "Bearer 1234567890")],
        body: b"{}",
    };
    let result = invoke(MOCK, invocation).expect("a result");
    assert_eq!(
        (result.status, result.body.as_slice()),
        (200, &b"7 tester test-invoke-source-ip"[..])
    );
    assert_eq!(
        lines(&result)[1..],
        [
            "HTTP Method: POST, Resource Path: /pets/7",
            "Method request path: {id=7}",
            "Method request query string: {q=1}",
            "Method request headers: {Authorization=***********567890}",
            "Method request body before transformations: {}",
            "Method response body after transformations: 7 tester test-invoke-source-ip",
            "Method response headers: {Content-Type=application/json}",
            "Successfully completed execution",
            "Method completed with status: 200",
        ]
    );
    assert!(result.log.starts_with("Execution log for request "), "{}", result.log);
}

#[test]
fn a_refused_request_says_why() {
    let invocation = TestInvocation { path_with_query_string: "/pets/7", headers: &[], body: b"" };
    let result = invoke(MOCK, invocation).expect("a result");
    assert_eq!(result.status, 400);
    assert_eq!(result.body, br#"{"message":"Missing required request parameters: [q]"}"#);
    assert_eq!(
        lines(&result).last().map(String::as_str),
        Some("Method completed with status: 400")
    );
}

#[test]
fn a_backend_is_called_and_what_it_got_is_logged() {
    for kind in ["http", "http_proxy"] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let backend = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !request.ends_with(b"\"hello\"") {
                let read = stream.read(&mut buffer).expect("a request");
                assert_ne!(read, 0, "{:?}", String::from_utf8_lossy(&request));
                request.extend_from_slice(&buffer[..read]);
            }
            stream
                .write_all(b"HTTP/1.1 201 Made\r\nContent-Length: 2\r\nX-B: 1\r\n\r\nok")
                .expect("sent");
        });
        let definition = format!(
            "{{openapi: 3.0.1, info: {{title: t, version: '1'}}, paths: {{/x: {{post: {{responses: {{}}, \
             x-amazon-apigateway-integration: {{type: {kind}, httpMethod: POST, uri: 'http://{address}/y', \
             responses: {{default: {{statusCode: '202'}}}}}}}}}}}}}}"
        );
        let invocation =
            TestInvocation { path_with_query_string: "/x", headers: &[], body: b"\"hello\"" };
        let result = invoke(&definition, invocation).expect("a result");
        backend.join().expect("the backend");
        let status = if kind == "http" { 202 } else { 201 };
        assert_eq!((result.status, result.body.as_slice()), (status, &b"ok"[..]), "{kind}");
        let lines = lines(&result);
        for expected in [
            format!("Endpoint request URI: http://{address}/y"),
            "Endpoint request body after transformations: \"hello\"".to_owned(),
            format!("Sending request to http://{address}/y"),
            "Endpoint response body before transformations: ok".to_owned(),
        ] {
            assert!(lines.contains(&expected), "{kind}: {expected}: {lines:#?}");
        }
    }
}

#[test]
fn what_is_no_request_of_the_method_is_refused() {
    for (path, headers, expected) in [
        ("pets/7", &[][..], TestInvocationError::Path),
        ("/pets/7 8", &[], TestInvocationError::Path),
        ("/dogs", &[], TestInvocationError::OtherMethod),
        ("/pets/7", &[("X-A", "1\r\nX-B: 2")], TestInvocationError::Headers),
        ("/pets/7", &[("", "1")], TestInvocationError::Headers),
    ] {
        let invocation = TestInvocation { path_with_query_string: path, headers, body: b"" };
        assert_eq!(invoke(MOCK, invocation), Err(expected), "{path}");
    }
}
