//! From counters to Prometheus's metric families, at each scrape.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use super::shards::{Cells, Sharded};
use super::{
    ConnectionRefusal, HandshakeResult, LATENCY_BOUNDS, LatencyCells, ListenerProtocol, Measured,
    ReloadResult, RequestRefusal, StageCells, StageLabels, StageShard, ThrottleLevel,
    UpstreamConnectionResult,
};

/// Name and help of a family.
struct Family(&'static str, &'static str);

const REQUESTS: Family = Family("tollgate_requests_total", "Requests answered.");
const CLIENT_ERRORS: Family =
    Family("tollgate_4xx_errors_total", "Answers with a status from 400 to 499.");
const SERVER_ERRORS: Family =
    Family("tollgate_5xx_errors_total", "Answers with a status from 500 to 599.");
const LATENCY: Family = Family(
    "tollgate_latency_seconds",
    "Time from receiving a request to having returned its response.",
);
const INTEGRATION_LATENCY: Family = Family(
    "tollgate_integration_latency_seconds",
    "Time from relaying a request to its integration to having the integration's response.",
);
const CONNECTIONS: Family = Family("tollgate_connections", "Open client connections.");
const CONNECTIONS_REFUSED: Family = Family(
    "tollgate_connections_refused_total",
    "Client connections closed at once because of a limit.",
);
const TLS_HANDSHAKES: Family =
    Family("tollgate_tls_handshakes_total", "TLS handshakes with clients.");
const REQUESTS_REFUSED: Family = Family(
    "tollgate_requests_refused_total",
    "Requests and connections refused before a stage was found.",
);
const REQUESTS_THROTTLED: Family = Family(
    "tollgate_requests_throttled_total",
    "Requests answered with 429, by the limit they were beyond.",
);
const UPSTREAM_CONNECTIONS: Family =
    Family("tollgate_upstream_connections_total", "Connections that requests took to upstreams.");
const RELOADS: Family = Family(
    "tollgate_reloads_total",
    "Changed definitions, configurations and certificates that were loaded.",
);
const DROPPED_LINES: Family = Family(
    "tollgate_access_log_dropped_lines_total",
    "Access log lines that could not be written.",
);
const BUILD_INFO: Family = Family("tollgate_build_info", "The version that runs.");

const FAMILIES: [Family; 14] = [
    REQUESTS,
    CLIENT_ERRORS,
    SERVER_ERRORS,
    LATENCY,
    INTEGRATION_LATENCY,
    CONNECTIONS,
    CONNECTIONS_REFUSED,
    TLS_HANDSHAKES,
    REQUESTS_REFUSED,
    REQUESTS_THROTTLED,
    UPSTREAM_CONNECTIONS,
    RELOADS,
    DROPPED_LINES,
    BUILD_INFO,
];

pub(super) struct GatewayCollector {
    descriptions: Vec<Desc>,
    measured: Arc<Measured>,
}

impl GatewayCollector {
    pub(super) fn new(measured: Arc<Measured>) -> Self {
        let descriptions = FAMILIES
            .iter()
            .map(|Family(name, help)| {
                Desc::new((*name).to_owned(), (*help).to_owned(), Vec::new(), HashMap::new())
                    .expect("the names of all metrics are valid; a test has them all")
            })
            .collect();
        Self { descriptions, measured }
    }
}

impl Collector for GatewayCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let measured = &self.measured;
        let dropped_lines: u64 = measured
            .dropped_lines
            .lock()
            .iter()
            .map(|counter| counter.load(Ordering::Relaxed))
            .sum();
        let connections = Cells::sum(measured.connections.all());
        // A connection that was opened and closed between the reads of two shards may be seen to
        // close only.
        let connections = labelled("protocol", ListenerProtocol::LABELS, |place| {
            gauge((connections[place] as i64).max(0) as f64)
        });

        let mut families = self.stages();
        families.extend([
            family(CONNECTIONS, MetricType::GAUGE, connections),
            counted(
                CONNECTIONS_REFUSED,
                "reason",
                ConnectionRefusal::LABELS,
                &measured.connections_refused,
            ),
            counted(TLS_HANDSHAKES, "result", HandshakeResult::LABELS, &measured.tls_handshakes),
            counted(REQUESTS_REFUSED, "reason", RequestRefusal::LABELS, &measured.requests_refused),
            counted(
                REQUESTS_THROTTLED,
                "level",
                ThrottleLevel::LABELS,
                &measured.requests_throttled,
            ),
            counted(
                UPSTREAM_CONNECTIONS,
                "result",
                UpstreamConnectionResult::LABELS,
                &measured.upstream_connections,
            ),
            counted(RELOADS, "result", ReloadResult::LABELS, &measured.reloads),
            family(DROPPED_LINES, MetricType::COUNTER, vec![counter(dropped_lines)]),
            family(
                BUILD_INFO,
                MetricType::GAUGE,
                labelled("version", &[env!("CARGO_PKG_VERSION")], |_| gauge(1.0)),
            ),
        ]);
        families
    }
}

impl GatewayCollector {
    fn stages(&self) -> Vec<MetricFamily> {
        // Held while handles are cloned, not while they are added up: publishing a snapshot waits for it.
        let mut stages: Vec<(StageLabels, Arc<StageCells>)> = Vec::new();
        self.measured.stages.lock().retain(|labels, cells| {
            let cells = cells.upgrade();
            let is_served = cells.is_some();
            stages.extend(cells.map(|cells| (labels.clone(), cells)));
            is_served
        });
        stages.sort_by(|(one, _), (other, _)| one.cmp(other));

        let mut requests = Vec::new();
        let mut client_errors = Vec::new();
        let mut server_errors = Vec::new();
        let mut latencies = Vec::new();
        let mut integration_latencies = Vec::new();
        for (StageLabels { api, stage }, cells) in stages {
            let latency = Latencies::sum(cells.all().map(|shard| &shard.latency));
            if latency.count == 0 {
                continue;
            }
            let labels = || vec![label("api", &api), label("stage", &stage)];
            let errors = Cells::sum(cells.all().map(|shard| &shard.errors));
            requests.push(with_labels(counter(latency.count), labels()));
            client_errors.push(with_labels(counter(errors[StageShard::CLIENT_ERRORS]), labels()));
            server_errors.push(with_labels(counter(errors[StageShard::SERVER_ERRORS]), labels()));
            latencies.push(with_labels(latency.metric(), labels()));
            let integration_latency =
                Latencies::sum(cells.all().map(|shard| &shard.integration_latency));
            if integration_latency.count > 0 {
                integration_latencies.push(with_labels(integration_latency.metric(), labels()));
            }
        }
        [
            family(REQUESTS, MetricType::COUNTER, requests),
            family(CLIENT_ERRORS, MetricType::COUNTER, client_errors),
            family(SERVER_ERRORS, MetricType::COUNTER, server_errors),
            family(LATENCY, MetricType::HISTOGRAM, latencies),
            family(INTEGRATION_LATENCY, MetricType::HISTOGRAM, integration_latencies),
        ]
        .into_iter()
        // The encoder refuses a family without metrics.
        .filter(|family| !family.get_metric().is_empty())
        .collect()
    }
}

/// A histogram added up. Its count is that of its buckets, so that both agree in each scrape.
struct Latencies {
    buckets: [u64; super::LATENCY_BUCKETS],
    count: u64,
    nanoseconds: u64,
}

impl Latencies {
    fn sum<'a>(all: impl Iterator<Item = &'a LatencyCells> + Clone) -> Self {
        let buckets = Cells::sum(all.clone().map(|cells| &cells.buckets));
        let nanoseconds = all
            .fold(0_u64, |sum, cells| sum.wrapping_add(cells.nanoseconds.load(Ordering::Relaxed)));
        Self { buckets, count: buckets.iter().sum(), nanoseconds }
    }

    fn metric(&self) -> Metric {
        let mut cumulative = 0;
        let buckets = LATENCY_BOUNDS
            .iter()
            .zip(self.buckets)
            .map(|(bound, count)| {
                cumulative += count;
                let mut bucket = Bucket::default();
                bucket.set_cumulative_count(cumulative);
                bucket.set_upper_bound(seconds(*bound));
                bucket
            })
            .collect();
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(self.count);
        histogram.set_sample_sum(seconds(self.nanoseconds));
        let mut metric = Metric::default();
        metric.set_histogram(histogram);
        metric
    }
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

fn counted<const N: usize>(
    named: Family,
    label_name: &str,
    label_values: &[&str],
    counters: &Sharded<Cells<N>>,
) -> MetricFamily {
    let counts = Cells::sum(counters.all());
    family(
        named,
        MetricType::COUNTER,
        labelled(label_name, label_values, |place| counter(counts[place])),
    )
}

fn labelled(name: &str, values: &[&str], metric: impl Fn(usize) -> Metric) -> Vec<Metric> {
    values
        .iter()
        .enumerate()
        .map(|(place, value)| with_labels(metric(place), vec![label(name, value)]))
        .collect()
}

fn family(Family(name, help): Family, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn counter(value: u64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value as f64);
    let mut metric = Metric::default();
    metric.set_counter(counter);
    metric
}

fn gauge(value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = Metric::default();
    metric.set_gauge(gauge);
    metric
}

fn with_labels(mut metric: Metric, labels: Vec<LabelPair>) -> Metric {
    metric.set_label(labels);
    metric
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}
