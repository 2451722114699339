//! Networks in CIDR notation.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;
use tollgate_ebpf_common::{FAMILY_BITS, ListAddress, family, list_words};
use tollgate_throttle::source::{MAPPED_BITS, Source};

/// An address and how many of its first bits count; the others are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    is_ipv6: bool,
    first: Source,
    /// Of 128: an IPv4 address is the last 32.
    bits: u8,
}

/// A text that is no network.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{0:?} is no network: allowed are an address, as 203.0.113.7, or an address and a prefix \
     length, as 203.0.113.0/24 or 2001:db8::/32"
)]
pub struct InvalidNetwork(String);

impl Network {
    /// The first `bits` of an address: up to 32 for IPv4, 128 for IPv6. IPv4 mapped into IPv6 is
    /// IPv4. None: more bits than there are.
    pub fn new(address: IpAddr, bits: u8) -> Option<Self> {
        let most = if address.is_ipv4() { 32 } else { 128 };
        if bits > most {
            return None;
        }
        let bits = bits + (128 - most);
        // A network wider than all of IPv4 mapped into IPv6 is one of IPv6.
        let is_ipv6 = address.to_canonical().is_ipv6() || bits < MAPPED_BITS;
        Some(Self { is_ipv6, first: Source::from(address).truncated(bits), bits })
    }

    /// Just one address.
    pub fn of(address: IpAddr) -> Self {
        Self::around(address, 128)
    }

    /// The network that an address is in, of a length counted as [`Self::bits`] does.
    pub(crate) fn around(address: IpAddr, bits: u8) -> Self {
        let address = address.to_canonical();
        Self { is_ipv6: address.is_ipv6(), first: Source::from(address).truncated(bits), bits }
    }

    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        Self::around(address, self.bits) == *self
    }

    /// How many bits count, of 128.
    pub(crate) fn bits(&self) -> u8 {
        self.bits
    }

    /// How many bits count, of 32 or 128.
    fn length(&self) -> u8 {
        if self.is_ipv6 { self.bits } else { self.bits - MAPPED_BITS }
    }

    /// Its first address.
    pub fn first(&self) -> IpAddr {
        if self.is_ipv6 {
            Ipv6Addr::from_octets(self.first.octets()).into()
        } else {
            self.first.address()
        }
    }

    /// Whether it is one address.
    pub fn is_one_address(&self) -> bool {
        self.bits == 128
    }

    /// A key of the map of lists: how many bits count, and the bits.
    pub(crate) fn list_key(&self) -> (u32, ListAddress) {
        let mut address = [0; size_of::<ListAddress>()];
        address[..4].copy_from_slice(&family(self.is_ipv6).to_ne_bytes());
        let [high, low] = list_words(self.first, self.is_ipv6);
        address[4..].copy_from_slice(&Source::from_words(high, low).octets());
        (FAMILY_BITS + u32::from(self.length()), address)
    }

    /// From a key of the map of lists. None: it is none that [`Self::list_key`] makes.
    pub(crate) fn from_list_key(bits: u32, address: ListAddress) -> Option<Self> {
        let (kind, octets) = address.split_first_chunk::<4>()?;
        let is_ipv6 = u32::from_ne_bytes(*kind) == family(true);
        let length = u8::try_from(bits.checked_sub(FAMILY_BITS)?).ok()?;
        let (first, bits) = if is_ipv6 {
            (Ipv6Addr::from_octets(octets.try_into().ok()?).into(), length)
        } else {
            (Ipv4Addr::from_octets(*octets.first_chunk()?).into(), length.checked_add(MAPPED_BITS)?)
        };
        Some(Self { is_ipv6, first, bits })
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidNetwork(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().map_err(|_| invalid())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        match bits {
            Some(bits) => Self::new(address, bits).ok_or_else(invalid),
            None => Ok(Self::of(address)),
        }
    }
}

/// As it is written: an address alone has no length.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_one_address() {
            write!(f, "{}", self.first())
        } else {
            write!(f, "{}/{}", self.first(), self.length())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Network;

    #[test]
    fn a_network_is_written_as_it_was_read_with_the_other_bits_zero() {
        let cases = [
            ("203.0.113.7", "203.0.113.7"),
            ("203.0.113.7/32", "203.0.113.7"),
            ("203.0.113.7/24", "203.0.113.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("255.255.255.255/1", "128.0.0.0/1"),
            ("2001:db8::1", "2001:db8::1"),
            ("2001:db8:ffff::1/33", "2001:db8:8000::/33"),
            ("::/0", "::/0"),
            ("::ffff:203.0.113.7/120", "203.0.113.0/24"),
            ("::ffff:203.0.113.7/90", "::ffc0:0:0/90"),
        ];
        for (text, expected) in cases {
            let network: Network = text.parse().unwrap();
            assert_eq!(network.to_string(), expected, "{text}");
            let (bits, address) = network.list_key();
            assert_eq!(Network::from_list_key(bits, address), Some(network), "{text}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "1.2.3", "1.2.3.4/33", "1.2.3.4/-1", "::/129", "::1/", "example.com"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn all_of_ipv6_has_no_key_in_common_with_ipv4() {
        let all: Network = "::/0".parse().unwrap();
        let one: Network = "203.0.113.7".parse().unwrap();
        assert_ne!(all.list_key().1[..4], one.list_key().1[..4]);
    }
}
