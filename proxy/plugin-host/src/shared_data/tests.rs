use std::sync::atomic::AtomicU32;
use std::thread;

use super::*;

const LIMIT: usize = 10_000;

fn data() -> Arc<SharedData> {
    SharedStores::default().of(Namespace::VmId("vm".into()), LIMIT)
}

fn set(data: &SharedData, key: &str, value: &str, condition: Condition) -> Result<u64, WriteError> {
    data.write(key.as_bytes(), value.as_bytes(), None, condition)
}

fn value(data: &SharedData, key: &str) -> Option<String> {
    Some(String::from_utf8_lossy(&data.get(key.as_bytes())?.value).into_owned())
}

fn used(data: &SharedData) -> usize {
    data.used.load(Ordering::Relaxed)
}

#[test]
fn every_write_gives_another_version_that_is_never_zero() {
    let data = data();
    assert_eq!(data.get(b"a"), None);
    let first = set(&data, "a", "1", Condition::Always).unwrap();
    let second = set(&data, "a", "1", Condition::Always).unwrap();
    assert!(first != 0 && second != first);
    assert_eq!(data.get(b"a").unwrap().version, second);
    data.last_version.store(u64::from(u32::MAX) - 1, Ordering::Relaxed);
    for _ in 0..3 {
        set(&data, "a", "2", Condition::Always).unwrap();
        assert_ne!(data.get(b"a").unwrap().cas(), 0);
    }
}

#[test]
fn a_component_compares_versions_and_zero_is_absence() {
    let data = data();
    assert_eq!(set(&data, "a", "1", Condition::Version(7)), Err(WriteError::Conflict(0)));
    let version = set(&data, "a", "1", Condition::Version(0)).unwrap();
    assert_eq!(set(&data, "a", "2", Condition::Version(0)), Err(WriteError::Conflict(version)));
    assert!(set(&data, "a", "2", Condition::Version(version)).is_ok());
    assert!(set(&data, "a", "3", Condition::Version(version)).is_err());
    assert_eq!(value(&data, "a").unwrap(), "2");
}

#[test]
fn proxy_wasm_ignores_cas_for_a_missing_key_and_takes_zero_for_always() {
    let data = data();
    assert!(set(&data, "a", "1", Condition::Cas(99)).is_ok());
    assert!(set(&data, "a", "2", Condition::Cas(0)).is_ok());
    let cas = data.get(b"a").unwrap().cas();
    assert!(set(&data, "a", "3", Condition::Cas(cas)).is_ok());
    assert!(matches!(set(&data, "a", "4", Condition::Cas(cas)), Err(WriteError::Conflict(_))));
    assert_eq!(value(&data, "a").unwrap(), "3");
}

#[test]
fn an_entry_is_gone_when_deleted_or_after_its_time() {
    let data = data();
    set(&data, "a", "1", Condition::Always).unwrap();
    assert!(data.delete(b"a"));
    assert!(!data.delete(b"a"));
    assert_eq!(used(&data), 0);
    data.write(b"b", b"1", Some(Duration::from_millis(1)), Condition::Always).unwrap();
    data.write(b"c", b"1", Some(Duration::MAX), Condition::Always).unwrap();
    thread::sleep(Duration::from_millis(3));
    assert_eq!(data.get(b"b"), None);
    assert!(data.get(b"c").is_some());
    assert!(data.write(b"b", b"2", None, Condition::Version(0)).is_ok());
    assert_eq!(value(&data, "b").unwrap(), "2");
}

#[test]
fn bytes_are_bounded_and_expired_entries_make_room() {
    let data = data();
    let large = vec![b'x'; LIMIT / 2];
    data.write(b"a", &large, Some(Duration::from_millis(1)), Condition::Always).unwrap();
    thread::sleep(Duration::from_millis(3));
    data.write(b"b", &large, None, Condition::Always).unwrap();
    assert_eq!(data.write(b"c", &large, None, Condition::Always), Err(WriteError::Full));
    assert!(data.write(b"b", &large, None, Condition::Always).is_ok());
    assert_eq!(used(&data), 1 + large.len() + ENTRY_OVERHEAD);
    let long_key = vec![b'k'; limits::KEY + 1];
    assert_eq!(data.write(&long_key, b"", None, Condition::Always), Err(WriteError::Full));
    let mut entries = 0;
    while data.write(format!("k{entries}").as_bytes(), b"", None, Condition::Always).is_ok() {
        entries += 1;
    }
    assert!(entries > 10 && used(&data) <= LIMIT);
}

#[test]
fn writes_sweep_what_expired_without_being_read() {
    let data = data();
    data.limit.store(usize::MAX / 2, Ordering::Relaxed);
    for round in 0..100 {
        for key in 0..100 {
            let key = format!("{round} {key}");
            data.write(key.as_bytes(), b"", Some(Duration::from_nanos(1)), Condition::Always)
                .unwrap();
        }
    }
    let entries: usize = data.shards.iter().map(|shard| shard.lock().entries.len()).sum();
    assert!(entries < 1_000, "{entries}");
}

#[test]
fn increments_from_several_threads_are_all_kept() {
    let data = data();
    set(&data, "n", "0", Condition::Always).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    loop {
                        let entry = data.get(b"n").unwrap();
                        let number: u32 = String::from_utf8_lossy(&entry.value).parse().unwrap();
                        let next = (number + 1).to_string();
                        if set(&data, "n", &next, Condition::Version(entry.version)).is_ok() {
                            break;
                        }
                    }
                }
            });
        }
    });
    assert_eq!(value(&data, "n").unwrap(), "800");
}

#[test]
fn a_namespace_is_kept_while_somebody_uses_it() {
    let stores = SharedStores::default();
    let component = stores.of(Namespace::Component("a".into()), LIMIT);
    let filter = stores.of(Namespace::VmId("a".into()), LIMIT);
    set(&component, "k", "1", Condition::Always).unwrap();
    assert_eq!(filter.get(b"k"), None);
    let same = stores.of(Namespace::Component("a".into()), ENTRY_OVERHEAD);
    assert_eq!(value(&same, "k").unwrap(), "1");
    assert_eq!(set(&same, "j", "1", Condition::Always), Err(WriteError::Full));
    assert!(set(&same, "k", "", Condition::Always).is_ok());
    drop((component, same));
    let fresh = stores.of(Namespace::Component("a".into()), LIMIT);
    assert_eq!(fresh.get(b"k"), None);
}

/// A listener that notes the last id, as a VM would.
fn listener(note: &Arc<AtomicU32>) -> Arc<dyn Fn(u32) + Send + Sync> {
    let note = note.clone();
    Arc::new(move |id| note.store(id, Ordering::Relaxed))
}

#[test]
fn a_queue_is_found_by_vm_id_and_name_and_gives_items_in_order() {
    let stores = SharedStores::default();
    let vm = stores.of(Namespace::VmId("vm".into()), LIMIT);
    let other = stores.of(Namespace::VmId("other".into()), LIMIT);
    let told = Arc::new(AtomicU32::new(0));
    let listener = listener(&told);
    let id = vm.register_queue(b"q", Arc::downgrade(&listener)).unwrap();
    assert_eq!(vm.register_queue(b"q", Arc::downgrade(&listener)), Ok(id));
    assert_ne!(other.register_queue(b"q", Arc::downgrade(&listener)), Ok(id));
    assert_eq!(other.queues().resolve("vm", b"q"), Some(id));
    assert_eq!(other.queues().resolve("vm", b"r"), None);
    other.queues().enqueue(id, b"1").unwrap();
    other.queues().enqueue(id, b"").unwrap();
    assert_eq!(told.load(Ordering::Relaxed), id);
    assert_eq!(*vm.queues().dequeue(id).unwrap(), *b"1");
    assert_eq!(*vm.queues().dequeue(id).unwrap(), *b"");
    assert_eq!(vm.queues().dequeue(id), Err(DequeueError::Empty));
    assert_eq!(vm.queues().dequeue(99), Err(DequeueError::NotFound));
    assert_eq!(vm.queues().enqueue(99, b""), Err(EnqueueError::NotFound));
    drop(vm);
    assert_eq!(other.queues().resolve("vm", b"q"), None);
    assert_eq!(other.queues().enqueue(id, b""), Err(EnqueueError::NotFound));
}

#[test]
fn the_latest_listener_that_is_still_there_is_told() {
    let data = data();
    let (first, second) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (early, late) = (listener(&first), listener(&second));
    let id = data.register_queue(b"q", Arc::downgrade(&early)).unwrap();
    data.register_queue(b"q", Arc::downgrade(&late)).unwrap();
    data.queues().enqueue(id, b"").unwrap();
    assert_eq!((first.load(Ordering::Relaxed), second.load(Ordering::Relaxed)), (0, id));
    drop(late);
    data.queues().enqueue(id, b"").unwrap();
    assert_eq!(first.load(Ordering::Relaxed), id);
}

#[test]
fn queues_are_bounded_in_bytes_and_number() {
    let data = data();
    let listener = listener(&Arc::default());
    let id = data.register_queue(b"q", Arc::downgrade(&listener)).unwrap();
    let item = vec![0; limits::QUEUE / 2];
    data.queues().enqueue(id, &item).unwrap();
    assert_eq!(data.queues().enqueue(id, &item), Err(EnqueueError::Full));
    data.queues().dequeue(id).unwrap();
    data.queues().enqueue(id, &item).unwrap();
    for number in 1..limits::QUEUES {
        let name = number.to_string();
        data.register_queue(name.as_bytes(), Arc::downgrade(&listener)).unwrap();
    }
    assert_eq!(data.register_queue(b"more", Arc::downgrade(&listener)), Err(RegisterError));
    assert_eq!(data.register_queue(b"q", Arc::downgrade(&listener)), Ok(id));
    let long = vec![b'n'; limits::KEY + 1];
    assert_eq!(data.register_queue(&long, Arc::downgrade(&listener)), Err(RegisterError));
}
