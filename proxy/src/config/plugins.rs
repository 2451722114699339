//! What the configuration file says about plugins, checked. The files it names are read by
//! [`crate::plugins`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use tollgate_plugin_host::config::{
    Isolation, OnError, PluginLimits, PluginSettings, UpstreamConfig, UpstreamProtocol,
};

use super::checked::Checker;
use super::wire::plugins as wire;
use super::wire::{Located, Scalar};
use super::{ConfigError, values};

/// An entry of `plugins`.
#[derive(Clone, Debug)]
pub struct PluginConfig {
    pub place: PluginPlace,
    /// Without what `configuration_file` holds.
    pub settings: PluginSettings,
    pub configuration_file: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginPlace {
    File {
        name: String,
        file: PathBuf,
        sha256: Option<String>,
    },
    /// Each `*.wasm` in it.
    Directory(PathBuf),
}

/// Checks `plugins` against `plugin_upstreams`.
pub fn plugins(
    wire: &[Located<wire::Plugin>],
    upstreams: &BTreeMap<String, UpstreamConfig>,
    at: &Checker<'_>,
) -> Result<Vec<PluginConfig>, ConfigError> {
    let mut names = BTreeSet::new();
    let mut plugins = Vec::with_capacity(wire.len());
    for (index, plugin) in wire.iter().enumerate() {
        let key = |name: &str| format!("plugins[{index}].{name}");
        let place = place(plugin, &key, at)?;
        if let PluginPlace::File { name, .. } = &place
            && !names.insert(name.clone())
        {
            let problem = format!("there is a plugin {name} already; give this one another name");
            return Err(at.refuse(Some(plugin.line()), &key("name"), problem));
        }
        let configuration_file = match plugin.configuration_file.given() {
            Some(text) if plugin.configuration.is_some() => {
                let problem = "stands beside configuration; allowed: one of the two".to_owned();
                return Err(at.refuse(Some(text.line()), &key("configuration_file"), problem));
            }
            Some(text) => Some(at.path(text, &key("configuration_file"))?),
            None => None,
        };
        let settings = settings(plugin, upstreams, &key, at)?;
        plugins.push(PluginConfig { place, settings, configuration_file });
    }
    Ok(plugins)
}

fn place(
    plugin: &Located<wire::Plugin>,
    key: &impl Fn(&str) -> String,
    at: &Checker<'_>,
) -> Result<PluginPlace, ConfigError> {
    if let Some(directory) = plugin.directory.given() {
        for (name, other) in
            [("file", &plugin.file), ("name", &plugin.name), ("sha256", &plugin.sha256)]
        {
            if let Some(other) = other.given() {
                let problem = "a directory of plugins has none".to_owned();
                return Err(at.refuse(Some(other.line()), &key(name), problem));
            }
        }
        return Ok(PluginPlace::Directory(at.path(directory, &key("directory"))?));
    }
    let text = at.present(&plugin.file, plugin.line(), &key("file"))?;
    let file = at.path(text, &key("file"))?;
    let name = match at.optional(&plugin.name, &key("name"), plugin_name)? {
        Some(name) => name,
        None => {
            name_of(&file).map_err(|problem| at.refuse(Some(text.line()), &key("file"), problem))?
        }
    };
    let sha256 = at.optional(&plugin.sha256, &key("sha256"), sha256)?;
    Ok(PluginPlace::File { name, file, sha256 })
}

fn settings(
    plugin: &wire::Plugin,
    upstreams: &BTreeMap<String, UpstreamConfig>,
    key: &impl Fn(&str) -> String,
    at: &Checker<'_>,
) -> Result<PluginSettings, ConfigError> {
    let mut allowed = BTreeSet::new();
    for (number, name) in plugin.upstreams.iter().enumerate() {
        let key = key(&format!("upstreams[{number}]"));
        allowed.insert(at.required(name, &key, |text| known_upstream(text, upstreams))?);
    }
    let text = |maybe: &super::wire::Maybe<super::wire::Text>| {
        maybe.given().map(|text| text.text().to_owned())
    };
    Ok(PluginSettings {
        configuration: plugin.configuration.as_ref().map(configuration_bytes).unwrap_or_default(),
        isolation: match plugin.isolation.given() {
            Some(wire::Isolation::PerRequest) => Isolation::PerRequest,
            Some(wire::Isolation::Shared) | None => Isolation::Shared,
        },
        on_error: match plugin.on_error.given() {
            Some(wire::OnError::FailOpen) => OnError::FailOpen,
            Some(wire::OnError::FailClosed) | None => OnError::FailClosed,
        },
        limits: limits(plugin.limits.as_ref(), key, at)?,
        upstreams: allowed,
        wasi: at.optional(&plugin.wasi, &key("wasi"), values::boolean)?.unwrap_or(false),
        environment: plugin
            .environment
            .iter()
            .map(|(name, value)| (name.clone(), value.text().to_owned()))
            .collect(),
        root_id: text(&plugin.root_id).unwrap_or_default(),
        vm_id: text(&plugin.vm_id),
        vm_configuration: text(&plugin.vm_configuration).unwrap_or_default().into_bytes(),
        body: at.optional(&plugin.body, &key("body"), values::boolean)?.unwrap_or(false),
    })
}

fn known_upstream(
    name: &str,
    upstreams: &BTreeMap<String, UpstreamConfig>,
) -> Result<String, String> {
    if upstreams.contains_key(name) {
        return Ok(name.to_owned());
    }
    let known: Vec<&str> = upstreams.keys().map(String::as_str).collect();
    let known =
        if known.is_empty() { "none, plugin_upstreams is empty".into() } else { known.join(", ") };
    Err(format!("there is no upstream {name:?} in plugin_upstreams; allowed: {known}"))
}

/// Text as it is, so that any format can stand in the file; the rest as JSON.
fn configuration_bytes(value: &serde_json::Value) -> Vec<u8> {
    match value {
        serde_json::Value::Null => Vec::new(),
        serde_json::Value::String(text) => text.clone().into_bytes(),
        value => value.to_string().into_bytes(),
    }
}

fn limits(
    wire: Option<&wire::PluginLimits>,
    key: &impl Fn(&str) -> String,
    at: &Checker<'_>,
) -> Result<PluginLimits, ConfigError> {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    let mut limits = PluginLimits::default();
    let Some(wire) = wire else { return Ok(limits) };
    let milliseconds = Duration::from_millis;
    // KEY(READER in SMALLEST => LARGEST): an absent key leaves the default.
    macro_rules! set {
        ($($name:ident($reader:ident in $smallest:expr => $largest:expr)),* $(,)?) => {$(
            let limit = key(concat!("limits.", stringify!($name)));
            if let Some(value) = at.optional(&wire.$name, &limit, |text| values::$reader(text, $smallest..=$largest))? {
                limits.$name = value.try_into().expect("the range fits the type");
            }
        )*};
    }
    set! {
        memory(size in 64 * KIB => 4 * GIB),
        table_elements(count in 1 => 10_000_000),
        instances(count in 1 => 1_000),
        cpu_time(duration in milliseconds(1) => milliseconds(60_000)),
        stack(size in 64 * KIB => MIB),
        wait(duration in milliseconds(10) => milliseconds(300_000)),
        body(size in KIB => GIB),
        shared_data(size in KIB => 4 * GIB),
        calls(count in 1 => 1_000),
    }
    Ok(limits)
}

pub fn upstreams(
    wire: &BTreeMap<String, Located<wire::PluginUpstream>>,
    at: &Checker<'_>,
) -> Result<BTreeMap<String, UpstreamConfig>, ConfigError> {
    let mut upstreams = BTreeMap::new();
    for (name, upstream) in wire {
        let key = |key: &str| format!("plugin_upstreams.{name}.{key}");
        let address = at.present(&upstream.address, upstream.line(), &key("address"))?;
        let checked = UpstreamConfig {
            address: at.required(address, &key("address"), values::upstream_address)?,
            tls: at.optional(&upstream.tls, &key("tls"), values::boolean)?.unwrap_or(false),
            protocol: match upstream.protocol.given() {
                Some(wire::UpstreamProtocol::Http2) => UpstreamProtocol::Http2,
                Some(wire::UpstreamProtocol::Http1) | None => UpstreamProtocol::Http1,
            },
        };
        upstreams.insert(name.clone(), checked);
    }
    Ok(upstreams)
}

/// The name of a plugin that has none: its file's, without `.wasm`.
pub fn name_of(file: &std::path::Path) -> Result<String, String> {
    let stem = file.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    plugin_name(&stem).map_err(|problem| format!("{problem}; give the plugin a name"))
}

/// Checks a plugin's name.
pub fn plugin_name(text: &str) -> Result<String, String> {
    let valid = (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    match valid {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} is not a plugin's name; allowed: 1 to 64 of a-z, A-Z, 0-9, _, - and ."
        )),
    }
}

fn sha256(text: &str) -> Result<String, String> {
    match text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(format!("{text:?} is not a SHA-256; allowed: 64 hexadecimal digits")),
    }
}
