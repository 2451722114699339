//! Contexts, time, and the way of an exchange: on, stopped, or answered here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::abi::{Direction, Status};
use super::super::guest::{Guest, Outcome, bytes, give, split, write_u32, write_u64};
use super::super::maps;
use super::super::state::{Asked, ContextId, End, ROOT, State};
use super::buffers::fail;
use crate::headers::{is_name, is_value};
use crate::{Reply, limits};

/// `proxy_set_effective_context`
pub(in super::super) fn set_effective_context(guest: &mut Guest<'_>, context: u32) -> Outcome {
    let id = ContextId(context);
    let state = guest.data_mut();
    if id != ROOT && state.streams.get(id).is_none() {
        return Err(Status::BadArgument.into());
    }
    state.effective = id;
    Ok(())
}

/// `proxy_done`
pub(in super::super) fn done(guest: &mut Guest<'_>) -> Outcome {
    let state = guest.data_mut();
    let id = state.effective;
    match state.end() {
        Some(end) if *end == End::Pending => {
            *end = End::Done;
            state.later.done.push(id);
            Ok(())
        }
        _ => Err(Status::NotFound.into()),
    }
}

/// `proxy_set_tick_period_milliseconds`
pub(in super::super) fn set_tick_period(guest: &mut Guest<'_>, milliseconds: u32) -> Outcome {
    guest.data_mut().later.tick = Some(Duration::from_millis(milliseconds.into()));
    Ok(())
}

/// `proxy_get_current_time_nanoseconds`
pub(in super::super) fn current_time(guest: &mut Guest<'_>, time_to: u32) -> Outcome {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    write_u64(guest, time_to, time.as_nanos().try_into().unwrap_or(u64::MAX))
}

/// `proxy_get_status`: of the gRPC call or failed HTTP call whose callback runs.
pub(in super::super) fn status(
    guest: &mut Guest<'_>,
    code_to: u32,
    pointer_to: u32,
    size_to: u32,
) -> Outcome {
    let State { received, out, .. } = guest.data_mut();
    let (code, message) = received.status();
    out.clear();
    out.extend_from_slice(message.as_bytes());
    write_u32(guest, code_to, code)?;
    give(guest, pointer_to, size_to)
}

/// `proxy_continue_stream`
pub(in super::super) fn continue_stream(guest: &mut Guest<'_>, stream: u32) -> Outcome {
    let direction = http_stream(stream)?;
    let State { streams, effective, later, .. } = guest.data_mut();
    if let Some(stream) = streams.get(*effective) {
        stream.side(direction).resume(&mut later.wakers);
    }
    Ok(())
}

/// `proxy_continue_request`, of ABI 0.1.0
pub(in super::super) fn continue_request(guest: &mut Guest<'_>) -> Outcome {
    continue_stream(guest, 0)
}

/// `proxy_continue_response`, of ABI 0.1.0
pub(in super::super) fn continue_response(guest: &mut Guest<'_>) -> Outcome {
    continue_stream(guest, 1)
}

/// `proxy_clear_route_cache`, of ABI 0.1.0: there is none here.
pub(in super::super) fn clear_route_cache(_: &mut Guest<'_>) -> Outcome {
    Ok(())
}

/// `proxy_close_stream`
pub(in super::super) fn close_stream(guest: &mut Guest<'_>, stream: u32) -> Outcome {
    http_stream(stream)?;
    let State { streams, effective, later, .. } = guest.data_mut();
    if let Some(stream) = streams.get(*effective) {
        stream.ask(Asked::Reset, &mut later.wakers);
    }
    Ok(())
}

fn http_stream(stream: u32) -> Result<Direction, Status> {
    match stream {
        0 => Ok(Direction::Request),
        1 => Ok(Direction::Response),
        2 | 3 => Err(Status::Unimplemented),
        _ => Err(Status::BadArgument),
    }
}

/// `proxy_send_local_response`. Once the response's head has gone the exchange is reset instead,
/// as in Envoy: it must not go on as if nothing had been asked for. For the same reason it fails
/// if the reply is none.
#[allow(clippy::too_many_arguments, reason = "the ABI's")]
pub(in super::super) fn send_local_response(
    guest: &mut Guest<'_>,
    status: u32,
    details: u32,
    details_size: u32,
    body: u32,
    body_size: u32,
    headers: u32,
    headers_size: u32,
    grpc_status: i32,
) -> Outcome {
    let (memory, state) = split(guest)?;
    let details = bytes(memory, details, details_size)?;
    let body = bytes(memory, body, body_size)?;
    let headers = bytes(memory, headers, headers_size)?;
    let maximum = state.plugin.settings.limits.body;
    let State { streams, effective, later, .. } = &mut *state;
    let Some(stream) = streams.get(*effective) else {
        return Err(Status::BadArgument.into());
    };
    if stream.replied {
        return Ok(());
    }
    if stream.http.state.lock().response_sent {
        stream.ask(Asked::Reset, &mut later.wakers);
        return Ok(());
    }
    match reply(status, details, body, headers, grpc_status, maximum) {
        Ok(reply) => {
            stream.ask(Asked::Reply(Box::new(reply)), &mut later.wakers);
            Ok(())
        }
        Err(message) => {
            fail(state, message);
            Err(Status::BadArgument.into())
        }
    }
}

fn reply(
    status: u32,
    details: &[u8],
    body: &[u8],
    headers: &[u8],
    grpc_status: i32,
    maximum: usize,
) -> Result<Reply, String> {
    let status = u16::try_from(status).ok().filter(|status| (200..600).contains(status));
    let status = status.ok_or("sent a reply with a status that is not in 200 to 599")?;
    if body.len() > maximum {
        return Err(format!("sent a reply with a body of more than {maximum} bytes"));
    }
    let mut kept = Vec::new();
    let headers = maps::decode(headers).map_err(|error| format!("sent a reply: {error}"))?;
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        if name.starts_with(b":") || FRAMING.contains(&name.as_slice()) {
            continue;
        }
        let name = String::from_utf8(name).ok().filter(|name| is_name(name.as_bytes()));
        match name {
            Some(name) if is_value(value) => kept.push((name.into_boxed_str(), value.into())),
            _ => return Err("sent a reply with a header that can't be sent".to_owned()),
        }
    }
    let details = &details[..details.len().min(limits::LOG_LINE)];
    Ok(Reply {
        status,
        headers: kept,
        body: body.to_vec(),
        grpc_status: u32::try_from(grpc_status).ok(),
        details: String::from_utf8_lossy(details).into_owned(),
    })
}

/// What only the host knows about a message that it sends.
pub(super) const FRAMING: [&[u8]; 8] = [
    b"connection",
    b"content-length",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
];
