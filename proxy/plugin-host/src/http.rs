//! An exchange as its plugins see it.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;

use crate::Headers;

/// What plugins may learn of an exchange besides its headers and bodies. The gateway implements
/// it over what it keeps of the exchange anyway; every method may be called from any thread, for
/// as long as a plugin has something to do with the exchange.
pub trait RequestInfo: Send + Sync {
    fn request_id(&self) -> &str;
    fn api_id(&self) -> &str;
    fn stage(&self) -> &str;
    /// The resource's path template.
    fn resource(&self) -> &str;
    fn method_arn(&self) -> String;
    /// The client's address as it is for the API: behind trusted proxies not the peer's.
    fn source_address(&self) -> &str;
    /// The peer's own address and the one it connected to, where they are known.
    fn peer(&self) -> Option<SocketAddr>;
    fn local(&self) -> Option<SocketAddr>;
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`.
    fn protocol(&self) -> &'static str;
    /// `TLSv1.3`; none without TLS.
    fn tls_version(&self) -> Option<&str>;
    /// The name the client asked for in the handshake.
    fn server_name(&self) -> Option<&str>;
    fn client_certificate(&self) -> Option<ClientCertificate<'_>>;
    fn started(&self) -> SystemTime;
    /// Percent-decoded.
    fn each_path_parameter(&self, f: &mut dyn FnMut(&str, &str));
    fn each_stage_variable(&self, f: &mut dyn FnMut(&str, &str));
    fn stage_variable(&self, name: &str) -> Option<&str>;
    /// A `$context` variable by its name without `$context.`.
    fn context(&self, name: &str) -> Option<String>;
}

/// A client certificate, in the words of `$context.identity.clientCert`.
#[derive(Clone, Debug)]
pub struct ClientCertificate<'a> {
    pub pem: Cow<'a, str>,
    pub subject: Cow<'a, str>,
    pub issuer: Cow<'a, str>,
    pub serial_number: Cow<'a, str>,
    pub not_before: Cow<'a, str>,
    pub not_after: Cow<'a, str>,
}

/// One exchange, shared by its plugins.
pub struct Http<I: ?Sized = dyn RequestInfo> {
    /// Locked for the time of one host call or one edit, never across a wait.
    pub state: Mutex<HttpState>,
    pub info: I,
}

/// A key and its value.
pub type Value = (Box<[u8]>, Box<[u8]>);

/// What plugins see and change. Readable for as long as the exchange has plugins; writes to what
/// was sent already are refused.
#[derive(Default)]
pub struct HttpState {
    /// Names in lower case; `:method`, `:path`, `:authority` and `:scheme` first.
    pub request_headers: Headers,
    pub request_trailers: Headers,
    /// `:status` first. Empty before there is a response.
    pub response_headers: Headers,
    pub response_trailers: Headers,
    /// The request's head has gone to the backend.
    pub request_sent: bool,
    /// The response's head has gone to the client.
    pub response_sent: bool,
    /// Bytes of the bodies as they were received.
    pub request_size: u64,
    pub response_size: u64,
    /// Set by plugins for later ones: properties of proxy-wasm, `exchange` values of components.
    pub values: Vec<Value>,
}

impl HttpState {
    /// What a plugin set for `key`.
    pub fn value(&self, key: &[u8]) -> Option<&[u8]> {
        self.values.iter().find(|(known, _)| **known == *key).map(|(_, value)| &**value)
    }

    /// Sets or replaces what later plugins get for `key`. False: keys and values would be more
    /// than [`crate::limits::EXCHANGE_VALUES`] bytes, and nothing was changed.
    pub fn set_value(&mut self, key: &[u8], value: &[u8]) -> bool {
        let others = self.values.iter().filter(|(known, _)| **known != *key);
        let size: usize = others.map(|(known, value)| known.len() + value.len()).sum();
        if size + key.len() + value.len() > crate::limits::EXCHANGE_VALUES {
            return false;
        }
        match self.values.iter_mut().find(|(known, _)| **known == *key) {
            Some((_, known)) => *known = value.into(),
            None => self.values.push((key.into(), value.into())),
        }
        true
    }
}

impl Http {
    pub fn new(info: impl RequestInfo + 'static, request_headers: Headers) -> Arc<Self> {
        let state = HttpState { request_headers, ..HttpState::default() };
        Arc::new(Http { state: Mutex::new(state), info })
    }
}

/// A response that a plugin gives by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// 200 to 599.
    pub status: u16,
    /// Valid names and values; no `:status`, no framing headers.
    pub headers: Vec<(Box<str>, Box<[u8]>)>,
    pub body: Vec<u8>,
    /// For a gRPC client: the status in `grpc-status`.
    pub grpc_status: Option<u32>,
    /// For the log.
    pub details: String,
}

/// What a plugin, or a chain of them, does with a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum BodyNeed {
    /// It passes by.
    #[default]
    None,
    /// Each piece goes through the plugin.
    Streamed,
    /// The head can't go on before the whole body went through the plugin.
    Whole,
}
