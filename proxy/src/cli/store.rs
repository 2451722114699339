//! What can be typed after `tollgate store`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Output;

#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Read a store, or a backup, from end to end and say what is in it
    Check(StoreCheckArgs),
    /// Copy the store to a file, while the gateway runs
    Backup(StoreBackupArgs),
    /// Make a backup the store of a gateway that doesn't run
    Restore(StoreRestoreArgs),
    /// Print all records as one JSON document, secrets included
    Export(StoreExportArgs),
}

/// Where the store is.
#[derive(Debug, Args)]
pub struct StoreArgs {
    /// The gateway's configuration file, which names its data_directory
    #[arg(long, env = "TOLLGATE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// The directory itself; takes the place of the configuration's
    #[arg(long, value_name = "DIR")]
    pub data_directory: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate store check --config /etc/tollgate/tollgate.yaml
  tollgate store check nightly.redb

Nothing is changed. While it reads, changes to the store wait; requests don't.

Exit codes: 0 it is sound; 1 it is broken, or there is none: standard error says what.")]
pub struct StoreCheckArgs {
    /// A backup, in place of the gateway's store
    pub file: Option<PathBuf>,

    #[command(flatten)]
    pub store: StoreArgs,

    /// How to print what was found
    #[arg(long, env = "TOLLGATE_OUTPUT", value_name = "FORMAT", default_value = "text")]
    pub output: Output,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  tollgate store backup /backup/tollgate.redb --config /etc/tollgate/tollgate.yaml

The copy gets its name, and takes the place of an older one, when it is whole and on disk. It
holds secrets: its mode is 0600. While it is made, changes to the store wait; requests don't.")]
pub struct StoreBackupArgs {
    /// Where to
    pub file: PathBuf,

    #[command(flatten)]
    pub store: StoreArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate store restore /backup/tollgate.redb --data-directory /var/lib/tollgate
  tollgate store restore /backup/tollgate.redb --data-directory /var/lib/tollgate --force

The store that was there is kept beside the new one.")]
pub struct StoreRestoreArgs {
    /// The backup
    pub file: PathBuf,

    #[command(flatten)]
    pub store: StoreArgs,

    /// Even if there is a store with something in it, or a broken one
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  tollgate store export --data-directory /var/lib/tollgate | jq '.records | keys'

A / within a part of a key is written as %2F, a % as %25.")]
pub struct StoreExportArgs {
    #[command(flatten)]
    pub store: StoreArgs,
}
