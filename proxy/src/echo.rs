//! A small upstream to try things with: it answers every request with what it received, as
//! JSON. `/status/NNN` answers with that status, `/delay/MS` after that many milliseconds.
//!
//! HTTP/1.1 with keep-alive, for one user on one machine: it is no part of the gateway.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// Largest request head that is read, in bytes.
const MAXIMUM_HEAD: usize = 64 * 1024;
/// Bodies up to this many bytes are sent back as text.
const SHOWN_BODY: usize = 4096;
/// How long a connection may say nothing.
const IDLE: Duration = Duration::from_secs(75);
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// Runs on a thread of its own until the process ends.
pub struct Echo(SocketAddr);

impl Echo {
    pub fn start(address: SocketAddr) -> anyhow::Result<Self> {
        let context = || format!("echo upstream on {address}");
        let listener = std::net::TcpListener::bind(address).with_context(context)?;
        listener.set_nonblocking(true).with_context(context)?;
        let bound = listener.local_addr().with_context(context)?;
        std::thread::Builder::new()
            .name("echo".to_owned())
            .spawn(move || run(listener))
            .with_context(context)?;
        Ok(Self(bound))
    }

    pub fn address(&self) -> SocketAddr {
        self.0
    }
}

/// `tollgate echo`: serves until a signal ends the process.
pub fn echo(address: SocketAddr) -> anyhow::Result<()> {
    let context = || format!("echo upstream on {address}");
    let listener = std::net::TcpListener::bind(address).with_context(context)?;
    listener.set_nonblocking(true).with_context(context)?;
    crate::print(&format!("http://{}\n", listener.local_addr().with_context(context)?))?;
    run(listener);
    Ok(())
}

fn run(listener: std::net::TcpListener) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime.and_then(|runtime| runtime.block_on(accept(listener)));
    if let Err(error) = served {
        tracing::error!(%error, "the echo upstream has stopped");
    }
}

async fn accept(listener: std::net::TcpListener) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(async move {
                    if let Err(error) = connection(stream).await {
                        tracing::debug!(%error, "echo connection");
                    }
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: some may be free again soon.
                tracing::warn!(%error, "the echo upstream cannot accept");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    while let Some(head) = read_head(&mut stream, &mut buffer).await? {
        let Some(request) = Request::parse(&head) else {
            return stream
                .write_all(
                    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                )
                .await;
        };
        if request.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
        {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let body = read_body(&mut stream, &mut buffer, &request).await?;
        if let Some(delay) = request.number_after("/delay/") {
            sleep(Duration::from_millis(delay).min(LONGEST_DELAY)).await;
        }
        let keep = request.keeps_alive();
        stream.write_all(&respond(&request, &body, keep)).await?;
        if !keep {
            break;
        }
    }
    stream.shutdown().await
}

struct Request {
    method: String,
    target: String,
    version_1_0: bool,
    headers: Vec<(String, String)>,
}

impl Request {
    fn parse(head: &str) -> Option<Self> {
        let mut lines = head.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        let headers = lines
            .filter(|line| !line.is_empty())
            .map(|line| {
                line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            })
            .collect::<Option<_>>()?;
        Some(Self {
            method: method.to_owned(),
            target: target.to_owned(),
            version_1_0: version == "HTTP/1.0",
            headers,
        })
    }

    fn header(&self, wanted: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.as_str())
    }

    fn keeps_alive(&self) -> bool {
        match self.header("connection") {
            Some(value) if value.eq_ignore_ascii_case("close") => false,
            Some(value) if value.eq_ignore_ascii_case("keep-alive") => true,
            _ => !self.version_1_0,
        }
    }

    fn path_and_query(&self) -> (&str, &str) {
        self.target.split_once('?').unwrap_or((&self.target, ""))
    }

    /// `/delay/250` has 250 after `/delay/`.
    fn number_after(&self, prefix: &str) -> Option<u64> {
        self.path_and_query().0.strip_prefix(prefix)?.parse().ok()
    }
}

struct Body {
    size: usize,
    /// The first bytes of it.
    start: Vec<u8>,
}

impl Body {
    fn take(&mut self, bytes: &[u8]) {
        self.size += bytes.len();
        let room = (SHOWN_BODY + 1).saturating_sub(self.start.len());
        self.start.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

fn respond(request: &Request, body: &Body, keep: bool) -> Vec<u8> {
    let (path, query) = request.path_and_query();
    let mut headers = Map::new();
    for (name, value) in &request.headers {
        match headers.get_mut(name) {
            Some(Value::String(values)) => *values = format!("{values}, {value}"),
            _ => drop(headers.insert(name.clone(), json!(value))),
        }
    }
    let text = std::str::from_utf8(&body.start).ok().filter(|text| text.len() <= SHOWN_BODY);
    let answer = json!({
        "method": request.method,
        "path": path,
        "query": query,
        "headers": headers,
        "body_bytes": body.size,
        "body": text,
    });
    let content = format!("{answer:#}\n");
    let status = request
        .number_after("/status/")
        .filter(|status| (200..=599).contains(status))
        .unwrap_or(200);
    let empty = request.method == "HEAD" || status == 204 || status == 304;
    let mut response = format!("HTTP/1.1 {status} Echo\r\nContent-Type: application/json\r\n");
    if status != 204 {
        response.push_str(&format!("Content-Length: {}\r\n", content.len()));
    }
    response.push_str(if keep { "\r\n" } else { "Connection: close\r\n\r\n" });
    if !empty {
        response.push_str(&content);
    }
    response.into_bytes()
}

/// The next request's head without its last empty line; `None` when the client is done.
async fn read_head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<String>> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = buffer.split_off(end + 4);
            let head = std::mem::replace(buffer, rest);
            return Ok(Some(String::from_utf8_lossy(&head[..end]).into_owned()));
        }
        if buffer.len() > MAXIMUM_HEAD {
            return Err(io::Error::other("the request head is too long"));
        }
        if fill(stream, buffer).await? == 0 {
            return Ok(None);
        }
    }
}

async fn read_body(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    request: &Request,
) -> io::Result<Body> {
    let mut body = Body { size: 0, start: Vec::new() };
    if request
        .header("transfer-encoding")
        .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    {
        loop {
            let line = read_line(stream, buffer).await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16)
                .map_err(|_| io::Error::other("a chunk has no size"))?;
            if size == 0 {
                // Trailers, up to the empty line.
                while !read_line(stream, buffer).await?.is_empty() {}
                return Ok(body);
            }
            read_exactly(stream, buffer, size, &mut body).await?;
            read_line(stream, buffer).await?;
        }
    }
    let length = request.header("content-length").unwrap_or("0").parse();
    let length = length.map_err(|_| io::Error::other("Content-Length is no number"))?;
    read_exactly(stream, buffer, length, &mut body).await?;
    Ok(body)
}

async fn read_exactly(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    mut size: usize,
    body: &mut Body,
) -> io::Result<()> {
    while size > 0 {
        if buffer.is_empty() && fill(stream, buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let taken = size.min(buffer.len());
        body.take(&buffer[..taken]);
        buffer.drain(..taken);
        size -= taken;
    }
    Ok(())
}

async fn read_line(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<String> {
    loop {
        if let Some(end) = buffer.windows(2).position(|window| window == b"\r\n") {
            let line = String::from_utf8_lossy(&buffer[..end]).into_owned();
            buffer.drain(..end + 2);
            return Ok(line);
        }
        if buffer.len() > MAXIMUM_HEAD {
            return Err(io::Error::other("a line is too long"));
        }
        if fill(stream, buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

async fn fill(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<usize> {
    timeout(IDLE, stream.read_buf(buffer))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_request_comes_back_as_json() {
        let answer = ask(
            "POST /pets?x=1 HTTP/1.1\r\nHost: a\r\nX: 1\r\nX: 2\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
        );
        let json: Value = serde_json::from_str(body_of(&answer)).unwrap();
        assert_eq!(json["method"], "POST");
        assert_eq!(json["path"], "/pets");
        assert_eq!(json["query"], "x=1");
        assert_eq!(json["headers"]["X"], "1, 2");
        assert_eq!(json["body_bytes"], 2);
        assert_eq!(json["body"], "hi");
    }

    #[test]
    fn chunks_are_put_together_and_the_connection_is_kept() {
        let answer = ask(
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: 1\r\n\r\n\
             GET /status/418 HTTP/1.1\r\nConnection: close\r\n\r\n",
        );
        assert!(answer.contains("\"body\": \"abcde\""), "{answer}");
        assert!(answer.contains("HTTP/1.1 418 "), "{answer}");
    }

    #[test]
    fn a_large_body_is_counted_but_not_shown() {
        let length = SHOWN_BODY + 1;
        let answer = ask(&format!(
            "POST / HTTP/1.1\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{}",
            "x".repeat(length)
        ));
        let json: Value = serde_json::from_str(body_of(&answer)).unwrap();
        assert_eq!(json["body_bytes"], length);
        assert_eq!(json["body"], Value::Null);
    }

    #[test]
    fn a_head_request_gets_no_body() {
        let answer = ask("HEAD / HTTP/1.1\r\nConnection: close\r\n\r\n");
        assert_eq!(body_of(&answer), "");
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(ask("nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
    }

    fn ask(request: &str) -> String {
        let echo = Echo::start("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut stream = std::net::TcpStream::connect(echo.address()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn body_of(answer: &str) -> &str {
        answer.split_once("\r\n\r\n").unwrap().1
    }
}
