//! Shared data and queues.

use std::sync::Arc;

use super::super::abi::Status;
use super::super::guest::{Guest, Outcome, bytes, give, name, split, write_u32};
use super::super::queues;
use super::super::state::State;
use crate::shared_data::{Condition, DequeueError, EnqueueError, WriteError};

/// `proxy_get_shared_data`
pub(in super::super) fn get(
    guest: &mut Guest<'_>,
    key: u32,
    key_size: u32,
    pointer_to: u32,
    size_to: u32,
    cas_to: u32,
) -> Outcome {
    let (memory, state) = split(guest)?;
    let key = name(memory, key, key_size, Status::NotFound)?;
    let entry = state.plugin.shared_data.get(key).ok_or(Status::NotFound)?;
    state.out.clear();
    state.out.extend_from_slice(&entry.value);
    give(guest, pointer_to, size_to)?;
    write_u32(guest, cas_to, entry.cas())
}

/// `proxy_set_shared_data`
pub(in super::super) fn set(
    guest: &mut Guest<'_>,
    key: u32,
    key_size: u32,
    value: u32,
    value_size: u32,
    cas: u32,
) -> Outcome {
    let (memory, state) = split(guest)?;
    let key = name(memory, key, key_size, Status::InternalFailure)?;
    let value = bytes(memory, value, value_size)?;
    let written = state.plugin.shared_data.write(key, value, None, Condition::Cas(cas));
    written.map_err(|error| match error {
        WriteError::Full => Status::InternalFailure,
        WriteError::Conflict(_) => Status::CasMismatch,
    })?;
    Ok(())
}

/// `proxy_register_shared_queue`
pub(in super::super) fn register_queue(
    guest: &mut Guest<'_>,
    queue: u32,
    queue_size: u32,
    id_to: u32,
) -> Outcome {
    let (memory, state) = split(guest)?;
    let queue = name(memory, queue, queue_size, Status::InternalFailure)?;
    let State { plugin, cell, queue_listener, .. } = state;
    let listener = queue_listener
        .get_or_insert_with(|| queues::listener(plugin.background.clone(), cell.clone()));
    let id = plugin.shared_data.register_queue(queue, Arc::downgrade(listener));
    let id = id.map_err(|_| Status::InternalFailure)?;
    write_u32(guest, id_to, id)
}

/// `proxy_resolve_shared_queue`; without a VM id one of the module's own.
pub(in super::super) fn resolve_queue(
    guest: &mut Guest<'_>,
    vm_id: u32,
    vm_id_size: u32,
    queue: u32,
    queue_size: u32,
    id_to: u32,
) -> Outcome {
    let (memory, state) = split(guest)?;
    let vm_id = name(memory, vm_id, vm_id_size, Status::NotFound)?;
    let vm_id = str::from_utf8(vm_id).map_err(|_| Status::NotFound)?;
    let queue = name(memory, queue, queue_size, Status::NotFound)?;
    let plugin = &state.plugin;
    let own = plugin.settings.vm_id.as_deref().unwrap_or(&plugin.name);
    let vm_id = if vm_id.is_empty() { own } else { vm_id };
    let id = plugin.shared_data.queues().resolve(vm_id, queue).ok_or(Status::NotFound)?;
    write_u32(guest, id_to, id)
}

/// `proxy_enqueue_shared_queue`
pub(in super::super) fn enqueue(
    guest: &mut Guest<'_>,
    id: u32,
    value: u32,
    value_size: u32,
) -> Outcome {
    let (memory, state) = split(guest)?;
    let value = bytes(memory, value, value_size)?;
    state.plugin.shared_data.queues().enqueue(id, value).map_err(|error| match error {
        EnqueueError::NotFound => Status::NotFound,
        EnqueueError::Full => Status::InternalFailure,
    })?;
    Ok(())
}

/// `proxy_dequeue_shared_queue`
pub(in super::super) fn dequeue(
    guest: &mut Guest<'_>,
    id: u32,
    pointer_to: u32,
    size_to: u32,
) -> Outcome {
    let state = guest.data_mut();
    let item = state.plugin.shared_data.queues().dequeue(id).map_err(|error| match error {
        DequeueError::NotFound => Status::NotFound,
        DequeueError::Empty => Status::Empty,
    })?;
    state.out.clear();
    state.out.extend_from_slice(&item);
    give(guest, pointer_to, size_to)
}
