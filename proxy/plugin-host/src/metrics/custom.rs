//! Metrics that plugins define for themselves.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::shards::Cells;
use crate::limits;

/// proxy-wasm's numbers in the same order: 0, 1, 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

/// Why a metric can't be changed or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetricError {
    /// No metric has this id.
    Unknown,
    /// Its kind doesn't allow this.
    Unsuited,
}

/// Upper bounds of a histogram's buckets: those of Envoy, for which filters were written. The
/// unit is the plugin's.
pub(super) const HISTOGRAM_BOUNDS: [u64; 18] = [
    1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000,
    1_800_000, 3_600_000,
];
pub(super) const HISTOGRAM_BUCKETS: usize = HISTOGRAM_BOUNDS.len() + 1;

/// All of one plugin. Ids are places in `metrics`, from 1, so that using one takes no lock.
#[derive(Default)]
pub(super) struct CustomMetrics {
    ids: Mutex<HashMap<(MetricKind, Box<str>), u32>>,
    /// [`limits::METRICS`] places, made with the first metric.
    metrics: OnceLock<Box<[OnceLock<CustomMetric>]>>,
}

pub(super) struct CustomMetric {
    pub(super) name: Box<str>,
    pub(super) value: Value,
}

pub(super) enum Value {
    Counter(AtomicU64),
    /// A signed number.
    Gauge(AtomicU64),
    Histogram(Box<Histogram>),
}

#[derive(Default)]
pub(super) struct Histogram {
    pub(super) buckets: Cells<HISTOGRAM_BUCKETS>,
    pub(super) sum: AtomicU64,
}

impl CustomMetrics {
    pub(super) fn define(&self, kind: MetricKind, name: &str) -> Option<u32> {
        if name.len() > limits::METRIC_NAME {
            return None;
        }
        let mut ids = self.ids.lock();
        if let Some(id) = ids.get(&(kind, Box::from(name))) {
            return Some(*id);
        }
        let place = ids.len();
        let metrics = self
            .metrics
            .get_or_init(|| std::iter::repeat_with(OnceLock::new).take(limits::METRICS).collect());
        let metric = metrics.get(place)?;
        metric.get_or_init(|| CustomMetric { name: name.into(), value: Value::new(kind) });
        let id = place as u32 + 1;
        ids.insert((kind, name.into()), id);
        Some(id)
    }

    fn metric(&self, id: u32) -> Result<&Value, MetricError> {
        let place = (id as usize).checked_sub(1).ok_or(MetricError::Unknown)?;
        let metric = self.metrics.get().and_then(|metrics| metrics.get(place)?.get());
        metric.map(|metric| &metric.value).ok_or(MetricError::Unknown)
    }

    pub(super) fn increment(&self, id: u32, by: i64) -> Result<(), MetricError> {
        match self.metric(id)? {
            Value::Counter(value) if by > 0 => value.fetch_add(by as u64, Ordering::Relaxed),
            Value::Gauge(value) => value.fetch_add(by as u64, Ordering::Relaxed),
            Value::Counter(_) | Value::Histogram(_) => return Err(MetricError::Unsuited),
        };
        Ok(())
    }

    pub(super) fn record(&self, id: u32, recorded: u64) -> Result<(), MetricError> {
        match self.metric(id)? {
            Value::Counter(value) => {
                value.fetch_add(recorded, Ordering::Relaxed);
            }
            Value::Gauge(value) => value.store(recorded, Ordering::Relaxed),
            Value::Histogram(histogram) => histogram.record(recorded),
        }
        Ok(())
    }

    pub(super) fn get(&self, id: u32) -> Result<u64, MetricError> {
        match self.metric(id)? {
            Value::Counter(value) | Value::Gauge(value) => Ok(value.load(Ordering::Relaxed)),
            Value::Histogram(_) => Err(MetricError::Unsuited),
        }
    }

    /// All, in the order in which they were defined.
    pub(super) fn all(&self) -> impl Iterator<Item = &CustomMetric> {
        let metrics = self.metrics.get().map(|metrics| &**metrics).unwrap_or_default();
        metrics.iter().map_while(OnceLock::get)
    }
}

impl Value {
    fn new(kind: MetricKind) -> Self {
        match kind {
            MetricKind::Counter => Self::Counter(AtomicU64::new(0)),
            MetricKind::Gauge => Self::Gauge(AtomicU64::new(0)),
            MetricKind::Histogram => Self::Histogram(Box::default()),
        }
    }
}

impl Histogram {
    fn record(&self, value: u64) {
        self.buckets.add(HISTOGRAM_BOUNDS.partition_point(|bound| *bound < value), 1);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }
}
