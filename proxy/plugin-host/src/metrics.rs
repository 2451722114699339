//! What plugins are measured by.
//!
//! [`PluginMetrics`] counts for one plugin name, over all versions and instances. What happens
//! with each call is counted in memory of the calling thread's own ([`shards`]); [`custom`] are
//! the metrics that proxy-wasm filters define; [`collect`] is Prometheus' view of them all.

mod collect;
mod custom;
mod shards;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::{ErrorKind, PluginKind, limits};

pub(crate) use collect::{AllMetrics, PluginCollector};
pub(crate) use custom::{MetricError, MetricKind};

use custom::CustomMetrics;
use shards::{Cells, Sharded};

/// Upper bounds of the buckets of call times, in nanoseconds; the last bucket has none.
const CALL_BOUNDS: [u64; 19] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
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
];
const CALL_BUCKETS: usize = CALL_BOUNDS.len() + 1;

/// Counters of one plugin, over all its versions.
pub(crate) struct PluginMetrics {
    cells: Sharded<PluginCells>,
    errors: Cells<{ ErrorKind::ALL.len() }>,
    log_lines_dropped: AtomicU64,
    /// Fuel used, where it is measured.
    fuel: AtomicU64,
    custom: CustomMetrics,
    /// Of the version in use.
    version: Mutex<Option<Version>>,
    failures: Mutex<FailureGate>,
}

#[derive(Clone)]
struct Version {
    kind: PluginKind,
    sha256: String,
}

/// One thread's part. `instances` and `memory` go up on one thread and down on another, and wrap.
#[derive(Default)]
struct PluginCells {
    calls: Cells<CALL_BUCKETS>,
    nanoseconds: AtomicU64,
    decisions: Cells<2>,
    instances: AtomicU64,
    memory: AtomicU64,
}

/// Whether a failure is to be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureLog {
    Log,
    /// The first of those left out: how many there were is to be asked after this time, with
    /// [`PluginMetrics::failures_left_out`].
    LeaveOutAndReportIn(Duration),
    LeaveOut,
}

struct FailureGate {
    window_end: Option<Instant>,
    logged: u32,
    left_out: u64,
}

impl PluginMetrics {
    pub(crate) fn new() -> Self {
        Self {
            cells: Sharded::default(),
            errors: Cells::default(),
            log_lines_dropped: AtomicU64::new(0),
            fuel: AtomicU64::new(0),
            custom: CustomMetrics::default(),
            version: Mutex::new(None),
            failures: Mutex::new(FailureGate { window_end: None, logged: 0, left_out: 0 }),
        }
    }

    /// One call of the plugin ended, well or not, after this time.
    pub(crate) fn call(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let cells = self.cells.own();
        cells.calls.add(CALL_BOUNDS.partition_point(|bound| *bound < nanoseconds), 1);
        cells.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// A call used so much fuel; 0 where it is not measured.
    pub(crate) fn fuel(&self, used: u64) {
        if used > 0 {
            self.fuel.fetch_add(used, Ordering::Relaxed);
        }
    }

    pub(crate) fn used_fuel(&self) -> u64 {
        self.fuel.load(Ordering::Relaxed)
    }

    /// Counts a failure; [`crate::trap::report`] does so.
    pub(crate) fn error(&self, kind: ErrorKind) {
        self.errors.add(kind as usize, 1);
    }

    /// Failures of one kind.
    #[cfg(test)]
    pub(crate) fn errors(&self, kind: ErrorKind) -> u64 {
        Cells::sum(std::iter::once(&self.errors))[kind as usize]
    }

    /// [`crate::limiter::Limiter`] counts instances and memory.
    pub(crate) fn instance_started(&self) {
        self.cells.own().instances.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn instance_ended(&self) {
        self.cells.own().instances.fetch_sub(1, Ordering::Relaxed);
    }

    /// Linear memory has grown by this many bytes, or gone away.
    pub(crate) fn memory_changed(&self, bytes: i64) {
        self.cells.own().memory.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Instances that there are. What began and ended between the reads of two threads' parts may
    /// be seen to end only: never less than 0.
    pub(crate) fn instances(&self) -> i64 {
        signed_sum(self.cells.all().map(|cells| &cells.instances))
    }

    /// Bytes of linear memory of all instances.
    pub(crate) fn memory(&self) -> i64 {
        signed_sum(self.cells.all().map(|cells| &cells.memory))
    }

    /// A decision was found in the cache, or asked for because it was not.
    pub(crate) fn decision_cache(&self, hit: bool) {
        self.cells.own().decisions.add(usize::from(hit), 1);
    }

    /// Lines of the plugin's log that were over a bound.
    pub(crate) fn log_lines_dropped(&self, lines: u64) {
        self.log_lines_dropped.fetch_add(lines, Ordering::Relaxed);
    }

    /// A metric of the plugin's own; the same kind and name give the same id, which is never 0.
    /// None: the name is too long, or there are [`limits::METRICS`] already.
    pub(crate) fn define(&self, kind: MetricKind, name: &str) -> Option<u32> {
        self.custom.define(kind, name)
    }

    /// Counters by more than 0, gauges either way, histograms not.
    pub(crate) fn increment(&self, id: u32, by: i64) -> Result<(), MetricError> {
        self.custom.increment(id, by)
    }

    /// Adds to a counter, sets a gauge, samples for a histogram.
    pub(crate) fn record(&self, id: u32, value: u64) -> Result<(), MetricError> {
        self.custom.record(id, value)
    }

    /// The value of a counter or gauge.
    pub(crate) fn get(&self, id: u32) -> Result<u64, MetricError> {
        self.custom.get(id)
    }

    /// The version that is in use now.
    pub(crate) fn set_version(&self, kind: PluginKind, sha256: &str) {
        *self.version.lock() = Some(Version { kind, sha256: sha256.to_owned() });
    }

    /// Decides whether a failure at `now` is logged: [`limits::FAILURE_LINES`] are within each
    /// [`limits::FAILURE_WINDOW`].
    pub(crate) fn admit_failure(&self, now: Instant) -> FailureLog {
        self.failures.lock().admit(now)
    }

    /// How many failures were left out since this was last asked.
    pub(crate) fn failures_left_out(&self) -> u64 {
        std::mem::take(&mut self.failures.lock().left_out)
    }
}

fn signed_sum<'a>(cells: impl Iterator<Item = &'a AtomicU64>) -> i64 {
    (shards::sum(cells) as i64).max(0)
}

impl FailureGate {
    fn admit(&mut self, now: Instant) -> FailureLog {
        let end = match self.window_end {
            Some(end) if now < end => end,
            _ => {
                self.logged = 0;
                *self.window_end.insert(now + limits::FAILURE_WINDOW)
            }
        };
        if self.logged < limits::FAILURE_LINES {
            self.logged += 1;
            return FailureLog::Log;
        }
        self.left_out += 1;
        match self.left_out {
            1 => FailureLog::LeaveOutAndReportIn(end - now),
            _ => FailureLog::LeaveOut,
        }
    }
}

#[cfg(test)]
mod tests;
