//! Lines of plugins in the gateway's log.

use tracing::{Level, debug, enabled, error, info, trace, warn};

use crate::Http;

/// Whether a line of this level would be kept.
pub(crate) fn is_enabled(level: Level) -> bool {
    // The macro needs a level that doesn't change from call to call.
    match level {
        Level::TRACE => enabled!(Level::TRACE),
        Level::DEBUG => enabled!(Level::DEBUG),
        Level::INFO => enabled!(Level::INFO),
        Level::WARN => enabled!(Level::WARN),
        Level::ERROR => enabled!(Level::ERROR),
    }
}

/// Writes a line, about an exchange if there is one.
pub(crate) fn write_line(level: Level, plugin: &str, exchange: Option<&Http>, line: &str) {
    let request_id = exchange.map(|http| http.info.request_id());
    match level {
        Level::TRACE => trace!(plugin, request_id, "{line}"),
        Level::DEBUG => debug!(plugin, request_id, "{line}"),
        Level::INFO => info!(plugin, request_id, "{line}"),
        Level::WARN => warn!(plugin, request_id, "{line}"),
        Level::ERROR => error!(plugin, request_id, "{line}"),
    }
}
