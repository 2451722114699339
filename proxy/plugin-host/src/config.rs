//! How a plugin is run: what its operator may set, with defaults.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::limits;

/// Settings of one plugin. [`Default`] gives no configuration and the defaults of [`crate::limits`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginSettings {
    /// What the plugin reads as its configuration.
    pub configuration: Vec<u8>,
    pub isolation: Isolation,
    /// What becomes of an exchange when a transformer fails. Authorizers always fail closed.
    pub on_error: OnError,
    pub limits: PluginLimits,
    /// Names of upstreams that it may call; they are defined for the whole host.
    pub upstreams: BTreeSet<String>,
    /// Lets a component use WASI: clocks, random numbers, standard output and error to the log,
    /// an empty environment; no files, no sockets.
    pub wasi: bool,
    /// Environment variables of a proxy-wasm module.
    pub environment: Vec<(String, String)>,
    /// proxy-wasm: name of the root context (`plugin_root_id`).
    pub root_id: String,
    /// proxy-wasm: plugins with the same id share data and queues. Default: the plugin's name.
    pub vm_id: Option<String>,
    /// proxy-wasm: the VM configuration.
    pub vm_configuration: Vec<u8>,
    /// Whether an authorizer gets the request's body.
    pub body: bool,
}

impl PluginSettings {
    /// # Errors
    /// A limit out of range, or an upstream that `is_upstream` doesn't know.
    pub(crate) fn check(&self, is_upstream: impl Fn(&str) -> bool) -> Result<(), String> {
        if let Some(unknown) = self.upstreams.iter().find(|name| !is_upstream(name)) {
            return Err(format!("may call upstream {unknown}, which is not defined"));
        }
        self.limits.check()
    }
}

/// Which calls share an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Instances are kept and reused, one call at a time (proxy-wasm: one VM for each worker
    /// that needs one, with its streams interleaved).
    #[default]
    Shared,
    /// Each exchange gets a fresh instance.
    PerRequest,
}

/// What a failed transformer means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The client gets 500.
    #[default]
    FailClosed,
    /// The exchange goes on without the plugin.
    FailOpen,
}

/// What one plugin may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginLimits {
    /// Linear memory of one instance, in bytes; up to 4 GiB.
    pub memory: usize,
    /// Elements of all tables of one instance; up to a million.
    pub table_elements: usize,
    /// Instances at the same time; 1 to 1,000.
    pub instances: usize,
    /// CPU time of one call of the plugin; 1 ms to 60 s, in steps of 1 ms.
    pub cpu_time: Duration,
    /// Stack of one instance, in bytes; 64 KiB to 1 MiB, in steps of 64 KiB.
    pub stack: usize,
    /// How long an exchange waits for the plugin in all: for fetches, for a paused stream to be
    /// resumed, for a free instance.
    pub wait: Duration,
    /// Body bytes held for the plugin.
    pub body: usize,
    /// Bytes of keys and values in its shared data.
    pub shared_data: usize,
    /// Fetches and calls under way for one exchange.
    pub calls: usize,
}

impl Default for PluginLimits {
    fn default() -> Self {
        Self {
            memory: limits::MEMORY,
            table_elements: limits::TABLE_ELEMENTS,
            instances: limits::INSTANCES,
            cpu_time: limits::CPU_TIME,
            stack: limits::STACK,
            wait: limits::WAIT,
            body: limits::BODY,
            shared_data: limits::SHARED_DATA,
            calls: limits::CALLS,
        }
    }
}

impl PluginLimits {
    fn check(&self) -> Result<(), String> {
        let ranges = [
            ("memory", self.memory, 0..=limits::MEMORY_MAXIMUM),
            ("table elements", self.table_elements, 0..=limits::TABLE_ELEMENTS_MAXIMUM),
            ("instances", self.instances, 1..=limits::INSTANCES_MAXIMUM),
            ("stack", self.stack, limits::STACK_MINIMUM..=limits::STACK_MAXIMUM),
        ];
        for (name, value, allowed) in ranges {
            if !allowed.contains(&value) {
                let (from, to) = allowed.into_inner();
                return Err(format!("its limit of {name} is {value}; allowed: {from} to {to}"));
            }
        }
        if !(limits::CPU_TIME_MINIMUM..=limits::CPU_TIME_MAXIMUM).contains(&self.cpu_time) {
            return Err(format!(
                "its limit of CPU time is {:?}; allowed: {:?} to {:?}",
                self.cpu_time,
                limits::CPU_TIME_MINIMUM,
                limits::CPU_TIME_MAXIMUM
            ));
        }
        Ok(())
    }
}

/// An upstream that plugins may call by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// `host:port`.
    pub address: String,
    pub tls: bool,
    pub protocol: UpstreamProtocol,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpstreamProtocol {
    /// HTTP/1.1; over TLS what ALPN agrees on. gRPC calls use HTTP/2 in any case.
    #[default]
    Http1,
    /// HTTP/2 always, without TLS with prior knowledge.
    Http2,
}
