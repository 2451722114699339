//! One request to an upstream and its response, over HTTP/1.1 or HTTP/2.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use pingora_core::protocols::{ALPN, Stream};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadHalf, WriteHalf};

use super::pool::{self, Http1Connection};
use super::{ConnectError, Upstream, Upstreams};
use crate::head::{Framing, RequestHead, ResponseHead};
use crate::http1::body::{BodyDecoder, BodyError, Piece, ReadBuffer, Trailers, write_chunk};
use crate::http1::parse::{self, HeadBounds, HeadError, HeadScanner};
use crate::http2::convert;
use crate::limits::{Limits, MAXIMUM_RESPONSE_HEADERS};

/// Header fields in one response.
const MAXIMUM_RESPONSE_FIELDS: usize = 200;
/// Interim (1xx) responses before the final one.
const MAXIMUM_INTERIM_RESPONSES: usize = 8;
const HEAD_READ: usize = 4 * 1024;

/// Why an upstream gave no usable response.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A reused connection turned out to be closed; nothing of a response had come.
    #[error("connection was closed by the upstream while idle")]
    Stale,
    #[error("connection failed: {0}")]
    Io(#[from] io::Error),
    #[error("malformed response: {0}")]
    Head(#[from] HeadError),
    #[error("HTTP/2: {0}")]
    Http2(h2::Error),
    #[error("the upstream switched protocols, which was not asked for")]
    Switched,
}

impl From<h2::Error> for TransactionError {
    /// A connection that ended, or a stream that was refused unseen, says nothing about the
    /// request: it may be sent again like one that met a closed connection.
    fn from(error: h2::Error) -> Self {
        let refused = error.reason() == Some(h2::Reason::REFUSED_STREAM);
        if refused || error.is_go_away() || error.is_io() {
            Self::Stale
        } else {
            Self::Http2(error)
        }
    }
}

/// A connection ready for one request.
pub enum Transport {
    Http1 { connection: Http1Connection, reused: bool },
    Http2(SendRequest<Bytes>),
}

/// Whether a kept connection will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Take a kept one, keep a new one.
    Yes,
    /// Open a new one, because a kept one failed; keep it.
    Fresh,
    /// Neither take nor keep: the upstream is this request's alone.
    Never,
}

/// Takes an idle connection of the worker, or opens one.
pub async fn acquire(
    upstreams: &Upstreams,
    upstream: &Arc<Upstream>,
    reuse: Reuse,
) -> Result<Transport, TransactionError> {
    if reuse == Reuse::Yes {
        if let Some(connection) = pool::take_http1(upstream.id) {
            return Ok(Transport::Http1 { connection, reused: true });
        }
        if let Some(connection) = pool::http2(upstream.id) {
            match connection.ready().await {
                Ok(connection) => return Ok(Transport::Http2(connection)),
                Err(_) => pool::forget_http2(upstream.id),
            }
        }
    }
    let stream = upstreams.connect(upstream).await?;
    if stream.selected_alpn_proto() == Some(ALPN::H2) {
        let connection = http2_connection(stream).await?;
        if reuse != Reuse::Never {
            let idle = upstreams.idle_timeout;
            pool::put_http2(upstream.id, connection.clone(), idle);
        }
        return Ok(Transport::Http2(connection.ready().await?));
    }
    let connection = Http1Connection { io: stream, buffer: ReadBuffer::default() };
    Ok(Transport::Http1 { connection, reused: false })
}

async fn http2_connection(stream: Stream) -> Result<SendRequest<Bytes>, TransactionError> {
    let (send, connection) = h2::client::Builder::new()
        .enable_push(false)
        .max_header_list_size(MAXIMUM_RESPONSE_HEADERS as u32)
        .initial_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .handshake(stream)
        .await?;
    // Owned by the worker's runtime; it ends when the upstream closes the connection or the
    // last handle is gone.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "HTTP/2 upstream connection ended");
        }
    });
    Ok(send)
}

/// Where the pieces of a request body are written.
pub enum Upload {
    Http1 { io: WriteHalf<Stream>, framing: Framing, out: Vec<u8> },
    Http2(SendStream<Bytes>),
}

impl Upload {
    /// Writes one piece, waiting for the upstream to take it.
    pub async fn write(&mut self, data: &[u8]) -> Result<(), TransactionError> {
        match self {
            Self::Http1 { io, framing, out } => {
                if *framing == Framing::Chunked {
                    write_chunk(data, out);
                    io.write_all(out).await?;
                    out.clear();
                } else if out.is_empty() {
                    io.write_all(data).await?;
                } else {
                    // The head goes out with the first piece.
                    out.extend_from_slice(data);
                    io.write_all(out).await?;
                    out.clear();
                }
                io.flush().await?;
                Ok(())
            }
            Self::Http2(stream) => {
                send_http2_data(stream, Bytes::copy_from_slice(data), false).await?;
                Ok(())
            }
        }
    }

    pub async fn finish(&mut self, trailers: Option<&Trailers>) -> Result<(), TransactionError> {
        match self {
            Self::Http1 { io, framing, out } => {
                if *framing == Framing::Chunked {
                    write_last_chunk(trailers, out);
                }
                io.write_all(out).await?;
                out.clear();
                io.flush().await?;
            }
            Self::Http2(stream) => match trailers {
                Some(trailers) => stream.send_trailers(convert::trailers(trailers))?,
                None => stream.send_data(Bytes::new(), true)?,
            },
        }
        Ok(())
    }
}

/// The end of a chunked body. Trailers that would change framing or routing stay behind
/// (RFC 9110 §6.5.1).
pub fn write_last_chunk(trailers: Option<&Trailers>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    if let Some(trailers) = trailers {
        for field in &trailers.fields {
            if field.known == crate::head::Known::Other {
                out.extend_from_slice(field.name.of(&trailers.bytes));
                out.extend_from_slice(b": ");
                out.extend_from_slice(field.value.of(&trailers.bytes));
                out.extend_from_slice(b"\r\n");
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Sends a piece on an HTTP/2 stream as its window allows; with `end` the stream ends with it.
pub async fn send_http2_data(
    stream: &mut SendStream<Bytes>,
    mut data: Bytes,
    end: bool,
) -> Result<(), h2::Error> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let capacity = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await;
        let Some(capacity) = capacity else {
            return Err(h2::Reason::CANCEL.into());
        };
        let capacity = capacity?;
        let piece = data.split_to(capacity.min(data.len()));
        stream.send_data(piece, end && data.is_empty())?;
    }
    Ok(())
}

/// Where a response comes from.
pub enum Download {
    Http1 { io: Http1Io, buffer: ReadBuffer, reused: bool },
    Http2 { response: ResponseFuture },
}

/// The reading side of an HTTP/1.1 upstream connection.
pub enum Http1Io {
    Whole(Stream),
    /// While a request body is written at the same time.
    Half(ReadHalf<Stream>),
}

impl AsyncRead for Http1Io {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Whole(io) => std::pin::Pin::new(io).poll_read(cx, buf),
            Self::Half(io) => std::pin::Pin::new(io).poll_read(cx, buf),
        }
    }
}

/// A response whose body is still to be read.
pub struct Response {
    pub head: ResponseHead,
    pub body: ResponseBody,
}

pub enum ResponseBody {
    Http1 { io: Http1Io, buffer: ReadBuffer, decoder: BodyDecoder, keep_alive: bool },
    Http2 { stream: RecvStream, piece: Bytes, trailers: Option<Box<Trailers>>, done: bool },
}

/// Sends a whole request at once and starts the wait for its response. `request` is an
/// HTTP/1.1 head of `head_length` bytes followed by the body.
pub async fn send_whole(
    transport: Transport,
    request: &[u8],
    head_length: usize,
) -> Result<Download, TransactionError> {
    match transport {
        Transport::Http1 { mut connection, reused } => {
            let sent = async {
                connection.io.write_all(request).await?;
                connection.io.flush().await
            };
            match sent.await {
                Ok(()) => {}
                Err(error) if reused && pool::was_closed(&error) => {
                    return Err(TransactionError::Stale);
                }
                Err(error) => return Err(error.into()),
            }
            let Http1Connection { io, buffer } = connection;
            Ok(Download::Http1 { io: Http1Io::Whole(io), buffer, reused })
        }
        Transport::Http2(mut connection) => {
            let body = &request[head_length..];
            let request = http2_request(&request[..head_length])?;
            let (response, mut stream) = connection.send_request(request, body.is_empty())?;
            if !body.is_empty() {
                send_http2_data(&mut stream, Bytes::copy_from_slice(body), true).await?;
            }
            Ok(Download::Http2 { response })
        }
    }
}

/// Splits a transport into the two directions of a streamed request.
pub fn split(
    transport: Transport,
    head: Vec<u8>,
    framing: Framing,
) -> Result<(Upload, Download), TransactionError> {
    match transport {
        Transport::Http1 { connection, .. } => {
            let Http1Connection { io, buffer } = connection;
            let (read, write) = tokio::io::split(io);
            let upload = Upload::Http1 { io: write, framing, out: head };
            // A streamed body can't be sent twice, so a closed connection is no reason to retry.
            Ok((upload, Download::Http1 { io: Http1Io::Half(read), buffer, reused: false }))
        }
        Transport::Http2(mut connection) => {
            let (response, stream) = connection.send_request(http2_request(&head)?, false)?;
            Ok((Upload::Http2(stream), Download::Http2 { response }))
        }
    }
}

/// Our own HTTP/1.1 head in HTTP/2's form.
fn http2_request(head: &[u8]) -> Result<http::Request<()>, TransactionError> {
    let mut parsed = RequestHead { bytes: head.to_vec(), ..RequestHead::default() };
    let bounds = HeadBounds { url: usize::MAX, fields: usize::MAX };
    parse::request(&mut parsed, head.len(), bounds)?;
    convert::request(&parsed).map_err(|_| TransactionError::Head(HeadError::FieldValue))
}

impl Download {
    /// Waits for the response's head. Interim responses are read over.
    pub async fn response(self, to_head: bool) -> Result<Response, TransactionError> {
        match self {
            Self::Http1 { io, buffer, reused } => http1_response(io, buffer, reused, to_head).await,
            Self::Http2 { response } => {
                let (parts, stream) = response.await?.into_parts();
                let head = convert::response_head(&parts, to_head, stream.is_end_stream());
                let done = stream.is_end_stream();
                let body =
                    ResponseBody::Http2 { stream, piece: Bytes::new(), trailers: None, done };
                Ok(Response { head, body })
            }
        }
    }
}

async fn http1_response(
    mut io: Http1Io,
    mut buffer: ReadBuffer,
    reused: bool,
    to_head: bool,
) -> Result<Response, TransactionError> {
    let mut head = ResponseHead::default();
    let mut scanner = HeadScanner::default();
    for _ in 0..MAXIMUM_INTERIM_RESPONSES {
        let length = loop {
            let end = scanner.find_end(buffer.unread())?;
            if end.unwrap_or(buffer.unread().len()) > MAXIMUM_RESPONSE_HEADERS {
                return Err(HeadError::TooLarge.into());
            }
            if let Some(length) = end {
                break length;
            }
            let untouched = buffer.is_empty();
            match buffer.fill(&mut io, HEAD_READ).await {
                Ok(0) if reused && untouched => return Err(TransactionError::Stale),
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(_) => {}
                Err(error) if reused && untouched && pool::was_closed(&error) => {
                    return Err(TransactionError::Stale);
                }
                Err(error) => return Err(error.into()),
            }
        };
        buffer.take_head(length, &mut head.bytes);
        parse::response(&mut head, length, MAXIMUM_RESPONSE_FIELDS, to_head)?;
        if head.status == 101 {
            return Err(TransactionError::Switched);
        }
        if head.status >= 200 {
            let decoder = BodyDecoder::new(head.framing);
            let keep_alive = head.keep_alive;
            return Ok(Response {
                head,
                body: ResponseBody::Http1 { io, buffer, decoder, keep_alive },
            });
        }
    }
    Err(HeadError::StatusLine.into())
}

impl ResponseBody {
    /// The next piece, `None` at the end. Cancel safe.
    pub async fn next(&mut self) -> Result<Option<Piece<'_>>, BodyError> {
        match self {
            Self::Http1 { io, buffer, decoder, .. } => decoder.next(io, buffer).await,
            Self::Http2 { stream, piece, trailers, done } => {
                let _ = stream.flow_control().release_capacity(piece.len());
                *piece = Bytes::new();
                match stream.data().await {
                    Some(data) => {
                        *piece = data.map_err(http2_error)?;
                        *done = stream.is_end_stream();
                        Ok(Some(Piece { data: piece, last: *done }))
                    }
                    None => {
                        *done = true;
                        let received = stream.trailers().await.map_err(http2_error)?;
                        *trailers = received.map(|map| Box::new(convert::from_trailers(&map)));
                        Ok(None)
                    }
                }
            }
        }
    }

    pub fn take_trailers(&mut self) -> Option<Box<Trailers>> {
        match self {
            Self::Http1 { decoder, .. } => decoder.take_trailers(),
            Self::Http2 { trailers, .. } => trailers.take(),
        }
    }

    /// Keeps the connection for the worker's next request, if its response was read to the end.
    /// `upload` is the other half of a connection that was split.
    pub fn recycle(self, upstream: &Upstream, upload: Option<Upload>, limits: &Limits) {
        let Self::Http1 { io, buffer, decoder, keep_alive } = self else { return };
        if !keep_alive || !decoder.is_done() {
            return;
        }
        let io = match (io, upload) {
            (Http1Io::Whole(io), _) => io,
            (Http1Io::Half(read), Some(Upload::Http1 { io: write, .. })) => read.unsplit(write),
            (Http1Io::Half(_), _) => return,
        };
        pool::put_http1(
            upstream.id,
            Http1Connection { io, buffer },
            limits.upstream_idle_connections,
            limits.upstream_idle_timeout,
        );
    }
}

pub fn http2_error(error: h2::Error) -> BodyError {
    BodyError::Io(error.into_io().unwrap_or_else(|| io::Error::other("HTTP/2 stream was reset")))
}

/// Whether a request may be sent again when its connection turned out to be closed
/// (RFC 9110 §9.2.2).
pub fn is_idempotent(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"PUT" | b"DELETE" | b"TRACE")
}
