//! Patterns that need no backtracking: their work is counted as it is done.
//!
//! A lazily built automaton finds where the next match ends and tells how far it read, which may
//! be far behind the match. Where the match starts and its groups are then searched in that part
//! of the text only, which the same match must win.

use std::cell::RefCell;

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::meta;
use regex_automata::nfa::thompson;
use regex_automata::{Anchored, Input, MatchKind};

use super::Groups;
use super::work::Work;
use crate::limits::{Budget, LimitExceeded};

/// Memory for a pattern's automaton, in bytes.
const MAX_PROGRAM_BYTES: usize = 1 << 20;

/// Memory for the states an automaton builds while it reads, in bytes.
const STATE_BYTES: usize = 512 * 1024;

/// The same for the search within a match's bounds.
const EXACT_STATE_BYTES: usize = 256 * 1024;

/// Work of a search besides its reading.
pub(super) const WORK_OF_SEARCH: usize = 100;

/// Work of a byte of new states: a state is built from the pattern's parts.
const WORK_OF_STATE_BYTE: usize = 8;

/// Work of a byte of text for each place in the pattern, where states don't help.
const WORK_OF_PLACE: usize = 20;

pub(super) struct Linear {
    forward: DFA,
    cache: RefCell<Cache>,
    exact: meta::Regex,
    /// Places in the pattern that a search may stand at together.
    places: usize,
}

impl Linear {
    pub(super) fn compile(regex: &str, places: usize) -> Result<Self, String> {
        let forward = DFA::builder()
            .configure(
                DFA::config()
                    .match_kind(MatchKind::LeftmostFirst)
                    .cache_capacity(STATE_BYTES)
                    .skip_cache_capacity_check(true)
                    .minimum_cache_clear_count(Some(2))
                    .minimum_bytes_per_state(Some(16))
                    .unicode_word_boundary(true),
            )
            .thompson(thompson::Config::new().nfa_size_limit(Some(MAX_PROGRAM_BYTES)))
            .build(regex)
            .map_err(|error| error.to_string())?;
        let exact = meta::Regex::builder()
            .configure(
                meta::Config::new()
                    .nfa_size_limit(Some(MAX_PROGRAM_BYTES))
                    .onepass_size_limit(Some(MAX_PROGRAM_BYTES))
                    .hybrid_cache_capacity(EXACT_STATE_BYTES),
            )
            .build(regex)
            .map_err(|error| error.to_string())?;
        let cache = RefCell::new(forward.create_cache());
        Ok(Self { forward, cache, exact, places })
    }

    /// The first match that starts at `from` or later.
    pub(super) fn find(
        &self,
        text: &str,
        from: usize,
        wants_groups: bool,
        work: &mut Work,
        budget: &mut Budget,
    ) -> Result<Option<Groups>, LimitExceeded> {
        work.spend(WORK_OF_SEARCH, budget)?;
        let rest = text.len().saturating_sub(from);
        let mut cache = self.cache.borrow_mut();
        let before = Progress::of(&cache);
        let input = Input::new(text).range(from..).anchored(Anchored::No);
        let ended = self.forward.try_search_fwd(&mut cache, &input);
        work.spend(before.work_until(&Progress::of(&cache), rest), budget)?;
        let end = match ended {
            Ok(None) => return Ok(None),
            Ok(Some(end)) => end.offset(),
            // Too many states, or letters beyond ASCII at a word's bounds.
            Err(_) => {
                work.spend(self.without_states(rest), budget)?;
                text.len()
            }
        };
        let within = Input::new(text).range(from..end);
        work.spend((end - from).saturating_mul(2), budget)?;
        let Some(found) = self.exact.find(within.clone()) else { return Ok(None) };
        let mut groups = Groups::new();
        if wants_groups {
            work.spend(self.without_states(found.len()), budget)?;
            let mut captures = self.exact.create_captures();
            self.exact.search_captures(&within.range(found.start()..end), &mut captures);
            groups.extend(captures.iter().map(|group| group.map(|group| group.range())));
        } else {
            groups.push(Some(found.range()));
        }
        Ok(Some(groups))
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.exact.is_match(text)
    }

    fn without_states(&self, bytes: usize) -> usize {
        bytes.saturating_mul(self.places).saturating_mul(WORK_OF_PLACE)
    }
}

/// What the automaton has done since it was made.
struct Progress {
    read: usize,
    state_bytes: usize,
    cleared: usize,
}

impl Progress {
    fn of(cache: &Cache) -> Self {
        Self {
            read: cache.search_total_len(),
            state_bytes: cache.memory_usage(),
            cleared: cache.clear_count(),
        }
    }

    fn work_until(&self, later: &Self, rest: usize) -> usize {
        let cleared = later.cleared.saturating_sub(self.cleared);
        let (read, built) = match cleared {
            0 => (
                later.read.saturating_sub(self.read),
                later.state_bytes.saturating_sub(self.state_bytes),
            ),
            // Counts start anew when states are dropped.
            times => (rest, (times + 1).saturating_mul(STATE_BYTES)),
        };
        // A byte takes a little more than a nanosecond.
        (read / 3).saturating_mul(4).saturating_add(built.saturating_mul(WORK_OF_STATE_BYTE))
    }
}
