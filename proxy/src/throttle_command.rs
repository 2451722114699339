//! `tollgate throttle status|allow|deny|release`: the kernel throttle of the gateway that runs on
//! this machine, through the maps that it has pinned.

use std::cmp::Reverse;
use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use serde_json::json;
use tollgate_xdp::{KernelMaps, KernelSource, Standing};

use crate::cli::Output;
use crate::cli::throttle::{ThrottleCommand, ThrottleListArgs, ThrottleStatusArgs, ThrottleTarget};

pub fn throttle(command: &ThrottleCommand) -> anyhow::Result<ExitCode> {
    match command {
        ThrottleCommand::Status(args) => status(args),
        ThrottleCommand::Allow(args) => list(args, Standing::Allowed),
        ThrottleCommand::Deny(args) => list(args, Standing::Denied),
        ThrottleCommand::Release(args) => release(args),
    }
}

fn list(args: &ThrottleListArgs, standing: Standing) -> anyhow::Result<ExitCode> {
    let (_, maps) = open(&args.target)?;
    for network in &args.networks {
        maps.list(*network, standing)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn release(args: &ThrottleListArgs) -> anyhow::Result<ExitCode> {
    let (_, maps) = open(&args.target)?;
    let mut text = String::new();
    for network in &args.networks {
        let is_released = network.is_one_address() && maps.release(network.first())?;
        let is_unlisted = maps.unlist(*network)?;
        if !is_released && !is_unlisted {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{network}: neither in the penalty box nor listed");
        }
    }
    crate::print(&text)
}

fn status(args: &ThrottleStatusArgs) -> anyhow::Result<ExitCode> {
    let (interface, maps) = open(&args.target)?;
    let mut sources = maps.sources()?;
    sources.sort_by_key(|source| Reverse((source.dropped(), source.admitted)));
    let seen = Seen { interface, maps: &maps, sources };
    crate::print(&match args.output {
        Output::Text => seen.text(args.top)?,
        Output::Json => format!("{}\n", seen.json(args.top)?),
    })
}

/// The maps of the interface that is meant: the only one, if none is named.
fn open(target: &ThrottleTarget) -> anyhow::Result<(String, KernelMaps)> {
    let directory = target.pin_directory.as_path();
    let interface = match &target.interface {
        Some(interface) => interface.clone(),
        None => only_interface(directory)?,
    };
    let maps = KernelMaps::open(directory, &interface)?;
    Ok((interface, maps))
}

fn only_interface(directory: &Path) -> anyhow::Result<String> {
    let mut interfaces = KernelMaps::interfaces(directory)
        .with_context(|| format!("{}: cannot be read", directory.display()))?;
    match (interfaces.pop(), interfaces.as_slice()) {
        (Some(interface), []) => Ok(interface),
        (None, _) => bail!("{}: no kernel throttle runs here", directory.display()),
        (Some(last), others) => {
            bail!(
                "several interfaces have one: choose with --interface {}, {last}",
                others.join(", ")
            )
        }
    }
}

struct Seen<'a> {
    interface: String,
    maps: &'a KernelMaps,
    /// Those that were dropped most first.
    sources: Vec<KernelSource>,
}

impl Seen<'_> {
    fn text(&self, top: usize) -> anyhow::Result<String> {
        let mut text =
            format!("interface:  {}, {}\npackets:\n", self.interface, self.maps.mode()?.as_str());
        // Writing to a string does not fail.
        for (outcome, count) in self.maps.counts()? {
            let _ = writeln!(text, "  {:<16} {count:>14}", outcome.as_str());
        }
        text.push_str("penalty box:\n");
        for (address, left) in self.penalties() {
            let _ = writeln!(text, "  {address:<39} for {:.1} s", left.as_secs_f64());
        }
        text.push_str("lists:\n");
        for (network, standing, is_configured) in self.maps.lists()? {
            let origin = if is_configured { " (configuration)" } else { "" };
            let _ = writeln!(text, "  {:<7} {network}{origin}", standing.as_str());
        }
        let known = self.sources.len();
        let _ = writeln!(text, "sources:    {known} known; dropped most:");
        for source in self.sources.iter().take(top) {
            let _ = writeln!(
                text,
                "  {:<39} admitted {}, dropped {} (connection_rate {}, packet_rate {}, penalty {})",
                source.address,
                source.admitted,
                source.dropped(),
                source.connection_rate,
                source.packet_rate,
                source.penalty
            );
        }
        Ok(text)
    }

    fn json(&self, top: usize) -> anyhow::Result<serde_json::Value> {
        let packets: serde_json::Map<_, _> = self
            .maps
            .counts()?
            .into_iter()
            .map(|(outcome, count)| (outcome.as_str().to_owned(), count.into()))
            .collect();
        let penalties: Vec<_> = self
            .penalties()
            .map(|(address, left)| {
                let until = (SystemTime::now() + left).duration_since(SystemTime::UNIX_EPOCH);
                json!({
                    "address": address,
                    "until": until.unwrap_or_default().as_secs(),
                    "seconds": left.as_secs_f64(),
                })
            })
            .collect();
        let lists: Vec<_> = self
            .maps
            .lists()?
            .into_iter()
            .map(|(network, standing, is_configured)| {
                json!({
                    "network": network.to_string(),
                    "standing": standing.as_str(),
                    "configured": is_configured,
                })
            })
            .collect();
        let sources: Vec<_> = self
            .sources
            .iter()
            .take(top)
            .map(|source| {
                json!({
                    "address": source.address,
                    "admitted": source.admitted,
                    "dropped": source.dropped(),
                    "connection_rate": source.connection_rate,
                    "packet_rate": source.packet_rate,
                    "penalty": source.penalty,
                })
            })
            .collect();
        Ok(json!({
            "interface": self.interface,
            "mode": self.maps.mode()?.as_str(),
            "packets": packets,
            "penalty_box": penalties,
            "lists": lists,
            "known_sources": self.sources.len(),
            "sources": sources,
        }))
    }

    fn penalties(&self) -> impl Iterator<Item = (IpAddr, Duration)> {
        let now = tollgate_xdp::now();
        self.sources.iter().filter_map(move |source| {
            let left = source.penalty_until?.checked_sub(now)?;
            Some((source.address, Duration::from_nanos(left)))
        })
    }
}
