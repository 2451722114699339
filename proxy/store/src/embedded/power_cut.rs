//! What a power cut leaves: everything up to the last sync, and of what was written after it any
//! part, torn at any sector. A backend writes down what the engine writes and syncs; many such
//! ends are made from that, and each must open as exactly one of the states that were.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use redb::{BackendError, StorageBackend};

use super::*;
use crate::Depth;

const TRANSACTIONS: u64 = 60;
const CUTS: usize = 300;
/// What a disk writes whole.
const SECTOR: usize = 512;

type State = BTreeMap<Key, (Revision, Vec<u8>)>;

#[derive(Debug, Default)]
struct Disk {
    now: Vec<u8>,
    log: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Write(u64, Vec<u8>),
    SetLength(u64),
    Sync,
    /// The caller was told that this revision is on disk.
    Acknowledge(Revision),
}

#[derive(Clone, Debug, Default)]
struct Recorder(Arc<Mutex<Disk>>);

impl StorageBackend for Recorder {
    fn len(&self) -> Result<u64, std::io::Error> {
        Ok(self.0.lock().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        let offset = offset as usize;
        out.copy_from_slice(&self.0.lock().now[offset..offset + out.len()]);
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<(), std::io::Error> {
        let mut disk = self.0.lock();
        disk.now.resize(length as usize, 0);
        disk.log.push(Step::SetLength(length));
        Ok(())
    }

    fn sync_data(&self) -> Result<(), std::io::Error> {
        self.0.lock().log.push(Step::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        let mut disk = self.0.lock();
        disk.now[offset as usize..offset as usize + data.len()].copy_from_slice(data);
        disk.log.push(Step::Write(offset, data.to_vec()));
        Ok(())
    }

    // Nobody else is there to lock out; with locks, the engine writes as it does to a file.
    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}

#[test]
fn after_a_power_cut_all_that_was_acknowledged_is_there_and_nothing_is_half_done() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let (log, states) = record(&mut random);
    for cut in 0..CUTS {
        let at = random.usize(first_cut(&log)..=log.len());
        let (image, acknowledged) = image_after_cut(&log[..at], &mut random);
        let found = open(&image).unwrap_or_else(|error| panic!("seed {seed}, cut {cut}: {error}"));
        let (revision, state) = found;
        assert!(revision >= acknowledged, "seed {seed}, cut {cut}: {revision} < {acknowledged}");
        assert!(state == states[revision as usize], "seed {seed}, cut {cut}: not as it was");
    }
}

#[test]
fn a_power_cut_while_the_store_recovers_from_one_loses_nothing_either() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let (log, states) = record(&mut random);
    for cut in 0..CUTS / 3 {
        let at = random.usize(first_cut(&log)..=log.len());
        let (image, acknowledged) = image_after_cut(&log[..at], &mut random);
        let log = recover(image);
        // The first two steps are what was found.
        let at = random.usize(2..=log.len());
        let (image, _) = image_after_cut(&log[..at], &mut random);
        let found = open(&image).unwrap_or_else(|error| panic!("seed {seed}, cut {cut}: {error}"));
        let (revision, state) = found;
        assert!(revision >= acknowledged, "seed {seed}, cut {cut}: {revision} < {acknowledged}");
        assert!(state == states[revision as usize], "seed {seed}, cut {cut}: not as it was");
    }
}

#[test]
fn a_disk_that_does_not_sync_is_found_out() {
    let mut random = fastrand::Rng::with_seed(7);
    let (mut log, states) = record(&mut random);
    let first = first_cut(&log);
    let tail = log.split_off(first);
    log.extend(tail.into_iter().filter(|step| !matches!(step, Step::Sync)));
    let is_whole = (0..CUTS).all(|_| {
        let at = random.usize(first..=log.len());
        let (image, acknowledged) = image_after_cut(&log[..at], &mut random);
        open(&image).is_ok_and(|(revision, state)| {
            revision >= acknowledged && state == states[revision as usize]
        })
    });
    assert!(!is_whole, "the test above would not see lost writes");
}

/// Fills a store, and gives what reached the disk and each revision's state.
fn record(random: &mut fastrand::Rng) -> (Vec<Step>, Vec<State>) {
    let recorder = Recorder::default();
    let database = shared_builder().create_with_backend(recorder.clone()).unwrap();
    initialize(&database).unwrap();
    let store = EmbeddedStore::of(database, None);
    recorder.0.lock().log.push(Step::Acknowledge(0));
    let mut states = vec![State::new()];
    for _ in 0..TRANSACTIONS {
        let transaction = transaction(states.last().unwrap(), random);
        let revision = store.commit(transaction).unwrap();
        recorder.0.lock().log.push(Step::Acknowledge(revision));
        if revision == states.len() as u64 {
            states.push(state(&*store.read().unwrap()));
        }
    }
    drop(store);
    let log = std::mem::take(&mut recorder.0.lock().log);
    (log, states)
}

/// What the engine writes when it opens and closes a file that was not closed.
fn recover(image: Vec<u8>) -> Vec<Step> {
    let recorder = Recorder::default();
    {
        let mut disk = recorder.0.lock();
        disk.log.extend([Step::Write(0, image.clone()), Step::Sync]);
        disk.now = image;
    }
    drop(shared_builder().create_with_backend(recorder.clone()).unwrap());
    std::mem::take(&mut recorder.0.lock().log)
}

fn transaction(before: &State, random: &mut fastrand::Rng) -> Transaction {
    let key = |random: &mut fastrand::Rng| {
        let api = Key::new(&["restapis", &random.u8(..5).to_string()]);
        match random.bool() {
            true => api,
            false => api.child("resources").child(&random.u8(..20).to_string()),
        }
    };
    let mut transaction = Transaction::new();
    for _ in 0..random.usize(1..8) {
        let key = key(random);
        match random.u8(..10) {
            0 => transaction.add_delete(key),
            1 => transaction.add_delete_with_descendants(key),
            2 if transaction.operations.is_empty() && before.contains_key(&key) => {
                transaction.add_touch(key);
            }
            3 => transaction.add_put(key, vec![random.u8(..); 200_000]),
            4 => transaction.add_put(key, vec![random.u8(..); 5_000]),
            _ => transaction.add_put(key, vec![random.u8(..); random.usize(..500)]),
        }
    }
    transaction
}

/// The store is there once it has its name, which it gets after this.
fn first_cut(log: &[Step]) -> usize {
    log.iter().position(|step| matches!(step, Step::Acknowledge(0))).unwrap()
}

/// What the disk may hold when the power goes after these steps, and what was acknowledged.
fn image_after_cut(log: &[Step], random: &mut fastrand::Rng) -> (Vec<u8>, Revision) {
    let synced = log.iter().rposition(|step| matches!(step, Step::Sync)).map_or(0, |at| at + 1);
    let kept = random.f32();
    let mut image = Vec::new();
    let mut acknowledged = 0;
    for (index, step) in log.iter().enumerate() {
        let is_synced = index < synced;
        match step {
            Step::Write(offset, data) => {
                for (number, sector) in data.chunks(SECTOR).enumerate() {
                    if is_synced || random.f32() < kept {
                        write(&mut image, *offset as usize + number * SECTOR, sector);
                    }
                }
            }
            Step::SetLength(length) if is_synced || random.f32() < kept => {
                image.resize(*length as usize, 0);
            }
            Step::Acknowledge(revision) => acknowledged = *revision,
            Step::SetLength(_) | Step::Sync => {}
        }
    }
    (image, acknowledged)
}

/// A file that was to be longer gets so when something of its new end is written.
fn write(image: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[offset..end].copy_from_slice(data);
}

fn open(image: &[u8]) -> Result<(Revision, State), StoreError> {
    let directory = tempfile::tempdir().unwrap();
    fs::write(store_file(directory.path()), image).unwrap();
    let store = EmbeddedStore::open(directory.path())?;
    let snapshot = store.read()?;
    Ok((snapshot.revision(), state(&*snapshot)))
}

fn state(snapshot: &dyn Snapshot) -> State {
    let found = snapshot.list(&Key::new(&[]), Depth::Descendants, None, usize::MAX).unwrap();
    found.into_iter().map(|(key, record)| (key, (record.revision, record.value))).collect()
}
