//! Who is denied, allowed or trusted, where the kernel doesn't keep it.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::{Network, Standing};

/// A list of networks. One lookup for each prefix length that the list has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lists {
    entries: HashMap<Network, Standing>,
    /// Of the entries, longest first.
    lengths: Vec<u8>,
}

impl Lists {
    pub(crate) fn new(entries: impl IntoIterator<Item = (Network, Standing)>) -> Self {
        let entries: HashMap<_, _> = entries.into_iter().collect();
        let mut lengths: Vec<u8> = entries.keys().map(Network::bits).collect();
        lengths.sort_unstable_by(|one, other| other.cmp(one));
        lengths.dedup();
        Self { entries, lengths }
    }

    pub(crate) fn standing(&self, address: IpAddr) -> Option<Standing> {
        self.lengths
            .iter()
            .find_map(|bits| self.entries.get(&Network::around(address, *bits)).copied())
    }
}
