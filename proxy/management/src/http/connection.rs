//! One connection: its protocol, its deadlines, its end.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::service::Service;
use super::{Bounds, MAXIMUM_HEAD, MAXIMUM_STREAMS};

/// How long a connection that is told to end may take, when nothing is under way on it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Once the listener stops, a connection on which nothing is under way may still bring a request
/// for so long: a client that is just sending one must not meet a closed connection.
const IDLE_GRACE: Duration = Duration::from_secs(2);

/// Serves a connection until it ends, or is told to by `stopped`.
pub(super) async fn serve(
    stream: TcpStream,
    source: SocketAddr,
    tls: Option<TlsAcceptor>,
    service: Arc<Service>,
    stopped: watch::Receiver<bool>,
) {
    // Answers are small and whole; a client waits for each.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return serve_stream(stream, source, service, stopped).await };
    match tokio::time::timeout(service.bounds().head_timeout, tls.accept(stream)).await {
        Ok(Ok(stream)) => serve_stream(stream, source, service, stopped).await,
        Ok(Err(error)) => {
            tracing::debug!(%source, %error, "management API: TLS handshake failed");
        }
        Err(_) => tracing::debug!(%source, "management API: TLS handshake took too long"),
    }
}

async fn serve_stream(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    source: SocketAddr,
    service: Arc<Service>,
    mut stopped: watch::Receiver<bool>,
) {
    let bounds = *service.bounds();
    let activity = Arc::new(Activity::default());
    let stream = TokioIo::new(Watched { stream, activity: activity.clone() });
    let (noted, stopping) = (activity.clone(), stopped.clone());
    let answer = service_fn(move |request: hyper::Request<Incoming>| {
        let version = request.version();
        let (service, busy) = (service.clone(), Busy::new(noted.clone(), version));
        let stopping = stopping.clone();
        async move {
            let mut response = service.answer(request, source).await;
            if *stopping.borrow() && version < http::Version::HTTP_2 {
                let close = http::HeaderValue::from_static("close");
                response.headers_mut().insert(http::header::CONNECTION, close);
            }
            drop(busy);
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let builder = builder();
    let mut connection = pin!(builder.serve_connection(stream, answer));
    let end = tokio::select! {
        _ = connection.as_mut() => return,
        end = activity.wait_for_end(&bounds) => end,
        _ = stopped.wait_for(|stopped| *stopped) => End::Stopped,
    };
    if matches!(end, End::Stopped) {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = activity.wait_for_request() => {}
            () = tokio::time::sleep(IDLE_GRACE) => {}
        }
    }
    let patience = match end {
        // Half a head isn't worth waiting for.
        End::SlowHead => return,
        End::Idle => CLOSE_TIMEOUT,
        End::Stopped => bounds.request_timeout + CLOSE_TIMEOUT,
    };
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(patience, connection).await;
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // Hyper's own timeout for a head also runs while a connection waits for its next request.
    builder.http1().header_read_timeout(None).max_buf_size(MAXIMUM_HEAD as usize);
    builder.http2().max_header_list_size(MAXIMUM_HEAD).max_concurrent_streams(MAXIMUM_STREAMS);
    builder
}

/// Why we end a connection.
enum End {
    SlowHead,
    Idle,
    Stopped,
}

/// What a connection is doing.
#[derive(Default)]
struct Activity {
    state: Mutex<State>,
    /// Told when a request begins.
    begun: Notify,
}

struct State {
    requests: usize,
    /// Since the connection was made, or the last request ended.
    idle_since: Instant,
    /// When a head began to come in.
    head_since: Option<Instant>,
    /// HTTP/2 sends frames that belong to no request, too. So there only the first head is timed.
    is_http2: bool,
}

impl Default for State {
    fn default() -> Self {
        Self { requests: 0, idle_since: Instant::now(), head_since: None, is_http2: false }
    }
}

impl Activity {
    /// Bytes came in.
    fn received(&self) {
        let mut state = self.state.lock();
        if state.requests == 0 && !state.is_http2 {
            state.head_since.get_or_insert_with(Instant::now);
        }
    }

    /// Returns when nothing is under way and time is up.
    async fn wait_for_end(&self, bounds: &Bounds) -> End {
        loop {
            let now = Instant::now();
            let deadline = self.deadline(now, bounds);
            match deadline {
                (deadline, Some(end)) if deadline <= now => return end,
                // What came in since may have made the deadline an earlier one.
                (deadline, _) => {
                    tokio::time::sleep_until(deadline.min(now + bounds.head_timeout)).await;
                }
            }
        }
    }

    /// Returns when a request is under way.
    async fn wait_for_request(&self) {
        while self.state.lock().requests == 0 {
            self.begun.notified().await;
        }
    }

    /// When to look again, and what it is time for then.
    fn deadline(&self, now: Instant, bounds: &Bounds) -> (Instant, Option<End>) {
        let state = self.state.lock();
        match state.head_since {
            _ if state.requests > 0 => (now + bounds.head_timeout, None),
            Some(since) => (since + bounds.head_timeout, Some(End::SlowHead)),
            None => (state.idle_since + bounds.idle_timeout, Some(End::Idle)),
        }
    }
}

/// Held while a request is under way.
struct Busy(Arc<Activity>);

impl Busy {
    fn new(activity: Arc<Activity>, version: http::Version) -> Self {
        let mut state = activity.state.lock();
        state.requests += 1;
        state.head_since = None;
        state.is_http2 = version == http::Version::HTTP_2;
        drop(state);
        activity.begun.notify_one();
        Self(activity)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.requests -= 1;
        state.idle_since = Instant::now();
    }
}

/// A stream that notes when bytes come in.
struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.activity.received();
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
