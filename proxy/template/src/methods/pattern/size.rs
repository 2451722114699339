//! How large a pattern is and how far it may read, gathered while it is translated.

/// Of a character in UTF-8.
const MAX_CHARACTER_BYTES: u64 = 4;

/// What a pattern or a part of it amounts to.
#[derive(Clone, Copy, Default)]
pub(super) struct Size {
    /// Parts of the automaton, with counted repetitions written out.
    pub(super) parts: u64,
    /// Most bytes it takes, loops once.
    pub(super) length: u64,
    /// Loops without an upper count.
    pub(super) loops: u64,
}

impl Size {
    /// A set of characters, or one: beyond ASCII it takes many parts.
    pub(super) fn of_atom(regex: &str) -> Self {
        let parts = if regex.contains(r"\p") || regex.contains(r"\P") {
            400
        } else if regex.starts_with("[^") || regex.contains(r"\x{") || !regex.is_ascii() {
            16
        } else {
            1
        };
        Self { parts, length: MAX_CHARACTER_BYTES, loops: 0 }
    }

    /// Sets and characters, with counted repetitions written out.
    pub(super) fn places(self) -> usize {
        usize::try_from(self.length / MAX_CHARACTER_BYTES + 1).unwrap_or(usize::MAX)
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            parts: self.parts.saturating_add(other.parts),
            length: self.length.saturating_add(other.length),
            loops: self.loops.saturating_add(other.loops),
        }
    }

    pub(super) fn times(self, count: u64) -> Self {
        Self {
            parts: self.parts.saturating_mul(count),
            length: self.length.saturating_mul(count),
            loops: self.loops.saturating_mul(count),
        }
    }
}

/// How far a backtracking pattern may read before it goes back.
pub(super) struct Reach {
    /// Most bytes besides loops.
    pub(super) length: usize,
    /// Loops without an upper count.
    pub(super) loop_count: usize,
    /// The characters such loops run over; `None`: any.
    pub(super) loops: Option<Vec<String>>,
    /// Reading takes more than an automaton's work.
    pub(super) is_slow: bool,
}
