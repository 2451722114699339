//! A fast hash for tables whose keys come from definitions.
//!
//! Clients choose what is looked up, not what is in the tables, so nobody from outside can pile
//! up collisions, and SipHash's protection would be paid for on each segment of each request.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

pub(crate) type FastMap<K, V> = HashMap<K, V, BuildHasherDefault<FastHasher>>;

/// Odd constants without structure: digits of the golden ratio and of the square root of two.
const K1: u64 = 0x9e37_79b9_7f4a_7c15;
const K2: u64 = 0x6a09_e667_f3bc_c909;

/// Multiply-and-fold over words of eight bytes.
#[derive(Default)]
pub(crate) struct FastHasher(u64);

impl Hasher for FastHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, tail) = bytes.as_chunks::<8>();
        for word in words {
            self.0 = fold(self.0 ^ u64::from_le_bytes(*word) ^ K1, K2);
        }
        let mut last = [0; 8];
        last[..tail.len()].copy_from_slice(tail);
        // The length keeps `a` and `a\0` apart.
        self.0 = fold(self.0 ^ u64::from_le_bytes(last) ^ K2, K1 ^ bytes.len() as u64);
    }

    /// `str` ends its hash with a byte; it needs no round of its own.
    fn write_u8(&mut self, byte: u8) {
        self.0 = self.0.wrapping_add(u64::from(byte));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// FNV-1a of a text: the same in every build, for ids that must stay the same.
pub(crate) fn stable(text: &str, salt: u8) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ u64::from(salt);
    text.bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::{BuildHasher, BuildHasherDefault};

    use super::FastHasher;

    #[test]
    fn short_and_similar_keys_spread_over_low_and_high_bits() {
        let build = BuildHasherDefault::<FastHasher>::default();
        let hashes: Vec<u64> = (0..4096).map(|n| build.hash_one(format!("resource-{n}"))).collect();
        let low: HashSet<u64> = hashes.iter().map(|hash| hash & 0xfff).collect();
        let high: HashSet<u64> = hashes.iter().map(|hash| hash >> 52).collect();
        // 4,096 balls in as many boxes fill 63 % of them.
        assert!(low.len() > 2_400 && high.len() > 2_400, "{} {}", low.len(), high.len());
    }
}
