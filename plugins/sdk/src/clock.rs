//! The time.

use std::time::Duration;

use crate::host;

/// Since 1970-01-01T00:00:00Z.
pub fn now() -> Duration {
    Duration::from_nanos(host::clock::now())
}

/// Since some time in the past; never goes back.
pub fn monotonic() -> Duration {
    Duration::from_nanos(host::clock::monotonic())
}
