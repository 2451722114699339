//! Ids, ARNs and the places of things in the store.

/// Where entities are kept.
pub mod keys {
    use tollgate_store::Key;

    pub fn rest_apis() -> Key {
        Key::new(&["restapis"])
    }

    pub fn rest_api(id: &str) -> Key {
        Key::new(&["restapis", id])
    }

    /// The collection of an API: `resources`, `models`, `authorizers`, `requestvalidators`,
    /// `gatewayresponses`, `documentation-parts`, `documentation-versions`, `deployments`,
    /// `definitions`, `stages`.
    pub fn of_api(api_id: &str, collection: &str) -> Key {
        Key::new(&["restapis", api_id, collection])
    }

    pub fn resource(api_id: &str, id: &str) -> Key {
        Key::new(&["restapis", api_id, "resources", id])
    }

    pub fn model(api_id: &str, name: &str) -> Key {
        Key::new(&["restapis", api_id, "models", name])
    }

    pub fn authorizer(api_id: &str, id: &str) -> Key {
        Key::new(&["restapis", api_id, "authorizers", id])
    }

    pub fn request_validator(api_id: &str, id: &str) -> Key {
        Key::new(&["restapis", api_id, "requestvalidators", id])
    }

    pub fn gateway_response(api_id: &str, response_type: &str) -> Key {
        Key::new(&["restapis", api_id, "gatewayresponses", response_type])
    }

    pub fn documentation_part(api_id: &str, id: &str) -> Key {
        Key::new(&["restapis", api_id, "documentation-parts", id])
    }

    pub fn documentation_version(api_id: &str, version: &str) -> Key {
        Key::new(&["restapis", api_id, "documentation-versions", version])
    }

    pub fn deployment(api_id: &str, id: &str) -> Key {
        Key::new(&["restapis", api_id, "deployments", id])
    }

    /// What a deployment froze.
    pub fn definition(api_id: &str, deployment_id: &str) -> Key {
        Key::new(&["restapis", api_id, "definitions", deployment_id])
    }

    pub fn stage(api_id: &str, name: &str) -> Key {
        Key::new(&["restapis", api_id, "stages", name])
    }

    pub fn api_keys() -> Key {
        Key::new(&["apikeys"])
    }

    pub fn api_key(id: &str) -> Key {
        Key::new(&["apikeys", id])
    }

    /// Which key has a value, so that no two have the same: by the value's SHA-256, as hexadecimal
    /// digits.
    pub fn api_key_value(hash: &str) -> Key {
        Key::new(&["apikey-values", hash])
    }

    /// The plans; the record itself is their number.
    pub fn usage_plans() -> Key {
        Key::new(&["usageplans"])
    }

    pub fn usage_plan(id: &str) -> Key {
        Key::new(&["usageplans", id])
    }

    pub fn usage_plan_keys(plan: &str) -> Key {
        Key::new(&["usageplans", plan, "keys"])
    }

    pub fn usage_plan_key(plan: &str, key: &str) -> Key {
        Key::new(&["usageplans", plan, "keys", key])
    }

    pub fn domain_names() -> Key {
        Key::new(&["domainnames"])
    }

    pub fn domain_name(name: &str) -> Key {
        Key::new(&["domainnames", name])
    }

    pub fn base_path_mappings(domain: &str) -> Key {
        Key::new(&["domainnames", domain, "basepathmappings"])
    }

    pub fn base_path_mapping(domain: &str, base_path: &str) -> Key {
        Key::new(&["domainnames", domain, "basepathmappings", base_path])
    }

    pub fn vpc_links() -> Key {
        Key::new(&["vpclinks"])
    }

    pub fn vpc_link(id: &str) -> Key {
        Key::new(&["vpclinks", id])
    }

    pub fn client_certificates() -> Key {
        Key::new(&["clientcertificates"])
    }

    pub fn client_certificate(id: &str) -> Key {
        Key::new(&["clientcertificates", id])
    }

    pub fn account() -> Key {
        Key::new(&["account"])
    }
}

/// Characters of the id of an API or an API key.
pub(crate) const LONG_ID: usize = 10;
/// Characters of the ids of everything else.
pub(crate) const ID: usize = 6;

/// A new id: characters of `[a-z0-9]`, by chance.
pub(crate) fn new_id(length: usize) -> String {
    const DIGITS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    (0..length).map(|_| char::from(DIGITS[fastrand::usize(..DIGITS.len())])).collect()
}
