//! The XDP program: throttles sources before the network stack sees them.
//!
//! A packet's way, each step as early as it can be:
//!
//! ```text
//!  packet ── not TCP to a port of the gateway ──▶ pass                  (packet, listeners)
//!         ── hides its port or flags ──▶ drop                           (packet)
//!         ── was listed or refused a moment ago ──▶ as then             (recent)
//!         ── source is denied, allowed, trusted ──▶ drop, pass, pass    (lists)
//!         ── source is known: penalty, buckets ──▶ drop or pass         (limits)
//!         ── stranger: buckets in the sketch ──▶ drop or pass           (limits)
//! ```
//!
//! Three programs do this, which differ in where time and source come from: `tollgate` is
//! attached; `tollgate_at` takes its time from a map, so that a test can compare its answers with
//! a model's; `tollgate_spread` takes the source's last bits from a counter, so that a benchmark
//! can send from a million addresses. The last two are loaded by nothing else.

#![no_std]
#![no_main]
// Unstable for the target's sake, not the feature's: aya-ebpf wants the same.
#![feature(asm_experimental_arch)]

mod clock;
mod counters;
mod limits;
mod listeners;
mod lists;
mod maps;
mod packet;
mod recent;
mod word;

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use tollgate_ebpf_common::{Clock as ClockIndex, Outcome};
use tollgate_throttle::source::Source;

use crate::clock::{Clock, Monotonic, Set};
use crate::packet::Segment;
use crate::recent::Place;

#[xdp(frags)]
pub fn tollgate(context: XdpContext) -> u32 {
    action(&context, &Monotonic, |source| source)
}

#[xdp(frags)]
pub fn tollgate_at(context: XdpContext) -> u32 {
    action(&context, &Set, |source| source)
}

#[xdp(frags)]
pub fn tollgate_spread(context: XdpContext) -> u32 {
    action(&context, &Monotonic, spread)
}

#[inline(always)]
fn action(context: &XdpContext, clock: &impl Clock, renamed: impl FnOnce(Source) -> Source) -> u32 {
    let Some(mut segment) = packet::segment(context) else {
        return XDP_PASS;
    };
    if !listeners::is_for_gateway(&segment) {
        return XDP_PASS;
    }
    segment.source = renamed(segment.source);
    match verdict(&segment, clock) {
        Some(outcome) => {
            counters::count(outcome);
            match outcome {
                Outcome::Admitted | Outcome::Allowed => XDP_PASS,
                _ => XDP_DROP,
            }
        }
        None => XDP_PASS,
    }
}

/// What becomes of a segment to the gateway. None: the maps are not filled yet.
#[inline(always)]
fn verdict(segment: &Segment, clock: &impl Clock) -> Option<Outcome> {
    let configuration = maps::CONFIGURATION.get(0)?;
    let tick = clock.tick();
    let mut recent = Place::of(segment.source, configuration, tick)?;
    if configuration.is_on.lists != 0
        && let Some(outcome) = lists::outcome(segment, &mut recent)
    {
        return Some(outcome);
    }
    if segment.is_hidden {
        return Some(Outcome::Hidden);
    }
    limits::outcome(segment, configuration, &mut recent, tick, clock)
}

/// One of as many addresses as the benchmark wants, the next each time, far from the last.
#[inline(always)]
fn spread(source: Source) -> Source {
    let (Some(sources), Some(sent)) = (
        maps::CLOCK.get(ClockIndex::Sources as u32),
        maps::CLOCK.get_ptr_mut(ClockIndex::Now as u32),
    ) else {
        return source;
    };
    // SAFETY: the pointer is to a value of an array, which lives as long as the program. Two CPUs
    // may count one packet as one: the benchmark runs on one.
    let number = unsafe {
        *sent = (*sent).wrapping_add(0x9e37_79b1);
        *sent & (sources - 1)
    };
    Source::from_ipv4_word(number as u32)
}

/// The license decides which helpers the kernel lets the program call; none of those here wants
/// the GPL.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 11] = *b"Apache-2.0\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // What can panic is optimised away, or the verifier refuses the endless loop.
    loop {}
}
