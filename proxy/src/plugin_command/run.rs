//! Runs a plugin on one request.

use std::sync::Arc;
use std::time::Duration;

use tollgate_plugin_host::{
    AuthorizerCall, AuthorizerDecision, BodyNeed, Headers, Http, Plugin, PluginError, PluginKind,
    PluginSlot, Reply, Transformation, Verdict,
};

use super::file::{TestRequest, TestResponse};
use super::log::Log;

/// What became of a request.
pub struct Outcome {
    pub method: String,
    pub path: String,
    pub action: Action,
    pub error: Option<PluginError>,
    pub log: Vec<String>,
    pub cost: Cost,
}

pub enum Action {
    Decision(AuthorizerDecision),
    /// Request and, where the file has one, response.
    Transformed {
        request: Edits,
        response: Option<Edits>,
    },
    /// The plugin answered by itself; before, perhaps, it changed the request.
    Reply(Box<Reply>),
    Reset,
    BodyTooLarge,
    Failed,
}

/// What a plugin changed of a head and its body.
#[derive(Default)]
pub struct Edits {
    pub removed: Vec<(String, String)>,
    pub added: Vec<(String, String)>,
    /// The new body, where it is another.
    pub body: Option<Vec<u8>>,
}

/// What one request cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub cpu: Duration,
    /// wasmtime's fuel: about one for each WebAssembly instruction.
    pub fuel: u64,
    /// Bytes of linear memory that the plugin's instances have.
    pub memory: u64,
}

pub async fn run(plugin: &Arc<Plugin>, request: TestRequest, log: &Log) -> Outcome {
    let (method, path) = (request.method.clone(), request.target());
    let (cpu, fuel) = (cpu_time(), plugin.usage().fuel);
    let result = match plugin.kind() {
        PluginKind::Authorizer => authorize(plugin, request).await,
        PluginKind::Transformer | PluginKind::ProxyWasm(_) => transform(plugin, request).await,
    };
    let usage = plugin.usage();
    let cost = Cost {
        cpu: cpu_time().saturating_sub(cpu),
        fuel: usage.fuel.saturating_sub(fuel),
        memory: usage.memory,
    };
    let (action, error) = match result {
        Ok(action) => (action, None),
        Err(error) => (Action::Failed, Some(error)),
    };
    Outcome { method, path, action, error, log: log.take(), cost }
}

async fn authorize(plugin: &Plugin, request: TestRequest) -> Result<Action, PluginError> {
    let headers = request.header_list();
    let body = plugin.settings().body.then(|| request.body());
    let http = Http::new(request, headers);
    plugin.authorize(AuthorizerCall { http, body }).await.map(Action::Decision)
}

async fn transform(plugin: &Arc<Plugin>, request: TestRequest) -> Result<Action, PluginError> {
    let (headers, body) = (request.header_list(), request.body());
    let response = request.response.clone();
    let http = Http::new(request, headers.clone());
    let transformation = Transformation::new(http, &[PluginSlot::new(plugin.clone())]);
    let result = sides(&transformation, &headers, body, response).await;
    transformation.finish();
    result
}

async fn sides(
    transformation: &Transformation,
    headers: &Headers,
    mut body: Vec<u8>,
    response: Option<TestResponse>,
) -> Result<Action, PluginError> {
    let received = body.clone();
    let verdict = transformation.request_headers(body.is_empty()).await?;
    if let Some(action) = ending(verdict) {
        return Ok(action);
    }
    if transformation.request_body_need() != BodyNeed::None {
        let verdict = transformation.request_body(&mut body, true).await?;
        if let Some(action) = ending(verdict) {
            return Ok(action);
        }
    }
    let after = {
        let mut state = transformation.http().state.lock();
        state.request_sent = true;
        state.request_headers.clone()
    };
    let request = Edits::between(headers, &after, received, body);
    let Some(response) = response else {
        return Ok(Action::Transformed { request, response: None });
    };
    let (headers, mut body) = (response.header_list(), response.body());
    let received = body.clone();
    transformation.http().state.lock().response_headers = headers.clone();
    let verdict = transformation.response_headers(body.is_empty()).await?;
    if let Some(action) = ending(verdict) {
        return Ok(action);
    }
    if transformation.response_body_need() != BodyNeed::None {
        let verdict = transformation.response_body(&mut body, true).await?;
        if let Some(action) = ending(verdict) {
            return Ok(action);
        }
    }
    let after = transformation.http().state.lock().response_headers.clone();
    let response = Edits::between(&headers, &after, received, body);
    Ok(Action::Transformed { request, response: Some(response) })
}

fn ending(verdict: Verdict) -> Option<Action> {
    match verdict {
        Verdict::Continue => None,
        Verdict::Reply(reply) => Some(Action::Reply(reply)),
        Verdict::Reset => Some(Action::Reset),
        Verdict::BodyTooLarge => Some(Action::BodyTooLarge),
    }
}

impl Edits {
    fn between(before: &Headers, after: &Headers, received: Vec<u8>, body: Vec<u8>) -> Self {
        let texts = |headers: &Headers| -> Vec<(String, String)> {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            headers.iter().map(|(name, value)| (text(name), text(value))).collect()
        };
        let mut removed = texts(before);
        let mut added = Vec::new();
        for pair in texts(after) {
            match removed.iter().position(|known| *known == pair) {
                Some(at) => {
                    removed.remove(at);
                }
                None => added.push(pair),
            }
        }
        Self { removed, added, body: (body != received).then_some(body) }
    }

    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.added.is_empty() && self.body.is_none()
    }
}

/// CPU time of this thread, on which plugins run here.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec that the call fills.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
