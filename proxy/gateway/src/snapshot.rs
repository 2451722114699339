//! What the data plane serves at one moment: every stage, and how hosts and paths lead to it.
//!
//! A snapshot never changes. A request holds the stage it started with until it is answered,
//! so a new snapshot disturbs none that is under way.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use tollgate_model::api::ApiId;
use tollgate_model::compile::hosts::{BasePathMapping as HostMapping, CustomDomain, HostsError};
use tollgate_model::compile::{CompiledMethod, CompiledStage, hosts::Hosts};
use tollgate_plugin_host::PluginSlot;

use crate::metrics::{Metrics, StageMetrics};
use crate::phases::authorize::AuthorizerRuntime;
use crate::upstream::{Upstream, Upstreams};
use crate::usage::{
    ApiKeyId, ApiKeyPlace, LedgerError, Registry, StageLimits, StageThrottles, UsageSettings,
};

/// Everything to serve, as given to [`crate::Gateway::publish`].
#[derive(Default)]
pub struct Routes {
    pub stages: Vec<CompiledStage>,
    /// The stage served, without a stage segment, where nothing else matches.
    pub fallback: Option<(ApiId, String)>,
    pub domains: Vec<DomainName>,
    /// `{api_id}.execute-api.{region}.{host_suffix}` is an API's default endpoint.
    pub host_suffix: String,
    /// Serve `/_aws/execute-api/{api_id}/{stage}/…`.
    pub development_paths: bool,
    /// What stages call by name. A method whose plugin is not among them answers 500.
    pub plugins: BTreeMap<String, PluginSlot>,
    /// API keys, usage plans and the account's throttle.
    pub usage: UsageSettings,
    /// By API and stage: their method settings.
    pub throttles: HashMap<(ApiId, String), StageThrottles>,
}

/// Why routes can't be served.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error(transparent)]
    Hosts(#[from] HostsError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// A custom domain name and its base path mappings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainName {
    /// Lower case; `*.example.com` is a wildcard.
    pub name: String,
    pub mappings: Vec<BasePathMapping>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasePathMapping {
    /// `None` is `(none)`, the catch-all.
    pub base_path: Option<String>,
    pub api_id: ApiId,
    /// `None`: the next path segment is the stage.
    pub stage: Option<String>,
}

/// An immutable set of stages with their addresses.
pub struct Snapshot {
    pub hosts: Hosts<Arc<StageRuntime>>,
}

/// A compiled stage with its handles into the running gateway.
pub struct StageRuntime {
    pub compiled: CompiledStage,
    pub metrics: StageMetrics,
    /// In the order of [`CompiledStage::upstreams`].
    pub upstreams: Vec<Arc<Upstream>>,
    /// In the order of [`CompiledStage::authorizers`].
    pub authorizers: Vec<AuthorizerRuntime>,
    /// Who may call how often.
    pub limits: StageLimits,
    /// In the order of [`CompiledStage::methods`]; empty if none has any.
    transformers: Vec<AttachedTransformers>,
}

/// The transformers of a method.
#[derive(Clone)]
pub enum AttachedTransformers {
    None,
    /// In order; shared by the methods that have the same ones.
    All(Arc<[PluginSlot]>),
    /// This one is named and not there.
    Missing(Box<str>),
}

impl StageRuntime {
    /// `upstreams` are those of `compiled`, in order. Nothing is limited.
    pub fn new(
        compiled: CompiledStage,
        metrics: &Metrics,
        upstreams: Vec<Arc<Upstream>>,
        plugins: &BTreeMap<String, PluginSlot>,
    ) -> Self {
        Self {
            metrics: metrics.stage(&compiled.api_name, &compiled.stage_name),
            upstreams,
            authorizers: compiled
                .authorizers
                .iter()
                .map(|authorizer| AuthorizerRuntime::new(authorizer, plugins))
                .collect(),
            transformers: transformers(&compiled, plugins),
            limits: StageLimits::none(),
            compiled,
        }
    }

    /// Value and id of an API key that was found on this stage.
    pub fn api_key(&self, place: ApiKeyPlace) -> Option<(&str, ApiKeyId)> {
        let subscribers = self.limits.subscribers();
        Some((subscribers.value(place)?, subscribers.id(place)?))
    }

    pub fn method(&self, index: usize) -> &CompiledMethod {
        &self.compiled.methods[index]
    }

    /// The transformers of the method with this index.
    pub fn transformers(&self, method: usize) -> &AttachedTransformers {
        self.transformers.get(method).unwrap_or(&AttachedTransformers::None)
    }
}

fn transformers(
    stage: &CompiledStage,
    plugins: &BTreeMap<String, PluginSlot>,
) -> Vec<AttachedTransformers> {
    if stage.methods.iter().all(|method| method.transformers.is_empty()) {
        return Vec::new();
    }
    let mut known: HashMap<&[String], AttachedTransformers> = HashMap::new();
    let attached = stage.methods.iter().map(|method| {
        let names = &*method.transformers;
        known.entry(names).or_insert_with(|| attach(names, plugins)).clone()
    });
    attached.collect()
}

fn attach(names: &[String], plugins: &BTreeMap<String, PluginSlot>) -> AttachedTransformers {
    if names.is_empty() {
        return AttachedTransformers::None;
    }
    let slots = names.iter().map(|name| plugins.get(name).cloned().ok_or(name));
    match slots.collect() {
        Ok(slots) => AttachedTransformers::All(slots),
        Err(missing) => AttachedTransformers::Missing(missing.as_str().into()),
    }
}

impl Snapshot {
    pub fn empty() -> Self {
        let hosts = Hosts::builder().build();
        Self { hosts: hosts.expect("no addresses can't be in each other's way") }
    }

    pub fn new(
        routes: Routes,
        metrics: &Metrics,
        upstreams: &Upstreams,
        usage: &Registry,
    ) -> Result<Self, PublishError> {
        let linked = usage.link(routes.usage)?;
        let mut hosts = Hosts::builder();
        // An API's stages share its default endpoint: the first path segment tells them apart.
        let mut endpoints = HashSet::new();
        for compiled in routes.stages {
            let (api_id, stage) = (compiled.api_id.0.clone(), compiled.stage_name.clone());
            if !compiled.disable_execute_api_endpoint && endpoints.insert(api_id.clone()) {
                let region = &compiled.region;
                let host = format!("{api_id}.execute-api.{region}.{}", routes.host_suffix);
                hosts = hosts.default_endpoint(&host.to_ascii_lowercase(), &api_id);
            }
            let interned =
                compiled.upstreams.iter().map(|target| upstreams.intern(target)).collect();
            let limits = {
                let throttles = routes.throttles.get(&(compiled.api_id.clone(), stage.clone()));
                usage.stage(&linked, &compiled, throttles.unwrap_or(&StageThrottles::default()))
            };
            let mut runtime = StageRuntime::new(compiled, metrics, interned, &routes.plugins);
            runtime.limits = limits;
            hosts = hosts.stage(&api_id, &stage, Arc::new(runtime));
        }
        for domain in routes.domains {
            hosts = hosts.domain(custom_domain(domain));
        }
        if routes.development_paths {
            hosts = hosts.development_paths();
        }
        if let Some((api_id, stage)) = &routes.fallback {
            hosts = hosts.fallback(&api_id.0, stage);
        }
        Ok(Self { hosts: hosts.build()? })
    }
}

fn custom_domain(domain: DomainName) -> CustomDomain {
    let mappings = domain.mappings.into_iter().map(|mapping| HostMapping {
        base_path: mapping.base_path,
        api_id: mapping.api_id.0,
        stage: mapping.stage,
    });
    CustomDomain { name: domain.name, mappings: mappings.collect() }
}
