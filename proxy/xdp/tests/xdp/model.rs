//! What the program should answer, written down a second time and plainly: slices, hash maps, and
//! the bucket arithmetic of `tollgate-throttle`.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tollgate_ebpf_common::{Known, LONGEST_TICK, Outcome, Recent, Standing, refused_in};
use tollgate_throttle::Rate;
use tollgate_throttle::sketch::places;
use tollgate_throttle::source::{Prefixes, Source};
use tollgate_xdp::Network;

use crate::loaded::SEED;

/// Nanoseconds of a tick of `tollgate_at`.
pub const TICK: u64 = 4_000_000;

/// A TCP segment, as far as it can be read.
#[derive(Debug, PartialEq)]
pub struct Segment {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub port: Option<u16>,
    pub is_opening: bool,
    pub is_hidden: bool,
}

pub struct Model {
    pub connections: Option<Rate>,
    pub packets: Option<Rate>,
    pub prefixes: Prefixes,
    pub ports: Vec<u16>,
    pub listeners: Vec<(IpAddr, u16)>,
    pub lists: Vec<(IpAddr, u8, Standing)>,
    pub sources: HashMap<Source, Known>,
    /// States of connections and packets.
    pub strangers: Vec<(u64, u64)>,
    pub recent: Vec<Kept>,
    pub counts: HashMap<u32, u64>,
}

/// What the processor's own map has.
#[derive(Clone, Default)]
pub struct Kept {
    address: Option<Source>,
    tick: u64,
    source: Source,
    refused_in: u32,
    uncounted: u64,
}

impl Model {
    /// Whether the packet goes on.
    pub fn passes(&mut self, frame: &[u8], now: u64) -> bool {
        let Some(segment) = segment(frame).filter(|segment| self.is_for_gateway(segment)) else {
            return true;
        };
        let outcome = self.outcome(&segment, now);
        *self.counts.entry(outcome as u32).or_default() += 1;
        matches!(outcome, Outcome::Admitted | Outcome::Allowed)
    }

    fn is_for_gateway(&self, segment: &Segment) -> bool {
        match segment.port {
            Some(port) => {
                self.ports.contains(&port) || self.listeners.contains(&(segment.destination, port))
            }
            None => {
                !self.ports.is_empty()
                    || self.listeners.iter().any(|(address, _)| *address == segment.destination)
            }
        }
    }

    fn outcome(&mut self, segment: &Segment, now: u64) -> Outcome {
        let address = Source::from(segment.source);
        let place = Recent::place(address, SEED) as usize;
        let is_kept = self.keep(place, address, now / TICK);
        let longest = self
            .lists
            .iter()
            .filter(|(first, bits, _)| contains(*first, *bits, segment.source))
            .max_by_key(|(_, bits, _)| *bits);
        match longest {
            Some((_, _, Standing::Denied)) => return Outcome::Denied,
            Some(_) => return Outcome::Allowed,
            None => {}
        }
        if segment.is_hidden {
            return Outcome::Hidden;
        }
        let kept = &mut self.recent[place];
        let refused = |outcome| kept.refused_in == refused_in(now / TICK, outcome);
        let bucket = if segment.is_opening { Outcome::ConnectionRate } else { Outcome::PacketRate };
        if let Some(outcome) = [Outcome::Penalty, bucket].into_iter().find(|it| refused(*it))
            && is_kept
        {
            kept.uncounted += 1;
            return outcome;
        }
        let source = match segment.source {
            IpAddr::V4(address) => self.prefixes.ipv4_source(address.into()),
            IpAddr::V6(address) => self.prefixes.ipv6_source(address.into()),
        };
        if !self.sources.contains_key(&source) {
            return self.stranger(source, segment.is_opening, now);
        }
        let outcome = self.known(source, segment.is_opening, now);
        let refused = self.sources[&source].refused_in;
        if outcome != Outcome::Admitted && is_kept && refused == refused_in(now / TICK, outcome) {
            self.settle(place);
            let kept = &mut self.recent[place];
            (kept.source, kept.refused_in) = (source, refused);
        }
        outcome
    }

    /// Whether the place is the address's from now on.
    fn keep(&mut self, place: usize, address: Source, tick: u64) -> bool {
        if self.recent[place].address == Some(address) {
            self.recent[place].tick = tick;
            return true;
        }
        if self.recent[place].tick == tick {
            return false;
        }
        self.settle(place);
        self.recent[place] = Kept { address: Some(address), tick, ..Kept::default() };
        true
    }

    fn settle(&mut self, place: usize) {
        let kept = &mut self.recent[place];
        let uncounted = std::mem::take(&mut kept.uncounted);
        if let Some(known) = self.sources.get_mut(&kept.source).filter(|_| uncounted > 0) {
            known.dropped[Recent::dropped_at(kept.refused_in)] += uncounted;
        }
    }

    fn known(&mut self, source: Source, is_opening: bool, now: u64) -> Outcome {
        let known = self.sources.get_mut(&source).expect("the caller looked");
        let refused = |outcome| known.refused_in == refused_in(now / TICK, outcome);
        let bucket = if is_opening { Outcome::ConnectionRate } else { Outcome::PacketRate };
        let outcome =
            if let Some(outcome) = [Outcome::Penalty, bucket].into_iter().find(|it| refused(*it)) {
                outcome
            } else if known.penalty_until > now {
                known.refused_in = refused_in(now / TICK, Outcome::Penalty);
                Outcome::Penalty
            } else {
                self.of_buckets(source, is_opening, now)
            };
        let known = self.sources.get_mut(&source).expect("the caller looked");
        match outcome {
            Outcome::ConnectionRate => known.dropped[0] += 1,
            Outcome::PacketRate => known.dropped[1] += 1,
            Outcome::Penalty => known.dropped[2] += 1,
            _ => known.admitted += 1,
        }
        outcome
    }

    fn of_buckets(&mut self, source: Source, is_opening: bool, now: u64) -> Outcome {
        let (connections, packets) = self.estimate(source);
        let known = self.sources.get_mut(&source).expect("the caller looked");
        let refuse = |known: &mut Known, rate: Rate, outcome| {
            if !rate.is_full_after(LONGEST_TICK) {
                known.refused_in = refused_in(now / TICK, outcome);
            }
            outcome
        };
        if known.packets == Known::AS_STRANGER {
            (known.connections, known.packets) = (connections, packets);
        }
        if let Some(rate) = self.connections.filter(|_| is_opening) {
            match rate.take(known.connections, now) {
                Ok(state) => known.connections = state,
                Err(_) => return refuse(known, rate, Outcome::ConnectionRate),
            }
        }
        if let Some(rate) = self.packets {
            match rate.take(known.packets, now) {
                Ok(state) => known.packets = state,
                Err(_) => return refuse(known, rate, Outcome::PacketRate),
            }
        }
        Outcome::Admitted
    }

    fn stranger(&mut self, source: Source, is_opening: bool, now: u64) -> Outcome {
        let slots = self.slots(source);
        let mut outcome = Outcome::Admitted;
        if let Some(rate) = self.connections.filter(|_| is_opening) {
            match rate.take(self.estimate(source).0, now) {
                Ok(state) => slots.map(|slot| raise(&mut self.strangers[slot].0, state)),
                Err(_) => {
                    outcome = Outcome::ConnectionRate;
                    [(), ()]
                }
            };
        }
        if let Some(rate) = self.packets.filter(|_| outcome == Outcome::Admitted) {
            match rate.take(self.estimate(source).1, now) {
                Ok(state) => slots.map(|slot| raise(&mut self.strangers[slot].1, state)),
                Err(_) => {
                    outcome = Outcome::PacketRate;
                    [(), ()]
                }
            };
        }
        if outcome != Outcome::Admitted {
            let (connections, packets) = self.estimate(source);
            let dropped = if outcome == Outcome::ConnectionRate { [1, 0, 0] } else { [0, 1, 0] };
            self.sources.insert(source, Known { connections, packets, dropped, ..Known::NEW });
        }
        outcome
    }

    fn estimate(&self, source: Source) -> (u64, u64) {
        let [one, other] = self.slots(source).map(|slot| self.strangers[slot]);
        (one.0.min(other.0), one.1.min(other.1))
    }

    fn slots(&self, source: Source) -> [usize; 2] {
        places(source.hash(SEED), self.strangers.len() as u32 - 1).map(|place| place as usize)
    }
}

fn raise(state: &mut u64, to: u64) {
    *state = to.max(*state);
}

fn contains(first: IpAddr, bits: u8, address: IpAddr) -> bool {
    first.is_ipv4() == address.is_ipv4()
        && Network::new(first, bits).expect("the lists are right")
            == Network::new(address, bits).expect("the lists are right")
}

/// Reads a frame as the documentation of the program says (`ebpf/src/packet.rs`).
pub fn segment(frame: &[u8]) -> Option<Segment> {
    let mut rest = frame.get(12..)?;
    let mut kind = two(rest, 0)?;
    for _ in 0..2 {
        if kind == 0x8100 || kind == 0x88a8 {
            rest = &rest[4.min(rest.len())..];
            kind = two(rest, 0)?;
        }
    }
    let packet = &rest[2..];
    match kind {
        0x0800 => ipv4(packet),
        0x86dd => ipv6(packet),
        _ => None,
    }
}

fn ipv4(packet: &[u8]) -> Option<Segment> {
    let header: &[u8; 20] = packet.first_chunk()?;
    let length = usize::from(header[0] & 15) * 4;
    let fragment = two(header, 6)?;
    if header[0] >> 4 != 4 || length < 20 || header[9] != 6 || fragment & 0x1fff != 0 {
        return None;
    }
    let address = |place: usize| -> IpAddr {
        Ipv4Addr::from_octets(*header[place..].first_chunk().expect("20 bytes")).into()
    };
    let behind = packet.get(length..).unwrap_or_default();
    tcp(Some(behind), fragment & 0x2000 != 0, address(12), address(16))
}

fn ipv6(packet: &[u8]) -> Option<Segment> {
    let header: &[u8; 40] = packet.first_chunk()?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let address = |place: usize| -> IpAddr {
        Ipv6Addr::from_octets(*header[place..].first_chunk().expect("40 bytes")).into()
    };
    let (source, destination) = (address(8), address(24));
    let (mut rest, mut next, mut is_fragment) = (&packet[40..], header[6], false);
    for _ in 0..8 {
        let length = match next {
            6 => return tcp(Some(rest), is_fragment, source, destination),
            0 | 43 | 60 => rest.get(1).map(|length| usize::from(*length) * 8 + 8),
            51 => rest.get(1).map(|length| usize::from(*length) * 4 + 8),
            44 => Some(8),
            _ => return None,
        };
        let (Some(length), Some(start)) = (length, rest.first_chunk::<4>()) else {
            return if is_fragment { tcp(None, true, source, destination) } else { None };
        };
        if next == 44 {
            let field = two(start, 2)?;
            if field >> 3 != 0 {
                return None;
            }
            is_fragment |= field & 1 == 1;
        }
        next = start[0];
        rest = rest.get(length..).unwrap_or_default();
    }
    let rest = (next == 6).then_some(rest);
    tcp(rest, is_fragment, source, destination)
}

/// `start`: what can be read of the segment; none if it is not known where it begins.
fn tcp(
    start: Option<&[u8]>,
    is_fragment: bool,
    source: IpAddr,
    destination: IpAddr,
) -> Option<Segment> {
    let port = start.and_then(|start| two(start, 2));
    let segment =
        |is_opening, is_hidden| Some(Segment { source, destination, port, is_opening, is_hidden });
    match start.map(|start| start.get(13)) {
        Some(Some(flags)) => segment(flags & 0x12 == 0x02, false),
        Some(None) if !is_fragment => None,
        Some(None) | None => segment(false, true),
    }
}

fn two(bytes: &[u8], place: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(place)?, *bytes.get(place + 1)?]))
}
