//! Compiled code on disk.
//!
//! Compiled code is machine code that runs in this process: whoever can put a file in the cache
//! owns the gateway. So the directory must belong to the user that the gateway runs as, and be
//! writable by nobody else; files are opened relative to it, without following links, and must be
//! that user's too. A file is named by the digest of what it depends on ([`Key`]), is written
//! under another name first, and ends in a [`Trailer`] that shows whether it is whole: one that
//! isn't is ignored, and written anew.

use std::fs::{DirBuilder, File, Metadata};
use std::hash::{BuildHasher, Hash, Hasher};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps};
use sha2::{Digest, Sha256};
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

use crate::limits;

/// Code that can be compiled, kept and loaded again.
pub(crate) trait Artifact: Sized {
    /// In the key: the same bytes could be meant as either.
    const NAME: &'static str;

    fn serialize(&self) -> wasmtime::Result<Vec<u8>>;

    /// # Safety
    /// The file's contents came from [`Self::serialize`], and don't change any more.
    unsafe fn map(engine: &Engine, file: &File) -> wasmtime::Result<Self>;

    /// # Safety
    /// The bytes came from [`Self::serialize`].
    unsafe fn copy(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Self>;
}

impl Artifact for Module {
    const NAME: &'static str = "module";

    fn serialize(&self) -> wasmtime::Result<Vec<u8>> {
        Self::serialize(self)
    }

    unsafe fn map(engine: &Engine, file: &File) -> wasmtime::Result<Self> {
        // SAFETY: the caller's promise.
        unsafe { Self::deserialize_file(engine, path_of(file)) }
    }

    unsafe fn copy(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Self> {
        // SAFETY: the caller's promise.
        unsafe { Self::deserialize(engine, bytes) }
    }
}

impl Artifact for Component {
    const NAME: &'static str = "component";

    fn serialize(&self) -> wasmtime::Result<Vec<u8>> {
        Self::serialize(self)
    }

    unsafe fn map(engine: &Engine, file: &File) -> wasmtime::Result<Self> {
        // SAFETY: the caller's promise.
        unsafe { Self::deserialize_file(engine, path_of(file)) }
    }

    unsafe fn copy(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Self> {
        // SAFETY: the caller's promise.
        unsafe { Self::deserialize(engine, bytes) }
    }
}

/// A path that opens this very file, whatever its name is now: components can't be loaded from an
/// open file directly.
fn path_of(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// What compiled code depends on: the plugin's file, wasmtime with its settings, the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key([u8; 32]);

impl Key {
    /// `sha256` is that of the plugin's file.
    pub(crate) fn new<A: Artifact>(engine: &Engine, sha256: &str) -> Self {
        let mut digest = DigestHasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut digest);
        A::NAME.hash(&mut digest);
        sha256.hash(&mut digest);
        // A component may have been made of the file by a version of this crate.
        env!("CARGO_PKG_VERSION").hash(&mut digest);
        std::env::consts::ARCH.hash(&mut digest);
        for (feature, is_there) in cpu_features() {
            (feature, is_there).hash(&mut digest);
        }
        Self(digest.0.finalize().into())
    }

    fn file_name(&self) -> String {
        let hex: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        hex + EXTENSION
    }
}

const EXTENSION: &str = ".code";

/// The CPU's features that compiled code may use, so that a directory may move to another machine.
/// wasmtime's hash has the flags that it made of them; this doesn't rest on that.
fn cpu_features() -> Vec<(&'static str, bool)> {
    macro_rules! detected {
        ($detect:ident: $($feature:tt)*) => {
            vec![$(($feature, std::arch::$detect!($feature))),*]
        };
    }
    #[cfg(target_arch = "x86_64")]
    return detected!(is_x86_feature_detected:
        "sse3" "ssse3" "sse4.1" "sse4.2" "popcnt" "cmpxchg16b" "avx" "avx2" "fma" "bmi1" "bmi2"
        "lzcnt" "avx512f" "avx512dq" "avx512vl" "avx512vbmi" "avx512bitalg");
    #[cfg(target_arch = "aarch64")]
    return detected!(is_aarch64_feature_detected: "lse" "paca" "pacg" "fp16" "bti");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return Vec::new();
}

/// Lets SHA-256 take what implements [`Hash`].
struct DigestHasher(Sha256);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("the digest is taken instead")
    }
}

/// The last bytes of a file, after the code: its length and checksum.
struct Trailer {
    length: u64,
    checksum: u64,
}

impl Trailer {
    const SIZE: u64 = 16;

    /// Of the next `length` bytes of `code`.
    ///
    /// The checksum is a defence against disks, not people: its speed is what counts. The key is
    /// in it, so that a file under the name of another is seen as well.
    fn of(key: &Key, code: impl Read, length: u64) -> io::Result<Self> {
        let mut code = code.take(length);
        let mut hasher = foldhash::quality::FixedState::with_seed(0).build_hasher();
        hasher.write(&key.0);
        // The pieces' sizes matter to this hasher: all are of this one, but for the last.
        let mut piece = vec![0; 256 * 1024];
        loop {
            let mut filled = 0;
            while filled < piece.len() {
                match code.read(&mut piece[filled..])? {
                    0 => break,
                    read => filled += read,
                }
            }
            if filled == 0 {
                return Ok(Self { length, checksum: hasher.finish() });
            }
            hasher.write(&piece[..filled]);
        }
    }

    fn to_bytes(&self) -> [u8; Self::SIZE as usize] {
        let mut bytes = [0; Self::SIZE as usize];
        let (length, checksum) = bytes.split_at_mut(8);
        length.copy_from_slice(&self.length.to_le_bytes());
        checksum.copy_from_slice(&self.checksum.to_le_bytes());
        bytes
    }
}

/// A directory of compiled code.
pub(crate) struct Cache {
    directory: File,
    path: PathBuf,
    /// Files grow to this many bytes together before old ones are removed.
    maximum: u64,
}

impl Cache {
    /// Makes the directory, for its owner only, if it is not there.
    ///
    /// # Errors
    /// It can't be made or opened, is no directory or a link to one, is another user's, or others
    /// may write to it.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let refuse = |why: &dyn std::fmt::Display| {
            format!("{}: cannot be used for compiled plugins: {why}", path.display())
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| refuse(&error))?;
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        let directory = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(directory) => File::from(directory),
            // Linux says either, for a symbolic link.
            Err(rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR) => {
                return Err(refuse(&"it is no directory of its own, but a link or a file"));
            }
            Err(error) => return Err(refuse(&error)),
        };
        let metadata = directory.metadata().map_err(|error| refuse(&error))?;
        owned_by_us_alone(&metadata).map_err(|why| refuse(&why))?;
        Ok(Self { directory, path: path.to_owned(), maximum: limits::CACHE })
    }

    /// The code, if it is there and whole.
    pub(crate) fn load<A: Artifact>(&self, engine: &Engine, key: &Key) -> Option<A> {
        let name = key.file_name();
        // Not blocking: it might be a pipe.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.directory, &name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return None,
            Err(error) => {
                self.warn(&name, &format!("it can't be opened: {error}"));
                return None;
            }
        };
        match load_checked(engine, key, &file) {
            Ok(code) => {
                // The oldest are removed first: this one is in use.
                let now = Timestamps {
                    last_access: Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW },
                    last_modification: Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW },
                };
                let _ = rustix::fs::futimens(&file, &now);
                Some(code)
            }
            Err(why) => {
                self.warn(&name, &why);
                None
            }
        }
    }

    fn warn(&self, name: &str, why: &str) {
        let file = self.path.join(name);
        tracing::warn!(file = %file.display(), reason = why, "compiled plugin ignored");
    }

    /// Keeps compiled code, if that is possible: without it the plugin is compiled again the next
    /// time.
    pub(crate) fn store<A: Artifact>(&self, key: &Key, code: &A) {
        let kept = code.serialize().map_err(|error| error.to_string()).and_then(|code| {
            self.write(key, &code).map_err(|error| error.to_string())?;
            self.remove_old().map_err(|error| error.to_string())
        });
        if let Err(error) = kept {
            let directory = self.path.display();
            tracing::warn!(%directory, error, "a compiled plugin could not be kept on disk");
        }
    }

    fn write(&self, key: &Key, code: &[u8]) -> io::Result<()> {
        static WRITTEN: AtomicU64 = AtomicU64::new(0);
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let new = format!("{}-{number}{NEW_EXTENSION}", std::process::id());
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Left by a process that had the same number and ended in the middle.
        let _ = rustix::fs::unlinkat(&self.directory, &new, AtFlags::empty());
        let file = rustix::fs::openat(&self.directory, &new, flags, Mode::RUSR | Mode::WUSR)?;
        let written = write_whole(key, File::from(file), code).and_then(|()| {
            let name = key.file_name();
            Ok(rustix::fs::renameat(&self.directory, &new, &self.directory, &name)?)
        });
        if written.is_err() {
            let _ = rustix::fs::unlinkat(&self.directory, &new, AtFlags::empty());
        }
        written
    }

    /// Removes what was not used for longest until three quarters of the space are left.
    fn remove_old(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.directory)? {
            let name = entry?.file_name().to_owned();
            let bytes = name.to_bytes();
            if !bytes.ends_with(EXTENSION.as_bytes()) && !bytes.ends_with(NEW_EXTENSION.as_bytes())
            {
                continue;
            }
            // Another process may have removed it since.
            let stat = rustix::fs::statat(&self.directory, &name, AtFlags::SYMLINK_NOFOLLOW);
            if let Ok(stat) = stat {
                files.push((stat.st_mtime, u64::try_from(stat.st_size).unwrap_or(0), name));
            }
        }
        let mut size: u64 = files.iter().map(|(_, size, _)| size).sum();
        if size <= self.maximum {
            return Ok(());
        }
        files.sort_unstable();
        for (_, freed, name) in files {
            if size <= self.maximum / 4 * 3 {
                break;
            }
            // A plugin in use keeps its file's contents.
            rustix::fs::unlinkat(&self.directory, &name, AtFlags::empty())?;
            size -= freed;
        }
        Ok(())
    }
}

/// Files being written.
const NEW_EXTENSION: &str = ".new";

fn owned_by_us_alone(metadata: &Metadata) -> Result<(), String> {
    let (owner, us) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != us {
        return Err(format!("it belongs to user {owner}, and not to {us}, who runs this"));
    }
    if metadata.mode() & 0o022 != 0 {
        let mode = metadata.mode() & 0o777;
        return Err(format!("others than its owner may write to it (mode {mode:o}; allowed: 700)"));
    }
    Ok(())
}

fn load_checked<A: Artifact>(engine: &Engine, key: &Key, file: &File) -> Result<A, String> {
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is no regular file".to_owned());
    }
    owned_by_us_alone(&metadata)?;
    let length = is_whole(key, file, metadata.len())
        .map_err(|error| format!("it can't be read: {error}"))?
        .ok_or("it is damaged")?;

    // SAFETY: the file was written by `Cache::store`, which wrote what `Artifact::serialize`
    // gave: it is whole, and nobody but us can write to it or put it into the directory. We
    // replace files, and never write to one that is there already.
    let mapped = unsafe { A::map(engine, file) };
    mapped.or_else(|error| {
        tracing::debug!(error = %format!("{error:#}"), "compiled plugin can't be mapped");
        // As on a file system that is mounted noexec.
        let mut code = Vec::with_capacity(length as usize);
        let mut file = file;
        file.rewind().map_err(|error| error.to_string())?;
        file.take(length).read_to_end(&mut code).map_err(|error| error.to_string())?;
        // SAFETY: as above.
        unsafe { A::copy(engine, &code) }.map_err(|error| format!("it can't be used: {error:#}"))
    })
}

/// The length of the code in a file of this size, if the trailer agrees with it.
fn is_whole(key: &Key, mut file: &File, size: u64) -> io::Result<Option<u64>> {
    let Some(length) = size.checked_sub(Trailer::SIZE) else { return Ok(None) };
    let expected = Trailer::of(key, file, length)?.to_bytes();
    let mut trailer = [0; Trailer::SIZE as usize];
    file.seek(SeekFrom::Start(length))?;
    file.read_exact(&mut trailer)?;
    Ok((trailer == expected).then_some(length))
}

fn write_whole(key: &Key, mut file: File, code: &[u8]) -> io::Result<()> {
    let trailer = Trailer::of(key, code, code.len() as u64)?;
    file.write_all(code)?;
    file.write_all(&trailer.to_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
