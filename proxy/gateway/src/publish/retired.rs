//! What is served no longer, until nobody holds it.
//!
//! The last to hold a stage frees it, and freeing one of ten thousand methods takes milliseconds:
//! too long for a worker, whose other requests would wait. So what a change replaces is kept here
//! until no request has it any more, and a thread of its own frees it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tollgate_priority::{Turns, give_way};

use crate::core::Core;
use crate::snapshot::{Snapshot, StageRuntime};
use crate::usage::Linked;

/// How often the thread looks whether requests have let go.
pub(super) const INTERVAL: Duration = Duration::from_millis(50);

/// Frees what is served no longer. The thread ends when it is dropped.
pub struct Reaper {
    running: Option<(Sender<Retired>, JoinHandle<()>)>,
}

/// Something that is served no longer.
enum Retired {
    Snapshot(Arc<Snapshot>),
    Stage(Arc<StageRuntime>),
    Usage(Linked),
}

impl Reaper {
    /// # Errors
    /// The thread can't be started.
    pub fn start(core: Arc<Core>) -> std::io::Result<Self> {
        let (sender, receiver) = channel();
        let thread = std::thread::Builder::new().name("retired".to_owned());
        let thread = thread.spawn(move || {
            give_way();
            free_all(&core, &receiver);
        })?;
        Ok(Self { running: Some((sender, thread)) })
    }

    /// Frees all this once nobody holds it. Doesn't wait.
    pub fn retire(
        &self,
        snapshot: Arc<Snapshot>,
        stages: impl IntoIterator<Item = Arc<StageRuntime>>,
        usage: Option<Linked>,
    ) {
        // Who holds others comes before them.
        let mut retired = vec![Retired::Snapshot(snapshot)];
        for stage in stages {
            let canary = stage.canary().cloned().map(Retired::Stage);
            retired.push(Retired::Stage(stage));
            retired.extend(canary);
        }
        retired.extend(usage.map(Retired::Usage));
        if let Some((sender, _)) = &self.running {
            for retired in retired {
                // The thread ends after this value only.
                let _ = sender.send(retired);
            }
        }
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.running.take() {
            drop(sender);
            let _ = thread.join();
        }
    }
}

fn free_all(core: &Core, receiver: &Receiver<Retired>) {
    let mut held = Vec::new();
    loop {
        let received = match held.is_empty() {
            true => receiver.recv().map_err(RecvTimeoutError::from),
            false => receiver.recv_timeout(INTERVAL),
        };
        match received {
            Ok(retired) => {
                held.push(retired);
                held.extend(receiver.try_iter());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let _turns = Turns::take();
        free(core, &mut held);
    }
}

/// Frees what nobody else holds. Nobody who doesn't hold it can come to.
fn free(core: &Core, held: &mut Vec<Retired>) {
    let before = held.len();
    for retired in held.extract_if(.., |retired| !retired.is_held()) {
        match retired {
            Retired::Snapshot(snapshot) => drop(snapshot),
            Retired::Stage(stage) => {
                let compiled = &stage.compiled;
                let (api_id, name) = (compiled.api_id.clone(), compiled.stage_name.clone());
                drop(stage);
                core.usage.forget_methods(api_id, name);
            }
            Retired::Usage(usage) => {
                drop(usage);
                core.usage.forget_subscriptions();
            }
        }
    }
    if held.len() < before {
        held.shrink_to(2 * held.len());
        core.upstreams.forget_unused();
        core.metrics.forget_unused();
    }
}

impl Retired {
    fn is_held(&self) -> bool {
        let holders = match self {
            Self::Snapshot(snapshot) => Arc::strong_count(snapshot),
            Self::Stage(stage) => Arc::strong_count(stage),
            Self::Usage(usage) => usage.holders(),
        };
        holders > 1
    }
}
