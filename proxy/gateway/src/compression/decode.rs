//! From coded bytes to plain ones, a bounded step at a time.

use flate2::{Decompress, FlushDecompress, Status};

use super::Coding;

/// Room for the bytes that one step gives.
const STEP: usize = 64 * 1024;
/// A gzip body may be several gzip files in a row (RFC 1952 §2.2), as block compressors write
/// them. Each costs more to begin than the 20 bytes of an empty one cost to send.
const MAXIMUM_MEMBERS: u32 = 1024;
/// The largest window of deflate, as a power of two.
const WINDOW_BITS: u8 = 15;

/// A body is not what its `Content-Encoding` says: 415.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the body is not {0}")]
    Malformed(&'static str),
    #[error("the {0} body breaks off")]
    Truncated(&'static str),
    #[error("bytes follow the end of the {0} body")]
    TrailingData(&'static str),
    #[error("the gzip body has more than {MAXIMUM_MEMBERS} members")]
    TooManyMembers,
}

/// Decodes one body.
pub(super) struct Decoder {
    coding: Coding,
    state: State,
    members: u32,
}

enum State {
    /// Nothing has come yet.
    Start,
    Inside(Decompress),
    /// The last byte read was the last of a stream.
    Ended,
}

/// What a step did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// Bytes of the input that were used.
    pub consumed: usize,
    /// There is more to come from what was used: the next step needs no input.
    pub more: bool,
}

impl Decoder {
    pub(super) fn new(coding: Coding) -> Self {
        Self { coding, state: State::Start, members: 0 }
    }

    /// Appends what `input` gives to `out`, up to the room there is, but at least [`STEP`]
    /// bytes. To be called again with the rest of the input until all is used and nothing more
    /// comes.
    pub(super) fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Step, DecodeError> {
        out.reserve(STEP);
        let name = self.coding.name();
        let mut consumed = 0;
        loop {
            let rest = input.get(consumed..).unwrap_or_default();
            let inflate = match &mut self.state {
                State::Inside(inflate) => inflate,
                State::Start | State::Ended => {
                    let Some(first) = rest.first() else {
                        return Ok(Step { consumed, more: false });
                    };
                    self.begin(*first)?;
                    continue;
                }
            };
            let (total_in, total_out) = (inflate.total_in(), inflate.total_out());
            let status = inflate.decompress_vec(rest, out, FlushDecompress::None);
            // Neither can exceed the slices that were given.
            let used = (inflate.total_in() - total_in) as usize;
            let gave = (inflate.total_out() - total_out) as usize;
            consumed += used;
            match status.map_err(|_| DecodeError::Malformed(name))? {
                Status::StreamEnd => self.state = State::Ended,
                Status::Ok | Status::BufError if out.len() == out.capacity() => {
                    return Ok(Step { consumed, more: true });
                }
                Status::Ok | Status::BufError if consumed >= input.len() => {
                    return Ok(Step { consumed, more: false });
                }
                Status::Ok | Status::BufError if used == 0 && gave == 0 => {
                    return Err(DecodeError::Malformed(name));
                }
                Status::Ok | Status::BufError => {}
            }
        }
    }

    /// Begins the stream whose first byte is there.
    fn begin(&mut self, first: u8) -> Result<(), DecodeError> {
        let inflate = match (self.coding, &self.state) {
            (Coding::Gzip, _) if self.members == MAXIMUM_MEMBERS => {
                return Err(DecodeError::TooManyMembers);
            }
            (Coding::Gzip, _) => Decompress::new_gzip(WINDOW_BITS),
            (Coding::Deflate, State::Ended) => {
                return Err(DecodeError::TrailingData(self.coding.name()));
            }
            // zlib names its method, 8, in the low half of its first byte. In bare deflate that
            // would be a stored block with a bit set that is padding, which nobody writes.
            (Coding::Deflate, _) => Decompress::new(first & 0x0f == 8),
        };
        self.members += 1;
        self.state = State::Inside(inflate);
        Ok(())
    }

    /// Checks that the body was whole. No byte at all is an empty body, as of a GET that names a
    /// coding.
    pub(super) fn finish(&self) -> Result<(), DecodeError> {
        match self.state {
            State::Start | State::Ended => Ok(()),
            State::Inside(_) => Err(DecodeError::Truncated(self.coding.name())),
        }
    }
}
