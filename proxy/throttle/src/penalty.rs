//! The penalty box: who keeps doing what is refused is left out for a time that doubles.
//!
//! Offences take tokens from a bucket; who has emptied it gets a [`Penalty`], and the next one is
//! twice as long, up to a maximum. Levels are forgotten with time. A penalty is a value: who
//! stores it (the kernel's map of sources, a table of the gateway) is not of interest here.

/// The time after which a source that was released is one level better again, in nanoseconds.
pub const FORGET_AFTER: u64 = 60 * SECOND;
const SECOND: u64 = 1_000_000_000;

/// What a client did that it shouldn't repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offence {
    /// It got a 429.
    TooManyRequests,
    /// It was refused before a method was found, or by a policy: 400, 403, 404 of the gateway's
    /// own making.
    RefusedRequest,
    /// Its TLS handshake failed: that costs a server as much as many refusals.
    FailedHandshake,
}

impl Offence {
    /// How many tokens it takes.
    pub const fn cost(self) -> u32 {
        match self {
            Self::TooManyRequests | Self::RefusedRequest => 1,
            Self::FailedHandshake => 4,
        }
    }
}

/// How long penalties are, in nanoseconds: the first, and the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    pub first: u64,
    pub longest: u64,
}

impl Default for Terms {
    /// One second, doubling to five minutes.
    fn default() -> Self {
        Self { first: SECOND, longest: 300 * SECOND }
    }
}

/// A source's time in the box. Moments are nanoseconds of a clock that all users share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Penalty {
    /// When it ends; 0: there never was one.
    pub until: u64,
    /// How often the next one's time is doubled, as of `until`.
    pub level: u32,
}

impl Penalty {
    /// Whether it lasts at a moment.
    pub const fn is_active(self, now: u64) -> bool {
        self.until > now
    }

    /// What a source gets that deserves another one: none while it still has one.
    pub fn next(self, now: u64, terms: Terms) -> Option<Self> {
        if self.is_active(now) {
            return None;
        }
        let level = self.level_at(now);
        let time = terms.first.saturating_mul(1_u64.checked_shl(level).unwrap_or(u64::MAX));
        let is_longest = time >= terms.longest;
        Some(Self {
            until: now.saturating_add(time.min(terms.longest)),
            // What can't get longer needs no higher level, from which it would take longer to
            // come down.
            level: if is_longest { level } else { level + 1 },
        })
    }

    /// Whether nothing is left of it to know.
    pub fn is_forgotten(self, now: u64) -> bool {
        !self.is_active(now) && self.level_at(now) == 0
    }

    fn level_at(self, now: u64) -> u32 {
        let forgotten = now.saturating_sub(self.until) / FORGET_AFTER;
        self.level.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::{FORGET_AFTER, Penalty, SECOND, Terms};

    /// Seconds of penalties that follow each other at once.
    fn series(terms: Terms, count: usize) -> std::vec::Vec<u64> {
        let (mut penalty, mut now) = (Penalty::default(), 100 * SECOND);
        (0..count)
            .map(|_| {
                penalty = penalty.next(now, terms).unwrap();
                let time = penalty.until - now;
                now = penalty.until;
                time / SECOND
            })
            .collect()
    }

    #[test]
    fn penalties_double_up_to_the_longest() {
        assert_eq!(series(Terms::default(), 11), [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        let odd = Terms { first: 3 * SECOND, longest: 5 * SECOND };
        assert_eq!(series(odd, 3), [3, 5, 5]);
        let endless = Terms { first: u64::MAX, longest: u64::MAX };
        assert_eq!(Penalty::default().next(SECOND, endless).unwrap().until, u64::MAX);
    }

    #[test]
    fn who_is_in_the_box_gets_no_other_penalty() {
        let penalty = Penalty::default().next(SECOND, Terms::default()).unwrap();
        assert!(penalty.is_active(2 * SECOND - 1) && !penalty.is_active(2 * SECOND));
        assert_eq!(penalty.next(2 * SECOND - 1, Terms::default()), None);
        assert!(penalty.next(2 * SECOND, Terms::default()).is_some());
    }

    #[test]
    fn levels_are_forgotten_one_by_one() {
        let penalty = Penalty { until: SECOND, level: 3 };
        let time_after = |minutes: u64| {
            let now = SECOND + minutes * FORGET_AFTER;
            (penalty.next(now, Terms::default()).unwrap().until - now) / SECOND
        };
        assert_eq!([0, 1, 2, 3, 4].map(time_after), [8, 4, 2, 1, 1]);
        assert!(!penalty.is_forgotten(SECOND + 2 * FORGET_AFTER));
        assert!(penalty.is_forgotten(SECOND + 3 * FORGET_AFTER));
    }
}
