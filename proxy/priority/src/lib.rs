//! How threads that serve no requests give way to those that do: their priority is low, and long
//! work is done in turns.

mod turns;

pub use turns::Turns;

/// What `nice` calls niceness: 0 is a process's usual one, 19 the most modest. A processor that a
/// worker wants all of leaves such a thread one part in thirty: it goes on, slowly.
pub const NICENESS: i32 = 15;

/// Nanoseconds that such a thread runs before a worker that wakes up takes the processor from it:
/// the least that Linux grants. Since 6.12 it can be chosen; it is some milliseconds otherwise, in
/// which a worker on the same processor answers nobody (`bench/run import-impact`). Kernels before
/// ignore it.
const SLICE: u64 = 100_000;

/// The first version of `struct sched_attr` (sched_setattr(2)).
#[repr(C)]
struct SchedulingAttributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Lets the calling thread give way to those that serve requests: what it does may be long, and
/// isn't urgent. Threads that it starts give way as well.
pub fn give_way() {
    let attributes = SchedulingAttributes {
        size: size_of::<SchedulingAttributes>() as u32,
        policy: libc::SCHED_OTHER as u32,
        flags: 0,
        nice: NICENESS,
        priority: 0,
        runtime: SLICE,
        deadline: 0,
        period: 0,
    };
    // SAFETY: the kernel reads `size` bytes behind the pointer, which is to a local. 0 is the
    // calling thread.
    if unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &attributes, 0) } != 0 {
        let error = std::io::Error::last_os_error();
        tracing::debug!(%error, "the thread's priority can't be lowered");
    }
}
