//! `x-forwarded-for`: which of its addresses to believe.

use std::net::IpAddr;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForwardedFor {
    /// Networks of proxies before the gateway.
    trusted: Vec<Network>,
}

/// `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct Network {
    address: IpAddr,
    prefix: u32,
}

impl ForwardedFor {
    /// The addresses to keep, of those in the header's values: each proxy appends its peer's, so
    /// only what stands right of the last address that isn't a trusted proxy's can be believed,
    /// and that address itself. `peer` is who connected to the gateway.
    pub fn clean<T: AsRef<str>>(&self, values: &[T], peer: &str) -> Option<String> {
        let is_trusted = |address: IpAddr| self.trusted.iter().any(|it| it.contains(address));
        if !peer.parse().is_ok_and(is_trusted) {
            return None;
        }
        let entries = values.iter().flat_map(|value| value.as_ref().split(','));
        let mut kept = Vec::new();
        for entry in entries.rev() {
            // What isn't an address was vouched for by nobody, nor was what stands before it.
            let Some(address) = address(entry.trim()) else { break };
            kept.push(address.to_string());
            if !is_trusted(address) {
                break;
            }
        }
        kept.reverse();
        (!kept.is_empty()).then(|| kept.join(", "))
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`.
fn address(entry: &str) -> Option<IpAddr> {
    if let Some(inside) = entry.strip_prefix('[') {
        return inside.split_once(']')?.0.parse().ok();
    }
    entry.parse().ok().or_else(|| {
        let (address, port) = entry.rsplit_once(':')?;
        port.parse::<u16>().ok()?;
        address.parse::<std::net::Ipv4Addr>().ok().map(IpAddr::V4)
    })
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differing = network.to_bits() ^ address.to_bits();
                differing.leading_zeros() >= self.prefix
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differing = network.to_bits() ^ address.to_bits();
                differing.leading_zeros() >= self.prefix
            }
            _ => false,
        }
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("{text}: a network like 10.0.0.0/8 is wanted");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse().map_err(|_| wrong())?)),
            None => (text.as_str(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(longest);
        if prefix > longest { Err(wrong()) } else { Ok(Self { address, prefix }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_trusted_proxies_say_is_kept() {
        let trusted = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.9"];
        let trusted = trusted.map(|it| Network::try_from(it.to_owned()).unwrap()).to_vec();
        let forwarded_for = ForwardedFor { trusted };
        let table: [(&str, &[&str], Option<&str>); 10] = [
            ("10.1.2.3", &["1.1.1.1"], Some("1.1.1.1")),
            ("10.1.2.3", &["6.6.6.6, 1.1.1.1, 10.9.9.9"], Some("1.1.1.1, 10.9.9.9")),
            ("10.1.2.3", &["6.6.6.6", "1.1.1.1:4711"], Some("1.1.1.1")),
            ("2001:db8::5", &["unknown, [2a00::1]:443"], Some("2a00::1")),
            ("192.0.2.9", &["1.1.1.1, unknown, 10.0.0.1"], Some("10.0.0.1")),
            ("192.0.2.9", &["<script>"], None),
            ("10.1.2.3", &[""], None),
            ("11.1.2.3", &["1.1.1.1"], None),
            ("192.0.2.8", &["1.1.1.1"], None),
            ("::ffff:10.1.2.3", &["1.1.1.1"], Some("1.1.1.1")),
        ];
        for (peer, values, expected) in table {
            assert_eq!(forwarded_for.clean(values, peer).as_deref(), expected, "{values:?}");
        }
    }

    #[test]
    fn networks_are_checked() {
        for wrong in ["10.0.0.0/33", "10.0.0/8", "::/129", "a", "10.0.0.0/-1"] {
            assert!(Network::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
        assert!(Network::try_from("0.0.0.0/0".to_owned()).unwrap().contains([1, 2, 3, 4].into()));
    }
}
