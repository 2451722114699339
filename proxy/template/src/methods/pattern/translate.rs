//! From Java's regular expressions to those of the `fancy-regex` crate.
//!
//! Flags are resolved here and not passed on: Java's `\d`, `\w`, `\s` and `(?i)` are ASCII, its
//! `.` and `$` know five ends of lines.

use std::ops::Range;

use super::escape::Escape;
use super::size::{Reach, Size};

pub(super) struct Translation {
    pub(super) regex: String,
    /// The pattern is only this text.
    pub(super) literal: Option<String>,
    /// The pattern is one set of characters.
    pub(super) is_set: bool,
    /// Capturing groups.
    pub(super) groups: usize,
    pub(super) names: Vec<(String, usize)>,
    /// Has look-around, back-references or atomic groups.
    pub(super) backtracks: bool,
    pub(super) size: Size,
    pub(super) reach: Reach,
}

pub(super) struct Translator {
    pattern: Vec<char>,
    at: usize,
    out: String,
    literal: Option<String>,
    flags: Flags,
    open: Vec<Open>,
    groups: usize,
    names: Vec<(String, usize)>,
    /// Constructs so far that the engine has to go back for.
    backtracking: usize,
    references: usize,
    final_line_end: bool,
    /// A quantifier may follow.
    repeatable: bool,
    /// Of the innermost open group so far.
    size: Size,
    /// What a quantifier would repeat.
    item: Item,
    /// Where sets of characters are in `out`.
    atoms: Vec<Range<usize>>,
    /// Where a set of characters ends that `out` starts with.
    first_set_end: Option<usize>,
    /// What loops run over; `None`: anything.
    loops: Option<Vec<String>>,
    /// Something within look-around, an atomic group or a possessive loop is slow to match.
    slow: bool,
}

struct Open {
    flags: Flags,
    close: &'static str,
    /// Look-around and atomic groups: nothing goes back into them.
    cuts: bool,
    /// Sizes, places and counts before the group.
    size: Size,
    start: usize,
    backtracking: usize,
    groups: usize,
    references: usize,
}

#[derive(Clone, Copy, Default)]
struct Item {
    start: usize,
    size: Size,
    /// Holds what the engine has to go back for, or a capturing group.
    is_slow: bool,
    has_reference: bool,
}

#[derive(Clone, Copy, Default)]
struct Flags {
    ignore_case: bool,
    unicode_case: bool,
    multiline: bool,
    dot_all: bool,
    comments: bool,
    unix_lines: bool,
}

/// Groups within each other.
const MAX_OPEN: usize = 100;

/// The pattern for `fancy-regex`, or what Java or this translation has against it.
pub(super) fn translate(pattern: &str, final_line_end: bool) -> Result<Translation, String> {
    let mut translator = Translator {
        pattern: pattern.chars().collect(),
        at: 0,
        out: String::with_capacity(pattern.len() + 16),
        literal: Some(String::new()),
        flags: Flags::default(),
        open: Vec::new(),
        groups: 0,
        names: Vec::new(),
        backtracking: 0,
        references: 0,
        final_line_end,
        repeatable: false,
        size: Size::default(),
        item: Item::default(),
        atoms: Vec::new(),
        first_set_end: None,
        loops: Some(Vec::new()),
        slow: false,
    };
    while let Some(c) = translator.next() {
        translator.item(c)?;
    }
    if !translator.open.is_empty() {
        return Err("Unclosed group".to_owned());
    }
    Ok(translator.finish())
}

impl Translator {
    pub(super) fn peek(&self) -> Option<char> {
        self.pattern.get(self.at).copied()
    }

    pub(super) fn peek_second(&self) -> Option<char> {
        self.pattern.get(self.at + 1).copied()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    pub(super) fn comments(&self) -> bool {
        self.flags.comments
    }

    pub(super) fn ignores_ascii_case(&self) -> bool {
        self.flags.ignore_case && !self.flags.unicode_case
    }

    fn finish(self) -> Translation {
        let Self { out, literal, groups, names, size, loops, first_set_end, .. } = self;
        let is_set = first_set_end == Some(out.len());
        let backtracks = self.backtracking > 0;
        let usize = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        // A back-reference may take all that its group took.
        let repeated = self.references.saturating_add(1);
        let reach = Reach {
            length: usize(size.length).saturating_mul(repeated),
            loop_count: usize(size.loops).saturating_mul(repeated),
            loops,
            is_slow: self.slow || groups > 0,
        };
        Translation { regex: out, literal, is_set, groups, names, backtracks, size, reach }
    }

    fn item(&mut self, c: char) -> Result<(), String> {
        match c {
            '\\' => return self.escape(),
            '[' => {
                let class = self.class(0)?;
                self.push_set(&class);
            }
            '(' => return self.open_group(),
            ')' => return self.close_group(),
            '|' => {
                self.push("|");
                self.repeatable = false;
            }
            '^' => self.line_start(),
            '$' => self.line_end(),
            '.' => self.push_atom(match self.flags {
                Flags { dot_all: true, .. } => "(?s:.)",
                Flags { unix_lines: true, .. } => r"[^\n]",
                _ => r"[^\n\r\x{85}\x{2028}\x{2029}]",
            }),
            '*' | '+' | '?' if !self.repeatable => {
                return Err(format!("Dangling meta character '{c}'"));
            }
            '?' => self.quantifier("?", Some(1)),
            '*' | '+' => self.quantifier(&c.to_string(), None),
            '{' => return self.counted(),
            c if self.flags.comments && c.is_ascii_whitespace() => {}
            '#' if self.flags.comments => while self.next().is_some_and(|c| c != '\n') {},
            c => self.push_character(c),
        }
        Ok(())
    }

    fn push(&mut self, regex: &str) {
        self.out.push_str(regex);
        self.literal = None;
        self.repeatable = true;
    }

    fn push_backtracking(&mut self, regex: &str) {
        self.backtracking += 1;
        let start = self.out.len();
        self.push(regex);
        self.add(start, Size { parts: 8, length: 4, loops: 0 }, true);
    }

    fn push_atom(&mut self, regex: &str) {
        let start = self.out.len();
        self.push(regex);
        self.add_atom(start);
    }

    fn add_atom(&mut self, start: usize) {
        let size = Size::of_atom(self.out.get(start..).unwrap_or(""));
        self.atoms.push(start..self.out.len());
        self.add(start, size, false);
    }

    fn add(&mut self, start: usize, size: Size, is_slow: bool) {
        self.size = self.size.plus(size);
        self.item = Item { start, size, is_slow, has_reference: false };
    }

    /// The last item may come `most` times, `None`: any number of times.
    fn repeat(&mut self, most: Option<u64>) {
        let Item { start, size, has_reference, .. } = self.item;
        let more = match most {
            Some(count) => size.times(count.saturating_sub(1)),
            None => Size { loops: 1, ..Size::default() },
        };
        self.size = self.size.plus(more);
        self.item.size = size.plus(more);
        if most.is_some() {
            return;
        }
        if has_reference {
            self.loops = None;
        } else if let Some(loops) = &mut self.loops {
            for atom in self.atoms.iter().filter(|atom| atom.start >= start) {
                let atom = self.out.get(atom.clone()).unwrap_or("");
                if !loops.iter().any(|known| known == atom) {
                    loops.push(atom.to_owned());
                }
            }
        }
    }

    fn push_set(&mut self, set: &str) {
        let is_first = self.out.is_empty();
        if self.flags.ignore_case && self.flags.unicode_case {
            self.push_atom(&format!("(?i:{set})"));
        } else {
            self.push_atom(set);
        }
        if is_first {
            self.first_set_end = Some(self.out.len());
        }
    }

    fn push_character(&mut self, c: char) {
        let start = self.out.len();
        self.repeatable = true;
        if self.flags.ignore_case && self.flags.unicode_case {
            self.push(&format!(r"(?i:\x{{{:x}}})", c as u32));
        } else if self.flags.ignore_case && c.is_ascii_alphabetic() {
            self.push(&format!("[{}{}]", c.to_ascii_lowercase(), c.to_ascii_uppercase()));
        } else {
            if r"\.+*?()|[]{}^$#&-~".contains(c) {
                self.out.push('\\');
            }
            self.out.push(c);
            if let Some(literal) = &mut self.literal {
                literal.push(c);
            }
        }
        self.add_atom(start);
    }

    fn quantifier(&mut self, quantifier: &str, most: Option<u64>) {
        self.repeat(most);
        self.push(quantifier);
        match self.peek() {
            Some('?') => {
                self.next();
                self.push("?");
            }
            Some('+') => {
                self.next();
                self.backtracking += 1;
                self.slow |= self.item.is_slow;
                self.push("+");
            }
            _ => {}
        }
        self.repeatable = false;
    }

    /// `{n}`, `{n,}`, `{n,m}`
    fn counted(&mut self) -> Result<(), String> {
        let illegal = || "Illegal repetition".to_owned();
        if !self.repeatable {
            return Err(illegal());
        }
        let least = self.count()?.ok_or_else(illegal)?;
        let mut quantifier = format!("{{{least}");
        let mut most = Some(u64::from(least));
        if self.peek() == Some(',') {
            self.next();
            quantifier.push(',');
            let count = self.count()?;
            if let Some(count) = count {
                if count < least {
                    return Err("Illegal repetition range".to_owned());
                }
                quantifier.push_str(&count.to_string());
            }
            if count.is_none() {
                self.repeat(most);
            }
            most = count.map(u64::from);
        }
        if self.next() != Some('}') {
            return Err("Unclosed counted closure".to_owned());
        }
        quantifier.push('}');
        self.quantifier(&quantifier, most);
        Ok(())
    }

    fn count(&mut self) -> Result<Option<u32>, String> {
        let mut count: Option<u32> = None;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
            self.next();
            let longer = count.unwrap_or(0).checked_mul(10).and_then(|c| c.checked_add(digit));
            count = Some(longer.ok_or("Illegal repetition range")?);
        }
        Ok(count)
    }

    fn line_start(&mut self) {
        match self.flags {
            Flags { multiline: false, .. } => self.push(r"\A"),
            Flags { unix_lines: true, .. } => {
                self.push_backtracking(r"(?:(?!\z)(?:\A|(?<=\n)))");
            }
            _ => self.push_backtracking(
                r"(?:(?!\z)(?:\A|(?<=[\n\x{85}\x{2028}\x{2029}])|(?<=\r)(?!\n)))",
            ),
        }
    }

    fn line_end(&mut self) {
        match self.flags {
            Flags { multiline: true, unix_lines: true, .. } => {
                self.push_backtracking(r"(?=\n|\z)");
            }
            Flags { multiline: true, .. } => {
                self.push_backtracking(r"(?:(?=[\r\x{85}\x{2028}\x{2029}])|(?<!\r)(?=\n)|\z)")
            }
            _ => self.text_end(),
        }
    }

    /// `$` and `\Z`: at the end, or before a last end of line.
    fn text_end(&mut self) {
        if !self.final_line_end {
            self.push(r"\z");
        } else if self.flags.unix_lines {
            self.push_backtracking(r"(?=\n?\z)");
        } else {
            self.push_backtracking(
                r"(?:\z|(?=\r\n\z)|(?<!\r)(?=\n\z)|(?=[\r\x{85}\x{2028}\x{2029}]\z))",
            );
        }
    }

    fn escape(&mut self) -> Result<(), String> {
        let Some(escaped) = self.next() else {
            return Err("Unexpected internal error".to_owned());
        };
        match escaped {
            'Q' => self.quoted(),
            'E' => {}
            'A' => self.push(r"\A"),
            'z' => self.push(r"\z"),
            'Z' => self.text_end(),
            'b' if self.peek() == Some('{') && self.peek_second() == Some('g') => {
                return Err("\\b{g} is not supported".to_owned());
            }
            'b' | 'B' => self.push(&format!(r"(?:\{escaped})")),
            'G' => self.push_backtracking(r"\G"),
            'R' => self.push_atom(r"(?:\r\n|[\n\x0B\f\r\x{85}\x{2028}\x{2029}])"),
            'k' => return self.named_reference(),
            '1'..='9' => self.numbered_reference(escaped),
            escaped => match self.character_escape(escaped)? {
                Escape::Character(c) => self.push_character(c),
                Escape::Set(inside, negated) => {
                    let negation = if negated { "^" } else { "" };
                    self.push_set(&format!("[{negation}{inside}]"));
                }
            },
        }
        Ok(())
    }

    /// `\Q…\E`
    fn quoted(&mut self) {
        while let Some(c) = self.next() {
            if c == '\\' && self.peek() == Some('E') {
                self.next();
                return;
            }
            self.push_character(c);
        }
    }

    fn reference(&mut self, reference: &str) {
        let flags = if self.flags.ignore_case { "i" } else { "" };
        self.push_backtracking(&format!("(?{flags}:{reference})"));
        self.references += 1;
        self.item.has_reference = true;
    }

    fn named_reference(&mut self) -> Result<(), String> {
        if self.next() != Some('<') {
            return Err("\\k is not followed by '<' for named capturing group".to_owned());
        }
        let name = self.group_name()?;
        let known = self.names.iter().find(|(own, _)| *own == name).map(|(_, number)| *number);
        let number =
            known.ok_or_else(|| format!("named capturing group <{name}> does not exist"))?;
        self.reference(&format!(r"\{number}"));
        Ok(())
    }

    /// More digits belong to the number while there are as many groups.
    fn numbered_reference(&mut self, first: char) {
        let mut number = first.to_digit(10).unwrap_or(0) as usize;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
            let longer = number * 10 + digit as usize;
            if longer > self.groups {
                break;
            }
            number = longer;
            self.next();
        }
        if number > self.groups {
            // A group that isn't there never matches.
            self.push(r"[a&&b]");
        } else {
            self.reference(&format!(r"\{number}"));
        }
    }

    fn open_group(&mut self) -> Result<(), String> {
        if self.open.len() >= MAX_OPEN {
            return Err("Pattern too complex".to_owned());
        }
        let mut open = Open {
            flags: self.flags,
            close: ")",
            cuts: false,
            size: self.size,
            start: self.out.len(),
            backtracking: self.backtracking,
            groups: self.groups,
            references: self.references,
        };
        if self.peek() != Some('?') {
            self.groups += 1;
            self.push("(");
        } else {
            self.next();
            match self.next() {
                Some(':') => self.push("(?:"),
                // Java repeats look-around; `fancy-regex` only groups.
                Some(c @ ('=' | '!')) => {
                    self.push(&format!("(?:(?{c}"));
                    open.close = "))";
                    open.cuts = true;
                }
                Some('>') => {
                    self.push("(?>");
                    open.cuts = true;
                }
                Some('<') => match self.peek() {
                    Some(c @ ('=' | '!')) => {
                        self.next();
                        self.push(&format!("(?:(?<{c}"));
                        open.close = "))";
                        open.cuts = true;
                    }
                    _ => self.named_group()?,
                },
                Some(c) => {
                    if !self.inline_flags(c)? {
                        return Ok(());
                    }
                    self.push("(?:");
                }
                None => return Err("Unknown inline modifier".to_owned()),
            }
        }
        self.size = Size::default();
        self.open.push(open);
        self.repeatable = false;
        Ok(())
    }

    fn close_group(&mut self) -> Result<(), String> {
        let open = self.open.pop().ok_or("Unmatched closing ')'")?;
        self.flags = open.flags;
        // An assertion by itself can't be repeated: it gets an alternative that never matches.
        let repeated = matches!(self.peek(), Some('*' | '+' | '?' | '{'));
        let never = repeated && open.close == "))";
        self.push(if never { ")|[a&&b])" } else { open.close });
        let is_slow = self.backtracking > open.backtracking || self.groups > open.groups;
        if open.cuts {
            self.backtracking += 1;
            self.slow |= is_slow;
        }
        let inside = self.size.plus(Size { parts: 1, length: 0, loops: 0 });
        self.size = open.size;
        self.add(open.start, inside, is_slow || open.cuts);
        self.item.has_reference = self.references > open.references;
        Ok(())
    }

    fn named_group(&mut self) -> Result<(), String> {
        let name = self.group_name()?;
        if self.names.iter().any(|(own, _)| *own == name) {
            return Err(format!("Named capturing group <{name}> is already defined"));
        }
        self.groups += 1;
        self.names.push((name, self.groups));
        self.push("(");
        Ok(())
    }

    fn group_name(&mut self) -> Result<String, String> {
        let mut name = String::new();
        loop {
            match self.next() {
                Some('>') if !name.is_empty() => return Ok(name),
                Some(c) if c.is_ascii_alphabetic() => name.push(c),
                Some(c) if c.is_ascii_digit() && !name.is_empty() => name.push(c),
                _ if name.is_empty() => {
                    return Err(
                        "capturing group name does not start with a Latin letter".to_owned()
                    );
                }
                _ => return Err("named capturing group is missing trailing '>'".to_owned()),
            }
        }
    }

    /// `(?im-s)` or `(?im-s:`; whether a group opens.
    fn inline_flags(&mut self, first: char) -> Result<bool, String> {
        let mut on = true;
        let mut c = Some(first);
        loop {
            let flags = &mut self.flags;
            match c {
                Some('-') if on => on = false,
                Some('i') => flags.ignore_case = on,
                Some('u') => flags.unicode_case = on,
                Some('m') => flags.multiline = on,
                Some('s') => flags.dot_all = on,
                Some('x') => flags.comments = on,
                Some('d') => flags.unix_lines = on,
                Some(')') => {
                    self.literal = None;
                    return Ok(false);
                }
                Some(':') => return Ok(true),
                Some('U') => return Err("the flag U is not supported".to_owned()),
                _ => return Err("Unknown inline modifier".to_owned()),
            }
            c = self.next();
        }
    }
}
