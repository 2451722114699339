//! Bodies, messages and configurations.

use super::super::abi::{BufferKind, Direction, Status};
use super::super::guest::{Guest, Outcome, bytes, give, split, write_u32};
use super::super::state::{Asked, Flow, Phase, Side, State};

/// `proxy_get_buffer_bytes`
pub(in super::super) fn get(
    guest: &mut Guest<'_>,
    buffer: u32,
    start: u32,
    maximum: u32,
    pointer_to: u32,
    size_to: u32,
) -> Outcome {
    let kind = BufferKind::try_from(buffer)?;
    let end = start.checked_add(maximum).ok_or(Status::BadArgument)?;
    let state = guest.data_mut();
    let mut out = std::mem::take(&mut state.out);
    out.clear();
    let found = readable(state, kind).map(|whole| {
        let end = whole.len().min(end as usize);
        out.extend_from_slice(whole.get(start as usize..end).unwrap_or_default());
    });
    state.out = out;
    found?;
    give(guest, pointer_to, size_to)
}

/// `proxy_get_buffer_status`
pub(in super::super) fn status(
    guest: &mut Guest<'_>,
    buffer: u32,
    size_to: u32,
    flags_to: u32,
) -> Outcome {
    let kind = BufferKind::try_from(buffer)?;
    let size = readable(guest.data_mut(), kind)?.len();
    write_u32(guest, size_to, size.try_into().unwrap_or(u32::MAX))?;
    write_u32(guest, flags_to, 0)
}

fn readable(state: &mut State, kind: BufferKind) -> Result<&[u8], Status> {
    match kind {
        BufferKind::Body(direction) => body(state, direction).map(|side| &*side.body),
        BufferKind::Other => Err(Status::NotFound),
        BufferKind::CallBody => state.received.call_body().ok_or(Status::NotFound),
        BufferKind::GrpcMessage => state.received.message().ok_or(Status::NotFound),
        BufferKind::VmConfiguration => Ok(&state.plugin.settings.vm_configuration),
        BufferKind::PluginConfiguration => Ok(&state.plugin.settings.configuration),
    }
}

/// The side whose body is in the filter's hands: its callback runs, or it is held.
fn body(state: &mut State, direction: Direction) -> Result<&mut Side, Status> {
    let side = state.stream().ok_or(Status::NotFound)?.side(direction);
    let is_there = match side.phase {
        Phase::Before | Phase::Headers => false,
        Phase::Body | Phase::Trailers => side.flow != Flow::Open,
    };
    if is_there { Ok(side) } else { Err(Status::NotFound) }
}

/// `proxy_set_buffer_bytes`
pub(in super::super) fn set(
    guest: &mut Guest<'_>,
    buffer: u32,
    start: u32,
    size: u32,
    pointer: u32,
    length: u32,
) -> Outcome {
    let BufferKind::Body(direction) = BufferKind::try_from(buffer)? else {
        return Err(Status::BadArgument.into());
    };
    let (memory, state) = split(guest)?;
    let new = bytes(memory, pointer, length)?;
    let maximum = state.plugin.settings.limits.body;
    let held = &mut body(state, direction)?.body;
    let start = held.len().min(start as usize);
    let end = held.len().min(start.saturating_add(size as usize));
    if held.len() - (end - start) + new.len() > maximum {
        let message = format!("left a body of more than {maximum} bytes");
        fail(state, message);
        return Err(Status::BadArgument.into());
    }
    held.splice(start..end, new.iter().copied());
    Ok(())
}

/// The exchange fails: what the filter asked for can't be done, and going on without it could let
/// pass what it meant to stop.
pub(in super::super) fn fail(state: &mut State, message: String) {
    let State { streams, effective, later, .. } = state;
    if let Some(stream) = streams.get(*effective) {
        stream.ask(Asked::Failure(message), &mut later.wakers);
    }
}
