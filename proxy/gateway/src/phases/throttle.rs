//! How often a method may be called (throttling §1): by the owner of an API key, by everybody, and
//! all methods of the account together. [`StageLimits`] has the levels and their order.
//!
//! [`StageLimits`]: crate::usage::StageLimits

use std::time::Instant;

use tollgate_model::compile::CompiledStage;

use crate::exchange::Exchange;
use crate::head::RequestHead;
use crate::metrics::ThrottleLevel;
use crate::refusal::Refusal;
use crate::usage::{Applicant, Throttled};

/// Lets a client ask at all. Before the request is routed: a flood must cost little, and it
/// mustn't matter what it asks for.
pub fn check_client(head: &RequestHead, exchange: &Exchange) -> Result<(), Refusal> {
    let (Some(stage), Some((peer, _))) = (&exchange.stage, exchange.client.addresses) else {
        return Ok(());
    };
    let address = match &exchange.client.forwarding {
        None => peer.ip(),
        Some(forwarding) => {
            // What a trusted proxy asks for itself is not limited.
            let Some(address) = forwarding.client(head) else { return Ok(()) };
            if let Some(left) = forwarding.penalty(address) {
                return Err(Refusal::Throttled(Throttled {
                    level: ThrottleLevel::PenaltyBox,
                    retry_after: Some(left.as_secs() + 1),
                    throttle: None,
                }));
            }
            address
        }
    };
    let admitted = stage.limits.admit_client(address, exchange.started);
    admitted.map_err(Refusal::Throttled)
}

/// Lets a request through that has just begun.
pub fn check(exchange: &mut Exchange) -> Result<(), Refusal> {
    admit(exchange, exchange.started)
}

/// The same for one that has waited since: a moment that is long over would find buckets emptier
/// than they are.
pub fn check_late(exchange: &mut Exchange) -> Result<(), Refusal> {
    admit(exchange, Instant::now())
}

fn admit(exchange: &mut Exchange, now: Instant) -> Result<(), Refusal> {
    let (Some(stage), Some(route)) = (&exchange.stage, exchange.route) else { return Ok(()) };
    let applicant = Applicant {
        method: route.method,
        api_key: exchange.api_key,
        now,
        time: exchange.started_at,
    };
    let Err(throttled) = stage.limits.admit(applicant) else { return Ok(()) };
    if exchange.execution_log.is_some() {
        let line = log_line(&stage.compiled, route.method, throttled);
        exchange.log(|| line);
    }
    Err(Refusal::Throttled(throttled))
}

/// AWS's line (observability §2.2).
fn log_line(stage: &CompiledStage, method: usize, throttled: Throttled) -> String {
    let method = &stage.methods[method];
    let place = format!(
        "RestApi {}, Stage {}, Resource {}, HttpMethod {}",
        stage.api_id, stage.stage_name, stage.resources[method.resource].id, method.http_method
    );
    match throttled.throttle {
        Some(throttle) => format!(
            "Key throttle limit exceeded for {place}. Limit: {} Burst: {}",
            throttle.per_second(),
            throttle.burst()
        ),
        None => format!("Key quota limit exceeded for {place}."),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use tollgate_throttle::{Period, Quota};

    use super::*;
    use crate::execution_log::ExecutionLog;
    use crate::phases::api_key;
    use crate::phases::authorize::test_support::{exchange, head, stage_with};
    use crate::snapshot::StageRuntime;
    use crate::usage::{
        ApiKey, ApiKeyId, ApiKeyValue, ApiStage, PlanQuota, Registry, StageThrottles, Throttle,
        UsagePlan, UsagePlanId, UsageSettings,
    };

    const KEY: &str = "annas-key-0000000000";

    /// A stage whose methods want an API key or don't. Anna's is in a plan with a quota.
    fn stage(wants_key: bool, limit: u64, of_stage: Option<Throttle>) -> Arc<StageRuntime> {
        let plan = UsagePlanId::of_hash(1);
        let quota = Quota { limit, period: Period::Day };
        let settings = UsageSettings::new(
            Throttle::of_account(),
            vec![UsagePlan {
                id: plan,
                name: String::new(),
                description: None,
                product_code: None,
                throttle: None,
                quota: Some(PlanQuota { quota, offset: 0 }),
                stages: vec![ApiStage {
                    api_id: tollgate_model::api::ApiId("a1b2c3d4e5".into()),
                    stage: "prod".into(),
                    methods: Vec::new(),
                }],
            }],
            vec![ApiKey {
                id: ApiKeyId::of_hash(1),
                value: ApiKeyValue::new(KEY).unwrap(),
                enabled: true,
                plans: [plan].into_iter().collect(),
            }],
        );
        let mut stage = stage_with("", "{}", "type: token, authorizerUri: a", &BTreeMap::new());
        let runtime = Arc::get_mut(&mut stage).expect("nobody else has it");
        let compiled = Arc::get_mut(&mut runtime.compiled).expect("nobody else has it");
        compiled.api_key_source = tollgate_model::api::ApiKeySource::Header;
        compiled.methods[0].api_key_required = wants_key;
        let registry = Registry::open(None).unwrap();
        let linked = registry.link(settings.unwrap()).unwrap();
        let throttles = StageThrottles { default: of_stage, methods: Vec::new() };
        runtime.limits = registry.stage(&linked, &runtime.compiled, &throttles);
        stage
    }

    /// What the execution log says of a request.
    fn log(head: &RequestHead, stage: &Arc<StageRuntime>) -> Vec<String> {
        let mut exchange = exchange(head, stage);
        exchange.execution_log = Some(Box::<ExecutionLog>::default());
        let _ = api_key::check(head, &mut exchange).and_then(|()| check(&mut exchange));
        let id = exchange.ids.request_id().to_owned();
        let text = exchange.execution_log.take().unwrap().to_text(&id);
        let lines = text.lines().skip(1).map(|line| line.split_once(" : ").unwrap().1);
        lines.map(|line| line.replace(&id, "ID")).collect()
    }

    #[test]
    fn the_execution_log_has_awss_lines_and_no_whole_key() {
        let head = head("GET", "/pets/1", &[("X-Api-Key", KEY)]);
        let verifying = "Verifying Usage Plan for request: ID. API Key: **************000000 \
                         API Stage: a1b2c3d4e5/prod";
        let succeeded = "Usage Plan check succeeded for API Key **************000000 and API \
                         Stage a1b2c3d4e5/prod";
        assert_eq!(log(&head, &stage(true, 5, None)), [verifying, succeeded]);
        let not_required = "API Key **************000000 authorized because method 'GET /pets/1' \
                            does not require API Key. Request will not contribute to throttle or \
                            quota limits";
        assert_eq!(log(&head, &stage(false, 5, None)), [verifying, not_required]);
        let exceeded = &log(&head, &stage(true, 0, None))[2];
        let of = "exceeded for RestApi a1b2c3d4e5, Stage prod, Resource ";
        assert!(exceeded.starts_with(&format!("Key quota limit {of}")), "{exceeded}");
        let throttle = Throttle::new(0.5, 0).unwrap();
        let exceeded = &log(&head, &stage(true, 5, Some(throttle)))[2];
        assert!(
            exceeded.starts_with(&format!("Key throttle limit {of}"))
                && exceeded.ends_with(", HttpMethod ANY. Limit: 0.5 Burst: 0"),
            "{exceeded}"
        );
    }

    #[test]
    fn who_has_waited_for_an_authorizer_finds_the_bucket_of_now() {
        let head = head("GET", "/pets/1", &[]);
        let stage = stage(false, 5, Some(Throttle::new(1_000.0, 1).unwrap()));
        std::thread::sleep(Duration::from_millis(20));
        assert!(check(&mut exchange(&head, &stage)).is_ok());
        let mut waited = exchange(&head, &stage);
        waited.started -= Duration::from_millis(20);
        std::thread::sleep(Duration::from_millis(5));
        // At the moment it began there would be nothing for a long time.
        assert!(check(&mut waited).is_err());
        assert!(check_late(&mut waited).is_ok());
    }
}
