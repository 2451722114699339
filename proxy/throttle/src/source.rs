//! Who is counted: an address, or the network it belongs to.
//!
//! A source is 16 bytes as they are on the wire; IPv4 is mapped into IPv6 (RFC 4291, section
//! 2.5.5.2), so that one map, one list and one hash serve both. Two machine words hold the bytes
//! in the order of the wire, whatever the machine's order is: masking and comparing need no
//! swaps.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address, or the network that counts as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Source {
    high: u64,
    low: u64,
}

/// The key of [`Source::hash`]. Who doesn't know it can't choose addresses that collide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Seed(pub [u64; 2]);

/// How much of an address makes a source: an attacker who owns a network changes the rest at
/// will. By default a whole IPv4 address and the first 64 bits of an IPv6 one, the smallest
/// network that is given to a site (RFC 6177).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Prefixes {
    ipv4: Source,
    ipv6: Source,
}

/// A number that is no prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidPrefix {
    /// Allowed for IPv4: 1 to 32.
    Ipv4(u8),
    /// Allowed for IPv6: 1 to 128.
    Ipv6(u8),
}

/// In front of the bits of an IPv4 address.
pub const MAPPED_BITS: u8 = 96;

impl Source {
    /// From 16 bytes of the wire, read as two words of the machine.
    #[inline]
    pub const fn from_words(high: u64, low: u64) -> Self {
        Self { high, low }
    }

    /// From the 4 bytes of an IPv4 address, read as a word of the machine.
    #[inline]
    pub const fn from_ipv4_word(word: u32) -> Self {
        let mapped = if cfg!(target_endian = "little") {
            (word as u64) << 32 | 0xffff_0000
        } else {
            0xffff_0000_0000 | word as u64
        };
        Self { high: 0, low: mapped }
    }

    /// The two words, in the order of the wire.
    #[inline]
    pub const fn words(self) -> [u64; 2] {
        [self.high, self.low]
    }

    /// Of an IPv4 address, the same without what maps it into IPv6: its four octets, then zeros.
    #[inline]
    pub const fn ipv4_words(self) -> [u64; 2] {
        let first = if cfg!(target_endian = "little") { self.low >> 32 } else { self.low << 32 };
        [first, 0]
    }

    /// The bytes, as they are on the wire.
    pub const fn octets(self) -> [u8; 16] {
        let (high, low) = (self.high.to_ne_bytes(), self.low.to_ne_bytes());
        let mut octets = [0; 16];
        let mut place = 0;
        while place < 8 {
            octets[place] = high[place];
            octets[place + 8] = low[place];
            place += 1;
        }
        octets
    }

    /// The first `bits` of 128.
    pub const fn truncated(self, bits: u8) -> Self {
        let mask = if bits >= 128 { u128::MAX } else { !(u128::MAX >> bits) };
        self.masked(Self::from_octets(mask.to_be_bytes()))
    }

    /// The network of an address.
    #[inline]
    pub const fn masked(self, mask: Self) -> Self {
        Self { high: self.high & mask.high, low: self.low & mask.low }
    }

    /// The address; of a network, its first.
    pub const fn address(self) -> IpAddr {
        Ipv6Addr::from_octets(self.octets()).to_canonical()
    }

    /// SipHash-1-3 of the 16 bytes: no one can find colliding sources without the seed, and it
    /// takes some ten nanoseconds (<https://131002.net/siphash/>).
    #[inline]
    pub const fn hash(self, seed: Seed) -> u64 {
        let mut state = SipState::new(seed);
        state.absorb(u64::from_le_bytes(self.high.to_ne_bytes()));
        state.absorb(u64::from_le_bytes(self.low.to_ne_bytes()));
        state.absorb(16 << 56);
        state.finish()
    }

    const fn ones(self) -> u8 {
        (self.high.count_ones() + self.low.count_ones()) as u8
    }

    const fn from_octets(octets: [u8; 16]) -> Self {
        let (mut high, mut low) = ([0; 8], [0; 8]);
        let mut place = 0;
        while place < 8 {
            high[place] = octets[place];
            low[place] = octets[place + 8];
            place += 1;
        }
        Self { high: u64::from_ne_bytes(high), low: u64::from_ne_bytes(low) }
    }
}

impl From<Ipv4Addr> for Source {
    fn from(address: Ipv4Addr) -> Self {
        Self::from_ipv4_word(u32::from_ne_bytes(address.octets()))
    }
}

impl From<Ipv6Addr> for Source {
    fn from(address: Ipv6Addr) -> Self {
        Self::from_octets(address.octets())
    }
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => address.into(),
        }
    }
}

impl Default for Prefixes {
    fn default() -> Self {
        let all = Source { high: u64::MAX, low: u64::MAX };
        Self { ipv4: all, ipv6: all.truncated(64) }
    }
}

impl Prefixes {
    /// From 1 to 32 bits of an IPv4 address, from 1 to 128 of an IPv6 one.
    ///
    /// # Errors
    /// A length is out of its range.
    pub const fn new(ipv4: u8, ipv6: u8) -> Result<Self, InvalidPrefix> {
        if ipv4 < 1 || ipv4 > 32 {
            return Err(InvalidPrefix::Ipv4(ipv4));
        }
        if ipv6 < 1 || ipv6 > 128 {
            return Err(InvalidPrefix::Ipv6(ipv6));
        }
        let all = Source { high: u64::MAX, low: u64::MAX };
        Ok(Self { ipv4: all.truncated(MAPPED_BITS + ipv4), ipv6: all.truncated(ipv6) })
    }

    /// Who an address counts as. An IPv4 address mapped into IPv6, as a socket for both gives
    /// it, counts as the IPv4 address.
    pub fn source(&self, address: IpAddr) -> Source {
        match address.to_canonical() {
            IpAddr::V4(address) => self.ipv4_source(address.into()),
            IpAddr::V6(address) => self.ipv6_source(address.into()),
        }
    }

    /// Who an IPv4 address counts as.
    #[inline]
    pub const fn ipv4_source(&self, address: Source) -> Source {
        address.masked(self.ipv4)
    }

    /// Who an IPv6 address counts as.
    #[inline]
    pub const fn ipv6_source(&self, address: Source) -> Source {
        address.masked(self.ipv6)
    }

    /// The lengths: of IPv4, of IPv6.
    pub const fn lengths(&self) -> (u8, u8) {
        (self.ipv4.ones() - MAPPED_BITS, self.ipv6.ones())
    }
}

struct SipState([u64; 4]);

impl SipState {
    const fn new(Seed([key, other_key]): Seed) -> Self {
        Self([
            key ^ 0x736f_6d65_7073_6575,
            other_key ^ 0x646f_7261_6e64_6f6d,
            key ^ 0x6c79_6765_6e65_7261,
            other_key ^ 0x7465_6462_7974_6573,
        ])
    }

    #[inline]
    const fn absorb(&mut self, word: u64) {
        self.0[3] ^= word;
        self.round();
        self.0[0] ^= word;
    }

    #[inline]
    const fn finish(mut self) -> u64 {
        self.0[2] ^= 0xff;
        self.round();
        self.round();
        self.round();
        let [a, b, c, d] = self.0;
        a ^ b ^ c ^ d
    }

    #[inline]
    const fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.0;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        self.0 = [a, b, c, d];
    }
}

#[cfg(test)]
mod tests {
    use core::hash::Hasher;
    use std::hash::DefaultHasher;
    use std::net::{IpAddr, Ipv6Addr};
    use std::string::ToString;

    use super::{InvalidPrefix, Prefixes, Seed, Source};

    #[test]
    fn the_hash_is_siphash_1_3() {
        let mut source = Source::from_octets([7; 16]);
        for round in 0..1000_u64 {
            // The standard library's hash, with a key of zero.
            let mut hasher = DefaultHasher::new();
            hasher.write(&source.octets());
            assert_eq!(source.hash(Seed([0, 0])), hasher.finish());
            source = Source::from_words(hasher.finish(), round);
        }
        assert_ne!(source.hash(Seed([0, 0])), source.hash(Seed([0, 1])));
    }

    #[test]
    fn an_address_is_the_same_from_the_wire_and_from_a_socket() {
        let address: IpAddr = "203.0.113.7".parse().unwrap();
        let wire = Source::from_ipv4_word(u32::from_ne_bytes([203, 0, 113, 7]));
        assert_eq!(Source::from(address), wire);
        assert_eq!(wire.address(), address);
        assert_eq!(Prefixes::default().source("::ffff:203.0.113.7".parse().unwrap()), wire);
        let ipv6: Ipv6Addr = "2001:db8::7".parse().unwrap();
        let [high, low] =
            [0, 8].map(|at| u64::from_ne_bytes(*ipv6.octets()[at..].first_chunk().unwrap()));
        assert_eq!(Source::from(ipv6), Source::from_words(high, low));
    }

    #[test]
    fn prefixes_say_what_counts_as_one() {
        let source = |prefixes: Prefixes, text: &str| {
            prefixes.source(text.parse().unwrap()).address().to_string()
        };
        let default = Prefixes::default();
        assert_eq!(source(default, "203.0.113.7"), "203.0.113.7");
        assert_eq!(source(default, "2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        let wide = Prefixes::new(24, 48).unwrap();
        assert_eq!(source(wide, "203.0.113.7"), "203.0.113.0");
        assert_eq!(source(wide, "2001:db8:1:2:3:4:5:6"), "2001:db8:1::");
        for lengths in [(1, 1), (17, 49), (32, 128)] {
            assert_eq!(Prefixes::new(lengths.0, lengths.1).unwrap().lengths(), lengths);
        }
        assert_eq!(Prefixes::new(0, 64), Err(InvalidPrefix::Ipv4(0)));
        assert_eq!(Prefixes::new(33, 64), Err(InvalidPrefix::Ipv4(33)));
        assert_eq!(Prefixes::new(32, 129), Err(InvalidPrefix::Ipv6(129)));
    }
}
