//! Components of the worlds `tollgate:plugin/authorizer` and `tollgate:plugin/transformer`.
//!
//! ```text
//!  link: imports checked, host functions ─▶ pool: instances ─▶ authorizer, transformer: calls
//!   └ imports, key_value, fetch, wasi        └ state of each     └ output: what came back, checked
//! ```
//!
//! A component that can't wait, because it imports neither `fetch` nor WASI, is called on the
//! stack of the thread that serves the request; the others run on a fiber. Both stop when their
//! CPU time is used up, and no instance is used by two calls at once, so that a plugin
//! is never entered while it runs.

mod abi;
mod authorizer;
mod fetch;
mod imports;
mod key_value;
mod link;
mod output;
mod pool;
mod state;
mod transformer;
mod wasi;

use std::sync::Arc;

use crate::limits;
use crate::plugin::PluginContext;

pub(crate) use authorizer::AuthorizerPlugin;
pub(crate) use transformer::{Stream, TransformerPlugin};

/// What the instances of one version share.
struct PluginShared {
    context: Arc<PluginContext>,
    /// What `configuration.get` gives.
    configuration: Arc<[u8]>,
    /// Bytes that wasmtime copies out of an instance at once, before anyone has looked at them:
    /// strings of a list may all be the same memory, so that a list can be larger than it.
    most_bytes_out: usize,
}

impl PluginShared {
    fn new(context: Arc<PluginContext>) -> Arc<Self> {
        let settings = &context.settings;
        // A body or value that is somewhat too large gets an error that says so.
        let largest = settings.limits.body.max(settings.limits.shared_data);
        let most_bytes_out = largest.saturating_mul(2).saturating_add(4 * limits::HEADERS);
        let configuration = settings.configuration.as_slice().into();
        Arc::new(Self { context, configuration, most_bytes_out })
    }
}

#[cfg(test)]
mod tests;
