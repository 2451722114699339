//! A store that all instances of the plugin share, on this node, in memory. Keys are up to 1 KiB.

use std::time::Duration;

use crate::host;

pub use crate::bindings::tollgate::plugin::key_value::{Entry, Error};

/// An entry that is there and has not expired.
pub fn get(key: &str) -> Option<Entry> {
    host::key_value::get(key)
}

/// Writes whatever is there; gives the new version. Without a time to live the entry stays until
/// it is deleted or the gateway stops.
///
/// # Errors
/// [`Error::Full`].
pub fn set(key: &str, value: &[u8], time_to_live: Option<Duration>) -> Result<u64, Error> {
    host::key_value::set(key, value, time_to_live.map(milliseconds))
}

/// Writes if the entry still has this version; 0 writes only if there is none.
///
/// # Errors
/// [`Error::Conflict`] with the version that is there, [`Error::Full`].
pub fn compare_and_swap(
    key: &str,
    version: u64,
    value: &[u8],
    time_to_live: Option<Duration>,
) -> Result<u64, Error> {
    host::key_value::compare_and_swap(key, version, value, time_to_live.map(milliseconds))
}

/// Whether there was one.
pub fn delete(key: &str) -> bool {
    host::key_value::delete(key)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
