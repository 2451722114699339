//! The committed object.

use std::path::Path;
use std::process::Command;

use tollgate_ebpf_common::{Configuration, Known, Listener, Recent, Slot};

#[test]
fn the_object_is_what_its_sources_make() {
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ebpf/build");
    let output = Command::new(build).arg("--check").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

#[test]
fn the_object_names_no_directory_of_the_machine_that_built_it() {
    let object = String::from_utf8_lossy(tollgate_xdp::PROGRAM);
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    for directory in [repository.to_str().unwrap(), "/root/", "/home/", "/tmp/"] {
        assert!(!object.contains(directory), "{directory}");
    }
}

/// What the compiler pads, it may leave as it was in memory.
#[test]
fn no_type_of_a_map_has_padding() {
    assert_eq!(size_of::<Configuration>(), 8 + 16 + 16 + 32 + 16 + 4 + 4 + 8 + 8);
    assert_eq!(size_of::<Known>(), 3 * 8 + 2 * 4 + 4 * 8);
    assert_eq!(size_of::<Listener>(), 16 + 8);
    assert_eq!(size_of::<Slot>(), 2 * 8);
    assert_eq!(size_of::<Recent>(), 16 + 8 + 16 + 3 * 4 + 4);
}
