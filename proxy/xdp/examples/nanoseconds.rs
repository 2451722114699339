//! Nanoseconds a packet in the kernel, by BPF_PROG_TEST_RUN: run as root.
//!
//! ```text
//! cargo run --release --package tollgate-xdp --example nanoseconds [PACKETS]
//! ```
//!
//! Prints a line of JSON for each case: the best, middle and worst of seven rounds.

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/xdp/loaded.rs"]
mod loaded;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/xdp/packets.rs"]
mod packets;

use std::net::Ipv4Addr;

use tollgate_ebpf_common::{Clock, Known, Standing};
use tollgate_throttle::Rate;
use tollgate_throttle::source::Source;

use loaded::{DROP, Loaded, PASS};
use packets::{ACK, Packet, SYN};

const ROUNDS: usize = 7;
const PORT: u16 = 443;
const CLIENT: &str = "203.0.113.7";
const GATEWAY: &str = "192.0.2.1";
const PENALISED: Known = Known { penalty_until: u64::MAX, ..Known::NEW };

fn main() {
    let packets = std::env::args().nth(1).map_or(1_000_000, |it| it.parse().expect("a number"));
    let bench = Bench { packets };
    let plain = Packet::new(CLIENT, GATEWAY, PORT, ACK).frame();
    let opening = Packet::new(CLIENT, GATEWAY, PORT, SYN).frame();
    let other = Packet::new(CLIENT, GATEWAY, 22, ACK).frame();
    let ipv6 = Packet::new("2001:db8::7", "2001:db8::1", PORT, ACK).frame();
    let other_ipv6 = Packet::new("2001:db8::7", "2001:db8::1", 22, ACK).frame();

    bench.measure("pass: another port", &gateway("tollgate"), &other, PASS);
    bench.measure("pass: another port, IPv6", &gateway("tollgate"), &other_ipv6, PASS);
    let udp = Packet { protocol: 17, ..Packet::new(CLIENT, GATEWAY, PORT, 0) }.frame();
    bench.measure("pass: UDP", &gateway("tollgate"), &udp, PASS);

    let mut allowed = gateway("tollgate");
    allowed.list("203.0.113.0".parse().unwrap(), 24, Standing::Allowed);
    bench.measure("pass: allowed network", &allowed, &plain, PASS);
    for entries in [1, 10_000] {
        let mut denied = gateway("tollgate");
        deny(&mut denied, entries);
        bench.measure(&format!("drop: denied, {entries} networks listed"), &denied, &plain, DROP);
    }
    let mut penalised = gateway("tollgate");
    know(&mut penalised, CLIENT, PENALISED);
    bench.measure("drop: penalty", &penalised, &plain, DROP);

    let mut known = gateway("tollgate");
    know(&mut known, CLIENT, Known::NEW);
    bench.measure("bucket: known source, let in", &known, &plain, PASS);
    bench.measure("bucket: known source, opening, let in", &known, &opening, PASS);
    bench.measure("bucket: stranger, let in", &gateway("tollgate"), &plain, PASS);
    bench.measure("bucket: stranger, opening, let in", &gateway("tollgate"), &opening, PASS);
    bench.measure("bucket: stranger, IPv6, let in", &gateway("tollgate"), &ipv6, PASS);
    let mut exhausted = gateway("tollgate");
    exhausted.change(|it| it.packets = Rate::NOTHING);
    bench.measure("drop: bucket, one source", &exhausted, &plain, DROP);

    for sources in [1_u32, 16_384, 1 << 20] {
        let mut spread = spread_over(sources);
        bench.measure(&format!("bucket: {sources} strangers, let in"), &spread, &plain, PASS);
        know_all(&mut spread, sources, Known::NEW);
        bench.measure(&format!("bucket: {sources} known sources, let in"), &spread, &plain, PASS);
        spread.change(|it| it.packets = Rate::NOTHING);
        bench.measure(&format!("drop: bucket, {sources} known sources"), &spread, &plain, DROP);

        let mut penalised = spread_over(sources);
        know_all(&mut penalised, sources, PENALISED);
        bench.measure(&format!("drop: penalty, {sources} sources"), &penalised, &plain, DROP);

        let mut denied = spread_over(sources);
        deny(&mut denied, 10_000);
        denied.list(Ipv4Addr::UNSPECIFIED.into(), 0, Standing::Denied);
        bench.measure(&format!("drop: denied, {sources} sources"), &denied, &plain, DROP);
    }
}

/// A program to which packets come from so many addresses in turn.
fn spread_over(sources: u32) -> Loaded {
    let mut spread = gateway("tollgate_spread");
    spread.clock.set(Clock::Sources as u32, u64::from(sources), 0).unwrap();
    spread
}

fn know_all(spread: &mut Loaded, sources: u32, known: Known) {
    for number in 0..sources {
        let source = Source::from_ipv4_word(number);
        spread.sources.insert(source.octets(), known, 0).unwrap();
    }
}

/// A program that guards a port, with limits that are never reached.
fn gateway(program: &'static str) -> Loaded {
    let mut loaded = Loaded::new(program, 2 << 20, 1 << 20);
    loaded.listen_everywhere(PORT);
    let rate = Rate::new(Rate::MAX_PER_SECOND, u32::MAX).unwrap();
    loaded.change(|it| {
        (it.connections, it.packets) = (rate, rate);
        (it.is_on.connections, it.is_on.packets) = (1, 1);
    });
    loaded
}

fn know(loaded: &mut Loaded, address: &str, known: Known) {
    let source = Source::from(address.parse::<std::net::IpAddr>().unwrap());
    loaded.sources.insert(source.octets(), known, 0).unwrap();
}

fn deny(loaded: &mut Loaded, entries: u32) {
    for number in 1..entries {
        let address = Ipv4Addr::from_bits(0x0a00_0000 + (number << 8));
        loaded.list(address.into(), 24, Standing::Denied);
    }
    loaded.list("203.0.113.0".parse().unwrap(), 24, Standing::Denied);
}

struct Bench {
    packets: u32,
}

impl Bench {
    fn measure(&self, case: &str, loaded: &Loaded, packet: &[u8], expected: u32) {
        let mut rounds: Vec<u64> = (0..ROUNDS)
            .map(|_| {
                let (answer, nanoseconds) = loaded.repeat(packet, self.packets);
                assert_eq!(answer, expected, "{case}: {:?}", loaded.counts());
                nanoseconds
            })
            .collect();
        rounds.sort_unstable();
        let (best, middle, worst) = (rounds[0], rounds[ROUNDS / 2], rounds[ROUNDS - 1]);
        println!(
            r#"{{"case":"{case}","packets":{},"nanoseconds":{{"best":{best},"middle":{middle},"worst":{worst}}}}}"#,
            self.packets
        );
    }
}
