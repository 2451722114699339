//! `test-invoke-method`: one request to one method without a client, and what happened on its way
//! (<https://docs.aws.amazon.com/apigateway/latest/api/API_TestInvokeMethod.html>).
//!
//! As on AWS, the request skips authorizer, API key and throttles and starts with its validation;
//! so it skips transformers, which come before that.
//! It shares nothing with live traffic: not its connections, its metrics nor its access log.
//!
//! Authorizers are tested on their own: [`AuthorizerInvocation`].

mod authorizer;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tollgate_model::compile::{
    CanonicalPath, CompiledIntegration, CompiledMethod, CompiledStage, Found, HttpIntegration,
    PathParameters,
};

use crate::config::Visibility;
use crate::core::Core;
use crate::deadline::Deadline;
use crate::exchange::{Client, Exchange, ExchangeView};
use crate::execution_log::{ExecutionLog, java_map};
use crate::head::{Field, Known, RequestHead, Span};
use crate::http1::parse::{is_field_value, is_token};
use crate::phases::integration_request;
use crate::phases::integration_response::{Backend, Passing, log_backend, passing};
use crate::phases::{mapped, request_body, validate};
use crate::proxy::Call;
use crate::refusal::Refusal;
use crate::respond::{self, LocalResponse};
use crate::snapshot::{Plugins, Release, StageRuntime};

pub(crate) use authorizer::test_invoke_authorizer;
pub use authorizer::{AuthorizerInvocation, AuthorizerInvocationResult};

/// The host AWS shows in a test invocation.
const HOST: &[u8] = b"testPrefix.testDomainName";

/// The client address AWS shows in a test invocation.
const SOURCE_IP: &str = "test-invoke-source-ip";

/// A request to test a method with.
#[derive(Clone, Copy, Debug)]
pub struct TestInvocation<'a> {
    /// `/pets/7?verbose=1`, percent-encoded, without a stage.
    pub path_with_query_string: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
}

/// What the client would have got, and the execution log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestInvocationResult {
    pub status: u16,
    /// In order; a name may repeat.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub log: String,
    /// From the request's start to the answer's end.
    pub latency: Duration,
}

/// A test invocation that can't be a request of this method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TestInvocationError {
    #[error("the path has to begin with / and to be percent-encoded")]
    Path,
    #[error("the path does not lead to the method")]
    OtherMethod,
    #[error("the headers hold a name or a value that HTTP does not allow")]
    Headers,
    #[error("the body is larger than {0} bytes")]
    BodyTooLarge(u64),
}

/// Runs the method with index `method` of `stage`. The stage is compiled for this call, with the
/// stage variables of the test. Dropped while it waits, the backend's connection is closed.
pub(crate) async fn test_invoke(
    core: &Core,
    stage: CompiledStage,
    method: usize,
    invocation: TestInvocation<'_>,
) -> Result<TestInvocationResult, TestInvocationError> {
    let maximum = core.limits.maximum_payload;
    if invocation.body.len() as u64 > maximum {
        return Err(TestInvocationError::BodyTooLarge(maximum));
    }
    let started = Instant::now();
    let (head, mut exchange) = begin(core, stage, method, invocation)?;
    log_request(&head, &mut exchange, invocation.body);
    let mut deadline = Deadline::after(Duration::from_secs(3600));
    let response = match invoke(core, &head, &mut exchange, invocation.body, &mut deadline).await {
        Ok(response) => {
            log_response(&mut exchange, &response);
            response
        }
        Err(refusal) => {
            let cause = refusal.log_message();
            exchange.log(|| cause.into_owned());
            respond::refusal(&head, &mut exchange, refusal)
        }
    };
    exchange.log(|| format!("Method completed with status: {}", response.status));
    let log = exchange.execution_log.take().unwrap_or_default();
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers = response.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
    Ok(TestInvocationResult {
        status: response.status,
        headers: headers.collect(),
        log: log.to_text(exchange.ids.request_id()),
        body: response.body,
        latency: started.elapsed(),
    })
}

fn begin(
    core: &Core,
    compiled: CompiledStage,
    method: usize,
    invocation: TestInvocation<'_>,
) -> Result<(RequestHead, Exchange), TestInvocationError> {
    let tested = compiled.methods.get(method).ok_or(TestInvocationError::OtherMethod)?;
    // An ANY method is tested with GET, unless the test asks for another by an override.
    let http_method = match tested.http_method {
        tollgate_model::api::HttpMethod::Any => "GET",
        method => method.as_str(),
    };
    let head = request_head(http_method, invocation)?;
    let resource_path = resource_path(&head)?;
    let found = find(&compiled, &head, &resource_path);
    let route =
        found.filter(|found| found.method == method).ok_or(TestInvocationError::OtherMethod)?;
    // Neither authorizers nor transformers run, so no plugin is needed.
    let stage = stage_runtime(core, compiled, &BTreeMap::new());
    Ok((head, exchange(stage, route, resource_path, BTreeMap::new())))
}

fn resource_path(head: &RequestHead) -> Result<String, TestInvocationError> {
    let mut buffer = String::new();
    let path = CanonicalPath::parse(head.path(), &mut buffer);
    Ok(path.map_err(|_| TestInvocationError::Path)?.as_str().to_owned())
}

fn find(compiled: &CompiledStage, head: &RequestHead, resource_path: &str) -> Option<Found> {
    compiled.router.find(head.method(), resource_path, &mut PathParameters::default())
}

fn stage_runtime(core: &Core, compiled: CompiledStage, plugins: &Plugins) -> Arc<StageRuntime> {
    let upstreams = compiled.upstreams.iter();
    let upstreams = upstreams.map(|target| core.upstreams.transient(target)).collect();
    let metrics = crate::metrics::Metrics::new();
    Arc::new(StageRuntime::new(compiled, Release::Sole, &metrics, upstreams, plugins))
}

fn exchange(
    stage: Arc<StageRuntime>,
    route: Found,
    resource_path: String,
    given_context: BTreeMap<String, String>,
) -> Exchange {
    let client = Client {
        source_ip: SOURCE_IP.to_owned(),
        addresses: None,
        listener_port: 443,
        visibility: Visibility::Public,
        tls: None,
        forwarding: None,
        penalised: Default::default(),
        given_context,
    };
    let mut exchange = Exchange::new(Arc::new(client));
    exchange.begin();
    exchange.path = resource_path.clone();
    exchange.resource_path = resource_path;
    exchange.route = Some(route);
    exchange.execution_log = Some(Box::<ExecutionLog>::default());
    exchange.stage = Some(stage);
    exchange
}

fn request_head(
    method: &str,
    invocation: TestInvocation<'_>,
) -> Result<RequestHead, TestInvocationError> {
    let target = invocation.path_with_query_string.as_bytes();
    let is_target = target.first() == Some(&b'/')
        && target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#');
    if !is_target {
        return Err(TestInvocationError::Path);
    }
    let mut head = RequestHead::default();
    let bytes = &mut head.bytes;
    let mut append = |text: &[u8]| {
        let start = bytes.len();
        bytes.extend_from_slice(text);
        Span::new(start..bytes.len())
    };
    head.method = append(method.as_bytes());
    head.target = append(target);
    head.host = Some(append(HOST));
    for (name, value) in invocation.headers {
        let (name, value) = (name.as_bytes(), value.as_bytes());
        if name.is_empty()
            || !name.iter().all(|byte| is_token(*byte))
            || !value.iter().all(|byte| is_field_value(*byte))
        {
            return Err(TestInvocationError::Headers);
        }
        let known = Known::of(name);
        let (name, value) = (append(name), append(value.trim_ascii()));
        head.fields.push(Field { name, value, known });
    }
    Ok(head)
}

async fn invoke(
    core: &Core,
    head: &RequestHead,
    exchange: &mut Exchange,
    body: &[u8],
    deadline: &mut Deadline,
) -> Result<LocalResponse, Refusal> {
    let stage = exchange.stage.clone().ok_or(Refusal::NotLocated)?;
    let method = stage.method(exchange.route.ok_or(Refusal::NotLocated)?.method);
    validate::parameters(head, exchange)?;
    let body = request_body::decode(&core.limits, head, body.to_vec()).await?;
    match &method.integration {
        CompiledIntegration::HttpProxy(http) => {
            proxy(core, head, exchange, (method, http), body, deadline).await
        }
        _ => mapped::answer(core, head, exchange, method, body, deadline).await,
    }
}

/// HTTP_PROXY, with the whole response.
async fn proxy(
    core: &Core,
    head: &RequestHead,
    exchange: &mut Exchange,
    made: (&CompiledMethod, &HttpIntegration),
    body: Vec<u8>,
    deadline: &mut Deadline,
) -> Result<LocalResponse, Refusal> {
    let mut request = Vec::new();
    let http = made.1;
    let head_length = request_body::proxy_request(head, exchange, made, &body, &mut request)?;
    let (upstream, _) = integration_request::upstream(&core.upstreams, head, exchange, http)?;
    let (request_head, content) = request.split_at(head_length);
    mapped::log_request(exchange, http, request_head, content);
    let call = Call {
        core,
        upstream: &upstream,
        poolable: false,
        timeout: http.timeout,
        method: request.split(|byte| *byte == b' ').next().unwrap_or_default(),
        compression: None,
    };
    let (backend_head, backend_body) =
        call.buffered(&request, head_length, exchange, deadline).await?;
    let backend =
        Backend { status: backend_head.status, head: Some(&backend_head), body: &backend_body };
    log_backend(exchange, &backend);
    let mut response = LocalResponse::new(backend_head.status);
    for field in &backend_head.fields {
        let (name, value) = (backend_head.name(field), backend_head.value(field));
        let name = String::from_utf8_lossy(name);
        match passing(&backend_head, field) {
            Passing::Passes => response.header(&name, value),
            Passing::Remapped => response.header(&format!("x-amzn-Remapped-{name}"), value),
            Passing::Dropped => {}
        }
    }
    response.body = backend_body;
    Ok(response)
}

fn log_request(head: &RequestHead, exchange: &mut Exchange, body: &[u8]) {
    let id = exchange.ids.request_id().to_owned();
    exchange.log(|| format!("Starting execution for request: {id}"));
    let lines = crate::phases::route::with_path_parameters(head, exchange, |path_parameters| {
        let view = ExchangeView { exchange, head, path_parameters, body };
        let path = path_parameters.iter().map(|(name, value)| (name.into(), value.into()));
        [
            format!(
                "HTTP Method: {}, Resource Path: {}",
                String::from_utf8_lossy(head.method()),
                exchange.resource_path
            ),
            format!("Method request path: {}", java_map(path)),
            format!("Method request query string: {}", java_map(view.query_values())),
            format!("Method request headers: {}", java_map(view.visible_headers())),
            format!(
                "Method request body before transformations: {}",
                String::from_utf8_lossy(body)
            ),
        ]
    });
    for line in lines {
        exchange.log(|| line);
    }
}

fn log_response(exchange: &mut Exchange, response: &LocalResponse) {
    exchange.log(|| {
        format!(
            "Method response body after transformations: {}",
            String::from_utf8_lossy(&response.body)
        )
    });
    let headers = response
        .headers
        .iter()
        .map(|(name, value)| (Cow::Borrowed(&**name), String::from_utf8_lossy(value)));
    exchange.log(|| format!("Method response headers: {}", java_map(headers)));
    exchange.log(|| "Successfully completed execution".to_owned());
}

#[cfg(test)]
mod tests;
