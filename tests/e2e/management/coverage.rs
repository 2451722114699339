//! That nothing of `tests/clients` is forgotten. That every operation of botocore's service model
//! is one of Tollgate's and tested, or has a reason, is `coverage.py`'s.

use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn every_scenario_is_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/scenarios");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let scenarios: BTreeSet<String> = files
        .filter(|path| path.extension().is_some_and(|it| it == "py"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let run: BTreeSet<String> = include_str!("mod.rs")
        .split("run(\"")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once("\")")?.0.to_owned()))
        .collect();
    assert_eq!(run, scenarios);
}
