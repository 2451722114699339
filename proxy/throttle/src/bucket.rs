//! A token bucket in one number.
//!
//! A bucket that refills with `rate` tokens a second and holds `burst` of them is kept as the
//! moment at which it will be full again (the generic cell rate algorithm, ITU-T I.371): a token
//! moves that moment by one interval, and there is a token left while the moment is less than
//! `burst` intervals away. So a bucket needs no refilling, is one word that a compare-and-swap
//! can change, and one never used, zero, is full.
//!
//! Time is counted in sixteenths of a nanosecond since any moment in the past that all users of a
//! bucket share; 64 bits last 36 years. At ten million tokens a second an interval is 1,600 of
//! them, so that rounding costs less than 0.1 % of the rate.

/// Sixteenths of a nanosecond in a nanosecond, as a shift.
const FRACTION_BITS: u32 = 4;
const SECOND: f64 = (1_000_000_000_u64 << FRACTION_BITS) as f64;
/// 18 years: sums of a moment and two of these stay in 64 bits for the next 18.
const LONGEST: u64 = 1 << 63;

/// What a bucket may give: `burst` tokens at once, `per_second` each second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Rate {
    /// Between two tokens.
    interval: u64,
    /// How far away the moment may be at which the bucket will be full.
    capacity: u64,
}

/// A number that is no rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InvalidRate {
    /// Negative, not a number, or more than [`Rate::MAX_PER_SECOND`].
    PerSecond(f64),
}

/// A bucket's refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Empty {
    /// Nanoseconds until there will be a token. None: there never will.
    pub wait: Option<u64>,
}

impl Rate {
    /// The most tokens a second.
    pub const MAX_PER_SECOND: f64 = 10_000_000.0;
    /// Gives nothing, ever.
    pub const NOTHING: Self = Self { interval: 1, capacity: 0 };

    /// `per_second` tokens each second, from 0 to [`Self::MAX_PER_SECOND`], and `burst` at once.
    /// With 0 for one of them nothing is given.
    ///
    /// # Errors
    /// `per_second` is out of its range.
    pub fn new(per_second: f64, burst: u32) -> Result<Self, InvalidRate> {
        if !(0.0..=Self::MAX_PER_SECOND).contains(&per_second) {
            return Err(InvalidRate::PerSecond(per_second));
        }
        // As many tokens as there are refills while the gateway runs is nothing else.
        let interval = SECOND / per_second;
        if burst == 0 || interval > LONGEST as f64 {
            return Ok(Self::NOTHING);
        }
        // Rounded to the nearest: what is lost or given too much is half of a 1,600th at most.
        let interval = (interval + 0.5) as u64;
        Ok(Self { interval, capacity: interval.saturating_mul(burst.into()).min(LONGEST) })
    }

    /// Takes a token from a bucket in a state at a moment, in nanoseconds. Gives the new state.
    /// A moment before the last one that the bucket knows is taken for that one.
    ///
    /// # Errors
    /// There is none left.
    #[inline]
    pub fn take(self, full_at: u64, now: u64) -> Result<u64, Empty> {
        let now = now << FRACTION_BITS;
        let next = if full_at > now { full_at } else { now }.saturating_add(self.interval);
        if next - now > self.capacity {
            return Err(self.empty(next - now));
        }
        Ok(next)
    }

    /// Puts a token back that was taken and not used.
    #[inline]
    pub fn give_back(self, full_at: u64) -> u64 {
        full_at.saturating_sub(self.interval)
    }

    /// Whether an empty bucket is full again after so many nanoseconds.
    #[inline]
    pub const fn is_full_after(self, nanoseconds: u64) -> bool {
        !self.is_nothing() && self.capacity >> FRACTION_BITS <= nanoseconds
    }

    /// Whether nothing is ever given.
    #[inline]
    pub const fn is_nothing(self) -> bool {
        self.capacity < self.interval
    }

    fn empty(self, ahead: u64) -> Empty {
        let wait = (ahead - self.capacity).div_ceil(1 << FRACTION_BITS);
        Empty { wait: (!self.is_nothing()).then_some(wait) }
    }
}
