//! The committed object in the kernel, attached to nothing: packets are run through it by
//! BPF_PROG_TEST_RUN.

use std::net::IpAddr;

use aya::maps::lpm_trie::Key;
use aya::maps::{Array, HashMap, LpmTrie, MapData, PerCpuArray};
use aya::programs::{TestRun, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use tollgate_ebpf_common::{
    Clock, Configuration, FAMILY_BITS, Known, LAYOUT, LISTENS_ON_IPV4, LISTENS_ON_IPV6,
    ListAddress, Listener, Outcome, Recent, Slot, Standing, Switches, family, list_words,
};
use tollgate_throttle::Rate;
use tollgate_throttle::source::{Prefixes, Seed, Source};

pub const DROP: u32 = 1;
pub const PASS: u32 = 2;
pub const SEED: Seed = Seed([0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210]);

pub struct Loaded {
    ebpf: Ebpf,
    program: &'static str,
    pub configuration: Array<MapData, Configuration>,
    pub ports: Array<MapData, u8>,
    pub listeners: HashMap<MapData, Listener, u8>,
    pub lists: LpmTrie<MapData, ListAddress, u8>,
    pub sources: HashMap<MapData, [u8; 16], Known>,
    pub strangers: Array<MapData, Slot>,
    pub recent: PerCpuArray<MapData, Recent>,
    pub counters: PerCpuArray<MapData, u64>,
    pub clock: Array<MapData, u64>,
}

/// No limits, IPv4 and IPv6 in full length unless a test changes it.
pub fn configuration(slots: u32) -> Configuration {
    Configuration {
        owner: 0,
        connections: Rate::NOTHING,
        packets: Rate::NOTHING,
        prefixes: Prefixes::default(),
        seed: SEED,
        layout: LAYOUT,
        sketch_mask: slots - 1,
        is_on: Switches::default(),
        lists_version: 1,
    }
}

/// Until the thread ends: each processor has a map `RECENT` of its own.
pub fn stay_on_a_processor() {
    // SAFETY: the set is plain bits, and is as large as is said.
    let result = unsafe {
        let mut processors: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(usize::try_from(libc::sched_getcpu()).unwrap(), &mut processors);
        libc::sched_setaffinity(0, size_of_val(&processors), &raw const processors)
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

impl Loaded {
    /// One of the object's programs, with so many sources and slots.
    pub fn new(program: &'static str, sources: u32, slots: u32) -> Self {
        let mut ebpf = EbpfLoader::new()
            .map_max_entries("SOURCES", sources)
            .map_max_entries("STRANGERS", slots)
            .load(tollgate_xdp::PROGRAM)
            .expect("the object loads: root, and Linux 5.12 or later, are needed");
        let xdp: &mut Xdp = ebpf.program_mut(program).unwrap().try_into().unwrap();
        xdp.load().expect("the verifier accepts the program");
        let mut map = |name| ebpf.take_map(name).unwrap();
        let mut loaded = Self {
            configuration: map("CONFIGURATION").try_into().unwrap(),
            ports: map("PORTS").try_into().unwrap(),
            listeners: map("LISTENERS").try_into().unwrap(),
            lists: map("LISTS").try_into().unwrap(),
            sources: map("SOURCES").try_into().unwrap(),
            strangers: map("STRANGERS").try_into().unwrap(),
            recent: map("RECENT").try_into().unwrap(),
            counters: map("COUNTERS").try_into().unwrap(),
            clock: map("CLOCK").try_into().unwrap(),
            ebpf,
            program,
        };
        loaded.configure(configuration(slots));
        loaded
    }

    pub fn configure(&mut self, configuration: Configuration) {
        self.configuration.set(0, configuration, 0).unwrap();
    }

    pub fn change(&mut self, change: impl FnOnce(&mut Configuration)) {
        let mut configuration = self.configuration.get(&0, 0).unwrap();
        change(&mut configuration);
        self.configure(configuration);
    }

    pub fn listen_everywhere(&mut self, port: u16) {
        self.ports.set(port.into(), LISTENS_ON_IPV4 | LISTENS_ON_IPV6, 0).unwrap();
        self.change(|configuration| {
            configuration.is_on.all_ipv4 = 1;
            configuration.is_on.all_ipv6 = 1;
        });
    }

    pub fn list(&mut self, address: IpAddr, bits: u8, standing: Standing) {
        let mapped = if address.is_ipv4() { 96 } else { 0 };
        let mut key: ListAddress = [0; 20];
        key[..4].copy_from_slice(&family(address.is_ipv6()).to_ne_bytes());
        let [high, low] =
            list_words(Source::from(address).truncated(bits + mapped), address.is_ipv6());
        key[4..].copy_from_slice(&Source::from_words(high, low).octets());
        let key = Key::new(FAMILY_BITS + u32::from(bits), key);
        self.lists.insert(&key, standing as u8, 0).unwrap();
        self.change(|configuration| {
            configuration.is_on.lists = 1;
            configuration.lists_version += 1;
        });
    }

    /// What is known of a source, with what is yet to be counted for it.
    pub fn known(&self, source: Source) -> Known {
        let mut known = self.sources.get(&source.octets(), 0).unwrap();
        for recent in self.recent.iter().flat_map(|of_cpus| of_cpus.unwrap().to_vec()) {
            if recent.uncounted > 0 && recent.source == source {
                let dropped = &mut known.dropped[Recent::dropped_at(recent.refused_in)];
                *dropped += u64::from(recent.uncounted);
            }
        }
        known
    }

    pub fn set_clock(&mut self, now: u64) {
        self.clock.set(Clock::Now as u32, now, 0).unwrap();
    }

    /// What the program answers to a packet.
    pub fn run(&self, packet: &[u8]) -> u32 {
        self.repeat(packet, 1).0
    }

    /// The last answer to a packet that comes so many times, and nanoseconds for each.
    pub fn repeat(&self, packet: &[u8], times: u32) -> (u32, u64) {
        let xdp: &Xdp = self.ebpf.program(self.program).unwrap().try_into().unwrap();
        let options =
            TestRunOptions { data_in: Some(packet), repeat: times, ..TestRunOptions::default() };
        let result = xdp.test_run(options).unwrap();
        (result.return_value, result.duration.as_nanos() as u64)
    }

    pub fn count(&self, outcome: Outcome) -> u64 {
        self.counters.get(&(outcome as u32), 0).unwrap().iter().sum()
    }

    pub fn counts(&self) -> Vec<(Outcome, u64)> {
        let counts = Outcome::ALL.map(|outcome| (outcome, self.count(outcome)));
        counts.into_iter().filter(|(_, count)| *count > 0).collect()
    }
}
