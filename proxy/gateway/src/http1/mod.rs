//! HTTP/1.1 with clients: strict reading, one request after another on a connection, answers
//! written by us on a connection that stays.

pub mod body;
mod connection;
pub mod parse;
mod wire;

pub use connection::serve;
