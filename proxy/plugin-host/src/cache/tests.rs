use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use wasmtime::{Instance, Store};

use super::*;
use crate::engine::{self, TickedEngine};

struct Bench {
    engine: std::sync::Arc<TickedEngine>,
    home: tempfile::TempDir,
    cache: Cache,
}

impl Bench {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::open(&home.path().join("code")).unwrap();
        Self { engine: engine::for_stack(limits::STACK, false).unwrap(), home, cache }
    }

    fn module(&self, answer: i32) -> Module {
        let wat = format!(r#"(module (func (export "answer") (result i32) i32.const {answer}))"#);
        Module::new(&self.engine, wat::parse_str(wat).unwrap()).unwrap()
    }

    fn key(&self, sha256: &str) -> Key {
        Key::new::<Module>(&self.engine, sha256)
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.home.path().join("code").join(key.file_name())
    }

    /// What the module kept for a key answers.
    fn loaded(&self, key: &Key) -> Option<i32> {
        let module: Module = self.cache.load(&self.engine, key)?;
        let mut store = Store::new(&self.engine, ());
        store.set_epoch_deadline(1_000);
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let answer = instance.get_typed_func::<(), i32>(&mut store, "answer").unwrap();
        Some(answer.call(&mut store, ()).unwrap())
    }
}

#[test]
fn kept_code_runs_when_it_is_loaded_again() {
    let bench = Bench::new();
    let (one, other) = (bench.key("1"), bench.key("2"));
    assert_eq!(bench.loaded(&one), None);
    bench.cache.store(&one, &bench.module(42));
    bench.cache.store(&other, &bench.module(43));
    assert_eq!(bench.loaded(&one), Some(42));
    assert_eq!(bench.loaded(&other), Some(43));
    bench.cache.store(&one, &bench.module(44));
    assert_eq!(bench.loaded(&one), Some(44));

    let wat = r#"(component (core module $m) (core instance (instantiate $m)))"#;
    let key = Key::new::<Component>(&bench.engine, "1");
    bench.cache.store(&key, &Component::new(&bench.engine, wat::parse_str(wat).unwrap()).unwrap());
    assert!(bench.cache.load::<Component>(&bench.engine, &key).is_some());
}

#[test]
fn a_key_is_for_one_file_one_kind_of_code_and_one_way_to_compile() {
    let engine = engine::for_stack(limits::STACK, false).unwrap();
    let other_engine = Engine::new(wasmtime::Config::new().consume_fuel(true)).unwrap();
    let key = Key::new::<Module>(&engine, "1");
    assert_eq!(key, Key::new::<Module>(&engine, "1"));
    assert_ne!(key, Key::new::<Module>(&engine, "2"));
    assert_ne!(key, Key::new::<Component>(&engine, "1"));
    assert_ne!(key, Key::new::<Module>(&other_engine, "1"));
}

#[test]
fn a_directory_is_made_for_its_owner_only() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("a/b");
    Cache::open(&path).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    Cache::open(&path).unwrap();
}

#[test]
fn a_directory_that_others_could_write_to_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let refusal = |path: &Path| match Cache::open(path) {
        Ok(_) => panic!("{} was taken", path.display()),
        Err(refusal) => refusal.replace(&home.path().display().to_string(), ""),
    };

    let open = home.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o770)).unwrap();
    assert_eq!(
        refusal(&open),
        "/open: cannot be used for compiled plugins: others than its owner may write to it \
         (mode 770; allowed: 700)"
    );

    let real = home.path().join("real");
    std::fs::create_dir(&real).unwrap();
    symlink(&real, home.path().join("link")).unwrap();
    assert!(refusal(&home.path().join("link")).contains("but a link or a file"));

    std::fs::write(home.path().join("file"), "").unwrap();
    assert!(refusal(&home.path().join("file")).starts_with("/file: cannot be used"));

    // Only root can make a directory of another user.
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&real, Some(1), None).unwrap();
        assert!(refusal(&real).contains("it belongs to user 1, and not to 0"));
    }
}

#[test]
fn a_damaged_file_is_ignored_and_written_anew() {
    let bench = Bench::new();
    let key = bench.key("1");
    let path = bench.path(&key);
    bench.cache.store(&key, &bench.module(42));
    let whole = std::fs::read(&path).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let longer = [whole.clone(), vec![0]].concat();
    let damaged = [
        Vec::new(),
        whole[..10].to_vec(),
        whole[..whole.len() - 1].to_vec(),
        whole[..whole.len() / 2].to_vec(),
        longer,
        flipped(0),
        flipped(whole.len() / 2),
        flipped(whole.len() - 1),
        flipped(whole.len() - 16),
    ];
    for bytes in damaged {
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(bench.loaded(&key), None);
        bench.cache.store(&key, &bench.module(42));
        assert_eq!(bench.loaded(&key), Some(42));
    }
}

#[test]
fn a_file_of_another_name_is_not_taken() {
    let bench = Bench::new();
    let (one, other) = (bench.key("1"), bench.key("2"));
    bench.cache.store(&one, &bench.module(42));
    std::fs::copy(bench.path(&one), bench.path(&other)).unwrap();
    assert_eq!(bench.loaded(&other), None);
}

#[test]
fn only_a_regular_file_that_is_ours_alone_is_taken() {
    let bench = Bench::new();
    let key = bench.key("1");
    let path = bench.path(&key);
    bench.cache.store(&key, &bench.module(42));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o620)).unwrap();
    assert_eq!(bench.loaded(&key), None);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(bench.loaded(&key), Some(42));

    let elsewhere = bench.home.path().join("elsewhere");
    std::fs::rename(&path, &elsewhere).unwrap();
    symlink(&elsewhere, &path).unwrap();
    assert_eq!(bench.loaded(&key), None);

    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert_eq!(bench.loaded(&key), None);

    if rustix::process::geteuid().is_root() {
        std::fs::remove_dir(&path).unwrap();
        std::fs::rename(&elsewhere, &path).unwrap();
        std::os::unix::fs::chown(&path, Some(1), None).unwrap();
        assert_eq!(bench.loaded(&key), None);
    }
}

#[test]
fn the_directory_stays_the_one_that_was_opened() {
    let bench = Bench::new();
    let key = bench.key("1");
    let code = bench.home.path().join("code");
    std::fs::rename(&code, bench.home.path().join("moved")).unwrap();
    std::fs::create_dir(&code).unwrap();
    bench.cache.store(&key, &bench.module(42));
    assert_eq!(std::fs::read_dir(&code).unwrap().count(), 0);
    assert_eq!(bench.loaded(&key), Some(42));
}

#[test]
fn what_was_not_used_for_longest_is_removed_when_the_space_is_used_up() {
    let mut bench = Bench::new();
    let keys = ["1", "2", "3", "4"].map(|sha256| bench.key(sha256));
    for (age, key) in keys.iter().enumerate() {
        bench.cache.store(key, &bench.module(42));
        let time = SystemTime::now() - Duration::from_secs(1_000 * (age as u64 + 1));
        std::fs::File::open(bench.path(key)).unwrap().set_modified(time).unwrap();
    }
    let other = bench.home.path().join("code/README");
    std::fs::write(&other, "somebody's").unwrap();
    // The oldest becomes the newest.
    assert_eq!(bench.loaded(&keys[3]), Some(42));

    let size = bench.path(&keys[0]).metadata().unwrap().len();
    bench.cache.maximum = size * 4;
    bench.cache.store(&bench.key("5"), &bench.module(42));
    let is_there = |key: &Key| bench.path(key).exists();
    assert_eq!(keys.each_ref().map(is_there), [true, false, false, true]);
    assert!(is_there(&bench.key("5")) && other.exists());
}

#[test]
fn a_cache_that_can_not_be_written_to_does_no_harm() {
    let bench = Bench::new();
    let key = bench.key("1");
    // In the way of the rename, for root too.
    std::fs::create_dir(bench.path(&key)).unwrap();
    bench.cache.store(&key, &bench.module(42));
    assert_eq!(bench.loaded(&key), None);
    let left = std::fs::read_dir(bench.home.path().join("code")).unwrap().count();
    assert_eq!(left, 1, "nothing half-written stays");
}
