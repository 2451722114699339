//! What the throttle is to do.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;
use tollgate_ebpf_common::Standing;
use tollgate_throttle::Rate;
use tollgate_throttle::penalty::Terms;
use tollgate_throttle::source::Prefixes;

use crate::Network;

/// All that the throttle does; by default, in user space for no listener.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Where packets come in. None: limits are enforced when connections are accepted.
    pub kernel: Option<KernelSettings>,
    pub listeners: Vec<Listener>,
    pub limits: Limits,
    pub prefixes: Prefixes,
    /// Who is denied, allowed or trusted; the longest prefix decides.
    pub lists: Vec<(Network, Standing)>,
    /// None: there is no penalty box.
    pub penalties: Option<PenaltySettings>,
}

/// The throttle in the kernel.
#[derive(Clone, Debug)]
pub struct KernelSettings {
    /// A network interface's name, as `eth0`.
    pub interface: String,
    /// Whether the gateway must not run without.
    pub required: bool,
    /// How many sources are known at a time, 1 to 16,777,216; 65,536 by default. Each takes some
    /// 150 bytes.
    pub sources: u32,
    /// A power of two, 2 to 134,217,728: in how many slots strangers are counted; 1,048,576 by
    /// default. Each takes 16 bytes.
    pub slots: u32,
    /// A directory of a BPF file system, in which each interface has one of its own.
    pub pin_directory: PathBuf,
}

impl KernelSettings {
    /// With the defaults: not required, pins in `/sys/fs/bpf/tollgate`.
    pub fn new(interface: impl Into<String>) -> Self {
        Self {
            interface: interface.into(),
            required: false,
            sources: 65_536,
            slots: 1 << 20,
            pin_directory: PathBuf::from(Self::PIN_DIRECTORY),
        }
    }

    /// Where the maps are pinned by default.
    pub const PIN_DIRECTORY: &str = "/sys/fs/bpf/tollgate";

    pub(crate) fn check(&self) -> Result<(), InvalidSettings> {
        if !(1..=1 << 24).contains(&self.sources) {
            return Err(InvalidSettings::Sources(self.sources));
        }
        if !(2..=1 << 27).contains(&self.slots) || !self.slots.is_power_of_two() {
            return Err(InvalidSettings::Slots(self.slots));
        }
        Ok(())
    }
}

/// A number out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidSettings {
    #[error("{0} known sources: allowed are 1 to 16777216")]
    Sources(u32),
    #[error("{0} slots for strangers: allowed are powers of two from 2 to 134217728")]
    Slots(u32),
}

/// An address that the gateway listens on, with the port that it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    pub address: SocketAddr,
    /// Of `[::]`: whether IPv4 doesn't come in there.
    pub is_ipv6_only: bool,
}

/// What each source may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// New connections. None: no limit.
    pub connections: Option<Rate>,
    /// Packets, in the kernel only. None: no limit.
    pub packets: Option<Rate>,
}

impl Default for Limits {
    /// 1,000 new connections a second, 2,000 at once; 50,000 packets a second, 100,000 at once.
    fn default() -> Self {
        let rate = |per_second, burst| Rate::new(per_second, burst).ok();
        Self { connections: rate(1_000.0, 2_000), packets: rate(50_000.0, 100_000) }
    }
}

/// The penalty box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PenaltySettings {
    /// Offences that are forgiven: so many a second, so many at once.
    pub tolerated: Rate,
    /// The first penalty; the next ones double.
    pub first: Duration,
    /// The longest penalty.
    pub longest: Duration,
}

impl PenaltySettings {
    pub(crate) fn terms(&self) -> Terms {
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Terms { first: nanoseconds(self.first), longest: nanoseconds(self.longest) }
    }
}

impl Default for PenaltySettings {
    /// 10 offences a second and 100 at once are forgiven; one second, doubling to five minutes.
    fn default() -> Self {
        let terms = Terms::default();
        Self {
            tolerated: Rate::new(10.0, 100).unwrap_or(Rate::NOTHING),
            first: Duration::from_nanos(terms.first),
            longest: Duration::from_nanos(terms.longest),
        }
    }
}
