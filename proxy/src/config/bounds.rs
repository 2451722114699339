//! The ranges of limits and health checks: an absent key leaves the default, and what is given
//! has to be in range. Zero is a value like another, never "no limit".

use std::time::Duration;

use tollgate_gateway::config::HealthCheck;
use tollgate_gateway::limits::Limits;

use super::checked::Checker;
use super::wire::{self, Interval, Maybe};
use super::{ConfigError, values};
use crate::definitions::MAXIMUM_INTEGRATION_TIMEOUT;

pub fn limits(wire: &wire::Limits, at: &Checker<'_>) -> Result<Limits, ConfigError> {
    let mut limits = Limits::default();
    // KEY(READER in SMALLEST..=LARGEST): an absent key leaves the default.
    macro_rules! set {
        ($($name:ident($reader:ident in $smallest:expr => $largest:expr)),* $(,)?) => {$(
            let key = concat!("limits.", stringify!($name));
            if let Some(value) = at.optional(&wire.$name, key, |text| values::$reader(text, $smallest..=$largest))? {
                limits.$name = value.try_into().expect("the range fits the type");
            }
        )*};
    }
    set! {
        maximum_payload(size in 1 => GIB),
        maximum_request_headers(size in KIB => MIB),
        maximum_private_request_headers(size in KIB => MIB),
        maximum_url(size in 256 => 64 * KIB),
        maximum_header_fields(count in 8 => 1024),
        connection_idle_timeout(duration in seconds(1) => HOUR),
        request_head_timeout(duration in milliseconds(100) => seconds(300)),
        tls_handshake_timeout(duration in milliseconds(100) => seconds(300)),
        body_stall_timeout(duration in milliseconds(100) => seconds(900)),
        minimum_body_rate(size in 1 => GIB),
        connect_timeout(duration in milliseconds(50) => seconds(300)),
        upstream_idle_timeout(duration in seconds(1) => HOUR),
        upstream_idle_connections(count in 0 => 65_536),
        connections_per_address(count in 1 => 10_000_000),
        connections(count in 1 => 10_000_000),
        http2_concurrent_streams(count in 1 => 10_000),
        http2_control_frame_budget(count in 10 => 1_000_000),
        drain_timeout(duration in seconds(0) => HOUR),
    }
    Ok(limits)
}

/// The longest timeout an integration may have. It is part of what is compiled, not of what the
/// gateway is started with.
pub fn maximum_integration_timeout(
    wire: &wire::Limits,
    at: &Checker<'_>,
) -> Result<Duration, ConfigError> {
    let key = "limits.maximum_integration_timeout";
    let range = milliseconds(50)..=seconds(300);
    let given = at.optional(&wire.maximum_integration_timeout, key, |text| {
        values::duration(text, range.clone())
    })?;
    Ok(given.unwrap_or(MAXIMUM_INTEGRATION_TIMEOUT))
}

/// Health checks of a VPC link: defaults, and the ranges of what is given.
pub fn health_check(
    wire: &wire::HealthCheck,
    parent: &str,
    at: &Checker<'_>,
) -> Result<HealthCheck, ConfigError> {
    let default = HealthCheck::default();
    let threshold = |maybe, name, default| {
        let key = format!("{parent}.{name}");
        at.optional(maybe, &key, |text| values::count(text, 1..=100))
            .map(|count| count.map_or(default, |n| n as u32))
    };
    let duration = |maybe: &Maybe<Interval>, name, smallest, largest, default| {
        at.optional(maybe, &format!("{parent}.{name}"), |text| {
            values::duration(text, smallest..=largest)
        })
        .map(|given| given.unwrap_or(default))
    };
    Ok(HealthCheck {
        interval: duration(&wire.interval, "interval", milliseconds(100), HOUR, default.interval)?,
        timeout: duration(
            &wire.timeout,
            "timeout",
            milliseconds(10),
            seconds(60),
            default.timeout,
        )?,
        unhealthy_threshold: threshold(
            &wire.unhealthy_threshold,
            "unhealthy_threshold",
            default.unhealthy_threshold,
        )?,
        healthy_threshold: threshold(
            &wire.healthy_threshold,
            "healthy_threshold",
            default.healthy_threshold,
        )?,
    })
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const HOUR: Duration = seconds(3600);

const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

const fn milliseconds(number: u64) -> Duration {
    Duration::from_millis(number)
}
