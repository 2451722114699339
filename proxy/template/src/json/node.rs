//! The nodes of a document: small, as most texts have many.

/// Longest text, in bytes: a count of members fits into a node. Reading a longer one takes more
/// than [`crate::limits::MAX_STEPS`].
pub(super) const MAX_TEXT_BYTES: usize = 1 << 27;

/// One part of a text. An array's items follow it, an object's members as a key and a value each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// Where it is in the text, in bytes; a string without its quotes.
    pub(super) start: u32,
    pub(super) end: u32,
    /// The node after this one and all within it.
    pub(super) next: u32,
    /// Kind, flags and count.
    tag: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    False,
    True,
    Number,
    String,
    Array,
    Object,
}

/// Positions in the text, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

const KIND: u32 = 0b111;
const CHANGES: u32 = 0b1000;
const IRREGULAR: u32 = 0b1_0000;
const COUNT_SHIFT: u32 = 5;

impl Node {
    /// A plain node that the writer writes as it stands, empty if it is an array or object.
    /// Positions are at most [`MAX_TEXT_BYTES`].
    #[inline(always)]
    pub(super) fn new(kind: Kind, start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32, next: 0, tag: kind as u32 }
    }

    /// A string with escapes.
    pub(super) fn escaped(mut self, verbatim: bool) -> Self {
        self.tag |= IRREGULAR;
        self.written_anew(!verbatim)
    }

    /// Whether the writer would write it in another way.
    #[inline(always)]
    pub(super) fn written_anew(mut self, anew: bool) -> Self {
        self.tag |= CHANGES * u32::from(anew);
        self
    }

    #[inline(always)]
    pub(super) fn followed_by(self, next: u32) -> Self {
        Self { next, ..self }
    }

    /// Ends an array or object.
    #[inline(always)]
    pub(super) fn close(&mut self, end: usize, next: u32, count: u32, plain: bool, verbatim: bool) {
        self.end = end as u32;
        self.next = next;
        self.tag |= count << COUNT_SHIFT;
        self.tag |= IRREGULAR * u32::from(!plain);
        self.tag |= CHANGES * u32::from(!verbatim);
    }

    #[inline(always)]
    pub(super) fn kind(self) -> Kind {
        match self.tag & KIND {
            0 => Kind::Null,
            1 => Kind::False,
            2 => Kind::True,
            3 => Kind::Number,
            4 => Kind::String,
            5 => Kind::Array,
            _ => Kind::Object,
        }
    }

    /// Items or members as they stand in the text.
    #[inline(always)]
    pub(super) fn count(self) -> u32 {
        self.tag >> COUNT_SHIFT
    }

    /// In bytes.
    #[inline(always)]
    pub(super) fn length(self) -> u32 {
        self.end - self.start
    }

    /// Whether the writer would write just what the text has. Of an array or object: except for
    /// the blemishes within.
    #[inline(always)]
    pub(super) fn is_verbatim(self) -> bool {
        self.tag & CHANGES == 0
    }

    /// A string without escapes; an object without keys that have some, or that come twice.
    #[inline(always)]
    pub(super) fn is_plain(self) -> bool {
        self.tag & IRREGULAR == 0
    }

    /// A plain object of so many members at most.
    #[inline(always)]
    pub(super) fn is_plain_object(self, most: u32) -> bool {
        self.tag & (KIND | IRREGULAR) == Kind::Object as u32 && self.count() <= most
    }
}
