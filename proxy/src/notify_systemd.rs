//! Tells systemd what the service is doing, over the socket that `NOTIFY_SOCKET` names. See
//! [sd_notify(3)](https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html).
//!
//! Outside of systemd every call does nothing. A message that cannot be sent is logged and
//! otherwise ignored: the gateway serves all the same.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use tokio::signal::unix::{SignalKind, signal};

/// The service accepts connections. Names this process as the main one: after an upgrade it
/// is not the one that systemd started.
pub fn ready() {
    send(&format!("READY=1\nMAINPID={}\n", std::process::id()));
}

/// A reload begins; [`ready`] ends it.
pub fn reloading() {
    send("RELOADING=1\n");
}

/// Says so when SIGTERM begins a drain, on a thread that waits for it. An upgrade is no
/// stop: the service goes on in another process.
///
/// Call it when the gateway handles signals already: until then SIGTERM ends the process.
pub fn stopping_on_sigterm() {
    if socket().is_none() {
        return;
    }
    let wait = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let received = runtime.block_on(async {
            signal(SignalKind::terminate())?
                .recv()
                .await
                .ok_or_else(|| io::Error::other("no more signals"))
        });
        received.map(|()| send("STOPPING=1\n"))
    };
    let thread = std::thread::Builder::new().name("sigterm".to_owned()).spawn(move || {
        if let Err(error) = wait() {
            tracing::warn!(%error, "systemd will not be told of a stop");
        }
    });
    if let Err(error) = thread {
        tracing::warn!(%error, "systemd will not be told of a stop");
    }
}

fn socket() -> Option<OsString> {
    std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty())
}

fn send(message: &str) {
    let Some(socket) = socket() else { return };
    if let Err(error) = send_to(&socket, message) {
        tracing::warn!(%error, "systemd could not be notified");
    }
}

fn send_to(socket: &OsStr, message: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
    };
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_reach_a_socket_in_the_file_system_and_an_abstract_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("@tollgate-test-{}", std::process::id());
        let sockets = [
            (path.clone().into_os_string(), UnixDatagram::bind(&path).unwrap()),
            (
                name.clone().into(),
                UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name[1..]).unwrap())
                    .unwrap(),
            ),
        ];
        for (name, socket) in sockets {
            send_to(&name, "READY=1\n").unwrap();
            let mut buffer = [0; 64];
            let length = socket.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"READY=1\n");
        }
    }

    #[test]
    fn a_socket_that_is_gone_is_an_error() {
        assert!(send_to(OsStr::new("/nowhere/notify"), "READY=1\n").is_err());
    }
}
