//! A template's syntax tree.
//!
//! Names are interned: a [`Symbol`] is the index of a name in [`Program::symbols`], so that a
//! rendering keeps its variables in a plain array. The symbols of `$input`, `$util`, `$context`,
//! `$stageVariables`, `$foreach`, `$velocityCount` and `$velocityHasNext` are always there, first
//! and in the order of [`Symbol`]'s constants.

use std::collections::HashMap;

use crate::JsonPath;
use crate::methods::{MethodName, StringMethod};
use crate::util::TextFunction;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Symbol(pub(crate) u32);

impl Symbol {
    pub(crate) const INPUT: Self = Self(0);
    pub(crate) const UTIL: Self = Self(1);
    pub(crate) const CONTEXT: Self = Self(2);
    pub(crate) const STAGE_VARIABLES: Self = Self(3);
    pub(crate) const FOREACH: Self = Self(4);
    pub(crate) const VELOCITY_COUNT: Self = Self(5);
    pub(crate) const VELOCITY_HAS_NEXT: Self = Self(6);
    /// The names of the constants, in order.
    pub(crate) const KNOWN: [&str; 7] = [
        "input",
        "util",
        "context",
        "stageVariables",
        "foreach",
        "velocityCount",
        "velocityHasNext",
    ];
}

/// Where a construct starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// Starting with 1.
    pub(crate) line: u32,
    /// In characters, starting with 1.
    pub(crate) column: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Program {
    pub(crate) body: Block,
    pub(crate) symbols: Vec<Box<str>>,
    /// By name without `#`. Velocity registers macros before it renders, so that a call may stand
    /// before the definition.
    pub(crate) macros: HashMap<Box<str>, Macro>,
    /// `$velocityCount` or `$velocityHasNext` may be asked for.
    pub(crate) counts: bool,
    /// The whole payload may be written.
    pub(crate) writes_payload: bool,
    /// What most renderings come to, in bytes, besides the payload.
    pub(crate) expected_length: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Macro {
    pub(crate) parameters: Box<[Symbol]>,
    pub(crate) body: Block,
}

pub(crate) type Block = Box<[Node]>;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    /// Rendered as it is; neighbours are merged.
    Text(Box<str>),
    Reference(Reference),
    Set(Box<Set>),
    If(Box<If>),
    Foreach(Box<Foreach>),
    /// `#break` or `#break($scope)`
    Break(Location, Option<Expression>),
    Stop,
    Define(Symbol, Block),
    MacroCall(Box<MacroCall>),
    Evaluate(Box<(Location, Expression)>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Set {
    pub(crate) target: Reference,
    pub(crate) value: Expression,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct If {
    /// `#if` and each `#elseif`.
    pub(crate) branches: Vec<(Expression, Block)>,
    pub(crate) otherwise: Option<Block>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Foreach {
    pub(crate) element: Symbol,
    pub(crate) collection: Expression,
    pub(crate) body: Block,
    pub(crate) location: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MacroCall {
    pub(crate) name: Box<str>,
    pub(crate) arguments: Box<[Expression]>,
    /// The text of each argument as written, for references in the macro that are null.
    pub(crate) argument_literals: Box<[Box<str>]>,
    /// Of `#@name(…) … #end`: `$bodyContent`.
    pub(crate) body: Option<Block>,
    /// The call as written, rendered if no macro has this name.
    pub(crate) literal: Box<str>,
    pub(crate) location: Location,
}

/// `$a.b(1)[2]` as a statement, an expression or the target of `#set`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reference {
    pub(crate) root: Symbol,
    pub(crate) accessors: Box<[Accessor]>,
    /// As a statement, written before the value: what remains of backslashes and further `$`s.
    pub(crate) prefix: Box<str>,
    /// As a statement: an odd number of backslashes before it. Then `prefix` and `literal` are
    /// written if the value isn't null, `prefix`, `\` and `literal` if it is.
    pub(crate) escaped: bool,
    /// `$!x`
    pub(crate) quiet: bool,
    /// As written, without the prefix.
    pub(crate) literal: Box<str>,
    pub(crate) location: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Accessor {
    Property(Box<str>, Location),
    Method(Method),
    Index(Expression, Location),
}

impl Accessor {
    /// The name of a property; `None` for a method or index.
    pub(crate) fn property_name(&self) -> Option<&str> {
        match self {
            Self::Property(name, _) => Some(name),
            Self::Method(_) | Self::Index(..) => None,
        }
    }
}

/// `.name(arguments)`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Method {
    pub(crate) name: Box<str>,
    /// What it is for a string.
    pub(crate) of_string: Option<StringMethod>,
    pub(crate) arguments: Box<[Expression]>,
    pub(crate) location: Location,
    /// What it means if the receiver is of the right kind.
    pub(crate) builtin: Option<Builtin>,
}

impl Method {
    pub(crate) fn method_name(&self) -> MethodName<'_> {
        MethodName { text: &self.name, of_string: self.of_string }
    }
}

/// Methods whose meaning for one kind of receiver is known before a template runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Builtin {
    /// `$input.json('…')`, `$input.json()`
    Json(JsonPath),
    /// `$input.path('…')`, `$input.path()`
    Path(JsonPath),
    /// `$input.params()`
    Parameters,
    /// `$input.params('…')`
    Parameter,
    /// A map's `get('…')`
    Get,
    /// A function of `$util` with its one argument.
    Text(TextFunction),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expression {
    /// Single-quoted, or double-quoted with nothing to interpolate.
    String(Box<str>),
    /// Double-quoted with references or directives: a template of its own.
    Interpolated(Block),
    /// A number, exactly as Java reads it.
    Number(crate::value::Number),
    Boolean(bool),
    Reference(Reference),
    List(Box<[Expression]>),
    Map(Box<[(Expression, Expression)]>),
    /// `[from..to]`
    Range(Box<(Expression, Expression)>),
    Not(Box<Expression>),
    Binary(Box<Binary>),
    /// A bare word among a macro call's arguments.
    Word(Box<str>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Binary {
    pub(crate) operator: Operator,
    pub(crate) left: Expression,
    pub(crate) right: Expression,
    pub(crate) location: Location,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}
