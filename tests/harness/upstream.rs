//! HTTP/1.1 backends.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::message::header_in;
use crate::{DEADLINE, Issued, eventually};

/// A backend on a port of its own, with a thread for each connection.
pub struct Upstream {
    pub address: SocketAddr,
    scheme: &'static str,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    requests: Mutex<Vec<Received>>,
    connections: AtomicUsize,
    stopped: AtomicBool,
}

/// A request exactly as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// Without the empty line.
    pub head: String,
    /// Framing taken off.
    pub body: Vec<u8>,
    /// Head, empty line, and body with its framing.
    pub raw: Vec<u8>,
    /// Which connection it came on, counted from 0.
    pub connection: usize,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<String> {
        header_in(&self.head, name)
    }

    pub fn line(&self) -> &str {
        self.head.split("\r\n").next().unwrap_or_default()
    }
}

impl Upstream {
    /// Answers each request with 200, `X-Upstream-Connection`, and the bytes it received.
    pub fn echo() -> Self {
        Self::scripted(echo)
    }

    /// The same over TLS 1.2 or 1.3 with HTTP/1.1.
    pub fn echo_tls(issued: &Issued) -> Self {
        Self::start("https", Some(issued.server_config(&["http/1.1"])), echo)
    }

    /// Reads each request and answers with these bytes.
    pub fn answering(response: impl Into<Vec<u8>>) -> Self {
        let response = response.into();
        Self::scripted(move |mut session| {
            while let Some(request) = session.request() {
                session.record(request);
                session.write(&response);
            }
        })
    }

    /// Reads one request on each connection, answers with these bytes, and closes.
    pub fn answering_once(response: impl Into<Vec<u8>>) -> Self {
        let response = response.into();
        Self::scripted(move |mut session| {
            if let Some(request) = session.request() {
                session.record(request);
                session.write(&response);
            }
        })
    }

    /// Runs `script` for each connection, which ends with it.
    pub fn scripted(script: impl Fn(Session) + Send + Sync + 'static) -> Self {
        Self::start("http", None, script)
    }

    /// An address where connections are refused for as long as the returned socket lives.
    pub fn refusing() -> (tokio::net::TcpSocket, SocketAddr) {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let address = socket.local_addr().expect("a bound socket has an address");
        (socket, address)
    }

    fn start(
        scheme: &'static str,
        tls: Option<Arc<ServerConfig>>,
        script: impl Fn(Session) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = Arc::new(State::default());
        let (shared, script) = (state.clone(), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let number = shared.connections.fetch_add(1, Ordering::SeqCst);
                let (state, script, tls) = (shared.clone(), script.clone(), tls.clone());
                std::thread::spawn(move || {
                    if let Some(session) = Session::new(stream, tls, number, state) {
                        script(session);
                    }
                });
            }
        });
        Self { address, scheme, state }
    }

    /// `http://127.0.0.1:PORT` and a path.
    pub fn url(&self, path: &str) -> String {
        match self.scheme {
            "http" => format!("http://{}{path}", self.address),
            scheme => format!("{scheme}://localhost:{}{path}", self.address.port()),
        }
    }

    /// What was received so far.
    pub fn requests(&self) -> Vec<Received> {
        self.state.requests.lock().expect("no session panics with it").clone()
    }

    /// The only request received.
    pub fn request(&self) -> Received {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests[0].clone()
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        // Wakes the accept loop.
        let _ = TcpStream::connect(self.address);
    }
}

fn echo(mut session: Session) {
    while let Some(request) = session.request() {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Upstream-Connection: {}\r\nContent-Length: {}\r\n\r\n",
            request.connection,
            request.raw.len()
        );
        let mut response = head.into_bytes();
        if !request.head.starts_with("HEAD ") {
            response.extend_from_slice(&request.raw);
        }
        session.record(request);
        session.write(&response);
    }
}

trait ReadWrite: Read + Write + Send {}
impl<T: Read + Write + Send> ReadWrite for T {}

/// One connection as the backend sees it.
pub struct Session {
    stream: Box<dyn ReadWrite>,
    socket: TcpStream,
    buffer: Vec<u8>,
    pub number: usize,
    state: Arc<State>,
}

impl Session {
    fn new(
        stream: TcpStream,
        tls: Option<Arc<ServerConfig>>,
        number: usize,
        state: Arc<State>,
    ) -> Option<Self> {
        stream.set_read_timeout(Some(DEADLINE)).ok()?;
        stream.set_write_timeout(Some(DEADLINE)).ok()?;
        stream.set_nodelay(true).ok()?;
        let socket = stream.try_clone().ok()?;
        let stream: Box<dyn ReadWrite> = match tls {
            None => Box::new(stream),
            Some(config) => Box::new(StreamOwned::new(ServerConnection::new(config).ok()?, stream)),
        };
        Some(Self { stream, socket, buffer: Vec::new(), number, state })
    }

    /// The next request with its body, `None` when the gateway has closed.
    pub fn request(&mut self) -> Option<Received> {
        let head = self.head()?;
        let mut raw = format!("{head}\r\n\r\n").into_bytes();
        let body = if header_in(&head, "Transfer-Encoding").is_some() {
            self.chunked(&mut raw)?
        } else {
            let length =
                header_in(&head, "Content-Length").map_or(0, |length| length.parse().unwrap_or(0));
            let body = self.bytes(length)?;
            raw.extend_from_slice(&body);
            body
        };
        Some(Received { head, body, raw, connection: self.number })
    }

    /// The head of the next request, without its empty line.
    pub fn head(&mut self) -> Option<String> {
        let head = self.until(b"\r\n\r\n")?;
        Some(String::from_utf8_lossy(&head[..head.len() - 4]).into_owned())
    }

    /// The next bytes.
    pub fn bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < count {
            self.fill()?;
        }
        Some(self.buffer.drain(..count).collect())
    }

    /// All up to the end of `needle`.
    pub fn until(&mut self, needle: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.windows(needle.len()).position(|window| window == needle)
            {
                return Some(self.buffer.drain(..at + needle.len()).collect());
            }
            self.fill()?;
        }
    }

    fn chunked(&mut self, raw: &mut Vec<u8>) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.until(b"\r\n")?;
            raw.extend_from_slice(&line);
            let size =
                usize::from_str_radix(std::str::from_utf8(&line[..line.len() - 2]).ok()?, 16)
                    .ok()?;
            if size == 0 {
                break;
            }
            let chunk = self.bytes(size + 2)?;
            body.extend_from_slice(&chunk[..size]);
            raw.extend_from_slice(&chunk);
        }
        loop {
            let trailer = self.until(b"\r\n")?;
            raw.extend_from_slice(&trailer);
            if trailer == b"\r\n" {
                return Some(body);
            }
        }
    }

    /// Waits until the gateway has closed.
    pub fn wait_for_close(&mut self) {
        while self.fill().is_some() {}
    }

    fn fill(&mut self) -> Option<()> {
        let mut piece = [0; 64 * 1024];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => return None,
                Ok(count) => {
                    self.buffer.extend_from_slice(&piece[..count]);
                    return Some(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }

    /// Has [`Upstream::requests`] show it.
    pub fn record(&self, request: Received) {
        self.state.requests.lock().expect("no session panics with it").push(request);
    }

    /// Writes; a gateway that has left is its own business.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_write(bytes);
    }

    /// Writes; false when the gateway has left.
    pub fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).and_then(|()| self.stream.flush()).is_ok()
    }

    /// Waits until the gateway's side of the connection has all that was written: a write that
    /// returned may still be on its way on a busy machine.
    pub fn wait_until_delivered(&self) {
        eventually("the gateway's side acknowledges", || {
            let mut unacknowledged: libc::c_int = 0;
            // SAFETY: the socket is open, and TIOCOUTQ writes one integer.
            let result = unsafe {
                libc::ioctl(self.socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut unacknowledged)
            };
            (result == -1 || unacknowledged == 0).then_some(())
        });
    }
}
