//! Follows the store: what has changed in it is served a moment later, whoever changed it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tollgate_management::{Context, Management, keys};
use tollgate_model::api::ApiId;
use tollgate_priority::{Turns, give_way};
use tollgate_store::{Changes, Depth, Key, Revision, Snapshot, StoreError};

use super::serving::{Serving, StageId, StoreChange};
use super::{domains, stages, usage};

/// How long the store is waited for at a time: after it, whether to stop is looked at.
const WAIT: Duration = Duration::from_millis(500);
/// A store that can't be read is asked again after so long.
const RETRY: Duration = Duration::from_secs(1);

/// The thread; it stops when this is dropped.
pub struct Follower {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What of the store may have changed.
#[derive(Default)]
struct Affected {
    stages: BTreeSet<StageId>,
    domains: bool,
    usage: bool,
    /// Which stages go through one is not known, so that it's all of them.
    vpc_links: bool,
}

impl Follower {
    /// Serves what is in the store, then goes on with what changes.
    pub fn start(management: Arc<Management>, serving: Arc<Serving>) -> anyhow::Result<Self> {
        let revision = publish_all(&management.context, &serving)?;
        serving.tell_served(revision);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread =
            std::thread::Builder::new().name("follow-store".to_owned()).spawn(move || {
                give_way();
                follow(&management.context, &serving, revision, &stopped);
            })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has nothing to say if it panicked: the log has it.
            let _ = thread.join();
        }
    }
}

fn follow(context: &Context, serving: &Serving, mut revision: Revision, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match advance(context, serving, revision) {
            Ok(newest) => {
                revision = newest;
                serving.tell_served(revision);
            }
            Err(error) => {
                tracing::error!(%error, "the store can't be followed; what is served stays");
                std::thread::sleep(RETRY);
            }
        }
    }
}

/// Waits for a change and serves it. Gives the revision that is served then.
fn advance(context: &Context, serving: &Serving, revision: Revision) -> anyhow::Result<Revision> {
    let has_changed = context.store.wait(revision, WAIT)? != revision;
    if !has_changed && !serving.has_given_back() {
        return Ok(revision);
    }
    // In this order: what changes between the two is among the keys now and again next time. The
    // other way round it would be in the snapshot's revision and never among the keys.
    let snapshot = context.store.read()?;
    let Changes::Keys(changed) = context.store.changes(revision)? else {
        return publish_all(context, serving);
    };
    let given_back = serving.take_given_back();
    let mut affected = Affected { stages: given_back.clone(), ..Affected::default() };
    for key in &changed {
        affected.add(key);
    }
    if affected.vpc_links {
        affected.stages.extend(all_stages(&*snapshot)?);
    }
    let newest = snapshot.revision();
    publish(context, serving, &*snapshot, affected)
        .inspect_err(|_| serving.give_back(given_back))?;
    tracing::debug!(revision = newest, "the store's changes are served");
    Ok(newest)
}

/// Serves everything there is. Stages of a moment before that are gone are removed by the keys of
/// those that were served.
fn publish_all(context: &Context, serving: &Serving) -> anyhow::Result<Revision> {
    let snapshot = context.store.read()?;
    let stages = serving.stages_of_store();
    let mut affected = Affected { stages, domains: true, usage: true, vpc_links: true };
    affected.stages.extend(all_stages(&*snapshot)?);
    let revision = snapshot.revision();
    publish(context, serving, &*snapshot, affected)?;
    Ok(revision)
}

fn publish(
    context: &Context,
    serving: &Serving,
    snapshot: &dyn Snapshot,
    affected: Affected,
) -> anyhow::Result<()> {
    let _turns = Turns::take();
    let mut change = StoreChange::default();
    if affected.domains {
        change.domains = Some(domains::read(snapshot)?);
    }
    if affected.usage {
        change.usage = Some(usage::read(snapshot)?);
    }
    let mut changed = BTreeMap::new();
    for id in affected.stages {
        match stages::route(context, snapshot, &id) {
            Ok(stage) => drop(changed.insert(id, stage)),
            Err(error) => tracing::error!(
                api_id = %id.0, stage = id.1, "the stage stays as it was: {error:#}"
            ),
        }
    }
    change.stages = changed;
    serving.publish_store(change)?;
    Ok(())
}

fn all_stages(snapshot: &dyn Snapshot) -> Result<Vec<StageId>, StoreError> {
    let mut found = Vec::new();
    for (key, _) in snapshot.list(&keys::rest_apis(), Depth::Children, None, usize::MAX)? {
        let Some(api_id) = key.segments().pop() else { continue };
        let under = keys::of_api(&api_id, "stages");
        for (key, _) in snapshot.list(&under, Depth::Children, None, usize::MAX)? {
            found.extend(key.segments().pop().map(|name| (ApiId(api_id.clone()), name)));
        }
    }
    Ok(found)
}

impl Affected {
    fn add(&mut self, key: &Key) {
        let segments = key.segments();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match segments[..] {
            ["restapis", api_id, "stages", stage] => {
                self.stages.insert((ApiId(api_id.to_owned()), stage.to_owned()));
            }
            ["apikeys" | "usageplans", ..] => self.usage = true,
            ["domainnames", ..] => self.domains = true,
            ["vpclinks", _] => self.vpc_links = true,
            // A deployment never changes, and whatever else belongs to an API counts when it is
            // deployed.
            _ => {}
        }
    }
}
