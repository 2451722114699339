//! Frames, from their parts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub const SYN: u8 = 0x02;
pub const ACK: u8 = 0x10;

const TCP: u8 = 6;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;

/// A TCP segment to be put into a frame. The defaults are a plain one.
#[derive(Clone, Debug)]
pub struct Packet {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub port: u16,
    pub flags: u8,
    /// Tags around the packet, outermost first: the type that announces each.
    pub vlans: Vec<u16>,
    /// Bytes of IPv4 options, a multiple of four up to 40.
    pub options: usize,
    /// IPv6 extension headers: their numbers. 44 makes a fragment, as `fragment` says.
    pub extensions: Vec<u8>,
    /// Offset in units of eight bytes, and whether more fragments follow.
    pub fragment: Option<(u16, bool)>,
    pub protocol: u8,
    pub payload: usize,
}

impl Packet {
    pub fn new(source: &str, destination: &str, port: u16, flags: u8) -> Self {
        Self::between(source.parse().unwrap(), destination.parse().unwrap(), port, flags)
    }

    pub fn between(source: IpAddr, destination: IpAddr, port: u16, flags: u8) -> Self {
        Self {
            source,
            destination,
            port,
            flags,
            vlans: Vec::new(),
            options: 0,
            extensions: Vec::new(),
            fragment: None,
            protocol: TCP,
            payload: 6,
        }
    }

    pub fn frame(&self) -> Vec<u8> {
        // To the gateway of `network`, from its attacker.
        let mut frame = vec![0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 3];
        for (number, kind) in self.vlans.iter().enumerate() {
            frame.extend(kind.to_be_bytes());
            frame.extend((number as u16 + 10).to_be_bytes());
        }
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                frame.extend(0x0800_u16.to_be_bytes());
                self.ipv4(&mut frame, source, destination);
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                frame.extend(0x86dd_u16.to_be_bytes());
                self.ipv6(&mut frame, source, destination);
            }
            mixed => unreachable!("{mixed:?} are of two families"),
        }
        frame
    }

    fn ipv4(&self, frame: &mut Vec<u8>, source: Ipv4Addr, destination: Ipv4Addr) {
        let segment = self.segment();
        let length = 20 + self.options;
        let start = frame.len();
        frame.push(0x40 | (length / 4) as u8);
        frame.push(0);
        frame.extend(((length + segment.len()) as u16).to_be_bytes());
        frame.extend([0x12, 0x34]);
        let (offset, more) = self.fragment.unwrap_or((0, false));
        frame.extend((offset | u16::from(more) << 13).to_be_bytes());
        frame.extend([64, self.protocol, 0, 0]);
        frame.extend(source.octets());
        frame.extend(destination.octets());
        // No operation, each of them.
        frame.extend(std::iter::repeat_n(1, self.options));
        let sum = checksum(&frame[start..], 0);
        frame[start + 10..start + 12].copy_from_slice(&sum.to_be_bytes());
        frame.extend(segment);
    }

    fn ipv6(&self, frame: &mut Vec<u8>, source: Ipv6Addr, destination: Ipv6Addr) {
        let mut behind = Vec::new();
        for (place, kind) in self.extensions.iter().enumerate() {
            let next = self.extensions.get(place + 1).copied().unwrap_or(self.protocol);
            behind.extend(match *kind {
                FRAGMENT => {
                    let (offset, more) = self.fragment.unwrap_or((0, false));
                    let [high, low] = (offset << 3 | u16::from(more)).to_be_bytes();
                    vec![next, 0, high, low, 0, 0, 0, 1]
                }
                // Its length counts words of four bytes, less two.
                AUTHENTICATION => {
                    let mut header = vec![next, 4];
                    header.resize(24, 0);
                    header
                }
                // Padding options.
                _ => {
                    let mut header = vec![next, 1, 1, 12];
                    header.resize(16, 0);
                    header
                }
            });
        }
        behind.extend(self.segment());
        frame.extend([0x60, 0, 0, 0]);
        frame.extend((behind.len() as u16).to_be_bytes());
        frame.push(self.extensions.first().copied().unwrap_or(self.protocol));
        frame.push(64);
        frame.extend(source.octets());
        frame.extend(destination.octets());
        frame.extend(behind);
    }

    fn segment(&self) -> Vec<u8> {
        let mut segment = Vec::new();
        segment.extend(40_000_u16.to_be_bytes());
        segment.extend(self.port.to_be_bytes());
        segment.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, self.flags, 0x10, 0, 0, 0, 0, 0]);
        segment.resize(20 + self.payload, 0);
        let sum = checksum(&segment, self.pseudo_header(segment.len()));
        segment[16..18].copy_from_slice(&sum.to_be_bytes());
        segment
    }

    /// The sum of what TCP's checksum covers besides the segment (RFC 9293, section 3.1).
    fn pseudo_header(&self, length: usize) -> u32 {
        let sum = |octets: &[u8]| -> u32 {
            octets.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum()
        };
        let addresses = match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                sum(&source.octets()) + sum(&destination.octets())
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                sum(&source.octets()) + sum(&destination.octets())
            }
            mixed => unreachable!("{mixed:?} are of two families"),
        };
        addresses + u32::from(TCP) + length as u32
    }
}

fn checksum(bytes: &[u8], start: u32) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)));
    let mut sum: u32 = words.sum::<u32>() + start;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
