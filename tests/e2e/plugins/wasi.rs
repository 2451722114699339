//! Components built for wasm32-wasip2: what their standard library asks of WASI.

use serde_json::Value;
use tollgate_tests::{Api, Dev, Gateway, Serve, eventually, get, mock};

use super::{
    DevPlugins, ServePlugins, call, fixture, fixture_entry, guard, guarded, serve_refused,
};

fn api() -> Api {
    Api::new()
        .method("GET /", guarded(mock(200, "found: $context.authorizer.principalId")))
        .with("components", guard("plugin:outside", &["x-do"], 0))
}

fn granted(more: &str) -> Gateway {
    Serve::new(api())
        .plugins(&[fixture_entry("outside", "wasi-authorizer", &format!("wasi: true, {more}"))])
        .start()
}

#[test]
fn with_the_grant_there_are_clocks_and_output_and_nothing_else() {
    for isolation in ["shared", "per-request"] {
        let gateway = granted(&format!("isolation: {isolation}"));
        for _ in 0..3 {
            let response = call(&gateway, get("/prod").header("x-do", "look"));
            assert_eq!(response.summary(), (200, "found: time".into()));
        }
        for (level, text) in [("INFO", "written with println"), ("WARN", "written with eprintln")] {
            let line = gateway.process.stderr_line(text, |line| {
                let line: Value = serde_json::from_str(line).ok()?;
                (line["message"] == text).then_some(line)
            });
            assert_eq!((&line["level"], &line["plugin"]), (&level.into(), &"outside".into()));
        }
    }
}

#[test]
fn without_the_grant_it_is_refused_by_the_name_of_what_it_asks_for() {
    let plugin = fixture_entry("outside", "wasi-authorizer", "");
    let line = serve_refused(Serve::new(api()).plugins(&[plugin]));
    assert!(line.contains("plugin outside: imports wasi:"), "{line}");
    assert!(line.contains("`wasi: true` in its configuration gives it"), "{line}");
}

#[test]
fn a_new_version_that_asks_for_it_without_the_grant_is_not_taken() {
    let plain = std::fs::read(fixture("authorizer")).unwrap();
    let gateway = Serve::new(api())
        .file("outside.wasm", plain)
        .plugins(&["file: outside.wasm".into()])
        .start();
    let allowed = || call(&gateway, get("/prod").header("x-do", "nothing")).text();
    let before = allowed();
    assert!(before.starts_with("found: arn:aws:execute-api:"), "{before}");
    gateway.replace_file("outside.wasm", std::fs::read(fixture("wasi-authorizer")).unwrap());
    gateway.process.stderr_line("why it stays", |line| {
        (line.contains("plugin not swapped") && line.contains("imports wasi:")).then_some(())
    });
    assert_eq!(allowed(), before);
}

#[test]
fn an_exit_or_a_long_sleep_is_a_failure_of_the_plugin_alone() {
    let gateway = granted("limits: {cpu_time: 50ms, wait: 100ms, memory: 4MiB}");
    let series =
        |kind: &str| format!("tollgate_plugin_errors_total{{plugin=\"outside\",kind=\"{kind}\"}}");
    for (order, kind) in [
        ("exit", "trap"),
        ("loop", "cpu_time"),
        ("recursion", "stack"),
        ("memory", "memory"),
        ("sleep", "wait"),
    ] {
        for count in [1.0, 2.0] {
            assert_eq!(call(&gateway, get("/prod").header("x-do", order)).status, 500, "{order}");
            gateway.assert_metric(&series(kind), count);
            assert_eq!(call(&gateway, get("/prod").header("x-do", "look")).text(), "found: time");
        }
    }
    eventually("the exit is in the log", || {
        gateway.process.stderr().contains("exited with code 1").then_some(())
    });
}

#[test]
fn the_host_makes_no_more_random_bytes_at_once_than_for_others() {
    let gateway = granted("limits: {cpu_time: 50ms}");
    assert_eq!(call(&gateway, get("/prod").header("x-do", "much random")).status, 500);
    gateway.process.stderr_line("how many it may have", |line| {
        (line.contains("requested len 67108864 exceeds limit 65536")).then_some(())
    });
    assert_eq!(call(&gateway, get("/prod").header("x-do", "look")).text(), "found: time");
}

#[test]
fn dev_grants_it_with_an_option() {
    let dev =
        || Dev::new(Api::new().route("GET /", mock(200, "in"))).plugin(fixture("wasi-authorizer"));
    assert_eq!(dev().argument("--plugin-wasi").start().get("/").text(), "in");
}
