//! The plugin's configuration.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::keys::Jwk;

#[derive(Deserialize)]
#[serde(try_from = "Wire")]
pub struct Settings {
    pub issuer: String,
    pub audiences: Vec<String>,
    pub source: KeySource,
    pub algorithms: Vec<Algorithm>,
    pub scopes: Vec<String>,
    pub claims: BTreeMap<String, String>,
    pub principal_claim: String,
    pub header: String,
    pub leeway_seconds: u64,
}

pub enum KeySource {
    Given(Vec<Jwk>),
    Fetched(Jwks),
}

/// Where keys are fetched, and when.
pub struct Jwks {
    pub upstream: String,
    pub path: String,
    pub cache_seconds: u64,
    pub stale_seconds: u64,
    pub refetch_seconds: u64,
    pub timeout_milliseconds: u64,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq, Debug)]
pub enum Algorithm {
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "ES256")]
    Es256,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    issuer: String,
    #[serde(default)]
    audiences: Vec<String>,
    jwks: Option<WireJwks>,
    keys: Option<Vec<Jwk>>,
    #[serde(default = "all_algorithms")]
    algorithms: Vec<Algorithm>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    claims: BTreeMap<String, String>,
    principal_claim: Option<String>,
    header: Option<String>,
    leeway_seconds: Option<u64>,
    cache_seconds: Option<u64>,
    stale_seconds: Option<u64>,
    refetch_seconds: Option<u64>,
    timeout_milliseconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireJwks {
    upstream: String,
    path: String,
}

fn all_algorithms() -> Vec<Algorithm> {
    vec![Algorithm::Rs256, Algorithm::Es256]
}

impl TryFrom<Wire> for Settings {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        let source = match (wire.jwks, wire.keys) {
            (Some(jwks), None) => KeySource::Fetched(Jwks {
                upstream: jwks.upstream,
                path: jwks.path,
                cache_seconds: wire.cache_seconds.unwrap_or(3600),
                stale_seconds: wire.stale_seconds.unwrap_or(3600),
                refetch_seconds: wire.refetch_seconds.unwrap_or(30).max(1),
                timeout_milliseconds: wire.timeout_milliseconds.unwrap_or(2000),
            }),
            (None, Some(keys)) => KeySource::Given(keys),
            _ => return Err("either jwks or keys is wanted"),
        };
        if wire.algorithms.is_empty() {
            return Err("algorithms: at least one is wanted");
        }
        Ok(Self {
            issuer: wire.issuer,
            audiences: wire.audiences,
            source,
            algorithms: wire.algorithms,
            scopes: wire.scopes,
            claims: wire.claims,
            principal_claim: wire.principal_claim.unwrap_or_else(|| "sub".to_owned()),
            header: wire.header.unwrap_or_else(|| "authorization".to_owned()),
            leeway_seconds: wire.leeway_seconds.unwrap_or(60),
        })
    }
}
