//! A unit of work: what an operation reads is from one moment, and what it writes is written
//! together, and only if nothing that it read has changed since.
//!
//! Every record that was read is expected to be as it was; what belongs to an API also expects
//! and touches the API's own record. So two operations on one API follow each other, whatever
//! they read, and operations on different APIs don't meet.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tollgate_model::control_plane::{RestApi, record};
use tollgate_store::{CommitError, Depth, Key, Revision, Snapshot, Store, StoreError, Transaction};

use crate::error::ApiError;
use crate::names::{keys, new_id};

/// A conflict is tried again so often: with the turn, only another process can be first. AWS gives
/// up as well.
const ATTEMPTS: usize = 5;
/// For the turn.
const TURN_WAIT: Duration = Duration::from_secs(30);

/// Whose turn it is to write. An operation tries once beside others, and has the turn only while
/// it commits. One that met another has the turn from reading on, so that nobody of this process
/// is first again.
#[derive(Debug, Default)]
pub(crate) struct Turn(Mutex<()>);

impl Turn {
    fn take(&self) -> Result<MutexGuard<'_, ()>, StoreError> {
        self.0.try_lock_for(TURN_WAIT).ok_or(StoreError::Busy)
    }
}

pub struct Unit<'s> {
    snapshot: Box<dyn Snapshot + 's>,
    /// What was read, and its revision then.
    seen: BTreeMap<Key, Option<Revision>>,
    /// `None` is deleted.
    written: BTreeMap<Key, Option<Vec<u8>>>,
    deleted_trees: Vec<Key>,
    touched: Vec<Key>,
}

/// Carries an operation out and writes what it wrote, trying again if someone else was first.
pub(crate) fn carry_out<T>(
    store: &dyn Store,
    turn: &Turn,
    operation: impl Fn(&mut Unit) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    let mut ours = None;
    for _ in 0..ATTEMPTS {
        let mut unit = Unit::new(store.read()?);
        let result = operation(&mut unit)?;
        let Some(transaction) = unit.into_transaction() else { return Ok(result) };
        let held = match ours.take() {
            Some(held) => held,
            None => turn.take()?,
        };
        match store.commit(transaction) {
            Ok(_) => return Ok(result),
            Err(CommitError::Conflict(_)) => ours = Some(held),
            Err(CommitError::Store(error)) => return Err(error.into()),
        }
    }
    Err(ApiError::concurrent())
}

impl<'s> Unit<'s> {
    fn new(snapshot: Box<dyn Snapshot + 's>) -> Self {
        Self {
            snapshot,
            seen: BTreeMap::new(),
            written: BTreeMap::new(),
            deleted_trees: Vec::new(),
            touched: Vec::new(),
        }
    }

    /// `None` if nothing is to be written.
    fn into_transaction(self) -> Option<Transaction> {
        if self.written.is_empty() && self.deleted_trees.is_empty() {
            return None;
        }
        let mut transaction = Transaction::new();
        for (key, revision) in self.seen {
            transaction = transaction.expect(key, revision);
        }
        for key in self.deleted_trees {
            transaction = transaction.delete_with_descendants(key);
        }
        for key in self.touched {
            // Deleted or written itself: it has a new revision or none anyway.
            if !self.written.contains_key(&key) {
                transaction = transaction.touch(key);
            }
        }
        for (key, value) in self.written {
            transaction = match value {
                Some(value) => transaction.put(key, value),
                None => transaction.delete(key),
            };
        }
        Some(transaction)
    }

    /// A record, with what this unit wrote itself.
    pub fn get<T: DeserializeOwned>(&mut self, key: &Key) -> Result<Option<T>, ApiError> {
        if let Some(value) = self.written.get(key) {
            return value.as_deref().map(|value| decode(key, value)).transpose();
        }
        if self.is_deleted(key) {
            return Ok(None);
        }
        let record = self.snapshot.get(key)?;
        self.seen.insert(key.clone(), record.as_ref().map(|record| record.revision));
        record.map(|record| decode(key, &record.value)).transpose()
    }

    /// All records directly under a key, in its order, with what this unit wrote itself.
    pub fn list<T: DeserializeOwned>(&mut self, under: &Key) -> Result<Vec<T>, ApiError> {
        Ok(self.page(under, None, usize::MAX)?.into_iter().map(|(_, entity)| entity).collect())
    }

    /// At most `limit` of them, from after a key.
    pub fn page<T: DeserializeOwned>(
        &mut self,
        under: &Key,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<(Key, T)>, ApiError> {
        let records = self.snapshot.list(under, Depth::Children, after, limit)?;
        let records = records.into_iter().filter(|(key, _)| !self.is_deleted(key));
        let mut values: BTreeMap<Key, Vec<u8>> =
            records.map(|(key, record)| (key, record.value)).collect();
        let depth = under.segments().len() + 1;
        // A key is followed by those under it.
        let written = self.written.range(under..).skip_while(|(key, _)| *key == under);
        for (key, value) in written.take_while(|(key, _)| key.is_under(under)) {
            if key.segments().len() == depth {
                match value {
                    Some(value) if after.is_none_or(|after| key > after) => {
                        values.insert(key.clone(), value.clone());
                    }
                    _ => drop(values.remove(key)),
                }
            }
        }
        values
            .into_iter()
            .take(limit)
            .map(|(key, value)| decode(&key, &value).map(|entity| (key, entity)))
            .collect()
    }

    fn is_deleted(&self, key: &Key) -> bool {
        self.deleted_trees.iter().any(|tree| tree == key || key.is_under(tree))
    }

    pub fn put(&mut self, key: Key, entity: &impl Serialize) {
        let value = serde_json::to_vec(&record(entity)).expect("a JSON value is text");
        self.written.insert(key, Some(value));
    }

    /// Something that is none of AWS's entities: kept to the letter, with the nulls that a schema
    /// in it may have.
    pub fn put_exactly(&mut self, key: Key, value: &impl Serialize) {
        let value = serde_json::to_vec(value).expect("keys are text");
        self.written.insert(key, Some(value));
    }

    pub fn delete(&mut self, key: Key) {
        self.written.insert(key, None);
    }

    /// The record and all under it.
    pub fn delete_with_descendants(&mut self, key: Key) {
        self.written.retain(|written, _| *written != key && !written.is_under(&key));
        self.touched.retain(|touched| *touched != key);
        self.deleted_trees.push(key);
    }

    /// Counts as a change of a record that was read: whoever else has read it, to write something
    /// that depends on it, tries again.
    pub fn touch(&mut self, key: Key) {
        if !self.touched.contains(&key) {
            self.touched.push(key);
        }
    }

    /// An id that nothing has yet.
    pub fn new_id(&mut self, length: usize, key: impl Fn(&str) -> Key) -> Result<String, ApiError> {
        loop {
            let id = new_id(length);
            if self.get::<serde_json::Value>(&key(&id))?.is_none() {
                return Ok(id);
            }
        }
    }

    /// The API that something belongs to. What this unit writes is written only if nobody else
    /// has changed anything of the API meanwhile.
    pub fn api(&mut self, id: &str, account_id: &str) -> Result<RestApi, ApiError> {
        let key = keys::rest_api(id);
        match self.get(&key)? {
            Some(api) => {
                self.touch(key);
                Ok(api)
            }
            None => Err(ApiError::not_found(format!(
                "Invalid API identifier specified {account_id}:{id}"
            ))),
        }
    }
}

fn decode<T: DeserializeOwned>(key: &Key, value: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(value).map_err(|error| ApiError::unreadable(key, &error))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use serde_json::{Value, json};

    use crate::testing::fixture;

    #[test]
    fn operations_on_one_api_follow_each_other_however_many_there_are() {
        const CLIENTS: usize = 8;
        const OPERATIONS: usize = 25;
        let fixture = fixture();
        let (api, root) = fixture.api();
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (fixture, uri) = (&fixture, format!("/restapis/{api}/resources/{root}"));
                scope.spawn(move || {
                    for number in 0..OPERATIONS {
                        let part = json!({"pathPart": format!("{client}-{number}")});
                        fixture.ok("POST", &uri, part);
                    }
                });
            }
        });
        let all = fixture.ok("GET", &format!("/restapis/{api}/resources?limit=500"), Value::Null);
        assert_eq!(all["item"].as_array().unwrap().len(), 1 + CLIENTS * OPERATIONS);
    }
}
