//! Access log and metrics.

use std::os::unix::fs::MetadataExt;

use serde_json::Value;
use tollgate_tests::{
    Api, Dev, Gateway, Serve, Upstream, get, greedy, http_proxy, mock, post, request,
};

use crate::support::is_uuid;

fn api() -> Api {
    Api::new().route("GET /pets/{id}", mock(200, "pets")).route("GET /fails", mock(503, "no"))
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn each_request_has_a_line_of_json() {
    let gateway = Gateway::dev(api());
    let response = gateway.call(get("/pets/7?q=1").header("User-Agent", "test/1"));
    let entry = gateway.access_log_entry();
    for (key, expected) in [
        ("requestId", response.header("x-amzn-RequestId").unwrap()),
        ("extendedRequestId", response.header("x-amz-apigw-id").unwrap()),
        ("ip", "127.0.0.1"),
        ("caller", "-"),
        ("user", "-"),
        ("httpMethod", "GET"),
        ("resourcePath", "/pets/{id}"),
        ("status", "200"),
        ("protocol", "HTTP/1.1"),
        ("responseLength", "4"),
        ("apiId", gateway.api_id.as_str()),
        ("stage", "dev"),
        ("domainName", "localhost"),
        ("path", "/pets/7"),
        ("userAgent", "test/1"),
        ("integrationStatus", "200"),
    ] {
        assert_eq!(entry[key], expected, "{key} in {entry}");
    }
    let time = entry["requestTime"].as_str().unwrap();
    assert!(time.len() == 26 && time.ends_with(" +0000"), "{time}");
    assert!(entry["responseLatency"].as_str().unwrap().parse::<u32>().is_ok());
}

#[test]
fn refused_requests_have_a_line_too() {
    let (_socket, address) = Upstream::refusing();
    let gateway =
        Gateway::dev(greedy(&format!("http://{address}")).route("GET /only/get", mock(200, "")));
    gateway.get("/fails");
    let entry = gateway.access_log_entry();
    assert_eq!(
        (&entry["status"], &entry["errorMessage"]),
        (&"500".into(), &"Internal server error".into())
    );

    let gateway = Gateway::dev(api());
    gateway.get("/nowhere");
    let entry = gateway.access_log_entry();
    assert_eq!(
        (&entry["status"], &entry["errorMessage"]),
        (&"403".into(), &"Missing Authentication Token".into())
    );
    assert_eq!(entry["resourcePath"], "-");
}

#[test]
fn integration_status_and_latency_are_the_backends() {
    let upstream = Upstream::answering("HTTP/1.1 418 X\r\nContent-Length: 3\r\n\r\ntea");
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    gateway.connect_http2().call(post("/x", "body"));
    let entry = gateway.access_log_entry();
    assert_eq!(
        (&entry["status"], &entry["integrationStatus"], &entry["responseLength"]),
        (&"418".into(), &"418".into(), &"3".into())
    );
    assert!(entry["integrationLatency"].as_str().unwrap().parse::<u32>().is_ok());
}

#[test]
fn a_response_that_broke_off_is_logged() {
    let upstream = Upstream::answering_once("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    let gateway = Gateway::dev(greedy(&upstream.url("")));
    let mut client = gateway.connect();
    client.send(get("/").bytes());
    assert!(client.try_response().is_err());
    assert_eq!(gateway.access_log_entry()["status"], "200");
}

#[test]
fn nothing_a_client_sends_can_break_a_line() {
    let gateway = Gateway::dev(greedy("http://127.0.0.1:1").route("GET /x", mock(200, "")));
    let evil = "\",\"status\":\"999\"}\t\\\" \\n {\"a\":\"";
    gateway.call(get("/x").header("User-Agent", evil));
    gateway.get("/%22%2C%22status%22%3A%22999%22%7D%5c");
    let mut client = gateway.connect();
    client.send(b"GET /x HTTP/1.1\r\nHost: a\r\nUser-Agent: \xff\xfe\xe2\x80\xa8\xc2\x85\r\n\r\n");
    client.response();
    client.call(request("GE'T", "/x"));
    for line in gateway.access_log(4) {
        let entry = json(&line);
        assert_ne!(entry["status"], "999", "{line}");
        assert!(!line.contains(char::is_control), "{line:?}");
    }
    assert_eq!(json(&gateway.access_log(4)[0])["userAgent"], evil);
}

#[test]
fn what_reaches_no_api_has_no_line() {
    let gateway = Serve::new(api()).start();
    gateway.call(get("/").host("unknown.example"));
    gateway.refusal("nonsense\r\n\r\n");
    gateway.call(get("/prod/pets/7").host(&gateway.default_host()));
    assert_eq!(gateway.access_log_entry()["path"], "/prod/pets/7");
}

#[test]
fn a_format_of_ones_own_is_followed() {
    let gateway = Serve::new(api())
        .access_log(
            "destination: access.log, format: '$context.identity.sourceIp $context.identity.caller [$context.requestTime] \
             \"$context.httpMethod $context.resourcePath $context.protocol\" $context.status $context.responseLength $context.requestId'",
        )
        .start();
    let response =
        gateway.call(get("/prod/pets/7").host(&gateway.default_host()).header("User-Agent", "x"));
    let line = &gateway.access_log(1)[0];
    let (before, after) = line.split_once('[').expect("a time");
    assert_eq!(before, "127.0.0.1 - ");
    let expected = format!(
        "\"GET /pets/{{id}} HTTP/1.1\" 200 4 {}",
        response.header("x-amzn-RequestId").unwrap()
    );
    assert_eq!(after.split_once("] ").map(|(_, rest)| rest), Some(expected.as_str()));
}

#[test]
fn a_format_that_is_no_json_cannot_be_broken_either() {
    let gateway = Serve::new(api())
        .access_log("destination: access.log, format: '$context.requestId $context.identity.userAgent $context.path'")
        .start();
    let mut client = gateway.connect();
    let host = gateway.default_host();
    client.send(format!(
        "GET /prod/pets/a%22b HTTP/1.1\r\nHost: {host}\r\nUser-Agent: a\tb \"c\"\r\n\r\n"
    ));
    client.response();
    let line = &gateway.access_log(1)[0];
    assert!(is_uuid(&line[..36]) && !line.contains(char::is_control), "{line:?}");
}

#[test]
fn the_access_log_may_go_to_standard_output() {
    let gateway = Dev::new(api()).argument("--access-log").argument("-").start();
    let id = gateway.get("/pets/7").header("x-amzn-RequestId").unwrap().to_owned();
    gateway.process.stdout_line("the request", |line| line.contains(&id).then_some(()));
}

#[test]
fn the_access_log_may_be_off() {
    let mut gateway = Dev::new(api()).argument("--access-log=off").start();
    assert_eq!(gateway.get("/pets/7").status, 200);
    gateway.process.signal(libc::SIGTERM);
    assert!(gateway.process.exit().success());
    assert_eq!(gateway.process.stdout().lines().count(), 1);
}

#[test]
fn sighup_opens_the_access_log_again() {
    let gateway = Gateway::dev(api());
    gateway.get("/pets/1");
    gateway.access_log(1);
    let rotated = gateway.path("access.log.1");
    std::fs::rename(gateway.path("access.log"), &rotated).unwrap();
    gateway.process.signal(libc::SIGHUP);
    tollgate_tests::eventually("the file is there again", || {
        gateway.path("access.log").exists().then_some(())
    });
    gateway.get("/pets/2");
    assert_eq!(json(&gateway.access_log(1)[0])["path"], "/pets/2");
    assert_eq!(std::fs::read_to_string(rotated).unwrap().lines().count(), 1);
}

#[test]
fn no_line_is_lost_at_the_end() {
    let mut gateway = Gateway::dev(api());
    let mut client = gateway.connect();
    for _ in 0..50 {
        client.get("/pets/7");
    }
    drop(client);
    gateway.process.signal(libc::SIGTERM);
    assert!(gateway.process.exit().success());
    assert_eq!(std::fs::read_to_string(gateway.path("access.log")).unwrap().lines().count(), 50);
    // Others on this machine have no business in it.
    assert_eq!(std::fs::metadata(gateway.path("access.log")).unwrap().mode() & 0o007, 0);
}

#[test]
fn requests_are_counted_by_api_and_stage() {
    let gateway = Gateway::dev(api().title("Pet store"));
    let mut client = gateway.connect();
    for path in ["/pets/7", "/pets/8", "/nowhere", "/fails"] {
        client.get(path);
    }
    gateway.connect_http2().get("/pets/7");
    let labels = "{api=\"Pet store\",stage=\"dev\"}";
    gateway.assert_metric(&format!("tollgate_requests_total{labels}"), 5.0);
    gateway.assert_metric(&format!("tollgate_4xx_errors_total{labels}"), 1.0);
    gateway.assert_metric(&format!("tollgate_5xx_errors_total{labels}"), 1.0);
    gateway.assert_metric(&format!("tollgate_latency_seconds_count{labels}"), 5.0);
    gateway.assert_metric(
        "tollgate_latency_seconds_bucket{api=\"Pet store\",stage=\"dev\",le=\"+Inf\"}",
        5.0,
    );
}

#[test]
fn the_latency_of_integrations_has_its_own_histogram() {
    let upstream = Upstream::echo();
    let api = Api::new()
        .route("GET /proxy", http_proxy(&upstream.url("/")))
        .route("GET /mock", mock(200, ""));
    let gateway = Gateway::dev(api);
    gateway.get("/proxy");
    gateway.get("/mock");
    gateway.assert_metric("tollgate_latency_seconds_count{api=\"test\",stage=\"dev\"}", 2.0);
    gateway.assert_metric(
        "tollgate_integration_latency_seconds_count{api=\"test\",stage=\"dev\"}",
        1.0,
    );
    gateway.assert_metric("tollgate_upstream_connections_total{result=\"opened\"}", 1.0);
}

#[test]
fn what_reaches_no_api_is_counted_by_reason() {
    let gateway = Serve::new(api()).start();
    gateway.refusal("nonsense\r\n\r\n");
    gateway.refusal(format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(20_000)));
    gateway.call(get("/").host("unknown.example"));
    for reason in ["malformed", "head_too_large", "unlocated"] {
        let series = format!("tollgate_requests_refused_total{{reason=\"{reason}\"}}");
        gateway.assert_metric(&series, 1.0);
    }
}

#[test]
fn the_log_says_where_an_api_is_and_at_level_debug_what_is_none() {
    let folder = Serve::new(api()).write();
    let file = folder.path().join("tollgate.yaml");
    let config = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, config.replace("\nlog: {", "\nlog: {level: debug, ")).unwrap();
    let gateway = Serve::start_again(folder);
    let logged = |what: &str, message: &str| {
        gateway.process.stderr_line(what, |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["message"] == message).then_some(line)
        })
    };
    let host = gateway.default_host();
    assert_eq!(logged("where it serves", "serving")["host"], host);
    assert_eq!(gateway.call(get("/prod/pets/7").host(&host)).status, 200);
    gateway.call(get("/prod/pets?x=1").host("elsewhere.example"));
    let refused = logged("what it refused", "request refused");
    for (key, expected) in [
        ("host", "elsewhere.example"),
        ("path", "/prod/pets"),
        ("cause", "no API, stage or mapping at this host and path"),
    ] {
        assert_eq!(refused[key], expected, "{refused}");
    }
}

#[test]
fn a_clients_words_are_no_labels() {
    let gateway = Gateway::dev(api());
    gateway.call(get("/secretpath").host("secrethost.example").header("User-Agent", "secretagent"));
    let metrics = gateway.manage("/metrics").text();
    assert!(!metrics.contains("secret"), "{metrics}");
    for name in [
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
        "process_open_fds",
        "tollgate_build_info",
        "tollgate_connections",
    ] {
        assert!(metrics.contains(&format!("\n{name}")), "{name}");
    }
}

#[test]
fn health_is_told_on_the_management_address_only() {
    let gateway = Gateway::dev(api());
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(gateway.manage(path).status, 200, "{path}");
        assert_eq!(gateway.get(path).status, 403, "{path}");
    }
    assert_eq!(gateway.manage("/elsewhere").status, 404);
    let mut client = tollgate_tests::Http1::connect(gateway.management);
    assert_eq!(client.call(post("/metrics", "")).status, 405);
}
