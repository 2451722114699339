//! `tollgate plugin inspect` and `tollgate plugin test`: plugins without a gateway, for people
//! who write them.

mod file;
mod log;
mod report;
mod run;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use serde_json::json;
use tollgate_plugin_host::config::{Isolation, PluginSettings, UpstreamConfig, UpstreamProtocol};
use tollgate_plugin_host::{HostConfig, Inspection, PluginHost, PluginSource, inspect};

use crate::cli::plugin::{PluginCommand, PluginInspectArgs, PluginTestArgs};
use crate::cli::{KeyValue, Output};
use crate::config::plugins::name_of;
use crate::definitions::reason;

pub fn plugin(command: &PluginCommand) -> anyhow::Result<ExitCode> {
    match command {
        PluginCommand::Inspect(args) => inspect_file(args),
        PluginCommand::Test(args) => test(args),
    }
}

/// The upstreams of `--upstream NAME=HOST:PORT`: HTTP/1.1 without TLS.
pub fn upstreams(pairs: &[KeyValue]) -> BTreeMap<String, UpstreamConfig> {
    let upstream = |address: &String| UpstreamConfig {
        address: address.clone(),
        tls: false,
        protocol: UpstreamProtocol::Http1,
    };
    pairs.iter().map(|pair| (pair.key.clone(), upstream(&pair.value))).collect()
}

fn inspect_file(args: &PluginInspectArgs) -> anyhow::Result<ExitCode> {
    let path = args.plugin.display().to_string();
    let found = inspect(&path, &read(&args.plugin)?)?;
    let text = match args.output {
        Output::Text => inspection(&found),
        Output::Json => {
            let (initial, maximum) = found.memory;
            let found = json!({
                "kind": found.kind.to_string(),
                "sha256": found.sha256,
                "size": found.size,
                "core_module": found.is_core_module,
                "memory": {"initial": initial, "maximum": maximum},
                "names": found.has_names,
                "imports": found.imports,
                "exports": found.exports,
            });
            format!("{found}\n")
        }
    };
    crate::print(&text)
}

fn inspection(found: &Inspection) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    let (initial, maximum) = found.memory;
    let maximum = maximum.map_or("no limit of its own".to_owned(), |it| format!("at most {it}"));
    let module =
        if found.is_core_module { " (a core module; loading makes a component of it)" } else { "" };
    let names = if found.has_names { "yes" } else { "no: backtraces will have numbers only" };
    // Writing to a string does not fail.
    let _ = write!(
        text,
        "kind:    {}{module}\nsha256:  {}\nsize:    {} bytes\nmemory:  {initial} bytes at start, {maximum}\n\
         names:   {names}\n",
        found.kind, found.sha256, found.size
    );
    for (title, list) in [("imports", &found.imports), ("exports", &found.exports)] {
        let _ = writeln!(text, "{title}:");
        for item in list {
            let _ = writeln!(text, "  {item}");
        }
    }
    text
}

fn test(args: &PluginTestArgs) -> anyhow::Result<ExitCode> {
    let log = log::capture();
    let requests = file::read(&args.request)?;
    let host = PluginHost::new(HostConfig {
        upstreams: upstreams(&args.upstreams),
        workers: 1,
        measure_fuel: true,
        ..HostConfig::default()
    })
    .map_err(anyhow::Error::msg)?;
    let settings = PluginSettings {
        configuration: args.config.as_deref().map(read).transpose()?.unwrap_or_default(),
        isolation: if args.per_request { Isolation::PerRequest } else { Isolation::Shared },
        upstreams: args.upstreams.iter().map(|pair| pair.key.clone()).collect(),
        wasi: args.wasi,
        root_id: args.root_id.clone().unwrap_or_default(),
        body: args.body,
        ..PluginSettings::default()
    };
    let source = PluginSource {
        name: name_of(&args.plugin).map_err(anyhow::Error::msg)?,
        file: args.plugin.clone(),
        sha256: None,
        settings,
    };
    let plugin = host.load(&source)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut text = match args.output {
        Output::Text => report::started(&plugin, &log.take()),
        Output::Json => String::new(),
    };
    let mut failed = false;
    for (index, request) in requests.into_iter().enumerate() {
        let outcome = runtime.block_on(run::run(&plugin, request, &log));
        failed |= outcome.error.is_some();
        text.push_str(&match args.output {
            Output::Text => report::text(index + 1, &outcome),
            Output::Json => format!("{}\n", report::json(&outcome)),
        });
    }
    crate::print(&text)?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    match std::fs::read(file) {
        Ok(bytes) => Ok(bytes),
        Err(error) => bail!("{}: cannot be read: {}", file.display(), reason(&error)),
    }
}
