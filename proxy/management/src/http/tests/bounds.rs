//! What a client may not do for longer, or with more, than it should.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::RwLock;

use super::server::{Listening, echo};
use crate::http::{Bounds, Request};

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(60);

/// What a stuck test would take.
fn took_at_least(wanted: Duration, since: Instant) {
    assert!(since.elapsed() >= wanted && since.elapsed() < LONG, "{:?}", since.elapsed());
}

#[test]
fn a_head_has_at_most_64_kib() {
    let server = Listening::start(echo);
    let head = |length: usize| {
        let value = "x".repeat(length);
        server.send(&format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-A: {value}\r\n\r\n")).status()
    };
    assert_eq!(head(60 * 1024), 200);
    assert_eq!(head(65 * 1024), 431);
}

#[test]
fn a_slow_head_ends_the_connection_though_bytes_come() {
    let bounds = Bounds { head_timeout: SHORT, ..Bounds::default() };
    let server = Listening::bounded(echo, bounds);
    for before in [0, 1] {
        let mut client = server.connect();
        for _ in 0..before {
            client.write(GET.as_bytes());
            assert_eq!(client.read().unwrap().status(), 200);
            // Waiting for a request is another matter than waiting for the rest of one.
            std::thread::sleep(2 * SHORT);
        }
        let since = Instant::now();
        client.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ");
        assert!(client.is_closed());
        took_at_least(SHORT, since);
    }
}

#[test]
fn an_idle_connection_is_closed() {
    let bounds = Bounds { idle_timeout: SHORT, ..Bounds::default() };
    let server = Listening::bounded(echo, Bounds { head_timeout: SHORT, ..bounds });
    for before in [0, 2] {
        let mut client = server.connect();
        for _ in 0..before {
            client.write(GET.as_bytes());
            assert_eq!(client.read().unwrap().status(), 200);
        }
        let since = Instant::now();
        assert!(client.is_closed());
        took_at_least(SHORT / 2, since);
    }
}

#[test]
fn a_request_under_way_is_not_idle() {
    let bounds = Bounds { idle_timeout: SHORT, head_timeout: SHORT, ..Bounds::default() };
    let slow = |request: Request| {
        std::thread::sleep(5 * SHORT);
        echo(request)
    };
    assert_eq!(Listening::bounded(slow, bounds).send(GET).status(), 200);
}

#[test]
fn a_body_that_stops_is_answered_with_408() {
    let server = Listening::bounded(echo, Bounds { body_pause: SHORT, ..Bounds::default() });
    let mut client = server.connect();
    let since = Instant::now();
    client.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc");
    let reply = client.read().unwrap();
    took_at_least(SHORT, since);
    let (status, kind, text) = reply.error();
    assert_eq!((status, kind), (408, "RequestTimeoutException"));
    assert_eq!(text, "The request's body did not come in within its time.");
    assert!(client.is_closed());
}

#[test]
fn a_body_that_drips_is_answered_with_408() {
    let server = Listening::bounded(echo, Bounds { request_timeout: SHORT, ..Bounds::default() });
    let mut client = server.connect();
    client.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30\r\n\r\n");
    for _ in 0..3 {
        std::thread::sleep(SHORT / 5);
        client.write(b"x");
    }
    // Without the bound of the whole request it would be that of a pause, ten seconds.
    let reply = client.read_within(Duration::from_secs(5)).expect("an answer");
    assert_eq!(reply.status(), 408);
}

#[test]
fn a_body_has_at_most_10_mb() {
    let server = Listening::start(echo);
    let length = 10 * 1024 * 1024;
    let with_length = |length: usize| {
        let body = "x".repeat(length);
        let head =
            format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
        server.send(&(head + &body))
    };
    assert_eq!(with_length(length).text(), "POST /  localhost 10485760");
    let reply = with_length(length + 1);
    let (status, kind, text) = reply.error();
    assert_eq!((status, kind), (413, "RequestEntityTooLargeException"));
    assert_eq!(text, "The request's body is larger than 10485760 bytes.");
    let chunked = |length: usize| {
        let body = "x".repeat(length);
        let head = "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
        server.send(&format!("{head}{length:x}\r\n{body}\r\n0\r\n\r\n")).status()
    };
    assert_eq!((chunked(length), chunked(length + 1)), (200, 413));
}

#[test]
fn all_bodies_together_have_a_bound() {
    let bounds = Bounds { body: 100, bodies: 150, ..Bounds::default() };
    let server = Listening::bounded(echo, bounds);
    let mut first = server.connect();
    first.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n");
    std::thread::sleep(SHORT);
    let mut second = server.connect();
    second.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n");
    second.write(&[b'x'; 100]);
    assert!(second.read_within(SHORT).is_none(), "there is no room for it");
    // What has no body needs none.
    assert_eq!(server.send(GET).status(), 200);
    first.write(&[b'x'; 100]);
    assert_eq!(first.read().unwrap().status(), 200);
    assert_eq!(second.read_within(LONG / 2).unwrap().status(), 200);
}

#[test]
fn so_many_connections_and_no_more() {
    let server = Listening::bounded(echo, Bounds { connections: 1, ..Bounds::default() });
    let mut first = server.connect();
    first.write(GET.as_bytes());
    assert_eq!(first.read().unwrap().status(), 200);
    let mut second = server.connect();
    second.write(GET.as_bytes());
    std::thread::sleep(SHORT);
    first.write(GET.as_bytes());
    assert_eq!(first.read().unwrap().status(), 200);
    let since = Instant::now();
    std::thread::spawn(move || {
        std::thread::sleep(SHORT);
        drop(first);
    });
    assert_eq!(second.read().unwrap().status(), 200);
    took_at_least(SHORT, since);
}

#[test]
fn an_operation_that_takes_too_long_is_answered_with_503() {
    let slow = |request: Request| {
        std::thread::sleep(5 * SHORT);
        echo(request)
    };
    let server = Listening::bounded(slow, Bounds { request_timeout: SHORT, ..Bounds::default() });
    let reply = server.send(GET);
    let (status, kind, text) = reply.error();
    assert_eq!((status, kind), (503, "ServiceUnavailableException"));
    assert!(text.starts_with("The request took longer"), "{text}");
}

/// The threads are busy while this is locked for writing.
fn blocked() -> (Listening, Arc<RwLock<()>>, Arc<AtomicUsize>) {
    let gate = Arc::new(RwLock::new(()));
    let calls = Arc::new(AtomicUsize::new(0));
    let (passed, counted) = (gate.clone(), calls.clone());
    let server = Listening::start(move |request: Request| {
        counted.fetch_add(1, Ordering::Relaxed);
        drop(passed.read());
        echo(request)
    });
    (server, gate, calls)
}

fn wait_for(calls: &AtomicUsize, wanted: usize) {
    let since = Instant::now();
    while calls.load(Ordering::Relaxed) < wanted {
        assert!(since.elapsed() < LONG);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn more_operations_than_there_is_room_for_are_told_to_come_again() {
    let (server, gate, calls) = blocked();
    let closed = gate.write();
    let send = || {
        let mut client = server.connect();
        client.write(GET.as_bytes());
        client
    };
    let mut running: Vec<_> = (0..4).map(|_| send()).collect();
    wait_for(&calls, 4);
    let mut all: Vec<_> = (0..65).map(|_| send()).collect();
    let refused = all.iter_mut().rev().find_map(|client| {
        // The last to come, mostly; accepting isn't bound to keep the order.
        client.read_within(Duration::from_secs(2))
    });
    let refused = refused.expect("one too many");
    assert_eq!(refused.error().0, 503);
    assert_eq!(refused.error().1, "ServiceUnavailableException");
    assert_eq!(refused.header("retry-after"), Some("1"));
    drop(closed);
    let answered = |client: &mut super::server::Client| {
        client.read_within(LONG / 2).is_some_and(|reply| reply.status() == 200)
    };
    assert_eq!(running.iter_mut().filter_map(|client| answered(client).then_some(())).count(), 4);
}

#[test]
fn what_nobody_waits_for_any_more_is_not_begun() {
    let (server, gate, calls) = blocked();
    let closed = gate.write();
    let running: Vec<_> = (0..4)
        .map(|_| {
            let mut client = server.connect();
            client.write(GET.as_bytes());
            client
        })
        .collect();
    wait_for(&calls, 4);
    let mut gone = server.connect();
    gone.write(GET.as_bytes());
    std::thread::sleep(SHORT);
    drop(gone);
    std::thread::sleep(SHORT);
    drop(closed);
    for mut client in running {
        assert_eq!(client.read().unwrap().status(), 200);
    }
    assert_eq!(server.send(GET).status(), 200);
    assert_eq!(calls.load(Ordering::Relaxed), 5);
}
