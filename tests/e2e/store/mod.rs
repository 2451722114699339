//! `tollgate store`: what an operator does with the control plane's store.
//!
//! The fixture is a backup in layout 1. It stays: every later version must read it, and a later
//! layout gets a fixture of its own.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_tests::{Finished, tollgate};

const LAYOUT_1: &[u8] = include_bytes!("layout-1.redb.gz");

/// A folder with a backup, `backup.redb`.
fn folder() -> TempDir {
    let mut backup = Vec::new();
    GzDecoder::new(LAYOUT_1).read_to_end(&mut backup).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("backup.redb"), backup).unwrap();
    folder
}

/// The same, and its store in `data`.
fn restored() -> TempDir {
    let folder = folder();
    let restored = store(folder.path(), "restore backup.redb --data-directory data");
    assert_eq!(restored.stdout, "data/store.redb: 4 records, revision 3\n", "{restored:?}");
    folder
}

fn store(folder: &Path, arguments: &str) -> Finished {
    let arguments: Vec<&str> = ["store"].into_iter().chain(arguments.split(' ')).collect();
    tollgate(folder, &arguments)
}

fn exported(folder: &Path) -> Value {
    let exported = store(folder, "export --data-directory data");
    assert_eq!((exported.code, exported.stderr.as_str()), (0, ""));
    serde_json::from_str(&exported.stdout).expect("JSON")
}

#[track_caller]
fn assert_refused(finished: &Finished, expected: &str) {
    assert_eq!((finished.code, finished.stdout.as_str()), (1, ""), "{}", finished.stderr);
    assert!(finished.stderr.contains(expected), "{expected:?} is not in {:?}", finished.stderr);
    assert_eq!(finished.stderr.lines().count(), 1, "{:?}", finished.stderr);
}

#[test]
fn a_backup_of_the_first_layout_is_read_by_this_version() {
    let document = exported(restored().path());
    assert_eq!(document["revision"], 3);
    let records = document["records"].as_object().unwrap();
    let keys = [
        "domainnames/api.example.com/basepathmappings/v1%2Fpets",
        "restapis/a1b2c3d4e5",
        "restapis/a1b2c3d4e5/definitions/dep000",
        "restapis/a1b2c3d4e5/resources/root000000",
    ];
    assert_eq!(records.keys().collect::<Vec<_>>(), keys);
    assert_eq!(records[keys[1]], json!({ "id": "a1b2c3d4e5", "name": "pets" }));
    assert_eq!(records[keys[2]]["title"].as_str().unwrap().len(), 10_000);
}

#[test]
fn a_check_says_what_is_in_a_store_and_in_a_backup() {
    let folder = restored();
    let text = store(folder.path(), "check --data-directory data");
    assert_eq!(text.code, 0, "{}", text.stderr);
    assert!(text.stdout.starts_with("data/store.redb: sound\n"), "{}", text.stdout);
    let found = store(folder.path(), "check backup.redb --output json");
    let found: Value = serde_json::from_str(&found.stdout).expect("JSON");
    let bytes = std::fs::metadata(folder.path().join("backup.redb")).unwrap().len();
    let kinds = json!({
        "domainnames/basepathmappings": 1,
        "restapis": 1,
        "restapis/definitions": 1,
        "restapis/resources": 1,
    });
    let expected = json!({
        "file": "backup.redb", "revision": 3, "bytes": bytes, "records": 4, "kinds": kinds,
    });
    assert_eq!(found, expected);
}

#[test]
fn a_broken_store_is_named_with_exit_code_1_and_stays_as_it_is() {
    let folder = restored();
    let file = folder.path().join("data/store.redb");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.truncate(bytes.len() / 2);
    std::fs::write(&file, &bytes).unwrap();
    let expected = "data/store.redb: cannot be used: ";
    assert_refused(&store(folder.path(), "check --data-directory data"), expected);
    assert_refused(&store(folder.path(), "export --data-directory data"), expected);
    assert_refused(&store(folder.path(), "backup new.redb --data-directory data"), expected);
    assert!(!folder.path().join("new.redb").exists());
    assert_refused(&store(folder.path(), "restore backup.redb --data-directory data"), expected);
    assert!(std::fs::read(&file).unwrap() == bytes, "it was changed");
}

#[test]
fn a_backup_is_a_store_for_its_owner_only() {
    let folder = restored();
    let backup = store(folder.path(), "backup new.redb --data-directory data");
    assert_eq!(backup.stdout, "new.redb: 4 records, revision 3\n", "{}", backup.stderr);
    let mode = std::fs::metadata(folder.path().join("new.redb")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let restored = store(folder.path(), "restore new.redb --data-directory other");
    assert_eq!(restored.code, 0, "{}", restored.stderr);
    let other = store(folder.path(), "export --data-directory other");
    assert_eq!(serde_json::from_str::<Value>(&other.stdout).unwrap(), exported(folder.path()));
}

#[test]
fn a_store_with_something_in_it_is_overwritten_only_by_force_and_kept() {
    let folder = restored();
    let refused = store(folder.path(), "restore backup.redb --data-directory data");
    assert_refused(&refused, "data/store.redb: has 4 records in it; --force puts it aside");
    let forced = store(folder.path(), "restore backup.redb --data-directory data --force");
    assert_eq!(
        forced.stdout,
        "data/store.redb: 4 records, revision 3\n\
         what was there before: data/store.redb.replaced-1\n"
    );
    let kept = store(folder.path(), "check data/store.redb.replaced-1");
    assert_eq!(kept.code, 0, "{}", kept.stderr);
}

#[test]
fn the_store_is_found_by_the_directory_or_the_configuration() {
    let folder = restored();
    let config = folder.path().join("tollgate.yaml");
    let listeners = "listeners: [{address: '127.0.0.1:80'}]\n";
    std::fs::write(&config, format!("{listeners}data_directory: data\n")).unwrap();
    let found = store(folder.path(), "check --config tollgate.yaml");
    assert_eq!(found.code, 0, "{}", found.stderr);
    assert_refused(&store(folder.path(), "check"), "--config FILE or --data-directory DIR");
    let missing = store(folder.path(), "check --data-directory nowhere");
    assert_refused(&missing, "nowhere/store.redb: there is no store");
    std::fs::write(&config, listeners).unwrap();
    let without = store(folder.path(), "check --config tollgate.yaml");
    assert_refused(&without, "tollgate.yaml: has no data_directory");
}
