//! Which requests a listener without authentication refuses: those a browser on this machine may
//! make for a site its user visits.
//!
//! Listening on loopback keeps other machines out, but not the pages a developer looks at. They
//! have two ways in:
//! - a page posts to `http://127.0.0.1:PORT` itself; it can't read the answer, but the API would
//!   be deleted. Browsers tell on whose behalf they ask in `Origin`.
//! - the site's own name is made to point to 127.0.0.1 (DNS rebinding), so that the browser takes
//!   us for the site and lets its page read everything. Then `Host` has the site's name.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{HOST, ORIGIN};
use http::uri::Authority;

/// Why a request is refused: in a clear sentence.
pub(super) fn refusal(headers: &HeaderMap) -> Option<String> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !is_local(host) {
        return Some(format!(
            "The management API has no keys here, so the Host of a request must be localhost or \
             an IP address, not '{host}'."
        ));
    }
    let origin = headers.get(ORIGIN)?.to_str().unwrap_or_default();
    let own = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    (!own.is_some_and(|own| own.eq_ignore_ascii_case(host))).then(|| {
        format!(
            "The management API has no keys here, so it takes no requests from pages of other \
             sites, such as '{origin}'."
        )
    })
}

/// Names below `localhost` are always this machine's (RFC 6761, section 6.3); an address isn't
/// looked up.
fn is_local(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    !host.contains('@')
        && (name == "localhost"
            || name.ends_with(".localhost")
            || address.parse::<IpAddr>().is_ok())
}
