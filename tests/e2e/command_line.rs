//! The command line: what it prints, where, and with which exit code.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use tollgate_tests::{Api, Finished, Gateway, Issued, Serve, mock, tollgate};

fn api() -> Api {
    Api::new()
        .route("GET /pets", mock(200, "pets"))
        .route("ANY /{proxy+}", tollgate_tests::http_proxy("http://a.example/{proxy}"))
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// Runs in a folder with `api.yaml`.
fn run(arguments: &[&str]) -> Finished {
    tollgate(folder(&[("api.yaml", &api().text())]).path(), arguments)
}

/// Asserts that it fails with exactly this one line.
#[track_caller]
fn assert_one_line(finished: &Finished, expected: &[&str]) {
    let stderr = finished.stderr.trim_end_matches('\n');
    assert_eq!((finished.code, finished.stdout.as_str()), (1, ""), "{stderr}");
    assert!(
        !stderr.is_empty() && !stderr.contains('\n') && !stderr.contains("panicked"),
        "{stderr}"
    );
    for part in expected {
        assert!(stderr.contains(part), "{part:?} is not in {stderr:?}");
    }
}

#[test]
fn check_says_what_it_found() {
    let found = run(&["check", "api.yaml"]);
    assert_eq!(found.code, 0, "{}", found.stderr);
    for part in ["2 methods on 2 paths", "HTTP_PROXY", "MOCK", "/{proxy+}"] {
        assert!(found.stdout.contains(part), "{part:?} is not in {}", found.stdout);
    }
}

#[test]
fn check_says_it_in_json() {
    let found = run(&["check", "--output", "json", "api.yaml"]);
    let json: Value = serde_json::from_str(&found.stdout).expect("JSON");
    assert_eq!(
        (found.code, &json["ok"], &json["errors"]),
        (0, &Value::Bool(true), &Value::Array(Vec::new()))
    );
    let paths = json["definitions"][0]["paths"].as_array().unwrap();
    let paths: Vec<_> = paths.iter().filter_map(|path| path["path"].as_str()).collect();
    assert_eq!(paths, ["/pets", "/{proxy+}"]);
}

#[test]
fn check_fails_on_what_does_not_load() {
    let folder = folder(&[("bad.yaml", "openapi: 3.0.1\npaths: ["), ("good.yaml", &api().text())]);
    let found = tollgate(folder.path(), &["check", "bad.yaml", "good.yaml", "missing.yaml"]);
    assert_eq!(found.code, 1);
    assert!(found.stdout.contains("good.yaml") && found.stderr.lines().count() == 2, "{found:?}");
    assert!(
        found.stderr.contains("bad.yaml") && found.stderr.contains("missing.yaml: "),
        "{}",
        found.stderr
    );
    let found = tollgate(folder.path(), &["check", "--output", "json", "bad.yaml"]);
    let json: Value = serde_json::from_str(&found.stdout).expect("JSON");
    assert_eq!((found.code, &json["ok"]), (1, &Value::Bool(false)));
}

#[test]
fn check_reads_a_configuration_with_all_it_names() {
    let config = Serve::new(api()).tls(&Issued::of(&["a.example"])).write();
    let found = tollgate(config.path(), &["check", "--config", "tollgate.yaml"]);
    assert_eq!(found.code, 0, "{}", found.stderr);
    assert!(
        found.stdout.contains("petstore01") && found.stdout.contains("prod"),
        "{}",
        found.stdout
    );
    std::fs::remove_file(config.path().join("tls.key")).unwrap();
    let found = tollgate(config.path(), &["check", "--config", "tollgate.yaml"]);
    assert!(found.code == 1 && found.stderr.contains("tls.key"), "{found:?}");
}

#[test]
fn every_openapi_definition_of_others_loads() {
    let definitions = Path::new(env!("CARGO_MANIFEST_DIR")).join("definitions");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&definitions).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.retain(|file| {
        let text = std::fs::read_to_string(file).unwrap();
        let mut lines = text.lines().map(|line| line.trim_start_matches([' ', '"', '{']));
        file.extension().is_some_and(|extension| extension != "md")
            && !text.contains("AWSTemplateFormatVersion")
            && lines.any(|line| line.starts_with("openapi") || line.starts_with("swagger"))
    });
    assert!(files.len() >= 13, "{files:?}");
    for file in files {
        let found = tollgate(&definitions, &["check", &file.display().to_string()]);
        assert_eq!(found.code, 0, "{}: {}", file.display(), found.stderr);
        assert!(found.stdout.contains("stage dev"), "{}", found.stdout);
    }
}

/// What `serve` says to a configuration file.
fn serve(config: &str) -> Finished {
    let folder =
        folder(&[("t.yaml", config), ("api.yaml", &api().text()), ("bad.pem", "nonsense")]);
    tollgate(folder.path(), &["serve", "--config", "t.yaml"])
}

#[test]
fn a_configuration_that_cannot_be_meant_is_one_clear_line() {
    let listener = "listeners: [{address: '127.0.0.1:0'}]\n";
    for (config, expected) in [
        ("listeners:\n- address: 127.0.0.1:0\n  tlss: true\n".to_owned(), &["t.yaml:3: listeners[0].tlss: unknown key", "allowed: address"][..]),
        ("listeners: []\n".into(), &["t.yaml", "listeners", "at least one"]),
        ("listeners: [{address: localhost}]\n".into(), &["t.yaml:1: listeners[0].address: ", "allowed: IP:PORT"]),
        ("listeners: [\n".into(), &["t.yaml", "not valid YAML"]),
        (format!("{listener}limits:\n  request_head_timeout: 15\n"), &["t.yaml:3: limits.request_head_timeout: ", "has no unit"]),
        (format!("{listener}limits:\n  connections: 0\n"), &["t.yaml:3: limits.connections: ", "1 to 10000000"]),
        (format!("{listener}limits:\n  maximum_payload: 2GiB\n"), &["t.yaml:3: limits.maximum_payload: ", "1GiB"]),
        (format!("{listener}workers: many\n"), &["t.yaml:2: workers: "]),
        (format!("{listener}workers:\n"), &["t.yaml", "workers"]),
        (format!("{listener}region: us_east\n"), &["t.yaml:2: region: "]),
        (format!("{listener}apis:\n- {{definition: missing.yaml, stage: prod}}\n"), &["t.yaml:3: apis[0].definition: ", "missing.yaml"]),
        (format!("{listener}apis:\n- {{definition: api.yaml}}\n"), &["t.yaml:3: apis[0].stage: is missing"]),
        (format!("{listener}apis:\n- {{definition: api.yaml, stage: 'a b'}}\n"), &["t.yaml:3: apis[0].stage: "]),
        ("listeners: [{address: '127.0.0.1:0', tls: true}]\n".into(), &["t.yaml:1: listeners[0].tls: ", "certificates"]),
        (
            "listeners: [{address: '127.0.0.1:0', tls: true}]\ncertificates:\n- {certificate: missing.pem, key: missing.key}\n".into(),
            &["t.yaml:3: certificates[0]", "missing."],
        ),
        (
            "listeners: [{address: '127.0.0.1:0', tls: true}]\ncertificates:\n- {certificate: bad.pem, key: bad.pem}\n".into(),
            &["t.yaml:3: certificates[0]", "bad.pem", "holds no certificate"],
        ),
        (format!("{listener}upstream_ca_file: bad.pem\n"), &["t.yaml", "upstream_ca_file", "bad.pem"]),
        (format!("{listener}access_log: {{format: '$context.status'}}\n"), &["t.yaml:2: access_log.format: ", "requestId"]),
        (
            format!("{listener}management: 127.0.0.1:0\naccess_log: {{destination: /nowhere/access.log}}\n"),
            &["/nowhere/access.log"],
        ),
        (format!("{listener}log: {{level: inf}}\n"), &["t.yaml:2: log.level: "]),
        (
            format!("{listener}domain_names:\n- {{name: a.example, base_path_mappings: [{{api_id: nosuchapi0}}]}}\n"),
            &["t.yaml:3: domain_names[0].base_path_mappings[0].api_id: ", "nosuchapi0"],
        ),
        (format!("{listener}vpc_links: {{a: {{addresses: [b]}}}}\n"), &["t.yaml:2: vpc_links.a.addresses[0]: ", "HOST:PORT"]),
        ("listeners: [{address: '127.0.0.1:0', visibility: private}]\n".into(), &["t.yaml:1: listeners[0].vpc_id: is missing"]),
    ] {
        assert_one_line(&serve(&config), expected);
    }
}

#[test]
fn a_certificate_with_the_key_of_another_is_one_clear_line() {
    let (one, two) = (Issued::of(&["a.example"]), Issued::of(&["a.example"]));
    let config =
        Serve::new(api()).tls(&Issued { certificate: one.certificate, key: two.key }).write();
    let finished = tollgate(config.path(), &["serve", "--config", "tollgate.yaml"]);
    assert_one_line(
        &finished,
        &["certificates[0]", "the private key isn't the one of the certificate"],
    );
}

#[test]
fn a_vpc_link_that_is_not_configured_stops_production() {
    let mut integration = tollgate_tests::http_proxy("http://a.example/");
    integration["connectionType"] = "VPC_LINK".into();
    integration["connectionId"] = "link1".into();
    let config = Serve::new(Api::new().route("GET /", integration)).write();
    let finished = tollgate(config.path(), &["serve", "--config", "tollgate.yaml"]);
    assert_one_line(&finished, &["apis[0].definition", "link1"]);
}

#[test]
fn an_address_in_use_is_one_clear_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let finished = run(&[
        "dev",
        "api.yaml",
        "--http",
        &address,
        "--https",
        "127.0.0.1:0",
        "--management",
        "127.0.0.1:0",
        "--management-api",
        "127.0.0.1:0",
    ]);
    assert_one_line(&finished, &[&address]);
    assert_one_line(
        &serve(&format!(
            "listeners: [{{address: '{address}'}}]\nmanagement: 127.0.0.1:0\nlog: {{level: error}}\n"
        )),
        &[&address],
    );
}

#[test]
fn a_definition_that_dev_cannot_serve_is_one_clear_line() {
    for (file, text, expected) in [
        ("api.yaml", "openapi: 3.0.1\npaths: [", "api.yaml"),
        ("api.yaml", "hello", "api.yaml"),
        ("api.yaml", "", "api.yaml"),
        ("other.yaml", "", "api.yaml: cannot be read: "),
    ] {
        let folder = folder(&[(file, text)]);
        assert_one_line(&tollgate(folder.path(), &["dev", "api.yaml"]), &[expected]);
    }
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    for arguments in [
        &["nonsense"][..],
        &["dev", "api.yaml", "--http", "localhost"],
        &["serve"],
        &["check"],
        &["dev", "api.yaml", "--stage", "a b"],
        &["dev", "api.yaml", "--workers", "0"],
    ] {
        let finished = run(arguments);
        assert_eq!(
            (finished.code, finished.stdout.as_str()),
            (2, ""),
            "{arguments:?}: {}",
            finished.stderr
        );
        assert!(!finished.stderr.is_empty());
    }
}

#[test]
fn help_names_every_command_and_option() {
    let help = run(&["--help"]);
    assert_eq!(help.code, 0);
    for command in ["dev", "serve", "check", "config", "completions"] {
        assert!(help.stdout.contains(&format!("\n  {command} ")), "{command}");
        assert_eq!(run(&[command, "--help"]).code, 0, "{command}");
    }
    let dev = run(&["dev", "--help"]).stdout;
    for option in [
        "--http",
        "--https",
        "--management",
        "--stage",
        "--stage-variable",
        "--param",
        "--region",
        "--account-id",
        "--workers",
        "--access-log",
        "--output",
    ] {
        assert!(dev.contains(&format!("{option} <")) || dev.contains(option), "{option}");
    }
    for variable in [
        "TOLLGATE_HTTP",
        "TOLLGATE_STAGE_VARIABLE",
        "TOLLGATE_PARAM",
        "TOLLGATE_REGION",
        "TOLLGATE_ACCESS_LOG",
    ] {
        assert!(dev.contains(variable), "{variable}");
    }
}

#[test]
fn the_version_is_a_number() {
    let version = run(&["--version"]);
    let number =
        version.stdout.trim().strip_prefix("tollgate ").expect("the name, then the version");
    assert!(
        version.code == 0 && number.split('.').all(|part| part.parse::<u32>().is_ok()),
        "{number}"
    );
}

#[test]
fn there_are_completions_for_shells() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]);
        assert!(
            script.code == 0
                && script.stdout.contains("tollgate")
                && script.stdout.contains("stage-variable"),
            "{shell}"
        );
    }
}

#[test]
fn the_schema_describes_every_key() {
    let schema = run(&["config", "schema"]);
    let json: Value = serde_json::from_str(&schema.stdout).expect("JSON");
    assert_eq!(schema.code, 0);
    for key in [
        "listeners",
        "management",
        "workers",
        "certificates",
        "apis",
        "domain_names",
        "vpc_links",
        "access_log",
        "limits",
    ] {
        let described = &json["properties"][key];
        assert!(
            described["description"].is_string() || described.is_object(),
            "{key}: {described}"
        );
    }
    assert!(
        schema.stdout.contains("request_head_timeout") && schema.stdout.contains("Default 15s")
    );
}

#[test]
fn dev_announces_each_api_in_a_line_of_json() {
    let announced = tollgate_tests::Dev::new(api().title("First"))
        .and(api().title("Second"))
        .argument("--region=eu-west-1")
        .start()
        .announced
        .clone();
    let names: Vec<_> = announced.iter().map(|api| api["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["First", "Second"]);
    for api in &announced {
        let id = api["api_id"].as_str().unwrap();
        assert!(
            id.len() == 10
                && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()),
            "{id}"
        );
        assert_eq!(api["stage"], "dev");
        let urls = api["invoke_urls"].as_array().unwrap();
        assert!(
            urls.iter().any(|url| url
                .as_str()
                .unwrap()
                .contains(&format!("{id}.execute-api.eu-west-1.localhost:"))),
            "{api}"
        );
    }
}

#[test]
fn options_may_come_from_the_environment() {
    let folder = folder(&[("api.yaml", &Api::new().route("GET /", mock(200, "ok")).text())]);
    let mut command = std::process::Command::new(tollgate_tests::binary());
    command.current_dir(folder.path()).args(["dev", "api.yaml", "--output", "json"]);
    let process = tollgate_tests::Process::start_with(
        &mut command,
        &[
            ("TOLLGATE_HTTP", "127.0.0.1:0"),
            ("TOLLGATE_HTTPS", "127.0.0.1:0"),
            ("TOLLGATE_MANAGEMENT", "127.0.0.1:0"),
            ("TOLLGATE_MANAGEMENT_API", "127.0.0.1:0"),
            ("TOLLGATE_STAGE", "fromenv"),
        ],
    );
    let stage = process.stdout_line("where it serves", |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        line["stage"].as_str().map(str::to_owned)
    });
    assert_eq!(stage, "fromenv");
}

#[test]
fn what_is_read_but_not_served_is_a_warning_by_name() {
    let mut operation = serde_json::json!({ "x-amazon-apigateway-integration": mock(200, "ok") });
    operation["x-amazon-apigateway-auth"] = serde_json::json!({ "type": "AWS_IAM" });
    let api = Api::new().method("GET /", operation);
    let gateway = Gateway::dev(api);
    gateway.process.stderr_line("what is not served", |line| {
        (line.starts_with("warning: ") && line.contains("AWS_IAM")).then_some(())
    });
}

#[test]
fn a_template_that_cannot_be_parsed_is_a_warning_with_its_place() {
    let mut integration = mock(200, "");
    integration["responses"]["default"]["responseTemplates"] =
        serde_json::json!({ "application/json": "{\n  \"a\": #if($x) 1" });
    let gateway = Gateway::dev(Api::new().route("GET /", integration));
    gateway.process.stderr_line("the template's error", |line| {
        let says = |text: &str| line.contains(text);
        (says("response template application/json of status 200")
            && says("line 2, column")
            && says("GET /"))
        .then_some(())
    });
}
