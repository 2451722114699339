//! Throttles sources in the kernel, before the network stack sees their packets; or where that
//! can't be, when they connect.
//!
//! ```text
//!  Settings ──▶ SourceThrottle ──▶ KernelThrottle ──▶ XDP program, pinned maps ◀── KernelMaps
//!                    │        └──▶ AcceptFilter       (ebpf/)                     (tollgate throttle)
//!                    └──▶ Offences: who deserves a penalty
//! ```
//!
//! The gateway calls [`SourceThrottle`] and need not know which of the two runs:
//! [`SourceThrottle::admit_connection`] for each accepted connection, then
//! [`SourceThrottle::report`] whenever a client does what it shouldn't repeat. The limits are
//! arithmetic of `tollgate-throttle`, the same for both; the map types are those of
//! `ebpf/common`.

mod settings;
mod network;
mod source_throttle;
mod kernel;
mod kernel_maps;
mod pins;
mod requirements;
mod known_sources;
mod accept_filter;
mod lists;
mod penalty_box;
mod offences;
mod forwarded;
mod metrics;
mod clock;

pub use accept_filter::AcceptFilter;
pub use clock::now;
pub use kernel::{AttachError, KernelThrottle, StartError};
pub use kernel_maps::{KernelMaps, KernelSource, MapsError};
pub use metrics::ThrottleCollector;
pub use network::{InvalidNetwork, Network};
pub use settings::{InvalidSettings, KernelSettings, Limits, Listener, PenaltySettings, Settings};
pub use source_throttle::{Admission, Counts, Mode, Reported, SourceThrottle, Status};
pub use tollgate_ebpf_common::{Outcome, Standing};
pub use tollgate_throttle::penalty::Offence;

/// The XDP program, built from `ebpf/` by `make ebpf`.
pub static PROGRAM: &[u8] = aya::include_bytes_aligned!("../dist/tollgate-xdp.o");
