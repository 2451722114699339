//! The intrinsic functions themselves.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::ImportError;
use super::super::document::{Kind, Map, Node};
use super::{Fate, Place, Resolver};

/// What a function gives.
enum Outcome<'a> {
    Text {
        text: String,
        unresolved: bool,
    },
    Value(Node<'a>),
    NoValue,
    /// The arguments are not what the function takes.
    Malformed(Node<'a>),
}

/// Whether a value is a call: a map of one key, `Ref` or `Fn::…`. A schema property that is
/// called `Ref` has a map as its value and is none.
pub(super) fn is_call(node: &Node<'_>) -> bool {
    let Kind::Map(map) = &node.kind else { return false };
    match map.first() {
        Some((name, argument)) if map.len() == 1 => match argument.kind {
            Kind::String(_) => name == "Ref" || name.starts_with("Fn::"),
            _ => name.starts_with("Fn::"),
        },
        _ => false,
    }
}

impl Resolver<'_> {
    /// Puts the result of a call in its place.
    pub(super) fn call(
        &mut self,
        node: &mut Node<'_>,
        place: &Place<'_>,
    ) -> Result<Fate, ImportError> {
        let line = node.line;
        let Kind::Map(map) = &mut node.kind else { return Ok(Fate::Keep) };
        let Some((name, argument)) = map.pop() else { return Ok(Fate::Keep) };
        let outcome = match name.as_ref() {
            "Ref" => self.reference(argument, place)?,
            "Fn::Sub" => self.substitute(argument, place)?,
            "Fn::If" => self.choose(argument, place)?,
            _ => self.eager(&name, argument, place)?,
        };
        match outcome {
            Outcome::Text { text, unresolved } => {
                *node = Node { kind: Kind::String(Cow::Owned(text)), line, unresolved };
            }
            Outcome::Value(value) => *node = Node { line, ..value },
            Outcome::NoValue => return Ok(Fate::Remove),
            Outcome::Malformed(argument) => {
                let message = "its arguments are not what the function takes; left as it is";
                self.note(line, place, name.to_string(), message.to_owned());
                node.kind = Kind::Map(Map::with(name, argument));
            }
        }
        Ok(Fate::Keep)
    }

    fn reference<'a>(
        &mut self,
        argument: Node<'a>,
        place: &Place<'_>,
    ) -> Result<Outcome<'a>, ImportError> {
        let Kind::String(name) = &argument.kind else { return Ok(Outcome::Malformed(argument)) };
        if name == "AWS::NoValue" {
            return Ok(Outcome::NoValue);
        }
        let construct = format!("Ref {name}");
        let (value, unresolved) =
            self.value_or_placeholder(name, place, "", argument.line, construct);
        let mut text = String::new();
        self.append(&mut text, &value, argument.line)?;
        Ok(Outcome::Text { text, unresolved })
    }

    /// `Fn::Sub`: a text, or a text and a map of names.
    fn substitute<'a>(
        &mut self,
        mut argument: Node<'a>,
        place: &Place<'_>,
    ) -> Result<Outcome<'a>, ImportError> {
        let line = argument.line;
        let (template, mut names) = match &mut argument.kind {
            Kind::String(template) => (std::mem::take(template), Node::new(Kind::Null, line)),
            Kind::Seq(items) => match items.as_mut_slice() {
                [Node { kind: Kind::String(template), .. }, names]
                    if matches!(names.kind, Kind::Map(_)) =>
                {
                    (
                        std::mem::take(template),
                        std::mem::replace(names, Node::new(Kind::Null, line)),
                    )
                }
                _ => return Ok(Outcome::Malformed(argument)),
            },
            _ => return Ok(Outcome::Malformed(argument)),
        };
        let mut unresolved = false;
        if let Kind::Map(names) = &mut names.kind {
            for node in names.values_mut() {
                self.node(node, place)?;
                unresolved |= node.unresolved;
            }
        }
        let (text, missing) = self.fill(&template, &names, place, line)?;
        Ok(Outcome::Text { text, unresolved: unresolved || missing })
    }

    /// `Fn::If`: a condition and two values. Without the condition's value the first is taken:
    /// it is the one that is rarely `AWS::NoValue`.
    fn choose<'a>(
        &mut self,
        mut argument: Node<'a>,
        place: &Place<'_>,
    ) -> Result<Outcome<'a>, ImportError> {
        let Kind::Seq(items) = &mut argument.kind else { return Ok(Outcome::Malformed(argument)) };
        let [Node { kind: Kind::String(condition), .. }, yes, no] = items.as_mut_slice() else {
            return Ok(Outcome::Malformed(argument));
        };
        let given = self.options.parameters.get(condition.as_ref()).map(String::as_str);
        let chosen = match given {
            Some("false") => no,
            Some("true") => yes,
            _ => {
                let message = format!(
                    "the condition's value is not known and taken as true; give it with --param \
                     {condition}=true or false"
                );
                self.note(argument.line, place, format!("Fn::If {condition}"), message);
                yes
            }
        };
        let mut value = std::mem::replace(chosen, Node::new(Kind::Null, argument.line));
        Ok(match self.node(&mut value, place)? {
            Fate::Keep => Outcome::Value(value),
            Fate::Remove => Outcome::NoValue,
        })
    }

    /// A function whose arguments are resolved before it.
    fn eager<'a>(
        &mut self,
        name: &str,
        mut argument: Node<'a>,
        place: &Place<'_>,
    ) -> Result<Outcome<'a>, ImportError> {
        if self.node(&mut argument, place)? == Fate::Remove {
            return Ok(Outcome::NoValue);
        }
        match name {
            "Fn::Join" => self.join(argument),
            "Fn::Select" => Ok(select(argument)),
            "Fn::Split" => Ok(split(argument)),
            "Fn::GetAtt" => self.attribute(argument, place),
            "Fn::ImportValue" | "Fn::FindInMap" => self.lookup(name, argument, place),
            "Fn::Base64" => self.base64(argument),
            "Fn::ToJsonString" => self.json(&argument),
            "Fn::GetAZs" => Ok(self.zones(&argument)),
            _ => {
                let message = "this function is not resolved here; its name stands in";
                self.note(argument.line, place, name.to_owned(), message.to_owned());
                Ok(Outcome::Text { text: name.replace("::", ""), unresolved: true })
            }
        }
    }

    fn join<'a>(&mut self, argument: Node<'a>) -> Result<Outcome<'a>, ImportError> {
        let parts = match &argument.kind {
            Kind::Seq(parts) => parts.as_slice(),
            _ => &[],
        };
        let [Node { kind: Kind::String(delimiter), .. }, Node { kind: Kind::Seq(items), .. }] =
            parts
        else {
            return Ok(Outcome::Malformed(argument));
        };
        let mut text = String::new();
        let mut unresolved = false;
        for (index, item) in items.iter().enumerate() {
            let Some(piece) = scalar(item) else { return Ok(Outcome::Malformed(argument)) };
            if index > 0 {
                self.append(&mut text, delimiter, item.line)?;
            }
            self.append(&mut text, piece, item.line)?;
            unresolved |= item.unresolved;
        }
        Ok(Outcome::Text { text, unresolved })
    }

    /// `Fn::GetAtt`: `[Name, Attribute]` or `Name.Attribute`.
    fn attribute<'a>(
        &mut self,
        argument: Node<'a>,
        place: &Place<'_>,
    ) -> Result<Outcome<'a>, ImportError> {
        let name = match &argument.kind {
            Kind::String(name) => name.to_string(),
            Kind::Seq(items) => match items.as_slice() {
                [name, attribute] => match (scalar(name), scalar(attribute)) {
                    (Some(name), Some(attribute)) => format!("{name}.{attribute}"),
                    _ => return Ok(Outcome::Malformed(argument)),
                },
                _ => return Ok(Outcome::Malformed(argument)),
            },
            _ => return Ok(Outcome::Malformed(argument)),
        };
        let construct = format!("Fn::GetAtt {name}");
        let (value, unresolved) =
            self.value_or_placeholder(&name, place, "", argument.line, construct);
        let mut text = String::new();
        self.append(&mut text, &value, argument.line)?;
        Ok(Outcome::Text { text, unresolved })
    }

    /// What lies outside the definition, by the text of its name: `a.b.c`.
    fn lookup<'a>(
        &mut self,
        function: &str,
        argument: Node<'a>,
        place: &Place<'_>,
    ) -> Result<Outcome<'a>, ImportError> {
        let name = match &argument.kind {
            Kind::String(name) => name.to_string(),
            Kind::Seq(items) if !items.is_empty() => {
                let keys: Vec<_> = items.iter().filter_map(scalar).collect();
                keys.join(".")
            }
            _ => return Ok(Outcome::Malformed(argument)),
        };
        let construct = format!("{function} {name}");
        let (value, unresolved) =
            self.value_or_placeholder(&name, place, "", argument.line, construct);
        let mut text = String::new();
        self.append(&mut text, &value, argument.line)?;
        Ok(Outcome::Text { text, unresolved })
    }

    fn base64<'a>(&mut self, argument: Node<'a>) -> Result<Outcome<'a>, ImportError> {
        let Some(plain) = scalar(&argument) else { return Ok(Outcome::Malformed(argument)) };
        let mut text = String::new();
        self.append(&mut text, &STANDARD.encode(plain), argument.line)?;
        Ok(Outcome::Text { text, unresolved: argument.unresolved })
    }

    fn json<'a>(&mut self, argument: &Node<'a>) -> Result<Outcome<'a>, ImportError> {
        let mut text = String::new();
        self.append(&mut text, &argument.to_value().to_string(), argument.line)?;
        Ok(Outcome::Text { text, unresolved: argument.unresolved })
    }

    fn zones<'a>(&self, argument: &Node<'a>) -> Outcome<'a> {
        let region = scalar(argument).filter(|region| !region.is_empty());
        let region = region.unwrap_or(&self.options.region);
        let zone = |letter| Kind::String(Cow::Owned(format!("{region}{letter}")));
        let zones = ["a", "b", "c"].map(|letter| Node::new(zone(letter), argument.line));
        Outcome::Value(Node::new(Kind::Seq(zones.into()), argument.line))
    }
}

/// `Fn::Select`: an index and a list.
fn select(mut argument: Node<'_>) -> Outcome<'_> {
    let Kind::Seq(parts) = &mut argument.kind else { return Outcome::Malformed(argument) };
    let [index, Node { kind: Kind::Seq(items), .. }] = parts.as_mut_slice() else {
        return Outcome::Malformed(argument);
    };
    match scalar(index).and_then(|index| index.parse::<usize>().ok()) {
        Some(index) if index < items.len() => Outcome::Value(items.swap_remove(index)),
        _ => Outcome::Malformed(argument),
    }
}

/// `Fn::Split`: a delimiter and a text.
fn split(argument: Node<'_>) -> Outcome<'_> {
    let Kind::Seq(parts) = &argument.kind else { return Outcome::Malformed(argument) };
    let [delimiter, whole] = parts.as_slice() else { return Outcome::Malformed(argument) };
    let (Some(delimiter), Some(text)) = (scalar(delimiter), scalar(whole)) else {
        return Outcome::Malformed(argument);
    };
    if delimiter.is_empty() {
        return Outcome::Malformed(argument);
    }
    let piece = |piece: &str| Node {
        kind: Kind::String(Cow::Owned(piece.to_owned())),
        line: whole.line,
        unresolved: whole.unresolved,
    };
    let items = text.split(delimiter).map(piece).collect();
    Outcome::Value(Node::new(Kind::Seq(items), argument.line))
}

/// The text of a string, number or boolean.
fn scalar<'n>(node: &'n Node<'_>) -> Option<&'n str> {
    match &node.kind {
        Kind::String(text) | Kind::Number(text) => Some(text),
        Kind::Bool(true) => Some("true"),
        Kind::Bool(false) => Some("false"),
        _ => None,
    }
}
