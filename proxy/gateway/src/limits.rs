//! Every bound the data plane enforces, with its default and where the number comes from.
//!
//! AWS's are from "Quotas for configuring and running a REST API"; the others guard what AWS's
//! front end guards without saying so.

use std::time::Duration;

/// Request and response payload, in bytes. AWS: 10 MB.
pub const MAXIMUM_PAYLOAD: u64 = 10 * 1024 * 1024;
/// All request headers of a public API: names, values and line ends, in bytes. AWS: 20,480.
pub const MAXIMUM_REQUEST_HEADERS: usize = 20_480;
/// The same for a private API. AWS: 8,000.
pub const MAXIMUM_PRIVATE_REQUEST_HEADERS: usize = 8_000;
/// The request target (path and query) in bytes. AWS: 10,240 for regional and private APIs.
pub const MAXIMUM_URL: usize = 10_240;
/// Number of header fields in one request.
pub const MAXIMUM_HEADER_FIELDS: usize = 200;
/// All response headers of an integration, in bytes.
pub const MAXIMUM_RESPONSE_HEADERS: usize = 64 * 1024;
/// How long a client connection may be idle between requests. AWS: 310 s.
pub const CONNECTION_IDLE_TIMEOUT: Duration = Duration::from_secs(310);
/// From a request's first byte to the end of its head.
pub const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// From a new connection's first byte to the end of its TLS handshake.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a body may stand still, in either direction, before its connection is closed.
pub const BODY_STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes a second that a body must keep up on average, once [`BODY_STALL_TIMEOUT`] has passed.
pub const MINIMUM_BODY_RATE: u64 = 512;
/// Time to connect to an upstream, TLS included, within the integration's own timeout.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle upstream connection is kept for reuse.
pub const UPSTREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Idle upstream connections kept by one worker for one upstream.
pub const UPSTREAM_IDLE_CONNECTIONS: usize = 256;
/// Open connections from one client address (IPv4 address or IPv6 /64).
pub const CONNECTIONS_PER_ADDRESS: u32 = 10_000;
/// Open client connections of the whole gateway.
pub const CONNECTIONS: u32 = 100_000;
/// Concurrent streams on one HTTP/2 connection.
pub const HTTP2_CONCURRENT_STREAMS: u32 = 128;
/// HTTP/2 frames without progress (PING, SETTINGS, PRIORITY, RST_STREAM, empty DATA, unneeded
/// WINDOW_UPDATE) that a connection may send at once; the budget refills at the same number a
/// minute, and each answered request adds ten.
pub const HTTP2_CONTROL_FRAME_BUDGET: u32 = 1_000;
/// How long a drain waits for requests that are under way.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Keys and decisions that are kept for one authorizer of one stage, in bytes.
pub const AUTHORIZER_DECISIONS: u64 = 16 * 1024 * 1024;

/// The bounds in force. [`Default`] gives the constants of this module.
#[derive(Clone, Debug)]
pub struct Limits {
    pub maximum_payload: u64,
    pub maximum_request_headers: usize,
    pub maximum_private_request_headers: usize,
    pub maximum_url: usize,
    pub maximum_header_fields: usize,
    pub connection_idle_timeout: Duration,
    pub request_head_timeout: Duration,
    pub tls_handshake_timeout: Duration,
    pub body_stall_timeout: Duration,
    pub minimum_body_rate: u64,
    pub connect_timeout: Duration,
    pub upstream_idle_timeout: Duration,
    pub upstream_idle_connections: usize,
    pub connections_per_address: u32,
    pub connections: u32,
    pub http2_concurrent_streams: u32,
    pub http2_control_frame_budget: u32,
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            maximum_payload: MAXIMUM_PAYLOAD,
            maximum_request_headers: MAXIMUM_REQUEST_HEADERS,
            maximum_private_request_headers: MAXIMUM_PRIVATE_REQUEST_HEADERS,
            maximum_url: MAXIMUM_URL,
            maximum_header_fields: MAXIMUM_HEADER_FIELDS,
            connection_idle_timeout: CONNECTION_IDLE_TIMEOUT,
            request_head_timeout: REQUEST_HEAD_TIMEOUT,
            tls_handshake_timeout: TLS_HANDSHAKE_TIMEOUT,
            body_stall_timeout: BODY_STALL_TIMEOUT,
            minimum_body_rate: MINIMUM_BODY_RATE,
            connect_timeout: CONNECT_TIMEOUT,
            upstream_idle_timeout: UPSTREAM_IDLE_TIMEOUT,
            upstream_idle_connections: UPSTREAM_IDLE_CONNECTIONS,
            connections_per_address: CONNECTIONS_PER_ADDRESS,
            connections: CONNECTIONS,
            http2_concurrent_streams: HTTP2_CONCURRENT_STREAMS,
            http2_control_frame_budget: HTTP2_CONTROL_FRAME_BUDGET,
            drain_timeout: DRAIN_TIMEOUT,
        }
    }
}
