//! Filters that are broken, or mean harm: what they do stays with them.

use serde_json::Value;
use tollgate_tests::{Api, Gateway, Load, Serve, get, mock, post};

use super::filter::PAUSE;
use super::{Filter, ServePlugins, call, entry};
use crate::support::{assert_error, assert_internal_error};

/// `/with` runs the filter, `/without` doesn't.
fn serve(filter: &Filter, more: &str) -> Serve {
    let api = Api::new()
        .route("ANY /with", mock(200, "with"))
        .route("ANY /without", mock(200, "without"));
    Serve::new(api)
        .file("hostile.wasm", filter.wasm())
        .attach("methods: {'ANY /with': {transformers: [hostile]}}")
        .plugins(&[format!("file: hostile.wasm, {more}")])
}

const LIMITS: &str = "limits: {cpu_time: 50ms, wait: 200ms, memory: 1MiB}";

fn errors(gateway: &Gateway, kind: &str, count: f64) {
    let series = format!("tollgate_plugin_errors_total{{plugin=\"hostile\",kind=\"{kind}\"}}");
    gateway.assert_metric(&series, count);
}

/// Runs a filter that fails on requests with a body: they fail with this kind of error, and
/// nothing else does.
#[track_caller]
fn assert_contained(filter: &Filter, kind: &str) -> Gateway {
    let gateway = serve(filter, LIMITS).start();
    let mut client = gateway.connect();
    let mut failed = 0.0;
    for _ in 0..3 {
        let host = gateway.default_host();
        let response = client.call(post("/prod/with", "x").host(&host));
        assert_internal_error(&response);
        failed += 1.0;
        errors(&gateway, kind, failed);
        if response.header("Connection") == Some("close") {
            client = gateway.connect();
        }
        for (path, body) in [("/prod/without", "without"), ("/prod/with", "with")] {
            assert_eq!(client.call(get(path).host(&host)).summary(), (200, body.into()), "{path}");
        }
    }
    gateway
}

#[test]
fn an_endless_loop_is_stopped() {
    assert_contained(
        &Filter::new().on_requests_with_a_body("(loop $forever (br $forever))"),
        "cpu_time",
    );
}

#[test]
fn endless_recursion_is_stopped() {
    let filter = Filter::new()
        .field("(func $deeper (param i32) (result i32) (i32.add (i32.const 1) (call $deeper (local.get 0))))")
        .on_requests_with_a_body("(drop (call $deeper (i32.const 1)))");
    assert_contained(&filter, "stack");
}

#[test]
fn memory_has_an_end() {
    let filter = Filter::new().on_requests_with_a_body(
        "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable",
    );
    let gateway = assert_contained(&filter, "memory");
    // What was stopped has given back what it had.
    let memory = gateway.metric("tollgate_plugin_memory_bytes{plugin=\"hostile\"}");
    assert!((1.0..4_194_304.0).contains(&memory), "{memory}");
}

#[test]
fn a_trap_is_told_with_the_functions_it_was_in() {
    let filter = Filter::new()
        .field("(func $culprit (param i32) (drop (i32.load (local.get 0))))")
        .on_requests_with_a_body("(call $culprit (i32.const -1))");
    let gateway = assert_contained(&filter, "trap");
    let told = gateway.process.stderr_line("what failed", |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["kind"] == "trap").then_some(line)
    });
    assert_eq!((&told["plugin"], &told["level"]), (&"hostile".into(), &"ERROR".into()), "{told}");
    let backtrace = told["backtrace"].as_str().unwrap_or_default();
    let culprit = backtrace.find("culprit").unwrap_or_else(|| panic!("no culprit in {told}"));
    let caller = backtrace.find("on_headers_of_request");
    assert!(caller.is_some_and(|caller| culprit < caller), "{told}");
}

#[test]
fn unreachable_code_is_a_trap() {
    assert_contained(&Filter::new().on_requests_with_a_body("unreachable"), "trap");
}

#[test]
fn a_stream_that_is_never_resumed_is_given_up() {
    let filter = Filter::new().on_request_headers(&format!(
        "(if (result i32) (local.get $end) (then (i32.const 0)) (else {PAUSE}))"
    ));
    let gateway = serve(&filter, LIMITS).start();
    for count in 1..=2 {
        let response = call(&gateway, post("/prod/with", "x"));
        assert_error(&response, 504, "InternalServerErrorException", "Endpoint request timed out");
        errors(&gateway, "wait", f64::from(count));
        assert_eq!(call(&gateway, get("/prod/with")).text(), "with");
        assert_eq!(call(&gateway, get("/prod/without")).text(), "without");
    }
}

#[test]
fn pointers_out_of_memory_are_answered_with_what_the_abi_says() {
    let wild = "(i32.const 0x7fffff00)";
    let size = "(i32.const 64)";
    let results = "(i32.const 64) (i32.const 68)";
    let mut filter = Filter::new();
    let name = filter.text("host");
    // Each answers with 400 and the host call's result.
    for (what, call, expected) in [
        ("log", format!("(call $proxy_log (i32.const 2) {wild} {size})"), 6),
        ("a negative size", format!("(call $proxy_log (i32.const 2) {wild} (i32.const -1))"), 6),
        (
            "a header's name",
            format!("(call $proxy_get_header_map_value (i32.const 0) {wild} {size} {results})"),
            6,
        ),
        (
            "where to put it",
            format!("(call $proxy_get_header_map_value (i32.const 0) {name} {wild} {wild})"),
            6,
        ),
        (
            "a header to add",
            format!("(call $proxy_add_header_map_value (i32.const 0) {name} {wild} {size})"),
            6,
        ),
        ("a map", format!("(call $proxy_set_header_map_pairs (i32.const 0) {wild} {size})"), 6),
        ("a property's path", format!("(call $proxy_get_property {wild} {size} {results})"), 6),
        (
            "a local response",
            format!(
                "(call $proxy_send_local_response (i32.const 200) (i32.const 0) (i32.const 0) {wild} {size} (i32.const 0) (i32.const 0) (i32.const -1))"
            ),
            6,
        ),
        (
            "no such map",
            format!("(call $proxy_get_header_map_value (i32.const 99) {name} {results})"),
            2,
        ),
    ] {
        let filter = filter.clone().on_requests_with_a_body(&format!(
            "(drop (call $proxy_send_local_response (i32.add (i32.const 400) {call})
               (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))"
        ));
        let gateway = serve(&filter, LIMITS).start();
        let response = super::call(&gateway, post("/prod/with", "x"));
        assert_eq!(response.status, 400 + expected, "{what}");
        assert_eq!(super::call(&gateway, get("/prod/with")).text(), "with");
    }
}

#[test]
fn without_it_the_request_goes_on_where_that_is_allowed() {
    for (body, kind) in [("unreachable", "trap"), ("(loop $forever (br $forever))", "cpu_time")] {
        let filter = Filter::new().on_requests_with_a_body(body);
        let gateway = serve(&filter, &format!("on_error: fail-open, {LIMITS}")).start();
        for count in 1..=2 {
            let response = call(&gateway, post("/prod/with", "x"));
            assert_eq!(response.summary(), (200, "with".into()));
            errors(&gateway, kind, f64::from(count));
        }
    }
}

#[test]
fn in_dev_requests_go_on_with_plugin_fail_open() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hostile.wasm");
    std::fs::write(&file, Filter::new().on_request_headers("unreachable").wasm()).unwrap();
    let dev = || {
        tollgate_tests::Dev::new(Api::new().route("GET /", mock(200, "in")))
            .argument("--plugin")
            .argument(file.display().to_string())
    };
    assert_internal_error(&dev().start().get("/"));
    assert_eq!(dev().argument("--plugin-fail-open").start().get("/").text(), "in");
}

#[test]
fn one_plugins_traps_do_not_touch_anothers_requests() {
    let api = Api::new()
        .route("GET /good", mock(200, "good"))
        .route("GET /bad", mock(200, "bad"))
        .route("GET /both", mock(200, "both"));
    let gateway = Serve::new(api)
        .file("hostile.wasm", Filter::new().on_response_headers("unreachable").wasm())
        .attach(
            "methods: {'GET /good': {transformers: [check]}, 'GET /bad': {transformers: [hostile]}, \
             'GET /both': {transformers: [check, hostile]}}",
        )
        .plugins(&[
            "file: hostile.wasm".into(),
            entry("check", "proxy-wasm-token-check", "configuration: 'open-sesame ali'"),
        ])
        .start();
    let good = get("/prod/good")
        .host(&gateway.default_host())
        .header("Authorization", "Bearer open-sesame");
    let load = Load::start(gateway.http, 4, &good, |response| {
        assert_eq!(response.summary(), (200, "good".into()));
    });
    let both = get("/prod/both").header("Authorization", "Bearer open-sesame");
    for _ in 0..20 {
        assert_internal_error(&call(&gateway, get("/prod/bad")));
        assert_internal_error(&call(&gateway, both.clone()));
    }
    load.more();
    load.finish();
    errors(&gateway, "trap", 40.0);
    let series = "tollgate_plugin_errors_total{plugin=\"check\",kind=\"trap\"}";
    assert_eq!(gateway.metric(series), 0.0);
}
