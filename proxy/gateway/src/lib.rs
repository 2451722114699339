//! The data plane: listeners, the phases of a request, upstreams, logs and metrics.
//!
//! ```text
//!  server ─ accept, TLS ─▶ http1 │ http2 ─ head ─▶ phases ─ call ─▶ proxy ─▶ upstream
//!                              ▲                     │ Refusal          │
//!                              └────── respond ◀─────┴──────────────────┘
//! ```
//!
//! A [`Gateway`] is bound first and serves what is published to it. It knows nothing of
//! definitions' files, stores or management: it reads compiled stages only.

pub mod access_log;
pub mod config;
#[doc(hidden)]
pub mod fuzzing;
pub mod limits;
pub mod metrics;
pub mod tls;

mod connection_limits;
mod context;
mod compression;
mod core;
mod deadline;
mod exchange;
mod execution_log;
mod head;
mod http1;
mod http2;
mod identifiers;
mod management;
mod method_arn;
mod pace;
mod phases;
mod proxy;
mod publish;
mod refusal;
mod request_info;
mod respond;
mod server;
mod snapshot;
mod sources;
mod template_values;
mod transformation;
pub mod test_invoke;
mod upgrade;
mod upstream;
pub mod usage;

pub use publish::{
    Addresses, BasePathMapping, Canary, DomainName, PublishError, RouteStage, Routes, Update,
};
pub use server::{Bound, Gateway, StartError};
pub use snapshot::PercentTraffic;
pub use tollgate_model::compile::hosts::ConfiguredTwice;
