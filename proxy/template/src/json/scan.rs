//! Finds ends of runs in JSON, eight bytes at a time.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = ONES << 7;

/// The index of the quote that ends a string from `from` on; `Err`: of what comes before it, or
/// the length.
#[inline(always)]
pub(super) fn closing_quote(bytes: &[u8], from: usize) -> Result<usize, usize> {
    let end = plain_end(bytes, from);
    if bytes.get(end) == Some(&b'"') { Ok(end) } else { Err(end) }
}

/// The index of the first byte at or after `from` that is no JSON space, or the length.
pub(super) fn space_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    loop {
        while let Some(word) = word_at(bytes, at) {
            let others = word ^ (ONES * b' ' as u64);
            at += (others.trailing_zeros() / 8) as usize;
            if others != 0 {
                break;
            }
        }
        match bytes.get(at) {
            Some(b' ' | b'\n' | b'\r' | b'\t') => at += 1,
            _ => return at,
        }
    }
}

/// A number that equal keys share, and that others seldom have.
#[inline(always)]
pub(super) fn key_code(bytes: &[u8], start: usize, end: usize) -> u8 {
    let length = end - start;
    let mixed = if length < 8 {
        word_at(bytes, start).unwrap_or_else(|| last_word(bytes, start))
            & !(u64::MAX << (8 * length))
    } else {
        let word = |at| word_at(bytes, at).unwrap_or_default();
        word(start).rotate_left(5) ^ word(end - 8)
    };
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

#[inline(always)]
fn word_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The word of the bytes from `at` on, of which there are fewer than 8.
#[cold]
fn last_word(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte))
}

/// The index of the first `"`, `\` or control character at or after `from`, or the length.
#[inline(always)]
pub(super) fn plain_end(bytes: &[u8], from: usize) -> usize {
    let (chunks, tail) = bytes.get(from..).unwrap_or_default().as_chunks::<8>();
    let mut at = from;
    for chunk in chunks {
        let special = special_bytes(u64::from_le_bytes(*chunk));
        if special != 0 {
            return at + (special.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    at + tail_end(tail)
}

#[cold]
fn tail_end(tail: &[u8]) -> usize {
    tail.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(tail.len())
}

/// The high bit of each special byte. Bytes above the first special one may be marked wrongly,
/// because a subtraction borrows from them.
#[inline(always)]
fn special_bytes(word: u64) -> u64 {
    // With this bit turned, quotes are below `!` as control characters are, and ` ` is not.
    let quotes_and_controls = (word ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
    let backslashes = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    (quotes_and_controls | backslashes) & !word & HIGH_BITS
}

#[cfg(test)]
mod tests {
    use super::{closing_quote, key_code, plain_end, space_end};

    #[test]
    fn a_run_ends_at_the_first_special_byte() {
        for special in ["\"", "\\", "\n", "\0", "\u{1f}"] {
            for length in 0..20 {
                for rest in ["", "x", "\"", "\u{1}é0123456789"] {
                    let text = format!("{}{special}{rest}", "é".repeat(length));
                    assert_eq!(plain_end(text.as_bytes(), 0), length * 2, "{text:?}");
                    let quote = closing_quote(text.as_bytes(), 0);
                    let expected = if special == "\"" { Ok(length * 2) } else { Err(length * 2) };
                    assert_eq!(quote, expected, "{text:?}");
                }
            }
        }
        assert_eq!(plain_end(b"\"0123456789~\x7f", 1), 13);
        assert_eq!(plain_end(b"", 0), 0);
    }

    #[test]
    fn spaces_end_at_the_first_other_byte() {
        for space in [" ", "\n", "\r\n  ", "\t \t"] {
            for count in 0..20 {
                for rest in ["", "x", "\u{b}", "\u{a0}", "{\"0123456789\": 1}"] {
                    let text = format!("{}{rest}", space.repeat(count));
                    assert_eq!(space_end(text.as_bytes(), 0), space.len() * count, "{text:?}");
                }
            }
        }
    }

    #[test]
    fn equal_keys_have_one_code_wherever_they_stand() {
        for length in 0..20 {
            let key = "abcdefghijklmnopqrst".get(..length).expect("ASCII");
            let text = format!("{key}\"   0123456789{key}");
            let first = key_code(text.as_bytes(), 0, length);
            assert_eq!(key_code(text.as_bytes(), text.len() - length, text.len()), first, "{key}");
        }
    }
}
