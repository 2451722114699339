//! An HTTP/1.1 client that sends what it is told and reads strictly.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, StreamOwned, SupportedProtocolVersion};
use rustls_pki_types::ServerName;

use super::certificate::trusting_anyone;
use crate::{DEADLINE, Request, Response};

/// One connection.
pub struct Http1 {
    stream: Stream,
    buffer: Vec<u8>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// Why there is no complete response.
#[derive(Debug)]
pub enum Broken {
    /// The connection ended, after these bytes.
    Ended(Vec<u8>),
    Malformed(String),
    TimedOut(Vec<u8>),
}

/// How a TLS client introduces itself.
#[derive(Clone)]
pub struct TlsOptions {
    pub name: String,
    pub alpn: Vec<Vec<u8>>,
    pub versions: Vec<&'static SupportedProtocolVersion>,
}

impl TlsOptions {
    pub fn new() -> Self {
        Self {
            name: "localhost".into(),
            alpn: vec![b"http/1.1".to_vec()],
            versions: rustls::ALL_VERSIONS.to_vec(),
        }
    }

    pub fn name(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    pub fn alpn(mut self, protocols: &[&str]) -> Self {
        self.alpn = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        self
    }

    /// The only version spoken.
    pub fn version(mut self, version: &'static SupportedProtocolVersion) -> Self {
        self.versions = vec![version];
        self
    }

    /// A configuration that trusts anyone.
    pub fn config(&self) -> Arc<ClientConfig> {
        let mut config = trusting_anyone(&self.versions);
        config.alpn_protocols = self.alpn.clone();
        Arc::new(config)
    }
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl Http1 {
    pub fn connect(address: SocketAddr) -> Self {
        Self { stream: Stream::Plain(tcp(address)), buffer: Vec::new() }
    }

    /// The same, where nobody may listen.
    pub fn try_connect(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { stream: Stream::Plain(try_tcp(address)?), buffer: Vec::new() })
    }

    pub fn connect_tls(address: SocketAddr, options: &TlsOptions) -> Self {
        Self::connect_tls_with(address, &options.name, options.config())
    }

    pub fn connect_tls_with(address: SocketAddr, name: &str, config: Arc<ClientConfig>) -> Self {
        Self::try_connect_tls_with(address, name, config).expect("the TLS handshake succeeds")
    }

    /// Connects and completes the handshake.
    pub fn try_connect_tls_with(
        address: SocketAddr,
        name: &str,
        config: Arc<ClientConfig>,
    ) -> io::Result<Self> {
        let name = ServerName::try_from(name.to_owned()).expect("a server name");
        let session = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(session, tcp(address));
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self { stream: Stream::Tls(Box::new(stream)), buffer: Vec::new() })
    }

    /// The TLS session of a TLS connection.
    pub fn session(&self) -> &ClientConnection {
        match &self.stream {
            Stream::Tls(stream) => &stream.conn,
            Stream::Plain(_) => panic!("this connection has no TLS"),
        }
    }

    /// The server's own certificate, DER.
    pub fn certificate(&self) -> Vec<u8> {
        self.session().peer_certificates().expect("the server has a certificate")[0].to_vec()
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.try_send(bytes).expect("the gateway reads");
        self
    }

    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(bytes.as_ref()),
            Stream::Tls(stream) => stream.write_all(bytes.as_ref()).and_then(|()| stream.flush()),
        }
    }

    /// Says that nothing more will be sent (TCP only).
    pub fn finish_sending(&mut self) {
        match &mut self.stream {
            Stream::Plain(stream) => {
                stream.shutdown(Shutdown::Write).expect("the connection is open")
            }
            Stream::Tls(_) => panic!("only for connections without TLS"),
        }
    }

    pub fn local_port(&self) -> u16 {
        let socket = match &self.stream {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => &stream.sock,
        };
        socket.local_addr().expect("a connected socket has an address").port()
    }

    /// Sends a request and reads its response.
    pub fn call(&mut self, request: Request) -> Response {
        let to_head = request.method == "HEAD";
        self.send(request.bytes());
        self.read(to_head)
            .unwrap_or_else(|broken| panic!("{broken:?} instead of a response to {request:?}"))
    }

    pub fn get(&mut self, path: &str) -> Response {
        self.call(crate::get(path))
    }

    /// Reads a response to a request other than HEAD.
    pub fn response(&mut self) -> Response {
        self.read(false).unwrap_or_else(|broken| panic!("{broken:?} instead of a response"))
    }

    /// The same, where it may be broken.
    pub fn try_response(&mut self) -> Result<Response, Broken> {
        self.read(false)
    }

    /// Asserts that the other side closes, without another byte.
    pub fn assert_closed(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "after the end came {:?}", String::from_utf8_lossy(&rest));
    }

    /// Everything until the other side closes.
    pub fn rest(&mut self) -> Vec<u8> {
        loop {
            match self.fill() {
                Ok(0) => return std::mem::take(&mut self.buffer),
                Ok(_) => {}
                Err(error) => {
                    panic!("the connection stays open ({error}), after {:?}", text(&self.buffer))
                }
            }
        }
    }

    /// Reads until `needle` has come, and returns all up to its end.
    pub fn read_until(&mut self, needle: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.buffer.windows(needle.len()).position(|window| window == needle)
            {
                return self.buffer.drain(..at + needle.len()).collect();
            }
            match self.fill() {
                Ok(count) if count > 0 => {}
                other => panic!(
                    "{other:?} after {:?}, waiting for {:?}",
                    text(&self.buffer),
                    text(needle)
                ),
            }
        }
    }

    pub fn read_exact(&mut self, count: usize) -> Result<Vec<u8>, Broken> {
        while self.buffer.len() < count {
            self.more()?;
        }
        Ok(self.buffer.drain(..count).collect())
    }

    fn read(&mut self, to_head: bool) -> Result<Response, Broken> {
        let head = self.head()?;
        let mut response = parse_head(&head)?;
        let find = |name: &str| response.header(name).map(str::to_owned);
        let length = find("Content-Length");
        let chunked = find("Transfer-Encoding").is_some_and(|value| value == "chunked");
        if to_head || response.status < 200 || matches!(response.status, 204 | 304) {
            return Ok(response);
        }
        if chunked {
            if length.is_some() {
                return Err(Broken::Malformed("both Content-Length and Transfer-Encoding".into()));
            }
            self.chunks(&mut response)?;
        } else if let Some(length) = length {
            let length = length
                .parse()
                .map_err(|_| Broken::Malformed(format!("Content-Length: {length}")))?;
            response.body = self.read_exact(length)?;
        } else {
            response.body = self.rest();
        }
        Ok(response)
    }

    fn head(&mut self) -> Result<String, Broken> {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..at + 4).collect();
                return Ok(String::from_utf8_lossy(&head[..at]).into_owned());
            }
            self.more()?;
        }
    }

    fn line(&mut self) -> Result<String, Broken> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..at + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            self.more()?;
        }
    }

    fn chunks(&mut self, response: &mut Response) -> Result<(), Broken> {
        loop {
            let line = self.line()?;
            let size = usize::from_str_radix(&line, 16);
            let size = size.map_err(|_| Broken::Malformed(format!("chunk size {line}")))?;
            if size == 0 {
                break;
            }
            response.body.extend(self.read_exact(size)?);
            if !self.line()?.is_empty() {
                return Err(Broken::Malformed("no line end after a chunk".into()));
            }
        }
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(());
            }
            response.trailers.push(field(&line)?);
        }
    }

    fn more(&mut self) -> Result<(), Broken> {
        match self.fill() {
            Ok(0) => Err(Broken::Ended(std::mem::take(&mut self.buffer))),
            Ok(_) => Ok(()),
            Err(_) => Err(Broken::TimedOut(std::mem::take(&mut self.buffer))),
        }
    }

    /// Reads once; an end of any kind is 0, a timeout an error.
    fn fill(&mut self) -> io::Result<usize> {
        let mut piece = [0; 16 * 1024];
        let read = match &mut self.stream {
            Stream::Plain(stream) => stream.read(&mut piece),
            Stream::Tls(stream) => stream.read(&mut piece),
        };
        match read {
            Ok(count) => {
                self.buffer.extend_from_slice(&piece[..count]);
                Ok(count)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(error)
            }
            Err(_) => Ok(0),
        }
    }
}

pub(crate) fn tcp(address: SocketAddr) -> TcpStream {
    try_tcp(address).expect("the gateway accepts")
}

fn try_tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn parse_head(head: &str) -> Result<Response, Broken> {
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let status = line.strip_prefix("HTTP/1.1 ").or_else(|| line.strip_prefix("HTTP/1.0 "));
    let status = status.and_then(|rest| rest.get(..3)?.parse().ok());
    let status = status.ok_or_else(|| Broken::Malformed(format!("status line {line:?}")))?;
    let headers = lines.map(field).collect::<Result<_, _>>()?;
    Ok(Response { status, headers, ..Response::default() })
}

fn field(line: &str) -> Result<(String, String), Broken> {
    let (name, value) =
        line.split_once(": ").ok_or_else(|| Broken::Malformed(format!("header {line:?}")))?;
    Ok((name.to_owned(), value.to_owned()))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
