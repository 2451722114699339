//! Why a store can't be opened, read or written.

use std::io;
use std::path::{Path, PathBuf};

use crate::Key;
use crate::embedded::FORMAT;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error(
        "{}: cannot be used: {reason}; it is left as it is: restore a backup, or move it away to \
         begin again",
        path.display()
    )]
    Unusable { path: PathBuf, reason: String },
    #[error(
        "{}: was written by a newer version of Tollgate (layout {found}, this one knows {FORMAT}); \
         use that version, or restore a backup of this one",
        path.display()
    )]
    Newer { path: PathBuf, found: u64 },
    #[error("{}: there is no store", path.display())]
    Missing { path: PathBuf },
    #[error(
        "{}: has {records} records in it; --force puts it aside and restores all the same",
        path.display()
    )]
    NotEmpty { path: PathBuf, records: u64 },
    #[error(
        "{}: another process has it open: stop the gateway first, or wait for the restore",
        path.display()
    )]
    InUse { path: PathBuf },
    #[error("{}: is the store itself, or one in use; a backup takes another file", path.display())]
    NoBackup { path: PathBuf },
    #[error("the store: {what} has {bytes} bytes; allowed: up to {allowed}")]
    TooLarge { what: String, bytes: usize, allowed: usize },
    #[error("the store: another writer has held it for over {} s", crate::embedded::WRITER_WAIT.as_secs())]
    Busy,
    #[error("the store: the record {key} is not JSON: {source}")]
    NotJson { key: Key, source: serde_json::Error },
    #[error("the store: what was read makes no sense: {0}")]
    Broken(String),
    #[error("what was exported cannot be written: {0}")]
    Output(#[from] std::io::Error),
    #[error("the store: {0}")]
    Engine(Box<redb::Error>),
}

impl StoreError {
    /// Why the engine doesn't open a file.
    pub(crate) fn of_open(path: &Path, error: redb::DatabaseError) -> Self {
        let path = path.to_owned();
        match error {
            redb::DatabaseError::DatabaseAlreadyOpen => Self::InUse { path },
            error => Self::Unusable { path, reason: error.to_string() },
        }
    }
}

macro_rules! of_engine {
    ($($error:ident),*) => {$(
        impl From<redb::$error> for StoreError {
            fn from(error: redb::$error) -> Self {
                Self::Engine(Box::new(error.into()))
            }
        }

        impl From<redb::$error> for CommitError {
            fn from(error: redb::$error) -> Self {
                Self::Store(error.into())
            }
        }
    )*};
}

of_engine!(DatabaseError, TransactionError, TableError, StorageError, CommitError);

/// Why changes were not made.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// This record is not as the transaction expects it.
    #[error("the store: {0} was changed by someone else")]
    Conflict(Key),
    #[error(transparent)]
    Store(#[from] StoreError),
}
