//! A bucket that many threads take from at once, exactly: one word that each of them swaps.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::bucket::{Empty, Rate};

/// The state of a token bucket, shared. Its [`Rate`] is the caller's: a bucket is always used with
/// the same one.
///
/// Nothing else is published through the word, so that relaxed operations are enough.
#[derive(Debug, Default)]
pub struct SharedBucket(AtomicU64);

impl SharedBucket {
    /// Holds as many tokens as its rate's burst.
    pub const fn full() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Takes a token at a moment, in nanoseconds since any one that all users of the bucket share.
    ///
    /// # Errors
    /// There is none left. The bucket stays as it is.
    #[inline]
    pub fn take(&self, rate: Rate, now: u64) -> Result<(), Empty> {
        let mut state = self.0.load(Ordering::Relaxed);
        loop {
            let next = rate.take(state, now)?;
            match self.0.compare_exchange_weak(state, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(changed) => state = changed,
            }
        }
    }

    /// Puts a token back that was taken and not used.
    #[inline]
    pub fn give_back(&self, rate: Rate) {
        self.update(|state| rate.give_back(state));
    }

    /// Takes up to `wanted` tokens at once, for somebody who hands them out: see
    /// [`Lease`](crate::Lease). Gives how many.
    pub fn lend(&self, rate: Rate, now: u64, wanted: u32) -> u32 {
        let mut lent = 0;
        self.update(|state| {
            lent = 0;
            let mut next = state;
            while lent < wanted
                && let Ok(taken) = rate.take(next, now)
            {
                next = taken;
                lent += 1;
            }
            next
        });
        lent
    }

    /// Holds as many tokens as its rate's burst again.
    pub fn fill(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn update(&self, mut change: impl FnMut(u64) -> u64) {
        let mut state = self.0.load(Ordering::Relaxed);
        while let Err(changed) =
            self.0.compare_exchange_weak(state, change(state), Ordering::Relaxed, Ordering::Relaxed)
        {
            state = changed;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_token_given_back_can_be_taken_again() {
        let (bucket, rate) = (SharedBucket::full(), Rate::new(1.0, 2).unwrap());
        for _ in 0..2 {
            assert_eq!(bucket.take(rate, SECOND), Ok(()));
        }
        assert_eq!(bucket.take(rate, SECOND), Err(Empty { wait: Some(SECOND) }));
        bucket.give_back(rate);
        assert_eq!(bucket.take(rate, SECOND), Ok(()));
        assert!(bucket.take(rate, SECOND).is_err());
        bucket.fill();
        assert_eq!(bucket.take(rate, SECOND), Ok(()));
    }

    #[test]
    fn what_is_lent_is_gone() {
        let (bucket, rate) = (SharedBucket::full(), Rate::new(10.0, 5).unwrap());
        assert_eq!(bucket.lend(rate, 0, 3), 3);
        assert_eq!(bucket.lend(rate, 0, 3), 2);
        assert_eq!(bucket.lend(rate, 0, 3), 0);
        assert_eq!(bucket.lend(rate, SECOND / 5, 3), 2);
    }

    /// 1 and 8 threads ask twice as often as they may or more, at moments that run backwards now
    /// and then as those of several threads do.
    #[test]
    fn over_one_to_sixty_seconds_the_admitted_are_within_a_hundredth_of_rate_and_burst() {
        for threads in [1, 8] {
            for seconds in [1, 7, 60] {
                for (per_second, burst) in [(100.0, 1), (997.0, 50), (10_000.0, 5_000)] {
                    // Often enough that a token waits for nobody.
                    let asked = 30_000 * seconds;
                    let admitted = admitted(threads, per_second, burst, seconds, asked);
                    let exact = per_second * seconds as f64 + f64::from(burst);
                    let error = (admitted as f64 - exact).abs() / exact;
                    assert!(
                        error <= 0.01,
                        "{admitted} instead of {exact}: {threads} threads, {seconds} s, {burst}"
                    );
                }
            }
        }
    }

    /// The moments are simulated: a counter that the threads share says how far the window is.
    fn admitted(threads: u64, per_second: f64, burst: u32, seconds: u64, asked: u64) -> u64 {
        let (bucket, rate) = (SharedBucket::full(), Rate::new(per_second, burst).unwrap());
        let next = AtomicU64::new(0);
        let (window, start) = (seconds * SECOND, 5 * SECOND);
        let ask = || {
            let mut admitted = 0;
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= asked {
                    return admitted;
                }
                let now = start + (u128::from(window) * u128::from(at) / u128::from(asked)) as u64;
                admitted += u64::from(bucket.take(rate, now).is_ok());
            }
        };
        std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(ask)).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).sum()
        })
    }

    #[test]
    fn threads_never_get_more_than_the_burst_at_one_moment() {
        let (bucket, rate) = (SharedBucket::full(), Rate::new(1.0, 10_000).unwrap());
        let take = || (0..5_000).filter(|_| bucket.take(rate, SECOND).is_ok()).count();
        let taken: usize = std::thread::scope(|scope| {
            let running: Vec<_> = (0..8).map(|_| scope.spawn(take)).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 10_000);
    }
}
