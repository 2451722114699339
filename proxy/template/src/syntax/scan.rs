//! The regular expressions of the grammar's tokens, each as a function from a position to the end
//! of the longest match.

/// Where `accept` stops holding.
fn run(bytes: &[u8], from: usize, accept: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.iter().position(|&byte| !accept(byte)).map_or(bytes.len(), |length| from + length)
}

fn at(bytes: &[u8], position: usize) -> Option<u8> {
    bytes.get(position).copied()
}

pub(super) fn starts(bytes: &[u8], from: usize, prefix: &[u8]) -> bool {
    bytes.get(from..).is_some_and(|rest| rest.starts_with(prefix))
}

pub(super) fn backslashes(bytes: &[u8], from: usize) -> usize {
    run(bytes, from, |byte| byte == b'\\')
}

/// `[ \t\r\n]+`
pub(super) fn whitespace(bytes: &[u8], from: usize) -> Option<usize> {
    let end = run(bytes, from, |byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
    (end > from).then_some(end)
}

/// `\n | \r | \r\n`
pub(super) fn line_end(bytes: &[u8], from: usize) -> Option<usize> {
    match at(bytes, from)? {
        b'\n' => Some(from + 1),
        b'\r' if at(bytes, from + 1) == Some(b'\n') => Some(from + 2),
        b'\r' => Some(from + 1),
        _ => None,
    }
}

/// `([ \t]* (\n | \r | \r\n))?`
pub(super) fn rest_of_line(bytes: &[u8], from: usize) -> usize {
    line_end(bytes, blanks(bytes, from)).unwrap_or(from)
}

fn blanks(bytes: &[u8], from: usize) -> usize {
    run(bytes, from, |byte| matches!(byte, b' ' | b'\t'))
}

/// `[ \t]* ("#set" | "#{set}") " "* "("`
pub(super) fn set(bytes: &[u8], from: usize) -> Option<usize> {
    let hash = blanks(bytes, from);
    let name = [&b"#set"[..], b"#{set}"].into_iter().find(|name| starts(bytes, hash, name))?;
    let open = run(bytes, hash + name.len(), |byte| byte == b' ');
    (at(bytes, open) == Some(b'(')).then_some(open + 1)
}

/// `[A-Za-z_] [A-Za-z0-9_-]*`
pub(super) fn identifier(bytes: &[u8], from: usize) -> Option<usize> {
    let first = at(bytes, from)?;
    (first.is_ascii_alphabetic() || first == b'_').then(|| {
        run(bytes, from, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    })
}

fn word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'@')
}

/// `[A-Za-z_@] [A-Za-z0-9_@]*`
pub(super) fn word(bytes: &[u8], from: usize) -> Option<usize> {
    let first = at(bytes, from)?;
    (word_byte(first) && !first.is_ascii_digit()).then(|| run(bytes, from, word_byte))
}

/// `"{" [A-Za-z_] [A-Za-z0-9_@]* "}"`
pub(super) fn bracketed_word(bytes: &[u8], from: usize) -> Option<usize> {
    if at(bytes, from)? != b'{' || at(bytes, from + 1)? == b'@' {
        return None;
    }
    let end = word(bytes, from + 1)?;
    (at(bytes, end) == Some(b'}')).then_some(end + 1)
}

/// A string in the quote at `from`; the quote twice stands for itself.
pub(super) fn string(bytes: &[u8], from: usize) -> Option<usize> {
    let quote = at(bytes, from)?;
    let mut position = from + 1;
    let mut closed = None;
    loop {
        let Some(length) = memchr::memchr(quote, bytes.get(position..)?) else { return closed };
        position += length + 1;
        if at(bytes, position) != Some(quote) {
            return Some(position);
        }
        closed = Some(position);
        position += 1;
    }
}

fn digits(bytes: &[u8], from: usize) -> Option<usize> {
    let end = run(bytes, from, |byte| byte.is_ascii_digit());
    (end > from).then_some(end)
}

fn after_minus(bytes: &[u8], from: usize) -> usize {
    if at(bytes, from) == Some(b'-') { from + 1 } else { from }
}

/// `-? [0-9]+ ".."?`
pub(super) fn integer(bytes: &[u8], from: usize) -> Option<usize> {
    let end = digits(bytes, after_minus(bytes, from))?;
    Some(if starts(bytes, end, b"..") { end + 2 } else { end })
}

/// `-? ([0-9]+ "." [0-9]* | "." [0-9]+) exponent? | -? [0-9]+ exponent`
pub(super) fn floating_point(bytes: &[u8], from: usize) -> Option<usize> {
    let start = after_minus(bytes, from);
    let whole = digits(bytes, start);
    let point = whole.unwrap_or(start);
    if at(bytes, point) == Some(b'.') {
        let fraction = digits(bytes, point + 1);
        if whole.is_none() && fraction.is_none() {
            return None;
        }
        let end = fraction.unwrap_or(point + 1);
        return Some(exponent(bytes, end).unwrap_or(end));
    }
    exponent(bytes, whole?)
}

fn exponent(bytes: &[u8], from: usize) -> Option<usize> {
    if !matches!(at(bytes, from)?, b'e' | b'E') {
        return None;
    }
    let sign = matches!(at(bytes, from + 1)?, b'+' | b'-');
    digits(bytes, from + 1 + usize::from(sign))
}
