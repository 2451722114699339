//! What plugins may learn of an exchange: its request as [`RequestInfo`], and its headers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use smallvec::SmallVec;
use tollgate_model::compile::path::decode;
use tollgate_model::compile::{CompiledResource, CompiledStage, Found, PathParameters};
use tollgate_plugin_host::{ClientCertificate, Headers, Http, RequestInfo};

use crate::access_log::ContextVariable;
use crate::context::{RequestFacts, write_request_variable};
use crate::exchange::{Client, Exchange};
use crate::head::{Known, RequestHead, Span, Version};
use crate::identifiers::RequestIds;
use crate::method_arn::MethodArn;
use crate::phases::authorize::Authorized;
use crate::phases::route::method;
use crate::snapshot::StageRuntime;
use crate::transformation::heads::received;
use crate::usage::{ApiKeyId, ApiKeyPlace};

/// Room for the targets of most requests.
const TARGET: usize = 256;
/// Room for what plugins add to the headers.
const ROOM_BYTES: usize = 128;
const ROOM_FIELDS: usize = 4;

/// The request of an exchange as it is now, for plugins that may outlive it.
pub fn http(head: &RequestHead, exchange: &Exchange) -> Arc<Http> {
    Http::new(kept(head, exchange), headers(head, exchange))
}

fn kept(head: &RequestHead, exchange: &Exchange) -> KeptRequest {
    let user_agent = head.known(Known::UserAgent);
    let base_path = exchange.base_path.as_deref();
    let mut text = Vec::with_capacity(
        exchange.path.len()
            + exchange.resource_path.len()
            + base_path.map_or(0, str::len)
            + head.method.len()
            + method(head).len()
            + head.host.map_or(0, Span::len)
            + user_agent.map_or(0, <[u8]>::len),
    );
    let mut keep = |part: &[u8]| {
        let start = text.len();
        text.extend_from_slice(part);
        Span::new(start..text.len())
    };
    KeptRequest {
        client: exchange.client.clone(),
        ids: exchange.ids,
        started_at: exchange.started_at,
        version: head.version,
        stage: exchange.stage.clone(),
        route: exchange.route,
        authorized: exchange.authorized.clone(),
        api_key: exchange.api_key,
        path: keep(exchange.path.as_bytes()),
        resource_path: keep(exchange.resource_path.as_bytes()),
        base_path: base_path.map(|base_path| keep(base_path.as_bytes())),
        method: keep(head.method()),
        routed_method: keep(method(head)),
        host: head.host().map(&mut keep),
        user_agent: user_agent.map(&mut keep),
        text,
    }
}

/// The request's headers as plugins see them: `:method` (the one that was routed), `:path` (in
/// canonical form, with the query as it came), `:authority` and `:scheme`, then all fields but
/// those that are for the connection only.
fn headers(head: &RequestHead, exchange: &Exchange) -> Headers {
    let (method, host) = (method(head), head.host().unwrap_or_default());
    let mut target = SmallVec::<[u8; TARGET]>::from_slice(exchange.path.as_bytes());
    if let Some(query) = head.query() {
        target.push(b'?');
        target.extend_from_slice(query);
    }
    let scheme: &[u8] = if exchange.client.tls.is_some() { b"https" } else { b"http" };
    let pseudo: [(&'static [u8], &[u8]); 4] =
        [(b":method", method), (b":path", &target), (b":authority", host), (b":scheme", scheme)];
    let own: usize = pseudo.iter().map(|(name, value)| name.len() + value.len()).sum();
    let mut headers = Headers::with_capacity(
        head.bytes.len() + own + ROOM_BYTES,
        head.fields.len() + pseudo.len() + ROOM_FIELDS,
    );
    for (name, value) in pseudo {
        headers.push_lower(name, value);
    }
    let visible = head.fields.iter().enumerate().filter(|(_, field)| {
        !(is_of_connection(field.known) || head.nominates && head.is_nominated(head.name(field)))
    });
    headers.receive(&head.bytes, visible.map(received));
    headers
}

fn is_of_connection(known: Known) -> bool {
    matches!(
        known,
        Known::Connection
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::Te
            | Known::Trailer
            | Known::TransferEncoding
            | Known::Upgrade
    )
}

/// The parts of a request that are left when its exchange has gone on.
struct KeptRequest {
    client: Arc<Client>,
    ids: RequestIds,
    started_at: Duration,
    version: Version,
    stage: Option<Arc<StageRuntime>>,
    route: Option<Found>,
    authorized: Option<Arc<Authorized>>,
    api_key: Option<ApiKeyPlace>,
    /// What the spans below point into.
    text: Vec<u8>,
    path: Span,
    resource_path: Span,
    base_path: Option<Span>,
    method: Span,
    /// The client may override its own.
    routed_method: Span,
    host: Option<Span>,
    user_agent: Option<Span>,
}

impl KeptRequest {
    fn text(&self, span: Span) -> &str {
        std::str::from_utf8(span.of(&self.text)).unwrap_or_default()
    }
}

impl RequestFacts for KeptRequest {
    fn client(&self) -> &Client {
        &self.client
    }

    fn ids(&self) -> &RequestIds {
        &self.ids
    }

    fn started_at(&self) -> Duration {
        self.started_at
    }

    fn version(&self) -> Version {
        self.version
    }

    fn method(&self) -> &[u8] {
        self.method.of(&self.text)
    }

    fn host(&self) -> Option<&[u8]> {
        self.host.map(|span| span.of(&self.text))
    }

    fn user_agent(&self) -> Option<&[u8]> {
        self.user_agent.map(|span| span.of(&self.text))
    }

    fn path(&self) -> &str {
        self.text(self.path)
    }

    fn base_path(&self) -> Option<&str> {
        self.base_path.map(|span| self.text(span))
    }

    fn stage(&self) -> Option<&CompiledStage> {
        self.stage.as_ref().map(|stage| &*stage.compiled)
    }

    fn resource(&self) -> Option<&CompiledResource> {
        Some(&self.stage.as_ref()?.compiled.resources[self.route?.resource])
    }

    fn is_canary_request(&self) -> Option<bool> {
        self.stage.as_ref()?.is_canary_request()
    }

    fn authorized(&self) -> Option<&Authorized> {
        self.authorized.as_deref()
    }

    fn api_key(&self) -> Option<(&str, ApiKeyId)> {
        self.stage.as_ref()?.api_key(self.api_key?)
    }
}

impl RequestInfo for KeptRequest {
    fn request_id(&self) -> &str {
        self.ids.request_id()
    }

    fn api_id(&self) -> &str {
        RequestFacts::stage(self).map_or("", |stage| &stage.api_id.0)
    }

    fn stage(&self) -> &str {
        RequestFacts::stage(self).map_or("", |stage| &stage.stage_name)
    }

    fn resource(&self) -> &str {
        RequestFacts::resource(self).map_or("", |resource| &resource.path)
    }

    fn method_arn(&self) -> String {
        let path = self.text(self.resource_path);
        RequestFacts::stage(self)
            .map(|stage| MethodArn::new(stage, self.routed_method.of(&self.text), path).to_string())
            .unwrap_or_default()
    }

    fn source_address(&self) -> &str {
        &self.client.source_ip
    }

    fn peer(&self) -> Option<SocketAddr> {
        self.client.addresses.map(|(peer, _)| peer)
    }

    fn local(&self) -> Option<SocketAddr> {
        self.client.addresses.map(|(_, local)| local)
    }

    fn protocol(&self) -> &'static str {
        match self.version {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
            Version::Http2 => "HTTP/2",
        }
    }

    fn tls_version(&self) -> Option<&str> {
        self.client.tls.as_ref().map(|tls| tls.version)
    }

    fn server_name(&self) -> Option<&str> {
        self.client.tls.as_ref()?.server_name.as_deref()
    }

    /// None: listeners ask no client for a certificate.
    fn client_certificate(&self) -> Option<ClientCertificate<'_>> {
        None
    }

    fn started(&self) -> SystemTime {
        UNIX_EPOCH + self.started_at
    }

    fn each_path_parameter(&self, f: &mut dyn FnMut(&str, &str)) {
        let Some(stage) = RequestFacts::stage(self) else { return };
        let mut parameters = PathParameters::default();
        let method = self.routed_method.of(&self.text);
        stage.router.find(method, self.text(self.resource_path), &mut parameters);
        for (name, value) in parameters.iter() {
            f(name, &decode(value));
        }
    }

    fn each_stage_variable(&self, f: &mut dyn FnMut(&str, &str)) {
        let stage = RequestFacts::stage(self);
        for (name, value) in stage.into_iter().flat_map(|stage| &stage.stage_variables) {
            f(name, value);
        }
    }

    fn stage_variable(&self, name: &str) -> Option<&str> {
        RequestFacts::stage(self)?.stage_variables.get(name).map(String::as_str)
    }

    fn context(&self, name: &str) -> Option<String> {
        if let Some(key) = name.strip_prefix("authorizer.") {
            return Some(self.authorized.as_ref()?.property(key)?.to_owned());
        }
        if let Some(given) = self.client.given_context.get(name) {
            return Some(given.clone());
        }
        let variable = ContextVariable::parse(name)?;
        let mut value = Vec::new();
        write_request_variable(self, &variable, &mut value)
            .then(|| String::from_utf8_lossy(&value).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::phases::authorize::test_support::{exchange, head, stage};

    fn pairs(headers: &Headers) -> Vec<String> {
        let text = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
        headers.iter().map(|(name, value)| format!("{}={}", text(name), text(value))).collect()
    }

    #[test]
    fn a_request_can_be_asked_about_when_its_exchange_has_gone() {
        let stage = stage("{}", "type: token, authorizerUri: 'plugin:p'", &BTreeMap::new());
        let long = "x".repeat(300);
        let fields = [("User-Agent", long.as_str()), ("X-HTTP-Method-Override", "PUT")];
        let head = head("POST", "/pets/a%20b?x=1", &fields);
        let exchange = exchange(&head, &stage);
        let id = exchange.ids.request_id().to_owned();
        let http = http(&head, &exchange);
        let info = &http.info;
        drop((head, exchange, stage));

        assert_eq!(info.request_id(), id);
        assert_eq!(
            (info.api_id(), info.stage(), info.resource()),
            ("a1b2c3d4e5", "prod", "/pets/{id}")
        );
        assert_eq!(
            info.method_arn(),
            "arn:aws:execute-api:us-east-1:111122223333:a1b2c3d4e5/prod/PUT/pets/a%20b"
        );
        assert_eq!(info.source_address(), "192.0.2.1");
        assert_eq!(info.peer(), Some(([192, 0, 2, 1], 4000).into()));
        assert_eq!(info.local(), Some(([192, 0, 2, 9], 443).into()));
        assert_eq!((info.protocol(), info.tls_version()), ("HTTP/1.1", Some("TLSv1.3")));
        assert_eq!(info.server_name(), Some("api.example.com"));
        let mut parameters = Vec::new();
        info.each_path_parameter(&mut |name, value| parameters.push(format!("{name}={value}")));
        info.each_stage_variable(&mut |name, value| parameters.push(format!("{name}={value}")));
        assert_eq!(parameters, ["id=a b", "tenant=blue"]);
        for (name, expected) in [
            ("identity.userAgent", Some(long.as_str())),
            ("httpMethod", Some("POST")),
            ("path", Some("/prod/pets/a%20b")),
            ("domainName", Some("api.example.com")),
            ("domainPrefix", Some("api")),
            ("requestId", Some(&*id)),
            ("authorizer.principalId", None),
            ("status", None),
            ("nothing", None),
        ] {
            assert_eq!(info.context(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn plugins_see_the_canonical_path_and_no_field_of_the_connection() {
        let stage = stage("{}", "type: token, authorizerUri: 'plugin:p'", &BTreeMap::new());
        let fields = [
            ("Host", "api.example.com"),
            ("X-A", "1"),
            ("Connection", "X-Hop"),
            ("x-hop", "2"),
            ("Transfer-Encoding", "chunked"),
            ("x-a", "3"),
        ];
        let mut head = head("GET", "/pets/%61?q=%61", &fields);
        head.nominates = true;
        let mut exchange = exchange(&head, &stage);
        exchange.path = "/prod/pets/a".to_owned();
        assert_eq!(
            pairs(&headers(&head, &exchange)),
            [
                ":method=GET",
                ":path=/prod/pets/a?q=%61",
                ":authority=api.example.com:8443",
                ":scheme=https",
                "Host=api.example.com",
                "X-A=1",
                "x-a=3"
            ]
        );
    }
}
