//! Buckets, penalties and lists, with a clock that the test moves.

use std::net::{IpAddr, Ipv4Addr};

use tollgate_ebpf_common::{Known, Outcome, Recent, Standing};
use tollgate_throttle::Rate;
use tollgate_throttle::source::Source;

use crate::loaded::{DROP, Loaded, PASS, SEED, stay_on_a_processor};
use crate::model::TICK;
use crate::packets::{ACK, Packet, SYN};

const PORT: u16 = 443;
const GATEWAY: &str = "192.0.2.1";
const SECOND: u64 = 1_000_000_000;

fn throttle(sources: u32, slots: u32) -> Loaded {
    let mut loaded = Loaded::new("tollgate_at", sources, slots);
    loaded.listen_everywhere(PORT);
    loaded.change(|it| {
        (it.connections, it.packets) = (rate(10.0, 20), rate(1000.0, 100));
        (it.is_on.connections, it.is_on.packets) = (1, 1);
    });
    loaded.set_clock(SECOND);
    loaded
}

fn rate(per_second: f64, burst: u32) -> Rate {
    Rate::new(per_second, burst).unwrap()
}

fn syn(source: &str) -> Vec<u8> {
    Packet::new(source, GATEWAY, PORT, SYN).frame()
}

fn data(source: &str) -> Vec<u8> {
    Packet::new(source, GATEWAY, PORT, ACK).frame()
}

fn let_in(loaded: &Loaded, frame: &[u8], times: usize) -> usize {
    (0..times).filter(|_| loaded.run(frame) == PASS).count()
}

fn source(address: &str) -> Source {
    Source::from(address.parse::<IpAddr>().unwrap())
}

#[test]
fn a_source_gets_its_burst_and_then_its_rate() {
    let mut loaded = throttle(16, 16);
    assert_eq!(let_in(&loaded, &syn("203.0.113.7"), 50), 20);
    loaded.set_clock(2 * SECOND);
    assert_eq!(let_in(&loaded, &syn("203.0.113.7"), 50), 10);
    // What is open already goes on: refused SYNs cost no packets.
    assert_eq!(let_in(&loaded, &data("203.0.113.7"), 200), 100 - 10);
}

#[test]
fn a_refusal_holds_for_the_tick_and_costs_no_token() {
    let mut loaded = throttle(16, 16);
    loaded.change(|it| it.connections = rate(1000.0, 20));
    assert_eq!(let_in(&loaded, &syn("203.0.113.7"), 50), 20);
    let tick = SECOND / TICK * TICK;
    loaded.set_clock(tick + TICK - 1);
    assert_eq!(let_in(&loaded, &syn("203.0.113.7"), 50), 0);
    assert_eq!(let_in(&loaded, &data("203.0.113.7"), 50), 50, "of openings, no others");
    loaded.set_clock(tick + TICK);
    assert_eq!(let_in(&loaded, &syn("203.0.113.7"), 50), 4, "of four milliseconds");
}

#[test]
fn a_bucket_that_fills_within_a_tick_is_always_asked() {
    let mut loaded = throttle(16, 16);
    loaded.change(|it| it.connections = rate(10_000.0, 20));
    assert_eq!(let_in(&loaded, &syn("203.0.113.7"), 50), 20);
    loaded.set_clock(SECOND + TICK / 2);
    assert_eq!(let_in(&loaded, &syn("203.0.113.7"), 50), 20);
}

#[test]
fn a_stranger_that_is_dropped_becomes_known_with_the_state_it_had() {
    let loaded = throttle(16, 16);
    let_in(&loaded, &syn("203.0.113.7"), 25);
    let known = loaded.known(source("203.0.113.7"));
    assert_eq!(known.dropped, [5, 0, 0]);
    assert_eq!(known.admitted, 0, "what it was let in for as a stranger isn't counted");
    assert!(known.connections > known.packets);
}

#[test]
fn who_becomes_known_by_a_handshake_gets_no_second_burst() {
    let mut loaded = throttle(16, 16);
    assert_eq!(let_in(&loaded, &syn("203.0.113.7"), 15), 15);
    loaded.sources.insert(source("203.0.113.7").octets(), Known::NEW, 0).unwrap();
    assert_eq!(let_in(&loaded, &syn("203.0.113.7"), 15), 5);
}

#[test]
fn ipv6_sources_of_a_network_share_their_buckets() {
    let mut loaded = throttle(16, 1024);
    let syn = |address| Packet::new(address, "2001:db8::1", PORT, SYN).frame();
    assert_eq!(let_in(&loaded, &syn("2001:db8:0:7::1"), 15), 15);
    assert_eq!(let_in(&loaded, &syn("2001:db8:0:7::2"), 15), 5);
    assert_eq!(let_in(&loaded, &syn("2001:db8:0:8::1"), 15), 15);
    loaded.set_clock(60 * SECOND);
    assert_eq!(let_in(&loaded, &syn("2001:db8:0:7:ffff::2"), 50), 20);
}

#[test]
fn a_limit_that_is_off_is_none_and_a_limit_of_nothing_lets_nothing_in() {
    let mut loaded = throttle(16, 16);
    loaded.change(|it| it.is_on.connections = 0);
    assert_eq!(let_in(&loaded, &syn("203.0.113.7"), 50), 50);
    loaded.change(|it| (it.is_on.connections, it.connections) = (1, Rate::NOTHING));
    assert_eq!(let_in(&loaded, &syn("203.0.113.8"), 50), 0);
    loaded.change(|it| (it.is_on.connections, it.is_on.packets) = (0, 0));
    assert_eq!(let_in(&loaded, &syn("203.0.113.8"), 500), 500);
}

#[test]
fn a_penalty_drops_everything_until_it_ends() {
    let mut loaded = throttle(16, 16);
    let penalised = Known { penalty_until: 3 * SECOND, ..Known::NEW };
    loaded.sources.insert(source("203.0.113.7").octets(), penalised, 0).unwrap();
    assert_eq!(let_in(&loaded, &data("203.0.113.7"), 5), 0);
    loaded.set_clock(3 * SECOND - 1);
    assert_eq!(let_in(&loaded, &data("203.0.113.7"), 5), 0);
    loaded.set_clock(3 * SECOND);
    assert_eq!(let_in(&loaded, &data("203.0.113.7"), 5), 5);
    assert_eq!(loaded.count(Outcome::Penalty), 10);
    let known = loaded.known(source("203.0.113.7"));
    assert_eq!((known.dropped[2], known.admitted), (10, 5));
}

#[test]
fn the_longest_prefix_of_the_lists_decides() {
    let mut loaded = throttle(16, 16);
    let network = |text: &str| text.parse().unwrap();
    loaded.list(network("203.0.113.0"), 24, Standing::Denied);
    loaded.list(network("203.0.113.64"), 26, Standing::Allowed);
    loaded.list(network("203.0.113.99"), 32, Standing::Denied);
    loaded.list(network("::"), 0, Standing::Denied);
    assert_eq!(let_in(&loaded, &data("203.0.113.7"), 3), 0);
    assert_eq!(let_in(&loaded, &data("203.0.113.65"), 500), 500, "allowed: not limited");
    assert_eq!(let_in(&loaded, &data("203.0.113.99"), 3), 0);
    assert_eq!(let_in(&loaded, &data("198.51.100.1"), 3), 3, "::/0 says nothing of IPv4");
    let ipv6 = Packet::new("2001:db8::7", "2001:db8::1", PORT, ACK).frame();
    assert_eq!(let_in(&loaded, &ipv6, 3), 0);
}

#[test]
fn a_change_of_the_lists_holds_for_the_next_packet() {
    stay_on_a_processor();
    let mut loaded = throttle(16, 16);
    let address = "203.0.113.7".parse().unwrap();
    loaded.change(|it| it.packets = Rate::NOTHING);
    assert_eq!(let_in(&loaded, &data("203.0.113.7"), 5), 0, "refused for this tick");
    for _ in 0..3 {
        loaded.list(address, 32, Standing::Allowed);
        assert_eq!(let_in(&loaded, &data("203.0.113.7"), 5), 5);
        loaded.list(address, 32, Standing::Denied);
        assert_eq!(let_in(&loaded, &data("203.0.113.7"), 5), 0);
    }
    assert_eq!(loaded.count(Outcome::Denied), 15);
}

#[test]
fn what_is_refused_at_a_glance_is_counted_for_its_source() {
    stay_on_a_processor();
    let mut loaded = throttle(16, 16);
    loaded.change(|it| it.packets = Rate::NOTHING);
    let place = |address: Ipv4Addr| Recent::place(address.into(), SEED);
    let one = Ipv4Addr::new(203, 0, 113, 7);
    // Both have one place for what was decided a moment ago.
    let other = (0..).map(|number| Ipv4Addr::from_bits(0xc633_6400 + number));
    let other = other.into_iter().find(|it| place(*it) == place(one)).unwrap();
    let counted = |loaded: &Loaded, of: Ipv4Addr| {
        loaded.sources.get(&Source::from(of).octets(), 0).map_or(0, |known| known.dropped[1])
    };
    assert_eq!(let_in(&loaded, &data(&one.to_string()), 10), 0);
    assert_eq!(let_in(&loaded, &data(&other.to_string()), 10), 0);
    assert_eq!(counted(&loaded, one), 2, "the first two asked the buckets");
    assert_eq!(loaded.known(one.into()).dropped, [0, 10, 0]);
    assert_eq!(counted(&loaded, other), 10, "it has no place in this tick");
    loaded.set_clock(SECOND + TICK);
    assert_eq!(let_in(&loaded, &data(&other.to_string()), 10), 0);
    assert_eq!(counted(&loaded, one), 10, "who takes the place settles");
    assert_eq!(loaded.known(other.into()).dropped, [0, 20, 0]);
    assert_eq!(loaded.count(Outcome::PacketRate), 30);
}

#[test]
fn an_allowed_or_trusted_source_is_not_penalised() {
    for standing in [Standing::Allowed, Standing::Trusted] {
        let mut loaded = throttle(16, 16);
        let penalised = Known { penalty_until: u64::MAX, ..Known::NEW };
        loaded.sources.insert(source("203.0.113.7").octets(), penalised, 0).unwrap();
        loaded.list("203.0.113.7".parse().unwrap(), 32, standing);
        assert_eq!(let_in(&loaded, &data("203.0.113.7"), 500), 500);
    }
}

#[test]
fn a_flood_of_made_up_sources_takes_no_entries_and_refuses_nobody() {
    let mut loaded = throttle(16, 1 << 16);
    loaded.sources.insert(source("198.51.100.1").octets(), Known::NEW, 0).unwrap();
    // In a second 200,000 addresses open a connection each, or send a packet.
    for number in 0..200_000_u32 {
        if number % 200 == 0 {
            loaded.set_clock(SECOND + u64::from(number) * 5_000);
        }
        let source = Ipv4Addr::from_bits(0x2d00_0000 + number.wrapping_mul(7919) % (1 << 24));
        let gateway = GATEWAY.parse().unwrap();
        let frame = Packet::between(source.into(), gateway, PORT, SYN).frame();
        assert_eq!(loaded.run(&frame), PASS);
        if number % 10_000 == 0 {
            assert_eq!(loaded.run(&data("198.51.100.1")), PASS, "who is known, stays known");
            assert_eq!(loaded.run(&syn("198.51.100.77")), PASS, "who behaves, gets in");
        }
    }
    let known: Vec<_> = loaded.sources.keys().map(Result::unwrap).collect();
    assert_eq!(known, [source("198.51.100.1").octets()]);
    assert_eq!(loaded.count(Outcome::ConnectionRate), 0);
}

#[test]
fn heavy_strangers_crowd_out_no_other() {
    let loaded = throttle(16, 1 << 16);
    // A hundred sources at their limit, more than there are entries.
    for number in 0..100 {
        let heavy = syn(&format!("203.0.113.{number}"));
        assert_eq!(let_in(&loaded, &heavy, 40), 20);
    }
    for number in 0..250 {
        assert_eq!(let_in(&loaded, &syn(&format!("198.51.100.{number}")), 20), 20);
    }
}

#[test]
fn a_drop_says_why() {
    let loaded = throttle(16, 16);
    let_in(&loaded, &syn("203.0.113.7"), 30);
    let_in(&loaded, &data("203.0.113.7"), 100);
    assert_eq!(
        loaded.counts(),
        [(Outcome::Admitted, 100), (Outcome::ConnectionRate, 10), (Outcome::PacketRate, 20)]
    );
    assert_eq!(loaded.run(&data("203.0.113.7")), DROP);
}
