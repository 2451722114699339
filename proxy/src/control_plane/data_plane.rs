//! What the management API asks of the running gateway.

use std::sync::Arc;

use tollgate_gateway::test_invoke::{TestInvocation, TestInvocationResult};
use tollgate_gateway::usage::{ApiKeyId, ReportError, UsagePlanId, UsageQuery};
use tollgate_management::{
    ApiError, AuthorizerResult, DataPlane, ErrorKind, Invocation, InvocationResult, Settings,
    UsageReport, UsageRequest,
};
use tollgate_model::api::{Api, ApiId, HttpMethod};
use tollgate_model::compile::{CompiledStage, StageSettings, compile};
use tollgate_model::control_plane::Stage;
use tollgate_store::Store;
use tollgate_throttle::Day;

use super::serving::Serving;
use super::stages;
use crate::definitions::{plugins, vpc_links};
use crate::plugins::unfit_plugins;

/// The gateway of this process.
pub struct GatewayDataPlane {
    serving: Arc<Serving>,
    store: Arc<dyn Store>,
    settings: Settings,
}

impl GatewayDataPlane {
    pub fn new(serving: Arc<Serving>, store: Arc<dyn Store>, settings: Settings) -> Self {
        Self { serving, store, settings }
    }

    /// Waits until the gateway knows the plans and keys that were made before.
    fn catch_up(&self) -> Result<(), ApiError> {
        self.serving.wait_for(self.store.read().map_err(internal)?.revision());
        Ok(())
    }
}

impl DataPlane for GatewayDataPlane {
    fn unserved(&self, stage: &CompiledStage) -> Vec<String> {
        let kinds = self.serving.plugin_kinds();
        let mut unserved = unfit_plugins(&plugins(stage), &kinds);
        let known = &self.settings.vpc_links;
        let missing = vpc_links(stage).into_iter().filter(|link| !known.contains_key(link));
        unserved.extend(missing.map(|link| {
            format!("VPC link {link}: the configuration's vpc_links has no addresses for it")
        }));
        unserved
    }

    fn unserved_settings(&self, stage: &Stage) -> Vec<String> {
        stages::unserved(stage)
    }

    fn test_invoke(
        &self,
        api: &Api,
        settings: StageSettings,
        invocation: Invocation,
    ) -> Result<InvocationResult, ApiError> {
        let stage = compiled(api, &settings)?;
        let method = HttpMethod::from_bytes(invocation.http_method.as_bytes());
        let is_it = |index: &usize| {
            let it = &stage.methods[*index];
            stage.resources[it.resource].path == invocation.resource_path
                && Some(it.http_method) == method
        };
        let Some(method) = (0..stage.methods.len()).find(is_it) else {
            return Err(ApiError::not_found("Invalid Method identifier specified"));
        };
        let asked = invocation.path_with_query_string.as_deref();
        let path = asked.filter(|path| leads_to(&stage, method, path));
        let path = path.unwrap_or(&invocation.resource_path).to_owned();
        let result = self.run(stage, method, &path, &invocation)?;
        Ok(InvocationResult {
            status: result.status,
            headers: result.headers,
            body: String::from_utf8_lossy(&result.body).into_owned(),
            log: result.log,
            latency: result.latency,
        })
    }

    fn test_invoke_authorizer(
        &self,
        api: &Api,
        settings: StageSettings,
        authorizer: &str,
        invocation: Invocation,
    ) -> Result<AuthorizerResult, ApiError> {
        super::test_authorizer::run(self.serving.gateway(), api, settings, authorizer, &invocation)
    }

    fn usage(&self, request: &UsageRequest) -> Result<UsageReport, ApiError> {
        let plan = plan_id(&request.plan)?;
        let day = |text: &str| {
            Day::parse(text).ok_or_else(|| {
                ApiError::bad_request(format!("Invalid date '{text}'. Must be as in 2026-01-31"))
            })
        };
        let key = |text: &Option<String>| text.as_deref().map(key_id).transpose();
        let query = UsageQuery {
            plan,
            from: day(&request.start_date)?,
            to: day(&request.end_date)?,
            key: key(&request.key)?,
            position: key(&request.position)
                .map_err(|_| ApiError::bad_request("Invalid position parameter specified"))?,
            limit: request.limit,
        };
        self.catch_up()?;
        let report = self.serving.gateway().usage(query).map_err(refused)?;
        let days = |days: Vec<tollgate_gateway::usage::DayOfUse>| {
            let number = |it: u64| i64::try_from(it).unwrap_or(i64::MAX);
            // Without a quota AWS says that nothing is left.
            let day = |it: tollgate_gateway::usage::DayOfUse| {
                [number(it.used), it.remaining.map_or(0, number)]
            };
            days.into_iter().map(day).collect()
        };
        Ok(UsageReport {
            items: report.keys.into_iter().map(|(key, it)| (key.to_string(), days(it))).collect(),
            position: report.position.map(|key| key.to_string()),
        })
    }

    fn set_remaining(&self, plan: &str, key: &str, remaining: u64) -> Result<(), ApiError> {
        let (plan, key) = (plan_id(plan)?, key_id(key)?);
        self.catch_up()?;
        self.serving.gateway().grant_usage(plan, key, remaining).map(drop).map_err(refused)
    }

    fn flush_authorizer_cache(&self, api_id: &str, stage: &str) {
        self.serving.gateway().invalidate_authorizer_cache(&ApiId(api_id.to_owned()), stage);
    }
}

impl GatewayDataPlane {
    fn run(
        &self,
        stage: CompiledStage,
        method: usize,
        path: &str,
        invocation: &Invocation,
    ) -> Result<TestInvocationResult, ApiError> {
        let headers: Vec<(&str, &str)> = invocation
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let test = TestInvocation {
            path_with_query_string: path,
            headers: &headers,
            body: invocation.body.as_bytes(),
        };
        let result =
            block_on(self.serving.gateway().test_invoke(stage, method, test)).map_err(internal)?;
        result.map_err(|error| ApiError::bad_request(format!("Invalid test invocation: {error}")))
    }
}

/// Runs a future of the gateway on this thread, which is one of the management API's.
pub fn block_on<T>(future: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(future))
}

pub fn compiled(api: &Api, settings: &StageSettings) -> Result<CompiledStage, ApiError> {
    Ok(compile(api, settings)?.stage)
}

/// Whether a path is one of the method's: AWS ignores another.
fn leads_to(stage: &CompiledStage, method: usize, path: &str) -> bool {
    use tollgate_model::compile::{CanonicalPath, PathParameters};
    let path = path.split('?').next().unwrap_or_default();
    let mut buffer = String::new();
    let Ok(path) = CanonicalPath::parse(path.as_bytes(), &mut buffer) else { return false };
    let tested = stage.methods[method].http_method;
    let name = if tested == HttpMethod::Any { "GET" } else { tested.as_str() };
    let mut parameters = PathParameters::default();
    let found = stage.router.find(name.as_bytes(), path.as_str(), &mut parameters);
    found.is_some_and(|found| found.method == method)
}

fn plan_id(text: &str) -> Result<UsagePlanId, ApiError> {
    UsagePlanId::parse(text).ok_or_else(|| ApiError::not_found("Invalid Usage Plan ID specified"))
}

fn key_id(text: &str) -> Result<ApiKeyId, ApiError> {
    ApiKeyId::parse(text).ok_or_else(|| ApiError::not_found("Invalid API Key identifier specified"))
}

fn refused(error: ReportError) -> ApiError {
    match error {
        ReportError::UnknownPlan | ReportError::UnknownKey => {
            ApiError::not_found(error.to_string())
        }
        ReportError::Ledger(error) => internal(error),
        error => ApiError::bad_request(error.to_string()),
    }
}

pub fn internal(error: impl std::fmt::Display) -> ApiError {
    tracing::error!(%error, "the management API can't do what it was asked");
    ApiError::new(ErrorKind::ServiceUnavailable, "The gateway can't do this now; the log says why.")
}
