//! New versions, configurations and files, while requests go on.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{channel, sync_channel};
use std::time::SystemTime;

use serde_json::json;
use tollgate_tests::{
    Api, DEADLINE, Gateway, Load, Request, Serve, Upstream, eventually, get, http_proxy, mock,
};

use super::filter::GO_ON;
use super::{
    Filter, ServePlugins, call, entry, example, example_file, guard, guarded, serve_refused,
};

/// A gateway whose answers carry the version of the filter in `version.wasm`.
fn versioned(integration: serde_json::Value, more: &str) -> Serve {
    Serve::new(Api::new().route("GET /", integration))
        .file("version.wasm", Filter::version("1").wasm())
        .attach("transformers: [version]")
        .plugins(&[format!("file: version.wasm{more}")])
}

fn root(gateway: &Gateway) -> Request {
    get("/prod").host(&gateway.default_host())
}

fn version(gateway: &Gateway) -> String {
    let response = gateway.call(root(gateway));
    assert_eq!(response.status, 200, "{response:?}");
    response.header("x-version").unwrap_or("none").to_owned()
}

fn eventually_serves(gateway: &Gateway, expected: &str) {
    eventually(&format!("version {expected} serves"), || {
        (version(gateway) == expected).then_some(())
    });
}

/// A line of the log that has all of this.
fn logged(gateway: &Gateway, parts: &[&str]) {
    gateway.process.stderr_line(&format!("{parts:?}"), |line| {
        parts.iter().all(|part| line.contains(part)).then_some(())
    });
}

fn reloads(gateway: &Gateway, result: &str) -> f64 {
    gateway.metric(&format!("tollgate_reloads_total{{result=\"{result}\"}}"))
}

#[test]
fn versions_change_under_load_without_a_failed_request() {
    let upstream = Upstream::echo();
    let gateway = versioned(http_proxy(&upstream.url("/")), "").start();
    let load = Load::start(gateway.http, 4, &root(&gateway), |response| {
        assert_eq!(response.status, 200, "{response:?}");
        assert!(matches!(response.header("x-version"), Some("1" | "2")), "{response:?}");
    });
    for number in 0..20 {
        let next = if number % 2 == 0 { "2" } else { "1" };
        gateway.replace_file("version.wasm", Filter::version(next).wasm());
        eventually_serves(&gateway, next);
    }
    gateway.replace_file("version.wasm", Filter::version("2").wasm());
    eventually_serves(&gateway, "2");
    load.more();
    assert_eq!(version(&gateway), "2");
    load.finish();
    for kind in ["trap", "start", "wait"] {
        let series = format!("tollgate_plugin_errors_total{{plugin=\"version\",kind=\"{kind}\"}}");
        assert_eq!(gateway.metric(&series), 0.0, "{kind}");
    }
    // Old versions don't stay in memory.
    eventually("only one version has instances", || {
        let instances = gateway.metric("tollgate_plugin_instances{plugin=\"version\"}");
        (instances <= 2.0).then_some(())
    });
}

#[test]
fn a_request_ends_with_the_version_it_began_with() {
    let (asked, questions) = channel();
    let (answer, answers) = sync_channel::<()>(1);
    let answers = Mutex::new(answers);
    let upstream = Upstream::scripted(move |mut session| {
        while let Some(request) = session.request() {
            if request.header("x-held-back").is_some() {
                let _ = asked.send(());
                let _ = answers.lock().expect("one session").recv_timeout(DEADLINE);
            }
            session.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let gateway = versioned(http_proxy(&upstream.url("/")), "").start();
    let mut client = gateway.connect();
    client.send(root(&gateway).header("X-Held-Back", "1").bytes());
    questions.recv_timeout(DEADLINE).expect("the backend is asked");
    gateway.replace_file("version.wasm", Filter::version("2").wasm());
    eventually_serves(&gateway, "2");
    answer.send(()).expect("the backend waits");
    assert_eq!(client.response().header("x-version"), Some("1"));
    assert_eq!(client.call(root(&gateway)).header("x-version"), Some("2"));
}

#[test]
fn a_version_that_does_not_load_leaves_the_one_before_it() {
    let gateway = versioned(mock(200, ""), "").start();
    let whole = Filter::version("2").wasm();
    for (bytes, why) in [
        (b"not a plugin at all".to_vec(), "no WebAssembly"),
        (whole[..whole.len() / 2].to_vec(), "is no valid WebAssembly"),
        (b"\0asm\x01\0\0\0".to_vec(), "is no plugin"),
        (Vec::new(), "is empty"),
        (
            std::fs::read(example("api-key-authorizer")).unwrap(),
            "can't replace a proxy-wasm filter",
        ),
    ] {
        gateway.replace_file("version.wasm", bytes);
        logged(&gateway, &["plugin not swapped", "plugin version", why]);
        assert_eq!(version(&gateway), "1");
    }
    std::fs::remove_file(gateway.path("version.wasm")).unwrap();
    logged(&gateway, &["plugin not swapped", "cannot be read"]);
    assert_eq!(version(&gateway), "1");
    assert_eq!(reloads(&gateway, "rejected"), 6.0);
    gateway.replace_file("version.wasm", whole);
    eventually_serves(&gateway, "2");
}

#[test]
fn dev_loads_a_plugin_that_is_built_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("version.wasm");
    std::fs::write(&file, Filter::version("1").wasm()).unwrap();
    let gateway = tollgate_tests::Dev::new(Api::new().route("GET /", mock(200, "")))
        .argument("--plugin")
        .argument(file.display().to_string())
        .start();
    assert_eq!(gateway.get("/").header("x-version"), Some("1"));
    std::fs::write(&file, "half").unwrap();
    gateway.process.stderr_line("why it stays", |line| {
        (line.contains("plugin version") && line.contains("still served")).then_some(())
    });
    assert_eq!(gateway.get("/").header("x-version"), Some("1"));
    // Compilers write in place.
    std::fs::write(&file, Filter::version("2").wasm()).unwrap();
    eventually("the new version is served", || {
        (gateway.get("/").header("x-version") == Some("2")).then_some(())
    });
}

#[test]
fn a_changed_configuration_file_is_in_use() {
    let api = Api::new()
        .method("GET /", guarded(mock(200, "")))
        .with("components", guard("plugin:keys", &["x-api-key"], 3600));
    let keys = std::fs::read_to_string(example_file("api-key-authorizer", "keys.csv")).unwrap();
    let gateway = Serve::new(api)
        .file("keys.csv", &keys)
        .plugins(&[entry("keys", "api-key-authorizer", "configuration_file: keys.csv")])
        .start();
    let status = |key: &str| gateway.call(root(&gateway).header("x-api-key", key)).status;
    assert_eq!([status("alices-example-key"), status("bobs-example-key")], [200, 200]);
    // Alice's key goes; that she was let in before is no longer of use to her.
    let without_alice: Vec<&str> = keys.lines().filter(|line| !line.contains("alice")).collect();
    gateway.replace_file("keys.csv", without_alice.join("\n"));
    eventually("the key is gone", || (status("alices-example-key") == 403).then_some(()));
    assert_eq!(status("bobs-example-key"), 200);
    gateway.replace_file("keys.csv", keys);
    eventually("the key is there again", || (status("alices-example-key") == 200).then_some(()));
}

/// SHA-256 as `plugin inspect` says.
fn sha256(wasm: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.wasm"), wasm).unwrap();
    let found = tollgate_tests::tollgate(
        folder.path(),
        &["plugin", "inspect", "x.wasm", "--output", "json"],
    );
    let inspection: serde_json::Value = serde_json::from_str(&found.stdout).expect("JSON");
    inspection["sha256"].as_str().expect("a digest").to_owned()
}

#[test]
fn only_the_file_with_the_digest_is_loaded() {
    let first = sha256(&Filter::version("1").wasm());
    let other = sha256(&Filter::version("2").wasm());
    let line = serve_refused(versioned(mock(200, ""), &format!(", sha256: '{other}'")));
    assert!(line.contains(&format!("its SHA-256 is {first}, but {other} is wanted")), "{line}");
    let gateway = versioned(mock(200, ""), &format!(", sha256: '{first}'")).start();
    assert_eq!(version(&gateway), "1");
    gateway.replace_file("version.wasm", Filter::version("2").wasm());
    logged(&gateway, &["plugin not swapped", &other]);
    assert_eq!(version(&gateway), "1");
}

#[test]
fn a_directorys_new_file_is_a_plugin() {
    let api = |transformers: &[&str]| {
        Api::new()
            .route("GET /", mock(200, ""))
            .with("x-tollgate-transformers", json!(transformers))
    };
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, version: &str| {
        let new = folder.path().join(format!("{name}.new"));
        std::fs::write(&new, Filter::version(version).wasm()).unwrap();
        std::fs::rename(new, folder.path().join(name)).unwrap();
    };
    put("first.wasm", "1");
    std::fs::write(folder.path().join("README"), "not a plugin").unwrap();
    let gateway = Serve::new(api(&["first"]))
        .plugins(&[format!("directory: '{}'", folder.path().display())])
        .start();
    assert_eq!(version(&gateway), "1");

    // There is no second one yet.
    gateway.replace_file("petstore01-prod.yaml", api(&["second"]).text());
    logged(&gateway, &["not reloaded", "there is no plugin second"]);
    assert_eq!(version(&gateway), "1");
    put("second.wasm", "2");
    eventually_serves(&gateway, "2");
    put("second.wasm", "3");
    eventually_serves(&gateway, "3");
}

fn cached(directory: &Path) -> Serve {
    versioned(mock(200, ""), "").with(&format!("plugin_cache_directory: '{}'", directory.display()))
}

/// The files of a cache.
fn code(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn compiled_code_is_kept_for_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("cache");
    assert_eq!(version(&cached(&directory).start()), "1");
    let [file] = &code(&directory)[..] else { panic!("{:?}", code(&directory)) };
    assert_eq!(std::fs::metadata(&directory).unwrap().mode() & 0o777, 0o700);
    assert_eq!(std::fs::metadata(file).unwrap().mode() & 0o077, 0);
    let inode = std::fs::metadata(file).unwrap().ino();
    let handle = std::fs::File::open(file).unwrap();
    handle.set_modified(SystemTime::UNIX_EPOCH).unwrap();

    // Used, which its time tells, and not written again.
    assert_eq!(version(&cached(&directory).start()), "1");
    let metadata = std::fs::metadata(file).unwrap();
    assert_ne!(metadata.mtime(), 0);
    assert_eq!((metadata.ino(), code(&directory).len()), (inode, 1));

    // Damaged, it is compiled again and put in its place.
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file, bytes).unwrap();
    let gateway = cached(&directory).start();
    logged(&gateway, &["compiled plugin ignored", "damaged"]);
    assert_eq!(version(&gateway), "1");
    assert_ne!(std::fs::metadata(file).unwrap().ino(), inode);
}

#[test]
fn a_cache_that_others_may_write_to_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("cache");
    std::fs::create_dir(&directory).unwrap();
    for mode in [0o770, 0o707] {
        std::fs::set_permissions(&directory, PermissionsExt::from_mode(mode)).unwrap();
        let line = serve_refused(cached(&directory));
        let mode = format!("others than its owner may write to it (mode {mode:o}; allowed: 700)");
        assert!(line.contains(&directory.display().to_string()) && line.contains(&mode), "{line}");
    }
    std::fs::set_permissions(&directory, PermissionsExt::from_mode(0o700)).unwrap();
    let link = folder.path().join("link");
    symlink(&directory, &link).unwrap();
    let line = serve_refused(cached(&link));
    assert!(line.contains("it is no directory of its own, but a link or a file"), "{line}");
    assert!(code(&directory).is_empty());
}

#[test]
fn sighup_takes_another_plugins_section() {
    let api = Api::new().route("GET /", mock(200, ""));
    let check = |token: &str| {
        format!(
            "{{name: check, file: '{}', configuration: '{token} ali'}}",
            example("proxy-wasm-token-check")
        )
    };
    let gateway = Serve::new(api)
        .attach("transformers: [check]")
        .file("version.wasm", Filter::version("1").wasm())
        .with(&format!("plugins: [{}]", check("old")))
        .start();
    let status = |token: &str| {
        gateway.call(root(&gateway).header("Authorization", &format!("Bearer {token}"))).status
    };
    assert_eq!([status("old"), status("new")], [200, 401]);

    let change = |from: &str, to: &str| {
        let text = std::fs::read_to_string(gateway.path("tollgate.yaml")).unwrap();
        assert!(text.contains(from), "{text}");
        gateway.replace_file("tollgate.yaml", text.replace(from, to));
        gateway.process.signal(libc::SIGHUP);
    };
    change(&check("old"), &check("new"));
    eventually("the new configuration is in use", || (status("new") == 200).then_some(()));
    assert_eq!(status("old"), 401);

    // One more plugin, and its place.
    change(&check("new"), &format!("{}, {{file: version.wasm}}", check("new")));
    change("transformers: [check]", "transformers: [check, version]");
    eventually("the second plugin runs", || {
        let response = call(&gateway, get("/prod").header("Authorization", "Bearer new"));
        (response.header("x-version") == Some("1")).then_some(())
    });

    // All or nothing: a plugin that isn't there keeps all as it was.
    let rejected = reloads(&gateway, "rejected");
    change("version.wasm", "missing.wasm");
    eventually("it is refused", || (reloads(&gateway, "rejected") > rejected).then_some(()));
    logged(&gateway, &["not reloaded", "missing.wasm", "cannot be read"]);
    assert_eq!([status("new"), status("old")], [200, 401]);
}

#[test]
fn an_upgrade_under_load_keeps_the_plugins() {
    let mut gateway = versioned(mock(200, ""), "").start_installed();
    let load = Load::start(gateway.http, 4, &root(&gateway), |response| {
        assert_eq!((response.status, response.header("x-version")), (200, Some("1")));
    });
    gateway.process.signal(libc::SIGUSR2);
    logged(&gateway, &["new process serves"]);
    assert_eq!(gateway.process.exit().code(), Some(0));
    load.more();
    load.finish();
    gateway.replace_file("version.wasm", Filter::version("2").wasm());
    eventually_serves(&gateway, "2");
}

/// Adds `X-Version` with how many answers its instance has given: `a` for none, `b` for one.
fn counting() -> Filter {
    let mut filter = Filter::new();
    let (name, value) = (filter.text("x-version"), filter.text("a"));
    let (at, _) = value.split_once(") ").expect("pointer and size");
    filter.on_response_headers(&format!(
        "(drop (call $proxy_add_header_map_value (i32.const 2) {name} {value}))
         (i32.store8 {at}) (i32.add (i32.load8_u {at})) (i32.const 1))) {GO_ON}"
    ))
}

#[test]
fn an_instance_for_each_request_remembers_nothing() {
    for (isolation, expected) in [("per-request", ["a", "a", "a"]), ("shared", ["a", "b", "c"])] {
        let gateway = Serve::new(Api::new().route("GET /", mock(200, "")))
            .file("counting.wasm", counting().wasm())
            .attach("transformers: [counting]")
            .plugins(&[format!(
                "file: counting.wasm, isolation: {isolation}, limits: {{instances: 1}}"
            )])
            .start();
        let mut client = gateway.connect();
        let request = root(&gateway);
        let found = expected.map(|_| {
            let response = client.call(request.clone());
            response.header("x-version").unwrap_or_default().to_owned()
        });
        assert_eq!(found, expected, "{isolation}");
    }
}
