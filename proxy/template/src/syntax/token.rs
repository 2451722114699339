//! Tokens as Velocity's grammar has them.

/// What a token is. The order is the grammar's: of two that match equally much, the first wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    EndOfText,
    /// `[` after a reference.
    IndexOpen,
    IndexClose,
    BracketOpen,
    BracketClose,
    Comma,
    DoubleDot,
    Colon,
    /// `{` of a map.
    MapOpen,
    MapClose,
    ParenthesisOpen,
    /// `)` of a directive, with blanks and a line end after it.
    ParenthesisClose,
    /// `)` of a method call.
    MethodClose,
    /// `\#if`
    EscapedDirective,
    /// `#set(`, with blanks before it.
    Set,
    /// `$`, to be continued.
    Dollar,
    /// `$!`, to be continued.
    DollarBang,
    /// `#[[`, to be continued.
    TextblockOpen,
    /// `#**`, to be continued.
    FormalCommentOpen,
    /// `#*`, to be continued.
    CommentOpen,
    /// `#`, to be continued.
    Hash,
    LineCommentOpen,
    DoubleBackslash,
    Backslash,
    Text,
    LineCommentClose,
    FormalCommentClose,
    CommentClose,
    Textblock,
    /// Passed over in a comment.
    Skipped,
    /// A character of `#[[ … ]]#`, to be continued.
    TextblockCharacter,
    Whitespace,
    String,
    True,
    False,
    Minus,
    Plus,
    Multiply,
    Divide,
    Remainder,
    And,
    Or,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
    Not,
    Assign,
    End,
    If,
    ElseIf,
    Else,
    Integer,
    FloatingPoint,
    Word,
    /// `{name}` after `#`.
    BracketedWord,
    Identifier,
    Dot,
    /// `{` of `${name}`.
    CurlyOpen,
    CurlyClose,
    /// Ends a reference; the character is read again.
    ReferenceEnd,
    /// Ends what only looked like a directive; the character is read again.
    DirectiveEnd,
    /// `$[` and `$.`: text.
    LoneDollar,
}

/// A token and its image, `text[start..end]`. Images shrink when escapes are taken off.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) line: u32,
    pub(super) column: u32,
    /// What of a `$` or `#` that began nothing stands before this token.
    pub(super) lone: Option<Box<str>>,
}
