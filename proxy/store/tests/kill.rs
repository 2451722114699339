//! Processes that write to a store are killed at any moment: what they were told is on disk must
//! be there, and every transaction whole or absent.
//!
//! The kernel keeps what a killed process wrote, synced or not: that the store syncs is seen by
//! the tests of power cuts in `embedded::power_cut`, not here. Here are the real file, its locks,
//! several threads, and a second process that goes on where the first one died.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tollgate_store::{Depth, EmbeddedStore, Key, Revision, Store, Transaction, check, store_file};

const KILLS: usize = 300;
/// However slow the machine is.
const LONGEST: Duration = Duration::from_secs(60);
const DIRECTORY: &str = "TOLLGATE_STORE_TEST_DIRECTORY";
const WRITERS: &str = "TOLLGATE_STORE_TEST_WRITERS";
const ITEMS: u64 = 7;

#[test]
fn what_was_acknowledged_survives_kills_and_nothing_is_half_done() {
    let directory = tempfile::tempdir().unwrap();
    let mut model = Model::default();
    let start = Instant::now();
    let mut kills = 0;
    while kills < KILLS && start.elapsed() < LONGEST {
        let mut process = Process::start(directory.path(), &["a", "b", "c"]);
        std::thread::sleep(Duration::from_millis(fastrand::u64(0..120)));
        model.acknowledge(process.kill());
        kills += 1;
        model.compare(directory.path());
    }
    eprintln!("{kills} kills, {} transactions acknowledged", model.acknowledged);
    assert!(model.acknowledged > 0, "nothing was written");
    check(&store_file(directory.path())).unwrap();
}

#[test]
fn a_process_goes_on_writing_when_another_one_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let mut model = Model::default();
    let start = Instant::now();
    let mut survivor = Process::start(directory.path(), &["a"]);
    let mut writers = ["b", "a"].into_iter().cycle();
    let mut kills = 0;
    while kills < 40 && start.elapsed() < LONGEST {
        let next = Process::start(directory.path(), &[writers.next().unwrap()]);
        std::thread::sleep(Duration::from_millis(fastrand::u64(0..120)));
        let mut killed = std::mem::replace(&mut survivor, next);
        model.acknowledge(killed.kill());
        kills += 1;
        let line = survivor.acknowledged.recv_timeout(LONGEST);
        model.acknowledge(vec![line.expect("the survivor writes")]);
    }
    model.acknowledge(survivor.kill());
    model.compare(directory.path());
    check(&store_file(directory.path())).unwrap();
}

/// Not a test of its own: what the tests above start and kill.
#[test]
fn writer_process() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let store = EmbeddedStore::open(Path::new(&directory)).unwrap();
    std::thread::scope(|scope| {
        for writer in std::env::var(WRITERS).unwrap().split(',') {
            let (store, writer) = (&store, writer.to_owned());
            scope.spawn(move || write_for_ever(store, &writer));
        }
    });
}

fn write_for_ever(store: &EmbeddedStore, writer: &str) {
    let known = store.read().unwrap().get(&counter(writer)).unwrap();
    let mut number = match known {
        Some(record) => String::from_utf8(record.value).unwrap().parse::<u64>().unwrap() + 1,
        None => 0,
    };
    loop {
        let revision = store.commit(transaction(writer, number)).unwrap();
        // One write: a line is whole, or not there.
        let line = format!("{writer} {number} {revision}\n");
        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
        number += 1;
    }
}

fn counter(writer: &str) -> Key {
    Key::new(&["writers", writer])
}

fn item(writer: &str, number: u64) -> Key {
    counter(writer).child("items").child(&(number % ITEMS).to_string())
}

fn steady(writer: &str) -> Key {
    counter(writer).child("steady")
}

/// A writer's transactions: each one is known by its number.
fn transaction(writer: &str, number: u64) -> Transaction {
    let mut transaction = Transaction::new();
    if number == 0 {
        transaction.add_put(steady(writer), "1".repeat(5_000).into());
    }
    if number % 11 == 10 {
        transaction.add_delete_with_descendants(counter(writer).child("items"));
    }
    transaction
        .put(counter(writer), number.to_string().into())
        .put(item(writer, number), content(number))
        .delete(item(writer, number + 3))
        .touch(steady(writer))
}

/// JSON, as all that is in a store.
fn content(number: u64) -> Vec<u8> {
    let length = match number {
        number if number.is_multiple_of(50) => 300_000,
        number if number.is_multiple_of(5) => 5_000,
        _ => 20,
    };
    format!("\"{number}{}\"", "x".repeat(length)).into_bytes()
}

struct Process {
    child: Child,
    acknowledged: Receiver<Acknowledged>,
}

/// A writer, the number of its transaction, its revision.
type Acknowledged = (String, u64, Revision);

impl Process {
    fn start(directory: &Path, writers: &[&str]) -> Self {
        let mut child = Command::new(this_binary())
            .args(["--exact", "writer_process", "--nocapture", "--quiet"])
            .env(DIRECTORY, directory)
            .env(WRITERS, writers.join(","))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, acknowledged) = channel();
        // It ends with the process, whose end of the pipe is the only one.
        std::thread::spawn(move || {
            let lines = output.lines().map_while(Result::ok);
            lines.filter_map(|line| parse(&line)).try_for_each(|line| sender.send(line))
        });
        Self { child, acknowledged }
    }

    /// Kills it. Gives what it was told, as far as nobody has taken it.
    fn kill(&mut self) -> Vec<Acknowledged> {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), None, "it ended by itself");
        self.acknowledged.iter().collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn this_binary() -> PathBuf {
    std::env::current_exe().unwrap()
}

/// None for what the test runner prints.
fn parse(line: &str) -> Option<Acknowledged> {
    let mut words = line.split(' ');
    let (writer, number, revision) = (words.next()?, words.next()?, words.next()?);
    Some((writer.to_owned(), number.parse().ok()?, revision.parse().ok()?))
}

#[derive(Default)]
struct Model {
    writers: BTreeMap<String, Known>,
    acknowledged: usize,
}

#[derive(Default)]
struct Known {
    /// The last transaction that was acknowledged, and its revision.
    acknowledged: Option<(u64, Revision)>,
    /// How many transactions are in `records`.
    made: u64,
    records: BTreeMap<Key, Vec<u8>>,
}

impl Model {
    fn acknowledge(&mut self, acknowledged: Vec<Acknowledged>) {
        self.acknowledged += acknowledged.len();
        for (writer, number, revision) in acknowledged {
            let known = self.writers.entry(writer).or_default();
            known.acknowledged = known.acknowledged.max(Some((number, revision)));
        }
    }

    /// Each writer's records are those after its last acknowledged transaction, or one more.
    fn compare(&mut self, directory: &Path) {
        if !store_file(directory).exists() {
            assert!(self.writers.is_empty(), "the store is gone");
            return;
        }
        let store = EmbeddedStore::open(directory).unwrap();
        let snapshot = store.read().unwrap();
        for writer in ["a", "b", "c"] {
            let known = self.writers.entry(writer.to_owned()).or_default();
            let Some(counter) = snapshot.get(&counter(writer)).unwrap() else {
                assert_eq!(known.acknowledged, None, "writer {writer} lost everything");
                continue;
            };
            let number: u64 = String::from_utf8(counter.value).unwrap().parse().unwrap();
            // One that was made when its process died may not have been acknowledged.
            let acknowledged = known.acknowledged.map_or(0, |(number, _)| number + 1);
            let made = known.made.max(acknowledged);
            assert!([made, made + 1].contains(&(number + 1)), "{number}, {made} were made");
            if let Some((last, revision)) = known.acknowledged
                && last == number
            {
                assert_eq!(counter.revision, revision, "{number} of {writer}");
            }
            known.make_up_to(writer, number);
            let key = Key::new(&["writers", writer]);
            let found = snapshot.list(&key, Depth::Descendants, None, usize::MAX).unwrap();
            for (key, record) in &found {
                assert_eq!(Some(&record.value), known.records.get(key), "{key} after {number}");
            }
            assert_eq!(found.len(), known.records.len(), "records of {writer} after {number}");
            let touched = snapshot.get(&steady(writer)).unwrap().unwrap();
            assert_eq!(touched.revision, counter.revision, "half of {number} of {writer}");
        }
    }
}

impl Known {
    fn make_up_to(&mut self, writer: &str, last: u64) {
        for number in self.made..=last {
            if number == 0 {
                self.records.insert(steady(writer), "1".repeat(5_000).into());
            }
            if number % 11 == 10 {
                let items = counter(writer).child("items");
                self.records.retain(|key, _| !key.is_under(&items));
            }
            self.records.insert(item(writer, number), content(number));
            self.records.remove(&item(writer, number + 3));
        }
        self.made = last + 1;
    }
}
