//! Finds the end of a run of characters that a JSON string holds as they are.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = ONES << 7;

/// The index of the quote that ends a string from `from` on; `Err`: of what comes before it, or
/// the length.
#[inline(always)]
pub(super) fn closing_quote(bytes: &[u8], from: usize) -> Result<usize, usize> {
    let mut at = from;
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let quotes = zero_bytes(word ^ (ONES * b'"' as u64));
        let special = quotes | special_bytes_but_quotes(word);
        if special != 0 {
            let first = special & special.wrapping_neg();
            let end = at + (special.trailing_zeros() / 8) as usize;
            return if quotes & first != 0 { Ok(end) } else { Err(end) };
        }
        at += 8;
    }
    let end = plain_end(bytes, at);
    if bytes.get(end) == Some(&b'"') { Ok(end) } else { Err(end) }
}

/// The index of the first `"`, `\` or control character at or after `from`, or the length.
pub(super) fn plain_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let special = special_bytes(u64::from_le_bytes(*chunk));
        if special != 0 {
            return at + (special.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let tail = bytes.get(at..).unwrap_or_default();
    at + tail.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(tail.len())
}

/// The high bit of each special byte. Bytes above the first special one may be marked wrongly,
/// because a subtraction borrows from them.
fn special_bytes(word: u64) -> u64 {
    zero_bytes(word ^ (ONES * b'"' as u64)) | special_bytes_but_quotes(word)
}

fn special_bytes_but_quotes(word: u64) -> u64 {
    let backslashes = zero_bytes(word ^ (ONES * b'\\' as u64));
    let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGH_BITS;
    backslashes | controls
}

fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH_BITS
}

#[cfg(test)]
mod tests {
    use super::{closing_quote, plain_end};

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
}
