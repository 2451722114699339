//! The parser: one pass over the bytes of a text that is known to be UTF-8, without recursion.

use std::collections::HashSet;

use smallvec::SmallVec;

use super::document::{Document, Kind, Node, Span};
use super::escape::escape_length;
use super::number;
use super::scan::{closing_quote, plain_end};
use crate::limits::{Budget, LimitExceeded, MAX_JSON_NESTING, MAX_OUTPUT_BYTES};
use crate::value::{Hashing, Key, Text, Value};

/// What the values of a node take, once they are made.
const VALUE_BYTES: usize = size_of::<Value<'_>>();

/// What a key takes, with its hash.
const KEY_BYTES: usize = size_of::<(Key<'_>, u64)>();

/// Nodes there is room for at first.
const MAX_FIRST_NODES: usize = 4096;

/// Keys of one object that are compared with each other one by one.
const MAX_COMPARED_KEYS: u32 = 32;

/// Parses a JSON text (RFC 8259), whose strings the values borrow. `Ok(None)`: it is none, or
/// nests deeper than [`MAX_JSON_NESTING`].
pub(crate) fn parse<'t>(
    text: &'t str,
    budget: &mut Budget,
) -> Result<Option<Value<'t>>, LimitExceeded> {
    parse_text(Text::Borrowed(text), budget)
}

/// Parses a JSON text as [`parse`] does, into values that don't borrow it.
pub(crate) fn parse_copy<'t>(
    text: &str,
    budget: &mut Budget,
) -> Result<Option<Value<'t>>, LimitExceeded> {
    parse_text(Text::Shared(text.into()), budget)
}

/// Parses a JSON text as [`parse`] does; the values keep it.
pub(crate) fn parse_text<'t>(
    text: Text<'t>,
    budget: &mut Budget,
) -> Result<Option<Value<'t>>, LimitExceeded> {
    let json = text.as_str();
    if u32::try_from(json.len()).is_err() {
        return Err(LimitExceeded::WorkingBytes);
    }
    budget.steps(1 + json.len() as u64 / 64)?;
    let mut parser = Parser {
        bytes: json.as_bytes(),
        text: json,
        nodes: Vec::with_capacity((json.len() / 6 + 8).min(MAX_FIRST_NODES)),
        innermost: Open::default(),
        around: SmallVec::new(),
        blemishes: Vec::new(),
        irregular: 0,
        keys: 0,
        charged: 0,
        budget,
    };
    match parser.document() {
        Ok(end) if end == json.len() => {
            let (nodes, blemishes) = (parser.nodes, parser.blemishes);
            Ok(Some(Document::into_value(text, nodes, blemishes)))
        }
        Ok(_) => Ok(None),
        Err(Failure::Syntax) => Ok(None),
        Err(Failure::Limit(limit)) => Err(limit),
    }
}

/// Reads the text. Where to go on is handed from function to function, in a register.
struct Parser<'a, 'b> {
    text: &'a str,
    bytes: &'a [u8],
    nodes: Vec<Node>,
    /// The innermost array or object that has not ended, and those around it. The outermost
    /// stands for the text itself.
    innermost: Open,
    around: SmallVec<[Open; 16]>,
    /// Spaces, and strings and numbers that the writer would write in another way.
    blemishes: Vec<Span>,
    /// Objects so far whose keys the writer would change.
    irregular: u32,
    /// The nodes that are keys.
    keys: usize,
    /// Bytes of values that the budget was charged for.
    charged: usize,
    budget: &'b mut Budget,
}

#[derive(Clone, Copy, Default)]
struct Open {
    node: u32,
    count: u32,
    irregular_before: u32,
    is_object: bool,
    plain: bool,
    /// A bit for each kind of key met.
    seen: u64,
}

enum Failure {
    Syntax,
    Limit(LimitExceeded),
}

impl From<LimitExceeded> for Failure {
    fn from(limit: LimitExceeded) -> Self {
        Self::Limit(limit)
    }
}

/// The place after what was read.
type Place = Result<usize, Failure>;

impl Parser<'_, '_> {
    /// Reads a value and the space around it.
    fn document(&mut self) -> Place {
        let mut at = 0;
        loop {
            at = self.token(at);
            at = match self.peek(at) {
                Some(b'"') => self.string(at)?,
                Some(b'{') => {
                    let inside = self.open(at, true)?;
                    if self.peek(inside) != Some(b'}') {
                        at = self.key(inside)?;
                        continue;
                    }
                    self.close(inside)?
                }
                Some(b'[') => {
                    let inside = self.open(at, false)?;
                    if self.peek(inside) != Some(b']') {
                        at = inside;
                        continue;
                    }
                    self.close(inside)?
                }
                Some(b'-' | b'0'..=b'9') => self.number(at)?,
                Some(b't') => self.word(at, "true", Kind::True)?,
                Some(b'f') => self.word(at, "false", Kind::False)?,
                Some(b'n') => self.word(at, "null", Kind::Null)?,
                _ => return Err(Failure::Syntax),
            };
            at = self.after_value(at)?;
            if self.around.is_empty() {
                self.charge()?;
                return Ok(at);
            }
        }
    }

    /// Reads what follows a value, up to the next one or the end of all.
    fn after_value(&mut self, mut at: usize) -> Place {
        loop {
            at = self.token(at);
            let token = self.peek(at);
            if self.around.is_empty() {
                return Ok(at);
            }
            self.innermost.count += 1;
            match (token, self.innermost.is_object) {
                (Some(b','), false) => return Ok(at + 1),
                (Some(b','), true) => {
                    let key = self.token(at + 1);
                    return self.key(key);
                }
                (Some(b'}'), true) | (Some(b']'), false) => at = self.close(at)?,
                _ => return Err(Failure::Syntax),
            }
        }
    }

    /// Reads a bracket and the space after it.
    fn open(&mut self, at: usize, is_object: bool) -> Place {
        if self.around.len() == MAX_JSON_NESTING {
            return Err(Failure::Syntax);
        }
        let kind = if is_object { Kind::Object } else { Kind::Array };
        self.around.push(self.innermost);
        self.innermost = Open {
            node: self.nodes.len() as u32,
            count: 0,
            irregular_before: self.irregular,
            is_object,
            plain: true,
            seen: 0,
        };
        self.push(node(kind, at, at))?;
        Ok(self.token(at + 1))
    }

    fn close(&mut self, at: usize) -> Place {
        let mut open = self.innermost;
        self.innermost = self.around.pop().ok_or(Failure::Syntax)?;
        if open.count > MAX_COMPARED_KEYS && open.is_object && open.plain {
            open.plain = self.keys_differ(&open);
        }
        self.irregular += u32::from(!open.plain);
        let next = self.nodes.len() as u32;
        let node = &mut self.nodes[open.node as usize];
        node.end = at as u32 + 1;
        node.next = next;
        node.count = open.count;
        node.plain = open.plain;
        node.verbatim = open.irregular_before == self.irregular;
        Ok(at + 1)
    }

    /// Reads a key and its colon.
    fn key(&mut self, at: usize) -> Place {
        if self.peek(at) != Some(b'"') {
            return Err(Failure::Syntax);
        }
        let after = self.string(at)?;
        self.keys += 1;
        self.compare_key();
        let colon = self.token(after);
        if self.peek(colon) == Some(b':') { Ok(colon + 1) } else { Err(Failure::Syntax) }
    }

    /// Notes whether the innermost object had its last key before.
    fn compare_key(&mut self) {
        let Some(key) = self.nodes.last() else { return };
        let open = &mut self.innermost;
        if !key.plain {
            open.plain = false;
            return;
        }
        let key = &self.bytes[key.start as usize..key.end as usize];
        let (first, last) = match key {
            [] => (0, 0),
            [only] => (*only, *only),
            [first, .., last] => (*first, *last),
        };
        let kind = (usize::from(first) + 5 * usize::from(last) + 23 * key.len()) % 64;
        let seen = open.seen & (1 << kind) != 0;
        open.seen |= 1 << kind;
        if seen && open.count < MAX_COMPARED_KEYS {
            let (first, count) = (open.node as usize + 1, open.count);
            let again = self.keys_from(first).take(count as usize).any(|other| other == key);
            self.innermost.plain &= !again;
        }
    }

    /// Whether no key of an object comes twice.
    fn keys_differ(&self, object: &Open) -> bool {
        let count = object.count as usize;
        let mut keys = HashSet::with_capacity_and_hasher(count, Hashing::default());
        self.keys_from(object.node as usize + 1).take(count).all(|key| keys.insert(key))
    }

    /// The keys of an object's members, of which the first is at a node.
    fn keys_from(&self, first: usize) -> impl Iterator<Item = &[u8]> {
        let mut next = first;
        std::iter::from_fn(move || {
            let key = self.nodes.get(next)?;
            next = self.nodes.get(next + 1)?.next as usize;
            self.bytes.get(key.start as usize..key.end as usize)
        })
    }

    /// Reads a string, whose first quote is here.
    #[inline(always)]
    fn string(&mut self, at: usize) -> Place {
        let start = at + 1;
        match closing_quote(self.bytes, start) {
            Ok(end) => {
                self.push(node(Kind::String, start, end))?;
                Ok(end + 1)
            }
            Err(end) => self.escaped_string(start, end),
        }
    }

    #[cold]
    fn escaped_string(&mut self, start: usize, first_escape: usize) -> Place {
        let mut verbatim = true;
        let mut at = first_escape;
        while self.peek(at) == Some(b'\\') {
            let rest = self.bytes.get(at..).unwrap_or_default();
            let (length, same) = escape_length(rest).ok_or(Failure::Syntax)?;
            verbatim &= same;
            at = plain_end(self.bytes, at + length);
        }
        if self.peek(at) != Some(b'"') {
            return Err(Failure::Syntax);
        }
        self.budget.allocate(at - start)?;
        if !verbatim {
            self.blemish(start - 1, at + 1);
        }
        self.push(Node { plain: false, verbatim, ..node(Kind::String, start, at) })?;
        Ok(at + 1)
    }

    fn number(&mut self, start: usize) -> Place {
        let mut at = start + usize::from(self.peek(start) == Some(b'-'));
        at = if self.peek(at) == Some(b'0') { at + 1 } else { self.digits(at)? };
        let mut is_integer = true;
        if self.peek(at) == Some(b'.') {
            at = self.digits(at + 1)?;
            is_integer = false;
        }
        if matches!(self.peek(at), Some(b'e' | b'E')) {
            at += 1;
            at += usize::from(matches!(self.peek(at), Some(b'+' | b'-')));
            at = self.digits(at)?;
            is_integer = false;
        }
        let text = &self.text[start..at];
        self.budget.steps(number::steps(text.len()))?;
        let verbatim = if is_integer {
            text != "-0"
        } else {
            if text.len() > number::MAX_DOUBLE_CHARACTERS as usize {
                number::number(text).ok_or(Failure::Syntax)?;
            }
            number::java_double(text).is_some_and(|java| java.len() == text.len())
        };
        if !verbatim {
            self.blemish(start, at);
        }
        self.push(Node { verbatim, ..node(Kind::Number, start, at) })?;
        Ok(at)
    }

    /// Reads one digit or more.
    fn digits(&self, start: usize) -> Place {
        let mut at = start;
        while matches!(self.peek(at), Some(b'0'..=b'9')) {
            at += 1;
        }
        if at > start { Ok(at) } else { Err(Failure::Syntax) }
    }

    fn word(&mut self, at: usize, word: &str, kind: Kind) -> Place {
        let end = at + word.len();
        if self.bytes.get(at..end) != Some(word.as_bytes()) {
            return Err(Failure::Syntax);
        }
        self.push(node(kind, at, end))?;
        Ok(end)
    }

    #[inline(always)]
    fn push(&mut self, node: Node) -> Result<(), Failure> {
        if self.nodes.len() == self.nodes.capacity() {
            self.charge()?;
        }
        let next = self.nodes.len() as u32 + 1;
        self.nodes.push(Node { next, ..node });
        Ok(())
    }

    /// Charges for the values of the nodes since the last time, and for blemishes. The nodes
    /// themselves take less.
    #[cold]
    fn charge(&mut self) -> Result<(), LimitExceeded> {
        let bytes = (self.nodes.len() - self.keys) * VALUE_BYTES
            + self.keys * KEY_BYTES
            + self.blemishes.len() * size_of::<Span>();
        let mut owed = bytes.saturating_sub(self.charged);
        self.charged = bytes;
        while owed > 0 {
            let share = owed.min(MAX_OUTPUT_BYTES);
            self.budget.allocate(share)?;
            owed -= share;
        }
        Ok(())
    }

    /// The next byte that is no space.
    #[inline(always)]
    fn token(&mut self, at: usize) -> usize {
        match self.peek(at) {
            Some(b' ' | b'\n' | b'\r' | b'\t') => self.after_space(at),
            _ => at,
        }
    }

    fn after_space(&mut self, start: usize) -> usize {
        let mut at = start + 1;
        while matches!(self.peek(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            at += 1;
        }
        self.blemish(start, at);
        at
    }

    fn blemish(&mut self, start: usize, end: usize) {
        self.blemishes.push(Span { start: start as u32, end: end as u32 });
    }

    #[inline(always)]
    fn peek(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }
}

/// A node that the writer writes as it stands. Positions are below 2³², as the text's length is.
fn node(kind: Kind, start: usize, end: usize) -> Node {
    Node {
        start: start as u32,
        end: end as u32,
        next: 0,
        count: 0,
        kind,
        verbatim: true,
        plain: true,
    }
}
