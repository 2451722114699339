//! The host calls, by what they are about.

pub(super) mod buffers;
pub(super) mod calls;
pub(super) mod flow;
pub(super) mod headers;
pub(super) mod metrics;
pub(super) mod properties;
pub(super) mod shared;
