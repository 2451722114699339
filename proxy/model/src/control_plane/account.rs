//! What belongs to the account and to no API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ThrottleSettings, Timestamp};

/// <https://docs.aws.amazon.com/apigateway/latest/api/API_Account.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    pub cloudwatch_role_arn: Option<String>,
    pub throttle_settings: ThrottleSettings,
    pub features: Vec<String>,
    pub api_key_version: String,
}

/// <https://docs.aws.amazon.com/apigateway/latest/api/API_VpcLink.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VpcLink {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    pub target_arns: Vec<String>,
    pub status: VpcLinkStatus,
    pub status_message: Option<String>,
    pub tags: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum VpcLinkStatus {
    Available,
    Failed,
}

/// <https://docs.aws.amazon.com/apigateway/latest/api/API_ClientCertificate.html>
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientCertificate {
    pub client_certificate_id: String,
    pub description: Option<String>,
    pub pem_encoded_certificate: String,
    pub created_date: Timestamp,
    pub expiration_date: Timestamp,
    pub tags: Option<BTreeMap<String, String>>,
    /// PEM. Kept, never answered.
    #[serde(default, rename = "x-tollgate-private-key", skip_serializing_if = "Option::is_none")]
    pub private_key: Option<String>,
}
