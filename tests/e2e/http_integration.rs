//! HTTP (not proxy): only what is mapped passes. MOCK, Lambda and VPC links.

use serde_json::{Value, json};
use tollgate_tests::{
    Api, Dev, Gateway, Response, Serve, Upstream, eventually, get, http, http_proxy, mock, post,
    request,
};

use crate::support::{assert_error, assert_internal_error};

/// An HTTP integration with request parameters.
fn http_with(url: &str, parameters: Value) -> Api {
    let mut integration = http(url);
    integration["requestParameters"] = parameters;
    Api::new().route("ANY /", integration)
}

/// The answer where a backend's answer meets these integration responses.
fn mapped_response(backend: &str, responses: Value) -> Response {
    let upstream = Upstream::answering(backend);
    let mut integration = http(&upstream.url("/"));
    integration["responses"] = responses;
    Gateway::dev(Api::new().route("GET /", integration)).get("/")
}

#[test]
fn an_http_integration_passes_the_body_and_nothing_else() {
    let upstream = Upstream::echo();
    let gateway = Gateway::dev(Api::new().route("POST /", http(&upstream.url("/x"))));
    let sent = post("/?q=1", "{\"a\":1}")
        .header("X-Custom", "1")
        .header("Authorization", "Bearer x")
        .header("Content-Type", "text/plain");
    assert_eq!(gateway.call(sent).status, 200);
    let received = upstream.request();
    assert_eq!(
        (received.line(), received.body.as_slice()),
        ("POST /x HTTP/1.1", &b"{\"a\":1}"[..])
    );
    for (name, value) in [
        ("X-Custom", None),
        ("Authorization", None),
        ("X-Forwarded-For", None),
        ("Accept", Some("application/json")),
        ("Content-Type", Some("text/plain")),
        ("Content-Length", Some("7")),
    ] {
        assert_eq!(received.header(name).as_deref(), value, "{name}");
    }
    assert_eq!(received.header("User-Agent"), Some(format!("AmazonAPIGateway_{}", gateway.api_id)));
    assert!(received.header("X-Amzn-Trace-Id").is_some());
    assert_eq!(received.header("X-Amzn-Apigateway-Api-Id"), Some(gateway.api_id.clone()));
}

#[test]
fn an_http_integration_passes_what_is_mapped() {
    let upstream = Upstream::echo();
    let api = http_with(
        &upstream.url("/x"),
        json!({
            "integration.request.header.X-Token": "method.request.header.Authorization",
            "integration.request.header.X-Body": "method.request.body.user.name",
            "integration.request.querystring.term": "method.request.querystring.q",
            "integration.request.querystring.all": "method.request.multivaluequerystring.tag",
            "integration.request.header.X-Absent": "method.request.header.Absent",
        }),
    );
    let sent = post("/?q=a%20b&tag=1&tag=2&other=3", r#"{"user":{"name":"Ada"}}"#)
        .header("Authorization", "Bearer x");
    let response = Gateway::dev(api).call(sent);
    let received = upstream.request();
    assert_eq!(response.status, 200);
    let target = received.line().split(' ').nth(1).unwrap();
    let mut query: Vec<_> = target.strip_prefix("/x?").expect("a query").split('&').collect();
    query.sort_unstable();
    assert_eq!(query, ["all=1", "all=2", "term=a%20b"]);
    assert_eq!(received.header("X-Token").as_deref(), Some("Bearer x"));
    assert_eq!(received.header("X-Body").as_deref(), Some("Ada"));
    assert_eq!(received.header("X-Absent"), None);
}

#[test]
fn a_mapping_that_reads_a_body_needs_one_that_is_json() {
    let upstream = Upstream::echo();
    let api = http_with(
        &upstream.url("/x"),
        json!({ "integration.request.header.X-A": "method.request.body.a" }),
    );
    let mut client = Gateway::dev(api).into_connection();
    let refused = client.call(post("/", "{not json"));
    assert_error(&refused, 400, "BadRequestException", "Invalid JSON in request body");
    assert_eq!(client.call(post("/", "plain text")).status, 200);
}

#[test]
fn a_backends_status_selects_the_response() {
    let responses = json!({
        "4\\d\\d": { "statusCode": "404" },
        "5.*": { "statusCode": "502" },
        "default": { "statusCode": "200" },
    });
    let answered = |status: u16| {
        mapped_response(
            &format!("HTTP/1.1 {status} X\r\nContent-Length: 1\r\n\r\nx"),
            responses.clone(),
        )
        .summary()
    };
    assert_eq!(answered(418), (404, "x".into()));
    assert_eq!(answered(503), (502, "x".into()));
    assert_eq!(answered(201), (200, "x".into()));
}

#[test]
fn a_selection_pattern_matches_the_whole_status() {
    let responses = json!({ "4": { "statusCode": "404" }, "default": { "statusCode": "200" } });
    let response = mapped_response("HTTP/1.1 400 X\r\nContent-Length: 0\r\n\r\n", responses);
    assert_eq!(response.status, 200);
}

#[test]
fn a_status_that_no_response_takes_is_an_internal_error() {
    let responses = json!({ "200": { "statusCode": "200" } });
    assert_internal_error(&mapped_response(
        "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n",
        responses,
    ));
}

#[test]
fn a_response_has_the_mapped_headers_and_no_others() {
    let responses = json!({ "default": { "statusCode": "201", "responseParameters": {
        "method.response.header.Location": "integration.response.header.X-Where",
        "method.response.header.X-Literal": "'it is'",
        "method.response.header.X-Body": "integration.response.body.id",
        "method.response.header.X-Stage": "context.stage",
        "method.response.header.X-Absent": "integration.response.header.Absent",
    } } });
    let response = mapped_response(
        "HTTP/1.1 200 OK\r\nX-Where: /7\r\nX-Secret: 1\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n{\"id\":7}",
        responses,
    );
    assert_eq!(response.summary(), (201, "{\"id\":7}".into()));
    for (name, value) in [
        ("Location", Some("/7")),
        ("X-Literal", Some("it is")),
        ("X-Body", Some("7")),
        ("X-Stage", Some("dev")),
        ("X-Absent", None),
        ("X-Secret", None),
        ("Content-Type", Some("application/json")),
    ] {
        assert_eq!(response.header(name), value, "{name}");
    }
    assert!(response.header("X-Amzn-Trace-Id").is_some());
}

#[test]
fn a_response_cannot_be_split_by_a_mapped_body() {
    let responses = json!({ "default": { "statusCode": "200", "responseParameters": {
        "method.response.header.X-Body": "integration.response.body.id" } } });
    let body = r#"{"id":"7\r\nX-Evil: 1"}"#;
    let response = mapped_response(
        &format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
        responses,
    );
    assert_eq!((response.status, response.header("X-Evil")), (200, None));
}

#[test]
fn an_http_integration_fails_like_a_proxy() {
    let (_socket, address) = Upstream::refusing();
    assert_internal_error(
        &Gateway::dev(Api::new().route("GET /", http(&format!("http://{address}/")))).get("/"),
    );
    let upstream = Upstream::scripted(|mut session| session.wait_for_close());
    let mut integration = http(&upstream.url("/"));
    integration["timeoutInMillis"] = json!(100);
    assert_eq!(Gateway::dev(Api::new().route("GET /", integration)).get("/").status, 504);
}

#[test]
fn a_body_of_a_type_that_nothing_handles_is_unsupported() {
    let upstream = Upstream::echo();
    let mut integration = http(&upstream.url("/"));
    integration["passthroughBehavior"] = "never".into();
    let response = Gateway::dev(Api::new().route("POST /", integration)).call(post("/", "x"));
    assert_error(&response, 415, "BadRequestException", "Unsupported Media Type");
    assert!(upstream.requests().is_empty());
}

#[test]
fn mock_answers_what_its_template_says() {
    let mut integration = mock(200, "");
    integration["requestTemplates"]["application/json"] = "{'statusCode': 404,}".into();
    integration["responses"] = json!({
        "404": { "statusCode": "410", "responseTemplates": { "application/json": "gone" } },
        "default": { "statusCode": "200" },
    });
    let response = Gateway::dev(Api::new().route("GET /", integration)).get("/");
    assert_eq!(response.summary(), (410, "gone".into()));
    assert_eq!(response.header("X-Amzn-Trace-Id"), None);
}

#[test]
fn mock_without_a_numeric_status_is_an_internal_error() {
    for template in [r#"{"statusCode": "200"}"#, "{}", "{\"statusCode\": 200", ""] {
        let mut integration = mock(200, "x");
        integration["requestTemplates"]["application/json"] = template.into();
        assert_internal_error(&Gateway::dev(Api::new().route("GET /", integration)).get("/"));
    }
}

#[test]
fn a_preflight_is_answered_by_a_mock() {
    let mut integration = mock(200, "");
    integration["responses"]["default"]["responseParameters"] = json!({
        "method.response.header.Access-Control-Allow-Origin": "'*'",
        "method.response.header.Access-Control-Allow-Methods": "'GET,OPTIONS'",
    });
    let preflight = request("OPTIONS", "/")
        .header("Origin", "https://a.example")
        .header("Access-Control-Request-Method", "GET");
    let response = Gateway::dev(Api::new().route("OPTIONS /", integration)).call(preflight);
    assert_eq!(response.summary(), (200, String::new()));
    assert_eq!(response.header("Access-Control-Allow-Origin"), Some("*"));
    assert_eq!(response.header("Access-Control-Allow-Methods"), Some("GET,OPTIONS"));
}

#[test]
fn a_lambda_function_cannot_be_reached() {
    let arn = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:pets/invocations";
    for kind in ["aws_proxy", "aws"] {
        let api = Api::new().route("GET /", json!({ "type": kind, "httpMethod": "POST", "uri": arn, "responses": { "default": { "statusCode": "200" } } }));
        assert_internal_error(&Gateway::dev(api).get("/"));
    }
}

fn through_link(id: &str, url: &str) -> Api {
    let mut integration = http_proxy(url);
    integration["connectionType"] = "VPC_LINK".into();
    integration["connectionId"] = id.into();
    Api::new().route("GET /", integration)
}

#[test]
fn a_vpc_link_leads_to_its_addresses_and_the_uri_only_names_the_host() {
    let (one, two) = (Upstream::echo(), Upstream::echo());
    let gateway = Serve::new(through_link("link1", "http://inside.example/x"))
        .with(&format!(
            "vpc_links: {{link1: {{addresses: ['{}', '{}']}}}}",
            one.address, two.address
        ))
        .start();
    // In turn, unless one could not be connected to: then the other answers in its place.
    eventually("both addresses are asked", || {
        let response = gateway.call(get("/prod").host(&gateway.default_host()));
        assert_eq!(response.echoed_target(), "GET /x");
        assert_eq!(response.echoed_header("Host").as_deref(), Some("inside.example"));
        (!one.requests().is_empty() && !two.requests().is_empty()).then_some(())
    });
}

#[test]
fn a_dead_address_of_a_vpc_link_costs_no_request() {
    let (upstream, (_socket, dead)) = (Upstream::echo(), Upstream::refusing());
    let gateway = Serve::new(through_link("link1", "http://inside.example/x"))
        .with(&format!("vpc_links: {{link1: {{addresses: ['{dead}', '{}']}}}}", upstream.address))
        .start();
    for _ in 0..6 {
        assert_eq!(gateway.call(get("/prod").host(&gateway.default_host())).status, 200);
    }
}

#[test]
fn a_vpc_link_with_nobody_behind_it_is_an_internal_error() {
    let (_socket, dead) = Upstream::refusing();
    let gateway = Serve::new(through_link("link1", "http://inside.example/x"))
        .with(&format!("vpc_links: {{link1: {{addresses: ['{dead}']}}}}"))
        .start();
    assert_internal_error(&gateway.call(get("/prod").host(&gateway.default_host())));
}

#[test]
fn a_vpc_link_that_is_not_configured_is_an_internal_error_and_a_warning() {
    let gateway = Dev::new(through_link("link1", "http://inside.example/x")).start();
    gateway.process.stderr_line("that the link leads nowhere", |line| {
        line.contains("VPC link \"link1\"").then_some(())
    });
    assert_internal_error(&gateway.get("/"));
}
