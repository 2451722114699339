//! The directory of an interface in the BPF file system: its maps, and the link that attaches the
//! program.
//!
//! What is pinned outlives the process. So a process that takes over finds the buckets and
//! penalties of the one before, and puts its program in the place of the other without a moment
//! without any. Who changes something holds the directory's lock.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use aya::programs::links::{FdLink, PinnedLink};

use crate::StartError;

/// The maps that are pinned, by name.
pub(crate) const MAPS: [&str; 8] =
    ["CONFIGURATION", "PORTS", "LISTENERS", "LISTS", "SOURCES", "STRANGERS", "RECENT", "COUNTERS"];
const LINK: &str = "link";
/// A second pin of a link or map that is about to take the place of the first.
const NEXT: &str = "next";

/// The directory of an interface.
#[derive(Clone, Debug)]
pub(crate) struct Pins {
    directory: PathBuf,
}

/// The directory's lock, until it is dropped.
pub(crate) struct Locked {
    /// Closing it unlocks.
    _directory: File,
}

impl Pins {
    pub(crate) fn new(pin_directory: &Path, interface: &str) -> Self {
        // The file system reserves dots, which VLAN interfaces have in their names; colons no
        // interface has.
        Self { directory: pin_directory.join(interface.replace('.', ":")) }
    }

    /// The interfaces that have a directory.
    pub(crate) fn interfaces(pin_directory: &Path) -> io::Result<Vec<String>> {
        let directories = match fs::read_dir(pin_directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            directories => directories?,
        };
        let mut interfaces: Vec<String> = directories
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .map(|name| name.replace(':', "."))
            .collect();
        interfaces.sort_unstable();
        Ok(interfaces)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn map(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Waits for others that change something here, which takes them milliseconds.
    pub(crate) fn lock(&self) -> io::Result<Locked> {
        let directory = File::open(&self.directory)?;
        directory.lock()?;
        Ok(Locked { _directory: directory })
    }

    /// The link that is pinned, if there is one that can be opened.
    pub(crate) fn link(&self) -> Option<FdLink> {
        PinnedLink::from_pin(self.directory.join(LINK)).ok().map(FdLink::from)
    }

    /// Pins a new link, in place of the one that is pinned.
    pub(crate) fn pin_link(&self, link: FdLink) -> Result<FdLink, StartError> {
        let next = self.directory.join(NEXT);
        self.remove_file(NEXT)?;
        let pinned = link
            .pin(&next)
            .map_err(|error| StartError::Pin { path: next.clone(), error: error.to_string() })?;
        self.rename(NEXT, LINK)?;
        Ok(pinned.into())
    }

    /// Pins a new map, in place of the one that is pinned.
    pub(crate) fn pin_map(&self, name: &str, map: &aya::maps::MapData) -> Result<(), StartError> {
        let next = self.directory.join(NEXT);
        self.remove_file(NEXT)?;
        map.pin(&next)
            .map_err(|error| StartError::Pin { path: next.clone(), error: error.to_string() })?;
        self.rename(NEXT, name)
    }

    /// Removes the link's pin first: with the last file descriptor of the link, the program goes.
    pub(crate) fn remove_all(&self) -> io::Result<()> {
        for name in [LINK, NEXT].iter().chain(&MAPS) {
            match fs::remove_file(self.directory.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::remove_dir(&self.directory)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StartError> {
        let path = self.directory.join(to);
        // A BPF file system doesn't rename over a file.
        self.remove_file(to)?;
        fs::rename(self.directory.join(from), &path)
            .map_err(|error| StartError::Pin { path, error: error.to_string() })
    }

    fn remove_file(&self, name: &str) -> Result<(), StartError> {
        let path = self.directory.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StartError::Pin { path, error: error.to_string() })
            }
            _ => Ok(()),
        }
    }
}
