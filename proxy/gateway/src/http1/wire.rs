//! The two directions of an exchange on an HTTP/1.1 client connection.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::body::{BodyDecoder, BodyError, Piece, ReadBuffer, Trailers, write_chunk};
use crate::core::Drain;
use crate::exchange::Exchange;
use crate::head::{Framing, Known, ResponseHead, Version};
use crate::identifiers::http_date;
use crate::phases::integration_request::{write_field, write_length};
use crate::phases::integration_response::{Passing, passing};
use crate::proxy::{Sink, SinkError, Source};
use crate::respond::LocalResponse;
use crate::upstream::transaction::write_last_chunk;

/// Pieces up to this size are gathered into one write.
const GATHER: usize = 16 * 1024;

pub struct Http1Source<'a, R> {
    pub io: R,
    pub buffer: &'a mut ReadBuffer,
    pub decoder: &'a mut BodyDecoder,
}

impl<R: AsyncRead + Unpin + Send> Source for Http1Source<'_, R> {
    async fn next(&mut self) -> Result<Option<Piece<'_>>, BodyError> {
        self.decoder.next(&mut self.io, self.buffer).await
    }

    fn take_trailers(&mut self) -> Option<Box<Trailers>> {
        self.decoder.take_trailers()
    }
}

/// What the client's request says about the form of its response.
#[derive(Clone, Copy)]
pub struct ResponseForm {
    pub version: Version,
    pub to_head: bool,
    pub keep_alive: bool,
}

pub struct Http1Sink<'a, W> {
    pub io: W,
    pub out: &'a mut Vec<u8>,
    pub form: ResponseForm,
    pub chunked: bool,
    pub drain: &'a Drain,
}

impl<W: AsyncWrite + Unpin + Send> Sink for Http1Sink<'_, W> {
    async fn begin(
        &mut self,
        exchange: &Exchange,
        response: &ResponseHead,
    ) -> Result<(), SinkError> {
        self.out.clear();
        // Asked now, not when the request came: a drain may have started in between.
        self.form.keep_alive &= !self.drain.is_draining();
        let endless = matches!(response.framing, Framing::Chunked | Framing::UntilClose);
        self.chunked = endless && self.form.version == Version::Http11;
        if endless && !self.chunked {
            self.form.keep_alive = false;
        }
        write_passed_head(exchange, response, self.form, self.chunked, self.out);
        Ok(())
    }

    async fn data(&mut self, piece: Piece<'_>) -> Result<(), SinkError> {
        if self.form.to_head {
            // The upstream was asked with another method: its body has no place here and would
            // be read as the next response.
            return Ok(());
        }
        if self.chunked {
            write_chunk(piece.data, self.out);
        } else if self.out.len() + piece.data.len() <= GATHER {
            self.out.extend_from_slice(piece.data);
        } else {
            self.write_out().await?;
            self.io.write_all(piece.data).await?;
        }
        if self.out.len() > GATHER {
            self.write_out().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), SinkError> {
        self.write_out().await?;
        Ok(self.io.flush().await?)
    }

    async fn finish(&mut self, trailers: Option<&Trailers>) -> Result<(), SinkError> {
        if self.chunked && !self.form.to_head {
            write_last_chunk(trailers, self.out);
        }
        self.flush().await
    }
}

impl<W: AsyncWrite + Unpin> Http1Sink<'_, W> {
    async fn write_out(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            self.io.write_all(self.out).await?;
            self.out.clear();
        }
        Ok(())
    }
}

fn write_passed_head(
    exchange: &Exchange,
    response: &ResponseHead,
    form: ResponseForm,
    chunked: bool,
    out: &mut Vec<u8>,
) {
    write_status(response.status, form.version, out);
    for field in &response.fields {
        let (name, value) = (response.name(field), response.value(field));
        match passing(response, field) {
            Passing::Passes => write_field(name, value, out),
            Passing::Remapped => {
                out.extend_from_slice(b"x-amzn-Remapped-");
                write_field(name, value, out);
            }
            Passing::Dropped => {}
        }
    }
    match response.framing {
        _ if chunked => write_field(b"Transfer-Encoding", b"chunked", out),
        Framing::Length(length) => write_length(length, out),
        Framing::None if form.to_head => {
            if let Some(length) = response.known(Known::ContentLength) {
                write_field(b"Content-Length", length, out);
            }
        }
        Framing::None if response.status != 204 && response.status != 304 => write_length(0, out),
        _ => {}
    }
    write_common(exchange, form, out);
}

/// Writes a whole response of our own.
pub fn write_local(
    exchange: &Exchange,
    response: &LocalResponse,
    form: ResponseForm,
    out: &mut Vec<u8>,
) {
    write_status(response.status, form.version, out);
    let bodiless = matches!(response.status, 100..=199 | 204 | 304);
    for (name, value) in &response.headers {
        if !(bodiless && name.eq_ignore_ascii_case("content-type")) {
            write_field(name.as_bytes(), value, out);
        }
    }
    if !bodiless {
        write_length(response.body.len() as u64, out);
    }
    write_common(exchange, form, out);
    if !bodiless && !form.to_head {
        out.extend_from_slice(&response.body);
    }
}

fn write_status(status: u16, version: Version, out: &mut Vec<u8>) {
    out.extend_from_slice(match version {
        Version::Http10 => b"HTTP/1.0 ",
        _ => b"HTTP/1.1 ",
    });
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    out.push(b' ');
    let reason =
        http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    out.extend_from_slice(reason.unwrap_or("").as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// What every response carries, and the end of its head.
fn write_common(exchange: &Exchange, form: ResponseForm, out: &mut Vec<u8>) {
    write_field(b"Date", &http_date(exchange.started_at.as_secs()), out);
    out.extend_from_slice(b"x-amzn-RequestId: ");
    out.extend_from_slice(&exchange.ids.request_id);
    out.extend_from_slice(b"\r\nx-amz-apigw-id: ");
    out.extend_from_slice(&exchange.ids.extended_request_id);
    out.extend_from_slice(if form.keep_alive {
        b"\r\nConnection: keep-alive\r\n\r\n".as_slice()
    } else {
        b"\r\nConnection: close\r\n\r\n"
    });
}
