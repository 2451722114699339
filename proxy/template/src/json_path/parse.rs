//! The parser for paths.

use super::function::Function;
use super::{JsonPath, JsonPathError, Root, Slice, Token};
use crate::limits::MAX_SYNTAX_NESTING;

/// Longest path, in bytes. Far more than any in use: paths can come from the request.
const MAX_PATH_BYTES: usize = 16 * 1024;

/// Evaluation may recurse once for each token.
const MAX_TOKENS: usize = 200;

pub(super) fn parse(path: &str) -> Result<JsonPath, JsonPathError> {
    let text = path.trim_end();
    let mut parser = Parser { text, at: text.len() - text.trim_start().len(), nesting: 0 };
    if text.len() > MAX_PATH_BYTES {
        return Err(parser.error("the path is too long"));
    }
    match parser.peek() {
        None => Err(parser.error("the path is empty")),
        Some('$' | '@') => parser.path(Place::Alone),
        Some(_) => {
            let tokens = parser.tokens(true, Place::Alone)?;
            parser.finished(Root::Document, tokens)
        }
    }
}

/// Where a path stands, which decides what ends it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Alone,
    Filter,
    Argument,
}

pub(super) struct Parser<'p> {
    pub(super) text: &'p str,
    pub(super) at: usize,
    /// Filters, parentheses, functions and literals around this place.
    pub(super) nesting: usize,
}

impl<'p> Parser<'p> {
    /// A path that starts with `$` or `@`.
    pub(super) fn path(&mut self, place: Place) -> Result<JsonPath, JsonPathError> {
        let root = if self.take("$") {
            Root::Document
        } else {
            self.expect("@")?;
            Root::Item
        };
        if !self.path_ends(place) && !matches!(self.peek(), Some('.' | '[')) {
            return Err(self.error("'.' or '[' must follow the root"));
        }
        let tokens = self.tokens(false, place)?;
        self.finished(root, tokens)
    }

    /// `$..a.sum()` calls the function once with all that `$..a` finds.
    fn finished(&self, root: Root, mut tokens: Vec<Token>) -> Result<JsonPath, JsonPathError> {
        if tokens.first() == Some(&Token::Scan)
            && let Some(Token::Function(_)) = tokens.last()
            && let Some(Token::Function(function)) = tokens.pop()
        {
            if tokens.len() < 2 {
                return Err(self.error("a name, index, '*' or filter must follow '..'"));
            }
            let function = function.over_scan(root, tokens);
            return Ok(JsonPath::new(root, vec![Token::Function(function)]));
        }
        Ok(JsonPath::new(root, tokens))
    }

    /// `after_dot`: the first token is a name whose dot is already read.
    fn tokens(&mut self, mut after_dot: bool, place: Place) -> Result<Vec<Token>, JsonPathError> {
        let mut tokens = Vec::new();
        while after_dot || !self.path_ends(place) {
            if tokens.len() >= MAX_TOKENS {
                return Err(self.error("the path has too many parts"));
            }
            let dot = std::mem::take(&mut after_dot) || self.take(".");
            if dot && self.take(".") {
                tokens.push(Token::Scan);
            }
            let token = match self.peek() {
                Some('[') => self.bracket()?,
                Some('*') => {
                    self.at += 1;
                    Token::Wildcard
                }
                _ => self.name_or_function(place)?,
            };
            let last = matches!(token, Token::Function(_));
            tokens.push(token);
            if last && !self.path_ends(place) {
                return Err(self.error("a function must be the last part of a path"));
            }
        }
        Ok(tokens)
    }

    fn path_ends(&self, place: Place) -> bool {
        let rest = &self.text[self.at..];
        let Some(next) = rest.chars().next() else { return true };
        match place {
            Place::Alone => false,
            Place::Argument => next.is_whitespace() || matches!(next, ')' | ','),
            Place::Filter => {
                next.is_whitespace()
                    || matches!(next, ')' | '<' | '>' | '=' | '~' | '!')
                    || rest.starts_with("&&")
                    || rest.starts_with("||")
            }
        }
    }

    fn name_or_function(&mut self, place: Place) -> Result<Token, JsonPathError> {
        let start = self.at;
        while !self.path_ends(place)
            && let Some(next) = self.peek()
            && !matches!(next, '.' | '[' | '(')
        {
            if next.is_whitespace() {
                return Err(self.error("a name with a space must be written as ['my name']"));
            }
            self.at += next.len_utf8();
        }
        let name = &self.text[start..self.at];
        if name.is_empty() {
            return Err(self.error("a name, '*' or '[' is expected"));
        }
        if self.peek() == Some('(') {
            return self.function(name, start).map(Token::Function);
        }
        Ok(Token::Name(name.into()))
    }

    fn function(&mut self, name: &str, start: usize) -> Result<Function, JsonPathError> {
        self.at += 1;
        let arguments = self.nested(Self::arguments)?;
        Function::new(name, arguments).ok_or_else(|| {
            let message = format!("there is no function {name}");
            JsonPathError { position: self.position(start), message }
        })
    }

    fn bracket(&mut self) -> Result<Token, JsonPathError> {
        let start = self.at;
        self.at += 1;
        self.skip_space();
        match self.peek() {
            Some(quote @ ('\'' | '"')) => self.names(quote),
            Some('*') => {
                self.at += 1;
                self.closing_bracket()?;
                Ok(Token::Wildcard)
            }
            Some('?') => {
                self.at += 1;
                self.skip_space();
                self.expect("(")?;
                let condition = self.nested(Self::condition)?;
                self.skip_space();
                self.expect(")")?;
                self.closing_bracket()?;
                Ok(Token::Filter(Box::new(condition)))
            }
            Some('0'..='9' | '-' | ':') => self.indices(),
            _ => {
                self.at = start;
                Err(self.error("a quoted name, an index, '*' or '?' must follow '['"))
            }
        }
    }

    fn names(&mut self, quote: char) -> Result<Token, JsonPathError> {
        let mut names = Vec::new();
        loop {
            self.skip_space();
            if self.peek() != Some(quote) {
                return Err(self.error("a quoted name is expected"));
            }
            names.push(self.quoted(quote)?.into_boxed_str());
            self.skip_space();
            if !self.take(",") {
                break;
            }
        }
        self.closing_bracket()?;
        Ok(match <[Box<str>; 1]>::try_from(names) {
            Ok([name]) => Token::Name(name),
            Err(names) => Token::Names(names.into_boxed_slice()),
        })
    }

    fn indices(&mut self) -> Result<Token, JsonPathError> {
        let start = self.at;
        let Some(length) = self.text[start..].find(']') else {
            return Err(self.error("']' is missing"));
        };
        let inside = &self.text[start..start + length];
        self.at = start + length + 1;
        let token = if inside.contains(':') { slice(inside) } else { indices(inside) };
        token.ok_or_else(|| JsonPathError {
            position: self.position(start),
            message: format!("[{inside}] is not a list of indices or a slice"),
        })
    }

    /// A string in quotes, with the escapes of Java.
    pub(super) fn quoted(&mut self, quote: char) -> Result<String, JsonPathError> {
        let start = self.at;
        self.at += quote.len_utf8();
        let mut string = String::new();
        loop {
            match self.next() {
                Some(next) if next == quote => return Ok(string),
                Some('\\') => string.push(self.escape()),
                Some(next) => string.push(next),
                None => {
                    self.at = start;
                    return Err(self.error("the closing quote is missing"));
                }
            }
        }
    }

    fn escape(&mut self) -> char {
        match self.next() {
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => self.unicode_escape(),
            Some(other) => other,
            None => '\\',
        }
    }

    fn unicode_escape(&mut self) -> char {
        let digits = self.text.get(self.at..self.at + 4);
        let Some(unit) = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) else {
            return 'u';
        };
        self.at += 4;
        char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    fn closing_bracket(&mut self) -> Result<(), JsonPathError> {
        self.skip_space();
        self.expect("]")
    }

    /// Parses what stands within something else.
    pub(super) fn nested<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, JsonPathError>,
    ) -> Result<T, JsonPathError> {
        if self.nesting == MAX_SYNTAX_NESTING {
            return Err(self.error("the path nests too deep"));
        }
        self.nesting += 1;
        let parsed = parse(self)?;
        self.nesting -= 1;
        Ok(parsed)
    }

    pub(super) fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    pub(super) fn take(&mut self, word: &str) -> bool {
        let found = self.text[self.at..].starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    pub(super) fn expect(&mut self, word: &str) -> Result<(), JsonPathError> {
        if self.take(word) { Ok(()) } else { Err(self.error(&format!("'{word}' is expected"))) }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// The part read since `start`.
    pub(super) fn since(&self, start: usize) -> &'p str {
        &self.text[start..self.at]
    }

    pub(super) fn error(&self, message: &str) -> JsonPathError {
        JsonPathError { position: self.position(self.at), message: message.to_owned() }
    }

    fn position(&self, at: usize) -> usize {
        self.text[..at].chars().count() + 1
    }
}

fn indices(inside: &str) -> Option<Token> {
    let indices: Option<Box<[i32]>> =
        inside.split(',').map(|index| index.trim().parse().ok()).collect();
    Some(match *indices? {
        [index] => Token::Index(index),
        ref indices => Token::Indices(indices.into()),
    })
}

/// A third part, Python's step, is ignored as Jayway does.
fn slice(inside: &str) -> Option<Token> {
    let mut parts = inside.split(':').map(|part| match part.trim() {
        "" => Some(None),
        part => part.parse().ok().map(Some),
    });
    let (from, to) = (parts.next()??, parts.next()??);
    (from.is_some() || to.is_some()).then_some(Token::Slice(Slice { from, to }))
}
