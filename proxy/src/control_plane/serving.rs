//! What is served: what files say and what the store says, side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tollgate_gateway::tls::CertificatePem;
use tollgate_gateway::usage::{ApiKey, InvalidUsage, UsagePlan, UsageSettings};
use tollgate_gateway::{Addresses, DomainName, Gateway, PublishError, RouteStage, Routes, Update};
use tollgate_model::api::ApiId;
use tollgate_store::Revision;

use super::domains::StoreDomains;
use super::usage::StoreUsage;
use crate::plugins::Kinds;

/// How long a change of the store may be waited for until it is served.
const LONGEST_LAG: Duration = Duration::from_secs(2);

/// A stage by API and name.
pub type StageId = (ApiId, String);

/// A gateway with two sources of routes.
pub struct Serving {
    gateway: Gateway,
    /// One change at a time, from whichever source.
    sources: Mutex<Sources>,
    /// The store's revision that is served.
    served: Mutex<Revision>,
    has_served: Condvar,
}

#[derive(Default)]
struct Sources {
    files: Files,
    store: Stored,
    /// Stages that files don't have any more, and the store has: what it says of them is to be
    /// served again.
    given_back: BTreeSet<StageId>,
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

/// What the store says, likewise: also what isn't served, because files have it.
#[derive(Default)]
struct Stored {
    stages: BTreeSet<StageId>,
    domains: Vec<DomainName>,
    certificates: Vec<CertificatePem>,
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
    pub domains: Option<StoreDomains>,
    pub usage: Option<StoreUsage>,
}

impl Serving {
    pub fn new(gateway: Gateway) -> Self {
        Self {
            gateway,
            sources: Mutex::default(),
            served: Mutex::default(),
            has_served: Condvar::new(),
        }
    }

    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// What the plugins of the files are.
    pub fn plugin_kinds(&self) -> Kinds {
        self.sources.lock().files.plugin_kinds.clone()
    }

    /// The stages that the store had when it was last looked at.
    pub fn stages_of_store(&self) -> BTreeSet<StageId> {
        self.sources.lock().store.stages.clone()
    }

    /// Whether there are stages that files had until now, and the store has.
    pub fn has_given_back(&self) -> bool {
        !self.sources.lock().given_back.is_empty()
    }

    /// Those stages: the caller serves what the store says of them.
    pub fn take_given_back(&self) -> BTreeSet<StageId> {
        std::mem::take(&mut self.sources.lock().given_back)
    }

    /// Has them served another time.
    pub fn give_back(&self, stages: BTreeSet<StageId>) {
        self.sources.lock().given_back.extend(stages);
    }

    /// Says that what the store had at a revision is served.
    pub fn tell_served(&self, revision: Revision) {
        *self.served.lock() = revision;
        self.has_served.notify_all();
    }

    /// Waits until it is, a while at most: then what is served is older.
    pub fn wait_for(&self, revision: Revision) {
        let is_older = |served: &mut Revision| *served < revision;
        self.has_served.wait_while_for(&mut self.served.lock(), is_older, LONGEST_LAG);
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
        let gone = sources.files.stages.difference(&new.stages).cloned();
        // One that the store has, too, is served as it was until the store's own is.
        let (given_back, removed): (Vec<_>, _) =
            gone.partition(|id| sources.store.stages.contains(id));
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
        for id in new.stages.difference(&sources.files.stages) {
            if sources.store.stages.contains(id) {
                tell_hidden(id);
            }
        }
        sources.given_back.extend(given_back);
        sources.files = new;
        Ok(())
    }

    /// Serves what the store says now.
    pub fn publish_store(&self, change: StoreChange) -> Result<(), PublishError> {
        let mut sources = self.sources.lock();
        let sources = &mut *sources;
        let mut update = Update::default();
        for (id, stage) in change.stages {
            match stage {
                Some(_) => sources.store.stages.insert(id.clone()),
                None => sources.store.stages.remove(&id),
            };
            let is_hidden = sources.files.stages.contains(&id);
            match stage {
                Some(_) if is_hidden => tell_hidden(&id),
                None if is_hidden => {}
                Some(stage) => update.stages.push(stage),
                None => update.removed.push(id),
            }
        }
        if let Some(StoreDomains { names, certificates }) = change.domains {
            sources.store.domains = names;
            // Most changes are of mappings, and reading keys takes long.
            if sources.store.certificates != certificates {
                self.gateway.load_domain_certificates(&certificates);
                sources.store.certificates = certificates;
            }
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

/// A stage that both have is the files'.
fn tell_hidden((api_id, stage): &StageId) {
    tracing::warn!(
        %api_id, stage,
        "the configuration has this stage, so that of the store is not served"
    );
}

fn id(stage: &RouteStage) -> StageId {
    (stage.compiled.api_id.clone(), stage.compiled.stage_name.clone())
}

fn merged(files: &UsageSettings, store: &Stored) -> Result<UsageSettings, InvalidUsage> {
    let (usage, left_out) = files.clone().with_more(store.plans.clone(), store.keys.clone())?;
    for problem in left_out {
        tracing::error!("not served, since the configuration has it: {problem}");
    }
    Ok(usage)
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

    /// These, and the domain names of the store that are not among them.
    fn with(&self, domains: &[DomainName]) -> Addresses {
        let taken: BTreeSet<&str> = self.domains.iter().map(|it| it.name.as_str()).collect();
        let domains = domains.iter().filter(|it| !taken.contains(it.name.as_str()));
        Addresses {
            fallback: self.fallback.clone(),
            domains: self.domains.iter().chain(domains).cloned().collect(),
            host_suffix: self.host_suffix.clone(),
            development_paths: self.development_paths,
        }
    }
}
