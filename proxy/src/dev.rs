//! `tollgate dev`: definitions served on this machine, and again whenever they change.

mod plugins;
mod usage;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use parking_lot::Mutex;
use prometheus::core::Collector;
use serde_json::json;
use tollgate_gateway::access_log::DEFAULT_FORMAT;
use tollgate_gateway::config::{GatewayConfig, ListenerConfig, Visibility};
use tollgate_gateway::tls::{CertificatePem, Certificates};
use tollgate_gateway::usage::Throttle;
use tollgate_gateway::{Addresses, Gateway, RouteStage, Routes};
use tollgate_management::Settings;
use tollgate_management::http::Authentication;
use tollgate_plugin_host::{HostConfig, PluginHost};

use crate::allocator::give_back_in_background;
use crate::cli::{DevArgs, KeyValue, Output};
use crate::config::LogConfig;
use crate::config::checked::default_workers;
use crate::config::plugins::PluginConfig;
use crate::config::throttle;
use crate::config::wire::LogFormat;
use crate::control_plane::{Access, ControlPlane, FileRoutes, Serving};
use crate::definitions::{
    self, Attached, Definition, DefinitionError, MAXIMUM_INTEGRATION_TIMEOUT, Source,
    generated_api_id,
};
use crate::echo::Echo;
use crate::logging;
use crate::plugin_command::upstreams;
use crate::plugins::{Plugins, unfit, watched_files};
use crate::self_signed::self_signed;
use crate::watch::Watch;
use usage::Limits;

/// Names under it resolve to this machine.
const HOST_SUFFIX: &str = "localhost";

/// The stage variable that holds the address of `--echo`.
const ECHO_VARIABLE: &str = "echo";

pub fn dev(mut args: DevArgs) -> anyhow::Result<ExitCode> {
    args.stage
        .fill_from_environment(|name| std::env::var(name).ok())
        .map_err(anyhow::Error::msg)?;
    // The text output says what an operator would look for in the log.
    let log = LogConfig { level: "warn".to_owned(), format: LogFormat::Text };
    logging::start(&log).map_err(anyhow::Error::msg)?;
    give_back_in_background();

    let echo = args.echo.map(Echo::start).transpose()?;
    let host = plugin_host(&args)?;
    let collector = host.collector();
    let plugin_configs = plugins::configs(&args.plugins)?;
    let mut plugins = Plugins::new(host);
    plugins.commit(plugins.prepare(&plugin_configs)?);
    let mut sources = sources(&args, echo.as_ref())?;
    let mut set = DefinitionSet::load(&sources, plugins)?;
    if !plugin_configs.is_empty() {
        let attached = plugins::attach(&plugin_configs, &set.plugins.kinds(), &set.definitions)?;
        sources.iter_mut().for_each(|source| source.attached = attached.clone());
        set = DefinitionSet::load(&sources, set.plugins)?;
    }
    set.limits = Limits::new(&args);
    let gateway = Gateway::bind(gateway_config(&args, collector)?)?;
    let serving = Arc::new(Serving::new(gateway.clone()));
    serving.publish_files(set.file_routes()?)?;
    let control_plane = control_plane(&args, serving.clone())?;
    let mut announcement = announcement(&args, &set, &gateway, echo.as_ref())?;

    let mut files: Vec<_> = sources.iter().map(|source| source.file.clone()).collect();
    files.extend(watched_files(&plugin_configs));
    let reload = reloader(serving, sources, plugin_configs, set, args.output);
    let reload_changed = reload.clone();
    let _watch = Watch::start(files.clone(), move || {
        reload_changed();
        files.clone()
    })?;
    if let Some(interface) = &args.kernel_throttle {
        announcement.remarks.push(throttle_sources(&gateway, interface)?);
    }
    let code = gateway.run(move || print(&announcement), reload);
    drop(control_plane);
    Ok(code)
}

/// Serves the management API and what is in its store.
fn control_plane(args: &DevArgs, serving: Arc<Serving>) -> anyhow::Result<ControlPlane> {
    if !args.management_api.ip().is_loopback() {
        bail!(
            "--management-api: {} is not on this machine; allowed: a loopback address, for any access key is good (tollgate serve has access keys and TLS)",
            args.management_api
        );
    }
    let account = args.account_throttle.unwrap_or_else(Throttle::of_account);
    let settings = Settings {
        region: args.stage.region.clone(),
        account_id: args.stage.account_id.clone(),
        host_suffix: HOST_SUFFIX.to_owned(),
        maximum_integration_timeout: MAXIMUM_INTEGRATION_TIMEOUT,
        account_throttle: (account.per_second(), account.burst()),
        vpc_links: BTreeMap::new(),
    };
    let access = Access { authentication: Authentication::AnyKey, tls: None };
    ControlPlane::start(args.data_directory.as_deref(), settings, serving, access)
}

fn plugin_host(args: &DevArgs) -> anyhow::Result<PluginHost> {
    PluginHost::new(HostConfig {
        upstreams: upstreams(&args.plugins.upstreams),
        workers: args.workers.unwrap_or_else(default_workers),
        ..HostConfig::default()
    })
    .map_err(anyhow::Error::msg)
}

/// Switches `--kernel-throttle` on. Gives the line that says where it runs.
fn throttle_sources(gateway: &Gateway, interface: &str) -> anyhow::Result<String> {
    gateway.throttle_sources(throttle::defaults(interface)).context("--kernel-throttle")?;
    let status = gateway.source_throttle().context("--kernel-throttle: it does not run")?;
    Ok(format!("source throttle: {status}"))
}

/// The definitions of one `tollgate dev`, each at the last version that loaded.
struct DefinitionSet {
    region: String,
    definitions: Vec<Definition>,
    plugins: Plugins,
    limits: Limits,
}

impl DefinitionSet {
    fn load(sources: &[Source], plugins: Plugins) -> Result<Self, DefinitionError> {
        let definitions = sources.iter().map(definitions::load).collect::<Result<_, _>>()?;
        Ok(Self {
            region: sources.first().map(|source| source.region.clone()).unwrap_or_default(),
            definitions,
            plugins,
            limits: Limits::default(),
        })
    }

    /// Reads every definition again; one that does not load stays as it was, and why comes
    /// back.
    fn reload(&mut self, sources: &[Source]) -> Vec<DefinitionError> {
        let mut refused = Vec::new();
        for (definition, source) in self.definitions.iter_mut().zip(sources) {
            match definitions::load(source) {
                Ok(loaded) => *definition = loaded,
                Err(error) => refused.push(error),
            }
        }
        refused
    }

    fn file_routes(&self) -> anyhow::Result<FileRoutes> {
        Ok(FileRoutes { routes: self.routes()?, plugin_kinds: self.plugins.kinds() })
    }

    fn routes(&self) -> anyhow::Result<Routes> {
        let stages = self.definitions.iter().map(|definition| {
            let stage = RouteStage::new(definition.stage()?);
            Ok(RouteStage { throttles: self.limits.of_stage(), ..stage })
        });
        Ok(Routes {
            stages: stages.collect::<Result<_, DefinitionError>>()?,
            addresses: Addresses {
                fallback: self
                    .definitions
                    .first()
                    .map(|first| (first.api_id().clone(), first.stage_name().to_owned())),
                domains: Vec::new(),
                host_suffix: HOST_SUFFIX.to_owned(),
                development_paths: true,
            },
            plugins: self.plugins.slots(),
            usage: self.limits.usage(&self.definitions)?,
        })
    }
}

fn sources(args: &DevArgs, echo: Option<&Echo>) -> anyhow::Result<Vec<Source>> {
    let mut stage_variables = map(&args.stage.stage_variables);
    if let Some(echo) = echo {
        stage_variables
            .entry(ECHO_VARIABLE.to_owned())
            .or_insert_with(|| echo.address().to_string());
    }
    let mut sources: Vec<Source> = Vec::with_capacity(args.files.len());
    for file in &args.files {
        // The id is the same from wherever the file is named.
        let path = match file.canonicalize() {
            Ok(path) => path,
            Err(error) => {
                bail!("{}: cannot be read: {}", file.display(), definitions::reason(&error))
            }
        };
        let api_id = generated_api_id(&path);
        if sources.iter().any(|source| source.api_id == api_id) {
            bail!("{}: the same definition is given twice", file.display());
        }
        sources.push(Source {
            file: file.clone(),
            api_id,
            name: None,
            description: None,
            stage: args.stage.stage.clone(),
            stage_variables: stage_variables.clone(),
            parameters: map(&args.stage.parameters),
            region: args.stage.region.clone(),
            account_id: args.stage.account_id.clone(),
            maximum_integration_timeout: MAXIMUM_INTEGRATION_TIMEOUT,
            attached: Attached::default(),
        });
    }
    Ok(sources)
}

fn gateway_config(args: &DevArgs, plugins: Box<dyn Collector>) -> anyhow::Result<GatewayConfig> {
    let made =
        self_signed(&args.stage.region).context("the self-signed certificate cannot be made")?;
    let certificates = Certificates::new();
    certificates.load_pem(&[CertificatePem {
        names: made.names,
        certificate: made.certificate_pem,
        key: made.key_pem,
    }])?;
    let listener = |address, tls| ListenerConfig { address, tls, visibility: Visibility::Public };
    Ok(GatewayConfig {
        listeners: vec![listener(args.http, false), listener(args.https, true)],
        management: args.management,
        companions: vec![args.management_api],
        workers: args.workers.unwrap_or_else(default_workers),
        limits: tollgate_gateway::limits::Limits::default(),
        certificates: Arc::new(certificates),
        access_log: args.access_log_destination(),
        access_log_format: DEFAULT_FORMAT.to_owned(),
        vpc_links: BTreeMap::new(),
        upstream_ca_file: None,
        data_directory: args.data_directory.clone(),
        control_socket: None,
        trusted_proxies: Vec::new(),
        collectors: vec![plugins],
    })
}

/// Called when a file changed and on SIGHUP.
fn reloader(
    serving: Arc<Serving>,
    sources: Vec<Source>,
    plugin_configs: Vec<PluginConfig>,
    set: DefinitionSet,
    output: Output,
) -> impl Fn() + Clone + Send + Sync {
    let set = Arc::new(Mutex::new(set));
    let files = Arc::new((sources, plugin_configs));
    move || {
        let (sources, plugin_configs) = &*files;
        let mut set = set.lock();
        let plugins = set.plugins.refresh(plugin_configs);
        let mut refused = plugins.refused;
        refused.extend(set.reload(sources).iter().map(ToString::to_string));
        for error in &refused {
            eprintln!("{error} (the version before it is still served)");
        }
        match set.file_routes() {
            Ok(routes) => {
                if let Err(error) = serving.publish_files(routes) {
                    eprintln!("{error} (not reloaded)");
                }
            }
            Err(error) => eprintln!("{error} (not reloaded)"),
        }
        if refused.is_empty() && output == Output::Text {
            eprintln!("reloaded");
        }
    }
}

/// What the user, or the program that started this one, is told once the APIs serve.
struct Announcement {
    /// For standard output.
    text: String,
    /// For standard error, a line each.
    remarks: Vec<String>,
}

fn announcement(
    args: &DevArgs,
    set: &DefinitionSet,
    gateway: &Gateway,
    echo: Option<&Echo>,
) -> anyhow::Result<Announcement> {
    let bound = gateway.bound();
    let [http, https] = bound.listeners[..] else {
        bail!("the gateway has not bound HTTP and HTTPS")
    };
    let mut text = String::new();
    let mut remarks = Vec::new();
    for (index, definition) in set.definitions.iter().enumerate() {
        let urls = invoke_urls(definition, &set.region, http, https, index == 0);
        let (name, file, stage) =
            (&definition.api.name, definition.file.display(), definition.stage_name());
        match args.output {
            Output::Json => {
                let line = json!({
                    "api_id": definition.api_id().0,
                    "name": name,
                    "stage": stage,
                    "invoke_urls": urls,
                    "plugins": set.plugins.current().map(|(source, plugin)| json!({
                        "name": source.name,
                        "kind": plugin.kind().to_string(),
                        "sha256": plugin.sha256,
                    })).collect::<Vec<_>>(),
                });
                writeln!(text, "{line}")?;
                remarks.extend(definition.warnings.iter().map(|it| format!("warning: {it}")));
            }
            Output::Text => {
                writeln!(text, "{name} ({file}), stage {stage}: {}", definition.summary())?;
                for url in urls.iter().rev() {
                    writeln!(text, "  {url}")?;
                }
                for warning in &definition.warnings {
                    writeln!(text, "  warning: {warning}")?;
                }
            }
        }
        let unfit = unfit(definition, &set.plugins.kinds());
        remarks.extend(unfit.into_iter().map(|it| {
            format!("warning: {file}: {it}; its methods answer 500 (--plugin gives one)")
        }));
        remarks.extend(set.limits.warning(definition));
        // VPC links are part of a configuration file, which dev has none of.
        remarks.extend(definition.vpc_links.iter().map(|link| {
            format!(
                "warning: {file}: VPC link {link:?} leads nowhere in dev; requests through it fail"
            )
        }));
    }
    let management = reachable(bound.management);
    let management_api = bound.companions.first().copied().map(reachable);
    match args.output {
        Output::Text => {
            for (source, plugin) in set.plugins.current() {
                let file = source.file.display();
                let (name, kind) = (&source.name, plugin.kind());
                let named = set.definitions.iter().any(|it| it.names_plugin(name));
                let place = if named { "where it is named" } else { "every method" };
                writeln!(text, "Plugin {name} ({file}), {place}: {kind}")?;
            }
            if let Some(address) = management_api {
                writeln!(text, "Management API: aws apigateway --endpoint-url http://{address} …")?;
                if set.definitions.is_empty() {
                    let http = reachable(http);
                    writeln!(
                        text,
                        "  its APIs: http://{http}/_aws/execute-api/{{api_id}}/{{stage}}/…"
                    )?;
                }
            }
            writeln!(text, "Health and metrics: http://{management}/healthz, /readyz, /metrics")?;
            if let Some(echo) = echo {
                let address = echo.address();
                writeln!(text, "Echo upstream: http://{address} (stage variable {ECHO_VARIABLE})")?;
            }
            writeln!(text, "HTTPS has a self-signed certificate (curl -k). Ctrl-C stops.")?;
        }
        // Where a program chose port 0 it has to learn of this address too.
        Output::Json => {
            remarks.push(format!("gateway: http://{}", reachable(http)));
            remarks
                .extend(management_api.map(|address| format!("management API: http://{address}")));
            remarks.push(format!("management: http://{management}"));
        }
    }
    Ok(Announcement { text, remarks })
}

fn print(announcement: &Announcement) {
    for remark in &announcement.remarks {
        eprintln!("{remark}");
    }
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = stdout.write_all(announcement.text.as_bytes()).and_then(|()| stdout.flush())
    {
        tracing::warn!(%error, "standard output");
    }
}

/// Where a stage can be reached: its default host by HTTP and HTTPS, the development path, and
/// for the first definition the root.
fn invoke_urls(
    definition: &Definition,
    region: &str,
    http: SocketAddr,
    https: SocketAddr,
    first: bool,
) -> Vec<String> {
    let (id, stage) = (definition.api_id(), definition.stage_name());
    let mut urls = vec![
        format!("http://{id}.execute-api.{region}.localhost:{}/{stage}", http.port()),
        format!("https://{id}.execute-api.{region}.localhost:{}/{stage}", https.port()),
        format!("http://{}/_aws/execute-api/{id}/{stage}", reachable(http)),
    ];
    if first {
        urls.push(format!("http://{}", reachable(http)));
    }
    urls
}

/// An address a client on this machine can use: loopback in place of "every address".
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

fn map(pairs: &[KeyValue]) -> BTreeMap<String, String> {
    pairs.iter().map(|pair| (pair.key.clone(), pair.value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn a_definition_that_no_longer_loads_stays_and_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let (pets, orders) = (folder.path().join("pets.yaml"), folder.path().join("orders.yaml"));
        write(&pets, "Pets");
        write(&orders, "Orders");
        let sources = sources(&args(&[&pets, &orders]), None).unwrap();
        let mut set = load(&sources);
        assert_eq!(names(&set), ["Pets", "Orders"]);

        std::fs::write(&pets, "openapi: 3.0.1\npaths: [\n").unwrap();
        write(&orders, "Orders 2");
        let refused = set.reload(&sources);
        assert_eq!(refused.len(), 1);
        assert!(refused[0].to_string().starts_with(&format!("{}:", pets.display())));
        assert_eq!(names(&set), ["Pets", "Orders 2"]);
        assert_eq!(set.routes().unwrap().stages.len(), 2);

        write(&pets, "Pets 2");
        assert!(set.reload(&sources).is_empty());
        assert_eq!(names(&set), ["Pets 2", "Orders 2"]);
    }

    #[test]
    fn the_first_definition_is_served_where_nothing_else_matches() {
        let folder = tempfile::tempdir().unwrap();
        let (pets, orders) = (folder.path().join("pets.yaml"), folder.path().join("orders.yaml"));
        write(&pets, "Pets");
        write(&orders, "Orders");
        let set = load(&sources(&args(&[&pets, &orders]), None).unwrap());
        let routes = set.routes().unwrap();
        assert!(routes.addresses.development_paths);
        let first = set.definitions[0].api_id().clone();
        assert_eq!(routes.addresses.fallback, Some((first, "dev".to_owned())));
    }

    #[test]
    fn the_same_definition_twice_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pets.yaml");
        write(&file, "Pets");
        let error = sources(&args(&[&file, &folder.path().join("./pets.yaml")]), None).unwrap_err();
        assert!(error.to_string().ends_with("the same definition is given twice"), "{error}");
    }

    #[test]
    fn a_stage_is_reached_by_host_path_and_root() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pets.yaml");
        write(&file, "Pets");
        let set = load(&sources(&args(&[&file]), None).unwrap());
        let definition = &set.definitions[0];
        let id = definition.api_id();
        let (http, https) = ("0.0.0.0:80".parse().unwrap(), "[::]:443".parse().unwrap());
        assert_eq!(
            invoke_urls(definition, "us-east-1", http, https, true),
            [
                format!("http://{id}.execute-api.us-east-1.localhost:80/dev"),
                format!("https://{id}.execute-api.us-east-1.localhost:443/dev"),
                format!("http://127.0.0.1:80/_aws/execute-api/{id}/dev"),
                "http://127.0.0.1:80".to_owned(),
            ]
        );
        assert_eq!(invoke_urls(definition, "us-east-1", http, https, false).len(), 3);
    }

    #[test]
    fn echos_address_is_a_stage_variable_unless_one_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pets.yaml");
        write(&file, "Pets");
        let echo = Echo::start("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut args = args(&[&file]);
        let of = |args: &DevArgs| {
            sources(args, Some(&echo)).unwrap()[0].stage_variables[ECHO_VARIABLE].clone()
        };
        assert_eq!(of(&args), echo.address().to_string());
        args.stage.stage_variables.push("echo=elsewhere:80".parse().unwrap());
        assert_eq!(of(&args), "elsewhere:80");
    }

    fn load(sources: &[Source]) -> DefinitionSet {
        let host = PluginHost::new(HostConfig::default()).unwrap();
        DefinitionSet::load(sources, Plugins::new(host)).unwrap()
    }

    fn args(files: &[&Path]) -> DevArgs {
        use clap::Parser;
        let files = files.iter().map(|file| file.to_str().unwrap());
        match Cli::parse_from(["tollgate", "dev"].into_iter().chain(files)).command {
            Command::Dev(args) => *args,
            other => unreachable!("{other:?} is not dev"),
        }
    }

    fn write(file: &Path, title: &str) {
        let text = format!(
            "openapi: 3.0.1\ninfo: {{title: {title}, version: '1'}}\npaths:\n  /x:\n    get:\n      \
             responses: {{'200': {{description: ok}}}}\n      x-amazon-apigateway-integration: {{type: mock}}\n"
        );
        std::fs::write(file, text).unwrap();
    }

    fn names(set: &DefinitionSet) -> Vec<&str> {
        set.definitions.iter().map(|definition| definition.api.name.as_str()).collect()
    }
}
