//! `proxy_on_queue_ready`: who registered a queue is told of each item.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::cell::VmCell;
use crate::limits;

/// Told of a queue that got an item. Called while VMs are locked, so that it only notes the queue.
pub(super) type Listener = Arc<dyn Fn(u32) + Send + Sync>;

/// Items that a VM has not been told of. One for which there is no room any more is not lost, but
/// waits for the next callback.
const WAITING: usize = limits::QUEUE / 32;

/// Queues that got an item, in order, each time.
#[derive(Default)]
struct Ready {
    queues: VecDeque<u32>,
    /// A task takes them.
    is_taken: bool,
}

/// The listener of a VM.
pub(super) fn listener(background: Handle, cell: Weak<VmCell>) -> Listener {
    let ready = Arc::new(Mutex::new(Ready::default()));
    Arc::new(move |queue| {
        let mut noted = ready.lock();
        if noted.queues.len() < WAITING {
            noted.queues.push_back(queue);
        }
        if !noted.is_taken {
            noted.is_taken = true;
            background.spawn(tell(ready.clone(), cell.clone()));
        }
    })
}

async fn tell(ready: Arc<Mutex<Ready>>, cell: Weak<VmCell>) {
    loop {
        let next = {
            let mut ready = ready.lock();
            let next = ready.queues.pop_front();
            ready.is_taken = next.is_some();
            next
        };
        let (Some(queue), Some(cell)) = (next, cell.upgrade()) else { return };
        cell.run_apart(move |vm| vm.queue_ready(queue)).await;
    }
}
