//! Tokens on loan, for limits that several gateways keep together.
//!
//! One of them, or a store they share, holds the bucket. The others don't ask it for each request:
//! they borrow some tokens for a short time ([`SharedBucket::lend`](crate::SharedBucket::lend)) and
//! hand them out themselves.
//!
//! ```text
//!  SharedBucket ── lend ──▶ Lease ── renew ──▶ LeasedBucket ── take ──▶ a request
//! ```
//!
//! A token that was lent is gone from the bucket, used or not, so that all gateways together never
//! admit more than rate × time + burst. What isn't used when the lease ends is lost: the shorter a
//! lease, the less.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::bucket::Empty;

/// Some tokens, until a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Up to [`Lease::MAX_TOKENS`]; more count as that.
    pub tokens: u32,
    /// Nanoseconds, on the clock of who takes from it; it ends up to a millisecond earlier.
    pub until: u64,
}

/// What is left of a lease, shared by threads.
#[derive(Debug, Default)]
pub struct LeasedBucket(AtomicU64);

const TOKEN_BITS: u32 = 24;
/// 2²⁰ nanoseconds, about a millisecond: 40 bits of them last 36 years.
const TICK_BITS: u32 = 20;

impl Lease {
    pub const MAX_TOKENS: u32 = (1 << TOKEN_BITS) - 1;
}

impl LeasedBucket {
    /// Has nothing before its first lease.
    pub const fn empty() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Hands out this lease from now on. What is left of the one before is lost.
    pub fn renew(&self, lease: Lease) {
        let tokens = u64::from(lease.tokens.min(Lease::MAX_TOKENS));
        self.0.store(lease.until >> TICK_BITS << TOKEN_BITS | tokens, Ordering::Relaxed);
    }

    /// Takes a token at a moment.
    ///
    /// # Errors
    /// None is left, or the lease is over: there may be some when it is renewed.
    pub fn take(&self, now: u64) -> Result<(), Empty> {
        let none = Err(Empty { wait: None });
        let mut state = self.0.load(Ordering::Relaxed);
        loop {
            let has_tokens = state & u64::from(Lease::MAX_TOKENS) != 0;
            if !has_tokens || now >> TICK_BITS >= state >> TOKEN_BITS {
                return none;
            }
            let swap = (Ordering::Relaxed, Ordering::Relaxed);
            match self.0.compare_exchange_weak(state, state - 1, swap.0, swap.1) {
                Ok(_) => return Ok(()),
                Err(changed) => state = changed,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Rate, SharedBucket};

    const MILLISECOND: u64 = 1_000_000;

    #[test]
    fn a_lease_ends_with_its_tokens_or_its_time() {
        let bucket = LeasedBucket::empty();
        assert!(bucket.take(0).is_err());
        bucket.renew(Lease { tokens: 2, until: 100 * MILLISECOND });
        assert!(bucket.take(MILLISECOND).is_ok());
        assert!(bucket.take(100 * MILLISECOND).is_err());
        assert!(bucket.take(2 * MILLISECOND).is_ok());
        assert!(bucket.take(3 * MILLISECOND).is_err());
    }

    #[test]
    fn gateways_that_borrow_from_one_bucket_admit_what_it_holds() {
        let (shared, rate) = (SharedBucket::full(), Rate::new(10_000.0, 500).unwrap());
        let gateways = [const { LeasedBucket::empty() }; 4];
        let (seconds, mut admitted) = (10_u64, 0_u64);
        // Every ten milliseconds each borrows what it needs until then; one of them needs most.
        for tick in 0..100 * seconds {
            let now = 1_000 * MILLISECOND + tick * 10 * MILLISECOND;
            for (number, gateway) in gateways.iter().enumerate() {
                let asked = if number == 0 { 400 } else { 20 };
                let tokens = shared.lend(rate, now, asked);
                gateway.renew(Lease { tokens, until: now + 10 * MILLISECOND });
                admitted += (0..asked).filter(|_| gateway.take(now).is_ok()).count() as u64;
            }
        }
        let exact = 10_000 * seconds + 500;
        assert!(admitted <= exact && admitted * 100 >= exact * 99, "{admitted} of {exact}");
    }
}
