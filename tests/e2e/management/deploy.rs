//! `tollgate deploy`, `tollgate rollback` and `tollgate canary`, against the built gateway.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_tests::{
    Api, Authority, Finished, Http1, Load, Serve, Upstream, binary, eventually, get, mock,
};

use super::clients::Clients;

const KEY: &str = "AKIDEPLOYMENT0001";
const SECRET: &str = "a secret of the tests";
const PROD: [&str; 4] = ["--api", "pets", "--stage", "prod"];

#[test]
fn a_first_deployment_makes_the_api_and_a_second_one_changes_it() {
    let gateway = Dev::start();
    let first = gateway.deploy(version(1), &[]);
    assert_eq!(first["is_new"], true, "{first}");
    assert_eq!((&first["api_name"], &first["stage"]), (&json!("pets"), &json!("prod")));
    assert_eq!(first["previous_deployment_id"], Value::Null);
    let id = text(&first["api_id"]);
    let url = format!("https://{id}.execute-api.us-east-1.localhost/prod");
    assert_eq!(first["invoke_url"], json!(url));
    gateway.serves(&first, "version 1");

    let second = gateway.deploy(version(2), &["--description", "the second"]);
    assert_eq!((&second["api_id"], &second["is_new"]), (&first["api_id"], &json!(false)));
    assert_eq!(second["previous_deployment_id"], first["deployment_id"]);
    gateway.serves(&second, "version 2");
    // The definition's title is another one.
    let apis = gateway.management(&format!("/restapis/{id}"));
    assert_eq!(apis["name"], "pets");
    let deployments = gateway.management(&format!("/restapis/{id}/deployments"));
    let descriptions = deployments["item"].as_array().unwrap().iter();
    assert_eq!(descriptions.filter(|it| it["description"] == "the second").count(), 1);
}

#[test]
fn a_deployment_under_load_fails_no_request() {
    let gateway = Dev::start();
    let deployed = gateway.deploy(version(0), &[]);
    gateway.serves(&deployed, "version 0");
    let load = Load::start(gateway.http, 4, &get(&path(&deployed)), |response| {
        assert!(response.status == 200 && response.text().starts_with("version "), "{response:?}");
    });
    for number in 1..=3 {
        let deployed = gateway.deploy(version(number), &[]);
        gateway.serves(&deployed, &format!("version {number}"));
        load.more();
    }
    load.finish();
}

#[test]
fn people_are_told_what_was_done_and_how_to_go_back() {
    let gateway = Dev::start();
    gateway.deploy(version(1), &[]);
    let before = gateway.deploy(version(2), &[]);
    gateway.write(version(3));
    let done = gateway.run(&["deploy", "api.yaml", "--api", "pets", "--stage", "prod"]);
    assert_eq!(done.code, 0, "{done:?}");
    let back = done.stdout.lines().find_map(|line| line.strip_prefix("go back")).unwrap();
    let words: Vec<&str> = back.split_whitespace().skip(1).collect();
    assert_eq!(words[..2], ["rollback", "--to"], "{done:?}");
    // As it was printed, with its own endpoint.
    let back = run(gateway.folder(), &words, &[]);
    assert_eq!(back.code, 0, "{back:?}");
    gateway.serves(&before, "version 2");
    assert!(back.stdout.contains(&text(&before["deployment_id"])), "{back:?}");
}

#[test]
fn a_stage_goes_back_to_the_deployment_before_or_to_any_other() {
    let gateway = Dev::start();
    let first = gateway.deploy(version(1), &[]);
    // The order is that of createdDate, which has seconds.
    let second = gateway.deploy_in_a_later_second(version(2));
    gateway.serves(&second, "version 2");

    let back = gateway.done("rollback", &PROD);
    assert_eq!(back["deployment_id"], first["deployment_id"]);
    assert_eq!(back["previous_deployment_id"], second["deployment_id"]);
    gateway.serves(&first, "version 1");

    gateway.refused("rollback", &PROD, "stage prod serves the oldest deployment");
    let second_id = text(&second["deployment_id"]);
    gateway.done("rollback", &[&PROD[..], &["--to", &second_id]].concat());
    gateway.serves(&second, "version 2");

    let unknown = [&PROD[..], &["--to", "nosuch"]].concat();
    gateway.refused("rollback", &unknown, "Deployment id does not exist (BadRequestException)");
    gateway.serves(&second, "version 2");
}

#[test]
fn what_other_stages_serve_is_nothing_to_go_back_to_unasked() {
    let gateway = Dev::start();
    let first = gateway.deploy(version(1), &[]);
    gateway.write(version(2));
    gateway.done("deploy", &["api.yaml", "--api", "pets", "--stage", "test"]);
    let error = gateway.refused("rollback", &PROD, "the API has other stages");
    assert!(error.contains(&format!("{} (", text(&first["deployment_id"]))), "{error}");
    gateway.serves(&first, "version 1");
}

#[test]
fn variables_take_the_place_of_the_stages_own_and_the_others_stay() {
    let gateway = Dev::start();
    let shown = || Api::new().route("GET /", mock(200, "$stageVariables.a $stageVariables.b"));
    let first = gateway.deploy(shown(), &["--variable", "a=1", "--variable", "b=1"]);
    gateway.serves(&first, "1 1");
    gateway.deploy(shown(), &["--variable", "b=2"]);
    gateway.serves(&first, "1 2");
    gateway.deploy(shown(), &[]);
    gateway.serves(&first, "1 2");
    let canary = ["--canary", "100", "--variable", "b=3"];
    gateway.deploy(shown(), &canary);
    gateway.serves(&first, "1 3");
    gateway.done("canary abandon", &PROD);
    gateway.serves(&first, "1 2");
    gateway.deploy(shown(), &["--canary", "0", "--variable", "b=4"]);
    gateway.done("canary promote", &PROD);
    gateway.serves(&first, "1 4");
}

#[test]
fn a_canary_gets_its_share_and_is_promoted_or_abandoned() {
    let gateway = Dev::start();
    gateway.write(version(1));
    let early = [&["api.yaml"], &PROD[..], &["--canary", "50"]].concat();
    gateway.refused("deploy", &early, "deploy without --canary first");
    gateway.refused("canary promote", &PROD, "there is no API \"pets\"");
    let first = gateway.deploy(version(1), &[]);
    gateway.serves(&first, "version 1");
    gateway.refused("canary promote", &PROD, "stage prod has no canary");

    let canary = gateway.deploy(version(2), &["--canary", "50"]);
    assert_eq!(canary["deployment_id"], first["deployment_id"]);
    assert_eq!(canary["canary"]["percent_traffic"], 50.0);
    for expected in ["version 1", "version 2"] {
        gateway.serves(&first, expected);
    }
    let next = [&["api.yaml"], &PROD[..]].concat();
    gateway.refused("deploy", &next, "stage prod has a canary of 50 %");

    let promoted = gateway.done("canary promote", &PROD);
    assert_eq!(promoted["deployment_id"], canary["canary"]["deployment_id"]);
    assert_eq!(promoted["previous_deployment_id"], first["deployment_id"]);
    assert_eq!(promoted["canary"], Value::Null);
    gateway.serves(&first, "version 2");

    gateway.deploy(version(3), &["--canary", "100"]);
    gateway.serves(&first, "version 3");
    let abandoned = gateway.done("canary abandon", &PROD);
    assert_eq!(abandoned["deployment_id"], promoted["deployment_id"]);
    gateway.serves(&first, "version 2");
}

#[test]
fn what_is_refused_changes_nothing_that_is_served() {
    let gateway = Dev::start();
    let deploy = [&["api.yaml"], &PROD[..]].concat();
    for (definition, message) in [
        ("no definition".to_owned(), "ImportRestApi: "),
        // It is imported, and can't be deployed.
        (Api::new().text(), "is deleted again"),
    ] {
        gateway.write(definition);
        gateway.refused("deploy", &deploy, message);
        assert_eq!(gateway.management("/restapis")["item"], json!([]));
    }

    let first = gateway.deploy(version(1), &[]);
    let goes_on =
        format!("stage prod goes on serving deployment {}", text(&first["deployment_id"]));
    gateway.write("openapi: 3.0.1\npaths: [");
    let error = gateway.refused("deploy", &deploy, &goes_on);
    assert!(
        error.starts_with("PutRestApi: ") && error.contains("(BadRequestException)"),
        "{error}"
    );
    gateway.write(Api::new());
    let error = gateway.refused("deploy", &deploy, &goes_on);
    assert!(error.starts_with("CreateDeployment: The REST API doesn't contain"), "{error}");
    assert!(error.contains("the definition in progress is the new one"), "{error}");
    gateway.serves(&first, "version 1");
}

#[test]
fn a_definition_is_taken_as_asked() {
    let gateway = Dev::start();
    let two = version(1).route("GET /extra", mock(200, "extra"));
    let deployed = gateway.deploy(two, &[]);
    let id = text(&deployed["api_id"]);
    let paths = || {
        let resources = gateway.management(&format!("/restapis/{id}/resources"));
        let items = resources["item"].as_array().unwrap().iter();
        let mut paths: Vec<String> = items.map(|it| text(&it["path"])).collect();
        paths.sort();
        paths
    };
    assert_eq!(paths(), ["/", "/extra"]);
    gateway.deploy(version(2), &["--mode", "merge"]);
    assert_eq!(paths(), ["/", "/extra"]);
    gateway.deploy(version(3), &[]);
    assert_eq!(paths(), ["/"]);
    let based = || version(4).with("servers", json!([{ "url": "https://pets.example/base" }]));
    gateway.deploy(based(), &["--base-path", "prepend"]);
    assert_eq!(paths(), ["/", "/base"]);

    let unknown = json!({ "uri": "http://127.0.0.1:1", "type": "http_proxy", "httpMethod": "GET" });
    let method = json!({
        "x-amazon-apigateway-integration": unknown,
        "x-amazon-apigateway-request-validator": "nosuch",
    });
    gateway.write(Api::new().method("GET /", method));
    let strict = [&["api.yaml"], &PROD[..], &["--fail-on-warnings"]].concat();
    gateway.refused("deploy", &strict, "(BadRequestException)");
}

#[test]
fn standard_input_is_a_definition_and_a_file_over_6_mb_is_not_sent() {
    let gateway = Dev::start();
    let arguments = [&["deploy", "-"], &PROD[..], &["--output", "json"]].concat();
    let mut child = gateway
        .command(&arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(version(1).text().as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let deployed: Value = serde_json::from_slice(&output.stdout).unwrap();
    gateway.serves(&deployed, "version 1");

    gateway.write(" ".repeat(6 * 1024 * 1024 + 1));
    let upstream = Upstream::echo();
    let url = upstream.url("");
    let arguments = [&["deploy", "api.yaml", "--endpoint-url", &url], &PROD[..]].concat();
    let refused = run(gateway.folder(), &arguments, &[]);
    assert_eq!(refused.code, 1, "{refused:?}");
    let message = "api.yaml: is too long; allowed: up to 6 MB (6291456 bytes)\n";
    assert_eq!(refused.stderr, message);
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn two_apis_of_one_name_are_told_apart_by_id() {
    let gateway = Dev::start();
    let first = gateway.deploy(version(1), &[]);
    let other = gateway.management_post("/restapis", &json!({ "name": "pets" }));
    gateway.write(version(2));
    let deploy = [&["api.yaml"], &PROD[..]].concat();
    let error = gateway.refused("deploy", &deploy, "2 APIs are named \"pets\": ");
    for id in [&first["api_id"], &other["id"]] {
        assert!(error.contains(&text(id)), "{error}");
    }
    let id = text(&first["api_id"]);
    gateway.done("deploy", &["api.yaml", "--api-id", &id, "--stage", "prod"]);
    gateway.serves(&first, "version 2");
    let wrong = ["api.yaml", "--api-id", &id, "--api", "cats", "--stage", "prod"];
    gateway.refused("deploy", &wrong, &format!("API {id} is named \"pets\", not \"cats\""));
}

#[test]
fn an_api_is_found_on_any_page() {
    let page = |body: Value| {
        let body = body.to_string();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let first = page(json!({ "item": [{ "id": "a", "name": "x" }], "position": "n+t/=" }));
    let last = page(json!({ "item": [] }));
    let server = Upstream::scripted(move |mut session| {
        let Some(request) = session.request() else { return };
        let more = request.line().contains("position");
        session.record(request);
        session.write(if more { &last } else { &first });
    });
    let folder = tempfile::tempdir().unwrap();
    let url = server.url("/base/");
    let arguments = [&["rollback", "--endpoint-url", &url], &PROD[..]].concat();
    let finished = run(folder.path(), &arguments, &[]);
    assert_eq!(finished.stderr, "there is no API \"pets\"\n", "{finished:?}");
    let lines: Vec<String> = server.requests().iter().map(|it| it.line().to_owned()).collect();
    assert_eq!(
        lines,
        [
            "GET /base/restapis?limit=500 HTTP/1.1",
            "GET /base/restapis?limit=500&position=n%2Bt%2F%3D HTTP/1.1",
        ]
    );
}

#[test]
fn an_answer_that_is_lost_is_not_taken_for_a_refusal() {
    let server = Upstream::scripted(|mut session| {
        let Some(request) = session.request() else { return };
        let line = request.line().to_owned();
        session.record(request);
        let body = match &line {
            line if line.starts_with("GET /restapis?") => r#"{"item":[]}"#,
            line if line.contains("mode=import") => r#"{"id":"a1b2c3d4e5","name":"pets"}"#,
            // CreateDeployment.
            line if line.starts_with("POST") => return,
            _ => "",
        };
        let length = body.len();
        session.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"));
    });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("api.yaml"), version(1).text()).unwrap();
    let url = server.url("");
    let arguments = [&["deploy", "api.yaml", "--endpoint-url", &url], &PROD[..]].concat();
    let finished = run(folder.path(), &arguments, &[]);
    assert_eq!(finished.code, 1, "{finished:?}");
    assert!(finished.stderr.contains("whether it was carried out is not known"), "{finished:?}");
    assert!(finished.stderr.contains("the new API a1b2c3d4e5 is deleted again"), "{finished:?}");
    let requests = server.requests();
    let last = requests.last().map(|request| request.line().to_owned());
    assert_eq!(last.as_deref(), Some("DELETE /restapis/a1b2c3d4e5 HTTP/1.1"));
}

#[test]
fn where_there_is_no_management_api_is_said_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("api.yaml"), version(1).text()).unwrap();
    let (_socket, nobody) = Upstream::refusing();
    let page = "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope";
    let other = Upstream::answering(page);
    let endless = Upstream::answering(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}",
        33 << 20,
        " ".repeat(33 << 20)
    ));
    for (url, message) in [
        (format!("http://{nobody}"), "no connection: Connection refused"),
        (other.url(""), "the answer is 404 Not Found; is this a management API?"),
        (endless.url(""), "length limit exceeded"),
        ("http://192.0.2.1:9081".to_owned(), "needs an access key"),
    ] {
        let arguments = [&["deploy", "api.yaml", "--endpoint-url", &url], &PROD[..]].concat();
        let finished = run(folder.path(), &arguments, &[]);
        assert_eq!(finished.code, 1, "{url}: {finished:?}");
        assert!(finished.stderr.contains(message), "{url}: {finished:?}");
        assert_eq!(finished.stderr.lines().count(), 1, "{url}: {finished:?}");
    }
}

#[test]
fn a_gateway_with_keys_is_deployed_to_with_the_right_one_over_tls() {
    let authority = Authority::new();
    let gateway = Serve::new(version(0))
        .file("ca.pem", &authority.certificate)
        .file("deploy.secret", SECRET)
        .file("api.yaml", version(1).text())
        .tls(&authority.issue(&["localhost", "127.0.0.1"]))
        .with(&format!(
            "data_directory: data\nregion: eu-central-1\nmanagement_api: {{address: '127.0.0.1:0', tls: true, access_keys: [{{id: {KEY}, secret_file: deploy.secret}}]}}"
        ))
        .start();
    let address: SocketAddr = gateway.process.stderr_line("its management API", |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["message"] == "management API").then(|| text(&line["address"]).parse().unwrap())
    });
    let url = format!("https://localhost:{}", address.port());
    let deploy = |options: &[&str], key: &[(&str, &str)]| {
        let arguments = [&["deploy", "api.yaml", "--endpoint-url", &url], &PROD[..], options];
        run(gateway.folder(), &arguments.concat(), key)
    };
    let trusting = ["--ca-file", "ca.pem", "--region", "eu-central-1"];
    let key = [("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", SECRET)];
    for (options, key, message) in [
        (&trusting[..], &[][..], "(MissingAuthenticationTokenException)"),
        (&trusting, &[key[0], ("AWS_SECRET_ACCESS_KEY", "wrong")], "GetRestApis: The request sign"),
        (&trusting, &[("AWS_ACCESS_KEY_ID", "AKINOBODY00000001"), key[1]], "GetRestApis: The secu"),
        (&trusting, &key[..1], "AWS_SECRET_ACCESS_KEY is not"),
        (&trusting[..2], &key, "a valid region, not 'us-east-1'"),
        (&trusting, &[key[0], key[1], ("AWS_SESSION_TOKEN", "t")], "(UnrecognizedClientException)"),
        (&trusting[2..], &key, "TLS handshake failed"),
    ] {
        let refused = deploy(options, key);
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.stderr.contains(message), "{message}: {refused:?}");
        assert!(!refused.stderr.contains(SECRET), "{refused:?}");
    }

    let done = |arguments: &[&str]| {
        let common = ["--endpoint-url", &url, "--output", "json"];
        let arguments = [arguments, &PROD, &common, &trusting].concat();
        let done = run(gateway.folder(), &arguments, &key);
        assert_eq!((done.code, &*done.stderr), (0, ""), "{done:?}");
        serde_json::from_str::<Value>(&done.stdout).expect("a line of JSON")
    };
    let serves = |deployed: &Value, expected: &str| {
        let host = format!("{}.execute-api.eu-central-1.localhost", text(&deployed["api_id"]));
        eventually("it is served", || {
            let response = gateway.call(get("/prod/").host(&host));
            (response.text() == expected).then_some(())
        });
    };
    let first = done(&["deploy", "api.yaml"]);
    serves(&first, "version 1");
    gateway.replace_file("api.yaml", version(2).text());
    let second = done(&["deploy", "api.yaml"]);
    serves(&second, "version 2");
    let back = done(&["rollback", "--to", &text(&first["deployment_id"])]);
    serves(&back, "version 1");
}

fn version(number: usize) -> Api {
    Api::new().title("Pet store").route("GET /", mock(200, &format!("version {number}")))
}

/// `tollgate dev` without a definition, and a folder for definitions.
struct Dev {
    gateway: Clients,
    http: SocketAddr,
    folder: TempDir,
}

impl Dev {
    fn start() -> Self {
        let gateway = Clients::start();
        let http = address(&gateway.gateway);
        Self { gateway, http, folder: tempfile::tempdir().expect("a temporary folder") }
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, definition: impl Into<String>) {
        std::fs::write(self.folder().join("api.yaml"), definition.into())
            .expect("the folder is writable");
    }

    /// Deploys as API pets, stage prod.
    #[track_caller]
    fn deploy(&self, definition: Api, options: &[&str]) -> Value {
        self.write(definition);
        self.done("deploy", &[&["api.yaml"], &PROD[..], options].concat())
    }

    #[track_caller]
    fn deploy_in_a_later_second(&self, definition: Api) -> Value {
        std::thread::sleep(std::time::Duration::from_millis(1100));
        self.deploy(definition, &[])
    }

    /// Runs a command to its success. Gives what it says in JSON.
    #[track_caller]
    fn done(&self, command: &str, arguments: &[&str]) -> Value {
        let command: Vec<&str> = command.split(' ').collect();
        let finished = self.run(&[&command, arguments, &["--output", "json"]].concat());
        assert_eq!((finished.code, &*finished.stderr), (0, ""), "{finished:?}");
        serde_json::from_str(&finished.stdout).expect("a line of JSON")
    }

    /// Runs a command that fails with one line that holds `message`. Gives the line.
    #[track_caller]
    fn refused(&self, command: &str, arguments: &[&str], message: &str) -> String {
        let command: Vec<&str> = command.split(' ').collect();
        let finished = self.run(&[&command, arguments].concat());
        assert_eq!((finished.code, &*finished.stdout), (1, ""), "{finished:?}");
        assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
        assert!(finished.stderr.contains(message), "{message}: {finished:?}");
        finished.stderr
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        finish(self.command(arguments))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(self.folder(), arguments, &[]);
        command.args(["--endpoint-url", &self.gateway.endpoint]);
        command
    }

    /// Waits until the stage that was deployed answers so.
    #[track_caller]
    fn serves(&self, deployed: &Value, expected: &str) {
        let path = path(deployed);
        eventually(&format!("{path} answers {expected:?}"), || {
            let response = Http1::connect(self.http).get(&path);
            (response.text() == expected).then_some(())
        });
    }

    /// GET from the management API.
    fn management(&self, path: &str) -> Value {
        let address = address(&self.gateway.endpoint);
        let response = Http1::connect(address).get(path);
        serde_json::from_slice(&response.body).expect("JSON")
    }

    fn management_post(&self, path: &str, body: &Value) -> Value {
        let address = address(&self.gateway.endpoint);
        let request = tollgate_tests::post(path, body.to_string());
        serde_json::from_slice(&Http1::connect(address).call(request).body).expect("JSON")
    }
}

fn address(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").parse().expect("an address")
}

fn path(deployed: &Value) -> String {
    format!("/_aws/execute-api/{}/{}/", text(&deployed["api_id"]), text(&deployed["stage"]))
}

#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// Runs `tollgate ARGUMENTS` with nothing of the developer's AWS settings.
fn run(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Finished {
    finish(command(folder, arguments, variables))
}

fn command(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("AWS_") || text.starts_with("TOLLGATE_") {
            command.env_remove(&name);
        }
    }
    command.envs(variables.iter().copied());
    command
}

fn finish(mut command: Command) -> Finished {
    let output = command.output().expect("the program runs");
    Finished {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
