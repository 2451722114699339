//! What a call of a component costs: CPU time of the calling thread for each exchange, without
//! what the exchange itself costs.
//!
//! ```text
//! cargo run --release -p tollgate-plugin-host --example call_cost
//! ```
//!
//! The components are the examples in `plugins/dist`.

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use tollgate_plugin_host::config::{Isolation, PluginSettings};
use tollgate_plugin_host::{
    AuthorizerCall, AuthorizerDecision, BodyNeed, ClientCertificate, Headers, HostConfig, Http,
    Plugin, PluginHost, PluginSlot, PluginSource, RequestInfo, Transformation,
};

const ROUNDS: u32 = 5;
const EXCHANGES: u32 = 20_000;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let host = PluginHost::new(HostConfig { workers: 1, ..HostConfig::default() })?;
    println!("{:<22} {:<12} {:>9}", "plugin", "isolation", "CPU µs");
    for isolation in [Isolation::Shared, Isolation::PerRequest] {
        let load = |file: &str, configuration: &str| load(&host, file, configuration, isolation);
        let digest = Sha256::digest("a-key-of-some-length-0123456789");
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let keys = format!("{digest},alice,,tier=gold,beta=true\n");
        let authorizer = load("api-key-authorizer", &keys)?;
        report("api-key-authorizer", isolation, || runtime.block_on(authorize(&authorizer)));

        let rules = r#"{"request": {"remove": ["x-internal"], "set": {"x-edge": "one"}},
            "response": {"remove": ["server"], "add": {"x-frame-options": "DENY"}}}"#;
        let normaliser = [PluginSlot::new(load("header-normaliser", rules)?)];
        report("header-normaliser", isolation, || {
            runtime.block_on(transform(&normaliser, None));
        });

        let paths = r#"{"request": ["$..secret"]}"#;
        let redactor = [PluginSlot::new(load("json-redactor", paths)?)];
        let body = body();
        report("json-redactor, 10 KB", isolation, || {
            runtime.block_on(transform(&redactor, Some(&body)));
        });
    }
    Ok(())
}

fn load(
    host: &PluginHost,
    name: &str,
    configuration: &str,
    isolation: Isolation,
) -> Result<Arc<Plugin>, Box<dyn Error>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/dist");
    Ok(host.load(&PluginSource {
        name: format!("{name}-{isolation:?}"),
        file: directory.join(name).with_extension("wasm"),
        sha256: None,
        settings: PluginSettings {
            configuration: configuration.as_bytes().to_vec(),
            isolation,
            ..PluginSettings::default()
        },
    })?)
}

/// The best of some rounds, in microseconds an exchange.
fn cost(mut exchange: impl FnMut()) -> f64 {
    (0..EXCHANGES / 4).for_each(|_| exchange());
    let round = |_| {
        let begin = cpu_time();
        (0..EXCHANGES).for_each(|_| exchange());
        (cpu_time() - begin) as f64 / f64::from(EXCHANGES) / 1000.0
    };
    (0..ROUNDS).map(round).fold(f64::MAX, f64::min)
}

fn report(name: &str, isolation: Isolation, exchange: impl FnMut()) {
    let baseline = cost(|| drop(std::hint::black_box(http())));
    let isolation = format!("{isolation:?}");
    println!("{name:<22} {isolation:<12} {:>9.2}", cost(exchange) - baseline);
}

/// Nanoseconds that this thread has run.
fn cpu_time() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux has it");
    let first = text.split_whitespace().next().expect("three numbers");
    first.parse().expect("a number")
}

async fn authorize(plugin: &Plugin) {
    let decision = plugin.authorize(AuthorizerCall { http: http(), body: None }).await;
    assert!(matches!(decision, Ok(AuthorizerDecision::Allow { .. })), "{decision:?}");
}

async fn transform(attached: &[PluginSlot], body: Option<&[u8]>) {
    let transformation = Transformation::new(Http::new(Info, Headers::default()), attached);
    fill(transformation.http());
    transformation.request_headers(body.is_none()).await.expect("the plugin works");
    if let Some(body) = body {
        assert_eq!(transformation.request_body_need(), BodyNeed::Whole);
        let mut body = body.to_vec();
        transformation.request_body(&mut body, true).await.expect("the plugin works");
        assert!(memchr::memmem::find(&body, b"hunter2").is_none(), "it was redacted");
        return;
    }
    transformation.http().state.lock().request_sent = true;
    transformation.response_headers(true).await.expect("the plugin works");
    transformation.finish();
}

/// 10 KB of JSON with one value in it to be redacted.
fn body() -> Vec<u8> {
    let item = r#"{"id":12345,"name":"something","tags":["a","b"],"price":9.99}"#;
    let items = vec![item; 10_000 / item.len()].join(",");
    format!(r#"{{"user":{{"secret":"hunter2"}},"items":[{items}]}}"#).into_bytes()
}

fn http() -> Arc<Http> {
    let http = Http::new(Info, Headers::default());
    fill(&http);
    http
}

fn fill(http: &Http) {
    let mut state = http.state.lock();
    for (name, value) in [
        (":method", "POST"),
        (":path", "/pets/7?verbose=1"),
        (":authority", "api.example.com"),
        (":scheme", "https"),
        ("user-agent", "curl/8.5.0"),
        ("accept", "*/*"),
        ("content-type", "application/json"),
        ("x-api-key", "a-key-of-some-length-0123456789"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-internal", "1"),
    ] {
        state.request_headers.push(name.as_bytes(), value.as_bytes());
    }
    for (name, value) in
        [(":status", "200"), ("content-type", "application/json"), ("server", "backend")]
    {
        state.response_headers.push(name.as_bytes(), value.as_bytes());
    }
}

struct Info;

impl RequestInfo for Info {
    fn request_id(&self) -> &str {
        "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
    }
    fn api_id(&self) -> &str {
        "abcdef1234"
    }
    fn stage(&self) -> &str {
        "prod"
    }
    fn resource(&self) -> &str {
        "/pets/{id}"
    }
    fn method_arn(&self) -> String {
        "arn:aws:execute-api:eu-west-1:123456789012:abcdef1234/prod/POST/pets/7".to_owned()
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
        None
    }
    fn server_name(&self) -> Option<&str> {
        None
    }
    fn client_certificate(&self) -> Option<ClientCertificate<'_>> {
        None
    }
    fn started(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
    fn each_path_parameter(&self, f: &mut dyn FnMut(&str, &str)) {
        f("id", "7");
    }
    fn each_stage_variable(&self, _: &mut dyn FnMut(&str, &str)) {}
    fn stage_variable(&self, _: &str) -> Option<&str> {
        None
    }
    fn context(&self, _: &str) -> Option<String> {
        None
    }
}
