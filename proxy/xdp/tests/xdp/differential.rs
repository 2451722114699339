//! A million random packets: the loaded program against the model.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fastrand::Rng;
use tollgate_ebpf_common::{Known, LISTENS_ON_SOME, Listener, Outcome, RECENTS, Standing};
use tollgate_throttle::Rate;
use tollgate_throttle::source::{Prefixes, Source};

use crate::loaded::{Loaded, PASS, stay_on_a_processor};
use crate::model::{Kept, Model};
use crate::packets::{ACK, Packet, SYN};

/// Few, so that sources share them.
const SLOTS: u32 = 64;
const SOURCES: u32 = 4096;
const EVERYWHERE: u16 = 443;
const SOMEWHERE: u16 = 8443;

#[test]
fn the_program_answers_a_million_random_packets_as_the_model_does() {
    for (seed, prefixes) in [(1, Prefixes::default()), (2, Prefixes::new(28, 120).unwrap())] {
        compare(seed, prefixes, 500_000);
    }
}

fn compare(seed: u64, prefixes: Prefixes, packets: usize) {
    stay_on_a_processor();
    let mut random = Rng::with_seed(seed);
    let mut program = Loaded::new("tollgate_at", SOURCES, SLOTS);
    let mut model = model(prefixes);
    prepare(&mut program, &model);
    let mut now = 1_000_000_000;
    program.set_clock(now);
    for number in 0..packets {
        if random.u8(..) < 32 {
            now += random.u64(1..20_000_000);
            program.set_clock(now);
        }
        if random.u16(..) < 64 {
            change_a_source(&mut random, &mut program, &mut model, now);
        }
        let frame = frame(&mut random);
        let passes = program.run(&frame) == PASS;
        assert_eq!(
            passes,
            model.passes(&frame, now),
            "seed {seed}, packet {number} at {now}: {frame:02x?}\n{:?}",
            crate::model::segment(&frame)
        );
    }
    same_state(&program, &model);
    for outcome in Outcome::ALL {
        assert!(program.count(outcome) > 100, "{outcome:?}: {}", program.count(outcome));
    }
}

fn model(prefixes: Prefixes) -> Model {
    let address = |text: &str| text.parse().unwrap();
    Model {
        connections: Rate::new(20.0, 5).ok(),
        packets: Rate::new(40.0, 8).ok(),
        prefixes,
        ports: vec![EVERYWHERE],
        listeners: vec![
            (address("192.0.2.1"), SOMEWHERE),
            (address("2001:db8:ffff::1"), SOMEWHERE),
        ],
        lists: vec![
            (address("10.0.0.0"), 28, Standing::Denied),
            (address("10.0.0.4"), 30, Standing::Allowed),
            (address("10.0.0.5"), 32, Standing::Denied),
            (address("10.0.0.6"), 32, Standing::Trusted),
            (address("2001:db8::"), 125, Standing::Denied),
            (address("2001:db8::2"), 127, Standing::Allowed),
        ],
        sources: HashMap::new(),
        strangers: vec![(0, 0); SLOTS as usize],
        recent: vec![Kept::default(); RECENTS as usize],
        counts: HashMap::new(),
    }
}

fn prepare(program: &mut Loaded, model: &Model) {
    program.change(|it| {
        (it.connections, it.packets) = (model.connections.unwrap(), model.packets.unwrap());
        (it.is_on.connections, it.is_on.packets) = (1, 1);
        it.prefixes = model.prefixes;
    });
    program.listen_everywhere(EVERYWHERE);
    for (address, port) in &model.listeners {
        program.ports.set(u32::from(*port), LISTENS_ON_SOME, 0).unwrap();
        for port in [*port, 0] {
            program.listeners.insert(Listener::new((*address).into(), port), 1, 0).unwrap();
        }
    }
    for (address, bits, standing) in &model.lists {
        program.list(*address, *bits, *standing);
    }
}

/// User space makes a source known, penalises one, or the map drops one.
fn change_a_source(random: &mut Rng, program: &mut Loaded, model: &mut Model, now: u64) {
    let source = model.prefixes.source(client(random));
    let known = match random.u8(..3) {
        0 => Known::NEW,
        1 => Known {
            penalty_until: now + random.u64(..50_000_000),
            ..model.sources.get(&source).copied().unwrap_or(Known::NEW)
        },
        _ => {
            let _ = program.sources.remove(&source.octets());
            model.sources.remove(&source);
            return;
        }
    };
    program.sources.insert(source.octets(), known, 0).unwrap();
    model.sources.insert(source, known);
}

fn client(random: &mut Rng) -> IpAddr {
    let number = random.u32(..32);
    if random.bool() {
        Ipv4Addr::from_bits(0x0a00_0000 + number).into()
    } else {
        Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(number)).into()
    }
}

/// Mostly plain segments to the gateway; the rest odd, cut short or damaged.
fn frame(random: &mut Rng) -> Vec<u8> {
    let source = client(random);
    let destinations: [&str; 2] = match source {
        IpAddr::V4(_) => ["192.0.2.1", "192.0.2.2"],
        IpAddr::V6(_) => ["2001:db8:ffff::1", "2001:db8:ffff::2"],
    };
    let destination = destinations[random.usize(..2)].parse().unwrap();
    let port = [EVERYWHERE, SOMEWHERE, SOMEWHERE, 22][random.usize(..4)];
    let flags = [SYN, ACK, ACK, SYN | ACK][random.usize(..4)];
    let mut packet = Packet::between(source, destination, port, flags);
    if random.u8(..) < 64 {
        make_odd(random, &mut packet);
    }
    let mut frame = packet.frame();
    if random.u8(..) < 32 {
        frame.truncate(random.usize(14..=frame.len()));
    }
    if random.u8(..) < 32 {
        // The addresses stay, so that there remain few sources.
        let place = [12, 13, 14, 15, 16, 18, 20, 21, 23, 34, 36, 37, 47, 54, 55, 56, 57, 67];
        let place = place[random.usize(..place.len())];
        if let Some(byte) = frame.get_mut(place) {
            *byte = random.u8(..);
        }
    }
    frame
}

fn make_odd(random: &mut Rng, packet: &mut Packet) {
    packet.vlans = (0..random.usize(..4)).map(|_| [0x8100, 0x88a8][random.usize(..2)]).collect();
    packet.options = random.usize(..=10) * 4;
    let headers = [0, 43, 44, 51, 60, 44];
    packet.extensions =
        (0..random.usize(..=9)).map(|_| headers[random.usize(..headers.len())]).collect();
    if random.bool() {
        packet.fragment = Some((random.u16(..3) / 2, random.bool()));
    }
    if random.u8(..8) == 0 {
        packet.protocol = random.u8(..);
    }
}

fn same_state(program: &Loaded, model: &Model) {
    for outcome in Outcome::ALL {
        let counted = model.counts.get(&(outcome as u32)).copied().unwrap_or(0);
        assert_eq!(program.count(outcome), counted, "{outcome:?}");
    }
    let known: HashMap<_, _> = program.sources.iter().map(Result::unwrap).collect();
    assert_eq!(known.len(), model.sources.len());
    for (source, expected) in &model.sources {
        assert_eq!(known[&Source::octets(*source)], *expected, "{:?}", source.address());
    }
    for (place, expected) in model.strangers.iter().enumerate() {
        let slot = program.strangers.get(&(place as u32), 0).unwrap();
        assert_eq!((slot.connections, slot.packets), *expected, "slot {place}");
    }
}
