//! An exchange and a host for the guests.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use wasmtime::component::Component;

use super::guest::Guest;
use crate::component::{AuthorizerPlugin, Stream, TransformerPlugin};
use crate::config::{PluginSettings, UpstreamConfig};
use crate::plugin::PluginContext;
use crate::upstreams::Upstreams;
use crate::{
    AuthorizerCall, AuthorizerDecision, ClientCertificate, Headers, Http, PluginError, RequestInfo,
};

/// What there is to know of the exchange.
pub(super) struct Info;

impl RequestInfo for Info {
    fn request_id(&self) -> &str {
        "request-1"
    }
    fn api_id(&self) -> &str {
        "api1"
    }
    fn stage(&self) -> &str {
        "prod"
    }
    fn resource(&self) -> &str {
        "/pets/{id}"
    }
    fn method_arn(&self) -> String {
        "arn:aws:execute-api:eu-west-1:123456789012:api1/prod/GET/pets/7".to_owned()
    }
    fn source_address(&self) -> &str {
        "192.0.2.1"
    }
    fn peer(&self) -> Option<SocketAddr> {
        None
    }
    fn local(&self) -> Option<SocketAddr> {
        None
    }
    fn protocol(&self) -> &'static str {
        "HTTP/1.1"
    }
    fn tls_version(&self) -> Option<&str> {
        Some("TLSv1.3")
    }
    fn server_name(&self) -> Option<&str> {
        None
    }
    fn client_certificate(&self) -> Option<ClientCertificate<'_>> {
        Some(ClientCertificate {
            pem: "PEM".into(),
            subject: "CN=client".into(),
            issuer: "CN=ca".into(),
            serial_number: "1a".into(),
            not_before: "May 28 12:30:02 2019 GMT".into(),
            not_after: "Aug  5 09:36:04 2021 GMT".into(),
        })
    }
    fn started(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
    fn each_path_parameter(&self, f: &mut dyn FnMut(&str, &str)) {
        f("id", "7");
        f("kind", "cat");
    }
    fn each_stage_variable(&self, f: &mut dyn FnMut(&str, &str)) {
        f("colour", "green");
    }
    fn stage_variable(&self, name: &str) -> Option<&str> {
        (name == "colour").then_some("green")
    }
    fn context(&self, name: &str) -> Option<String> {
        (name == "identity.sourceIp").then(|| "192.0.2.1".to_owned())
    }
}

pub(super) fn http() -> Arc<Http> {
    let http = Http::new(Info, Headers::default());
    let mut state = http.state.lock();
    for (name, value) in [
        (":method", "GET"),
        (":path", "/prod/pets/7?a=1%2B1&b=x+y&a=2&flag"),
        (":authority", "api.example"),
        (":scheme", "https"),
        ("x-key", "secret"),
        ("accept", "text/plain"),
        ("Accept", "text/html"),
    ] {
        state.request_headers.push(name.as_bytes(), value.as_bytes());
    }
    state.request_headers.push(b"x-raw", b"caf\xe9");
    drop(state);
    http
}

/// As [`http`], with a response.
pub(super) fn answered() -> Arc<Http> {
    let http = http();
    let mut state = http.state.lock();
    for (name, value) in [(":status", "404"), ("set-cookie", "a=1"), ("set-cookie", "b=2")] {
        state.response_headers.push(name.as_bytes(), value.as_bytes());
    }
    drop(state);
    http
}

/// The headers of one side as `name: value` lines.
pub(super) fn lines(headers: &crate::Headers) -> Vec<String> {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    headers.iter().map(|(name, value)| format!("{}: {}", text(name), text(value))).collect()
}

pub(super) fn context(settings: PluginSettings) -> Arc<PluginContext> {
    PluginContext::for_test("guest", settings)
}

/// With one upstream, `backend`, that the plugin may call.
pub(super) fn context_with_upstream(
    mut settings: PluginSettings,
    address: SocketAddr,
) -> Arc<PluginContext> {
    settings.upstreams.insert("backend".to_owned());
    let upstream =
        UpstreamConfig { address: address.to_string(), tls: false, protocol: Default::default() };
    let upstreams =
        BTreeMap::from([("backend".to_owned(), upstream.clone()), ("other".to_owned(), upstream)]);
    let mut context = context(settings);
    let unshared = Arc::get_mut(&mut context).expect("nobody else has it yet");
    let upstreams = Upstreams::new(upstreams, None, unshared.background.clone());
    unshared.upstreams = Arc::new(upstreams.expect("the address is fine"));
    context
}

pub(super) fn component(context: &PluginContext, bytes: &[u8]) -> Component {
    Component::new(&context.engine, bytes).expect("the guest is a valid component")
}

pub(super) fn load_authorizer(
    context: &Arc<PluginContext>,
    guest: Guest,
) -> Result<AuthorizerPlugin, PluginError> {
    AuthorizerPlugin::new(context.clone(), &component(context, &guest.build()))
}

pub(super) fn load_transformer(
    context: &Arc<PluginContext>,
    guest: Guest,
) -> Result<TransformerPlugin, PluginError> {
    TransformerPlugin::new(context.clone(), &component(context, &guest.build()))
}

pub(super) fn authorizer(settings: PluginSettings, guest: Guest) -> AuthorizerPlugin {
    load_authorizer(&context(settings), guest).expect("the guest starts")
}

pub(super) fn transformer(settings: PluginSettings, guest: Guest) -> TransformerPlugin {
    load_transformer(&context(settings), guest).expect("the guest starts")
}

/// A transformer on [`answered`].
pub(super) fn stream(guest: Guest) -> (Arc<Http>, Stream) {
    let http = answered();
    let stream = transformer(PluginSettings::default(), guest).stream(http.clone());
    (http, stream)
}

pub(super) async fn ask(plugin: &AuthorizerPlugin) -> Result<AuthorizerDecision, PluginError> {
    plugin.authorize(AuthorizerCall { http: http(), body: None }).await
}

/// What the guest put out.
pub(super) async fn output(plugin: &AuthorizerPlugin) -> Result<String, PluginError> {
    match ask(plugin).await? {
        AuthorizerDecision::Allow { principal_id, .. } => Ok(principal_id),
        other => panic!("not allowed: {other:?}"),
    }
}
