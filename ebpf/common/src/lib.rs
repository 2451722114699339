//! What the XDP program and user space say to each other: names, keys and values of the maps.
//!
//! | map | kind | what for |
//! | --- | --- | --- |
//! | `CONFIGURATION` | array of one | limits, prefixes, the sketch's seed, who owns the maps |
//! | `PORTS` | array of 65,536 | which TCP ports are the gateway's, at a glance |
//! | `LISTENERS` | hash | the gateway's addresses, for ports that it doesn't have on all of them |
//! | `LISTS` | longest-prefix trie | who is denied, allowed, trusted |
//! | `SOURCES` | LRU hash | buckets and penalties of sources that are known |
//! | `STRANGERS` | array | buckets of all others: a sketch |
//! | `RECENT` | array for each CPU | what was decided of a source a moment ago |
//! | `COUNTERS` | array for each CPU | packets by [`Outcome`] |
//! | `CLOCK` | array of two | the time in tests |

#![no_std]

use tollgate_throttle::Rate;
use tollgate_throttle::source::{Prefixes, Seed, Source};

/// Changes with each change of a map's name, kind, key or value: maps of another layout are not
/// taken over.
pub const LAYOUT: u32 = 4;

/// How many ports there are.
pub const PORTS: u32 = 65_536;

/// A bit of a port: all IPv4 addresses listen.
pub const LISTENS_ON_IPV4: u8 = 1;
/// A bit of a port: all IPv6 addresses listen.
pub const LISTENS_ON_IPV6: u8 = 2;
/// A bit of a port: [`Listener`]s say which addresses listen.
pub const LISTENS_ON_SOME: u8 = 4;

/// Of the map `CONFIGURATION`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Configuration {
    /// Which process may remove the maps: a number that it chose at random.
    pub owner: u64,
    /// New connections, from one source.
    pub connections: Rate,
    /// Packets, from one source.
    pub packets: Rate,
    pub prefixes: Prefixes,
    pub seed: Seed,
    /// [`LAYOUT`].
    pub layout: u32,
    /// The number of slots of the sketch less one: a power of two less one.
    pub sketch_mask: u32,
    pub is_on: Switches,
    /// Another number after each change of `LISTS`; not 0.
    pub lists_version: u64,
}

/// What is to be done at all. Each is 0 or 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Switches {
    pub connections: u8,
    pub packets: u8,
    /// There is something in `LISTS`.
    pub lists: u8,
    /// Some listener is on all IPv4 addresses.
    pub all_ipv4: u8,
    /// Some listener is on all IPv6 addresses.
    pub all_ipv6: u8,
    /// The program runs in the driver. Only user space reads it.
    pub native: u8,
    pub padding: [u8; 2],
}

/// A key of the map `LISTENERS`: an address and port of the gateway. Port 0 is there for each
/// address that has any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Listener {
    pub address: Source,
    pub port: u64,
}

impl Listener {
    #[inline]
    pub const fn new(address: Source, port: u16) -> Self {
        Self { address, port: port as u64 }
    }
}

/// A key of the map `LISTS`, behind the prefix length: the family, so that `::/0` says nothing of
/// IPv4, and the address, to which zeros are added for IPv4. A prefix length counts the bits of
/// both. The kernel compares the first eight bytes at once and then four at a time, for each node
/// on the way: so one comparison does for IPv4.
pub type ListAddress = [u8; 20];

/// How many bits of a [`ListAddress`] are the family.
pub const FAMILY_BITS: u32 = 32;

/// The family of an address in `LISTS`, in the machine's order.
pub const fn family(is_ipv6: bool) -> u32 {
    if is_ipv6 { 6 } else { 4 }
}

/// The address in a [`ListAddress`], in the order of the wire.
#[inline]
pub const fn list_words(address: Source, is_ipv6: bool) -> [u64; 2] {
    if is_ipv6 { address.words() } else { address.ipv4_words() }
}

/// A bit of a value of the map `LISTS`: the configuration file has the entry, not a command.
pub const IS_CONFIGURED: u8 = 0x80;

/// A value of the map `LISTS`, without [`IS_CONFIGURED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Standing {
    /// All its packets are dropped.
    Denied = 1,
    /// It is never limited nor penalised: an exception from a wider network that is denied, or
    /// somebody known to be good.
    Allowed = 2,
    /// As allowed. A proxy: what it says of whom it speaks for is believed.
    Trusted = 3,
}

impl Standing {
    /// As in the configuration and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Allowed => "allowed",
            Self::Trusted => "trusted",
        }
    }

    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte & !IS_CONFIGURED {
            1 => Some(Self::Denied),
            2 => Some(Self::Allowed),
            3 => Some(Self::Trusted),
            _ => None,
        }
    }
}

/// A value of the map `SOURCES`: with its key, two cache lines of the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Known {
    /// State of the bucket of new connections, or [`Self::AS_STRANGER`].
    pub connections: u64,
    /// State of the bucket of packets, or [`Self::AS_STRANGER`].
    pub packets: u64,
    /// When it is out of the penalty box, in nanoseconds of CLOCK_MONOTONIC; 0: it never was in.
    pub penalty_until: u64,
    /// [`refused_in`] what it was last refused in; 0: it never was.
    pub refused_in: u32,
    /// [`Penalty::level`](tollgate_throttle::penalty::Penalty::level).
    pub penalty_level: u32,
    /// Packets that were let in.
    pub admitted: u64,
    /// Packets that were not, by the [`Outcome`]s from [`Outcome::FIRST_OF_KNOWN`] on.
    pub dropped: [u64; 3],
}

impl Known {
    /// A bucket state: the one that the source has in the sketch. User space makes entries, and
    /// the program puts the state in with the source's next packet; so nobody gets a full bucket
    /// for having become known.
    pub const AS_STRANGER: u64 = u64::MAX;

    /// A source of which nothing is known but its name.
    pub const NEW: Self = Self {
        connections: Self::AS_STRANGER,
        packets: Self::AS_STRANGER,
        penalty_until: 0,
        refused_in: 0,
        penalty_level: 0,
        admitted: 0,
        dropped: [0; 3],
    };
}

/// Nanoseconds that a tick of the kernel takes at most (`CONFIG_HZ=100`).
pub const LONGEST_TICK: u64 = 10_000_000;

/// A refusal of a known source and the kernel's tick it was made in. Reading the time is most of
/// what a refusal costs, so it holds for the rest of the tick; of a bucket's, if the bucket takes
/// longer than a tick to fill, so that no token is lost by that. Not 0. After 2^30 ticks, months,
/// the numbers come again.
pub const fn refused_in(tick: u64, outcome: Outcome) -> u32 {
    (tick as u32) << 2 | (outcome as u32 - Outcome::FIRST_OF_KNOWN + 1)
}

/// What a source is still refused for that was refused in `refused`: in the same tick, all packets
/// if it is in the penalty box, else those that take a token from the same bucket first.
#[inline]
pub fn refused_for(refused: u32, tick: u64, opens: bool) -> Option<Outcome> {
    let bucket = if opens { Outcome::ConnectionRate } else { Outcome::PacketRate };
    [Outcome::Penalty, bucket].into_iter().find(|it| refused == refused_in(tick, *it))
}

/// How many values the map `RECENT` has for each CPU: a power of two.
pub const RECENTS: u32 = 512;

/// A value of the map `RECENT`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Recent {
    /// The whole address.
    pub address: Source,
    /// [`Configuration::lists_version`] at that time; 0: nothing is here.
    pub lists_version: u64,
    /// What `SOURCES` knows the address as. Only if it was refused.
    pub source: Source,
    /// [`refused_in`] what it was last refused in; 0: it never was.
    pub refused_in: u32,
    /// The tick of its last use.
    pub used_in: u32,
    /// Packets refused in that, which `SOURCES` doesn't count yet.
    pub uncounted: u32,
    /// A [`Standing`]; 0: it isn't listed.
    pub standing: u8,
    pub padding: [u8; 3],
}

impl Recent {
    /// The index of what is known of an address. The seed keeps others from choosing addresses
    /// with the same one.
    #[inline]
    pub fn place(address: Source, Seed([one, other]): Seed) -> u32 {
        let [high, low] = address.words();
        // The first bits of sums of odd multiples collide as seldom as those of random numbers.
        let mixed = high.wrapping_mul(one | 1).wrapping_add(low.wrapping_mul(other | 1));
        (mixed >> (u64::BITS - RECENTS.trailing_zeros())) as u32
    }

    /// The index of [`Known::dropped`] for what was refused in `refused`.
    #[inline]
    pub const fn dropped_at(refused: u32) -> usize {
        (refused as usize & 3).wrapping_sub(1)
    }
}

/// A value of the map `STRANGERS`: two sketches side by side, because a source's packet needs
/// both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Slot {
    pub connections: u64,
    pub packets: u64,
}

/// What became of a packet for the gateway: an index of the map `COUNTERS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Outcome {
    /// Let in, within the limits.
    Admitted = 0,
    /// Let in without limits: the source is allowed or trusted.
    Allowed = 1,
    /// Dropped: the source is denied.
    Denied = 2,
    /// Dropped: a fragment, or a chain of extension headers, that hides what it carries.
    Hidden = 3,
    /// Dropped: too many new connections.
    ConnectionRate = 4,
    /// Dropped: too many packets.
    PacketRate = 5,
    /// Dropped: the source is in the penalty box.
    Penalty = 6,
}

impl Outcome {
    pub const ALL: [Self; 7] = [
        Self::Admitted,
        Self::Allowed,
        Self::Denied,
        Self::Hidden,
        Self::ConnectionRate,
        Self::PacketRate,
        Self::Penalty,
    ];
    /// As in metrics and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Hidden => "hidden",
            Self::ConnectionRate => "connection_rate",
            Self::PacketRate => "packet_rate",
            Self::Penalty => "penalty",
        }
    }

    /// The first of those that are counted for a known source, too.
    pub const FIRST_OF_KNOWN: u32 = Self::ConnectionRate as u32;
}

/// An index of the map `CLOCK`, which only the programs for tests read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Clock {
    /// The time of `tollgate_at`, in nanoseconds.
    Now = 0,
    /// How many addresses `tollgate_spread` sends from, a power of two.
    Sources = 1,
}

#[cfg(feature = "user")]
mod user {
    use super::{Configuration, Known, Listener, Recent, Slot};

    // SAFETY: plain numbers in the layout of C, without padding that the compiler adds: the size
    // is the sum of the fields' sizes, which the tests of tollgate-xdp compare.
    unsafe impl aya::Pod for Configuration {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Known {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Listener {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Slot {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Recent {}
}
