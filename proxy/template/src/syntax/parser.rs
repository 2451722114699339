//! Statements, and what all productions share: tokens on demand, errors, nesting.

use std::collections::HashSet;

use super::SyntaxError;
use super::ast::{Block, Expression, If, Location, Node, Set};
use super::lexer::Lexer;
use super::references::Target;
use super::shared::Shared;
use super::token::{Kind, Token};
use crate::limits::MAX_SYNTAX_NESTING;

/// Directives that are part of Velocity, besides `#if` and `#set`.
const DIRECTIVES: [&str; 9] =
    ["foreach", "include", "parse", "macro", "literal", "evaluate", "break", "define", "stop"];

#[derive(Debug)]
pub(super) struct Parser<'s, 'p> {
    pub(super) lexer: Lexer<'s>,
    /// Tokens read since the last statement that stands in no other.
    tokens: Vec<Token>,
    /// The next token's index in `tokens`.
    next: usize,
    pub(super) shared: &'p mut Shared,
    /// Macros this text has defined up to here: their names can be escaped.
    pub(super) macro_names: HashSet<&'s str>,
    pub(super) nesting: usize,
    /// The deepest node met, see [`Parser::check_height`].
    pub(super) deepest: usize,
    /// This text is a string literal's.
    pub(super) in_string: bool,
}

/// A block being made; neighbouring texts become one.
#[derive(Default)]
pub(super) struct Body {
    nodes: Vec<Node>,
    text: String,
}

impl Body {
    pub(super) fn text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    pub(super) fn node(&mut self, node: Node) {
        self.flush();
        self.nodes.push(node);
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.nodes.push(Node::Text(std::mem::take(&mut self.text).into_boxed_str()));
        }
    }

    /// Takes back the blank a string literal's text was given at its end. Where a comment that
    /// isn't closed took the blank, Velocity takes the character before it.
    pub(super) fn drop_last_character(&mut self) {
        self.text.pop();
    }

    pub(super) fn finish(mut self) -> Block {
        self.flush();
        self.nodes.into_boxed_slice()
    }
}

impl<'s, 'p> Parser<'s, 'p> {
    pub(super) fn new(text: &'s str, shared: &'p mut Shared) -> Self {
        Self::at(text, shared, Location { line: 1, column: 1 })
    }

    pub(super) fn at(text: &'s str, shared: &'p mut Shared, location: Location) -> Self {
        Self {
            lexer: Lexer::new(text, location.line, location.column),
            tokens: Vec::new(),
            next: 0,
            shared,
            macro_names: HashSet::new(),
            nesting: 0,
            deepest: 0,
            in_string: false,
        }
    }

    pub(super) fn template(mut self) -> Result<Block, SyntaxError> {
        Ok(self.whole_text()?.finish())
    }

    pub(super) fn whole_text(&mut self) -> Result<Body, SyntaxError> {
        let mut body = Body::default();
        while self.peek()? != Kind::EndOfText {
            self.statement(&mut body)?;
            self.tokens.drain(..self.next);
            self.next = 0;
        }
        Ok(body)
    }

    pub(super) fn peek(&mut self) -> Result<Kind, SyntaxError> {
        self.peek_at(0)
    }

    /// The kind of the token that is `ahead` after the next.
    pub(super) fn peek_at(&mut self, ahead: usize) -> Result<Kind, SyntaxError> {
        loop {
            if let Some(token) = self.tokens.get(self.next + ahead) {
                return Ok(token.kind);
            }
            let token = self.lexer.next_token()?;
            self.tokens.push(token);
        }
    }

    /// Takes the next token, which was peeked at, and tells its index.
    pub(super) fn take(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }

    /// The index of the next token.
    pub(super) fn position(&self) -> usize {
        self.next
    }

    pub(super) fn skip(&mut self, kind: Kind) -> Result<bool, SyntaxError> {
        let found = self.peek()? == kind;
        if found {
            self.take();
        }
        Ok(found)
    }

    pub(super) fn expect(&mut self, kind: Kind, wanted: &str) -> Result<usize, SyntaxError> {
        if self.peek()? == kind {
            return Ok(self.take());
        }
        Err(self.unexpected(wanted))
    }

    pub(super) fn kind(&self, index: usize) -> Kind {
        self.tokens.get(index).map_or(Kind::EndOfText, |token| token.kind)
    }

    pub(super) fn image(&self, index: usize) -> &'s str {
        let text = self.lexer.text;
        self.tokens.get(index).and_then(|token| text.get(token.start..token.end)).unwrap_or("")
    }

    /// Takes `length` bytes from the start of a token's image, for good.
    pub(super) fn shorten(&mut self, index: usize, length: usize) {
        if let Some(token) = self.tokens.get_mut(index) {
            token.start = (token.start + length).min(token.end);
        }
    }

    /// The images from one token to another: comments are lost.
    pub(super) fn images(&self, first: usize, last: usize) -> Box<str> {
        (first..=last).map(|index| self.image(index)).collect::<String>().into_boxed_str()
    }

    /// The text from one token to another, as Velocity keeps it.
    pub(super) fn literal(&self, first: usize, last: usize) -> Box<str> {
        let mut literal = String::new();
        for token in self.tokens.get(first..=last).unwrap_or_default() {
            if token.kind != Kind::CommentClose {
                literal.push_str(token.lone.as_deref().unwrap_or(""));
                literal.push_str(self.lexer.text.get(token.start..token.end).unwrap_or(""));
            }
        }
        literal.into_boxed_str()
    }

    pub(super) fn location(&self, index: usize) -> Location {
        let (line, column) =
            self.tokens.get(index).map_or((1, 1), |token| (token.line, token.column));
        Location { line, column }
    }

    pub(super) fn error_at(&self, index: usize, message: impl Into<String>) -> SyntaxError {
        let Location { line, column } = self.location(index);
        SyntaxError { line, column, message: message.into() }
    }

    /// The next token is none of those allowed.
    pub(super) fn unexpected(&self, wanted: &str) -> SyntaxError {
        let found = self.describe(self.next);
        self.error_at(self.next, format!("found {found} where {wanted} is expected"))
    }

    fn describe(&self, index: usize) -> String {
        let image = self.image(index);
        match self.kind(index) {
            Kind::EndOfText if self.in_string => "the end of the string".to_owned(),
            Kind::EndOfText => "the end of the template".to_owned(),
            Kind::Whitespace => "white space".to_owned(),
            _ => {
                let image = image.trim();
                let shown = image.char_indices().nth(30).map_or(image, |(end, _)| &image[..end]);
                let rest = if shown.len() < image.len() { "…" } else { "" };
                format!("`{}{rest}`", shown.replace(char::is_control, " "))
            }
        }
    }

    /// Runs `production` one level deeper.
    pub(super) fn nested<T>(
        &mut self,
        production: impl FnOnce(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<T, SyntaxError> {
        if self.nesting >= MAX_SYNTAX_NESTING {
            let message = format!("more than {MAX_SYNTAX_NESTING} levels within each other");
            return Err(self.error_at(self.next.saturating_sub(1), message));
        }
        self.nesting += 1;
        let result = production(self);
        self.nesting -= 1;
        result
    }

    /// Bounds how deep the tree gets by operators, which nest without brackets. `height` is that
    /// of an expression, counted from its leaves.
    pub(super) fn check_height(&mut self, height: usize) -> Result<usize, SyntaxError> {
        let depth = self.nesting + height;
        if depth > 2 * MAX_SYNTAX_NESTING {
            let message = format!("more than {MAX_SYNTAX_NESTING} operators in a row");
            return Err(self.error_at(self.next.saturating_sub(1), message));
        }
        self.deepest = self.deepest.max(depth);
        Ok(height)
    }

    fn statement(&mut self, body: &mut Body) -> Result<(), SyntaxError> {
        match self.peek()? {
            Kind::If => {
                let node = self.if_statement()?;
                body.node(node);
            }
            Kind::Identifier => self.reference_statement(body)?,
            Kind::CurlyOpen if self.peek_at(1)? == Kind::Identifier => {
                self.reference_statement(body)?;
            }
            Kind::LineCommentOpen | Kind::CommentClose | Kind::FormalCommentClose => {
                self.comment(body)?;
            }
            Kind::Textblock => {
                let index = self.take();
                let image = self.image(index);
                // The first three characters go, even if they are not those of `#[[`.
                body.text(image.get(3..image.len() - 3).unwrap_or(""));
            }
            Kind::Set => {
                let node = self.set()?;
                body.node(node);
            }
            Kind::EscapedDirective => self.escaped_directive(body),
            Kind::DoubleBackslash => self.backslashes(body)?,
            Kind::Word | Kind::BracketedWord => self.directive(body)?,
            kind if is_text(kind) => {
                let index = self.take();
                body.text(&self.literal(index, index));
            }
            kind => return Err(self.not_a_statement(kind)),
        }
        Ok(())
    }

    fn not_a_statement(&self, kind: Kind) -> SyntaxError {
        let without = match kind {
            Kind::End => "without a directive that it closes",
            Kind::Else | Kind::ElseIf => "without `#if`",
            _ => "where text, a reference or a directive is expected",
        };
        let found = self.describe(self.next);
        self.error_at(self.next, format!("found {found} {without}"))
    }

    /// Statements up to what ends them; `open` is the directive's token.
    pub(super) fn block(&mut self, open: usize) -> Result<Block, SyntaxError> {
        self.nested(|parser| {
            let mut body = Body::default();
            loop {
                match parser.peek()? {
                    Kind::End | Kind::Else | Kind::ElseIf => return Ok(body.finish()),
                    Kind::EndOfText => {
                        let name = parser.describe(open);
                        let message = format!("{name} is not closed by `#end`");
                        return Err(parser.error_at(open, message));
                    }
                    _ => parser.statement(&mut body)?,
                }
            }
        })
    }

    /// The `#end` of a directive.
    pub(super) fn end(&mut self) -> Result<(), SyntaxError> {
        if self.skip(Kind::End)? {
            return Ok(());
        }
        let kind = self.peek()?;
        Err(self.not_a_statement(kind))
    }

    fn if_statement(&mut self) -> Result<Node, SyntaxError> {
        let open = self.take();
        let mut branches = vec![self.branch(open)?];
        while self.skip(Kind::ElseIf)? {
            branches.push(self.branch(open)?);
        }
        let otherwise = if self.skip(Kind::Else)? { Some(self.block(open)?) } else { None };
        self.end()?;
        Ok(Node::If(Box::new(If { branches, otherwise })))
    }

    /// `(condition)` and the block after it.
    fn branch(&mut self, open: usize) -> Result<(Expression, Block), SyntaxError> {
        self.skip(Kind::Whitespace)?;
        self.expect(Kind::ParenthesisOpen, "`(`")?;
        let condition = self.nested(Self::expression)?.expression;
        self.expect(Kind::ParenthesisClose, "an operator or `)`")?;
        Ok((condition, self.block(open)?))
    }

    fn set(&mut self) -> Result<Node, SyntaxError> {
        self.take();
        self.skip(Kind::Whitespace)?;
        let first = self.position();
        let parsed = self.nested(Self::reference)?;
        let mut target = match parsed.target {
            Target::Value(reference) => reference,
            // Velocity takes it and never finds it again.
            Target::Nothing { .. } => self.nothing(first),
        };
        if target.accessors.is_empty() {
            // All but the `$` is the name: `${a}` sets `{`, `$!a` sets `!a`.
            let mut name = self.image(first).chars();
            name.next();
            target.root = self.shared.symbol(name.as_str());
        }
        self.skip(Kind::Whitespace)?;
        self.expect(Kind::Assign, "`=`")?;
        let value = self.nested(Self::expression)?.expression;
        self.expect(Kind::ParenthesisClose, "an operator or `)`")?;
        self.lexer.in_set = false;
        Ok(Node::Set(Box::new(Set { target, value })))
    }

    fn reference_statement(&mut self, body: &mut Body) -> Result<(), SyntaxError> {
        match self.nested(Self::reference)?.target {
            Target::Value(reference) => body.node(Node::Reference(reference)),
            Target::Nothing { text } => body.text(&text),
        }
        Ok(())
    }

    fn comment(&mut self, body: &mut Body) -> Result<(), SyntaxError> {
        let index = self.take();
        let image = self.image(index);
        // A `$` right before the comment is still there.
        let end = image.find("##").or_else(|| image.find("#*")).unwrap_or(0);
        body.text(image.get(..end).unwrap_or(""));
        if self.kind(index) == Kind::LineCommentOpen {
            self.skip(Kind::LineCommentClose)?;
        }
        Ok(())
    }

    /// Whether a backslash before `#name` is an escape.
    pub(super) fn is_known(&self, name: &str) -> bool {
        DIRECTIVES.contains(&name)
            || self.macro_names.contains(name)
            || (self.in_string && self.shared.macros.contains_key(name))
    }

    /// `\#if`: half of the backslashes remain, if that is a directive.
    fn escaped_directive(&mut self, body: &mut Body) {
        let index = self.take();
        let image = self.image(index);
        let last_backslash = image.rfind('\\').unwrap_or(0);
        let name = image.get(last_backslash + 2..).unwrap_or("");
        let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
        let known = self.is_known(name) || matches!(name, "if" | "end" | "set" | "else" | "elseif");
        if known {
            self.shorten(index, last_backslash + 1 - last_backslash / 2);
        }
        body.text(self.image(index));
    }

    /// Pairs of backslashes: one remains of each before a directive, both before anything else.
    fn backslashes(&mut self, body: &mut Body) -> Result<(), SyntaxError> {
        let mut count = 0;
        while self.skip(Kind::DoubleBackslash)? {
            count += 1;
        }
        let next = self.peek()?;
        let mut name = self.image(self.position()).chars();
        name.next();
        let escapes = matches!(next, Kind::If | Kind::Else | Kind::ElseIf | Kind::End)
            || self.is_known(name.as_str());
        body.text(&if escapes { "\\" } else { "\\\\" }.repeat(count));
        Ok(())
    }
}

/// Tokens of directives and references that are text outside of them.
fn is_text(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Text
            | Kind::Dot
            | Kind::ParenthesisClose
            | Kind::ParenthesisOpen
            | Kind::Integer
            | Kind::FloatingPoint
            | Kind::String
            | Kind::Backslash
            | Kind::CurlyOpen
            | Kind::CurlyClose
            | Kind::LoneDollar
    )
}
