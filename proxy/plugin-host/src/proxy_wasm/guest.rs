//! A module's memory, as host calls use it. Every pointer and length comes from the module and is
//! checked here.

use std::mem;

use wasmtime::{AsContextMut, Caller, Extern, Memory, TypedFunc};

use super::abi::{OK, Status};
use super::state::State;
use crate::limits;

/// The module that makes a host call, with the state of its VM.
pub(super) type Guest<'a> = Caller<'a, State>;

/// Why a host call didn't do what it was asked for.
pub(super) enum Failure {
    /// The module is told.
    Status(Status),
    /// The module is stopped: its allocator trapped.
    Trap(wasmtime::Error),
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

pub(super) type Outcome<T = ()> = Result<T, Failure>;

/// What the host call returns to the module.
pub(super) fn answer(outcome: Outcome) -> wasmtime::Result<u32> {
    match outcome {
        Ok(()) => Ok(OK),
        Err(Failure::Status(status)) => Ok(status as u32),
        Err(Failure::Trap(error)) => Err(error),
    }
}

/// The module's memory and the VM's state at once.
pub(super) fn split<'g>(guest: &'g mut Guest<'_>) -> Result<(&'g mut [u8], &'g mut State), Status> {
    let memory = match guest.data().memory {
        Some(memory) => memory,
        None => memory_in_start(guest)?,
    };
    Ok(memory.data_and_store_mut(guest.as_context_mut()))
}

/// Host calls of a start section come before anyone could look up the memory.
#[cold]
fn memory_in_start(guest: &mut Guest<'_>) -> Result<Memory, Status> {
    guest.get_export("memory").and_then(Extern::into_memory).ok_or(Status::InvalidMemoryAccess)
}

/// `size` bytes at `pointer`. No bytes may be anywhere: SDKs give null and dangling pointers.
pub(super) fn bytes(memory: &[u8], pointer: u32, size: u32) -> Result<&[u8], Status> {
    if size == 0 {
        return Ok(&[]);
    }
    let start = pointer as usize;
    let end = start.checked_add(size as usize).ok_or(Status::InvalidMemoryAccess)?;
    memory.get(start..end).ok_or(Status::InvalidMemoryAccess)
}

/// A key or name, which is refused if it is over [`limits::KEY`] bytes: looking for one takes time
/// that no limit on the module's CPU time counts.
pub(super) fn name(
    memory: &[u8],
    pointer: u32,
    size: u32,
    refusal: Status,
) -> Result<&[u8], Status> {
    let name = bytes(memory, pointer, size)?;
    if name.len() > limits::KEY { Err(refusal) } else { Ok(name) }
}

/// Writes a number's bytes at `pointer`.
pub(super) fn write(memory: &mut [u8], pointer: u32, value: &[u8]) -> Result<(), Status> {
    let start = pointer as usize;
    let end = start.checked_add(value.len()).ok_or(Status::InvalidMemoryAccess)?;
    memory.get_mut(start..end).ok_or(Status::InvalidMemoryAccess)?.copy_from_slice(value);
    Ok(())
}

/// Writes a result of 32 bits.
pub(super) fn write_u32(guest: &mut Guest<'_>, pointer: u32, value: u32) -> Outcome {
    let (memory, _) = split(guest)?;
    Ok(write(memory, pointer, &value.to_le_bytes())?)
}

/// Writes a result of 64 bits.
pub(super) fn write_u64(guest: &mut Guest<'_>, pointer: u32, value: u64) -> Outcome {
    let (memory, _) = split(guest)?;
    Ok(write(memory, pointer, &value.to_le_bytes())?)
}

/// Capacity of [`State::out`] that is kept for the next host call.
const OUT_KEPT: usize = 64 * 1024;

/// Hands [`State::out`] to the module, in a block of its own allocator, and writes where it is to
/// `pointer_to` and `size_to`. Nothing is a null pointer and size 0.
pub(super) fn give(guest: &mut Guest<'_>, pointer_to: u32, size_to: u32) -> Outcome {
    let size = u32::try_from(guest.data().out.len()).map_err(|_| Status::InternalFailure)?;
    let pointer = if size == 0 { 0 } else { allocate_and_copy(guest, size)? };
    let (memory, _) = split(guest)?;
    write(memory, pointer_to, &pointer.to_le_bytes())?;
    write(memory, size_to, &size.to_le_bytes())?;
    Ok(())
}

fn allocate_and_copy(guest: &mut Guest<'_>, size: u32) -> Outcome<u32> {
    // The allocator may make host calls itself, which use `out`, and may move the memory. It is
    // put back when it has returned, for cloning it is not cheap.
    let allocate = match guest.data_mut().allocate.take() {
        Some(allocate) => allocate,
        None => find_allocator(guest)?,
    };
    let mut out = mem::take(&mut guest.data_mut().out);
    let pointer = allocate.call(guest.as_context_mut(), size).map_err(Failure::Trap)?;
    let (memory, state) = split(guest)?;
    state.allocate = Some(allocate);
    let written =
        if pointer == 0 { Err(Status::InvalidMemoryAccess) } else { write(memory, pointer, &out) };
    out.clear();
    out.shrink_to(OUT_KEPT);
    state.out = out;
    Ok(written.map(|()| pointer)?)
}

/// Needed in a start section, and in host calls of the allocator.
#[cold]
fn find_allocator(guest: &mut Guest<'_>) -> Outcome<TypedFunc<u32, u32>> {
    for name in super::vm::ALLOCATORS {
        let function = guest.get_export(name).and_then(Extern::into_func);
        if let Some(function) = function.and_then(|it| it.typed(guest.as_context_mut()).ok()) {
            return Ok(function);
        }
    }
    Err(Status::InvalidMemoryAccess.into())
}
