use std::collections::BTreeSet;
use std::sync::Barrier;
use std::time::Duration;

use super::*;
use crate::{Depth, KEYS_REMEMBERED, MAX_KEY_BYTES, MAX_VALUE_BYTES, REVISIONS_REMEMBERED};

fn store() -> EmbeddedStore {
    EmbeddedStore::in_memory().unwrap()
}

fn api(id: &str) -> Key {
    Key::new(&["restapis", id])
}

fn put(key: &Key, value: &str) -> Transaction {
    Transaction::new().put(key.clone(), value.into())
}

fn value(store: &impl Store, key: &Key) -> Option<(Revision, String)> {
    let record = store.read().unwrap().get(key).unwrap()?;
    Some((record.revision, String::from_utf8(record.value).unwrap()))
}

fn names(
    store: &impl Store,
    under: &Key,
    depth: Depth,
    after: Option<&Key>,
    limit: usize,
) -> Vec<String> {
    let found = store.read().unwrap().list(under, depth, after, limit).unwrap();
    found.into_iter().map(|(key, _)| key.to_string()).collect()
}

#[test]
fn what_was_put_is_there_with_its_revision_until_it_is_deleted() {
    let store = store();
    assert_eq!(store.read().unwrap().revision(), 0);
    assert_eq!(store.commit(put(&api("a"), "1")).unwrap(), 1);
    assert_eq!(store.commit(put(&api("b"), "2")).unwrap(), 2);
    assert_eq!(value(&store, &api("a")), Some((1, "1".to_owned())));
    assert_eq!(store.commit(Transaction::new().touch(api("a"))).unwrap(), 3);
    assert_eq!(value(&store, &api("a")), Some((3, "1".to_owned())));
    assert_eq!(store.commit(Transaction::new().delete(api("a"))).unwrap(), 4);
    assert_eq!(value(&store, &api("a")), None);
    assert_eq!(value(&store, &api("b")), Some((2, "2".to_owned())));
    assert_eq!(store.read().unwrap().revision(), 4);
}

#[test]
fn what_changes_nothing_is_no_commit() {
    let store = store();
    store.commit(put(&api("a"), "1")).unwrap();
    let nothing = Transaction::new().expect(api("a"), Some(1)).delete(api("b"));
    assert_eq!(store.commit(nothing).unwrap(), 1);
    assert_eq!(store.read().unwrap().revision(), 1);
}

#[test]
fn values_of_all_sizes_are_kept_and_may_change_size() {
    let store = store();
    let key = api("a");
    for bytes in [0, INLINE_BYTES, INLINE_BYTES + 1, 5_000_000, 1, 10_000, 10_001] {
        let value = "x".repeat(bytes);
        let revision = store.commit(put(&key, &value)).unwrap();
        assert_eq!(self::value(&store, &key), Some((revision, value.clone())));
        let revision = store.commit(Transaction::new().touch(key.clone())).unwrap();
        assert_eq!(self::value(&store, &key), Some((revision, value)));
    }
    store.commit(Transaction::new().delete(key.clone())).unwrap();
    store.commit(put(&key, "small")).unwrap();
    assert_eq!(value(&store, &key).unwrap().1, "small");
}

#[test]
fn a_transaction_is_made_whole_or_not_at_all() {
    let store = store();
    store.commit(put(&api("a"), "1")).unwrap();
    let transaction = put(&api("b"), "2").delete(api("a")).touch(api("missing"));
    let error = store.commit(transaction).unwrap_err();
    assert!(matches!(&error, CommitError::Conflict(key) if *key == api("missing")), "{error}");
    assert_eq!(names(&store, &Key::new(&[]), Depth::Descendants, None, 9), ["restapis/a"]);
    assert_eq!(store.read().unwrap().revision(), 1);
}

#[test]
fn expectations_are_about_what_was_there_before() {
    let store = store();
    let create = || put(&api("a"), "1").expect(api("a"), None);
    store.commit(create()).unwrap();
    for (transaction, conflicts) in [
        (create(), true),
        (put(&api("a"), "2").expect(api("a"), Some(1)), false),
        (put(&api("a"), "3").expect(api("a"), Some(1)), true),
        (put(&api("c"), "4").expect(api("b"), Some(1)), true),
        (Transaction::new().touch(api("a")).expect(api("a"), Some(2)), false),
        (put(&api("a"), "5").expect(api("a"), Some(2)), true),
    ] {
        let text = format!("{transaction:?}");
        let result = store.commit(transaction);
        assert_eq!(
            matches!(result, Err(CommitError::Conflict(_))),
            conflicts,
            "{text}: {result:?}"
        );
    }
    assert_eq!(value(&store, &api("a")), Some((3, "2".to_owned())));
}

#[test]
fn changes_are_made_in_their_order() {
    let store = store();
    store.commit(put(&api("a").child("models").child("old"), "1")).unwrap();
    let transaction = put(&api("a"), "2")
        .delete_with_descendants(api("a"))
        .put(api("a").child("models").child("new"), "3".into())
        .put(api("a"), "4".into())
        .touch(api("a"));
    store.commit(transaction).unwrap();
    let names = names(&store, &Key::new(&[]), Depth::Descendants, None, 9);
    assert_eq!(names, ["restapis/a", "restapis/a/models/new"]);
    assert_eq!(value(&store, &api("a")), Some((2, "4".to_owned())));
}

#[test]
fn what_is_under_a_key_goes_with_it_and_nothing_else() {
    let store = store();
    let large = "x".repeat(10_000);
    let mut transaction = Transaction::new();
    for id in ["a", "a\0", "a ", "ab", "b"] {
        transaction.add_put(api(id), "1".into());
        transaction.add_put(api(id).child("resources").child("r"), large.clone().into());
    }
    store.commit(transaction).unwrap();
    store.commit(Transaction::new().delete_with_descendants(api("a"))).unwrap();
    let left = names(&store, &Key::new(&["restapis"]), Depth::Children, None, 9);
    assert_eq!(left, ["restapis/a\0", "restapis/a ", "restapis/ab", "restapis/b"]);
    assert_eq!(value(&store, &api("a").child("resources").child("r")), None);
    store.commit(Transaction::new().delete(api("ab"))).unwrap();
    assert!(value(&store, &api("ab").child("resources").child("r")).is_some());
    store.commit(Transaction::new().delete_with_descendants(Key::new(&[]))).unwrap();
    assert!(names(&store, &Key::new(&[]), Depth::Descendants, None, 9).is_empty());
}

#[test]
fn children_are_listed_in_order_and_in_pages() {
    let store = store();
    let mut transaction = Transaction::new();
    for id in ["c", "a", "b", "d"] {
        transaction.add_put(api(id), "1".into());
        for resource in ["x", "y"] {
            transaction.add_put(api(id).child("resources").child(resource), "2".into());
        }
    }
    // It has no record itself.
    transaction.add_put(api("between").child("models").child("m"), "3".into());
    transaction.add_put(Key::new(&["apikeys", "k"]), "4".into());
    transaction.add_put(Key::new(&["restapisx", "k"]), "5".into());
    store.commit(transaction).unwrap();
    let apis = Key::new(&["restapis"]);
    let children = |after: Option<&Key>, limit| names(&store, &apis, Depth::Children, after, limit);
    assert_eq!(children(None, 9), ["restapis/a", "restapis/b", "restapis/c", "restapis/d"]);
    assert_eq!(children(None, 2), ["restapis/a", "restapis/b"]);
    assert_eq!(children(Some(&api("b")), 2), ["restapis/c", "restapis/d"]);
    assert_eq!(children(Some(&api("bb")), 1), ["restapis/c"]);
    assert_eq!(children(Some(&api("b").child("resources").child("x")), 1), ["restapis/c"]);
    assert_eq!(children(Some(&api("d")), 2), [""; 0]);
    assert_eq!(children(Some(&Key::new(&["z"])), 2), [""; 0]);
    assert_eq!(children(Some(&Key::new(&["apikeys"])), 1), ["restapis/a"]);
    assert_eq!(children(None, 0), [""; 0]);
    assert_eq!(names(&store, &api("a"), Depth::Children, None, 9), [""; 0]);
    let resources = names(&store, &api("a").child("resources"), Depth::Children, None, 9);
    assert_eq!(resources, ["restapis/a/resources/x", "restapis/a/resources/y"]);
}

#[test]
fn descendants_are_listed_in_order_and_in_pages() {
    let store = store();
    let mut transaction = Transaction::new();
    for id in ["b", "a"] {
        transaction.add_put(api(id), "1".into());
        transaction.add_put(api(id).child("stages").child("prod"), "2".into());
    }
    store.commit(transaction).unwrap();
    let apis = Key::new(&["restapis"]);
    let all = ["restapis/a", "restapis/a/stages/prod", "restapis/b", "restapis/b/stages/prod"];
    assert_eq!(names(&store, &apis, Depth::Descendants, None, 9), all);
    let mut after = None;
    for name in all {
        let page =
            store.read().unwrap().list(&apis, Depth::Descendants, after.as_ref(), 1).unwrap();
        assert_eq!(page[0].0.to_string(), name);
        after = Some(page[0].0.clone());
    }
    assert_eq!(names(&store, &apis, Depth::Descendants, after.as_ref(), 1), [""; 0]);
    assert_eq!(names(&store, &api("a"), Depth::Descendants, None, 9), [all[1]]);
}

#[test]
fn a_snapshot_stays_as_it_is() {
    let store = store();
    store.commit(put(&api("a"), "1")).unwrap();
    let before = store.read().unwrap();
    store.commit(put(&api("a"), "2").put(api("b"), "3".into())).unwrap();
    assert_eq!(before.revision(), 1);
    assert_eq!(before.get(&api("a")).unwrap().unwrap().value, b"1");
    assert_eq!(before.get(&api("b")).unwrap(), None);
}

#[test]
fn changes_name_what_was_put_touched_and_deleted_since() {
    let store = store();
    store.commit(put(&api("a"), "1").put(api("b"), "1".into())).unwrap();
    store.commit(put(&api("c"), "1")).unwrap();
    store.commit(Transaction::new().touch(api("b")).delete(api("c")).delete(api("never"))).unwrap();
    let keys = |ids: &[&str]| Changes::Keys(ids.iter().map(|id| api(id)).collect());
    assert_eq!(store.changes(0).unwrap(), keys(&["a", "b", "c"]));
    assert_eq!(store.changes(1).unwrap(), keys(&["b", "c"]));
    assert_eq!(store.changes(3).unwrap(), keys(&[]));
    assert_eq!(store.changes(4).unwrap(), Changes::Forgotten);
}

#[test]
fn the_oldest_changes_are_forgotten() {
    let store = store();
    for number in 0..REVISIONS_REMEMBERED + 5 {
        store.commit(put(&api(&number.to_string()), "1")).unwrap();
    }
    assert_eq!(store.changes(4).unwrap(), Changes::Forgotten);
    assert!(matches!(store.changes(5).unwrap(), Changes::Keys(keys) if keys.len() == 1_000));

    let mut large = Transaction::new();
    (0..KEYS_REMEMBERED + 1).for_each(|number| large.add_put(api(&number.to_string()), vec![]));
    let revision = store.commit(large).unwrap();
    assert!(
        matches!(store.changes(revision - 1).unwrap(), Changes::Keys(keys) if keys.len() == 10_001)
    );
    assert_eq!(store.changes(revision - 2).unwrap(), Changes::Forgotten);
    store.commit(put(&api("a"), "1")).unwrap();
    assert_eq!(store.changes(revision - 1).unwrap(), Changes::Forgotten);
    assert_eq!(store.changes(revision).unwrap(), Changes::Keys(BTreeSet::from([api("a")])));
}

#[test]
fn who_waits_is_woken_by_a_commit() {
    let store = store();
    assert_eq!(store.wait(0, Duration::ZERO).unwrap(), 0);
    assert_eq!(store.wait(0, Duration::from_millis(20)).unwrap(), 0);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| store.wait(0, Duration::from_secs(60)).unwrap());
        std::thread::sleep(Duration::from_millis(20));
        store.commit(put(&api("a"), "1")).unwrap();
        assert_eq!(waiting.join().unwrap(), 1);
    });
    assert_eq!(store.wait(0, Duration::from_secs(60)).unwrap(), 1);
}

#[test]
fn of_all_who_read_the_same_one_writes() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    let key = api("a");
    store.commit(put(&key, "0")).unwrap();
    let start = Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                start.wait();
                (0..25).for_each(|_| increment(&store, &key));
            });
        }
    });
    assert_eq!(value(&store, &key), Some((101, "100".to_owned())));
}

fn increment(store: &EmbeddedStore, key: &Key) {
    loop {
        let (revision, number) = value(store, key).unwrap();
        let number: u64 = number.parse().unwrap();
        let next = put(key, &(number + 1).to_string()).expect(key.clone(), Some(revision));
        match store.commit(next) {
            Err(CommitError::Conflict(_)) => {}
            result => {
                result.unwrap();
                return;
            }
        }
    }
}

#[test]
fn two_that_have_the_file_open_see_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let old = EmbeddedStore::open(directory.path()).unwrap();
    old.commit(put(&api("a"), "1")).unwrap();
    let new = EmbeddedStore::open(directory.path()).unwrap();
    assert_eq!(value(&new, &api("a")), Some((1, "1".to_owned())));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| old.wait(1, Duration::from_secs(60)).unwrap());
        new.commit(put(&api("a"), "2").expect(api("a"), Some(1))).unwrap();
        assert_eq!(waiting.join().unwrap(), 2);
    });
    let late = old.commit(put(&api("a"), "3").expect(api("a"), Some(1)));
    assert!(matches!(late, Err(CommitError::Conflict(_))));
    drop(new);
    old.commit(put(&api("b"), "4")).unwrap();
    drop(old);
    let again = EmbeddedStore::open(directory.path()).unwrap();
    assert_eq!(value(&again, &api("b")), Some((3, "4".to_owned())));
}

#[test]
fn what_is_too_large_is_refused_with_what_is_allowed() {
    let store = store();
    let value = vec![0; MAX_VALUE_BYTES + 1];
    let many = (0..5).fold(Transaction::new(), |many, number| {
        many.put(api(&number.to_string()), vec![0; MAX_VALUE_BYTES])
    });
    for (transaction, text) in [
        (
            Transaction::new().put(api("a"), value),
            "the value of restapis/a has 67108865 bytes; allowed: up to 67108864",
        ),
        (many, "a transaction has 335544375 bytes; allowed: up to 268435456"),
        (
            Transaction::new().touch(api(&"x".repeat(MAX_KEY_BYTES))),
            "a key has 4106 bytes; allowed: up to 4096",
        ),
    ] {
        let error = store.commit(transaction).unwrap_err();
        assert_eq!(error.to_string(), format!("the store: {text}"));
    }
    let largest = Transaction::new().put(api("a"), vec![b' '; MAX_VALUE_BYTES]);
    assert_eq!(store.commit(largest).unwrap(), 1);
}

#[test]
fn the_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("a/b");
    drop(EmbeddedStore::open(&inner).unwrap());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&inner), 0o700);
    assert_eq!(mode(&store_file(&inner)), 0o600);
    assert_eq!(fs::read_dir(&inner).unwrap().count(), 1);
}

#[test]
fn a_writer_that_does_not_end_is_not_waited_for_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    store.commit(put(&api("a"), "1")).unwrap();
    let file = store_file(directory.path());
    let other = open_shared(&file).unwrap();
    let endless = other.begin_write().unwrap();
    std::thread::scope(|scope| {
        let check = scope.spawn(|| crate::check(&file).unwrap_err().to_string());
        let error = store.commit(put(&api("a"), "2")).unwrap_err();
        assert!(matches!(error, CommitError::Store(StoreError::Busy)), "{error}");
        assert!(check.join().unwrap().contains("has been writing to it for too long"));
    });
    assert_eq!(value(&store, &api("a")), Some((1, "1".to_owned())));
    endless.abort().unwrap();
    assert_eq!(store.commit(put(&api("a"), "2")).unwrap(), 2);
}
