//! From a frame to the TCP segment in it.
//!
//! | frame | answer |
//! | --- | --- |
//! | up to two VLAN tags (802.1Q, 802.1ad) | read through; more: pass |
//! | neither IPv4 nor IPv6, not TCP, ESP and tunnels | pass |
//! | IPv4 options | skipped |
//! | IPv6 extension headers | up to eight read through; more hide the segment |
//! | fragment that is not the first | pass: without the first it reaches no socket |
//! | first fragment that ends before the TCP flags | hides the segment (RFC 1858) |
//! | truncated, or malformed | pass: the stack drops it before it reaches a socket |
//!
//! A hidden segment is dropped if it is for the gateway, as far as can be seen.

use aya_ebpf::programs::XdpContext;
use tollgate_throttle::source::Source;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_SERVICE_VLAN: u16 = 0x88a8;
const VLAN_TAGS: usize = 2;

const TCP: u8 = 6;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
/// RFC 8504, section 5.3, lets a host have such a limit.
const EXTENSION_HEADERS: usize = 8;

const TCP_FLAGS_AT: usize = 13;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

pub struct Segment {
    pub is_ipv6: bool,
    /// The whole address, not yet cut to a prefix.
    pub source: Source,
    pub destination: Source,
    /// In the machine's order. None: it is hidden.
    pub port: Option<u16>,
    /// Opens a connection.
    pub is_opening: bool,
    pub is_hidden: bool,
}

/// Where TCP begins, or that this can't be seen.
struct Payload {
    at: Option<usize>,
    is_fragment: bool,
}

#[inline(always)]
pub fn segment(context: &XdpContext) -> Option<Segment> {
    let mut offset = 14;
    let mut ethertype = u16::from_be(read(context, 12)?);
    for _ in 0..VLAN_TAGS {
        if ethertype != ETHERTYPE_VLAN && ethertype != ETHERTYPE_SERVICE_VLAN {
            break;
        }
        ethertype = u16::from_be(read(context, offset + 2)?);
        offset += 4;
    }
    match ethertype {
        ETHERTYPE_IPV4 => ipv4(context, offset),
        ETHERTYPE_IPV6 => ipv6(context, offset),
        _ => None,
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Ipv4Header {
    version_and_length: u8,
    service: u8,
    total_length: u16,
    identification: u16,
    fragment: u16,
    time_to_live: u8,
    protocol: u8,
    checksum: u16,
    source: u32,
    destination: u32,
}

#[inline(always)]
fn ipv4(context: &XdpContext, offset: usize) -> Option<Segment> {
    let header: Ipv4Header = read(context, offset)?;
    let length = usize::from(header.version_and_length & 0x0f) * 4;
    let fragment = u16::from_be(header.fragment);
    if header.protocol != TCP
        || header.version_and_length >> 4 != 4
        || length < size_of::<Ipv4Header>()
        || fragment & 0x1fff != 0
    {
        return None;
    }
    let payload = Payload { at: Some(offset + length), is_fragment: fragment & 0x2000 != 0 };
    let source = Source::from_ipv4_word(header.source);
    tcp(context, payload, false, source, Source::from_ipv4_word(header.destination))
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Ipv6Header {
    version_class_and_flow: u32,
    payload_length: u16,
    next_header: u8,
    hop_limit: u8,
    source: [u32; 4],
    destination: [u32; 4],
}

#[inline(always)]
fn ipv6(context: &XdpContext, offset: usize) -> Option<Segment> {
    let header: Ipv6Header = read(context, offset)?;
    if u32::from_be(header.version_class_and_flow) >> 28 != 6 {
        return None;
    }
    let payload =
        after_extension_headers(context, offset + size_of::<Ipv6Header>(), header.next_header)?;
    tcp(context, payload, true, ipv6_source(header.source), ipv6_source(header.destination))
}

#[inline(always)]
fn after_extension_headers(
    context: &XdpContext,
    mut offset: usize,
    mut next: u8,
) -> Option<Payload> {
    let mut is_fragment = false;
    for _ in 0..EXTENSION_HEADERS {
        if next == TCP {
            return Some(Payload { at: Some(offset), is_fragment });
        }
        if !matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS) {
            return None;
        }
        let Some([following, length, high, low]) = read::<[u8; 4]>(context, offset) else {
            // Where the chain goes on in another fragment (RFC 7112), older kernels put it
            // together.
            return is_fragment.then_some(Payload { at: None, is_fragment });
        };
        offset += match next {
            FRAGMENT => {
                if u16::from_be_bytes([high, low]) & 0xfff8 != 0 {
                    return None;
                }
                // A fragment header in a packet that is whole ("atomic", RFC 6946) hides nothing.
                is_fragment |= low & 1 != 0;
                8
            }
            AUTHENTICATION => (usize::from(length) + 2) * 4,
            _ => (usize::from(length) + 1) * 8,
        };
        next = following;
    }
    let at = (next == TCP).then_some(offset);
    Some(Payload { at, is_fragment })
}

#[inline(always)]
fn tcp(
    context: &XdpContext,
    payload: Payload,
    is_ipv6: bool,
    source: Source,
    destination: Source,
) -> Option<Segment> {
    let hidden =
        |port| Segment { is_ipv6, source, destination, port, is_opening: false, is_hidden: true };
    let Some(at) = payload.at else {
        return Some(hidden(None));
    };
    let Some(start) = read::<[u8; TCP_FLAGS_AT + 1]>(context, at) else {
        let port = || read::<[u8; 4]>(context, at).map(|[_, _, high, low]| port(high, low));
        return payload.is_fragment.then(|| hidden(port()));
    };
    Some(Segment {
        is_ipv6,
        source,
        destination,
        port: Some(port(start[2], start[3])),
        is_opening: start[TCP_FLAGS_AT] & (SYN | ACK) == SYN,
        is_hidden: false,
    })
}

#[inline(always)]
fn port(high: u8, low: u8) -> u16 {
    u16::from_be_bytes([high, low])
}

/// Four words and no alignment: frames put addresses at odd multiples of two.
#[inline(always)]
fn ipv6_source([a, b, c, d]: [u32; 4]) -> Source {
    let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    Source::from_words(pair(a, b), pair(c, d))
}

/// What is at an offset of the frame, if the frame has it.
#[inline(always)]
fn read<T: Copy>(context: &XdpContext, offset: usize) -> Option<T> {
    let start = context.data() + offset;
    if start + size_of::<T>() > context.data_end() {
        return None;
    }
    // SAFETY: all of T is within the frame, as the verifier checks again; T is plain numbers.
    Some(unsafe { (start as *const T).read_unaligned() })
}
