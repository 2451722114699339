//! A disk that is full for a while. It is a process of its own: how large its files may get is
//! limited for all of it.

use tollgate_store::{CommitError, EmbeddedStore, Key, Store, StoreError, Transaction};

#[test]
fn a_store_goes_on_when_a_full_disk_has_room_again() {
    // SAFETY: a signal number and what to do with it, no handler.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path()).unwrap();
    let key = |name| Key::new(&["apis", name]);
    store.commit(Transaction::new().put(key("before"), b"1".to_vec())).unwrap();
    let before = store.read().unwrap();

    limit_files(1 << 20);
    for _ in 0..3 {
        let large = Transaction::new().put(key("large"), vec![1; 30 << 20]);
        let error = store.commit(large).unwrap_err();
        assert!(matches!(error, CommitError::Store(StoreError::Engine(_))), "{error}");
        let snapshot = store.read().unwrap();
        assert_eq!(snapshot.get(&key("before")).unwrap().unwrap().value, b"1");
        assert_eq!(snapshot.get(&key("large")).unwrap(), None);
    }
    limit_files(libc::RLIM_INFINITY);

    assert_eq!(before.get(&key("before")).unwrap().unwrap().value, b"1");
    assert_eq!(store.commit(Transaction::new().put(key("after"), b"2".to_vec())).unwrap(), 2);
    drop(before);
    drop(store);
    let store = EmbeddedStore::open(directory.path()).unwrap();
    assert_eq!(store.read().unwrap().get(&key("after")).unwrap().unwrap().value, b"2");
}

fn limit_files(bytes: libc::rlim_t) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: it reads the struct during the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) }, 0);
}
