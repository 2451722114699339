//! Idle upstream connections, kept by the worker that made them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use foldhash::fast::FixedState;
use h2::client::SendRequest;
use pingora_core::protocols::Stream;
use tokio::io::{AsyncRead, ReadBuf};

use crate::http1::body::ReadBuffer;

/// How often a worker looks for connections that have been idle for too long.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// An HTTP/1.1 connection between two requests, or during one.
pub struct Http1Connection {
    pub io: Stream,
    pub buffer: ReadBuffer,
}

struct Idle {
    connection: Http1Connection,
    since: Instant,
}

struct Shared {
    connection: SendRequest<Bytes>,
    last_used: Instant,
}

#[derive(Default)]
struct Pool {
    /// By upstream id; the most recently used connection is last.
    http1: HashMap<u32, Vec<Idle>, FixedState>,
    /// By upstream id; a handle is cloned for each request.
    http2: HashMap<u32, Shared, FixedState>,
    swept: bool,
}

thread_local! {
    static POOL: RefCell<Pool> = RefCell::default();
}

/// An idle HTTP/1.1 connection that is still open.
pub fn take_http1(upstream: u32) -> Option<Http1Connection> {
    POOL.with_borrow_mut(|pool| {
        let idle = pool.http1.get_mut(&upstream)?;
        while let Some(mut candidate) = idle.pop() {
            if is_quiet(&mut candidate.connection) {
                return Some(candidate.connection);
            }
        }
        None
    })
}

/// Keeps a connection whose last response was read to its end.
pub fn put_http1(upstream: u32, mut connection: Http1Connection, maximum: usize, idle: Duration) {
    if !connection.buffer.is_empty() {
        // The upstream sent more than it was asked for: not to be trusted with another request.
        return;
    }
    connection.buffer.shrink();
    POOL.with_borrow_mut(|pool| {
        let connections = pool.http1.entry(upstream).or_default();
        if connections.len() < maximum {
            connections.push(Idle { connection, since: Instant::now() });
        }
    });
    start_sweeper(idle);
}

/// The worker's HTTP/2 connection to an upstream.
pub fn http2(upstream: u32) -> Option<SendRequest<Bytes>> {
    POOL.with_borrow_mut(|pool| {
        let shared = pool.http2.get_mut(&upstream)?;
        shared.last_used = Instant::now();
        Some(shared.connection.clone())
    })
}

/// Shares an HTTP/2 connection with the worker's later requests. It closes once nothing was
/// sent on it for `idle`.
pub fn put_http2(upstream: u32, connection: SendRequest<Bytes>, idle: Duration) {
    POOL.with_borrow_mut(|pool| {
        pool.http2.insert(upstream, Shared { connection, last_used: Instant::now() });
    });
    start_sweeper(idle);
}

/// Forgets a connection that no longer takes requests.
pub fn forget_http2(upstream: u32) {
    POOL.with_borrow_mut(|pool| {
        pool.http2.remove(&upstream);
    });
}

/// One task for each worker, started by its first kept connection; it ends with the worker's
/// runtime.
fn start_sweeper(idle: Duration) {
    let started = POOL.with_borrow_mut(|pool| std::mem::replace(&mut pool.swept, true));
    if !started {
        tokio::spawn(sweep(idle));
    }
}

async fn sweep(idle: Duration) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let now = Instant::now();
        let expired: Vec<Idle> = POOL.with_borrow_mut(|pool| {
            let mut expired = Vec::new();
            // What has no connection any more leaves nothing behind: upstreams come and go.
            pool.http1.retain(|_, connections| {
                // Oldest first; also closes our side of what the upstream has closed.
                let keep = |entry: &mut Idle| {
                    now.duration_since(entry.since) < idle && is_quiet(&mut entry.connection)
                };
                expired.extend(connections.extract_if(.., |entry| !keep(entry)));
                !connections.is_empty()
            });
            pool.http1.shrink_to(2 * pool.http1.len());
            pool.http2.retain(|_, shared| now.duration_since(shared.last_used) < idle);
            pool.http2.shrink_to(2 * pool.http2.len());
            expired
        });
        drop(expired);
    }
}

/// Whether the upstream has neither closed the connection nor sent anything. Costs no system
/// call while the reactor has seen no event.
fn is_quiet(connection: &mut Http1Connection) -> bool {
    let mut byte = [0];
    let mut buffer = ReadBuf::new(&mut byte);
    let mut context = Context::from_waker(Waker::noop());
    Pin::new(&mut connection.io).poll_read(&mut context, &mut buffer).is_pending()
}

/// Whether an error of a reused connection says that the upstream had closed it.
pub fn was_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::NotConnected
    )
}

#[cfg(test)]
mod tests {
    use pingora_core::protocols::l4::stream::Stream as TcpStream;
    use tokio::net::TcpListener;

    use super::*;

    async fn connection(to: &TcpListener) -> Http1Connection {
        let stream = tokio::net::TcpStream::connect(to.local_addr().unwrap()).await.unwrap();
        let io: Stream = Box::new(TcpStream::from(stream));
        Http1Connection { io, buffer: ReadBuffer::default() }
    }

    #[tokio::test]
    async fn an_upstream_without_connections_takes_no_place() {
        const IDLE: Duration = Duration::from_millis(100);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // As large as ids become where stages come and go.
        let ids = [3, 4_000_000_000];
        for id in ids {
            put_http1(id, connection(&listener).await, 8, IDLE);
        }
        assert!(take_http1(ids[0]).is_some() && take_http1(ids[0]).is_none());
        assert!(take_http1(5).is_none());
        let deadline = Instant::now() + Duration::from_secs(30);
        while POOL.with_borrow(|pool| !pool.http1.is_empty()) {
            assert!(Instant::now() < deadline, "nothing sweeps");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
