//! The store at one moment: a read transaction's tables.

use std::ops::Bound;
use std::sync::Arc;

use redb::{Database, ReadOnlyTable, ReadableDatabase};

use super::{LARGE, META, RECORDS, REVISION, RecordRow, key};
use crate::key::{end_of, segment_end};
use crate::{Depth, Key, Record, Revision, Snapshot, StoreError};

pub(crate) struct EmbeddedSnapshot {
    revision: Revision,
    records: ReadOnlyTable<&'static [u8], RecordRow>,
    large: ReadOnlyTable<&'static [u8], &'static [u8]>,
    /// Reads nothing more once it is closed.
    _database: Arc<Database>,
}

impl EmbeddedSnapshot {
    pub(crate) fn of(database: Arc<Database>) -> Result<Self, StoreError> {
        let transaction = database.begin_read()?;
        let revision = transaction.open_table(META)?.get(REVISION)?.map_or(0, |row| row.value());
        Ok(Self {
            revision,
            records: transaction.open_table(RECORDS)?,
            large: transaction.open_table(LARGE)?,
            _database: database,
        })
    }

    fn record(
        &self,
        encoded: &[u8],
        (revision, inline): (u64, Option<&[u8]>),
    ) -> Result<Record, StoreError> {
        let value = match inline {
            Some(value) => value.to_vec(),
            None => match self.large.get(encoded)? {
                Some(value) => value.value().to_vec(),
                None => {
                    return Err(StoreError::Broken(format!("{:?} has no value", key(encoded)?)));
                }
            },
        };
        Ok(Record { revision, value })
    }

    fn descendants(&self, range: Range, limit: usize) -> Result<Vec<(Key, Record)>, StoreError> {
        let mut found = Vec::new();
        for row in self.records.range::<&[u8]>(range.bounds())?.take(limit) {
            let (encoded, row) = row?;
            found.push((key(encoded.value())?, self.record(encoded.value(), row.value())?));
        }
        Ok(found)
    }

    /// `parent_bytes`: where a child's own segment begins.
    fn children(
        &self,
        mut range: Range,
        parent_bytes: usize,
        limit: usize,
    ) -> Result<Vec<(Key, Record)>, StoreError> {
        let mut found = Vec::new();
        'search: while found.len() < limit {
            for row in self.records.range::<&[u8]>(range.bounds())? {
                let (encoded, row) = row?;
                let encoded = encoded.value();
                let child_end = segment_end(encoded, parent_bytes);
                if child_end < encoded.len() {
                    // Under a child: on to the next one.
                    range.start =
                        Bound::Included(end_of(&encoded[..child_end]).unwrap_or_default());
                    continue 'search;
                }
                found.push((key(encoded)?, self.record(encoded, row.value())?));
                if found.len() == limit {
                    break;
                }
            }
            break;
        }
        Ok(found)
    }
}

impl Snapshot for EmbeddedSnapshot {
    fn revision(&self) -> Revision {
        self.revision
    }

    fn get(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        match self.records.get(key.encoded())? {
            Some(row) => self.record(key.encoded(), row.value()).map(Some),
            None => Ok(None),
        }
    }

    fn list(
        &self,
        under: &Key,
        depth: Depth,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Record)>, StoreError> {
        // One before all of them changes nothing.
        let start = after.filter(|after| *after > under).unwrap_or(under).encoded().to_vec();
        let range = Range { start: Bound::Excluded(start), end: end_of(under.encoded()) };
        if range.is_empty() {
            return Ok(Vec::new());
        }
        match depth {
            Depth::Descendants => self.descendants(range, limit),
            Depth::Children => self.children(range, under.encoded().len(), limit),
        }
    }
}

/// Encoded keys; without an end, all that follow.
struct Range {
    start: Bound<Vec<u8>>,
    end: Option<Vec<u8>>,
}

impl Range {
    fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        let end = self.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        (self.start.as_ref().map(Vec::as_slice), end)
    }

    fn is_empty(&self) -> bool {
        match (&self.start, &self.end) {
            (Bound::Included(start) | Bound::Excluded(start), Some(end)) => start >= end,
            _ => false,
        }
    }
}
