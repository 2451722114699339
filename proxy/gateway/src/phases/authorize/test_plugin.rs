//! Authorizer plugins for tests: real components whose decision is laid out in advance. The first
//! letter of an allow's principal goes up by one with each question, so that `0` is `1` when the
//! plugin was asked once.

use std::collections::BTreeMap;

use tollgate_plugin_host::config::PluginSettings;
use tollgate_plugin_host::{HostConfig, PluginHost, PluginSlot, PluginSource};
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

const WIT: &str = include_str!("../../../../../plugins/wit/tollgate-plugin.wit");
/// Where the decision is, and where what it points to begins.
const DECISION: u32 = 1024;
const HEAP: u32 = 2048;

/// What the plugin answers.
#[derive(Clone)]
pub enum Answer {
    Allow(Allow),
    Deny,
    Reply(u16),
    Unauthorized,
    Trap,
}

#[derive(Clone, Default)]
pub struct Allow {
    pub policy: Option<String>,
    pub context: Vec<(&'static str, f64)>,
    pub usage_identifier_key: Option<&'static str>,
    /// All are set.
    pub headers: Vec<(&'static str, &'static str)>,
    pub time_to_live: Option<u32>,
}

/// A host with one plugin, `p`.
pub struct TestHost {
    host: PluginHost,
    directory: tempfile::TempDir,
    pub plugins: BTreeMap<String, PluginSlot>,
}

impl TestHost {
    pub fn answering(answer: &Answer) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let host = PluginHost::new(HostConfig { workers: 1, ..HostConfig::default() });
        let mut test = Self { host: host.expect("a host"), directory, plugins: BTreeMap::new() };
        let slot = PluginSlot::new(test.load(answer, '0'));
        test.plugins.insert("p".to_owned(), slot);
        test
    }

    /// Another version, whose principals are counted from `first`.
    pub fn replace(&self, answer: &Answer, first: char) {
        self.plugins["p"].replace(self.load(answer, first));
    }

    fn load(&self, answer: &Answer, first: char) -> std::sync::Arc<tollgate_plugin_host::Plugin> {
        let file = self.directory.path().join(format!("{first}.wasm"));
        std::fs::write(&file, component(answer, first)).expect("written");
        let settings = PluginSettings::default();
        let source = PluginSource { name: "p".to_owned(), file, sha256: None, settings };
        self.host.load(&source).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// The decision in the canonical ABI's form.
struct Image {
    decision: Vec<u8>,
    heap: Vec<u8>,
}

impl Image {
    fn word(&mut self, at: usize, value: u32) {
        self.decision[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn keep(&mut self, bytes: &[u8]) -> [u32; 2] {
        self.heap.resize(self.heap.len().next_multiple_of(8), 0);
        let at = HEAP + self.heap.len() as u32;
        self.heap.extend_from_slice(bytes);
        [at, bytes.len() as u32]
    }

    /// Address and length, at `at` of the decision.
    fn text(&mut self, at: usize, text: &str) {
        let [address, length] = self.keep(text.as_bytes());
        self.word(at, address);
        self.word(at + 4, length);
    }

    fn optional_text(&mut self, at: usize, text: Option<&str>) {
        if let Some(text) = text {
            self.decision[at] = 1;
            self.text(at + 4, text);
        }
    }

    fn list(&mut self, at: usize, items: &[Vec<u8>]) {
        let [address, _] = self.keep(&items.concat());
        self.word(at, address);
        self.word(at + 4, items.len() as u32);
    }

    fn of(answer: &Answer, first: char) -> Self {
        let mut image = Self { decision: vec![0; 60], heap: Vec::new() };
        match answer {
            Answer::Allow(allow) => image.allow(allow, first),
            Answer::Deny => image.decision[0] = 1,
            Answer::Reply(status) => {
                image.decision[0] = 1;
                image.decision[4] = 1;
                image.decision[8..10].copy_from_slice(&status.to_le_bytes());
                image.keep(b"0");
                image.text(20, "no");
            }
            Answer::Unauthorized | Answer::Trap => image.decision[0] = 2,
        }
        image
    }

    fn allow(&mut self, allow: &Allow, first: char) {
        self.text(4, &first.to_string());
        self.optional_text(12, allow.policy.as_deref());
        let mut context = Vec::new();
        for (key, number) in &allow.context {
            let [address, length] = self.keep(key.as_bytes());
            let mut item = words(&[address, length, 1, 0]);
            item.extend_from_slice(&number.to_le_bytes());
            context.push(item);
        }
        self.list(24, &context);
        self.optional_text(32, allow.usage_identifier_key);
        let mut edits = Vec::new();
        for (name, value) in &allow.headers {
            let [name, name_length] = self.keep(name.as_bytes());
            let [value, value_length] = self.keep(value.as_bytes());
            edits.push(words(&[0, name, name_length, value, value_length]));
        }
        self.list(44, &edits);
        if let Some(seconds) = allow.time_to_live {
            self.decision[52] = 1;
            self.word(56, seconds);
        }
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn component(answer: &Answer, first: char) -> Vec<u8> {
    let image = Image::of(answer, first);
    let escape = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("\\{b:02x}")).collect() };
    let body = match answer {
        Answer::Trap => "unreachable".to_owned(),
        // The principal is the first thing on the heap.
        _ => format!(
            "(i32.store8 (i32.const {HEAP})
               (i32.add (i32.load8_u (i32.const {HEAP})) (i32.const 1)))
             (i32.const {DECISION})"
        ),
    };
    let module = format!(
        r#"(module
          (memory (export "memory") 2)
          (data (i32.const {DECISION}) "{}")
          (data (i32.const {HEAP}) "{}")
          (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
          (func (export "tollgate:plugin/authorization@0.1.0#authorize") (result i32) {body}))"#,
        escape(&image.decision),
        escape(&image.heap),
    );
    let mut module = wat::parse_str(module).expect("a module");
    let mut resolve = Resolve::default();
    let package = resolve.push_str("tollgate-plugin.wit", WIT).expect("WIT");
    let world = resolve.select_world(&[package], Some("authorizer")).expect("a world");
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .expect("embeds");
    let mut encoder = ComponentEncoder::default().module(&module).expect("a module");
    encoder.encode().expect("a component")
}
