//! A real listener and real clients.

mod server;
mod exchanges;
mod bounds;
mod keys;
mod browsers;
