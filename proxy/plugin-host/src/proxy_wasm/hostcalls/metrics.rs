//! Metrics of filters' own, which appear among the gateway's.

use super::super::abi::Status;
use super::super::guest::{Guest, Outcome, name, split, write_u32, write_u64};
use crate::metrics::{MetricError, MetricKind};

/// `proxy_define_metric`
pub(in super::super) fn define(
    guest: &mut Guest<'_>,
    kind: u32,
    metric: u32,
    metric_size: u32,
    id_to: u32,
) -> Outcome {
    let kind = match kind {
        0 => MetricKind::Counter,
        1 => MetricKind::Gauge,
        2 => MetricKind::Histogram,
        _ => return Err(Status::BadArgument.into()),
    };
    let (memory, state) = split(guest)?;
    let metric = name(memory, metric, metric_size, Status::InternalFailure)?;
    let metric = str::from_utf8(metric).map_err(|_| Status::BadArgument)?;
    let id = state.plugin.metrics.define(kind, metric).ok_or(Status::InternalFailure)?;
    write_u32(guest, id_to, id)
}

/// `proxy_increment_metric`
pub(in super::super) fn increment(guest: &mut Guest<'_>, id: u32, by: i64) -> Outcome {
    Ok(guest.data().plugin.metrics.increment(id, by)?)
}

/// `proxy_record_metric`
pub(in super::super) fn record(guest: &mut Guest<'_>, id: u32, value: u64) -> Outcome {
    Ok(guest.data().plugin.metrics.record(id, value)?)
}

/// `proxy_get_metric`
pub(in super::super) fn get(guest: &mut Guest<'_>, id: u32, value_to: u32) -> Outcome {
    let value = guest.data().plugin.metrics.get(id)?;
    write_u64(guest, value_to, value)
}

impl From<MetricError> for super::super::guest::Failure {
    fn from(error: MetricError) -> Self {
        Self::Status(match error {
            MetricError::Unknown => Status::NotFound,
            MetricError::Unsuited => Status::BadArgument,
        })
    }
}
