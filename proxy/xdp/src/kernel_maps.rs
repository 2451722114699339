//! The kernel's maps, as user space sees them: those of this process, or of another one through
//! their pins.

use std::array;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use aya::maps::lpm_trie::Key;
use aya::maps::{Array, HashMap, LpmTrie, Map, MapData, MapError, MapInfo, PerCpuArray};
use parking_lot::Mutex;
use thiserror::Error;
use tollgate_ebpf_common::{
    Configuration, IS_CONFIGURED, Known, LAYOUT, LISTENS_ON_IPV4, LISTENS_ON_IPV6, LISTENS_ON_SOME,
    ListAddress, Listener as ListenerKey, Outcome, RECENTS, Recent, Standing,
};
use tollgate_throttle::penalty::{Penalty, Terms};
use tollgate_throttle::source::Source;

use crate::pins::{MAPS, Pins};
use crate::{Listener, Mode, Network};

/// `man bpf`: make a new element.
const BPF_NOEXIST: u64 = 1;

/// The maps of an interface's throttle. Can be used from another process than the gateway's.
pub struct KernelMaps {
    pins: Pins,
    configuration: Mutex<Array<MapData, Configuration>>,
    ports: Mutex<Array<MapData, u8>>,
    listeners: Mutex<HashMap<MapData, ListenerKey, u8>>,
    lists: Mutex<LpmTrie<MapData, ListAddress, u8>>,
    /// Under the lock is a system call of a microsecond; a source comes here once in seconds.
    sources: Mutex<HashMap<MapData, [u8; 16], Known>>,
    recent: PerCpuArray<MapData, Recent>,
    counters: PerCpuArray<MapData, u64>,
}

/// A source that the kernel knows by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelSource {
    /// An address, or the network's first.
    pub address: IpAddr,
    /// When it is out of the penalty box, on [`crate::now`]'s clock. None: it isn't in.
    pub penalty_until: Option<u64>,
    /// Packets that were let in.
    pub admitted: u64,
    /// Packets dropped: too many connections.
    pub connection_rate: u64,
    /// Packets dropped: too many packets.
    pub packet_rate: u64,
    /// Packets dropped: in the penalty box.
    pub penalty: u64,
}

impl KernelSource {
    /// All packets dropped.
    pub fn dropped(&self) -> u64 {
        self.connection_rate + self.packet_rate + self.penalty
    }
}

/// The kernel's maps can't be used.
#[derive(Debug, Error)]
pub enum MapsError {
    #[error("{directory}: no kernel throttle runs there")]
    NotRunning { directory: String },
    #[error("{path}: {error}")]
    Open { path: String, error: MapError },
    #[error("{directory}: made by another version of tollgate")]
    Layout { directory: String },
    #[error("map {name}: {error}")]
    Map { name: &'static str, error: MapError },
    #[error("{network} is trusted or listed by the configuration: change it there")]
    Configured { network: Network },
    #[error("{directory}: {error}")]
    Lock { directory: String, error: io::Error },
}

impl KernelMaps {
    /// Opens the maps that the gateway's process pinned for an interface.
    ///
    /// # Errors
    /// There are none, they may not be opened, or another version made them.
    pub fn open(pin_directory: &Path, interface: &str) -> Result<Self, MapsError> {
        Self::open_pins(&Pins::new(pin_directory, interface))
    }

    /// The interfaces that have a throttle, by what is pinned.
    ///
    /// # Errors
    /// The directory is there and can't be read.
    pub fn interfaces(pin_directory: &Path) -> io::Result<Vec<String>> {
        Pins::interfaces(pin_directory)
    }

    /// Where the program runs.
    ///
    /// # Errors
    /// The map can't be read.
    pub fn mode(&self) -> Result<Mode, MapsError> {
        let is_native = self.configuration()?.is_on.native != 0;
        Ok(if is_native { Mode::Native } else { Mode::Generic })
    }

    pub(crate) fn open_pins(pins: &Pins) -> Result<Self, MapsError> {
        let directory = || pins.directory().display().to_string();
        if !pins.map("CONFIGURATION").exists() {
            return Err(MapsError::NotRunning { directory: directory() });
        }
        let layout = || MapsError::Layout { directory: directory() };
        if !have_our_maps(pins) {
            return Err(layout());
        }
        let map = |name: &'static str| {
            let path = pins.map(name);
            MapData::from_pin(&path)
                .and_then(Map::from_map_data)
                .map_err(|error| MapsError::Open { path: path.display().to_string(), error })
        };
        let maps = Self::new(pins.clone(), map)?;
        if maps.configuration()?.layout != LAYOUT {
            return Err(layout());
        }
        Ok(maps)
    }

    /// From maps by name.
    pub(crate) fn new(
        pins: Pins,
        mut map: impl FnMut(&'static str) -> Result<Map, MapsError>,
    ) -> Result<Self, MapsError> {
        fn typed<T>(name: &'static str, map: Map) -> Result<T, MapsError>
        where
            T: TryFrom<Map, Error = MapError>,
        {
            map.try_into().map_err(|error| MapsError::Map { name, error })
        }
        Ok(Self {
            pins,
            configuration: Mutex::new(typed("CONFIGURATION", map("CONFIGURATION")?)?),
            ports: Mutex::new(typed("PORTS", map("PORTS")?)?),
            listeners: Mutex::new(typed("LISTENERS", map("LISTENERS")?)?),
            lists: Mutex::new(typed("LISTS", map("LISTS")?)?),
            sources: Mutex::new(typed("SOURCES", map("SOURCES")?)?),
            recent: typed("RECENT", map("RECENT")?)?,
            counters: typed("COUNTERS", map("COUNTERS")?)?,
        })
    }

    /// Packets to the gateway, by what became of them.
    ///
    /// # Errors
    /// The map can't be read.
    pub fn counts(&self) -> Result<Vec<(Outcome, u64)>, MapsError> {
        let count = |outcome: Outcome| {
            let of_cpus = self.counters.get(&(outcome as u32), 0)?;
            Ok((outcome, of_cpus.iter().copied().fold(0, u64::wrapping_add)))
        };
        Outcome::ALL.into_iter().map(count).collect::<Result<_, _>>().map_err(named("COUNTERS"))
    }

    /// All sources that are known by name: at most as many as the settings say, which takes a
    /// microsecond each.
    ///
    /// # Errors
    /// The map can't be read.
    pub fn sources(&self) -> Result<Vec<KernelSource>, MapsError> {
        let info = MapInfo::from_pin(self.pins.map("SOURCES")).map_err(named("SOURCES"))?;
        let uncounted = self.uncounted()?;
        let sources = self.sources.lock();
        let now = crate::now();
        let mut found = Vec::new();
        // While sources come and go, the kernel may begin again.
        for entry in sources.iter().take(info.max_entries() as usize) {
            let Ok((octets, known)) = entry else { break };
            let more = uncounted.get(&octets).copied().unwrap_or_default();
            let [connection_rate, packet_rate, penalty] =
                array::from_fn(|reason| known.dropped[reason].wrapping_add(more[reason]));
            found.push(KernelSource {
                address: IpAddr::from(octets).to_canonical(),
                penalty_until: (known.penalty_until > now).then_some(known.penalty_until),
                admitted: known.admitted,
                connection_rate,
                packet_rate,
                penalty,
            });
        }
        Ok(found)
    }

    /// Packets that the program dropped a moment ago and has not yet counted for their sources, as
    /// [`Known::dropped`].
    fn uncounted(&self) -> Result<BTreeMap<[u8; 16], [u64; 3]>, MapsError> {
        let mut uncounted: BTreeMap<_, [u64; 3]> = BTreeMap::new();
        for place in 0..RECENTS {
            let of_cpus = self.recent.get(&place, 0).map_err(named("RECENT"))?;
            for recent in of_cpus.iter().filter(|recent| recent.uncounted > 0) {
                let dropped = uncounted.entry(recent.source.octets()).or_default();
                if let Some(dropped) = dropped.get_mut(Recent::dropped_at(recent.refused_in)) {
                    *dropped += u64::from(recent.uncounted);
                }
            }
        }
        Ok(uncounted)
    }

    /// The lists: each entry, and whether the configuration has it.
    ///
    /// # Errors
    /// The map can't be read.
    pub fn lists(&self) -> Result<Vec<(Network, Standing, bool)>, MapsError> {
        let lists = self.lists.lock();
        let mut found = Vec::new();
        for entry in lists.iter() {
            let (key, value) = entry.map_err(named("LISTS"))?;
            if let Some(network) = Network::from_list_key(key.prefix_len(), key.data())
                && let Some(standing) = Standing::from_byte(value)
            {
                found.push((network, standing, value & IS_CONFIGURED != 0));
            }
        }
        Ok(found)
    }

    /// Who an address is, by the longest entry of the lists.
    pub fn standing(&self, address: IpAddr) -> Option<Standing> {
        let (bits, octets) = Network::of(address).list_key();
        Standing::from_byte(self.lists.lock().get(&Key::new(bits, octets), 0).ok()?)
    }

    /// Puts a network on a list, in place of what was there for just this network.
    ///
    /// # Errors
    /// The configuration lists it, or the list is full (65,536 networks).
    pub fn list(&self, network: Network, standing: Standing) -> Result<(), MapsError> {
        let _locked = self.lock()?;
        self.refuse_configured(network)?;
        self.insert(network, standing as u8)?;
        self.note_lists()
    }

    /// Takes a network off the lists; whether it was on one.
    ///
    /// # Errors
    /// The configuration lists it.
    pub fn unlist(&self, network: Network) -> Result<bool, MapsError> {
        let _locked = self.lock()?;
        self.refuse_configured(network)?;
        let (bits, octets) = network.list_key();
        let removed = self.lists.lock().remove(&Key::new(bits, octets)).is_ok();
        self.note_lists()?;
        Ok(removed)
    }

    /// Lets a source out of the penalty box and forgets its level; whether it had one.
    ///
    /// # Errors
    /// The map can't be written.
    pub fn release(&self, address: IpAddr) -> Result<bool, MapsError> {
        let source = self.configuration()?.prefixes.source(address);
        let mut sources = self.sources.lock();
        let Ok(known) = sources.get(&source.octets(), 0) else {
            return Ok(false);
        };
        if known.penalty_until == 0 {
            return Ok(false);
        }
        let released = Known { penalty_until: 0, refused_in: 0, penalty_level: 0, ..known };
        sources.insert(source.octets(), released, 0).map_err(named("SOURCES"))?;
        Ok(true)
    }

    /// Puts a source into the penalty box, if it isn't in. Tokens that its packets take between
    /// reading and writing the entry are lost, which is a microsecond's worth.
    pub(crate) fn penalise(
        &self,
        source: Source,
        now: u64,
        terms: Terms,
    ) -> Result<Option<Penalty>, MapsError> {
        let mut sources = self.sources.lock();
        let known = sources.get(&source.octets(), 0).unwrap_or(Known::NEW);
        let before = Penalty { until: known.penalty_until, level: known.penalty_level };
        let Some(next) = before.next(now, terms) else {
            return Ok(None);
        };
        let penalised = Known { penalty_until: next.until, penalty_level: next.level, ..known };
        sources.insert(source.octets(), penalised, 0).map_err(named("SOURCES"))?;
        Ok(Some(next))
    }

    pub(crate) fn penalty(&self, source: Source) -> Option<Penalty> {
        let known = self.sources.lock().get(&source.octets(), 0).ok()?;
        Some(Penalty { until: known.penalty_until, level: known.penalty_level })
    }

    /// Makes a source known, if it isn't.
    pub(crate) fn introduce(&self, source: Source) {
        // It fails if the source is known.
        let _ = self.sources.lock().insert(source.octets(), Known::NEW, BPF_NOEXIST);
    }

    pub(crate) fn configuration(&self) -> Result<Configuration, MapsError> {
        self.configuration.lock().get(&0, 0).map_err(named("CONFIGURATION"))
    }

    pub(crate) fn set_configuration(&self, configuration: Configuration) -> Result<(), MapsError> {
        self.configuration.lock().set(0, configuration, 0).map_err(named("CONFIGURATION"))
    }

    /// Changes the configuration. The caller holds the lock.
    pub(crate) fn configure(
        &self,
        change: impl FnOnce(&mut Configuration),
    ) -> Result<(), MapsError> {
        let mut map = self.configuration.lock();
        let mut configuration = map.get(&0, 0).map_err(named("CONFIGURATION"))?;
        change(&mut configuration);
        map.set(0, configuration, 0).map_err(named("CONFIGURATION"))
    }

    /// Replaces the lists of the configuration file; what commands listed stays, unless the file
    /// now has it, too. The caller holds the lock.
    pub(crate) fn set_configured_lists(
        &self,
        entries: &[(Network, Standing)],
    ) -> Result<(), MapsError> {
        for (network, standing) in entries {
            self.insert(*network, *standing as u8 | IS_CONFIGURED)?;
        }
        for (network, _, is_configured) in self.lists()? {
            if is_configured && !entries.iter().any(|(entry, _)| *entry == network) {
                let (bits, octets) = network.list_key();
                self.lists.lock().remove(&Key::new(bits, octets)).map_err(named("LISTS"))?;
            }
        }
        self.note_lists()
    }

    /// Replaces the addresses that the gateway listens on: new ones are looked at before old ones
    /// are forgotten. The caller holds the lock.
    pub(crate) fn set_listeners(&self, listeners: &[Listener]) -> Result<(), MapsError> {
        let keys: Vec<ListenerKey> = listeners.iter().flat_map(listener_keys).collect();
        let mut map = self.listeners.lock();
        let before: Vec<ListenerKey> =
            map.keys().collect::<Result<_, _>>().map_err(named("LISTENERS"))?;
        for key in &keys {
            map.insert(key, 1, 0).map_err(named("LISTENERS"))?;
        }
        let mut ports = self.ports.lock();
        let mut bits = BTreeMap::from_iter(before.iter().map(|key| (key.port as u32, 0)));
        for listener in listeners {
            *bits.entry(listener.address.port().into()).or_default() |= port_bits(listener);
        }
        // Port 0 stands for any.
        for (port, bits) in bits.into_iter().filter(|(port, _)| *port != 0) {
            ports.set(port, bits, 0).map_err(named("PORTS"))?;
        }
        for key in before.iter().filter(|key| !keys.contains(key)) {
            map.remove(key).map_err(named("LISTENERS"))?;
        }
        let all = listeners.iter().map(port_bits).fold(0, |all, bits| all | bits);
        self.configure(|configuration| {
            configuration.is_on.all_ipv4 = u8::from(all & LISTENS_ON_IPV4 != 0);
            configuration.is_on.all_ipv6 = u8::from(all & LISTENS_ON_IPV6 != 0);
        })
    }

    pub(crate) fn lock(&self) -> Result<crate::pins::Locked, MapsError> {
        self.pins.lock().map_err(|error| MapsError::Lock {
            directory: self.pins.directory().display().to_string(),
            error,
        })
    }

    fn insert(&self, network: Network, value: u8) -> Result<(), MapsError> {
        let (bits, octets) = network.list_key();
        self.lists.lock().insert(&Key::new(bits, octets), value, 0).map_err(named("LISTS"))
    }

    fn refuse_configured(&self, network: Network) -> Result<(), MapsError> {
        let is_configured =
            |(entry, _, is_configured): &(Network, _, bool)| *is_configured && *entry == network;
        if self.lists()?.iter().any(is_configured) {
            return Err(MapsError::Configured { network });
        }
        Ok(())
    }

    /// Packets are looked up in the lists only while there is something in them.
    fn note_lists(&self) -> Result<(), MapsError> {
        let has_any = self.lists.lock().keys().next().is_some();
        self.configure(|configuration| {
            configuration.is_on.lists = has_any.into();
            // The program forgets what it knows of the lists.
            configuration.lists_version = configuration.lists_version.wrapping_add(1).max(1);
        })
    }
}

/// Whether the maps are there by name and the configuration has our size, as far as can be seen.
fn have_our_maps(pins: &Pins) -> bool {
    MAPS.iter().all(|name| pins.map(name).exists())
        && MapInfo::from_pin(pins.map("CONFIGURATION"))
            .map_or(true, |info| info.value_size() as usize == size_of::<Configuration>())
}

fn named(name: &'static str) -> impl Fn(MapError) -> MapsError {
    move |error| MapsError::Map { name, error }
}

/// The address with its port, and with port 0, by which a packet is found that hides its port.
fn listener_keys(listener: &Listener) -> [ListenerKey; 2] {
    let address = Source::from(listener.address.ip());
    [ListenerKey::new(address, listener.address.port()), ListenerKey::new(address, 0)]
}

fn port_bits(listener: &Listener) -> u8 {
    match listener.address.ip() {
        IpAddr::V4(address) if address.is_unspecified() => LISTENS_ON_IPV4,
        IpAddr::V6(address) if address.is_unspecified() => {
            if listener.is_ipv6_only {
                LISTENS_ON_IPV6
            } else {
                LISTENS_ON_IPV4 | LISTENS_ON_IPV6
            }
        }
        _ => LISTENS_ON_SOME,
    }
}
