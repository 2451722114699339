//! Which methods use a part of an API, so that it can't be deleted.

use tollgate_model::control_plane::{Method, Resource};

use crate::error::ApiError;
use crate::names::keys;
use crate::unit::Unit;

/// What `found` says of the first method that it says something of. It is given the resource's
/// path.
pub(crate) fn of_methods<T>(
    unit: &mut Unit,
    api_id: &str,
    found: impl Fn(&str, &Method) -> Option<T>,
) -> Result<Option<T>, ApiError> {
    let resources: Vec<Resource> = unit.list(&keys::of_api(api_id, "resources"))?;
    let mut methods = resources.iter().flat_map(|resource| {
        resource.resource_methods.values().map(|method| (resource.path.as_str(), method))
    });
    Ok(methods.find_map(|(path, method)| found(path, method)))
}

/// `/pets/GET`
pub(crate) fn place(path: &str, method: &Method) -> String {
    format!("{}/{}", path.trim_end_matches('/'), method.http_method)
}
