//! How long a change of one stage takes beside 1,000 APIs of 20 methods and 100,000 API keys:
//! `cargo run --release -p tollgate-gateway --example update_stage`.

use std::time::{Duration, Instant};

use tollgate_gateway::config::GatewayConfig;
use tollgate_gateway::usage::{
    ApiKey, ApiKeyId, ApiKeyValue, ApiStage, StageThrottles, Throttle, UsagePlan, UsagePlanId,
    UsageSettings,
};
use tollgate_gateway::{Addresses, Gateway, RouteStage, Routes, Update};
use tollgate_model::api::ApiId;
use tollgate_model::compile::{StageSettings, compile};
use tollgate_model::openapi::{ImportOptions, import};

const APIS: usize = 1_000;
const METHODS: usize = 20;
const KEYS: u64 = 100_000;
const CHANGES: usize = 1_000;

fn main() -> anyhow::Result<()> {
    let gateway = Gateway::bind(GatewayConfig::default())?;
    let stages = (0..APIS).map(|api| stage(api, METHODS)).collect::<anyhow::Result<_>>()?;
    let addresses = Addresses { host_suffix: "localhost".to_owned(), ..Addresses::default() };
    let usage = usage(KEYS)?;
    let begun = Instant::now();
    gateway.publish(Routes { stages, addresses, usage, ..Routes::default() })?;
    println!("all of it: {:.1} ms", milliseconds(begun.elapsed()));

    for methods in [METHODS, 10_000] {
        let mut took = Vec::with_capacity(CHANGES);
        // Reading and compiling a large one takes longer than the change.
        for change in 0..(CHANGES * METHODS / methods).max(10) {
            let stages = vec![stage(change % APIS, methods)?];
            let begun = Instant::now();
            gateway.update(Update { stages, ..Update::default() })?;
            took.push(begun.elapsed());
        }
        took.sort_unstable();
        let at = |percent: usize| milliseconds(took[(took.len() - 1) * percent / 100]);
        println!(
            "one stage of {methods} methods, without compiling it: median {:.2} ms, p99 {:.2} ms, \
             most {:.2} ms",
            at(50),
            at(99),
            at(100)
        );
    }
    let begun = Instant::now();
    gateway.update(Update { usage: Some(self::usage(KEYS)?), ..Update::default() })?;
    println!("all keys, made anew: {:.1} ms", milliseconds(begun.elapsed()));
    Ok(())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// A stage with throttled methods and a backend of its own.
fn stage(api: usize, methods: usize) -> anyhow::Result<RouteStage> {
    let mut text = format!("openapi: 3.0.1\ninfo: {{title: api{api}, version: '1'}}\npaths:\n");
    for method in 0..methods {
        text.push_str(&format!(
            "  /items/kind{method}/{{id}}:\n    get: {{responses: {{}}, \
             x-amazon-apigateway-integration: {{type: http_proxy, httpMethod: GET, uri: \
             'http://api{api}.example.com/'}}}}\n"
        ));
    }
    let settings = StageSettings {
        api_id: ApiId(format!("api{api:07}")),
        stage_name: "prod".to_owned(),
        ..StageSettings::default()
    };
    let api = import(&text, &ImportOptions::default())?.api;
    let default = Throttle::new(100.0, 100).ok();
    Ok(RouteStage {
        throttles: StageThrottles { default, methods: Vec::new() },
        ..RouteStage::new(compile(&api, &settings)?.stage)
    })
}

/// A plan of all stages, and keys.
fn usage(keys: u64) -> anyhow::Result<UsageSettings> {
    let plan = UsagePlanId::of_hash(1);
    let stages = (0..APIS).map(|api| ApiStage {
        api_id: ApiId(format!("api{api:07}")),
        stage: "prod".to_owned(),
        methods: Vec::new(),
    });
    let plan_of_all = UsagePlan {
        id: plan,
        name: "Gold".to_owned(),
        description: None,
        product_code: None,
        throttle: Throttle::new(10.0, 10).ok(),
        quota: None,
        stages: stages.collect(),
    };
    let keys = (0..keys).map(|number| {
        Ok(ApiKey {
            id: ApiKeyId::of_hash(number),
            value: ApiKeyValue::new(&format!("{number:040}"))?,
            enabled: true,
            plans: [plan].into_iter().collect(),
        })
    });
    let keys = keys.collect::<anyhow::Result<_>>()?;
    Ok(UsageSettings::new(Throttle::of_account(), vec![plan_of_all], keys)?)
}
