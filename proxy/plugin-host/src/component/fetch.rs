//! The import `fetch`: requests to upstreams that the configuration names.
//!
//! Only components that import it are linked with asynchronous functions and run on a fiber.
//! Waiting ends with the call's deadline, and with the call when its future is dropped.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime::{Result, StoreContextMut};

use super::abi;
use super::state::HostState;
use crate::clock::wait_for;
use crate::upstreams::{FetchError, UpstreamRequest, UpstreamResponse};

type Caller<'a> = StoreContextMut<'a, HostState>;
type Outcome = Result<UpstreamResponse, FetchError>;

/// A request under way; dropped, it is given up.
pub(super) struct Pending(Option<JoinHandle<Outcome>>);

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

pub(super) fn add(linker: &mut Linker<HostState>) -> Result<()> {
    let mut fetch = linker.instance("tollgate:plugin/fetch@0.1.0")?;
    fetch.resource("pending", ResourceType::host::<Pending>(), |mut caller, id| {
        let state: &mut HostState = caller.data_mut();
        state.resources.delete(Resource::<Pending>::new_own(id))?;
        state.fetches -= 1;
        Ok(())
    })?;
    type Parameters = (String, abi::FetchRequest, u32);
    fetch.func_wrap_async(
        "send",
        |mut caller: Caller<'_>, (upstream, request, timeout): Parameters| {
            Box::new(
                async move { Ok((outcome(send(&mut caller, upstream, request, timeout).await),)) },
            )
        },
    )?;
    fetch.func_wrap(
        "start",
        |mut caller: Caller<'_>, (upstream, request, timeout): Parameters| {
            Ok((start(caller.data_mut(), upstream, request, timeout)?.map_err(error),))
        },
    )?;
    fetch.func_wrap_async(
        "[method]pending.wait",
        |mut caller: Caller<'_>, (pending,): (Resource<Pending>,)| {
            Box::new(async move {
                let task = caller.data_mut().resources.get_mut(&pending)?.0.take();
                Ok((outcome(wait(&mut caller, task).await),))
            })
        },
    )
}

async fn send(
    caller: &mut Caller<'_>,
    upstream: String,
    request: abi::FetchRequest,
    timeout: u32,
) -> Outcome {
    let state = caller.data();
    let (request, timeout) = prepare(state, &upstream, request, timeout)?;
    let upstreams = state.shared.context.upstreams.clone();
    wait_for(caller, upstreams.send(&upstream, request, timeout)).await
}

fn start(
    state: &mut HostState,
    upstream: String,
    request: abi::FetchRequest,
    timeout: u32,
) -> Result<Result<Resource<Pending>, FetchError>> {
    let (request, timeout) = match prepare(state, &upstream, request, timeout) {
        Ok(prepared) => prepared,
        Err(error) => return Ok(Err(error)),
    };
    let maximum = state.shared.context.settings.limits.calls;
    if state.fetches >= maximum {
        let message = format!("{} fetches under way; allowed: up to {maximum}", state.fetches);
        return Ok(Err(FetchError::Failed(message)));
    }
    let upstreams = state.shared.context.upstreams.clone();
    let task = tokio::spawn(async move { upstreams.send(&upstream, request, timeout).await });
    let pending = state.resources.push(Pending(Some(task)))?;
    state.fetches += 1;
    Ok(Ok(pending))
}

async fn wait(caller: &mut Caller<'_>, task: Option<JoinHandle<Outcome>>) -> Outcome {
    let Some(task) = task else {
        return Err(FetchError::Failed("it was waited for already".to_owned()));
    };
    // A fetch that a call started and a later one waits for has the later one's deadline too.
    let mut task = Pending(Some(task));
    let left = time_left(caller.data());
    let Some(handle) = &mut task.0 else { return Err(FetchError::TimedOut) };
    match wait_for(caller, tokio::time::timeout(left, handle)).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Err(FetchError::Failed(error.to_string())),
        Err(_) => Err(FetchError::TimedOut),
    }
}

/// What the call may still wait.
fn time_left(state: &HostState) -> Duration {
    state.wait_until.saturating_duration_since(Instant::now())
}

/// The request and how long it may take, if the plugin may send it.
fn prepare(
    state: &HostState,
    upstream: &str,
    request: abi::FetchRequest,
    timeout: u32,
) -> Result<(UpstreamRequest, Duration), FetchError> {
    let settings = &state.shared.context.settings;
    if state.exchange.is_none() {
        return Err(FetchError::Failed("an instance can't fetch while it starts".to_owned()));
    }
    if !settings.upstreams.contains(upstream) {
        return Err(FetchError::UnknownUpstream);
    }
    if request.body.len() > settings.limits.body {
        let (size, maximum) = (request.body.len(), settings.limits.body);
        let message = format!("a body of {size} bytes; allowed: up to {maximum}");
        return Err(FetchError::InvalidRequest(message));
    }
    let mut authority = None;
    let mut headers = Vec::with_capacity(request.headers.len());
    for (name, value) in request.headers {
        match name.eq_ignore_ascii_case("host") {
            true => authority = Some(value),
            false => headers.push((name.into_bytes(), value.into_bytes())),
        }
    }
    let request = UpstreamRequest {
        method: request.method,
        path: request.path,
        authority,
        headers,
        body: request.body,
        trailers: Vec::new(),
    };
    Ok((request, Duration::from_millis(timeout.into()).min(time_left(state))))
}

fn outcome(outcome: Outcome) -> Result<abi::FetchResponse, abi::FetchError> {
    let text = |bytes: Vec<u8>| match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    };
    let response = outcome.map_err(error)?;
    let headers = response.headers.into_iter();
    Ok(abi::FetchResponse {
        status: response.status,
        headers: headers.map(|(name, value)| (text(name), text(value))).collect(),
        body: response.body,
    })
}

fn error(error: FetchError) -> abi::FetchError {
    match error {
        FetchError::UnknownUpstream => abi::FetchError::UnknownUpstream,
        FetchError::InvalidRequest(problem) => abi::FetchError::InvalidRequest(problem),
        FetchError::TimedOut => abi::FetchError::TimedOut,
        FetchError::Failed(reason) => abi::FetchError::Failed(reason),
        FetchError::TooLarge => abi::FetchError::TooLarge,
    }
}
