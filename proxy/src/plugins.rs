//! The plugins of a running gateway: read from their files, and swapped for new versions when
//! the files change.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use tollgate_plugin_host::{Plugin, PluginHost, PluginKind, PluginSlot, PluginSource};

use crate::config::plugins::{PluginConfig, PluginPlace, name_of};
use crate::definitions::{Definition, PluginUse, reason};

/// Largest configuration of a plugin, in bytes.
const MAXIMUM_CONFIGURATION: u64 = 16 << 20;

/// Plugins by name, each at the last version that loaded.
pub struct Plugins {
    host: PluginHost,
    in_use: BTreeMap<String, InUse>,
}

struct InUse {
    slot: PluginSlot,
    source: PluginSource,
}

impl InUse {
    /// In the slot of the version before, if there is one: requests find the new one there.
    fn instead_of(before: Option<Self>, plugin: Arc<Plugin>, source: PluginSource) -> Self {
        let slot = match before {
            Some(before) => {
                before.slot.replace(plugin);
                before.slot
            }
            None => PluginSlot::new(plugin),
        };
        Self { slot, source }
    }
}

/// Plugins that have been loaded, to be taken into use together.
pub struct Prepared(Vec<(PluginSource, Arc<Plugin>)>);

/// What each plugin is, by name.
pub type Kinds = BTreeMap<String, PluginKind>;

impl Prepared {
    pub fn kinds(&self) -> Kinds {
        self.0.iter().map(|(source, plugin)| (source.name.clone(), plugin.kind())).collect()
    }
}

/// What a definition asks of plugins and doesn't get, a line each.
pub fn unfit(definition: &Definition, kinds: &Kinds) -> Vec<String> {
    unfit_plugins(&definition.plugins, kinds)
}

/// The same of plugins that are wanted.
pub fn unfit_plugins(wanted: &BTreeSet<PluginUse>, kinds: &Kinds) -> Vec<String> {
    let missing = |wanted: &PluginUse| {
        let (name, what) = match wanted {
            PluginUse::Authorizer(name) => (name, "an authorizer"),
            PluginUse::Transformer(name) => (name, "a transformer"),
        };
        match (kinds.get(name), wanted) {
            (Some(kind), PluginUse::Authorizer(_)) if !kind.is_transformer() => None,
            (Some(kind), PluginUse::Transformer(_)) if kind.is_transformer() => None,
            (Some(kind), _) => Some(format!("plugin {name} is wanted as {what}, but is a {kind}")),
            (None, _) => Some(format!("there is no plugin {name}, wanted as {what}")),
        }
    };
    wanted.iter().filter_map(missing).collect()
}

impl Plugins {
    pub fn new(host: PluginHost) -> Self {
        Self { host, in_use: BTreeMap::new() }
    }

    /// Loads what the configuration names, all or nothing; changes nothing yet.
    pub fn prepare(&self, configs: &[PluginConfig]) -> anyhow::Result<Prepared> {
        let mut prepared = Vec::new();
        for source in sources(configs)? {
            let plugin = self.host.load(&source).with_context(|| plugin_named(&source.name))?;
            prepared.push((source, plugin));
        }
        Ok(Prepared(prepared))
    }

    /// Takes prepared plugins into use. Those that aren't among them stay with the requests that
    /// have them.
    pub fn commit(&mut self, Prepared(prepared): Prepared) {
        let mut in_use = BTreeMap::new();
        for (source, plugin) in prepared {
            let before = self.in_use.remove(&source.name);
            in_use.insert(source.name.clone(), InUse::instead_of(before, plugin, source));
        }
        self.in_use = in_use;
    }

    /// Looks at the files again: swaps the plugins that have changed, and says what became of
    /// each. A version that does not load leaves the one before it in use, as does one of the
    /// other kind, which could not do what the one before it is attached for; a plugin whose file
    /// is gone stays.
    pub fn refresh(&mut self, configs: &[PluginConfig]) -> Refreshed {
        let mut refreshed = Refreshed::default();
        let sources = match sources(configs) {
            Ok(sources) => sources,
            Err(error) => {
                refreshed.refused.push(crate::one_line(&error));
                return refreshed;
            }
        };
        for source in sources {
            let plugin = match self.host.load(&source) {
                Ok(plugin) if self.is_in_use(&plugin) => continue,
                Ok(plugin) => self.fitting(plugin, &source),
                Err(error) => Err(error.to_string()),
            };
            let plugin = match plugin {
                Ok(plugin) => plugin,
                Err(problem) => {
                    refreshed.refused.push(format!("{}: {problem}", plugin_named(&source.name)));
                    continue;
                }
            };
            refreshed.changed.push(source.name.clone());
            let before = self.in_use.remove(&source.name);
            self.in_use.insert(source.name.clone(), InUse::instead_of(before, plugin, source));
        }
        refreshed
    }

    /// The new version, if it can take the place of the one in use.
    fn fitting(&self, plugin: Arc<Plugin>, source: &PluginSource) -> Result<Arc<Plugin>, String> {
        let kind = plugin.kind();
        match self.in_use.get(&source.name).map(|known| known.slot.current().kind()) {
            Some(before) if before.is_transformer() != kind.is_transformer() => Err(format!(
                "{}: is a {kind}, which can't replace a {before}",
                source.file.display()
            )),
            _ => Ok(plugin),
        }
    }

    /// The host gives what it has loaded already for an unchanged file with unchanged settings.
    fn is_in_use(&self, plugin: &Arc<Plugin>) -> bool {
        self.in_use
            .get(plugin.name())
            .is_some_and(|known| Arc::ptr_eq(&known.slot.current(), plugin))
    }

    pub fn slots(&self) -> BTreeMap<String, PluginSlot> {
        self.in_use.iter().map(|(name, it)| (name.clone(), it.slot.clone())).collect()
    }

    /// The version of each in use now.
    pub fn current(&self) -> impl Iterator<Item = (&PluginSource, Arc<Plugin>)> {
        self.in_use.values().map(|it| (&it.source, it.slot.current()))
    }

    pub fn kinds(&self) -> Kinds {
        self.in_use.iter().map(|(name, it)| (name.clone(), it.slot.current().kind())).collect()
    }
}

/// What [`Plugins::refresh`] found.
#[derive(Debug, Default)]
pub struct Refreshed {
    /// Names of the plugins that run a new version.
    pub changed: Vec<String>,
    /// One line each.
    pub refused: Vec<String>,
}

/// The files that make it necessary to look again when they change.
pub fn watched_files(configs: &[PluginConfig]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for config in configs {
        files.extend(config.configuration_file.clone());
        match &config.place {
            PluginPlace::File { file, .. } => files.push(file.clone()),
            PluginPlace::Directory(directory) => {
                files.push(directory.clone());
                files.extend(modules(directory).unwrap_or_default());
            }
        }
    }
    files.sort();
    files.dedup();
    files
}

/// Every plugin that the entries stand for, with the configuration that is in their files now.
fn sources(configs: &[PluginConfig]) -> anyhow::Result<Vec<PluginSource>> {
    let mut sources = Vec::with_capacity(configs.len());
    let mut names = BTreeSet::new();
    for config in configs {
        let mut settings = config.settings.clone();
        if let Some(file) = &config.configuration_file {
            settings.configuration = configuration(file)?;
        }
        let files = match &config.place {
            PluginPlace::File { name, file, sha256 } => {
                vec![(name.clone(), file.clone(), sha256.clone())]
            }
            PluginPlace::Directory(directory) => modules(directory)?
                .into_iter()
                .map(|file| {
                    let name = name_of(&file).map_err(anyhow::Error::msg);
                    Ok((name.with_context(|| file.display().to_string())?, file, None))
                })
                .collect::<anyhow::Result<Vec<_>>>()?,
        };
        for (name, file, sha256) in files {
            if !names.insert(name.clone()) {
                bail!("{}: there is another plugin with the name {name}", file.display());
            }
            sources.push(PluginSource { name, file, sha256, settings: settings.clone() });
        }
    }
    Ok(sources)
}

/// The `*.wasm` files of a directory, sorted.
fn modules(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let refused = |error: std::io::Error| {
        anyhow::anyhow!("{}: cannot be read: {}", directory.display(), reason(&error))
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(refused)? {
        let file = entry.map_err(refused)?.path();
        if file.extension().is_some_and(|extension| extension == "wasm") && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn configuration(file: &Path) -> anyhow::Result<Vec<u8>> {
    let read = || -> std::io::Result<Vec<u8>> {
        use std::io::Read;
        let mut bytes = Vec::new();
        std::fs::File::open(file)?.take(MAXIMUM_CONFIGURATION + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) if bytes.len() as u64 > MAXIMUM_CONFIGURATION => {
            bail!("{}: is larger than {MAXIMUM_CONFIGURATION} bytes", file.display())
        }
        Ok(bytes) => Ok(bytes),
        Err(error) => bail!("{}: cannot be read: {}", file.display(), reason(&error)),
    }
}

fn plugin_named(name: &str) -> String {
    format!("plugin {name}")
}
