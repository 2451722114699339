//! A list of headers in one run of bytes: cheap to fill, copy and read.

use std::ops::Range;

/// Headers in order, repeated ones apart. Names are in lower case, but those that were received
/// with a head and are as they were: they are so where plugins get them. Pseudo-headers (`:path`)
/// are ordinary entries, first.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    changes: Changes,
}

/// What plugins did to a list of headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Changes {
    #[default]
    None,
    /// Entries from this number on were added, and all before it are as received.
    Added(usize),
    /// Fields, but no pseudo-headers.
    Fields,
    Any,
}

impl Changes {
    fn of(name: &[u8]) -> Self {
        if name.starts_with(b":") { Self::Any } else { Self::Fields }
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    name: Span,
    value: Span,
    /// Its place in the head it was received with; [`NOWHERE`] once it is not as received.
    place: u32,
}

/// Start and end in a run of bytes.
type Span = (u32, u32);

const NOWHERE: u32 = u32::MAX;

/// A field of a head that was received: where its name and value lie in the head's bytes.
#[derive(Clone, Copy, Debug)]
pub struct ReceivedField {
    /// Its number among the head's fields.
    pub place: usize,
    pub name: Span,
    pub value: Span,
}

impl Headers {
    pub fn with_capacity(bytes: usize, count: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            entries: Vec::with_capacity(count),
            changes: Changes::None,
        }
    }

    /// Adds an entry as received: it does not count as a modification.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.push_at(NOWHERE, name, value);
    }

    fn push_at(&mut self, place: u32, name: &[u8], value: &[u8]) {
        let name = self.store(name);
        lower_case(&mut self.bytes[range(name)]);
        let value = self.store(value);
        self.entries.push(Entry { name, value, place });
    }

    /// The same for a name that is in lower case.
    #[inline]
    pub fn push_lower(&mut self, name: &'static [u8], value: &[u8]) {
        let (name, value) = (self.store(name), self.store(value));
        self.entries.push(Entry { name, value, place: NOWHERE });
    }

    /// Adds fields of a head: its bytes are copied all at once, and names stay as they are.
    #[inline]
    pub fn receive(&mut self, head: &[u8], fields: impl IntoIterator<Item = ReceivedField>) {
        let (offset, _) = self.store(head);
        let moved = |(start, end): Span| (start + offset, end + offset);
        self.entries.extend(fields.into_iter().map(|field| Entry {
            name: moved(field.name),
            value: moved(field.value),
            place: field.place as u32,
        }));
    }

    /// Makes room for `count` entries and `bytes` more.
    pub fn reserve(&mut self, bytes: usize, count: usize) {
        self.bytes.reserve(bytes);
        self.entries.reserve(count);
    }

    #[inline]
    fn store(&mut self, bytes: &[u8]) -> Span {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        (start, self.bytes.len() as u32)
    }

    fn of(&self, span: Span) -> &[u8] {
        &self.bytes[range(span)]
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// At least as many bytes as [`Self::size`]: what was replaced or removed counts too, and
    /// what lies between a head's fields.
    pub fn stored(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of all names and values.
    pub fn size(&self) -> usize {
        let length = |(start, end): (u32, u32)| (end - start) as usize;
        self.entries.iter().map(|entry| length(entry.name) + length(entry.value)).sum()
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|entry| (self.of(entry.name), self.of(entry.value)))
    }

    /// All entries with their place in the head they were received with, as long as they are as
    /// they were there.
    pub fn placed(&self) -> impl ExactSizeIterator<Item = (Option<usize>, &[u8], &[u8])> {
        self.entries.iter().map(|entry| {
            let place = (entry.place != NOWHERE).then_some(entry.place as usize);
            (place, self.of(entry.name), self.of(entry.value))
        })
    }

    /// The first value of a name, in any case.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.entries.iter().find(|entry| self.is(entry, name)).map(|entry| self.of(entry.value))
    }

    /// All values of a name, in order.
    pub fn get_all<'h>(&'h self, name: &'h [u8]) -> impl Iterator<Item = &'h [u8]> {
        let found = self.entries.iter().filter(move |entry| self.is(entry, name));
        found.map(|entry| self.of(entry.value))
    }

    fn is(&self, entry: &Entry, name: &[u8]) -> bool {
        is_named(&self.bytes, entry, name)
    }

    /// Adds a value.
    pub fn append(&mut self, name: &[u8], value: &[u8]) {
        if self.changes == Changes::None {
            self.changes = Changes::Added(self.entries.len());
        }
        self.push(name, value);
    }

    /// Leaves exactly this value, at the place of the first.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        let first = self.entries.iter().position(|entry| self.is(entry, name));
        let Some(first) = first else { return self.append(name, value) };
        if !matches!(self.changes, Changes::Added(from) if from <= first) {
            self.changes = self.changes.max(Changes::of(name));
        }
        let value = self.store(value);
        let entry = &mut self.entries[first];
        (entry.value, entry.place) = (value, NOWHERE);
        lower_case(&mut self.bytes[range(entry.name)]);
        let mut at = 0;
        let bytes = &self.bytes;
        self.entries.retain(|entry| {
            at += 1;
            at <= first + 1 || !is_named(bytes, entry, name)
        });
    }

    /// Removes all values of a name; whether there were any.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let before = self.entries.len();
        let bytes = &self.bytes;
        self.entries.retain(|entry| !is_named(bytes, entry, name));
        let removes = self.entries.len() != before;
        if removes {
            self.changes = self.changes.max(Changes::of(name));
        }
        removes
    }

    /// Replaces everything. What is there already keeps its place.
    pub fn replace_all<'h>(&mut self, entries: impl IntoIterator<Item = (&'h [u8], &'h [u8])>) {
        let before = std::mem::take(self);
        self.changes = Changes::Any;
        // Most are untouched, so the next one is where the last one's successor was.
        let mut next = 0;
        for (name, value) in entries {
            let same = |at: &usize| {
                let entry = &before.entries[*at];
                before.is(entry, name) && before.of(entry.value) == value
            };
            let found = (next..before.entries.len()).chain(0..next).find(same);
            next = found.map_or(next, |at| at + 1);
            self.push_at(found.map_or(NOWHERE, |at| before.entries[at].place), name, value);
        }
    }

    /// Forgets all entries and that there were modifications; keeps the storage.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.changes = Changes::None;
    }

    /// What was changed since it was filled.
    pub fn changes(&self) -> Changes {
        self.changes
    }

    /// Whether anything was changed since it was filled.
    pub fn is_modified(&self) -> bool {
        self.changes != Changes::None
    }

    /// The entries from a number on.
    pub fn from(&self, number: usize) -> impl Iterator<Item = (&[u8], &[u8])> {
        let entries = self.entries.get(number..).unwrap_or_default();
        entries.iter().map(|entry| (self.of(entry.name), self.of(entry.value)))
    }
}

/// `make_ascii_lowercase` for names, which are short: eight bytes at once, of which the last may
/// be some of the first again.
pub(crate) fn lower_case(name: &mut [u8]) {
    let length = name.len();
    if length < 8 {
        return name.make_ascii_lowercase();
    }
    let mut at = 0;
    while let Some(eight) = name.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *eight = lower_case_eight(u64::from_le_bytes(*eight)).to_le_bytes();
        at += 8;
    }
    if let Some(eight) = name[length - 8..].first_chunk_mut() {
        *eight = lower_case_eight(u64::from_le_bytes(*eight)).to_le_bytes();
    }
}

/// Sets the sixth bit of the bytes from A to Z: those are the ones below 128 of which `Z` is no
/// less and `A` no more, as a sum in seven bits shows in the eighth.
fn lower_case_eight(bytes: u64) -> u64 {
    const EACH: u64 = u64::MAX / 0xff;
    let sevens = bytes & (EACH * 0x7f);
    let from_a = sevens + EACH * (0x80 - b'A' as u64);
    let after_z = sevens + EACH * (0x7f - b'Z' as u64);
    let is_upper = (from_a & !after_z) & !bytes & (EACH * 0x80);
    bytes | is_upper >> 2
}

fn range((start, end): Span) -> Range<usize> {
    start as usize..end as usize
}

fn is_named(bytes: &[u8], entry: &Entry, name: &[u8]) -> bool {
    let (start, end) = entry.name;
    if (end - start) as usize != name.len() {
        return false;
    }
    // Most are asked for in lower case too, and comparing bytes as they are is far cheaper.
    let known = &bytes[range(entry.name)];
    known == name || known.eq_ignore_ascii_case(name)
}

/// Whether `name` can be a header's name (RFC 9110 §5.1), pseudo-headers included.
pub fn is_name(name: &[u8]) -> bool {
    let name = name.strip_prefix(b":").unwrap_or(name);
    !name.is_empty() && name.iter().all(|byte| IN_NAMES[usize::from(*byte)])
}

/// Bytes that names are made of.
const IN_NAMES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 0x80 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
};

/// Whether `value` can be a header's value: no control characters but a tab.
pub fn is_value(value: &[u8]) -> bool {
    // All are looked at, which the compiler does for sixteen at once.
    let is_control = |byte: u8| byte < b' ' && byte != b'\t' || byte == 0x7f;
    !value.iter().fold(false, |found, byte| found | is_control(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_as_received_knows_its_place() {
        let mut headers = Headers::default();
        headers.push(b":path", b"/");
        let head = b"GET / X-A: 1 B: 2 C: 3";
        let field =
            |place, at| ReceivedField { place, name: (at, at + 1), value: (at + 3, at + 4) };
        headers.receive(head, [field(0, 8), field(1, 13), field(3, 18)]);
        let places = |headers: &Headers| -> Vec<String> {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let placed = headers.placed();
            placed
                .map(|(at, name, value)| format!("{at:?} {}={}", text(name), text(value)))
                .collect()
        };
        let received = ["None :path=/", "Some(0) A=1", "Some(1) B=2", "Some(3) C=3"];
        assert_eq!(places(&headers), received);
        headers.set(b"B", b"9");
        headers.append(b"d", b"4");
        let edited = ["None :path=/", "Some(0) A=1", "None b=9", "Some(3) C=3", "None d=4"];
        assert_eq!(places(&headers), edited);
        let pairs: [(&[u8], &[u8]); 3] = [(b"c", b"3"), (b"A", b"1"), (b"a", b"1")];
        headers.replace_all(pairs);
        assert_eq!(places(&headers), ["Some(3) c=3", "Some(0) a=1", "Some(0) a=1"]);
    }

    #[test]
    fn a_set_value_takes_the_place_of_the_first_and_is_the_only_one() {
        let mut headers = Headers::default();
        for (name, value) in [("A", "1"), ("b", "2"), ("a", "3"), ("c", "4")] {
            headers.push(name.as_bytes(), value.as_bytes());
        }
        assert!(!headers.is_modified());
        headers.set(b"A", b"9");
        let pairs: Vec<_> = headers.iter().collect();
        assert_eq!(pairs, [(&b"a"[..], &b"9"[..]), (b"b", b"2"), (b"c", b"4")]);
        assert!(headers.is_modified());
        assert!(headers.remove(b"B"));
        assert!(!headers.remove(b"b"));
        headers.append(b"A", b"10");
        assert_eq!(headers.get_all(b"a").collect::<Vec<_>>(), [b"9".as_slice(), b"10"]);
    }

    #[test]
    fn names_are_stored_in_lower_case_whatever_their_length() {
        let all: Vec<u8> = (0..=255).collect();
        for length in 0..40 {
            for part in all.chunks(length.max(1)).map(|part| &part[..length.min(part.len())]) {
                let mut headers = Headers::default();
                headers.push(part, b"");
                let expected = part.to_ascii_lowercase();
                assert_eq!(headers.iter().next(), Some((&expected[..], &b""[..])));
                assert!(headers.get(part).is_some() && headers.get(&expected).is_some());
            }
        }
    }

    #[test]
    fn names_are_tokens_and_values_have_no_control_characters() {
        for byte in 0..=255_u8 {
            let is_token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            assert_eq!(is_name(&[b'a', byte]), is_token, "{byte}");
            let is_text = byte == b'\t' || byte >= b' ' && byte != 0x7f;
            let mut value = *b"a value that is longer than sixteen bytes";
            value[byte as usize % value.len()] = byte;
            assert_eq!(is_value(&value), is_text, "{byte}");
        }
        assert!(is_name(b":path") && is_value(b""));
        assert!(!is_name(b"") && !is_name(b":") && !is_name(b"a:"));
    }
}
