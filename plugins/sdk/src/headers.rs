//! All headers of a request or response.

use std::borrow::Cow;

/// Headers in the order received, repeated ones apart. One copy of all their bytes is held, and
/// lent out: going through them allocates nothing.
///
/// ```
/// # use tollgate_plugin_sdk::Request;
/// # use tollgate_plugin_sdk::testing::{Exchange, Gateway};
/// fn longest(request: &Request) -> Option<String> {
///     let headers = request.headers();
///     let longest = headers.iter().max_by_key(|header| header.value_bytes().len())?;
///     Some(format!("{}: {}", longest.name(), longest.value()))
/// }
/// # let exchange = Exchange::get("/").header("Accept", "*/*").header("X-Token", "ali baba");
/// # Gateway::new().authorize(|request| {
/// #     assert_eq!(longest(request).unwrap(), "x-token: ali baba");
/// #     tollgate_plugin_sdk::Decision::deny()
/// # }, &exchange);
/// ```
#[derive(Clone, Debug)]
pub struct Headers {
    /// As the interface's `packed-headers` has it.
    packed: Vec<u8>,
}

/// A header's name and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    name: &'a [u8],
    value: &'a [u8],
}

impl Headers {
    pub(crate) fn new(packed: Vec<u8>) -> Self {
        Self { packed }
    }

    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.packed }
    }
}

impl<'a> Header<'a> {
    /// In lower case.
    pub fn name(&self) -> Cow<'a, str> {
        text(self.name)
    }

    /// Bytes that are not UTF-8 are replaced by U+FFFD.
    pub fn value(&self) -> Cow<'a, str> {
        text(self.value)
    }

    /// In lower case. To compare it with a known name this is cheaper than [`Self::name`].
    pub fn name_bytes(&self) -> &'a [u8] {
        self.name
    }

    /// As received, UTF-8 or not.
    pub fn value_bytes(&self) -> &'a [u8] {
        self.value
    }
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    // Cheaper than looking for what to replace at once.
    match str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = Header<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The headers of [`Headers`], in order.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Iter<'a> {
    type Item = Header<'a>;

    #[inline]
    fn next(&mut self) -> Option<Header<'a>> {
        let (lengths, rest) = self.rest.split_first_chunk::<8>()?;
        // The name's is in the lower half.
        let lengths = u64::from_le_bytes(*lengths);
        let (name, rest) = rest.split_at_checked(lengths as u32 as usize)?;
        let (value, rest) = rest.split_at_checked((lengths >> 32) as usize)?;
        self.rest = rest;
        Some(Header { name, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut packed = Vec::new();
        for (name, value) in pairs {
            for part in [name, value] {
                packed.extend_from_slice(&(part.len() as u32).to_le_bytes());
            }
            packed.extend_from_slice(name);
            packed.extend_from_slice(value);
        }
        packed
    }

    #[test]
    fn each_header_is_found_in_order() {
        let headers = Headers::new(packed(&[(b"a", b"1"), (b"empty", b""), (b"a", b"\xffx")]));
        let found: Vec<_> = headers.iter().map(|it| (it.name(), it.value())).collect();
        let expected = [("a", "1"), ("empty", ""), ("a", "\u{fffd}x")];
        assert_eq!(found, expected.map(|(name, value)| (name.into(), value.into())));
        assert_eq!(headers.iter().last().unwrap().value_bytes(), b"\xffx");
        assert_eq!(Headers::new(Vec::new()).iter().count(), 0);
    }

    #[test]
    fn what_is_cut_off_is_no_header() {
        let whole = packed(&[(b"accept", b"*/*"), (b"host", b"a")]);
        for length in 0..whole.len() {
            let complete = usize::from(length >= 8 + b"accept*/*".len());
            assert_eq!(Headers::new(whole[..length].to_vec()).iter().count(), complete, "{length}");
        }
    }
}
