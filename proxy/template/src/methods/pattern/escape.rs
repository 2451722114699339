//! What follows a `\` in a pattern, inside and outside of brackets.

use super::property::property;
use super::translate::Translator;

/// An escape that stands for characters.
pub(super) enum Escape {
    Character(char),
    /// The inside of a bracket expression, and whether it is negated.
    Set(String, bool),
}

const DIGIT: &str = "0-9";
const WORD: &str = "a-zA-Z_0-9";
const SPACE: &str = r"\x20\t\n\x0B\f\r";
const HORIZONTAL: &str = r"\x20\t\x{A0}\x{1680}\x{180e}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}";
const VERTICAL: &str = r"\n\x0B\f\r\x{85}\x{2028}\x{2029}";

impl Translator {
    /// An escape for one character or a set of them, the `\` being read. `escaped` is read too.
    pub(super) fn character_escape(&mut self, escaped: char) -> Result<Escape, String> {
        let set = |inside: &str, negated| Ok(Escape::Set(inside.to_owned(), negated));
        let character = |c: char| Ok(Escape::Character(c));
        match escaped {
            'd' => set(DIGIT, false),
            'D' => set(DIGIT, true),
            'w' => set(WORD, false),
            'W' => set(WORD, true),
            's' => set(SPACE, false),
            'S' => set(SPACE, true),
            'h' => set(HORIZONTAL, false),
            'H' => set(HORIZONTAL, true),
            'v' => set(VERTICAL, false),
            'V' => set(VERTICAL, true),
            'p' | 'P' => Ok(Escape::Set(self.property_name()?, escaped == 'P')),
            't' => character('\t'),
            'n' => character('\n'),
            'r' => character('\r'),
            'f' => character('\u{c}'),
            'a' => character('\u{7}'),
            'e' => character('\u{1b}'),
            'c' => match self.next() {
                Some(control) if control.is_ascii() => character(char::from(control as u8 ^ 64)),
                _ => Err("Illegal control escape sequence".to_owned()),
            },
            '0' => self.octal().map(Escape::Character),
            'x' => self.hexadecimal().map(Escape::Character),
            'u' => self.utf16().map(Escape::Character),
            c if c.is_ascii_alphanumeric() => Err("Illegal/unsupported escape sequence".to_owned()),
            c => character(c),
        }
    }

    fn property_name(&mut self) -> Result<String, String> {
        let name = match self.next() {
            Some('{') => {
                let mut name = String::new();
                loop {
                    match self.next() {
                        Some('}') => break name,
                        Some(c) => name.push(c),
                        None => return Err("Unclosed character family".to_owned()),
                    }
                }
            }
            Some(c) => c.to_string(),
            None => return Err("Illegal/unsupported escape sequence".to_owned()),
        };
        property(&name).ok_or_else(|| format!("Unknown character property name {{{name}}}"))
    }

    /// `\0n`, `\0nn`, `\0mnn`, m at most 3.
    fn octal(&mut self) -> Result<char, String> {
        let digit = |c: Option<char>| c.and_then(|c| c.to_digit(8));
        let Some(mut value) = digit(self.peek()) else {
            return Err("Illegal octal escape sequence".to_owned());
        };
        self.next();
        let most = if value <= 3 { 2 } else { 1 };
        for _ in 0..most {
            let Some(next) = digit(self.peek()) else { break };
            self.next();
            value = value * 8 + next;
        }
        char::from_u32(value).ok_or_else(|| "Illegal octal escape sequence".to_owned())
    }

    fn hexadecimal(&mut self) -> Result<char, String> {
        let illegal = || "Illegal hexadecimal escape sequence".to_owned();
        let value = if self.peek() == Some('{') {
            self.next();
            let mut value = 0u32;
            loop {
                match self.next() {
                    Some('}') => break value,
                    Some(c) => {
                        let digit = c.to_digit(16).ok_or_else(illegal)?;
                        value = value.checked_mul(16).ok_or_else(illegal)? + digit;
                    }
                    None => return Err("Unclosed hexadecimal escape sequence".to_owned()),
                }
            }
        } else {
            self.hexadecimal_digits(2).ok_or_else(illegal)?
        };
        char::from_u32(value).ok_or_else(illegal)
    }

    /// `\uhhhh`, two of them for a pair.
    fn utf16(&mut self) -> Result<char, String> {
        let illegal = || "Illegal Unicode escape sequence".to_owned();
        let high = self.hexadecimal_digits(4).ok_or_else(illegal)?;
        if !(0xd800..0xdc00).contains(&high) {
            return char::from_u32(high).ok_or_else(illegal);
        }
        if self.next() != Some('\\') || self.next() != Some('u') {
            return Err(illegal());
        }
        let low = self.hexadecimal_digits(4).ok_or_else(illegal)?;
        if !(0xdc00..0xe000).contains(&low) {
            return Err(illegal());
        }
        char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)).ok_or_else(illegal)
    }

    fn hexadecimal_digits(&mut self, count: usize) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value * 16 + self.next()?.to_digit(16)?))
    }
}
