//! The levels at which a request can be asked too often, and their order.

use tollgate_tests::{Dev, curl, get};

use super::{
    ANNA, BERT, api, assert_quota_exceeded, assert_throttled, call, keyed, keys, log, serve,
    throttled, used_today,
};

/// Never refills while a test runs.
const NEVER: &str = "rate: 0.001";

#[test]
fn what_is_beyond_the_stages_throttle_gets_429_and_the_time_to_wait() {
    let gateway = serve("").attach(&format!("throttle: {{{NEVER}, burst: 2}}")).start();
    for _ in 0..2 {
        assert_eq!(call(&gateway, get("/prod/open")).text(), "open");
    }
    let response = call(&gateway, get("/prod/open"));
    assert_throttled(&response);
    let wait: u64 = response.header("Retry-After").expect("a time").parse().expect("seconds");
    assert!((900..=1_000).contains(&wait), "{wait}");
    throttled(&gateway, "stage_method", 1.0);
    assert_eq!(log(&gateway, 3), ["200 - - -", "200 - - -", "429 stage_method THROTTLED -"]);
}

#[test]
fn each_method_has_a_bucket_of_its_own_and_may_have_another_size() {
    let gateway = serve(&keys(""))
        .attach(&format!("throttle: {{{NEVER}, burst: 1}}"))
        .attach("methods: {GET /other: {throttle: {burst: 3}}}")
        .start();
    assert_eq!(call(&gateway, get("/prod/open")).status, 200);
    assert_throttled(&call(&gateway, get("/prod/open")));
    for _ in 0..3 {
        assert_eq!(call(&gateway, keyed("/prod/other", ANNA)).status, 200);
    }
    assert_throttled(&call(&gateway, keyed("/prod/other", ANNA)));
    assert_eq!(call(&gateway, keyed("/prod/keyed", ANNA)).status, 200);
}

#[test]
fn a_rate_or_a_burst_of_zero_lets_nothing_through() {
    for throttle in ["rate: 0", "burst: 0"] {
        let gateway = serve("").attach(&format!("throttle: {{{throttle}}}")).start();
        let response = call(&gateway, get("/prod/open"));
        assert_throttled(&response);
        assert_eq!(response.header("Retry-After"), None);
    }
}

#[test]
fn all_stages_share_the_accounts_throttle() {
    let gateway = serve(&format!("account: {{throttle: {{{NEVER}, burst: 3}}}}"))
        .api("petstore02", "test", api())
        .start();
    let other = "petstore02.execute-api.us-east-1.localhost";
    assert_eq!(call(&gateway, get("/prod/open")).status, 200);
    assert_eq!(gateway.call(get("/test/open").host(other)).status, 200);
    assert_eq!(call(&gateway, get("/prod/open")).status, 200);
    assert_throttled(&gateway.call(get("/test/open").host(other)));
    throttled(&gateway, "account", 1.0);
    // Nobody asked for it, so it says how to raise it.
    let said = "the account's throttle refuses requests; account.throttle";
    gateway.process.stderr_line(said, |line| line.contains(said).then_some(()));
}

#[test]
fn dev_takes_another_throttle_for_the_account() {
    let gateway = Dev::new(api()).argument("--account-throttle").argument("0.001:2").start();
    for expected in [200, 200, 429] {
        assert_eq!(gateway.get("/open").status, expected);
    }
}

#[test]
fn a_plans_throttle_is_each_keys_own() {
    let gateway = serve(&keys(&format!("throttle: {{{NEVER}, burst: 2}}"))).start();
    // All methods of the plan's stages share it.
    assert_eq!(call(&gateway, keyed("/prod/keyed", ANNA)).status, 200);
    assert_eq!(call(&gateway, keyed("/prod/other", ANNA)).status, 200);
    assert_throttled(&call(&gateway, keyed("/prod/keyed", ANNA)));
    assert_eq!(call(&gateway, keyed("/prod/keyed", BERT)).status, 200);
    // A method that wants no key isn't the plan's business.
    assert_eq!(call(&gateway, keyed("/prod/open", ANNA)).status, 200);
    throttled(&gateway, "usage_plan", 1.0);
    let log = log(&gateway, 5);
    assert_eq!(log[3], "200 - - bert000000");
    assert_eq!(log[4], "429 usage_plan THROTTLED anna000000");
}

#[test]
fn a_plan_may_have_throttles_for_methods() {
    let yaml = keys(&format!("throttle: {{{NEVER}, burst: 3}}"))
        .replace("stage: prod}", "stage: prod, methods: {GET /other: {throttle: {burst: 1}}}}");
    let gateway = serve(&yaml).start();
    assert_eq!(call(&gateway, keyed("/prod/other", ANNA)).status, 200);
    assert_throttled(&call(&gateway, keyed("/prod/other", ANNA)));
    assert_eq!(call(&gateway, keyed("/prod/other", BERT)).status, 200);
    // The refused one took nothing from the plan's own bucket.
    for _ in 0..2 {
        assert_eq!(call(&gateway, keyed("/prod/keyed", ANNA)).status, 200);
    }
    assert_throttled(&call(&gateway, keyed("/prod/keyed", ANNA)));
    throttled(&gateway, "usage_plan_method", 1.0);
    throttled(&gateway, "usage_plan", 1.0);
}

#[test]
fn the_level_that_refuses_first_answers() {
    // From the first level to the last: each one that is exhausted hides those after it.
    let levels = [
        (
            "quota: {limit: 0, period: day}, throttle: {rate: 0}",
            "throttle: {rate: 0}",
            "usage_plan",
        ),
        ("quota: {limit: 0, period: day}", "throttle: {rate: 0}", "quota"),
        ("quota: {limit: 5, period: day}", "throttle: {rate: 0}", "stage_method"),
        ("quota: {limit: 5, period: day}", "throttle: {rate: 5}", "account"),
    ];
    for (plan, stage, level) in levels {
        let yaml = keys(plan) + "account: {throttle: {rate: 0}}\n";
        let gateway = serve(&yaml).attach(stage).start();
        let response = call(&gateway, keyed("/prod/keyed", ANNA));
        match level {
            "quota" => assert_quota_exceeded(&response),
            _ => assert_throttled(&response),
        }
        throttled(&gateway, level, 1.0);
    }
}

#[test]
fn what_a_later_level_refuses_counts_nowhere() {
    let plan = format!("throttle: {{{NEVER}, burst: 4}}, quota: {{limit: 3, period: month}}");
    let data = tempfile::tempdir().expect("a folder");
    let yaml = keys(&plan) + &format!("data_directory: '{}'\n", data.path().display());
    let gateway = serve(&yaml)
        .attach(&format!("methods: {{GET /keyed: {{throttle: {{{NEVER}, burst: 1}}}}}}"))
        .start();
    assert_eq!(call(&gateway, keyed("/prod/keyed", ANNA)).status, 200);
    for _ in 0..10 {
        assert_throttled(&call(&gateway, keyed("/prod/keyed", ANNA)));
    }
    throttled(&gateway, "stage_method", 10.0);
    assert_eq!(used_today(gateway.folder(), "anna000000"), (1, 2));
    for _ in 0..2 {
        assert_eq!(call(&gateway, keyed("/prod/other", ANNA)).status, 200);
    }
    // The quota refuses, and gives the token of the plan's throttle back.
    for _ in 0..5 {
        assert_quota_exceeded(&call(&gateway, keyed("/prod/other", ANNA)));
    }
    throttled(&gateway, "usage_plan", 0.0);
    assert_eq!(used_today(gateway.folder(), "anna000000"), (3, 0));
}

#[test]
fn a_reload_fills_no_bucket_unless_its_throttle_changes() {
    let gateway = serve(&keys(&format!("throttle: {{{NEVER}, burst: 1}}")))
        .attach(&format!("methods: {{GET /open: {{throttle: {{{NEVER}, burst: 1}}}}}}"))
        .start();
    assert_eq!(call(&gateway, get("/prod/open")).status, 200);
    assert_eq!(call(&gateway, keyed("/prod/keyed", ANNA)).status, 200);
    let reload = |text: &str, from: &str, to: &str| {
        let before = gateway.metric("tollgate_reloads_total{result=\"applied\"}");
        gateway.replace_file("tollgate.yaml", text.replace(from, to));
        gateway.process.signal(libc::SIGHUP);
        gateway.assert_metric("tollgate_reloads_total{result=\"applied\"}", before + 1.0);
    };
    let text = std::fs::read_to_string(gateway.path("tollgate.yaml")).expect("a configuration");
    reload(&text, "region", "region");
    assert_throttled(&call(&gateway, get("/prod/open")));
    assert_throttled(&call(&gateway, keyed("/prod/keyed", ANNA)));
    reload(&text, "throttle: {rate: 0.001, burst: 1}}}", "throttle: {rate: 0.001, burst: 2}}}");
    for _ in 0..2 {
        assert_eq!(call(&gateway, get("/prod/open")).status, 200);
    }
    assert_throttled(&call(&gateway, get("/prod/open")));
    assert_throttled(&call(&gateway, keyed("/prod/keyed", ANNA)));
}

#[test]
fn http_2_requests_are_throttled_like_others() {
    let gateway = Dev::new(api()).argument("--throttle").argument("0.001:2").start();
    let mut client = gateway.connect_http2();
    for _ in 0..2 {
        assert_eq!(client.get("/open").status, 200);
    }
    assert_throttled(&client.get("/open"));
    // It is one bucket, whatever the protocol.
    assert_throttled(&gateway.get("/open"));
}

#[test]
fn an_api_may_answer_in_its_own_words() {
    let responses = serde_json::json!({ "THROTTLED": {
        "statusCode": "503",
        "responseParameters": { "gatewayresponse.header.Retry-After": "'7'" },
        "responseTemplates": { "application/json": "{\"type\":\"$context.error.responseType\",\"message\":$context.error.messageString}" },
    } });
    let api = api().with("x-amazon-apigateway-gateway-responses", responses);
    let gateway = Dev::new(api).argument("--throttle").argument("0:1").start();
    let response = gateway.get("/open");
    assert_eq!(
        response.summary(),
        (503, r#"{"type":"THROTTLED","message":"Too Many Requests"}"#.into())
    );
    assert_eq!(response.header("Retry-After"), Some("7"));
}

#[test]
fn a_client_address_may_be_held_to_a_rate_of_its_own() {
    let gateway = serve("account: {client_throttle: {rate: 0.001, burst: 3}}\n").start();
    assert_eq!(call(&gateway, get("/prod/open")).status, 200);
    // What is refused counts too.
    assert_eq!(call(&gateway, get("/prod/keyed")).status, 403);
    assert_eq!(call(&gateway, get("/prod/nowhere")).status, 403);
    assert_throttled(&call(&gateway, get("/prod/open")));
    throttled(&gateway, "client_ip", 1.0);
    assert_eq!(log(&gateway, 4)[3], "429 client_ip THROTTLED -");
    // Another address of this machine is another client.
    let host = format!("Host: {}", gateway.default_host());
    let url = format!("http://{}/prod/open", gateway.http);
    let other = curl(&["--interface", "127.0.0.2", "-H", &host, &url]);
    assert_eq!(other.stdout, "open");
}
