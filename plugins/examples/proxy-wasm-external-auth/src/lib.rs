//! A proxy-wasm filter made with the public Rust SDK: it asks another service whether a request
//! may pass. The same `.wasm` runs in Envoy and whatever else has the proxy-wasm ABI.
//!
//! Its plugin configuration is the cluster's (in Tollgate: the upstream's) name and a path:
//!
//! ```text
//! sessions /check
//! ```
//!
//! The service gets `GET /check` with the client's `authorization` and `cookie` headers, and
//! `x-original-method` and `x-original-path`. With status 200 the request goes on, with the
//! answer's `x-auth-…` headers; such headers from a client never do. Any other status refuses it:
//! 401 and 403 as they are, the rest, and no answer within two seconds, as 503.

use std::rc::Rc;
use std::time::Duration;

use log::{error, warn};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};

/// The beginning of headers that the service may set.
const GIVEN: &str = "x-auth-";
const TIMEOUT: Duration = Duration::from_secs(2);

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(ExternalAuth::default()));
}}

#[derive(Default)]
struct ExternalAuth {
    service: Rc<Service>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Service {
    upstream: String,
    path: String,
}

struct Question {
    service: Rc<Service>,
}

impl Context for ExternalAuth {}

impl RootContext for ExternalAuth {
    fn on_configure(&mut self, _: usize) -> bool {
        match parse(&self.get_plugin_configuration().unwrap_or_default()) {
            Some(service) => {
                self.service = Rc::new(service);
                true
            }
            None => {
                error!("the plugin configuration can't be used: an upstream and a path are wanted");
                false
            }
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Question { service: self.service.clone() }))
    }
}

impl HttpContext for Question {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let received = self.get_http_request_headers();
        for (name, _) in received.iter().filter(|(name, _)| name.starts_with(GIVEN)) {
            self.set_http_request_header(name, None);
        }
        let mut headers = vec![
            (":method", "GET"),
            (":path", self.service.path.as_str()),
            (":authority", self.service.upstream.as_str()),
        ];
        headers.extend(received.iter().filter_map(|(name, value)| {
            let sent_as = match name.as_str() {
                "authorization" => "authorization",
                "cookie" => "cookie",
                ":method" => "x-original-method",
                ":path" => "x-original-path",
                _ => return None,
            };
            Some((sent_as, value.as_str()))
        }));
        let upstream = &self.service.upstream;
        if let Err(status) = self.dispatch_http_call(upstream, headers, None, vec![], TIMEOUT) {
            error!("{upstream} can't be asked: {status:?}");
            self.refuse(503);
        }
        Action::Pause
    }
}

impl Context for Question {
    fn on_http_call_response(&mut self, _: u32, _: usize, _: usize, _: usize) {
        let answer = self.get_http_call_response_headers();
        let status =
            answer.iter().find(|(name, _)| name == ":status").map(|(_, value)| value.as_str());
        match status {
            Some("200") => {
                for (name, value) in answer.iter().filter(|(name, _)| name.starts_with(GIVEN)) {
                    self.set_http_request_header(name, Some(value));
                }
                self.resume_http_request();
            }
            Some("401") => self.refuse(401),
            Some("403") => self.refuse(403),
            status => {
                warn!("{} answered {}", self.service.upstream, status.unwrap_or("nothing"));
                self.refuse(503);
            }
        }
    }
}

impl Question {
    fn refuse(&self, status: u32) {
        self.send_http_response(status, vec![("content-type", "text/plain")], Some(b"refused\n"));
    }
}

fn parse(configuration: &[u8]) -> Option<Service> {
    let text = std::str::from_utf8(configuration).ok()?;
    let (upstream, path) = text.trim().split_once(char::is_whitespace)?;
    let path = path.trim();
    path.starts_with('/').then(|| Service { upstream: upstream.to_owned(), path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_an_upstream_and_a_path() {
        let service = parse(b" sessions  /check?x=1\n").unwrap();
        assert_eq!((service.upstream.as_str(), service.path.as_str()), ("sessions", "/check?x=1"));
        for wrong in [&b""[..], b"sessions", b"sessions check", b"\xff /"] {
            assert_eq!(parse(wrong), None);
        }
    }
}
