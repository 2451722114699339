//! The XDP program, from the object to the interface and back.
//!
//! Starting, a process takes over what is pinned for the interface: the maps, if they are of its
//! layout and sizes, and the link, whose program it replaces. The old process sees in the
//! configuration's `owner` that nothing is its own any more, and leaves all in place. Without a
//! successor, an exit removes everything.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use aya::maps::{Map, MapData, MapInfo};
use aya::programs::links::FdLink;
use aya::programs::xdp::XdpLink;
use aya::programs::{ProgramError, Xdp, XdpMode};
use aya::{Ebpf, EbpfError, EbpfLoader};
use thiserror::Error;
use tollgate_ebpf_common::{Configuration, LAYOUT, Switches};
use tollgate_throttle::Rate;
use tollgate_throttle::penalty::{Penalty, Terms};
use tollgate_throttle::source::{Prefixes, Source};

use crate::kernel_maps::MapsError;
use crate::known_sources::KnownSources;
use crate::offences::random_seed;
use crate::pins::{MAPS, Pins};
use crate::{
    InvalidSettings, KernelMaps, KernelSettings, Limits, Mode, PROGRAM, Settings, Standing,
    requirements,
};

const PROGRAM_NAME: &str = "tollgate";

/// The throttle cannot run in the kernel.
#[derive(Debug, Error)]
pub enum StartError {
    #[error("the kernel is {found}: 5.12 or later is needed")]
    OldKernel { found: String },
    #[error("missing privileges: {}", missing.join(", "))]
    Capabilities { missing: Vec<&'static str> },
    #[error("there is no network interface {interface}")]
    Interface { interface: String },
    #[error(transparent)]
    Settings(#[from] InvalidSettings),
    #[error("{path}: no BPF file system is mounted there, and it cannot be: {error}")]
    NoBpfFs { path: PathBuf, error: io::Error },
    #[error("{path}: not in a BPF file system (mount -t bpf bpf /sys/fs/bpf)")]
    NotBpfFs { path: PathBuf },
    #[error("{path}: cannot be made: {error}")]
    PinDirectory { path: PathBuf, error: io::Error },
    #[error("{path}: cannot be pinned: {error}")]
    Pin { path: PathBuf, error: String },
    #[error("cannot be loaded: {0}")]
    Load(String),
    #[error(transparent)]
    Attach(#[from] AttachError),
    #[error(transparent)]
    Maps(#[from] MapsError),
    #[error("no random numbers: {0}")]
    Random(io::Error),
}

/// The program cannot be attached to the interface.
#[derive(Debug, Error)]
pub enum AttachError {
    #[error("{interface} has another XDP program already (ip link show dev {interface})")]
    Busy { interface: String },
    #[error("{interface}: in the driver: {native}; generic: {generic}")]
    Refused { interface: String, native: String, generic: String },
}

/// The running throttle of an interface. Dropping it removes it from the kernel, unless another
/// process has taken it over.
pub struct KernelThrottle {
    maps: KernelMaps,
    pins: Pins,
    /// With its last file descriptor the program would go, if the pin were removed.
    _link: FdLink,
    owner: u64,
    configuration_id: u32,
    interface: String,
    attached: Attached,
    known: KnownSources,
    prefixes: ArcSwap<Prefixes>,
}

/// How the program is attached, and why it isn't better.
struct Attached {
    mode: Mode,
    reason: Option<String>,
}

impl KernelThrottle {
    /// Attaches the program to the interface, which must be in the network namespace of this
    /// thread.
    ///
    /// # Errors
    /// Says what is missing.
    pub fn start(kernel: &KernelSettings, settings: &Settings) -> Result<Self, StartError> {
        kernel.check()?;
        requirements::check_kernel()?;
        requirements::check_capabilities()?;
        let index = requirements::interface_index(&kernel.interface)?;
        let pins = Pins::new(&kernel.pin_directory, &kernel.interface);
        requirements::make_pin_directory(pins.directory())?;
        remove_stale(&kernel.pin_directory, &kernel.interface);
        let locked = pins.lock().map_err(|error| StartError::PinDirectory {
            path: pins.directory().to_owned(),
            error,
        })?;
        let throttle = Self::start_locked(kernel, settings, index, &pins);
        drop(locked);
        if throttle.is_err() {
            // Only if it is empty.
            let _ = fs::remove_dir(pins.directory());
        }
        throttle
    }

    fn start_locked(
        kernel: &KernelSettings,
        settings: &Settings,
        index: u32,
        pins: &Pins,
    ) -> Result<Self, StartError> {
        let takes_over = are_adoptable(pins, kernel);
        let mut ebpf = load(kernel, takes_over.then_some(pins))?;
        let fresh = Maps::take(&mut ebpf)?;
        let maps = KernelMaps::new(pins.clone(), |name| fresh.open(name))?;
        let owner = new_owner();
        let configuration_id = fresh.id("CONFIGURATION")?;
        let known = KnownSources::new(random_seed().map_err(StartError::Random)?);
        if takes_over {
            maps.configure(|configuration| apply(settings, configuration))?;
        } else {
            maps.set_configuration(first_configuration(kernel, settings)?)?;
        }
        maps.set_listeners(&settings.listeners)?;
        maps.set_configured_lists(&settings.lists)?;

        let program = program(&mut ebpf)?;
        program.load().map_err(|error| StartError::Load(shortened(&error)))?;
        let was_native = takes_over && maps.configuration()?.is_on.native != 0;
        let (link, attached) = match replace(program, pins) {
            Some(link) => (link, Attached::again(was_native)),
            None => {
                let (link, attached) = attach(program, index, &kernel.interface)?;
                (pins.pin_link(link)?, attached)
            }
        };
        // From here on the process before leaves everything in place.
        maps.configure(|configuration| {
            configuration.owner = owner;
            configuration.is_on.native = u8::from(attached.mode == Mode::Native);
        })?;
        if !takes_over {
            for name in MAPS {
                pins.pin_map(name, fresh.data(name)?)?;
            }
        }
        let interface = kernel.interface.clone();
        let prefixes = ArcSwap::from_pointee(settings.prefixes);
        let pins = pins.clone();
        Ok(Self {
            maps,
            pins,
            _link: link,
            owner,
            configuration_id,
            interface,
            attached,
            known,
            prefixes,
        })
    }

    /// The maps: counts, sources, lists.
    pub fn maps(&self) -> &KernelMaps {
        &self.maps
    }

    pub(crate) fn interface(&self) -> &str {
        &self.interface
    }

    pub(crate) fn mode(&self) -> Mode {
        self.attached.mode
    }

    pub(crate) fn reason(&self) -> Option<&str> {
        self.attached.reason.as_deref()
    }

    /// Takes over what can be changed while packets come: limits, prefixes, listeners, lists.
    ///
    /// # Errors
    /// The maps can't be written.
    pub fn reconfigure(&self, settings: &Settings) -> Result<(), MapsError> {
        let _locked = self.maps.lock()?;
        self.prefixes.store(Arc::new(settings.prefixes));
        self.maps.configure(|configuration| apply(settings, configuration))?;
        self.maps.set_listeners(&settings.listeners)?;
        self.maps.set_configured_lists(&settings.lists)
    }

    /// An address proved to be real: its source gets an entry of its own.
    pub(crate) fn introduce(&self, address: IpAddr) {
        let source = self.source(address);
        if self.known.is_news(source, crate::now()) {
            self.maps.introduce(source);
        }
    }

    /// Puts a source into the penalty box. None: it is in, or it is allowed or trusted.
    pub(crate) fn penalise(&self, address: IpAddr, now: u64, terms: Terms) -> Option<Penalty> {
        if matches!(self.maps.standing(address), Some(Standing::Allowed | Standing::Trusted)) {
            return None;
        }
        self.maps.penalise(self.source(address), now, terms).unwrap_or_else(|error| {
            tracing::error!(%error, "A source cannot be put into the penalty box");
            None
        })
    }

    pub(crate) fn source(&self, address: IpAddr) -> Source {
        self.prefixes.load().source(address)
    }

    /// Whether what is pinned is still this throttle's own: a successor pins other maps, or writes
    /// its name into these.
    fn is_owner(&self) -> bool {
        let pinned = MapInfo::from_pin(self.pins.map("CONFIGURATION"));
        pinned.is_ok_and(|pinned| pinned.id() == self.configuration_id)
            && self.maps.configuration().is_ok_and(|it| it.owner == self.owner)
    }

    /// Removes what is pinned, unless another process has taken it over. The program stays
    /// attached until this is dropped.
    pub fn remove(&self) {
        let Ok(locked) = self.pins.lock() else {
            // Somebody removed the pins.
            return;
        };
        if self.is_owner()
            && let Err(error) = self.pins.remove_all()
        {
            let directory = self.pins.directory().display();
            tracing::error!(%error, %directory, "The kernel throttle cannot be removed");
        }
        drop(locked);
    }
}

impl Drop for KernelThrottle {
    fn drop(&mut self) {
        self.remove();
    }
}

impl Attached {
    fn again(was_native: bool) -> Self {
        let mode = if was_native { Mode::Native } else { Mode::Generic };
        let reason = (!was_native).then(|| "as before the upgrade".to_owned());
        Self { mode, reason }
    }
}

/// The maps that were made, or adopted, with the object.
struct Maps(Vec<(&'static str, MapData)>);

impl Maps {
    fn take(ebpf: &mut Ebpf) -> Result<Self, StartError> {
        let take = |name: &'static str| {
            let map = ebpf.take_map(name).ok_or_else(|| lacks(name))?;
            let (Map::Array(data)
            | Map::HashMap(data)
            | Map::LruHashMap(data)
            | Map::LpmTrie(data)
            | Map::PerCpuArray(data)) = map
            else {
                return Err(lacks(name));
            };
            Ok((name, data))
        };
        Ok(Self(MAPS.into_iter().map(take).collect::<Result<_, _>>()?))
    }

    fn data(&self, name: &'static str) -> Result<&MapData, StartError> {
        let found = self.0.iter().find(|(it, _)| *it == name);
        found.map(|(_, data)| data).ok_or_else(|| lacks(name))
    }

    fn id(&self, name: &'static str) -> Result<u32, StartError> {
        let info = self.data(name)?.info().map_err(|error| MapsError::Map { name, error })?;
        Ok(info.id())
    }

    /// Another handle of a map.
    fn open(&self, name: &'static str) -> Result<Map, MapsError> {
        let open = || -> Result<Map, aya::maps::MapError> {
            let data = self.0.iter().find(|(it, _)| *it == name).map(|(_, data)| data);
            let data =
                data.ok_or_else(|| aya::maps::MapError::InvalidName { name: name.into() })?;
            let handle = data.fd().as_fd().try_clone_to_owned()?;
            Map::from_map_data(MapData::from_fd(handle)?)
        };
        open().map_err(|error| MapsError::Map { name, error })
    }
}

fn load(kernel: &KernelSettings, adopted: Option<&Pins>) -> Result<Ebpf, StartError> {
    let mut loader = EbpfLoader::new();
    loader.map_max_entries("SOURCES", kernel.sources).map_max_entries("STRANGERS", kernel.slots);
    for name in adopted.iter().flat_map(|_| MAPS) {
        if let Some(pins) = adopted {
            loader.map_pin_path(name, pins.map(name));
        }
    }
    loader.load(PROGRAM).map_err(|error: EbpfError| StartError::Load(shortened(&error)))
}

fn program(ebpf: &mut Ebpf) -> Result<&mut Xdp, StartError> {
    let program = ebpf.program_mut(PROGRAM_NAME).ok_or_else(|| lacks(PROGRAM_NAME))?;
    program.try_into().map_err(|error: ProgramError| StartError::Load(shortened(&error)))
}

fn lacks(name: &str) -> StartError {
    StartError::Load(format!("the object has no {name}"))
}

/// Whether all maps are pinned and are such as this process would make.
fn are_adoptable(pins: &Pins, kernel: &KernelSettings) -> bool {
    let entries = |name| MapInfo::from_pin(pins.map(name)).ok().map(|info| info.max_entries());
    MAPS.iter().all(|name| entries(name).is_some())
        && entries("SOURCES") == Some(kernel.sources)
        && entries("STRANGERS") == Some(kernel.slots)
        && KernelMaps::open_pins(pins).is_ok()
}

/// Puts the program in the place of the one that is attached. None: none is, or the interface is
/// not the one it was.
fn replace(program: &mut Xdp, pins: &Pins) -> Option<FdLink> {
    let link = XdpLink::try_from(pins.link()?).ok()?;
    let id = program.attach_to_link(link).ok()?;
    FdLink::try_from(program.take_link(id).ok()?).ok()
}

/// Attaches in the driver, or where it has no XDP, generically.
fn attach(
    program: &mut Xdp,
    index: u32,
    interface: &str,
) -> Result<(FdLink, Attached), AttachError> {
    let native = match attach_as(program, index, XdpMode::Driver) {
        Ok(link) => return Ok((link, Attached { mode: Mode::Native, reason: None })),
        Err(error) => error,
    };
    let is_busy =
        |error: &io::Error| matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EEXIST));
    if is_busy(&native) {
        return Err(AttachError::Busy { interface: interface.to_owned() });
    }
    match attach_as(program, index, XdpMode::Skb) {
        Ok(link) => {
            let reason = Some(format!("the driver of {interface} does not run it: {native}"));
            Ok((link, Attached { mode: Mode::Generic, reason }))
        }
        Err(error) if is_busy(&error) => Err(AttachError::Busy { interface: interface.to_owned() }),
        Err(generic) => Err(AttachError::Refused {
            interface: interface.to_owned(),
            native: native.to_string(),
            generic: generic.to_string(),
        }),
    }
}

fn attach_as(program: &mut Xdp, index: u32, mode: XdpMode) -> io::Result<FdLink> {
    let id = match program.attach_to_if_index(index, mode) {
        Ok(id) => id,
        Err(ProgramError::SyscallError(error)) => return Err(error.io_error),
        Err(error) => return Err(io::Error::other(shortened(&error))),
    };
    let link = program.take_link(id).map_err(io::Error::other)?;
    // Not of netlink, which kernels before 5.9 need: these are refused.
    FdLink::try_from(link).map_err(io::Error::other)
}

fn first_configuration(
    kernel: &KernelSettings,
    settings: &Settings,
) -> Result<Configuration, StartError> {
    let mut configuration = Configuration {
        owner: 0,
        connections: Rate::NOTHING,
        packets: Rate::NOTHING,
        prefixes: settings.prefixes,
        seed: random_seed().map_err(StartError::Random)?,
        layout: LAYOUT,
        sketch_mask: kernel.slots - 1,
        is_on: Switches::default(),
        lists_version: 1,
    };
    apply(settings, &mut configuration);
    Ok(configuration)
}

fn apply(settings: &Settings, configuration: &mut Configuration) {
    let Limits { connections, packets } = settings.limits;
    configuration.is_on.connections = connections.is_some().into();
    configuration.is_on.packets = packets.is_some().into();
    configuration.connections = connections.unwrap_or(Rate::NOTHING);
    configuration.packets = packets.unwrap_or(Rate::NOTHING);
    configuration.prefixes = settings.prefixes;
}

/// Removes what processes left behind that were killed, on other interfaces: on ours it is taken
/// over.
fn remove_stale(pin_directory: &Path, interface: &str) {
    for name in Pins::interfaces(pin_directory).unwrap_or_default() {
        if name == interface {
            continue;
        }
        let pins = Pins::new(pin_directory, &name);
        let Ok(_locked) = pins.lock() else { continue };
        let is_dead = KernelMaps::open_pins(&pins)
            .and_then(|maps| maps.configuration())
            .is_ok_and(|configuration| !is_running(configuration.owner));
        if is_dead && pins.remove_all().is_ok() {
            tracing::warn!(interface = name, "Removed the kernel throttle of a dead process");
        }
    }
}

/// How many bits of an owner tell throttles of one process apart.
const THROTTLE_BITS: u32 = 10;

/// A name for a throttle of this process: the process's number (22 bits), when it was started,
/// for numbers are used again (32 bits), and a count.
fn new_owner() -> u64 {
    static STARTED: AtomicU64 = AtomicU64::new(0);
    let number = STARTED.fetch_add(1, Ordering::Relaxed) & ((1 << THROTTLE_BITS) - 1);
    process_identity(std::process::id()).unwrap_or(0) << THROTTLE_BITS | number
}

fn is_running(owner: u64) -> bool {
    let identity = owner >> THROTTLE_BITS;
    process_identity((identity >> 32) as u32) == Some(identity)
}

/// None: there is no such process.
fn process_identity(number: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    // The second field, a name in parentheses, may have spaces; the 22nd is the start time.
    let (_, fields) = stat.rsplit_once(')')?;
    let started: u64 = fields.split_whitespace().nth(19)?.parse().ok()?;
    Some(u64::from(number) << 32 | started & 0xffff_ffff)
}

/// An error and its causes in a line. The verifier's log is long, and says at its end what is
/// wrong.
fn shortened(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    let end: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if end.len() <= 5 {
        end.join("; ")
    } else {
        format!("{} … {}", end[0], end[end.len() - 4..].join("; "))
    }
}
