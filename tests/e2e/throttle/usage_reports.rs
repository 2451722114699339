//! What keys have used, and granting them more: `tollgate usage` and the socket it asks.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use tollgate_tests::{Gateway, curl, tollgate};

use super::{ANNA, BERT, assert_quota_exceeded, call, keyed, keys, serve, usage, used_today};

fn serving(plan: &str) -> Gateway {
    serve(&(keys(plan) + "data_directory: data\n")).start()
}

fn ask(gateway: &Gateway, arguments: &[&str], target: &str) -> (String, Value) {
    let socket = gateway.path("data/control.sock").display().to_string();
    let url = format!("http://localhost{target}");
    let fixed = ["--unix-socket", &socket, "-w", "\n%{http_code}", &url];
    let finished = curl(&[&fixed[..], arguments].concat());
    let (body, status) = finished.stdout.rsplit_once('\n').expect("a status");
    (status.to_owned(), serde_json::from_str(body).unwrap_or_else(|_| panic!("{finished:?}")))
}

#[test]
fn a_report_has_what_each_key_used_and_has_left() {
    let gateway = serving("quota: {limit: 10, period: day}");
    for _ in 0..3 {
        assert_eq!(call(&gateway, keyed("/prod/keyed", ANNA)).status, 200);
    }
    // Neither one without a key nor a refused one counts.
    assert_eq!(call(&gateway, keyed("/prod/open", ANNA)).status, 200);
    assert_eq!(call(&gateway, keyed("/prod/keyed", "nobodys-key-000000000")).status, 403);
    let report = usage(gateway.folder(), &["gold00"]);
    assert_eq!(report["usagePlanId"], "gold00");
    assert_eq!(report["values"], json!({ "anna000000": [[3, 7]], "bert000000": [[0, 10]] }));
    assert_eq!(report["startDate"], report["endDate"]);

    let text = tollgate(
        gateway.folder(),
        &["usage", "gold00", "--key", "anna000000", "--config", "tollgate.yaml"],
    );
    let lines: Vec<Vec<&str>> =
        text.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["key", "day", "used", "remaining"]);
    let today = report["endDate"].as_str().expect("a date");
    assert_eq!(lines[1..], [["anna000000", today, "3", "7"]]);
}

#[test]
fn days_without_requests_have_what_was_left() {
    let gateway = serving("quota: {limit: 10, period: month}");
    assert_eq!(call(&gateway, keyed("/prod/keyed", ANNA)).status, 200);
    let today = usage(gateway.folder(), &["gold00"])["endDate"].as_str().map(str::to_owned);
    let today = today.expect("a date");
    // Asked in the past, nothing was used.
    let report = usage(gateway.folder(), &["gold00", "--from", "2026-01-30", "--to", "2026-02-02"]);
    assert_eq!(report["values"]["anna000000"], json!([[0, 10], [0, 10], [0, 10], [0, 10]]));
    let (year, _) = today.split_once('-').expect("a year");
    let ahead = format!("{}-01-01", year.parse::<u32>().expect("a number") + 1);
    let finished = tollgate(
        gateway.folder(),
        &["usage", "gold00", "--from", "2026-01-01", "--to", &ahead, "--config", "tollgate.yaml"],
    );
    assert_eq!(
        (finished.code, finished.stderr.trim()),
        (1, "Invalid date range: more than 90 days")
    );
}

#[test]
fn a_plan_without_quota_is_reported_too() {
    let gateway = serving("name: Gold");
    assert_eq!(call(&gateway, keyed("/prod/keyed", ANNA)).status, 200);
    assert_eq!(used_today(gateway.folder(), "anna000000"), (1, -1));
}

#[test]
fn more_can_be_granted_until_the_period_ends() {
    let gateway = serving("quota: {limit: 1, period: month}");
    assert_eq!(call(&gateway, keyed("/prod/keyed", ANNA)).status, 200);
    assert_quota_exceeded(&call(&gateway, keyed("/prod/keyed", ANNA)));
    let granted = usage(gateway.folder(), &["grant", "gold00", "anna000000", "--remaining", "2"]);
    assert_eq!(granted["values"]["anna000000"], json!([[1, 2]]));
    for _ in 0..2 {
        assert_eq!(call(&gateway, keyed("/prod/keyed", ANNA)).status, 200);
    }
    assert_quota_exceeded(&call(&gateway, keyed("/prod/keyed", ANNA)));
    // Bert's is as it was.
    assert_eq!(used_today(gateway.folder(), "bert000000"), (0, 1));
    assert_eq!(call(&gateway, keyed("/prod/keyed", BERT)).status, 200);
}

#[test]
fn the_socket_speaks_awss_management_api() {
    let gateway = serving("quota: {limit: 10, period: day}");
    assert_eq!(call(&gateway, keyed("/prod/keyed", ANNA)).status, 200);
    let today = usage(gateway.folder(), &["gold00"])["endDate"].as_str().map(str::to_owned);
    let dates = format!("startDate={0}&endDate={0}", today.expect("a date"));
    let (status, body) = ask(&gateway, &[], &format!("/usageplans/gold00/usage?{dates}&limit=1"));
    assert_eq!((&*status, &body["position"]), ("200", &json!("anna000000")));
    assert_eq!(body["values"], json!({ "anna000000": [[1, 9]] }));
    let next = format!("/usageplans/gold00/usage?{dates}&limit=1&position=anna000000");
    let (_, body) = ask(&gateway, &[], &next);
    assert_eq!(
        (&body["values"], &body["position"]),
        (&json!({ "bert000000": [[0, 10]] }), &Value::Null)
    );

    let patch = |key: &str, operation: Value| {
        let body = json!({ "patchOperations": [operation] }).to_string();
        ask(
            &gateway,
            &["-X", "PATCH", "-d", &body],
            &format!("/usageplans/gold00/keys/{key}/usage"),
        )
    };
    let replace = |value: Value| json!({ "op": "replace", "path": "/remaining", "value": value });
    let (status, body) = patch("anna000000", replace(json!("500")));
    assert_eq!((&*status, &body["values"]), ("200", &json!({ "anna000000": [[1, 500]] })));
    for (key, operation, expected, message) in [
        ("anna000000", replace(json!("-1")), "400", "Invalid remaining"),
        (
            "anna000000",
            json!({ "op": "add", "path": "/remaining", "value": "1" }),
            "400",
            "Invalid patch path",
        ),
        ("nobody0000", replace(json!("1")), "404", "Invalid API Key identifier specified"),
    ] {
        let (status, body) = patch(key, operation);
        let said = body["message"].as_str().expect("a message");
        assert!(status == expected && said.starts_with(message), "{status} {body}");
    }
    for (target, expected) in [
        (format!("/usageplans/silver/usage?{dates}"), "404"),
        ("/usageplans/gold00/usage?startDate=2026-02-30&endDate=2026-03-01".into(), "400"),
        ("/usageplans/gold00/usage?startDate=2026-02-02&endDate=2026-02-01".into(), "400"),
        ("/usageplans".into(), "404"),
    ] {
        assert_eq!(ask(&gateway, &[], &target).0, expected, "{target}");
    }
}

#[test]
fn only_the_gateways_own_user_may_ask() {
    let gateway = serving("quota: {limit: 10, period: day}");
    let mode = |path| {
        let metadata = std::fs::metadata(gateway.path(path)).expect("it is there");
        metadata.permissions().mode() & 0o777
    };
    assert_eq!((mode("data/control.sock"), mode("data")), (0o600, 0o700));
}

#[test]
fn without_a_gateway_that_is_said() {
    let folder = serve(&(keys("") + "data_directory: data\n")).write();
    let finished = tollgate(folder.path(), &["usage", "gold00", "--config", "tollgate.yaml"]);
    assert_eq!(finished.code, 1);
    assert!(
        finished.stderr.contains("data/control.sock: no gateway answers on its control socket"),
        "{}",
        finished.stderr
    );
}
