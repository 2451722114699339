//! What the configuration file means: checked values only. [`check`] holds every rule about
//! more than one value and every message that names a key.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tollgate_gateway::access_log::AccessLogFormat;
use tollgate_gateway::config::{
    AccessLogDestination, HealthCheck, ListenerConfig, Visibility, VpcLink,
};
use tollgate_gateway::limits::Limits;
use tollgate_gateway::usage::{ApiKey, StageThrottles, Throttle, UsagePlan};
use tollgate_gateway::{BasePathMapping, DomainName};
use tollgate_model::api::ApiId;
use tollgate_plugin_host::config::UpstreamConfig;

use super::management_api::{ManagementApiConfig, management_api};
use super::plugins::PluginConfig;
use super::throttle::{SourceThrottleConfig, source_throttle};
use super::usage::{account, api_keys, clients, plans, stage_throttles};
use super::wire::{self, Located, LogFormat, Maybe, Scalar, Text};
use super::{ConfigError, MAXIMUM_WORKERS, bounds, values};
use crate::definitions::generated_api_id;

/// A configuration without invalid values. What it names outside of itself (definitions,
/// certificates) has not been looked at yet.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file itself.
    pub file: PathBuf,
    pub listeners: Vec<ListenerConfig>,
    pub management: SocketAddr,
    pub management_api: Option<ManagementApiConfig>,
    pub workers: usize,
    pub region: String,
    pub account_id: String,
    pub host_suffix: String,
    pub certificates: Vec<CertificateConfig>,
    /// One for each stage of an API; no two have the same id and stage.
    pub apis: Vec<ApiConfig>,
    /// Every mapping leads to an API, and a stage if it names one, in `apis`.
    pub domain_names: Vec<DomainName>,
    pub vpc_links: BTreeMap<String, VpcLink>,
    pub upstream_ca_file: Option<PathBuf>,
    /// No two have the same name.
    pub plugins: Vec<PluginConfig>,
    pub plugin_upstreams: BTreeMap<String, UpstreamConfig>,
    pub plugin_cache_directory: Option<PathBuf>,
    /// What all APIs together let through.
    pub account: Throttle,
    /// What each client address may ask; none is no limit.
    pub clients: Option<Throttle>,
    pub usage_plans: Vec<UsagePlan>,
    /// Without those in `api_keys_file`.
    pub api_keys: Vec<ApiKey>,
    pub api_keys_file: Option<PathBuf>,
    pub data_directory: Option<PathBuf>,
    pub control_socket: Option<PathBuf>,
    pub throttle: SourceThrottleConfig,
    pub access_log: AccessLogDestination,
    /// `None` is the gateway's own default.
    pub access_log_format: Option<String>,
    pub log: LogConfig,
    pub limits: Limits,
    /// Longest timeout an integration may have.
    pub maximum_integration_timeout: Duration,
}

/// A certificate's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateConfig {
    /// Empty: the names in the certificate.
    pub names: Vec<String>,
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Line in the configuration file.
    pub line: u64,
}

/// One stage of an API.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    pub definition: PathBuf,
    pub api_id: ApiId,
    pub name: Option<String>,
    pub description: Option<String>,
    pub stage: String,
    pub stage_variables: BTreeMap<String, String>,
    pub parameters: BTreeMap<String, String>,
    pub transformers: Vec<String>,
    /// By authorizer.
    pub authorizer_uris: BTreeMap<String, String>,
    /// By method, as in `GET /pets`.
    pub method_transformers: BTreeMap<String, Vec<String>>,
    pub throttles: StageThrottles,
    /// Line in the configuration file.
    pub line: u64,
}

/// The gateway's own log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// A filter that `tracing-subscriber` accepts.
    pub level: String,
    pub format: LogFormat,
}

/// The control socket's name in the data directory.
const CONTROL_SOCKET: &str = "control.sock";

/// Gives the file's text its meaning, or says what is wrong with it.
pub fn check(wire: &wire::ConfigFile, file: &Path) -> Result<Config, ConfigError> {
    let absent = wire::Limits::default();
    let limits = wire.limits.as_ref().unwrap_or(&absent);
    let at = Checker { file, folder: file.parent().unwrap_or(Path::new("")) };
    let certificates = certificates(&wire.certificates, &at)?;
    let listeners = listeners(&wire.listeners, !certificates.is_empty(), &at)?;
    let account = account(wire.account.as_ref(), &at)?;
    let apis = apis(&wire.apis, account, &at)?;
    let domain_names = domain_names(&wire.domain_names, &apis, &at)?;
    let plugin_upstreams = super::plugins::upstreams(&wire.plugin_upstreams, &at)?;
    let plugins = super::plugins::plugins(&wire.plugins, &plugin_upstreams, &at)?;
    let path = |maybe: &Maybe<Text>, key| maybe.given().map(|path| at.path(path, key)).transpose();
    let data_directory = path(&wire.data_directory, "data_directory")?;
    let control_socket = path(&wire.control_socket, "control_socket")?;
    let has = (!certificates.is_empty(), data_directory.is_some());
    Ok(Config {
        listeners,
        management_api: management_api(wire.management_api.as_ref(), has.0, has.1, &at)?,
        management: at
            .optional(&wire.management, "management", values::listen_address)?
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9080))),
        workers: at
            .optional(&wire.workers, "workers", |text| values::count(text, 1..=MAXIMUM_WORKERS))?
            .map_or_else(default_workers, |workers| workers as usize),
        region: at
            .optional(&wire.region, "region", values::region)?
            .unwrap_or_else(|| "us-east-1".to_owned()),
        account_id: at
            .optional(&wire.account_id, "account_id", values::account_id)?
            .unwrap_or_else(|| "000000000000".to_owned()),
        host_suffix: at
            .optional(&wire.host_suffix, "host_suffix", values::domain_name)?
            .unwrap_or_else(|| "localhost".to_owned()),
        certificates,
        usage_plans: plans(&wire.usage_plans, &apis, account, &at)?,
        clients: clients(wire.account.as_ref(), account, &at)?,
        account,
        api_keys: api_keys(&wire.api_keys, &at)?,
        api_keys_file: path(&wire.api_keys_file, "api_keys_file")?,
        control_socket: control_socket
            .or_else(|| data_directory.as_ref().map(|directory| directory.join(CONTROL_SOCKET))),
        data_directory,
        apis,
        domain_names,
        vpc_links: vpc_links(&wire.vpc_links, &at)?,
        upstream_ca_file: path(&wire.upstream_ca_file, "upstream_ca_file")?,
        plugins,
        plugin_upstreams,
        plugin_cache_directory: path(&wire.plugin_cache_directory, "plugin_cache_directory")?,
        throttle: source_throttle(wire.throttle.as_ref(), &at)?,
        access_log: at.access_log_destination(wire.access_log.as_ref())?,
        access_log_format: at.access_log_format(wire.access_log.as_ref())?,
        log: log(wire.log.as_ref(), &at)?,
        limits: bounds::limits(limits, &at)?,
        maximum_integration_timeout: bounds::maximum_integration_timeout(limits, &at)?,
        file: file.to_owned(),
    })
}

/// One worker for each CPU this process may use.
pub fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn listeners(
    wire: &[Located<wire::Listener>],
    certificates: bool,
    at: &Checker<'_>,
) -> Result<Vec<ListenerConfig>, ConfigError> {
    if wire.is_empty() {
        return Err(at.refuse(
            None,
            "listeners",
            "has no entry; allowed: at least one listener".to_owned(),
        ));
    }
    let mut seen = BTreeSet::new();
    let mut listeners = Vec::with_capacity(wire.len());
    for (index, listener) in wire.iter().enumerate() {
        let key = |name: &str| format!("listeners[{index}].{name}");
        let line = listener.line();
        let text = at.present(&listener.address, line, &key("address"))?;
        let address = at.required(text, &key("address"), values::listen_address)?;
        if address.port() != 0 && !seen.insert(address) {
            return Err(at.refuse(
                Some(line),
                &key("address"),
                format!("{address} has a listener already"),
            ));
        }
        let tls = at.optional(&listener.tls, &key("tls"), values::boolean)?.unwrap_or(false);
        if tls && !certificates {
            let problem =
                "true, but there are no certificates; add one under certificates".to_owned();
            return Err(at.refuse(Some(line), &key("tls"), problem));
        }
        let visibility =
            match listener.visibility.given().copied().unwrap_or(wire::Visibility::Public) {
                wire::Visibility::Public => {
                    for (name, value) in [
                        ("vpc_id", &listener.vpc_id),
                        ("vpc_endpoint_id", &listener.vpc_endpoint_id),
                    ] {
                        if let Some(value) = value.given() {
                            let problem =
                                "only a listener with visibility: private has one".to_owned();
                            return Err(at.refuse(Some(value.line()), &key(name), problem));
                        }
                    }
                    Visibility::Public
                }
                wire::Visibility::Private => {
                    let id = |name: &str, value: &Maybe<Text>, prefix: &str| match value.given() {
                        None => Err(at.refuse(
                            Some(line),
                            &key(name),
                            "is missing; a private listener has one".to_owned(),
                        )),
                        Some(text) => at.required(text, &key(name), |text| aws_id(text, prefix)),
                    };
                    Visibility::Private {
                        vpc_id: id("vpc_id", &listener.vpc_id, "vpc-")?,
                        vpc_endpoint_id: id("vpc_endpoint_id", &listener.vpc_endpoint_id, "vpce-")?,
                    }
                }
            };
        listeners.push(ListenerConfig { address, tls, visibility });
    }
    Ok(listeners)
}

fn certificates(
    wire: &[Located<wire::Certificate>],
    at: &Checker<'_>,
) -> Result<Vec<CertificateConfig>, ConfigError> {
    let mut names_seen = BTreeSet::new();
    let mut certificates = Vec::with_capacity(wire.len());
    for (index, certificate) in wire.iter().enumerate() {
        let mut names = Vec::with_capacity(certificate.names.len());
        for (number, name) in certificate.names.iter().enumerate() {
            let key = format!("certificates[{index}].names[{number}]");
            let checked = at.required(name, &key, values::domain_name)?;
            if !names_seen.insert(checked.clone()) {
                return Err(at.refuse(
                    Some(name.line()),
                    &key,
                    format!("{checked} has a certificate already"),
                ));
            }
            names.push(checked);
        }
        let path = |name: &str, maybe| {
            let key = format!("certificates[{index}].{name}");
            at.present(maybe, certificate.line(), &key).and_then(|text| at.path(text, &key))
        };
        certificates.push(CertificateConfig {
            names,
            certificate: path("certificate", &certificate.certificate)?,
            key: path("key", &certificate.key)?,
            line: certificate.line(),
        });
    }
    Ok(certificates)
}

fn apis(
    wire: &[Located<wire::Api>],
    account: Throttle,
    at: &Checker<'_>,
) -> Result<Vec<ApiConfig>, ConfigError> {
    let mut seen = BTreeSet::new();
    let mut apis = Vec::with_capacity(wire.len());
    for (index, api) in wire.iter().enumerate() {
        let key = |name: &str| format!("apis[{index}].{name}");
        let definition = at.present(&api.definition, api.line(), &key("definition"))?;
        let api_id = at
            .optional(&api.api_id, &key("api_id"), values::api_id)?
            .map_or_else(|| generated_api_id(Path::new(definition.text())), ApiId);
        let stage_text = at.present(&api.stage, api.line(), &key("stage"))?;
        let stage = at.required(stage_text, &key("stage"), values::stage_name)?;
        if !seen.insert((api_id.clone(), stage.clone())) {
            let problem = format!(
                "API {api_id} has a stage {stage} already; give this one another name, or another api_id"
            );
            return Err(at.refuse(Some(stage_text.line()), &key("stage"), problem));
        }
        if api.stage_variables.len() > 100 {
            let problem = format!("{} variables; allowed: up to 100", api.stage_variables.len());
            return Err(at.refuse(Some(api.line()), &key("stage_variables"), problem));
        }
        for (name, value) in &api.stage_variables {
            values::stage_variable(name, value.text()).map_err(|problem| {
                at.refuse(Some(value.line()), &key(&format!("stage_variables.{name}")), problem)
            })?;
        }
        apis.push(ApiConfig {
            definition: at.path(definition, &key("definition"))?,
            api_id,
            name: at.optional(&api.name, &key("name"), api_name)?,
            description: api.description.given().map(|text| text.text().to_owned()),
            stage,
            stage_variables: texts(&api.stage_variables),
            parameters: texts(&api.parameters),
            transformers: list(&api.transformers),
            authorizer_uris: texts(&api.authorizers),
            method_transformers: api
                .methods
                .iter()
                .filter(|(_, it)| !it.transformers.is_empty())
                .map(|(method, it)| (method.clone(), list(&it.transformers)))
                .collect(),
            throttles: stage_throttles(api.throttle.as_ref(), &api.methods, account, &key, at)?,
            line: definition.line(),
        });
    }
    Ok(apis)
}

fn domain_names(
    wire: &[Located<wire::DomainName>],
    apis: &[ApiConfig],
    at: &Checker<'_>,
) -> Result<Vec<DomainName>, ConfigError> {
    let mut names_seen = BTreeSet::new();
    let mut domain_names = Vec::with_capacity(wire.len());
    for (index, domain) in wire.iter().enumerate() {
        let key = |name: &str| format!("domain_names[{index}].{name}");
        let name_text = at.present(&domain.name, domain.line(), &key("name"))?;
        let name = at.required(name_text, &key("name"), values::domain_name)?;
        if !names_seen.insert(name.clone()) {
            return Err(at.refuse(
                Some(name_text.line()),
                &key("name"),
                format!("{name} stands here a second time"),
            ));
        }
        if domain.base_path_mappings.is_empty() {
            let problem = "has no entry; allowed: at least one mapping".to_owned();
            return Err(at.refuse(Some(domain.line()), &key("base_path_mappings"), problem));
        }
        let mut paths_seen = BTreeSet::new();
        let mut mappings = Vec::with_capacity(domain.base_path_mappings.len());
        for (number, mapping) in domain.base_path_mappings.iter().enumerate() {
            let key =
                |name: &str| format!("domain_names[{index}].base_path_mappings[{number}].{name}");
            let base_path =
                at.optional(&mapping.base_path, &key("base_path"), base_path)?.flatten();
            if !paths_seen.insert(base_path.clone()) {
                let path = base_path.as_deref().unwrap_or("(none)");
                return Err(at.refuse(
                    Some(mapping.line()),
                    &key("base_path"),
                    format!("{path} has a mapping already"),
                ));
            }
            let id_text = at.present(&mapping.api_id, mapping.line(), &key("api_id"))?;
            let api_id = at.required(id_text, &key("api_id"), values::api_id).map(ApiId)?;
            if !apis.iter().any(|api| api.api_id == api_id) {
                let problem = format!(
                    "there is no API {api_id}; allowed: {}",
                    known(apis.iter().map(|api| &api.api_id.0))
                );
                return Err(at.refuse(Some(id_text.line()), &key("api_id"), problem));
            }
            let stage = at.optional(&mapping.stage, &key("stage"), values::stage_name)?;
            if let (Some(stage), Some(text)) = (&stage, mapping.stage.given()) {
                let stages =
                    || apis.iter().filter(|api| api.api_id == api_id).map(|api| &api.stage);
                if !stages().any(|known| known == stage) {
                    let problem =
                        format!("API {api_id} has no stage {stage}; allowed: {}", known(stages()));
                    return Err(at.refuse(Some(text.line()), &key("stage"), problem));
                }
            }
            mappings.push(BasePathMapping { base_path, api_id, stage });
        }
        domain_names.push(DomainName { name, mappings });
    }
    Ok(domain_names)
}

fn vpc_links(
    wire: &BTreeMap<String, Located<wire::VpcLink>>,
    at: &Checker<'_>,
) -> Result<BTreeMap<String, VpcLink>, ConfigError> {
    let mut links = BTreeMap::new();
    for (id, link) in wire {
        let key = |name: &str| format!("vpc_links.{id}.{name}");
        if link.addresses.is_empty() {
            let problem = "has no entry; allowed: at least one HOST:PORT".to_owned();
            return Err(at.refuse(Some(link.line()), &key("addresses"), problem));
        }
        let mut addresses = Vec::with_capacity(link.addresses.len());
        for (index, address) in link.addresses.iter().enumerate() {
            addresses.push(at.required(
                address,
                &format!("vpc_links.{id}.addresses[{index}]"),
                values::upstream_address,
            )?);
        }
        let health_check = match &link.health_check {
            None => HealthCheck::default(),
            Some(wire) => bounds::health_check(wire, &key("health_check"), at)?,
        };
        links.insert(id.clone(), VpcLink { addresses, health_check });
    }
    Ok(links)
}

fn log(wire: Option<&wire::Log>, at: &Checker<'_>) -> Result<LogConfig, ConfigError> {
    let mut log = LogConfig { level: "info".to_owned(), format: LogFormat::Text };
    if let Some(wire) = wire {
        if let Some(level) = at.optional(&wire.level, "log.level", crate::logging::filter)? {
            log.level = level;
        }
        log.format = wire.format.given().copied().unwrap_or_default();
    }
    Ok(log)
}

/// Makes refusals that name the file, and turns its paths into ones that can be opened.
pub struct Checker<'a> {
    file: &'a Path,
    folder: &'a Path,
}

impl Checker<'_> {
    pub fn refuse(&self, line: Option<u64>, key: &str, problem: String) -> ConfigError {
        ConfigError { file: self.file.to_owned(), line, key: key.to_owned(), problem }
    }

    /// A key that has to be there, in a mapping that starts at a line.
    pub fn present<'m, T>(
        &self,
        maybe: &'m Maybe<T>,
        line: u64,
        key: &str,
    ) -> Result<&'m T, ConfigError> {
        maybe.given().ok_or_else(|| self.refuse(Some(line), key, "is missing".to_owned()))
    }

    pub fn required<T>(
        &self,
        scalar: &impl Scalar,
        key: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        read(scalar.text()).map_err(|problem| self.refuse(Some(scalar.line()), key, problem))
    }

    pub fn optional<T>(
        &self,
        maybe: &Maybe<impl Scalar>,
        key: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        maybe.given().map(|scalar| self.required(scalar, key, read)).transpose()
    }

    pub fn path(&self, scalar: &Text, key: &str) -> Result<PathBuf, ConfigError> {
        match scalar.text() {
            "" => {
                Err(self.refuse(Some(scalar.line()), key, "is empty; allowed: a file".to_owned()))
            }
            path => Ok(self.folder.join(path)),
        }
    }

    fn access_log_destination(
        &self,
        wire: Option<&wire::AccessLog>,
    ) -> Result<AccessLogDestination, ConfigError> {
        let Some(text) = wire.and_then(|wire| wire.destination.given()) else {
            return Ok(AccessLogDestination::Stdout);
        };
        Ok(match self.required(text, "access_log.destination", crate::cli::access_log)? {
            AccessLogDestination::File(path) => AccessLogDestination::File(self.folder.join(path)),
            other => other,
        })
    }

    fn access_log_format(
        &self,
        wire: Option<&wire::AccessLog>,
    ) -> Result<Option<String>, ConfigError> {
        let Some(text) = wire.and_then(|wire| wire.format.given()) else { return Ok(None) };
        self.required(text, "access_log.format", access_log_format).map(Some)
    }
}

/// AWS: one line of up to 3 KB that names the request.
fn access_log_format(text: &str) -> Result<String, String> {
    let format = text.trim_end();
    if format.len() > 3 * 1024 {
        return Err(format!("{} bytes long; allowed: up to 3072", format.len()));
    }
    if format.contains(['\n', '\r']) {
        return Err("has several lines; allowed: one".to_owned());
    }
    if !format.contains("$context.requestId") && !format.contains("$context.extendedRequestId") {
        return Err("does not name the request; it must hold $context.requestId or $context.extendedRequestId".to_owned());
    }
    AccessLogFormat::parse(format).map_err(|error| error.to_string())?;
    Ok(format.to_owned())
}

/// A base path, or `None` for the mapping that takes every other path.
fn base_path(text: &str) -> Result<Option<String>, String> {
    if text == "(none)" {
        return Ok(None);
    }
    let valid = (1..=300).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"$-_.+!*'()/".contains(&byte))
        && text.split('/').all(|segment| !segment.is_empty());
    if valid {
        Ok(Some(text.to_owned()))
    } else {
        Err(format!(
            "{text:?} is not a base path; allowed: 1 to 300 of a-z, A-Z, 0-9 and $-_.+!*'(), segments parted by single slashes"
        ))
    }
}

/// An API's name. AWS: up to 1,024 characters.
fn api_name(text: &str) -> Result<String, String> {
    match text.chars().count() {
        1..=1024 => Ok(text.to_owned()),
        length => Err(format!("{length} characters long; allowed: 1 to 1024")),
    }
}

fn aws_id(text: &str, prefix: &str) -> Result<String, String> {
    match text.strip_prefix(prefix) {
        Some(rest)
            if !rest.is_empty()
                && rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) =>
        {
            Ok(text.to_owned())
        }
        _ => Err(format!("{text:?} is not an id; allowed: {prefix} and then a-z and 0-9")),
    }
}

fn texts(wire: &BTreeMap<String, Text>) -> BTreeMap<String, String> {
    wire.iter().map(|(name, value)| (name.clone(), value.text().to_owned())).collect()
}

fn list(wire: &[Text]) -> Vec<String> {
    wire.iter().map(|text| text.text().to_owned()).collect()
}

fn known<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: BTreeSet<&str> = names.map(String::as_str).collect();
    if names.is_empty() {
        "none is configured under apis".to_owned()
    } else {
        Vec::from_iter(names).join(", ")
    }
}
