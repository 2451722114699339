//! A running gateway.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::ClientConfig;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    Http1, Http2, ManagementClient, Process, Request, Response, Signature, TlsOptions, binary,
    eventually, get,
};

/// `tollgate dev` with one or more definitions. The account's throttle is for the tests that name
/// it: by default it would refuse some requests of a load on a fast machine.
pub struct Dev {
    definitions: Vec<(String, String)>,
    arguments: Vec<String>,
}

/// A gateway, its folder and its addresses.
pub struct Gateway {
    pub process: Process,
    pub http: SocketAddr,
    pub https: SocketAddr,
    pub management: SocketAddr,
    /// Of the first definition.
    pub api_id: String,
    /// What `--output json` said of each API.
    pub announced: Vec<Value>,
    pub(crate) folder: TempDir,
}

impl Dev {
    pub fn new(definition: impl Into<String>) -> Self {
        Self { definitions: vec![("api.yaml".into(), definition.into())], arguments: Vec::new() }
    }

    /// One more definition.
    pub fn and(mut self, definition: impl Into<String>) -> Self {
        self.definitions.push((format!("api{}.yaml", self.definitions.len()), definition.into()));
        self
    }

    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub fn start(self) -> Gateway {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(binary());
        command.arg("dev").current_dir(folder.path());
        for (name, text) in &self.definitions {
            std::fs::write(folder.path().join(name), text).expect("the folder is writable");
            command.arg(name);
        }
        for option in ["--http", "--https", "--management", "--management-api"] {
            command.args([option, "127.0.0.1:0"]);
        }
        command.args(["--output", "json", "--workers", "2"]);
        if !self.arguments.iter().any(|argument| argument.starts_with("--access-log")) {
            command.args(["--access-log", "access.log"]);
        }
        if !self.arguments.iter().any(|argument| argument == "--account-throttle") {
            command.args(["--account-throttle", "10000000:10000000"]);
        }
        let process = Process::start(command.args(&self.arguments));

        let count = self.definitions.len();
        // One write has the lines of all definitions, but it may be read in pieces.
        let announced = eventually("all APIs are announced", || {
            process.stdout_line("where it serves", |line| line.starts_with('{').then_some(()));
            let stdout = process.stdout();
            let apis: Vec<Value> =
                stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            (apis.len() >= count).then_some(apis)
        });
        let first = announced[0].clone();
        let management = process.stderr_line("its management address", |line| {
            line.strip_prefix("management: http://")?.parse().ok()
        });
        let port = |scheme: &str| {
            let url = urls(&first)
                .into_iter()
                .find(|url| url.starts_with(scheme) && url.contains(".execute-api."));
            let url = url.unwrap_or_else(|| panic!("no {scheme} URL in {first}"));
            let port = url.rsplit(':').next().and_then(|rest| rest.split('/').next());
            SocketAddr::from((
                [127, 0, 0, 1],
                port.and_then(|port| port.parse().ok()).expect("a URL has a port"),
            ))
        };
        Gateway {
            http: port("http://"),
            https: port("https://"),
            management,
            api_id: first["api_id"].as_str().expect("an API has an id").to_owned(),
            announced,
            process,
            folder,
        }
    }
}

fn urls(announced: &Value) -> Vec<String> {
    let urls = announced["invoke_urls"].as_array().expect("invoke_urls is a list");
    urls.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

impl Gateway {
    /// A `tollgate dev` with one definition.
    pub fn dev(definition: impl Into<String>) -> Self {
        Dev::new(definition).start()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a new version of a file in the place of the old one, as deployments do.
    pub fn replace_file(&self, name: &str, text: impl AsRef<[u8]>) {
        let new = self.path(&format!("{name}.new"));
        std::fs::write(&new, text).expect("the folder is writable");
        std::fs::rename(new, self.path(name)).expect("the folder is writable");
    }

    /// The default host of the first API.
    pub fn default_host(&self) -> String {
        self.host_of(&self.api_id)
    }

    /// The default host of an API in `us-east-1`.
    pub fn host_of(&self, api_id: &str) -> String {
        format!("{api_id}.execute-api.us-east-1.localhost")
    }

    /// Ends it at once, as a crash does. Gives its folder.
    pub fn kill(self) -> TempDir {
        drop(self.process);
        self.folder
    }

    /// Where `tollgate serve` has its management API.
    pub fn management_api(&self) -> SocketAddr {
        self.process.stderr_line("where its management API is", |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["message"] == "management API").then(|| line["address"].as_str()?.parse().ok())?
        })
    }

    /// A client of the management API, with the key of [`crate::Serve::managed`].
    pub fn management_client(&self) -> ManagementClient {
        ManagementClient::new(self.management_api()).signed(Signature::default())
    }

    /// A new connection without TLS.
    pub fn connect(&self) -> Http1 {
        Http1::connect(self.http)
    }

    /// The gateway behind the only connection a test needs.
    pub fn into_connection(self) -> Connected {
        Connected { client: self.connect(), _gateway: self }
    }

    /// A new TLS connection that speaks HTTP/1.1, to `localhost`, trusting anyone.
    pub fn connect_tls(&self) -> Http1 {
        Http1::connect_tls(self.https, &TlsOptions::new())
    }

    /// A new TLS connection that speaks HTTP/2.
    pub fn connect_http2(&self) -> Http2 {
        Http2::connect(self.https)
    }

    /// Sends a request on a new connection without TLS.
    pub fn call(&self, request: Request) -> Response {
        self.connect().call(request)
    }

    pub fn get(&self, path: &str) -> Response {
        self.call(get(path))
    }

    /// Sends bytes on a new connection and reads one response; asserts that the gateway closes
    /// afterwards.
    pub fn refusal(&self, bytes: impl AsRef<[u8]>) -> Response {
        let mut client = self.connect();
        // It may answer and close before it has read everything.
        let _ = client.try_send(bytes);
        let response = client.response();
        client.assert_closed();
        response
    }

    /// GET from the management address.
    pub fn manage(&self, path: &str) -> Response {
        Http1::connect(self.management).call(get(path))
    }

    /// The value of a metric; zero when it isn't there. `series` is as `/metrics` prints it.
    pub fn metric(&self, series: &str) -> f64 {
        let metrics = self.manage("/metrics").text();
        metrics
            .lines()
            .find_map(|line| line.strip_prefix(series)?.trim_start().parse().ok())
            .unwrap_or(0.0)
    }

    /// Waits until a metric has a value: what a request did is counted after its answer is sent.
    #[track_caller]
    pub fn assert_metric(&self, series: &str, expected: f64) {
        eventually(&format!("{series} is {expected}"), || {
            (self.metric(series) == expected).then_some(())
        });
    }

    /// The lines of the access log, once there are so many.
    pub fn access_log(&self, count: usize) -> Vec<String> {
        eventually(&format!("the access log has {count} lines"), || {
            let text = std::fs::read_to_string(self.path("access.log")).unwrap_or_default();
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            (lines.len() >= count && text.ends_with('\n')).then_some(lines)
        })
    }

    /// The only line of the access log, as JSON.
    pub fn access_log_entry(&self) -> Value {
        let lines = self.access_log(1);
        assert_eq!(lines.len(), 1, "{lines:?}");
        serde_json::from_str(&lines[0]).unwrap_or_else(|error| panic!("{error}: {}", lines[0]))
    }

    /// A TLS connection with a configuration of its own.
    pub fn connect_tls_with(&self, name: &str, config: Arc<ClientConfig>) -> Http1 {
        Http1::connect_tls_with(self.https, name, config)
    }
}

/// A connection that keeps its gateway running.
pub struct Connected {
    client: Http1,
    _gateway: Gateway,
}

impl std::ops::Deref for Connected {
    type Target = Http1;

    fn deref(&self) -> &Http1 {
        &self.client
    }
}

impl std::ops::DerefMut for Connected {
    fn deref_mut(&mut self) -> &mut Http1 {
        &mut self.client
    }
}
