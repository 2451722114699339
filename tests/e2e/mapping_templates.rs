//! Mapping templates on their way through the gateway: selection, variables, overrides, failures.

use serde_json::{Value, json};
use tollgate_tests::{Api, Gateway, Response, Upstream, get, http, mock, post, request};

use crate::support::{assert_error, assert_internal_error};

/// What a MOCK integration answers whose response template this is.
fn answered(template: &str, sent: tollgate_tests::Request) -> Response {
    let mut integration = mock(200, "");
    integration["responses"]["default"]["responseTemplates"] =
        json!({ "application/json": template });
    Gateway::dev(Api::new().route("ANY /pets/{id}", integration)).call(sent)
}

/// An HTTP integration with this request template.
fn reshaping(url: &str, template: &str) -> Value {
    let mut integration = http(url);
    integration["requestTemplates"] = json!({ "application/json": template });
    integration
}

#[test]
fn a_request_template_makes_the_backends_body() {
    let upstream = Upstream::echo();
    let template = r##"#set($pet = $input.path('$.pet'))
{"name": "$pet.name", "tags": [#foreach($tag in $pet.tags)"$tag"#if($foreach.hasNext),#end#end], "id": "$input.params('id')"}"##;
    let integration = reshaping(&upstream.url("/x"), template);
    let gateway = Gateway::dev(Api::new().route("POST /pets/{id}", integration));
    let sent = post("/pets/7", r#"{"pet": {"name": "Rex", "tags": ["a", "b"]}}"#)
        .header("Content-Type", "application/json; charset=utf-8");
    assert_eq!(gateway.call(sent).status, 200);
    let received = upstream.request();
    assert_eq!(
        String::from_utf8_lossy(&received.body),
        r#"{"name": "Rex", "tags": ["a","b"], "id": "7"}"#
    );
}

#[test]
fn a_response_template_reads_the_backends_body_and_the_clients_parameters() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\n{\"Item\":{\"S\":\"a\\nb\"}}  ",
    );
    let mut integration = http(&upstream.url("/"));
    integration["responses"] = json!({ "default": { "statusCode": "200", "responseTemplates": {
        "application/json":
            "{\"value\": $input.json('$.Item.S'), \"query\": \"$input.params('q')\", \"stage\": \"$context.stage\"}"
    } } });
    let gateway = Gateway::dev(Api::new().route("GET /", integration));
    let response = gateway.get("/?q=1&q=2");
    let body: Value = serde_json::from_slice(&response.body).expect("JSON");
    assert_eq!(body["value"], "a\nb");
    assert_eq!(body["query"], "2");
    assert!(body["stage"].is_string());
    assert_eq!(response.header("Content-Type"), Some("application/json"));
}

#[test]
fn parameters_and_context_are_there() {
    let template = "$input.params().path.id|$input.params('q')|$input.params('X-Custom')|\
                    $input.params().header.get('Host').isEmpty()|$context.httpMethod|\
                    $context.resourcePath|$context.identity.sourceIp|$context.identity.userAgent|\
                    $context.identity.caller|$context.nothing|$stageVariables.none|\
                    $input.params('Connection')";
    let sent =
        request("PUT", "/pets/a%20b?q=x%2By").header("X-Custom", "1").header("User-Agent", "t");
    assert_eq!(answered(template, sent).text(), "a b|x+y|1|false|PUT|/pets/{id}|127.0.0.1|t||||");
}

#[test]
fn the_keys_of_context_are_awss() {
    let template = "$context.keySet()$context.authorizer.keySet()";
    assert_eq!(
        answered(template, get("/pets/1")).text(),
        "[resourceId, resourcePath, httpMethod, extendedRequestId, requestTime, path, accountId, \
         protocol, requestOverride, stage, domainPrefix, requestTimeEpoch, requestId, identity, \
         domainName, deploymentId, responseOverride, apiId][]"
    );
}

#[test]
fn a_request_override_beats_a_mapping() {
    let upstream = Upstream::echo();
    let template = r##"#set($context.requestOverride.path.id = "from template")
#set($context.requestOverride.querystring.q = "2")
#set($context.requestOverride.header["X-Both"] = "template")
#set($context.requestOverride.header.Content-Type = "text/plain")
#set($context.requestOverride.header.X-List = ["a", "b"])
{}"##;
    let mut integration = reshaping(&upstream.url("/x/{id}/{other}"), template);
    integration["requestParameters"] = json!({
        "integration.request.path.id": "method.request.path.id",
        "integration.request.querystring.q": "'1'",
        "integration.request.querystring.kept": "'yes'",
        "integration.request.header.x-both": "'mapping'",
    });
    let gateway = Gateway::dev(Api::new().route("POST /pets/{id}", integration));
    assert_eq!(gateway.call(post("/pets/7", "{}")).status, 200);
    let received = upstream.request();
    assert_eq!(received.line(), "POST /x/from%20template/%7Bother%7D?kept=yes&q=2 HTTP/1.1");
    for (name, value) in [("X-Both", "template"), ("Content-Type", "text/plain"), ("X-List", "a,b")]
    {
        assert_eq!(received.header(name).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn an_override_of_a_header_the_gateway_keeps_is_an_error() {
    let upstream = Upstream::echo();
    let template = "#set($context.requestOverride.header.Content-Length = '1'){}";
    let integration = reshaping(&upstream.url("/"), template);
    let gateway = Gateway::dev(Api::new().route("POST /", integration));
    assert_internal_error(&gateway.call(post("/", "{}")));
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_response_override_of_the_request_template_reaches_the_client() {
    let mut integration = mock(200, "");
    integration["requestTemplates"] = json!({ "application/json":
        "#set($context.responseOverride.status = 444)#set($context.mine = 'kept'){\"statusCode\": 200}" });
    integration["responses"]["default"]["responseTemplates"] = json!({ "application/json":
        "#set($context.responseOverride.header.X-Made = \"$context.mine\")made" });
    let response = Gateway::dev(Api::new().route("GET /", integration)).get("/");
    assert_eq!(response.summary(), (444, "made".into()));
    assert_eq!(response.header("X-Made"), Some("kept"));
}

#[test]
fn overrides_of_one_request_are_not_seen_by_the_next() {
    let mut integration = mock(200, "");
    integration["requestTemplates"] = json!({ "application/json":
        "#if($input.params('q') == '1')#set($context.responseOverride.status = 444)#end{\"statusCode\": 200}" });
    let mut client = Gateway::dev(Api::new().route("GET /", integration)).into_connection();
    assert_eq!(client.get("/?q=1").status, 444);
    assert_eq!(client.get("/?q=2").status, 200);
}

#[test]
fn a_template_that_fails_answers_500_and_the_rest_goes_on() {
    let mut integration = mock(200, "");
    integration["responses"]["default"]["responseTemplates"] =
        json!({ "application/json": "a\n #set($x = $input.params('q').substring(5))$x" });
    let mut client = Gateway::dev(Api::new().route("GET /", integration)).into_connection();
    assert_internal_error(&client.get("/?q=abc"));
    assert_eq!(client.get("/?q=abcdefg").text(), "a\n fg");
}

#[test]
fn a_template_that_cannot_be_parsed_answers_500() {
    let mut integration = mock(200, "");
    integration["responses"]["default"]["responseTemplates"] =
        json!({ "application/json": "{\n  \"a\": #if($x) 1" });
    let gateway = Gateway::dev(Api::new().route("GET /", integration));
    assert_internal_error(&gateway.get("/"));
}

#[test]
fn a_template_with_endless_work_is_stopped() {
    for template in [
        "#foreach($i in [1..1000000])$i#end",
        "#macro(again)#again()#end#again()",
        "#set($s = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!')$s.matches('(a|a|aa|(a*)*\\1)+')x",
        "#set($s = 'x')#foreach($i in [1..100])#set($s = \"$s$s\")#end$s",
    ] {
        assert_internal_error(&answered(template, get("/pets/1")));
    }
}

#[test]
fn passthrough_behavior_and_content_type_choose() {
    let upstream = Upstream::echo();
    for (behavior, content_type, expected) in [
        ("when_no_match", Some("text/plain"), Ok("body")),
        ("when_no_templates", Some("text/plain"), Err(415)),
        ("never", Some("text/plain"), Err(415)),
        ("never", Some("application/json"), Ok("json")),
        ("never", None, Ok("json")),
        ("never", Some("text/xml"), Ok("xml")),
    ] {
        let mut integration = http(&upstream.url("/"));
        integration["passthroughBehavior"] = json!(behavior);
        integration["requestTemplates"] = json!({ "application/json": "json", "text/xml": "xml" });
        let gateway = Gateway::dev(Api::new().route("POST /", integration));
        let sent = post("/", "body");
        let sent = match content_type {
            Some(content_type) => sent.header("Content-Type", content_type),
            None => sent,
        };
        let response = gateway.call(sent);
        match expected {
            Ok(body) => {
                assert_eq!(response.status, 200, "{behavior} {content_type:?}");
                let received = upstream.requests().pop().expect("a request");
                assert_eq!(received.body, body.as_bytes());
            }
            Err(_) => {
                assert_error(&response, 415, "BadRequestException", "Unsupported Media Type");
            }
        }
    }
}

#[test]
fn a_preflight_is_answered_by_mock() {
    let integration = json!({
        "type": "mock",
        "requestTemplates": { "application/json": "{\"statusCode\": 200}" },
        "responses": { "default": { "statusCode": "200", "responseParameters": {
            "method.response.header.Access-Control-Allow-Origin": "'*'",
            "method.response.header.Access-Control-Allow-Methods": "'GET,OPTIONS'",
            "method.response.header.Access-Control-Allow-Headers": "'Content-Type,X-Api-Key'",
        } } },
    });
    let headers: serde_json::Map<_, _> = ["Origin", "Methods", "Headers"]
        .map(|name| (format!("Access-Control-Allow-{name}"), json!({ "type": "string" })))
        .into_iter()
        .collect();
    let operation = json!({
        "responses": { "200": { "description": "", "headers": headers } },
        "x-amazon-apigateway-integration": integration,
    });
    let gateway = Gateway::dev(Api::new().method("OPTIONS /", operation));
    let response = gateway.call(request("OPTIONS", "/").header("Origin", "https://a.example"));
    assert_eq!(response.summary(), (200, String::new()));
    assert_eq!(response.header("Access-Control-Allow-Origin"), Some("*"));
    assert_eq!(response.header("Access-Control-Allow-Methods"), Some("GET,OPTIONS"));
    assert_eq!(response.header("Access-Control-Allow-Headers"), Some("Content-Type,X-Api-Key"));
}

#[test]
fn http2_clients_are_validated_and_reshaped_too() {
    let upstream = Upstream::echo();
    let mut operation = json!({
        "x-amazon-apigateway-integration":
            reshaping(&upstream.url("/x"), "{\"q\": \"$input.params('q')\", \"n\": $input.path('$.n')}"),
        "x-amazon-apigateway-request-validator": "body",
        "requestBody": { "content": { "application/json": {
            "schema": { "type": "object", "required": ["n"] } } } },
    });
    operation["x-amazon-apigateway-integration"]["responses"]["default"]["responseTemplates"] =
        json!({ "application/json": "#set($context.responseOverride.status = 202)done" });
    let api = Api::new().method("POST /", operation).with(
        "x-amazon-apigateway-request-validators",
        json!({ "body": { "validateRequestBody": true, "validateRequestParameters": false } }),
    );
    let gateway = Gateway::dev(api);
    let mut client = gateway.connect_http2();
    let refused = client.call(post("/?q=1", "{}"));
    assert_error(&refused, 400, "BadRequestException", "Invalid request body");
    assert_eq!(client.call(post("/?q=1", r#"{"n": 2}"#)).summary(), (202, "done".into()));
    assert_eq!(upstream.request().body, br#"{"q": "1", "n": 2}"#);
}
