use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// <https://docs.aws.amazon.com/apigateway/latest/api/API_Deployment.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployment {
    pub id: String,
    pub description: Option<String>,
    pub created_date: Timestamp,
    /// Path → method → how it is protected. Only when a client asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_summary: Option<BTreeMap<String, BTreeMap<String, MethodSnapshot>>>,
}

/// <https://docs.aws.amazon.com/apigateway/latest/api/API_MethodSnapshot.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MethodSnapshot {
    pub authorization_type: String,
    pub api_key_required: bool,
}

/// <https://docs.aws.amazon.com/apigateway/latest/api/API_Stage.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    pub deployment_id: String,
    pub client_certificate_id: Option<String>,
    pub stage_name: String,
    pub description: Option<String>,
    #[serde(default)]
    pub cache_cluster_enabled: bool,
    /// GB: 0.5, 1.6, 6.1, 13.5, 28.4, 58.2, 118 or 237.
    pub cache_cluster_size: Option<String>,
    #[serde(default)]
    pub cache_cluster_status: CacheClusterStatus,
    /// By `*/*` or `pets~1{id}/GET`: the path without its first `/`, as a patch path has it.
    #[serde(default)]
    pub method_settings: BTreeMap<String, MethodSetting>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    pub documentation_version: Option<String>,
    pub access_log_settings: Option<AccessLogSettings>,
    pub canary_settings: Option<CanarySettings>,
    #[serde(default)]
    pub tracing_enabled: bool,
    pub tags: Option<BTreeMap<String, String>>,
    pub created_date: Timestamp,
    pub last_updated_date: Timestamp,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CacheClusterStatus {
    Available,
    #[default]
    NotAvailable,
}

/// <https://docs.aws.amazon.com/apigateway/latest/api/API_MethodSetting.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MethodSetting {
    pub metrics_enabled: bool,
    /// `OFF`, `ERROR` or `INFO`.
    pub logging_level: Option<String>,
    pub data_trace_enabled: bool,
    /// `None` until it is set: the account's, which is answered as AWS's default.
    /// [`Self::NO_BURST_LIMIT`]: no throttle but the account's.
    pub throttling_burst_limit: Option<i32>,
    /// Requests a second; `None` and [`Self::NO_RATE_LIMIT`] as above.
    pub throttling_rate_limit: Option<f64>,
    pub caching_enabled: bool,
    /// 0 to 3,600.
    pub cache_ttl_in_seconds: u32,
    pub cache_data_encrypted: bool,
    pub require_authorization_for_cache_control: bool,
    pub unauthorized_cache_control_header_strategy: UnauthorizedCacheControlHeaderStrategy,
}

/// What a method has before anything is set
/// (recorded: <https://docs.aws.amazon.com/apigateway/latest/api/API_MethodSetting.html>).
impl Default for MethodSetting {
    fn default() -> Self {
        Self {
            metrics_enabled: false,
            logging_level: None,
            data_trace_enabled: false,
            throttling_burst_limit: None,
            throttling_rate_limit: None,
            caching_enabled: false,
            cache_ttl_in_seconds: 300,
            cache_data_encrypted: false,
            require_authorization_for_cache_control: true,
            unauthorized_cache_control_header_strategy:
                UnauthorizedCacheControlHeaderStrategy::SucceedWithResponseHeader,
        }
    }
}

impl MethodSetting {
    /// AWS's defaults, of an account: requests at once, and requests a second
    /// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html>).
    pub const DEFAULT_BURST: i32 = 5_000;
    pub const DEFAULT_RATE: f64 = 10_000.0;

    /// AWS takes -1 for a throttle that is switched off, and answers it; Terraform sends it where
    /// its user says nothing
    /// (<https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/api_gateway_method_settings>).
    pub const NO_BURST_LIMIT: i32 = -1;
    pub const NO_RATE_LIMIT: f64 = -1.0;

    /// With what AWS answers for throttles that aren't set.
    pub fn shown(&self) -> Self {
        Self {
            throttling_burst_limit: self.throttling_burst_limit.or(Some(Self::DEFAULT_BURST)),
            throttling_rate_limit: self.throttling_rate_limit.or(Some(Self::DEFAULT_RATE)),
            ..self.clone()
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnauthorizedCacheControlHeaderStrategy {
    #[serde(rename = "FAIL_WITH_403")]
    FailWith403,
    #[serde(rename = "SUCCEED_WITH_RESPONSE_HEADER")]
    SucceedWithResponseHeader,
    #[serde(rename = "SUCCEED_WITHOUT_RESPONSE_HEADER")]
    SucceedWithoutResponseHeader,
}

/// <https://docs.aws.amazon.com/apigateway/latest/api/API_AccessLogSettings.html>
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessLogSettings {
    pub format: Option<String>,
    pub destination_arn: Option<String>,
}

/// <https://docs.aws.amazon.com/apigateway/latest/api/API_CanarySettings.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CanarySettings {
    /// 0.0 to 100.0.
    pub percent_traffic: f64,
    pub deployment_id: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stage_variable_overrides: BTreeMap<String, String>,
    #[serde(default)]
    pub use_stage_cache: bool,
}
