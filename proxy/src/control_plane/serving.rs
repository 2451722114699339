//! What is served: what files say and what the store says, side by side.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use tollgate_gateway::usage::{ApiKey, InvalidUsage, UsagePlan, UsageSettings};
use tollgate_gateway::{Addresses, DomainName, Gateway, PublishError, RouteStage, Routes, Update};
use tollgate_model::api::ApiId;

use super::usage::StoreUsage;
use crate::plugins::Kinds;

/// A stage by API and name.
pub type StageId = (ApiId, String);

/// A gateway with two sources of routes.
pub struct Serving {
    gateway: Gateway,
    /// One change at a time, from whichever source.
    sources: Mutex<Sources>,
}

#[derive(Default)]
struct Sources {
    files: Files,
    store: Stored,
}

/// What files say, beside the stages themselves.
#[derive(Default)]
struct Files {
    stages: BTreeSet<StageId>,
    addresses: AddressesOfFiles,
    usage: UsageSettings,
    plugin_kinds: Kinds,
}

#[derive(Clone, Default)]
struct AddressesOfFiles {
    fallback: Option<StageId>,
    domains: Vec<DomainName>,
    host_suffix: String,
    development_paths: bool,
}

/// What the store says, likewise.
#[derive(Default)]
struct Stored {
    stages: BTreeSet<StageId>,
    domains: Vec<DomainName>,
    plans: Vec<UsagePlan>,
    keys: Vec<ApiKey>,
}

/// All that files say.
pub struct FileRoutes {
    pub routes: Routes,
    /// What the plugins among the routes are.
    pub plugin_kinds: Kinds,
}

/// A change of what the store says. What is `None` stays.
#[derive(Default)]
pub struct StoreChange {
    pub stages: BTreeMap<StageId, Option<RouteStage>>,
    pub domains: Option<Vec<DomainName>>,
    pub usage: Option<StoreUsage>,
}

impl Serving {
    pub fn new(gateway: Gateway) -> Self {
        Self { gateway, sources: Mutex::default() }
    }

    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// What the plugins of the files are.
    pub fn plugin_kinds(&self) -> Kinds {
        self.sources.lock().files.plugin_kinds.clone()
    }

    /// The stages that the store has and that are served.
    pub fn stages_of_store(&self) -> BTreeSet<StageId> {
        self.sources.lock().store.stages.clone()
    }

    /// Serves what files say now, in place of what they said before. On an error nothing changes.
    pub fn publish_files(&self, files: FileRoutes) -> Result<(), PublishError> {
        let mut sources = self.sources.lock();
        let FileRoutes { routes, plugin_kinds } = files;
        let Routes { stages, addresses, plugins, usage } = routes;
        let new = Files {
            stages: stages.iter().map(id).collect(),
            addresses: AddressesOfFiles::of(&addresses),
            usage,
            plugin_kinds,
        };
        let removed = sources.files.stages.difference(&new.stages);
        // A stage that the store has, too, is the files' while they have it.
        let removed = removed.cloned().collect();
        let merged = merged(&new.usage, &sources.store);
        self.gateway.update(Update {
            stages,
            removed,
            addresses: Some(new.addresses.with(&sources.store.domains)),
            plugins: Some(plugins),
            usage: Some(merged.unwrap_or_else(|error| {
                tracing::error!("API keys and usage plans of the store are not served: {error}");
                new.usage.clone()
            })),
        })?;
        sources.files = new;
        Ok(())
    }

    /// Serves what the store says now.
    pub fn publish_store(&self, change: StoreChange) -> Result<(), PublishError> {
        let mut sources = self.sources.lock();
        let sources = &mut *sources;
        let mut update = Update::default();
        for (id, stage) in change.stages {
            if sources.files.stages.contains(&id) {
                tracing::warn!(
                    api_id = %id.0, stage = id.1,
                    "the configuration has this stage, so that of the store is not served"
                );
                continue;
            }
            match stage {
                Some(stage) => {
                    sources.store.stages.insert(id);
                    update.stages.push(stage);
                }
                None => {
                    sources.store.stages.remove(&id);
                    update.removed.push(id);
                }
            }
        }
        if let Some(domains) = change.domains {
            let taken: BTreeSet<&str> =
                sources.files.addresses.domains.iter().map(|it| it.name.as_str()).collect();
            let domains = domains.into_iter().filter(|it| !taken.contains(it.name.as_str()));
            sources.store.domains = domains.collect();
            update.addresses = Some(sources.files.addresses.with(&sources.store.domains));
        }
        if let Some(StoreUsage { plans, keys }) = change.usage {
            let before = std::mem::take(&mut sources.store.plans);
            let keys_before = std::mem::replace(&mut sources.store.keys, keys);
            sources.store.plans = plans;
            match merged(&sources.files.usage, &sources.store) {
                Ok(usage) => update.usage = Some(usage),
                Err(error) => {
                    tracing::error!("API keys and usage plans stay as they were: {error}");
                    (sources.store.plans, sources.store.keys) = (before, keys_before);
                }
            }
        }
        self.gateway.update(update)
    }
}

fn id(stage: &RouteStage) -> StageId {
    (stage.compiled.api_id.clone(), stage.compiled.stage_name.clone())
}

fn merged(files: &UsageSettings, store: &Stored) -> Result<UsageSettings, InvalidUsage> {
    files.clone().with_more(store.plans.clone(), store.keys.clone())
}

impl AddressesOfFiles {
    fn of(addresses: &Addresses) -> Self {
        Self {
            fallback: addresses.fallback.clone(),
            domains: addresses.domains.clone(),
            host_suffix: addresses.host_suffix.clone(),
            development_paths: addresses.development_paths,
        }
    }

    fn with(&self, domains: &[DomainName]) -> Addresses {
        Addresses {
            fallback: self.fallback.clone(),
            domains: self.domains.iter().chain(domains).cloned().collect(),
            host_suffix: self.host_suffix.clone(),
            development_paths: self.development_paths,
        }
    }
}
