//! The limits of the kernel's program, enforced when connections are accepted: where there are no
//! privileges, or no XDP.
//!
//! Packets can't be counted here, and a refused connection has cost a handshake.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tollgate_throttle::Rate;
use tollgate_throttle::penalty::{Penalty, Terms};
use tollgate_throttle::sketch::Sketch;
use tollgate_throttle::source::{Prefixes, Source};

use crate::lists::Lists;
use crate::offences::random_seed;
use crate::penalty_box::PenaltyBox;
use crate::{Network, Outcome, Settings, Standing};

/// 1 MiB.
const SKETCH_BITS: u32 = 17;

/// Who may connect. Threads share it; counting takes no lock and no allocation.
pub struct AcceptFilter {
    rules: ArcSwap<Rules>,
    sketch: Sketch,
    penalties: PenaltyBox,
    counts: [AtomicU64; Outcome::ALL.len()],
    /// Held by who changes the rules.
    changing: Mutex<()>,
}

#[derive(Clone)]
struct Rules {
    connections: Option<Rate>,
    prefixes: Prefixes,
    configured: Vec<(Network, Standing)>,
    /// At run time, of networks that are not configured.
    listed: Vec<(Network, Standing)>,
    /// Both.
    lists: Lists,
}

impl AcceptFilter {
    /// # Errors
    /// The system has no random numbers.
    pub fn new(settings: &Settings) -> io::Result<Self> {
        Ok(Self {
            rules: ArcSwap::from_pointee(Rules::new(settings, Vec::new())),
            sketch: Sketch::new(SKETCH_BITS, random_seed()?),
            penalties: PenaltyBox::new(random_seed()?),
            counts: Default::default(),
            changing: Mutex::default(),
        })
    }

    /// What becomes of a connection that is accepted at a moment.
    pub fn outcome(&self, address: IpAddr, now: u64) -> Outcome {
        let outcome = self.judged(address, now);
        self.counts[outcome as usize].fetch_add(1, Ordering::Relaxed);
        outcome
    }

    /// Connections, by what became of them.
    pub fn counts(&self) -> Vec<(Outcome, u64)> {
        let count = |outcome| self.counts[outcome as usize].load(Ordering::Relaxed);
        Outcome::ALL.into_iter().map(|outcome| (outcome, count(outcome))).collect()
    }

    /// Takes over other limits, prefixes and lists. What was listed at run time stays, unless the
    /// settings now list it, too.
    pub fn reconfigure(&self, settings: &Settings) {
        self.change(|rules| *rules = Rules::new(settings, rules.listed.clone()));
    }

    /// Puts a network on a list, or with none takes it off; whether that is allowed: what is
    /// configured stays.
    pub fn list(&self, network: Network, standing: Option<Standing>) -> bool {
        let mut is_allowed = true;
        self.change(|rules| {
            is_allowed = !rules.configured.iter().any(|(entry, _)| *entry == network);
            if is_allowed {
                rules.listed.retain(|(entry, _)| *entry != network);
                rules.listed.extend(standing.map(|standing| (network, standing)));
                rules.merge();
            }
        });
        is_allowed
    }

    /// Lets a source out of the penalty box; whether it had a penalty.
    pub fn release(&self, address: IpAddr) -> bool {
        self.penalties.release(self.source(address))
    }

    pub(crate) fn penalise(&self, address: IpAddr, now: u64, terms: Terms) -> Option<Penalty> {
        let rules = self.rules.load();
        if matches!(rules.lists.standing(address), Some(Standing::Allowed | Standing::Trusted)) {
            return None;
        }
        self.penalties.penalise(rules.prefixes.source(address), now, terms)
    }

    pub(crate) fn penalty(&self, address: IpAddr) -> Option<Penalty> {
        self.penalties.penalty(self.source(address))
    }

    pub(crate) fn source(&self, address: IpAddr) -> Source {
        self.rules.load().prefixes.source(address)
    }

    pub(crate) fn standing(&self, address: IpAddr) -> Option<Standing> {
        self.rules.load().lists.standing(address)
    }

    fn judged(&self, address: IpAddr, now: u64) -> Outcome {
        let rules = self.rules.load();
        match rules.lists.standing(address) {
            Some(Standing::Denied) => return Outcome::Denied,
            Some(Standing::Allowed | Standing::Trusted) => return Outcome::Allowed,
            None => {}
        }
        let source = rules.prefixes.source(address);
        if self.penalties.penalty(source).is_some_and(|penalty| penalty.is_active(now)) {
            return Outcome::Penalty;
        }
        match rules.connections {
            Some(rate) if self.sketch.take(source, rate, now).is_err() => Outcome::ConnectionRate,
            _ => Outcome::Admitted,
        }
    }

    fn change(&self, change: impl FnOnce(&mut Rules)) {
        let _changing = self.changing.lock();
        let mut rules = Rules::clone(&self.rules.load());
        change(&mut rules);
        self.rules.store(Arc::new(rules));
    }
}

impl Rules {
    fn new(settings: &Settings, mut listed: Vec<(Network, Standing)>) -> Self {
        let is_configured =
            |network: &Network| settings.lists.iter().any(|(entry, _)| entry == network);
        listed.retain(|(network, _)| !is_configured(network));
        let mut rules = Self {
            connections: settings.limits.connections,
            prefixes: settings.prefixes,
            configured: settings.lists.clone(),
            listed,
            lists: Lists::default(),
        };
        rules.merge();
        rules
    }

    fn merge(&mut self) {
        self.lists = Lists::new(self.configured.iter().chain(&self.listed).copied());
    }
}
