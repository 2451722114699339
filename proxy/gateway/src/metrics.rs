//! Metrics in Prometheus's text format, and the cheap counters behind them.
//!
//! | Metric | Type | Labels | What it counts |
//! |---|---|---|---|
//! | `tollgate_requests_total` | counter | api, stage | requests answered (AWS: Count) |
//! | `tollgate_4xx_errors_total` | counter | api, stage | answers 400-499, of gateway or integration (4XXError) |
//! | `tollgate_5xx_errors_total` | counter | api, stage | answers 500-599 (5XXError) |
//! | `tollgate_latency_seconds` | histogram | api, stage | request received to response returned (Latency) |
//! | `tollgate_integration_latency_seconds` | histogram | api, stage | request relayed to response of the integration (IntegrationLatency) |
//! | `tollgate_connections` | gauge | protocol | open client connections, see [`ListenerProtocol`] |
//! | `tollgate_connections_refused_total` | counter | reason | [`ConnectionRefusal`] |
//! | `tollgate_tls_handshakes_total` | counter | result | [`HandshakeResult`] |
//! | `tollgate_requests_refused_total` | counter | reason | requests that reached no stage, [`RequestRefusal`] |
//! | `tollgate_requests_throttled_total` | counter | level | requests answered with 429, [`ThrottleLevel`] |
//! | `tollgate_upstream_connections_total` | counter | result | [`UpstreamConnectionResult`] |
//! | `tollgate_reloads_total` | counter | result | [`ReloadResult`] |
//! | `tollgate_access_log_dropped_lines_total` | counter | | access log lines lost |
//! | `tollgate_build_info` | gauge | version | 1 |
//! | `process_…` | | | CPU seconds, memory, descriptors, threads, start time of the process |
//!
//! Labels are closed sets, or names of APIs and stages that exist; never what a client sent. A stage
//! appears with its first request and disappears when no snapshot has it any more. The requests of a
//! stage's canary have the stage `{stage}/Canary`, as AWS names its log group; a stage's own name has
//! no slash.
//!
//! The crate `prometheus` encodes and has the process metrics; the counters are our own, collected
//! through its `Collector`. Its counters and histograms are one set of atomics for all threads, the sum
//! of a histogram a float that is swapped in a loop, so workers that serve the same stage pass the cache
//! lines back and forth with every request. Here each worker adds integers to a shard of its own, and
//! only a scrape adds up the shards. Measured on two cores: a request with integration 11 ns here and
//! 20 ns there (a counter and two histograms); with a second thread recording all the time 18 and 20-37.

mod collect;
mod shards;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::process_collector::ProcessCollector;
use prometheus::{Registry, TextEncoder};

use self::collect::GatewayCollector;
use self::shards::{Cells, Sharded};

/// Upper bounds of the latency buckets, in nanoseconds: what an edge adds is well under a millisecond,
/// what an integration may take is 29 s.
const LATENCY_BOUNDS: [u64; 15] = [
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
];
/// One more bucket than bounds, for all above.
const LATENCY_BUCKETS: usize = LATENCY_BOUNDS.len() + 1;

/// Declares a closed set of label values.
macro_rules! label_values {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $label:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            const LABELS: &[&str] = &[$($label),*];

            /// The value of the label.
            pub fn label(self) -> &'static str {
                Self::LABELS[self as usize]
            }
        }
    };
}

label_values! {
    /// What a client speaks to a listener.
    ListenerProtocol {
        Http = "http",
        Https = "https",
    }
}

label_values! {
    /// Why a connection wasn't admitted.
    ConnectionRefusal {
        /// The gateway has as many as it may.
        Total = "total",
        /// The client's address has.
        Address = "address",
        /// The source throttle, in user space.
        Source = "source",
    }
}

label_values! {
    /// How a TLS handshake with a client ended.
    HandshakeResult {
        Full = "full",
        Resumed = "resumed",
        Failed = "failed",
        TimedOut = "timed_out",
    }
}

label_values! {
    /// Why a request was refused before it belonged to a stage, or its connection closed.
    RequestRefusal {
        Malformed = "malformed",
        HeadTooLarge = "head_too_large",
        HeadTimeout = "head_timeout",
        /// No API answers at its host and path.
        Unlocated = "unlocated",
        BodyTooLarge = "body_too_large",
        BodyStalled = "body_stalled",
        /// Too many HTTP/2 frames without progress.
        FrameBudget = "frame_budget",
    }
}

label_values! {
    /// Which limit a request was beyond, in the order in which they are asked.
    ThrottleLevel {
        /// The client of a trusted proxy is in the penalty box.
        PenaltyBox = "penalty_box",
        /// What one client address may ask.
        ClientIp = "client_ip",
        /// The method throttle of the API key's usage plan.
        UsagePlanMethod = "usage_plan_method",
        /// The throttle of the API key's usage plan.
        UsagePlan = "usage_plan",
        /// The quota of the API key's usage plan.
        Quota = "quota",
        /// The method settings of the stage.
        StageMethod = "stage_method",
        /// That of account and region.
        Account = "account",
    }
}

label_values! {
    /// What came of needing a connection to an upstream.
    UpstreamConnectionResult {
        Opened = "opened",
        /// An idle one was there.
        Reused = "reused",
        Refused = "refused",
        TimedOut = "timed_out",
        TlsFailed = "tls_failed",
        Failed = "failed",
    }
}

label_values! {
    /// What came of a changed definition, configuration or certificate.
    ReloadResult {
        Applied = "applied",
        /// It couldn't be used; the old one serves on.
        Rejected = "rejected",
    }
}

/// All metrics of one gateway.
pub struct Metrics {
    registry: Registry,
    measured: Arc<Measured>,
}

/// What is counted, shared between the handles and the collector.
#[derive(Default)]
struct Measured {
    /// Handles that snapshots hold. A stage that no snapshot has any more is forgotten, so that stages
    /// which come and go leave nothing behind.
    stages: Mutex<HashMap<StageLabels, Weak<StageCells>>>,
    connections: Sharded<Cells<{ ListenerProtocol::LABELS.len() }>>,
    connections_refused: Sharded<Cells<{ ConnectionRefusal::LABELS.len() }>>,
    tls_handshakes: Sharded<Cells<{ HandshakeResult::LABELS.len() }>>,
    requests_refused: Sharded<Cells<{ RequestRefusal::LABELS.len() }>>,
    requests_throttled: Sharded<Cells<{ ThrottleLevel::LABELS.len() }>>,
    upstream_connections: Sharded<Cells<{ UpstreamConnectionResult::LABELS.len() }>>,
    reloads: Sharded<Cells<{ ReloadResult::LABELS.len() }>>,
    dropped_lines: Mutex<Vec<Arc<AtomicU64>>>,
}

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct StageLabels {
    api: Box<str>,
    stage: Box<str>,
}

impl Metrics {
    pub fn new() -> Arc<Self> {
        let measured = Arc::new(Measured::default());
        let registry = Registry::new();
        let collectors: [Box<dyn prometheus::core::Collector>; 2] = [
            Box::new(GatewayCollector::new(Arc::clone(&measured))),
            Box::new(ProcessCollector::for_self()),
        ];
        for collector in collectors {
            registry
                .register(collector)
                .expect("the names of all metrics are valid and different; a test has them all");
        }
        Arc::new(Self { registry, measured })
    }

    /// The handle that records the requests of a stage. As long as one is held, all with the same
    /// labels count together.
    pub fn stage(&self, api: &str, stage: &str) -> StageMetrics {
        let labels = StageLabels { api: api.into(), stage: stage.into() };
        let mut stages = self.measured.stages.lock();
        let known = stages.entry(labels).or_default();
        let cells = known.upgrade().unwrap_or_else(|| {
            let cells = Arc::new(StageCells::default());
            *known = Arc::downgrade(&cells);
            cells
        });
        StageMetrics { cells }
    }

    /// The same for the requests of a stage's canary.
    pub fn canary(&self, api: &str, stage: &str) -> StageMetrics {
        self.stage(api, &format!("{stage}/Canary"))
    }

    /// Forgets the stages whose handles are gone.
    pub fn forget_unused(&self) {
        let mut stages = self.measured.stages.lock();
        stages.retain(|_, cells| cells.strong_count() > 0);
        let enough = 2 * stages.len();
        stages.shrink_to(enough);
    }

    #[cfg(test)]
    pub fn stages(&self) -> usize {
        self.measured.stages.lock().len()
    }

    /// Counts a client connection as open until the returned value is dropped, on any thread.
    pub fn connection_opened(&self, protocol: ListenerProtocol) -> OpenConnection {
        self.measured.connections.own().add(protocol as usize, 1);
        OpenConnection { measured: Arc::clone(&self.measured), protocol }
    }

    pub fn connection_refused(&self, reason: ConnectionRefusal) {
        self.measured.connections_refused.own().add(reason as usize, 1);
    }

    pub fn tls_handshake(&self, result: HandshakeResult) {
        self.measured.tls_handshakes.own().add(result as usize, 1);
    }

    pub fn request_refused(&self, reason: RequestRefusal) {
        self.measured.requests_refused.own().add(reason as usize, 1);
    }

    pub fn request_throttled(&self, level: ThrottleLevel) {
        self.measured.requests_throttled.own().add(level as usize, 1);
    }

    pub fn upstream_connection(&self, result: UpstreamConnectionResult) {
        self.measured.upstream_connections.own().add(result as usize, 1);
    }

    pub fn reload(&self, result: ReloadResult) {
        self.measured.reloads.own().add(result as usize, 1);
    }

    /// Has `tollgate_access_log_dropped_lines_total` include this counter
    /// ([`crate::access_log::AccessLog::dropped_counter`]).
    pub fn report_dropped_lines(&self, counter: Arc<AtomicU64>) {
        self.measured.dropped_lines.lock().push(counter);
    }

    /// Has [`Metrics::encode`] show what else there is. One whose names are taken already is left
    /// out, with a line in the log.
    pub fn register(&self, collector: Box<dyn prometheus::core::Collector>) {
        if let Err(error) = self.registry.register(collector) {
            tracing::error!(%error, "metrics can't be registered");
        }
    }

    /// Everything in Prometheus's text format 0.0.4 (`text/plain; version=0.0.4`). Reads files in
    /// `/proc`; not for the request path.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics can't be encoded");
        }
        text
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// Records the requests of one stage. Cloning is cheap; clones count together.
#[derive(Clone)]
pub struct StageMetrics {
    cells: Arc<StageCells>,
}

impl StageMetrics {
    /// Counts a request that was answered with `status`. `integration_latency` is none when no
    /// integration was called.
    ///
    /// Two to five additions to memory that other workers don't write.
    pub fn record(&self, status: u16, latency: Duration, integration_latency: Option<Duration>) {
        let shard = self.cells.own();
        shard.latency.record(latency);
        if let Some(latency) = integration_latency {
            shard.integration_latency.record(latency);
        }
        match status {
            400..=499 => shard.errors.add(StageShard::CLIENT_ERRORS, 1),
            500..=599 => shard.errors.add(StageShard::SERVER_ERRORS, 1),
            _ => {}
        }
    }
}

impl fmt::Debug for StageMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StageMetrics").finish_non_exhaustive()
    }
}

/// Counts one open connection until it is dropped.
pub struct OpenConnection {
    measured: Arc<Measured>,
    protocol: ListenerProtocol,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        // It may be dropped on another thread than it was made on, so a single shard may go below
        // zero; their sum, wrapping, is right.
        self.measured.connections.own().add(self.protocol as usize, u64::MAX);
    }
}

impl fmt::Debug for OpenConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpenConnection").field(&self.protocol).finish()
    }
}

type StageCells = Sharded<StageShard>;

/// One worker's part of a stage. The number of requests is the number of latencies.
#[derive(Default)]
struct StageShard {
    latency: LatencyCells,
    integration_latency: LatencyCells,
    errors: Cells<2>,
}

impl StageShard {
    const CLIENT_ERRORS: usize = 0;
    const SERVER_ERRORS: usize = 1;
}

#[derive(Default)]
struct LatencyCells {
    buckets: Cells<LATENCY_BUCKETS>,
    /// Wraps after 584 years of added latencies.
    nanoseconds: AtomicU64,
}

impl LatencyCells {
    fn record(&self, latency: Duration) {
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        let bucket = LATENCY_BOUNDS.iter().filter(|bound| nanoseconds > **bound).count();
        self.buckets.add(bucket, 1);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
