//! Where a message body ends, and the buffer it is read through (RFC 9112 §6, §7).

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::parse::{self, HeadError};
use crate::head::{Field, Framing};
use crate::refusal::Refusal;

/// A chunk-size line with its extensions, in bytes. Extensions are read over and dropped.
const MAXIMUM_CHUNK_LINE: usize = 256;
/// All trailer fields of a message, in bytes and in number.
const MAXIMUM_TRAILERS: usize = 8 * 1024;
const MAXIMUM_TRAILER_FIELDS: usize = 64;
/// How much is read at once while a body streams.
const BODY_READ: usize = 64 * 1024;
/// What an idle connection keeps for its next head.
const IDLE_CAPACITY: usize = 4 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("connection failed while the body was read: {0}")]
    Io(#[from] io::Error),
    #[error("connection closed before the body ended")]
    Truncated,
    #[error("malformed chunked body")]
    Chunk,
    #[error("malformed trailer: {0}")]
    Trailer(#[from] HeadError),
    /// It could be read and is not to go on.
    #[error("{}", .0.log_message())]
    Refused(Box<Refusal>),
}

/// Bytes that were read from a connection and not yet used.
#[derive(Debug, Default)]
pub struct ReadBuffer {
    bytes: Vec<u8>,
    start: usize,
}

impl ReadBuffer {
    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    pub fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.bytes.len());
    }

    /// Moves the first `length` unread bytes into `head`, giving up this buffer's storage for
    /// the head's: nothing is copied but what follows the head.
    pub fn take_head(&mut self, length: usize, head: &mut Vec<u8>) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        head.clear();
        head.extend_from_slice(&self.bytes[length..]);
        std::mem::swap(&mut self.bytes, head);
        head.truncate(length);
    }

    /// Reads once; 0 is the end of the stream. Cancel safe.
    pub async fn fill(
        &mut self,
        io: &mut (impl AsyncRead + Unpin),
        room: usize,
    ) -> io::Result<usize> {
        if self.is_empty() {
            self.bytes.clear();
            self.start = 0;
        } else if self.start > 0 && self.bytes.capacity() - self.bytes.len() < room {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        if self.bytes.capacity() - self.bytes.len() < room {
            self.bytes.reserve(room);
        }
        io.read_buf(&mut self.bytes).await
    }

    /// Gives back what a large message made it grow to.
    pub fn shrink(&mut self) {
        if self.is_empty() && self.bytes.capacity() > IDLE_CAPACITY {
            *self = Self::default();
        }
    }
}

/// Trailer fields after a chunked body.
#[derive(Debug, Default)]
pub struct Trailers {
    pub bytes: Vec<u8>,
    pub fields: Vec<Field>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Done,
    Length(u64),
    UntilClose,
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
}

/// A run of body bytes.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'b> {
    pub data: &'b [u8],
    /// It is known that nothing follows, not even trailers.
    pub last: bool,
}

/// Follows a body to its end.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
    trailers: Option<Box<Trailers>>,
}

enum Step {
    /// The next `length` unread bytes are data.
    Data(usize),
    NeedMore,
    End,
}

impl BodyDecoder {
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkSize,
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, trailers: None }
    }

    /// The whole body has been read.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    pub fn take_trailers(&mut self) -> Option<Box<Trailers>> {
        self.trailers.take()
    }

    /// The next piece of the body, `None` at its end. Cancel safe.
    pub async fn next<'b>(
        &mut self,
        io: &mut (impl AsyncRead + Unpin),
        buffer: &'b mut ReadBuffer,
    ) -> Result<Option<Piece<'b>>, BodyError> {
        loop {
            match self.step(buffer)? {
                Step::Data(length) => {
                    let from = buffer.start;
                    buffer.consume(length);
                    let data = &buffer.bytes[from..from + length];
                    return Ok(Some(Piece { data, last: self.is_done() }));
                }
                Step::End => return Ok(None),
                Step::NeedMore => {
                    if buffer.fill(io, BODY_READ).await? == 0 {
                        if self.state == State::UntilClose {
                            self.state = State::Done;
                            return Ok(None);
                        }
                        return Err(BodyError::Truncated);
                    }
                }
            }
        }
    }

    fn step(&mut self, buffer: &mut ReadBuffer) -> Result<Step, BodyError> {
        loop {
            let unread = buffer.unread();
            match self.state {
                State::Done => return Ok(Step::End),
                _ if unread.is_empty() => return Ok(Step::NeedMore),
                State::UntilClose => return Ok(Step::Data(unread.len())),
                State::Length(left) => {
                    let (count, left) = take(left, unread.len());
                    self.state = if left == 0 { State::Done } else { State::Length(left) };
                    return Ok(Step::Data(count));
                }
                State::ChunkData(left) => {
                    let (count, left) = take(left, unread.len());
                    self.state = if left == 0 { State::ChunkEnd } else { State::ChunkData(left) };
                    return Ok(Step::Data(count));
                }
                State::ChunkEnd => match unread {
                    [b'\r', b'\n', ..] => {
                        buffer.consume(2);
                        self.state = State::ChunkSize;
                    }
                    [b'\r'] => return Ok(Step::NeedMore),
                    _ => return Err(BodyError::Chunk),
                },
                State::ChunkSize => {
                    let Some(line) = line(unread, MAXIMUM_CHUNK_LINE)? else {
                        return Ok(Step::NeedMore);
                    };
                    let size = chunk_size(line)?;
                    let used = line.len() + 2;
                    buffer.consume(used);
                    self.state = if size == 0 { State::Trailers } else { State::ChunkData(size) };
                }
                State::Trailers => {
                    let Some(line) = line(unread, MAXIMUM_TRAILERS)? else {
                        return Ok(Step::NeedMore);
                    };
                    let used = line.len() + 2;
                    if line.is_empty() {
                        self.state = State::Done;
                    } else {
                        self.keep_trailer(&unread[..used])?;
                    }
                    buffer.consume(used);
                }
            }
        }
    }

    fn keep_trailer(&mut self, line: &[u8]) -> Result<(), BodyError> {
        let trailers = self.trailers.get_or_insert_default();
        if trailers.bytes.len() + line.len() > MAXIMUM_TRAILERS
            || trailers.fields.len() == MAXIMUM_TRAILER_FIELDS
        {
            return Err(BodyError::Trailer(HeadError::TooLarge));
        }
        let start = trailers.bytes.len();
        trailers.bytes.extend_from_slice(line);
        let end = trailers.bytes.len() - 2;
        trailers.fields.push(parse::field(&trailers.bytes, start, end)?);
        Ok(())
    }
}

/// How much of `left` is there, and what remains.
fn take(left: u64, available: usize) -> (usize, u64) {
    let count = usize::try_from(left).unwrap_or(usize::MAX).min(available);
    (count, left - count as u64)
}

/// The first line of `bytes` without its CRLF, once it is whole.
fn line(bytes: &[u8], maximum: usize) -> Result<Option<&[u8]>, BodyError> {
    match memchr::memchr(b'\n', &bytes[..bytes.len().min(maximum)]) {
        Some(at) if at > 0 && bytes[at - 1] == b'\r' => Ok(Some(&bytes[..at - 1])),
        Some(_) => Err(BodyError::Chunk),
        None if bytes.len() >= maximum => Err(BodyError::Chunk),
        None => Ok(None),
    }
}

/// `chunk-size [ chunk-ext ]` (RFC 9112 §7.1).
fn chunk_size(line: &[u8]) -> Result<u64, BodyError> {
    let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    // 15 digits stay far from overflow; no body is that long.
    if digits == 0 || digits > 15 {
        return Err(BodyError::Chunk);
    }
    let extension = &line[digits..];
    if !extension.is_empty()
        && (extension[0] != b';' || !extension.iter().all(|byte| parse::is_field_value(*byte)))
    {
        return Err(BodyError::Chunk);
    }
    Ok(line[..digits]
        .iter()
        .fold(0, |size, digit| size * 16 + u64::from((*digit as char).to_digit(16).unwrap_or(0))))
}

/// Writes one chunk; an empty one would end the body, so it is left out.
pub fn write_chunk(data: &[u8], out: &mut Vec<u8>) {
    if data.is_empty() {
        return;
    }
    write_chunk_size(data.len(), out);
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

fn write_chunk_size(size: usize, out: &mut Vec<u8>) {
    let mut started = false;
    for shift in (0..usize::BITS / 4).rev() {
        let digit = size >> (shift * 4) & 0xf;
        started |= digit != 0;
        if started {
            out.push(b"0123456789abcdef"[digit]);
        }
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `text` handed over in pieces of `piece` bytes.
    fn decode(framing: Framing, text: &[u8], piece: usize) -> Result<(Vec<u8>, usize), BodyError> {
        let mut decoder = BodyDecoder::new(framing);
        let mut buffer = ReadBuffer::default();
        let mut reader = tokio_test_reader(text, piece);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut body = Vec::new();
            while let Some(piece) = decoder.next(&mut reader, &mut buffer).await? {
                body.extend_from_slice(piece.data);
            }
            let trailers = decoder.take_trailers().map_or(0, |trailers| trailers.fields.len());
            Ok((body, trailers))
        })
    }

    struct Pieces {
        text: Vec<u8>,
        at: usize,
        piece: usize,
    }

    fn tokio_test_reader(text: &[u8], piece: usize) -> Pieces {
        Pieces { text: text.to_vec(), at: 0, piece }
    }

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            buf: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            let end = self.text.len().min(self.at + self.piece);
            buf.put_slice(&self.text[self.at..end]);
            self.at = end;
            std::task::Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn a_chunked_body_is_the_same_however_it_is_cut() {
        let text = b"4\r\nWiki\r\nA;x=y\r\n0123456789\r\n0\r\nT: v\r\nU: w\r\n\r\nnext";
        for piece in 1..=text.len() {
            let (body, trailers) = decode(Framing::Chunked, text, piece).unwrap();
            assert_eq!(body, b"Wiki0123456789");
            assert_eq!(trailers, 2);
        }
    }

    #[test]
    fn malformed_chunks_are_refused() {
        let table: [&[u8]; 12] = [
            b"g\r\n",
            b"\r\n",
            b"-1\r\n",
            b"0x4\r\nWiki\r\n0\r\n\r\n",
            b" 4\r\nWiki\r\n",
            b"4 \r\nWiki\r\n",
            b"4\nWiki\n",
            b"4\r\nWikiX\r\n",
            b"4\r\nWiki\rX",
            b"4;a\x00\r\nWiki\r\n",
            b"ffffffffffffffff1\r\n",
            b"4\r\nWiki\r\n0\r\nbad trailer\r\n\r\n",
        ];
        for text in table {
            assert!(
                !matches!(decode(Framing::Chunked, text, 3), Ok(_) | Err(BodyError::Truncated)),
                "{}",
                text.escape_ascii()
            );
        }
    }

    #[test]
    fn a_body_that_stops_short_is_truncated() {
        assert!(matches!(decode(Framing::Length(5), b"abc", 2), Err(BodyError::Truncated)));
        assert!(matches!(decode(Framing::Chunked, b"5\r\nab", 2), Err(BodyError::Truncated)));
        assert_eq!(decode(Framing::UntilClose, b"abc", 2).unwrap().0, b"abc");
    }

    #[test]
    fn a_chunk_is_written_in_hexadecimal() {
        let mut out = Vec::new();
        write_chunk(&[b'a'; 0x1a], &mut out);
        assert!(out.starts_with(b"1a\r\naaa"));
        assert!(out.ends_with(b"a\r\n"));
        write_chunk(b"", &mut Vec::new());
    }

    #[test]
    fn taking_a_head_keeps_what_follows_it() {
        let mut buffer = ReadBuffer { bytes: b"xxhead rest".to_vec(), start: 2 };
        let mut head = Vec::new();
        buffer.take_head(5, &mut head);
        assert_eq!((head.as_slice(), buffer.unread()), (&b"head "[..], &b"rest"[..]));
    }
}
