//! What the benchmark and the measurement of memory use: a stage with every level, and keys.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tollgate_model::api::{ApiId, HttpMethod};
use tollgate_model::compile::{CompiledStage, StageSettings, compile};
use tollgate_model::openapi::{ImportOptions, import};
use tollgate_throttle::{Period, Quota};

use super::limits::{Applicant, StageLimits};
use super::registry::Registry;
use super::{
    ApiKey, ApiKeyId, ApiKeyValue, ApiStage, MethodThrottle, PlanQuota, StageThrottles, Throttle,
    UsagePlan, UsagePlanId, UsageSettings,
};

/// A stage with one method and a usage plan.
pub struct Fixture {
    pub(super) stage: CompiledStage,
    pub(super) registry: Registry,
}

/// Its limits with keys.
pub struct Admission {
    limits: StageLimits,
    time: Duration,
}

impl Fixture {
    /// # Panics
    /// Never: what is declared is valid.
    pub fn new() -> Self {
        let text = "openapi: 3.0.1\ninfo: {title: t, version: '1'}\npaths:\n  /pets:\n    get: \
                    {responses: {}, x-amazon-apigateway-integration: {type: mock}}\n";
        let imported = import(text, &ImportOptions::default()).expect("a definition");
        let settings = StageSettings {
            api_id: ApiId("a1b2c3d4e5".to_owned()),
            stage_name: "prod".to_owned(),
            ..StageSettings::default()
        };
        Self {
            stage: compile(&imported.api, &settings).expect("it compiles").stage,
            registry: Registry::open(None).expect("memory"),
        }
    }

    /// The value of a key, as long as AWS makes them.
    pub fn value(number: usize) -> String {
        format!("{:040}", number as u128 * 0x9e37_79b9_7f4a_7c15)
    }

    /// Every level on, the method's own in the plan if wanted, with this throttle.
    ///
    /// # Panics
    /// Never: what is declared is valid.
    pub fn admission(&self, keys: usize, throttle: Throttle, of_method: bool) -> Admission {
        let plan = UsagePlanId::of_hash(1);
        let method =
            MethodThrottle { http_method: HttpMethod::Get, path: "/pets".to_owned(), throttle };
        let plan_of_all = UsagePlan {
            id: plan,
            name: "Gold".to_owned(),
            description: None,
            product_code: None,
            throttle: Some(throttle),
            quota: Some(PlanQuota {
                quota: Quota { limit: Quota::MAX_LIMIT, period: Period::Month },
                offset: 0,
            }),
            stages: vec![ApiStage {
                api_id: self.stage.api_id.clone(),
                stage: self.stage.stage_name.clone(),
                methods: of_method.then_some(method).into_iter().collect(),
            }],
        };
        let keys = (0..keys).map(|number| ApiKey {
            id: ApiKeyId::of_hash(number as u64),
            value: ApiKeyValue::new(&Self::value(number)).expect("40 digits"),
            enabled: true,
            plans: [plan].into_iter().collect(),
        });
        let settings = UsageSettings::new(throttle, vec![plan_of_all], keys.collect());
        let linked = self.registry.link(settings.expect("they fit")).expect("memory");
        let throttles = StageThrottles { default: Some(throttle), methods: Vec::new() };
        Admission {
            limits: self.registry.stage(&linked, &self.stage, &throttles),
            time: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        }
    }

    /// What the ledger's thread does twice a second.
    pub fn flush(&self) {
        let _ = self.registry.flush();
    }
}

impl Default for Fixture {
    fn default() -> Self {
        Self::new()
    }
}

impl Admission {
    /// Bytes of what keys are found in that are in mappings of their own, not the allocator's.
    pub fn mapped(&self) -> usize {
        self.limits.subscribers().mapped()
    }

    /// Whether a request with this key is let through.
    pub fn admit(&self, value: &[u8], now: Instant) -> bool {
        let Ok(api_key) = self.limits.find_key(value) else { return false };
        let api_key = Some(api_key);
        self.limits.admit(Applicant { method: 0, api_key, now, time: self.time }).is_ok()
    }
}
