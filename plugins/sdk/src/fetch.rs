//! Requests to the upstreams that the configuration names. The gateway does other things while a
//! plugin waits, and waiting doesn't count as the plugin's CPU time.

use std::time::Duration;

use crate::bindings::tollgate::plugin::fetch as generated;
use crate::host;

pub use generated::{Error, FetchResponse as Response};
pub use host::fetch::Pending;

/// The deadline of a request that sets none.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// A request to an upstream.
#[derive(Clone, Debug)]
pub struct Fetch {
    upstream: String,
    request: generated::FetchRequest,
    timeout: Duration,
}

/// A GET request; `path` is path and query: `/keys?kid=1`.
pub fn get(upstream: &str, path: impl Into<String>) -> Fetch {
    Fetch::new(upstream, "GET", path)
}

/// A POST request.
pub fn post(upstream: &str, path: impl Into<String>, body: impl Into<Vec<u8>>) -> Fetch {
    Fetch::new(upstream, "POST", path).body(body)
}

impl Fetch {
    pub fn new(upstream: &str, method: &str, path: impl Into<String>) -> Self {
        let request = generated::FetchRequest {
            method: method.to_owned(),
            path: path.into(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        Self { upstream: upstream.to_owned(), request, timeout: TIMEOUT }
    }

    /// Adds a header. Without `host` the upstream's own name is sent.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.request.headers.push((name.into(), value.into()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.request.body = body.into();
        self
    }

    /// The deadline from sending to the last byte of the response; at most the plugin's own.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends, and waits for the response.
    ///
    /// # Errors
    /// Every status is a response; see [`Error`] for what is not.
    pub fn send(self) -> Result<Response, Error> {
        let timeout = self.timeout_ms();
        host::fetch::send(&self.upstream, &self.request, timeout)
    }

    /// Sends without waiting, so that several can be under way. [`Pending::wait`] gives the
    /// response.
    ///
    /// # Errors
    /// An upstream that the plugin may not call, a request that can't be sent.
    pub fn start(self) -> Result<Pending, Error> {
        let timeout = self.timeout_ms();
        host::fetch::start(&self.upstream, &self.request, timeout)
    }

    fn timeout_ms(&self) -> u32 {
        u32::try_from(self.timeout.as_millis()).unwrap_or(u32::MAX)
    }
}

impl Error {
    /// What happened, for a log line.
    pub fn message(&self) -> &str {
        match self {
            Self::UnknownUpstream => "the plugin may call no upstream of this name",
            Self::InvalidRequest(problem) | Self::Failed(problem) => problem,
            Self::TimedOut => "no answer in time",
            Self::TooLarge => "the response is larger than allowed",
        }
    }
}
