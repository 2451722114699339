//! What an API has besides its resources.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Timestamp;
use crate::api::{AuthorizerType, GatewayResponseType};

/// <https://docs.aws.amazon.com/apigateway/latest/api/API_Model.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    /// JSON text.
    pub schema: Option<String>,
    pub content_type: String,
}

/// <https://docs.aws.amazon.com/apigateway/latest/api/API_RequestValidator.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestValidator {
    pub id: String,
    pub name: String,
    pub validate_request_body: bool,
    pub validate_request_parameters: bool,
}

/// <https://docs.aws.amazon.com/apigateway/latest/api/API_Authorizer.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Authorizer {
    pub id: String,
    pub name: String,
    #[serde(rename = "type")]
    pub authorizer_type: AuthorizerType,
    #[serde(default, rename = "providerARNs", skip_serializing_if = "Vec::is_empty")]
    pub provider_arns: Vec<String>,
    pub auth_type: Option<String>,
    pub authorizer_uri: Option<String>,
    pub authorizer_credentials: Option<String>,
    pub identity_source: Option<String>,
    pub identity_validation_expression: Option<String>,
    /// Seconds, 0 to 3,600.
    pub authorizer_result_ttl_in_seconds: Option<u32>,
    /// Of an imported JWT authorizer: `issuers` and what else its `jwtConfiguration` has.
    #[serde(default, rename = "x-tollgate-jwt-configuration")]
    pub jwt_configuration: Option<Value>,
}

/// <https://docs.aws.amazon.com/apigateway/latest/api/API_GatewayResponse.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayResponse {
    pub response_type: GatewayResponseType,
    pub status_code: Option<String>,
    #[serde(default)]
    pub response_parameters: IndexMap<String, String>,
    #[serde(default)]
    pub response_templates: IndexMap<String, String>,
    #[serde(default)]
    pub default_response: bool,
}

/// <https://docs.aws.amazon.com/apigateway/latest/api/API_DocumentationPart.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentationPart {
    pub id: String,
    pub location: DocumentationPartLocation,
    /// JSON text.
    pub properties: String,
}

/// <https://docs.aws.amazon.com/apigateway/latest/api/API_DocumentationPartLocation.html>
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentationPartLocation {
    #[serde(rename = "type")]
    pub part_type: String,
    pub path: Option<String>,
    pub method: Option<String>,
    pub status_code: Option<String>,
    pub name: Option<String>,
}

/// <https://docs.aws.amazon.com/apigateway/latest/api/API_DocumentationVersion.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentationVersion {
    pub version: String,
    pub created_date: Timestamp,
    pub description: Option<String>,
}
