use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{EndpointConfiguration, Timestamp};

/// <https://docs.aws.amazon.com/apigateway/latest/api/API_DomainName.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DomainName {
    pub domain_name: String,
    pub domain_name_id: Option<String>,
    pub domain_name_arn: Option<String>,
    pub certificate_name: Option<String>,
    pub certificate_arn: Option<String>,
    pub certificate_upload_date: Option<Timestamp>,
    pub regional_domain_name: Option<String>,
    pub regional_hosted_zone_id: Option<String>,
    pub regional_certificate_name: Option<String>,
    pub regional_certificate_arn: Option<String>,
    pub distribution_domain_name: Option<String>,
    pub distribution_hosted_zone_id: Option<String>,
    pub endpoint_configuration: EndpointConfiguration,
    pub domain_name_status: DomainNameStatus,
    pub domain_name_status_message: Option<String>,
    pub security_policy: String,
    pub endpoint_access_mode: Option<String>,
    pub tags: Option<BTreeMap<String, String>>,
    pub mutual_tls_authentication: Option<MutualTlsAuthentication>,
    pub ownership_verification_certificate_arn: Option<String>,
    pub management_policy: Option<String>,
    pub policy: Option<String>,
    pub routing_mode: RoutingMode,
    /// The certificate that was given whole, not by its ARN. Kept, never answered.
    #[serde(default, rename = "x-tollgate-certificate", skip_serializing_if = "Option::is_none")]
    pub certificate: Option<UploadedCertificate>,
}

/// A certificate for a domain name, and its key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UploadedCertificate {
    /// PEM: the domain name's certificate, and the intermediate ones after it.
    pub chain: String,
    /// PEM.
    pub private_key: String,
}

impl fmt::Debug for UploadedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UploadedCertificate")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DomainNameStatus {
    Available,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RoutingMode {
    #[default]
    BasePathMappingOnly,
    RoutingRuleOnly,
    RoutingRuleThenBasePathMapping,
}

/// <https://docs.aws.amazon.com/apigateway/latest/api/API_MutualTlsAuthentication.html>
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MutualTlsAuthentication {
    pub truststore_uri: Option<String>,
    pub truststore_version: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub truststore_warnings: Vec<String>,
}

/// <https://docs.aws.amazon.com/apigateway/latest/api/API_BasePathMapping.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BasePathMapping {
    /// `(none)` for the empty one.
    pub base_path: String,
    pub rest_api_id: String,
    /// `None`: the next path segment is the stage.
    pub stage: Option<String>,
}
