//! The time of a call: how much of it the guest ran, and until when it may wait.
//!
//! Epochs tick by the wall clock, but a limit of CPU time must not hit a plugin whose thread got
//! no CPU for a while. So a call that goes on for longer than [`UNMEASURED`], as few do, is from
//! then on measured by its thread's own CPU time; until then that costs nothing.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use wasmtime::{Store, StoreContextMut, UpdateDeadline};

use super::state::HostState;
use crate::engine::deadline_ticks;

const UNMEASURED: Duration = Duration::from_millis(2);
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

pub(super) struct CallClock {
    /// CPU time that is left, counted from `since`.
    left: Duration,
    since: Since,
    /// When waiting ends.
    pub deadline: Instant,
}

enum Since {
    /// The guest began to run, or went on after a wait.
    Moment(Instant),
    /// Its thread had used this much CPU time.
    Measured(Duration),
}

impl CallClock {
    pub fn start(now: Instant, cpu_time: Duration, wait: Duration) -> Self {
        // No clock has room for the longest durations that a configuration can have.
        let deadline = now + wait.min(LONGEST_WAIT);
        Self { left: cpu_time, since: Since::Moment(now), deadline }
    }

    /// Ticks until it has to be looked at.
    pub fn ticks(&self) -> u64 {
        deadline_ticks(match self.since {
            Since::Moment(_) => self.left.min(UNMEASURED),
            Since::Measured(_) => self.left,
        })
    }

    /// Takes off what the guest used since this was last called.
    fn account(&mut self) {
        let now = thread_time();
        let used = match self.since {
            Since::Moment(moment) => moment.elapsed().min(UNMEASURED),
            Since::Measured(before) => now.saturating_sub(before),
        };
        self.left = self.left.saturating_sub(used);
        self.since = Since::Measured(now);
    }
}

/// CPU time that the calling thread has used.
pub(super) fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Lets each store's guest run until its clock has nothing left.
pub(super) fn stop_when_used_up(store: &mut Store<HostState>) {
    store.epoch_deadline_callback(|mut store| {
        let clock = &mut store.data_mut().clock;
        clock.account();
        match clock.left {
            Duration::ZERO => Ok(UpdateDeadline::Interrupt),
            _ => Ok(UpdateDeadline::Continue(clock.ticks())),
        }
    });
}

/// Waits for `future`; the time doesn't count as the guest's CPU time.
pub(super) async fn wait_for<T>(
    store: &mut StoreContextMut<'_, HostState>,
    future: impl Future<Output = T>,
) -> T {
    store.data_mut().clock.account();
    let result = future.await;
    let clock = &mut store.data_mut().clock;
    clock.since = Since::Moment(Instant::now());
    let ticks = clock.ticks();
    store.set_epoch_deadline(ticks);
    result
}
