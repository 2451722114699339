//! HTTP_PROXY: what passes, what the gateway adds and what it holds back.

use serde_json::json;
use tollgate_tests::{
    Api, Dev, Gateway, Received, Request, Upstream, get, greedy, http_proxy, post, request,
};

use crate::support::assert_internal_error;

/// What the backend of a greedy API receives for a request.
fn received(request: Request) -> Received {
    let upstream = Upstream::echo();
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    let response = gateway.call(request);
    assert_eq!(response.status, 200, "{response:?}");
    upstream.request()
}

/// What the client gets for a backend's response.
fn answered(response: &str) -> tollgate_tests::Response {
    let upstream = Upstream::answering(response);
    Gateway::dev(greedy(&upstream.url(""))).get("/")
}

/// One method with mapped parameters.
fn mapped(upstream: &Upstream, path: &str, parameters: serde_json::Value) -> Api {
    let mut integration = http_proxy(&upstream.url(path));
    for (name, source) in parameters.as_object().expect("an object") {
        integration["requestParameters"][name] = source.clone();
    }
    Api::new().route("ANY /pets/{id}", integration)
}

#[test]
fn a_request_passes_as_the_client_sent_it() {
    let sent = post("/a/b?c=d&e", "hello")
        .header("Accept", "text/*")
        .header("X-Custom", "1")
        .header("Authorization", "Bearer x");
    let received = received(sent);
    assert_eq!(received.line(), "POST /a/b?c=d&e HTTP/1.1");
    assert_eq!(received.body, b"hello");
    for (name, value) in [
        ("Accept", "text/*"),
        ("X-Custom", "1"),
        ("Authorization", "Bearer x"),
        ("Content-Length", "5"),
    ] {
        assert_eq!(received.header(name).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn the_backend_learns_who_asks_and_through_which_api() {
    let upstream = Upstream::echo();
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    gateway.get("/");
    let received = upstream.request();
    let header = |name| received.header(name);
    assert_eq!(header("Host"), Some(upstream.address.to_string()));
    assert_eq!(header("X-Forwarded-For").as_deref(), Some("127.0.0.1"));
    assert_eq!(header("X-Forwarded-Proto").as_deref(), Some("http"));
    assert_eq!(header("X-Forwarded-Port"), Some(gateway.http.port().to_string()));
    assert_eq!(header("X-Amzn-Apigateway-Api-Id"), Some(gateway.api_id.clone()));
    assert_eq!(header("Connection").as_deref(), Some("keep-alive"));
    let trace = header("X-Amzn-Trace-Id").expect("a trace id");
    assert!(
        trace.starts_with("Root=1-")
            && trace.len() >= "Root=1-01234567-0123456789abcdef01234567".len(),
        "{trace}"
    );
}

#[test]
fn over_tls_the_backend_learns_of_https() {
    let upstream = Upstream::echo();
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    gateway.connect_tls().get("/");
    let received = upstream.request();
    assert_eq!(received.header("X-Forwarded-Proto").as_deref(), Some("https"));
    assert_eq!(received.header("X-Forwarded-Port"), Some(gateway.https.port().to_string()));
}

#[test]
fn what_a_client_claims_about_itself_is_replaced_or_added_to() {
    let sent = get("/")
        .header("X-Forwarded-For", "10.0.0.1")
        .header("X-Forwarded-Proto", "gopher")
        .header("X-Forwarded-Port", "1")
        .header("X-Amzn-Apigateway-Api-Id", "forged");
    let received = received(sent);
    assert_eq!(received.header("X-Forwarded-For").as_deref(), Some("10.0.0.1, 127.0.0.1"));
    assert_eq!(received.header("X-Forwarded-Proto").as_deref(), Some("http"));
    assert_ne!(received.header("X-Forwarded-Port").as_deref(), Some("1"));
    assert_ne!(received.header("X-Amzn-Apigateway-Api-Id").as_deref(), Some("forged"));
}

#[test]
fn a_trace_that_was_begun_goes_on() {
    let root = "Root=1-67891233-abcdef012345678912345678";
    let received = received(get("/").header("X-Amzn-Trace-Id", root));
    let trace = received.header("X-Amzn-Trace-Id").expect("a trace id");
    assert!(trace.starts_with(root), "{trace}");
}

#[test]
fn headers_of_the_connection_stay_behind() {
    let sent = get("/")
        .header("Connection", "keep-alive, X-Secret")
        .header("X-Secret", "1")
        .header("Keep-Alive", "timeout=5")
        .header("Proxy-Connection", "keep-alive")
        .header("TE", "trailers")
        .header("Upgrade", "websocket")
        .header("Via", "1.1 x")
        .header("Max-Forwards", "1")
        .header("Server", "x")
        .header("WWW-Authenticate", "x")
        .header("Proxy-Authorization", "Basic x")
        .header("Content-MD5", "x");
    let received = received(sent);
    for name in [
        "X-Secret",
        "Keep-Alive",
        "Proxy-Connection",
        "TE",
        "Upgrade",
        "Via",
        "Max-Forwards",
        "Server",
        "WWW-Authenticate",
        "Proxy-Authorization",
        "Content-MD5",
    ] {
        assert_eq!(received.header(name), None, "{name}");
    }
    assert_eq!(received.header("Connection").as_deref(), Some("keep-alive"));
}

#[test]
fn a_header_with_an_underscore_stays_behind() {
    let received =
        received(get("/").header("X_Forwarded_For", "10.9.9.9").header("Content_Length", "7"));
    assert!(!received.head.contains('_'), "{}", received.head);
    assert_eq!(received.header("X-Forwarded-For").as_deref(), Some("127.0.0.1"));
}

#[test]
fn a_response_passes_as_the_backend_sent_it() {
    let response = answered(
        "HTTP/1.1 418 I'm a teapot\r\nX-One: 1\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nContent-Length: 3\r\n\r\ntea",
    );
    assert_eq!(response.summary(), (418, "tea".into()));
    assert_eq!(response.header("X-One"), Some("1"));
    let cookies: Vec<_> = response
        .headers
        .iter()
        .filter(|(name, _)| name == "Set-Cookie")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(cookies, ["a=b", "c=d"]);
    crate::support::assert_ids(&response);
    assert_eq!(response.header("X-Amzn-Trace-Id"), None);
    assert_eq!(response.header("x-amzn-ErrorType"), None);
}

#[test]
fn headers_that_the_gateway_sends_itself_are_remapped() {
    let response = answered(
        "HTTP/1.1 200 OK\r\nDate: yesterday\r\nServer: backend\r\nx-amzn-RequestId: 7\r\nConnection: keep-alive\r\nVia: 1.1 x\r\n\
         Content-Length: 2\r\n\r\nok",
    );
    for (name, value) in [
        ("Date", "yesterday"),
        ("Server", "backend"),
        ("x-amzn-RequestId", "7"),
        ("Connection", "keep-alive"),
        ("Content-Length", "2"),
    ] {
        assert_eq!(response.header(&format!("x-amzn-Remapped-{name}")), Some(value), "{name}");
    }
    assert!(response.header("Date").is_some_and(|date| date.ends_with(" GMT")));
    assert_eq!((response.header("Server"), response.header("Via")), (None, None));
}

#[test]
fn a_mapped_query_value_is_added_to_the_clients() {
    let upstream = Upstream::echo();
    let api = mapped(
        &upstream,
        "/x?fixed=0",
        json!({
            "integration.request.querystring.literal": "'1'",
            "integration.request.querystring.path": "method.request.path.id",
            "integration.request.querystring.absent": "method.request.header.Absent",
        }),
    );
    let response = Gateway::dev(api).get("/pets/a%26b?client=yes&client=no");
    assert_eq!(
        response.echoed_target(),
        "GET /x?fixed=0&client=yes&client=no&literal=1&path=a%26b"
    );
}

#[test]
fn a_mapped_header_overrides_the_clients() {
    let upstream = Upstream::echo();
    let api = mapped(
        &upstream,
        "/x",
        json!({
            "integration.request.header.X-Id": "method.request.path.id",
            "integration.request.header.X-Stage": "context.stage",
            "integration.request.header.X-Variable": "stageVariables.colour",
            "integration.request.header.User-Agent": "'gateway'",
            "integration.request.header.X-Last": "method.request.querystring.q",
            "integration.request.header.X-All": "method.request.multivalueheader.X-Many",
        }),
    );
    let gateway = Dev::new(api).argument("--stage-variable=colour=blue").start();
    let sent = get("/pets/7?q=1&q=2")
        .header("X-Id", "forged")
        .header("User-Agent", "curl")
        .header("X-Many", "a")
        .header("X-Many", "b");
    let response = gateway.call(sent);
    for (name, value) in [
        ("X-Id", "7"),
        ("X-Stage", "dev"),
        ("X-Variable", "blue"),
        ("User-Agent", "gateway"),
        ("X-Last", "2"),
        ("X-All", "a,b"),
    ] {
        assert_eq!(response.echoed_header(name).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn a_mapped_value_cannot_begin_another_header() {
    let upstream = Upstream::echo();
    let api = mapped(
        &upstream,
        "/x",
        json!({ "integration.request.header.X-Query": "method.request.querystring.q" }),
    );
    let response = Gateway::dev(api).get("/pets/7?q=a%0d%0aX-Evil:%201");
    assert_eq!(response.echoed_header("X-Evil"), None);
}

#[test]
fn a_mapping_to_a_header_of_the_gateway_is_a_broken_configuration() {
    let upstream = Upstream::echo();
    for name in
        ["Content-Length", "Transfer-Encoding", "X-Amzn-Trace-Id", "X-Amzn-Apigateway-Api-Id"]
    {
        let api =
            mapped(&upstream, "/x", json!({ format!("integration.request.header.{name}"): "'1'" }));
        assert_internal_error(&Gateway::dev(api).get("/pets/7"));
    }
    assert!(upstream.requests().is_empty());
}

#[test]
fn stage_variables_say_where_the_backend_is() {
    let upstream = Upstream::echo();
    let api = Api::new()
        .route("GET /", http_proxy("http://${stageVariables.host}/${stageVariables.path}/x"));
    let gateway = Dev::new(api)
        .argument(format!("--stage-variable=host={}", upstream.address))
        .argument("--stage-variable=path=v2")
        .start();
    assert_eq!(gateway.get("/").echoed_target(), "GET /v2/x");
}

#[test]
fn intrinsics_and_parameters_say_where_the_backend_is() {
    let upstream = Upstream::echo();
    let mut integration = http_proxy("");
    integration["uri"] = json!({ "Fn::Sub": "http://${Backend}/${AWS::Region}" });
    let api = Api::new().route("GET /", integration);
    let gateway = Dev::new(api).argument(format!("--param=Backend={}", upstream.address)).start();
    assert_eq!(gateway.get("/").echoed_target(), "GET /us-east-1");
}

#[test]
fn the_built_in_echo_is_a_stage_variable() {
    let api = Api::new().route("GET /", http_proxy("http://${stageVariables.echo}/hello"));
    let response = Dev::new(api).argument("--echo").start().get("/");
    assert!(response.status == 200 && response.text().contains("/hello"), "{response:?}");
}

#[test]
fn a_path_parameter_cannot_choose_another_path_of_the_backend() {
    let upstream = Upstream::echo();
    let integration = json!({ "type": "http_proxy", "httpMethod": "GET", "uri": upstream.url("/private/{name}"),
        "requestParameters": { "integration.request.path.name": "method.request.querystring.name" } });
    let mut client = Gateway::dev(Api::new().route("GET /", integration)).into_connection();
    assert_eq!(client.get("/?name=a/b").echoed_target(), "GET /private/a%2Fb?name=a/b");
    assert_eq!(
        client.get("/?name=a%3Fb%23c").echoed_target(),
        "GET /private/a%3Fb%23c?name=a%3Fb%23c"
    );
    assert_eq!(client.get("/?name=..").status, 400);
}

#[test]
fn an_integration_may_have_its_own_method() {
    let upstream = Upstream::echo();
    let mut integration = http_proxy(&upstream.url("/x"));
    integration["httpMethod"] = "POST".into();
    let gateway = Gateway::dev(Api::new().route("GET /", integration));
    let response = gateway.get("/");
    assert_eq!(response.echoed_target(), "POST /x");
    assert_eq!(response.echoed_header("Content-Length").as_deref(), Some("0"));
}

#[test]
fn a_head_request_gets_no_body_even_where_the_backend_is_asked_with_get() {
    let upstream = Upstream::echo();
    let mut integration = http_proxy(&upstream.url("/x"));
    integration["httpMethod"] = "GET".into();
    let gateway = Gateway::dev(Api::new().route("ANY /", integration));
    let mut client = gateway.connect();
    assert_eq!(client.call(request("HEAD", "/")).status, 200);
    // The next answer begins where the head ended.
    assert_eq!(client.get("/").echoed_target(), "GET /x");
    let response = gateway.connect_http2().call(request("HEAD", "/"));
    assert_eq!(response.summary(), (200, String::new()));
}

#[test]
fn connections_to_the_backend_are_kept() {
    let upstream = Upstream::echo();
    let mut client = Gateway::dev(greedy(&upstream.url(""))).into_connection();
    for _ in 0..5 {
        assert_eq!(client.get("/").status, 200);
    }
    client.call(post("/", "body"));
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_kept_connection_that_the_backend_closed_costs_no_request() {
    let upstream = Upstream::answering_once("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let mut client = Gateway::dev(greedy(&upstream.url(""))).into_connection();
    for _ in 0..20 {
        assert_eq!(client.get("/").summary(), (200, "ok".into()));
    }
    assert_eq!(upstream.connections(), 20);
}

#[test]
fn a_backend_that_wants_its_connection_closed_is_left_alone() {
    let upstream =
        Upstream::answering("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    let mut client = Gateway::dev(greedy(&upstream.url(""))).into_connection();
    for _ in 0..3 {
        assert_eq!(client.get("/").status, 200);
    }
    assert_eq!(upstream.connections(), 3);
}
