//! The custom domain names of the store.

use tollgate_gateway::{BasePathMapping, DomainName};
use tollgate_management::keys;
use tollgate_model::api::ApiId;
use tollgate_model::control_plane::BasePathMapping as Mapping;
use tollgate_store::{Depth, Snapshot};

/// How the catch-all mapping is spelled.
const NONE: &str = "(none)";

/// All of them with their base path mappings.
pub fn read(snapshot: &dyn Snapshot) -> anyhow::Result<Vec<DomainName>> {
    let domains = snapshot.list(&keys::domain_names(), Depth::Children, None, usize::MAX)?;
    let mut found = Vec::with_capacity(domains.len());
    for (key, _) in domains {
        let Some(name) = key.segments().pop() else { continue };
        let under = keys::base_path_mappings(&name);
        let mappings = snapshot.list(&under, Depth::Children, None, usize::MAX)?;
        let mappings = mappings.iter().map(|(_, record)| {
            let mapping: Mapping = serde_json::from_slice(&record.value)?;
            Ok(BasePathMapping {
                base_path: Some(mapping.base_path).filter(|path| path != NONE && !path.is_empty()),
                api_id: ApiId(mapping.rest_api_id),
                stage: mapping.stage.filter(|stage| !stage.is_empty()),
            })
        });
        let mappings = mappings.collect::<anyhow::Result<_>>()?;
        found.push(DomainName { name: name.to_ascii_lowercase(), mappings });
    }
    Ok(found)
}
