//! Properties, and the functions that hosts add to the ABI.

use super::super::abi::Status;
use super::super::guest::{Guest, Outcome, bytes, give, name, split};
use super::super::properties::{self, SetError};
use super::super::state::State;

/// `proxy_get_property`
pub(in super::super) fn get(
    guest: &mut Guest<'_>,
    path: u32,
    path_size: u32,
    pointer_to: u32,
    size_to: u32,
) -> Outcome {
    let (memory, state) = split(guest)?;
    let path = name(memory, path, path_size, Status::NotFound)?;
    let State { streams, effective, plugin, out, .. } = state;
    let http = streams.get(*effective).map(|stream| &*stream.http);
    if !properties::get(http, plugin, path, out) {
        return Err(Status::NotFound.into());
    }
    give(guest, pointer_to, size_to)
}

/// `proxy_set_property`
pub(in super::super) fn set(
    guest: &mut Guest<'_>,
    path: u32,
    path_size: u32,
    value: u32,
    value_size: u32,
) -> Outcome {
    let (memory, state) = split(guest)?;
    let path = name(memory, path, path_size, Status::BadArgument)?;
    let value = bytes(memory, value, value_size)?;
    let stream = state.stream().ok_or(Status::BadArgument)?;
    properties::set(&stream.http, path, value).map_err(|error| match error {
        SetError::BadPath => Status::BadArgument,
        SetError::Full => Status::InternalFailure,
    })?;
    Ok(())
}

/// `proxy_call_foreign_function`. There is no route cache here, so that clearing it is done at
/// once; other functions are Envoy's own.
pub(in super::super) fn call_foreign_function(
    guest: &mut Guest<'_>,
    function: u32,
    function_size: u32,
    arguments: u32,
    arguments_size: u32,
    pointer_to: u32,
    size_to: u32,
) -> Outcome {
    let (memory, state) = split(guest)?;
    let function = name(memory, function, function_size, Status::NotFound)?;
    bytes(memory, arguments, arguments_size)?;
    if function != b"clear_route_cache" {
        return Err(Status::NotFound.into());
    }
    state.out.clear();
    give(guest, pointer_to, size_to)
}
