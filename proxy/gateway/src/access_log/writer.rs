//! The thread that writes the access log, alone with the file.
//!
//! It may wait for a disk or a reader as long as it likes: all others only try to queue. A write
//! that fails loses its lines, which are counted, and is reported once a minute.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::{BUFFER_SIZE, Buffers, FLUSH_INTERVAL, QUEUED_BUFFERS};
use crate::config::AccessLogDestination;

/// Time between two reports of failing writes.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);
/// A standard output in non-blocking mode (somebody else's doing) is tried again after this time.
const WOULD_BLOCK_PAUSE: Duration = Duration::from_millis(5);

/// Queued buffers that wake the writer before its next flush. Waking a thread is a system call of some
/// microseconds, the price of twenty lines; so the writer is left asleep until a few hundred wait.
const WAKE_AT: usize = 16;
/// Emptied buffers kept for the workers while there is traffic.
const SPARE_BUFFERS: usize = 2 * WAKE_AT;

/// Whole lines, each with its line end.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: u64,
}

/// The other threads' side.
pub(super) struct Writer {
    shared: Arc<Shared>,
}

/// What the writer and the others hand each other, a buffer at a time.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// The writer has something to do.
    wake: Condvar,
    /// The writer has ended.
    end: Condvar,
}

#[derive(Default)]
struct State {
    queue: Vec<Batch>,
    spare: Vec<Vec<u8>>,
    reopen: bool,
    close: bool,
    ended: bool,
    /// Somebody doesn't want to wait for the next flush.
    hurry: bool,
}

impl Writer {
    pub(super) fn start(
        destination: &AccessLogDestination,
        buffers: Arc<Buffers>,
        dropped: Arc<AtomicU64>,
    ) -> io::Result<Self> {
        let (file, path) = match destination {
            AccessLogDestination::File(path) => (open(path)?, Some(path.clone())),
            // A descriptor of our own: `io::stdout` would write line by line.
            _ => (File::from(io::stdout().as_fd().try_clone_to_owned()?), None),
        };
        let shared = Arc::new(Shared::default());
        let thread = WriterThread {
            shared: Arc::clone(&shared),
            buffers,
            destination: Destination { file, path, within_line: false, last_report: None, dropped },
        };
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || thread.run())?;
        Ok(Self { shared })
    }

    /// Queues the lines and leaves an empty buffer with room in their place. When the queue is full
    /// or the writer has ended, they are gone, and their number is returned.
    pub(super) fn send(&self, batch: &mut Batch) -> Result<(), u64> {
        let mut state = self.shared.state.lock();
        if state.queue.len() >= QUEUED_BUFFERS || state.ended {
            batch.bytes.clear();
            return Err(std::mem::take(&mut batch.lines));
        }
        let bytes = state.spare.pop().unwrap_or_default();
        state.queue.push(std::mem::replace(batch, Batch { bytes, lines: 0 }));
        let wake = state.queue.len() == WAKE_AT;
        drop(state);
        if wake {
            self.shared.wake.notify_one();
        }
        // Room for a full buffer with its last line, as a rule, so that it never grows.
        batch.bytes.reserve(BUFFER_SIZE + 2048);
        Ok(())
    }

    /// Has the writer write what is queued now.
    pub(super) fn hurry(&self) {
        self.notify(|state| state.hurry = true);
    }

    pub(super) fn reopen(&self) {
        self.notify(|state| state.reopen = true);
    }

    pub(super) fn close(&self, timeout: Duration) {
        self.notify(|state| state.close = true);
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.state.lock();
        while !state.ended && !self.shared.end.wait_until(&mut state, deadline).timed_out() {}
    }

    fn notify(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.state.lock());
        self.shared.wake.notify_one();
    }
}

struct WriterThread {
    shared: Arc<Shared>,
    buffers: Arc<Buffers>,
    destination: Destination,
}

impl WriterThread {
    fn run(mut self) {
        let mut next_flush = Instant::now() + FLUSH_INTERVAL;
        let mut batches = Vec::new();
        loop {
            let close = self.wait(next_flush, &mut batches);
            let had_traffic = !batches.is_empty();
            self.write(&mut batches);
            if close || Instant::now() >= next_flush {
                // What was queued came first, then what the workers still hold.
                batches.extend(self.buffers.take_all());
                self.write(&mut batches);
                next_flush = Instant::now() + FLUSH_INTERVAL;
                if !had_traffic {
                    self.shared.state.lock().spare = Vec::new();
                }
            }
            if close {
                break;
            }
        }
        let mut state = self.shared.state.lock();
        state.ended = true;
        // Queued since the last look.
        let late: u64 = state.queue.drain(..).map(|batch| batch.lines).sum();
        drop(state);
        self.destination.lose(late);
        self.shared.end.notify_all();
    }

    /// Waits for enough to do, at most until `deadline`; takes the queue, and reopens the file where
    /// asked. True when the log is to be closed.
    fn wait(&mut self, deadline: Instant, batches: &mut Vec<Batch>) -> bool {
        let mut state = self.shared.state.lock();
        while state.queue.len() < WAKE_AT && !state.close && !state.reopen && !state.hurry {
            if self.shared.wake.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.hurry = false;
        let reopen = std::mem::take(&mut state.reopen);
        let close = state.close;
        std::mem::swap(&mut state.queue, batches);
        drop(state);
        if reopen {
            self.destination.reopen();
        }
        close
    }

    /// Writes the batches, and leaves their buffers to the workers.
    fn write(&mut self, batches: &mut Vec<Batch>) {
        for mut batch in batches.drain(..) {
            self.destination.write(&batch);
            batch.bytes.clear();
            let mut state = self.shared.state.lock();
            if state.spare.len() < SPARE_BUFFERS {
                state.spare.push(batch.bytes);
            }
        }
    }
}

struct Destination {
    file: File,
    /// None for standard output.
    path: Option<PathBuf>,
    /// The last write ended within a line.
    within_line: bool,
    last_report: Option<Instant>,
    dropped: Arc<AtomicU64>,
}

impl Destination {
    fn reopen(&mut self) {
        let Some(path) = &self.path else { return };
        match open(path) {
            Ok(file) => {
                self.file = file;
                self.within_line = false;
            }
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "access log can't be reopened; the old file stays in use")
            }
        }
    }

    fn write(&mut self, batch: &Batch) {
        // A full disk may have cut a line; the next one must not continue it.
        if self.within_line && self.write_bytes(b"\n").is_err() {
            self.lose(batch.lines);
            return;
        }
        if let Err((error, written)) = self.write_bytes(&batch.bytes) {
            let complete =
                batch.bytes[..written].iter().filter(|byte| **byte == b'\n').count() as u64;
            self.lose(batch.lines.saturating_sub(complete));
            if self.last_report.is_none_or(|last| last.elapsed() >= REPORT_INTERVAL) {
                self.last_report = Some(Instant::now());
                tracing::warn!(%error, dropped = self.dropped.load(Ordering::Relaxed), "access log can't be written; its lines are dropped");
            }
        }
    }

    fn lose(&self, lines: u64) {
        self.dropped.fetch_add(lines, Ordering::Relaxed);
    }

    /// Writes all, or says how much was written before an error.
    fn write_bytes(&mut self, bytes: &[u8]) -> Result<(), (io::Error, usize)> {
        let mut written = 0;
        while written < bytes.len() {
            let error = match self.file.write(&bytes[written..]) {
                Ok(0) => io::Error::from(io::ErrorKind::WriteZero),
                Ok(more) => {
                    written += more;
                    self.within_line = bytes[written - 1] != b'\n';
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::sleep(WOULD_BLOCK_PAUSE);
                    continue;
                }
                Err(error) => error,
            };
            return Err((error, written));
        }
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}
