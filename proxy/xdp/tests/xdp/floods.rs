//! Floods, and an innocent client beside them whose requests must all succeed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tollgate_throttle::Rate;
use tollgate_xdp::{
    KernelMaps, Limits, Mode, Offence, Outcome, PenaltySettings, Reported, Settings,
    SourceThrottle, Standing,
};

use crate::network::{
    ATTACKER, CLIENT, GATEWAY, INTERFACE, Network, PORT, SSH, Sender, greeting, ipv4, ipv6,
};
use crate::packets::{ACK, Packet, SYN};

const REQUESTS: usize = 100;
const PATIENCE: Duration = Duration::from_secs(10);
/// Long enough for the second SYN that TCP sends after a second.
const IMPATIENCE: Duration = Duration::from_millis(1500);

fn start(network: &Network, settings: &Settings) -> SourceThrottle {
    let throttle = network.on(GATEWAY, || SourceThrottle::start(settings)).unwrap();
    assert_eq!(throttle.status().mode, Mode::Native, "{:?}", throttle.status());
    throttle
}

fn maps(throttle: &SourceThrottle) -> &KernelMaps {
    throttle.kernel_maps().unwrap()
}

fn count(throttle: &SourceThrottle, outcome: Outcome) -> u64 {
    maps(throttle).counts().unwrap().iter().find(|(it, _)| *it == outcome).unwrap().1
}

/// What became of a flood.
struct Flood {
    /// How many frames were sent.
    sent: u64,
    time: Duration,
    /// Of the innocent client's requests, those that failed.
    failures: Vec<String>,
}

impl Flood {
    /// That no more came through than a source may, and the rest was dropped for a reason.
    fn was_held_to(&self, limit: (f64, u32), throttle: &SourceThrottle, reason: Outcome) {
        let (per_second, burst) = limit;
        let most = f64::from(burst) + per_second * self.time.as_secs_f64() + 1.0;
        // What was sent last may be under way.
        let patience = Instant::now() + PATIENCE;
        while (self.sent - count(throttle, reason)) as f64 > most && Instant::now() < patience {
            thread::sleep(Duration::from_millis(10));
        }
        let let_in = self.sent - count(throttle, reason);
        assert!(let_in as f64 <= most, "{let_in} let in of {}, {most} allowed", self.sent);
        assert!(count(throttle, reason) > 0, "it was no flood");
    }
}

/// Floods while a client makes its requests.
///
/// The flood is not faster than this machine's switch, a bridge that shares its processors with
/// everything else: what that loses, the throttle can't let in. `bench/` has the faster ones.
fn flood_beside(
    network: &Network,
    gateway: IpAddr,
    mut frame: impl FnMut(u64) -> Vec<u8> + Send,
) -> Flood {
    let done = AtomicBool::new(false);
    let start = Instant::now();
    thread::scope(|scope| {
        let flood = scope.spawn(|| {
            network.on(ATTACKER, || {
                let sender = Sender::new();
                let mut sent = 0;
                while !done.load(Ordering::Relaxed) || sent < 20_000 {
                    for _ in 0..16 {
                        sent += u64::from(sender.send(&frame(sent)));
                    }
                    thread::sleep(Duration::from_millis(1));
                }
                sent
            })
        });
        let failures = network.on(CLIENT, || {
            let request = |_| greeting(gateway, PORT, PATIENCE).err().map(|it| it.to_string());
            (0..REQUESTS).filter_map(request).collect()
        });
        done.store(true, Ordering::Relaxed);
        Flood { sent: flood.join().unwrap(), time: start.elapsed(), failures }
    })
}

#[test]
fn a_flood_of_connections_from_one_address_dies_in_the_kernel() {
    let network = Network::new();
    let _server = network.serve(PORT);
    let throttle = start(&network, &network.settings());
    let syn = Packet::between(ipv4(ATTACKER), ipv4(GATEWAY), PORT, SYN).frame();
    let flood = flood_beside(&network, ipv4(GATEWAY), |_| syn.clone());
    assert_eq!(flood.failures, [""; 0]);
    flood.was_held_to((1_000.0, 2_000), &throttle, Outcome::ConnectionRate);
    let sources = maps(&throttle).sources().unwrap();
    let attacker = sources.iter().find(|source| source.address == ipv4(ATTACKER)).unwrap();
    assert_eq!(
        attacker.dropped(),
        count(&throttle, Outcome::ConnectionRate),
        "all of them are the attacker's"
    );
}

#[test]
fn a_flood_of_packets_from_one_address_dies_in_the_kernel() {
    let network = Network::new();
    let _server = network.serve(PORT);
    let limits = Limits { packets: Rate::new(1_000.0, 1_000).ok(), ..Limits::default() };
    let throttle = start(&network, &Settings { limits, ..network.settings() });
    let data = Packet::between(ipv4(ATTACKER), ipv4(GATEWAY), PORT, ACK).frame();
    let flood = flood_beside(&network, ipv4(GATEWAY), |_| data.clone());
    assert_eq!(flood.failures, [""; 0]);
    flood.was_held_to((1_000.0, 1_000), &throttle, Outcome::PacketRate);
}

#[test]
fn a_flood_from_all_addresses_of_an_ipv6_network_counts_as_one() {
    let network = Network::new();
    let _server = network.serve(PORT);
    let throttle = start(&network, &network.settings());
    let IpAddr::V6(first) = ipv6(ATTACKER) else { unreachable!("it is an IPv6 address") };
    let flood = flood_beside(&network, ipv6(GATEWAY), |number| {
        let source = Ipv6Addr::from_bits(first.to_bits() + u128::from(number));
        Packet::between(source.into(), ipv6(GATEWAY), PORT, SYN).frame()
    });
    assert_eq!(flood.failures, [""; 0]);
    flood.was_held_to((1_000.0, 2_000), &throttle, Outcome::ConnectionRate);
    let heavy = maps(&throttle).sources().unwrap();
    let heavy: Vec<_> = heavy.iter().filter(|it| it.dropped() > 0).map(|it| it.address).collect();
    let IpAddr::V6(network) = heavy[0] else { unreachable!("it is an IPv6 address") };
    assert_eq!((heavy.len(), network.to_bits()), (1, first.to_bits() - 1));
}

#[test]
fn a_flood_from_made_up_addresses_costs_nobody_an_entry_or_a_request() {
    let network = Network::new();
    let _server = network.serve(PORT);
    let throttle = start(&network, &network.settings());
    let innocent = ipv4(CLIENT);
    assert_eq!(
        throttle.admit_connection(innocent),
        tollgate_xdp::Admission::Admit,
        "it has shaken hands"
    );
    // To a port of the gateway that nobody serves: what is tested is the throttle, not how many
    // half-open connections a stack bears.
    let mut settings = network.settings();
    settings.listeners.push(tollgate_xdp::Listener {
        address: (Ipv4Addr::UNSPECIFIED, PORT + 1).into(),
        is_ipv6_only: false,
    });
    throttle.reconfigure(&settings).unwrap();
    let flood = flood_beside(&network, ipv4(GATEWAY), |number| {
        let source = Ipv4Addr::from_bits(0x2d00_0000 | (number as u32).wrapping_mul(7919) >> 8);
        Packet::between(source.into(), ipv4(GATEWAY), PORT + 1, SYN).frame()
    });
    assert_eq!(flood.failures, [""; 0]);
    assert!(count(&throttle, Outcome::Admitted) >= flood.sent, "they were looked at");
    let known: Vec<_> =
        maps(&throttle).sources().unwrap().iter().map(|source| source.address).collect();
    assert_eq!(known, [innocent]);
}

#[test]
fn other_ports_of_the_gateway_are_not_touched() {
    let network = Network::new();
    let (_server, _ssh) = (network.serve(PORT), network.serve(SSH));
    let throttle = start(&network, &network.settings());
    maps(&throttle).list("10.9.0.0/16".parse().unwrap(), Standing::Denied).unwrap();
    for host in [CLIENT, ATTACKER] {
        assert!(network.is_served(host, ipv4(GATEWAY), SSH, PATIENCE));
        assert!(!network.is_served(host, ipv4(GATEWAY), PORT, IMPATIENCE));
        assert!(network.is_served(host, ipv6(GATEWAY), PORT, PATIENCE));
    }
}

#[test]
fn lists_change_while_packets_come_from_another_process_too() {
    let network = Network::new();
    let _server = network.serve(PORT);
    let _throttle = start(&network, &network.settings());
    let other = KernelMaps::open(&network.pin_directory, INTERFACE).unwrap();
    let is_served = |host| network.is_served(host, ipv4(GATEWAY), PORT, IMPATIENCE);
    assert!(is_served(CLIENT));
    other.list("10.9.0.0/16".parse().unwrap(), Standing::Denied).unwrap();
    other.list("10.9.0.3".parse().unwrap(), Standing::Allowed).unwrap();
    assert!(!is_served(CLIENT));
    assert!(is_served(ATTACKER), "the longer prefix allows it");
    assert!(other.unlist("10.9.0.0/16".parse().unwrap()).unwrap());
    assert!(is_served(CLIENT));
}

#[test]
fn a_source_in_the_penalty_box_is_dropped_until_its_time_is_over() {
    let network = Network::new();
    let _server = network.serve(PORT);
    let penalties = PenaltySettings {
        tolerated: Rate::new(1.0, 5).unwrap(),
        first: Duration::from_secs(4),
        ..PenaltySettings::default()
    };
    let throttle = start(&network, &Settings { penalties: Some(penalties), ..network.settings() });
    let client = ipv4(CLIENT);
    for _ in 0..5 {
        assert_eq!(throttle.report(client, Offence::TooManyRequests), Reported::Noted);
    }
    assert!(network.is_served(CLIENT, ipv4(GATEWAY), PORT, IMPATIENCE));
    let Reported::Penalised(time) = throttle.report(client, Offence::TooManyRequests) else {
        panic!("the sixth is one too many");
    };
    assert!(time <= Duration::from_secs(4) && time > Duration::from_secs(3), "{time:?}");
    let boxed = maps(&throttle).sources().unwrap();
    assert!(boxed[0].address == client && boxed[0].penalty_until.is_some(), "{boxed:?}");
    assert!(!network.is_served(CLIENT, ipv4(GATEWAY), PORT, IMPATIENCE));
    assert!(network.is_served(ATTACKER, ipv4(GATEWAY), PORT, IMPATIENCE));
    // TCP's retries find the way when the time is over.
    assert!(network.is_served(CLIENT, ipv4(GATEWAY), PORT, PATIENCE), "nobody released it");
    assert!(count(&throttle, Outcome::Penalty) >= 2);
}

#[test]
fn a_source_is_let_out_of_the_penalty_box_by_hand() {
    let network = Network::new();
    let _server = network.serve(PORT);
    let penalties = PenaltySettings {
        tolerated: Rate::NOTHING,
        first: Duration::from_secs(3600),
        longest: Duration::from_secs(3600),
    };
    let throttle = start(&network, &Settings { penalties: Some(penalties), ..network.settings() });
    let penalised = throttle.report(ipv4(CLIENT), Offence::FailedHandshake);
    assert!(matches!(penalised, Reported::Penalised(_)), "{penalised:?}");
    assert!(!network.is_served(CLIENT, ipv4(GATEWAY), PORT, IMPATIENCE));
    let other = KernelMaps::open(&network.pin_directory, INTERFACE).unwrap();
    assert!(other.release(ipv4(CLIENT)).unwrap());
    assert!(network.is_served(CLIENT, ipv4(GATEWAY), PORT, IMPATIENCE));
    assert!(!other.release(ipv4(CLIENT)).unwrap());
}

#[test]
fn a_trusted_proxy_is_never_penalised() {
    let network = Network::new();
    let penalties = PenaltySettings { tolerated: Rate::NOTHING, ..PenaltySettings::default() };
    let settings = Settings {
        penalties: Some(penalties),
        lists: vec![("10.9.0.2".parse().unwrap(), Standing::Trusted)],
        ..network.settings()
    };
    let throttle = start(&network, &settings);
    assert_eq!(throttle.report(ipv4(CLIENT), Offence::FailedHandshake), Reported::Noted);
    assert_eq!(throttle.standing(ipv4(CLIENT)), Some(Standing::Trusted));
    assert_eq!(maps(&throttle).sources().unwrap(), []);
}
