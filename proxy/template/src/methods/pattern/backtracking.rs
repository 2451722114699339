//! Patterns with look-around, back-references or atomic groups.
//!
//! The engine doesn't tell how often it went back. So a search starts with a low bound, and with
//! one four times higher whenever it meets it. A try is charged for half its bound, and for all of
//! it when it meets it, which comes to about twice the work done.

use std::cell::OnceCell;

use fancy_regex::{Error, Regex, RegexBuilder, RuntimeError};

use super::Groups;
use super::linear::Linear;
use super::size::{Reach, Size};
use super::work::Work;
use crate::limits::{Budget, LimitExceeded, MAX_REGEX_BACKTRACKING};
use crate::methods::MethodError;

/// Longest text, in bytes.
const MAX_TEXT_BYTES: usize = 256 * 1024;

/// Memory of each part that the engine leaves to an automaton, in bytes.
const MAX_PART_BYTES: usize = 1 << 18;

/// How often the first try may go back.
const FIRST_BOUND: usize = 16;

const BOUND_GROWTH: usize = 4;

/// Bounds from the first to [`MAX_REGEX_BACKTRACKING`].
const BOUNDS: usize = 8;

const _: () = assert!(FIRST_BOUND * BOUND_GROWTH.pow(BOUNDS as u32 - 1) == MAX_REGEX_BACKTRACKING);

/// Work of going back once, besides what is read before the next time.
const WORK_OF_RETURN: usize = 18;

/// Work of a byte read by an automaton.
const WORK_OF_BYTE: usize = 2;

/// Work of a byte for each place in the pattern, where an automaton without groups can't read it.
const WORK_OF_SLOW_BYTE: usize = 8;

pub(super) struct Backtracking {
    regex: String,
    /// The pattern compiled for each bound, when it is first needed.
    compiled: [OnceCell<Regex>; BOUNDS],
    reach: Reach,
    /// Finds what the pattern's loops may run over.
    runs: Option<Linear>,
    parts: u64,
    places: usize,
}

impl Backtracking {
    pub(super) fn compile(regex: String, reach: Reach, size: Size) -> Result<Self, String> {
        let runs = match &reach.loops {
            Some(loops) if !loops.is_empty() => {
                Some(Linear::compile(&format!("(?:{})+", loops.join("|")), loops.len())?)
            }
            _ => None,
        };
        let own = Self {
            regex,
            compiled: Default::default(),
            reach,
            runs,
            parts: size.parts,
            places: size.places(),
        };
        own.bounded(0)?;
        Ok(own)
    }

    fn bounded(&self, level: usize) -> Result<&Regex, String> {
        let Some(place) = self.compiled.get(level) else { return Err(String::new()) };
        if let Some(regex) = place.get() {
            return Ok(regex);
        }
        let compiled = RegexBuilder::new(&self.regex)
            .backtrack_limit(bound(level))
            .delegate_size_limit(MAX_PART_BYTES)
            .delegate_dfa_size_limit(MAX_PART_BYTES)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(place.get_or_init(|| compiled))
    }

    /// Work of going back once in this text: the engine may then read as far as the pattern's
    /// loops run.
    pub(super) fn work_of_return(
        &self,
        text: &str,
        work: &mut Work,
        budget: &mut Budget,
    ) -> Result<usize, LimitExceeded> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(LimitExceeded::RegexBacktracking);
        }
        let longest = match (&self.runs, &self.reach.loops) {
            (Some(runs), _) => longest_match(runs, text, work, budget)?,
            (None, Some(_)) => 0,
            (None, None) => text.len(),
        };
        let read = longest.saturating_mul(self.reach.loop_count).saturating_add(self.reach.length);
        let read = read.min(text.len());
        let work_of_byte = if self.reach.is_slow {
            self.places.saturating_mul(WORK_OF_SLOW_BYTE)
        } else {
            WORK_OF_BYTE
        };
        Ok(WORK_OF_RETURN + read.saturating_mul(work_of_byte))
    }

    /// The first match that starts at `from` or later.
    pub(super) fn find(
        &self,
        text: &str,
        from: usize,
        wants_groups: bool,
        work_of_return: usize,
        work: &mut Work,
        budget: &mut Budget,
    ) -> Result<Option<Groups>, MethodError> {
        for level in 0..BOUNDS {
            let half = (bound(level) / 2).saturating_mul(work_of_return);
            work.spend(half, budget)?;
            if self.compiled.get(level).is_none_or(|place| place.get().is_none()) {
                budget.steps(super::steps_of_compiling(self.parts))?;
            }
            let regex = self.bounded(level).map_err(refused)?;
            match find_bounded(regex, text, from, wants_groups) {
                Err(Error::RuntimeError(RuntimeError::BacktrackLimitExceeded)) => {
                    work.spend(half, budget)?;
                }
                Err(Error::RuntimeError(RuntimeError::StackOverflow)) => break,
                Err(error) => return Err(refused(error.to_string())),
                Ok(groups) => {
                    let whole = groups.as_ref().and_then(|groups| groups.first()?.clone());
                    if let Some(matched) = whole {
                        // What it could still go back to.
                        work.spend(matched.len().saturating_mul(WORK_OF_RETURN), budget)?;
                    }
                    return Ok(groups);
                }
            }
        }
        Err(LimitExceeded::RegexBacktracking.into())
    }
}

fn bound(level: usize) -> usize {
    FIRST_BOUND << (2 * level)
}

fn refused(message: String) -> MethodError {
    MethodError::thrown(format!("java.util.regex.PatternSyntaxException: {message}"))
}

fn longest_match(
    runs: &Linear,
    text: &str,
    work: &mut Work,
    budget: &mut Budget,
) -> Result<usize, LimitExceeded> {
    let (mut longest, mut from) = (0, 0);
    while let Some(groups) = runs.find(text, from, false, work, budget)? {
        let Some(Some(range)) = groups.into_iter().next() else { break };
        longest = longest.max(range.len());
        from = range.end;
    }
    Ok(longest)
}

fn find_bounded(
    regex: &Regex,
    text: &str,
    from: usize,
    wants_groups: bool,
) -> Result<Option<Groups>, Error> {
    if !wants_groups {
        let found = regex.find_from_pos(text, from)?;
        return Ok(found.map(|found| Groups::from_iter([Some(found.range())])));
    }
    let captures = regex.captures_from_pos(text, from)?;
    Ok(captures.map(|captures| captures.iter().map(|group| Some(group?.range())).collect()))
}
