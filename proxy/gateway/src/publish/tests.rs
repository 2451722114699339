//! Stages that come, change and go.

use std::sync::Weak;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tollgate_model::compile::{StageSettings, compile};
use tollgate_model::openapi::{ImportOptions, import};

use super::*;
use crate::access_log::ContextVariable;
use crate::exchange::{Exchange, ExchangeView};
use crate::phases::authorize::test_support::{exchange, head, stage as any_stage};
use crate::phases::locate::locate;
use crate::usage::{
    ApiKey, ApiKeyId, ApiKeyValue, ApiStage, Applicant, BadKey, Throttle, UsagePlan, UsagePlanId,
};

const KEY: &[u8] = b"annas-key-0000000000";

/// A stage with one method whose backend is its API's own.
fn compiled(api_id: &str, stage: &str, deployment: &str) -> CompiledStage {
    let text = format!(
        "openapi: 3.0.1\ninfo: {{title: {api_id}, version: '1'}}\npaths:\n  /pets:\n    get: \
         {{responses: {{}}, x-amazon-apigateway-integration: {{type: http_proxy, httpMethod: GET, \
         uri: 'http://{api_id}.example.com/'}}}}\n"
    );
    let imported = import(&text, &ImportOptions::default()).expect("a definition");
    let settings = StageSettings {
        api_id: ApiId(api_id.to_owned()),
        stage_name: stage.to_owned(),
        deployment_id: deployment.to_owned(),
        ..StageSettings::default()
    };
    compile(&imported.api, &settings).expect("compiles").stage
}

/// Of so many requests, and no more while a test runs.
fn throttled(compiled: CompiledStage, requests: u32) -> RouteStage {
    let default = Some(Throttle::new(0.001, requests).unwrap());
    let throttles = StageThrottles { default, methods: Vec::new() };
    RouteStage { throttles, ..RouteStage::new(compiled) }
}

fn with_canary(percent: f64) -> RouteStage {
    let percent_traffic = PercentTraffic::new(percent).unwrap();
    let canary = Canary { percent_traffic, compiled: compiled("a", "prod", "canary") };
    RouteStage { canary: Some(canary), ..throttled(compiled("a", "prod", "base"), 3) }
}

fn publisher() -> Publisher {
    Publisher::new(Core::idle()).expect("a thread and memory")
}

fn stages(stages: Vec<RouteStage>) -> Update {
    Update { stages, ..Update::default() }
}

/// Anna's key, good for one stage of API `a`.
fn usage(stage: &str) -> UsageSettings {
    let plan = UsagePlanId::of_hash(1);
    let on_stage =
        ApiStage { api_id: ApiId("a".to_owned()), stage: stage.to_owned(), methods: Vec::new() };
    let plans = vec![UsagePlan {
        id: plan,
        name: String::new(),
        description: None,
        product_code: None,
        throttle: None,
        quota: None,
        stages: vec![on_stage],
    }];
    let key = ApiKey {
        id: ApiKeyId::of_hash(1),
        value: ApiKeyValue::new(std::str::from_utf8(KEY).unwrap()).unwrap(),
        enabled: true,
        plans: [plan].into_iter().collect(),
    };
    UsageSettings::new(Throttle::of_account(), plans, vec![key]).unwrap()
}

/// Leads `api.example.com` to the API and stage.
fn domain(api_id: &str, stage: &str) -> Addresses {
    let mapping = BasePathMapping {
        base_path: None,
        api_id: ApiId(api_id.to_owned()),
        stage: Some(stage.to_owned()),
    };
    let domain = DomainName { name: "api.example.com".to_owned(), mappings: vec![mapping] };
    Addresses { domains: vec![domain], host_suffix: "localhost".into(), ..Addresses::default() }
}

/// What a request to `api.example.com` starts with.
fn located(publisher: &Publisher) -> Option<Exchange> {
    let head = head("GET", "/pets", &[]);
    let stage = any_stage("", "type: token, authorizerUri: a", &BTreeMap::new());
    let mut exchange = exchange(&head, &stage);
    exchange.begin();
    let core = &publisher.core;
    locate(&core.snapshot.load(), &core.limits, &head, &mut exchange).ok()?;
    Some(exchange)
}

fn runtime(publisher: &Publisher) -> Option<Arc<StageRuntime>> {
    located(publisher)?.stage
}

fn context(exchange: &Exchange, name: &str) -> Option<String> {
    let head = head("GET", "/pets", &[]);
    let view =
        ExchangeView { exchange, head: &head, path_parameters: &Default::default(), body: &[] };
    view.context_text(name).map(|text| text.into_owned())
}

/// Waits for what another thread does soon.
fn eventually(mut is_done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_done() {
        assert!(Instant::now() < deadline, "it didn't happen within 30 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_update_changes_the_stages_it_names_and_shares_the_others() {
    let mut publisher = publisher();
    let both = vec![
        RouteStage::new(compiled("a", "prod", "1")),
        RouteStage::new(compiled("b", "prod", "1")),
    ];
    publisher.update(Update { addresses: Some(domain("a", "prod")), ..stages(both) }).unwrap();
    let before = runtime(&publisher).unwrap();
    publisher.update(stages(vec![RouteStage::new(compiled("b", "prod", "2"))])).unwrap();
    assert!(Arc::ptr_eq(&before, &runtime(&publisher).unwrap()));
    publisher.update(stages(vec![RouteStage::new(compiled("a", "prod", "2"))])).unwrap();
    assert_eq!(runtime(&publisher).unwrap().compiled.deployment_id, "2");
    assert_eq!(before.compiled.deployment_id, "1");
}

#[test]
fn other_keys_reach_stages_without_compiling_them_again() {
    let mut publisher = publisher();
    let routes = Update { addresses: Some(domain("a", "prod")), ..stages(vec![with_canary(0.0)]) };
    publisher.update(Update { usage: Some(usage("other")), ..routes }).unwrap();
    let before = runtime(&publisher).unwrap();
    assert_eq!(before.limits.find_key(KEY), Err(BadKey::OfOtherStages));
    publisher.update(Update { usage: Some(usage("prod")), ..Update::default() }).unwrap();
    let after = runtime(&publisher).unwrap();
    assert!(after.limits.find_key(KEY).is_ok());
    assert!(Arc::ptr_eq(&before.compiled, &after.compiled));
    assert!(Arc::ptr_eq(&before.authorizers, &after.authorizers));
    let canary = after.canary().expect("it stays");
    assert!(canary.limits.find_key(KEY).is_ok());
    assert!(Arc::ptr_eq(&before.canary().unwrap().compiled, &canary.compiled));
}

#[test]
fn what_is_published_whole_is_all_that_is_served() {
    let mut publisher = publisher();
    let routes = |api_id: &str| Routes {
        stages: vec![RouteStage::new(compiled(api_id, "prod", "1"))],
        addresses: domain("a", "prod"),
        ..Routes::default()
    };
    publisher.publish(routes("a")).unwrap();
    assert!(runtime(&publisher).is_some());
    publisher.publish(routes("b")).unwrap();
    assert!(runtime(&publisher).is_none());
    publisher.update(stages(vec![RouteStage::new(compiled("a", "prod", "1"))])).unwrap();
    assert!(runtime(&publisher).is_some());
}

#[test]
fn an_update_that_is_refused_changes_nothing() {
    let mut publisher = publisher();
    let stage = || RouteStage::new(compiled("a", "prod", "1"));
    let routes = Update { addresses: Some(domain("a", "prod")), ..stages(vec![stage()]) };
    publisher.update(routes).unwrap();
    let before = runtime(&publisher).unwrap();
    let mut twice = domain("a", "prod");
    twice.domains.extend(domain("a", "dev").domains);
    let refused = [
        (stages(vec![stage(), stage()]), "API a, stage prod is configured twice"),
        (
            Update { addresses: Some(twice), ..stages(vec![stage()]) },
            "domain api.example.com is configured twice",
        ),
    ];
    for (update, expected) in refused {
        assert_eq!(publisher.update(update).unwrap_err().to_string(), expected);
        assert!(Arc::ptr_eq(&before, &runtime(&publisher).unwrap()));
    }
}

#[test]
fn a_canary_gets_its_share_and_says_so() {
    let mut publisher = publisher();
    let update = |percent| Update {
        addresses: Some(domain("a", "prod")),
        ..stages(vec![with_canary(percent)])
    };
    let of_canary = |publisher: &Publisher| {
        let requests = (0..200).map(|_| located(publisher).unwrap());
        let deployments = requests.map(|exchange| {
            let deployment = context(&exchange, "deploymentId").unwrap();
            let expected = (deployment == "canary").to_string();
            assert_eq!(context(&exchange, "isCanaryRequest"), Some(expected));
            deployment
        });
        deployments.filter(|deployment| deployment == "canary").count()
    };
    publisher.update(update(0.0)).unwrap();
    assert_eq!(of_canary(&publisher), 0);
    publisher.update(update(100.0)).unwrap();
    assert_eq!(of_canary(&publisher), 200);
    publisher.update(update(50.0)).unwrap();
    // Seven standard deviations.
    assert!((50..=150).contains(&of_canary(&publisher)));
    publisher.update(stages(vec![RouteStage::new(compiled("a", "prod", "1"))])).unwrap();
    let exchange = located(&publisher).unwrap();
    assert_eq!(context(&exchange, "isCanaryRequest"), None);
    let mut log = Vec::new();
    let head = head("GET", "/pets", &[]);
    assert!(!exchange.write_context(&head, &ContextVariable::IsCanaryRequest, &mut log));
}

#[test]
fn a_canary_takes_from_the_buckets_of_its_stage_and_is_counted_apart() {
    let mut publisher = publisher();
    publisher
        .update(Update { addresses: Some(domain("a", "prod")), ..stages(vec![with_canary(0.0)]) })
        .unwrap();
    let base = runtime(&publisher).unwrap();
    let canary = base.canary().unwrap();
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let admit = |stage: &StageRuntime| {
        let applicant = Applicant { method: 0, api_key: None, now: Instant::now(), time };
        stage.limits.admit(applicant).is_ok()
    };
    assert!(admit(&base) && admit(canary) && admit(canary));
    assert!(!admit(&base) && !admit(canary));
    base.metrics.record(200, Duration::ZERO, None);
    canary.metrics.record(200, Duration::ZERO, None);
    let text = publisher.core.metrics.encode();
    for stage in ["prod", "prod/Canary"] {
        let line = format!("tollgate_requests_total{{api=\"a\",stage=\"{stage}\"}} 1\n");
        assert!(text.contains(&line), "{text}");
    }
}

#[test]
fn what_is_replaced_is_freed_by_a_thread_that_gives_way() {
    let _publisher = publisher();
    let gives_way = |task: std::fs::DirEntry| {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let id: libc::id_t = task.file_name().to_str().unwrap().parse().unwrap();
        // SAFETY: the call takes numbers only.
        let niceness = unsafe { libc::getpriority(libc::PRIO_PROCESS, id) };
        name.trim_end() == "retired" && niceness == tollgate_priority::NICENESS
    };
    eventually(|| std::fs::read_dir("/proc/self/task").unwrap().flatten().any(gives_way));
}

#[test]
fn who_still_holds_what_was_replaced_does_not_have_to_free_it() {
    let mut publisher = publisher();
    let routes =
        || Update { addresses: Some(domain("a", "prod")), ..stages(vec![with_canary(50.0)]) };
    publisher.update(routes()).unwrap();
    // Both releases, as requests under way hold them.
    let base = loop {
        let stage = runtime(&publisher).unwrap();
        if stage.is_canary_request() == Some(false) {
            break stage;
        }
    };
    let canary = base.canary().unwrap().clone();
    publisher.update(routes()).unwrap();
    publisher.update(Update { usage: Some(usage("prod")), ..Update::default() }).unwrap();
    // This test, and the thread that frees; the canary's base holds it too.
    eventually(|| Arc::strong_count(&base) == 2);
    std::thread::sleep(2 * retired::INTERVAL);
    assert_eq!((Arc::strong_count(&base), Arc::strong_count(&canary)), (2, 3));
    let weak = [Arc::downgrade(&base), Arc::downgrade(&canary)];
    drop((base, canary));
    eventually(|| weak.iter().all(|weak| weak.strong_count() == 0));
}

#[test]
fn a_thousand_stages_that_come_and_go_leave_nothing_behind() {
    let mut publisher = publisher();
    let core = publisher.core.clone();
    let ids: Vec<String> = (0..1_000).map(|n| format!("api{n:07}")).collect();
    let removed = || ids.iter().map(|id| (ApiId(id.clone()), "prod".to_owned())).collect();
    let kept = || {
        let handles = core.metrics.stages();
        (handles, core.upstreams.count(), core.usage.throttled_stages())
    };
    for _ in 0..3 {
        let made = ids.iter().map(|id| throttled(compiled(id, "prod", "1"), 9)).collect();
        publisher.update(stages(made)).unwrap();
        assert_eq!(kept(), (1_000, 1_000, 1_000));
        let runtimes: Vec<Weak<StageRuntime>> =
            publisher.served.values().map(|it| Arc::downgrade(&it.runtime)).collect();
        // Each stage changes once, on its own.
        for id in ids.iter().take(50) {
            publisher.update(stages(vec![throttled(compiled(id, "prod", "2"), 8)])).unwrap();
        }
        publisher.update(Update { removed: removed(), ..Update::default() }).unwrap();
        eventually(|| runtimes.iter().all(|it| it.strong_count() == 0));
        eventually(|| kept() == (0, 0, 0));
    }
}
