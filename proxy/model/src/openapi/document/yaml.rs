//! YAML events into [`Node`]s.
//!
//! Definitions are written for API Gateway's reader, which is YAML 1.1 with JSON's types: `<<`
//! merges maps, `201:` is the key `"201"`, and a tag such as `!Sub` is CloudFormation's short
//! form of `{"Fn::Sub": …}` and becomes that here.

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::{Event, Options, Parser, ScalarStyle, Tag};

use super::{Document, Kind, MAX_DEPTH, MAX_NODES, MAX_TEXT, Map, Node};
use crate::openapi::ImportError;

/// Characters of a key that stands on one line with its value (YAML says 1,024).
const MAX_KEY: usize = 1024;

pub(super) fn parse(text: &str) -> Result<Document<'_>, ImportError> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    options.simple_key_max_lookahead = MAX_KEY;
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| {
            let line = u32::try_from(error.marker().line()).ok();
            let message = error.info().replace('\n', " ");
            ImportError::new(line, "", format!("not readable as YAML: {message}"))
        })?;
        builder.line = u32::try_from(span.start.line()).unwrap_or(u32::MAX);
        builder.event(event)?;
    }
    let root = builder.root.ok_or_else(|| ImportError::new(None, "", "the document is empty"))?;
    Ok(Document { root, remarks: builder.remarks })
}

#[derive(Default)]
struct Builder<'a> {
    /// Collections that are open, outermost first.
    open: Vec<Open<'a>>,
    anchors: HashMap<usize, Node<'a>>,
    root: Option<Node<'a>>,
    /// Where the current event starts.
    line: u32,
    nodes: usize,
    text: usize,
    remarks: Vec<(u32, String, String)>,
}

struct Open<'a> {
    collection: Collection<'a>,
    line: u32,
    anchor: usize,
    tag: Option<String>,
}

enum Collection<'a> {
    Seq(Vec<Node<'a>>),
    Map { map: Map<'a>, key: Option<Key<'a>>, merges: Vec<Node<'a>> },
}

struct Key<'a> {
    text: Cow<'a, str>,
    line: u32,
    is_merge: bool,
}

impl<'a> Builder<'a> {
    fn event(&mut self, event: Event<'a>) -> Result<(), ImportError> {
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                return Err(self.error("holds a second document; only one is allowed"));
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(text, style, anchor, tag.as_deref())?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.open(Collection::Seq(Vec::new()), anchor, tag.as_deref())?;
            }
            Event::MappingStart(_, anchor, tag) => {
                let collection =
                    Collection::Map { map: Map::default(), key: None, merges: Vec::new() };
                self.open(collection, anchor, tag.as_deref())?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(self.error("an alias inside the value it stands for"));
                };
                self.charge(&node, self.open.len())?;
                self.insert(Node { line: self.line, ..node }, false)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn scalar(
        &mut self,
        text: Cow<'a, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<(), ImportError> {
        let plain = style == ScalarStyle::Plain;
        let expects_key = match self.open.last() {
            Some(Open { collection: Collection::Map { key, .. }, .. }) => key.is_none(),
            _ => false,
        };
        let is_merge = plain && text == "<<";
        let core = tag.and_then(Tag::core_suffix);
        // Keys are text in JSON, so `200:` and `null:` are not resolved.
        let as_text = expects_key || core == Some("str") || (!plain && core.is_none());
        let kind = if as_text { Kind::String(text) } else { resolve(text) };
        let node = self.tagged(Node::new(kind, self.line), custom(tag));
        self.charge(&node, self.open.len())?;
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.insert(node, is_merge)
    }

    fn open(
        &mut self,
        collection: Collection<'a>,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<(), ImportError> {
        if let Some(Open { collection: Collection::Map { key: None, .. }, .. }) = self.open.last() {
            return Err(self.error("a list or map as a key; keys must be text"));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(self.error(format!("nested over {MAX_DEPTH} levels deep")));
        }
        self.count(1, 0)?;
        self.open.push(Open { collection, line: self.line, anchor, tag: custom(tag) });
        Ok(())
    }

    fn close(&mut self) -> Result<(), ImportError> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let kind = match open.collection {
            Collection::Seq(items) => Kind::Seq(items),
            Collection::Map { mut map, merges, .. } => {
                merges.into_iter().for_each(|merge| merge_into(&mut map, merge));
                Kind::Map(map)
            }
        };
        let node = self.tagged(Node::new(kind, open.line), open.tag);
        if open.anchor > 0 {
            self.charge(&node, self.open.len())?;
            self.anchors.insert(open.anchor, node.clone());
        }
        self.insert(node, false)
    }

    /// Puts a finished node where it belongs: key, value, item or root.
    fn insert(&mut self, mut node: Node<'a>, is_merge: bool) -> Result<(), ImportError> {
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        let (map, key, merges) = match &mut parent.collection {
            Collection::Seq(items) => {
                items.push(node);
                return Ok(());
            }
            Collection::Map { map, key, merges } => (map, key, merges),
        };
        let Some(Key { text, line, is_merge }) = key.take() else {
            let line = node.line;
            let text = match node.kind {
                Kind::String(text) | Kind::Number(text) => text,
                Kind::Bool(value) => Cow::Borrowed(if value { "true" } else { "false" }),
                Kind::Null => Cow::Borrowed("null"),
                Kind::Seq(_) | Kind::Map(_) => {
                    return Err(self.error("a list or map as a key; keys must be text"));
                }
            };
            *key = Some(Key { text, line, is_merge });
            return Ok(());
        };
        node.line = line;
        if is_merge {
            merges.push(node);
            return Ok(());
        }
        if let Err((node, (key, first))) = map.insert(text, node) {
            self.remarks.push(keep_one(key, first, node)?);
        }
        Ok(())
    }

    /// A value with a custom tag as the map that CloudFormation's short form stands for.
    fn tagged(&mut self, node: Node<'a>, tag: Option<String>) -> Node<'a> {
        let Some(tag) = tag else { return node };
        let key = match tag.as_str() {
            "Ref" | "Condition" => tag,
            "And" | "Base64" | "Cidr" | "Equals" | "FindInMap" | "GetAtt" | "GetAZs" | "If"
            | "ImportValue" | "Join" | "Not" | "Or" | "Select" | "Split" | "Sub" | "Transform" => {
                format!("Fn::{tag}")
            }
            _ => {
                let message = "an unknown YAML tag; the value is taken without it".to_owned();
                self.remarks.push((node.line, format!("!{tag}"), message));
                return node;
            }
        };
        let line = node.line;
        Node::new(Kind::Map(Map::with(Cow::Owned(key), node)), line)
    }

    /// Accounts for a node that is about to be placed `depth` levels deep.
    fn charge(&mut self, node: &Node<'a>, depth: usize) -> Result<(), ImportError> {
        if depth > MAX_DEPTH {
            return Err(self.error(format!("nested over {MAX_DEPTH} levels deep")));
        }
        match &node.kind {
            Kind::Null | Kind::Bool(_) => self.count(1, 0),
            Kind::Number(text) | Kind::String(text) => self.count(1, text.len()),
            Kind::Seq(items) => {
                self.count(1, 0)?;
                items.iter().try_for_each(|item| self.charge(item, depth + 1))
            }
            Kind::Map(map) => {
                self.count(1, 0)?;
                map.into_iter().try_for_each(|(key, item)| {
                    self.count(0, key.len())?;
                    self.charge(item, depth + 1)
                })
            }
        }
    }

    fn count(&mut self, nodes: usize, text: usize) -> Result<(), ImportError> {
        self.nodes += nodes;
        self.text += text;
        if self.nodes > MAX_NODES {
            return Err(self.error(format!("the document unfolds to over {MAX_NODES} values")));
        }
        if self.text > MAX_TEXT {
            return Err(self.error(format!("the document unfolds to over {MAX_TEXT} bytes")));
        }
        Ok(())
    }

    fn error(&self, message: impl Into<String>) -> ImportError {
        ImportError::new(Some(self.line), "", message)
    }
}

/// A second value under one key is an error, unless one of the two is empty: then nothing is
/// lost, and such files exist (`paths:` written twice). Gives the remark to make.
fn keep_one<'a>(
    key: &str,
    first: &mut Node<'a>,
    node: Node<'a>,
) -> Result<(u32, String, String), ImportError> {
    let (line, first_line) = (node.line, first.line);
    if first.is_null() {
        *first = node;
    } else if !node.is_null() {
        let message = format!("the key \"{key}\" is already there, at line {first_line}");
        return Err(ImportError::new(Some(line), "", message));
    }
    let message =
        format!("the key is also at line {first_line}; the empty one of the two is dropped");
    Ok((line, format!("duplicate key \"{key}\""), message))
}

/// `<<`: keys that are not there yet are taken from a map, or from each of a list of maps.
fn merge_into<'a>(map: &mut Map<'a>, merge: Node<'a>) {
    match merge.kind {
        Kind::Map(source) => {
            for (key, node) in source.into_entries() {
                let _kept_what_was_there = map.insert(key, node);
            }
        }
        Kind::Seq(sources) => sources.into_iter().for_each(|source| merge_into(map, source)),
        _ => {}
    }
}

/// The name of a tag that is not YAML's own: `Sub` of `!Sub`.
fn custom(tag: Option<&Tag>) -> Option<String> {
    let tag = tag.filter(|tag| !tag.is_yaml_core_schema())?;
    let name = tag.suffix().trim_start_matches('!');
    (!name.is_empty()).then(|| name.to_owned())
}

/// A plain scalar by YAML's core schema.
fn resolve(text: Cow<'_, str>) -> Kind<'_> {
    match text.as_ref() {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Bool(true),
        "false" | "False" | "FALSE" => Kind::Bool(false),
        other if is_number(other) => Kind::Number(text),
        _ => Kind::String(text),
    }
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    match unsigned.as_bytes() {
        [b'0', b'x', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit),
        [b'0', b'o', digits @ ..] => {
            !digits.is_empty() && digits.iter().all(|digit| (b'0'..=b'7').contains(digit))
        }
        [b'0'..=b'9', ..] | [b'.', b'0'..=b'9', ..] => unsigned.parse::<f64>().is_ok(),
        _ => false,
    }
}
