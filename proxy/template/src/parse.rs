//! From a template's text to its parts.
//!
//! Velocity's own rule decides what is text: a `$` or `#` that starts no reference, directive
//! or comment is itself.

use crate::Unserved;

/// A piece of a template that renders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Text(Box<str>),
    /// `$input.body`
    Body,
    /// `$input.json('$')`
    Json,
}

/// Words that make a `#` a directive; with any other word it is text.
const DIRECTIVES: [&str; 14] = [
    "set", "if", "elseif", "else", "end", "foreach", "include", "parse", "macro", "define",
    "evaluate", "stop", "break", "return",
];

pub(crate) fn parse(template: &str) -> Result<Box<[Part]>, Unserved> {
    let mut parser = Parser { template, at: 0, text: String::new(), parts: Vec::new() };
    parser.run()?;
    parser.flush();
    Ok(parser.parts.into_boxed_slice())
}

struct Parser<'t> {
    template: &'t str,
    at: usize,
    text: String,
    parts: Vec<Part>,
}

impl<'t> Parser<'t> {
    fn run(&mut self) -> Result<(), Unserved> {
        while let Some(next) = self.rest().find(['$', '#', '\\']) {
            self.take_text(next);
            match self.rest().as_bytes()[0] {
                b'$' => self.reference()?,
                b'#' => self.hash()?,
                _ => self.backslash()?,
            }
        }
        self.take_text(self.rest().len());
        Ok(())
    }

    fn rest(&self) -> &'t str {
        &self.template[self.at..]
    }

    /// Moves `length` bytes of the template to the text.
    fn take_text(&mut self, length: usize) {
        self.text.push_str(&self.rest()[..length]);
        self.at += length;
    }

    fn push(&mut self, part: Part, length: usize) {
        self.flush();
        self.parts.push(part);
        self.at += length;
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.parts.push(Part::Text(std::mem::take(&mut self.text).into_boxed_str()));
        }
    }

    fn unserved(&self, construct: &str) -> Unserved {
        let before = &self.template[..self.at];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Unserved {
            construct: construct.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// At a `$`: `$x`, `$!x`, `${x}` and `$!{x}` are references.
    fn reference(&mut self) -> Result<(), Unserved> {
        let rest = self.rest();
        let after_quiet = rest[1..].strip_prefix('!').unwrap_or(&rest[1..]);
        let (body, formal) = match after_quiet.strip_prefix('{') {
            Some(body) => (body, true),
            None => (after_quiet, false),
        };
        let path = reference_path(body);
        if path.is_empty() {
            self.take_text(1);
            return Ok(());
        }
        let after_path = &body[path.len()..];
        let (part, after) = match path {
            "input.body" if !after_path.starts_with(['[', '(']) => (Part::Body, after_path),
            "input.json" => match json_argument(after_path) {
                Some(("$", after)) => (Part::Json, after),
                Some((argument, _)) => {
                    return Err(self.unserved(&format!("$input.json('{argument}')")));
                }
                None => return Err(self.unserved("$input.json")),
            },
            _ => return Err(self.unserved(&format!("${path}"))),
        };
        let after = if formal { after.strip_prefix('}') } else { Some(after) };
        let chained = |after: &str| {
            after.strip_prefix('.').is_some_and(|name| name.starts_with(is_name_start))
                || after.starts_with('[')
        };
        match after {
            // Only JSON can be followed by more of the reference here: a path ends before it.
            Some(after) if formal || part == Part::Body || !chained(after) => {
                self.push(part, rest.len() - after.len());
                Ok(())
            }
            _ => Err(self.unserved(&format!("${path}"))),
        }
    }

    /// At a `#`: a comment, a directive or text.
    fn hash(&mut self) -> Result<(), Unserved> {
        let rest = self.rest();
        if rest.starts_with("##") {
            // A line comment takes its line end with it.
            self.at += rest.find('\n').map_or(rest.len(), |newline| newline + 1);
            return Ok(());
        }
        if let Some(comment) = rest.strip_prefix("#*") {
            let Some(end) = comment.find("*#") else { return Err(self.unserved("#*")) };
            self.at += 2 + end + 2;
            return Ok(());
        }
        if rest.starts_with("#[[") {
            return Err(self.unserved("#[["));
        }
        let name = rest[1..].strip_prefix('{').unwrap_or(&rest[1..]);
        let word = &name[..name.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(name.len())];
        // `#name(` calls a macro.
        let calls = !word.is_empty() && name[word.len()..].starts_with('(');
        if DIRECTIVES.contains(&word) || calls || rest.starts_with("#@") {
            return Err(self.unserved(&format!("#{word}")));
        }
        self.take_text(1);
        Ok(())
    }

    /// At a `\`: it escapes a reference or directive, and is text before anything else.
    fn backslash(&mut self) -> Result<(), Unserved> {
        let escaped = self.rest()[1..].trim_start_matches('\\');
        let construct = match escaped.as_bytes() {
            [b'$', b'!' | b'{' | b'a'..=b'z' | b'A'..=b'Z' | b'_', ..] => "\\$",
            [b'#', b'{' | b'#' | b'*' | b'[' | b'a'..=b'z' | b'A'..=b'Z', ..] => "\\#",
            _ => {
                self.take_text(1);
                return Ok(());
            }
        };
        Err(self.unserved(construct))
    }
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

/// The longest `name(.name)*` that starts the text; empty if it starts with none.
fn reference_path(text: &str) -> &str {
    let mut end = 0;
    loop {
        let name = &text[end..];
        if !name.starts_with(is_name_start) {
            // A dot that no name follows is text.
            return &text[..end.saturating_sub(1)];
        }
        end += name
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'))
            .unwrap_or(name.len());
        if !text[end..].starts_with('.') {
            return &text[..end];
        }
        end += 1;
    }
}

/// The only argument of a call, unquoted (`$` if there is none), and what follows the call.
fn json_argument(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix('(')?.trim_start();
    if let Some(after) = inside.strip_prefix(')') {
        return Some(("$", after));
    }
    let quote = inside.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let (argument, after) = inside[1..].split_once(quote)?;
    Some((argument, after.trim_start().strip_prefix(')')?))
}
