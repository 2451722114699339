//! `$a.b(1)[2]`, with its escapes.

use super::SyntaxError;
use super::ast::{Accessor, Builtin, Expression, Method, Reference};
use super::parser::Parser;
use super::token::Kind;
use crate::JsonPath;
use crate::methods::StringMethod;
use crate::util::TextFunction;

/// A name no template can write.
const NO_NAME: &str = "\0";

pub(super) struct ParsedReference {
    pub(super) target: Target,
    pub(super) height: usize,
}

pub(super) enum Target {
    Value(Reference),
    /// It only looks like a reference: text as a statement, null as a value.
    Nothing {
        text: Box<str>,
    },
}

/// What stands before a reference's name.
struct Root {
    escaped: bool,
    quiet: bool,
    prefix: Box<str>,
}

impl<'s> Parser<'s, '_> {
    pub(super) fn reference(&mut self) -> Result<ParsedReference, SyntaxError> {
        let first = self.position();
        let curly = self.skip(Kind::CurlyOpen)?;
        let name = self.expect(Kind::Identifier, "a reference")?;
        let (accessors, height) = self.accessors()?;
        if curly {
            self.expect(Kind::CurlyClose, "`}`")?;
        }
        let last = self.position() - 1;
        let target = match self.root(first) {
            Err(text) => Target::Nothing { text },
            Ok(root) => {
                let image = self.image(if curly { name } else { first });
                let sigils = if root.quiet { 2 } else { 1 };
                let name = if curly { image } else { image.get(sigils..).unwrap_or("") };
                Target::Value(Reference {
                    root: self.shared.symbol(name),
                    accessors: accessors.into_boxed_slice(),
                    prefix: root.prefix,
                    escaped: root.escaped,
                    quiet: root.quiet,
                    literal: self.literal(first, last),
                    location: self.location(first),
                })
            }
        };
        Ok(ParsedReference { target, height: self.check_height(height + 1)? })
    }

    /// A reference that is always null.
    pub(super) fn nothing(&mut self, first: usize) -> Reference {
        Reference {
            root: self.shared.symbol(NO_NAME),
            accessors: Box::default(),
            prefix: Box::default(),
            escaped: false,
            quiet: false,
            literal: Box::default(),
            location: self.location(first),
        }
    }

    /// Takes escapes and further `$`s off the first token. `Err` is the text that remains if
    /// this is no reference.
    fn root(&mut self, first: usize) -> Result<Root, Box<str>> {
        let image = self.image(first);
        if image.contains("\\!") {
            return Err(without_one_backslash(image));
        }
        let backslashes = image.bytes().take_while(|&byte| byte == b'\\').count();
        let escaped = backslashes % 2 == 1;
        let mut prefix = image.get(..backslashes / 2).unwrap_or("").to_owned();
        let unescaped = image.get(backslashes..).unwrap_or("");
        let dollar = unescaped.rfind('$').unwrap_or(0);
        if !escaped {
            prefix.push_str(unescaped.get(..dollar).unwrap_or(""));
        }
        self.shorten(first, backslashes + dollar);
        let image = self.image(first);
        if !image.starts_with('$') {
            return Err(image.into());
        }
        let prefix = prefix.into_boxed_str();
        Ok(Root { escaped, quiet: image.starts_with("$!"), prefix })
    }

    fn accessors(&mut self) -> Result<(Vec<Accessor>, usize), SyntaxError> {
        let mut accessors = Vec::new();
        let mut height = 0;
        loop {
            let (accessor, its_height) = match self.peek()? {
                Kind::IndexOpen => self.index()?,
                Kind::Dot if self.peek_at(1)? == Kind::Identifier => self.member()?,
                _ => return Ok((accessors, height)),
            };
            accessors.push(accessor);
            height = height.max(its_height);
        }
    }

    fn index(&mut self) -> Result<(Accessor, usize), SyntaxError> {
        let open = self.take();
        self.skip(Kind::Whitespace)?;
        let index = match self.peek()? {
            Kind::String
            | Kind::Integer
            | Kind::True
            | Kind::False
            | Kind::Identifier
            | Kind::CurlyOpen => self.nested(Self::value)?,
            _ => return Err(self.unexpected("a string, an integer or a reference")),
        };
        self.skip(Kind::Whitespace)?;
        self.expect(Kind::IndexClose, "`]`")?;
        Ok((Accessor::Index(index.expression, self.location(open)), index.height))
    }

    /// `.name` or `.name(…)`
    fn member(&mut self) -> Result<(Accessor, usize), SyntaxError> {
        self.take();
        let is_method = self.peek_at(1)? == Kind::ParenthesisOpen && {
            let third = self.peek_at(2)?;
            third == Kind::MethodClose || starts_parameter(third)
        };
        let index = self.take();
        let name: Box<str> = self.image(index).into();
        let location = self.location(index);
        if !is_method {
            return Ok((Accessor::Property(name, location), 0));
        }
        self.take();
        let (arguments, height) = self.method_arguments()?;
        let builtin = self.builtin(&name, &arguments);
        let of_string = StringMethod::named(&name);
        Ok((Accessor::Method(Method { name, of_string, arguments, location, builtin }), height))
    }

    fn builtin(&mut self, name: &str, arguments: &[Expression]) -> Option<Builtin> {
        match (name, arguments) {
            ("json", arguments) => {
                let path = literal_path(arguments)?;
                self.shared.writes_payload |= path == "$";
                JsonPath::parse(path).ok().map(Builtin::Json)
            }
            ("path", arguments) => {
                JsonPath::parse(literal_path(arguments)?).ok().map(Builtin::Path)
            }
            ("params", []) => Some(Builtin::Parameters),
            ("params", [_]) => Some(Builtin::Parameter),
            ("get", [_]) => Some(Builtin::Get),
            (_, [_]) => TextFunction::named(name).map(Builtin::Text),
            _ => None,
        }
    }

    fn method_arguments(&mut self) -> Result<(Box<[Expression]>, usize), SyntaxError> {
        let mut arguments = Vec::new();
        let mut height = 0;
        if self.skip(Kind::MethodClose)? {
            return Ok((Box::default(), 0));
        }
        loop {
            let argument = self.nested(Self::parameter)?;
            arguments.push(argument.expression);
            height = height.max(argument.height);
            if !self.skip(Kind::Comma)? {
                break;
            }
        }
        self.expect(Kind::MethodClose, "`,` or `)`")?;
        Ok((arguments.into_boxed_slice(), height))
    }
}

/// The path of `$input.json('…')`, known before the template runs. One that can't be compiled is
/// left to the call, which fails.
fn literal_path(arguments: &[Expression]) -> Option<&str> {
    match arguments {
        [] => Some("$"),
        [Expression::String(path)] => Some(path),
        _ => None,
    }
}

/// Whether a parameter of a method, a list or a map may begin with this.
pub(super) fn starts_parameter(kind: Kind) -> bool {
    kind == Kind::Whitespace || starts_value(kind)
}

pub(super) fn starts_value(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::BracketOpen
            | Kind::MapOpen
            | Kind::String
            | Kind::True
            | Kind::False
            | Kind::Integer
            | Kind::FloatingPoint
            | Kind::Identifier
            | Kind::CurlyOpen
    )
}

/// `$\!a` is the text `$!a`: one of the backslashes after the `$` goes.
fn without_one_backslash(image: &str) -> Box<str> {
    let dollar = image.find('$').unwrap_or(0);
    let (before, after) = image.split_at(dollar);
    [before, &after.replacen('\\', "", 1)].concat().into_boxed_str()
}
