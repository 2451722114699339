//! Components for tests: core modules in text, with the imports they call taken from the WIT, and
//! values that they return laid out in advance.

use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{Resolve, WorldId, WorldItem};

const WIT: &str = include_str!("../../../../../plugins/wit/tollgate-plugin.wit");
/// As much of WASI as the tests use.
const WASI_WIT: &str = include_str!("wasi.wit");

/// Where the values that are laid out in advance begin.
const IMAGE: u32 = 4096;

/// What every guest has: memory, `cabi_realloc`, and functions that append to an output whose
/// text `$allow` returns as the principal of an allowing decision.
///
/// Memory: 512 for returned values of imports, 1024 the decision, 4096 the image, 32768 the
/// output, 65536 the heap.
const PRELUDE: &str = r#"
  (memory (export "memory") 2)
  (global $heap (mut i32) (i32.const 65536))
  (global $out (mut i32) (i32.const 32768))
  (func $realloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get $at) (local.get 3)))
    (block $enough
      (loop $more
        (br_if $enough (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))))
        (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))
        unreachable))
    (local.get $at))
  (func $put (param i32 i32)
    (memory.copy (global.get $out) (local.get 0) (local.get 1))
    (global.set $out (i32.add (global.get $out) (local.get 1))))
  (func $byte (param i32)
    (i32.store8 (global.get $out) (local.get 0))
    (global.set $out (i32.add (global.get $out) (i32.const 1))))
  (func $line (call $byte (i32.const 10)))
  (func $number (param i64)
    (if (i64.ge_u (local.get 0) (i64.const 10))
      (then (call $number (i64.div_u (local.get 0) (i64.const 10)))))
    (call $byte (i32.wrap_i64
      (i64.add (i64.const 48) (i64.rem_u (local.get 0) (i64.const 10))))))
  ;; A string or list of bytes that an import returned to 512.
  (func $text (call $put (i32.load (i32.const 512)) (i32.load (i32.const 516))))
  ;; An optional one.
  (func $optional
    (if (i32.load8_u (i32.const 512))
      (then (call $put (i32.load (i32.const 516)) (i32.load (i32.const 520))))
      (else (call $byte (i32.const 45)))))
  ;; A list of strings.
  (func $texts (local $at i32) (local $left i32)
    (local.set $at (i32.load (i32.const 512)))
    (local.set $left (i32.load (i32.const 516)))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $left)))
        (call $put (i32.load (local.get $at)) (i32.load offset=4 (local.get $at)))
        (call $byte (i32.const 59))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br $next))))
  ;; A list of pairs of strings.
  (func $pairs (local $at i32) (local $left i32)
    (local.set $at (i32.load (i32.const 512)))
    (local.set $left (i32.load (i32.const 516)))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $left)))
        (call $put (i32.load (local.get $at)) (i32.load offset=4 (local.get $at)))
        (call $byte (i32.const 61))
        (call $put (i32.load offset=8 (local.get $at)) (i32.load offset=12 (local.get $at)))
        (call $byte (i32.const 59))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br $next))))
  (func $allow (result i32)
    (i32.store (i32.const 1028) (i32.const 32768))
    (i32.store (i32.const 1032) (i32.sub (global.get $out) (i32.const 32768)))
    (global.set $out (i32.const 32768))
    (i32.const 1024))
"#;

/// A value as the canonical ABI lays it out.
#[derive(Clone)]
pub(super) enum Value {
    Byte(u8),
    Short(u16),
    Word(u32),
    Double(f64),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Record(Vec<Value>),
    /// A case of a variant, with alignment and size of the variant's largest payload.
    Case(u8, usize, usize, Option<Box<Value>>),
}

impl Value {
    fn alignment(&self) -> usize {
        match self {
            Self::Byte(_) => 1,
            Self::Short(_) => 2,
            Self::Word(_) | Self::Bytes(_) | Self::List(_) => 4,
            Self::Double(_) => 8,
            Self::Record(fields) => fields.iter().map(Self::alignment).max().unwrap_or(1),
            Self::Case(_, alignment, ..) => *alignment,
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Byte(_) => 1,
            Self::Short(_) => 2,
            Self::Word(_) => 4,
            Self::Double(_) | Self::Bytes(_) | Self::List(_) => 8,
            Self::Record(fields) => {
                let end = fields.iter().fold(0_usize, |at, field| {
                    at.next_multiple_of(field.alignment()) + field.size()
                });
                end.next_multiple_of(self.alignment())
            }
            Self::Case(_, alignment, size, _) => alignment + size,
        }
    }
}

pub(super) fn text(text: &str) -> Value {
    Value::Bytes(text.as_bytes().to_vec())
}

pub(super) fn optional_text(optional: Option<&str>) -> Value {
    Value::Case(optional.is_some().into(), 4, 8, optional.map(|it| Box::new(text(it))))
}

/// `("set", name, value)`, `("append", …)` or `("remove", name, "")`.
pub(super) type Edit<'a> = (&'a str, &'a str, &'a str);

pub(super) fn edits(edits: &[Edit<'_>]) -> Value {
    let edit = |(kind, name, value): &Edit<'_>| {
        let pair = || Value::Record(vec![text(name), text(value)]);
        let (case, payload) = match *kind {
            "set" => (0, pair()),
            "append" => (1, pair()),
            "remove" => (2, text(name)),
            kind => panic!("no such edit: {kind}"),
        };
        Value::Case(case, 4, 16, Some(Box::new(payload)))
    };
    Value::List(edits.iter().map(edit).collect())
}

pub(super) fn reply(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Value {
    let pair = |(name, value): &(&str, &str)| Value::Record(vec![text(name), text(value)]);
    Value::Record(vec![
        Value::Short(status),
        Value::List(headers.iter().map(pair).collect()),
        Value::Bytes(body.to_vec()),
    ])
}

/// A module in the making.
pub(super) struct Guest {
    world: &'static str,
    image: Vec<u8>,
    functions: String,
    exports: Vec<(&'static str, String)>,
}

impl Guest {
    pub(super) fn authorizer() -> Self {
        Self::new("authorizer")
    }

    pub(super) fn transformer() -> Self {
        Self::new("transformer")
    }

    /// As [`Self::running`], with WASI.
    pub(super) fn running_with_wasi(body: &str) -> Self {
        Self::new("authorizer-with-wasi").export("authorize", &format!("{body} (call $allow)"))
    }

    fn new(world: &'static str) -> Self {
        Self { world, image: Vec::new(), functions: String::new(), exports: Vec::new() }
    }

    /// An authorizer that runs `body` and allows, with what it put out as principal.
    pub(super) fn running(body: &str) -> Self {
        Self::authorizer().export("authorize", &format!("{body} (call $allow)"))
    }

    /// Adds functions and globals. What is exported as `_initialize` runs when the instance
    /// starts.
    pub(super) fn with(mut self, functions: &str) -> Self {
        self.functions.push_str(functions);
        self
    }

    /// The body of an exported function; those that a guest doesn't have let everything pass.
    pub(super) fn export(mut self, name: &'static str, body: &str) -> Self {
        self.exports.push((name, body.to_owned()));
        self
    }

    /// An exported function that returns this.
    pub(super) fn returning(mut self, name: &'static str, value: &Value) -> Self {
        let at = self.lay_out(value);
        self.export(name, &format!("(i32.const {at})"))
    }

    /// Puts a value in memory, and gives its address.
    pub(super) fn lay_out(&mut self, value: &Value) -> u32 {
        let at = self.reserve(value.size(), value.alignment());
        self.write(at, value);
        IMAGE + at as u32
    }

    fn reserve(&mut self, size: usize, alignment: usize) -> usize {
        let at = self.image.len().next_multiple_of(alignment);
        self.image.resize(at + size, 0);
        at
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.image[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn write(&mut self, at: usize, value: &Value) {
        match value {
            Value::Byte(it) => self.put(at, &[*it]),
            Value::Short(it) => self.put(at, &it.to_le_bytes()),
            Value::Word(it) => self.put(at, &it.to_le_bytes()),
            Value::Double(it) => self.put(at, &it.to_le_bytes()),
            Value::Bytes(bytes) => {
                let to = self.reserve(bytes.len(), 1);
                self.put(to, bytes);
                self.write_list(at, to, bytes.len());
            }
            Value::List(items) => {
                let size = items.first().map_or(0, Value::size);
                // wasmtime wants an empty list aligned too: 8 fits all types.
                let to = self.reserve(size * items.len(), 8);
                for (number, item) in items.iter().enumerate() {
                    self.write(to + number * size, item);
                }
                self.write_list(at, to, items.len());
            }
            Value::Record(fields) => {
                let mut at = at;
                for field in fields {
                    at = at.next_multiple_of(field.alignment());
                    self.write(at, field);
                    at += field.size();
                }
            }
            Value::Case(case, alignment, _, payload) => {
                self.put(at, &[*case]);
                if let Some(payload) = payload {
                    self.write(at + alignment, payload);
                }
            }
        }
    }

    fn write_list(&mut self, at: usize, to: usize, length: usize) {
        self.put(at, &(IMAGE + to as u32).to_le_bytes());
        self.put(at + 4, &(length as u32).to_le_bytes());
    }

    /// The component. `{text}` in a body is its address and length.
    pub(super) fn build(mut self) -> Vec<u8> {
        let (resolve, world) = wit(self.world);
        let mut body = std::mem::take(&mut self.functions);
        for (name, signature) in exports(&resolve, world) {
            let function = name.rsplit('#').next().expect("split gives one part at least");
            let written = self.exports.iter().find(|(known, _)| *known == function);
            let code = written.map_or("(i32.const 0)", |(_, code)| code.as_str());
            body.push_str(&format!("(func (export \"{name}\") {signature} {code})\n"));
        }
        let body = self.with_texts(&body);
        let imports = imports(&resolve, world, &body);
        let image: String = self.image.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let text =
            format!("(module {imports} {PRELUDE} {body} (data (i32.const {IMAGE}) \"{image}\"))");
        let module = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        component(module, &resolve, world)
    }

    /// Replaces each `{text}`.
    fn with_texts(&mut self, body: &str) -> String {
        let mut result = String::new();
        let mut rest = body;
        while let Some((before, after)) = rest.split_once('{') {
            let (text, after) = after.split_once('}').expect("a brace that is closed");
            let at = self.reserve(text.len(), 1);
            self.put(at, text.as_bytes());
            result.push_str(before);
            let address = IMAGE as usize + at;
            result.push_str(&format!("(i32.const {address}) (i32.const {})", text.len()));
            rest = after;
        }
        result + rest
    }
}

pub(super) fn wit(world: &str) -> (Resolve, WorldId) {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("tollgate-plugin.wit", WIT).expect("the WIT is valid");
    let with_wasi = resolve.push_str("wasi.wit", WASI_WIT).expect("the WIT is valid");
    let package = if world.ends_with("with-wasi") { with_wasi } else { package };
    let world = resolve.select_world(&[package], Some(world)).expect("the WIT has the world");
    (resolve, world)
}

pub(super) fn component(mut module: Vec<u8>, resolve: &Resolve, world: WorldId) -> Vec<u8> {
    wit_component::embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8)
        .expect("the world can be encoded");
    let encoder = ComponentEncoder::default().module(&module).expect("the metadata is right");
    encoder.validate(true).encode().expect("the module fits the world")
}

fn signature(parameters: &[WasmType], results: &[WasmType]) -> String {
    let names = |types: &[WasmType]| {
        types.iter().fold(String::new(), |all, it| {
            all + match it {
                WasmType::I64 | WasmType::PointerOrI64 => " i64",
                WasmType::F32 => " f32",
                WasmType::F64 => " f64",
                WasmType::I32 | WasmType::Pointer | WasmType::Length => " i32",
            }
        })
    };
    format!("(param{}) (result{})", names(parameters), names(results))
}

/// The imports whose `$interface.function` occurs in `body`.
fn imports(resolve: &Resolve, world: WorldId, body: &str) -> String {
    let mut imports = String::new();
    for (key, item) in &resolve.worlds[world].imports {
        let WorldItem::Interface { id, .. } = item else { continue };
        let interface = resolve.name_world_key(key);
        let short = resolve.interfaces[*id].name.clone().expect("interfaces here have names");
        let mut add = |function: &str, signature: String| {
            let name = format!("${short}.{}", function.replace(['[', ']'], "."));
            let called =
                |end: char| body.contains(&format!("{name}{end}")) || body.ends_with(&name);
            if [' ', ')', '\n'].into_iter().any(called) {
                imports.push_str(&format!(
                    "(import \"{interface}\" \"{function}\" (func {name} {signature}))\n"
                ));
            }
        };
        for (function, item) in &resolve.interfaces[*id].functions {
            let it = resolve.wasm_signature(AbiVariant::GuestImport, item);
            add(function, signature(&it.params, &it.results));
        }
        if short == "fetch" {
            add("[resource-drop]pending", signature(&[WasmType::I32], &[]));
        }
    }
    imports
}

fn exports(resolve: &Resolve, world: WorldId) -> Vec<(String, String)> {
    let mut exports = Vec::new();
    for (key, item) in &resolve.worlds[world].exports {
        let WorldItem::Interface { id, .. } = item else { continue };
        let interface = resolve.name_world_key(key);
        for (function, item) in &resolve.interfaces[*id].functions {
            let it = resolve.wasm_signature(AbiVariant::GuestExport, item);
            exports.push((format!("{interface}#{function}"), signature(&it.params, &it.results)));
        }
    }
    exports
}
