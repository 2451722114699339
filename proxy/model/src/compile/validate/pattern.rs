//! Regular expressions of schemas: ECMA 262 (5th edition), found anywhere in the text.
//!
//! They are rewritten for the linear-time engine. Only lookahead and back references need the
//! backtracking one, which gives up after [`BACKTRACK_LIMIT`] steps. Like API Gateway's engine,
//! `\d` and `\w` are ASCII; unlike it, a character outside the basic plane counts as one.

use std::collections::HashMap;
use std::sync::Arc;

/// Tries of the backtracking engine for one text.
const BACKTRACK_LIMIT: usize = 20_000;
/// Compiled bytes of one pattern.
const MAX_COMPILED_BYTES: usize = 16 << 20;
/// Bytes of the automaton that a linear pattern builds while it matches.
const MAX_CACHE_BYTES: usize = 1 << 20;
/// States of one pattern and of all patterns of a deployment, as estimated from their texts:
/// repetitions written out, 12 for a class that reaches beyond ASCII.
const MAX_STATES: u64 = 300_000;
const MAX_ALL_STATES: u64 = 1_000_000;
/// Groups within groups.
const MAX_NESTING: usize = 100;

/// `.`: all but line ends.
const DOT: &str = r"[^\n\r\x{2028}\x{2029}]";
const DIGIT: &[(u32, u32)] = &[(0x30, 0x39)];
const WORD: &[(u32, u32)] = &[(0x30, 0x39), (0x41, 0x5a), (0x5f, 0x5f), (0x61, 0x7a)];
const SPACE: &[(u32, u32)] = &[
    (0x09, 0x0d),
    (0x20, 0x20),
    (0xa0, 0xa0),
    (0x1680, 0x1680),
    (0x2000, 0x200a),
    (0x2028, 0x2029),
    (0x202f, 0x202f),
    (0x205f, 0x205f),
    (0x3000, 0x3000),
    (0xfeff, 0xfeff),
];
const LAST: u32 = 0x10_ffff;
const HIGH_SURROGATES: std::ops::RangeInclusive<u32> = 0xd800..=0xdbff;
const LOW_SURROGATES: std::ops::RangeInclusive<u32> = 0xdc00..=0xdfff;

/// A compiled pattern.
#[derive(Debug)]
pub(super) enum Pattern {
    Linear(regex::Regex),
    Backtracking(fancy_regex::Regex),
}

/// The backtracking engine gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GaveUp;

impl Pattern {
    pub(super) fn is_match(&self, text: &str) -> Result<bool, GaveUp> {
        match self {
            Self::Linear(regex) => Ok(regex.is_match(text)),
            Self::Backtracking(regex) => regex.is_match(text).map_err(|_| GaveUp),
        }
    }

    /// What a match of `text` costs, in steps of a validation.
    pub(super) fn cost(&self, text: &str) -> u64 {
        let by_length = text.len() as u64 / 64;
        match self {
            Self::Linear(_) => 1 + by_length,
            Self::Backtracking(_) => 1_000 + by_length,
        }
    }
}

/// Compiles the patterns of one deployment; the same text is compiled once.
#[derive(Default)]
pub(super) struct Patterns {
    known: HashMap<String, Result<Arc<Pattern>, String>>,
    states: u64,
}

impl Patterns {
    /// The error says what of the pattern can't be done.
    pub(super) fn compile(&mut self, text: &str) -> Result<Arc<Pattern>, String> {
        if let Some(known) = self.known.get(text) {
            return known.clone();
        }
        let compiled = self.compile_new(text);
        self.known.insert(text.to_owned(), compiled.clone());
        compiled
    }

    fn compile_new(&mut self, text: &str) -> Result<Arc<Pattern>, String> {
        let translated = translate(text)?;
        let states = self.states.saturating_add(translated.states);
        if translated.states > MAX_STATES || states > MAX_ALL_STATES {
            return Err("its repetitions are too large".to_owned());
        }
        self.states = states;
        let pattern = if translated.backtracks {
            let built = fancy_regex::RegexBuilder::new(&translated.text)
                .backtrack_limit(BACKTRACK_LIMIT)
                .delegate_size_limit(MAX_COMPILED_BYTES)
                .delegate_dfa_size_limit(MAX_CACHE_BYTES)
                .build();
            Pattern::Backtracking(built.map_err(|error| last_line(&error.to_string()))?)
        } else {
            let built = regex::RegexBuilder::new(&translated.text)
                .size_limit(MAX_COMPILED_BYTES)
                .dfa_size_limit(MAX_CACHE_BYTES)
                .build();
            Pattern::Linear(built.map_err(|error| last_line(&error.to_string()))?)
        };
        Ok(Arc::new(pattern))
    }
}

/// The engines draw the pattern before they say what is wrong.
fn last_line(text: &str) -> String {
    let last = text.lines().last().unwrap_or_default();
    last.trim().trim_start_matches("error: ").to_owned()
}

/// Whether a text has the form of a pattern.
pub(super) fn is_pattern(text: &str) -> bool {
    translate(text).is_ok()
}

struct Translated {
    text: String,
    backtracks: bool,
    states: u64,
}

/// The states of a group so far, and of the last thing in it, which a quantifier repeats.
#[derive(Clone, Copy, Default)]
struct Group {
    states: u64,
    last: u64,
}

struct Translator<'p> {
    rest: std::str::Chars<'p>,
    out: String,
    backtracks: bool,
    outer: Vec<Group>,
    group: Group,
}

fn translate(pattern: &str) -> Result<Translated, String> {
    let mut translator = Translator {
        rest: pattern.chars(),
        out: String::with_capacity(pattern.len() + 16),
        backtracks: false,
        outer: Vec::new(),
        group: Group::default(),
    };
    while let Some(c) = translator.rest.next() {
        translator.term(c)?;
    }
    if !translator.outer.is_empty() {
        return Err("unclosed group".to_owned());
    }
    Ok(Translated {
        text: translator.out,
        backtracks: translator.backtracks,
        states: translator.group.states,
    })
}

impl Translator<'_> {
    fn term(&mut self, c: char) -> Result<(), String> {
        match c {
            '\\' => self.escape()?,
            '[' => self.class()?,
            '.' => self.atom(DOT, 12),
            '(' => self.open()?,
            ')' => {
                let outer = self.outer.pop().ok_or("unopened group")?;
                let inner = std::mem::replace(&mut self.group, outer);
                self.out.push(')');
                self.weigh(inner.states.max(1));
            }
            '*' | '+' | '?' => self.out.push(c),
            '{' => self.braces()?,
            '^' | '$' | '|' => self.out.push(c),
            _ => self.literal(u32::from(c)),
        }
        Ok(())
    }

    fn weigh(&mut self, states: u64) {
        self.group.last = states;
        self.group.states = self.group.states.saturating_add(states);
    }

    fn atom(&mut self, text: &str, states: u64) {
        self.out.push_str(text);
        self.weigh(states);
    }

    fn literal(&mut self, code: u32) {
        self.out.push_str(&format!("\\x{{{code:x}}}"));
        self.weigh(1);
    }

    fn eat(&mut self, text: &str) -> bool {
        match self.rest.as_str().strip_prefix(text) {
            Some(rest) => {
                self.rest = rest.chars();
                true
            }
            None => false,
        }
    }

    fn open(&mut self) -> Result<(), String> {
        if self.outer.len() >= MAX_NESTING {
            return Err("groups are nested too deep".to_owned());
        }
        self.outer.push(std::mem::take(&mut self.group));
        self.out.push('(');
        for look in ["?=", "?!"] {
            if self.eat(look) {
                self.out.push_str(look);
                self.backtracks = true;
                return Ok(());
            }
        }
        if self.eat("?:") {
            self.out.push_str("?:");
        } else if self.rest.as_str().starts_with('?') {
            return Err("ECMA 262 knows only (?:…), (?=…) and (?!…)".to_owned());
        }
        Ok(())
    }

    /// A quantifier, or braces that stand for themselves.
    fn braces(&mut self) -> Result<(), String> {
        let quantifier = self.rest.as_str().split_once('}').and_then(|(bounds, _)| {
            let (least, most) = match bounds.split_once(',') {
                Some((least, most)) => (least, Some(most)),
                None => (bounds, None),
            };
            let number =
                |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse());
            let least: u64 = number(least)?.ok()?;
            let most: u64 = match most {
                None | Some("") => least,
                Some(most) => number(most)?.ok()?,
            };
            Some((bounds, least.max(most)))
        });
        let Some((bounds, times)) = quantifier else {
            self.literal(u32::from('{'));
            return Ok(());
        };
        let repeated = self.group.last.saturating_mul(times.max(1));
        self.group.states = self.group.states.saturating_add(repeated - self.group.last);
        self.group.last = repeated;
        if self.group.states > MAX_STATES {
            return Err("its repetitions are too large".to_owned());
        }
        self.out.push_str(&format!("{{{bounds}}}"));
        self.rest = self.rest.as_str()[bounds.len() + 1..].chars();
        Ok(())
    }

    fn escape(&mut self) -> Result<(), String> {
        let Some(c) = self.rest.next() else { return Err("ends in \\".to_owned()) };
        match c {
            // Inside a lookahead's engine flags can't be set; its \b knows all of Unicode.
            'b' | 'B' if self.backtracks => self.atom(if c == 'b' { r"\b" } else { r"\B" }, 1),
            'b' => self.atom(r"(?-u:\b)", 1),
            // ASCII's \B could match inside a character, which the engine refuses.
            'B' => self.atom(r"\B", 1),
            '1'..='9' => {
                self.backtracks = true;
                let mut number = c.to_string();
                while let Some(digit) =
                    self.rest.as_str().chars().next().filter(char::is_ascii_digit)
                {
                    number.push(digit);
                    self.rest.next();
                }
                self.atom(&format!("(?:\\{number})"), 1);
            }
            _ => match self.class_escape(c)? {
                Item::Set(ranges) => self.set(false, &ranges),
                Item::Character(code) => {
                    let code = self.paired(code)?;
                    self.literal(code);
                }
            },
        }
        Ok(())
    }

    /// A pair of surrogates is one character.
    fn paired(&mut self, code: u32) -> Result<u32, String> {
        if !HIGH_SURROGATES.contains(&code) && !LOW_SURROGATES.contains(&code) {
            return Ok(code);
        }
        if HIGH_SURROGATES.contains(&code) && self.eat("\\u") {
            let low = self.hex(4).filter(|low| LOW_SURROGATES.contains(low));
            if let Some(low) = low {
                return Ok(0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00));
            }
        }
        Err("half of a surrogate pair".to_owned())
    }

    fn hex(&mut self, digits: usize) -> Option<u32> {
        let text = self.rest.as_str().get(..digits)?;
        let code = text
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit())
            .then(|| u32::from_str_radix(text, 16).ok())??;
        self.rest = self.rest.as_str()[digits..].chars();
        Some(code)
    }

    /// What an escape means that is the same in and outside of a class.
    fn class_escape(&mut self, c: char) -> Result<Item, String> {
        let set = |ranges: &[(u32, u32)]| Item::Set(ranges.to_vec());
        Ok(match c {
            'd' => set(DIGIT),
            'w' => set(WORD),
            's' => set(SPACE),
            'D' => Item::Set(complement(DIGIT)),
            'W' => Item::Set(complement(WORD)),
            'S' => Item::Set(complement(SPACE)),
            't' => Item::Character(0x09),
            'n' => Item::Character(0x0a),
            'v' => Item::Character(0x0b),
            'f' => Item::Character(0x0c),
            'r' => Item::Character(0x0d),
            '0' => Item::Character(0),
            'c' => match self.rest.as_str().chars().next() {
                Some(letter) if letter.is_ascii_alphabetic() => {
                    self.rest.next();
                    Item::Character(u32::from(letter) & 0x1f)
                }
                _ => return Err("\\c without a letter".to_owned()),
            },
            // Without its digits, the letter itself.
            'x' => Item::Character(self.hex(2).unwrap_or(u32::from('x'))),
            'u' => Item::Character(self.hex(4).unwrap_or(u32::from('u'))),
            'p' | 'P' | 'k' => return Err(format!("\\{c} is not of ECMA 262, 5th edition")),
            other => Item::Character(u32::from(other)),
        })
    }

    /// The class after its `[`.
    fn class(&mut self) -> Result<(), String> {
        let negated = self.eat("^");
        let mut ranges = Vec::new();
        loop {
            let Some(c) = self.rest.next() else { return Err("unclosed class".to_owned()) };
            if c == ']' {
                break;
            }
            let first = self.class_item(c)?;
            let mut ahead = self.rest.clone();
            let is_range = ahead.next() == Some('-') && ahead.next().is_some_and(|c| c != ']');
            match first {
                Item::Character(low) if is_range => {
                    self.rest.next();
                    let c = self.rest.next().unwrap_or_default();
                    match self.class_item(c)? {
                        Item::Character(high) if low <= high => ranges.push((low, high)),
                        Item::Character(_) => return Err("range out of order".to_owned()),
                        Item::Set(set) => {
                            ranges.extend([(low, low), (0x2d, 0x2d)]);
                            ranges.extend(set);
                        }
                    }
                }
                Item::Character(code) => ranges.push((code, code)),
                Item::Set(set) => ranges.extend(set),
            }
        }
        self.set(negated, &ranges);
        Ok(())
    }

    fn class_item(&mut self, c: char) -> Result<Item, String> {
        if c != '\\' {
            return Ok(Item::Character(u32::from(c)));
        }
        match self.rest.next() {
            None => Err("ends in \\".to_owned()),
            Some('b') => Ok(Item::Character(0x08)),
            Some(c) => self.class_escape(c),
        }
    }

    fn set(&mut self, negated: bool, ranges: &[(u32, u32)]) {
        let mut text = String::from(if negated { "[^" } else { "[" });
        let mut wide = negated;
        let mut any = false;
        let mut push = |low: u32, high: u32| {
            // Half a surrogate pair is no character of a Rust text.
            let low = if (0xd800..=0xdfff).contains(&low) { 0xe000 } else { low };
            let high = if (0xd800..=0xdfff).contains(&high) { 0xd7ff } else { high };
            if low <= high {
                text.push_str(&format!("\\x{{{low:x}}}-\\x{{{high:x}}}"));
                wide |= high > 0x7f;
                any = true;
            }
        };
        for (low, high) in ranges {
            push(*low, *high);
            // A class of high surrogates is the way to say "beyond the basic plane".
            if *low <= *HIGH_SURROGATES.end() && *high >= *HIGH_SURROGATES.start() {
                push(0x1_0000, LAST);
            }
        }
        match (any, negated) {
            (true, _) => text.push(']'),
            // `[]` matches nothing, `[^]` everything.
            (false, false) => text = r"[^\x{0}-\x{10ffff}]".to_owned(),
            (false, true) => text = r"[\x{0}-\x{10ffff}]".to_owned(),
        }
        let states = if wide { 12 + 2 * ranges.len() as u64 } else { 1 };
        self.atom(&text, states);
    }
}

enum Item {
    Character(u32),
    Set(Vec<(u32, u32)>),
}

/// What sorted `ranges` leave out.
fn complement(ranges: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut from = 0;
    let mut left_out = Vec::with_capacity(ranges.len() + 1);
    for (low, high) in ranges {
        if from < *low {
            left_out.push((from, low - 1));
        }
        from = high + 1;
    }
    left_out.push((from, LAST));
    left_out
}

#[cfg(test)]
mod tests {
    use super::{MAX_NESTING, Patterns};

    #[test]
    fn patterns_are_those_of_ecma_262() {
        let cases = [
            ("b", "abc", true),
            ("^b$", "abc", false),
            ("^[A-Z]{2}\\d+$", "AB12", true),
            ("^\\d$", "\u{663}", false),
            ("^\\w$", "é", false),
            ("^\\s$", "\u{feff}", true),
            ("^.$", "\n", false),
            ("^a$", "a\n", false),
            ("^[^]$", "\n", true),
            ("[]", "a", false),
            ("^[a[b]$", "[", true),
            ("^[a&&b]+$", "a&b", true),
            ("^[\\w-]+$", "a-b", true),
            ("^[\\w-.]+$", "a-b.c", true),
            ("^[\\d\\D]$", "é", true),
            ("^[\\b]$", "\u{8}", true),
            ("^\\u0041\\x42\\cJ$", "AB\n", true),
            ("^\\uD83D\\uDE00$", "😀", true),
            ("^[\\uD83C-\\uDBFF\\uDC00-\\uDFFF]+$", "😀", true),
            ("^\\/a\\/$", "/a/", true),
            ("^a{,2}$", "a{,2}", true),
            ("^{a}$", "{a}", true),
            ("^a]$", "a]", true),
            ("^#a b$", "#a b", true),
            ("^(?:a|b){2}$", "ab", true),
            ("^(?=.*\\d)(?!.*x).{3,}$", "ab1", true),
            ("^(?=.*\\d)(?!.*x).{3,}$", "xb1", false),
            ("^(a|b)\\1$", "aa", true),
            ("^(a|b)\\1$", "ab", false),
            ("\\bb\\b", "a b c", true),
        ];
        let mut patterns = Patterns::default();
        for (pattern, text, expected) in cases {
            let compiled =
                patterns.compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert_eq!(compiled.is_match(text), Ok(expected), "{pattern} in {text}");
        }
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        let deep = "(".repeat(MAX_NESTING + 1) + &")".repeat(MAX_NESTING + 1);
        let cases = [
            ("(a", "unclosed group"),
            ("a)", "unopened group"),
            ("[a", "unclosed class"),
            ("a\\", "ends in \\"),
            ("[z-a]", "range out of order"),
            ("(?<name>a)", "ECMA 262 knows only (?:…), (?=…) and (?!…)"),
            ("\\p{L}", "\\p is not of ECMA 262, 5th edition"),
            ("\\ud83d", "half of a surrogate pair"),
            ("(a{1000}){1000}", "its repetitions are too large"),
            (&deep, "groups are nested too deep"),
        ];
        let mut patterns = Patterns::default();
        for (pattern, reason) in cases {
            assert_eq!(patterns.compile(pattern).err().as_deref(), Some(reason), "{pattern}");
        }
        assert!(patterns.compile("*").is_err());
    }

    #[test]
    fn all_patterns_together_are_bounded() {
        let mut patterns = Patterns::default();
        let large: Vec<_> =
            (0..6).map(|n| patterns.compile(&format!("^{n}(ab){{100000}}$")).is_ok()).collect();
        assert_eq!(large.iter().filter(|compiled| **compiled).count(), 4, "{large:?}");
        assert!(patterns.compile("^a$").is_ok());
    }

    #[test]
    fn a_pattern_that_backtracks_without_end_gives_up() {
        let mut patterns = Patterns::default();
        let pattern = patterns.compile("^(?=(a+)+$)(a+)+\\1b$").expect("compiles");
        assert!(!matches!(pattern.is_match(&"a".repeat(64)), Ok(true)));
    }
}
