//! `tollgate plugin inspect` and `tollgate plugin test`.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_tests::{Api, Dev, Finished, Serve, Upstream, get, greedy, mock, tollgate};

use super::{DevPlugins, Filter, ServePlugins, example, example_file, plugins, refused};

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

#[test]
fn inspect_says_what_a_plugin_is() {
    for (name, kind) in [
        ("jwt-authorizer", "component, world tollgate:plugin/authorizer"),
        ("cookie-session-authorizer", "component, world tollgate:plugin/authorizer"),
        ("ab-router", "component, world tollgate:plugin/transformer"),
        ("proxy-wasm-token-check", "proxy-wasm filter, ABI 0.2.1"),
    ] {
        let file = example(name);
        let text = tollgate(Path::new("/"), &["plugin", "inspect", &file]);
        assert_eq!((text.code, text.stderr.as_str()), (0, ""));
        let found = tollgate(Path::new("/"), &["plugin", "inspect", &file, "--output", "json"]);
        assert_eq!((found.code, found.stdout.lines().count()), (0, 1));
        let inspection: Value = serde_json::from_str(&found.stdout).expect("JSON");
        assert_eq!(inspection["kind"], kind);
        assert_eq!(inspection["size"], std::fs::metadata(&file).unwrap().len());
        let sha256 = inspection["sha256"].as_str().unwrap();
        // dist/SOURCES.sha256: what was built from, what came of it, its name.
        let sums = std::fs::read_to_string(plugins().join("dist/SOURCES.sha256")).unwrap();
        assert!(sums.lines().any(|line| line.ends_with(&format!(" {sha256} {name}.wasm"))));
        for part in ["kind:", kind, sha256, "memory:", "imports:", "exports:"] {
            assert!(text.stdout.contains(part), "{part:?} is not in {}", text.stdout);
        }
    }
}

#[test]
fn inspect_refuses_what_is_no_plugin() {
    let folder = folder(&[
        ("text.wasm", b"(module)"),
        ("noise.wasm", b"MZ\x90\0 this is no WebAssembly"),
        ("empty.wasm", b""),
        ("other.wasm", b"\0asm\x01\0\0\0"),
        ("torn.wasm", &Filter::version("1").wasm()[..100]),
    ]);
    for (file, why) in [
        ("text.wasm", "text.wasm: is WebAssembly in text form"),
        ("noise.wasm", "noise.wasm: is no WebAssembly"),
        ("empty.wasm", "empty.wasm: is empty"),
        ("other.wasm", "other.wasm: is no plugin"),
        ("torn.wasm", "torn.wasm: "),
        ("missing.wasm", "missing.wasm: cannot be read: No such file"),
        (".", ".: cannot be read: "),
    ] {
        for arguments in
            [&["plugin", "inspect", file][..], &["plugin", "inspect", file, "--output", "json"]]
        {
            let line = refused(folder.path(), arguments);
            assert!(line.starts_with(why), "{line}");
        }
    }
}

fn test(name: &str, requests: &str, config: Option<&str>, more: &[&str]) -> Finished {
    let file = example(name);
    let mut arguments = vec!["plugin", "test", &file, "--request", requests, "--output", "json"];
    arguments.extend(config.iter().flat_map(|config| ["--config", config]));
    arguments.extend(more);
    tollgate(Path::new("/"), &arguments)
}

fn lines(finished: &Finished) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    finished.stdout.lines().map(parse).collect()
}

/// Runs an example on its example requests.
fn outcomes(name: &str, config: &str, more: &[&str]) -> Vec<Value> {
    let requests = example_file(name, "requests.json");
    let finished = test(name, &requests, Some(&example_file(name, config)), more);
    assert_eq!((finished.code, finished.stderr.as_str()), (0, ""), "{name}: {}", finished.stdout);
    let outcomes = lines(&finished);
    for outcome in &outcomes {
        let cost = |name: &str| outcome["cost"][name].as_u64().is_some_and(|cost| cost > 0);
        assert!(cost("fuel") && cost("memory_bytes"), "{outcome}");
    }
    outcomes
}

#[test]
fn the_authorizers_decide_as_their_examples_say() {
    let principal = |outcome: &Value| outcome["decision"]["allow"]["principal_id"].clone();
    let outcome = outcomes("api-key-authorizer", "keys.csv", &[]);
    assert_eq!([principal(&outcome[0]), principal(&outcome[1])], ["alice", "bob"]);
    assert_eq!(outcome[0]["decision"]["allow"]["context"], json!({ "tier": "gold" }));
    assert_eq!(outcome[2]["decision"], json!({ "deny": null }));
    assert_eq!((outcome.len(), &outcome[3]["decision"]), (4, &json!("unauthorized")));

    let outcome = outcomes("jwt-authorizer", "config.json", &[]);
    assert_eq!(principal(&outcome[0]), "alice");
    assert_eq!(outcome[0]["decision"]["allow"]["context"], json!({ "email": "alice@example.com" }));
    assert_eq!([&outcome[1]["decision"], &outcome[2]["decision"]], ["unauthorized"; 2]);

    let javascript =
        |file: &str| plugins().join("javascript/example").join(file).display().to_string();
    let finished = test(
        "cookie-session-authorizer",
        &javascript("requests.json"),
        Some(&javascript("config.json")),
        &[],
    );
    let outcome = lines(&finished);
    assert_eq!((finished.code, principal(&outcome[0])), (0, "ali".into()));
    assert_eq!(
        outcome[0]["decision"]["allow"]["headers"],
        json!(["set x-session-user: ali", "set cookie: theme=dark"])
    );
    assert_eq!(outcome[1]["decision"], "unauthorized");
}

#[test]
fn the_transformers_change_what_their_examples_say() {
    let redacted = outcomes("json-redactor", "config.json", &[]);
    let edits = &redacted[0]["edits"];
    assert_eq!(edits["request"]["body"], r#"{"card": {"number": "[redacted]", "name": "Ali"}}"#);
    assert_eq!(
        edits["response"]["body"],
        r#"{"password": "[redacted]", "items": [{"email": "[redacted]", "id": 1}]}"#
    );
    assert_eq!(redacted[1]["reply"]["status"], 400);

    let normalised = &outcomes("header-normaliser", "config.json", &[])[0]["edits"];
    let removed = normalised["request"]["removed"].as_array().unwrap();
    assert!(removed.contains(&json!(["x-internal-user", "root"])), "{normalised}");
    let added = normalised["request"]["added"].as_array().unwrap();
    for pair in
        [["x-tenant", "acme inc"], ["x-edge", "amsterdam"], ["x-forwarded-for", "198.51.100.7"]]
    {
        assert!(added.contains(&json!(pair)), "{pair:?} in {normalised}");
    }
    assert_eq!(normalised["response"]["added"], json!([["x-content-type-options", "nosniff"]]));

    let routed = outcomes("ab-router", "config.json", &[]);
    assert_eq!(
        routed[1]["edits"]["request"]["added"],
        json!([[":path", "/next/pay"], ["x-bucket", "new"]])
    );
    assert_eq!(routed[2]["edits"]["request"]["added"], json!([["x-bucket", "control"]]));

    let signed = &outcomes("request-signer", "config.json", &[])[0]["edits"]["request"]["added"];
    let digest = "2e6228164663fe0e10b7af402cc0d20f477bd7a7fa2d9dd48c3a7d425199a167";
    assert!(
        signed.as_array().unwrap().contains(&json!(["x-signature-digest", digest])),
        "{signed}"
    );
}

#[test]
fn the_filters_do_what_their_examples_say() {
    let checked = outcomes("proxy-wasm-token-check", "tokens.txt", &[]);
    assert_eq!(
        checked[0]["edits"]["request"],
        json!({ "removed": [["x-authenticated-user", "mallory"]],
            "added": [["x-authenticated-user", "ali"]], "body": null })
    );
    assert_eq!(checked[1]["reply"]["status"], 401);

    let sessions =
        Upstream::answering("HTTP/1.1 200 OK\r\nX-Auth-User: ali\r\nContent-Length: 0\r\n\r\n");
    let upstream = format!("sessions={}", sessions.address);
    let asked = outcomes("proxy-wasm-external-auth", "config.txt", &["--upstream", &upstream]);
    assert_eq!(asked[0]["edits"]["request"]["added"], json!([["x-auth-user", "ali"]]));
    assert_eq!(sessions.request().header("authorization").as_deref(), Some("Bearer x"));
    let (_socket, away) = Upstream::refusing();
    let upstream = format!("sessions={away}");
    let asked = outcomes("proxy-wasm-external-auth", "config.txt", &["--upstream", &upstream]);
    assert_eq!(asked[0]["reply"]["status"], 503);
}

#[test]
fn fuel_is_the_same_in_each_run() {
    let fuel = || {
        let outcomes = outcomes("api-key-authorizer", "keys.csv", &[]);
        outcomes.iter().map(|outcome| outcome["cost"]["fuel"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(fuel(), fuel());
}

#[test]
fn a_plugin_that_fails_is_exit_code_1_with_its_backtrace() {
    let wasm = Filter::new()
        .field("(func $culprit unreachable)")
        .on_request_headers("(call $culprit) (i32.const 0)")
        .wasm();
    let folder = folder(&[("trap.wasm", &wasm), ("requests.json", b"[{}, {\"path\": \"/x\"}]")]);
    let arguments = ["plugin", "test", "trap.wasm", "--request", "requests.json"];
    let text = tollgate(folder.path(), &arguments);
    assert_eq!(text.code, 1, "{text:?}");
    for part in ["unreachable", "(trap)", "filter!culprit", "filter!on_headers_of_request"] {
        assert!(text.stdout.contains(part), "{part:?} is not in {}", text.stdout);
    }
    let finished = tollgate(folder.path(), &[&arguments[..], &["--output", "json"]].concat());
    let outcomes = lines(&finished);
    assert_eq!((finished.code, outcomes.len()), (1, 2));
    for outcome in outcomes {
        assert_eq!(outcome["error"]["kind"], "trap");
        let backtrace = outcome["error"]["backtrace"].as_array().unwrap();
        assert!(backtrace[0].as_str().is_some_and(|frame| frame.contains("culprit")), "{outcome}");
    }
}

#[test]
fn what_is_wrong_with_a_file_is_one_line() {
    let folder = folder(&[
        ("filter.wasm", &Filter::version("1").wasm()),
        ("good.json", b"{}"),
        ("bad.json", b"{\n  \"headers\": 7\n}"),
        ("unknown.json", b"{\"url\": \"/\"}"),
    ]);
    for (plugin, request, why) in [
        ("missing.wasm", "good.json", "missing.wasm: cannot be read: No such file"),
        ("good.json", "good.json", "good.json: is no WebAssembly"),
        ("filter.wasm", "missing.json", "missing.json: cannot be read: No such file"),
        ("filter.wasm", "bad.json", "bad.json:"),
        ("filter.wasm", "unknown.json", "unknown.json:"),
    ] {
        let line = refused(folder.path(), &["plugin", "test", plugin, "--request", request]);
        assert!(line.contains(why), "{line}");
    }
    let finished = tollgate(folder.path(), &["plugin", "test", "filter.wasm"]);
    assert_eq!((finished.code, finished.stdout.as_str()), (2, ""));
}

#[test]
fn check_reads_the_plugins_of_a_configuration() {
    let served = |entry: &str| {
        Serve::new(Api::new().route("GET /", mock(200, "")))
            .file("version.wasm", Filter::version("1").wasm())
            .file("text.wasm", "(module)")
            .attach("transformers: [version]")
            .plugins(&[entry.to_owned()])
            .write()
    };
    let check =
        |entry: &str| tollgate(served(entry).path(), &["check", "--config", "tollgate.yaml"]);
    let found = check("file: version.wasm");
    assert_eq!((found.code, found.stderr.as_str()), (0, ""), "{}", found.stdout);
    for (entry, why) in [
        ("file: missing.wasm, name: version", "cannot be read"),
        ("file: text.wasm, name: version", "is WebAssembly in text form"),
        ("file: version.wasm, name: other", "there is no plugin version"),
        (
            "file: version.wasm, limits: {memory: 1KiB}",
            "tollgate.yaml:10: plugins[0].limits.memory",
        ),
        ("file: version.wasm, upstreams: [nowhere]", "tollgate.yaml:10: plugins[0].upstreams[0]"),
        ("file: version.wasm, sha256: abc", "tollgate.yaml:10: plugins[0].sha256"),
        ("file: version.wasm, directory: x", "tollgate.yaml:10: plugins[0].file"),
        ("file: version.wasm, configuration: {}, configuration_file: x", "one of the two"),
        ("file: version.wasm, isolation: none", "tollgate.yaml:10: "),
        ("file: version.wasm, fail: open", "tollgate.yaml:10: "),
    ] {
        let found = check(entry);
        assert_eq!((found.code, found.stderr.lines().count()), (1, 1), "{entry}: {found:?}");
        assert!(found.stderr.contains(why), "{entry}: {}", found.stderr);
    }
}

#[test]
fn a_filter_with_a_name_in_its_file_is_chosen_by_its_root_id() {
    let filter = plugins().join("../proxy/plugin-host/tests/fixtures/assemblyscript-filter.wasm");
    let filter = filter.display().to_string();
    let folder = folder(&[("request.json", b"{}"), ("text", b"there")]);
    let nameless = ["plugin", "test", &filter, "--request", "request.json", "--config", "text"];
    assert_eq!(tollgate(folder.path(), &nameless).code, 1);
    let named = [&nameless[..], &["--root-id", "add_header"]].concat();
    let named = tollgate(folder.path(), &named);
    assert!(named.code == 0 && named.stdout.contains("x-assembly: GET"), "{named:?}");

    let upstream = Upstream::echo();
    let gateway = Dev::new(greedy(&upstream.url("")))
        .plugin(format!("{filter}={}", folder.path().join("text").display()))
        .argument("--plugin-root-id")
        .argument("add_header")
        .start();
    let response = gateway.call(get("/pets"));
    assert_eq!(response.echoed_header("x-assembly").as_deref(), Some("GET"));
    assert_eq!(response.header("hello"), Some("there"));
}
