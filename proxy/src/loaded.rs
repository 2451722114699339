//! A configuration with everything it names: definitions read, certificates tried, references
//! followed. What gets this far can be served; what cannot is one line that says why.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tollgate_gateway::Routes;
use tollgate_gateway::config::Visibility;
use tollgate_gateway::tls::{CertificateFiles, Certificates};
use tollgate_model::api::EndpointType;

use crate::config::{ApiConfig, Config, ConfigError};
use crate::definitions::{self, Definition, Source};

/// A configuration that can be served.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    /// One for each entry of `apis`.
    pub definitions: Vec<Definition>,
    /// What is not served as written, one line each; the definitions' own included.
    pub warnings: Vec<String>,
}

impl Loaded {
    /// Reads and checks everything. `certificates` gets the certificates, all or none; it is
    /// the last thing that can fail, so that a refused reload changes nothing.
    pub fn load(config: Config, certificates: &Certificates) -> anyhow::Result<Self> {
        let definitions = config
            .apis
            .iter()
            .map(|api| definition(api, &config))
            .collect::<Result<Vec<_>, _>>()?;
        check_vpc_links(&config, &definitions)?;
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
        Ok(Self { config, definitions, warnings })
    }

    /// What to publish.
    pub fn routes(&self) -> anyhow::Result<Routes> {
        Ok(Routes {
            stages: self.definitions.iter().map(Definition::stage).collect::<Result<_, _>>()?,
            fallback: None,
            domains: self.config.domain_names.clone(),
            host_suffix: self.config.host_suffix.clone(),
            development_paths: false,
        })
    }

    /// The files that make it necessary to load again when they change.
    pub fn watched_files(&self) -> Vec<PathBuf> {
        let definitions = self.config.apis.iter().map(|api| &api.definition);
        let certificates =
            self.config.certificates.iter().flat_map(|it| [&it.certificate, &it.key]);
        let mut files: Vec<PathBuf> = definitions.chain(certificates).cloned().collect();
        files.sort();
        files.dedup();
        files
    }
}

fn definition(api: &ApiConfig, config: &Config) -> anyhow::Result<Definition> {
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
    };
    definitions::load(&source).with_context(|| {
        let index = config.apis.iter().position(|other| other.line == api.line).unwrap_or_default();
        place(&config.file, api.line, &format!("apis[{index}].definition"))
    })
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
