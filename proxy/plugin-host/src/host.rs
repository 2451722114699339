//! The plugin host: engines, compiled code, upstreams and shared data of all plugins.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::runtime::{Handle, Runtime};
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

use crate::cache::{Artifact, Cache, Key};
use crate::component::{AuthorizerPlugin, TransformerPlugin};
use crate::config::{PluginSettings, UpstreamConfig};
use crate::engine::{self, TickedEngine};
use crate::error::in_one_line;
use crate::inspect::component_of;
use crate::metrics::{AllMetrics, PluginCollector};
use crate::plugin::{Code, Compiled, PluginContext};
use crate::proxy_wasm::Filter;
use crate::shared_data::{Namespace, SharedStores};
use crate::upstreams::Upstreams;
use crate::{Inspection, LoadError, Plugin, PluginKind, PluginSource, inspect, limits};

/// What a host is started with.
#[derive(Clone, Debug, Default)]
pub struct HostConfig {
    /// Where compiled code is kept; none keeps it in memory only. Made when it is not there;
    /// one that others may write to is refused.
    pub cache_directory: Option<PathBuf>,
    pub upstreams: BTreeMap<String, UpstreamConfig>,
    /// PEM file with the certificates that TLS upstreams must be signed by, instead of those the
    /// system trusts.
    pub upstream_ca_file: Option<PathBuf>,
    /// Threads that serve requests, for the number of VMs of a proxy-wasm filter.
    pub workers: usize,
    /// Counts what plugins execute, for [`Plugin::usage`]. Their code is slower then.
    pub measure_fuel: bool,
}

/// Loads plugins and runs their background work. Cloned handles share it.
#[derive(Clone)]
pub struct PluginHost(Arc<Shared>);

/// What the plugins of a host share. They keep it alive.
pub(crate) struct Shared {
    upstreams: Arc<Upstreams>,
    workers: usize,
    measures_fuel: bool,
    metrics: Arc<AllMetrics>,
    stores: SharedStores,
    cache: Option<Cache>,
    /// The version of each plugin that was loaded last, while somebody uses it.
    loaded: Mutex<HashMap<Arc<str>, Weak<Plugin>>>,
    background: Background,
}

/// A runtime with one thread. Dropping it may happen on any thread, and does not wait.
struct Background(Option<Runtime>);

impl Background {
    fn start() -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("plugin-background")
            .enable_all()
            .build()
            .map_err(|error| format!("the plugins' background thread can't start: {error}"))?;
        Ok(Self(Some(runtime)))
    }

    fn handle(&self) -> Handle {
        self.0.as_ref().expect("taken only when dropped").handle().clone()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Dropping a runtime waits, which panics on a thread of another runtime.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl PluginHost {
    /// # Errors
    /// A cache directory that can't be trusted, an upstream address or CA file that can't be used.
    pub fn new(config: HostConfig) -> Result<Self, String> {
        let background = Background::start()?;
        let ca_file = config.upstream_ca_file.as_deref();
        let upstreams = Upstreams::new(config.upstreams, ca_file, background.handle())?;
        Ok(Self(Arc::new(Shared {
            upstreams: Arc::new(upstreams),
            workers: config.workers.max(1),
            measures_fuel: config.measure_fuel,
            metrics: Arc::default(),
            stores: SharedStores::default(),
            cache: config.cache_directory.as_deref().map(Cache::open).transpose()?,
            loaded: Mutex::default(),
            background,
        })))
    }

    /// Compiles (or finds compiled) and starts a plugin. Blocks for as long as compiling takes.
    /// Shared data, queues and metrics of a name go on from version to version. A source that is
    /// loaded already, with the same contents and settings, gives the same plugin.
    pub fn load(&self, source: &PluginSource) -> Result<Arc<Plugin>, LoadError> {
        let host = &self.0;
        let path = source.file.display().to_string();
        let unfit = |problem| LoadError::Unfit { path: path.clone(), problem };
        source.settings.check(|upstream| host.upstreams.knows(upstream)).map_err(unfit)?;

        let bytes = read(&source.file, &path)?;
        let inspection = inspect(&path, &bytes)?;
        source.check_digest(&path, &inspection.sha256)?;
        if let Some(loaded) = host.loaded(source, &inspection.sha256) {
            return Ok(loaded);
        }

        let is_component = !matches!(inspection.kind, PluginKind::ProxyWasm(_));
        let context =
            host.context(&source.name, source.settings.clone(), is_component).map_err(unfit)?;
        let compiled = host.compiled(&context.engine, &path, &bytes, &inspection)?;
        let start = |error| LoadError::Start(error, path.clone());
        let code = match (&compiled, inspection.kind) {
            (Compiled::Component(component), PluginKind::Authorizer) => {
                Code::Authorizer(AuthorizerPlugin::new(context.clone(), component).map_err(start)?)
            }
            (Compiled::Component(component), _) => Code::Transformer(
                TransformerPlugin::new(context.clone(), component).map_err(start)?,
            ),
            (Compiled::Module(module, abi), _) => {
                Code::ProxyWasm(Filter::new(context.clone(), module, *abi).map_err(start)?)
            }
        };
        let plugin = Arc::new(Plugin { context, code, compiled, sha256: inspection.sha256 });
        host.loaded.lock().insert(plugin.context.name.clone(), Arc::downgrade(&plugin));
        Ok(plugin)
    }

    /// The metrics of all plugins.
    pub fn collector(&self) -> Box<dyn prometheus::core::Collector> {
        Box::new(PluginCollector::new(self.0.metrics.clone()))
    }
}

/// The bytes of a plugin's file.
fn read(file: &Path, path: &str) -> Result<Vec<u8>, LoadError> {
    let unreadable = |reason: String| LoadError::Read { path: path.to_owned(), reason };
    let too_large =
        |size| LoadError::TooLarge { path: path.to_owned(), size, maximum: limits::FILE };
    let metadata = std::fs::metadata(file).map_err(|error| unreadable(error.to_string()))?;
    if !metadata.is_file() {
        return Err(unreadable("it is no regular file".to_owned()));
    }
    if metadata.len() > limits::FILE {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // It may be growing.
    File::open(file)
        .and_then(|file| file.take(limits::FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() as u64 > limits::FILE {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}

fn compile<A>(path: &str, compile: impl FnOnce() -> wasmtime::Result<A>) -> Result<A, LoadError> {
    compile().map_err(|error| LoadError::Unfit {
        path: path.to_owned(),
        problem: format!("can't be compiled: {}", in_one_line(&format_args!("{error:#}"))),
    })
}

impl PluginSource {
    fn check_digest(&self, path: &str, found: &str) -> Result<(), LoadError> {
        match &self.sha256 {
            Some(expected) if !expected.eq_ignore_ascii_case(found) => Err(LoadError::Digest {
                path: path.to_owned(),
                expected: expected.clone(),
                found: found.to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

impl Shared {
    /// The loaded version of a plugin, if it is this one.
    fn loaded(&self, source: &PluginSource, sha256: &str) -> Option<Arc<Plugin>> {
        let plugin = self.loaded.lock().get(&*source.name)?.upgrade()?;
        let is_same = plugin.sha256 == sha256 && plugin.context.settings == source.settings;
        is_same.then_some(plugin)
    }

    /// Code for this engine: another plugin's of the same file, or from disk, or compiled now.
    fn compiled(
        &self,
        engine: &Arc<TickedEngine>,
        path: &str,
        bytes: &[u8],
        inspection: &Inspection,
    ) -> Result<Compiled, LoadError> {
        let same = {
            let mut loaded = self.loaded.lock();
            loaded.retain(|_, plugin| plugin.strong_count() > 0);
            loaded.values().filter_map(Weak::upgrade).find(|plugin| {
                plugin.sha256 == inspection.sha256 && Arc::ptr_eq(&plugin.context.engine, engine)
            })
        };
        if let Some(same) = same {
            return Ok(same.compiled.clone());
        }
        let sha256 = &inspection.sha256;
        let code = match inspection.kind {
            PluginKind::ProxyWasm(abi) => {
                let compile = || compile(path, || Module::from_binary(engine, bytes));
                Compiled::Module(self.kept_or(engine, sha256, compile)?, abi)
            }
            PluginKind::Authorizer | PluginKind::Transformer => {
                let compile = || {
                    let component = match inspection.is_core_module {
                        true => Cow::Owned(component_of(path, bytes, inspection)?),
                        false => Cow::Borrowed(bytes),
                    };
                    compile(path, || Component::from_binary(engine, &component))
                };
                Compiled::Component(self.kept_or(engine, sha256, compile)?)
            }
        };
        Ok(code)
    }

    fn kept_or<A: Artifact>(
        &self,
        engine: &Engine,
        sha256: &str,
        compile: impl FnOnce() -> Result<A, LoadError>,
    ) -> Result<A, LoadError> {
        let Some(cache) = &self.cache else { return compile() };
        let key = Key::new::<A>(engine, sha256);
        if let Some(code) = cache.load(engine, &key) {
            return Ok(code);
        }
        let code = compile()?;
        cache.store(&key, &code);
        Ok(code)
    }

    /// What the instances of a version of a plugin share. `is_component` says whose data it uses.
    pub(crate) fn context(
        self: &Arc<Self>,
        name: &str,
        settings: PluginSettings,
        is_component: bool,
    ) -> Result<Arc<PluginContext>, String> {
        let name: Arc<str> = name.into();
        let namespace = match &settings.vm_id {
            _ if is_component => Namespace::Component((&*name).into()),
            Some(vm_id) => Namespace::VmId(vm_id.as_str().into()),
            None => Namespace::VmId((&*name).into()),
        };
        Ok(Arc::new(PluginContext {
            engine: engine::for_stack(settings.limits.stack, self.measures_fuel)?,
            metrics: self.metrics.of(&name),
            shared_data: self.stores.of(namespace, settings.limits.shared_data),
            upstreams: self.upstreams.clone(),
            background: self.background.handle(),
            workers: self.workers,
            _host: self.clone(),
            name,
            settings,
        }))
    }
}

#[cfg(test)]
impl PluginContext {
    /// A context in a host of its own, without upstreams, for tests of what runs in it.
    pub(crate) fn for_test(name: &str, settings: PluginSettings) -> Arc<Self> {
        let config = HostConfig { workers: 2, ..HostConfig::default() };
        let host = PluginHost::new(config).expect("nothing in it can be wrong");
        host.0.context(name, settings, false).expect("there is room for an engine")
    }
}

#[cfg(test)]
mod tests;
