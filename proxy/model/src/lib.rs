//! API definitions: what a user declares ([`api`]), how it is read and written ([`openapi`]),
//! what the management API keeps ([`control_plane`]), API keys in files ([`api_key_file`]), and the
//! immutable form the data plane serves ([`compile`]).
//!
//! Pure knowledge: no sockets, no clock, no runtime.

pub mod api;
pub mod api_key_file;
pub mod compile;
pub mod control_plane;
pub mod openapi;
