//! The access log: one line for each request that reached an API, in AWS's format language.
//!
//! ```text
//! worker: format.write → its own buffer ─ 16 KiB full ─┐
//!                                                      ├→ bounded queue → writer thread → file
//! writer thread, every 200 ms: takes all buffers ──────┘
//! ```
//!
//! A request is never held up: it appends to a buffer that its worker shares with nobody but the
//! writer thread (which holds it only to take it away), and where the queue is full, because the disk
//! or the reader of standard output is slower than the traffic, whole buffers are dropped and their
//! lines counted. The same counter has lines that could not be written.
//!
//! - [`AccessLogFormat`] reads a format string once and writes lines.
//! - [`ContextVariable`] is what a format may name; the request path answers through [`LogValues`].
//! - [`AccessLog`] owns the buffers and the writer thread.

mod context_variable;
mod format;
mod writer;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

pub use self::context_variable::ContextVariable;
pub use self::format::{AccessLogFormat, DEFAULT_FORMAT, FormatError, MAXIMUM_FORMAT};
use self::writer::{Batch, Writer};
use crate::config::AccessLogDestination;
use crate::identifiers::thread_number;

/// A worker's buffer goes to the writer when it has so many bytes.
pub const BUFFER_SIZE: usize = 16 * 1024;
/// Buffers that may wait for the writer: with those of the workers, the most memory the log takes.
pub const QUEUED_BUFFERS: usize = 256;
/// A line waits no longer than this for its buffer to fill.
pub const FLUSH_INTERVAL: Duration = Duration::from_millis(200);
/// A longer line, in bytes, is dropped. AWS allows 1 MB for an entry.
pub const MAXIMUM_LINE: usize = 1024 * 1024;
/// How long [`AccessLog::close`] waits for a destination that takes nothing.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The values of one finished request.
pub trait LogValues {
    /// Appends the raw value of a variable to `out` and returns true, or returns false when the
    /// request has none; what was appended then is taken back, and `-` is logged. Escaping is the
    /// format's. Called by the worker at the end of the request, once for each variable in the
    /// format; must not wait.
    ///
    /// [`ContextVariable::ErrorMessageString`] is never asked for: the format makes it from
    /// [`ContextVariable::ErrorMessage`].
    fn write(&self, variable: &ContextVariable, out: &mut Vec<u8>) -> bool;
}

/// An open access log; dropping it closes it.
pub struct AccessLog {
    format: AccessLogFormat,
    /// None when the log is off.
    output: Option<Output>,
    dropped: Arc<AtomicU64>,
}

struct Output {
    buffers: Arc<Buffers>,
    writer: Writer,
}

impl AccessLog {
    /// Opens the destination and starts the writer thread. A file is created (mode 0640) or appended to.
    pub fn open(destination: &AccessLogDestination, format: AccessLogFormat) -> io::Result<Self> {
        let dropped = Arc::new(AtomicU64::new(0));
        let output = match destination {
            AccessLogDestination::Off => None,
            _ => {
                let buffers = Arc::new(Buffers::default());
                let writer =
                    Writer::start(destination, Arc::clone(&buffers), Arc::clone(&dropped))?;
                Some(Output { buffers, writer })
            }
        };
        Ok(Self { format, output, dropped })
    }

    /// Whether lines go nowhere, so that their values needn't be kept.
    pub fn is_off(&self) -> bool {
        self.output.is_none()
    }

    /// Writes the line of one request into the worker's buffer. Doesn't wait, whatever the
    /// destination does.
    pub fn line<V: LogValues + ?Sized>(&self, values: &V) {
        let Some(output) = &self.output else { return };
        let mut batch = output.buffers.own();
        let start = batch.bytes.len();
        self.format.write(values, &mut batch.bytes);
        if batch.bytes.len() - start >= MAXIMUM_LINE {
            batch.bytes.truncate(start);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        batch.bytes.push(b'\n');
        batch.lines += 1;
        if batch.bytes.len() >= BUFFER_SIZE {
            self.send(output, &mut batch);
        }
    }

    /// Gives the calling worker's buffer to the writer now. Not needed for lines to appear: the
    /// writer takes all buffers every [`FLUSH_INTERVAL`].
    pub fn flush_worker(&self) {
        let Some(output) = &self.output else { return };
        let mut batch = output.buffers.own();
        if batch.lines > 0 {
            self.send(output, &mut batch);
            output.writer.hurry();
        }
    }

    /// Opens the file again under its name, for log rotation: the writer does so before it writes next,
    /// within [`FLUSH_INTERVAL`]. If that fails, it keeps the old file and warns.
    pub fn reopen(&self) {
        if let Some(output) = &self.output {
            output.writer.reopen();
        }
    }

    /// Writes everything that was logged before this call, waiting at most [`CLOSE_TIMEOUT`], and ends
    /// the writer thread. Lines logged later are lost. A second call does nothing.
    pub fn close(&self) {
        if let Some(output) = &self.output {
            output.writer.close(CLOSE_TIMEOUT);
        }
    }

    /// Lines that were lost so far: the queue was full, or writing failed.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The counter behind [`AccessLog::dropped`], for metrics.
    pub fn dropped_counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.dropped)
    }

    fn send(&self, output: &Output, batch: &mut Batch) {
        if let Err(lines) = output.writer.send(batch) {
            self.dropped.fetch_add(lines, Ordering::Relaxed);
        }
    }
}

impl std::fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessLog")
            .field("off", &self.is_off())
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.close();
    }
}

/// One buffer for each worker. They aren't thread-locals, so that the writer can take what a worker
/// without traffic left behind, and `close` what all of them did. A worker's lock is its own for all
/// but the moment in which the writer takes the buffer, and costs two uncontended atomic operations.
struct Buffers([PaddedBuffer; BUFFERS]);

/// More threads than this share buffers.
const BUFFERS: usize = 64;

#[derive(Default)]
#[repr(align(128))]
struct PaddedBuffer(Mutex<Batch>);

impl Default for Buffers {
    fn default() -> Self {
        Self(std::array::from_fn(|_| PaddedBuffer::default()))
    }
}

impl Buffers {
    /// The calling thread's buffer, or another one while that is in use: by the writer, which may have
    /// been suspended by the kernel just there, or by a thread with the same number.
    fn own(&self) -> MutexGuard<'_, Batch> {
        let own = thread_number();
        (0..BUFFERS)
            .find_map(|next| self.0[(own + next) % BUFFERS].0.try_lock())
            .unwrap_or_else(|| self.0[own % BUFFERS].0.lock())
    }

    /// Takes what all workers have.
    fn take_all(&self) -> impl Iterator<Item = Batch> {
        self.0.iter().filter_map(|buffer| {
            let mut batch = buffer.0.lock();
            (batch.lines > 0).then(|| std::mem::take(&mut *batch))
        })
    }
}

#[cfg(test)]
mod tests;
