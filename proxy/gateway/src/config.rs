//! What the gateway is started with: checked values only; the binary reads files, flags and
//! the environment.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use tollgate_xdp::Network;

use crate::access_log::DEFAULT_FORMAT;
use crate::limits::Limits;
use crate::tls::Certificates;

/// Everything that stays the same while the gateway runs. Certificates are behind an [`Arc`]
/// that can be reloaded; APIs come through [`crate::Gateway::publish`].
pub struct GatewayConfig {
    pub listeners: Vec<ListenerConfig>,
    /// Health checks and metrics.
    pub management: SocketAddr,
    /// Further addresses to listen on for others ([`crate::Gateway::take_companions`]), so that an
    /// upgrade takes them along.
    pub companions: Vec<SocketAddr>,
    /// Worker threads, 1 or more.
    pub workers: usize,
    pub limits: Limits,
    pub certificates: Arc<Certificates>,
    pub access_log: AccessLogDestination,
    /// AWS's format string with `$context` variables; must name `$context.requestId` or
    /// `$context.extendedRequestId`.
    pub access_log_format: String,
    pub vpc_links: BTreeMap<String, VpcLink>,
    /// PEM file with the certificates that upstreams must be signed by, instead of those the
    /// system trusts.
    pub upstream_ca_file: Option<PathBuf>,
    /// Where what API keys have used is kept. None: in memory, until the end.
    pub data_directory: Option<PathBuf>,
    /// Unix socket for who may ask what was used, and grant more.
    pub control_socket: Option<PathBuf>,
    /// Proxies whose `X-Forwarded-For` says who the client is, for throttles of addresses.
    pub trusted_proxies: Vec<Network>,
    /// Metrics of others that the management listener shows too; their names must be other ones.
    pub collectors: Vec<Box<dyn prometheus::core::Collector>>,
}

/// Listens for nobody, keeps nothing on disk and logs no requests; health checks and metrics are on
/// a free port.
impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            listeners: Vec::new(),
            management: (Ipv4Addr::LOCALHOST, 0).into(),
            companions: Vec::new(),
            workers: 1,
            limits: Limits::default(),
            certificates: Arc::new(Certificates::new()),
            access_log: AccessLogDestination::Off,
            access_log_format: DEFAULT_FORMAT.to_owned(),
            vpc_links: BTreeMap::new(),
            upstream_ca_file: None,
            data_directory: None,
            control_socket: None,
            trusted_proxies: Vec::new(),
            collectors: Vec::new(),
        }
    }
}

/// One listening address.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// Port 0 takes a free one; [`crate::Bound`] tells which.
    pub address: SocketAddr,
    pub tls: bool,
    pub visibility: Visibility,
}

/// Which APIs a listener serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Edge and regional APIs.
    Public,
    /// Private APIs, as through this VPC endpoint.
    Private { vpc_id: String, vpc_endpoint_id: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLogDestination {
    Off,
    Stdout,
    /// Appended to; opened again on [`crate::Gateway::reopen_access_log`].
    File(PathBuf),
}

/// The addresses behind a VPC link.
#[derive(Clone, Debug)]
pub struct VpcLink {
    /// `host:port` or `address:port`; requests go to the healthy ones in turn.
    pub addresses: Vec<String>,
    pub health_check: HealthCheck,
}

/// A TCP connection tried at each interval. A target that fails `unhealthy_threshold` times in
/// a row gets no requests until `healthy_threshold` successes in a row; when all have failed,
/// all are tried.
#[derive(Clone, Debug)]
pub struct HealthCheck {
    /// Default 10 s.
    pub interval: std::time::Duration,
    /// Default 2 s.
    pub timeout: std::time::Duration,
    /// Default 2.
    pub unhealthy_threshold: u32,
    /// Default 2.
    pub healthy_threshold: u32,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            interval: std::time::Duration::from_secs(10),
            timeout: std::time::Duration::from_secs(2),
            unhealthy_threshold: 2,
            healthy_threshold: 2,
        }
    }
}
