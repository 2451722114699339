//! What a page in a developer's browser may not do to a listener without keys.

use http::{HeaderMap, HeaderValue};

use super::server::{Listening, echo};
use crate::http::browser;

#[test]
fn a_page_of_another_site_gets_nothing() {
    let server = Listening::start(echo);
    let send = |headers: &str| server.send(&format!("POST / HTTP/1.1\r\n{headers}\r\n"));
    let rebound = send("Host: evil.example\r\n");
    let (status, kind, text) = rebound.error();
    assert_eq!((status, kind), (403, "AccessDeniedException"));
    assert_eq!(
        text,
        "The management API has no keys here, so the Host of a request must be localhost or an IP \
         address, not 'evil.example'."
    );
    let posted = send("Host: 127.0.0.1:80\r\nOrigin: https://evil.example\r\n");
    let (status, _, text) = posted.error();
    assert_eq!(status, 403);
    assert_eq!(
        text,
        "The management API has no keys here, so it takes no requests from pages of other sites, \
         such as 'https://evil.example'."
    );
    assert_eq!(send("Host: 127.0.0.1:80\r\n").status(), 200);
}

#[test]
fn only_hosts_that_nobody_can_rebind_are_taken() {
    let refused = |host: Option<&str>, origin: Option<&str>| {
        let mut headers = HeaderMap::new();
        let mut add = |name, value: Option<&str>| {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_str(value).unwrap());
            }
        };
        add("host", host);
        add("origin", origin);
        browser::refusal(&headers).is_some()
    };
    for host in [
        "localhost",
        "LOCALHOST:4566",
        "localhost.",
        "apigateway.localhost:80",
        "127.0.0.1",
        "127.0.0.1:8080",
        "[::1]",
        "[::1]:8080",
        "192.0.2.1",
    ] {
        assert!(!refused(Some(host), None), "{host}");
        assert!(!refused(Some(host), Some(&format!("http://{host}"))), "{host}");
        for origin in ["null", "http://evil.example", "http://localhost:1", "file://", "é"] {
            assert!(refused(Some(host), Some(origin)), "{host} {origin}");
        }
    }
    for host in [
        "",
        "evil.example",
        "localhost.evil.example",
        "evillocalhost",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "evil.example@localhost",
        "localhost/evil",
        "[evil]",
    ] {
        assert!(refused(Some(host), None), "{host}");
    }
    assert!(refused(None, None));
}
