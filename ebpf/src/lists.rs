//! Who is denied, allowed or trusted: the longest prefix decides.

use aya_ebpf::maps::lpm_trie::Key;
use tollgate_ebpf_common::{ListAddress, Outcome, Standing, family, list_words};

use crate::maps;
use crate::packet::Segment;
use crate::recent::Place;

/// A prefix length and a [`ListAddress`]. The verifier wants its words aligned on the stack.
#[repr(C)]
struct AlignedKey {
    prefix_length: u32,
    family: u32,
    address: [u64; 2],
}

#[inline(always)]
pub fn outcome(segment: &Segment, recent: &mut Place) -> Option<Outcome> {
    let standing = recent.standing().unwrap_or_else(|| {
        let standing = standing(segment);
        recent.keep(standing);
        standing
    });
    Some(match standing? {
        Standing::Denied => Outcome::Denied,
        Standing::Allowed | Standing::Trusted => Outcome::Allowed,
    })
}

#[inline(always)]
fn standing(segment: &Segment) -> Option<Standing> {
    let key = AlignedKey {
        prefix_length: size_of::<ListAddress>() as u32 * u8::BITS,
        family: family(segment.is_ipv6),
        address: list_words(segment.source, segment.is_ipv6),
    };
    // SAFETY: a key is a length and the bytes of an address, packed; so is this.
    let key: &Key<ListAddress> = unsafe { &*(&raw const key).cast() };
    Standing::from_byte(*maps::LISTS.get(key)?)
}
