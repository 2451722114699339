//! Bracket expressions: unions, ranges and intersections.

use std::fmt::Write;

use super::escape::Escape;
use super::translate::Translator;

/// Bracket expressions within each other.
const MAX_NESTING: usize = 50;

impl Translator {
    /// After a `[`: the expression for the `regex` crate, with both brackets.
    pub(super) fn class(&mut self, depth: usize) -> Result<String, String> {
        if depth > MAX_NESTING {
            return Err("Pattern too complex".to_owned());
        }
        let mut out = String::from("[");
        if self.peek() == Some('^') {
            self.next();
            out.push('^');
        }
        let mut empty = true;
        loop {
            let Some(c) = self.next() else {
                return Err("Unclosed character class".to_owned());
            };
            match c {
                // The first is a character.
                ']' if !empty => {
                    out.push(']');
                    return Ok(out);
                }
                '[' => out.push_str(&self.class(depth + 1)?),
                '&' if self.peek() == Some('&') => {
                    while self.peek() == Some('&') {
                        self.next();
                    }
                    out.push_str("&&");
                }
                c if self.comments() && c.is_ascii_whitespace() => continue,
                c => self.class_item(c, &mut out)?,
            }
            empty = false;
        }
    }

    fn class_item(&mut self, first: char, out: &mut String) -> Result<(), String> {
        let low = match self.class_character(first)? {
            Escape::Set(inside, negated) => {
                let negation = if negated { "^" } else { "" };
                let _ = write!(out, "[{negation}{inside}]");
                return Ok(());
            }
            Escape::Character(low) => low,
        };
        if self.peek() != Some('-') || matches!(self.peek_second(), None | Some(']' | '[')) {
            self.push_range(low, low, out);
            return Ok(());
        }
        self.next();
        let Some(second) = self.next() else {
            return Err("Unclosed character class".to_owned());
        };
        match self.class_character(second)? {
            Escape::Character(high) if low <= high => {
                self.push_range(low, high, out);
                Ok(())
            }
            _ => Err("Illegal character range".to_owned()),
        }
    }

    fn class_character(&mut self, c: char) -> Result<Escape, String> {
        if c != '\\' {
            return Ok(Escape::Character(c));
        }
        match self.next() {
            Some(escaped) => self.character_escape(escaped),
            None => Err("Unexpected internal error".to_owned()),
        }
    }

    /// A range, and its ASCII letters in the other case under `(?i)`.
    fn push_range(&self, low: char, high: char, out: &mut String) {
        let _ = write!(out, r"\x{{{:x}}}-\x{{{:x}}}", low as u32, high as u32);
        if !self.ignores_ascii_case() {
            return;
        }
        for (first, last) in [('A', 'Z'), ('a', 'z')] {
            let (from, to) = (low.max(first), high.min(last));
            if from <= to {
                let (from, to) = (from as u32 ^ 0x20, to as u32 ^ 0x20);
                let _ = write!(out, r"\x{{{from:x}}}-\x{{{to:x}}}");
            }
        }
    }
}
