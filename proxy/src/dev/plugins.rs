//! The plugins of `tollgate dev --plugin`: each is attached to every method, unless a definition
//! says where it belongs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tollgate_plugin_host::PluginKind;
use tollgate_plugin_host::config::{OnError, PluginSettings};

use crate::cli::PluginArgs;
use crate::config::plugins::{PluginConfig, PluginPlace, name_of};
use crate::definitions::{Attached, Definition};
use crate::plugins::Kinds;

/// The entries that a configuration file would have for the command line.
pub fn configs(args: &PluginArgs) -> anyhow::Result<Vec<PluginConfig>> {
    let mut names = BTreeSet::new();
    let upstreams: BTreeSet<String> = args.upstreams.iter().map(|it| it.key.clone()).collect();
    let mut configs = Vec::with_capacity(args.plugins.len());
    for argument in &args.plugins {
        let (file, configuration_file) = split(argument);
        let name = name_of(&file)
            .map_err(anyhow::Error::msg)
            .with_context(|| file.display().to_string())?;
        // The same plugin may be there twice, with two configurations.
        let name = (1..)
            .map(|number| if number == 1 { name.clone() } else { format!("{name}-{number}") })
            .find(|name| names.insert(name.clone()))
            .unwrap_or(name);
        configs.push(PluginConfig {
            place: PluginPlace::File { name, file, sha256: None },
            settings: PluginSettings {
                upstreams: upstreams.clone(),
                wasi: args.plugin_wasi,
                root_id: args.plugin_root_id.clone().unwrap_or_default(),
                on_error: match args.plugin_fail_open {
                    true => OnError::FailOpen,
                    false => OnError::FailClosed,
                },
                ..PluginSettings::default()
            },
            configuration_file,
        });
    }
    Ok(configs)
}

/// `PATH=CONFIG_FILE`; a path may have a `=` itself.
fn split(argument: &Path) -> (PathBuf, Option<PathBuf>) {
    if argument.exists() {
        return (argument.to_owned(), None);
    }
    match argument.to_str().and_then(|text| text.split_once('=')) {
        Some((file, configuration)) => (file.into(), Some(configuration.into())),
        None => (argument.to_owned(), None),
    }
}

/// Attaches every plugin that no definition names to every method, transformers in the order of
/// the command line.
pub fn attach(
    configs: &[PluginConfig],
    kinds: &Kinds,
    definitions: &[Definition],
) -> anyhow::Result<Attached> {
    let mut attached = Attached::default();
    for config in configs {
        let PluginPlace::File { name, file, .. } = &config.place else { continue };
        if definitions.iter().any(|definition| definition.names_plugin(name)) {
            continue;
        }
        match kinds.get(name) {
            Some(PluginKind::Authorizer) => {
                if let Some(other) = attached.authorizer_of_all.replace(name.clone()) {
                    bail!(
                        "{}: is an authorizer, and so is {other}; a method has one",
                        file.display()
                    );
                }
            }
            Some(PluginKind::Transformer | PluginKind::ProxyWasm(_)) => {
                attached.transformers.push(name.clone());
            }
            None => {}
        }
    }
    Ok(attached)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_stands_after_the_equals_sign() {
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("a=b.wasm");
        std::fs::write(&odd, "").unwrap();
        assert_eq!(split(&odd), (odd.clone(), None));
        let (file, configuration) = split(Path::new("x.wasm=c=d.json"));
        assert_eq!((file, configuration), ("x.wasm".into(), Some("c=d.json".into())));
        assert_eq!(split(Path::new("x.wasm")), ("x.wasm".into(), None));
    }

    #[test]
    fn the_same_plugin_twice_has_two_names() {
        let args = PluginArgs {
            plugins: vec!["a/x.wasm".into(), "b/x.wasm=c".into()],
            ..PluginArgs::default()
        };
        let names: Vec<_> = configs(&args)
            .unwrap()
            .into_iter()
            .map(|config| match config.place {
                PluginPlace::File { name, .. } => name,
                PluginPlace::Directory(_) => unreachable!("dev has files only"),
            })
            .collect();
        assert_eq!(names, ["x", "x-2"]);
    }
}
