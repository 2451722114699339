//! The import `key-value`: the store that all instances of a plugin share.

use std::time::Duration;

use wasmtime::component::{Linker, WasmList, WasmStr};
use wasmtime::{Result, StoreContextMut};

use super::abi::{Entry, StoreError};
use super::state::HostState;
use crate::shared_data::{Condition, WriteError};

type Caller<'a> = StoreContextMut<'a, HostState>;
type Time = Option<u64>;

pub(super) fn add(linker: &mut Linker<HostState>) -> Result<()> {
    let mut store = linker.instance("tollgate:plugin/key-value@0.1.0")?;
    store.func_wrap("get", |caller: Caller<'_>, (key,): (WasmStr,)| {
        let key = key.to_str(&caller)?;
        let found = caller.data().shared.context.shared_data.get(key.as_bytes());
        Ok((found.map(|entry| Entry { value: entry.value, version: entry.version }),))
    })?;
    type Set = (WasmStr, WasmList<u8>, Time);
    store.func_wrap("set", |caller: Caller<'_>, (key, value, time): Set| {
        Ok((write(&caller, key, value, time, Condition::Always)?,))
    })?;
    type Swap = (WasmStr, u64, WasmList<u8>, Time);
    store.func_wrap(
        "compare-and-swap",
        |caller: Caller<'_>, (key, version, value, time): Swap| {
            Ok((write(&caller, key, value, time, Condition::Version(version))?,))
        },
    )?;
    store.func_wrap("delete", |caller: Caller<'_>, (key,): (WasmStr,)| {
        let key = key.to_str(&caller)?;
        Ok((caller.data().shared.context.shared_data.delete(key.as_bytes()),))
    })
}

fn write(
    caller: &Caller<'_>,
    key: WasmStr,
    value: WasmList<u8>,
    time: Time,
    condition: Condition,
) -> Result<Result<u64, StoreError>> {
    let key = key.to_str(caller)?;
    let value = value.as_le_slice(caller);
    let time = time.map(Duration::from_millis);
    let data = &caller.data().shared.context.shared_data;
    Ok(data.write(key.as_bytes(), value, time, condition).map_err(|error| match error {
        WriteError::Full => StoreError::Full,
        WriteError::Conflict(version) => StoreError::Conflict(version),
    }))
}
