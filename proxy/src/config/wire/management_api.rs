//! The configuration file's `management_api`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Flag, Located, Maybe, Text};

/// AWS's management API. What it is told is kept in data_directory.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["access_keys"]))]
pub struct ManagementApi {
    /// IP:PORT. One that other machines reach needs `tls: true`. Default 127.0.0.1:9081.
    #[serde(default)]
    #[schemars(extend("default" = "127.0.0.1:9081"))]
    pub address: Maybe<Text>,
    /// Whether clients speak TLS here, with the certificates of `certificates`. Default false.
    #[serde(default)]
    #[schemars(extend("default" = false))]
    pub tls: Maybe<Flag>,
    /// Who may use it: requests are signed with one of these (SigV4, service apigateway).
    #[serde(default)]
    pub access_keys: Vec<Located<AccessKey>>,
}

/// An access key: its id, and where its secret is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["id"]))]
pub struct AccessKey {
    /// The access key id, 16 to 128 letters, digits and underscores, such as AKIDEPLOYMENT0001.
    #[serde(default)]
    pub id: Maybe<Text>,
    /// A file that holds the secret access key, on one line.
    #[serde(default)]
    pub secret_file: Maybe<Text>,
    /// An environment variable that holds it.
    #[serde(default)]
    pub secret_env: Maybe<Text>,
}
