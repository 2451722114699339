//! What can be typed after `tollgate throttle`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Output;

#[derive(Debug, Subcommand)]
pub enum ThrottleCommand {
    /// Packets by what became of them, who is in the penalty box until when, the lists, and the
    /// sources that were dropped most
    Status(ThrottleStatusArgs),
    /// Never limit nor penalise networks, not even inside a wider one that is denied
    Allow(ThrottleListArgs),
    /// Drop all packets of networks
    Deny(ThrottleListArgs),
    /// Let addresses out of the penalty box, and take networks off the lists
    Release(ThrottleListArgs),
}

#[derive(Debug, Args)]
pub struct ThrottleStatusArgs {
    #[command(flatten)]
    pub target: ThrottleTarget,

    /// How many sources to show
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub top: usize,

    /// Text, or one line of JSON
    #[arg(long, env = "TOLLGATE_OUTPUT", value_name = "FORMAT", default_value = "text")]
    pub output: Output,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate throttle deny 203.0.113.0/24 2001:db8::/32
  tollgate throttle allow 203.0.113.7
  tollgate throttle release 203.0.113.7

The longest prefix decides. What is changed here lasts until the gateway exits; the configuration
file is for what is to last.")]
pub struct ThrottleListArgs {
    /// Addresses, or networks with a prefix length
    #[arg(required = true, value_name = "NETWORK")]
    pub networks: Vec<tollgate_xdp::Network>,

    #[command(flatten)]
    pub target: ThrottleTarget,
}

/// Which throttle is meant.
#[derive(Debug, Args)]
pub struct ThrottleTarget {
    /// The network interface [default: the only one with a throttle]
    #[arg(long, value_name = "NAME")]
    pub interface: Option<String>,

    /// Where the gateway pins its maps
    #[arg(long, value_name = "DIRECTORY", default_value = tollgate_xdp::KernelSettings::PIN_DIRECTORY)]
    pub pin_directory: PathBuf,
}
