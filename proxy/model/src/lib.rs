//! API definitions: what a user declares ([`api`]), how it is read and written ([`openapi`]),
//! and the immutable form the data plane serves ([`compile`]).
//!
//! Pure knowledge: no sockets, no clock, no runtime.

pub mod api;
pub mod compile;
pub mod openapi;
