//! JSON (RFC 8259) into [`Node`]s.
//!
//! serde_json gives no positions for the values it reads, and errors in a definition must name
//! their line, so this reads the text itself: one pass, text without escapes borrowed.

use std::borrow::Cow;

use super::{Kind, MAX_DEPTH, MAX_NODES, Map, Node};
use crate::openapi::ImportError;

pub(super) fn parse(text: &str) -> Result<Node<'_>, ImportError> {
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0, line: 1, nodes: 0 };
    let root = reader.value(0)?;
    reader.skip_space();
    if reader.at < reader.bytes.len() {
        return Err(reader.error("there is text after the end of the JSON document"));
    }
    Ok(root)
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    line: u32,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Node<'a>, ImportError> {
        if depth > MAX_DEPTH {
            return Err(self.error(format!("nested over {MAX_DEPTH} levels deep")));
        }
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(self.error(format!("the document holds over {MAX_NODES} values")));
        }
        self.skip_space();
        let line = self.line;
        let kind = match self.peek() {
            Some(b'{') => self.map(depth)?,
            Some(b'[') => self.seq(depth)?,
            Some(b'"') => Kind::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => Kind::Number(self.number()?),
            Some(_) => self.word()?,
            None => return Err(self.error("the document ends in the middle of a value")),
        };
        Ok(Node::new(kind, line))
    }

    fn map(&mut self, depth: usize) -> Result<Kind<'a>, ImportError> {
        self.at += 1;
        let mut map = Map::default();
        self.skip_space();
        if self.take(b'}') {
            return Ok(Kind::Map(map));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(self.error("a key in double quotes is expected"));
            }
            let line = self.line;
            let key = self.string()?;
            self.skip_space();
            if !self.take(b':') {
                return Err(self.error(format!("`:` is expected after the key \"{key}\"")));
            }
            let mut node = self.value(depth + 1)?;
            node.line = line;
            if let Err((_, (key, first))) = map.insert(key, node) {
                let message = format!("the key \"{key}\" is already there, at line {}", first.line);
                return Err(ImportError::new(Some(line), "", message));
            }
            self.skip_space();
            if self.take(b'}') {
                return Ok(Kind::Map(map));
            }
            if !self.take(b',') {
                return Err(self.error("`,` or `}` is expected"));
            }
        }
    }

    fn seq(&mut self, depth: usize) -> Result<Kind<'a>, ImportError> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip_space();
        if self.take(b']') {
            return Ok(Kind::Seq(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.skip_space();
            if self.take(b']') {
                return Ok(Kind::Seq(items));
            }
            if !self.take(b',') {
                return Err(self.error("`,` or `]` is expected"));
            }
        }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, ImportError> {
        self.at += 1;
        let start = self.piece()?;
        if self.take(b'"') {
            return Ok(Cow::Borrowed(start));
        }
        let mut out = String::with_capacity(start.len() + 64);
        out.push_str(start);
        loop {
            out.push(self.escape()?);
            out.push_str(self.piece()?);
            if self.take(b'"') {
                return Ok(Cow::Owned(out));
            }
        }
    }

    /// The text up to the next quote or escape; both are ASCII, so it ends between characters.
    fn piece(&mut self) -> Result<&'a str, ImportError> {
        let start = self.at;
        match memchr::memchr2(b'"', b'\\', &self.bytes[start..]) {
            None => return Err(self.error("a string without its closing quote")),
            Some(length) => self.at += length,
        }
        let piece = &self.text[start..self.at];
        if piece.bytes().any(|byte| byte < 0x20) {
            return Err(self.error("a line break or control character inside a string"));
        }
        Ok(piece)
    }

    fn escape(&mut self) -> Result<char, ImportError> {
        let name = self.bytes.get(self.at + 1).copied();
        self.at = (self.at + 2).min(self.bytes.len());
        Ok(match name {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => {
                return Err(self.error(r#"after `\` one of " \ / b f n r t u is expected"#));
            }
        })
    }

    fn unicode_escape(&mut self) -> Result<char, ImportError> {
        let first = self.four_hex_digits()?;
        let code = if (0xd800..0xdc00).contains(&first) {
            if self.bytes[self.at..].starts_with(b"\\u") {
                self.at += 2;
                let second = self.four_hex_digits()?;
                // A wrong second half gives a code no character has, caught below.
                second
                    .checked_sub(0xdc00)
                    .filter(|low| *low < 0x400)
                    .map_or(u32::MAX, |low| 0x10000 + ((first - 0xd800) << 10) + low)
            } else {
                u32::MAX
            }
        } else {
            first
        };
        char::from_u32(code).ok_or_else(|| self.error("half of a surrogate pair"))
    }

    fn four_hex_digits(&mut self) -> Result<u32, ImportError> {
        let digits = self.bytes.get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let Some(digits) = digits else {
            return Err(self.error(r"four hexadecimal digits are expected after `\u`"));
        };
        let code = digits
            .iter()
            .fold(0, |code, digit| code << 4 | char::from(*digit).to_digit(16).unwrap_or_default());
        self.at += 4;
        Ok(code)
    }

    fn number(&mut self) -> Result<Cow<'a, str>, ImportError> {
        let start = self.at;
        self.take(b'-');
        let whole = self.digits();
        let leading_zero = whole > 1 && self.bytes[self.at - whole] == b'0';
        let mut well_formed = whole > 0 && !leading_zero;
        if self.take(b'.') {
            well_formed &= self.digits() > 0;
        }
        if self.take(b'e') || self.take(b'E') {
            let _sign = self.take(b'+') || self.take(b'-');
            well_formed &= self.digits() > 0;
        }
        if !well_formed {
            return Err(self.error("not a JSON number"));
        }
        Ok(Cow::Borrowed(&self.text[start..self.at]))
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }

    fn word(&mut self) -> Result<Kind<'a>, ImportError> {
        for (word, kind) in
            [("true", Kind::Bool(true)), ("false", Kind::Bool(false)), ("null", Kind::Null)]
        {
            if self.bytes[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(kind);
            }
        }
        Err(self.error("a JSON value is expected"))
    }

    fn skip_space(&mut self) {
        while let Some(byte @ (b' ' | b'\t' | b'\n' | b'\r')) = self.peek() {
            self.line += u32::from(byte == b'\n');
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn error(&self, message: impl Into<String>) -> ImportError {
        ImportError::new(Some(self.line), "", message)
    }
}
