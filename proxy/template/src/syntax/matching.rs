//! Which token comes next: of all that the state knows the longest, then the grammar's first.

use super::lexer::{Lexer, State};
use super::scan;
use super::token::Kind;

/// What was found last, so that a long run is not read again for each of its characters.
#[derive(Debug, Default)]
pub(super) struct Memory {
    backslashes: (usize, usize),
    set: Option<(usize, Option<usize>)>,
    escaped_word: Option<(usize, Option<usize>)>,
}

/// The longest match so far.
struct Best {
    kind: Option<Kind>,
    end: usize,
}

impl Best {
    fn offer(&mut self, kind: Kind, end: Option<usize>) {
        let Some(end) = end else { return };
        let better =
            self.kind.is_none_or(|held| end > self.end || (end == self.end && kind < held));
        if better {
            *self = Self { kind: Some(kind), end };
        }
    }
}

impl<'s> Lexer<'s> {
    pub(super) fn longest_match(&mut self) -> Option<(Kind, usize)> {
        let mut best = Best { kind: None, end: self.position };
        self.offer_everywhere(&mut best);
        match self.state {
            State::Default => self.offer_text(&mut best),
            State::Reference | State::Modifier => self.offer_reference(&mut best),
            State::Index => self.offer_index(&mut best),
            State::Arguments => self.offer_arguments(&mut best),
            State::PreDirective => self.offer_pre_directive(&mut best),
            State::Directive => self.offer_directive(&mut best),
            State::LineComment | State::Comment | State::FormalComment | State::Textblock => {
                self.offer_comment(&mut best);
            }
        }
        best.kind.map(|kind| (kind, best.end))
    }

    fn bytes(&self) -> &'s [u8] {
        self.text.as_bytes()
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.bytes().get(self.position + ahead).copied()
    }

    fn literal(&self, literal: &str) -> Option<usize> {
        scan::starts(self.bytes(), self.position, literal.as_bytes())
            .then_some(self.position + literal.len())
    }

    /// The next character, whatever it is.
    fn any(&self) -> Option<usize> {
        let length = self.text[self.position..].chars().next()?.len_utf8();
        Some(self.position + length)
    }

    fn backslashes_end(&mut self, from: usize) -> usize {
        let (start, end) = self.memory.backslashes;
        if !(start..end).contains(&from) {
            self.memory.backslashes = (from, scan::backslashes(self.bytes(), from));
        }
        self.memory.backslashes.1
    }

    fn offer_everywhere(&mut self, best: &mut Best) {
        match self.byte(0) {
            Some(b'#') => {
                best.offer(Kind::Hash, self.literal("#"));
                best.offer(Kind::TextblockOpen, self.literal("#[["));
                best.offer(Kind::CommentOpen, self.literal("#*"));
                if let Some(after) = self.literal("#**") {
                    let next = self.text[after..].chars().next().filter(|&next| next != '#');
                    best.offer(Kind::FormalCommentOpen, next.map(|next| after + next.len_utf8()));
                }
                if matches!(
                    self.state,
                    State::Default | State::Reference | State::Directive | State::PreDirective
                ) {
                    best.offer(Kind::LineCommentOpen, self.literal("##"));
                }
            }
            Some(b'\\' | b'$') => {
                let dollar = self.backslashes_end(self.position);
                if self.bytes().get(dollar) != Some(&b'$') {
                    return;
                }
                best.offer(Kind::Dollar, Some(dollar + 1));
                let bang = self.backslashes_end(dollar + 1);
                if self.bytes().get(bang) == Some(&b'!') {
                    best.offer(Kind::DollarBang, Some(bang + 1));
                }
            }
            _ => {}
        }
    }

    fn offer_set(&mut self, best: &mut Best) {
        if !matches!(self.byte(0), Some(b' ' | b'\t' | b'#')) {
            return;
        }
        let end = match self.memory.set {
            Some((position, end)) if position == self.position => end,
            _ => {
                let end = scan::set(self.bytes(), self.position);
                self.memory.set = Some((self.position, end));
                end
            }
        };
        best.offer(Kind::Set, end);
    }

    fn offer_lone_dollar(&self, best: &mut Best) {
        if self.byte(0) == Some(b'$') {
            for image in ["$[", "$.", "$![", "$\\!["] {
                best.offer(Kind::LoneDollar, self.literal(image));
            }
        }
    }

    fn offer_text(&mut self, best: &mut Best) {
        self.offer_set(best);
        self.offer_lone_dollar(best);
        let rest = &self.bytes()[self.position..];
        match memchr::memchr3(b'$', b'#', b'\\', rest) {
            Some(0) => {}
            length => best.offer(Kind::Text, Some(self.position + length.unwrap_or(rest.len()))),
        }
        if self.byte(0) == Some(b'\\') {
            best.offer(Kind::Backslash, self.literal("\\"));
            best.offer(Kind::DoubleBackslash, self.literal("\\\\"));
            let hash = self.backslashes_end(self.position);
            if (hash - self.position) % 2 == 1 && self.bytes().get(hash) == Some(&b'#') {
                best.offer(Kind::EscapedDirective, self.word_after(hash + 1));
            }
        }
    }

    fn word_after(&mut self, position: usize) -> Option<usize> {
        if let Some((known, end)) = self.memory.escaped_word
            && known == position
        {
            return end;
        }
        let bytes = self.bytes();
        let end = scan::word(bytes, position).or_else(|| scan::bracketed_word(bytes, position));
        self.memory.escaped_word = Some((position, end));
        end
    }

    fn offer_booleans(&self, best: &mut Best) {
        best.offer(Kind::True, self.literal("true"));
        best.offer(Kind::False, self.literal("false"));
    }

    fn offer_identifiers(&self, best: &mut Best) {
        best.offer(Kind::Identifier, scan::identifier(self.bytes(), self.position));
        if self.byte(0) == Some(b'.') && self.byte(1).is_some_and(|next| next.is_ascii_alphabetic())
        {
            best.offer(Kind::Dot, Some(self.position + 2));
        }
    }

    fn offer_reference(&mut self, best: &mut Best) {
        self.offer_set(best);
        self.offer_booleans(best);
        self.offer_identifiers(best);
        best.offer(Kind::IndexOpen, self.literal("["));
        best.offer(Kind::CurlyOpen, self.literal("{"));
        best.offer(Kind::CurlyClose, self.literal("}"));
        if self.state == State::Modifier {
            best.offer(Kind::ParenthesisOpen, self.literal("("));
        } else {
            self.offer_lone_dollar(best);
        }
        best.offer(Kind::ReferenceEnd, self.any());
    }

    fn offer_index(&self, best: &mut Best) {
        best.offer(Kind::IndexClose, self.literal("]"));
        self.offer_values(best);
    }

    /// What may stand wherever values do.
    fn offer_values(&self, best: &mut Best) {
        self.offer_booleans(best);
        self.offer_numbers(best);
        best.offer(Kind::Whitespace, scan::whitespace(self.bytes(), self.position));
        if matches!(self.byte(0), Some(b'"' | b'\'')) {
            best.offer(Kind::String, scan::string(self.bytes(), self.position));
        }
    }

    fn offer_numbers(&self, best: &mut Best) {
        best.offer(Kind::Integer, scan::integer(self.bytes(), self.position));
        best.offer(Kind::FloatingPoint, scan::floating_point(self.bytes(), self.position));
    }

    /// What both a directive's and a method's arguments have.
    fn offer_punctuation(&self, best: &mut Best) {
        for (kind, image) in [
            (Kind::BracketOpen, "["),
            (Kind::BracketClose, "]"),
            (Kind::Comma, ","),
            (Kind::DoubleDot, ".."),
            (Kind::Colon, ":"),
            (Kind::MapOpen, "{"),
            (Kind::MapClose, "}"),
        ] {
            best.offer(kind, self.literal(image));
        }
    }

    fn offer_arguments(&mut self, best: &mut Best) {
        self.offer_set(best);
        self.offer_punctuation(best);
        self.offer_values(best);
        self.offer_identifiers(best);
        best.offer(Kind::MethodClose, self.literal(")"));
    }

    fn offer_words(&self, best: &mut Best) {
        best.offer(Kind::Word, scan::word(self.bytes(), self.position));
        best.offer(Kind::BracketedWord, scan::bracketed_word(self.bytes(), self.position));
    }

    fn offer_pre_directive(&self, best: &mut Best) {
        self.offer_numbers(best);
        self.offer_words(best);
        for (kind, images) in [
            (Kind::If, ["if", "{if}"]),
            (Kind::ElseIf, ["elseif", "{elseif}"]),
            (Kind::Else, ["else", "{else}"]),
            (Kind::End, ["end", "{end}"]),
        ] {
            for image in images {
                let end = self.literal(image);
                best.offer(
                    kind,
                    match kind {
                        Kind::Else | Kind::End => {
                            end.map(|end| scan::rest_of_line(self.bytes(), end))
                        }
                        _ => end,
                    },
                );
            }
        }
        best.offer(Kind::DirectiveEnd, self.any());
    }

    fn offer_directive(&self, best: &mut Best) {
        self.offer_punctuation(best);
        self.offer_values(best);
        self.offer_words(best);
        best.offer(Kind::ParenthesisOpen, self.literal("("));
        let close = self.literal(")").map(|end| scan::rest_of_line(self.bytes(), end));
        best.offer(Kind::ParenthesisClose, close);
        for (kind, image) in OPERATORS {
            best.offer(kind, self.literal(image));
        }
    }

    fn offer_comment(&self, best: &mut Best) {
        match self.state {
            State::Textblock => {
                best.offer(Kind::Textblock, self.literal("]]#"));
                best.offer(Kind::TextblockCharacter, self.any());
                return;
            }
            State::LineComment => {
                best.offer(Kind::LineCommentClose, scan::line_end(self.bytes(), self.position));
            }
            State::Comment => best.offer(Kind::CommentClose, self.literal("*#")),
            _ => best.offer(Kind::FormalCommentClose, self.literal("*#")),
        }
        best.offer(Kind::Skipped, self.any());
    }
}

const OPERATORS: [(Kind, &str); 24] = [
    (Kind::Minus, "-"),
    (Kind::Plus, "+"),
    (Kind::Multiply, "*"),
    (Kind::Divide, "/"),
    (Kind::Remainder, "%"),
    (Kind::And, "&&"),
    (Kind::And, "and"),
    (Kind::Or, "||"),
    (Kind::Or, "or"),
    (Kind::Less, "<"),
    (Kind::Less, "lt"),
    (Kind::LessOrEqual, "<="),
    (Kind::LessOrEqual, "le"),
    (Kind::Greater, ">"),
    (Kind::Greater, "gt"),
    (Kind::GreaterOrEqual, ">="),
    (Kind::GreaterOrEqual, "ge"),
    (Kind::Equal, "=="),
    (Kind::Equal, "eq"),
    (Kind::NotEqual, "!="),
    (Kind::NotEqual, "ne"),
    (Kind::Not, "!"),
    (Kind::Not, "not"),
    (Kind::Assign, "="),
];
