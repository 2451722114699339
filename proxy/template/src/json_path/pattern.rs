//! Regular expressions of filters.

use fancy_regex::{Regex, RegexBuilder};

use crate::limits::{LimitExceeded, MAX_REGEX_BACKTRACKING};

/// A regular expression that must match all of a text.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    source: Box<str>,
    regex: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Pattern {
    pub(super) fn new(source: &str, flags: &str) -> Result<Self, String> {
        if let Some(flag) = flags.chars().find(|flag| !"dimsuxU".contains(*flag)) {
            return Err(format!("a regular expression has no flag {flag}"));
        }
        let flags: String = flags.chars().filter(|flag| "imsx".contains(*flag)).collect();
        let whole = if flags.is_empty() {
            format!(r"\A(?:{source})\z")
        } else {
            format!(r"\A(?{flags}:{source})\z")
        };
        let regex = RegexBuilder::new(&whole)
            .backtrack_limit(MAX_REGEX_BACKTRACKING)
            .delegate_size_limit(1 << 20)
            .build()
            .map_err(|error| format!("the regular expression is wrong ({error})"))?;
        Ok(Self { source: whole.into(), regex })
    }

    pub(super) fn matches(&self, text: &str) -> Result<bool, LimitExceeded> {
        self.regex.is_match(text).map_err(|_| LimitExceeded::RegexBacktracking)
    }
}
