//! A transaction's changes, made in one of the engine's.

use std::collections::BTreeSet;

use redb::{ReadableTable, ReadableTableMetadata, Table, WriteTransaction};

use super::{CHANGES, FORGOTTEN, INLINE_BYTES, LARGE, META, RECORDS, REVISION, RecordRow, key};
use crate::key::end_of;
use crate::transaction::Operation;
use crate::{
    CommitError, KEYS_REMEMBERED, Key, REVISIONS_REMEMBERED, Revision, StoreError, Transaction,
};

/// Makes the changes and ends the transaction. Gives the newest revision.
pub(super) fn commit(
    engine: WriteTransaction,
    transaction: Transaction,
) -> Result<Revision, CommitError> {
    match apply(&engine, transaction)? {
        Applied::Changed(revision) => {
            engine.commit()?;
            Ok(revision)
        }
        Applied::Unchanged(revision) => {
            engine.abort()?;
            Ok(revision)
        }
    }
}

enum Applied {
    Changed(Revision),
    Unchanged(Revision),
}

fn apply(engine: &WriteTransaction, transaction: Transaction) -> Result<Applied, CommitError> {
    let mut meta = engine.open_table(META)?;
    let before = meta.get(REVISION)?.map_or(0, |row| row.value());
    let mut change = Change {
        revision: before + 1,
        records: engine.open_table(RECORDS)?,
        large: engine.open_table(LARGE)?,
        keys: BTreeSet::new(),
    };
    change.check(transaction.expectations)?;
    for operation in transaction.operations {
        change.make(operation)?;
    }
    if change.keys.is_empty() {
        return Ok(Applied::Unchanged(before));
    }
    meta.insert(REVISION, change.revision)?;
    remember(engine, &mut meta, change.revision, &change.keys)?;
    Ok(Applied::Changed(change.revision))
}

struct Change<'t> {
    revision: Revision,
    records: Table<'t, &'static [u8], RecordRow>,
    large: Table<'t, &'static [u8], &'static [u8]>,
    keys: BTreeSet<Key>,
}

impl Change<'_> {
    fn check(&self, expectations: Vec<(Key, Option<Revision>)>) -> Result<(), CommitError> {
        for (key, expected) in expectations {
            let found = self.records.get(key.encoded())?.map(|row| row.value().0);
            if found != expected {
                return Err(CommitError::Conflict(key));
            }
        }
        Ok(())
    }

    fn make(&mut self, operation: Operation) -> Result<(), CommitError> {
        match operation {
            Operation::Put(key, value) => Ok(self.put(key, &value)?),
            Operation::Touch(key) => self.touch(key),
            Operation::Delete(key) => Ok(self.delete(key)?),
            Operation::DeleteWithDescendants(key) => {
                self.delete_descendants(&key)?;
                Ok(self.delete(key)?)
            }
        }
    }

    fn put(&mut self, key: Key, value: &[u8]) -> Result<(), StoreError> {
        let inline = (value.len() <= INLINE_BYTES).then_some(value);
        let before = self.records.insert(key.encoded(), (self.revision, inline))?;
        let was_large = before.is_some_and(|row| row.value().1.is_none());
        match inline {
            None => drop(self.large.insert(key.encoded(), value)?),
            Some(_) if was_large => drop(self.large.remove(key.encoded())?),
            Some(_) => {}
        }
        self.keys.insert(key);
        Ok(())
    }

    fn touch(&mut self, key: Key) -> Result<(), CommitError> {
        let found = self.records.get(key.encoded())?;
        let Some(inline) = found.map(|row| row.value().1.map(<[u8]>::to_vec)) else {
            return Err(CommitError::Conflict(key));
        };
        self.records.insert(key.encoded(), (self.revision, inline.as_deref()))?;
        self.keys.insert(key);
        Ok(())
    }

    fn delete(&mut self, key: Key) -> Result<(), StoreError> {
        let was_large = match self.records.remove(key.encoded())? {
            Some(row) => row.value().1.is_none(),
            None => return Ok(()),
        };
        if was_large {
            self.large.remove(key.encoded())?;
        }
        self.keys.insert(key);
        Ok(())
    }

    fn delete_descendants(&mut self, parent: &Key) -> Result<(), StoreError> {
        let keys: Vec<Key> = match end_of(parent.encoded()) {
            Some(end) => keys(self.records.range(parent.encoded()..&end)?)?,
            None => keys(self.records.range::<&[u8]>(..)?)?,
        };
        keys.into_iter().filter(|key| key.is_under(parent)).try_for_each(|key| self.delete(key))
    }
}

fn keys(rows: redb::Range<'_, &'static [u8], RecordRow>) -> Result<Vec<Key>, StoreError> {
    rows.map(|row| key(row?.0.value())).collect()
}

/// Writes down which keys a revision changed, and forgets the oldest where that is too much. The
/// newest revision's are all kept: who follows at once misses nothing.
fn remember(
    engine: &WriteTransaction,
    meta: &mut Table<'_, &'static str, u64>,
    revision: Revision,
    keys: &BTreeSet<Key>,
) -> Result<(), StoreError> {
    let mut changes = engine.open_table(CHANGES)?;
    for key in keys {
        changes.insert((revision, key.encoded()), ())?;
    }
    let mut forgotten = None;
    loop {
        let oldest = changes.first()?.map_or(revision, |row| row.0.value().0);
        let is_rest = forgotten == Some(oldest);
        let is_too_old = revision - oldest >= REVISIONS_REMEMBERED;
        if oldest == revision || !(is_rest || is_too_old || changes.len()? > KEYS_REMEMBERED) {
            break;
        }
        changes.pop_first()?;
        forgotten = Some(oldest);
    }
    if let Some(forgotten) = forgotten {
        meta.insert(FORGOTTEN, forgotten)?;
    }
    Ok(())
}
