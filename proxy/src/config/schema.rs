//! The JSON Schema of the configuration file, made from [`super::wire`].

use super::wire::ConfigFile;

/// The schema as indented JSON.
pub fn json_schema() -> String {
    let schema = schemars::schema_for!(ConfigFile);
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is JSON");
    text.push('\n');
    text
}
