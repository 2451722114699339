//! `tollgate check`: reads what `serve` or `dev` would, serves nothing, and says what it found.

use std::process::ExitCode;

use serde_json::{Value, json};
use tollgate_gateway::tls::Certificates;
use tollgate_model::api::ApiId;

use crate::cli::{CheckArgs, Output};
use crate::config::{self, Config};
use crate::definitions::{
    self, Attached, Definition, MAXIMUM_INTEGRATION_TIMEOUT, Source, generated_api_id,
};
use crate::loaded::Loaded;
use crate::plugins::Plugins;
use crate::serve::plugin_host;

pub fn check(mut args: CheckArgs) -> anyhow::Result<ExitCode> {
    args.stage
        .fill_from_environment(|name| std::env::var(name).ok())
        .map_err(anyhow::Error::msg)?;
    let mut found = Found::default();
    if let Some(file) = &args.config {
        let loaded = config::load(file).map_err(anyhow::Error::new).and_then(configuration);
        match loaded {
            Ok(loaded) => found.configuration(loaded),
            Err(error) => found.errors.push(crate::one_line(&error)),
        }
    }
    for source in sources(&args) {
        match definitions::load(&source) {
            Ok(definition) => {
                found.warnings.extend(definition.warnings.iter().map(ToString::to_string));
                found.definitions.push(definition);
            }
            Err(error) => found.errors.push(error.to_string()),
        }
    }
    let report = match args.output {
        Output::Text => found.to_text(),
        Output::Json => format!("{:#}\n", found.to_json()),
    };
    crate::print(&report)?;
    if args.output == Output::Text {
        for error in &found.errors {
            eprintln!("{error}");
        }
    }
    Ok(if found.errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads everything a configuration names, plugins included.
fn configuration(mut config: Config) -> anyhow::Result<Loaded> {
    // Whoever checks may be another than who serves, and leaves nothing behind.
    config.plugin_cache_directory = None;
    let host = plugin_host(&config).map_err(anyhow::Error::msg)?;
    let kinds = Plugins::new(host).prepare(&config.plugins)?.kinds();
    Loaded::load(config, &Certificates::new(), &kinds)
}

#[derive(Default)]
struct Found {
    definitions: Vec<Definition>,
    /// One line each, the definitions' own included.
    warnings: Vec<String>,
    /// One line for each file that does not load.
    errors: Vec<String>,
}

impl Found {
    fn configuration(&mut self, loaded: Loaded) {
        self.definitions.extend(loaded.definitions);
        self.warnings.extend(loaded.warnings);
    }

    fn to_text(&self) -> String {
        let mut lines = Vec::new();
        for definition in &self.definitions {
            lines.push(format!(
                "{}: {}, API id {}, stage {}",
                definition.file.display(),
                definition.api.name,
                definition.api_id(),
                definition.stage_name()
            ));
            lines.push(format!("  {}", definition.summary()));
            let methods = definition.methods();
            lines.extend(
                methods.map(|(path, method, integration)| {
                    format!("  {method:<7} {path}  {integration}")
                }),
            );
        }
        lines.extend(self.warnings.iter().map(|warning| format!("warning: {warning}")));
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    fn to_json(&self) -> Value {
        json!({
            "ok": self.errors.is_empty(),
            "definitions": self.definitions.iter().map(Definition::to_json).collect::<Vec<_>>(),
            "warnings": self.warnings,
            "errors": self.errors,
        })
    }
}

fn sources(args: &CheckArgs) -> impl Iterator<Item = Source> {
    args.definitions.iter().map(|file| Source {
        file: file.clone(),
        api_id: file
            .canonicalize()
            .map_or_else(|_| ApiId(String::new()), |path| generated_api_id(&path)),
        name: None,
        description: None,
        stage: args.stage.stage.clone(),
        stage_variables: args
            .stage
            .stage_variables
            .iter()
            .map(|it| (it.key.clone(), it.value.clone()))
            .collect(),
        parameters: args
            .stage
            .parameters
            .iter()
            .map(|it| (it.key.clone(), it.value.clone()))
            .collect(),
        region: args.stage.region.clone(),
        account_id: args.stage.account_id.clone(),
        maximum_integration_timeout: MAXIMUM_INTEGRATION_TIMEOUT,
        attached: Attached::default(),
    })
}
