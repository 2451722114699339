//! How long a transfer may stand still, and how slow it may be.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use tokio::time::{Duration, Instant};

use crate::deadline::{Deadline, Elapsed};
use crate::http1::body::{BodyError, Piece, Trailers};
use crate::limits::Limits;
use crate::proxy::Source;
use crate::refusal::Refusal;

/// The moment by which some progress must be made. Several futures of one task move it.
pub struct Pace {
    base: Instant,
    /// Nanoseconds after `base`.
    at: AtomicU64,
}

impl Pace {
    pub fn within(duration: Duration) -> Self {
        let pace = Self { base: Instant::now(), at: AtomicU64::new(0) };
        pace.allow(duration);
        pace
    }

    /// There has been progress; the next must follow within `duration`.
    pub fn allow(&self, duration: Duration) {
        let at = self.base.elapsed() + duration;
        // Relaxed: all users run in one task.
        self.at.store(at.as_nanos() as u64, Ordering::Relaxed);
    }

    fn at(&self) -> Instant {
        self.base + Duration::from_nanos(self.at.load(Ordering::Relaxed))
    }

    /// Runs `future` as long as it keeps the pace.
    pub async fn keep<T>(
        &self,
        deadline: &mut Deadline,
        mut future: Pin<&mut (impl Future<Output = T> + ?Sized)>,
    ) -> Result<T, Elapsed> {
        poll_fn(|cx| {
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(value));
            }
            deadline.set(self.at());
            deadline.poll_elapsed(cx).map(|()| Err(Elapsed))
        })
        .await
    }
}

/// Catches a body that always makes a little progress: once the stall time has passed, its
/// average must be at least the minimum rate.
pub struct RateFloor {
    started: Instant,
    bytes: u64,
}

impl RateFloor {
    pub fn start() -> Self {
        Self { started: Instant::now(), bytes: 0 }
    }

    /// Counts `bytes`; false when the body is too slow.
    pub fn add(&mut self, bytes: usize, limits: &Limits) -> bool {
        self.bytes += bytes as u64;
        self.keeps(self.started.elapsed(), limits)
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn keeps(&self, elapsed: Duration, limits: &Limits) -> bool {
        elapsed <= limits.body_stall_timeout
            || self.bytes >= limits.minimum_body_rate.saturating_mul(elapsed.as_secs())
    }
}

/// A request's body that is held to the payload quota and the minimum rate while it is read.
pub struct Bounded<'l, S> {
    source: S,
    limits: &'l Limits,
    /// From the first time a piece is wanted.
    floor: Option<RateFloor>,
}

impl<'l, S> Bounded<'l, S> {
    pub fn new(source: S, limits: &'l Limits) -> Self {
        Self { source, limits, floor: None }
    }
}

impl<S: Source> Source for Bounded<'_, S> {
    async fn next(&mut self) -> Result<Option<Piece<'_>>, BodyError> {
        let floor = self.floor.get_or_insert_with(RateFloor::start);
        let Some(piece) = self.source.next().await? else { return Ok(None) };
        let in_time = floor.add(piece.data.len(), self.limits);
        let maximum = self.limits.maximum_payload;
        if floor.bytes() > maximum {
            return Err(BodyError::Refused(Box::new(Refusal::PayloadTooLarge { maximum })));
        }
        if !in_time {
            return Err(BodyError::Refused(Box::new(Refusal::BodyTooSlow)));
        }
        Ok(Some(piece))
    }

    fn take_trailers(&mut self) -> Option<Box<Trailers>> {
        self.source.take_trailers()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_may_be_slow_at_first_but_not_for_long() {
        let limits = Limits::default();
        let floor = RateFloor { started: Instant::now(), bytes: 10_000 };
        assert!(floor.keeps(Duration::from_secs(5), &limits));
        assert!(!floor.keeps(Duration::from_secs(60), &limits));
        assert!(RateFloor { bytes: 60 * 512, ..floor }.keeps(Duration::from_secs(60), &limits));
    }

    #[tokio::test(start_paused = true)]
    async fn progress_moves_the_deadline() {
        let pace = Pace::within(Duration::from_secs(1));
        let mut deadline = Deadline::after(Duration::from_secs(100));
        let steps = async {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_millis(900)).await;
                pace.allow(Duration::from_secs(1));
            }
            std::future::pending::<()>().await;
        };
        let start = Instant::now();
        assert!(pace.keep(&mut deadline, std::pin::pin!(steps)).await.is_err());
        assert_eq!(start.elapsed().as_millis() / 100, 55);
    }
}
