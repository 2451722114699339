use super::*;

fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

fn problem(bytes: &[u8]) -> String {
    match inspect("plugins/x.wasm", bytes) {
        Err(LoadError::Unfit { path, problem }) => {
            assert_eq!(path, "plugins/x.wasm");
            problem
        }
        other => panic!("{other:?}"),
    }
}

/// A component with an export of each of these names.
fn component(exports: &[&str]) -> Vec<u8> {
    let exports: String =
        exports.iter().map(|name| format!("(export \"{name}\" (instance $i))")).collect();
    wasm(&format!(
        r#"(component
             (import "tollgate:plugin/log@0.1.0" (instance))
             (import "tollgate:plugin/clock@0.1.0" (instance))
             (core module $m (memory 3 7))
             (core module $n (import "a" "m" (memory 3)) (memory 1))
             (instance $i)
             {exports})"#
    ))
}

fn filter(marker: &str) -> Vec<u8> {
    wasm(&format!(
        r#"(module
             (import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))
             (import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))
             (memory (export "memory") 2)
             (func $run (export "proxy_on_configure"))
             {marker})"#
    ))
}

fn marker(version: &str) -> String {
    format!("(func (export \"proxy_abi_version_{version}\"))")
}

/// What is left of a module for a world when it is stripped.
fn core_functions(exports: &str) -> Vec<u8> {
    wasm(&format!(
        r#"(module
             {exports}
             (memory (export "memory") 1)
             (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable))"#
    ))
}

/// What a compiler makes for a world, before it is a component.
fn core_module(world: &str, exports: &str) -> Vec<u8> {
    let wit = concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins/wit");
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    let mut module = core_functions(exports);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    module
}

const LOG: &str = r#"
    (import "tollgate:plugin/log@0.1.0" "enabled" (func (param i32) (result i32)))"#;
const AUTHORIZE: &str = r#"
    (func (export "tollgate:plugin/authorization@0.1.0#authorize") (result i32) unreachable)"#;

#[test]
fn a_component_is_known_by_the_interface_that_it_exports() {
    let kinds = [
        ("tollgate:plugin/authorization@0.1.0", PluginKind::Authorizer),
        ("tollgate:plugin/authorization@0.1.7", PluginKind::Authorizer),
        ("tollgate:plugin/transformation@0.1.0", PluginKind::Transformer),
    ];
    for (export, kind) in kinds {
        let bytes = component(&["example:own/thing@3.0.0", export]);
        let inspection = inspect("x", &bytes).unwrap();
        assert_eq!(inspection.kind, kind);
        assert_eq!(
            inspection.imports,
            ["tollgate:plugin/clock@0.1.0", "tollgate:plugin/log@0.1.0"]
        );
        assert_eq!(inspection.exports, ["example:own/thing@3.0.0", export]);
        assert_eq!(inspection.memory, (4 * 65_536, None));
        assert_eq!(inspection.size, bytes.len() as u64);
        assert_eq!(inspection.sha256, sha256(&bytes));
        assert!(!inspection.is_core_module);
    }
}

#[test]
fn components_that_are_no_plugins_are_refused_with_what_they_are() {
    let cases: [(&[&str], &str); 6] = [
        (&[], "is a component of another world: it exports nothing"),
        (&["wasi:cli/run@0.2.3"], "is a WASI command: it exports wasi:cli/run@0.2.3"),
        (
            &["wasi:http/incoming-handler@0.2.0"],
            "is a component of another world: it exports wasi:http/incoming-handler@0.2.0; a plugin \
             exports tollgate:plugin/authorization@0.1.0 or tollgate:plugin/transformation@0.1.0",
        ),
        (
            &["tollgate:plugin/authorization@0.2.0"],
            "is made for tollgate:plugin@0.2.0; allowed: 0.1 and 0.1.0 or later",
        ),
        (
            &["tollgate:plugin/authorization@0.1.0", "tollgate:plugin/transformation@0.1.0"],
            "exports both authorization and transformation",
        ),
        (
            &[
                "a:b/c@1.0.0",
                "a:b/d@1.0.0",
                "a:b/e@1.0.0",
                "a:b/f@1.0.0",
                "a:b/g@1.0.0",
                "a:b/h@1.0.0",
            ],
            "it exports a:b/c@1.0.0, a:b/d@1.0.0, a:b/e@1.0.0, a:b/f@1.0.0, a:b/g@1.0.0 and 1 more",
        ),
    ];
    for (exports, expected) in cases {
        let found = problem(&component(exports));
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
fn versions_of_0_1_are_compatible_and_others_are_not() {
    for version in ["0.1", "0.1.0", "0.1.12"] {
        assert!(is_compatible(version), "{version}");
    }
    for version in ["", "0", "0.2.0", "1.1.0", "0.1.", "0.1.0-rc1", "0.1.0.0", "0.10.0"] {
        assert!(!is_compatible(version), "{version}");
    }
}

#[test]
fn a_filter_is_known_by_its_marker() {
    for (version, abi) in
        [("0_2_0", Abi::V0_2_0), ("0_2_1", Abi::V0_2_1), ("0_2_100", Abi::V0_2_100)]
    {
        let inspection = inspect("x", &filter(&marker(version))).unwrap();
        assert_eq!(inspection.kind, PluginKind::ProxyWasm(abi));
        assert_eq!(inspection.imports, ["env proxy_log"]);
        assert_eq!(inspection.memory, (2 * 65_536, None));
        assert!(inspection.has_names && !inspection.is_core_module);
    }
}

#[test]
fn filters_of_other_abis_are_refused_by_name() {
    let old = problem(&filter(&marker("0_1_0")));
    assert_eq!(old, "is a proxy-wasm filter of ABI 0.1.0; allowed: 0.2.0, 0.2.1 and 0.2.100");
    let both = problem(&filter(&(marker("0_2_0") + &marker("0_2_1"))));
    assert_eq!(
        both,
        "names several versions of the proxy-wasm ABI: 0_2_0, 0_2_1; allowed: exactly one"
    );
    let none = problem(&filter(""));
    assert!(none.starts_with("is no plugin: it exports neither functions"), "{none}");
}

#[test]
fn a_module_with_the_functions_of_a_world_is_made_a_component() {
    let later = format!("{LOG} {AUTHORIZE}").replace("0.1.0", "0.1.3");
    let cases = [
        (core_module("authorizer", &format!("{LOG} {AUTHORIZE}")), "0.1.0"),
        // Stripped of all that isn't code.
        (core_functions(&format!("{LOG} {AUTHORIZE}")), "0.1.0"),
        (core_functions(&later), "0.1.3"),
    ];
    for (module, version) in cases {
        let inspection = inspect("x", &module).unwrap();
        assert_eq!(inspection.kind, PluginKind::Authorizer);
        assert!(inspection.is_core_module);

        let component = component_of("x", &module, &inspection).unwrap();
        Validator::new().validate_all(&component).unwrap();
        let inspection = inspect("x", &component).unwrap();
        assert_eq!(inspection.kind, PluginKind::Authorizer);
        assert_eq!(inspection.exports, [format!("tollgate:plugin/authorization@{version}")]);
        let log = format!("tollgate:plugin/log@{version}");
        assert!(inspection.imports.contains(&log), "{:?}", inspection.imports);
        assert!(!inspection.is_core_module);
    }
}

#[test]
fn a_module_that_lacks_functions_of_its_world_says_so() {
    let module = core_functions(
        r#"(func (export "tollgate:plugin/transformation@0.1.0#on-request") (result i32) unreachable)"#,
    );
    let inspection = inspect("x", &module).unwrap();
    let Err(LoadError::Unfit { problem, .. }) = component_of("x", &module, &inspection) else {
        panic!("it has no transformation")
    };
    assert!(problem.starts_with("a component can't be made of this module: "), "{problem}");
    assert!(problem.contains("on-re"), "{problem}");
}

#[test]
fn the_wit_of_the_host_has_the_version_that_the_code_says() {
    assert!(WIT.contains(&format!("package tollgate:plugin@{WIT_VERSION};")));
}

#[test]
fn a_module_for_wasi_preview_1_is_told_what_to_be_built_for() {
    let module = core_functions(&format!(r#"{AUTHORIZE} (func (export "_initialize"))"#));
    assert!(inspect("x", &module).is_ok());
    let module = wasm(&format!(
        r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i32))) {AUTHORIZE})"#
    ));
    assert!(problem(&module).contains("build it for wasm32-unknown-unknown"));
}

#[test]
fn what_is_no_binary_wasm_is_told_apart() {
    let cases: [(&[u8], &str); 6] = [
        (b"", "is empty"),
        (b"  \n(module)", "is WebAssembly in text form"),
        (b";; a comment\n(component)", "is WebAssembly in text form"),
        (b"\x7fELF\x02", "is native code"),
        (b"\x1f\x8b\x08", "is compressed"),
        (b"<!DOCTYPE html>", "is no WebAssembly: it doesn't begin with \\0asm"),
    ];
    for (bytes, expected) in cases {
        let found = problem(bytes);
        assert!(found.starts_with(expected), "{found}");
    }
}

#[test]
fn a_file_that_ends_too_early_is_never_taken_for_a_plugin() {
    let whole = filter(&marker("0_2_1"));
    let inspection = |length: usize| inspect("x", &whole[..length]);
    for length in 0..whole.len() {
        // Cut between sections it may still be a module, but of another kind.
        if let Ok(cut) = inspection(length) {
            assert_eq!(cut.exports, inspection(whole.len()).unwrap().exports);
        }
    }
    assert!(problem(&whole[..20]).starts_with("is no valid WebAssembly: "));
}

#[test]
fn a_problem_is_told_in_one_line() {
    // A component with a core module that is none.
    let damaged = problem(b"\0asm\x0d\0\x01\0\x01\x08nonsense");
    assert!(damaged.starts_with("is no valid WebAssembly: "), "{damaged}");
    assert!(!damaged.contains('\n') && !damaged.contains("  "), "{damaged}");
}

#[test]
fn a_wasi_command_is_refused_as_such() {
    let command = wasm(
        r#"(module
             (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
             (func (export "_start")))"#,
    );
    assert!(problem(&command).starts_with("is a WASI command"));
}

#[test]
fn names_from_the_file_can_not_break_a_log_line() {
    let long = "x".repeat(300);
    let module = filter(&marker(&format!("9\\0a\\1b[31m{long}")));
    let found = problem(&module);
    assert!(found.len() < 250 && !found.chars().any(char::is_control), "{found}");
}

#[test]
fn changed_bytes_never_panic() {
    let seeds = [
        component(&["tollgate:plugin/authorization@0.1.0"]),
        filter(&marker("0_2_0")),
        core_module("authorizer", AUTHORIZE),
    ];
    // A small generator, so that a failure can be repeated.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for round in 0..6_000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            match random(4) {
                0 => bytes[at] = random(256) as u8,
                1 => bytes[at] = [0, 0x7f, 0x80, 0xff][random(4)],
                2 => bytes.truncate(at.max(9)),
                _ => bytes.insert(at, random(256) as u8),
            }
        }
        if let Ok(inspection) = inspect("x", &bytes)
            && inspection.is_core_module
        {
            let _ = component_of("x", &bytes, &inspection);
        }
    }
}
