//! What an operator does with a store's file: look whether it is sound, copy it, put a copy back,
//! read it. None of it changes the file it looks at, sound or broken.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Seek, Write};
use std::ops::Bound;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    StorageBackend, TableDefinition, WriteTransaction,
};
use serde::de::IgnoredAny;

use crate::embedded::{
    CHANGES, FORGOTTEN, LARGE, META, NewFile, RECORDS, REVISION, key, make_directory,
};
use crate::file::StoreFile;
use crate::{Depth, Key, Revision, Snapshot, StoreError};

/// Records read at once.
const PAGE: usize = 256;

/// What is in a store's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub revision: Revision,
    /// The file's size.
    pub bytes: u64,
    /// How many records of each kind: a key's first, third and so on segment, joined by `/`.
    pub kinds: BTreeMap<String, u64>,
}

impl Report {
    pub fn records(&self) -> u64 {
        self.kinds.values().sum()
    }
}

/// What [`restore`] does where there is something to overwrite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Nothing, if it has a record in it or is broken.
    Refuse,
    PutAside,
}

/// What [`restore`] has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    pub report: Report,
    /// Where the file is that was there before.
    pub put_aside: Option<PathBuf>,
}

/// A directory's store.
pub fn store_file(directory: &Path) -> PathBuf {
    directory.join("store.redb")
}

/// Reads a store or a backup from end to end and says what is in it. A gateway may have it open;
/// what it would write waits meanwhile.
///
/// # Errors
/// It can't be read, or something in it is broken: the error names what.
pub fn check(file: &Path) -> Result<Report, StoreError> {
    examine(&StoreFile::open(file)?)
}

/// Copies a store, or a backup, to a file, as it is at one moment. The copy gets its name when it
/// is whole and on disk, and takes the place of a file of that name. A gateway may have the store
/// open; what it would write waits meanwhile.
///
/// # Errors
/// As [`check`]; the copy can't be written, or its file is a store that is in use.
pub fn backup(directory: &Path, to_file: &Path) -> Result<Report, StoreError> {
    let file = store_file(directory);
    let source = StoreFile::open(&file)?;
    let _claim = claim_target(&file, to_file)?;
    let new = copy(&source, to_file)?;
    let report = report(&source)?;
    new.rename()?;
    Ok(report)
}

/// Makes a backup a directory's store; the directory is made if it isn't there.
///
/// # Errors
/// As [`check`], of the backup; a gateway has the store open; the store has a record in it, or is
/// broken, and is not to be put aside.
pub fn restore(
    from_file: &Path,
    directory: &Path,
    existing: Existing,
) -> Result<Restored, StoreError> {
    let source = StoreFile::open(from_file)?;
    let report = examine(&source)?;
    make_directory(directory)?;
    let target = store_file(directory);
    let Some(claim) = Claim::take(&target)? else {
        copy(&source, &target)?.link()?;
        return Ok(Restored { report, put_aside: None });
    };
    if existing == Existing::Refuse {
        claim.refuse_unless_empty()?;
    }
    let new = copy(&source, &target)?;
    let aside = put_aside(&target)?;
    new.rename()?;
    Ok(Restored { report, put_aside: Some(aside) })
}

/// Writes all records as one JSON document: `{"revision": …, "records": {key: value, …}}`.
/// Secrets are among them. A gateway may have the store open; what it would write waits until the
/// document is in a temporary file, and not until the output is written: that may be a terminal's
/// pager.
///
/// # Errors
/// As [`check`]; a value isn't JSON; the temporary file or the output can't be written.
pub fn export(directory: &Path, output: &mut dyn Write) -> Result<(), StoreError> {
    let mut document = BufWriter::new(tempfile::tempfile()?);
    write_document(&StoreFile::open(&store_file(directory))?.snapshot()?, &mut document)?;
    let mut document = document.into_inner().map_err(io::IntoInnerError::into_error)?;
    document.rewind()?;
    io::copy(&mut document, output)?;
    Ok(output.flush()?)
}

fn write_document(snapshot: &dyn Snapshot, output: &mut dyn Write) -> Result<(), StoreError> {
    write!(output, "{{\n  \"revision\": {},\n  \"records\": {{", snapshot.revision())?;
    let mut separator = "\n";
    for_each(snapshot, |key, value| {
        serde_json::from_slice::<IgnoredAny>(value)
            .map_err(|source| StoreError::NotJson { key: key.clone(), source })?;
        write!(output, "{separator}    {}: ", serde_json::Value::from(key.to_string()))?;
        output.write_all(value)?;
        separator = ",\n";
        Ok(())
    })?;
    Ok(output.write_all(b"\n  }\n}\n")?)
}

fn examine(file: &StoreFile) -> Result<Report, StoreError> {
    look_for_contradictions(file.database())?;
    report(file)
}

fn report(file: &StoreFile) -> Result<Report, StoreError> {
    let transaction = file.database().begin_read()?;
    let mut kinds = BTreeMap::new();
    for row in transaction.open_table(RECORDS)?.iter()? {
        *kinds.entry(kind(&key(row?.0.value())?)).or_default() += 1;
    }
    let revision = transaction.open_table(META)?.get(REVISION)?.map_or(0, |row| row.value());
    Ok(Report { revision, bytes: file.bytes(), kinds })
}

fn kind(key: &Key) -> String {
    key.segments().into_iter().step_by(2).collect::<Vec<_>>().join("/")
}

fn for_each(
    snapshot: &dyn Snapshot,
    mut visit: impl FnMut(&Key, &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let root = Key::new(&[]);
    let mut after = None;
    loop {
        let page = snapshot.list(&root, Depth::Descendants, after.as_ref(), PAGE)?;
        page.iter().try_for_each(|(key, record)| visit(key, &record.value))?;
        match page.into_iter().next_back() {
            Some((last, _)) => after = Some(last),
            None => return Ok(()),
        }
    }
}

/// What the engine's checksums don't see: tables that don't fit together. The error says what.
fn look_for_contradictions(database: &Database) -> Result<(), StoreError> {
    let broken = |reason| Err(StoreError::Broken(reason));
    let transaction = database.begin_read()?;
    let meta = transaction.open_table(META)?;
    let number = |name| Ok::<_, StoreError>(meta.get(name)?.map_or(0, |row| row.value()));
    let (newest, forgotten) = (number(REVISION)?, number(FORGOTTEN)?);
    let large = transaction.open_table(LARGE)?;
    let mut large_values = 0;
    for row in transaction.open_table(RECORDS)?.iter()? {
        let (encoded, row) = row?;
        let (key, (revision, inline)) = (key(encoded.value())?, row.value());
        if revision > newest {
            return broken(format!("{key} is of revision {revision}, the store of {newest}"));
        }
        let apart = large.get(encoded.value())?;
        large_values += u64::from(apart.is_some());
        let Some(value) = inline.or(apart.as_ref().map(|value| value.value())) else {
            return broken(format!("{key} has no value"));
        };
        if inline.is_some() && apart.is_some() {
            return broken(format!("{key} has two values"));
        }
        serde_json::from_slice::<IgnoredAny>(value)
            .map_err(|source| StoreError::NotJson { key, source })?;
    }
    if large_values != large.len()? {
        return broken("there are values of records that don't exist".to_owned());
    }
    for row in transaction.open_table(CHANGES)?.iter()? {
        let (row, _) = row?;
        let (revision, encoded) = row.value();
        key(encoded)?;
        if revision <= forgotten || revision > newest {
            return broken(format!("a change is of revision {revision}, the store of {newest}"));
        }
    }
    Ok(())
}

/// Copies all tables to a new file that has no name yet.
fn copy(source: &StoreFile, target: &Path) -> Result<NewFile, StoreError> {
    let new = NewFile::make(target)?;
    let database = new.database()?;
    let from = source.database().begin_read()?;
    let to = database.begin_write()?;
    copy_table(&from, &to, META)?;
    copy_table(&from, &to, RECORDS)?;
    copy_table(&from, &to, LARGE)?;
    copy_table(&from, &to, CHANGES)?;
    to.commit()?;
    database.close()?;
    Ok(new)
}

fn copy_table<K: redb::Key + 'static, V: redb::Value + 'static>(
    from: &ReadTransaction,
    to: &WriteTransaction,
    definition: TableDefinition<'_, K, V>,
) -> Result<(), StoreError> {
    let (from, mut to) = (from.open_table(definition)?, to.open_table(definition)?);
    for row in from.iter()? {
        let (key, value) = row?;
        to.insert(key.value(), value.value())?;
    }
    Ok(())
}

/// Makes sure that a backup takes no store's place: whoever has that open would go on writing to a
/// file without a name. Gives what keeps it so, where the file is there and can be locked.
fn claim_target(store: &Path, target: &Path) -> Result<Option<Claim>, StoreError> {
    let no_backup = || StoreError::NoBackup { path: target.to_owned() };
    let identity = |path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    if identity(store) == identity(target) {
        return Err(no_backup());
    }
    match Claim::take(target) {
        Err(StoreError::InUse { .. }) => Err(no_backup()),
        // Not every file system that backups go to has locks.
        claim => Ok(claim.ok().flatten()),
    }
}

/// A store's file that nobody else has open, or can open while this lives.
struct Claim {
    path: PathBuf,
    file: File,
}

impl Claim {
    /// None if there is no such file.
    fn take(path: &Path) -> Result<Option<Self>, StoreError> {
        let file_error = |source| StoreError::File { path: path.to_owned(), source };
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            result => result.map_err(file_error)?,
        };
        // The lock belongs to what both have opened: it lasts as long as the file.
        let lock = FileBackend::new(file.try_clone().map_err(file_error)?)?;
        match lock.try_lock_range(Bound::Unbounded, Bound::Unbounded) {
            Ok(true) => Ok(Some(Self { path: path.to_owned(), file })),
            Ok(false) => Err(StoreError::InUse { path: path.to_owned() }),
            Err(error) => Err(file_error(io::Error::other(error))),
        }
    }

    fn refuse_unless_empty(&self) -> Result<(), StoreError> {
        let file = self.file.try_clone();
        let file = file.map_err(|source| StoreError::File { path: self.path.clone(), source })?;
        match report(&StoreFile::open_claimed(&self.path, file)?)?.records() {
            0 => Ok(()),
            records => Err(StoreError::NotEmpty { path: self.path.clone(), records }),
        }
    }
}

/// Gives a file a second name: its own, and a number. It is never without one.
fn put_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let mut number = 1;
    loop {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".replaced-{number}"));
        match fs::hard_link(path, &name) {
            Ok(()) => return Ok(name.into()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(source) => return Err(StoreError::File { path: name.into(), source }),
        }
    }
}

#[cfg(test)]
mod tests;
