//! Java's regular expressions: `matches`, `replaceAll`, `replaceFirst`, `split`.
//!
//! [`translate`] rewrites a pattern for the `fancy-regex` crate, [`replacement`] reads the text
//! that replaces. Compiled patterns are kept for the thread's next call: templates use the same
//! few for each request.

mod translate;
mod class;
mod escape;
mod property;
mod replacement;

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fancy_regex::{Regex, RegexBuilder, RuntimeError};
use smallvec::SmallVec;

use self::replacement::Replacement;
use self::translate::Translation;
use super::utf16::slice;
use super::{MethodError, Outcome, made, null_pointer, scan};
use crate::limits::{Budget, LimitExceeded, MAX_REGEX_BACKTRACKING};
use crate::value::{ListKind, Text, Value};

/// Longest pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 10_000;

/// Compiled patterns kept by each thread.
const KEPT_PATTERNS: usize = 32;

/// Memory of one compiled pattern, in bytes.
const MAX_COMPILED_BYTES: usize = 1 << 20;

/// Longest text for a pattern with look-around or back-references, whose single steps may read
/// all of it.
const MAX_BACKTRACKED_BYTES: usize = 1 << 20;

/// All matches of one call together: each may read on to the text's end.
const MAX_TIME: Duration = Duration::from_secs(2);

/// Ends of lines, for Java.
const LINE_ENDS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];

/// A pattern ready to search.
struct Pattern {
    matcher: Matcher,
    /// Capturing groups besides the whole match.
    groups: usize,
    names: Vec<(String, usize)>,
    backtracks: bool,
}

enum Matcher {
    /// A pattern that is only text.
    Literal(String),
    Regex(Box<Regex>),
}

/// What a pattern was compiled for.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Purpose {
    /// The whole text must match.
    whole: bool,
    /// The text ends with a line's end, before which `$` matches too.
    final_line_end: bool,
}

/// The whole match and its groups.
type Groups = SmallVec<[Option<Range<usize>>; 4]>;

/// Patterns compiled before, the last used first.
type Kept = Vec<(Box<str>, Purpose, Rc<Pattern>)>;

thread_local! {
    static KEPT: RefCell<Kept> = const { RefCell::new(Vec::new()) };
}

/// `text.matches(pattern)`
pub(super) fn matches(text: &str, pattern: &str, budget: &mut Budget) -> Result<bool, MethodError> {
    let pattern = Pattern::kept(pattern, text, true, budget)?;
    let mut search = Search::new(&pattern, text, budget)?;
    Ok(match &pattern.matcher {
        Matcher::Literal(literal) => literal == text,
        Matcher::Regex(_) => search.next(false, budget)?.is_some(),
    })
}

/// `text.replaceAll(pattern, replacement)`, or `replaceFirst`. A replacement of null shows only
/// when there is something to replace.
pub(super) fn replace<'t>(
    text: &Text<'t>,
    pattern: &str,
    replacement: Option<&str>,
    all: bool,
    budget: &mut Budget,
) -> Result<Text<'t>, MethodError> {
    let whole = text.as_str();
    let pattern = Pattern::kept(pattern, whole, false, budget)?;
    let mut search = Search::new(&pattern, whole, budget)?;
    let wants_groups = replacement.is_some_and(|replacement| replacement.contains('$'));
    let Some(mut groups) = search.next(wants_groups, budget)? else { return Ok(text.clone()) };
    let Some(replacement) = replacement else { return null_pointer() };
    // An error in the replacement shows only when there is something to replace.
    let replacement = Replacement::parse(replacement, pattern.groups, &pattern.names)?;
    let mut out = String::with_capacity(whole.len());
    let mut copied = 0;
    while let Some(Some(found)) = groups.first().cloned() {
        out.push_str(whole.get(copied..found.start).unwrap_or(""));
        replacement.append(whole, &groups, &mut out)?;
        copied = found.end;
        if !all {
            break;
        }
        match search.next(wants_groups, budget)? {
            Some(next) => groups = next,
            None => break,
        }
    }
    out.push_str(whole.get(copied..).unwrap_or(""));
    Ok(made(out, budget)?)
}

/// `text.split(pattern, limit)`: a Java array.
pub(super) fn split<'t>(
    text: &Text<'t>,
    pattern: &str,
    limit: i32,
    budget: &mut Budget,
) -> Outcome<'t> {
    let whole = text.as_str();
    let pattern = Pattern::kept(pattern, whole, false, budget)?;
    let mut search = Search::new(&pattern, whole, budget)?;
    let wanted = usize::try_from(limit).ok().filter(|limit| *limit > 0);
    let mut parts: Vec<Value<'t>> = Vec::new();
    let mut start = 0;
    while wanted.is_none_or(|wanted| parts.len() + 1 < wanted) {
        let Some(groups) = search.next(false, budget)? else { break };
        let Some(Some(found)) = groups.into_iter().next() else { break };
        // No empty part before a match of nothing at the start.
        if found.end == 0 {
            continue;
        }
        budget.allocate(size_of::<Value<'_>>())?;
        parts.push(slice(text, start..found.start, budget)?.into());
        start = found.end;
    }
    parts.push(slice(text, start..whole.len(), budget)?.into());
    if limit == 0 && parts.len() > 1 {
        while parts.last().is_some_and(|part| part.as_str() == Some("")) {
            parts.pop();
        }
    }
    Ok(Some(Value::list(ListKind::Array, parts)))
}

impl Pattern {
    /// The compiled pattern for this text, from the thread's last ones if it is there.
    fn kept(
        pattern: &str,
        text: &str,
        whole: bool,
        budget: &mut Budget,
    ) -> Result<Rc<Self>, MethodError> {
        let purpose = Purpose { whole, final_line_end: text.ends_with(LINE_ENDS) };
        let known = KEPT.with_borrow_mut(|kept| {
            let at =
                kept.iter().position(|(text, known, _)| **text == *pattern && *known == purpose)?;
            kept[..=at].rotate_right(1);
            Some(Rc::clone(&kept.first()?.2))
        });
        if let Some(known) = known {
            return Ok(known);
        }
        budget.steps(100 + pattern.len() as u64)?;
        let compiled = Rc::new(Self::compile(pattern, purpose)?);
        KEPT.with_borrow_mut(|kept| {
            kept.truncate(KEPT_PATTERNS - 1);
            kept.insert(0, (pattern.into(), purpose, Rc::clone(&compiled)));
        });
        Ok(compiled)
    }

    fn compile(pattern: &str, purpose: Purpose) -> Result<Self, MethodError> {
        if pattern.len() > MAX_PATTERN_BYTES {
            return syntax(pattern, "Pattern too large");
        }
        let translation = match translate::translate(pattern, purpose.final_line_end) {
            Ok(translation) => translation,
            Err(message) => return syntax(pattern, &message),
        };
        let Translation { regex, literal, groups, names, backtracks } = translation;
        let matcher = match literal {
            Some(literal) => Matcher::Literal(literal),
            None => {
                let regex = if purpose.whole { format!(r"\A(?:{regex})\z") } else { regex };
                let compiled = RegexBuilder::new(&regex)
                    .backtrack_limit(MAX_REGEX_BACKTRACKING)
                    .delegate_size_limit(MAX_COMPILED_BYTES)
                    .delegate_dfa_size_limit(MAX_COMPILED_BYTES)
                    .build();
                match compiled {
                    Ok(compiled) => Matcher::Regex(Box::new(compiled)),
                    Err(error) => return syntax(pattern, &error.to_string()),
                }
            }
        };
        Ok(Self { matcher, groups, names, backtracks })
    }
}

fn syntax<T>(pattern: &str, message: &str) -> Result<T, MethodError> {
    let shown: String = pattern.chars().take(200).collect();
    Err(MethodError::Thrown(format!(
        "java.util.regex.PatternSyntaxException: {message} in pattern {shown}"
    )))
}

/// Finds match after match, as Java's `Matcher.find()`.
struct Search<'s> {
    pattern: &'s Pattern,
    text: &'s str,
    /// Where the next search starts; `None` behind the end.
    from: Option<usize>,
    found: u32,
    started: Option<Instant>,
}

impl<'s> Search<'s> {
    fn new(pattern: &'s Pattern, text: &'s str, budget: &mut Budget) -> Result<Self, MethodError> {
        scan(text.len(), budget)?;
        if pattern.backtracks && text.len() > MAX_BACKTRACKED_BYTES {
            return Err(LimitExceeded::RegexBacktracking.into());
        }
        Ok(Self { pattern, text, from: Some(0), found: 0, started: None })
    }

    fn next(
        &mut self,
        wants_groups: bool,
        budget: &mut Budget,
    ) -> Result<Option<Groups>, MethodError> {
        let Some(from) = self.from else { return Ok(None) };
        self.found += 1;
        if self.found.is_multiple_of(16) {
            budget.steps(1)?;
        }
        let groups = match &self.pattern.matcher {
            Matcher::Literal(literal) => find_literal(literal, self.text, from),
            Matcher::Regex(regex) => {
                self.check_time()?;
                find_regex(regex, self.text, from, wants_groups)?
            }
        };
        self.from = match groups.as_ref().and_then(|groups| groups.first()?.clone()) {
            None => None,
            Some(range) if range.is_empty() => self
                .text
                .get(range.end..)
                .and_then(|rest| rest.chars().next())
                .map(|c| range.end + c.len_utf8()),
            Some(range) => Some(range.end),
        };
        Ok(groups)
    }

    fn check_time(&mut self) -> Result<(), LimitExceeded> {
        // A few matches can't take long.
        if self.found >= 64 && self.found.is_multiple_of(16) {
            let started = *self.started.get_or_insert_with(Instant::now);
            if started.elapsed() > MAX_TIME {
                return Err(LimitExceeded::RegexBacktracking);
            }
        }
        Ok(())
    }
}

fn find_literal(literal: &str, text: &str, from: usize) -> Option<Groups> {
    let rest = text.as_bytes().get(from..)?;
    let start = from + memchr::memmem::find(rest, literal.as_bytes())?;
    let mut groups = Groups::new();
    groups.push(Some(start..start + literal.len()));
    Some(groups)
}

fn find_regex(
    regex: &Regex,
    text: &str,
    from: usize,
    wants_groups: bool,
) -> Result<Option<Groups>, MethodError> {
    if !wants_groups {
        let found = regex.find_from_pos(text, from).map_err(failure)?;
        return Ok(found.map(|found| {
            let mut groups = Groups::new();
            groups.push(Some(found.range()));
            groups
        }));
    }
    let captures = regex.captures_from_pos(text, from).map_err(failure)?;
    Ok(captures.map(|captures| captures.iter().map(|group| Some(group?.range())).collect()))
}

fn failure(error: fancy_regex::Error) -> MethodError {
    match error {
        fancy_regex::Error::RuntimeError(
            RuntimeError::BacktrackLimitExceeded | RuntimeError::StackOverflow,
        ) => LimitExceeded::RegexBacktracking.into(),
        other => MethodError::Thrown(format!("java.util.regex.PatternSyntaxException: {other}")),
    }
}
