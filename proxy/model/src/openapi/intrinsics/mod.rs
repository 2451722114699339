//! CloudFormation's intrinsic functions and `${NAME}` inside a definition, resolved in place.
//!
//! SAM resolves `Ref`, `Fn::Sub` and the like before API Gateway sees a definition; API Gateway
//! itself replaces `${AWS::Region}`, `${AWS::AccountId}` and `${AWS::Partition}` at import.
//! Both happen here, with the names the user gave (`--param NAME=VALUE`). A definition must load
//! without its stack, so what has no value becomes a placeholder of the right form, with a
//! warning that says which name to give.

mod functions;
mod text;

use std::borrow::Cow;

use indexmap::IndexMap;

use super::document::{Kind, MAX_TEXT, Node};
use super::reader::location_text;
use super::{ImportError, ImportOptions, Warning};

/// Resolves everything in the document that `root` is.
pub(super) fn resolve(
    root: &mut Node<'_>,
    options: &ImportOptions,
) -> Result<Vec<Warning>, ImportError> {
    let mut resolver = Resolver { options, notes: IndexMap::new(), produced: 0 };
    resolver.node(root, &Place { parent: None, key: "" })?;
    Ok(resolver.notes.into_iter().map(|(subject, note)| note.into_warning(subject)).collect())
}

struct Resolver<'o> {
    options: &'o ImportOptions,
    /// By construct and message; equal ones are one warning with a count.
    notes: IndexMap<(String, String), Note>,
    /// Bytes of text written so far; nested functions could double it at each level.
    produced: usize,
}

struct Note {
    line: u32,
    location: String,
    more: usize,
}

impl Note {
    fn into_warning(self, (construct, message): (String, String)) -> Warning {
        let location = match self.more {
            0 => self.location,
            1 => format!("{} and 1 more place", self.location),
            more => format!("{} and {more} more places", self.location),
        };
        Warning { line: usize::try_from(self.line).ok(), location, construct, message }
    }
}

/// The keys that lead to a value, innermost first. List indices are left out: what matters is
/// what kind of thing a value is.
struct Place<'p> {
    parent: Option<&'p Place<'p>>,
    key: &'p str,
}

impl<'p> Place<'p> {
    fn child(&'p self, key: &'p str) -> Place<'p> {
        Place { parent: Some(self), key }
    }

    fn parent_key(&self) -> &str {
        self.parent.map_or("", |parent| parent.key)
    }

    fn location(&self) -> String {
        let mut keys = Vec::new();
        let mut place = Some(self);
        while let Some(Place { parent, key }) = place {
            if parent.is_some() {
                keys.push(*key);
            }
            place = *parent;
        }
        keys.reverse();
        location_text(&keys)
    }
}

/// What becomes of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Keep,
    /// `AWS::NoValue`: its key or list item goes away.
    Remove,
}

impl Resolver<'_> {
    fn node(&mut self, node: &mut Node<'_>, place: &Place<'_>) -> Result<Fate, ImportError> {
        if let Kind::Map(map) = &mut node.kind
            && let Some(transform) = map.remove("Fn::Transform")
        {
            let message = "a transform is not run; what it would add is missing";
            self.note(transform.line, place, "Fn::Transform".to_owned(), message.to_owned());
        }
        if functions::is_call(node) {
            return self.call(node, place);
        }
        match &mut node.kind {
            Kind::String(text) if text.contains("${") => {
                let text = std::mem::take(text);
                self.plain_text(node, text, place)?;
            }
            Kind::Seq(items) => {
                let mut failure = Ok(());
                items.retain_mut(|item| self.keeps(item, place, &mut failure));
                failure?;
            }
            Kind::Map(map) => {
                let mut failure = Ok(());
                map.retain(|key, item| self.keeps(item, &place.child(key), &mut failure));
                failure?;
            }
            _ => {}
        }
        Ok(Fate::Keep)
    }

    fn keeps(
        &mut self,
        item: &mut Node<'_>,
        place: &Place<'_>,
        failure: &mut Result<(), ImportError>,
    ) -> bool {
        if failure.is_err() {
            return true;
        }
        self.node(item, place).map_or_else(
            |error| {
                *failure = Err(error);
                true
            },
            |fate| fate == Fate::Keep,
        )
    }

    fn note(&mut self, line: u32, place: &Place<'_>, construct: String, message: String) {
        self.notes
            .entry((construct, message))
            .and_modify(|note| note.more += 1)
            .or_insert_with(|| Note { line, location: place.location(), more: 0 });
    }

    /// The user's value of a name, or CloudFormation's own.
    fn value_of(&self, name: &str) -> Option<Cow<'_, str>> {
        let options = self.options;
        if let Some(value) = options.parameters.get(name) {
            return Some(Cow::Borrowed(value));
        }
        Some(Cow::Borrowed(match name {
            "AWS::Region" => &options.region,
            "AWS::AccountId" => &options.account_id,
            "AWS::Partition" => &options.partition,
            "AWS::URLSuffix" if options.partition == "aws-cn" => "amazonaws.com.cn",
            "AWS::URLSuffix" => "amazonaws.com",
            _ => return None,
        }))
    }

    /// Adds to a text that is being written, within the bound for the whole document.
    fn append(&mut self, out: &mut String, piece: &str, line: u32) -> Result<(), ImportError> {
        self.produced += piece.len();
        if self.produced > MAX_TEXT {
            let message = format!("intrinsic functions write over {MAX_TEXT} bytes");
            return Err(ImportError::new(Some(line), "", message));
        }
        out.push_str(piece);
        Ok(())
    }
}
