//! Changes that are made together, or not at all.

use crate::error::StoreError;
use crate::{Key, MAX_KEY_BYTES, MAX_TRANSACTION_BYTES, MAX_VALUE_BYTES, Revision};

/// What must hold, and what is changed if it does. Changes are made in the order in which they
/// were added; expectations are about what was there before the first.
#[derive(Debug, Default)]
pub struct Transaction {
    pub(crate) expectations: Vec<(Key, Option<Revision>)>,
    pub(crate) operations: Vec<Operation>,
}

#[derive(Debug)]
pub(crate) enum Operation {
    Put(Key, Vec<u8>),
    Touch(Key),
    Delete(Key),
    DeleteWithDescendants(Key),
}

impl Transaction {
    pub fn new() -> Self {
        Self::default()
    }

    /// Only if a record is of this revision; with `None`, only if there is none.
    pub fn expect(mut self, key: Key, revision: Option<Revision>) -> Self {
        self.add_expectation(key, revision);
        self
    }

    /// Makes a record, or takes the place of the one that is there.
    pub fn put(mut self, key: Key, value: Vec<u8>) -> Self {
        self.add_put(key, value);
        self
    }

    /// Gives a record this transaction's revision and leaves its value. It must be there.
    pub fn touch(mut self, key: Key) -> Self {
        self.add_touch(key);
        self
    }

    /// Deletes a record, if there is one; what is under it stays.
    pub fn delete(mut self, key: Key) -> Self {
        self.add_delete(key);
        self
    }

    /// Deletes a record, if there is one, and all that is under it.
    pub fn delete_with_descendants(mut self, key: Key) -> Self {
        self.add_delete_with_descendants(key);
        self
    }

    /// As [`Self::expect`], where there is a loop.
    pub fn add_expectation(&mut self, key: Key, revision: Option<Revision>) {
        self.expectations.push((key, revision));
    }

    /// As [`Self::put`], where there is a loop.
    pub fn add_put(&mut self, key: Key, value: Vec<u8>) {
        self.operations.push(Operation::Put(key, value));
    }

    /// As [`Self::touch`], where there is a loop.
    pub fn add_touch(&mut self, key: Key) {
        self.operations.push(Operation::Touch(key));
    }

    /// As [`Self::delete`], where there is a loop.
    pub fn add_delete(&mut self, key: Key) {
        self.operations.push(Operation::Delete(key));
    }

    /// As [`Self::delete_with_descendants`], where there is a loop.
    pub fn add_delete_with_descendants(&mut self, key: Key) {
        self.operations.push(Operation::DeleteWithDescendants(key));
    }

    pub(crate) fn check_size(&self) -> Result<(), StoreError> {
        let mut total = 0;
        for operation in &self.operations {
            let (key, value_bytes) = match operation {
                Operation::Put(key, value) => (key, value.len()),
                Operation::Touch(key)
                | Operation::Delete(key)
                | Operation::DeleteWithDescendants(key) => (key, 0),
            };
            let key_bytes = key.encoded().len();
            // The key itself may be too long for a message.
            check_size("a key", key_bytes, MAX_KEY_BYTES)?;
            if value_bytes > MAX_VALUE_BYTES {
                check_size(&format!("the value of {key}"), value_bytes, MAX_VALUE_BYTES)?;
            }
            total += key_bytes + value_bytes;
        }
        check_size("a transaction", total, MAX_TRANSACTION_BYTES)
    }
}

fn check_size(what: &str, bytes: usize, allowed: usize) -> Result<(), StoreError> {
    match bytes <= allowed {
        true => Ok(()),
        false => Err(StoreError::TooLarge { what: what.to_owned(), bytes, allowed }),
    }
}
