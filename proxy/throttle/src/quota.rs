//! A number of requests for each day, week or month, and what is left of it, in one word.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::period::{Day, Period};

/// So many requests in each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// From 0 to [`Quota::MAX_LIMIT`].
    pub limit: u64,
    pub period: Period,
}

/// What is left of a quota in the period that begins at a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    pub first_day: Day,
    /// Up to [`Quota::MAX_LIMIT`]; more than the quota's limit where some were granted.
    pub remaining: u64,
}

/// A quota's refusal: it begins again at this day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    pub until: Day,
}

/// What is left of a quota, shared by threads. Its [`Quota`] is the caller's.
///
/// The period is in the same word as the number, so that the first request of a new one begins
/// it, once. A clock that is set back doesn't: a period that has begun is not begun again.
#[derive(Debug, Default)]
pub struct SharedQuota(AtomicU64);

/// Day 16,777,215 is in the year 47,905.
const DAY_BITS: u32 = 24;
const REMAINING_BITS: u32 = 64 - DAY_BITS;

impl Quota {
    /// The largest limit: a million millions.
    pub const MAX_LIMIT: u64 = 1_000_000_000_000;

    /// What is left on a day when something was left before.
    pub fn left(self, before: Left, today: Day) -> Left {
        let first_day = self.period.first_day(today);
        if before.first_day >= first_day {
            return before;
        }
        Left { first_day, remaining: self.limit }
    }
}

impl SharedQuota {
    /// Nothing has been taken yet, in any period.
    pub const fn untouched() -> Self {
        Self(AtomicU64::new(0))
    }

    pub fn new(left: Left) -> Self {
        Self(AtomicU64::new(pack(left)))
    }

    /// Takes one request on a day.
    ///
    /// # Errors
    /// None is left in the day's period.
    #[inline]
    pub fn take(&self, quota: Quota, today: Day) -> Result<(), Exceeded> {
        let mut state = self.0.load(Ordering::Relaxed);
        loop {
            let left = quota.left(unpack(state), today);
            let Some(remaining) = left.remaining.checked_sub(1) else {
                return Err(Exceeded { until: quota.period.next_first_day(left.first_day) });
            };
            match self.swap(state, Left { remaining, ..left }) {
                Ok(()) => return Ok(()),
                Err(changed) => state = changed,
            }
        }
    }

    /// Puts a request back that was taken on a day, unless its period is over.
    pub fn give_back(&self, quota: Quota, today: Day) {
        self.update(|left| match left.first_day == quota.period.first_day(today) {
            true => Left { remaining: left.remaining + 1, ..left },
            false => left,
        });
    }

    /// Takes what others have counted on a day, as far as there is.
    pub fn subtract(&self, quota: Quota, today: Day, requests: u64) {
        self.update(|left| {
            let left = quota.left(left, today);
            Left { remaining: left.remaining.saturating_sub(requests), ..left }
        });
    }

    /// What there was after the last change: [`Quota::left`] makes today's of it.
    pub fn last(&self) -> Left {
        unpack(self.0.load(Ordering::Relaxed))
    }

    pub fn set(&self, left: Left) {
        self.0.store(pack(left), Ordering::Relaxed);
    }

    fn swap(&self, state: u64, left: Left) -> Result<(), u64> {
        let swapped =
            self.0.compare_exchange_weak(state, pack(left), Ordering::Relaxed, Ordering::Relaxed);
        swapped.map(drop)
    }

    fn update(&self, change: impl Fn(Left) -> Left) {
        let mut state = self.0.load(Ordering::Relaxed);
        while let Err(changed) = self.swap(state, change(unpack(state))) {
            state = changed;
        }
    }
}

fn pack(left: Left) -> u64 {
    let day = u64::from(left.first_day.0.min((1 << DAY_BITS) - 1));
    day << REMAINING_BITS | left.remaining.min((1 << REMAINING_BITS) - 1)
}

fn unpack(state: u64) -> Left {
    let remaining = state & ((1 << REMAINING_BITS) - 1);
    Left { first_day: Day((state >> REMAINING_BITS) as u32), remaining }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    const QUOTA: Quota = Quota { limit: 3, period: Period::Day };

    fn taken(shared: &SharedQuota, quota: Quota, today: Day) -> usize {
        (0..100).take_while(|_| shared.take(quota, today).is_ok()).count()
    }

    #[test]
    fn each_period_has_its_own_requests() {
        let shared = SharedQuota::untouched();
        assert_eq!(taken(&shared, QUOTA, Day(20_000)), 3);
        assert_eq!(shared.take(QUOTA, Day(20_000)), Err(Exceeded { until: Day(20_001) }));
        assert_eq!(taken(&shared, QUOTA, Day(20_001)), 3);
        let month = Quota { limit: 5, period: Period::Month };
        let first = Day::of_date(2026, 11, 1).unwrap();
        let shared = SharedQuota::new(Left { first_day: first, remaining: 2 });
        assert_eq!(taken(&shared, month, Day::of_date(2026, 11, 30).unwrap()), 2);
        let next = Day::of_date(2026, 12, 1).unwrap();
        assert_eq!(shared.take(month, first), Err(Exceeded { until: next }));
        assert_eq!(taken(&shared, month, next), 5);
    }

    #[test]
    fn a_clock_set_back_begins_no_period_again() {
        let shared = SharedQuota::untouched();
        assert_eq!(taken(&shared, QUOTA, Day(20_001)), 3);
        assert_eq!(shared.take(QUOTA, Day(20_000)), Err(Exceeded { until: Day(20_002) }));
        assert_eq!(taken(&shared, QUOTA, Day(20_001)), 0);
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_in_its_period_only() {
        let shared = SharedQuota::untouched();
        assert_eq!(taken(&shared, QUOTA, Day(20_000)), 3);
        shared.give_back(QUOTA, Day(20_000));
        assert_eq!(taken(&shared, QUOTA, Day(20_000)), 1);
        // Nothing was taken on the next day yet.
        shared.give_back(QUOTA, Day(20_001));
        assert_eq!(taken(&shared, QUOTA, Day(20_001)), 3);
    }

    #[test]
    fn more_than_the_limit_can_be_granted_until_the_period_ends() {
        let shared = SharedQuota::new(Left { first_day: Day(20_000), remaining: 7 });
        assert_eq!(taken(&shared, QUOTA, Day(20_000)), 7);
        assert_eq!(taken(&shared, QUOTA, Day(20_001)), 3);
    }

    #[test]
    fn what_others_counted_is_gone() {
        let shared = SharedQuota::untouched();
        shared.subtract(QUOTA, Day(20_000), 2);
        assert_eq!(taken(&shared, QUOTA, Day(20_000)), 1);
        shared.subtract(QUOTA, Day(20_001), 20);
        assert_eq!(taken(&shared, QUOTA, Day(20_001)), 0);
    }

    #[test]
    fn the_largest_limit_fits() {
        let left = Left { first_day: Day(20_000), remaining: Quota::MAX_LIMIT };
        assert_eq!(SharedQuota::new(left).last(), left);
    }

    #[test]
    fn threads_take_no_more_than_there_is() {
        let (shared, quota) = (SharedQuota::untouched(), Quota { limit: 10_000, ..QUOTA });
        let take = || (0..5_000).filter(|_| shared.take(quota, Day(20_000)).is_ok()).count();
        let taken: usize = std::thread::scope(|scope| {
            let running: Vec<_> = (0..8).map(|_| scope.spawn(take)).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 10_000);
    }
}
