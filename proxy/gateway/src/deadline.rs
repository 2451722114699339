//! One timer for a connection, whatever it waits for.
//!
//! A request sets several deadlines (idle, head, integration, body), most of which never pass.
//! Entering and leaving tokio's timer wheel for each would cost more than the wait is worth, so
//! a connection keeps one timer armed at or before the deadline in force: moving the deadline
//! later is an assignment, and a timer that fires early looks again.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::time::{Duration, Instant, Sleep, sleep_until};

/// The deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("deadline has passed")]
pub struct Elapsed;

pub struct Deadline {
    timer: Pin<Box<Sleep>>,
    armed: Instant,
    at: Instant,
}

impl Deadline {
    pub fn after(duration: Duration) -> Self {
        let at = Instant::now() + duration;
        Self { timer: Box::pin(sleep_until(at)), armed: at, at }
    }

    /// Moves the deadline.
    pub fn set(&mut self, at: Instant) {
        self.at = at;
        if at < self.armed {
            self.arm(at);
        }
    }

    pub fn set_after(&mut self, duration: Duration) {
        self.set(Instant::now() + duration);
    }

    /// Moves the deadline, unless it is earlier already.
    pub fn set_no_later(&mut self, at: Instant) {
        if at < self.at {
            self.set(at);
        }
    }

    /// Runs `future` until the deadline. The future is dropped when the deadline passes first.
    pub async fn within<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Elapsed> {
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Ok(value)),
            Poll::Pending => self.poll_elapsed(cx).map(|()| Err(Elapsed)),
        })
        .await
    }

    pub fn poll_elapsed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= self.at {
                return Poll::Ready(());
            }
            self.arm(self.at);
        }
        Poll::Pending
    }

    fn arm(&mut self, at: Instant) {
        self.timer.as_mut().reset(at);
        self.armed = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_can_move_both_ways() {
        let mut deadline = Deadline::after(Duration::from_secs(10));
        deadline.set_after(Duration::from_secs(1));
        let start = Instant::now();
        assert_eq!(deadline.within(std::future::pending::<()>()).await, Err(Elapsed));
        assert_eq!(start.elapsed().as_secs(), 1);

        deadline.set_after(Duration::from_secs(20));
        deadline.set_after(Duration::from_secs(30));
        let start = Instant::now();
        assert_eq!(deadline.within(std::future::pending::<()>()).await, Err(Elapsed));
        assert_eq!(start.elapsed().as_secs(), 30);
    }

    #[tokio::test]
    async fn a_future_that_is_ready_wins_over_a_deadline_that_has_passed() {
        let mut deadline = Deadline::after(Duration::ZERO);
        assert_eq!(deadline.within(async { 7 }).await, Ok(7));
    }
}
