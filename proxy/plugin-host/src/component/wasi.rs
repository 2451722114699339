//! WASI 0.2 for plugins that have the grant: clocks, random numbers, an empty environment, and
//! standard output and error to the log, line by line. No files, no sockets, no arguments.
//!
//! The time that a plugin waits in WASI is bounded by its `wait` and `cpu_time` together.

use std::sync::Arc;

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tracing::Level;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::state::{HostState, LineBudget};
use crate::limits;
use crate::log::write_line;

/// The context of one instance.
pub(super) fn context(plugin: &Arc<str>, budget: &LineBudget) -> WasiCtx {
    let output = |level| Output { plugin: plugin.clone(), budget: budget.clone(), level };
    WasiCtxBuilder::new()
        .stdout(output(Level::INFO))
        .stderr(output(Level::WARN))
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        // They are made in one go, which nothing stops: wasmtime's own bound is 64 MiB.
        .max_random_size(limits::RANDOM.into())
        .build()
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let ctx = self.wasi.as_mut().expect("WASI is linked only where there is a context");
        WasiCtxView { ctx, table: &mut self.resources }
    }
}

/// Standard output or error.
#[derive(Clone)]
struct Output {
    plugin: Arc<str>,
    budget: LineBudget,
    level: Level,
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Lines { output: self.clone(), line: Vec::new() })
    }

    /// Only WASI 0.3 asks for this one, and it is not linked.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }
}

/// One handle of the guest's to its output. What is not ended by a line end is logged when the
/// handle is dropped or the line is full.
struct Lines {
    output: Output,
    line: Vec<u8>,
}

impl Lines {
    fn end_line(&mut self) {
        let Output { plugin, budget, level } = &self.output;
        if budget.take() {
            write_line(*level, plugin, None, &String::from_utf8_lossy(&self.line));
        }
        self.line.clear();
    }

    fn append(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match part.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (part, false),
            };
            let room = limits::LOG_LINE - self.line.len();
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if ends {
                self.end_line();
            }
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
    }
}

#[async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.append(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(limits::LOG_LINE)
    }
}
