//! WASI preview 1, as far as proxy-wasm modules need it, under both of its module names.
//!
//! There are no files, no sockets and no arguments. Descriptors 0, 1 and 2 exist: 0 is at its end,
//! 1 and 2 are the log. What a module writes becomes log lines at each line end; [`flush`] gives
//! out what has none. Sleeping returns at once: a callback that waited would hold up every stream
//! of its VM.
//!
//! No call does more than a bounded amount of work, since the limit on CPU time stops modules, not
//! their host: a longer write is short, as POSIX allows.

mod memory;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use wasmtime::{Caller, Linker};

use crate::limits;
use memory::Memory;

/// What the store's data provides.
pub(crate) trait WasiHost {
    /// A line of standard output, or of standard error; without its line end, of at most
    /// [`limits::LOG_LINE`] bytes, not empty. Any bytes.
    fn log(&mut self, error: bool, line: &[u8]);
    /// The module's own variables. Names without `=`, names and values without `\0`.
    fn environment(&self) -> &[(String, String)];
    /// The same for as long as the store lives.
    fn output(&mut self) -> &mut Output;
}

/// Lines that were begun on standard output and standard error.
#[derive(Debug, Default)]
pub(crate) struct Output {
    lines: [Vec<u8>; 2],
}

/// `proc_exit` was called: the error that its callback fails with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the module exited with status {0}")]
pub(crate) struct Exit(pub i32);

/// Logs lines that were begun and not ended. For the end of a callback, trapped or not.
pub(crate) fn flush(host: &mut impl WasiHost) {
    for error in [false, true] {
        end_line(host, error);
    }
}

/// Bytes that one `fd_write` takes.
const WRITE_AT_ONCE: usize = 64 * 1024;
/// Bytes that one `random_get` gives.
const RANDOM_AT_ONCE: u32 = 64 * 1024;
/// Vectors of one `fd_write`, subscriptions of one `poll_oneoff`.
const ENTRIES_AT_ONCE: u32 = 1024;

const STDIN: u32 = 0;
const STDOUT: u32 = 1;
const STDERR: u32 = 2;

/// The errors that there are here, by their numbers in WASI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Errno {
    Badf = 8,
    Fault = 21,
    Inval = 28,
    Nosys = 52,
    Notsup = 58,
    Spipe = 70,
}

type Outcome = Result<(), Errno>;

/// What a module that imports `wasi_unstable` calls differs in `poll_oneoff` alone, of what does
/// something here: a subscription has one more field.
#[derive(Clone, Copy)]
enum Version {
    Unstable,
    Preview1,
}

/// Defines all functions of preview 1, as `wasi_snapshot_preview1` and as `wasi_unstable`.
pub(crate) fn define<T: WasiHost + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    for (module, version) in
        [("wasi_snapshot_preview1", Version::Preview1), ("wasi_unstable", Version::Unstable)]
    {
        define_output(linker, module)?;
        define_environment(linker, module)?;
        define_clocks(linker, module, version)?;
        define_descriptors(linker, module)?;
        define_paths(linker, module)?;
    }
    Ok(())
}

/// A function that works on the module's memory and the host.
macro_rules! function {
    ($linker:ident, $module:ident, $name:literal,
     |$memory:pat_param, $host:pat_param $(, $arg:ident: $type:ty)*| $body:expr) => {
        $linker.func_wrap($module, $name, |mut caller: Caller<'_, T> $(, $arg: $type)*| -> i32 {
            number(with_memory(&mut caller, |$memory, $host| -> Outcome { $body }))
        })?
    };
}

/// A function that answers the same whatever it is asked.
macro_rules! refused {
    ($linker:ident, $module:ident, $errno:ident, $($name:literal($($type:ty),*))*) => {
        $($linker.func_wrap($module, $name, |$(_: $type),*| -> i32 { Errno::$errno as i32 })?;)*
    };
}

fn number(outcome: Outcome) -> i32 {
    outcome.map_or_else(|errno| errno as i32, |()| 0)
}

fn with_memory<T>(
    caller: &mut Caller<'_, T>,
    f: impl FnOnce(Memory<'_>, &mut T) -> Outcome,
) -> Outcome {
    let memory = caller.get_export("memory").and_then(wasmtime::Extern::into_memory);
    let (bytes, host) = memory.ok_or(Errno::Fault)?.data_and_store_mut(caller);
    f(Memory(bytes), host)
}

fn define_output<T: WasiHost + 'static>(
    linker: &mut Linker<T>,
    module: &str,
) -> wasmtime::Result<()> {
    function!(
        linker,
        module,
        "fd_write",
        |mut memory, host, fd: u32, vectors: u32, count: u32, written: u32| {
            let error = match fd {
                STDOUT => false,
                STDERR => true,
                _ => return Err(Errno::Badf),
            };
            if count > ENTRIES_AT_ONCE {
                return Err(Errno::Inval);
            }
            let mut left = WRITE_AT_ONCE;
            for index in 0..count {
                let (pointer, length) = memory.pair(vectors, index)?;
                let bytes = memory.bytes(pointer, length)?;
                let taken = &bytes[..bytes.len().min(left)];
                write(host, error, taken);
                left -= taken.len();
            }
            memory.write_u32(written, (WRITE_AT_ONCE - left) as u32)
        }
    );
    // Standard input is at its end.
    function!(linker, module, "fd_read", |mut memory,
                                          _,
                                          fd: u32,
                                          _vectors: u32,
                                          _count: u32,
                                          read: u32| {
        if fd == STDIN { memory.write_u32(read, 0) } else { Err(Errno::Badf) }
    });
    Ok(())
}

/// Adds to a line, and logs it when it ends. What is beyond [`limits::LOG_LINE`] is dropped.
fn write(host: &mut impl WasiHost, error: bool, bytes: &[u8]) {
    let mut rest = bytes;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        add(host, error, &rest[..end]);
        end_line(host, error);
        rest = &rest[end + 1..];
    }
    add(host, error, rest);
}

fn add(host: &mut impl WasiHost, error: bool, bytes: &[u8]) {
    let line = &mut host.output().lines[usize::from(error)];
    let room = limits::LOG_LINE.saturating_sub(line.len());
    line.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

fn end_line(host: &mut impl WasiHost, error: bool) {
    let mut line = std::mem::take(&mut host.output().lines[usize::from(error)]);
    let text = line.strip_suffix(b"\r").unwrap_or(&line);
    if !text.is_empty() {
        host.log(error, text);
    }
    line.clear();
    host.output().lines[usize::from(error)] = line;
}

fn define_environment<T: WasiHost + 'static>(
    linker: &mut Linker<T>,
    module: &str,
) -> wasmtime::Result<()> {
    function!(linker, module, "environ_sizes_get", |mut memory, host, count: u32, size: u32| {
        let variables = host.environment();
        let bytes: usize = variables.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        memory.write_u32(count, variables.len() as u32)?;
        memory.write_u32(size, bytes as u32)
    });
    function!(linker, module, "environ_get", |mut memory, host, pointers: u32, buffer: u32| {
        let (mut pointer, mut at) = (pointers, buffer);
        for (name, value) in host.environment() {
            memory.write_u32(pointer, at)?;
            pointer = pointer.checked_add(4).ok_or(Errno::Fault)?;
            for part in [name.as_bytes(), b"=", value.as_bytes(), b"\0"] {
                memory.write(at, part)?;
                at = at.checked_add(part.len() as u32).ok_or(Errno::Fault)?;
            }
        }
        Ok(())
    });
    function!(linker, module, "args_sizes_get", |mut memory, _, count: u32, size: u32| {
        memory.write_u32(count, 0)?;
        memory.write_u32(size, 0)
    });
    function!(linker, module, "args_get", |_, _, _pointers: u32, _buffer: u32| Ok(()));
    function!(linker, module, "random_get", |mut memory, _, buffer: u32, length: u32| {
        if length > RANDOM_AT_ONCE {
            return Err(Errno::Inval);
        }
        getrandom::fill(memory.bytes_mut(buffer, length)?).map_err(|_| Errno::Nosys)
    });
    linker.func_wrap(module, "proc_exit", |status: i32| -> wasmtime::Result<()> {
        Err(wasmtime::Error::new(Exit(status)))
    })?;
    linker.func_wrap(module, "sched_yield", || -> i32 { 0 })?;
    refused!(linker, module, Nosys, "proc_raise"(i32));
    Ok(())
}

/// Nanoseconds since some time before the first call; never 0, which Go's runtime refuses.
fn monotonic() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_nanos() as u64 + 1_000_000_000
}

fn realtime() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

fn define_clocks<T: WasiHost + 'static>(
    linker: &mut Linker<T>,
    module: &str,
    version: Version,
) -> wasmtime::Result<()> {
    function!(
        linker,
        module,
        "clock_time_get",
        |mut memory, _, clock: u32, _precision: u64, time: u32| match clock {
            0 => memory.write_u64(time, realtime()),
            1 => memory.write_u64(time, monotonic()),
            _ => Err(Errno::Notsup),
        }
    );
    function!(linker, module, "clock_res_get", |mut memory, _, clock: u32, resolution: u32| {
        match clock {
            0 | 1 => memory.write_u64(resolution, 1),
            _ => Err(Errno::Notsup),
        }
    });
    linker.func_wrap(
        module,
        "poll_oneoff",
        move |mut caller: Caller<'_, T>, input: u32, output: u32, count: u32, events: u32| -> i32 {
            number(with_memory(&mut caller, |mut memory, _| {
                poll(&mut memory, version, [input, output, count, events])
            }))
        },
    )?;
    Ok(())
}

/// Every subscription has its event at once: a clock's time has come, standard descriptors are
/// ready, others are none.
fn poll(
    memory: &mut Memory<'_>,
    version: Version,
    [input, output, count, events]: [u32; 4],
) -> Outcome {
    /// `userdata: u64`, `error: u16`, `type: u8`, then 16 bytes for reads and writes.
    const EVENT: u32 = 32;
    const TAG: usize = 8;
    const DESCRIPTOR: usize = 16;
    let subscription: u32 = match version {
        Version::Preview1 => 48,
        // A clock's subscription has an identifier in front.
        Version::Unstable => 56,
    };
    if count == 0 || count > ENTRIES_AT_ONCE {
        return Err(Errno::Inval);
    }
    for index in 0..count {
        let from = input.checked_add(index * subscription).ok_or(Errno::Fault)?;
        let bytes = memory.bytes(from, subscription)?;
        let mut event = [0; EVENT as usize];
        event[..8].copy_from_slice(&bytes[..8]);
        let descriptor = &bytes[DESCRIPTOR..DESCRIPTOR + 4];
        let known = match bytes[TAG] {
            0 => true,
            1 => descriptor == STDIN.to_le_bytes(),
            2 => [STDOUT, STDERR].iter().any(|known| descriptor == known.to_le_bytes()),
            _ => return Err(Errno::Inval),
        };
        if !known {
            event[8..10].copy_from_slice(&(Errno::Badf as u16).to_le_bytes());
        }
        event[10] = bytes[TAG];
        memory.write(output.checked_add(index * EVENT).ok_or(Errno::Fault)?, &event)?;
    }
    memory.write_u32(events, count)
}

/// `ready` for the descriptors that there are.
fn standard(fd: u32, ready: Outcome) -> Outcome {
    if fd <= STDERR { ready } else { Err(Errno::Badf) }
}

fn define_descriptors<T: WasiHost + 'static>(
    linker: &mut Linker<T>,
    module: &str,
) -> wasmtime::Result<()> {
    function!(linker, module, "fd_fdstat_get", |mut memory, _, fd: u32, stat: u32| {
        /// A character device: what writes to it flushes at line ends.
        const CHARACTER_DEVICE: u8 = 2;
        /// `fd_read` and `fd_write`, without `fd_seek`.
        const RIGHTS: [u64; 3] = [1 << 1, 1 << 6, 1 << 6];
        let rights = RIGHTS.get(fd as usize).ok_or(Errno::Badf)?;
        let mut bytes = [0; 24];
        bytes[0] = CHARACTER_DEVICE;
        bytes[8..16].copy_from_slice(&rights.to_le_bytes());
        memory.write(stat, &bytes)
    });
    function!(linker, module, "fd_filestat_get", |mut memory, _, fd: u32, stat: u32| {
        standard(fd, Ok(()))?;
        // Both versions have `filetype` at 16 and zeros fit the rest; preview 1 is 64 bytes,
        // `wasi_unstable`, with a shorter `nlink`, 56: no more than that is written.
        let mut bytes = [0; 56];
        bytes[16] = 2;
        memory.write(stat, &bytes)
    });
    function!(linker, module, "fd_fdstat_set_flags", |_, _, fd: u32, _flags: u32| standard(
        fd,
        Ok(())
    ));
    function!(linker, module, "fd_close", |_, _, fd: u32| standard(fd, Ok(())));
    function!(linker, module, "fd_sync", |_, _, fd: u32| standard(fd, Ok(())));
    function!(linker, module, "fd_datasync", |_, _, fd: u32| standard(fd, Ok(())));
    function!(linker, module, "fd_seek", |_, _, fd: u32, _offset: i64, _from: u32, _at: u32| {
        standard(fd, Err(Errno::Spipe))
    });
    function!(linker, module, "fd_tell", |_, _, fd: u32, _at: u32| standard(fd, Err(Errno::Spipe)));
    // That there is no descriptor 3 ends a C library's search for open directories.
    refused!(linker, module, Badf,
        "fd_prestat_get"(u32, u32)
        "fd_prestat_dir_name"(u32, u32, u32)
        "fd_readdir"(u32, u32, u32, i64, u32)
        "fd_pread"(u32, u32, u32, i64, u32)
        "fd_pwrite"(u32, u32, u32, i64, u32)
        "fd_renumber"(u32, u32)
        "fd_filestat_set_size"(u32, i64)
        "fd_filestat_set_times"(u32, i64, i64, u32)
        "fd_advise"(u32, i64, i64, u32)
        "fd_allocate"(u32, i64, i64)
    );
    refused!(linker, module, Notsup,
        "fd_fdstat_set_rights"(u32, i64, i64)
        "sock_recv"(u32, u32, u32, u32, u32, u32)
        "sock_send"(u32, u32, u32, u32, u32)
        "sock_shutdown"(u32, u32)
        // Not in the first edition of preview 1; libraries of today import it.
        "sock_accept"(u32, u32, u32)
    );
    Ok(())
}

/// Paths are looked up below open directories, and there are none.
fn define_paths<T: WasiHost + 'static>(
    linker: &mut Linker<T>,
    module: &str,
) -> wasmtime::Result<()> {
    refused!(linker, module, Badf,
        "path_create_directory"(u32, u32, u32)
        "path_filestat_get"(u32, u32, u32, u32, u32)
        "path_filestat_set_times"(u32, u32, u32, u32, i64, i64, u32)
        "path_link"(u32, u32, u32, u32, u32, u32, u32)
        "path_open"(u32, u32, u32, u32, u32, i64, i64, u32, u32)
        "path_readlink"(u32, u32, u32, u32, u32, u32)
        "path_remove_directory"(u32, u32, u32)
        "path_rename"(u32, u32, u32, u32, u32, u32)
        "path_symlink"(u32, u32, u32, u32, u32)
        "path_unlink_file"(u32, u32, u32)
    );
    Ok(())
}
