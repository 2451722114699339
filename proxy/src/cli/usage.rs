//! What can be typed after `tollgate usage` and `tollgate api-key`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tollgate_gateway::usage::{ApiKeyId, UsagePlanId};
use tollgate_throttle::{Day, Quota};

use super::Output;
use crate::config::usage;
use crate::usage_command::parse_date;

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  tollgate usage gold01 --config /etc/tollgate/tollgate.yaml
  tollgate usage gold01 --key a1b2c3d4e5 --from 2026-11-01 --to 2026-11-30 --output json
  tollgate usage grant gold01 a1b2c3d4e5 --remaining 1000

It asks the running gateway, through the Unix socket control_socket of its configuration."
)]
pub struct UsageArgs {
    #[command(subcommand)]
    pub command: Option<UsageCommand>,

    #[command(flatten)]
    pub report: ReportArgs,
}

#[derive(Debug, Subcommand)]
pub enum UsageCommand {
    /// Let a key make so many more requests until its quota begins again
    Grant(GrantArgs),
}

#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The usage plan's id
    // A subcommand takes its place.
    #[arg(required = true, value_parser = usage::plan_id)]
    pub plan: Option<UsagePlanId>,

    /// Only the key with this id
    #[arg(long, value_name = "ID", value_parser = usage::key_id)]
    pub key: Option<ApiKeyId>,

    /// The first day, in UTC [default: the last one]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse_date)]
    pub from: Option<Day>,

    /// The last day, up to 89 after the first [default: today]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse_date)]
    pub to: Option<Day>,

    #[command(flatten)]
    pub control: ControlArgs,

    /// How to print it
    #[arg(long, env = "TOLLGATE_OUTPUT", value_name = "FORMAT", default_value = "text")]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct GrantArgs {
    /// The usage plan's id
    #[arg(value_parser = usage::plan_id)]
    pub plan: UsagePlanId,

    /// The key's id
    #[arg(value_parser = usage::key_id)]
    pub key: ApiKeyId,

    /// Requests that it may still make; this takes the place of what is left
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=Quota::MAX_LIMIT))]
    pub remaining: u64,

    #[command(flatten)]
    pub control: ControlArgs,

    /// How to print what it has now
    #[arg(long, env = "TOLLGATE_OUTPUT", value_name = "FORMAT", default_value = "text")]
    pub output: Output,
}

/// Where the gateway is.
#[derive(Debug, Args)]
pub struct ControlArgs {
    /// The gateway's configuration file, which names its control socket
    #[arg(long, env = "TOLLGATE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// The control socket itself
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    pub socket: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum ApiKeyCommand {
    /// Print new keys as lines of a keys file (AWS's CSV format)
    Generate(GenerateArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate api-key generate --name acme --usage-plan gold01
  tollgate api-key generate -n 100 --name customer > keys.csv

The file's place in the configuration is api_keys_file. Values are 40 letters and digits.")]
pub struct GenerateArgs {
    /// The key's name; with several keys a number is added to each
    #[arg(long, value_name = "NAME", default_value = "key")]
    pub name: String,

    /// How many keys
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub count: u32,

    /// The id of a usage plan that they are in; give it again for more
    #[arg(long = "usage-plan", value_name = "ID", value_parser = usage::plan_id)]
    pub usage_plans: Vec<UsagePlanId>,
}
