//! Packets by what became of them.

use tollgate_ebpf_common::Outcome;

use crate::maps;

#[inline(always)]
pub fn count(outcome: Outcome) {
    if let Some(counter) = maps::COUNTERS.get_ptr_mut(outcome as u32) {
        // SAFETY: the value is this CPU's own, on which no other packet is looked at meanwhile.
        unsafe { *counter += 1 }
    }
}
