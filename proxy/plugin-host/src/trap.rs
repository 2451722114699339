//! From what wasmtime says about a failed call to a [`PluginError`], the log and the counters.

use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::Instant;

use wasmtime::{Trap, WasmBacktrace};

use crate::limiter::Limiter;
use crate::metrics::FailureLog;
use crate::plugin::PluginContext;
use crate::{ErrorKind, PluginError};

/// What a host function returns as its error to end a call with a kind and message of its own.
#[derive(Debug)]
pub(crate) struct HostFailure {
    pub kind: ErrorKind,
    pub message: String,
}

impl HostFailure {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl fmt::Display for HostFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for HostFailure {}

/// What it means that a call or an instantiation of the plugin gave `error`. `limiter` is the one
/// of the store that it happened in.
pub(crate) fn classify(
    context: &PluginContext,
    error: &wasmtime::Error,
    limiter: &Limiter,
) -> PluginError {
    let (kind, message) = kind_and_message(context, error, limiter);
    let backtrace = error.downcast_ref::<WasmBacktrace>().map(backtrace).unwrap_or_default();
    PluginError { plugin: (&*context.name).into(), kind, message, backtrace }
}

fn kind_and_message(
    context: &PluginContext,
    error: &wasmtime::Error,
    limiter: &Limiter,
) -> (ErrorKind, String) {
    if let Some(HostFailure { kind, message }) = error.downcast_ref() {
        return (*kind, message.clone());
    }
    let limits = &context.settings.limits;
    let what = match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => {
            let message = "was stopped: it ran longer than its CPU time allows";
            return (ErrorKind::CpuTime, message.to_owned());
        }
        Some(Trap::StackOverflow) => {
            let message = format!("used more stack than it may: {} bytes", limits.stack);
            return (ErrorKind::Stack, message);
        }
        Some(Trap::UnreachableCodeReached) => "trapped: it gave up (unreachable)".to_owned(),
        Some(trap) => {
            let trap = trap.to_string();
            format!("trapped: {}", trap.strip_prefix("wasm trap: ").unwrap_or(&trap))
        }
        None => match error.downcast_ref::<wasmtime_wasi::I32Exit>() {
            Some(exit) => format!("exited with code {}", exit.0),
            None => causes(error),
        },
    };
    match limiter.denied() {
        Some(denied) => (ErrorKind::Memory, format!("{what}, after {denied}")),
        None => (ErrorKind::Trap, what),
    }
}

/// An error with its causes. Not the backtrace, which wasmtime adds as one more: it is shown apart.
fn causes(error: &wasmtime::Error) -> String {
    let causes = error.chain().map(ToString::to_string);
    let causes =
        causes.filter(|cause| !cause.starts_with("error while executing at wasm backtrace"));
    causes.collect::<Vec<_>>().join(": ")
}

/// A line for each frame, innermost first: `module!function (file:line:column)`. Calls that the
/// compiler inlined have lines of their own.
fn backtrace(trace: &WasmBacktrace) -> String {
    let mut text = String::new();
    for frame in trace.frames() {
        let module = frame.module().name().unwrap_or("wasm");
        let function = match frame.func_name() {
            Some(name) => format!("{:#}", rustc_demangle::demangle(name)),
            None => format!("function[{}]", frame.func_index()),
        };
        if frame.symbols().is_empty() {
            let offset = frame.module_offset().unwrap_or_default();
            let _ = writeln!(text, "{module}!{function} (offset {offset:#x})");
        }
        for symbol in frame.symbols() {
            let _ = match symbol.name() {
                Some(name) => write!(text, "{module}!{:#}", rustc_demangle::demangle(name)),
                None => write!(text, "{module}!{function}"),
            };
            if let Some(file) = symbol.file() {
                let line = symbol.line().unwrap_or_default();
                let column = symbol.column().unwrap_or_default();
                let _ = write!(text, " ({file}:{line}:{column})");
            }
            text.push('\n');
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// Counts a failure and logs it, unless so many of the plugin's were logged in the last seconds
/// that this one is only counted among those left out. To be called once for each failure.
pub(crate) fn report(context: &Arc<PluginContext>, error: &PluginError) {
    context.metrics.error(error.kind);
    match context.metrics.admit_failure(Instant::now()) {
        FailureLog::Log => {
            tracing::error!(
                plugin = %error.plugin,
                kind = error.kind.as_str(),
                error = %error.message,
                backtrace = %error.backtrace,
                "a plugin failed"
            );
        }
        FailureLog::LeaveOut => {}
        FailureLog::LeaveOutAndReportIn(wait) => {
            let (plugin, metrics) = (context.name.clone(), context.metrics.clone());
            context.background.spawn(async move {
                tokio::time::sleep(wait).await;
                let left_out = metrics.failures_left_out();
                tracing::error!(%plugin, left_out, "failures of a plugin were left out of the log");
            });
        }
    }
}

#[cfg(test)]
mod tests;
