//! From text to tokens. What a character means depends on what stands before it: the lexer is in
//! one of a few states, kept on a stack, as Velocity's is. Tokens are made when they are asked
//! for, because the parser changes the state too.

use super::SyntaxError;
use super::lone::Lone;
use super::matching::Memory;
use super::place::Place;
use super::scan;
use super::token::{Kind, Token};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Plain text.
    Default,
    /// After `$`.
    Reference,
    /// After `$a.`
    Modifier,
    /// In the brackets of `$a[…]`.
    Index,
    /// In the parentheses of `$a.b(…)`.
    Arguments,
    /// After `#`.
    PreDirective,
    /// In a directive's parentheses.
    Directive,
    LineComment,
    Comment,
    FormalComment,
    Textblock,
}

#[derive(Clone, Copy, Debug)]
struct Saved {
    state: State,
    opened: usize,
    closed: usize,
}

#[derive(Debug)]
pub(super) struct Lexer<'s> {
    pub(super) text: &'s str,
    pub(super) position: usize,
    pub(super) state: State,
    stack: Vec<Saved>,
    /// Parentheses opened and closed in this state.
    opened: usize,
    closed: usize,
    in_comment: bool,
    pub(super) in_set: bool,
    place: Place,
    pub(super) memory: Memory,
}

impl<'s> Lexer<'s> {
    /// `line` and `column` are those of the text's first character.
    pub(super) fn new(text: &'s str, line: u32, column: u32) -> Self {
        Self {
            text,
            position: 0,
            state: State::Default,
            stack: Vec::new(),
            opened: 0,
            closed: 0,
            in_comment: false,
            in_set: false,
            place: Place::new(line, column),
            memory: Memory::default(),
        }
    }

    /// `#name` was read: what follows is read as a directive's arguments.
    pub(super) fn enter_directive(&mut self) {
        self.state = State::Directive;
    }

    /// Whether `(` follows, after white space.
    pub(super) fn parenthesis_follows(&self) -> bool {
        let bytes = self.text.as_bytes();
        let open = scan::whitespace(bytes, self.position).unwrap_or(self.position);
        bytes.get(open) == Some(&b'(')
    }

    fn push(&mut self, next: State) {
        self.stack.push(Saved { state: self.state, opened: self.opened, closed: self.closed });
        self.opened = 0;
        self.state = next;
    }

    pub(super) fn pop(&mut self) -> bool {
        let Some(saved) = self.stack.pop() else {
            self.opened = 0;
            self.state = State::Default;
            return false;
        };
        self.opened = saved.opened;
        self.closed = saved.closed;
        self.state = saved.state;
        true
    }

    pub(super) fn next_token(&mut self) -> Result<Token, SyntaxError> {
        let mut lone = Lone::default();
        loop {
            let start = self.position;
            if start == self.text.len() {
                return Ok(self.token(Kind::EndOfText, start, start, lone));
            }
            loop {
                let Some((kind, end)) = self.longest_match() else {
                    return Err(self.stray(start));
                };
                self.position = end;
                match kind {
                    Kind::Dollar
                    | Kind::DollarBang
                    | Kind::TextblockOpen
                    | Kind::FormalCommentOpen
                    | Kind::CommentOpen
                    | Kind::Hash
                    | Kind::TextblockCharacter => {
                        self.continue_after(kind);
                        if self.position == self.text.len() {
                            return Err(self.unfinished(start));
                        }
                    }
                    Kind::Skipped => break,
                    Kind::ReferenceEnd | Kind::DirectiveEnd => {
                        lone.add(&self.text[start..end]);
                        self.back_one();
                        self.pop();
                        break;
                    }
                    _ => {
                        let mut token = self.token(kind, start, end, lone);
                        self.act(&mut token);
                        return Ok(token);
                    }
                }
            }
        }
    }

    fn token(&mut self, kind: Kind, start: usize, end: usize, lone: Lone) -> Token {
        let (line, column) = self.place.advance(self.text, start);
        Token { kind, start, end, line, column, lone: lone.finish() }
    }

    fn back_one(&mut self) {
        let last = self.text[..self.position].chars().next_back().map_or(0, char::len_utf8);
        self.position -= last;
    }

    /// The state after something that begins a token.
    fn continue_after(&mut self, kind: Kind) {
        if self.in_comment {
            return;
        }
        match kind {
            Kind::Dollar | Kind::DollarBang => {
                if self.state == State::Reference {
                    self.pop();
                }
                self.push(State::Reference);
            }
            Kind::Hash => {
                if matches!(self.state, State::Reference | State::Modifier) {
                    self.pop();
                }
                self.push(State::PreDirective);
            }
            Kind::TextblockOpen => self.enter_comment(State::Textblock),
            Kind::CommentOpen => self.enter_comment(State::Comment),
            Kind::FormalCommentOpen => {
                self.back_one();
                self.enter_comment(State::FormalComment);
            }
            _ => {}
        }
    }

    fn enter_comment(&mut self, state: State) {
        self.in_comment = true;
        self.push(state);
    }

    /// The state after a whole token.
    fn act(&mut self, token: &mut Token) {
        match token.kind {
            Kind::IndexOpen => self.push(State::Index),
            Kind::IndexClose | Kind::CurlyClose => {
                self.pop();
            }
            Kind::ParenthesisOpen => {
                if !self.in_comment {
                    self.opened += 1;
                }
                if self.state == State::Modifier {
                    self.state = State::Arguments;
                }
            }
            Kind::ParenthesisClose => self.close_parenthesis(),
            Kind::MethodClose => self.state = State::Reference,
            Kind::Set if !self.in_comment => {
                self.push(State::Directive);
                self.in_set = true;
                self.opened += 1;
            }
            Kind::LineCommentOpen if !self.in_comment => {
                if self.state == State::Reference {
                    self.pop();
                }
                self.enter_comment(State::LineComment);
            }
            Kind::LineCommentClose
            | Kind::FormalCommentClose
            | Kind::CommentClose
            | Kind::Textblock => {
                self.in_comment = false;
                self.pop();
            }
            Kind::String | Kind::Integer | Kind::FloatingPoint => self.act_on_literal(token),
            Kind::End | Kind::Else => {
                self.pop();
            }
            Kind::If | Kind::ElseIf => self.state = State::Directive,
            Kind::Dot => {
                self.back_one();
                token.start = self.position - 1;
                token.end = self.position;
                self.state = State::Modifier;
            }
            _ => {}
        }
    }

    /// A literal outside all parentheses ends the directive it stands in.
    fn act_on_literal(&mut self, token: &mut Token) {
        let outside = match token.kind {
            Kind::String => self.state == State::Directive,
            Kind::Integer => !matches!(self.state, State::Arguments | State::Index),
            _ => self.state != State::Arguments,
        };
        if token.kind == Kind::Integer && self.text[token.start..token.end].ends_with("..") {
            self.position -= 2;
            token.end -= 2;
        }
        if outside && self.opened == 0 && !self.in_set {
            self.pop();
        }
    }

    /// Drops to the state below the one that this parenthesis closes.
    fn close_parenthesis(&mut self) {
        while !self.in_comment {
            if self.opened == 0 {
                if !self.pop() {
                    return;
                }
                continue;
            }
            if self.opened == self.closed + 1 {
                self.pop();
            } else {
                self.closed += 1;
            }
            return;
        }
    }

    /// No token begins with this character here.
    fn stray(&mut self, start: usize) -> SyntaxError {
        let found = self.text[self.position..].chars().next();
        let (line, column) = self.place.advance(self.text, self.position.max(start));
        let message = match found {
            Some('"' | '\'') => "the string that starts here is not closed".to_owned(),
            Some(found) => format!("`{}` is not allowed here", found.escape_debug()),
            None => "the template ends where more is needed".to_owned(),
        };
        SyntaxError { line, column, message }
    }

    /// The text ended within a token.
    fn unfinished(&mut self, start: usize) -> SyntaxError {
        let (line, column) = self.place.advance(self.text, start);
        let message = if self.state == State::Textblock {
            "`#[[` is not closed by `]]#`"
        } else {
            "text can't end with `$` or `#`, or right after `#*`"
        };
        SyntaxError { line, column, message: message.to_owned() }
    }
}
