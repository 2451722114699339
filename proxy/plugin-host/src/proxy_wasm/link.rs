//! Everything that a module can import.

use std::iter;

use wasmtime::{Caller, FuncType, InstancePre, Linker, Module, UnknownImportError, Val, ValType};

use super::abi::Status;
use super::guest::{Guest, answer};
use super::hostcalls::{buffers, calls, flow, headers, metrics, properties, shared};
use super::state::State;
use super::{log, wasi};
use crate::ErrorKind;
use crate::trap::HostFailure;

macro_rules! host_calls {
    ($linker:ident, $($name:literal => $function:path, ($($arg:ident: $type:ty),*);)*) => {
        $($linker.func_wrap(
            "env",
            $name,
            |mut guest: Guest<'_>, $($arg: $type),*| -> wasmtime::Result<u32> {
                answer($function(&mut guest, $($arg),*))
            },
        )?;)*
    };
}

/// Links a module. Fails with the name of an import that there is not.
pub(super) fn link(module: &Module) -> Result<InstancePre<State>, String> {
    let linked = linker(module).and_then(|linker| linker.instantiate_pre(module));
    linked.map_err(|error| match error.downcast_ref::<UnknownImportError>() {
        Some(unknown) => {
            format!("imports {} {}, which is not there", unknown.module(), unknown.name())
        }
        None => format!("can't be linked: {error:#}"),
    })
}

fn linker(module: &Module) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(module.engine());
    host_calls! { linker,
        // Logs and time
        "proxy_log" => log::log, (level: u32, message: u32, size: u32);
        "proxy_get_log_level" => log::level, (level_to: u32);
        "proxy_get_current_time_nanoseconds" => flow::current_time, (time_to: u32);
        "proxy_set_tick_period_milliseconds" => flow::set_tick_period, (period: u32);
        // Contexts and streams
        "proxy_set_effective_context" => flow::set_effective_context, (context: u32);
        "proxy_done" => flow::done, ();
        "proxy_continue_stream" => flow::continue_stream, (stream: u32);
        "proxy_close_stream" => flow::close_stream, (stream: u32);
        "proxy_send_local_response" => flow::send_local_response,
            (status: u32, details: u32, details_size: u32, body: u32, body_size: u32,
             headers: u32, headers_size: u32, grpc_status: i32);
        "proxy_get_status" => flow::status, (code_to: u32, pointer_to: u32, size_to: u32);
        "proxy_continue_request" => flow::continue_request, ();
        "proxy_continue_response" => flow::continue_response, ();
        "proxy_clear_route_cache" => flow::clear_route_cache, ();
        // Buffers
        "proxy_get_buffer_bytes" => buffers::get,
            (buffer: u32, start: u32, maximum: u32, pointer_to: u32, size_to: u32);
        "proxy_get_buffer_status" => buffers::status, (buffer: u32, size_to: u32, flags_to: u32);
        "proxy_set_buffer_bytes" => buffers::set,
            (buffer: u32, start: u32, size: u32, pointer: u32, length: u32);
        // Headers
        "proxy_get_header_map_value" => headers::get,
            (map: u32, name: u32, name_size: u32, pointer_to: u32, size_to: u32);
        "proxy_get_header_map_pairs" => headers::pairs, (map: u32, pointer_to: u32, size_to: u32);
        "proxy_get_header_map_size" => headers::size, (map: u32, size_to: u32);
        "proxy_add_header_map_value" => headers::add,
            (map: u32, name: u32, name_size: u32, value: u32, value_size: u32);
        "proxy_replace_header_map_value" => headers::replace,
            (map: u32, name: u32, name_size: u32, value: u32, value_size: u32);
        "proxy_remove_header_map_value" => headers::remove, (map: u32, name: u32, name_size: u32);
        "proxy_set_header_map_pairs" => headers::set_pairs, (map: u32, pointer: u32, size: u32);
        // Properties and functions of hosts' own
        "proxy_get_property" => properties::get,
            (path: u32, path_size: u32, pointer_to: u32, size_to: u32);
        "proxy_set_property" => properties::set,
            (path: u32, path_size: u32, value: u32, value_size: u32);
        "proxy_call_foreign_function" => properties::call_foreign_function,
            (name: u32, name_size: u32, arguments: u32, arguments_size: u32, pointer_to: u32,
             size_to: u32);
        // Shared data and queues
        "proxy_get_shared_data" => shared::get,
            (key: u32, key_size: u32, pointer_to: u32, size_to: u32, cas_to: u32);
        "proxy_set_shared_data" => shared::set,
            (key: u32, key_size: u32, value: u32, value_size: u32, cas: u32);
        "proxy_register_shared_queue" => shared::register_queue,
            (name: u32, name_size: u32, id_to: u32);
        "proxy_resolve_shared_queue" => shared::resolve_queue,
            (vm_id: u32, vm_id_size: u32, name: u32, name_size: u32, id_to: u32);
        "proxy_enqueue_shared_queue" => shared::enqueue, (id: u32, value: u32, value_size: u32);
        "proxy_dequeue_shared_queue" => shared::dequeue, (id: u32, pointer_to: u32, size_to: u32);
        // Metrics
        "proxy_define_metric" => metrics::define,
            (kind: u32, name: u32, name_size: u32, id_to: u32);
        "proxy_increment_metric" => metrics::increment, (id: u32, by: i64);
        "proxy_record_metric" => metrics::record, (id: u32, value: u64);
        "proxy_get_metric" => metrics::get, (id: u32, value_to: u32);
        // Calls
        "proxy_http_call" => calls::http_call,
            (upstream: u32, upstream_size: u32, headers: u32, headers_size: u32, body: u32,
             body_size: u32, trailers: u32, trailers_size: u32, timeout: u32, id_to: u32);
        "proxy_grpc_call" => calls::grpc_call,
            (upstream: u32, upstream_size: u32, service: u32, service_size: u32, method: u32,
             method_size: u32, metadata: u32, metadata_size: u32, message: u32,
             message_size: u32, timeout: u32, id_to: u32);
        "proxy_grpc_stream" => calls::grpc_stream,
            (upstream: u32, upstream_size: u32, service: u32, service_size: u32, method: u32,
             method_size: u32, metadata: u32, metadata_size: u32, id_to: u32);
        "proxy_grpc_send" => calls::grpc_send,
            (id: u32, message: u32, message_size: u32, end: u32);
        "proxy_grpc_cancel" => calls::grpc_cancel, (id: u32);
        "proxy_grpc_close" => calls::grpc_close, (id: u32);
    }
    define_higress(&mut linker)?;
    define_runtimes(&mut linker)?;
    wasi::define(&mut linker)?;
    Ok(linker)
}

/// Host calls that only Higress has, with how many parameters. Its SDK imports them for filters
/// that never make them, so they are there and answer that they do nothing.
const HIGRESS: [(&str, usize); 5] = [
    ("proxy_redis_init", 7),
    ("proxy_redis_call", 5),
    ("proxy_inject_encoded_data_to_filter_chain", 3),
    ("proxy_get_upstream_hosts", 2),
    ("proxy_set_upstream_override_host", 2),
];

fn define_higress(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    for (name, parameters) in HIGRESS {
        let parameters = iter::repeat_n(ValType::I32, parameters);
        let kind = FuncType::new(linker.engine(), parameters, [ValType::I32]);
        linker.func_new("env", name, kind, |_, _, results| {
            results[0] = Val::I32(Status::Unimplemented as i32);
            Ok(())
        })?;
    }
    Ok(())
}

/// What compilers' run-time systems import besides.
fn define_runtimes(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    // AssemblyScript: message, file (UTF-16 strings), line, column.
    linker.func_wrap(
        "env",
        "abort",
        |_: Caller<'_, State>, _: u32, _: u32, line: u32, column: u32| -> wasmtime::Result<()> {
            let message = format!("trapped: it aborted at line {line}, column {column}");
            Err(HostFailure::new(ErrorKind::Trap, message).into())
        },
    )?;
    // Emscripten
    linker.func_wrap("env", "emscripten_notify_memory_growth", |_: u32| {})?;
    linker.func_wrap("env", "pthread_equal", |one: u32, other: u32| u32::from(one == other))?;
    Ok(())
}
