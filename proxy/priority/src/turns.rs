//! Long work in short turns.
//!
//! A worker that wakes up takes the processor from a thread of low priority: mostly. Linux's
//! scheduler keeps accounts, and to a worker that had a little more than its share a moment ago it
//! gives nothing until the next tick of the clock, some milliseconds later. Under load that
//! happens many times a second (`bench/run import-impact`). So a thread with long work to do gives
//! the processor up by itself, often. It is told when by a timer, whose signal it gets wherever it
//! is: in our code, in a library's, while it frees memory.

use std::cell::Cell;
use std::ffi::c_int;
use std::io::Error;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::null_mut;
use std::sync::LazyLock;

/// Nanoseconds of a turn.
const TURN: i64 = 200_000;
/// By default it is ignored, and hardly anybody sends it: Go's runtime interrupts its threads with
/// it, for these reasons.
const SIGNAL: c_int = libc::SIGURG;

/// While it lives, the thread that made it gives the processor to whoever waits for it, 5,000
/// times a second. Meant for work, not for waiting: it interrupts that too, and system calls that
/// are not taken up again by themselves (signal(7)) end with `EINTR`.
pub struct Turns {
    timer: Option<libc::timer_t>,
    /// The timer is this thread's.
    not_send: PhantomData<*const ()>,
}

impl Turns {
    /// Without a timer, because there are too many for instance, there are no turns; the log has
    /// it at level `debug`.
    pub fn take() -> Self {
        let timer = HANDLER.as_ref().map_err(|errno| Error::from_raw_os_error(*errno));
        let timer = timer.and_then(|()| start_timer()).inspect_err(
            |error| tracing::debug!(%error, "the thread takes no turns: there is no timer"),
        );
        Self { timer: timer.ok(), not_send: PhantomData }
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            // SAFETY: it is a timer of `start_timer` that nobody else has. A signal that is
            // pending finds the handler, which stays.
            unsafe { libc::timer_delete(timer) };
        }
    }
}

/// Installs the handler, once. The error is its number.
static HANDLER: LazyLock<Result<(), c_int>> = LazyLock::new(|| {
    // SAFETY: all zeros is a valid `sigaction`: no flags, no signal blocked.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = give_up_processor as extern "C" fn(c_int) as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the action is valid, and its handler does nothing that a handler may not.
    match unsafe { libc::sigaction(SIGNAL, &action, null_mut()) } {
        0 => Ok(()),
        _ => Err(Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL)),
    }
});

thread_local! {
    /// Nanoseconds of processor time that the thread had when its turn began.
    static BEGUN: Cell<i64> = const { Cell::new(0) };
}

/// Where others want the processor, the timer goes on while the thread waits for it: it doesn't
/// give up a turn that has only just begun.
extern "C" fn give_up_processor(_signal: c_int) {
    let now = processor_time();
    if now - BEGUN.get() >= TURN / 2 {
        // SAFETY: a system call without arguments, which touches nothing of the process and, as
        // it always succeeds, not `errno` either.
        unsafe { libc::sched_yield() };
        BEGUN.set(now);
    }
}

/// Nanoseconds of the calling thread.
fn processor_time() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a local. It always succeeds.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// One whose signals go to the calling thread.
fn start_timer() -> Result<libc::timer_t, Error> {
    // SAFETY: all zeros is a valid `sigevent`.
    let mut event: libc::sigevent = unsafe { MaybeUninit::zeroed().assume_init() };
    event.sigev_notify = libc::SIGEV_THREAD_ID;
    event.sigev_signo = SIGNAL;
    // SAFETY: it has no arguments and always succeeds.
    event.sigev_notify_thread_id = unsafe { libc::gettid() };
    let mut timer = null_mut();
    // SAFETY: both pointers are to locals of the right type.
    if unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut timer) } != 0 {
        return Err(Error::last_os_error());
    }
    let turn = libc::timespec { tv_sec: 0, tv_nsec: TURN };
    let times = libc::itimerspec { it_interval: turn, it_value: turn };
    // SAFETY: the timer is the one just made, and `times` a local of the right type.
    if unsafe { libc::timer_settime(timer, 0, &times, null_mut()) } != 0 {
        let error = Error::last_os_error();
        // SAFETY: nobody else has it.
        unsafe { libc::timer_delete(timer) };
        return Err(error);
    }
    Ok(timer)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::time::{Duration, Instant};

    use super::*;

    /// Whether the calling thread gets the signal within a while, in which it isn't handled.
    fn is_told() -> bool {
        // SAFETY: all pointers are to locals, or null where that is allowed.
        unsafe {
            let mut signals = MaybeUninit::<libc::sigset_t>::zeroed().assume_init();
            libc::sigaddset(&mut signals, SIGNAL);
            libc::pthread_sigmask(libc::SIG_BLOCK, &signals, null_mut());
            let wait = libc::timespec { tv_sec: 0, tv_nsec: 250 * TURN };
            let signal = libc::sigtimedwait(&signals, null_mut(), &wait);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &signals, null_mut());
            signal == SIGNAL
        }
    }

    #[test]
    fn a_thread_takes_turns_until_it_has_done() {
        assert!(!is_told());
        let turns = Turns::take();
        assert!(is_told());
        std::thread::scope(|scope| {
            let other = scope.spawn(is_told);
            assert!(!other.join().unwrap());
        });
        drop(turns);
        assert!(!is_told());
    }

    #[test]
    fn work_waits_and_files_go_on() {
        let _turns = Turns::take();
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        let (_sender, receiver) = channel::<()>();
        let wait = receiver.recv_timeout(Duration::from_millis(20));
        assert_eq!(wait, Err(RecvTimeoutError::Timeout));
        assert!(std::fs::read("/proc/self/maps").unwrap().len() > 1000);
    }
}
