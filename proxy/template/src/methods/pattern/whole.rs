//! A pattern outside templates: the selection pattern of an integration response.

use fancy_regex::{Regex, RegexBuilder};

use super::translate::{Translation, translate};
use super::{MAX_PARTS, MAX_PATTERN_BYTES};

/// Largest compiled pattern, in bytes. Patterns of status codes and error messages take a few
/// thousand.
const MAX_COMPILED_BYTES: usize = 1 << 20;

/// How often one match may go back. A step may read on to the end of the text.
const MAX_BACKTRACKING: usize = 10_000;

/// A Java regular expression that a whole text matches or not, as with Java's `matches`.
#[derive(Clone, Debug)]
pub struct JavaPattern(Regex);

/// What of a pattern is wrong or too large.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JavaPatternError(String);

impl JavaPattern {
    /// Compiles a pattern of at most 10,000 bytes.
    pub fn compile(pattern: &str) -> Result<Self, JavaPatternError> {
        let too_large = || JavaPatternError("it is too large".to_owned());
        if pattern.len() > MAX_PATTERN_BYTES {
            return Err(too_large());
        }
        if (pattern.len() - pattern.trim_end_matches('\\').len()) % 2 == 1 {
            // Java calls it an unexpected internal error.
            return Err(JavaPatternError("it ends with a backslash".to_owned()));
        }
        let Translation { regex, size, .. } =
            translate(pattern, false).map_err(JavaPatternError)?;
        if size.parts > MAX_PARTS {
            return Err(too_large());
        }
        let compiled = RegexBuilder::new(&format!(r"\A(?:{regex})\z"))
            .backtrack_limit(MAX_BACKTRACKING)
            .delegate_size_limit(MAX_COMPILED_BYTES)
            .delegate_dfa_size_limit(MAX_COMPILED_BYTES)
            .build();
        // The translation is Rust's syntax by now: what is left to go wrong is the size.
        compiled.map(Self).map_err(|_| too_large())
    }

    /// Whether the whole text matches. One that makes the pattern go back more than 10,000 times
    /// does not.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_text_has_to_match() {
        for (pattern, text, expected) in [
            (r"4\d{2}", "404", true),
            (r"4\d{2}", "4040", false),
            (r"(?!200)\d+", "201", true),
            (r"(?!200)\d+", "200", false),
            (r"^(?!.*Error).*$", "fine", true),
            (r"^(?!.*Error).*$", "An Error", false),
            (r"(4)0\1", "404", true),
            (r"4*+4", "44", false),
            (r"\d+", "٣", false),
            (r".*", "a\nb", false),
            (r"(?s).*", "a\nb", true),
        ] {
            let compiled = JavaPattern::compile(pattern).expect(pattern);
            assert_eq!(compiled.is_match(text), expected, "{pattern} with {text:?}");
        }
    }

    #[test]
    fn a_text_that_makes_the_pattern_go_back_too_often_does_not_match() {
        let pattern = JavaPattern::compile(r"(a|aa)+\1b").expect("a pattern");
        assert!(!pattern.is_match(&"a".repeat(5_000)));
    }

    #[test]
    fn what_is_no_pattern_or_too_large_is_an_error() {
        for pattern in ["(", "4\\", "[a", "(\\d{900}){900}", &"a".repeat(10_001)] {
            assert!(JavaPattern::compile(pattern).is_err(), "{pattern:.20}");
        }
    }
}
