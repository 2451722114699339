//! The parts of the configuration file about plugins.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::usage::Throttle;
use super::{Count, Flag, Interval, Maybe, Size, Text};

/// A WASM plugin, or a directory of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plugin {
    /// Its name in definitions, logs and metrics: 1 to 64 of a-z, A-Z, 0-9, _, - and the dot.
    /// Default: the file's name without .wasm. A directory has none: each of its plugins is
    /// named after its file.
    #[serde(default)]
    pub name: Maybe<Text>,
    /// The .wasm file. Loaded again when it changes; a version that does not load leaves the one
    /// before it in use.
    #[serde(default)]
    pub file: Maybe<Text>,
    /// Instead of `file`: every *.wasm file in this directory is a plugin with these settings.
    #[serde(default)]
    pub directory: Maybe<Text>,
    /// The file's SHA-256, 64 hexadecimal digits; another file is refused.
    #[serde(default)]
    pub sha256: Maybe<Text>,
    /// What the plugin reads as its configuration: text as it is, anything else as JSON.
    #[serde(default)]
    pub configuration: Option<serde_json::Value>,
    /// Instead of `configuration`: a file whose bytes the plugin reads. Watched like the plugin.
    #[serde(default)]
    pub configuration_file: Maybe<Text>,
    /// Which calls share an instance: shared reuses instances, per-request makes a fresh one for
    /// each request. Default shared.
    #[serde(default)]
    #[schemars(extend("default" = "shared"))]
    pub isolation: Maybe<Isolation>,
    /// Transformers: fail-closed answers 500 when the plugin fails, fail-open goes on without
    /// it. Authorizers always fail closed. Default fail-closed.
    #[serde(default)]
    #[schemars(extend("default" = "fail-closed"))]
    pub on_error: Maybe<OnError>,
    /// The names in `plugin_upstreams` that it may call.
    #[serde(default)]
    pub upstreams: Vec<Text>,
    /// Whether a component may use WASI: clocks, random numbers, and standard output and error,
    /// which go to the log. No files, no network. Default false.
    #[serde(default)]
    #[schemars(extend("default" = false))]
    pub wasi: Maybe<Flag>,
    /// Whether an authorizer gets the request's body, which is then read before it is asked.
    /// Default false.
    #[serde(default)]
    #[schemars(extend("default" = false))]
    pub body: Maybe<Flag>,
    /// proxy-wasm: environment variables.
    #[serde(default)]
    pub environment: BTreeMap<String, Text>,
    /// proxy-wasm: the name of the root context. Default: none.
    #[serde(default)]
    pub root_id: Maybe<Text>,
    /// proxy-wasm: plugins with the same id share data and queues. Default: the plugin's name.
    #[serde(default)]
    pub vm_id: Maybe<Text>,
    /// proxy-wasm: the configuration of the VM.
    #[serde(default)]
    pub vm_configuration: Maybe<Text>,
    /// What the plugin may use.
    #[serde(default)]
    pub limits: Option<PluginLimits>,
}

/// Which calls share an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    Shared,
    PerRequest,
}

/// What a failed transformer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnError {
    FailClosed,
    FailOpen,
}

/// What one plugin may use. A plugin that wants more fails; nothing else is touched.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PluginLimits {
    /// Memory of one instance, 64KiB to 4GiB. Default 64MiB.
    #[serde(default)]
    #[schemars(extend("default" = "64MiB"))]
    pub memory: Maybe<Size>,
    /// Elements of all tables of one instance, 1 to 10000000. Default 100000.
    #[serde(default)]
    #[schemars(extend("default" = 100_000))]
    pub table_elements: Maybe<Count>,
    /// Instances at the same time, 1 to 1000. Default 64.
    #[serde(default)]
    #[schemars(extend("default" = 64))]
    pub instances: Maybe<Count>,
    /// CPU time of one call, 1ms to 1m. Default 100ms.
    #[serde(default)]
    #[schemars(extend("default" = "100ms"))]
    pub cpu_time: Maybe<Interval>,
    /// Stack of one instance, 64KiB to 1MiB. Default 512KiB.
    #[serde(default)]
    #[schemars(extend("default" = "512KiB"))]
    pub stack: Maybe<Size>,
    /// How long a request waits for the plugin, its fetches included, 10ms to 5m. Default 10s.
    #[serde(default)]
    #[schemars(extend("default" = "10s"))]
    pub wait: Maybe<Interval>,
    /// Body bytes held for the plugin, 1KiB to 1GiB. Default 10MiB.
    #[serde(default)]
    #[schemars(extend("default" = "10MiB"))]
    pub body: Maybe<Size>,
    /// Keys and values of its shared data, 1KiB to 4GiB. Default 16MiB.
    #[serde(default)]
    #[schemars(extend("default" = "16MiB"))]
    pub shared_data: Maybe<Size>,
    /// Fetches and calls under way for one request, 1 to 1000. Default 16.
    #[serde(default)]
    #[schemars(extend("default" = 16))]
    pub calls: Maybe<Count>,
}

/// An upstream that plugins may call by its name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["address"]))]
pub struct PluginUpstream {
    /// HOST:PORT.
    #[serde(default)]
    pub address: Maybe<Text>,
    /// Whether it speaks TLS. Default false.
    #[serde(default)]
    #[schemars(extend("default" = false))]
    pub tls: Maybe<Flag>,
    /// http1, or http2 for HTTP/2 without asking. Over TLS, http1 also takes HTTP/2 where the
    /// upstream offers it. gRPC calls use HTTP/2 in any case. Default http1.
    #[serde(default)]
    #[schemars(extend("default" = "http1"))]
    pub protocol: Maybe<UpstreamProtocol>,
}

/// The HTTP version spoken to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UpstreamProtocol {
    Http1,
    Http2,
}

/// What a method has in addition to its definition.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Method {
    /// Plugins that change its requests and responses, in order, after those of the API and the
    /// stage.
    #[serde(default)]
    pub transformers: Vec<Text>,
    /// What all clients together may do on it, instead of the stage's throttle.
    #[serde(default)]
    pub throttle: Option<Throttle>,
}
