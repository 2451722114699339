//! A limit on HTTP/2 frames that cost the gateway work and bring nobody further.
//!
//! [`FrameBudget`] sits between the TLS (or plain) stream and the HTTP/2 implementation, reads the
//! nine-byte frame headers that pass in both directions, and keeps an account for the connection:
//!
//! | Frame | Account |
//! |---|---|
//! | HEADERS from the client | −1 |
//! | HEADERS to the client (an answer) | +10 |
//! | DATA from the client with content or END_STREAM | 0 |
//! | DATA from the client with neither (empty, or only padding) | −1 |
//! | WINDOW_UPDATE | 0 while our DATA pays for it: 2 for each frame and 1 for each KiB; then −1 |
//! | the first four CONTINUATION of a header block | 0 |
//! | all others: PING, SETTINGS, PRIORITY, RST_STREAM, GOAWAY, PUSH_PROMISE, more CONTINUATION, unknown types | −1 |
//! | time | + the whole budget in a minute, steadily |
//!
//! The account starts full and never holds more than the budget. It is the answer that is paid for,
//! not the request: a client that opens streams and resets them at once (CVE-2023-44487) loses two
//! for each, while one that gets answers may send PING, PRIORITY_UPDATE or RST_STREAM with each of
//! its requests for ever. WINDOW_UPDATE needs its own measure because honest clients send one or two
//! for every DATA frame, and some (Go's) for every 4 KiB; what our own DATA frames have earned is
//! kept up to [`MAXIMUM_WINDOW_UPDATES`].
//!
//! When the account is empty, the wrapper writes GOAWAY(ENHANCE_YOUR_CALM) itself if the outgoing
//! side stands between two frames (an HTTP/2 implementation whose transport has failed no longer
//! can), and this and all later reads fail with [`FrameBudgetExhausted`]. The bytes that went
//! too far are not passed on.
//!
//! Frame contents, stream states and frame sizes are the HTTP/2 implementation's business; here a
//! malformed frame is one of the length it claims. What comes before the first frame, the client's
//! preface of 24 bytes, is passed by unread, so the wrapper must be put in place before the preface
//! is consumed.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What one answer adds.
pub const CREDIT_OF_AN_ANSWER: u32 = 10;
/// The most WINDOW_UPDATE frames that our DATA can have paid for in advance.
pub const MAXIMUM_WINDOW_UPDATES: u32 = 65_536;
/// Time in which an empty account fills.
const REFILL: Duration = Duration::from_secs(60);
/// With frames of 16 KiB, four are 64 KiB of header block, more than any request may have.
const FREE_CONTINUATIONS: u32 = 4;
const PREFACE_LENGTH: u32 = 24;

/// An HTTP/2 server's transport with a budget; see the module.
#[derive(Debug)]
pub struct FrameBudget<S> {
    io: S,
    incoming: FrameReader,
    outgoing: FrameReader,
    account: Account,
    /// Highest stream the client has opened: what GOAWAY names as seen.
    last_stream: u32,
    continuations: u32,
    exhausted: Arc<AtomicBool>,
}

/// Tells whether the budget of a connection is used up, while the HTTP/2 implementation owns the
/// [`FrameBudget`].
#[derive(Clone, Debug)]
pub struct FrameBudgetHandle(Arc<AtomicBool>);

/// The inner error of reads once the budget is used up.
#[derive(Debug, thiserror::Error)]
#[error("too many HTTP/2 frames without progress")]
pub struct FrameBudgetExhausted;

impl FrameBudgetHandle {
    pub fn exhausted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<S> FrameBudget<S> {
    /// Wraps a connection on which the client's preface has not been read yet. `budget` is the number
    /// of frames without progress that the client may send at once, and again every minute.
    pub fn new(io: S, budget: u32) -> (Self, FrameBudgetHandle) {
        let exhausted = Arc::new(AtomicBool::new(false));
        let handle = FrameBudgetHandle(Arc::clone(&exhausted));
        let budget = Self {
            io,
            incoming: FrameReader::after_preface(),
            outgoing: FrameReader::default(),
            account: Account::new(budget, Instant::now()),
            last_stream: 0,
            continuations: 0,
            exhausted,
        };
        (budget, handle)
    }

    fn account_for_incoming(&mut self, bytes: &[u8]) -> Result<(), FrameBudgetExhausted> {
        let Self { incoming, account, last_stream, continuations, .. } = self;
        // One look at the clock for each read, and only for one that costs something.
        let mut now = None;
        let mut charge = |account: &mut Account| {
            let now = *now.get_or_insert_with(Instant::now);
            account.charge(now)
        };
        incoming.read(bytes, |frame| match frame.kind {
            FrameKind::Data if frame.content == 0 && !frame.ends_stream() => charge(account),
            FrameKind::Data => Ok(()),
            FrameKind::Headers => {
                *last_stream = (*last_stream).max(frame.stream);
                *continuations = 0;
                charge(account)
            }
            FrameKind::Continuation if *continuations < FREE_CONTINUATIONS => {
                *continuations += 1;
                Ok(())
            }
            FrameKind::WindowUpdate if account.window_updates > 0 => {
                account.window_updates -= 1;
                Ok(())
            }
            FrameKind::Continuation | FrameKind::WindowUpdate | FrameKind::Other => charge(account),
        })
    }

    fn account_for_outgoing(&mut self, bytes: &[u8]) {
        let account = &mut self.account;
        let read = self.outgoing.read(bytes, |frame| -> Result<(), std::convert::Infallible> {
            match frame.kind {
                FrameKind::Headers => account.credit_answer(),
                FrameKind::Data => account.credit_data(frame.content),
                _ => {}
            }
            Ok(())
        });
        let Ok(()) = read;
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for FrameBudget<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        if !this.exhausted.load(Ordering::Relaxed) {
            ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
            if this.account_for_incoming(buf.filled().get(before..).unwrap_or_default()).is_ok() {
                return Poll::Ready(Ok(()));
            }
            buf.set_filled(before);
            this.exhausted.store(true, Ordering::Relaxed);
            if this.outgoing.is_between_frames() {
                // Best effort: the connection ends either way, and a client that floods may not be reading.
                let goaway = goaway_enhance_your_calm(this.last_stream);
                let _ = Pin::new(&mut this.io).poll_write(cx, &goaway);
                let _ = Pin::new(&mut this.io).poll_flush(cx);
            }
        }
        Poll::Ready(Err(io::Error::other(FrameBudgetExhausted)))
    }
}

/// Once the budget is used up nothing more is written either: it would come after GOAWAY, or in the
/// middle of it.
impl<S: AsyncWrite + Unpin> AsyncWrite for FrameBudget<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.exhausted.load(Ordering::Relaxed) {
            return Poll::Ready(Err(io::Error::other(FrameBudgetExhausted)));
        }
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, buf))?;
        self.account_for_outgoing(&buf[..written.min(buf.len())]);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.exhausted.load(Ordering::Relaxed) {
            return Poll::Ready(Err(io::Error::other(FrameBudgetExhausted)));
        }
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, bufs))?;
        let mut left = written;
        for buf in bufs {
            let taken = left.min(buf.len());
            self.account_for_outgoing(&buf[..taken]);
            left -= taken;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// What the client may still send without progress.
#[derive(Debug)]
struct Account {
    /// The most it holds, in frames.
    cap: u32,
    frames: u32,
    /// Up to when time has been credited.
    credited: Instant,
    /// WINDOW_UPDATE frames that our DATA has paid for.
    window_updates: u32,
}

impl Account {
    fn new(cap: u32, now: Instant) -> Self {
        Self { cap, frames: cap, credited: now, window_updates: 0 }
    }

    fn charge(&mut self, now: Instant) -> Result<(), FrameBudgetExhausted> {
        self.refill(now);
        self.frames = self.frames.checked_sub(1).ok_or(FrameBudgetExhausted)?;
        Ok(())
    }

    /// Credits whole frames only; the rest of the time stays for the next look.
    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.credited);
        let earned = elapsed.as_nanos() * u128::from(self.cap) / REFILL.as_nanos();
        let room = self.cap - self.frames;
        if earned >= u128::from(room) {
            // Full; time with a full account earns nothing.
            self.frames = self.cap;
            self.credited = now;
        } else if earned > 0 {
            self.frames += earned as u32;
            self.credited +=
                Duration::from_nanos((earned * REFILL.as_nanos() / u128::from(self.cap)) as u64);
        }
    }

    fn credit_answer(&mut self) {
        self.frames = self.frames.saturating_add(CREDIT_OF_AN_ANSWER).min(self.cap);
    }

    fn credit_data(&mut self, length: u32) {
        self.window_updates =
            self.window_updates.saturating_add(2 + length / 1024).min(MAXIMUM_WINDOW_UPDATES);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FrameKind {
    Data,
    Headers,
    WindowUpdate,
    Continuation,
    /// All that are accounted for alike.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    kind: FrameKind,
    flags: u8,
    stream: u32,
    /// Bytes of the payload without padding and its length.
    content: u32,
}

impl Frame {
    const END_STREAM: u8 = 0x1;
    const PADDED: u8 = 0x8;

    fn ends_stream(self) -> bool {
        self.flags & Self::END_STREAM != 0
    }
}

/// Finds the frames in a stream of bytes that comes in any pieces.
#[derive(Debug)]
enum FrameReader {
    /// In the header of the next frame, of which so many bytes are here.
    Header { bytes: [u8; 9], filled: usize },
    /// Before the length of the padding of a DATA frame, its first payload byte; `content` still
    /// includes it and the padding.
    PadLength(Frame),
    /// So many bytes (of a payload or the preface) before the next frame.
    Skip(u32),
}

impl Default for FrameReader {
    fn default() -> Self {
        Self::Header { bytes: [0; 9], filled: 0 }
    }
}

impl FrameReader {
    fn after_preface() -> Self {
        Self::Skip(PREFACE_LENGTH)
    }

    fn is_between_frames(&self) -> bool {
        matches!(self, Self::Header { filled: 0, .. })
    }

    /// Calls `found` for each frame as soon as enough of it is here, and stops at its first error.
    fn read<E>(
        &mut self,
        mut input: &[u8],
        mut found: impl FnMut(Frame) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(first) = input.first() {
            match self {
                Self::Skip(left) => {
                    let skipped = input.len().min(*left as usize);
                    input = &input[skipped..];
                    *self = Self::before_payload(*left - skipped as u32);
                }
                Self::PadLength(frame) => {
                    let mut frame = *frame;
                    let after = frame.content.saturating_sub(1);
                    frame.content = after.saturating_sub(u32::from(*first));
                    input = &input[1..];
                    *self = Self::before_payload(after);
                    found(frame)?;
                }
                Self::Header { bytes, filled } => {
                    let taken = input.len().min(bytes.len() - *filled);
                    bytes[*filled..*filled + taken].copy_from_slice(&input[..taken]);
                    *filled += taken;
                    input = &input[taken..];
                    if *filled < bytes.len() {
                        return Ok(());
                    }
                    let frame = Frame::of_header(*bytes);
                    if frame.kind == FrameKind::Data
                        && frame.flags & Frame::PADDED != 0
                        && frame.content > 0
                    {
                        *self = Self::PadLength(frame);
                    } else {
                        *self = Self::before_payload(frame.content);
                        found(frame)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn before_payload(length: u32) -> Self {
        if length == 0 { Self::default() } else { Self::Skip(length) }
    }
}

impl Frame {
    /// RFC 9113 §4.1.
    fn of_header(header: [u8; 9]) -> Self {
        let [l1, l2, l3, kind, flags, s1, s2, s3, s4] = header;
        let kind = match kind {
            0x0 => FrameKind::Data,
            0x1 => FrameKind::Headers,
            0x8 => FrameKind::WindowUpdate,
            0x9 => FrameKind::Continuation,
            _ => FrameKind::Other,
        };
        Self {
            kind,
            flags,
            stream: u32::from_be_bytes([s1 & 0x7f, s2, s3, s4]),
            content: u32::from_be_bytes([0, l1, l2, l3]),
        }
    }
}

/// RFC 9113 §6.8, error code 0xb.
fn goaway_enhance_your_calm(last_stream: u32) -> [u8; 17] {
    let mut frame = [0, 0, 8, 0x7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xb];
    frame[9..13].copy_from_slice(&last_stream.to_be_bytes());
    frame
}

#[cfg(test)]
mod tests;
