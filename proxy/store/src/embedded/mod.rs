//! The embedded engine: one file, no server.
//!
//! | Table | Key | Value |
//! |---|---|---|
//! | `records` | key | revision; the value, unless it is large |
//! | `large` | key | a value of more than 2 KiB |
//! | `changes` | revision, key | nothing |
//! | `meta` | `format`, `revision`, `forgotten` | this layout's version; the newest revision; the last one whose changes are forgotten |
//!
//! Keys are in one order, so a key is followed by all that is under it: the next child is found
//! with one search. Large values stand apart, so that listing and touching records doesn't move
//! them.
//!
//! Several processes may have the file open, as when one gateway takes another's place. One
//! transaction is made at a time, and is on disk when it ends.

mod commit;
mod pieces;
mod snapshot;

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};
use redb::backends::InMemoryBackend;
use redb::{
    Builder, ConcurrencyMode, Database, ReadableDatabase, TableDefinition, TransactionError,
    WriteTransaction,
};

use crate::file::StoreFile;
use crate::maintenance::store_file;
use crate::{Changes, CommitError, Key, Revision, Snapshot, Store, StoreError, Transaction};

pub(crate) use pieces::InPieces;
pub(crate) use snapshot::EmbeddedSnapshot;

pub(crate) const FORMAT: u64 = 1;
/// What the engine may keep in memory.
const CACHE_BYTES: usize = 32 << 20;
/// For another writer, of this process or another.
pub(crate) const WRITER_WAIT: Duration = Duration::from_secs(10);
/// Between two looks whether another process has committed, or still writes.
const FOREIGN_COMMIT_INTERVAL: Duration = Duration::from_millis(200);
const FOREIGN_WRITER_INTERVAL: Duration = Duration::from_millis(1);
/// Above it a value has its own place.
const INLINE_BYTES: usize = 2048;

type RecordRow = (u64, Option<&'static [u8]>);

pub(crate) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
pub(crate) const RECORDS: TableDefinition<&[u8], RecordRow> = TableDefinition::new("records");
pub(crate) const LARGE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("large");
pub(crate) const CHANGES: TableDefinition<(u64, &[u8]), ()> = TableDefinition::new("changes");

/// Records in a file, or in memory.
pub struct EmbeddedStore {
    /// Another one after a write failed.
    database: RwLock<Arc<Database>>,
    /// None in memory.
    path: Option<PathBuf>,
    writer: Mutex<Writer>,
    /// The newest revision that this process made.
    committed: Mutex<Revision>,
    has_committed: Condvar,
}

/// Who has it may write.
struct Writer {
    /// After a write failed, as on a full disk, the engine does nothing more until it has opened
    /// the file anew.
    has_failed: bool,
}

impl EmbeddedStore {
    /// Opens the store in a directory; both are made if they aren't there. The file is verified
    /// first, every page of it.
    ///
    /// # Errors
    /// The file can't be read or written, is broken, or is of a newer version: then it is left as
    /// it is. Another process has been writing to it for over ten seconds.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let path = store_file(directory);
        make_directory(directory)?;
        match path.try_exists() {
            Ok(true) => {}
            Ok(false) => create(&path)?,
            Err(source) => return Err(StoreError::File { path, source }),
        }
        drop(StoreFile::open(&path)?);
        Ok(Self::of(open_shared(&path)?, Some(path)))
    }

    /// A store that is gone with the process.
    ///
    /// # Errors
    /// None that is known.
    pub fn in_memory() -> Result<Self, StoreError> {
        let database = builder().create_with_backend(InMemoryBackend::new())?;
        initialize(&database)?;
        Ok(Self::of(database, None))
    }

    fn of(database: Database, path: Option<PathBuf>) -> Self {
        Self {
            database: RwLock::new(Arc::new(database)),
            path,
            writer: Mutex::new(Writer { has_failed: false }),
            committed: Mutex::new(0),
            has_committed: Condvar::new(),
        }
    }

    fn revision(&self) -> Result<Revision, StoreError> {
        let database = self.database();
        let transaction = database.begin_read()?;
        Ok(transaction.open_table(META)?.get(REVISION)?.map_or(0, |row| row.value()))
    }

    fn database(&self) -> Arc<Database> {
        self.database.read().clone()
    }

    /// Snapshots of what was open before live on with it.
    fn open_anew(&self) -> Result<(), StoreError> {
        if let Some(path) = &self.path {
            *self.database.write() = Arc::new(open_shared(path)?);
        }
        Ok(())
    }

    fn write(&self, transaction: Transaction) -> Result<Revision, CommitError> {
        commit::commit(begin_write(&self.database())?, transaction)
    }
}

impl Store for EmbeddedStore {
    fn read(&self) -> Result<Box<dyn Snapshot + '_>, StoreError> {
        Ok(Box::new(EmbeddedSnapshot::of(self.database())?))
    }

    fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError> {
        transaction.check_size()?;
        let revision = {
            let mut writer = self.writer.try_lock_for(WRITER_WAIT).ok_or(StoreError::Busy)?;
            if writer.has_failed {
                self.open_anew()?;
            }
            let result = self.write(transaction);
            writer.has_failed = matches!(result, Err(CommitError::Store(StoreError::Engine(_))))
                && self.open_anew().is_err();
            result?
        };
        let mut committed = self.committed.lock();
        *committed = revision.max(*committed);
        self.has_committed.notify_all();
        Ok(revision)
    }

    fn wait(&self, after: Revision, timeout: Duration) -> Result<Revision, StoreError> {
        let deadline = Instant::now() + timeout;
        loop {
            let newest = self.revision()?;
            let left = deadline.saturating_duration_since(Instant::now());
            if newest > after || left.is_zero() {
                return Ok(newest);
            }
            let mut committed = self.committed.lock();
            // One that came between would not wake it.
            if *committed <= newest {
                self.has_committed.wait_for(&mut committed, left.min(FOREIGN_COMMIT_INTERVAL));
            }
        }
    }

    fn changes(&self, after: Revision) -> Result<Changes, StoreError> {
        let database = self.database();
        let transaction = database.begin_read()?;
        let meta = transaction.open_table(META)?;
        let number = |name| Ok::<_, StoreError>(meta.get(name)?.map_or(0, |row| row.value()));
        if after < number(FORGOTTEN)? || after > number(REVISION)? {
            return Ok(Changes::Forgotten);
        }
        let changes = transaction.open_table(CHANGES)?;
        let keys = changes.range((after + 1, &[][..])..)?.map(|row| key(row?.0.value().1));
        Ok(Changes::Keys(keys.collect::<Result<_, _>>()?))
    }
}

pub(crate) const REVISION: &str = "revision";
pub(crate) const FORGOTTEN: &str = "forgotten";
const LAYOUT: &str = "format";

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn open_shared(path: &Path) -> Result<Database, StoreError> {
    let file_error = |source| StoreError::File { path: path.to_owned(), source };
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(file_error)?;
    // The engine would take it for a new store.
    if file.metadata().map_err(file_error)?.len() == 0 {
        let reason = "it is empty".to_owned();
        return Err(StoreError::Unusable { path: path.to_owned(), reason });
    }
    let open = InPieces::new(file).and_then(|file| shared_builder().create_with_backend(file));
    open.map_err(|error| StoreError::of_open(path, error))
}

fn begin_write(database: &Database) -> Result<WriteTransaction, StoreError> {
    let deadline = Instant::now() + WRITER_WAIT;
    loop {
        match database.try_begin_write() {
            Err(TransactionError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(FOREIGN_WRITER_INTERVAL);
            }
            Err(TransactionError::WouldBlock) => return Err(StoreError::Busy),
            result => return Ok(result?),
        }
    }
}

/// For a file that several processes may have open.
pub(crate) fn shared_builder() -> Builder {
    let mut builder = builder();
    builder.set_concurrency_mode(ConcurrencyMode::MultiWriter);
    builder
}

/// Makes the tables of an empty store.
pub(crate) fn initialize(database: &Database) -> Result<(), StoreError> {
    let transaction = database.begin_write()?;
    {
        let mut meta = transaction.open_table(META)?;
        meta.insert(LAYOUT, FORMAT)?;
        meta.insert(REVISION, 0)?;
        meta.insert(FORGOTTEN, 0)?;
        transaction.open_table(RECORDS)?;
        transaction.open_table(LARGE)?;
        transaction.open_table(CHANGES)?;
    }
    Ok(transaction.commit()?)
}

/// Whether this version can read it.
pub(crate) fn check_format(database: &Database, path: &Path) -> Result<(), StoreError> {
    let found = match database.begin_read()?.open_table(META) {
        Ok(meta) => meta.get(LAYOUT)?.map(|row| row.value()),
        Err(redb::TableError::Storage(error)) => return Err(error.into()),
        Err(_) => None,
    };
    match found {
        Some(FORMAT) => Ok(()),
        Some(found) if found > FORMAT => Err(StoreError::Newer { path: path.to_owned(), found }),
        _ => Err(StoreError::Unusable {
            path: path.to_owned(),
            reason: "it is a database, but not a store of Tollgate".to_owned(),
        }),
    }
}

pub(crate) fn key(encoded: &[u8]) -> Result<Key, StoreError> {
    Key::decode(encoded).ok_or_else(|| StoreError::Broken(format!("{encoded:?} is no key")))
}

/// Nobody else may read it: records hold secrets.
pub(crate) fn make_directory(directory: &Path) -> Result<(), StoreError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|source| StoreError::File { path: directory.to_owned(), source })
}

/// Makes an empty store's file. Another process may make it at the same time.
fn create(path: &Path) -> Result<(), StoreError> {
    let new = NewFile::make(path)?;
    initialize(&new.database()?)?;
    match new.link() {
        Err(StoreError::File { source, .. }) if source.kind() == ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

/// A file that gets its name when it is whole and on disk: the engine can't go on with one whose
/// making was cut short. Without a name in the end it is removed.
pub(crate) struct NewFile {
    target: PathBuf,
    path: PathBuf,
}

impl NewFile {
    pub(crate) fn make(target: &Path) -> Result<Self, StoreError> {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(format!(".new-{}", std::process::id()));
        let new = Self { target: target.to_owned(), path: target.with_file_name(name) };
        // Left by a process with this number that was killed.
        match fs::remove_file(&new.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(new.error(error)),
            _ => {}
        }
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new.path)
            .map_err(|error| new.error(error))?;
        Ok(new)
    }

    pub(crate) fn database(&self) -> Result<Database, StoreError> {
        Ok(builder().create(&self.path)?)
    }

    /// Names it, where there is nothing of that name.
    pub(crate) fn link(self) -> Result<(), StoreError> {
        self.sync()?;
        fs::hard_link(&self.path, &self.target).map_err(|error| self.error(error))?;
        self.sync_directory()
    }

    /// Names it, in place of what has the name.
    pub(crate) fn rename(self) -> Result<(), StoreError> {
        self.sync()?;
        fs::rename(&self.path, &self.target).map_err(|error| self.error(error))?;
        self.sync_directory()
    }

    fn sync(&self) -> Result<(), StoreError> {
        File::open(&self.path).and_then(|file| file.sync_all()).map_err(|error| self.error(error))
    }

    fn sync_directory(&self) -> Result<(), StoreError> {
        let directory = match self.target.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(|error| self.error(error))
    }

    fn error(&self, source: std::io::Error) -> StoreError {
        StoreError::File { path: self.target.clone(), source }
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // It has another name now, or is of no use.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod power_cut;
