//! What the end-to-end tests share: the built binary as a process, upstreams that show what they
//! were sent, and clients that send exactly the bytes they are given.
//!
//! ```text
//! Http1 / Http2 / Frames ──▶ Gateway (the binary, its own folder, port 0) ──▶ Upstream
//! ```
//!
//! Everything here blocks: a test is one thread that says what happens in which order, and
//! whatever has to happen meanwhile is a thread beside it. Waits have one generous deadline,
//! [`DEADLINE`], which only a broken gateway meets; nothing is asserted about time.

mod harness;

pub use harness::*;
