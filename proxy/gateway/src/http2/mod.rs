//! HTTP/2 with clients, over the `h2` crate: streams become exchanges, a frame budget stops
//! floods.

mod connection;
pub mod convert;
pub mod frame_budget;
mod stream;

pub use connection::serve;
