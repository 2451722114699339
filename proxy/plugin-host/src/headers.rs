//! A list of headers in one run of bytes: cheap to fill, copy and read.

use std::ops::Range;

/// Headers in order, repeated ones apart; names in lower case. Pseudo-headers (`:path`) are
/// ordinary entries, first.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    modified: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    name: (u32, u32),
    value: (u32, u32),
}

impl Headers {
    pub fn with_capacity(bytes: usize, count: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            entries: Vec::with_capacity(count),
            modified: false,
        }
    }

    /// Adds an entry as received: it does not count as a modification.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let name = self.store(name);
        let start = name.0 as usize;
        self.bytes[start..].make_ascii_lowercase();
        let value = self.store(value);
        self.entries.push(Entry { name, value });
    }

    fn store(&mut self, bytes: &[u8]) -> (u32, u32) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        (start, self.bytes.len() as u32)
    }

    fn of(&self, (start, end): (u32, u32)) -> &[u8] {
        &self.bytes[Range { start: start as usize, end: end as usize }]
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of all names and values.
    pub fn size(&self) -> usize {
        let length = |(start, end): (u32, u32)| (end - start) as usize;
        self.entries.iter().map(|entry| length(entry.name) + length(entry.value)).sum()
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|entry| (self.of(entry.name), self.of(entry.value)))
    }

    /// The first value of a name, in any case.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All values of a name, in order.
    pub fn get_all<'h>(&'h self, name: &'h [u8]) -> impl Iterator<Item = &'h [u8]> {
        self.iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Adds a value.
    pub fn append(&mut self, name: &[u8], value: &[u8]) {
        self.push(name, value);
        self.modified = true;
    }

    /// Leaves exactly this value, at the place of the first.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        let first =
            self.entries.iter().position(|entry| self.of(entry.name).eq_ignore_ascii_case(name));
        let Some(first) = first else { return self.append(name, value) };
        self.modified = true;
        self.entries[first].value = self.store(value);
        let mut at = 0;
        let (bytes, entries) = (&self.bytes, &mut self.entries);
        entries.retain(|entry| {
            at += 1;
            let known = &bytes[entry.name.0 as usize..entry.name.1 as usize];
            at <= first + 1 || !known.eq_ignore_ascii_case(name)
        });
    }

    /// Removes all values of a name; whether there were any.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let before = self.entries.len();
        let bytes = &self.bytes;
        self.entries.retain(|entry| {
            !bytes[entry.name.0 as usize..entry.name.1 as usize].eq_ignore_ascii_case(name)
        });
        self.modified |= self.entries.len() != before;
        self.entries.len() != before
    }

    /// Replaces everything.
    pub fn replace_all<'h>(&mut self, entries: impl IntoIterator<Item = (&'h [u8], &'h [u8])>) {
        self.clear();
        for (name, value) in entries {
            self.push(name, value);
        }
        self.modified = true;
    }

    /// Forgets all entries and that there were modifications; keeps the storage.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.modified = false;
    }

    /// Whether anything was changed since it was filled.
    pub fn is_modified(&self) -> bool {
        self.modified
    }
}

/// Whether `name` can be a header's name (RFC 9110 §5.1), pseudo-headers included.
pub fn is_name(name: &[u8]) -> bool {
    let name = name.strip_prefix(b":").unwrap_or(name);
    !name.is_empty()
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// Whether `value` can be a header's value: no control characters but a tab.
pub fn is_value(value: &[u8]) -> bool {
    value.iter().all(|byte| *byte >= b' ' && *byte != 0x7f || *byte == b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
