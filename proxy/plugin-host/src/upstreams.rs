//! Requests of plugins to named upstreams: HTTP and, over HTTP/2, gRPC.
//!
//! Everything runs on the host's background runtime: a connection outlives the worker, and the
//! request, that it was made for. Connections are kept by upstream and not, as in clients for
//! arbitrary URIs, by authority: filters like to send the client's `Host`, and would make one for
//! each.
//!
//! ```text
//!  send ── Outgoing (checked) ─┐            ┌ idle HTTP/1.1 connections
//!  grpc_stream ── grpc ────────┴─ Upstream ─┤
//!                                           └ the HTTP/2 connection
//! ```

mod outgoing;
mod connection;
mod tls;
pub(crate) mod grpc;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::config::UpstreamConfig;
use crate::limits;
use connection::Upstream;
use outgoing::Outgoing;

/// The upstreams of all plugins, with their connections.
pub struct Upstreams {
    upstreams: BTreeMap<String, Arc<Upstream>>,
    background: Handle,
}

/// A request of a plugin. Names and values are checked when it is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamRequest {
    pub method: String,
    /// Path and query.
    pub path: String,
    /// None, or empty: the header `host`, or else the upstream's own `host:port`.
    pub authority: Option<String>,
    /// Those that say how a body is framed, or are for one connection only, are left out.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamResponse {
    pub status: u16,
    /// Names in lower case; repeated ones apart.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    #[error("no upstream of this name")]
    UnknownUpstream,
    #[error("{0}")]
    InvalidRequest(String),
    #[error("no answer in time")]
    TimedOut,
    #[error("{0}")]
    Failed(String),
    #[error("the response is larger than allowed")]
    TooLarge,
}

impl Upstreams {
    /// `background` does all work, from connecting to reading; its runtime needs I/O and time.
    ///
    /// # Errors
    /// An address that is not `host:port`, a CA file that can't be read or has no certificate.
    pub fn new(
        upstreams: BTreeMap<String, UpstreamConfig>,
        ca_file: Option<&Path>,
        background: Handle,
    ) -> Result<Self, String> {
        let wants_tls = upstreams.values().any(|upstream| upstream.tls);
        let tls = wants_tls.then(|| tls::Tls::new(ca_file)).transpose()?;
        let upstreams = upstreams
            .into_iter()
            .map(|(name, config)| {
                let upstream = Upstream::new(&config, tls.as_ref())
                    .map_err(|problem| format!("upstream {name}: {problem}"))?;
                Ok((name, Arc::new(upstream)))
            })
            .collect::<Result<_, String>>()?;
        Ok(Self { upstreams, background })
    }

    pub fn knows(&self, name: &str) -> bool {
        self.upstreams.contains_key(name)
    }

    /// Sends and waits, for `timeout` at most. Dropped while it waits, the request is given up.
    /// Sent again once if a kept connection turns out to be closed, and the request was not
    /// written or its method is idempotent.
    pub async fn send(
        &self,
        name: &str,
        request: UpstreamRequest,
        timeout: Duration,
    ) -> Result<UpstreamResponse, FetchError> {
        let upstream = self.upstreams.get(name).ok_or(FetchError::UnknownUpstream)?.clone();
        let request = Outgoing::new(request, &upstream.authority)?;
        let exchange = async move {
            let exchange = exchange(&upstream, &request);
            tokio::time::timeout(timeout, exchange).await.unwrap_or_else(|_| {
                upstream.doubt_http2();
                Err(FetchError::TimedOut)
            })
        };
        let mut task = AbortOnDrop(self.background.spawn(exchange));
        (&mut task.0).await.unwrap_or_else(|_| Err(FetchError::Failed("given up".to_owned())))
    }
}

/// A task that ends when nobody waits for it.
pub(crate) struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn exchange(
    upstream: &Arc<Upstream>,
    request: &Outgoing,
) -> Result<UpstreamResponse, FetchError> {
    let (sender, response) = upstream.request(request).await?;
    let response = read(response).await?;
    upstream.keep(sender);
    Ok(response)
}

/// Reads a whole response, as far as it may be large.
async fn read(response: Response<Incoming>) -> Result<UpstreamResponse, FetchError> {
    let (head, mut body) = response.into_parts();
    let mut response = UpstreamResponse {
        status: head.status.as_u16(),
        headers: pairs(&head.headers)?,
        ..UpstreamResponse::default()
    };
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| failed(&error))?;
        match frame.into_data() {
            Ok(data) if response.body.len() + data.len() > limits::FETCH_RESPONSE => {
                return Err(FetchError::TooLarge);
            }
            Ok(data) => response.body.extend_from_slice(&data),
            Err(frame) => {
                if let Some(trailers) = frame.trailers_ref() {
                    response.trailers = pairs(trailers)?;
                }
            }
        }
    }
    Ok(response)
}

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

fn pairs(headers: &HeaderMap) -> Result<Pairs, FetchError> {
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size > limits::HEADERS || headers.len() > limits::HEADER_COUNT {
        return Err(FetchError::TooLarge);
    }
    let pair = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec())
    };
    Ok(headers.iter().map(pair).collect())
}

/// What hyper says, with its causes.
fn failed(error: &hyper::Error) -> FetchError {
    let mut text = error.to_string();
    // Servers can ask hyper for this kind of error, clients have its text only.
    if error.is_parse() && text.contains("too large") {
        return FetchError::TooLarge;
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    FetchError::Failed(text)
}

/// Bytes that are shared rather than copied when a request is sent again.
fn shared(bytes: Vec<u8>) -> Option<Bytes> {
    (!bytes.is_empty()).then(|| bytes.into())
}
