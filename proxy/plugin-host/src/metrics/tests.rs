use std::sync::Arc;

use prometheus::core::Collector;
use prometheus::{Encoder, TextEncoder};

use super::*;
use crate::Abi;

/// What a scrape shows of one plugin that `count` has counted for.
fn scraped(count: impl FnOnce(&PluginMetrics)) -> String {
    let all = Arc::new(AllMetrics::default());
    let metrics = all.of(&"filter".into());
    count(&metrics);
    let mut text = Vec::new();
    TextEncoder::new().encode(&PluginCollector::new(all).collect(), &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[track_caller]
fn assert_has(scraped: &str, lines: &[&str]) {
    for line in lines {
        assert!(scraped.lines().any(|it| it == *line), "no line {line} in\n{scraped}");
    }
}

#[test]
fn calls_are_counted_in_the_buckets_of_their_times() {
    let text = scraped(|metrics| {
        for nanoseconds in [500, 1_000, 1_001, 999_999_999, 2_000_000_000] {
            metrics.call(Duration::from_nanos(nanoseconds));
        }
    });
    assert_has(
        &text,
        &[
            "tollgate_plugin_calls_total{plugin=\"filter\"} 5",
            "tollgate_plugin_call_seconds_bucket{plugin=\"filter\",le=\"0.000001\"} 2",
            "tollgate_plugin_call_seconds_bucket{plugin=\"filter\",le=\"0.0000025\"} 3",
            "tollgate_plugin_call_seconds_bucket{plugin=\"filter\",le=\"0.5\"} 3",
            "tollgate_plugin_call_seconds_bucket{plugin=\"filter\",le=\"1\"} 4",
            "tollgate_plugin_call_seconds_bucket{plugin=\"filter\",le=\"+Inf\"} 5",
            "tollgate_plugin_call_seconds_count{plugin=\"filter\"} 5",
            "tollgate_plugin_call_seconds_sum{plugin=\"filter\"} 3.0000025",
        ],
    );
}

#[test]
fn errors_have_a_series_for_each_kind_from_the_start() {
    let text = scraped(|metrics| {
        metrics.error(ErrorKind::CpuTime);
        metrics.error(ErrorKind::Start);
    });
    for kind in ErrorKind::ALL {
        let count = usize::from(matches!(kind, ErrorKind::CpuTime | ErrorKind::Start));
        let kind = kind.as_str();
        assert_has(
            &text,
            &[&format!(
                "tollgate_plugin_errors_total{{plugin=\"filter\",kind=\"{kind}\"}} {count}"
            )],
        );
    }
}

#[test]
fn each_kind_of_error_is_at_its_place_in_the_list_of_all() {
    for (place, kind) in ErrorKind::ALL.into_iter().enumerate() {
        assert_eq!(kind as usize, place);
    }
}

#[test]
fn decisions_are_counted_by_result() {
    let text = scraped(|metrics| {
        for hit in [true, true, false] {
            metrics.decision_cache(hit);
        }
    });
    assert_has(
        &text,
        &[
            "tollgate_plugin_decision_cache_total{plugin=\"filter\",result=\"hit\"} 2",
            "tollgate_plugin_decision_cache_total{plugin=\"filter\",result=\"miss\"} 1",
        ],
    );
    assert!(!scraped(|_| ()).contains("decision_cache"), "only authorizers have decisions");
}

#[test]
fn memory_and_instances_are_gauges_and_the_version_a_label() {
    let text = scraped(|metrics| {
        metrics.instance_started();
        metrics.instance_started();
        metrics.memory_changed(131_072);
        std::thread::scope(|scope| {
            scope.spawn(|| metrics.instance_ended());
            scope.spawn(|| metrics.memory_changed(-65_536));
        });
        metrics.log_lines_dropped(7);
        metrics.set_version(PluginKind::Authorizer, "00ff");
        metrics.set_version(PluginKind::ProxyWasm(Abi::V0_2_1), "ff00");
    });
    assert_has(
        &text,
        &[
            "# TYPE tollgate_plugin_memory_bytes gauge",
            "tollgate_plugin_memory_bytes{plugin=\"filter\"} 65536",
            "tollgate_plugin_instances{plugin=\"filter\"} 1",
            "tollgate_plugin_log_lines_dropped_total{plugin=\"filter\"} 7",
            "tollgate_plugin_info{plugin=\"filter\",kind=\"proxy-wasm filter, ABI 0.2.1\",\
             sha256=\"ff00\"} 1",
        ],
    );
}

#[test]
fn metrics_of_a_name_go_on_while_a_version_uses_them() {
    let all = Arc::new(AllMetrics::default());
    let name: Arc<str> = "filter".into();
    let old = all.of(&name);
    old.call(Duration::from_micros(1));
    let new = all.of(&name);
    assert!(Arc::ptr_eq(&old, &new));
    drop((old, new));
    let families = || PluginCollector::new(all.clone()).collect();
    assert!(families().is_empty());
    let _again = all.of(&name);
    assert_eq!(families()[0].get_metric()[0].get_counter().get_value(), 0.0);
}

#[test]
fn a_metric_of_the_same_kind_and_name_is_the_same() {
    let metrics = PluginMetrics::new();
    let id = metrics.define(MetricKind::Counter, "seen").unwrap();
    assert_ne!(id, 0);
    assert_eq!(metrics.define(MetricKind::Counter, "seen"), Some(id));
    assert_ne!(metrics.define(MetricKind::Counter, "other"), Some(id));
    assert_ne!(metrics.define(MetricKind::Gauge, "seen"), Some(id));
}

#[test]
fn counters_gauges_and_histograms_take_what_suits_them() {
    let metrics = PluginMetrics::new();
    let counter = metrics.define(MetricKind::Counter, "c").unwrap();
    assert_eq!(metrics.increment(counter, 3), Ok(()));
    assert_eq!(metrics.increment(counter, 0), Err(MetricError::Unsuited));
    assert_eq!(metrics.increment(counter, -1), Err(MetricError::Unsuited));
    assert_eq!(metrics.record(counter, 4), Ok(()));
    assert_eq!(metrics.get(counter), Ok(7));

    let gauge = metrics.define(MetricKind::Gauge, "g").unwrap();
    assert_eq!(metrics.record(gauge, 10), Ok(()));
    assert_eq!(metrics.increment(gauge, -12), Ok(()));
    assert_eq!(metrics.get(gauge), Ok(-2_i64 as u64));

    let histogram = metrics.define(MetricKind::Histogram, "h").unwrap();
    assert_eq!(metrics.increment(histogram, 1), Err(MetricError::Unsuited));
    assert_eq!(metrics.record(histogram, 1), Ok(()));
    assert_eq!(metrics.get(histogram), Err(MetricError::Unsuited));

    for unknown in [0, histogram + 1, u32::MAX] {
        assert_eq!(metrics.increment(unknown, 1), Err(MetricError::Unknown));
        assert_eq!(metrics.record(unknown, 1), Err(MetricError::Unknown));
        assert_eq!(metrics.get(unknown), Err(MetricError::Unknown));
    }
}

#[test]
fn plugins_can_not_define_without_end() {
    let metrics = PluginMetrics::new();
    for number in 0..limits::METRICS {
        assert!(metrics.define(MetricKind::Gauge, &format!("metric {number}")).is_some());
    }
    assert_eq!(metrics.define(MetricKind::Gauge, "one more"), None);
    assert!(metrics.define(MetricKind::Gauge, "metric 0").is_some());
    let long = "x".repeat(limits::METRIC_NAME + 1);
    assert_eq!(PluginMetrics::new().define(MetricKind::Gauge, &long), None);
}

#[test]
fn metrics_that_plugins_define_keep_their_names_in_a_label() {
    let text = scraped(|metrics| {
        let counter = metrics.define(MetricKind::Counter, "http.requests \"a\"\n").unwrap();
        metrics.increment(counter, 2).unwrap();
        let gauge = metrics.define(MetricKind::Gauge, "temperature").unwrap();
        metrics.increment(gauge, -3).unwrap();
        let histogram = metrics.define(MetricKind::Histogram, "size").unwrap();
        for value in [1, 5, 6, 4_000_000] {
            metrics.record(histogram, value).unwrap();
        }
    });
    assert_has(
        &text,
        &[
            "tollgate_plugin_custom_counter{plugin=\"filter\",name=\"http.requests \\\"a\\\"\\n\"} 2",
            "tollgate_plugin_custom_gauge{plugin=\"filter\",name=\"temperature\"} -3",
            "tollgate_plugin_custom_histogram_bucket{plugin=\"filter\",name=\"size\",le=\"5\"} 2",
            "tollgate_plugin_custom_histogram_bucket{plugin=\"filter\",name=\"size\",le=\"10\"} 3",
            "tollgate_plugin_custom_histogram_bucket{plugin=\"filter\",name=\"size\",le=\"+Inf\"} 4",
            "tollgate_plugin_custom_histogram_sum{plugin=\"filter\",name=\"size\"} 4000012",
        ],
    );
}

#[test]
fn every_family_is_described() {
    let all = Arc::new(AllMetrics::default());
    let metrics = all.of(&"filter".into());
    metrics.decision_cache(true);
    metrics.set_version(PluginKind::Authorizer, "00");
    for kind in [MetricKind::Counter, MetricKind::Gauge, MetricKind::Histogram] {
        metrics.define(kind, "name").unwrap();
    }
    let registry = prometheus::Registry::new();
    registry.register(Box::new(PluginCollector::new(all.clone()))).unwrap();
    let collector = PluginCollector::new(all);
    let described: Vec<&str> = collector.desc().iter().map(|it| it.fq_name.as_str()).collect();
    let families = collector.collect();
    let collected: Vec<&str> = families.iter().map(|family| family.name()).collect();
    assert_eq!(collected, described);
}

#[test]
fn only_so_many_failures_are_logged_in_a_window() {
    let metrics = PluginMetrics::new();
    let begin = Instant::now();
    let after = |milliseconds| begin + Duration::from_millis(milliseconds);
    for at in 0..u64::from(limits::FAILURE_LINES) {
        assert_eq!(metrics.admit_failure(after(at)), FailureLog::Log);
    }
    let rest = limits::FAILURE_WINDOW - Duration::from_millis(1_000);
    assert_eq!(metrics.admit_failure(after(1_000)), FailureLog::LeaveOutAndReportIn(rest));
    assert_eq!(metrics.admit_failure(after(1_001)), FailureLog::LeaveOut);
    assert_eq!(metrics.failures_left_out(), 2);
    assert_eq!(metrics.failures_left_out(), 0);

    let next = begin + limits::FAILURE_WINDOW;
    assert_eq!(metrics.admit_failure(next), FailureLog::Log);
}
