//! The one test binary. Each module is a topic, each test a sentence that must hold.

mod support;
mod routing;
mod http_proxy;
mod streaming;
mod upstream_failures;
mod http_integration;
