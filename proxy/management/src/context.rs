//! What operations work with: the store, the account, the clock, and the running gateway.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tollgate_model::api::Api;
use tollgate_model::compile::{CompiledStage, StageSettings};
use tollgate_model::control_plane::{Stage, Timestamp};
use tollgate_store::Store;

use crate::error::ApiError;
use crate::unit::{self, Turn, Unit};

/// Shared by all operations.
pub struct Context {
    pub store: Arc<dyn Store>,
    pub settings: Settings,
    pub data_plane: Arc<dyn DataPlane>,
    turn: Turn,
}

/// What is the same for everything of the account.
#[derive(Clone, Debug)]
pub struct Settings {
    pub region: String,
    pub account_id: String,
    /// `{api_id}.execute-api.{region}.{host_suffix}` is where an API is.
    pub host_suffix: String,
    /// See [`StageSettings::maximum_integration_timeout`].
    pub maximum_integration_timeout: Duration,
    /// The account's throttle, for GetAccount: requests a second, and at once.
    pub account_throttle: (f64, u32),
    /// VPC links of the configuration: name → addresses.
    pub vpc_links: BTreeMap<String, Vec<String>>,
}

/// What only the running gateway knows. The binary implements it.
pub trait DataPlane: Send + Sync {
    /// What a stage can't do beyond what compiling it says: plugins that are not there, VPC links
    /// without addresses. One line each, naming it.
    fn unserved(&self, stage: &CompiledStage) -> Vec<String>;

    /// Settings of a stage that do nothing, one line each.
    fn unserved_settings(&self, stage: &Stage) -> Vec<String>;

    /// TestInvokeMethod: carries out the method with this path and method.
    fn test_invoke(
        &self,
        api: &Api,
        settings: StageSettings,
        invocation: Invocation,
    ) -> Result<InvocationResult, ApiError>;

    /// TestInvokeAuthorizer.
    fn test_invoke_authorizer(
        &self,
        api: &Api,
        settings: StageSettings,
        authorizer: &str,
        invocation: Invocation,
    ) -> Result<AuthorizerResult, ApiError>;

    /// GetUsage.
    fn usage(&self, request: &UsageRequest) -> Result<UsageReport, ApiError>;

    /// UpdateUsage: so many requests are left of the key's quota.
    fn set_remaining(&self, plan: &str, key: &str, remaining: u64) -> Result<(), ApiError>;

    /// FlushStageAuthorizersCache.
    fn flush_authorizer_cache(&self, api_id: &str, stage: &str);
}

/// A request to try.
#[derive(Clone, Debug, Default)]
pub struct Invocation {
    /// `GET`; `ANY` methods are tried with it, too.
    pub http_method: String,
    /// The resource's path.
    pub resource_path: String,
    /// `/pets/1?a=b`; `None` is the resource's own path.
    pub path_with_query_string: Option<String>,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// TestInvokeAuthorizer.
    pub additional_context: BTreeMap<String, String>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct InvocationResult {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// The execution log.
    pub log: String,
    pub latency: Duration,
}

/// What an authorizer decided.
#[derive(Clone, Debug)]
pub struct AuthorizerResult {
    pub client_status: u16,
    pub principal_id: Option<String>,
    /// JSON text.
    pub policy: Option<String>,
    pub claims: BTreeMap<String, String>,
    pub log: String,
    pub latency: Duration,
}

/// Days are `YYYY-MM-DD`.
#[derive(Clone, Debug)]
pub struct UsageRequest {
    pub plan: String,
    pub key: Option<String>,
    pub start_date: String,
    pub end_date: String,
    pub position: Option<String>,
    pub limit: usize,
}

#[derive(Clone, Debug, Default)]
pub struct UsageReport {
    /// By key: for each day what was used and what was left then.
    pub items: BTreeMap<String, Vec<[i64; 2]>>,
    pub position: Option<String>,
}

impl Context {
    pub fn new(store: Arc<dyn Store>, settings: Settings, data_plane: Arc<dyn DataPlane>) -> Self {
        Self { store, settings, data_plane, turn: Turn::default() }
    }

    /// Reads, and writes if the operation wrote something; tries again after a conflict.
    pub(crate) fn carry_out<T>(
        &self,
        operation: impl Fn(&mut Unit) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        unit::carry_out(&*self.store, &self.turn, operation)
    }

    pub(crate) fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    }

    /// `arn:aws:apigateway:us-east-1::/restapis/a1b2c3d4e5`
    pub(crate) fn arn(&self, path: &str) -> String {
        let region = &self.settings.region;
        let partition = tollgate_model::compile::partition(region);
        format!("arn:{partition}:apigateway:{region}::{path}")
    }

    /// What a stage of an API is compiled with.
    pub fn stage_settings(
        &self,
        api_id: &str,
        stage_name: &str,
        deployment_id: &str,
        stage_variables: BTreeMap<String, String>,
    ) -> StageSettings {
        StageSettings {
            api_id: tollgate_model::api::ApiId(api_id.to_owned()),
            stage_name: stage_name.to_owned(),
            deployment_id: deployment_id.to_owned(),
            account_id: self.settings.account_id.clone(),
            region: self.settings.region.clone(),
            stage_variables,
            maximum_integration_timeout: self.settings.maximum_integration_timeout,
            ..StageSettings::default()
        }
    }
}
