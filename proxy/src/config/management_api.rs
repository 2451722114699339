//! What the configuration file says about the management API, checked.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};
use tollgate_auth::sigv4::SecretKey;

use super::checked::Checker;
use super::wire::management_api as wire;
use super::wire::{Located, Scalar};
use super::{ConfigError, values};

/// Bytes of a secret access key, at most.
const LONGEST_SECRET: usize = 4096;

/// The listener of the management API, and who may use it.
#[derive(Clone, Debug)]
pub struct ManagementApiConfig {
    pub address: SocketAddr,
    pub tls: bool,
    /// By access key id, at least one.
    pub access_keys: Vec<(String, SecretSource)>,
}

/// Where a secret access key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    File(PathBuf),
    Environment(String),
}

impl SecretSource {
    /// Reads the secret, which is in no error.
    pub fn read(&self) -> anyhow::Result<SecretKey> {
        let text = match self {
            Self::File(path) => std::fs::read_to_string(path)
                .map_err(|error| anyhow::Error::msg(crate::definitions::reason(&error)))
                .with_context(|| format!("{self}: cannot be read"))?,
            Self::Environment(name) => {
                std::env::var(name).with_context(|| format!("{self}: cannot be read"))?
            }
        };
        let secret = text.trim();
        if secret.is_empty() || secret.len() > LONGEST_SECRET || secret.contains(['\n', '\r']) {
            bail!("{self}: holds no secret access key; allowed: one line of text");
        }
        Ok(SecretKey::new(secret))
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// Checks `management_api`.
pub fn management_api(
    wire: Option<&Located<wire::ManagementApi>>,
    has_certificates: bool,
    has_data_directory: bool,
    at: &Checker<'_>,
) -> Result<Option<ManagementApiConfig>, ConfigError> {
    let Some(wire) = wire else { return Ok(None) };
    let refuse = |key: &str, problem: &str| {
        Err(at.refuse(Some(wire.line()), &format!("management_api{key}"), problem.to_owned()))
    };
    let address = at
        .optional(&wire.address, "management_api.address", values::listen_address)?
        .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9081)));
    let tls = at.optional(&wire.tls, "management_api.tls", values::boolean)?.unwrap_or(false);
    if tls && !has_certificates {
        return refuse(".tls", "true, but there are no certificates; add one under certificates");
    }
    if !tls && !address.ip().is_loopback() {
        let problem = "is missing; allowed without tls: true is an address of this machine only, such as 127.0.0.1:9081";
        return refuse(".tls", problem);
    }
    if wire.access_keys.is_empty() {
        return refuse(".access_keys", "has no entry; allowed: at least one access key");
    }
    if !has_data_directory {
        return refuse("", "needs a data_directory, where it keeps what it is told");
    }
    Ok(Some(ManagementApiConfig { address, tls, access_keys: access_keys(wire, at)? }))
}

fn access_keys(
    wire: &wire::ManagementApi,
    at: &Checker<'_>,
) -> Result<Vec<(String, SecretSource)>, ConfigError> {
    let mut seen = BTreeSet::new();
    let mut keys = Vec::with_capacity(wire.access_keys.len());
    for (index, key) in wire.access_keys.iter().enumerate() {
        let name = |name: &str| format!("management_api.access_keys[{index}]{name}");
        let text = at.present(&key.id, key.line(), &name(".id"))?;
        let id = at.required(text, &name(".id"), access_key_id)?;
        if !seen.insert(id.clone()) {
            let problem = format!("{id} is the id of another access key already");
            return Err(at.refuse(Some(text.line()), &name(".id"), problem));
        }
        let source = match (key.secret_file.given(), key.secret_env.given()) {
            (Some(file), None) => SecretSource::File(at.path(file, &name(".secret_file"))?),
            (None, Some(variable)) => SecretSource::Environment(variable.text().to_owned()),
            _ => {
                let problem = "needs one of secret_file and secret_env".to_owned();
                return Err(at.refuse(Some(key.line()), &name(""), problem));
            }
        };
        keys.push((id, source));
    }
    Ok(keys)
}

/// AWS: 16 to 128 characters of `\w`.
fn access_key_id(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if (16..=128).contains(&text.len()) && text.bytes().all(allowed) {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is no access key id; allowed: 16 to 128 letters, digits and underscores"))
}
