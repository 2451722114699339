//! Lines of filters in the gateway's log, of which each callback may write so many.

use tracing::level_filters::LevelFilter;
use tracing::{debug, enabled, error, info, trace, warn};

use super::abi::Status;
use super::guest::{Guest, Outcome, bytes, split, write_u32};
use super::state::State;
use super::wasi::{Output, WasiHost};
use crate::{Http, limits};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    /// And CRITICAL.
    Error,
}

impl TryFrom<u32> for Level {
    type Error = Status;

    fn try_from(number: u32) -> Result<Self, Status> {
        Ok(match number {
            0 => Self::Trace,
            1 => Self::Debug,
            2 => Self::Info,
            3 => Self::Warn,
            4 | 5 => Self::Error,
            _ => return Err(Status::BadArgument),
        })
    }
}

impl Level {
    fn is_enabled(self) -> bool {
        match self {
            Self::Trace => enabled!(tracing::Level::TRACE),
            Self::Debug => enabled!(tracing::Level::DEBUG),
            Self::Info => enabled!(tracing::Level::INFO),
            Self::Warn => enabled!(tracing::Level::WARN),
            Self::Error => enabled!(tracing::Level::ERROR),
        }
    }
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
    let level = Level::try_from(level)?;
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
        self.log_line(Level::Warn, line.as_bytes());
    }

    fn log_line(&mut self, level: Level, line: &[u8]) {
        if !level.is_enabled() || !self.lines.take() {
            return;
        }
        let line = String::from_utf8_lossy(&line[..line.len().min(limits::LOG_LINE)]);
        let plugin = self.plugin.clone();
        let http = self.stream().map(|stream| &*stream.http);
        write_line(level, &plugin.name, http, &line);
    }
}

fn write_line(level: Level, plugin: &str, http: Option<&Http>, line: &str) {
    let request_id = http.map(|http| http.info.request_id());
    match level {
        Level::Trace => trace!(plugin, request_id, "{line}"),
        Level::Debug => debug!(plugin, request_id, "{line}"),
        Level::Info => info!(plugin, request_id, "{line}"),
        Level::Warn => warn!(plugin, request_id, "{line}"),
        Level::Error => error!(plugin, request_id, "{line}"),
    }
}

impl WasiHost for State {
    fn log(&mut self, error: bool, line: &[u8]) {
        self.log_line(if error { Level::Error } else { Level::Info }, line);
    }

    fn environment(&self) -> &[(String, String)] {
        &self.plugin.settings.environment
    }

    fn output(&mut self) -> &mut Output {
        &mut self.output
    }
}
