//! The parser: one pass over the bytes of a text that is known to be UTF-8, without recursion.

use std::cell::Cell;
use std::collections::HashSet;

use super::document::Document;
use super::escape::escape_length;
use super::node::{Kind, MAX_TEXT_BYTES, Node, Span};
use super::number;
use super::scan::{closing_quote, key_code, plain_end, space_end};
use crate::limits::{
    Budget, LimitExceeded, MAX_JSON_NESTING, MAX_JSON_NUMBER_CHARACTERS, MAX_OUTPUT_BYTES,
};
use crate::value::{Hashing, Key, Text, Value};

/// What the values of a node take, once they are made.
const VALUE_BYTES: usize = size_of::<Value<'_>>();

/// What a key takes, with its hash.
const KEY_BYTES: usize = size_of::<(Key<'_>, u64)>();

/// Keys of one object that are compared with each other one by one.
const MAX_COMPARED_KEYS: u32 = 32;

thread_local! {
    /// The empty [`Parser::open`] of the thread's next text.
    static OPEN: Cell<Vec<Open>> = const { Cell::new(Vec::new()) };
}

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
    if json.len() > MAX_TEXT_BYTES {
        return Err(LimitExceeded::WorkingBytes);
    }
    budget.steps(1 + json.len() as u64 / 64)?;
    let (nodes, blemishes) = Document::room(json.len());
    let mut parser = Parser {
        bytes: json.as_bytes(),
        text: json,
        nodes,
        open: OPEN.try_with(Cell::take).unwrap_or_default(),
        blemishes,
        irregular: 0,
        keys: 0,
        charged: 0,
        budget,
        exceeded: None,
    };
    let end = parser.document();
    let mut open = parser.open;
    open.clear();
    // Where the thread ends, there is no next text.
    let _ = OPEN.try_with(|kept| kept.set(open));
    let (length, exceeded) = (json.len(), parser.exceeded);
    let (nodes, blemishes) = (parser.nodes, parser.blemishes);
    match exceeded {
        Some(limit) => Err(limit),
        None if end == Some(length) => Ok(Some(Document::into_value(text, nodes, blemishes))),
        None => Ok(None),
    }
}

/// Reads the text. Where to go on is handed from function to function, in a register.
struct Parser<'a, 'b> {
    text: &'a str,
    bytes: &'a [u8],
    nodes: Vec<Node>,
    /// The arrays and objects that have not ended.
    open: Vec<Open>,
    /// Spaces, and strings and numbers that the writer would write in another way.
    blemishes: Vec<Span>,
    /// Objects so far whose keys the writer would change.
    irregular: u32,
    /// The keys of objects that have ended.
    keys: usize,
    /// Bytes of values that the budget was charged for.
    charged: usize,
    budget: &'b mut Budget,
    /// Why reading ended, if not for the text.
    exceeded: Option<LimitExceeded>,
}

#[derive(Clone, Copy)]
struct Open {
    node: u32,
    count: u32,
    irregular_before: u32,
    is_object: bool,
    plain: bool,
    /// A bit for each code of a key met.
    seen: [u64; 4],
}

impl Open {
    fn new(node: usize, irregular_before: u32, is_object: bool) -> Self {
        Self { node: node as u32, count: 0, irregular_before, is_object, plain: true, seen: [0; 4] }
    }
}

/// What is at a place.
enum Next {
    Value(usize),
    End(usize),
}

/// The place after what was read. `None`: it is not JSON, or a limit is exceeded.
type Place = Option<usize>;

impl Parser<'_, '_> {
    /// Reads a value and the space around it.
    fn document(&mut self) -> Place {
        let mut at = self.token(0);
        loop {
            let after = match self.peek(at) {
                b'"' => self.string(at)?,
                b'{' => {
                    let inside = self.token(at + 1);
                    if self.peek(inside) != b'}' {
                        self.open(at, Kind::Object)?;
                        at = self.key(inside)?;
                        continue;
                    }
                    self.open_and_close(at, inside + 1, Kind::Object)?
                }
                b'[' => {
                    let inside = self.token(at + 1);
                    if self.peek(inside) != b']' {
                        self.open(at, Kind::Array)?;
                        at = inside;
                        continue;
                    }
                    self.open_and_close(at, inside + 1, Kind::Array)?
                }
                b'0'..=b'9' => self.number(at, at)?,
                b'-' => self.negative_number(at)?,
                b't' => self.word(at, b"true", Kind::True)?,
                b'f' => self.word(at, b"false", Kind::False)?,
                b'n' => self.word(at, b"null", Kind::Null)?,
                _ => return None,
            };
            at = match self.after_value(after)? {
                Next::Value(next) => next,
                Next::End(end) => {
                    self.charge()?;
                    return Some(end);
                }
            };
        }
    }

    /// Reads what follows a value, up to the next one or the end of all.
    #[inline(always)]
    fn after_value(&mut self, mut at: usize) -> Option<Next> {
        loop {
            at = self.token(at);
            let token = self.peek(at);
            let Some(innermost) = self.open.last_mut() else { return Some(Next::End(at)) };
            innermost.count += 1;
            match (token, innermost.is_object) {
                (b',', false) => return Some(Next::Value(self.token(at + 1))),
                (b',', true) => {
                    let key = self.token(at + 1);
                    return Some(Next::Value(self.key(key)?));
                }
                (b'}', true) | (b']', false) => at = self.close(at)?,
                _ => return None,
            }
        }
    }

    /// Notes an array or object that is not empty.
    #[inline(always)]
    fn open(&mut self, at: usize, kind: Kind) -> Option<()> {
        if self.open.len() == MAX_JSON_NESTING {
            return None;
        }
        self.open.push(Open::new(self.nodes.len(), self.irregular, kind == Kind::Object));
        self.push(Node::new(kind, at, at))
    }

    /// Notes an empty array or object.
    fn open_and_close(&mut self, at: usize, end: usize, kind: Kind) -> Place {
        if self.open.len() == MAX_JSON_NESTING {
            return None;
        }
        self.push(Node::new(kind, at, end))?;
        Some(end)
    }

    #[inline(always)]
    fn close(&mut self, at: usize) -> Place {
        let open = self.open.last()?;
        let (first, count, mut plain) = (open.node, open.count, open.plain);
        let irregular_before = open.irregular_before;
        if open.is_object {
            self.keys += count as usize;
            if count > MAX_COMPARED_KEYS && plain {
                plain = self.keys_differ(first, count);
            }
        }
        self.irregular += u32::from(!plain);
        let next = self.nodes.len() as u32;
        let verbatim = irregular_before == self.irregular;
        self.nodes.get_mut(first as usize)?.close(at + 1, next, count, plain, verbatim);
        self.open.pop();
        Some(at + 1)
    }

    /// Reads a key and its colon, up to its value.
    #[inline(always)]
    fn key(&mut self, at: usize) -> Place {
        if self.peek(at) != b'"' {
            return None;
        }
        let start = at + 1;
        let after = match closing_quote(self.bytes, start) {
            Ok(end) => {
                self.compare_key(start, end);
                self.push(Node::new(Kind::String, start, end))?;
                end + 1
            }
            Err(end) => {
                self.open.last_mut()?.plain = false;
                self.escaped_string(start, end)?
            }
        };
        let colon = self.token(after);
        if self.peek(colon) == b':' { Some(self.token(colon + 1)) } else { None }
    }

    /// Notes whether the innermost object had a key before.
    #[inline(always)]
    fn compare_key(&mut self, start: usize, end: usize) {
        let code = key_code(self.bytes, start, end);
        let Some(innermost) = self.open.last_mut() else { return };
        let seen = &mut innermost.seen[usize::from(code >> 6)];
        let bit = 1 << (code & 63);
        if *seen & bit != 0 {
            self.compare_with_all(start, end);
        } else {
            *seen |= bit;
        }
    }

    #[inline(never)]
    fn compare_with_all(&mut self, start: usize, end: usize) {
        let Some(open) = self.open.last() else { return };
        if open.count < MAX_COMPARED_KEYS {
            let (first, count) = (open.node as usize + 1, open.count as usize);
            let key = self.bytes.get(start..end).unwrap_or_default();
            let again = self.keys_from(first).take(count).any(|other| other == key);
            if let Some(open) = self.open.last_mut() {
                open.plain &= !again;
            }
        }
    }

    /// Whether no key of an object comes twice.
    #[inline(never)]
    fn keys_differ(&self, object: u32, count: u32) -> bool {
        let count = count as usize;
        let mut keys = HashSet::with_capacity_and_hasher(count, Hashing::default());
        self.keys_from(object as usize + 1).take(count).all(|key| keys.insert(key))
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
                self.push(Node::new(Kind::String, start, end))?;
                Some(end + 1)
            }
            Err(end) => self.escaped_string(start, end),
        }
    }

    #[cold]
    fn escaped_string(&mut self, start: usize, first_escape: usize) -> Place {
        let mut verbatim = true;
        let mut at = first_escape;
        while self.peek(at) == b'\\' {
            let (length, same) = escape_length(self.bytes.get(at..)?)?;
            verbatim &= same;
            at = plain_end(self.bytes, at + length);
        }
        if self.peek(at) != b'"' {
            return None;
        }
        self.within(|budget| budget.allocate(at - start))?;
        if !verbatim {
            self.blemish(start - 1, at + 1);
        }
        self.push(Node::new(Kind::String, start, at).escaped(verbatim))?;
        Some(at + 1)
    }

    /// Reads a number, whose digits start at `whole`.
    #[inline(always)]
    fn number(&mut self, start: usize, whole: usize) -> Place {
        let end = self.digits(whole)?;
        let is_zero = self.peek(whole) == b'0';
        if is_zero && end > whole + 1 {
            return None;
        }
        if matches!(self.peek(end), b'.' | b'e' | b'E') {
            return self.fraction(start, whole, end);
        }
        self.push_number(start, end, !(is_zero && start < whole))
    }

    /// By itself, so that no other number's place is computed from whether it has a sign.
    #[inline(never)]
    fn negative_number(&mut self, start: usize) -> Place {
        self.number(start, start + 1)
    }

    /// Reads what follows the digits of a number before its point or exponent.
    fn fraction(&mut self, start: usize, whole: usize, point: usize) -> Place {
        let mut at = point;
        if self.peek(at) == b'.' {
            at = self.digits(at + 1)?;
        }
        if !matches!(self.peek(at), b'e' | b'E') && self.peek(whole) != b'0' {
            let is_short =
                point - whole <= number::MAX_WHOLE_DIGITS && at - whole <= number::MAX_EXACT_DIGITS;
            if is_short {
                let ends_as_in_java = at == point + 2 || self.peek(at - 1) != b'0';
                return self.push_number(start, at, ends_as_in_java);
            }
        }
        self.any_fraction(start, at)
    }

    /// Reads what follows a number's digits, and looks at all of it.
    #[inline(never)]
    fn any_fraction(&mut self, start: usize, digits_end: usize) -> Place {
        let mut at = digits_end;
        if matches!(self.peek(at), b'e' | b'E') {
            at += 1;
            at += usize::from(matches!(self.peek(at), b'+' | b'-'));
            at = self.digits(at)?;
        }
        let text = &self.text[start..at];
        if text.len() > number::MAX_DOUBLE_CHARACTERS as usize {
            if text.len() <= MAX_JSON_NUMBER_CHARACTERS {
                self.within(|budget| budget.steps(number::steps(text.len())))?;
            }
            number::number(text)?;
        }
        let verbatim = number::java_double(text).is_some_and(|java| java.len() == text.len());
        self.push_number(start, at, verbatim)
    }

    #[inline(always)]
    fn push_number(&mut self, start: usize, end: usize, verbatim: bool) -> Place {
        if end - start > MAX_JSON_NUMBER_CHARACTERS {
            return None;
        }
        if !verbatim {
            self.blemish(start, end);
        }
        self.push(Node::new(Kind::Number, start, end).written_anew(!verbatim))?;
        Some(end)
    }

    /// Reads one digit or more.
    #[inline(always)]
    fn digits(&self, start: usize) -> Place {
        let mut at = start;
        while self.peek(at).is_ascii_digit() {
            at += 1;
        }
        if at > start { Some(at) } else { None }
    }

    #[inline(always)]
    fn word<const N: usize>(&mut self, at: usize, word: &[u8; N], kind: Kind) -> Place {
        if self.bytes.get(at..)?.first_chunk::<N>()? != word {
            return None;
        }
        self.push(Node::new(kind, at, at + N))?;
        Some(at + N)
    }

    /// Adds a node. The node after it is the next, unless it is closed later.
    #[inline(always)]
    fn push(&mut self, node: Node) -> Option<()> {
        if self.nodes.len() == self.nodes.capacity() {
            self.charge()?;
        }
        let next = self.nodes.len() as u32 + 1;
        self.nodes.push(node.followed_by(next));
        Some(())
    }

    /// Charges for the values of the nodes since the last time, and for blemishes. The nodes
    /// themselves take less.
    #[cold]
    fn charge(&mut self) -> Option<()> {
        let bytes = (self.nodes.len() - self.keys) * VALUE_BYTES
            + self.keys * KEY_BYTES
            + self.blemishes.len() * size_of::<Span>();
        let mut owed = bytes.saturating_sub(self.charged);
        self.charged = bytes;
        while owed > 0 {
            let share = owed.min(MAX_OUTPUT_BYTES);
            self.within(|budget| budget.allocate(share))?;
            owed -= share;
        }
        Some(())
    }

    fn within(
        &mut self,
        spend: impl FnOnce(&mut Budget) -> Result<(), LimitExceeded>,
    ) -> Option<()> {
        self.exceeded = spend(self.budget).err();
        if self.exceeded.is_none() { Some(()) } else { None }
    }

    /// The next byte that is no space.
    #[inline(always)]
    fn token(&mut self, at: usize) -> usize {
        match self.peek(at) {
            b' ' | b'\n' | b'\r' | b'\t' => self.after_space(at),
            _ => at,
        }
    }

    #[inline(never)]
    fn after_space(&mut self, start: usize) -> usize {
        let end = space_end(self.bytes, start);
        self.blemish(start, end);
        end
    }

    fn blemish(&mut self, start: usize, end: usize) {
        self.blemishes.push(Span { start: start as u32, end: end as u32 });
    }

    /// The byte at a place; at the end 0, which is in no JSON text.
    #[inline(always)]
    fn peek(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }
}
