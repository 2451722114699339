//! Health checks and metrics on the management address.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Duration;

use crate::core::Core;
use crate::head::RequestHead;
use crate::http1::parse::{self, HeadBounds, HeadScanner};

/// A whole exchange on this address.
const TIMEOUT: Duration = Duration::from_secs(10);
const MAXIMUM_HEAD: usize = 8 * 1024;
const MAXIMUM_CONNECTIONS: usize = 64;

/// What the management address tells about.
pub struct Management {
    pub core: Arc<Core>,
    /// Something has been published.
    pub published: Arc<AtomicBool>,
    /// Signals are handled, so that a reload or an upgrade may be asked for.
    pub running: Arc<AtomicBool>,
}

impl Management {
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let connections = Arc::new(Semaphore::new(MAXIMUM_CONNECTIONS));
        loop {
            let Ok(permit) = connections.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let management = self.clone();
                    tokio::spawn(async move {
                        let _ = tokio::time::timeout(TIMEOUT, management.answer(stream)).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "management address: accept failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let Some((head, _)) = read_head(&mut stream).await? else { return Ok(()) };
        let (status, content_type, body) = self.response(&head);
        let response = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
             Cache-Control: no-store\r\nConnection: close\r\n\r\n",
            body.len(),
        );
        stream.write_all(response.as_bytes()).await?;
        if head.method() != b"HEAD" {
            stream.write_all(body.as_bytes()).await?;
        }
        stream.shutdown().await
    }

    fn response(&self, head: &RequestHead) -> (&'static str, &'static str, String) {
        const TEXT: &str = "text/plain; charset=utf-8";
        if !matches!(head.method(), b"GET" | b"HEAD") {
            return ("405 Method Not Allowed", TEXT, "only GET and HEAD\n".into());
        }
        match head.path() {
            b"/healthz" => ("200 OK", TEXT, "ok\n".into()),
            b"/readyz" if self.core.drain.is_draining() => {
                ("503 Service Unavailable", TEXT, "draining\n".into())
            }
            b"/readyz" if !self.is_ready() => {
                ("503 Service Unavailable", TEXT, "nothing is served yet\n".into())
            }
            b"/readyz" => ("200 OK", TEXT, self.ready()),
            b"/metrics" => {
                ("200 OK", "text/plain; version=0.0.4; charset=utf-8", self.core.metrics.encode())
            }
            _ => ("404 Not Found", TEXT, "here are /healthz, /readyz and /metrics\n".into()),
        }
    }
}

impl Management {
    /// Also says where sources are throttled, and why not in the driver.
    fn ready(&self) -> String {
        match self.core.sources.status() {
            Some(status) => format!("ready\nsource throttle: {status}\n"),
            None => "ready\n".to_owned(),
        }
    }

    fn is_ready(&self) -> bool {
        self.published.load(Ordering::Relaxed) && self.running.load(Ordering::Relaxed)
    }
}

/// A request's head, and what came after it; none if it is no request.
pub(crate) async fn read_head(
    stream: &mut (impl AsyncRead + Unpin),
) -> std::io::Result<Option<(RequestHead, Vec<u8>)>> {
    let mut head = RequestHead::default();
    let mut scanner = HeadScanner::default();
    loop {
        match scanner.find_end(&head.bytes) {
            Ok(Some(length)) => {
                let bounds = HeadBounds { url: MAXIMUM_HEAD, fields: 100 };
                let rest = head.bytes[length..].to_vec();
                let parsed = parse::request(&mut head, length, bounds);
                return Ok(parsed.is_ok().then_some((head, rest)));
            }
            Ok(None) if head.bytes.len() < MAXIMUM_HEAD => {}
            _ => return Ok(None),
        }
        if stream.read_buf(&mut head.bytes).await? == 0 {
            return Ok(None);
        }
    }
}
