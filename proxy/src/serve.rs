//! `tollgate serve`: production, from a configuration file.
//!
//! Everything is read and checked, then everything is bound, then it serves. While it serves,
//! certificates and definitions are read again when they change, and with the rest of the
//! configuration on SIGHUP: all of it or, when anything is wrong, nothing.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use parking_lot::Mutex;
use prometheus::core::Collector;
use tokio_rustls::TlsAcceptor;
use tollgate_gateway::Gateway;
use tollgate_gateway::access_log::DEFAULT_FORMAT;
use tollgate_gateway::config::GatewayConfig;
use tollgate_gateway::tls::{self, Certificates};
use tollgate_management::Settings;
use tollgate_management::http::{AccessKeys, Authentication};
use tollgate_plugin_host::{HostConfig, PluginHost};

use crate::allocator::give_back_in_background;
use crate::cli::ServeArgs;
use crate::config::{self, Config};
use crate::control_plane::{Access, ControlPlane, FileRoutes, Serving};
use crate::loaded::Loaded;
use crate::plugins::{Plugins, Prepared};
use crate::watch::Watch;
use crate::{logging, notify_systemd};

pub fn serve(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let config = config::load(&args.config)?;
    logging::start(&config.log).map_err(anyhow::Error::msg)?;
    give_back_in_background();
    let certificates = Arc::new(Certificates::new());
    let host = plugin_host(&config).map_err(anyhow::Error::msg)?;
    let collector = host.collector();
    let mut plugins = Plugins::new(host);
    plugins.commit(plugins.prepare(&config.plugins)?);
    let mut loaded = Loaded::load(config, &certificates, &plugins.kinds())?;
    let gateway = Gateway::bind(gateway_config(&loaded.config, certificates.clone(), collector))?;
    let serving = Arc::new(Serving::new(gateway.clone()));
    let routes = file_routes(&mut loaded, &plugins)?;
    serving.publish_files(routes).with_context(|| args.config.display().to_string())?;
    let control_plane = control_plane(&loaded.config, &certificates, serving.clone())?;
    report(&loaded, &plugins, &gateway);

    let throttle = loaded.config.throttle.settings.clone();
    let reloader = Reloader::start(serving, certificates, loaded, plugins)?;
    if let Some(settings) = throttle {
        // The last that can fail: it takes over from the process that this one replaces.
        gateway.throttle_sources(settings).context(THROTTLE_KEY)?;
    }
    let started = || {
        notify_systemd::ready();
        notify_systemd::stopping_on_sigterm();
    };
    let code = gateway.run(started, move || reloader.configuration_may_have_changed());
    drop(control_plane);
    Ok(code)
}

fn file_routes(loaded: &mut Loaded, plugins: &Plugins) -> anyhow::Result<FileRoutes> {
    Ok(FileRoutes { routes: loaded.routes(plugins)?, plugin_kinds: plugins.kinds() })
}

/// Serves the management API and what is in its store, if there is to be one.
fn control_plane(
    config: &Config,
    certificates: &Arc<Certificates>,
    serving: Arc<Serving>,
) -> anyhow::Result<Option<ControlPlane>> {
    let Some(api) = &config.management_api else {
        let store = config.data_directory.as_deref().map(tollgate_store::store_file);
        if let Some(store) = store.filter(|store| store.exists()) {
            tracing::warn!(store = %store.display(), "not served, for there is no management_api");
        }
        return Ok(None);
    };
    let keys = api.access_keys.iter().map(|(id, source)| Ok((id.clone(), source.read()?)));
    let keys = keys
        .collect::<anyhow::Result<Vec<_>>>()
        .with_context(|| format!("{}: management_api.access_keys", config.file.display()))?;
    let access = Access {
        authentication: Authentication::Keys(AccessKeys::new(config.region.clone(), keys)),
        tls: api.tls.then(|| TlsAcceptor::from(Arc::new(tls::server_config(certificates.clone())))),
    };
    let settings = Settings {
        region: config.region.clone(),
        account_id: config.account_id.clone(),
        host_suffix: config.host_suffix.clone(),
        maximum_integration_timeout: config.maximum_integration_timeout,
        account_throttle: (config.account.per_second(), config.account.burst()),
        vpc_links: config
            .vpc_links
            .iter()
            .map(|(name, link)| (name.clone(), link.addresses.clone()))
            .collect(),
    };
    ControlPlane::start(config.data_directory.as_deref(), settings, serving, access).map(Some)
}

/// What the management API and the APIs of its store have of the configuration.
const OF_STORE: &str = "region, account_id, host_suffix, account and maximum_integration_timeout of APIs of the management API";

/// Where the configuration has the kernel throttle.
const THROTTLE_KEY: &str = "throttle.kernel";

/// The host of the configuration's plugins.
pub fn plugin_host(config: &Config) -> Result<PluginHost, String> {
    PluginHost::new(HostConfig {
        cache_directory: config.plugin_cache_directory.clone(),
        upstreams: config.plugin_upstreams.clone(),
        upstream_ca_file: config.upstream_ca_file.clone(),
        workers: config.workers,
        ..HostConfig::default()
    })
}

/// The part of the configuration that stays as it is until a restart.
fn gateway_config(
    config: &Config,
    certificates: Arc<Certificates>,
    plugins: Box<dyn Collector>,
) -> GatewayConfig {
    GatewayConfig {
        listeners: config.listeners.clone(),
        management: config.management,
        companions: config.management_api.iter().map(|api| api.address).collect(),
        workers: config.workers,
        limits: config.limits.clone(),
        certificates,
        access_log: config.access_log.clone(),
        access_log_format: config
            .access_log_format
            .clone()
            .unwrap_or_else(|| DEFAULT_FORMAT.to_owned()),
        vpc_links: config.vpc_links.clone(),
        upstream_ca_file: config.upstream_ca_file.clone(),
        data_directory: config.data_directory.clone(),
        control_socket: config.control_socket.clone(),
        trusted_proxies: config.throttle.trusted_proxies.clone(),
        collectors: vec![plugins],
    }
}

fn report(loaded: &Loaded, plugins: &Plugins, gateway: &Gateway) {
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    for (listener, address) in loaded.config.listeners.iter().zip(&gateway.bound().listeners) {
        tracing::info!(%address, tls = listener.tls, visibility = ?listener.visibility, "listening");
    }
    tracing::info!(address = %gateway.bound().management, "management and metrics");
    for address in &gateway.bound().companions {
        tracing::info!(%address, "management API");
    }
    for (source, plugin) in plugins.current() {
        let (file, kind) = (source.file.display(), plugin.kind());
        tracing::info!(plugin = source.name, %file, %kind, sha256 = plugin.sha256, "plugin loaded");
    }
    let (region, suffix) = (&loaded.config.region, &loaded.config.host_suffix);
    for definition in &loaded.definitions {
        let api_id = definition.api_id();
        let host = (!definition.api.disable_execute_api_endpoint)
            .then(|| format!("{api_id}.execute-api.{region}.{suffix}"));
        tracing::info!(
            %api_id,
            host,
            name = definition.api.name,
            stage = definition.stage_name(),
            definition = %definition.file.display(),
            "serving"
        );
    }
}

/// Brings a running gateway up to date with its files.
struct Reloader {
    state: Arc<Mutex<State>>,
    watch: Watch,
}

struct State {
    gateway: Gateway,
    serving: Arc<Serving>,
    certificates: Arc<Certificates>,
    /// What the gateway was started with: what cannot change while it runs is compared to it.
    started_with: Fixed,
    /// What is being served.
    current: Loaded,
    plugins: Plugins,
}

impl Reloader {
    fn start(
        serving: Arc<Serving>,
        certificates: Arc<Certificates>,
        loaded: Loaded,
        plugins: Plugins,
    ) -> anyhow::Result<Self> {
        let files = loaded.watched_files();
        let started_with = Fixed::of(&loaded.config);
        let state = Arc::new(Mutex::new(State {
            gateway: serving.gateway().clone(),
            serving,
            certificates,
            started_with,
            current: loaded,
            plugins,
        }));
        let watched = state.clone();
        let watch = Watch::start(files, move || {
            let mut state = watched.lock();
            state.refresh_plugins();
            let config = state.current.config.clone();
            state.apply(config, None);
            state.current.watched_files()
        })?;
        Ok(Self { state, watch })
    }

    /// SIGHUP.
    fn configuration_may_have_changed(&self) {
        notify_systemd::reloading();
        let mut state = self.state.lock();
        let read = config::load(&state.current.config.file).map_err(anyhow::Error::from);
        let prepared = read.and_then(|config| {
            let plugins = state.plugins.prepare(&config.plugins)?;
            Ok((config, plugins))
        });
        match prepared {
            Ok((config, plugins)) => {
                if state.apply(config, Some(plugins)) {
                    state.tell_what_waits();
                    self.watch.files(state.current.watched_files());
                }
            }
            Err(error) => state.refused(&error),
        }
        notify_systemd::ready();
    }
}

impl State {
    /// Serves what the configuration and its files say now, or says why not.
    /// With `plugins`, also those: all or nothing.
    fn apply(&mut self, config: Config, plugins: Option<Prepared>) -> bool {
        let loaded = match self.load_and_publish(config, plugins) {
            Ok(loaded) => loaded,
            Err(error) => {
                self.refused(&error);
                return false;
            }
        };
        for warning in
            loaded.warnings.iter().filter(|warning| !self.current.warnings.contains(warning))
        {
            tracing::warn!("{warning}");
        }
        tracing::info!(stages = loaded.definitions.len(), "reloaded");
        self.current = loaded;
        true
    }

    /// Names the keys whose change does not count yet.
    fn tell_what_waits(&self) {
        let changed = Fixed::of(&self.current.config).differences(&self.started_with);
        if !changed.is_empty() {
            tracing::warn!(
                "changed, but for the next restart or upgrade only: {}",
                changed.join(", ")
            );
        }
    }

    /// Swaps the plugins whose files have changed, each on its own.
    fn refresh_plugins(&mut self) {
        let refreshed = self.plugins.refresh(&self.current.config.plugins);
        for plugin in &refreshed.changed {
            tracing::info!(plugin, "plugin swapped");
        }
        for error in &refreshed.refused {
            self.gateway.reload_rejected();
            tracing::error!("plugin not swapped, the version before it stays in use: {error}");
        }
    }

    fn load_and_publish(
        &mut self,
        config: Config,
        plugins: Option<Prepared>,
    ) -> anyhow::Result<Loaded> {
        let kinds = plugins.as_ref().map_or_else(|| self.plugins.kinds(), Prepared::kinds);
        let mut loaded = Loaded::load(config, &self.certificates, &kinds)?;
        if let Some(plugins) = plugins {
            self.plugins.commit(plugins);
        }
        let routes = file_routes(&mut loaded, &self.plugins)?;
        let file = loaded.config.file.display();
        self.serving.publish_files(routes).with_context(|| file.to_string())?;
        let throttle = &loaded.config.throttle;
        self.gateway.trust_proxies(throttle.trusted_proxies.clone());
        if let Some(settings) = &throttle.settings {
            self.gateway.reconfigure_source_throttle(settings.clone());
        }
        Ok(loaded)
    }

    fn refused(&self, error: &anyhow::Error) {
        self.gateway.reload_rejected();
        tracing::error!(
            "not reloaded, what was loaded before is still served: {}",
            crate::one_line(error)
        );
    }
}

/// The keys that only count at start, each with its value as text: all that is asked of them
/// is whether they are the same.
#[derive(Clone)]
struct Fixed([(&'static str, String); 16]);

impl Fixed {
    fn of(config: &Config) -> Self {
        let kernel = config.throttle.settings.as_ref();
        let of_store = config.management_api.as_ref().map(|_| {
            let names = (&config.region, &config.account_id, &config.host_suffix);
            format!("{names:?} {:?} {:?}", config.account, config.maximum_integration_timeout)
        });
        let of_store = of_store.unwrap_or_default();
        Self([
            ("listeners", format!("{:?}", config.listeners)),
            ("management", format!("{:?}", config.management)),
            ("management_api", format!("{:?}", config.management_api)),
            (OF_STORE, of_store),
            ("workers", format!("{:?}", config.workers)),
            ("limits", format!("{:?}", config.limits)),
            ("access_log", format!("{:?} {:?}", config.access_log, config.access_log_format)),
            ("vpc_links", format!("{:?}", config.vpc_links)),
            ("upstream_ca_file", format!("{:?}", config.upstream_ca_file)),
            ("plugin_upstreams", format!("{:?}", config.plugin_upstreams)),
            ("plugin_cache_directory", format!("{:?}", config.plugin_cache_directory)),
            ("data_directory", format!("{:?}", config.data_directory)),
            ("control_socket", format!("{:?}", config.control_socket)),
            ("log", format!("{:?}", config.log)),
            (THROTTLE_KEY, format!("{:?}", kernel.map(|it| &it.kernel))),
            ("throttle.kernel.penalty", format!("{:?}", kernel.map(|it| it.penalties))),
        ])
    }

    fn differences(&self, other: &Self) -> Vec<&'static str> {
        self.0
            .iter()
            .zip(&other.0)
            .filter(|(mine, theirs)| mine != theirs)
            .map(|(mine, _)| mine.0)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_needs_a_restart_is_named() {
        let config = |text: &str| config::read(text, Path::new("tollgate.yaml")).unwrap();
        let before = Fixed::of(&config("listeners: [{address: '127.0.0.1:80'}]"));
        let after = Fixed::of(&config(
            "listeners: [{address: '127.0.0.1:81'}]\nlimits: {connections: 5}\nregion: eu-west-1",
        ));
        assert_eq!(after.differences(&before), ["listeners", "limits"]);
        let throttle = |kernel: &str| {
            let text = "listeners: [{address: '127.0.0.1:80'}]\nthrottle: {kernel: {interface: ";
            Fixed::of(&config(&format!("{text}{kernel}}}}}")))
        };
        assert_eq!(
            throttle("e").differences(&throttle("e, packets: {rate: 1}, deny: [::1]")),
            [""; 0]
        );
        assert_eq!(throttle("e").differences(&throttle("f")), [THROTTLE_KEY]);
        let penalty = throttle("e, penalty: {first: 2s}");
        assert_eq!(throttle("e").differences(&penalty), ["throttle.kernel.penalty"]);
        assert!(before.differences(&before).is_empty());
    }
}
