use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::config::{Isolation, PluginLimits};
use crate::inspect::sha256;

/// The least filter there is; `number` makes versions differ.
fn filter(number: u32) -> Vec<u8> {
    let text = format!(
        r#"(module (memory (export "memory") 1)
             (func (export "proxy_abi_version_0_2_1"))
             (func (export "version") (result i32) (i32.const {number})))"#
    );
    wat::parse_str(text).unwrap()
}

/// An authorizer that says unauthorized, as a compiler leaves it.
fn authorizer() -> Vec<u8> {
    wat::parse_str(
        r#"(module
             (memory (export "memory") 1)
             (data (i32.const 1024) "\02")
             (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
             (func (export "tollgate:plugin/authorization@0.1.0#authorize") (result i32)
               (i32.const 1024)))"#,
    )
    .unwrap()
}

struct Bench {
    home: TempDir,
    host: PluginHost,
}

impl Bench {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), host: host(HostConfig::default()) }
    }

    /// A source named `name` of a file with these contents.
    fn source(&self, name: &str, contents: &[u8]) -> PluginSource {
        let file = self.home.path().join(format!("{name}.wasm"));
        std::fs::write(&file, contents).unwrap();
        PluginSource { name: name.to_owned(), file, sha256: None, settings: Default::default() }
    }

    /// Why a source is refused, without the directory's name.
    fn refusal(&self, source: &PluginSource) -> String {
        let refusal = self.host.load(source).map(|_| ()).unwrap_err().to_string();
        refusal.replace(&format!("{}/", self.home.path().display()), "")
    }
}

fn host(config: HostConfig) -> PluginHost {
    PluginHost::new(config).unwrap()
}

#[test]
fn a_plugin_is_what_its_file_says() {
    let bench = Bench::new();
    let bytes = filter(1);
    let plugin = bench.host.load(&bench.source("tokens", &bytes)).unwrap();
    assert_eq!(plugin.name(), "tokens");
    assert_eq!(plugin.kind(), PluginKind::ProxyWasm(crate::Abi::V0_2_1));
    assert_eq!(plugin.sha256, sha256(&bytes));

    let plugin = bench.host.load(&bench.source("users", &authorizer())).unwrap();
    assert_eq!(plugin.kind(), PluginKind::Authorizer);
}

#[test]
fn the_same_contents_with_the_same_settings_are_the_same_plugin() {
    let bench = Bench::new();
    let mut source = bench.source("tokens", &filter(1));
    let first = bench.host.load(&source).unwrap();
    assert!(Arc::ptr_eq(&first, &bench.host.load(&source).unwrap()));

    source.settings.isolation = Isolation::PerRequest;
    let other_settings = bench.host.load(&source).unwrap();
    assert!(!Arc::ptr_eq(&first, &other_settings));
    let other_contents = bench.host.load(&bench.source("tokens", &filter(2))).unwrap();
    assert_ne!(first.sha256, other_contents.sha256);
}

#[test]
fn data_and_metrics_go_on_from_version_to_version() {
    let bench = Bench::new();
    let old = bench.host.load(&bench.source("tokens", &filter(1))).unwrap();
    let new = bench.host.load(&bench.source("tokens", &filter(2))).unwrap();
    assert!(Arc::ptr_eq(&old.context.metrics, &new.context.metrics));
    assert!(Arc::ptr_eq(&old.context.shared_data, &new.context.shared_data));
}

#[test]
fn filters_share_data_by_vm_id_and_components_with_nobody() {
    let bench = Bench::new();
    let with_vm_id = |name: &str, vm_id: Option<&str>| {
        let mut source = bench.source(name, &filter(1));
        source.settings.vm_id = vm_id.map(str::to_owned);
        bench.host.load(&source).unwrap().context.shared_data.clone()
    };
    let one = with_vm_id("one", Some("users"));
    assert!(Arc::ptr_eq(&one, &with_vm_id("other", Some("users"))));
    assert!(!Arc::ptr_eq(&one, &with_vm_id("third", None)));
    let component = bench.host.load(&bench.source("users", &authorizer())).unwrap();
    assert!(!Arc::ptr_eq(&one, &component.context.shared_data));
}

#[test]
fn plugins_of_the_same_file_share_their_code() {
    let bench = Bench::new();
    let range = |plugin: &Plugin| match &plugin.compiled {
        Compiled::Module(module, _) => module.image_range(),
        Compiled::Component(component) => component.image_range(),
    };
    for bytes in [filter(1), authorizer()] {
        let one = bench.host.load(&bench.source("one", &bytes)).unwrap();
        let other = bench.host.load(&bench.source("other", &bytes)).unwrap();
        assert_eq!(range(&one), range(&other));
    }
}

#[test]
fn a_pinned_digest_is_held_to() {
    let bench = Bench::new();
    let mut source = bench.source("tokens", &filter(1));
    source.sha256 = Some(sha256(&filter(1)).to_uppercase());
    bench.host.load(&source).unwrap();

    let (expected, found) = (sha256(&filter(1)), sha256(&filter(2)));
    source.sha256 = Some(expected.clone());
    std::fs::write(&source.file, filter(2)).unwrap();
    assert_eq!(
        bench.refusal(&source),
        format!("tokens.wasm: its SHA-256 is {found}, but {expected} is wanted")
    );
}

#[test]
fn what_can_not_be_read_says_why() {
    let bench = Bench::new();
    let mut source = bench.source("tokens", b"");
    assert_eq!(bench.refusal(&source), "tokens.wasm: is empty");

    File::options().write(true).open(&source.file).unwrap().set_len(limits::FILE + 1).unwrap();
    assert_eq!(bench.refusal(&source), "tokens.wasm: is 67108865 bytes; allowed: up to 67108864");

    source.file = bench.home.path().join("absent.wasm");
    assert!(bench.refusal(&source).starts_with("absent.wasm: cannot be read: No such file"));

    source.file = bench.home.path().join("directory.wasm");
    std::fs::create_dir(&source.file).unwrap();
    assert_eq!(bench.refusal(&source), "directory.wasm: cannot be read: it is no regular file");
}

#[test]
fn code_that_is_not_valid_says_where() {
    let bench = Bench::new();
    let mut bytes = filter(1);
    // The body of `version` gives nothing.
    let body = bytes.windows(4).rposition(|it| it == [0x00, 0x41, 0x01, 0x0b]).unwrap();
    bytes[body + 1..body + 3].copy_from_slice(&[0x01, 0x01]);
    let refusal = bench.refusal(&bench.source("tokens", &bytes));
    assert!(refusal.starts_with("tokens.wasm: can't be compiled: "), "{refusal}");
    assert!(refusal.contains("offset"), "{refusal}");
}

#[test]
fn settings_out_of_range_are_refused() {
    type Change = fn(&mut PluginLimits);
    let bench = Bench::new();
    let refusal = |change: Change| {
        let mut source = bench.source("tokens", &filter(1));
        change(&mut source.settings.limits);
        bench.refusal(&source)
    };
    let cases: [(Change, &str); 6] = [
        (
            |limits| limits.memory = (1 << 32) + 1,
            "its limit of memory is 4294967297; allowed: 0 to 4294967296",
        ),
        (
            |limits| limits.table_elements = 1_000_001,
            "its limit of table elements is 1000001; allowed: 0 to 1000000",
        ),
        (|limits| limits.instances = 0, "its limit of instances is 0; allowed: 1 to 1000"),
        (|limits| limits.stack = 4096, "its limit of stack is 4096; allowed: 65536 to 1048576"),
        (
            |limits| limits.cpu_time = Duration::ZERO,
            "its limit of CPU time is 0ns; allowed: 1ms to 60s",
        ),
        (
            |limits| limits.cpu_time = Duration::from_secs(61),
            "its limit of CPU time is 61s; allowed: 1ms to 60s",
        ),
    ];
    for (change, expected) in cases {
        assert_eq!(refusal(change), format!("tokens.wasm: {expected}"));
    }

    let mut source = bench.source("tokens", &filter(1));
    source.settings.upstreams.insert("keys".to_owned());
    assert_eq!(bench.refusal(&source), "tokens.wasm: may call upstream keys, which is not defined");
}

#[test]
fn compiled_code_is_kept_and_found_by_the_next_host() {
    let bench = Bench::new();
    let cache = bench.home.path().join("cache");
    let config = HostConfig { cache_directory: Some(cache.clone()), ..HostConfig::default() };
    let files = || {
        let files = std::fs::read_dir(&cache).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    };
    let written = |path: &PathBuf| path.metadata().unwrap().len();

    let sources = [bench.source("tokens", &filter(1)), bench.source("users", &authorizer())];
    let load_all = || {
        let host = host(config.clone());
        sources.iter().map(|source| host.load(source).unwrap().kind()).collect::<Vec<_>>()
    };
    let kinds = load_all();
    let kept = files();
    assert_eq!(kept.len(), 2);
    assert_eq!(load_all(), kinds);
    assert_eq!(files(), kept);

    // Damage is repaired.
    let sizes: Vec<u64> = kept.iter().map(written).collect();
    std::fs::write(&kept[0], "short").unwrap();
    assert_eq!(load_all(), kinds);
    assert_eq!(kept.iter().map(written).collect::<Vec<u64>>(), sizes);
}

#[test]
fn a_host_refuses_a_cache_that_it_can_not_trust() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    let config = HostConfig { cache_directory: Some(file), ..HostConfig::default() };
    assert!(PluginHost::new(config).is_err_and(|why| why.contains("compiled plugins")));
}

#[tokio::test]
async fn a_plugin_outlives_its_host_which_may_end_on_any_thread() {
    let bench = Bench::new();
    let plugin = bench.host.load(&bench.source("tokens", &filter(1))).unwrap();
    let background = plugin.context.background.clone();
    drop(bench);
    assert_eq!(background.spawn(async { 7 }).await.unwrap(), 7);
    drop(plugin);
    assert!(background.spawn(async { 7 }).await.is_err(), "nothing runs for nobody");
}
