//! Requests to upstreams that the operator gave the plugin.

use std::time::Duration;

use super::super::abi::Status;
use super::super::calls::{self, CallId};
use super::super::guest::{Guest, Outcome, bytes, name, split, write_u32};
use super::super::maps;
use super::super::state::State;
use super::flow::FRAMING;
use crate::limits;
use crate::upstreams::UpstreamRequest;
use crate::upstreams::grpc::GrpcRequest;

/// `proxy_http_call`
#[allow(clippy::too_many_arguments, reason = "the ABI's")]
pub(in super::super) fn http_call(
    guest: &mut Guest<'_>,
    upstream: u32,
    upstream_size: u32,
    headers: u32,
    headers_size: u32,
    body: u32,
    body_size: u32,
    trailers: u32,
    trailers_size: u32,
    timeout: u32,
    id_to: u32,
) -> Outcome {
    let (memory, state) = split(guest)?;
    let upstream =
        upstream_name(state, name(memory, upstream, upstream_size, Status::BadArgument)?)?;
    let headers = bytes(memory, headers, headers_size)?;
    let trailers = bytes(memory, trailers, trailers_size)?;
    let mut request = request(headers, trailers)?;
    request.body = body_of_call(state, bytes(memory, body, body_size)?)?;
    let timeout = call_timeout(state, timeout);
    let id = calls::begin_http(state, upstream, request, timeout);
    write_u32(guest, id_to, id.ok_or(Status::InternalFailure)?.0)
}

/// An upstream that the plugin may call.
fn upstream_name(state: &mut State, name: &[u8]) -> Result<String, Status> {
    let name = String::from_utf8_lossy(name);
    if is_given(state, &name) {
        return Ok(name.into_owned());
    }
    state.note(&format!("it calls upstream {name:?}, which its configuration does not give it"));
    Err(Status::BadArgument)
}

fn is_given(state: &State, name: &str) -> bool {
    state.plugin.settings.upstreams.contains(name) && state.plugin.upstreams.knows(name)
}

/// What is sent is bounded as what is held.
fn body_of_call(state: &State, body: &[u8]) -> Result<Vec<u8>, Status> {
    let is_allowed = body.len() <= state.plugin.settings.limits.body;
    if is_allowed { Ok(body.to_vec()) } else { Err(Status::InternalFailure) }
}

/// As long as the filter says, but no longer than twice what an exchange waits; 0 is as long as
/// that. Were it the same, chance would say which of the two ends first: what the client gets when
/// the exchange has waited too long, or what the filter makes of a call without an answer.
fn call_timeout(state: &State, milliseconds: u32) -> Duration {
    let longest = state.plugin.settings.limits.wait.saturating_mul(2);
    match milliseconds {
        0 => longest,
        _ => longest.min(Duration::from_millis(milliseconds.into())),
    }
}

/// The length of the body is the host's to say: filters pass on that of the client's request.
fn request(headers: &[u8], trailers: &[u8]) -> Result<UpstreamRequest, Status> {
    let mut request = UpstreamRequest::default();
    let (mut method, mut path, mut authority) = (None, None, None);
    for (name, value) in maps::decode(headers).map_err(|_| Status::BadArgument)? {
        let text = || String::from_utf8(value.to_vec()).map_err(|_| Status::BadArgument);
        match name.to_ascii_lowercase().as_slice() {
            b":method" => method = Some(text()?),
            b":path" => path = Some(text()?),
            b":authority" => authority = Some(text()?),
            [b':', ..] | b"host" => {}
            name if FRAMING.contains(&name) => {}
            name => request.headers.push((name.to_vec(), value.to_vec())),
        }
    }
    for (name, value) in maps::decode(trailers).map_err(|_| Status::BadArgument)? {
        request.trailers.push((name.to_ascii_lowercase(), value.to_vec()));
    }
    request.method = method.ok_or(Status::BadArgument)?;
    request.path = path.ok_or(Status::BadArgument)?;
    request.authority = Some(authority.ok_or(Status::BadArgument)?);
    Ok(request)
}

/// `proxy_grpc_call`
#[allow(clippy::too_many_arguments, reason = "the ABI's")]
pub(in super::super) fn grpc_call(
    guest: &mut Guest<'_>,
    upstream: u32,
    upstream_size: u32,
    service: u32,
    service_size: u32,
    method: u32,
    method_size: u32,
    metadata: u32,
    metadata_size: u32,
    message: u32,
    message_size: u32,
    timeout: u32,
    id_to: u32,
) -> Outcome {
    let (memory, state) = split(guest)?;
    let upstream =
        grpc_upstream_name(state, name(memory, upstream, upstream_size, Status::ParseFailure)?)?;
    let service = name(memory, service, service_size, Status::ParseFailure)?;
    let method = name(memory, method, method_size, Status::ParseFailure)?;
    let metadata = bytes(memory, metadata, metadata_size)?;
    let request = grpc_request(service, method, metadata, call_timeout(state, timeout))?;
    let message = body_of_call(state, bytes(memory, message, message_size)?)?;
    let id = calls::begin_grpc_call(state, upstream, request, message);
    write_u32(guest, id_to, id.ok_or(Status::InternalFailure)?.0)
}

/// `proxy_grpc_stream`
#[allow(clippy::too_many_arguments, reason = "the ABI's")]
pub(in super::super) fn grpc_stream(
    guest: &mut Guest<'_>,
    upstream: u32,
    upstream_size: u32,
    service: u32,
    service_size: u32,
    method: u32,
    method_size: u32,
    metadata: u32,
    metadata_size: u32,
    id_to: u32,
) -> Outcome {
    let (memory, state) = split(guest)?;
    let upstream =
        grpc_upstream_name(state, name(memory, upstream, upstream_size, Status::ParseFailure)?)?;
    let service = name(memory, service, service_size, Status::ParseFailure)?;
    let method = name(memory, method, method_size, Status::ParseFailure)?;
    let metadata = bytes(memory, metadata, metadata_size)?;
    let request = grpc_request(service, method, metadata, limits::GRPC_STREAM)?;
    let id = calls::begin_grpc_stream(state, &upstream, request);
    let id = id.map_err(|_| Status::ParseFailure)?.ok_or(Status::InternalFailure)?;
    write_u32(guest, id_to, id.0)
}

/// `proxy_grpc_send`
pub(in super::super) fn grpc_send(
    guest: &mut Guest<'_>,
    id: u32,
    message: u32,
    message_size: u32,
    end_of_stream: u32,
) -> Outcome {
    let (memory, state) = split(guest)?;
    let message = bytes(memory, message, message_size)?;
    Ok(state.calls.send(CallId(id), message, end_of_stream != 0)?)
}

/// `proxy_grpc_cancel`
pub(in super::super) fn grpc_cancel(guest: &mut Guest<'_>, id: u32) -> Outcome {
    Ok(guest.data_mut().cancel_call(CallId(id))?)
}

/// `proxy_grpc_close`
pub(in super::super) fn grpc_close(guest: &mut Guest<'_>, id: u32) -> Outcome {
    Ok(guest.data_mut().close_call(CallId(id))?)
}

/// The Rust SDK panics at any other answer than this one to what can't be called.
fn grpc_upstream_name(state: &mut State, service: &[u8]) -> Result<String, Status> {
    let name = match cluster_name(service) {
        Some(name) if is_given(state, name) => name.as_bytes(),
        _ => service,
    };
    upstream_name(state, name).map_err(|_| Status::ParseFailure)
}

/// The cluster in a serialised `envoy.config.core.v3.GrpcService`, as SDKs for C++ and Go give
/// it: field 1 (`envoy_grpc`) with field 1 (`cluster_name`) first.
fn cluster_name(service: &[u8]) -> Option<&str> {
    let envoy_grpc = delimited(service)?;
    str::from_utf8(delimited(envoy_grpc)?).ok()
}

/// The bytes of field 1, if it comes first and is shorter than 128 bytes.
fn delimited(message: &[u8]) -> Option<&[u8]> {
    let [0x0a, size @ 0..0x80, rest @ ..] = message else { return None };
    rest.get(..usize::from(*size))
}

fn grpc_request(
    service: &[u8],
    method: &[u8],
    metadata: &[u8],
    timeout: Duration,
) -> Result<GrpcRequest, Status> {
    let text = |name: &[u8]| String::from_utf8(name.to_vec()).map_err(|_| Status::ParseFailure);
    let pairs = maps::decode(metadata).map_err(|_| Status::ParseFailure)?;
    let pairs = pairs.filter(|(name, _)| !name.starts_with(b":"));
    Ok(GrpcRequest {
        service: text(service)?,
        method: text(method)?,
        metadata: pairs.map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
        timeout,
    })
}
