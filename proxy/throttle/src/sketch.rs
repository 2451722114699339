//! Buckets for any number of sources in a fixed number of words: a count-min sketch (Cormode and
//! Muthukrishnan, 2005) with conservative update, whose counts are bucket states.
//!
//! A source has two slots, chosen by a hash with a secret key, which it shares with others. Each
//! slot holds a state at least as far ahead as that of each source in it, so the lesser of the
//! two is the source's state or later: nobody gets more than a bucket of his own would give, and
//! one who behaves is refused only if both his slots are exhausted by others. A token taken
//! raises both slots to the new state, not by one, so that sources that share slots don't add up.
//!
//! Nothing is ever inserted: a flood from a billion made-up addresses changes words that are
//! there already.

use crate::{Empty, Rate};

#[cfg(not(target_arch = "bpf"))]
pub use in_memory::Sketch;

/// A word that all threads, or all CPUs, may change: an
/// [`AtomicU64`](core::sync::atomic::AtomicU64) in user space; in the kernel, whose Rust has no
/// compare-and-swap, something else.
pub trait Word {
    /// How often a change is tried that others keep coming before. The kernel wants a bound: there,
    /// a race that is lost this often costs the bucket one token that it doesn't count.
    const ATTEMPTS: usize;

    /// What it holds.
    fn read(&self) -> u64;
    /// Puts in a value, if it still holds another; whether it did. Who sees the value also sees
    /// what this thread changed before.
    fn exchange(&self, from: u64, to: u64) -> bool;
}

/// Where the slots of a source are in a sketch of `mask + 1` slots, a power of two from 2 on. They
/// are never the same.
#[inline]
pub const fn places(hash: u64, mask: u32) -> [u32; 2] {
    let (one, other) = (hash as u32 & mask, (hash >> 32) as u32 & mask);
    [one, if one == other { one ^ 1 } else { other }]
}

/// The state of a source's bucket, or a later one.
#[inline]
pub fn estimate<W: Word>(slots: [&W; 2]) -> u64 {
    let [one, other] = slots.map(Word::read);
    if one < other { one } else { other }
}

/// Takes a token from a source's bucket, at a moment in nanoseconds. The slots are two.
///
/// # Errors
/// There is none left.
// As a function of its own it costs the kernel's program 10 ns, and a symbol whose name depends on
// the directory of the sources.
#[inline(always)]
pub fn take<W: Word>([one, other]: [&W; 2], rate: Rate, now: u64) -> Result<(), Empty> {
    for _ in 0..W::ATTEMPTS {
        let (state, other_state) = (one.read(), other.read());
        let (least, second, state) =
            if other_state < state { (other, one, other_state) } else { (one, other, state) };
        let next = rate.take(state, now)?;
        // The second first: were it raised last, a thread that comes between would find it least
        // and take the same token again.
        raise(second, next);
        if least.exchange(state, next) {
            break;
        }
    }
    Ok(())
}

/// Takes a token from a bucket that only its owner's tokens come from.
///
/// # Errors
/// There is none left.
#[inline]
pub fn take_exact<W: Word>(bucket: &W, rate: Rate, now: u64) -> Result<(), Empty> {
    for _ in 0..W::ATTEMPTS {
        let state = bucket.read();
        if bucket.exchange(state, rate.take(state, now)?) {
            break;
        }
    }
    Ok(())
}

#[inline]
fn raise<W: Word>(slot: &W, to: u64) {
    for _ in 0..W::ATTEMPTS {
        let state = slot.read();
        if state >= to || slot.exchange(state, to) {
            break;
        }
    }
}

#[cfg(not(target_arch = "bpf"))]
mod in_memory {
    extern crate alloc;

    use alloc::boxed::Box;
    use core::sync::atomic::{AtomicU64, Ordering};

    use super::{Word, places, take};
    use crate::source::{Seed, Source};
    use crate::{Empty, Rate};

    impl Word for AtomicU64 {
        /// Whoever comes before has taken a token, so this ends when the bucket is empty.
        const ATTEMPTS: usize = usize::MAX;

        #[inline]
        fn read(&self) -> u64 {
            self.load(Ordering::Acquire)
        }

        #[inline]
        fn exchange(&self, from: u64, to: u64) -> bool {
            self.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        }
    }

    /// A sketch in user space: buckets of one rate for any number of sources. Threads share it
    /// without a lock.
    #[derive(Debug)]
    pub struct Sketch {
        slots: Box<[AtomicU64]>,
        seed: Seed,
    }

    impl Sketch {
        /// Of `2^bits` slots of 8 bytes, 2 to 2^30. With twenty times as many slots as sources
        /// that are at their limit at a time, one in a hundred others shares both its slots with
        /// them.
        pub fn new(bits: u32, seed: Seed) -> Self {
            let slots = (0..1_u32 << bits.clamp(1, 30)).map(|_| AtomicU64::new(0)).collect();
            Self { slots, seed }
        }

        /// Takes a token from a source's bucket, at a moment in nanoseconds.
        ///
        /// # Errors
        /// There is none left.
        #[inline]
        pub fn take(&self, source: Source, rate: Rate, now: u64) -> Result<(), Empty> {
            let mask = (self.slots.len() - 1) as u32;
            let slots = places(source.hash(self.seed), mask);
            take(slots.map(|place| &self.slots[place as usize]), rate, now)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::vec::Vec;

    use super::Sketch;
    use crate::Rate;
    use crate::source::{Seed, Source};

    const SEED: Seed = Seed([1, 2]);
    const SECOND: u64 = 1_000_000_000;

    fn source(number: u32) -> Source {
        Source::from_ipv4_word(number)
    }

    /// Numbers that look random, the same each time.
    fn numbers() -> impl Iterator<Item = u64> {
        core::iter::successors(Some(88_172_645_463_325_252_u64), |it| {
            let it = it ^ it << 13;
            let it = it ^ it >> 7;
            Some(it ^ it << 17)
        })
    }

    #[test]
    fn a_source_alone_has_a_bucket_of_its_own() {
        let (sketch, rate) = (Sketch::new(10, SEED), Rate::new(100.0, 10).unwrap());
        let (mut bucket, mut now) = (0, SECOND);
        for number in numbers().take(100_000) {
            now += number % 20_000_000;
            let expected = rate.take(bucket, now);
            assert_eq!(sketch.take(source(1), rate, now), expected.map(|_| ()));
            bucket = expected.unwrap_or(bucket);
        }
    }

    #[test]
    fn nobody_gets_more_than_a_bucket_of_his_own_would_give() {
        let (sketch, rate) = (Sketch::new(6, SEED), Rate::new(50.0, 5).unwrap());
        let (mut buckets, mut now) = ([0; 200], SECOND);
        let (mut admitted, mut refused) = (0, 0);
        for number in numbers().take(300_000) {
            now += number % 200_000;
            // Some come often, most rarely.
            let who = ((number >> 32) % 200 * ((number >> 48) % 200) / 200) as usize;
            match sketch.take(source(who as u32), rate, now) {
                Ok(()) => {
                    admitted += 1;
                    buckets[who] = rate.take(buckets[who], now).expect("his own has a token");
                }
                Err(_) => refused += 1,
            }
        }
        assert!(admitted > 1000 && refused > 1000, "{admitted} {refused}");
    }

    #[test]
    fn sources_that_share_a_slot_do_not_add_up() {
        // Two slots for a hundred sources, each with one token of ten.
        let (sketch, rate) = (Sketch::new(1, SEED), Rate::new(1.0, 10).unwrap());
        let admitted = (0..10).filter(|_| sketch.take(source(1), rate, SECOND).is_ok()).count();
        assert_eq!(admitted, 10);
        let sketch = Sketch::new(16, SEED);
        for heavy in 0..1000 {
            while sketch.take(source(heavy), rate, SECOND).is_ok() {}
        }
        let refused: Vec<u32> = (1_000_000..1_100_000)
            .filter(|number| sketch.take(source(*number), rate, SECOND + 1).is_err())
            .collect();
        // Two in 65,536 slots for each of the thousand: three in a hundred are exhausted, twice.
        assert!(refused.len() < 1000, "{}", refused.len());
    }

    #[test]
    fn threads_that_take_together_get_one_burst() {
        let (sketch, rate) = (Sketch::new(10, SEED), Rate::new(1.0, 100_000).unwrap());
        let take = || (0..50_000).filter(|_| sketch.take(source(1), rate, SECOND).is_ok()).count();
        let all: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(all, 100_000);
    }
}
