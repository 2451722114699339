//! Quotas, and what becomes of their counters when the gateway ends, well or not.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tollgate_tests::{Gateway, Http1, Process, Serve, binary};

use super::{ANNA, BERT, assert_quota_exceeded, call, keyed, keys, serve, used_today};

fn with_data(quota: &str, data: &Path) -> Serve {
    serve(
        &(keys(&format!("quota: {{{quota}}}"))
            + &format!("data_directory: '{}'\n", data.display())),
    )
}

#[track_caller]
fn assert_left(gateway: &Gateway, key: &str, left: usize) {
    for _ in 0..left {
        assert_eq!(call(gateway, keyed("/prod/keyed", key)).status, 200);
    }
    assert_quota_exceeded(&call(gateway, keyed("/prod/keyed", key)));
}

/// Ends it as an operator does, so that everything is on disk.
fn end(mut gateway: Gateway) {
    gateway.process.signal(libc::SIGTERM);
    assert_eq!(gateway.process.exit().code(), Some(0));
}

#[test]
fn a_key_has_so_many_requests_and_an_offset_is_used_already() {
    for (quota, left) in [
        ("limit: 3, period: day", 3),
        ("limit: 3, period: week", 3),
        ("limit: 5, period: month, offset: 3", 2),
        ("limit: 0, period: month", 0),
    ] {
        let gateway = serve(&keys(&format!("quota: {{{quota}}}"))).start();
        assert_left(&gateway, ANNA, left);
        assert_left(&gateway, BERT, left);
    }
}

#[test]
fn the_time_to_wait_ends_with_the_period() {
    let gateway = serve(&keys("quota: {limit: 0, period: day}")).start();
    let none = call(&gateway, keyed("/prod/keyed", ANNA));
    // Nothing will ever be let through.
    assert_eq!(none.header("Retry-After"), None);
    let gateway = serve(&keys("quota: {limit: 1, period: day}")).start();
    assert_eq!(call(&gateway, keyed("/prod/keyed", ANNA)).status, 200);
    let response = call(&gateway, keyed("/prod/keyed", ANNA));
    assert_quota_exceeded(&response);
    let wait: u64 = response.header("Retry-After").expect("a time").parse().expect("seconds");
    assert!((1..=86_400).contains(&wait), "{wait}");
}

#[test]
fn what_was_used_outlives_the_gateway() {
    let data = tempfile::tempdir().expect("a folder");
    let gateway = with_data("limit: 10, period: month, offset: 2", data.path()).start();
    for _ in 0..3 {
        assert_eq!(call(&gateway, keyed("/prod/keyed", ANNA)).status, 200);
    }
    end(gateway);
    let gateway = with_data("limit: 10, period: month, offset: 2", data.path()).start();
    assert_eq!(used_today(gateway.folder(), "anna000000"), (3, 5));
    assert_left(&gateway, ANNA, 5);
    end(gateway);
    // A larger limit adds the difference.
    let gateway = with_data("limit: 12, period: month, offset: 2", data.path()).start();
    assert_left(&gateway, ANNA, 2);
    assert_left(&gateway, BERT, 10);
}

#[test]
fn a_crash_loses_a_second_of_counts_at_most_and_hands_out_nothing_twice() {
    const LIMIT: u64 = 1_000_000;
    let quota = format!("limit: {LIMIT}, period: month");
    // In memory: a disk that the other tests keep busy may take longer than a second for a write.
    let data = tempfile::tempdir_in("/dev/shm").expect("a folder");
    let mut gateway = with_data(&quota, data.path()).start();
    let stop = Arc::new(AtomicBool::new(false));
    let client = |number: usize| {
        let (stop, address) = (stop.clone(), gateway.http);
        let request = keyed("/prod/keyed", ANNA).host(&gateway.default_host()).bytes();
        std::thread::spawn(move || {
            let mut answered = Vec::new();
            let mut connection = Http1::connect(address);
            while !stop.load(Ordering::Relaxed) {
                if connection.try_send(&request).is_err() {
                    break;
                }
                let Ok(response) = connection.try_response() else { break };
                assert_eq!(response.status, 200, "client {number}");
                answered.push(Instant::now());
            }
            answered
        })
    };
    const CLIENTS: usize = 3;
    let clients: Vec<_> = (0..CLIENTS).map(client).collect();
    std::thread::sleep(Duration::from_millis(2_700));
    let killed = Instant::now();
    gateway.process.signal(libc::SIGKILL);
    gateway.process.exit();
    stop.store(true, Ordering::Relaxed);
    let answered: Vec<Instant> =
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect();
    let safe = answered.iter().filter(|at| **at + Duration::from_secs(1) < killed).count() as u64;
    assert!(safe > 100, "{safe}");

    let gateway = with_data(&quota, data.path()).start();
    let (used, remaining) = used_today(gateway.folder(), "anna000000");
    assert!(safe <= used, "{used} of {safe} that were answered a second before");
    assert!(used <= (answered.len() + CLIENTS) as u64, "{used} of {}", answered.len());
    assert_eq!(remaining, (LIMIT - used) as i64);
}

#[test]
fn an_upgrade_of_the_binary_hands_out_nothing_twice() {
    let data = tempfile::tempdir().expect("a folder");
    let mut gateway = with_data("limit: 100, period: month", data.path()).start_installed();
    for _ in 0..10 {
        assert_eq!(call(&gateway, keyed("/prod/keyed", ANNA)).status, 200);
    }
    // This connection stays with the old process.
    let mut old = gateway.connect();
    let request = keyed("/prod/keyed", ANNA).host(&gateway.default_host());
    assert_eq!(old.call(request.clone()).status, 200);
    gateway.process.signal(libc::SIGUSR2);
    gateway.process.stderr_line("that the new process serves", |line| {
        line.contains("the new process serves").then_some(())
    });
    gateway.process.exit();
    for _ in 0..9 {
        assert_eq!(call(&gateway, keyed("/prod/keyed", ANNA)).status, 200);
    }
    assert_eq!(used_today(gateway.folder(), "anna000000"), (20, 80));
}

#[test]
fn a_ledger_that_cannot_be_used_is_named_and_left_alone() {
    let data = tempfile::tempdir().expect("a folder");
    let file = data.path().join("usage.redb");
    std::fs::write(&file, "no ledger").expect("the folder is writable");
    let folder = with_data("limit: 10, period: day", data.path()).write();
    let mut command = std::process::Command::new(binary());
    command.args(["serve", "--config", "tollgate.yaml"]).current_dir(folder.path());
    let mut process = Process::start(&mut command);
    assert_eq!(process.exit().code(), Some(1));
    process.stderr_line("why", |line| line.contains("usage.redb: cannot be used: ").then_some(()));
    assert_eq!(std::fs::read(&file).expect("it is there"), b"no ledger");
}

#[test]
fn without_a_data_directory_that_is_said() {
    let gateway = serve(&keys("quota: {limit: 10, period: day}")).start();
    gateway.process.stderr_line("that counters are forgotten", |line| {
        line.contains("without a data_directory, what is used of quotas is forgotten").then_some(())
    });
}
