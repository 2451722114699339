//! Words of maps that all CPUs may change.
//!
//! Rust knows no compare-and-swap for BPF, whose first versions had none; Linux has it since
//! 5.12 (instruction set v3). The instructions are here.

use core::arch::asm;

use tollgate_throttle::sketch::Word;

/// A word of a map's value.
#[repr(transparent)]
pub struct Shared(*mut u64);

impl Shared {
    /// # Safety
    /// The pointer is to an aligned word of a map's value, and that lives as long as this.
    #[inline(always)]
    pub unsafe fn new(word: *mut u64) -> Self {
        Self(word)
    }

    #[inline(always)]
    pub fn add_one(&self) {
        self.add(1);
    }

    #[inline(always)]
    pub fn add(&self, number: u64) {
        // SAFETY: see `new`; the instruction changes nothing else.
        unsafe {
            asm!(
                "lock *(u64 *)({word} + 0) += {number}",
                word = in(reg) self.0,
                number = in(reg) number,
                options(nostack, preserves_flags),
            );
        }
    }
}

/// Half a word of a map's value, of which the last to write is right.
#[repr(transparent)]
pub struct Half(*mut u32);

impl Half {
    /// # Safety
    /// The pointer is to an aligned half word of a map's value, and that lives as long as this.
    #[inline(always)]
    pub unsafe fn new(half: *mut u32) -> Self {
        Self(half)
    }

    #[inline(always)]
    pub fn read(&self) -> u32 {
        // SAFETY: see `new`. A load of aligned bytes is never torn.
        unsafe { self.0.read_volatile() }
    }

    #[inline(always)]
    pub fn write(&self, value: u32) {
        // SAFETY: see `new`. A store of aligned bytes is never torn.
        unsafe { self.0.write_volatile(value) }
    }
}

impl Word for Shared {
    const ATTEMPTS: usize = 4;

    #[inline(always)]
    fn read(&self) -> u64 {
        // SAFETY: see `new`. A load of an aligned word is never torn.
        unsafe { self.0.read_volatile() }
    }

    #[inline(always)]
    fn exchange(&self, from: u64, to: u64) -> bool {
        let found: u64;
        // SAFETY: see `new`; the instruction changes r0 and nothing else.
        unsafe {
            asm!(
                "r0 = cmpxchg_64({word} + 0, r0, {to})",
                word = in(reg) self.0,
                to = in(reg) to,
                inlateout("r0") from => found,
                options(nostack, preserves_flags),
            );
        }
        found == from
    }
}
