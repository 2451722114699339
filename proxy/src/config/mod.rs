//! The configuration file of `tollgate serve`, read in two steps: [`wire`] is what is written,
//! [`checked`] is what it means, with no invalid values left. [`values`] holds the rules for
//! single values, [`schema`] describes the file.
//!
//! Nothing here opens a socket or reads another file; what the configuration names
//! (definitions, certificates) is read by the modules that use it.

pub mod checked;
pub mod management_api;
pub mod plugins;
pub mod schema;
pub mod throttle;
pub mod usage;
pub mod values;
pub mod wire;

mod bounds;
mod outline;

use std::path::{Path, PathBuf};

pub use checked::{Config, LogConfig};

/// Most worker threads that can be asked for: far more than a machine has CPUs, few enough
/// that a typing mistake does not take the machine down.
pub const MAXIMUM_WORKERS: u64 = 1024;

/// What is wrong with the configuration: one line, starting with the place as editors read it.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: {}{problem}", file.display(), Place(*line), Key(key))]
pub struct ConfigError {
    pub file: PathBuf,
    pub line: Option<u64>,
    /// `limits.maximum_payload`; empty where the problem is the file itself.
    pub key: String,
    pub problem: String,
}

/// Reads and checks a configuration file.
pub fn load(file: &Path) -> Result<Config, ConfigError> {
    let text = std::fs::read_to_string(file).map_err(|error| ConfigError {
        file: file.to_owned(),
        line: None,
        key: String::new(),
        problem: format!("cannot be read: {}", crate::definitions::reason(&error)),
    })?;
    read(&text, file)
}

/// Checks the text of a configuration file.
pub fn read(text: &str, file: &Path) -> Result<Config, ConfigError> {
    let options = serde_saphyr::options! { with_snippet: false };
    let wire: wire::ConfigFile = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| refusal(&error, text, file))?;
    checked::check(&wire, file)
}

/// Says what does not fit the file's structure: an unknown or missing key, a list where a
/// value belongs, broken YAML.
fn refusal(error: &serde_saphyr::Error, text: &str, file: &Path) -> ConfigError {
    use serde_saphyr::Error;
    let line = error.location().map(|location| location.line()).filter(|&line| line > 0);
    let at = line.map(|line| outline::path_at(text, line)).unwrap_or_default();
    let (key, problem) = match error.without_snippet() {
        Error::SerdeUnknownField { field, expected, .. } => {
            let parent = match at.rsplit_once('.') {
                // The path ends in the unknown key itself, unless it stands in braces.
                Some((parent, last)) if last == field => parent,
                None if at == *field => "",
                _ => &at,
            };
            (join(parent, field), format!("unknown key; allowed: {}", expected.join(", ")))
        }
        Error::SerdeMissingField { field, .. } => (field.to_string(), "is missing".to_owned()),
        Error::DuplicateMappingKey { .. } => (at, "stands here a second time".to_owned()),
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            (at, format!("{variant:?} is not allowed; allowed: {}", expected.join(", ")))
        }
        Error::NullIntoString { .. } => {
            (at, "has no value; give it one or leave the key out".to_owned())
        }
        Error::SerdeInvalidType { unexpected, expected, .. } => {
            (at, format!("{unexpected} cannot stand here; allowed: {expected}"))
        }
        Error::Unexpected { expected, .. } => {
            (at, format!("something else stands here; allowed: {expected}"))
        }
        other => {
            let message = other.to_string();
            let first = message.lines().next().unwrap_or_default();
            (String::new(), format!("not valid YAML: {first}"))
        }
    };
    ConfigError { file: file.to_owned(), line, key, problem }
}

fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
}

struct Place(Option<u64>);

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

struct Key<'a>(&'a str);

impl std::fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "{}: ", self.0) }
    }
}

#[cfg(test)]
mod tests;
