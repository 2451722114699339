//! Plugins in the running gateway.

mod authorizers;
mod bodies;
mod command_line;
mod filter;
mod grpc;
mod hostile;
mod hostile_components;
mod lifecycle;
mod policies;
mod proxy_wasm;
mod tests_of_authorizers;
mod tls_upstreams;
mod transformers;
mod wasi;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tollgate_tests::{Dev, Gateway, Process, Request, Response, Serve, binary};

use filter::Filter;

fn plugins() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").join("plugins")
}

/// A built example.
fn example(name: &str) -> String {
    plugins().join(format!("dist/{name}.wasm")).display().to_string()
}

/// A plugin that is made for these tests.
fn fixture(name: &str) -> String {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.join(format!("fixtures/{name}.wasm")).display().to_string()
}

/// A file that lies beside an example.
fn example_file(name: &str, file: &str) -> String {
    plugins().join(format!("examples/{name}/example/{file}")).display().to_string()
}

/// An argument of `--plugin`: an example with a configuration of its own.
fn with_example_config(name: &str, file: &str) -> String {
    format!("{}={}", example(name), example_file(name, file))
}

trait DevPlugins {
    fn plugin(self, plugin: impl Into<String>) -> Self;
}

impl DevPlugins for Dev {
    fn plugin(self, plugin: impl Into<String>) -> Self {
        self.argument("--plugin").argument(plugin)
    }
}

trait ServePlugins {
    /// The section `plugins`: the insides of YAML flow mappings.
    fn plugins(self, entries: &[String]) -> Self;
}

impl ServePlugins for Serve {
    fn plugins(self, entries: &[String]) -> Self {
        let entries: String = entries.iter().map(|entry| format!("- {{{entry}}}\n")).collect();
        self.with(&format!("plugins:\n{entries}"))
    }
}

/// An entry of `plugins` for an example.
fn entry(name: &str, example_name: &str, more: &str) -> String {
    format!("name: {name}, file: '{}', {more}", example(example_name))
}

/// An entry of `plugins` for a plugin that is made for these tests.
fn fixture_entry(name: &str, fixture_name: &str, more: &str) -> String {
    format!("name: {name}, file: '{}', {more}", fixture(fixture_name))
}

/// Sends a request to stage `prod` on a new connection.
fn call(gateway: &Gateway, request: Request) -> Response {
    let host = gateway.default_host();
    gateway.call(request.host(&host))
}

/// Runs `tollgate ARGUMENTS`, which has to end with exit code 1 and one line that says why.
#[track_caller]
fn refused(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(binary());
    let mut process = Process::start(command.args(arguments).current_dir(folder));
    assert_eq!(process.exit().code(), Some(1), "{}", process.stderr());
    let line = process.stderr_line("why", |line| Some(line.to_owned()));
    assert_eq!(process.stderr(), line);
    line
}

/// Starts `serve`, which has to end with exit code 1 and one line that says why.
#[track_caller]
fn serve_refused(serve: Serve) -> String {
    refused(serve.write().path(), &["serve", "--config", "tollgate.yaml"])
}

/// An operation of a definition: an integration, and more beside it.
fn operation(integration: Value, mut more: Value) -> Value {
    more["x-amazon-apigateway-integration"] = integration;
    more
}

/// A security scheme `guard`: an authorizer that reads these headers.
fn guard(uri: &str, headers: &[&str], seconds: u32) -> Value {
    let sources: Vec<String> =
        headers.iter().map(|name| format!("method.request.header.{name}")).collect();
    json!({ "securitySchemes": { "guard": {
        "type": "apiKey", "name": "Authorization", "in": "header",
        "x-amazon-apigateway-authtype": "custom",
        "x-amazon-apigateway-authorizer": {
            "type": "request",
            "authorizerUri": uri,
            "identitySource": sources.join(", "),
            "authorizerResultTtlInSeconds": seconds,
        },
    } } })
}

/// An operation behind `guard`.
fn guarded(integration: Value) -> Value {
    operation(integration, json!({ "security": [{ "guard": [] }] }))
}
