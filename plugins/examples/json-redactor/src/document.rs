//! A document's bytes, and the parts of JSON that have no parts: strings, numbers, words, space.

use std::cell::Cell;
use std::num::NonZero;

use crate::paths::Names;

/// What was read is not JSON; [`Document::invalid_at`] has the place.
#[derive(Debug)]
pub struct Invalid;

/// Where what was read ends, which is never at 0: so a register has room for both.
pub type End = Result<NonZero<usize>, Invalid>;

#[inline(always)]
pub fn end(at: usize) -> End {
    NonZero::new(at).ok_or(Invalid)
}

/// What comes after a value.
pub enum Next {
    /// A value or, in an object, a name: at this place.
    Child(usize),
    /// The end of the object or array: after this place.
    End(usize),
}

/// Deeper documents are refused.
pub const DEEPEST: usize = 128;

pub struct Document<'a> {
    bytes: &'a [u8],
    invalid_at: Cell<usize>,
}

/// More than two short strings and what is around them.
const WINDOW: usize = 64;

const QUOTE_COLON: u32 = u32::from_le_bytes(*b"\":\0\0");
const QUOTE_COLON_QUOTE: u32 = u32::from_le_bytes(*b"\":\"\0");
const QUOTE_BRACE: u32 = u32::from_le_bytes(*b"\"}\0\0");
const QUOTE_COMMA_QUOTE: u32 = u32::from_le_bytes(*b"\",\"\0");

/// Four bytes of a window, the first one lowest.
#[inline(always)]
fn four(window: &[u8; WINDOW], at: usize) -> u32 {
    u32::from_le_bytes(window[at..][..4].try_into().expect("four bytes"))
}

/// As [`Document::plain_length`].
#[inline(always)]
fn plain(window: &[u8; WINDOW], at: usize) -> usize {
    sixteen::plain_length(window[at..].first_chunk().expect("sixteen bytes"))
}

impl<'a> Document<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, invalid_at: Cell::new(0) }
    }

    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Where a function that gave [`Invalid`] found what is not JSON.
    pub fn invalid_at(&self) -> usize {
        self.invalid_at.get()
    }

    #[cold]
    pub fn invalid(&self, at: usize) -> Invalid {
        self.invalid_at.set(at);
        Invalid
    }

    /// 0 after the document's end: no byte of JSON.
    #[inline(always)]
    pub fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    /// Whether these bytes are at `at`.
    #[inline(always)]
    fn has<const N: usize>(&self, at: usize, wanted: &[u8; N]) -> bool {
        self.bytes.get(at..).and_then(|rest| rest.first_chunk()).is_some_and(|it| it == wanted)
    }

    /// Where space ends that may be at `at`.
    #[inline(always)]
    pub fn space(&self, at: usize) -> usize {
        if self.byte(at) > b' ' { at } else { self.after_space(at) }
    }

    #[inline(never)]
    pub fn after_space(&self, mut at: usize) -> usize {
        // One space is the most common.
        if self.byte(at) == b' ' {
            at += 1;
            if self.byte(at) > b' ' {
                return at;
            }
        }
        loop {
            let length = self.space_length(at);
            at += length;
            if length < 16 {
                return at;
            }
        }
    }

    /// Reads a string, from after its first quote.
    #[inline(always)]
    pub fn string(&self, at: usize) -> End {
        let quote = at + self.plain_length(at);
        if self.byte(quote) == b'"' { end(quote + 1) } else { self.long_string(quote) }
    }

    /// The rest of a string, from some place in it.
    #[inline(never)]
    pub fn long_string(&self, mut at: usize) -> End {
        loop {
            let plain = self.plain_length(at);
            at += plain;
            if plain == 16 {
                continue;
            }
            match self.byte(at) {
                b'"' => return end(at + 1),
                b'\\' => at = self.escape(at + 1)?.get(),
                _ => return Err(self.invalid(at)),
            }
        }
    }

    /// After the backslash.
    fn escape(&self, at: usize) -> End {
        match self.byte(at) {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => end(at + 1),
            b'u' if (1..5).all(|digit| self.byte(at + digit).is_ascii_hexdigit()) => end(at + 5),
            _ => Err(self.invalid(at)),
        }
    }

    /// Reads a number, `true`, `false` or `null`.
    #[inline(never)]
    pub fn scalar(&self, at: usize) -> End {
        match self.byte(at) {
            b'-' | b'0'..=b'9' => self.number(at),
            b't' if self.has(at, b"true") => end(at + 4),
            b'f' if self.has(at + 1, b"alse") => end(at + 5),
            b'n' if self.has(at, b"null") => end(at + 4),
            _ => Err(self.invalid(at)),
        }
    }

    #[inline(always)]
    fn number(&self, at: usize) -> End {
        let at = if self.byte(at) == b'-' { at + 1 } else { at };
        let mut at = if self.byte(at) == b'0' { at + 1 } else { self.digits(at)?.get() };
        if self.byte(at) == b'.' {
            at = self.digits(at + 1)?.get();
        }
        if matches!(self.byte(at), b'e' | b'E') {
            let has_sign = matches!(self.byte(at + 1), b'+' | b'-');
            at = self.digits(at + 1 + usize::from(has_sign))?.get();
        }
        end(at)
    }

    #[inline(always)]
    fn digits(&self, begin: usize) -> End {
        let mut at = begin;
        loop {
            let digits = self.digits_length(at);
            at += digits;
            if digits < 16 {
                return if at == begin { Err(self.invalid(at)) } else { end(at) };
            }
        }
    }

    /// Reads a value that is in so many others, whatever is in it.
    #[inline(always)]
    pub fn value(&self, at: usize, depth: usize) -> End {
        match self.byte(at) {
            b'"' => self.string(at + 1),
            b'{' | b'[' => self.container(at, depth),
            _ => self.scalar(at),
        }
    }

    /// Reads an object or array, whatever is in it.
    #[inline(never)]
    pub fn container(&self, at: usize, depth: usize) -> End {
        let is_array = self.byte(at) == b'[';
        let closing = if is_array { b']' } else { b'}' };
        let mut at = match self.inside(at, closing, depth)? {
            Next::Child(at) => at,
            Next::End(at) => return end(at),
        };
        loop {
            if !is_array {
                if self.byte(at) != b'"' {
                    return Err(self.invalid(at));
                }
                at = self.unwanted_texts(at, Names::default());
                if self.byte(at) == b'}' {
                    return end(at + 1);
                }
                let name = self.string(at + 1)?.get();
                at = self.after_colon(name)?.get();
            }
            at = self.value(at, depth + 1)?.get();
            at = match self.next(at, closing)? {
                Next::Child(at) => at,
                Next::End(at) => return end(at),
            };
        }
    }

    /// From an opening brace or bracket, in so many others, to what is inside.
    #[inline(always)]
    pub fn inside(&self, at: usize, closing: u8, depth: usize) -> Result<Next, Invalid> {
        if depth == DEEPEST {
            return Err(self.invalid(at));
        }
        let at = self.space(at + 1);
        Ok(if self.byte(at) == closing { Next::End(at + 1) } else { Next::Child(at) })
    }

    /// From a value's end to what is next.
    #[inline(always)]
    pub fn next(&self, at: usize, closing: u8) -> Result<Next, Invalid> {
        let at = self.space(at);
        match self.byte(at) {
            b',' => Ok(Next::Child(self.space(at + 1))),
            byte if byte == closing => Ok(Next::End(at + 1)),
            _ => Err(self.invalid(at)),
        }
    }

    /// From a name's end to the value.
    #[inline(always)]
    pub fn after_colon(&self, at: usize) -> End {
        let colon = self.space(at);
        match self.byte(colon) {
            b':' => end(self.space(colon + 1)),
            _ => Err(self.invalid(colon)),
        }
    }

    /// Passes by members of an object that are like most: `"name":"text"`, short, without escapes
    /// and with a name that is not wanted, and a comma and a quote or the closing brace right after
    /// them. A quote is at `at`. Gives the place of the first other member, or of the brace.
    ///
    /// So few variables are in use here that all of them have registers.
    #[inline(never)]
    pub fn unwanted_texts(&self, mut at: usize, wanted: Names) -> usize {
        while let Some(window) = self.window(at) {
            let name = plain(window, 1);
            if four(window, 1 + name) & 0xff_ff_ff != QUOTE_COLON_QUOTE
                || wanted.may_have(window[1], window[name], name)
            {
                break;
            }
            let quote = name + 4 + plain(window, name + 4);
            let after = four(window, quote);
            if after & 0xff_ff_ff != QUOTE_COMMA_QUOTE {
                return if after & 0xff_ff == QUOTE_BRACE { at + quote + 1 } else { at };
            }
            at += quote + 2;
        }
        at
    }

    /// The name of the member at `at`, where a quote is, if it is short and without escapes and a
    /// colon follows.
    #[inline(always)]
    pub fn short_name(&self, at: usize) -> Option<&'a [u8]> {
        let window = self.window(at)?;
        let name = plain(window, 1);
        let is_name = four(window, 1 + name) & 0xff_ff == QUOTE_COLON;
        is_name.then(|| &window[1..1 + name])
    }

    #[inline(always)]
    fn window(&self, at: usize) -> Option<&'a [u8; WINDOW]> {
        self.bytes.get(at..)?.first_chunk()
    }

    /// How many of sixteen bytes are before the first quote, backslash or control character, or
    /// the document's end.
    #[inline(always)]
    pub fn plain_length(&self, at: usize) -> usize {
        match self.sixteen(at) {
            Some(bytes) => sixteen::plain_length(bytes),
            None => self.length(at, sixteen::is_plain),
        }
    }

    #[inline(always)]
    fn digits_length(&self, at: usize) -> usize {
        match self.sixteen(at) {
            Some(bytes) => sixteen::digits_length(bytes),
            None => self.length(at, |byte| byte.is_ascii_digit()),
        }
    }

    #[inline(always)]
    fn space_length(&self, at: usize) -> usize {
        match self.sixteen(at) {
            Some(bytes) => sixteen::space_length(bytes),
            None => self.length(at, sixteen::is_space),
        }
    }

    #[inline(always)]
    fn sixteen(&self, at: usize) -> Option<&'a [u8; 16]> {
        self.bytes.get(at..)?.first_chunk()
    }

    /// At the document's end.
    #[inline(never)]
    fn length(&self, at: usize, is_inside: fn(u8) -> bool) -> usize {
        sixteen::length(self.bytes.get(at..).unwrap_or_default(), is_inside)
    }
}

/// How many of sixteen bytes are of a kind, before the first that is not.
mod sixteen {
    pub fn is_plain(byte: u8) -> bool {
        byte >= b' ' && byte != b'"' && byte != b'\\'
    }

    pub fn is_space(byte: u8) -> bool {
        matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
    }

    pub fn length(bytes: &[u8], is_inside: fn(u8) -> bool) -> usize {
        bytes.iter().take_while(|byte| is_inside(**byte)).count()
    }

    #[cfg(target_arch = "wasm32")]
    pub use vector::{digits_length, plain_length, space_length};

    #[cfg(not(target_arch = "wasm32"))]
    pub fn plain_length(bytes: &[u8; 16]) -> usize {
        length(bytes, is_plain)
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub fn digits_length(bytes: &[u8; 16]) -> usize {
        length(bytes, |byte| byte.is_ascii_digit())
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub fn space_length(bytes: &[u8; 16]) -> usize {
        length(bytes, is_space)
    }

    /// All sixteen compared at once.
    #[cfg(target_arch = "wasm32")]
    mod vector {
        use core::arch::wasm32::{
            i8x16_bitmask, i8x16_lt, u8x16_eq, u8x16_gt, u8x16_splat, u8x16_sub, v128, v128_load,
            v128_not, v128_or, v128_xor,
        };

        #[inline(always)]
        fn load(bytes: &[u8; 16]) -> v128 {
            // SAFETY: sixteen bytes are there, and no alignment is asked for.
            unsafe { v128_load(bytes.as_ptr().cast()) }
        }

        /// How many bytes are before the first that is marked.
        #[inline(always)]
        fn before(marks: v128) -> usize {
            (u32::from(i8x16_bitmask(marks)) | 1 << 16).trailing_zeros() as usize
        }

        #[inline(always)]
        pub fn plain_length(bytes: &[u8; 16]) -> usize {
            let bytes = load(bytes);
            // With one bit flipped a quote comes right after the control characters, which stay
            // among themselves; with another the order is that of signed numbers, which is cheaper
            // to find.
            let flipped = v128_xor(bytes, u8x16_splat(b'"' ^ b' ' ^ 0x80));
            let quotes_and_controls = i8x16_lt(flipped, u8x16_splat((b' ' + 1) ^ 0x80));
            before(v128_or(quotes_and_controls, u8x16_eq(bytes, u8x16_splat(b'\\'))))
        }

        #[inline(always)]
        pub fn digits_length(bytes: &[u8; 16]) -> usize {
            let digits = u8x16_sub(load(bytes), u8x16_splat(b'0'));
            before(u8x16_gt(digits, u8x16_splat(9)))
        }

        #[inline(always)]
        pub fn space_length(bytes: &[u8; 16]) -> usize {
            let bytes = load(bytes);
            let is = |byte| u8x16_eq(bytes, u8x16_splat(byte));
            let (blanks, lines) = (v128_or(is(b' '), is(b'\t')), v128_or(is(b'\n'), is(b'\r')));
            before(v128_not(v128_or(blanks, lines)))
        }
    }
}
