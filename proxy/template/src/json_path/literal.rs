//! Constants in filters and function arguments: JSON as lenient as json-smart reads it.

use super::JsonPathError;
use super::parse::Parser;
use crate::json;
use crate::value::Number;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Null,
    Boolean(bool),
    Number(Number),
    Text(Box<str>),
    List(Box<[Literal]>),
    Map(Box<[(Box<str>, Literal)]>),
}

impl Parser<'_> {
    /// A literal that stands by itself.
    pub(super) fn literal(&mut self) -> Result<Literal, JsonPathError> {
        let start = self.at;
        match self.item()? {
            // Only within `[…]` and `{…}` may a string have no quotes.
            Literal::Text(_) if !self.since(start).starts_with(['\'', '"']) => {
                self.at = start;
                Err(self.error("a path, string, number, pattern, list or object is expected"))
            }
            literal => Ok(literal),
        }
    }

    fn item(&mut self) -> Result<Literal, JsonPathError> {
        self.skip_space();
        match self.peek() {
            Some(quote @ ('\'' | '"')) => Ok(Literal::Text(self.quoted(quote)?.into())),
            Some('[') => self.nested(Self::list),
            Some('{') => self.nested(Self::map),
            _ => self.bare(),
        }
    }

    fn list(&mut self) -> Result<Literal, JsonPathError> {
        self.at += 1;
        let mut items = Vec::new();
        while !self.literal_ends("]") {
            items.push(self.item()?);
            self.separator("]")?;
        }
        Ok(Literal::List(items.into()))
    }

    fn map(&mut self) -> Result<Literal, JsonPathError> {
        self.at += 1;
        let mut members = Vec::new();
        while !self.literal_ends("}") {
            let key = match self.peek() {
                Some(quote @ ('\'' | '"')) => self.quoted(quote)?.into(),
                _ => self.word()?.into(),
            };
            self.skip_space();
            self.expect(":")?;
            members.push((key, self.item()?));
            self.separator("}")?;
        }
        Ok(Literal::Map(members.into()))
    }

    fn literal_ends(&mut self, close: &str) -> bool {
        self.skip_space();
        self.take(close)
    }

    /// A comma, or what the closing bracket follows.
    fn separator(&mut self, close: &str) -> Result<(), JsonPathError> {
        self.skip_space();
        if self.take(",") || self.text[self.at..].starts_with(close) {
            return Ok(());
        }
        Err(self.error(&format!("',' or '{close}' is expected")))
    }

    /// `null`, `true`, `false`, a number or, in lists and objects, a string without quotes.
    fn bare(&mut self) -> Result<Literal, JsonPathError> {
        Ok(match self.word()? {
            "null" => Literal::Null,
            "true" => Literal::Boolean(true),
            "false" => Literal::Boolean(false),
            word => number(word).map_or_else(|| Literal::Text(word.into()), Literal::Number),
        })
    }

    fn word(&mut self) -> Result<&str, JsonPathError> {
        let start = self.at;
        self.skip_while(|c| {
            c.is_alphanumeric() || matches!(c, '-' | '+' | '.' | '_' | '$' | '@' | '#' | '/')
        });
        if self.at == start {
            return Err(self.error("a value is expected"));
        }
        Ok(self.since(start))
    }
}

fn number(word: &str) -> Option<Number> {
    let plain = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    (word.bytes().all(plain) && word.bytes().any(|byte| byte.is_ascii_digit()))
        .then(|| json::number(word))?
}
