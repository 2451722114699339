//! The clock that the kernel's programs read, too.

use std::mem::MaybeUninit;

/// Nanoseconds of CLOCK_MONOTONIC, as `bpf_ktime_get_ns` gives them.
pub fn now() -> u64 {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the pointer is to a timespec, which the call fills; this clock can't be missing.
    let time = unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, time.as_mut_ptr());
        time.assume_init()
    };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
