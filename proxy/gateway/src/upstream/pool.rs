//! Idle upstream connections, kept by the worker that made them.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
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
    http1: Vec<Vec<Idle>>,
    /// By upstream id; a handle is cloned for each request.
    http2: Vec<Option<Shared>>,
    swept: bool,
}

thread_local! {
    static POOL: RefCell<Pool> = RefCell::default();
}

/// An idle HTTP/1.1 connection that is still open.
pub fn take_http1(upstream: u32) -> Option<Http1Connection> {
    POOL.with_borrow_mut(|pool| {
        let idle = pool.http1.get_mut(upstream as usize)?;
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
        let slot = upstream as usize;
        if pool.http1.len() <= slot {
            pool.http1.resize_with(slot + 1, Vec::new);
        }
        if pool.http1[slot].len() < maximum {
            pool.http1[slot].push(Idle { connection, since: Instant::now() });
        }
    });
    start_sweeper(idle);
}

/// The worker's HTTP/2 connection to an upstream.
pub fn http2(upstream: u32) -> Option<SendRequest<Bytes>> {
    POOL.with_borrow_mut(|pool| {
        let shared = pool.http2.get_mut(upstream as usize)?.as_mut()?;
        shared.last_used = Instant::now();
        Some(shared.connection.clone())
    })
}

/// Shares an HTTP/2 connection with the worker's later requests. It closes once nothing was
/// sent on it for `idle`.
pub fn put_http2(upstream: u32, connection: SendRequest<Bytes>, idle: Duration) {
    POOL.with_borrow_mut(|pool| {
        let slot = upstream as usize;
        if pool.http2.len() <= slot {
            pool.http2.resize_with(slot + 1, || None);
        }
        pool.http2[slot] = Some(Shared { connection, last_used: Instant::now() });
    });
    start_sweeper(idle);
}

/// Forgets a connection that no longer takes requests.
pub fn forget_http2(upstream: u32) {
    POOL.with_borrow_mut(|pool| {
        if let Some(slot) = pool.http2.get_mut(upstream as usize) {
            *slot = None;
        }
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
            for connections in &mut pool.http1 {
                // Oldest first; also closes our side of what the upstream has closed.
                let keep = |entry: &mut Idle| {
                    now.duration_since(entry.since) < idle && is_quiet(&mut entry.connection)
                };
                expired.extend(connections.extract_if(.., |entry| !keep(entry)));
            }
            for slot in &mut pool.http2 {
                slot.take_if(|shared| now.duration_since(shared.last_used) >= idle);
            }
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
