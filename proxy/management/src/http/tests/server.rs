//! A listener of a test, and a client that writes and reads bytes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::http::{Authentication, Bounds, Handler, Request, Response, Server};

/// Answers as it is told; says what it got.
pub fn echo(request: Request) -> Response {
    let Request { method, path, query, headers, body } = request;
    let host = headers.get("host").map_or("none", |host| host.to_str().unwrap());
    let text = format!("{method} {path} {} {host} {}", query.unwrap_or_default(), body.len());
    let text = serde_json::Value::from(text).to_string();
    Response { status: 200, headers: Vec::new(), body: text.into() }
}

impl<F: Fn(Request) -> Response + Send + Sync> Handler for F {
    fn call(&self, request: Request) -> Response {
        self(request)
    }
}

/// Stops when it is dropped.
pub struct Listening {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Whether the calling thread is of low priority.
pub fn gives_way() -> bool {
    // SAFETY: it only asks for a number; 0 is the calling thread.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) == tollgate_priority::NICENESS }
}

impl Listening {
    pub fn start(handler: impl Handler + 'static) -> Self {
        Self::with(handler, Authentication::AnyKey, Bounds::default(), None)
    }

    pub fn bounded(handler: impl Handler + 'static, bounds: Bounds) -> Self {
        Self::with(handler, Authentication::AnyKey, bounds, None)
    }

    pub fn with(
        handler: impl Handler + 'static,
        authentication: Authentication,
        bounds: Bounds,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let server = Server::with_bounds(Arc::new(handler), authentication, bounds).unwrap();
        let (stop, stopped) = oneshot::channel();
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let socket = tokio::net::TcpListener::from_std(socket).unwrap();
                server.serve(socket, tls, async { stopped.await.unwrap_or(()) }).await;
            });
        });
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    /// Tells the listener to stop.
    pub fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits until it has.
    pub fn join(&mut self) {
        self.thread.take().unwrap().join().unwrap();
    }

    pub fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Client { reader: BufReader::new(stream) }
    }

    /// One exchange on a connection of its own.
    pub fn send(&self, request: &str) -> Reply {
        let mut client = self.connect();
        client.write(request.as_bytes());
        client.read().expect("an answer")
    }

    /// What `curl` prints.
    pub fn curl(&self, arguments: &[&str]) -> String {
        let output = Command::new("curl").arg("-sS").args(arguments).output().expect("curl runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        drop(self.stop.take());
    }
}

pub struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    pub fn write(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }

    /// The next response; none when the connection ends.
    pub fn read(&mut self) -> Option<Reply> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let reply = Reply { head, body: Bytes::new() };
        let length = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body).unwrap();
        Some(Reply { body: body.into(), ..reply })
    }

    /// As [`read`](Self::read); none also if nothing comes in this time.
    pub fn read_within(&mut self, time: Duration) -> Option<Reply> {
        self.reader.get_mut().set_read_timeout(Some(time)).unwrap();
        self.read()
    }

    /// The client's own.
    pub fn address(&self) -> SocketAddr {
        self.reader.get_ref().local_addr().unwrap()
    }

    /// Whether the connection is closed within the time that a read may take.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.reader.read(&mut [0; 1]), Ok(0))
    }
}

#[derive(Debug)]
pub struct Reply {
    pub head: String,
    pub body: Bytes,
}

impl Reply {
    pub fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The body as JSON text.
    pub fn text(&self) -> String {
        let value: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        match &value["message"] {
            serde_json::Value::Null => value.as_str().unwrap().to_owned(),
            message => message.as_str().unwrap().to_owned(),
        }
    }

    /// Status, kind and text of an error.
    pub fn error(&self) -> (u16, &str, String) {
        (self.status(), self.header("x-amzn-errortype").unwrap_or_default(), self.text())
    }
}
