//! Cryptographically secure random numbers.

use crate::host;

/// At most 64 KiB at once; a longer request ends the plugin's call as a failure.
pub fn bytes(length: u32) -> Vec<u8> {
    host::random::bytes(length)
}

/// Any number, each as likely as the others.
pub fn number() -> u64 {
    host::random::number()
}
