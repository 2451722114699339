//! The ids of usage plans and API keys: AWS's form, `[a-z0-9]`, as numbers.

use std::fmt;

/// `N` characters of `[a-z0-9]`, N up to 12.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id<const N: usize>(u64);

/// Six characters of `[a-z0-9]`.
pub type UsagePlanId = Id<6>;

/// Ten characters of `[a-z0-9]`.
pub type ApiKeyId = Id<10>;

const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

impl<const N: usize> Id<N> {
    /// The id written so; none for text that is no id.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != N {
            return None;
        }
        let digit = |byte: u8| DIGITS.iter().position(|digit| *digit == byte);
        let number = text.bytes().try_fold(0, |sum, byte| Some(sum * 36 + digit(byte)? as u64))?;
        Some(Self(number))
    }

    /// An id made from a number, the same for the same one.
    pub fn of_hash(hash: u64) -> Self {
        Self(hash % 36_u64.pow(N as u32))
    }

    /// A number that no other id of this kind has.
    pub(super) fn number(self) -> u64 {
        self.0
    }

    pub(super) fn of_number(number: u64) -> Self {
        Self::of_hash(number)
    }

    fn text(self) -> [u8; N] {
        let mut rest = self.0;
        let mut text = [0; N];
        for place in text.iter_mut().rev() {
            *place = DIGITS[(rest % 36) as usize];
            rest /= 36;
        }
        text
    }
}

impl<const N: usize> fmt::Display for Id<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text()))
    }
}

impl<const N: usize> fmt::Debug for Id<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back() {
        for text in ["0000000000", "zzzzzzzzzz", "a1b2c3d4e5"] {
            assert_eq!(ApiKeyId::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "abc", "ABCDEF", "abcde-", "abcdefg", "äbcde"] {
            assert_eq!(UsagePlanId::parse(text), None, "{text}");
        }
        assert_eq!(UsagePlanId::of_hash(u64::MAX).to_string().len(), 6);
    }
}
