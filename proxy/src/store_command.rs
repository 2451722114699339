//! `tollgate store check|backup|restore|export`: what an operator does with the store's file.

use std::fmt::Write;
use std::io::{self, BufWriter, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::json;
use tollgate_store::{Existing, Report, StoreError, store_file};

use crate::cli::Output;
use crate::cli::store::{
    StoreArgs, StoreBackupArgs, StoreCheckArgs, StoreCommand, StoreExportArgs, StoreRestoreArgs,
};
use crate::config;

pub fn store(command: &StoreCommand) -> anyhow::Result<ExitCode> {
    match command {
        StoreCommand::Check(args) => check(args),
        StoreCommand::Backup(args) => backup(args),
        StoreCommand::Restore(args) => restore(args),
        StoreCommand::Export(args) => export(args),
    }
}

fn check(args: &StoreCheckArgs) -> anyhow::Result<ExitCode> {
    let file = match &args.file {
        Some(file) => file.clone(),
        None => store_file(&data_directory(&args.store)?),
    };
    let report = tollgate_store::check(&file)?;
    crate::print(&match args.output {
        Output::Text => text(&file, &report),
        Output::Json => format!("{:#}\n", json(&file, &report)),
    })
}

fn backup(args: &StoreBackupArgs) -> anyhow::Result<ExitCode> {
    let report = tollgate_store::backup(&data_directory(&args.store)?, &args.file)?;
    crate::print(&format!("{}: {}\n", args.file.display(), summary(&report)))
}

fn restore(args: &StoreRestoreArgs) -> anyhow::Result<ExitCode> {
    let directory = data_directory(&args.store)?;
    let existing = if args.force { Existing::PutAside } else { Existing::Refuse };
    let restored = tollgate_store::restore(&args.file, &directory, existing)?;
    let file = store_file(&directory);
    let mut text = format!("{}: {}\n", file.display(), summary(&restored.report));
    if let Some(aside) = restored.put_aside {
        // Writing to a string does not fail.
        let _ = writeln!(text, "what was there before: {}", aside.display());
    }
    crate::print(&text)
}

fn export(args: &StoreExportArgs) -> anyhow::Result<ExitCode> {
    let mut output = BufWriter::new(io::stdout().lock());
    match tollgate_store::export(&data_directory(&args.store)?, &mut output) {
        // A reader that left early, as in `crate::print`.
        Err(StoreError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => {}
        result => result?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The directory that is named, or that of a configuration.
fn data_directory(args: &StoreArgs) -> anyhow::Result<PathBuf> {
    if let Some(directory) = &args.data_directory {
        return Ok(directory.clone());
    }
    let Some(file) = &args.config else {
        bail!("where is the store? --config FILE or --data-directory DIR says it");
    };
    let config = config::load(file)?;
    config.data_directory.with_context(|| format!("{}: has no data_directory", file.display()))
}

fn summary(report: &Report) -> String {
    format!("{} records, revision {}", report.records(), report.revision)
}

fn text(file: &Path, report: &Report) -> String {
    let mut text = format!("{}: sound\n", file.display());
    let rows = [("revision", report.revision), ("bytes", report.bytes)];
    let kinds = report.kinds.iter().map(|(kind, records)| (kind.as_str(), *records));
    for (name, number) in rows.into_iter().chain([("records", report.records())]) {
        let _ = writeln!(text, "{name:<32}  {number:>12}");
    }
    for (kind, records) in kinds {
        let _ = writeln!(text, "  {kind:<30}  {records:>12}");
    }
    text
}

fn json(file: &Path, report: &Report) -> serde_json::Value {
    json!({
        "file": file,
        "revision": report.revision,
        "bytes": report.bytes,
        "records": report.records(),
        "kinds": report.kinds,
    })
}
