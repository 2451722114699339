//! Java's regular expressions: `matches`, `replaceAll`, `replaceFirst`, `split`.
//!
//! [`translate`] rewrites a pattern for Rust's engines and tells its [`size`]. [`linear`] searches
//! where nothing makes the engine go back, with [`set`] for the simplest patterns, and
//! [`backtracking`] elsewhere, all charging their [`work`]. [`replacement`] reads the text that replaces. Compiled patterns are kept for the
//! thread's next call: templates use the same few for each request. [`whole`] has the selection
//! patterns of integration responses, which are compiled with a deployment.

mod translate;
mod class;
mod escape;
mod property;
mod replacement;
mod size;
mod work;
mod linear;
mod set;
mod backtracking;
mod whole;

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use smallvec::SmallVec;

use self::backtracking::Backtracking;
use self::linear::Linear;
use self::replacement::Replacement;
use self::set::Set;
use self::translate::Translation;
use self::work::Work;
use super::utf16::slice;
use super::{MethodError, Outcome, made, null_pointer, scan};
use crate::limits::Budget;
use crate::value::{ListKind, Text, Value};

pub use self::whole::{JavaPattern, JavaPatternError};

/// Longest pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 10_000;

/// Compiled patterns kept by each thread.
const KEPT_PATTERNS: usize = 32;

/// Largest pattern, as [`size::Size::parts`].
const MAX_PARTS: u64 = 20_000;

/// Ends of lines, for Java.
const LINE_ENDS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];

/// A pattern ready to search.
struct Pattern {
    matcher: Matcher,
    /// Capturing groups besides the whole match.
    groups: usize,
    names: Vec<(String, usize)>,
}

enum Matcher {
    /// A pattern that is only text.
    Literal(String),
    /// One set of characters, anywhere in the text.
    Set(Box<Set>),
    Linear(Box<Linear>),
    Backtracking(Box<Backtracking>),
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
        _ => search.next(false, budget)?.is_some(),
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
    if let [byte] = pattern.as_bytes()
        && is_literal(*byte)
    {
        scan(whole.len(), budget)?;
        let mut places = memchr::memchr_iter(*byte, whole.as_bytes());
        return parts(text, limit, budget, |_| Ok(places.next().map(|at| at..at + 1)));
    }
    let pattern = Pattern::kept(pattern, whole, false, budget)?;
    let mut search = Search::new(&pattern, whole, budget)?;
    parts(text, limit, budget, |budget| {
        Ok(search.next(false, budget)?.and_then(|groups| groups.into_iter().next().flatten()))
    })
}

/// Whether a character by itself is no pattern, but text.
fn is_literal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" !\"#%&',-/:;<=>@_`~".contains(&byte)
}

/// What lies between matches.
fn parts<'t>(
    text: &Text<'t>,
    limit: i32,
    budget: &mut Budget,
    mut next: impl FnMut(&mut Budget) -> Result<Option<Range<usize>>, MethodError>,
) -> Outcome<'t> {
    let whole = text.as_str();
    let wanted = usize::try_from(limit).ok().filter(|limit| *limit > 0);
    let mut parts: Vec<Value<'t>> = Vec::new();
    let mut start = 0;
    while wanted.is_none_or(|wanted| parts.len() + 1 < wanted) {
        let Some(found) = next(budget)? else { break };
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
        let compiled = Rc::new(Self::compile(pattern, purpose, budget)?);
        KEPT.with_borrow_mut(|kept| {
            kept.truncate(KEPT_PATTERNS - 1);
            kept.insert(0, (pattern.into(), purpose, Rc::clone(&compiled)));
        });
        Ok(compiled)
    }

    fn compile(pattern: &str, purpose: Purpose, budget: &mut Budget) -> Result<Self, MethodError> {
        if pattern.len() > MAX_PATTERN_BYTES {
            return syntax(pattern, "Pattern too large");
        }
        let translation = match translate::translate(pattern, purpose.final_line_end) {
            Ok(translation) => translation,
            Err(message) => return syntax(pattern, &message),
        };
        let Translation { regex, literal, is_set, groups, names, backtracks, size, reach } =
            translation;
        let matcher = match literal {
            Some(literal) => Matcher::Literal(literal),
            None => {
                let regex = if purpose.whole { format!(r"\A(?:{regex})\z") } else { regex };
                if size.parts > MAX_PARTS {
                    return syntax(pattern, "Pattern too large");
                }
                budget.steps(steps_of_compiling(size.parts))?;
                let compiled = if backtracks {
                    Backtracking::compile(regex, reach, size)
                        .map(|compiled| Matcher::Backtracking(Box::new(compiled)))
                } else {
                    Linear::compile(&regex, size.places()).map(|compiled| {
                        if is_set && !purpose.whole {
                            Matcher::Set(Box::new(Set::new(compiled)))
                        } else {
                            Matcher::Linear(Box::new(compiled))
                        }
                    })
                };
                match compiled {
                    Ok(compiled) => compiled,
                    Err(message) => return syntax(pattern, &message),
                }
            }
        };
        Ok(Self { matcher, groups, names })
    }
}

fn steps_of_compiling(parts: u64) -> u64 {
    200 + parts.saturating_mul(10)
}

fn syntax<T>(pattern: &str, message: &str) -> Result<T, MethodError> {
    let shown: String = pattern.chars().take(200).collect();
    Err(MethodError::thrown(format!(
        "java.util.regex.PatternSyntaxException: {message} in pattern {shown}"
    )))
}

/// Finds match after match, as Java's `Matcher.find()`.
struct Search<'s> {
    pattern: &'s Pattern,
    text: &'s str,
    /// Where the next search starts; `None` behind the end.
    from: Option<usize>,
    work: Work,
    /// Of a backtracking pattern's going back once.
    work_of_return: usize,
}

impl<'s> Search<'s> {
    fn new(pattern: &'s Pattern, text: &'s str, budget: &mut Budget) -> Result<Self, MethodError> {
        scan(text.len(), budget)?;
        let mut work = Work::default();
        let work_of_return = match &pattern.matcher {
            Matcher::Backtracking(engine) => engine.work_of_return(text, &mut work, budget)?,
            _ => 0,
        };
        Ok(Self { pattern, text, from: Some(0), work, work_of_return })
    }

    fn next(
        &mut self,
        wants_groups: bool,
        budget: &mut Budget,
    ) -> Result<Option<Groups>, MethodError> {
        let Some(from) = self.from else { return Ok(None) };
        let groups = match &self.pattern.matcher {
            Matcher::Literal(literal) => {
                self.work.spend(literal.len(), budget)?;
                find_literal(literal, self.text, from)
            }
            Matcher::Set(set) => set.find(self.text, from, &mut self.work, budget)?,
            Matcher::Linear(engine) => {
                engine.find(self.text, from, wants_groups, &mut self.work, budget)?
            }
            Matcher::Backtracking(engine) => engine.find(
                self.text,
                from,
                wants_groups,
                self.work_of_return,
                &mut self.work,
                budget,
            )?,
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
}

fn find_literal(literal: &str, text: &str, from: usize) -> Option<Groups> {
    let rest = text.as_bytes().get(from..)?;
    let start = from + memchr::memmem::find(rest, literal.as_bytes())?;
    let mut groups = Groups::new();
    groups.push(Some(start..start + literal.len()));
    Some(groups)
}
