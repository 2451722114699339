//! From what there is to serve to the next snapshot.
//!
//! ```text
//!  Routes (everything) ─┐
//!  Update (what changed)┴▶ Publisher ──▶ Snapshot ──▶ workers
//!                             │  what was served before
//!                             └────────▶ Retired: freed once nobody holds it
//! ```
//!
//! A change costs what the stages it names cost, and a map of all hosts. Neither keys nor methods of
//! other stages are looked at; those of stages it doesn't name are shared with the snapshot before.
//! Runs where the control plane does: it may take milliseconds.

mod retired;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use tollgate_model::api::ApiId;
use tollgate_model::compile::CompiledStage;
use tollgate_model::compile::hosts::{
    BasePathMapping as HostMapping, ConfiguredTwice, CustomDomain, Domains, Hosts,
};

use self::retired::Reaper;
use crate::core::Core;
use crate::server::StartError;
use crate::snapshot::{PercentTraffic, Plugins, Release, Snapshot, StageRuntime};
use crate::usage::{LedgerError, Linked, StageThrottles, UsageSettings};

/// Everything to serve, as given to [`crate::Gateway::publish`].
#[derive(Default)]
pub struct Routes {
    pub stages: Vec<RouteStage>,
    pub addresses: Addresses,
    /// What stages call by name. A method whose plugin is not among them answers 500.
    pub plugins: Plugins,
    /// API keys, usage plans and the account's throttle.
    pub usage: UsageSettings,
}

/// A change of what is served, as given to [`crate::Gateway::update`]. What it doesn't name stays
/// as it is.
#[derive(Default)]
pub struct Update {
    /// Served from now on, instead of what has the same API and name.
    pub stages: Vec<RouteStage>,
    /// Served no longer, unless they are among `stages`. Those that aren't served don't matter.
    pub removed: Vec<(ApiId, String)>,
    pub addresses: Option<Addresses>,
    pub plugins: Option<Plugins>,
    pub usage: Option<UsageSettings>,
}

/// A stage to serve.
pub struct RouteStage {
    pub compiled: CompiledStage,
    /// Its method settings. They hold for the stage's canary too.
    pub throttles: StageThrottles,
    pub canary: Option<Canary>,
}

/// Another deployment of a stage, for some of its requests. It shares the stage's throttles, usage
/// plans and quotas.
pub struct Canary {
    pub percent_traffic: PercentTraffic,
    /// Of the same API and stage, with the stage variables that it sees.
    pub compiled: CompiledStage,
}

/// How hosts and paths lead to stages. One that is not served answers 403 where an address names
/// it, until it is.
#[derive(Default)]
pub struct Addresses {
    /// The stage served, without a stage segment, where nothing else matches.
    pub fallback: Option<(ApiId, String)>,
    pub domains: Vec<DomainName>,
    /// `{api_id}.execute-api.{region}.{host_suffix}` is an API's default endpoint.
    pub host_suffix: String,
    /// Serve `/_aws/execute-api/{api_id}/{stage}/…`.
    pub development_paths: bool,
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

/// Why something can't be served.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error(transparent)]
    ConfiguredTwice(#[from] ConfiguredTwice),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// What is served, as the next change finds it.
pub(crate) struct Publisher {
    core: Arc<Core>,
    served: BTreeMap<(ApiId, String), Served>,
    plugins: Plugins,
    usage: Linked,
    located: Located,
    reaper: Reaper,
}

/// A stage that is served.
struct Served {
    runtime: Arc<StageRuntime>,
    throttles: StageThrottles,
}

/// [`Addresses`] whose domains are checked.
#[derive(Default)]
struct Located {
    fallback: Option<(ApiId, String)>,
    domains: Arc<Domains>,
    host_suffix: String,
    development_paths: bool,
}

impl RouteStage {
    /// Without throttles and canary.
    pub fn new(compiled: CompiledStage) -> Self {
        Self { compiled, throttles: StageThrottles::default(), canary: None }
    }

    fn id(&self) -> (ApiId, String) {
        (self.compiled.api_id.clone(), self.compiled.stage_name.clone())
    }
}

impl Publisher {
    /// Serves nothing yet.
    pub fn new(core: Arc<Core>) -> Result<Self, StartError> {
        Ok(Self {
            usage: core.usage.link(UsageSettings::default())?,
            reaper: Reaper::start(core.clone()).map_err(StartError::Reaper)?,
            core,
            served: BTreeMap::new(),
            plugins: Plugins::new(),
            located: Located::default(),
        })
    }

    /// Serves `routes` and nothing else.
    pub fn publish(&mut self, routes: Routes) -> Result<(), PublishError> {
        self.update(Update {
            stages: routes.stages,
            removed: self.served.keys().cloned().collect(),
            addresses: Some(routes.addresses),
            plugins: Some(routes.plugins),
            usage: Some(routes.usage),
        })
    }

    /// On an error everything stays as it was.
    pub fn update(&mut self, update: Update) -> Result<(), PublishError> {
        check_once_each(&update.stages)?;
        let located = update.addresses.map(Located::new).transpose()?;
        let usage = update.usage.map(|usage| self.core.usage.link(usage)).transpose()?;
        // Nothing fails from here on.
        let (new_usage, new_plugins) = (usage.is_some(), update.plugins.is_some());
        self.located = located.unwrap_or_else(|| std::mem::take(&mut self.located));
        self.plugins = update.plugins.unwrap_or_else(|| std::mem::take(&mut self.plugins));
        let old_usage = usage.map(|usage| std::mem::replace(&mut self.usage, usage));
        let (mut retired, mut new) = (Vec::new(), Vec::new());
        for id in &update.removed {
            retired.extend(self.served.remove(id).map(|served| served.runtime));
        }
        for stage in update.stages {
            let id = stage.id();
            retired.extend(self.served.remove(&id).map(|served| served.runtime));
            new.push((id, self.serve(stage)));
        }
        if new_usage || new_plugins {
            retired.extend(self.renew(new_plugins));
        }
        self.served.extend(new);
        let before = self.core.snapshot.swap(Arc::new(self.snapshot()));
        self.reaper.retire(before, retired, old_usage);
        Ok(())
    }

    /// Makes a stage's runtimes.
    fn serve(&self, stage: RouteStage) -> Served {
        let throttles = stage.throttles;
        let release = match stage.canary {
            None => Release::Sole,
            Some(Canary { percent_traffic, compiled }) => Release::Base {
                percent_traffic,
                canary: self.runtime(compiled, Release::Canary, &throttles),
            },
        };
        Served { runtime: self.runtime(stage.compiled, release, &throttles), throttles }
    }

    fn runtime(
        &self,
        compiled: CompiledStage,
        release: Release,
        throttles: &StageThrottles,
    ) -> Arc<StageRuntime> {
        let core = &self.core;
        let upstreams = compiled.upstreams.iter().map(|target| core.upstreams.intern(target));
        let upstreams = upstreams.collect();
        let limits = core.usage.stage(&self.usage, &compiled, throttles);
        let mut runtime =
            StageRuntime::new(compiled, release, &core.metrics, upstreams, &self.plugins);
        runtime.limits = limits;
        Arc::new(runtime)
    }

    /// Gives every stage the limits and, if they are new, the plugins of now. Returns what the
    /// stages had before.
    fn renew(&mut self, new_plugins: bool) -> Vec<Arc<StageRuntime>> {
        let plugins = new_plugins.then_some(&self.plugins);
        let (registry, usage) = (&self.core.usage, &self.usage);
        let renew = |served: &mut Served| {
            let renewed = |old: &StageRuntime, release| {
                let limits = registry.stage(usage, &old.compiled, &served.throttles);
                Arc::new(old.renewed(release, limits, plugins))
            };
            let release = match &served.runtime.release {
                Release::Base { percent_traffic, canary } => Release::Base {
                    percent_traffic: *percent_traffic,
                    canary: renewed(canary, Release::Canary),
                },
                Release::Sole | Release::Canary => Release::Sole,
            };
            let runtime = renewed(&served.runtime, release);
            std::mem::replace(&mut served.runtime, runtime)
        };
        self.served.values_mut().map(renew).collect()
    }

    fn snapshot(&self) -> Snapshot {
        let located = &self.located;
        let mut hosts = Hosts::new(located.domains.clone());
        // An API's stages share its default endpoint: the first path segment tells them apart.
        let mut endpoint_of = None;
        for ((api_id, stage), Served { runtime, .. }) in &self.served {
            let compiled = &runtime.compiled;
            if !compiled.disable_execute_api_endpoint && endpoint_of != Some(api_id) {
                let (region, suffix) = (&compiled.region, &located.host_suffix);
                let mut host = format!("{api_id}.execute-api.{region}.{suffix}");
                host.make_ascii_lowercase();
                hosts = hosts.default_endpoint(&host, &api_id.0);
                endpoint_of = Some(api_id);
            }
            hosts = hosts.stage(&api_id.0, stage, runtime.clone());
        }
        if located.development_paths {
            hosts = hosts.development_paths();
        }
        if let Some((api_id, stage)) = &located.fallback {
            hosts = hosts.fallback(&api_id.0, stage);
        }
        Snapshot { hosts }
    }

    /// What stages call by name now.
    pub fn plugins(&self) -> Plugins {
        self.plugins.clone()
    }

    /// Forgets what the authorizers of a stage, and of its canary, have decided. Nothing happens
    /// if it isn't served.
    pub fn forget_decisions(&self, api_id: &ApiId, stage: &str) {
        let Some(served) = self.served.get(&(api_id.clone(), stage.to_owned())) else { return };
        let runtimes = [Some(&served.runtime), served.runtime.canary()];
        for authorizer in runtimes.into_iter().flatten().flat_map(|it| &*it.authorizers) {
            authorizer.forget_decisions();
        }
    }
}

impl Located {
    fn new(addresses: Addresses) -> Result<Self, ConfiguredTwice> {
        let Addresses { fallback, domains, host_suffix, development_paths } = addresses;
        let domains = domains.into_iter().map(custom_domain).collect();
        let domains = Arc::new(Domains::new(domains)?);
        Ok(Self { fallback, domains, host_suffix, development_paths })
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

fn check_once_each(stages: &[RouteStage]) -> Result<(), ConfiguredTwice> {
    let mut seen = HashSet::new();
    for CompiledStage { api_id, stage_name, .. } in stages.iter().map(|stage| &stage.compiled) {
        if !seen.insert((api_id, stage_name)) {
            return Err(ConfiguredTwice(format!("API {api_id}, stage {stage_name}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
