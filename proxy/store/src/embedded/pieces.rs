//! The store's file, read and written in small pieces.
//!
//! A frozen definition of ten thousand methods is one value of many megabytes, and a kernel that
//! isn't preemptible (most servers' are not) copies it in one go: for milliseconds the worker on
//! the same processor answers nobody (`bench/run import-impact`). Between two pieces it gets its
//! turn.

use std::fs::File;
use std::ops::Bound;

use redb::backends::FileBackend;
use redb::{BackendError, DatabaseError, StorageBackend};

/// Bytes: copied in some ten microseconds.
const PIECE: usize = 64 * 1024;

type Io<T> = Result<T, std::io::Error>;

#[derive(Debug)]
pub(crate) struct InPieces(FileBackend);

impl InPieces {
    pub(crate) fn new(file: File) -> Result<Self, DatabaseError> {
        FileBackend::new(file).map(Self)
    }
}

/// The offset of each of some pieces.
fn offsets(first: u64) -> impl Iterator<Item = u64> {
    (first..).step_by(PIECE)
}

impl StorageBackend for InPieces {
    fn read(&self, offset: u64, out: &mut [u8]) -> Io<()> {
        let mut pieces = offsets(offset).zip(out.chunks_mut(PIECE));
        pieces.try_for_each(|(offset, piece)| self.0.read(offset, piece))
    }

    fn write(&self, offset: u64, data: &[u8]) -> Io<()> {
        let mut pieces = offsets(offset).zip(data.chunks(PIECE));
        pieces.try_for_each(|(offset, piece)| self.0.write(offset, piece))
    }

    fn len(&self) -> Io<u64> {
        self.0.len()
    }

    fn set_len(&self, length: u64) -> Io<()> {
        self.0.set_len(length)
    }

    fn sync_data(&self) -> Io<()> {
        self.0.sync_data()
    }

    fn close(&self) -> Io<()> {
        self.0.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.0.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_in_pieces_is_read_in_pieces() {
        let file = InPieces::new(tempfile::tempfile().unwrap()).unwrap();
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7] {
            let data: Vec<u8> = (0..length).map(|_| fastrand::u8(..)).collect();
            file.write(4096, &data).unwrap();
            let mut found = vec![0; length];
            file.read(4096, &mut found).unwrap();
            assert!(found == data, "{length}");
        }
        let end = file.len().unwrap();
        assert!(file.read(end - 1, &mut vec![0; PIECE + 2]).is_err());
    }
}
