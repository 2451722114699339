//! One request and its answer: what is known of it so far, for mappings, gateway responses,
//! logs and metrics.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tollgate_auth::Evaluation;
use tollgate_model::compile::path::decode;
use tollgate_model::compile::{
    CompiledMethod, CompiledResource, CompiledStage, Found, GatewayResponseValues, PathParameters,
    RequestValues,
};
use tollgate_template::ContextWrites;

use crate::access_log::{ContextVariable, LogValues};
use crate::config::Visibility;
use crate::context::{RequestFacts, number, text, write_request_variable};
use crate::execution_log::ExecutionLog;
use crate::head::{Known, RequestHead, Version};
use crate::identifiers::RequestIds;
use crate::phases::authorize::{Authorization, Authorized};
use crate::refusal::Refusal;
use crate::snapshot::StageRuntime;
use crate::sources::Forwarding;
use crate::transformation::Transforming;
use crate::usage::{ApiKeyId, ApiKeyPlace};

/// The client's side of a connection.
#[derive(Debug)]
pub struct Client {
    /// The client's address as text.
    pub source_ip: String,
    /// The client's end of the connection and ours; none in a test invocation.
    pub addresses: Option<(SocketAddr, SocketAddr)>,
    /// The port the client connected to.
    pub listener_port: u16,
    pub visibility: Visibility,
    pub tls: Option<TlsDetails>,
    /// If it is a trusted proxy.
    pub forwarding: Option<Forwarding>,
    /// It is in the penalty box: the connection is to end.
    pub penalised: AtomicBool,
    /// Values of `$context` that a test gives its authorizer, by name; empty for real clients.
    pub given_context: BTreeMap<String, String>,
}

impl Client {
    pub fn is_penalised(&self) -> bool {
        self.penalised.load(Ordering::Relaxed)
    }
}

/// What the handshake agreed on.
#[derive(Debug)]
pub struct TlsDetails {
    /// `TLSv1.3`
    pub version: &'static str,
    /// The cipher suite's IANA name.
    pub cipher_suite: &'static str,
    /// The name the client asked for.
    pub server_name: Option<Box<str>>,
}

/// One request and its answer.
pub struct Exchange {
    pub client: Arc<Client>,
    pub ids: RequestIds,
    pub started: Instant,
    /// Since the Unix epoch.
    pub started_at: Duration,
    /// The request's path in canonical form, stage or base path included.
    pub path: String,
    /// What of the path the router sees.
    pub resource_path: String,
    pub stage: Option<Arc<StageRuntime>>,
    pub route: Option<Found>,
    /// Only for methods that have transformers.
    pub transformation: Option<Transforming>,
    pub base_path: Option<String>,
    /// What the API's resource policy says of the method.
    pub resource_policy: Evaluation,
    /// What the method's authorizer allowed.
    pub authorized: Option<Arc<Authorized>>,
    /// How authorizing went.
    pub authorization: Authorization,
    /// The API key, if the method wants one.
    pub api_key: Option<ApiKeyPlace>,
    pub integration_status: Option<u16>,
    pub integration_latency: Option<Duration>,
    pub integration_error: Option<Cow<'static, str>>,
    pub refusal: Option<Refusal>,
    /// Why the request validator refused the body: `$context.error.validationErrorString`.
    pub validation_error: Option<String>,
    /// What mapping templates wrote to `$context`.
    pub context_writes: ContextWrites,
    /// Only kept for a test invocation.
    pub execution_log: Option<Box<ExecutionLog>>,
    pub status: u16,
    /// Body bytes sent to the client.
    pub response_length: u64,
}

impl Exchange {
    pub fn new(client: Arc<Client>) -> Self {
        Self {
            client,
            ids: RequestIds { request_id: [b'-'; 36], extended_request_id: [b'-'; 16] },
            started: Instant::now(),
            started_at: Duration::ZERO,
            path: String::new(),
            resource_path: String::new(),
            stage: None,
            route: None,
            transformation: None,
            base_path: None,
            resource_policy: Evaluation::ImplicitDeny,
            authorized: None,
            authorization: Authorization::default(),
            api_key: None,
            integration_status: None,
            integration_latency: None,
            integration_error: None,
            refusal: None,
            validation_error: None,
            context_writes: ContextWrites::default(),
            execution_log: None,
            status: 0,
            response_length: 0,
        }
    }

    /// Starts over for the next request on the connection.
    pub fn begin(&mut self) {
        self.ids = RequestIds::generate();
        self.started = Instant::now();
        self.started_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.path.clear();
        self.resource_path.clear();
        self.stage = None;
        self.route = None;
        self.transformation = None;
        self.base_path = None;
        self.resource_policy = Evaluation::ImplicitDeny;
        self.authorized = None;
        self.authorization = Authorization::default();
        self.api_key = None;
        self.integration_status = None;
        self.integration_latency = None;
        self.integration_error = None;
        self.refusal = None;
        self.validation_error = None;
        self.context_writes = ContextWrites::default();
        self.execution_log = None;
        self.status = 0;
        self.response_length = 0;
    }

    /// Adds a line to the execution log, if this exchange keeps one.
    pub fn log(&mut self, line: impl FnOnce() -> String) {
        if let Some(log) = &mut self.execution_log {
            log.push(line());
        }
    }

    pub fn method(&self) -> Option<&CompiledMethod> {
        Some(self.stage.as_ref()?.method(self.route?.method))
    }

    /// Appends the value of a `$context` variable; false when it has none.
    pub fn write_context(
        &self,
        head: &RequestHead,
        variable: &ContextVariable,
        out: &mut Vec<u8>,
    ) -> bool {
        use ContextVariable as V;
        match variable {
            V::Status => number(out, u64::from(self.status)),
            V::ResponseLength => number(out, self.response_length),
            V::ResponseLatency => number(out, self.started.elapsed().as_millis() as u64),
            V::IntegrationStatus
            | V::IntegrationObjectStatus
            | V::IntegrationObjectIntegrationStatus => {
                self.integration_status.is_some_and(|status| number(out, u64::from(status)))
            }
            V::IntegrationLatency | V::IntegrationObjectLatency => self
                .integration_latency
                .is_some_and(|latency| number(out, latency.as_millis() as u64)),
            V::IntegrationErrorMessage | V::IntegrationObjectError => {
                self.integration_error.as_ref().is_some_and(|error| text(out, error))
            }
            V::AuthorizerStatus | V::AuthorizerIntegrationStatus => {
                self.authorization.authorizer_status.is_some_and(|it| number(out, u64::from(it)))
            }
            V::AuthorizerLatency | V::AuthorizerIntegrationLatency => self
                .authorization
                .latency
                .is_some_and(|latency| number(out, latency.as_millis() as u64)),
            V::AuthorizerError => {
                self.authorization.error.as_ref().is_some_and(|error| text(out, error))
            }
            V::AuthorizeStatus => {
                self.authorization.authorize_status.is_some_and(|it| number(out, u64::from(it)))
            }
            V::AuthorizeError => match self.authorization.authorize_status {
                Some(403) => self.error_message().is_some_and(|message| text(out, &message)),
                _ => false,
            },
            V::ErrorValidationErrorString => {
                self.validation_error.as_ref().is_some_and(|error| text(out, error))
            }
            V::ErrorMessage => self.error_message().is_some_and(|message| text(out, &message)),
            V::ErrorResponseType => {
                let response_type = self.refusal.as_ref().and_then(Refusal::response_type);
                response_type.is_some_and(|it| text(out, it.as_str()))
            }
            V::ThrottleLevel => match &self.refusal {
                Some(Refusal::Throttled(throttled)) => text(out, throttled.level.label()),
                _ => false,
            },
            variable => write_request_variable(&Received { exchange: self, head }, variable, out),
        }
    }

    fn resource(&self) -> Option<&CompiledResource> {
        Some(&self.stage.as_ref()?.compiled.resources[self.route?.resource])
    }

    /// The message the client gets for a refusal; `None` is JSON `null`.
    pub fn error_message(&self) -> Option<Cow<'_, str>> {
        match self.refusal.as_ref()? {
            Refusal::Gateway { message: Some(message), .. } => Some(Cow::Borrowed(message)),
            refusal => match refusal.response_type() {
                Some(response_type) => {
                    let responses = &self.stage.as_ref()?.compiled.gateway_responses;
                    responses.built_in(response_type).message.map(Cow::Borrowed)
                }
                None => Some(refusal.log_message()),
            },
        }
    }
}

/// The request of an exchange while its head is there.
struct Received<'a> {
    exchange: &'a Exchange,
    head: &'a RequestHead,
}

impl RequestFacts for Received<'_> {
    fn client(&self) -> &Client {
        &self.exchange.client
    }

    fn ids(&self) -> &RequestIds {
        &self.exchange.ids
    }

    fn started_at(&self) -> Duration {
        self.exchange.started_at
    }

    fn version(&self) -> Version {
        self.head.version
    }

    fn method(&self) -> &[u8] {
        self.head.method()
    }

    fn host(&self) -> Option<&[u8]> {
        self.head.host()
    }

    fn user_agent(&self) -> Option<&[u8]> {
        self.head.known(Known::UserAgent)
    }

    fn path(&self) -> &str {
        &self.exchange.path
    }

    fn base_path(&self) -> Option<&str> {
        self.exchange.base_path.as_deref()
    }

    fn stage(&self) -> Option<&CompiledStage> {
        self.exchange.stage.as_ref().map(|stage| &*stage.compiled)
    }

    fn resource(&self) -> Option<&CompiledResource> {
        self.exchange.resource()
    }

    fn is_canary_request(&self) -> Option<bool> {
        self.exchange.stage.as_ref()?.is_canary_request()
    }

    fn authorized(&self) -> Option<&Authorized> {
        self.exchange.authorized.as_deref()
    }

    fn api_key(&self) -> Option<(&str, ApiKeyId)> {
        self.exchange.stage.as_ref()?.api_key(self.exchange.api_key?)
    }
}

/// `host` without `:port`; brackets of an IPv6 address stay.
pub fn without_port(host: &[u8]) -> &[u8] {
    if host.first() == Some(&b'[') {
        return match memchr::memchr(b']', host) {
            Some(end) => &host[..=end],
            None => host,
        };
    }
    &host[..memchr::memchr(b':', host).unwrap_or(host.len())]
}

/// An exchange with its request head: what logs, mappings and gateway responses read.
pub struct ExchangeView<'a, 'p> {
    pub exchange: &'a Exchange,
    pub head: &'a RequestHead,
    pub path_parameters: &'a PathParameters<'p>,
    /// Empty where the integration does not need it.
    pub body: &'a [u8],
}

impl LogValues for ExchangeView<'_, '_> {
    fn write(&self, variable: &ContextVariable, out: &mut Vec<u8>) -> bool {
        self.exchange.write_context(self.head, variable, out)
    }
}

impl ExchangeView<'_, '_> {
    /// A `$context` variable of mappings, templates and gateway responses.
    pub fn context_text(&self, name: &str) -> Option<Cow<'_, str>> {
        if name == "error.messageString" {
            return Some(match self.exchange.error_message() {
                Some(message) => serde_json::Value::from(message.as_ref()).to_string().into(),
                None => "null".into(),
            });
        }
        if let Some(key) = name.strip_prefix("authorizer.") {
            return self.exchange.authorized.as_ref()?.property(key).map(Cow::Borrowed);
        }
        let variable = ContextVariable::parse(name).filter(ContextVariable::is_in_mappings)?;
        let mut out = Vec::new();
        if !self.exchange.write_context(self.head, &variable, &mut out) {
            return None;
        }
        let text = String::from_utf8(out);
        Some(Cow::Owned(
            text.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        ))
    }

    /// The headers that mappings and templates see, in the order received.
    pub fn visible_headers(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        self.head.fields.iter().filter(|field| is_visible(field.known)).map(|field| {
            let name = String::from_utf8_lossy(self.head.name(field));
            (name, String::from_utf8_lossy(self.head.value(field)))
        })
    }

    /// The query-string parameters, decoded, in the order received.
    pub fn query_values(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        self.head.query().unwrap_or_default().split(|byte| *byte == b'&').filter_map(|pair| {
            if pair.is_empty() {
                return None;
            }
            let (name, value) = match memchr::memchr(b'=', pair) {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &pair[pair.len()..]),
            };
            Some((decode_form(name), decode_form(value)))
        })
    }
}

impl RequestValues for ExchangeView<'_, '_> {
    fn captured_path_parameter(&self, name: &str) -> Option<&str> {
        self.path_parameters.get(name)
    }

    fn querystring(&self, name: &str) -> Option<Cow<'_, str>> {
        self.query_values().filter(|(known, _)| known == name).last().map(|(_, value)| value)
    }

    fn each_querystring(&self, name: &str, f: &mut dyn FnMut(&str)) {
        self.query_values().filter(|(known, _)| known == name).for_each(|(_, value)| f(&value));
    }

    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        let field =
            self.head.fields.iter().rev().find(|field| {
                is_visible(field.known) && self.head.is_named(field, name.as_bytes())
            })?;
        Some(String::from_utf8_lossy(self.head.value(field)))
    }

    fn each_header(&self, name: &str, f: &mut dyn FnMut(&str)) {
        for field in &self.head.fields {
            if is_visible(field.known) && self.head.is_named(field, name.as_bytes()) {
                f(&String::from_utf8_lossy(self.head.value(field)));
            }
        }
    }

    fn body(&self) -> &[u8] {
        self.body
    }

    fn context(&self, name: &str) -> Option<Cow<'_, str>> {
        self.context_text(name)
    }
}

impl GatewayResponseValues for ExchangeView<'_, '_> {
    fn context(&self, name: &str) -> Option<Cow<'_, str>> {
        self.context_text(name)
    }

    fn path_parameter(&self, name: &str) -> Option<Cow<'_, str>> {
        self.path_parameters.get(name).map(decode)
    }

    fn querystring(&self, name: &str) -> Option<Cow<'_, str>> {
        RequestValues::querystring(self, name)
    }

    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        RequestValues::header(self, name)
    }
}

/// Header fields that mappings never see, as API Gateway hides them (rest-api §9.1).
fn is_visible(known: Known) -> bool {
    !matches!(
        known,
        Known::Connection
            | Known::ContentLength
            | Known::ContentMd5
            | Known::Expect
            | Known::MaxForwards
            | Known::ProxyAuthenticate
            | Known::Server
            | Known::Te
            | Known::TransferEncoding
            | Known::Trailer
            | Known::Upgrade
            | Known::WwwAuthenticate
    )
}

/// Decodes a name or value of a query string: `+` is a space.
fn decode_form(raw: &[u8]) -> Cow<'_, str> {
    let spaced: Cow<'_, [u8]> = if raw.contains(&b'+') {
        raw.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect()
    } else {
        Cow::Borrowed(raw)
    };
    match percent_encoding::percent_decode(&spaced).decode_utf8_lossy() {
        Cow::Borrowed(_) if matches!(spaced, Cow::Borrowed(_)) => String::from_utf8_lossy(raw),
        decoded => Cow::Owned(decoded.into_owned()),
    }
}
