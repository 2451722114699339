//! The threads that operations run on: few, of low priority, and never those of the data plane, so
//! that a large import takes no processor time from traffic.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tollgate_priority::{Turns, give_way};

use super::exchange::Response;

/// Most operations wait for the disk, and some for an upstream (TestInvokeMethod).
const THREADS: usize = 4;
/// Operations that wait for a thread.
const QUEUE: usize = 64;

type Job = Box<dyn FnOnce() + Send>;

/// The threads end when this is dropped and what is queued is done.
pub(super) struct Pool {
    queue: SyncSender<Job>,
}

/// The queue is full.
#[derive(Debug)]
pub(super) struct Busy;

/// The operation panicked; the log says where.
#[derive(Debug)]
pub(super) struct Panicked;

impl Pool {
    pub(super) fn start() -> std::io::Result<Self> {
        let (queue, jobs) = sync_channel(QUEUE);
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..THREADS {
            let jobs = jobs.clone();
            std::thread::Builder::new().name(format!("management-{number}")).spawn(move || {
                give_way();
                work(&jobs);
            })?;
        }
        Ok(Self { queue })
    }

    /// Has a thread run it, unless nobody waits for the outcome any more when its turn comes.
    pub(super) fn run(
        &self,
        operation: impl FnOnce() -> Response + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<Response, Panicked>>, Busy> {
        let (sender, receiver) = oneshot::channel();
        let job = move || {
            if sender.is_closed() {
                return;
            }
            // Nothing that a panic may leave half done outlives it: the operation owns what it
            // changes, and the store's transactions are whole or absent.
            let outcome = catch_unwind(AssertUnwindSafe(operation)).map_err(|panic| {
                let message = panic
                    .downcast_ref::<&str>()
                    .copied()
                    .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
                tracing::error!(panic = message, "an operation of the management API panicked");
                Panicked
            });
            // The client may have left.
            let _ = sender.send(outcome);
        };
        self.queue.try_send(Box::new(job)).map_err(|_| Busy)?;
        Ok(receiver)
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        // Only the thread whose turn it is waits in `recv`; the others wait for the lock.
        let job = jobs.lock().recv();
        match job {
            Ok(job) => {
                let _turns = Turns::take();
                job();
            }
            Err(_) => return,
        }
    }
}
