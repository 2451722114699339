//! What the configuration file says about sources and proxies, checked.

use std::path::Path;
use std::time::Duration;

use tollgate_throttle::Rate;
use tollgate_throttle::source::Prefixes;
use tollgate_xdp::{KernelSettings, Limits, Network, PenaltySettings, Settings, Standing};

use super::checked::Checker;
use super::wire::throttle as wire;
use super::wire::{Located, Scalar, Text};
use super::{ConfigError, usage, values};

/// The longest penalty that can be asked for.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Entries of the lists and trusted proxies together; the kernel's list has room for as many
/// again, for commands.
const MOST_NETWORKS: usize = 32_768;

/// Who may send how much, and who speaks for others.
#[derive(Clone, Debug, Default)]
pub struct SourceThrottleConfig {
    pub trusted_proxies: Vec<Network>,
    /// Without listeners. None: sources aren't throttled.
    pub settings: Option<Settings>,
}

/// What the kernel throttle of `tollgate dev` does: the defaults.
pub fn defaults(interface: &str) -> Settings {
    Settings {
        kernel: Some(KernelSettings::new(interface)),
        penalties: Some(PenaltySettings::default()),
        ..Settings::default()
    }
}

/// Checks `throttle`.
pub fn source_throttle(
    wire: Option<&wire::SourceThrottle>,
    at: &Checker<'_>,
) -> Result<SourceThrottleConfig, ConfigError> {
    let Some(wire) = wire else { return Ok(SourceThrottleConfig::default()) };
    let trusted_proxies = networks(&wire.trusted_proxies, "throttle.trusted_proxies", at)?;
    let settings =
        wire.kernel.as_ref().map(|wire| kernel(wire, &trusted_proxies, at)).transpose()?;
    Ok(SourceThrottleConfig { trusted_proxies, settings })
}

fn kernel(
    wire: &Located<wire::Kernel>,
    trusted_proxies: &[Network],
    at: &Checker<'_>,
) -> Result<Settings, ConfigError> {
    let key = |name: &str| format!("throttle.kernel.{name}");
    let interface_text = at.present(&wire.interface, wire.line(), &key("interface"))?;
    let mut kernel =
        KernelSettings::new(at.required(interface_text, &key("interface"), interface)?);
    if let Some(required) = at.optional(&wire.required, &key("required"), values::boolean)? {
        kernel.required = required;
    }
    let sources = |text: &str| values::count(text, 1..=1 << 24);
    if let Some(sources) = at.optional(&wire.sources, &key("sources"), sources)? {
        kernel.sources = sources as u32;
    }
    if let Some(slots) = at.optional(&wire.slots, &key("slots"), slots)? {
        kernel.slots = slots;
    }
    if let Some(directory) = wire.pin_directory.given() {
        kernel.pin_directory = at.required(directory, &key("pin_directory"), pin_directory)?;
    }
    let default = Limits::default();
    let limits = Limits {
        connections: bucket(wire.connections.as_ref(), (1_000.0, 2_000), &key("connections"), at)?
            .or(default.connections),
        packets: bucket(wire.packets.as_ref(), (50_000.0, 100_000), &key("packets"), at)?
            .or(default.packets),
    };
    Ok(Settings {
        kernel: Some(kernel),
        listeners: Vec::new(),
        limits,
        prefixes: prefixes(wire, at)?,
        lists: lists(wire, trusted_proxies, at)?,
        penalties: Some(penalty(wire.penalty.as_ref(), at)?),
    })
}

fn prefixes(wire: &wire::Kernel, at: &Checker<'_>) -> Result<Prefixes, ConfigError> {
    let length = |maybe, name: &str, most: u8| {
        let read = |text: &str| values::count(text, 1..=most.into());
        at.optional(maybe, &format!("throttle.kernel.{name}"), read)
    };
    let (ipv4, ipv6) = Prefixes::default().lengths();
    let ipv4 = length(&wire.ipv4_prefix, "ipv4_prefix", 32)?.map_or(ipv4, |bits| bits as u8);
    let ipv6 = length(&wire.ipv6_prefix, "ipv6_prefix", 128)?.map_or(ipv6, |bits| bits as u8);
    Ok(Prefixes::new(ipv4, ipv6).expect("both lengths are in their ranges"))
}

/// All networks with what they are. One that stands in two lists is refused.
fn lists(
    wire: &wire::Kernel,
    trusted_proxies: &[Network],
    at: &Checker<'_>,
) -> Result<Vec<(Network, Standing)>, ConfigError> {
    let trusted = trusted_proxies.iter().map(|network| (*network, Standing::Trusted));
    let mut lists: Vec<_> = trusted.collect();
    let named = [("allow", &wire.allow, Standing::Allowed), ("deny", &wire.deny, Standing::Denied)];
    for (name, texts, standing) in named {
        let key = format!("throttle.kernel.{name}");
        let others = lists.clone();
        for (text, network) in texts.iter().zip(networks(texts, &key, at)?) {
            if others.iter().any(|(other, _)| *other == network) {
                let problem = format!("{network} is allowed or trusted already");
                return Err(at.refuse(Some(text.line()), &key, problem));
            }
            lists.push((network, standing));
        }
    }
    if lists.len() > MOST_NETWORKS {
        let problem = format!(
            "allow, deny and trusted_proxies have {} networks; allowed: up to {MOST_NETWORKS}",
            lists.len()
        );
        return Err(at.refuse(None, "throttle.kernel", problem));
    }
    Ok(lists)
}

fn penalty(wire: Option<&wire::Penalty>, at: &Checker<'_>) -> Result<PenaltySettings, ConfigError> {
    let mut settings = PenaltySettings::default();
    let Some(wire) = wire else { return Ok(settings) };
    let key = |name: &str| format!("throttle.kernel.penalty.{name}");
    let tolerated = bucket(wire.tolerated.as_ref(), (10.0, 100), &key("tolerated"), at)?;
    settings.tolerated = tolerated.unwrap_or(settings.tolerated);
    let range = Duration::from_millis(100)..=LONGEST;
    let time = |text: &str| values::duration(text, range.clone());
    if let Some(first) = at.optional(&wire.first, &key("first"), time)? {
        settings.first = first;
        settings.longest = settings.longest.max(first);
    }
    let time = |text: &str| values::duration(text, settings.first..=LONGEST);
    if let Some(longest) = at.optional(&wire.longest, &key("longest"), time)? {
        settings.longest = longest;
    }
    Ok(settings)
}

/// What a bucket leaves out it has from the default.
fn bucket(
    wire: Option<&wire::Bucket>,
    (rate, burst): (f64, u32),
    key: &str,
    at: &Checker<'_>,
) -> Result<Option<Rate>, ConfigError> {
    let Some(wire) = wire else { return Ok(None) };
    let rate = at.optional(&wire.rate, &format!("{key}.rate"), usage::rate)?.unwrap_or(rate);
    let burst = at.optional(&wire.burst, &format!("{key}.burst"), usage::burst)?.unwrap_or(burst);
    Ok(Some(Rate::new(rate, burst).expect("the rate is in its range")))
}

fn networks(texts: &[Text], key: &str, at: &Checker<'_>) -> Result<Vec<Network>, ConfigError> {
    let network = |(index, text): (usize, &Text)| {
        at.required(text, &format!("{key}[{index}]"), |text| {
            text.parse().map_err(|error: tollgate_xdp::InvalidNetwork| error.to_string())
        })
    };
    texts.iter().enumerate().map(network).collect()
}

/// The name of a network interface, as Linux allows it.
pub fn interface(text: &str) -> Result<String, String> {
    let valid = (1..=15).contains(&text.len())
        && !matches!(text, "." | "..")
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':'));
    if valid {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not a network interface; allowed: a name such as eth0"))
    }
}

fn slots(text: &str) -> Result<u32, String> {
    let slots = values::count(text, 2..=1 << 27)? as u32;
    if slots.is_power_of_two() {
        Ok(slots)
    } else {
        Err(format!("{text:?} is not a power of two; allowed: 2, 4, 8 and so on, to 134217728"))
    }
}

fn pin_directory(text: &str) -> Result<std::path::PathBuf, String> {
    let path = Path::new(text);
    if path.is_absolute() {
        Ok(path.to_owned())
    } else {
        Err(format!("{text:?} is not allowed; allowed: an absolute path in a BPF file system"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::read;

    fn checked(throttle: &str) -> Result<SourceThrottleConfig, String> {
        let text = format!("listeners:\n  - address: 127.0.0.1:80\nthrottle: {{{throttle}}}\n");
        read(&text, Path::new("tollgate.yaml"))
            .map(|config| config.throttle)
            .map_err(|error| error.to_string())
    }

    fn settings(kernel: &str) -> Settings {
        checked(&format!("kernel: {{interface: eth0, {kernel}}}")).unwrap().settings.unwrap()
    }

    #[test]
    fn an_interface_is_enough_and_the_defaults_are_the_documented_ones() {
        let given = settings(
            "required: false, connections: {rate: 1000, burst: 2000}, packets: {rate: 50000, burst: 100000}, \
             ipv4_prefix: 32, ipv6_prefix: 64, allow: [], deny: [], sources: 65536, slots: 1048576, \
             pin_directory: /sys/fs/bpf/tollgate, \
             penalty: {tolerated: {rate: 10, burst: 100}, first: 1s, longest: 5m}",
        );
        assert_eq!(format!("{:?}", settings("")), format!("{given:?}"));
        assert_eq!(format!("{:?}", defaults("eth0")), format!("{given:?}"));
        assert_eq!(settings("packets: {}").limits, Limits::default());
        assert!(checked("trusted_proxies: [10.0.0.0/8]").unwrap().settings.is_none());
    }

    #[test]
    fn what_is_given_counts() {
        let given = settings("connections: {burst: 7}, ipv4_prefix: 24, deny: [10.0.0.0/8]");
        assert_eq!(given.limits.connections, Rate::new(1_000.0, 7).ok());
        assert_eq!(given.limits.packets, Limits::default().packets);
        assert_eq!(given.prefixes.lengths(), (24, 64));
        assert_eq!(given.lists, [("10.0.0.0/8".parse().unwrap(), Standing::Denied)]);
        // Not shorter than the first.
        let penalties = settings("penalty: {first: 10m}").penalties.unwrap();
        assert_eq!(penalties.longest, Duration::from_secs(600));
        let both = checked("trusted_proxies: [192.0.2.1], kernel: {interface: eth0}").unwrap();
        let lists = both.settings.unwrap().lists;
        assert_eq!(lists, [("192.0.2.1".parse().unwrap(), Standing::Trusted)]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_place() {
        for (throttle, expected) in [
            ("kernel: {}", "throttle.kernel.interface: is missing"),
            (
                "kernel: {interface: a/b}",
                "throttle.kernel.interface: \"a/b\" is not a network interface",
            ),
            (
                "kernel: {interface: e, slots: 3}",
                "throttle.kernel.slots: \"3\" is not a power of two",
            ),
            (
                "kernel: {interface: e, sources: 0}",
                "throttle.kernel.sources: \"0\" is out of range",
            ),
            (
                "kernel: {interface: e, ipv4_prefix: 33}",
                "throttle.kernel.ipv4_prefix: \"33\" is out of range",
            ),
            ("kernel: {interface: e, deny: [x]}", "throttle.kernel.deny[0]: \"x\" is no network"),
            (
                "kernel: {interface: e, allow: [192.0.2.1], deny: [192.0.2.1/32]}",
                "throttle.kernel.deny: 192.0.2.1 is allowed or trusted already",
            ),
            (
                "trusted_proxies: [10.0.0.0/33]",
                "throttle.trusted_proxies[0]: \"10.0.0.0/33\" is no network",
            ),
            (
                "kernel: {interface: e, penalty: {first: 2s, longest: 1s}}",
                "throttle.kernel.penalty.longest: \"1s\" is out of range; allowed: a number with ms, s, m or h, from 2s",
            ),
            (
                "kernel: {interface: e, connections: {rate: -1}}",
                "throttle.kernel.connections.rate: \"-1\" is not a rate",
            ),
            (
                "kernel: {interface: e, pin_directory: pins}",
                "throttle.kernel.pin_directory: \"pins\"",
            ),
        ] {
            let error = checked(throttle).expect_err(throttle);
            let place = format!("tollgate.yaml:3: {expected}");
            assert!(error.starts_with(&place), "{error}");
        }
    }
}
