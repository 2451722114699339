//! Prometheus metrics of the throttle.

use std::collections::HashMap;
use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use crate::{Counts, Mode, Outcome, SourceThrottle};

const PACKETS: (&str, &str) = (
    "tollgate_source_throttle_packets_total",
    "Packets to the gateway that the kernel throttle saw, by what became of them.",
);
const CONNECTIONS: (&str, &str) = (
    "tollgate_source_throttle_connections_total",
    "Connections that the throttle saw in user space, by what became of them.",
);
const MODE: (&str, &str) = (
    "tollgate_source_throttle_mode",
    "1 for where sources are throttled: native or generic XDP, or user space.",
);

/// Counts a throttle's packets or connections at each scrape.
pub struct ThrottleCollector {
    throttle: Arc<SourceThrottle>,
    descriptions: Vec<Desc>,
}

impl ThrottleCollector {
    /// # Errors
    /// Never: the names are valid.
    pub fn new(throttle: Arc<SourceThrottle>) -> prometheus::Result<Self> {
        let description = |(name, help): (&str, &str)| {
            Desc::new(name.to_owned(), help.to_owned(), Vec::new(), HashMap::new())
        };
        let descriptions =
            [PACKETS, CONNECTIONS, MODE].into_iter().map(description).collect::<Result<_, _>>()?;
        Ok(Self { throttle, descriptions })
    }
}

impl Collector for ThrottleCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let running = self.throttle.status().mode;
        let modes = Mode::ALL.map(|mode| {
            let mut gauge = Gauge::default();
            gauge.set_value(f64::from(u8::from(mode == running)));
            let mut metric = labelled("mode", mode.as_str());
            metric.set_gauge(gauge);
            metric
        });
        let mut families = vec![family(MODE, MetricType::GAUGE, modes.into())];
        match self.throttle.counts() {
            Ok(Counts::Packets(counts)) => families.push(counters(PACKETS, &counts)),
            Ok(Counts::Connections(counts)) => families.push(counters(CONNECTIONS, &counts)),
            Err(error) => tracing::error!(%error, "The kernel throttle's counters are not there"),
        }
        families
    }
}

fn counters(named: (&str, &str), counts: &[(Outcome, u64)]) -> MetricFamily {
    let metric = |(outcome, count): &(Outcome, u64)| {
        let mut counter = Counter::default();
        counter.set_value(*count as f64);
        let mut metric = labelled("outcome", outcome.as_str());
        metric.set_counter(counter);
        metric
    };
    family(named, MetricType::COUNTER, counts.iter().map(metric).collect())
}

fn family((name, help): (&str, &str), kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn labelled(name: &str, value: &str) -> Metric {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    let mut metric = Metric::default();
    metric.set_label(vec![label]);
    metric
}
