//! Patterns with `*` (any characters), `?` (one character) and policy variables.
//!
//! A pattern is cut at its `*`: the first piece has to be where the text begins, the last where it
//! ends, and each of the others is looked for once, behind the one before. There is no going back,
//! so the time is the text's length, times a piece's where pieces have a `?` or no case.

use memchr::memmem;

use crate::policy::Request;

/// A pattern or plain text, perhaps with variables.
#[derive(Clone, Debug)]
pub(crate) enum Text {
    Fixed(Pattern),
    /// Made to a pattern when the variables' values are known.
    WithVariables(Box<[Token]>, Case),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    Sensitive,
    Insensitive,
}

impl Case {
    fn equal(self, text: &[u8], other: &[u8]) -> bool {
        match self {
            Self::Sensitive => text == other,
            Self::Insensitive => text.eq_ignore_ascii_case(other),
        }
    }
}

/// What in a text is more than itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Syntax {
    /// `*` and `?`.
    pub(crate) wildcards: bool,
    /// `${key}`: policies of version 2012-10-17.
    pub(crate) variables: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Token {
    Byte(u8),
    One,
    Many,
    Variable { key: Box<str>, default: Option<Box<str>> },
}

impl Text {
    /// # Errors
    /// A `${` without its end, or with nothing in it.
    pub(crate) fn parse(text: &str, syntax: Syntax, case: Case) -> Result<Self, &'static str> {
        if !(syntax.variables && text.contains("${")) {
            return Ok(Self::Fixed(Pattern::of_text(text, syntax.wildcards, case)));
        }
        Ok(Self::WithVariables(tokens(text, syntax)?.into(), case))
    }

    /// None: a variable has no value.
    pub(crate) fn matches(&self, text: &str, request: &Request<'_>) -> Option<bool> {
        match self {
            Self::Fixed(pattern) => Some(pattern.matches(text)),
            Self::WithVariables(tokens, case) => {
                let tokens = resolve(tokens, request)?;
                Some(Pattern::of_tokens(&tokens, *case).matches(text))
            }
        }
    }
}

fn tokens(text: &str, syntax: Syntax) -> Result<Vec<Token>, &'static str> {
    let mut tokens = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(byte) = rest.bytes().next() {
        if syntax.variables && rest.starts_with("${") {
            let end = rest.find('}').ok_or("has a ${ without }")?;
            tokens.push(variable(&rest[2..end])?);
            rest = &rest[end + 1..];
            continue;
        }
        tokens.push(match byte {
            b'*' if syntax.wildcards => Token::Many,
            b'?' if syntax.wildcards => Token::One,
            byte => Token::Byte(byte),
        });
        // Bytes of a character beyond ASCII go one by one: none of them is special.
        let length = rest.chars().next().map_or(1, char::len_utf8);
        tokens.extend(rest.as_bytes()[1..length].iter().map(|byte| Token::Byte(*byte)));
        rest = &rest[length..];
    }
    Ok(tokens)
}

/// What is between `${` and `}`: a key, perhaps with a default in quotes, or a character that
/// would be special.
fn variable(text: &str) -> Result<Token, &'static str> {
    if let "*" | "?" | "$" = text {
        return Ok(Token::Byte(text.as_bytes()[0]));
    }
    let (key, default) = match text.split_once(',') {
        None => (text, None),
        Some((key, default)) => {
            let quoted = default.trim().strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
            (key, Some(quoted.ok_or("has a variable whose default is not in single quotes")?))
        }
    };
    let key = key.trim();
    if key.is_empty() {
        return Err("has a variable without a name");
    }
    Ok(Token::Variable { key: key.to_ascii_lowercase().into(), default: default.map(Box::from) })
}

/// Values in the place of variables, where nothing in them is special. A key with several values
/// can't be a variable.
fn resolve(tokens: &[Token], request: &Request<'_>) -> Option<Vec<Token>> {
    let mut resolved = Vec::with_capacity(tokens.len());
    for token in tokens {
        let Token::Variable { key, default } = token else {
            resolved.push(token.clone());
            continue;
        };
        let mut values = 0;
        request.each_value(key, &mut |value| {
            values += 1;
            if values == 1 {
                resolved.extend(value.bytes().map(Token::Byte));
            }
        });
        match values {
            0 => resolved.extend(default.as_ref()?.bytes().map(Token::Byte)),
            1 => {}
            _ => return None,
        }
    }
    Some(resolved)
}

/// A pattern without variables.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    first: Piece,
    /// What follows the first `*`; none without one.
    others: Option<Others>,
    case: Case,
}

#[derive(Clone, Debug)]
struct Others {
    middle: Box<[Piece]>,
    last: Piece,
}

/// What stands between two `*`.
#[derive(Clone, Debug)]
enum Piece {
    Plain(Box<[u8]>),
    /// With `?`, or with values of variables.
    Elements(Box<[Element]>),
}

#[derive(Clone, Copy, Debug)]
enum Element {
    Byte(u8),
    One,
}

impl Pattern {
    fn of_text(text: &str, wildcards: bool, case: Case) -> Self {
        if !wildcards {
            return Self::new([Piece::Plain(text.as_bytes().into())].into_iter(), case);
        }
        let piece = |text: &[u8]| match memchr::memchr(b'?', text) {
            None => Piece::Plain(text.into()),
            Some(_) => Piece::Elements(
                text.iter()
                    .map(|byte| if *byte == b'?' { Element::One } else { Element::Byte(*byte) })
                    .collect(),
            ),
        };
        Self::new(text.as_bytes().split(|byte| *byte == b'*').map(piece), case)
    }

    /// Tokens whose variables are resolved.
    fn of_tokens(tokens: &[Token], case: Case) -> Self {
        let element = |token: &Token| match token {
            Token::Byte(byte) => Some(Element::Byte(*byte)),
            Token::One => Some(Element::One),
            Token::Many | Token::Variable { .. } => None,
        };
        let pieces = tokens.split(|token| matches!(token, Token::Many));
        let piece = |tokens: &[Token]| Piece::Elements(tokens.iter().filter_map(element).collect());
        Self::new(pieces.map(piece), case)
    }

    /// Of the pieces between the `*`.
    fn new(mut pieces: impl Iterator<Item = Piece>, case: Case) -> Self {
        let first = pieces.next().unwrap_or_else(|| Piece::Plain(Box::default()));
        let mut middle: Vec<Piece> = pieces.collect();
        let others = middle.pop().map(|last| {
            middle.retain(|piece| !piece.is_empty());
            Others { middle: middle.into(), last }
        });
        Self { first, others, case }
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        let text = text.as_bytes();
        let Some(mut at) = self.first.at_start(text, self.case) else { return false };
        let Some(others) = &self.others else { return at == text.len() };
        for piece in &others.middle {
            match piece.find(&text[at..], self.case) {
                Some(end) => at += end,
                None => return false,
            }
        }
        others.last.at_end(&text[at..], self.case)
    }
}

impl Piece {
    fn is_empty(&self) -> bool {
        match self {
            Self::Plain(plain) => plain.is_empty(),
            Self::Elements(elements) => elements.is_empty(),
        }
    }

    /// Where it ends, if the text begins with it.
    fn at_start(&self, text: &[u8], case: Case) -> Option<usize> {
        match self {
            Self::Plain(plain) => {
                text.get(..plain.len()).filter(|start| case.equal(start, plain)).map(<[u8]>::len)
            }
            Self::Elements(elements) => {
                let mut at = 0;
                for element in elements {
                    at += element.length(&text[at..], case)?;
                }
                Some(at)
            }
        }
    }

    fn at_end(&self, text: &[u8], case: Case) -> bool {
        match self {
            Self::Plain(plain) => text
                .len()
                .checked_sub(plain.len())
                .is_some_and(|start| case.equal(&text[start..], plain)),
            Self::Elements(elements) => {
                let mut end = text.len();
                elements.iter().rev().all(|element| {
                    let start = last_character(&text[..end], element);
                    let fits = start
                        .is_some_and(|start| element.length(&text[start..end], case).is_some());
                    end = start.unwrap_or(0);
                    fits
                })
            }
        }
    }

    /// Where its first occurrence ends.
    fn find(&self, text: &[u8], case: Case) -> Option<usize> {
        match self {
            Self::Plain(plain) if case == Case::Sensitive => {
                memmem::find(text, plain).map(|at| at + plain.len())
            }
            _ => (0..=text.len())
                .filter(|at| text.get(*at).is_none_or(|byte| !is_continuation(*byte)))
                .find_map(|at| self.at_start(&text[at..], case).map(|length| at + length)),
        }
    }
}

impl Element {
    /// How many bytes of the text's beginning it takes.
    fn length(self, text: &[u8], case: Case) -> Option<usize> {
        let first = *text.first()?;
        match self {
            Self::One => Some(1 + text[1..].iter().take_while(|b| is_continuation(**b)).count()),
            Self::Byte(byte) => case.equal(&[first], &[byte]).then_some(1),
        }
    }
}

/// Where the last byte, or for [`Element::One`] the last character, begins.
fn last_character(text: &[u8], element: &Element) -> Option<usize> {
    match element {
        Element::Byte(_) => text.len().checked_sub(1),
        Element::One => text.iter().rposition(|byte| !is_continuation(*byte)),
    }
}

/// Whether a byte of UTF-8 goes on with a character.
fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

#[cfg(test)]
mod tests;
