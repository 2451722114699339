//! Decisions that an authorizer gave before.
//!
//! Only allows are kept, and with them the policy, which may deny some methods: what else a plugin
//! answers is for the request it was asked about. A decision belongs to the version of the plugin
//! that gave it; another version's is never found. Requests that miss the same key at the same
//! time each ask the plugin: a call takes microseconds, and waiting for one that fetches would
//! make one caller's slow answer everybody's.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use foldhash::quality::RandomState;
use moka::sync::Cache;
use tollgate_plugin_host::Plugin;

use super::authorized::Authorized;
use crate::limits::AUTHORIZER_DECISIONS;

/// What the cache itself needs for an entry, about.
const ENTRY: usize = 256;

/// The values of the identity sources.
type Key = Box<[u8]>;

pub struct Decisions {
    cache: Cache<Key, Kept, RandomState>,
    time_to_live: Duration,
}

#[derive(Clone)]
struct Kept(Arc<Decision>);

struct Decision {
    authorized: Arc<Authorized>,
    /// Keeps the version's address its own.
    version: Weak<Plugin>,
    until: Instant,
}

impl Decisions {
    /// `time_to_live` is the authorizer's own.
    pub fn new(time_to_live: Duration) -> Self {
        let cache = Cache::builder()
            .max_capacity(AUTHORIZER_DECISIONS)
            .weigher(|key: &Key, kept: &Kept| {
                u32::try_from(key.len() + kept.0.authorized.size() + ENTRY).unwrap_or(u32::MAX)
            })
            .time_to_live(time_to_live)
            .build_with_hasher(RandomState::default());
        Self { cache, time_to_live }
    }

    /// The decision that this version of the plugin gave for this key.
    pub fn find(&self, key: &[u8], plugin: &Arc<Plugin>, now: Instant) -> Option<Arc<Authorized>> {
        let Kept(decision) = self.cache.get(key)?;
        let is_valid =
            decision.until > now && std::ptr::eq(decision.version.as_ptr(), Arc::as_ptr(plugin));
        is_valid.then(|| decision.authorized.clone())
    }

    /// Finds none of those kept so far any more.
    pub fn forget(&self) {
        self.cache.invalidate_all();
    }

    /// Keeps a decision for as long as the authorizer and the plugin allow.
    pub fn keep(
        &self,
        key: &[u8],
        plugin: &Arc<Plugin>,
        authorized: &Arc<Authorized>,
        wanted: Option<Duration>,
        now: Instant,
    ) {
        let time_to_live = wanted.map_or(self.time_to_live, |wanted| wanted.min(self.time_to_live));
        if time_to_live.is_zero() {
            return;
        }
        let decision = Decision {
            authorized: authorized.clone(),
            version: Arc::downgrade(plugin),
            until: now + time_to_live,
        };
        self.cache.insert(key.into(), Kept(Arc::new(decision)));
    }
}
