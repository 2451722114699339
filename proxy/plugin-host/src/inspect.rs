//! What a `.wasm` file is, without running it.
//!
//! A plugin is known by what it exports: a component by the interface
//! `tollgate:plugin/authorization` or `tollgate:plugin/transformation`, a proxy-wasm filter by a
//! marker function that names its ABI's version. A core module that exports the functions of a
//! Tollgate world, as Rust makes it for `wasm32-unknown-unknown`, is a component but for a last
//! step, which [`component_of`] does.

use std::fmt;

use sha2::{Digest, Sha256};
use wasmparser::{Encoding, KnownCustom, MemoryType, Parser, Payload, TypeRef, Validator};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::error::in_one_line;
use crate::{LoadError, limits};

/// What runs here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PluginKind {
    /// A component of the world `tollgate:plugin/authorizer`.
    Authorizer,
    /// A component of the world `tollgate:plugin/transformer`.
    Transformer,
    ProxyWasm(Abi),
}

impl PluginKind {
    /// Whether it changes requests and responses, and decides nothing else.
    pub fn is_transformer(self) -> bool {
        !matches!(self, Self::Authorizer)
    }
}

/// The versions of the proxy-wasm ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abi {
    V0_2_0,
    V0_2_1,
    /// Higress's.
    V0_2_100,
}

impl fmt::Display for PluginKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Authorizer => "component, world tollgate:plugin/authorizer",
            Self::Transformer => "component, world tollgate:plugin/transformer",
            Self::ProxyWasm(Abi::V0_2_0) => "proxy-wasm filter, ABI 0.2.0",
            Self::ProxyWasm(Abi::V0_2_1) => "proxy-wasm filter, ABI 0.2.1",
            Self::ProxyWasm(Abi::V0_2_100) => "proxy-wasm filter, ABI 0.2.100",
        })
    }
}

/// What was found in a file.
#[derive(Clone, Debug)]
pub struct Inspection {
    pub kind: PluginKind,
    /// `module name` (a component's: names of interfaces), sorted, each once.
    pub imports: Vec<String>,
    pub exports: Vec<String>,
    /// Bytes.
    pub size: u64,
    /// Lower-case hex.
    pub sha256: String,
    /// Initial and largest size of its memories together, in bytes; none: no bound of its own.
    pub memory: (u64, Option<u64>),
    /// Whether it has names for backtraces.
    pub has_names: bool,
    /// Whether a component has to be made of it first (a module with functions of a world).
    pub is_core_module: bool,
}

/// Reads a file's bytes; `path` is for messages. Looks at what the file is made of, not at the
/// code: that is checked when it is compiled.
///
/// # Errors
/// [`LoadError::Unfit`]: not WebAssembly, damaged, or no plugin of a kind that runs here.
pub fn inspect(path: &str, bytes: &[u8]) -> Result<Inspection, LoadError> {
    let unfit = |problem| LoadError::Unfit { path: path.to_owned(), problem };
    is_wasm(bytes).map_err(unfit)?;
    let contents = Contents::read(bytes)
        .map_err(|Damage(what)| unfit(format!("is no valid WebAssembly: {what}")))?;
    let kind = contents.kind().map_err(unfit)?;
    let is_core_module = contents.encoding == Encoding::Module
        && matches!(kind, PluginKind::Authorizer | PluginKind::Transformer);
    Ok(Inspection {
        kind,
        imports: sorted(contents.imports),
        exports: sorted(contents.exports),
        size: bytes.len() as u64,
        sha256: sha256(bytes),
        memory: contents.memory,
        has_names: contents.has_names,
        is_core_module,
    })
}

/// The interfaces and worlds that plugins are made for.
const WIT: &str = include_str!("../../../plugins/wit/tollgate-plugin.wit");
/// The version of [`WIT`].
const WIT_VERSION: &str = "0.1.0";

/// The component that a core module with functions of a Tollgate world becomes; `inspection` is
/// that of the module.
///
/// What compilers leave in the module about its types is not looked at: reading it well is not
/// easy (some of it makes wit-parser recurse without end), and the world is known without it.
///
/// # Errors
/// [`LoadError::Unfit`]: the module's functions are not those of the world.
pub(crate) fn component_of(
    path: &str,
    module: &[u8],
    inspection: &Inspection,
) -> Result<Vec<u8>, LoadError> {
    let (interface, world) = match inspection.kind {
        PluginKind::Transformer => ("transformation", "transformer"),
        PluginKind::Authorizer | PluginKind::ProxyWasm(_) => ("authorization", "authorizer"),
    };
    // The names in the module have the version that its author had.
    let version = inspection.exports.iter().find_map(|export| version_of(export, interface));
    let wit = WIT.replace(WIT_VERSION, version.unwrap_or(WIT_VERSION));
    encoded(module, &wit, world).map_err(|error| LoadError::Unfit {
        path: path.to_owned(),
        problem: format!("a component can't be made of this module: {error}"),
    })
}

fn encoded(module: &[u8], wit: &str, world: &str) -> Result<Vec<u8>, String> {
    // For what comes next, which takes it for granted in places.
    Validator::new().validate_all(module).map_err(text)?;
    let mut module = without_component_types(module).map_err(text)?;
    let mut resolve = Resolve::default();
    let package = resolve.push_source("tollgate-plugin.wit", wit).map_err(text)?;
    let world = resolve.select_world(&[package], Some(world)).map_err(text)?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).map_err(text)?;
    // Validated when it is compiled.
    let encoder = ComponentEncoder::default().validate(false).module(&module).map_err(text)?;
    { encoder }.encode().map_err(text)
}

/// An error with its causes, in a line.
fn text(error: impl fmt::Display) -> String {
    format!("{error:#}")
}

/// A module but for its custom sections of this kind.
fn without_component_types(module: &[u8]) -> wasmparser::Result<Vec<u8>> {
    let mut kept = Vec::with_capacity(module.len());
    let mut end = 0;
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        let range = match &payload {
            Payload::Version { range, .. } => Some(range.clone()),
            // Its contents: its head is before them, after the end of the one before.
            payload => payload.as_section().map(|(_, range)| range),
        };
        let Some(range) = range else { continue };
        let start = std::mem::replace(&mut end, range.end);
        let has_types = matches!(&payload, Payload::CustomSection(section)
            if section.name().starts_with("component-type"));
        if !has_types {
            kept.extend_from_slice(&module[start..end]);
        }
    }
    Ok(kept)
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write;

    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names.dedup();
    names
}

/// Says what a file without the first bytes of WebAssembly is instead, where it can be told.
fn is_wasm(bytes: &[u8]) -> Result<(), String> {
    if bytes.starts_with(b"\0asm") {
        return Ok(());
    }
    let text = bytes.trim_ascii_start();
    let is_text =
        [&b"(module"[..], b"(component", b";;", b"(;"].iter().any(|it| text.starts_with(it));
    Err(match bytes {
        [] => "is empty".to_owned(),
        _ if is_text => "is WebAssembly in text form; `wasm-tools parse` or `wat2wasm` makes the \
                         binary form of it"
            .to_owned(),
        [b'\x7f', b'E', b'L', b'F', ..] => {
            "is native code; a plugin is given as the .wasm file it was compiled from".to_owned()
        }
        [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            "is compressed; a plugin is given as a plain .wasm file".to_owned()
        }
        _ => "is no WebAssembly: it doesn't begin with \\0asm".to_owned(),
    })
}

/// What matters of a module or component. Names are those of its own imports and exports; the
/// rest is that of everything within.
struct Contents {
    encoding: Encoding,
    imports: Vec<String>,
    exports: Vec<String>,
    memory: (u64, Option<u64>),
    has_names: bool,
}

/// Why a file can't be read.
struct Damage(String);

impl From<wasmparser::BinaryReaderError> for Damage {
    fn from(error: wasmparser::BinaryReaderError) -> Self {
        Self(in_one_line(&error))
    }
}

impl Contents {
    fn read(bytes: &[u8]) -> Result<Self, Damage> {
        let mut contents = Self {
            encoding: Encoding::Module,
            imports: Vec::new(),
            exports: Vec::new(),
            memory: (0, Some(0)),
            has_names: false,
        };
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::Version { encoding, .. } => {
                    depth += 1;
                    if depth == 1 {
                        contents.encoding = encoding;
                    }
                }
                Payload::End(_) => depth = depth.saturating_sub(1),
                payload => contents.add(payload, depth == 1)?,
            }
        }
        Ok(contents)
    }

    fn add(&mut self, payload: Payload<'_>, is_outermost: bool) -> Result<(), Damage> {
        match payload {
            // Within a component, what one module imports is another's.
            Payload::ImportSection(section) if is_outermost => {
                for import in section.into_imports() {
                    let import = import?;
                    if let TypeRef::Memory(memory) = import.ty {
                        self.add_memory(memory);
                    }
                    add_name(&mut self.imports, format!("{} {}", import.module, import.name))?;
                }
            }
            Payload::ExportSection(section) if is_outermost => {
                for export in section {
                    add_name(&mut self.exports, export?.name.to_owned())?;
                }
            }
            Payload::ComponentImportSection(section) if is_outermost => {
                for import in section {
                    add_name(&mut self.imports, import?.name.name.to_owned())?;
                }
            }
            Payload::ComponentExportSection(section) if is_outermost => {
                for export in section {
                    add_name(&mut self.exports, export?.name.name.to_owned())?;
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    self.add_memory(memory?);
                }
            }
            Payload::CustomSection(section) => {
                self.has_names |= matches!(section.as_known(), KnownCustom::Name(_))
                    || section.name() == ".debug_info";
            }
            _ => {}
        }
        Ok(())
    }

    fn add_memory(&mut self, memory: MemoryType) {
        let page = 1_u64.checked_shl(memory.page_size_log2.unwrap_or(16)).unwrap_or(u64::MAX);
        let (initial, maximum) = &mut self.memory;
        *initial = initial.saturating_add(memory.initial.saturating_mul(page));
        *maximum = maximum
            .zip(memory.maximum)
            .map(|(sum, maximum)| sum.saturating_add(maximum.saturating_mul(page)));
    }

    /// Which kind of plugin it is, or what it is instead.
    fn kind(&self) -> Result<PluginKind, String> {
        match self.encoding {
            Encoding::Component => self.kind_of_component(),
            Encoding::Module => match self.proxy_wasm_abi()? {
                Some(abi) => Ok(PluginKind::ProxyWasm(abi)),
                None => self.kind_of_core_module(),
            },
        }
    }

    fn kind_of_component(&self) -> Result<PluginKind, String> {
        self.world()?.ok_or_else(|| self.other_component())
    }

    fn kind_of_core_module(&self) -> Result<PluginKind, String> {
        let kind = self.world()?.ok_or_else(|| self.other_module())?;
        if self.imports.iter().any(|import| import.starts_with("wasi_")) {
            return Err("is a module that uses WASI preview 1; build it for \
                        wasm32-unknown-unknown instead, or for wasm32-wasip2"
                .to_owned());
        }
        Ok(kind)
    }

    /// The world that the exports are of, if it is one of Tollgate's.
    fn world(&self) -> Result<Option<PluginKind>, String> {
        let kinds = [
            ("authorization", PluginKind::Authorizer),
            ("transformation", PluginKind::Transformer),
        ];
        let mut found = None;
        for (interface, kind) in kinds {
            for export in &self.exports {
                let Some(version) = version_of(export, interface) else { continue };
                if !is_compatible(version) {
                    return Err(format!(
                        "is made for tollgate:plugin@{version}; allowed: 0.1 and 0.1.0 or later"
                    ));
                }
                match found {
                    Some(other) if other != kind => {
                        return Err("exports both authorization and transformation; a plugin is \
                                    either an authorizer or a transformer"
                            .to_owned());
                    }
                    _ => found = Some(kind),
                }
            }
        }
        Ok(found)
    }

    fn other_component(&self) -> String {
        let is_command = self.exports.iter().any(|export| export.starts_with("wasi:cli/run@"));
        let what = if is_command { "is a WASI command" } else { "is a component of another world" };
        format!(
            "{what}: it exports {}; a plugin exports tollgate:plugin/authorization@0.1.0 or \
             tollgate:plugin/transformation@0.1.0",
            listed(&self.exports)
        )
    }

    fn proxy_wasm_abi(&self) -> Result<Option<Abi>, String> {
        const PREFIX: &str = "proxy_abi_version_";
        let versions: Vec<&str> =
            self.exports.iter().filter_map(|export| export.strip_prefix(PREFIX)).collect();
        match *versions {
            [] => Ok(None),
            ["0_2_0"] => Ok(Some(Abi::V0_2_0)),
            ["0_2_1"] => Ok(Some(Abi::V0_2_1)),
            ["0_2_100"] => Ok(Some(Abi::V0_2_100)),
            [version] => Err(format!(
                "is a proxy-wasm filter of ABI {}; allowed: 0.2.0, 0.2.1 and 0.2.100",
                shortened(&version.replace('_', "."))
            )),
            _ => Err(format!(
                "names several versions of the proxy-wasm ABI: {}; allowed: exactly one",
                listed(&versions)
            )),
        }
    }

    fn other_module(&self) -> String {
        let has = |name: &str| self.exports.iter().any(|export| export == name);
        let imports_wasi = self.imports.iter().any(|import| import.starts_with("wasi_"));
        if has("_start") && imports_wasi {
            return "is a WASI command; a plugin is a component of a tollgate:plugin world or a \
                    proxy-wasm filter"
                .to_owned();
        }
        "is no plugin: it exports neither functions of a tollgate:plugin world nor \
         proxy_abi_version_0_2_0, _0_2_1 or _0_2_100"
            .to_owned()
    }
}

fn add_name(names: &mut Vec<String>, name: String) -> Result<(), Damage> {
    if names.len() >= limits::NAMES {
        return Err(Damage(format!("more than {} imports or exports", limits::NAMES)));
    }
    names.push(name);
    Ok(())
}

/// The version of `tollgate:plugin/{interface}` that an export is of. A component exports the
/// interface (`tollgate:plugin/authorization@0.1.0`), a module that becomes one its functions
/// (`tollgate:plugin/authorization@0.1.0#authorize`, or as the component model's build targets
/// spell it `cm32p2|tollgate:plugin/authorization@0.1|authorize`).
fn version_of<'e>(export: &'e str, interface: &str) -> Option<&'e str> {
    let export = export.strip_prefix("cm32p2|").unwrap_or(export);
    let version = export.strip_prefix("tollgate:plugin/")?.strip_prefix(interface)?;
    let version = version.strip_prefix('@')?;
    Some(version.split_once(['#', '|']).map_or(version, |(version, _)| version))
}

/// Whether a plugin made for this version of the package runs: all of 0.1 do.
fn is_compatible(version: &str) -> bool {
    let mut numbers = version.split('.');
    let is_patch = |patch: Option<&str>| {
        patch.is_none_or(|patch| !patch.is_empty() && patch.bytes().all(|it| it.is_ascii_digit()))
    };
    numbers.next() == Some("0")
        && numbers.next() == Some("1")
        && is_patch(numbers.next())
        && numbers.next().is_none()
}

/// The first few names of a list, for a message.
fn listed(names: &[impl AsRef<str>]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> =
        names.iter().take(SHOWN).map(|name| shortened(name.as_ref())).collect();
    match names.len() {
        0 => "nothing".to_owned(),
        1..=SHOWN => shown.join(", "),
        all => format!("{} and {} more", shown.join(", "), all - SHOWN),
    }
}

/// A name from the file, fit for a line of text.
fn shortened(name: &str) -> String {
    const SHOWN: usize = 100;
    let mut shown: String =
        name.chars().take(SHOWN).map(|it| if it.is_control() { '\u{fffd}' } else { it }).collect();
    if name.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests;
