//! The parts, in the order in which a test meets them.

mod definition;
mod gateway;
mod serve;
mod management;
mod process;
mod upstream;
mod upstream_http2;
mod message;
mod http1;
mod http2;
mod frames;
mod certificate;
mod load;

use std::time::{Duration, Instant};

pub use certificate::{Authority, Issued};
pub use definition::{Api, greedy, http, http_proxy, mock};
pub use frames::{Frame, Frames, request_block};
pub use gateway::{Connected, Dev, Gateway};
pub use http1::{Broken, Http1, TlsOptions};
pub use http2::{Http2, runtime};
pub use load::Load;
pub use management::{ManagementClient, Signature};
pub use message::{Request, Response, get, post, request};
pub use process::{Finished, Process, binary, curl, tollgate};
pub use serve::Serve;
pub use upstream::{Received, Session, Upstream};
pub use upstream_http2::UpstreamHttp2;

/// How long a test waits for what must happen.
pub const DEADLINE: Duration = Duration::from_secs(90);

/// Waits until `condition` gives something.
///
/// # Panics
///
/// When it doesn't within [`DEADLINE`].
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
