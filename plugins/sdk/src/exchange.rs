//! Values kept with the exchange: set by one call, read by later ones and by later plugins.

use crate::host;

/// The value set last.
pub fn get(key: &str) -> Option<Vec<u8>> {
    host::exchange::get(key)
}

/// False if there is no room: an exchange keeps 64 KiB in all.
pub fn set(key: &str, value: &[u8]) -> bool {
    host::exchange::set(key, value)
}
