//! Who may ask how often: API keys and usage plans.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// <https://docs.aws.amazon.com/apigateway/latest/api/API_ApiKey.html>
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    /// 10 characters of `[a-z0-9]`.
    pub id: String,
    /// 20 to 128 characters; left out unless a client asks for it.
    pub value: Option<String>,
    pub name: Option<String>,
    pub customer_id: Option<String>,
    pub description: Option<String>,
    pub enabled: bool,
    pub created_date: Timestamp,
    pub last_updated_date: Timestamp,
    /// `{api id}/{stage}`: AWS's older way, kept and without effect there, too.
    #[serde(default)]
    pub stage_keys: Vec<String>,
    pub tags: Option<BTreeMap<String, String>>,
}

/// <https://docs.aws.amazon.com/apigateway/latest/api/API_UsagePlan.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsagePlan {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    #[serde(default)]
    pub api_stages: Vec<ApiStage>,
    pub throttle: Option<ThrottleSettings>,
    pub quota: Option<QuotaSettings>,
    pub product_code: Option<String>,
    pub tags: Option<BTreeMap<String, String>>,
}

/// <https://docs.aws.amazon.com/apigateway/latest/api/API_ApiStage.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiStage {
    pub api_id: String,
    pub stage: String,
    /// By `/pets/{id}/GET`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub throttle: BTreeMap<String, ThrottleSettings>,
}

/// <https://docs.aws.amazon.com/apigateway/latest/api/API_ThrottleSettings.html>
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThrottleSettings {
    pub burst_limit: u32,
    /// Requests a second.
    pub rate_limit: f64,
}

/// <https://docs.aws.amazon.com/apigateway/latest/api/API_QuotaSettings.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuotaSettings {
    pub limit: u64,
    #[serde(default)]
    pub offset: u64,
    pub period: QuotaPeriod,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum QuotaPeriod {
    Day,
    Week,
    Month,
}

/// A key in a plan: <https://docs.aws.amazon.com/apigateway/latest/api/API_UsagePlanKey.html>.
/// Name and value are the key's own and are added when it is answered.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsagePlanKey {
    pub id: String,
    /// `API_KEY`.
    #[serde(rename = "type")]
    pub key_type: String,
    pub value: Option<String>,
    pub name: Option<String>,
}
