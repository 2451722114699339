//! The maps. User space sets the sizes of the bounded ones when it makes them.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray};
use tollgate_ebpf_common::{
    Configuration, Known, ListAddress, Listener, Outcome, PORTS as PORT_COUNT, RECENTS, Recent,
    Slot,
};
use tollgate_throttle::source::Source;

#[map]
pub static CONFIGURATION: Array<Configuration> = Array::with_max_entries(1, 0);

#[map]
pub static PORTS: Array<u8> = Array::with_max_entries(PORT_COUNT, 0);

#[map]
pub static LISTENERS: HashMap<Listener, u8> = HashMap::with_max_entries(4096, 0);

#[map]
pub static LISTS: LpmTrie<ListAddress, u8> = LpmTrie::with_max_entries(65_536, 0);

#[map]
pub static SOURCES: LruHashMap<Source, Known> = LruHashMap::with_max_entries(65_536, 0);

#[map]
pub static STRANGERS: Array<Slot> = Array::with_max_entries(1 << 20, 0);

#[map]
pub static RECENT: PerCpuArray<Recent> = PerCpuArray::with_max_entries(RECENTS, 0);

#[map]
pub static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Outcome::ALL.len() as u32, 0);

#[map]
pub static CLOCK: Array<u64> = Array::with_max_entries(2, 0);
