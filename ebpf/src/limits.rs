//! The buckets and penalties of a source.
//!
//! A known source has an entry of its own in `SOURCES`. All others are strangers and share a
//! sketch. A stranger becomes known when user space says so (it completed a handshake, or got a
//! penalty), or when it is dropped here for the first time: then it is worth an entry, and one
//! that made up its address for each packet never comes so far.
//!
//! A packet that opens a connection takes a token from the bucket of connections, then, as all
//! do, one from that of packets. One that is refused by the first takes none from the second, so
//! that a flood of them leaves the connections that are open alone.
//!
//! A source that was refused is refused for the rest of the kernel's tick, by what is kept as
//! [`recent`](crate::recent) where possible.

use aya_ebpf::bindings::BPF_NOEXIST;
use tollgate_ebpf_common::{
    Configuration, Known, LONGEST_TICK, Outcome, Slot, refused_for, refused_in,
};
use tollgate_throttle::Rate;
use tollgate_throttle::sketch::{self, Word};
use tollgate_throttle::source::Source;

use crate::clock::Clock;
use crate::maps;
use crate::packet::Segment;
use crate::recent::Place;
use crate::word::{Half, Shared};

#[inline(always)]
pub fn outcome(
    segment: &Segment,
    configuration: &Configuration,
    recent: &mut Place,
    tick: u64,
    clock: &impl Clock,
) -> Option<Outcome> {
    let opens = segment.is_opening && configuration.is_on.connections != 0;
    let refusal = recent.refusal(opens);
    if refusal.is_some() {
        return refusal;
    }
    let prefixes = &configuration.prefixes;
    let source = if segment.is_ipv6 {
        prefixes.ipv6_source(segment.source)
    } else {
        prefixes.ipv4_source(segment.source)
    };
    match maps::SOURCES.get_ptr_mut(source) {
        // SAFETY: the pointer is to an entry of the map. The kernel may give a removed entry to
        // another source while it is in use here, which then loses or gains a token; all fields
        // are numbers that are read and written whole.
        Some(known) => {
            let entry = unsafe { Entry::new(known) };
            let outcome = of_known(&entry, opens, source, configuration, tick, clock)?;
            if outcome != Outcome::Admitted && entry.refused_in.read() == refused_in(tick, outcome)
            {
                recent.refuse(source, outcome);
            }
            Some(outcome)
        }
        None => of_stranger(opens, source, configuration, clock.now()),
    }
}

/// A [`Known`] that all CPUs may change.
struct Entry {
    connections: Shared,
    packets: Shared,
    penalty_until: Shared,
    refused_in: Half,
    admitted: Shared,
    dropped: [Shared; 3],
}

impl Entry {
    /// # Safety
    /// The pointer is to an entry of a map.
    #[inline(always)]
    unsafe fn new(known: *mut Known) -> Self {
        // SAFETY: the fields are aligned words within the entry.
        unsafe {
            Self {
                connections: Shared::new(&raw mut (*known).connections),
                packets: Shared::new(&raw mut (*known).packets),
                penalty_until: Shared::new(&raw mut (*known).penalty_until),
                refused_in: Half::new(&raw mut (*known).refused_in),
                admitted: Shared::new(&raw mut (*known).admitted),
                dropped: [
                    Shared::new(&raw mut (*known).dropped[0]),
                    Shared::new(&raw mut (*known).dropped[1]),
                    Shared::new(&raw mut (*known).dropped[2]),
                ],
            }
        }
    }

    /// Counts a packet that isn't let in.
    #[inline(always)]
    fn drop_for(&self, outcome: Outcome) -> Outcome {
        self.dropped[(outcome as u32 - Outcome::FIRST_OF_KNOWN) as usize].add_one();
        outcome
    }

    /// As [`Self::drop_for`], and the next ones of this tick without asking the bucket.
    #[inline(always)]
    fn refuse(&self, outcome: Outcome, rate: Rate, tick: u64) -> Outcome {
        if !rate.is_full_after(LONGEST_TICK) {
            self.refused_in.write(refused_in(tick, outcome));
        }
        self.drop_for(outcome)
    }
}

#[inline(always)]
fn of_known(
    entry: &Entry,
    opens: bool,
    source: Source,
    configuration: &Configuration,
    tick: u64,
    clock: &impl Clock,
) -> Option<Outcome> {
    if let Some(outcome) = refused_for(entry.refused_in.read(), tick, opens) {
        return Some(entry.drop_for(outcome));
    }
    let penalty_until = entry.penalty_until.read();
    if penalty_until != 0 && penalty_until > clock.now() {
        entry.refused_in.write(refused_in(tick, Outcome::Penalty));
        return Some(entry.drop_for(Outcome::Penalty));
    }
    if entry.packets.read() == Known::AS_STRANGER {
        meet(entry, &Slots::of(source, configuration)?);
    }
    let (connections, packets) = (configuration.connections, configuration.packets);
    let now = clock.now();
    if opens && sketch::take_exact(&entry.connections, connections, now).is_err() {
        return Some(entry.refuse(Outcome::ConnectionRate, connections, tick));
    }
    if configuration.is_on.packets != 0 && sketch::take_exact(&entry.packets, packets, now).is_err()
    {
        return Some(entry.refuse(Outcome::PacketRate, packets, tick));
    }
    entry.admitted.add_one();
    Some(Outcome::Admitted)
}

/// Puts the states that a source had as a stranger into its new entry.
#[inline(always)]
fn meet(entry: &Entry, slots: &Slots) {
    // If another CPU was faster, its tokens count.
    entry.connections.exchange(Known::AS_STRANGER, sketch::estimate(slots.connections()));
    entry.packets.exchange(Known::AS_STRANGER, sketch::estimate(slots.packets()));
}

#[inline(always)]
fn of_stranger(
    opens: bool,
    source: Source,
    configuration: &Configuration,
    now: u64,
) -> Option<Outcome> {
    let slots = Slots::of(source, configuration)?;
    let outcome =
        if opens && sketch::take(slots.connections(), configuration.connections, now).is_err() {
            Outcome::ConnectionRate
        } else if configuration.is_on.packets != 0
            && sketch::take(slots.packets(), configuration.packets, now).is_err()
        {
            Outcome::PacketRate
        } else {
            return Some(Outcome::Admitted);
        };
    let mut known = Known {
        connections: sketch::estimate(slots.connections()),
        packets: sketch::estimate(slots.packets()),
        ..Known::NEW
    };
    known.dropped[usize::from(outcome == Outcome::PacketRate)] = 1;
    // It fails if another CPU was faster.
    let _ = maps::SOURCES.insert(source, known, u64::from(BPF_NOEXIST));
    Some(outcome)
}

/// The two slots of a stranger, twice.
struct Slots {
    connections: [Shared; 2],
    packets: [Shared; 2],
}

impl Slots {
    #[inline(always)]
    fn of(source: Source, configuration: &Configuration) -> Option<Self> {
        let hash = source.hash(configuration.seed);
        let [one, other] = sketch::places(hash, configuration.sketch_mask);
        let (one, other) = (slot(one)?, slot(other)?);
        // SAFETY: both point to values of an array, which live as long as the program.
        unsafe {
            Some(Self {
                connections: [
                    Shared::new(&raw mut (*one).connections),
                    Shared::new(&raw mut (*other).connections),
                ],
                packets: [
                    Shared::new(&raw mut (*one).packets),
                    Shared::new(&raw mut (*other).packets),
                ],
            })
        }
    }

    #[inline(always)]
    fn connections(&self) -> [&Shared; 2] {
        let [one, other] = &self.connections;
        [one, other]
    }

    #[inline(always)]
    fn packets(&self) -> [&Shared; 2] {
        let [one, other] = &self.packets;
        [one, other]
    }
}

#[inline(always)]
fn slot(place: u32) -> Option<*mut Slot> {
    maps::STRANGERS.get_ptr_mut(place)
}
