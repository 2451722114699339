use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Timestamp;
use crate::api::{ApiKeySource, EndpointType};

/// <https://docs.aws.amazon.com/apigateway/latest/api/API_RestApi.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestApi {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    pub created_date: Timestamp,
    pub version: Option<String>,
    /// Of the import that is being answered; never kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub binary_media_types: Vec<String>,
    /// Bytes, 0 to 10,485,760.
    pub minimum_compression_size: Option<u32>,
    pub api_key_source: ApiKeySource,
    pub endpoint_configuration: EndpointConfiguration,
    /// JSON text.
    pub policy: Option<String>,
    pub tags: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub disable_execute_api_endpoint: bool,
    pub root_resource_id: String,
    pub security_policy: Option<String>,
    pub endpoint_access_mode: Option<String>,
    /// `x-tollgate-transformers` of an imported definition.
    #[serde(default, rename = "x-tollgate-transformers", skip_serializing_if = "Vec::is_empty")]
    pub transformers: Vec<String>,
}

/// <https://docs.aws.amazon.com/apigateway/latest/api/API_EndpointConfiguration.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointConfiguration {
    /// One of them.
    pub types: Vec<EndpointType>,
    /// `ipv4` or `dualstack`.
    pub ip_address_type: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vpc_endpoint_ids: Vec<String>,
}
