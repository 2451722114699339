//! The one test binary. Each module is a topic, each test a sentence that must hold.

mod support;
mod command_line;
mod render;
mod routing;
mod http_proxy;
mod streaming;
mod upstream_failures;
mod http_integration;
mod mapping_templates;
mod throttle;
mod kernel_throttle;
mod validation;
mod content;
mod compression;
mod gateway_responses;
mod private;
mod plugins;
mod malformed;
mod time;
mod http2;
mod tls;
mod store;
mod logs;
mod lifecycle;
mod management;
