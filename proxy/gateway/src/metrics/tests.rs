use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);

fn has(text: &str, line: &str) {
    assert!(text.lines().any(|other| other == line), "no line {line} in\n{text}");
}

#[test]
fn every_family_of_the_module_table_is_there_with_help_and_type() {
    let metrics = Metrics::new();
    let stage = metrics.stage("a1", "dev");
    stage.record(200, MILLISECOND, Some(MILLISECOND));
    let text = metrics.encode();
    let documented = include_str!("../metrics.rs").lines().filter_map(|line| {
        let mut cells = line
            .strip_prefix("//! | `")?
            .split(['`', '|'])
            .map(str::trim)
            .filter(|cell| !cell.is_empty());
        Some((cells.next()?, cells.next()?)).filter(|(name, _)| name.starts_with("tollgate_"))
    });
    let mut count = 0;
    for (name, kind) in documented {
        has(&text, &format!("# TYPE {name} {kind}"));
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
        count += 1;
    }
    assert_eq!(count, text.lines().filter(|line| line.starts_with("# TYPE tollgate_")).count());
    assert!(
        text.contains("process_resident_memory_bytes ")
            && text.contains("process_cpu_seconds_total ")
    );
    has(&text, &format!("tollgate_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")));
}

#[test]
fn requests_and_errors_are_counted_by_api_and_stage() {
    let metrics = Metrics::new();
    let stage = metrics.stage("a1", "prod");
    let statuses = [200, 301, 399, 400, 404, 499, 500, 504, 599, 600];
    for status in statuses {
        stage.record(status, MILLISECOND, None);
    }
    let other = metrics.stage("a1", "dev");
    other.record(500, MILLISECOND, None);
    let text = metrics.encode();
    has(&text, r#"tollgate_requests_total{api="a1",stage="prod"} 10"#);
    has(&text, r#"tollgate_4xx_errors_total{api="a1",stage="prod"} 3"#);
    has(&text, r#"tollgate_5xx_errors_total{api="a1",stage="prod"} 3"#);
    has(&text, r#"tollgate_5xx_errors_total{api="a1",stage="dev"} 1"#);
}

#[test]
fn latencies_fall_in_buckets_whose_bound_is_included() {
    let metrics = Metrics::new();
    let stage = metrics.stage("a1", "dev");
    stage.record(200, Duration::from_micros(500), Some(Duration::from_micros(501)));
    stage.record(200, Duration::from_secs(30), None);
    stage.record(200, Duration::from_nanos(30_000_000_001), None);
    let text = metrics.encode();
    let latency =
        |le: &str| format!(r#"tollgate_latency_seconds_bucket{{api="a1",stage="dev",le="{le}"}}"#);
    has(&text, &format!("{} 1", latency("0.0005")));
    has(&text, &format!("{} 1", latency("10")));
    has(&text, &format!("{} 2", latency("30")));
    has(&text, &format!("{} 3", latency("+Inf")));
    has(&text, r#"tollgate_latency_seconds_count{api="a1",stage="dev"} 3"#);
    has(&text, r#"tollgate_latency_seconds_sum{api="a1",stage="dev"} 60.000500001"#);
    has(
        &text,
        r#"tollgate_integration_latency_seconds_bucket{api="a1",stage="dev",le="0.0005"} 0"#,
    );
    has(&text, r#"tollgate_integration_latency_seconds_bucket{api="a1",stage="dev",le="0.001"} 1"#);
    has(&text, r#"tollgate_integration_latency_seconds_count{api="a1",stage="dev"} 1"#);
}

#[test]
fn handles_with_the_same_labels_count_together() {
    let metrics = Metrics::new();
    let (one, other) = (metrics.stage("a1", "dev"), metrics.stage("a1", "dev"));
    one.record(200, MILLISECOND, None);
    other.clone().record(200, MILLISECOND, None);
    has(&metrics.encode(), r#"tollgate_requests_total{api="a1",stage="dev"} 2"#);
}

#[test]
fn a_stage_is_shown_from_its_first_request_until_no_snapshot_has_it() {
    let metrics = Metrics::new();
    let stage = metrics.stage("a1", "dev");
    assert!(!metrics.encode().contains("a1"));
    stage.record(200, MILLISECOND, None);
    assert!(metrics.encode().contains("a1"));
    drop(stage);
    assert!(!metrics.encode().contains("a1"));
    assert!(metrics.measured.stages.lock().is_empty());
}

#[test]
fn no_request_of_several_threads_is_lost() {
    let metrics = Metrics::new();
    let stage = metrics.stage("a1", "dev");
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                (0..10_000).for_each(|_| stage.record(503, MILLISECOND, Some(MILLISECOND)))
            });
        }
    });
    let text = metrics.encode();
    has(&text, r#"tollgate_requests_total{api="a1",stage="dev"} 200000"#);
    has(&text, r#"tollgate_5xx_errors_total{api="a1",stage="dev"} 200000"#);
    has(&text, r#"tollgate_integration_latency_seconds_sum{api="a1",stage="dev"} 200"#);
}

#[test]
fn an_open_connection_may_be_closed_by_another_thread() {
    let metrics = Metrics::new();
    let connections: Vec<_> =
        (0..3).map(|_| metrics.connection_opened(ListenerProtocol::Https)).collect();
    let kept = metrics.connection_opened(ListenerProtocol::Http);
    has(&metrics.encode(), r#"tollgate_connections{protocol="https"} 3"#);
    std::thread::spawn(move || drop(connections)).join().expect("no panic");
    let text = metrics.encode();
    has(&text, r#"tollgate_connections{protocol="https"} 0"#);
    has(&text, r#"tollgate_connections{protocol="http"} 1"#);
    drop(kept);
}

#[test]
fn each_closed_set_counts_its_own_value_and_shows_the_others_at_zero() {
    let metrics = Metrics::new();
    metrics.connection_refused(ConnectionRefusal::Address);
    metrics.tls_handshake(HandshakeResult::Resumed);
    metrics.request_refused(RequestRefusal::FrameBudget);
    metrics.upstream_connection(UpstreamConnectionResult::TlsFailed);
    metrics.reload(ReloadResult::Rejected);
    let text = metrics.encode();
    has(&text, r#"tollgate_connections_refused_total{reason="address"} 1"#);
    has(&text, r#"tollgate_connections_refused_total{reason="total"} 0"#);
    has(&text, r#"tollgate_tls_handshakes_total{result="resumed"} 1"#);
    has(&text, r#"tollgate_requests_refused_total{reason="frame_budget"} 1"#);
    has(&text, r#"tollgate_requests_refused_total{reason="malformed"} 0"#);
    has(&text, r#"tollgate_upstream_connections_total{result="tls_failed"} 1"#);
    has(&text, r#"tollgate_reloads_total{result="rejected"} 1"#);
    assert_eq!(RequestRefusal::FrameBudget.label(), "frame_budget");
}

#[test]
fn dropped_lines_of_the_access_log_are_shown() {
    let metrics = Metrics::new();
    let dropped = Arc::new(AtomicU64::new(0));
    metrics.report_dropped_lines(Arc::clone(&dropped));
    has(&metrics.encode(), "tollgate_access_log_dropped_lines_total 0");
    dropped.store(7, Ordering::Relaxed);
    has(&metrics.encode(), "tollgate_access_log_dropped_lines_total 7");
}

#[test]
fn names_with_quotes_stay_inside_their_label() {
    let metrics = Metrics::new();
    let stage = metrics.stage("a\"}\n", "dev");
    stage.record(200, MILLISECOND, None);
    has(&metrics.encode(), r#"tollgate_requests_total{api="a\"}\n",stage="dev"} 1"#);
}
