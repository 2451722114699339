//! The same limits where connections are accepted.

use std::net::IpAddr;
use std::sync::Arc;
use std::thread;

use tollgate_throttle::Rate;
use tollgate_xdp::{
    AcceptFilter, Admission, Counts, Limits, Mode, Offence, Outcome, PenaltySettings, Reported,
    Settings, SourceThrottle, Standing, ThrottleCollector,
};

const SECOND: u64 = 1_000_000_000;

fn settings(lists: &[(&str, Standing)]) -> Settings {
    Settings {
        limits: Limits { connections: Rate::new(10.0, 20).ok(), packets: None },
        lists: lists.iter().map(|(text, standing)| (text.parse().unwrap(), *standing)).collect(),
        ..Settings::default()
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn admitted(filter: &AcceptFilter, text: &str, now: u64, times: usize) -> usize {
    (0..times).filter(|_| filter.outcome(address(text), now) == Outcome::Admitted).count()
}

#[test]
fn a_source_gets_its_burst_and_then_its_rate() {
    let filter = AcceptFilter::new(&settings(&[])).unwrap();
    assert_eq!(admitted(&filter, "203.0.113.7", SECOND, 50), 20);
    assert_eq!(admitted(&filter, "203.0.113.7", 2 * SECOND, 50), 10);
    assert_eq!(admitted(&filter, "::ffff:203.0.113.7", 2 * SECOND, 50), 0, "it is the same");
    assert_eq!(admitted(&filter, "203.0.113.8", 2 * SECOND, 50), 20);
    assert_eq!(admitted(&filter, "2001:db8::1", 2 * SECOND, 15), 15);
    assert_eq!(admitted(&filter, "2001:db8::2", 2 * SECOND, 15), 5, "one network");
}

#[test]
fn threads_share_a_bucket_without_losing_a_token() {
    let filter = AcceptFilter::new(&settings(&[])).unwrap();
    let all: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| admitted(&filter, "203.0.113.7", SECOND, 1000)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(all, 20);
}

#[test]
fn the_longest_prefix_decides_and_lists_change() {
    let lists = [("203.0.113.0/24", Standing::Denied), ("203.0.113.64/26", Standing::Trusted)];
    let filter = AcceptFilter::new(&settings(&lists)).unwrap();
    let outcome = |text| filter.outcome(address(text), SECOND);
    assert_eq!(outcome("203.0.113.7"), Outcome::Denied);
    assert_eq!(outcome("203.0.113.70"), Outcome::Allowed);
    assert_eq!(outcome("198.51.100.1"), Outcome::Admitted);
    assert!(filter.list("198.51.100.0/24".parse().unwrap(), Some(Standing::Denied)));
    assert!(!filter.list("203.0.113.0/24".parse().unwrap(), None), "it is configured");
    assert_eq!(outcome("198.51.100.1"), Outcome::Denied);
    filter.reconfigure(&settings(&[]));
    assert_eq!(outcome("203.0.113.7"), Outcome::Admitted);
    assert_eq!(outcome("198.51.100.1"), Outcome::Denied, "it was listed at run time");
    assert!(filter.list("198.51.100.0/24".parse().unwrap(), None));
    assert_eq!(outcome("198.51.100.1"), Outcome::Admitted);
}

#[test]
fn all_of_ipv6_denied_leaves_ipv4_alone() {
    let filter = AcceptFilter::new(&settings(&[("::/0", Standing::Denied)])).unwrap();
    assert_eq!(filter.outcome(address("2001:db8::1"), SECOND), Outcome::Denied);
    assert_eq!(filter.outcome(address("203.0.113.7"), SECOND), Outcome::Admitted);
}

#[test]
fn offences_are_forgiven_until_they_are_too_many() {
    let penalties =
        PenaltySettings { tolerated: Rate::new(1.0, 8).unwrap(), ..PenaltySettings::default() };
    let throttle =
        SourceThrottle::start(&Settings { penalties: Some(penalties), ..settings(&[]) }).unwrap();
    let client = address("203.0.113.7");
    assert_eq!(throttle.report(client, Offence::FailedHandshake), Reported::Noted);
    assert_eq!(throttle.report(client, Offence::FailedHandshake), Reported::Noted);
    assert_eq!(throttle.admit_connection(client), Admission::Admit);
    let Reported::Penalised(time) = throttle.report(client, Offence::RefusedRequest) else {
        panic!("it is the ninth");
    };
    assert!(time.as_secs_f64() <= 1.0, "{time:?}");
    assert_eq!(throttle.admit_connection(client), Admission::Refuse(Outcome::Penalty));
    assert!(throttle.accept_filter().unwrap().release(client));
    assert_eq!(throttle.admit_connection(client), Admission::Admit);
    assert_eq!(throttle.status().mode, Mode::UserSpace);
    let Ok(Counts::Connections(counts)) = throttle.counts() else { panic!("it is user space") };
    let counted: Vec<_> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [(Outcome::Admitted, 2), (Outcome::Penalty, 1)]);
}

#[test]
fn who_is_allowed_or_trusted_is_not_penalised() {
    let penalties = PenaltySettings { tolerated: Rate::NOTHING, ..PenaltySettings::default() };
    let lists = [("203.0.113.7", Standing::Trusted), ("203.0.113.8", Standing::Allowed)];
    let settings = Settings { penalties: Some(penalties), ..settings(&lists) };
    let throttle = SourceThrottle::start(&settings).unwrap();
    for client in ["203.0.113.7", "203.0.113.8"] {
        let reported = throttle.report(address(client), Offence::FailedHandshake);
        assert_eq!(reported, Reported::Noted, "{client}");
    }
    let reported = throttle.report(address("203.0.113.9"), Offence::FailedHandshake);
    assert!(matches!(reported, Reported::Penalised(_)));
}

#[test]
fn the_metrics_say_where_sources_are_throttled_and_what_became_of_connections() {
    let throttle = Arc::new(SourceThrottle::start(&settings(&[])).unwrap());
    throttle.admit_connection(address("203.0.113.7"));
    let registry = prometheus::Registry::new();
    registry.register(Box::new(ThrottleCollector::new(throttle).unwrap())).unwrap();
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    for line in [
        "tollgate_source_throttle_mode{mode=\"user_space\"} 1",
        "tollgate_source_throttle_mode{mode=\"native\"} 0",
        "tollgate_source_throttle_connections_total{outcome=\"admitted\"} 1",
        "tollgate_source_throttle_connections_total{outcome=\"penalty\"} 0",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}
