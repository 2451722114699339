//! One instance of a module: how it is started, and each of its callbacks.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use wasmtime::{
    AsContextMut, Func, Instance, InstancePre, Module, Store, TypedFunc, Val, WasmParams,
    WasmResults,
};

use super::abi::{BodyAction, Direction, HeadersAction};
use super::calls::{CallId, Received, to_headers};
use super::cell::VmCell;
use super::state::{ContextId, End, ROOT, State};
use super::{link, wasi};
use crate::clock::{CallClock, stop_when_used_up};
use crate::engine::TickedEngine;
use crate::inspect::Abi;
use crate::plugin::PluginContext;
use crate::trap::{HostFailure, classify};
use crate::upstreams::grpc::{GrpcEvent, GrpcStatus};
use crate::{ErrorKind, Http, PluginError};

/// A module, linked: what its VMs are made from.
pub(super) struct Code {
    pub(super) plugin: Arc<PluginContext>,
    pub(super) abi: Abi,
    instance: InstancePre<State>,
}

impl Code {
    /// # Errors
    /// An import that there is not.
    pub(super) fn new(
        plugin: Arc<PluginContext>,
        module: &Module,
        abi: Abi,
    ) -> Result<Self, PluginError> {
        let instance = link::link(module)
            .map_err(|problem| PluginError::new(&plugin.name, ErrorKind::Start, problem))?;
        Ok(Self { plugin, abi, instance })
    }
}

/// Exports that give the host memory, by preference. Modules made with TinyGo have both, and
/// nobody frees what their `malloc` gave.
pub(super) const ALLOCATORS: [&str; 2] = ["proxy_on_memory_allocate", "malloc"];

macro_rules! callbacks {
    ($($field:ident: $name:literal ($($parameter:ty),*) -> $result:ty;)*) => {
        /// The module's callbacks. It needs to have none.
        struct Callbacks {
            $($field: Option<TypedFunc<($($parameter,)*), $result>>,)*
        }

        impl Callbacks {
            fn find(instance: Instance, store: &mut Store<State>) -> wasmtime::Result<Self> {
                Ok(Self { $($field: typed(instance, store, $name)?,)* })
            }
        }
    };
}

callbacks! {
    context_create: "proxy_on_context_create" (u32, u32) -> ();
    vm_start: "proxy_on_vm_start" (u32, u32) -> u32;
    configure: "proxy_on_configure" (u32, u32) -> u32;
    done: "proxy_on_done" (u32) -> u32;
    log: "proxy_on_log" (u32) -> ();
    delete: "proxy_on_delete" (u32) -> ();
    tick: "proxy_on_tick" (u32) -> ();
    queue_ready: "proxy_on_queue_ready" (u32, u32) -> ();
    request_headers: "proxy_on_request_headers" (u32, u32, u32) -> u32;
    request_body: "proxy_on_request_body" (u32, u32, u32) -> u32;
    request_trailers: "proxy_on_request_trailers" (u32, u32) -> u32;
    response_headers: "proxy_on_response_headers" (u32, u32, u32) -> u32;
    response_body: "proxy_on_response_body" (u32, u32, u32) -> u32;
    response_trailers: "proxy_on_response_trailers" (u32, u32) -> u32;
    http_call_response: "proxy_on_http_call_response" (u32, u32, u32, u32, u32) -> ();
    grpc_initial_metadata: "proxy_on_grpc_receive_initial_metadata" (u32, u32, u32) -> ();
    grpc_message: "proxy_on_grpc_receive" (u32, u32, u32) -> ();
    grpc_trailing_metadata: "proxy_on_grpc_receive_trailing_metadata" (u32, u32, u32) -> ();
    grpc_close: "proxy_on_grpc_close" (u32, u32, u32) -> ();
}

fn typed<P: WasmParams, R: WasmResults>(
    instance: Instance,
    store: &mut Store<State>,
    name: &str,
) -> wasmtime::Result<Option<TypedFunc<P, R>>> {
    let Some(function) = instance.get_func(&mut *store, name) else { return Ok(None) };
    let typed = function.typed(&*store).map_err(|error| unusable(name, &error))?;
    Ok(Some(typed))
}

fn unusable(name: &str, problem: &wasmtime::Error) -> wasmtime::Error {
    let message = format!("its export {name} has another type than the ABI says: {problem}");
    HostFailure::new(ErrorKind::Start, message).into()
}

fn failure(message: &str) -> wasmtime::Error {
    HostFailure::new(ErrorKind::Start, message).into()
}

/// A running module.
pub(super) struct Vm {
    pub(super) running: Running,
    callbacks: Callbacks,
    is_higress: bool,
}

/// What callbacks run in.
pub(super) struct Running {
    pub(super) store: Store<State>,
    engine: Arc<TickedEngine>,
    /// Of each call.
    cpu_time: Duration,
    /// When the first callback of the event began that the VM is used for now.
    began: Option<Instant>,
}

impl Running {
    /// Runs a callback in a context. An error means that the VM can't be used again.
    fn call<P: WasmParams, R: WasmResults>(
        &mut self,
        context: ContextId,
        function: &TypedFunc<P, R>,
        parameters: P,
    ) -> Result<R, PluginError> {
        if self.began.is_none() {
            self.begin();
        }
        self.store.data_mut().effective = context;
        function.call(&mut self.store, parameters).map_err(|error| {
            let state = self.store.data();
            classify(&state.plugin, &error, &state.limiter)
        })
    }

    /// To limits and metrics all callbacks of one event are one call.
    fn begin(&mut self) {
        let now = Instant::now();
        self.began = Some(now);
        let state = self.store.data_mut();
        state.clock = CallClock::start(now, self.cpu_time);
        state.limiter.begin_call();
        state.lines.begin_call();
        self.engine.begin(&mut self.store);
    }

    fn end(&mut self) {
        let Some(began) = self.began.take() else { return };
        let fuel = self.engine.used_fuel(&self.store);
        let state = self.store.data_mut();
        wasi::flush(state);
        let metrics = &state.plugin.metrics;
        metrics.call(began.elapsed());
        metrics.fuel(fuel);
        match state.lines.take_dropped() {
            0 => {}
            dropped => metrics.log_lines_dropped(dropped),
        }
    }

    /// Runs a callback that can read what was received. The parameter is the root context even if
    /// a stream made the call; SDKs find it and change to it.
    fn receive<P: WasmParams>(
        &mut self,
        function: &TypedFunc<P, ()>,
        received: Received,
        parameters: P,
    ) -> Result<(), PluginError> {
        self.store.data_mut().received = received;
        let result = self.call(ROOT, function, parameters);
        self.store.data_mut().received = Received::Nothing;
        result
    }
}

impl Vm {
    /// Starts and configures a module. All of it takes [`crate::limits::START_CPU_TIME`] at most.
    ///
    /// # Errors
    /// A trap, a limit, or `false` from the module.
    pub(super) fn start(code: &Code, cell: Weak<VmCell>) -> Result<Self, PluginError> {
        let mut store = Store::new(&code.plugin.engine, State::new(code.plugin.clone(), cell));
        store.limiter(|state| &mut state.limiter);
        stop_when_used_up(&mut store);
        code.plugin.engine.begin(&mut store);
        let callbacks = match begin(code, &mut store) {
            Ok(callbacks) => callbacks,
            Err(error) => {
                wasi::flush(store.data_mut());
                let mut error = classify(&code.plugin, &error, &store.data().limiter);
                error.message = format!("can't be started: {}", error.message);
                return Err(error);
            }
        };
        wasi::flush(store.data_mut());
        let cpu_time = code.plugin.settings.limits.cpu_time;
        let running = Running { store, engine: code.plugin.engine.clone(), cpu_time, began: None };
        Ok(Self { running, callbacks, is_higress: code.abi == Abi::V0_2_100 })
    }

    pub(super) fn state(&mut self) -> &mut State {
        self.running.store.data_mut()
    }

    /// An event has been dealt with.
    pub(super) fn leave(&mut self) {
        self.running.end();
    }

    /// Makes a stream context.
    pub(super) fn create(&mut self, http: &Arc<Http>) -> Result<Option<ContextId>, PluginError> {
        let Some(id) = self.state().streams.open(http.clone()) else { return Ok(None) };
        if let Some(function) = &self.callbacks.context_create {
            self.running.call(id, function, (id.0, ROOT.0))?;
        }
        Ok(Some(id))
    }

    pub(super) fn headers(
        &mut self,
        id: ContextId,
        direction: Direction,
        count: u32,
        end_of_stream: bool,
    ) -> Result<HeadersAction, PluginError> {
        let function = match direction {
            Direction::Request => &self.callbacks.request_headers,
            Direction::Response => &self.callbacks.response_headers,
        };
        let Some(function) = function else { return Ok(HeadersAction::Continue) };
        let action = self.running.call(id, function, (id.0, count, end_of_stream.into()))?;
        Ok(HeadersAction::new(action, self.is_higress))
    }

    pub(super) fn has_body_callback(&self, direction: Direction) -> bool {
        match direction {
            Direction::Request => self.callbacks.request_body.is_some(),
            Direction::Response => self.callbacks.response_body.is_some(),
        }
    }

    pub(super) fn body(
        &mut self,
        id: ContextId,
        direction: Direction,
        size: u32,
        end_of_stream: bool,
    ) -> Result<BodyAction, PluginError> {
        let function = match direction {
            Direction::Request => &self.callbacks.request_body,
            Direction::Response => &self.callbacks.response_body,
        };
        let Some(function) = function else { return Ok(BodyAction::Continue) };
        let action = self.running.call(id, function, (id.0, size, end_of_stream.into()))?;
        Ok(BodyAction::new(action, self.is_higress))
    }

    pub(super) fn trailers(
        &mut self,
        id: ContextId,
        direction: Direction,
        count: u32,
    ) -> Result<BodyAction, PluginError> {
        let function = match direction {
            Direction::Request => &self.callbacks.request_trailers,
            Direction::Response => &self.callbacks.response_trailers,
        };
        let Some(function) = function else { return Ok(BodyAction::Continue) };
        let action = self.running.call(id, function, (id.0, count))?;
        Ok(if action == 0 { BodyAction::Continue } else { BodyAction::Pause })
    }

    pub(super) fn tick(&mut self) -> Result<(), PluginError> {
        let Some(function) = &self.callbacks.tick else { return Ok(()) };
        self.running.call(ROOT, function, (ROOT.0,))
    }

    pub(super) fn queue_ready(&mut self, queue: u32) -> Result<(), PluginError> {
        let Some(function) = &self.callbacks.queue_ready else { return Ok(()) };
        self.running.call(ROOT, function, (ROOT.0, queue))
    }

    /// The answer of an HTTP call, or that there is none. Nothing happens when the context that
    /// made the call has ended.
    pub(super) fn http_call_ended(
        &mut self,
        id: CallId,
        received: Received,
    ) -> Result<(), PluginError> {
        if !self.state().end_call(id) {
            return Ok(());
        }
        let Some(function) = &self.callbacks.http_call_response else { return Ok(()) };
        let (headers, body, trailers) = received.counts();
        self.running.receive(function, received, (ROOT.0, id.0, headers, body, trailers))
    }

    /// Something of a gRPC call; `is_last` is what nothing comes after.
    pub(super) fn grpc_event(
        &mut self,
        id: CallId,
        event: GrpcEvent,
        is_last: bool,
    ) -> Result<(), PluginError> {
        let is_open = self.state().calls.is_open(id);
        if is_last {
            self.state().end_call(id);
        }
        if !is_open {
            return Ok(());
        }
        let (function, received, parameter) = match event {
            GrpcEvent::InitialMetadata(metadata) => {
                let metadata = to_headers(&metadata);
                let count = metadata.len() as u32;
                let received = Received::GrpcInitialMetadata(metadata);
                (&self.callbacks.grpc_initial_metadata, received, count)
            }
            GrpcEvent::Message(message) => {
                let size = message.len() as u32;
                (&self.callbacks.grpc_message, Received::GrpcMessage(message), size)
            }
            GrpcEvent::TrailingMetadata(metadata) => {
                let metadata = to_headers(&metadata);
                let count = metadata.len() as u32;
                let received = Received::GrpcTrailingMetadata(metadata);
                (&self.callbacks.grpc_trailing_metadata, received, count)
            }
            GrpcEvent::Closed(GrpcStatus { code, message }) => {
                (&self.callbacks.grpc_close, Received::End { code, message }, code)
            }
        };
        let Some(function) = function else { return Ok(()) };
        self.running.receive(function, received, (ROOT.0, id.0, parameter))
    }

    /// The host is finished with a context.
    pub(super) fn end(&mut self, id: ContextId) -> Result<(), PluginError> {
        if self.end_of(id) != Some(End::Open) {
            return Ok(());
        }
        let is_done = match &self.callbacks.done {
            Some(function) => self.running.call(id, function, (id.0,))? != 0,
            None => true,
        };
        match (self.end_of(id), is_done) {
            (Some(End::Open), false) => self.set_end(id, End::Pending),
            (Some(End::Open), true) => {
                self.set_end(id, End::Done);
                self.log_and_delete(id)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn end_of(&mut self, id: ContextId) -> Option<End> {
        let state = self.state();
        state.effective = id;
        state.end().copied()
    }

    fn set_end(&mut self, id: ContextId, end: End) {
        let state = self.state();
        state.effective = id;
        if let Some(place) = state.end() {
            *place = end;
        }
    }

    /// Ends a context for which `proxy_done` has not come in time.
    pub(super) fn end_now(&mut self, id: ContextId) -> Result<(), PluginError> {
        if self.end_of(id) != Some(End::Pending) {
            return Ok(());
        }
        self.set_end(id, End::Done);
        self.log_and_delete(id)
    }

    pub(super) fn is_pending(&mut self, id: ContextId) -> bool {
        self.end_of(id) == Some(End::Pending)
    }

    fn log_and_delete(&mut self, id: ContextId) -> Result<(), PluginError> {
        if let Some(function) = &self.callbacks.log {
            self.running.call(id, function, (id.0,))?;
        }
        if let Some(function) = &self.callbacks.delete {
            self.running.call(id, function, (id.0,))?;
        }
        self.state().close(id);
        Ok(())
    }

    /// Ends the contexts that `proxy_done` was called for.
    pub(super) fn finish_done(&mut self) -> Result<(), PluginError> {
        while let Some(id) = self.state().later.done.pop() {
            self.log_and_delete(id)?;
        }
        Ok(())
    }
}

/// Everything from the start section to `proxy_on_configure`.
fn begin(code: &Code, store: &mut Store<State>) -> wasmtime::Result<Callbacks> {
    let instance = code.instance.instantiate(&mut *store)?;
    let memory = instance.get_memory(&mut *store, "memory");
    store.data_mut().memory = Some(memory.ok_or_else(|| failure("it exports no memory"))?);
    for name in ALLOCATORS {
        if store.data().allocate.is_none() {
            store.data_mut().allocate = typed(instance, store, name)?;
        }
    }
    let callbacks = Callbacks::find(instance, store)?;
    initialize(instance, store)?;
    configure(&code.plugin, &callbacks, store)?;
    Ok(callbacks)
}

fn initialize(instance: Instance, store: &mut Store<State>) -> wasmtime::Result<()> {
    if let Some(function) = instance.get_func(&mut *store, "_initialize") {
        run(function, store)?;
        if let Some(main) = instance.get_func(&mut *store, "main") {
            run(main, store)?;
        }
    } else if let Some(function) = instance.get_func(&mut *store, "_start") {
        // A program may end with an exit that says all went well.
        match run(function, store) {
            Err(error) if error.downcast_ref() == Some(&wasi::Exit(0)) => {}
            result => result?,
        }
    }
    Ok(())
}

/// Calls a function whatever its type, with zeros.
fn run(function: Func, store: &mut Store<State>) -> wasmtime::Result<()> {
    let kind = function.ty(&*store);
    let zeros: Option<Vec<Val>> = kind.params().map(|kind| Val::default_for_ty(&kind)).collect();
    let zeros = zeros.ok_or_else(|| failure("its start function has parameters of no use"))?;
    let mut results = vec![Val::I32(0); kind.results().len()];
    function.call(store.as_context_mut(), &zeros, &mut results)
}

fn configure(
    plugin: &PluginContext,
    callbacks: &Callbacks,
    store: &mut Store<State>,
) -> wasmtime::Result<()> {
    let size = |bytes: &[u8]| bytes.len().try_into().unwrap_or(u32::MAX);
    if let Some(function) = &callbacks.context_create {
        function.call(&mut *store, (ROOT.0, 0))?;
    }
    let steps = [
        (&callbacks.vm_start, "proxy_on_vm_start", &plugin.settings.vm_configuration),
        (&callbacks.configure, "proxy_on_configure", &plugin.settings.configuration),
    ];
    for (function, name, configuration) in steps {
        let Some(function) = function else { continue };
        store.data_mut().effective = ROOT;
        if function.call(&mut *store, (ROOT.0, size(configuration)))? == 0 {
            return Err(failure(&format!("{name} said that it can't work with its configuration")));
        }
    }
    Ok(())
}
