//! What the control plane knows, kept so that nothing acknowledged is ever lost.
//!
//! A store holds [`Record`]s by hierarchical [`Key`]. [`Store::read`] gives a [`Snapshot`] of one
//! moment; [`Store::commit`] makes the changes of a [`Transaction`], all or none, and returns when
//! they are on disk. Each commit has a [`Revision`]: [`Store::wait`] tells that there is a newer
//! one, [`Store::changes`] what has changed since one.
//!
//! Two writers that read the same records and write on what they read are kept apart by
//! [`Transaction::expect`]: the second finds another revision than it read, and gets a
//! [`CommitError::Conflict`].
//!
//! The store knows nothing of what is in it. Values are JSON by agreement: [`check`] and
//! [`export`] count on that, the engine doesn't.

mod key;
mod transaction;
mod error;
mod embedded;
mod file;
mod maintenance;

use std::collections::BTreeSet;
use std::time::Duration;

pub use embedded::EmbeddedStore;
pub use error::{CommitError, StoreError};
pub use key::Key;
pub use maintenance::{Existing, Report, Restored, backup, check, export, restore, store_file};
pub use transaction::Transaction;

/// Which commit: grows by one with each one that changes something; 0 is the empty store.
pub type Revision = u64;

/// Bytes in one value.
pub const MAX_VALUE_BYTES: usize = 64 << 20;
/// Bytes in a transaction's keys and values together.
pub const MAX_TRANSACTION_BYTES: usize = 256 << 20;
/// Bytes in one key, as it is kept: each segment, and one byte more for each.
pub const MAX_KEY_BYTES: usize = 4096;
/// Commits whose changed keys are remembered.
pub const REVISIONS_REMEMBERED: u64 = 1_000;
/// Changed keys that are remembered; those of the last commit are, however many they are.
pub const KEYS_REMEMBERED: u64 = 10_000;

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// That of its last put or touch.
    pub revision: Revision,
    pub value: Vec<u8>,
}

/// Which records under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Those one segment longer.
    Children,
    /// All.
    Descendants,
}

/// What has changed since a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    /// These keys were put, touched or deleted, once or more often.
    Keys(BTreeSet<Key>),
    /// That is too long ago: anything may have changed. Also where the revision is one that this
    /// store has never had, as after a restore.
    Forgotten,
}

/// A durable store. Every method blocks, on disk or on another writer, and may be called from any
/// thread but a data-plane worker.
pub trait Store: Send + Sync {
    /// The store as it is now; later commits don't show in what is given.
    ///
    /// # Errors
    /// The engine can't read.
    fn read(&self) -> Result<Box<dyn Snapshot + '_>, StoreError>;

    /// Makes the changes, all or none. They are on disk when it returns. Gives their revision; a
    /// transaction that changes nothing gives the newest one.
    ///
    /// # Errors
    /// [`CommitError::Conflict`]: an expected revision isn't the one that is there, or what is
    /// touched isn't. [`StoreError::TooLarge`]: a bound of this crate is exceeded.
    /// [`StoreError::Busy`]: another writer holds the store for over ten seconds. Otherwise the
    /// engine can't write; then it is unknown whether the changes were made.
    fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError>;

    /// Waits until there is a newer revision than `after`, at most so long. Gives the newest.
    ///
    /// # Errors
    /// The engine can't read.
    fn wait(&self, after: Revision, timeout: Duration) -> Result<Revision, StoreError>;

    /// Which keys were put, touched or deleted after a revision. Who follows the store reads what
    /// they hold in a snapshot, and asks next for what came after the revision that
    /// [`Self::wait`] gave before: what comes between is told twice, never missed.
    ///
    /// # Errors
    /// The engine can't read.
    fn changes(&self, after: Revision) -> Result<Changes, StoreError>;
}

/// The store at one moment. The engine keeps what it shows for as long as it lives, so it is not
/// for keeping.
pub trait Snapshot {
    fn revision(&self) -> Revision;

    /// # Errors
    /// The engine can't read.
    fn get(&self, key: &Key) -> Result<Option<Record>, StoreError>;

    /// The records under a key, without its own, in order: those after `after`, at most `limit`.
    /// Children are found without reading what is under them.
    ///
    /// # Errors
    /// The engine can't read.
    fn list(
        &self,
        under: &Key,
        depth: Depth,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Record)>, StoreError>;
}
