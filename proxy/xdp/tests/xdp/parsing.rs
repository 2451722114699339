//! Every odd packet has an answer.

use tollgate_ebpf_common::{LISTENS_ON_IPV4, LISTENS_ON_IPV6, LISTENS_ON_SOME, Listener, Outcome};
use tollgate_throttle::Rate;
use tollgate_throttle::source::Source;

use crate::loaded::{DROP, Loaded, PASS};
use crate::packets::{ACK, Packet, SYN};

const PORT: u16 = 443;
const CLIENT: &str = "203.0.113.7";
const CLIENT_IPV6: &str = "2001:db8:7::7";
const GATEWAY: &str = "192.0.2.1";
const GATEWAY_IPV6: &str = "2001:db8::1";

/// Refuses all that is for the gateway: what passes was not looked at.
fn closed() -> Loaded {
    let mut loaded = Loaded::new("tollgate", 16, 16);
    loaded.listen_everywhere(PORT);
    loaded.change(|it| (it.is_on.packets, it.packets) = (1, Rate::NOTHING));
    loaded
}

fn ipv4() -> Packet {
    Packet::new(CLIENT, GATEWAY, PORT, ACK)
}

fn ipv6() -> Packet {
    Packet::new(CLIENT_IPV6, GATEWAY_IPV6, PORT, ACK)
}

#[track_caller]
fn looked_at(packet: &Packet) {
    let loaded = closed();
    assert_eq!(loaded.run(&packet.frame()), DROP, "{packet:?}");
    assert_eq!(loaded.counts(), [(Outcome::PacketRate, 1)], "{packet:?}");
}

#[track_caller]
fn passed(frame: &[u8]) {
    let loaded = closed();
    assert_eq!(loaded.run(frame), PASS, "{frame:02x?}");
    assert_eq!(loaded.counts(), [], "{frame:02x?}");
}

#[track_caller]
fn hidden(frame: &[u8]) {
    let loaded = closed();
    assert_eq!(loaded.run(frame), DROP, "{frame:02x?}");
    assert_eq!(loaded.counts(), [(Outcome::Hidden, 1)], "{frame:02x?}");
}

#[test]
fn segments_to_the_gateway_are_looked_at_and_others_pass() {
    looked_at(&ipv4());
    looked_at(&ipv6());
    passed(&Packet { port: 22, ..ipv4() }.frame());
    passed(&Packet { port: 22, ..ipv6() }.frame());
    // UDP, ICMP, ESP, IPv4 in IPv4, GRE.
    for protocol in [17, 1, 58, 50, 4, 41, 47] {
        passed(&Packet { protocol, ..ipv4() }.frame());
        passed(&Packet { protocol, ..ipv6() }.frame());
    }
}

#[test]
fn other_ethertypes_pass() {
    // ARP, MPLS, PPPoE, a length instead of a type.
    for kind in [0x0806_u16, 0x8847, 0x8864, 0x002e] {
        let mut frame = ipv4().frame();
        frame[12..14].copy_from_slice(&kind.to_be_bytes());
        passed(&frame);
    }
}

#[test]
fn two_vlan_tags_are_read_through_and_a_third_passes() {
    for vlans in [vec![0x8100], vec![0x88a8], vec![0x88a8, 0x8100], vec![0x8100, 0x8100]] {
        looked_at(&Packet { vlans: vlans.clone(), ..ipv4() });
        looked_at(&Packet { vlans, ..ipv6() });
    }
    passed(&Packet { vlans: vec![0x88a8, 0x8100, 0x8100], ..ipv4() }.frame());
}

#[test]
fn ipv4_options_are_skipped() {
    for options in [4, 20, 40] {
        looked_at(&Packet { options, ..ipv4() });
    }
}

#[test]
fn ipv6_extension_headers_are_read_through() {
    for extensions in [vec![0], vec![60], vec![43], vec![51], vec![0, 60, 43, 51, 60], vec![60; 8]]
    {
        looked_at(&Packet { extensions, ..ipv6() });
    }
    // Authentication, then encryption: nothing to see.
    passed(&Packet { extensions: vec![51], protocol: 50, ..ipv6() }.frame());
}

#[test]
fn more_extension_headers_than_eight_hide_a_segment() {
    hidden(&Packet { extensions: vec![60; 9], ..ipv6() }.frame());
    // Whatever they hide: it can't be known.
    hidden(&Packet { extensions: vec![60; 9], port: 22, ..ipv6() }.frame());
}

#[test]
fn a_hidden_segment_to_an_address_that_does_not_listen_passes() {
    let mut loaded = Loaded::new("tollgate", 16, 16);
    loaded.ports.set(PORT.into(), LISTENS_ON_SOME, 0).unwrap();
    for port in [PORT, 0] {
        let gateway = Source::from(GATEWAY_IPV6.parse::<std::net::Ipv6Addr>().unwrap());
        loaded.listeners.insert(Listener::new(gateway, port), 1, 0).unwrap();
    }
    let long = Packet { extensions: vec![60; 9], ..ipv6() };
    assert_eq!(loaded.run(&long.frame()), DROP);
    let elsewhere = Packet { destination: "2001:db8::2".parse().unwrap(), ..long };
    assert_eq!(loaded.run(&elsewhere.frame()), PASS);
}

#[test]
fn a_first_fragment_is_looked_at_and_a_later_one_passes() {
    looked_at(&Packet { fragment: Some((0, true)), ..ipv4() });
    passed(&Packet { fragment: Some((3, true)), ..ipv4() }.frame());
    passed(&Packet { fragment: Some((3, false)), ..ipv4() }.frame());
    let fragment =
        |offset, more| Packet { extensions: vec![44], fragment: Some((offset, more)), ..ipv6() };
    looked_at(&fragment(0, true));
    // Atomic: a fragment header, and no fragment.
    looked_at(&fragment(0, false));
    passed(&fragment(3, true).frame());
    passed(&fragment(3, false).frame());
}

#[test]
fn a_first_fragment_that_ends_before_the_flags_hides_the_segment() {
    let cut = |packet: &Packet, left: usize| {
        let mut frame = packet.frame();
        frame.truncate(frame.len() - packet.payload - 20 + left);
        frame
    };
    let first = Packet { fragment: Some((0, true)), ..ipv4() };
    let first_ipv6 = Packet { extensions: vec![44], fragment: Some((0, true)), ..ipv6() };
    for left in [8, 13] {
        hidden(&cut(&first, left));
        hidden(&cut(&first_ipv6, left));
        // Its port is there to see.
        passed(&cut(&Packet { port: 22, ..first.clone() }, left));
    }
    // Not even the port.
    hidden(&cut(&first, 2));
    hidden(&cut(&first_ipv6, 0));
    // The chain of headers goes on in the next fragment (RFC 7112).
    let chain = Packet { extensions: vec![44, 60], ..first_ipv6 };
    hidden(&cut(&chain, 0)[..14 + 40 + 8 + 2]);
    let frame = cut(&first, 14);
    assert_eq!(closed().run(&frame), DROP);
}

#[test]
fn truncated_packets_pass() {
    for packet in [ipv4(), ipv6(), Packet { extensions: vec![60, 0], ..ipv6() }] {
        let frame = packet.frame();
        let flags_end = frame.len() - packet.payload - 20 + 14;
        for length in 14..flags_end {
            passed(&frame[..length]);
        }
        assert_eq!(closed().run(&frame[..flags_end]), DROP);
    }
    let tagged = Packet { vlans: vec![0x8100, 0x8100], ..ipv4() }.frame();
    for length in 14..24 {
        passed(&tagged[..length]);
    }
}

#[test]
fn malformed_headers_pass() {
    let with = |place: usize, value: u8| {
        let mut frame = ipv4().frame();
        frame[place] = value;
        frame
    };
    // A header of 16 bytes, of none, of IPv6 in IPv4's place.
    for first in [0x44, 0x40, 0x65] {
        passed(&with(14, first));
    }
    let mut frame = ipv6().frame();
    frame[14] = 0x45;
    passed(&frame);
}

#[test]
fn a_listener_on_all_addresses_of_one_family_leaves_the_other_alone() {
    for (bits, ipv4_answer, ipv6_answer) in
        [(LISTENS_ON_IPV4, DROP, PASS), (LISTENS_ON_IPV6, PASS, DROP)]
    {
        let mut loaded = closed();
        loaded.ports.set(PORT.into(), bits, 0).unwrap();
        assert_eq!(loaded.run(&ipv4().frame()), ipv4_answer);
        assert_eq!(loaded.run(&ipv6().frame()), ipv6_answer);
    }
}

#[test]
fn a_listener_on_one_address_leaves_others_with_the_same_port_alone() {
    let mut loaded = closed();
    loaded.ports.set(PORT.into(), LISTENS_ON_SOME, 0).unwrap();
    let gateway = Source::from(GATEWAY.parse::<std::net::Ipv4Addr>().unwrap());
    loaded.listeners.insert(Listener::new(gateway, PORT), 1, 0).unwrap();
    assert_eq!(loaded.run(&ipv4().frame()), DROP);
    let elsewhere = Packet { destination: "192.0.2.2".parse().unwrap(), ..ipv4() };
    assert_eq!(loaded.run(&elsewhere.frame()), PASS);
}

#[test]
fn a_program_whose_maps_are_empty_passes_everything() {
    let mut loaded = Loaded::new("tollgate", 16, 16);
    loaded.ports.set(PORT.into(), LISTENS_ON_IPV4, 0).unwrap();
    assert_eq!(loaded.run(&Packet { flags: SYN, ..ipv4() }.frame()), PASS);
}
