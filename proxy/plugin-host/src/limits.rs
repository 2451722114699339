//! Every bound on plugins, with its default.

use std::time::Duration;

/// Linear memory of one instance, in bytes.
pub const MEMORY: usize = 64 * 1024 * 1024;
/// Elements of all tables of one instance.
pub const TABLE_ELEMENTS: usize = 100_000;
/// Instances of one plugin at the same time.
pub const INSTANCES: usize = 64;
/// CPU time of one call.
pub const CPU_TIME: Duration = Duration::from_millis(100);
/// Stack of one instance, in bytes.
pub const STACK: usize = 512 * 1024;
/// How long an exchange waits for a plugin.
pub const WAIT: Duration = Duration::from_secs(10);
/// Body bytes held for a plugin.
pub const BODY: usize = 10 * 1024 * 1024;
/// Bytes of keys and values in a plugin's shared data.
pub const SHARED_DATA: usize = 16 * 1024 * 1024;
/// Fetches and calls under way for one exchange.
pub const CALLS: usize = 16;
/// CPU time of starting an instance: start functions, `_initialize`, configuration.
pub const START_CPU_TIME: Duration = Duration::from_secs(5);
/// Bytes of one log line; the rest is cut.
pub const LOG_LINE: usize = 8 * 1024;
/// Log lines of one call.
pub const LOG_LINES: usize = 100;
/// Bytes of a key.
pub const KEY: usize = 1024;
/// Bytes that plugins keep with one exchange.
pub const EXCHANGE_VALUES: usize = 64 * 1024;
/// Bytes of all headers a plugin leaves or sends.
pub const HEADERS: usize = 64 * 1024;
/// Number of headers a plugin leaves or sends.
pub const HEADER_COUNT: usize = 1_000;
/// Bytes of a response to a plugin's own request.
pub const FETCH_RESPONSE: usize = 10 * 1024 * 1024;
/// Bytes of one queue's entries.
pub const QUEUE: usize = 1024 * 1024;
/// Queues of one VM id.
pub const QUEUES: usize = 64;
/// Metrics that one plugin may define.
pub const METRICS: usize = 1_000;
/// Size of a plugin's file.
pub const FILE: u64 = 64 * 1024 * 1024;
/// Most linear memory that may be allowed: what 32-bit addresses reach.
pub const MEMORY_MAXIMUM: usize = 1 << 32;
/// Most table elements that may be allowed.
pub const TABLE_ELEMENTS_MAXIMUM: usize = 1_000_000;
/// Least and most stack that may be allowed, in bytes. A call runs on the stack of the thread
/// that serves the request, of which it must leave enough to the host.
pub const STACK_MINIMUM: usize = 64 * 1024;
pub const STACK_MAXIMUM: usize = 1024 * 1024;
/// Stack sizes are rounded up to a multiple of this.
pub const STACK_STEP: usize = 64 * 1024;
/// Linear memories of one module.
pub const MEMORIES: u32 = 4;
/// Tables of one module.
pub const TABLES: u32 = 8;
/// Core instances that one component may be made of.
pub const CORE_INSTANCES: usize = 64;
/// Bytes of the name of a metric that a plugin defines.
pub const METRIC_NAME: usize = 1024;
/// Failures of one plugin that are logged within [`FAILURE_WINDOW`]; the others are counted.
pub const FAILURE_LINES: u32 = 10;
pub const FAILURE_WINDOW: Duration = Duration::from_secs(10);
/// Bytes of an authorizer component's decision: principal, policy, context and API key.
pub const DECISION: usize = 64 * 1024;
/// Random bytes that a component gets at once.
pub const RANDOM: u32 = 64 * 1024;
/// Bytes that a shared component instance may grow its memory by and still be used again.
pub const KEPT_GROWTH: usize = 8 * 1024 * 1024;
/// How long an instance that isn't needed is kept.
pub const IDLE: Duration = Duration::from_secs(30);
/// Handles of resources (fetches under way, WASI streams) that one component instance may hold.
pub const HANDLES: usize = 1_000;
/// Imports or exports of one file.
pub const NAMES: usize = 100_000;
/// Bytes of compiled code kept on disk; what was not used for longest is removed.
pub const CACHE: u64 = 1024 * 1024 * 1024;
/// Most instances of one plugin that may be allowed.
pub const INSTANCES_MAXIMUM: usize = 1_000;
/// Least CPU time that one call may be allowed.
pub const CPU_TIME_MINIMUM: Duration = Duration::from_millis(1);
/// Most CPU time that one call may be allowed.
pub const CPU_TIME_MAXIMUM: Duration = Duration::from_secs(60);
/// Bytes of one message that a gRPC call of a plugin receives.
pub const GRPC_MESSAGE: usize = 4 * 1024 * 1024;
/// Bytes of messages that a gRPC call holds until they can be sent.
pub const GRPC_UNSENT: usize = 4 * 1024 * 1024;
/// Connections to one upstream that are kept for later requests.
pub const IDLE_CONNECTIONS: usize = 32;
/// How long a gRPC stream of a proxy-wasm filter may last.
pub const GRPC_STREAM: Duration = Duration::from_secs(3600);
