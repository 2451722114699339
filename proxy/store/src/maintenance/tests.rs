use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::{EmbeddedStore, Store, Transaction};

/// Three records, one of them large.
fn filled() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fill(&EmbeddedStore::open(directory.path()).unwrap());
    directory
}

fn fill(store: &EmbeddedStore) {
    let api = Key::new(&["restapis", "a"]);
    let definition = json!({ "body": "x".repeat(100_000) }).to_string();
    let transaction = Transaction::new()
        .put(api.clone(), br#"{"name":"pets"}"#.to_vec())
        .put(api.child("definitions").child("d/1"), definition.into());
    store.commit(transaction).unwrap();
    store.commit(Transaction::new().put(Key::new(&["account"]), b"{}".to_vec())).unwrap();
}

fn exported(directory: &Path) -> Value {
    let mut output = Vec::new();
    export(directory, &mut output).unwrap();
    serde_json::from_slice(&output).unwrap()
}

/// A store as a killed process leaves it.
fn crashed() -> TempDir {
    let (directory, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = EmbeddedStore::open(directory.path()).unwrap();
    fill(&store);
    fs::copy(store_file(directory.path()), store_file(copy.path())).unwrap();
    copy
}

#[test]
fn a_check_says_what_is_in_a_store_and_leaves_it_as_it_is() {
    for directory in [filled(), crashed()] {
        let file = store_file(directory.path());
        let before = fs::read(&file).unwrap();
        let report = check(&file).unwrap();
        let kinds = [("account", 1), ("restapis", 1), ("restapis/definitions", 1)];
        assert_eq!(report.kinds, kinds.map(|(kind, count)| (kind.to_owned(), count)).into());
        assert_eq!((report.revision, report.records()), (2, 3));
        assert_eq!(report.bytes, before.len() as u64);
        assert!(fs::read(&file).unwrap() == before, "it was changed");
    }
}

#[test]
fn a_store_that_nobody_may_write_to_can_be_checked_and_copied() {
    let directory = filled();
    let file = store_file(directory.path());
    let mut permissions = fs::metadata(&file).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&file, permissions).unwrap();
    let opened = File::open(&file).unwrap();
    // Root may write to it all the same: what counts is what it was opened for.
    let opened = StoreFile::open_claimed(&file, opened).unwrap();
    assert_eq!(report(&opened).unwrap().records(), 3);
    assert_eq!(check(&file).unwrap().records(), 3);
}

#[test]
fn a_backup_is_whole_while_the_store_is_written_to() {
    let directory = filled();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut written = 0;
            while !is_done.load(Ordering::Relaxed) {
                let number = written.to_string();
                let both = ["one", "two"].map(|name| Key::new(&["pairs", name]));
                let [one, two] = both;
                let pair =
                    Transaction::new().put(one, number.clone().into()).put(two, number.into());
                store.commit(pair).unwrap();
                written += 1;
            }
            written
        });
        let copies = scope.spawn(|| (0..10).for_each(|_| assert_copy_is_whole(directory.path())));
        let copies = copies.join();
        // The writer ends, whatever came of the copies.
        is_done.store(true, Ordering::Relaxed);
        assert!(writer.join().unwrap() > 0);
        copies.unwrap();
    });
}

fn assert_copy_is_whole(directory: &Path) {
    let (copy, restored) = (directory.join("backup"), tempfile::tempdir().unwrap());
    backup(directory, &copy).unwrap();
    restore(&copy, restored.path(), Existing::Refuse).unwrap();
    let records = &exported(restored.path())["records"];
    assert_eq!(records["pairs/one"], records["pairs/two"]);
    assert_eq!(records["restapis/a"]["name"], "pets");
}

#[test]
fn what_was_restored_is_what_was_there() {
    for source in [filled(), crashed()] {
        let file = source.path().join("backup");
        assert_eq!(backup(source.path(), &file).unwrap().records(), 3);
        let before = fs::read(&file).unwrap();
        let target = tempfile::tempdir().unwrap();
        let restored = restore(&file, target.path(), Existing::Refuse).unwrap();
        assert_eq!((restored.report.revision, restored.put_aside), (2, None));
        assert_eq!(exported(target.path()), exported(source.path()));
        assert!(fs::read(&file).unwrap() == before, "the backup was changed");
        let store = EmbeddedStore::open(target.path()).unwrap();
        assert_eq!(
            store.changes(0).unwrap(),
            EmbeddedStore::open(source.path()).unwrap().changes(0).unwrap()
        );
        assert_eq!(store.commit(Transaction::new().touch(Key::new(&["account"]))).unwrap(), 3);
    }
}

#[test]
fn a_store_with_something_in_it_is_put_aside_or_left_alone() {
    let (source, target) = (filled(), filled());
    let other = Key::new(&["account"]);
    let store = EmbeddedStore::open(target.path()).unwrap();
    store.commit(Transaction::new().put(other, b"{\"mine\":1}".to_vec())).unwrap();
    drop(store);
    let (from, file) = (store_file(source.path()), store_file(target.path()));
    let before = exported(target.path());
    let error = restore(&from, target.path(), Existing::Refuse).unwrap_err();
    assert!(matches!(error, StoreError::NotEmpty { records: 3, .. }), "{error}");
    assert_eq!(exported(target.path()), before);
    for number in 1..=2 {
        let restored = restore(&from, target.path(), Existing::PutAside).unwrap();
        let aside = target.path().join(format!("store.redb.replaced-{number}"));
        assert_eq!(restored.put_aside.as_ref(), Some(&aside));
        assert_eq!(exported(target.path()), exported(source.path()));
    }
    fs::rename(target.path().join("store.redb.replaced-1"), file).unwrap();
    assert_eq!(exported(target.path()), before);
}

#[test]
fn an_empty_store_gives_way_and_a_broken_one_only_when_told() {
    let (source, target) = (filled(), tempfile::tempdir().unwrap());
    let from = store_file(source.path());
    drop(EmbeddedStore::open(target.path()).unwrap());
    restore(&from, target.path(), Existing::Refuse).unwrap();
    fs::write(store_file(target.path()), "broken").unwrap();
    let error = restore(&from, target.path(), Existing::Refuse).unwrap_err();
    assert!(matches!(error, StoreError::Unusable { .. }), "{error}");
    restore(&from, target.path(), Existing::PutAside).unwrap();
    assert_eq!(exported(target.path()), exported(source.path()));
}

#[test]
fn nothing_is_restored_under_a_gateway_that_runs() {
    let (source, target) = (filled(), tempfile::tempdir().unwrap());
    let store = EmbeddedStore::open(target.path()).unwrap();
    let from = store_file(source.path());
    for existing in [Existing::Refuse, Existing::PutAside] {
        let error = restore(&from, target.path(), existing).unwrap_err();
        assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    }
    store.commit(Transaction::new().put(Key::new(&["account"]), b"1".to_vec())).unwrap();
    drop(store);
    assert_eq!(exported(target.path())["records"], json!({ "account": 1 }));
}

#[test]
fn an_export_is_one_json_document_with_all_records() {
    let directory = filled();
    let document = exported(directory.path());
    assert_eq!(document["revision"], 2);
    let records = document["records"].as_object().unwrap();
    let keys = ["account", "restapis/a", "restapis/a/definitions/d%2F1"];
    assert_eq!(records.keys().collect::<Vec<_>>(), keys);
    assert_eq!(records["restapis/a"], json!({ "name": "pets" }));
    let empty = tempfile::tempdir().unwrap();
    drop(EmbeddedStore::open(empty.path()).unwrap());
    assert_eq!(exported(empty.path()), json!({ "revision": 0, "records": {} }));
}

#[test]
fn a_value_that_is_not_json_is_named() {
    let directory = filled();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    store.commit(Transaction::new().put(Key::new(&["stages", "x"]), b"{".to_vec())).unwrap();
    let errors = [
        check(&store_file(directory.path())).unwrap_err(),
        export(directory.path(), &mut Vec::new()).unwrap_err(),
    ];
    for error in errors {
        assert!(error.to_string().starts_with("the store: the record stages/x is not JSON: EOF"));
    }
}

#[test]
fn a_newer_layout_is_refused_with_both_versions() {
    let directory = filled();
    let file = store_file(directory.path());
    let database = redb::Database::create(&file).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(META).unwrap().insert("format", 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let before = fs::read(&file).unwrap();
    let text = "was written by a newer version of Tollgate (layout 2, this one knows 1)";
    for error in [
        check(&file).unwrap_err(),
        EmbeddedStore::open(directory.path()).err().unwrap(),
        restore(&file, tempfile::tempdir().unwrap().path(), Existing::Refuse).unwrap_err(),
        export(directory.path(), &mut Vec::new()).unwrap_err(),
    ] {
        assert!(error.to_string().contains(text), "{error}");
    }
    assert!(fs::read(&file).unwrap() == before, "it was changed");
}

#[test]
fn what_is_no_store_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let file = store_file(directory.path());
    let error = check(&file).unwrap_err();
    assert!(error.to_string().ends_with("store.redb: there is no store"), "{error}");
    let other = directory.path().join("other.redb");
    drop(redb::Database::create(&other).unwrap());
    let other = fs::read(other).unwrap();
    for (content, text) in [
        (&b""[..], "it is empty, or not a file"),
        (b"x", "Not a redb database"),
        ("a text file\n".repeat(1_000).as_bytes(), "Not a redb database"),
        (&other, "it is a database, but not a store of Tollgate"),
    ] {
        fs::write(&file, content).unwrap();
        for error in [check(&file).err(), EmbeddedStore::open(directory.path()).err()] {
            let error = error.expect(text).to_string();
            assert!(error.contains("cannot be used") && error.contains(text), "{error}");
        }
        assert!(fs::read(&file).unwrap() == content, "it was changed");
    }
}

#[test]
fn a_damaged_file_is_refused_or_whole_and_left_as_it_is() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut refused = 0;
    for (number, source) in [filled(), crashed()].iter().cycle().take(200).enumerate() {
        let whole = fs::read(store_file(source.path())).unwrap();
        let damaged = damage(whole, &mut random);
        let directory = tempfile::tempdir().unwrap();
        let file = store_file(directory.path());
        fs::write(&file, &damaged).unwrap();
        let checked = check(&file);
        assert!(fs::read(&file).unwrap() == damaged, "seed {seed}, {number}: it was changed");
        match EmbeddedStore::open(directory.path()) {
            Ok(store) => {
                // Damage to what isn't in use, or to a commit that was not the last.
                drop(store);
                assert_eq!(exported(directory.path()), exported(source.path()), "seed {seed}");
            }
            Err(error) => {
                refused += 1;
                let text = format!("seed {seed}, {number}: {error}");
                assert!(matches!(error, StoreError::Unusable { .. }), "{text}");
                assert!(fs::read(&file).unwrap() == damaged, "{text}: it was changed");
                assert!(checked.is_err(), "{text}");
            }
        }
    }
    assert!(refused > 20, "only {refused} were refused: is anything damaged?");
}

fn damage(mut bytes: Vec<u8>, random: &mut fastrand::Rng) -> Vec<u8> {
    match random.u8(..4) {
        0 => bytes.truncate(random.usize(1..bytes.len())),
        1 => {
            let start = random.usize(..bytes.len() - 4096);
            random.fill(&mut bytes[start..start + 4096]);
        }
        // The header, and the first pages. One bit is left out, the lowest of byte 9: it says
        // which of the last two commits is the newer one, and nothing tells that it is wrong.
        2 => (0..4).for_each(|_| bytes[random.usize(10..20_000)] ^= 1 << random.u8(..8)),
        _ => {
            let length = bytes.len();
            (0..200).for_each(|_| bytes[random.usize(..length)] ^= 1 << random.u8(..8));
        }
    }
    bytes
}

/// Who reads an export, and changes the store meanwhile.
struct Reader<'s>(&'s EmbeddedStore);

impl Write for Reader<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let change = Transaction::new().put(Key::new(&["account"]), b"[]".to_vec());
        self.0.commit(change).map(|_| bytes.len()).map_err(io::Error::other)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_store_is_written_to_while_somebody_reads_its_export() {
    let directory = filled();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    export(directory.path(), &mut Reader(&store)).unwrap();
    drop(store);
    assert_eq!(exported(directory.path())["records"]["account"], json!([]));
}

#[test]
fn a_store_is_never_its_own_backup() {
    let directory = filled();
    let file = store_file(directory.path());
    let link = directory.path().join("backup.redb");
    fs::hard_link(&file, &link).unwrap();
    let relative = directory.path().join(".").join("store.redb");
    let store = EmbeddedStore::open(directory.path()).unwrap();
    for target in [&file, &relative, &link] {
        let error = backup(directory.path(), target).unwrap_err();
        assert!(error.to_string().contains("is the store itself"), "{error}");
    }
    store.commit(Transaction::new().put(Key::new(&["account"]), b"[]".to_vec())).unwrap();
    drop(store);
    assert_eq!(exported(directory.path())["records"]["account"], json!([]));
}

#[test]
fn a_store_that_somebody_has_open_is_nobodys_backup() {
    let (directory, other) = (filled(), filled());
    let store = EmbeddedStore::open(other.path()).unwrap();
    let error = backup(directory.path(), &store_file(other.path())).unwrap_err();
    assert!(matches!(error, StoreError::NoBackup { .. }), "{error}");
    drop(store);
    backup(directory.path(), &store_file(other.path())).unwrap();
}
