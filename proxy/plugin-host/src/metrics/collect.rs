//! From counters to Prometheus' metric families, at each scrape.
//!
//! What plugins define for themselves keeps its name in a label, as it is, whatever characters it
//! has: `tollgate_plugin_custom_counter{plugin="x",name="raw.name"}`. So a plugin can neither
//! break the exposition nor take the name of another metric.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use super::custom::{HISTOGRAM_BOUNDS, Value};
use super::shards::{self, Cells};
use super::{CALL_BOUNDS, CALL_BUCKETS, PluginMetrics};
use crate::ErrorKind;

/// Name, help and type of a family.
struct Family(&'static str, &'static str, MetricType);

const FAMILIES: [Family; 11] = [
    Family("tollgate_plugin_calls_total", "Calls of plugins.", MetricType::COUNTER),
    Family("tollgate_plugin_errors_total", "Calls of plugins that failed.", MetricType::COUNTER),
    Family(
        "tollgate_plugin_call_seconds",
        "Time that calls of plugins took, waiting for fetches included.",
        MetricType::HISTOGRAM,
    ),
    Family(
        "tollgate_plugin_memory_bytes",
        "Linear memory of a plugin's instances.",
        MetricType::GAUGE,
    ),
    Family("tollgate_plugin_instances", "Instances of plugins.", MetricType::GAUGE),
    Family(
        "tollgate_plugin_decision_cache_total",
        "Decisions of authorizers looked for in the cache.",
        MetricType::COUNTER,
    ),
    Family(
        "tollgate_plugin_log_lines_dropped_total",
        "Log lines of plugins that were over a bound.",
        MetricType::COUNTER,
    ),
    Family("tollgate_plugin_info", "The version of a plugin that is in use.", MetricType::GAUGE),
    Family("tollgate_plugin_custom_counter", "Counters that plugins define.", MetricType::COUNTER),
    Family("tollgate_plugin_custom_gauge", "Gauges that plugins define.", MetricType::GAUGE),
    Family(
        "tollgate_plugin_custom_histogram",
        "Histograms that plugins define.",
        MetricType::HISTOGRAM,
    ),
];

/// The metrics of all plugins of a host, by name, for as long as somebody uses them.
#[derive(Default)]
pub(crate) struct AllMetrics(Mutex<BTreeMap<Arc<str>, Weak<PluginMetrics>>>);

impl AllMetrics {
    /// Those of a plugin: the same for all its versions.
    pub(crate) fn of(&self, plugin: &Arc<str>) -> Arc<PluginMetrics> {
        let mut all = self.0.lock();
        if let Some(known) = all.get(plugin).and_then(Weak::upgrade) {
            return known;
        }
        let metrics = Arc::new(PluginMetrics::new());
        all.insert(plugin.clone(), Arc::downgrade(&metrics));
        metrics
    }

    fn in_use(&self) -> Vec<(Arc<str>, Arc<PluginMetrics>)> {
        let mut in_use = Vec::new();
        self.0.lock().retain(|plugin, metrics| {
            let metrics = metrics.upgrade();
            let is_used = metrics.is_some();
            in_use.extend(metrics.map(|metrics| (plugin.clone(), metrics)));
            is_used
        });
        in_use
    }
}

/// Prometheus' view of all plugins.
pub(crate) struct PluginCollector {
    descriptions: Vec<Desc>,
    all: Arc<AllMetrics>,
}

impl PluginCollector {
    pub(crate) fn new(all: Arc<AllMetrics>) -> Self {
        let descriptions = FAMILIES
            .iter()
            .map(|Family(name, help, _)| {
                Desc::new((*name).to_owned(), (*help).to_owned(), Vec::new(), HashMap::new())
                    .expect("the names of all metrics are valid; a test has them all")
            })
            .collect();
        Self { descriptions, all }
    }
}

impl Collector for PluginCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut metrics: [Vec<Metric>; FAMILIES.len()] = Default::default();
        for (plugin, measured) in self.all.in_use() {
            for (metrics, of_plugin) in metrics.iter_mut().zip(families(&plugin, &measured)) {
                metrics.extend(of_plugin);
            }
        }
        FAMILIES
            .into_iter()
            .zip(metrics)
            // The encoder refuses a family without metrics.
            .filter(|(_, metrics)| !metrics.is_empty())
            .map(|(Family(name, help, kind), metrics)| {
                let mut family = MetricFamily::default();
                family.set_name(name.to_owned());
                family.set_help(help.to_owned());
                family.set_field_type(kind);
                family.set_metric(metrics);
                family
            })
            .collect()
    }
}

/// One plugin's metrics, in the order of [`FAMILIES`].
fn families(plugin: &str, measured: &PluginMetrics) -> [Vec<Metric>; FAMILIES.len()] {
    let of_plugin = |metric: Metric| with_labels(metric, &[("plugin", plugin)]);
    let cells = || measured.cells.all();

    let calls: [u64; CALL_BUCKETS] = Cells::sum(cells().map(|cells| &cells.calls));
    let nanoseconds = shards::sum(cells().map(|cells| &cells.nanoseconds));
    let errors = Cells::sum(std::iter::once(&measured.errors));
    let [misses, hits] = Cells::sum(cells().map(|cells| &cells.decisions));
    let (instances, memory) = (measured.instances(), measured.memory());
    let log_lines_dropped = measured.log_lines_dropped.load(Ordering::Relaxed);

    let errors = ErrorKind::ALL.map(|kind| {
        let labels = [("plugin", plugin), ("kind", kind.as_str())];
        with_labels(counter(errors[kind as usize]), &labels)
    });
    let decisions = [("hit", hits), ("miss", misses)].map(|(result, count)| {
        with_labels(counter(count), &[("plugin", plugin), ("result", result)])
    });
    let version = measured.version.lock().clone().map(|version| {
        let kind = version.kind.to_string();
        let labels = [("plugin", plugin), ("kind", &*kind), ("sha256", &*version.sha256)];
        with_labels(gauge(1.0), &labels)
    });
    let [custom_counters, custom_gauges, custom_histograms] = custom(plugin, measured);
    [
        vec![of_plugin(counter(calls.iter().sum()))],
        errors.to_vec(),
        vec![of_plugin(histogram(&CALL_BOUNDS, &calls, nanoseconds, 1e9))],
        vec![of_plugin(gauge(memory as f64))],
        vec![of_plugin(gauge(instances as f64))],
        // Only authorizers have decisions.
        if hits + misses > 0 { decisions.to_vec() } else { Vec::new() },
        vec![of_plugin(counter(log_lines_dropped))],
        version.into_iter().collect(),
        custom_counters,
        custom_gauges,
        custom_histograms,
    ]
}

/// Counters, gauges and histograms that a plugin has defined.
fn custom(plugin: &str, measured: &PluginMetrics) -> [Vec<Metric>; 3] {
    let [mut counters, mut gauges, mut histograms] = [const { Vec::new() }; 3];
    for metric in measured.custom.all() {
        let labels = [("plugin", plugin), ("name", &*metric.name)];
        let (family, value) = match &metric.value {
            Value::Counter(value) => (&mut counters, counter(value.load(Ordering::Relaxed))),
            Value::Gauge(value) => {
                (&mut gauges, gauge(value.load(Ordering::Relaxed) as i64 as f64))
            }
            Value::Histogram(value) => {
                let buckets = Cells::sum(std::iter::once(&value.buckets));
                let sum = value.sum.load(Ordering::Relaxed);
                (&mut histograms, histogram(&HISTOGRAM_BOUNDS, &buckets, sum, 1.0))
            }
        };
        family.push(with_labels(value, &labels));
    }
    [counters, gauges, histograms]
}

/// `unit` is what bounds and sum are divided by. The count is that of the buckets, so that both
/// agree in each scrape.
fn histogram(bounds: &[u64], buckets: &[u64], sum: u64, unit: f64) -> Metric {
    let mut cumulative = 0;
    let with_bounds = bounds
        .iter()
        .zip(buckets)
        .map(|(bound, count)| {
            cumulative += count;
            let mut bucket = Bucket::default();
            bucket.set_cumulative_count(cumulative);
            bucket.set_upper_bound(*bound as f64 / unit);
            bucket
        })
        .collect();
    let mut histogram = Histogram::default();
    histogram.set_bucket(with_bounds);
    histogram.set_sample_count(buckets.iter().sum());
    histogram.set_sample_sum(sum as f64 / unit);
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    metric
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

fn with_labels(mut metric: Metric, labels: &[(&str, &str)]) -> Metric {
    let labels = labels
        .iter()
        .map(|(name, value)| {
            let mut label = LabelPair::default();
            label.set_name((*name).to_owned());
            label.set_value((*value).to_owned());
            label
        })
        .collect();
    metric.set_label(labels);
    metric
}
