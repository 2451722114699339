//! WASM plugins: authorizers and transformations on wasmtime.
//!
//! Two kinds of plugin share one host. **Components** of the WIT package `tollgate:plugin`
//! ([`component`]) and **proxy-wasm** filters ([`proxy_wasm`]). A [`PluginHost`] compiles what a
//! [`PluginSource`] names to a [`Plugin`]; a [`PluginSlot`] holds the version in use and swaps it
//! for a new one under load. Exchanges meet plugins through [`Plugin::authorize`] and
//! [`Transformation`].
//!
//! ```text
//!  PluginSource ─ load ─▶ Plugin ─ in a PluginSlot ─▶ authorize(AuthorizerCall)
//!                  │                               └▶ Transformation: a chain for one exchange
//!                  └ cache (compiled code on disk)       │ Http: headers all its plugins share
//! ```
//!
//! Nothing here knows of the gateway: what plugins may learn of an exchange comes through
//! [`RequestInfo`], and they call out through [`Upstreams`] of their own.

pub mod config;
#[doc(hidden)]
pub mod fuzzing;
pub mod limits;
pub mod upstreams;

mod cache;
mod clock;
mod component;
mod engine;
mod error;
mod headers;
mod host;
mod http;
mod inspect;
mod limiter;
mod log;
mod metrics;
mod plugin;
mod proxy_wasm;
mod shared_data;
mod transformation;
mod trap;

pub use error::{ErrorKind, LoadError, PluginError};
pub use headers::{Changes, Headers, ReceivedField};
pub use host::{HostConfig, PluginHost};
pub use http::{BodyNeed, ClientCertificate, Http, HttpState, Reply, RequestInfo};
pub use inspect::{Abi, Inspection, PluginKind, inspect};
pub use plugin::{
    AuthorizerCall, AuthorizerDecision, ContextValue, HeaderEdit, Plugin, PluginSlot, PluginSource,
    Usage,
};
pub use transformation::{Attached, Transformation, Verdict};
