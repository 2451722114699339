//! The parser: recursive descent over the bytes of a text that is known to be UTF-8.
//!
//! Members and items wait on two stacks until their object or array ends, so that each
//! collection is made once, with the size it needs.

use std::cell::RefCell;
use std::rc::Rc;

use indexmap::IndexMap;

use super::number;
use super::scan::plain_end;
use crate::limits::{Budget, LimitExceeded, MAX_JSON_NESTING};
use crate::value::{Key, List, ListKind, Map, MapKind, Text, Value};

/// Parses a JSON text (RFC 8259), whose strings the values borrow. `Ok(None)`: it is none, or
/// nests deeper than [`MAX_JSON_NESTING`].
pub(crate) fn parse<'t>(
    text: &'t str,
    budget: &mut Budget,
) -> Result<Option<Value<'t>>, LimitExceeded> {
    parse_with(text, Text::Borrowed, budget)
}

/// Parses a JSON text as [`parse`] does, into values that don't borrow it.
pub(crate) fn parse_copy<'t>(
    text: &str,
    budget: &mut Budget,
) -> Result<Option<Value<'t>>, LimitExceeded> {
    parse_with(text, |part| Text::Shared(part.into()), budget)
}

fn parse_with<'a, 't>(
    text: &'a str,
    plain: impl Fn(&'a str) -> Text<'t>,
    budget: &mut Budget,
) -> Result<Option<Value<'t>>, LimitExceeded> {
    budget.steps(1 + text.len() as u64 / 64)?;
    let mut parser =
        Parser { text, at: 0, nesting: 0, plain, members: Vec::new(), items: Vec::new(), budget };
    match parser.document() {
        Ok(value) => Ok(Some(value)),
        Err(Failure::Syntax) => Ok(None),
        Err(Failure::Limit(limit)) => Err(limit),
    }
}

struct Parser<'a, 'b, 't, P> {
    text: &'a str,
    at: usize,
    nesting: usize,
    /// Makes a string of a part of the text that holds no escapes.
    plain: P,
    members: Vec<(Key<'t>, Value<'t>)>,
    items: Vec<Value<'t>>,
    budget: &'b mut Budget,
}

enum Failure {
    Syntax,
    Limit(LimitExceeded),
}

impl From<LimitExceeded> for Failure {
    fn from(limit: LimitExceeded) -> Self {
        Self::Limit(limit)
    }
}

impl<'a, 't, P: Fn(&'a str) -> Text<'t>> Parser<'a, '_, 't, P> {
    fn document(&mut self) -> Result<Value<'t>, Failure> {
        let value = self.value()?;
        self.skip_space();
        if self.at == self.text.len() { Ok(value) } else { Err(Failure::Syntax) }
    }

    fn value(&mut self) -> Result<Value<'t>, Failure> {
        self.skip_space();
        match self.peek() {
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Boolean(true)),
            Some(b'f') => self.word("false", Value::Boolean(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => Err(Failure::Syntax),
        }
    }

    fn nested(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<Value<'t>, Failure>,
    ) -> Result<Value<'t>, Failure> {
        if self.nesting == MAX_JSON_NESTING {
            return Err(Failure::Syntax);
        }
        self.nesting += 1;
        self.at += 1;
        let value = parse(self)?;
        self.nesting -= 1;
        Ok(value)
    }

    fn object(&mut self) -> Result<Value<'t>, Failure> {
        let first = self.members.len();
        self.skip_space();
        if !self.take(b'}') {
            loop {
                self.member()?;
                if self.ends_with(b'}')? {
                    break;
                }
            }
        }
        let mut entries = IndexMap::with_capacity(self.members.len() - first);
        // A repeated key keeps its first place and takes the last value, as in Java.
        entries.extend(self.members.drain(first..));
        Ok(Value::Map(Map { entries: Rc::new(RefCell::new(entries)), kind: MapKind::Java }))
    }

    fn member(&mut self) -> Result<(), Failure> {
        self.skip_space();
        let key = Key::String(self.string()?);
        self.skip_space();
        if !self.take(b':') {
            return Err(Failure::Syntax);
        }
        let value = self.value()?;
        self.budget.allocate(size_of::<(Key<'_>, Value<'_>, u64)>())?;
        self.members.push((key, value));
        Ok(())
    }

    fn array(&mut self) -> Result<Value<'t>, Failure> {
        let first = self.items.len();
        self.skip_space();
        if !self.take(b']') {
            loop {
                let item = self.value()?;
                self.budget.allocate(size_of::<Value<'_>>())?;
                self.items.push(item);
                if self.ends_with(b']')? {
                    break;
                }
            }
        }
        let items = self.items.drain(first..).collect();
        Ok(Value::List(List { kind: ListKind::Json, items: Rc::new(RefCell::new(items)) }))
    }

    /// Whether the collection ends here; otherwise a comma must follow.
    fn ends_with(&mut self, close: u8) -> Result<bool, Failure> {
        self.skip_space();
        if self.take(b',') {
            return Ok(false);
        }
        if self.take(close) { Ok(true) } else { Err(Failure::Syntax) }
    }

    fn string(&mut self) -> Result<Text<'t>, Failure> {
        if !self.take(b'"') {
            return Err(Failure::Syntax);
        }
        let start = self.at;
        self.at = plain_end(self.text.as_bytes(), start);
        match self.peek() {
            Some(b'"') => {
                let part = &self.text[start..self.at];
                self.at += 1;
                Ok((self.plain)(part))
            }
            Some(b'\\') => self.escaped_string(start),
            _ => Err(Failure::Syntax),
        }
    }

    fn escaped_string(&mut self, start: usize) -> Result<Text<'t>, Failure> {
        let mut string = self.text[start..self.at].to_owned();
        loop {
            match self.next() {
                Some(b'"') => break,
                Some(b'\\') => string.push(self.escape()?),
                _ => return Err(Failure::Syntax),
            }
            let start = self.at;
            self.at = plain_end(self.text.as_bytes(), start);
            string.push_str(&self.text[start..self.at]);
        }
        self.budget.allocate(string.len())?;
        Ok(Text::Shared(string.into()))
    }

    fn escape(&mut self) -> Result<char, Failure> {
        Ok(match self.next() {
            Some(character @ (b'"' | b'\\' | b'/')) => character.into(),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => self.unicode_escape()?,
            _ => return Err(Failure::Syntax),
        })
    }

    /// `\uXXXX`, or two of them for a surrogate pair. Half a pair becomes U+FFFD.
    fn unicode_escape(&mut self) -> Result<char, Failure> {
        let unit = self.hex4()?;
        if let Some(character) = char::from_u32(unit) {
            return Ok(character);
        }
        let after = self.at;
        if unit < 0xdc00 && self.text[after..].starts_with("\\u") {
            self.at += 2;
            let low = self.hex4()?;
            if (0xdc00..0xe000).contains(&low) {
                let pair = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(pair).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = after;
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex4(&mut self) -> Result<u32, Failure> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.next().and_then(|byte| char::from(byte).to_digit(16));
            unit = unit * 16 + digit.ok_or(Failure::Syntax)?;
        }
        Ok(unit)
    }

    fn number(&mut self) -> Result<Value<'t>, Failure> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        let text = &self.text[start..self.at];
        self.budget.steps(number::steps(text.len()))?;
        number::number(text).map(Value::Number).ok_or(Failure::Syntax)
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), Failure> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Failure::Syntax) }
    }

    fn word(&mut self, word: &str, value: Value<'t>) -> Result<Value<'t>, Failure> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(Failure::Syntax);
        }
        self.at += word.len();
        Ok(value)
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}
