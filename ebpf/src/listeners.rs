//! Whether a segment is for the gateway.

use tollgate_ebpf_common::{LISTENS_ON_IPV4, LISTENS_ON_IPV6, LISTENS_ON_SOME, Listener};
use tollgate_throttle::source::Source;

use crate::maps;
use crate::packet::Segment;

#[inline(always)]
pub fn is_for_gateway(segment: &Segment) -> bool {
    let Some(port) = segment.port else {
        return may_be_for_gateway(segment);
    };
    let Some(&listens) = maps::PORTS.get(u32::from(port)) else {
        return false;
    };
    if listens == 0 {
        return false;
    }
    let all = if segment.is_ipv6 { LISTENS_ON_IPV6 } else { LISTENS_ON_IPV4 };
    listens & all != 0 || listens & LISTENS_ON_SOME != 0 && is_listener(segment.destination, port)
}

/// Of a segment whose port is hidden: it is, if its address has any listener.
#[inline(always)]
fn may_be_for_gateway(segment: &Segment) -> bool {
    let all = maps::CONFIGURATION.get(0).is_some_and(|configuration| {
        let is_on = configuration.is_on;
        (if segment.is_ipv6 { is_on.all_ipv6 } else { is_on.all_ipv4 }) != 0
    });
    all || is_listener(segment.destination, 0)
}

#[inline(always)]
fn is_listener(address: Source, port: u16) -> bool {
    maps::LISTENERS.get_ptr(Listener::new(address, port)).is_some()
}
