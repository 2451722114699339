//! A store's file, looked at and never changed.
//!
//! The engine opens nothing without writing to it: it marks the file as open, and repairs what a
//! crash left. Here those writes stay in memory, so that a broken file is left as it was found,
//! and a sound one can be read where nothing may be written. Every page is verified.
//!
//! The engine's locks are taken on the real file, shared instead of exclusive and until the end:
//! no writer of another process comes between, whatever this reader believes to have written.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io::ErrorKind;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use redb::{BackendError, Database, StorageBackend};

use crate::StoreError;
use crate::embedded::{EmbeddedSnapshot, InPieces, WRITER_WAIT, check_format, shared_builder};

const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A store's file that no one writes to while this lives.
pub(crate) struct StoreFile {
    database: Arc<Database>,
    bytes: u64,
}

impl StoreFile {
    /// Opens a file and verifies it.
    ///
    /// # Errors
    /// There is none, it is broken or no store, or of a newer version. Another process has been
    /// writing to it for over ten seconds.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        match File::open(path) {
            Ok(file) => Self::verify(path, file, Locks::Shared),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(StoreError::Missing { path: path.to_owned() })
            }
            Err(source) => Err(StoreError::File { path: path.to_owned(), source }),
        }
    }

    /// As [`Self::open`], a file that the caller has locked against everyone else.
    pub(crate) fn open_claimed(path: &Path, file: File) -> Result<Self, StoreError> {
        Self::verify(path, file, Locks::Claimed)
    }

    fn verify(path: &Path, file: File, locks: Locks) -> Result<Self, StoreError> {
        let metadata =
            file.metadata().map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        // An engine would take it for a new store.
        if !metadata.is_file() || metadata.len() == 0 {
            let reason = "it is empty, or not a file".to_owned();
            return Err(StoreError::Unusable { path: path.to_owned(), reason });
        }
        let file = InPieces::new(file)?;
        let database = shared_builder()
            .set_check_integrity_on_open(true)
            .create_with_backend(Untouched { file, locks, written: Mutex::default() })
            .map_err(|error| StoreError::of_open(path, error))?;
        check_format(&database, path)?;
        Ok(Self { database: Arc::new(database), bytes: metadata.len() })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    pub(crate) fn snapshot(&self) -> Result<EmbeddedSnapshot, StoreError> {
        EmbeddedSnapshot::of(self.database.clone())
    }
}

/// A file below, what the engine would have written above.
#[derive(Debug)]
struct Untouched {
    file: InPieces,
    locks: Locks,
    written: Mutex<Written>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Locks {
    /// Those of the engine, on the file, shared.
    Shared,
    /// None: the whole file is locked already.
    Claimed,
}

#[derive(Debug, Default)]
struct Written {
    pages: BTreeMap<u64, Box<[u8]>>,
    length: Option<Length>,
}

/// Since the length was set.
#[derive(Clone, Copy, Debug)]
struct Length {
    now: u64,
    /// From here on, what the file holds was cut off.
    of_file: u64,
}

const PAGE: u64 = 4096;

type Io<T> = Result<T, std::io::Error>;

impl Untouched {
    fn length(&self, written: &Written) -> Io<Length> {
        match written.length {
            Some(length) => Ok(length),
            None => self.file.len().map(|length| Length { now: length, of_file: length }),
        }
    }

    /// What the file holds at an offset, and zeros after its end.
    fn read_file(&self, length: Length, offset: u64, out: &mut [u8]) -> Io<()> {
        let in_file = length.of_file.saturating_sub(offset).min(out.len() as u64) as usize;
        let (from_file, after) = out.split_at_mut(in_file);
        after.fill(0);
        match from_file {
            [] => Ok(()),
            from_file => self.file.read(offset, from_file),
        }
    }
}

impl StorageBackend for Untouched {
    fn len(&self) -> Io<u64> {
        self.length(&self.written.lock()).map(|length| length.now)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Io<()> {
        let written = self.written.lock();
        let length = self.length(&written)?;
        let end = offset + out.len() as u64;
        if end > length.now {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.read_file(length, offset, out)?;
        for (&number, page) in written.pages.range(offset / PAGE..end.div_ceil(PAGE)) {
            let start = number * PAGE;
            let (from, to) = (offset.max(start), end.min(start + PAGE));
            out[(from - offset) as usize..(to - offset) as usize]
                .copy_from_slice(&page[(from - start) as usize..(to - start) as usize]);
        }
        Ok(())
    }

    fn set_len(&self, now: u64) -> Io<()> {
        let mut written = self.written.lock();
        let before = self.length(&written)?;
        written.length = Some(Length { now, of_file: before.of_file.min(now) });
        drop(written.pages.split_off(&now.div_ceil(PAGE)));
        if let Some(last) = written.pages.get_mut(&(now / PAGE)) {
            last[(now % PAGE) as usize..].fill(0);
        }
        Ok(())
    }

    fn sync_data(&self) -> Io<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Io<()> {
        let mut written = self.written.lock();
        let length = self.length(&written)?;
        let end = offset + data.len() as u64;
        for number in offset / PAGE..end.div_ceil(PAGE) {
            let start = number * PAGE;
            let (from, to) = (offset.max(start), end.min(start + PAGE));
            let page = match written.pages.entry(number) {
                Entry::Occupied(page) => page.into_mut(),
                Entry::Vacant(place) => {
                    let mut page = vec![0; PAGE as usize].into_boxed_slice();
                    self.read_file(length, start, &mut page)?;
                    place.insert(page)
                }
            };
            page[(from - start) as usize..(to - start) as usize]
                .copy_from_slice(&data[(from - offset) as usize..(to - offset) as usize]);
        }
        Ok(())
    }

    fn close(&self) -> Io<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.try_lock_shared_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        match self.locks {
            Locks::Shared => self.file.try_lock_shared_range(start, end),
            Locks::Claimed => Ok(true),
        }
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.lock_shared_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        let deadline = Instant::now() + WRITER_WAIT;
        while !self.try_lock_shared_range(start, end)? {
            if Instant::now() >= deadline {
                let message = "another process has been writing to it for too long";
                return Err(std::io::Error::new(ErrorKind::TimedOut, message).into());
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// Kept until the file is closed: what is read must stay what was verified.
    fn unlock_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        match self.locks {
            Locks::Shared => self.file.query_lock_range(start, end),
            Locks::Claimed => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_shows_and_the_file_stays_as_it_is() {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..50 {
            let path = tempfile::NamedTempFile::new().unwrap();
            let mut expected = bytes(30_000, &mut random);
            std::fs::write(path.path(), &expected).unwrap();
            let untouched = expected.clone();
            let file = InPieces::new(File::open(path.path()).unwrap()).unwrap();
            let file = Untouched { file, locks: Locks::Claimed, written: Mutex::default() };
            for _ in 0..50 {
                change(&file, &mut expected, &mut random);
                let start = random.usize(..=expected.len());
                let end = random.usize(start..=expected.len());
                let mut found = vec![0; end - start];
                file.read(start as u64, &mut found).unwrap();
                assert!(found == expected[start..end], "seed {seed}: {start}..{end}");
                assert_eq!(file.len().unwrap(), expected.len() as u64);
                assert!(file.read(end as u64, &mut vec![0; expected.len() - end + 1]).is_err());
            }
            assert!(std::fs::read(path.path()).unwrap() == untouched, "seed {seed}");
        }
    }

    fn change(file: &Untouched, expected: &mut Vec<u8>, random: &mut fastrand::Rng) {
        if random.u8(..4) == 0 {
            let length = random.usize(..60_000);
            file.set_len(length as u64).unwrap();
            expected.resize(length, 0);
        } else {
            let start = random.usize(..=expected.len());
            let length = random.usize(..=(expected.len() - start).min(9_000));
            let data = bytes(length, random);
            file.write(start as u64, &data).unwrap();
            expected[start..start + length].copy_from_slice(&data);
        }
    }

    fn bytes(length: usize, random: &mut fastrand::Rng) -> Vec<u8> {
        std::iter::repeat_with(|| random.u8(1..)).take(length).collect()
    }
}
