//! How long a callback may run.
//!
//! Epochs tick by the wall clock, but a limit of CPU time must not hit a filter whose thread got
//! no CPU for a while: its VM, with all its exchanges, would be gone. So a callback that goes on
//! for longer than [`UNMEASURED`], as few do, is from then on measured by its thread's own CPU
//! time; until then that costs nothing.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use wasmtime::{Store, UpdateDeadline};

use super::state::State;
use crate::engine::deadline_ticks;

const UNMEASURED: Duration = Duration::from_millis(2);

pub(super) struct CallClock {
    /// CPU time that is left.
    left: Duration,
    /// The thread's CPU time when this was last looked at; none before the first time.
    looked_at: Option<Duration>,
}

impl CallClock {
    pub(super) fn start(cpu_time: Duration) -> Self {
        Self { left: cpu_time, looked_at: None }
    }

    /// Epochs until it has to be looked at.
    pub(super) fn ticks(&self) -> u64 {
        deadline_ticks(match self.looked_at {
            None => self.left.min(UNMEASURED),
            Some(_) => self.left,
        })
    }

    /// Takes off what was used since this was last called.
    fn account(&mut self) {
        let now = thread_time();
        let used = match self.looked_at.replace(now) {
            None => UNMEASURED,
            Some(before) => now.saturating_sub(before),
        };
        self.left = self.left.saturating_sub(used);
    }
}

/// CPU time that the calling thread has used.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Lets callbacks run until [`State::clock`] has nothing left.
pub(super) fn stop_when_used_up(store: &mut Store<State>) {
    store.epoch_deadline_callback(|mut store| {
        let clock = &mut store.data_mut().clock;
        clock.account();
        match clock.left {
            Duration::ZERO => Ok(UpdateDeadline::Interrupt),
            _ => Ok(UpdateDeadline::Continue(clock.ticks())),
        }
    });
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn only_cpu_time_counts_after_the_first_look() {
        let mut clock = CallClock::start(Duration::from_millis(20));
        assert_eq!(clock.ticks(), deadline_ticks(UNMEASURED));
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
        assert_eq!(CallClock::start(Duration::from_millis(1)).ticks(), 2);
    }
}
