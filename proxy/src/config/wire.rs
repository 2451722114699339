//! The configuration file, exactly as it is written. The doc comments here are the
//! documentation of the keys: they flow into `tollgate config schema`.
//!
//! Scalars stay text with their line until [`super::checked`] gives them a meaning, so that
//! every refusal can name file, line and key. For the same reason required keys may be absent
//! here: the check knows where they are missing.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

pub mod management_api;
pub mod plugins;
pub mod throttle;
pub mod usage;

use management_api::ManagementApi;
use plugins::{Method, Plugin, PluginUpstream};
use throttle::SourceThrottle;
use usage::{Account, ApiKey, Throttle, UsagePlan};

/// The configuration of `tollgate serve`. Paths are relative to the folder of this file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Tollgate configuration", extend("required" = ["listeners"]))]
pub struct ConfigFile {
    /// The addresses clients connect to; at least one.
    #[serde(default)]
    pub listeners: Vec<Located<Listener>>,
    /// Address for health checks (/healthz, /readyz) and metrics (/metrics). Default
    /// 127.0.0.1:9080.
    #[serde(default)]
    #[schemars(extend("default" = "127.0.0.1:9080"))]
    pub management: Maybe<Text>,
    /// AWS's management API. Default: none.
    #[serde(default)]
    pub management_api: Option<Located<ManagementApi>>,
    /// Worker threads, 1 to 1024. Default: one for each CPU.
    #[serde(default)]
    pub workers: Maybe<Count>,
    /// The region that APIs say they are in: part of their host names and ARNs. Default
    /// us-east-1.
    #[serde(default)]
    #[schemars(extend("default" = "us-east-1"))]
    pub region: Maybe<Text>,
    /// The AWS account that APIs say they belong to, 12 digits. Default 000000000000.
    #[serde(default)]
    #[schemars(extend("default" = "000000000000"))]
    pub account_id: Maybe<Text>,
    /// What stands after the region in an API's default host name,
    /// {api_id}.execute-api.{region}.{host_suffix}. Default localhost.
    #[serde(default)]
    #[schemars(extend("default" = "localhost"))]
    pub host_suffix: Maybe<Text>,
    /// The certificates of listeners with `tls: true`. The first one answers clients that ask
    /// for a name no certificate has, or for none.
    #[serde(default)]
    pub certificates: Vec<Located<Certificate>>,
    /// The APIs served, one entry for each stage of an API.
    #[serde(default)]
    pub apis: Vec<Located<Api>>,
    /// Custom domain names.
    #[serde(default)]
    pub domain_names: Vec<Located<DomainName>>,
    /// The upstreams behind VPC links: connection ids of integrations, and where they lead.
    #[serde(default)]
    pub vpc_links: BTreeMap<String, Located<VpcLink>>,
    /// PEM file with the certificates that upstreams must be signed by, instead of those the
    /// system trusts. Default: the system's.
    #[serde(default)]
    pub upstream_ca_file: Maybe<Text>,
    /// WASM plugins: authorizers and transformers.
    #[serde(default)]
    pub plugins: Vec<Located<Plugin>>,
    /// The upstreams that plugins may call, by name.
    #[serde(default)]
    pub plugin_upstreams: BTreeMap<String, Located<PluginUpstream>>,
    /// Where compiled plugins are kept, so that the next start does not compile them again. Made
    /// when it is not there; nobody else may be able to write to it. Default: nowhere.
    #[serde(default)]
    pub plugin_cache_directory: Maybe<Text>,
    /// What holds for all APIs together.
    #[serde(default)]
    pub account: Option<Account>,
    /// Usage plans, up to 300: what API keys may do.
    #[serde(default)]
    pub usage_plans: Vec<Located<UsagePlan>>,
    /// API keys, for methods that want one.
    #[serde(default)]
    pub api_keys: Vec<Located<ApiKey>>,
    /// More API keys, in AWS's CSV format. Read again when the file changes.
    #[serde(default)]
    pub api_keys_file: Maybe<Text>,
    /// Where the gateway keeps what must outlive it: what API keys have used of their quotas, and
    /// what the management API is told. Made when it is not there. Default: nowhere, and it is forgotten at the end.
    #[serde(default)]
    pub data_directory: Maybe<Text>,
    /// Unix socket for `tollgate usage`, which only the gateway's own user may open. Default:
    /// control.sock in data_directory, or none.
    #[serde(default)]
    pub control_socket: Maybe<Text>,
    /// What clients' addresses may do, whatever they ask: the throttle in the kernel.
    #[serde(default)]
    pub throttle: Option<SourceThrottle>,
    /// The access log: one line for each request that reached an API.
    #[serde(default)]
    pub access_log: Option<AccessLog>,
    /// The log of the gateway itself, on standard error.
    #[serde(default)]
    pub log: Option<Log>,
    /// What clients and upstreams may use.
    #[serde(default)]
    pub limits: Option<Limits>,
}

/// One listening address.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["address"]))]
pub struct Listener {
    /// IP:PORT, such as 0.0.0.0:443 or [::]:443. Port 0 takes a free port, which the log names.
    #[serde(default)]
    pub address: Maybe<Text>,
    /// Whether clients speak TLS here (HTTP/2 and HTTP/1.1, by ALPN). Default false.
    #[serde(default)]
    #[schemars(extend("default" = false))]
    pub tls: Maybe<Flag>,
    /// Which APIs are served here: `public` serves edge and regional ones, `private` private
    /// ones. Default public.
    #[serde(default)]
    #[schemars(extend("default" = "public"))]
    pub visibility: Maybe<Visibility>,
    /// Private listeners: the VPC that requests come from, as resource policies see it.
    #[serde(default)]
    pub vpc_id: Maybe<Text>,
    /// Private listeners: the VPC endpoint that requests come through, as resource policies
    /// see it.
    #[serde(default)]
    pub vpc_endpoint_id: Maybe<Text>,
}

/// Which APIs a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Edge and regional APIs.
    Public,
    /// Private APIs.
    Private,
}

/// A certificate with its key. Read again when the files change.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["certificate", "key"]))]
pub struct Certificate {
    /// PEM file: the certificate, then the intermediate ones.
    #[serde(default)]
    pub certificate: Maybe<Text>,
    /// PEM file: the private key.
    #[serde(default)]
    pub key: Maybe<Text>,
    /// The server names (SNI) it answers for. Default: the names in the certificate.
    #[serde(default)]
    pub names: Vec<Text>,
}

/// One stage of an API. List an API again, with the same `api_id`, for another stage of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["definition", "stage"]))]
pub struct Api {
    /// The OpenAPI definition, YAML or JSON. Read again when the file changes.
    #[serde(default)]
    pub definition: Maybe<Text>,
    /// 10 characters of a-z and 0-9. Default: made from the definition's path as written here.
    #[serde(default)]
    pub api_id: Maybe<Text>,
    /// A name to use instead of the definition's title.
    #[serde(default)]
    pub name: Maybe<Text>,
    /// A description to use instead of the definition's.
    #[serde(default)]
    pub description: Maybe<Text>,
    /// The stage's name: 1 to 128 of a-z, A-Z, 0-9, _ and -.
    #[serde(default)]
    pub stage: Maybe<Text>,
    /// Stage variables, up to 100: names of up to 64, values of up to 512 characters.
    #[serde(default)]
    pub stage_variables: BTreeMap<String, Text>,
    /// Values for Ref and Fn::Sub inside the definition.
    #[serde(default)]
    pub parameters: BTreeMap<String, Text>,
    /// Plugins that change the stage's requests and responses, in order, after those that the
    /// definition names.
    #[serde(default)]
    pub transformers: Vec<Text>,
    /// For authorizers of the definition, by name: a URI to use instead of their own, such as
    /// plugin:NAME.
    #[serde(default)]
    pub authorizers: BTreeMap<String, Text>,
    /// What all clients together may do on each method of the stage that has no throttle of its
    /// own: AWS's method settings for `*/*`. Default: no throttle but the account's.
    #[serde(default)]
    pub throttle: Option<Throttle>,
    /// Methods, as in `GET /pets/{id}`, and what they have in addition to the definition.
    #[serde(default)]
    pub methods: BTreeMap<String, Located<Method>>,
}

/// A custom domain name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["name", "base_path_mappings"]))]
pub struct DomainName {
    /// A name such as api.example.com, or *.example.com for every name one level below.
    #[serde(default)]
    pub name: Maybe<Text>,
    /// Which API answers for which base path; at least one.
    #[serde(default)]
    pub base_path_mappings: Vec<Located<BasePathMapping>>,
}

/// An API under a base path of a domain name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["api_id"]))]
pub struct BasePathMapping {
    /// The first segment of the path, without slashes; several segments make a multi-level
    /// mapping. Default: every path that no other mapping takes.
    #[serde(default)]
    pub base_path: Maybe<Text>,
    /// The `api_id` of an entry in `apis`.
    #[serde(default)]
    pub api_id: Maybe<Text>,
    /// The stage. Default: the client names it, as the next segment of the path.
    #[serde(default)]
    pub stage: Maybe<Text>,
}

/// The upstreams behind a VPC link.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["addresses"]))]
pub struct VpcLink {
    /// HOST:PORT of each upstream, at least one. Requests go to the healthy ones in turn.
    #[serde(default)]
    pub addresses: Vec<Text>,
    /// How upstreams are found healthy.
    #[serde(default)]
    pub health_check: Option<HealthCheck>,
}

/// A TCP connection is tried at each interval. When every upstream is unhealthy, all are tried.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// Time between two checks, 100ms to 1h. Default 10s.
    #[serde(default)]
    #[schemars(extend("default" = "10s"))]
    pub interval: Maybe<Interval>,
    /// Time a check may take, 10ms to 1m. Default 2s.
    #[serde(default)]
    #[schemars(extend("default" = "2s"))]
    pub timeout: Maybe<Interval>,
    /// Failures in a row that make an upstream unhealthy, 1 to 100. Default 2.
    #[serde(default)]
    #[schemars(extend("default" = 2))]
    pub unhealthy_threshold: Maybe<Count>,
    /// Successes in a row that make it healthy again, 1 to 100. Default 2.
    #[serde(default)]
    #[schemars(extend("default" = 2))]
    pub healthy_threshold: Maybe<Count>,
}

/// The access log.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessLog {
    /// A file (opened again on SIGHUP), - for standard output, or off. Default -.
    #[serde(default)]
    #[schemars(extend("default" = "-"))]
    pub destination: Maybe<Text>,
    /// One line with $context variables, up to 3 KB; must hold $context.requestId or
    /// $context.extendedRequestId. Default: AWS's JSON format.
    #[serde(default)]
    pub format: Maybe<Text>,
}

/// The log of the gateway itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// error, warn, info, debug or trace, or a filter such as info,tollgate_gateway=debug. The
    /// environment variable TOLLGATE_LOG comes first. Default info.
    #[serde(default)]
    #[schemars(extend("default" = "info"))]
    pub level: Maybe<Text>,
    /// How lines are written: text or json. Default text.
    #[serde(default)]
    #[schemars(extend("default" = "text"))]
    pub format: Maybe<LogFormat>,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// Bounds. Each has a default, and none can be turned off: an absent key is the default, and
/// zero is only allowed where the range says so.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Size of a request's or a response's payload, 1 to 1GiB. Default 10MiB, as on AWS.
    #[serde(default)]
    #[schemars(extend("default" = "10MiB"))]
    pub maximum_payload: Maybe<Size>,
    /// Size of all headers of a request to a public API (names, values and line ends), 1KiB to
    /// 1MiB. Default 20KiB (20,480 bytes), as on AWS.
    #[serde(default)]
    #[schemars(extend("default" = "20KiB"))]
    pub maximum_request_headers: Maybe<Size>,
    /// The same for a private API, 1KiB to 1MiB. Default 8,000 bytes, as on AWS.
    #[serde(default)]
    #[schemars(extend("default" = 8000))]
    pub maximum_private_request_headers: Maybe<Size>,
    /// Size of a request's path and query, 256 to 64KiB. Default 10KiB (10,240 bytes), as on
    /// AWS.
    #[serde(default)]
    #[schemars(extend("default" = "10KiB"))]
    pub maximum_url: Maybe<Size>,
    /// Number of header fields in a request, 8 to 1024. Default 200.
    #[serde(default)]
    #[schemars(extend("default" = 200))]
    pub maximum_header_fields: Maybe<Count>,
    /// How long a client's connection may be idle between requests, 1s to 1h. Default 310s, as
    /// on AWS.
    #[serde(default)]
    #[schemars(extend("default" = "310s"))]
    pub connection_idle_timeout: Maybe<Interval>,
    /// From a request's first byte to the end of its head, 100ms to 5m. Default 15s.
    #[serde(default)]
    #[schemars(extend("default" = "15s"))]
    pub request_head_timeout: Maybe<Interval>,
    /// From a connection's first byte to the end of its TLS handshake, 100ms to 5m. Default 10s.
    #[serde(default)]
    #[schemars(extend("default" = "10s"))]
    pub tls_handshake_timeout: Maybe<Interval>,
    /// How long a body may stand still, in either direction, 100ms to 15m. Default 30s.
    #[serde(default)]
    #[schemars(extend("default" = "30s"))]
    pub body_stall_timeout: Maybe<Interval>,
    /// Bytes a second that a body keeps up on average once body_stall_timeout has passed, 1 to
    /// 1GiB. Default 512.
    #[serde(default)]
    #[schemars(extend("default" = 512))]
    pub minimum_body_rate: Maybe<Size>,
    /// Time to connect to an upstream, TLS included, within the integration's own timeout,
    /// 50ms to 5m. Default 10s.
    #[serde(default)]
    #[schemars(extend("default" = "10s"))]
    pub connect_timeout: Maybe<Interval>,
    /// The longest timeoutInMillis of an integration, 50ms to 5m; integrations without one get
    /// 29s or this, whichever is less. Default 29s, as on AWS.
    #[serde(default)]
    #[schemars(extend("default" = "29s"))]
    pub maximum_integration_timeout: Maybe<Interval>,
    /// How long an idle connection to an upstream is kept, 1s to 1h. Default 60s.
    #[serde(default)]
    #[schemars(extend("default" = "60s"))]
    pub upstream_idle_timeout: Maybe<Interval>,
    /// Idle connections that one worker keeps to one upstream, 0 (every request makes a new
    /// one) to 65536. Default 256.
    #[serde(default)]
    #[schemars(extend("default" = 256))]
    pub upstream_idle_connections: Maybe<Count>,
    /// Open connections from one client address (an IPv4 address or an IPv6 /64), 1 to
    /// 10000000. Default 10000.
    #[serde(default)]
    #[schemars(extend("default" = 10000))]
    pub connections_per_address: Maybe<Count>,
    /// Open connections of all clients, 1 to 10000000. Default 100000.
    #[serde(default)]
    #[schemars(extend("default" = 100000))]
    pub connections: Maybe<Count>,
    /// Concurrent streams on one HTTP/2 connection, 1 to 10000. Default 128.
    #[serde(default)]
    #[schemars(extend("default" = 128))]
    pub http2_concurrent_streams: Maybe<Count>,
    /// HTTP/2 frames without progress (PING, SETTINGS, PRIORITY, RST_STREAM, empty DATA,
    /// unneeded WINDOW_UPDATE) that a connection may send at once, 10 to 1000000; as many are
    /// allowed again each minute, and ten more for each request. Default 1000.
    #[serde(default)]
    #[schemars(extend("default" = 1000))]
    pub http2_control_frame_budget: Maybe<Count>,
    /// How long a shutdown waits for requests under way, 0s (not at all) to 1h. Default 30s.
    #[serde(default)]
    #[schemars(extend("default" = "30s"))]
    pub drain_timeout: Maybe<Interval>,
}

/// A key that need not be there. Unlike an `Option`, an empty value (`key:`) does not pass for
/// an absent one.
#[derive(Clone, Debug, Default)]
pub enum Maybe<T> {
    #[default]
    Absent,
    Given(T),
}

impl<T> Maybe<T> {
    pub fn given(&self) -> Option<&T> {
        match self {
            Self::Absent => None,
            Self::Given(value) => Some(value),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Maybe<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::Given)
    }
}

impl<T: JsonSchema> JsonSchema for Maybe<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

/// A mapping, and where it starts.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Located<T>(Spanned<T>);

impl<T> Located<T> {
    pub fn line(&self) -> u64 {
        self.0.referenced.line()
    }
}

impl<T> std::ops::Deref for Located<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: JsonSchema> JsonSchema for Located<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

/// A scalar's text, and where it stands.
pub trait Scalar {
    fn text(&self) -> &str;
    fn line(&self) -> u64;
}

macro_rules! scalar {
    ($(#[$doc:meta])* $name:ident $schema:tt) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Spanned<String>);

        impl Scalar for $name {
            fn text(&self) -> &str {
                &self.0.value
            }

            fn line(&self) -> u64 {
                self.0.referenced.line()
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

scalar!(
    /// Any text.
    Text { "type": "string" }
);
scalar!(
    /// A whole number.
    Count { "type": "integer", "minimum": 0 }
);
scalar!(
    /// A number.
    Number { "type": "number", "minimum": 0 }
);
scalar!(
    /// `true` or `false`.
    Flag { "type": "boolean" }
);
scalar!(
    /// Bytes, or a number with a unit.
    Size { "type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+ ?(B|KB|KiB|MB|MiB|GB|GiB)?$" }
);
scalar!(
    /// A number with a unit of time.
    Interval { "type": "string", "pattern": "^[0-9]+ ?(ms|s|m|h)$" }
);
