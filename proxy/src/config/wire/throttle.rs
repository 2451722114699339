//! The configuration file's `throttle`: sources and proxies.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Count, Flag, Interval, Located, Maybe, Number, Text};

/// What clients' addresses may do, whatever they ask.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceThrottle {
    /// Proxies in front of the gateway, as addresses or networks (10.0.0.0/8). They are never
    /// limited nor penalised, and the last address in their X-Forwarded-For that is none of them
    /// is the client's, for the penalty box and account.client_throttle. Default: none.
    #[serde(default)]
    pub trusted_proxies: Vec<Text>,
    /// The throttle in the kernel. Default: none, and nothing is loaded.
    #[serde(default)]
    pub kernel: Option<Located<Kernel>>,
}

/// Drops the packets of clients that send too many, in the kernel or, where that can't be, closes
/// their connections.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["interface"]))]
pub struct Kernel {
    /// The network interface that clients come in by, such as eth0.
    #[serde(default)]
    pub interface: Maybe<Text>,
    /// Whether the gateway must not start where the kernel can't. Default false: then limits are
    /// enforced when connections are accepted.
    #[serde(default)]
    #[schemars(extend("default" = false))]
    pub required: Maybe<Flag>,
    /// New connections of each source. Default: 1000 a second, with a burst of 2000.
    #[serde(default)]
    pub connections: Option<Bucket>,
    /// Packets of each source; only in the kernel. Default: 50000 a second, with a burst of
    /// 100000.
    #[serde(default)]
    pub packets: Option<Bucket>,
    /// How many bits of an IPv4 address make a source, 1 to 32. Default 32.
    #[serde(default)]
    #[schemars(extend("default" = 32))]
    pub ipv4_prefix: Maybe<Count>,
    /// How many bits of an IPv6 address make a source, 1 to 128. Default 64.
    #[serde(default)]
    #[schemars(extend("default" = 64))]
    pub ipv6_prefix: Maybe<Count>,
    /// Who keeps doing what is refused is dropped for a time.
    #[serde(default)]
    pub penalty: Option<Penalty>,
    /// Addresses and networks that are never limited nor penalised. The longest prefix decides.
    #[serde(default)]
    pub allow: Vec<Text>,
    /// Addresses and networks whose packets are dropped.
    #[serde(default)]
    pub deny: Vec<Text>,
    /// How many sources are known by name, 1 to 16777216, some 150 bytes each. Default 65536.
    #[serde(default)]
    #[schemars(extend("default" = 65536))]
    pub sources: Maybe<Count>,
    /// In how many slots all others are counted, a power of two from 2 to 134217728, 16 bytes
    /// each. Default 1048576.
    #[serde(default)]
    #[schemars(extend("default" = 1_048_576))]
    pub slots: Maybe<Count>,
    /// Where maps and program are pinned: a directory in a BPF file system. Default
    /// /sys/fs/bpf/tollgate.
    #[serde(default)]
    #[schemars(extend("default" = "/sys/fs/bpf/tollgate"))]
    pub pin_directory: Maybe<Text>,
}

/// A token bucket of a source.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// How many a second, 0 (none at all) to 10000000.
    #[serde(default)]
    pub rate: Maybe<Number>,
    /// How many at once, 0 (none at all) to 4294967295.
    #[serde(default)]
    pub burst: Maybe<Count>,
}

/// The penalty box.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Penalty {
    /// Offences that are forgiven: 429s and refused requests count one, failed TLS handshakes
    /// four. Default: 10 a second, with a burst of 100.
    #[serde(default)]
    pub tolerated: Option<Bucket>,
    /// The first penalty, 100ms to 24h; each next one is twice as long. Default 1s.
    #[serde(default)]
    #[schemars(extend("default" = "1s"))]
    pub first: Maybe<Interval>,
    /// The longest penalty, from the first one to 24h. Default 5m.
    #[serde(default)]
    #[schemars(extend("default" = "5m"))]
    pub longest: Maybe<Interval>,
}
