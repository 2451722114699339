//! Replacing the running binary without closing a listening socket.
//!
//! On SIGUSR2 the gateway starts the binary at its own path again, with the same arguments,
//! and leaves it the listening sockets: both processes accept from the same queue, so no
//! connection is refused. When the new process serves, it says so through a pipe; the old one
//! then drains and exits. If the new one ends or stays silent, the old one goes on.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use parking_lot::Mutex;

/// `ADDRESS=FD,…`: the sockets left to a new process, by the address as configured.
const SOCKETS: &str = "TOLLGATE_INHERITED_SOCKETS";
/// The pipe through which a new process says that it serves.
const READY: &str = "TOLLGATE_READY_FD";
/// How long a new process may take to serve.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// What a process got from the one it replaces.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: VecDeque<(SocketAddr, OwnedFd)>,
    ready: Option<OwnedFd>,
}

impl Inherited {
    /// Takes over what the environment names.
    pub fn from_environment() -> Self {
        let sockets = std::env::var(SOCKETS).unwrap_or_default();
        let sockets = sockets.split(',').filter_map(|entry| {
            let (address, fd) = entry.split_once('=')?;
            Some((address.parse().ok()?, adopt(fd)?))
        });
        let ready = std::env::var(READY).ok().and_then(|fd| adopt(&fd));
        Self { sockets: sockets.collect(), ready }
    }

    /// The listening socket that was configured with `address`, if it was left to us.
    pub fn take(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let at = self.sockets.iter().position(|(known, _)| *known == address)?;
        self.sockets.remove(at).map(|(_, fd)| TcpListener::from(fd))
    }

    /// Says that this process serves. Sockets nobody took are closed.
    pub fn ready(&mut self) {
        self.sockets.clear();
        if let Some(fd) = self.ready.take() {
            // The old process may have given up; then there is nobody to tell.
            let _ = std::fs::File::from(fd).write_all(b"1");
        }
    }
}

/// A file descriptor that this process was started with.
fn adopt(number: &str) -> Option<OwnedFd> {
    let fd: RawFd = number.parse().ok().filter(|fd| *fd > 2)?;
    // SAFETY: fcntl only asks; it fails on a number that is no open file descriptor.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
        return None;
    }
    // SAFETY: the descriptor is open, and the process that started this one left it to us
    // alone; nothing else in this process knows its number.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What is needed to start the binary again.
pub struct Upgrade {
    program: PathBuf,
    arguments: Vec<OsString>,
    sockets: Mutex<Vec<(SocketAddr, TcpListener)>>,
}

impl Upgrade {
    /// `sockets` are the listening sockets by the address as configured.
    pub fn new(sockets: Vec<(SocketAddr, TcpListener)>) -> std::io::Result<Self> {
        let mut arguments = std::env::args_os();
        let first = arguments.next().unwrap_or_default();
        // The path the operator used, not the inode that runs: an installed new version has
        // the old path.
        let program = match first.to_string_lossy().contains('/') {
            true => std::path::absolute(PathBuf::from(first))?,
            false => std::env::current_exe()?,
        };
        Ok(Self { program, arguments: arguments.collect(), sockets: Mutex::new(sockets) })
    }

    /// Closes the sockets kept for a new process. Until then they listen, though nobody accepts.
    pub fn release(&self) {
        self.sockets.lock().clear();
    }

    /// Starts the new process and waits until it serves. Blocks.
    pub fn run(&self) -> Result<u32, UpgradeError> {
        let (mut reader, writer) = std::io::pipe().map_err(UpgradeError::Start)?;
        let mut child = self.start(writer.as_raw_fd())?;
        drop(writer);
        let (sender, receiver) = std::sync::mpsc::channel();
        // A read from a pipe can't be given a deadline, a channel can. The thread ends with
        // the pipe's other end.
        std::thread::spawn(move || {
            let mut byte = [0];
            let _ = sender.send(matches!(reader.read(&mut byte), Ok(1)));
        });
        match receiver.recv_timeout(START_TIMEOUT) {
            Ok(true) => Ok(child.id()),
            Ok(false) => Err(UpgradeError::Ended(child.wait().map_err(UpgradeError::Start)?)),
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(UpgradeError::Silent)
            }
        }
    }

    fn start(&self, ready: RawFd) -> Result<Child, UpgradeError> {
        let sockets = self.sockets.lock();
        let fds: Vec<RawFd> =
            sockets.iter().map(|(_, socket)| socket.as_raw_fd()).chain([ready]).collect();
        let named: Vec<String> = sockets
            .iter()
            .map(|(address, socket)| format!("{address}={}", socket.as_raw_fd()))
            .collect();
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env(SOCKETS, named.join(",")).env(READY, ready.to_string());
        // SAFETY: between fork and exec only fcntl is called, which is async-signal-safe; the
        // vector was made before.
        unsafe {
            command.pre_exec(move || {
                for fd in &fds {
                    if libc::fcntl(*fd, libc::F_SETFD, 0) == -1 {
                        return Err(std::io::Error::last_os_error());
                    }
                }
                Ok(())
            });
        }
        command.spawn().map_err(UpgradeError::Start)
    }
}

/// Why the new process does not serve.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    #[error("cannot start the new process: {0}")]
    Start(std::io::Error),
    #[error("the new process ended before it served ({0})")]
    Ended(std::process::ExitStatus),
    #[error("the new process did not serve within {} s", START_TIMEOUT.as_secs())]
    Silent,
}
