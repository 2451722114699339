//! Threads that serve no requests, beside those that do.

/// What `nice` calls niceness: 0 is a process's usual one, 19 the most modest. Linux counts time in
/// ticks of some milliseconds, and a thread that has waited gets a whole one, in which a worker on
/// the same processor answers nobody. Beside imports the traffic's p99 is half of what it is with
/// 10 (`bench/run import-impact`). A processor that a worker wants all of leaves such a thread one
/// part in seventy: it goes on, slowly.
const NICENESS: libc::c_int = 19;

/// Lets the calling thread give way to those that serve requests: what it does may be long, and
/// isn't urgent. Threads that it starts give way as well.
pub fn give_way() {
    // SAFETY: the call takes numbers only. Linux's niceness is a thread's own: 0 is the calling
    // thread.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS) } != 0 {
        let error = std::io::Error::last_os_error();
        tracing::debug!(%error, "the thread's priority can't be lowered");
    }
}
