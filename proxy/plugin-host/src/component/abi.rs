//! The types of `plugins/wit/tollgate-plugin.wit` in Rust. wasmtime compares them with a
//! component's own when it is linked.

use std::sync::Arc;

use wasmtime::component::{ComponentType, Lift, Lower};

pub(super) type Pairs = Vec<(String, String)>;
type Header = (Box<str>, Box<str>);

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct Reply {
    pub status: u16,
    pub headers: Vec<Header>,
    pub body: Vec<u8>,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(super) enum HeaderEdit {
    #[component(name = "set")]
    Set(Header),
    #[component(name = "append")]
    Append(Header),
    #[component(name = "remove")]
    Remove(Box<str>),
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(super) enum ContextValue {
    #[component(name = "text")]
    Text(String),
    #[component(name = "number")]
    Number(f64),
    #[component(name = "boolean")]
    Boolean(bool),
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct Allow {
    #[component(name = "principal-id")]
    pub principal_id: String,
    pub policy: Option<String>,
    pub context: Vec<(String, ContextValue)>,
    #[component(name = "usage-identifier-key")]
    pub usage_identifier_key: Option<String>,
    pub headers: Vec<HeaderEdit>,
    #[component(name = "time-to-live")]
    pub time_to_live: Option<u32>,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(super) enum Decision {
    #[component(name = "allow")]
    Allow(Allow),
    #[component(name = "deny")]
    Deny(Option<Reply>),
    #[component(name = "unauthorized")]
    Unauthorized,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(super) enum BodyHandling {
    #[component(name = "pass")]
    Pass,
    #[component(name = "streamed")]
    Streamed,
    #[component(name = "buffered")]
    Buffered,
    #[component(name = "replaced")]
    Replaced(Vec<u8>),
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct RequestEdits {
    pub headers: Vec<HeaderEdit>,
    pub method: Option<String>,
    pub path: Option<String>,
    pub query: Option<String>,
    pub body: BodyHandling,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct ResponseEdits {
    pub status: Option<u16>,
    pub headers: Vec<HeaderEdit>,
    pub body: BodyHandling,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(super) enum RequestAction {
    #[component(name = "pass")]
    Pass,
    #[component(name = "edit")]
    Edit(RequestEdits),
    #[component(name = "reply")]
    Reply(Reply),
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(super) enum ResponseAction {
    #[component(name = "pass")]
    Pass,
    #[component(name = "edit")]
    Edit(ResponseEdits),
    #[component(name = "reply")]
    Reply(Reply),
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(super) enum BodyAction {
    #[component(name = "pass")]
    Pass,
    #[component(name = "replace")]
    Replace(Vec<u8>),
    #[component(name = "edit")]
    Edit((Vec<u8>, Vec<HeaderEdit>)),
    #[component(name = "reply")]
    Reply(Reply),
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct ClientCertificate {
    pub pem: String,
    pub subject: String,
    pub issuer: String,
    #[component(name = "serial-number")]
    pub serial_number: String,
    #[component(name = "not-before")]
    pub not_before: String,
    #[component(name = "not-after")]
    pub not_after: String,
}

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "wasmtime makes the variants of their numbers")]
pub(super) enum Level {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

impl From<Level> for tracing::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Trace => Self::TRACE,
            Level::Debug => Self::DEBUG,
            Level::Info => Self::INFO,
            Level::Warn => Self::WARN,
            Level::Error => Self::ERROR,
        }
    }
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Entry {
    pub value: Arc<[u8]>,
    pub version: u64,
}

#[derive(ComponentType, Lower)]
#[component(variant)]
pub(super) enum StoreError {
    #[component(name = "full")]
    Full,
    #[component(name = "conflict")]
    Conflict(u64),
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct FetchRequest {
    pub method: String,
    pub path: String,
    pub headers: Pairs,
    pub body: Vec<u8>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct FetchResponse {
    pub status: u16,
    pub headers: Pairs,
    pub body: Vec<u8>,
}

#[derive(ComponentType, Lower)]
#[component(variant)]
pub(super) enum FetchError {
    #[component(name = "unknown-upstream")]
    UnknownUpstream,
    #[component(name = "invalid-request")]
    InvalidRequest(String),
    #[component(name = "timed-out")]
    TimedOut,
    #[component(name = "failed")]
    Failed(String),
    #[component(name = "too-large")]
    TooLarge,
}
