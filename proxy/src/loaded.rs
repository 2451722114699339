//! A configuration with everything it names: definitions read, certificates tried, references
//! followed. What gets this far can be served; what cannot is one line that says why.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tollgate_gateway::config::Visibility;
use tollgate_gateway::tls::{CertificateFiles, Certificates};
use tollgate_gateway::usage::UsageSettings;
use tollgate_gateway::{Addresses, RouteStage, Routes};
use tollgate_model::api::EndpointType;

use crate::api_keys;
use crate::config::{Config, ConfigError};
use crate::definitions::{self, Attached, Definition, DefinitionError, Source};
use crate::plugins::{Kinds, Plugins, unfit, watched_files};

/// A configuration that can be served.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    /// One for each entry of `apis`.
    pub definitions: Vec<Definition>,
    /// What is not served as written, one line each; the definitions' own included.
    pub warnings: Vec<String>,
    /// Plans and keys, until they are published: there may be very many keys, so they are not
    /// kept twice.
    usage: UsageSettings,
}

impl Loaded {
    /// Reads and checks everything. `certificates` gets the certificates, all or none; it is
    /// the last thing that can fail, so that a refused reload changes nothing.
    pub fn load(
        config: Config,
        certificates: &Certificates,
        plugins: &Kinds,
    ) -> anyhow::Result<Self> {
        let definitions = (0..config.apis.len())
            .map(|index| definition(index, &config))
            .collect::<Result<Vec<_>, _>>()?;
        check_vpc_links(&config, &definitions)?;
        check_plugins(&config, &definitions, plugins)?;
        check_throttled_methods(&config, &definitions)?;
        let usage = usage(&config)?;
        check_upstream_ca_file(&config)?;
        load_certificates(&config, certificates)?;
        let mut warnings: Vec<String> = definitions
            .iter()
            .flat_map(|definition| &definition.warnings)
            .map(ToString::to_string)
            .collect();
        // Two stages of one API have the same warnings.
        let mut seen = std::collections::HashSet::new();
        warnings.retain(|warning| seen.insert(warning.clone()));
        warnings.extend(unreachable(&config, &definitions));
        warnings.extend(closed(&config, &definitions, &usage));
        warnings.extend(forgetful(&config));
        Ok(Self { config, definitions, warnings, usage })
    }

    /// What to publish. Gives plans and keys away: it is asked once.
    pub fn routes(&mut self, plugins: &Plugins) -> anyhow::Result<Routes> {
        let stages = self.definitions.iter().zip(&self.config.apis).map(|(definition, api)| {
            let stage = RouteStage::new(definition.stage()?);
            Ok(RouteStage { throttles: api.throttles.clone(), ..stage })
        });
        Ok(Routes {
            stages: stages.collect::<Result<_, DefinitionError>>()?,
            addresses: Addresses {
                fallback: None,
                domains: self.config.domain_names.clone(),
                host_suffix: self.config.host_suffix.clone(),
                development_paths: false,
            },
            plugins: plugins.slots(),
            usage: std::mem::take(&mut self.usage),
        })
    }

    /// The files that make it necessary to load again when they change.
    pub fn watched_files(&self) -> Vec<PathBuf> {
        let definitions = self.config.apis.iter().map(|api| &api.definition);
        let certificates =
            self.config.certificates.iter().flat_map(|it| [&it.certificate, &it.key]);
        let mut files: Vec<PathBuf> = definitions.chain(certificates).cloned().collect();
        files.extend(watched_files(&self.config.plugins));
        files.extend(self.config.api_keys_file.clone());
        files.sort();
        files.dedup();
        files
    }
}

fn definition(index: usize, config: &Config) -> anyhow::Result<Definition> {
    let api = &config.apis[index];
    let source = Source {
        file: api.definition.clone(),
        api_id: api.api_id.clone(),
        name: api.name.clone(),
        description: api.description.clone(),
        stage: api.stage.clone(),
        stage_variables: api.stage_variables.clone(),
        parameters: api.parameters.clone(),
        region: config.region.clone(),
        account_id: config.account_id.clone(),
        maximum_integration_timeout: config.maximum_integration_timeout,
        attached: Attached {
            transformers: api.transformers.clone(),
            method_transformers: api.method_transformers.clone(),
            authorizer_uris: api.authorizer_uris.clone(),
            authorizer_of_all: None,
        },
    };
    definitions::load(&source)
        .with_context(|| place(&config.file, api.line, &format!("apis[{index}].definition")))
}

fn check_vpc_links(config: &Config, definitions: &[Definition]) -> Result<(), ConfigError> {
    for (index, (definition, api)) in definitions.iter().zip(&config.apis).enumerate() {
        if let Some(missing) =
            definition.vpc_links.iter().find(|id| !config.vpc_links.contains_key(*id))
        {
            let known: Vec<&str> = config.vpc_links.keys().map(String::as_str).collect();
            let known = if known.is_empty() {
                "vpc_links has none".to_owned()
            } else {
                format!("vpc_links has {}", known.join(", "))
            };
            return Err(ConfigError {
                file: config.file.clone(),
                line: Some(api.line),
                key: format!("apis[{index}].definition"),
                problem: format!(
                    "{} uses VPC link {missing:?}, but {known}",
                    definition.file.display()
                ),
            });
        }
    }
    Ok(())
}

fn check_plugins(
    config: &Config,
    definitions: &[Definition],
    plugins: &Kinds,
) -> Result<(), ConfigError> {
    for (index, (definition, api)) in definitions.iter().zip(&config.apis).enumerate() {
        if let Some(problem) = unfit(definition, plugins).into_iter().next() {
            return Err(ConfigError {
                file: config.file.clone(),
                line: Some(api.line),
                key: format!("apis[{index}]"),
                problem,
            });
        }
    }
    Ok(())
}

/// Methods that have a throttle and are not there.
fn check_throttled_methods(config: &Config, definitions: &[Definition]) -> Result<(), ConfigError> {
    let refuse = |line, key: String, definition: &Definition| ConfigError {
        file: config.file.clone(),
        line,
        key,
        problem: format!("{} has no such method", definition.file.display()),
    };
    for (index, (definition, api)) in definitions.iter().zip(&config.apis).enumerate() {
        for it in &api.throttles.methods {
            if !definition.has_method(it.http_method, &it.path) {
                let key = format!("apis[{index}].methods.{} {}", it.http_method, it.path);
                return Err(refuse(Some(api.line), key, definition));
            }
        }
    }
    for (index, plan) in config.usage_plans.iter().enumerate() {
        for (number, stage) in plan.stages.iter().enumerate() {
            let is_it =
                |it: &&Definition| *it.api_id() == stage.api_id && it.stage_name() == stage.stage;
            let Some(definition) = definitions.iter().find(is_it) else { continue };
            for it in &stage.methods {
                if !definition.has_method(it.http_method, &it.path) {
                    let key = format!(
                        "usage_plans[{index}].api_stages[{number}].methods.{} {}",
                        it.http_method, it.path
                    );
                    return Err(refuse(None, key, definition));
                }
            }
        }
    }
    Ok(())
}

/// Plans with the keys of the configuration and of its file.
fn usage(config: &Config) -> anyhow::Result<UsageSettings> {
    let mut keys = config.api_keys.clone();
    if let Some(file) = &config.api_keys_file {
        keys.extend(api_keys::read(file)?);
    }
    let settings = UsageSettings::new(config.account, config.usage_plans.clone(), keys)
        .with_context(|| format!("{}: usage_plans", config.file.display()))?;
    Ok(settings.with_clients(config.clients))
}

/// Methods that want an API key where none is good for the stage.
fn closed(config: &Config, definitions: &[Definition], usage: &UsageSettings) -> Vec<String> {
    let mut warnings = Vec::new();
    for (index, (definition, api)) in definitions.iter().zip(&config.apis).enumerate() {
        let methods: Vec<String> = definition.methods_with_api_key().collect();
        let stage = definition.stage_name();
        if !methods.is_empty() && !usage.has_stage(definition.api_id(), stage) {
            warnings.push(format!(
                "{}: {} of stage {stage} answer 403, for no usage plan has the stage and so no API key is good for it",
                place(&config.file, api.line, &format!("apis[{index}]")),
                definitions::places(&methods),
            ));
        }
    }
    warnings
}

/// Quotas that begin again with each start.
fn forgetful(config: &Config) -> Option<String> {
    let has_quota = config.usage_plans.iter().any(|plan| plan.quota.is_some());
    (has_quota && config.data_directory.is_none()).then(|| {
        format!(
            "{}: usage_plans: without a data_directory, what is used of quotas is forgotten at the end",
            config.file.display()
        )
    })
}

fn check_upstream_ca_file(config: &Config) -> anyhow::Result<()> {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;
    let Some(file) = &config.upstream_ca_file else { return Ok(()) };
    let place = || format!("{}: upstream_ca_file: {}", config.file.display(), file.display());
    let pem = match std::fs::read(file) {
        Ok(pem) => pem,
        Err(error) => bail!("{}: cannot be read: {}", place(), definitions::reason(&error)),
    };
    let mut certificates = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        if let Err(error) = certificate {
            bail!("{}: not PEM: {error}", place());
        }
        certificates += 1;
    }
    if certificates == 0 {
        bail!("{}: holds no certificate; allowed: a PEM file with certificates", place());
    }
    Ok(())
}

fn load_certificates(config: &Config, certificates: &Certificates) -> anyhow::Result<()> {
    let files: Vec<CertificateFiles> = config
        .certificates
        .iter()
        .map(|it| CertificateFiles {
            names: it.names.clone(),
            certificate: it.certificate.clone(),
            key: it.key.clone(),
        })
        .collect();
    let Err(error) = certificates.load(&files) else { return Ok(()) };
    // The message names the file; the line is that of the entry that fails on its own as well.
    let scratch = Certificates::new();
    let culprit = files.iter().position(|file| scratch.load(std::slice::from_ref(file)).is_err());
    Err(match culprit {
        Some(index) => anyhow::Error::new(error).context(place(
            &config.file,
            config.certificates[index].line,
            &format!("certificates[{index}]"),
        )),
        None => {
            anyhow::Error::new(error).context(format!("{}: certificates", config.file.display()))
        }
    })
}

/// APIs that no listener serves.
fn unreachable(config: &Config, definitions: &[Definition]) -> Vec<String> {
    let any = |private: bool| {
        config
            .listeners
            .iter()
            .any(|listener| matches!(listener.visibility, Visibility::Private { .. }) == private)
    };
    let mut warnings = Vec::new();
    for (index, (definition, api)) in definitions.iter().zip(&config.apis).enumerate() {
        let private = definition.api.endpoint_type == EndpointType::Private;
        if !any(private) {
            let which = if private { "private" } else { "public" };
            warnings.push(format!(
                "{}: API {} is {which}, but there is no listener with visibility: {which}; nobody can reach it",
                place(&config.file, api.line, &format!("apis[{index}]")),
                definition.api_id(),
            ));
        }
    }
    warnings
}

/// The start of a line about the configuration, as in [`ConfigError`].
fn place(file: &Path, line: u64, key: &str) -> String {
    format!("{}:{line}: {key}", file.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::self_signed::self_signed;

    #[test]
    fn what_the_configuration_names_is_loaded() {
        let folder = Folder::new();
        let mut loaded = folder.load("").unwrap();
        assert_eq!(loaded.definitions.len(), 1);
        assert_eq!(loaded.definitions[0].api.name, "Pets");
        assert_eq!(loaded.warnings, Vec::<String>::new());
        assert_eq!(loaded.routes(&no_plugins()).unwrap().stages.len(), 1);
        let watched = loaded.watched_files();
        let names: Vec<_> = watched.iter().map(|file| file.file_name().unwrap()).collect();
        assert_eq!(names, ["cert.pem", "key.pem", "pets.yaml"]);
    }

    #[test]
    fn what_cannot_be_loaded_is_one_line_with_its_place() {
        let folder = Folder::new();
        let other_key = self_signed("us-east-1").unwrap().key_pem;
        folder.write("other.pem", &other_key);
        folder.write("text.txt", b"hello");
        folder.write("link.yaml", definition("Link", "http_proxy, uri: 'http://pets.internal', connectionType: VPC_LINK, connectionId: abc").as_bytes());
        for (added, expected) in [
            (
                "  - {definition: gone.yaml, stage: a}\n",
                "FOLDER/tollgate.yaml:5: apis[1].definition: FOLDER/gone.yaml: cannot be read: No such file or directory",
            ),
            (
                "  - {definition: text.txt, stage: a}\n",
                "FOLDER/tollgate.yaml:5: apis[1].definition: FOLDER/text.txt",
            ),
            (
                "  - {definition: link.yaml, stage: a}\n",
                "FOLDER/tollgate.yaml:5: apis[1].definition: FOLDER/link.yaml uses VPC link \"abc\", but vpc_links has none",
            ),
            (
                "  - {definition: link.yaml, stage: a}\nvpc_links: {other: {addresses: ['10.0.0.7:80']}}\n",
                "FOLDER/tollgate.yaml:5: apis[1].definition: FOLDER/link.yaml uses VPC link \"abc\", but vpc_links has other",
            ),
            (
                "upstream_ca_file: gone.pem\n",
                "FOLDER/tollgate.yaml: upstream_ca_file: FOLDER/gone.pem: cannot be read: No such file or directory",
            ),
            (
                "upstream_ca_file: text.txt\n",
                "FOLDER/tollgate.yaml: upstream_ca_file: FOLDER/text.txt: holds no certificate; allowed: a PEM file with certificates",
            ),
        ] {
            let line = folder.refuse(&folder.configuration(added));
            assert!(line.starts_with(expected), "{line}");
        }
        for (certificate, key) in [
            ("gone.pem", "key.pem"),
            ("cert.pem", "gone.pem"),
            ("text.txt", "key.pem"),
            ("cert.pem", "other.pem"),
        ] {
            let text =
                folder.configuration("").replace("cert.pem", certificate).replace("key.pem", key);
            let line = folder.refuse(&text);
            assert!(line.starts_with("FOLDER/tollgate.yaml:2: certificates[0]: FOLDER/"), "{line}");
        }
    }

    #[test]
    fn an_api_that_no_listener_serves_is_a_warning() {
        let folder = Folder::new();
        let text = folder.configuration("").replace(
            "tls: true",
            "tls: true, visibility: private, vpc_id: vpc-1, vpc_endpoint_id: vpce-1",
        );
        let loaded = folder.try_load(&text).unwrap();
        assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
        assert!(loaded.warnings[0].ends_with(
            "is public, but there is no listener with visibility: public; nobody can reach it"
        ));
    }

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            let made = self_signed("us-east-1").unwrap();
            folder.write("cert.pem", &made.certificate_pem);
            folder.write("key.pem", &made.key_pem);
            folder.write("pets.yaml", definition("Pets", "mock").as_bytes());
            folder
        }

        fn configuration(&self, added: &str) -> String {
            format!(
                "listeners: [{{address: '127.0.0.1:0', tls: true}}]\n\
                 certificates: [{{certificate: cert.pem, key: key.pem}}]\n\
                 apis:\n  - {{definition: pets.yaml, stage: prod, api_id: petstore01}}\n{added}"
            )
        }

        fn load(&self, added: &str) -> anyhow::Result<Loaded> {
            self.try_load(&self.configuration(added))
        }

        fn try_load(&self, text: &str) -> anyhow::Result<Loaded> {
            let config = crate::config::read(text, &self.0.path().join("tollgate.yaml"))?;
            Loaded::load(config, &Certificates::new(), &Kinds::new())
        }

        fn refuse(&self, text: &str) -> String {
            let error = self.try_load(text).expect_err(text);
            crate::one_line(&error).replace(self.0.path().to_str().unwrap(), "FOLDER")
        }

        fn write(&self, name: &str, content: &[u8]) {
            std::fs::write(self.0.path().join(name), content).unwrap();
        }
    }

    fn no_plugins() -> Plugins {
        Plugins::new(tollgate_plugin_host::PluginHost::new(Default::default()).unwrap())
    }

    fn definition(title: &str, integration: &str) -> String {
        format!(
            "openapi: 3.0.1\ninfo: {{title: {title}, version: '1'}}\npaths:\n  /x:\n    get:\n      \
             responses: {{'200': {{description: ok}}}}\n      \
             x-amazon-apigateway-integration: {{httpMethod: GET, type: {integration}}}\n"
        )
    }
}
