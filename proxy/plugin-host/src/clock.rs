//! How much of a call's time the guest ran.
//!
//! Epochs tick by the wall clock, but a limit of CPU time must not hit a plugin whose thread got
//! no CPU for a while. So a call that is still under way after [`UNMEASURED`], as few are, is from
//! the next tick on measured by its thread's own CPU time; until then that costs nothing.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use wasmtime::{Store, StoreContextMut, UpdateDeadline};

use crate::engine::{MOST_TICKS_UNSEEN, deadline_ticks, keep_ticking, watch};

const UNMEASURED: Duration = Duration::from_millis(2);

/// What a store holds whose calls are limited.
pub(crate) trait Timed: 'static {
    fn clock(&mut self) -> &mut CallClock;
}

pub(crate) struct CallClock {
    /// CPU time that is left, counted from `since`.
    left: Duration,
    since: Since,
}

enum Since {
    /// The guest began to run, or went on after a wait.
    Moment(Instant),
    /// Its thread had used this much CPU time.
    Measured(Duration),
}

impl CallClock {
    pub(crate) fn start(now: Instant, cpu_time: Duration) -> Self {
        Self { left: cpu_time, since: Since::Moment(now) }
    }

    /// Whether the guest has hardly begun to run.
    fn is_young(&self) -> bool {
        match self.since {
            Since::Moment(moment) => moment.elapsed() < self.left.min(UNMEASURED),
            Since::Measured(_) => false,
        }
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
pub(crate) fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Lets a store's guest run until its clock has nothing left.
pub(crate) fn stop_when_used_up<T: Timed>(store: &mut Store<T>) {
    store.epoch_deadline_callback(|mut store| {
        keep_ticking();
        let clock = store.data_mut().clock();
        if clock.is_young() {
            return Ok(UpdateDeadline::Continue(1));
        }
        clock.account();
        if clock.left.is_zero() {
            return Ok(UpdateDeadline::Interrupt);
        }
        watch();
        Ok(UpdateDeadline::Continue(deadline_ticks(clock.left).min(MOST_TICKS_UNSEEN)))
    });
}

/// Waits for `future`; the time doesn't count as the guest's CPU time.
pub(crate) async fn wait_for<T: Timed, R>(
    store: &mut StoreContextMut<'_, T>,
    future: impl Future<Output = R>,
) -> R {
    store.data_mut().clock().account();
    let result = future.await;
    store.data_mut().clock().since = Since::Moment(Instant::now());
    keep_ticking();
    store.set_epoch_deadline(1);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cpu_time_counts_after_the_first_look() {
        let mut clock = CallClock::start(Instant::now(), Duration::from_millis(20));
        assert!(clock.is_young());
        std::thread::sleep(2 * UNMEASURED);
        assert!(!clock.is_young());
        clock.account();
        assert_eq!(clock.left, Duration::from_millis(18));
        std::thread::sleep(Duration::from_millis(30));
        clock.account();
        assert!(clock.left > Duration::from_millis(10), "{:?}", clock.left);
        let began = Instant::now();
        while clock.left > Duration::ZERO {
            assert!(began.elapsed() < Duration::from_secs(20));
            clock.account();
        }
        let used_up = CallClock::start(Instant::now(), Duration::ZERO);
        assert!(!used_up.is_young());
    }
}
