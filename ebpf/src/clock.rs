//! What time it is, in nanoseconds.

use aya_ebpf::helpers::{bpf_jiffies64, bpf_ktime_get_ns};
use tollgate_ebpf_common::Clock as ClockIndex;

use crate::maps;

pub trait Clock {
    /// For buckets.
    fn now(&self) -> u64;
    /// A number that changes every one to ten milliseconds, and costs nothing to read.
    fn tick(&self) -> u64;
}

/// CLOCK_MONOTONIC.
pub struct Monotonic;

impl Clock for Monotonic {
    #[inline(always)]
    fn now(&self) -> u64 {
        // SAFETY: the helper takes no arguments and has no preconditions.
        unsafe { bpf_ktime_get_ns() }
    }

    #[inline(always)]
    fn tick(&self) -> u64 {
        // SAFETY: as above.
        unsafe { bpf_jiffies64() }
    }
}

/// Nanoseconds of a tick of [`Set`]: as with `CONFIG_HZ=250`.
const TICK: u64 = 4_000_000;

/// What a test put into the map.
pub struct Set;

impl Clock for Set {
    #[inline(always)]
    fn now(&self) -> u64 {
        maps::CLOCK.get(ClockIndex::Now as u32).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn tick(&self) -> u64 {
        self.now() / TICK
    }
}
