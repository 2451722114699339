//! Header maps. Those of an exchange can be read for as long as it has the filter, and changed
//! until they have gone.

use parking_lot::MutexGuard;

use super::super::abi::{MapKind, Status};
use super::super::guest::{Guest, Outcome, bytes, give, split, write_u32};
use super::super::maps;
use super::super::state::{Flow, Phase, State, StreamContext};
use crate::headers::{is_name, is_value};
use crate::{Headers, HttpState, limits};

/// `proxy_get_header_map_value`
pub(in super::super) fn get(
    guest: &mut Guest<'_>,
    map: u32,
    name: u32,
    name_size: u32,
    pointer_to: u32,
    size_to: u32,
) -> Outcome {
    let kind = MapKind::try_from(map)?;
    let (memory, state) = split(guest)?;
    let name = bytes(memory, name, name_size)?;
    read(state, kind, |headers, out| match headers.get(name) {
        Some(value) => {
            out.extend_from_slice(value);
            Ok(())
        }
        None => Err(Status::NotFound),
    })?;
    give(guest, pointer_to, size_to)
}

/// `proxy_get_header_map_pairs`
pub(in super::super) fn pairs(
    guest: &mut Guest<'_>,
    map: u32,
    pointer_to: u32,
    size_to: u32,
) -> Outcome {
    let kind = MapKind::try_from(map)?;
    read(guest.data_mut(), kind, |headers, out| {
        maps::encode(headers.iter(), out);
        Ok(())
    })?;
    give(guest, pointer_to, size_to)
}

/// `proxy_get_header_map_size`
pub(in super::super) fn size(guest: &mut Guest<'_>, map: u32, size_to: u32) -> Outcome {
    let kind = MapKind::try_from(map)?;
    let mut size = 0;
    read(guest.data_mut(), kind, |headers, _| {
        size = headers.size();
        Ok(())
    })?;
    write_u32(guest, size_to, size.try_into().unwrap_or(u32::MAX))
}

/// Reads a map to [`State::out`]. One that is not there is empty: the Rust SDK panics at any
/// other answer.
fn read(
    state: &mut State,
    kind: MapKind,
    f: impl FnOnce(&Headers, &mut Vec<u8>) -> Result<(), Status>,
) -> Result<(), Status> {
    let State { streams, effective, received, out, .. } = state;
    out.clear();
    if let Some(headers) = received.headers(kind) {
        return f(headers, out);
    }
    match streams.get(*effective) {
        Some(stream) => match of_exchange(&mut stream.http.state.lock(), kind) {
            Some(headers) => f(headers, out),
            None => f(&Headers::default(), out),
        },
        None => f(&Headers::default(), out),
    }
}

fn of_exchange(http: &mut HttpState, kind: MapKind) -> Option<&mut Headers> {
    Some(match kind {
        MapKind::RequestHeaders => &mut http.request_headers,
        MapKind::RequestTrailers => &mut http.request_trailers,
        MapKind::ResponseHeaders => &mut http.response_headers,
        MapKind::ResponseTrailers => &mut http.response_trailers,
        MapKind::GrpcInitialMetadata
        | MapKind::GrpcTrailingMetadata
        | MapKind::CallHeaders
        | MapKind::CallTrailers => return None,
    })
}

/// `proxy_add_header_map_value`
pub(in super::super) fn add(
    guest: &mut Guest<'_>,
    map: u32,
    name: u32,
    name_size: u32,
    value: u32,
    value_size: u32,
) -> Outcome {
    write(guest, map, (name, name_size), (value, value_size), |headers, name, value| {
        if name.starts_with(b":") {
            headers.set(name, value);
        } else {
            headers.append(name, value);
        }
    })
}

/// `proxy_replace_header_map_value`
pub(in super::super) fn replace(
    guest: &mut Guest<'_>,
    map: u32,
    name: u32,
    name_size: u32,
    value: u32,
    value_size: u32,
) -> Outcome {
    write(guest, map, (name, name_size), (value, value_size), Headers::set)
}

fn write(
    guest: &mut Guest<'_>,
    map: u32,
    (name, name_size): (u32, u32),
    (value, value_size): (u32, u32),
    f: impl FnOnce(&mut Headers, &[u8], &[u8]),
) -> Outcome {
    let kind = MapKind::try_from(map)?;
    let (memory, state) = split(guest)?;
    let name = bytes(memory, name, name_size)?;
    let value = bytes(memory, value, value_size)?;
    let more = name.len() + value.len();
    if more > limits::HEADERS {
        return Err(Status::BadArgument.into());
    }
    check(kind, name, value)?;
    let stream = state.stream().ok_or(Status::BadArgument)?;
    stream.written += more;
    let is_wasteful = stream.written > WASTE;
    if is_wasteful {
        stream.written = 0;
    }
    let mut http = writable(stream, kind)?;
    let headers = of_exchange(&mut http, kind).ok_or(Status::BadArgument)?;
    // The size is a sum over all headers, and most lists are far from having to know theirs.
    let is_large = headers.stored() + more > limits::HEADERS;
    if is_large && headers.size() + more > limits::HEADERS || headers.len() >= limits::HEADER_COUNT
    {
        return Err(Status::BadArgument.into());
    }
    if is_wasteful {
        let copy = headers.clone();
        headers.replace_all(copy.iter());
    }
    f(headers, name, value);
    Ok(())
}

/// Bytes that may be written to header lists before those of replaced entries are given back.
const WASTE: usize = 4 * limits::HEADERS;

/// `proxy_remove_header_map_value`
pub(in super::super) fn remove(
    guest: &mut Guest<'_>,
    map: u32,
    name: u32,
    name_size: u32,
) -> Outcome {
    let kind = MapKind::try_from(map)?;
    let (memory, state) = split(guest)?;
    let name = bytes(memory, name, name_size)?;
    if REQUIRED.iter().any(|required| name.eq_ignore_ascii_case(required)) {
        return Err(Status::BadArgument.into());
    }
    let mut http = writable(state.stream().ok_or(Status::BadArgument)?, kind)?;
    of_exchange(&mut http, kind).ok_or(Status::BadArgument)?.remove(name);
    Ok(())
}

/// `proxy_set_header_map_pairs`
pub(in super::super) fn set_pairs(
    guest: &mut Guest<'_>,
    map: u32,
    pointer: u32,
    size: u32,
) -> Outcome {
    let kind = MapKind::try_from(map)?;
    let (memory, state) = split(guest)?;
    let pairs = maps::decode(bytes(memory, pointer, size)?).map_err(|_| Status::BadArgument)?;
    for (name, value) in pairs.clone() {
        check(kind, name, value)?;
    }
    let mut http = writable(state.stream().ok_or(Status::BadArgument)?, kind)?;
    let headers = of_exchange(&mut http, kind).ok_or(Status::BadArgument)?;
    // A request without a path, or a response without a status, is none: what the filter leaves
    // out of those stays.
    let mut new = Headers::default();
    for name in PSEUDO {
        let given = pairs.clone().find(|(known, _)| known.eq_ignore_ascii_case(name));
        if let Some(value) = given.map(|(_, value)| value).or_else(|| headers.get(name)) {
            new.push(name, value);
        }
    }
    for (name, value) in pairs.filter(|(name, _)| !name.starts_with(b":")) {
        new.push(name, value);
    }
    headers.replace_all(new.iter());
    Ok(())
}

/// The exchange's headers, if the list can still be changed.
fn writable(stream: &StreamContext, kind: MapKind) -> Result<MutexGuard<'_, HttpState>, Status> {
    let http = stream.http.state.lock();
    let is_writable = match kind {
        MapKind::RequestHeaders => !http.request_sent,
        MapKind::ResponseHeaders => !http.response_sent && !http.response_headers.is_empty(),
        MapKind::RequestTrailers => in_trailers(stream.request.phase, stream.request.flow),
        MapKind::ResponseTrailers => in_trailers(stream.response.phase, stream.response.flow),
        _ => false,
    };
    if is_writable { Ok(http) } else { Err(Status::BadArgument) }
}

fn in_trailers(phase: Phase, flow: Flow) -> bool {
    phase == Phase::Trailers && flow != Flow::Open
}

/// In the order in which they are listed, before all others.
const PSEUDO: [&[u8]; 5] = [b":method", b":path", b":authority", b":scheme", b":status"];
/// Without these there is no message.
const REQUIRED: [&[u8]; 3] = [b":method", b":path", b":status"];

/// Whether a header can be in this list.
fn check(kind: MapKind, name: &[u8], value: &[u8]) -> Result<(), Status> {
    let is_valid = match name {
        [b':', ..] => is_pseudo(kind, &name.to_ascii_lowercase(), value),
        _ => is_name(name) && is_value(value),
    };
    if is_valid { Ok(()) } else { Err(Status::BadArgument) }
}

fn is_pseudo(kind: MapKind, name: &[u8], value: &[u8]) -> bool {
    let is_token = || is_name(value) && !value.starts_with(b":");
    let is_visible = || value.iter().all(|byte| *byte > b' ' && *byte != 0x7f);
    match (kind, name) {
        (MapKind::RequestHeaders, b":method" | b":scheme") => is_token(),
        (MapKind::RequestHeaders, b":authority") => is_visible(),
        (MapKind::RequestHeaders, b":path") => {
            is_visible() && (value.starts_with(b"/") || value == b"*")
        }
        (MapKind::ResponseHeaders, b":status") => {
            matches!(value, [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9'])
        }
        _ => false,
    }
}
