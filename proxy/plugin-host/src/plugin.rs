//! A loaded plugin, and the slot that holds the version in use.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use wasmtime::Module;
use wasmtime::component::Component;

use crate::component::{AuthorizerPlugin, TransformerPlugin};
use crate::config::PluginSettings;
use crate::engine::TickedEngine;
use crate::host::Shared;
use crate::metrics::PluginMetrics;
use crate::proxy_wasm::Filter;
use crate::shared_data::SharedData;
use crate::upstreams::Upstreams;
use crate::{Abi, ErrorKind, Http, PluginError, PluginKind, Reply, trap};

/// Where a plugin comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginSource {
    /// Its name in definitions, logs and metrics.
    pub name: String,
    /// A `.wasm` file.
    pub file: PathBuf,
    /// Lower-case hex; a file with another digest is refused.
    pub sha256: Option<String>,
    pub settings: PluginSettings,
}

/// One version of a plugin. Never changes; exchanges hold the one they started with.
pub struct Plugin {
    pub(crate) context: Arc<PluginContext>,
    pub(crate) code: Code,
    /// For other plugins of the same file.
    pub(crate) compiled: Compiled,
    /// Of the file.
    pub sha256: String,
}

pub(crate) enum Code {
    Authorizer(AuthorizerPlugin),
    Transformer(TransformerPlugin),
    ProxyWasm(Filter),
}

/// Compiled code. Clones share it.
#[derive(Clone)]
pub(crate) enum Compiled {
    Component(Component),
    Module(Module, Abi),
}

/// What all instances of one version share.
pub(crate) struct PluginContext {
    pub name: Arc<str>,
    pub settings: PluginSettings,
    pub engine: Arc<TickedEngine>,
    pub metrics: Arc<PluginMetrics>,
    /// Of the plugin (components) or of its VM id (proxy-wasm); outlives versions.
    pub shared_data: Arc<SharedData>,
    pub upstreams: Arc<Upstreams>,
    /// Runs what belongs to no exchange: ticks, queues' callbacks, calls of root contexts. One
    /// thread for all plugins of the host, so nothing on it may block.
    pub background: Handle,
    /// Threads that serve requests.
    pub workers: usize,
    /// Keeps the background thread alive.
    pub _host: Arc<Shared>,
}

/// One question to an authorizer.
pub struct AuthorizerCall {
    /// With the request's headers filled in.
    pub http: Arc<Http>,
    /// Only where [`PluginSettings::body`] asks for it.
    pub body: Option<Vec<u8>>,
}

/// What an authorizer says.
#[derive(Clone, Debug, PartialEq)]
pub enum AuthorizerDecision {
    Allow {
        principal_id: String,
        /// JSON; none allows the method.
        policy: Option<String>,
        context: Vec<(String, ContextValue)>,
        usage_identifier_key: Option<String>,
        /// Edits of the request's headers, to be made again when the decision is reused.
        headers: Vec<HeaderEdit>,
        time_to_live: Option<Duration>,
    },
    Deny(Option<Reply>),
    Unauthorized,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ContextValue {
    Text(String),
    Number(f64),
    Boolean(bool),
}

/// One change of a header list; names and values were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderEdit {
    Set(Box<str>, Box<str>),
    Append(Box<str>, Box<str>),
    Remove(Box<str>),
}

impl Plugin {
    pub fn name(&self) -> &str {
        &self.context.name
    }

    pub fn kind(&self) -> PluginKind {
        match &self.code {
            Code::Authorizer(_) => PluginKind::Authorizer,
            Code::Transformer(_) => PluginKind::Transformer,
            Code::ProxyWasm(filter) => PluginKind::ProxyWasm(filter.abi()),
        }
    }

    /// Has the metrics name this version as the one in use.
    fn say_version(&self) {
        self.context.metrics.set_version(self.kind(), &self.sha256);
    }

    /// What the plugin has used, over all its versions and instances.
    pub fn usage(&self) -> Usage {
        let metrics = &self.context.metrics;
        Usage { fuel: metrics.used_fuel(), memory: metrics.memory().max(0) as u64 }
    }

    pub fn settings(&self) -> &PluginSettings {
        &self.context.settings
    }

    /// Counts a decision that was found in the cache, or one that was not and is asked for.
    pub fn count_decision_cache(&self, is_hit: bool) {
        self.context.metrics.decision_cache(is_hit);
    }

    /// Asks an authorizer. Counted, timed and, when it fails, logged.
    pub async fn authorize(&self, call: AuthorizerCall) -> Result<AuthorizerDecision, PluginError> {
        match &self.code {
            Code::Authorizer(authorizer) => authorizer.authorize(call).await,
            Code::Transformer(_) | Code::ProxyWasm(_) => Err(unfit(&self.context, "authorizer")),
        }
    }
}

/// A plugin is called for what it isn't: its file was replaced by one of another kind. Counted
/// and logged.
pub(crate) fn unfit(context: &Arc<PluginContext>, wanted: &str) -> PluginError {
    let message = format!("is no {wanted}: its world is another");
    let error = PluginError::new(&context.name, ErrorKind::Start, message);
    trap::report(context, &error);
    error
}

/// What a plugin has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// About one for each WebAssembly instruction, where [`crate::HostConfig::measure_fuel`] asks
    /// for it; 0 elsewhere.
    pub fuel: u64,
    /// Bytes of linear memory of the instances that there are now.
    pub memory: u64,
}

/// The version of a plugin in use. Cloned handles share it.
#[derive(Clone)]
pub struct PluginSlot(Arc<ArcSwap<Plugin>>);

impl PluginSlot {
    pub fn new(plugin: Arc<Plugin>) -> Self {
        plugin.say_version();
        Self(Arc::new(ArcSwap::new(plugin)))
    }

    /// The version in use now. An exchange asks once.
    pub fn current(&self) -> Arc<Plugin> {
        self.0.load_full()
    }

    /// The same for as long as the guard is held, which is to be short, and cheaper.
    pub fn peek(&self) -> impl Deref<Target = Arc<Plugin>> {
        self.0.load()
    }

    /// Exchanges that begin from now on use `plugin`.
    pub fn replace(&self, plugin: Arc<Plugin>) {
        plugin.say_version();
        self.0.store(plugin);
    }
}
