//! Patterns that are one set of characters, such as `[^a-z]` or `\s`: found by way of a table in
//! ASCII text, by the engine from the first other character on.

use super::Groups;
use super::linear::{Linear, WORK_OF_SEARCH};
use super::work::Work;
use crate::limits::{Budget, LimitExceeded};

pub(super) struct Set {
    engine: Linear,
    /// By byte: ASCII characters of the set, and all bytes of other characters.
    stops: [bool; 256],
}

impl Set {
    /// `engine` has a pattern that is one set of characters.
    pub(super) fn new(engine: Linear) -> Self {
        let stops = std::array::from_fn(|byte| match u8::try_from(byte) {
            Ok(byte) if byte.is_ascii() => {
                engine.is_match(char::from(byte).encode_utf8(&mut [0; 4]))
            }
            _ => true,
        });
        Self { engine, stops }
    }

    /// Most characters of most texts are in no match: they are looked at eight at a time, which
    /// needs no decision for each.
    fn first_stop(&self, bytes: &[u8]) -> Option<usize> {
        let stops = |byte: &u8| self.stops[usize::from(*byte)];
        let (chunks, _) = bytes.as_chunks::<8>();
        let any = |chunk: &[u8; 8]| chunk.iter().fold(false, |any, byte| any | stops(byte));
        let passed = 8 * chunks.iter().take_while(|chunk| !any(chunk)).count();
        let rest = bytes.get(passed..).unwrap_or_default();
        rest.iter().position(stops).map(|stop| passed + stop)
    }

    /// The first match that starts at `from` or later.
    pub(super) fn find(
        &self,
        text: &str,
        from: usize,
        work: &mut Work,
        budget: &mut Budget,
    ) -> Result<Option<Groups>, LimitExceeded> {
        let rest = text.as_bytes().get(from..).unwrap_or_default();
        let stop = self.first_stop(rest);
        work.spend(WORK_OF_SEARCH + stop.unwrap_or(rest.len()), budget)?;
        let Some(stop) = stop else { return Ok(None) };
        let at = from + stop;
        if !rest[stop].is_ascii() {
            return self.engine.find(text, at, false, work, budget);
        }
        let mut groups = Groups::new();
        groups.push(Some(at..at + 1));
        Ok(Some(groups))
    }
}
