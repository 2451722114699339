//! What was decided of an address a moment ago, on this CPU.
//!
//! Each function of the kernel's that the program calls costs some five nanoseconds and those
//! that it calls in turn, most of all where the processor can't predict returns (AMD's "safe
//! RET"). The lists take one and the known sources three. An array for each CPU is read without
//! any: so the second packet of an address that is listed, or was refused, is about as cheap as
//! one that isn't the gateway's.
//!
//! An address keeps its place while it is used in each of the kernel's ticks. So who makes up an
//! address for each packet takes a place at most once in a tick, and doesn't pay for more.

use tollgate_ebpf_common::{Configuration, Outcome, Recent, Standing, refused_for, refused_in};
use tollgate_throttle::source::Source;

use crate::maps;
use crate::word::Shared;

/// An address and the place for what is known of it, which may have another one's.
pub struct Place<'a> {
    recent: &'static mut Recent,
    address: Source,
    configuration: &'a Configuration,
    tick: u64,
}

impl<'a> Place<'a> {
    /// None: never, but the verifier doesn't know.
    #[inline(always)]
    pub fn of(address: Source, configuration: &'a Configuration, tick: u64) -> Option<Self> {
        let recent = maps::RECENT.get_ptr_mut(Recent::place(address, configuration.seed))?;
        // SAFETY: the value is this CPU's own, on which no other packet is looked at meanwhile,
        // and lives as long as the program.
        let recent = unsafe { &mut *recent };
        Some(Self { recent, address, configuration, tick })
    }

    /// Who the address is, if the lists were asked for it since they changed.
    #[inline(always)]
    pub fn standing(&mut self) -> Option<Option<Standing>> {
        self.is_taken().then(|| {
            self.recent.used_in = self.tick as u32;
            Standing::from_byte(self.recent.standing)
        })
    }

    /// Keeps what the lists say of the address.
    #[inline(always)]
    pub fn keep(&mut self, standing: Option<Standing>) {
        if self.take() {
            self.recent.standing = standing.map_or(0, |it| it as u8);
        }
    }

    /// What the address is refused for in this tick, if it was before.
    #[inline(always)]
    pub fn refusal(&mut self, opens: bool) -> Option<Outcome> {
        if !self.is_taken() {
            return None;
        }
        let outcome = refused_for(self.recent.refused_in, self.tick, opens)?;
        self.recent.uncounted += 1;
        Some(outcome)
    }

    /// Refuses packets of the address, which counts as `source`, for the rest of the tick.
    #[inline(always)]
    pub fn refuse(&mut self, source: Source, outcome: Outcome) {
        if self.is_taken() {
            settle(self.recent);
        } else if !self.take() {
            return;
        }
        self.recent.source = source;
        self.recent.refused_in = refused_in(self.tick, outcome);
        self.recent.used_in = self.tick as u32;
    }

    #[inline(always)]
    fn is_taken(&self) -> bool {
        self.recent.address == self.address
            && self.recent.lists_version == self.configuration.lists_version
    }

    /// Takes the place, if another address hasn't used it in this tick.
    #[inline(always)]
    fn take(&mut self) -> bool {
        let used_in = self.tick as u32;
        let lists_version = self.configuration.lists_version;
        if self.recent.used_in == used_in && self.recent.lists_version == lists_version {
            return false;
        }
        settle(self.recent);
        *self.recent =
            Recent { address: self.address, lists_version, used_in, ..Recent::default() };
        true
    }
}

/// Counts for the source, if it is still known, what was refused without asking it.
#[inline(always)]
fn settle(recent: &mut Recent) {
    if recent.uncounted == 0 {
        return;
    }
    if let Some(known) = maps::SOURCES.get_ptr_mut(recent.source) {
        // SAFETY: the pointer is to an entry of the map. If the kernel gives it to another source
        // meanwhile, that one gets the counts.
        let dropped = unsafe { &mut (*known).dropped };
        if let Some(dropped) = dropped.get_mut(Recent::dropped_at(recent.refused_in)) {
            // SAFETY: it points to an aligned word of the entry.
            unsafe { Shared::new(dropped) }.add(recent.uncounted.into());
        }
    }
    recent.uncounted = 0;
}
