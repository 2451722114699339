//! Lines of filters in the gateway's log, of which each callback may write so many.

use tracing::Level;
use tracing::level_filters::LevelFilter;

use super::abi::Status;
use super::guest::{Guest, Outcome, bytes, split, write_u32};
use super::state::State;
use super::wasi::{Output, WasiHost};
use crate::limits;
use crate::log::{is_enabled, write_line};

/// CRITICAL is an error here.
fn level_of(number: u32) -> Result<Level, Status> {
    Ok(match number {
        0 => Level::TRACE,
        1 => Level::DEBUG,
        2 => Level::INFO,
        3 => Level::WARN,
        4 | 5 => Level::ERROR,
        _ => return Err(Status::BadArgument),
    })
}

/// How many lines the running callback has written.
#[derive(Default)]
pub(super) struct Lines {
    written: usize,
    dropped: u64,
}

impl Lines {
    pub(super) fn begin_call(&mut self) {
        self.written = 0;
    }

    /// Whether there is room for one more.
    fn take(&mut self) -> bool {
        let has_room = self.written < limits::LOG_LINES;
        self.written += usize::from(has_room);
        self.dropped += u64::from(!has_room);
        has_room
    }

    /// Lines that were dropped since this was last asked.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

/// `proxy_log`
pub(super) fn log(guest: &mut Guest<'_>, level: u32, message: u32, size: u32) -> Outcome {
    let level = level_of(level)?;
    let (memory, state) = split(guest)?;
    let message = bytes(memory, message, size)?;
    state.log_line(level, message);
    Ok(())
}

/// `proxy_get_log_level`
pub(super) fn level(guest: &mut Guest<'_>, level_to: u32) -> Outcome {
    let level = match LevelFilter::current() {
        LevelFilter::TRACE => 0,
        LevelFilter::DEBUG => 1,
        LevelFilter::INFO => 2,
        LevelFilter::WARN => 3,
        LevelFilter::ERROR => 4,
        _ => 5,
    };
    write_u32(guest, level_to, level)
}

impl State {
    /// A line of the host's own about what the filter does.
    pub(super) fn note(&mut self, line: &str) {
        self.log_line(Level::WARN, line.as_bytes());
    }

    fn log_line(&mut self, level: Level, line: &[u8]) {
        if !is_enabled(level) || !self.lines.take() {
            return;
        }
        let line = String::from_utf8_lossy(&line[..line.len().min(limits::LOG_LINE)]);
        let plugin = self.plugin.clone();
        let http = self.stream().map(|stream| &*stream.http);
        write_line(level, &plugin.name, http, &line);
    }
}

impl WasiHost for State {
    fn log(&mut self, error: bool, line: &[u8]) {
        self.log_line(if error { Level::ERROR } else { Level::INFO }, line);
    }

    fn environment(&self) -> &[(String, String)] {
        &self.plugin.settings.environment
    }

    fn output(&mut self) -> &mut Output {
        &mut self.output
    }
}
