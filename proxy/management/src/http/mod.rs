//! The management API's listener: HTTP/1.1 and HTTP/2, plain or over TLS, bounded, authenticated.
//!
//! ```text
//! connection ─▶ head ─▶ authentication (head) ─▶ body ─▶ thread of low priority
//!  bounded, timed       Origin and Host, or      bounded    └ authentication (signature)
//!                       key, region, time        timed      └ Handler::call
//! ```
//!
//! Nothing here knows an operation: [`Handler`] does.

mod exchange;
mod authentication;
mod browser;
mod pool;
mod connection;
mod service;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

pub use authentication::{AccessKeys, Authentication};
pub use exchange::{Handler, Request, Response};

use pool::Pool;
use service::Service;

/// What one listener may use.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// At once; more wait to be accepted.
    connections: u32,
    /// For the TLS handshake, and for a request's head from its first byte to its last.
    head_timeout: Duration,
    /// Without a request.
    idle_timeout: Duration,
    /// Within which a body has to go on.
    body_pause: Duration,
    /// From a request's head to its response.
    request_timeout: Duration,
    /// Bytes of a body.
    body: usize,
    /// Bytes of all bodies together.
    bodies: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 256,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            body_pause: Duration::from_secs(10),
            request_timeout: Duration::from_secs(60),
            body: MAXIMUM_BODY,
            bodies: 64 * 1024 * 1024,
        }
    }
}

/// Bytes of a body: as on AWS, where an import takes 6 MB of them.
const MAXIMUM_BODY: usize = 10 * 1024 * 1024;
/// Bytes of a request's head.
const MAXIMUM_HEAD: u32 = 64 * 1024;
/// Requests at once on a connection of HTTP/2.
const MAXIMUM_STREAMS: u32 = 16;

/// Answers requests with a [`Handler`].
pub struct Server {
    bounds: Bounds,
    service: Service,
}

impl Server {
    /// Starts the handler's threads, which give way to those of the data plane. Fails if the system
    /// has no threads left.
    pub fn new(handler: Arc<dyn Handler>, authentication: Authentication) -> std::io::Result<Self> {
        Self::with_bounds(handler, authentication, Bounds::default())
    }

    fn with_bounds(
        handler: Arc<dyn Handler>,
        authentication: Authentication,
        bounds: Bounds,
    ) -> std::io::Result<Self> {
        let service = Service::new(handler, authentication, Pool::start()?, bounds);
        Ok(Self { bounds, service })
    }

    /// Serves until `stop` is ready, and then the requests that are under way: that takes at most
    /// as long as a request may. With `tls`, over TLS only; its configuration should offer `h2`
    /// and `http/1.1`. Meant for a runtime that isn't the data plane's.
    pub async fn serve(
        self,
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        stop: impl Future<Output = ()>,
    ) {
        let connections = Arc::new(Semaphore::new(self.bounds.connections as usize));
        let service = Arc::new(self.service);
        let (stopping, stopped) = watch::channel(false);
        let accept = async {
            loop {
                let Ok(permit) = connections.clone().acquire_owned().await else { return };
                let (stream, source) = match listener.accept().await {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        // Mostly: no file descriptor left, which takes a while to change.
                        tracing::warn!(%error, "management API: accept failed");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                };
                let (service, tls, stopped) = (service.clone(), tls.clone(), stopped.clone());
                tokio::spawn(async move {
                    connection::serve(stream, source, tls, service, stopped).await;
                    drop(permit);
                });
            }
        };
        tokio::select! {
            () = accept => {}
            () = stop => {}
        }
        drop(listener);
        // All connections are told; each has its deadline.
        let _ = stopping.send(true);
        let _ = connections.acquire_many(self.bounds.connections).await;
    }
}
