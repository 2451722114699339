//! What the data plane serves at one moment: every stage, and how hosts and paths lead to it.
//!
//! A snapshot never changes. A request holds the stage it started with until it is answered,
//! so a new snapshot disturbs none that is under way. [`crate::publish`] makes them, and frees
//! them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tollgate_model::compile::{CompiledMethod, CompiledStage, hosts::Hosts};
use tollgate_plugin_host::PluginSlot;

use crate::metrics::{Metrics, StageMetrics};
use crate::phases::authorize::AuthorizerRuntime;
use crate::upstream::Upstream;
use crate::usage::{ApiKeyId, ApiKeyPlace, StageLimits};

/// An immutable set of stages with their addresses.
pub struct Snapshot {
    pub hosts: Hosts<Arc<StageRuntime>>,
}

/// What stages call by name.
pub type Plugins = BTreeMap<String, PluginSlot>;

/// A compiled stage with its handles into the running gateway.
///
/// Shares all that is large with the runtime that takes its place when only limits or plugins
/// change.
pub struct StageRuntime {
    pub compiled: Arc<CompiledStage>,
    pub release: Release,
    pub metrics: StageMetrics,
    /// In the order of [`CompiledStage::upstreams`].
    pub upstreams: Arc<[Arc<Upstream>]>,
    /// In the order of [`CompiledStage::authorizers`].
    pub authorizers: Arc<[AuthorizerRuntime]>,
    /// Who may call how often.
    pub limits: StageLimits,
    /// In the order of [`CompiledStage::methods`]; empty if none has any.
    transformers: Arc<[AttachedTransformers]>,
}

/// Which of a stage's deployments a runtime is
/// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/canary-release.html>).
pub enum Release {
    /// The stage has no canary.
    Sole,
    /// Some of the stage's requests are the canary's.
    Base {
        percent_traffic: PercentTraffic,
        canary: Arc<StageRuntime>,
    },
    Canary,
}

/// So many requests in a hundred.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PercentTraffic(f64);

/// The transformers of a method.
#[derive(Clone)]
pub enum AttachedTransformers {
    None,
    /// In order; shared by the methods that have the same ones.
    All(Arc<[PluginSlot]>),
    /// This one is named and not there.
    Missing(Box<str>),
}

impl Snapshot {
    pub fn empty() -> Self {
        Self { hosts: Hosts::new(Arc::default()) }
    }
}

impl PercentTraffic {
    /// `percent` from 0.0 to 100.0; `None` for any other number.
    pub fn new(percent: f64) -> Option<Self> {
        (0.0..=100.0).contains(&percent).then_some(Self(percent))
    }

    pub fn percent(self) -> f64 {
        self.0
    }

    /// Whether the next request is among them, by chance: none is at 0, all are at 100.
    fn chooses(self) -> bool {
        fastrand::f64() < self.0 / 100.0
    }
}

impl StageRuntime {
    /// `upstreams` are those of `compiled`, in order. Nothing is limited.
    pub fn new(
        compiled: CompiledStage,
        release: Release,
        metrics: &Metrics,
        upstreams: Vec<Arc<Upstream>>,
        plugins: &Plugins,
    ) -> Self {
        let (api, stage) = (&compiled.api_name, &compiled.stage_name);
        Self {
            metrics: match release {
                Release::Canary => metrics.canary(api, stage),
                Release::Sole | Release::Base { .. } => metrics.stage(api, stage),
            },
            release,
            upstreams: upstreams.into(),
            authorizers: authorizers(&compiled, plugins),
            transformers: transformers(&compiled, plugins),
            limits: StageLimits::none(),
            compiled: Arc::new(compiled),
        }
    }

    /// The same stage with other limits and, if there are any, other plugins. What authorizers
    /// have decided is forgotten with the plugins.
    pub fn renewed(
        &self,
        release: Release,
        limits: StageLimits,
        plugins: Option<&Plugins>,
    ) -> Self {
        let compiled = &self.compiled;
        let (authorizers, transformers) = match plugins {
            Some(plugins) => (authorizers(compiled, plugins), transformers(compiled, plugins)),
            None => (self.authorizers.clone(), self.transformers.clone()),
        };
        Self {
            compiled: compiled.clone(),
            release,
            metrics: self.metrics.clone(),
            upstreams: self.upstreams.clone(),
            authorizers,
            limits,
            transformers,
        }
    }

    /// The runtime of the next request: this, or that of the canary.
    pub fn choose(self: &Arc<Self>) -> &Arc<Self> {
        match &self.release {
            Release::Base { percent_traffic, canary } if percent_traffic.chooses() => canary,
            _ => self,
        }
    }

    pub fn canary(&self) -> Option<&Arc<Self>> {
        match &self.release {
            Release::Base { canary, .. } => Some(canary),
            Release::Sole | Release::Canary => None,
        }
    }

    /// None on a stage without a canary.
    pub fn is_canary_request(&self) -> Option<bool> {
        match self.release {
            Release::Sole => None,
            Release::Base { .. } => Some(false),
            Release::Canary => Some(true),
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

fn authorizers(stage: &CompiledStage, plugins: &Plugins) -> Arc<[AuthorizerRuntime]> {
    stage.authorizers.iter().map(|authorizer| AuthorizerRuntime::new(authorizer, plugins)).collect()
}

fn transformers(stage: &CompiledStage, plugins: &Plugins) -> Arc<[AttachedTransformers]> {
    if stage.methods.iter().all(|method| method.transformers.is_empty()) {
        return Arc::default();
    }
    let mut known: HashMap<&[String], AttachedTransformers> = HashMap::new();
    let attached = stage.methods.iter().map(|method| {
        let names = &*method.transformers;
        known.entry(names).or_insert_with(|| attach(names, plugins)).clone()
    });
    attached.collect()
}

fn attach(names: &[String], plugins: &Plugins) -> AttachedTransformers {
    if names.is_empty() {
        return AttachedTransformers::None;
    }
    let slots = names.iter().map(|name| plugins.get(name).cloned().ok_or(name));
    match slots.collect() {
        Ok(slots) => AttachedTransformers::All(slots),
        Err(missing) => AttachedTransformers::Missing(missing.as_str().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_chooses_about_so_many_requests_and_none_or_all_at_its_ends() {
        let chosen = |percent| {
            let percent = PercentTraffic::new(percent).unwrap();
            (0..100_000).filter(|_| percent.chooses()).count()
        };
        assert_eq!((chosen(0.0), chosen(100.0)), (0, 100_000));
        // Six standard deviations.
        assert!((9_400..10_600).contains(&chosen(10.0)));
        for invalid in [-0.1, 100.1, f64::NAN, f64::INFINITY] {
            assert_eq!(PercentTraffic::new(invalid), None);
        }
    }
}
