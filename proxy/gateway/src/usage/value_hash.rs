//! What tells one API key's value from another without reading it: 80 bits of a keyed hash.
//!
//! The values of a hundred thousand keys are more memory than a processor has cache, and waiting
//! for one costs more than all limits together. So the table of keys has a hash in the place of
//! the value. The hash is multilinear (Lemire and Kaser, "Strongly universal string hashing is
//! fast", 2014), keyed by chance and kept secret: whatever two values are, they have the same n
//! bits with a probability of 2⁻ⁿ. That is a proof, not a hope, so that nobody can choose values
//! that collide either. A request's value is held against those that share its place in the table,
//! a dozen at most times: who tries a million wrong ones each second for a hundred years is taken
//! for somebody with a probability of one in ten million.

use std::hash::{BuildHasher, RandomState};

use super::settings::KEY_VALUE_LENGTH;

const WORDS: usize = KEY_VALUE_LENGTH.end().div_ceil(8);

/// The secret: for each of two hashes a number that is added, one for the length, and one for each
/// word.
pub struct ValueHasher([[u128; 2]; WORDS + 2]);

/// Of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueHash {
    /// Where to look.
    pub place: u64,
    /// What to find there: these, and the lower 16 bits of `place`, on which the place in a table
    /// doesn't depend.
    pub identity: u64,
}

impl ValueHasher {
    /// The hash of a value; none for one that is longer than any key's.
    #[inline]
    pub fn hash(&self, value: &[u8]) -> Option<ValueHash> {
        if value.len() > *KEY_VALUE_LENGTH.end() {
            return None;
        }
        let [start, of_length, of_words @ ..] = &self.0;
        let mut sums = *start;
        let mut add = |factors: &[u128; 2], word: u64| {
            for (sum, factor) in sums.iter_mut().zip(factors) {
                *sum = sum.wrapping_add(factor.wrapping_mul(u128::from(word)));
            }
        };
        add(of_length, value.len() as u64);
        let (words, rest) = value.as_chunks::<8>();
        for (factors, word) in of_words.iter().zip(words) {
            add(factors, u64::from_le_bytes(*word));
        }
        if let Some(factors) = of_words.get(words.len())
            && !rest.is_empty()
        {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            add(factors, u64::from_le_bytes(word));
        }
        let [place, identity] = sums.map(|sum| (sum >> 64) as u64);
        Some(ValueHash { place: mixed(place), identity })
    }
}

impl Default for ValueHasher {
    fn default() -> Self {
        // SipHash with a key of the system's: a generator of numbers that nobody can guess.
        let chance = RandomState::new();
        let number = |at: usize| {
            u128::from(chance.hash_one(2 * at)) << 64 | u128::from(chance.hash_one(2 * at + 1))
        };
        Self(std::array::from_fn(|word| [number(2 * word), number(2 * word + 1)]))
    }
}

/// Another number for each, with no order in it (the end of MurmurHash3). Values that count up have
/// hashes that go up in even steps, and whole stretches of a table would be theirs.
#[inline]
fn mixed(mut number: u64) -> u64 {
    number = (number ^ number >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    number = (number ^ number >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    number ^ number >> 33
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn values_that_differ_in_a_byte_or_in_length_have_different_hashes() {
        let hasher = ValueHasher::default();
        let mut seen = HashSet::new();
        for length in 0..=128 {
            let mut value = vec![0; length];
            let hash = hasher.hash(&value).unwrap();
            assert!(seen.insert((hash.place, hash.identity)), "{length}");
            assert_eq!(hasher.hash(&value), Some(hash));
            for at in 0..length {
                value[at] = 1;
                let hash = hasher.hash(&value).unwrap();
                assert!(seen.insert((hash.place, hash.identity)), "{length} {at}");
                value[at] = 0;
            }
        }
        assert_eq!(hasher.hash(&[b'a'; 129]), None);
    }

    #[test]
    fn no_two_hashers_agree() {
        let hash = || ValueHasher::default().hash(b"a value of twenty-four c").unwrap();
        assert_ne!(hash(), hash());
    }
}
