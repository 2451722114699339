//! Real components, made of text against the real WIT, in the host's own instances.

mod guest;
mod host;

mod authorizer;
mod fetch;
mod imports;
mod limits;
mod link;
mod pool;
mod transformer;
mod wasi;
