//! The thread that brings what was counted to disk.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{LedgerError, Registry};

/// From the beginning of one write to that of the next. What was counted is on disk after this and
/// the time of a write: within a second, if a write takes no longer than this.
const INTERVAL: Duration = Duration::from_millis(500);

/// Writes the ledger now and then, and once more when it stops.
pub struct Writer {
    running: Mutex<Option<(Sender<()>, JoinHandle<()>)>>,
}

impl Writer {
    pub fn start(registry: Arc<Registry>) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new().name("usage".to_owned()).spawn(move || {
            let mut has_failed = false;
            let mut begun = Instant::now();
            loop {
                let waited = stopped.recv_timeout(INTERVAL.saturating_sub(begun.elapsed()));
                begun = Instant::now();
                report(registry.flush(), &mut has_failed);
                if waited != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        })?;
        Ok(Self { running: Mutex::new(Some((stop, thread))) })
    }

    /// Returns when everything counted is on disk, or can't be.
    pub fn stop(&self) {
        if let Some((stop, thread)) = self.running.lock().take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One line when it begins to fail, and one when it works again.
fn report(flushed: Result<(), LedgerError>, has_failed: &mut bool) {
    match flushed {
        Err(error) if !*has_failed => {
            *has_failed = true;
            tracing::error!(%error, "usage can't be written; it is counted on in memory");
        }
        Ok(()) if *has_failed => {
            *has_failed = false;
            tracing::info!("usage is written again");
        }
        _ => {}
    }
}
