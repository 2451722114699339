//! The process's allocator, and the thread that gives memory back.

use tollgate_priority::give_way;

/// A tenth of a small request's time goes to the allocator. This one is cheaper than glibc's and
/// hands a freed block out again while it is in the cache (TLS records).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// From now on a thread gives freed memory back to the system: when connections are gone, or what
/// a deployment has replaced. That takes milliseconds in the kernel, so the thread is of low
/// priority, as the one that starts it. Without it, workers give back what they free.
pub fn give_back_in_background() {
    let start = || {
        give_way();
        if let Err(error) = tikv_jemalloc_ctl::background_thread::write(true) {
            tracing::debug!(%error, "workers give memory back themselves");
        }
    };
    match std::thread::Builder::new().name("give-back".to_owned()).spawn(start) {
        Ok(thread) => drop(thread.join()),
        Err(error) => tracing::debug!(%error, "workers give memory back themselves"),
    }
}
