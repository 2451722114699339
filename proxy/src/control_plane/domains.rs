//! The custom domain names of the store, and the certificates that came with them.

use anyhow::Context;
use serde::de::DeserializeOwned;
use tollgate_gateway::tls::CertificatePem;
use tollgate_gateway::{BasePathMapping, DomainName};
use tollgate_management::keys;
use tollgate_model::api::ApiId;
use tollgate_model::control_plane as stored;
use tollgate_store::{Depth, Key, Record, Snapshot};

/// How the catch-all mapping is spelled.
const NONE: &str = "(none)";

/// What the gateway serves of them.
#[derive(Default)]
pub struct StoreDomains {
    /// With their base path mappings.
    pub names: Vec<DomainName>,
    /// Of those that have one of their own.
    pub certificates: Vec<CertificatePem>,
}

/// All of them.
pub fn read(snapshot: &dyn Snapshot) -> anyhow::Result<StoreDomains> {
    let mut found = StoreDomains::default();
    let records = snapshot.list(&keys::domain_names(), Depth::Children, None, usize::MAX)?;
    for (key, record) in records {
        let domain: stored::DomainName = entity(&key, &record)?;
        let under = keys::base_path_mappings(&domain.domain_name);
        let mappings = snapshot.list(&under, Depth::Children, None, usize::MAX)?;
        let mappings = mappings.iter().map(|(key, record)| Ok(mapping(entity(key, record)?)));
        let mappings = mappings.collect::<anyhow::Result<_>>()?;
        let name = domain.domain_name.to_ascii_lowercase();
        found.certificates.extend(domain.certificate.map(|certificate| CertificatePem {
            names: vec![name.clone()],
            certificate: certificate.chain.into_bytes(),
            key: certificate.private_key.into_bytes(),
        }));
        found.names.push(DomainName { name, mappings });
    }
    Ok(found)
}

fn mapping(mapping: stored::BasePathMapping) -> BasePathMapping {
    BasePathMapping {
        base_path: Some(mapping.base_path).filter(|path| path != NONE && !path.is_empty()),
        api_id: ApiId(mapping.rest_api_id),
        stage: mapping.stage.filter(|stage| !stage.is_empty()),
    }
}

fn entity<T: DeserializeOwned>(key: &Key, record: &Record) -> anyhow::Result<T> {
    serde_json::from_slice(&record.value).with_context(|| format!("the record {key}"))
}
