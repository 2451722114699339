//! Throttles, API keys, usage plans and quotas in the running gateway.

mod api_keys;
mod levels;
mod quotas;
mod usage_reports;

use std::path::Path;

use serde_json::{Value, json};
use tollgate_tests::{Api, Gateway, Request, Response, Serve, get, mock, tollgate};

use crate::support::assert_error;

/// Keys of the configuration that [`keys`] makes.
const ANNA: &str = "annas-key-0000000000";
const BERT: &str = "berts-key-0000000000";

/// `GET /open` for anybody, `GET /keyed` and `GET /other` for who has an API key.
fn api() -> Api {
    let keyed = |body| {
        json!({
            "security": [{ "api_key": [] }],
            "x-amazon-apigateway-integration": mock(200, body),
        })
    };
    Api::new()
        .with(
            "components",
            json!({ "securitySchemes": {
                "api_key": { "type": "apiKey", "name": "x-api-key", "in": "header" },
            } }),
        )
        .route("GET /open", mock(200, "open"))
        .method("GET /keyed", keyed("$context.identity.apiKey $context.identity.apiKeyId"))
        .method("GET /other", keyed("other"))
}

/// A `usage_plans` with one plan, `gold00`, which has stage `prod`; the inside of its YAML flow
/// mapping beside that. Anna's and Bert's keys are in it.
fn keys(plan: &str) -> String {
    format!(
        "usage_plans:\n- {{id: gold00, api_stages: [{{api_id: petstore01, stage: prod}}], {plan}}}\n\
         api_keys:\n\
         - {{value: {ANNA}, id: anna000000, usage_plans: [gold00]}}\n\
         - {{value: {BERT}, id: bert000000, usage_plans: [gold00]}}\n"
    )
}

/// Serves [`api`] with a log of who was refused by what.
fn serve(yaml: &str) -> Serve {
    Serve::new(api()).with(yaml).access_log(
        "destination: access.log, format: '$context.status $context.throttle.level \
         $context.error.responseType $context.identity.apiKeyId $context.requestId'",
    )
}

/// Sends a request to stage `prod`.
fn call(gateway: &Gateway, request: Request) -> Response {
    let host = gateway.default_host();
    gateway.call(request.host(&host))
}

fn keyed(path: &str, key: &str) -> Request {
    get(path).header("x-api-key", key)
}

#[track_caller]
fn assert_throttled(response: &Response) {
    assert_error(response, 429, "TooManyRequestsException", "Too Many Requests");
    assert_eq!(response.text(), r#"{"message":"Too Many Requests"}"#);
}

#[track_caller]
fn assert_quota_exceeded(response: &Response) {
    assert_error(response, 429, "LimitExceededException", "Limit Exceeded");
    assert_eq!(response.text(), r#"{"message":"Limit Exceeded"}"#);
}

/// The lines of [`serve`]'s access log without request ids, in no order.
fn log(gateway: &Gateway, count: usize) -> Vec<String> {
    let mut lines: Vec<String> = gateway
        .access_log(count)
        .into_iter()
        .map(|line| line.rsplit_once(' ').map(|(line, _)| line.to_owned()).unwrap_or_default())
        .collect();
    lines.sort();
    lines
}

fn throttled(gateway: &Gateway, level: &str, count: f64) {
    gateway
        .assert_metric(&format!("tollgate_requests_throttled_total{{level=\"{level}\"}}"), count);
}

/// `tollgate usage ARGUMENTS` in the folder of a configuration: what it prints as JSON.
#[track_caller]
fn usage(folder: &Path, arguments: &[&str]) -> Value {
    let arguments = [&["usage"], arguments, &["--config", "tollgate.yaml", "--output", "json"]];
    let finished = tollgate(folder, &arguments.concat());
    assert_eq!(finished.code, 0, "{finished:?}");
    serde_json::from_str(&finished.stdout).expect("JSON")
}

/// What `tollgate usage gold00` says of today and a key: used and remaining.
#[track_caller]
fn used_today(folder: &Path, key: &str) -> (u64, i64) {
    let usage = usage(folder, &["gold00", "--key", key]);
    let day = &usage["values"][key][0];
    let used = day[0].as_u64().unwrap_or_else(|| panic!("{usage}"));
    (used, day[1].as_i64().expect("a number"))
}
