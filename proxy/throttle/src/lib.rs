//! The arithmetic of limits: token buckets. No clock, no allocation, no floating point and no
//! division where packets and requests are counted, so that the XDP program and the gateway
//! share it.

#![no_std]

#[cfg(test)]
extern crate std;

pub mod bucket;
#[cfg(not(target_arch = "bpf"))]
pub mod lease;
#[cfg(not(target_arch = "bpf"))]
pub mod period;
pub mod penalty;
#[cfg(not(target_arch = "bpf"))]
pub mod quota;
#[cfg(not(target_arch = "bpf"))]
pub mod shared;
pub mod sketch;
pub mod source;

pub use bucket::{Empty, InvalidRate, Rate};
#[cfg(not(target_arch = "bpf"))]
pub use lease::{Lease, LeasedBucket};
#[cfg(not(target_arch = "bpf"))]
pub use period::{Day, Period};
#[cfg(not(target_arch = "bpf"))]
pub use quota::{Exceeded, Left, Quota, SharedQuota};
#[cfg(not(target_arch = "bpf"))]
pub use shared::SharedBucket;
